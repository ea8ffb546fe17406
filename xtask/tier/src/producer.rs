//! Numbered events into a topic.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use crate::kafka::Kafka;

/// How long an event is offered to brokers that are down.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(300);

/// How many events, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Events per second.
    pub rate: u64,
    /// Different keys.
    pub keys: u64,
    /// Bytes of text in each event.
    pub text_bytes: usize,
}

impl Pace {
    /// Short events of a hundred keys.
    #[must_use]
    pub fn of(rate: u64) -> Pace {
        Pace { rate, keys: 100, text_bytes: 20 }
    }
}

/// Writes events `{"n": 0, "time": "…", "level": "INFO", "service": "k-0", "message": "0", "text": "…"}` and so on at a steady pace, until it is told to stop.
pub struct Producer {
    is_stopping: Arc<AtomicBool>,
    begun: Arc<AtomicU64>,
    thread: JoinHandle<Result<Produced>>,
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct Produced {
    /// The numbers are those below this one.
    pub events: u64,
    /// Numbers of which the brokers did not say that they have them; they may be there or not.
    pub unsure: BTreeSet<u64>,
    /// When each number was handed to the client.
    pub times: Vec<Instant>,
}

#[derive(Clone, Default)]
struct Deliveries {
    unsure: Arc<Mutex<BTreeSet<u64>>>,
}

impl ClientContext for Deliveries {
    fn error(&self, _error: KafkaError, _reason: &str) {
        // Brokers die in these tests; what matters is said for each event.
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u64>) {
        if result.is_err() {
            self.unsure.lock().unwrap_or_else(PoisonError::into_inner).insert(*number);
        }
    }
}

impl Producer {
    /// Begins to write into `topic`.
    ///
    /// # Errors
    /// The client can't be made.
    pub fn start(kafka: &Kafka, topic: &str, pace: Pace) -> Result<Producer> {
        let mut config = kafka.client()?;
        // All replicas, and each event once, whatever happens to brokers.
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "5");
        config.set("message.timeout.ms", DELIVERY_TIME_MAX.as_millis().to_string());
        let deliveries = Deliveries::default();
        let client: ThreadedProducer<Deliveries> = config.create_with_context(deliveries.clone())?;
        let (is_stopping, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop, count, topic) = (Arc::clone(&is_stopping), Arc::clone(&begun), topic.to_owned());
        let thread = std::thread::spawn(move || {
            let times = write(&client, &topic, pace, &stop, &count)?;
            client.flush(DELIVERY_TIME_MAX).context("the last events can't be written")?;
            let unsure = deliveries.unsure.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Ok(Produced { events: times.len() as u64, unsure, times })
        });
        Ok(Producer { is_stopping, begun, thread })
    }

    /// How many events have been begun.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Stops, and waits until brokers have answered for all events.
    ///
    /// # Errors
    /// It could not write, or brokers don't answer.
    pub fn finish(self) -> Result<Produced> {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the producer has panicked"))?
    }
}

fn write(
    client: &ThreadedProducer<Deliveries>,
    topic: &str,
    pace: Pace,
    is_stopping: &AtomicBool,
    count: &AtomicU64,
) -> Result<Vec<Instant>> {
    let (start, text) = (Instant::now(), "x".repeat(pace.text_bytes));
    let mut times = Vec::new();
    while !is_stopping.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * pace.rate as f64) as u64;
        while (times.len() as u64) < due && !is_stopping.load(Ordering::Relaxed) {
            let number = times.len() as u64;
            let key = format!("k-{}", number % pace.keys);
            let time = jiff::Timestamp::now();
            let value = format!(
                r#"{{"n":{number},"time":"{time:.3}","level":"INFO","service":"{key}","message":"{number}","text":"{text}"}}"#
            );
            let mut record = BaseRecord::with_opaque_to(topic, Box::new(number)).key(&key).payload(&value);
            while let Err((error, back)) = client.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                record = back;
                std::thread::sleep(Duration::from_millis(10));
            }
            times.push(Instant::now());
            count.store(number + 1, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(times)
}
