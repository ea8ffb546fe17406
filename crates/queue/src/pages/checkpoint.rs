//! The two checkpoints of a queue: they are overwritten by turns, so that one is always whole, and neither needs room.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use super::folder::{Access, Folder, PageFile, read_fully};
use super::format::{CHECKPOINT_BYTES, Checkpoint};
use crate::crash::crash_point;

/// Their names.
pub(super) const SLOT_NAMES: [&str; 2] = ["checkpoint-1", "checkpoint-2"];

/// What was read from one of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Missing,
    /// Torn, empty, or broken.
    Bad,
    Good(Checkpoint),
}

impl Slot {
    pub(super) fn good(self) -> Option<Checkpoint> {
        match self {
            Slot::Good(checkpoint) => Some(checkpoint),
            Slot::Missing | Slot::Bad => None,
        }
    }
}

/// Reads both.
pub(super) fn read_slots(folder: &dyn Folder) -> [Slot; 2] {
    SLOT_NAMES.map(|name| {
        let file = match folder.open(name, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Slot::Missing,
            Err(_) => return Slot::Bad,
        };
        let mut bytes = [0; CHECKPOINT_BYTES];
        let read = read_fully(&*file, &mut bytes, 0);
        match read.is_ok_and(|count| count == CHECKPOINT_BYTES).then(|| Checkpoint::decode(&bytes)) {
            Some(Some(checkpoint)) => Slot::Good(checkpoint),
            _ => Slot::Bad,
        }
    })
}

/// Writes checkpoints.
pub(super) struct Checkpoints {
    files: [Option<Arc<dyn PageFile>>; 2],
    /// The one that is written next: never the last good one.
    turn: usize,
    /// The last that was written.
    pub(super) last: Checkpoint,
}

impl Checkpoints {
    /// `last` is what is in force; `turn` the file that it is not in.
    pub(super) fn new(last: Checkpoint, turn: usize) -> Checkpoints {
        Checkpoints { files: [None, None], turn, last }
    }

    /// Writes a checkpoint durably.
    ///
    /// # Errors
    /// Those of the disk; the last good checkpoint is untouched then.
    pub(super) fn write(
        &mut self,
        folder: &dyn Folder,
        acked: u64,
        next: u64,
        next_events: u64,
    ) -> io::Result<()> {
        let sequence = self.last.sequence + 1;
        let checkpoint = Checkpoint { sequence, acked, next, next_events, ..self.last };
        crash_point("checkpoint.write.before");
        let (Some(name), Some(place)) = (SLOT_NAMES.get(self.turn), self.files.get_mut(self.turn)) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        match place {
            Some(file) => file.write_at(&checkpoint.encode(), 0)?,
            None => *place = Some(open_and_write(folder, name, &checkpoint.encode())?),
        }
        crash_point("checkpoint.write.after");
        if let Some(file) = place {
            file.sync()?;
        }
        crash_point("checkpoint.sync.after");
        (self.last, self.turn) = (checkpoint, 1 - self.turn);
        Ok(())
    }
}

fn open_and_write(folder: &dyn Folder, name: &str, bytes: &[u8]) -> io::Result<Arc<dyn PageFile>> {
    match folder.open(name, Access::Write) {
        Ok(file) => {
            file.write_at(bytes, 0)?;
            Ok(file)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            folder.create(name)?.append(&mut [IoSlice::new(bytes)])?;
            folder.sync()?;
            // What only appends can't be overwritten.
            folder.open(name, Access::Write)
        }
        Err(error) => Err(error),
    }
}
