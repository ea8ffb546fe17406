//! Acknowledgements: how an input learns that what it read is safe.
//!
//! An input cuts what it reads into chunks (a poll of Kafka, a window of Beats, a read of a file) and asks its
//! [`AckTracker`] for an [`Ack`] per chunk. The ack travels with the chunk's events, is shared by every batch and output
//! that holds some of them, and reports once, when the last of them is gone: settled when all were accepted,
//! dead-lettered or dropped by a rule, abandoned when any was given up. The tracker releases the longest settled prefix,
//! so a position is never passed before everything in front of it is safe.
//!
//! Reporting never blocks: each ack owns its place in the tracker's channel, which also bounds the chunks in flight.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// Most chunks of one input between its reading and their settling, unless the input asks for less.
pub const CHUNKS_IN_FLIGHT_MAX: usize = 1024;

/// What became of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every event was accepted, dead-lettered, or dropped by a rule.
    Settled,
    /// At least one event was given up: the chunk must be read again.
    Abandoned,
}

/// What an input ties to a chunk, for an output that knows the input: the chunk's place in its source.
pub trait AckNote: Any + Send + Sync {
    /// The last share of the chunk is gone.
    fn ended(&self, outcome: Outcome);
}

/// The acknowledgement of one chunk; clones are shares of the same one.
#[derive(Clone, Debug)]
pub struct Ack(Arc<Share>);

struct Share {
    abandoned: AtomicBool,
    sequence: u64,
    permit: Mutex<Option<mpsc::OwnedPermit<(u64, Outcome)>>>,
    note: Option<Arc<dyn AckNote>>,
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "chunk {}", self.sequence)
    }
}

impl Ack {
    /// Says that an event of the chunk was given up; the worst outcome wins.
    pub fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Release);
    }

    /// Whether an event of the chunk was given up.
    pub fn is_abandoned(&self) -> bool {
        self.0.abandoned.load(Ordering::Acquire)
    }

    /// What the input tied to the chunk.
    pub fn note<N: AckNote>(&self) -> Option<&N> {
        let note: &dyn Any = &**self.0.note.as_ref()?;
        note.downcast_ref()
    }

    /// How many shares of the chunk there are.
    pub fn shares(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// A number that is the chunk's as long as there are shares of it.
    pub fn number(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let permit = self.permit.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let outcome = if *self.abandoned.get_mut() { Outcome::Abandoned } else { Outcome::Settled };
        if let Some(permit) = permit {
            permit.send((self.sequence, outcome));
        }
        if let Some(note) = &self.note {
            note.ended(outcome);
        }
    }
}

/// Gives out acks and releases positions in order. `P` is what the input must remember: an offset, a sequence number.
#[derive(Debug)]
pub struct AckTracker<P> {
    sender: mpsc::Sender<(u64, Outcome)>,
    reports: mpsc::Receiver<(u64, Outcome)>,
    /// Chunks in the order they were read; the front one is `first`.
    chunks: VecDeque<(P, Option<Outcome>)>,
    first: u64,
    abandoned: bool,
}

impl<P> Default for AckTracker<P> {
    fn default() -> Self {
        Self::new(CHUNKS_IN_FLIGHT_MAX)
    }
}

impl<P> AckTracker<P> {
    /// A tracker for at most `in_flight_max` chunks at a time.
    pub fn new(in_flight_max: usize) -> Self {
        let (sender, reports) = mpsc::channel(in_flight_max.max(1));
        AckTracker { sender, reports, chunks: VecDeque::new(), first: 0, abandoned: false }
    }

    /// An ack for the chunk that ends at `position`; waits while too many chunks are in flight.
    ///
    /// Reports that arrive meanwhile are taken in, so this alone never waits for ever.
    pub async fn issue(&mut self, position: P) -> Ack {
        let permit = loop {
            tokio::select! {
                biased;
                permit = self.sender.clone().reserve_owned() => break permit.ok(),
                Some(report) = self.reports.recv() => self.record(report),
            }
        };
        self.enter(position, permit, None)
    }

    /// An ack for the chunk that ends at `position`, or the position back where too many chunks are in flight.
    pub fn try_issue(&mut self, position: P) -> Result<Ack, P> {
        self.try_issue_with(position, None)
    }

    /// As [`AckTracker::try_issue`], with something tied to the chunk.
    pub fn try_issue_with(&mut self, position: P, note: Option<Arc<dyn AckNote>>) -> Result<Ack, P> {
        self.drain();
        match self.sender.clone().try_reserve_owned() {
            Ok(permit) => Ok(self.enter(position, Some(permit), note)),
            Err(_) => Err(position),
        }
    }

    fn enter(
        &mut self,
        position: P,
        permit: Option<mpsc::OwnedPermit<(u64, Outcome)>>,
        note: Option<Arc<dyn AckNote>>,
    ) -> Ack {
        let sequence = self.first + self.chunks.len() as u64;
        self.chunks.push_back((position, None));
        Ack(Arc::new(Share { abandoned: AtomicBool::new(false), sequence, permit: Mutex::new(permit), note }))
    }

    /// The position behind the longest settled prefix, if it moved; does not wait.
    ///
    /// Nothing behind an abandoned chunk is ever released.
    pub fn settled(&mut self) -> Option<P> {
        self.drain();
        let mut last = None;
        while !self.abandoned && matches!(self.chunks.front(), Some((_, Some(_)))) {
            let Some((position, outcome)) = self.chunks.pop_front() else { break };
            self.first += 1;
            match outcome {
                Some(Outcome::Settled) => last = Some(position),
                _ => self.abandoned = true,
            }
        }
        last
    }

    /// As [`AckTracker::settled`], waiting until the prefix moves. `None` once nothing is in flight, or the chunk at the
    /// front was abandoned.
    pub async fn next_settled(&mut self) -> Option<P> {
        loop {
            if let Some(position) = self.settled() {
                return Some(position);
            }
            if self.abandoned || self.chunks.is_empty() {
                return None;
            }
            let report = self.reports.recv().await?;
            self.record(report);
        }
    }

    /// Waits until every chunk in flight has an outcome; gives the positions of those that settled, also behind one that was
    /// abandoned. Nothing is in flight afterwards.
    pub async fn all_outcomes(&mut self) -> Vec<P> {
        while self.chunks.iter().any(|(_, outcome)| outcome.is_none()) {
            let Some(report) = self.reports.recv().await else { break };
            self.record(report);
        }
        self.first += self.chunks.len() as u64;
        let settled = self.chunks.drain(..).filter(|(_, outcome)| *outcome == Some(Outcome::Settled));
        settled.map(|(position, _)| position).collect()
    }

    /// Chunks that were read and not released yet.
    pub fn in_flight(&self) -> usize {
        self.chunks.len()
    }

    /// Chunks of them that have no outcome yet.
    pub fn undecided(&self) -> usize {
        self.chunks.iter().filter(|(_, outcome)| outcome.is_none()).count()
    }

    /// Whether a chunk was abandoned: what follows it must be read again.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    fn drain(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.record(report);
        }
    }

    fn record(&mut self, (sequence, outcome): (u64, Outcome)) {
        let at = sequence.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some((_, slot)) = at.and_then(|at| self.chunks.get_mut(at)) {
            *slot = Some(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn releases_the_longest_settled_prefix() {
        let mut tracker = AckTracker::new(8);
        let (a, b, c) = (tracker.issue("a").await, tracker.issue("b").await, tracker.issue("c").await);
        drop(b);
        assert_eq!(tracker.settled(), None);
        let shared = a.clone();
        drop(a);
        assert_eq!(tracker.settled(), None, "a share is still held");
        drop(shared);
        assert_eq!(tracker.settled(), Some("b"));
        drop(c);
        assert_eq!(tracker.next_settled().await, Some("c"));
        assert_eq!(tracker.in_flight(), 0);
        assert_eq!(tracker.next_settled().await, None);
    }

    #[tokio::test]
    async fn nothing_passes_an_abandoned_chunk() {
        let mut tracker = AckTracker::new(8);
        let (a, b, c) = (tracker.issue(1).await, tracker.issue(2).await, tracker.issue(3).await);
        b.abandon();
        drop((b, c));
        drop(a);
        assert_eq!(tracker.settled(), Some(1));
        assert!(tracker.is_abandoned());
        assert_eq!(tracker.settled(), None);
    }

    #[tokio::test]
    async fn a_note_is_told_when_the_last_share_is_gone() {
        #[derive(Default)]
        struct Place(Mutex<Option<Outcome>>);
        impl AckNote for Place {
            fn ended(&self, outcome: Outcome) {
                *self.0.lock().unwrap() = Some(outcome);
            }
        }
        let (mut tracker, place) = (AckTracker::new(1), Arc::<Place>::default());
        let ack = tracker.try_issue_with(1, Some(Arc::clone(&place) as Arc<dyn AckNote>)).unwrap();
        let share = ack.clone();
        assert_eq!((ack.shares(), ack.number() == share.number()), (2, true));
        assert!(ack.note::<Place>().is_some());
        share.abandon();
        drop((ack, share));
        assert_eq!(*place.0.lock().unwrap(), Some(Outcome::Abandoned));
    }

    #[tokio::test]
    async fn chunks_in_flight_are_bounded() {
        let mut tracker = AckTracker::new(1);
        let first = tracker.try_issue(1).unwrap();
        assert_eq!(tracker.try_issue(2).unwrap_err(), 2);
        drop(first);
        let second = tracker.issue(2).await;
        drop(second);
        assert_eq!(tracker.next_settled().await, Some(2));
    }
}
