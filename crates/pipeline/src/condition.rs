//! Conditions, compiled: what `if` asks of an event.
//!
//! A [`Predicate`] is made once, when a pipeline is built, and asked per event without allocating. What it answers is
//! Logstash's answer, including the kinds of numbers (`5` is not `5.0`, though neither is less than the other) and the
//! comparison of hashes, whose values are equal only if Logstash would keep the very same object for both.
//!
//! One thing is better: where Logstash cancels the event or stops the pipeline because two values have no order, asking
//! gives an [`Unanswered`], and the engine decides what becomes of that event alone.

mod compare;
mod compile;
mod test;

use crate::rate_limit::RateLimit;
use ferrostash_conf::{Condition, Diagnostics, SourceMap, Span};
use ferrostash_event::Event;
use ferrostash_grok::MatchError;
use test::Test;

/// The tag of events about which a condition could not be decided.
pub const CONDITION_FAILURE_TAG: &str = "_condition_evaluation_failure";

/// A compiled condition.
#[derive(Debug)]
pub struct Predicate {
    test: Test,
    /// As written.
    text: Box<str>,
    /// File, line and column.
    place: Box<str>,
    /// Where it is written.
    span: Span,
    warnings: RateLimit,
}

/// Why a condition has no answer for an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Two values that have no order stand around `<` or its kin.
    #[error("{left} and {right} cannot be put in order")]
    Order {
        /// Kind of the left value.
        left: &'static str,
        /// Kind of the right value.
        right: &'static str,
        /// What Logstash says of the two.
        in_java: Box<str>,
    },
    /// A regular expression was given up.
    #[error(transparent)]
    Match(#[from] MatchError),
}

impl Unanswered {
    /// Why the event is in the dead letter queue, in Logstash's words.
    pub fn dead_letter_reason(&self) -> String {
        match self {
            Unanswered::Order { in_java, .. } => format!("condition evaluation error, {in_java}"),
            Unanswered::Match(error) => format!("condition evaluation error, {error}"),
        }
    }
}

impl Predicate {
    /// Compiles a condition; `None` when it was refused.
    pub fn compile(
        condition: &Condition,
        sources: &SourceMap,
        diagnostics: &mut Diagnostics,
    ) -> Option<Predicate> {
        let test = compile::Compiler::new(sources, diagnostics).test(condition)?;
        Some(Predicate {
            test,
            text: sources.slice(condition.span).into(),
            place: sources.place(condition.span).into(),
            span: condition.span,
            warnings: RateLimit::default(),
        })
    }

    /// Asks about `event`. `scratch` is only there to be reused.
    ///
    /// # Errors
    /// [`Unanswered`] where Logstash gives the event up.
    pub fn ask(&self, event: &Event, scratch: &mut String) -> Result<bool, Unanswered> {
        self.test.ask(event, scratch)
    }

    /// The condition as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it is written.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Logs that there was no answer, unless that has just been said.
    pub(crate) fn warn(&self, reason: &Unanswered) {
        if let Some(suppressed) = self.warnings.pass() {
            tracing::warn!(
                condition = &*self.text,
                place = &*self.place,
                %reason,
                suppressed,
                "A condition could not be evaluated for an event."
            );
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ferrostash_conf::{Protocol, Statement, lower};
    use ferrostash_event::Timestamp;

    /// Compiles a condition in the user's syntax.
    pub(crate) fn compile(condition: &str) -> Result<Predicate, String> {
        let mut sources = SourceMap::new();
        let id = sources.add(Protocol::File, "a.conf", format!("filter {{ if {condition} {{ x {{}} }} }}"));
        let source = sources.get(id).unwrap();
        let mut diagnostics = Diagnostics::new();
        let document = ferrostash_conf::grammar::parse(source).unwrap();
        let sections = lower::lower(&document, source, false, &mut diagnostics);
        let compiled = match sections.filters.first() {
            Some(Statement::If(statement)) => statement
                .arms
                .first()
                .and_then(|arm| Predicate::compile(&arm.condition, &sources, &mut diagnostics)),
            _ => None,
        };
        compiled.filter(|_| !diagnostics.has_errors()).ok_or_else(|| {
            let said =
                diagnostics.logstash_error().map(|error| format!("{}: {}", error.class, error.message));
            said.unwrap_or_else(|| diagnostics.iter().map(|d| d.message.clone()).collect())
        })
    }

    fn event(json: &str) -> Event {
        let mut events = Vec::new();
        Event::read_json(json, Timestamp::EPOCH, &mut |event| events.push(event)).unwrap();
        events.pop().unwrap()
    }

    fn ask(condition: &str, json: &str) -> Result<bool, Unanswered> {
        compile(condition).unwrap().ask(&event(json), &mut String::new())
    }

    #[track_caller]
    fn holds(condition: &str, yes: &[&str], no: &[&str]) {
        for (expected, events) in [(true, yes), (false, no)] {
            for json in events {
                assert_eq!(ask(condition, json), Ok(expected), "{condition} on {json}");
            }
        }
    }

    #[test]
    fn equality_keeps_kinds_apart() {
        holds(
            "[v] == 5",
            &[r#"{"v":5}"#],
            &[r#"{"v":5.0}"#, r#"{"v":"5"}"#, r#"{"v":[5]}"#, "{}", r#"{"v":null}"#],
        );
        holds("5.0 == [v]", &[r#"{"v":5.0}"#], &[r#"{"v":5}"#]);
        holds("[v] != 5", &["{}", r#"{"v":"5"}"#], &[r#"{"v":5}"#]);
        holds(
            "[v] == 12345678901234567890",
            &[r#"{"v":12345678901234567890}"#],
            &[r#"{"v":1.2345678901234567e19}"#],
        );
        holds("[v] == ['x', 'y']", &[r#"{"v":"x"}"#], &[r#"{"v":["x","y"]}"#, r#"{"v":"y"}"#]);
        holds("[v] == ['x']", &[r#"{"v":1,"'x'":1}"#], &[r#"{"v":"x"}"#]);
    }

    #[test]
    fn fields_compare_deeply_and_hashes_by_identity() {
        let yes = [
            "{}",
            r#"{"a":null,"b":null}"#,
            r#"{"a":[1,"x"],"b":[1,"x"]}"#,
            r#"{"a":{"k":255},"b":{"k":255}}"#,
            r#"{"a":["x",{"k":true}],"b":["x",{"k":true}]}"#,
            r#"{"a":{"k":null},"b":{"k":null}}"#,
        ];
        let no = [
            r#"{"a":null}"#,
            r#"{"a":[1],"b":[1.0]}"#,
            r#"{"a":{"k":256},"b":{"k":256}}"#,
            r#"{"a":{"k":"x"},"b":{"k":"x"}}"#,
            r#"{"a":{"k":{}},"b":{"k":{}}}"#,
            r#"{"a":[],"b":{}}"#,
        ];
        holds("[a] == [b]", &yes, &no);
        holds("[a] == [a]", &[r#"{"a":{"k":"x"}}"#, "{}"], &[]);
    }

    #[test]
    fn ordering_mixes_numbers_and_refuses_the_rest() {
        holds("[v] > 5", &[r#"{"v":6}"#, r#"{"v":5.1}"#, r#"{"v":12345678901234567890}"#], &[r#"{"v":5.0}"#]);
        holds("[v] < -4.5", &[r#"{"v":-5}"#, r#"{"v":-12345678901234567890}"#], &[r#"{"v":-4}"#]);
        holds("5 < [v]", &[r#"{"v":6}"#], &[r#"{"v":4}"#]);
        holds("[v] > '5'", &[r#"{"v":"5.0"}"#, r#"{"v":"a"}"#], &[r#"{"v":""}"#]);
        // Null and booleans have no order in Ruby, which Java reads as equal.
        holds("[v] >= 5", &[r#"{"v":null}"#, r#"{"v":true}"#], &[]);
        holds("[v] > 5", &[], &[r#"{"v":null}"#, r#"{"v":false}"#]);
        holds("[v] >= [w]", &[r#"{"v":null}"#], &[]);
        holds("[@timestamp] >= '2026'", &["{}"], &[]);
        for json in ["{}", r#"{"v":"6"}"#, r#"{"v":[6]}"#, r#"{"v":{}}"#] {
            assert!(ask("[v] > 5", json).is_err(), "{json}");
            assert!(ask("!([v] > 5)", json).is_err(), "{json}");
            assert_eq!(ask("![x] or [v] > 5", json), Ok(true), "{json}");
        }
        for json in [r#"{"v":1}"#, r#"{"v":1,"w":{}}"#, r#"{"v":1,"w":null}"#, r#"{"v":[2],"w":[1]}"#] {
            assert!(ask("[v] > [w]", json).is_err(), "{json}");
        }
        let reason = ask("[v] > 5", r#"{"v":[6]}"#).unwrap_err();
        assert_eq!(reason.to_string(), "a list and a number cannot be put in order");
    }

    #[test]
    fn membership() {
        holds(
            "[v] in 'xabcx 5'",
            &[r#"{"v":"abc"}"#, r#"{"v":""}"#],
            &[r#"{"v":5}"#, r#"{"v":["abc"]}"#, "{}"],
        );
        holds(
            "'abc' in [v]",
            &[r#"{"v":"xabcx"}"#, r#"{"v":["abc"]}"#],
            &[r#"{"v":["xabcx"]}"#, r#"{"v":{"abc":1}}"#],
        );
        holds("5 in [v]", &[r#"{"v":[4,5]}"#], &[r#"{"v":5}"#, r#"{"v":["5"]}"#, r#"{"v":[5.0]}"#]);
        let yes = [r#"{"v":"abc"}"#, r#"{"v":5}"#, r#"{"v":"5"}"#, r#"{"v":5.5}"#, r#"{"v":true}"#];
        holds(
            "[v] in ['abc', 5, 5.5, 'true']",
            &yes,
            &[r#"{"v":5.0}"#, r#"{"v":[5]}"#, "{}", r#"{"v":null}"#],
        );
        let yes =
            [r#"{"a":"x","b":"axb"}"#, r#"{"a":1,"b":[1]}"#, r#"{"a":1,"b":1}"#, r#"{"a":null,"b":[null]}"#];
        let no = [
            r#"{"a":1,"b":[1.0]}"#,
            r#"{"a":1,"b":"1"}"#,
            "{}",
            r#"{"a":["x"],"b":[["x"]]}"#,
            r#"{"a":{},"b":{}}"#,
            r#"{"b":["x"]}"#,
        ];
        holds("[a] in [b]", &yes, &no);
        holds("[a] not in [b]", &no, &yes);
        // Of two constants, only equal ones are in each other.
        holds("'b' in ['a', 'b']", &[], &["{}"]);
        holds("'b' in 'abc'", &[], &["{}"]);
        holds("'b' in 'b'", &["{}"], &[]);
    }

    #[test]
    fn long_lists_are_looked_up() {
        let list: Vec<String> = (0..100).map(|i| format!("'h{i}'")).collect();
        let condition = format!("[v] in [{}]", list.join(", "));
        holds(&condition, &[r#"{"v":"h0"}"#, r#"{"v":"h99"}"#], &[r#"{"v":"h100"}"#, r#"{"v":5}"#]);
    }

    #[test]
    fn only_strings_match() {
        holds("[v] =~ /5/", &[r#"{"v":"15"}"#], &[r#"{"v":5}"#, r#"{"v":["5"]}"#, "{}"]);
        holds("[v] !~ //", &[r#"{"v":5}"#, "{}"], &[r#"{"v":""}"#]);
        holds("[v] =~ '^b$'", &[r#"{"v":"a\nb"}"#], &[r#"{"v":"ab"}"#]);
    }

    #[test]
    fn truth() {
        let yes = [r#"{"v":0}"#, r#"{"v":[]}"#, r#"{"v":{}}"#, r#"{"v":" "}"#];
        holds("[v]", &yes, &[r#"{"v":""}"#, r#"{"v":"false"}"#, r#"{"v":false}"#, r#"{"v":null}"#, "{}"]);
        holds("[@metadata]", &["{}"], &[]);
        holds("'x'", &["{}"], &[]);
        holds("0", &["{}"], &[]);
        holds("'a' == 'a'", &["{}"], &[]);
        holds("1 == 1.0", &[], &["{}"]);
        holds("1 < 2", &["{}"], &[]);
    }

    #[test]
    fn operators() {
        let (none, a, b, both) = ("{}", r#"{"a":1}"#, r#"{"b":1}"#, r#"{"a":1,"b":1}"#);
        holds("[a] and [b]", &[both], &[none, a, b]);
        holds("[a] or [b]", &[both, a, b], &[none]);
        holds("[a] xor [b]", &[a, b], &[none, both]);
        holds("[a] nand [b]", &[none, a, b], &[both]);
        holds("!([a] or [b])", &[none], &[a, b, both]);
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let refused = |condition: &str| compile(condition).unwrap_err();
        assert_eq!(refused("[a] =~ /(a/"), "RegexpError: end pattern with unmatched parenthesis: /(a/");
        assert!(refused("'a' or [b]").contains("Unexpected conditional input combination"));
        assert!(refused("[b] and 5").contains("Unexpected conditional input combination"));
        assert!(refused("'a' =~ /b/").contains("Unexpected conditional input combination"));
        assert!(refused("1 < 2.5").contains("ClassCastException"));
        assert!(refused("1 < '2'").contains("cannot be cast"));
    }
}
