//! A member of a consumer group: a thread that polls, and looks after what the poll brought.
//!
//! It never waits for longer than it may be away from the group. While the pipeline has no room it polls on with all
//! partitions paused; partitions that the group wants back are drained first. librdkafka fetches nothing until they are given back.

mod commits;
mod sharing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrostash_plugin::{Ack, AckNote, Counter, LineBuffers, MetricRow, MetricTable, Outcome, Shutdown};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::committer::Committer;
use super::context::{MemberContext, Occurrence, give_back};
use super::ends::Ends;
use super::partition::Partition;
use super::partitions::Partitions;
use super::records::{Place, Reading, Records, Values};
use super::settings::Settings;
use super::statistics::Statistics;
use super::topics::Lookout;
use crate::link::Link;
use sharing::Leaving;

/// Bytes of messages with which a chunk is handed over.
const CHUNK_BYTES: usize = 192 << 10;
/// Longest time that a member waits for messages before it looks after other things.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same while a partition is to be given back.
const LOOK_EVERY_LEAVING: Duration = Duration::from_millis(5);
/// How long the pipeline may have no room before fetching is paused: what was fetched ahead is fetched again afterwards.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// How often it is looked whether a transaction still wants calm.
const CALM_EVERY: Duration = Duration::from_millis(1);
/// How long a commit may take before it is given up.
const COMMIT_MAX: Duration = Duration::from_secs(5);
/// How often partitions are looked through: what is settled, what is paused.
const SETTLE_EVERY: Duration = Duration::from_millis(20);
/// How often the numbers of partitions are shown.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// Messages on their way to the pipeline's queue.
pub(crate) struct Handed {
    values: Option<Values>,
    acks: Unpushed,
}

/// Acks of what is not in the queue yet: dropped they count as given up.
#[derive(Default)]
pub(crate) struct Unpushed(pub(crate) Vec<Ack>);

impl Drop for Unpushed {
    fn drop(&mut self) {
        self.0.iter().for_each(Ack::abandon);
    }
}

impl Handed {
    /// Says that nothing comes that goes on with what was handed over before.
    fn end() -> Handed {
        Handed { values: None, acks: Unpushed::default() }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.values.is_none()
    }

    /// The messages, with the acks that hear of them.
    pub(crate) fn take(mut self) -> Option<(Values, Vec<Ack>)> {
        Some((self.values.take()?, std::mem::take(&mut self.acks.0)))
    }

    /// The schemas that its values are written by.
    pub(crate) fn needed(&self) -> &[u32] {
        self.values.as_ref().map_or(&[], |values| &values.needed)
    }
}

/// What members of one input count together.
pub(crate) struct Counts {
    pub(crate) rebalances: Arc<Counter>,
    pub(crate) commits: Arc<Counter>,
    pub(crate) commit_errors: Arc<Counter>,
    pub(crate) assigned: Arc<Counter>,
    pub(crate) undrained: Arc<Counter>,
    pub(crate) table: Arc<MetricTable>,
}

/// What a member is made with.
pub(crate) struct Equipment {
    pub(crate) number: usize,
    pub(crate) consumer: Arc<BaseConsumer<MemberContext>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) reading: Arc<Reading>,
    pub(crate) buffers: LineBuffers,
    pub(crate) counts: Arc<Counts>,
    pub(crate) sender: mpsc::Sender<Handed>,
    pub(crate) runtime: Handle,
    pub(crate) shutdown: Shutdown,
    pub(crate) settle_time: Duration,
}

pub(crate) struct Member {
    with: Equipment,
    partitions: Partitions,
    link: Arc<Link>,
    records: Records,
    /// The partitions of `records`.
    taken: Vec<Taken>,
    /// What the pipeline has no room for yet, and since when.
    waiting: Option<(Handed, Instant)>,
    is_stalled: bool,
    /// Events that could still go on are to be ended, and nothing was handed over since.
    has_ended: bool,
    /// Since when a transaction wants calm.
    held_since: Option<Instant>,
    lookout: Lookout,
    leaving: Option<Leaving>,
    committer: Committer,
    ends: Ends,
    is_committing: bool,
    times: Times,
}

/// The messages of one partition in a chunk.
struct Taken {
    slot: usize,
    place: usize,
    first: i64,
    next: i64,
}

/// When things were done last.
struct Times {
    settled: Instant,
    committed: Instant,
    commit_failed: Option<Instant>,
    shown: Instant,
}

impl Member {
    pub(crate) fn new(with: Equipment) -> Result<Member, String> {
        let now = Instant::now();
        Ok(Member {
            link: Link::new(&with.consumer, with.settings.reads_committed, with.reading.stateful.is_some()),
            committer: Committer::new(Arc::clone(&with.consumer))?,
            ends: Ends::new(&with.consumer)?,
            records: Records::new(with.settings.delimiter.clone(), with.buffers.clone()),
            with,
            partitions: Partitions::default(),
            taken: Vec::new(),
            waiting: None,
            is_stalled: false,
            has_ended: false,
            held_since: None,
            lookout: Lookout::default(),
            leaving: None,
            is_committing: false,
            times: Times { settled: now, committed: now, commit_failed: None, shown: now },
        })
    }

    /// Reads until the stop, then waits for what is in flight, commits and leaves the group.
    ///
    /// # Errors
    /// What the library can't recover from.
    pub(crate) fn run(mut self) -> Result<(), String> {
        let result = self.read();
        self.finish();
        result
    }

    fn read(&mut self) -> Result<(), String> {
        while !self.with.shutdown.is_stopping() && !self.with.sender.is_closed() {
            self.check()?;
            self.lookout.look(&self.with.settings.topics, &self.with.consumer)?;
            if self.waiting.is_some() {
                self.wait_for_room();
            } else if self.taken.is_empty() {
                self.poll();
            }
            self.hand_over();
            self.look_after();
        }
        Ok(())
    }

    /// Finds what the library can't recover from: polls say it once, and then nothing comes any more.
    fn check(&self) -> Result<(), String> {
        let fatal = self.with.consumer.client().fatal_error();
        fatal.map_or(Ok(()), |(code, reason)| Err(format!("{reason} ({code})")))
    }

    /// Takes what is there, up to a chunk.
    fn poll(&mut self) {
        let consumer = Arc::clone(&self.with.consumer);
        let settings = Arc::clone(&self.with.settings);
        let mut wait = match self.leaving {
            Some(_) => LOOK_EVERY_LEAVING,
            None => settings.poll_timeout.min(LOOK_EVERY),
        };
        while self.records.len() < settings.records_max && self.records.byte_size() < CHUNK_BYTES {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) => report(&error),
            }
            if consumer.context().has_occurred() {
                break;
            }
            wait = Duration::ZERO;
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(slot) = self.partitions.slot(message.topic(), message.partition()) else { return };
        let offset = message.offset();
        let known = self.taken.last().filter(|last| last.slot == slot).map(|_| self.taken.len() - 1);
        let known = known.or_else(|| self.taken.iter().position(|taken| taken.slot == slot));
        let place = match known.and_then(|at| self.taken.get_mut(at)) {
            Some(taken) => {
                taken.next = offset + 1;
                taken.place
            }
            None => {
                let Some(partition) = self.partitions.get(slot).filter(|partition| partition.is_open())
                else {
                    // Who has the partition next, or we after a seek, read it again.
                    return;
                };
                let place = self.records.add_place(partition.place.clone());
                self.taken.push(Taken { slot, place, first: offset, next: offset + 1 });
                place
            }
        };
        self.records.push(message, place, &self.with.reading);
    }

    /// Gives the pipeline what was taken, unless it still has to take something else, or a transaction wants a moment's calm.
    fn hand_over(&mut self) {
        if self.taken.is_empty() || self.waiting.is_some() {
            return;
        }
        let Some(notes) = self.link.hand_over(self.taken.iter().filter_map(|taken| {
            let place = &self.partitions.get(taken.slot)?.place;
            Some((&place.topic, place.partition, taken.next))
        })) else {
            return self.wait_for_calm();
        };
        (self.held_since, self.has_ended) = (None, false);
        let (mut acks, mut is_full) = (Vec::with_capacity(self.taken.len()), false);
        for (Taken { slot, first, next, .. }, note) in self.taken.drain(..).zip(notes) {
            let Some(partition) = self.partitions.get_mut(slot) else { continue };
            match partition.issue(first, next, Arc::clone(&note) as Arc<dyn AckNote>) {
                Some(ack) => {
                    acks.push(ack);
                    is_full |= partition.is_full();
                }
                // It is paused before that; what has no ack is delivered, and read again.
                None => {
                    note.ended(Outcome::Abandoned);
                    partition.rewind_later(Instant::now());
                }
            }
        }
        if is_full {
            self.pause_and_resume();
        }
        let handed = Handed { values: Some(self.records.take(&self.with.reading)), acks: Unpushed(acks) };
        match self.with.sender.try_send(handed) {
            Ok(()) => self.is_stalled = false,
            Err(mpsc::error::TrySendError::Full(handed) | mpsc::error::TrySendError::Closed(handed)) => {
                self.waiting = Some((handed, Instant::now()));
            }
        }
    }

    /// Waits a little for the pipeline; after a while without fetching.
    fn wait_for_room(&mut self) {
        let Some((handed, since)) = self.waiting.take() else { return };
        let sender = self.with.sender.clone();
        let wait = if self.leaving.is_some() { LOOK_EVERY_LEAVING } else { LOOK_EVERY };
        // This thread is none of the runtime's.
        let place = self.with.runtime.block_on(async { tokio::time::timeout(wait, sender.reserve()).await });
        match place {
            Ok(Ok(place)) => {
                place.send(handed);
                self.is_stalled = false;
            }
            Ok(Err(_)) => return,
            Err(_) => self.waiting = Some((handed, since)),
        }
        if self.waiting.is_some() {
            self.stall_after(since);
        }
    }

    /// Waits a little for a transaction to end.
    fn wait_for_calm(&mut self) {
        let since = *self.held_since.get_or_insert_with(Instant::now);
        std::thread::sleep(CALM_EVERY);
        self.stall_after(since);
    }

    /// Stops fetching when nothing could be handed over for a while, and lets the group see that we live.
    fn stall_after(&mut self, since: Instant) {
        if since.elapsed() < PAUSE_AFTER {
            return;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            tracing::debug!("The pipeline has no room: fetching pauses.");
        }
        self.pause_and_resume();
        // Nothing comes while all is paused.
        self.poll_without_messages(Duration::ZERO);
    }

    /// Has events ended of which messages could still come: nobody waits for them. Says whether that will be done.
    fn end_events(&self) -> bool {
        let joins = self.with.reading.stateful.is_some();
        !joins || self.waiting.is_none() && self.with.sender.try_send(Handed::end()).is_ok()
    }

    fn poll_without_messages(&mut self, wait: Duration) {
        let consumer = Arc::clone(&self.with.consumer);
        match consumer.poll(wait) {
            None => {}
            // One that was on its way before the pause is read again.
            Some(Ok(message)) => {
                if let Some(partition) = self.partitions.find_mut(message.topic(), message.partition()) {
                    partition.again_from(message.offset(), Instant::now());
                }
            }
            Some(Err(error)) => report(&error),
        }
    }

    /// Everything but messages.
    fn look_after(&mut self) {
        for occurrence in self.with.consumer.context().take() {
            self.note(occurrence);
        }
        let now = Instant::now();
        if self.leaving.is_some() || now.duration_since(self.times.settled) >= SETTLE_EVERY {
            self.times.settled = now;
            self.settle(now);
            // What belongs to an earlier reading is not to be joined with the next one.
            if !self.has_ended && self.partitions.iter().any(Partition::is_resting) {
                self.has_ended = self.end_events();
            }
            self.give_back_what_is_drained(now);
        }
        if now.duration_since(self.times.committed) >= self.with.settings.commit_every {
            self.commit(now);
        }
        if now.duration_since(self.times.shown) >= SHOW_EVERY {
            self.times.shown = now;
            self.show();
        }
    }

    fn settle(&mut self, now: Instant) {
        let is_transactional = self.link.is_joined();
        for slot in self.partitions.slots() {
            let Some(partition) = self.partitions.get_mut(slot) else { continue };
            partition.settle(now);
            partition.waits_for_all = is_transactional;
            let Some(offset) = partition.rewind(now) else { continue };
            let Place { topic, partition: number, .. } = &partition.place;
            self.link.reset(topic, *number, Some(offset));
            tracing::warn!(topic = &**topic, partition = number, offset, "What was given up is read again.");
            let sought = self.with.consumer.seek(topic, *number, Offset::Offset(offset), Duration::ZERO);
            if let Err(error) = sought {
                tracing::warn!(%error, limited = true, "A partition can't be read again yet.");
                partition.rewind_later(now);
            }
            self.drop_taken_of(&[slot]);
        }
        self.pause_and_resume();
    }

    /// Tells the library which partitions to fetch.
    fn pause_and_resume(&mut self) {
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        for partition in self.partitions.iter_mut() {
            let is_wanted = self.is_stalled || partition.is_full() || !partition.is_open();
            if is_wanted != partition.is_paused {
                let list = if is_wanted { &mut pause } else { &mut resume };
                list.add_partition(&partition.place.topic, partition.place.partition);
                partition.is_paused = is_wanted;
            }
        }
        let paused = if pause.count() > 0 { self.with.consumer.pause(&pause) } else { Ok(()) };
        let resumed = if resume.count() > 0 { self.with.consumer.resume(&resume) } else { Ok(()) };
        if let Err(error) = paused.and(resumed) {
            tracing::warn!(%error, limited = true, "Partitions can't be paused or resumed.");
        }
    }

    fn note(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Assigned(partitions) => {
                self.let_go_at_once();
                self.take_over(partitions);
            }
            Occurrence::Revoked { partitions, are_lost } => {
                self.let_go_at_once();
                self.let_go(partitions, are_lost);
            }
            Occurrence::Committed { offsets, error } => self.note_commit(&offsets, error),
            Occurrence::Statistics(json) => self.note_statistics(&json),
            Occurrence::Ends(ends) => self.note_ends(&ends),
        }
    }

    /// Forgets what was taken and not handed over, if something of these partitions is in it; the others are read again.
    fn drop_taken_of(&mut self, slots: &[usize]) {
        if !self.taken.iter().any(|taken| slots.contains(&taken.slot)) {
            return;
        }
        self.records.clear();
        self.held_since = None;
        self.is_stalled = self.waiting.is_some();
        for Taken { slot, first, .. } in std::mem::take(&mut self.taken) {
            let Some(partition) = self.partitions.get_mut(slot).filter(|_| !slots.contains(&slot)) else {
                continue;
            };
            let Place { topic, partition: number, .. } = &partition.place;
            if self.with.consumer.seek(topic, *number, Offset::Offset(first), Duration::ZERO).is_err() {
                partition.again_from(first, Instant::now());
            }
        }
    }

    fn note_statistics(&mut self, json: &[u8]) {
        let Some(statistics) = Statistics::parse(json) else { return };
        let reads_committed = self.with.settings.reads_committed;
        for partition in self.partitions.iter_mut() {
            // What the library knows of one that is paused is old.
            if partition.is_paused && partition.end.is_some() {
                continue;
            }
            let Place { topic, partition: number, .. } = &partition.place;
            if let Some(end) = statistics.end(topic, *number, reads_committed) {
                partition.end = Some(end);
            }
        }
        // A stop waits for the answer.
        if !self.with.shutdown.is_stopping() {
            let paused = self.partitions.iter().filter(|partition| partition.is_paused);
            self.ends.ask(paused.map(|partition| (&**partition.topic(), partition.place.partition)));
        }
    }

    fn note_ends(&mut self, ends: &TopicPartitionList) {
        for element in ends.elements() {
            let partition = self.partitions.find_mut(element.topic(), element.partition());
            if let (Some(partition), Offset::Offset(offset)) = (partition, element.offset()) {
                partition.end = Some(offset);
            }
        }
    }

    /// Shows the numbers of partitions in the API.
    fn show(&self) {
        if let Some(Partition { place, .. }) = self.partitions.iter().find(|partition| partition.is_adrift) {
            tracing::error!(
                topic = &*place.topic,
                partition = place.partition,
                limited = true,
                "Undefined offset with no reset policy for partition: the group has committed none, and \
                 `auto_offset_reset` is `none`. It is not read."
            );
        }
        let rows = self.partitions.iter().map(|partition| {
            let [position, settled, committed] = partition.offsets();
            MetricRow {
                labels: vec![
                    ("topic", partition.topic().to_string()),
                    ("partition", partition.place.partition.to_string()),
                ],
                values: vec![
                    ("position", position),
                    ("settled", settled),
                    ("committed", committed),
                    ("end", partition.end),
                    ("lag", partition.lag()),
                    ("chunks_in_flight", i64::try_from(partition.in_flight()).ok()),
                    ("paused", Some(i64::from(partition.is_paused))),
                ],
            }
        });
        self.with.counts.table.set(self.with.number, rows.collect());
    }

    /// Waits for what is in flight, commits, and leaves the group.
    fn finish(mut self) {
        let deadline = Instant::now() + self.with.settle_time;
        // What was not handed over is read again.
        self.records.clear();
        self.taken.clear();
        self.is_stalled = true;
        self.pause_and_resume();
        let mut is_ended = false;
        while Instant::now() < deadline && !self.with.sender.is_closed() {
            if self.waiting.is_some() {
                self.wait_for_room();
            }
            is_ended = is_ended || self.end_events();
            self.is_stalled = true;
            self.poll_without_messages(LOOK_EVERY_LEAVING);
            self.look_after();
            if self.waiting.is_none() && self.partitions.iter().all(Partition::is_at_rest) {
                break;
            }
        }
        drop(self.waiting.take());
        let deadline = Instant::now() + COMMIT_MAX;
        while Instant::now() < deadline && self.check().is_ok() {
            self.commit_last(Instant::now());
            if !self.partitions.iter().any(|partition| self.awaits_commit(partition)) {
                break;
            }
            self.poll_without_messages(LOOK_EVERY_LEAVING);
            self.look_after();
        }
        self.committer.end(!self.is_committing);
        self.ends.end();
        self.with.counts.assigned.subtract(self.partitions.iter().count() as u64);
        self.with.counts.table.set(self.with.number, Vec::new());
        self.with.consumer.context().close();
        if let Some(leaving) = &self.leaving {
            let _ = give_back(&self.with.consumer, &leaving.partitions);
        }
        // The consumer leaves the group when the last one who has it lets go.
    }
}

fn report(error: &KafkaError) {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::PartitionEOF) => {}
        // The context has heard of it, and of the reason.
        Some(
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::SSL,
        ) => tracing::debug!(%error, "Unable to poll Kafka consumer"),
        Some(RDKafkaErrorCode::PollExceeded) => tracing::warn!(
            %error, limited = true,
            "The group has taken this member's partitions away: it did not poll for max_poll_interval_ms."
        ),
        _ => tracing::error!(%error, limited = true, "Unable to poll Kafka consumer"),
    }
}
