//! One instance of an output: takes batches from its queue and delivers them.

use crate::output_queue::{Item, Ticket};
use crate::parts::Part;
use crate::pipeline::{State, message_of};
use crate::rate_limit::RateLimit;
use ferrostash_plugin::{Backoff, Output, OutputBatch, OutputContext, OutputError, OutputFactory};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

/// Batches that one write takes together.
const COALESCED_MAX: usize = 8;
/// A write that weighs this much, in bytes, takes no further batch.
const COALESCED_BYTES: usize = 1 << 20;
/// How often an output is told that nothing came.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// The first and the longest wait between two attempts.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(64);
/// How long a plugin may take to notice that the grace time is over.
pub(crate) const LAST_MOMENT: Duration = Duration::from_secs(1);

pub(crate) struct OutputTask {
    pub(crate) part: Part,
    pub(crate) factory: Arc<dyn OutputFactory>,
    pub(crate) output: Box<dyn Output>,
    pub(crate) cx: OutputContext,
    pub(crate) items: async_channel::Receiver<Item>,
    pub(crate) state: Arc<State>,
    pub(crate) warnings: RateLimit,
    /// What is owed for the batches that are being written.
    pub(crate) under_way: Arc<Mutex<Vec<Ticket>>>,
}

/// How a write ended for good.
enum End {
    Delivered,
    /// The grace time was over.
    Abandoned,
    Panicked(String),
    Fatal(String),
}

impl OutputTask {
    /// Delivers until the queue is closed and empty, or the output can never work again.
    pub(crate) async fn run(mut self) {
        let mut batches = Vec::new();
        while let Some(first) = self.next().await {
            let (mut next, mut bytes) = (Some(first), 0);
            while let Some(item) = next.take() {
                bytes += item.batch.byte_size();
                batches.push(item.batch);
                self.under_way().push(item.ticket);
                if batches.len() < COALESCED_MAX && bytes < COALESCED_BYTES {
                    next = self.items.try_recv().ok();
                }
            }
            let end = self.deliver(&batches).await;
            batches.clear();
            if let Err(reason) = self.conclude(end).await {
                return self.give_up(&reason);
            }
        }
        self.close().await;
    }

    /// As [`OutputTask::run`], on a thread that writes may block: one wake-up for each batch, instead of one there and one
    /// back.
    pub(crate) async fn run_on_own_thread(self, io: Handle) {
        let (cx, items, state) = (self.cx.clone(), self.items.clone(), Arc::clone(&self.state));
        let under_way = Arc::clone(&self.under_way);
        let (alive, ended) = oneshot::channel::<()>();
        let (name, span) = (format!("output-{}", self.part.name), tracing::Span::current());
        let work = move || {
            io.block_on(self.run().instrument(span));
            drop(alive);
        };
        if let Err(error) = std::thread::Builder::new().name(name).spawn(work) {
            state.crash(format!("no thread can be started: {error}"));
            return;
        }
        tokio::select! {
            _ = ended => {}
            () = async { last_moment(&cx).await; sleep(LAST_MOMENT).await } => {
                // A write that never returns cannot be helped: it keeps its thread, and its batches are abandoned.
                tracing::error!("An output did not end in time.");
                while items.try_recv().is_ok() {}
                under_way.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
        }
    }

    fn under_way(&self) -> MutexGuard<'_, Vec<Ticket>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch; tells the output once a second that there is none. `None` at the end.
    async fn next(&mut self) -> Option<Item> {
        loop {
            // An output that was abandoned delivers no more; dropping the batches says so.
            if self.cx.shutdown.is_abandoned() {
                while self.items.try_recv().is_ok() {}
            }
            match timeout(IDLE_EVERY, self.items.recv()).await {
                Ok(item) => return item.ok(),
                Err(_) => {
                    if let Err(panic) = AssertUnwindSafe(self.output.idle(&self.cx)).catch_unwind().await {
                        self.panicked(message_of(&*panic));
                        if let Err(reason) = self.replace().await {
                            self.give_up(&reason);
                            return None;
                        }
                    }
                }
            }
        }
    }

    async fn deliver(&mut self, batches: &[OutputBatch]) -> End {
        let events = batches.iter().map(|batch| batch.len() as u64).sum();
        self.part.metrics.events_in.add(events);
        let started = Instant::now();
        let end = self.attempts(batches).await;
        self.part.metrics.duration.add(started.elapsed());
        if let End::Delivered = end {
            self.part.metrics.events_out.add(events);
        }
        end
    }

    async fn attempts(&mut self, batches: &[OutputBatch]) -> End {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        loop {
            let attempt = AssertUnwindSafe(self.output.write(batches, &self.cx)).catch_unwind();
            let result = tokio::select! {
                biased;
                result = attempt => result,
                () = last_moment(&self.cx) => return End::Abandoned,
            };
            let (after, reason) = match result {
                Ok(Ok(())) => return End::Delivered,
                Ok(Err(OutputError::Abandoned)) => return End::Abandoned,
                Ok(Err(OutputError::Fatal(reason))) => return End::Fatal(reason),
                Ok(Err(OutputError::Retry { after, reason })) => (after, reason),
                Err(panic) => return End::Panicked(message_of(&*panic).to_owned()),
            };
            let wait = after.unwrap_or_else(|| backoff.next_wait());
            if let Some(suppressed) = self.warnings.pass() {
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(reason, wait_ms, suppressed, "An output could not deliver and tries again.");
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = self.cx.shutdown.abandoned() => return End::Abandoned,
            }
        }
    }

    /// Settles the tickets or drops them. The error is the reason why this output is at its end.
    async fn conclude(&mut self, end: End) -> Result<(), String> {
        let tickets = std::mem::take(&mut *self.under_way());
        match end {
            End::Delivered => tickets.into_iter().for_each(Ticket::settle),
            End::Abandoned => drop(tickets),
            End::Panicked(reason) => {
                drop(tickets);
                self.panicked(&reason);
                self.replace().await?;
            }
            End::Fatal(reason) => return Err(reason),
        }
        Ok(())
    }

    fn panicked(&self, reason: &str) {
        self.state.turn_red();
        tracing::error!(reason, "An output panicked; its batch is abandoned and the output starts anew.");
    }

    /// A fresh instance in place of one that panicked.
    async fn replace(&mut self) -> Result<(), String> {
        self.output = self.factory.for_worker();
        self.output.start(&self.cx).await.map_err(|error| error.to_string())
    }

    /// The pipeline stops; what waits for this output is abandoned.
    fn give_up(&self, reason: &str) {
        tracing::error!(reason, "An output can never deliver again; the pipeline will be stopped.");
        self.items.close();
        while self.items.try_recv().is_ok() {}
        self.state.crash(format!("output {} ({}): {reason}", self.part.name, self.part.id));
    }

    async fn close(&mut self) {
        let close = AssertUnwindSafe(self.output.close(&self.cx)).catch_unwind();
        tokio::select! {
            result = close => {
                if result.is_err() {
                    self.state.turn_red();
                    tracing::error!("An output panicked while it was closed.");
                }
            }
            () = last_moment(&self.cx) => tracing::warn!("An output did not close in time."),
        }
    }
}

/// Returns when a plugin has had the time to notice the end of the grace time.
async fn last_moment(cx: &OutputContext) {
    cx.shutdown.abandoned().await;
    sleep(LAST_MOMENT).await;
}
