//! The engine for the expressions that pipelines are made of.
//!
//! It backtracks as Oniguruma does and finds the same matches with the same groups; it is several times faster because
//! it is made for patterns of the grok kind: long sequences of character runs, mostly decided by the next byte.
//!
//! * [`parse`] reads an expression into a [`tree`]; what it does not take goes to [`OnigurumaMatcher`], with the reason.
//! * [`simplify`] rewrites the tree, [`compile`] makes a [`program`] of it that goes back as rarely as can be proved.
//! * [`machine`] runs the program at one place; this module finds the places where that is worth while.
//!
//! Case beyond ASCII is Oniguruma's too: an expression that ignores case matches texts beyond ASCII there.

mod budget;
mod bytes;
mod class;
mod class_reader;
mod compile;
mod first;
mod machine;
mod parse;
mod program;
mod repeat;
mod simplify;
mod tree;
mod tried;

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use memchr::memmem::Finder;
use memchr::{memchr, memchr2, memchr3};

use self::budget::{Budget, Halt};
use self::bytes::END;
use self::class::CharSet;
use self::machine::{Machine, Scratch, width};
use self::program::Program;
use self::tree::{Assert, INFINITE, Node};
use self::tried::Tried;
use crate::matcher::{Captures, GroupName, MatchError, Matcher, length_is_taken};
use crate::oniguruma::OnigurumaMatcher;
use crate::regex::PatternError;
use crate::ruby;

/// With a timeout from here on, or none, a search that takes long remembers what it has tried, and then ends soon. A shorter
/// one is there to strike when backtracking explodes, as it does in Logstash, and events are marked by it.
const PATIENT: Duration = Duration::from_secs(10);

/// An expression compiled by this engine.
pub(crate) struct OwnMatcher {
    pattern: Box<str>,
    dot_all: bool,
    program: Program,
    groups: usize,
    names: Vec<GroupName>,
    start: Start,
    /// The first bytes of a match, if they are few.
    first: Vec<u8>,
    /// Text that every match has.
    required: Option<Finder<'static>>,
    ignores_case: bool,
    /// For texts beyond ASCII when case is ignored; made when the first one comes.
    exact: OnceLock<Option<OnigurumaMatcher>>,
}

/// Where a match may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Anywhere,
    /// At the beginning of the text.
    Text,
    /// Where the search begins: what fails there fails everywhere behind it.
    Here,
    /// There, and behind each newline.
    Line,
}

impl OwnMatcher {
    /// Compiles an expression in Ruby's dialect. `dot_all` lets `.` match a newline, as grok does. An expression that is
    /// for the other engine gives the reason why.
    ///
    /// # Errors
    /// [`PatternError`] for what the reading of Ruby's dialect finds; other errors are for the other engine to tell.
    pub(crate) fn new(pattern: &str, dot_all: bool) -> Result<Result<Self, &'static str>, PatternError> {
        let translated = ruby::translate(pattern)?;
        Ok(Self::build(pattern, dot_all, &translated.text, translated.names).map_err(|reason| reason.0))
    }

    fn build(
        pattern: &str,
        dot_all: bool,
        text: &str,
        names: Vec<GroupName>,
    ) -> Result<Self, parse::Unsupported> {
        let parsed = parse::parse(text, !names.is_empty(), dot_all)?;
        let node = simplify::simplify(parsed.node);
        if beginning(&node, false) == Beginning::Dots(true) {
            return Err(parse::Unsupported("a condition before `.*`"));
        }
        let program = compile::compile(&node)?;
        let required = node.required_literal().map(|text| Finder::new(text).into_owned());
        Ok(Self {
            pattern: pattern.into(),
            dot_all,
            first: program.first.few().unwrap_or_default(),
            program,
            groups: parsed.groups,
            names,
            start: start_of(&node, !parsed.lists_all),
            required,
            ignores_case: parsed.ignores_case,
            exact: OnceLock::new(),
        })
    }

    /// The engine that takes this text instead.
    fn instead(&self, subject: &str) -> Result<Option<&OnigurumaMatcher>, MatchError> {
        if !self.ignores_case || subject.is_ascii() {
            return Ok(None);
        }
        let exact = self.exact.get_or_init(|| OnigurumaMatcher::new(&self.pattern, self.dot_all).ok());
        exact.as_ref().map(Some).ok_or(MatchError::TooComplex)
    }

    /// Searches, and gives the bounds of a match; its groups go to `captures`, if there are any.
    fn search<const SAVE: bool>(
        &self,
        subject: &str,
        start: usize,
        timeout: Option<Duration>,
        captures: Option<&mut Captures>,
    ) -> Result<Option<Range<usize>>, MatchError> {
        if !subject.is_char_boundary(start) {
            return Ok(None);
        }
        length_is_taken(subject)?;
        thread_local! {
            static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch::new()) };
        }
        let mut scratch = SCRATCH.take();
        let budget = Budget::new(timeout);
        let mut machine = Machine {
            program: &self.program,
            subject,
            origin: start,
            scratch: &mut scratch,
            budget,
            tried: None,
        };
        machine.prepare(if SAVE { self.groups } else { 0 });
        let patient = timeout.is_none_or(|timeout| timeout >= PATIENT);
        let found = self.first_match::<SAVE>(&mut machine, patient);
        if let (Ok(Some(range)), Some(captures)) = (&found, captures) {
            scratch.hand_over(range, captures);
        }
        scratch.trim();
        SCRATCH.set(scratch);
        found
    }

    fn first_match<const SAVE: bool>(
        &self,
        machine: &mut Machine<'_>,
        patient: bool,
    ) -> Result<Option<Range<usize>>, MatchError> {
        let text = machine.subject.as_bytes();
        let mut next = Some(machine.origin);
        // The required text is somewhere behind each place before this one.
        let mut hopeful = 0;
        let mut doubtful = false;
        while let Some(at) = next.and_then(|at| self.next_start(text, at, machine.origin)) {
            if doubtful && at >= hopeful {
                match self.find_required(text, at) {
                    Some(place) => hopeful = place + 1,
                    None => return Ok(None),
                }
            }
            match machine.run::<SAVE>(at) {
                Ok(Some(end)) => return Ok(Some(at..end)),
                Ok(None) => next = text.get(at).map(|byte| at + width(*byte)),
                // The same place again, unless the required text is missing.
                Err(Halt::Doubt) if patient => {
                    machine.tried = Tried::new(self.program.code.len(), text.len())
                }
                Err(Halt::Doubt) => {}
                Err(Halt::Error(error)) => return Err(error),
            }
            doubtful = true;
        }
        Ok(None)
    }

    /// Where text that every match has is found at or after a place.
    fn find_required(&self, text: &[u8], at: usize) -> Option<usize> {
        match &self.required {
            Some(finder) => finder.find(text.get(at..)?).map(|length| at + length),
            None => Some(text.len()),
        }
    }

    /// The first place at or after `at` where a match may begin.
    fn next_start(&self, text: &[u8], at: usize, origin: usize) -> Option<usize> {
        match self.start {
            Start::Anywhere => self.next_first(text, at),
            Start::Text => (at == 0).then_some(0),
            Start::Here => (at == origin).then_some(at),
            Start::Line if at == origin => Some(at),
            Start::Line => {
                let before = at.checked_sub(1)?;
                memchr(b'\n', text.get(before..)?).map(|length| before + length + 1)
            }
        }
    }

    /// The first place at or after `at` with a byte that a match may begin with.
    fn next_first(&self, text: &[u8], at: usize) -> Option<usize> {
        let rest = text.get(at..)?;
        let found = match self.first.as_slice() {
            [one] => memchr(*one, rest),
            [one, two] => memchr2(*one, *two, rest),
            [one, two, three] => memchr3(*one, *two, *three, rest),
            _ => {
                let first = &self.program.first;
                let may_begin = |byte: &u8| first.has(usize::from(*byte)) && byte & 0xC0 != 0x80;
                let end = first.has(END).then_some(rest.len());
                rest.iter().position(may_begin).or(end)
            }
        };
        found.map(|length| at + length)
    }
}

/// What the beginning of an expression says of where it can match. `dots` says that sets of everything were written as
/// dots.
fn start_of(node: &Node, dots: bool) -> Start {
    match node {
        Node::Assert(Assert::TextStart) => Start::Text,
        Node::Assert(Assert::SearchStart) => Start::Here,
        Node::Assert(Assert::LineStart) => Start::Line,
        Node::Concat(nodes) => match nodes.as_slice() {
            // See below: Oniguruma does not look for another line then.
            [Node::Assert(Assert::LineStart), next, ..] if dots && is_greedy_dot(next) => dot_start(next),
            [first, ..] => start_of(first, dots),
            [] => Start::Anywhere,
        },
        Node::Capture(_, node) => start_of(node, dots),
        Node::Repeat(_) => dot_start(node),
        _ => Start::Anywhere,
    }
}

/// Whether it begins with `.*` or `.+`.
fn is_greedy_dot(node: &Node) -> bool {
    match node {
        Node::Repeat(repeat) => repeat.greedy && dot_start(node) != Start::Anywhere,
        Node::Capture(_, node) | Node::Atomic(node) => is_greedy_dot(node),
        Node::Concat(nodes) => nodes.first().is_some_and(is_greedy_dot),
        _ => false,
    }
}

/// Where a repeat of `.` need be tried: from each place it tries all ends that it would try from any later one, in the
/// text or in the line.
fn dot_start(node: &Node) -> Start {
    match node {
        Node::Repeat(repeat) if repeat.max == INFINITE => match &repeat.node {
            Node::Set(set) if *set == CharSet::all() => Start::Here,
            Node::Set(set) if set.single_outside() == Some('\n') => Start::Line,
            _ => Start::Anywhere,
        },
        Node::Capture(_, node) | Node::Atomic(node) => dot_start(node),
        Node::Concat(nodes) => nodes.first().map_or(Start::Anywhere, dot_start),
        _ => Start::Anywhere,
    }
}

/// What an expression begins with, as far as the next function asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// Only conditions so far, if `true`.
    Open(bool),
    /// `.*`, after conditions if `true`.
    Dots(bool),
    /// Anything else.
    Other,
}

/// From `.*` at the beginning Oniguruma concludes that only the first place need be tried, even when a condition before
/// it does not hold there; so that it misses matches, in Ruby too. Such expressions are left to it.
fn beginning(node: &Node, before: bool) -> Beginning {
    match node {
        Node::Empty | Node::Assert(Assert::TextStart | Assert::LineStart | Assert::SearchStart) => {
            Beginning::Open(before)
        }
        Node::Behind { negate: false, .. } => Beginning::Open(before),
        Node::Assert(_) | Node::Ahead { .. } | Node::Behind { .. } => Beginning::Open(true),
        Node::Literal(_) | Node::Set(_) => Beginning::Other,
        Node::Concat(nodes) => nodes.iter().fold(Beginning::Open(before), |found, node| match found {
            Beginning::Open(before) => beginning(node, before),
            found => found,
        }),
        Node::Alt(nodes) => {
            let found: Vec<Beginning> = nodes.iter().map(|node| beginning(node, before)).collect();
            if found.iter().any(|found| matches!(found, Beginning::Open(_))) {
                Beginning::Open(true)
            } else if found.contains(&Beginning::Other) {
                Beginning::Other
            } else {
                Beginning::Dots(found.contains(&Beginning::Dots(true)))
            }
        }
        Node::Capture(_, node) | Node::Group(node, _) | Node::Atomic(node) => beginning(node, before),
        Node::Repeat(repeat) => match &repeat.node {
            Node::Set(_) if is_greedy_dot(node) => Beginning::Dots(before),
            Node::Set(_) => Beginning::Other,
            node if repeat.min > 0 => beginning(node, before),
            _ => Beginning::Other,
        },
    }
}

impl Matcher for OwnMatcher {
    fn captures_at(
        &self,
        subject: &str,
        start: usize,
        timeout: Option<Duration>,
        captures: &mut Captures,
    ) -> Result<bool, MatchError> {
        if let Some(exact) = self.instead(subject)? {
            return exact.captures_at(subject, start, timeout, captures);
        }
        Ok(self.search::<true>(subject, start, timeout, Some(captures))?.is_some())
    }

    fn find_at(
        &self,
        subject: &str,
        start: usize,
        timeout: Option<Duration>,
    ) -> Result<Option<Range<usize>>, MatchError> {
        if let Some(exact) = self.instead(subject)? {
            return exact.find_at(subject, start, timeout);
        }
        self.search::<false>(subject, start, timeout, None)
    }

    fn may_match(&self, subject: &str) -> bool {
        // What ignores case and is beyond ASCII is not for this engine.
        self.ignores_case || self.find_required(subject.as_bytes(), 0).is_some()
    }

    fn group_count(&self) -> usize {
        self.groups
    }

    fn group_names(&self) -> &[GroupName] {
        &self.names
    }
}

impl fmt::Debug for OwnMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnMatcher").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(pattern: &str, dot_all: bool) -> OwnMatcher {
        OwnMatcher::new(pattern, dot_all).unwrap().unwrap_or_else(|reason| panic!("{pattern}: {reason}"))
    }

    fn groups(pattern: &str, subject: &str) -> Option<Vec<Option<String>>> {
        let mut captures = Captures::new();
        let found = matcher(pattern, true).captures_at(subject, 0, None, &mut captures).unwrap();
        found.then(|| (0..captures.len()).map(|i| captures.text(i, subject).map(str::to_owned)).collect())
    }

    #[test]
    fn the_last_round_of_a_repeat_stays_captured() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(groups("(?:(a)|(b))+", "abab"), Some(vec![some("abab"), some("a"), some("b")]));
        assert_eq!(groups("(?:(a)x|a)+", "axaa"), Some(vec![some("axaa"), some("a")]));
        assert_eq!(groups("(?:(a)b)?ac", "ac"), Some(vec![some("ac"), None]), "undone on the way back");
        assert_eq!(groups("(?=(a+))a", "aaa"), Some(vec![some("a"), some("aaa")]));
        assert_eq!(groups("(?!(a)b)a", "ac"), Some(vec![some("a"), None]));
    }

    #[test]
    fn case_beyond_ascii_is_oniguruma_s() {
        let matcher = matcher("(?i)stra(ss)e", false);
        assert!(matcher.exact.get().is_none());
        assert_eq!(matcher.find_at("STRASSE", 0, None), Ok(Some(0..7)));
        assert!(matcher.exact.get().is_none());
        assert_eq!(matcher.find_at("Straße", 0, None), Ok(Some(0..7)));
        assert!(matcher.exact.get().is_some());
    }

    #[test]
    fn a_choice_takes_no_half_character() {
        assert_eq!(groups("(?>|éx|é)[bA-Z]|1a", "ßb"), Some(vec![Some("b".to_owned())]));
    }

    #[test]
    fn where_matches_may_begin() {
        let start = |pattern| matcher(pattern, true).start;
        assert_eq!((start(r"\Aab"), start("^ab"), start("ab")), (Start::Text, Start::Line, Start::Anywhere));
        for pattern in [".*x", "(?<all>.*?)x", "^.*x", "^.++x"] {
            assert_eq!(start(pattern), Start::Here, "{pattern}");
        }
        assert_eq!(matcher(".*x", false).start, Start::Line);
        let second_line = matcher("^b", false);
        assert_eq!(second_line.find_at("ab\nb", 0, None), Ok(Some(3..4)));
        assert_eq!(second_line.find_at("ab\nb", 4, None), Ok(None));
        assert_eq!(matcher("é", false).find_at("aé", 2, None), Ok(None), "inside a character");
        assert_eq!(matcher("$", false).find_at("ab", 3, None), Ok(None), "past the end");
    }

    #[test]
    fn a_condition_before_a_dot_is_oniguruma_s() {
        for pattern in [r"\b.*", r"(?<!a)(.+)", r"(?:\z|\b).*x"] {
            assert!(OwnMatcher::new(pattern, true).unwrap().is_err(), "{pattern}");
        }
        for pattern in [r"^.*", r"(?<=a).*", r"a\b.*", r"\b[a-z]*"] {
            assert!(OwnMatcher::new(pattern, true).unwrap().is_ok(), "{pattern}");
        }
    }

    #[test]
    fn a_patient_search_goes_each_way_once() {
        let subject = "x".repeat(300) + " y";
        for (pattern, expected) in
            [("^(?:x+x+)+y", None), ("^(?:x+x+)+ y", Some(0..302)), ("^(x+)+z| y", Some(300..302))]
        {
            let matcher = matcher(pattern, false);
            assert_eq!(matcher.find_at(&subject, 0, None), Ok(expected.clone()), "{pattern}");
            assert_eq!(matcher.find_at(&subject, 0, Some(PATIENT)), Ok(expected), "{pattern}");
        }
        let hasty = matcher("^(?:x+x+)+y", false).find_at(&subject, 0, Some(Duration::from_millis(20)));
        assert_eq!(hasty, Err(MatchError::Timeout));
    }

    #[test]
    fn missing_text_ends_an_exponential_search() {
        let matcher = matcher("(?:x+x+)+y", false);
        assert_eq!(matcher.find_at(&"x".repeat(200), 0, None), Ok(None));
    }

    #[test]
    fn a_long_text_may_not_take_all_memory() {
        let matcher = matcher(r"\A(?:[cd]b?|c)*x", false);
        let subject = "c".repeat(9_000_000) + "yx";
        assert_eq!(matcher.find_at(&subject, 0, None), Err(MatchError::TooComplex));
        assert_eq!(matcher.find_at("cbx", 0, None), Ok(Some(0..3)));
    }
}
