//! The command line: Logstash's flags under their own names.
//!
//! A flag that takes a value sets the setting of the same name and is typed there, with the values of logstash.yml.
//! Nothing here reads a file or the environment.

use std::ffi::OsString;
use std::fmt;

use clap::builder::{NonEmptyStringValueParser, StringValueParser, ValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::dlq_command::{self, DlqCommand};
use crate::queue_command::{self, QueueCommand};
use crate::settings::{Flag, nearest};

/// The exit codes of the process.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// Bad flags, settings or configuration, a locked `path.data`, or no pipeline that could be started.
    pub const ERROR: u8 = 1;
}

/// The version line of `-V`.
pub const VERSION: &str = concat!("ferrostash ", env!("CARGO_PKG_VERSION"), " (Logstash 9.5.2 compatible)");

/// What the short usage says after a wrong flag.
pub const SHORT_USAGE: &str = "usage:
  ferrostash -f CONFIG_PATH [-t] [-r] [-w COUNT] [-l LOG]
  ferrostash -e CONFIG_STR [-t] [--log.level fatal|error|warn|info|debug|trace] [-w COUNT] [-l LOG]
  ferrostash dlq list|show|purge|replay
  ferrostash queue check|repair [--path.queue DIR] [PIPELINE_ID]
  ferrostash -V
  ferrostash --help
";

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Run, or with `-t` check the configuration, with these settings from the flags.
    Run {
        /// In the order of the command line.
        flags: Vec<Flag>,
        /// What to warn about once logging is up.
        warnings: Vec<String>,
    },
    /// Look into dead letter queues, replay or purge them.
    Dlq(DlqCommand),
    /// Look after queues.
    Queue(QueueCommand),
    /// Print this and leave with [`exit::OK`]: version or help.
    Print(String),
}

/// A command line that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong, in Logstash's words.
    pub message: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

impl std::error::Error for UsageError {}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ERROR: {}", self.message)?;
        if let Some(hint) = &self.hint {
            writeln!(f, "  {hint}")?;
        }
        write!(f, "\n{SHORT_USAGE}\nSee: 'ferrostash --help'")
    }
}

/// A flag and the setting that it gives a value.
struct FlagDef {
    short: Option<char>,
    /// The long form, where it is not the setting's name.
    long: Option<&'static str>,
    setting: &'static str,
    /// Name of the value in the help; none for a switch.
    value: Option<&'static str>,
    help: &'static str,
}

const fn value(
    short: Option<char>,
    setting: &'static str,
    value: &'static str,
    help: &'static str,
) -> FlagDef {
    FlagDef { short, long: None, setting, value: Some(value), help }
}

const fn switch(short: Option<char>, setting: &'static str, help: &'static str) -> FlagDef {
    FlagDef { short, long: None, setting, value: None, help }
}

/// Logstash's flags, in its order. Those that are not built are refused with their setting.
static FLAGS: &[FlagDef] = &[
    value(Some('n'), "node.name", "NAME", "Name of this instance (default: the host name)"),
    value(Some('f'), "path.config", "CONFIG_PATH", "Configuration: a file, a folder or a glob"),
    value(Some('e'), "config.string", "CONFIG_STRING", "Configuration as text, in the syntax of the files"),
    FlagDef {
        short: None,
        long: Some("field-reference-escape-style"),
        setting: "config.field_reference.escape_style",
        value: Some("STYLE"),
        help: "Escapes in field references: none, percent or ampersand",
    },
    value(None, "pipeline.id", "ID", "Name of the pipeline (default: main)"),
    value(Some('w'), "pipeline.workers", "COUNT", "Worker threads (default: one per core)"),
    value(None, "pipeline.ordered", "ORDERED", "Keep the order of events: auto, true or false"),
    FlagDef {
        short: None,
        long: Some("plugin-classloaders"),
        setting: "pipeline.plugin_classloaders",
        value: None,
        help: "No effect: there is no Java here",
    },
    value(
        None,
        "pipeline.batch.output_chunking.growth_threshold_factor",
        "FACTOR",
        "No effect: outputs cut their own requests",
    ),
    value(Some('b'), "pipeline.batch.size", "SIZE", "Most events a worker takes at once (default: 125)"),
    value(Some('u'), "pipeline.batch.delay", "DELAY_IN_MS", "Longest wait for a batch to fill (default: 50)"),
    switch(None, "pipeline.unsafe_shutdown", "Stop without waiting for events in flight"),
    value(None, "pipeline.ecs_compatibility", "STRING", "Field names of plugins: disabled, v1 or v8"),
    value(None, "path.data", "PATH", "Folder for state that outlives a run"),
    value(None, "path.dead_letter_queue", "PATH", "Folder of the dead letter queues (default: in path.data)"),
    value(Some('p'), "path.plugins", "PATH", "Refused: there are no Ruby plugins here"),
    value(Some('l'), "path.logs", "PATH", "Folder for a log file beside standard output"),
    value(None, "log.level", "LEVEL", "fatal, error, warn, info, debug or trace"),
    value(None, "log.format", "FORMAT", "plain or json"),
    value(
        None,
        "log.format.json.fix_duplicate_message_fields",
        "BOOL",
        "Rename a parameter called message in JSON lines",
    ),
    switch(None, "config.debug", "Log the compiled configuration (needs --log.level debug)"),
    value(Some('i'), "interactive", "SHELL", "Refused: there is no Ruby shell here"),
    switch(Some('t'), "config.test_and_exit", "Check the configuration and exit"),
    switch(Some('r'), "config.reload.automatic", "Reload the configuration when it changes"),
    value(
        None,
        "config.reload.interval",
        "INTERVAL",
        "Time between two looks at the configuration (default: 3s)",
    ),
    value(None, "api.enabled", "ENABLED", "Serve the API (default: true)"),
    value(None, "api.http.host", "HTTP_HOST", "Address of the API (default: 127.0.0.1)"),
    value(None, "api.http.port", "HTTP_PORT", "Port or ports of the API (default: 9600-9700)"),
    value(None, "path.settings", "SETTINGS_DIR", "Folder of logstash.yml; LS_SETTINGS_DIR says the same"),
    switch(None, "enable-local-plugin-development", "Refused: there are no Ruby plugins here"),
];

/// Old names for `--log.level`.
const OLD_LEVELS: [(&str, &str); 3] = [("verbose", "info"), ("debug", "debug"), ("quiet", "error")];

impl FlagDef {
    fn long(&self) -> &'static str {
        self.long.unwrap_or(self.setting)
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.setting).long(self.long()).help(self.help);
        let arg = if let Some(short) = self.short { arg.short(short) } else { arg };
        match self.value {
            // A value is whatever comes next, as in Logstash: `-e "- x"` has one that begins with a hyphen.
            Some(name) => arg.value_name(name).allow_hyphen_values(true).action(ArgAction::Append),
            None => arg.action(ArgAction::SetTrue).overrides_with(self.setting),
        }
    }
}

fn command() -> Command {
    let text = ValueParser::from(StringValueParser::new());
    let pair = ValueParser::from(NonEmptyStringValueParser::new());
    Command::new("ferrostash")
        .about("Runs Logstash pipelines in one native process.")
        .disable_version_flag(true)
        .no_binary_name(true)
        .args(FLAGS.iter().map(|flag| match flag.value {
            Some(_) => flag.arg().value_parser(text.clone()),
            None => flag.arg(),
        }))
        .arg(
            Arg::new("setting")
                .short('S')
                .long("setting")
                .value_name("KEY=VALUE")
                .help("Set any setting of logstash.yml")
                .value_parser(pair)
                .action(ArgAction::Append),
        )
        .args(OLD_LEVELS.map(|(name, level)| {
            Arg::new(name)
                .long(name)
                .help(format!("Deprecated: use --log.level {level}"))
                .action(ArgAction::SetTrue)
                .overrides_with(name)
        }))
        .arg(
            Arg::new("version")
                .short('V')
                .long("version")
                .help("Print the version")
                .action(ArgAction::SetTrue)
                .overrides_with("version"),
        )
        .arg(Arg::new("arguments").num_args(0..).hide(true))
}

/// Understands a command line, given without the name of the program.
///
/// # Errors
/// An unknown flag, a flag without its value, a malformed `-S`, or a sole argument that is no flag.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Action, UsageError> {
    let mut arguments = arguments.into_iter().peekable();
    if arguments.next_if(|first| first == "queue").is_some() {
        return queue_command::parse(arguments.collect()).map(Action::Queue);
    }
    if arguments.next_if(|first| first == "dlq").is_some() {
        return dlq_command::parse(arguments);
    }
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => return Ok(Action::Print(error.to_string())),
        Err(error) => return Err(usage_error(&error)),
    };
    if matches.get_flag("version") {
        return Ok(Action::Print(format!("{VERSION}\n")));
    }
    let mut warnings = Vec::new();
    let mut flags = flags_of(&matches)?;
    flags.extend(old_levels(&matches, &mut warnings));
    // Of several that set the same, the last one on the line counts.
    flags.sort_by_key(|(place, _)| *place);
    let flags: Vec<Flag> = flags.into_iter().map(|(_, flag)| flag).collect();
    let rest: Vec<&String> = matches.get_many("arguments").into_iter().flatten().collect();
    match rest.first() {
        // Logstash takes the first word for a command, and does not look at words after a flag.
        Some(word) if flags.is_empty() => return Err(unknown_command(word)),
        Some(_) => warnings.extend(rest.iter().map(|word| format!("The argument `{word}` is ignored"))),
        None => {}
    }
    Ok(Action::Run { flags, warnings })
}

/// The values of a flag, each with its place on the command line.
fn values<'a>(matches: &'a ArgMatches, id: &str) -> impl Iterator<Item = (usize, &'a String)> {
    let places = matches.indices_of(id).into_iter().flatten();
    places.zip(matches.get_many::<String>(id).into_iter().flatten())
}

/// The place of a switch on the command line, if it is there.
fn switched(matches: &ArgMatches, id: &str) -> Option<usize> {
    matches.get_flag(id).then(|| matches.index_of(id))?
}

fn flags_of(matches: &ArgMatches) -> Result<Vec<(usize, Flag)>, UsageError> {
    let mut flags = Vec::new();
    for def in FLAGS {
        let flag = |value: &str| Flag {
            setting: def.setting.into(),
            value: value.into(),
            flag: format!("--{}", def.long()),
        };
        match def.value {
            Some(_) => flags.extend(values(matches, def.setting).map(|(place, value)| (place, flag(value)))),
            None => flags.extend(switched(matches, def.setting).map(|place| (place, flag("true")))),
        }
    }
    for (place, pair) in values(matches, "setting") {
        let (setting, value) = pair.split_once('=').ok_or_else(|| UsageError {
            message: format!("option '-S': `{pair}` is not of the form KEY=VALUE"),
            hint: None,
        })?;
        let flag =
            Flag { setting: setting.trim().into(), value: value.into(), flag: format!("-S {setting}") };
        flags.push((place, flag));
    }
    Ok(flags)
}

fn old_levels(matches: &ArgMatches, warnings: &mut Vec<String>) -> Vec<(usize, Flag)> {
    let given = OLD_LEVELS.iter().filter_map(|(name, level)| Some((switched(matches, name)?, name, level)));
    given
        .map(|(place, name, level)| {
            warnings.push(format!("The flag --{name} is deprecated: use --log.level={level}"));
            let flag =
                Flag { setting: "log.level".into(), value: (*level).into(), flag: format!("--{name}") };
            (place, flag)
        })
        .collect()
}

fn unknown_command(word: &str) -> UsageError {
    let hint = match word {
        "plugin" | "keystore" => format!("the command `{word}` is not built yet"),
        _ => format!("to run a configuration, write: ferrostash -f {word}"),
    };
    UsageError { message: format!("Unknown command '{word}'"), hint: Some(hint) }
}

pub(crate) fn usage_error(error: &clap::Error) -> UsageError {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return UsageError { message: error.kind().to_string(), hint: None };
    };
    // clap adds the name of the value: `--path.config <CONFIG_PATH>`.
    let argument = argument.split(' ').next().unwrap_or(argument);
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let flag = argument.split('=').next().unwrap_or(argument);
            UsageError { message: format!("Unrecognised option '{flag}'"), hint: likely_flag(flag) }
        }
        ErrorKind::InvalidValue => {
            UsageError { message: format!("option '{argument}': no value provided"), hint: None }
        }
        kind => UsageError { message: format!("option '{argument}': {kind}"), hint: None },
    }
}

/// Most wrong flags are old ones, with a hyphen where there is a dot today.
fn likely_flag(flag: &str) -> Option<String> {
    let word = flag.trim_start_matches('-');
    let longs = FLAGS.iter().map(FlagDef::long).chain(["setting", "version", "help"]);
    let renamed = match word {
        "configtest" => Some("config.test_and_exit"),
        "http.host" => Some("api.http.host"),
        "http.port" => Some("api.http.port"),
        _ => nearest(&word.replace('-', "."), longs.clone()).or_else(|| nearest(word, longs)),
    };
    renamed.map(|long| format!("did you mean '--{long}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Action, UsageError> {
        super::parse(line.split_whitespace().map(OsString::from))
    }

    fn settings(line: &str) -> Vec<(String, String)> {
        match parse(line) {
            Ok(Action::Run { flags, .. }) => flags.into_iter().map(|f| (f.setting, f.value)).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn warnings(line: &str) -> Vec<String> {
        match parse(line) {
            Ok(Action::Run { warnings, .. }) => warnings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_is_well_formed() {
        command().debug_assert();
        for flag in FLAGS {
            assert!(crate::settings::is_setting(flag.setting), "{}", flag.setting);
        }
    }

    #[test]
    fn flags_set_settings_in_all_spellings() {
        let workers = [("pipeline.workers".to_owned(), "4".to_owned())];
        for line in ["-w 4", "-w4", "--pipeline.workers 4", "--pipeline.workers=4", "-S pipeline.workers=4"] {
            assert_eq!(settings(line), workers, "{line}");
        }
        assert_eq!(settings("-t"), [("config.test_and_exit".to_owned(), "true".to_owned())]);
        assert_eq!(settings("-w -1").len(), 1, "the settings refuse it, not the command line");
    }

    #[test]
    fn flags_keep_their_order_and_may_come_twice() {
        let values = |line| settings(line).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(values("-S log.level=warn --quiet --log.level trace"), ["warn", "error", "trace"]);
        assert_eq!(values("-w 1 -t -w 2 -t"), ["1", "2", "true"]);
    }

    #[test]
    fn an_empty_configuration_text_is_one() {
        let action = super::parse(["-e", ""].map(OsString::from)).unwrap();
        assert!(matches!(action, Action::Run { flags, .. } if flags[0].value.is_empty()));
    }

    #[test]
    fn version_and_help() {
        let Ok(Action::Print(version)) = parse("-V") else { panic!() };
        assert!(version.starts_with("ferrostash ") && version.ends_with(" (Logstash 9.5.2 compatible)\n"));
        let Ok(Action::Print(help)) = parse("--help") else { panic!() };
        assert!(help.contains("-f, --path.config <CONFIG_PATH>"), "{help}");
    }

    #[test]
    fn unknown_flags_get_a_suggestion() {
        for (flag, near) in [
            ("--log-level", "--log.level"),
            ("--pipeline.worker", "--pipeline.workers"),
            ("--configtest", "--config.test_and_exit"),
            ("--http.port=1", "--api.http.port"),
        ] {
            let error = parse(flag).unwrap_err();
            assert_eq!(error.message, format!("Unrecognised option '{}'", flag.split('=').next().unwrap()));
            assert_eq!(error.hint, Some(format!("did you mean '{near}'?")), "{flag}");
        }
        let error = parse("--foo").unwrap_err();
        assert!(error.to_string().starts_with("ERROR: Unrecognised option '--foo'\n\nusage:\n"), "{error}");
    }

    #[test]
    fn missing_values_and_malformed_settings() {
        assert_eq!(parse("-f").unwrap_err().message, "option '--path.config': no value provided");
        assert!(parse("-S workers").unwrap_err().message.contains("KEY=VALUE"));
    }

    #[test]
    fn words_are_commands_alone_and_nothing_after_flags() {
        let error = parse("foo.conf").unwrap_err();
        assert_eq!(error.message, "Unknown command 'foo.conf'");
        assert!(error.hint.unwrap().contains("-f foo.conf"));
        assert!(parse("keystore list").unwrap_err().hint.unwrap().contains("not built"));
        assert_eq!(warnings("--pipeline.unsafe_shutdown true"), ["The argument `true` is ignored"]);
    }

    #[test]
    fn old_level_flags_still_work() {
        assert_eq!(settings("--quiet"), [("log.level".to_owned(), "error".to_owned())]);
        assert!(warnings("--debug")[0].contains("--log.level=debug"));
    }
}
