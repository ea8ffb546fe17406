//! Time text: points in time, time zones, and the patterns that turn text into one and back.
//!
//! Three things of a pipeline speak of time in text, and all of them mean Java's libraries. Event timestamps are
//! ISO 8601 ([`Timestamp`]). The `date` filter reads with Joda-Time patterns and a few special formats
//! ([`DateParser`]) in a time zone ([`Zone`]) and a language ([`Locale`]). `%{+…}` writes with Joda-Time patterns
//! ([`Pattern`]) and `%{{…}}` with those of `java.time` ([`JavaPattern`]).
//!
//! Everything is compiled or looked up once, when a pipeline is built; reading and writing a time then allocates
//! nothing. Reading never panics, whatever the text, and there is no time that can't be written: years go far
//! beyond four digits in both directions.

mod civil;
mod digits;
mod error;
mod field;
mod iso;
mod java_pattern;
mod locale;
mod parser;
mod pattern;
mod scan;
mod shape;
mod timestamp;
mod zone;

pub use error::{DateError, PatternError};
pub use java_pattern::{JavaPattern, PadError};
pub use locale::Locale;
pub use parser::{DateParser, Precision};
pub use pattern::Pattern;
pub use timestamp::Timestamp;
pub use zone::{Zone, ZoneError};
