//! Kills a process at every named point of its work with a queue, and looks at what is left.
//!
//! The child is this test binary itself: it appends, reads and acks until the armed point ends it, and writes down what
//! it was told.

#![allow(clippy::unwrap_used, reason = "tests fail loudly, and so do their helpers")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use ferrostash_queue::crash::CRASH_VARIABLE;
use ferrostash_queue::pages::{OnDurable, PageOptions, PageQueue, Record, check};

/// Where the child is told where to work.
const FOLDER_VARIABLE: &str = "FERROSTASH_CRASH_TEST_FOLDER";
const RECORDS: u64 = 60;

/// Every point that work or recovery passes.
const POINTS: [&str; 14] = [
    "page.create.before",
    "page.create.after",
    "record.write.before",
    "record.write.after",
    "record.sync.after",
    "page.seal.before",
    "page.seal.after",
    "checkpoint.write.before",
    "checkpoint.write.after",
    "checkpoint.sync.after",
    "page.delete.before",
    "page.delete.after",
    "recover.cut.before",
    "recover.cut.after",
];

fn options() -> PageOptions {
    PageOptions { page_bytes_max: 2000, checkpoint_acks: 4, ..PageOptions::default() }
}

fn bytes_of(id: u64) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.resize(200, id as u8);
    bytes
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// The work of the child; as a test of its own it does nothing.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let folder = Path::new(&folder);
    let log = OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let log = Arc::new(Mutex::new(log));
    let first = told(folder).keys().max().map_or(1, |id| id + 1);
    let (queue, _) = PageQueue::open(&folder.join("queue"), options()).unwrap();
    run(async {
        let (mut reader, mut waiting) = (queue.reader(), Vec::new());
        for id in first..first + RECORDS {
            let log = Arc::clone(&log);
            let hear: OnDurable = Box::new(move |outcome| {
                outcome.unwrap();
                log.lock().unwrap().write_all(format!("durable {id}\n").as_bytes()).unwrap();
            });
            queue.append(bytes_of(id), 2, hear).await.unwrap();
            let record = reader.next().await.unwrap();
            waiting.push(record);
            // Three of four and late, so that pages go and records stay.
            if id % 10 == 9 && id % 40 < 30 {
                for record in waiting.drain(..) {
                    tell(&folder.join("log"), &format!("acked {}\n", id_of(&record)));
                    queue.ack(record.number);
                }
            }
        }
        queue.close().await;
    });
}

fn tell(log: &Path, line: &str) {
    OpenOptions::new().append(true).open(log).unwrap().write_all(line.as_bytes()).unwrap();
}

fn id_of(record: &Record) -> u64 {
    u64::from_le_bytes(*record.bytes.first_chunk().unwrap())
}

/// By record: whether it was reported durable, and whether it was acked.
fn told(folder: &Path) -> BTreeMap<u64, (bool, bool)> {
    let mut all: BTreeMap<u64, (bool, bool)> = BTreeMap::new();
    for line in std::fs::read_to_string(folder.join("log")).unwrap_or_default().lines() {
        let (what, id) = line.split_once(' ').unwrap();
        let entry = all.entry(id.parse().unwrap()).or_default();
        if what == "durable" { entry.0 = true } else { entry.1 = true }
    }
    all
}

/// Whether the child died at the point.
fn child_dies(folder: &Path, point: &str) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--quiet"])
        .env(FOLDER_VARIABLE, folder)
        .env(CRASH_VARIABLE, point)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success() || status.signal() == Some(6), "{point}: {status}");
    !status.success()
}

/// All that a start would give out.
fn left(folder: &Path) -> Vec<u64> {
    let (queue, recovery) = PageQueue::open(&folder.join("queue"), options()).unwrap();
    assert!(!recovery.damaged.any(), "{recovery:?}");
    queue.close_for_writing();
    let records = run(async {
        let mut reader = queue.reader();
        let mut records = Vec::new();
        while let Some(record) = reader.next().await {
            assert_eq!(record.bytes, bytes_of(id_of(&record)));
            records.push(id_of(&record));
        }
        assert!(!queue.stats().damaged.any());
        queue.close().await;
        records
    });
    assert!(records.is_sorted());
    records
}

#[test]
fn what_was_durable_is_there_after_a_crash_at_any_point_and_another_in_recovery() {
    for point in POINTS {
        let mut deaths = 0;
        for nth in [1, 2, 7] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path();
            deaths += u32::from(child_dies(folder, &format!("{point}:{nth}")));
            // Again, in what the next start does first.
            for again in ["checkpoint.write.after", "recover.cut.before", "recover.cut.after", point] {
                deaths += u32::from(child_dies(folder, again));
            }
            if folder.join("queue").exists() {
                let report = check(&folder.join("queue")).unwrap();
                assert!(!report.is_damaged(), "{point}:{nth} {report}");
            }
            let first = left(folder);
            assert_eq!(first, left(folder), "{point}:{nth}: a second recovery changes nothing");
            let there: BTreeSet<u64> = first.into_iter().collect();
            for (id, (durable, acked)) in told(folder) {
                assert!(!durable || acked || there.contains(&id), "{point}:{nth} lost {id}");
            }
        }
        assert!(deaths > 3, "{point} is never reached");
    }
}
