//! `ferrostash queue …`: looks through the persistent queues of pipelines that do not run, and mends them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PathBufValueParser, StringValueParser};
use clap::{Arg, Command};
use ferrostash_queue::pages::{self, OpenError, Report};

use crate::cli::{UsageError, exit, usage_error};
use crate::settings::{Flag, Inputs, Settings};

/// A command on queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueCommand {
    task: Task,
    /// `--path.queue`
    path: Option<PathBuf>,
    /// What else the settings are made of.
    flags: Vec<Flag>,
    /// The one pipeline that is meant.
    pipeline: Option<String>,
}

/// What to do with each queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Check,
    Repair,
}

const USAGE: &str = "ferrostash queue check|repair [--path.queue DIR] [PIPELINE_ID]";
/// Settings that lead to the queues.
const FLAGS: [&str; 2] = ["path.settings", "path.data"];

/// Understands what stands behind `queue`.
///
/// # Errors
/// An unknown command or flag, or too many words.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<QueueCommand, UsageError> {
    let flag = |name: &'static str| {
        Arg::new(name).long(name).value_name("DIR").value_parser(StringValueParser::new())
    };
    let command = Command::new("ferrostash queue")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(Arg::new("task").value_parser(StringValueParser::new()))
        .arg(
            Arg::new("path.queue")
                .long("path.queue")
                .value_name("DIR")
                .value_parser(PathBufValueParser::new()),
        )
        .args(FLAGS.map(flag))
        .arg(Arg::new("pipeline").value_parser(StringValueParser::new()));
    let matches = command.try_get_matches_from(arguments).map_err(|error| usage_error(&error))?;
    let wrong = |message| Err(UsageError { message, hint: Some(format!("write: {USAGE}")) });
    let task = match matches.get_one::<String>("task").map(String::as_str) {
        Some("check") => Task::Check,
        Some("repair") => Task::Repair,
        Some(other @ ("drain" | "import")) => {
            return wrong(format!("the command `queue {other}` is not built yet"));
        }
        Some(other) => return wrong(format!("Unknown command 'queue {other}'")),
        None => return wrong("`queue` needs to know what to do".to_owned()),
    };
    let flags = FLAGS.iter().filter_map(|name| {
        let value = matches.get_one::<String>(name)?.clone();
        Some(Flag { setting: (*name).to_owned(), value, flag: format!("--{name}") })
    });
    Ok(QueueCommand {
        task,
        path: matches.get_one::<PathBuf>("path.queue").cloned(),
        flags: flags.collect(),
        pipeline: matches.get_one::<String>("pipeline").cloned(),
    })
}

/// Does it, and says what was found. The exit code is that of an error when a check found damage.
pub(crate) fn run(command: QueueCommand, env: impl IntoIterator<Item = (String, String)>) -> ExitCode {
    let QueueCommand { task, path, flags, pipeline } = command;
    let roots = match path {
        Some(path) => BTreeSet::from([path]),
        None => match roots(Inputs { flags, env: env.into_iter().collect() }) {
            Ok(roots) => roots,
            Err(message) => return finish(&message, exit::ERROR),
        },
    };
    let names: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    let queues = match queues(&roots, pipeline.as_deref()) {
        Ok(queues) => queues,
        Err(message) => return finish(&message, exit::ERROR),
    };
    if queues.is_empty() {
        let (of, code) = match pipeline {
            Some(pipeline) => (format!(" of the pipeline {pipeline}"), exit::ERROR),
            None => (String::new(), exit::OK),
        };
        return finish(&format!("there is no queue{of} in {}\n", names.join(", ")), code);
    }
    let mut code = exit::OK;
    let mut said = String::new();
    for queue in queues {
        let (text, good) = one(task, &queue);
        said.push_str(&text);
        if !good {
            code = exit::ERROR;
        }
    }
    finish(&said, code)
}

/// What is said about one queue, and whether all is well with it.
fn one(task: Task, dir: &Path) -> (String, bool) {
    let outcome: Result<Report, OpenError> = match task {
        Task::Check => pages::check(dir),
        Task::Repair => pages::repair(dir),
    };
    match outcome {
        Ok(report) => (report.to_string(), report.repaired || !report.is_damaged()),
        Err(error) => (format!("ERROR: {error}\n"), false),
    }
}

fn finish(text: &str, code: u8) -> ExitCode {
    // A reader that has seen enough is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(code)
}

/// The folders above the queues, as the settings have them.
fn roots(inputs: Inputs) -> Result<BTreeSet<PathBuf>, String> {
    let settings = Settings::load(&inputs).map_err(|problems| problems.to_string())?.value;
    let mut roots = BTreeSet::from([settings.pipeline.queue.path.clone()]);
    // Pipelines may have folders of their own; without any pipeline there is still the common one.
    if let Ok(pipelines) = settings.pipelines(&inputs) {
        roots.extend(pipelines.value.into_iter().map(|pipeline| pipeline.queue.path));
    }
    Ok(roots)
}

/// The folders of queues below these, by name; one that is a queue itself counts, too.
fn queues(roots: &BTreeSet<PathBuf>, pipeline: Option<&str>) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for root in roots {
        if pipeline.is_none() && pages::is_queue(root) {
            found.push(root.clone());
            continue;
        }
        let entries = match std::fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("ERROR: {} can't be read: {error}\n", root.display())),
        };
        let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let wanted = |path: &PathBuf| {
            pipeline.is_none_or(|id| path.file_name().is_some_and(|name| name == id)) && pages::is_queue(path)
        };
        found.extend(folders.filter(wanted));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<QueueCommand, UsageError> {
        super::parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn flags_and_words_in_any_order() {
        let command = parse("check --path.queue /q main").unwrap();
        assert_eq!(command.path, Some(PathBuf::from("/q")));
        assert_eq!((command.task, command.pipeline.as_deref()), (Task::Check, Some("main")));
        assert_eq!(parse("--path.queue=/q repair").unwrap().task, Task::Repair);
        assert_eq!(parse("check --path.data /d").unwrap().flags[0].setting, "path.data");
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(parse("").unwrap_err().hint.unwrap().contains("check|repair"));
        assert_eq!(parse("chekc").unwrap_err().message, "Unknown command 'queue chekc'");
        assert!(parse("drain").unwrap_err().message.contains("not built yet"));
        assert!(parse("check --foo").is_err());
        assert!(parse("check a b").is_err());
    }
}
