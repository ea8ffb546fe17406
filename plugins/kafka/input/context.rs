//! What librdkafka tells a member beside messages.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use crate::client;
use crate::client::security::Login;

/// Something that happened to a member.
#[derive(Debug)]
pub(crate) enum Occurrence {
    /// The group gives it partitions.
    Assigned(TopicPartitionList),
    /// The group wants partitions back, or has already given them to others.
    Revoked { partitions: TopicPartitionList, are_lost: bool },
    /// A commit was answered.
    Committed { offsets: TopicPartitionList, error: Option<KafkaError> },
    /// Numbers, as JSON.
    Statistics(Vec<u8>),
    /// Brokers said where partitions end.
    Ends(TopicPartitionList),
}

/// Collects occurrences while the member polls, so that it can look at them afterwards.
pub(crate) struct MemberContext {
    login: Login,
    occurred: Mutex<Vec<Occurrence>>,
    /// Whether there is something in `occurred`.
    has_occurred: AtomicBool,
    /// What the group asks is answered at once: the member has ended.
    is_closing: AtomicBool,
}

impl MemberContext {
    pub(crate) fn new(login: Login) -> MemberContext {
        MemberContext {
            login,
            occurred: Mutex::default(),
            has_occurred: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
        }
    }

    /// What has happened since the last call, in its order.
    pub(crate) fn take(&self) -> Vec<Occurrence> {
        if !self.has_occurred.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.occurred.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether something has happened.
    pub(crate) fn has_occurred(&self) -> bool {
        self.has_occurred.load(Ordering::Acquire)
    }

    /// Says that the member has ended.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    /// A commit was answered.
    pub(crate) fn committed(&self, offsets: TopicPartitionList, error: Option<KafkaError>) {
        self.put(Occurrence::Committed { offsets, error });
    }

    /// Brokers said where partitions end.
    pub(crate) fn found_ends(&self, ends: TopicPartitionList) {
        self.put(Occurrence::Ends(ends));
    }

    fn put(&self, occurrence: Occurrence) {
        self.occurred.lock().unwrap_or_else(PoisonError::into_inner).push(occurrence);
        self.has_occurred.store(true, Ordering::Release);
    }
}

impl ClientContext for MemberContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(limited = true, %error, reason, "Kafka does not answer as it should.");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.put(Occurrence::Statistics(statistics.to_owned()));
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.login.token()
    }
}

impl ConsumerContext for MemberContext {
    /// The member answers later, when what it has of the partitions is settled; until then the library waits, and polling goes on.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_assigned = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        match kind {
            // Until it has an answer the library does not close.
            _ if self.is_closing.load(Ordering::Acquire) => {
                let answer = if is_assigned { take_over } else { give_back };
                if let Err(error) = answer(consumer, partitions) {
                    tracing::warn!(%error, "Partitions could not be given back.");
                }
            }
            _ if is_assigned => self.put(Occurrence::Assigned(partitions.clone())),
            _ => {
                let are_lost = consumer.assignment_lost();
                self.put(Occurrence::Revoked { partitions: partitions.clone(), are_lost });
            }
        }
    }
}

/// Tells the library that the member has the partitions now.
pub(crate) fn take_over(
    consumer: &BaseConsumer<MemberContext>,
    partitions: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
        _ => consumer.assign(partitions),
    }
}

/// Tells the library that the member has given the partitions up.
pub(crate) fn give_back(
    consumer: &BaseConsumer<MemberContext>,
    partitions: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        _ => consumer.unassign(),
    }
}
