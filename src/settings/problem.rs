//! What is wrong with the settings: all of it at once, each with its place and a suggestion.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use ferrostash_conf::mask_yaml;

/// A settings file as read, kept for messages.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A settings file, at these bytes.
    File(Arc<SourceFile>, Range<usize>),
    /// The environment variable of this name.
    Env(String),
    /// The flag, as written.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(file, span) => {
                let before = file.text.get(..span.start).unwrap_or(&file.text);
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
                write!(f, "{}:{line}:{column}", file.path.display())
            }
            Origin::Env(name) => write!(f, "environment variable {name}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    hint: Option<String>,
    origin: Origin,
    /// The sentence Logstash has for it, for people who search their logs for it.
    logstash: Option<String>,
}

impl Problem {
    pub(crate) fn new(origin: Origin, message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, origin, logstash: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn logstash(mut self, sentence: impl Into<String>) -> Self {
        self.logstash = Some(sentence.into());
        self
    }

    /// What is wrong, in one line, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// `file:line:column`, the environment variable or the flag.
    #[must_use]
    pub fn place(&self) -> String {
        self.origin.to_string()
    }

    /// Message, place and suggestion in one line, as a log line wants it.
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut line = self.message.clone();
        if !matches!(self.origin, Origin::Default) {
            line += &format!(" ({})", self.origin);
        }
        if let Some(hint) = &self.hint {
            line += &format!("; {hint}");
        }
        line
    }

    fn render(&self) -> String {
        let Origin::File(file, span) = &self.origin else {
            let place = match &self.origin {
                Origin::Default => String::new(),
                other => format!("\n  = set by the {other}"),
            };
            let hint = self.hint.iter().map(|hint| format!("\n  = {hint}"));
            return format!("error: {}{place}{}", self.message, hint.collect::<String>());
        };
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mark = AnnotationKind::Primary.span(span.clone()).label(self.hint.as_deref());
        let snippet =
            Snippet::source(mask_yaml(&file.text)).path(file.path.display().to_string()).annotation(mark);
        Renderer::plain().render(&[Group::with_title(title).element(snippet)])
    }
}

/// All that is wrong; never empty. `Display` gives the whole report, with the lines and carets.
#[derive(Debug)]
pub struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// The problems, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{}", problem.render())?;
        }
        for sentence in self.0.iter().filter_map(|p| p.logstash.as_deref()) {
            writeln!(f, "{sentence}")?;
        }
        Ok(())
    }
}
