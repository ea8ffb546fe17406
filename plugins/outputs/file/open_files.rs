//! The files that are open, and how a portion of text gets into one of them whole or not at all.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most files open at a time; names come from events. The one that was idle longest is closed for a new one.
const OPEN_FILES_MAX: usize = 512;

/// How files are made and kept.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) gzip: bool,
    pub(super) overwrite: bool,
    pub(super) create_if_deleted: bool,
    /// The file for events of a deleted file that must not be made again.
    pub(super) failure: PathBuf,
    pub(super) file_mode: Option<u32>,
    pub(super) dir_mode: Option<u32>,
    pub(super) stale_after: Duration,
}

/// The files that are open.
pub(super) struct OpenFiles {
    policy: Policy,
    open: HashMap<PathBuf, Open>,
}

struct Open {
    file: File,
    /// A compressor is started anew for each write: gzip files may have several members.
    used: Instant,
}

impl OpenFiles {
    pub(super) fn new(policy: Policy) -> OpenFiles {
        OpenFiles { policy, open: HashMap::new() }
    }

    /// Adds `text` to the file at `path`, making it and its folders where needed.
    pub(super) fn write(&mut self, path: &Path, text: &[u8]) -> io::Result<()> {
        let path = if self.forget_deleted(path) && !self.policy.create_if_deleted {
            tracing::warn!(limited = true, path = %path.display(), "the file was deleted, its events go to the failure file");
            self.policy.failure.clone()
        } else {
            path.to_owned()
        };
        let compressed;
        let bytes = if self.policy.gzip {
            let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::default());
            encoder.write_all(text)?;
            compressed = encoder.finish()?;
            &compressed
        } else {
            text
        };
        self.make_room();
        let overwrite = self.policy.overwrite;
        let open = self.open(&path)?;
        open.used = Instant::now();
        let before = if overwrite { 0 } else { open.file.seek(SeekFrom::End(0))? };
        if overwrite {
            open.file.set_len(0)?;
            open.file.seek(SeekFrom::Start(0))?;
        }
        let written = open.file.write_all(bytes);
        if written.is_err() {
            // A pipe or device has no length; there the rest simply follows.
            let _ = open.file.set_len(before);
            self.open.remove(&path);
        }
        written
    }

    /// Closes files that nothing was written to for a while.
    pub(super) fn close_stale(&mut self) {
        let stale_after = self.policy.stale_after;
        self.open.retain(|_, open| open.used.elapsed() <= stale_after);
    }

    /// Closes all files.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }

    /// Lets go of a file that is no longer at its path; whether it was.
    fn forget_deleted(&mut self, path: &Path) -> bool {
        let Some(open) = self.open.get(path) else { return false };
        let same = match (open.file.metadata(), std::fs::metadata(path)) {
            (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
            _ => false,
        };
        if !same {
            self.open.remove(path);
        }
        !same
    }

    fn make_room(&mut self) {
        if self.open.len() < OPEN_FILES_MAX {
            return;
        }
        let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(path, _)| path.clone());
        if let Some(oldest) = oldest {
            self.open.remove(&oldest);
        }
    }

    fn open(&mut self, path: &Path) -> io::Result<&mut Open> {
        if !self.open.contains_key(path) {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                let mut builder = DirBuilder::new();
                builder.recursive(true);
                if let Some(mode) = self.policy.dir_mode {
                    builder.mode(mode);
                }
                builder.create(folder)?;
            }
            let mut options = OpenOptions::new();
            options.create(true).write(true);
            if let Some(mode) = self.policy.file_mode {
                options.mode(mode);
            }
            let file = options.open(path)?;
            self.open.insert(path.to_owned(), Open { file, used: Instant::now() });
        }
        self.open.get_mut(path).ok_or_else(|| io::Error::other("the file is not open"))
    }
}
