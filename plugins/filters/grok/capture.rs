//! One capture of a pattern, and how it gets into the event.

use super::expression::{Stop, Subject};
use super::number::{to_f, to_i};
use crate::shared::Field;
use ferrostash_event::{Event, FieldRef, SetError, TextSpan, Value, ValueRef};
use ferrostash_grok::{Capture, CaptureType};
use std::ops::Range;

/// A group of a pattern with the field that it goes to.
#[derive(Debug)]
pub(super) struct Destination {
    group: usize,
    kind: CaptureType,
    field: Field,
    overwrite: bool,
}

/// What is stored.
enum Captured<'t> {
    /// A piece of the event's own text.
    Span(TextSpan),
    Text(&'t str),
    Other(Value),
}

impl Destination {
    pub(super) fn new(capture: &Capture, field: Field, overwrite: bool) -> Destination {
        Destination { group: capture.group(), kind: capture.kind(), field, overwrite }
    }

    /// The number of the group.
    pub(super) fn group(&self) -> usize {
        self.group
    }

    /// Stores the piece of `subject` that the group matched; `None` when it took no part.
    pub(super) fn store(
        &self,
        event: &mut Event,
        subject: Subject<'_>,
        range: Option<Range<usize>>,
        keep_empty: bool,
    ) -> Result<(), Stop> {
        let Some(captured) = self.captured(event, subject, range, keep_empty) else { return Ok(()) };
        let field = self.field.get().map_err(Stop::fault)?;
        if self.overwrite {
            return captured.set(event, field).map_err(Stop::fault);
        }
        if let Captured::Span(span) = captured
            && event.fill_slice(field, span).map_err(Stop::fault)?
        {
            return Ok(());
        }
        match event.get(field) {
            None | Some(ValueRef::Null) => captured.set(event, field),
            Some(ValueRef::Str(text)) => {
                let list = vec![Value::from(text), captured.into_value(event)];
                event.set(field, Value::Array(list))
            }
            Some(ValueRef::Array(list)) => {
                let list = list.iter().map(ValueRef::to_value).chain([captured.into_value(event)]).collect();
                event.set(field, Value::Array(list))
            }
            Some(_) => Ok(()),
        }
        .map_err(Stop::fault)
    }

    fn captured<'t>(
        &self,
        event: &Event,
        subject: Subject<'t>,
        range: Option<Range<usize>>,
        keep_empty: bool,
    ) -> Option<Captured<'t>> {
        let Some(range) = range else { return keep_empty.then_some(Captured::Other(Value::Null)) };
        let number = match self.kind {
            CaptureType::Text if range.is_empty() && !keep_empty => return None,
            CaptureType::Text => None,
            CaptureType::Int => to_i(subject.text(event).get(range.clone())?),
            CaptureType::Float => Some(Value::Float(to_f(subject.text(event).get(range.clone())?))),
        };
        Some(match (number, subject) {
            (Some(number), _) => Captured::Other(number),
            (None, Subject::Span(span)) => Captured::Span(span.slice(range)),
            (None, Subject::Text(text)) => Captured::Text(text.get(range)?),
        })
    }
}

impl Captured<'_> {
    fn set(self, event: &mut Event, field: &FieldRef) -> Result<(), SetError> {
        match self {
            Captured::Span(span) => event.set_slice(field, span),
            Captured::Text(text) => event.set_str(field, text),
            Captured::Other(value) => event.set(field, value),
        }
    }

    fn into_value(self, event: &Event) -> Value {
        match self {
            Captured::Span(span) => Value::from(event.text(span)),
            Captured::Text(text) => Value::from(text),
            Captured::Other(value) => value,
        }
    }
}
