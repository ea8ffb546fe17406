//! Where partitions end that are not fetched.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::context::MemberContext;

/// How long brokers may take to say it, which is also how long the end of a member may wait.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Asks brokers, on a thread of its own: the library hears of ends only by fetching, and answers only who waits.
pub(super) struct Ends {
    asked: Option<SyncSender<TopicPartitionList>>,
    thread: Option<JoinHandle<()>>,
}

impl Ends {
    pub(super) fn new(consumer: &Arc<BaseConsumer<MemberContext>>) -> Result<Ends, String> {
        let (asked, lists) = sync_channel(0);
        let consumer = Arc::downgrade(consumer);
        let thread = std::thread::Builder::new().name("kafka-ends".to_owned());
        let thread = thread.spawn(move || ask(&consumer, &lists));
        let thread = thread.map_err(|error| format!("no thread for the ends of partitions: {error}"))?;
        Ok(Ends { asked: Some(asked), thread: Some(thread) })
    }

    /// Asks for the ends of partitions, unless the last answer is still waited for.
    pub(super) fn ask<'a>(&self, partitions: impl Iterator<Item = (&'a str, i32)>) {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            // It stands where a time is expected; only offsets that are none are refused.
            let _ = list.add_partition_offset(topic, partition, Offset::End);
        }
        if let Some(asked) = self.asked.as_ref().filter(|_| list.count() > 0) {
            let _ = asked.try_send(list);
        }
    }

    /// Ends the thread, which may still wait for an answer: the consumer leaves its group when nobody has it any more.
    pub(super) fn end(&mut self) {
        self.asked = None;
        if let Some(thread) = self.thread.take() {
            // After a panic nobody has the consumer either.
            let _ = thread.join();
        }
    }
}

fn ask(consumer: &Weak<BaseConsumer<MemberContext>>, lists: &Receiver<TopicPartitionList>) {
    for list in lists {
        let Some(consumer) = consumer.upgrade() else { return };
        // Whoever does not answer is asked again soon.
        if let Ok(ends) = consumer.offsets_for_times(list, ANSWER_MAX) {
            consumer.context().found_ends(ends);
        }
    }
}
