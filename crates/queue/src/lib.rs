//! Where events wait between inputs and workers.
//!
//! [`MemoryQueue`] is bounded in events and in bytes. Inputs push chunks into it through the trait
//! [`EventQueue`](ferrostash_plugin::EventQueue); workers pull what they can
//! use, which may be several small chunks or a part of a large one, and work on it in portions. The acks of the chunks
//! travel along, so that an input learns what became of what it read.
//!
//! [`pages`] keeps records on the disk, for queues that outlive the process.

mod budget;
pub mod crash;
pub mod dead_letter_queue;
mod event_pages;
pub mod logstash;
mod memory_queue;
pub mod pages;

pub use budget::{Budget, Held};
pub use event_pages::{EventPages, EventRecord, Fed, Feed, PagesClosed};
pub use memory_queue::{Appetite, Busy, MemoryQueue, Portion, Pulled, QUEUE_BYTES_MAX, QUEUE_BYTES_UNIT};
pub use pages::{Compression, PageOptions, PageQueue, PageStats};
