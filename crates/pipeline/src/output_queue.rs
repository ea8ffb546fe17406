//! What waits for one output.
//!
//! Each output has its own queue, bounded in batches and in bytes, so that one that is blocked holds up nobody until its
//! own queue is full. What is dropped on the way, for whatever reason, counts as abandoned; only [`Ticket::settle`] says
//! that an output has the events behind it.

use crate::ledger::Flight;
use ferrostash_plugin::{Account, Ack, OutputBatch};
use ferrostash_queue::QUEUE_BYTES_UNIT;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The sending end of an output's queue.
pub(crate) struct OutputQueue {
    items: async_channel::Sender<Item>,
    room: Arc<Semaphore>,
    units_max: u32,
}

/// Reads the fill of an output's queue.
#[derive(Clone, Debug)]
pub struct OutputQueueGauges {
    items: async_channel::WeakSender<Item>,
    room: Arc<Semaphore>,
    units_max: u32,
}

/// A batch for one output, with what is owed for it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) batch: OutputBatch,
    pub(crate) ticket: Ticket,
}

/// Says what became of a batch at one output.
pub(crate) struct Ticket {
    flight: Arc<Flight>,
    acks: Arc<[Ack]>,
    settled: bool,
    room: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("settled", &self.settled).finish_non_exhaustive()
    }
}

impl Ticket {
    pub(crate) fn new(flight: Arc<Flight>, acks: Arc<[Ack]>) -> Ticket {
        Ticket { flight, acks, settled: false, room: None }
    }

    /// The output has the events behind it.
    pub(crate) fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.settled {
            self.acks.iter().for_each(Ack::abandon);
            self.flight.abandon();
        }
    }
}

impl OutputQueue {
    /// A queue for at most `batches_max` batches that weigh at most `bytes_max`; one batch fits in any case.
    pub(crate) fn new(batches_max: usize, bytes_max: usize) -> (OutputQueue, async_channel::Receiver<Item>) {
        let (items, receiver) = async_channel::bounded(batches_max.max(1));
        let units_max = units(bytes_max);
        let room = Arc::new(Semaphore::new(units_max as usize));
        (OutputQueue { items, room, units_max }, receiver)
    }

    pub(crate) fn gauges(&self) -> OutputQueueGauges {
        OutputQueueGauges {
            items: self.items.downgrade(),
            room: Arc::clone(&self.room),
            units_max: self.units_max,
        }
    }

    /// Puts a batch in, or gives it back where there is no room now.
    pub(crate) fn try_send(&self, mut item: Item) -> Result<(), Item> {
        let weight = self.weigh(&item.batch);
        match Arc::clone(&self.room).try_acquire_many_owned(weight) {
            Ok(room) => item.ticket.room = Some(room),
            Err(_) => return Err(item),
        }
        self.items.try_send(item).map_err(|refused| {
            let mut item = refused.into_inner();
            item.ticket.room = None;
            item
        })
    }

    /// Puts a batch in, waiting for room. The batch is abandoned if the output is gone, or this is given up.
    pub(crate) async fn send(&self, mut item: Item) {
        let weight = self.weigh(&item.batch);
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(weight).await {
            item.ticket.room = Some(room);
            drop(self.items.send(item).await);
        }
    }

    /// Ends the queue: the output takes what is there, and then closes.
    pub(crate) fn close(&self) {
        self.items.close();
    }

    fn weigh(&self, batch: &OutputBatch) -> u32 {
        units(batch.byte_size()).min(self.units_max)
    }
}

impl OutputQueueGauges {
    /// Batches that wait.
    pub fn batches(&self) -> usize {
        self.items.upgrade().map_or(0, |items| items.len())
    }

    /// What the batches weigh that wait or are being written, in bytes.
    pub fn bytes(&self) -> usize {
        (self.units_max as usize).saturating_sub(self.room.available_permits()) * QUEUE_BYTES_UNIT
    }
}

fn units(bytes: usize) -> u32 {
    let limit = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
    u32::try_from(bytes.div_ceil(QUEUE_BYTES_UNIT)).unwrap_or(limit).clamp(1, limit)
}
