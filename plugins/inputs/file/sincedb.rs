//! The sincedb: how far each file was read, kept over restarts in Logstash's own format.
//!
//! A line is `inode major minor position timestamp path`; those of old versions end after the position. The file is
//! replaced by a rename, so a crash leaves the old or the new one. Only positions whose events are safe come here.
//!
//! How often the content of a file was replaced (copied away and truncated) is kept beside it, in `NAME.generations`, lines of
//! `inode major minor generation`: only then the same position is not the same event. There is no such file as long as
//! no file was truncated.
//!
//! Inodes are used again once a file is deleted. A record therefore counts only if its file existed already when the
//! record was last confirmed; where the file system does not tell when a file was created, its path has to be the same.

use super::identity::{FileId, Key, Stat};
use ferrostash_queue::crash::crash_point;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most records that are read; a larger file is not a sincedb.
const RECORDS_MAX: usize = 1 << 20;
/// Longest line that can be a record, in bytes.
const RECORD_BYTES_MAX: u64 = 8 << 10;
/// How long records of files that don't change may go without being confirmed on disk.
const CONFIRM_AFTER: Duration = Duration::from_secs(3600);

/// How far files were read.
#[derive(Debug)]
pub(super) struct Sincedb {
    /// `None` keeps nothing (`/dev/null`).
    path: Option<PathBuf>,
    write_interval: Duration,
    clean_after: Duration,
    records: HashMap<Key, Record>,
    changed: bool,
    written: Instant,
}

#[derive(Debug, PartialEq)]
struct Record {
    position: u64,
    /// How often the content was replaced.
    generation: u64,
    /// When the file was last known to be there, in seconds since 1970.
    seen: f64,
    path: Option<PathBuf>,
}

impl Sincedb {
    /// Reads the sincedb at `path`, and makes sure that it can be written.
    pub(super) fn open(path: &Path, write_interval: Duration, clean_after: Duration) -> io::Result<Sincedb> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let kind = file.metadata()?.file_type();
        let is_device = kind.is_char_device() || kind.is_block_device();
        let mut sincedb = Sincedb {
            path: (!is_device).then(|| path.to_owned()),
            write_interval,
            clean_after,
            records: HashMap::new(),
            changed: false,
            written: Instant::now(),
        };
        if !is_device {
            sincedb.read(file)?;
            sincedb.read_generations(path);
        }
        Ok(sincedb)
    }

    fn read(&mut self, file: File) -> io::Result<()> {
        let now = seconds(SystemTime::now());
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        while self.records.len() < RECORDS_MAX {
            line.clear();
            if io::Read::take(&mut file, RECORD_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            match parse(line.trim_ascii_end(), now) {
                Some((key, record)) if !self.is_expired(&record, now) => {
                    self.records.insert(key, record);
                }
                Some(_) => {}
                None if line.trim_ascii().is_empty() => {}
                None => tracing::warn!(
                    sincedb_path = %self.path.as_deref().unwrap_or(Path::new("")).display(),
                    record = %String::from_utf8_lossy(&line).trim_end(),
                    limited = true,
                    "a line of the sincedb can't be read and is left out"
                ),
            }
        }
        Ok(())
    }

    /// What can't be read is left out: then ids that were given before are given again only for the same content.
    fn read_generations(&mut self, path: &Path) {
        let Ok(text) = std::fs::read_to_string(generations_path(path)) else { return };
        for line in text.lines().take(RECORDS_MAX) {
            let mut numbers = line.split(' ').map_while(|number| number.parse::<u64>().ok());
            let mut next = || numbers.next();
            if let (Some(inode), Some(major), Some(minor), Some(generation)) =
                (next(), next(), next(), next())
                && let Some(record) = self.records.get_mut(&Key { inode, major, minor })
            {
                record.generation = generation;
            }
        }
    }

    /// How often the content of the file was replaced.
    pub(super) fn generation(&self, id: FileId) -> u64 {
        self.records.get(&id.key()).map_or(0, |record| record.generation)
    }

    /// The content of the file was replaced while nobody looked.
    pub(super) fn next_generation(&mut self, id: FileId) {
        if let Some(record) = self.records.get_mut(&id.key()) {
            record.generation += 1;
        }
    }

    fn is_expired(&self, record: &Record, now: f64) -> bool {
        record.seen + self.clean_after.as_secs_f64() < now
    }

    /// The position up to which the file at `path` was read before.
    pub(super) fn find(&mut self, stat: &Stat, path: &Path) -> Option<u64> {
        let key = stat.id.key();
        if let Some(record) = self.records.remove(&stat.id.linux_key()) {
            self.records.entry(key).or_insert(record);
        }
        let record = self.records.get(&key)?;
        let is_same = match stat.born {
            Some(born) => seconds(born) <= record.seen,
            None => record.path.as_deref().is_none_or(|known| known == path),
        };
        if is_same {
            return Some(record.position);
        }
        tracing::debug!(path = %path.display(), "the inode belonged to another file before");
        self.records.remove(&key);
        None
    }

    /// Files that were read under one of these paths, where another file is now.
    pub(super) fn replaced(&self, paths: &BTreeMap<PathBuf, Stat>) -> HashMap<Key, PathBuf> {
        let replaced = self.records.iter().filter_map(|(key, record)| {
            let path = record.path.as_ref()?;
            (paths.get(path)?.id.key() != *key).then(|| (*key, path.clone()))
        });
        replaced.collect()
    }

    /// Keeps the position and the generation of a file that was last there at `seen`.
    pub(super) fn store(
        &mut self,
        id: FileId,
        (position, generation): (u64, u64),
        path: &Path,
        seen: SystemTime,
    ) {
        let record = Record { position, generation, seen: seconds(seen), path: Some(path.to_owned()) };
        let old = self.records.insert(id.key(), record);
        self.changed |= old.is_none_or(|old| old.position != position || old.path.as_deref() != Some(path));
    }

    /// The file was deleted.
    pub(super) fn forget(&mut self, id: FileId) {
        self.changed |= self.records.remove(&id.key()).is_some();
    }

    /// Confirms that a file was still there at `seen`.
    pub(super) fn see(&mut self, id: FileId, seen: SystemTime) {
        if let Some(record) = self.records.get_mut(&id.key()) {
            record.seen = seconds(seen);
        }
    }

    /// Whether the time has come to write.
    pub(super) fn is_due(&self) -> bool {
        let since = self.written.elapsed();
        (self.changed && since >= self.write_interval) || since >= CONFIRM_AFTER
    }

    /// Writes what there is to disk.
    pub(super) fn write(&mut self) {
        let now = seconds(SystemTime::now());
        let clean_after = self.clean_after.as_secs_f64();
        self.records.retain(|_, record| record.seen + clean_after >= now);
        self.written = Instant::now();
        let Some(path) = self.path.clone() else { return };
        let (text, generations) = (self.serialize(), self.serialize_generations());
        // First, since a position of new content must not be taken for one of the old.
        let beside = generations_path(&path);
        if (!generations.is_empty() || beside.exists())
            && let Err(error) = replace(&beside, &generations).or_else(|_| overwrite(&beside, &generations))
        {
            tracing::warn!(path = %beside.display(), %error, limited = true, "can't write beside the sincedb");
        }
        // A file that is mounted by itself can't be replaced, only written.
        match replace(&path, &text).or_else(|_| overwrite(&path, &text)) {
            Ok(()) => self.changed = false,
            Err(error) => {
                tracing::warn!(sincedb_path = %path.display(), %error, limited = true, "can't write the sincedb");
            }
        }
    }

    fn serialize_generations(&self) -> Vec<u8> {
        let replaced = self.records.iter().filter(|(_, record)| record.generation > 0);
        let lines = replaced.map(|(Key { inode, major, minor }, Record { generation, .. })| {
            format!("{inode} {major} {minor} {generation}\n")
        });
        lines.collect::<String>().into_bytes()
    }

    fn serialize(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.records.len() * 64);
        for (key, record) in &self.records {
            let Key { inode, major, minor } = key;
            let Record { position, seen, path, .. } = record;
            let path = path.as_deref().map_or(&b""[..], |path| path.as_os_str().as_bytes());
            // A name with a line end in it would make two records of one; the inode alone has to do.
            let path = if path.contains(&b'\n') { b"" } else { path };
            text.extend_from_slice(format!("{inode} {major} {minor} {position} {seen:.6} ").as_bytes());
            text.extend_from_slice(path);
            text.push(b'\n');
        }
        text
    }
}

fn generations_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".generations");
    name.into()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn parse(line: &[u8], now: f64) -> Option<(Key, Record)> {
    let mut parts = line.splitn(6, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
    let key = Key { inode: number()?, major: number()?, minor: number()? };
    let position = number()?;
    let seen = match parts.next() {
        None => now,
        Some(text) => std::str::from_utf8(text).ok()?.parse().ok().filter(|seen: &f64| seen.is_finite())?,
    };
    let path =
        parts.next().filter(|path| !path.is_empty()).map(|path| PathBuf::from(OsStr::from_bytes(path)));
    Some((key, Record { position, generation: 0, seen, path }))
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let new = path.with_file_name(name);
    let result = write_new(path, &new, text);
    if result.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    result
}

fn write_new(path: &Path, new: &Path, text: &[u8]) -> io::Result<()> {
    crash_point("sincedb.write.before");
    let mut file = File::create(new)?;
    if let Ok(old) = std::fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text)?;
    crash_point("sincedb.write.after");
    file.sync_all()?;
    std::fs::rename(new, path)?;
    crash_point("sincedb.rename.after");
    Ok(())
}

fn overwrite(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn open(path: &Path) -> Sincedb {
        Sincedb::open(path, Duration::ZERO, 14 * DAY).unwrap()
    }

    #[test]
    fn positions_survive() {
        let dir = tempfile::tempdir().unwrap();
        let (db, log) = (dir.path().join("deep/er/.sincedb"), dir.path().join("a b.log"));
        std::fs::write(&log, "x").unwrap();
        let stat = Stat::of_path(&log).unwrap().unwrap();
        let mut sincedb = open(&db);
        assert_eq!(sincedb.find(&stat, &log), None);
        sincedb.store(stat.id, (77, 0), &log, SystemTime::now());
        assert!(sincedb.is_due());
        sincedb.write();
        assert!(!sincedb.is_due());
        let text = std::fs::read_to_string(&db).unwrap();
        let Key { inode, major, minor } = stat.id.key();
        assert!(text.starts_with(&format!("{inode} {major} {minor} 77 ")), "{text}");
        assert!(text.ends_with(&format!(" {}\n", log.display())), "{text}");
        assert_eq!(open(&db).find(&stat, &log), Some(77));
        let files: Vec<_> = std::fs::read_dir(db.parent().unwrap()).unwrap().collect();
        assert_eq!(files.len(), 1, "no temporary file stays");
    }

    #[test]
    fn records_of_logstash_and_of_old_versions_count() {
        let dir = tempfile::tempdir().unwrap();
        let (db, log) = (dir.path().join("db"), dir.path().join("log"));
        std::fs::write(&log, "x").unwrap();
        let mut stat = Stat::of_path(&log).unwrap().unwrap();
        let now = seconds(SystemTime::now()) + 1.0;
        let (key, linux) = (stat.id.key(), stat.id.linux_key());
        for (text, position) in [
            (format!("{} {} {} 5 {now} {}\n", key.inode, key.major, key.minor, log.display()), Some(5)),
            (format!("{} {} {} 6\n", linux.inode, linux.major, linux.minor), Some(6)),
            (format!("rubbish\n\n{} {} {} 7 {now}", key.inode, key.major, key.minor), Some(7)),
            (format!("{} {} {} 8 {} x\n", key.inode, key.major, key.minor, now - 15.0 * 86_400.0), None),
        ] {
            std::fs::write(&db, &text).unwrap();
            assert_eq!(open(&db).find(&stat, &log), position, "{text}");
        }
        // The file is younger than its record: the inode is used again.
        std::fs::write(
            &db,
            format!("{} {} {} 5 {} {}\n", key.inode, key.major, key.minor, now - 60.0, log.display()),
        )
        .unwrap();
        stat.born = Some(SystemTime::now());
        assert_eq!(open(&db).find(&stat, &log), None);
        stat.born = None;
        assert_eq!(open(&db).find(&stat, &log), Some(5));
        assert_eq!(open(&db).find(&stat, Path::new("/other")), None);
    }

    #[test]
    fn dev_null_keeps_nothing() {
        let mut sincedb = open(Path::new("/dev/null"));
        assert_eq!(sincedb.path, None);
        let stat = Stat::of_path(Path::new("/proc/self/exe")).unwrap().unwrap();
        sincedb.store(stat.id, (1, 0), Path::new("/x"), SystemTime::now());
        sincedb.write();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
}
