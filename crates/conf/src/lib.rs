//! Logstash's configuration language: from files to what plugins are built from.
//!
//! A [`SourceMap`] holds the texts, [`grammar::parse`] reads one into an [`ast::Document`], and everything that is
//! wrong is collected in [`Diagnostics`].

extern crate self as ferrostash_conf;

pub mod ast;
mod condition;
mod conf_value;
mod diagnostics;
pub mod grammar;
pub mod lower;
mod password;
mod plugin_block;
mod secrets;
mod source;
mod uri;

pub use condition::{CompareOperator, Condition, ConditionKind, Operand};
pub use conf_value::{ConfKind, ConfValue, Pair};
pub use diagnostics::{Diagnostic, Diagnostics, Level, LogstashError, suggest};
pub use lower::{Arm, If, Sections, Statement};
pub use password::Password;
pub use plugin_block::{Attr, PluginBlock, PluginKind};
pub use source::{LineColumn, Protocol, Source, SourceId, SourceMap, Span};
pub use uri::Uri;
