//! The grok filter: fields out of text, by named patterns.
//!
//! Fields are tried in the order of `match`, and the patterns of each in theirs. A capture of a string field is not
//! copied: the new field is a piece of the same text. What other kinds of values look like to a pattern is Ruby's
//! `to_s` of them, so a missing field is the empty string, and a list is matched element by element.

mod capture;
mod expression;
mod number;
mod pattern_files;
mod timeout;

use crate::shared::excerpt;
use expression::{Expressions, Rules, Stop};
use ferrostash_conf::{ConfKind, ConfValue, OptionEnum, Options, Spanned};
use ferrostash_event::Event;
use ferrostash_grok::{Captures, PatternLibrary};
use ferrostash_plugin::{
    BuildContext, BuildResult, EventFilter, FilterContext, FilterPlugin, Matched, PluginDef, Tally, filter,
};
use std::sync::Arc;
use timeout::Timeout;

/// Takes text apart into fields by named patterns.
///
/// `%{PATTERN:field}` is a piece of text that `PATTERN` describes, stored in `field`; `%{PATTERN:field:int}` and
/// `:float` make it a number, and `(?<field>…)` is a regular expression of one's own. The patterns that come with
/// grok follow `ecs_compatibility`. Where `field` holds a string or a list already, the capture is added to it, unless
/// `overwrite` names it; a capture into a field with another value is dropped.
///
/// ```conf
/// filter { grok { match => { "message" => "%{IP:[client][ip]} %{WORD:method} %{NUMBER:seconds:float}" } } }
/// # in:  {"message": "192.0.2.7 GET 0.250"}
/// # out: {"message": "192.0.2.7 GET 0.250", "client": {"ip": "192.0.2.7"}, "method": "GET", "seconds": 0.25}
/// # in:  {"message": "nonsense"}
/// # out: {"message": "nonsense", "tags": ["_grokparsefailure"]}
/// ```
///
/// ```conf
/// filter {
///   grok {
///     pattern_definitions => { "ORDER" => "ORD-%{POSINT:order:int}" }
///     match => { "message" => ["^%{ORDER}: %{GREEDYDATA:message}", "^%{LOGLEVEL:level}"] }
///     overwrite => ["message"]
///   }
/// }
/// # in:  {"message": "ORD-17: paid"}
/// # out: {"message": "paid", "order": 17}
/// # in:  {"message": "ERROR"}
/// # out: {"message": "ERROR", "level": "ERROR"}
/// ```
#[derive(Options, Clone)]
#[plugin(filter = "grok")]
pub(crate) struct GrokOptions {
    /// Fields, and the pattern or list of patterns that each is matched against.
    #[option(rename = "match", default = {})]
    matches: Vec<(String, ConfValue)>,
    /// Folders (or files) with patterns of one's own: one a line, the name, blanks, the pattern.
    #[option(default = [])]
    patterns_dir: Vec<Spanned<String>>,
    /// Patterns of one's own, by name. They come after those of `patterns_dir`, and replace them.
    #[option(default = {})]
    pattern_definitions: Vec<(String, Spanned<String>)>,
    /// The files of a folder in `patterns_dir` that are read.
    #[option(default = "*")]
    patterns_files_glob: String,
    /// Whether the first pattern that matches is the last one tried.
    #[option(default = true)]
    break_on_match: bool,
    /// Whether only patterns with a field are stored; otherwise `%{WORD}` goes to the field `WORD`.
    #[option(default = true)]
    named_captures_only: bool,
    /// Whether empty captures are stored too; those that took no part in a match are null then.
    #[option(default = false)]
    keep_empty_captures: bool,
    /// A field below which all captures go; the event's top level when absent.
    target: Option<String>,
    /// Tags of events that no pattern matched.
    #[option(default = ["_grokparsefailure"])]
    tag_on_failure: Vec<String>,
    /// Longest time, in milliseconds, that a search may take; 0 for no limit.
    #[option(default = 30000)]
    timeout_millis: f64,
    /// Whether the time is given to each pattern, or to all of a field together.
    #[option(default = "pattern")]
    timeout_scope: TimeoutScope,
    /// The tag of events whose search took too long. No further pattern is tried on them.
    #[option(default = "_groktimeout")]
    tag_on_timeout: String,
    /// Fields whose value a capture replaces. Names are compared as they are written.
    #[option(default = [])]
    overwrite: Vec<String>,
}

/// What `timeout_millis` counts for.
#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum TimeoutScope {
    Pattern,
    Event,
}

/// The declaration.
pub(crate) static PLUGIN: PluginDef = filter::<Grok>();

/// What the options ask for, shared by all workers, and a worker's scratch.
#[derive(Clone)]
pub(crate) struct Grok {
    plan: Arc<Plan>,
    captures: Captures,
    matches: Tally,
    failures: Tally,
    timeouts: Tally,
}

struct Plan {
    fields: Vec<Expressions>,
    rules: Rules,
    tag_on_failure: Vec<String>,
    tag_on_timeout: String,
}

impl FilterPlugin for Grok {
    type Options = GrokOptions;

    fn build(options: GrokOptions, cx: &mut BuildContext<'_>) -> BuildResult<Grok> {
        let mut library = if cx.ecs.is_on() { PatternLibrary::ecs_v1() } else { PatternLibrary::legacy() };
        let read = pattern_files::add(&mut library, &options.patterns_dir, &options.patterns_files_glob, cx);
        let defined = define(&mut library, &options.pattern_definitions, cx);
        let fields = expressions(&library, &options, cx);
        // Whatever failed has said what is wrong with it.
        read.and(defined)?;
        let rules = Rules {
            break_on_match: options.break_on_match,
            keep_empty: options.keep_empty_captures,
            timeout: Timeout::new(options.timeout_millis, options.timeout_scope == TimeoutScope::Event),
        };
        let plan = Plan {
            fields: fields?,
            rules,
            tag_on_failure: options.tag_on_failure,
            tag_on_timeout: options.tag_on_timeout,
        };
        let tally = |name| Tally::new(cx.metrics.counter(&[name]));
        let (matches, failures, timeouts) = (tally("matches"), tally("failures"), tally("timeouts"));
        Ok(Grok { plan: Arc::new(plan), captures: Captures::new(), matches, failures, timeouts })
    }
}

/// Adds `pattern_definitions`.
fn define(
    library: &mut PatternLibrary,
    definitions: &[(String, Spanned<String>)],
    cx: &mut BuildContext<'_>,
) -> BuildResult<()> {
    let mut all = Ok(());
    for (name, definition) in definitions {
        if let Err(error) = library.add(name, &definition.value) {
            all = Err(cx.refuse_at(definition.span, error.to_string()));
        }
    }
    all
}

/// Compiles `match`; every pattern that is wrong is reported.
fn expressions(
    library: &PatternLibrary,
    options: &GrokOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<Vec<Expressions>> {
    let mut fields = Vec::with_capacity(options.matches.len());
    let mut all = Ok(());
    for (field, patterns) in &options.matches {
        let compiled = texts(patterns, cx).and_then(|patterns| {
            cx.metrics.gauge(&["patterns_per_field", field]).set(patterns.len() as u64);
            Expressions::compile(library, field, &patterns, options, cx)
        });
        match compiled {
            Ok(compiled) => fields.push(compiled),
            Err(refused) => all = Err(refused),
        }
    }
    all.map(|()| fields)
}

/// One pattern, or a list of them.
fn texts(value: &ConfValue, cx: &mut BuildContext<'_>) -> BuildResult<Vec<Spanned<String>>> {
    let values = match &value.kind {
        ConfKind::Array(values) => values.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let text = |value: &ConfValue| match value.as_text() {
        Some(text) => Ok(Spanned { value: text.to_owned(), span: value.span }),
        None => Err(value.span),
    };
    let texts: Result<Vec<_>, _> = values.iter().map(text).collect();
    texts.map_err(|span| cx.refuse_at(span, "`match` needs a pattern in quotes, or a list of these"))
}

impl Grok {
    fn match_fields(&mut self, event: &mut Event) -> Result<bool, Stop> {
        let mut matched = false;
        for field in &self.plan.fields {
            match field.apply(event, &self.plan.rules, &mut self.captures) {
                Ok(found) => matched |= found,
                Err(Stop::Fault(error)) => {
                    tracing::warn!(field = field.name(), error, limited = true, "grok gave up on a field");
                }
                Err(timeout) => return Err(timeout),
            }
            if matched && self.plan.rules.break_on_match {
                break;
            }
        }
        Ok(matched)
    }
}

impl EventFilter for Grok {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) -> Matched {
        match self.match_fields(event) {
            Ok(true) => {
                self.matches.count();
                Matched::Yes
            }
            Ok(false) | Err(Stop::Fault(_)) => {
                self.failures.count();
                cx.fail(event, &self.plan.tag_on_failure, "no pattern fits");
                Matched::No
            }
            Err(Stop::Timeout { field, pattern, value }) => {
                let value = excerpt(&value);
                tracing::warn!(
                    field,
                    pattern,
                    value,
                    limited = true,
                    "a grok pattern took longer than its timeout"
                );
                self.timeouts.count();
                let reason = format_args!("pattern {pattern} took too long in {field}");
                cx.fail(event, &[&self.plan.tag_on_timeout], reason);
                Matched::No
            }
        }
    }

    fn batch_done(&mut self) {
        [&mut self.matches, &mut self.failures, &mut self.timeouts].into_iter().for_each(Tally::hand_in);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_plugin::testing::{FilterHarness, Harness};

    fn grok(options: &str) -> FilterHarness {
        Harness::new(&[&PLUGIN]).filter(&format!("grok {{ {options} }}")).unwrap_or_else(|e| panic!("{e}"))
    }

    fn refused(options: &str) -> String {
        Harness::new(&[&PLUGIN]).filter(&format!("grok {{ {options} }}")).err().unwrap()
    }

    /// What becomes of one event.
    fn run(options: &str, event: &str) -> String {
        grok(options).run_json(&[event]).remove(0)
    }

    fn count(harness: &FilterHarness, path: &[&str]) -> u64 {
        harness.metrics.counter(path).get()
    }

    #[test]
    fn captures_become_fields() {
        let options = r#"match => { "message" => "%{WORD:verb} %{NOTSPACE:[url][path]} %{INT:n:int} %{NUMBER:t:float}" }"#;
        assert_eq!(
            run(options, r#"{"message":"GET /é 007 0.50"}"#),
            r#"{"message":"GET /é 007 0.50","verb":"GET","url":{"path":"/é"},"n":7,"t":0.5}"#
        );
        assert_eq!(run(options, r#"{"message":"GET"}"#), r#"{"message":"GET","tags":["_grokparsefailure"]}"#);
    }

    #[test]
    fn what_is_there_already() {
        let options = r#"match => { "message" => "%{WORD:w} %{WORD:w}" }"#;
        for (existing, expected) in [
            ("null", r#"["a","b"]"#),
            (r#""x""#, r#"["x","a","b"]"#),
            (r#"[1]"#, r#"[1,"a","b"]"#),
            ("5", "5"),
            ("false", "false"),
            (r#"{"k":1}"#, r#"{"k":1}"#),
        ] {
            let event = format!(r#"{{"message":"a b","w":{existing}}}"#);
            assert_eq!(run(options, &event), format!(r#"{{"message":"a b","w":{expected}}}"#));
            let overwriting = format!(r#"{options} overwrite => ["w"]"#);
            assert_eq!(run(&overwriting, &event), r#"{"message":"a b","w":"b"}"#);
        }
    }

    #[test]
    fn overwriting_the_text_that_is_being_matched() {
        let options = r#"match => { "message" => "%{WORD:message} %{WORD:rest}" } overwrite => "message""#;
        assert_eq!(run(options, r#"{"message":"a b"}"#), r#"{"message":"a","rest":"b"}"#);
    }

    #[test]
    fn sources_that_are_no_strings() {
        for (source, expected) in [
            ("12.50", "12.5"),
            ("1e25", "1.0e+25"),
            ("true", "true"),
            (r#"{"a":[1,null]}"#, r#"{\"a\" => [1, nil]}"#),
        ] {
            let event = format!(r#"{{"v":{source}}}"#);
            let got = run(r#"match => { "v" => "^(?<text>.*)$" }"#, &event);
            assert!(got.ends_with(&format!(r#""text":"{expected}"}}"#)), "{got}");
        }
        assert_eq!(
            run(r#"match => { "l" => "%{INT:n:int}" }"#, r#"{"l":["x",5,"6",null]}"#),
            r#"{"l":["x",5,"6",null],"n":5}"#
        );
        assert_eq!(
            run(r#"match => { "l" => "%{INT:n}" }"#, r#"{"l":["1","2"]}"#),
            r#"{"l":["1","2"],"n":["1","2"]}"#
        );
        let missing = r#"match => { "nothing" => "^$" } add_tag => ["empty"]"#;
        assert_eq!(run(missing, "{}"), r#"{"tags":["empty"]}"#);
        assert_eq!(run(missing, r#"{"nothing":[]}"#), r#"{"nothing":[],"tags":["_grokparsefailure"]}"#);
    }

    #[test]
    fn empty_captures() {
        let pattern = r#"match => { "message" => "^%{DATA:a};(?:%{INT:b})?;%{DATA:n:int}$" }"#;
        assert_eq!(run(pattern, r#"{"message":";;"}"#), r#"{"message":";;","n":0}"#);
        assert_eq!(
            run(&format!("{pattern} keep_empty_captures => true"), r#"{"message":";;"}"#),
            r#"{"message":";;","a":"","b":null,"n":0}"#
        );
    }

    #[test]
    fn several_patterns_and_fields() {
        let options = r#"match => { "a" => ["^%{INT:n}$", "^(?<w>[a-z]+)$"] "b" => "%{WORD:w}" } tag_on_failure => ["x", "y"]"#;
        assert_eq!(run(options, r#"{"a":"5","b":"q"}"#), r#"{"a":"5","b":"q","n":"5"}"#);
        assert_eq!(run(options, r#"{"a":"-","b":"q"}"#), r#"{"a":"-","b":"q","w":"q"}"#);
        assert_eq!(run(options, r#"{"a":"-","tags":["x"]}"#), r#"{"a":"-","tags":["x","y"]}"#);
        let all = format!("{options} break_on_match => false");
        assert_eq!(run(&all, r#"{"a":"5","b":"q"}"#), r#"{"a":"5","b":"q","n":"5","w":"q"}"#);
        // The last pattern of a field decides.
        assert_eq!(run(&all, r#"{"a":"5"}"#), r#"{"a":"5","n":"5","tags":["x","y"]}"#);
    }

    #[test]
    fn below_a_target() {
        let options = r#"match => { "message" => "%{WORD:w} %{INT:[n][x]:int}" } target => " out ""#;
        assert_eq!(run(options, r#"{"message":"a 1"}"#), r#"{"message":"a 1","out":{"w":"a","n":{"x":1}}}"#);
        // Where that is no hash, nothing can be stored.
        assert_eq!(
            run(options, r#"{"message":"a 1","out":"s"}"#),
            r#"{"message":"a 1","out":"s","tags":["_grokparsefailure"]}"#
        );
        let nested = r#"match => { "message" => "%{WORD:w}" } target => "[a][b]" overwrite => "w""#;
        assert_eq!(
            run(nested, r#"{"message":"x","a":{"b":{"w":1}}}"#),
            r#"{"message":"x","a":{"b":{"w":"x"}}}"#
        );
    }

    #[test]
    fn pattern_files_and_definitions() {
        let folder = std::env::temp_dir().join(format!("ferrostash-grok-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.pattern"), "# ours\nCODE [A-Z]{2}\nTWICE %{CODE}%{CODE}\n").unwrap();
        std::fs::write(folder.join("b.txt"), "CODE [0-9]{2}\n").unwrap();
        let grok = |options: &str| {
            let options = format!(
                r#"patterns_dir => ["{}"] match => {{ "message" => "^%{{TWICE:code}}$" }} {options}"#,
                folder.display()
            );
            ["AABB", "1122", "xxxx"]
                .map(|text| run(&options, &format!(r#"{{"message":"{text}"}}"#)).contains("code"))
        };
        assert_eq!(grok(""), [false, true, false]);
        assert_eq!(grok(r#"patterns_files_glob => "*.{pattern,grok}""#), [true, false, false]);
        assert_eq!(grok(r#"pattern_definitions => { "CODE" => "x+" }"#), [false, false, true]);
        std::fs::write(folder.join("c"), b"CODE \xff\n").unwrap();
        let error = refused(&format!(r#"patterns_dir => ["{}"]"#, folder.display()));
        assert!(error.contains("c: the file is not UTF-8"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn ecs_decides_about_the_patterns() {
        let event = r#"{"message":"Mar  7 04:02:11 gw1 cron[812]: x"}"#;
        let options = r#"match => { "message" => "^%{SYSLOGBASE}" }"#;
        assert!(run(options, event).contains(r#""process":{"name":"cron","pid":812}"#));
        assert!(
            run(&format!("{options} ecs_compatibility => disabled"), event)
                .contains(r#""program":"cron","pid":"812""#)
        );
    }

    #[test]
    fn a_slow_pattern_is_given_up() {
        let slow = format!(r#"{{"message":"{} y"}}"#, "x".repeat(45));
        let options =
            r#"match => { "message" => ["^%{INT:n}$", "^(?:x+x+)+y", "^%{WORD:w}"] } timeout_millis => 50"#;
        for scope in ["pattern", "event"] {
            let mut grok = grok(&format!("{options} timeout_scope => {scope} tag_on_timeout => slow"));
            let found = grok.run_json(&[&slow, r#"{"message":"5"}"#]);
            assert!(found[0].ends_with(r#" y","tags":["slow"]}"#), "{found:?}");
            assert_eq!(found[1], r#"{"message":"5","n":"5"}"#);
            assert_eq!([["timeouts"], ["matches"], ["failures"]].map(|path| count(&grok, &path)), [1, 1, 0]);
        }
    }

    #[test]
    fn what_is_counted() {
        let mut grok = grok(r#"match => { "message" => ["%{INT:n}", "^%{WORD:w}$"] "other" => "%{INT:n}" }"#);
        grok.run_json(&[r#"{"message":"5"}"#, r#"{"message":"-"}"#, r#"{"message":"x"}"#]);
        assert_eq!((count(&grok, &["matches"]), count(&grok, &["failures"])), (2, 1));
        assert_eq!(count(&grok, &["patterns_per_field", "message"]), 2);
        assert_eq!(count(&grok, &["patterns_per_field", "other"]), 1);
    }

    #[test]
    fn names_that_are_no_references_fail_at_events() {
        let mut grok = grok(r#"match => { "message" => "%{WORD:a} %{WORD:[b c]}" }"#);
        assert_eq!(
            grok.run_json(&[r#"{"message":"x y"}"#]),
            [r#"{"message":"x y","a":"x","tags":["_grokparsefailure"]}"#]
        );
        assert_eq!(run(r#"match => { "[a" => "x" }"#, "{}"), r#"{"tags":["_grokparsefailure"]}"#);
    }

    #[test]
    fn all_broken_patterns_are_shown() {
        let error = refused(
            r#"match => { "message" => ["%{IPORHOTS:x}", "(%{WORD:x}", "(?<q>a)\1"] }
               pattern_definitions => { "OUTER" => "%{INNER}" "LOOP" => "%{LOOP}" } timeout_scope => "line""#,
        );
        assert!(error.contains(r#"Expected one of ["pattern", "event"], got ["line"]"#), "{error}");
        let error = refused(
            r#"match => { "message" => ["a %{IPORHOTS:x}", "(%{WORD:x}", "(?<q>a)\1", "%{OUTER}", "%{LOOP}"] "n" => 5 }
               pattern_definitions => { "OUTER" => "%{INNERMOST}" "LOOP" => "%{LOOP}" }"#,
        );
        for part in [
            "filter `grok`: pattern %{IPORHOTS:x} not defined; did you mean `IPORHOST`?",
            "^^^^^^^^^^^^^ did you mean `IPORHOST`?",
            "Grok::PatternError: pattern %{IPORHOTS:x} not defined\n",
            "end pattern with unmatched parenthesis at offset 0",
            "numbered backref/call is not allowed. (use name)",
            "`OUTER` refers to it",
            "endless pattern definition: LOOP -> LOOP",
            "`match` needs a pattern in quotes",
        ] {
            assert!(error.contains(part), "{part}\n---\n{error}");
        }
        assert_eq!(error.matches("error:").count(), 6, "{error}");
    }
}
