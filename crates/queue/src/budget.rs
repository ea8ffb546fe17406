//! What events may weigh in all pipelines of the process together.
//!
//! Each queue has bounds of its own; the budget is above them, so that a process with many pipelines is bounded too. A
//! chunk draws on it from the moment it is pushed until the last output has the events behind it.

use crate::QUEUE_BYTES_UNIT;
use ferrostash_plugin::Reserved;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One reservation is at most this part of the budget.
const RESERVED_SHARE: usize = 8;

/// A budget of bytes; clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    units_max: u32,
}

/// What a chunk has drawn; goes back when the last share of it is dropped.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    /// A budget of `bytes_max`.
    pub fn new(bytes_max: usize) -> Budget {
        let limit = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let units = u32::try_from(bytes_max.div_ceil(QUEUE_BYTES_UNIT)).unwrap_or(limit);
        let units_max = units.clamp(1, limit);
        Budget { units: Arc::new(Semaphore::new(units_max as usize)), units_max }
    }

    /// What it is altogether, in bytes.
    pub fn bytes_max(&self) -> usize {
        self.units_max as usize * QUEUE_BYTES_UNIT
    }

    /// What is drawn, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes_max() - self.units.available_permits() * QUEUE_BYTES_UNIT
    }

    /// Draws `units`, waiting for them; more than there are altogether means all.
    pub(crate) async fn draw(&self, units: u32) -> Held {
        let permit = Arc::clone(&self.units).acquire_many_owned(units.min(self.units_max)).await;
        Held(permit.ok())
    }

    /// Draws `bytes` for an input's library, but no more than an eighth of everything.
    pub async fn reserve(&self, bytes: usize) -> Reserved {
        let bytes = bytes.min(self.bytes_max() / RESERVED_SHARE).max(QUEUE_BYTES_UNIT);
        let units = u32::try_from(bytes.div_ceil(QUEUE_BYTES_UNIT)).unwrap_or(u32::MAX);
        Reserved { bytes, held: Box::new(self.draw(units).await) }
    }

    /// Draws `units`, or nothing where so many are not left.
    pub(crate) fn draw_what_is_left(&self, units: u32) -> Held {
        Held(Arc::clone(&self.units).try_acquire_many_owned(units).ok())
    }

    /// Whether nothing is left.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.units.available_permits() == 0
    }
}

impl Held {
    /// Splits off `units`, or what there is.
    pub(crate) fn split(&mut self, units: u32) -> Held {
        let Some(permit) = &mut self.0 else { return Held(None) };
        Held(permit.split(permit.num_permits().min(units as usize)))
    }
}
