//! The commits of a member.

use std::time::Instant;

use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::Member;
use crate::input::partition::Partition;
use crate::input::records::Place;

impl Member {
    /// Commits what is settled, unless an earlier commit is still on its way.
    pub(super) fn commit(&mut self, now: Instant) {
        if self.commit_sent.is_some() {
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
            // They were part of a transaction.
            self.partitions.iter_mut().for_each(Partition::set_all_committed);
        } else if self.committer.begin(offsets) {
            self.commit_sent = Some(now);
        } else {
            self.link.end_commit();
        }
    }

    pub(super) fn note_commit(&mut self, offsets: &TopicPartitionList, error: Option<KafkaError>) {
        self.commit_sent = None;
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
    fn note_commit_error(&self, error: &KafkaError) {
        self.with.counts.commit_errors.add(1);
        tracing::warn!(%error, limited = true, "Unable to commit records");
    }
}
