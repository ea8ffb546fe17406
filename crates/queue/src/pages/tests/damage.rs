//! Broken files: what is intact comes back, and what is not is counted and kept.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::check::{look, mend};
use super::*;

/// Opens and reads all: what comes back is intact, and what does not is told.
fn survivors(folder: &ModelFolder, written: &BTreeMap<u64, Vec<u8>>) -> (Vec<u64>, PageStats, Recovery) {
    let (queue, recovery) = open(folder, options());
    let records = read_all(&queue);
    for record in &records {
        assert_eq!(written.get(&record.number), Some(&record.bytes));
    }
    let numbers: Vec<u64> = records.iter().map(|record| record.number).collect();
    numbers.iter().for_each(|number| queue.ack(*number));
    let stats = queue.stats();
    assert_eq!((stats.events, stats.records), (0, 0), "nothing is left behind");
    close(queue);
    (numbers, stats, recovery)
}

/// A file is broken like this; what is lost?
fn broken(name: &str, change: impl Fn(&ModelFolder)) -> (Vec<u64>, PageStats, ModelFolder) {
    let (folder, written) = filled(options(), 40, 100);
    change(&folder);
    let report = look(&folder.copy()).unwrap();
    let mended = folder.copy();
    mend(&mended).unwrap();
    let after = look(&mended).unwrap();
    assert!(!after.is_damaged() && after.torn_bytes == 0, "{name} {after}");
    let (numbers, stats, _) = survivors(&folder, &written);
    assert_eq!(report.records, numbers.len() as u64, "{name} {report}");
    assert_eq!(after.records, numbers.len() as u64, "{name} {after}");
    assert_eq!(report.is_damaged(), stats.damaged.any(), "{name} {report}");
    assert_eq!(stats.damaged.records + numbers.len() as u64, 40, "{name}: {stats:?}");
    if stats.damaged.records_of_unknown_events == 0 {
        assert_eq!(stats.damaged.events, 3 * stats.damaged.records, "{name}");
    }
    let (_, mended_stats, _) = survivors(&mended, &written);
    assert!(!mended_stats.damaged.any(), "{name} {mended_stats:?}");
    (numbers, stats, folder)
}

#[test]
fn a_flipped_bit_costs_one_record() {
    let (numbers, stats, folder) = broken("data", |folder| {
        let mut bytes = folder.bytes("2.page");
        bytes[350] ^= 4;
        folder.put("2.page", &bytes);
    });
    assert_eq!((numbers.len(), stats.damaged.records, stats.damaged.ranges), (39, 1, 1));
    let kept: Vec<_> = folder.names().into_iter().filter(|name| name.starts_with("damaged/")).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let reason = String::from_utf8(folder.bytes(&kept[1])).unwrap();
    assert!(reason.contains("checksum") && reason.contains("page: 2"), "{reason}");
    assert_eq!(folder.bytes(&kept[0]).len() as u64, stats.damaged.bytes);
}

#[test]
fn a_missing_page_in_the_middle_is_noticed_with_its_events() {
    let (numbers, stats, _) = broken("missing", |folder| folder.delete("3.page"));
    assert_eq!(stats.damaged.events, 3 * (40 - numbers.len() as u64));
    assert_eq!(numbers.last(), Some(&40));
}

#[test]
fn pages_missing_at_either_end_are_noticed() {
    let (numbers, stats, _) = broken("front", |folder| folder.delete("1.page"));
    assert!(numbers.len() < 40 && stats.damaged.records > 0);
    let last = |folder: &ModelFolder| {
        let numbers = folder.names();
        let pages = numbers.iter().filter_map(|name| format::page_number(name));
        format::page_name(pages.max().unwrap())
    };
    let (numbers, stats, _) = broken("end", |folder| folder.delete(&last(folder)));
    assert!(numbers.len() < 40 && stats.damaged.records > 0);
    let (numbers, _, _) = broken("end of zeros", |folder| {
        let count = folder.bytes(&last(folder)).len();
        folder.put(&last(folder), &vec![0; count]);
    });
    assert!(numbers.len() < 40);
    let (numbers, _, _) = broken("all", |folder| {
        folder.names().iter().filter(|name| name.ends_with(".page")).for_each(|name| folder.delete(name));
    });
    assert_eq!(numbers.len(), 0);
}

#[test]
fn truncated_zero_garbage_and_foreign_pages_cost_what_is_in_them() {
    for count in [0, 30, 64, 100, 500] {
        broken("truncated", |folder| {
            let bytes = folder.bytes("2.page");
            folder.put("2.page", &bytes[..count]);
        });
    }
    broken("zeros", |folder| folder.put("2.page", &[0; 900]));
    broken("garbage", |folder| folder.put("2.page", &[0xF5; 900]));
    let (other, _) = filled(options(), 40, 100);
    broken("foreign", |folder| folder.put("2.page", &other.bytes("2.page")));
    broken("foreign and new", |folder| folder.put("99.page", &other.bytes("2.page")));
    broken("renamed", |folder| folder.put("2.page", &folder.bytes("3.page")));
    let (numbers, stats, _) = broken("header", |folder| {
        let mut bytes = folder.bytes("2.page");
        bytes[20] ^= 1;
        folder.put("2.page", &bytes);
    });
    assert_eq!((numbers.len(), stats.damaged.ranges), (40, 1), "the records do not need the header");
}

#[test]
fn without_checkpoints_everything_that_exists_is_given_again() {
    for (name, damage) in [("missing", None), ("empty", Some(&[][..])), ("garbage", Some(&[7; 64][..]))] {
        for which in [&["checkpoint-1"][..], &["checkpoint-2"], &["checkpoint-1", "checkpoint-2"]] {
            let (numbers, stats, folder) = broken(name, |folder| {
                which.iter().for_each(|file| match damage {
                    Some(bytes) => folder.put(file, bytes),
                    None => folder.delete(file),
                });
            });
            assert_eq!((numbers.len(), stats.damaged.ranges), (40, 0), "{name} {which:?}");
            assert_eq!(stats.damaged.checkpoints, which.len() as u64);
            assert_eq!(look(&folder).unwrap().bad_checkpoints, 0, "they are there again");
        }
    }
}

#[test]
fn a_torn_end_is_cut_and_no_damage() {
    let (folder, written) = filled(options(), 40, 100);
    let last = folder.names().iter().filter_map(|name| format::page_number(name)).max().unwrap();
    let mut bytes = folder.bytes(&format::page_name(last));
    bytes.extend([9; 30]);
    folder.put(&format::page_name(last), &bytes);
    folder.put(&format::page_name(last + 1), &[0; 100]);
    let (numbers, stats, recovery) = survivors(&folder, &written);
    assert_eq!((numbers.len(), recovery.torn_bytes, stats.damaged.any()), (40, 130, false));
}

#[test]
fn no_flipped_bit_gives_out_a_broken_record() {
    let (folder, written) = filled(PageOptions { compression: Compression::Speed, ..options() }, 40, 100);
    let names = folder.names();
    let mut rng = StdRng::seed_from_u64(1);
    let mut lost = 0;
    for _ in 0..FLIPS {
        let copy = folder.copy();
        let name = &names[rng.random_range(0..names.len())];
        copy.flip(&mut rng, name);
        let (numbers, stats, _) = survivors(&copy, &written);
        assert_eq!(stats.damaged.records + numbers.len() as u64, 40, "{name}: {stats:?}");
        assert!(stats.damaged.any(), "{name} {stats:?}");
        assert!(stats.damaged.records <= 1);
        lost += stats.damaged.records;
        // The next start is a normal one.
        let (queue, recovery) = open(&copy, options());
        assert_eq!((recovery.records, recovery.damaged.checkpoints), (0, 0));
        drop(queue);
    }
    assert!(lost > FLIPS / 2, "{lost}");
}

const FLIPS: u64 = 10_000;

#[test]
fn many_flipped_bits_at_once_end_no_reading() {
    let (folder, written) = filled(options(), 40, 100);
    let names = folder.names();
    let mut lost = 0;
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let copy = folder.copy();
        for _ in 0..rng.random_range(2..60) {
            let name = &names[rng.random_range(0..names.len())];
            copy.flip(&mut rng, name);
        }
        let (numbers, stats, _) = survivors(&copy, &written);
        assert!(stats.damaged.any(), "seed {seed}");
        lost += 40 - numbers.len();
    }
    assert!(lost > 300, "{lost}");
}
