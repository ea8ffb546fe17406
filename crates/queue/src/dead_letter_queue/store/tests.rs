use super::*;
use crate::dead_letter_queue::entry::encode;
use crate::dead_letter_queue::{DeadLetter, Next, Position, Reader};
use ferrostash_event::Event;

fn settings(dir: &Path) -> StoreSettings {
    StoreSettings {
        dir: dir.to_owned(),
        max_bytes: 1 << 30,
        segment_bytes_max: 4096,
        storage_policy: StoragePolicy::DropNewer,
        retain_age: None,
        flush_interval: Duration::from_secs(5),
    }
}

fn open(settings: StoreSettings) -> (Store, Arc<QueueStats>) {
    let stats = Arc::<QueueStats>::default();
    (Store::open(settings, Arc::clone(&stats)).unwrap(), stats)
}

fn record(number: usize) -> Vec<u8> {
    let event = Event::from_message(&format!("event {number} {}", "x".repeat(500)), Timestamp::EPOCH);
    encode(&event, "file", "f", "why")
}

fn messages(dir: &Path) -> Vec<usize> {
    let mut reader = Reader::new(dir, Position::default());
    let mut found = Vec::new();
    loop {
        match reader.read().unwrap() {
            Next::Entry { letter, .. } => found.push(number(&letter)),
            Next::Damaged(damage) => panic!("{damage:?}"),
            Next::Idle => return found,
        }
    }
}

fn number(letter: &DeadLetter) -> usize {
    let message = letter.event.get_str(&ferrostash_event::FieldRef::literal("message")).unwrap();
    message.split(' ').nth(1).unwrap().parse().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

#[test]
fn segments_are_sealed_when_full_and_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, stats) = open(settings(dir.path()));
    assert!(names(dir.path()).is_empty(), "without entries there are no files");
    for i in 0..10 {
        assert!(store.put(&record(i)).unwrap());
        store.commit().unwrap();
    }
    assert_eq!(names(dir.path()), ["1.log", "2.log.tmp"]);
    assert_eq!(messages(dir.path()), (0..10).collect::<Vec<_>>());
    assert_eq!(stats.queue_size_bytes.get(), total_bytes(dir.path()).unwrap());
    store.seal().unwrap();
    assert_eq!(names(dir.path()), ["1.log", "2.log"]);
    store.put(&record(10)).unwrap();
    store.seal().unwrap();
    assert_eq!(names(dir.path()), ["1.log", "2.log", "3.log"]);
    assert_eq!(messages(dir.path()), (0..11).collect::<Vec<_>>());
}

#[test]
fn what_is_idle_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(StoreSettings { flush_interval: Duration::ZERO, ..settings(dir.path()) });
    store.put(&record(0)).unwrap();
    store.commit().unwrap();
    store.look_after().unwrap();
    assert_eq!(names(dir.path()), ["1.log"]);
}

#[test]
fn one_writes_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(settings(dir.path()));
    let second = Store::open(settings(dir.path()), Arc::default());
    assert!(matches!(second, Err(LockError::Held(path)) if path.ends_with(".lock")));
    drop(store);
    open(settings(dir.path()));
}

#[test]
fn a_crash_keeps_what_was_complete() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(StoreSettings { segment_bytes_max: 1 << 20, ..settings(dir.path()) });
    (0..4).for_each(|i| assert!(store.put(&record(i)).unwrap()));
    store.commit().unwrap();
    drop(store);
    let path = path_of(dir.path(), 1, false);
    let bytes = fs::read(&path).unwrap();
    for cut in [bytes.len(), bytes.len() - 1, bytes.len() * 3 / 4 + 5] {
        fs::remove_file(path_of(dir.path(), 1, true)).ok();
        fs::write(&path, &bytes[..cut]).unwrap();
        open(settings(dir.path()));
        assert_eq!(names(dir.path()), ["1.log"]);
        assert_eq!(
            messages(dir.path()),
            (0..if cut == bytes.len() { 4 } else { 3 }).collect::<Vec<_>>(),
            "{cut}"
        );
    }
    // Nothing in it, no segment at all, a number that is taken.
    fs::write(path_of(dir.path(), 2, false), b"1").unwrap();
    fs::write(path_of(dir.path(), 3, false), b"rubbish").unwrap();
    fs::write(path_of(dir.path(), 1, false), &bytes).unwrap();
    let (mut store, _) = open(settings(dir.path()));
    assert_eq!(names(dir.path()), ["1.log", "3.err", "4.log"]);
    assert_eq!(messages(dir.path()), [0, 1, 2, 0, 1, 2, 3]);
    store.put(&record(9)).unwrap();
    store.commit().unwrap();
    assert_eq!(names(dir.path()), ["1.log", "3.err", "4.log", "5.log.tmp"]);
}

#[test]
fn a_full_queue_refuses_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, stats) = open(StoreSettings { max_bytes: 6000, ..settings(dir.path()) });
    let kept = (0..20).filter(|i| store.put(&record(*i)).unwrap()).count();
    store.seal().unwrap();
    assert_eq!(stats.dropped_events.get(), 20 - kept as u64);
    assert!(stats.last_error().ends_with("reached maxQueueSize of 6000"), "{}", stats.last_error());
    assert_eq!(messages(dir.path()), (0..kept).collect::<Vec<_>>());
    assert!(total_bytes(dir.path()).unwrap() <= 6000);
    // A reader makes room.
    assert!(crate::dead_letter_queue::delete_segment(dir.path(), 1).unwrap());
    assert!(store.put(&record(20)).unwrap());
    store.look_after().unwrap();
    assert!(!dir.path().join(DELETED_NOTE).exists());
}

#[test]
fn or_drops_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let policy = StoragePolicy::DropOlder;
    let (mut store, stats) =
        open(StoreSettings { max_bytes: 9000, storage_policy: policy, ..settings(dir.path()) });
    for i in 0..40 {
        assert!(store.put(&record(i)).unwrap());
    }
    store.seal().unwrap();
    let left = messages(dir.path());
    assert!(left.ends_with(&[38, 39]) && left.len() > 5, "{left:?}");
    assert_eq!(left.len() as u64 + stats.dropped_events.get(), 40);
    assert!(total_bytes(dir.path()).unwrap() <= 9000);
    // Smaller than one segment: then that one goes.
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) =
        open(StoreSettings { max_bytes: 2000, storage_policy: policy, ..settings(dir.path()) });
    (0..9).for_each(|i| assert!(store.put(&record(i)).unwrap()));
    store.seal().unwrap();
    assert_eq!(messages(dir.path()).last(), Some(&8));
    assert!(!store.put(&[0; 3000]).unwrap(), "it never fits");
}

#[test]
fn old_segments_expire_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(settings(dir.path()));
    (0..10).for_each(|i| assert!(store.put(&record(i)).unwrap()));
    store.seal().unwrap();
    drop(store);
    let (_, stats) =
        open(StoreSettings { retain_age: Some(Duration::from_secs(3600)), ..settings(dir.path()) });
    assert_eq!(stats.expired_events.get(), 0);
    let (store, stats) = open(StoreSettings { retain_age: Some(Duration::ZERO), ..settings(dir.path()) });
    assert_eq!(stats.expired_events.get(), 10);
    assert_eq!((names(dir.path()), stats.queue_size_bytes.get()), (Vec::new(), 0));
    drop(store);
}
