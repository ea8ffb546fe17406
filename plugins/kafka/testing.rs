//! What tests of the input and of the output have in common.

use ferrostash_conf::{OptionsDef, PluginKind};
use ferrostash_plugin::testing::Harness;

use crate::PLUGINS;

/// Options that bound each other, and with what beside them both ends of their range can be.
const TOGETHER: [(&str, &str); 5] = [
    ("reconnect_backoff_ms", "reconnect_backoff_max_ms => 3600000"),
    ("reconnect_backoff_max_ms", "reconnect_backoff_ms => 0"),
    ("heartbeat_interval_ms", "session_timeout_ms => 3600000 max_poll_interval_ms => 3600000"),
    ("session_timeout_ms", "heartbeat_interval_ms => 1 max_poll_interval_ms => 3600000"),
    ("max_poll_interval_ms", "session_timeout_ms => 2 heartbeat_interval_ms => 1"),
];

/// librdkafka takes the least and the greatest of each number that has a range; `others` are options beside it.
pub(crate) fn try_ranges<O: OptionsDef>(kind: PluginKind, others: &str) {
    let mut tried = 0;
    for option in O::OPTIONS {
        let Some((min, max)) = option.range else { continue };
        let beside = TOGETHER.iter().find(|(name, _)| *name == option.name).map_or("", |(_, beside)| beside);
        for number in [min, max] {
            let text = format!("kafka {{ {} => {number} {beside} {others} }}", option.name);
            if let Err(problem) = Harness::new(PLUGINS).build(kind, &text) {
                panic!("{text}: {problem}");
            }
            tried += 1;
        }
    }
    assert!(tried > 20);
}
