//! The options of the `kafka` output.

use ferrostash_conf::{OptionEnum, Options, Spanned};
use ferrostash_event::Template;

use crate::client::options::{ConnectionOptions, INT_MAX, SecurityOptions};

/// The longest that librdkafka lets a batch, and so a sticky partition, wait.
pub(super) const LINGER_MAX_MS: i64 = 900_000;

/// Writes events into topics of Kafka.
///
/// An event counts as delivered when the broker has answered for it, as `acks` says. What the broker can't take now is sent again for
/// as long as it takes; what it can never take (too large, no such topic allowed) goes to the dead letter queue. See [what the options
/// are to librdkafka](../../kafka-options.md).
///
/// ```conf
/// output {
///   kafka {
///     bootstrap_servers => "kafka1:9092,kafka2:9092"
///     topic_id => "logs-%{[service][name]}"
///     message_key => "%{[host][name]}"
///     codec => "json"
///     acks => "all"
///     compression_type => "zstd"
///   }
/// }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "kafka")]
pub(crate) struct KafkaOutputOptions {
    #[option(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[option(flatten)]
    pub(crate) security: SecurityOptions,
    /// The topic; may name fields, as `logs-%{[service][name]}`.
    #[option(required)]
    pub(crate) topic_id: Template,
    /// The key; events of one key go to one partition, in order. May name fields.
    pub(crate) message_key: Option<Template>,
    /// Headers and their values, which may name fields.
    #[option(default = {})]
    pub(crate) message_headers: Vec<(String, Template)>,
    /// Which brokers must have an event before it counts as delivered: nobody (`0`), the partition's leader (`1`), or all replicas that
    /// are in sync. With `all` brokers recognise a second sending, but for a few events around the loss of a partition's leader or of the
    /// producer; `transactional_id` leaves none.
    #[option(default = "1")]
    pub(crate) acks: Acks,
    /// Most bytes in a batch of one partition. Absent, a batch takes what has come within `linger_ms`, up to a megabyte: each is a
    /// request of its own here.
    #[option(default_text = "16384", range = 0..=INT_MAX)]
    pub(crate) batch_size: Option<u64>,
    /// Most bytes that wait to be sent.
    #[option(default = 33554432, range = 1..=1024 * INT_MAX)]
    pub(crate) buffer_memory: u64,
    /// How batches are compressed.
    #[option(default = "none")]
    pub(crate) compression_type: Compression,
    /// Milliseconds that a batch waits to become larger.
    #[option(default = 5, range = 0..=LINGER_MAX_MS)]
    pub(crate) linger_ms: u64,
    /// Most bytes of a request, and so of an event.
    #[option(default = 1048576, range = 1000..=1_000_000_000)]
    pub(crate) max_request_size: u64,
    /// Milliseconds after which a topic that brokers don't know yet counts as missing.
    #[option(default = 60000, range = 0..=3_600_000)]
    pub(crate) metadata_fetch_timeout_ms: u64,
    /// `round_robin`, or a Java class of Kafka's own. Absent, the key decides as with Java's client, and events without a key go to any
    /// partition, a batch at a time.
    pub(crate) partitioner: Option<Spanned<String>>,
    /// How often an event is sent again before it goes to the dead letter queue. Absent, there is no end to it.
    pub(crate) retries: Option<Spanned<i64>>,
    /// The class that writes keys; there is `org.apache.kafka.common.serialization.StringSerializer`.
    #[option(default = "org.apache.kafka.common.serialization.StringSerializer")]
    pub(crate) key_serializer: Spanned<String>,
    /// The class that writes values: `StringSerializer` or `ByteArraySerializer`, which do the same here.
    #[option(default = "org.apache.kafka.common.serialization.StringSerializer")]
    pub(crate) value_serializer: Spanned<String>,
    /// Writes in transactions, together with the offsets of the events' `kafka` inputs: each event of a topic then leads to exactly one
    /// in the other, for those who read with `isolation_level => "read_committed"`. A name that each process has to itself. Not an option
    /// of Logstash.
    pub(crate) transactional_id: Option<Spanned<String>>,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acks {
    #[option(rename = "0")]
    None,
    #[option(rename = "1")]
    Leader,
    All,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}
