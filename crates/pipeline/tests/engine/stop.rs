//! Stopping: orderly, complete, and in bounded time.

use crate::fake::{eventually, probe};
use crate::pipe::{settings, start, start_with};
use ferrostash_pipeline::{EndReason, Settings};
use ferrostash_plugin::AckTracker;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn nothing_that_was_read_is_lost() {
    let settings = Settings { queue_events_max: Some(16), output_queue_batches_max: 1, ..settings() };
    let pipeline = start_with(
        "input { source { name => calm_in } } filter { keep {} } output { sink { name => calm_out mode => gate } }",
        settings,
    )
    .await;
    let (input, output) = (probe("calm_in"), probe("calm_out"));
    let mut tracker = AckTracker::new(100);
    for position in 0..50 {
        input.push(&["a", "b"], Some(tracker.issue(position).await));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    pipeline.stop();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(pipeline.ended(), None, "it waits for its output");
    output.gate.add_permits(1000);
    assert_eq!(pipeline.wait().await, EndReason::Stopped);
    let counts = pipeline.ledger().counts();
    let written = output.written();
    // What the input had pushed came out, and came out again from the final flush.
    assert_eq!(written.len() as u64, 2 * counts.filtered);
    assert_eq!((counts.accepted, counts.in_flight), (2 * counts.filtered, 0));
    assert_eq!(counts.received, counts.filtered + counts.abandoned);
    let mut settled = 0;
    while let Some(position) = tracker.next_settled().await {
        settled = position + 1;
        if settled * 2 == counts.filtered {
            break;
        }
    }
    assert_eq!(settled * 2, counts.filtered, "what was delivered is acknowledged");
}

#[tokio::test(start_paused = true)]
async fn an_output_that_never_returns_is_given_up() {
    let pipeline = start(
        "input { source { name => stuck_in } } output { sink { name => stuck_out mode => never } sink { name => stuck_fine } }",
    )
    .await;
    let (input, fine) = (probe("stuck_in"), probe("stuck_fine"));
    let mut tracker = AckTracker::new(8);
    input.push(&["a"], Some(tracker.issue(1).await));
    eventually("the other one is served", || fine.written() == ["a"]).await;
    let before = Instant::now();
    pipeline.stop();
    assert_eq!(pipeline.wait().await, EndReason::Stopped);
    assert!(before.elapsed() < Duration::from_secs(13), "{:?}", before.elapsed());
    assert_eq!(tracker.next_settled().await, None);
    assert!(tracker.is_abandoned());
    assert_eq!(pipeline.ledger().abandoned.get(), 1);
    assert_eq!(fine.closes.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_the_grace_time() {
    let settings = Settings { grace: Duration::from_secs(3600), ..settings() };
    let pipeline = start_with(
        "input { source { name => second_in } } output { sink { name => second_out mode => never } }",
        settings,
    )
    .await;
    for _ in 0..100 {
        probe("second_in").push(&["a", "b", "c", "d"], None);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    pipeline.stop();
    tokio::time::sleep(Duration::from_secs(1)).await;
    pipeline.abandon();
    assert_eq!(pipeline.wait().await, EndReason::Stopped);
    assert!(before.elapsed() < Duration::from_secs(6), "{:?}", before.elapsed());
    let counts = pipeline.ledger().counts();
    assert_eq!((counts.received, counts.in_flight), (counts.abandoned, 0));
}

#[tokio::test(start_paused = true)]
async fn an_input_that_does_not_listen_is_given_up() {
    let pipeline =
        start("input { source { name => deaf_in deaf => true } } output { sink { name => deaf_out } }").await;
    probe("deaf_in").push(&["a"], None);
    let before = Instant::now();
    tokio::time::sleep(Duration::from_millis(10)).await;
    pipeline.stop();
    assert_eq!(pipeline.wait().await, EndReason::Stopped);
    assert!(before.elapsed() < Duration::from_secs(13), "{:?}", before.elapsed());
    assert_eq!(probe("deaf_out").written(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_pipeline_stops_at_once() {
    let pipeline = start("input { source { name => quick_in } } filter { keep { often => true } } output { sink { name => quick_out } }").await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    let before = Instant::now();
    pipeline.stop();
    assert_eq!(pipeline.wait().await, EndReason::Stopped);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[test]
fn on_two_runtimes_many_events_arrive_in_full() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (io, workers) = (runtime(), runtime());
    let text = "input { source { name => real_a } source { name => real_b } }
        filter { if [message] == 'x' { mark { with => '.' } } else { copy {} } }
        output { sink { name => real_out } if [message] == 'x.' { sink { name => real_x } } }";
    let built = crate::pipe::built_on(&Default::default(), "main", text);
    let runtimes =
        ferrostash_pipeline::Runtimes { io: io.handle().clone(), workers: workers.handle().clone() };
    let services = ferrostash_pipeline::Services {
        dead_letters: std::sync::Arc::<crate::pipe::Grave>::default(),
        budget: ferrostash_pipeline::Budget::new(1 << 30),
    };
    let settings = Settings { queue_events_max: Some(100), output_queue_batches_max: 2, ..settings() };
    io.block_on(async {
        let start =
            ferrostash_pipeline::Pipeline::start(built, settings, runtimes, services, Default::default());
        let pipeline = start.await.unwrap();
        for name in ["real_a", "real_b"] {
            for _ in 0..2000 {
                probe(name).push(&["x", "y", "z"], None);
            }
            probe(name).push(&[], None);
        }
        assert_eq!(pipeline.wait().await, EndReason::Finished);
        assert_eq!(probe("real_out").written().len(), 4000 * 7);
        assert_eq!(probe("real_x").written().len(), 4000);
        let counts = pipeline.ledger().counts();
        assert_eq!((counts.received, counts.accepted, counts.abandoned), (12_000, 28_000, 0));
    });
}
