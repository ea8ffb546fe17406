//! A pipeline that runs.

use crate::graph::Graph;
use crate::input_task::{CountedQueue, InputTask};
use crate::ledger::Ledger;
use crate::output_queue::{OutputQueue, OutputQueueGauges};
use crate::output_task::{LAST_MOMENT, OutputTask};
use crate::parts::{BuiltPipeline, InputPart, OutputPart, Part, PluginStats};
use crate::program::{FailedConditions, Program};
use crate::rate_limit::RateLimit;
use crate::settings::{Runtimes, Services, Settings};
use crate::worker::{Shop, Worker};
use ferrostash_plugin::{
    DeadLetters, Dropped, EventQueue, InputContext, OutputContext, OutputFactory, Shutdown,
};
use ferrostash_queue::MemoryQueue;
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

/// Starts pipelines.
#[derive(Debug)]
pub struct Pipeline;

/// Why a pipeline did not start. Everything that was opened is closed again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartFailure {
    /// There is neither an input nor a filter, so nothing could ever happen. Displays as Logstash's sentence.
    #[error("Missing Filter End Vertex")]
    NoInputs,
    /// A plugin could not open what it needs.
    #[error("{kind} {name} ({id}): {reason}")]
    Plugin {
        /// `input` or `output`.
        kind: &'static str,
        /// The plugin's name.
        name: Arc<str>,
        /// The plugin's id.
        id: Arc<str>,
        /// What it said.
        reason: String,
    },
    /// The start itself was broken off: a plugin panicked, or the runtime is ending.
    #[error("the start was broken off: {0}")]
    BrokenOff(String),
}

/// Why a pipeline ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// All inputs came to the end of their sources, and everything was delivered.
    Finished,
    /// It was told to stop.
    Stopped,
    /// An output can never work again.
    Crashed(String),
}

/// How a pipeline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Green,
    /// A plugin has panicked since the start.
    Red,
}

/// What the tasks of a pipeline tell about it.
#[derive(Debug)]
pub(crate) struct State {
    red: AtomicBool,
    crash: Mutex<Option<String>>,
    shutdown: Shutdown,
}

impl State {
    pub(crate) fn turn_red(&self) {
        self.red.store(true, Ordering::Relaxed);
    }

    /// The pipeline cannot go on; the first reason counts.
    pub(crate) fn crash(&self, reason: String) {
        self.turn_red();
        self.crash.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.shutdown.stop();
    }

    fn end_reason(&self) -> EndReason {
        let crash = self.crash.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match crash {
            Some(reason) => EndReason::Crashed(reason),
            None if self.shutdown.is_stopping() => EndReason::Stopped,
            None => EndReason::Finished,
        }
    }
}

/// What a panic said.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

/// A pipeline whose tasks run. They go on when this is dropped: stop it first.
pub struct RunningPipeline {
    id: Arc<str>,
    settings: Settings,
    shutdown: Shutdown,
    state: Arc<State>,
    ledger: Arc<Ledger>,
    queue: Arc<MemoryQueue>,
    output_queues: Vec<OutputQueueGauges>,
    stats: PluginStats,
    graph: Graph,
    reloadable: bool,
    ended: watch::Receiver<Option<EndReason>>,
}

impl Pipeline {
    /// Opens outputs and inputs, and starts all tasks.
    ///
    /// # Errors
    /// [`StartFailure`] when a plugin cannot open what it needs; those that could are closed again.
    pub async fn start(
        built: BuiltPipeline,
        settings: Settings,
        runtimes: Runtimes,
        services: Services,
        shutdown: Shutdown,
    ) -> Result<RunningPipeline, StartFailure> {
        built.check_start()?;
        let span = tracing::info_span!("pipeline", pipeline.id = &*built.id);
        let io = runtimes.io.clone();
        let starting = Starting::new(built, settings, runtimes, services, shutdown);
        // On the runtime where they will run, since sockets belong to the one that opened them.
        let started = io.spawn(starting.start().instrument(span)).await;
        started.unwrap_or_else(|error| Err(StartFailure::BrokenOff(error.to_string())))
    }
}

/// A pipeline on its way up.
struct Starting {
    built: BuiltPipeline,
    settings: Settings,
    runtimes: Runtimes,
    services: Services,
    shutdown: Shutdown,
    state: Arc<State>,
    ledger: Arc<Ledger>,
    queue: Arc<MemoryQueue>,
}

impl Starting {
    fn new(
        built: BuiltPipeline,
        settings: Settings,
        runtimes: Runtimes,
        services: Services,
        shutdown: Shutdown,
    ) -> Starting {
        let state =
            State { red: AtomicBool::new(false), crash: Mutex::default(), shutdown: shutdown.clone() };
        let queue =
            MemoryQueue::new(settings.queue_events(), settings.queue_bytes_max, services.budget.clone());
        Starting {
            built,
            settings,
            runtimes,
            services,
            shutdown,
            state: Arc::new(state),
            ledger: Arc::default(),
            queue,
        }
    }

    async fn start(mut self) -> Result<RunningPipeline, StartFailure> {
        let stats = self.built.stats();
        let failed_conditions = match self.settings.has_dead_letter_queue {
            true => FailedConditions::DeadLetter,
            false => FailedConditions::Tag,
        };
        let (program, outputs) = Program::new(&mut self.built, self.settings.ordered, failed_conditions);
        let factories = outputs.iter().map(|output| Arc::clone(&output.factory)).collect();
        let (queues, mut output_tasks) = self.open_outputs(outputs).await?;
        let input_tasks = match self.open_inputs().await {
            Ok(tasks) => tasks,
            Err(failure) => {
                close(&mut output_tasks).await;
                return Err(failure);
            }
        };
        let (ended_sender, ended) = watch::channel(None);
        let running = RunningPipeline {
            id: Arc::clone(&self.built.id),
            settings: self.settings.clone(),
            shutdown: self.shutdown.clone(),
            state: Arc::clone(&self.state),
            ledger: Arc::clone(&self.ledger),
            queue: Arc::clone(&self.queue),
            output_queues: queues.iter().map(OutputQueue::gauges).collect(),
            stats,
            graph: std::mem::take(&mut self.built.graph),
            reloadable: input_tasks.iter().all(|task| task.input.reloadable()),
            ended,
        };
        self.launch(program, (queues, factories), output_tasks, input_tasks, ended_sender);
        Ok(running)
    }

    async fn open_outputs(
        &mut self,
        parts: Vec<OutputPart>,
    ) -> Result<(Vec<OutputQueue>, Vec<OutputTask>), StartFailure> {
        let (mut queues, mut tasks) = (Vec::new(), Vec::new());
        for OutputPart { part, factory, keeps_dead_letters } in parts {
            let settings = &self.settings;
            let (queue, items) =
                OutputQueue::new(settings.output_queue_batches_max, settings.output_queue_bytes_max);
            queues.push(queue);
            let instances = if factory.is_shared() { settings.workers.max(1) } else { 1 };
            for _ in 0..instances {
                let mut task = OutputTask {
                    part: part.clone(),
                    output: factory.for_worker(),
                    factory: Arc::clone(&factory),
                    cx: self.output_context(&part, keeps_dead_letters),
                    items: items.clone(),
                    state: Arc::clone(&self.state),
                    warnings: RateLimit::default(),
                    under_way: Arc::default(),
                };
                let opened = task.output.start(&task.cx).await;
                if let Err(error) = opened {
                    close(&mut tasks).await;
                    return Err(refused("output", &part, error.to_string()));
                }
                tasks.push(task);
            }
        }
        Ok((queues, tasks))
    }

    fn output_context(&self, part: &Part, keeps_dead_letters: bool) -> OutputContext {
        let shared = &self.services.dead_letters;
        let own = match keeps_dead_letters {
            true => shared.of_plugin(&part.name, &part.id),
            false => Some(Arc::new(Dropped) as Arc<dyn DeadLetters>),
        };
        OutputContext {
            shutdown: self.shutdown.clone(),
            metrics: Arc::clone(&part.metrics),
            dead_letters: own.unwrap_or_else(|| Arc::clone(shared)),
        }
    }

    async fn open_inputs(&mut self) -> Result<Vec<InputTask>, StartFailure> {
        let queue: Arc<dyn EventQueue> =
            Arc::new(CountedQueue { queue: Arc::clone(&self.queue), ledger: Arc::clone(&self.ledger) });
        let mut tasks = Vec::new();
        for InputPart { part, mut input, codec, decoration } in std::mem::take(&mut self.built.inputs) {
            let cx = InputContext {
                shutdown: self.shutdown.clone(),
                metrics: Arc::clone(&part.metrics),
                codec,
                queue: Arc::clone(&queue),
                decoration,
                batch_size: self.settings.batch_size,
                // The rest of the grace time belongs to the outputs.
                settle_time: self.settings.grace / 2,
            };
            input.start(&cx).await.map_err(|error| refused("input", &part, error.to_string()))?;
            tasks.push(InputTask { part, input, cx, state: Arc::clone(&self.state) });
        }
        Ok(tasks)
    }

    fn launch(
        self,
        program: Program,
        (outputs, factories): (Vec<OutputQueue>, Vec<Arc<dyn OutputFactory>>),
        output_tasks: Vec<OutputTask>,
        input_tasks: Vec<InputTask>,
        ended: watch::Sender<Option<EndReason>>,
    ) {
        let pipeline = tracing::Span::current();
        let span = |part: &Part| tracing::info_span!(parent: &pipeline, "plugin", plugin.id = &*part.id, plugin.name = &*part.name);
        let mut tasks = Tasks::default();
        for task in output_tasks {
            let (span, io) = (span(&task.part), &self.runtimes.io);
            match task.factory.is_blocking() {
                true => tasks.outputs.spawn_on(task.run_on_own_thread(io.clone()).instrument(span), io),
                false => tasks.outputs.spawn_on(task.run().instrument(span), io),
            };
        }
        let shop = Arc::new(Shop {
            queue: self.queue,
            outputs,
            factories,
            ledger: self.ledger,
            state: self.state,
            shutdown: self.shutdown,
            dead_letters: self.services.dead_letters,
            batch_size: self.settings.batch_size,
            batch_delay: self.settings.batch_delay,
            workers: self.settings.workers,
            has_dead_letters: self.settings.has_dead_letter_queue,
        });
        let programs = (1..self.settings.workers).map(|_| program.for_worker()).collect::<Vec<_>>();
        for program in std::iter::once(program).chain(programs) {
            let worker = Worker::new(program, Arc::clone(&shop));
            tasks.workers.spawn_on(worker.run().instrument(pipeline.clone()), &self.runtimes.workers);
        }
        for task in input_tasks {
            let span = span(&task.part);
            tasks.inputs.spawn_on(task.run().instrument(span), &self.runtimes.io);
        }
        let run = Run { shop, tasks, settings: self.settings, runtimes: self.runtimes.clone() };
        let watched = async move {
            let reason = run.until_the_end().await;
            // Somebody who waits for it may have gone.
            let _ = ended.send(Some(reason));
        };
        self.runtimes.io.spawn(watched.instrument(pipeline));
    }
}

fn refused(kind: &'static str, part: &Part, reason: String) -> StartFailure {
    StartFailure::Plugin { kind, name: Arc::clone(&part.name), id: Arc::clone(&part.id), reason }
}

async fn close(tasks: &mut [OutputTask]) {
    for task in tasks {
        let _ = tokio::time::timeout(LAST_MOMENT, task.output.close(&task.cx)).await;
    }
}

#[derive(Default)]
struct Tasks {
    inputs: JoinSet<()>,
    workers: JoinSet<Worker>,
    outputs: JoinSet<()>,
}

/// Takes a pipeline from its start to its end.
struct Run {
    shop: Arc<Shop>,
    tasks: Tasks,
    settings: Settings,
    runtimes: Runtimes,
}

impl Run {
    /// Inputs, queue, workers, flush, outputs: each ends when what is before it has ended.
    async fn until_the_end(mut self) -> EndReason {
        let alarm = self.runtimes.io.spawn(sound_alarm(self.shop.shutdown.clone(), self.settings.grace));
        while let Some(ended) = self.tasks.inputs.join_next().await {
            self.note(ended.err());
        }
        self.shop.queue.close();
        self.end_workers().await;
        let left = self.shop.queue.abandon();
        self.shop.ledger.abandoned.add(left as u64);
        self.shop.outputs.iter().for_each(OutputQueue::close);
        while let Some(ended) = self.tasks.outputs.join_next().await {
            self.note(ended.err());
        }
        alarm.abort();
        let reason = self.shop.state.end_reason();
        let counts = self.shop.ledger.counts();
        if counts.abandoned > 0 {
            tracing::warn!(events = counts.abandoned, "The pipeline ended before everything was delivered.");
        }
        reason
    }

    async fn end_workers(&mut self) {
        let shutdown = self.shop.shutdown.clone();
        let mut workers = Vec::new();
        // A filter that never returns cannot be helped: it keeps its thread, and its batch is abandoned.
        let too_late = async {
            shutdown.abandoned().await;
            tokio::time::sleep(LAST_MOMENT).await;
        };
        tokio::pin!(too_late);
        loop {
            let joined = tokio::select! {
                joined = self.tasks.workers.join_next() => joined,
                () = &mut too_late => {
                    tracing::error!(workers = self.tasks.workers.len(), "Workers did not end in time.");
                    self.tasks.workers.detach_all();
                    return;
                }
            };
            match joined {
                Some(Ok(worker)) => workers.push(worker),
                Some(Err(error)) => self.note(Some(error)),
                None => break,
            }
        }
        // Filters may share what they keep: they are flushed when no worker has events any more, one after the other.
        let flush = async move {
            for mut worker in workers {
                worker.flush(true).await;
            }
        };
        let flushing = self.runtimes.workers.spawn(flush.in_current_span());
        tokio::select! {
            joined = flushing => self.note(joined.err()),
            () = too_late => tracing::error!("Filters were not flushed in time."),
        }
    }

    fn note(&self, error: Option<tokio::task::JoinError>) {
        if let Some(error) = error {
            self.shop.state.turn_red();
            tracing::error!(%error, "A task of the pipeline failed.");
        }
    }
}

/// Ends the grace time, counted from when the pipeline is told to stop.
async fn sound_alarm(shutdown: Shutdown, grace: std::time::Duration) {
    shutdown.stopping().await;
    tokio::time::sleep(grace).await;
    shutdown.abandon();
}

impl RunningPipeline {
    /// `pipeline.id`.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// What it was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells it to stop: inputs end, what was read is delivered within the grace time.
    pub fn stop(&self) {
        self.shutdown.stop();
    }

    /// Ends the grace time at once.
    pub fn abandon(&self) {
        self.shutdown.abandon();
    }

    /// Whether it was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.shutdown.is_stopping()
    }

    /// Waits for its end. May be called any number of times.
    pub async fn wait(&self) -> EndReason {
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        // Without a reason the runtime was shut down under it.
        reason.unwrap_or(EndReason::Stopped)
    }

    /// Why it ended, if it has.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended.borrow().clone()
    }

    /// How it is.
    pub fn health(&self) -> Health {
        if self.state.red.load(Ordering::Relaxed) { Health::Red } else { Health::Green }
    }

    /// Whether a reload can stop it and start another one.
    pub fn is_reloadable(&self) -> bool {
        self.reloadable
    }

    /// What was counted.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Its queue, to read its fill.
    pub fn queue(&self) -> &MemoryQueue {
        &self.queue
    }

    /// The fill of the queue of each output, in the order of the configuration.
    pub fn output_queues(&self) -> &[OutputQueueGauges] {
        &self.output_queues
    }

    /// Id, name and counters of its plugins.
    pub fn stats(&self) -> &PluginStats {
        &self.stats
    }

    /// How its parts hang together.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
}
