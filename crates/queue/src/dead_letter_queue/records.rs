//! The records of a segment file: a version byte, then blocks of 32 KiB in which records follow each other. A record that
//! does not fit into the rest of its block goes on in the next one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The first byte of a segment.
pub(super) const VERSION: u8 = b'1';
const BLOCK: u64 = 32 * 1024;
const HEADER: u64 = 13;
/// The largest record that is read or written, in bytes.
pub const RECORD_BYTES_MAX: usize = 1 << 30;

/// A record as a whole, the first piece, one in the middle and the last one.
const COMPLETE: u8 = b'c';
const START: u8 = b's';
const MIDDLE: u8 = b'm';
const END: u8 = b'e';
/// The total in the header of pieces that have none.
const NO_TOTAL: u32 = u32::MAX;

/// Bytes that are left in the block of `offset`.
fn rest_of_block(offset: u64) -> u64 {
    BLOCK - offset.saturating_sub(1) % BLOCK
}

fn next_block(offset: u64) -> u64 {
    offset + rest_of_block(offset)
}

/// Appends `payload` to `out`, which will stand at `offset` of the file.
pub(super) fn append(payload: &[u8], offset: u64, out: &mut Vec<u8>) {
    let total = u32::try_from(payload.len()).unwrap_or(NO_TOTAL);
    let (start, mut rest, mut is_first) = (offset - out.len() as u64, payload, true);
    while !rest.is_empty() {
        let mut left = rest_of_block(start + out.len() as u64);
        if left < HEADER + 1 {
            out.resize(out.len() + left as usize, 0);
            left = BLOCK;
        }
        // As in Logstash, what fills the block to its last byte is no complete record; the total says that it is all.
        let fits = rest.len() as u64 + HEADER < left;
        let kind = match (is_first, fits) {
            (true, true) => COMPLETE,
            (true, false) => START,
            (false, true) => END,
            (false, false) => MIDDLE,
        };
        let (piece, behind) = rest.split_at(rest.len().min((left - HEADER) as usize));
        out.push(kind);
        out.extend_from_slice(&(piece.len() as u32).to_be_bytes());
        out.extend_from_slice(&(if kind == START { total } else { NO_TOTAL }).to_be_bytes());
        out.extend_from_slice(&crc32fast::hash(piece).to_be_bytes());
        out.extend_from_slice(piece);
        (rest, is_first) = (behind, false);
    }
}

/// What stands next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A record.
    Record {
        /// Where it begins, in bytes.
        offset: u64,
        /// What it holds.
        payload: Vec<u8>,
    },
    /// Something that can't be read and was passed over.
    Damaged(Damage),
    /// Nothing yet.
    End,
}

/// A place in a segment that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

impl Damage {
    /// The file by the name that it has once it is sealed.
    pub fn sealed_file(&self) -> PathBuf {
        match self.file.extension() {
            Some(extension) if extension == "tmp" => self.file.with_extension(""),
            _ => self.file.clone(),
        }
    }
}

/// Reads the records of a segment, also while it is being written.
#[derive(Debug)]
pub(super) struct RecordReader {
    path: PathBuf,
    file: File,
    offset: u64,
    /// The block that was read last, and its number.
    block: Vec<u8>,
    block_number: Option<u64>,
    /// Whether the start of a record is being looked for: pieces of others are passed over.
    is_seeking: bool,
}

struct Header {
    kind: u8,
    size: u32,
    total: u32,
    checksum: u32,
}

/// Why there is no piece at an offset.
enum Missing {
    /// The file ends before it is complete.
    Short,
    Damaged(String),
}

impl RecordReader {
    /// Reads `path` from `offset` on; where that is no place of a record, from the next one.
    pub(super) fn open(path: &Path, offset: u64) -> io::Result<RecordReader> {
        let file = File::open(path)?;
        Ok(RecordReader {
            path: path.to_owned(),
            file,
            offset,
            block: Vec::new(),
            block_number: None,
            is_seeking: false,
        })
    }

    /// Where the next record is looked for.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record. `is_sealed` says that nothing will be added to the file.
    pub(super) fn next(&mut self, is_sealed: bool) -> io::Result<Next> {
        if self.offset == 0 {
            let mut version = [0];
            if self.file.read_at(&mut version, 0)? == 0 {
                return Ok(Next::End);
            }
            if version != [VERSION] {
                let reason =
                    format!("it is no segment of a dead letter queue: its version is {}", version[0]);
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            self.offset = 1;
        }
        loop {
            let rest = rest_of_block(self.offset);
            if rest < HEADER + 1 {
                self.offset += rest;
                continue;
            }
            let offset = self.offset;
            match self.piece(offset)? {
                Ok((header, end)) if matches!(header.kind, END | MIDDLE) => {
                    // The rest of a record whose beginning was lost.
                    self.offset = end;
                    if !self.is_seeking {
                        self.is_seeking = true;
                        return Ok(self.damaged(offset, "a record without its beginning"));
                    }
                }
                Ok((header, end)) => return self.record(&header, offset, end, is_sealed),
                Err(Missing::Short) if is_sealed && offset < self.file.metadata()?.len() => {
                    self.offset = self.file.metadata()?.len();
                    return Ok(self.damaged(offset, "the last record is cut off"));
                }
                Err(Missing::Short) => return Ok(Next::End),
                Err(Missing::Damaged(reason)) => {
                    self.offset = next_block(offset);
                    self.is_seeking = true;
                    return Ok(self.damaged(offset, &reason));
                }
            }
        }
    }

    fn damaged(&self, offset: u64, reason: &str) -> Next {
        Next::Damaged(Damage { file: self.path.clone(), offset, reason: reason.to_owned() })
    }

    /// The record whose first piece stands at `offset`.
    fn record(&mut self, header: &Header, offset: u64, mut end: u64, is_sealed: bool) -> io::Result<Next> {
        let total = if header.kind == START { header.total as usize } else { header.size as usize };
        if total > RECORD_BYTES_MAX || total < header.size as usize {
            self.offset = next_block(offset);
            self.is_seeking = true;
            return Ok(self.damaged(offset, &format!("a record of {total} bytes")));
        }
        let mut payload = Vec::new();
        self.add(offset, header, &mut payload)?;
        let mut damage = self.check(header, &payload).err();
        while damage.is_none() && payload.len() < total {
            if rest_of_block(end) < HEADER + 1 {
                end = next_block(end);
            }
            let at = end;
            match self.piece(at)? {
                Ok((piece, behind)) if matches!(piece.kind, END | MIDDLE) => {
                    let before = payload.len();
                    self.add(at, &piece, &mut payload)?;
                    let added = payload.get(before..).unwrap_or_default();
                    damage = self.check(&piece, added).err();
                    end = behind;
                    if payload.len() > total {
                        damage = Some("a record is longer than its header says".to_owned());
                    }
                }
                Ok(_) => damage = Some("a record without its end".to_owned()),
                Err(Missing::Short) if is_sealed => {
                    end = self.file.metadata()?.len();
                    damage = Some("the last record is cut off".to_owned());
                }
                Err(Missing::Short) => return Ok(Next::End),
                Err(Missing::Damaged(reason)) => {
                    end = next_block(at);
                    damage = Some(reason);
                }
            }
        }
        self.offset = end;
        self.is_seeking = damage.is_some();
        Ok(match damage {
            None => Next::Record { offset, payload },
            Some(reason) => self.damaged(offset, &reason),
        })
    }

    fn check(&self, header: &Header, piece: &[u8]) -> Result<(), String> {
        match crc32fast::hash(piece) == header.checksum {
            true => Ok(()),
            false => Err("the checksum of a record is wrong".to_owned()),
        }
    }

    /// The header of the piece at `offset`, which is in the file as a whole, and the offset behind the piece.
    fn piece(&mut self, offset: u64) -> io::Result<Result<(Header, u64), Missing>> {
        let Some(bytes) = self.bytes(offset, HEADER)? else { return Ok(Err(Missing::Short)) };
        let field = |at: usize| {
            bytes.get(at..at + 4).and_then(|field| field.try_into().ok()).map_or(0, u32::from_be_bytes)
        };
        let kind = bytes.first().copied().unwrap_or(0);
        let header = Header { kind, size: field(1), total: field(5), checksum: field(9) };
        if !matches!(kind, COMPLETE | START | MIDDLE | END) {
            return Ok(Err(Missing::Damaged(format!("byte {kind:#04x} begins no record"))));
        }
        let size = u64::from(header.size);
        if size > rest_of_block(offset) - HEADER {
            return Ok(Err(Missing::Damaged(format!("a record of {size} bytes does not end in its block"))));
        }
        match self.bytes(offset + HEADER, size)? {
            Some(_) => Ok(Ok((header, offset + HEADER + size))),
            None => Ok(Err(Missing::Short)),
        }
    }

    fn add(&mut self, offset: u64, header: &Header, payload: &mut Vec<u8>) -> io::Result<()> {
        let bytes = self.bytes(offset + HEADER, u64::from(header.size))?.unwrap_or_default();
        payload.extend_from_slice(bytes);
        Ok(())
    }

    /// `len` bytes of one block; nothing where the file ends before.
    fn bytes(&mut self, offset: u64, len: u64) -> io::Result<Option<&[u8]>> {
        if len == 0 {
            return Ok(Some(&[]));
        }
        let number = (offset - 1) / BLOCK;
        let start = (offset - 1) % BLOCK;
        let range = start as usize..(start + len) as usize;
        if self.block_number != Some(number) || self.block.len() < range.end {
            self.block.resize(BLOCK as usize, 0);
            self.block_number = None;
            let mut filled = 0;
            while let Some(room) = self.block.get_mut(filled..).filter(|room| !room.is_empty()) {
                match self.file.read_at(room, number * BLOCK + 1 + filled as u64)? {
                    0 => break,
                    read => filled += read,
                }
            }
            self.block.truncate(filled);
            self.block_number = Some(number);
        }
        Ok(self.block.get(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file_of(payloads: &[Vec<u8>]) -> (tempfile::NamedTempFile, Vec<u8>) {
        let mut bytes = vec![VERSION];
        payloads.iter().for_each(|payload| {
            let offset = bytes.len() as u64;
            append(payload, offset, &mut bytes);
        });
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    fn all(path: &Path, is_sealed: bool) -> (Vec<Vec<u8>>, Vec<Damage>) {
        let mut reader = RecordReader::open(path, 0).unwrap();
        let (mut records, mut damage) = (Vec::new(), Vec::new());
        loop {
            match reader.next(is_sealed).unwrap() {
                Next::Record { payload, .. } => records.push(payload),
                Next::Damaged(found) => damage.push(found),
                Next::End => return (records, damage),
            }
        }
    }

    fn payload(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn records_of_every_length_come_back() {
        let block = BLOCK as usize;
        let mut lengths = vec![1, 12, 13, 14, 100, block, 5 * block, 3];
        lengths.extend((block - 60..block + 3).chain([1, 2, 3]));
        // Each tail of a block, from one byte to more than a header.
        lengths.extend((0..40).flat_map(|i| [block - 13 - 13 - i - 1, i + 1]));
        let payloads: Vec<_> = lengths.into_iter().map(payload).collect();
        let (file, _) = file_of(&payloads);
        let (records, damage) = all(file.path(), true);
        assert!(damage.is_empty(), "{damage:?}");
        assert!(records == payloads);
    }

    #[test]
    fn a_damaged_record_costs_its_neighbours_nothing() {
        let payloads: Vec<_> = (0..300).map(|_| payload(1000)).collect();
        let (file, mut bytes) = file_of(&payloads);
        bytes[1 + 13 + 1013 + 5] ^= 0xff;
        std::fs::write(file.path(), &bytes).unwrap();
        let (records, damage) = all(file.path(), true);
        assert_eq!((records.len(), damage.len()), (299, 1));
        assert_eq!(
            (damage[0].offset, damage[0].reason.as_str()),
            (1014, "the checksum of a record is wrong")
        );
        // A header: the rest of the block is lost.
        bytes[1014] = b'x';
        std::fs::write(file.path(), &bytes).unwrap();
        let (records, damage) = all(file.path(), true);
        assert_eq!(damage.len(), 1, "{damage:?}");
        assert_eq!(records.len(), 1 + 300 - 33);
    }

    #[test]
    fn a_record_that_is_being_written_is_waited_for() {
        let payloads = [payload(10), payload(70_000)];
        let (file, bytes) = file_of(&payloads);
        for cut in [24, 25, 30, 36, 37, 40, 32_768, 32_769, 32_775, 65_537, bytes.len() - 1] {
            std::fs::write(file.path(), &bytes[..cut]).unwrap();
            let mut reader = RecordReader::open(file.path(), 0).unwrap();
            assert!(matches!(reader.next(false).unwrap(), Next::Record { offset: 1, .. }));
            assert_eq!(reader.next(false).unwrap(), Next::End, "{cut}");
            std::fs::write(file.path(), &bytes).unwrap();
            assert!(
                matches!(reader.next(false).unwrap(), Next::Record { payload, .. } if payload.len() == 70_000)
            );
            assert_eq!(reader.next(false).unwrap(), Next::End);
        }
        std::fs::write(file.path(), &bytes[..40_000]).unwrap();
        let (records, damage) = all(file.path(), true);
        assert_eq!((records.len(), damage.len()), (1, 1));
        assert_eq!(damage[0].reason, "the last record is cut off");
    }

    #[test]
    fn reading_may_begin_at_a_block() {
        let payloads: Vec<_> = (0..100).map(|i| vec![i; 1000]).collect();
        let (file, _) = file_of(&payloads);
        let mut reader = RecordReader::open(file.path(), BLOCK + 1).unwrap();
        let Next::Damaged(rest) = reader.next(true).unwrap() else { panic!() };
        assert_eq!(rest.reason, "a record without its beginning");
        let Next::Record { payload, .. } = reader.next(true).unwrap() else { panic!() };
        assert_eq!(payload[0], 33);
    }

    #[test]
    fn rubbish_is_no_segment_and_no_bytes_are_too_many() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(RecordReader::open(file.path(), 0).unwrap().next(true).unwrap(), Next::End);
        file.write_all(&[b'1'; 100_000]).unwrap();
        let (records, damage) = all(file.path(), true);
        assert_eq!((records.len(), damage.len()), (0, 4));
        std::fs::write(file.path(), b"2").unwrap();
        let error = RecordReader::open(file.path(), 0).unwrap().next(true).unwrap_err().to_string();
        assert_eq!(error, "it is no segment of a dead letter queue: its version is 50");
    }
}
