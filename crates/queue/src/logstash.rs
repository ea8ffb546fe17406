//! Logstash's formats on disk: events as CBOR, and its persisted queue.

mod cbor;
mod event;
mod persisted_queue;

pub use cbor::{CBOR_DEPTH_MAX, CborError};
pub use event::{decode_event, encode_event};
pub use persisted_queue::{
    Checkpoint, Damage, ELEMENT_BYTES_MAX, OpenError, PersistedQueue, QueuedElement, QueuedEvent,
};
