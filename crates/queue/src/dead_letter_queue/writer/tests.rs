use super::*;
use crate::dead_letter_queue::{Next, Position, Reader};
use ferrostash_event::Timestamp;
use futures::future::join_all;

fn settings(dir: &Path) -> QueueSettings {
    let store = StoreSettings {
        dir: dir.to_owned(),
        max_bytes: 1 << 30,
        segment_bytes_max: 1 << 20,
        storage_policy: StoragePolicy::DropNewer,
        retain_age: None,
        flush_interval: Duration::from_secs(5),
    };
    QueueSettings { store, check_interval: Duration::from_secs(1) }
}

fn count(dir: &Path) -> usize {
    let mut reader = Reader::new(dir, Position::default());
    std::iter::from_fn(|| match reader.read().unwrap() {
        Next::Entry { .. } => Some(()),
        Next::Damaged(damage) => panic!("{damage:?}"),
        Next::Idle => None,
    })
    .count()
}

#[tokio::test]
async fn many_write_at_once_and_each_is_there_when_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/main");
    let queue = DeadLetterQueue::open(settings(&path)).await.unwrap();
    let event = Event::from_message("hi", Timestamp::EPOCH);
    let fates = join_all((0..500).map(|_| queue.write(&event, "file", "f", "full"))).await;
    assert!(fates.iter().all(|fate| *fate == Buried::Kept));
    assert_eq!((count(&path), queue.stats().written_events.get()), (500, 500));
    queue.close().await;
    queue.close().await;
    assert!(path.join("1.log").exists());
    let again = DeadLetterQueue::open(settings(&path)).await.unwrap();
    assert_eq!(again.stats().last_error(), "no errors");
    again.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_nothing_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("main");
    let queue = DeadLetterQueue::open(settings(&path)).await.unwrap();
    // Where the first segment would be made stands a folder.
    std::fs::create_dir(path.join("1.log.tmp")).unwrap();
    let event = Event::from_message("hi", Timestamp::EPOCH);
    let mut writing = std::pin::pin!(queue.write(&event, "file", "f", "full"));
    assert!(tokio::time::timeout(Duration::from_secs(30), &mut writing).await.is_err());
    assert!(queue.stats().last_error().starts_with("Cannot write event to DLQ"));
    std::fs::remove_dir(path.join("1.log.tmp")).unwrap();
    assert_eq!(writing.await, Buried::Kept);
    queue.close().await;
    assert_eq!(count(&path), 1);
}

#[tokio::test]
async fn a_closed_queue_never_says_that_it_kept_something() {
    let dir = tempfile::tempdir().unwrap();
    let queue = DeadLetterQueue::open(settings(dir.path())).await.unwrap();
    queue.close().await;
    let event = Event::from_message("hi", Timestamp::EPOCH);
    let writing = queue.write(&event, "file", "f", "full");
    assert!(tokio::time::timeout(Duration::from_millis(20), writing).await.is_err());
}
