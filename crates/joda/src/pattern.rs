//! Joda-Time patterns, for the `date` filter and for `%{+…}`.
//!
//! A pattern is compiled once into a list of steps, which then both read and write. Everything follows Joda down to
//! its oddities, since configurations rely on them: one letter reads two digits, month and weekday names are read
//! long or short whatever the number of letters, literal text is read in any case, numbers next to each other take exactly as
//! many digits as there are letters.

mod compile;
mod layout;
mod read;
mod usual;
mod write;

use crate::error::{DateError, PatternError};
use crate::field::Field;
use crate::locale::{Locale, TextKind};
use crate::parser::Precision;
use crate::shape::{Bytes, Shape};
use crate::timestamp::Timestamp;
use crate::zone::Zone;
use layout::Layout;
use usual::Usual;

/// The most fields that a pattern may have.
pub(crate) const FIELDS_MAX: usize = 32;

/// A compiled Joda-Time pattern.
///
/// ```
/// use ferrostash_joda::{Locale, Pattern, Timestamp};
/// let pattern = Pattern::new("YYYY.MM.dd", Locale::en_us())?;
/// let mut index = String::from("logs-");
/// pattern.format(Timestamp::from_millis(1_767_323_045_678), &mut index);
/// assert_eq!(index, "logs-2026.01.02");
/// # Ok::<(), ferrostash_joda::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    steps: Vec<Step>,
    layout: Layout,
    usual: Option<Usual>,
    locale: Locale,
    /// Whether there is an `y` or `Y` anywhere, quoted or not: that is how Logstash decides to guess the year.
    has_year: bool,
    /// The same for `Z`.
    has_zone: bool,
}

/// One component of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Literal(Box<str>),
    Number {
        field: Field,
        /// Digits written at least.
        min: u8,
        /// Digits read at most.
        max: u8,
        signed: bool,
    },
    TwoDigitYear {
        field: Field,
        /// Whether other numbers than two digits are read too, as they are.
        lenient: bool,
    },
    /// Digits after the decimal point.
    Fraction {
        digits: u8,
    },
    Text {
        kind: TextKind,
        short: bool,
    },
    /// `+0100` or `+01:00`; both are read.
    Offset {
        colon: bool,
    },
    ZoneId,
    ZoneName {
        long: bool,
    },
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When a letter has no meaning, the pattern is empty, or it has more than 32 fields.
    pub fn new(pattern: &str, locale: Locale) -> Result<Pattern, PatternError> {
        let steps = compile::compile(pattern)?;
        let layout = Layout::new(&steps);
        Ok(Pattern {
            usual: layout.plain.then(|| Usual::new(&steps)).flatten(),
            layout,
            steps,
            locale,
            has_year: pattern.contains(['y', 'Y']),
            has_zone: pattern.contains('Z'),
        })
    }

    /// Appends the time in UTC. Anything finer than a millisecond is written as zeros, as Joda has it.
    pub fn format(&self, time: Timestamp, out: &mut String) {
        write::write(&self.steps, self.locale, time, out);
    }

    /// Reads a time in `zone`, unless the text names another one. A pattern without a year takes the one that lies
    /// nearest to `now` around the turn of the year, as Logstash does.
    ///
    /// # Errors
    /// When the text departs from the pattern, has impossible values or lies in a gap of the zone.
    pub fn parse(
        &self,
        text: &str,
        zone: &Zone,
        now: Timestamp,
        precision: Precision,
    ) -> Result<Timestamp, DateError> {
        read::Reader::new(self, text, now).read(zone, precision)
    }

    /// What texts that it reads look like.
    pub(crate) fn shape(&self) -> Shape {
        let digits = |shape: Shape, min, max| shape.between(min, max, Bytes::digits());
        self.steps.iter().fold(Shape::default(), |shape, step| match step {
            Step::Literal(text) => shape.literal(text),
            Step::Number { max, signed: true, .. } => digits(shape.perhaps_sign(), 1, usize::from(*max)),
            Step::Number { max, .. } => digits(shape, 1, usize::from(*max)),
            Step::TwoDigitYear { lenient: true, .. } => digits(shape.perhaps_sign(), 1, usize::MAX),
            Step::TwoDigitYear { lenient: false, .. } => digits(shape, 2, 2),
            Step::Fraction { digits: max } => digits(shape, 1, usize::from(*max)),
            Step::Text { kind, .. } => shape.name(self.locale, *kind),
            Step::Offset { .. } => {
                shape.once(Bytes::new(*b"Zz+-")).repeated(Bytes::digits().and(Bytes::new(*b":.,")))
            }
            Step::ZoneId | Step::ZoneName { .. } => {
                let bytes = Bytes::letters().and(Bytes::digits()).and(Bytes::new(*b"/_-+"));
                shape.once(bytes).repeated(bytes)
            }
        })
    }

    /// What the pattern can write but not read, if there is anything.
    pub(crate) fn unreadable(&self) -> Option<&'static str> {
        let long = |step: &Step| matches!(step, Step::ZoneName { long: true });
        self.steps.iter().any(long).then_some("zzzz (a zone's long name) can be written but not read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in(pattern: &str, locale: &str, zone: &str, text: &str) -> Option<String> {
        let now = Timestamp::parse("2026-11-21T18:00:00Z").unwrap();
        let pattern = Pattern::new(pattern, Locale::for_tag(locale)).unwrap();
        let zone = Zone::parse(zone).unwrap();
        pattern.parse(text, &zone, now, Precision::Milliseconds).ok().map(|time| time.to_string())
    }

    fn read(pattern: &str, text: &str) -> Option<String> {
        read_in(pattern, "en", "UTC", text)
    }

    fn write(pattern: &str, time: &str) -> String {
        let mut out = String::new();
        Pattern::new(pattern, Locale::en_us()).unwrap().format(Timestamp::parse(time).unwrap(), &mut out);
        out
    }

    #[track_caller]
    fn reads(pattern: &str, pairs: &[(&str, &str)]) {
        for (text, expected) in pairs {
            let expected = if *expected == "-" { None } else { Some(format!("{expected}Z")) };
            assert_eq!(read(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn log_formats() {
        reads(
            "dd/MMM/yyyy:HH:mm:ss Z",
            &[
                ("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36.000"),
                ("1/OCT/2000:0:0:0 +01:00", "2000-09-30T23:00:00.000"),
                ("10/October/2000:13:55:36 Z", "2000-10-10T13:55:36.000"),
                ("10/oCT/2000:13:55:36 -0700", "-"),
                ("10/Oct/2000:13:55:36", "-"),
                ("10/Oct/2000:13:55:36 UTC", "-"),
                ("10/Oct/2000:13:55:36 +2400", "-"),
                ("10/Oct/2000:13:55:36 +01:00:01.5", "2000-10-10T12:55:34.500"),
            ],
        );
        reads(
            "yyyy-MM-dd HH:mm:ss,SSS",
            &[
                ("2026-01-02 03:04:05,6", "2026-01-02T03:04:05.600"),
                ("2026-1-2 3:4:5,6", "2026-01-02T03:04:05.600"),
                ("2026-01-02 03:04:05,67890", "-"),
                ("2026-02-29 03:04:05,678", "-"),
                ("2026-01-02 24:00:00,000", "-"),
                ("2026-01-02 03:04:05.678", "-"),
            ],
        );
    }

    #[test]
    fn years() {
        reads(
            "yyyy-MM-dd",
            &[
                ("26-01-02", "0026-01-02T00:00:00.000"),
                ("12026-01-02", "+12026-01-02T00:00:00.000"),
                ("-026-01-02", "-0026-01-02T00:00:00.000"),
                ("+2026-01-02", "2026-01-02T00:00:00.000"),
                ("999999999-01-02", "-"),
            ],
        );
        reads("Y-MM-dd", &[("26-01-02", "0026-01-02T00:00:00.000"), ("0-01-02", "-"), ("-5-01-02", "-")]);
        reads(
            "yyMMdd",
            &[
                ("450102", "2045-01-02T00:00:00.000"),
                ("460102", "1946-01-02T00:00:00.000"),
                ("20260102", "-"),
            ],
        );
        reads(
            "yy/M",
            &[
                ("99/1", "1999-01-01T00:00:00.000"),
                ("2026/1", "2026-01-01T00:00:00.000"),
                ("-44/1", "-0044-01-01T00:00:00.000"),
            ],
        );
        reads(
            "yyyy G",
            &[("44 bc", "0044-01-01T00:00:00.000"), ("44 BCE", "0044-01-01T00:00:00.000"), ("44", "-")],
        );
        reads("Y G", &[("44 BC", "-0043-01-01T00:00:00.000")]);
    }

    #[test]
    fn a_missing_year_is_guessed_around_the_turn_of_the_year() {
        let at = |now: &str, text: &str| {
            let pattern = Pattern::new("MMM d HH:mm:ss", Locale::en_us()).unwrap();
            let now = Timestamp::parse(now).unwrap();
            pattern.parse(text, Zone::utc(), now, Precision::Milliseconds).map(|time| time.to_string())
        };
        assert_eq!(at("2026-06-15", "Jun 5 03:04:05").unwrap(), "2026-06-05T03:04:05.000Z");
        assert_eq!(at("2027-01-01", "Dec 31 23:59:59").unwrap(), "2026-12-31T23:59:59.000Z");
        assert_eq!(at("2026-12-31", "Jan 1 00:00:00").unwrap(), "2027-01-01T00:00:00.000Z");
        assert_eq!(at("2028-06-15", "Feb 29 00:00:00").unwrap(), "2028-02-29T00:00:00.000Z");
        let error = at("2026-06-15", "Jun 31 00:00:00").unwrap_err();
        assert_eq!(error.to_string(), "value 31 for dayOfMonth must be in the range [1,30]");
        assert_eq!(at("2026-06-15", "Jun  5 03:04:05").unwrap_err(), DateError::Malformed { at: 4 });
        reads("HH:mm", &[("03:04", "2026-01-01T03:04:00.000")]);
        // The year of a week is none to Logstash, so this year replaces it.
        reads("xxxx-ww-e", &[("2020-01-5", "2026-01-03T00:00:00.000")]);
        // A quoted y counts as a year for Logstash; then the default year of Joda is this one, too.
        reads("'day' d", &[("day 5", "2026-01-05T00:00:00.000")]);
    }

    #[test]
    fn contradictions_are_settled_as_in_joda() {
        reads(
            "EEE dd MMM yyyy",
            &[
                ("Fri 02 Jan 2026", "2026-01-02T00:00:00.000"),
                ("Mon 02 Jan 2026", "2025-12-29T00:00:00.000"),
                ("Sun 02 Jan 2026", "2026-01-04T00:00:00.000"),
            ],
        );
        reads("yyyy MM D", &[("2026 05 32", "2026-02-01T00:00:00.000")]);
        reads("yyyy yyyy", &[("2025 2026", "2026-01-01T00:00:00.000")]);
        reads("'y'xxxx-'W'ww-e", &[("y2026-W53-5", "2027-01-01T00:00:00.000"), ("y2025-W53-1", "-")]);
    }

    #[test]
    fn hours_and_halves() {
        reads("K a yyyy", &[("11 PM 2026", "2026-01-01T23:00:00.000"), ("12 AM 2026", "-")]);
        reads(
            "h a yyyy",
            &[
                ("12 AM 2026", "2026-01-01T00:00:00.000"),
                ("12 pm 2026", "2026-01-01T12:00:00.000"),
                ("0 AM 2026", "-"),
            ],
        );
        reads("k yyyy", &[("24 2026", "2026-01-01T00:00:00.000"), ("0 2026", "-")]);
    }

    #[test]
    fn fractions_are_cut_to_milliseconds() {
        reads(
            "ss.S yyyy",
            &[("05.6 2026", "2026-01-01T00:00:05.600"), ("05.67 2026", "-"), ("05. 2026", "-")],
        );
        reads(
            "ss.SSSSSSSSS yyyy",
            &[
                ("05.123456789 2026", "2026-01-01T00:00:05.123"),
                ("05.0009999 2026", "2026-01-01T00:00:05.000"),
            ],
        );
    }

    #[test]
    fn zones_in_the_text() {
        reads(
            "yyyy-MM-dd HH:mm ZZZ",
            &[
                ("2026-07-02 03:04 Europe/Paris", "2026-07-02T01:04:00.000"),
                ("2026-01-02 03:04 EST", "2026-01-02T08:04:00.000"),
                ("2026-01-02 03:04 +01:00", "-"),
                ("2026-01-02 03:04 europe/paris", "-"),
            ],
        );
        reads(
            "yyyy-MM-dd HH:mm z",
            &[
                ("2026-01-02 03:04 GMT", "2026-01-02T03:04:00.000"),
                ("2026-07-02 03:04 EST", "2026-07-02T07:04:00.000"),
                ("2026-07-02 03:04 PDT", "2026-07-02T10:04:00.000"),
                ("2026-01-02 03:04 CET", "-"),
                ("2026-01-02 03:04 est", "-"),
            ],
        );
    }

    #[test]
    fn gaps_are_errors_and_overlaps_are_the_earlier_time() {
        let paris = |text| read_in("yyyy-MM-dd HH:mm", "en", "Europe/Paris", text);
        assert_eq!(paris("2026-03-29 02:30"), None);
        assert_eq!(paris("2026-10-25 02:30").as_deref(), Some("2026-10-25T00:30:00.000Z"));
        assert_eq!(read_in("yyyy-MM-dd", "en", "America/Sao_Paulo", "2018-11-04"), None);
        let error = Pattern::new("yyyy-MM-dd", Locale::en_us()).unwrap().parse(
            "2018-11-04",
            &Zone::parse("America/Sao_Paulo").unwrap(),
            Timestamp::EPOCH,
            Precision::Milliseconds,
        );
        assert_eq!(error, Err(DateError::Gap));
    }

    #[test]
    fn names_by_language() {
        let read = |tag, text| read_in("d MMM yyyy", tag, "UTC", text).is_some();
        assert!(read("fr", "2 févr. 2026") && read("fr", "2 FÉVRIER 2026") && !read("fr", "2 fevrier 2026"));
        assert!(read("pt_BR", "2 fev. 2026") && !read("pt_BR", "2 Fev 2026"));
        assert!(read("ru", "2 января 2026") && !read("ru", "2 январь 2026"));
        assert_eq!(
            read_in("yyyy年M月d日", "ja", "UTC", "2026年1月2日").as_deref(),
            Some("2026-01-02T00:00:00.000Z")
        );
        assert!(read_in("EEEE, d. MMMM yyyy", "de", "UTC", "Freitag, 6. März 2026").is_some());
    }

    #[test]
    fn literal_text_is_read_in_any_case() {
        reads(
            "'Être' yyyy",
            &[("ÊTRE 2026", "2026-01-01T00:00:00.000"), ("etre 2026", "-"), ("être2026", "-")],
        );
    }

    #[test]
    fn writing() {
        let time = "2026-11-30T13:14:15.006789Z";
        assert_eq!(write("YYYY.MM.dd HH:mm:ss.SSS", time), "2026.11.30 13:14:15.006");
        assert_eq!(
            write("y yy x xx C G MMM MMMM D e E EEEE w", time),
            "2026 26 2026 26 20 AD Nov November 334 1 Mon Monday 49"
        );
        assert_eq!(
            write("K KK h hh k a S SSSSSS z zzzz Z ZZ ZZZ", time),
            "1 01 1 01 13 PM 0 006000 UTC Coordinated Universal Time +0000 +00:00 UTC"
        );
        assert_eq!(write("xxxx-'W'ww", "2027-01-01"), "2026-W53");
        assert_eq!(write("Y y yyyy G CC yy", "-0044-03-15"), "45 -44 -0044 BC 00 44");
        assert_eq!(write("h k K a", "2026-01-01"), "12 24 0 AM");
        let mut out = String::new();
        Pattern::new("EEEE d MMMM", Locale::for_tag("fr")).unwrap().format(Timestamp::EPOCH, &mut out);
        assert_eq!(out, "jeudi 1 janvier");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let now = Timestamp::EPOCH;
        let patterns = [
            "yyyy-MM-dd'T'HH:mm:ss.SSSZZ",
            "'y' xxxx ww e H m s SSS",
            "yyyyDDDHHmmssSSS",
            "EEE MMM d h:mm:ss.SSS a yyyy z",
            "dd/MMMM/yyyy kk:mm:ss,SSS ZZZ",
        ];
        for tag in ["en", "de", "fr", "ru", "ja", "es", "zh"] {
            for pattern in patterns {
                let pattern = Pattern::new(pattern, Locale::for_tag(tag)).unwrap();
                for step in 0..200 {
                    let time = Timestamp::from_millis(step * 41_234_567_891 - 2_000_000_000_000);
                    let mut text = String::new();
                    pattern.format(time, &mut text);
                    assert_eq!(
                        pattern.parse(&text, Zone::utc(), now, Precision::Milliseconds),
                        Ok(time),
                        "{tag} {text}"
                    );
                }
            }
        }
    }

    /// A small generator of numbers that only need to differ.
    fn next(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state as usize
    }

    #[test]
    fn nothing_panics_on_odd_text() {
        let pieces = [
            "0",
            "9",
            "99999999999999999999",
            "-",
            "+",
            ":",
            ".",
            " ",
            "T",
            "Z",
            "é",
            "年",
            "\u{0}",
            "Jan",
            "AM",
            "BC",
            "Europe/Paris",
            "EST",
            "e",
            "é",
            "2026-01-02",
            "'",
        ];
        let letters = "GCxyYMdDwEeahHkKmsSzZ";
        let zones = [Zone::utc().clone(), Zone::parse("Europe/Paris").unwrap(), Zone::fixed(-34_567)];
        let mut state = 0x9E37_79B9_7F4A_7C15;
        for _ in 0..10_000 {
            let mut format = String::new();
            let mut text = String::new();
            for _ in 0..next(&mut state) % 8 + 1 {
                let letter = letters.chars().nth(next(&mut state) % letters.len()).unwrap();
                format.extend(std::iter::repeat_n(letter, next(&mut state) % 5 + 1));
                format.push_str(["-", " ", "", "'é'"][next(&mut state) % 4]);
                text.push_str(pieces[next(&mut state) % pieces.len()]);
            }
            let zone = &zones[next(&mut state) % zones.len()];
            let time = Timestamp::from_parts(next(&mut state) as i64, 999_999_999);
            for format in [format.as_str(), "ISO8601", "UNIX", "UNIX_MS", "TAI64N"] {
                if let Ok(parser) = crate::DateParser::new(format, Locale::en_us(), Precision::Nanoseconds) {
                    let _ = parser.parse(&text, zone, time).map(|time| time.to_string());
                    let _ = parser.parse_decimal(&text).map(|time| time.to_string());
                }
            }
            if let Ok(pattern) = Pattern::new(&format, Locale::en_us()) {
                pattern.format(time, &mut text);
                assert!(!text.is_empty());
            }
            if let Ok(pattern) = crate::JavaPattern::new(&format) {
                let _ = pattern.format(time, &mut text);
            }
            let _ = Timestamp::parse_in(&text, zone);
            let _ = Zone::parse(&text);
        }
    }
}
