//! The output against a double that misbehaves: every document arrives exactly as often as the table says.

use std::sync::Arc;
use std::time::Duration;

use ferrostash_conf::{Diagnostics, OptionsDef, Protocol, SourceMap, Statement, grammar, lower};
use ferrostash_doubles::elasticsearch::{Elasticsearch as Double, Reply, root as elasticsearch};
use ferrostash_event::{Event, Origin, Selection};
use ferrostash_net::listener::{Listener, ListenerOptions};
use ferrostash_net::testing::Authority;
use ferrostash_plugin::testing::{Harness, OutputHarness, event};
use ferrostash_plugin::{AckTracker, Ecs, FilteredBatch, OutputBatch, OutputError, PluginMetrics};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::options::ElasticsearchOptions;
use crate::PLUGINS;

/// The options of a block.
pub(super) fn options(text: &str) -> ElasticsearchOptions {
    let mut sources = SourceMap::new();
    let id = sources.add(Protocol::String, "test", format!("output {{ elasticsearch {{ {text} }} }}"));
    let source = sources.get(id).unwrap();
    let mut diagnostics = Diagnostics::new();
    let sections = lower::lower(&grammar::parse(source).unwrap(), source, false, &mut diagnostics);
    let Some(Statement::Plugin(block)) = sections.outputs.first() else { panic!("no plugin") };
    let options = ElasticsearchOptions::from_conf(block, &mut diagnostics);
    options.unwrap_or_else(|| panic!("{}", diagnostics.render(&sources, false)))
}

fn events(messages: &[&str]) -> Vec<Event> {
    messages.iter().map(|text| event(&json!({"message": text}).to_string())).collect()
}

fn batch(messages: &[&str]) -> OutputBatch {
    let events = events(messages);
    let all = Selection::all(events.len());
    OutputBatch::new(Arc::new(FilteredBatch::new(events, Vec::new())), all)
}

/// An output for the double, which waits but little.
fn output(double: &Double, text: &str) -> OutputHarness {
    let hosts = format!("hosts => 'http://127.0.0.1:{}'", double.port);
    output_with(&format!("{hosts} manage_template => false {text}"))
}

fn output_with(text: &str) -> OutputHarness {
    let text = format!(
        "elasticsearch {{ retry_initial_interval => 0.01 retry_max_interval => 0.02 resurrect_delay => 0.1 {text} }}"
    );
    Harness::new(PLUGINS).output(&text).unwrap()
}

/// Starts the output and has it deliver one batch, which is encoded as soon as the cluster is known.
async fn deliver(output: &mut OutputHarness, messages: &[&str]) {
    output.output.start(&output.context).await.unwrap();
    for text in [&[], messages] {
        let batches = [output.batch(events(text))];
        let write = output.output.write(&batches, &output.context);
        tokio::time::timeout(Duration::from_secs(20), write).await.expect("not delivered in time").unwrap();
    }
}

fn count(metrics: &PluginMetrics, path: &[&str]) -> u64 {
    metrics.counter(path).get()
}

fn documents_of(double: &Double) -> Vec<Vec<String>> {
    let message =
        |document: &Option<Value>| document.as_ref().unwrap()["message"].as_str().unwrap().to_owned();
    double
        .bulks()
        .iter()
        .map(|bulk| bulk.lines.iter().map(|(_, document)| message(document)).collect())
        .collect()
}

#[tokio::test]
async fn a_batch_is_one_compressed_request() {
    let double = Double::start();
    let mut output = output(&double, "index => 'web-%{+yyyy.MM.dd}' custom_headers => { 'X-Team' => 'a' }");
    deliver(&mut output, &["a", "b"]).await;
    let bulks = double.bulks();
    let [bulk] = bulks.as_slice() else { panic!("{bulks:?}") };
    assert_eq!(bulk.target, "/_bulk?filter_path=errors,items.*.error,items.*.failure_store,items.*.status");
    assert_eq!(bulk.lines[0].0, json!({"index": {"_index": "web-2026.01.02"}}));
    assert_eq!(bulk.lines[1].1.as_ref().unwrap()["message"], "b");
    let length = bulk.plain_len.to_string();
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("x-elastic-event-count", "2"),
        ("x-elastic-uncompressed-request-length", length.as_str()),
        ("x-elastic-product-origin", "logstash-output-elasticsearch"),
        ("x-team", "a"),
    ] {
        assert_eq!(bulk.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(bulk.headers["user-agent"].starts_with("ferrostash/"));
    let metrics = &output.context.metrics;
    assert_eq!(count(metrics, &["bulk_requests", "successes"]), 1);
    assert_eq!(count(metrics, &["bulk_requests", "responses", "200"]), 1);
    assert_eq!(count(metrics, &["documents", "successes"]), 2);
}

#[tokio::test]
async fn without_compression_the_body_is_sent_as_it_is() {
    for text in ["compression_level => 0", "http_compression => false"] {
        let double = Double::start();
        deliver(&mut output(&double, &format!("index => 'i' {text}")), &["a"]).await;
        assert!(!double.bulks()[0].headers.contains_key("content-encoding"), "{text}");
        assert_eq!(double.kept(), ["a"]);
    }
}

#[tokio::test]
async fn batches_go_together_whether_they_were_encoded_or_not() {
    let double = Double::start();
    double.script([Reply::Items(vec![201, 429, 201, 400, 201, 503])]);
    let mut output = output(&double, "index => 'i' compression_level => 0");
    output.output.start(&output.context).await.unwrap();
    let early = output.batch(events(&["a", "b"]));
    assert!(early.payload::<super::bulk::Payload>().is_none(), "the cluster is not known yet");
    output.output.write(&[], &output.context).await.unwrap();
    let later = ["c", "d"].map(|text| output.batch(events(&[text])));
    assert!(later.iter().all(|batch| batch.payload::<super::bulk::Payload>().is_some()));
    let [c, d] = later;
    output.output.write(&[early, c, d, batch(&["e", "f"])], &output.context).await.unwrap();
    assert_eq!(documents_of(&double), [vec!["a", "b", "c", "d", "e", "f"], vec!["b", "f"]]);
    assert_eq!(double.kept(), ["a", "c", "e", "b", "f"]);
    assert_eq!(output.dead_letters.all()[0].0, r#"{"message":"d"}"#);
}

#[tokio::test]
async fn where_no_dead_letters_are_kept_only_the_time_of_an_event_is_left() {
    let double = Double::start();
    double.script([Reply::Items(vec![201, 400])]);
    let mut output = output(&double, "index => 'app-%{app}'");
    output.dead_letters.keep_no_events();
    output.output.start(&output.context).await.unwrap();
    let events = || {
        let texts = [r#"{"app":"x","message":"a"}"#, r#"{"message":"b"}"#, r#"{"app":"y","message":"c"}"#];
        texts.map(event).to_vec()
    };
    assert_eq!(output.batch(events()).events().count(), 3, "the cluster is not known yet");
    output.output.write(&[], &output.context).await.unwrap();
    let batch = output.batch(events());
    assert_eq!((batch.len(), batch.events().count()), (3, 0));
    output.output.write(&[batch], &output.context).await.unwrap();
    assert_eq!(double.kept(), ["a"]);
    let letters = output.dead_letters.all();
    let reasons = ["still contains placeholder: [app-%{app}]", "status: 400"];
    for ((event, reason), expected) in letters.iter().zip(reasons) {
        assert!(reason.contains(expected), "{reason}");
        assert!(!event.contains("message"), "{event}");
    }
    assert_eq!(letters.len(), 2);
}

#[tokio::test]
async fn only_rejected_documents_are_sent_again() {
    let double = Double::start();
    double.script([Reply::Items(vec![201, 429, 201, 503]), Reply::Items(vec![201, 403])]);
    let mut output = output(&double, "index => 'i'");
    deliver(&mut output, &["a", "b", "c", "d"]).await;
    assert_eq!(documents_of(&double), [vec!["a", "b", "c", "d"], vec!["b", "d"], vec!["d"]]);
    assert_eq!(double.kept(), ["a", "c", "b", "d"]);
    let metrics = &output.context.metrics;
    assert_eq!(count(metrics, &["documents", "successes"]), 4);
    assert_eq!(count(metrics, &["documents", "retryable_failures"]), 3);
    assert_eq!(count(metrics, &["bulk_requests", "with_errors"]), 2);
    assert!(output.dead_letters.all().is_empty());
}

#[tokio::test]
async fn documents_that_can_never_be_taken_are_dead_letters() {
    let double = Double::start();
    double.script([Reply::Items(vec![400, 201, 404, 409, 422, 418])]);
    let text = "index => 'i' document_id => '%{message}' dlq_custom_codes => [422] drop_error_types => ['error_418']";
    let mut output = output(&double, text);
    deliver(&mut output, &["a", "b", "c", "d", "e", "f"]).await;
    assert_eq!((double.kept(), double.bulks().len()), (vec!["b".to_owned()], 1));
    let letters = output.dead_letters.all();
    let events: Vec<&str> = letters.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(events, [r#"{"message":"a"}"#, r#"{"message":"c"}"#, r#"{"message":"e"}"#]);
    let reason = "Could not index event to Elasticsearch. status: 400, action: {\"index\":{\"_id\":\"a\",\"_index\":\"i\"}}, \
                  response: {\"type\":\"error_400\",\"reason\":\"on command\"}";
    assert_eq!(letters[0].1, reason);
    let metrics = &output.context.metrics;
    assert_eq!(count(metrics, &["documents", "dlq_routed"]), 3);
    assert_eq!(count(metrics, &["documents", "non_retryable_failures"]), 2);
    assert_eq!(metrics.events_dead_lettered.get() + metrics.events_dropped.get(), 5);
}

#[tokio::test]
async fn events_without_a_place_are_dead_letters_and_hold_nobody_up() {
    let double = Double::start();
    let mut output = output(&double, "index => 'app-%{app}'");
    output.output.start(&output.context).await.unwrap();
    output.output.write(&[], &output.context).await.unwrap();
    let events = vec![event(r#"{"app":"x","message":"a"}"#), event(r#"{"message":"b"}"#)];
    let batches = [output.batch(events)];
    output.output.write(&batches, &output.context).await.unwrap();
    assert_eq!(double.kept(), ["a"]);
    let letters = output.dead_letters.all();
    assert!(letters[0].1.ends_with("still contains placeholder: [app-%{app}]"), "{letters:?}");
    // A batch of nothing else is no request.
    output.output.write(&[batch(&["c"])], &output.context).await.unwrap();
    assert_eq!((double.bulks().len(), output.dead_letters.all().len()), (1, 2));
}

#[tokio::test]
async fn failed_requests_are_sent_again_whole() {
    let double = Double::start();
    double.script([400, 401, 403, 429, 500, 503].map(Reply::Status));
    let mut output = output(&double, "index => 'i'");
    deliver(&mut output, &["a", "b"]).await;
    assert_eq!((double.kept(), double.bulks().len()), (vec!["a".to_owned(), "b".to_owned()], 7));
    assert_eq!(count(&output.context.metrics, &["bulk_requests", "failures"]), 6);
    assert_eq!(count(&output.context.metrics, &["bulk_requests", "responses", "503"]), 1);
    assert!(output.dead_letters.all().is_empty());
}

/// A batch whose settling can be watched.
async fn watched(events: Vec<Event>) -> (AckTracker<u32>, OutputBatch) {
    let mut tracker = AckTracker::new(1);
    let acks = vec![tracker.issue(1).await];
    let all = Selection::all(events.len());
    (tracker, OutputBatch::new(Arc::new(FilteredBatch::new(events, acks)), all))
}

async fn settled(tracker: &mut AckTracker<u32>) -> Option<u32> {
    tokio::time::timeout(Duration::from_secs(10), tracker.next_settled()).await.expect("never settled")
}

fn to(index: &str, message: &str) -> Event {
    event(&json!({"to": index, "message": message}).to_string())
}

#[tokio::test]
async fn an_index_that_takes_nothing_holds_up_only_its_own_documents() {
    for (status, kind) in [
        (403, "cluster_block_exception"),
        (429, "cluster_block_exception"),
        (403, "security_exception"),
        (503, "unavailable_shards_exception"),
    ] {
        let double = Double::start();
        double.refuse_index("bad", Some((status, kind)));
        let mut output = output(&double, "index => '%{to}'");
        output.output.start(&output.context).await.unwrap();
        let (mut tracker, first) = watched(vec![to("good", "a"), to("bad", "b"), to("good", "c")]).await;
        // Returns at once; what waits has not been acknowledged.
        output.output.write(&[first], &output.context).await.unwrap();
        assert_eq!(double.kept(), ["a", "c"], "{kind}");
        assert_eq!(output.context.metrics.gauge(&["quarantine", "documents"]).get(), 1);
        assert_eq!(output.context.metrics.gauge(&["quarantine", "indices"]).get(), 1);
        assert_eq!(tracker.settled(), None);
        // What comes for it later goes there without being sent.
        let more: Vec<Event> =
            (0..50).flat_map(|n| [to("bad", &format!("b{n}")), to("good", &format!("g{n}"))]).collect();
        let (mut later, more) = watched(more).await;
        let sent = double.bulks().len();
        output.output.write(&[more], &output.context).await.unwrap();
        let (bulks, good) = (double.bulks(), |index: &String| index == "good");
        let direct = bulks[sent..].iter().find(|bulk| bulk.lines.len() > 1).unwrap();
        assert_eq!((direct.lines.len(), direct.indices().iter().all(good)), (50, true));
        assert_eq!(output.context.metrics.gauge(&["quarantine", "documents"]).get(), 51);
        double.refuse_index("bad", None);
        assert_eq!((settled(&mut tracker).await, settled(&mut later).await), (Some(1), Some(1)));
        let documents = double.state().documents.clone();
        assert_eq!((documents.duplicates(), documents.all().len()), (0, 103));
        output.output.close(&output.context).await;
        assert_eq!(output.context.metrics.gauge(&["quarantine", "indices"]).get(), 0);
        assert_eq!(count(&output.context.metrics, &["documents", "successes"]), 103);
        assert!(output.dead_letters.all().is_empty());
    }
}

#[tokio::test]
async fn an_index_is_asked_by_one_document_at_a_time_and_ever_more_rarely() {
    let double = Double::start();
    double.refuse_index("bad", Some((403, "cluster_block_exception")));
    let text = format!(
        "elasticsearch {{ hosts => '127.0.0.1:{}' manage_template => false index => bad retry_initial_interval => 0.05
         retry_max_interval => 0.4 }}",
        double.port
    );
    let mut output = Harness::new(PLUGINS).output(&text).unwrap();
    output.output.start(&output.context).await.unwrap();
    let events = (0..20).map(|n| to("bad", &n.to_string())).collect();
    let (mut tracker, batch) = watched(events).await;
    output.output.write(&[batch], &output.context).await.unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let bulks = double.bulks();
    // After 50, 100, 200 and 400 ms.
    assert!((4..=6).contains(&bulks.len()), "{}", bulks.len());
    assert!(bulks[1..].iter().all(|bulk| bulk.lines.len() == 1));
    let waits: Vec<_> = bulks.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(waits.is_sorted() && waits[2] > Duration::from_millis(150), "{waits:?}");
    double.refuse_index("bad", None);
    assert_eq!(settled(&mut tracker).await, Some(1));
    assert_eq!(double.kept(), (0..20).map(|n| n.to_string()).collect::<Vec<_>>(), "in their order");
}

#[tokio::test]
async fn what_waits_for_an_index_is_abandoned_when_the_grace_time_is_over() {
    let double = Double::start();
    double.refuse_index("bad", Some((403, "cluster_block_exception")));
    let mut output = output(&double, "index => '%{to}'");
    output.output.start(&output.context).await.unwrap();
    let (mut tracker, batch) = watched(vec![to("bad", "a"), to("good", "b")]).await;
    output.output.write(&[batch], &output.context).await.unwrap();
    let shutdown = output.context.shutdown.clone();
    shutdown.stop();
    let abandon = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!double.kept().is_empty());
        shutdown.abandon();
    };
    tokio::join!(output.output.close(&output.context), abandon);
    assert!(tracker.settled().is_none() && tracker.is_abandoned());
    assert_eq!(double.kept(), ["b"]);
}

#[tokio::test]
async fn closed_and_missing_indices_make_dead_letters_or_get_their_time() {
    for (status, kind) in [(400, "index_closed_exception"), (404, "index_not_found_exception")] {
        let double = Double::start();
        double.refuse_index("bad", Some((status, kind)));
        // With a dead letter queue: at once, as in Logstash.
        let mut keeping = output(&double, "index => '%{to}'");
        keeping.output.start(&keeping.context).await.unwrap();
        let (mut tracker, batch) = watched(vec![to("bad", "a"), to("good", "b")]).await;
        keeping.output.write(&[batch], &keeping.context).await.unwrap();
        assert_eq!((tracker.settled(), keeping.dead_letters.all().len()), (Some(1), 1));

        // Without one the index has a little time to come back; then they are dropped, as in Logstash.
        let mut dropping = output(&double, "index => '%{to}'");
        dropping.dead_letters.keep_no_events();
        dropping.output.start(&dropping.context).await.unwrap();
        let (mut tracker, batch) = watched(vec![to("bad", "c")]).await;
        dropping.output.write(&[batch], &dropping.context).await.unwrap();
        assert!(dropping.dead_letters.all().is_empty());
        assert_eq!(settled(&mut tracker).await, Some(1));
        let letters = dropping.dead_letters.all();
        assert!(letters.len() == 1 && letters[0].1.contains(kind), "{letters:?}");
        // From then on at once.
        let (mut tracker, batch) = watched(vec![to("bad", "d")]).await;
        dropping.output.write(&[batch], &dropping.context).await.unwrap();
        assert_eq!((tracker.settled(), dropping.dead_letters.all().len()), (Some(1), 2));
    }
}

#[tokio::test]
async fn a_write_waits_when_too_much_waits_for_indices() {
    let double = Double::start();
    double.refuse_index("bad", Some((403, "cluster_block_exception")));
    let mut output = output(&double, "index => '%{to}' compression_level => 0");
    output.output.start(&output.context).await.unwrap();
    // Its lines and the event, which a dead letter would be made of.
    let big = "x".repeat(super::quarantine::QUARANTINE_BYTES_MAX / 10);
    let batch = |n: u32| {
        let events = vec![to("bad", &format!("{n}{big}"))];
        OutputBatch::new(Arc::new(FilteredBatch::new(events, Vec::new())), Selection::all(1))
    };
    for n in 0..4 {
        output.output.write(&[batch(n)], &output.context).await.unwrap();
    }
    let fifth = [batch(4)];
    let held = output.context.metrics.gauge(&["quarantine", "documents"]);
    {
        let mut fifth = output.output.write(&fifth, &output.context);
        let waits = tokio::time::timeout(Duration::from_millis(200), &mut fifth).await;
        assert!(waits.is_err() && held.get() == 4, "{waits:?} {}", held.get());
        double.refuse_index("bad", None);
        fifth.await.unwrap();
    }
    output.output.close(&output.context).await;
    assert_eq!((double.kept().len(), held.get()), (5, 0));
}

#[tokio::test]
async fn repeated_events_with_an_origin_make_no_second_document() {
    let read = |message: &str, place: u64| {
        let mut event = event(&json!({"message": message}).to_string());
        event.set_origin(Some(Origin::new(7, place, message.as_bytes())));
        event
    };
    let batch = || {
        let events = vec![read("a", 0), read("b", 2), event(r#"{"message":"c"}"#)];
        OutputBatch::new(Arc::new(FilteredBatch::new(events, Vec::new())), Selection::all(3))
    };
    for (text, action) in [
        ("", "create"),
        ("data_stream_dataset => web document_id => auto", "create"),
        ("index => 'i' document_id => auto action => create", "create"),
        ("index => 'i' document_id => auto", "index"),
    ] {
        let double = Double::start();
        let mut output = output(&double, text);
        output.output.start(&output.context).await.unwrap();
        output.output.write(&[batch()], &output.context).await.unwrap();
        let id = Origin::new(7, 0, b"a").id();
        assert_eq!(double.bulks()[0].lines[0].0[action]["_id"], id, "{text}");
        assert!(double.bulks()[0].lines[2].0[action].get("_id").is_none(), "no origin, no id");
        // A restart reads them again.
        output.output.write(&[batch()], &output.context).await.unwrap();
        let documents = double.documents();
        assert_eq!(documents.iter().filter(|stored| stored.has_own_id).count(), 2, "{text}");
        assert_eq!(documents.len(), 4, "{text}: what has no origin comes twice");
        let repeated = count(&output.context.metrics, &["documents", "repeated"]);
        assert_eq!(repeated, if action == "create" { 2 } else { 0 });
        assert_eq!(count(&output.context.metrics, &["documents", "successes"]), 6);
        assert_eq!(count(&output.context.metrics, &["documents", "non_retryable_failures"]), 0);
    }
    let double = Double::start();
    let mut output = output(&double, "document_id => ''");
    output.output.start(&output.context).await.unwrap();
    output.output.write(&[batch()], &output.context).await.unwrap();
    assert!(double.documents().iter().all(|stored| !stored.has_own_id), "switched off");
}

#[tokio::test]
async fn a_conflict_with_the_ids_of_others_is_one() {
    let double = Double::start();
    let mut output = output(&double, "index => 'i' action => create document_id => '%{message}'");
    deliver(&mut output, &["a"]).await;
    deliver(&mut output, &["a"]).await;
    assert_eq!(count(&output.context.metrics, &["documents", "non_retryable_failures"]), 1);
    assert_eq!(count(&output.context.metrics, &["documents", "repeated"]), 0);
    assert_eq!(double.documents().len(), 1);
}

#[tokio::test]
async fn credentials_that_expire_make_events_wait_and_heal_without_a_restart() {
    for status in [401, 403] {
        let double = Double::start();
        let mut output = output(&double, "index => 'i'");
        deliver(&mut output, &["a"]).await;
        double.state().everything = Some(status);
        let refused = output.context.metrics.gauge(&["bulk_requests", "unauthorized"]);
        let batches = [batch(&["b", "c"])];
        let heal = async {
            while refused.get() == 0 || double.bulks().len() < 6 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            double.state().everything = None;
        };
        let (written, ()) = tokio::join!(output.output.write(&batches, &output.context), heal);
        written.unwrap();
        assert_eq!((double.kept(), refused.get()), (vec!["a".into(), "b".into(), "c".into()], 0));
        assert!(output.dead_letters.all().is_empty());
    }
}

#[tokio::test]
async fn a_cluster_that_is_hurt_gets_one_request_at_a_time() {
    let double = Double::start();
    let text = format!(
        "elasticsearch {{ hosts => '127.0.0.1:{}' manage_template => false index => 'i' retry_initial_interval => 0.05
         retry_max_interval => 0.2 }}",
        double.port
    );
    let built = Harness::new(PLUGINS).build(ferrostash_conf::PluginKind::Output, &text).unwrap();
    let ferrostash_plugin::Maker::Output { factory, .. } = built.maker else { panic!("not an output") };
    let context = output(&double, "index => 'i'").context;
    double.state().always = Some(Reply::Status(503));
    let writers = (0..8).map(|n| {
        let (mut output, context) = (factory.for_worker(), context.clone());
        tokio::spawn(async move {
            output.start(&context).await.unwrap();
            let batches = [batch(&[&n.to_string()])];
            output.write(&batches, &context).await.unwrap();
        })
    });
    let writers: Vec<_> = writers.collect();
    tokio::time::sleep(Duration::from_millis(900)).await;
    {
        let mut state = double.state();
        // All come at once, before anything is known; then one at a time, after 50, 100, 200, 200… ms.
        assert!(state.bulks.len() <= 8 + 6, "{}", state.bulks.len());
        state.bulks_at_once_max = 0;
        state.always = None;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mut kept = double.kept();
    kept.sort();
    assert_eq!(kept, (0..8).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn retry_after_is_kept_to() {
    let double = Double::start();
    let date = "Thu, 01 Jan 2015 00:00:00 GMT".to_owned();
    double.script([
        Reply::StatusAfter(503, "1".into()),
        Reply::StatusAfter(429, date),
        Reply::StatusAfter(429, "soon".into()),
    ]);
    deliver(&mut output(&double, "index => 'i'"), &["a"]).await;
    let bulks = double.bulks();
    let waits: Vec<_> = bulks.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(waits[0] >= Duration::from_millis(990), "{waits:?}");
    assert!(waits[1] < Duration::from_millis(900) && waits[2] < Duration::from_millis(900), "{waits:?}");
    assert_eq!(double.kept(), ["a"]);
}

#[tokio::test]
async fn a_service_that_hangs_is_left_and_nothing_is_lost() {
    let double = Double::start();
    double.script([Reply::Hang]);
    deliver(&mut output(&double, "index => 'i' timeout => 0.2"), &["a", "b"]).await;
    assert_eq!(double.kept(), ["a", "b"]);
}

#[tokio::test]
async fn nodes_are_found_by_sniffing() {
    let (first, second) = (Double::start(), Double::start());
    let node = |roles: &[&str], port: u16| json!({"roles": roles, "http": {"publish_address": format!("127.0.0.1:{port}")}});
    let nodes = json!({"nodes": {"m": node(&["master"], first.port), "d": node(&["data"], second.port)}});
    first.state().bodies.insert("/_nodes/http".into(), nodes.clone());
    let mut output = output(&first, "index => 'i' sniffing => true sniffing_delay => 0.1");
    tokio::time::timeout(Duration::from_secs(10), async {
        while second.kept().is_empty() {
            deliver(&mut output, &["a"]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the second node was not found");
    // The second one has no answer to the question: the nodes stay.
    let sent = first.bulks().len();
    deliver(&mut output, &["b"]).await;
    assert_eq!((first.bulks().len(), second.kept().last().map(String::as_str)), (sent, Some("b")));
}

#[tokio::test]
async fn every_document_of_a_mixed_answer_gets_what_the_table_says() {
    let double = Double::start();
    // The fifth one conflicts, as its id is there; the others' answers are commanded.
    let statuses = vec![200, 201, 400, 404, 409, 413, 429, 503, 403, 500];
    double.script([Reply::Items(statuses), Reply::Items(vec![429, 201, 201, 503])]);
    let mut output = output(&double, "index => 'i' document_id => '%{message}'");
    deliver(&mut output, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]).await;
    let sent = documents_of(&double);
    assert_eq!(sent[1..], [vec!["g", "h", "i", "j"], vec!["g", "j"]], "only what may be taken later");
    assert_eq!(double.kept(), ["a", "b", "h", "i", "g", "j"]);
    let letters: Vec<_> = output.dead_letters.all().into_iter().map(|(event, _)| event).collect();
    assert_eq!(letters, ["c", "d", "f"].map(|message| format!(r#"{{"message":"{message}"}}"#)));
    let metrics = &output.context.metrics;
    for (name, expected) in
        [("successes", 6), ("dlq_routed", 3), ("non_retryable_failures", 1), ("retryable_failures", 6)]
    {
        assert_eq!(count(metrics, &["documents", name]), expected, "{name}");
    }
    // Waits double: 10 and 20 ms.
    let bulks = double.bulks();
    assert!(bulks[2].at - bulks[1].at >= Duration::from_millis(20));
}

#[tokio::test]
async fn a_split_batch_whose_answers_are_lost_makes_no_document_twice() {
    let double = Double::start();
    double.script([Reply::Normal, Reply::Cut, Reply::Status(500)]);
    let mut output = output(&double, "compression_level => 0");
    output.output.start(&output.context).await.unwrap();
    let big = "x".repeat(9 * 1024 * 1024);
    let events: Vec<Event> = (0..3)
        .map(|n| {
            let mut event = event(&json!({"message": format!("{n}{big}")}).to_string());
            event.set_origin(Some(Origin::new(1, n, b"")));
            event
        })
        .collect();
    let (mut tracker, batch) = watched(events).await;
    output.output.write(&[batch], &output.context).await.unwrap();
    assert_eq!(tracker.settled(), Some(1));
    let sizes: Vec<usize> = double.bulks().iter().map(|bulk| bulk.lines.len()).collect();
    assert_eq!(sizes, [2, 1, 1, 1], "the first part is never sent again");
    let documents = double.state().documents.clone();
    assert_eq!((documents.all().len(), documents.duplicates()), (3, 0));
    assert_eq!(count(&output.context.metrics, &["documents", "repeated"]), 1);
}

#[tokio::test]
async fn documents_in_a_failure_store_are_counted() {
    let double = Double::start();
    let answer = r#"{"errors":false,"items":[{"create":{"status":201,"failure_store":"used"}},{"create":{"status":201}}]}"#;
    double.script([Reply::Says(answer.into())]);
    let mut output = output(&double, "");
    deliver(&mut output, &["a", "b"]).await;
    assert_eq!(count(&output.context.metrics, &["documents", "failure_store"]), 1);
    assert_eq!(count(&output.context.metrics, &["documents", "successes"]), 2);
}

#[tokio::test]
async fn another_product_is_refused_at_the_start() {
    let double = Double::start();
    double.state().hides_product = true;
    let mut output = output(&double, "index => 'i'");
    let error = output.output.start(&output.context).await.unwrap_err().to_string();
    assert_eq!(error, "Could not connect to a compatible version of Elasticsearch");
}

#[tokio::test]
async fn too_large_requests_are_halved_until_they_fit() {
    let double = Double::start();
    double.state().bytes_max = Some(400);
    let big = "x".repeat(500);
    let mut output = output(&double, "index => 'i'");
    deliver(&mut output, &["a", "b", &big, "d", "e"]).await;
    assert_eq!(double.kept(), ["a", "b", "d", "e"]);
    let letters = output.dead_letters.all();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].0.contains(&big) && letters[0].1.contains("status: 413"));
}

#[tokio::test]
async fn what_is_no_answer_of_a_cluster_settles_nothing() {
    let double = Double::start();
    double.script([Reply::Says(r#"{"message":"maintenance"}"#.into())]);
    deliver(&mut output(&double, "index => 'i' document_id => '%{message}'"), &["a"]).await;
    assert_eq!(double.bulks().len(), 2, "asked once more");
}

#[tokio::test]
async fn an_answer_for_another_number_of_documents_is_no_answer() {
    let double = Double::start();
    double.script([Reply::Count(1), Reply::Count(5)]);
    deliver(&mut output(&double, "index => 'i'"), &["a", "b", "c"]).await;
    assert_eq!(double.bulks().len(), 3);
    assert_eq!(double.kept(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_lost_answer_repeats_the_request_and_forgives_our_own_documents() {
    for reply in [Reply::Cut, Reply::Says("<html>".into()), Reply::Half, Reply::Says(String::new())] {
        let double = Double::start();
        double.script([reply, Reply::Items(vec![409, 201])]);
        let mut output = output(&double, "index => 'i' action => create document_id => '%{message}'");
        deliver(&mut output, &["a", "b"]).await;
        assert_eq!(double.bulks().len(), 2);
        assert_eq!(count(&output.context.metrics, &["documents", "successes"]), 2);
        assert_eq!(count(&output.context.metrics, &["documents", "non_retryable_failures"]), 0);
    }
}

#[tokio::test]
async fn a_node_that_does_not_answer_in_time_is_left_alone_until_it_does() {
    let double = Double::start();
    double.script([Reply::Late(Duration::from_millis(700))]);
    let mut output = output(&double, "index => 'i' timeout => 0.3");
    deliver(&mut output, &["a"]).await;
    assert_eq!(double.bulks().len(), 2);
    assert!(double.state().seen.len() >= 4, "probed again");
}

#[tokio::test]
async fn a_large_batch_goes_in_parts_and_only_the_open_one_is_repeated() {
    let double = Double::start();
    double.script([Reply::Normal, Reply::Status(503)]);
    let mut output = output(&double, "index => 'i' compression_level => 0");
    let big = "x".repeat(9 * 1024 * 1024);
    let messages = [format!("a{big}"), format!("b{big}"), format!("c{big}")];
    deliver(&mut output, &messages.each_ref().map(String::as_str)).await;
    let first = |messages: Vec<String>| messages.iter().map(|text| text[..1].to_owned()).collect::<Vec<_>>();
    let requests: Vec<_> = documents_of(&double).into_iter().map(first).collect();
    assert_eq!(requests, [vec!["a", "b"], vec!["c"], vec!["c"]]);
    assert_eq!(first(double.kept()), ["a", "b", "c"]);
    assert!(
        double.bulks().iter().all(|bulk| bulk.plain_len <= super::profile::ELASTICSEARCH.request_bytes_max)
    );
}

#[tokio::test]
async fn nodes_take_turns_and_the_dead_come_back() {
    let (first, second) = (Double::start(), Double::start());
    let absent = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hosts: Vec<String> =
        [first.port, second.port, absent].iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
    let mut output = output_with(&format!("hosts => [{}] index => 'i'", hosts.join(", ")));
    first.script([Reply::Cut]);
    for _ in 0..6 {
        deliver(&mut output, &["a"]).await;
    }
    let kept = (first.kept().len(), second.kept().len());
    assert!(kept.0 >= 1 && kept.1 >= 4, "{kept:?}");
    let late = Double::start_at(absent);
    tokio::time::timeout(Duration::from_secs(10), async {
        while late.kept().is_empty() {
            deliver(&mut output, &["b"]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the third node never got its turn");
}

#[tokio::test]
async fn an_output_starts_without_its_cluster_and_delivers_when_it_comes() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut output =
        output_with(&format!("hosts => '127.0.0.1:{port}' index => 'i' manage_template => false"));
    output.output.start(&output.context).await.unwrap();
    let batches = [batch(&["a"])];
    let come = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        Double::start_at(port)
    };
    let (written, double) = tokio::join!(output.output.write(&batches, &output.context), come);
    written.unwrap();
    assert_eq!(double.kept(), ["a"]);
}

#[tokio::test]
async fn the_end_of_the_grace_time_ends_every_wait() {
    let double = Double::start();
    double.state().refused.insert("a".into(), 503);
    let nowhere = output_with("hosts => '127.0.0.1:1' index => 'i'");
    for mut output in [output(&double, "index => 'i'"), nowhere] {
        output.output.start(&output.context).await.unwrap();
        let shutdown = output.context.shutdown.clone();
        let batches = [batch(&["a"])];
        let stop = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            // A stop alone loses nothing: it goes on trying.
            shutdown.stop();
            tokio::time::sleep(Duration::from_millis(100)).await;
            shutdown.abandon();
        };
        let (written, ()) = tokio::join!(output.output.write(&batches, &output.context), stop);
        assert!(matches!(written, Err(OutputError::Abandoned)), "{written:?}");
    }
    assert!(double.bulks().len() > 5, "no more attempts after the stop");
}

#[tokio::test]
async fn a_node_that_says_no_at_the_start_stops_it() {
    let older =
        json!({"version": {"number": "6.8.1", "build_flavor": "default"}, "tagline": "You Know, for Search"});
    for (status, body, sentence) in [
        (401, json!({}), "Could not read Elasticsearch. Please check the credentials"),
        (403, json!({}), "Could not read Elasticsearch. Please check the privileges"),
        (200, older, "Could not connect to a compatible version of Elasticsearch"),
        (200, json!({"some": "service"}), "Could not connect to a compatible version of Elasticsearch"),
    ] {
        let double = Double::start();
        double.state().root = Some((status, body));
        let mut output = output(&double, "index => 'i'");
        assert_eq!(output.output.start(&output.context).await.unwrap_err().to_string(), sentence);
    }
}

#[tokio::test]
async fn opensearch_takes_events_too() {
    let double = Double::start();
    let root = json!({"version": {"number": "2.19.6", "distribution": "opensearch"}, "tagline": "The OpenSearch Project: x"});
    double.state().root = Some((200, root));
    deliver(&mut output(&double, "data_stream => false"), &["a"]).await;
    assert_eq!(double.kept(), ["a"]);
    // No ILM there: the daily index it is.
    let index = double.bulks()[0].lines[0].0["index"]["_index"].clone();
    assert_eq!(index, "ecs-logstash-2026.01.02");
}

#[tokio::test]
async fn serverless_is_told_the_version_of_the_api() {
    let double = Double::start();
    let mut root = elasticsearch("9.5.2");
    root["version"]["build_flavor"] = json!("serverless");
    double.state().root = Some((200, root));
    deliver(&mut output(&double, "index => 'i'"), &["a"]).await;
    assert_eq!(double.bulks()[0].headers["elastic-api-version"], "2023-10-31");
}

#[tokio::test]
async fn a_bare_output_writes_to_a_data_stream() {
    let double = Double::start();
    let mut output = output_with(&format!("hosts => 'http://127.0.0.1:{}'", double.port));
    deliver(&mut output, &["a"]).await;
    let (action, document) = double.bulks()[0].lines[0].clone();
    assert_eq!(action, json!({"create": {"_index": "logs-generic-default"}}));
    let stream = json!({"type": "logs", "dataset": "generic", "namespace": "default"});
    assert_eq!(document.unwrap()["data_stream"], stream);
    assert!(double.state().seen.iter().all(|(method, ..)| method != "PUT"), "nothing is set up");
}

#[tokio::test]
async fn credentials_go_with_every_request() {
    let double = Double::start();
    deliver(&mut output(&double, "index => 'i' user => elastic password => 's3cret'"), &["a"]).await;
    assert_eq!(double.bulks()[0].headers["authorization"], "Basic ZWxhc3RpYzpzM2NyZXQ=");
    let double = Double::start();
    deliver(&mut output(&double, "index => 'i' cloud_auth => 'elastic:s3cret'"), &["a"]).await;
    assert_eq!(double.bulks()[0].headers["authorization"], "Basic ZWxhc3RpYzpzM2NyZXQ=");
}

#[tokio::test]
async fn tls_with_an_api_key() {
    let authority = Authority::new();
    let double = Double::start();
    let mut listening = ListenerOptions::new("127.0.0.1", 0);
    let mut tls = authority.server();
    // A fingerprint is looked for in what the server presents.
    tls.identity.extra_chain.push(authority.certificate());
    listening.tls = Some(tls.build().unwrap());
    let listener = Listener::bind(listening).await.unwrap();
    let port = listener.local_addr().port();
    let plain = double.port;
    tokio::spawn(listener.serve(CancellationToken::new(), move |mut connection| async move {
        let mut behind = tokio::net::TcpStream::connect(("127.0.0.1", plain)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut connection.stream, &mut behind).await;
    }));
    let authorities = authority.certificate().display().to_string();
    let fingerprint = authority.fingerprint();
    for trust in [
        format!("ssl_certificate_authorities => '{authorities}'"),
        format!("ca_trusted_fingerprint => '{fingerprint}'"),
        "ssl_verification_mode => none".to_owned(),
    ] {
        let text = format!("hosts => 'https://127.0.0.1:{port}' index => 'i' api_key => 'id:key' {trust}");
        deliver(&mut output_with(&text), &["a"]).await;
        assert_eq!(double.bulks().last().unwrap().headers["authorization"], "ApiKey aWQ6a2V5", "{trust}");
    }
    assert_eq!(double.kept().len(), 3);
}

#[tokio::test]
async fn instances_share_their_nodes_and_the_setup() {
    let double = Double::start();
    let text = format!(
        "elasticsearch {{ hosts => '127.0.0.1:{}' ecs_compatibility => disabled template_name => mine index => 'i' }}",
        double.port
    );
    let built = Harness::new(PLUGINS).build(ferrostash_conf::PluginKind::Output, &text).unwrap();
    let ferrostash_plugin::Maker::Output { factory, .. } = built.maker else { panic!("not an output") };
    assert!(factory.is_shared());
    let context = output(&double, "index => 'i'").context;
    let (mut first, mut second) = (factory.for_worker(), factory.for_worker());
    first.start(&context).await.unwrap();
    second.start(&context).await.unwrap();
    let (one, two) = ([batch(&["a"])], [batch(&["b"])]);
    let (one, two) = tokio::join!(first.write(&one, &context), second.write(&two, &context));
    one.unwrap();
    two.unwrap();
    let seen: Vec<String> =
        double.state().seen.iter().map(|(method, target, _)| format!("{method} {target}")).collect();
    assert_eq!(
        seen,
        ["HEAD /", "GET /", "GET /_license", "HEAD /_index_template/mine", "PUT /_index_template/mine"]
    );
}

#[tokio::test]
async fn a_life_cycle_is_set_up_for_the_default_index() {
    let double = Double::start();
    let mut output =
        output_with(&format!("hosts => '127.0.0.1:{}' ecs_compatibility => disabled", double.port));
    deliver(&mut output, &["a"]).await;
    assert_eq!(double.bulks()[0].lines[0].0, json!({"index": {"_index": "logstash"}}));
    let seen = double.state().seen.clone();
    let calls: Vec<String> = seen.iter().map(|(method, target, _)| format!("{method} {target}")).collect();
    assert_eq!(
        calls[3..],
        [
            "HEAD /_index_template/logstash",
            "PUT /_index_template/logstash",
            "HEAD /logstash",
            "PUT /%3Clogstash-%7Bnow%2Fd%7D-000001%3E",
            "GET /_ilm/policy/logstash-policy",
            "PUT /_ilm/policy/logstash-policy"
        ]
    );
    let template: Value = serde_json::from_str(&seen[4].2).unwrap();
    assert_eq!(template["index_patterns"], "logstash-*");
    assert_eq!(template["template"]["settings"]["index.lifecycle.rollover_alias"], "logstash");
    assert_eq!(template["template"]["mappings"]["properties"]["@timestamp"]["type"], "date");
    assert_eq!(seen[6].2, r#"{"aliases":{"logstash":{"is_write_index":true}}}"#);
}

#[tokio::test]
async fn with_ecs_the_template_has_the_types_of_ecs() {
    let double = Double::start();
    let text = format!("hosts => '127.0.0.1:{}' ilm_rollover_alias => web ilm_policy => mine", double.port);
    double.state().others.insert("GET /_ilm/policy/mine".into(), 200);
    deliver(&mut output_with(&text), &["a"]).await;
    assert_eq!(double.bulks()[0].lines[0].0, json!({"index": {"_index": "web"}}));
    let templates: Vec<_> =
        double.state().seen.iter().filter(|(method, ..)| method == "PUT").cloned().collect();
    assert_eq!((templates.len(), templates[0].1.as_str()), (2, "/_index_template/web"));
    let template = serde_json::from_str::<Value>(&templates[0].2).unwrap();
    assert_eq!((&template["index_patterns"], &template["priority"]), (&json!("web-*"), &json!(200)));
    let settings = &template["template"]["settings"];
    assert_eq!(settings["index.lifecycle.name"], "mine");
    assert_eq!(settings["index.lifecycle.rollover_alias"], "web");
    let source = &template["template"]["mappings"]["properties"]["source"]["properties"];
    assert_eq!(source["ip"]["type"], "ip");
}

#[tokio::test]
async fn a_template_of_ones_own_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.json");
    std::fs::write(&file, r#"{"index_patterns": ["web-*"], "settings": {}}"#).unwrap();
    let double = Double::start();
    double.state().others.insert("HEAD /_template/web".into(), 200);
    double.state().root = Some((200, elasticsearch("7.17.0")));
    let text = format!(
        "hosts => '127.0.0.1:{}' index => 'web-1' document_type => '%{{message}}' template => '{}' template_name => web",
        double.port,
        file.display()
    );
    deliver(&mut output_with(&text), &["a"]).await;
    assert!(double.state().seen.iter().all(|(method, ..)| method != "PUT"), "it is there already");
    deliver(&mut output_with(&format!("{text} template_overwrite => true")), &["a"]).await;
    let last = double.state().seen.last().unwrap().clone();
    assert_eq!((last.0.as_str(), last.1.as_str()), ("PUT", "/_template/web"));
    assert_eq!(last.2, r#"{"index_patterns":["web-*"],"settings":{}}"#);
    assert_eq!(double.bulks()[0].lines[0].0["index"]["_type"], "a");
}

#[tokio::test]
async fn a_template_that_is_refused_is_done_without_and_one_that_can_not_be_made_now_is_waited_for() {
    let double = Double::start();
    let text = format!("hosts => '127.0.0.1:{}' ecs_compatibility => disabled", double.port);
    for refused in [400, 403, 404] {
        double.state().others.insert("PUT /_index_template/logstash".into(), refused);
        deliver(&mut output_with(&format!("{text} index => 'i'")), &["a"]).await;
    }
    assert_eq!(double.kept(), ["a", "a", "a"]);

    double.state().others.insert("PUT /_index_template/logstash".into(), 503);
    let heal = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        double.state().others.clear();
    };
    let mut delayed = output_with(&text);
    tokio::join!(deliver(&mut delayed, &["b"]), heal);
    assert_eq!(double.kept().last().map(String::as_str), Some("b"));
}

#[test]
fn what_can_not_work_is_refused_when_it_is_read() {
    for (text, sentence) in [
        ("action => ''", "No action specified!"),
        ("action => destroy", "Action 'destroy' is invalid! Pick one of"),
        ("action => update", "Specifying action => 'update' needs a document_id."),
        ("version_type => external", "External versioning requires the presence of a version number."),
        ("version => 1 version_type => external action => create", "not supported by the create action"),
        ("doc_as_upsert => true scripted_upsert => true", "mutually exclusive"),
        ("user => 'u' password => 'p' cloud_auth => 'a:b'", "Multiple authentication options are specified"),
        ("api_key => 'id:key'", "Using api_key authentication requires SSL/TLS"),
        ("hosts => 'https://h' api_key => 'no-key'", "Invalid api_key format"),
        ("cloud_id => 'x' hosts => 'h'", "Both cloud_id and hosts specified"),
        (
            "ssl_enabled => true ssl_key => '/dev/null'",
            "An \"ssl_certificate\" is required when using an \"ssl_key\"",
        ),
        ("dlq_custom_codes => [404]", "[404] are already defined as standard DLQ error codes"),
        ("data_stream => true index => 'i'", "Invalid data stream configuration: [\"index\"]"),
        (
            "index => 'i' data_stream_type => logs",
            "Ambiguous configuration; data stream settings must not be present",
        ),
        ("index => '%{+yyyy' ssl => true", "Set 'ssl_enabled' instead"),
        ("cacert => '/x'", "Set 'ssl_certificate_authorities' instead"),
        ("custom_headers => { 'a b' => 'c' }", "is no name of a header"),
        ("proxy => 'socks5://p:1'", "only http:// proxies are supported"),
        ("compression_level => 2 http_compression => true", "please only use the first"),
        ("compression_level => 10", "Expected one of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], got [10]"),
    ] {
        let error = Harness::new(PLUGINS).output(&format!("elasticsearch {{ {text} }}")).err().expect(text);
        assert!(error.contains(sentence), "{text}: {error}");
        assert!(
            !error.contains("id:key") && !error.contains("LogStash::ConfigurationError: no-key"),
            "{error}"
        );
    }
}

#[test]
fn old_configurations_still_build() {
    for text in [
        "hosts => ['es:9200'] index => 'x' manage_template => false ilm_enabled => false sniffing => false",
        "hosts => 'es' user => 'u' password => 'p' document_type => doc template_overwrite => true",
        "hosts => 'es' ilm_rollover_alias => 'a' ilm_pattern => '000001' ilm_policy => 'p' ilm_enabled => true",
    ] {
        Harness::new(PLUGINS).ecs(Ecs::Disabled).output(&format!("elasticsearch {{ {text} }}")).unwrap();
    }
}
