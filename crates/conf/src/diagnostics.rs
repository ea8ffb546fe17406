//! Errors and warnings about a configuration, all of them at once.
//!
//! A diagnostic says in our words what is wrong, shows the place, and suggests what to write instead. Where
//! Logstash refuses the same text, its own sentence follows, so that searches in logs keep working.

use std::borrow::Cow;
use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level as Title, Renderer, Snippet};

use crate::secrets;
use crate::source::{SourceMap, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The pipeline runs, but somebody should look at it.
    Warning,
    /// The pipeline cannot run.
    Error,
}

/// What Logstash raises at the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogstashError {
    /// Class of its exception, such as `LogStash::ConfigurationError`.
    pub class: Cow<'static, str>,
    /// Its message.
    pub message: String,
}

/// One error or warning.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Error or warning.
    pub level: Level,
    /// One line: what is wrong.
    pub message: String,
    /// The place, with a short label for the caret.
    pub primary: Option<(Span, String)>,
    /// Other places that matter, such as where an open brace stands.
    pub secondary: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Vec<String>,
    /// What Logstash says there.
    pub logstash: Option<LogstashError>,
}

impl Diagnostic {
    /// An error.
    pub fn error(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Level::Error, message.into())
    }

    /// A warning.
    pub fn warning(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Level::Warning, message.into())
    }

    fn new(level: Level, message: String) -> Diagnostic {
        Diagnostic {
            level,
            message: masked(message),
            primary: None,
            secondary: Vec::new(),
            help: Vec::new(),
            logstash: None,
        }
    }

    /// Points at the place; the label may be empty.
    #[must_use]
    pub fn at(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.primary = Some((span, masked(label)));
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.secondary.push((span, masked(label)));
        self
    }

    /// Adds a line of advice.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help.push(masked(text));
        self
    }

    /// Adds what Logstash says.
    #[must_use]
    pub fn logstash(mut self, class: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Diagnostic {
        self.logstash = Some(LogstashError { class: class.into(), message: masked(message) });
        self
    }

    /// The text of this diagnostic: title, excerpt with carets, advice, Logstash's sentence. Ends with a newline.
    pub fn render(&self, sources: &SourceMap, coloured: bool) -> String {
        let title = match self.level {
            Level::Error => Title::ERROR,
            Level::Warning => Title::WARNING,
        };
        let mut group = title.primary_title(self.message.as_str()).elements(self.snippets(sources));
        for text in &self.help {
            group = group.element(Title::HELP.message(text.as_str()));
        }
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let mut text = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
        text.push('\n');
        if let Some(logstash) = &self.logstash {
            let _ = writeln!(text, "Logstash says: {}: {}", logstash.class, logstash.message);
        }
        text
    }

    fn snippets<'a>(&'a self, sources: &'a SourceMap) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let mut snippets: Vec<(crate::SourceId, Snippet<'a, annotate_snippets::Annotation<'a>>)> = Vec::new();
        let places = self.primary.iter().map(|place| (AnnotationKind::Primary, place));
        let places = places.chain(self.secondary.iter().map(|place| (AnnotationKind::Context, place)));
        for (kind, (span, label)) in places {
            let Some(source) = sources.get(span.source) else { continue };
            let mut annotation = kind.span(visible(&source.text, *span));
            if !label.is_empty() {
                annotation = annotation.label(label.as_str());
            }
            let known = snippets.iter().position(|(id, _)| *id == span.source);
            let snippet = match known {
                Some(at) => snippets.swap_remove(at).1,
                None => Snippet::source(secrets::mask(&source.text)).path(source.name.as_str()).fold(true),
            };
            snippets.push((span.source, snippet.annotation(annotation)));
        }
        snippets.into_iter().map(|(_, snippet)| snippet).collect()
    }
}

/// Some sentences quote the configuration.
fn masked(text: impl Into<String>) -> String {
    let text = text.into();
    match secrets::mask(&text) {
        Cow::Owned(masked) => masked,
        Cow::Borrowed(_) => text,
    }
}

/// A range that can be underlined: within the text, on its first line only, and not empty unless at a line's end.
fn visible(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let first_line = text.get(start..end).and_then(|s| s.find(['\n', '\r'])).map_or(end, |at| start + at);
    let end = if first_line > start { first_line } else { end.min(start + 1) };
    match text.get(start..end) {
        Some(_) => start..end,
        None => start..start,
    }
}

/// Every error and warning found so far.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// None yet.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// In the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Whether anything forbids running.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.level == Level::Error)
    }

    /// How many errors there are.
    pub fn error_count(&self) -> usize {
        self.list.iter().filter(|d| d.level == Level::Error).count()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Moves all of `other` behind these.
    pub fn append(&mut self, mut other: Diagnostics) {
        self.list.append(&mut other.list);
    }

    /// All of them as text, each followed by an empty line.
    pub fn render(&self, sources: &SourceMap, coloured: bool) -> String {
        self.list.iter().map(|d| d.render(sources, coloured) + "\n").collect()
    }

    /// The first sentence of Logstash among the errors: what it would have stopped with.
    pub fn logstash_error(&self) -> Option<&LogstashError> {
        self.list.iter().filter(|d| d.level == Level::Error).find_map(|d| d.logstash.as_ref())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

/// The name among `known` that `wrong` was probably meant to be.
pub fn suggest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: enough for typing errors, too little for another word.
    let limit = (wrong.chars().count() / 3).max(1);
    let near = |name: &&str| strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase());
    known.into_iter().filter(|name| near(name) <= limit).min_by_key(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Protocol;

    #[test]
    fn looks_like_this() {
        let mut sources = SourceMap::new();
        let text = "filter {\n  truncate {\n    lenght_bytes => 5\n  }\n}\n";
        let id = sources.add(Protocol::File, "conf.d/20-app.conf", text);
        let start = text.find("lenght").unwrap();
        let diagnostic = Diagnostic::error("unknown option `lenght_bytes` for filter `truncate`")
            .at(Span::new(id, start..start + 12), "did you mean `length_bytes`?")
            .logstash("LogStash::ConfigurationError", "Unknown setting 'lenght_bytes' for truncate");
        assert_eq!(
            diagnostic.render(&sources, false),
            "\
error: unknown option `lenght_bytes` for filter `truncate`
 --> conf.d/20-app.conf:3:5
  |
3 |     lenght_bytes => 5
  |     ^^^^^^^^^^^^ did you mean `length_bytes`?
Logstash says: LogStash::ConfigurationError: Unknown setting 'lenght_bytes' for truncate
"
        );
        assert!(diagnostic.render(&sources, true).contains("\u{1b}["));
    }

    #[test]
    fn passwords_of_the_line_are_hidden() {
        let mut sources = SourceMap::new();
        let text = "output { http { password => \"hunter2\" ulr => 1 } }";
        let id = sources.add(Protocol::String, "config string", text);
        let start = text.find("ulr").unwrap();
        let shown = Diagnostic::error("x").at(Span::new(id, start..start + 3), "").render(&sources, false);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("config string:1:39"), "{shown}");
    }

    #[test]
    fn suggestions_are_near() {
        assert_eq!(suggest("add_tags", ["add_tag", "add_field"]), Some("add_tag"));
        assert_eq!(suggest("foo", ["add_tag", "add_field"]), None);
    }
}
