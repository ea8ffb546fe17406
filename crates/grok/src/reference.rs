//! The `%{...}` of a grok expression.
//!
//! What is a reference and what is text follows the library that Logstash uses, to the letter:
//! `%{NAME}`, `%{NAME:field}`, `%{NAME:field:type}`, and `%{NAME=definition}` or `%{NAME:field=definition}`,
//! which also defines `NAME` for the rest of the expression. Anything between these and the closing brace is
//! passed over, so `%{WORD:a b}` captures `a`. A `\` before the `%` changes nothing.

use std::ops::Range;
use std::sync::LazyLock;

use crate::matcher::Captures;
use crate::regex::{PatternError, Regex};

/// The definition part: text without braces, escapes up to the end of the line, balanced braces.
static DEFINITION: LazyLock<Result<Regex, PatternError>> =
    LazyLock::new(|| Regex::new(r"\G=((?:[^{}\\]|\\.+|(\{(?:[^{}]|\g<2>)*\}))+)[^}]*\}"));

/// A reference found in an expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference<'t> {
    /// The whole of it, `%{` to `}`.
    pub(crate) range: Range<usize>,
    /// Name, field and type as written: this becomes the group's name.
    pub(crate) label: &'t str,
    /// The pattern's name.
    pub(crate) pattern: &'t str,
    /// `=definition`
    pub(crate) definition: Option<&'t str>,
}

/// The first reference in `text` at or after `start`.
pub(crate) fn find_reference(text: &str, mut start: usize) -> Option<Reference<'_>> {
    loop {
        let at = start + text.get(start..)?.find("%{")?;
        match read(text, at) {
            Some(reference) => return Some(reference),
            None => start = at + 2,
        }
    }
}

fn read(text: &str, at: usize) -> Option<Reference<'_>> {
    let inner = text.get(at + 2..)?;
    let pattern = leading(inner, is_name);
    if pattern.is_empty() {
        return None;
    }
    let field = inner.get(pattern.len()..)?.strip_prefix(':').map_or("", |rest| leading(rest, is_field));
    let length = pattern.len() + if field.is_empty() { 0 } else { 1 + field.len() };
    let label = inner.get(..length)?;
    let after = at + 2 + length;
    if let Some((definition, end)) = read_definition(text, after) {
        return Some(Reference { range: at..end, label, pattern, definition: Some(definition) });
    }
    let end = after + text.get(after..)?.find('}')? + 1;
    Some(Reference { range: at..end, label, pattern, definition: None })
}

/// `=definition}` at `start`, with the offset behind it.
fn read_definition(text: &str, start: usize) -> Option<(&str, usize)> {
    if text.as_bytes().get(start) != Some(&b'=') {
        return None;
    }
    let mut captures = Captures::new();
    let found = DEFINITION.as_ref().ok()?.captures_at(text, start, &mut captures).ok()?;
    let whole = captures.get(0).filter(|_| found)?;
    Some((captures.text(1, text)?, whole.end))
}

fn leading(text: &str, accept: fn(char) -> bool) -> &str {
    text.split_once(|c: char| !accept(c)).map_or(text, |(head, _)| head)
}

/// The range `A-z` of the original takes in the six signs between the cases.
fn is_name(c: char) -> bool {
    matches!(c, 'A'..='z' | '0'..='9')
}

fn is_field(c: char) -> bool {
    is_name(c) || matches!(c, '@' | ':' | '.' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(&str, &str, Option<&str>, &str)> {
        let found = find_reference(text, 0)?;
        Some((found.pattern, found.label, found.definition, &text[found.range.end..]))
    }

    #[test]
    fn names_fields_and_types() {
        assert_eq!(parts("a %{WORD} b"), Some(("WORD", "WORD", None, " b")));
        assert_eq!(parts("%{INT:[a][b]:int}"), Some(("INT", "INT:[a][b]:int", None, "")));
        assert_eq!(parts("%{INT:src-ip.@x}"), Some(("INT", "INT:src-ip.@x", None, "")));
        assert_eq!(parts("%{WORD:a b}c"), Some(("WORD", "WORD:a", None, "c")));
        assert_eq!(parts("%{A-B}"), Some(("A", "A", None, "")));
        assert_eq!(parts("%{A:}"), Some(("A", "A", None, "")));
        assert_eq!(parts(r"\%{A_1}"), Some(("A_1", "A_1", None, "")));
    }

    #[test]
    fn text_that_is_no_reference() {
        for text in ["%{}", "%{ A}", "100% {x}", "%{open", r"%\{A}", "%{-A}"] {
            assert_eq!(parts(text), None, "{text}");
        }
        assert_eq!(parts("%{%{A}}"), Some(("A", "A", None, "}")));
    }

    #[test]
    fn definitions_in_place() {
        let definition = |text| parts(text).map(|(name, _, definition, rest)| (name, definition, rest));
        assert_eq!(definition("%{Q=[A-F0-9]{5}}-x"), Some(("Q", Some("[A-F0-9]{5}"), "-x")));
        assert_eq!(definition(r"%{C:code=\d{3}}"), Some(("C", Some(r"\d{3}"), "")));
        assert_eq!(definition("%{A=x%{B:b}y}z"), Some(("A", Some("x%{B:b}y"), "z")));
        assert_eq!(definition("%{A=}b"), Some(("A", None, "b")));
        // An escape runs to the end of the line and gives back only up to the last brace.
        assert_eq!(definition(r"%{A=\d+} %{B} c"), Some(("A", Some(r"\d+} %{B"), " c")));
    }
}
