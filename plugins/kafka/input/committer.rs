//! Commits that nobody waits for.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

use super::context::MemberContext;

/// Commits offsets, on a thread of its own: the library tells only who waits for it how a commit ended.
pub(super) struct Committer {
    jobs: Option<SyncSender<TopicPartitionList>>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn new(consumer: Arc<BaseConsumer<MemberContext>>) -> Result<Committer, String> {
        let (jobs, offsets) = sync_channel::<TopicPartitionList>(1);
        let thread = std::thread::Builder::new().name("kafka-commit".to_owned()).spawn(move || {
            for offsets in offsets {
                let error = consumer.commit(&offsets, CommitMode::Sync).err();
                consumer.context().committed(offsets, error);
            }
        });
        let thread = thread.map_err(|error| format!("no thread for commits: {error}"))?;
        Ok(Committer { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Begins a commit; false while another one is on its way.
    pub(super) fn begin(&self, offsets: TopicPartitionList) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(offsets).is_ok())
    }

    /// Ends the thread; waits for it where nothing is on its way.
    pub(super) fn end(&mut self, is_idle: bool) {
        self.jobs = None;
        if let Some(thread) = self.thread.take().filter(|_| is_idle) {
            // A panic there is a commit that failed.
            let _ = thread.join();
        }
    }
}
