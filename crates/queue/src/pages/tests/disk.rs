//! A disk that is full or fails.

use super::*;

#[test]
fn a_full_disk_makes_appends_wait_and_loses_nothing() {
    let folder = ModelFolder::new();
    let (queue, _) = open(&folder, PageOptions { page_bytes_max: 4000, ..options() });
    let outcomes = Outcomes::default();
    folder.set_room(10_000);
    let mut taken = 0;
    for id in 1..=40 {
        if append(&queue, bytes_of(id, 500), 1, &outcomes).is_none() {
            break;
        }
        taken = id;
    }
    wait_until("the full disk", || queue.stats().is_disk_full);
    assert!(outcomes.durable().len() < taken as usize, "something waits");
    assert_eq!(append(&queue, bytes_of(99, 500), 1, &outcomes), None, "and so does what comes now");
    // Reading goes on meanwhile, and acks free pages and bring the writer on.
    let records = run(async {
        let mut reader = queue.reader();
        let mut records = Vec::new();
        while (records.len() as u64) < taken {
            let record = tokio::time::timeout(Duration::from_secs(10), reader.next()).await.unwrap().unwrap();
            queue.ack(record.number);
            records.push(record.number);
        }
        records
    });
    assert!(records.iter().copied().eq(1..=taken));
    wait_until("the last report", || outcomes.durable().len() == taken as usize);
    assert!(!queue.stats().is_disk_full);
    assert!(folder.names().iter().all(|name| !name.contains("damaged")));
}

#[test]
fn a_disk_that_has_room_again_is_noticed() {
    let folder = ModelFolder::new();
    let (queue, _) = open(&folder, options());
    let outcomes = Outcomes::default();
    for id in 1..=3 {
        append(&queue, bytes_of(id, 200), 1, &outcomes).unwrap();
    }
    wait_until("the first writes", || outcomes.len() == 3);
    folder.set_room(0);
    for id in 4..=6 {
        append(&queue, bytes_of(id, 200), 1, &outcomes).unwrap();
        wait_until("the full disk", || queue.stats().is_disk_full);
        if id < 6 {
            queue.shared.state().blocked = None;
        }
    }
    (1..=2).for_each(|number| queue.ack(number));
    wait_until("a checkpoint on a full disk", || queue.shared.state().checkpointed == 3);
    folder.set_room(usize::MAX);
    wait_until("room", || outcomes.durable().len() == 6);
    assert_eq!(read_all(&queue).len(), 4);
    close(queue);
    let (queue, recovery) = open(&folder, options());
    assert!(!recovery.damaged.any() && recovery.torn_bytes == 0, "{recovery:?}");
    assert_eq!(read_all(&queue).len(), 4);
}

#[test]
fn records_of_a_page_that_can_not_be_synced_are_written_into_another() {
    for nth in 1..4 {
        let folder = ModelFolder::new();
        let (queue, _) = open(&folder, options());
        let outcomes = Outcomes::default();
        folder.fail_sync(nth);
        for id in 1..=6 {
            append(&queue, bytes_of(id, 100), 1, &outcomes).unwrap();
            wait_until("a write", || outcomes.durable().len() as u64 == id);
        }
        let failed_checkpoint = queue.stats().failed_writes == 0;
        assert!(queue.stats().failed_writes <= 1);
        drop(queue);
        // What the failed sync forgot is not on the disk.
        let mut rng = rand::SeedableRng::seed_from_u64(nth);
        let (queue, recovery) = open(&folder.after_power_loss(&mut rng), options());
        assert_eq!(recovery.damaged.ranges, 0, "{recovery:?} {failed_checkpoint}");
        assert_eq!(read_all(&queue).len(), 6, "sync {nth}");
    }
}

#[test]
fn what_a_dead_disk_does_not_take_is_reported_lost() {
    let folder = ModelFolder::new();
    let (queue, _) = open(&folder, options());
    let outcomes = Outcomes::default();
    append(&queue, bytes_of(1, 10), 1, &outcomes).unwrap();
    wait_until("a write", || outcomes.len() == 1);
    folder.die_after(0);
    append(&queue, bytes_of(2, 10), 1, &outcomes).unwrap();
    wait_until("the failure", || queue.stats().is_disk_failing);
    close(queue);
    assert_eq!(*outcomes.0.lock().unwrap(), [(1, true), (2, false)]);
}

#[test]
fn a_disk_that_can_not_be_read_for_a_moment_costs_nothing() {
    let (folder, _) = filled(options(), 20, 100);
    let (queue, _) = open(&folder, options());
    folder.fail_opens(5);
    assert_eq!(read_all(&queue).len(), 20);
    assert!(!queue.stats().damaged.any());
}
