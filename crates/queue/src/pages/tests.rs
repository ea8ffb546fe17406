//! Tests on a model of a disk.

mod damage;
mod disk;
mod loss;
mod plain;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt as _;

use super::model::ModelFolder;
use super::*;

/// Outcomes of appends, by number.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<Vec<(u64, bool)>>>);

impl Outcomes {
    fn hear(&self, id: u64) -> OnDurable {
        let all = Arc::clone(&self.0);
        Box::new(move |outcome| all.lock().unwrap().push((id, outcome.is_ok())))
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn durable(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().filter(|(_, ok)| *ok).map(|(id, _)| *id).collect()
    }
}

fn options() -> PageOptions {
    PageOptions { page_bytes_max: 1000, bytes_max: 1 << 20, checkpoint_acks: 3, ..PageOptions::default() }
}

fn open(folder: &ModelFolder, options: PageOptions) -> (Arc<PageQueue>, Recovery) {
    PageQueue::open_in(Arc::new(folder.clone()), options, None).unwrap()
}

/// Bytes that are different for each number, and look like records here and there.
fn bytes_of(id: u64, count: usize) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend((0..count).map(|place| (id as usize * 31 + place * 7) as u8));
    if id.is_multiple_of(3) {
        bytes.extend(format::RECORD_MAGIC);
        bytes.extend([0; 40]);
    }
    bytes
}

fn id_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().unwrap())
}

/// Appends without waiting for room; whether it was taken.
fn append(queue: &PageQueue, bytes: Vec<u8>, events: u32, outcomes: &Outcomes) -> Option<u64> {
    let id = id_of(&bytes);
    queue.append(bytes, events, outcomes.hear(id)).now_or_never()?.ok()
}

/// All that is left, after which the queue takes no more.
fn read_all(queue: &PageQueue) -> Vec<Record> {
    queue.close_for_writing();
    let mut reader = queue.reader();
    run(async {
        let mut all = Vec::new();
        while let Some(record) = reader.next().await {
            all.push(record);
        }
        all
    })
}

fn run<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

fn close(queue: Arc<PageQueue>) {
    run(queue.close());
}

/// Waits for another thread; what never comes is a failure.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(10), "{what} never happened");
        std::thread::yield_now();
    }
}

/// A closed queue with these records of 3 events each.
fn filled(options: PageOptions, count: u64, size: usize) -> (ModelFolder, BTreeMap<u64, Vec<u8>>) {
    let folder = ModelFolder::new();
    let (queue, _) = open(&folder, options);
    let outcomes = Outcomes::default();
    let mut written = BTreeMap::new();
    for id in 1..=count {
        let bytes = bytes_of(id, size);
        assert_eq!(append(&queue, bytes.clone(), 3, &outcomes), Some(id));
        written.insert(id, bytes);
    }
    wait_until("the last write", || outcomes.durable().len() as u64 == count);
    close(queue);
    (folder, written)
}
