//! From the options of the input to what members work with.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ferrostash_plugin::framing::Delimiter;
use ferrostash_plugin::{BuildContext, BuildResult};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use regex::Regex;

use super::context::MemberContext;
use super::options::{GroupProtocol, IsolationLevel, KafkaInputOptions};
use super::statistics::STATISTICS_EVERY_MS;
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
/// How long the brokers may take to name all topics.
const TOPICS_WAIT: Duration = Duration::from_secs(5);
/// How soon they are asked again if they did not.
const TOPICS_AGAIN: Duration = Duration::from_secs(1);
/// Topics of Kafka's own.
const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__share_group_state", "__transaction_state"];

/// What members of an input have in common.
pub(crate) struct Settings {
    pub(crate) topics: Topics,
    pub(crate) poll_timeout: Duration,
    pub(crate) records_max: usize,
    pub(crate) commit_every: Duration,
    pub(crate) max_poll_interval: Duration,
    pub(crate) reads_committed: bool,
    pub(crate) delimiter: Delimiter,
    /// A partition without an offset is read from its end.
    begins_at_end: bool,
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
            begins_at_end: options.auto_offset_reset.as_ref().is_none_or(|reset| reset.value == "latest"),
        })
    }

    /// Finds where partitions begin of which the group has no offset and that are read from their end, and writes it into
    /// `assigned`: the group is to know it at once, so that nothing is passed over if this process ends before anything came.
    pub(crate) fn begin(
        &self,
        consumer: &BaseConsumer<MemberContext>,
        assigned: &mut TopicPartitionList,
        wait_max: Duration,
    ) -> HashMap<(String, i32), i64> {
        let mut begun = HashMap::new();
        if !self.begins_at_end || assigned.count() == 0 {
            return begun;
        }
        let deadline = Instant::now() + wait_max;
        let left = || deadline.saturating_duration_since(Instant::now());
        let Ok(committed) = consumer.committed_offsets(assigned.clone(), left()) else { return begun };
        for element in committed.elements() {
            if element.offset() != Offset::Invalid || element.error().is_err() {
                continue;
            }
            let (topic, partition) = (element.topic(), element.partition());
            // Where brokers don't answer, the library finds the end later.
            let Ok((_, end)) = consumer.fetch_watermarks(topic, partition, left()) else { continue };
            if assigned.set_partition_offset(topic, partition, Offset::Offset(end)).is_ok() {
                begun.insert((topic.to_owned(), partition), end);
            }
        }
        begun
    }
}

/// Which topics are read.
pub(crate) enum Topics {
    List(Vec<String>),
    Pattern { pattern: Regex, with_internal: bool, again_after: Duration },
}

impl Topics {
    fn of(options: &KafkaInputOptions, cx: &mut BuildContext<'_>) -> BuildResult<Topics> {
        let Some(pattern) = options.topics_pattern.as_ref().filter(|pattern| !pattern.value.is_empty())
        else {
            if options.topics.is_empty() || options.topics.iter().any(String::is_empty) {
                return Err(cx.refuse("`topics` names no topic"));
            }
            return Ok(Topics::List(options.topics.clone()));
        };
        // Java's client wants the whole name to fit.
        let whole = Regex::new(&format!("^(?:{})$", pattern.value));
        let regex = whole.map_err(|error| {
            cx.refuse_at(pattern.span, format!("`topics_pattern` is no regular expression: {error}"))
        })?;
        let with_internal =
            options.exclude_internal_topics.as_ref().is_some_and(|text| text.value == "false");
        let again_after = Duration::from_millis(options.connection.metadata_max_age_ms);
        Ok(Topics::Pattern { pattern: regex, with_internal, again_after })
    }

    /// Whether it is time to look for topics again, when that was done `last`.
    pub(crate) fn is_due(&self, last: Instant, has_some: bool) -> bool {
        match self {
            Topics::List(_) => false,
            Topics::Pattern { again_after, .. } => {
                last.elapsed() >= if has_some { *again_after } else { TOPICS_AGAIN.min(*again_after) }
            }
        }
    }

    /// Subscribes `consumer` to the topics there are. Says whether there are some.
    ///
    /// # Errors
    /// The library refuses them.
    pub(crate) fn subscribe(&self, consumer: &BaseConsumer<MemberContext>) -> Result<bool, String> {
        let names = match self {
            Topics::List(names) => names.clone(),
            Topics::Pattern { pattern, with_internal, .. } => {
                match consumer.fetch_metadata(None, TOPICS_WAIT) {
                    Err(error) => {
                        tracing::warn!(%error, limited = true, "The brokers don't name their topics.");
                        return Ok(consumer.subscription().is_ok_and(|topics| topics.count() > 0));
                    }
                    Ok(metadata) => {
                        let names = metadata.topics().iter().map(|topic| topic.name());
                        let names = names.filter(|name| pattern.is_match(name));
                        let names = names.filter(|name| *with_internal || !INTERNAL_TOPICS.contains(name));
                        let mut names: Vec<_> = names.map(str::to_owned).collect();
                        names.sort_unstable();
                        names
                    }
                }
            }
        };
        let known = consumer.subscription().map_err(|error| error.to_string())?;
        let mut known: Vec<_> = known.elements().iter().map(|topic| topic.topic().to_owned()).collect();
        known.sort_unstable();
        if names.is_empty() || names == known {
            return Ok(!known.is_empty());
        }
        let list: Vec<&str> = names.iter().map(String::as_str).collect();
        tracing::info!(topics = ?list, "Subscribed.");
        consumer.subscribe(&list).map_err(|error| error.to_string())?;
        Ok(true)
    }
}

/// The settings of librdkafka for all members, but for what differs between them.
pub(crate) fn consumer_config(
    options: &KafkaInputOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<ClientConfig> {
    let mut config = client::config(&options.connection, cx)?;
    let isolation = match options.isolation_level {
        IsolationLevel::ReadCommitted => "read_committed",
        IsolationLevel::ReadUncommitted => "read_uncommitted",
    };
    config
        .set("group.id", &options.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", reset(options, cx)?)
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

fn reset(options: &KafkaInputOptions, cx: &mut BuildContext<'_>) -> BuildResult<&'static str> {
    let Some(reset) = &options.auto_offset_reset else { return Ok("latest") };
    match reset.value.as_str() {
        "earliest" => Ok("earliest"),
        "latest" => Ok("latest"),
        "none" => Ok("error"),
        other => Err(cx.refuse_at(
            reset.span,
            format!("`auto_offset_reset` is `earliest`, `latest` or `none`, not `{other}`"),
        )),
    }
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
