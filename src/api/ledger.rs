//! The accounts: every event is counted once on each side.

use ferrostash_pipeline::{OutputQueueGauges, Part, RunningPipeline};
use serde_json::{Value, json};

/// The account of a pipeline. `received + recovered + created` is the sum of the rest.
pub(super) fn pipeline(running: &RunningPipeline) -> Value {
    let counts = running.ledger().counts();
    let queued = counts.queued + running.queue().events() as u64;
    json!({
        "received": counts.received,
        "recovered": counts.recovered,
        "created": counts.created,
        "accepted": counts.accepted,
        "dead_lettered": counts.dead_lettered,
        "dropped_by_rule": counts.dropped,
        "abandoned": counts.abandoned,
        "in_flight": counts.in_flight,
        "queued": queued,
    })
}

/// The account of an output: `offered + recovered` is the sum of `accepted`, `dead_lettered`, `dropped_by_rule`, `abandoned`
/// and `waiting`.
pub(super) struct OutputLedger {
    pub(super) offered: u64,
    pub(super) recovered: u64,
    pub(super) accepted: u64,
    pub(super) dead_lettered: u64,
    pub(super) dropped: u64,
    pub(super) abandoned: u64,
    /// Events that wait for it or are with it, in memory and on disk.
    pub(super) waiting: u64,
    /// Those of them that are on disk.
    pub(super) on_disk: u64,
    /// Events that ever went to disk.
    pub(super) spilled: u64,
}

impl OutputLedger {
    pub(super) fn of(part: &Part, queue: &OutputQueueGauges) -> OutputLedger {
        let counts = queue.counts();
        // In this order, so that what moves meanwhile never makes a difference negative.
        let (dead_lettered, dropped) =
            (part.metrics.events_dead_lettered.get(), part.metrics.events_dropped.get());
        let (settled, abandoned) = (counts.settled.get(), counts.abandoned.get());
        let on_disk = queue.spill().and_then(|spill| spill.stats()).map_or(0, |stats| stats.events);
        let (offered, recovered) = (counts.offered.get(), counts.recovered.get());
        OutputLedger {
            offered,
            recovered,
            accepted: settled.saturating_sub(dead_lettered + dropped),
            dead_lettered,
            dropped,
            abandoned,
            waiting: (offered + recovered).saturating_sub(settled + abandoned),
            on_disk,
            spilled: counts.spilled.get(),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "offered": self.offered,
            "recovered": self.recovered,
            "accepted": self.accepted,
            "dead_lettered": self.dead_lettered,
            "dropped_by_rule": self.dropped,
            "abandoned": self.abandoned,
            "waiting": self.waiting,
            "on_disk": self.on_disk,
        })
    }
}
