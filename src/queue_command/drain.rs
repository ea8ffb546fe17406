//! `ferrostash queue drain`: runs a pipeline without its inputs until its queue is empty.

use crate::generation::{engine_settings, folder_of};
use crate::logging;
use crate::run_once::{self, Ran, Run};
use crate::settings::{Inputs, PipelineSettings, QueueType, Settings};
use ferrostash_pipeline::{EndReason, RunningPipeline};
use ferrostash_queue::pages;

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
    let built = run_once::build(&pipeline_settings, &workshop)?;
    let run = Run {
        built,
        engine: engine_settings(&pipeline_settings, &workshop.path_data),
        settings: &pipeline_settings,
        letters: pipeline_settings.dead_letter_queue.enable.then_some(pipeline),
        memory_max_bytes: settings.memory_max_bytes,
        interrupt: RunningPipeline::abandon,
    };
    let Ran { reason, pipeline: running, .. } = run.until_the_end()?;
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

/// The settings of the pipeline: from `-f`, or from pipelines.yml.
fn settings_of(settings: &Settings, inputs: &Inputs, pipeline: &str) -> Result<PipelineSettings, String> {
    if settings.pipeline.has_config() {
        return Ok(PipelineSettings { id: pipeline.to_owned(), ..settings.pipeline.clone() });
    }
    let pipelines = settings.pipelines(inputs).map_err(|problems| problems.to_string())?.value;
    let found = pipelines.into_iter().find(|settings| settings.id == pipeline);
    found.ok_or_else(|| format!("there is no pipeline {pipeline}; name its configuration with -f"))
}
