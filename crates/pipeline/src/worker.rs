//! A worker: takes batches from the queue, runs its program, hands the result to the outputs.

use crate::ledger::{Flight, Ledger};
use crate::output_queue::{Item, OutputQueue, Ticket};
use crate::pipeline::{State, message_of};
use crate::program::{DeadEvent, Outcome, Program};
use ferrostash_plugin::{Ack, DeadLetters, FilteredBatch, OutputBatch, Shutdown};
use ferrostash_queue::{MemoryQueue, Pulled};
use futures::future::join_all;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How often filters are asked for what they keep.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// What the workers of a pipeline share.
pub(crate) struct Shop {
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) outputs: Vec<OutputQueue>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) state: Arc<State>,
    pub(crate) shutdown: Shutdown,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) batch_size: usize,
    pub(crate) batch_delay: Duration,
}

pub(crate) struct Worker {
    program: Program,
    shop: Arc<Shop>,
}

impl Worker {
    pub(crate) fn new(program: Program, shop: Arc<Shop>) -> Worker {
        Worker { program, shop }
    }

    /// Works until the queue is closed and empty, or the grace time is over.
    pub(crate) async fn run(mut self) -> Worker {
        let flushes = self.program.flushes_periodically();
        let mut flush_at = Instant::now() + FLUSH_EVERY;
        while !self.shop.shutdown.is_abandoned() {
            if flushes && flush_at <= Instant::now() {
                self.flush(false).await;
                flush_at = Instant::now() + FLUSH_EVERY;
            }
            let pull = self.shop.queue.pull(self.shop.batch_size, self.shop.batch_delay);
            let pulled = match flushes {
                false => pull.await,
                true => match timeout_at(flush_at, pull).await {
                    Ok(pulled) => pulled,
                    Err(_) => continue,
                },
            };
            let Some(pulled) = pulled else { break };
            self.batch(pulled).await;
            // A full queue never makes this task wait; others want the thread too.
            tokio::task::coop::consume_budget().await;
        }
        self
    }

    async fn batch(&mut self, mut pulled: Pulled) {
        let started = Instant::now();
        let ledger = Arc::clone(&self.shop.ledger);
        let acks = std::mem::take(&mut pulled.acks);
        let mut in_filters = InFilters::new(Arc::clone(&ledger), pulled.len());
        let made = catch_unwind(AssertUnwindSafe(|| pulled.make_events()));
        let run = made.and_then(|()| {
            in_filters.recount(pulled.events.len());
            catch_unwind(AssertUnwindSafe(|| self.program.run(std::mem::take(&mut pulled.events))))
        });
        match run {
            Ok(outcome) => {
                ledger.filtered.add(in_filters.events);
                self.shop.hand_on(outcome, acks, in_filters).await;
            }
            Err(panic) => {
                acks.iter().for_each(Ack::abandon);
                ledger.abandoned.add(in_filters.events);
                self.panicked(&*panic);
            }
        }
        ledger.duration.add(started.elapsed());
    }

    /// Takes on what filters keep; `at_end` when no event will follow.
    pub(crate) async fn flush(&mut self, at_end: bool) {
        match catch_unwind(AssertUnwindSafe(|| self.program.flush(at_end))) {
            Ok(outcome) => {
                let none = InFilters::new(Arc::clone(&self.shop.ledger), 0);
                self.shop.hand_on(outcome, Vec::new(), none).await;
            }
            Err(panic) => self.panicked(&*panic),
        }
    }

    /// The filters may be in any state: the worker goes on with fresh ones.
    fn panicked(&mut self, panic: &(dyn Any + Send)) {
        self.shop.state.turn_red();
        let plugin = self.program.current_plugin();
        let (id, name) = plugin.map_or(("", ""), |part| (&part.id, &part.name));
        let reason = message_of(panic);
        tracing::error!(plugin.id = id, plugin = name, reason, "A filter panicked; its batch is abandoned.");
        self.program = self.program.for_worker();
    }
}

impl Shop {
    /// Hands what came out of the filters to the outputs, waiting for those whose queue is full.
    async fn hand_on(&self, outcome: Outcome, acks: Vec<Ack>, pulled: InFilters) {
        let Outcome { events, routes, dead, created } = outcome;
        let cancelled = (pulled.events + created as u64).saturating_sub((events.len() + dead.len()) as u64);
        self.ledger.created.add(created as u64);
        self.ledger.dropped.add(cancelled);
        self.ledger.out.add(events.len() as u64);
        self.ledger.dead_lettered.add(dead.len() as u64);
        let flight = Arc::new(Flight::new(Arc::clone(&self.ledger), events.len(), self.queue.busy()));
        drop(pulled);
        self.bury(dead, &acks).await;
        let shared: Arc<[Ack]> = acks.as_slice().into();
        let batch = Arc::new(FilteredBatch::new(events, acks));
        // First everybody who has room, then those who make the worker wait.
        let mut waiting = Vec::new();
        for (output, selection) in self.outputs.iter().zip(routes) {
            if selection.is_empty() {
                continue;
            }
            let ticket = Ticket::new(Arc::clone(&flight), Arc::clone(&shared));
            let item = Item { batch: OutputBatch::new(Arc::clone(&batch), selection), ticket };
            waiting.extend(output.try_send(item).err().map(|item| (output, item)));
        }
        drop((flight, shared, batch));
        if waiting.is_empty() {
            return;
        }
        // All at once: the first one that has room again does not wait for the others.
        let sending = join_all(waiting.into_iter().map(|(output, item)| output.send(item)));
        tokio::select! {
            _ = sending => {}
            // What was still to be sent is abandoned with it.
            () = self.shutdown.abandoned() => {}
        }
    }

    /// Writes to the dead letter queue.
    async fn bury(&self, dead: Vec<DeadEvent>, acks: &[Ack]) {
        for DeadEvent { event, reason } in dead {
            tokio::select! {
                () = self.dead_letters.write(&event, &reason) => {}
                () = self.shutdown.abandoned() => acks.iter().for_each(Ack::abandon),
            }
        }
    }
}

/// Events that were pulled and are with the filters.
struct InFilters {
    ledger: Arc<Ledger>,
    events: u64,
}

impl InFilters {
    fn new(ledger: Arc<Ledger>, events: usize) -> InFilters {
        let events = events as u64;
        ledger.in_flight.add(events);
        InFilters { ledger, events }
    }

    /// Lines were counted when they came in; of some codecs' lines come more events, or none.
    fn recount(&mut self, events: usize) {
        let events = events as u64;
        let (more, fewer) = (events.saturating_sub(self.events), self.events.saturating_sub(events));
        for counter in [&self.ledger.received, &self.ledger.in_flight] {
            counter.add(more);
            counter.subtract(fewer);
        }
        self.events = events;
    }
}

impl Drop for InFilters {
    fn drop(&mut self) {
        self.ledger.in_flight.subtract(self.events);
    }
}
