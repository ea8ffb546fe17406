use super::*;
use crate::dead_letter_queue::store::{StoragePolicy, Store, StoreSettings};
use crate::dead_letter_queue::{entry, segments};
use ferrostash_event::{Event, Timestamp};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/logstash/dead-letter-queue").join(name)
}

fn json(event: &Event) -> serde_json::Value {
    let (mut data, mut meta) = (Vec::new(), Vec::new());
    event.write_json(&mut data);
    ferrostash_event::json::write_value(ferrostash_event::ValueRef::Object(event.metadata()), &mut meta);
    let mut data: serde_json::Value = serde_json::from_slice(&data).unwrap();
    data["host"]["name"] = "HOST".into();
    serde_json::json!({"DATA": data, "META": serde_json::from_slice::<serde_json::Value>(&meta).unwrap()})
}

#[test]
fn the_recorded_queue_has_its_entries_and_they_can_be_written_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixture("1.log"), dir.path().join("1.log")).unwrap();
    let expected = fs::read_to_string(fixture("entries.json")).unwrap();
    let mut reader = Reader::new(dir.path(), Position::default());
    let mut found = 0;
    for line in expected.lines() {
        let expected: serde_json::Value = serde_json::from_str(line).unwrap();
        let Next::Entry { letter, .. } = reader.read().unwrap() else { panic!("{line}") };
        assert_eq!(letter.entry_time.to_string(), expected["entry_time"]);
        assert_eq!(letter.plugin_type, expected["plugin_type"]);
        assert_eq!(letter.plugin_id, expected["plugin_id"]);
        let reason = letter.reason.replace("\"name\" => \"vm\"", "\"name\" => \"HOST\"");
        assert_eq!(reason, expected["reason"]);
        assert_eq!(json(&letter.event), expected["event"]);
        let again = entry::encode(&letter.event, &letter.plugin_type, &letter.plugin_id, &letter.reason);
        assert_eq!(json(&super::DeadLetter::decode(&again).unwrap().event), expected["event"]);
        found += 1;
    }
    assert_eq!(found, 27);
    assert!(matches!(reader.read().unwrap(), Next::Idle));
}

fn store(dir: &Path) -> Store {
    let settings = StoreSettings {
        dir: dir.to_owned(),
        max_bytes: 1 << 30,
        segment_bytes_max: 2000,
        storage_policy: StoragePolicy::DropNewer,
        retain_age: None,
        flush_interval: Duration::from_secs(5),
    };
    Store::open(settings, Arc::default()).unwrap()
}

fn put(store: &mut Store, text: &str) {
    let event = Event::from_message(text, Timestamp::EPOCH);
    assert!(store.put(&entry::encode(&event, "file", "f", "why")).unwrap());
    store.commit().unwrap();
}

fn texts(reader: &mut Reader) -> Vec<String> {
    let message = ferrostash_event::FieldRef::literal("message");
    let mut found = Vec::new();
    while let Next::Entry { letter, .. } = reader.read().unwrap() {
        found.push(letter.event.get_str(&message).unwrap().to_owned());
    }
    found
}

#[test]
fn a_queue_is_followed_while_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("main");
    let mut reader = Reader::new(&path, Position::default());
    assert!(texts(&mut reader).is_empty(), "there is not even a folder");
    let mut store = store(&path);
    assert!(texts(&mut reader).is_empty());
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    for i in 0..30 {
        put(&mut store, &format!("event {i}"));
        expected.push(format!("event {i}"));
        if i % 7 == 3 {
            store.seal().unwrap();
        }
        if i % 3 == 1 {
            found.extend(texts(&mut reader));
            assert_eq!(found, expected);
            // One that begins here reads on from here.
            reader = Reader::new(&path, reader.position());
        }
    }
    assert!(segments(&path).unwrap().len() > 4);
    assert_eq!(texts(&mut Reader::new(&path, Position::default())).len(), 30);
    let behind = Position { segment: 1000, offset: 5 };
    assert!(texts(&mut Reader::new(&path, behind)).is_empty());
}

#[test]
fn segments_may_go_while_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path());
    (0..30).for_each(|i| put(&mut store, &format!("event {i}")));
    let mut reader = Reader::new(dir.path(), Position::default());
    assert!(matches!(reader.read().unwrap(), Next::Entry { .. }));
    let all = segments(dir.path()).unwrap();
    all.iter().take(3).for_each(|segment| fs::remove_file(&segment.path).unwrap());
    let left = texts(&mut reader);
    assert_eq!(left.last().map(String::as_str), Some("event 29"));
    assert!(left.len() < 29 && left.len() > 10, "{}", left.len());
}

#[test]
fn a_file_that_is_no_segment_is_told_once_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("1.log"), b"rubbish").unwrap();
    fs::copy(fixture("1.log"), dir.path().join("2.log")).unwrap();
    let mut reader = Reader::new(dir.path(), Position::default());
    let Next::Damaged(damage) = reader.read().unwrap() else { panic!() };
    assert!(damage.file.ends_with("1.log"));
    let rest = std::iter::from_fn(|| matches!(reader.read().unwrap(), Next::Entry { .. }).then_some(()));
    assert_eq!(rest.count(), 27);
}
