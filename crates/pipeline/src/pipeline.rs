//! A pipeline that runs.

use crate::graph::Graph;
use crate::input_task::{CountedQueue, InputTask};
use crate::ledger::{Ledger, OutputCounts};
use crate::output_queue::{OutputQueue, OutputQueueGauges};
use crate::output_task::{LAST_MOMENT, OutputTask};
use crate::parts::{BuiltPipeline, InputPart, OutputPart, Part, PluginStats};
use crate::persisted_queue::{Feeder, PersistedQueue};
use crate::program::{FailedConditions, Program};
use crate::rate_limit::RateLimit;
use crate::settings::{OnDisk, Runtimes, Services, Settings};
use crate::spill::Spill;
use crate::worker::{Shop, Worker};
use ferrostash_plugin::{DeadLetters, Dropped, EventQueue, InputContext, OutputContext, Shutdown};
use ferrostash_queue::{EventPages, Feed, MemoryQueue, PageStats};
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
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
    /// A queue on disk could not be opened.
    #[error("{0}")]
    Queue(String),
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
    /// It works, and somebody should look: a queue on disk was damaged, or its disk takes nothing.
    Yellow,
    /// A plugin has panicked since the start.
    Red,
}

/// What the tasks of a pipeline tell about it.
#[derive(Debug)]
pub(crate) struct State {
    red: AtomicBool,
    crash: Mutex<Option<String>>,
    crashed: CancellationToken,
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
        self.crashed.cancel();
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
    pages: Option<Arc<EventPages>>,
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
        // A queue that is to be drained needs nothing in front of it.
        if settings.persisted.as_ref().is_none_or(|persisted| !persisted.drain) {
            built.check_start()?;
        }
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
    /// The persisted queue.
    pages: Option<Arc<EventPages>>,
}

impl Starting {
    fn new(
        built: BuiltPipeline,
        settings: Settings,
        runtimes: Runtimes,
        services: Services,
        shutdown: Shutdown,
    ) -> Starting {
        let state = State {
            red: AtomicBool::new(false),
            crash: Mutex::default(),
            crashed: CancellationToken::new(),
            shutdown: shutdown.clone(),
        };
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
            pages: None,
        }
    }

    async fn start(mut self) -> Result<RunningPipeline, StartFailure> {
        let stats = self.built.stats();
        let failed_conditions = match self.settings.has_dead_letter_queue {
            true => FailedConditions::DeadLetter,
            false => FailedConditions::Tag,
        };
        let (program, outputs) = Program::new(&mut self.built, self.settings.ordered, failed_conditions);
        self.open_queue().await?;
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
            pages: self.pages.clone(),
            output_queues: queues.iter().map(|queue| queue.gauges()).collect(),
            stats,
            graph: std::mem::take(&mut self.built.graph),
            reloadable: input_tasks.iter().all(|task| task.input.reloadable()),
            ended,
        };
        self.launch(program, queues, output_tasks, input_tasks, ended_sender);
        Ok(running)
    }

    async fn open_queue(&mut self) -> Result<(), StartFailure> {
        let Some(persisted) = &self.settings.persisted else { return Ok(()) };
        let OnDisk { dir, pages } = persisted.on_disk.clone();
        let opening = tokio::task::spawn_blocking(move || EventPages::open(&dir, pages));
        let opened = opening.await.map_err(|error| StartFailure::BrokenOff(error.to_string()))?;
        let (pages, recovery) = opened.map_err(|error| StartFailure::Queue(error.to_string()))?;
        if recovery.events > 0 {
            tracing::info!(
                events = recovery.events,
                records = recovery.records,
                "The queue holds events of an earlier run."
            );
        }
        self.pages = Some(pages);
        Ok(())
    }

    async fn open_outputs(
        &mut self,
        parts: Vec<OutputPart>,
    ) -> Result<(Vec<Arc<OutputQueue>>, Vec<OutputTask>), StartFailure> {
        let (mut queues, mut tasks) = (Vec::new(), Vec::new());
        // One output alone has nobody to hold up.
        let is_alone = parts.len() == 1;
        let on_disk = self.settings.spill.clone();
        if let Some(OnDisk { dir, .. }) = &on_disk {
            crate::spill::warn_of_orphans(
                dir,
                &parts.iter().map(|output| file_name(&output.part.id)).collect(),
            );
        }
        for OutputPart { part, factory, keeps_dead_letters } in parts {
            let settings = &self.settings;
            let counts = Arc::<OutputCounts>::default();
            let own = on_disk.as_ref().map(|OnDisk { dir, pages }| (dir.join(file_name(&part.id)), pages));
            // What it got when there were others is its own all the same.
            let spill = own.filter(|(dir, _)| !is_alone || dir.exists()).map(|(dir, pages)| {
                let cx = self.output_context(&part, keeps_dead_letters);
                Spill::new(dir, *pages, Arc::clone(&counts), cx, Arc::clone(&part.id))
            });
            if let Some(spill) = &spill
                && let Err(reason) = spill.recover().await
            {
                close(&mut tasks).await;
                return Err(StartFailure::Queue(reason));
            }
            let (queue, items) = OutputQueue::new(
                (settings.output_queue_batches_max, settings.output_queue_bytes_max),
                settings.workers.max(1),
                Arc::clone(&factory),
                spill,
                counts,
            );
            queues.push(Arc::new(queue));
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
        let ledger = Arc::clone(&self.ledger);
        let queue: Arc<dyn EventQueue> = match self.pages.clone() {
            None => Arc::new(CountedQueue { queue: Arc::clone(&self.queue), ledger }),
            Some(pages) => {
                let dead_letters = Arc::clone(&self.services.dead_letters);
                let budget = self.services.budget.clone();
                Arc::new(PersistedQueue { pages, ledger, dead_letters, budget })
            }
        };
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
                settle_time: self.settings.grace * 4 / 5,
            };
            input.start(&cx).await.map_err(|error| refused("input", &part, error.to_string()))?;
            tasks.push(InputTask { part, input, cx, state: Arc::clone(&self.state) });
        }
        Ok(tasks)
    }

    fn launch(
        self,
        program: Program,
        outputs: Vec<Arc<OutputQueue>>,
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
        let spills_end = CancellationToken::new();
        for queue in &shop.outputs {
            let Some(spill) = queue.spill().cloned() else { continue };
            let feeding = Arc::clone(&spill).feed(Arc::clone(queue), spills_end.clone());
            let task = self.runtimes.io.spawn(feeding.instrument(pipeline.clone()));
            tasks.spills.push((spill, task));
        }
        let feeder = self.pages.map(|pages| {
            let feeder = Feeder {
                first_new: pages.next_number(),
                pages,
                memory: Arc::clone(&shop.queue),
                ledger: Arc::clone(&shop.ledger),
                shutdown: shop.shutdown.clone(),
                crashed: shop.state.crashed.clone(),
                drain: self.settings.persisted.as_ref().is_some_and(|persisted| persisted.drain),
            };
            let pages = Arc::clone(&feeder.pages);
            (pages, self.runtimes.io.spawn(feeder.run().instrument(pipeline.clone())))
        });
        let (settings, runtimes) = (self.settings, self.runtimes.clone());
        let run = Run { shop, tasks, feeder, spills_end, settings, runtimes };
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

/// A file name for an id, whatever it holds, and different for different ids.
fn file_name(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    id.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
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
    spills: Vec<(Arc<Spill>, JoinHandle<Option<Feed>>)>,
}

/// Takes a pipeline from its start to its end.
struct Run {
    shop: Arc<Shop>,
    tasks: Tasks,
    /// The persisted queue, and what brings its events to the workers.
    feeder: Option<(Arc<EventPages>, JoinHandle<Option<Feed>>)>,
    spills_end: CancellationToken,
    settings: Settings,
    runtimes: Runtimes,
}

impl Run {
    /// Inputs, queue, workers, flush, outputs: each ends when what is before it has ended.
    async fn until_the_end(mut self) -> EndReason {
        let drained = CancellationToken::new();
        if self.settings.persisted.as_ref().is_none_or(|persisted| !persisted.drain) {
            drained.cancel();
        }
        let (shutdown, grace) = (self.shop.shutdown.clone(), self.settings.grace);
        let alarm = self.runtimes.io.spawn(sound_alarm(shutdown, drained.clone(), grace));
        while let Some(ended) = self.tasks.inputs.join_next().await {
            self.note(ended.as_ref().err());
        }
        let persisted = match self.feeder.take() {
            None => None,
            Some((pages, feeding)) => {
                pages.close();
                let feed = feeding.await;
                self.note(feed.as_ref().err());
                drained.cancel();
                Some((pages, feed.ok().flatten()))
            }
        };
        self.shop.queue.close();
        self.end_workers().await;
        let left = self.shop.queue.abandon();
        self.shop.ledger.abandoned.add(left as u64);
        let spills = self.end_spills().await;
        self.shop.outputs.iter().for_each(|output| output.close());
        while let Some(ended) = self.tasks.outputs.join_next().await {
            self.note(ended.as_ref().err());
        }
        for (spill, feed) in spills {
            spill.end(feed, too_late(&self.shop.shutdown)).await;
        }
        if let Some((pages, feed)) = persisted {
            if let Some(feed) = feed {
                // A write that never returns keeps its acks.
                tokio::select! {
                    () = feed.give_back() => {}
                    () = too_late(&self.shop.shutdown) => {}
                }
            }
            pages.end().await;
        }
        alarm.abort();
        let reason = self.shop.state.end_reason();
        let counts = self.shop.ledger.counts();
        // Workers that never end keep their events.
        if !counts.is_balanced() {
            tracing::error!(?counts, "The ledger is not balanced.");
        }
        if counts.abandoned > 0 {
            tracing::warn!(events = counts.abandoned, "The pipeline ended before everything was delivered.");
        }
        reason
    }

    /// Ends what brings events back from the spills: at the end of all input once there is nothing left, else at once.
    async fn end_spills(&mut self) -> Vec<(Arc<Spill>, Option<Feed>)> {
        for (spill, _) in &self.tasks.spills {
            tokio::select! {
                () = spill.all_given() => {}
                () = self.shop.shutdown.stopping() => {}
            }
        }
        self.spills_end.cancel();
        let mut ended = Vec::new();
        for (spill, feeding) in std::mem::take(&mut self.tasks.spills) {
            let feed = feeding.await;
            self.note(feed.as_ref().err());
            ended.push((spill, feed.ok().flatten()));
        }
        ended
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
                Some(Err(error)) => self.note(Some(&error)),
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
            joined = flushing => self.note(joined.as_ref().err()),
            () = too_late => tracing::error!("Filters were not flushed in time."),
        }
    }

    fn note(&self, error: Option<&tokio::task::JoinError>) {
        if let Some(error) = error {
            self.shop.state.turn_red();
            tracing::error!(%error, "A task of the pipeline failed.");
        }
    }
}

/// Returns when a plugin has had the time to notice the end of the grace time.
async fn too_late(shutdown: &Shutdown) {
    shutdown.abandoned().await;
    tokio::time::sleep(LAST_MOMENT).await;
}

/// Ends the grace time, counted from when the pipeline is told to stop, and its queue is drained where that is wanted.
async fn sound_alarm(shutdown: Shutdown, drained: CancellationToken, grace: std::time::Duration) {
    shutdown.stopping().await;
    drained.cancelled().await;
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
        debug_assert!(reason.is_none() || self.ledger.counts().is_balanced(), "{:?}", self.ledger.counts());
        // Without a reason the runtime was shut down under it.
        reason.unwrap_or(EndReason::Stopped)
    }

    /// Why it ended, if it has.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended.borrow().clone()
    }

    /// How it is.
    pub fn health(&self) -> Health {
        if self.state.red.load(Ordering::Relaxed) {
            return Health::Red;
        }
        let queue = self.pages.iter().map(|pages| pages.stats());
        let spills = self.output_queues.iter().filter_map(|output| output.spill()?.stats());
        let is_sick = |stats: PageStats| stats.damaged.any() || stats.is_disk_full || stats.is_disk_failing;
        if queue.chain(spills).any(is_sick) { Health::Yellow } else { Health::Green }
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

    /// The persisted queue, if it has one.
    pub fn persisted_queue(&self) -> Option<&EventPages> {
        self.pages.as_deref()
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
