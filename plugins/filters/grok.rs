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
    BuildContext, BuildResult, Counter, EventFilter, FilterContext, FilterPlugin, Matched, PluginDef, Refused,
    filter,
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
}

struct Plan {
    fields: Vec<Expressions>,
    rules: Rules,
    tag_on_failure: Vec<String>,
    tag_on_timeout: String,
    matches: Arc<Counter>,
    failures: Arc<Counter>,
    timeouts: Arc<Counter>,
}

impl FilterPlugin for Grok {
    type Options = GrokOptions;

    fn build(options: GrokOptions, cx: &mut BuildContext<'_>) -> BuildResult<Grok> {
        let mut library =
            if cx.ecs.is_on() { PatternLibrary::ecs_v1() } else { PatternLibrary::legacy() };
        let read = pattern_files::add(&mut library, &options.patterns_dir, &options.patterns_files_glob, cx);
        let defined = define(&mut library, &options.pattern_definitions, cx);
        let fields = expressions(&library, &options, cx);
        // All three have said what is wrong with them.
        (read.and(defined))?;
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
            matches: cx.metrics.counter(&["matches"]),
            failures: cx.metrics.counter(&["failures"]),
            timeouts: cx.metrics.counter(&["timeouts"]),
        };
        Ok(Grok { plan: Arc::new(plan), captures: Captures::new() })
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
    fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) -> Matched {
        match self.match_fields(event) {
            Ok(true) => {
                self.plan.matches.add(1);
                Matched::Yes
            }
            Ok(false) | Err(Stop::Fault(_)) => {
                self.plan.failures.add(1);
                self.plan.tag_on_failure.iter().for_each(|tag| event.tag(tag));
                Matched::No
            }
            Err(Stop::Timeout { field, pattern, value }) => {
                let value = excerpt(&value);
                tracing::warn!(field, pattern, value, limited = true, "a grok pattern took longer than its timeout");
                self.plan.timeouts.add(1);
                event.tag(&self.plan.tag_on_timeout);
                Matched::No
            }
        }
    }
}
