//! The `file` input.

mod feed;
mod gzip;
mod identity;
mod pattern;
mod reader;
mod sincedb;
#[cfg(test)]
mod tests;
mod watched_file;
mod watcher;

use feed::{Feed, Fields};
use ferrostash_conf::{OptionEnum, Options, Spanned};
use ferrostash_plugin::framing::Delimiter;
use ferrostash_plugin::{
    BuildContext, BuildResult, Input, InputContext, InputError, InputPlugin, PluginDef, StartError, input,
};
use futures::future::BoxFuture;
use md5::{Digest, Md5};
use pattern::PathPattern;
use reader::Reader;
use sincedb::Sincedb;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use watcher::Watcher;

/// Reads lines of files: follows those that grow (`tail`), or reads each one once (`read`).
///
/// How far each file was read is kept in a sincedb, in Logstash's format. A position gets there when all events before
/// it are delivered: after a crash nothing is missing. A last line without its end waits until the file goes on; in
/// `read` mode, and when a file was rotated away, it is read too. Lines above 32 MiB are cut and tagged
/// `_line_too_long`.
///
/// ```conf
/// input {
///   file {
///     path => ["/var/log/*.log", "/srv/**/app-{a,b}.log"]
///     exclude => "*.gz"
///     start_position => "beginning"
///   }
/// }
/// ```
///
/// ```conf
/// input {
///   file {
///     path => "/srv/archive/*.log.gz"
///     mode => "read"
///     check_archive_validity => true
///     file_completed_action => "log"
///     file_completed_log_path => "/tmp/archive-done.log"
///   }
/// }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(input = "file")]
pub(crate) struct FileOptions {
    /// Which files: absolute paths with `*`, `?`, `[a-z]`, `{a,b}` and `**/`.
    #[option(required)]
    path: Vec<Spanned<String>>,
    /// Patterns of file names (not paths) to leave out.
    exclude: Option<Vec<Spanned<String>>>,
    /// How often files are looked at for changes.
    #[option(default = 1, unit = "seconds")]
    stat_interval: Duration,
    /// How often new files are looked for, in `stat_interval`s; 0 for only once.
    #[option(default = 15)]
    discover_interval: u32,
    /// The file that keeps the positions; `/dev/null` keeps none. By default one under `path.data`.
    sincedb_path: Option<Spanned<String>>,
    /// How often positions are written to the sincedb.
    #[option(default = 15, unit = "seconds")]
    sincedb_write_interval: Duration,
    /// Where to begin with files that were there before the input and that the sincedb does not know.
    #[option(default = "end")]
    start_position: StartPosition,
    /// What ends a line.
    #[option(default = "\n")]
    delimiter: Spanned<String>,
    /// Files that were not changed for so long are read only when they change.
    #[option(unit = "seconds")]
    ignore_older: Option<Duration>,
    /// Files that were not changed for so long are closed until they change.
    #[option(default = "1 hour", unit = "seconds")]
    close_older: Duration,
    /// How many files may be open (4095).
    max_open_files: Option<i64>,
    /// Whether files are followed, or read once.
    #[option(default = "tail")]
    mode: Mode,
    /// In `read` mode, what to do with a file whose events are all delivered.
    #[option(default = "delete")]
    file_completed_action: CompletedAction,
    /// The file to which the paths of completed files are appended.
    file_completed_log_path: Option<Spanned<String>>,
    /// How long the sincedb remembers files that are not there any more.
    #[option(default = "14 days", unit = "days")]
    sincedb_clean_after: Duration,
    /// Times `file_chunk_count`: how many bytes of a file are read before the next file's turn.
    #[option(default = 32768)]
    file_chunk_size: u64,
    /// Times `file_chunk_size`: how many bytes of a file are read before the next file's turn.
    #[option(default = 140737488355327)]
    file_chunk_count: u64,
    /// By what files that have something new are sorted.
    #[option(default = "last_modified")]
    file_sort_by: SortBy,
    /// Which of them comes first.
    #[option(default = "asc")]
    file_sort_direction: SortDirection,
    /// In `read` mode, end when the files that are there are read.
    #[option(default = false)]
    exit_after_read: Spanned<bool>,
    /// In `read` mode, read archives once before, and leave damaged ones alone.
    #[option(default = false)]
    check_archive_validity: bool,
}

#[derive(OptionEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum StartPosition {
    Beginning,
    End,
}

#[derive(OptionEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Tail,
    Read,
}

#[derive(OptionEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum CompletedAction {
    Delete,
    Log,
    LogAndDelete,
}

#[derive(OptionEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum SortBy {
    LastModified,
    Path,
}

#[derive(OptionEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum SortDirection {
    Asc,
    Desc,
}

pub(crate) static PLUGIN: PluginDef = input::<File>();

/// Files that may be open unless `max_open_files` says more or less.
const OPEN_FILES_MAX: usize = 4095;
/// No file is looked at more often.
const STAT_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// How much longer than the settle time the thread may take to end: a file system that hangs can't be called off.
const THREAD_GRACE: Duration = Duration::from_secs(1);

/// What the options come to.
#[derive(Debug)]
struct Settings {
    patterns: Vec<PathPattern>,
    exclude: Vec<glob::Pattern>,
    is_read_mode: bool,
    from_beginning: bool,
    stat_interval: Duration,
    discover_interval: u32,
    close_older: Duration,
    ignore_older: Option<Duration>,
    open_files_max: usize,
    share: u64,
    delimiter: Delimiter,
    sort_by_path: bool,
    sort_descending: bool,
    exit_after_read: bool,
    check_archives: bool,
    completed_log: Option<PathBuf>,
    delete_completed: bool,
    sincedb_path: PathBuf,
    sincedb_is_generated: bool,
    sincedb_write_interval: Duration,
    sincedb_clean_after: Duration,
}

struct File {
    settings: Arc<Settings>,
    fields: Fields,
    /// `None` while the thread has it.
    sincedb: Option<Sincedb>,
    /// Whether files that are found first were there before the input.
    is_first_run: bool,
}

impl InputPlugin for File {
    type Options = FileOptions;

    fn build(options: FileOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        let settings = Arc::new(settings(options, cx)?);
        let fields = Fields::new(cx.ecs, Arc::clone(&cx.pipeline.host));
        Ok(File { settings, fields, sincedb: None, is_first_run: true })
    }
}

fn settings(options: FileOptions, cx: &mut BuildContext<'_>) -> BuildResult<Settings> {
    let patterns = patterns(&options.path, cx);
    let exclude = exclude(options.exclude.unwrap_or_default(), cx);
    let is_read_mode = options.mode == Mode::Read;
    if options.exit_after_read.value && !is_read_mode {
        let message = "The \"exit_after_read\" setting only works when the \"mode\" is set to \"read\"";
        return Err(cx.refuse_at(options.exit_after_read.span, message));
    }
    let Ok(delimiter) = Delimiter::new(options.delimiter.value.as_bytes()) else {
        return Err(cx.refuse_at(options.delimiter.span, "an empty delimiter ends no line"));
    };
    let action = options.file_completed_action;
    let completed_log = options.file_completed_log_path.map(|path| PathBuf::from(path.value));
    if action != CompletedAction::Delete && completed_log.is_none() {
        return Err(cx.refuse(
            "The \"file_completed_log_path\" setting must be provided when the \"file_completed_action\" is set to \
             \"log\" or \"log_and_delete\"",
        ));
    }
    let sincedb_path = match &options.sincedb_path {
        None => default_sincedb_path(&cx.pipeline.path_data, &options.path),
        Some(path) if Path::new(&path.value).is_dir() => {
            let message = format!(
                "The \"sincedb_path\" argument must point to a file, received a directory: \"{}\"",
                path.value
            );
            return Err(cx.refuse_at(path.span, message));
        }
        Some(path) => PathBuf::from(&path.value),
    };
    Ok(Settings {
        patterns: patterns?,
        exclude: exclude?,
        is_read_mode,
        from_beginning: options.start_position == StartPosition::Beginning,
        stat_interval: options.stat_interval.max(STAT_INTERVAL_MIN),
        discover_interval: options.discover_interval,
        close_older: options.close_older,
        ignore_older: options.ignore_older,
        open_files_max: options
            .max_open_files
            .and_then(|max| usize::try_from(max).ok())
            .filter(|max| *max > 0)
            .unwrap_or(OPEN_FILES_MAX),
        share: options.file_chunk_size.saturating_mul(options.file_chunk_count).max(1),
        delimiter,
        sort_by_path: options.file_sort_by == SortBy::Path,
        sort_descending: options.file_sort_direction == SortDirection::Desc,
        exit_after_read: options.exit_after_read.value,
        check_archives: options.check_archive_validity,
        completed_log: completed_log.filter(|_| action != CompletedAction::Delete),
        delete_completed: action != CompletedAction::Log,
        sincedb_path,
        sincedb_is_generated: options.sincedb_path.is_none(),
        sincedb_write_interval: options.sincedb_write_interval,
        sincedb_clean_after: options.sincedb_clean_after,
    })
}

fn patterns(paths: &[Spanned<String>], cx: &mut BuildContext<'_>) -> BuildResult<Vec<PathPattern>> {
    let mut patterns = Vec::new();
    let mut result = Ok(());
    for path in paths {
        let parsed = if path.value.starts_with('/') {
            PathPattern::parse(&path.value)
        } else {
            Err(format!("File paths must be absolute, relative path specified: {}", path.value))
        };
        match parsed {
            Ok(parsed) => patterns.extend(parsed),
            Err(message) => result = Err(cx.refuse_at(path.span, message)),
        }
    }
    result.map(|()| patterns)
}

fn exclude(names: Vec<Spanned<String>>, cx: &mut BuildContext<'_>) -> BuildResult<Vec<glob::Pattern>> {
    let mut patterns = Vec::new();
    for name in names {
        if name.value.contains('/') {
            cx.warn(format!("exclude is compared with file names, `{}` excludes nothing", name.value));
        }
        match pattern::name_pattern(&name.value) {
            Ok(pattern) => patterns.push(pattern),
            Err(message) => return Err(cx.refuse_at(name.span, message)),
        }
    }
    Ok(patterns)
}

fn default_sincedb_path(path_data: &Path, paths: &[Spanned<String>]) -> PathBuf {
    let paths: Vec<&str> = paths.iter().map(|path| path.value.as_str()).collect();
    let digest = Md5::digest(paths.join(","));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    path_data.join("plugins/inputs/file").join(format!(".sincedb_{hex}"))
}

/// What the watcher's thread leaves behind.
type Ended = (Sincedb, Result<(), InputError>);

impl File {
    fn open_sincedb(&self) -> Result<Sincedb, String> {
        let Settings { sincedb_path, sincedb_write_interval, sincedb_clean_after, .. } = &*self.settings;
        Sincedb::open(sincedb_path, *sincedb_write_interval, *sincedb_clean_after)
            .map_err(|error| format!("can't open the sincedb {}: {error}", sincedb_path.display()))
    }

    /// The watcher, which belongs into a thread of its own: it waits for disks.
    fn watch(
        &mut self,
        cx: &InputContext,
        stop: tokio_util::sync::CancellationToken,
    ) -> Result<oneshot::Receiver<Ended>, InputError> {
        let sincedb = match self.sincedb.take() {
            Some(sincedb) => sincedb,
            None => self.open_sincedb().map_err(InputError)?,
        };
        let is_first_run = std::mem::take(&mut self.is_first_run);
        let (settings, settle_time) = (Arc::clone(&self.settings), cx.settle_time);
        let delimiter = settings.delimiter.clone();
        let feed = Feed::new(cx.clone(), Handle::current(), stop, self.fields.clone(), delimiter);
        let span = tracing::Span::current();
        let (sender, result) = oneshot::channel();
        let work = move || {
            let _span = span.enter();
            let reader = Reader::new(feed, settings.delimiter.clone(), settings.share);
            // Nobody waits any more where the input was dropped.
            let _ = sender.send(Watcher::new(settings, reader, sincedb).run(is_first_run, settle_time));
        };
        let thread = std::thread::Builder::new().name("input-file".into()).spawn(work);
        thread.map_err(|error| InputError(format!("can't start a thread: {error}")))?;
        Ok(result)
    }
}

impl Input for File {
    fn start<'a>(&'a mut self, _: &'a InputContext) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async {
            if let Some(log) = &self.settings.completed_log {
                let opened = std::fs::OpenOptions::new().append(true).create(true).open(log);
                opened.map_err(|error| {
                    StartError(format!(
                        "The \"file_completed_log_path\" file can't be created: {}: {error}",
                        log.display()
                    ))
                })?;
            }
            if self.settings.sincedb_is_generated {
                tracing::info!(sincedb_path = %self.settings.sincedb_path.display(),
                    "No sincedb_path set, generating one based on the \"path\" setting");
            }
            self.sincedb = Some(self.open_sincedb().map_err(StartError)?);
            Ok(())
        })
    }

    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async {
            let stop = cx.shutdown.stop_token().child_token();
            // Should this future be dropped, the thread ends too.
            let _stop_with_me = stop.clone().drop_guard();
            let mut result = self.watch(cx, stop)?;
            let too_long = async {
                cx.shutdown.stopping().await;
                tokio::time::sleep(cx.settle_time + THREAD_GRACE).await;
            };
            tokio::select! {
                ended = &mut result => match ended {
                    Ok((sincedb, result)) => {
                        self.sincedb = Some(sincedb);
                        result
                    }
                    Err(_) => Err(InputError("the reading thread died".into())),
                },
                () = too_long => {
                    tracing::warn!("a file system does not answer; the input ends without it");
                    Ok(())
                }
            }
        })
    }
}
