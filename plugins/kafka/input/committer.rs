//! What a member asks brokers without waiting for the answer.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::context::MemberContext;

/// How long brokers may take to say where partitions end.
const ENDS_MAX: Duration = Duration::from_secs(1);

/// Commits offsets, on a thread of its own: the library tells only who waits for it how a commit ended.
pub(super) struct Committer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    Commit(TopicPartitionList),
    Ends(TopicPartitionList),
}

impl Committer {
    pub(super) fn new(consumer: Arc<BaseConsumer<MemberContext>>) -> Result<Committer, String> {
        let (jobs, received) = sync_channel::<Job>(1);
        let thread = std::thread::Builder::new().name("kafka-commit".to_owned()).spawn(move || {
            for job in received {
                match job {
                    Job::Commit(offsets) => {
                        let error = consumer.commit(&offsets, CommitMode::Sync).err();
                        consumer.context().committed(offsets, error);
                    }
                    // Those who don't know are asked again soon.
                    Job::Ends(partitions) => {
                        if let Ok(ends) = consumer.offsets_for_times(partitions, ENDS_MAX) {
                            consumer.context().ends(ends);
                        }
                    }
                }
            }
        });
        let thread = thread.map_err(|error| format!("no thread for commits: {error}"))?;
        Ok(Committer { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Begins a commit; false while another one is on its way.
    pub(super) fn begin(&self, offsets: TopicPartitionList) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(Job::Commit(offsets)).is_ok())
    }

    /// Asks where partitions end, unless something else is on its way: who fetches them hears it anyway.
    pub(super) fn ask_for_ends<'a>(&self, partitions: impl Iterator<Item = (&'a str, i32)>) {
        let mut asked = TopicPartitionList::new();
        for (topic, partition) in partitions {
            // In the place of a time; only offsets that are none are refused.
            let _ = asked.add_partition_offset(topic, partition, Offset::End);
        }
        if let Some(jobs) = self.jobs.as_ref().filter(|_| asked.count() > 0) {
            let _ = jobs.try_send(Job::Ends(asked));
        }
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
