//! The dead letter queue as users meet it: what goes there, what is shown of it, how it is read and replayed.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ferrostash, Finished, Start, json_lines};

/// A folder that outlives processes.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn data(&self) -> String {
        self.path().join("data").display().to_string()
    }

    /// A pipeline with its dead letter queue on.
    fn pipeline(&self, conf: &str, more: &[&str]) -> Start {
        let file = self.path().join("pipeline.conf");
        std::fs::write(&file, conf.replace("PLACE", &self.path().display().to_string())).unwrap();
        Start::pipeline(&["-S", "dead_letter_queue.enable=true", "--path.data", &self.data(), "-f"])
            .arg(file)
            .arg("-S")
            .arg("pipeline.ecs_compatibility=disabled")
            .args(more)
    }

    fn dlq(&self, arguments: &[&str]) -> Finished {
        Start::plain(&["dlq"]).args(arguments).arg("--path.data").arg(self.data()).finish()
    }

    fn entries(&self, pipeline: &str) -> Vec<Value> {
        let finished = self.dlq(&["show", pipeline]);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        json_lines(&finished.stdout)
    }

    fn segments(&self, pipeline: &str) -> Vec<String> {
        let dir = self.path().join("data/dead_letter_queue").join(pipeline);
        let names =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.contains(".log")).collect();
        names.sort();
        names
    }
}

impl Start {
    fn args(self, arguments: &[&str]) -> Start {
        arguments.iter().fold(self, |start, argument| start.arg(argument))
    }
}

const FAILING: &str = r#"
    input { stdin { codec => json_lines { id => "in" } } }
    filter {
      if [when] > 5 { mutate { add_field => { "late" => "yes" } } }
      if [kind] == "grok" { grok { id => "g" match => { "text" => "^%{INT:n}$" } } }
      if [kind] == "date" { date { id => "d" match => ["text", "ISO8601"] } }
      if [kind] == "json" { json { id => "j" source => "text" } }
      if [kind] == "mutate" { mutate { id => "m" rename => { "text" => "[when][x]" } } }
      if [kind] == "split" { split { id => "s" field => "when" } }
    }
    output { stdout { codec => json_lines } }"#;

const FAILING_LINES: &str = r#"{"kind":"if","when":{"a":1}}
{"kind":"grok","when":1,"text":"no number"}
{"kind":"date","when":1,"text":"no date"}
{"kind":"json","when":1,"text":"{no"}
{"kind":"mutate","when":1,"text":"t"}
{"kind":"split","when":1}
{"kind":"good","when":7}
no json at all
"#;

fn texts<'a>(entry: &'a Value, names: &[&str]) -> Vec<&'a str> {
    names.iter().map(|name| entry[*name].as_str().unwrap()).collect()
}

#[test]
fn what_conditions_filters_and_codecs_fail_on_is_kept_with_the_reason() {
    let place = Place::new();
    let start = place.pipeline(FAILING, &["-S", "dead_letter_queue.failures=true"]).stdin(FAILING_LINES);
    let finished = start.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.said());
    let kinds: Vec<_> = finished.events().iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["good"], "{}", finished.said());
    let mut entries = place.entries("main");
    entries.sort_by_key(|entry| entry["plugin_type"].to_string());
    let found: Vec<_> =
        entries.iter().map(|entry| texts(entry, &["plugin_type", "plugin_id", "reason"])).collect();
    let order = "condition evaluation error, Unexpected conditional input combination of 'class \
        org.logstash.ConvertedMap:{a=1}' (left) and 'class org.jruby.RubyFixnum:5' (right)";
    let expected = [
        ["date", "d", "_dateparsefailure: no format fits `no date` in text"],
        ["grok", "g", "_grokparsefailure: no pattern fits"],
        ["if-statement", "if-statement", order],
        ["json", "j", "_jsonparsefailure: "],
        ["json_lines", "in", "_jsonparsefailure: "],
        ["mutate", "m", "_mutate_error: "],
        ["split", "s", "_split_type_failure: Only String and Array types are splittable"],
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found[..2], expected[..2]);
        assert!(found[2].starts_with(expected[2]), "{found:?}");
    }
    assert_eq!(entries[4]["event"]["message"], "no json at all", "the text is kept");
    assert_eq!(entries[4]["event"]["tags"], serde_json::json!(["_jsonparsefailure"]));
    assert_eq!(entries[4]["metadata"], serde_json::json!({}));
    assert_eq!(entries[1]["event"]["tags"], serde_json::json!(["_grokparsefailure"]));
    let shown =
        |arguments: &[&str]| json_lines(&place.dlq(&[&["show", "main"], arguments].concat()).stdout).len();
    assert_eq!(shown(&["--plugin", "grok"]), 1);
    assert_eq!(shown(&["--reason", "_jsonparsefailure"]), 2);
    assert_eq!(shown(&["--limit", "3"]), 3);
    assert_eq!((shown(&["--until", "2020-01-01"]), shown(&["--since", "2020-01-01"])), (0, 7));
}

#[test]
fn without_the_setting_a_plugin_alone_may_send_its_failures_there() {
    let place = Place::new();
    let conf = FAILING.replace("date { id", "date { dead_letter_queue => true id");
    let finished = place.pipeline(&conf, &[]).stdin(FAILING_LINES).finish();
    // The line that is no JSON has no number that could be compared.
    assert_eq!(finished.events().len(), 5, "{}", finished.said());
    let mut plugins: Vec<_> =
        place.entries("main").iter().map(|entry| entry["plugin_type"].clone()).collect();
    plugins.sort_by_key(Value::to_string);
    assert_eq!(plugins, ["date", "if-statement", "if-statement"]);
    let off = Start::pipeline(&["-t", "-e"]).arg(&conf).finish();
    assert_ne!(off.code, Some(0));
    assert!(
        off.said().contains("needs a dead letter queue: set dead_letter_queue.enable: true"),
        "{}",
        off.said()
    );
    let off = Start::pipeline(&["-S", "dead_letter_queue.failures=true", "-t", "-e", FAILING]).finish();
    assert!(off.said().contains("dead_letter_queue.failures needs a dead letter queue"), "{}", off.said());
}

#[test]
fn entries_are_replayed_through_a_better_configuration_and_purged() {
    let place = Place::new();
    let failures = ["-S", "dead_letter_queue.failures=true"];
    assert_eq!(place.pipeline(FAILING, &failures).stdin(FAILING_LINES).finish().code, Some(0));
    let fixed = place.path().join("fixed.conf");
    let text = "input { tcp { port => 1 } } filter { if [kind] == 'json' { json { source => 'text' dead_letter_queue => true } } }
        output { file { path => 'PLACE/fixed.json' codec => json_lines } }";
    std::fs::write(&fixed, text.replace("PLACE", &place.path().display().to_string())).unwrap();
    let fixed = fixed.display().to_string();
    let some = place.dlq(&["replay", "main", "-f", &fixed, "--plugin", "grok"]);
    assert_eq!(some.code, Some(0), "{}", some.said());
    assert!(some.stderr.contains("1 entries were replayed"), "{}", some.stderr);
    assert_eq!(place.entries("main").len(), 7, "nothing was deleted");
    std::fs::remove_file(place.path().join("fixed.json")).unwrap();
    let all = place.dlq(&["replay", "main", "-f", &fixed, "--purge"]);
    assert_eq!(all.code, Some(0), "{}", all.said());
    let events = json_lines(&std::fs::read_to_string(place.path().join("fixed.json")).unwrap());
    assert_eq!(events.len(), 6, "{}", all.said());
    assert!(place.segments("main").is_empty());
    // What failed again is kept beside it, with what it was there for at first.
    let again = place.entries("main.replay");
    assert_eq!(again.len(), 1);
    let history = &again[0]["metadata"]["dead_letter_queue"]["history"];
    assert_eq!((&history[0]["plugin_id"], history.as_array().unwrap().len()), (&"j".into(), 1));
    let list = place.dlq(&["list"]).stdout;
    assert!(list.lines().any(|line| line.starts_with("main.replay\t1\tsealed\t1\t0\t")), "{list}");
    let young = place.dlq(&["purge", "main.replay", "--older-than", "1d"]);
    assert!(young.stdout.starts_with("0 segments"), "{young:?}");
    let purged = place.dlq(&["purge", "main.replay"]);
    assert!(purged.stdout.starts_with("1 segments with 1 entries"), "{purged:?}");
    let none = place.dlq(&["show", "lost"]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("there is no dead letter queue"), "{none:?}");
}

const LINES: usize = 3000;

/// From a file to nowhere: every event is a dead letter.
const ALL_FAIL: &str =
    "input { file { path => 'PLACE/lines.log' start_position => beginning sincedb_path => 'PLACE/sincedb' } }
    filter { grok { match => { message => '^never$' } dead_letter_queue => true } }
    output { stdout { codec => json_lines } }";

fn write_lines(place: &Place) {
    let lines: String = (0..LINES).map(|n| format!("{n:06} {}\n", "x".repeat(200))).collect();
    std::fs::write(place.path().join("lines.log"), lines).unwrap();
}

fn numbers(place: &Place) -> std::collections::BTreeSet<String> {
    let number = |entry: &Value| entry["event"]["message"].as_str().unwrap()[..6].to_owned();
    place.entries("main").iter().map(number).collect()
}

fn stats(process: &mut Ferrostash) -> Value {
    process.json("/_node/stats")["pipelines"]["main"].clone()
}

fn wait_for_letters(process: &mut Ferrostash, letters: usize) -> Value {
    loop {
        let stats = stats(process);
        if stats["ledger"]["dead_lettered"].as_u64() >= Some(letters as u64) {
            return stats;
        }
        process.wait(|_| Some(()));
    }
}

#[test]
fn the_api_counts_them_and_the_ledger_too() {
    let place = Place::new();
    write_lines(&place);
    let mut process = place.pipeline(ALL_FAIL, &[]).start();
    let stats = wait_for_letters(&mut process, LINES);
    let ledger = &stats["ledger"];
    assert_eq!(
        (&ledger["dead_lettered"], &ledger["dropped_by_rule"]),
        (&LINES.into(), &0.into()),
        "{ledger}"
    );
    let queue = &stats["dead_letter_queue"];
    assert_eq!((&queue["written_events"], &queue["last_error"]), (&LINES.into(), &"no errors".into()));
    assert_eq!(
        (&queue["storage_policy"], &queue["max_queue_size_in_bytes"]),
        (&"drop_newer".into(), &(1u64 << 30).into())
    );
    assert!(queue["queue_size_in_bytes"].as_u64() > Some(LINES as u64 * 200), "{queue}");
    let (_, metrics) = process.get("/metrics");
    for line in [
        format!("ferrostash_dead_letter_queue_written_events_total{{pipeline=\"main\"}} {LINES}"),
        format!("ferrostash_pipeline_events_dead_lettered_total{{pipeline=\"main\"}} {LINES}"),
    ] {
        assert!(metrics.contains(&line), "{metrics}");
    }
    process.stop();
    assert_eq!(place.segments("main"), ["1.log"]);
}

#[test]
fn what_was_settled_is_there_after_a_kill() {
    let place = Place::new();
    write_lines(&place);
    for letters in [1, LINES / 3, LINES / 2] {
        let mut process = place.pipeline(ALL_FAIL, &[]).start();
        wait_for_letters(&mut process, letters);
        process.kill();
    }
    let mut process = place.pipeline(ALL_FAIL, &[]).start();
    process.wait(|_| (numbers(&place).len() == LINES).then_some(()));
    process.stop();
}

#[test]
fn a_full_disk_holds_events_up_and_loses_none() {
    let place = Place::new();
    write_lines(&place);
    let mut process = place.pipeline(ALL_FAIL, &[]).start();
    process.limit_files(Some(200_000));
    process.wait_for("The dead letter queue can't be written");
    process.limit_files(None);
    wait_for_letters(&mut process, LINES);
    process.stop();
    assert_eq!((numbers(&place).len(), place.entries("main").len()), (LINES, LINES));
}

#[test]
fn a_full_queue_drops_what_is_newer_and_says_so() {
    let place = Place::new();
    write_lines(&place);
    let mut process = place.pipeline(ALL_FAIL, &["-S", "dead_letter_queue.max_bytes=200kb"]).start();
    let stats = loop {
        let stats = stats(&mut process);
        let ledger = &stats["ledger"];
        if ledger["dropped_by_rule"]
            .as_u64()
            .zip(ledger["dead_lettered"].as_u64())
            .is_some_and(|(a, b)| a + b == LINES as u64)
        {
            break stats;
        }
        process.wait(|_| Some(()));
    };
    let queue = &stats["dead_letter_queue"];
    assert_eq!(queue["dropped_events"], stats["ledger"]["dropped_by_rule"]);
    assert!(queue["last_error"].as_str().unwrap().contains("reached maxQueueSize of 204800"), "{queue}");
    process.stop();
    assert_eq!(place.entries("main").len() as u64, stats["ledger"]["dead_lettered"].as_u64().unwrap());
}

#[test]
fn another_pipeline_reads_the_queue_while_it_is_written() {
    let place = Place::new();
    write_lines(&place);
    std::fs::create_dir_all(place.path().join("data/dead_letter_queue/main")).unwrap();
    let conf = format!(
        "- pipeline.id: main\n  config.string: \"{}\"\n  dead_letter_queue.enable: true\n\
        - pipeline.id: reader\n  config.string: \"{}\"\n",
        ALL_FAIL.replace('\n', " "),
        "input { dead_letter_queue { path => 'PLACE/data/dead_letter_queue' clean_consumed => true } } \
         output { file { path => 'PLACE/read.json' codec => rubydebug { metadata => true } } }"
    )
    .replace("PLACE", &place.path().display().to_string());
    let start = Start::pipeline(&["--path.data", &place.data()]);
    start.file("config/pipelines.yml", conf);
    let mut process = start.start();
    let read = || std::fs::read_to_string(place.path().join("read.json")).unwrap_or_default();
    process.wait(|_| (read().matches("\"plugin_type\" => \"grok\"").count() == LINES).then_some(()));
    process.stop();
    assert_eq!(read().matches("_grokparsefailure: no pattern fits").count(), LINES);
}
