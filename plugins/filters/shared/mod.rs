//! What several filters need: field names of options, Ruby's ways with strings, excerpts for logs.

mod field;
mod ruby_string;

pub(crate) use field::Field;
pub(crate) use ruby_string::{ruby_split, ruby_strip};

/// Longest piece of an event's text, in bytes, that a log line shows.
const EXCERPT_BYTES_MAX: usize = 512;

/// The beginning of `text`, for a log line.
pub(crate) fn excerpt(text: &str) -> &str {
    text.get(..text.floor_char_boundary(EXCERPT_BYTES_MAX)).unwrap_or(text)
}
