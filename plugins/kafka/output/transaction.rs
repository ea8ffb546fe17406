//! Writing in transactions: events, and the offsets of the messages that they were made of.
//!
//! A transaction is open for a moment. Then the members of the group that its events come from hand over nothing new, and once
//! everything that they did hand over is in the transaction, dropped by a rule or accepted elsewhere, their offsets are added to
//! it and it is committed. Whatever goes wrong before that ends it: what it held is given up, and its inputs read it again.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ferrostash_plugin::{Ack, Backoff, OutputBatch, OutputContext, OutputError, Share, StartError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::{Mutex, Notify, oneshot};

use super::counts::Counts;
use super::delivery::Rules;
use super::fate::{self, Fate};
use super::flights::Refusals;
use super::producer::{Batching, Live, Source};
use super::records::Payload;
use crate::link::{Calm, Joined, Link, Note, Offsets};

/// How long a transaction is open before it is to be committed.
const COMMIT_EVERY: Duration = Duration::from_millis(100);
/// How often offsets are committed when no event comes of what is read.
const OFFSETS_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether inputs and filters are calm.
const CALM_EVERY: Duration = Duration::from_millis(1);
/// How long they may take, and then the brokers for each step. What takes longer than [`TRANSACTION_MS`] in all is given up, and
/// read again.
const CALM_MAX: Duration = Duration::from_secs(30);
const BROKERS_MAX: Duration = Duration::from_secs(20);
/// How long brokers keep a transaction open of which they hear nothing, in milliseconds.
pub(super) const TRANSACTION_MS: u64 = 60_000;
/// Events that are known never to be accepted, at most; beyond that they are found out again.
const REFUSED_MAX: usize = 10_000;

/// The transactions of an output.
pub(super) struct Transactions {
    source: Arc<Source>,
    rules: Rules,
    counts: Arc<Counts>,
    open: Mutex<Open>,
    /// Something was written, or a member wants its offsets committed.
    asked: Arc<Notify>,
    /// The output gives up: nothing is waited for.
    is_ending: Arc<AtomicBool>,
}

/// The transaction that is open, if any.
#[derive(Default)]
struct Open {
    live: Option<Arc<Live>>,
    since: Option<Instant>,
    shares: Vec<Share>,
    sent: Vec<Sent>,
    links: Vec<Joined>,
    /// Why it can't be committed any more.
    broken: Option<String>,
    /// A batch was refused: from the next transaction on each event is one, to find out which it was.
    is_careful: bool,
    /// Events that brokers have refused for good since the last commit, by their hash.
    refused: HashMap<u64, RDKafkaErrorCode>,
    /// Bytes that were handed over.
    bytes: u64,
    hashes: RandomState,
    failures: u32,
}

/// Events that were handed to librdkafka together.
struct Sent {
    payload: Arc<Payload>,
    records: Vec<usize>,
    batching: Batching,
    answers: oneshot::Receiver<Refusals>,
}

/// Whether a transaction may be committed.
#[derive(Debug, PartialEq, Eq)]
enum Readiness {
    /// Everything that its inputs handed over is in it or done with.
    Ready,
    NotYet,
    /// Something was given up that it must not step over.
    Broken,
}

impl Transactions {
    pub(super) fn new(source: Arc<Source>, rules: Rules, counts: Arc<Counts>) -> Arc<Transactions> {
        let (open, asked) = (Mutex::default(), Arc::default());
        Arc::new(Transactions { source, rules, counts, open, asked, is_ending: Arc::default() })
    }

    /// Makes the producer, and sees to it that transactions end.
    ///
    /// # Errors
    /// librdkafka can't make a producer; it says why.
    pub(super) async fn start(self: &Arc<Self>) -> Result<(), StartError> {
        let mut open = self.open.lock().await;
        if open.live.is_none() {
            open.live =
                Some(self.source.make(Batching::Full).map_err(|error| StartError(error.to_string()))?);
            tokio::spawn(commit_regularly(Arc::downgrade(self)));
        }
        Ok(())
    }

    /// Writes events into the open transaction; they are settled when it is committed.
    pub(super) async fn write(&self, batches: &[OutputBatch], cx: &OutputContext) -> Result<(), OutputError> {
        let mut open = self.open.lock().await;
        self.begin(&mut open).await?;
        for batch in batches {
            open.join(batch.acks(), &self.asked).map_err(OutputError::Fatal)?;
            for (event, reason) in batch.refused() {
                cx.bury(event, reason).await;
            }
            let Some(payload) = batch.payload::<Payload>() else { continue };
            self.send(&mut open, batch, payload, cx).await;
            open.shares.push(batch.share());
        }
        self.asked.notify_one();
        Ok(())
    }

    /// Commits what is open; what can't be committed is given up.
    pub(super) async fn close(&self) {
        while !self.open.lock().await.shares.is_empty() {
            self.end().await;
        }
    }

    /// Gives up what is open.
    pub(super) async fn abandon(&self) {
        self.is_ending.store(true, Ordering::Release);
        let mut open = self.open.lock().await;
        self.abort(&mut open, "the output ends".to_owned()).await;
        open.links.clear();
        let_go(open.live.take());
    }

    /// Ends what an earlier process with the same id left open: members wait for the offsets in it before they read anything.
    /// Says whether that was possible.
    async fn introduce(&self) -> bool {
        let mut open = self.open.lock().await;
        let live = match open.live.clone() {
            Some(live) => live,
            None => match self.source.make(Batching::Full) {
                Ok(live) => Arc::clone(open.live.insert(live)),
                Err(_) => return false,
            },
        };
        match tokio::task::spawn_blocking(move || live.introduce(BROKERS_MAX)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(
                    limited = true,
                    reason = said(&error),
                    "Kafka does not take transactions yet."
                );
                false
            }
            Err(_) => false,
        }
    }

    /// Opens a transaction, unless one is open.
    async fn begin(&self, open: &mut Open) -> Result<(), OutputError> {
        if open.since.is_some() {
            return Ok(());
        }
        let batching = if open.is_careful { Batching::Single } else { Batching::Full };
        let is_usable = |live: &Arc<Live>| live.batching == batching && live.broken().is_none();
        let_go(open.live.take_if(|live| !is_usable(live)));
        let live = match &open.live {
            Some(live) => Arc::clone(live),
            None => {
                let live =
                    self.source.make(batching).map_err(|error| OutputError::Fatal(error.to_string()))?;
                Arc::clone(open.live.insert(live))
            }
        };
        let begun = tokio::task::spawn_blocking(move || live.begin_transaction(BROKERS_MAX)).await;
        match begun {
            Ok(Ok(())) => {
                open.since = Some(Instant::now());
                Ok(())
            }
            Ok(Err(error)) => {
                let is_retriable = matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
                if !is_retriable {
                    let_go(open.live.take());
                }
                Err(self.later(open, format!("Kafka does not begin a transaction: {}", said(&error))))
            }
            Err(panic) => Err(OutputError::Fatal(panic.to_string())),
        }
    }

    fn later(&self, open: &mut Open, reason: String) -> OutputError {
        open.failures = open.failures.saturating_add(1);
        let mut backoff = Backoff::new(self.rules.backoff_first, self.rules.backoff_max);
        let after = (0..open.failures.min(16)).map(|_| backoff.next_wait()).last();
        OutputError::Retry { after, reason }
    }

    async fn send(&self, open: &mut Open, batch: &OutputBatch, payload: Arc<Payload>, cx: &OutputContext) {
        let (mut records, mut buried) = (Vec::with_capacity(payload.len()), Vec::new());
        for record in 0..payload.len() {
            let known = open.refusal_of(&payload, record);
            match known {
                None => records.push(record),
                Some(code) => buried.push((record, code)),
            }
        }
        self.hand_over(open, &payload, records, &mut buried).await;
        for (record, code) in buried {
            fate::bury(batch, &payload, record, code, cx).await;
        }
    }

    /// Hands events to librdkafka; those that it does not even take are `buried`.
    async fn hand_over(
        &self,
        open: &mut Open,
        payload: &Arc<Payload>,
        records: Vec<usize>,
        buried: &mut Vec<(usize, RDKafkaErrorCode)>,
    ) {
        let Some(live) = open.live.clone() else { return };
        let (first, answers) = live.flights().begin(records.len());
        let mut bytes = 0;
        for (place, record) in records.iter().enumerate() {
            let Some(parts) = payload.parts_of(*record) else { continue };
            let result = match open.broken {
                None => live.hand_over(&parts, first + place).await,
                Some(_) => Err(RDKafkaErrorCode::State),
            };
            match result {
                Ok(()) => bytes += parts.bytes,
                Err(code) => {
                    live.flights().answer(first + place, None);
                    match fate::of(code) {
                        Fate::Never | Fate::Apart => buried.push((*record, code)),
                        Fate::Spent | Fate::Later => {
                            open.broken.get_or_insert_with(|| code.to_string());
                        }
                    }
                }
            }
        }
        open.bytes += bytes as u64;
        open.sent.push(Sent { payload: Arc::clone(payload), records, batching: live.batching, answers });
    }

    /// Commits what is open once everything is calm, or gives it up.
    async fn end(&self) {
        let begin = Instant::now();
        loop {
            let mut open = self.open.lock().await;
            // Also members that were met since.
            open.hold(true);
            let is_late = begin.elapsed() >= CALM_MAX;
            match open.readiness() {
                _ if open.broken.is_some() => {
                    let reason = open.broken.take().unwrap_or_default();
                    self.abort(&mut open, reason).await;
                }
                Readiness::Ready => self.commit(&mut open).await,
                Readiness::Broken => {
                    self.abort(&mut open, "something was given up elsewhere".to_owned()).await
                }
                Readiness::NotYet if is_late => {
                    self.abort(&mut open, format!("other outputs took longer than {CALM_MAX:?}")).await;
                }
                Readiness::NotYet => {
                    drop(open);
                    tokio::time::sleep(CALM_EVERY).await;
                    continue;
                }
            }
            open.hold(false);
            return;
        }
    }

    async fn commit(&self, open: &mut Open) {
        if open.since.is_none() && !open.links.iter().any(Joined::has_news) {
            return;
        }
        if self.is_ending.load(Ordering::Acquire) {
            return self.abort(open, "the output ends".to_owned()).await;
        }
        if let Err(error) = self.begin(open).await {
            return self.abort(open, error.to_string()).await;
        }
        let Some(live) = open.live.clone() else { return };
        let links: Vec<Arc<Link>> = open.links.iter().map(|joined| Arc::clone(&joined.link)).collect();
        let acks: Vec<Ack> = open.shares.iter().flat_map(Share::acks).cloned().collect();
        let is_ending = Arc::clone(&self.is_ending);
        // A member that ends in this moment closes its consumer here, where that may block.
        let committed = tokio::task::spawn_blocking(move || {
            let offsets: Vec<Offsets> = links.iter().map(|link| link.offsets()).collect();
            let is_stale = acks.iter().any(|ack| ack.note::<Note>().is_some_and(Note::is_stale));
            drop(acks);
            if is_stale {
                return (offsets, Err("a partition went to another member".to_owned()));
            }
            let added = offsets.iter().try_for_each(|offsets| live.add_offsets(offsets, BROKERS_MAX));
            let result = added
                .and_then(|()| live.commit_for_good(BROKERS_MAX, &is_ending).map_err(|error| said(&error)));
            (offsets, result)
        });
        let (offsets, reason) = match committed.await {
            Ok((offsets, Ok(()))) => (offsets, None),
            Ok((offsets, Err(reason))) => (offsets, Some(reason)),
            Err(panic) => (Vec::new(), Some(panic.to_string())),
        };
        if let Some(reason) = reason {
            return self.abort(open, reason).await;
        }
        for (joined, offsets) in open.links.iter().zip(&offsets) {
            joined.link.set_committed(offsets);
        }
        self.counts.bytes.add(std::mem::take(&mut open.bytes));
        self.counts.batches.add(open.shares.len() as u64);
        open.shares.drain(..).for_each(Share::settle);
        open.sent.clear();
        // What it was given up for is a dead letter, and its offset is committed.
        open.refused.clear();
        (open.since, open.is_careful, open.failures) = (None, false, 0);
        self.counts.transactions_committed.add(1);
    }

    /// Ends the transaction without effect. What it held is read again.
    async fn abort(&self, open: &mut Open, reason: String) {
        if open.since.take().is_none() && open.shares.is_empty() {
            return;
        }
        tracing::warn!(
            limited = true,
            reason,
            batches = open.shares.len(),
            "A transaction is given up, what was in it is read again."
        );
        self.counts.transactions_aborted.add(1);
        if let Some(live) = open.live.clone() {
            let aborted = tokio::task::spawn_blocking(move || live.abort_transaction(BROKERS_MAX)).await;
            if let Ok(Err(error)) = aborted {
                tracing::warn!(
                    limited = true,
                    reason = said(&error),
                    "A transaction could not be given up in time."
                );
                // The next producer's first act is to end it.
                let_go(open.live.take());
            }
        }
        for mut sent in std::mem::take(&mut open.sent) {
            if let Ok(refusals) = sent.answers.try_recv() {
                open.judge(&sent, refusals);
            }
        }
        (open.broken, open.bytes) = (None, 0);
        open.shares.clear();
    }
}

/// Closing a producer may block for as long as brokers are away.
fn let_go(live: Option<Arc<Live>>) {
    if live.is_some() {
        drop(tokio::task::spawn_blocking(move || drop(live)));
    }
}

/// What librdkafka says of an error, in words.
pub(super) fn said(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => format!("{}: {}", error.name(), error.string()),
        error => error.to_string(),
    }
}

async fn commit_regularly(transactions: Weak<Transactions>) {
    loop {
        let Some(strong) = transactions.upgrade() else { return };
        if !strong.introduce().await {
            drop(strong);
            tokio::time::sleep(OFFSETS_EVERY).await;
            continue;
        }
        // The last instance of the output must not have to wait for this one.
        let asked = tokio::time::timeout(OFFSETS_EVERY, strong.asked.notified()).await;
        let is_due = asked.is_ok() || strong.open.lock().await.links.iter().any(Joined::has_news);
        drop(strong);
        if !is_due {
            continue;
        }
        if asked.is_ok() {
            tokio::time::sleep(COMMIT_EVERY).await;
        }
        let Some(strong) = transactions.upgrade() else { return };
        strong.end().await;
    }
}

impl Open {
    /// Meets the members of groups that events come from.
    fn join(&mut self, acks: &[Ack], asked: &Arc<Notify>) -> Result<(), String> {
        for note in acks.iter().filter_map(Ack::note::<Note>) {
            if self.links.iter().any(|joined| Arc::ptr_eq(&joined.link, &note.link)) {
                continue;
            }
            if !note.link.reads_committed {
                return Err("`transactional_id` needs `isolation_level => \"read_committed\"` on the kafka input: without it \
                            a member could begin before offsets that are still to be committed"
                    .to_owned());
            }
            if note.link.joins_messages {
                return Err("`transactional_id` can't be used with a codec on the kafka input that joins messages: `multiline`"
                    .to_owned());
            }
            let joined = note.link.join(asked);
            self.links.push(joined.ok_or("a kafka input can feed one output with `transactional_id` only")?);
        }
        Ok(())
    }

    fn hold(&mut self, hold: bool) {
        self.links.retain(|joined| hold || !joined.link.is_gone());
        self.links.iter_mut().for_each(|joined| joined.hold(hold));
    }

    /// Whether nobody else has anything of the chunks whose events are in the transaction, and their members none else.
    fn readiness(&self) -> Readiness {
        let mut chunks: BTreeMap<usize, (&Ack, usize)> = BTreeMap::new();
        for ack in self.shares.iter().flat_map(Share::acks) {
            chunks.entry(ack.number()).or_insert((ack, 0)).1 += 1;
        }
        if chunks.values().any(|(ack, _)| ack.note::<Note>().is_some_and(Note::is_stale)) {
            return Readiness::Broken;
        }
        let mut is_ready = chunks.values().all(|(ack, shares)| ack.shares() == *shares);
        for joined in &self.links {
            let own = chunks.values().filter_map(|(ack, _)| ack.note::<Note>());
            let own = own.filter(|note| Arc::ptr_eq(&note.link, &joined.link)).count();
            let Calm { chunks, is_broken, is_committing } = joined.calm();
            if is_broken {
                return Readiness::Broken;
            }
            is_ready &= chunks == own && !is_committing;
        }
        // Whoever gives something up says so before he lets go.
        if chunks.values().any(|(ack, _)| ack.is_abandoned()) {
            return Readiness::Broken;
        }
        if is_ready { Readiness::Ready } else { Readiness::NotYet }
    }

    fn refusal_of(&self, payload: &Payload, record: usize) -> Option<RDKafkaErrorCode> {
        if self.refused.is_empty() {
            return None;
        }
        self.refused.get(&self.hash(payload, record)?).copied()
    }

    fn hash(&self, payload: &Payload, record: usize) -> Option<u64> {
        let parts = payload.parts_of(record)?;
        Some(self.hashes.hash_one((parts.topic, parts.key, parts.value)))
    }

    /// Remembers which events brokers refuse, so that the next transaction goes on without them.
    fn judge(&mut self, sent: &Sent, refusals: Refusals) {
        for (place, code) in refusals {
            self.broken.get_or_insert_with(|| code.to_string());
            match fate::of(code) {
                // The next transaction finds out which it was.
                Fate::Apart if sent.batching == Batching::Full => self.is_careful = true,
                Fate::Never | Fate::Apart => {
                    let hash = sent.records.get(place).and_then(|record| self.hash(&sent.payload, *record));
                    if self.refused.len() >= REFUSED_MAX {
                        // Never stuck: they are found again, one after the other.
                        self.refused.clear();
                    }
                    if let Some(hash) = hash {
                        self.refused.insert(hash, code);
                    }
                }
                Fate::Spent | Fate::Later => {}
            }
        }
    }
}
