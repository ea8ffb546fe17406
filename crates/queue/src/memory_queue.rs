//! The queue of a pipeline without persistence.
//!
//! Two fair semaphores hold what may come in, one counts events and one bytes, so that producers are served in their
//! order and a push that is given up takes nothing. A chunk larger than the whole queue takes all permits and passes
//! alone.
//!
//! Workers follow Nagle's rule for `pipeline.batch.delay`. While no batch is on its way through the outputs, a worker
//! takes at once what is there, be it a single event: waiting would only add latency. While outputs are busy, a small
//! batch would queue up behind others anyway, so the worker collects until the batch is full, the outputs are idle again
//! or the delay has passed.

use crate::budget::{Budget, Held};
use crate::event_pages::EventRecord;
use ferrostash_event::Event;
use ferrostash_plugin::{Ack, Chunk, EventQueue, QueueClosed, RawLines, Reserved};
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Bytes of events that one pipeline's queue holds, unless settings say otherwise.
pub const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Bytes are counted in units of this size, which lets a queue be as large as 4 TiB.
pub const QUEUE_BYTES_UNIT: usize = 1024;

/// A queue bounded in events and bytes, for many producers and many workers.
pub struct MemoryQueue {
    state: Mutex<State>,
    room: Room,
    /// Workers wait here; one is woken for every reason to look again.
    workers: Notify,
    busy: AtomicUsize,
    budget: Budget,
    events_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Stored>,
    events: usize,
    bytes: usize,
    closed: bool,
}

/// A chunk, or what is left of one.
struct Stored {
    load: Load,
    acks: Vec<Ack>,
    held: Held,
    weight: Weight,
    bytes: usize,
}

#[derive(Debug)]
enum Load {
    Events(std::vec::IntoIter<Event>),
    Lines(RawLines),
    /// Events as they are on disk; taken as a whole.
    Record(EventRecord),
}

impl Load {
    fn len(&self) -> usize {
        match self {
            Load::Events(events) => events.len(),
            Load::Lines(lines) => lines.len(),
            Load::Record(record) => record.len(),
        }
    }

    /// What it weighs, in bytes.
    fn byte_size(&self) -> usize {
        match self {
            Load::Events(events) => events.as_slice().iter().map(Event::byte_size).sum(),
            Load::Lines(lines) => lines.byte_size(),
            Load::Record(record) => record.byte_size(),
        }
    }
}

/// Permits that a chunk holds.
#[derive(Clone, Copy, Default)]
struct Weight {
    events: u32,
    units: u32,
}

struct Room {
    events: Semaphore,
    units: Semaphore,
    events_max: u32,
    units_max: u32,
}

/// What a worker took out of the queue: events, or lines.
#[derive(Debug, Default)]
pub struct Pulled {
    events: std::vec::IntoIter<Event>,
    /// The lines of which the events are still to be made, in the order they came in.
    lines: VecDeque<RawLines>,
    /// Records of which the events are still to be made.
    records: VecDeque<EventRecord>,
    /// The acks of their chunks.
    pub acks: Vec<Ack>,
    /// What they draw on the budget, until they are settled.
    pub held: Vec<Held>,
    count: usize,
}

/// As much of it as goes through the filters together.
#[derive(Debug)]
pub enum Portion {
    /// Events.
    Events(Vec<Event>),
    /// Lines of which the events are still to be made.
    Lines(Vec<RawLines>),
}

impl Pulled {
    /// Number of events or lines that are left.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is neither event nor line.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The next events: at most `events_max` of them, or lines of about `bytes_max` bytes, whichever is less.
    pub fn next_portion(&mut self, events_max: usize, bytes_max: usize) -> Option<Portion> {
        if self.is_empty() {
            return None;
        }
        let events_max = events_max.max(1);
        while self.events.as_slice().is_empty()
            && let Some(record) = self.records.pop_front()
        {
            let count = record.len();
            let events = record.into_events();
            self.count = self.count.saturating_sub(count) + events.len();
            self.events = events.into_iter();
        }
        let portion = match self.lines.is_empty() {
            true => Portion::Events(self.events.by_ref().take(events_max).collect()),
            false => Portion::Lines(self.next_lines(events_max, bytes_max)),
        };
        self.count -= portion.len();
        Some(portion)
    }

    fn next_lines(&mut self, lines_max: usize, bytes_max: usize) -> Vec<RawLines> {
        let (mut portion, mut count, mut bytes) = (Vec::new(), 0, 0);
        while count < lines_max
            && bytes < bytes_max
            && let Some(mut front) = self.lines.pop_front()
        {
            // The lines of a chunk are mostly alike.
            let line_bytes = front.byte_size().div_ceil(front.len().max(1)).max(1);
            let wanted = (lines_max - count).min((bytes_max - bytes).div_ceil(line_bytes));
            let part = front.take_front(wanted);
            (count, bytes) = (count + part.len(), bytes + part.byte_size());
            portion.push(part);
            if !front.is_empty() {
                self.lines.push_front(front);
            }
        }
        portion
    }
}

impl Portion {
    /// Number of events or lines.
    pub fn len(&self) -> usize {
        match self {
            Portion::Events(events) => events.len(),
            Portion::Lines(lines) => lines.iter().map(RawLines::len).sum(),
        }
    }

    /// Whether there is neither event nor line.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The events; those of lines are made now.
    pub fn into_events(self) -> Vec<Event> {
        match self {
            Portion::Events(events) => events,
            Portion::Lines(lines) => {
                let mut events = Vec::new();
                lines.into_iter().for_each(|lines| lines.make_events(&mut events));
                events
            }
        }
    }
}

/// What a worker wants of the queue.
#[derive(Clone, Copy, Debug)]
pub struct Appetite {
    /// Events that are worth working on: `pipeline.batch.size`.
    pub batch: usize,
    /// Most events that a worker takes with it when many wait: one trip for several batches.
    pub events_max: usize,
    /// Once what it has weighs this much, in bytes, it takes no further chunk.
    pub bytes_max: usize,
    /// Workers that share what waits.
    pub workers: usize,
    /// How long a batch may be collected: `pipeline.batch.delay`.
    pub delay: Duration,
}

impl Appetite {
    /// A worker's share of the events that wait.
    fn share(&self, waiting: usize) -> usize {
        let batch = self.batch.max(1);
        (waiting / self.workers.max(1)).clamp(batch, self.events_max.max(batch))
    }
}

/// Says that a batch is on its way through the outputs, until it is dropped.
#[must_use]
pub struct Busy(Arc<MemoryQueue>);

impl MemoryQueue {
    /// A queue for at most `events_max` events that weigh at most `bytes_max`; one chunk fits in any case. All of them
    /// draw on `budget`.
    pub fn new(events_max: usize, bytes_max: usize, budget: Budget) -> Arc<MemoryQueue> {
        Arc::new(MemoryQueue {
            budget,
            state: Mutex::default(),
            room: Room::new(events_max, bytes_max),
            workers: Notify::new(),
            busy: AtomicUsize::new(0),
            events_max,
            bytes_max,
        })
    }

    /// Events that wait.
    pub fn events(&self) -> usize {
        self.state().events
    }

    /// What the waiting events weigh, in bytes.
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Most events that may wait.
    pub fn events_max(&self) -> usize {
        self.events_max
    }

    /// What waiting events may weigh, in bytes.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Takes events for a worker, waiting for the first one. See the module for the delay.
    ///
    /// `None` once the queue is closed and empty. Cancel-safe: what is not returned stays in the queue.
    pub async fn pull(&self, appetite: &Appetite) -> Option<Pulled> {
        let mut deadline: Option<Instant> = None;
        loop {
            let woken = self.workers.notified();
            tokio::pin!(woken);
            // Enlisted before the look, so that nothing that happens after it is missed.
            woken.as_mut().enable();
            let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            match self.look(appetite, late) {
                Look::Batch(pulled) => return Some(pulled),
                Look::End => return None,
                Look::Empty => {
                    deadline = None;
                    woken.await;
                }
                Look::Collect => {
                    let until = *deadline.get_or_insert_with(|| Instant::now() + appetite.delay);
                    let _ = tokio::time::timeout_at(until, woken).await;
                }
            }
        }
    }

    /// Refuses what comes from now on; workers take the rest.
    pub fn close(&self) {
        self.state().closed = true;
        self.room.close();
        self.workers.notify_waiters();
    }

    /// Whether the queue was closed.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Gives up on everything that waits. Returns the number of events.
    pub fn abandon(&self) -> usize {
        let (chunks, events) = {
            let mut state = self.state();
            state.bytes = 0;
            (std::mem::take(&mut state.chunks), std::mem::take(&mut state.events))
        };
        for stored in chunks {
            stored.acks.iter().for_each(Ack::abandon);
            self.room.free(stored.weight);
        }
        events
    }

    /// Says that a batch goes to the outputs; the guard is dropped when the last of them has it behind it.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, appetite: &Appetite, late: bool) -> Look {
        let mut state = self.state();
        if state.events == 0 {
            return if state.closed { Look::End } else { Look::Empty };
        }
        // Where producers wait for room, nothing more can come.
        let ready = late
            || state.closed
            || state.events >= appetite.batch
            || self.room.is_exhausted()
            || self.budget.is_exhausted();
        if !ready && self.busy.load(Ordering::Acquire) > 0 {
            return Look::Collect;
        }
        let share = appetite.share(state.events);
        let (pulled, freed) = state.take(share, appetite.bytes_max);
        let more = state.events > 0;
        drop(state);
        self.room.free(freed);
        if more {
            self.workers.notify_one();
        }
        Look::Batch(pulled)
    }

    /// Puts a record of the queue on disk in, waiting while there is no room; the worker makes the events.
    ///
    /// # Errors
    /// [`QueueClosed`]; the ack was abandoned.
    pub async fn push_record(&self, record: EventRecord, ack: Ack) -> Result<(), QueueClosed> {
        // Whoever holds the budget may be waiting for the disk that this record is to free.
        self.put(Load::Record(record), vec![ack], true).await
    }

    async fn put(&self, load: Load, acks: Vec<Ack>, is_relayed: bool) -> Result<(), QueueClosed> {
        if load.len() == 0 {
            return Ok(());
        }
        let bytes = load.byte_size();
        let weight = self.room.weigh(load.len(), bytes);
        let mut guard = AbandonUnlessDone(Some((load, acks)));
        // The queue's own room first: who waits for it holds nothing that other pipelines could use.
        let taken = self.room.take(weight).await?;
        let held = match is_relayed {
            // The pipeline it comes from holds its own share until this one has it: waiting could be for ever.
            true => self.budget.draw_what_is_left(units(bytes)),
            false => self.budget.draw(units(bytes)).await,
        };
        let mut state = self.state();
        if state.closed {
            return Err(QueueClosed);
        }
        if let Some((load, acks)) = guard.0.take() {
            state.events += load.len();
            state.bytes += bytes;
            state.chunks.push_back(Stored { load, acks, held, weight, bytes });
            taken.keep();
        }
        drop(state);
        self.workers.notify_one();
        Ok(())
    }
}

/// What a worker finds.
enum Look {
    Batch(Pulled),
    /// Something is there, but more should be collected.
    Collect,
    Empty,
    End,
}

/// A push that fails or is given up must not look like one that settled.
struct AbandonUnlessDone(Option<(Load, Vec<Ack>)>);

impl Drop for AbandonUnlessDone {
    fn drop(&mut self) {
        if let Some((_, acks)) = self.0.take() {
            acks.iter().for_each(Ack::abandon);
        }
    }
}

impl EventQueue for MemoryQueue {
    fn push(&self, chunk: Chunk) -> BoxFuture<'_, Result<(), QueueClosed>> {
        let Chunk { events, lines, acks, is_relayed } = chunk;
        let load = lines.map_or_else(|| Load::Events(events.into_iter()), Load::Lines);
        Box::pin(self.put(load, acks, is_relayed))
    }

    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Reserved> {
        Box::pin(self.budget.reserve(bytes))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.workers.notify_one();
        }
    }
}

impl State {
    /// Takes up to `events_max` events or lines, not both, and says what room they leave.
    fn take(&mut self, events_max: usize, bytes_max: usize) -> (Pulled, Weight) {
        let (mut pulled, mut events) = (Pulled::default(), Vec::new());
        let mut freed = Weight::default();
        let bytes_before = self.bytes;
        while pulled.count < events_max
            && bytes_before - self.bytes < bytes_max
            && let Some(mut front) = self.chunks.pop_front()
        {
            let other_kind = match front.load {
                Load::Events(_) => !pulled.lines.is_empty() || !pulled.records.is_empty(),
                Load::Lines(_) => !events.is_empty() || !pulled.records.is_empty(),
                Load::Record(_) => !events.is_empty() || !pulled.lines.is_empty(),
            };
            let wanted = events_max - pulled.count;
            let is_whole = matches!(front.load, Load::Record(_));
            if other_kind || (is_whole && front.load.len() > wanted && pulled.count > 0) {
                self.chunks.push_front(front);
                break;
            }
            if front.load.len() > wanted && !is_whole {
                self.bytes -= front.take_part(wanted, &mut pulled, &mut events, &mut freed);
                self.chunks.push_front(front);
                break;
            }
            self.bytes -= front.bytes;
            freed.events += front.weight.events;
            freed.units += front.weight.units;
            pulled.count += front.load.len();
            pulled.acks.append(&mut front.acks);
            pulled.held.push(front.held);
            match front.load {
                Load::Lines(lines) => pulled.lines.push_back(lines),
                Load::Record(record) => pulled.records.push_back(record),
                // A whole chunk that comes first is handed over as it is, without a copy.
                Load::Events(chunk) if events.is_empty() => events = chunk.collect(),
                Load::Events(chunk) => events.extend(chunk),
            }
        }
        self.events -= pulled.count;
        pulled.events = events.into_iter();
        (pulled, freed)
    }
}

impl Stored {
    /// Moves `wanted` events or lines, which are not all; returns the bytes they weigh.
    fn take_part(
        &mut self,
        wanted: usize,
        pulled: &mut Pulled,
        events: &mut Vec<Event>,
        freed: &mut Weight,
    ) -> usize {
        let bytes = match &mut self.load {
            Load::Events(chunk) => {
                let before = events.len();
                events.extend(chunk.by_ref().take(wanted));
                events.iter().skip(before).map(Event::byte_size).sum()
            }
            Load::Lines(lines) => {
                let part = lines.take_front(wanted);
                let bytes = part.byte_size();
                pulled.lines.push_back(part);
                bytes
            }
            // It is never taken in parts.
            Load::Record(_) => 0,
        };
        let bytes = bytes.min(self.bytes);
        pulled.count += wanted;
        pulled.acks.extend(self.acks.iter().cloned());
        pulled.held.push(self.held.split(units(bytes)));
        // An oversized chunk keeps its permits until little enough of it is left.
        let left = Weight { events: saturate(self.load.len()), units: units(self.bytes - bytes) };
        freed.events += self.weight.events.saturating_sub(left.events);
        freed.units += self.weight.units.saturating_sub(left.units);
        self.weight =
            Weight { events: self.weight.events.min(left.events), units: self.weight.units.min(left.units) };
        self.bytes -= bytes;
        bytes
    }
}

fn saturate(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn units(bytes: usize) -> u32 {
    saturate(bytes.div_ceil(QUEUE_BYTES_UNIT))
}

/// Room for a chunk; free again when this is dropped.
struct Taken<'r> {
    events: SemaphorePermit<'r>,
    units: SemaphorePermit<'r>,
}

impl Taken<'_> {
    /// The chunk is in the queue, and gives the room back when it leaves.
    fn keep(self) {
        self.events.forget();
        self.units.forget();
    }
}

impl Room {
    fn new(events_max: usize, bytes_max: usize) -> Room {
        let limit = saturate(Semaphore::MAX_PERMITS);
        let events_max = saturate(events_max).clamp(1, limit);
        let units_max = units(bytes_max).clamp(1, limit);
        Room {
            events: Semaphore::new(events_max as usize),
            units: Semaphore::new(units_max as usize),
            events_max,
            units_max,
        }
    }

    fn weigh(&self, events: usize, bytes: usize) -> Weight {
        Weight { events: saturate(events).min(self.events_max), units: units(bytes).min(self.units_max) }
    }

    /// Always in the same order, so that two producers never hold what the other one needs.
    async fn take(&self, weight: Weight) -> Result<Taken<'_>, QueueClosed> {
        let events = self.events.acquire_many(weight.events).await.map_err(|_| QueueClosed)?;
        let units = self.units.acquire_many(weight.units).await.map_err(|_| QueueClosed)?;
        Ok(Taken { events, units })
    }

    fn free(&self, weight: Weight) {
        self.events.add_permits(weight.events as usize);
        self.units.add_permits(weight.units as usize);
    }

    /// A producer that waits has taken what was left, so this is also true for a half-full queue.
    fn is_exhausted(&self) -> bool {
        self.events.available_permits() == 0 || self.units.available_permits() == 0
    }

    fn close(&self) {
        self.events.close();
        self.units.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_event::Timestamp;
    use ferrostash_plugin::AckTracker;

    const DELAY: Duration = Duration::from_millis(50);

    fn queue(events_max: usize, bytes_max: usize) -> Arc<MemoryQueue> {
        MemoryQueue::new(events_max, bytes_max, Budget::new(1 << 30))
    }

    fn events(n: usize) -> Vec<Event> {
        (0..n).map(|i| Event::from_message(&i.to_string(), Timestamp::EPOCH)).collect()
    }

    fn chunk(n: usize) -> Chunk {
        Chunk::new(events(n), Vec::new())
    }

    fn batch_of(batch: usize) -> Appetite {
        Appetite { batch, events_max: batch, bytes_max: usize::MAX, workers: 1, delay: DELAY }
    }

    async fn pull(queue: &MemoryQueue, max: usize) -> usize {
        queue.pull(&batch_of(max)).await.map_or(0, |pulled| pulled.len())
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_pipeline_hands_a_lone_event_over_at_once() {
        let queue = queue(1000, QUEUE_BYTES_MAX);
        let before = Instant::now();
        queue.push(chunk(1)).await.unwrap();
        assert_eq!(pull(&queue, 125).await, 1);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn behind_busy_outputs_small_chunks_are_collected() {
        let queue = queue(1000, QUEUE_BYTES_MAX);
        let busy = queue.busy();
        queue.push(chunk(1)).await.unwrap();
        queue.push(chunk(2)).await.unwrap();
        let before = Instant::now();
        assert_eq!(pull(&queue, 125).await, 3);
        assert_eq!(before.elapsed(), DELAY, "waits for more until the delay has passed");

        queue.push(chunk(200)).await.unwrap();
        assert_eq!(pull(&queue, 125).await, 125);
        assert_eq!(before.elapsed(), DELAY, "a full batch waits for nothing");

        let collecting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { pull(&queue, 125).await }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(busy);
        assert_eq!(collecting.await.unwrap(), 75);
        assert_eq!(
            before.elapsed(),
            DELAY + Duration::from_millis(5),
            "nor does one once the outputs are idle"
        );
    }

    #[tokio::test]
    async fn chunks_are_combined_and_split_and_share_their_acks() {
        let queue = queue(1000, QUEUE_BYTES_MAX);
        let mut tracker = AckTracker::new(8);
        for size in [2, 5] {
            let ack = tracker.issue(size).await;
            queue.push(Chunk::new(events(size), vec![ack])).await.unwrap();
        }
        let first = queue.pull(&batch_of(4)).await.unwrap();
        assert_eq!((first.len(), first.acks.len()), (4, 2));
        drop(first);
        assert_eq!(tracker.settled(), Some(2), "the second chunk is not done");
        let rest = queue.pull(&batch_of(4)).await.unwrap();
        assert_eq!(rest.len(), 3);
        drop(rest);
        assert_eq!(tracker.settled(), Some(5));
        assert_eq!((queue.events(), queue.bytes()), (0, 0));
        assert_eq!(queue.room.events.available_permits(), 1000);
        assert_eq!(queue.room.units.available_permits(), QUEUE_BYTES_MAX / QUEUE_BYTES_UNIT);
    }

    #[tokio::test]
    async fn many_events_are_shared_among_the_workers() {
        let queue = queue(1000, QUEUE_BYTES_MAX);
        let worker = Appetite { events_max: 80, workers: 2, ..batch_of(10) };
        queue.push(chunk(100)).await.unwrap();
        let mut taken = Vec::new();
        while queue.events() > 0 {
            taken.push(queue.pull(&worker).await.unwrap().len());
        }
        assert_eq!(taken, [50, 25, 12, 10, 3]);
        queue.push(chunk(500)).await.unwrap();
        assert_eq!(queue.pull(&worker).await.unwrap().len(), 80);
    }

    #[tokio::test]
    async fn heavy_chunks_are_taken_one_at_a_time() {
        let queue = queue(1000, QUEUE_BYTES_MAX);
        for _ in 0..3 {
            queue.push(chunk(5)).await.unwrap();
        }
        let worker = Appetite { bytes_max: 1, ..batch_of(100) };
        assert_eq!(queue.pull(&worker).await.unwrap().len(), 5);
        assert_eq!((queue.events(), pull(&queue, 100).await), (10, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_makes_producers_wait_and_an_oversized_chunk_passes_alone() {
        for (events_max, bytes_max) in [(10, QUEUE_BYTES_MAX), (1000, QUEUE_BYTES_UNIT)] {
            let queue = queue(events_max, bytes_max);
            queue.push(chunk(25)).await.unwrap();
            let second = queue.push(chunk(1));
            tokio::pin!(second);
            assert!(tokio::time::timeout(DELAY, &mut second).await.is_err());
            assert_eq!(pull(&queue, 25).await, 25);
            second.await.unwrap();
            assert_eq!(pull(&queue, 25).await, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_does_not_wait_for_what_cannot_come() {
        let queue = queue(100, 2 * QUEUE_BYTES_UNIT);
        let _busy = queue.busy();
        queue.push(chunk(2)).await.unwrap();
        let large = queue.push(chunk(90));
        tokio::pin!(large);
        assert!(tokio::time::timeout(Duration::ZERO, &mut large).await.is_err());
        let before = Instant::now();
        assert_eq!(pull(&queue, 125).await, 2);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn queues_share_a_budget_until_their_events_are_settled() {
        let budget = Budget::new(QUEUE_BYTES_UNIT);
        let (one, other) =
            (MemoryQueue::new(100, 1 << 20, budget.clone()), MemoryQueue::new(100, 1 << 20, budget.clone()));
        one.push(chunk(1)).await.unwrap();
        let waiting = other.push(chunk(1));
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(DELAY, &mut waiting).await.is_err());
        let pulled = one.pull(&batch_of(9)).await.unwrap();
        assert!(tokio::time::timeout(DELAY, &mut waiting).await.is_err(), "pulled is not settled");
        other.push(Chunk { is_relayed: true, ..chunk(1) }).await.unwrap();
        assert_eq!(budget.bytes(), budget.bytes_max());
        drop(pulled);
        waiting.await.unwrap();
        assert_eq!(pull(&other, 9).await, 2);
        assert_eq!(budget.bytes(), 0);
    }

    #[tokio::test]
    async fn empty_chunks_settle() {
        let queue = queue(10, QUEUE_BYTES_MAX);
        let mut tracker = AckTracker::new(1);
        let ack = tracker.issue(7).await;
        queue.push(Chunk::new(Vec::new(), vec![ack])).await.unwrap();
        assert_eq!(tracker.settled(), Some(7));
    }

    #[tokio::test]
    async fn closing_refuses_pushes_and_lets_workers_drain() {
        let queue = queue(2, QUEUE_BYTES_MAX);
        let mut tracker = AckTracker::new(2);
        queue.push(chunk(2)).await.unwrap();
        let ack = tracker.issue(1).await;
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.push(Chunk::new(events(1), vec![ack])).await }
        });
        tokio::task::yield_now().await;
        queue.close();
        assert_eq!(waiting.await.unwrap(), Err(QueueClosed));
        assert_eq!(tracker.next_settled().await, None);
        assert!(tracker.is_abandoned());
        assert_eq!(queue.push(chunk(1)).await, Err(QueueClosed));
        assert_eq!(pull(&queue, 125).await, 2);
        assert!(queue.pull(&batch_of(125)).await.is_none());
        assert!(queue.pull(&batch_of(125)).await.is_none());
    }

    #[tokio::test]
    async fn what_is_abandoned_is_not_settled() {
        let queue = queue(10, QUEUE_BYTES_MAX);
        let mut tracker = AckTracker::new(2);
        let ack = tracker.issue(1).await;
        queue.push(Chunk::new(events(3), vec![ack])).await.unwrap();
        assert_eq!(queue.abandon(), 3);
        assert_eq!(tracker.settled(), None);
        assert!(tracker.is_abandoned());
        queue.push(chunk(10)).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_producers_and_workers_lose_nothing() {
        const PRODUCERS: usize = 4;
        const CHUNKS: usize = 500;
        let queue = queue(64, QUEUE_BYTES_MAX);
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|p| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move {
                    let mut tracker = AckTracker::new(16);
                    for i in 0..CHUNKS {
                        let ack = tracker.issue(i).await;
                        let chunk = Chunk::new(events((p + i) % 7), vec![ack]);
                        // Giving a push up half-way must not lose room.
                        drop(
                            tokio::time::timeout(Duration::ZERO, queue.push(Chunk::new(events(100), vec![])))
                                .await,
                        );
                        queue.push(chunk).await.unwrap();
                        tracker.settled();
                    }
                    while tracker.in_flight() > 0 {
                        tracker.next_settled().await.expect("nothing was abandoned");
                    }
                })
            })
            .collect();
        let hurried = Appetite { delay: Duration::from_millis(1), ..batch_of(10) };
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move {
                    while let Some(pulled) = queue.pull(&hurried).await {
                        assert!((1..=10).contains(&pulled.len()));
                        let busy = queue.busy();
                        tokio::task::yield_now().await;
                        drop((pulled, busy));
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.await.unwrap();
        }
        queue.close();
        for worker in workers {
            worker.await.unwrap();
        }
        assert_eq!((queue.events(), queue.bytes()), (0, 0));
    }
}
