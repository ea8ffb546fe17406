//! The API: Logstash's answers, and Prometheus's text with the same numbers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Ferrostash, Start, free_port, is_balanced};

const EVENTS: u64 = 1_000;

/// Three numbers in four pass; the pipeline goes on, waiting for more.
fn busy() -> Ferrostash {
    let text = format!(
        "input {{ generator {{ id => gen count => {EVENTS} lines => [\"a\", \"b\", \"c\", \"drop me\"] }} \
                  heartbeat {{ id => beat interval => 3600 add_field => {{ \"beat\" => \"yes\" }} }} }} \
         filter {{ if [message] == \"drop me\" {{ drop {{ id => gone }} }} \
                   if [beat] {{ drop {{ id => nobeat }} }} \
                   mutate {{ id => mark add_tag => [\"seen\"] }} \
                   clone {{ id => twins clones => [\"twin\"] }} }} \
         output {{ null {{ id => away }} }}"
    );
    let mut process = Start::pipeline(&["-e", &text, "-w", "2", "--node.name", "tester"]).start();
    at_rest(&mut process);
    process
}

fn pipeline(process: &mut Ferrostash) -> Value {
    process.json("/_node/stats/pipelines/main")["pipelines"]["main"].take()
}

/// Waits until all events have passed.
fn at_rest(process: &mut Ferrostash) {
    let start = std::time::Instant::now();
    loop {
        process.wait_for("Pipelines running");
        let ledger = &pipeline(process)["ledger"];
        if ledger["accepted"] == json!(EVENTS * 4 * 3 / 4 * 2) && ledger["in_flight"] == 0 {
            return;
        }
        assert!(start.elapsed() < crate::harness::PATIENCE, "{ledger}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_root_says_who_answers() {
    let mut process = busy();
    let root = process.json("/");
    assert_eq!(root["version"], "9.5.2");
    assert_eq!((&root["name"], &root["host"]), (&json!("tester"), &json!("tester")));
    assert_eq!((&root["status"], &root["snapshot"]), (&json!("green"), &json!(false)));
    assert_eq!(root["pipeline"]["workers"], 2);
    assert_eq!(
        (&root["pipeline"]["batch_size"], &root["pipeline"]["batch_delay"]),
        (&json!(125), &json!(50))
    );
    assert!(root["http_address"].as_str().unwrap().starts_with("127.0.0.1:"));
    for id in ["id", "ephemeral_id"] {
        assert_eq!(root[id].as_str().unwrap().len(), 36, "{root}");
    }
    process.stop();
}

#[test]
fn the_stats_count_every_event_once() {
    let mut process = busy();
    let main = pipeline(&mut process);
    let (events, ledger) = (&main["events"], &main["ledger"]);
    let read = EVENTS * 4 + 1;
    assert_eq!(number(&events["in"]), read);
    assert_eq!(number(&events["out"]), number(&ledger["accepted"]));
    assert_eq!(number(&ledger["dropped_by_rule"]), EVENTS + 1);
    assert!(is_balanced(ledger), "{ledger}");

    let plugin = |kind: &str, id: &str| {
        let all = main["plugins"][kind].as_array().unwrap();
        all.iter().find(|plugin| plugin["id"] == id).unwrap_or_else(|| panic!("{id}: {all:?}")).clone()
    };
    assert_eq!(number(&plugin("inputs", "gen")["events"]["out"]), EVENTS * 4);
    let mark = plugin("filters", "mark");
    assert_eq!((&mark["name"], number(&mark["events"]["in"])), (&json!("mutate"), EVENTS * 3));
    assert_eq!(number(&mark["events"]["out"]), EVENTS * 3);
    assert_eq!(number(&plugin("outputs", "away")["events"]["in"]), EVENTS * 6);
    assert_eq!((&main["queue"]["type"], &main["queue"]["events_count"]), (&json!("memory"), &json!(0)));

    let all = process.json("/_node/stats");
    assert_eq!(all["pipelines"]["main"]["events"]["in"], events["in"]);
    assert_eq!(all["events"]["in"], events["in"]);
    assert!(number(&all["process"]["open_file_descriptors"]) > 0);
    assert!(number(&all["jvm"]["uptime_in_millis"]) > 0);
    assert_eq!(all["reloads"], json!({"successes": 0, "failures": 0}));
    process.stop();
}

#[test]
fn a_part_of_the_stats() {
    let mut process = busy();
    let some = process.json("/_node/stats/jvm,process");
    assert!(
        some["jvm"].is_object() && some["process"].is_object() && some.get("pipelines").is_none(),
        "{some}"
    );
    process.stop();
}

#[test]
fn the_plugins_are_listed() {
    let mut process = busy();
    let answer = process.json("/_node/plugins");
    let names: Vec<_> = answer["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(number(&answer["total"]) as usize, names.len());
    for name in ["logstash-input-file", "logstash-filter-grok", "logstash-output-null", "logstash-codec-line"]
    {
        assert!(names.contains(&&json!(name)), "{name}: {names:?}");
    }
    process.stop();
}

#[test]
fn what_is_not_there() {
    let mut process = busy();
    for path in ["/nosuch", "/_node/stats/pipelines/nosuch", "/_node/stats/nosuch"] {
        let (status, body) = process.get(path);
        assert_eq!(status, 404);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, json!({"path": path, "status": 404, "error": {"message": "Not Found"}}));
    }
    process.stop();
}

#[test]
fn pretty_is_for_people() {
    let mut process = busy();
    let (_, plain) = process.get("/");
    let (_, pretty) = process.get("/?pretty");
    assert_eq!(plain.trim_end().lines().count(), 1);
    assert!(pretty.lines().count() > 10 && pretty.contains("\n  \"version\": \"9.5.2\""), "{pretty}");
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parse(&plain), parse(&pretty));
    process.stop();
}

/// A sample: name with labels, as written, and value.
type Samples = BTreeMap<String, f64>;

/// Reads Prometheus's text format strictly: every family has help and type in front of its samples.
fn parse_metrics(text: &str) -> Samples {
    let (mut samples, mut helped, mut typed) = (Samples::new(), String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split(' ').next().unwrap().to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, helped);
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            typed = name.to_owned();
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            assert_eq!(family, typed, "{line}");
            assert!(name.ends_with('}') == name.contains('{'), "{line}");
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
        }
    }
    samples
}

#[test]
fn prometheus_gets_the_same_numbers() {
    let mut process = busy();
    let (status, text) = process.get("/metrics");
    assert_eq!(status, 200);
    let samples = parse_metrics(&text);
    let main = pipeline(&mut process);
    let sample = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name} is not in:\n{text}"));
    for (metric, wanted) in [
        ("events_in_total", &main["events"]["in"]),
        ("events_filtered_total", &main["events"]["filtered"]),
        ("events_out_total", &main["events"]["out"]),
        ("events_created_total", &main["ledger"]["created"]),
        ("events_dropped_total", &main["ledger"]["dropped_by_rule"]),
        ("events_accepted_total", &main["ledger"]["accepted"]),
        ("events_abandoned_total", &main["ledger"]["abandoned"]),
        ("events_dead_lettered_total", &main["ledger"]["dead_lettered"]),
        ("events_in_flight", &main["ledger"]["in_flight"]),
        ("queue_events", &main["queue"]["events_count"]),
        ("queue_bytes", &main["queue"]["queue_size_in_bytes"]),
    ] {
        let name = format!("ferrostash_pipeline_{metric}{{pipeline=\"main\"}}");
        assert_eq!(sample(&name) as u64, number(wanted), "{name}");
    }
    assert_eq!(sample("ferrostash_pipeline_up{pipeline=\"main\"}"), 1.0);
    for (kinds, kind) in [("inputs", "input"), ("filters", "filter"), ("outputs", "output")] {
        for plugin in main["plugins"][kinds].as_array().unwrap() {
            let (id, name) = (plugin["id"].as_str().unwrap(), plugin["name"].as_str().unwrap());
            let labels = format!("{{id=\"{id}\",kind=\"{kind}\",pipeline=\"main\",plugin=\"{name}\"}}");
            let out = sample(&format!("ferrostash_plugin_events_out_total{labels}"));
            assert_eq!(out as u64, number(&plugin["events"]["out"]), "{id}");
        }
    }
    process.stop();
}

#[test]
fn the_ledger_is_balanced_at_the_end() {
    // Ends while the pipeline beside it goes on, so that it can still be asked.
    let port = free_port();
    let start = Start::pipeline::<&str>(&[]);
    let ends =
        "input { generator { count => 500 } } filter { split { field => \\\"none\\\" } } output { null { } }";
    let stays =
        format!("input {{ tcp {{ port => {port} host => \\\"127.0.0.1\\\" }} }} output {{ null {{ }} }}");
    let text = format!(
        "- pipeline.id: ends\n  config.string: \"{ends}\"\n- pipeline.id: stays\n  config.string: \"{stays}\"\n"
    );
    start.file("config/pipelines.yml", text);
    let mut process = start.start();
    process.wait_for("Pipeline terminated");
    process.wait_for("Pipelines running");
    let stats = process.json("/_node/stats");
    let ledger = &stats["pipelines"]["ends"]["ledger"];
    assert_eq!((number(&ledger["received"]), number(&ledger["accepted"])), (500, 500), "{ledger}");
    for zero in ["in_flight", "abandoned", "dead_lettered", "created", "dropped_by_rule"] {
        assert_eq!(number(&ledger[zero]), 0, "{zero}");
    }
    assert_eq!(stats["pipelines"]["stays"]["ledger"]["received"], 0);
    assert_eq!(stats["status"], "yellow");
    process.stop();
}
