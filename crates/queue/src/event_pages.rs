//! Events on disk: what the persisted queue and the spill of an output share.
//!
//! Events go to a [`PageQueue`] as records, and the newest records also stay in memory, in a bounded number of bytes: whoever
//! keeps up with the writer never reads from the disk. Whoever does not finds the rest there. Events are made of a record
//! where they are filtered, so that they are born and die on one thread.

use crate::pages::{Lost, OpenError, PageOptions, PageQueue, PageStats, Reader, Record, Recovery};
use bytes::Bytes;
use ferrostash_event::{Event, WireReader, WireWriter};
use ferrostash_plugin::{Ack, AckTracker, Share};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Events of a chunk beyond this weight, in bytes, go into a record of their own: the events of one fit in a cache.
const RECORD_BYTES: usize = 128 << 10;
/// Room for a record and its last event, in bytes.
const RECORD_ROOM: usize = RECORD_BYTES + RECORD_BYTES / 8;
/// What the newest records may weigh in memory, in bytes.
const RECENT_BYTES_MAX: usize = 4 << 20;

/// A queue of events on disk, for many writers and one [`Feed`].
pub struct EventPages {
    pages: Arc<PageQueue>,
    recent: Mutex<Recent>,
    news: Notify,
}

/// The newest records.
#[derive(Default)]
struct Recent {
    records: BTreeMap<u64, EventRecord>,
    bytes: usize,
    /// The number of the record that is wanted next.
    next: u64,
}

/// Some events as they are on disk.
#[derive(Clone, Debug)]
pub struct EventRecord {
    bytes: Bytes,
    events: usize,
}

impl EventRecord {
    /// Number of events.
    pub fn len(&self) -> usize {
        self.events
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// What it weighs, in bytes.
    pub fn byte_size(&self) -> usize {
        self.bytes.len()
    }

    /// The events.
    pub fn into_events(self) -> Vec<Event> {
        let mut events = Vec::with_capacity(self.events);
        let read = WireReader::new(&self.bytes).and_then(|mut reader| {
            while let Some(event) = reader.next_event()? {
                events.push(event);
            }
            Ok(())
        });
        if let Err(error) = read {
            // Its checksum was right: it was written so.
            tracing::error!(%error, missing = self.events - events.len(), "events of the queue can't be read");
        }
        events
    }
}

/// Nothing can be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue on disk is closed")]
pub struct PagesClosed;

impl EventPages {
    /// Opens the queue in `dir`, or makes one. Reads the disk.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path, options: PageOptions) -> Result<(Arc<EventPages>, Recovery), OpenError> {
        let (pages, recovery) = PageQueue::open(dir, options)?;
        let events = EventPages { pages, recent: Mutex::default(), news: Notify::new() };
        Ok((Arc::new(events), recovery))
    }

    /// Writes events, waiting for room; shares of `owed` are settled once they are safe on the disk, and abandoned if they
    /// never will be. Calls `kept` with the number of events that were written, each time. Gives back the events that cannot
    /// be kept, with the reason.
    ///
    /// # Errors
    /// [`PagesClosed`]; not all was written.
    pub async fn append<'e>(
        &self,
        events: impl Iterator<Item = &'e Event> + Send,
        owed: &Share,
        kept: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Vec<(Event, String)>, PagesClosed> {
        let mut refused = Vec::new();
        let mut events = events.peekable();
        while events.peek().is_some() {
            let mut writer = WireWriter::new(Vec::with_capacity(RECORD_ROOM));
            let mut together: Vec<&Event> = Vec::new();
            while writer.byte_size() < RECORD_BYTES
                && let Some(event) = events.next()
            {
                match writer.push(event) {
                    Ok(()) => together.push(event),
                    Err(error) => refused.push((event.clone(), error.to_string())),
                }
            }
            let mut bytes = writer.finish();
            if bytes.len() < RECORD_ROOM / 2 {
                bytes.shrink_to_fit();
            }
            if self.pages.check_size(bytes.len()).is_ok() {
                self.append_record(bytes, together.len(), owed, kept).await?;
                continue;
            }
            // One of them is too large, or the queue is small: each by itself.
            for event in together {
                let mut writer = WireWriter::new(Vec::new());
                let written = writer.push(event).map_err(|error| error.to_string());
                let bytes = writer.finish();
                let fits = written
                    .and_then(|()| self.pages.check_size(bytes.len()).map_err(|error| error.to_string()));
                match fits {
                    Ok(()) => self.append_record(bytes, 1, owed, kept).await?,
                    Err(reason) => refused.push((event.clone(), reason)),
                }
            }
        }
        Ok(refused)
    }

    async fn append_record(
        &self,
        bytes: Vec<u8>,
        events: usize,
        owed: &Share,
        kept: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(), PagesClosed> {
        if events == 0 {
            return Ok(());
        }
        let (record, share) = (EventRecord { bytes: bytes.into(), events }, owed.another());
        let on_durable = move |outcome: Result<(), Lost>| match outcome {
            Ok(()) => share.settle(),
            // What is dropped is abandoned.
            Err(Lost { reason }) => tracing::error!(reason, "events could not be kept on the disk"),
        };
        let count = u32::try_from(record.len()).unwrap_or(u32::MAX);
        match self.pages.append(record.bytes.clone(), count, Box::new(on_durable)).await {
            Ok(number) => {
                kept(events);
                self.remember(number, record);
            }
            Err(error) => {
                tracing::debug!(%error, "events were not written");
                return Err(PagesClosed);
            }
        }
        Ok(())
    }

    /// Keeps a record in memory while there is room, unless the feed has read it from the disk already.
    fn remember(&self, number: u64, record: EventRecord) {
        let mut recent = self.recent();
        if number >= recent.next && recent.bytes + record.byte_size() <= RECENT_BYTES_MAX {
            recent.bytes += record.byte_size();
            recent.records.insert(number, record);
        }
        drop(recent);
        self.news.notify_one();
    }

    /// What is counted of the queue on disk.
    pub fn stats(&self) -> PageStats {
        self.pages.stats()
    }

    /// The number of the next record that is written.
    pub fn next_number(&self) -> u64 {
        self.pages.next_number()
    }

    /// Makes everything durable and gives the directory back.
    pub async fn end(&self) {
        Arc::clone(&self.pages).close().await;
    }

    /// Takes no more events; the feed ends behind those that are there.
    pub fn close(&self) {
        self.pages.close_for_writing();
        self.news.notify_one();
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    /// The next record, if it is still in memory.
    fn take(&mut self) -> Option<(u64, EventRecord)> {
        let record = self.records.remove(&self.next)?;
        self.bytes -= record.byte_size();
        self.next += 1;
        Some((self.next - 1, record))
    }

    /// The record of this number was read from the disk.
    fn pass(&mut self, number: u64) {
        self.next = number + 1;
        let later = self.records.split_off(&self.next);
        let passed = std::mem::replace(&mut self.records, later);
        self.bytes -= passed.values().map(EventRecord::byte_size).sum::<usize>();
    }
}

/// Gives the events of a queue on disk to those who work on them, and tells the queue what they have behind them.
pub struct Feed {
    queue: Arc<EventPages>,
    reader: Reader,
    acks: AckTracker<u64>,
    /// The numbers of the records that were given out and are not acked yet.
    given: VecDeque<u64>,
    /// What was found and not given out yet.
    found: Option<(u64, EventRecord)>,
}

/// What a [`Feed`] gives.
pub enum Fed {
    /// Some events.
    Events {
        /// The number of their record; those of later records are greater.
        number: u64,
        /// The events, in order.
        record: EventRecord,
        /// Says what became of them.
        ack: Ack,
    },
    /// Events that were given before were given up. A new feed gives them again.
    GivenUp,
    /// The queue is closed, and everything was given.
    End,
}

impl Feed {
    /// A feed that begins with the first event that nobody has behind them. One at a time.
    pub fn new(queue: &Arc<EventPages>) -> Feed {
        let reader = queue.pages.reader();
        queue.recent().next = reader.next_number();
        Feed {
            queue: Arc::clone(queue),
            reader,
            acks: AckTracker::default(),
            given: VecDeque::new(),
            found: None,
        }
    }

    /// What comes next; waits for it. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Fed {
        loop {
            if self.acks.is_abandoned() {
                return Fed::GivenUp;
            }
            if self.found.is_some() {
                break;
            }
            let recent = self.queue.recent().take();
            if let Some((number, record)) = recent {
                self.reader.skip_to(number + 1);
                self.found = Some((number, record));
                break;
            }
            let waits_for_acks = self.acks.in_flight() > 0;
            tokio::select! {
                biased;
                // Something newer may be in memory.
                () = self.queue.news.notified() => {}
                settled = self.acks.next_settled(), if waits_for_acks => {
                    settled.into_iter().for_each(|number| self.ack_to(number));
                }
                record = self.reader.next() => {
                    let Some(Record { number, bytes, events }) = record else { return Fed::End };
                    self.queue.recent().pass(number);
                    match WireReader::new(&bytes) {
                        Ok(_) => {
                            let record = EventRecord { bytes: bytes.into(), events: events as usize };
                            self.found = Some((number, record));
                        }
                        // It stays where it is, and everything behind it.
                        Err(error) => tracing::error!(number, %error, "a record of the queue can't be read"),
                    }
                }
            }
        }
        let Some((number, _)) = &self.found else { return Fed::End };
        let ack = self.acks.issue(*number).await;
        let Some((number, record)) = self.found.take() else { return Fed::End };
        self.given.push_back(number);
        Fed::Events { number, record, ack }
    }

    /// Whether everything that was written so far has been given out.
    pub fn has_given_all(&self) -> bool {
        let next = self.queue.recent().next.max(self.reader.next_number());
        self.found.is_none() && next >= self.queue.pages.next_number()
    }

    /// Tells the queue what has settled since the last time.
    pub fn settle(&mut self) {
        if let Some(number) = self.acks.settled() {
            self.ack_to(number);
        }
    }

    /// As [`Feed::settle`], waiting for something that was given out. Nothing is lost when the future is dropped.
    pub async fn settle_next(&mut self) {
        if let Some(number) = self.acks.next_settled().await {
            self.ack_to(number);
        }
    }

    /// Waits for what is under way, and tells the queue what of it has settled; the rest is given again by a new feed.
    pub async fn give_back(mut self) {
        for number in self.acks.all_outcomes().await {
            self.queue.pages.ack(number);
        }
    }

    /// Whether events were given up: they are given again by a new feed.
    pub fn is_abandoned(&self) -> bool {
        self.acks.is_abandoned()
    }

    /// Whether something that was given out is not settled yet.
    pub fn in_flight(&self) -> usize {
        self.acks.in_flight()
    }

    fn ack_to(&mut self, number: u64) {
        while self.given.front().is_some_and(|first| *first <= number) {
            self.given.pop_front().into_iter().for_each(|number| self.queue.pages.ack(number));
        }
    }
}
