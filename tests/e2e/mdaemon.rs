//! `conf/mdaemon.conf`, whose mails are read again and again.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Start, conf, sample};
use crate::pipeline::finish;
use crate::service::{Kind, Service};

/// Lines of both exports, and how many of them are mails.
const LINES: u64 = 8;
const MAILS: u64 = 7;

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn mails_that_are_read_twice_are_in_elasticsearch_once() {
    mails_that_are_read_twice_are_there_once(Kind::Elasticsearch);
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn mails_that_are_read_twice_are_in_opensearch_once() {
    mails_that_are_read_twice_are_there_once(Kind::OpenSearch);
}

fn mails_that_are_read_twice_are_there_once(kind: Kind) {
    let service = kind.shared();
    let logs = tempfile::tempdir().unwrap();
    for name in ["MDaemon-2025-06-07-Routing.log", "MDaemon-2025-06-08-Routing.log"] {
        std::fs::write(logs.path().join(name), format!("{}\n", sample(name).trim_end())).unwrap();
    }
    for _ in 0..2 {
        feed(&service, logs.path());
        assert_eq!(service.count("mail-logs-2025.*"), MAILS);
    }
    let found = service.call("GET", "/mail-logs-2025.06.06/_search?version=true", None);
    let mails = found["hits"]["hits"].as_array().unwrap();
    assert_eq!(mails.len(), 2, "morning in Shanghai is the day before in UTC");
    let is_report = |mail: &&Value| mail["_id"] == "<20250607000012.4F1A@mail.example.com>";
    let report = mails.iter().find(is_report).unwrap();
    assert_eq!((&report["_source"]["subject"], &report["_version"]), (&json!("月度报告"), &json!(2)));
    // An unreadable line is known again by its place.
    assert_eq!(service.count("mail-logs-unreadable"), 1);
}

/// Both exports, read from the beginning.
fn feed(service: &Service, logs: &Path) {
    let start = Start::pipeline(&["-f"]);
    let text = std::fs::read_to_string(conf("mdaemon.conf")).unwrap();
    let text = text.replace("elasticsearch {", &format!("{} {{", service.kind.name()));
    let conf = start.file("mdaemon.conf", text);
    let logs = logs.join("MDaemon-*-Routing.log");
    let process = start.arg(conf).env("MDAEMON_LOGS", logs).env("ES_HOSTS", service.url()).start();
    finish(process, LINES);
}
