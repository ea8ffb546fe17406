//! `ferrostash queue check` and `repair`, on queues that were made here.

use std::path::Path;

use ferrostash_queue::pages::{PageOptions, PageQueue};

use crate::harness::{Finished, Start};

/// A queue with three records of 10 events each.
fn fill(dir: &Path) {
    let (queue, _) = PageQueue::open(dir, PageOptions::default()).unwrap();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        for record in 0..3 {
            queue.append(vec![record; 1000], 10, Box::new(|_| {})).await.unwrap();
        }
        queue.close().await;
    });
}

fn queue(words: &[&str], dir: &Path) -> Finished {
    let mut arguments = vec!["queue"];
    arguments.extend(words);
    let dir = dir.to_str().unwrap();
    arguments.extend(["--path.queue", dir]);
    Start::plain(&arguments).finish()
}

fn says(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    for word in words {
        assert!(finished.stdout.contains(word), "`{word}` is not in:\n{}", finished.stdout);
    }
}

#[test]
fn damage_is_found_with_its_place_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    fill(&dir.path().join("main"));
    fill(&dir.path().join("other"));
    let whole = queue(&["check"], dir.path());
    says(&whole, 0, &["/main\n", "/other\n", "1.page: 3196 bytes, 3 records", "30 events", "whole"]);
    let page = dir.path().join("main/1.page");
    let mut bytes = std::fs::read(&page).unwrap();
    bytes[1500] ^= 1;
    std::fs::write(&page, &bytes).unwrap();
    let damage = "1.page bytes 1108 to 2152: the checksum of a record is wrong; 1 records from number 2 lost, 10 events";
    says(&queue(&["check"], dir.path()), 1, &[damage, "20 events", "DAMAGED"]);
    assert_eq!(std::fs::read(&page).unwrap(), bytes, "a check changes nothing");
    says(&queue(&["check", "other"], dir.path()), 0, &["whole"]);
    says(&queue(&["repair", "main"], dir.path()), 0, &[damage, "repaired"]);
    says(&queue(&["check"], dir.path()), 0, &["20 events", "kept in damaged/ from before: 2 files"]);
    // The folder of a queue itself will do.
    says(&queue(&["check"], &dir.path().join("main")), 0, &["2 records"]);
}

#[test]
fn queues_of_logstash_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("main");
    std::fs::create_dir(&main).unwrap();
    std::fs::write(main.join("page.0"), [2]).unwrap();
    std::fs::write(main.join("checkpoint.head"), [0; 34]).unwrap();
    for command in ["check", "repair"] {
        says(&queue(&[command], dir.path()), 1, &["persistent queue of Logstash", "ferrostash queue import"]);
    }
    assert_eq!(std::fs::read_dir(&main).unwrap().count(), 2);
}

#[test]
fn a_queue_in_use_is_not_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let (open, _) = PageQueue::open(&dir.path().join("main"), PageOptions::default()).unwrap();
    says(&queue(&["check"], dir.path()), 0, &["in use"]);
    says(&queue(&["repair"], dir.path()), 1, &["in use by another process"]);
    drop(open);
}

#[test]
fn queues_are_found_by_the_settings_and_none_is_none() {
    let start = Start::plain(&["queue", "check"]);
    let data = start.folder().join("data/queue/main");
    fill(&data);
    says(&start.finish(), 0, &["data/queue/main", "3 records"]);
    says(&Start::plain(&["queue", "check"]).finish(), 0, &["there is no queue in"]);
    says(&Start::plain(&["queue", "check", "foo"]).finish(), 1, &["no queue of the pipeline foo"]);
}
