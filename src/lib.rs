//! ferrostash: a Logstash-compatible stream processor in one native process.
//!
//! This package is the process and nothing else: command line, settings, logging, and the start of the pipelines.

mod agent;
mod api;
pub mod cli;
mod data_dir;
mod dead_letters;
mod dlq_command;
mod generation;
pub mod logging;
pub mod plugins;
pub mod queue_command;
mod run_once;
pub mod settings;
mod signals;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use std::sync::Arc;

use agent::{Agent, Ending};
use api::Node;
use cli::{Action, exit};
use data_dir::DataDir;
use ferrostash_pipeline::Runtimes;
use ferrostash_plugin::Bus;
use generation::{Draft, Workshop};
use settings::{Inputs, PipelineSettings, Settings};
use signals::Signals;

/// Runs the process with these arguments (without the program's name) and this environment, to its end.
#[must_use]
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    match cli::parse(arguments) {
        Ok(Action::Print(text)) => {
            // A reader that has seen enough (`| head -1`) is no failure.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(exit::OK)
        }
        Ok(Action::Queue(command)) => queue_command::run(command, texts(env)),
        Ok(Action::Run { flags, warnings }) => start(Inputs { flags, env: texts(env).collect() }, &warnings),
        Ok(Action::Dlq(command)) => dlq_command::run(command, texts(env).collect()),
        Err(error) => failed(&error),
    }
}

/// Variables that are not UTF-8 can be no setting and no `${VAR}`.
fn texts(env: impl IntoIterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (String, String)> {
    env.into_iter().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
}

fn start(inputs: Inputs, warnings: &[String]) -> ExitCode {
    let settings = match Settings::load(&inputs) {
        Ok(settings) => settings,
        Err(problems) => return failed(&problems),
    };
    if let Err(error) = logging::init(&settings.value.log) {
        return failed(&format!("ERROR: could not start logging: {error}"));
    }
    for warning in warnings {
        tracing::warn!(target: "logstash.runner", "{warning}");
    }
    for warning in settings.warnings {
        tracing::warn!(target: "logstash.settings", "{}", warning.one_line());
    }
    let pipelines = match settings.value.pipelines(&inputs) {
        Ok(pipelines) => pipelines,
        Err(problems) => return failed(&problems),
    };
    for warning in pipelines.warnings {
        tracing::warn!(target: "logstash.config.source.multilocal", "{}", warning.one_line());
    }
    let workshop = workshop(&settings.value, &inputs);
    match settings.value.test_and_exit {
        true => test(&pipelines.value, &workshop),
        false => serve(settings.value, inputs, pipelines.value, workshop),
    }
}

fn workshop(settings: &Settings, inputs: &Inputs) -> Workshop {
    Workshop {
        registry: plugins::registry(),
        bus: Bus::default(),
        vars: inputs.variables(),
        path_data: settings.path_data.clone(),
        host: host_name(),
    }
}

/// `-t`: builds every pipeline, opens nothing.
fn test(pipelines: &[PipelineSettings], workshop: &Workshop) -> ExitCode {
    let drafts = pipelines.iter().map(|settings| Draft::read(settings, &workshop.vars).build(workshop));
    let (good, bad): (Vec<_>, Vec<_>) = drafts.partition(Result::is_ok);
    for warning in good.into_iter().flatten().flat_map(|(_, warnings)| warnings) {
        let _ = write!(std::io::stderr(), "{warning}");
    }
    let bad: Vec<_> = bad.into_iter().filter_map(Result::err).collect();
    for invalid in &bad {
        let _ = write!(std::io::stderr(), "{}", invalid.report);
    }
    match bad.first() {
        None => {
            let _ = writeln!(std::io::stdout(), "Configuration OK");
            ExitCode::from(exit::OK)
        }
        Some(first) => {
            let reason = format!("Reason: Unable to configure plugins: ({}) {}", first.class, first.sentence);
            tracing::error!(target: "logstash.runner", fatal = true, "The given configuration is invalid. {reason}");
            ExitCode::from(exit::ERROR)
        }
    }
}

/// Runs the pipelines until their end.
fn serve(
    settings: Settings,
    inputs: Inputs,
    pipelines: Vec<PipelineSettings>,
    workshop: Workshop,
) -> ExitCode {
    if !settings.allow_superuser && is_superuser() {
        tracing::warn!(
            target: "logstash.runner",
            "running as root: a mistake in a configuration can overwrite any file; use another user, or set allow_superuser: true"
        );
    }
    let data = match DataDir::open(&settings.path_data) {
        Ok(data) => data,
        Err(error) => return failed(&format!("ERROR: {error}")),
    };
    let workers = pipelines.iter().map(PipelineSettings::worker_count).max().unwrap_or(1);
    let runtimes = match (runtime("io", IO_THREADS), runtime("worker", workers)) {
        (Ok(io), Ok(workers)) => (io, workers),
        (Err(error), _) | (_, Err(error)) => {
            return failed(&format!("ERROR: threads can't be started: {error}"));
        }
    };
    let handles = Runtimes { io: runtimes.0.handle().clone(), workers: runtimes.1.handle().clone() };
    tracing::info!(
        target: "logstash.runner",
        version = env!("CARGO_PKG_VERSION"),
        "logstash.version" = "9.5.2",
        "Starting ferrostash"
    );
    let api_settings = settings.api.clone();
    let node = Node::new(&settings, &data.node_id, &workshop.registry);
    let agent = Agent::new(settings, inputs, workshop, handles);
    let ending = runtimes.0.block_on(async {
        // Before anybody can know that the process is there.
        let signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(target: "logstash.agent", fatal = true, "signals can't be watched: {error}");
                return Ending::Failed;
            }
        };
        if api_settings.enabled {
            match api::start(&api_settings, node, Arc::clone(&agent.view)).await {
                Ok(address) => tracing::info!(
                    target: "logstash.agent",
                    port = address.port(),
                    ssl_enabled = false,
                    "Successfully started Logstash API endpoint"
                ),
                Err(error) => {
                    tracing::error!(target: "logstash.agent", fatal = true, "the API can't be started: {error}");
                    return Ending::Failed;
                }
            }
        }
        agent.run(pipelines, signals).await
    });
    if ending != Ending::Now {
        tracing::info!(target: "logstash.runner", "Logstash shut down.");
    }
    // Threads that hang in a read of standard input or a dead disk are not waited for.
    runtimes.1.shutdown_background();
    runtimes.0.shutdown_background();
    ExitCode::from(if ending == Ending::Orderly { exit::OK } else { exit::ERROR })
}

/// Threads for sockets, files and the API; filters have their own.
const IO_THREADS: usize = 2;

fn runtime(name: &str, threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
}

/// The owner of a process's folder in `/proc` is its effective user.
fn is_superuser() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn host_name() -> Arc<str> {
    gethostname::gethostname().to_string_lossy().into()
}

fn failed(error: &impl std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", error.to_string().trim_end());
    ExitCode::from(exit::ERROR)
}
