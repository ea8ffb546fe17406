//! A real Kafka of one or several brokers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::service::Service;
use crate::{http, wait};

/// How long a broker may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// A cluster, stopped when this is dropped.
pub struct Kafka {
    service: Service,
    brokers: usize,
}

/// How far a group is behind, in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// What the topic has.
    pub written: u64,
    /// What the group has committed.
    pub committed: u64,
}

impl Lag {
    /// What is still to be committed.
    #[must_use]
    pub fn events(self) -> u64 {
        self.written.saturating_sub(self.committed)
    }
}

impl Kafka {
    /// Starts so many brokers; `flags` are those of `tests/services/kafka`: `--sasl`, `--tls`, `--mutual`, `--kerberos`.
    ///
    /// # Errors
    /// See [`Service::start`].
    pub fn start(brokers: usize, flags: &[&str]) -> Result<Kafka> {
        let number = brokers.to_string();
        let flags = [&["--brokers", &number], flags].concat();
        Ok(Kafka { service: Service::start("kafka", &flags)?, brokers })
    }

    /// What the script has announced: `SASL_ADDRESS`, `CA`, `CLIENT_JKS` and the like.
    ///
    /// # Errors
    /// There is no such key.
    pub fn announced(&self, key: &str) -> Result<&str> {
        self.service.announced(key)
    }

    /// All brokers, without encryption or login.
    ///
    /// # Errors
    /// None were announced.
    pub fn address(&self) -> Result<&str> {
        self.service.announced("ADDRESS")
    }

    /// How many brokers there are, running or not.
    #[must_use]
    pub fn brokers(&self) -> usize {
        self.brokers
    }

    /// Settings of a client of this cluster.
    pub(crate) fn client(&self) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()?).set("reconnect.backoff.max.ms", "1000");
        // What clients say while brokers die is expected.
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        Ok(config)
    }

    /// Makes a topic, with as many replicas as there are brokers, three at most, and waits until each partition has a leader.
    ///
    /// # Errors
    /// The cluster refuses it or does not answer.
    pub fn create_topic(&self, name: &str, partitions: usize) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client()?.create()?;
        let replicas = i32::try_from(self.brokers.min(3))?;
        let topic = NewTopic::new(name, i32::try_from(partitions)?, TopicReplication::Fixed(replicas));
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_TIME_MAX));
        for made in block_on(admin.create_topics([&topic], &options))? {
            made.map_err(|(name, code)| anyhow!("topic {name} can't be made: {code}"))?;
        }
        wait(&format!("leaders of {name}"), ANSWER_TIME_MAX, || {
            Ok((0..partitions).all(|partition| self.leader(name, partition).is_ok()).then_some(()))
        })
    }

    /// The broker that leads a partition, from 1.
    ///
    /// # Errors
    /// The cluster does not answer, or there is no leader.
    pub fn leader(&self, topic: &str, partition: usize) -> Result<usize> {
        let consumer: BaseConsumer = self.client()?.create()?;
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_TIME_MAX)?;
        let topic = metadata.topics().first().context("no such topic")?;
        let partition = topic.partitions().iter().find(|found| usize::try_from(found.id()) == Ok(partition));
        let leader = partition.context("no such partition")?.leader();
        usize::try_from(leader).ok().filter(|id| *id > 0).context("it has no leader")
    }

    /// How many messages a topic has, those of transactions included that are not committed.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn written(&self, topic: &str) -> Result<u64> {
        let consumer: BaseConsumer = self.client()?.create()?;
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_TIME_MAX)?;
        let found = metadata.topics().first().context("no such topic")?;
        let ends = found.partitions().iter().map(|partition| {
            let (first, end) = consumer.fetch_watermarks(topic, partition.id(), ANSWER_TIME_MAX)?;
            Ok(u64::try_from(end - first)?)
        });
        ends.sum()
    }

    /// How far a group is behind in a topic.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn lag(&self, group: &str, topic: &str) -> Result<Lag> {
        let consumer: BaseConsumer = self.client()?.set("group.id", group).create()?;
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_TIME_MAX)?;
        let topic_metadata = metadata.topics().first().context("no such topic")?;
        let mut asked = TopicPartitionList::new();
        for partition in topic_metadata.partitions() {
            asked.add_partition(topic, partition.id());
        }
        let mut lag = Lag { written: 0, committed: 0 };
        for element in consumer.committed_offsets(asked, ANSWER_TIME_MAX)?.elements() {
            let (first, end) = consumer.fetch_watermarks(topic, element.partition(), ANSWER_TIME_MAX)?;
            lag.written += u64::try_from(end - first)?;
            if let Offset::Offset(offset) = element.offset() {
                lag.committed += u64::try_from(offset - first).unwrap_or_default();
            }
        }
        Ok(lag)
    }

    /// The field `n` of all that a topic has, as those see it who read what is committed.
    ///
    /// # Errors
    /// The cluster does not answer, or a message has no such number.
    pub fn numbers(&self, topic: &str) -> Result<Vec<u64>> {
        let mut config = self.client()?;
        config.set("group.id", "reader").set("isolation.level", "read_committed");
        let consumer: BaseConsumer = config.set("enable.partition.eof", "true").create()?;
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_TIME_MAX)?;
        let partitions = metadata.topics().first().context("no such topic")?.partitions();
        // Where each is, of those whose end was not seen.
        let mut open: BTreeMap<i32, i64> = partitions.iter().map(|partition| (partition.id(), 0)).collect();
        let mut list = TopicPartitionList::new();
        for partition in open.keys() {
            list.add_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let mut numbers = Vec::new();
        while !open.is_empty() {
            let polled = consumer.poll(ANSWER_TIME_MAX);
            let polled = polled.with_context(|| {
                let end = |partition: &i32| consumer.fetch_watermarks(topic, *partition, ANSWER_TIME_MAX);
                let ends: Vec<_> = open.keys().map(end).collect();
                format!("{topic}: nothing comes any more, of the partitions {open:?} with ends {ends:?}")
            });
            match polled? {
                Ok(message) => {
                    let value = serde_json::from_slice(message.payload().unwrap_or_default())?;
                    numbers.push(http::number(&value, "/n")?);
                    open.insert(message.partition(), message.offset() + 1);
                }
                Err(KafkaError::PartitionEOF(partition)) => drop(open.remove(&partition)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(numbers)
    }

    /// Waits until a group has committed all that a topic has.
    ///
    /// # Errors
    /// It has not within `limit`.
    pub fn wait_for_commits(&self, group: &str, topic: &str, limit: Duration) -> Result<()> {
        let mut last = None;
        let done = wait(&format!("the commits of {group}"), limit, || {
            last = self.lag(group, topic).ok();
            Ok(last.filter(|lag| lag.events() == 0).map(|_| ()))
        });
        done.with_context(|| format!("{last:?}"))
    }

    fn one(&self, verb: &str, broker: usize) -> Result<()> {
        self.service.script(verb, &["--broker", &broker.to_string()])
    }

    /// `kill -9` of one broker, counted from 1.
    ///
    /// # Errors
    /// The script fails.
    pub fn crash(&self, broker: usize) -> Result<()> {
        self.one("crash", broker)
    }

    /// Stops one broker properly; it hands over what it leads.
    ///
    /// # Errors
    /// The script fails.
    pub fn stop(&self, broker: usize) -> Result<()> {
        self.one("stop", broker)
    }

    /// Starts one broker again, and waits until it is ready.
    ///
    /// # Errors
    /// The script fails.
    pub fn start_again(&self, broker: usize) -> Result<()> {
        self.one("start", broker)
    }

    /// `kill -9` of all brokers.
    ///
    /// # Errors
    /// The script fails.
    pub fn crash_all(&self) -> Result<()> {
        self.service.script("crash", &[])
    }

    /// Starts those that are down, and waits until they are ready.
    ///
    /// # Errors
    /// The script fails.
    pub fn start_all(&self) -> Result<()> {
        self.service.script("start", &[])
    }
}
