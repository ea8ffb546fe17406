//! `ferrostash queue import`: takes over the events of a queue that Logstash left behind.

use crate::generation::folder_of;
use ferrostash_plugin::Share;
use ferrostash_queue::dead_letter_queue::QueueLock;
use ferrostash_queue::logstash::PersistedQueue;
use ferrostash_queue::{EventPages, PageOptions};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Events that are written together.
const BATCH_EVENTS: usize = 1000;
/// Marks a queue of Logstash that has been taken over.
const DONE: &str = "logstash";
/// Marks a queue that is not complete yet.
const PART: &str = "importing";

/// Takes over the events of the queue of Logstash in `from`, or in the pipeline's own folder, into that folder. Says what was
/// done.
///
/// # Errors
/// What is in the way, in a sentence. The source is never changed, but for its name once all is safe.
pub(super) async fn import(root: &Path, pipeline: &str, from: Option<&Path>) -> Result<String, String> {
    let target = folder_of(root, pipeline);
    match from {
        Some(from) if from != target => into_queue(from, &target).await,
        _ => in_place(&target).await,
    }
}

/// The folder is Logstash's: its name changes once its events are safe in a new one.
async fn in_place(dir: &Path) -> Result<String, String> {
    let (part, done) = (beside(dir, PART), beside(dir, DONE));
    if done.exists() && part.exists() && !dir.exists() {
        // It ended between the two names.
        return rename(&part, dir)
            .map(|()| format!("{}: the events that were taken over before\n", dir.display()));
    }
    if done.exists() {
        return Err(format!(
            "{} is there: a queue was taken over before. Move it away first.",
            done.display()
        ));
    }
    // What an earlier try left is incomplete.
    match std::fs::remove_dir_all(&part) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("{}: {error}", part.display())),
    }
    let mut said = into_queue(dir, &part).await?;
    rename(dir, &done)?;
    rename(&part, dir)?;
    let _ = writeln!(said, "  Logstash's files are in {} and can be deleted", done.display());
    Ok(said)
}

fn rename(from: &Path, to: &Path) -> Result<(), String> {
    let problem = |error| format!("{} can't be renamed to {}: {error}", from.display(), to.display());
    std::fs::rename(from, to).map_err(problem)
}

/// Appends the events of `from` to the queue in `to`.
async fn into_queue(from: &Path, to: &Path) -> Result<String, String> {
    let mut source = PersistedQueue::open(from).map_err(|error| error.to_string())?;
    // Logstash keeps this one while it runs.
    let _lock = QueueLock::writer(from).map_err(|error| format!("Logstash still runs: {error}"))?;
    let options = PageOptions { bytes_max: u64::MAX, ..PageOptions::default() };
    let (target, _) = EventPages::open(to, options).map_err(|error| error.to_string())?;
    let (mut count, mut refused) = (0, Vec::new());
    loop {
        let events: Vec<_> = source.by_ref().take(BATCH_EVENTS).map(|queued| queued.event).collect();
        if events.is_empty() {
            break;
        }
        count += events.len();
        let share = Share::new(Arc::from([]));
        refused.extend(
            target.append(events.iter(), &share, &mut |_| ()).await.map_err(|error| error.to_string())?,
        );
        share.settle();
    }
    target.close();
    target.end().await;
    let stats = target.stats();
    let kept = count - refused.len();
    if stats.is_disk_full || stats.is_disk_failing || stats.failed_writes > 0 {
        return Err(format!("{} can't be written: not everything was taken over", to.display()));
    }
    let mut said = format!("{}: {kept} events were taken over from {}\n", to.display(), from.display());
    for damage in source.damage() {
        let _ = writeln!(said, "  can't be read: {damage}");
    }
    for (_, reason) in &refused {
        let _ = writeln!(said, "  an event can't be kept: {reason}");
    }
    Ok(said)
}

fn beside(dir: &Path, mark: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".");
    name.push(mark);
    name.into()
}
