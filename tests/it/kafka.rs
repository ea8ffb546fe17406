//! The executable as a member of a consumer group, against librdkafka's own mock cluster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ferrostash_doubles::elasticsearch::Reply;
use ferrostash_doubles::{Elasticsearch, Kafka};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ferrostash, PATIENCE, Start, is_balanced};

/// Waits of the output that tests can afford.
const QUICK: &str = "retry_initial_interval => 0.05 retry_max_interval => 0.5 resurrect_delay => 0.1 manage_template => false";

/// A topic `t`, Elasticsearch, and the folder of the processes between them.
struct Tier {
    folder: TempDir,
    kafka: Kafka,
    elasticsearch: Elasticsearch,
    partitions: i32,
}

impl Tier {
    fn new(partitions: i32) -> Tier {
        let (kafka, elasticsearch) = (Kafka::start("t", partitions), Elasticsearch::start());
        Tier { folder: tempfile::tempdir().unwrap(), kafka, elasticsearch, partitions }
    }

    /// Puts JSON into the topic: messages `n` of all partitions by turns.
    fn send(&self, numbers: std::ops::Range<usize>) {
        for partition in 0..self.partitions {
            let own = numbers.clone().filter(|n| n % self.partitions as usize == partition as usize);
            self.kafka.send("t", partition, own.map(|n| format!(r#"{{"message":"event {n:06}"}}"#)));
        }
    }

    fn input(&self, options: &str) -> String {
        format!(
            "input {{ kafka {{ bootstrap_servers => '{}' topics => ['t'] group_id => 'g' auto_offset_reset => earliest codec => json
               enable_auto_commit => false session_timeout_ms => 6000 {options} }} }}",
            self.kafka.servers()
        )
    }

    fn to_elasticsearch(&self, options: &str) -> String {
        format!("output {{ elasticsearch {{ hosts => '{}' {QUICK} {options} }} }}", self.elasticsearch.url())
    }

    fn start(&self, name: &str, config: &str) -> Ferrostash {
        Start::pipeline(&["--path.data"]).arg(self.folder.path().join(name)).arg("-e").arg(config).start()
    }

    fn committed(&self) -> Vec<i64> {
        (0..self.partitions).map(|p| self.kafka.committed("g", "t", p).unwrap_or(0)).collect()
    }

    fn lost(&self, count: usize) -> Vec<String> {
        let expected: Vec<_> = (0..count).map(|n| format!("event {n:06}")).collect();
        self.elasticsearch.state().documents.clone().lost(expected.iter().map(String::as_str))
    }

    fn duplicates(&self) -> usize {
        self.elasticsearch.state().documents.clone().duplicates()
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn pipeline(process: &mut Ferrostash) -> Value {
    process.json("/_node/stats/pipelines/main")["pipelines"]["main"].clone()
}

#[test]
fn offsets_do_not_pass_what_a_forbidden_output_has_not_accepted() {
    let tier = Tier::new(2);
    tier.send(0..100);
    let config = tier.input("") + &tier.to_elasticsearch("");
    let mut process = tier.start("one", &config);
    process.wait(|_| tier.elasticsearch.at_least(100));
    until("all is committed", || tier.committed() == [50, 50]);

    tier.elasticsearch.state().always = Some(Reply::Status(401));
    tier.send(100..300);
    let refusals = tier.elasticsearch.bulks().len();
    until("the cluster refuses", || tier.elasticsearch.bulks().len() > refusals + 3);
    assert_eq!(tier.committed(), [50, 50]);

    tier.elasticsearch.state().always = None;
    process.wait(|_| tier.elasticsearch.at_least(300));
    until("all is committed", || tier.committed() == [150, 150]);
    assert_eq!((tier.lost(300), tier.duplicates()), (Vec::new(), 0));
    assert!(is_balanced(&pipeline(&mut process)["ledger"]));
    process.stop();
}

#[test]
fn a_member_that_is_killed_loses_nothing_and_leaves_no_document_twice() {
    const EACH: usize = 2_000;
    let tier = Tier::new(2);
    let config = tier.input("max_poll_records => 50")
        + &tier.to_elasticsearch("document_id => auto data_stream => false");
    for kill in 0..3 {
        let before = kill * EACH;
        tier.send(before..before + EACH);
        let mut process = tier.start("one", &config);
        process.wait(|_| tier.elasticsearch.at_least(before + EACH / 2));
        process.kill();
    }
    let mut process = tier.start("one", &config);
    process.wait(|_| tier.elasticsearch.at_least(3 * EACH));
    until("all is committed", || tier.committed() == [3 * EACH as i64 / 2; 2]);
    assert_eq!((tier.lost(3 * EACH), tier.duplicates()), (Vec::new(), 0));
    process.stop();
}

#[test]
fn poison_goes_to_the_dead_letters_and_the_partition_goes_on() {
    let tier = Tier::new(1);
    let large = format!(r#"{{"message":"large","text":"{}"}}"#, "x".repeat(700_000));
    let values: [&[u8]; 6] = [
        br#"{"message":"event 000000"}"#,
        b"{ no json",
        b"\xff\xfe",
        b"",
        large.as_bytes(),
        br#"{"message":"event 000001"}"#,
    ];
    tier.kafka.send("t", 0, values);
    let config = tier.input("") + &tier.to_elasticsearch("");
    let start = Start::pipeline(&["--path.data"]).arg(tier.folder.path());
    let settings = ["dead_letter_queue.enable=true", "dead_letter_queue.failures=true"];
    let start = settings.iter().fold(start, |start, setting| start.arg("-S").arg(setting));
    let mut process = start.arg("-e").arg(config).start();
    process.wait(|_| tier.elasticsearch.at_least(3));
    until("all is committed", || tier.committed() == [6]);
    let stats = pipeline(&mut process);
    assert_eq!(stats["dead_letter_queue"]["written_events"], 2, "{stats}");
    assert_eq!(tier.lost(2), Vec::<String>::new());
    process.stop();
}

#[test]
fn an_event_of_several_lines_is_committed_when_the_next_one_begins_or_at_the_stop() {
    let tier = Tier::new(1);
    let lines = r#"codec => multiline { pattern => "^\s" what => previous }"#;
    let input = tier.input("max_poll_records => 1 decorate_events => basic").replace("codec => json", lines);
    let offset = r#"filter { mutate { add_field => { "offset" => "%{[@metadata][kafka][offset]}" } } }"#;
    let mut process = tier.start("one", &(input + offset + &tier.to_elasticsearch("")));
    tier.kafka.send("t", 0, ["one"]);
    process.wait_for("Pipeline started");
    until("the first line is read", || {
        pipeline(&mut process)["plugins"]["inputs"][0]["partitions"][0]["position"] == 1
    });
    // Longer than other codecs wait for the end of a line.
    std::thread::sleep(Duration::from_millis(1500));
    tier.kafka.send("t", 0, [" more", "two", " rest"]);
    until("what is complete is committed", || tier.committed() == [2]);
    until("all is read", || pipeline(&mut process)["plugins"]["inputs"][0]["partitions"][0]["position"] == 4);
    // Reading would begin within an event.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(tier.committed(), [2]);
    process.stop();
    assert_eq!(tier.committed(), [4]);
    let documents = tier.elasticsearch.documents();
    let shown: Vec<_> =
        documents.iter().map(|stored| (&stored.source["message"], &stored.source["offset"])).collect();
    assert_eq!(shown, [(&"one\n more".into(), &"2".into()), (&"two\n rest".into(), &"4".into())]);
}

#[test]
fn partitions_can_be_seen() {
    let tier = Tier::new(2);
    tier.send(0..40);
    let mut process = tier.start("one", &(tier.input("group_instance_id => 'a'") + "output { sink {} }"));
    until("all is committed", || tier.committed() == [20, 20]);
    let mut rows = Value::Null;
    until("the lag is known", || {
        rows = pipeline(&mut process)["plugins"]["inputs"][0]["partitions"].clone();
        rows.as_array().is_some_and(|rows| rows.len() == 2 && rows.iter().all(|row| row["lag"] == 0))
    });
    let names: BTreeSet<_> = rows[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "chunks_in_flight",
        "committed",
        "end",
        "lag",
        "partition",
        "paused",
        "position",
        "settled",
        "topic",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(
        (&rows[1]["position"], &rows[1]["committed"], &rows[1]["end"]),
        (&20.into(), &20.into(), &20.into())
    );
    let (_, metrics) = process.get("/metrics");
    let line =
        metrics.lines().find(|line| line.starts_with("ferrostash_kafka_input_partitions_lag{")).unwrap();
    assert!(line.contains(r#"topic="t""#) && line.ends_with(" 0"), "{line}");
    process.stop();
}
