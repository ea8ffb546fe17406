//! The `dead_letter_queue` input.

mod sincedb;

use ferrostash_conf::{Options, Spanned};
use ferrostash_event::Timestamp;
use ferrostash_plugin::{
    BuildContext, BuildResult, Input, InputContext, InputError, InputPlugin, PluginDef, StartError, input,
};
use ferrostash_queue::dead_letter_queue::{
    Damage, Feed, Position, Progress, QueueLock, Reader, delete_segment, put_aside, segments, since,
};
use futures::future::BoxFuture;
use md5::{Digest, Md5};
use sincedb::Sincedb;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Reads the dead letter queue of a pipeline, its own or another one's, also one that Logstash wrote.
///
/// What an event was there for is in `[@metadata][dead_letter_queue]`: `plugin_type`, `plugin_id`, `reason` and `entry_time`; where
/// it was there more than once, the earlier times are in the list `history`. The queue is followed while it is written. What can't
/// be read is passed over, counted (`damaged_entries`) and logged with file and byte.
///
/// ```conf
/// input { dead_letter_queue { path => "/tmp" pipeline_id => "main" } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(input = "dead_letter_queue")]
pub(crate) struct DeadLetterQueueOptions {
    /// Whether segments are deleted once all their events are safe elsewhere. One with damaged places is put aside as `N.err`.
    #[option(default = false)]
    clean_consumed: bool,
    /// The folder of the dead letter queues, `path.dead_letter_queue` of the one who writes.
    #[option(required)]
    path: Spanned<PathBuf>,
    /// Whose queue to read.
    #[option(default = "main")]
    pipeline_id: String,
    /// The file that says how far the queue was read; in `path.data` when absent.
    sincedb_path: Option<Spanned<String>>,
    /// Whether it is kept how far the queue was read. Only events that are safe elsewhere count as read.
    #[option(default = true)]
    commit_offsets: bool,
    /// Where to begin, such as `2017-04-04T23:40:37`; this takes the place of what the sincedb says.
    start_timestamp: Option<Spanned<String>>,
}

pub(crate) static PLUGIN: PluginDef = input::<DeadLetterQueue>();

/// How often the sincedb is written, at most.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

struct DeadLetterQueue {
    dir: PathBuf,
    sincedb_path: PathBuf,
    commits: bool,
    cleans: bool,
    start: Option<Timestamp>,
    /// Made when the input first runs, and kept if it has to run again.
    feed: Option<(Feed, Consumer)>,
}

impl InputPlugin for DeadLetterQueue {
    type Options = DeadLetterQueueOptions;

    fn build(options: DeadLetterQueueOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        let start = match &options.start_timestamp {
            None => None,
            Some(text) => match Timestamp::parse(&text.value) {
                Some(start) => Some(start),
                None => {
                    let message = format!("`start_timestamp` is no ISO 8601 time: `{}`", text.value);
                    return Err(cx.refuse_at(text.span, message));
                }
            },
        };
        if options.clean_consumed && !options.commit_offsets {
            return Err(
                cx.refuse("clean_consumed requires that also commit_offsets is enabled to work properly")
            );
        }
        let sincedb_path = match &options.sincedb_path {
            None => default_sincedb_path(&cx.pipeline.path_data, &options.pipeline_id, &options.path.value),
            Some(path) if Path::new(&path.value).is_dir() => {
                let message = format!(
                    "The \"sincedb_path\" argument must point to a file, received a directory: \"{}\"",
                    path.value
                );
                return Err(cx.refuse_at(path.span, message));
            }
            Some(path) => PathBuf::from(&path.value),
        };
        Ok(DeadLetterQueue {
            dir: options.path.value.join(&options.pipeline_id),
            sincedb_path,
            commits: options.commit_offsets,
            cleans: options.clean_consumed,
            start,
            feed: None,
        })
    }
}

fn default_sincedb_path(path_data: &Path, pipeline_id: &str, path: &Path) -> PathBuf {
    let digest = Md5::digest(path.as_os_str().as_encoded_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    path_data.join("plugins/inputs/dead_letter_queue").join(pipeline_id).join(format!(".sincedb_{hex}"))
}

impl DeadLetterQueue {
    fn open(&self) -> Result<(Feed, Consumer), InputError> {
        let lock = match self.cleans {
            false => None,
            true => Some(QueueLock::cleaner(&self.dir).map_err(|error| {
                InputError(format!("only one reader may delete what it has read: {error}"))
            })?),
        };
        let sincedb = Sincedb::open(&self.sincedb_path, &self.dir);
        let sincedb = sincedb.map_err(|error| {
            InputError(format!("the sincedb {} can't be read: {error}", self.sincedb_path.display()))
        })?;
        let begin = if self.start.is_some() { Position::default() } else { sincedb.position() };
        let feed = Feed::new(Reader::new(&self.dir, begin), self.start.map(since));
        let consumer = Consumer {
            dir: self.dir.clone(),
            sincedb: self.commits.then_some(sincedb),
            cleaner: lock,
            cleaned: 0,
            damaged: BTreeSet::new(),
        };
        Ok((feed, consumer))
    }
}

impl Input for DeadLetterQueue {
    fn start<'a>(&'a mut self, _: &'a InputContext) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async {
            let failed = |error: std::io::Error| {
                let path = self.sincedb_path.display();
                StartError(format!("the sincedb {path} can't be used: {error}"))
            };
            Sincedb::open(&self.sincedb_path, &self.dir).map_err(failed)?;
            match self.sincedb_path.parent().filter(|_| self.commits) {
                Some(parent) => std::fs::create_dir_all(parent).map_err(failed),
                None => Ok(()),
            }
        })
    }

    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async {
            if !self.dir.is_dir() {
                return Err(InputError(format!("DLQ sub-path {} does not exist", self.dir.display())));
            }
            if self.feed.is_none() {
                self.feed = Some(self.open()?);
            }
            let Some((feed, consumer)) = &mut self.feed else { return Ok(()) };
            let result = feed.run(cx, false, consumer).await;
            if let Some(sincedb) = &mut consumer.sincedb {
                sincedb.write();
            }
            result.map_err(|error| InputError(format!("{}: {error}", self.dir.display())))
        })
    }
}

/// Remembers what is settled, and deletes it where that is wanted.
struct Consumer {
    dir: PathBuf,
    sincedb: Option<Sincedb>,
    cleaner: Option<QueueLock>,
    /// Segments before this one were deleted.
    cleaned: u32,
    /// Segments with something in them that can't be read.
    damaged: BTreeSet<PathBuf>,
}

impl Progress for Consumer {
    fn settled(&mut self, position: Position) {
        let Some(sincedb) = &mut self.sincedb else { return };
        let is_next = sincedb.position().segment != position.segment;
        sincedb.set(position);
        if is_next || sincedb.written_since() >= COMMIT_EVERY {
            sincedb.write();
        }
        if self.cleaner.is_some() && self.cleaned < position.segment {
            match self.clean(position.segment) {
                Ok(()) => self.cleaned = position.segment,
                Err(error) => {
                    tracing::warn!(path = %self.dir.display(), %error, limited = true, "A segment that was read can't be deleted.");
                }
            }
        }
    }

    fn idle(&mut self) {
        if let Some(sincedb) = self.sincedb.as_mut().filter(|sincedb| sincedb.written_since() >= COMMIT_EVERY)
        {
            sincedb.write();
        }
    }

    fn damaged(&mut self, damage: &Damage) {
        self.damaged.insert(damage.sealed_file());
        tracing::warn!(
            file = %damage.file.display(),
            offset = damage.offset,
            reason = damage.reason,
            limited = true,
            "An entry of the dead letter queue can't be read and is passed over."
        );
    }
}

impl Consumer {
    /// Deletes the segments before `number`.
    fn clean(&mut self, number: u32) -> std::io::Result<()> {
        for segment in segments(&self.dir)? {
            if !segment.is_sealed || segment.number >= number {
                continue;
            }
            match self.damaged.contains(&segment.path) {
                false => drop(delete_segment(&self.dir, segment.number)?),
                true => {
                    let kept = put_aside(&self.dir, segment.number)?;
                    tracing::warn!(kept = %kept.display(), "A segment with damaged places was read and is put aside.");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
