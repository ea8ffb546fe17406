//! What is counted, per plugin.
//!
//! Handles are resolved when a plugin is built and added to once per batch; the API and Prometheus read the same ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A number that only grows, or that is set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds `n` and raises `peak` to the new value.
    pub fn add_with_peak(&self, n: u64, peak: &Counter) {
        let now = self.0.fetch_add(n, Ordering::Relaxed) + n;
        peak.0.fetch_max(now, Ordering::Relaxed);
    }

    /// Takes `n` off (for gauges).
    pub fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// Sets the value (for gauges).
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One worker's share of a counter: counted in its own memory, handed in once per batch.
#[derive(Debug, Default)]
pub struct Tally {
    counter: Arc<Counter>,
    pending: u64,
}

impl Tally {
    /// A share of `counter`.
    pub fn new(counter: Arc<Counter>) -> Tally {
        Tally { counter, pending: 0 }
    }

    /// Counts one.
    pub fn count(&mut self) {
        self.pending += 1;
    }

    /// Adds what was counted to the counter; see [`crate::EventFilter::batch_done`].
    pub fn hand_in(&mut self) {
        if self.pending > 0 {
            self.counter.add(std::mem::take(&mut self.pending));
        }
    }
}

impl Clone for Tally {
    /// Another worker's share.
    fn clone(&self) -> Self {
        Tally::new(Arc::clone(&self.counter))
    }
}

/// Time spent, kept in nanoseconds.
#[derive(Debug, Default)]
pub struct Time(Counter);

impl Time {
    /// Adds `spent`.
    pub fn add(&self, spent: Duration) {
        self.0.add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The sum in whole milliseconds.
    pub fn millis(&self) -> u64 {
        self.0.get() / 1_000_000
    }

    /// The sum.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.get())
    }
}

/// How a plugin's own number behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A number that a plugin records beyond the common ones.
#[derive(Clone, Debug)]
pub struct CustomMetric {
    /// The keys below the plugin's entry in `/_node/stats`: `["bulk_requests", "successes"]`.
    pub path: Arc<[String]>,
    /// How it behaves.
    pub kind: MetricKind,
    /// The value.
    pub value: Arc<Counter>,
}

/// Most numbers that one plugin records beyond the common ones (response codes come from strangers).
pub const CUSTOM_METRICS_MAX: usize = 256;

/// Most rows of one part of a [`MetricTable`].
pub const METRIC_ROWS_MAX: usize = 10_000;

/// Numbers that a plugin has for each of something, as for each partition of a topic.
#[derive(Debug)]
pub struct MetricTable {
    /// What a row is for, in the plural: `partitions`.
    pub name: &'static str,
    parts: Mutex<BTreeMap<usize, Vec<MetricRow>>>,
}

/// A row of a [`MetricTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricRow {
    /// What it is for: `("topic", "logs")`.
    pub labels: Vec<(&'static str, String)>,
    /// The numbers; `None` where it is not known yet. All gauges.
    pub values: Vec<(&'static str, Option<i64>)>,
}

impl MetricTable {
    /// Sets the rows of one part of the plugin, such as one of its threads.
    pub fn set(&self, part: usize, mut rows: Vec<MetricRow>) {
        rows.truncate(METRIC_ROWS_MAX);
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, rows);
    }

    /// All rows.
    pub fn rows(&self) -> Vec<MetricRow> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.values().flatten().cloned().collect()
    }
}

/// What is counted for one plugin instance.
#[derive(Debug, Default)]
pub struct PluginMetrics {
    /// Events that came in.
    pub events_in: Counter,
    /// Events that went out.
    pub events_out: Counter,
    /// Time spent on them.
    pub duration: Time,
    /// Time that an input waited to push into the queue.
    pub queue_push_duration: Time,
    /// Events that went to the dead letter queue because of the plugin.
    pub events_dead_lettered: Counter,
    /// Events that an output dropped by a rule: a conflict that nobody misses, or dead letters that nobody keeps.
    pub events_dropped: Counter,
    custom: Mutex<Vec<CustomMetric>>,
    table: OnceLock<Arc<MetricTable>>,
}

impl PluginMetrics {
    /// The plugin's own counter at `path`; the same one each time it is asked for.
    pub fn counter(&self, path: &[&str]) -> Arc<Counter> {
        self.custom(path, MetricKind::Counter)
    }

    /// The plugin's own gauge at `path`.
    pub fn gauge(&self, path: &[&str]) -> Arc<Counter> {
        self.custom(path, MetricKind::Gauge)
    }

    fn custom(&self, path: &[&str], kind: MetricKind) -> Arc<Counter> {
        let mut custom = self.custom.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) =
            custom.iter().find(|metric| metric.path.iter().map(String::as_str).eq(path.iter().copied()))
        {
            return Arc::clone(&known.value);
        }
        let value = Arc::<Counter>::default();
        if custom.len() < CUSTOM_METRICS_MAX {
            let path = path.iter().map(|name| (*name).to_owned()).collect();
            custom.push(CustomMetric { path, kind, value: Arc::clone(&value) });
        }
        value
    }

    /// The plugin's table; a plugin has one at most, and the first name stays.
    pub fn table(&self, name: &'static str) -> Arc<MetricTable> {
        let new = || Arc::new(MetricTable { name, parts: Mutex::default() });
        Arc::clone(self.table.get_or_init(new))
    }

    /// The plugin's table, if it has one.
    pub fn own_table(&self) -> Option<&MetricTable> {
        self.table.get().map(|table| &**table)
    }

    /// The plugin's own numbers.
    pub fn customs(&self) -> Vec<CustomMetric> {
        self.custom.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_when_it_is_handed_in() {
        let counter = Arc::<Counter>::default();
        let mut tally = Tally::new(Arc::clone(&counter));
        tally.count();
        tally.clone().hand_in();
        assert_eq!(counter.get(), 0);
        tally.hand_in();
        tally.hand_in();
        assert_eq!(counter.get(), 1);
    }

    #[test]
    fn custom_metrics_are_bounded_and_shared() {
        let metrics = PluginMetrics::default();
        metrics.counter(&["matches"]).add(2);
        metrics.counter(&["matches"]).add(1);
        assert_eq!(metrics.customs().first().unwrap().value.get(), 3);
        for i in 0..2 * CUSTOM_METRICS_MAX {
            metrics.counter(&["responses", &i.to_string()]).add(1);
        }
        assert_eq!(metrics.customs().len(), CUSTOM_METRICS_MAX);
    }
}
