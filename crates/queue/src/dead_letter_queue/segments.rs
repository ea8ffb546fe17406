//! The files of a queue.

use super::entry::entry_time;
use super::records::{Next, RecordReader};
use ferrostash_event::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub(super) const SEALED: &str = "log";
const BEING_WRITTEN: &str = "log.tmp";
/// Tells the writer that a reader has deleted segments.
pub(super) const DELETED_NOTE: &str = ".deleted_segment";

/// A file of a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Its number; higher ones are younger.
    pub number: u32,
    /// Whether nothing will be added to it.
    pub is_sealed: bool,
    /// The file.
    pub path: PathBuf,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// The name of a segment.
pub(super) fn path_of(dir: &Path, number: u32, is_sealed: bool) -> PathBuf {
    dir.join(format!("{number}.{}", if is_sealed { SEALED } else { BEING_WRITTEN }))
}

/// The segments of the queue in `dir`, oldest first; none where there is no such folder.
///
/// # Errors
/// The folder can't be read.
pub fn segments(dir: &Path) -> io::Result<Vec<Segment>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let Some((number, kind)) = path.file_name().and_then(|name| name.to_str()?.split_once('.')) else {
            continue;
        };
        let (Ok(number), SEALED | BEING_WRITTEN) = (number.parse(), kind) else { continue };
        let is_sealed = kind == SEALED;
        // Somebody may delete or seal it at this very moment.
        if let Ok(metadata) = fs::metadata(&path) {
            found.push(Segment { number, is_sealed, path, bytes: metadata.len() });
        }
    }
    found.sort();
    Ok(found)
}

/// The bytes of all segments.
pub(super) fn total_bytes(dir: &Path) -> io::Result<u64> {
    Ok(segments(dir)?.iter().map(|segment| segment.bytes).sum())
}

impl Segment {
    /// Its intact entries: how many, the time of the first and of the last one, and where the last one ends, in bytes.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn summary(&self) -> io::Result<Summary> {
        let mut reader = RecordReader::open(&self.path, 0)?;
        let mut summary = Summary::default();
        loop {
            match reader.next(self.is_sealed)? {
                Next::Record { payload, .. } => {
                    let time = entry_time(&payload);
                    summary.entries += 1;
                    summary.oldest = summary.oldest.or(time);
                    summary.newest = time.or(summary.newest);
                    summary.end = reader.offset();
                }
                Next::Damaged(_) => summary.damaged += 1,
                Next::End => return Ok(summary),
            }
        }
    }
}

/// What is in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Intact entries.
    pub entries: u64,
    /// Places that can't be read.
    pub damaged: u64,
    /// When the first entry was written.
    pub oldest: Option<Timestamp>,
    /// When the last entry was written.
    pub newest: Option<Timestamp>,
    /// Where the last intact entry ends, in bytes; 0 where there is none.
    pub end: u64,
}

/// The file of a sealed segment.
pub fn segment_path(dir: &Path, number: u32) -> PathBuf {
    path_of(dir, number, true)
}

/// Takes a sealed segment out of the queue without deleting it: it becomes `N.err`, as Logstash calls those that it can't
/// read.
///
/// # Errors
/// The file can't be renamed.
pub fn put_aside(dir: &Path, number: u32) -> io::Result<PathBuf> {
    let kept = dir.join(format!("{number}.err"));
    fs::rename(path_of(dir, number, true), &kept)?;
    Ok(kept)
}

/// Deletes a sealed segment and tells the writer; `false` where it was gone.
///
/// # Errors
/// The file can't be deleted.
pub fn delete_segment(dir: &Path, number: u32) -> io::Result<bool> {
    let path = path_of(dir, number, true);
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    // Without the note the writer counts anew all the same once the queue seems to be full.
    let note = OpenOptions::new().create(true).append(true).open(dir.join(DELETED_NOTE));
    let noted = note.and_then(|mut note| writeln!(note, "{}", path.display()));
    if let Err(error) = noted {
        tracing::debug!(%error, path = %dir.display(), "The writer of the dead letter queue could not be told.");
    }
    Ok(true)
}

/// Deletes the sealed segments before `number`; says how many.
///
/// # Errors
/// The folder can't be read or a file can't be deleted.
pub fn clean_before(dir: &Path, number: u32) -> io::Result<usize> {
    let mut deleted = 0;
    for segment in segments(dir)?.iter().filter(|segment| segment.is_sealed && segment.number < number) {
        deleted += usize::from(delete_segment(dir, segment.number)?);
    }
    Ok(deleted)
}

/// Makes the names in `dir` as durable as the files.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
