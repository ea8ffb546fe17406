//! The `elasticsearch` output.
//!
//! | file | what |
//! |---|---|
//! | `options`, `profile` | the options, and what differs from one product to another |
//! | `address`, `cloud_id`, `authentication`, `connection` | from options to nodes, credentials and an HTTP client |
//! | `nodes`, `product`, `sniffing` | which nodes there are, which are alive, and what they are |
//! | `cluster`, `setup`, `template` | what all instances share; templates and life cycle |
//! | `action`, `data_stream`, `repetition` | from an event to its lines in a bulk request |
//! | `bulk` | batches in their wire form; requests, cut to size and accounted for |
//! | `delivery`, `answer`, `retry_after` | sending, and what follows from each answer |
//! | `quarantine` | documents that wait for their index |

mod action;
mod address;
mod answer;
mod authentication;
mod bulk;
mod cloud_id;
mod cluster;
mod connection;
mod data_stream;
mod delivery;
mod nodes;
pub(crate) mod options;
mod product;
pub(crate) mod profile;
mod quarantine;
mod repetition;
mod retry_after;
mod setup;
mod sniffing;
mod template;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ferrostash_event::{Event, Template};
use ferrostash_net::http_client::{HttpClient, HttpRequest};
use ferrostash_plugin::{
    BatchEncoder, Buffers, BuildContext, BuildResult, CodecFactory, Output, OutputBatch, OutputContext,
    OutputError, OutputPlugin, PluginDef, Refused, StartError, output,
};
use futures::future::{BoxFuture, try_join_all};
use http::Method;

use action::{AUTO, Action, Mapper};
use address::Addresses;
use authentication::Authentication;
use bulk::{BulkEncoder, Payload, Shape, Writer};
use cluster::Cluster;
use data_stream::DataStream;
use delivery::{Counts, DEAD_LETTER_CODES, Delivery, Rules, broken_thread};
use nodes::Nodes;
use options::{ElasticsearchOptions, SslVerificationMode};
use profile::{ELASTICSEARCH, Profile};
use quarantine::Quarantine;
use setup::Setup;
use sniffing::SNIFFING_DELAY_MIN;

pub(crate) static PLUGIN: PluginDef = output::<Elasticsearch>();

/// The default gzip level.
const COMPRESSION_LEVEL: u32 = 1;
/// The shortest wait between two attempts.
const RETRY_MIN: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub(crate) struct Elasticsearch {
    kit: Kit,
    mapper: Arc<Mapper>,
    buffers: Buffers,
    /// TLS is spoken with whoever answers.
    pub(crate) is_unverified: bool,
}

/// What all deliveries of an output share.
#[derive(Clone)]
struct Kit {
    cluster: Arc<Cluster>,
    rules: Arc<Rules>,
    counts: Arc<Counts>,
    quarantine: Arc<Quarantine>,
    shape: Shape,
}

impl Kit {
    /// A delivery of `payloads`, and of the events behind them where they are still there.
    fn delivery<'d>(
        &'d self,
        payloads: &'d [Arc<Payload>],
        events: Vec<Vec<&'d Event>>,
        cx: &'d OutputContext,
    ) -> Delivery<'d> {
        Delivery {
            nodes: &self.cluster.nodes,
            rules: &self.rules,
            counts: &self.counts,
            quarantine: &self.quarantine,
            events,
            payloads,
            cx,
            backoff: self.rules.backoff(),
            aside: Vec::new(),
        }
    }
}

impl OutputPlugin for Elasticsearch {
    type Options = ElasticsearchOptions;
    const SHARED: bool = true;

    fn build(
        options: ElasticsearchOptions,
        _: Arc<dyn CodecFactory>,
        cx: &mut BuildContext<'_>,
    ) -> BuildResult<Self> {
        check_templates(&options, cx)?;
        if !options.failure_type_logging_whitelist.is_empty() {
            cx.warn("`failure_type_logging_whitelist` is deprecated; use `silence_errors_in_log`");
        }
        let output = Self::assemble(&options, &ELASTICSEARCH, cx).map_err(|reason| cx.refuse(reason))?;
        if output.is_unverified {
            cx.warn(
                "You have enabled encryption but DISABLED certificate verification, to make sure your data is secure \
                 set `ssl_verification_mode => full`",
            );
        }
        Ok(output)
    }

    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        Some(Box::new(BulkEncoder::new(Arc::clone(&self.kit.cluster), self.writer())))
    }
}

impl Elasticsearch {
    /// The engine of an output for the product of `profile`.
    ///
    /// # Errors
    /// The options contradict each other, or can't be used; the sentence says how.
    pub(crate) fn assemble(
        options: &ElasticsearchOptions,
        profile: &Profile,
        cx: &BuildContext<'_>,
    ) -> Result<Self, String> {
        check_action(options)?;
        let authentication = Authentication::of(options)?;
        let addresses = Addresses::of(options, authentication.login.as_ref())?;
        if authentication.api_key.is_some() && !addresses.secure {
            return Err("Using api_key authentication requires SSL/TLS secured communication using the `ssl => true` \
                        option"
                .into());
        }
        for url in addresses.nodes.iter().flat_map(|node| [&node.bulk, &node.health]) {
            HttpRequest::new(Method::POST, url)
                .map_err(|error| format!("the paths and hosts give no usable address: {error}"))?;
        }
        let is_unverified = addresses.secure && options.ssl_verification_mode == SslVerificationMode::None;
        let http =
            connection::http_options(options, profile, addresses.secure, authentication.api_key.as_ref())?;
        let rules = rules(options)?;
        let client = HttpClient::new(http);
        let nodes = Nodes::new(addresses.nodes, client, profile.clone(), rules.backoff(), options.pool_max);
        let stream = DataStream::of(options, cx.ecs)?;
        let setup = Setup::of(options, profile, stream.is_some(), cx.ecs)?;
        let sniffing = options.sniffing.then(|| seconds(options.sniffing_delay).max(SNIFFING_DELAY_MIN));
        Ok(Elasticsearch {
            kit: Kit {
                cluster: Arc::new(Cluster::new(nodes, setup, seconds(options.resurrect_delay), sniffing)),
                rules: Arc::new(rules),
                counts: Arc::new(Counts::new(&cx.metrics, profile.product)),
                quarantine: Arc::new(Quarantine::new(&cx.metrics)),
                shape: Shape { bytes_max: profile.request_bytes_max, level: compression_level(options)? },
            },
            mapper: Arc::new(Mapper::new(options, stream, cx.ecs)),
            buffers: Buffers::default(),
            is_unverified,
        })
    }

    fn writer(&self) -> Writer {
        Writer::new(Arc::clone(&self.mapper), self.buffers.clone())
    }
}

impl Output for Elasticsearch {
    fn start<'a>(&'a mut self, cx: &'a OutputContext) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(self.kit.cluster.discover(cx))
    }

    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        cx: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        Box::pin(async move {
            let kit = &self.kit;
            let facts = kit.cluster.ready(kit.rules.backoff(), cx).await?;
            let payloads = batches.iter().map(|batch| Payload::of(batch, facts, || self.writer()));
            let payloads = try_join_all(payloads).await.map_err(broken_thread)?;
            let events = batches.iter().map(|batch| batch.events().collect()).collect();
            let mut delivery = kit.delivery(&payloads, events, cx);
            delivery.all(kit.shape, true).await?;
            kit.quarantine.admit(&mut delivery, batches, kit).await
        })
    }

    /// Documents that wait for their index may wait until the grace time is over.
    fn close<'a>(&'a mut self, _: &'a OutputContext) -> BoxFuture<'a, ()> {
        Box::pin(self.kit.quarantine.emptied())
    }
}

/// Templates that fail for every event are found now.
pub(crate) fn check_templates(options: &ElasticsearchOptions, cx: &mut BuildContext<'_>) -> BuildResult<()> {
    let templates = [
        ("action", options.action.as_ref()),
        ("document_id", options.document_id.as_ref()),
        ("document_type", options.document_type.as_ref()),
        ("ilm_rollover_alias", options.ilm_rollover_alias.as_ref()),
        ("index", options.index.as_ref()),
        ("parent", options.parent.as_ref()),
        ("pipeline", options.pipeline.as_ref()),
        ("routing", options.routing.as_ref()),
        ("script", options.script.as_ref()),
        ("upsert", options.upsert.as_ref()),
        ("version", options.version.as_ref()),
    ];
    let mut refused: Option<Refused> = None;
    for (name, template) in templates {
        for problem in template.iter().flat_map(|template| template.problems()) {
            refused = Some(cx.refuse(format!("`{name}`: {problem}")));
        }
    }
    refused.map_or(Ok(()), Err)
}

/// The combinations that Logstash refuses.
fn check_action(options: &ElasticsearchOptions) -> Result<(), String> {
    let action = options.action.as_ref().map(Template::as_str);
    let external = options.version_type.as_deref().is_some_and(|kind| kind.starts_with("external"));
    let is_each = |action: &str| action.contains("%{") && action.contains('}');
    match action {
        Some("") => Err("No action specified!".into()),
        Some(action) if !is_each(action) && Action::of(action).is_none() => Err(format!(
            "Action '{action}' is invalid! Pick one of [\"index\", \"delete\", \"create\", \"update\"] or use a sprintf \
             style statement"
        )),
        _ if external && options.version.is_none() => {
            Err("External versioning requires the presence of a version number.".into())
        }
        Some("create") if external => Err("External versioning is not supported by the create action.".into()),
        _ if options.doc_as_upsert == Some(true) && options.scripted_upsert == Some(true) => {
            Err("doc_as_upsert and scripted_upsert are mutually exclusive.".into())
        }
        Some("update") if options.document_id.as_ref().is_none_or(|id| ["", AUTO].contains(&id.as_str())) => {
            Err("Specifying action => 'update' needs a document_id.".into())
        }
        Some("update") if external => Err("External versioning is not supported by the update action. See \
                                           https://www.elastic.co/guide/en/elasticsearch/reference/current/docs-update.html."
            .into()),
        _ => Ok(()),
    }
}

fn rules(options: &ElasticsearchOptions) -> Result<Rules, String> {
    let both = |codes: &[u16]| -> Vec<u16> {
        options.dlq_custom_codes.iter().copied().filter(|code| codes.contains(code)).collect()
    };
    for (codes, what) in [
        (&DEAD_LETTER_CODES[..], "are already defined as standard DLQ error codes"),
        (&[200, 201], "are success codes which cannot be redefined in dlq_custom_codes"),
        (&[409], "are error codes already defined as conflict which cannot be redefined in dlq_custom_codes"),
    ] {
        let found = both(codes);
        if !found.is_empty() {
            return Err(format!("{found:?} {what}"));
        }
    }
    Ok(Rules {
        dead_letter_codes: options.dlq_custom_codes.clone(),
        dropped_errors: options.drop_error_types.clone(),
        silent_errors: [&options.silence_errors_in_log[..], &options.failure_type_logging_whitelist].concat(),
        retry_first: seconds(options.retry_initial_interval).max(RETRY_MIN),
        retry_max: seconds(options.retry_max_interval).max(RETRY_MIN),
    })
}

fn compression_level(options: &ElasticsearchOptions) -> Result<u32, String> {
    match (options.compression_level, options.http_compression) {
        (Some(_), Some(_)) => {
            Err("Both `compression_level` and the deprecated `http_compression` are set, please only use the first".into())
        }
        (Some(level), None) => Ok(level),
        (None, Some(false)) => Ok(0),
        (None, _) => Ok(COMPRESSION_LEVEL),
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}
