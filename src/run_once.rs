//! A pipeline that a command runs until it ends, without its own inputs and beside no other.

use crate::dead_letters::{self, Kept};
use crate::generation::{Draft, Workshop};
use crate::settings::PipelineSettings;
use crate::{IO_THREADS, runtime};
use ferrostash_pipeline::{
    Budget, BuiltPipeline, EndReason, Pipeline, RunningPipeline, Runtimes, Services, Settings,
};
use ferrostash_plugin::{DeadLetters, Dropped, Shutdown};
use ferrostash_queue::dead_letter_queue::DeadLetterQueue;
use std::io::Write as _;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Builds the pipeline of these settings; warnings go to standard error.
///
/// # Errors
/// What is wrong with its configuration, with places.
pub(crate) fn build(settings: &PipelineSettings, workshop: &Workshop) -> Result<BuiltPipeline, String> {
    let draft = Draft::read(settings, &workshop.vars).without_inputs();
    let (built, warnings) = draft.build(workshop).map_err(|invalid| invalid.report)?;
    warnings.iter().for_each(|warning| drop(write!(std::io::stderr(), "{warning}")));
    Ok(built)
}

/// What is to run.
pub(crate) struct Run<'a> {
    pub(crate) built: BuiltPipeline,
    pub(crate) engine: Settings,
    pub(crate) settings: &'a PipelineSettings,
    /// The id of its dead letter queue, if events are kept there.
    pub(crate) letters: Option<&'a str>,
    pub(crate) memory_max_bytes: usize,
    /// What SIGINT and SIGTERM do to it.
    pub(crate) interrupt: fn(&RunningPipeline),
}

/// A pipeline that has run.
pub(crate) struct Ran {
    pub(crate) reason: EndReason,
    pub(crate) pipeline: RunningPipeline,
    pub(crate) letters: Option<Arc<DeadLetterQueue>>,
}

impl Run<'_> {
    /// Runs it on threads of its own.
    ///
    /// # Errors
    /// Why it could not be started.
    pub(crate) fn until_the_end(self) -> Result<Ran, String> {
        let io = runtime("io", IO_THREADS).map_err(|error| error.to_string())?;
        let workers = runtime("worker", self.settings.worker_count()).map_err(|error| error.to_string())?;
        let runtimes = Runtimes { io: io.handle().clone(), workers: workers.handle().clone() };
        let ran = io.block_on(self.run(runtimes));
        workers.shutdown_background();
        io.shutdown_background();
        ran
    }

    async fn run(self, runtimes: Runtimes) -> Result<Ran, String> {
        let letters = match self.letters {
            None => None,
            Some(id) => {
                let queue = dead_letters::open(&self.settings.dead_letter_queue, id).await;
                Some(Arc::new(queue.map_err(|error| error.to_string())?))
            }
        };
        let dead_letters: Arc<dyn DeadLetters> = match &letters {
            Some(queue) => Arc::new(Kept::new(Arc::clone(queue))),
            None => Arc::new(Dropped),
        };
        let services = Services { dead_letters, budget: Budget::new(self.memory_max_bytes) };
        let started = Pipeline::start(self.built, self.engine, runtimes, services, Shutdown::new()).await;
        let ended = match started {
            Err(failure) => Err(failure.to_string()),
            Ok(pipeline) => {
                let reason = tokio::select! {
                    reason = pipeline.wait() => reason,
                    () = interrupted() => {
                        (self.interrupt)(&pipeline);
                        pipeline.wait().await
                    }
                };
                Ok((reason, pipeline))
            }
        };
        if let Some(queue) = &letters {
            queue.close().await;
        }
        ended.map(|(reason, pipeline)| Ran { reason, pipeline, letters })
    }
}

/// SIGINT or SIGTERM.
async fn interrupted() {
    let mut terminate = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
