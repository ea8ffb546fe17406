//! Filters: synchronous work on the events of a batch.

use crate::decorate::Decoration;
use crate::metrics::PluginMetrics;
use ferrostash_event::{Batch, Event, Selection, Timestamp};

/// Whether a filter did its work on an event; only then the common options (`add_field`, …) apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Matched {
    /// It did.
    Yes,
    /// It did not, or it failed.
    No,
}

impl From<bool> for Matched {
    fn from(matched: bool) -> Self {
        if matched { Matched::Yes } else { Matched::No }
    }
}

/// When a filter gives back events that it keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Flushes {
    /// It keeps none.
    #[default]
    Never,
    /// At the end of the pipeline; also every five seconds where `periodic_flush` is on.
    OnRequest,
    /// Every five seconds and at the end.
    Periodically,
}

/// A filter as the engine sees it: one per worker, so `&mut self` is scratch space without locks.
pub trait Filter: Send {
    /// Works on the selected events of `batch`.
    fn filter(&mut self, batch: &mut Batch, selection: &Selection, cx: &mut FilterContext<'_>);

    /// When [`Filter::flush`] wants to be called.
    fn flushes(&self) -> Flushes {
        Flushes::Never
    }

    /// Gives back events that were kept; `at_end` when no event will follow.
    fn flush(&mut self, at_end: bool, cx: &mut FilterContext<'_>) -> Vec<Event> {
        let _ = (at_end, cx);
        Vec::new()
    }
}

/// A filter that looks at one event at a time: what nearly all plugins implement.
pub trait EventFilter: Send {
    /// Works on one event.
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) -> Matched;

    /// The last event of a batch went by: what was counted is handed in.
    fn batch_done(&mut self) {}

    /// The common options could not be applied after [`EventFilter::filter`] matched.
    fn decoration_failed(&mut self, event: &mut Event, error: &str) {
        tracing::warn!(error, "common options could not be applied");
        event.tag("_common_options_failure");
    }

    /// When [`EventFilter::flush`] wants to be called.
    fn flushes(&self) -> Flushes {
        Flushes::Never
    }

    /// Gives back events that were kept; `at_end` when no event will follow.
    fn flush(&mut self, at_end: bool, cx: &mut FilterContext<'_>) -> Vec<Event> {
        let _ = (at_end, cx);
        Vec::new()
    }
}

/// What a filter may use while it works.
pub struct FilterContext<'a> {
    /// The time of this batch.
    pub now: Timestamp,
    /// What is counted for this filter.
    pub metrics: &'a PluginMetrics,
    decoration: &'a Decoration,
    /// New events, with the slot they belong behind.
    made: Vec<(Event, Option<usize>)>,
    slot: Option<usize>,
    /// Whether events on which the filter fails go to the dead letter queue.
    sends_failures: bool,
    failed: Vec<(Event, String)>,
}

impl<'a> FilterContext<'a> {
    /// The context of one filter for one batch.
    pub fn new(now: Timestamp, metrics: &'a PluginMetrics, decoration: &'a Decoration) -> Self {
        let (made, failed) = (Vec::new(), Vec::new());
        FilterContext { now, metrics, decoration, made, slot: None, sends_failures: false, failed }
    }

    /// Says whether events on which the filter fails go to the dead letter queue.
    #[must_use]
    pub fn sending_failures(mut self, sends_failures: bool) -> Self {
        self.sends_failures = sends_failures;
        self
    }

    /// The filter could not do its work on `event`: it gets these tags. Where failures go to the dead letter queue it also
    /// leaves the pipeline for there, as it is now.
    pub fn fail<T: AsRef<str>>(&mut self, event: &mut Event, tags: &[T], reason: impl std::fmt::Display) {
        tags.iter().for_each(|tag| event.tag(tag.as_ref()));
        if self.sends_failures && !event.is_cancelled() {
            let reason = match tags.first() {
                Some(tag) => format!("{}: {reason}", tag.as_ref()),
                None => reason.to_string(),
            };
            self.failed.push((event.clone(), reason));
            event.cancel();
        }
    }

    /// Whether the reason for a failure is kept; else it need not be put together.
    pub fn keeps_reasons(&self) -> bool {
        self.sends_failures
    }

    /// Events that left the pipeline since the last call, with the reasons.
    pub fn take_failed(&mut self) -> Vec<(Event, String)> {
        std::mem::take(&mut self.failed)
    }

    /// Adds an event behind the present one; it goes on with the next filter.
    pub fn emit(&mut self, event: Event) {
        self.made.push((event, self.slot));
    }

    /// As [`FilterContext::emit`], with the common options applied.
    pub fn emit_matched(&mut self, mut event: Event) {
        if let Err(error) = self.decorate(&mut event) {
            tracing::warn!(error, "common options could not be applied");
            self.fail(&mut event, &["_common_options_failure"], &error);
        }
        self.emit(event);
    }

    /// Applies the common options; what filters that match by other means than their return value call.
    pub fn decorate(&self, event: &mut Event) -> Result<(), String> {
        self.decoration.apply(event)
    }

    /// Events made since the last call, with the slots they belong behind.
    pub fn take_made(&mut self) -> Vec<(Event, Option<usize>)> {
        std::mem::take(&mut self.made)
    }
}

/// Drives an [`EventFilter`] over a batch.
pub(crate) struct EachEvent<F>(pub(crate) F);

impl<F: EventFilter> Filter for EachEvent<F> {
    fn filter(&mut self, batch: &mut Batch, selection: &Selection, cx: &mut FilterContext<'_>) {
        for slot in selection.iter() {
            let Some(event) = batch.get_mut(slot).filter(|event| !event.is_cancelled()) else { continue };
            cx.slot = Some(slot);
            if self.0.filter(event, cx) == Matched::Yes
                && !cx.decoration.is_empty()
                && let Err(error) = cx.decorate(event)
            {
                self.0.decoration_failed(event, &error);
                cx.fail::<&str>(event, &[], &error);
            }
            event.compact_if_wasteful();
        }
        cx.slot = None;
        self.0.batch_done();
    }

    fn flushes(&self) -> Flushes {
        self.0.flushes()
    }

    fn flush(&mut self, at_end: bool, cx: &mut FilterContext<'_>) -> Vec<Event> {
        self.0.flush(at_end, cx)
    }
}
