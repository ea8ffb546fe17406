//! What a running pipeline may use.

use ferrostash_plugin::DeadLetters;
use ferrostash_queue::{Budget, PageOptions, QUEUE_BYTES_MAX};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Batches that wait for one output, or are being written.
pub const OUTPUT_QUEUE_BATCHES_MAX: usize = 32;
/// What batches that wait for one output may weigh, in bytes.
pub const OUTPUT_QUEUE_BYTES_MAX: usize = 2 << 20;

/// The numbers of a pipeline.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `pipeline.workers`.
    pub workers: usize,
    /// `pipeline.batch.size`, in events.
    pub batch_size: usize,
    /// `pipeline.batch.delay`.
    pub batch_delay: Duration,
    /// `pipeline.ordered`: events go through the filters one at a time.
    pub ordered: bool,
    /// Events in the queue; by default eight batches per worker, and at least thirty-two.
    pub queue_events_max: Option<usize>,
    /// What the events in the queue may weigh, in bytes.
    pub queue_bytes_max: usize,
    /// Batches that wait for one output, or are being written.
    pub output_queue_batches_max: usize,
    /// What the batches that wait for one output may weigh, in bytes.
    pub output_queue_bytes_max: usize,
    /// How long outputs may go on delivering once the pipeline was told to stop.
    pub grace: Duration,
    /// Where events wait that are on disk before their inputs are told so: `queue.type: persisted`.
    pub persisted: Option<Persisted>,
    /// Where events of outputs that are blocked wait, in a pipeline with several; without it the pipeline waits.
    pub spill: Option<OnDisk>,
    /// Whether there is a dead letter queue: events about which a condition cannot be decided go there, and those that a codec
    /// has marked.
    pub has_dead_letter_queue: bool,
}

/// Something that is kept on disk.
#[derive(Clone, Debug)]
pub struct OnDisk {
    /// The directory.
    pub dir: PathBuf,
    /// Limits and ways of writing.
    pub pages: PageOptions,
}

/// A persisted queue.
#[derive(Clone, Debug)]
pub struct Persisted {
    /// Where it is.
    pub on_disk: OnDisk,
    /// `queue.drain`: a stop waits until it is empty.
    pub drain: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            batch_size: 125,
            batch_delay: Duration::from_millis(50),
            ordered: false,
            queue_events_max: None,
            queue_bytes_max: QUEUE_BYTES_MAX,
            output_queue_batches_max: OUTPUT_QUEUE_BATCHES_MAX,
            output_queue_bytes_max: OUTPUT_QUEUE_BYTES_MAX,
            grace: Duration::from_secs(10),
            persisted: None,
            spill: None,
            has_dead_letter_queue: false,
        }
    }
}

impl Settings {
    /// Events that the queue holds.
    pub fn queue_events(&self) -> usize {
        self.queue_events_max.unwrap_or_else(|| self.batch_size.saturating_mul(8 * self.workers.max(4)))
    }
}

/// Where the tasks of a pipeline run.
#[derive(Clone, Debug)]
pub struct Runtimes {
    /// Inputs and outputs.
    pub io: Handle,
    /// Workers: filters never delay a socket.
    pub workers: Handle,
}

/// What a pipeline uses of the process.
#[derive(Clone)]
pub struct Services {
    /// Where events go that can never be delivered.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// What the events of all pipelines may weigh together.
    pub budget: Budget,
}
