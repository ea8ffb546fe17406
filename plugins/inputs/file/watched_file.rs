//! One file that is watched: what is known of it, and how far it was read.

use super::feed::{Feed, Place, Stopped};
use super::identity::Stat;
use ferrostash_event::source_number;
use ferrostash_plugin::{AckTracker, Codec};
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How many bytes before the position are remembered, to see whether the file is still the one that was read.
const TRAIL_BYTES: usize = 64;

/// What is to be done with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// It is read when it changes.
    Watched,
    /// No path that is watched leads to it since then: it is read until it rests.
    Gone(Instant),
    /// Nothing more is read; it waits for the outcome of what was.
    Ending {
        /// It was read to the end as `read` mode wants it.
        completed: bool,
    },
}

/// A file and how far it was read.
pub(super) struct WatchedFile {
    path: PathBuf,
    /// The path as events name it.
    path_text: Arc<str>,
    /// How it was when it was last looked at.
    pub(super) stat: Stat,
    /// When it was last found at its path.
    pub(super) seen: SystemTime,
    /// How often its content was replaced by another.
    pub(super) generation: u64,
    pub(super) state: State,
    pub(super) handle: Option<Handle>,
    /// Everything before went to the codec.
    pub(super) position: u64,
    /// No line ends between the position and here.
    pub(super) scanned: u64,
    /// Everything before left the codec as events.
    pub(super) safe: u64,
    /// Everything before is delivered.
    settled: u64,
    /// `settled` changed since it was last asked for.
    has_settled: bool,
    trail: Vec<u8>,
    pub(super) codec: Box<dyn Codec>,
    pub(super) acks: AckTracker<u64>,
    pub(super) last_read: Instant,
    /// How it was when it was last read to its end.
    pub(super) read_to_end: Option<Stat>,
    /// No attempt to open or read it before this, since the last one failed.
    pub(super) retry_at: Option<Instant>,
}

impl WatchedFile {
    /// A file that is read from `position` of the content of that generation.
    pub(super) fn new(
        path: &Path,
        stat: Stat,
        (position, generation): (u64, u64),
        codec: Box<dyn Codec>,
    ) -> WatchedFile {
        WatchedFile {
            path: path.to_owned(),
            path_text: path.to_string_lossy().into(),
            stat,
            seen: SystemTime::now(),
            generation,
            state: State::Watched,
            handle: None,
            position,
            scanned: position,
            safe: position,
            settled: position,
            has_settled: false,
            trail: Vec::new(),
            codec,
            acks: AckTracker::default(),
            last_read: Instant::now(),
            read_to_end: None,
            retry_at: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn rename(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
        self.path_text = path.to_string_lossy().into();
    }

    /// Whether it may hold something that was not read.
    pub(super) fn has_news(&self, now: Instant) -> bool {
        let is_read = matches!(self.state, State::Ending { .. }) || self.read_to_end == Some(self.stat);
        !is_read && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Hands a line to the codec, from `start` to `end` with its delimiter.
    pub(super) fn accept(&mut self, feed: &mut Feed, line: &[u8], start: u64, end: u64, is_cut: bool) {
        // What the codec gives began with the first line that it holds.
        let began = if self.codec.is_stateless() { start } else { self.safe };
        let place = self.place(began);
        let emitted = feed.decode(&mut *self.codec, line, &self.path_text, place, is_cut);
        if self.codec.pending_bytes() == 0 {
            self.safe = end;
        } else if emitted {
            // What the codec holds now began with this line at the earliest.
            self.safe = start;
        }
    }

    /// Keeps the whole lines of a block that begins at `start` for the workers; gives the number of bytes they are.
    pub(super) fn keep_lines(&mut self, feed: &mut Feed, block: &[u8], start: u64) -> usize {
        let length = feed.keep_lines(block, &self.path_text, self.place(start));
        self.safe = start + length as u64;
        length
    }

    /// Hands a line of an archive to the codec; `place` is where it stands in what was packed.
    pub(super) fn accept_packed(&mut self, feed: &mut Feed, line: &[u8], position: u64, is_cut: bool) {
        let place = self.place(position);
        feed.decode(&mut *self.codec, line, &self.path_text, place, is_cut);
    }

    /// A position in this file, for ever: an inode is given to other files, and a name as well. Without the time at which
    /// the file was created they could not be told apart.
    fn place(&self, position: u64) -> Place {
        let born = self.stat.born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        let source = born.map(|born| {
            let [inode, device] = self.stat.id.numbers();
            let numbers =
                [u128::from(inode), u128::from(device), born.as_nanos(), u128::from(self.generation)];
            source_number(&numbers.each_ref().map(|number| number.to_be_bytes()).each_ref().map(|b| &b[..]))
        });
        Place { source, position }
    }

    /// Pushes what was collected.
    pub(super) fn push(&mut self, feed: &mut Feed) -> Result<(), Stopped> {
        feed.push(&mut self.acks, self.safe)
    }

    /// Lets the codec give what it holds back, and pushes it.
    pub(super) fn flush(&mut self, feed: &mut Feed) -> Result<(), Stopped> {
        let place = self.place(self.safe);
        feed.flush(&mut *self.codec, &self.path_text, place);
        self.safe = self.position;
        self.push(feed)
    }

    /// The position before which everything is delivered, if it changed.
    pub(super) fn take_settled(&mut self) -> Option<u64> {
        if let Some(position) = self.acks.settled() {
            self.settled = position;
            self.has_settled = true;
        }
        std::mem::take(&mut self.has_settled).then_some(self.settled)
    }

    /// Begins anew with the content that replaced the old one.
    pub(super) fn restart(&mut self, feed: &mut Feed) -> Result<(), Stopped> {
        self.flush(feed)?;
        // Acks of the old content must not set positions in the new one.
        self.acks = AckTracker::default();
        self.generation += 1;
        (self.position, self.scanned, self.safe, self.settled) = (0, 0, 0, 0);
        self.has_settled = true;
        self.trail.clear();
        self.read_to_end = None;
        Ok(())
    }

    /// Moves the position behind `bytes`, which were read from there.
    pub(super) fn advance(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
        self.scanned = self.position;
        if let Some(trail) = bytes.last_chunk::<TRAIL_BYTES>() {
            self.trail.clear();
            self.trail.extend_from_slice(trail);
        } else {
            self.trail.extend_from_slice(bytes);
            let excess = self.trail.len().saturating_sub(TRAIL_BYTES);
            self.trail.drain(..excess);
        }
    }

    /// Whether the content before the position is still what was read. Where nothing is remembered, it is from now on.
    pub(super) fn is_unchanged(&mut self) -> io::Result<bool> {
        let Some(Handle { file, .. }) = &self.handle else { return Ok(true) };
        let mut trail = [0; TRAIL_BYTES];
        let length = match self.trail.len() {
            0 => TRAIL_BYTES.min(usize::try_from(self.position).unwrap_or(TRAIL_BYTES)),
            length => length,
        };
        let Some(now) = trail.get_mut(..length) else { return Ok(true) };
        match file.read_exact_at(now, self.position - length as u64) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
        if self.trail.is_empty() {
            self.trail.extend_from_slice(now);
        }
        Ok(self.trail == now)
    }

    /// The position moved without [`WatchedFile::advance`]: what stands before it has to be read to be remembered.
    pub(super) fn forget_trail(&mut self) {
        self.trail.clear();
    }

    /// Nothing more is read of it.
    pub(super) fn end(&mut self, completed: bool) {
        self.handle = None;
        self.state = State::Ending { completed };
    }
}

/// An open file, counted while it is open.
pub(super) struct Handle {
    pub(super) file: File,
    open: Rc<Cell<usize>>,
}

impl Handle {
    pub(super) fn open(path: &Path, open: &Rc<Cell<usize>>) -> io::Result<Handle> {
        let file = File::open(path)?;
        open.set(open.get() + 1);
        Ok(Handle { file, open: Rc::clone(open) })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.open.set(self.open.get().saturating_sub(1));
    }
}
