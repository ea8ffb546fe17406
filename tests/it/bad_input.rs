//! What strangers, typing errors and full disks bring: a clear word about it, and nothing else is lost.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Ferrostash, Finished, Start, free_port, json_lines};

/// The most memory that a hostile line may cost, in bytes.
const MEMORY_MAX: u64 = 150 << 20;
/// Bytes of a line that never ends.
const ENDLESS_BYTES: u64 = 1 << 30;

const TO_STDOUT: &str = "output { stdout { codec => json_lines } }";

/// Starts a pipeline that must not come up; it has to end with exit code 1 and these words.
fn refused(start: Start, words: &[&str]) -> Finished {
    let finished = start.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let said = finished.said();
    for word in words {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    finished
}

/// As [`refused`], for a file `bad.conf` with this text.
fn refused_text(text: impl AsRef<[u8]>, words: &[&str]) {
    let start = Start::pipeline(&["-f"]);
    let path = start.file("bad.conf", text);
    refused(start.arg(path), words);
}

/// Runs standard input through `codec` to its end.
fn through(codec: &str, bytes: impl AsRef<[u8]>) -> Vec<Value> {
    let text = format!("input {{ stdin {{ codec => {codec} }} }} {TO_STDOUT}");
    let finished = Start::pipeline(&["-e", &text]).stdin(bytes).finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.events()
}

fn has_tag(event: &Value, tag: &str) -> bool {
    event["tags"].as_array().is_some_and(|tags| tags.iter().any(|other| other == tag))
}

fn messages(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["message"].as_str()).collect()
}

// ---- configurations

#[test]
fn a_configuration_that_cannot_be_read() {
    let start = Start::pipeline(&["-f"]);
    let path = start.folder().join("loop.conf");
    std::os::unix::fs::symlink(&path, &path).unwrap();
    refused(start.arg(&path), &["loop.conf"]);
    // Its own memory is a file that opens and can't be read.
    refused(Start::pipeline(&["-f", "/proc/self/mem"]), &["cannot read /proc/self/mem"]);
}

#[test]
fn a_configuration_that_is_not_utf_8() {
    refused_text(
        b"input { stdin { } }\nfilter { mutate { add_tag => \"M\xfcller\" } }\n",
        &["bad.conf", "UTF-8", "2"],
    );
}

#[test]
fn a_file_that_is_not_there() {
    let words =
        ["no such configuration file: no/such.conf", "No configuration found in the configured sources."];
    refused(Start::pipeline(&["-f", "no/such.conf"]), &words);
}

#[test]
fn a_configuration_with_nothing_in_it() {
    let words = ["there is no input", "Missing Filter End Vertex"];
    refused_text("# nothing\n", &words);
    refused_text("output { stdout { } }\n", &words);
}

#[test]
fn an_unknown_plugin() {
    let words = ["bad.conf:2:10", "did you mean `mutate`?", "Couldn't find any filter plugin named 'mutat'"];
    refused_text("input { stdin { } }\nfilter { mutat { } }\n", &words);
}

#[test]
fn an_unknown_option() {
    let words = ["bad.conf:2:19", "did you mean `rename`?", "Unknown setting 'renam' for mutate"];
    refused_text("input { stdin { } }\nfilter { mutate { renam => { \"a\" => \"b\" } } }\n", &words);
}

#[test]
fn an_unknown_setting() {
    let start = Start::pipeline(&["-e", "input { stdin { } }"]);
    start.file("config/logstash.yml", "pipeline.wrokers: 2\n");
    refused(
        start,
        &["logstash.yml:1:1", "unknown setting `pipeline.wrokers`", "did you mean `pipeline.workers`?"],
    );
}

#[test]
fn an_option_of_the_wrong_type() {
    let words = ["bad.conf:1:32", "port", "Expected number", "got \"many\""];
    refused_text("input { tcp { id => xy port => \"many\" } }\n", &words);
}

#[test]
fn a_missing_variable() {
    let words = ["bad.conf:1:", "NOBODY_SETS_THIS"];
    refused_text("input { stdin { type => \"${NOBODY_SETS_THIS}\" } }\n", &words);
}

#[test]
fn a_broken_regular_expression() {
    let words = ["bad.conf:2:", "end pattern with unmatched parenthesis"];
    refused_text("input { stdin { } }\nfilter { mutate { gsub => [\"message\", \"(b\", \"\"] } }\n", &words);
    refused_text("input { stdin { } }\nfilter { if [a] =~ /(a/ { drop { } } }\n", &words);
}

#[test]
fn a_broken_grok_pattern() {
    let line = |pattern: &str| {
        format!(
            "input {{ stdin {{ }} }}\nfilter {{ grok {{ match => {{ \"message\" => \"{pattern}\" }} }} }}\n"
        )
    };
    refused_text(line("%{NOSUCHPATTERN:x}"), &["bad.conf:2:", "pattern %{NOSUCHPATTERN:x} not defined"]);
    refused_text(line("(%{WORD:x}"), &["bad.conf:2:", "end pattern with unmatched parenthesis"]);
}

// ---- ports and folders

#[test]
fn a_taken_port_of_the_tcp_input() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let text = format!("input {{ tcp {{ port => {port} host => \"127.0.0.1\" }} }} {TO_STDOUT}");
    refused(Start::pipeline(&["-e", &text]), &["tcp", &port, "in use"]);
}

#[test]
fn a_taken_port_of_the_api() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let words = ["the API can't be started", &port, "in use", "api.http.port"];
    refused(Start::plain(&["-e", "input { stdin { } }", "--api.http.port", &port]), &words);
}

#[test]
fn a_file_in_the_place_of_path_data() {
    let start = Start::pipeline(&["-e", "input { stdin { } }", "--path.data"]);
    let path = start.file("in-the-way", "keep me");
    let named = path.display().to_string();
    let finished = start.arg(&path).start();
    let finished = finished.finish_then(|| assert_eq!(std::fs::read_to_string(&path).unwrap(), "keep me"));
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.said().contains("path.data") && finished.said().contains(&named), "{finished:?}");
}

#[test]
fn a_path_data_that_another_instance_has() {
    let data = tempfile::tempdir().unwrap();
    let text = "input { heartbeat { interval => 60 } }";
    let path = data.path().to_str().unwrap();
    let mut first = Start::pipeline(&["-e", text, "--path.data", path]).start();
    first.get("/");
    let words = ["there is already another instance using the configured data directory", path, "path.data"];
    refused(Start::pipeline(&["-e", text, "--path.data", path]), &words);
    first.stop();
    Start::pipeline(&["-e", "input { generator { count => 1 } }", "--path.data", path]).start().finish();
}

// ---- events

#[test]
fn a_line_that_is_no_json_among_good_ones() {
    let events = through("json_lines", "{\"n\": 1}\n{\"n\": 2,,}\n{\"n\": 3}\n");
    let numbers: Vec<_> = events.iter().map(|event| event["n"].clone()).collect();
    assert_eq!(numbers, [json!(1), Value::Null, json!(3)]);
    assert_eq!(events[1]["message"], "{\"n\": 2,,}");
    assert!(has_tag(&events[1], "_jsonparsefailure"), "{events:?}");
}

#[test]
fn a_line_that_is_not_utf_8() {
    let events = through("line", b"good\nM\xfcller\nbetter\n");
    assert_eq!(messages(&events), ["good", "M\\xFCller", "better"]);
}

#[test]
fn the_log_names_the_input_that_read_a_bad_line() {
    let text = "input { stdin { id => \"my_input\" } } output { null { } }";
    let Finished { stdout, stderr, .. } = Start::pipeline(&["-e", text]).stdin(b"M\xfcller\n").finish();
    let said = format!("{stdout}{stderr}");
    assert!(said.contains("[my_input] Received an event that has a different character encoding"), "{said}");
}

#[test]
fn json_ten_thousand_levels_deep() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let events = through("json_lines", format!("{{\"n\": 1}}\n{{\"deep\": {deep}}}\n{{\"n\": 2}}\n"));
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(has_tag(&events[1], "_jsonparsefailure"), "{}", events[1]["tags"]);
    assert_eq!((&events[0]["n"], &events[2]["n"]), (&json!(1), &json!(2)));
    // And as text in a field, which the filter is asked to read.
    let text = format!("input {{ stdin {{ }} }} filter {{ json {{ source => message }} }} {TO_STDOUT}");
    let finished =
        Start::pipeline(&["-e", &text]).stdin(format!("{{\"deep\": {deep}}}\n{{\"n\": 2}}\n")).finish();
    let events = finished.events();
    assert_eq!(finished.code, Some(0));
    assert!(has_tag(&events[0], "_jsonparsefailure"), "{}", events[0]["tags"]);
    assert_eq!(events[1]["n"], 2);
}

/// The filters of somebody who doesn't want to store a gigabyte; what is left says how the line was marked.
const SHORTEN: &str = "filter { mutate { remove_field => [\"[event][original]\"] } \
    if \"_line_too_long\" in [tags] or \"_linetoolong\" in [tags] { mutate { remove_field => [\"message\"] } } }";

#[test]
fn a_file_with_an_endless_line() {
    let text = format!(
        "input {{ file {{ path => \"${{LINES}}\" start_position => \"beginning\" }} }} {SHORTEN} {TO_STDOUT}"
    );
    let start = Start::pipeline(&["-e", &text]);
    let path = start.file("endless.log", "first\n");
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    // A hole in the file: it is read like any other byte, and takes no disk.
    file.seek(SeekFrom::Start(ENDLESS_BYTES)).unwrap();
    file.write_all(b"\nlast\n").unwrap();
    let mut process = start.env("LINES", &path).start();
    let events = process.events_at_least(3);
    assert_eq!(messages(&events), ["first", "last"]);
    assert!(events.iter().any(|event| has_tag(event, "_line_too_long")), "{events:?}");
    assert!(process.peak_bytes() < MEMORY_MAX, "{} MiB", process.peak_bytes() >> 20);
    process.stop();
}

#[test]
fn a_client_with_an_endless_line() {
    let port = free_port();
    let text = format!("input {{ tcp {{ port => {port} host => \"127.0.0.1\" }} }} {SHORTEN} {TO_STDOUT}");
    let mut process = Start::pipeline(&["-e", &text]).start();
    let mut hostile = process.connect(port);
    let block = vec![b'x'; 1 << 20];
    for _ in 0..ENDLESS_BYTES >> 20 {
        hostile.write_all(&block).unwrap();
    }
    hostile.write_all(b"\nlast\n").unwrap();
    let mut other = process.connect(port);
    other.write_all(b"other\n").unwrap();
    let events = process.events_at_least(3);
    let mut whole = messages(&events);
    whole.sort_unstable();
    assert_eq!(whole, ["last", "other"]);
    assert!(events.iter().any(|event| has_tag(event, "_linetoolong")), "{events:?}");
    assert!(process.peak_bytes() < MEMORY_MAX, "{} MiB", process.peak_bytes() >> 20);
    process.stop();
}

/// Ends a connection with a reset, as a machine does that crashes.
fn reset(stream: TcpStream) {
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_client_that_vanishes_in_the_middle_of_a_line() {
    let port = free_port();
    let text = format!("input {{ tcp {{ port => {port} host => \"127.0.0.1\" }} }} {TO_STDOUT}");
    let mut process = Start::pipeline(&["-e", &text]).start();
    let mut vanishing = process.connect(port);
    vanishing.write_all(b"one\ntwo\nhal").unwrap();
    process.events_at_least(2);
    reset(vanishing);
    let mut other = process.connect(port);
    other.write_all(b"three\n").unwrap();
    drop(other);
    let events = process.wait(|process| {
        Some(process.events()).filter(|events| messages(events).contains(&"three") && events.len() == 4)
    });
    let mut messages = messages(&events);
    messages.sort_unstable();
    assert_eq!(messages, ["hal", "one", "three", "two"], "what has come is kept");
    process.stop();
}

// ---- disks

/// A pipeline from a tcp port into a file, and the port.
fn to_file(target: &Path) -> (Ferrostash, u16) {
    let port = free_port();
    let text = format!(
        "input {{ tcp {{ port => {port} host => \"127.0.0.1\" codec => json_lines }} }} \
         output {{ file {{ path => \"{}\" }} }}",
        target.display()
    );
    (Start::pipeline(&["-e", &text, "-w", "1"]).start(), port)
}

fn send_numbers(process: &mut Ferrostash, port: u16, count: u64) {
    let mut stream = process.connect(port);
    for n in 0..count {
        writeln!(stream, "{{\"n\": {n}, \"filling\": \"{}\"}}", "x".repeat(100)).unwrap();
    }
}

/// The numbers in a file, once there are as many.
fn wait_for_numbers(process: &mut Ferrostash, target: &Path, count: u64) {
    let numbers: Vec<_> = process.wait(|_| {
        let lines = json_lines(&std::fs::read_to_string(target).unwrap_or_default());
        let numbers: Vec<_> = lines.iter().filter_map(|event| event["n"].as_u64()).collect();
        Some(numbers).filter(|numbers| numbers.len() as u64 >= count)
    });
    assert!(numbers.iter().copied().eq(0..count), "{numbers:?}");
}

#[test]
fn a_disk_that_is_full_and_has_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("events.json");
    let (mut process, port) = to_file(&target);
    process.wait_for("Pipeline started");
    process.limit_files(Some(50_000));
    send_numbers(&mut process, port, 2_000);
    process.wait_for("can't be written, trying again");
    let so_far = std::fs::read_to_string(&target).unwrap();
    assert!(so_far.is_empty() || so_far.ends_with('\n'), "a line is torn");
    process.limit_files(None);
    wait_for_numbers(&mut process, &target, 2_000);
    let stats = process.json("/_node/stats/pipelines/main");
    assert_eq!(stats["pipelines"]["main"]["ledger"]["abandoned"], 0);
    process.stop();
}

#[test]
fn a_disk_that_stays_full() {
    let dir = tempfile::tempdir().unwrap();
    let lines = dir.path().join("lines.log");
    std::fs::write(&lines, "one\ntwo\nthree\n").unwrap();
    let (sincedb, data) = (dir.path().join("sincedb"), dir.path().join("data"));
    let start = |target: &str| {
        let text = format!(
            "input {{ file {{ path => \"{}\" start_position => \"beginning\" sincedb_path => \"{}\" }} }} \
             output {{ file {{ path => \"{target}\" }} }}",
            lines.display(),
            sincedb.display(),
        );
        Start::pipeline(&["-e", &text, "--path.data"]).arg(&data).start()
    };
    let mut process = start("/dev/full");
    process.wait_for("No space left on device");
    process.signal("TERM");
    process.wait_for("SIGTERM received");
    process.signal("INT");
    let finished = process.finish();
    assert_eq!(finished.code, Some(1), "asked twice, it ends with what it has: {finished:?}");
    assert!(finished.said().contains("/dev/full"), "{finished:?}");

    // What could not be written was not given up: the next run reads it again.
    let target = dir.path().join("events.json");
    let mut process = start(target.to_str().unwrap());
    process.wait(|_| {
        let lines = json_lines(&std::fs::read_to_string(&target).unwrap_or_default());
        (messages(&lines) == ["one", "two", "three"]).then_some(())
    });
    process.stop();
}

#[test]
fn a_folder_that_is_missing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("not/there/yet/events.json");
    let (mut process, port) = to_file(&target);
    send_numbers(&mut process, port, 10);
    wait_for_numbers(&mut process, &target, 10);
    process.stop();
}

#[test]
fn a_folder_that_cannot_be_written_to() {
    let dir = tempfile::tempdir().unwrap();
    // Root may write into any folder; nobody may write into a file as if it were one.
    let blocked = dir.path().join("blocked");
    File::create(&blocked).unwrap();
    let target = blocked.join("events.json");
    let (mut process, port) = to_file(&target);
    send_numbers(&mut process, port, 10);
    process.wait_for("can't be written, trying again");
    assert!(process.said().contains(target.to_str().unwrap()), "{}", process.said());
    std::fs::remove_file(&blocked).unwrap();
    wait_for_numbers(&mut process, &target, 10);
    process.stop();
}
