//! Events that wait on disk: the persisted queue, and outputs that are blocked.

use crate::fake::{Order, event, eventually, probe};
use crate::pipe::{Grave, built_on, settings, start_with, try_start};
use ferrostash_pipeline::{EndReason, OnDisk, Persisted, RunningPipeline, Settings};
use ferrostash_plugin::{AckTracker, Bus};
use ferrostash_queue::PageOptions;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

fn on_disk(dir: &Path) -> OnDisk {
    let pages = PageOptions { page_bytes_max: 64 << 10, bytes_max: 64 << 20, ..PageOptions::default() };
    OnDisk { dir: dir.to_owned(), pages }
}

fn persisted(dir: &Path, drain: bool) -> Settings {
    let persisted = Some(Persisted { on_disk: on_disk(dir), drain });
    Settings { persisted, grace: Duration::from_millis(300), ..settings() }
}

fn spilling(dir: &Path) -> Settings {
    Settings {
        spill: Some(on_disk(dir)),
        output_queue_batches_max: 2,
        grace: Duration::from_millis(300),
        ..settings()
    }
}

fn messages(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("{number:06}")).collect()
}

/// Pushes messages in chunks of eight, each with an ack; gives the tracker.
async fn push(name: &str, from: usize, to: usize) -> AckTracker<usize> {
    let mut tracker = AckTracker::new(to - from);
    for chunk in messages(from, to).chunks(8) {
        let ack = tracker.issue(to).await;
        let events = chunk.iter().map(|message| event(message)).collect();
        probe(name).orders.send(Order::Push(events, Some(ack))).unwrap();
    }
    tracker
}

async fn all_settled(tracker: &mut AckTracker<usize>) {
    while tracker.next_settled().await.is_some() {}
    assert!(tracker.in_flight() == 0 && !tracker.is_abandoned());
}

fn assert_balanced(pipeline: &RunningPipeline) {
    let counts = pipeline.ledger().counts();
    assert!(counts.is_balanced() && counts.in_flight == 0, "{counts:?}");
    for output in pipeline.output_queues() {
        let counts = output.counts();
        let on_disk = output.spill().and_then(|spill| spill.stats()).map_or(0, |stats| stats.events);
        let (left, right) = (
            counts.offered.get() + counts.recovered.get(),
            counts.settled.get() + counts.abandoned.get() + on_disk,
        );
        assert_eq!(left, right, "{counts:?}, {on_disk} on disk");
    }
}

fn sorted(mut written: Vec<String>) -> Vec<String> {
    written.sort();
    written
}

#[tokio::test]
async fn an_output_that_is_blocked_holds_up_nobody_and_gets_everything_later() {
    let dir = tempfile::tempdir().unwrap();
    let text = "input { source { name => spill_in } }
        output { sink { name => spill_free } sink { name => spill_blocked mode => gate } }";
    let settings = Settings { workers: 1, ..spilling(dir.path()) };
    let pipeline = start_with(text, settings).await;
    let (free, blocked) = (probe("spill_free"), probe("spill_blocked"));
    let mut tracker = push("spill_in", 0, 4000).await;
    eventually("the free one has all", || free.written().len() == 4000).await;
    let spill = pipeline.output_queues()[1].spill().unwrap();
    assert!(spill.is_active() && blocked.written().is_empty());
    blocked.gate.add_permits(10_000);
    eventually("the other one, too", || blocked.written().len() == 4000).await;
    assert_eq!(blocked.written(), messages(0, 4000), "in order");
    eventually("memory again", || !spill.is_active()).await;
    all_settled(&mut tracker).await;
    let mut tracker = push("spill_in", 4000, 4100).await;
    all_settled(&mut tracker).await;
    assert_eq!(blocked.written(), messages(0, 4100));
    probe("spill_in").push(&[], None);
    assert_eq!(pipeline.wait().await, EndReason::Finished);
    assert_balanced(&pipeline);
    assert!(pipeline.output_queues()[1].counts().spilled.get() > 3000);
}

#[tokio::test]
async fn what_an_output_did_not_take_is_there_for_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let text = "input { source { name => next_in } }
        output { sink { name => next_free } sink { id => 'b/c' name => next_blocked mode => gate } }";
    let pipeline = start_with(text, spilling(dir.path())).await;
    let mut tracker = push("next_in", 0, 1000).await;
    eventually("the free one has all", || probe("next_free").written().len() == 1000).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    pipeline.stop();
    assert_eq!(pipeline.wait().await, EndReason::Stopped);
    assert_balanced(&pipeline);
    // The first batches were in memory: their input reads them again.
    while tracker.next_settled().await.is_some() {}
    assert!(tracker.is_abandoned());
    assert!(dir.path().join("b%2fc").is_dir());

    let pipeline = start_with(text, spilling(dir.path())).await;
    let recovered = pipeline.output_queues()[1].counts().recovered.get();
    assert!(recovered > 900, "{recovered}");
    let blocked = probe("next_blocked");
    blocked.gate.add_permits(10_000);
    eventually("all that was kept", || blocked.written().len() as u64 == recovered).await;
    probe("next_in").push(&[], None);
    assert_eq!(pipeline.wait().await, EndReason::Finished);
    assert_balanced(&pipeline);
    let missing = 1000 - usize::try_from(recovered).unwrap();
    assert_eq!(sorted(blocked.written()), messages(missing, 1000), "each once, but for those in memory");
}

#[tokio::test]
async fn a_persisted_queue_answers_for_its_events_and_survives_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let text = "input { source { name => kept_in } } output { sink { name => kept_out mode => gate } }";
    let output = probe("kept_out");
    let pipeline = start_with(text, persisted(dir.path(), false)).await;
    let mut tracker = push("kept_in", 0, 20_000).await;
    all_settled(&mut tracker).await;
    assert_eq!(output.written().len(), 0, "they are safe all the same");
    pipeline.stop();
    assert_eq!(pipeline.wait().await, EndReason::Stopped);

    let pipeline = start_with(text, persisted(dir.path(), false)).await;
    assert_eq!(pipeline.persisted_queue().unwrap().stats().events, 20_000);
    output.gate.add_permits(100_000);
    eventually("all of them", || output.written().len() == 20_000).await;
    let mut tracker = push("kept_in", 20_000, 21_000).await;
    all_settled(&mut tracker).await;
    probe("kept_in").push(&[], None);
    assert_eq!(pipeline.wait().await, EndReason::Finished);
    assert_eq!(sorted(output.written()), messages(0, 21_000));
    assert_balanced(&pipeline);
    let counts = pipeline.ledger().counts();
    assert_eq!((counts.received, counts.recovered, counts.accepted), (1000, 20_000, 21_000));

    let pipeline = start_with(text, persisted(dir.path(), false)).await;
    assert_eq!(pipeline.persisted_queue().unwrap().stats().events, 0, "nothing comes again");
    pipeline.stop();
    pipeline.wait().await;
}

#[tokio::test]
async fn what_waits_for_room_in_the_queue_is_in_the_account() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, kept) in [("memory", settings()), ("disk", persisted(dir.path(), false))] {
        let (input, output) = (format!("room_{kind}_in"), format!("room_{kind}_out"));
        let text = format!(
            "input {{ source {{ name => {input} }} }} output {{ sink {{ name => {output} mode => gate }} }}"
        );
        let small = Settings { queue_events_max: Some(16), output_queue_batches_max: 1, ..kept };
        let pipeline = start_with(&text, small).await;
        let mut tracker = push(&input, 0, 2000).await;
        let counts = || {
            let mut counts = pipeline.ledger().counts();
            counts.queued += pipeline.queue().events() as u64;
            counts
        };
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(counts().is_balanced(), "{kind}: {:?}", counts());
        }
        eventually("a chunk waits", || counts().queued > pipeline.queue().events() as u64).await;
        assert!(counts().is_balanced() && counts().accepted == 0, "{kind}: {:?}", counts());
        probe(&output).gate.add_permits(10_000);
        all_settled(&mut tracker).await;
        probe(&input).push(&[], None);
        assert_eq!(pipeline.wait().await, EndReason::Finished);
        assert_balanced(&pipeline);
    }
}

#[tokio::test]
async fn what_was_given_up_is_taken_from_the_queue_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let text = "input { source { name => once_in } } output { sink { name => once_out mode => panic } }";
    let pipeline = start_with(text, persisted(dir.path(), false)).await;
    // More than is fed in one go, so that the feed is at work when it hears of it.
    let mut tracker = push("once_in", 0, 5000).await;
    all_settled(&mut tracker).await;
    let output = probe("once_out");
    eventually("all arrive", || {
        let written = sorted(output.written());
        messages(0, 5000).iter().all(|message| written.binary_search(message).is_ok())
    })
    .await;
    probe("once_in").push(&[], None);
    assert_eq!(pipeline.wait().await, EndReason::Finished);
    assert_balanced(&pipeline);
    assert!(pipeline.ledger().abandoned.get() > 0);
    assert_eq!(pipeline.persisted_queue().unwrap().stats().events, 0);
}

#[tokio::test]
async fn a_queue_is_drained_before_the_end_where_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let text = "input { source { name => drain_in } } output { sink { name => drain_out mode => gate } }";
    let pipeline = start_with(text, persisted(dir.path(), true)).await;
    let mut tracker = push("drain_in", 0, 2000).await;
    all_settled(&mut tracker).await;
    pipeline.stop();
    let output = probe("drain_out");
    // Longer than the grace time.
    let early = tokio::time::timeout(Duration::from_millis(600), pipeline.wait()).await;
    assert!(early.is_err() && output.writes.load(SeqCst) < 10);
    output.gate.add_permits(10_000);
    assert_eq!(pipeline.wait().await, EndReason::Stopped);
    assert_eq!(output.written().len(), 2000);
    assert_balanced(&pipeline);
}

/// Reliability test 8.
#[tokio::test]
async fn an_event_that_is_too_large_for_the_queue_is_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let text = "input { source { name => large_in } } output { sink { name => large_out } }";
    let mut settings = persisted(dir.path(), false);
    if let Some(persisted) = &mut settings.persisted {
        (persisted.on_disk.pages.page_bytes_max, persisted.on_disk.pages.bytes_max) = (8 << 10, 64 << 10);
    }
    let grave = Arc::<Grave>::default();
    let pipeline =
        try_start(built_on(&Bus::default(), "main", text), settings, Arc::clone(&grave)).await.unwrap();
    let mut tracker = AckTracker::new(4);
    let (input, large) = (probe("large_in"), "x".repeat(100 << 10));
    // Larger than a page is not too large.
    let page = "y".repeat(20 << 10);
    input.push(&["before", &large, &page, "behind"], Some(tracker.issue(1).await));
    assert_eq!(tracker.next_settled().await, Some(1));
    let output = probe("large_out");
    eventually("the others arrive", || output.written().len() == 3).await;
    input.push(&[], None);
    assert_eq!(pipeline.wait().await, EndReason::Finished);
    let dead = grave.0.lock().unwrap();
    assert_eq!((dead.len(), &dead[0].0), (1, &large));
    assert!(dead[0].1.contains("queue.max_bytes"), "{}", dead[0].1);
    let counts = pipeline.ledger().counts();
    assert_eq!((counts.received, counts.accepted, counts.dead_lettered), (4, 3, 1));
}
