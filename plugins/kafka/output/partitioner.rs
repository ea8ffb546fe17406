//! Partitioners of Java's client that librdkafka does not have.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rdkafka::producer::{PARTITION_UA, Partitioner};

/// Topics that are counted for; beyond that the counting begins anew (names of topics come from strangers).
const TOPICS_MAX: usize = 10_000;
/// Events in a row for one partition where a key says nothing: enough for a batch, few enough to spread well.
const RUN: usize = 100;

/// How events are spread over the partitions of a topic, whatever their keys are.
#[derive(Debug)]
pub(super) struct Spreading {
    /// Events in a row for one partition.
    run: usize,
    /// Events so far, by topic.
    counts: Mutex<HashMap<Box<str>, usize>>,
}

impl Spreading {
    /// Each partition in turn: Java's `RoundRobinPartitioner`.
    pub(super) fn round_robin() -> Spreading {
        Spreading { run: 1, counts: Mutex::default() }
    }

    /// A run of events for each partition in turn: Java's `UniformStickyPartitioner`.
    pub(super) fn sticky() -> Spreading {
        Spreading { run: RUN, counts: Mutex::default() }
    }

    /// The number of the run that the next event of a topic belongs to.
    fn turn(&self, topic: &str) -> usize {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(topic) {
            *count = count.wrapping_add(1);
            return *count / self.run;
        }
        if counts.len() >= TOPICS_MAX {
            counts.clear();
        }
        counts.insert(topic.into(), 0);
        0
    }
}

impl Partitioner for Spreading {
    /// The partition whose turn it is; one without a leader gives its turn to the next one that has one.
    fn partition(
        &self,
        topic: &str,
        _: Option<&[u8]>,
        partitions: i32,
        is_available: impl Fn(i32) -> bool,
    ) -> i32 {
        let Some(count) = usize::try_from(partitions).ok().filter(|count| *count > 0) else {
            return PARTITION_UA;
        };
        let first = i32::try_from(self.turn(topic) % count).unwrap_or_default();
        let in_turn = (first..partitions).chain(0..first);
        in_turn.clone().find(|partition| is_available(*partition)).unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(spreading: &Spreading, topic: &str, count: usize) -> Vec<i32> {
        (0..count).map(|_| spreading.partition(topic, Some(b"same"), 3, |partition| partition != 1)).collect()
    }

    #[test]
    fn each_topic_has_its_own_turns_and_partitions_without_leader_none() {
        let spreading = Spreading::round_robin();
        assert_eq!(turns(&spreading, "a", 4), [0, 2, 2, 0]);
        assert_eq!(turns(&spreading, "b", 2), [0, 2]);
        assert_eq!(spreading.partition("c", None, 3, |_| false), 0);
    }

    #[test]
    fn sticky_stays_for_a_run() {
        let spreading = Spreading::sticky();
        let turns = turns(&spreading, "a", RUN + 1);
        assert!(turns.iter().take(RUN).all(|partition| *partition == 0));
        assert_eq!(turns.last(), Some(&2));
    }
}
