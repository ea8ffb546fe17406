//! The settings of one pipeline: those of `logstash.yml`, and over them an entry of `pipelines.yml`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::ConfigError;

use super::kind::choice;
use super::layers::Resolved;

choice! {
    /// `pipeline.ordered`: whether events keep their order.
    Ordered {
        /// Yes, when `pipeline.workers` is set to 1.
        Auto = "auto",
        /// Yes; more than one worker is an error.
        True = "true",
        /// No.
        False = "false",
    }
}
choice! {
    /// `pipeline.recoverable`: whether a crashed pipeline is restarted.
    Recoverable {
        /// When all its parts allow it.
        Auto = "auto",
        /// Yes.
        True = "true",
        /// No.
        False = "false",
    }
}
choice! {
    /// `pipeline.ecs_compatibility`: the field names that plugins use when they are not told.
    EcsCompatibility {
        /// The names from before the Elastic Common Schema.
        Disabled = "disabled",
        /// Version 1.
        V1 = "v1",
        /// Version 8.
        V8 = "v8",
    }
}
choice! {
    /// `pipeline.batch.metrics.sampling_mode`: how many batches are measured.
    BatchMetrics {
        /// None.
        Disabled = "disabled",
        /// Some.
        Minimal = "minimal",
        /// All.
        Full = "full",
    }
}
choice! {
    /// `config.field_reference.escape_style`: how brackets in field names are written.
    EscapeStyle {
        /// Not at all.
        None = "none",
        /// `%5B`.
        Percent = "percent",
        /// `&#91;`.
        Ampersand = "ampersand",
    }
}
choice! {
    /// `queue.type`: where events wait between inputs and workers.
    QueueType {
        /// In memory.
        Memory = "memory",
        /// On disk.
        Persisted = "persisted",
    }
}
choice! {
    /// `queue.compression`: the aim of compressing pages.
    QueueCompression {
        /// Pages are not compressed, but compressed ones are read.
        None = "none",
        /// Fast.
        Speed = "speed",
        /// Neither.
        Balanced = "balanced",
        /// Small.
        Size = "size",
        /// No compressed page is read either.
        Disabled = "disabled",
    }
}
choice! {
    /// `dead_letter_queue.storage_policy`: what goes when it is full.
    StoragePolicy {
        /// The new event.
        DropNewer = "drop_newer",
        /// The oldest events.
        DropOlder = "drop_older",
    }
}

/// The text of a configuration. It may hold secrets, so `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigText(String);

impl ConfigText {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConfigText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// The settings of one pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineSettings {
    /// `pipeline.id`
    pub id: String,
    /// `config.string`
    pub config_string: Option<ConfigText>,
    /// `path.config`: file, folder or glob.
    pub path_config: Option<String>,
    /// `config.debug`
    pub config_debug: bool,
    /// `config.support_escapes`
    pub support_escapes: bool,
    /// `metric.collect`
    pub metric_collect: bool,
    /// `pipeline.workers`; `None` = as many as there are cores.
    pub workers: Option<usize>,
    /// `pipeline.batch.size`: most events in a batch.
    pub batch_size: usize,
    /// `pipeline.batch.delay`
    pub batch_delay: Duration,
    /// `pipeline.batch.metrics.sampling_mode`
    pub batch_metrics: BatchMetrics,
    /// `pipeline.ordered`
    pub ordered: Ordered,
    /// `pipeline.ecs_compatibility`
    pub ecs_compatibility: EcsCompatibility,
    /// `pipeline.unsafe_shutdown`
    pub unsafe_shutdown: bool,
    /// `pipeline.reloadable`
    pub reloadable: bool,
    /// `pipeline.recoverable`
    pub recoverable: Recoverable,
    /// `queue.*`
    pub queue: QueueSettings,
    /// `spill.max_bytes`; 0 = off.
    pub spill_max_bytes: u64,
    /// `dead_letter_queue.*`
    pub dead_letter_queue: DeadLetterQueueSettings,
}

/// `queue.*` and `path.queue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// `queue.type`
    pub kind: QueueType,
    /// `path.queue`: the folder above the pipelines' own.
    pub path: PathBuf,
    /// `queue.drain`
    pub drain: bool,
    /// `queue.page_capacity`, in bytes.
    pub page_capacity_bytes: u64,
    /// `queue.max_bytes`
    pub max_bytes: u64,
    /// `queue.max_events`; 0 = no limit.
    pub max_events: u64,
    /// `queue.checkpoint.acks`; 0 = no limit.
    pub checkpoint_acks: u64,
    /// `queue.compression`
    pub compression: QueueCompression,
}

/// `dead_letter_queue.*` and `path.dead_letter_queue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterQueueSettings {
    /// `dead_letter_queue.enable`
    pub enable: bool,
    /// `dead_letter_queue.failures`: also events on which a filter or codec fails.
    pub failures: bool,
    /// `path.dead_letter_queue`: the folder above the pipelines' own.
    pub path: PathBuf,
    /// `dead_letter_queue.max_bytes`
    pub max_bytes: u64,
    /// `dead_letter_queue.flush_interval`
    pub flush_interval: Duration,
    /// `dead_letter_queue.flush_check_interval`
    pub flush_check_interval: Duration,
    /// `dead_letter_queue.storage_policy`
    pub storage_policy: StoragePolicy,
    /// `dead_letter_queue.retain.age`
    pub retain_age: Option<Duration>,
}

impl PipelineSettings {
    pub(crate) fn read(from: &Resolved, data: &Path) -> Result<Self, ConfigError> {
        Ok(Self {
            id: from.text("pipeline.id")?,
            config_string: from.optional_text("config.string")?.map(ConfigText),
            path_config: from.optional_text("path.config")?,
            config_debug: from.bool("config.debug")?,
            support_escapes: from.bool("config.support_escapes")?,
            metric_collect: from.bool("metric.collect")?,
            workers: from.optional_size("pipeline.workers")?,
            batch_size: from.size("pipeline.batch.size")?,
            batch_delay: from.millis("pipeline.batch.delay")?,
            batch_metrics: from.word("pipeline.batch.metrics.sampling_mode", BatchMetrics::from_word)?,
            ordered: from.word("pipeline.ordered", Ordered::from_word)?,
            ecs_compatibility: from.word("pipeline.ecs_compatibility", EcsCompatibility::from_word)?,
            unsafe_shutdown: from.bool("pipeline.unsafe_shutdown")?,
            reloadable: from.bool("pipeline.reloadable")?,
            recoverable: from.word("pipeline.recoverable", Recoverable::from_word)?,
            queue: QueueSettings::read(from, data)?,
            spill_max_bytes: from.unsigned("spill.max_bytes")?,
            dead_letter_queue: DeadLetterQueueSettings::read(from, data)?,
        })
    }

    /// Worker threads: as set, else one per core.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// Whether events keep their order.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        match self.ordered {
            Ordered::Auto => self.workers == Some(1),
            Ordered::True => true,
            Ordered::False => false,
        }
    }

    /// Whether there is a configuration at all.
    #[must_use]
    pub fn has_config(&self) -> bool {
        self.config_string.is_some() || self.path_config.is_some()
    }
}

impl QueueSettings {
    fn read(from: &Resolved, data: &Path) -> Result<Self, ConfigError> {
        Ok(Self {
            kind: from.word("queue.type", QueueType::from_word)?,
            path: from.optional_path("path.queue")?.unwrap_or_else(|| data.join("queue")),
            drain: from.bool("queue.drain")?,
            page_capacity_bytes: from.unsigned("queue.page_capacity")?,
            max_bytes: from.unsigned("queue.max_bytes")?,
            max_events: from.unsigned("queue.max_events")?,
            checkpoint_acks: from.unsigned("queue.checkpoint.acks")?,
            compression: from.word("queue.compression", QueueCompression::from_word)?,
        })
    }
}

impl DeadLetterQueueSettings {
    fn read(from: &Resolved, data: &Path) -> Result<Self, ConfigError> {
        Ok(Self {
            enable: from.bool("dead_letter_queue.enable")?,
            failures: from.bool("dead_letter_queue.failures")?,
            path: from
                .optional_path("path.dead_letter_queue")?
                .unwrap_or_else(|| data.join("dead_letter_queue")),
            max_bytes: from.unsigned("dead_letter_queue.max_bytes")?,
            flush_interval: from.millis("dead_letter_queue.flush_interval")?,
            flush_check_interval: from.millis("dead_letter_queue.flush_check_interval")?,
            storage_policy: from.word("dead_letter_queue.storage_policy", StoragePolicy::from_word)?,
            retain_age: from.time("dead_letter_queue.retain.age")?,
        })
    }
}
