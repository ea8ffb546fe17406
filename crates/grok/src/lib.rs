//! Patterns: the `grok` expressions, and every regular expression of a pipeline.
//!
//! A Logstash configuration holds regular expressions in grok's `match`, behind `=~`, in `gsub` and in a dozen
//! options besides, all of them in Ruby's dialect of Oniguruma. This crate reads that dialect and matches it,
//! knowing nothing of events, files or threads:
//!
//! * [`Regex`] is one compiled expression. Behind it stands a [`Matcher`], the small trait that an engine
//!   implements: a plain literal is searched for as one, nearly every other expression runs on this crate's own
//!   engine, and [`OnigurumaMatcher`] takes the rest, back-references for instance. [`Regex::engine`] tells which.
//! * [`PatternLibrary`] maps names such as `IPORHOST` to definitions; [`PatternLibrary::legacy`] and
//!   [`PatternLibrary::ecs_v1`] are the two sets that Logstash ships.
//! * [`Grok`] is a `%{NAME:field:int}` expression expanded over a library and compiled.
//!
//! A match writes group offsets into a [`Captures`] that the caller keeps, so matching allocates nothing.
//! Every search may be given a timeout, because a backtracking engine can need exponential time.

mod grok;
mod library;
mod literal;
mod look_behind;
mod matcher;
mod oniguruma;
mod own;
mod reference;
mod regex;
mod replacement;
mod ruby;

pub use grok::{Capture, CaptureType, Grok, GrokError};
pub use library::{LibraryError, PatternLibrary};
pub use matcher::{Captures, GroupName, MatchError, Matcher};
pub use oniguruma::OnigurumaMatcher;
pub use regex::{Engine, PatternError, Regex, ReplaceError};
pub use replacement::Replacement;
