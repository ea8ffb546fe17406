//! `queue.type: persisted`: events are on disk before their input is told so, and go to the workers from there.

use crate::ledger::Ledger;
use ferrostash_plugin::{Buried, Chunk, DeadLetters, EventQueue, QueueClosed, Share, Shutdown};
use ferrostash_queue::{EventPages, Fed, Feed, MemoryQueue};
use futures::future::BoxFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the queue waits before it gives events again that were given up.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The queue as inputs see it.
pub(crate) struct PersistedQueue {
    pub(crate) pages: Arc<EventPages>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
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
            let refused = self.pages.append(events, &share).await.map_err(|_| QueueClosed)?;
            self.ledger.received.add(count);
            for (event, reason) in refused {
                let counter = match self.dead_letters.write(&event, &reason).await {
                    Buried::Kept => &self.ledger.dead_lettered,
                    Buried::Dropped => &self.ledger.dropped,
                };
                counter.add(1);
            }
            share.settle();
            self.ledger.queue_push_duration.add(before.elapsed());
            Ok(())
        })
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
    /// The first record that this process wrote.
    pub(crate) first_new: u64,
}

impl Feeder {
    /// Feeds the workers until the pipeline stops, or the queue is closed and empty. What is returned still owes acks.
    pub(crate) async fn run(mut self) -> Feed {
        let mut feed = Feed::new(&self.pages);
        loop {
            let fed = tokio::select! {
                biased;
                () = self.shutdown.stopping(), if !self.drain => return feed,
                () = self.shutdown.abandoned() => return feed,
                fed = feed.next() => fed,
            };
            match fed {
                Fed::Events { number, events, ack } => {
                    if number < self.first_new {
                        self.ledger.recovered.add(events.len() as u64);
                    }
                    self.first_new = self.first_new.max(number + 1);
                    let push = self.memory.push(Chunk::new(events, vec![ack]));
                    tokio::select! {
                        biased;
                        _ = push => {}
                        () = self.shutdown.stopping(), if !self.drain => return feed,
                        () = self.shutdown.abandoned() => return feed,
                    }
                    feed.settle();
                }
                Fed::GivenUp => {
                    tracing::warn!("events were given up, and are taken from the queue once more");
                    tokio::time::sleep(AGAIN_AFTER).await;
                    feed = Feed::new(&self.pages);
                }
                Fed::End => return feed,
            }
        }
    }
}
