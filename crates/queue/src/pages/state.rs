//! What callers, the reader and the writer of a queue share.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::damage::{Damage, DamageLog};
use super::folder::{Folder, PageFile};
use super::format::{PAGE_HEADER_BYTES, QueueId, RECORD_HEADER_BYTES};
use super::scan::PageInfo;
use super::{OnDurable, PageOptions, WRITE_BUFFER_BYTES_MAX};

/// A record on its way to the disk.
pub(super) struct Pending {
    pub(super) number: u64,
    pub(super) events_before: u64,
    pub(super) events: u32,
    pub(super) flags: u32,
    /// Bytes as given.
    pub(super) raw: u32,
    pub(super) data_crc: u32,
    pub(super) data: bytes::Bytes,
    pub(super) on_durable: OnDurable,
}

impl Pending {
    pub(super) fn bytes(&self) -> u64 {
        (RECORD_HEADER_BYTES + self.data.len()) as u64
    }
}

/// Why a record is not taken at once.
pub(super) enum Refusal {
    Closed,
    /// There will be room.
    Wait,
}

pub(super) struct State {
    /// By number; the last one may still be written to.
    pub(super) pages: VecDeque<PageInfo>,
    /// The number of the next new record, and the events before it.
    pub(super) next: u64,
    pub(super) next_events: u64,
    /// Where the durable records end.
    pub(super) durable: u64,
    pub(super) durable_events: u64,
    /// The first record of this process.
    pub(super) live: u64,
    pub(super) pending: VecDeque<Pending>,
    /// Bytes that are waiting or being written.
    pub(super) pending_bytes: u64,
    pub(super) acks: Acks,
    /// Events of records that are not acked.
    pub(super) unacked_events: u64,
    /// No append is taken any more.
    pub(super) closed: bool,
    /// The writer shall end.
    pub(super) stopping: bool,
    /// The writer has ended.
    pub(super) ended: bool,
    /// Somebody waits for acks.
    pub(super) wants_acks: bool,
    /// Somebody waits for pages to go.
    pub(super) wants_room: bool,
    /// Why nothing can be written at present.
    pub(super) blocked: Option<Blocked>,
    /// The acks of the last checkpoint.
    pub(super) checkpointed: u64,
    /// The writer sleeps until it is woken.
    pub(super) writer_sleeps: bool,
}

/// Why the disk takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// It has no room.
    Full,
    /// It fails.
    Failing,
}

/// Which records are acked, and the events of those that are not.
pub(super) struct Acks {
    /// All records before this one are.
    pub(super) prefix: u64,
    /// Further ranges, by their beginning.
    ranges: BTreeMap<u64, u64>,
    /// Events of records that were there at the opening and were read.
    old: Counts,
    /// Events of records that were appended since.
    new: Counts,
}

/// Events per record, for records with consecutive numbers.
struct Counts {
    first: u64,
    counts: VecDeque<u32>,
}

impl Counts {
    fn new(first: u64) -> Counts {
        Counts { first, counts: VecDeque::new() }
    }

    fn end(&self) -> u64 {
        self.first + self.counts.len() as u64
    }

    fn get(&self, number: u64) -> Option<u32> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.counts.get(place).copied()
    }

    fn forget_before(&mut self, number: u64) {
        while self.first < number && self.counts.pop_front().is_some() {
            self.first += 1;
        }
        if self.counts.is_empty() {
            self.first = self.first.max(number);
        }
    }

    fn push(&mut self, number: u64, events: u32) {
        if number < self.end() {
            return;
        }
        if self.counts.is_empty() {
            self.first = number;
        }
        // Lost records between two others stand for nothing here.
        let gap = usize::try_from(number - self.end()).unwrap_or(0);
        self.counts.extend(std::iter::repeat_n(0, gap));
        self.counts.push_back(events);
    }
}

impl Acks {
    fn new(prefix: u64, live: u64) -> Acks {
        Acks { prefix, ranges: BTreeMap::new(), old: Counts::new(prefix), new: Counts::new(live) }
    }

    pub(super) fn is_acked(&self, number: u64) -> bool {
        number < self.prefix || self.ranges.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    fn events(&self, number: u64) -> u32 {
        self.new.get(number).or_else(|| self.old.get(number)).unwrap_or(0)
    }

    /// Marks a range, which may overlap what is marked already.
    fn mark(&mut self, range: Range<u64>) {
        let (mut start, mut end) = (range.start.max(self.prefix), range.end);
        if start >= end {
            return;
        }
        // Ranges that touch it become one with it.
        while let Some((&other, &other_end)) = self.ranges.range(..=end).next_back()
            && other_end >= start
        {
            self.ranges.remove(&other);
            (start, end) = (start.min(other), end.max(other_end));
        }
        if start > self.prefix {
            self.ranges.insert(start, end);
            return;
        }
        self.prefix = end;
        self.old.forget_before(end);
        self.new.forget_before(end);
    }
}

impl State {
    pub(super) fn new(pages: Vec<PageInfo>, acked: u64, durable: u64, next: u64, next_events: u64) -> State {
        State {
            pages: pages.into(),
            next,
            next_events,
            durable,
            durable_events: next_events,
            live: next,
            pending: VecDeque::new(),
            pending_bytes: 0,
            acks: Acks::new(acked, next),
            unacked_events: 0,
            closed: false,
            stopping: false,
            ended: false,
            wants_acks: false,
            wants_room: false,
            blocked: None,
            checkpointed: acked,
            writer_sleeps: false,
        }
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.pages.iter().map(|page| page.bytes).sum()
    }

    /// Whether the bound on bytes leaves no room for so many more.
    fn has_too_many_bytes(&self, options: &PageOptions, bytes: u64) -> bool {
        let held = self.disk_bytes() + self.pending_bytes;
        held + bytes + PAGE_HEADER_BYTES as u64 > options.bytes_max && held > 0
    }

    fn has_too_many_events(&self, options: &PageOptions, events: u64) -> bool {
        options.events_max > 0 && self.unacked_events + events > options.events_max && self.unacked_events > 0
    }

    /// Whether the next append has to wait for acks.
    pub(super) fn is_full(&self, options: &PageOptions) -> bool {
        self.wants_acks || self.has_too_many_bytes(options, 1) || self.has_too_many_events(options, 1)
    }

    pub(super) fn admit(&mut self, options: &PageOptions, bytes: u64, events: u32) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        let buffer_full = self.pending_bytes + bytes > WRITE_BUFFER_BYTES_MAX && self.pending_bytes > 0;
        self.wants_room = self.has_too_many_bytes(options, bytes);
        self.wants_acks = self.wants_room || self.has_too_many_events(options, u64::from(events));
        if self.wants_acks || buffer_full || self.blocked.is_some() { Err(Refusal::Wait) } else { Ok(()) }
    }

    /// Takes a record for which there is room.
    pub(super) fn push(&mut self, mut record: Pending) -> u64 {
        (record.number, record.events_before) = (self.next, self.next_events);
        self.next += 1;
        self.next_events += u64::from(record.events);
        self.unacked_events += u64::from(record.events);
        self.acks.new.push(record.number, record.events);
        self.pending_bytes += record.bytes();
        self.pending.push_back(record);
        self.next - 1
    }

    pub(super) fn ack(&mut self, number: u64) {
        if number >= self.next || self.acks.is_acked(number) {
            return;
        }
        let events = self.acks.events(number);
        self.unacked_events = self.unacked_events.saturating_sub(u64::from(events));
        self.acks.mark(number..number + 1);
        self.at_rest();
    }

    /// Nobody will ever ack these: they are lost.
    pub(super) fn ack_lost(&mut self, records: Range<u64>, events: Option<u64>) {
        let known = !self.acks.is_acked(records.start);
        if known {
            self.unacked_events = self.unacked_events.saturating_sub(events.unwrap_or(0));
        }
        self.acks.mark(records);
        self.at_rest();
    }

    fn at_rest(&mut self) {
        if self.acks.prefix >= self.next {
            // Where nobody knew how many events were lost, the count comes right here.
            self.unacked_events = 0;
        }
    }

    /// A record from before the opening is given to the reader.
    pub(super) fn note_read(&mut self, number: u64, events: u32) {
        if number < self.live && number >= self.acks.prefix {
            self.acks.old.push(number, events);
        }
    }

    /// The first record behind a page, with the events before it.
    pub(super) fn upper(&self, place: usize) -> (u64, Option<u64>) {
        match self.pages.get(place + 1) {
            Some(next) => (next.first, next.first_events),
            None => (self.durable, Some(self.durable_events)),
        }
    }

    /// Pages from the front of which every record is acked. The last one counts only where room is needed.
    pub(super) fn acked_pages(&self) -> usize {
        let mut count = 0;
        while count < self.pages.len() {
            let last = count + 1 == self.pages.len();
            let needed = self.wants_room || self.blocked == Some(Blocked::Full);
            if self.upper(count).0 > self.acks.prefix || (last && !needed) {
                break;
            }
            count += 1;
        }
        count
    }
}

/// Numbers that only grow.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_nanos: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    pub(super) failed_writes: AtomicU64,
    pub(super) compress_in: AtomicU64,
    pub(super) compress_out: AtomicU64,
    pub(super) compress_nanos: AtomicU64,
    pub(super) expand_in: AtomicU64,
    pub(super) expand_out: AtomicU64,
    pub(super) expand_nanos: AtomicU64,
}

impl Totals {
    pub(super) fn add(to: &AtomicU64, count: u64) {
        to.fetch_add(count, Ordering::Relaxed);
    }
}

/// What all handles of a queue share.
pub(super) struct Shared {
    pub(super) folder: Arc<dyn Folder>,
    pub(super) id: QueueId,
    pub(super) options: PageOptions,
    state: Mutex<State>,
    damage: Mutex<DamageLog>,
    pub(super) totals: Totals,
    /// The writer waits here.
    pub(super) work: Condvar,
    /// The append whose turn it is waits here.
    pub(super) room: Notify,
    /// The reader waits here.
    pub(super) readable: Notify,
    /// Those that close wait here.
    pub(super) ended: Notify,
}

impl Shared {
    pub(super) fn new(
        folder: Arc<dyn Folder>,
        id: QueueId,
        options: PageOptions,
        state: State,
        damage: DamageLog,
    ) -> Shared {
        Shared {
            folder,
            id,
            options,
            state: Mutex::new(state),
            damage: Mutex::new(damage),
            totals: Totals::default(),
            work: Condvar::new(),
            room: Notify::new(),
            readable: Notify::new(),
            ended: Notify::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn damage(&self) -> MutexGuard<'_, DamageLog> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts damage that was met while reading, and acks what is lost.
    pub(super) fn note_damage(&self, damage: &Damage, file: Option<&dyn PageFile>) {
        self.damage().note(&*self.folder, damage, file);
        if !damage.records.is_empty() {
            self.state().ack_lost(damage.records.clone(), damage.events);
            self.acked();
        }
    }

    /// Tells those who wait that there are new acks.
    pub(super) fn acked(&self) {
        let (wake_writer, wake_room) = {
            let state = self.state();
            let due = u64::from(self.options.checkpoint_acks);
            let checkpoint_due = due > 0 && state.acks.prefix - state.checkpointed >= due;
            let sleeps = state.writer_sleeps && state.acks.prefix != state.checkpointed;
            (checkpoint_due || sleeps || state.acked_pages() > 0, state.wants_acks)
        };
        if wake_writer {
            self.work.notify_one();
        }
        if wake_room {
            self.room.notify_one();
        }
    }
}
