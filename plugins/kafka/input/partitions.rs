//! The partitions that a member has.

use std::collections::HashMap;
use std::ops::Range;

use super::partition::Partition;

/// The partitions of a member, each in a slot that it keeps.
#[derive(Default)]
pub(super) struct Partitions {
    slots: Vec<Option<Partition>>,
    by_name: HashMap<String, HashMap<i32, usize>>,
}

impl Partitions {
    pub(super) fn slot(&self, topic: &str, partition: i32) -> Option<usize> {
        self.by_name.get(topic)?.get(&partition).copied()
    }

    /// All slots, those without a partition included.
    pub(super) fn slots(&self) -> Range<usize> {
        0..self.slots.len()
    }

    pub(super) fn get(&self, slot: usize) -> Option<&Partition> {
        self.slots.get(slot)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Partition> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(super) fn find(&self, topic: &str, partition: i32) -> Option<&Partition> {
        self.get(self.slot(topic, partition)?)
    }

    pub(super) fn find_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        self.get_mut(self.slot(topic, partition)?)
    }

    pub(super) fn insert(&mut self, partition: Partition) {
        let known = self.slot(&partition.place.topic, partition.place.partition);
        let free = known.or_else(|| self.slots.iter().position(Option::is_none));
        let slot = free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let topic = self.by_name.entry(partition.place.topic.to_string()).or_default();
        topic.insert(partition.place.partition, slot);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(partition);
        }
    }

    pub(super) fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(slot) = self.by_name.get_mut(topic).and_then(|topic| topic.remove(&partition)) else {
            return false;
        };
        self.slots.get_mut(slot).and_then(Option::take).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.slots.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.slots.iter_mut().flatten()
    }
}
