//! The output against librdkafka's mock cluster: real sockets, the real protocol.

use std::time::Duration;

use ferrostash_conf::PluginKind;
use ferrostash_doubles::Kafka;
use ferrostash_plugin::testing::{Harness, OutputHarness, event};
use ferrostash_plugin::{AckTracker, OutputBatch};
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::KafkaOutputOptions;
use crate::PLUGINS;

const PATIENCE: Duration = Duration::from_secs(20);

/// Brokers with a topic `logs` of six partitions.
struct Brokers(Kafka);

/// What a consumer sees of an event.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    partition: i32,
    key: Option<String>,
    value: String,
    headers: Vec<(String, String)>,
}

impl Brokers {
    fn new() -> Brokers {
        Brokers(Kafka::start("logs", 6))
    }

    /// An output that writes to them; started.
    async fn output(&self, options: &str) -> OutputHarness {
        self.output_with(&format!("linger_ms => 1 {options}")).await
    }

    async fn output_with(&self, options: &str) -> OutputHarness {
        let servers = self.0.servers();
        let text = format!("kafka {{ bootstrap_servers => \"{servers}\" {options} }}");
        let mut output = Harness::new(PLUGINS).output(&text).unwrap();
        output.output.start(&output.context).await.unwrap();
        output
    }

    /// The next requests of this kind are answered with these errors.
    fn refuse(&self, api: RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
        self.0.mock.request_errors(api, errors);
    }

    /// All that is in the topic, in order within each partition.
    fn read(&self, topic: &str, partitions: i32) -> Vec<Read> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let read = |message: OwnedMessage| {
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            Read {
                partition: message.partition(),
                key: message.key().map(text),
                value: message.payload().map(text).unwrap(),
                headers: headers.map(|h| (h.key.to_owned(), text(h.value.unwrap()))).collect(),
            }
        };
        self.0.read(topic, partitions).into_iter().map(read).collect()
    }

    /// The values in the topic `logs`, sorted.
    fn values(&self) -> Vec<String> {
        let mut values: Vec<String> = self.read("logs", 6).into_iter().map(|read| read.value).collect();
        values.sort();
        values
    }
}

fn batch(output: &OutputHarness, events: &[&str]) -> OutputBatch {
    output.batch(events.iter().map(|text| event(text)).collect())
}

fn messages(output: &OutputHarness, messages: &[&str]) -> OutputBatch {
    output.batch(messages.iter().map(|text| event(&format!(r#"{{"message":"{text}"}}"#))).collect())
}

/// Writes, and waits until all is answered.
async fn write(output: &mut OutputHarness, batches: &[OutputBatch]) {
    let answered = counted(output, &["batches"]) + batches.len() as u64;
    output.output.write(batches, &output.context).await.unwrap();
    let answers = async {
        while counted(output, &["batches"]) < answered {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answers).await.expect("it takes too long");
}

fn letters(output: &OutputHarness) -> Vec<(String, String)> {
    output.dead_letters.all()
}

fn counted(output: &OutputHarness, path: &[&str]) -> u64 {
    output.context.metrics.counter(path).get()
}

#[tokio::test]
async fn events_name_their_topics_keys_and_headers() {
    let brokers = Brokers::new();
    brokers.0.create_topic("web-errors", 1);
    let mut output = brokers
        .output(
            r#"topic_id => "%{app}" message_key => "%{[host][name]}" codec => json
               message_headers => { "level" => "%{level}" "from" => "here" }"#,
        )
        .await;
    let batches = [
        batch(&output, &[r#"{"app":"web-errors","host":{"name":"h1"},"level":"warn"}"#]),
        batch(&output, &[r#"{"app":"logs","host":{"name":"h2"}}"#, r#"{"app":"web-errors","level":""}"#]),
    ];
    write(&mut output, &batches).await;
    let read = brokers.read("web-errors", 1);
    assert_eq!(read.len(), 2);
    assert!(read[0].value.contains(r#""host":{"name":"h1"}"#), "{read:?}");
    assert_eq!(read[0].key.as_deref(), Some("h1"));
    let header = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(read[0].headers, [header("level", "warn"), header("from", "here")]);
    assert_eq!(read[1].key.as_deref(), Some("%{[host][name]}"));
    assert_eq!(read[1].headers, [header("level", ""), header("from", "here")]);
    let other = brokers.read("logs", 6);
    assert_eq!(other[0].headers, [header("level", "%{level}"), header("from", "here")]);
    assert_eq!((counted(&output, &["batches"]), letters(&output).len()), (2, 0));
    let bytes: usize = read.iter().chain(&other).map(size_of).sum();
    assert_eq!(counted(&output, &["bytes_sent"]), bytes as u64);
    output.output.close(&output.context).await;
}

fn size_of(read: &Read) -> usize {
    let headers: usize = read.headers.iter().map(|(_, value)| value.len()).sum();
    read.key.as_ref().map_or(0, String::len) + read.value.len() + headers
}

#[tokio::test]
async fn codecs_write_the_values() {
    for (codec, value) in [("plain", "hello"), ("line", "hello\n"), ("json", r#"{"message":"hello""#)] {
        let brokers = Brokers::new();
        let mut output = brokers.output(&format!("topic_id => logs codec => {codec}")).await;
        let batches = [messages(&output, &["hello"])];
        write(&mut output, &batches).await;
        let read = brokers.read("logs", 6);
        assert!(read.len() == 1 && read[0].value.starts_with(value), "{codec}: {read:?}");
        assert_eq!((&read[0].key, read[0].headers.len()), (&None, 0));
    }
}

/// Kafka's own test values for its murmur2.
#[tokio::test]
async fn keys_go_where_java_sends_them() {
    const HASHES: [(&str, i32); 6] = [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ];
    for partitioner in ["", "partitioner => 'org.apache.kafka.clients.producer.internals.DefaultPartitioner'"]
    {
        let brokers = Brokers::new();
        let options = format!("topic_id => logs message_key => '%{{message}}' codec => plain {partitioner}");
        let mut output = brokers.output(&options).await;
        let batches = [messages(&output, &HASHES.map(|(key, _)| key))];
        write(&mut output, &batches).await;
        let read = brokers.read("logs", 6);
        for (key, hash) in HASHES {
            let partition = (hash & i32::MAX) % 6;
            assert!(
                read.iter().any(|read| (&*read.value, read.partition) == (key, partition)),
                "{key}: {read:?}"
            );
        }
    }
}

#[tokio::test]
async fn round_robin_takes_each_partition_in_turn() {
    for name in ["round_robin", "org.apache.kafka.clients.producer.RoundRobinPartitioner"] {
        let brokers = Brokers::new();
        let options = format!("topic_id => logs message_key => same partitioner => '{name}' codec => plain");
        let mut output = brokers.output(&options).await;
        // Until the first answer librdkafka does not know the leaders of all partitions.
        for batches in [[messages(&output, &["first"])], [messages(&output, &["x"; 12])]] {
            write(&mut output, &batches).await;
        }
        let read = brokers.read("logs", 6);
        let later = read.iter().filter(|read| read.value == "x");
        let partitions: Vec<i32> = later.map(|read| read.partition).collect();
        assert_eq!(partitions, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    }
}

#[tokio::test]
async fn what_can_never_be_sent_is_a_dead_letter_and_the_rest_goes() {
    let brokers = Brokers::new();
    let mut output = brokers.output("topic_id => '%{app}' codec => plain max_request_size => 1000").await;
    let (long, nearly) = ("x".repeat(1001), "y".repeat(995));
    let long = format!(r#"{{"app":"logs","message":"{long}"}}"#);
    let nearly = format!(r#"{{"app":"logs","message":"{nearly}"}}"#);
    let batches = [
        batch(&output, &[r#"{"app":"logs","message":"1"}"#, &long, r#"{"app":"logs","message":"2"}"#]),
        batch(&output, &[r#"{"message":"3"}"#, r#"{"app":"a/b"}"#, &nearly, r#"{"app":""}"#]),
    ];
    write(&mut output, &batches).await;
    assert_eq!(brokers.values(), ["1", "2"]);
    let reasons: Vec<String> = letters(&output).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(
        reasons,
        [
            "the event has 1001 bytes, more than max_request_size or buffer_memory allow (1000)",
            "\"%{app}\" can't be the name of a topic: a-z, A-Z, 0-9, '.', '_' and '-' are allowed",
            "\"a/b\" can't be the name of a topic: a-z, A-Z, 0-9, '.', '_' and '-' are allowed",
            "the name of the topic is empty",
            "Kafka does not accept it in the topic \"logs\": MessageSizeTooLarge (Broker: Message size too large)",
        ]
    );
    assert!(letters(&output)[4].0.contains("yyyy"));
    assert_eq!(counted(&output, &["errors", "message_size_too_large"]), 1);
}

#[tokio::test]
async fn without_a_dead_letter_queue_the_time_is_what_is_left() {
    let brokers = Brokers::new();
    let servers = brokers.0.servers();
    let text = format!("kafka {{ bootstrap_servers => \"{servers}\" topic_id => logs codec => plain }}");
    let mut output = Harness::new(PLUGINS).output(&text).unwrap();
    output.dead_letters.keep_no_events();
    output.output.start(&output.context).await.unwrap();
    brokers.refuse(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION]);
    let batches = [messages(&output, &["1"])];
    assert!(!batches[0].has_events());
    write(&mut output, &batches).await;
    assert_eq!(letters(&output)[0].0, "{}");
}

#[tokio::test]
async fn a_batch_that_is_too_large_for_the_broker_costs_only_the_event_that_is() {
    use RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as TOO_LARGE;
    let brokers = Brokers::new();
    let mut output = brokers.output("topic_id => logs message_key => same codec => plain").await;
    // The batch, and then one of its events alone.
    brokers.refuse(RDKafkaApiKey::Produce, &[TOO_LARGE, TOO_LARGE]);
    let batches = [messages(&output, &["1", "2", "3"])];
    write(&mut output, &batches).await;
    assert_eq!(brokers.values(), ["2", "3"]);
    assert_eq!(letters(&output).len(), 1);
    assert!(letters(&output)[0].0.contains(r#""message":"1""#));
}

#[tokio::test]
async fn in_a_transaction_too_a_refused_event_is_found_among_many() {
    use RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as TOO_LARGE;
    const EVENTS: usize = 300;
    let brokers = Brokers::new();
    let options =
        "topic_id => logs message_key => same codec => plain transactional_id => mine linger_ms => 5000";
    let mut output = brokers.output_with(options).await;
    // The batch, and then one of its events alone; each time all are read again.
    for errors in [&[TOO_LARGE][..], &[TOO_LARGE], &[]] {
        brokers.refuse(RDKafkaApiKey::Produce, errors);
        let mut tracker = AckTracker::new(1);
        let acks = vec![tracker.issue(()).await];
        let events = (0..EVENTS).map(|number| event(&format!(r#"{{"message":"{number}"}}"#))).collect();
        let batches = [output.batch_of(events, acks)];
        output.output.write(&batches, &output.context).await.unwrap();
        drop(batches);
        let decided = async {
            while tracker.settled().is_none() && !tracker.is_abandoned() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, decided).await.expect("it takes too long");
    }
    assert_eq!((brokers.values().len(), letters(&output).len()), (EVENTS - 1, 1));
    let transactions = |what| counted(&output, &["transactions", what]);
    assert_eq!((transactions("aborted"), transactions("committed")), (2, 1));
    output.output.close(&output.context).await;
}

#[tokio::test]
async fn what_brokers_refuse_for_now_is_sent_once_it_can_be() {
    use RDKafkaRespErr::*;
    for acks in ["all", "1"] {
        let brokers = Brokers::new();
        let mut output = brokers.output(&format!("topic_id => logs acks => '{acks}' codec => plain")).await;
        brokers.refuse(
            RDKafkaApiKey::Produce,
            &[
                RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                RD_KAFKA_RESP_ERR_UNKNOWN,
            ],
        );
        let batches = [messages(&output, &["1", "2", "3"]), messages(&output, &["4"])];
        write(&mut output, &batches).await;
        assert_eq!(brokers.values(), ["1", "2", "3", "4"], "acks {acks}");
        assert_eq!(letters(&output).len(), 0);
        assert!(counted(&output, &["retries"]) > 0);
        assert!(counted(&output, &["errors", "topic_authorization_failed"]) > 0);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_left_to_librdkafka_with_acks_all() {
    let brokers = Brokers::new();
    let mut output = brokers.output("topic_id => logs acks => all codec => plain").await;
    brokers.refuse(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT; 3]);
    let batches = [messages(&output, &["1", "2", "3"])];
    write(&mut output, &batches).await;
    // A real broker knows what is sent again by its number, and only librdkafka can send under the same one; the mock
    // looks at numbers in transactions alone.
    let mut values = brokers.values();
    values.dedup();
    assert_eq!(values, ["1", "2", "3"]);
    assert_eq!(counted(&output, &["retries"]), 0);
}

#[tokio::test]
async fn a_producer_that_broke_is_replaced() {
    let brokers = Brokers::new();
    let mut output = brokers.output("topic_id => logs message_key => same acks => all codec => plain").await;
    brokers.refuse(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    let batches = [messages(&output, &["1", "2", "3"])];
    write(&mut output, &batches).await;
    let batches = [messages(&output, &["4"])];
    write(&mut output, &batches).await;
    assert_eq!(brokers.values(), ["1", "2", "3", "4"]);
    assert_eq!(counted(&output, &["errors", "out_of_order_sequence_number"]), 3);
}

#[tokio::test]
async fn a_topic_that_is_missing_or_forbidden_is_waited_for() {
    use RDKafkaRespErr::*;
    for error in [RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED] {
        let brokers = Brokers::new();
        brokers.0.mock.topic_error("logs", error).unwrap();
        let mut output =
            brokers.output("topic_id => logs codec => plain metadata_fetch_timeout_ms => 0").await;
        let retries = output.context.metrics.counter(&["retries"]);
        let batches = [messages(&output, &["1", "2"])];
        let granted = async {
            while retries.get() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            brokers.0.mock.topic_error("logs", RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        };
        tokio::join!(write(&mut output, &batches), granted);
        assert_eq!(brokers.values(), ["1", "2"], "{error:?}");
        assert_eq!(letters(&output).len(), 0);
    }
}

#[tokio::test]
async fn brokers_that_go_away_and_come_back_get_all() {
    let brokers = Brokers::new();
    let mut output = brokers.output("topic_id => logs acks => all codec => plain").await;
    let batches = [messages(&output, &["1"])];
    write(&mut output, &batches).await;
    brokers.0.mock.broker_down(-1).unwrap();
    let batches = [messages(&output, &["2", "3"])];
    {
        let mut write = std::pin::pin!(write(&mut output, &batches));
        let early = tokio::time::timeout(Duration::from_millis(300), write.as_mut()).await;
        assert!(early.is_err(), "nobody can have answered");
        brokers.0.mock.broker_up(-1).unwrap();
        write.await;
    }
    assert_eq!(brokers.values(), ["1", "2", "3"]);
}

#[tokio::test]
async fn at_the_end_of_the_grace_time_nothing_is_sent_any_more() {
    let brokers = Brokers::new();
    let mut output = brokers.output("topic_id => logs codec => plain").await;
    let batches = [messages(&output, &["1"])];
    write(&mut output, &batches).await;
    brokers.0.mock.broker_down(-1).unwrap();
    let mut tracker = AckTracker::new(1);
    let acks = vec![tracker.issue(()).await];
    let batches = [output.batch_of(vec![event(r#"{"message":"2"}"#)], acks)];
    output.output.write(&batches, &output.context).await.unwrap();
    drop(batches);
    tokio::time::sleep(Duration::from_millis(100)).await;
    output.context.shutdown.abandon();
    let close = output.output.close(&output.context);
    tokio::time::timeout(Duration::from_secs(1), close).await.expect("it takes too long");
    assert!(tracker.settled().is_none() && tracker.is_abandoned());
    brokers.0.mock.broker_up(-1).unwrap();
    assert_eq!(brokers.values(), ["1"]);
}

#[tokio::test]
async fn after_so_many_retries_events_are_dead_letters() {
    use RDKafkaRespErr::*;
    let brokers = Brokers::new();
    let mut output = brokers.output("topic_id => logs message_key => same codec => plain retries => 2").await;
    brokers.refuse(RDKafkaApiKey::Produce, &[RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 3]);
    let batches = [messages(&output, &["1", "2"])];
    write(&mut output, &batches).await;
    assert_eq!(letters(&output).len(), 2);
    assert!(letters(&output)[0].1.contains("NotEnoughReplicas"), "{:?}", letters(&output));
    brokers.refuse(RDKafkaApiKey::Produce, &[RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED; 3]);
    let batches = [messages(&output, &["3"])];
    write(&mut output, &batches).await;
    assert_eq!((letters(&output).len(), counted(&output, &["retries"])), (3, 2));
    let batches = [messages(&output, &["4"])];
    write(&mut output, &batches).await;
    assert_eq!(brokers.values(), ["4"]);
}

#[tokio::test]
async fn a_full_buffer_is_waited_for() {
    let brokers = Brokers::new();
    let mut output = brokers.output("topic_id => logs codec => plain buffer_memory => 1024").await;
    let long = "x".repeat(300);
    let batches = [messages(&output, &[&*long; 20])];
    write(&mut output, &batches).await;
    assert_eq!(brokers.values().len(), 20);
}

#[tokio::test]
async fn without_acks_nobody_is_waited_for() {
    let brokers = Brokers::new();
    let mut output =
        brokers.output("topic_id => logs codec => plain acks => '0' compression_type => zstd").await;
    let batches = [messages(&output, &["1", "2"])];
    write(&mut output, &batches).await;
    assert_eq!(letters(&output).len(), 0);
    let arrived = async {
        while brokers.values() != ["1", "2"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived).await.unwrap();
}

#[tokio::test]
async fn what_is_written_first_is_there_first() {
    let brokers = Brokers::new();
    let mut output = brokers.output("topic_id => logs message_key => same codec => plain acks => all").await;
    let numbers: Vec<String> = (0..20 * 700).map(|number| number.to_string()).collect();
    for some in numbers.chunks(700) {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        let batches = [messages(&output, &some)];
        output.output.write(&batches, &output.context).await.unwrap();
    }
    output.output.close(&output.context).await;
    let read: Vec<String> = brokers.read("logs", 6).into_iter().map(|read| read.value).collect();
    assert!(read == numbers, "{} of {}", read.len(), numbers.len());
}

#[test]
fn what_cannot_be_is_refused_at_the_option() {
    let refused = |options: &str| {
        let built = Harness::new(PLUGINS).build(PluginKind::Output, &format!("kafka {{ {options} }}"));
        built.err().unwrap_or_else(|| panic!("{options} is not refused"))
    };
    for (options, reason) in [
        ("topic_id => logs retries => -1", "A negative retry count (-1) is not valid. Must be a value >= 0"),
        ("topic_id => logs partitioner => murmur2", "unsupported partitioner: \"murmur2\""),
        ("topic_id => logs partitioner => 'com.example.Mine'", "com.example.Mine is a Java class"),
        ("topic_id => logs value_serializer => xml", "'value_serializer' only supports org.apache.kafka"),
        ("topic_id => logs key_serializer => xml", "'key_serializer' only supports org.apache.kafka"),
        ("topic_id => logs max_request_size => 999", "must be from 1000 to 1000000000"),
        ("topic_id => logs reconnect_backoff_ms => 1001", "`reconnect_backoff_ms` is larger than"),
        ("topic_id => 'a b'", "`topic_id`: \"a b\" can't be the name of a topic"),
        (
            "topic_id => logs transactional_id => mine retries => 3",
            "`transactional_id` must not be empty, and `retries` has no meaning beside it",
        ),
        ("topic_id => logs transactional_id => mine linger_ms => 60000", "`linger_ms` must be below 60000"),
        ("codec => plain", "topic_id"),
    ] {
        let message = refused(options);
        assert!(message.contains(reason), "{options}: {message}");
    }
}

#[test]
fn a_transaction_needs_the_queue_in_memory() {
    let harness = Harness::new(PLUGINS).pipeline(|pipeline| pipeline.has_persisted_queue = true);
    let built = harness.build(PluginKind::Output, "kafka { topic_id => logs transactional_id => mine }");
    assert!(built.err().unwrap_or_default().contains("needs `queue.type: memory`"));
}

#[test]
fn all_options_reach_librdkafka() {
    let text = r#"kafka { topic_id => logs acks => all batch_size => 0 buffer_memory => 1000000
        compression_type => lz4 linger_ms => 100 max_request_size => 2000000 metadata_fetch_timeout_ms => 1000
        partitioner => "org.apache.kafka.clients.producer.UniformStickyPartitioner" retries => 0
        client_dns_lookup => default retry_backoff_ms => 5000 reconnect_backoff_ms => 10
        key_serializer => "org.apache.kafka.common.serialization.ByteArraySerializer"
        value_serializer => "org.apache.kafka.common.serialization.ByteArraySerializer" }"#;
    if let Err(problem) = Harness::new(PLUGINS).build(PluginKind::Output, text) {
        panic!("{problem}");
    }
}

#[test]
fn both_ends_of_every_range_are_taken() {
    crate::testing::try_ranges::<KafkaOutputOptions>(PluginKind::Output, "topic_id => logs");
}
