//! `queue.type: persisted`: events are on disk before their input is told so, and go to the workers from there.

use crate::input_task::Pushing;
use crate::ledger::Ledger;
use ferrostash_plugin::{Buried, Chunk, DeadLetters, EventQueue, QueueClosed, Reserved, Share, Shutdown};
use ferrostash_queue::{Budget, EventPages, Fed, Feed, MemoryQueue};
use futures::future::BoxFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long the queue waits before it gives events again that were given up.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The queue as inputs see it.
pub(crate) struct PersistedQueue {
    pub(crate) pages: Arc<EventPages>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) budget: Budget,
}

impl EventQueue for PersistedQueue {
    fn push(&self, chunk: Chunk) -> BoxFuture<'_, Result<(), QueueClosed>> {
        Box::pin(async move {
            let before = Instant::now();
            let share = Share::new(chunk.acks.as_slice().into());
            // A share that is dropped is abandoned: so is a chunk of which a codec makes nothing but a panic.
            let made = catch_unwind(AssertUnwindSafe(|| chunk.into_events()));
            let events = made.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let count = events.len() as u64;
            let mut queueing = Queueing::new(&self.ledger, count);
            let mut kept = |events: usize| queueing.events -= events as u64;
            let refused =
                self.pages.append(events.iter(), &share, &mut kept).await.map_err(|_| QueueClosed)?;
            for (event, reason) in refused {
                let counter = match self.dead_letters.write(&event, &reason).await {
                    Buried::Kept => &self.ledger.dead_lettered,
                    Buried::Dropped => &self.ledger.dropped,
                };
                counter.add(1);
                queueing.refused();
            }
            share.settle();
            self.ledger.queue_push_duration.add(before.elapsed());
            Ok(())
        })
    }

    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Reserved> {
        Box::pin(self.budget.reserve(bytes))
    }
}

/// Events on their way to the disk; those that never arrive are abandoned.
struct Queueing<'a> {
    ledger: &'a Ledger,
    events: u64,
}

impl<'a> Queueing<'a> {
    fn new(ledger: &'a Ledger, events: u64) -> Self {
        // Before they are written, since the way to the workers is short.
        ledger.received.add(events);
        ledger.queued.add(events);
        Queueing { ledger, events }
    }

    /// One that has not arrived was refused, and is counted elsewhere.
    fn refused(&mut self) {
        self.ledger.queued.subtract(1);
        self.events = self.events.saturating_sub(1);
    }
}

impl Drop for Queueing<'_> {
    fn drop(&mut self) {
        self.ledger.queued.subtract(self.events);
        self.ledger.abandoned.add(self.events);
    }
}

/// The way from the disk to the workers.
pub(crate) struct Feeder {
    pub(crate) pages: Arc<EventPages>,
    pub(crate) memory: Arc<MemoryQueue>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) shutdown: Shutdown,
    /// `queue.drain`: a stop waits until the queue is empty.
    pub(crate) drain: bool,
    /// An output can never work again.
    pub(crate) crashed: CancellationToken,
    /// The first record that this process wrote.
    pub(crate) first_new: u64,
}

impl Feeder {
    /// Ends when the pipeline is to stop; where its queue is to be drained, only when it has crashed or the time is over.
    async fn stopped(&self) {
        tokio::select! {
            () = self.shutdown.stopping(), if !self.drain => {}
            () = self.shutdown.abandoned() => {}
            () = self.crashed.cancelled() => {}
        }
    }

    /// Feeds the workers until the pipeline stops, or the queue is closed and empty. What is returned still owes acks.
    pub(crate) async fn run(mut self) -> Option<Feed> {
        let mut feed = Feed::new(&self.pages);
        loop {
            let fed = tokio::select! {
                biased;
                () = self.stopped() => return Some(feed),
                fed = feed.next() => fed,
            };
            match fed {
                Fed::Events { number, record, ack } => {
                    let events = record.len() as u64;
                    // Before they are taken off below, so that they are queued all the time.
                    let mut pushing = Pushing::new(&self.ledger, events);
                    match number < self.first_new {
                        true => self.ledger.recovered.add(events),
                        false => self.ledger.queued.subtract(events),
                    }
                    self.first_new = self.first_new.max(number + 1);
                    let push = self.memory.push_record(record, ack);
                    tokio::select! {
                        biased;
                        pushed = push => pushing.has_arrived = pushed.is_ok(),
                        () = self.stopped() => return Some(feed),
                    }
                    drop(pushing);
                    feed.settle();
                }
                Fed::GivenUp => {
                    tracing::warn!("events were given up, and are taken from the queue once more");
                    let giving_back = async {
                        tokio::time::sleep(AGAIN_AFTER).await;
                        feed.give_back().await;
                    };
                    tokio::select! {
                        biased;
                        () = giving_back => feed = Feed::new(&self.pages),
                        () = self.stopped() => return None,
                    }
                }
                Fed::End => return Some(feed),
            }
        }
    }
}
