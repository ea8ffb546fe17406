//! The exact engine: a port of Oniguruma, the library whose dialect Ruby and Logstash speak.
//!
//! It backtracks, so time has to be bounded. Reading the clock switches off some of the engine's short-cuts; a
//! search therefore runs first with a number of steps and no clock, which nearly every search stays below, and
//! only one that exceeds it runs again under the clock.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::sync::Once;
use std::time::Duration;

use ferroni::oniguruma::{
    ONIG_MISMATCH, ONIG_OPTION_NONE, ONIGERR_RETRY_LIMIT_IN_MATCH_OVER, ONIGERR_TIME_LIMIT_OVER, OnigRegion,
};
use ferroni::regexec::{OnigMatchParam, onig_new_match_param, onig_search_with_param};
use ferroni::regparse::onig_set_ast_node_limit;
use ferroni::{Regex as Program, RegexError, Syntax};

use crate::matcher::{Captures, GroupName, MatchError, Matcher, length_is_taken};
use crate::regex::PatternError;
use crate::ruby;

/// Backtracking steps that a search may take over all start positions before the clock is read; some 10 ms.
const STEPS_WITHOUT_CLOCK: u64 = 1_000_000;
/// The least number of such steps at one start position, for long texts.
const STEPS_WITHOUT_CLOCK_MIN: u64 = 256;
/// Entries of the backtracking stack (16 to 32 bytes each) that a search may use.
const STACK_ENTRIES_MAX: u32 = 8_000_000;
/// Nodes of the syntax tree (characters in a row are one, a group or repeat another) that an expression may have.
const NODES_MAX: u32 = 100_000;
/// Expressions up to this length have few enough nodes to be compiled on the caller's stack.
const SHORT_BYTES: usize = 4096;
/// The stack on which longer ones are compiled; memory is taken only as it is used.
const LONG_STACK_BYTES: usize = 256 * 1024 * 1024;
/// Texts up to this length are first searched without counting the stack, which would cost as much as the
/// search: it grows with the text.
const STACK_UNCHECKED_BYTES: usize = 64 * 1024;

/// An expression compiled by the Oniguruma port.
pub struct OnigurumaMatcher {
    program: Program,
    names: Vec<GroupName>,
}

impl OnigurumaMatcher {
    /// Compiles an expression in Ruby's dialect. `dot_all` lets `.` match a newline, as grok does.
    ///
    /// # Errors
    /// [`PatternError`] when the expression is not valid.
    pub fn new(pattern: &str, dot_all: bool) -> Result<Self, PatternError> {
        let translated = ruby::translate(pattern)?;
        match compile(&translated.text, dot_all) {
            Ok(program) => Ok(Self { program, names: translated.names }),
            Err(error) => Err(PatternError::new(pattern, &message(&error), locate(pattern, dot_all, &error))),
        }
    }

    /// Searches, first without the clock when there is a timeout, and gives the groups of a match to `read`.
    fn search<T>(
        &self,
        subject: &str,
        start: usize,
        timeout: Option<Duration>,
        read: impl FnOnce(&OnigRegion) -> T,
    ) -> Result<Option<T>, MatchError> {
        if !subject.is_char_boundary(start) {
            return Ok(None);
        }
        length_is_taken(subject)?;
        // The engine's own captures would count references to the program, which all workers share.
        thread_local! {
            static REGION: Cell<Option<OnigRegion>> = const { Cell::new(None) };
        }
        let mut region = REGION.take().or_else(|| Some(OnigRegion::new()));
        let found = with_limits(subject.len() - start, timeout, |limits| {
            let (program, text, end) = (self.program.as_raw(), subject.as_bytes(), subject.len());
            let scratch = region.take();
            let (answer, used) =
                onig_search_with_param(program, text, end, start, end, scratch, ONIG_OPTION_NONE, limits);
            region = used;
            answer
        });
        let result = found.map(|found| if found { region.as_ref().map(read) } else { None });
        REGION.set(region);
        result
    }
}

impl Matcher for OnigurumaMatcher {
    fn captures_at(
        &self,
        subject: &str,
        start: usize,
        timeout: Option<Duration>,
        captures: &mut Captures,
    ) -> Result<bool, MatchError> {
        let count = self.group_count();
        let fill = |region: &OnigRegion| captures.fill((0..count).map(|group| group_range(region, group)));
        Ok(self.search(subject, start, timeout, fill)?.is_some())
    }

    fn find_at(
        &self,
        subject: &str,
        start: usize,
        timeout: Option<Duration>,
    ) -> Result<Option<Range<usize>>, MatchError> {
        Ok(self.search(subject, start, timeout, |region| group_range(region, 0))?.flatten())
    }

    fn group_count(&self) -> usize {
        self.program.captures_len() + 1
    }

    fn group_names(&self) -> &[GroupName] {
        &self.names
    }
}

impl fmt::Debug for OnigurumaMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnigurumaMatcher").field("pattern", &self.program.as_str()).finish_non_exhaustive()
    }
}

fn compile(text: &str, dot_all: bool) -> Result<Program, RegexError> {
    // The engine's own default refuses an alternation of some thousand words. It has one limit per process.
    static LIMIT: Once = Once::new();
    LIMIT.call_once(|| {
        onig_set_ast_node_limit(NODES_MAX);
    });
    let build =
        || Program::builder(text).syntax_mode(Syntax::Ruby).dot_matches_newline(dot_all).dfa(false).build();
    if text.len() <= SHORT_BYTES {
        return build();
    }
    // The engine recurses once for each of the nodes in a row, more often than the caller's stack may allow.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(LONG_STACK_BYTES).spawn_scoped(scope, build);
        thread.map_err(|_| RegexError::Memory)?.join().map_err(|_| RegexError::Memory)?
    })
}

/// Runs a search over `length` bytes under its limits. `search` gives the engine's answer: the match's offset,
/// or a negative code.
fn with_limits(
    length: usize,
    timeout: Option<Duration>,
    mut search: impl FnMut(&OnigMatchParam) -> i32,
) -> Result<bool, MatchError> {
    let mut limits = onig_new_match_param();
    limits.match_stack_limit = if length > STACK_UNCHECKED_BYTES { STACK_ENTRIES_MAX } else { 0 };
    limits.retry_limit_in_match = 0;
    if let Some(timeout) = timeout {
        let steps = STEPS_WITHOUT_CLOCK / (length as u64 + 1);
        limits.retry_limit_in_match = steps.max(STEPS_WITHOUT_CLOCK_MIN);
        match search(&limits) {
            ONIGERR_RETRY_LIMIT_IN_MATCH_OVER => {}
            answer => return found(answer),
        }
        limits.match_stack_limit = STACK_ENTRIES_MAX;
        limits.retry_limit_in_match = 0;
        // Zero would mean "no limit".
        limits.time_limit = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
    }
    found(search(&limits))
}

/// What the engine's answer means.
fn found(answer: i32) -> Result<bool, MatchError> {
    match answer {
        0.. => Ok(true),
        ONIG_MISMATCH => Ok(false),
        ONIGERR_TIME_LIMIT_OVER => Err(MatchError::Timeout),
        _ => Err(MatchError::TooComplex),
    }
}

/// Offsets are negative for a group that took no part; a group left half-way may end before it starts.
fn group_range(region: &OnigRegion, group: usize) -> Option<Range<usize>> {
    let start = usize::try_from(*region.beg.get(group)?).ok()?;
    let end = usize::try_from(*region.end.get(group)?).ok()?;
    (start <= end).then_some(start..end)
}

/// The engine's words without its prefix.
fn message(error: &RegexError) -> String {
    match error {
        RegexError::Syntax { message, .. } => message.clone(),
        RegexError::ParseDepthLimitOver => "the expression is nested too deeply or too large".to_owned(),
        other => other.to_string(),
    }
}

/// Where an error lies. The engine does not say; but it reads from left to right, so that the error lies at
/// the end of the shortest beginning of the pattern that shows it.
fn locate(pattern: &str, dot_all: bool, error: &RegexError) -> Option<usize> {
    let code = code(error)?;
    let shows = |end: usize| {
        let head = pattern.get(..end).and_then(ruby::translate_beginning);
        head.and_then(|head| compile(&head, dot_all).err()).is_some_and(|e| self::code(&e) == Some(code))
    };
    let ends: Vec<usize> = pattern.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
    let first = ends.partition_point(|&end| !shows(end));
    let end = *ends.get(first)?;
    pattern.get(..end)?.char_indices().next_back().map(|(at, _)| at)
}

fn code(error: &RegexError) -> Option<i32> {
    match error {
        RegexError::Syntax { code, .. } => Some(*code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(pattern: &str, subject: &str) -> Option<Vec<Option<String>>> {
        let matcher = OnigurumaMatcher::new(pattern, false).unwrap_or_else(|error| panic!("{error}"));
        let mut captures = Captures::new();
        let found = matcher.captures_at(subject, 0, None, &mut captures).unwrap();
        assert_eq!(matcher.find_at(subject, 0, None).unwrap().is_some(), found);
        found.then(|| (0..captures.len()).map(|i| captures.text(i, subject).map(str::to_owned)).collect())
    }

    fn whole(pattern: &str, subject: &str) -> Option<String> {
        groups(pattern, subject).and_then(|mut groups| groups.remove(0))
    }

    #[test]
    fn what_ruby_expressions_can_do() {
        for (pattern, subject, expected) in [
            (r"(?<=id=)\d+", "id=12", Some("12")),
            (r"(?<!a|bc)x", "ax bcx dx", Some("x")),
            (r"(?>a+)ab", "aaab", None),
            (r"a++b", "aaab", Some("aaab")),
            (r"a{2}+b", "aaaab", Some("aaaab")),
            (r"(.)(.)\2\1", "xabbay", Some("abba")),
            (r"(?<q>['\x22]).*?\k<q>", "say \"it's\"", Some("\"it's\"")),
            (r"(?<p>\((?:[^()]|\g<p>)*\))", "a(b(c)d)", Some("(b(c)d)")),
            (r"(?i)grüße", "GRÜSSE GRÜßE", Some("GRÜSSE")),
            (r"\p{Lu}\p{Han}+", "aÄ漢字", Some("Ä漢字")),
            (r"[[:alpha:]&&[^a-z]]+", "abÉC", Some("ÉC")),
            (r"\h+", "xyzBEEF", Some("BEEF")),
            (r"^b$", "a\nb\nc", Some("b")),
            (r"\Aa$.^b\z", "a\nb", None),
            (r"(?m)\Aa$.^b\z", "a\nb", Some("a\nb")),
            (r"(a)?(?(1)b|c)", "ab", Some("ab")),
            (r"a{,2}", "aaa", Some("aa")),
            (r"{x}", "a{x}", Some("{x}")),
            (r"\R\X", "\r\ne\u{301}", Some("\r\ne\u{301}")),
            (r"a\Kb", "ab", Some("b")),
        ] {
            assert_eq!(whole(pattern, subject).as_deref(), expected, "{pattern} on {subject:?}");
        }
    }

    #[test]
    fn shorthands_are_ascii_but_boundaries_are_not() {
        assert_eq!(whole(r"\w+", "Grüße").as_deref(), Some("Gr"));
        assert_eq!(whole(r"\b\w+\b", "über 5").as_deref(), Some("5"));
        assert_eq!(whole(r"x\sy", "x\u{a0}y"), None);
        assert_eq!(whole(r"x[[:space:]]y", "x\u{a0}y").as_deref(), Some("x\u{a0}y"));
        assert_eq!(whole(r"x\sy", "x\u{b}y").as_deref(), Some("x\u{b}y"));
        assert_eq!(whole(r"(?i)\w", "\u{17f}"), None);
        assert_eq!(whole(r"(?u)\w+", "Grüße").as_deref(), Some("Grüße"));
    }

    #[test]
    fn named_groups_switch_plain_ones_off_and_may_share_a_name() {
        let matcher = OnigurumaMatcher::new(r"(x)(?<[a][b]>\d)(y)(?<[a][b]>\d)?(?<c>z)?", false).unwrap();
        let numbers: Vec<_> =
            matcher.group_names().iter().map(|n| (n.name.as_str(), n.numbers.as_slice())).collect();
        assert_eq!(numbers, [("[a][b]", &[1, 2][..]), ("c", &[3])]);
        assert_eq!(matcher.group_count(), 4);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            groups(r"(x)(?<[a][b]>\d)(y)(?<[a][b]>\d)?(?<c>z)?", "x1y"),
            Some(vec![some("x1y"), some("1"), None, None])
        );
        assert_eq!(groups("(x)(y)?", "x"), Some(vec![some("x"), some("x"), None]));
    }

    #[test]
    fn scratch_of_a_larger_expression_leaves_nothing_behind() {
        let mut captures = Captures::new();
        for (pattern, count) in [("(a)(b)(c)", 4), ("(a)", 2)] {
            let matcher = OnigurumaMatcher::new(pattern, false).unwrap();
            assert_eq!(matcher.captures_at("abc", 0, None, &mut captures), Ok(true));
            assert_eq!(captures.len(), count);
        }
    }

    #[test]
    fn text_before_the_start_stays_visible() {
        let matcher = OnigurumaMatcher::new("(?<=a)b", false).unwrap();
        assert_eq!(matcher.find_at("ab", 1, None), Ok(Some(1..2)));
        assert_eq!(matcher.find_at("éb", 1, None), Ok(None), "inside a character");
        assert_eq!(matcher.find_at("ab", 3, None), Ok(None), "past the end");
    }

    #[test]
    fn an_exponential_search_ends_at_its_timeout() {
        let matcher = OnigurumaMatcher::new("^(?:x+x+)+y", false).unwrap();
        let subject = "x".repeat(45);
        let begun = std::time::Instant::now();
        let timeout = Some(Duration::from_millis(50));
        assert_eq!(matcher.captures_at(&subject, 0, timeout, &mut Captures::new()), Err(MatchError::Timeout));
        assert_eq!(matcher.find_at(&subject, 0, Some(Duration::ZERO)), Err(MatchError::Timeout));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(matcher.find_at("xxy", 0, timeout), Ok(Some(0..3)));
    }

    #[test]
    fn a_long_text_may_not_take_all_memory() {
        let matcher = OnigurumaMatcher::new(r"\A(?:cb|c|cd)*x", false).unwrap();
        let subject = "c".repeat(STACK_ENTRIES_MAX as usize) + "yx";
        let timeout = Some(Duration::from_secs(60));
        assert_eq!(matcher.find_at(&subject, 0, timeout), Err(MatchError::TooComplex));
    }

    #[test]
    fn large_expressions_compile_and_too_large_ones_are_refused() {
        let words = |count: usize| (0..count).map(|i| format!("word{i}[ab]")).collect::<Vec<_>>().join("|");
        assert_eq!(whole(&words(5_000), "a word4999b").as_deref(), Some("word4999b"));
        assert_eq!(whole(&("[ab]|".repeat(SHORT_BYTES / 5) + "c"), "b").as_deref(), Some("b"));
        assert_eq!(whole(&("a|".repeat(SHORT_BYTES / 2 - 1) + "c"), "c").as_deref(), Some("c"));
        for pattern in [words(60_000), "(".repeat(5_000) + &")*".repeat(5_000)] {
            let error = OnigurumaMatcher::new(&pattern, false).unwrap_err();
            assert_eq!(error.message(), "the expression is nested too deeply or too large");
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        for (pattern, message, offset) in [
            ("ab[z-a]c", "empty range in char class", Some(6)),
            ("a*b(?<q>a)\\1", "numbered backref/call is not allowed. (use name)", Some(11)),
            ("abc(*d)", "target of repeat operator is not specified", Some(4)),
            ("é\\p{Nope}x", "invalid character property name {Nope}", Some(9)),
            ("a(b", "end pattern with unmatched parenthesis", Some(1)),
        ] {
            let error = OnigurumaMatcher::new(pattern, true).unwrap_err();
            assert_eq!((error.message(), error.offset()), (message, offset), "{pattern}");
        }
    }

    #[test]
    fn matchers_are_shared_between_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<OnigurumaMatcher>();
    }
}
