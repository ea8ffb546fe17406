//! Which file a path leads to, whatever its name.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// A file of this machine: inode and device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct FileId {
    inode: u64,
    device: u64,
}

/// A file as a sincedb names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) inode: u64,
    pub(super) major: u64,
    pub(super) minor: u64,
}

impl FileId {
    /// Inode and device.
    pub(super) fn numbers(self) -> [u64; 2] {
        [self.inode, self.device]
    }

    /// Logstash's key. Its runtime takes the device number apart in a way of its own.
    pub(super) fn key(self) -> Key {
        Key { inode: self.inode, major: (self.device >> 24) & 0xff, minor: self.device & 0xff_ffff }
    }

    /// The key with the numbers that `stat` prints on Linux, as other tools write it.
    pub(super) fn linux_key(self) -> Key {
        let major = ((self.device >> 32) & 0xffff_f000) | ((self.device >> 8) & 0xfff);
        let minor = ((self.device >> 12) & 0xffff_ff00) | (self.device & 0xff);
        Key { inode: self.inode, major, minor }
    }
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stat {
    pub(super) id: FileId,
    /// Its length in bytes.
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    /// When it was created, where the file system knows: this tells a new file with an old inode from the old file.
    pub(super) born: Option<SystemTime>,
}

impl Stat {
    /// What `path` leads to, through symbolic links; `None` where that is no regular file.
    pub(super) fn of_path(path: &Path) -> io::Result<Option<Stat>> {
        let metadata = std::fs::metadata(path)?;
        if metadata.is_file() { Stat::of(&metadata).map(Some) } else { Ok(None) }
    }

    pub(super) fn of_file(file: &File) -> io::Result<Stat> {
        Stat::of(&file.metadata()?)
    }

    fn of(metadata: &Metadata) -> io::Result<Stat> {
        let id = FileId { inode: metadata.ino(), device: metadata.dev() };
        let modified = metadata.modified()?;
        Ok(Stat { id, size: metadata.len(), modified, born: metadata.created().ok() })
    }

    /// Whether `later` is the same file: an inode is given to another file once its own is deleted.
    pub(super) fn is_same_file(&self, later: &Stat) -> bool {
        let reborn = matches!((self.born, later.born), (Some(before), Some(now)) if before != now);
        self.id == later.id && !reborn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_logstash_writes_them() {
        let id = FileId { inode: 53094, device: 0xfd00 };
        assert_eq!(id.key(), Key { inode: 53094, major: 0, minor: 64768 });
        assert_eq!(id.linux_key(), Key { inode: 53094, major: 253, minor: 0 });
    }

    #[test]
    fn links_lead_to_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(Stat::of_path(&file).unwrap(), Stat::of_path(&link).unwrap());
        assert_eq!(Stat::of_path(dir.path()).unwrap(), None);
    }
}
