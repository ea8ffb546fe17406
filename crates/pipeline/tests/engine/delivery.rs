//! From inputs to outputs: what is delivered, acknowledged, repeated, counted.

use crate::fake::{eventually, probe};
use crate::pipe::{built_on, settings, start, start_with, try_start};
use ferrostash_pipeline::{EndReason, Health, Settings, StartFailure};
use ferrostash_plugin::{AckTracker, Bus};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_ends_the_pipeline_when_all_is_delivered() {
    let pipeline = start(
        "input { source { name => end_in } } filter { mark { with => '.' } copy {} } output { sink { name => end_out } }",
    )
    .await;
    let mut tracker = AckTracker::new(8);
    let (input, output) = (probe("end_in"), probe("end_out"));
    for chunk in 0..5 {
        input.push(&["a", "b", "c"], Some(tracker.issue(chunk).await));
    }
    input.push(&[], None);
    assert_eq!(pipeline.wait().await, EndReason::Finished);
    assert_eq!(tracker.next_settled().await, Some(4));
    assert_eq!(output.written().len(), 45);
    assert_eq!(output.closes.load(SeqCst), 1);
    let counts = pipeline.ledger().counts();
    assert_eq!((counts.received, counts.filtered, counts.created, counts.out), (15, 15, 30, 45));
    assert_eq!((counts.accepted, counts.dropped, counts.abandoned, counts.in_flight), (45, 0, 0, 0));
    assert_eq!(pipeline.health(), Health::Green);
}

#[tokio::test(start_paused = true)]
async fn batches_that_nobody_wants_settle() {
    let pipeline = start(
        "input { source { name => drop_in } } filter { if [message] == 'a' { cancel {} } }
         output { if [message] == 'c' { sink { name => drop_out } } }",
    )
    .await;
    let mut tracker = AckTracker::new(8);
    let input = probe("drop_in");
    for (position, messages) in [&["a", "a"][..], &["b"], &[]].iter().enumerate() {
        input.push(messages, Some(tracker.issue(position).await));
    }
    for _ in 0..3 {
        if tracker.next_settled().await == Some(2) {
            break;
        }
    }
    assert_eq!(tracker.in_flight(), 0);
    assert!(!tracker.is_abandoned());
    assert_eq!(pipeline.ledger().dropped.get(), 2);
    assert_eq!(probe("drop_out").writes.load(SeqCst), 0);
    pipeline.stop();
    assert_eq!(pipeline.wait().await, EndReason::Stopped);
}

#[tokio::test(start_paused = true)]
async fn the_worst_outcome_of_all_outputs_counts() {
    let pipeline = start(
        "input { source { name => worst_in } }
         output { sink { name => worst_a } if [message] == 'b' { sink { name => worst_b mode => abandon } } }",
    )
    .await;
    let mut tracker = AckTracker::new(8);
    let input = probe("worst_in");
    input.push(&["a"], Some(tracker.issue(1).await));
    assert_eq!(tracker.next_settled().await, Some(1));
    input.push(&["b"], Some(tracker.issue(2).await));
    assert_eq!(tracker.next_settled().await, None);
    assert!(tracker.is_abandoned());
    assert_eq!(probe("worst_a").written(), ["a", "b"]);
    assert_eq!(pipeline.ledger().abandoned.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_output_that_cannot_deliver_now_tries_again() {
    let _pipeline =
        start("input { source { name => retry_in } } output { sink { name => retry_out mode => retry } }")
            .await;
    let mut tracker = AckTracker::new(8);
    let before = Instant::now();
    probe("retry_in").push(&["a"], Some(tracker.issue(1).await));
    assert_eq!(tracker.next_settled().await, Some(1));
    assert_eq!(before.elapsed().as_secs(), 3, "one second, then two");
    assert_eq!(probe("retry_out").written(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_output_holds_up_nobody_until_its_queue_is_full() {
    let settings = Settings { output_queue_batches_max: 2, queue_events_max: Some(8), ..settings() };
    let pipeline = start_with(
        "input { source { name => block_in } }
         output { sink { name => block_slow mode => gate } sink { name => block_fast } }",
        settings,
    )
    .await;
    let (input, slow, fast) = (probe("block_in"), probe("block_slow"), probe("block_fast"));
    for _ in 0..100 {
        input.push(&["a", "b", "c", "d"], None);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let passed = fast.written().len();
    // Two workers, a queue of two batches, and one being written.
    assert!((8..=24).contains(&passed), "{passed}");
    let counts = pipeline.ledger().counts();
    assert!(counts.received <= 40 && counts.in_flight <= 24, "memory stays bounded: {counts:?}");
    assert_eq!(pipeline.output_queues()[0].batches(), 2);
    assert!(pipeline.output_queues()[0].bytes() > 0);
    slow.gate.add_permits(1000);
    eventually("everything arrives", || slow.written().len() == 400 && fast.written().len() == 400).await;
    pipeline.stop();
    pipeline.wait().await;
    assert_eq!(pipeline.output_queues()[0].bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_filter_costs_its_batch_only() {
    let settings = Settings { batch_size: 1, ..settings() };
    let pipeline = start_with(
        "input { source { name => boom_in } } filter { boom { at => 'b' } } output { sink { name => boom_out } }",
        settings,
    )
    .await;
    let mut tracker = AckTracker::new(8);
    let input = probe("boom_in");
    for message in ["a", "b", "c"] {
        input.push(&[message], Some(tracker.issue(message).await));
    }
    let output = probe("boom_out");
    eventually("the others arrive", || output.written().len() == 2).await;
    eventually("the first is released", || pipeline.ledger().in_flight.get() == 0).await;
    assert_eq!(tracker.settled(), Some("a"));
    assert!(tracker.is_abandoned());
    assert_eq!((pipeline.health(), pipeline.ledger().abandoned.get()), (Health::Red, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_output_costs_its_batch_only() {
    let pipeline =
        start("input { source { name => oops_in } } output { sink { name => oops_out mode => panic } }")
            .await;
    let mut tracker = AckTracker::new(8);
    let (input, output) = (probe("oops_in"), probe("oops_out"));
    input.push(&["a"], Some(tracker.issue(1).await));
    assert_eq!(tracker.next_settled().await, None);
    input.push(&["b"], None);
    eventually("the next one arrives", || output.written() == ["b"]).await;
    assert_eq!(output.starts.load(SeqCst), 2, "a fresh instance took over");
    assert_eq!(pipeline.health(), Health::Red);
}

#[tokio::test(start_paused = true)]
async fn an_output_that_can_never_work_ends_the_pipeline() {
    let pipeline = start(
        "input { source { name => fatal_in } } output { sink { id => dead name => fatal_out mode => fatal } sink { name => fatal_other } }",
    )
    .await;
    let mut tracker = AckTracker::new(8);
    probe("fatal_in").push(&["a"], Some(tracker.issue(1).await));
    let reason = EndReason::Crashed("output sink (dead): the disk is gone".into());
    assert_eq!(pipeline.wait().await, reason);
    assert_eq!(tracker.next_settled().await, None);
    assert!(tracker.is_abandoned());
    assert_eq!(pipeline.ended(), Some(reason));
}

#[tokio::test(start_paused = true)]
async fn inputs_start_again_after_errors_and_panics() {
    use crate::fake::Order;
    let pipeline = start("input { source { name => again_in } } output { sink { name => again_out } }").await;
    let (input, output) = (probe("again_in"), probe("again_out"));
    let before = Instant::now();
    input.orders.send(Order::Fail).unwrap();
    input.orders.send(Order::Panic).unwrap();
    input.push(&["a"], None);
    eventually("it runs again", || output.written() == ["a"]).await;
    assert_eq!(before.elapsed().as_secs(), 2);
    assert_eq!((input.runs.load(SeqCst), input.starts.load(SeqCst)), (3, 1));
    assert_eq!(pipeline.health(), Health::Red, "a panic is remembered");
}

#[tokio::test(start_paused = true)]
async fn outputs_hear_that_nothing_comes() {
    let _pipeline = start("input { source { name => idle_in } } output { sink { name => idle_out } }").await;
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert_eq!(probe("idle_out").idles.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn filters_are_flushed_every_five_seconds_and_at_the_end() {
    let settings = Settings { workers: 1, ..settings() };
    let pipeline = start_with(
        "input { source { name => flush_in } } filter { keep { often => true } } output { sink { name => flush_out } }",
        settings,
    )
    .await;
    let (input, output) = (probe("flush_in"), probe("flush_out"));
    input.push(&["a"], None);
    tokio::time::sleep(Duration::from_millis(5100)).await;
    assert_eq!(output.written(), ["a", "a~"]);
    input.push(&["b"], None);
    tokio::time::sleep(Duration::from_millis(100)).await;
    pipeline.stop();
    pipeline.wait().await;
    assert_eq!(output.written(), ["a", "a~", "b", "b!"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_start_closes_what_could() {
    let try_text = async |text: &str| {
        try_start(built_on(&Bus::default(), "main", text), settings(), Arc::default()).await.err().unwrap()
    };
    let text = "input { source { name => s1_in } } output { sink { name => s1_a } sink { id => oo name => s1_b mode => refuse } }";
    assert_eq!(try_text(text).await.to_string(), "output sink (oo): no such host");
    assert_eq!(probe("s1_a").closes.load(SeqCst), 1);
    assert_eq!(probe("s1_in").starts.load(SeqCst), 0);
    let text = "input { source { id => ii name => s2_in refuse => true } } output { sink { name => s2_a } }";
    assert_eq!(try_text(text).await.to_string(), "input source (ii): the port is taken");
    assert_eq!(probe("s2_a").closes.load(SeqCst), 1);
    for text in ["", "# nothing", "input { } filter { } output { }", "output { sink { name => s3 } }"] {
        assert_eq!(try_text(text).await, StartFailure::NoInputs, "{text}");
    }
    assert_eq!(StartFailure::NoInputs.to_string(), "Missing Filter End Vertex");
}

#[tokio::test(start_paused = true)]
async fn filters_alone_start_and_are_at_their_end() {
    let built = built_on(&Bus::default(), "main", "filter { mark { with => '.' } }");
    let pipeline = try_start(built, settings(), Arc::default()).await.unwrap();
    assert_eq!(pipeline.wait().await, EndReason::Finished);
}

#[tokio::test(start_paused = true)]
async fn events_without_an_answer_reach_the_dead_letter_queue() {
    let grave = Arc::<crate::pipe::Grave>::default();
    let settings = Settings { has_dead_letter_queue: true, ..settings() };
    let text = "input { source { name => dlq_in } } filter { if [n] > 1 { mark { with => '.' } } } output { sink { name => dlq_out } }";
    let pipeline =
        try_start(built_on(&Bus::default(), "main", text), settings, Arc::clone(&grave)).await.unwrap();
    let mut tracker = AckTracker::new(8);
    probe("dlq_in").push(&["a"], Some(tracker.issue(1).await));
    assert_eq!(tracker.next_settled().await, Some(1));
    let buried = grave.0.lock().unwrap().clone();
    let reason = "condition evaluation error, Unexpected conditional input combination of \
        'class org.jruby.RubyNil:' (left) and 'class org.jruby.RubyFixnum:1' (right)";
    assert_eq!(buried, [("a".to_owned(), reason.to_owned())]);
    let counts = pipeline.ledger().counts();
    assert_eq!((counts.dead_lettered, counts.accepted, counts.dropped), (1, 0, 0));
}
