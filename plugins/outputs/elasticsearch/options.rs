//! The options of the `elasticsearch` output.

use std::path::PathBuf;

use ferrostash_conf::{ConfValue, OptionEnum, Options, Password, Uri};
use ferrostash_event::{FieldRef, Template};

/// Indexes events into Elasticsearch or OpenSearch, in bulk.
///
/// An event counts as delivered when the cluster has answered for it. Single documents that it can't take now are sent
/// again, and only those; documents that it can never take (400, 404) go to the dead letter queue. Documents for an index
/// that takes none now (closed, read-only, forbidden) wait aside, and hold up no others. Nodes that don't answer are left
/// alone until a probe finds them back, and events wait meanwhile; so they do while the cluster refuses the credentials.
///
/// ```conf
/// output {
///   elasticsearch {
///     hosts => ["http://es1:9200", "http://es2:9200"]
///     index => "web-%{+yyyy.MM.dd}"
///     user => "shipper"
///     password => "secret"
///   }
/// }
/// ```
///
/// Without `index`, and with ECS compatibility on, events go to a data stream:
///
/// ```conf
/// output { elasticsearch { hosts => ["http://es1:9200"] data_stream_dataset => "nginx" } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "elasticsearch")]
pub(crate) struct ElasticsearchOptions {
    /// User for all hosts whose address names none.
    pub(crate) user: Option<String>,
    /// Password of `user`.
    pub(crate) password: Option<Password>,
    /// API key: `id:key`, the same in base64, or a cloud key that begins with `essu_`. Needs TLS.
    pub(crate) api_key: Option<Password>,
    /// `user:password`, as Elastic Cloud shows it.
    pub(crate) cloud_auth: Option<Password>,
    /// Id of the document. `auto` makes it from the place that the event was read at (file and position, topic and offset),
    /// where there is one, so that an event that is delivered again makes no second document. Data streams do so by
    /// themselves. An empty text leaves ids to the cluster, as other outputs do without the option.
    pub(crate) document_id: Option<Template>,
    /// Path in front of every request, for a cluster behind a proxy. Hosts that have a path of their own keep it.
    pub(crate) path: Option<String>,
    /// Path of bulk requests, instead of `path` and `_bulk`.
    pub(crate) bulk_path: Option<String>,
    /// Query parameters for every request.
    pub(crate) parameters: Option<Vec<(String, ConfValue)>>,
    /// Whether to speak TLS; by default when a host is `https`.
    pub(crate) ssl_enabled: Option<bool>,
    /// `none` believes whoever answers.
    #[option(default = "full")]
    pub(crate) ssl_verification_mode: SslVerificationMode,
    /// File of the certificates to trust, PEM; the system's otherwise.
    #[option(list)]
    pub(crate) ssl_certificate_authorities: Option<Vec<PathBuf>>,
    /// SHA-256 fingerprints; a server whose chain holds such a certificate is trusted.
    #[option(list, kind = "sha_256_hex")]
    pub(crate) ca_trusted_fingerprint: Option<Vec<String>>,
    /// Trust store, instead of `ssl_certificate_authorities`.
    pub(crate) ssl_truststore_path: Option<PathBuf>,
    /// Type of the trust store.
    pub(crate) ssl_truststore_type: Option<StoreType>,
    /// Password of the trust store.
    pub(crate) ssl_truststore_password: Option<Password>,
    /// Key store with the certificate to present, instead of `ssl_certificate`.
    pub(crate) ssl_keystore_path: Option<PathBuf>,
    /// Type of the key store.
    pub(crate) ssl_keystore_type: Option<StoreType>,
    /// Password of the key store.
    pub(crate) ssl_keystore_password: Option<Password>,
    /// TLS versions to speak.
    #[option(list, values = ["TLSv1.1", "TLSv1.2", "TLSv1.3"], default = [])]
    pub(crate) ssl_supported_protocols: Vec<String>,
    /// Certificate to present, PEM.
    pub(crate) ssl_certificate: Option<PathBuf>,
    /// Key of `ssl_certificate`, PEM.
    pub(crate) ssl_key: Option<PathBuf>,
    /// Cipher suites by their Java names, preferred first.
    #[option(list)]
    pub(crate) ssl_cipher_suites: Option<Vec<String>>,
    /// Whether to ask the cluster for its nodes, and go on with those; nodes that are only masters are left out.
    #[option(default = false)]
    pub(crate) sniffing: bool,
    /// Seconds between two times of asking.
    #[option(default = 5)]
    pub(crate) sniffing_delay: f64,
    /// Path to ask for nodes, instead of `path` and `_nodes/http`.
    pub(crate) sniffing_path: Option<String>,
    /// HTTP proxy, `http://[user:password@]host:port`.
    pub(crate) proxy: Option<Uri>,
    /// Seconds that a request may take.
    #[option(default = 60)]
    pub(crate) timeout: f64,
    /// The former name of `silence_errors_in_log`.
    #[option(default = [])]
    pub(crate) failure_type_logging_whitelist: Vec<String>,
    /// Types of errors that are not logged.
    #[option(default = [])]
    pub(crate) silence_errors_in_log: Vec<String>,
    /// Most connections at a time.
    #[option(default = 1000)]
    pub(crate) pool_max: usize,
    /// Most connections to one host at a time.
    #[option(default = 100)]
    pub(crate) pool_max_per_route: usize,
    /// Path that tells whether a node is well, instead of `path`.
    pub(crate) healthcheck_path: Option<String>,
    /// Seconds between two probes of nodes that did not answer.
    #[option(default = 5)]
    pub(crate) resurrect_delay: f64,
    /// Milliseconds after which an unused connection is no longer relied on.
    #[option(default = 10000)]
    pub(crate) validate_after_inactivity: i64,
    /// Whether to compress.
    #[option(default_text = "true", deprecated = "Set 'compression_level' instead.")]
    pub(crate) http_compression: Option<bool>,
    /// gzip level of requests; 0 sends them as they are.
    #[option(values = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], default_text = "1")]
    pub(crate) compression_level: Option<u32>,
    /// Headers for every request.
    #[option(default = {})]
    pub(crate) custom_headers: Vec<(String, ConfValue)>,
    /// Nodes: `host`, `host:port`, or a URL with user, password and path. The port is 9200 unless the first has another.
    #[option(list, default_text = r#"["//127.0.0.1"]"#)]
    pub(crate) hosts: Option<Vec<Uri>>,
    /// Cloud ID, instead of `hosts`.
    pub(crate) cloud_id: Option<String>,
    /// Seconds before the first repetition; doubled each time.
    #[option(default = 2)]
    pub(crate) retry_initial_interval: f64,
    /// Longest wait between repetitions, in seconds.
    #[option(default = 64)]
    pub(crate) retry_max_interval: f64,
    /// More answers, besides 400 and 404, that make a dead letter of a document.
    #[option(list, default = [])]
    pub(crate) dlq_custom_codes: Vec<u16>,
    /// Whether an event whose `index` names a field that it lacks is a dead letter.
    #[option(default = true)]
    pub(crate) dlq_on_failed_indexname_interpolation: bool,
    /// Types of errors whose documents are dropped.
    #[option(list, default = [])]
    pub(crate) drop_error_types: Vec<String>,
    /// Gone.
    #[option(obsolete = "Set 'ssl_enabled' instead.")]
    ssl: (),
    /// Gone.
    #[option(obsolete = "Set 'ssl_verification_mode' instead.")]
    ssl_certificate_verification: (),
    /// Gone.
    #[option(obsolete = "Set 'ssl_certificate_authorities' instead.")]
    cacert: (),
    /// Gone.
    #[option(obsolete = "Set 'ssl_truststore_path' instead.")]
    truststore: (),
    /// Gone.
    #[option(obsolete = "Set 'ssl_keystore_path' instead.")]
    keystore: (),
    /// Gone.
    #[option(kind = "password", obsolete = "Use 'ssl_truststore_password' instead.")]
    truststore_password: (),
    /// Gone.
    #[option(kind = "password", obsolete = "Set 'ssl_keystore_password' instead.")]
    keystore_password: (),
    /// Whether to write to a data stream; by default when ECS compatibility is on and no option speaks against it.
    pub(crate) data_stream: Option<DataStreamChoice>,
    /// First part of the data stream's name.
    #[option(default_text = "logs")]
    pub(crate) data_stream_type: Option<DataStreamType>,
    /// Second part of the data stream's name.
    #[option(kind = "dataset_identifier", default_text = "generic")]
    pub(crate) data_stream_dataset: Option<String>,
    /// Third part of the data stream's name.
    #[option(kind = "namespace_identifier", default_text = "default")]
    pub(crate) data_stream_namespace: Option<String>,
    /// Whether events get the fields `data_stream.*` of the stream that they go to.
    #[option(default_text = "true")]
    pub(crate) data_stream_sync_fields: Option<bool>,
    /// Whether the fields `data_stream.*` of an event say which stream it goes to.
    #[option(default_text = "true")]
    pub(crate) data_stream_auto_routing: Option<bool>,
    /// `index`, `create`, `update` or `delete`, also by `%{…}`.
    pub(crate) action: Option<Template>,
    /// Index to write to; `ecs-logstash-%{+yyyy.MM.dd}` by default, without ECS `logstash-%{+yyyy.MM.dd}`.
    pub(crate) index: Option<Template>,
    /// Document type, for Elasticsearch 7.
    #[option(
        deprecated = "Document types were deprecated in Elasticsearch 7.0, and no longer configurable since 8.0. You should avoid this feature."
    )]
    pub(crate) document_type: Option<Template>,
    /// Whether an index template is installed at the start.
    #[option(default_text = "true")]
    pub(crate) manage_template: Option<bool>,
    /// Name of the index template.
    pub(crate) template_name: Option<String>,
    /// File of the index template, JSON.
    pub(crate) template: Option<PathBuf>,
    /// Whether a template of that name is replaced.
    #[option(default_text = "false")]
    pub(crate) template_overwrite: Option<bool>,
    /// Kind of index template; by default composable from version 8 on.
    #[option(default_text = "auto")]
    pub(crate) template_api: Option<TemplateApi>,
    /// Version of the document.
    pub(crate) version: Option<Template>,
    /// How versions are compared.
    #[option(values = ["internal", "external", "external_gt", "external_gte", "force"])]
    pub(crate) version_type: Option<String>,
    /// Routing value of the document.
    pub(crate) routing: Option<Template>,
    /// Id of the parent document, for `join_field`.
    pub(crate) parent: Option<Template>,
    /// Join field of the document.
    pub(crate) join_field: Option<FieldRef>,
    /// Document to make where an update finds none, JSON.
    #[option(default_text = "")]
    pub(crate) upsert: Option<Template>,
    /// Whether an update makes the document where there is none.
    #[option(default_text = "false")]
    pub(crate) doc_as_upsert: Option<bool>,
    /// Script of an update.
    #[option(default_text = "")]
    pub(crate) script: Option<Template>,
    /// What `script` is: its text, its id, or its file.
    #[option(default_text = r#"["inline"]"#)]
    pub(crate) script_type: Option<ScriptType>,
    /// Language of `script`.
    #[option(default_text = "painless")]
    pub(crate) script_lang: Option<String>,
    /// Name of the event in `script`.
    #[option(default_text = "event")]
    pub(crate) script_var_name: Option<String>,
    /// Whether `script` makes the document where there is none.
    #[option(default_text = "false")]
    pub(crate) scripted_upsert: Option<bool>,
    /// How often the cluster repeats an update that came in between another one.
    #[option(default_text = "1")]
    pub(crate) retry_on_conflict: Option<u32>,
    /// Ingest pipeline of the document; none where it is empty.
    pub(crate) pipeline: Option<Template>,
    /// Whether the index has a life cycle; `auto` where neither `index` nor the alias is set otherwise.
    #[option(values = ["true", "false", "auto"], default_text = "auto")]
    pub(crate) ilm_enabled: Option<String>,
    /// Alias of the index with a life cycle.
    pub(crate) ilm_rollover_alias: Option<Template>,
    /// What follows the alias in the name of the first index.
    #[option(default_text = "{now/d}-000001")]
    pub(crate) ilm_pattern: Option<String>,
    /// Policy of the life cycle.
    #[option(default_text = "logstash-policy")]
    pub(crate) ilm_policy: Option<String>,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslVerificationMode {
    Full,
    None,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreType {
    Pkcs12,
    Jks,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataStreamChoice {
    True,
    False,
    Auto,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataStreamType {
    Logs,
    Metrics,
    Synthetics,
    Traces,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TemplateApi {
    Auto,
    Legacy,
    Composable,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScriptType {
    Inline,
    Indexed,
    File,
}
