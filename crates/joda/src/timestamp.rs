//! Points in time as events carry them.
//!
//! A [`Timestamp`] counts seconds and nanoseconds from 1970, so it keeps what Logstash keeps: nine decimals, and
//! years far outside four digits (Joda patterns read them). Its text is Logstash's: UTC, three, six or nine
//! decimals, whichever is the fewest that lose nothing.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::civil::{DAY, civil_from_days, days_from_civil};
use crate::iso;
use crate::zone::Zone;

/// The longest text: sign, a year of 12 digits, and the rest to nine decimals.
const TEXT_MAX: usize = 48;

/// Between these days, years have four digits.
const FIRST_USUAL_DAY: i64 = days_from_civil(0, 1, 1);
const LAST_USUAL_DAY: i64 = days_from_civil(9999, 12, 31);

/// A point in time with nanosecond precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    secs: i64,
    nanos: u32,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp { secs: 0, nanos: 0 };

    /// The present, by the system's clock.
    pub fn now() -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp { secs: since.as_secs() as i64, nanos: since.subsec_nanos() },
            Err(before) => Timestamp::from_nanos(-(before.duration().as_nanos() as i128)),
        }
    }

    /// `secs` seconds and `nanos` nanoseconds after 1970 (nanoseconds beyond a second carry over).
    pub const fn from_parts(secs: i64, nanos: u32) -> Timestamp {
        let carry = (nanos / 1_000_000_000) as i64;
        Timestamp { secs: secs.saturating_add(carry), nanos: nanos % 1_000_000_000 }
    }

    /// `millis` milliseconds after 1970.
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp { secs: millis.div_euclid(1000), nanos: millis.rem_euclid(1000) as u32 * 1_000_000 }
    }

    /// `nanos` nanoseconds after 1970; what lies outside the range is held at its end.
    pub const fn from_nanos(nanos: i128) -> Timestamp {
        let secs = nanos.div_euclid(1_000_000_000);
        let rest = nanos.rem_euclid(1_000_000_000) as u32;
        if secs > i64::MAX as i128 {
            Timestamp { secs: i64::MAX, nanos: 999_999_999 }
        } else if secs < i64::MIN as i128 {
            Timestamp { secs: i64::MIN, nanos: 0 }
        } else {
            Timestamp { secs: secs as i64, nanos: rest }
        }
    }

    /// Whole seconds after 1970, rounded down: what `%{+%s}` prints.
    pub const fn secs(&self) -> i64 {
        self.secs
    }

    /// Nanoseconds within the second.
    pub const fn nanos(&self) -> u32 {
        self.nanos
    }

    /// Whole milliseconds after 1970, rounded down, held at the ends of an `i64`.
    pub const fn to_millis(&self) -> i64 {
        self.secs.saturating_mul(1000).saturating_add((self.nanos / 1_000_000) as i64)
    }

    /// Nanoseconds after 1970.
    pub const fn to_nanos(&self) -> i128 {
        self.secs as i128 * 1_000_000_000 + self.nanos as i128
    }

    /// The same time without anything finer than a millisecond.
    #[must_use]
    pub const fn truncated_to_millis(&self) -> Timestamp {
        Timestamp { secs: self.secs, nanos: self.nanos / 1_000_000 * 1_000_000 }
    }

    /// Reads what Logstash takes for a timestamp: an ISO 8601 date, a time if there is one, a zone if there is one.
    /// Without a zone it is UTC.
    pub fn parse(text: &str) -> Option<Timestamp> {
        iso::parse_timestamp(text, Zone::utc())
    }

    /// Like [`Timestamp::parse`], with the zone of texts that name none.
    pub fn parse_in(text: &str, zone: &Zone) -> Option<Timestamp> {
        iso::parse_timestamp(text, zone)
    }

    /// Appends the ISO 8601 form in UTC, as in `2026-01-02T03:04:05.678Z`.
    pub fn write_iso8601(&self, out: &mut String) {
        // The text is ASCII by construction, so this never fails.
        match self.usual() {
            Some(text) => out.push_str(std::str::from_utf8(&text).unwrap_or_default()),
            None => out.push_str(std::str::from_utf8(self.render(&mut [0; TEXT_MAX])).unwrap_or_default()),
        }
    }

    /// Appends the ISO 8601 form in UTC to bytes.
    pub fn write_iso8601_bytes(&self, out: &mut Vec<u8>) {
        match self.usual() {
            Some(text) => out.extend_from_slice(&text),
            None => out.extend_from_slice(self.render(&mut [0; TEXT_MAX])),
        }
    }

    /// The ISO 8601 form where it has the usual length: a year of four digits, and milliseconds.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "places are constants below 24")]
    pub fn usual(&self) -> Option<[u8; 24]> {
        let (days, of_day) = (self.secs.div_euclid(DAY), self.secs.rem_euclid(DAY) as u32);
        let millis = self.nanos / 1_000_000;
        if millis * 1_000_000 != self.nanos || !(FIRST_USUAL_DAY..=LAST_USUAL_DAY).contains(&days) {
            return None;
        }
        let (year, month, day) = civil_from_days(days);
        let year = year as u32;
        let (minutes, second) = (of_day / 60, of_day % 60);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (place, value) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, minutes / 60),
            (14, minutes % 60),
            (17, second),
            (21, millis % 100),
        ] {
            let [tens, ones] = pair(value);
            text[place] = tens;
            text[place + 1] = ones;
        }
        text[20] = b'0' + (millis / 100) as u8;
        Some(text)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "every position is a constant below TEXT_MAX or follows from the year's width"
    )]
    fn render<'a>(&self, buffer: &'a mut [u8; TEXT_MAX]) -> &'a [u8] {
        let (days, of_day) = (self.secs.div_euclid(DAY), self.secs.rem_euclid(DAY) as u32);
        let (year, month, day) = civil_from_days(days);
        let mut at = write_year(buffer, year);
        buffer[at..at + 16].copy_from_slice(b"-00-00T00:00:00.");
        for (place, value) in
            [(1, month), (4, day), (7, of_day / 3600), (10, of_day / 60 % 60), (13, of_day % 60)]
        {
            buffer[at + place..at + place + 2].copy_from_slice(&pair(value));
        }
        at += 16;
        let (digits, mut value) = match self.nanos {
            n if n % 1_000_000 == 0 => (3, n / 1_000_000),
            n if n % 1000 == 0 => (6, n / 1000),
            n => (9, n),
        };
        for position in (at..at + digits).rev() {
            buffer[position] = b'0' + (value % 10) as u8;
            value /= 10;
        }
        buffer[at + digits] = b'Z';
        &buffer[..at + digits + 1]
    }
}

/// The two digits of every number below 100, and some more so that seven bits never miss.
#[expect(clippy::indexing_slicing, reason = "the loop ends at 100")]
static PAIRS: [[u8; 2]; 128] = {
    let mut pairs = [[b'0'; 2]; 128];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + value as u8 / 10, b'0' + value as u8 % 10];
        value += 1;
    }
    pairs
};

/// The two digits of a number below 100.
#[expect(clippy::indexing_slicing, reason = "seven bits are below 128")]
fn pair(value: u32) -> [u8; 2] {
    PAIRS[(value & 127) as usize]
}

/// Writes the year with its sign where it needs one, and says where it ends.
#[expect(
    clippy::indexing_slicing,
    reason = "a year has at most 12 digits: an i64 of seconds spans 292 billion years"
)]
fn write_year(buffer: &mut [u8; TEXT_MAX], year: i64) -> usize {
    let mut rest = year.unsigned_abs();
    let mut at = 0;
    if !(0..=9999).contains(&year) {
        buffer[0] = if year < 0 { b'-' } else { b'+' };
        at = 1;
    }
    let width = (rest.checked_ilog10().unwrap_or(0) as usize + 1).max(4);
    for position in (at..at + width).rev() {
        buffer[position] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    at + width
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0u8; TEXT_MAX];
        f.pad(std::str::from_utf8(self.render(&mut buffer)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_decimals_as_needed() {
        let with = |nanos| Timestamp::from_parts(1_767_323_045, nanos).to_string();
        assert_eq!(with(0), "2026-01-02T03:04:05.000Z");
        assert_eq!(with(500_000_000), "2026-01-02T03:04:05.500Z");
        assert_eq!(with(123_400_000), "2026-01-02T03:04:05.123400Z");
        assert_eq!(with(1), "2026-01-02T03:04:05.000000001Z");
        assert_eq!(with(1_000_000_001), "2026-01-02T03:04:06.000000001Z");
    }

    #[test]
    fn years_outside_four_digits_have_a_sign() {
        let year = |y| Timestamp::from_parts(crate::civil::days_from_civil(y, 1, 2) * DAY, 0).to_string();
        assert_eq!(year(0), "0000-01-02T00:00:00.000Z");
        assert_eq!(year(-1), "-0001-01-02T00:00:00.000Z");
        assert_eq!(year(9999), "9999-01-02T00:00:00.000Z");
        assert_eq!(year(10_000), "+10000-01-02T00:00:00.000Z");
        assert_eq!(year(-292_275_054), "-292275054-01-02T00:00:00.000Z");
        assert!(Timestamp::from_parts(i64::MIN, 0).to_string().starts_with('-'));
        assert!(Timestamp::from_parts(i64::MAX, 999_999_999).to_string().ends_with(".999999999Z"));
    }

    #[test]
    fn millis_and_nanos_round_down() {
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_nanos(-1).to_millis(), -1);
        assert_eq!(Timestamp::from_nanos(i128::MAX).secs(), i64::MAX);
        assert_eq!(Timestamp::from_nanos(i128::MIN).secs(), i64::MIN);
        assert_eq!(Timestamp::from_nanos(1_234_567).truncated_to_millis().to_nanos(), 1_000_000);
        assert_eq!(Timestamp::from_parts(i64::MAX, 0).to_millis(), i64::MAX);
    }

    #[test]
    fn text_and_bytes_are_appended() {
        let (mut text, mut bytes) = (String::from("at "), b"at ".to_vec());
        Timestamp::EPOCH.write_iso8601(&mut text);
        Timestamp::EPOCH.write_iso8601_bytes(&mut bytes);
        assert_eq!(text, "at 1970-01-01T00:00:00.000Z");
        assert_eq!(text.as_bytes(), bytes);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for millis in (-4_000_000_000_000..8_000_000_000_000i64).step_by(987_654_321_987) {
            let time = Timestamp::from_nanos(i128::from(millis) * 1_000_000 + 123);
            assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }
        assert!(Timestamp::EPOCH < Timestamp::from_nanos(1));
    }

    #[test]
    fn now_is_after_this_was_written() {
        assert!(Timestamp::now() > Timestamp::from_parts(1_767_323_045, 0));
    }
}
