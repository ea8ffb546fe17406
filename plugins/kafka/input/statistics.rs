//! What the library tells of partitions, every few seconds.

use std::collections::HashMap;

use serde::Deserialize;

/// How often that is, in milliseconds.
pub(crate) const STATISTICS_EVERY_MS: u64 = 5000;

/// The part of librdkafka's statistics that is used here.
#[derive(Deserialize)]
pub(crate) struct Statistics {
    #[serde(default)]
    topics: HashMap<String, Topic>,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: HashMap<i32, Ends>,
}

/// Offsets behind the last message and behind the last one that is no part of an open transaction; below zero when unknown.
#[derive(Deserialize)]
struct Ends {
    #[serde(default = "unknown")]
    hi_offset: i64,
    #[serde(default = "unknown")]
    ls_offset: i64,
}

fn unknown() -> i64 {
    -1
}

impl Statistics {
    pub(crate) fn parse(json: &[u8]) -> Option<Statistics> {
        serde_json::from_slice(json).ok()
    }

    /// The offset behind what can be read of a partition.
    pub(crate) fn end(&self, topic: &str, partition: i32, reads_committed: bool) -> Option<i64> {
        let ends = self.topics.get(topic)?.partitions.get(&partition)?;
        let end = if reads_committed { ends.ls_offset } else { ends.hi_offset };
        (end >= 0).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_partitions() {
        let json = br#"{"name":"x","topics":{"t":{"topic":"t","partitions":{
            "0":{"partition":0,"hi_offset":9,"ls_offset":7,"txbytes":1},"-1":{"partition":-1},"1":{"hi_offset":-1001}}}}}"#;
        let statistics = Statistics::parse(json).unwrap();
        assert_eq!((statistics.end("t", 0, false), statistics.end("t", 0, true)), (Some(9), Some(7)));
        assert_eq!((statistics.end("t", 1, false), statistics.end("u", 0, false)), (None, None));
    }
}
