//! What the output makes in the cluster before the first event: templates, data streams, life cycles.

use serde_json::json;

use crate::pipeline::Pipeline;
use crate::service::{Kind, Service};

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn the_default_template_is_in_elasticsearch() {
    let service = Kind::Elasticsearch.shared();
    let output =
        service.output("ecs_compatibility => disabled ilm_enabled => false template_overwrite => true");
    Pipeline::start(&output, [json!({"message": "a", "other": "b"})]).finish(1);
    let installed = service.call("GET", "/_index_template/logstash", None);
    let template = &installed["index_templates"][0]["index_template"];
    assert_eq!((&template["index_patterns"], &template["priority"]), (&json!(["logstash-*"]), &json!(200)));
    fields_are_as_in_the_template(&service);
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn both_kinds_of_templates_are_in_opensearch() {
    let service = Kind::OpenSearch.shared();
    let output = service.output("ecs_compatibility => disabled");
    Pipeline::start(&output, [json!({"message": "a", "other": "b"})]).finish(1);
    let installed = service.call("GET", "/_template/logstash", None);
    assert_eq!(installed["logstash"]["index_patterns"], json!(["logstash-*"]));
    fields_are_as_in_the_template(&service);

    let output = service.output("ecs_compatibility => v8 legacy_template => false");
    Pipeline::start(&output, [json!({"source": {"ip": "192.0.2.1"}})]).finish(1);
    let installed = service.call("GET", "/_index_template/ecs-logstash", None);
    assert_eq!(installed["index_templates"][0]["index_template"]["priority"], 10);
    let answer = service.call("GET", "/ecs-logstash-*/_mapping", None);
    let mapping = answer.as_object().unwrap().values().next().unwrap();
    assert_eq!(mapping["mappings"]["properties"]["source"]["properties"]["ip"], json!({"type": "ip"}));
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn an_opensearch_that_calls_itself_seven() {
    let service = Service::start(Kind::OpenSearch, &["--as-es7"]);
    assert_eq!(service.call("GET", "/", None)["version"]["number"], "7.10.2");
    // Both outputs know it, and neither sends document types.
    let own = service.output(r#"index => "own" document_id => "%{n}""#);
    let other = service.output(r#"index => "other" document_id => "%{n}""#);
    let outputs = format!("{own} {}", other.replacen("opensearch", "elasticsearch", 1));
    Pipeline::start(&outputs, (0..100).map(|n| json!({"n": n}))).finish(100);
    assert_eq!((service.count("own"), service.count("other")), (100, 100));
}

fn fields_are_as_in_the_template(service: &Service) {
    let answer = service.call("GET", "/logstash-*/_mapping", None);
    let (index, mapping) = answer.as_object().unwrap().iter().next().unwrap();
    let fields = &mapping["mappings"]["properties"];
    assert!(index.starts_with("logstash-2"), "{index}");
    assert_eq!(fields["message"], json!({"type": "text", "norms": false}));
    assert_eq!(fields["other"]["fields"]["keyword"], json!({"type": "keyword", "ignore_above": 256}));
    assert_eq!(fields["geoip"]["properties"]["location"], json!({"type": "geo_point"}));
    assert_eq!(service.count("logstash-*"), 1);
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_data_stream_is_made_by_its_first_event() {
    let service = Kind::Elasticsearch.shared();
    let template = json!({"index_patterns": ["logs-*-*"], "data_stream": {}, "priority": 500});
    service.call("PUT", "/_index_template/logs", template);
    let output = service.output(r#"data_stream => true data_stream_dataset => "shop""#);
    let lines = (0..500).map(|n| json!({"n": n}));
    Pipeline::start(&output, lines).finish(500);
    assert_eq!(service.count("logs-shop-default"), 500);
    let found = service.call("GET", "/logs-shop-default/_search?size=1", None);
    let hit = &found["hits"]["hits"][0];
    assert!(hit["_index"].as_str().unwrap().starts_with(".ds-logs-shop-default-"), "{hit}");
    assert_eq!(
        hit["_source"]["data_stream"],
        json!({"type": "logs", "dataset": "shop", "namespace": "default"})
    );
}

/// The distribution for tests has no life cycle management: that is said, and nothing is written past it.
#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn a_life_cycle_where_there_is_none() {
    let service = Kind::Elasticsearch.shared();
    assert_ne!(service.status("/_ilm/policy"), 200);
    let output = service.output(r#"ilm_enabled => true ilm_rollover_alias => "cycle""#);
    let mut pipeline = Pipeline::start(&output, [json!({"n": 1})]);
    pipeline.wait_for("index.lifecycle");
    assert_eq!(service.count("cycle*"), 0);
}
