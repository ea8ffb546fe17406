//! The event: what flows through a pipeline, and the small languages that speak of it.
//!
//! [`Event`] is opaque: fields are reached through [`FieldRef`]s and read as [`ValueRef`]s; nothing outside this crate
//! knows how they are kept. [`Template`] is Logstash's `%{…}`, [`Timestamp`] its time, [`json`] its text form, [`Batch`]
//! and [`Selection`] what a worker's filters work on.

mod batch;
mod event;
mod field_ref;
pub mod json;
mod key;
pub mod number;
mod origin;
mod ruby_text;
mod selection;
mod template;
mod value;
mod wire;

pub use batch::Batch;
pub use event::{ArrayRef, EVENT_TEXT_BYTES_MAX, Event, LIST_PAD_MAX, ObjectRef, SetError, TextSpan};
pub use ferrostash_joda::Timestamp;
pub use field_ref::{EscapeStyle, FieldRef, FieldRefError, PATH_DEPTH_MAX, Root};
pub use key::{KEY_BYTES_MAX, KEYS_MAX, Key};
pub use origin::{Origin, source_number};
pub use selection::Selection;
pub use template::{Template, TemplateError};
pub use value::{Value, ValueRef};
pub use wire::{WIRE_DEPTH_MAX, WireError, WireReader, WireWriter};

/// The name of the event's time.
pub const TIMESTAMP: &str = "@timestamp";
/// The name of the event's schema version.
pub const VERSION: &str = "@version";
/// The name of the fields that outputs don't write.
pub const METADATA: &str = "@metadata";
/// The name of the event's tags.
pub const TAGS: &str = "tags";
