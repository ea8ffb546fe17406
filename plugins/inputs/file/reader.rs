//! Reading a file: blocks off the disk, lines out of the blocks.
//!
//! Nothing of a file is kept in memory between two visits but its position, so ten thousand open files cost no more than
//! their handles: an unfinished last line is read again once the file has grown. Of a line longer than a block only how
//! far it was searched is remembered; when its end is found, it is read as a whole, up to [`LINE_BYTES_MAX`].

use super::feed::{Feed, Stopped};
use super::gzip::{self, Lines};
use super::identity::Stat;
use super::watched_file::{Handle, State, WatchedFile};
use ferrostash_plugin::framing::Delimiter;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

/// Longest line, in bytes. What is behind is dropped, and the event tagged `_line_too_long`.
pub(super) const LINE_BYTES_MAX: usize = 32 << 20;
/// Bytes per read.
const BLOCK_BYTES: usize = 256 << 10;
/// Files of a directory among which a renamed one is looked for.
const SIBLINGS_MAX: usize = 10_000;

/// How a visit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Visit {
    /// Everything that was there is read.
    AtEnd,
    /// There is more; the file's share of this round is used up.
    More,
}

/// Why a visit broke off.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The input stops.
    Stopped,
    /// The file can't be read now.
    Unreadable(io::Error),
    /// The path leads to another file meanwhile.
    Replaced,
    /// The archive is damaged.
    Corrupt(io::Error),
}

impl From<Stopped> for Trouble {
    fn from(_: Stopped) -> Trouble {
        Trouble::Stopped
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Unreadable(error)
    }
}

/// Reads files, one after the other.
pub(super) struct Reader {
    pub(super) feed: Feed,
    delimiter: Delimiter,
    block: Vec<u8>,
    /// Bytes of a file that are read before the next file's turn.
    share: u64,
    /// Files that are open.
    open: Rc<Cell<usize>>,
}

impl Reader {
    /// A reader of lines that end in `delimiter`.
    pub(super) fn new(feed: Feed, delimiter: Delimiter, share: u64) -> Reader {
        Reader { feed, delimiter, block: vec![0; BLOCK_BYTES], share, open: Rc::default() }
    }

    /// How many files are open.
    pub(super) fn open_files(&self) -> usize {
        self.open.get()
    }

    /// Opens the file if it is not, and makes sure that it is the one that is watched.
    pub(super) fn open(&self, file: &mut WatchedFile) -> Result<(), Trouble> {
        if file.handle.is_some() {
            return Ok(());
        }
        let handle = Handle::open(file.path(), &self.open)?;
        let stat = Stat::of_file(&handle.file)?;
        if !file.stat.is_same_file(&stat) {
            return Err(Trouble::Replaced);
        }
        file.handle = Some(handle);
        Ok(())
    }

    /// Opens a closed file that was renamed, where it is still in its directory.
    pub(super) fn open_sibling(&self, file: &mut WatchedFile) {
        let Some(directory) = file.path().parent() else { return };
        let sibling = files_in(directory).find(|(_, stat)| file.stat.is_same_file(stat));
        file.handle = sibling.and_then(|(path, _)| Handle::open(&path, &self.open).ok());
    }

    /// A file that stood at `path` once and is at `now` meanwhile; `None` where it can't be opened.
    pub(super) fn take_up(
        &self,
        path: &Path,
        now: &Path,
        stat: Stat,
        begin: (u64, u64),
    ) -> Option<WatchedFile> {
        let mut file = WatchedFile::new(path, stat, begin, self.feed.codec());
        file.handle = Some(Handle::open(now, &self.open).ok()?);
        file.state = State::Gone(Instant::now());
        Some(file)
    }

    /// Reads lines until the end of the file, the end of its share or `until`.
    pub(super) fn visit(&mut self, file: &mut WatchedFile, until: Instant) -> Result<Visit, Trouble> {
        self.open(file)?;
        let stat = match &file.handle {
            Some(handle) => Stat::of_file(&handle.file)?,
            None => return Ok(Visit::AtEnd),
        };
        if stat.size < file.position {
            tracing::info!(path = %file.path().display(), size = stat.size, position = file.position,
                "the file was truncated and is read from its beginning");
            file.restart(&mut self.feed)?;
        } else if !file.is_unchanged()? {
            tracing::info!(path = %file.path().display(), position = file.position,
                "the file was rewritten and is read from its beginning");
            file.restart(&mut self.feed)?;
        }
        file.last_read = Instant::now();
        let visit = self.read_lines(file, until);
        if !matches!(visit, Err(Trouble::Stopped)) && !self.feed.is_waiting() {
            // Also what was read before an error is this file's.
            file.push(&mut self.feed)?;
        }
        let visit = visit?;
        if visit == Visit::AtEnd {
            file.read_to_end = Some(file.stat);
        }
        Ok(visit)
    }

    fn read_lines(&mut self, file: &mut WatchedFile, until: Instant) -> Result<Visit, Trouble> {
        let begin = file.position;
        loop {
            let share = self.share.saturating_sub(file.position - begin).max(1);
            let want = usize::try_from(share).map_or(BLOCK_BYTES, |share| share.min(BLOCK_BYTES));
            let block = self.block.get_mut(..want).unwrap_or_default();
            let length = read_at(handle(file)?, block, file.position)?;
            let block = block.get(..length).unwrap_or_default();
            let mut consumed = 0;
            while let Some(rest) = block.get(consumed..) {
                let start = file.position + consumed as u64;
                consumed += accept_lines(&self.delimiter, rest, start, file, &mut self.feed);
                if !self.feed.is_full() {
                    break;
                }
                file.push(&mut self.feed)?;
                if self.feed.is_waiting() {
                    break;
                }
            }
            file.advance(block.get(..consumed).unwrap_or_default());
            if self.feed.is_waiting() {
                return Ok(Visit::More);
            }
            if length < want {
                file.scanned = file.scanned.max(file.position + (length - consumed) as u64);
                return Ok(Visit::AtEnd);
            }
            if consumed == 0 && !self.long_line(file, until)? {
                let at_end = Instant::now() < until && !self.feed.is_stopping();
                return Ok(if at_end { Visit::AtEnd } else { Visit::More });
            }
            let share_is_used = file.position - begin >= self.share;
            if share_is_used || Instant::now() >= until || self.feed.is_waiting() || self.feed.is_stopping() {
                return Ok(Visit::More);
            }
        }
    }

    /// Searches the end of a line longer than a block and hands the line on; whether the end was found.
    fn long_line(&mut self, file: &mut WatchedFile, until: Instant) -> Result<bool, Trouble> {
        let overlap = self.delimiter.bytes().len() as u64 - 1;
        loop {
            let from = file.scanned.saturating_sub(overlap).max(file.position);
            let length = read_at(handle(file)?, &mut self.block, from)?;
            let block = self.block.get(..length).unwrap_or_default();
            if let Some(at) = self.delimiter.find(block) {
                let end = from + at as u64;
                self.accept_long(file, end, end + overlap + 1)?;
                return Ok(true);
            }
            file.scanned = file.scanned.max(from + length as u64);
            if length < self.block.len() || Instant::now() >= until || self.feed.is_stopping() {
                return Ok(false);
            }
        }
    }

    /// Hands on the line from the position to `end`; the next one begins at `next`.
    fn accept_long(&mut self, file: &mut WatchedFile, end: u64, next: u64) -> Result<(), Trouble> {
        let start = file.position;
        let whole = usize::try_from(end - start).unwrap_or(usize::MAX);
        let mut line = vec![0; whole.min(LINE_BYTES_MAX)];
        let length = read_at(handle(file)?, &mut line, start)?;
        line.truncate(length);
        file.accept(&mut self.feed, &line, start, next, whole > LINE_BYTES_MAX);
        if self.feed.is_full() {
            file.push(&mut self.feed)?;
        }
        // What lies between is skipped; what is remembered of the content is the delimiter's surroundings.
        file.position = next;
        file.scanned = next;
        file.forget_trail();
        file.is_unchanged()?;
        Ok(())
    }

    /// Hands on what is left behind the last delimiter, and what the codec kept back: no more is to come.
    pub(super) fn finish(&mut self, file: &mut WatchedFile) -> Result<(), Trouble> {
        if let Some(handle) = &file.handle {
            let size = Stat::of_file(&handle.file)?.size;
            if size > file.position {
                self.accept_long(file, size, size)?;
            }
        }
        file.flush(&mut self.feed)?;
        Ok(())
    }

    /// Ends a file that no path leads to any more.
    pub(super) fn let_go(&mut self, file: &mut WatchedFile) -> Result<(), Stopped> {
        match self.finish(file) {
            Err(Trouble::Stopped) => return Err(Stopped),
            Err(error) => {
                tracing::warn!(path = %file.path().display(), ?error, "can't read the end of a renamed file")
            }
            Ok(()) => {}
        }
        file.end(false);
        Ok(())
    }

    /// Reads a gzip archive, all members of it, from beginning to end.
    pub(super) fn read_archive(&mut self, file: &mut WatchedFile, check: bool) -> Result<(), Trouble> {
        self.open(file)?;
        let size = Stat::of_file(handle(file)?)?.size;
        if check {
            gzip::check(handle(file)?).map_err(Trouble::Corrupt)?;
        }
        let mut lines = Lines::new(handle(file)?.try_clone()?, LINE_BYTES_MAX)?;
        let mut unpacked = 0;
        let result = loop {
            match lines.next_line() {
                // A position inside an archive says nothing: it is read again as a whole, or done.
                Ok(Some((line, is_cut))) => {
                    file.accept_packed(&mut self.feed, line, unpacked, is_cut);
                    unpacked += (line.len() + self.delimiter.bytes().len()) as u64;
                    if self.feed.is_full() {
                        file.push(&mut self.feed)?;
                    }
                    if self.feed.is_stopping() {
                        return Err(Trouble::Stopped);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Trouble::Corrupt(error)),
            }
        };
        if result.is_ok() {
            file.position = size;
        }
        file.flush(&mut self.feed)?;
        result
    }
}

fn handle(file: &WatchedFile) -> Result<&File, Trouble> {
    file.handle
        .as_ref()
        .map(|handle| &handle.file)
        .ok_or_else(|| Trouble::Unreadable(io::ErrorKind::NotFound.into()))
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The regular files of a directory.
pub(super) fn files_in(directory: &Path) -> impl Iterator<Item = (PathBuf, Stat)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().take(SIBLINGS_MAX);
    entries.filter_map(|entry| {
        let path = entry.path();
        let stat = Stat::of_path(&path).ok()??;
        Some((path, stat))
    })
}

/// Hands the complete lines of a block that begins at `position` to the codec, until a chunk is full; gives the number
/// of bytes they take.
fn accept_lines(
    delimiter: &Delimiter,
    block: &[u8],
    position: u64,
    file: &mut WatchedFile,
    feed: &mut Feed,
) -> usize {
    if file.codec.is_stateless() {
        return file.keep_lines(feed, block, position);
    }
    let mut start = 0;
    while let Some(rest) = block.get(start..)
        && let Some(length) = delimiter.find(rest)
    {
        let next = start + length + delimiter.bytes().len();
        let line = rest.get(..length).unwrap_or_default();
        file.accept(feed, line, position + start as u64, position + next as u64, false);
        start = next;
        if feed.is_full() {
            break;
        }
    }
    start
}

/// Whether the name says that it is a gzip archive.
pub(super) fn is_archive(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    name.ends_with(b".gz") || name.ends_with(b".gzip")
}
