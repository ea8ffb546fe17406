//! Writing segments: what goes to the disk, when a segment ends, and what goes when there is no room.

use super::lock::{LockError, QueueLock};
use super::records::{self, RECORD_BYTES_MAX, VERSION};
use super::segments::{DELETED_NOTE, Segment, path_of, segments, sync_dir, total_bytes};
use super::writer::QueueStats;
use crate::crash::crash_point;
use ferrostash_event::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A segment that would become larger, in bytes, is sealed first.
pub const SEGMENT_BYTES_MAX: u64 = 10 << 20;
/// What waits to be written goes to the disk at this weight, in bytes.
const PENDING_BYTES_MAX: usize = 1 << 20;

/// What goes when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoragePolicy {
    /// What comes.
    #[default]
    DropNewer,
    /// The oldest segment.
    DropOlder,
}

/// How a queue is written.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The folder of the queue.
    pub dir: PathBuf,
    /// Most bytes of all segments.
    pub max_bytes: u64,
    /// A segment that would become larger, in bytes, is sealed first; [`SEGMENT_BYTES_MAX`] as in Logstash.
    pub segment_bytes_max: u64,
    /// What goes when the queue is full.
    pub storage_policy: StoragePolicy,
    /// How old entries may become.
    pub retain_age: Option<Duration>,
    /// A segment to which nothing was added for so long is sealed.
    pub flush_interval: Duration,
}

/// The number of the next segment. Readers remember how far they are by number, so none may come twice, also where all
/// segments were deleted.
const NUMBER_NOTE: &str = ".next_segment";

fn noted_number(dir: &Path) -> u32 {
    let note = File::open(dir.join(NUMBER_NOTE)).and_then(|file| {
        let mut text = String::new();
        file.take(16).read_to_string(&mut text)?;
        Ok(text)
    });
    note.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1)
}

/// The files of a queue, as the one who writes has them.
pub(super) struct Store {
    settings: StoreSettings,
    stats: Arc<QueueStats>,
    head: Option<Head>,
    next_number: u32,
    /// Records that were taken and not written yet; they belong behind `Head::bytes`.
    pending: Vec<u8>,
    /// The newest entry of the oldest segment, where that is known.
    oldest: Option<(u32, Timestamp)>,
    _lock: QueueLock,
}

/// The segment that is being written.
struct Head {
    number: u32,
    file: File,
    /// What is written and durable.
    bytes: u64,
    written_at: Instant,
}

impl Store {
    /// Takes the folder, making it where needed, and seals what a crash left open.
    pub(super) fn open(settings: StoreSettings, stats: Arc<QueueStats>) -> Result<Store, LockError> {
        let dir = settings.dir.clone();
        let failed = |error| LockError::Io { path: dir.clone(), error };
        fs::create_dir_all(&dir).map_err(failed)?;
        let lock = QueueLock::writer(&dir)?;
        let found = segments(&dir).map_err(failed)?;
        let behind = found.last().map_or(1, |last| last.number.saturating_add(1));
        let mut next_number = behind.max(noted_number(&dir));
        for open in found.iter().filter(|segment| !segment.is_sealed) {
            let is_taken = found.iter().any(|other| other.is_sealed && other.number == open.number);
            let number = if is_taken { next_number } else { open.number };
            next_number += u32::from(is_taken);
            seal_remains(&dir, open, number).map_err(failed)?;
        }
        let mut store = Store {
            settings,
            stats,
            head: None,
            next_number,
            pending: Vec::new(),
            oldest: None,
            _lock: lock,
        };
        store.count_anew().map_err(failed)?;
        store.expire();
        Ok(store)
    }

    fn dir(&self) -> &Path {
        &self.settings.dir
    }

    fn count_anew(&mut self) -> io::Result<()> {
        let bytes = total_bytes(self.dir())? + self.pending.len() as u64;
        self.stats.queue_size_bytes.set(bytes);
        Ok(())
    }

    /// Takes a record; whether it is kept. After [`Store::commit`] it is durable. After an error nothing was taken, and the
    /// call may be repeated.
    pub(super) fn put(&mut self, record: &[u8]) -> io::Result<bool> {
        let bytes = record.len() as u64 + 13;
        if record.len() > RECORD_BYTES_MAX || bytes + 1 > self.settings.max_bytes {
            self.refuse(&format!("an entry of {bytes} bytes does not fit into it"));
            return Ok(false);
        }
        self.expire();
        if !self.make_room(bytes)? {
            return Ok(false);
        }
        let used = self.head.as_ref().map_or(0, |head| head.bytes) + self.pending.len() as u64;
        if self.head.is_some() && used > 1 && used + bytes > self.settings.segment_bytes_max {
            self.seal()?;
        }
        if self.pending.len() > PENDING_BYTES_MAX {
            self.commit()?;
        }
        let head = self.head()?;
        let (offset, before) = (head.bytes + self.pending.len() as u64, self.pending.len());
        records::append(record, offset, &mut self.pending);
        self.stats.queue_size_bytes.add((self.pending.len() - before) as u64);
        Ok(true)
    }

    /// Makes all records durable that were taken. After an error the call may be repeated.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.head()?;
        let (Some(head), pending) = (&mut self.head, &mut self.pending) else { return Ok(()) };
        crash_point("dlq.write.before");
        let written = head.file.write_all_at(pending, head.bytes).and_then(|()| {
            crash_point("dlq.write.after");
            head.file.sync_data()
        });
        crash_point("dlq.sync.after");
        if let Err(error) = written {
            // Half a record would be taken for a damaged one.
            let _ = head.file.set_len(head.bytes);
            return Err(error);
        }
        head.bytes += pending.len() as u64;
        head.written_at = Instant::now();
        pending.clear();
        pending.shrink_to(PENDING_BYTES_MAX);
        Ok(())
    }

    fn head(&mut self) -> io::Result<&mut Head> {
        if self.head.is_none() {
            let number = self.next_number;
            let path = path_of(self.dir(), number, false);
            let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
            file.write_all_at(&[VERSION], 0)?;
            sync_dir(self.dir())?;
            self.next_number += 1;
            // Without the note numbers go on behind the last segment that is left.
            let _ = fs::write(self.dir().join(NUMBER_NOTE), self.next_number.to_string());
            self.stats.queue_size_bytes.add(1);
            self.head = Some(Head { number, file, bytes: 1, written_at: Instant::now() });
        }
        self.head.as_mut().ok_or_else(|| io::Error::other("there is no segment"))
    }

    /// Seals the segment that is being written, with all that was taken.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        self.commit()?;
        let Some(head) = &self.head else { return Ok(()) };
        let number = head.number;
        crash_point("dlq.seal.before");
        fs::rename(path_of(self.dir(), number, false), path_of(self.dir(), number, true))?;
        crash_point("dlq.seal.after");
        self.head = None;
        sync_dir(self.dir())
    }

    /// What is due now and then: sealing, expiring, counting anew after a reader has deleted segments.
    pub(super) fn look_after(&mut self) -> io::Result<()> {
        let interval = self.settings.flush_interval;
        if self.head.as_ref().is_some_and(|head| head.written_at.elapsed() >= interval) {
            self.seal()?;
        }
        let note = self.dir().join(DELETED_NOTE);
        if note.exists() {
            fs::remove_file(note)?;
            self.oldest = None;
            self.count_anew()?;
        }
        self.expire();
        Ok(())
    }

    /// Whether there is room for `bytes` more, by dropping old segments where that is the policy.
    fn make_room(&mut self, bytes: u64) -> io::Result<bool> {
        let is_full = |store: &Store| store.stats.queue_size_bytes.get() + bytes > store.settings.max_bytes;
        if !is_full(self) {
            return Ok(true);
        }
        // A reader may have deleted some.
        self.count_anew()?;
        while is_full(self) {
            if self.settings.storage_policy == StoragePolicy::DropNewer {
                self.refuse(&format!("reached maxQueueSize of {}", self.settings.max_bytes));
                return Ok(false);
            }
            let Some(oldest) = segments(self.dir())?.into_iter().find(|segment| segment.is_sealed) else {
                match self.head.is_some() {
                    true => self.seal()?,
                    false => {
                        self.refuse(&format!("reached maxQueueSize of {}", self.settings.max_bytes));
                        return Ok(false);
                    }
                }
                continue;
            };
            let entries = self.delete(&oldest)?;
            self.stats.dropped_events.add(entries);
            let error = format!(
                "The oldest segment of the dead letter queue (path: {}) was dropped with {entries} entries: reached maxQueueSize of {}",
                oldest.path.display(),
                self.settings.max_bytes
            );
            tracing::warn!(target: "logstash.deadletterqueue", limited = true, "{error}");
            self.stats.set_last_error(error);
        }
        Ok(true)
    }

    fn refuse(&self, reason: &str) {
        let error = format!("Cannot write event to DLQ(path: {}): {reason}", self.dir().display());
        tracing::error!(target: "logstash.deadletterqueue", limited = true, "{error}");
        self.stats.set_last_error(error);
        self.stats.dropped_events.add(1);
    }

    /// Deletes a sealed segment; says how many entries it had.
    fn delete(&mut self, segment: &Segment) -> io::Result<u64> {
        let entries = segment.summary().map_or(0, |summary| summary.entries);
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.oldest = None;
        self.count_anew()?;
        Ok(entries)
    }

    /// Deletes segments whose newest entry is too old.
    fn expire(&mut self) {
        if let Some(age) = self.settings.retain_age
            && let Err(error) = self.expire_older_than(age)
        {
            tracing::error!(target: "logstash.deadletterqueue", limited = true, %error, path = %self.dir().display(), "Old segments of the dead letter queue can't be deleted.");
        }
    }

    fn expire_older_than(&mut self, age: Duration) -> io::Result<()> {
        let limit = Timestamp::from_nanos(Timestamp::now().to_nanos() - age.as_nanos() as i128);
        if self.oldest.is_some_and(|(_, newest)| newest >= limit) {
            return Ok(());
        }
        for segment in segments(self.dir())?.iter().filter(|segment| segment.is_sealed) {
            let newest = newest_of(segment)?;
            if newest >= limit {
                self.oldest = Some((segment.number, newest));
                return Ok(());
            }
            let entries = self.delete(segment)?;
            self.stats.expired_events.add(entries);
        }
        Ok(())
    }
}

/// The time of a segment's newest entry; of the file, where no entry has one.
fn newest_of(segment: &Segment) -> io::Result<Timestamp> {
    if let Ok(Some(newest)) = segment.summary().map(|summary| summary.newest) {
        return Ok(newest);
    }
    let modified = match fs::metadata(&segment.path).and_then(|metadata| metadata.modified()) {
        Ok(modified) => modified,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Timestamp::EPOCH),
        Err(error) => return Err(error),
    };
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp::from_nanos(since.as_nanos() as i128))
}

/// Seals, as `number`, what a process left that did not come to its end: without the record that it was writing.
fn seal_remains(dir: &Path, open: &Segment, number: u32) -> io::Result<()> {
    let summary = match open.summary() {
        Ok(summary) => summary,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let kept = dir.join(format!("{}.err", open.number));
            tracing::warn!(target: "logstash.deadletterqueue", %error, kept = %kept.display(), "A segment of the dead letter queue can't be read and is put aside.");
            return fs::rename(&open.path, kept);
        }
        Err(error) => return Err(error),
    };
    // Damaged places stay, since they say that something is missing.
    if summary.entries == 0 && summary.damaged == 0 {
        return fs::remove_file(&open.path);
    }
    if summary.damaged == 0 && summary.end < open.bytes {
        let file = OpenOptions::new().write(true).open(&open.path)?;
        file.set_len(summary.end)?;
        file.sync_all()?;
    }
    fs::rename(&open.path, path_of(dir, number, true))?;
    sync_dir(dir)
}

#[cfg(test)]
mod tests;
