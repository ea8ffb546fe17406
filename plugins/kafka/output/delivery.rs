//! Sending batches until every event was answered for.

use std::sync::Arc;
use std::time::Duration;

use ferrostash_plugin::{Backoff, OutputBatch, OutputContext};
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::OwnedMutexGuard;

use super::counts::Counts;
use super::fate::{self, Fate};
use super::producer::{Live, Source};
use super::records::{Parts, Payload};

/// Events that are handed over before others of the runtime get their turn.
const TURN: usize = 500;
/// How long an event that is to be sent apart waits for all others to be answered.
const APART_MAX: Duration = Duration::from_secs(5);
/// Topics that are looked up again at a time.
const LOOKS_MAX: usize = 10;

/// When events are sent again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// How often; without end when absent.
    pub(super) retries: Option<u64>,
    /// After how long at first.
    pub(super) backoff_first: Duration,
    /// And in the end.
    pub(super) backoff_max: Duration,
}

/// An event of the batches that are delivered together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    batch: usize,
    record: usize,
}

/// An event that was not accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    item: Item,
    pub(super) code: RDKafkaErrorCode,
    /// librdkafka did not even take it.
    is_own: bool,
}

/// The delivery of some batches.
pub(super) struct Delivery {
    batches: Vec<OutputBatch>,
    /// What the encoder made of each batch: the engine hands out no other ones.
    payloads: Vec<Arc<Payload>>,
    source: Arc<Source>,
    live: Arc<Live>,
    rules: Rules,
    counts: Arc<Counts>,
    cx: OutputContext,
    /// Held until its events were handed over for the first time.
    turn: Option<OwnedMutexGuard<()>>,
}

impl Delivery {
    pub(super) fn new(
        batches: Vec<OutputBatch>,
        source: Arc<Source>,
        live: Arc<Live>,
        rules: Rules,
        counts: Arc<Counts>,
        cx: OutputContext,
    ) -> Delivery {
        let payloads = batches.iter().filter_map(OutputBatch::payload).collect();
        Delivery { batches, payloads, source, live, rules, counts, cx, turn: None }
    }

    /// The next delivery hands its events over when this one has done so.
    #[must_use]
    pub(super) fn taking_turn(mut self, turn: OwnedMutexGuard<()>) -> Delivery {
        self.turn = Some(turn);
        self
    }

    /// The producer that the delivery uses now.
    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Returns when each event was accepted or is a dead letter.
    pub(super) async fn all(&mut self) {
        for (event, reason) in self.batches.iter().flat_map(OutputBatch::refused) {
            self.cx.bury(event, reason).await;
        }
        let items = |(batch, payload): (usize, &Arc<Payload>)| {
            (0..payload.len()).map(move |record| Item { batch, record })
        };
        let mut items: Vec<Item> = self.payloads.iter().enumerate().flat_map(items).collect();
        let mut backoff = Backoff::new(self.rules.backoff_first, self.rules.backoff_max);
        let mut retries = 0;
        loop {
            let failures = self.together(&items).await;
            let again = self.judge(failures).await;
            if again.len() < items.len() {
                backoff.reset();
            }
            items = again.iter().map(|failure| failure.item).collect();
            if items.is_empty() {
                break;
            }
            if self.rules.retries.is_some_and(|max| retries >= max) {
                self.exhausted(&again).await;
                break;
            }
            retries += 1;
            self.wait(&again, backoff.next_wait()).await;
        }
        self.counts.batches.add(self.batches.len() as u64);
    }

    async fn together(&mut self, items: &[Item]) -> Vec<Failure> {
        let live = Arc::clone(&self.live);
        let _together = live.apart.read().await;
        self.send(items).await
    }

    /// Sends events, and waits until each was answered. Gives those that were not accepted, in order.
    async fn send(&mut self, items: &[Item]) -> Vec<Failure> {
        let (first, answers) = self.live.flights().begin(items.len());
        let (mut failures, mut bytes) = (Vec::new(), 0);
        for (place, item) in items.iter().enumerate() {
            if place % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            match self.hand_over(*item, first + place).await {
                Ok(size) => bytes += size,
                Err(code) => {
                    failures.push(Failure { item: *item, code, is_own: true });
                    self.live.flights().answer(first + place, None);
                }
            }
        }
        self.turn = None;
        let lost = || (0..items.len()).map(|place| (place, RDKafkaErrorCode::Fail)).collect();
        let refusals = answers.await.unwrap_or_else(|_| lost());
        for (place, code) in refusals {
            if let Some(item) = items.get(place) {
                bytes -= self.parts_of(*item).map_or(0, |parts| parts.bytes);
                failures.push(Failure { item: *item, code, is_own: false });
            }
        }
        failures.sort_by_key(|failure| failure.item);
        self.counts.bytes.add(bytes as u64);
        self.counts.failed(&failures);
        failures
    }

    /// Hands an event over; gives its size in bytes.
    async fn hand_over(&self, item: Item, number: usize) -> Result<usize, RDKafkaErrorCode> {
        let parts = self.parts_of(item).ok_or(RDKafkaErrorCode::InvalidArgument)?;
        self.live.hand_over(&parts, number).await.map(|()| parts.bytes)
    }

    fn parts_of(&self, item: Item) -> Option<Parts<'_>> {
        self.payloads.get(item.batch)?.parts_of(item.record)
    }

    fn topic_of(&self, item: Item) -> &str {
        self.parts_of(item).map_or("", |parts| parts.topic)
    }

    /// Draws the consequences; gives the events that are to be sent again.
    async fn judge(&mut self, failures: Vec<Failure>) -> Vec<Failure> {
        let (mut again, mut apart) = (Vec::new(), Vec::new());
        for failure in failures {
            match fate::of(failure.code) {
                Fate::Later => again.push(failure),
                Fate::Spent if self.rules.retries.is_none() => again.push(failure),
                Fate::Apart if !failure.is_own => apart.push(failure),
                Fate::Apart | Fate::Never | Fate::Spent => self.bury(failure).await,
            }
        }
        if let Some(failure) = apart.first() {
            let (topic, error) = (self.topic_of(failure.item), failure.code);
            tracing::warn!(limited = true, topic, %error, events = apart.len(),
                "a batch was refused because of its size or because of one event; its events are sent one by one");
            again.extend(self.apart(apart).await);
            again.sort_by_key(|failure| failure.item);
        }
        again
    }

    /// Sends events one by one, so that none is refused because of another; gives those that are to be sent again.
    async fn apart(&mut self, failures: Vec<Failure>) -> Vec<Failure> {
        let live = Arc::clone(&self.live);
        // Others may wait for an answer for as long as brokers are away.
        let Ok(_alone) = tokio::time::timeout(APART_MAX, live.apart.write()).await else { return failures };
        let mut again = Vec::new();
        for failure in failures {
            for failure in self.send(&[failure.item]).await {
                match fate::of(failure.code) {
                    Fate::Later => again.push(failure),
                    Fate::Spent if self.rules.retries.is_none() => again.push(failure),
                    Fate::Apart | Fate::Never | Fate::Spent => self.bury(failure).await,
                }
            }
        }
        again
    }

    /// Makes an event a dead letter.
    async fn bury(&self, failure: Failure) {
        let Item { batch, record } = failure.item;
        if let (Some(batch), Some(payload)) = (self.batches.get(batch), self.payloads.get(batch)) {
            fate::bury(batch, payload, record, failure.code, &self.cx).await;
        }
    }

    /// Gives up events that were sent as often as `retries` allows.
    async fn exhausted(&self, failures: &[Failure]) {
        tracing::warn!(
            limited = true,
            events = failures.len(),
            max_retries = self.rules.retries,
            "events could not be sent, however often `retries` allows"
        );
        for failure in failures {
            self.bury(*failure).await;
        }
    }

    /// Waits before the next attempt, and mends what it can in the meantime.
    async fn wait(&mut self, again: &[Failure], wait: Duration) {
        let events = again.len() as u64;
        if let Some(failure) = again.first() {
            let (topic, error) = (self.topic_of(failure.item), failure.code);
            let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(limited = true, topic, %error, events, retry_in_ms,
                "Kafka did not accept events, they are sent again");
        }
        if let Some(reason) = self.live.broken() {
            tracing::warn!(limited = true, reason, "the producer can't go on, a new one takes its place");
            let next = self.source.live(Some(&self.live));
            match next {
                Ok(next) => {
                    let broken = std::mem::replace(&mut self.live, next);
                    tokio::task::spawn_blocking(move || drop(broken));
                }
                Err(error) => tracing::warn!(limited = true, %error, "there can be no new producer yet"),
            }
        }
        self.counts.waiting.add(events);
        let _waiting = Waiting(Arc::clone(&self.counts), events);
        tokio::time::sleep(wait).await;
        self.look_at_topics(again).await;
        self.counts.retries.add(events);
    }

    /// Asks anew for topics that were forbidden: librdkafka remembers that for minutes.
    async fn look_at_topics(&self, again: &[Failure]) {
        let is_forbidden = |failure: &&Failure| failure.code == RDKafkaErrorCode::TopicAuthorizationFailed;
        let forbidden = again.iter().filter(is_forbidden).map(|failure| self.topic_of(failure.item));
        let mut topics: Vec<&str> = forbidden.collect();
        topics.sort_unstable();
        topics.dedup();
        let topics: Vec<String> = topics.into_iter().take(LOOKS_MAX).map(str::to_owned).collect();
        if !topics.is_empty() {
            let live = Arc::clone(&self.live);
            let looks = move || topics.iter().for_each(|topic| live.look_at(topic));
            let _ = tokio::task::spawn_blocking(looks).await;
        }
    }
}

/// Events that wait, as long as they do.
struct Waiting(Arc<Counts>, u64);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.subtract(self.1);
    }
}
