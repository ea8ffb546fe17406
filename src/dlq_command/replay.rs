//! `ferrostash dlq replay`: a pipeline whose only input is a dead letter queue, and that ends with it.

use super::queues::Queues;
use super::select::Selection;
use crate::cli::exit;
use crate::generation::engine_settings;
use crate::logging;
use crate::run_once::{self, Ran, Run};
use crate::settings::{Inputs, Settings};
use ferrostash_event::Event;
use ferrostash_pipeline::{EndReason, InputPart, Part, RunningPipeline};
use ferrostash_plugin::{Codec, EncodeError, EventSink, Input, InputContext, InputError};
use ferrostash_queue::dead_letter_queue::{
    Damage, Feed, Position, Progress, QueueLock, Reader, delete_segment, put_aside, segments,
};
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs the entries of a pipeline's queue through the configuration of the settings.
pub(super) fn run(
    settings: &Settings,
    inputs: &Inputs,
    queues: &Queues,
    pipeline: &str,
    selection: Selection,
    purge: bool,
) -> Result<ExitCode, String> {
    let dir = queues.existing(pipeline)?;
    logging::init(&settings.log).map_err(|error| format!("could not start logging: {error}"))?;
    let workshop = crate::workshop(settings, inputs);
    let mut pipeline_settings = settings.pipeline.clone();
    pipeline.clone_into(&mut pipeline_settings.id);
    pipeline_settings.dead_letter_queue.enable = true;
    let mut built = run_once::build(&pipeline_settings, &workshop)?;
    let _lock = match purge {
        true => Some(QueueLock::cleaner(&dir).map_err(|error| error.to_string())?),
        false => None,
    };
    let report = Arc::<Mutex<Report>>::default();
    built.inputs = vec![replay_input(&dir, selection, purge, Arc::clone(&report))];
    // Beside the queue that is read, which somebody else may be writing.
    let again = format!("{pipeline}.replay");
    // What is replayed is on disk already; the pipeline's own queue and spills may be in use.
    let engine = engine_settings(&pipeline_settings, &workshop.path_data);
    let engine = ferrostash_pipeline::Settings { persisted: None, spill: None, ..engine };
    let run = Run {
        built,
        engine,
        settings: &pipeline_settings,
        letters: Some(&again),
        memory_max_bytes: settings.memory_max_bytes,
        interrupt: RunningPipeline::stop,
    };
    let Ran { reason, letters, .. } = run.until_the_end()?;
    let report = report.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = writeln!(
        std::io::stderr(),
        "{} entries were replayed, {} places could not be read, {} segments were deleted{}",
        report.entries,
        report.damaged.len(),
        report.deleted,
        letters.map_or(String::new(), |again| {
            format!(", {} events are in {}", again.stats().written_events.get(), again.dir().display())
        })
    );
    match (reason, &report.error) {
        (EndReason::Finished, None) if report.is_settled => Ok(ExitCode::from(exit::OK)),
        (EndReason::Crashed(reason), _) => Err(format!("the pipeline crashed: {reason}")),
        (_, Some(error)) => Err(error.clone()),
        _ => Err("not everything was delivered; nothing was deleted".to_owned()),
    }
}

fn replay_input(dir: &Path, selection: Selection, purge: bool, report: Arc<Mutex<Report>>) -> InputPart {
    let counted = Arc::clone(&report);
    let wanted = Box::new(move |letter: &_| {
        let is_wanted = selection.has(letter);
        counted.lock().unwrap_or_else(PoisonError::into_inner).entries += u64::from(is_wanted);
        is_wanted
    });
    let feed = Feed::new(Reader::new(dir, Position::default()), Some(wanted));
    InputPart {
        part: Part::new("dlq_replay", "dead_letter_queue"),
        input: Box::new(Replay { dir: dir.to_owned(), feed, purge, report }),
        codec: Arc::new(NoCodec),
        decoration: Arc::default(),
    }
}

/// What came of a replay.
#[derive(Default)]
struct Report {
    entries: u64,
    damaged: Vec<Damage>,
    deleted: usize,
    is_settled: bool,
    error: Option<String>,
}

/// Reads the queue once.
struct Replay {
    dir: PathBuf,
    feed: Feed,
    purge: bool,
    report: Arc<Mutex<Report>>,
}

/// Counts what the feed tells.
struct Told<'a>(&'a Mutex<Report>);

impl Progress for Told<'_> {
    fn settled(&mut self, _: Position) {}

    fn damaged(&mut self, damage: &Damage) {
        tracing::warn!(file = %damage.file.display(), offset = damage.offset, reason = damage.reason, "An entry can't be read and is passed over.");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).damaged.push(damage.clone());
    }
}

impl Input for Replay {
    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async {
            let result = self.feed.run(cx, true, &mut Told(&self.report)).await;
            let is_settled = self.feed.is_settled() && !cx.shutdown.is_stopping();
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            report.error = result.err().map(|error| format!("{}: {error}", self.dir.display()));
            report.is_settled = is_settled && report.error.is_none();
            if report.is_settled && self.purge {
                self.delete(&mut report);
            }
            Ok(())
        })
    }

    fn reloadable(&self) -> bool {
        false
    }
}

impl Replay {
    /// Deletes what was read to its end; what can't be read is put aside.
    fn delete(&self, report: &mut Report) {
        let Some(end) = self.feed.position() else { return };
        let damaged: BTreeSet<PathBuf> = report.damaged.iter().map(Damage::sealed_file).collect();
        let delete = || -> std::io::Result<usize> {
            let mut deleted = 0;
            for segment in segments(&self.dir)? {
                let is_read = segment.number < end.segment
                    || (segment.number == end.segment && segment.bytes <= end.offset);
                if !segment.is_sealed || !is_read {
                    continue;
                }
                match damaged.contains(&segment.path) {
                    true => drop(put_aside(&self.dir, segment.number)?),
                    false => deleted += usize::from(delete_segment(&self.dir, segment.number)?),
                }
            }
            Ok(deleted)
        };
        match delete() {
            Ok(deleted) => report.deleted = deleted,
            Err(error) => report.error = Some(format!("what was replayed can't be deleted: {error}")),
        }
    }
}

/// Entries are events already.
#[derive(Clone)]
struct NoCodec;

impl Codec for NoCodec {
    fn decode(&mut self, _: &[u8], _: &mut EventSink<'_>) {}

    fn encode(&mut self, _: &Event, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Err(EncodeError("there is no codec".to_owned()))
    }
}
