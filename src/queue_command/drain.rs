//! `ferrostash queue drain`: runs a pipeline without its inputs until its queue is empty.

use crate::dead_letters::{self, Kept};
use crate::generation::{Draft, engine_settings, folder_of};
use crate::settings::{Inputs, PipelineSettings, QueueType, Settings};
use crate::{IO_THREADS, logging, runtime};
use ferrostash_pipeline::{Budget, EndReason, Pipeline, RunningPipeline, Runtimes, Services};
use ferrostash_plugin::{DeadLetters, Dropped, Shutdown};
use ferrostash_queue::pages;
use std::io::Write as _;
use std::sync::Arc;

/// Drains the queue of `pipeline`. Says what was done.
///
/// # Errors
/// What is in the way, or how much is left, in a sentence.
pub(super) fn drain(inputs: &Inputs, pipeline: &str) -> Result<String, String> {
    let settings = Settings::load(inputs).map_err(|problems| problems.to_string())?.value;
    let mut pipeline_settings = settings_of(&settings, inputs, pipeline)?;
    let dir = folder_of(&pipeline_settings.queue.path, pipeline);
    if !pages::is_queue(&dir) {
        return Err(format!("there is no queue in {}", dir.display()));
    }
    pipeline_settings.queue.kind = QueueType::Persisted;
    pipeline_settings.queue.drain = true;
    logging::init(&settings.log).map_err(|error| format!("could not start logging: {error}"))?;
    let workshop = crate::workshop(&settings, inputs);
    let draft = Draft::read(&pipeline_settings, &workshop.vars).without_inputs();
    let (built, warnings) = draft.build(&workshop).map_err(|invalid| invalid.report)?;
    warnings.iter().for_each(|warning| drop(write!(std::io::stderr(), "{warning}")));
    let io = runtime("io", IO_THREADS).map_err(|error| error.to_string())?;
    let workers = runtime("worker", pipeline_settings.worker_count()).map_err(|error| error.to_string())?;
    let handles = Runtimes { io: io.handle().clone(), workers: workers.handle().clone() };
    let ended = io.block_on(async {
        let queue = match pipeline_settings.dead_letter_queue.enable {
            false => None,
            true => {
                let queue = dead_letters::open(&pipeline_settings.dead_letter_queue, pipeline).await;
                Some(Arc::new(queue.map_err(|error| error.to_string())?))
            }
        };
        let dead_letters: Arc<dyn DeadLetters> = match &queue {
            Some(queue) => Arc::new(Kept::new(Arc::clone(queue))),
            None => Arc::new(Dropped),
        };
        let services = Services { dead_letters, budget: Budget::new(settings.memory_max_bytes) };
        let engine = engine_settings(&pipeline_settings, &workshop.path_data);
        let started = Pipeline::start(built, engine, handles, services, Shutdown::new()).await;
        let ended = match started {
            Err(failure) => Err(failure.to_string()),
            Ok(running) => Ok((until_the_end(&running).await, running)),
        };
        if let Some(queue) = queue {
            queue.close().await;
        }
        ended
    });
    workers.shutdown_background();
    io.shutdown_background();
    let (reason, running) = ended?;
    let left = running.persisted_queue().map_or(0, |queue| queue.stats().events);
    let counts = running.ledger().counts();
    let said = format!(
        "{}: {} events were taken out, {left} are left\n",
        dir.display(),
        counts.recovered.saturating_sub(left)
    );
    match reason {
        EndReason::Crashed(reason) => Err(format!("{said}the pipeline crashed: {reason}")),
        _ if left > 0 => Err(said),
        _ => Ok(said),
    }
}

async fn until_the_end(running: &RunningPipeline) -> EndReason {
    tokio::select! {
        reason = running.wait() => reason,
        () = signalled() => {
            running.abandon();
            running.wait().await
        }
    }
}

/// SIGINT or SIGTERM.
async fn signalled() {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let term = async {
        match &mut term {
            Some(term) => drop(term.recv().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}

/// The settings of the pipeline: from `-f`, or from pipelines.yml.
fn settings_of(settings: &Settings, inputs: &Inputs, pipeline: &str) -> Result<PipelineSettings, String> {
    if settings.pipeline.has_config() {
        return Ok(PipelineSettings { id: pipeline.to_owned(), ..settings.pipeline.clone() });
    }
    let pipelines = settings.pipelines(inputs).map_err(|problems| problems.to_string())?.value;
    let found = pipelines.into_iter().find(|settings| settings.id == pipeline);
    found.ok_or_else(|| format!("there is no pipeline {pipeline}; name its configuration with -f"))
}
