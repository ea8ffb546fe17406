//! The public face of one compiled expression, whatever engine stands behind it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::literal::LiteralMatcher;
use crate::look_behind;
use crate::matcher::{Captures, GroupName, MatchError, Matcher};
use crate::oniguruma::OnigurumaMatcher;
use crate::own::OwnMatcher;
use crate::replacement::Replacement;

/// The time one search may take unless the caller sets another; grok's own default.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// The longest expression that is compiled, in bytes, after expansion; the largest shipped one has 13 kB.
pub(crate) const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Characters shown on either side of an error.
const CONTEXT_CHARS: usize = 30;

/// A compiled expression in Ruby's dialect; cheap to clone and shared between threads.
///
/// ```
/// let regex = ferrostash_grok::Regex::new(r"(?<user>\w+)@(\w+)")?;
/// assert!(regex.is_match("to: me@home")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Regex {
    pattern: Arc<str>,
    matcher: Arc<dyn Matcher>,
    engine: Engine,
    timeout: Option<Duration>,
}

/// Which engine runs an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Plain text, searched for as such.
    Literal,
    /// The engine of this crate.
    Own,
    /// The Oniguruma port, several times slower.
    Oniguruma {
        /// What the expression has that the other engine does not take: `back-references`, for instance.
        reason: &'static str,
    },
}

impl Engine {
    /// What `--log.level debug` calls it: `own` for what is quick, `exact` for the Oniguruma port.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Literal | Engine::Own => "own",
            Engine::Oniguruma { .. } => "exact",
        }
    }

    /// What the expression has that only the exact engine takes.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Engine::Literal | Engine::Own => None,
            Engine::Oniguruma { reason } => Some(reason),
        }
    }
}

impl Regex {
    /// Compiles an expression as Ruby's `/pattern/` does: `.` stops at a newline, `^` and `$` are line anchors.
    ///
    /// # Errors
    /// [`PatternError`] with the offset of what is wrong.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        Self::compile(pattern, false)
    }

    /// Compiles an expression as Ruby's `/pattern/m` does: `.` matches a newline too. Grok does this.
    ///
    /// # Errors
    /// [`PatternError`] with the offset of what is wrong.
    pub fn new_dot_all(pattern: &str) -> Result<Self, PatternError> {
        Self::compile(pattern, true)
    }

    fn compile(pattern: &str, dot_all: bool) -> Result<Self, PatternError> {
        if pattern.len() > PATTERN_BYTES_MAX {
            let message = format!("the expression is longer than {PATTERN_BYTES_MAX} bytes");
            return Err(PatternError::new(pattern, &message, None));
        }
        if pattern.contains("(?<=") || pattern.contains("(?<!") {
            look_behind::check(pattern)?;
        }
        let (matcher, engine) = choose(pattern, dot_all)?;
        Ok(Self { pattern: pattern.into(), matcher, engine, timeout: Some(TIMEOUT_DEFAULT) })
    }

    /// Which engine runs the expression.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Sets the time that one search may take; 30 seconds otherwise. `None` sets no bound.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the expression matches anywhere.
    ///
    /// # Errors
    /// [`MatchError`] when the search was given up.
    pub fn is_match(&self, subject: &str) -> Result<bool, MatchError> {
        Ok(self.find_at(subject, 0)?.is_some())
    }

    /// The byte range of the leftmost match that begins at or after `start`.
    ///
    /// # Errors
    /// [`MatchError`] when the search was given up.
    pub fn find_at(&self, subject: &str, start: usize) -> Result<Option<Range<usize>>, MatchError> {
        self.matcher.find_at(subject, start, self.timeout)
    }

    /// Finds the leftmost match that begins at or after `start` and writes its groups.
    ///
    /// # Errors
    /// [`MatchError`] when the search was given up.
    pub fn captures_at(
        &self,
        subject: &str,
        start: usize,
        captures: &mut Captures,
    ) -> Result<bool, MatchError> {
        self.matcher.captures_at(subject, start, self.timeout, captures)
    }

    /// As [`captures_at`](Self::captures_at) from the beginning, with a timeout for this search alone.
    pub(crate) fn captures_within(
        &self,
        subject: &str,
        timeout: Option<Duration>,
        captures: &mut Captures,
    ) -> Result<bool, MatchError> {
        self.matcher.captures_at(subject, 0, timeout, captures)
    }

    /// Whether the text has what every match has, a certain word for instance. False is sure, true is not; asking
    /// costs far less than a search.
    pub fn may_match(&self, subject: &str) -> bool {
        self.matcher.may_match(subject)
    }

    /// The named groups in the order in which their names first appear.
    pub fn group_names(&self) -> &[GroupName] {
        self.matcher.group_names()
    }

    /// The number of groups, the whole match (group 0) included.
    pub fn group_count(&self) -> usize {
        self.matcher.group_count()
    }

    /// Replaces every match, as Ruby's `String#gsub` does. Borrows the subject when nothing matched.
    ///
    /// # Errors
    /// [`ReplaceError`] when a search was given up or the replacement names a group that does not exist.
    pub fn replace_all<'s>(
        &self,
        subject: &'s str,
        replacement: &Replacement<'_>,
        captures: &mut Captures,
    ) -> Result<Cow<'s, str>, ReplaceError> {
        let mut out = String::new();
        let (mut copied, mut start) = (0, 0);
        while self.captures_at(subject, start, captures)? {
            let Some(found) = captures.get(0) else { break };
            if let Some(name) = replacement.unknown_name(self.group_names()) {
                return Err(ReplaceError::UnknownName(name.to_owned()));
            }
            out.push_str(subject.get(copied..found.start).unwrap_or_default());
            replacement.expand(subject, captures, self.group_names(), &mut out);
            copied = found.end;
            start = if found.is_empty() { after_next_char(subject, found.end) } else { found.end };
        }
        if copied == 0 && out.is_empty() && start == 0 {
            return Ok(Cow::Borrowed(subject));
        }
        out.push_str(subject.get(copied..).unwrap_or_default());
        Ok(Cow::Owned(out))
    }
}

/// The fastest engine that takes the expression.
fn choose(pattern: &str, dot_all: bool) -> Result<(Arc<dyn Matcher>, Engine), PatternError> {
    if let Some(literal) = LiteralMatcher::new(pattern) {
        return Ok((Arc::new(literal), Engine::Literal));
    }
    Ok(match OwnMatcher::new(pattern, dot_all)? {
        Ok(own) => (Arc::new(own), Engine::Own),
        Err(reason) => (Arc::new(OnigurumaMatcher::new(pattern, dot_all)?), Engine::Oniguruma { reason }),
    })
}

/// The offset behind the character at `at`; past the end, one more than the length.
fn after_next_char(subject: &str, at: usize) -> usize {
    at + subject.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex(/{}/)", self.pattern)
    }
}

/// Why [`Regex::replace_all`] gave no text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplaceError {
    /// A search was given up.
    #[error(transparent)]
    Match(#[from] MatchError),
    /// The replacement has `\k<name>` for a group that the expression does not have.
    #[error("undefined group name reference: {0}")]
    UnknownName(String),
}

/// An expression that does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    pattern: String,
    message: String,
    offset: Option<usize>,
}

impl PatternError {
    pub(crate) fn new(pattern: &str, message: &str, offset: Option<usize>) -> Self {
        Self { pattern: pattern.to_owned(), message: message.to_owned(), offset }
    }

    /// What is wrong, in Oniguruma's words, which are Ruby's too.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it is wrong: a byte offset in the expression, when known.
    pub fn offset(&self) -> Option<usize> {
        self.offset
    }

    /// The expression around the error.
    fn excerpt(&self) -> String {
        let offset = self.offset.unwrap_or_default();
        let (before, after) = self.pattern.split_at_checked(offset).unwrap_or((&self.pattern, ""));
        let from = before.char_indices().rev().nth(CONTEXT_CHARS - 1).map_or(0, |(at, _)| at);
        let to = after.char_indices().nth(CONTEXT_CHARS).map_or(after.len(), |(at, _)| at);
        let lead = if from > 0 { "..." } else { "" };
        let trail = if to < after.len() { "..." } else { "" };
        let (before, after) = (before.get(from..).unwrap_or_default(), after.get(..to).unwrap_or_default());
        format!("{lead}{before}{after}{trail}")
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        write!(f, ": /{}/", self.excerpt())
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// `gsub => ["field", pattern, replacement]`
    fn gsub(subject: &str, pattern: &str, replacement: &str) -> String {
        let regex = Regex::new(pattern).unwrap();
        regex
            .replace_all(subject, &Replacement::new(replacement), &mut Captures::new())
            .map_or_else(|error| error.to_string(), Cow::into_owned)
    }

    #[test]
    fn groups_in_the_replacement() {
        assert_eq!(gsub("me@home, you@work", r"(\w+)@(\w+)", r"\2 at \1"), "home at me, work at you");
        assert_eq!(gsub("a=b c=d", r"(?<k>\w)=(?<v>\w)", r"\k<v>=\k<k>"), "b=a d=c");
        assert_eq!(gsub("a1b22", r"\d+", r"<\0\&>"), "a<11>b<2222>");
        assert_eq!(gsub("axbyc", "(x)|(y)", r"[\1|\2]"), "a[x|]b[|y]c");
        assert_eq!(gsub("abc", "b", r"\3\9-"), "a-c");
        assert_eq!(gsub("abc", "(?<n>b)", r"\k<m>"), "undefined group name reference: m");
        assert_eq!(gsub("abc", "(?<n>x)", r"\k<m>"), "abc");
    }

    #[test]
    fn empty_matches_step_over_one_character() {
        assert_eq!(gsub("abc", "x*", "-"), "-a-b-c-");
        assert_eq!(gsub("abc", "b*", "-"), "-a--c-");
        assert_eq!(gsub("é😀", "", "|"), "|é|😀|");
        assert_eq!(gsub("", "^", "x"), "x");
        assert_eq!(gsub("été a", r"\b", "|"), "|été| |a|");
        assert_eq!(gsub("aaa", "a", ""), "");
    }

    #[test]
    fn text_around_the_match() {
        assert_eq!(gsub("abcd", "b", r"\'"), "acdcd");
        assert_eq!(gsub("abcd", "b", r"\`"), "aacd");
        assert_eq!(gsub("abcd", "(b)(c)", r"\+"), "acd");
        assert_eq!(gsub("abcd", "b", r"\\-$1\x"), r"a\-$1\xcd");
    }

    #[test]
    fn nothing_is_copied_when_nothing_matched() {
        let regex = Regex::new("x").unwrap();
        let replaced = regex.replace_all("abc", &Replacement::new("y"), &mut Captures::new()).unwrap();
        assert!(matches!(replaced, Cow::Borrowed("abc")));
    }

    #[test]
    fn which_engine_and_why() {
        let engine = |pattern| Regex::new(pattern).unwrap().engine();
        assert_eq!(engine("abc"), Engine::Literal);
        assert_eq!(engine(r"(?<n>\w+)\s"), Engine::Own);
        let exact = engine(r"(a)\1");
        assert_eq!(exact, Engine::Oniguruma { reason: "back-references" });
        assert_eq!((exact.name(), exact.reason()), ("exact", Some("back-references")));
        assert_eq!((engine("a+").name(), engine("a+").reason()), ("own", None));
    }

    #[test]
    fn text_that_every_match_has() {
        let regex = Regex::new(r"\d+ (?:bytes|octets) sent(?: ok)?").unwrap();
        assert!(regex.may_match("- sent") && !regex.may_match("12 bytes received"));
        assert!(Regex::new("a|b").unwrap().may_match("-"), "there is none");
        assert!(Regex::new("(?i)straSSe 1").unwrap().may_match("Straße 1"), "whatever its case");
    }

    #[test]
    fn a_search_has_a_timeout() {
        let regex = Regex::new("^(?:x+x+)+[yz]").unwrap().with_timeout(Some(Duration::from_millis(10)));
        assert_eq!(regex.is_match(&"x".repeat(45)), Err(MatchError::Timeout));
    }

    #[test]
    fn errors_show_the_place() {
        let error = Regex::new("[a-z]+(foo").unwrap_err();
        let text = "end pattern with unmatched parenthesis at offset 6: /[a-z]+(foo/";
        assert_eq!(error.to_string(), text);
        let long = format!("{}(", "é".repeat(100));
        let shown = Regex::new(&long).unwrap_err().to_string();
        assert!(shown.ends_with(&format!("at offset 200: /...{}(/", "é".repeat(30))), "{shown}");
        assert!(Regex::new(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
    }
}
