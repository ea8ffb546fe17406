//! What a queue does when nothing goes wrong.

use std::task::Poll;

use super::*;

#[test]
fn records_come_back_in_order_and_acks_outlive_the_process() {
    let (folder, written) = filled(options(), 20, 100);
    let (queue, recovery) = open(&folder, options());
    assert_eq!((recovery.records, recovery.events, recovery.torn_bytes), (20, 60, 0));
    assert!(!recovery.damaged.any() && recovery.pages > 2, "{recovery:?}");
    let records = read_all(&queue);
    assert!(records.iter().map(|r| (&r.number, &r.bytes)).eq(written.iter()));
    // Out of order: what counts is the prefix.
    for number in [3, 1, 2, 9, 8] {
        queue.ack(number);
    }
    assert_eq!(queue.stats().events, 45);
    close(queue);
    let (queue, recovery) = open(&folder, options());
    assert_eq!((recovery.records, recovery.events), (17, 51));
    assert_eq!(read_all(&queue).first().unwrap().number, 4);
    for number in 4..=20 {
        queue.ack(number);
    }
    assert_eq!((queue.stats().events, queue.stats().records), (0, 0));
    close(queue);
    let (queue, recovery) = open(&folder, options());
    assert_eq!((recovery.records, recovery.events, recovery.pages), (0, 0, 0));
    assert_eq!(folder.names(), ["checkpoint-1", "checkpoint-2"]);
    let outcomes = Outcomes::default();
    assert_eq!(append(&queue, bytes_of(21, 5), 1, &outcomes), Some(21));
}

#[test]
fn a_reader_follows_the_writer() {
    let folder = ModelFolder::new();
    let (queue, recovery) = open(&folder, options());
    assert!(recovery.is_new);
    run(async {
        let mut reader = queue.reader();
        for id in 1..=50 {
            let bytes = bytes_of(id, 150);
            queue.append(bytes.clone(), 1, Outcomes::default().hear(id)).await.unwrap();
            assert_eq!(reader.next().await, Some(Record { number: id, events: 1, bytes }));
            queue.ack(id);
        }
        queue.close_for_writing();
        assert_eq!(reader.next().await, None);
        assert_eq!(queue.append(vec![1], 1, Box::new(|_| {})).await, Err(AppendError::Closed));
        queue.close().await;
    });
    assert_eq!(folder.names().len(), 3, "{:?}", folder.names());
}

#[test]
fn what_the_caller_has_in_memory_is_not_read() {
    let (folder, _) = filled(options(), 4, 10);
    let (queue, _) = open(&folder, options());
    let outcomes = Outcomes::default();
    for id in 5..=9 {
        append(&queue, bytes_of(id, 10), 1, &outcomes).unwrap();
    }
    queue.close_for_writing();
    let mut reader = queue.reader();
    reader.skip_to(8);
    let numbers = run(async {
        let mut numbers = Vec::new();
        while let Some(record) = reader.next().await {
            numbers.push(record.number);
        }
        numbers
    });
    assert_eq!(numbers, [1, 2, 3, 4, 8, 9], "records of the last process are always read");
    (1..=9).for_each(|number| queue.ack(number));
    assert_eq!(queue.stats().events, 0);
}

#[test]
fn a_dropped_read_loses_nothing() {
    let (folder, written) = filled(options(), 30, 100);
    let (queue, _) = open(&folder, options());
    queue.close_for_writing();
    let mut reader = queue.reader();
    run(async {
        let mut numbers = Vec::new();
        loop {
            // Given up at once, time and again.
            if let Poll::Ready(Some(record)) = futures::poll!(std::pin::pin!(reader.next())) {
                numbers.push(record.number);
            }
            match tokio::time::timeout(Duration::from_secs(10), reader.next()).await.unwrap() {
                Some(record) => numbers.push(record.number),
                None => break,
            }
        }
        assert!(numbers.iter().eq(written.keys()));
    });
}

#[test]
fn compressed_records_are_read_whatever_the_option_says() {
    let folder = ModelFolder::new();
    let outcomes = Outcomes::default();
    let all = [Compression::Speed, Compression::Balanced, Compression::Size, Compression::None];
    run(async {
        for (id, compression) in (1..).zip(all) {
            let (queue, _) = open(&folder, PageOptions { compression, page_bytes_max: 9000, ..options() });
            queue.append(bytes_of(id, 5000), 1, outcomes.hear(id)).await.unwrap();
            let encode = queue.stats().encode;
            assert_eq!(encode.bytes_out < encode.bytes_in, compression != Compression::None);
            queue.close().await;
        }
    });
    let (queue, _) = open(&folder, options());
    let records = read_all(&queue);
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|record| record.bytes == bytes_of(record.number, 5000)));
    assert!(queue.stats().decode.bytes_in * 10 < queue.stats().decode.bytes_out);
}

#[test]
fn a_record_larger_than_a_page_has_one_of_its_own_and_one_larger_than_the_queue_is_refused() {
    let folder = ModelFolder::new();
    let (queue, _) = open(&folder, PageOptions { bytes_max: 50_000, ..options() });
    let outcomes = Outcomes::default();
    for (id, size) in [(1, 10), (2, 5000), (3, 10)] {
        assert_eq!(append(&queue, bytes_of(id, size), 1, &outcomes), Some(id));
        wait_until("the write", || outcomes.len() as u64 == id);
    }
    assert_eq!(queue.stats().pages, 3);
    let refused = run(queue.append(vec![0; 60_000], 1, Box::new(|_| {}))).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a record of 60000 bytes is larger than 49892, the most that queue.max_bytes allows"
    );
    let refused = run(queue.append(vec![0; RECORD_BYTES_MAX + 1], 1, Box::new(|_| {}))).unwrap_err();
    assert!(refused.to_string().contains("the most that a record allows"), "{refused}");
    assert_eq!(read_all(&queue).len(), 3);
}

#[test]
fn a_full_queue_makes_appends_wait_for_acks() {
    for bounds in [(3000, 0), (1 << 20, 30)] {
        let (bytes_max, events_max) = bounds;
        let folder = ModelFolder::new();
        let (queue, _) = open(&folder, PageOptions { bytes_max, events_max, ..options() });
        let outcomes = Outcomes::default();
        let taken = (1..).take_while(|id| append(&queue, bytes_of(*id, 100), 3, &outcomes).is_some()).count();
        assert!((10..30).contains(&taken), "{taken} with {bounds:?}");
        assert!(queue.stats().is_full && queue.stats().bytes <= bytes_max);
        run(async {
            let next = taken as u64 + 1;
            let mut append = std::pin::pin!(queue.append(bytes_of(next, 100), 3, outcomes.hear(next)));
            assert!(futures::poll!(&mut append).is_pending());
            (1..next).for_each(|number| queue.ack(number));
            assert_eq!(tokio::time::timeout(Duration::from_secs(10), append).await.unwrap(), Ok(next));
        });
        assert!(!queue.stats().is_full);
    }
}

#[test]
fn one_process_at_a_time_and_never_in_a_folder_of_logstash() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/main");
    let (queue, _) = PageQueue::open(&path, PageOptions::default()).unwrap();
    let locked = PageQueue::open(&path, PageOptions::default()).unwrap_err().to_string();
    assert!(locked.contains(path.to_str().unwrap()) && locked.contains("another process"), "{locked}");
    close(queue);
    close(PageQueue::open(&path, PageOptions::default()).unwrap().0);
    for name in ["page.0", "checkpoint.head", ".queue-version"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), "").unwrap();
        let error = PageQueue::open(dir.path(), PageOptions::default()).unwrap_err().to_string();
        assert!(error.contains("ferrostash queue import"), "{error}");
    }
    let small = PageOptions { bytes_max: 10, ..PageOptions::default() };
    assert!(matches!(PageQueue::open(&path, small), Err(OpenError::Options { .. })));
}

#[test]
fn files_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("main");
    let (queue, _) = PageQueue::open(&path, PageOptions::default()).unwrap();
    run(queue.append(vec![1], 1, Box::new(|_| {}))).unwrap();
    close(queue);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

#[test]
fn acks_become_durable_without_any_further_work() {
    let (folder, _) = filled(options(), 10, 10);
    let (queue, _) = open(&folder, PageOptions { checkpoint_acks: 0, ..options() });
    wait_until("a checkpoint", || queue.shared.state().writer_sleeps);
    queue.ack(1);
    wait_until("the checkpoint of the ack", || queue.shared.state().checkpointed == 2);
}
