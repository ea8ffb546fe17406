//! The files of a queue, behind a trait so that tests can lose what was not synced and fill the disk.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder with the files of one queue. Names are relative to it.
pub(super) trait Folder: Send + Sync {
    /// For messages.
    fn path(&self) -> &Path;
    /// The files of the folder, or of the folder `sub` inside it, with their sizes; none when it is not there.
    fn list(&self, sub: &str) -> io::Result<Vec<(String, u64)>>;
    /// A file that must be there.
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn PageFile>>;
    /// A new, empty file that is only appended to; one that is there is an error.
    fn create(&self, name: &str) -> io::Result<Arc<dyn PageFile>>;
    fn remove(&self, name: &str) -> io::Result<()>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names in the folder durable.
    fn sync(&self) -> io::Result<()>;
    /// Makes a folder inside it, where there is none.
    fn make_sub(&self, sub: &str) -> io::Result<()>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// Reading, writing in place, cutting.
    Write,
}

/// An open file.
pub(super) trait PageFile: Send + Sync {
    /// Writes all of it to the end; after an error any part of it may be there.
    fn append(&self, parts: &mut [IoSlice<'_>]) -> io::Result<()>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reads what it can, 0 bytes at the end only.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Makes the content durable.
    fn sync(&self) -> io::Result<()>;
}

/// Times that a read is tried before the place counts as broken.
const READ_TRIES_MAX: u32 = 3;

/// Reads until the buffer is full or the file ends.
pub(super) fn read_fully(file: &dyn PageFile, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let (mut done, mut failures) = (0, 0);
    while let Some(rest) = bytes.get_mut(done..)
        && !rest.is_empty()
    {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                failures += 1;
                if failures >= READ_TRIES_MAX {
                    return Err(error);
                }
            }
        }
    }
    Ok(done)
}

/// A folder on a real disk.
#[derive(Debug)]
pub(super) struct DiskFolder {
    path: PathBuf,
}

impl DiskFolder {
    pub(super) fn new(path: &Path) -> DiskFolder {
        DiskFolder { path: path.to_owned() }
    }

    /// Makes the folder where there is none, with the folders above it.
    pub(super) fn make(&self) -> io::Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        // The folder itself must outlive a power loss, as what is in it will.
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    /// The lock of the folder for this process; none when another one has it.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.path.join(LOCK_NAME))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether some process has the lock; makes no file.
    pub(super) fn is_locked(&self) -> bool {
        let Ok(lock) = File::open(self.path.join(LOCK_NAME)) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// The file that is locked while a process has the queue open.
pub(super) const LOCK_NAME: &str = ".lock";

impl Folder for DiskFolder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self, sub: &str) -> io::Result<Vec<(String, u64)>> {
        let entries = match std::fs::read_dir(self.path.join(sub)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !sub.is_empty() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn PageFile>> {
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(self.path.join(name))?;
        Ok(Arc::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn PageFile>> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true).mode(0o600);
        Ok(Arc::new(options.open(self.path.join(name))?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn make_sub(&self, sub: &str) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(self.path.join(sub)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }
}

impl PageFile for File {
    fn append(&self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut file = self;
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            match file.write_vectored(parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut parts, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
