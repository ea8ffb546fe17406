//! librdkafka's own mock cluster, on real sockets, and a client to look at it with.

use std::time::Duration;

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
        let committed = self.client(group).committed_offsets(partitions, PATIENCE).unwrap();
        match committed.elements().first()?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// All that is in a topic, in order within each partition.
    pub fn read(&self, topic: &str, partitions: i32) -> Vec<OwnedMessage> {
        let consumer = self.client("reader");
        let (mut all, mut left) = (TopicPartitionList::new(), 0);
        for number in 0..partitions {
            let (first, end) = consumer.fetch_watermarks(topic, number, PATIENCE).unwrap();
            left += end - first;
            all.add_partition_offset(topic, number, Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        let next = |left| consumer.poll(PATIENCE).unwrap_or_else(|| panic!("{left} more should be there"));
        let mut found: Vec<_> = (0..left).rev().map(|left| next(left).unwrap().detach()).collect();
        found.sort_by_key(OwnedMessage::partition);
        found
    }

    fn client(&self, group: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.servers())
            .set("group.id", group)
            .set("enable.auto.commit", "false");
        config.create().unwrap()
    }
}
