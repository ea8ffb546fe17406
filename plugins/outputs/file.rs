//! The `file` output.

mod open_files;
mod path;

use ferrostash_conf::{OptionEnum, Options};
use ferrostash_event::{Event, Template};
use ferrostash_plugin::{
    Backoff, BatchEncoder, Buffer, Buffers, BuildContext, BuildResult, Codec, CodecFactory, Encoded, Output,
    OutputBatch, OutputContext, OutputError, OutputPlugin, PluginDef, output,
};
use futures::future::BoxFuture;
use open_files::{OpenFiles, Policy};
use path::PathMaker;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Appends events to files, one line of JSON each by default.
///
/// A batch counts as delivered when the operating system has it. When a write fails (full disk, no permission) what was
/// written of it is taken back, and it is tried again until it succeeds: nothing is lost and no line is torn.
///
/// ```conf
/// output { file { path => "/var/log/events/%{+yyyy-MM-dd}.json" } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "file")]
pub(crate) struct FileOptions {
    /// Where to write; may hold `%{…}`. An event never gets above the folder in front of the first `%{`.
    #[option(required)]
    path: Template,
    /// Seconds between flushes in Logstash. Here every batch is handed to the operating system at once, which is what a
    /// flush does.
    #[option(default = 2)]
    #[expect(dead_code, reason = "every write is a flush")]
    flush_interval: f64,
    /// Compress with gzip. The stream is brought to a byte border with each write, so that delivered events survive a crash.
    #[option(default = false)]
    gzip: bool,
    /// Name of the file, in the root folder, for events whose path would lie outside of it.
    #[option(default = "_filepath_failures")]
    filename_failure: String,
    /// Make a file anew when somebody deleted it; otherwise its events go to `filename_failure`.
    #[option(default = true)]
    create_if_deleted: bool,
    /// Access mode of folders that are made, as a number (octal `0750`); -1 for the system's own.
    #[option(default = -1)]
    dir_mode: i64,
    /// Access mode of files that are made, as a number (octal `0640`); -1 for the system's own.
    #[option(default = -1)]
    file_mode: i64,
    /// Whether a write is appended, or replaces what is in the file.
    #[option(default = "append")]
    write_behavior: WriteBehavior,
    /// Seconds after which a file that nothing was written to is closed.
    #[option(default = 10)]
    stale_cleanup_interval: f64,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum WriteBehavior {
    Overwrite,
    Append,
}

pub(crate) static PLUGIN: PluginDef = output::<File>();

struct File {
    paths: PathMaker,
    policy: Policy,
    codec: Arc<dyn CodecFactory>,
    buffers: Buffers,
    files: OpenFiles,
}

impl Clone for File {
    fn clone(&self) -> Self {
        File {
            paths: self.paths.clone(),
            policy: self.policy.clone(),
            codec: Arc::clone(&self.codec),
            buffers: self.buffers.clone(),
            files: OpenFiles::new(self.policy.clone()),
        }
    }
}

impl OutputPlugin for File {
    type Options = FileOptions;
    const CODEC: &'static str = "json_lines";
    const BLOCKING: bool = true;

    fn build(
        options: FileOptions,
        codec: Arc<dyn CodecFactory>,
        cx: &mut BuildContext<'_>,
    ) -> BuildResult<Self> {
        let mode = |name: &str, value: i64, cx: &mut BuildContext<'_>| match value {
            -1 => Ok(None),
            0..=0o7777 => Ok(Some(value as u32)),
            _ => Err(cx.refuse(format!("`{name}` must be -1 or an access mode such as 0640"))),
        };
        let (file_mode, dir_mode) =
            (mode("file_mode", options.file_mode, cx)?, mode("dir_mode", options.dir_mode, cx)?);
        let paths =
            PathMaker::new(options.path, &options.filename_failure).map_err(|problem| cx.refuse(problem))?;
        let policy = Policy {
            gzip: options.gzip,
            overwrite: options.write_behavior == WriteBehavior::Overwrite,
            create_if_deleted: options.create_if_deleted,
            failure: paths.failure().to_owned(),
            file_mode,
            dir_mode,
            stale_after: Duration::try_from_secs_f64(options.stale_cleanup_interval.max(0.0))
                .unwrap_or(Duration::MAX),
        };
        let files = OpenFiles::new(policy.clone());
        Ok(File { paths, policy, codec, buffers: Buffers::default(), files })
    }

    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        Some(Box::new(FileEncoder {
            paths: self.paths.clone(),
            codec: self.codec.for_stream(),
            portions: Vec::new(),
            numbers: HashMap::new(),
            refused: Vec::new(),
            buffers: self.buffers.clone(),
        }))
    }
}

/// The text that a batch adds to one file.
struct Portion {
    path: PathBuf,
    text: Buffer,
}

/// Sorts events by file and encodes them.
struct FileEncoder {
    paths: PathMaker,
    codec: Box<dyn Codec>,
    portions: Vec<Portion>,
    /// The portions' places, by path.
    numbers: HashMap<PathBuf, usize>,
    refused: Vec<(Event, String)>,
    buffers: Buffers,
}

impl BatchEncoder for FileEncoder {
    fn encode(&mut self, events: &mut dyn Iterator<Item = &Event>) {
        let FileEncoder { paths, codec, portions, numbers, refused, buffers } = self;
        let mut last = 0;
        for event in events {
            let path = paths.path_of(event);
            if portions.get(last).is_none_or(|portion| portion.path != path) {
                last = numbers.get(path).copied().unwrap_or_else(|| {
                    numbers.insert(path.to_owned(), portions.len());
                    portions.push(Portion { path: path.to_owned(), text: buffers.take() });
                    portions.len() - 1
                });
            }
            let Some(portion) = portions.get_mut(last) else { continue };
            let before = portion.text.len();
            if let Err(error) = codec.encode(event, &mut portion.text) {
                portion.text.truncate(before);
                refused.push((event.clone(), error.to_string()));
            }
        }
    }

    fn byte_size(&self) -> usize {
        self.portions.iter().map(|portion| portion.text.len()).sum()
    }

    fn finish(&mut self) -> Encoded {
        let (size, portions) = (self.byte_size(), std::mem::take(&mut self.portions));
        self.numbers.clear();
        Encoded::new(portions, size, std::mem::take(&mut self.refused))
    }
}

/// What several batches add to the files; each batch's portions in turn.
type Job = [Arc<Vec<Portion>>];

impl File {
    /// Writes until all is written or the grace time is over. A portion is written whole or not at all.
    async fn deliver(&mut self, job: &Job, cx: &OutputContext) -> Result<(), OutputError> {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        let mut written = 0;
        loop {
            let before = written;
            let Err((path, error)) = write_portions(&mut self.files, job, &mut written) else {
                return Ok(());
            };
            if written > before {
                backoff.reset();
            }
            let wait = backoff.next_wait();
            let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::error!(limited = true, path = %path.display(), %error, retry_in_ms, "the file can't be written, trying again");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cx.shutdown.abandoned() => return Err(OutputError::Abandoned),
            }
        }
    }
}

/// Writes all portions but the first `written`, which is counted on.
fn write_portions(
    files: &mut OpenFiles,
    job: &Job,
    written: &mut usize,
) -> Result<(), (PathBuf, std::io::Error)> {
    for portion in job.iter().flat_map(|portions| portions.iter()).skip(*written) {
        files.write(&portion.path, &portion.text).map_err(|error| (portion.path.clone(), error))?;
        *written += 1;
    }
    Ok(())
}

impl Output for File {
    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        cx: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        Box::pin(async move {
            for (event, reason) in batches.iter().flat_map(OutputBatch::refused) {
                cx.bury(event, reason).await;
            }
            let job: Vec<_> = batches.iter().filter_map(OutputBatch::payload).collect();
            self.deliver(&job, cx).await
        })
    }

    fn idle<'a>(&'a mut self, _: &'a OutputContext) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.files.close_stale();
        })
    }

    fn close<'a>(&'a mut self, _: &'a OutputContext) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.files.close_all();
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGINS;
    use ferrostash_plugin::OutputBatch;
    use ferrostash_plugin::testing::{Harness, OutputHarness, event};
    use std::io::Read as _;

    fn batch(output: &OutputHarness, events: &[&str]) -> OutputBatch {
        output.batch(events.iter().map(|text| event(text)).collect())
    }

    fn output(options: &str) -> OutputHarness {
        Harness::new(PLUGINS).output(&format!("file {{ codec => line {options} }}")).unwrap()
    }

    async fn write(output: &mut OutputHarness, events: &[&str]) {
        let batches = [batch(output, events)];
        output.output.write(&batches, &output.context).await.unwrap();
    }

    #[tokio::test]
    async fn appends_to_files_named_by_events() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        let mut output = output(&format!(r#"path => "{root}/%{{app}}/x.log" file_mode => 0600"#));
        write(&mut output, &[r#"{"app":"a","message":"1"}"#, r#"{"app":"b","message":"2"}"#]).await;
        write(&mut output, &[r#"{"app":"a","message":"3"}"#, r#"{"app":"..","message":"4"}"#]).await;
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            (&*read("a/x.log"), &*read("b/x.log"), &*read("_filepath_failures")),
            ("1\n3\n", "2\n", "4\n")
        );
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(dir.path().join("a/x.log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_deleted_file_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut output = output(&format!(r#"path => "{}""#, path.display()));
        write(&mut output, &[r#"{"message":"1"}"#]).await;
        std::fs::remove_file(&path).unwrap();
        write(&mut output, &[r#"{"message":"2"}"#]).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
    }

    #[tokio::test]
    async fn or_its_events_go_to_the_failure_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut output = output(&format!(r#"path => "{}" create_if_deleted => false"#, path.display()));
        write(&mut output, &[r#"{"message":"1"}"#]).await;
        std::fs::remove_file(&path).unwrap();
        write(&mut output, &[r#"{"message":"2"}"#]).await;
        assert!(!path.exists());
        assert_eq!(std::fs::read_to_string(dir.path().join("_filepath_failures")).unwrap(), "2\n");
    }

    #[tokio::test]
    async fn overwrite_keeps_the_last_batch() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut output = output(&format!(r#"path => "{}" write_behavior => overwrite"#, path.display()));
        let batches =
            [batch(&output, &[r#"{"message":"longer than"}"#]), batch(&output, &[r#"{"message":"this"}"#])];
        output.output.write(&batches, &output.context).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "this\n");
    }

    #[tokio::test]
    async fn gzip_files_are_readable_after_every_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gz");
        let mut output = output(&format!(r#"path => "{}" gzip => true"#, path.display()));
        write(&mut output, &[r#"{"message":"1"}"#]).await;
        write(&mut output, &[r#"{"message":"2"}"#]).await;
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(std::fs::File::open(&path).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "1\n2\n");
    }

    #[tokio::test]
    async fn a_full_disk_is_waited_for_and_nothing_is_torn() {
        // /dev/full takes no byte at all.
        let mut output = output(r#"path => "/dev/full""#);
        let shutdown = output.context.shutdown.clone();
        let batches = [batch(&output, &[r#"{"message":"1"}"#])];
        let stop = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            shutdown.abandon();
        };
        let (written, ()) = tokio::join!(output.output.write(&batches, &output.context), stop);
        assert!(matches!(written, Err(ferrostash_plugin::OutputError::Abandoned)));
    }

    #[test]
    fn bad_options_are_refused() {
        let refused =
            |options: &str| Harness::new(PLUGINS).output(&format!("file {{ {options} }}")).err().unwrap();
        assert!(refused(r#"path => "/logs/""#).contains("names a folder"));
        assert!(refused(r#"path => "/x" file_mode => 99999"#).contains("file_mode"));
        assert!(refused(r#"pth => "/x""#).contains("did you mean `path`?"));
    }
}
