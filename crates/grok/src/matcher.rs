//! What an engine must do, and the scratch that it fills.
//!
//! The trait is as small as grok needs: find the leftmost match at or after an offset, and say where its
//! groups lie. Everything else (replacing, `%{NAME}` expansion, choosing an engine) is built on top, once.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use thiserror::Error;

/// An engine with one compiled expression in it, shared by all workers.
pub trait Matcher: Send + Sync + fmt::Debug {
    /// Finds the leftmost match that begins at or after the byte offset `start`, and writes its groups.
    ///
    /// The text before `start` stays visible to look-behind and anchors. A `start` past the end or inside a
    /// character matches nothing. `timeout` bounds this one search; `None` leaves it unbounded. When the
    /// answer is not `Ok(true)`, the contents of `captures` are unspecified.
    ///
    /// # Errors
    /// [`MatchError`] when the search was given up.
    fn captures_at(
        &self,
        subject: &str,
        start: usize,
        timeout: Option<Duration>,
        captures: &mut Captures,
    ) -> Result<bool, MatchError>;

    /// Finds the leftmost match as [`captures_at`](Self::captures_at) does, and returns its bounds only.
    ///
    /// # Errors
    /// [`MatchError`] when the search was given up.
    fn find_at(
        &self,
        subject: &str,
        start: usize,
        timeout: Option<Duration>,
    ) -> Result<Option<Range<usize>>, MatchError> {
        let mut captures = Captures::new();
        Ok(if self.captures_at(subject, start, timeout, &mut captures)? { captures.get(0) } else { None })
    }

    /// Whether the text has what every match has. False is sure, true is not; it costs far less than a search.
    fn may_match(&self, _subject: &str) -> bool {
        true
    }

    /// The number of groups, the whole match (group 0) included.
    fn group_count(&self) -> usize;

    /// The named groups in the order in which their names first appear.
    fn group_names(&self) -> &[GroupName];
}

/// A group's name and the numbers of the groups that bear it: Ruby allows a name several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupName {
    /// The name as the expression spells it.
    pub name: String,
    /// Group numbers, ascending.
    pub numbers: Vec<usize>,
}

/// Why a search was given up without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MatchError {
    /// The search took longer than it was allowed.
    #[error("the pattern took longer than its timeout")]
    Timeout,
    /// The search needed more memory for backtracking than any pattern is given.
    #[error("the pattern needs too much backtracking memory on this text")]
    TooComplex,
}

/// Where the groups of a match lie: scratch that a caller keeps and hands to every match.
///
/// Its slots grow to the largest expression seen and are then reused.
#[derive(Debug, Clone, Default)]
pub struct Captures {
    /// Beginning and end of each group; [`NOWHERE`] for one that took no part.
    slots: Vec<u32>,
}

/// A slot without a position. Texts are shorter than this: see [`length_is_taken`].
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Refuses texts whose positions would not fit in 31 bits.
pub(crate) fn length_is_taken(subject: &str) -> Result<(), MatchError> {
    if i32::try_from(subject.len()).is_ok() { Ok(()) } else { Err(MatchError::TooComplex) }
}

impl Captures {
    /// Scratch without slots; the first match makes room.
    pub const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// The byte range of a group; `None` when it took no part in the match or does not exist.
    pub fn get(&self, group: usize) -> Option<Range<usize>> {
        match self.slots.get(group * 2..group * 2 + 2) {
            Some([start, end]) if *start != NOWHERE && *end != NOWHERE => {
                Some(*start as usize..*end as usize)
            }
            _ => None,
        }
    }

    /// The text of a group in the subject that was matched.
    pub fn text<'t>(&self, group: usize, subject: &'t str) -> Option<&'t str> {
        subject.get(self.get(group)?)
    }

    /// The number of groups of the expression that matched last, the whole match included.
    pub fn len(&self) -> usize {
        self.slots.len() / 2
    }

    /// True before the first match.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes over the groups of a match, group 0 first. For engines.
    pub fn fill(&mut self, groups: impl IntoIterator<Item = Option<Range<usize>>>) {
        self.slots.clear();
        for group in groups {
            let range = group
                .and_then(|range| Some((u32::try_from(range.start).ok()?, u32::try_from(range.end).ok()?)));
            self.slots.extend(range.map_or([NOWHERE; 2], |(start, end)| [start, end]));
        }
    }

    /// Takes the slots of a match and gives others, to be written to by the next one.
    pub(crate) fn swap(&mut self, slots: &mut Vec<u32>) {
        std::mem::swap(&mut self.slots, slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_forget_the_match_before() {
        let mut captures = Captures::new();
        assert!(captures.is_empty());
        captures.fill([Some(0..3), None, Some(1..2)]);
        assert_eq!((captures.len(), captures.get(0), captures.get(1)), (3, Some(0..3), None));
        assert_eq!(captures.text(2, "abc"), Some("b"));
        captures.fill([Some(2..2)]);
        assert_eq!((captures.get(0), captures.get(2)), (Some(2..2), None));
    }
}
