//! What is never lost: processes that are killed, queues on disk, outputs that are blocked.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferrostash_doubles::Elasticsearch;
use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ferrostash, PATIENCE, Start, is_balanced, json_lines, root};

/// Waits of the output that tests can afford.
const QUICK: &str = "retry_initial_interval => 0.05 retry_max_interval => 0.5 resurrect_delay => 0.1 \
                     manage_template => false document_id => 'auto' data_stream => false";
/// How often a process is killed, and lines that it gets each time.
const KILLS: usize = 20;
const LINES_EACH: usize = 500;

/// What outlives the processes of a test.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Appends lines to the log, numbered from `from`.
    fn append(&self, from: usize, count: usize) {
        let path = self.path("lines.log");
        let mut log = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        let lines: String = (from..from + count).map(|number| format!("line {number:06}\n")).collect();
        log.write_all(lines.as_bytes()).unwrap();
    }

    fn input(&self) -> String {
        let folder = self.0.path().display();
        format!(
            "input {{ file {{ path => '{folder}/lines.log' start_position => 'beginning' sincedb_path => '{folder}/sincedb'
                sincedb_write_interval => 0.05 stat_interval => '20ms' }} }}"
        )
    }

    fn pipeline(&self, settings: &[&str], config: &str) -> Start {
        let mut start = Start::pipeline(&["--path.data"]).arg(self.path("data"));
        for setting in settings {
            start = start.arg("-S").arg(setting);
        }
        start.arg("-e").arg(config)
    }
}

fn lines(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("line {number:06}")).collect()
}

fn lost_and_repeated(cluster: &Elasticsearch, lines: &[String]) -> (Vec<String>, usize) {
    let documents = cluster.state().documents.clone();
    (documents.lost(lines.iter().map(String::as_str)), documents.duplicates())
}

fn stats(process: &mut Ferrostash) -> Value {
    process.json("/_node/stats/pipelines/main")["pipelines"]["main"].clone()
}

fn sum(ledger: &Value, names: &[&str]) -> u64 {
    names.iter().map(|name| ledger[*name].as_u64().unwrap()).sum()
}

/// The accounts of the pipeline and of its outputs, once nothing moves any more.
fn assert_balanced(process: &mut Ferrostash) {
    let stats = process.wait(|process| {
        let text = process.ask("/_node/stats/pipelines/main")?.1;
        let stats: Value = serde_json::from_str(&text).ok()?;
        let stats = stats["pipelines"]["main"].clone();
        (stats["ledger"]["in_flight"] == 0 && stats["queue"]["events_count"] == 0).then_some(stats)
    });
    let ledger = &stats["ledger"];
    assert!(is_balanced(ledger), "{ledger}");
    for output in stats["plugins"]["outputs"].as_array().unwrap() {
        let ledger = &output["ledger"];
        assert_eq!(
            sum(ledger, &["offered", "recovered"]),
            sum(ledger, &["accepted", "dead_lettered", "dropped_by_rule", "abandoned", "waiting"]),
            "{ledger}"
        );
    }
}

/// Reliability test 1: kills at any time, with a persisted queue and without.
#[test]
fn a_process_that_is_killed_twenty_times_loses_and_repeats_nothing() {
    let each = ["queue.type=persisted", "queue.type=memory"].map(|queue| {
        std::thread::spawn(move || {
            let (place, cluster) = (Place::new(), Elasticsearch::start());
            let output = format!("output {{ elasticsearch {{ hosts => '{}' {QUICK} }} }}", cluster.url());
            let config = format!("{} {output}", place.input());
            let mut seed = 7_u64;
            for kill in 0..KILLS {
                place.append(kill * LINES_EACH, LINES_EACH);
                let process = place.pipeline(&[queue], &config).start();
                // From before the first event to well behind the last one.
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                std::thread::sleep(Duration::from_millis(5 + (seed >> 33) % 250));
                process.kill();
            }
            let all = lines(KILLS * LINES_EACH);
            let mut process = place.pipeline(&[queue], &config).start();
            process.wait(|_| cluster.at_least(all.len()));
            assert_balanced(&mut process);
            process.stop();
            assert_eq!(lost_and_repeated(&cluster, &all), (Vec::new(), 0), "{queue}");
        })
    });
    each.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Reliability test 2 on the whole process: killed at each named point, and once more while it recovers.
#[test]
fn a_process_that_dies_at_any_named_point_loses_nothing() {
    let points = [
        "page.create.before",
        "page.create.after",
        "record.write.before",
        "record.write.after",
        "record.sync.after",
        "page.seal.before",
        "page.seal.after",
        "page.delete.before",
        "page.delete.after",
        "checkpoint.write.before",
        "checkpoint.write.after",
        "checkpoint.sync.after",
        "sincedb.write.before",
        "sincedb.write.after",
        "sincedb.rename.after",
    ];
    let (place, cluster) = (Place::new(), Elasticsearch::start());
    let output = format!("output {{ elasticsearch {{ hosts => '{}' {QUICK} }} }}", cluster.url());
    let config = format!("{} {output}", place.input());
    // Pages so small that they are sealed and deleted all the time.
    let settings = [
        "queue.type=persisted",
        "queue.page_capacity=32kb",
        "queue.max_bytes=10mb",
        "queue.checkpoint.acks=4",
        "pipeline.batch.size=5",
    ];
    let (mut count, mut crashes) = (0, 0);
    for point in points {
        for time in [1, 3] {
            place.append(count, LINES_EACH);
            count += LINES_EACH;
            let armed = format!("{point}:{time}");
            let start = place.pipeline(&settings, &config).env("FERROSTASH_CRASH_AT", &armed);
            let mut process = start.start();
            // A point may be passed less often than that.
            crashes += usize::from(process.died_before(|| cluster.documents().len() >= count));
            process.kill();
        }
    }
    let all = lines(count);
    let mut process = place.pipeline(&settings, &config).start();
    process.wait(|_| cluster.at_least(all.len()));
    assert_balanced(&mut process);
    process.stop();
    assert_eq!(lost_and_repeated(&cluster, &all), (Vec::new(), 0));
    assert!(crashes >= points.len(), "only {crashes} crashes: the test is void");
}

/// The same for the dead letter queue: an input is told only what is on disk.
#[test]
fn a_process_that_dies_at_any_named_point_keeps_every_dead_letter() {
    let points =
        ["dlq.write.before", "dlq.write.after", "dlq.sync.after", "dlq.seal.before", "dlq.seal.after"];
    let place = Place::new();
    // A text is no number: each event is a dead letter.
    let config =
        format!("{} filter {{ if [message] > 5 {{ drop {{}} }} }} output {{ null {{}} }}", place.input());
    let settings = ["dead_letter_queue.enable=true", "dead_letter_queue.flush_interval=1000"];
    let queue = place.path("data/dead_letter_queue/main");
    let (mut count, mut crashes) = (0, 0);
    for point in points {
        place.append(count, LINES_EACH);
        count += LINES_EACH;
        let mut process = place.pipeline(&settings, &config).env("FERROSTASH_CRASH_AT", point).start();
        let begun = Instant::now();
        // Segments are sealed after a second.
        crashes += usize::from(process.died_before(|| begun.elapsed() > Duration::from_secs(5)));
        process.kill();
    }
    let process = place.pipeline(&settings, &config).start();
    let all = lines(count);
    let shown = || {
        let shown = Start::plain(&["dlq", "show", "main", "--path.data"]).arg(place.path("data")).finish();
        let text = &shown.stdout;
        let found: HashSet<&str> = text
            .match_indices("line ")
            .filter_map(|(at, _)| text.get(at..at + "line 000000".len()))
            .collect();
        all.iter().filter(|line| !found.contains(line.as_str())).count()
    };
    let begun = Instant::now();
    while shown() > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} letters are missing in {}", shown(), queue.display());
    }
    process.stop();
    assert_eq!(crashes, points.len(), "the test is void");
}

/// Reliability test 11: one of two clusters takes nothing, also over a restart.
#[test]
fn an_output_that_is_blocked_holds_up_nobody_and_gets_everything_later() {
    let (place, free, blocked) = (Place::new(), Elasticsearch::start(), Elasticsearch::start());
    blocked.stop();
    let output = |id: &str, cluster: &Elasticsearch| {
        format!("elasticsearch {{ id => '{id}' hosts => '{}' {QUICK} }}", cluster.url())
    };
    let outputs = [output("free", &free), output("blocked", &blocked)].concat();
    let config = format!("{} output {{ {outputs} }}", place.input());
    // Small batches, so that the queue of the blocked one is full soon.
    let settings = ["pipeline.batch.size=50"];
    let all = lines(20_000);
    place.append(0, 15_000);
    let mut process = place.pipeline(&settings, &config).start();
    process.wait(|_| free.at_least(15_000));
    let queues = stats(&mut process)["output_queues"].clone();
    assert_eq!(queues[1]["spill"]["is_active"], true, "{queues}");
    assert!(queues[0]["spill"]["is_active"] == false && blocked.documents().is_empty());
    process.stop();

    place.append(15_000, 5_000);
    let mut process = place.pipeline(&settings, &config).start();
    process.wait(|_| free.at_least(20_000));
    let recovered = stats(&mut process)["plugins"]["outputs"][1]["ledger"]["recovered"].as_u64().unwrap();
    assert!(recovered > 5_000, "{recovered} events were on disk");
    blocked.restart();
    process.wait(|_| blocked.at_least(20_000));
    assert_balanced(&mut process);
    process.stop();
    for cluster in [free, blocked] {
        assert_eq!(lost_and_repeated(&cluster, &all), (Vec::new(), 0));
    }
}

/// Reliability tests 5 and 6 on the whole process: a page with a broken place costs what was there, and is told.
#[test]
fn a_damaged_queue_gives_what_is_intact_and_is_not_green() {
    let (place, cluster) = (Place::new(), Elasticsearch::start());
    cluster.stop();
    let output = format!("output {{ elasticsearch {{ hosts => '{}' {QUICK} }} }}", cluster.url());
    let config = format!("{} {output}", place.input());
    let settings = ["queue.type=persisted"];
    place.append(0, 5_000);
    let mut process = place.pipeline(&settings, &config).start();
    process.wait(|process| {
        let stats: Value = serde_json::from_str(&process.ask("/_node/stats/pipelines/main")?.1).ok()?;
        (stats["pipelines"]["main"]["queue"]["events_count"] == 5_000).then_some(())
    });
    assert_eq!(process.json("/")["status"], "green");
    process.stop();
    let page = place.path("data/queue/main/1.page");
    let mut bytes = std::fs::read(&page).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16].fill(0xaa);
    std::fs::write(&page, bytes).unwrap();

    cluster.restart();
    let mut process = place.pipeline(&settings, &config).start();
    process.wait(|_| cluster.at_least(3_000));
    assert_balanced(&mut process);
    let damaged = stats(&mut process)["queue"]["damaged"]["events"].as_u64().unwrap();
    assert!((1..2_000).contains(&damaged), "{damaged}");
    assert_eq!(cluster.documents().len() as u64 + damaged, 5_000);
    assert_eq!(process.json("/")["status"], "yellow");
    assert!(std::fs::read_dir(place.path("data/queue/main/damaged")).unwrap().count() > 0);
    assert_eq!(process.stop().code, Some(0));
    let (_, repeated) = lost_and_repeated(&cluster, &[]);
    assert_eq!(repeated, 0);
}

/// The queue that the real Logstash left behind, taken over and drained.
#[test]
fn a_queue_of_logstash_is_taken_over_checked_and_drained() {
    let place = Place::new();
    let (fixture, queue) =
        (root().join("tests/fixtures/logstash/persisted-queue"), place.path("data/queue/main"));
    unpack(&fixture, &queue);
    let config = place.path("drain.conf");
    let out = place.path("out.json");
    let text = format!(
        "input {{ stdin {{}} }} output {{ file {{ path => '{}' codec => json_lines }} }}",
        out.display()
    );
    std::fs::write(&config, text).unwrap();
    let run = |arguments: &[&str]| {
        let mut start = Start::plain(&["queue"]);
        for argument in arguments {
            start = start.arg(argument);
        }
        start.arg("--path.data").arg(place.path("data")).arg("main").finish()
    };
    let config = config.display().to_string();

    let refused = place.pipeline(&["queue.type=persisted"], "input { stdin {} } output { null {} }").finish();
    assert!(refused.said().contains("ferrostash queue import"), "{}", refused.said());
    let imported = run(&["import"]);
    assert!(imported.code == Some(0), "{}", imported.said());
    assert!(imported.said().contains("600 events were taken over"), "{}", imported.said());
    assert!(place.path("data/queue/main.logstash").join("checkpoint.head").exists());
    let checked = run(&["check"]);
    assert!(checked.code == Some(0) && checked.said().contains("600"), "{}", checked.said());
    let drained = run(&["drain", "-f", &config]);
    assert!(drained.code == Some(0), "{}", drained.said());
    assert!(drained.said().contains("600 events were taken out, 0 are left"), "{}", drained.said());
    let again = run(&["drain", "-f", &config]);
    assert!(again.said().contains("0 events were taken out, 0 are left"), "{}", again.said());

    let mut recorded = String::new();
    let mut packed = GzDecoder::new(std::fs::File::open(fixture.join("events.json.gz")).unwrap());
    packed.read_to_string(&mut recorded).unwrap();
    // What the recording made of `@metadata`, and the name of the host, which it replaced.
    let comparable = |text: &str| {
        let mut events = json_lines(text);
        events.iter_mut().for_each(|event| {
            event.as_object_mut().unwrap().retain(|name, _| !["_metadata", "host"].contains(&name.as_str()));
        });
        events.sort_by_key(|event| event["event"]["sequence"].as_u64());
        events
    };
    assert_eq!(comparable(&std::fs::read_to_string(out).unwrap()), comparable(&recorded));
}

/// Copies a folder, unpacking what is packed.
fn unpack(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut file = std::fs::File::open(&path).unwrap();
        match name.strip_suffix(".gz") {
            Some("events.json") => {}
            Some(name) => {
                let mut target = std::fs::File::create(to.join(name)).unwrap();
                std::io::copy(&mut GzDecoder::new(file), &mut target).unwrap();
            }
            None => {
                let mut target = std::fs::File::create(to.join(&name)).unwrap();
                std::io::copy(&mut file, &mut target).unwrap();
            }
        }
    }
}
