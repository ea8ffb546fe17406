//! CBOR as Jackson writes it for Logstash: the few kinds that occur, and string references (tags 256 and 25).

use ferrostash_event::json::JSON_DEPTH_MAX;
use std::borrow::Cow;

mod amount;
mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::Writer;

/// How deep values may lie in each other. A hash or list of an event takes two levels, and events are no deeper than JSON.
pub const CBOR_DEPTH_MAX: usize = 2 * JSON_DEPTH_MAX + 100;

/// Major types, in the upper three bits of a head.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// The argument of a head whose length is not said.
const INDEFINITE: u8 = 31;
const BREAK: u8 = 0xff;

const TAG_BIG_POSITIVE: u64 = 2;
const TAG_BIG_NEGATIVE: u64 = 3;
const TAG_DECIMAL: u64 = 4;
const TAG_REFERENCE: u64 = 25;
const TAG_NAMESPACE: u64 = 256;

/// What is wrong with a text of CBOR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// It ends within a value.
    #[error("it ends within a value, at byte {0}")]
    Short(usize),
    /// Something follows the value.
    #[error("there is something behind the value, at byte {0}")]
    Long(usize),
    /// A kind of value that Logstash does not write.
    #[error("byte {at} ({head:#04x}) begins nothing that Logstash writes")]
    Unknown {
        /// Where, in bytes.
        at: usize,
        /// What stands there.
        head: u8,
    },
    /// A text that is not UTF-8.
    #[error("the text at byte {0} is not UTF-8")]
    NotUtf8(usize),
    /// A reference to a string that was not there before.
    #[error("byte {at} refers to string {index}, of {known}")]
    Reference {
        /// Where, in bytes.
        at: usize,
        /// Which string is meant.
        index: u64,
        /// How many there were.
        known: usize,
    },
    /// More than [`CBOR_DEPTH_MAX`] values within each other.
    #[error("values lie more than {CBOR_DEPTH_MAX} deep in each other")]
    Deep,
    /// A number out of the range of its kind.
    #[error("the number at byte {0} is out of range")]
    Number(usize),
    /// The value is not what is expected here.
    #[error("{0}")]
    Shape(String),
}

/// A value as it stands in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// The digits, with a sign.
    BigInt(String),
    Float(f64),
    /// Unscaled digits with a sign, and the decimal exponent.
    Decimal(String, i64),
    Text(Cow<'a, str>),
    List(Vec<Item<'a>>),
    Map(Vec<(Cow<'a, str>, Item<'a>)>),
}

/// Whether a string of `len` bytes gets number `index`: only where a reference is shorter than it.
fn is_numbered(index: usize, len: usize) -> bool {
    let shortest = match index {
        0..24 => 3,
        24..256 => 4,
        256..65536 => 5,
        _ => 7,
    };
    len >= shortest
}

type Result<T> = std::result::Result<T, CborError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_is_refused_and_depth_is_bounded() {
        let all = |data: &[u8]| Reader::read(data).map(|_| ());
        assert_eq!(all(&[]), Err(CborError::Short(0)));
        assert_eq!(all(&[0x9f]), Err(CborError::Short(1)));
        assert_eq!(all(&[0xf6, 0]), Err(CborError::Long(1)));
        assert_eq!(all(&[0x61, 0xff]), Err(CborError::NotUtf8(1)));
        assert_eq!(all(&[0x1c]), Err(CborError::Unknown { at: 0, head: 0x1c }));
        assert_eq!(all(&[0xff]), Err(CborError::Unknown { at: 0, head: 0xff }));
        assert_eq!(all(&[0xd8, 25, 0]), Err(CborError::Reference { at: 0, index: 0, known: 0 }));
        assert_eq!(all(&[0x9f; 100_000]), Err(CborError::Deep));
        assert_eq!(all(&[0xd9, 1, 0].repeat(100_000)), Err(CborError::Deep));
        assert_eq!(all(&[0xc4; 100_000]), Err(CborError::Deep));
        assert!(all(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(all(&[0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
