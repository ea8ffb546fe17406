use super::*;
use std::fs;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/logstash/persisted-queue").join(name)
}

fn unpacked(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(File::open(fixture(name)).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The recorded queue, in a folder of its own.
fn recorded() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for page in ["page.0", "page.1"] {
        fs::write(dir.path().join(page), unpacked(&format!("{page}.gz"))).unwrap();
    }
    for file in ["checkpoint.0", "checkpoint.head", ".queue-version"] {
        fs::copy(fixture(file), dir.path().join(file)).unwrap();
    }
    dir
}

fn json(event: &Event) -> serde_json::Value {
    let (mut data, mut meta) = (Vec::new(), Vec::new());
    event.write_json(&mut data);
    ferrostash_event::json::write_value(ferrostash_event::ValueRef::Object(event.metadata()), &mut meta);
    let mut value: serde_json::Value = serde_json::from_slice(&data).unwrap();
    value["_metadata"] = serde_json::from_slice(&meta).unwrap();
    value["host"]["name"] = "HOST".into();
    value
}

fn checkpoint(page: u32, oldest: u32, first_unacked: i64, first: i64, elements: u32) -> Vec<u8> {
    let mut bytes = 1u16.to_be_bytes().to_vec();
    bytes.extend(page.to_be_bytes());
    bytes.extend(oldest.to_be_bytes());
    bytes.extend(first_unacked.to_be_bytes());
    bytes.extend(first.to_be_bytes());
    bytes.extend(elements.to_be_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn page(elements: &[(i64, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![2];
    for (sequence, data) in elements {
        bytes.extend(sequence.to_be_bytes());
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(*data);
        bytes.extend(crc32fast::hash(data).to_be_bytes());
    }
    bytes.resize(bytes.len() + 64, 0);
    bytes
}

fn elements(queue: &mut PersistedQueue) -> Vec<(i64, Vec<u8>)> {
    std::iter::from_fn(|| queue.next_element()).map(|element| (element.sequence, element.data)).collect()
}

#[test]
fn the_recorded_queue_has_its_six_hundred_events() {
    let dir = recorded();
    let before = files(dir.path());
    let mut queue = PersistedQueue::open(dir.path()).unwrap();
    let events: Vec<_> = queue.by_ref().map(|queued| (queued.sequence, json(&queued.event))).collect();
    assert_eq!(queue.damage(), []);
    let expected: Vec<serde_json::Value> = std::str::from_utf8(&unpacked("events.json.gz"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((events.len(), expected.len()), (600, 600));
    for ((sequence, event), (number, expected)) in events.iter().zip(expected.iter().enumerate()) {
        assert_eq!((*sequence, event), (number as i64 + 1, expected));
    }
    assert_eq!(files(dir.path()), before, "nothing was written");
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_broken_element_costs_itself_and_is_reported() {
    let dir = recorded();
    let path = dir.path().join("page.0");
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut queue = PersistedQueue::open(dir.path()).unwrap();
    assert_eq!(elements(&mut queue).len(), 599);
    let [damage] = queue.damage() else { panic!("{:?}", queue.damage()) };
    assert_eq!((damage.file.clone(), damage.elements), (path, Some(1)));
}

#[test]
fn a_cut_page_loses_its_end_only() {
    let dir = recorded();
    let path = dir.path().join("page.0");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..1000]).unwrap();
    let mut queue = PersistedQueue::open(dir.path()).unwrap();
    let found = elements(&mut queue).len() as u64;
    let lost: u64 = queue.damage().iter().filter_map(|damage| damage.elements).sum();
    assert!(found < 600 && found + lost == 600, "{found} + {lost}: {:?}", queue.damage());
}

#[test]
fn acknowledged_elements_are_left_out_and_the_head_may_know_more_than_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let small = zstd::encode_all(&b"three"[..], 3).unwrap();
    fs::write(dir.path().join("page.4"), page(&[(1, b"one"), (2, b"two"), (3, &small)])).unwrap();
    fs::write(dir.path().join("checkpoint.4"), checkpoint(4, 4, 2, 1, 3)).unwrap();
    fs::write(dir.path().join("page.3"), page(&[(0, b"gone")])).unwrap();
    fs::write(dir.path().join("page.5"), page(&[(4, b"four"), (5, b"five")])).unwrap();
    fs::write(dir.path().join("checkpoint.head"), checkpoint(5, 4, 4, 4, 1)).unwrap();
    let mut queue = PersistedQueue::open(dir.path()).unwrap();
    let found = elements(&mut queue);
    let expected: [(i64, &[u8]); 4] = [(2, b"two"), (3, b"three"), (4, b"four"), (5, b"five")];
    assert_eq!(found, expected.map(|(sequence, data)| (sequence, data.to_vec())));
    assert_eq!(queue.damage(), []);
}

#[test]
fn broken_checkpoints_give_everything_rather_than_nothing() {
    let dir = recorded();
    for name in ["checkpoint.0", "checkpoint.head"] {
        fs::write(dir.path().join(name), b"rubbish").unwrap();
    }
    let mut queue = PersistedQueue::open(dir.path()).unwrap();
    assert_eq!(elements(&mut queue).len(), 600);
    assert_eq!(queue.damage().len(), 2);
    let empty = tempfile::tempdir().unwrap();
    let error = PersistedQueue::open(empty.path()).unwrap_err().to_string();
    assert!(error.contains("is no queue of Logstash"), "{error}");
}
