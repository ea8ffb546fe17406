//! Stand-ins for the services that ferrostash talks to. They keep what they are given, misbehave on command, and tell a test
//! what was lost or came twice. Each works on threads of its own, so that tests with and without a runtime can use it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "tests fail loudly, and so do their helpers"
)]

mod documents;
pub mod elasticsearch;
mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
mod signature;

pub use documents::{Documents, Stored};
pub use elasticsearch::Elasticsearch;
#[cfg(feature = "kafka")]
pub use kafka::Kafka;
pub use signature::Signature;
