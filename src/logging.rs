//! Logs, as Logstash writes them: one line per event on standard output, plain or JSON.
//!
//! ```text
//! [2026-01-02T03:04:05,678][INFO ][logstash.javapipeline    ][main] Pipeline started {"pipeline.id" => "main"}
//! ```
//!
//! Code logs with `tracing`: a constant message, values as fields. The logger's name comes from the target, either
//! given (`target: "logstash.agent"`) or made from the module path (`ferrostash_filters::grok` is
//! `logstash.filters.grok`). `[main]` and the plugin's id come from the fields `pipeline.id` and `plugin.id` of the
//! spans around. Two fields are marks that are not printed: `fatal = true` makes an error FATAL, and `limited = true`
//! is for lines that data can trigger: at most [`LIMITED_PER_SECOND`] of them per second and call site.

mod layer;
mod levels;
mod line;
mod rate_limit;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use self::layer::LogLayer;
use self::levels::Levels;
pub use self::levels::{LogLevel, logger_name};
pub use self::rate_limit::{Permit, RateLimit};
use crate::settings::choice;

/// Most lines per second of one call site that are marked `limited = true`.
pub const LIMITED_PER_SECOND: u32 = 5;

choice! {
    /// `log.format`.
    LogFormat {
        /// One JSON object per line.
        Json = "json",
        /// Logstash's line.
        Plain = "plain",
    }
}

/// `log.*` and `path.logs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `log.level`
    pub level: LogLevel,
    /// `log.format`
    pub format: LogFormat,
    /// `log.format.json.fix_duplicate_message_fields`: call a parameter named message `message_1` in JSON.
    pub fix_duplicate_message_fields: bool,
    /// `path.logs`, when it is set: a file there gets the same lines as standard output.
    pub folder: Option<PathBuf>,
}

/// Where lines go; each write is one whole line.
#[derive(Debug)]
struct Output {
    file: Option<Mutex<File>>,
}

impl Output {
    fn open(settings: &LogSettings) -> io::Result<Self> {
        let Some(folder) = &settings.folder else { return Ok(Self { file: None }) };
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("logstash-{}.log", settings.format));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Some(Mutex::new(file)) })
    }

    /// Writes a line. There is nowhere left to report a failure of the log itself, so it is ignored.
    fn write(&self, line: &[u8]) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(line).and_then(|()| stdout.flush());
        drop(stdout);
        if let Some(file) = &self.file {
            let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let _ = file.write_all(line);
        }
    }
}

/// Changes levels while running.
#[derive(Clone, Debug)]
pub struct LogHandle {
    levels: reload::Handle<Levels, Registry>,
    initial: LogLevel,
}

impl LogHandle {
    /// Sets the level of a logger and of all below it (`logstash.filters` and `logstash.filters.grok`); the empty name
    /// is the root logger.
    pub fn set_level(&self, logger: &str, level: LogLevel) {
        // It only fails when the subscriber is gone, and then nobody logs.
        let _ = self.levels.modify(|levels| levels.set(logger, level));
    }

    /// Takes back all changes.
    pub fn reset(&self) {
        let initial = self.initial;
        let _ = self.levels.modify(|levels| *levels = Levels::new(initial));
    }

    /// The levels that are set, by logger name; `""` is the root logger.
    #[must_use]
    pub fn levels(&self) -> Vec<(String, LogLevel)> {
        self.levels.with_current(Levels::list).unwrap_or_default()
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the log file can't be opened, or logging was started before.
pub fn init(settings: &LogSettings) -> io::Result<LogHandle> {
    let output = Output::open(settings)?;
    let (levels, handle) = reload::Layer::new(Levels::new(settings.level));
    let lines = LogLayer::new(settings, Box::new(move |line| output.write(line)));
    Registry::default().with(lines.with_filter(levels)).try_init().map_err(io::Error::other)?;
    Ok(LogHandle { levels: handle, initial: settings.level })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_to_the_file_of_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings {
            level: LogLevel::Info,
            format: LogFormat::Json,
            fix_duplicate_message_fields: true,
            folder: Some(folder.path().join("new")),
        };
        Output::open(&settings).unwrap().write(b"one\n");
        Output::open(&settings).unwrap().write(b"two\n");
        let text = std::fs::read_to_string(folder.path().join("new/logstash-json.log")).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }
}
