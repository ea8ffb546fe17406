//! What a member knows of a partition that is assigned to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrostash_plugin::{Ack, AckNote, AckTracker};

use super::records::Place;
use super::settings::Beginning;

/// Chunks of one partition between their reading and their settling; with so many it is paused.
pub(crate) const CHUNKS_IN_FLIGHT_MAX: usize = 512;
/// How long a partition rests before what was given up is read again; doubled each time.
const REWIND_AFTER: Duration = Duration::from_secs(1);
const REWIND_AFTER_MAX: Duration = Duration::from_secs(60);
/// How long chunks without an outcome are waited for, after another one was given up, before the partition is read again.
const UNDECIDED_MAX: Duration = Duration::from_secs(30);

/// A partition of a topic.
pub(crate) struct Partition {
    pub(crate) place: Place,
    tracker: AckTracker<i64>,
    /// Everything before it is settled.
    settled: Option<i64>,
    /// What the group knows to be settled.
    committed: Option<i64>,
    /// Its first message, where it is read from that.
    first: Option<i64>,
    /// The group has no offset of it, and it may be read from nowhere else.
    pub(crate) is_adrift: bool,
    /// The next offset to read.
    position: Option<i64>,
    /// One behind the partition's last message, as brokers last told.
    pub(crate) end: Option<i64>,
    /// Whether the library was told not to fetch it.
    pub(crate) is_paused: bool,
    /// The group wants it back: nothing new is taken.
    pub(crate) is_leaving: bool,
    /// When it is to be read again from `settled`.
    rewind_at: Option<Instant>,
    abandoned_at: Option<Instant>,
    /// Before it is read again everything in flight has ended, however long that takes: its offsets are part of transactions.
    pub(crate) waits_for_all: bool,
    rewinds: u32,
}

impl Partition {
    pub(crate) fn new(place: Place) -> Partition {
        Partition {
            place,
            tracker: AckTracker::new(CHUNKS_IN_FLIGHT_MAX),
            settled: None,
            committed: None,
            first: None,
            is_adrift: false,
            position: None,
            end: None,
            is_paused: false,
            is_leaving: false,
            rewind_at: None,
            abandoned_at: None,
            waits_for_all: false,
            rewinds: 0,
        }
    }

    /// Where it is going to be read from.
    pub(crate) fn begin(&mut self, beginning: Beginning) {
        match beginning {
            Beginning::Committed(offset) => self.committed = Some(offset),
            Beginning::New(offset) => (self.settled, self.position) = (Some(offset), Some(offset)),
            Beginning::First { first, end } => (self.first, self.end) = (Some(first), Some(end)),
            Beginning::None => self.is_adrift = true,
        }
    }

    /// Whether messages of it are taken.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_leaving && self.rewind_at.is_none()
    }

    /// Whether it waits to be read again.
    pub(crate) fn is_resting(&self) -> bool {
        self.rewind_at.is_some()
    }

    /// Whether it has as many chunks in flight as it may; once paused, until half of them are settled.
    pub(crate) fn is_full(&self) -> bool {
        let max = if self.is_paused { CHUNKS_IN_FLIGHT_MAX / 2 } else { CHUNKS_IN_FLIGHT_MAX };
        self.tracker.in_flight() >= max
    }

    /// Whether there is nothing to wait for: all is settled, or what follows something that was given up never will be.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.tracker.in_flight() == 0 || self.tracker.is_abandoned()
    }

    /// Chunks that were read and are not settled.
    pub(crate) fn in_flight(&self) -> usize {
        self.tracker.in_flight()
    }

    /// An ack for messages from `first` on, of which the last is before `next`.
    pub(crate) fn issue(&mut self, first: i64, next: i64, note: Arc<dyn AckNote>) -> Option<Ack> {
        self.settled.get_or_insert(first);
        self.position = Some(next);
        self.tracker.try_issue_with(next, Some(note)).ok()
    }

    /// Takes in what became of chunks; `now` is when.
    pub(crate) fn settle(&mut self, now: Instant) {
        if let Some(settled) = self.tracker.settled() {
            self.settled = Some(settled);
            self.rewinds = 0;
        }
        if self.tracker.is_abandoned() && self.rewind_at.is_none() {
            let wait = REWIND_AFTER.saturating_mul(1 << self.rewinds.min(6)).min(REWIND_AFTER_MAX);
            self.rewinds += 1;
            self.rewind_at = Some(now + wait);
            self.abandoned_at = Some(now);
        }
    }

    /// Where to read again, once it is time: something was given up there.
    pub(crate) fn rewind(&mut self, now: Instant) -> Option<i64> {
        self.rewind_at.filter(|at| *at <= now)?;
        // What is still on its way would come twice; but it may be stuck where others aren't.
        let waits = self.waits_for_all || !self.tracker.is_abandoned();
        if self.tracker.undecided() > 0 && (waits || now < self.abandoned_at? + UNDECIDED_MAX) {
            return None;
        }
        (self.rewind_at, self.abandoned_at) = (None, None);
        // What is still on its way belongs to the old tracker, and nobody hears of it any more.
        self.tracker = AckTracker::new(CHUNKS_IN_FLIGHT_MAX);
        self.position = self.settled;
        self.settled
    }

    /// Tries again in a while to read again.
    pub(crate) fn rewind_later(&mut self, now: Instant) {
        self.rewind_at = Some(now + REWIND_AFTER);
        self.abandoned_at.get_or_insert(now);
    }

    /// Messages from `first` on were taken and are to be read again.
    pub(crate) fn again_from(&mut self, first: i64, now: Instant) {
        self.settled.get_or_insert(first);
        self.rewind_later(now);
    }

    /// The offset to commit, where the group does not know it yet.
    pub(crate) fn to_commit(&self) -> Option<i64> {
        self.settled.filter(|settled| self.committed != Some(*settled) && self.position.is_some())
    }

    /// The group knows now.
    pub(crate) fn set_committed(&mut self, offset: i64) {
        self.committed = Some(offset);
    }

    /// How far the group is behind the partition's end.
    pub(crate) fn lag(&self) -> Option<i64> {
        let known = self.settled.or(self.committed).or(self.first)?;
        Some((self.end? - known).max(0))
    }

    /// Next offset to read, everything settled before, and what is committed.
    pub(crate) fn offsets(&self) -> [Option<i64>; 3] {
        [self.position, self.settled, self.committed]
    }

    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.place.topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl AckNote for Nothing {
        fn ended(&self, _: ferrostash_plugin::Outcome) {}
    }

    fn note() -> Arc<dyn AckNote> {
        Arc::new(Nothing)
    }

    fn partition() -> Partition {
        Partition::new(Place { topic: "t".into(), partition: 0, source: None })
    }

    #[test]
    fn only_what_is_settled_is_committed() {
        let mut partition = partition();
        let now = Instant::now();
        let (first, second) =
            (partition.issue(10, 15, note()).unwrap(), partition.issue(15, 20, note()).unwrap());
        assert_eq!(partition.to_commit(), Some(10));
        partition.set_committed(10);
        drop(second);
        partition.settle(now);
        assert_eq!((partition.to_commit(), partition.in_flight()), (None, 2));
        drop(first);
        partition.settle(now);
        assert_eq!((partition.to_commit(), partition.in_flight()), (Some(20), 0));
        partition.set_committed(20);
        partition.end = Some(50);
        assert_eq!((partition.to_commit(), partition.lag()), (None, Some(30)));
    }

    #[test]
    fn what_was_given_up_is_read_again() {
        let mut partition = partition();
        let now = Instant::now();
        let (first, second) =
            (partition.issue(0, 5, note()).unwrap(), partition.issue(5, 9, note()).unwrap());
        second.abandon();
        drop((first, second));
        partition.settle(now);
        assert!(!partition.is_open() && partition.rewind(now).is_none());
        let later = now + REWIND_AFTER;
        assert_eq!(partition.rewind(later), Some(5));
        assert!(partition.is_open() && partition.to_commit() == Some(5));
        let again = partition.issue(5, 9, note()).unwrap();
        again.abandon();
        drop(again);
        partition.settle(later);
        assert!(partition.rewind(later + REWIND_AFTER).is_none(), "the second wait is longer");
        assert_eq!(partition.rewind(later + 2 * REWIND_AFTER), Some(5));
    }

    #[test]
    fn chunks_in_flight_are_bounded() {
        let mut partition = partition();
        let acks: Vec<_> =
            (0..CHUNKS_IN_FLIGHT_MAX as i64).map(|n| partition.issue(n, n + 1, note()).unwrap()).collect();
        assert!(partition.is_full() && partition.issue(512, 513, note()).is_none());
        drop(acks);
        partition.settle(Instant::now());
        assert!(!partition.is_full());
    }
}
