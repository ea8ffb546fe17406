//! The `kafka` input.
//!
//! | file | what |
//! |---|---|
//! | `options`, `registry_options`, `settings` | the options, and what they are to librdkafka and to us |
//! | `member`, `context`, `committer` | a member of the group: polling, rebalances, commits |
//! | `topics` | which topics are read, and when they are there |
//! | `partition`, `partitions` | what is known of a partition: what is in flight, settled, committed |
//! | `records`, `deserializer` | messages, and the events that workers make of them |
//! | `schema_registry`, `avro` | schemas, and the JSON of values that were written by them |
//! | `statistics`, `ends` | what librdkafka, or else brokers, tell of partitions |

mod avro;
mod committer;
pub(crate) mod context;
mod deserializer;
mod ends;
mod member;
pub(crate) mod options;
mod partition;
mod partitions;
mod records;
pub(crate) mod registry_options;
mod schema_registry;
mod settings;
mod statistics;
#[cfg(test)]
mod tests;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use ferrostash_conf::Spanned;
use ferrostash_event::Event;
use ferrostash_plugin::{
    Ack, Backoff, BuildContext, BuildResult, Chunk, CodecFailures, Input, InputContext, InputError,
    InputPlugin, LineBuffers, PluginDef, QueueClosed, RawLines, Reserved, StartError, input,
};
use futures::future::{BoxFuture, try_join_all};
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::client::security::{Login, secure};
use context::MemberContext;
use deserializer::Deserializer;
use member::{Counts, Equipment, Handed, Member, Unpushed};
use options::{Decoration, KafkaInputOptions};
use records::{Detail, Reading, Schemas, Stateful};
use schema_registry::SchemaRegistry;
use settings::{FETCHED_BYTES_MAX, Settings};

pub(crate) static PLUGIN: PluginDef = input::<Kafka>();

/// Chunks between a member and the pipeline's queue.
const CHUNKS_HANDED_MAX: usize = 2;
/// How soon a registry that does not answer is asked again, at first and in the end.
const REGISTRY_AGAIN: Duration = Duration::from_millis(200);
const REGISTRY_AGAIN_MAX: Duration = Duration::from_secs(10);
/// How long a member may take to leave its group.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// Chunks of which a codec that joins messages may keep a part.
const CHUNKS_KEPT_MAX: usize = 128;

struct Kafka {
    options: KafkaInputOptions,
    threads: usize,
    config: ClientConfig,
    login: Login,
    settings: Arc<Settings>,
    key: Deserializer,
    value: Deserializer,
    detail: Detail,
    failures: CodecFailures,
    registry: Option<Arc<SchemaRegistry>>,
    counts: Arc<Counts>,
    buffers: LineBuffers,
    /// Made by `start`, used by the first run.
    ready: Vec<BaseConsumer<MemberContext>>,
    memory: Option<Reserved>,
}

impl InputPlugin for Kafka {
    type Options = KafkaInputOptions;

    fn default_codec(options: &KafkaInputOptions) -> &'static str {
        if options.registry.schema_registry_url.is_some() { "json" } else { Self::CODEC }
    }

    fn build(options: KafkaInputOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        let key = deserializer("key_deserializer_class", &options.key_deserializer_class, cx)?;
        let value = deserializer("value_deserializer_class", &options.value_deserializer_class, cx)?;
        schema_registry::check(&options, cx)?;
        let registry = SchemaRegistry::build(&options.registry, options.security.security_protocol, cx)?;
        // Avro is no text.
        let value = if registry.is_some() { Deserializer::Bytes } else { value };
        let mut config = settings::consumer_config(&options, cx)?;
        let login = secure(&mut config, &options.security, cx)?;
        // The library's own checks, without a connection.
        config.create_native_config().map_err(|error| cx.refuse(error.to_string()))?;
        let settings = Arc::new(Settings::of(&options, cx)?);
        let metrics = &cx.metrics;
        let counts = Arc::new(Counts {
            rebalances: metrics.counter(&["rebalances"]),
            commits: metrics.counter(&["commits", "successes"]),
            commit_errors: metrics.counter(&["commits", "failures"]),
            assigned: metrics.gauge(&["assigned_partitions"]),
            undrained: metrics.counter(&["rebalances_undrained"]),
            table: metrics.table("partitions"),
        });
        let detail = match options.decorate_events {
            Decoration::None | Decoration::False => Detail::Nothing,
            Decoration::Basic | Decoration::True => Detail::Basic,
            Decoration::Extended => Detail::Headers,
        };
        match options.decorate_events {
            Decoration::False => {
                cx.warn("Deprecated value `false` for `decorate_events` option; use `none` instead.")
            }
            Decoration::True => {
                cx.warn("Deprecated value `true` for `decorate_events` option; use `basic` instead.")
            }
            _ => {}
        }
        Ok(Kafka {
            threads: usize::try_from(options.consumer_threads).unwrap_or(1),
            config,
            login,
            settings,
            key,
            value,
            detail,
            failures: cx.codec_failures(),
            registry: registry.map(Arc::new),
            counts,
            buffers: LineBuffers::default(),
            ready: Vec::new(),
            memory: None,
            options,
        })
    }
}

fn deserializer(name: &str, class: &Spanned<String>, cx: &mut BuildContext<'_>) -> BuildResult<Deserializer> {
    Deserializer::of_class(&class.value).ok_or_else(|| {
        cx.refuse_at(
            class.span,
            format!("Java classes can't be loaded here: `{name}` can't be `{}`", class.value),
        )
    })
}

impl Kafka {
    fn consumer(&self, number: usize) -> Result<BaseConsumer<MemberContext>, String> {
        let mut config = self.config.clone();
        config.set("client.id", format!("{}-{number}", self.options.connection.client_id));
        if let Some(instance) = &self.options.group_instance_id {
            let name = if self.threads > 1 { format!("{instance}-{number}") } else { instance.clone() };
            config.set("group.instance.id", name);
        }
        let bytes = self.memory.as_ref().map_or(FETCHED_BYTES_MAX, |memory| memory.bytes / self.threads);
        settings::set_memory(&mut config, &self.options, bytes);
        let context = MemberContext::new(self.login.clone());
        BaseConsumer::from_config_and_context(&config, context).map_err(|error| error.to_string())
    }

    fn consumers(&self) -> Result<Vec<BaseConsumer<MemberContext>>, String> {
        (0..self.threads).map(|number| self.consumer(number)).collect()
    }

    fn reading(&self, cx: &InputContext) -> Reading {
        let codec = cx.codec_for_stream();
        Reading {
            codec: Arc::clone(&cx.codec),
            stateful: codec.takes_lines().then(|| Stateful::new(codec)),
            key: self.key,
            value: self.value,
            detail: self.detail,
            group: self.options.group_id.as_str().into(),
            failures: self.failures.clone(),
            registry: self.registry.clone(),
        }
    }

    /// Runs a member on a thread of its own, and brings what it reads to the queue.
    async fn run_member(
        &self,
        number: usize,
        consumer: BaseConsumer<MemberContext>,
        cx: &InputContext,
    ) -> Result<(), String> {
        let (sender, mut handed) = mpsc::channel(CHUNKS_HANDED_MAX);
        let reading = Arc::new(self.reading(cx));
        let member = Equipment {
            number,
            consumer: Arc::new(consumer),
            settings: Arc::clone(&self.settings),
            reading: Arc::clone(&reading),
            buffers: self.buffers.clone(),
            counts: Arc::clone(&self.counts),
            sender,
            runtime: Handle::current(),
            shutdown: cx.shutdown.clone(),
            settle_time: cx.settle_time,
        };
        let (ended, end) = oneshot::channel();
        let (goodbye, said_goodbye) = oneshot::channel::<()>();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name(format!("kafka-input-{number}"));
        let spawned = thread.spawn(move || {
            let _span = span.enter();
            // Dropped last.
            let _goodbye = goodbye;
            let _closes = Closes(Arc::clone(&member.consumer));
            let _ = ended.send(Member::new(member).and_then(Member::run));
        });
        spawned.map_err(|error| format!("no thread for a consumer: {error}"))?;
        let mut way = Way {
            cx,
            commits_early: self.options.enable_auto_commit == Some(true),
            kept: Unpushed::default(),
        };
        let pushed = way.push_all(&mut handed, &reading).await;
        // The member notices that nobody takes anything.
        drop(handed);
        let result = end.await.unwrap_or_else(|_| Err("a consumer panicked".to_owned()));
        let _ = tokio::time::timeout(GOODBYE_MAX, said_goodbye).await;
        // A queue that is closed is the end of the pipeline.
        result.or_else(|error| pushed.map(|()| Err(error)).unwrap_or(Ok(())))
    }
}

/// Says in the end, however it comes, that nobody looks after rebalances any more: the consumer could never be closed.
struct Closes(Arc<BaseConsumer<MemberContext>>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.context().close();
    }
}

/// From a member to the queue.
struct Way<'a> {
    cx: &'a InputContext,
    /// Offsets may be committed once events are in the queue.
    commits_early: bool,
    /// Acks of chunks of which a codec that joins messages keeps a part.
    kept: Unpushed,
}

impl Way<'_> {
    async fn push_all(
        &mut self,
        handed: &mut mpsc::Receiver<Handed>,
        reading: &Reading,
    ) -> Result<(), QueueClosed> {
        let idle = reading.stateful.as_ref().and_then(Stateful::idle_flush);
        loop {
            let next = match idle.filter(|_| !self.kept.0.is_empty()) {
                None => handed.recv().await,
                Some(idle) => match tokio::time::timeout(idle, handed.recv()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.flush(reading).await?;
                        continue;
                    }
                },
            };
            let Some(next) = next else {
                return self.flush(reading).await;
            };
            if next.is_end() {
                self.flush(reading).await?;
                continue;
            }
            // Without their schemas they are given up when the input is stopped; what went before them is still waited for.
            let Some(schemas) = self.schemas(next.needed(), reading).await else { continue };
            let Some((values, acks)) = next.take() else { continue };
            let lines = values.lines;
            let _ = values.schemas.set(schemas);
            match &reading.stateful {
                Some(stateful) => self.push_joined(lines, acks, stateful, reading).await?,
                None if self.commits_early => {
                    // Given up with `self`, should the push never end.
                    self.kept.0 = acks;
                    self.cx.push_lines(lines, None).await?;
                    self.kept.0.clear();
                }
                None => self.cx.push_lines(lines, acks).await?,
            }
        }
    }

    /// The schemas of these numbers; waits for the registry for as long as it takes, or until the input is stopped.
    async fn schemas(&self, needed: &[u32], reading: &Reading) -> Option<Schemas> {
        let mut schemas = Schemas::new();
        let Some(registry) = &reading.registry else { return Some(schemas) };
        for number in needed {
            let mut backoff = Backoff::new(REGISTRY_AGAIN, REGISTRY_AGAIN_MAX);
            let schema = loop {
                let fetched = tokio::select! {
                    biased;
                    fetched = registry.schema(*number) => fetched,
                    () = self.cx.shutdown.stopping() => return None,
                };
                let error = match fetched {
                    Ok(schema) => break Ok(schema),
                    Err(error) if error.is_retryable() => error,
                    Err(error) => break Err(error.to_string()),
                };
                tracing::warn!(%error, schema = number, limited = true, "A schema can't be fetched now.");
                tokio::select! {
                    () = tokio::time::sleep(backoff.next_wait()) => {}
                    () = self.cx.shutdown.stopping() => return None,
                }
            };
            schemas.insert(*number, schema);
        }
        Some(schemas)
    }

    /// Makes the events here, since each may be of several messages.
    async fn push_joined(
        &mut self,
        lines: RawLines,
        acks: Vec<Ack>,
        stateful: &Stateful,
        reading: &Reading,
    ) -> Result<(), QueueClosed> {
        let mut events = Vec::new();
        lines.make_events(&mut events);
        if self.kept.0.len() + acks.len() > CHUNKS_KEPT_MAX {
            stateful.flush(&mut events, &reading.group);
        }
        // Reading must begin again where an event does.
        let mut done = if stateful.began_anew() { std::mem::take(&mut self.kept.0) } else { Vec::new() };
        self.kept.0.extend(acks);
        match stateful.keeps_something() {
            true if events.is_empty() => {}
            true => done.extend(self.kept.0.iter().cloned()),
            false => done.append(&mut self.kept.0),
        }
        self.push_made(events, done).await
    }

    /// Ends the event that the codec has begun.
    async fn flush(&mut self, reading: &Reading) -> Result<(), QueueClosed> {
        let Some(stateful) = &reading.stateful else { return Ok(()) };
        let mut events: Vec<Event> = Vec::new();
        stateful.flush(&mut events, &reading.group);
        let done = std::mem::take(&mut self.kept.0);
        self.push_made(events, done).await
    }

    async fn push_made(&mut self, events: Vec<Event>, acks: Vec<Ack>) -> Result<(), QueueClosed> {
        if events.is_empty() && acks.is_empty() {
            return Ok(());
        }
        if !self.commits_early {
            return self.cx.push_chunk(Chunk::new(events, acks)).await;
        }
        let mut acks = Unpushed(acks);
        self.cx.push_chunk(Chunk::new(events, Vec::new())).await?;
        acks.0.clear();
        Ok(())
    }
}

impl Input for Kafka {
    fn start<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async {
            if let Some(registry) = &self.registry {
                registry
                    .validate(&self.options.topics)
                    .await
                    .map_err(|error| StartError(error.to_string()))?;
            }
            self.memory = Some(cx.queue.reserve(FETCHED_BYTES_MAX * self.threads).await);
            self.ready = self.consumers().map_err(StartError)?;
            Ok(())
        })
    }

    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async {
            let ready = std::mem::take(&mut self.ready);
            let consumers = if ready.is_empty() { self.consumers().map_err(InputError)? } else { ready };
            let members =
                consumers.into_iter().enumerate().map(|(n, consumer)| self.run_member(n, consumer, cx));
            // When one fails the others end, too: their threads see that nobody takes what they read.
            try_join_all(members).await.map(drop).map_err(InputError)
        })
    }
}
