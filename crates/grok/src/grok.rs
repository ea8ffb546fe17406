//! A grok expression: references expanded over a library, compiled, its captures listed.
//!
//! Expansion replaces the leftmost `%{NAME:field}` by a group around the definition of `NAME`, and goes on in the
//! text so made until none is left. The group bears the reference's text as its name, `(?<NAME:field>...)`;
//! a reference without a field becomes `(?:...)`, or `(?<NAME>...)` when captures without a field are wanted too.
//!
//! What the filter has to know to store captures as Logstash does:
//!
//! * **Order.** [`Grok::captures`] lists them by the first appearance of the group's full name
//!   (`WORD:a` and `INT:a` are two names), and under one name by group number. Storing in this order gives the
//!   arrays that Logstash gives.
//! * **Field and type** come from the group's name split at colons: `PATTERN:field:type`. A name without a colon
//!   is the field; hence `(?<n:int>..)` captures into `int`. Types other than `int` and `float`, and what
//!   follows a third colon, are ignored.
//! * **Typed duplicates.** Only the first group of a full name is converted, even if it took no part in the match:
//!   in `%{NUMBER:t:float}ms|%{NUMBER:t:float}s` the second stores text. [`Capture::kind`] already says so.
//! * **Empty captures.** A group that took no part is null; a typed group that matched the empty text is `0` or
//!   `0.0`, hence not empty. Without `keep_empty_captures` nulls and empty strings are not stored.
//! * **Existing values.** Under `overwrite` each capture replaces the field, so that the last one stays. Otherwise:
//!   null or nothing is set; an array is appended to; a string becomes an array of both; a number, boolean or object
//!   stays and the capture is dropped. A first capture converted to a number thus keeps later ones out.

use std::time::Duration;

use thiserror::Error;

use crate::library::PatternLibrary;
use crate::matcher::{Captures, MatchError};
use crate::reference::{Reference, find_reference};
use crate::regex::{PATTERN_BYTES_MAX, PatternError, Regex};

/// References replaced in one expression before it counts as endless.
const EXPANSIONS_MAX: usize = 10_000;
/// References within references.
const DEPTH_MAX: usize = 200;
/// Names suggested for an unknown one.
const SUGGESTIONS_MAX: usize = 3;

/// A compiled grok expression.
///
/// ```
/// use ferrostash_grok::{Captures, Grok, PatternLibrary};
///
/// let grok = Grok::compile(&PatternLibrary::legacy(), "%{IP:client} %{NUMBER:bytes:int}", true)?;
/// let line = "55.3.244.1 15824";
/// let mut scratch = Captures::new();
/// assert!(grok.matches(line, None, &mut scratch)?);
/// let found: Vec<_> = grok.captures().iter().map(|c| (c.field(), scratch.text(c.group(), line))).collect();
/// assert_eq!(found, [("client", Some("55.3.244.1")), ("bytes", Some("15824"))]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Grok {
    pattern: String,
    regex: Regex,
    captures: Vec<Capture>,
}

/// One group whose text is stored in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    field: String,
    kind: CaptureType,
    group: usize,
}

/// What a capture is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureType {
    /// Stays text.
    Text,
    /// Ruby's `String#to_i`: leading digits, with underscores between them; 0 when there are none.
    Int,
    /// Ruby's `String#to_f`: a leading decimal number; 0.0 when there is none.
    Float,
}

impl Capture {
    /// The field as the expression spells it: `client`, `[source][ip]`, `a.b`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What the text is converted to.
    pub fn kind(&self) -> CaptureType {
        self.kind
    }

    /// The group's number, for [`Captures::get`].
    pub fn group(&self) -> usize {
        self.group
    }
}

impl Grok {
    /// Compiles an expression over a library. `named_captures_only` keeps references without a field out.
    ///
    /// # Errors
    /// [`GrokError`] for an unknown name, an endless definition and a broken regular expression.
    pub fn compile(
        library: &PatternLibrary,
        pattern: &str,
        named_captures_only: bool,
    ) -> Result<Self, GrokError> {
        let expanded = Expansion::new(library, pattern, named_captures_only).run()?;
        let regex = Regex::new_dot_all(&expanded)
            .map_err(|error| blame(library, pattern, named_captures_only, error))?;
        let captures = list_captures(&regex);
        Ok(Self { pattern: pattern.to_owned(), regex, captures })
    }

    /// The expression as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The regular expression that it became.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    /// The captures in the order in which they are stored.
    pub fn captures(&self) -> &[Capture] {
        &self.captures
    }

    /// Matches a text; the groups are in `captures` afterwards, see [`Capture::group`].
    ///
    /// # Errors
    /// [`MatchError`] when the search was given up, after `timeout` for instance.
    pub fn matches(
        &self,
        subject: &str,
        timeout: Option<Duration>,
        captures: &mut Captures,
    ) -> Result<bool, MatchError> {
        self.regex.captures_within(subject, timeout, captures)
    }
}

fn list_captures(regex: &Regex) -> Vec<Capture> {
    let mut captures = Vec::new();
    for name in regex.group_names() {
        let mut parts = name.name.split(':');
        let first = parts.next().unwrap_or_default();
        let field = parts.next().unwrap_or(first);
        let mut kind = match parts.next() {
            Some("int") => CaptureType::Int,
            Some("float") => CaptureType::Float,
            _ => CaptureType::Text,
        };
        for &group in &name.numbers {
            captures.push(Capture { field: field.to_owned(), kind, group });
            kind = CaptureType::Text;
        }
    }
    captures
}

/// The leftmost reference replaced, over and over.
struct Expansion<'a> {
    library: &'a PatternLibrary,
    named_captures_only: bool,
    /// Definitions made in place, the latest last.
    inline: Vec<(String, String)>,
    /// What holds no reference any more.
    done: String,
    /// What is still to be read.
    rest: String,
    /// Names being expanded, each with the length of `rest` behind its definition.
    inside: Vec<(String, usize)>,
}

impl<'a> Expansion<'a> {
    fn new(library: &'a PatternLibrary, pattern: &str, named_captures_only: bool) -> Self {
        Self {
            library,
            named_captures_only,
            inline: Vec::new(),
            done: String::new(),
            rest: pattern.to_owned(),
            inside: Vec::new(),
        }
    }

    fn run(mut self) -> Result<String, GrokError> {
        for _ in 0..EXPANSIONS_MAX {
            let rest = std::mem::take(&mut self.rest);
            let Some(reference) = find_reference(&rest, 0) else {
                self.done.push_str(&rest);
                return Ok(self.done);
            };
            self.replace(&rest, &reference)?;
        }
        Err(self.endless())
    }

    fn replace(&mut self, rest: &str, reference: &Reference<'_>) -> Result<(), GrokError> {
        let name = reference.pattern;
        let tail = rest.get(reference.range.end..).unwrap_or_default();
        self.inside.retain(|(_, behind)| *behind < rest.len() - reference.range.start);
        match reference.definition {
            Some(definition) => self.inline.push((name.to_owned(), definition.to_owned())),
            None if self.inside.iter().any(|(outer, _)| outer == name) => {
                self.inside.push((name.to_owned(), 0));
                return Err(self.endless());
            }
            None => {}
        }
        let head = rest.get(..reference.range.start).unwrap_or_default();
        self.done.push_str(head);
        let definition = self.definition(name).ok_or_else(|| self.unknown(rest, reference))?;
        let group = if self.named_captures_only && !reference.label.contains(':') {
            "(?:".to_owned()
        } else {
            format!("(?<{}>", reference.label)
        };
        let next = format!("{definition}){tail}");
        self.done.push_str(&group);
        self.rest = next;
        self.inside.push((name.to_owned(), tail.len()));
        if self.inside.len() > DEPTH_MAX || self.done.len() + self.rest.len() > PATTERN_BYTES_MAX {
            return Err(self.endless());
        }
        Ok(())
    }

    fn definition(&self, name: &str) -> Option<&str> {
        let inline = self.inline.iter().rev().find(|(known, _)| known == name);
        inline.map(|(_, definition)| definition.as_str()).or_else(|| self.library.get(name))
    }

    fn unknown(&self, rest: &str, reference: &Reference<'_>) -> GrokError {
        GrokError::UnknownPattern {
            reference: rest.get(reference.range.clone()).unwrap_or_default().to_owned(),
            within: self.inside.last().map(|(name, _)| name.clone()),
            suggestions: similar(reference.pattern, self.library.names()),
        }
    }

    fn endless(&self) -> GrokError {
        GrokError::Endless { path: self.inside.iter().map(|(name, _)| name.clone()).collect() }
    }
}

/// Finds the definition that is broken by itself; otherwise the expression is, and the offset counts in it if it
/// is broken with stand-ins for the references too.
fn blame(
    library: &PatternLibrary,
    pattern: &str,
    named_captures_only: bool,
    error: PatternError,
) -> GrokError {
    let mut names = Vec::new();
    collect_names(library, pattern, &mut names);
    // The innermost comes last.
    let broken = names.into_iter().rev().find_map(|name| {
        let definition = library.get(&name)?;
        let expanded = Expansion::new(library, definition, named_captures_only).run().ok()?;
        Some((name, Regex::new_dot_all(&expanded).err()?))
    });
    match broken {
        Some((name, error)) => GrokError::BrokenRegex { within: Some(name), error },
        None => {
            let own = Regex::new_dot_all(&with_stand_ins(pattern)).err();
            let own = own.map(|own| PatternError::new(pattern, own.message(), own.offset()));
            GrokError::BrokenRegex { within: None, error: own.unwrap_or(error) }
        }
    }
}

/// The expression with a group of the same length in place of each reference.
fn with_stand_ins(pattern: &str) -> String {
    let (mut text, mut copied) = (String::with_capacity(pattern.len()), 0);
    while let Some(reference) = find_reference(pattern, copied) {
        text.push_str(pattern.get(copied..reference.range.start).unwrap_or_default());
        let inside = reference.range.len().saturating_sub("(?:)".len());
        text.push_str(&format!("(?:{})", "x".repeat(inside)));
        copied = reference.range.end;
    }
    text.push_str(pattern.get(copied..).unwrap_or_default());
    text
}

/// The names that an expression refers to, directly or not, each behind the one that refers to it.
fn collect_names(library: &PatternLibrary, pattern: &str, names: &mut Vec<String>) {
    let mut start = 0;
    while let Some(reference) = find_reference(pattern, start) {
        start = reference.range.start + 2;
        if names.len() < EXPANSIONS_MAX && !names.iter().any(|known| known == reference.pattern) {
            names.push(reference.pattern.to_owned());
            collect_names(library, library.get(reference.pattern).unwrap_or_default(), names);
        }
    }
}

/// The names closest to `wanted`, best first.
fn similar<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let wanted = wanted.to_ascii_uppercase();
    let limit = (wanted.len() / 3).clamp(1, 4);
    let mut close: Vec<_> = names
        .filter(|name| name.len().abs_diff(wanted.len()) <= limit)
        .map(|name| (strsim::osa_distance(&wanted, &name.to_ascii_uppercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    close.sort_unstable();
    close.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| name.to_owned()).collect()
}

/// A grok expression that does not compile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrokError {
    /// A reference to a name that is not defined.
    #[error("pattern {reference} not defined{}{}", in_definition(.within.as_deref()), did_you_mean(.suggestions))]
    UnknownPattern {
        /// The reference as written.
        reference: String,
        /// The definition that holds it, unless the expression itself does.
        within: Option<String>,
        /// Names much like it, the closest first.
        suggestions: Vec<String>,
    },
    /// Definitions that refer to each other without end, or grow beyond every bound.
    #[error("endless pattern definition: {}", path_text(.path))]
    Endless {
        /// The names from the expression down to where expansion stopped.
        path: Vec<String>,
    },
    /// The regular expression is not valid.
    #[error("{error}{}", in_definition(.within.as_deref()))]
    BrokenRegex {
        /// The definition that is broken, unless the expression itself is.
        within: Option<String>,
        /// What is wrong. The offset counts in the expression or, when references are part of the error or
        /// a definition is broken, in the text that it expands to.
        error: PatternError,
    },
}

fn in_definition(name: Option<&str>) -> String {
    name.map(|name| format!(" (in the definition of `{name}`)")).unwrap_or_default()
}

fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; did you mean `{}`?", names.join("`, `")) }
}

fn path_text(path: &[String]) -> String {
    const SHOWN: usize = 8;
    let (head, more) = path.split_at(path.len().min(SHOWN));
    format!("{}{}", head.join(" -> "), if more.is_empty() { "" } else { " -> ..." })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `match => { "message" => pattern }`: fields and texts in the order in which they are stored.
    fn grok(
        pattern: &str,
        subject: &str,
        named_captures_only: bool,
    ) -> Option<Vec<(String, Option<String>)>> {
        let library = PatternLibrary::legacy();
        let grok = Grok::compile(&library, pattern, named_captures_only).unwrap_or_else(|e| panic!("{e}"));
        let mut captures = Captures::new();
        let text = |c: &Capture, captures: &Captures| captures.text(c.group(), subject).map(str::to_owned);
        let matched = grok.matches(subject, None, &mut captures).unwrap();
        matched.then(|| grok.captures().iter().map(|c| (c.field().to_owned(), text(c, &captures))).collect())
    }

    fn fields(pattern: &str, subject: &str) -> Option<String> {
        let found = grok(pattern, subject, true)?;
        let text =
            |(field, text): (String, Option<String>)| format!("{field}={}", text.unwrap_or("nil".into()));
        Some(found.into_iter().map(text).collect::<Vec<_>>().join(" "))
    }

    fn error(library: &PatternLibrary, pattern: &str) -> String {
        Grok::compile(library, pattern, true).unwrap_err().to_string()
    }

    #[test]
    fn fields_of_every_shape() {
        assert_eq!(fields("%{INT:a} %{WORD:b}", "1 x").as_deref(), Some("a=1 b=x"));
        assert_eq!(
            fields("%{WORD:[a][b]} %{WORD:a.b} %{WORD:@c-d}", "x y z").as_deref(),
            Some("[a][b]=x a.b=y @c-d=z")
        );
        assert_eq!(fields("(?<[q][id]>[A-F]+)-(x) %{WORD}", "AB-x y").as_deref(), Some("[q][id]=AB"));
        assert_eq!(fields("%{INT:n}", "x"), None);
        assert_eq!(fields("%{WORD:w}", "w").as_deref(), Some("w=w"));
    }

    #[test]
    fn same_name_groups_stand_together() {
        assert_eq!(fields("%{WORD:w} %{INT:i} %{WORD:w}", "a 1 b").as_deref(), Some("w=a w=b i=1"));
        assert_eq!(fields("%{WORD:w} %{INT:w} %{WORD:w}", "a 1 b").as_deref(), Some("w=a w=b w=1"));
        assert_eq!(fields("(?:%{WORD:w}|%{INT:i})x?", "a").as_deref(), Some("w=a i=nil"));
    }

    #[test]
    fn types_apply_to_the_first_group_of_a_name() {
        let kinds = |pattern| {
            let grok = Grok::compile(&PatternLibrary::legacy(), pattern, true).unwrap();
            grok.captures().iter().map(|c| (c.field().to_owned(), c.kind())).collect::<Vec<_>>()
        };
        use CaptureType::{Float, Int, Text};
        let n = |kind| ("n".to_owned(), kind);
        assert_eq!(kinds("%{INT:n:int}%{INT:n:int}%{INT:n:float}"), [n(Int), n(Text), n(Float)]);
        assert_eq!(kinds("%{INT:n:long}%{INT:n:int:extra}"), [n(Text), n(Int)]);
        assert_eq!(kinds(r"(?<n:int>\d)(?<PAT:m:float>\d)"), [("int".into(), Text), ("m".into(), Float)]);
    }

    #[test]
    fn captures_without_a_field_on_request() {
        let found = grok("^%{HTTPDATE}$", "05/Mar/2024:10:11:12 +0100", false).unwrap();
        let names: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            names,
            ["HTTPDATE", "MONTHDAY", "MONTH", "YEAR", "TIME", "HOUR", "MINUTE", "SECOND", "INT"]
        );
    }

    #[test]
    fn dot_matches_newlines() {
        assert_eq!(fields("^%{WORD:a}%{GREEDYDATA:b}", "x\ny").as_deref(), Some("a=x b=\ny"));
        assert_eq!(
            fields("(?m)^(?-m:%{WORD:w}(?<t>.*))%{GREEDYDATA:r}", "a b\nc").as_deref(),
            Some("w=a t= b r=\nc")
        );
    }

    #[test]
    fn definitions_in_place() {
        assert_eq!(
            fields(r"%{Q:q=[A-F0-9]{5}}-%{C:code=\d{3}}", "0AB1F-404").as_deref(),
            Some("q=0AB1F code=404")
        );
        assert_eq!(fields("%{A:a=x+}%{A:b}", "xxx").as_deref(), Some("a=xx b=x"));
        assert_eq!(fields("%{INT:a=i %{WORD:b}}", "i w").as_deref(), Some("a=i w b=w"));
    }

    #[test]
    fn unknown_names_get_suggestions() {
        let library = PatternLibrary::legacy();
        assert_eq!(error(&library, "%{NOSUCHPATTERN:x}"), "pattern %{NOSUCHPATTERN:x} not defined");
        assert_eq!(error(&library, "%{WROD:x}"), "pattern %{WROD:x} not defined; did you mean `WORD`?");
        assert!(
            error(&library, "%{ipv4}").ends_with("did you mean `IPV4`, `IPV6`?"),
            "{}",
            error(&library, "%{ipv4}")
        );
        let mut library = library;
        library.add("MINE", "%{NUMBR}").unwrap();
        let text = "pattern %{NUMBR} not defined (in the definition of `MINE`); did you mean `NUMBER`?";
        assert_eq!(error(&library, "a %{MINE:x}"), text);
    }

    #[test]
    fn endless_definitions_are_refused() {
        let mut library = PatternLibrary::empty();
        library.add_text("A x%{B}\nB y%{C:c}\nC %{A}\nR %{R=foo}\nGROW %{G1}%{G1}").unwrap();
        assert_eq!(error(&library, "%{A}"), "endless pattern definition: A -> B -> C -> A");
        assert!(Grok::compile(&library, "%{R}", true).is_ok(), "redefined in place");
        for depth in 1..30 {
            library.add(&format!("G{depth}"), &format!("%{{G{}}}%{{G{}}}", depth + 1, depth + 1)).unwrap();
        }
        library.add("G30", "x").unwrap();
        assert!(error(&library, "%{GROW}").starts_with("endless pattern definition: GROW -> G1 -> G2"));
    }

    #[test]
    fn broken_expressions_say_where() {
        let mut library = PatternLibrary::legacy();
        let expected = "end pattern with unmatched parenthesis at offset 9: /%{INT:i} (%{WORD:x}/";
        assert_eq!(error(&library, "%{INT:i} (%{WORD:x}"), expected);
        library.add("BAD", "a[b").unwrap();
        library.add("OUTER", "x %{BAD:y}").unwrap();
        let expected = "premature end of char-class at offset 1: /a[b/ (in the definition of `BAD`)";
        assert_eq!(error(&library, "%{OUTER}"), expected);
        assert!(
            error(&library, r"(?<q>a)\1").starts_with("numbered backref/call is not allowed. (use name)")
        );
    }
}
