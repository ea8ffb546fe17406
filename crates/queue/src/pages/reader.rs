//! Reads records back, in order.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::damage::Damage;
use super::folder::PageFile;
use super::format::{FLAG_ZSTD, page_name};
use super::scan::{Item, PageInfo, Walk};
use super::state::{Shared, Totals};
use super::survey::open_page;

/// Bytes of records that are read ahead.
const READ_BATCH_BYTES: usize = 1 << 20;
/// Records that are read ahead.
const READ_BATCH_RECORDS: usize = 1024;

/// Times that a page is tried to be opened before its records count as lost.
const OPEN_TRIES_MAX: u32 = 600;
/// The pause between two of them.
const OPEN_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });

/// A record that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, for [`PageQueue::ack`](super::PageQueue::ack).
    pub number: u64,
    /// The events that it stands for.
    pub events: u32,
    /// What was appended.
    pub bytes: Vec<u8>,
}

/// Gives out the records of a queue in order, from the first that was not acked when it was made.
pub struct Reader {
    shared: Arc<Shared>,
    ready: VecDeque<Record>,
    place: Option<Place>,
    /// The reading that is under way.
    task: Option<JoinHandle<(Place, Vec<Record>)>>,
    skip_to: u64,
}

/// Where the reader is.
struct Place {
    /// The number of the next record.
    next: u64,
    walk: Option<Walk>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Reader {
        let next = shared.state().acks.prefix;
        let place = Some(Place { next, walk: None });
        Reader { shared, ready: VecDeque::new(), place, task: None, skip_to: 0 }
    }

    /// The next record that is durable and not acked; waits for one. None when nothing can come any more: the queue takes
    /// no records and all were given out, or it was closed. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Record> {
        loop {
            while let Some(record) = self.ready.pop_front() {
                if !self.is_skipped(record.number) {
                    return Some(record);
                }
            }
            if self.task.is_none() {
                if !self.wait().await {
                    return None;
                }
                let mut place = self.place.take()?;
                let (shared, skip_to) = (Arc::clone(&self.shared), self.skip_to);
                self.task = Some(tokio::task::spawn_blocking(move || {
                    let records = read(&shared, &mut place, skip_to);
                    (place, records)
                }));
            }
            let outcome = self.task.as_mut()?.await;
            self.task = None;
            match outcome {
                Ok((place, records)) => {
                    self.place = Some(place);
                    self.ready.extend(records);
                }
                Err(error) => {
                    tracing::error!(target: "logstash.queue", "reading the queue ended: {error}");
                    return None;
                }
            }
        }
    }

    /// Records before this one are not given out if they were appended since the queue was opened: the caller has them in
    /// memory. They still have to be acked.
    pub fn skip_to(&mut self, number: u64) {
        self.skip_to = self.skip_to.max(number);
    }

    /// The number of the next record that it gives out, or of a later one where that is missing; 0 while it is reading.
    pub fn next_number(&self) -> u64 {
        let read = self.ready.front().map(|record| record.number);
        read.or_else(|| Some(self.place.as_ref()?.next)).unwrap_or(0)
    }

    fn is_skipped(&self, number: u64) -> bool {
        number < self.skip_to && number >= self.shared.state().live
    }

    /// Waits until there is something to read; false when there never will be.
    async fn wait(&self) -> bool {
        let Some(next) = self.place.as_ref().map(|place| place.next) else { return false };
        loop {
            let notified = self.shared.readable.notified();
            {
                let state = self.shared.state();
                let next = if next >= state.live { next.max(self.skip_to) } else { next };
                if state.ended {
                    return false;
                }
                if next.max(state.acks.prefix) < state.durable {
                    return true;
                }
                if state.closed && state.durable == state.next {
                    return false;
                }
            }
            notified.await;
        }
    }
}

/// Reads on from a place.
fn read(shared: &Shared, place: &mut Place, skip_to: u64) -> Vec<Record> {
    let (mut records, mut bytes) = (Vec::new(), 0);
    while bytes < READ_BATCH_BYTES && records.len() < READ_BATCH_RECORDS && find_page(shared, place, skip_to)
    {
        let Some(walk) = &mut place.walk else { break };
        let begin = Instant::now();
        match walk.next(place.next) {
            Item::Record { header, data } => {
                place.next = header.number + 1;
                if header.flags & FLAG_ZSTD != 0 {
                    let totals = &shared.totals;
                    Totals::add(&totals.expand_in, u64::from(header.stored));
                    Totals::add(&totals.expand_out, data.len() as u64);
                    let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    totals.expand_nanos.fetch_add(nanos, Ordering::Relaxed);
                }
                let mut state = shared.state();
                state.note_read(header.number, header.events);
                if state.acks.is_acked(header.number) {
                    continue;
                }
                drop(state);
                bytes += data.len();
                records.push(Record { number: header.number, events: header.events, bytes: data });
            }
            Item::Passed => {}
            Item::Damage(damage) => {
                let end = damage.records.end;
                // What was acked is no loss.
                if damage.records.is_empty() || end > place.next {
                    let records = damage.records.start.max(place.next)..end.max(place.next);
                    shared.note_damage(&Damage { records, ..damage }, Some(walk.file()));
                }
                place.next = place.next.max(end);
            }
            Item::Lost { records, events } => {
                place.next = place.next.max(records.end);
                shared.state().ack_lost(records, Some(events));
                shared.acked();
            }
            Item::End { .. } => place.next = place.next.max(walk.expected),
        }
    }
    records
}

/// Opens the page of the next record where it is not open; false when there is no next record.
fn find_page(shared: &Shared, place: &mut Place, skip_to: u64) -> bool {
    loop {
        let (info, (upper, upper_events)) = {
            let state = shared.state();
            if place.next >= state.live {
                place.next = place.next.max(skip_to);
            }
            place.next = place.next.max(state.acks.prefix);
            if place.next >= state.durable || state.ended {
                return false;
            }
            let behind = state.pages.partition_point(|page| page.first <= place.next);
            match behind.checked_sub(1).and_then(|place| Some((place, state.pages.get(place)?))) {
                Some((number, info)) => (*info, state.upper(number)),
                None => {
                    // The pages in between were taken away while the queue was open.
                    let first = state.pages.front().map_or(state.durable, |page| page.first);
                    drop(state);
                    gone(shared, place, first);
                    continue;
                }
            }
        };
        match &mut place.walk {
            Some(walk) if walk.page() == info.page => walk.extend(info.bytes, upper, upper_events),
            _ => match open_patiently(shared, info.page) {
                Ok(file) => {
                    place.walk = Some(Walk::new(file, &shared.id, &info, upper, upper_events));
                }
                Err(_) if shared.state().ended => return false,
                Err(error) => {
                    unreadable(shared, place, &info, upper, &error);
                    continue;
                }
            },
        }
        return true;
    }
}

/// Opens a page, also when the process has no file to spare just now.
fn open_patiently(shared: &Shared, page: u64) -> std::io::Result<Arc<dyn PageFile>> {
    let mut tries = 0;
    loop {
        match open_page(&*shared.folder, page) {
            Err(error)
                if error.kind() != ErrorKind::NotFound && tries < OPEN_TRIES_MAX && !shared.state().ended =>
            {
                if tries == 0 {
                    let path = shared.folder.path().join(page_name(page));
                    tracing::warn!(target: "logstash.queue", path = %path.display(), "the page can't be opened, and is tried again: {error}");
                }
                tries += 1;
                std::thread::sleep(OPEN_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn gone(shared: &Shared, place: &mut Place, first: u64) {
    let (records, reason) = (place.next..first, "pages are missing");
    shared.note_damage(
        &Damage { page: 0, from: place.next, to: place.next, reason, records, events: None },
        None,
    );
    place.next = first;
}

fn unreadable(shared: &Shared, place: &mut Place, info: &PageInfo, upper: u64, error: &std::io::Error) {
    let reason = match error.kind() {
        ErrorKind::NotFound => "the page is not there any more",
        _ => "the page can't be opened",
    };
    let records = place.next..upper;
    let (page, to) = (info.page, info.bytes);
    shared.note_damage(&Damage { page, from: 0, to, reason, records, events: None }, None);
    place.next = upper;
}
