//! The output's own metrics.

use std::sync::Arc;

use ferrostash_plugin::{Counter, PluginMetrics};
use rdkafka::error::RDKafkaErrorCode;

use super::delivery::Failure;

/// What is counted beyond the common numbers.
#[derive(Debug)]
pub(super) struct Counts {
    metrics: Arc<PluginMetrics>,
    /// Bytes of keys, headers and values that were accepted.
    pub(super) bytes: Arc<Counter>,
    /// Batches that were written.
    pub(super) batches: Arc<Counter>,
    /// Events that were sent once more.
    pub(super) retries: Arc<Counter>,
    /// Events that wait to be sent once more.
    pub(super) waiting: Arc<Counter>,
    /// Transactions that were committed, and those that were given up.
    pub(super) transactions_committed: Arc<Counter>,
    pub(super) transactions_aborted: Arc<Counter>,
}

impl Counts {
    pub(super) fn new(metrics: &Arc<PluginMetrics>) -> Counts {
        Counts {
            bytes: metrics.counter(&["bytes_sent"]),
            batches: metrics.counter(&["batches"]),
            retries: metrics.counter(&["retries"]),
            waiting: metrics.gauge(&["waiting_for_retry"]),
            transactions_committed: metrics.counter(&["transactions", "committed"]),
            transactions_aborted: metrics.counter(&["transactions", "aborted"]),
            metrics: Arc::clone(metrics),
        }
    }

    /// Counts failures by their code.
    pub(super) fn failed(&self, failures: &[Failure]) {
        for same in failures.chunk_by(|a, b| a.code == b.code) {
            let Some(failure) = same.first() else { continue };
            self.metrics.counter(&["errors", &name_of(failure.code)]).add(same.len() as u64);
        }
    }
}

/// `MessageSizeTooLarge` as `message_size_too_large`.
fn name_of(code: RDKafkaErrorCode) -> String {
    let (mut name, mut was_lower) = (String::new(), false);
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && was_lower {
            name.push('_');
        }
        was_lower = letter.is_ascii_lowercase();
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names() {
        assert_eq!(name_of(RDKafkaErrorCode::MessageSizeTooLarge), "message_size_too_large");
        assert_eq!(name_of(RDKafkaErrorCode::SSL), "ssl");
    }
}
