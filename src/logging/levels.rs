//! Levels per logger, the most specific one deciding.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use crate::settings::choice;

/// Most loggers that can have a level of their own.
const LOGGERS_MAX: usize = 1000;

choice! {
    /// `log.level`, the most severe first.
    #[derive(PartialOrd, Ord)]
    LogLevel {
        /// The process ends.
        Fatal = "fatal",
        /// Something was lost or does not work.
        Error = "error",
        /// Something may be wrong.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// How it happens.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}

impl LogLevel {
    /// The level of an event: FATAL when it is marked.
    pub(crate) fn of(metadata: &Metadata<'_>) -> Self {
        match *metadata.level() {
            Level::ERROR if metadata.fields().field("fatal").is_some() => LogLevel::Fatal,
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            Level::DEBUG => LogLevel::Debug,
            Level::TRACE => LogLevel::Trace,
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Fatal | LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}

/// Logstash's name for the logger of a tracing target.
///
/// `logstash.agent` stays, `ferrostash::agent` and `ferrostash_filters::grok::matcher` become `logstash.agent` and
/// `logstash.filters.grok`, other crates keep their path with dots.
#[must_use]
pub fn logger_name(target: &str) -> Cow<'_, str> {
    let Some(own) = target.strip_prefix("ferrostash") else {
        return if target.contains("::") { target.replace("::", ".").into() } else { target.into() };
    };
    let path = own.trim_start_matches(['_', ':']);
    let (head, rest) = path.split_once("::").unwrap_or((path, ""));
    match head {
        "" => "logstash.runner".into(),
        // A plugin is one logger, however many modules it has.
        "inputs" | "filters" | "outputs" | "codecs" => {
            let plugin = rest.split("::").next().filter(|name| !name.is_empty());
            plugin.map_or_else(|| format!("logstash.{head}"), |name| format!("logstash.{head}.{name}")).into()
        }
        _ => format!("logstash.{}", path.replace("::", ".")).into(),
    }
}

/// The levels in force.
#[derive(Debug)]
pub(crate) struct Levels {
    root: LogLevel,
    loggers: BTreeMap<String, LogLevel>,
}

impl Levels {
    pub(crate) fn new(root: LogLevel) -> Self {
        Self { root, loggers: BTreeMap::new() }
    }

    /// A level set for `logstash.filters` replaces those set below it, as in Logstash.
    pub(crate) fn set(&mut self, logger: &str, level: LogLevel) {
        if logger.is_empty() {
            *self = Self::new(level);
            return;
        }
        self.loggers.retain(|name, _| !is_below(name, logger));
        if self.loggers.len() < LOGGERS_MAX {
            self.loggers.insert(logger.to_owned(), level);
        }
    }

    pub(crate) fn list(&self) -> Vec<(String, LogLevel)> {
        let root = std::iter::once((String::new(), self.root));
        root.chain(self.loggers.iter().map(|(name, level)| (name.clone(), *level))).collect()
    }

    fn level_of(&self, logger: &str) -> LogLevel {
        let mut name = logger;
        loop {
            if let Some(level) = self.loggers.get(name) {
                return *level;
            }
            match name.rsplit_once('.') {
                Some((parent, _)) => name = parent,
                None => return self.root,
            }
        }
    }

    fn shows(&self, metadata: &Metadata<'_>) -> bool {
        // Spans carry the pipeline and plugin of what is logged inside them, so they are always there.
        metadata.is_span() || LogLevel::of(metadata) <= self.level_of(&logger_name(metadata.target()))
    }
}

fn is_below(name: &str, logger: &str) -> bool {
    name.strip_prefix(logger).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl<S: Subscriber> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.shows(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.shows(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Spans count as INFO here, so INFO is the least that has to pass.
        let loudest = self.loggers.values().copied().chain([self.root, LogLevel::Info]).max();
        loudest.map(LogLevel::filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_become_logger_names() {
        for (target, name) in [
            ("logstash.agent", "logstash.agent"),
            ("org.logstash.ackedqueue.Queue", "org.logstash.ackedqueue.Queue"),
            ("ferrostash", "logstash.runner"),
            ("ferrostash::agent", "logstash.agent"),
            ("ferrostash::api::node", "logstash.api.node"),
            ("ferrostash_filters::grok::matcher", "logstash.filters.grok"),
            ("ferrostash_inputs", "logstash.inputs"),
            ("ferrostash_kafka::input", "logstash.kafka.input"),
            ("hyper::client", "hyper.client"),
        ] {
            assert_eq!(logger_name(target), name);
        }
    }

    #[test]
    fn the_nearest_logger_above_decides() {
        let mut levels = Levels::new(LogLevel::Info);
        levels.set("logstash.filters", LogLevel::Debug);
        levels.set("logstash.filters.grok", LogLevel::Error);
        assert_eq!(levels.level_of("logstash.filters.date"), LogLevel::Debug);
        assert_eq!(levels.level_of("logstash.filters.grok.x"), LogLevel::Error);
        assert_eq!(levels.level_of("logstash.filtersx"), LogLevel::Info);
        levels.set("logstash", LogLevel::Warn);
        assert_eq!(levels.level_of("logstash.filters.grok"), LogLevel::Warn);
        assert_eq!(levels.list(), [(String::new(), LogLevel::Info), ("logstash".into(), LogLevel::Warn)]);
        levels.set("", LogLevel::Error);
        assert_eq!(levels.list(), [(String::new(), LogLevel::Error)]);
    }
}
