//! `ferrostash dlq`: looks into dead letter queues, replays and purges them, without a running instance or beside one.

mod queues;
mod replay;
mod select;

use crate::cli::{Action, UsageError, exit};
use crate::settings::{Flag, Inputs, Settings};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};
use queues::{Queues, Stop};
use select::Selection;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// What to do with dead letter queues.
#[derive(Clone, Debug, PartialEq)]
pub struct DlqCommand {
    flags: Vec<Flag>,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    List { pipeline: Option<String> },
    Show { pipeline: String, selection: Selection, limit: Option<usize> },
    Purge { pipeline: String, older_than: Option<Duration> },
    Replay { pipeline: String, selection: Selection, purge: bool },
}

/// Settings that have a flag of their own here, as they have when pipelines run.
const SETTINGS: [(&str, &str); 3] = [
    ("path.dead_letter_queue", "Folder of the dead letter queues"),
    ("path.data", "Folder for state; the queues are in its folder dead_letter_queue"),
    ("path.settings", "Folder of logstash.yml and pipelines.yml"),
];

fn command() -> Command {
    let pipeline = || Arg::new("pipeline").value_name("PIPELINE").help("Whose queue: its pipeline.id");
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let selection = || {
        [
            text("reason", "TEXT", "Entries whose reason contains this"),
            text("plugin", "NAME", "Entries of the plugin of this name or id"),
            text("since", "TIME", "Entries from this time on, such as 2026-01-31T12:00:00Z"),
            text("until", "TIME", "Entries before this time"),
        ]
    };
    let settings = SETTINGS.iter().map(|(name, help)| text(name, "PATH", help).global(true));
    let subcommands = [
        Command::new("list").about("Segments of each queue: entries, bytes, times").arg(pipeline()),
        Command::new("show")
            .about("Entries as lines of JSON")
            .arg(pipeline().required(true))
            .args(selection())
            .arg(text("limit", "COUNT", "Most entries to show").value_parser(clap::value_parser!(usize))),
        Command::new("purge")
            .about("Deletes sealed segments; what is being written stays")
            .arg(pipeline().required(true))
            .arg(text("older-than", "AGE", "Only segments in which everything is older, such as 5d, 12h or 30m")),
        Command::new("replay")
            .about("Runs filters and outputs of a configuration on the entries, once, and ends")
            .long_about(
                "Runs the filter and output sections of a configuration, with the dead letters as its only input, and ends \
                 when each is settled. What can't be delivered this time either goes to the queue PIPELINE.replay.",
            )
            .arg(pipeline().required(true))
            .arg(text("path.config", "CONFIG_PATH", "The configuration").short('f').required(true))
            .args(selection())
            .arg(
                Arg::new("purge")
                    .long("purge")
                    .help("Delete what was replayed, once all of it is settled")
                    .action(ArgAction::SetTrue)
                    .conflicts_with_all(["reason", "plugin", "since", "until"]),
            ),
    ];
    Command::new("ferrostash dlq")
        .about("Looks into dead letter queues, replays and purges them.")
        .no_binary_name(true)
        .subcommand_required(true)
        .args(settings)
        .arg(
            Arg::new("setting")
                .short('S')
                .long("setting")
                .value_name("KEY=VALUE")
                .help("Set any setting of logstash.yml")
                .global(true)
                .action(ArgAction::Append),
        )
        .subcommands(subcommands)
}

/// Understands what stands behind the word `dlq`.
///
/// # Errors
/// An unknown command or flag, a missing argument, a malformed time.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Action, UsageError> {
    let usage = |message: String| UsageError { message, hint: Some("see: ferrostash dlq --help".to_owned()) };
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => return Ok(Action::Print(error.to_string())),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            return Err(usage(format!("dlq: {}", first.trim_start_matches("error: "))));
        }
    };
    let Some((name, matches)) = matches.subcommand() else {
        return Err(usage("dlq: which command?".to_owned()));
    };
    let flags = flags_of(matches).map_err(usage)?;
    let what = what_of(name, matches).map_err(usage)?;
    Ok(Action::Dlq(DlqCommand { flags, what }))
}

fn what_of(name: &str, matches: &ArgMatches) -> Result<What, String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let pipeline = text("pipeline");
    if name == "list" {
        return Ok(What::List { pipeline });
    }
    let pipeline = pipeline.ok_or("dlq: which pipeline?")?;
    let selection = || Selection::new(text("reason"), text("plugin"), text("since"), text("until"));
    match name {
        "show" => {
            Ok(What::Show { pipeline, selection: selection()?, limit: matches.get_one("limit").copied() })
        }
        "purge" => Ok(What::Purge {
            pipeline,
            older_than: text("older-than").as_deref().map(select::age).transpose()?,
        }),
        _ => Ok(What::Replay { pipeline, selection: selection()?, purge: matches.get_flag("purge") }),
    }
}

fn flags_of(matches: &ArgMatches) -> Result<Vec<Flag>, String> {
    let mut flags = Vec::new();
    for pair in matches.get_many::<String>("setting").into_iter().flatten() {
        let (setting, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("option '-S': `{pair}` is not of the form KEY=VALUE"))?;
        flags.push(Flag {
            setting: setting.trim().to_owned(),
            value: value.to_owned(),
            flag: format!("-S {setting}"),
        });
    }
    for name in SETTINGS.iter().map(|(name, _)| *name).chain(["path.config"]) {
        if let Ok(Some(value)) = matches.try_get_one::<String>(name) {
            let flag = format!("--{name}");
            flags.push(Flag { setting: name.to_owned(), value: value.clone(), flag });
        }
    }
    Ok(flags)
}

/// Does it.
pub(crate) fn run(command: DlqCommand, env: std::collections::BTreeMap<String, String>) -> ExitCode {
    let inputs = Inputs { flags: command.flags, env };
    let settings = match Settings::load(&inputs) {
        Ok(settings) => settings.value,
        Err(problems) => return crate::failed(&problems),
    };
    let queues = Queues::new(&settings, &inputs);
    let mut out = std::io::stdout().lock();
    let done = match command.what {
        What::List { pipeline } => queues.list(pipeline.as_deref(), &mut out),
        What::Show { pipeline, selection, limit } => queues.show(&pipeline, selection, limit, &mut out),
        What::Purge { pipeline, older_than } => queues.purge(&pipeline, older_than, &mut out),
        What::Replay { pipeline, selection, purge } => {
            drop(out);
            return match replay::run(&settings, &inputs, &queues, &pipeline, selection, purge) {
                Ok(code) => code,
                Err(error) => crate::failed(&format!("ERROR: {error}")),
            };
        }
    };
    match done.and_then(|()| out.flush().map_err(queues::closed)) {
        Ok(()) | Err(Stop::Enough) => ExitCode::from(exit::OK),
        Err(Stop::Failed(error)) => crate::failed(&format!("ERROR: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Action, UsageError> {
        super::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands_and_their_options() {
        command().debug_assert();
        let Ok(Action::Dlq(list)) = parse("list --path.data /x") else { panic!() };
        assert_eq!((list.flags[0].setting.as_str(), list.what), ("path.data", What::List { pipeline: None }));
        let Ok(Action::Dlq(purge)) = parse("purge main --older-than 2h") else { panic!() };
        let older_than = Some(Duration::from_secs(7200));
        assert_eq!(purge.what, What::Purge { pipeline: "main".to_owned(), older_than });
        let Ok(Action::Print(help)) = parse("--help") else { panic!() };
        assert!(help.contains("replay"), "{help}");
        for (line, message) in [
            ("", "dlq: "),
            ("lost", "unrecognized subcommand"),
            ("show", "required arguments"),
            ("replay main", "required arguments"),
            ("show main --since yesterday", "`yesterday` is no ISO 8601 time"),
            ("purge main --older-than old", "`old` is no age"),
            ("replay main -f x --purge --reason y", "cannot be used with"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.message.contains(message), "{line}: {error}");
        }
    }
}
