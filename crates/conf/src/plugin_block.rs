//! One plugin of a pipeline, before it is built.

use std::fmt;

use crate::conf_value::ConfValue;
use crate::source::Span;

/// What a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginKind {
    /// Brings events in.
    Input,
    /// Changes events.
    Filter,
    /// Takes events out.
    Output,
    /// Turns bytes into events or back.
    Codec,
}

impl PluginKind {
    /// `input`, `filter`, `output` or `codec`.
    pub const fn name(self) -> &'static str {
        match self {
            PluginKind::Input => "input",
            PluginKind::Filter => "filter",
            PluginKind::Output => "output",
            PluginKind::Codec => "codec",
        }
    }
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `name { option => value … }` with its values worked out.
#[derive(Clone, Debug)]
pub struct PluginBlock {
    /// Input, filter, output or codec.
    pub kind: PluginKind,
    /// Its name; one that was quoted keeps its quotes, and so belongs to no plugin.
    pub name: String,
    /// Where the name is written.
    pub name_span: Span,
    /// The whole block.
    pub span: Span,
    /// The option `id`, or one made of its place and text, stable as long as these are.
    pub id: String,
    /// Whether `id` was given.
    pub has_explicit_id: bool,
    /// Its options, each once, in the order of their first appearance.
    pub options: Vec<Attr>,
}

/// One option as given.
#[derive(Clone, Debug)]
pub struct Attr {
    /// Its name.
    pub name: String,
    /// Where the name is written.
    pub name_span: Span,
    /// Its value.
    pub value: ConfValue,
}

impl PluginBlock {
    /// A block without options, as a codec's name alone stands for.
    pub fn bare(kind: PluginKind, name: impl Into<String>, span: Span) -> PluginBlock {
        PluginBlock {
            kind,
            name: name.into(),
            name_span: span,
            span,
            id: String::new(),
            has_explicit_id: false,
            options: Vec::new(),
        }
    }

    /// The option with this name.
    pub fn option(&self, name: &str) -> Option<&Attr> {
        self.options.iter().find(|attr| attr.name == name)
    }
}
