//! A worker: takes batches from the queue, runs its program, hands the result to the outputs.

use crate::ledger::{Flight, Ledger};
use crate::output_queue::{Item, OutputQueue, Ticket};
use crate::pipeline::{State, message_of};
use crate::program::{DeadEvent, Outcome, Program};
use ferrostash_event::Selection;
use ferrostash_plugin::{
    Ack, BatchEncoder, DeadLetters, Encoded, FilteredBatch, OutputBatch, OutputFactory, Shutdown,
};
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
    pub(crate) factories: Vec<Arc<dyn OutputFactory>>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) state: Arc<State>,
    pub(crate) shutdown: Shutdown,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) batch_size: usize,
    pub(crate) batch_delay: Duration,
}

pub(crate) struct Worker {
    program: Program,
    encoders: Encoders,
    shop: Arc<Shop>,
}

/// The encoders of the outputs that have one.
type Encoders = Vec<Option<Box<dyn BatchEncoder>>>;

impl Worker {
    pub(crate) fn new(program: Program, shop: Arc<Shop>) -> Worker {
        let encoders = shop.encoders();
        Worker { program, encoders, shop }
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
                self.hand_on(outcome, acks, in_filters).await;
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
                self.hand_on(outcome, Vec::new(), none).await;
            }
            Err(panic) => self.panicked(&*panic),
        }
    }

    /// Lets the outputs that can encode the events here, and hands the result on.
    async fn hand_on(&mut self, outcome: Outcome, acks: Vec<Ack>, pulled: InFilters) {
        let encode = AssertUnwindSafe(|| encode(&mut self.encoders, &outcome));
        match catch_unwind(encode) {
            Ok(encoded) => self.shop.hand_on(outcome, encoded, acks, pulled).await,
            Err(panic) => {
                acks.iter().for_each(Ack::abandon);
                self.shop.ledger.abandoned.add(pulled.events);
                self.shop.state.turn_red();
                tracing::error!(
                    reason = message_of(&*panic),
                    "An output's codec panicked; its batch is abandoned."
                );
                self.encoders = self.shop.encoders();
            }
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

/// What the encoders make of the events that go to their outputs.
fn encode(encoders: &mut Encoders, outcome: &Outcome) -> Vec<Option<Encoded>> {
    let route = |(encoder, route): (&mut Option<Box<dyn BatchEncoder>>, &Selection)| {
        let encoder = encoder.as_mut().filter(|_| !route.is_empty())?;
        Some(encoder.encode(&mut route.iter().filter_map(|slot| outcome.events.get(slot))))
    };
    encoders.iter_mut().zip(&outcome.routes).map(route).collect()
}

impl Shop {
    fn encoders(&self) -> Encoders {
        self.factories.iter().map(|factory| factory.encoder()).collect()
    }

    /// Hands what came out of the filters to the outputs, waiting for those whose queue is full.
    async fn hand_on(
        &self,
        outcome: Outcome,
        encoded: Vec<Option<Encoded>>,
        acks: Vec<Ack>,
        pulled: InFilters,
    ) {
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
        // Where nobody needs the events any more they end here, on the thread that made them.
        let needed =
            encoded.iter().zip(&routes).any(|(encoded, route)| encoded.is_none() && !route.is_empty());
        let batch = Arc::new(FilteredBatch::new(if needed { events } else { Vec::new() }, acks));
        // First everybody who has room, then those who make the worker wait.
        let mut waiting = Vec::new();
        for ((output, selection), encoded) in self.outputs.iter().zip(routes).zip(encoded) {
            if selection.is_empty() {
                continue;
            }
            let ticket = Ticket::new(Arc::clone(&flight), Arc::clone(&shared));
            let batch = match encoded {
                Some(encoded) => OutputBatch::of_encoded(Arc::clone(&batch), selection, encoded),
                None => OutputBatch::new(Arc::clone(&batch), selection),
            };
            let item = Item { batch, ticket };
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
