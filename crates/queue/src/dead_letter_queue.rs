//! The dead letter queue: events that can't be delivered, kept on disk as Logstash keeps them.
//!
//! A queue is a folder (`<path.dead_letter_queue>/<pipeline.id>`) of segments: `N.log.tmp` is being written, `N.log` is
//! sealed. [`DeadLetterQueue`] writes, [`Reader`] reads, also while somebody writes, and also what Logstash wrote.
//!
//! ```text
//! segment:  '1'  block of 32 KiB  block of 32 KiB  …
//! record:   kind u8 (c, s, m, e)  size u32  size of the whole u32  CRC32 u32  bytes
//! entry:    entry time, event (CBOR), plugin type, plugin id, reason; before each its length as u32
//! ```

mod entry;
mod feed;
mod lock;
mod reader;
mod records;
mod segments;
mod store;
mod writer;

pub use entry::{DeadLetter, EntryError, HISTORY_MAX, earlier_visits};
pub use feed::{Feed, Progress, Wanted, since};
pub use lock::{LockError, QueueLock};
pub use reader::{Next, Position, Reader};
pub use records::{Damage, RECORD_BYTES_MAX};
pub use segments::{Segment, Summary, clean_before, delete_segment, put_aside, segment_path, segments};
pub use store::{SEGMENT_BYTES_MAX, StoragePolicy, StoreSettings};
pub use writer::{DeadLetterQueue, QueueSettings, QueueStats};
