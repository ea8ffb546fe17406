//! Outputs: where events go.

use crate::ack::Ack;
use crate::input::StartError;
use crate::metrics::PluginMetrics;
use crate::shutdown::Shutdown;
use ferrostash_event::{Event, Selection};
use futures::future::BoxFuture;
use std::any::Any;
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
    /// What is released with the batch.
    holds: Option<Arc<dyn Any + Send + Sync>>,
}

impl FilteredBatch {
    /// A batch of `events` that came from the chunks of `acks`.
    pub fn new(events: Vec<Event>, acks: Vec<Ack>) -> FilteredBatch {
        let byte_size = events.iter().map(Event::byte_size).sum();
        FilteredBatch { events, acks, byte_size, holds: None }
    }

    /// Keeps `share` until the last output lets go of the batch.
    #[must_use]
    pub fn holding(mut self, share: Arc<dyn Any + Send + Sync>) -> FilteredBatch {
        self.holds = Some(share);
        self
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

/// The part of an output that waits for nothing: it turns events into what is to be written, on the worker that filtered
/// them. The output then gets that instead of the events, or besides them.
pub trait BatchEncoder: Send {
    /// Encodes events, in order, behind those of the calls before.
    fn encode(&mut self, events: &mut dyn Iterator<Item = &Event>);

    /// What has been made since the last call, in bytes.
    fn byte_size(&self) -> usize;

    /// Gives away what has been made since the last call.
    fn finish(&mut self) -> Encoded;

    /// Whether the output needs the events besides, for what only the destination can refuse. Asked before the first
    /// events of a batch, for the whole batch.
    fn keeps_events(&self) -> bool {
        false
    }
}

/// What a [`BatchEncoder`] made of events.
#[derive(Clone)]
pub struct Encoded {
    payload: Arc<dyn Any + Send + Sync>,
    byte_size: usize,
    refused: Arc<Vec<(Event, String)>>,
    keeps_events: bool,
}

impl Encoded {
    /// `payload` weighs `byte_size` bytes; `refused` are the events that could not be encoded, with the reasons.
    pub fn new(payload: impl Any + Send + Sync, byte_size: usize, refused: Vec<(Event, String)>) -> Encoded {
        Encoded { payload: Arc::new(payload), byte_size, refused: Arc::new(refused), keeps_events: false }
    }

    /// Says whether the events go to the output besides, and weigh too.
    #[must_use]
    pub fn with_events(mut self, keeps_events: bool) -> Encoded {
        self.keeps_events = keeps_events;
        self
    }

    /// What it weighs, in bytes.
    pub fn byte_size(&self) -> usize {
        self.byte_size
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.byte_size)
    }
}

/// What counts a batch until its output has it behind it.
pub trait Account: Send + Sync + std::fmt::Debug {
    /// Says that an output gave up on some of the batch's events.
    fn abandon(&self);
}

/// A share of what is owed for a batch, for an output that takes some of the batch's events over: the batch is not
/// settled before the share is. A share that is dropped counts as abandoned.
#[must_use]
pub struct Share(Option<Owed>);

type Owed = (Arc<[Ack]>, Option<Arc<dyn Account>>);

impl Share {
    /// A share of what is owed to these acks.
    pub fn new(acks: Arc<[Ack]>) -> Share {
        Share(Some((acks, None)))
    }

    /// The first share of a batch that `account` counts.
    pub fn counted_by(acks: Arc<[Ack]>, account: Arc<dyn Account>) -> Share {
        Share(Some((acks, Some(account))))
    }

    /// The output has the events behind it.
    pub fn settle(mut self) {
        self.0 = None;
    }

    /// The acks that the batch is owed to.
    pub fn acks(&self) -> &[Ack] {
        self.0.as_ref().map_or(&[], |(acks, _)| acks)
    }

    /// One more share of the same batch.
    pub fn another(&self) -> Share {
        Share(self.0.clone())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some((acks, account)) = &self.0 else { return };
        acks.iter().for_each(Ack::abandon);
        account.iter().for_each(|account| account.abandon());
    }
}

/// The part of a batch that goes to one output.
#[derive(Clone, Debug)]
pub struct OutputBatch {
    batch: Arc<FilteredBatch>,
    selection: Selection,
    encoded: Option<Encoded>,
    account: Option<Arc<dyn Account>>,
}

impl OutputBatch {
    /// The events of `batch` in `selection`.
    pub fn new(batch: Arc<FilteredBatch>, selection: Selection) -> OutputBatch {
        OutputBatch { batch, selection, encoded: None, account: None }
    }

    /// The events of `batch` in `selection`, with what the output's encoder made of them; the events themselves may be
    /// gone.
    pub fn of_encoded(batch: Arc<FilteredBatch>, selection: Selection, encoded: Encoded) -> OutputBatch {
        OutputBatch { batch, selection, encoded: Some(encoded), account: None }
    }

    /// Says who counts it.
    #[must_use]
    pub fn counted_by(mut self, account: Arc<dyn Account>) -> OutputBatch {
        self.account = Some(account);
        self
    }

    /// The same events, with what an encoder made of them.
    #[must_use]
    pub fn encoded_by(mut self, encoder: &mut dyn BatchEncoder) -> OutputBatch {
        encoder.encode(&mut self.events());
        let keeps_events = encoder.keeps_events();
        self.encoded = Some(encoder.finish().with_events(keeps_events));
        self
    }

    /// Whether an encoder made something of the events.
    pub fn is_encoded(&self) -> bool {
        self.encoded.is_some()
    }

    /// Whether the events themselves are there.
    pub fn has_events(&self) -> bool {
        self.encoded.as_ref().is_none_or(|encoded| encoded.keeps_events)
    }

    /// A share of what is owed for the batch, for events that the output settles only after [`Output::write`].
    pub fn share(&self) -> Share {
        Share(Some((self.batch.acks.as_slice().into(), self.account.clone())))
    }

    /// What the output's encoder made of the events.
    pub fn payload<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.encoded.as_ref()?.payload).downcast().ok()
    }

    /// The events that the output's encoder could not take, with the reasons.
    pub fn refused(&self) -> &[(Event, String)] {
        self.encoded.as_ref().map_or(&[], |encoded| &encoded.refused)
    }

    /// The selected events, in order; none where an encoder has taken them and does not keep them.
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

    /// What it weighs in memory, in bytes; where the output gets the events that is the whole batch, and what an encoder
    /// made.
    pub fn byte_size(&self) -> usize {
        match &self.encoded {
            Some(encoded) if !encoded.keeps_events => encoded.byte_size,
            encoded => self.batch.byte_size + encoded.as_ref().map_or(0, Encoded::byte_size),
        }
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

    /// Delivers the events of these batches; returns when every one is settled: accepted, or dead-lettered. For events that
    /// the output keeps aside, in a bounded number, it holds a [`Share`] of their batch, and [`Output::close`] waits for
    /// them until the grace time is over.
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

    /// Whether its writes block the thread, as those to a disk do: each instance then runs on a thread of its own.
    fn is_blocking(&self) -> bool;

    /// An encoder for a worker, where this output has one.
    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        None
    }
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

impl OutputContext {
    /// Puts an event that can never be delivered where dead letters go, and counts it.
    pub async fn bury(&self, event: &Event, reason: &str) {
        let counter = match self.dead_letters.write(event, reason).await {
            Buried::Kept => &self.metrics.events_dead_lettered,
            Buried::Dropped => &self.metrics.events_dropped,
        };
        counter.add(1);
    }
}

/// What became of an event that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buried {
    /// It is safe.
    Kept,
    /// It is gone, by a rule: there is no dead letter queue, or it is full and drops what is newer.
    Dropped,
}

/// Where events go that a plugin can never use or deliver.
pub trait DeadLetters: Send + Sync {
    /// Keeps `event` with the reason; returns once that is safe, or the event was dropped by a rule. Where neither is
    /// possible this never returns, and the caller gives up at the end of the grace time.
    fn write<'a>(&'a self, event: &'a Event, reason: &'a str) -> BoxFuture<'a, Buried>;

    /// The same for the plugin of this name and id; nothing where it does not matter who writes.
    fn of_plugin(&self, plugin_type: &str, plugin_id: &str) -> Option<Arc<dyn DeadLetters>> {
        let _ = (plugin_type, plugin_id);
        None
    }

    /// Whether the events are kept. Where not, their time is all that is shown of them, and an event that has nothing else
    /// does as well.
    fn keeps_events(&self) -> bool {
        true
    }
}

/// Drops events with a warning, as Logstash does with its dead letter queue off.
#[derive(Clone, Copy, Debug)]
pub struct Dropped;

impl DeadLetters for Dropped {
    fn write<'a>(&'a self, event: &'a Event, reason: &'a str) -> BoxFuture<'a, Buried> {
        let timestamp = event.timestamp().map(|timestamp| timestamp.to_string());
        tracing::warn!(
            target: "logstash.deadletterqueue",
            limited = true,
            reason,
            event_timestamp = timestamp.as_deref(),
            "an event can't be delivered and is dropped"
        );
        Box::pin(async { Buried::Dropped })
    }

    fn keeps_events(&self) -> bool {
        false
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::AckTracker;

    async fn tracked() -> (AckTracker<u32>, OutputBatch) {
        let mut tracker = AckTracker::new(2);
        let acks = vec![tracker.issue(1).await];
        let batch = FilteredBatch::new(vec![Event::new()], acks);
        (tracker, OutputBatch::new(Arc::new(batch), Selection::all(1)))
    }

    #[tokio::test]
    async fn a_batch_settles_when_the_last_share_of_it_does() {
        let (mut tracker, batch) = tracked().await;
        let share = batch.share();
        let another = share.another();
        drop(batch);
        share.settle();
        assert_eq!((tracker.settled(), tracker.in_flight()), (None, 1));
        another.settle();
        assert_eq!(tracker.settled(), Some(1));
    }

    #[tokio::test]
    async fn a_share_that_is_dropped_is_abandoned() {
        let (mut tracker, batch) = tracked().await;
        drop(batch.share());
        drop(batch);
        assert!(tracker.settled().is_none() && tracker.is_abandoned());
    }
}
