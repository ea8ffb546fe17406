//! The patterns of one field, compiled, and matching them.

use super::GrokOptions;
use super::capture::Destination;
use super::timeout::{Clock, Timeout};
use crate::shared::Field;
use ferrostash_conf::{Diagnostic, Span, Spanned};
use ferrostash_event::{Event, TextSpan, ValueRef};
use ferrostash_grok::{Capture, Captures, Grok, GrokError, MatchError, PatternLibrary};
use ferrostash_plugin::{BuildContext, BuildResult, Refused};
use std::borrow::Cow;
use std::time::Duration;

/// Options that matching minds.
pub(super) struct Rules {
    pub(super) break_on_match: bool,
    pub(super) keep_empty: bool,
    pub(super) timeout: Timeout,
}

/// Why matching ended early.
pub(super) enum Stop {
    /// Nothing more is tried with this field: a capture could not be stored, for instance.
    Fault(String),
    /// Nothing more is tried with this event.
    Timeout {
        /// The field that was matched.
        field: String,
        /// The pattern as written.
        pattern: String,
        /// The beginning of the text.
        value: String,
    },
}

impl Stop {
    pub(super) fn fault(error: impl std::error::Error) -> Stop {
        Stop::Fault(error.to_string())
    }
}

/// The text that patterns are matched against.
#[derive(Clone, Copy)]
pub(super) enum Subject<'t> {
    /// A string of the event.
    Span(TextSpan),
    /// What another value looks like.
    Text(&'t str),
}

impl<'t> Subject<'t> {
    pub(super) fn text<'e>(self, event: &'e Event) -> &'e str
    where
        't: 'e,
    {
        match self {
            Subject::Span(span) => event.text(span),
            Subject::Text(text) => text,
        }
    }
}

/// A field and its patterns, in order.
pub(super) struct Expressions {
    name: String,
    source: Field,
    expressions: Vec<Expression>,
}

struct Expression {
    grok: Grok,
    destinations: Vec<Destination>,
}

impl Expressions {
    /// Compiles the patterns of a field; every one that is wrong is reported.
    pub(super) fn compile(
        library: &PatternLibrary,
        name: &str,
        patterns: &[Spanned<String>],
        options: &GrokOptions,
        cx: &mut BuildContext<'_>,
    ) -> BuildResult<Expressions> {
        let mut expressions = Vec::with_capacity(patterns.len());
        let mut all = Ok(());
        for pattern in patterns {
            match Grok::compile(library, &pattern.value, options.named_captures_only) {
                Ok(grok) => {
                    let engine = grok.regex().engine();
                    cx.log_pattern(&pattern.value, engine.name(), engine.reason());
                    expressions.push(Expression::new(grok, options, cx));
                }
                Err(error) => all = Err(refuse(&error, pattern, cx)),
            }
        }
        let source = Field::parse(name, cx);
        all.map(|()| Expressions { name: name.to_owned(), source, expressions })
    }

    /// The field as the configuration spells it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Matches the field of `event`, and stores what its patterns capture. A list's elements are matched one by one.
    pub(super) fn apply(
        &self,
        event: &mut Event,
        rules: &Rules,
        captures: &mut Captures,
    ) -> Result<bool, Stop> {
        let source = self.source.get().map_err(Stop::fault)?;
        if let Some(span) = event.str_span(source) {
            return self.match_value(event, Subject::Span(span), rules, captures);
        }
        let values = match event.get(source) {
            Some(ValueRef::Array(list)) => list.iter().map(printed).collect(),
            Some(value) => vec![printed(value)],
            None => vec![String::new()],
        };
        let mut matched = false;
        for value in &values {
            matched |= self.match_value(event, Subject::Text(value), rules, captures)?;
        }
        Ok(matched)
    }

    /// Whether the pattern that was tried last matched: that, and not whether any did, is what Logstash asks.
    fn match_value(
        &self,
        event: &mut Event,
        subject: Subject<'_>,
        rules: &Rules,
        captures: &mut Captures,
    ) -> Result<bool, Stop> {
        let clock = rules.timeout.start();
        let mut matched = false;
        // One pattern alone usually matches. Of several most don't, and a word that they must have shows it sooner.
        let sift = self.expressions.len() > 1;
        for expression in &self.expressions {
            let text = subject.text(event);
            matched = (!sift || expression.grok.regex().may_match(text))
                && expression
                    .matches(text, clock, captures)
                    .map_err(|error| self.stopped(error, expression, text))?;
            if matched {
                expression.store(event, subject, rules.keep_empty, captures)?;
                if rules.break_on_match {
                    break;
                }
            }
        }
        Ok(matched)
    }

    fn stopped(&self, error: MatchError, expression: &Expression, value: &str) -> Stop {
        match error {
            MatchError::Timeout => Stop::Timeout {
                field: self.name.clone(),
                pattern: expression.grok.pattern().to_owned(),
                value: crate::shared::excerpt(value).to_owned(),
            },
            MatchError::TooComplex => Stop::fault(error),
        }
    }
}

/// What a value that is no string looks like to a pattern.
fn printed(value: ValueRef<'_>) -> String {
    let mut text = String::new();
    value.write_ruby(&mut text);
    text
}

impl Expression {
    fn new(grok: Grok, options: &GrokOptions, cx: &mut BuildContext<'_>) -> Expression {
        let destination = |capture: &Capture| {
            let name = capture.field();
            let field = Field::parse(&path(options.target.as_deref(), name), cx);
            Destination::new(capture, field, options.overwrite.iter().any(|other| other == name))
        };
        let destinations = grok.captures().iter().map(destination).collect();
        Expression { grok, destinations }
    }

    fn matches(&self, text: &str, clock: Clock, captures: &mut Captures) -> Result<bool, MatchError> {
        match clock.left() {
            Some(Duration::ZERO) => Err(MatchError::Timeout),
            left => self.grok.matches(text, left, captures),
        }
    }

    fn store(
        &self,
        event: &mut Event,
        subject: Subject<'_>,
        keep_empty: bool,
        captures: &Captures,
    ) -> Result<(), Stop> {
        self.destinations.iter().try_for_each(|destination| {
            destination.store(event, subject, captures.get(destination.group()), keep_empty)
        })
    }
}

/// The reference to `field` below `target`, which may be written without brackets.
fn path<'f>(target: Option<&str>, field: &'f str) -> Cow<'f, str> {
    match target {
        None => field.into(),
        Some(target) if target.contains('[') && target.contains(']') => format!("{target}[{field}]").into(),
        Some(target) => format!("[{}][{field}]", target.trim()).into(),
    }
}

/// Reports a pattern that does not compile.
fn refuse(error: &GrokError, pattern: &Spanned<String>, cx: &mut BuildContext<'_>) -> Refused {
    let (kind, name) = cx.plugin;
    let text = &pattern.value;
    let (span, label, class, sentence) = match error {
        GrokError::UnknownPattern { reference, within, suggestions } => {
            let at = if within.is_none() { text.find(reference.as_str()) } else { None };
            let span = at.map_or(pattern.span, |at| piece(pattern, at, reference.len()));
            let label = match (suggestions.first(), within) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some(outer)) => format!("`{outer}` refers to it"),
                (None, None) => "there is no pattern of this name".to_owned(),
            };
            (span, label, "Grok::PatternError", format!("pattern {reference} not defined"))
        }
        GrokError::Endless { .. } => {
            (pattern.span, "here".to_owned(), "Grok::PatternError", error.to_string())
        }
        GrokError::BrokenRegex { error, .. } => {
            (pattern.span, "here".to_owned(), "RegexpError", format!("{}: /{text}/m", error.message()))
        }
    };
    let message = format!("{kind} `{name}`: {error}");
    cx.report(Diagnostic::error(message).at(span, label).logstash(class, sentence))
}

/// A piece of a pattern where it is written as it is, in quotes; the whole of it otherwise.
fn piece(pattern: &Spanned<String>, at: usize, len: usize) -> Span {
    let Spanned { value, span } = pattern;
    if !span.is_somewhere() || span.end - span.start != value.len() + 2 {
        return *span;
    }
    let start = span.start + 1 + at;
    Span::new(span.source, start..start + len)
}
