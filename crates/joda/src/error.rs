//! What can be wrong with a pattern, and with a text that a pattern reads.

/// A pattern that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (at character {} of \"{pattern}\")", .offset + 1)]
pub struct PatternError {
    /// What is wrong, in Logstash's words where it has some.
    pub reason: String,
    /// Where, in characters from 0.
    pub offset: usize,
    /// The whole pattern.
    pub pattern: String,
}

impl PatternError {
    /// An error at a byte of the pattern.
    pub(crate) fn at(pattern: &str, byte: usize, reason: impl Into<String>) -> PatternError {
        let offset = pattern.get(..byte).unwrap_or(pattern).chars().count();
        PatternError { reason: reason.into(), offset, pattern: pattern.to_owned() }
    }
}

/// Why a value is no time. It holds no text and is cheap to make: a filter tries several formats for every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// The text departs from the format.
    #[error("invalid format, malformed at character {}", .at + 1)]
    Malformed {
        /// Where, in bytes from 0.
        at: usize,
    },
    /// The text has the form, but a part of it can't be.
    #[error("value {value} for {field} must be in the range [{min},{max}]")]
    OutOfRange {
        /// The field's name in Joda.
        field: &'static str,
        /// Its value.
        value: i64,
        /// The smallest possible value.
        min: i64,
        /// The largest possible value.
        max: i64,
    },
    /// In the zone the clock was put forward over this time.
    #[error("illegal instant due to time zone offset transition")]
    Gap,
    /// The format reads text, and this is a number.
    #[error("cannot parse a date from a value that is not text")]
    NotText,
    /// The format reads numbers, and this is none.
    #[error("not a number of the epoch")]
    NotNumber,
    /// The number is beyond the largest that Logstash takes.
    #[error("cannot parse date for value larger than UNIX epoch maximum seconds")]
    TooLarge,
}
