//! What waits for one output.
//!
//! Each output has its own queue, bounded in batches and in bytes, so that one that is blocked holds up nobody until its
//! own queue is full. Where the pipeline has several outputs, one that takes nothing for [`SPILL_AFTER`] gets its events on
//! disk from then on, see [`Spill`]. What is dropped on the way, for whatever reason, counts as abandoned; only
//! [`Ticket::settle`] says that an output has the events behind it.

use crate::ledger::{Flight, OutputCounts};
use crate::pipeline::message_of;
use crate::spill::Spill;
use ferrostash_plugin::{Account, Ack, BatchEncoder, OutputBatch, OutputFactory, Share};
use ferrostash_queue::QUEUE_BYTES_UNIT;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a worker waits for an output before its events go to disk: a slow output is waited for, one that is blocked is
/// not.
pub(crate) const SPILL_AFTER: Duration = Duration::from_secs(1);

/// The sending end of an output's queue.
pub(crate) struct OutputQueue {
    items: async_channel::Sender<Item>,
    room: Room,
    factory: Arc<dyn OutputFactory>,
    counts: Arc<OutputCounts>,
    spill: Option<Arc<Spill>>,
}

/// Reads the fill of an output's queue.
#[derive(Clone, Debug)]
pub struct OutputQueueGauges {
    room: Room,
    counts: Arc<OutputCounts>,
    spill: Option<Arc<Spill>>,
}

/// Room for batches that wait or are being written.
#[derive(Clone, Debug)]
struct Room {
    batches: Arc<Semaphore>,
    batches_max: usize,
    units: Arc<Semaphore>,
    units_max: u32,
}

/// What a batch takes of the room.
type Place = [OwnedSemaphorePermit; 2];

/// A batch for one output, with what is owed for it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) batch: OutputBatch,
    pub(crate) ticket: Ticket,
}

/// Says what became of a batch at one output.
pub(crate) struct Ticket {
    share: Share,
    counted: Arc<Counted>,
    /// Free again when the batch has gone.
    place: Option<Place>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").finish_non_exhaustive()
    }
}

impl Ticket {
    /// The output has the events behind it.
    pub(crate) fn settle(self) {
        self.share.settle();
    }

    /// The events go to disk, and will be counted when they come back.
    pub(crate) fn move_to_disk(self) -> Share {
        self.counted.is_on_disk.store(true, Ordering::Relaxed);
        self.share
    }
}

/// Counts a batch at one output, and holds its account with the pipeline.
pub(crate) struct Counted {
    counts: Arc<OutputCounts>,
    events: u64,
    abandoned: AtomicBool,
    is_on_disk: AtomicBool,
    /// Where the events came through the filters just now.
    flight: Option<Arc<Flight>>,
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counted").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Account for Counted {
    fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.flight.iter().for_each(|flight| flight.abandon());
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        match (*self.abandoned.get_mut(), &self.flight) {
            (true, Some(_)) => self.counts.abandoned.add(self.events),
            // It is still on the disk, and comes again.
            (true, None) => {}
            (false, _) if *self.is_on_disk.get_mut() => self.counts.spilled.add(self.events),
            (false, _) => self.counts.settled.add(self.events),
        }
    }
}

impl Item {
    /// A batch that came through the filters; `acks` are those of its chunks.
    pub(crate) fn new(
        batch: OutputBatch,
        acks: Arc<[Ack]>,
        flight: Option<Arc<Flight>>,
        counts: &Arc<OutputCounts>,
    ) -> Item {
        let counts = Arc::clone(counts);
        let (events, abandoned, is_on_disk) =
            (batch.len() as u64, AtomicBool::default(), AtomicBool::default());
        let counted = Arc::new(Counted { counts, events, abandoned, is_on_disk, flight });
        let account = Arc::clone(&counted) as Arc<dyn Account>;
        let batch = batch.counted_by(Arc::clone(&account));
        Item { batch, ticket: Ticket { share: Share::counted_by(acks, account), counted, place: None } }
    }
}

impl OutputQueue {
    /// A queue for at most `batches_max` batches that weigh at most `bytes_max`; one batch fits in any case. Each worker may
    /// leave one batch more, once, when the output turns out to be blocked.
    pub(crate) fn new(
        (batches_max, bytes_max): (usize, usize),
        workers: usize,
        factory: Arc<dyn OutputFactory>,
        spill: Option<Arc<Spill>>,
        counts: Arc<OutputCounts>,
    ) -> (OutputQueue, async_channel::Receiver<Item>) {
        let batches_max = batches_max.max(1);
        let extra = if spill.is_some() { workers } else { 0 };
        let (items, receiver) = async_channel::bounded(batches_max + extra);
        (OutputQueue { items, room: Room::new(batches_max, bytes_max), factory, counts, spill }, receiver)
    }

    pub(crate) fn gauges(&self) -> OutputQueueGauges {
        OutputQueueGauges {
            room: self.room.clone(),
            counts: Arc::clone(&self.counts),
            spill: self.spill.clone(),
        }
    }

    /// An encoder for a worker, where the output has one.
    pub(crate) fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        self.factory.encoder()
    }

    /// What is counted for the output.
    pub(crate) fn counts(&self) -> &Arc<OutputCounts> {
        &self.counts
    }

    /// Where its events go while it is blocked.
    pub(crate) fn spill(&self) -> Option<&Arc<Spill>> {
        self.spill.as_ref()
    }

    /// Whether its events go to disk now.
    pub(crate) fn is_spilling(&self) -> bool {
        self.spill.as_ref().is_some_and(|spill| spill.is_active())
    }

    /// Puts a batch in, or gives it back where there is no room now.
    pub(crate) fn try_send(&self, mut item: Item) -> Option<Item> {
        if self.is_spilling() {
            return Some(item);
        }
        item.ticket.place = self.room.try_take(&item.batch);
        if item.ticket.place.is_none() {
            return Some(item);
        }
        if !self.encode(&mut item) {
            return None;
        }
        let mut item = self.items.try_send(item).err()?.into_inner();
        item.ticket.place = None;
        Some(item)
    }

    /// Puts a batch in, waiting for room; where that takes too long it goes to the spill, if there is one. The batch is
    /// abandoned if the output is gone, or this is given up.
    pub(crate) async fn send(&self, item: Item) {
        let Some(spill) = &self.spill else { return self.send_into_memory(item).await };
        if !spill.is_active() {
            if let Ok(place) = tokio::time::timeout(SPILL_AFTER, self.room.take(&item.batch)).await {
                return self.enter(item, place).await;
            }
            spill.activate().await;
        }
        match item.batch.has_events() && spill.is_active() {
            true => {
                if let Some(item) = spill.put(item).await {
                    self.send_into_memory(item).await;
                }
            }
            // Its events are gone, there is only what the encoder made of them: the one batch more.
            false => self.enter(item, None).await,
        }
    }

    /// Puts a batch in, waiting for room as long as it takes.
    pub(crate) async fn send_into_memory(&self, item: Item) {
        let place = self.room.take(&item.batch).await;
        self.enter(item, place).await;
    }

    async fn enter(&self, mut item: Item, place: Option<Place>) {
        item.ticket.place = place;
        if self.encode(&mut item) {
            drop(self.items.send(item).await);
        }
    }

    /// What comes from the disk, or was meant for it, is encoded only now. Where that panics the batch is to be abandoned.
    fn encode(&self, item: &mut Item) -> bool {
        if item.batch.is_encoded() {
            return true;
        }
        let Some(mut encoder) = self.encoder() else { return true };
        let batch = item.batch.clone();
        match catch_unwind(AssertUnwindSafe(|| batch.encoded_by(&mut *encoder))) {
            Ok(batch) => {
                item.batch = batch;
                true
            }
            Err(panic) => {
                tracing::error!(
                    reason = message_of(&*panic),
                    "An output's codec panicked; its batch is abandoned."
                );
                false
            }
        }
    }

    /// Ends the queue: the output takes what is there, and then closes.
    pub(crate) fn close(&self) {
        self.items.close();
    }
}

impl Room {
    fn new(batches_max: usize, bytes_max: usize) -> Room {
        let units_max = units(bytes_max);
        let units = Arc::new(Semaphore::new(units_max as usize));
        Room { batches: Arc::new(Semaphore::new(batches_max)), batches_max, units, units_max }
    }

    /// A place, if there is one now.
    fn try_take(&self, batch: &OutputBatch) -> Option<Place> {
        let one = Arc::clone(&self.batches).try_acquire_owned().ok()?;
        Some([one, Arc::clone(&self.units).try_acquire_many_owned(self.weigh(batch)).ok()?])
    }

    /// A place, waiting for one. The room is never closed.
    async fn take(&self, batch: &OutputBatch) -> Option<Place> {
        let one = Arc::clone(&self.batches).acquire_owned().await.ok()?;
        Some([one, Arc::clone(&self.units).acquire_many_owned(self.weigh(batch)).await.ok()?])
    }

    fn weigh(&self, batch: &OutputBatch) -> u32 {
        units(batch.byte_size()).min(self.units_max)
    }
}

impl OutputQueueGauges {
    /// Batches that wait or are being written.
    pub fn batches(&self) -> usize {
        self.room.batches_max.saturating_sub(self.room.batches.available_permits())
    }

    /// What the batches weigh that wait or are being written, in bytes.
    pub fn bytes(&self) -> usize {
        let free = self.room.units.available_permits();
        (self.room.units_max as usize).saturating_sub(free) * QUEUE_BYTES_UNIT
    }

    /// What is counted for the output.
    pub fn counts(&self) -> &OutputCounts {
        &self.counts
    }

    /// Where its events go while it is blocked, in a pipeline with several outputs.
    pub fn spill(&self) -> Option<&Spill> {
        self.spill.as_deref()
    }
}

fn units(bytes: usize) -> u32 {
    let limit = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
    u32::try_from(bytes.div_ceil(QUEUE_BYTES_UNIT)).unwrap_or(limit).clamp(1, limit)
}
