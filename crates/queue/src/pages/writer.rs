//! The thread that writes: it takes all that waits, writes it at once, syncs once, and tells everybody.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Lost;
use super::checkpoint::Checkpoints;
use super::folder::PageFile;
use super::format::{PAGE_HEADER_BYTES, PageHeader, RECORD_HEADER_BYTES, RecordHeader, page_name, page_seed};
use super::recover::remove_page;
use super::scan::PageInfo;
use super::state::{Blocked, Pending, Shared, Totals};
use crate::crash::crash_point;

#[cfg(not(test))]
use super::{CHECKPOINT_DELAY_MAX, DISK_PROBE_INTERVAL};
/// Tests don't wait.
#[cfg(test)]
const DISK_PROBE_INTERVAL: Duration = Duration::from_millis(5);
#[cfg(test)]
const CHECKPOINT_DELAY_MAX: Duration = Duration::from_millis(20);

pub(super) struct Writer {
    shared: Arc<Shared>,
    checkpoints: Checkpoints,
    /// The page that is written to.
    head: Option<Head>,
    next_page: u64,
    /// When the disk is tried again.
    probe_at: Instant,
    /// Since when there is something that no checkpoint has.
    stale_since: Option<Instant>,
    /// When a checkpoint may be written again after one failed.
    checkpoint_at: Instant,
    /// Held until the end.
    _lock: Option<File>,
}

struct Head {
    file: Arc<dyn PageFile>,
    page: u64,
    first: u64,
    events_before: u64,
    /// Bytes that are durable: 0 before the first commit.
    bytes: u64,
}

/// What there is to do.
struct Work {
    write: bool,
    tidy: bool,
    stop: bool,
}

/// What went wrong.
enum Unwritten {
    Write(io::Error),
    Sync(io::Error),
}

/// A page that could not be written; its records are still here.
struct Failed {
    error: io::Error,
    is_full: bool,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        checkpoints: Checkpoints,
        next_page: u64,
        lock: Option<File>,
    ) -> Writer {
        let now = Instant::now();
        Writer {
            shared,
            checkpoints,
            head: None,
            next_page,
            probe_at: now,
            stale_since: None,
            checkpoint_at: now,
            _lock: lock,
        }
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self) {
        let _end = End(Arc::clone(&self.shared));
        loop {
            let work = self.wait();
            if work.write {
                self.commit_all();
            }
            if work.tidy || work.stop {
                self.tidy();
            }
            if work.stop && self.shared.state().pending.is_empty() {
                break;
            }
        }
        // Before anybody hears that it is over.
        drop(self);
    }

    fn wait(&mut self) -> Work {
        let mut state = self.shared.state();
        loop {
            let now = Instant::now();
            state.writer_sleeps = false;
            let stop = state.stopping;
            let waits = !state.pending.is_empty();
            let write = waits && (state.blocked.is_none() || stop || now >= self.probe_at);
            let due = u64::from(self.shared.options.checkpoint_acks);
            let acks = state.acks.prefix.saturating_sub(state.checkpointed);
            let stale = state.acks.prefix != self.checkpoints.last.acked
                || state.durable != self.checkpoints.last.next;
            let since = *self.stale_since.get_or_insert(now);
            let stale_at = (since + CHECKPOINT_DELAY_MAX).max(self.checkpoint_at);
            if !stale {
                self.stale_since = None;
            }
            let wanted = (due > 0 && acks >= due) || state.acked_pages() > 0;
            let tidy = (wanted && now >= self.checkpoint_at) || (stale && now >= stale_at);
            if write || tidy || stop {
                return Work { write, tidy, stop };
            }
            let times = [
                waits.then_some(self.probe_at),
                wanted.then_some(self.checkpoint_at),
                stale.then_some(stale_at),
            ];
            state = match times.into_iter().flatten().min() {
                Some(time) => {
                    let wait = self.shared.work.wait_timeout(state, time.saturating_duration_since(now));
                    wait.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
                None => {
                    state.writer_sleeps = true;
                    self.shared.work.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner)
                }
            };
        }
    }

    /// Writes everything that waits. What the disk does not take goes on waiting.
    fn commit_all(&mut self) {
        let mut batch = std::mem::take(&mut self.shared.state().pending);
        while !batch.is_empty() {
            let Err(failed) = self.commit_page(&mut batch) else { continue };
            let blocked = if failed.is_full { Blocked::Full } else { Blocked::Failing };
            self.probe_at = Instant::now() + DISK_PROBE_INTERVAL;
            let mut state = self.shared.state();
            let news = state.blocked.replace(blocked) != Some(blocked);
            if state.stopping {
                state.pending_bytes = 0;
                batch.append(&mut state.pending);
                drop(state);
                return lose(batch, &format!("it can't be written: {}", failed.error));
            }
            batch.append(&mut state.pending);
            state.pending = batch;
            drop(state);
            if news {
                tracing::error!(
                    target: "logstash.queue",
                    path = %self.shared.folder.path().display(),
                    "the queue can't be written, and takes no events until it can: {}",
                    failed.error
                );
            }
            return;
        }
    }

    /// Writes what fits into one page, and makes it durable.
    fn commit_page(&mut self, batch: &mut VecDeque<Pending>) -> Result<(), Failed> {
        match self.try_commit(batch) {
            Err(failed) if !failed.is_full => {
                // The page is given up. Nothing of it was reported, and all of it is still in memory.
                tracing::error!(
                    target: "logstash.queue",
                    path = %self.shared.folder.path().display(),
                    "a page can't be written, its records go to a new one: {}",
                    failed.error
                );
                self.try_commit(batch)
            }
            done => done,
        }
    }

    fn try_commit(&mut self, batch: &mut VecDeque<Pending>) -> Result<(), Failed> {
        let Some(first) = batch.front() else { return Ok(()) };
        let page_max = self.shared.options.page_bytes_max;
        if self.head.as_ref().is_some_and(|head| head.bytes + first.bytes() > page_max) {
            crash_point("page.seal.before");
            self.head = None;
            crash_point("page.seal.after");
        }
        let head = match self.head.take() {
            Some(head) => head,
            None => self.create(first)?,
        };
        let is_new = head.bytes == 0;
        let begin = if is_new { PAGE_HEADER_BYTES as u64 } else { head.bytes };
        let mut bytes = begin;
        let fits = |record: &&Pending| {
            let fits = bytes == PAGE_HEADER_BYTES as u64 || bytes + record.bytes() <= page_max;
            bytes += record.bytes();
            fits
        };
        let count = batch.iter().take_while(fits).count();
        let end = match self.write(&head, batch, count) {
            Ok(written) => begin + written,
            Err(unwritten) => return Err(self.give_up(head, unwritten)),
        };
        self.publish(Head { bytes: end, ..head }, is_new, batch, count);
        Ok(())
    }

    fn create(&mut self, first: &Pending) -> Result<Head, Failed> {
        let page = self.next_page;
        // A name that can't be made now is not tried again: nobody knows what is there.
        self.next_page += 1;
        crash_point("page.create.before");
        let file = self.shared.folder.create(&page_name(page)).map_err(Failed::new)?;
        crash_point("page.create.after");
        Ok(Head { file, page, first: first.number, events_before: first.events_before, bytes: 0 })
    }

    /// Writes records and makes them durable; the bytes of them.
    fn write(&self, head: &Head, batch: &VecDeque<Pending>, count: usize) -> Result<u64, Unwritten> {
        let seed = page_seed(&self.shared.id, head.page);
        let headers: Vec<[u8; RECORD_HEADER_BYTES]> =
            batch.iter().take(count).map(|r| r.header(seed)).collect();
        let page = PageHeader {
            id: self.shared.id,
            page: head.page,
            first: head.first,
            events_before: head.events_before,
        };
        let page = page.encode();
        let is_new = head.bytes == 0;
        let mut parts = Vec::with_capacity(2 * count + 1);
        if is_new {
            parts.push(IoSlice::new(&page));
        }
        let mut bytes = 0;
        for (record, header) in batch.iter().zip(&headers) {
            parts.push(IoSlice::new(header));
            parts.push(IoSlice::new(&record.data));
            bytes += record.bytes();
        }
        crash_point("record.write.before");
        head.file.append(&mut parts).map_err(Unwritten::Write)?;
        crash_point("record.write.after");
        let begin = Instant::now();
        head.file.sync().map_err(Unwritten::Sync)?;
        if is_new {
            self.shared.folder.sync().map_err(Unwritten::Sync)?;
        }
        crash_point("record.sync.after");
        let totals = &self.shared.totals;
        Totals::add(&totals.syncs, 1);
        Totals::add(&totals.sync_nanos, nanos(begin.elapsed()));
        Totals::add(&totals.records, count as u64);
        Totals::add(&totals.bytes, bytes);
        Ok(bytes)
    }

    /// Leaves a page after an error. What was durable in it stays.
    fn give_up(&mut self, head: Head, unwritten: Unwritten) -> Failed {
        Totals::add(&self.shared.totals.failed_writes, 1);
        // After a failed sync nobody knows what the system has forgotten: this page is not used again.
        let (usable, error) = match unwritten {
            Unwritten::Write(error) => (true, error),
            Unwritten::Sync(error) => (false, error),
        };
        let failed = Failed::new(error);
        if head.bytes == 0 {
            // Where this fails, too, the next page says that nothing of this one counts.
            let _ = self.shared.folder.remove(&page_name(head.page));
        } else if head.file.set_len(head.bytes).is_ok() && failed.is_full && usable {
            // Nothing is wrong with it but that there was no room.
            self.head = Some(head);
        }
        failed
    }

    fn publish(&mut self, head: Head, is_new: bool, batch: &mut VecDeque<Pending>, count: usize) {
        let info = PageInfo {
            page: head.page,
            first: head.first,
            first_events: Some(head.events_before),
            bytes: head.bytes,
            has_header: true,
        };
        let written: Vec<Pending> = batch.drain(..count).collect();
        let mut state = self.shared.state();
        if !is_new {
            state.pages.pop_back();
        }
        state.pages.push_back(info);
        if let Some(last) = written.last() {
            state.durable = last.number + 1;
            state.durable_events = last.events_before + u64::from(last.events);
        }
        state.pending_bytes = state.pending_bytes.saturating_sub(written.iter().map(Pending::bytes).sum());
        let blocked = state.blocked.take();
        drop(state);
        self.head = Some(head);
        self.shared.readable.notify_one();
        self.shared.room.notify_one();
        written.into_iter().for_each(|record| call(record.on_durable, Ok(())));
        if blocked.is_some() {
            tracing::info!(
                target: "logstash.queue",
                path = %self.shared.folder.path().display(),
                "the queue can be written again"
            );
        }
        if is_new {
            // From now on a page that vanishes is missed.
            self.checkpoint();
        }
    }

    /// Writes a checkpoint; whether it went well.
    fn checkpoint(&mut self) -> bool {
        let (acked, durable, events) = {
            let state = self.shared.state();
            (state.acks.prefix, state.durable, state.durable_events)
        };
        self.checkpoint_of(acked, durable, events)
    }

    fn checkpoint_of(&mut self, acked: u64, durable: u64, events: u64) -> bool {
        if self.checkpoints.last.acked == acked && self.checkpoints.last.next == durable {
            return true;
        }
        match self.checkpoints.write(&*self.shared.folder, acked, durable, events) {
            Ok(()) => {
                self.stale_since = None;
                Totals::add(&self.shared.totals.checkpoints, 1);
                self.shared.state().checkpointed = acked;
                true
            }
            Err(error) => {
                self.checkpoint_at = Instant::now() + DISK_PROBE_INTERVAL;
                tracing::warn!(
                    target: "logstash.queue",
                    path = %self.shared.folder.path().display(),
                    "the checkpoint can't be written, and is tried again: {error}"
                );
                false
            }
        }
    }

    /// Makes the acks durable, and deletes the pages that nobody needs any more.
    fn tidy(&mut self) {
        let (count, acked, durable, events) = {
            let state = self.shared.state();
            (state.acked_pages(), state.acks.prefix, state.durable, state.durable_events)
        };
        // Never the other way round: a page that is gone without an ack is a lost page.
        if !self.checkpoint_of(acked, durable, events) {
            return;
        }
        for _ in 0..count {
            let Some(info) = self.shared.state().pages.pop_front() else { break };
            if self.head.as_ref().is_some_and(|head| head.page == info.page) {
                self.head = None;
            }
            if let Err(error) = remove_page(&*self.shared.folder, info.page) {
                let path = self.shared.folder.path().join(page_name(info.page));
                tracing::warn!(target: "logstash.queue", path = %path.display(), "a page can't be deleted: {error}");
            }
        }
        if count > 0 {
            // There may be room now.
            self.probe_at = Instant::now();
            self.shared.room.notify_one();
        }
    }
}

impl Failed {
    fn new(error: io::Error) -> Failed {
        let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        Failed { error, is_full }
    }
}

impl Pending {
    fn header(&self, seed: u32) -> [u8; RECORD_HEADER_BYTES] {
        let header = RecordHeader {
            stored: u32::try_from(self.data.len()).unwrap_or(u32::MAX),
            number: self.number,
            events_before: self.events_before,
            events: self.events,
            flags: self.flags,
            raw: self.raw,
            data_crc: self.data_crc,
        };
        header.encode(seed)
    }
}

/// Tells everybody that the writer is gone, also when it dies of a defect.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.state();
            (state.closed, state.ended, state.pending_bytes) = (true, true, 0);
            std::mem::take(&mut state.pending)
        };
        lose(left, "the queue was closed");
        self.0.ended.notify_waiters();
        self.0.readable.notify_one();
        self.0.room.notify_one();
    }
}

fn lose(records: VecDeque<Pending>, reason: &str) {
    for record in records {
        call(record.on_durable, Err(Lost { reason: reason.to_owned() }));
    }
}

/// A caller's defect must not stop the queue.
fn call(on_durable: super::OnDurable, outcome: Result<(), Lost>) {
    if catch_unwind(AssertUnwindSafe(|| on_durable(outcome))).is_err() {
        tracing::error!(target: "logstash.queue", "what was to be done after a write failed");
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
