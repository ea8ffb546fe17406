//! Reads the records of a page, and finds the next intact one behind what is broken.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::damage::Damage;
use super::folder::{PageFile, read_fully};
use super::format::{
    FLAG_LOST, FLAG_ZSTD, PAGE_HEADER_BYTES, QueueId, RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader,
    page_seed, read_lost_data,
};
use super::{Compression, RECORD_BYTES_MAX};

/// Bytes that are read from a page at once.
const READ_AHEAD_BYTES: usize = 256 << 10;
/// What can't be read from a disk is skipped in steps of this.
const SECTOR_BYTES: u64 = 4096;

/// A walk over the records of one page.
pub(super) struct Walk {
    file: Arc<dyn PageFile>,
    page: u64,
    seed: u32,
    offset: u64,
    /// Where the page ends, in bytes.
    end: u64,
    /// The number that the next record has when nothing is missing.
    pub(super) expected: u64,
    /// Events of all records before it, when that is known.
    pub(super) expected_events: Option<u64>,
    /// The number of the first record that is not of this page, with the events before it.
    upper: u64,
    upper_events: Option<u64>,
    buffer: Vec<u8>,
    buffer_offset: u64,
    /// Give the data as they are stored.
    as_stored: bool,
}

/// A page as it is known before it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageInfo {
    pub(super) page: u64,
    /// The number of its first record.
    pub(super) first: u64,
    /// Events before that record; unknown where the header is broken.
    pub(super) first_events: Option<u64>,
    /// Bytes that may be read.
    pub(super) bytes: u64,
    /// Whether the header is intact; where it is not, its bytes are looked through for records, too.
    pub(super) has_header: bool,
}

/// What is found in a page.
#[derive(Debug)]
pub(super) enum Item {
    Record {
        header: RecordHeader,
        data: Vec<u8>,
    },
    /// A record that was not asked for; its data was not looked at.
    Passed,
    /// Bytes or records that are lost, before what comes next.
    Damage(Damage),
    /// Records that a repair found lost, and the events in them; nothing new.
    Lost {
        records: Range<u64>,
        events: u64,
    },
    /// The end. Where the page has no upper bound, behind the last intact record there may be bytes that are none.
    End {
        intact_bytes: u64,
    },
}

impl Walk {
    /// A walk from the beginning of a page, of which the records go up to `upper`.
    pub(super) fn new(
        file: Arc<dyn PageFile>,
        id: &QueueId,
        info: &PageInfo,
        upper: u64,
        upper_events: Option<u64>,
    ) -> Walk {
        Walk {
            file,
            page: info.page,
            seed: page_seed(id, info.page),
            offset: if info.has_header { PAGE_HEADER_BYTES as u64 } else { 0 },
            end: info.bytes,
            expected: info.first,
            expected_events: info.first_events,
            upper,
            upper_events,
            buffer: Vec::new(),
            buffer_offset: 0,
            as_stored: false,
        }
    }

    /// Data that can be decompressed are given as they are stored.
    pub(super) fn unexpanded(mut self) -> Walk {
        self.as_stored = true;
        self
    }

    pub(super) fn page(&self) -> u64 {
        self.page
    }

    pub(super) fn file(&self) -> &dyn PageFile {
        &*self.file
    }

    /// More of the page may be read than before.
    pub(super) fn extend(&mut self, bytes: u64, upper: u64, upper_events: Option<u64>) {
        (self.end, self.upper, self.upper_events) = (bytes, upper, upper_events);
    }

    /// The next record with at least this number, or what stands in the way.
    pub(super) fn next(&mut self, wanted: u64) -> Item {
        let start = self.offset;
        let mut broken = None;
        loop {
            if self.expected >= self.upper {
                return Item::End { intact_bytes: start };
            }
            let Some(header) = self.find(&mut broken) else { return self.finish(start, broken) };
            if header.number < wanted && header.flags & FLAG_LOST == 0 {
                if let Some(damage) = self.damage(start, broken, header.number, Some(header.events_before)) {
                    return Item::Damage(damage);
                }
                self.pass(&header);
                return Item::Passed;
            }
            match self.data(&header) {
                Ok(data) => {
                    if let Some(damage) =
                        self.damage(start, broken, header.number, Some(header.events_before))
                    {
                        return Item::Damage(damage);
                    }
                    return self.take(&header, data);
                }
                Err(reason) => {
                    broken.get_or_insert(reason);
                    self.offset += header.bytes();
                }
            }
        }
    }

    /// The first intact record, wherever it is.
    pub(super) fn first_record(&mut self) -> Option<RecordHeader> {
        let mut broken = None;
        loop {
            let header = self.find(&mut broken)?;
            if self.data(&header).is_ok() {
                return Some(header);
            }
            self.offset += header.bytes();
        }
    }

    fn take(&mut self, header: &RecordHeader, data: Vec<u8>) -> Item {
        self.pass(header);
        if header.flags & FLAG_LOST == 0 {
            return Item::Record { header: *header, data };
        }
        let (end, events) = read_lost_data(&data).unwrap_or((header.number, header.events_before));
        // Never beyond what the page may hold.
        self.expected = end.clamp(header.number, self.upper);
        self.expected_events = Some(events);
        let events = events.saturating_sub(header.events_before);
        Item::Lost { records: header.number..self.expected, events }
    }

    fn pass(&mut self, header: &RecordHeader) {
        self.offset += header.bytes();
        self.expected = header.number.saturating_add(1);
        self.expected_events = Some(header.events_before.saturating_add(u64::from(header.events)));
    }

    /// What is missing between `start` and the record at the present offset. The walk stays before that record.
    fn damage(
        &mut self,
        start: u64,
        broken: Option<&'static str>,
        number: u64,
        events_before: Option<u64>,
    ) -> Option<Damage> {
        let records = self.expected..number.max(self.expected);
        if broken.is_none() && records.is_empty() {
            return None;
        }
        let events = self.expected_events.zip(events_before).map(|(from, to)| to.saturating_sub(from));
        self.expected = records.end;
        self.expected_events = events_before;
        let reason = broken.unwrap_or("records are missing");
        Some(Damage { page: self.page, from: start, to: self.offset, reason, records, events })
    }

    /// There is no further record.
    fn finish(&mut self, start: u64, broken: Option<&'static str>) -> Item {
        if self.upper == u64::MAX {
            self.offset = start;
            return Item::End { intact_bytes: start };
        }
        // There is an upper bound, and it was not reached.
        let broken = broken.or(Some("the page is shorter than it was"));
        match self.damage(start, broken, self.upper, self.upper_events) {
            Some(damage) => Item::Damage(damage),
            None => Item::End { intact_bytes: start },
        }
    }

    /// Goes to the next intact header; none at the end.
    fn find(&mut self, broken: &mut Option<&'static str>) -> Option<RecordHeader> {
        while self.offset < self.end {
            let (seed, lower, upper) = (self.seed, self.expected, self.upper);
            let room = self.end - self.offset;
            let header = match self.window(RECORD_HEADER_BYTES) {
                Ok(bytes) => RecordHeader::decode(bytes, seed),
                Err(_) => {
                    broken.get_or_insert("the disk can't be read");
                    self.offset = ((self.offset / SECTOR_BYTES + 1) * SECTOR_BYTES).min(self.end);
                    continue;
                }
            };
            let fits = |header: &RecordHeader| {
                (lower..upper).contains(&header.number)
                    && header.bytes() <= room
                    && header.raw as usize <= RECORD_BYTES_MAX
            };
            if let Some(header) = header.filter(fits) {
                return Some(header);
            }
            broken.get_or_insert("no intact record");
            self.offset += 1;
            self.skip_to_magic();
        }
        None
    }

    /// Goes to the next place that may be a record, or to where more has to be read.
    fn skip_to_magic(&mut self) {
        let rest = self.end - self.offset;
        let Ok(bytes) = self.window(RECORD_MAGIC.len()) else { return };
        let step = match memchr::memmem::find(bytes, &RECORD_MAGIC) {
            Some(place) => place,
            None if (bytes.len() as u64) < rest => (bytes.len() + 1).saturating_sub(RECORD_MAGIC.len()),
            None => bytes.len(),
        };
        self.offset += step as u64;
    }

    /// The data of the record at the present offset, or why there is none.
    fn data(&mut self, header: &RecordHeader) -> Result<Vec<u8>, &'static str> {
        let stored = header.stored as usize;
        let mut data = if stored < READ_AHEAD_BYTES {
            let bytes = self.window(RECORD_HEADER_BYTES + stored).map_err(|_| "the disk can't be read")?;
            let data = bytes.get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + stored);
            data.ok_or("the page is shorter than it was")?.to_vec()
        } else {
            let held = self.window(RECORD_HEADER_BYTES).map_err(|_| "the disk can't be read")?;
            let held = held.get(RECORD_HEADER_BYTES..).unwrap_or_default();
            let held = held.get(..stored).unwrap_or(held);
            let mut data = vec![0; stored];
            data.iter_mut().zip(held).for_each(|(to, from)| *to = *from);
            let held = held.len();
            let rest = data.get_mut(held..).unwrap_or_default();
            let wanted = rest.len();
            let offset = self.offset + (RECORD_HEADER_BYTES + held) as u64;
            match read_fully(&*self.file, rest, offset) {
                Ok(count) if count == wanted => data,
                Ok(_) => return Err("the page is shorter than it was"),
                Err(_) => return Err("the disk can't be read"),
            }
        };
        if crc32c::crc32c(&data) != header.data_crc {
            return Err("the checksum of a record is wrong");
        }
        if header.flags & FLAG_ZSTD != 0 {
            let expanded = Compression::expand(&data, header.raw as usize)
                .map_err(|_| "a record can't be decompressed")?;
            if !self.as_stored {
                data = expanded;
            }
        }
        Ok(data)
    }

    /// The bytes from the present offset on, at least `wanted` where the page has as many.
    fn window(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let rest = self.end - self.offset;
        let wanted = usize::try_from(rest).map_or(wanted, |rest| rest.min(wanted));
        let start = self.offset.checked_sub(self.buffer_offset).and_then(|at| usize::try_from(at).ok());
        let held = start.and_then(|start| self.buffer.get(start..)).map_or(0, <[u8]>::len);
        if held < wanted {
            let more = usize::try_from(rest).map_or(READ_AHEAD_BYTES, |rest| rest.min(READ_AHEAD_BYTES));
            self.buffer.resize(more.max(wanted), 0);
            self.buffer_offset = self.offset;
            let count = match read_fully(&*self.file, &mut self.buffer, self.offset) {
                Ok(count) => count,
                Err(error) => {
                    self.buffer.clear();
                    return Err(error);
                }
            };
            self.buffer.truncate(count);
            if count < wanted {
                // Somebody made the file shorter.
                self.end = self.offset + count as u64;
            }
        }
        let start = usize::try_from(self.offset - self.buffer_offset).unwrap_or(0);
        Ok(self.buffer.get(start..).unwrap_or_default())
    }
}
