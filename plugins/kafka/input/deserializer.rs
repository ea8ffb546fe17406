//! What Java's deserializers make of bytes, as the text that codecs get.

use std::borrow::Cow;

/// A class of `org.apache.kafka.common.serialization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deserializer {
    String,
    Bytes,
    Short,
    Integer,
    Long,
}

const PACKAGE: &str = "org.apache.kafka.common.serialization.";

impl Deserializer {
    /// The one of that class.
    pub(crate) fn of_class(name: &str) -> Option<Deserializer> {
        Some(match name.strip_prefix(PACKAGE)? {
            "StringDeserializer" => Deserializer::String,
            "ByteArrayDeserializer" => Deserializer::Bytes,
            "ShortDeserializer" => Deserializer::Short,
            "IntegerDeserializer" => Deserializer::Integer,
            "LongDeserializer" => Deserializer::Long,
            _ => return None,
        })
    }

    /// The text of `bytes`; as it is where that may be anything.
    ///
    /// # Errors
    /// Why they are not what they should be.
    pub(crate) fn read(self, bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
        let number = match self {
            Deserializer::Bytes => return Ok(bytes.into()),
            Deserializer::String => return Ok(text(bytes)),
            Deserializer::Short => bytes.try_into().map(|bytes| i64::from(i16::from_be_bytes(bytes))).ok(),
            Deserializer::Integer => bytes.try_into().map(|bytes| i64::from(i32::from_be_bytes(bytes))).ok(),
            Deserializer::Long => bytes.try_into().map(i64::from_be_bytes).ok(),
        };
        let number = number.ok_or_else(|| format!("{} bytes are no {self:?}", bytes.len()))?;
        Ok(number.to_string().into_bytes().into())
    }
}

/// Java puts U+FFFD in the place of what is not UTF-8.
fn text(bytes: &[u8]) -> Cow<'_, [u8]> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text.as_bytes()),
        Err(_) => Cow::Owned(String::from_utf8_lossy(bytes).into_owned().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_text() {
        let read = |name: &str, bytes: &[u8]| {
            let deserializer = Deserializer::of_class(&format!("{PACKAGE}{name}")).unwrap();
            deserializer.read(bytes).map(|text| String::from_utf8(text.into_owned()).unwrap())
        };
        assert_eq!(read("IntegerDeserializer", &[0xff, 0xff, 0xff, 0xfe]).unwrap(), "-2");
        assert_eq!(read("LongDeserializer", &[0, 0, 0, 0, 0, 0, 1, 0]).unwrap(), "256");
        assert_eq!(read("ShortDeserializer", &[1]).unwrap_err(), "1 bytes are no Short");
        assert_eq!(read("StringDeserializer", b"a\xffb").unwrap(), "a\u{fffd}b");
        assert_eq!(Deserializer::of_class("com.example.Mine"), None);
    }
}
