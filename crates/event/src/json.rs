//! JSON in and out of events, without a tree in between.

mod decode;
mod encode;
mod scan;
pub(crate) mod writer;

pub use decode::{
    JSON_DEPTH_MAX, JSON_LIST_EVENTS_MAX, JsonError, JsonNumbers, JsonPlaces, MergeError, Parsed, ParsedKind,
};
pub(crate) use encode::write_string;
pub use encode::{append_value, write_value};
