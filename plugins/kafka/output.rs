//! The `kafka` output.
//!
//! | file | what |
//! |---|---|
//! | `options`, `settings` | the options, and what they mean to librdkafka |
//! | `topic`, `records` | events in their wire form: written on a worker, one buffer for a batch |
//! | `partitioner` | partitioners of Java's client that librdkafka does not have |
//! | `producer`, `flights` | the client that all instances share, and what is under way in it |
//! | `delivery`, `fate` | sending, and what follows from each answer |
//! | `transaction` | events written together with the offsets of what they were made of |
//! | `counts` | the output's own metrics |

mod counts;
mod delivery;
mod fate;
mod flights;
pub(crate) mod options;
mod partitioner;
mod producer;
mod records;
mod settings;
#[cfg(test)]
mod tests;
mod topic;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use ferrostash_plugin::{
    BatchEncoder, Buffers, BuildContext, BuildResult, CodecFactory, Output, OutputBatch, OutputContext,
    OutputError, OutputPlugin, PluginDef, Share, Shutdown, StartError, output,
};
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

use crate::client::options::DnsLookup;
use crate::client::security::secure;
use counts::Counts;
use delivery::{Delivery, Rules};
use options::KafkaOutputOptions;
use producer::{Live, Source};
use records::{Recipe, RecordEncoder};
use transaction::Transactions;

pub(crate) static PLUGIN: PluginDef = output::<Kafka>();

/// Writes that one instance has under way: brokers answer after `linger_ms` and a way there and back.
const DELIVERIES_MAX: usize = 16;
/// The longest wait between two attempts, unless `retry_backoff_ms` is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

struct Kafka {
    source: Arc<Source>,
    recipe: Arc<Recipe>,
    rules: Rules,
    counts: Arc<Counts>,
    codec: Arc<dyn CodecFactory>,
    buffers: Buffers,
    /// Where it writes in transactions: all instances in the same ones.
    transactions: Option<Arc<Transactions>>,
    /// The producer, once this instance was started.
    live: Option<Arc<Live>>,
    /// What this instance has under way.
    deliveries: JoinSet<()>,
    /// Held by the delivery that hands its events over.
    turn: Arc<Mutex<()>>,
}

impl Clone for Kafka {
    /// One more instance, which is not started.
    fn clone(&self) -> Self {
        Kafka {
            source: Arc::clone(&self.source),
            recipe: Arc::clone(&self.recipe),
            rules: self.rules,
            counts: Arc::clone(&self.counts),
            codec: Arc::clone(&self.codec),
            buffers: self.buffers.clone(),
            transactions: self.transactions.clone(),
            live: None,
            deliveries: JoinSet::new(),
            turn: Arc::default(),
        }
    }
}

impl OutputPlugin for Kafka {
    type Options = KafkaOutputOptions;
    const SHARED: bool = true;

    fn build(
        options: KafkaOutputOptions,
        codec: Arc<dyn CodecFactory>,
        cx: &mut BuildContext<'_>,
    ) -> BuildResult<Self> {
        if options.connection.client_dns_lookup == DnsLookup::Default {
            cx.warn("`client_dns_lookup => default` is deprecated; it means `use_all_dns_ips`");
        }
        let (mut config, spreading) = settings::settings(&options, cx)?;
        let login = secure(&mut config, &options.security, cx)?;
        // What librdkafka finds wrong is said now, and not at the start.
        config.create_native_config().map_err(|error| cx.refuse(error.to_string()))?;
        let first = Duration::from_millis(options.connection.retry_backoff_ms.max(1));
        let rules = Rules {
            retries: options.retries.as_ref().map(|retries| retries.value.unsigned_abs()),
            backoff_first: first,
            backoff_max: BACKOFF_MAX.max(first),
        };
        let source = Arc::new(Source::new(config, spreading, login));
        let counts = Arc::new(Counts::new(&cx.metrics));
        let transactions = options.transactional_id.as_ref();
        let transactions =
            transactions.map(|_| Transactions::new(Arc::clone(&source), rules, Arc::clone(&counts)));
        Ok(Kafka {
            recipe: Arc::new(Recipe::new(&options, cx)?),
            source,
            transactions,
            rules,
            counts,
            codec,
            buffers: Buffers::default(),
            live: None,
            deliveries: JoinSet::new(),
            turn: Arc::default(),
        })
    }

    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        let (recipe, source) = (Arc::clone(&self.recipe), Arc::clone(&self.source));
        Some(Box::new(RecordEncoder::new(recipe, source, self.codec.for_stream(), self.buffers.clone())))
    }
}

/// Delivers batches and settles what is owed for them; at the end of the grace time they are given up.
async fn deliver(mut delivery: Delivery, shares: Vec<Share>, shutdown: Shutdown) {
    tokio::select! {
        biased;
        () = delivery.all() => return shares.into_iter().for_each(Share::settle),
        () = shutdown.abandoned() => {}
    }
    // Nothing is sent once the output has given up.
    let live = Arc::clone(delivery.live());
    let _ = tokio::task::spawn_blocking(move || live.purge()).await;
}

/// A panic of a delivery is one of the output.
fn panic_too(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Output for Kafka {
    fn start<'a>(&'a mut self, cx: &'a OutputContext) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async {
            self.source.learn_of(&*cx.dead_letters);
            if let Some(transactions) = &self.transactions {
                return transactions.start().await;
            }
            self.live = Some(self.source.live(None).map_err(|error| StartError(error.to_string()))?);
            Ok(())
        })
    }

    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        cx: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        Box::pin(async move {
            if let Some(transactions) = &self.transactions {
                tokio::select! {
                    biased;
                    result = transactions.write(batches, cx) => return result,
                    () = cx.shutdown.abandoned() => {}
                }
                transactions.abandon().await;
                return Err(OutputError::Abandoned);
            }
            let live = self.source.live(None).map_err(|error| OutputError::Fatal(error.to_string()))?;
            self.live = Some(Arc::clone(&live));
            while let Some(ended) = self.deliveries.try_join_next() {
                panic_too(ended);
            }
            if self.deliveries.len() >= DELIVERIES_MAX {
                tokio::select! {
                    biased;
                    ended = self.deliveries.join_next() => ended.into_iter().for_each(panic_too),
                    () = cx.shutdown.abandoned() => return Err(OutputError::Abandoned),
                }
            }
            // What was written before is handed over before.
            let turn = tokio::select! {
                biased;
                turn = Arc::clone(&self.turn).lock_owned() => turn,
                () = cx.shutdown.abandoned() => return Err(OutputError::Abandoned),
            };
            let (source, counts) = (Arc::clone(&self.source), Arc::clone(&self.counts));
            let delivery = Delivery::new(batches.to_vec(), source, live, self.rules, counts, cx.clone());
            let delivery = delivery.taking_turn(turn);
            let shares = batches.iter().map(OutputBatch::share).collect();
            self.deliveries.spawn(deliver(delivery, shares, cx.shutdown.clone()).in_current_span());
            Ok(())
        })
    }

    /// Waits for what is under way; the last instance closes the producer.
    fn close<'a>(&'a mut self, cx: &'a OutputContext) -> BoxFuture<'a, ()> {
        Box::pin(async {
            if let Some(transactions) = self.transactions.take() {
                tokio::select! {
                    biased;
                    () = transactions.close() => {}
                    () = cx.shutdown.abandoned() => transactions.abandon().await,
                }
                // The last one closes the producer.
                let _ = tokio::task::spawn_blocking(move || drop(transactions)).await;
            }
            // Each ends with the grace time at the latest.
            while let Some(ended) = self.deliveries.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "A delivery ended, its events are given up.");
                }
            }
            let live = self.live.take();
            let _ = tokio::task::spawn_blocking(move || drop(live)).await;
        })
    }
}
