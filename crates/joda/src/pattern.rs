//! Joda-Time patterns, for the `date` filter and for `%{+…}`.
//!
//! A pattern is compiled once into a list of steps, which then both read and write. Everything follows Joda down to
//! its oddities, since configurations rely on them: one letter reads two digits, month and weekday names are read
//! long or short whatever the number of letters, literal text is read in any case, numbers next to each other take exactly as
//! many digits as there are letters.

mod compile;
mod read;
mod write;

use crate::error::{DateError, PatternError};
use crate::field::Field;
use crate::locale::{Locale, TextKind};
use crate::parser::Precision;
use crate::timestamp::Timestamp;
use crate::zone::Zone;

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
        Ok(Pattern {
            steps: compile::compile(pattern)?,
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
    pub fn parse(&self, text: &str, zone: &Zone, now: Timestamp, precision: Precision) -> Result<Timestamp, DateError> {
        read::Reader::new(self, text, now).read(zone, precision)
    }

    /// What the pattern can write but not read, if there is anything.
    pub(crate) fn unreadable(&self) -> Option<&'static str> {
        let long = |step: &Step| matches!(step, Step::ZoneName { long: true });
        self.steps.iter().any(long).then_some("zzzz (a zone's long name) can be written but not read")
    }
}
