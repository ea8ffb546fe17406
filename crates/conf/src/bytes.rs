//! Sizes such as `10 MiB`.

/// A number of bytes, from a number or from a text with a unit: `10kb` is 10000, `10 KiB` is 10240.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Reads a size; `None` if it is none.
    pub fn parse(text: &str) -> Option<Bytes> {
        if let Ok(number) = text.parse() {
            return Some(Bytes(number));
        }
        let number_end = text.find(|c: char| !c.is_ascii_digit() && !".,".contains(c))?;
        let (number, unit) = text.split_at_checked(number_end)?;
        let number: f64 = number.replace(',', "").parse().ok()?;
        let unit = unit.strip_prefix(char::is_whitespace).unwrap_or(unit).to_ascii_lowercase();
        let prefix = unit.strip_suffix('b')?;
        let (prefix, base) = match prefix.strip_suffix('i') {
            Some(prefix) => (prefix, 1024f64),
            None => (prefix, 1000f64),
        };
        let power = match prefix {
            "" if base == 1024.0 => return None,
            "" => 0,
            letter => 1 + "kmgtpezy".find(letter).filter(|_| letter.len() == 1)?,
        };
        Some(Bytes((number * base.powi(i32::try_from(power).ok()?)) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn units() {
        let read = |text| Bytes::parse(text).map(|bytes| bytes.0);
        assert_eq!(read("1024"), Some(1024));
        assert_eq!(read("10 KiB"), Some(10240));
        assert_eq!(read("256KiB"), Some(262_144));
        assert_eq!(read("1 MB"), Some(1_000_000));
        assert_eq!(read("1.5gib"), Some(1_610_612_736));
        assert_eq!(read("10 b"), Some(10));
        assert_eq!(read("10xb"), None);
        assert_eq!(read("many"), None);
    }
}
