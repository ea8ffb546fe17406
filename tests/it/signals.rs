//! Signals and reloads while events flow: nothing is lost, and after an orderly stop nothing comes twice.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::{Ferrostash, Start, free_port, json_lines};

/// What outlives the processes of a test: lines to read, events written, the data folder.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a configuration of this name.
    fn conf(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn start(&self, conf: &Path, more: &[&str]) -> Ferrostash {
        let mut start = Start::pipeline(more).arg("--path.data").arg(self.path("data"));
        start = start.arg("-f").arg(conf);
        start.start()
    }

    /// From `lines.log` to `events.json`, with these filters.
    fn copy(&self, filters: &str) -> String {
        format!(
            "input {{ file {{ path => \"{0}/lines.log\" start_position => \"beginning\" sincedb_path => \"{0}/sincedb\" }} }} \
             filter {{ {filters} }} output {{ file {{ path => \"{0}/events.json\" }} }}",
            self.0.path().display()
        )
    }

    fn append(&self, numbers: std::ops::Range<usize>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path("lines.log")).unwrap();
        let lines: String = numbers.map(|n| format!("{n:06} {}\n", "x".repeat(60))).collect();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// How often each line came out.
    fn counts(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        let text = std::fs::read_to_string(self.path("events.json")).unwrap_or_default();
        for event in json_lines(&text) {
            let message = event["message"].as_str().unwrap();
            *counts.entry(message[..6].parse().unwrap()).or_default() += 1;
        }
        counts
    }

    /// Waits until so many different lines came out.
    fn wait_for(&self, process: &mut Ferrostash, lines: usize) {
        process.wait(|_| (self.counts().len() >= lines).then_some(()));
    }
}

const LINES: usize = 20_000;

#[test]
fn term_while_events_flow_loses_nothing_and_repeats_nothing() {
    let place = Place::new();
    let conf = place.conf("copy.conf", &place.copy(""));
    place.append(0..LINES);
    let mut stops = 0;
    for at_least in [1, LINES / 3, LINES / 2] {
        let mut process = place.start(&conf, &[]);
        place.wait_for(&mut process, at_least);
        process.stop();
        stops += usize::from(place.counts().len() < LINES);
    }
    assert!(stops > 0, "all was read before it was stopped: this has shown nothing");
    let mut process = place.start(&conf, &[]);
    place.wait_for(&mut process, LINES);
    process.stop();
    let counts = place.counts();
    assert_eq!(counts.len(), LINES);
    let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).take(10).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

#[test]
fn kill_while_events_flow_loses_nothing() {
    let place = Place::new();
    let conf = place.conf("copy.conf", &place.copy(""));
    place.append(0..LINES);
    let mut kills = 0;
    for at_least in [1, LINES / 2] {
        let mut process = place.start(&conf, &[]);
        place.wait_for(&mut process, at_least);
        process.kill();
        kills += usize::from(place.counts().len() < LINES);
    }
    assert!(kills > 0, "all was read before it was killed: this has shown nothing");
    let mut process = place.start(&conf, &[]);
    place.wait_for(&mut process, LINES);
    process.stop();
    let counts = place.counts();
    assert!(counts.keys().copied().eq(0..LINES), "a line is missing");
    // Per life no more comes twice than was read since the position was last written.
    let repeated: usize = counts.values().map(|count| count - 1).sum();
    assert!(repeated <= 2 * LINES, "{repeated} of {LINES}");
}

#[test]
fn the_second_interrupt_ends_it_at_once() {
    // An output that never takes anything holds up an orderly end.
    let text = "input { generator { count => 10 } } output { file { path => \"/dev/full\" } }";
    let mut process = Start::pipeline(&["-e", text]).start();
    process.wait_for("No space left on device");
    process.signal("INT");
    process.wait_for("SIGINT received. Shutting down.");
    process.signal("INT");
    let before = std::time::Instant::now();
    let finished = process.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.said().contains("SIGINT received. Terminating immediately"), "{finished:?}");
    assert!(before.elapsed().as_secs() < 5, "{:?}", before.elapsed());
}

#[test]
fn a_term_that_comes_twice_is_one() {
    let text = "input { generator { count => 10 } } output { file { path => \"/dev/full\" } }";
    let mut process = Start::pipeline(&["-e", text]).start();
    process.wait_for("No space left on device");
    process.signal("TERM");
    process.signal("TERM");
    let finished = process.finish();
    assert!(!finished.said().contains("Terminating immediately"), "{finished:?}");
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn a_reload_that_waits_for_the_old_pipeline_hears_signals() {
    let place = Place::new();
    let conf = |count| {
        format!("input {{ generator {{ count => {count} }} }} output {{ file {{ path => '/dev/full' }} }}")
    };
    let file = place.conf("blocked.conf", &conf(10));
    let mut process = place.start(&file, &[]);
    process.wait_for("No space left on device");
    place.conf("blocked.conf", &conf(11));
    process.signal("HUP");
    process.wait_for("Reloading pipeline");
    process.signal("TERM");
    process.wait_for("SIGTERM received. Shutting down.");
    process.signal("INT");
    let before = std::time::Instant::now();
    let finished = process.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.said().contains("SIGINT received. Terminating immediately"), "{finished:?}");
    assert_eq!(finished.said().matches("Pipeline started").count(), 1, "{finished:?}");
    assert!(before.elapsed().as_secs() < 5, "{:?}", before.elapsed());
}

#[test]
fn a_reload_that_is_asked_for_during_another_one_follows_it() {
    let place = Place::new();
    let target = place.path("events.json");
    let conf = |message: &str, target: &str| {
        format!(
            "input {{ generator {{ count => 1 message => {message} }} }} output {{ file {{ path => '{target}' }} }}"
        )
    };
    let file = place.conf("reload.conf", &conf("first", "/dev/full"));
    let mut process = place.start(&file, &[]);
    process.wait_for("No space left on device");
    place.conf("reload.conf", &conf("second", "/dev/null"));
    process.signal("HUP");
    process.wait_for("Reloading pipeline");
    place.conf("reload.conf", &conf("third", &target.display().to_string()));
    process.signal("HUP");
    let events = process.wait(|_| {
        let events = json_lines(&std::fs::read_to_string(&target).unwrap_or_default());
        (!events.is_empty()).then_some(events)
    });
    assert_eq!(events[0]["message"], "third");
    process.finish();
}

/// A pipeline from a tcp port that marks events with `mark`.
fn marking(port: u16, target: &Path, mark: &str) -> String {
    format!(
        "input {{ tcp {{ port => {port} host => \"127.0.0.1\" }} }} \
         filter {{ mutate {{ add_field => {{ \"mark\" => \"{mark}\" }} }} }} \
         output {{ file {{ path => \"{}\" }} }}",
        target.display()
    )
}

/// Sends a line over a new connection and gives the mark it got.
fn mark_of(process: &mut Ferrostash, port: u16, target: &Path, line: &str) -> String {
    let mut stream = process.connect(port);
    writeln!(stream, "{line}").unwrap();
    drop(stream);
    process.wait(|_| {
        let events = json_lines(&std::fs::read_to_string(target).unwrap_or_default());
        let event = events.into_iter().find(|event| event["message"] == line)?;
        Some(event["mark"].as_str().unwrap().to_owned())
    })
}

#[test]
fn hangup_reloads_and_a_broken_file_changes_nothing() {
    let (place, port) = (Place::new(), free_port());
    let target = place.path("events.json");
    let conf = place.conf("reload.conf", &marking(port, &target, "old"));
    let mut process = place.start(&conf, &[]);
    assert_eq!(mark_of(&mut process, port, &target, "first"), "old");

    place.conf("reload.conf", "filter { mutate { renam => { } } }");
    process.signal("HUP");
    process.wait_for("Unknown setting 'renam' for mutate");
    let stats = process.json("/_node/stats");
    assert_eq!(stats["reloads"]["failures"], 1, "{stats}");
    assert_eq!(stats["pipelines"]["main"]["reloads"]["failures"], 1);
    let error = &stats["pipelines"]["main"]["reloads"]["last_error"]["message"];
    assert!(error.as_str().unwrap().contains("Unknown setting 'renam'"), "{error}");
    assert_eq!(mark_of(&mut process, port, &target, "second"), "old");
    process.signal("HUP");
    process.wait(|process| (process.said().matches("Failed to execute action").count() == 2).then_some(()));

    place.conf("reload.conf", &marking(port, &target, "new"));
    process.signal("HUP");
    process.wait(|process| (process.said().matches("Pipeline started").count() == 2).then_some(()));
    assert_eq!(mark_of(&mut process, port, &target, "third"), "new");
    let stats = process.json("/_node/stats");
    assert_eq!(stats["reloads"]["successes"], 1);
    assert_eq!(stats["reloads"]["failures"], 2, "a signal asks again");
    process.stop();
    let events = json_lines(&std::fs::read_to_string(&target).unwrap());
    assert_eq!(events.len(), 3, "{events:?}");
}

#[test]
fn a_changed_file_is_noticed() {
    let (place, port) = (Place::new(), free_port());
    let target = place.path("events.json");
    let conf = place.conf("reload.conf", &marking(port, &target, "old"));
    let mut process = place.start(&conf, &["-r", "--config.reload.interval", "100ms"]);
    assert_eq!(mark_of(&mut process, port, &target, "first"), "old");

    place.conf("reload.conf", "filter { mutate { ");
    process.wait_for("Expected one of");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(process.json("/_node/stats")["reloads"]["failures"], 1, "a mistake is reported once");
    assert_eq!(mark_of(&mut process, port, &target, "second"), "old");

    place.conf("reload.conf", &marking(port, &target, "new"));
    process.wait(|process| (process.said().matches("Pipeline started").count() == 2).then_some(()));
    assert_eq!(mark_of(&mut process, port, &target, "third"), "new");
    process.stop();
}

#[test]
fn a_reload_while_a_file_is_read_loses_nothing_and_repeats_nothing() {
    let place = Place::new();
    let conf = place.conf("copy.conf", &place.copy(""));
    place.append(0..LINES);
    let mut process = place.start(&conf, &[]);
    place.wait_for(&mut process, 1);
    place.conf("copy.conf", &place.copy("mutate { add_tag => [\"new\"] }"));
    process.signal("HUP");
    place.wait_for(&mut process, LINES);
    process.stop();
    let counts = place.counts();
    assert_eq!(counts.values().sum::<usize>(), LINES);
}
