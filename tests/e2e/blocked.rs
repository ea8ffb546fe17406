//! Indices that take nothing for a while.

use serde_json::{Value, json};

use crate::pipeline::Pipeline;
use crate::service::{Kind, Service};

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_closed_index_of_elasticsearch_holds_up_no_other() {
    a_closed_index_holds_up_no_other(Kind::Elasticsearch);
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_closed_index_of_opensearch_holds_up_no_other() {
    a_closed_index_holds_up_no_other(Kind::OpenSearch);
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_read_only_index_of_elasticsearch_holds_up_no_other() {
    a_read_only_index_holds_up_no_other(Kind::Elasticsearch);
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_read_only_index_of_opensearch_holds_up_no_other() {
    a_read_only_index_holds_up_no_other(Kind::OpenSearch);
}

fn a_closed_index_holds_up_no_other(kind: Kind) {
    let service = kind.shared();
    service.call("PUT", "/target-closed", None);
    service.call("POST", "/target-closed/_close", None);
    others_need_not_wait(&service, "target-closed", || {
        service.call("POST", "/target-closed/_open?wait_for_active_shards=1", None);
    });
}

fn a_read_only_index_holds_up_no_other(kind: Kind) {
    let service = kind.shared();
    let set = |is_blocked: bool| {
        let settings = json!({"index.blocks.write": is_blocked});
        service.call("PUT", "/target-read-only/_settings", settings);
    };
    service.call("PUT", "/target-read-only", None);
    set(true);
    others_need_not_wait(&service, "target-read-only", || set(false));
}

/// Events for `blocked` and for others, by turns: the others arrive while `blocked` takes nothing, and once it is opened,
/// so do its own.
fn others_need_not_wait(service: &Service, blocked: &str, open: impl FnOnce()) {
    const EACH: u64 = 1_000;
    let others = [format!("{blocked}-not-1"), format!("{blocked}-not-2")];
    let indices = [others[0].as_str(), blocked, others[1].as_str()];
    let lines = |numbers: std::ops::Range<u64>| -> Vec<Value> {
        let line = |n| indices.iter().map(move |index| json!({"index": index, "n": n}));
        numbers.flat_map(line).collect()
    };
    // Where no dead letters are kept, an index that is closed is waited for as long as `retry_max_interval`.
    let options =
        r#"index => "%{index}" document_id => "%{n}" manage_template => false retry_max_interval => 60"#;
    let output = service.output(options);
    let mut pipeline = Pipeline::start(&output, lines(0..EACH));
    // All of those that came before, and more that come after the output knows.
    for end in [EACH, 2 * EACH] {
        pipeline.append(lines(EACH..end));
        for other in &others {
            pipeline.wait(|_| (service.count(other) >= end).then_some(()));
        }
    }
    open();
    pipeline.wait(|_| (service.count(blocked) >= 2 * EACH).then_some(()));
    pipeline.finish(6 * EACH);
    for index in indices {
        assert_eq!(service.count(index), 2 * EACH, "{index}");
    }
}
