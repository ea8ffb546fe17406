//! From the options of the input to what members work with.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ferrostash_plugin::framing::Delimiter;
use ferrostash_plugin::{BuildContext, BuildResult};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::context::MemberContext;
use super::options::{GroupProtocol, IsolationLevel, KafkaInputOptions};
use super::statistics::STATISTICS_EVERY_MS;
use super::topics::{Lookout, Topics};
use crate::client;

/// Bytes that one consumer fetches ahead, at most.
pub(crate) const FETCHED_BYTES_MAX: usize = 32 << 20;
/// Least bytes of them: a single message of usual size has room.
const FETCHED_BYTES_MIN: usize = 1 << 20;
/// Messages that one consumer fetches ahead, at most, while their bytes allow it.
const FETCHED_MESSAGES_MAX: u64 = 100_000;
/// How soon it is looked again, in milliseconds, whether there is room for more: a consumer reads that much in less than the
/// library's default of a second.
const FETCH_AGAIN_MS: u64 = 10;

/// What members of an input have in common.
pub(crate) struct Settings {
    pub(crate) topics: Topics,
    pub(crate) poll_timeout: Duration,
    pub(crate) records_max: usize,
    pub(crate) commit_every: Duration,
    pub(crate) max_poll_interval: Duration,
    pub(crate) reads_committed: bool,
    pub(crate) delimiter: Delimiter,
    reset: Reset,
}

impl Settings {
    pub(crate) fn of(options: &KafkaInputOptions, cx: &mut BuildContext<'_>) -> BuildResult<Settings> {
        let delimiter = Delimiter::new(b"\n").map_err(|error| cx.refuse(error.to_string()))?;
        let interval = Duration::from_millis(options.auto_commit_interval_ms);
        Ok(Settings {
            topics: Topics::of(options, cx)?,
            poll_timeout: Duration::from_millis(options.poll_timeout_ms),
            records_max: usize::try_from(options.max_poll_records).unwrap_or(usize::MAX),
            commit_every: if options.enable_auto_commit == Some(false) { Duration::ZERO } else { interval },
            max_poll_interval: Duration::from_millis(options.max_poll_interval_ms),
            reads_committed: options.isolation_level == IsolationLevel::ReadCommitted,
            delimiter,
            reset: Reset::of(options, cx)?,
        })
    }

    /// Finds where the group is in partitions that it has `assigned`, and where those begin of which it knows nothing. A beginning
    /// that is to be committed at once is written into `assigned`: nothing is passed over then if this process ends before anything
    /// came.
    pub(crate) fn begin(
        &self,
        consumer: &BaseConsumer<MemberContext>,
        assigned: &mut TopicPartitionList,
        lookout: &Lookout,
        wait_max: Duration,
    ) -> HashMap<(String, i32), Beginning> {
        let mut begun = HashMap::new();
        if assigned.count() == 0 {
            return begun;
        }
        let deadline = Instant::now() + wait_max;
        let left = || deadline.saturating_duration_since(Instant::now());
        // Where brokers don't answer, the library finds it later.
        let Ok(committed) = consumer.committed_offsets(assigned.clone(), left()) else { return begun };
        let mut unknown = TopicPartitionList::new();
        for element in committed.elements().iter().filter(|element| element.error().is_ok()) {
            let (topic, partition) = (element.topic(), element.partition());
            match element.offset() {
                Offset::Offset(offset) => {
                    begun.insert((topic.to_owned(), partition), Beginning::Committed(offset));
                }
                Offset::Invalid => drop(unknown.add_partition(topic, partition)),
                _ => {}
            }
        }
        let firsts = offsets_at(Offset::Beginning, consumer, &unknown, left());
        let ends = offsets_at(Offset::End, consumer, &unknown, left());
        for element in unknown.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let key = (topic.to_owned(), partition);
            let is_new = lookout.has_appeared(topic);
            let beginning = match (self.reset, firsts.get(&key), ends.get(&key)) {
                (Reset::None, ..) => Beginning::None,
                (Reset::Earliest, Some(&first), Some(&end)) => Beginning::First { first, end },
                (Reset::Latest, Some(&first), _) if is_new => Beginning::New(first),
                (Reset::Latest, _, Some(&end)) if !is_new => Beginning::New(end),
                (Reset::Latest, ..) if is_new => {
                    let _ = assigned.set_partition_offset(topic, partition, Offset::Beginning);
                    continue;
                }
                _ => continue,
            };
            if let Beginning::New(offset) = beginning
                && assigned.set_partition_offset(topic, partition, Offset::Offset(offset)).is_err()
            {
                continue;
            }
            begun.insert(key, beginning);
        }
        begun
    }
}

/// The first offsets of partitions, or those behind their last messages, as far as brokers tell them.
fn offsets_at(
    place: Offset,
    consumer: &BaseConsumer<MemberContext>,
    partitions: &TopicPartitionList,
    wait_max: Duration,
) -> HashMap<(String, i32), i64> {
    let mut asked = TopicPartitionList::new();
    for element in partitions.elements() {
        // It stands where a time is expected; only offsets that are none are refused.
        let _ = asked.add_partition_offset(element.topic(), element.partition(), place);
    }
    if asked.count() == 0 {
        return HashMap::new();
    }
    let Ok(found) = consumer.offsets_for_times(asked, wait_max) else { return HashMap::new() };
    let found = found.elements();
    let found = found.iter().filter(|element| element.error().is_ok());
    found
        .filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(((element.topic().to_owned(), element.partition()), offset)),
            _ => None,
        })
        .collect()
}

/// Where a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// At what the group has committed.
    Committed(i64),
    /// Here, which the group is to know at once.
    New(i64),
    /// At its first message; behind its last one it ends.
    First { first: i64, end: i64 },
    /// Nowhere: `auto_offset_reset => none`.
    None,
}

/// What becomes of a partition of which the group has no offset: `auto_offset_reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    Earliest,
    Latest,
    None,
}

impl Reset {
    fn of(options: &KafkaInputOptions, cx: &mut BuildContext<'_>) -> BuildResult<Reset> {
        let Some(reset) = &options.auto_offset_reset else { return Ok(Reset::Latest) };
        match reset.value.as_str() {
            "earliest" => Ok(Reset::Earliest),
            "latest" => Ok(Reset::Latest),
            "none" => Ok(Reset::None),
            other => Err(cx.refuse_at(
                reset.span,
                format!("`auto_offset_reset` is `earliest`, `latest` or `none`, not `{other}`"),
            )),
        }
    }

    /// The library's name for it.
    fn name(self) -> &'static str {
        match self {
            Reset::Earliest => "earliest",
            Reset::Latest => "latest",
            Reset::None => "error",
        }
    }
}

/// The settings of librdkafka for all members, but for what differs between them.
pub(crate) fn consumer_config(
    options: &KafkaInputOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<ClientConfig> {
    if options.group_id.is_empty() {
        return Err(cx.refuse("`group_id` must not be empty"));
    }
    let mut config = client::config(&options.connection, cx)?;
    let isolation = match options.isolation_level {
        IsolationLevel::ReadCommitted => "read_committed",
        IsolationLevel::ReadUncommitted => "read_uncommitted",
    };
    config
        .set("group.id", &options.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", Reset::of(options, cx)?.name())
        .set("allow.auto.create.topics", options.auto_create_topics.to_string())
        .set("check.crcs", options.check_crcs.to_string())
        .set("isolation.level", isolation)
        .set("fetch.wait.max.ms", options.fetch_max_wait_ms.to_string())
        .set("fetch.min.bytes", options.fetch_min_bytes.unwrap_or(1).max(1).to_string())
        .set("fetch.message.max.bytes", options.max_partition_fetch_bytes.to_string())
        // The least that the library allows: it would raise fetch.max.bytes to it.
        .set("message.max.bytes", "1000")
        .set("queued.min.messages", FETCHED_MESSAGES_MAX.to_string())
        .set("fetch.queue.backoff.ms", FETCH_AGAIN_MS.to_string())
        .set("max.poll.interval.ms", options.max_poll_interval_ms.to_string())
        .set("statistics.interval.ms", STATISTICS_EVERY_MS.to_string());
    if let Some(rack) = &options.client_rack {
        config.set("client.rack", rack);
    }
    match options.group_protocol {
        GroupProtocol::Classic => {
            if options.heartbeat_interval_ms >= options.session_timeout_ms {
                return Err(cx.refuse(
                    "`heartbeat_interval_ms` must be less than `session_timeout_ms`, a third of it or less",
                ));
            }
            config
                .set("group.protocol", "classic")
                .set("session.timeout.ms", options.session_timeout_ms.to_string())
                .set("heartbeat.interval.ms", options.heartbeat_interval_ms.to_string())
                .set("partition.assignment.strategy", strategy(options, cx)?);
        }
        GroupProtocol::Consumer => {
            // Logstash compares with the defaults, too.
            if options.partition_assignment_strategy.is_some()
                || options.heartbeat_interval_ms != 3000
                || options.session_timeout_ms != 10000
            {
                return Err(cx.refuse(
                    "group_protocol cannot be set to 'consumer' when any of partition_assignment_strategy, \
                     heartbeat_interval_ms or session_timeout_ms is set",
                ));
            }
            config.set("group.protocol", "consumer");
        }
    }
    set_memory(&mut config, options, FETCHED_BYTES_MAX);
    if options.max_poll_interval_ms < options.session_timeout_ms {
        return Err(cx.refuse("`max_poll_interval_ms` is less than `session_timeout_ms`"));
    }
    Ok(config)
}

/// Bounds what one consumer holds of messages that were not polled yet.
pub(crate) fn set_memory(config: &mut ClientConfig, options: &KafkaInputOptions, bytes: usize) {
    let bytes = bytes.max(FETCHED_BYTES_MIN);
    // A broker's answer is held as a whole, beside what was fetched before.
    let answer = options.fetch_max_bytes.min(bytes as u64 / 2).max(1000);
    config
        .set("queued.max.messages.kbytes", (bytes / 2 / 1024).to_string())
        .set("fetch.max.bytes", answer.to_string());
}

/// The names that the library has for what the options say.
fn strategy(options: &KafkaInputOptions, cx: &mut BuildContext<'_>) -> BuildResult<&'static str> {
    let Some(strategy) = &options.partition_assignment_strategy else { return Ok("range") };
    let name = strategy.value.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(&strategy.value);
    match name {
        "range" | "RangeAssignor" => Ok("range"),
        "round_robin" | "RoundRobinAssignor" => Ok("roundrobin"),
        "cooperative_sticky" | "CooperativeStickyAssignor" => Ok("cooperative-sticky"),
        "sticky" | "StickyAssignor" => {
            cx.warn(
                "`sticky` is done as `cooperative_sticky`: members of Logstash in the same group need that strategy, too",
            );
            Ok("cooperative-sticky")
        }
        other if other.contains('.') => Err(cx.refuse_at(
            strategy.span,
            format!("Java classes can't be loaded here, and `{other}` is none of those that are built in"),
        )),
        other => {
            Err(cx.refuse_at(strategy.span, format!("unsupported partition_assignment_strategy: {other:?}")))
        }
    }
}
