//! Measures what pages take and give: `cargo run --release -p ferrostash-queue --example pages -- FOLDER [none|speed|balanced]`.
//!
//! Records of 256 KiB, as a pipeline makes them out of events of 500 bytes, by several tasks; then all of it is read back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ferrostash_queue::pages::{Compression, PageOptions, PageQueue};

const RECORD_BYTES: usize = 256 << 10;
const EVENT_BYTES: usize = 500;
const BYTES: u64 = 4 << 30;
const TASKS: u64 = 4;

/// Processor time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect())
        .unwrap_or_default();
    Duration::from_millis(fields.iter().sum::<u64>() * 10)
}

fn text() -> Vec<u8> {
    let line = |number: usize| {
        let mut line = format!(
            "{{\"message\":\"192.0.2.{} GET /items/{}?page={} HTTP/1.1\",\"bytes\":{},\"agent\":\"Mozilla/5.0 (X11; Linux)\"",
            number % 251, number * 7919 % 10_007, number % 17, number * 104_729 % 1_000_003
        )
        .into_bytes();
        line.resize(EVENT_BYTES, b'.');
        line
    };
    (0..).flat_map(line).take(RECORD_BYTES).collect()
}

fn report(what: &str, begin: Instant, before: Duration, events: u64) {
    let (time, cpu) = (begin.elapsed(), cpu() - before);
    println!(
        "{what}: {:.0} MB/s, {:.0} events/s, {:.0} ns of processor time per event",
        (events * EVENT_BYTES as u64) as f64 / 1e6 / time.as_secs_f64(),
        events as f64 / time.as_secs_f64(),
        cpu.as_nanos() as f64 / events as f64
    );
}

async fn measure(queue: Arc<PageQueue>) {
    let events = (RECORD_BYTES / EVENT_BYTES) as u32;
    let records = BYTES / RECORD_BYTES as u64;
    let text = Arc::new(text());
    let durable = Arc::new(AtomicU64::new(0));
    let (begin, before) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (queue, durable, text) = (Arc::clone(&queue), Arc::clone(&durable), Arc::clone(&text));
            tokio::spawn(async move {
                for _ in 0..records / TASKS {
                    let durable = Arc::clone(&durable);
                    let hear = Box::new(move |outcome: Result<(), _>| {
                        durable.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
                    });
                    if let Err(error) = queue.append(text.to_vec(), events, hear).await {
                        eprintln!("{error}");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        let _ = task.await;
    }
    while durable.load(Ordering::Relaxed) < records {
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    report("append to durable", begin, before, records * u64::from(events));
    let stats = queue.stats();
    println!(
        "  {} syncs of {:.1} ms, {:.1} records each; {} bytes stored in {} pages",
        stats.syncs,
        stats.sync_time.as_secs_f64() * 1000.0 / stats.syncs as f64,
        records as f64 / stats.syncs as f64,
        stats.bytes,
        stats.pages
    );
    queue.close_for_writing();
    let (begin, before, mut read) = (Instant::now(), cpu(), 0);
    let mut reader = queue.reader();
    while let Some(record) = reader.next().await {
        queue.ack(record.number);
        read += u64::from(record.events);
    }
    report("read and ack", begin, before, read);
    let begin = Instant::now();
    queue.close().await;
    println!("close: {:?}", begin.elapsed());
}

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else {
        eprintln!("usage: pages FOLDER [none|speed|balanced]");
        return std::process::ExitCode::FAILURE;
    };
    let compression = match arguments.next().as_deref() {
        Some("speed") => Compression::Speed,
        Some("balanced") => Compression::Balanced,
        _ => Compression::None,
    };
    let options = PageOptions { compression, bytes_max: 8 << 30, ..PageOptions::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match (PageQueue::open(Path::new(&folder), options), runtime) {
        (Ok((queue, recovery)), Ok(runtime)) => {
            println!("opened in {:?}, {} records there", recovery.time, recovery.records);
            runtime.block_on(measure(queue));
            std::process::ExitCode::SUCCESS
        }
        (Err(error), _) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
        (_, Err(error)) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
