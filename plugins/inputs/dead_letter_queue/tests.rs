use crate::PLUGINS;
use ferrostash_event::{Event, FieldRef, Timestamp};
use ferrostash_plugin::testing::{Harness, RunningInput};
use ferrostash_queue::dead_letter_queue::{
    DeadLetterQueue, QueueSettings, StoragePolicy, StoreSettings, segments,
};
use std::path::Path;
use std::time::Duration;

async fn queue(dir: &Path, segment_bytes_max: u64) -> DeadLetterQueue {
    let store = StoreSettings {
        dir: dir.join("main"),
        max_bytes: 1 << 30,
        segment_bytes_max,
        storage_policy: StoragePolicy::DropNewer,
        retain_age: None,
        flush_interval: Duration::from_secs(5),
    };
    DeadLetterQueue::open(QueueSettings { store, check_interval: Duration::from_secs(1) }).await.unwrap()
}

async fn write(queue: &DeadLetterQueue, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let event = Event::from_message(&number.to_string(), Timestamp::EPOCH);
        queue.write(&event, "elasticsearch", "es", &format!("reason {number}")).await;
    }
}

async fn spawn(dir: &Path, options: &str) -> RunningInput {
    let (path, since) = (dir.display(), dir.join("since").display().to_string());
    let text = format!("dead_letter_queue {{ path => '{path}' sincedb_path => '{since}' {options} }}");
    Harness::new(PLUGINS).input(&text).unwrap().spawn().await.unwrap()
}

fn number(event: &Event) -> usize {
    event.get_str(&FieldRef::literal("message")).unwrap().parse().unwrap()
}

fn numbers(events: &[Event]) -> Vec<usize> {
    events.iter().map(number).collect()
}

/// The next chunks with these events, held back.
async fn hold(running: &mut RunningInput, events: usize) -> Vec<ferrostash_plugin::Chunk> {
    let mut held = Vec::new();
    while held.iter().map(ferrostash_plugin::Chunk::len).sum::<usize>() < events {
        held.push(running.chunks.recv().await.unwrap());
    }
    held
}

#[tokio::test]
async fn a_queue_is_followed_and_each_event_says_why_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let queue = queue(dir.path(), 1 << 20).await;
    write(&queue, 0..3).await;
    let mut running = spawn(dir.path(), "").await;
    let events = running.events(3).await;
    assert_eq!(numbers(&events), [0, 1, 2]);
    let field = |name: &str| FieldRef::parse(&format!("[@metadata][dead_letter_queue][{name}]")).unwrap();
    assert_eq!(events[1].get_str(&field("plugin_type")), Some("elasticsearch"));
    assert_eq!(events[1].get_str(&field("plugin_id")), Some("es"));
    assert_eq!(events[1].get_str(&field("reason")), Some("reason 1"));
    assert!(matches!(events[1].get(&field("entry_time")), Some(ferrostash_event::ValueRef::Timestamp(_))));
    write(&queue, 3..5).await;
    assert_eq!(numbers(&running.events(2).await), [3, 4]);
    queue.close().await;
    let queue = self::queue(dir.path(), 1 << 20).await;
    write(&queue, 5..6).await;
    assert_eq!(numbers(&running.events(1).await), [5]);
    running.stop().await.unwrap();
    write(&queue, 6..7).await;
    let mut running = spawn(dir.path(), "").await;
    assert_eq!(numbers(&running.events(1).await), [6], "it goes on where it was");
    running.stop().await.unwrap();
    queue.close().await;
}

#[tokio::test]
async fn what_is_not_settled_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let queue = queue(dir.path(), 1 << 20).await;
    write(&queue, 0..3).await;
    let mut running = spawn(dir.path(), "").await;
    let held = hold(&mut running, 3).await;
    held.into_iter().for_each(ferrostash_plugin::Chunk::abandon);
    running.stop().await.unwrap();
    let mut running = spawn(dir.path(), "commit_offsets => false").await;
    assert_eq!(numbers(&running.events(3).await), [0, 1, 2]);
    running.stop().await.unwrap();
    let mut running = spawn(dir.path(), "").await;
    assert_eq!(numbers(&running.events(3).await), [0, 1, 2], "nothing was committed");
    running.stop().await.unwrap();
    queue.close().await;
}

#[tokio::test]
async fn segments_go_once_all_in_them_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let queue = queue(dir.path(), 4000).await;
    write(&queue, 0..60).await;
    let before = segments(queue.dir()).unwrap().len();
    assert!(before > 3);
    let mut running = spawn(dir.path(), "clean_consumed => true").await;
    let held = hold(&mut running, 60).await;
    assert_eq!(segments(queue.dir()).unwrap().len(), before, "all is under way");
    drop(held);
    running.stop().await.unwrap();
    let left = segments(queue.dir()).unwrap();
    assert_eq!(left.len(), 1, "what is being written stays: {left:?}");
    queue.close().await;
}

#[tokio::test]
async fn only_one_may_delete() {
    let dir = tempfile::tempdir().unwrap();
    let queue = queue(dir.path(), 4000).await;
    write(&queue, 0..1).await;
    let mut first = spawn(dir.path(), "clean_consumed => true").await;
    assert_eq!(first.events(1).await.len(), 1);
    let second = spawn(dir.path(), "clean_consumed => true").await;
    let error = second.task.await.unwrap().unwrap_err();
    assert!(error.contains("only one reader may delete"), "{error}");
    first.stop().await.unwrap();
    queue.close().await;
}

#[tokio::test]
async fn damage_is_passed_over_and_its_segment_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let queue = queue(dir.path(), 4000).await;
    write(&queue, 0..60).await;
    let first = dir.path().join("main/1.log");
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let mut running = spawn(dir.path(), "clean_consumed => true").await;
    assert_eq!(numbers(&running.events(59).await), (1..60).collect::<Vec<_>>());
    let metrics = running.context.metrics.clone();
    running.stop().await.unwrap();
    assert_eq!(metrics.counter(&["damaged_entries"]).get(), 1);
    assert!(dir.path().join("main/1.err").exists() && !first.exists());
    queue.close().await;
}

#[tokio::test]
async fn a_time_to_begin_takes_the_place_of_the_sincedb() {
    let dir = tempfile::tempdir().unwrap();
    let queue = queue(dir.path(), 4000).await;
    write(&queue, 0..20).await;
    let begin = Timestamp::now();
    write(&queue, 20..25).await;
    let mut running = spawn(dir.path(), &format!("start_timestamp => '{begin}'")).await;
    assert_eq!(numbers(&running.events(5).await), [20, 21, 22, 23, 24]);
    running.stop().await.unwrap();
    let mut running = spawn(dir.path(), "start_timestamp => '2017-04-04T23:40:37'").await;
    assert_eq!(running.events(25).await.len(), 25);
    running.stop().await.unwrap();
    queue.close().await;
}

#[test]
fn what_can_never_work_is_refused() {
    let refused = |options: &str| {
        let text = format!("dead_letter_queue {{ path => '/tmp' {options} }}");
        Harness::new(PLUGINS).input(&text).err().unwrap()
    };
    assert!(
        refused("clean_consumed => true commit_offsets => false")
            .contains("requires that also commit_offsets")
    );
    assert!(refused("start_timestamp => 'yesterday'").contains("no ISO 8601 time"));
    assert!(refused("sincedb_path => '/tmp'").contains("received a directory"));
}
