//! Logstash's configuration language: from files to what plugins are built from.
//!
//! A [`SourceMap`] holds the texts ([`load_path`], [`load_string`]). [`PipelineConf::parse`] puts a pipeline together:
//!
//! 1. [`grammar::parse`] reads each text into an [`ast::Document`]: what is written, with the place of everything;
//! 2. [`lower::lower`] works out what it means: [`PluginBlock`]s with [`ConfValue`]s, [`Condition`]s with structure;
//! 3. variables are replaced from [`Vars`], and every plugin gets its id.
//!
//! A plugin declares its options as a struct with `#[derive(Options)]` and reads a block with
//! [`OptionsDef::from_conf`]; the options that all plugins of a kind have are in [`common`]. Types that options can
//! have implement [`FromConf`], and [`OptionKind`] has Logstash's validators with their coercions and words.
//!
//! Nothing here stops at the first error: everything wrong is collected in [`Diagnostics`], each with its place, a
//! suggestion, and the sentence that Logstash says about it.

extern crate self as ferrostash_conf;

pub mod ast;
mod bytes;
mod codec_conf;
pub mod common;
mod condition;
mod conf_value;
mod config;
mod diagnostics;
mod duration;
mod ecs;
mod from_conf;
pub mod grammar;
mod ids;
mod java_hash;
mod load;
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
pub use config::{ConfSettings, PipelineConf};
pub use diagnostics::{Diagnostic, Diagnostics, Level, LogstashError, suggest};
pub use ecs::EcsCompatibility;
pub use ferrostash_conf_derive::{OptionEnum, Options};
pub use from_conf::{ConvertError, FromConf, OptionEnum, Spanned};
pub use load::{BRACE_PATTERNS_MAX, FILE_BYTES_MAX, load_path, load_string};
pub use lower::{Arm, If, Sections, Statement};
pub use option_kind::{OptionKind, Refusal};
pub use options::{OptionDef, OptionReader, OptionsDef, join_options};
pub use password::Password;
pub use plugin_block::{Attr, PluginBlock, PluginKind};
pub use secrets::mask_yaml;
pub use source::{LineColumn, Protocol, Source, SourceId, SourceMap, Span};
pub use uri::Uri;
pub use vars::{Vars, expand_block, expand_statements};
