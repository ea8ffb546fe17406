//! Watching files: which ones there are, which one is read next, and when one is done with.
//!
//! One thread serves all files of an input. It looks at them every `stat_interval`, also in the middle of a long file,
//! so that a rotation is seen in time: from then on the open handle leads to the old file. A file that no path leads to
//! any more is read until it rests. What the queue has taken is remembered per file and reaches the sincedb once the
//! events are delivered.

use super::Settings;
use super::feed::Stopped;
use super::identity::{FileId, Stat};
use super::pattern::matches_name;
use super::reader::{Reader, Trouble, Visit, files_in, is_archive};
use super::sincedb::Sincedb;
use super::watched_file::{State, WatchedFile};
use ferrostash_plugin::InputError;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Most files that one input watches at a time, a few KiB each.
const FILES_MAX: usize = 1 << 17;
/// A file without a path is let go when nothing was written to it for this many looks.
const LOOKS_AT_REST: u32 = 30;
/// How often a file that can't be opened is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked whether the last events of a finished file are delivered.
const SETTLE_POLL: Duration = Duration::from_millis(5);

/// What a file input does.
pub(super) struct Watcher {
    settings: Arc<Settings>,
    reader: Reader,
    sincedb: Sincedb,
    files: HashMap<FileId, WatchedFile>,
    /// What each path led to when it was last looked at. In `read` mode also those that are done with.
    paths: BTreeMap<PathBuf, Stat>,
    /// There are files above [`FILES_MAX`].
    have_to_wait: bool,
    next_look: Instant,
    next_discovery: Option<Instant>,
}

impl Watcher {
    pub(super) fn new(settings: Arc<Settings>, reader: Reader, sincedb: Sincedb) -> Watcher {
        Watcher {
            settings,
            reader,
            sincedb,
            files: HashMap::new(),
            paths: BTreeMap::new(),
            have_to_wait: false,
            next_look: Instant::now(),
            next_discovery: None,
        }
    }

    /// Watches until the stop, or in `exit_after_read` mode until all is read. `first` says that files found now were
    /// there before the input, so that `start_position` counts.
    pub(super) fn run(mut self, first: bool, settle_time: Duration) -> (Sincedb, Result<(), InputError>) {
        self.discover(first);
        if !self.settings.is_read_mode {
            self.find_rotated();
        }
        let result = self.watch();
        if result.is_ok() {
            self.stop(settle_time);
        }
        self.write_sincedb();
        (self.sincedb, result)
    }

    fn watch(&mut self) -> Result<(), InputError> {
        while !self.reader.feed.is_stopping() {
            if self.next_look <= Instant::now() {
                self.look();
                self.next_look = Instant::now() + self.settings.stat_interval;
            }
            if self.next_discovery.is_some_and(|at| at <= Instant::now()) {
                self.discover(false);
            }
            let Ok((more, wake)) = self.read_files() else { return Ok(()) };
            self.settle()?;
            if self.sincedb.is_due() {
                self.write_sincedb();
            }
            if self.settings.exit_after_read && self.files.is_empty() {
                if !std::mem::take(&mut self.have_to_wait) {
                    return Ok(());
                }
                self.discover(false);
            }
            if !more {
                let ending = self.files.values().any(|file| matches!(file.state, State::Ending { .. }));
                let wake = if ending { wake.min(Instant::now() + SETTLE_POLL) } else { wake };
                self.reader.feed.sleep(wake.saturating_duration_since(Instant::now()));
            }
        }
        Ok(())
    }

    /// Reads what is new and ends what is at rest. Says whether there is more, and when to look again.
    fn read_files(&mut self) -> Result<(bool, Instant), Stopped> {
        let feed = &mut self.reader.feed;
        feed.be_patient_until(self.next_look);
        feed.wait(Some(self.next_look.into()))?;
        if feed.is_waiting() {
            return Ok((true, self.next_look));
        }
        let more = self.read_round()?;
        self.close_resting()?;
        let wake = self.flush_idle()?;
        Ok((more, wake.map_or(self.next_look, |wake| wake.min(self.next_look))))
    }

    // --- what there is

    /// Looks for new files.
    fn discover(&mut self, first: bool) {
        let settings = Arc::clone(&self.settings);
        settings.patterns.iter().for_each(|pattern| pattern.find(&mut |path| self.found(&path, first)));
        // Paths of files that are done with stay only as long as they are there.
        let files = &self.files;
        self.paths.retain(|path, stat| files.contains_key(&stat.id) || path.exists());
        let wait = settings.stat_interval.saturating_mul(settings.discover_interval);
        let again = !settings.exit_after_read && !wait.is_zero();
        self.next_discovery = if again { Instant::now().checked_add(wait) } else { None };
    }

    /// Takes up files that were rotated away while the input did not run, and have something that was not read. Where the
    /// file system does not tell when a file was created, the inode may be another file's by now.
    fn find_rotated(&mut self) {
        let replaced = self.sincedb.replaced(&self.paths);
        let directories: BTreeSet<&Path> = replaced.values().filter_map(|path| path.parent()).collect();
        for (now, stat) in directories.into_iter().flat_map(files_in) {
            let Some(path) = replaced.get(&stat.id.key()).filter(|_| stat.born.is_some()) else { continue };
            let position = self.sincedb.find(&stat, path).filter(|position| *position < stat.size);
            let generation = self.sincedb.generation(stat.id);
            if let Some(position) = position
                && !self.files.contains_key(&stat.id)
                && let Some(file) = self.reader.take_up(path, &now, stat, (position, generation))
            {
                self.files.insert(stat.id, file);
            }
        }
    }

    fn found(&mut self, path: &Path, first: bool) {
        let known = self.paths.get(path);
        if known.is_some_and(|known| self.files.contains_key(&known.id))
            || self.settings.exclude.iter().any(|pattern| matches_name(pattern, path))
        {
            return;
        }
        match Stat::of_path(path) {
            Ok(Some(stat)) if known.is_none_or(|known| !known.is_same_file(&stat)) => {
                self.add(path, stat, first)
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => warn_unreadable(path, &error),
        }
    }

    /// Takes up what a path leads to.
    fn add(&mut self, path: &Path, stat: Stat, first: bool) {
        if self.files.len() >= FILES_MAX {
            tracing::warn!(files = FILES_MAX, limited = true, "too many files, the others have to wait");
            self.have_to_wait = true;
            return;
        }
        self.paths.insert(path.to_owned(), stat);
        if let Some(file) = self.files.get_mut(&stat.id) {
            if file.stat.is_same_file(&stat) {
                return found_again(file, path, stat);
            }
            // Only a file that was deleted while it was closed leaves its inode to another one.
            self.files.remove(&stat.id);
        }
        let Some((position, is_ignored)) = self.begin(path, &stat, first) else { return };
        let generation = self.sincedb.generation(stat.id);
        let mut file = WatchedFile::new(path, stat, (position, generation), self.reader.feed.codec());
        if is_ignored {
            file.read_to_end = Some(stat);
        } else {
            self.sincedb.store(stat.id, (position, generation), path, file.seen);
            if !first && self.reader.open_files() < self.settings.open_files_max {
                // It may be rotated before its turn comes, and then only an open handle leads to it. Where this fails,
                // the visit says so.
                let _ = self.reader.open(&mut file);
            }
        }
        self.files.insert(stat.id, file);
    }

    /// Where to begin with a file, and whether to wait until it changes; `None` where there is nothing to do.
    fn begin(&mut self, path: &Path, stat: &Stat, first: bool) -> Option<(u64, bool)> {
        let age = SystemTime::now().duration_since(stat.modified).unwrap_or_default();
        let is_ignored = self.settings.ignore_older.is_some_and(|older| age > older);
        let known = self.sincedb.find(stat, path);
        if self.settings.is_read_mode {
            let is_done = is_ignored || known.is_some_and(|position| position >= stat.size);
            let position = known.filter(|_| !is_archive(path)).unwrap_or(0);
            return (!is_done).then_some((position, false));
        }
        let position = match known {
            _ if is_ignored => stat.size,
            Some(position) if position > stat.size => {
                // It was truncated meanwhile.
                self.sincedb.next_generation(stat.id);
                0
            }
            Some(position) => position,
            None if first && !self.settings.from_beginning => stat.size,
            None => 0,
        };
        Some((position, is_ignored))
    }

    /// Looks how the files are now, and which ones the paths lead to.
    fn look(&mut self) {
        let now = SystemTime::now();
        let mut paths = std::mem::take(&mut self.paths);
        let mut appeared = Vec::new();
        paths.retain(|path, known| {
            let Some(file) = self.files.get_mut(&known.id) else { return true };
            match Stat::of_path(path) {
                Ok(Some(stat)) if known.is_same_file(&stat) => {
                    (file.stat, file.seen) = (stat, now);
                    *known = stat;
                    true
                }
                Ok(Some(stat)) => {
                    appeared.push((path.clone(), stat));
                    false
                }
                Ok(None) => false,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => {
                    warn_unreadable(path, &error);
                    true
                }
            }
        });
        self.paths = paths;
        for (path, stat) in appeared {
            self.add(&path, stat, false);
        }
        self.look_for_the_gone();
    }

    fn look_for_the_gone(&mut self) {
        let reachable: HashMap<FileId, &PathBuf> =
            self.paths.iter().map(|(path, stat)| (stat.id, path)).collect();
        for file in self.files.values_mut().filter(|file| !matches!(file.state, State::Ending { .. })) {
            let id = file.stat.id;
            match reachable.get(&id) {
                Some(path) if self.paths.get(file.path()).is_none_or(|stat| stat.id != id) => {
                    file.rename(path)
                }
                None if file.state == State::Watched => {
                    tracing::debug!(path = %file.path().display(), "the file was renamed or deleted");
                    file.state = State::Gone(Instant::now());
                }
                _ => {}
            }
            if !matches!(file.state, State::Gone(_)) {
                continue;
            }
            if file.handle.is_none() {
                self.reader.open_sibling(file);
            }
            match file.handle.as_ref().map(|handle| Stat::of_file(&handle.file)) {
                Some(Ok(stat)) => file.stat = stat,
                _ => {
                    if file.read_to_end != Some(file.stat) {
                        tracing::warn!(path = %file.path().display(), position = file.position, size = file.stat.size,
                            "the file was deleted before all of it was read");
                    }
                    file.end(false);
                }
            }
        }
    }

    // --- reading

    /// Reads the files that have something new, in the order that `file_sort_by` says, until the next look is due.
    fn read_round(&mut self) -> Result<bool, Stopped> {
        let mut more = false;
        for id in self.files_with_news() {
            more |= self.read(id)?;
            let feed = &self.reader.feed;
            if feed.is_waiting() || feed.is_stopping() || self.next_look <= Instant::now() {
                return Ok(true);
            }
        }
        Ok(more)
    }

    fn files_with_news(&self) -> Vec<FileId> {
        let now = Instant::now();
        let mut files: Vec<_> = self.files.values().filter(|file| file.has_news(now)).collect();
        if self.settings.sort_by_path {
            files.sort_by(|a, b| a.path().cmp(b.path()));
        } else {
            files.sort_by_key(|file| (file.stat.modified, file.path()));
        }
        if self.settings.sort_descending {
            files.reverse();
        }
        files.into_iter().map(|file| file.stat.id).collect()
    }

    /// Reads a file; whether there is more of it.
    fn read(&mut self, id: FileId) -> Result<bool, Stopped> {
        let is_open = self.files.get(&id).is_some_and(|file| file.handle.is_some());
        if !is_open && !self.make_room()? {
            return Ok(false);
        }
        let Some(file) = self.files.get_mut(&id) else { return Ok(false) };
        let is_read_mode = self.settings.is_read_mode;
        let result = if is_read_mode && is_archive(file.path()) {
            self.reader.read_archive(file, self.settings.check_archives).map(|()| Visit::AtEnd)
        } else {
            match self.reader.visit(file, self.next_look) {
                Ok(Visit::AtEnd) if is_read_mode => self.reader.finish(file).map(|()| Visit::AtEnd),
                result => result,
            }
        };
        file.retry_at = None;
        match result {
            Ok(Visit::More) => return Ok(true),
            Ok(Visit::AtEnd) if is_read_mode => file.end(true),
            Ok(Visit::AtEnd) => {}
            Err(Trouble::Stopped) => {
                // What was read and not pushed is lost to this run: nothing behind it may be confirmed.
                file.end(false);
                self.reader.feed.discard();
                return Err(Stopped);
            }
            Err(Trouble::Replaced) => file.retry_at = Some(self.next_look),
            Err(Trouble::Corrupt(error)) => {
                tracing::warn!(path = %file.path().display(), %error,
                    "the archive is damaged; it is neither completed nor read again while this input runs");
                file.end(false);
            }
            Err(Trouble::Unreadable(error)) => {
                // A file that is gone is found to be gone by the next look.
                if error.kind() != io::ErrorKind::NotFound {
                    warn_unreadable(file.path(), &error);
                }
                file.handle = None;
                file.retry_at = Some(Instant::now() + RETRY_AFTER);
                if self.settings.exit_after_read {
                    file.end(false);
                }
            }
        }
        Ok(false)
    }

    /// Makes sure that one more file may be open, by closing the one that rests longest; whether that was possible.
    fn make_room(&mut self) -> Result<bool, Stopped> {
        if self.reader.open_files() < self.settings.open_files_max {
            return Ok(true);
        }
        let resting = self.files.values_mut().filter(|file| {
            file.handle.is_some() && file.retry_at.is_none() && file.read_to_end == Some(file.stat)
        });
        // A file without a path can't be opened again: those come last.
        let Some(file) = resting.min_by_key(|file| (file.state != State::Watched, file.last_read)) else {
            tracing::warn!(
                max_open_files = self.settings.open_files_max,
                limited = true,
                "reached open files limit, files wait to be opened"
            );
            return Ok(false);
        };
        if file.state != State::Watched {
            self.reader.let_go(file)?;
        }
        file.handle = None;
        Ok(true)
    }

    /// Closes files that nothing was written to for `close_older`, and ends those that nobody will write to any more.
    fn close_resting(&mut self) -> Result<(), Stopped> {
        let (settings, reader) = (&self.settings, &mut self.reader);
        let now = Instant::now();
        for file in self.files.values_mut().filter(|file| file.read_to_end == Some(file.stat)) {
            let rest = now.saturating_duration_since(file.last_read);
            match file.state {
                State::Watched if file.handle.is_some() && rest >= settings.close_older => {
                    file.flush(&mut reader.feed)?;
                    file.handle = None;
                }
                State::Gone(since)
                    if rest.min(now.saturating_duration_since(since))
                        >= settings.stat_interval * LOOKS_AT_REST =>
                {
                    reader.let_go(file)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Flushes the codecs that wait too long for more; says when the next one will.
    fn flush_idle(&mut self) -> Result<Option<Instant>, Stopped> {
        let mut next: Option<Instant> = None;
        for file in self.files.values_mut() {
            let Some(idle) = file.codec.idle_flush() else { continue };
            if file.codec.pending_bytes() == 0 || matches!(file.state, State::Ending { .. }) {
                continue;
            }
            let due = file.last_read + idle;
            if due <= Instant::now() {
                file.flush(&mut self.reader.feed)?;
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        Ok(next)
    }

    // --- what is done

    /// Takes in which events are delivered; completes files of which all are.
    fn settle(&mut self) -> Result<(), InputError> {
        let (mut ended, mut given_up) = (HashSet::new(), None);
        for (id, file) in &mut self.files {
            if let Some(position) = file.take_settled() {
                self.sincedb.store(*id, (position, file.generation), file.path(), file.seen);
            }
            if file.acks.is_abandoned() {
                given_up = Some(file.path().display().to_string());
            }
            // What was given up is read again.
            let is_settled = file.acks.in_flight() == 0 && !file.acks.is_abandoned();
            if matches!(file.state, State::Ending { .. }) && is_settled {
                ended.insert(*id);
            }
        }
        if !ended.is_empty() && !self.settings.is_read_mode {
            // They may come back under the same path.
            self.paths.retain(|_, stat| !ended.contains(&stat.id));
        }
        for file in ended.into_iter().filter_map(|id| self.files.remove(&id)).collect::<Vec<_>>() {
            if matches!(file.state, State::Ending { completed: true }) {
                self.complete(&file);
            }
        }
        match given_up {
            Some(path) if !self.reader.feed.is_stopping() => {
                let message = "events were given up; reading again from the last position that is safe";
                Err(InputError(format!("{path}: {message}")))
            }
            _ => Ok(()),
        }
    }

    /// Does what `file_completed_action` says.
    fn complete(&mut self, file: &WatchedFile) {
        let path = file.path();
        let now = Stat::of_path(path).ok().flatten().filter(|now| file.stat.is_same_file(now));
        if let Some(now) = now.filter(|now| now.size > file.position && !is_archive(path)) {
            // It has grown since its end was seen.
            return self.add(path, now, false);
        }
        if let Some(log) = &self.settings.completed_log
            && let Err(error) = append_line(log, path)
        {
            tracing::warn!(path = %path.display(), log = %log.display(), %error, "can't log the completed file");
        }
        if self.settings.delete_completed && now.is_some() {
            match std::fs::remove_file(path) {
                Ok(()) => {
                    self.paths.remove(path);
                    // The next file may get the same inode.
                    self.sincedb.forget(file.stat.id);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "can't delete the completed file");
                }
            }
        }
    }

    /// Gives out what codecs hold and waits until everything is delivered, at most for `settle_time`.
    fn stop(&mut self, settle_time: Duration) {
        let deadline = Instant::now() + settle_time;
        self.reader.feed.discard();
        self.reader.feed.finish_until(deadline.into());
        for file in self.files.values_mut() {
            let is_whole = !matches!(file.state, State::Ending { .. });
            if is_whole && file.codec.pending_bytes() > 0 && file.flush(&mut self.reader.feed).is_err() {
                break;
            }
        }
        loop {
            // Stopping, it reports nothing as an error.
            let _ = self.settle();
            let waits = |file: &WatchedFile| file.acks.in_flight() > 0 && !file.acks.is_abandoned();
            if Instant::now() >= deadline || !self.files.values().any(waits) {
                return;
            }
            std::thread::sleep(SETTLE_POLL);
        }
    }

    fn write_sincedb(&mut self) {
        for (id, file) in &self.files {
            self.sincedb.see(*id, file.seen);
        }
        self.sincedb.write();
    }
}

/// A path leads to a file that is watched already: it was renamed, or has several names.
fn found_again(file: &mut WatchedFile, path: &Path, stat: Stat) {
    (file.stat, file.seen) = (stat, SystemTime::now());
    let old = Stat::of_path(file.path()).ok().flatten();
    if old.is_none_or(|old| !old.is_same_file(&stat)) {
        file.rename(path);
    }
    if matches!(file.state, State::Gone(_)) {
        file.state = State::Watched;
    }
}

fn append_line(log: &Path, path: &Path) -> io::Result<()> {
    let mut line = path.as_os_str().as_encoded_bytes().to_vec();
    line.push(b'\n');
    OpenOptions::new().append(true).create(true).open(log)?.write_all(&line)
}

fn warn_unreadable(path: &Path, error: &io::Error) {
    tracing::warn!(path = %path.display(), %error, limited = true, "can't read the file");
}
