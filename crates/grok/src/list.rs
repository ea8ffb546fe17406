//! Several grok expressions for one field, tried in the order written.

use std::time::Duration;

use crate::grok::Grok;
use crate::matcher::{Captures, MatchError};

/// Expressions in the order in which they are tried.
///
/// `break_on_match => false` tries the rest too: the filter asks [`first_match`](Self::first_match) again from
/// the position after the one that matched.
#[derive(Debug, Clone, Default)]
pub struct GrokList {
    groks: Vec<Grok>,
}

impl GrokList {
    /// A list of expressions.
    pub fn new(groks: Vec<Grok>) -> Self {
        Self { groks }
    }

    /// The expressions.
    pub fn groks(&self) -> &[Grok] {
        &self.groks
    }

    /// The first expression at or after position `from` of the list that matches, with its position. Each is
    /// given `timeout`; after one that exceeds it no further one is tried.
    ///
    /// # Errors
    /// [`MatchError`] with the position of the expression that was given up.
    pub fn first_match(
        &self,
        from: usize,
        subject: &str,
        timeout: Option<Duration>,
        captures: &mut Captures,
    ) -> Result<Option<(usize, &Grok)>, (usize, MatchError)> {
        for (position, grok) in self.groks.iter().enumerate().skip(from) {
            if grok.matches(subject, timeout, captures).map_err(|error| (position, error))? {
                return Ok(Some((position, grok)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::PatternLibrary;

    #[test]
    fn the_first_that_matches_wins_and_the_search_can_go_on() {
        let library = PatternLibrary::legacy();
        let compile = |pattern| Grok::compile(&library, pattern, true).unwrap();
        let list =
            GrokList::new(vec![compile("%{INT:num}"), compile("%{WORD:word}"), compile("^%{INT:all}$")]);
        let mut captures = Captures::new();
        let mut positions = Vec::new();
        let mut from = 0;
        while let Some((position, _)) = list.first_match(from, "abc 12", None, &mut captures).unwrap() {
            positions.push(position);
            from = position + 1;
        }
        assert_eq!(positions, [0, 1]);
        assert!(list.first_match(0, "--", None, &mut captures).unwrap().is_none());
    }

    #[test]
    fn a_timeout_ends_the_list() {
        let library = PatternLibrary::legacy();
        let compile = |pattern| Grok::compile(&library, pattern, true).unwrap();
        let list = GrokList::new(vec![compile("^(?:x+x+)+y"), compile("^%{WORD:w}")]);
        let subject = "x".repeat(45) + " y";
        let found = list.first_match(0, &subject, Some(Duration::from_millis(20)), &mut Captures::new());
        assert_eq!(found.unwrap_err(), (0, MatchError::Timeout));
    }
}
