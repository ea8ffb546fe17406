//! The tracing layer that turns events into lines.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing::callsite::Identifier;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::line::{Fields, Line, Param};
use super::{LIMITED_PER_SECOND, LogFormat, LogLevel, LogSettings, Permit, RateLimit, logger_name};

type Write = dyn Fn(&[u8]) + Send + Sync;

/// Formats events and hands each on as one whole line.
pub(crate) struct LogLayer {
    format: LogFormat,
    fix_duplicate_message: bool,
    /// One per call site with `limited = true`, so their number is bounded by the code.
    limits: Mutex<HashMap<Identifier, RateLimit>>,
    write: Box<Write>,
}

impl LogLayer {
    pub(crate) fn new(settings: &LogSettings, write: Box<Write>) -> Self {
        Self {
            format: settings.format,
            fix_duplicate_message: settings.fix_duplicate_message_fields,
            limits: Mutex::default(),
            write,
        }
    }

    /// How many lines were held back before this one, or `None` when it has to be held back itself.
    fn permit(&self, metadata: &Metadata<'_>) -> Option<u64> {
        if metadata.fields().field("limited").is_none() {
            return Some(0);
        }
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = limits.entry(metadata.callsite()).or_insert_with(|| RateLimit::new(LIMITED_PER_SECOND));
        match limit.ask(Instant::now()) {
            Permit::Granted { suppressed } => Some(suppressed),
            Permit::Denied => None,
        }
    }

    fn write_line(&self, metadata: &Metadata<'_>, fields: &Fields) {
        let logger = logger_name(metadata.target());
        let thread = std::thread::current();
        let line = Line {
            level: LogLevel::of(metadata),
            logger: &logger,
            thread: thread.name().unwrap_or("unnamed"),
            time: &jiff::Zoned::now(),
            fields,
        };
        (self.write)(&line.format(self.format, self.fix_duplicate_message));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::of_span();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(suppressed) = self.permit(event.metadata()) else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        // The innermost span comes first and wins.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(around) = span.extensions().get::<Fields>() {
                fields.pipeline_id = fields.pipeline_id.or_else(|| around.pipeline_id.clone());
                fields.plugin_id = fields.plugin_id.or_else(|| around.plugin_id.clone());
            }
        }
        if suppressed > 0 {
            let mut summary = fields.clone();
            summary.message = "Similar lines were suppressed".to_owned();
            summary.params = vec![
                ("suppressed", Param::Json(suppressed.into())),
                ("line", Param::Json(fields.message.as_str().into())),
            ];
            self.write_line(event.metadata(), &summary);
        }
        self.write_line(event.metadata(), &fields);
    }
}

#[cfg(test)]
mod tests;
