//! Where events go that a plugin can never use, where they are kept: the dead letter queue of their pipeline.

use crate::generation::folder_of;
use crate::settings::{DeadLetterQueueSettings, StoragePolicy};
use ferrostash_event::Event;
use ferrostash_plugin::{Buried, DeadLetters};
use ferrostash_queue::dead_letter_queue::{
    self as dlq, DeadLetterQueue, LockError, QueueSettings, SEGMENT_BYTES_MAX, StoreSettings,
};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Opens the queue of a pipeline.
pub(crate) async fn open(
    settings: &DeadLetterQueueSettings,
    pipeline_id: &str,
) -> Result<DeadLetterQueue, LockError> {
    let store = StoreSettings {
        dir: folder_of(&settings.path, pipeline_id),
        max_bytes: settings.max_bytes,
        segment_bytes_max: SEGMENT_BYTES_MAX,
        storage_policy: match settings.storage_policy {
            StoragePolicy::DropNewer => dlq::StoragePolicy::DropNewer,
            StoragePolicy::DropOlder => dlq::StoragePolicy::DropOlder,
        },
        retain_age: settings.retain_age,
        flush_interval: settings.flush_interval,
    };
    DeadLetterQueue::open(QueueSettings { store, check_interval: settings.flush_check_interval }).await
}

/// Keeps events for one plugin.
pub(crate) struct Kept {
    queue: Arc<DeadLetterQueue>,
    plugin_type: String,
    plugin_id: String,
}

impl Kept {
    /// Keeps events; who writes is said with [`DeadLetters::of_plugin`].
    pub(crate) fn new(queue: Arc<DeadLetterQueue>) -> Kept {
        Kept { queue, plugin_type: String::new(), plugin_id: String::new() }
    }
}

impl DeadLetters for Kept {
    fn write<'a>(&'a self, event: &'a Event, reason: &'a str) -> BoxFuture<'a, Buried> {
        Box::pin(self.queue.write(event, &self.plugin_type, &self.plugin_id, reason))
    }

    fn of_plugin(&self, plugin_type: &str, plugin_id: &str) -> Option<Arc<dyn DeadLetters>> {
        let queue = Arc::clone(&self.queue);
        Some(Arc::new(Kept { queue, plugin_type: plugin_type.to_owned(), plugin_id: plugin_id.to_owned() }))
    }
}
