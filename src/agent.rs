//! The agent: which pipelines run, and how they start, change and stop.
//!
//! A reload reads, parses and builds the new configuration completely before it touches the old pipeline, so a mistake in
//! a file never stops what runs.

use crate::dead_letters::{self, Kept};
use crate::generation::{Draft, Invalid, Workshop, engine_settings};
use crate::settings::{Inputs, PipelineSettings, Settings};
use crate::signals::{Asked, Signals};
use ferrostash_event::Timestamp;
use ferrostash_pipeline::{Budget, EndReason, Pipeline, RunningPipeline, Runtimes, Services, StartFailure};
use ferrostash_plugin::{Counter, Dropped, Shutdown};
use ferrostash_queue::dead_letter_queue::DeadLetterQueue;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// Why the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// All pipelines came to their end, or somebody asked for it.
    Orderly,
    /// No pipeline could be started, or one crashed.
    Failed,
    /// Somebody asked twice.
    Now,
}

/// Starts, reloads and stops pipelines.
pub(crate) struct Agent {
    settings: Settings,
    inputs: Inputs,
    workshop: Workshop,
    runtimes: Runtimes,
    /// What the API shows.
    pub(crate) view: Arc<View>,
    ended: Arc<Notify>,
    /// The configuration is to be looked at again.
    wants_reload: AtomicBool,
    is_ending: AtomicBool,
    /// A pipeline that others send to is being replaced.
    replaces_receiver: AtomicBool,
    /// The last reload has ended a pipeline, and started none.
    start_failed: AtomicBool,
}

/// What the API sees of the agent.
pub(crate) struct View {
    pipelines: Mutex<Vec<Arc<Managed>>>,
    /// What events may weigh, and do.
    pub(crate) budget: Budget,
    /// Reloads of all pipelines.
    pub(crate) reloads: Reloads,
}

/// A pipeline that the agent looks after.
pub(crate) struct Managed {
    pub(crate) settings: PipelineSettings,
    pub(crate) hash: String,
    pub(crate) ephemeral_id: String,
    pub(crate) running: RunningPipeline,
    /// Where its events go that can't be delivered, where they are kept.
    pub(crate) dead_letters: Option<Arc<DeadLetterQueue>>,
    pub(crate) reloads: Arc<Reloads>,
    /// A configuration that was tried and failed to start is not tried again until it changes.
    tried: Mutex<Option<String>>,
    /// Whether the log has its end.
    is_logged: watch::Sender<bool>,
}

impl Managed {
    /// Waits until everything of it has ended, and its dead letter queue is free.
    async fn wait(&self) -> EndReason {
        let reason = self.running.wait().await;
        if let Some(queue) = &self.dead_letters {
            queue.close().await;
        }
        reason
    }

    /// As [`Managed::wait`], and until the log has it: whatever is logged then comes behind it.
    async fn wait_for_log(&self) {
        self.wait().await;
        let mut is_logged = self.is_logged.subscribe();
        let _ = is_logged.wait_for(|is_logged| *is_logged).await;
    }

    fn has_tried(&self, hash: &str) -> bool {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(hash)
    }

    fn set_tried(&self, hash: String) {
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
    }

    fn forget_tried(&self) {
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What became of reloads.
#[derive(Default)]
pub(crate) struct Reloads {
    pub(crate) successes: Counter,
    pub(crate) failures: Counter,
    last: Mutex<LastReloads>,
}

/// The last reloads of each kind.
#[derive(Clone, Default)]
pub(crate) struct LastReloads {
    pub(crate) error: Option<String>,
    pub(crate) success_at: Option<Timestamp>,
    pub(crate) failure_at: Option<Timestamp>,
}

impl Reloads {
    pub(crate) fn last(&self) -> LastReloads {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn succeeded(&self) {
        self.successes.add(1);
        self.last.lock().unwrap_or_else(PoisonError::into_inner).success_at = Some(Timestamp::now());
    }

    fn failed(&self, error: &str) {
        self.failures.add(1);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.failure_at = Some(Timestamp::now());
        last.error = Some(error.to_owned());
    }
}

impl View {
    /// The pipelines, in the order of their creation.
    pub(crate) fn pipelines(&self) -> Vec<Arc<Managed>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, managed: Arc<Managed>) {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        match pipelines.iter_mut().find(|known| known.settings.id == managed.settings.id) {
            Some(known) => *known = managed,
            None => pipelines.push(managed),
        }
    }

    fn remove(&self, id: &str) {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known.settings.id != id);
    }
}

impl Agent {
    pub(crate) fn new(settings: Settings, inputs: Inputs, workshop: Workshop, runtimes: Runtimes) -> Agent {
        let view = View {
            pipelines: Mutex::default(),
            budget: Budget::new(settings.memory_max_bytes),
            reloads: Reloads::default(),
        };
        Agent {
            settings,
            inputs,
            workshop,
            runtimes,
            view: Arc::new(view),
            ended: Arc::default(),
            wants_reload: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            replaces_receiver: AtomicBool::new(false),
            start_failed: AtomicBool::new(false),
        }
    }

    /// Starts the pipelines and looks after them until the process is to end.
    pub(crate) async fn run(&self, pipelines: Vec<PipelineSettings>, mut signals: Signals) -> Ending {
        let create = async {
            for settings in &pipelines {
                if !self.is_ending() {
                    self.create(Draft::read(settings, &self.workshop.vars)).await;
                }
            }
        };
        if let Some(ending) = self.listening(&mut signals, create).await {
            return self.stop_all(&mut signals, ending).await;
        }
        if self.view.pipelines().is_empty() && !self.settings.reload_automatic {
            return Ending::Failed;
        }
        self.log_running();
        let ending = self.watch(&mut signals).await;
        self.stop_all(&mut signals, ending).await
    }

    /// Waits for a signal, for the end of all pipelines, or for the next look at the configuration.
    async fn watch(&self, signals: &mut Signals) -> Ending {
        loop {
            // One that is asked for during another one follows it.
            while self.wants_reload.swap(false, Ordering::AcqRel) {
                if let Some(ending) = self.listening(signals, self.converge()).await {
                    return ending;
                }
            }
            let all = self.view.pipelines();
            let crashed = all.iter().any(|p| matches!(p.running.ended(), Some(EndReason::Crashed(_))));
            if !self.settings.reload_automatic && all.iter().all(|p| p.running.ended().is_some()) {
                let failed = crashed || self.start_failed.load(Ordering::Acquire);
                return if failed { Ending::Failed } else { Ending::Orderly };
            }
            let reload = async {
                match self.settings.reload_automatic {
                    true => tokio::time::sleep(self.settings.reload_interval).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::End(name) => {
                        self.begin_end(name);
                        return Ending::Orderly;
                    }
                    Asked::Reload => self.converge_anew(),
                },
                () = reload => self.wants_reload.store(true, Ordering::Release),
                () = self.ended.notified() => {}
            }
        }
    }

    /// Somebody asks for a reload.
    fn converge_anew(&self) {
        tracing::warn!(target: "logstash.runner", "SIGHUP received.");
        // What it names may have changed, such as a folder of patterns: try again, whatever failed.
        self.view.pipelines().iter().for_each(|known| known.forget_tried());
        self.wants_reload.store(true, Ordering::Release);
    }

    /// Does `work`, and hears signals while pipelines take their time to start and to end.
    async fn listening(&self, signals: &mut Signals, work: impl Future<Output = ()>) -> Option<Ending> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                () = &mut work => return self.is_ending().then_some(Ending::Orderly),
                asked = signals.next() => match asked {
                    Asked::Reload => self.converge_anew(),
                    Asked::End(name) if self.is_ending() => return Some(end_at_once(name)),
                    Asked::End(name) => self.begin_end(name),
                },
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// Somebody asks for the end: all pipelines stop, and none is started any more.
    fn begin_end(&self, name: &str) {
        tracing::warn!(target: "logstash.runner", "{name} received. Shutting down.");
        self.is_ending.store(true, Ordering::Release);
        // Those that send to a pipeline which is being replaced would find nobody.
        if !self.replaces_receiver.load(Ordering::Acquire) {
            self.stop_pipelines();
        }
    }

    fn stop_pipelines(&self) {
        // From here on receiving pipelines wait for those that send to them.
        self.workshop.bus.end();
        self.view.pipelines().iter().for_each(|managed| managed.running.stop());
    }

    /// Brings what runs in line with the configuration as it is now.
    async fn converge(&self) {
        let wanted = match self.settings.pipelines(&self.inputs) {
            Ok(wanted) => wanted.value,
            Err(problems) => {
                tracing::error!(target: "logstash.agent", "Could not fetch all the sources\n{problems}");
                return self.view.reloads.failed(&problems.to_string());
            }
        };
        for managed in self.view.pipelines() {
            if !wanted.iter().any(|settings| settings.id == managed.settings.id) {
                self.stop(&managed).await;
                self.view.remove(&managed.settings.id);
            }
        }
        for settings in &wanted {
            if self.is_ending() {
                return;
            }
            let draft = Draft::read(settings, &self.workshop.vars);
            match self.view.pipelines().into_iter().find(|known| known.settings.id == settings.id) {
                None => drop(self.create(draft).await),
                Some(known) if known.hash != draft.hash() || known.settings != *settings => {
                    self.reload(&known, draft).await
                }
                Some(_) => {}
            }
        }
    }

    async fn create(&self, draft: Draft) -> bool {
        let id = draft.settings.id.clone();
        match self.start(draft, Arc::default()).await {
            Ok(managed) => {
                self.view.put(managed);
                true
            }
            Err(invalid) => {
                self.view.reloads.failed(&invalid.sentence);
                invalid.log("Create", &id);
                false
            }
        }
    }

    async fn reload(&self, old: &Arc<Managed>, draft: Draft) {
        let (id, hash) = (draft.settings.id.clone(), draft.hash().to_owned());
        if old.has_tried(&hash) {
            return;
        }
        let refuse = |invalid: &Invalid| {
            self.view.reloads.failed(&invalid.sentence);
            old.reloads.failed(&invalid.sentence);
            invalid.log("Reload", &id);
        };
        if !old.settings.reloadable || !old.running.is_reloadable() {
            old.set_tried(hash);
            return refuse(&Invalid::plain(
                "Cannot reload pipeline, because the existing pipeline is not reloadable",
            ));
        }
        let settings = draft.settings.clone();
        let (built, warnings) = match draft.build(&self.workshop) {
            Ok(built) => built,
            Err(invalid) => {
                old.set_tried(hash);
                return refuse(&invalid);
            }
        };
        tracing::info!(target: "logstash.pipelineaction.reload", { pipeline.id = id.as_str() }, "Reloading pipeline");
        let receives = built.inputs.iter().any(|input| &*input.part.name == "pipeline");
        self.replaces_receiver.store(receives, Ordering::Release);
        self.stop(old).await;
        if self.is_ending() && !receives {
            return;
        }
        let launched = self.launch(settings, hash, built, &warnings, Arc::clone(&old.reloads)).await;
        self.replaces_receiver.store(false, Ordering::Release);
        self.start_failed.store(launched.is_err(), Ordering::Release);
        match launched {
            Ok(managed) => {
                self.view.put(managed);
                self.view.reloads.succeeded();
                old.reloads.succeeded();
                self.log_running();
            }
            Err(invalid) => {
                // The old pipeline has ended: its port may be what the new one failed to get.
                old.forget_tried();
                refuse(&invalid);
            }
        }
    }

    async fn start(&self, draft: Draft, reloads: Arc<Reloads>) -> Result<Arc<Managed>, Invalid> {
        let (settings, hash) = (draft.settings.clone(), draft.hash().to_owned());
        let (built, warnings) = draft.build(&self.workshop)?;
        self.launch(settings, hash, built, &warnings, reloads).await
    }

    async fn launch(
        &self,
        settings: PipelineSettings,
        hash: String,
        built: ferrostash_pipeline::BuiltPipeline,
        warnings: &[String],
        reloads: Arc<Reloads>,
    ) -> Result<Arc<Managed>, Invalid> {
        for warning in warnings {
            tracing::warn!(target: "logstash.configuration", "{}", warning.trim_end());
        }
        let queue = match settings.dead_letter_queue.enable {
            false => None,
            true => {
                let opened = dead_letters::open(&settings.dead_letter_queue, &settings.id).await;
                Some(Arc::new(
                    opened.map_err(|error| Invalid::plain(&format!("dead letter queue: {error}")))?,
                ))
            }
        };
        let services = Services {
            dead_letters: match &queue {
                Some(queue) => Arc::new(Kept::new(Arc::clone(queue))),
                None => Arc::new(Dropped),
            },
            budget: self.view.budget.clone(),
        };
        let started = Pipeline::start(
            built,
            engine_settings(&settings, &self.workshop.path_data),
            self.runtimes.clone(),
            services,
            Shutdown::new(),
        )
        .await;
        let running = match started {
            Ok(running) => running,
            Err(failure) => {
                if let Some(queue) = queue {
                    queue.close().await;
                }
                return Err(Invalid::at_start(&failure));
            }
        };
        tracing::info!(target: "logstash.javapipeline", { pipeline.id = settings.id.as_str() }, "Pipeline started");
        let managed = Arc::new(Managed {
            settings,
            hash,
            ephemeral_id: Uuid::new_v4().to_string(),
            running,
            dead_letters: queue,
            reloads,
            tried: Mutex::default(),
            is_logged: watch::Sender::new(false),
        });
        let (waiting, ended) = (Arc::clone(&managed), Arc::clone(&self.ended));
        tokio::spawn(async move {
            let id = &waiting.settings.id;
            match waiting.wait().await {
                EndReason::Crashed(reason) => {
                    tracing::error!(target: "logstash.javapipeline", { pipeline.id = id.as_str(), reason = reason }, "Pipeline error, the pipeline has ended");
                }
                _ => {
                    tracing::info!(target: "logstash.javapipeline", { pipeline.id = id.as_str() }, "Pipeline terminated")
                }
            }
            waiting.is_logged.send_replace(true);
            ended.notify_one();
        });
        Ok(managed)
    }

    async fn stop(&self, managed: &Managed) {
        managed.running.stop();
        managed.wait_for_log().await;
    }

    async fn stop_all(&self, signals: &mut Signals, ending: Ending) -> Ending {
        if ending == Ending::Now {
            return ending;
        }
        self.stop_pipelines();
        let pipelines = self.view.pipelines();
        let all_ended = async {
            for managed in &pipelines {
                managed.wait_for_log().await;
            }
        };
        tokio::pin!(all_ended);
        loop {
            tokio::select! {
                () = &mut all_ended => return ending,
                asked = signals.next() => if let Asked::End(name) = asked {
                    return end_at_once(name);
                },
            }
        }
    }

    fn log_running(&self) {
        let pipelines = self.view.pipelines();
        let (ended, running): (Vec<_>, Vec<_>) = pipelines.iter().partition(|p| p.running.ended().is_some());
        let names = |list: &[&Arc<Managed>]| {
            let names: Vec<String> = list.iter().map(|p| format!(":{}", p.settings.id)).collect();
            format!("[{}]", names.join(", "))
        };
        tracing::info!(
            target: "logstash.agent",
            count = running.len(),
            running_pipelines = %names(&running),
            non_running_pipelines = %names(&ended),
            "Pipelines running"
        );
    }
}

/// Somebody asks for the end once more.
fn end_at_once(name: &str) -> Ending {
    tracing::error!(target: "logstash.runner", fatal = true, "{name} received. Terminating immediately..");
    Ending::Now
}

impl Invalid {
    fn plain(sentence: &str) -> Invalid {
        Invalid {
            report: format!("error: {sentence}\n"),
            class: "LogStash::PluginLoadingError".to_owned(),
            sentence: sentence.to_owned(),
        }
    }

    fn at_start(failure: &StartFailure) -> Invalid {
        let plain = Invalid::plain(&failure.to_string());
        let report = match failure {
            StartFailure::NoInputs => "error: there is no input, so nothing could ever happen\n".to_owned(),
            _ => plain.report,
        };
        Invalid { report, ..plain }
    }

    /// Logs the errors, with places first and Logstash's line last.
    fn log(&self, action: &str, id: &str) {
        tracing::error!(target: "logstash.agent", "the configuration of pipeline `{id}` can't be used\n{}", self.report.trim_end());
        tracing::error!(
            target: "logstash.agent",
            action = %format_args!("LogStash::PipelineAction::{action}/pipeline_id:{id}"),
            exception = self.class,
            message = self.sentence,
            "Failed to execute action"
        );
    }
}
