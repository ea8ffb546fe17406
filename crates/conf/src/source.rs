//! The texts that a pipeline is made of, and places in them.

use std::fmt;
use std::ops::Range;

/// Which text of a [`SourceMap`] a [`Span`] lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(u32);

impl SourceId {
    const NOWHERE: SourceId = SourceId(u32::MAX);
}

/// A range of bytes in one source; what every error points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The text that it lies in.
    pub source: SourceId,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

impl Span {
    /// A range of bytes in `source`.
    pub fn new(source: SourceId, range: Range<usize>) -> Span {
        Span { source, start: range.start, end: range.end }
    }

    /// For values that no text contains, such as defaults; an error there has a message but no excerpt.
    pub const fn nowhere() -> Span {
        Span { source: SourceId::NOWHERE, start: 0, end: 0 }
    }

    /// Whether there is a text to show.
    pub fn is_somewhere(&self) -> bool {
        self.source != SourceId::NOWHERE
    }

    /// From the start of this span to the end of the other one, in the same source.
    pub fn to(self, other: Span) -> Span {
        Span { end: other.end, ..self }
    }
}

/// Where a text came from; decides, with the name, the order of a pipeline's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// A file of `path.config`.
    File,
    /// `config.string`, `-e`, or a section that was added to it.
    String,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::File => "file",
            Protocol::String => "string",
        })
    }
}

/// A place as people count: both numbers start at 1, columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One text with its name.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its number in the map.
    pub id: SourceId,
    /// Where it came from.
    pub protocol: Protocol,
    /// Path of the file, or `config string`.
    pub name: String,
    /// The text, as read.
    pub text: String,
}

impl Source {
    /// Line and column of a byte offset; an offset behind the end counts as the end.
    pub fn line_column(&self, offset: usize) -> LineColumn {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        LineColumn {
            line: before.bytes().filter(|&b| b == b'\n').count() + 1,
            column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
        }
    }
}

/// All texts of one pipeline.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
}

impl SourceMap {
    /// A map without texts.
    pub fn new() -> SourceMap {
        SourceMap::default()
    }

    /// Adds a text.
    pub fn add(&mut self, protocol: Protocol, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let id = SourceId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX - 1));
        self.sources.push(Source { id, protocol, name: name.into(), text: text.into() });
        id
    }

    /// The text with this number.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(id.0 as usize)
    }

    /// The texts in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The characters of a span; empty for a span that lies nowhere.
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.source).and_then(|source| source.text.get(span.start..span.end)).unwrap_or("")
    }

    /// `path:line:column` of the start of a span, as logs and metrics name a plugin's place.
    pub fn place(&self, span: Span) -> String {
        match self.get(span.source) {
            Some(source) => {
                let at = source.line_column(span.start);
                format!("{}:{}:{}", source.name, at.line, at.column)
            }
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters() {
        let mut map = SourceMap::new();
        let id = map.add(Protocol::String, "config string", "input {}\n# é x\n");
        let source = map.get(id).unwrap();
        assert_eq!(source.line_column(0), LineColumn { line: 1, column: 1 });
        assert_eq!(source.line_column(14), LineColumn { line: 2, column: 5 });
        assert_eq!(map.place(Span::new(id, 14..15)), "config string:2:5");
        assert_eq!(map.slice(Span::new(id, 0..5)), "input");
        assert_eq!(map.slice(Span::nowhere()), "");
    }
}
