//! The input against librdkafka's own mock cluster, on real sockets.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ferrostash_conf::PluginKind;
use ferrostash_doubles::Kafka;
use ferrostash_event::{Event, FieldRef};
use ferrostash_plugin::testing::{Harness, RunningInput, json};
use ferrostash_plugin::{Chunk, Ecs, MetricTable};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::KafkaInputOptions;
use crate::PLUGINS;

const PATIENCE: Duration = Duration::from_secs(20);

struct Cluster(Kafka);

impl Cluster {
    fn new(topic: &str, partitions: i32) -> Cluster {
        Cluster(Kafka::start(topic, partitions))
    }

    fn send(&self, topic: &str, partition: i32, values: &[&str]) {
        self.0.send(topic, partition, values);
    }

    fn numbers(&self, topic: &str, partition: i32, from: usize, to: usize) {
        self.0.send(topic, partition, (from..to).map(|n| format!("{partition}:{n}")));
    }

    fn input(&self, options: &str) -> String {
        format!(
            r#"kafka {{ bootstrap_servers => "{}" auto_offset_reset => "earliest" topics => ["t"] enable_auto_commit => false
            {options} }}"#,
            self.0.servers()
        )
    }

    fn committed(&self) -> Option<i64> {
        self.0.committed("logstash", "t", 0)
    }

    async fn wait_for_commit(&self, offset: i64) {
        let start = Instant::now();
        while self.committed() != Some(offset) {
            assert!(start.elapsed() < PATIENCE, "{:?}", self.committed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn start(text: &str) -> RunningInput {
    Harness::new(PLUGINS).ecs(Ecs::Disabled).input(text).unwrap().spawn().await.unwrap()
}

fn message(event: &Event) -> String {
    event.get_str(&FieldRef::literal("message")).unwrap().to_owned()
}

async fn next(input: &mut RunningInput) -> Chunk {
    tokio::time::timeout(PATIENCE, input.chunks.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn messages_become_events_and_their_offsets_are_committed() {
    let cluster = Cluster::new("t", 1);
    cluster.send("t", 0, &["one", "two\nlines", ""]);
    let mut input = start(&cluster.input("decorate_events => basic")).await;
    let events = input.events(3).await;
    let partition = FieldRef::parse("[@metadata][kafka][offset]").unwrap();
    let texts: Vec<_> =
        events.iter().map(|event| event.get_str(&FieldRef::literal("message")).unwrap()).collect();
    assert_eq!(texts, ["one", "two\nlines", ""]);
    assert_eq!(format!("{:?}", events[2].get(&partition).unwrap()), "Int(2)");
    assert_ne!(events[0].origin(), events[1].origin());
    cluster.wait_for_commit(3).await;
    input.stop().await.unwrap();
}

#[tokio::test]
async fn everything_of_a_message_is_in_the_metadata() {
    let cluster = Cluster::new("t", 2);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "trace", value: Some("abc") })
        .insert(Header { key: "raw", value: Some(&[0xff_u8][..]) })
        .insert(Header { key: "none", value: None::<&str> });
    let record = BaseRecord::to("t").partition(1).key("k").payload("x").timestamp(77).headers(headers);
    cluster.0.producer.send(record).map_err(|(error, _)| error).unwrap();
    cluster.0.producer.flush(PATIENCE).unwrap();
    let mut input = start(&cluster.input("decorate_events => extended group_id => 'g'")).await;
    let event = input.events(1).await.remove(0);
    let metadata = FieldRef::parse("[@metadata][kafka]").unwrap();
    let mut shown = ferrostash_event::Event::new();
    shown.set(&FieldRef::literal("kafka"), event.get(&metadata).unwrap().to_value()).unwrap();
    let text = json(&shown);
    assert!(
        text.contains(
            r#""kafka":{"topic":"t","consumer_group":"g","partition":1,"offset":0,"key":"k","timestamp":77,"headers":{"trace":"abc"}}"#
        ),
        "{text}"
    );
    input.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_committed_before_it_is_settled() {
    let cluster = Cluster::new("t", 1);
    cluster.numbers("t", 0, 0, 4);
    let mut input = start(&cluster.input("max_poll_records => 2")).await;
    let first = next(&mut input).await;
    let second = next(&mut input).await;
    assert_eq!((first.len(), second.len()), (2, 2));
    drop(second);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(cluster.committed().is_none_or(|offset| offset == 0));
    drop(first);
    cluster.wait_for_commit(4).await;
    input.stop().await.unwrap();
}

/// The member rejoins while it still drains: the mock, as brokers, sees that one of the topics has appeared.
#[tokio::test]
async fn partitions_that_come_back_while_they_are_drained_are_read() {
    let cluster = Cluster::new("t", 2);
    cluster.numbers("t", 0, 0, 2);
    let options = "topics => ['t', 'u'] auto_create_topics => false metadata_max_age_ms => 100 session_timeout_ms => 10000 heartbeat_interval_ms => 200";
    let text = cluster.input(options).replace(r#"topics => ["t"]"#, "");
    let mut one = start(&text).await;
    let held = next(&mut one).await;
    let mut two = start(&text).await;
    let rebalances = one.context.metrics.counter(&["rebalances"]);
    let pauses = |input: &RunningInput| {
        let rows = input.context.metrics.own_table().map(MetricTable::rows).unwrap_or_default();
        rows.iter().any(|row| row.values.contains(&("paused", Some(1))))
    };
    let begin = Instant::now();
    while !pauses(&one) {
        assert!(begin.elapsed() < PATIENCE, "nothing is wanted back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.0.create_topic("u", 2);
    while rebalances.get() < 2 {
        assert!(begin.elapsed() < 2 * PATIENCE, "nothing is given");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(held);
    let mut expected = BTreeSet::new();
    for topic in ["t", "u"] {
        for partition in 0..2 {
            cluster.send(topic, partition, &[&format!("{topic}{partition}")]);
            expected.insert(format!("{topic}{partition}"));
        }
    }
    while !expected.is_empty() {
        let chunk = tokio::select! {
            Some(chunk) = one.chunks.recv() => chunk,
            Some(chunk) = two.chunks.recv() => chunk,
            () = tokio::time::sleep(PATIENCE) => panic!("nobody reads {expected:?}"),
        };
        for event in chunk.into_events() {
            expected.remove(event.get_str(&FieldRef::literal("message")).unwrap());
        }
    }
    two.stop().await.unwrap();
    one.stop().await.unwrap();
}

#[tokio::test]
async fn what_ends_a_member_for_good_ends_the_input_also_when_nothing_is_taken() {
    let cluster = Cluster::new("t", 1);
    cluster.numbers("t", 0, 0, 2000);
    let mut input = start(&cluster.input(
        "max_poll_records => 1 group_instance_id => 'a' session_timeout_ms => 6000 heartbeat_interval_ms => 200",
    ))
    .await;
    let held = next(&mut input).await;
    // Longer than it takes to see that the pipeline has no room.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let fenced = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID; 1000];
    cluster.0.mock.request_errors(RDKafkaApiKey::Heartbeat, &fenced);
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(held);
    let error = input.stop().await.unwrap_err();
    assert!(error.contains("fenced") || error.contains("Fenced"), "{error}");
}

#[tokio::test]
async fn what_was_given_up_is_read_again() {
    let cluster = Cluster::new("t", 1);
    cluster.numbers("t", 0, 0, 2);
    let mut input = start(&cluster.input("")).await;
    let chunk = next(&mut input).await;
    assert_eq!(chunk.len(), 2);
    chunk.abandon();
    assert_eq!(input.events(2).await.len(), 2);
    cluster.wait_for_commit(2).await;
    input.stop().await.unwrap();
}

/// What is committed while partitions move is shown by `tests/e2e/kafka.rs`: unlike brokers, the mock refuses it.
#[tokio::test]
async fn members_share_partitions_and_nothing_is_read_twice() {
    const EACH: usize = 200;
    for strategy in ["range", "cooperative_sticky"] {
        let cluster = Cluster::new("t", 4);
        let text = cluster
            .input(&format!("partition_assignment_strategy => {strategy} session_timeout_ms => 10000 heartbeat_interval_ms => 500"));
        let mut members = [start(&text).await, start(&text).await];
        let begin = Instant::now();
        while members.iter().any(|member| member.context.metrics.gauge(&["assigned_partitions"]).get() != 2) {
            assert!(begin.elapsed() < PATIENCE, "{strategy}: no share for each");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (0..4).for_each(|partition| cluster.numbers("t", partition, 0, EACH));
        let mut texts = BTreeSet::new();
        for member in &mut members {
            let events = member.events(2 * EACH).await;
            texts.extend(events.iter().map(message));
        }
        assert_eq!(texts.len(), 4 * EACH, "{strategy}");
        for member in members {
            assert!(member.stop().await.unwrap().is_empty(), "{strategy}");
        }
    }
}

#[tokio::test]
async fn a_blocked_pipeline_pauses_and_goes_on() {
    let cluster = Cluster::new("t", 1);
    cluster.numbers("t", 0, 0, 100);
    let text = cluster.input("max_poll_records => 5 max_poll_interval_ms => 6000 session_timeout_ms => 6000");
    let mut input = start(&text).await;
    // Longer than the group waits for a member that does not poll.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let events = input.events(100).await;
    assert_eq!(events.len(), 100);
    cluster.wait_for_commit(100).await;
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn no_more_chunks_are_in_flight_than_may_be_and_none_comes_twice() {
    const ALL: usize = 1100;
    let cluster = Cluster::new("t", 1);
    cluster.numbers("t", 0, 0, ALL);
    let mut input = start(&cluster.input("max_poll_records => 1")).await;
    let message = FieldRef::literal("message");
    let mut seen = Vec::new();
    let mut held = Vec::new();
    while seen.len() < ALL {
        match tokio::time::timeout(Duration::from_millis(500), input.chunks.recv()).await {
            Ok(chunk) => {
                let chunk = chunk.unwrap();
                let mut events = Vec::new();
                chunk.lines.as_ref().unwrap().make_events(&mut events);
                seen.extend(events.iter().map(|event| event.get_str(&message).unwrap().to_owned()));
                held.push(chunk);
                assert!(held.len() <= super::partition::CHUNKS_IN_FLIGHT_MAX);
            }
            // It waits until something is settled.
            Err(_) => held.clear(),
        }
    }
    assert!(seen.iter().cloned().eq((0..ALL).map(|n| format!("0:{n}"))), "in order, each once");
    held.clear();
    cluster.wait_for_commit(ALL as i64).await;
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_lag_of_a_partition_that_is_paused_grows() {
    let cluster = Cluster::new("t", 1);
    cluster.numbers("t", 0, 0, 1000);
    let mut input = start(&cluster.input("max_poll_records => 1")).await;
    let held = next(&mut input).await;
    let end = |input: &RunningInput| {
        let rows = input.context.metrics.own_table()?.rows();
        rows.first()?.values.iter().find(|(name, _)| *name == "end")?.1
    };
    for all in [1000, 1500] {
        cluster.numbers("t", 0, all, all + 500);
        let start = Instant::now();
        while end(&input) < Some(all as i64 + 500) {
            assert!(start.elapsed() < PATIENCE, "{:?}", end(&input));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    drop(held);
    input.stop().await.unwrap();
}

#[tokio::test]
async fn a_group_that_begins_at_the_end_misses_nothing_afterwards() {
    let cluster = Cluster::new("t", 1);
    cluster.numbers("t", 0, 0, 10);
    let text = cluster.input("").replace("earliest", "latest");
    let input = start(&text).await;
    cluster.wait_for_commit(10).await;
    input.stop().await.unwrap();
    cluster.numbers("t", 0, 10, 12);
    let mut input = start(&text).await;
    let message = FieldRef::literal("message");
    let events = input.events(2).await;
    assert_eq!(events[0].get_str(&message), Some("0:10"));
    input.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_appears_later_is_read_from_its_first_message() {
    for topics in ["topics => ['t', 'later']", "topics_pattern => 't|later' metadata_max_age_ms => 500"] {
        let cluster = Cluster::new("t", 1);
        cluster.numbers("t", 0, 0, 5);
        let options = format!(
            "{topics} auto_create_topics => false session_timeout_ms => 6000 heartbeat_interval_ms => 200"
        );
        let text = cluster.input(&options).replace(r#"topics => ["t"]"#, "").replace("earliest", "latest");
        let mut input = start(&text).await;
        let gauge = input.context.metrics.gauge(&["assigned_partitions"]);
        let begin = Instant::now();
        while gauge.get() != 1 {
            assert!(begin.elapsed() < PATIENCE, "{topics}: nothing is given");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.0.create_topic("later", 1);
        cluster.send("later", 0, &["first", "second"]);
        let mut texts = Vec::new();
        while texts.len() < 2 {
            texts.extend(next(&mut input).await.into_events().iter().map(message));
        }
        assert_eq!(texts, ["first", "second"], "{topics}");
        input.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_topic_that_is_missing_is_created() {
    let cluster = Cluster::new("t", 1);
    let text = cluster.input("topics => ['t', 'made']").replace(r#"topics => ["t"]"#, "");
    let input = start(&text).await;
    let gauge = input.context.metrics.gauge(&["assigned_partitions"]);
    let begin = Instant::now();
    while gauge.get() < 2 {
        assert!(begin.elapsed() < PATIENCE, "nothing was created");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    input.stop().await.unwrap();
}

#[tokio::test]
async fn the_lag_of_what_was_not_read_yet_is_known() {
    let cluster = Cluster::new("t", 1);
    cluster.numbers("t", 0, 0, 10);
    let mut input = start(&cluster.input("")).await;
    drop(next(&mut input).await);
    cluster.wait_for_commit(10).await;
    input.stop().await.unwrap();
    cluster.numbers("t", 0, 10, 11);
    let lag = async |text: String| {
        let input = start(&text).await;
        let begin = Instant::now();
        loop {
            let rows = input.context.metrics.own_table().map(MetricTable::rows).unwrap_or_default();
            let values = rows.into_iter().flat_map(|row| row.values);
            let lag = values.filter(|(name, _)| *name == "lag").find_map(|(_, lag)| lag);
            if let Some(lag) = lag {
                return lag;
            }
            assert!(begin.elapsed() < PATIENCE, "there is no lag");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Nothing of it is handed over in these moments.
    assert_eq!(lag(cluster.input("group_id => other")).await, 11);
    assert_eq!(lag(cluster.input("fetch_min_bytes => 1000000 fetch_max_wait_ms => 30000")).await, 1);
}

#[tokio::test]
async fn topics_by_pattern() {
    let cluster = Cluster::new("logs-a", 1);
    cluster.0.create_topic("logs-b", 1);
    cluster.0.create_topic("xlogs-c", 1);
    for topic in ["logs-a", "logs-b", "xlogs-c"] {
        cluster.send(topic, 0, &[topic]);
    }
    let mut input = start(&cluster.input(r#"topics_pattern => "logs-\w+""#)).await;
    let mut texts = input.json(2).await;
    texts.sort();
    assert!(
        texts.iter().any(|text| text.contains("logs-a")) && texts.iter().any(|text| text.contains("logs-b")),
        "{texts:?}"
    );
    assert!(input.stop().await.unwrap().is_empty());
}

/// A registry with a schema of the number 7 for the topic `t`.
fn registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let (status, body) = if request.starts_with("GET /subjects ") {
                ("200 OK", r#"["t-value"]"#.to_owned())
            } else if request.starts_with("GET /schemas/ids/7 ") {
                let schema = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}"#;
                ("200 OK", serde_json::json!({ "schema": schema }).to_string())
            } else {
                ("404 Not Found", r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned())
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close"
            );
            let _ = write!(stream, "{head}\r\n\r\n{body}");
        }
    });
    address
}

#[tokio::test]
async fn avro_is_read_by_its_schema_and_what_is_none_is_kept() {
    let cluster = Cluster::new("t", 1);
    let good: &[u8] = &[0, 0, 0, 0, 7, 0xd8, 4, 4, b'h', b'i'];
    let unknown: &[u8] = &[0, 0, 0, 0, 8, 42];
    let short: &[u8] = &[0, 0, 0, 0, 7, 42, 200];
    cluster.0.send("t", 0, [good, b"no avro", unknown, short, good]);
    // Not a frame, though it looks like one.
    let headers = OwnedHeaders::new().insert(Header { key: "__value_schema_id", value: Some(&[1_u8; 17]) });
    let record = BaseRecord::<(), _>::to("t").partition(0).payload(good).headers(headers);
    cluster.0.producer.send(record).map_err(|(error, _)| error).unwrap();
    cluster.0.producer.flush(PATIENCE).unwrap();
    let text = cluster.input(&format!("schema_registry_url => '{}'", registry()));
    let mut input = start(&text).await;
    let events = input.events(6).await;
    let shown: Vec<_> = events.iter().map(json).collect();
    for number in [0, 4] {
        assert!(shown[number].contains(r#""a":300,"b":"hi""#), "{shown:?}");
    }
    let kept = [(1, "no avro"), (2, "\0\0\0\0\u{8}*"), (3, "AAAAAAcqyA=="), (5, "AAAAAAfYBARoaQ==")];
    for (number, message) in kept {
        let event = &events[number];
        assert_eq!(event.get_str(&FieldRef::literal("message")), Some(message), "{shown:?}");
        assert!(shown[number].contains("_kafkadeserializationfailure"), "{shown:?}");
    }
    cluster.wait_for_commit(6).await;
    input.stop().await.unwrap();
}

#[test]
fn both_ends_of_every_range_are_taken() {
    crate::testing::try_ranges::<KafkaInputOptions>(PluginKind::Input, "");
}

#[test]
fn options_that_cannot_be() {
    let refusal =
        |text: &str| Harness::new(PLUGINS).input(&format!("kafka {{ {text} }}")).err().unwrap_or_default();
    for (text, reason) in [
        ("auto_offset_reset => smallest", "`auto_offset_reset` is `earliest`, `latest` or `none`"),
        ("partition_assignment_strategy => fair", "unsupported partition_assignment_strategy: \"fair\""),
        ("partition_assignment_strategy => 'com.example.Mine'", "Java classes can't be loaded here"),
        (
            "value_deserializer_class => 'com.example.Mine'",
            "`value_deserializer_class` can't be `com.example.Mine`",
        ),
        (
            "group_protocol => consumer session_timeout_ms => 6000",
            "group_protocol cannot be set to 'consumer' when any",
        ),
        ("topics_pattern => '('", "`topics_pattern` is no regular expression"),
        ("consumer_threads => 0", "`consumer_threads` of input `kafka` is out of range"),
        ("metadata_max_age_ms => 86400001", "must be from 1 to 86400000"),
        (
            "heartbeat_interval_ms => 6000 session_timeout_ms => 6000",
            "`heartbeat_interval_ms` must be less than",
        ),
        ("group_id => ''", "`group_id` must not be empty"),
        ("topics => 'a,b'", "\"a,b\" is no name of a topic"),
        ("bootstrap_servers => 'kafka:99999'", "Invalid url in `bootstrap_servers`: kafka:99999"),
        ("max_poll_interval_ms => 5000", "`max_poll_interval_ms` is less than `session_timeout_ms`"),
    ] {
        let refused = refusal(text);
        assert!(refused.contains(reason), "{text}: {refused}");
    }
}
