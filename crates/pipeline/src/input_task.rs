//! One input: runs it, and runs it again after an error.

use crate::ledger::Ledger;
use crate::output_task::LAST_MOMENT;
use crate::parts::Part;
use crate::pipeline::{State, message_of};
use ferrostash_plugin::{Chunk, EventQueue, Input, InputContext, QueueClosed, Reserved};
use ferrostash_queue::MemoryQueue;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an input that failed rests.
const RESTART_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct InputTask {
    pub(crate) part: Part,
    pub(crate) input: Box<dyn Input>,
    pub(crate) cx: InputContext,
    pub(crate) state: Arc<State>,
}

impl InputTask {
    /// Returns when the source has ended, or the input was told to stop.
    pub(crate) async fn run(mut self) {
        loop {
            let run = AssertUnwindSafe(self.input.run(&self.cx)).catch_unwind();
            let result = tokio::select! {
                biased;
                result = run => result,
                () = last_moment(&self.cx) => {
                    tracing::warn!("An input did not stop in time.");
                    return;
                }
            };
            let error = match result {
                Ok(Ok(())) => return,
                // A queue that is closed is no error of the input.
                Ok(Err(_)) if self.cx.shutdown.is_stopping() => return,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => {
                    self.state.turn_red();
                    format!("the input panicked: {}", message_of(&*panic))
                }
            };
            let plugin = &*self.part.name;
            tracing::error!(plugin, error, "A plugin had an unrecoverable error. Will restart this plugin.");
            tokio::select! {
                () = tokio::time::sleep(RESTART_AFTER) => {}
                () = self.cx.shutdown.stopping() => return,
            }
        }
    }
}

async fn last_moment(cx: &InputContext) {
    cx.shutdown.abandoned().await;
    tokio::time::sleep(LAST_MOMENT).await;
}

/// The queue as inputs see it: what goes in is counted.
pub(crate) struct CountedQueue {
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) ledger: Arc<Ledger>,
}

impl EventQueue for CountedQueue {
    fn push(&self, chunk: Chunk) -> BoxFuture<'_, Result<(), QueueClosed>> {
        Box::pin(async move {
            let events = chunk.len() as u64;
            self.ledger.received.add(events);
            let mut pushing = Pushing::new(&self.ledger, events);
            let before = Instant::now();
            let result = self.queue.push(chunk).await;
            self.ledger.queue_push_duration.add(before.elapsed());
            pushing.has_arrived = result.is_ok();
            result
        })
    }

    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Reserved> {
        self.queue.reserve(bytes)
    }
}

/// Events on their way into the queue in memory, which counts them once they are there; those that never arrive are
/// abandoned.
pub(crate) struct Pushing<'a> {
    ledger: &'a Ledger,
    events: u64,
    pub(crate) has_arrived: bool,
}

impl<'a> Pushing<'a> {
    /// `events` may have to wait for room, and are queued meanwhile.
    pub(crate) fn new(ledger: &'a Ledger, events: u64) -> Self {
        ledger.queued.add(events);
        Pushing { ledger, events, has_arrived: false }
    }
}

impl Drop for Pushing<'_> {
    fn drop(&mut self) {
        if !self.has_arrived {
            self.ledger.abandoned.add(self.events);
        }
        self.ledger.queued.subtract(self.events);
    }
}
