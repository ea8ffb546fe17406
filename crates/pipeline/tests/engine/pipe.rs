//! Pipelines from text.

use crate::fake::{event, message_of, registry};
use ferrostash_conf::{ConfSettings, Diagnostics, PipelineConf, Protocol, SourceMap, Vars};
use ferrostash_event::Event;
use ferrostash_pipeline::{
    BuildParts, BuiltPipeline, FailedConditions, Outcome, Pipeline, Program, RunningPipeline, Runtimes,
    Services, Settings, StartFailure, build,
};
use ferrostash_plugin::{Buried, Bus, DeadLetters, PipelineInfo, Shutdown};
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;

/// A dead letter queue in memory.
#[derive(Default)]
pub(crate) struct Grave(pub(crate) Mutex<Vec<(String, String)>>);

impl DeadLetters for Grave {
    fn write<'a>(&'a self, event: &'a Event, reason: &'a str) -> BoxFuture<'a, Buried> {
        self.0.lock().unwrap().push((message_of(event), reason.to_owned()));
        Box::pin(async { Buried::Kept })
    }
}

pub(crate) fn built_on(bus: &Bus, id: &str, text: &str) -> BuiltPipeline {
    let mut sources = SourceMap::new();
    sources.add(Protocol::File, "a.conf", text);
    let mut diagnostics = Diagnostics::new();
    let conf = PipelineConf::parse(&sources, ConfSettings::default(), &Vars::default(), &mut diagnostics);
    let pipeline = PipelineInfo { id: id.into(), ..PipelineInfo::default() };
    let registry = registry();
    let parts = BuildParts { registry: &registry, pipeline: &pipeline, bus, sources: &sources };
    let built = build(&conf, &parts, &mut diagnostics);
    built.unwrap_or_else(|| panic!("{}", diagnostics.render(&sources, false)))
}

pub(crate) fn settings() -> Settings {
    Settings { workers: 2, batch_size: 4, grace: Duration::from_secs(10), ..Settings::default() }
}

pub(crate) async fn try_start(
    built: BuiltPipeline,
    settings: Settings,
    grave: Arc<Grave>,
) -> Result<RunningPipeline, StartFailure> {
    let runtimes = Runtimes { io: Handle::current(), workers: Handle::current() };
    Pipeline::start(
        built,
        settings,
        runtimes,
        Services { dead_letters: grave, budget: ferrostash_pipeline::Budget::new(1 << 30) },
        Shutdown::new(),
    )
    .await
}

pub(crate) async fn start_with(text: &str, settings: Settings) -> RunningPipeline {
    try_start(built_on(&Bus::default(), "main", text), settings, Arc::default()).await.unwrap()
}

pub(crate) async fn start(text: &str) -> RunningPipeline {
    start_with(text, settings()).await
}

/// A program without tasks, and the outputs' names in the order of the routes.
pub(crate) fn program(text: &str, ordered: bool, failed: FailedConditions) -> Program {
    let mut built = built_on(&Bus::default(), "main", text);
    Program::new(&mut built, ordered, failed).0
}

pub(crate) fn run(program: &mut Program, messages: &[&str]) -> Outcome {
    program.run(messages.iter().map(|message| event(message)).collect())
}

pub(crate) fn messages(outcome: &Outcome) -> Vec<String> {
    outcome.events.iter().map(message_of).collect()
}
