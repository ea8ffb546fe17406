//! Every event counted once on each side.
//!
//! At rest `received + recovered + created = accepted + dropped + dead_lettered + abandoned + queued`; while events move, the
//! difference is in flight. For each output `offered + recovered = settled + abandoned`; the difference
//! waits for it, in memory or on disk.

use ferrostash_plugin::{Account, Counter, Time};
use ferrostash_queue::Busy;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The counters of a pipeline.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Events that inputs pushed; counted before a push may have to wait.
    pub received: Counter,
    /// Events that are in the persisted queue and have not been taken from it since they were received, and those that
    /// wait for room in a queue. Those in a queue in memory are counted there.
    pub queued: Counter,
    /// Events that workers took through the filters.
    pub filtered: Counter,
    /// Events behind the filters: what outputs were offered.
    pub out: Counter,
    /// Events that were in the persisted queue at the start, or were read from it once more.
    pub recovered: Counter,
    /// Events that filters made.
    pub created: Counter,
    /// Events that filters cancelled, or that a full dead letter queue did not take.
    pub dropped: Counter,
    /// Events that every output they were meant for has behind it.
    pub accepted: Counter,
    /// Events that a condition, a filter or a codec sent to the dead letter queue. Those of outputs are in the outputs'
    /// counters.
    pub dead_lettered: Counter,
    /// Events that were given up; their inputs read them again, if they can.
    pub abandoned: Counter,
    /// Events that were pulled from the queue and are not settled.
    pub in_flight: Counter,
    /// Time that workers spent, waiting for outputs included.
    pub duration: Time,
    /// Time that inputs waited for room in the queue.
    pub queue_push_duration: Time,
}

/// The values of a [`Ledger`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is explained in `Ledger`")]
pub struct LedgerCounts {
    pub received: u64,
    pub recovered: u64,
    pub filtered: u64,
    pub out: u64,
    pub created: u64,
    pub dropped: u64,
    pub accepted: u64,
    pub dead_lettered: u64,
    pub abandoned: u64,
    pub in_flight: u64,
    pub queued: u64,
}

impl LedgerCounts {
    /// Whether both sides are equal, once nothing moves and no queue in memory holds anything.
    pub fn is_balanced(&self) -> bool {
        let came = self.received + self.recovered + self.created;
        let went = self.accepted + self.dropped + self.dead_lettered + self.abandoned;
        came == went + self.in_flight + self.queued
    }
}

impl Ledger {
    /// The values now.
    pub fn counts(&self) -> LedgerCounts {
        LedgerCounts {
            received: self.received.get(),
            recovered: self.recovered.get(),
            filtered: self.filtered.get(),
            out: self.out.get(),
            created: self.created.get(),
            dropped: self.dropped.get(),
            accepted: self.accepted.get(),
            dead_lettered: self.dead_lettered.get(),
            abandoned: self.abandoned.get(),
            in_flight: self.in_flight.get(),
            queued: self.queued.get(),
        }
    }
}

/// What is counted for an output beside [`PluginMetrics`](ferrostash_plugin::PluginMetrics).
#[derive(Debug, Default)]
pub struct OutputCounts {
    /// Events that workers had for it.
    pub offered: Counter,
    /// Events that an earlier run had left on disk for it.
    pub recovered: Counter,
    /// Events that it has behind it: accepted, dead-lettered or dropped by a rule.
    pub settled: Counter,
    /// Events that were given up for it.
    pub abandoned: Counter,
    /// Events that were kept on disk for it, for a while or until now.
    pub spilled: Counter,
}

/// A batch between the filters and its last output; dropping it settles the account.
pub(crate) struct Flight {
    ledger: Arc<Ledger>,
    events: u64,
    abandoned: AtomicBool,
    _busy: Busy,
}

impl Flight {
    /// `events` leave the filters for the outputs.
    pub(crate) fn new(ledger: Arc<Ledger>, events: usize, busy: Busy) -> Flight {
        let events = events as u64;
        ledger.in_flight.add(events);
        Flight { ledger, events, abandoned: AtomicBool::new(false), _busy: busy }
    }
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Account for Flight {
    fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let counter = match *self.abandoned.get_mut() {
            true => &self.ledger.abandoned,
            false => &self.ledger.accepted,
        };
        counter.add(self.events);
        self.ledger.in_flight.subtract(self.events);
    }
}
