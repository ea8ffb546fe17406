//! Everything arrives, also when the service dies in between.

use serde_json::{Value, json};

use crate::pipeline::Pipeline;
use crate::service::Kind;

fn numbered(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Value> {
    numbers.map(|n| json!({"n": n, "message": format!("event {n}: Größe unbekannt, 灯 {n}")}))
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn ten_thousand_events_arrive_in_elasticsearch() {
    ten_thousand_events_arrive(Kind::Elasticsearch);
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn ten_thousand_events_arrive_in_opensearch() {
    ten_thousand_events_arrive(Kind::OpenSearch);
}

fn ten_thousand_events_arrive(kind: Kind) {
    const EVENTS: u64 = 10_000;
    let service = kind.shared();
    let output = service.output(r#"index => "plain-%{+yyyy.MM}" manage_template => false"#);
    let mut pipeline = Pipeline::start(&output, numbered(0..EVENTS));
    pipeline.wait(|_| (service.count("plain-*") >= EVENTS).then_some(()));
    pipeline.finish(EVENTS);
    assert_eq!(service.count("plain-*"), EVENTS);
    let query =
        json!({"size": 0, "aggs": {"n": {"cardinality": {"field": "n", "precision_threshold": 40_000}}}});
    let found = service.call("POST", "/plain-*/_search", query);
    // The count of different values is an estimate.
    let different = found["aggregations"]["n"]["value"].as_u64().unwrap();
    assert!(different.abs_diff(EVENTS) < EVENTS / 50, "{different}");
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn elasticsearch_dies_and_comes_back() {
    it_dies_and_comes_back(Kind::Elasticsearch);
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn opensearch_dies_and_comes_back() {
    it_dies_and_comes_back(Kind::OpenSearch);
}

fn it_dies_and_comes_back(kind: Kind) {
    const BEFORE: u64 = 40_000;
    const EVENTS: u64 = 42_000;
    let service = kind.shared();
    let output = service.output(r#"index => "mortal" document_id => "%{n}" manage_template => false"#);
    let mut pipeline = Pipeline::start(&output, numbered(0..BEFORE));
    pipeline.wait(|_| (service.count("mortal") > 0).then_some(()));
    service.crash();
    let accepted = pipeline.accepted();
    assert!(0 < accepted && accepted < BEFORE, "it died in the middle: {accepted}");
    pipeline.append(numbered(BEFORE..EVENTS));
    pipeline.wait_for("Marking url as dead");
    service.start_again();
    pipeline.finish(EVENTS);
    assert_eq!(service.count("mortal"), EVENTS, "all are there, and none is there twice");
}
