//! The reading end of a dead letter queue. It changes nothing, and it may read while somebody writes.

use super::entry::DeadLetter;
use super::records::{self, Damage, RecordReader};
use super::segments::{Segment, path_of, segments};
use ferrostash_event::source_number;
use std::io;
use std::path::{Path, PathBuf};

/// A place in a queue: everything before it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The number of the segment.
    pub segment: u32,
    /// How far into it, in bytes.
    pub offset: u64,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// An entry.
    Entry {
        /// The entry.
        letter: Box<DeadLetter>,
        /// Where it stands.
        at: Position,
    },
    /// Something that can't be read and was passed over.
    Damaged(Damage),
    /// Nothing, for now.
    Idle,
}

/// Reads a queue from a position on.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    current: Option<Current>,
    /// Where to begin once there is something.
    begin: Position,
}

#[derive(Debug)]
struct Current {
    number: u32,
    is_sealed: bool,
    records: RecordReader,
    /// Where the error of a file that can't be read was already told.
    is_broken: bool,
}

impl Reader {
    /// Reads the queue in `dir` from `begin` on; from its oldest entry with the default.
    pub fn new(dir: &Path, begin: Position) -> Reader {
        Reader { dir: dir.to_owned(), current: None, begin }
    }

    /// Behind the last thing that [`Reader::read`] gave.
    pub fn position(&self) -> Position {
        match &self.current {
            Some(current) => Position { segment: current.number, offset: current.records.offset() },
            None => self.begin,
        }
    }

    /// The next entry, or damage, or nothing for now.
    ///
    /// # Errors
    /// The folder or a file can't be read.
    pub fn read(&mut self) -> io::Result<Next> {
        loop {
            let Some(current) = &mut self.current else {
                let begin = self.begin;
                if !self.open_next(begin)? {
                    return Ok(Next::Idle);
                }
                continue;
            };
            let number = current.number;
            let path = path_of(&self.dir, number, current.is_sealed);
            let next = match current.is_broken {
                true => Ok(records::Next::End),
                false => current.records.next(current.is_sealed),
            };
            match next {
                Ok(records::Next::Record { offset, payload }) => {
                    let at = Position { segment: number, offset };
                    return Ok(match DeadLetter::decode(&payload) {
                        Ok(letter) => Next::Entry { letter: Box::new(letter), at },
                        Err(error) => Next::Damaged(Damage { file: path, offset, reason: error.to_string() }),
                    });
                }
                Ok(records::Next::Damaged(damage)) => return Ok(Next::Damaged(damage)),
                Ok(records::Next::End) => {
                    if !current.is_sealed && path_of(&self.dir, number, true).exists() {
                        // What was written between the last look and the sealing.
                        current.is_sealed = true;
                        continue;
                    }
                    let has_successor = || -> io::Result<bool> {
                        Ok(segments(&self.dir)?.iter().any(|segment| segment.number > number))
                    };
                    if !current.is_sealed && has_successor()? {
                        // The same, when the writer has gone on already.
                        current.is_sealed = true;
                        continue;
                    }
                    // A writer that went away without sealing, or a segment that was deleted, has successors.
                    if !self.open_next(Position { segment: number.saturating_add(1), offset: 0 })? {
                        return Ok(Next::Idle);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    current.is_broken = true;
                    return Ok(Next::Damaged(Damage { file: path, offset: 0, reason: error.to_string() }));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A number for the queue, for the origins of its events.
    pub(super) fn source(&self) -> u64 {
        source_number(&[self.dir.as_os_str().as_encoded_bytes()])
    }

    /// Opens the first segment from `begin` on; whether there is one.
    fn open_next(&mut self, begin: Position) -> io::Result<bool> {
        for segment in segments(&self.dir)? {
            if segment.number < begin.segment {
                continue;
            }
            let is_begun = segment.number == begin.segment;
            let offset = if is_begun && begin.offset <= segment.bytes { begin.offset } else { 0 };
            match RecordReader::open(&segment.path, offset) {
                Ok(records) => {
                    let Segment { number, is_sealed, .. } = segment;
                    self.current = Some(Current { number, is_sealed, records, is_broken: false });
                    return Ok(true);
                }
                // Sealed or deleted at this very moment; what was sealed has another name now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let path = path_of(&self.dir, segment.number, true);
                    if let Ok(records) = RecordReader::open(&path, offset) {
                        let number = segment.number;
                        self.current = Some(Current { number, is_sealed: true, records, is_broken: false });
                        return Ok(true);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
