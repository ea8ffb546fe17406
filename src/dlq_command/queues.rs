//! The queues that there are, and what is in them.

use super::select::Selection;
use crate::generation::folder_of;
use crate::settings::{Inputs, Settings};
use ferrostash_event::json::write_value;
use ferrostash_event::{Timestamp, ValueRef};
use ferrostash_queue::dead_letter_queue::{
    DeadLetter, Next, Position, QueueLock, Reader, Segment, delete_segment, segments,
};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of each pipeline's queue.
pub(crate) struct Queues {
    default: PathBuf,
    /// Those that pipelines.yml puts elsewhere.
    own: BTreeMap<String, PathBuf>,
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}

/// Why a command ended early.
pub(crate) enum Stop {
    /// Whoever reads has seen enough (`| head -1`), which is no failure.
    Enough,
    Failed(String),
}

impl From<String> for Stop {
    fn from(error: String) -> Stop {
        Stop::Failed(error)
    }
}

pub(crate) fn closed(error: std::io::Error) -> Stop {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Stop::Enough,
        _ => Stop::Failed(format!("standard output can't be written: {error}")),
    }
}

impl Queues {
    pub(crate) fn new(settings: &Settings, inputs: &Inputs) -> Queues {
        // Without pipelines.yml there is but the one folder.
        let listed = settings.pipelines(inputs).map(|listed| listed.value).unwrap_or_default();
        let own = listed.into_iter().map(|pipeline| (pipeline.id, pipeline.dead_letter_queue.path));
        Queues { default: settings.pipeline.dead_letter_queue.path.clone(), own: own.collect() }
    }

    /// The folder of a queue.
    pub(crate) fn dir(&self, pipeline: &str) -> PathBuf {
        folder_of(self.own.get(pipeline).unwrap_or(&self.default), pipeline)
    }

    /// The folder of a queue that must be there.
    pub(crate) fn existing(&self, pipeline: &str) -> Result<PathBuf, String> {
        let dir = self.dir(pipeline);
        match dir.is_dir() {
            true => Ok(dir),
            false => Err(format!("there is no dead letter queue {}", dir.display())),
        }
    }

    fn all(&self) -> Result<BTreeMap<String, PathBuf>, String> {
        let mut found: BTreeMap<_, _> =
            self.own.keys().map(|id| (id.clone(), self.dir(id))).filter(|(_, dir)| dir.is_dir()).collect();
        let entries = match std::fs::read_dir(&self.default) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(at(&self.default)(error)),
        };
        for entry in entries {
            let path = entry.map_err(at(&self.default))?.path();
            if let Some(id) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_dir()) {
                found.entry(id.to_owned()).or_insert(path);
            }
        }
        Ok(found)
    }

    /// A line for each segment.
    pub(crate) fn list(&self, pipeline: Option<&str>, out: &mut impl Write) -> Result<(), Stop> {
        let queues = match pipeline {
            None => self.all()?,
            Some(id) => BTreeMap::from([(id.to_owned(), self.existing(id)?)]),
        };
        writeln!(out, "pipeline\tsegment\tstate\tentries\tdamaged\tbytes\toldest\tnewest").map_err(closed)?;
        for (id, dir) in queues {
            for segment in segments(&dir).map_err(at(&dir))? {
                let state = if segment.is_sealed { "sealed" } else { "open" };
                let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), |time| time.to_string());
                let (number, bytes) = (segment.number, segment.bytes);
                match segment.summary() {
                    Ok(summary) => writeln!(
                        out,
                        "{id}\t{number}\t{state}\t{}\t{}\t{bytes}\t{}\t{}",
                        summary.entries,
                        summary.damaged,
                        time(summary.oldest),
                        time(summary.newest)
                    ),
                    Err(error) => writeln!(out, "{id}\t{number}\tunreadable: {error}\t-\t-\t{bytes}\t-\t-"),
                }
                .map_err(closed)?;
            }
        }
        Ok(())
    }

    /// A line of JSON for each entry that is meant.
    pub(crate) fn show(
        &self,
        pipeline: &str,
        selection: Selection,
        limit: Option<usize>,
        out: &mut impl Write,
    ) -> Result<(), Stop> {
        let dir = self.existing(pipeline)?;
        let mut reader = Reader::new(&dir, Position::default());
        let mut left = limit.unwrap_or(usize::MAX);
        while left > 0 {
            match reader.read().map_err(at(&dir))? {
                Next::Entry { letter, at } if selection.has(&letter) => {
                    out.write_all(&line(&letter, at)).map_err(closed)?;
                    left -= 1;
                }
                Next::Entry { .. } => {}
                Next::Damaged(damage) => {
                    let (file, offset, reason) = (damage.file.display(), damage.offset, damage.reason);
                    let _ = writeln!(std::io::stderr(), "WARN: {file}, byte {offset}: {reason}");
                }
                Next::Idle => break,
            }
        }
        Ok(())
    }

    /// Deletes sealed segments.
    pub(crate) fn purge(
        &self,
        pipeline: &str,
        older_than: Option<Duration>,
        out: &mut impl Write,
    ) -> Result<(), Stop> {
        let dir = self.existing(pipeline)?;
        let _lock = QueueLock::cleaner(&dir).map_err(|error| error.to_string())?;
        let limit =
            older_than.map(|age| Timestamp::from_nanos(Timestamp::now().to_nanos() - age.as_nanos() as i128));
        let is_old = |segment: &Segment| match limit {
            None => true,
            // Of what has no time that can be read it is not known how old it is.
            Some(limit) => {
                segment.summary().is_ok_and(|summary| summary.newest.is_some_and(|newest| newest < limit))
            }
        };
        let (mut deleted, mut entries, mut bytes) = (0, 0, 0);
        for segment in segments(&dir).map_err(at(&dir))?.iter().filter(|s| s.is_sealed && is_old(s)) {
            entries += segment.summary().map_or(0, |summary| summary.entries);
            bytes += segment.bytes;
            deleted += usize::from(delete_segment(&dir, segment.number).map_err(at(&segment.path))?);
        }
        writeln!(out, "{deleted} segments with {entries} entries ({bytes} bytes) were deleted")
            .map_err(closed)
    }
}

/// An entry as JSON.
fn line(letter: &DeadLetter, at: Position) -> Vec<u8> {
    let mut out = b"{".to_vec();
    let texts = [
        ("entry_time", &letter.entry_time.to_string()),
        ("plugin_type", &letter.plugin_type),
        ("plugin_id", &letter.plugin_id),
        ("reason", &letter.reason),
    ];
    for (name, text) in texts {
        out.extend_from_slice(format!("\"{name}\":").as_bytes());
        write_value(ValueRef::Str(text), &mut out);
        out.push(b',');
    }
    out.extend_from_slice(
        format!("\"segment\":{},\"offset\":{},\"event\":", at.segment, at.offset).as_bytes(),
    );
    letter.event.write_json(&mut out);
    out.extend_from_slice(b",\"metadata\":");
    write_value(ValueRef::Object(letter.event.metadata()), &mut out);
    out.extend_from_slice(b"}\n");
    out
}
