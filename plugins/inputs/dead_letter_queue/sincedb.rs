//! How far a dead letter queue was read, in the form in which Logstash's plugin keeps it: `'1'` as two bytes, the length and
//! the text of the segment's path, the offset; zeros behind.

use ferrostash_queue::dead_letter_queue::{Position, segment_path};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const VERSION: [u8; 2] = [0, b'1'];
/// What Logstash leaves behind path and offset.
const ROOM: usize = 64 + 1 - 2 - 4 - 8;
/// A larger file is no sincedb.
const BYTES_MAX: u64 = 64 << 10;

/// How far a queue was read.
pub(super) struct Sincedb {
    path: PathBuf,
    dir: PathBuf,
    position: Position,
    is_written: bool,
    written_at: Instant,
    /// A device such as `/dev/null` keeps nothing.
    is_file: bool,
}

impl Sincedb {
    /// Reads the file at `path`, if there is one, for the queue in `dir`.
    pub(super) fn open(path: &Path, dir: &Path) -> io::Result<Sincedb> {
        let mut sincedb = Sincedb {
            path: path.to_owned(),
            dir: dir.to_owned(),
            position: Position::default(),
            is_written: true,
            written_at: Instant::now(),
            is_file: fs::metadata(path).map_or(true, |metadata| metadata.is_file()),
        };
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(BYTES_MAX).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(sincedb),
            Err(error) => return Err(error),
        };
        if !bytes.is_empty() {
            let invalid =
                || io::Error::new(io::ErrorKind::InvalidData, "it is not the sincedb of a dead letter queue");
            sincedb.position = parse(&bytes).ok_or_else(invalid)?;
        }
        Ok(sincedb)
    }

    /// Behind what was read.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn set(&mut self, position: Position) {
        self.is_written &= self.position == position;
        self.position = position;
    }

    /// How long ago it was written.
    pub(super) fn written_since(&self) -> Duration {
        self.written_at.elapsed()
    }

    /// Writes the position to the disk. What can't be written is tried again the next time.
    pub(super) fn write(&mut self) {
        if self.is_written || !self.is_file {
            return;
        }
        self.written_at = Instant::now();
        match self.replace() {
            Ok(()) => self.is_written = true,
            Err(error) => {
                tracing::warn!(sincedb_path = %self.path.display(), %error, limited = true, "can't write the sincedb");
            }
        }
    }

    fn replace(&self) -> io::Result<()> {
        let segment =
            std::path::absolute(segment_path(&self.dir, self.position.segment))?.into_os_string().into_vec();
        let mut bytes = VERSION.to_vec();
        bytes.extend((segment.len() as u32).to_be_bytes());
        bytes.extend(&segment);
        bytes.extend(self.position.offset.to_be_bytes());
        bytes.resize(bytes.len() + ROOM, 0);
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let new = self.path.with_file_name(name);
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(new, &self.path)
    }
}

fn parse(bytes: &[u8]) -> Option<Position> {
    let rest = bytes.strip_prefix(&VERSION)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (path, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let (offset, _) = rest.split_first_chunk::<8>()?;
    let name = Path::new(std::ffi::OsStr::from_bytes(path)).file_name()?.to_str()?;
    let segment = name.split('.').next()?.parse().ok()?;
    Some(Position { segment, offset: u64::from_be_bytes(*offset) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_logstash_writes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("since");
        let queue = Path::new("/q/main");
        let mut sincedb = Sincedb::open(&path, queue).unwrap();
        assert_eq!(sincedb.position(), Position::default());
        sincedb.set(Position { segment: 12, offset: 23226 });
        sincedb.write();
        let bytes = fs::read(&path).unwrap();
        let text = b"\x00\x31\x00\x00\x00\x0e/q/main/12.log\x00\x00\x00\x00\x00\x00\x5a\xba";
        assert!(bytes.starts_with(text), "{bytes:?}");
        assert_eq!(bytes.len(), 14 + 1 + 64);
        assert_eq!(Sincedb::open(&path, queue).unwrap().position(), Position { segment: 12, offset: 23226 });
        for rubbish in [&b"rubbish"[..], &text[..20], b"\x002"] {
            fs::write(&path, rubbish).unwrap();
            assert!(Sincedb::open(&path, queue).is_err(), "{rubbish:?}");
        }
        let mut nothing = Sincedb::open(Path::new("/dev/null"), queue).unwrap();
        nothing.set(Position { segment: 1, offset: 1 });
        nothing.write();
        assert_eq!(nothing.position().segment, 1);
    }
}
