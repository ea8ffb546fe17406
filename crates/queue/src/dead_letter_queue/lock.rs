//! Locks on a queue's folder, which also Logstash respects.

use rustix::fs::{FlockOperation, fcntl_lock};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Who holds it writes the queue.
const WRITER: &str = ".lock";
/// Who holds it deletes what it has read.
const CLEANER: &str = "dlq_reader.lock";

/// A lock on the folder of a queue, for as long as this lives.
#[derive(Debug)]
pub struct QueueLock {
    _file: File,
}

/// A lock can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{0} is held by another process or pipeline")]
    Held(PathBuf),
    /// The file can't be opened.
    #[error("{path}: {error}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl QueueLock {
    /// The lock of the one who writes.
    ///
    /// # Errors
    /// [`LockError`] when it is held, or its file can't be opened.
    pub fn writer(dir: &Path) -> Result<QueueLock, LockError> {
        QueueLock::take(dir.join(WRITER))
    }

    /// The lock of the one who deletes what was read.
    ///
    /// # Errors
    /// [`LockError`] when it is held, or its file can't be opened.
    pub fn cleaner(dir: &Path) -> Result<QueueLock, LockError> {
        QueueLock::take(dir.join(CLEANER))
    }

    fn take(path: PathBuf) -> Result<QueueLock, LockError> {
        let failed = |error| LockError::Io { path: path.clone(), error };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(path)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Java's locks are of the other kind that Unix has; theirs is not ours within one process.
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(QueueLock { _file: file }),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Err(LockError::Held(path)),
            Err(error) => Err(failed(error.into())),
        }
    }
}
