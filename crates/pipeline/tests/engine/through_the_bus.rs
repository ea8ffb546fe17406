//! Pipelines that feed pipelines.

use crate::fake::{eventually, probe};
use crate::pipe::{built_on, settings, try_start};
use ferrostash_pipeline::{EndReason, RunningPipeline, Settings};
use ferrostash_plugin::{AckTracker, Bus};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

async fn start(bus: &Bus, id: &str, text: &str) -> RunningPipeline {
    let settings = Settings { grace: Duration::from_secs(5), ..settings() };
    try_start(built_on(bus, id, text), settings, Arc::default()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_outcome_downstream_reaches_the_input_upstream() {
    let bus = Bus::default();
    let _up = start(&bus, "up", "input { source { name => p2p_in } } output { via { to => p2p } }").await;
    let mut tracker = AckTracker::new(8);
    probe("p2p_in").push(&["a", "b"], Some(tracker.issue(1).await));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let output = probe("p2p_out");
    let down = "input { from { address => p2p } } filter { mark { with => '.' } } output { sink { name => p2p_out mode => gate } }";
    let _down = start(&bus, "down", down).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(tracker.settled(), None, "not before the last output has it");
    output.gate.add_permits(10);
    assert_eq!(tracker.next_settled().await, Some(1));
    assert_eq!(output.written(), ["a.", "b."]);
}

#[tokio::test(start_paused = true)]
async fn a_full_pipeline_holds_up_the_one_before_it() {
    let bus = Bus::default();
    let down = start(
        &bus,
        "down",
        "input { from { address => full } } output { sink { name => full_out mode => gate } }",
    )
    .await;
    let up = start(&bus, "up", "input { source { name => full_in } } output { via { to => full } }").await;
    for _ in 0..2000 {
        probe("full_in").push(&["a"], None);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(up.ledger().received.get() < 1000, "{:?}", up.ledger().counts());
    probe("full_out").gate.add_permits(10_000);
    eventually("all arrive", || probe("full_out").written().len() == 2000).await;
    drop((up, down));
}

#[tokio::test(start_paused = true)]
async fn a_chain_runs_empty_in_order_when_the_process_ends() {
    let bus = Bus::default();
    let last = start(
        &bus,
        "last",
        "input { from { address => c2 } } output { sink { name => chain_out mode => gate } }",
    )
    .await;
    let middle = start(&bus, "middle", "input { from { address => c1 } } output { via { to => c2 } }").await;
    let first =
        start(&bus, "first", "input { source { name => chain_in } } output { via { to => c1 } }").await;
    for _ in 0..50 {
        probe("chain_in").push(&["a"], None);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    bus.end();
    [&last, &middle, &first].into_iter().for_each(RunningPipeline::stop);
    tokio::time::sleep(Duration::from_secs(1)).await;
    probe("chain_out").gate.add_permits(1000);
    for pipeline in [&first, &middle, &last] {
        assert_eq!(pipeline.wait().await, EndReason::Stopped);
        assert_eq!(pipeline.ledger().abandoned.get(), 0, "{}", pipeline.id());
    }
    assert_eq!(probe("chain_out").written().len(), 50);
}

// In real time: events that go round and round leave no moment of rest in which paused time would move on.
#[tokio::test]
async fn a_cycle_ends_too() {
    let bus = Bus::default();
    let one = start(
        &bus,
        "one",
        "input { source { name => ring_in } from { address => r1 } } output { via { to => r2 } }",
    )
    .await;
    let two = start(&bus, "two", "input { from { address => r2 } } output { via { to => r1 } }").await;
    probe("ring_in").push(&["a", "b", "c"], None);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = Instant::now();
    bus.end();
    one.stop();
    two.stop();
    one.wait().await;
    two.wait().await;
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    assert_eq!((one.ledger().in_flight.get(), two.ledger().in_flight.get()), (0, 0));
}
