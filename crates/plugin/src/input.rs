//! Inputs: where events come from.

use crate::ack::Ack;
use crate::codec::{Codec, CodecFactory};
use crate::decorate::InputDecoration;
use crate::metrics::PluginMetrics;
use crate::raw_lines::RawLines;
use crate::shutdown::Shutdown;
use ferrostash_event::Event;
use futures::future::BoxFuture;
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An input. `build` made it, nothing is open yet.
pub trait Input: Send {
    /// Binds and opens what must be there before the pipeline counts as started (a taken port stops the start).
    fn start<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), StartError>> {
        let _ = cx;
        Box::pin(async { Ok(()) })
    }

    /// Reads until the source has ended or [`InputContext::shutdown`] says stop.
    ///
    /// After an error the engine logs it, waits a second and calls this again. When it returns because of a stop it has
    /// stored the positions of what was settled by then; [`InputContext::settle_time`] bounds how long it may wait.
    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>>;

    /// Whether a reload can stop it and start another one (stdin can't).
    fn reloadable(&self) -> bool {
        true
    }
}

/// An input could not go on; it is started again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

/// A plugin could not start: the pipeline doesn't.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// Events that belong together, with the acks that their outcome goes to.
#[derive(Debug)]
pub struct Chunk {
    /// The events; may be empty, the acks settle all the same.
    pub events: Vec<Event>,
    /// Lines of which the worker makes the events; a chunk has either these or events.
    pub lines: Option<RawLines>,
    /// Told when the last of the events is gone. An input that reads has one, if any; what comes from another pipeline
    /// has those of all chunks it was made of.
    pub acks: Vec<Ack>,
    /// Whether it comes from another pipeline of the process.
    pub is_relayed: bool,
}

impl Chunk {
    /// Events with their acks.
    pub fn new(events: Vec<Event>, acks: Vec<Ack>) -> Chunk {
        Chunk { events, lines: None, acks, is_relayed: false }
    }

    /// Number of events or lines.
    pub fn len(&self) -> usize {
        self.events.len() + self.lines.as_ref().map_or(0, RawLines::len)
    }

    /// Whether there is neither event nor line.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The events, made now where there are lines.
    pub fn into_events(self) -> Vec<Event> {
        let mut events = self.events;
        if let Some(lines) = self.lines {
            lines.make_events(&mut events);
        }
        events
    }

    /// Gives up on the events: what led to them must be read again.
    pub fn abandon(self) {
        self.acks.iter().for_each(Ack::abandon);
    }
}

/// The way into a pipeline's queue.
pub trait EventQueue: Send + Sync {
    /// Puts a chunk in, waiting while the queue is full.
    fn push(&self, chunk: Chunk) -> BoxFuture<'_, Result<(), QueueClosed>>;

    /// Takes up to `bytes` of the process's memory for what an input's library holds before it is pushed; waits until there
    /// are some.
    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Reserved>;
}

/// Memory that an input has to itself until this is dropped.
pub struct Reserved {
    /// How much it is.
    pub bytes: usize,
    /// What gives it back.
    pub held: Box<dyn Any + Send + Sync>,
}

/// The pipeline takes nothing any more; the chunk's ack was abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is closed")]
pub struct QueueClosed;

/// What an input works with.
#[derive(Clone)]
pub struct InputContext {
    /// Says when to stop.
    pub shutdown: Shutdown,
    /// What is counted for this input.
    pub metrics: Arc<PluginMetrics>,
    /// The codec of the option `codec`.
    pub codec: Arc<dyn CodecFactory>,
    /// The pipeline's queue.
    pub queue: Arc<dyn EventQueue>,
    /// `type`, `tags` and `add_field`.
    pub decoration: Arc<InputDecoration>,
    /// How many events an input collects before it pushes: the pipeline's batch size.
    pub batch_size: usize,
    /// How long an input that was told to stop may wait for acks.
    pub settle_time: Duration,
}

impl InputContext {
    /// A codec for a new stream.
    pub fn codec_for_stream(&self) -> Box<dyn Codec> {
        self.codec.for_stream()
    }

    /// Pushes events, with the common options applied. Counts them, and the time it had to wait.
    pub async fn push(&self, events: Vec<Event>, ack: Option<Ack>) -> Result<(), QueueClosed> {
        self.push_chunk(Chunk::new(events, ack.into_iter().collect())).await
    }

    /// Pushes lines of which the worker makes the events; the common options are applied there.
    pub async fn push_lines(
        &self,
        mut lines: RawLines,
        acks: impl IntoIterator<Item = Ack>,
    ) -> Result<(), QueueClosed> {
        lines.decoration = Arc::clone(&self.decoration);
        lines.metrics = Arc::clone(&self.metrics);
        let chunk = Chunk { lines: Some(lines), ..Chunk::new(Vec::new(), acks.into_iter().collect()) };
        self.push_chunk(chunk).await
    }

    /// As [`InputContext::push`], for events that come with several acks.
    pub async fn push_chunk(&self, mut chunk: Chunk) -> Result<(), QueueClosed> {
        if !self.decoration.is_empty() {
            chunk.events.iter_mut().for_each(|event| self.decoration.apply(event));
        }
        self.metrics.events_out.add(chunk.events.len() as u64);
        let before = Instant::now();
        let result = self.queue.push(chunk).await;
        self.metrics.queue_push_duration.add(before.elapsed());
        result
    }
}
