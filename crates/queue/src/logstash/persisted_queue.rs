//! Reads the folder of a persisted queue of Logstash, without changing anything in it.
//!
//! The folder has pages (`page.N`), of which the one with the highest number is the head, and for each a checkpoint
//! (`checkpoint.N`, `checkpoint.head`) that says which of its elements were acknowledged.

use super::cbor::CborError;
use super::event::decode_event;
use ferrostash_event::Event;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// The largest element that is read, in bytes, compressed or not.
pub const ELEMENT_BYTES_MAX: usize = 256 << 20;
/// What a page begins with: its version.
const PAGE_VERSIONS: [u8; 2] = [1, 2];
const CHECKPOINT_VERSION: u16 = 1;
const CHECKPOINT_BYTES: usize = 34;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What a checkpoint says of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The number of the page.
    pub page: u32,
    /// The oldest page that has unacknowledged elements; in the head's checkpoint.
    pub first_unacked_page: u32,
    /// The first element that was not acknowledged, by its sequence number.
    pub first_unacked: i64,
    /// The sequence number of the page's first element.
    pub first: i64,
    /// Elements in the page when the checkpoint was written.
    pub elements: u32,
}

impl Checkpoint {
    fn parse(bytes: &[u8]) -> Result<Checkpoint, String> {
        let mut at = 0;
        let mut next = |len: usize| -> u64 {
            let field = bytes.get(at..at + len).unwrap_or_default();
            at += len;
            field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
        };
        let (version, page, first_unacked_page) = (next(2), next(4) as u32, next(4) as u32);
        let (first_unacked, first) = (next(8) as i64, next(8) as i64);
        let (elements, checksum) = (next(4) as u32, next(4) as u32);
        if bytes.len() != CHECKPOINT_BYTES {
            return Err(format!("it has {} bytes instead of {CHECKPOINT_BYTES}", bytes.len()));
        }
        if version != u64::from(CHECKPOINT_VERSION) {
            return Err(format!("its version is {version}; {CHECKPOINT_VERSION} is known"));
        }
        let data = bytes.get(..CHECKPOINT_BYTES - 4).unwrap_or_default();
        if crc32fast::hash(data) != checksum {
            return Err("its checksum is wrong".to_owned());
        }
        Ok(Checkpoint { page, first_unacked_page, first_unacked, first, elements })
    }
}

/// Something in the folder that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub file: PathBuf,
    /// How far into the file, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
    /// Elements that are lost with it, where that is known.
    pub elements: Option<u64>,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, byte {}: {}", self.file.display(), self.offset, self.reason)
    }
}

/// The folder can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no queue.
    #[error("{0} is no queue of Logstash: it has no checkpoint.head")]
    NoQueue(PathBuf),
    /// The folder or a file can't be opened.
    #[error("{path}: {error}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// An element as it stands in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedElement {
    /// Its sequence number.
    pub sequence: i64,
    /// Its bytes, decompressed.
    pub data: Vec<u8>,
    file: PathBuf,
    offset: u64,
}

/// An event of the queue.
#[derive(Clone, Debug)]
pub struct QueuedEvent {
    /// Its sequence number.
    pub sequence: i64,
    /// The event.
    pub event: Event,
}

/// The unacknowledged events of a queue, in order.
#[derive(Debug)]
pub struct PersistedQueue {
    pages: std::vec::IntoIter<Page>,
    current: Option<PageReader>,
    damage: Vec<Damage>,
}

/// A page that may have unacknowledged elements.
#[derive(Debug)]
struct Page {
    path: PathBuf,
    checkpoint: Option<Checkpoint>,
    is_head: bool,
}

impl PersistedQueue {
    /// Reads the checkpoints of the folder of one pipeline (`<path.queue>/<pipeline.id>`).
    ///
    /// # Errors
    /// [`OpenError`] when there is no queue or it can't be opened. Damaged parts are no error, see
    /// [`PersistedQueue::damage`].
    pub fn open(dir: &Path) -> Result<PersistedQueue, OpenError> {
        let failed = |error| OpenError::Io { path: dir.to_owned(), error };
        let (mut pages, mut checkpoints, mut damage) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut head = None;
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some((kind, number)) = path.file_name().and_then(|n| n.to_str()?.split_once('.')) else {
                continue;
            };
            match (kind, number, number.parse::<u32>()) {
                ("page", _, Ok(number)) => drop(pages.insert(number, path.clone())),
                ("checkpoint", "head", _) => {
                    head = Some(read_checkpoint(&path, &mut damage)?);
                }
                ("checkpoint", _, Ok(number)) => {
                    checkpoints.extend(read_checkpoint(&path, &mut damage)?.map(|found| (number, found)));
                }
                _ => {}
            }
        }
        let head = head.ok_or_else(|| OpenError::NoQueue(dir.to_owned()))?;
        let oldest = head.map_or(0, |head| head.first_unacked_page);
        checkpoints.extend(head.map(|head| (head.page, head)));
        let head = head.map(|head| head.page).or_else(|| pages.keys().next_back().copied());
        if let Some(number) = head.filter(|number| !pages.contains_key(number)) {
            damage.push(Damage {
                file: dir.join(format!("page.{number}")),
                offset: 0,
                reason: "the page of checkpoint.head is missing".to_owned(),
                elements: None,
            });
        }
        let is_wanted = |(number, _): &(u32, PathBuf)| match checkpoints.get(number) {
            // Where it is not known what was acknowledged, twice is better than never.
            None => *number >= oldest,
            Some(checkpoint) => {
                let end = checkpoint.first.saturating_add(i64::from(checkpoint.elements));
                Some(*number) == head || checkpoint.first_unacked < end
            }
        };
        let page = |(number, path): (u32, PathBuf)| Page {
            path,
            checkpoint: checkpoints.get(&number).copied(),
            is_head: Some(number) == head,
        };
        let pages: Vec<Page> = pages.into_iter().filter(is_wanted).map(page).collect();
        Ok(PersistedQueue { pages: pages.into_iter(), current: None, damage })
    }

    /// What could not be read so far; complete once there is no further event.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// The next unacknowledged element.
    pub fn next_element(&mut self) -> Option<QueuedElement> {
        loop {
            let page = match &mut self.current {
                Some(page) => page,
                None => match PageReader::open(self.pages.next()?) {
                    Ok(page) => self.current.insert(page),
                    Err(damage) => {
                        self.damage.push(damage);
                        continue;
                    }
                },
            };
            match page.next() {
                Some(Ok(element)) => return Some(element),
                Some(Err(damage)) => self.damage.push(damage),
                None => self.current = None,
            }
        }
    }
}

impl Iterator for PersistedQueue {
    type Item = QueuedEvent;

    fn next(&mut self) -> Option<QueuedEvent> {
        loop {
            let element = self.next_element()?;
            match decode_event(&element.data) {
                Ok(event) => return Some(QueuedEvent { sequence: element.sequence, event }),
                Err(error) => self.damage.push(not_an_event(element, &error)),
            }
        }
    }
}

fn not_an_event(element: QueuedElement, error: &CborError) -> Damage {
    let reason = format!("element {} is no event: {error}", element.sequence);
    Damage { file: element.file, offset: element.offset, reason, elements: Some(1) }
}

fn read_checkpoint(path: &Path, damage: &mut Vec<Damage>) -> Result<Option<Checkpoint>, OpenError> {
    let bytes = read_small(path).map_err(|error| OpenError::Io { path: path.to_owned(), error })?;
    match Checkpoint::parse(&bytes) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(reason) => {
            damage.push(Damage { file: path.to_owned(), offset: 0, reason, elements: None });
            Ok(None)
        }
    }
}

/// At most one byte more than a checkpoint has.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(CHECKPOINT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Goes through the elements of a page.
#[derive(Debug)]
struct PageReader {
    page: Page,
    file: BufReader<File>,
    offset: u64,
    /// The sequence number of the next element, once there was one.
    next: Option<i64>,
    is_done: bool,
}

impl PageReader {
    fn open(page: Page) -> Result<PageReader, Damage> {
        let opened = || -> io::Result<(BufReader<File>, [u8; 1])> {
            let mut file = BufReader::new(File::open(&page.path)?);
            let mut version = [0];
            file.read_exact(&mut version)?;
            Ok((file, version))
        };
        let elements = page.checkpoint.map(|checkpoint| checkpoint.left());
        let damaged = |reason: String| Damage {
            file: page.path.clone(),
            offset: 0,
            reason,
            elements: elements.flatten(),
        };
        let (file, [version]) = opened().map_err(|error| damaged(error.to_string()))?;
        if !PAGE_VERSIONS.contains(&version) {
            // A page that was made and never written to.
            if version == 0 && elements.flatten() == Some(0) {
                return Ok(PageReader { page, file, offset: 1, next: None, is_done: true });
            }
            return Err(damaged(format!("it is no page of a queue: its version is {version}")));
        }
        let next = page.checkpoint.filter(|checkpoint| checkpoint.elements > 0).map(|found| found.first);
        Ok(PageReader { page, file, offset: 1, next, is_done: false })
    }

    /// The elements that the checkpoint speaks of and that were not read yet.
    fn rest(&self) -> u64 {
        let checkpoint = self.page.checkpoint;
        let end = checkpoint.map(|found| found.first.saturating_add(i64::from(found.elements)));
        let next = self.next.max(checkpoint.map(|found| found.first_unacked));
        end.zip(next).map_or(0, |(end, next)| u64::try_from(end - next).unwrap_or(0))
    }

    fn next(&mut self) -> Option<Result<QueuedElement, Damage>> {
        while !self.is_done {
            if !self.page.is_head && self.page.checkpoint.is_some() && self.rest() == 0 {
                break;
            }
            match self.element() {
                Ok(Some(element)) => {
                    let first_unacked = self.page.checkpoint.map_or(i64::MIN, |found| found.first_unacked);
                    if element.sequence >= first_unacked {
                        return Some(self.decompress(element));
                    }
                }
                Ok(None) => self.is_done = true,
                Err((reason, is_end)) => {
                    let elements = if is_end { self.rest() } else { 1 };
                    self.is_done |= is_end;
                    let offset = self.offset;
                    let file = self.page.path.clone();
                    return Some(Err(Damage { file, offset, reason, elements: Some(elements) }));
                }
            }
        }
        None
    }

    /// The next element; nothing at the end of what was written. An error says whether nothing can follow it.
    fn element(&mut self) -> Result<Option<QueuedElement>, (String, bool)> {
        let at_end = self.rest() == 0;
        // Behind what the checkpoint knows, anything that is no element is the end.
        let end = |reason: String| if at_end { Ok(None) } else { Err((reason, true)) };
        let mut head = [0; 12];
        if let Err(error) = self.file.read_exact(&mut head) {
            return end(format!("elements are missing: {error}"));
        }
        let [a, b, c, d, e, f, g, h, length @ ..] = head;
        let (sequence, length) = (i64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes(length));
        if self.next.is_some_and(|next| next != sequence)
            || sequence < 0
            || (self.next.is_none() && length == 0)
        {
            return end(format!("there is no element {}", self.next.unwrap_or(0)));
        }
        let length = length as usize;
        if length == 0 || length > ELEMENT_BYTES_MAX {
            return end(format!("element {sequence} has {length} bytes"));
        }
        let mut data = Vec::new();
        let mut checksum = [0; 4];
        let read = self.file.by_ref().take(length as u64).read_to_end(&mut data);
        let read = read.and_then(|_| self.file.read_exact(&mut checksum));
        if data.len() < length || read.is_err() {
            return end(format!("element {sequence} is cut off"));
        }
        let offset = self.offset;
        if crc32fast::hash(&data) != u32::from_be_bytes(checksum) {
            if at_end {
                return Ok(None);
            }
            self.step(length, sequence);
            return Err((format!("element {sequence}, at byte {offset}: its checksum is wrong"), false));
        }
        self.step(length, sequence);
        Ok(Some(QueuedElement { sequence, data, file: self.page.path.clone(), offset }))
    }

    fn step(&mut self, length: usize, sequence: i64) {
        self.offset += 16 + length as u64;
        self.next = Some(sequence + 1);
    }

    fn decompress(&self, mut element: QueuedElement) -> Result<QueuedElement, Damage> {
        if !element.data.starts_with(&ZSTD_MAGIC) {
            return Ok(element);
        }
        let mut data = Vec::new();
        let read = zstd::Decoder::new(element.data.as_slice())
            .and_then(|decoder| decoder.take(ELEMENT_BYTES_MAX as u64 + 1).read_to_end(&mut data));
        let reason = match read {
            Ok(_) if data.len() <= ELEMENT_BYTES_MAX => {
                element.data = data;
                return Ok(element);
            }
            Ok(_) => format!("element {} has more than {ELEMENT_BYTES_MAX} bytes", element.sequence),
            Err(error) => format!("element {} can't be decompressed: {error}", element.sequence),
        };
        Err(Damage { file: element.file, offset: element.offset, reason, elements: Some(1) })
    }
}

impl Checkpoint {
    /// Elements that were not acknowledged.
    fn left(self) -> Option<u64> {
        let end = self.first.checked_add(i64::from(self.elements))?;
        u64::try_from(end.checked_sub(self.first_unacked)?).ok()
    }
}

#[cfg(test)]
mod tests;
