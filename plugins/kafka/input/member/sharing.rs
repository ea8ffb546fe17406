//! Partitions that come from the group and go back to it.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::{COMMIT_MAX, Member};
use crate::input::context::{give_back, take_over};
use crate::input::partition::Partition;
use crate::input::records::Place;
use crate::input::settings::Beginning;

/// How long partitions that the group wants back are drained, at most.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How long brokers are asked where a partition ends, before the library decides.
const BEGIN_MAX: Duration = Duration::from_secs(5);

/// Partitions that the group wants back.
pub(super) struct Leaving {
    pub(super) partitions: TopicPartitionList,
    /// Until when they are drained, and then until when their commit may take.
    until: Instant,
    /// Events that could still go on are to be ended.
    is_ended: bool,
    is_drained: bool,
}

impl Member {
    pub(super) fn take_over(&mut self, mut assigned: TopicPartitionList) {
        self.with.counts.rebalances.add(1);
        tracing::info!(partitions = assigned.count(), "The group gives us partitions.");
        let cluster = self.with.consumer.client().fetch_cluster_id(BEGIN_MAX);
        if cluster.is_none() {
            tracing::warn!("The cluster does not say its id: events have no ids of their own.");
        }
        let begun = self.with.settings.begin(&self.with.consumer, &mut assigned, &self.lookout, BEGIN_MAX);
        for element in assigned.elements() {
            let (topic, number) = (element.topic(), element.partition());
            let source = cluster.as_deref().map(|cluster| source(cluster, topic, number));
            let mut partition = Partition::new(Place { topic: topic.into(), partition: number, source });
            // The library remembers the pause of a partition that we had before: what is wanted now is said below.
            partition.is_paused = !self.is_stalled;
            if let Some(beginning) = begun.get(&(topic.to_owned(), number)) {
                partition.begin(*beginning);
            }
            if let Some(Beginning::New(offset)) = begun.get(&(topic.to_owned(), number)) {
                self.link.reset(partition.topic(), number, Some(*offset));
            }
            self.partitions.insert(partition);
        }
        if let Err(error) = take_over(&self.with.consumer, &assigned) {
            tracing::error!(%error, "Partitions can't be taken over.");
        }
        self.with.counts.assigned.add(assigned.count() as u64);
        self.pause_and_resume();
        self.show();
    }

    /// Begins to drain partitions that the group wants back; those that others have already are forgotten.
    pub(super) fn let_go(&mut self, partitions: TopicPartitionList, are_lost: bool) {
        let now = Instant::now();
        tracing::info!(partitions = partitions.count(), are_lost, "The group wants partitions back.");
        let elements = partitions.elements();
        let slots = elements.iter().filter_map(|e| self.partitions.slot(e.topic(), e.partition()));
        self.drop_taken_of(&slots.collect::<Vec<_>>());
        for element in partitions.elements() {
            if let Some(partition) = self.partitions.find_mut(element.topic(), element.partition()) {
                partition.is_leaving = true;
            }
        }
        self.pause_and_resume();
        let drain =
            if are_lost { Duration::ZERO } else { DRAIN_MAX.min(self.with.settings.max_poll_interval / 2) };
        let leaving = Leaving { partitions, until: now + drain, is_ended: false, is_drained: are_lost };
        if are_lost {
            self.forget(&leaving);
        } else {
            self.leaving = Some(leaving);
        }
    }

    /// The group has gone on without waiting for partitions that are still drained: new ones were added to a topic, say.
    pub(super) fn let_go_at_once(&mut self) {
        if let Some(leaving) = self.leaving.take() {
            self.forget(&leaving);
        }
    }

    pub(super) fn give_back_what_is_drained(&mut self, now: Instant) {
        let Some(leaving) = &mut self.leaving else { return };
        let names: Vec<_> =
            leaving.partitions.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect();
        let until = leaving.until;
        let of = |element: &(String, i32)| self.partitions.find(&element.0, element.1);
        if !leaving.is_drained {
            let in_flight: usize = names.iter().filter_map(of).map(Partition::in_flight).sum();
            if in_flight > 0 && now < until {
                let is_ended = leaving.is_ended || self.end_events();
                if let Some(leaving) = &mut self.leaving {
                    leaving.is_ended = is_ended;
                }
                return;
            }
            if in_flight > 0 {
                self.with.counts.undrained.add(1);
                tracing::warn!(
                    chunks = in_flight,
                    "Outputs did not take everything of partitions that go to others: they read it again."
                );
            }
            leaving.is_drained = true;
            leaving.until = now + COMMIT_MAX;
            self.commit_last(now);
            return;
        }
        let is_committed = !names.iter().filter_map(of).any(|partition| self.awaits_commit(partition));
        if is_committed || now >= until {
            if let Some(leaving) = self.leaving.take() {
                self.forget(&leaving);
            }
        } else {
            // An earlier commit was on its way, or the last one failed.
            self.commit_last(now);
        }
    }

    /// Gives partitions back for good; whoever still works on them is not listened to any more.
    fn forget(&mut self, leaving: &Leaving) {
        let elements = leaving.partitions.elements();
        let slots = elements.iter().filter_map(|e| self.partitions.slot(e.topic(), e.partition()));
        self.drop_taken_of(&slots.collect::<Vec<_>>());
        for element in elements {
            if self.partitions.remove(element.topic(), element.partition()) {
                self.with.counts.assigned.subtract(1);
                self.link.reset(&element.topic().into(), element.partition(), None);
            }
        }
        if let Err(error) = give_back(&self.with.consumer, &leaving.partitions) {
            tracing::warn!(%error, "Partitions could not be given back.");
        }
        self.show();
    }
}

/// A number for a partition, the same for whoever reads it.
fn source(cluster: &str, topic: &str, partition: i32) -> u64 {
    let partition = partition.to_be_bytes();
    ferrostash_event::source_number(&[b"kafka", cluster.as_bytes(), topic.as_bytes(), &partition])
}
