//! Logstash's configuration language: from files to what plugins are built from.
//!
//! A [`SourceMap`] holds the texts, [`grammar::parse`] reads one into an [`ast::Document`], and everything that is
//! wrong is collected in [`Diagnostics`].

extern crate self as ferrostash_conf;

pub mod ast;
mod bytes;
mod codec_conf;
pub mod common;
mod condition;
mod conf_value;
mod diagnostics;
mod duration;
mod ecs;
mod from_conf;
pub mod grammar;
mod java_hash;
pub mod lower;
mod option_kind;
mod options;
mod password;
mod plugin_block;
mod secrets;
mod source;
mod uri;
mod vars;

pub use bytes::Bytes;
pub use codec_conf::CodecConf;
pub use common::{CommonCodec, CommonFilter, CommonInput, CommonOutput};
pub use condition::{CompareOperator, Condition, ConditionKind, Operand};
pub use conf_value::{ConfKind, ConfValue, Pair};
pub use diagnostics::{Diagnostic, Diagnostics, Level, LogstashError, suggest};
pub use ecs::EcsCompatibility;
pub use ferrostash_conf_derive::{OptionEnum, Options};
pub use from_conf::{ConvertError, FromConf, OptionEnum, Spanned};
pub use lower::{Arm, If, Sections, Statement};
pub use option_kind::{OptionKind, Refusal};
pub use options::{OptionDef, OptionReader, OptionsDef};
pub use password::Password;
pub use plugin_block::{Attr, PluginBlock, PluginKind};
pub use source::{LineColumn, Protocol, Source, SourceId, SourceMap, Span};
pub use uri::Uri;
pub use vars::{Vars, expand_block, expand_statements};
