//! librdkafka's own mock cluster, on real sockets, and a client to look at it with.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::OwnedMessage;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// Longest wait for something that should come at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster of one broker.
pub struct Kafka {
    /// Injects errors, stops brokers.
    pub mock: MockCluster<'static, DefaultProducerContext>,
    /// Sends at once.
    pub producer: BaseProducer,
}

impl Kafka {
    /// A cluster with a topic.
    pub fn start(topic: &str, partitions: i32) -> Kafka {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic(topic, partitions, 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", mock.bootstrap_servers()).set("linger.ms", "1");
        Kafka { producer: config.create().unwrap(), mock }
    }

    /// Where its broker is.
    pub fn servers(&self) -> String {
        self.mock.bootstrap_servers()
    }

    /// One more topic.
    pub fn create_topic(&self, topic: &str, partitions: i32) {
        self.mock.create_topic(topic, partitions, 1).unwrap();
    }

    /// Puts values without keys into a partition; returns once they are there.
    pub fn send<V: AsRef<[u8]>>(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = V>) {
        for value in values {
            let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(value.as_ref());
            while let Err((error, back)) = self.producer.send(record) {
                assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
                self.producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
        self.producer.flush(PATIENCE).unwrap();
    }

    /// What a group has committed.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(topic, partition);
        let committed = self.client(group, false).committed_offsets(partitions, PATIENCE).unwrap();
        match committed.elements().first()?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// What is in a topic, by partition; waits until there is as much as `count`. `committed` leaves out what is of no committed
    /// transaction.
    pub fn read(&self, topic: &str, partitions: i32, count: usize, committed: bool) -> Vec<OwnedMessage> {
        let consumer = self.client("reader", committed);
        let mut all = TopicPartitionList::new();
        (0..partitions).for_each(|number| {
            all.add_partition_offset(topic, number, Offset::Beginning).unwrap();
        });
        consumer.assign(&all).unwrap();
        let (mut found, begin) = (Vec::new(), Instant::now());
        let mut quiet = Instant::now();
        // What should not be there has a moment to show.
        while begin.elapsed() < PATIENCE
            && (found.len() < count || quiet.elapsed() < Duration::from_millis(300))
        {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                found.push(message.detach());
                quiet = Instant::now();
            }
        }
        found
    }

    fn client(&self, group: &str, committed: bool) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.servers())
            .set("group.id", group)
            .set("enable.auto.commit", "false");
        config.set("isolation.level", if committed { "read_committed" } else { "read_uncommitted" });
        config.create().unwrap()
    }
}

/// How often each value is there.
pub fn values(messages: &[OwnedMessage]) -> BTreeMap<String, usize> {
    let mut values = BTreeMap::new();
    for message in messages {
        let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        *values.entry(value).or_default() += 1;
    }
    values
}
