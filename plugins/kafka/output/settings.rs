//! From the options to the settings of librdkafka.

use ferrostash_conf::Spanned;
use ferrostash_plugin::{BuildContext, BuildResult};
use rdkafka::ClientConfig;

use super::options::{Acks, Compression, KafkaOutputOptions, LINGER_MAX_MS};
use super::partitioner::Spreading;
use super::transaction::TRANSACTION_MS;
use crate::client;

/// Most bytes of a batch where `batch_size` does not say it: librdkafka's default.
const BATCH_BYTES: u64 = 1_000_000;
/// Java's `delivery.timeout.ms`: for how long an event is sent again where `retries` sets an end to it.
const DELIVERY_TIMEOUT_MS: u64 = 120_000;
/// The longest wait between two attempts of librdkafka, where `retry_backoff_ms` is not longer; its default.
const RETRY_BACKOFF_MAX_MS: u64 = 1000;
/// How long events without key go to the same partition, where `linger_ms` is short; librdkafka's default.
const STICKY_MS: u64 = 10;

const STRING_SERIALIZER: &str = "org.apache.kafka.common.serialization.StringSerializer";
const BYTE_ARRAY_SERIALIZER: &str = "org.apache.kafka.common.serialization.ByteArraySerializer";

/// The settings, but for those of encryption and login; and a partitioner where librdkafka has none for it.
pub(super) fn settings(
    options: &KafkaOutputOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<(ClientConfig, Option<Spreading>)> {
    check_serializers(options, cx)?;
    let retries = retries(options.retries.as_ref(), cx)?;
    let spreading = spreading(options.partitioner.as_ref(), cx)?;
    let mut config = client::config(&options.connection, cx)?;
    let mut set = |name: &str, value: u64| {
        config.set(name, value.to_string());
    };
    let (linger, request_timeout) = (options.linger_ms, options.connection.request_timeout_ms);
    set("batch.size", options.batch_size.unwrap_or(BATCH_BYTES).max(1));
    set("linger.ms", linger);
    set("message.max.bytes", options.max_request_size);
    set("queue.buffering.max.kbytes", options.buffer_memory.div_ceil(1024));
    // Bytes are the limit, as in Java.
    set("queue.buffering.max.messages", 0);
    set("topic.metadata.propagation.max.ms", options.metadata_fetch_timeout_ms);
    set("request.timeout.ms", request_timeout);
    let backoff = options.connection.retry_backoff_ms.max(1);
    set("retry.backoff.ms", backoff);
    set("retry.backoff.max.ms", backoff.max(RETRY_BACKOFF_MAX_MS));
    set("message.send.max.retries", retries.unwrap_or(i32::MAX as u64));
    set("message.timeout.ms", retries.map_or(0, |_| DELIVERY_TIMEOUT_MS.max(linger + request_timeout)));
    // librdkafka asks no partitioner about events without key that stick to a partition.
    let sticky = (2 * linger).clamp(STICKY_MS, LINGER_MAX_MS.unsigned_abs());
    set("sticky.partitioning.linger.ms", if spreading.is_some() { 0 } else { sticky });
    let (acks, is_idempotent) = match options.acks {
        Acks::None => ("0", false),
        Acks::Leader => ("1", false),
        // What is never sent again needs no number to be recognised by.
        Acks::All => ("all", retries != Some(0)),
    };
    let compression = match options.compression_type {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    };
    config
        .set("acks", acks)
        .set("enable.idempotence", is_idempotent.to_string())
        .set("compression.type", compression)
        .set("partitioner", "murmur2_random");
    if let Some(id) = &options.transactional_id {
        if id.value.is_empty() || retries.is_some() {
            return Err(cx.refuse_at(
                id.span,
                "`transactional_id` must not be empty, and `retries` has no meaning beside it",
            ));
        }
        if cx.pipeline.has_persisted_queue {
            return Err(cx.refuse_at(
                id.span,
                "`transactional_id` needs `queue.type: memory`: offsets are committed once events are in a persisted queue, and \
                 not with the transaction",
            ));
        }
        if linger >= TRANSACTION_MS {
            let text = format!(
                "`linger_ms` must be below {TRANSACTION_MS}, which is how long a transaction may last"
            );
            return Err(cx.refuse_at(id.span, text));
        }
        config
            // It must not be longer than a transaction.
            .set("socket.timeout.ms", request_timeout.clamp(10, TRANSACTION_MS).to_string())
            .set("transactional.id", &id.value)
            .set("transaction.timeout.ms", TRANSACTION_MS.to_string())
            .set("message.timeout.ms", TRANSACTION_MS.to_string())
            .set("acks", "all")
            .set("enable.idempotence", "true");
    }
    Ok((config, spreading))
}

fn check_serializers(options: &KafkaOutputOptions, cx: &mut BuildContext<'_>) -> BuildResult<()> {
    let is_built_in = |class: &str| [STRING_SERIALIZER, BYTE_ARRAY_SERIALIZER].contains(&class);
    if !is_built_in(&options.value_serializer.value) {
        return Err(cx.refuse_at(
            options.value_serializer.span,
            format!("'value_serializer' only supports {BYTE_ARRAY_SERIALIZER} and {STRING_SERIALIZER}"),
        ));
    }
    let key = &options.key_serializer;
    if !is_built_in(&key.value) {
        let message =
            format!("'key_serializer' only supports {BYTE_ARRAY_SERIALIZER} and {STRING_SERIALIZER}");
        return Err(cx.refuse_at(key.span, message));
    }
    Ok(())
}

/// How often an event may be sent again; absent, there is no end to it.
fn retries(option: Option<&Spanned<i64>>, cx: &mut BuildContext<'_>) -> BuildResult<Option<u64>> {
    let Some(Spanned { value: retries, span }) = option else { return Ok(None) };
    match *retries {
        0..=2_147_483_647 => {
            cx.warn(
                "`retries` is set: events that could not be sent after so many attempts more are taken out, to the dead \
                 letter queue or for good. If none may be lost while Kafka is down, leave the option out",
            );
            Ok(Some(retries.unsigned_abs()))
        }
        ..0 => Err(cx.refuse_at(
            *span,
            format!("A negative retry count ({retries}) is not valid. Must be a value >= 0"),
        )),
        _ => Err(cx.refuse_at(*span, format!("`retries` must be at most {}", i32::MAX))),
    }
}

/// The partitioner of this name; nothing where librdkafka has it: Java's default.
fn spreading(option: Option<&Spanned<String>>, cx: &mut BuildContext<'_>) -> BuildResult<Option<Spreading>> {
    let Some(Spanned { value: name, span }) = option else { return Ok(None) };
    let class = name.strip_prefix("org.apache.kafka.clients.producer.");
    match class.unwrap_or(name) {
        "round_robin" if class.is_none() => Ok(Some(Spreading::round_robin())),
        "RoundRobinPartitioner" if class.is_some() => Ok(Some(Spreading::round_robin())),
        "UniformStickyPartitioner" if class.is_some() => Ok(Some(Spreading::sticky())),
        "internals.DefaultPartitioner" if class.is_some() => Ok(None),
        _ if name.contains('.') => Err(cx.refuse_at(
            *span,
            format!(
                "the partitioner {name} is a Java class, which can't be loaded here; there are `round_robin` and Kafka's \
                 own RoundRobinPartitioner, UniformStickyPartitioner and DefaultPartitioner"
            ),
        )),
        _ => Err(cx.refuse_at(*span, format!("unsupported partitioner: {name:?}"))),
    }
}
