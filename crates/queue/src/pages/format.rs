//! The bytes of pages and checkpoints, as the documentation of [`super`] has them.

/// Bytes of a page before its first record.
pub(super) const PAGE_HEADER_BYTES: usize = 64;
/// Bytes of a record before its data.
pub(super) const RECORD_HEADER_BYTES: usize = 44;
/// Bytes of a checkpoint.
pub(super) const CHECKPOINT_BYTES: usize = 64;
/// Neither 0xF5 nor 0xFF is ever part of UTF-8: text does not look like a record.
pub(super) const RECORD_MAGIC: [u8; 4] = [0xF5, b'R', 0xFF, b'>'];

const PAGE_MAGIC: [u8; 8] = *b"\x89FSPAGE\n";
const CHECKPOINT_MAGIC: [u8; 8] = *b"\x89FSACKS\n";
const VERSION: u16 = 1;

/// The data is compressed with zstd.
pub(super) const FLAG_ZSTD: u32 = 1;
/// Stands for records that a repair found lost; its data says up to where.
pub(super) const FLAG_LOST: u32 = 2;
const FLAGS_KNOWN: u32 = FLAG_ZSTD | FLAG_LOST;

/// What all files of a queue carry.
pub(super) type QueueId = [u8; 16];

/// Reads numbers one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }
}

/// The bytes in front of a checksum, when it is the right one.
fn checked(bytes: &[u8], seed: u32) -> Option<&[u8]> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    (crc32c::crc32c_append(seed, body) == u32::from_le_bytes(*sum)).then_some(body)
}

fn with_checksum<const N: usize>(mut bytes: Vec<u8>, seed: u32) -> [u8; N] {
    bytes.resize(N - 4, 0);
    let sum = crc32c::crc32c_append(seed, &bytes);
    bytes.extend(sum.to_le_bytes());
    let mut all = [0; N];
    all.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    all
}

/// What a page says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) id: QueueId,
    pub(super) page: u64,
    /// The number of its first record.
    pub(super) first: u64,
    /// Events of all records before it, since the queue was made.
    pub(super) events_before: u64,
}

/// Why a page has no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    Empty,
    Short,
    Zeros,
    Magic,
    Checksum,
    /// Written by a version of this program that is newer.
    Newer(u16),
}

impl BadHeader {
    pub(super) fn reason(self) -> &'static str {
        match self {
            BadHeader::Empty => "the page is empty",
            BadHeader::Short => "the page ends inside its header",
            BadHeader::Zeros => "the page begins with zeros",
            BadHeader::Magic => "the file does not begin like a page",
            BadHeader::Checksum => "the checksum of the page's header is wrong",
            BadHeader::Newer(_) => "the page was written by a newer version",
        }
    }
}

impl PageHeader {
    pub(super) fn encode(&self) -> [u8; PAGE_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(PAGE_HEADER_BYTES);
        bytes.extend(PAGE_MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.id);
        bytes.extend(self.page.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.events_before.to_le_bytes());
        with_checksum(bytes, 0)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<PageHeader, BadHeader> {
        if bytes.is_empty() {
            return Err(BadHeader::Empty);
        }
        let Some(bytes) = bytes.get(..PAGE_HEADER_BYTES) else { return Err(BadHeader::Short) };
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(BadHeader::Zeros);
        }
        if !bytes.starts_with(&PAGE_MAGIC) {
            return Err(BadHeader::Magic);
        }
        let Some(body) = checked(bytes, 0) else { return Err(BadHeader::Checksum) };
        let mut fields = Fields(body);
        let _ = fields.bytes::<8>();
        match fields.u16() {
            Some(VERSION) => {}
            Some(newer) => return Err(BadHeader::Newer(newer)),
            None => return Err(BadHeader::Short),
        }
        (|| {
            Some(PageHeader {
                id: fields.bytes()?,
                page: fields.u64()?,
                first: fields.u64()?,
                events_before: fields.u64()?,
            })
        })()
        .ok_or(BadHeader::Short)
    }
}

/// What stands before the data of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Bytes of the data as stored.
    pub(super) stored: u32,
    pub(super) number: u64,
    /// Events of all records before it, since the queue was made.
    pub(super) events_before: u64,
    pub(super) events: u32,
    pub(super) flags: u32,
    /// Bytes of the data as given.
    pub(super) raw: u32,
    /// Checksum of the data as stored.
    pub(super) data_crc: u32,
}

/// The checksums of the records of a page begin with this: a record of another queue or page is none here, and nobody
/// who can only send events can make one up.
pub(super) fn page_seed(id: &QueueId, page: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(id), &page.to_le_bytes())
}

impl RecordHeader {
    pub(super) fn encode(&self, seed: u32) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        let fields = RECORD_MAGIC
            .into_iter()
            .chain(self.stored.to_le_bytes())
            .chain(self.number.to_le_bytes())
            .chain(self.events_before.to_le_bytes())
            .chain(self.events.to_le_bytes())
            .chain(self.flags.to_le_bytes())
            .chain(self.raw.to_le_bytes())
            .chain(self.data_crc.to_le_bytes());
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        if let Some((body, sum)) = bytes.split_last_chunk_mut::<4>() {
            *sum = crc32c::crc32c_append(seed, body).to_le_bytes();
        }
        bytes
    }

    /// The header at the beginning of `bytes`, when there is an intact one.
    pub(super) fn decode(bytes: &[u8], seed: u32) -> Option<RecordHeader> {
        let bytes = bytes.get(..RECORD_HEADER_BYTES)?;
        if !bytes.starts_with(&RECORD_MAGIC) {
            return None;
        }
        let mut fields = Fields(checked(bytes, seed)?);
        let _ = fields.bytes::<4>();
        let header = RecordHeader {
            stored: fields.u32()?,
            number: fields.u64()?,
            events_before: fields.u64()?,
            events: fields.u32()?,
            flags: fields.u32()?,
            raw: fields.u32()?,
            data_crc: fields.u32()?,
        };
        (header.flags & !FLAGS_KNOWN == 0).then_some(header)
    }

    /// Bytes of the whole record.
    pub(super) fn bytes(&self) -> u64 {
        RECORD_HEADER_BYTES as u64 + u64::from(self.stored)
    }
}

/// The data of a record with [`FLAG_LOST`]: number and events of the first record behind it.
pub(super) fn lost_data(end: u64, events: u64) -> Vec<u8> {
    [end.to_le_bytes(), events.to_le_bytes()].concat()
}

pub(super) fn read_lost_data(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut fields = Fields(bytes);
    Some((fields.u64()?, fields.u64()?))
}

/// What is known to be acked and to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) id: QueueId,
    /// Counts the checkpoints.
    pub(super) sequence: u64,
    /// The first record that is not acked.
    pub(super) acked: u64,
    /// The number behind the last durable record.
    pub(super) next: u64,
    /// Events of all records before `next`.
    pub(super) next_events: u64,
}

impl Checkpoint {
    pub(super) fn encode(&self) -> [u8; CHECKPOINT_BYTES] {
        let mut bytes = Vec::with_capacity(CHECKPOINT_BYTES);
        bytes.extend(CHECKPOINT_MAGIC);
        bytes.extend(self.id);
        for number in [self.sequence, self.acked, self.next, self.next_events] {
            bytes.extend(number.to_le_bytes());
        }
        with_checksum(bytes, 0)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Checkpoint> {
        let bytes = bytes.get(..CHECKPOINT_BYTES)?;
        if !bytes.starts_with(&CHECKPOINT_MAGIC) {
            return None;
        }
        let mut fields = Fields(checked(bytes, 0)?);
        let _ = fields.bytes::<8>();
        Some(Checkpoint {
            id: fields.bytes()?,
            sequence: fields.u64()?,
            acked: fields.u64()?,
            next: fields.u64()?,
            next_events: fields.u64()?,
        })
    }
}

/// The number in the name of a page.
pub(super) fn page_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".page")?;
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    canonical.then(|| digits.parse().ok())?
}

/// The name of a page.
pub(super) fn page_name(page: u64) -> String {
    format!("{page}.page")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_every_flipped_bit_is_noticed() {
        let page = PageHeader { id: [7; 16], page: 3, first: 40, events_before: 900 };
        assert_eq!(PageHeader::decode(&page.encode()), Ok(page));
        let seed = page_seed(&[7; 16], 3);
        let record = RecordHeader {
            stored: 5,
            number: 41,
            events_before: 910,
            events: 3,
            flags: FLAG_ZSTD,
            raw: 50,
            data_crc: 1,
        };
        assert_eq!(RecordHeader::decode(&record.encode(seed), seed), Some(record));
        assert_eq!(RecordHeader::decode(&record.encode(seed), page_seed(&[7; 16], 4)), None);
        let checkpoint = Checkpoint { id: [7; 16], sequence: 2, acked: 5, next: 9, next_events: 12 };
        assert_eq!(Checkpoint::decode(&checkpoint.encode()), Some(checkpoint));
        for bit in 0..PAGE_HEADER_BYTES * 8 {
            let mut bytes = page.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(PageHeader::decode(&bytes).is_err());
            let mut bytes = checkpoint.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Checkpoint::decode(&bytes), None);
            let mut bytes = record.encode(seed);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
                assert_eq!(RecordHeader::decode(&bytes, seed), None);
            }
        }
    }

    #[test]
    fn names_of_pages() {
        assert_eq!(page_number("17.page"), Some(17));
        for other in ["page.17", "017.page", ".page", "x.page", "17.page.txt", "99999999999999999999.page"] {
            assert_eq!(page_number(other), None, "{other}");
        }
    }
}
