//! A worker: takes batches from the queue, runs its program, hands the result to the outputs.

use crate::ledger::{Flight, Ledger};
use crate::output_queue::{Item, OutputQueue};
use crate::pipeline::{State, message_of};
use crate::program::{DeadEvent, Outcome, Program};
use ferrostash_event::{Event, Selection};
use ferrostash_plugin::{
    Ack, BatchEncoder, Buried, DeadLetters, Encoded, FilteredBatch, OutputBatch, Shutdown,
};
use ferrostash_queue::{Appetite, Held, MemoryQueue, Portion, Pulled};
use futures::future::join_all;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How often filters are asked for what they keep.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// Batches that a worker takes with it in one trip to the queue, and hands to the outputs together.
const TRIP_BATCHES: usize = 8;
/// What a worker takes with it, in bytes.
const TRIP_BYTES: usize = 256 * 1024;
/// Lines of this many bytes go through the filters together: events larger than usual make smaller batches, which fit in
/// the processor's cache.
const PORTION_BYTES: usize = 64 * 1024;
/// Results of this weight, in bytes, or this old go to the outputs without waiting for the rest of the trip.
const HAND_ON_BYTES: usize = 256 * 1024;
const HAND_ON_AFTER: Duration = Duration::from_millis(2);

/// What the workers of a pipeline share.
pub(crate) struct Shop {
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) outputs: Vec<Arc<OutputQueue>>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) state: Arc<State>,
    pub(crate) shutdown: Shutdown,
    pub(crate) dead_letters: Arc<dyn DeadLetters>,
    pub(crate) batch_size: usize,
    pub(crate) batch_delay: Duration,
    pub(crate) workers: usize,
    /// Whether codecs may have marked events for the dead letter queue.
    pub(crate) has_dead_letters: bool,
}

pub(crate) struct Worker {
    program: Program,
    encoders: Encoders,
    shop: Arc<Shop>,
}

/// The encoders of the outputs that have one.
type Encoders = Vec<Option<Box<dyn BatchEncoder>>>;

/// What the events of a trip owe: to their inputs, and to the process's budget.
#[derive(Default)]
struct Owed {
    acks: Vec<Ack>,
    held: Arc<Vec<Held>>,
}

/// What came of the portions of a trip that have not been handed on yet.
#[derive(Default)]
struct Results {
    /// The events, where they are wanted; else nothing.
    events: Vec<Event>,
    /// Who wants the events, once that was asked.
    wanted: Option<Wanted>,
    events_bytes: usize,
    /// Events behind the filters, whether they are still there or not.
    out: usize,
    /// For each output: which of the events, counted by `out`, it gets.
    routes: Vec<Selection>,
    dead: Vec<DeadEvent>,
    created: usize,
    /// Events that were taken from the queue for this.
    pulled: u64,
}

/// Who wants the events of some portions, besides what encoders make of them.
struct Wanted {
    events: bool,
    /// Outputs whose events go to disk: theirs are not encoded.
    spilling: Vec<bool>,
}

impl Worker {
    pub(crate) fn new(program: Program, shop: Arc<Shop>) -> Worker {
        let encoders = shop.encoders();
        Worker { program, encoders, shop }
    }

    /// Works until the queue is closed and empty, or the grace time is over.
    pub(crate) async fn run(mut self) -> Worker {
        let flushes = self.program.flushes_periodically();
        let mut flush_at = Instant::now() + FLUSH_EVERY;
        let appetite = Appetite {
            batch: self.shop.batch_size,
            events_max: self.shop.batch_size.saturating_mul(TRIP_BATCHES),
            bytes_max: TRIP_BYTES,
            workers: self.shop.workers,
            delay: self.shop.batch_delay,
        };
        while !self.shop.shutdown.is_abandoned() {
            if flushes && flush_at <= Instant::now() {
                self.flush(false).await;
                flush_at = Instant::now() + FLUSH_EVERY;
            }
            let pull = self.shop.queue.pull(&appetite);
            let pulled = match flushes {
                false => pull.await,
                true => match timeout_at(flush_at, pull).await {
                    Ok(pulled) => pulled,
                    Err(_) => continue,
                },
            };
            let Some(pulled) = pulled else { break };
            self.trip(pulled).await;
            // A full queue never makes this task wait; others want the thread too.
            tokio::task::coop::consume_budget().await;
        }
        self
    }

    /// Takes what was pulled through the filters, portion by portion, and hands the results on together.
    async fn trip(&mut self, mut pulled: Pulled) {
        let started = Instant::now();
        let ledger = Arc::clone(&self.shop.ledger);
        let owed =
            Owed { acks: std::mem::take(&mut pulled.acks), held: Arc::new(std::mem::take(&mut pulled.held)) };
        let acks = &owed.acks;
        let mut in_filters = InFilters::new(Arc::clone(&ledger), pulled.len());
        let (mut results, mut handed_on) = (Results::default(), started);
        while let Some(portion) = pulled.next_portion(self.shop.batch_size, PORTION_BYTES) {
            if self.shop.shutdown.is_abandoned() {
                acks.iter().for_each(Ack::abandon);
                ledger.abandoned.add((portion.len() + pulled.len()) as u64);
                break;
            }
            self.portion(portion, acks, &mut in_filters, &mut results);
            if self.weight(&results) >= HAND_ON_BYTES || handed_on.elapsed() >= HAND_ON_AFTER {
                self.hand_on(std::mem::take(&mut results), &owed, &mut in_filters).await;
                handed_on = Instant::now();
            }
        }
        if results.pulled > 0 || results.created > 0 {
            self.hand_on(results, &owed, &mut in_filters).await;
        }
        ledger.duration.add(started.elapsed());
    }

    /// Takes one portion through the filters and encodes what is left of it.
    fn portion(&mut self, portion: Portion, acks: &[Ack], in_filters: &mut InFilters, results: &mut Results) {
        let lines = portion.len();
        let mut events = lines as u64;
        let mut dead = Vec::new();
        let made = catch_unwind(AssertUnwindSafe(|| portion.into_events()));
        let run = made.and_then(|mut made| {
            events = in_filters.recount(lines, made.len());
            if self.shop.has_dead_letters {
                dead = DeadEvent::of_codecs(&mut made);
            }
            catch_unwind(AssertUnwindSafe(|| self.program.run(made)))
        });
        match run {
            Ok(outcome) => {
                self.shop.ledger.filtered.add(events);
                results.dead.append(&mut dead);
                self.keep(outcome, events, acks, results);
            }
            Err(panic) => {
                acks.iter().for_each(Ack::abandon);
                self.shop.ledger.abandoned.add(events);
                self.panicked(&*panic);
            }
        }
    }

    /// Takes on what filters keep; `at_end` when no event will follow.
    pub(crate) async fn flush(&mut self, at_end: bool) {
        match catch_unwind(AssertUnwindSafe(|| self.program.flush(at_end))) {
            Ok(outcome) => {
                let mut results = Results::default();
                self.keep(outcome, 0, &[], &mut results);
                let mut none = InFilters::new(Arc::clone(&self.shop.ledger), 0);
                self.hand_on(results, &Owed::default(), &mut none).await;
            }
            Err(panic) => self.panicked(&*panic),
        }
    }

    /// Lets the outputs that can encode the events here, and keeps the events where others want them.
    fn keep(&mut self, outcome: Outcome, pulled: u64, acks: &[Ack], results: &mut Results) {
        results.pulled += pulled;
        let (encoders, shop) = (&mut self.encoders, &self.shop);
        let wants =
            |encoder: &Option<Box<dyn BatchEncoder>>| encoder.as_ref().is_none_or(|e| e.keeps_events());
        let wanted = results.wanted.get_or_insert_with(|| {
            let spilling: Vec<bool> = shop.outputs.iter().map(|output| output.is_spilling()).collect();
            Wanted { events: encoders.iter().any(wants) || spilling.contains(&true), spilling }
        });
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| encode(encoders, &wanted.spilling, &outcome))) {
            acks.iter().for_each(Ack::abandon);
            // What the encoders had of earlier portions is gone with them.
            let lost = std::mem::take(results);
            self.shop.ledger.abandoned.add(lost.pulled);
            self.shop.state.turn_red();
            let reason = message_of(&*panic);
            tracing::error!(reason, "An output's codec panicked; its batch is abandoned.");
            self.encoders = self.shop.encoders();
            return;
        }
        results.add(outcome);
    }

    /// What is to be handed on, in bytes.
    fn weight(&self, results: &Results) -> usize {
        let encoded = self.encoders.iter().flatten().map(|encoder| encoder.byte_size());
        results.events_bytes + encoded.sum::<usize>()
    }

    async fn hand_on(&mut self, results: Results, owed: &Owed, in_filters: &mut InFilters) {
        let spilling = results.wanted.as_ref().map_or(&[][..], |wanted| &wanted.spilling);
        let finish = |(number, encoder): (usize, &mut Option<Box<dyn BatchEncoder>>)| {
            let has_route = results.routes.get(number).is_some_and(|route| !route.is_empty());
            let is_spilling = spilling.get(number) == Some(&true);
            let encoder = encoder.as_mut().filter(|_| has_route && !is_spilling)?;
            Some(encoder.finish().with_events(encoder.keeps_events()))
        };
        let encoded = self.encoders.iter_mut().enumerate().map(finish).collect();
        self.shop.hand_on(results, encoded, owed, in_filters).await;
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

/// Gives the encoders the events that go to their outputs.
fn encode(encoders: &mut Encoders, spilling: &[bool], outcome: &Outcome) {
    for ((encoder, route), spilling) in encoders.iter_mut().zip(&outcome.routes).zip(spilling) {
        if let Some(encoder) = encoder.as_mut().filter(|_| !route.is_empty() && !spilling) {
            encoder.encode(&mut route.iter().filter_map(|slot| outcome.events.get(slot)));
        }
    }
}

impl Results {
    /// Adds what came of a portion; the events themselves only where they are wanted.
    fn add(&mut self, outcome: Outcome) {
        let Outcome { mut events, routes, mut dead, created } = outcome;
        if self.routes.is_empty() {
            self.routes = routes;
        } else {
            self.routes.iter_mut().zip(&routes).for_each(|(all, route)| all.append(route, self.out));
        }
        let count = events.len();
        if self.wanted.as_ref().is_some_and(|wanted| wanted.events) {
            self.events_bytes += events.iter().map(Event::byte_size).sum::<usize>();
            self.events.append(&mut events);
        }
        self.out += count;
        self.dead.append(&mut dead);
        self.created += created;
    }
}

impl Shop {
    fn encoders(&self) -> Encoders {
        self.outputs.iter().map(|output| output.encoder()).collect()
    }

    /// Hands what came out of the filters to the outputs, waiting for those whose queue is full.
    async fn hand_on(
        &self,
        results: Results,
        encoded: Vec<Option<Encoded>>,
        Owed { acks, held }: &Owed,
        in_filters: &mut InFilters,
    ) {
        let Results { events, out, routes, dead, created, pulled, .. } = results;
        let cancelled = (pulled + created as u64).saturating_sub((out + dead.len()) as u64);
        self.ledger.created.add(created as u64);
        self.ledger.dropped.add(cancelled);
        self.ledger.out.add(out as u64);
        let flight = Arc::new(Flight::new(Arc::clone(&self.ledger), out, self.queue.busy()));
        in_filters.release(pulled);
        self.bury(dead, acks).await;
        let shared: Arc<[Ack]> = acks.as_slice().into();
        // Where nobody needs the events any more they ended with their portion, on the thread that made them.
        let batch = Arc::new(FilteredBatch::new(events, acks.clone()).holding(Arc::clone(held) as _));
        // First everybody who has room, then those who make the worker wait.
        let mut waiting = Vec::new();
        for ((output, selection), encoded) in self.outputs.iter().zip(routes).zip(encoded) {
            if selection.is_empty() {
                continue;
            }
            let batch = match encoded {
                Some(encoded) => OutputBatch::of_encoded(Arc::clone(&batch), selection, encoded),
                None => OutputBatch::new(Arc::clone(&batch), selection),
            };
            let flight = Some(Arc::clone(&flight));
            let item = Item::new(batch, Arc::clone(&shared), flight, output.counts());
            output.counts().offered.add(item.batch.len() as u64);
            waiting.extend(output.try_send(item).map(|item| (output, item)));
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

    /// Writes to the dead letter queue, all together.
    async fn bury(&self, dead: Vec<DeadEvent>, acks: &[Ack]) {
        if dead.is_empty() {
            return;
        }
        let events = dead.len() as u64;
        self.ledger.in_flight.add(events);
        let bury = async |DeadEvent { event, plugin_type, plugin_id, reason }: &DeadEvent| {
            let own = self.dead_letters.of_plugin(plugin_type, plugin_id);
            own.as_deref().unwrap_or(&*self.dead_letters).write(event, reason).await
        };
        tokio::select! {
            fates = join_all(dead.iter().map(bury)) => {
                let kept = fates.iter().filter(|fate| **fate == Buried::Kept).count() as u64;
                self.ledger.dead_lettered.add(kept);
                self.ledger.dropped.add(events - kept);
            }
            () = self.shutdown.abandoned() => {
                acks.iter().for_each(Ack::abandon);
                self.ledger.abandoned.add(events);
            }
        }
        self.ledger.in_flight.subtract(events);
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

    /// Lines were counted when they came in; of some codecs' lines come more events, or none. Gives the events.
    fn recount(&mut self, lines: usize, events: usize) -> u64 {
        let (lines, events) = (lines as u64, events as u64);
        let (more, fewer) = (events.saturating_sub(lines), lines.saturating_sub(events));
        for counter in [&self.ledger.received, &self.ledger.in_flight] {
            counter.add(more);
            counter.subtract(fewer);
        }
        self.events = self.events + more - fewer;
        events
    }

    /// `events` are with the filters no more.
    fn release(&mut self, events: u64) {
        self.ledger.in_flight.subtract(events);
        self.events = self.events.saturating_sub(events);
    }
}

impl Drop for InFilters {
    fn drop(&mut self) {
        self.ledger.in_flight.subtract(self.events);
    }
}
