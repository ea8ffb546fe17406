//! The producer that all instances of an output share.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use ferrostash_plugin::DeadLetters;
use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
};

use super::flights::Flights;
use super::partitioner::Spreading;
use super::records::Parts;
use super::transaction::said;
use crate::client;
use crate::client::security::Login;
use crate::link::Offsets;

/// How soon a commit without an answer is asked for again.
const COMMIT_AGAIN: Duration = Duration::from_millis(200);
/// How long the answers of events are waited for before looking whether one was refused.
const FLUSH_STEP: Duration = Duration::from_millis(100);
/// How long to wait for room in the producer's buffer before looking again.
const ROOM_WAIT: Duration = Duration::from_millis(5);
/// How long a look at a topic may take.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What producers are made of, and the one there is.
#[derive(Debug)]
pub(super) struct Source {
    config: ClientConfig,
    spreading: Option<Arc<Spreading>>,
    login: Login,
    /// The instances hold it: it ends with the last of them.
    live: Mutex<Weak<Live>>,
    keeps_letters: OnceLock<bool>,
}

impl Source {
    pub(super) fn new(config: ClientConfig, spreading: Option<Spreading>, login: Login) -> Source {
        let (spreading, live) = (spreading.map(Arc::new), Mutex::default());
        Source { config, spreading, login, live, keeps_letters: OnceLock::new() }
    }

    /// The producer of all instances; made where there is none yet, or none but `broken`.
    ///
    /// # Errors
    /// librdkafka can't make one; it says why.
    pub(super) fn live(&self, broken: Option<&Arc<Live>>) -> KafkaResult<Arc<Live>> {
        let mut known = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = known.upgrade().filter(|live| broken.is_none_or(|broken| !Arc::ptr_eq(live, broken)));
        if let Some(live) = usable {
            return Ok(live);
        }
        let live = self.make(Batching::Full)?;
        *known = Arc::downgrade(&live);
        Ok(live)
    }

    /// A producer for the caller alone.
    ///
    /// # Errors
    /// As [`Source::live`]'s.
    pub(super) fn make(&self, batching: Batching) -> KafkaResult<Arc<Live>> {
        let mut config = self.config.clone();
        if batching == Batching::Single {
            config.set("batch.num.messages", "1");
        }
        let context = Context {
            flights: Flights::default(),
            spreading: self.spreading.clone(),
            login: self.login.clone(),
            span: tracing::Span::current(),
        };
        let producer = ThreadedProducer::from_config_and_context(&config, context)?;
        let apart = tokio::sync::RwLock::new(());
        Ok(Arc::new(Live { producer, batching, apart, has_transactions: AtomicBool::new(false) }))
    }

    /// Remembers whether dead letters are kept.
    pub(super) fn learn_of(&self, letters: &dyn DeadLetters) {
        let _ = self.keeps_letters.set(letters.keeps_events());
    }

    /// Whether dead letters are kept as the events that they were; they are until the opposite is known.
    pub(super) fn keeps_letters(&self) -> bool {
        self.keeps_letters.get().copied().unwrap_or(true)
    }
}

/// How many events brokers get, and answer for, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batching {
    Full,
    /// Each event is a batch: none is refused because of another.
    Single,
}

/// A producer at work.
pub(super) struct Live {
    producer: ThreadedProducer<Context, Spreading>,
    pub(super) batching: Batching,
    /// Held alone while one event is sent apart from all others, so that no other one is in its batch.
    pub(super) apart: tokio::sync::RwLock<()>,
    /// Whether brokers know of its transactions.
    has_transactions: AtomicBool,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("producer")
    }
}

impl Live {
    /// What is under way.
    pub(super) fn flights(&self) -> &Flights {
        &self.producer.client().context().flights
    }

    /// Hands an event over under its number; the answer goes to [`Live::flights`].
    ///
    /// # Errors
    /// librdkafka does not take it, and will not answer.
    fn send(&self, parts: &Parts<'_>, number: usize) -> Result<(), RDKafkaErrorCode> {
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(parts.topic, number).payload(parts.value);
        record.key = parts.key;
        record.headers = parts.headers();
        self.producer
            .send(record)
            .map_err(|(error, _)| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::InvalidArgument))
    }

    /// The same, once there is room for it.
    ///
    /// # Errors
    /// As [`Live::send`]'s.
    pub(super) async fn hand_over(&self, parts: &Parts<'_>, number: usize) -> Result<(), RDKafkaErrorCode> {
        loop {
            match self.send(parts, number) {
                Err(RDKafkaErrorCode::QueueFull) => tokio::time::sleep(ROOM_WAIT).await,
                result => return result,
            }
        }
    }

    /// Why it can never send again, where that is so.
    pub(super) fn broken(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(code, reason)| format!("{code}: {reason}"))
    }

    /// Asks the brokers for a topic, which makes librdkafka forget what they said of it before. Blocks.
    pub(super) fn look_at(&self, topic: &str) {
        if let Err(error) = self.producer.client().fetch_metadata(Some(topic), LOOK_MAX) {
            tracing::debug!(topic, %error, "a topic could not be looked up");
        }
    }

    /// Makes itself known; transactions of an earlier process with the same id end with that. Blocks.
    pub(super) fn introduce(&self, wait_max: Duration) -> KafkaResult<()> {
        if !self.has_transactions.load(Ordering::Acquire) {
            self.producer.init_transactions(wait_max)?;
            self.has_transactions.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Opens a transaction. Blocks.
    pub(super) fn begin_transaction(&self, wait_max: Duration) -> KafkaResult<()> {
        self.introduce(wait_max)?;
        self.flights().forget_refusals();
        self.producer.begin_transaction()
    }

    /// Adds the offsets of a member of a group to the transaction. Blocks.
    ///
    /// # Errors
    /// Why they can't be added: the transaction must be given up.
    pub(super) fn add_offsets(&self, offsets: &Offsets, wait_max: Duration) -> Result<(), String> {
        if offsets.list.count() == 0 {
            return Ok(());
        }
        let group = offsets.group.as_ref().ok_or("the input has left its group")?;
        let added = self.producer.send_offsets_to_transaction(&offsets.list, group, wait_max);
        added.map_err(|error| said(&error))
    }

    /// Commits the transaction, once all of its events were accepted. Once brokers may have begun with it there is no way back: it is
    /// tried until they have answered, or `is_ending`. Blocks.
    pub(super) fn commit_for_good(&self, wait_max: Duration, is_ending: &AtomicBool) -> KafkaResult<()> {
        // After a refusal librdkafka sends nothing more, and would wait for the rest in vain.
        let until = Instant::now() + wait_max;
        while let Err(error) = self.producer.flush(FLUSH_STEP) {
            if self.flights().has_refusals() || Instant::now() >= until {
                return Err(error);
            }
        }
        loop {
            match self.producer.commit_transaction(wait_max) {
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && !is_ending.load(Ordering::Acquire) =>
                {
                    let reason = error.string();
                    tracing::warn!(limited = true, reason, "Kafka has not committed a transaction yet.");
                    std::thread::sleep(COMMIT_AGAIN);
                }
                result => return result,
            }
        }
    }

    /// Gives the transaction up. Blocks.
    pub(super) fn abort_transaction(&self, wait_max: Duration) -> KafkaResult<()> {
        self.producer.abort_transaction(wait_max)
    }

    /// Takes back all that was not answered. Blocks for a moment.
    pub(super) fn purge(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }
}

/// What librdkafka calls.
pub(super) struct Context {
    flights: Flights,
    spreading: Option<Arc<Spreading>>,
    login: Login,
    /// Of the output, for the log.
    span: tracing::Span,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.span.in_scope(|| client::log(level, facility, message));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.span.in_scope(|| tracing::warn!(limited = true, %error, reason, "Kafka can't be used now"));
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.login.token()
    }
}

impl ProducerContext<Spreading> for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let code = |error: &KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        self.flights.answer(number, result.as_ref().err().map(|(error, _)| code(error)));
    }

    fn get_custom_partitioner(&self) -> Option<&Spreading> {
        self.spreading.as_deref()
    }
}
