//! Outputs: where events go.

use crate::ack::Ack;
use crate::input::StartError;
use crate::metrics::PluginMetrics;
use crate::shutdown::Shutdown;
use ferrostash_event::{Event, Selection};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// What the filters made of a batch; shared by all outputs, none of which changes it.
///
/// The acks of the events' chunks settle when the last output lets go of it.
#[derive(Debug)]
pub struct FilteredBatch {
    events: Vec<Event>,
    acks: Vec<Ack>,
    byte_size: usize,
}

impl FilteredBatch {
    /// A batch of `events` that came from the chunks of `acks`.
    pub fn new(events: Vec<Event>, acks: Vec<Ack>) -> FilteredBatch {
        let byte_size = events.iter().map(Event::byte_size).sum();
        FilteredBatch { events, acks, byte_size }
    }

    /// The events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What the events weigh in memory, in bytes.
    pub fn byte_size(&self) -> usize {
        self.byte_size
    }

    /// Says that an output gave up on some of the events: what led to them must be read again.
    pub fn abandon(&self) {
        self.acks.iter().for_each(Ack::abandon);
    }
}

/// The part of a batch that goes to one output.
#[derive(Clone, Debug)]
pub struct OutputBatch {
    batch: Arc<FilteredBatch>,
    selection: Selection,
}

impl OutputBatch {
    /// The events of `batch` in `selection`.
    pub fn new(batch: Arc<FilteredBatch>, selection: Selection) -> OutputBatch {
        OutputBatch { batch, selection }
    }

    /// The selected events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.selection.iter().filter_map(|slot| self.batch.events.get(slot))
    }

    /// Number of selected events.
    pub fn len(&self) -> usize {
        self.selection.len()
    }

    /// Whether no event is selected.
    pub fn is_empty(&self) -> bool {
        self.selection.is_empty()
    }

    /// What the whole batch weighs in memory, in bytes.
    pub fn byte_size(&self) -> usize {
        self.batch.byte_size
    }

    /// The acks that these events hold, for an output that hands them on (pipeline to pipeline).
    pub fn acks(&self) -> &[Ack] {
        &self.batch.acks
    }

    /// Gives up on these events.
    pub fn abandon(&self) {
        self.batch.abandon();
    }
}

/// An output. `build` made it, nothing is open yet.
pub trait Output: Send {
    /// Opens what must be there before the pipeline counts as started.
    fn start<'a>(&'a mut self, cx: &'a OutputContext) -> BoxFuture<'a, Result<(), StartError>> {
        let _ = cx;
        Box::pin(async { Ok(()) })
    }

    /// Delivers the events of these batches; returns when every one is settled: accepted, or dead-lettered.
    ///
    /// After [`OutputError::Retry`] the engine calls this again with the same batches, so an output that can deliver a
    /// part retries the rest by itself. It watches [`OutputContext::shutdown`] for the end of the grace time and returns
    /// [`OutputError::Abandoned`] then.
    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        cx: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>>;

    /// Called about once a second while nothing comes: files are flushed, idle ones closed.
    fn idle<'a>(&'a mut self, cx: &'a OutputContext) -> BoxFuture<'a, ()> {
        let _ = cx;
        Box::pin(async {})
    }

    /// Delivers what is buffered and closes; nothing follows.
    fn close<'a>(&'a mut self, cx: &'a OutputContext) -> BoxFuture<'a, ()> {
        let _ = cx;
        Box::pin(async {})
    }
}

/// An output as it was configured.
pub trait OutputFactory: Send + Sync {
    /// One more instance: outputs that allow it run one per worker.
    fn for_worker(&self) -> Box<dyn Output>;

    /// Whether several instances may run at once (Logstash's concurrency `:shared`).
    fn is_shared(&self) -> bool;
}

/// What an output works with.
#[derive(Clone)]
pub struct OutputContext {
    /// Says when to give up.
    pub shutdown: Shutdown,
    /// What is counted for this output.
    pub metrics: Arc<PluginMetrics>,
    /// Writes events to the dead letter queue, or drops them with a warning where that is off.
    pub dead_letters: Arc<dyn DeadLetters>,
}

/// Where events go that an output can never deliver.
pub trait DeadLetters: Send + Sync {
    /// Keeps `event` with the reason; returns once that is safe.
    fn write<'a>(&'a self, event: &'a Event, reason: &'a str) -> BoxFuture<'a, ()>;
}

/// Why a write did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The destination can't take anything now.
    #[error("{reason}")]
    Retry {
        /// How long to wait; the engine's own back-off where it is not known.
        after: Option<Duration>,
        /// For the log.
        reason: String,
    },
    /// The grace time was over: the events are abandoned.
    #[error("the grace time is over")]
    Abandoned,
    /// The output can never work again: the events are abandoned and the pipeline stops.
    #[error("{0}")]
    Fatal(String),
}
