//! What a member of a group and an output that writes in transactions know of each other: the offsets of what is in a
//! transaction are committed with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ferrostash_plugin::{AckNote, Outcome};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Notify;

use crate::input::context::MemberContext;

/// The member's side of the link; an output finds it by the acks of its events.
pub(crate) struct Link {
    /// The consumer leaves the group when its member ends, whoever knows the link.
    consumer: Weak<BaseConsumer<MemberContext>>,
    /// Whether offsets of transactions that are not decided are waited for.
    pub(crate) reads_committed: bool,
    /// Whether events are made of several messages, so that there is hardly ever a moment in which none is open.
    pub(crate) joins_messages: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Tells the output that commits the member's offsets in its transactions; the member commits none itself then.
    joined: Option<Arc<Notify>>,
    /// That output wants nothing new to be handed over for now.
    is_held: bool,
    /// Chunks that were handed over and have not ended.
    chunks: usize,
    /// Whether a commit of the member's own is on its way.
    is_committing: bool,
    partitions: BTreeMap<(Arc<str>, i32), Progress>,
    /// The number of the last reading of a partition that began; none is used twice.
    last_epoch: u64,
}

/// What was handed over of a partition.
struct Progress {
    /// Behind the last message.
    position: i64,
    /// Which reading of the partition it is: a new one begins with each assignment, and when it is read again.
    epoch: u64,
    /// Something was given up: it is going to be read again.
    is_broken: bool,
    /// What the last transaction took along.
    committed: Option<i64>,
}

impl Progress {
    fn new(position: i64, epoch: u64) -> Progress {
        Progress { position, epoch, is_broken: false, committed: None }
    }

    fn is_news(&self) -> bool {
        self.committed != Some(self.position)
    }
}

/// A chunk of one partition, as its ack knows it.
pub(crate) struct Note {
    pub(crate) link: Arc<Link>,
    partition: (Arc<str>, i32),
    epoch: u64,
}

impl Note {
    /// Whether the member has the partition no more, or reads it anew: its offset is no part of any transaction.
    pub(crate) fn is_stale(&self) -> bool {
        self.link.state().partitions.get(&self.partition).is_none_or(|progress| progress.epoch != self.epoch)
    }
}

impl AckNote for Note {
    fn ended(&self, outcome: Outcome) {
        let mut state = self.link.state();
        state.chunks = state.chunks.saturating_sub(1);
        if outcome == Outcome::Abandoned
            && let Some(progress) = state.partitions.get_mut(&self.partition)
            && progress.epoch == self.epoch
        {
            progress.is_broken = true;
        }
    }
}

/// Offsets that a transaction takes along.
pub(crate) struct Offsets {
    pub(crate) list: TopicPartitionList,
    /// Of which reading of its partition each is.
    epochs: Vec<u64>,
    pub(crate) group: Option<ConsumerGroupMetadata>,
}

/// What an output has to know before it may commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calm {
    /// Chunks that have not ended.
    pub(crate) chunks: usize,
    /// Something was given up that a transaction must not step over.
    pub(crate) is_broken: bool,
    pub(crate) is_committing: bool,
}

impl Link {
    pub(crate) fn new(
        consumer: &Arc<BaseConsumer<MemberContext>>,
        reads_committed: bool,
        joins_messages: bool,
    ) -> Arc<Link> {
        let (consumer, state) = (Arc::downgrade(consumer), Mutex::default());
        Arc::new(Link { consumer, reads_committed, joins_messages, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes for chunks, each of one partition up to an offset; none while nothing may be handed over.
    pub(crate) fn hand_over<'a>(
        self: &Arc<Self>,
        chunks: impl Iterator<Item = (&'a Arc<str>, i32, i64)>,
    ) -> Option<Vec<Arc<Note>>> {
        let mut state = self.state();
        if state.is_held {
            return None;
        }
        let notes: Vec<_> = chunks
            .map(|(topic, number, next)| {
                let partition = (Arc::clone(topic), number);
                let epoch = state.last_epoch + 1;
                let progress = state.partitions.entry(partition.clone());
                let progress = progress.or_insert_with(|| Progress::new(next, epoch));
                progress.position = next;
                let epoch = progress.epoch;
                state.last_epoch = state.last_epoch.max(epoch);
                Arc::new(Note { link: Arc::clone(self), partition, epoch })
            })
            .collect();
        state.chunks += notes.len();
        Some(notes)
    }

    /// The member reads the partition from `position` on again, or not at all any more.
    pub(crate) fn reset(&self, topic: &Arc<str>, partition: i32, position: Option<i64>) {
        let mut state = self.state();
        let key = (Arc::clone(topic), partition);
        let Some(position) = position else {
            state.partitions.remove(&key);
            return;
        };
        state.last_epoch += 1;
        let epoch = state.last_epoch;
        state.partitions.insert(key, Progress::new(position, epoch));
    }

    /// Whether the member has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.consumer.strong_count() == 0
    }

    /// Whether an output commits the member's offsets.
    pub(crate) fn is_joined(&self) -> bool {
        self.state().joined.is_some()
    }

    /// Asks for a transaction that commits the member's offsets soon.
    pub(crate) fn ask_for_commit(&self) {
        if let Some(asked) = &self.state().joined {
            asked.notify_one();
        }
    }

    /// Begins a commit of the member's own, unless that is an output's business.
    pub(crate) fn begin_commit(&self) -> bool {
        let mut state = self.state();
        state.is_committing = state.joined.is_none();
        state.is_committing
    }

    /// What transactions have committed of a partition since the member reads it.
    pub(crate) fn committed(&self, topic: &Arc<str>, partition: i32) -> Option<i64> {
        self.state().partitions.get(&(Arc::clone(topic), partition))?.committed
    }

    /// The member's own commit was answered.
    pub(crate) fn end_commit(&self) {
        self.state().is_committing = false;
    }

    /// An output takes the offsets over, for as long as the guard lives; it is `asked` when the member wants them committed. None
    /// where another output has done so.
    pub(crate) fn join(self: &Arc<Self>, asked: &Arc<Notify>) -> Option<Joined> {
        let mut state = self.state();
        if state.joined.is_some() {
            return None;
        }
        state.joined = Some(Arc::clone(asked));
        Some(Joined { link: Arc::clone(self) })
    }

    /// The offsets behind everything that was handed over, and which group they are of. May block.
    pub(crate) fn offsets(&self) -> Offsets {
        // The group first: brokers refuse offsets of partitions that it has given to others since.
        let consumer = self.consumer.upgrade();
        let group = consumer.and_then(|consumer| consumer.group_metadata());
        let (mut list, mut epochs) = (TopicPartitionList::new(), Vec::new());
        for ((topic, partition), progress) in &self.state().partitions {
            if progress.is_news() {
                // Only an offset below zero is refused.
                let _ = list.add_partition_offset(topic, *partition, Offset::Offset(progress.position));
                epochs.push(progress.epoch);
            }
        }
        Offsets { list, epochs, group }
    }

    /// A transaction with these offsets is committed.
    pub(crate) fn set_committed(&self, offsets: &Offsets) {
        let mut state = self.state();
        for (element, epoch) in offsets.list.elements().iter().zip(&offsets.epochs) {
            let key = (Arc::from(element.topic()), element.partition());
            if let (Some(progress), Offset::Offset(offset)) =
                (state.partitions.get_mut(&key), element.offset())
                && progress.epoch == *epoch
            {
                progress.committed = Some(offset);
            }
        }
    }
}

/// An output's side of a link.
pub(crate) struct Joined {
    pub(crate) link: Arc<Link>,
}

impl Joined {
    /// Asks the member to hand over nothing, or lets it go on.
    pub(crate) fn hold(&self, hold: bool) {
        self.link.state().is_held = hold;
    }

    pub(crate) fn calm(&self) -> Calm {
        let state = self.link.state();
        let is_broken = state.partitions.values().any(|progress| progress.is_broken);
        Calm { chunks: state.chunks, is_broken, is_committing: state.is_committing }
    }

    /// Whether something was handed over since the last transaction.
    pub(crate) fn has_news(&self) -> bool {
        self.link.state().partitions.values().any(Progress::is_news)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let mut state = self.link.state();
        (state.joined, state.is_held) = (None, false);
    }
}
