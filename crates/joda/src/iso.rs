//! ISO 8601 text, the way Logstash reads it with `java.time`.
//!
//! A date of the form `yyyy-MM-dd`, then optionally `T` and a time (`HH:mm`, seconds and up to nine decimals
//! optional, point or comma), then optionally a zone: `Z`, an offset with or without colons, a region id. A second
//! offset may follow and wins. Letters may be lower case. A day that a month doesn't have becomes the month's last one up
//! to 31, and `24:00` is the next day's midnight, since the resolver is the "smart" one.

use crate::civil::{DAY, days_from_civil, days_in_month};
use crate::scan::Scanner;
use crate::timestamp::Timestamp;
use crate::zone::{Local, Zone, offset_of};

/// The largest year of `java.time`.
const YEAR_MAX: i64 = 999_999_999;

/// Reads what Logstash takes for an event's timestamp; `zone` is for texts without one.
pub(crate) fn parse_timestamp(text: &str, zone: &Zone) -> Option<Timestamp> {
    parse(text, zone, false)
}

/// Reads what the date filter's `ISO8601` takes: the same, and a blank may stand for the `T`.
pub(crate) fn parse_casual(text: &str, zone: &Zone) -> Option<Timestamp> {
    parse(text, zone, true)
}

fn parse(text: &str, zone: &Zone, blank: bool) -> Option<Timestamp> {
    let mut scanner = Scanner::new(text);
    let days = date(&mut scanner)?;
    let (of_day, nanos) = attempt(&mut scanner, |s| time(s, blank)).unwrap_or((0, 0));
    let named = attempt(&mut scanner, zone_or_offset);
    let offset = attempt(&mut scanner, compact_offset);
    if !scanner.is_at_end() {
        return None;
    }
    let local = days * DAY + of_day;
    let offset = match (offset, named) {
        (Some(offset), _) => offset,
        (None, Some(zone)) => offset_in(&zone, local),
        (None, None) => offset_in(zone, local),
    };
    Some(Timestamp::from_parts(local - i64::from(offset), nanos))
}

/// Runs a part that may be absent; the scanner stays where it was when it is.
fn attempt<T>(scanner: &mut Scanner<'_>, part: impl FnOnce(&mut Scanner<'_>) -> Option<T>) -> Option<T> {
    let start = scanner.position();
    let found = part(scanner);
    if found.is_none() {
        scanner.rewind(start);
    }
    found
}

/// `java.time` keeps the offset before a change: it shifts readings in a gap, and takes the earlier of two.
fn offset_in(zone: &Zone, local: i64) -> i32 {
    match zone.resolve(local) {
        Local::Unique(offset) => offset,
        Local::Gap { before, .. } | Local::Overlap { before, .. } => before,
    }
}

fn date(s: &mut Scanner<'_>) -> Option<i64> {
    let sign = s.take_if(|b| matches!(b, b'-' | b'+'));
    let (size, width) = s.digits(10)?;
    let exceeds = width > 4;
    // Four digits exactly without a plus, more than four with one.
    if width < 4
        || size > YEAR_MAX
        || (sign != Some(b'-') && exceeds != (sign == Some(b'+')))
        || (sign == Some(b'-') && size == 0)
    {
        return None;
    }
    let year = if sign == Some(b'-') { -size } else { size };
    s.expect(b'-')?;
    let month = s.pair()? as u32;
    s.expect(b'-')?;
    let day = s.pair()? as u32;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days_from_civil(year, month, day.min(days_in_month(year, month))))
}

/// Seconds of the day (86400 for `24:00`) and nanoseconds.
fn time(s: &mut Scanner<'_>, blank: bool) -> Option<(i64, u32)> {
    s.take_if(|b| matches!(b, b'T' | b't') || (blank && b == b' '))?;
    let hour = s.pair()?;
    s.expect(b':')?;
    let minute = s.pair()?;
    let seconds = attempt(s, |s| {
        s.expect(b':')?;
        s.pair()
    });
    let nanos = if seconds.is_some() { fraction(s) } else { 0 };
    let second = seconds.unwrap_or(0);
    let midnight = hour == 24 && minute == 0 && second == 0 && nanos == 0;
    if (hour > 23 && !midnight) || minute > 59 || second > 59 {
        return None;
    }
    Some((i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second), nanos))
}

fn fraction(s: &mut Scanner<'_>) -> u32 {
    if s.take_if(|b| matches!(b, b'.' | b',')).is_none() {
        return 0;
    }
    let (value, width) = s.digits(9).unwrap_or((0, 0));
    value as u32 * 10u32.pow(9 - width as u32)
}

/// `Z`, `+HH:MM`, `+HH:MM:ss`, a region id, or `UTC`, `GMT`, `UT` with such an offset.
fn zone_or_offset(s: &mut Scanner<'_>) -> Option<Zone> {
    // By far the most frequent: no region id needs looking up then.
    if matches!(s.rest(), "Z" | "z") {
        s.advance(1);
        return Some(Zone::utc().clone());
    }
    if matches!(s.peek()?, b'+' | b'-') {
        return colon_offset(s).map(Zone::fixed);
    }
    if s.expect_ignoring_case("GMT0").is_some() {
        return Some(Zone::utc().clone());
    }
    for prefix in ["UTC", "GMT", "UT"] {
        if s.expect_ignoring_case(prefix).is_some() {
            return Some(Zone::fixed(attempt(s, colon_offset).unwrap_or(0)));
        }
    }
    if let Some((zone, length)) = Zone::longest_prefix(s.rest(), false) {
        s.advance(length);
        return Some(zone);
    }
    s.take_if(|b| matches!(b, b'Z' | b'z')).map(|_| Zone::utc().clone())
}

fn sign(s: &mut Scanner<'_>) -> Option<bool> {
    s.take_if(|b| matches!(b, b'+' | b'-')).map(|b| b == b'-')
}

fn colon_offset(s: &mut Scanner<'_>) -> Option<i32> {
    let negative = sign(s)?;
    let hours = s.pair()?;
    s.expect(b':')?;
    let minutes = s.pair()?;
    let seconds = attempt(s, |s| {
        s.expect(b':')?;
        s.pair()
    });
    offset_of(negative, hours, minutes, seconds.unwrap_or(0))
}

/// `Z`, `+HH`, `+HHmm`, `+HHmmss`.
fn compact_offset(s: &mut Scanner<'_>) -> Option<i32> {
    if s.take_if(|b| matches!(b, b'Z' | b'z')).is_some() {
        return Some(0);
    }
    let negative = sign(s)?;
    let hours = s.pair()?;
    let minutes = attempt(s, |s| s.pair());
    let seconds = minutes.and_then(|_| attempt(s, |s| s.pair()));
    offset_of(negative, hours, minutes.unwrap_or(0), seconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        parse_timestamp(text, Zone::utc()).map(|time| time.to_string())
    }

    #[test]
    fn dates_times_and_zones() {
        for (text, expected) in [
            ("2026-01-02", "2026-01-02T00:00:00.000Z"),
            ("2026-01-02Z", "2026-01-02T00:00:00.000Z"),
            ("2026-01-02+01:00", "2026-01-01T23:00:00.000Z"),
            ("2026-01-02T03:04", "2026-01-02T03:04:00.000Z"),
            ("2026-01-02T03:04:05.1", "2026-01-02T03:04:05.100Z"),
            ("2026-01-02T03:04:05,678Z", "2026-01-02T03:04:05.678Z"),
            ("2026-01-02T03:04:05.Z", "2026-01-02T03:04:05.000Z"),
            ("2026-01-02T03:04:05+01", "2026-01-02T02:04:05.000Z"),
            ("2026-01-02T03:04:05+010203", "2026-01-02T02:02:02.000Z"),
            ("2026-01-02T03:04:05-0330", "2026-01-02T06:34:05.000Z"),
            ("2026-01-02t03:04:05z", "2026-01-02T03:04:05.000Z"),
            ("2026-01-02T03:04:05ZZ", "2026-01-02T03:04:05.000Z"),
            ("2026-06-02T03:04:05Europe/Paris", "2026-06-02T01:04:05.000Z"),
            ("2026-06-02T03:04:05UTC+02:00", "2026-06-02T01:04:05.000Z"),
            ("2026-01-02T24:00:00Z", "2026-01-03T00:00:00.000Z"),
            ("2026-02-29", "2026-02-28T00:00:00.000Z"),
            ("+12026-01-02", "+12026-01-02T00:00:00.000Z"),
            ("-0001-01-02", "-0001-01-02T00:00:00.000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp() {
        for text in [
            "",
            "x",
            "2026",
            "2026-01",
            "2026-13-01",
            "2026-01-32",
            "2026-1-2",
            "12026-01-02",
            "+2026-01-02",
            "-0000-01-01",
            "2026-01-02T",
            "2026-01-02T03",
            "2026-01-02T24:00:01Z",
            "2026-01-02T03:60",
            "2026-01-02T23:59:60Z",
            "2026-01-02T03:04:05 Z",
            "2026-01-02T03:04:05.1234567890",
            "2026-01-02T03:04:05+19:00",
            "2026-01-02T03:04:05EST",
            "2026-01-02 03:04:05",
            "2026-01-02Té",
            "20260102T030405Z",
            "é",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_date_filter_takes_a_blank_and_shifts_gaps() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        let read = |text| parse_casual(text, &paris).map(|time| time.to_string());
        assert_eq!(read("2026-01-02 03:04").as_deref(), Some("2026-01-02T02:04:00.000Z"));
        assert_eq!(read("2026-03-29T02:30:00").as_deref(), Some("2026-03-29T01:30:00.000Z"));
        assert_eq!(read("2026-10-25T02:30:00").as_deref(), Some("2026-10-25T00:30:00.000Z"));
        assert_eq!(read("2026-01-02  03:04"), None);
    }
}
