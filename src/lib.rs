//! ferrostash: a Logstash-compatible stream processor in one native process.
//!
//! This package is the process and nothing else: command line, settings, logging, and the start of the pipelines.

pub mod cli;
pub mod logging;
pub mod plugins;
pub mod settings;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use cli::{Action, exit};
use settings::{Inputs, Settings};

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
        Ok(Action::Run { flags, warnings }) => {
            // Variables that are not UTF-8 can be no setting and no `${VAR}`.
            let env =
                env.into_iter().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
            start(&Inputs { flags, env: env.collect(), keystore: None }, &warnings)
        }
        Err(error) => failed(&error),
    }
}

fn start(inputs: &Inputs, warnings: &[String]) -> ExitCode {
    let settings = match Settings::load(inputs) {
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
    let pipelines = match settings.value.pipelines(inputs) {
        Ok(pipelines) => pipelines,
        Err(problems) => return failed(&problems),
    };
    for warning in pipelines.warnings {
        tracing::warn!(target: "logstash.config.source.multilocal", "{}", warning.one_line());
    }
    failed(&"ERROR: this build has no engine: it checks flags and settings only")
}

fn failed(error: &impl std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{}", error.to_string().trim_end());
    ExitCode::from(exit::ERROR)
}
