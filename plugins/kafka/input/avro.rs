//! Avro values as JSON text.
//!
//! The schema is read by our own few lines instead of a library's: a reader needs types, names, sizes and symbols only,
//! and what a registry holds must be read although its defaults don't fit or its names have odd characters, which Java
//! accepts there and libraries refuse.

mod decode;
mod schema;
mod text;

use self::decode::Decoder;
pub(crate) use self::schema::SchemaParser;
use self::schema::{Node, NodeId};

/// Deepest nesting of records, arrays and maps in a value: half of what JSON is read with, for a small stack.
pub(crate) const AVRO_DEPTH_MAX: usize = ferrostash_event::json::JSON_DEPTH_MAX / 2;
/// Most bytes of text that one value may become: a few hostile bytes can stand for very many items.
pub(crate) const AVRO_TEXT_SIZE_MAX: usize = 64 * 1024 * 1024;
/// Most items of arrays in one value that take no bytes themselves, such as null.
pub(crate) const AVRO_EMPTY_ITEMS_MAX: usize = 10_000;

/// Bytes before the value: a zero, and the schema's number.
const FRAME_SIZE: usize = 5;

/// Why a record's value can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AvroError {
    #[error(
        "the value has {0} bytes: too few to name its schema (Confluent's framing has {FRAME_SIZE} before the value)"
    )]
    TooShort(usize),
    #[error(
        "the value begins with the byte {0}, not with the 0 of Confluent's framing: it was not written with a schema registry"
    )]
    Magic(u8),
    #[error(
        "the value ends at byte {at} of its Avro part, where {needed} more are expected: it does not fit its schema"
    )]
    Truncated { at: usize, needed: usize },
    #[error("{what} at byte {at} of the Avro part: the value does not fit its schema")]
    Invalid { what: &'static str, at: usize },
    #[error("the value is nested deeper than {AVRO_DEPTH_MAX} levels")]
    TooDeep,
    #[error("the value is longer than {AVRO_TEXT_SIZE_MAX} bytes as JSON")]
    TooLong,
    #[error("the value has more than {AVRO_EMPTY_ITEMS_MAX} items without content")]
    TooManyEmpty,
}

/// Takes the schema's number and the Avro part out of a record's value.
///
/// # Errors
/// The value is not in Confluent's framing.
pub(crate) fn frame(payload: &[u8]) -> Result<(u32, &[u8]), AvroError> {
    match payload {
        [0, a, b, c, d, body @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), body)),
        [magic, ..] if *magic != 0 => Err(AvroError::Magic(*magic)),
        _ => Err(AvroError::TooShort(payload.len())),
    }
}

/// A schema, ready to decode with.
#[derive(Debug)]
pub(crate) struct AvroSchema {
    nodes: Vec<Node>,
    /// Fewest bytes of each node's value.
    sizes: Vec<usize>,
    root: NodeId,
}

impl AvroSchema {
    /// Appends a value as text: what Java's `GenericData` writes for records, arrays and maps, which is JSON; a value that
    /// is only a text, a number and so on stands as such. Bytes behind the value don't count, as in Java.
    ///
    /// # Errors
    /// The bytes don't fit the schema, or a bound is exceeded; `out` is then as before.
    pub(crate) fn decode(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), AvroError> {
        let start = out.len();
        let result = Decoder::new(self, bytes, out).whole(self.root);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }
}

#[cfg(test)]
mod tests;
