//! The options of the `opensearch` output: those of logstash-output-opensearch 2.

use std::path::PathBuf;

use ferrostash_conf::{ConfValue, Options, Password, Uri};
use ferrostash_event::{FieldRef, Template};

use super::auth_type::AuthType;
use crate::elasticsearch::options::{
    DataStreamChoice, ElasticsearchOptions, ScriptType, SslVerificationMode, TemplateApi,
};

/// Indexes events into OpenSearch, in bulk.
///
/// Its options are those of the plugin that OpenSearch offers for Logstash; delivery is that of the `elasticsearch` output. An
/// event counts as delivered when the cluster has answered for it. Single documents that it can't take now are sent again,
/// and only those; documents that it can never take (400, 404) go to the dead letter queue.
///
/// ```conf
/// output {
///   opensearch {
///     hosts => ["https://os1:9200", "https://os2:9200"]
///     index => "web-%{+yyyy.MM.dd}"
///     auth_type => { type => "basic" user => "shipper" password => "secret" }
///   }
/// }
/// ```
///
/// For the Amazon OpenSearch Service, requests are signed:
///
/// ```conf
/// output {
///   opensearch {
///     hosts => ["https://search-shop.eu-central-1.es.amazonaws.com:443"]
///     auth_type => { type => "aws_iam" region => "eu-central-1" }
///   }
/// }
/// ```
///
/// | `auth_type` | |
/// |---|---|
/// | `type` | `basic` or `aws_iam` |
/// | `user`, `password` | for `basic` |
/// | `aws_access_key_id`, `aws_secret_access_key`, `session_token` | for `aws_iam`; without them, the usual places are searched: environment, files of the AWS tools, web identity, container, instance |
/// | `profile` | which profile of the files of the AWS tools; `AWS_PROFILE` or `default` |
/// | `region` | `us-east-1` |
/// | `service_name` | `es`, or `aoss` for OpenSearch Serverless |
/// | `instance_profile_credentials_timeout` | seconds that the container or instance may take to answer; 1 |
/// | `instance_profile_credentials_retries` | how often it is asked again; 0 |
///
/// OpenSearch Serverless does not say its version:
///
/// ```conf
/// output {
///   opensearch {
///     hosts => ["https://abc.eu-central-1.aoss.amazonaws.com:443"]
///     auth_type => { type => "aws_iam" region => "eu-central-1" service_name => "aoss" }
///     default_server_major_version => 2
///     legacy_template => false
///   }
/// }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "opensearch")]
pub(crate) struct OpenSearchOptions {
    /// User for all hosts whose address names none.
    pub(super) user: Option<String>,
    /// Password of `user`.
    pub(super) password: Option<Password>,
    /// Who we are, in one of several ways; see above.
    pub(super) auth_type: Option<AuthType>,
    /// Id of the document; without it the cluster makes one, and a repeated request can make a document twice.
    document_id: Option<Template>,
    /// Path in front of every request, for a cluster behind a proxy. Hosts that have a path of their own keep it.
    path: Option<String>,
    /// Path of bulk requests, instead of `path` and `_bulk`.
    bulk_path: Option<String>,
    /// Largest bulk request, in bytes before compression; a larger document goes alone.
    #[option(default = 9_437_184)]
    pub(super) target_bulk_bytes: usize,
    /// Query parameters for every request.
    parameters: Option<Vec<(String, ConfValue)>>,
    /// Whether to speak TLS; by default when a host is `https`.
    ssl: Option<bool>,
    /// Whether the server's certificate is verified; `false` believes whoever answers.
    #[option(default = true)]
    ssl_certificate_verification: bool,
    /// File of the certificates to trust, PEM; the system's otherwise.
    cacert: Option<PathBuf>,
    /// Trust store, JKS or PKCS#12, instead of `cacert`.
    truststore: Option<PathBuf>,
    /// Password of the trust store.
    truststore_password: Option<Password>,
    /// Key store with the certificate to present, JKS or PKCS#12.
    keystore: Option<PathBuf>,
    /// Password of the key store.
    keystore_password: Option<Password>,
    /// Certificate to present, PEM.
    tls_certificate: Option<PathBuf>,
    /// Key of `tls_certificate`, PEM.
    tls_key: Option<PathBuf>,
    /// Whether the cluster is asked for its nodes, which then take the place of `hosts`.
    #[option(default = false)]
    sniffing: bool,
    /// Seconds between two times of sniffing.
    #[option(default = 5)]
    sniffing_delay: f64,
    /// Path to ask for nodes, instead of `path` and `_nodes/http`.
    sniffing_path: Option<String>,
    /// HTTP proxy, `http://[user:password@]host:port`.
    proxy: Option<Uri>,
    /// Seconds that a request may take.
    #[option(default = 60)]
    timeout: f64,
    /// Types of errors that are not logged.
    #[option(default = [])]
    failure_type_logging_whitelist: Vec<String>,
    /// Most connections at a time.
    #[option(default = 1000)]
    pool_max: usize,
    /// Most connections to one host at a time.
    #[option(default = 100)]
    pool_max_per_route: usize,
    /// Path that tells whether a node is well, instead of `path`.
    healthcheck_path: Option<String>,
    /// Seconds between two probes of nodes that did not answer.
    #[option(default = 5)]
    resurrect_delay: f64,
    /// Milliseconds after which an unused connection is no longer relied on.
    #[option(default = 10000)]
    validate_after_inactivity: i64,
    /// Whether requests are compressed with gzip.
    #[option(default = false)]
    http_compression: bool,
    /// Headers for every request.
    #[option(default = {})]
    custom_headers: Vec<(String, ConfValue)>,
    /// Nodes: `host`, `host:port`, or a URL with user, password and path. The port is 9200 unless the first has another.
    #[option(list, default_text = r#"["//127.0.0.1"]"#)]
    hosts: Option<Vec<Uri>>,
    /// Seconds before the first repetition; doubled each time.
    #[option(default = 2)]
    retry_initial_interval: f64,
    /// Longest wait between repetitions, in seconds.
    #[option(default = 64)]
    retry_max_interval: f64,
    /// `index`, `create`, `update` or `delete`, also by `%{…}`.
    #[option(default_text = "index")]
    action: Option<Template>,
    /// Index to write to; `ecs-logstash-%{+yyyy.MM.dd}` by default, without ECS `logstash-%{+yyyy.MM.dd}`.
    index: Option<Template>,
    /// Document type.
    #[option(unsupported = "OpenSearch 2 refuses documents with types; leave it out", kind = "string")]
    document_type: (),
    /// Whether an index template is installed at the start: that of `template`, or a default one.
    #[option(default = true)]
    manage_template: bool,
    /// Name of the index template; by default `logstash`, with ECS `ecs-logstash`.
    template_name: Option<String>,
    /// File of the index template, JSON.
    template: Option<PathBuf>,
    /// Whether a template of that name is replaced.
    #[option(default = false)]
    template_overwrite: bool,
    /// Version of the document.
    version: Option<Template>,
    /// How versions are compared.
    #[option(values = ["internal", "external", "external_gt", "external_gte", "force"])]
    version_type: Option<String>,
    /// Routing value of the document.
    routing: Option<Template>,
    /// Id of the parent document, for `join_field`.
    parent: Option<Template>,
    /// Join field of the document.
    join_field: Option<FieldRef>,
    /// Document to make where an update finds none, JSON.
    #[option(default_text = "")]
    upsert: Option<Template>,
    /// Whether an update makes the document where there is none.
    #[option(default = false)]
    doc_as_upsert: bool,
    /// Script of an update.
    #[option(default_text = "")]
    script: Option<Template>,
    /// What `script` is: its text, its id, or its file.
    #[option(default_text = r#"["inline"]"#)]
    script_type: Option<ScriptType>,
    /// Language of `script`.
    #[option(default_text = "painless")]
    script_lang: Option<String>,
    /// Name of the event in `script`.
    #[option(default_text = "event")]
    script_var_name: Option<String>,
    /// Whether `script` makes the document where there is none.
    #[option(default = false)]
    scripted_upsert: bool,
    /// How often the cluster repeats an update that came in between another one.
    #[option(default = 1)]
    retry_on_conflict: u32,
    /// Ingest pipeline of the document; none where it is empty.
    pipeline: Option<Template>,
    /// Whether the index template is a legacy one (`_template`), or a composable one (`_index_template`).
    #[option(default = true)]
    legacy_template: bool,
    /// Major version of a cluster that does not say it, as OpenSearch Serverless.
    pub(super) default_server_major_version: Option<u32>,
}

impl OpenSearchOptions {
    /// The combinations that the plugin for Logstash refuses, where the engine has other names.
    pub(super) fn check(&self) -> Result<(), String> {
        let faults = [
            (
                self.cacert.is_some() && self.truststore.is_some(),
                "Use either \"cacert\" or \"truststore\" when configuring the CA certificate",
            ),
            (
                self.tls_certificate.is_some() && self.keystore.is_some(),
                "Use either \"tls_certificate\" or \"keystore\" when configuring client certificates",
            ),
            (self.tls_certificate.is_some() && self.tls_key.is_none(), "\"tls_key\" is missing"),
            (self.tls_certificate.is_none() && self.tls_key.is_some(), "\"tls_certificate\" is missing"),
            (self.target_bulk_bytes == 0, "\"target_bulk_bytes\" has to be more than 0"),
        ];
        faults.into_iter().find(|(is_fault, _)| *is_fault).map_or(Ok(()), |(_, reason)| Err(reason.into()))
    }

    /// As options of the engine; `engine` has its defaults.
    pub(super) fn for_engine(self, mut engine: ElasticsearchOptions) -> ElasticsearchOptions {
        let template_api = if self.legacy_template { TemplateApi::Legacy } else { TemplateApi::Composable };
        let verification = if self.ssl_certificate_verification {
            SslVerificationMode::Full
        } else {
            SslVerificationMode::None
        };
        engine.user = self.user;
        engine.password = self.password;
        engine.document_id = self.document_id;
        engine.path = self.path;
        engine.bulk_path = self.bulk_path;
        engine.parameters = self.parameters;
        engine.ssl_enabled = self.ssl;
        engine.ssl_verification_mode = verification;
        engine.ssl_certificate_authorities = self.cacert.map(|file| vec![file]);
        engine.ssl_truststore_path = self.truststore;
        engine.ssl_truststore_password = self.truststore_password;
        engine.ssl_keystore_path = self.keystore;
        engine.ssl_keystore_password = self.keystore_password;
        engine.ssl_certificate = self.tls_certificate;
        engine.ssl_key = self.tls_key;
        engine.sniffing = self.sniffing;
        engine.sniffing_delay = self.sniffing_delay;
        engine.sniffing_path = self.sniffing_path;
        engine.proxy = self.proxy;
        engine.timeout = self.timeout;
        engine.silence_errors_in_log = self.failure_type_logging_whitelist;
        engine.pool_max = self.pool_max;
        engine.pool_max_per_route = self.pool_max_per_route;
        engine.healthcheck_path = self.healthcheck_path;
        engine.resurrect_delay = self.resurrect_delay;
        engine.validate_after_inactivity = self.validate_after_inactivity;
        engine.http_compression = Some(self.http_compression);
        engine.custom_headers = self.custom_headers;
        engine.hosts = self.hosts;
        engine.retry_initial_interval = self.retry_initial_interval;
        engine.retry_max_interval = self.retry_max_interval;
        engine.data_stream = Some(DataStreamChoice::False);
        engine.action = self.action;
        engine.index = self.index;
        engine.manage_template = Some(self.manage_template);
        engine.template_name = self.template_name;
        engine.template = self.template;
        engine.template_overwrite = Some(self.template_overwrite);
        engine.template_api = Some(template_api);
        engine.version = self.version;
        engine.version_type = self.version_type;
        engine.routing = self.routing;
        engine.parent = self.parent;
        engine.join_field = self.join_field;
        engine.upsert = self.upsert;
        engine.doc_as_upsert = Some(self.doc_as_upsert);
        engine.script = self.script;
        engine.script_type = self.script_type;
        engine.script_lang = self.script_lang;
        engine.script_var_name = self.script_var_name;
        engine.scripted_upsert = Some(self.scripted_upsert);
        engine.retry_on_conflict = Some(self.retry_on_conflict);
        engine.pipeline = self.pipeline;
        engine.ilm_enabled = Some("false".into());
        engine
    }
}
