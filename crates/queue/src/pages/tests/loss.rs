//! Power losses at any moment: what was reported durable is there.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;

const CASES: u64 = 1000;

#[test]
fn whatever_was_durable_survives_power_losses() {
    let mut durable = 0;
    for seed in 0..CASES {
        durable += one_case(seed);
    }
    assert!(durable > CASES as usize * 10, "too little was written: {durable}");
}

/// A few lives of a queue; the number of records that had to survive.
fn one_case(seed: u64) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut folder = ModelFolder::new();
    let options = PageOptions {
        page_bytes_max: rng.random_range(200..3000),
        checkpoint_acks: rng.random_range(0..5),
        compression: if rng.random() { Compression::Speed } else { Compression::None },
        ..options()
    };
    let outcomes = Outcomes::default();
    let mut written: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let (mut acked, mut next_id) = (BTreeSet::new(), 1);
    for _ in 0..rng.random_range(1..4) {
        folder.die_after(rng.random_range(0..120));
        let Ok((queue, recovery)) = PageQueue::open_in(Arc::new(folder.clone()), options, None) else {
            folder = folder.after_power_loss(&mut rng);
            continue;
        };
        if rng.random() {
            let mut reader = queue.reader();
            let wanted = rng.random_range(0..=recovery.records);
            run(async {
                for _ in 0..wanted {
                    let next = tokio::time::timeout(Duration::from_millis(100), reader.next()).await;
                    let Ok(Some(record)) = next else { break };
                    assert_eq!(written.get(&id_of(&record.bytes)), Some(&record.bytes), "seed {seed}");
                    if rng.random_ratio(9, 10) {
                        queue.ack(record.number);
                        acked.insert(id_of(&record.bytes));
                    }
                }
            });
        }
        if rng.random_ratio(1, 4) {
            folder.fail_sync(rng.random_range(1..6));
        }
        for _ in 0..rng.random_range(1..40) {
            let bytes = bytes_of(next_id, rng.random_range(0..600));
            let Some(number) = append(&queue, bytes.clone(), 1, &outcomes) else { break };
            written.insert(next_id, bytes);
            if rng.random_ratio(1, 8) {
                queue.ack(number);
                acked.insert(next_id);
            }
            next_id += 1;
            if rng.random_ratio(1, 3) {
                wait_until("a write", || outcomes.len() == written.len() || folder.is_dead());
            }
        }
        if rng.random() {
            close(queue);
        } else {
            drop(queue);
        }
        folder = folder.after_power_loss(&mut rng);
    }
    let mut seen = Vec::new();
    // The second time, nothing has changed.
    for _ in 0..2 {
        let (queue, _) = open(&folder, options);
        let records = read_all(&queue);
        assert!(records.is_sorted_by_key(|record| record.number), "seed {seed}");
        for record in &records {
            assert_eq!(written.get(&id_of(&record.bytes)), Some(&record.bytes), "seed {seed}");
        }
        close(queue);
        seen.push(records.iter().map(|record| id_of(&record.bytes)).collect::<BTreeSet<u64>>());
        folder = folder.after_power_loss(&mut rng);
    }
    assert_eq!(seen[0], seen[1], "seed {seed}");
    let durable = outcomes.durable();
    let lost: Vec<&u64> = durable.iter().filter(|id| !seen[0].contains(id) && !acked.contains(id)).collect();
    assert!(lost.is_empty(), "seed {seed} lost {lost:?} of {}", durable.len());
    durable.len()
}
