//! One entry of the date filter's `match`: a pattern, or one of the four special names.

use crate::error::{DateError, PatternError};
use crate::iso;
use crate::locale::Locale;
use crate::pattern::Pattern;
use crate::scan::{EXACT_DIGITS, Scanner};
use crate::shape::{Bytes, Shape};
use crate::timestamp::Timestamp;
use crate::zone::Zone;

/// The last second that Logstash takes for a UNIX time, in January 2038.
const UNIX_MAX: i64 = i32::MAX as i64;
/// Leap seconds between TAI and UTC when UNIX time began; Logstash subtracts these and no more.
const TAI_LEAP: i64 = 10;
/// Hexadecimal digits of a TAI64N label.
const TAI64N_DIGITS: usize = 24;
/// The most digits of a decimal number that are looked at; longer integers are too large anyway.
const DIGITS_MAX: usize = 37;

/// How much of a second is kept: the date filter's `precision`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// `ms`: the rest is cut off.
    #[default]
    Milliseconds,
    /// `ns`.
    Nanoseconds,
}

/// A format of the date filter, ready to read values.
///
/// ```
/// use ferrostash_joda::{DateParser, Locale, Precision, Timestamp, Zone};
/// let parser = DateParser::new("dd/MMM/yyyy:HH:mm:ss Z", Locale::en_us(), Precision::default())?;
/// let time = parser.parse("10/Oct/2000:13:55:36 -0700", Zone::utc(), Timestamp::now())?;
/// assert_eq!(time.to_string(), "2000-10-10T20:55:36.000Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateParser {
    format: Format,
    precision: Precision,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Format {
    Iso8601,
    /// Seconds after 1970.
    Unix,
    /// Milliseconds after 1970.
    UnixMs,
    /// Hexadecimal seconds and nanoseconds, as qmail's logs have them.
    Tai64n,
    Joda(Pattern),
}

impl DateParser {
    /// Compiles `ISO8601`, `UNIX`, `UNIX_MS`, `TAI64N` (capitals only) or a Joda pattern.
    ///
    /// # Errors
    /// When the pattern means nothing, or has a part that can be written but not read (`zzzz`).
    pub fn new(format: &str, locale: Locale, precision: Precision) -> Result<DateParser, PatternError> {
        let parsed = match format {
            "ISO8601" => Format::Iso8601,
            "UNIX" => Format::Unix,
            "UNIX_MS" => Format::UnixMs,
            "TAI64N" => Format::Tai64n,
            pattern => Format::Joda(Pattern::new(pattern, locale)?),
        };
        if let Format::Joda(pattern) = &parsed
            && let Some(reason) = pattern.unreadable()
        {
            return Err(PatternError::at(format, format.find("zzzz").unwrap_or(0), reason));
        }
        Ok(DateParser { format: parsed, precision })
    }

    /// Whether the zone makes a difference. Where it does not, a bad one doesn't matter either.
    pub fn uses_zone(&self) -> bool {
        matches!(self.format, Format::Iso8601 | Format::Joda(_))
    }

    /// Whether there is certainly no text that both formats read, whatever the zone. When in doubt it says no.
    pub fn excludes(&self, other: &DateParser) -> bool {
        let others = other.shapes();
        !self.shapes().iter().any(|shape| others.iter().any(|other| shape.meets(other)))
    }

    /// What texts that it reads look like: one of these.
    fn shapes(&self) -> Vec<Shape> {
        // Digits of other scripts count here.
        let digits = Bytes::digits().and(Bytes::BEYOND_ASCII);
        let whole = || Shape::default().perhaps_sign().once(digits).repeated(digits);
        match &self.format {
            Format::Iso8601 => {
                let date = Shape::default().perhaps_sign().between(4, 10, Bytes::digits());
                let pair = |shape: Shape| shape.literal("-").between(2, 2, Bytes::digits());
                vec![pair(pair(date)).repeated(Bytes::ANY)]
            }
            Format::Unix => vec![whole(), whole().literal(".").repeated(Bytes::ANY)],
            Format::UnixMs => vec![whole()],
            Format::Tai64n => {
                let hexadecimal = Bytes::digits().and(Bytes::letters()).and(Bytes::new(*b"+-"));
                let label = Shape::default().perhaps(Bytes::new(*b"@"));
                vec![label.between(TAI64N_DIGITS, TAI64N_DIGITS, hexadecimal).repeated(Bytes::ANY)]
            }
            Format::Joda(pattern) => vec![pattern.shape()],
        }
    }

    /// Reads a text. `zone` is that of texts which name none; `now` decides about missing years and centuries.
    ///
    /// # Errors
    /// When the text is not of this format.
    pub fn parse(&self, text: &str, zone: &Zone, now: Timestamp) -> Result<Timestamp, DateError> {
        let time = match &self.format {
            Format::Iso8601 => iso::parse_casual(text, zone).ok_or(DateError::Malformed { at: 0 })?,
            Format::Unix => unix_text(text, self.fraction_digits())?,
            Format::UnixMs => unix_ms(long(text).ok_or(DateError::NotNumber)?)?,
            Format::Tai64n => tai64n(text)?,
            Format::Joda(pattern) => return pattern.parse(text, zone, now, self.precision),
        };
        Ok(self.cut(time))
    }

    /// Reads a whole number.
    ///
    /// # Errors
    /// When the format reads text, or the number is too large.
    pub fn parse_integer(&self, value: i64) -> Result<Timestamp, DateError> {
        match self.format {
            Format::Unix => unix(value),
            Format::UnixMs => unix_ms(value),
            _ => Err(DateError::NotText),
        }
    }

    /// Reads a floating point number, by its shortest decimal form.
    ///
    /// # Errors
    /// When the format reads text, or the number is too large or not finite.
    pub fn parse_float(&self, value: f64) -> Result<Timestamp, DateError> {
        if !value.is_finite() {
            return Err(DateError::NotNumber);
        }
        self.parse_decimal(&format!("{value:e}"))
    }

    /// Reads a decimal number of any precision (`1767323045.678`, `1.5e3`). The part that isn't kept is cut off,
    /// towards zero.
    ///
    /// # Errors
    /// When the format reads text, the number is too large, or it isn't one.
    pub fn parse_decimal(&self, number: &str) -> Result<Timestamp, DateError> {
        let (exponent, max) = match self.format {
            Format::Unix => (9, UNIX_MAX),
            Format::UnixMs => (6, UNIX_MAX * 1000),
            _ => return Err(DateError::NotText),
        };
        let nanos = scaled(number, exponent).ok_or(DateError::NotNumber)?;
        if nanos / 10i128.pow(exponent as u32) > i128::from(max) {
            return Err(DateError::TooLarge);
        }
        Ok(match self.precision {
            Precision::Milliseconds => Timestamp::from_nanos(nanos / 1_000_000 * 1_000_000),
            Precision::Nanoseconds => Timestamp::from_nanos(nanos),
        })
    }

    fn fraction_digits(&self) -> usize {
        match self.precision {
            Precision::Milliseconds => 3,
            Precision::Nanoseconds => 9,
        }
    }

    fn cut(&self, time: Timestamp) -> Timestamp {
        match self.precision {
            Precision::Milliseconds => time.truncated_to_millis(),
            Precision::Nanoseconds => time,
        }
    }
}

fn unix(secs: i64) -> Result<Timestamp, DateError> {
    if secs > UNIX_MAX { Err(DateError::TooLarge) } else { Ok(Timestamp::from_parts(secs, 0)) }
}

fn unix_ms(millis: i64) -> Result<Timestamp, DateError> {
    if millis > UNIX_MAX * 1000 { Err(DateError::TooLarge) } else { Ok(Timestamp::from_millis(millis)) }
}

/// Seconds, and after a point as many digits as are kept. The fraction is always added, so `-1.5` is half a second
/// after -1: Logstash does the same.
fn unix_text(text: &str, digits: usize) -> Result<Timestamp, DateError> {
    if let Some((secs, nanos)) = plain_unix(text, digits) {
        return unix(secs).map(|time| Timestamp::from_parts(time.secs(), nanos));
    }
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let time = unix(long(whole).ok_or(DateError::NotNumber)?)?;
    let Some(fraction) = fraction else { return Ok(time) };
    let end = fraction.char_indices().nth(digits).map_or(fraction.len(), |(at, _)| at);
    let fraction = fraction.get(..end).unwrap_or_default();
    let width = fraction.chars().count() as u32;
    let value = long(fraction).ok_or(DateError::NotNumber)?;
    let nanos = i128::from(value) * 10i128.pow(9u32.saturating_sub(width));
    Ok(Timestamp::from_nanos(time.to_nanos() + nanos))
}

/// Seconds and nanoseconds of a text that is nothing but ASCII digits and a point: the usual one.
fn plain_unix(text: &str, digits: usize) -> Option<(i64, u32)> {
    let mut scanner = Scanner::new(text);
    let (secs, _) = scanner.digits(EXACT_DIGITS)?;
    if scanner.is_at_end() {
        return Some((secs, 0));
    }
    scanner.expect(b'.')?;
    let (value, width) = scanner.digits(digits)?;
    // What follows a full fraction is ignored.
    let whole = width == digits || scanner.is_at_end();
    whole.then(|| (secs, value as u32 * 10u32.pow(9 - width as u32)))
}

/// 16 hexadecimal digits of seconds from 2^62 before 1970 in TAI and 8 of nanoseconds, perhaps after an `@`. What
/// follows is ignored.
fn tai64n(text: &str) -> Result<Timestamp, DateError> {
    let digits = text.strip_prefix('@').unwrap_or(text);
    let part =
        |range: std::ops::Range<usize>| digits.get(range).ok_or(DateError::Malformed { at: text.len() });
    let secs = i64::from_str_radix(part(0..16)?, 16).map_err(|_| DateError::NotNumber)?;
    let nanos = i32::from_str_radix(part(16..24)?, 16).map_err(|_| DateError::NotNumber)?;
    let secs = (secs & ((1 << 62) - 1)) - TAI_LEAP;
    Ok(Timestamp::from_nanos(i128::from(secs) * 1_000_000_000 + i128::from(nanos)))
}

/// A whole number as Java reads it: a sign, and decimal digits of any script.
fn long(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut scanner = Scanner::new(digits);
    if let Some((value, width)) = scanner.digits(EXACT_DIGITS)
        && width == digits.len()
    {
        return Some(if negative { -value } else { value });
    }
    digits.chars().try_fold(0i64, |value, c| {
        let digit = digit(c)?;
        let value = value.checked_mul(10)?;
        if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
    })
}

/// The value of a decimal digit in any script of the Basic Multilingual Plane.
fn digit(c: char) -> Option<i64> {
    /// Where the zeros are.
    const ZEROS: [u32; 37] = [
        0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6,
        0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0,
        0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    ];
    let code = u32::from(c);
    ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code)).map(|zero| i64::from(code - zero))
}

/// The number times 10 to the `exponent`, cut towards zero; numbers beyond all times come out as such.
fn scaled(number: &str, exponent: i64) -> Option<i128> {
    let (mantissa, power) = match number.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, long(power)?.clamp(-100_000, 100_000)),
        None => (number, 0),
    };
    let negative = mantissa.starts_with('-');
    let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut wanted = whole.len() as i64 + power + exponent;
    let mut value = 0i128;
    let mut width = 0;
    let mut bytes = whole.bytes().chain(fraction.bytes());
    while wanted > 0 {
        let byte = match bytes.next() {
            Some(byte) => byte,
            None if value == 0 => break,
            None => b'0',
        };
        if value > 0 || byte != b'0' {
            width += 1;
        }
        if width > DIGITS_MAX {
            value = i128::MAX;
            break;
        }
        value = value * 10 + i128::from(byte - b'0');
        wanted -= 1;
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser(format: &str) -> DateParser {
        DateParser::new(format, Locale::en_us(), Precision::default()).unwrap()
    }

    fn text(format: &str, text: &str) -> Option<String> {
        parser(format).parse(text, Zone::utc(), Timestamp::now()).ok().map(|time| time.to_string())
    }

    #[test]
    fn unix_text() {
        for (from, expected) in [
            ("0", "1970-01-01T00:00:00.000Z"),
            ("01767323045", "2026-01-02T03:04:05.000Z"),
            ("+1767323045", "2026-01-02T03:04:05.000Z"),
            ("1767323045.6", "2026-01-02T03:04:05.600Z"),
            ("1767323045.6789", "2026-01-02T03:04:05.678Z"),
            ("1767323045.09", "2026-01-02T03:04:05.090Z"),
            ("-1", "1969-12-31T23:59:59.000Z"),
            ("-1.5", "1969-12-31T23:59:59.500Z"),
            ("-0.5", "1970-01-01T00:00:00.500Z"),
            ("١", "1970-01-01T00:00:01.000Z"),
        ] {
            assert_eq!(text("UNIX", from).as_deref(), Some(expected), "{from}");
        }
        for from in [
            "",
            "abc",
            "1767323045.",
            ".5",
            "1.x",
            "1e9",
            " 1",
            "1 ",
            "1,5",
            "1.2.3",
            "0x10",
            "1_000",
            "2147483648",
            "-",
            "9999999999999999999",
            ".",
        ] {
            assert_eq!(text("UNIX", from), None, "{from}");
        }
    }

    #[test]
    fn unix_numbers() {
        let unix = parser("UNIX");
        let float = |value| unix.parse_float(value).map(|time| time.to_string()).unwrap_or_default();
        assert_eq!(float(1_767_323_045.678), "2026-01-02T03:04:05.678Z");
        assert_eq!(float(1_077_494_340.508), "2004-02-22T23:59:00.508Z");
        assert_eq!(float(-1.5), "1969-12-31T23:59:58.500Z");
        assert_eq!(float(2_147_483_647.999), "2038-01-19T03:14:07.999Z");
        assert_eq!(float(5e-324), "1970-01-01T00:00:00.000Z");
        assert_eq!(unix.parse_float(2_147_483_648.0), Err(DateError::TooLarge));
        assert_eq!(unix.parse_float(1e300), Err(DateError::TooLarge));
        assert!(unix.parse_float(-1e300).is_ok());
        assert_eq!(unix.parse_float(f64::NAN), Err(DateError::NotNumber));
        assert_eq!(unix.parse_integer(i64::MAX), Err(DateError::TooLarge));
        assert!(unix.parse_integer(i64::MIN).is_ok());
        assert_eq!(unix.parse_decimal("1.767323045678e9").unwrap().to_millis(), 1_767_323_045_678);
        assert_eq!(unix.parse_decimal("0.0000000001").unwrap(), Timestamp::EPOCH);
        assert_eq!(unix.parse_decimal("0e999999999").unwrap(), Timestamp::EPOCH);
        assert_eq!(unix.parse_decimal("0.1e9999999999999999999"), Err(DateError::NotNumber));
        for bad in ["", "-", ".", "1.2.3", "x", "1e", "é"] {
            assert_eq!(unix.parse_decimal(bad), Err(DateError::NotNumber), "{bad}");
        }
    }

    #[test]
    fn unix_milliseconds() {
        let unix = parser("UNIX_MS");
        assert_eq!(text("UNIX_MS", "1767323045678").as_deref(), Some("2026-01-02T03:04:05.678Z"));
        assert_eq!(text("UNIX_MS", "1767323045678.5"), None);
        assert_eq!(unix.parse_integer(2_147_483_647_000).unwrap().secs(), UNIX_MAX);
        assert_eq!(unix.parse_integer(2_147_483_647_001), Err(DateError::TooLarge));
        assert_eq!(unix.parse_decimal("1767323045678.9").unwrap().to_millis(), 1_767_323_045_678);
        assert_eq!(unix.parse_decimal("2147483647001.5"), Err(DateError::TooLarge));
        assert_eq!(unix.parse_decimal("1.5e3").unwrap().to_millis(), 1500);
    }

    #[test]
    fn tai64n() {
        assert_eq!(text("TAI64N", "@4000000052f88ea32489532c").as_deref(), Some("2014-02-10T08:32:25.612Z"));
        assert_eq!(
            text("TAI64N", "4000000052f88ea32489532c and more").as_deref(),
            Some("2014-02-10T08:32:25.612Z")
        );
        for bad in [
            "",
            "@",
            "@4000000052f88ea3",
            "@4000000052f88ea3ffffffff",
            "@zzzzzzzzzzzzzzzz00000000",
            "this is no time at all but long",
            "ééééééééééééééééé",
        ] {
            assert_eq!(text("TAI64N", bad), None, "{bad}");
        }
        assert_eq!(parser("TAI64N").parse_integer(5), Err(DateError::NotText));
    }

    #[test]
    fn nanoseconds_when_asked_for() {
        let read = |format: &str, text: &str| {
            let parser = DateParser::new(format, Locale::en_us(), Precision::Nanoseconds).unwrap();
            parser.parse(text, Zone::utc(), Timestamp::now()).unwrap().nanos()
        };
        assert_eq!(read("ISO8601", "2026-01-02T03:04:05.123456789Z"), 123_456_789);
        assert_eq!(read("UNIX", "1767323045.123456789123"), 123_456_789);
        assert_eq!(read("TAI64N", "@4000000052f88ea32489532c"), 0x2489_532c);
        assert_eq!(read("ss.SSSSSSSSS yyyy", "05.123456789 2026"), 123_456_789);
        assert_eq!(read("ss.SSS yyyy", "05.123 2026"), 123_000_000);
        let unix = DateParser::new("UNIX", Locale::en_us(), Precision::Nanoseconds).unwrap();
        assert_eq!(unix.parse_decimal("1.0000000019").unwrap().nanos(), 1);
    }

    #[test]
    fn names_are_case_sensitive_and_text_only_formats_take_no_numbers() {
        assert!(DateParser::new("unix", Locale::en_us(), Precision::default()).is_err());
        assert!(DateParser::new("iso8601", Locale::en_us(), Precision::default()).is_err());
        let error = DateParser::new("yyyy zzzz", Locale::en_us(), Precision::default()).unwrap_err();
        assert_eq!(error.offset, 5);
        assert_eq!(parser("ISO8601").parse_float(5.0), Err(DateError::NotText));
        assert!(parser("yyyy").uses_zone() && parser("ISO8601").uses_zone() && !parser("UNIX").uses_zone());
    }
}
