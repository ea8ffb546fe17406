//! Actions as they are written.

use super::super::tests::options;
use super::*;
use ferrostash_plugin::testing::event;

fn map_with(text: &str, json: &str, facts: Facts) -> Result<String, Unmappable> {
    let options = options(text);
    let stream = DataStream::of(&options, Ecs::V8).unwrap();
    let mut event = event(json);
    event.remove(&FieldRef::literal("@version"));
    let mut out = Vec::new();
    Mapper::new(&options, stream, Ecs::V8).write(&event, facts, &mut Repetition::default(), &mut out)?;
    Ok(String::from_utf8(out).unwrap().replace(r#","@timestamp":"2026-01-02T03:04:05.678Z""#, ""))
}

fn map(text: &str, json: &str) -> Result<String, Unmappable> {
    map_with(text, json, Facts::default())
}

#[test]
fn lines_of_each_action() {
    let json = r#"{"a":"x"}"#;
    let lines = |action: &str| {
        map(&format!("index => 'i' document_id => '%{{a}}' action => {action}"), json).unwrap()
    };
    assert_eq!(lines("index"), "{\"index\":{\"_id\":\"x\",\"_index\":\"i\"}}\n{\"a\":\"x\"}\n");
    assert!(lines("create").starts_with(r#"{"create":{"_id":"x","_index":"i"}}"#));
    assert_eq!(lines("delete"), "{\"delete\":{\"_id\":\"x\",\"_index\":\"i\"}}\n");
    let update = lines("update");
    assert!(
        update
            .starts_with("{\"update\":{\"_id\":\"x\",\"_index\":\"i\",\"retry_on_conflict\":1}}\n{\"doc\":{"),
        "{update}"
    );
    assert!(update.ends_with("\"a\":\"x\"}}\n"), "{update}");
}

#[test]
fn actions_may_come_from_the_event() {
    let text = "index => 'i' action => '%{[@metadata][do]}'";
    assert_eq!(map(text, r#"{"@metadata":{"do":"delete"}}"#).unwrap(), "{\"delete\":{\"_index\":\"i\"}}\n");
    let error = map(text, r#"{"@metadata":{"do":"destroy"}}"#).unwrap_err();
    assert_eq!(error, "Elasticsearch doesn't support [destroy] action");
}

#[test]
fn index_names_need_their_fields() {
    let error = map("index => 'app-%{app}'", "{}").unwrap_err();
    assert_eq!(error, "Badly formatted index, after interpolation still contains placeholder: [app-%{app}]");
    let loose = map("index => 'app-%{app}' dlq_on_failed_indexname_interpolation => false", "{}").unwrap();
    assert!(loose.contains(r#""_index":"app-%{app}""#));
    assert!(map("data_stream => false", "{}").unwrap().contains(r#""_index":"ecs-logstash-2026.01.02""#));
    let ilm = Facts { ilm: true, ..Facts::default() };
    let by_alias = map_with("data_stream => false ilm_rollover_alias => web", "{}", ilm).unwrap();
    assert!(by_alias.contains(r#""_index":"web""#));
}

#[test]
fn routing_pipeline_version_type() {
    let text = "index => 'i' routing => '%{r}' pipeline => '%{[@metadata][p]}' version => '%{v}' version_type => external
                document_type => doc";
    let types = Facts { types: true, ..Facts::default() };
    let lines = map_with(text, r#"{"r":"ro","v":7,"@metadata":{"p":"geo"}}"#, types).unwrap();
    let expected = r#"{"index":{"_index":"i","routing":"ro","pipeline":"geo","_type":"doc","version":"7","version_type":"external"}}"#;
    assert_eq!(lines.lines().next().unwrap(), expected);
    let lines = map(text, r#"{"r":"ro","v":7,"@metadata":{"p":""}}"#).unwrap();
    assert!(!lines.contains("pipeline") && !lines.contains("\"_type\""), "{lines}");
}

#[test]
fn filters_may_say_what_the_document_is() {
    let json = r#"{"@metadata":{"_ingest_document":{"id":"7","index":"elsewhere","pipeline":"p","routing":"r","version":3}}}"#;
    let line = map("data_stream => false", json).unwrap();
    let expected = r#"{"index":{"_id":"7","_index":"elsewhere","routing":"r","pipeline":"p","version":3}}"#;
    assert_eq!(line.lines().next().unwrap(), expected);
    let line = map("index => 'i' document_id => own", json).unwrap();
    assert!(line.starts_with(r#"{"index":{"_id":"own","_index":"i","#), "{line}");
    let target = map("index => 'i'", r#"{"@metadata":{"target_ingest_pipeline":"t"}}"#).unwrap();
    assert!(target.contains(r#""pipeline":"t""#));
}

#[test]
fn action_lines_repeat_where_they_are_the_same() {
    let lines = |text: &str, events: [&str; 3]| {
        let options = options(text);
        let mapper = Mapper::new(&options, DataStream::of(&options, Ecs::V8).unwrap(), Ecs::V8);
        let (mut repetition, mut out) = (Repetition::default(), Vec::new());
        for json in events {
            mapper.write(&event(json), Facts::default(), &mut repetition, &mut out).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        text.lines().step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let days = ["2026-01-02T00:00:00Z", "2026-01-02T23:59:59Z", "2026-01-03T00:00:00Z"]
        .map(|time| format!(r#"{{"@timestamp":"{time}"}}"#));
    let daily = lines("index => 'i-%{+yyyy.MM.dd}'", days.each_ref().map(String::as_str));
    let names = ["2026.01.02", "2026.01.02", "2026.01.03"];
    assert_eq!(daily, names.map(|day| format!(r#"{{"index":{{"_index":"i-{day}"}}}}"#)));
    let control = r#"{"@metadata":{"_ingest_document":{"id":"7"}}}"#;
    let pipeline = r#"{"@metadata":{"target_ingest_pipeline":"p"}}"#;
    let own = lines("index => 'i'", ["{}", control, pipeline]);
    let expected = [r#""_index":"i""#, r#""_id":"7","_index":"i""#, r#""_index":"i","pipeline":"p""#];
    assert_eq!(own, expected.map(|members| format!(r#"{{"index":{{{members}}}}}"#)));
    let streams = lines("", ["{}", r#"{"data_stream":{"dataset":"web"}}"#, "{}"]);
    let names = ["generic", "web", "generic"];
    assert_eq!(streams, names.map(|name| format!(r#"{{"create":{{"_index":"logs-{name}-default"}}}}"#)));
    let each = lines("index => 'i' document_id => '%{n}'", [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
    assert!(each[0].contains(r#""_id":"1""#) && each[2].contains(r#""_id":"3""#), "{each:?}");
}

#[test]
fn updates_with_upsert_and_script() {
    let document = |text: &str| {
        let lines =
            map(&format!("index => 'i' action => update document_id => '1' {text}"), r#"{"a":"x"}"#).unwrap();
        lines.lines().nth(1).unwrap().to_owned()
    };
    assert!(document("doc_as_upsert => true").ends_with(r#""a":"x"},"doc_as_upsert":true}"#));
    assert!(document(r#"upsert => '{"n": "%{a}"}'"#).ends_with(r#","upsert":{"n":"x"}}"#));
    let script = document("script => 'ctx.op = params.e' script_var_name => 'e' scripted_upsert => true");
    assert!(script.starts_with(r#"{"script":{"params":{"e":{"#), "{script}");
    assert!(
        script.ends_with(
            r#"},"source":"ctx.op = params.e","lang":"painless"},"scripted_upsert":true,"upsert":{}}"#
        ),
        "{script}"
    );
    let stored = document("script => 's' script_type => indexed upsert => '{}'");
    assert!(stored.ends_with(r#"},"id":"s"},"upsert":{}}"#), "{stored}");
    let error = map("index => 'i' action => update document_id => '1' upsert => '{'", "{}").unwrap_err();
    assert!(error.starts_with("`upsert` is not JSON"));
}

#[test]
fn children_join_their_parents() {
    let lines =
        map("index => 'i' join_field => kind parent => '%{of}'", r#"{"kind":"answer","of":"q1"}"#).unwrap();
    assert!(lines.starts_with(r#"{"index":{"_index":"i","routing":"q1"}}"#), "{lines}");
    assert!(lines.contains(r#""kind":{"name":"answer","parent":"q1"}"#), "{lines}");
}
