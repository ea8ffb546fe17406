//! The options of the `kafka` input.

use ferrostash_conf::{OptionEnum, Options, Spanned};

use super::registry_options::RegistryOptions;
use crate::client::options::{ConnectionOptions, INT_MAX, SecurityOptions};

/// Most members that one input may be.
const THREADS_MAX: i64 = 1024;

/// Reads topics of Kafka, as a member of a consumer group.
///
/// The members of a group share the partitions among them: as many processes as there are partitions can read a topic
/// together, and when one ends the others take over what it had. See [scaling](../../scaling.md), and [what the options are to
/// librdkafka](../../kafka-options.md).
///
/// ```conf
/// input {
///   kafka {
///     bootstrap_servers => "kafka1:9092,kafka2:9092"
///     topics => ["logs"]
///     group_id => "shippers"
///     codec => "json"
///     decorate_events => "basic"
///   }
/// }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(input = "kafka")]
pub(crate) struct KafkaInputOptions {
    #[option(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[option(flatten)]
    pub(crate) security: SecurityOptions,
    #[option(flatten)]
    pub(crate) registry: RegistryOptions,
    /// The topics to read.
    #[option(default = ["logstash"])]
    pub(crate) topics: Vec<String>,
    /// A regular expression; all topics with such a name are read, instead of `topics`, and new ones as they come.
    pub(crate) topics_pattern: Option<Spanned<String>>,
    /// The consumer group.
    #[option(default = "logstash")]
    pub(crate) group_id: String,
    /// A name of this member that stays: when it comes back within `session_timeout_ms` it has its old partitions without a rebalance.
    /// With more than one thread each gets its number behind it.
    pub(crate) group_instance_id: Option<String>,
    /// `classic`, or the protocol of KIP-848 (`consumer`), which brokers have from version 4 on.
    #[option(default = "classic")]
    pub(crate) group_protocol: GroupProtocol,
    /// How partitions are shared out: `range`, `round_robin`, `sticky`, `cooperative_sticky`, or the Java class of one of these.
    /// Absent it is `range`. `sticky` is done as `cooperative_sticky`.
    pub(crate) partition_assignment_strategy: Option<Spanned<String>>,
    /// How many consumers, each with its own share of the partitions.
    #[option(default = 1, range = 1..=THREADS_MAX)]
    pub(crate) consumer_threads: u64,
    /// `true` commits what was read every `auto_commit_interval_ms`, as soon as it is in the queue: after a crash what was in the queue
    /// is lost. `false` commits as soon as outputs have accepted events; absent, it is the same every
    /// `auto_commit_interval_ms`.
    #[option(default_text = "true")]
    pub(crate) enable_auto_commit: Option<bool>,
    /// Milliseconds between commits.
    #[option(default = 5000)]
    pub(crate) auto_commit_interval_ms: u64,
    /// Where to begin when the group has no offset: `earliest`, `latest`, or `none`, which is an error. Kafka's default is `latest`.
    pub(crate) auto_offset_reset: Option<Spanned<String>>,
    /// Whether topics that don't exist may be created by asking for them.
    #[option(default = true)]
    pub(crate) auto_create_topics: bool,
    /// Whether what was read is checked by its checksums.
    #[option(default = true)]
    pub(crate) check_crcs: bool,
    /// Where this machine stands; a replica of the same rack is read from where brokers allow it.
    pub(crate) client_rack: Option<String>,
    /// What is put into `[@metadata][kafka]`: nothing; `basic`: `topic`, `consumer_group`, `partition`, `offset`, `key`, `timestamp`;
    /// `extended`: also `headers`. `true` and `false` are old words for `basic` and `none`.
    #[option(default = "none")]
    pub(crate) decorate_events: Decoration,
    /// Whether topics of Kafka's own are left out of `topics_pattern`; they are unless this is `false`.
    pub(crate) exclude_internal_topics: Option<Spanned<String>>,
    /// Most bytes that a broker answers with; never more than half of what the consumer may hold (32 MiB, or its share of
    /// `memory.max_bytes`).
    #[option(default = 52428800)]
    pub(crate) fetch_max_bytes: u64,
    /// Milliseconds that a broker waits for `fetch_min_bytes`.
    #[option(default = 500, range = 0..=300_000)]
    pub(crate) fetch_max_wait_ms: u64,
    /// Least bytes that a broker answers with.
    #[option(range = 0..=100_000_000)]
    pub(crate) fetch_min_bytes: Option<u64>,
    /// Milliseconds between signs of life to the group's coordinator.
    #[option(default = 3000, range = 1..=3_599_999)]
    pub(crate) heartbeat_interval_ms: u64,
    /// Whether events of transactions that are not committed are read.
    #[option(default = "read_uncommitted")]
    pub(crate) isolation_level: IsolationLevel,
    /// How keys are read: a class of `org.apache.kafka.common.serialization`, of which there are `StringDeserializer`,
    /// `ByteArrayDeserializer`, `ShortDeserializer`, `IntegerDeserializer` and `LongDeserializer`.
    #[option(default = "org.apache.kafka.common.serialization.StringDeserializer")]
    pub(crate) key_deserializer_class: Spanned<String>,
    /// How values are read; the same classes.
    #[option(default = "org.apache.kafka.common.serialization.StringDeserializer")]
    pub(crate) value_deserializer_class: Spanned<String>,
    /// Most bytes of one partition that a broker answers with.
    #[option(default = 1048576, range = 1..=1_000_000_000)]
    pub(crate) max_partition_fetch_bytes: u64,
    /// Milliseconds without a sign of the reading thread after which the group gives its partitions to others. Slow outputs never
    /// lead to that.
    #[option(default = 300000, range = 2..=86_400_000)]
    pub(crate) max_poll_interval_ms: u64,
    /// Most events that are handed on at a time.
    #[option(default = 500, range = 1..=INT_MAX)]
    pub(crate) max_poll_records: u64,
    /// Milliseconds to wait for events before something else is looked after.
    #[option(default = 100)]
    pub(crate) poll_timeout_ms: u64,
    /// Milliseconds without a sign of life after which the group gives a member's partitions to others.
    #[option(default = 10000, range = 2..=3_600_000)]
    pub(crate) session_timeout_ms: u64,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupProtocol {
    Classic,
    Consumer,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoration {
    None,
    Basic,
    Extended,
    False,
    True,
}
