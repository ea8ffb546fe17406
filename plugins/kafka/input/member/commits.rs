//! The commits of a member.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::Member;
use crate::input::partition::Partition;
use crate::input::records::Place;

/// How long nothing is committed after a commit that failed.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

impl Member {
    /// Commits what is settled, unless an earlier commit is still on its way or has just failed.
    pub(super) fn commit(&mut self, now: Instant) {
        let has_failed = self.times.commit_failed.is_some_and(|at| now.duration_since(at) < AGAIN_AFTER);
        if self.is_committing || has_failed {
            return;
        }
        self.times.committed = now;
        let mut offsets = TopicPartitionList::new();
        for partition in self.partitions.iter_mut() {
            partition.settle(now);
            let Some(offset) = partition.to_commit() else { continue };
            let Place { topic, partition, .. } = &partition.place;
            // Only an offset below zero is refused.
            let _ = offsets.add_partition_offset(topic, *partition, Offset::Offset(offset));
        }
        if offsets.count() == 0 {
            return;
        }
        if !self.link.begin_commit() {
            self.note_transactions();
        } else if self.committer.begin(offsets) {
            self.is_committing = true;
        } else {
            self.link.end_commit();
        }
    }

    /// Commits what is settled as soon as possible: others have these partitions next.
    pub(super) fn commit_last(&mut self, now: Instant) {
        self.commit(now);
        if self.partitions.iter().any(|partition| self.awaits_commit(partition)) {
            self.link.ask_for_commit();
        }
    }

    /// Whether the group does not know yet what it can be told of a partition.
    pub(super) fn awaits_commit(&self, partition: &Partition) -> bool {
        // Transactions tell it nothing before all is settled.
        partition.to_commit().is_some() && (partition.in_flight() == 0 || !self.link.is_joined())
    }

    /// Takes over what transactions have committed.
    fn note_transactions(&mut self) {
        for partition in self.partitions.iter_mut() {
            if let Some(offset) = self.link.committed(partition.topic(), partition.place.partition) {
                partition.set_committed(offset);
            }
        }
    }

    pub(super) fn note_commit(&mut self, offsets: &TopicPartitionList, error: Option<KafkaError>) {
        self.is_committing = false;
        self.link.end_commit();
        if let Some(error) = error {
            return self.note_commit_error(&error);
        }
        self.with.counts.commits.add(1);
        for element in offsets.elements() {
            let partition = self.partitions.find_mut(element.topic(), element.partition());
            if let (Some(partition), Offset::Offset(offset)) = (partition, element.offset()) {
                partition.set_committed(offset);
            }
        }
    }

    /// A commit that fails costs nothing: what it says is said again with the next one, or read again by others.
    fn note_commit_error(&mut self, error: &KafkaError) {
        self.times.commit_failed = Some(Instant::now());
        self.with.counts.commit_errors.add(1);
        tracing::warn!(%error, limited = true, "Unable to commit records");
    }
}
