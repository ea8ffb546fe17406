//! An expression that is nothing but text needs no engine: substring search answers it.

use std::ops::Range;
use std::time::Duration;

use memchr::memmem::Finder;

use crate::matcher::{Captures, GroupName, MatchError, Matcher, length_is_taken};

/// Characters that mean something in a Ruby expression; `#` and blanks do under `(?x)`, which needs a `(`.
const SPECIAL: [char; 14] = ['\\', '.', '[', ']', '(', ')', '{', '}', '*', '+', '?', '^', '$', '|'];

/// Searches for a fixed text.
#[derive(Debug)]
pub(crate) struct LiteralMatcher {
    finder: Finder<'static>,
}

impl LiteralMatcher {
    /// A matcher for `pattern`, if every character of it stands for itself.
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        let plain = !pattern.is_empty() && !pattern.contains(SPECIAL);
        plain.then(|| Self { finder: Finder::new(pattern).into_owned() })
    }
}

impl Matcher for LiteralMatcher {
    fn captures_at(
        &self,
        subject: &str,
        start: usize,
        timeout: Option<Duration>,
        captures: &mut Captures,
    ) -> Result<bool, MatchError> {
        let found = self.find_at(subject, start, timeout)?;
        let matched = found.is_some();
        captures.fill([found]);
        Ok(matched)
    }

    fn find_at(
        &self,
        subject: &str,
        start: usize,
        _timeout: Option<Duration>,
    ) -> Result<Option<Range<usize>>, MatchError> {
        length_is_taken(subject)?;
        let Some(rest) = subject.get(start..) else { return Ok(None) };
        let found = self.finder.find(rest.as_bytes()).map(|at| start + at);
        Ok(found.map(|at| at..at + self.finder.needle().len()))
    }

    fn group_count(&self) -> usize {
        1
    }

    fn group_names(&self) -> &[GroupName] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_text_is_a_literal() {
        for special in ["", "a.b", "a|b", r"a\b", "(a)", "a{2}", "^a", "a]"] {
            assert!(LiteralMatcher::new(special).is_none(), "{special}");
        }
        let matcher = LiteralMatcher::new("é e").unwrap();
        assert_eq!(matcher.find_at("é e é e", 0, None), Ok(Some(0..4)));
        assert_eq!(matcher.find_at("é e é e", 2, None), Ok(Some(5..9)));
        assert_eq!(matcher.find_at("é e é e", 1, None), Ok(None), "not a character boundary");
        assert_eq!(matcher.find_at("é e", 9, None), Ok(None));
    }
}
