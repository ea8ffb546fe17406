//! An append-only log of records on the disk: what lies under the persistent queue and under the spill of outputs.
//!
//! A record is bytes that stand for a number of events. Records are numbered, appended by many, made durable in groups by
//! one thread, read back in order by one reader, and acked in any order; what is acked from the front on is deleted, page
//! by page. After a crash, every record that was reported durable is read again unless its ack was durable, too: at least
//! once, in order.
//!
//! # Files
//!
//! The folder (mode 0700, files 0600) belongs to one process at a time, which holds the lock of `.lock`.
//!
//! | file | |
//! |---|---|
//! | `N.page` | records, appended; at most [`PageOptions::page_bytes_max`] bytes unless one record is larger |
//! | `checkpoint-1`, `checkpoint-2` | what is acked, overwritten in place by turns: one is always whole, and a full disk does not hinder them |
//! | `damaged/` | what was broken: bytes of `N.page.FROM-TO`, whole pages, and beside each a `.txt` with the reason |
//!
//! All numbers are little-endian, all checksums CRC-32C.
//!
//! | page header, 64 bytes | | record header, 44 bytes | | checkpoint, 64 bytes | |
//! |---|---|---|---|---|---|
//! | 0 | magic `89 "FSPAGE" 0A` | 0 | magic `F5 "R" FF ">"` | 0 | magic `89 "FSACKS" 0A` |
//! | 8 | version, 2 bytes: 1 | 4 | length of the data that follow, 4 bytes | 8 | identity of the queue |
//! | 10 | identity of the queue, 16 random bytes | 8 | number, 8 bytes | 24 | count of checkpoints, 8 bytes |
//! | 26 | number of the page, 8 bytes | 16 | events of all records before it, 8 bytes | 32 | first record that is not acked, 8 bytes |
//! | 34 | number of the first record, 8 bytes | 24 | its events, 4 bytes | 40 | number behind the last durable record, 8 bytes |
//! | 42 | events of all records before it, 8 bytes | 28 | flags, 4 bytes: 1 zstd, 2 lost | 48 | events of all records before that, 8 bytes |
//! | 50 | zeros | 32 | length of the data before compression, 4 bytes | 56 | zeros |
//! | 60 | checksum of bytes 0 to 59 | 36 | checksum of the data, 4 bytes | 60 | checksum of bytes 0 to 59 |
//! | | | 40 | checksum of identity, page number and bytes 0 to 39 | | |
//!
//! The numbers of records follow one another without gaps, within a page and from page to page. So a record that is
//! missing is always noticed, and the events in it are known from the next one that is intact. A record marked as lost is
//! the trace of a repair: its data are the number of the next record, and the events before that.
//!
//! A page ends where the header of the next one says. What stands behind that in the file (a sync failed, and the records
//! were written again into a new page) does not count.
//!
//! # Opening
//!
//! Read in full is only the last page; of the others the header, of the first one also the headers of acked records, and
//! of one with a broken header as much as it takes to find a record. So opening takes no longer for a large queue than for
//! a small one. All else is checked when it is read. Bytes at the very end that are no record are the normal trace of a
//! crash and are cut, unless a checkpoint says that there were records. Whatever else is broken is copied or moved to
//! `damaged/`, counted and told once, and reading goes on behind it. A power loss that let a later part of the last write
//! through and not an earlier one looks like damage, too, though nobody was told that it was durable.
//!
//! # The disk
//!
//! Nothing is reserved ahead, which was measured to gain nothing beyond the noise: appending grows the file. A full disk makes appends wait; the writer tries again every
//! [`DISK_PROBE_INTERVAL`] and whenever acks have freed a page. After a sync that failed, its page is left, and the records
//! are written again into a new one before anybody hears that they are durable.

mod check;
mod checkpoint;
mod compression;
mod damage;
mod folder;
mod format;
#[cfg(test)]
mod model;
mod reader;
mod recover;
mod scan;
mod state;
mod survey;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use check::{PageReport, Report, check, repair};
pub use compression::Compression;
pub use damage::{DAMAGED_BYTES_MAX, DAMAGED_DIR, Damage, Damaged};
pub use reader::{Reader, Record};
pub use recover::Recovery;
pub use survey::is_queue;

use folder::{DiskFolder, Folder};
use format::{FLAG_ZSTD, PAGE_HEADER_BYTES, RECORD_HEADER_BYTES};
use state::{Blocked, Pending, Refusal, Shared, State, Totals};
use writer::Writer;

/// Bytes of the largest record.
pub const RECORD_BYTES_MAX: usize = 512 << 20;
/// Bytes of records that wait to be written, or are being written; a larger record passes alone.
pub const WRITE_BUFFER_BYTES_MAX: u64 = 16 << 20;
/// Time between two tries to write to a disk that is full or fails.
pub const DISK_PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time until an ack is durable, whatever [`PageOptions::checkpoint_acks`] says.
pub const CHECKPOINT_DELAY_MAX: Duration = Duration::from_secs(1);

/// How a queue is kept.
#[derive(Clone, Copy, Debug)]
pub struct PageOptions {
    /// Bytes of a page (`queue.page_capacity`).
    pub page_bytes_max: u64,
    /// Bytes of all pages (`queue.max_bytes`); when there are as many, appends wait.
    pub bytes_max: u64,
    /// Events that are not acked (`queue.max_events`), 0 for no bound.
    pub events_max: u64,
    /// What is done to records before they are written.
    pub compression: Compression,
    /// Acks between two checkpoints (`queue.checkpoint.acks`); with 0, checkpoints are written only when a page begins or
    /// can be deleted, after [`CHECKPOINT_DELAY_MAX`], and at the end.
    pub checkpoint_acks: u32,
}

impl Default for PageOptions {
    /// Logstash's defaults.
    fn default() -> Self {
        PageOptions {
            page_bytes_max: 64 << 20,
            bytes_max: 1 << 30,
            events_max: 0,
            compression: Compression::None,
            checkpoint_acks: 1024,
        }
    }
}

/// A queue can't be opened, or not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the queue {0} is in use by another process")]
    Locked(PathBuf),
    /// The files are Logstash's.
    #[error(
        "{dir} holds a persistent queue of Logstash, which is not read in place: stop Logstash, and take its events over with `ferrostash queue import`"
    )]
    Logstash {
        /// The folder.
        dir: PathBuf,
    },
    /// The files are of a version that is not known here.
    #[error(
        "the page {page} of the queue {dir} has the format {version}, which this version does not know: use a newer one"
    )]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// The number of the page.
        page: u64,
        /// The version of its format.
        version: u16,
    },
    /// The options contradict each other.
    #[error(
        "the queue {dir} can't hold pages of {page_bytes_max} bytes when all of it has at most {bytes_max}"
    )]
    Options {
        /// The folder.
        dir: PathBuf,
        /// Bytes of a page.
        page_bytes_max: u64,
        /// Bytes of the queue.
        bytes_max: u64,
    },
    /// The files can't be read or written.
    #[error("the queue {dir} can't be opened: {error}")]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

impl OpenError {
    fn io(folder: &dyn Folder, error: std::io::Error) -> OpenError {
        OpenError::Io { dir: folder.path().to_owned(), error }
    }
}

/// A record is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue is closed for writing.
    #[error("the queue is closed")]
    Closed,
    /// It never fits.
    #[error("a record of {bytes} bytes is larger than {bytes_max}, the most that {bound} allows")]
    TooLarge {
        /// Bytes of the record.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
        /// What sets it.
        bound: &'static str,
    },
}

/// A record that was taken could not be made durable, and never will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record is lost: {reason}")]
pub struct Lost {
    /// Why.
    pub reason: String,
}

/// Hears what became of a record. It is called from the thread of the writer, which it must not block.
pub type OnDurable = Box<dyn FnOnce(Result<(), Lost>) + Send>;

/// Figures of a queue.
#[derive(Clone, Debug, Default)]
pub struct PageStats {
    /// Events that are not acked.
    pub events: u64,
    /// Records from the first that is not acked on.
    pub records: u64,
    /// Bytes of all pages.
    pub bytes: u64,
    /// Bytes that wait to be written, or are being written.
    pub buffered_bytes: u64,
    /// The bound of `bytes`.
    pub bytes_max: u64,
    /// Pages on the disk.
    pub pages: u64,
    /// Appends wait for acks.
    pub is_full: bool,
    /// Appends wait for room on the disk.
    pub is_disk_full: bool,
    /// Appends wait because the disk fails.
    pub is_disk_failing: bool,
    /// What is damaged.
    pub damaged: Damaged,
    /// Records that were written since the opening.
    pub records_written: u64,
    /// Bytes of them, as stored.
    pub bytes_written: u64,
    /// Syncs of pages.
    pub syncs: u64,
    /// Time spent in them.
    pub sync_time: Duration,
    /// Checkpoints that were written.
    pub checkpoints: u64,
    /// Writes and syncs that failed.
    pub failed_writes: u64,
    /// Compression of records.
    pub encode: CompressionStats,
    /// Decompression of records.
    pub decode: CompressionStats,
}

/// Figures of compression in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressionStats {
    /// Bytes before.
    pub bytes_in: u64,
    /// Bytes after.
    pub bytes_out: u64,
    /// Time spent.
    pub time: Duration,
}

/// An open queue.
pub struct PageQueue {
    shared: Arc<Shared>,
    /// Appends that wait form a line: one at a time looks for room.
    turn: tokio::sync::Mutex<()>,
}

impl fmt::Debug for PageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageQueue").field("path", &self.shared.folder.path()).finish_non_exhaustive()
    }
}

impl PageQueue {
    /// Opens the queue of a folder, which is made where there is none, and starts its writer. Reads files, and so blocks.
    ///
    /// # Errors
    /// The folder is in use, is one of Logstash's, can't be read or written, or the options contradict each other. Damage
    /// is no error.
    pub fn open(dir: &Path, options: PageOptions) -> Result<(Arc<PageQueue>, Recovery), OpenError> {
        let folder = DiskFolder::new(dir);
        let failed = |error| OpenError::io(&folder, error);
        folder.make().map_err(failed)?;
        let lock = folder.lock().map_err(failed)?.ok_or_else(|| OpenError::Locked(dir.to_owned()))?;
        PageQueue::open_in(Arc::new(folder), options, Some(lock))
    }

    fn open_in(
        folder: Arc<dyn Folder>,
        options: PageOptions,
        lock: Option<std::fs::File>,
    ) -> Result<(Arc<PageQueue>, Recovery), OpenError> {
        let PageOptions { page_bytes_max, bytes_max, .. } = options;
        if page_bytes_max > bytes_max {
            let dir = folder.path().to_owned();
            return Err(OpenError::Options { dir, page_bytes_max, bytes_max });
        }
        let found = recover::recover(&*folder)?;
        let mut state = State::new(found.pages, found.acked, found.next, found.next, found.next_events);
        state.unacked_events = found.recovery.events;
        state.ack_lost(found.found..found.next, Some(0));
        let shared = Arc::new(Shared::new(folder, found.id, options, state, found.damage));
        let writer = Writer::new(Arc::clone(&shared), found.checkpoints, found.next_page, lock);
        let failed = |error| OpenError::io(&*shared.folder, error);
        let thread = std::thread::Builder::new().name("queue-writer".into());
        thread.spawn(move || writer.run()).map_err(failed)?;
        Ok((Arc::new(PageQueue { shared, turn: tokio::sync::Mutex::new(()) }), found.recovery))
    }

    /// Hands a record that stands for `events` events to the writer, and returns its number. Waits while the queue, the
    /// buffer of the writer or the disk is full. `on_durable` is called once the record is on the disk, or can never be
    /// there. When the future is dropped, the record is not taken.
    ///
    /// # Errors
    /// The queue is closed, or the record larger than it can ever hold. `on_durable` is not called then.
    pub async fn append(
        &self,
        record: impl Into<Bytes>,
        events: u32,
        on_durable: OnDurable,
    ) -> Result<u64, AppendError> {
        let record = record.into();
        self.check_size(record.len())?;
        let mut record = Some(self.prepare(record, events, on_durable).await?);
        let bytes = record.as_ref().map_or(0, Pending::bytes);
        let _turn = self.turn.lock().await;
        loop {
            let room = self.shared.room.notified();
            {
                let mut state = self.shared.state();
                match state.admit(&self.shared.options, bytes, events) {
                    Ok(()) => {
                        let Some(record) = record.take() else { return Err(AppendError::Closed) };
                        let idle = state.pending.is_empty();
                        let number = state.push(record);
                        drop(state);
                        if idle {
                            self.shared.work.notify_one();
                        }
                        return Ok(number);
                    }
                    Err(Refusal::Closed) => return Err(AppendError::Closed),
                    Err(Refusal::Wait) => {
                        if state.acked_pages() > 0 {
                            self.shared.work.notify_one();
                        }
                    }
                }
            }
            room.await;
        }
    }

    /// Whether a record of `bytes` bytes can be taken at all.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`].
    pub fn check_size(&self, bytes: usize) -> Result<(), AppendError> {
        let overhead = (PAGE_HEADER_BYTES + RECORD_HEADER_BYTES) as u64;
        let of_queue = self.shared.options.bytes_max.saturating_sub(overhead);
        let bounds = [(RECORD_BYTES_MAX as u64, "a record"), (of_queue, "queue.max_bytes")];
        let bytes = bytes as u64;
        let broken = bounds.into_iter().find(|(bytes_max, _)| bytes > *bytes_max);
        broken.map_or(Ok(()), |(bytes_max, bound)| Err(AppendError::TooLarge { bytes, bytes_max, bound }))
    }

    /// Compresses and sums up on the caller's thread: there are several of them, and only one writer.
    async fn prepare(
        &self,
        record: Bytes,
        events: u32,
        on_durable: OnDurable,
    ) -> Result<Pending, AppendError> {
        let compression = self.shared.options.compression;
        let raw = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let begin = Instant::now();
        let (data, compressed) = if compression.is_slow() {
            let work = move || match compression.compress(&record) {
                Some(smaller) => (smaller.into(), true),
                None => (record, false),
            };
            // A runtime that stops takes no records.
            tokio::task::spawn_blocking(work).await.map_err(|_| AppendError::Closed)?
        } else {
            match compression.compress(&record) {
                Some(smaller) => (smaller.into(), true),
                None => (record, false),
            }
        };
        if compression != Compression::None {
            let totals = &self.shared.totals;
            Totals::add(&totals.compress_in, u64::from(raw));
            Totals::add(&totals.compress_out, data.len() as u64);
            let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            Totals::add(&totals.compress_nanos, nanos);
        }
        Ok(Pending {
            number: 0,
            events_before: 0,
            events,
            flags: if compressed { FLAG_ZSTD } else { 0 },
            raw,
            data_crc: crc32c::crc32c(&data),
            data,
            on_durable,
        })
    }

    /// The reader of this queue, from the first record that is not acked. There is one at a time: two would both be given
    /// every record.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Says that a record is not needed any more. In any order; the records up to the first that is missing are gone for
    /// good after the next checkpoint. A number that was acked or never given is ignored.
    pub fn ack(&self, number: u64) {
        self.shared.state().ack(number);
        self.shared.acked();
    }

    /// The number of the next record that is appended.
    pub fn next_number(&self) -> u64 {
        self.shared.state().next
    }

    /// Takes no more records. What was taken is written and can be read.
    pub fn close_for_writing(&self) {
        self.shared.state().closed = true;
        self.shared.room.notify_one();
        self.shared.readable.notify_one();
    }

    /// Takes no more records, makes durable what was taken and acked, and gives the folder free. What can't be written
    /// now is reported as lost. What is acked later is given out again after the next opening. A queue that is dropped
    /// instead does the same, but its folder is in use until its writer is done, which nobody waits for.
    pub async fn close(self: Arc<Self>) {
        self.stop();
        loop {
            let ended = self.shared.ended.notified();
            if self.shared.state().ended {
                return;
            }
            ended.await;
        }
    }

    fn stop(&self) {
        self.close_for_writing();
        self.shared.state().stopping = true;
        self.shared.work.notify_one();
    }

    /// Figures at this moment.
    #[must_use]
    pub fn stats(&self) -> PageStats {
        let damaged = self.shared.damage().found;
        let totals = &self.shared.totals;
        let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let state = self.shared.state();
        PageStats {
            events: state.unacked_events,
            records: state.next.saturating_sub(state.acks.prefix),
            bytes: state.disk_bytes(),
            buffered_bytes: state.pending_bytes,
            bytes_max: self.shared.options.bytes_max,
            pages: state.pages.len() as u64,
            is_full: state.is_full(&self.shared.options),
            is_disk_full: state.blocked == Some(Blocked::Full),
            is_disk_failing: state.blocked == Some(Blocked::Failing),
            damaged,
            records_written: get(&totals.records),
            bytes_written: get(&totals.bytes),
            syncs: get(&totals.syncs),
            sync_time: Duration::from_nanos(get(&totals.sync_nanos)),
            checkpoints: get(&totals.checkpoints),
            failed_writes: get(&totals.failed_writes),
            encode: CompressionStats {
                bytes_in: get(&totals.compress_in),
                bytes_out: get(&totals.compress_out),
                time: Duration::from_nanos(get(&totals.compress_nanos)),
            },
            decode: CompressionStats {
                bytes_in: get(&totals.expand_in),
                bytes_out: get(&totals.expand_out),
                time: Duration::from_nanos(get(&totals.expand_nanos)),
            },
        }
    }
}

impl Drop for PageQueue {
    fn drop(&mut self) {
        // The writer makes durable what it has, and ends.
        self.stop();
    }
}
