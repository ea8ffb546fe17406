//! Every setting Logstash knows, and one of our own, in one table: name, type, default, what it is for, and what ferrostash does with it.

use super::kind::Kind;
use super::pipeline::{
    BatchMetrics, EcsCompatibility, EscapeStyle, Ordered, QueueCompression, QueueType, Recoverable,
    StoragePolicy,
};
use crate::logging::{LogFormat, LogLevel};

/// What ferrostash does with a setting whose value is not the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is obeyed.
    Built,
    /// It is refused, and this is why or what to do instead.
    Refused(&'static str),
    /// It is accepted with one warning, which says why it has no meaning here.
    NoEffect(&'static str),
    /// It details the setting of this name and, as in Logstash, means nothing while that one is off.
    Details(&'static str),
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As it would be written; `None` when there is none or it is computed (host name, cores, paths).
    pub(crate) default: Option<&'static str>,
    pub(crate) doc: &'static str,
    pub(crate) status: Status,
    /// Whether an entry of `pipelines.yml` may override it.
    pub(crate) per_pipeline: bool,
}

impl Setting {
    /// The name as one plain word, which is the key in the layers: `pipeline_workers`.
    ///
    /// `config` would take a dot for a step into a table, and `log.format` is a value and a prefix at once.
    pub(crate) fn key(&self) -> String {
        key(self.name)
    }

    /// Whether an environment variable may set it, as in the official container.
    pub(crate) fn may_come_from_env(&self) -> bool {
        // `VERSION` and `HELP` mean other things in most environments, and so does `OTEL_…` while it is off.
        !matches!(self.status, Status::Details(_)) && !["version", "help", "interactive"].contains(&self.name)
    }
}

/// The key in the layers of the setting of this name.
pub(crate) fn key(name: &str) -> String {
    name.replace(['.', '-'], "_")
}

/// The setting of this name; `monitoring.…` is another spelling of `xpack.monitoring.…`.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    let exact = |name: &str| SETTINGS.iter().find(|s| s.name == name);
    exact(name).or_else(|| name.starts_with("monitoring.").then(|| exact(&format!("xpack.{name}")))?)
}

/// What to say about a name that Logstash had once.
pub(crate) fn removed(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("http.") {
        return Some(format!("removed in Logstash 9.0: write `api.http.{rest}`"));
    }
    let gone = name == "modules" || name == "event_api.tags.illegal" || name.starts_with("cloud.");
    gone.then(|| "removed in Logstash 9.0; take it out".to_owned())
}

const fn setting(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind, default: Some(default), doc, status: Status::Built, per_pipeline: false }
}

const fn unset(name: &'static str, kind: Kind, doc: &'static str) -> Setting {
    Setting { name, kind, default: None, doc, status: Status::Built, per_pipeline: false }
}

impl Setting {
    const fn per_pipeline(mut self) -> Self {
        self.per_pipeline = true;
        self
    }

    const fn refused(mut self, why: &'static str) -> Self {
        self.status = Status::Refused(why);
        self
    }

    const fn no_effect(mut self, why: &'static str) -> Self {
        self.status = Status::NoEffect(why);
        self
    }

    const fn details(mut self, of: &'static str) -> Self {
        self.status = Status::Details(of);
        self
    }
}

const NO_RUBY: &str = "plugins are part of the executable, there is no Ruby to load or to open a shell in";
const NO_JVM: &str = "there is no Java virtual machine here";
const POLICY: &str = "api.auth.type";
const TLS: &str = "api.ssl.enabled";
const OTEL: &str = "otel.metrics.enabled";
const MONITORING: &str = "xpack.monitoring.enabled";
const MANAGEMENT: &str = "xpack.management.enabled";
const REQUIRED: Kind = Kind::Choice(&["REQUIRED", "OPTIONAL"]);
const VERIFICATION: Kind = Kind::Choice(&["none", "certificate", "full"]);

/// All settings of logstash.yml, in the order of Logstash's manual.
pub(crate) static SETTINGS: &[Setting] = &[
    setting("allow_superuser", Kind::Bool, "false", "Run as root."),
    unset("node.name", Kind::Text, "Name of this instance; the host name when unset."),
    unset("path.config", Kind::Text, "Pipeline configuration: file, folder or glob.").per_pipeline(),
    unset("path.data", Kind::Path, "Folder for state that outlives a run."),
    unset("path.queue", Kind::Path, "Folder of the queues; `path.data`/queue when unset.").per_pipeline(),
    unset(
        "path.dead_letter_queue",
        Kind::Path,
        "Folder of the dead letter queues; `path.data`/dead_letter_queue when unset.",
    )
    .per_pipeline(),
    setting("path.plugins", Kind::List(&[]), "[]", "Folders with own plugins.").refused(NO_RUBY),
    unset("path.logs", Kind::Path, "Folder for the log file; standard output alone when unset."),
    unset("path.settings", Kind::Path, "Folder of logstash.yml and pipelines.yml."),
    unset("config.string", Kind::Text, "Pipeline configuration as text.").per_pipeline(),
    setting("config.test_and_exit", Kind::Bool, "false", "Check the configuration and exit."),
    setting("config.reload.automatic", Kind::Bool, "false", "Reload a configuration when it changes."),
    setting("config.reload.interval", Kind::Time, "3s", "Time between two looks at the configuration."),
    setting("ssl.reload.automatic", Kind::Bool, "false", "Reload certificates when they change.")
        .refused("reloading certificates is not built yet"),
    setting("config.support_escapes", Kind::Bool, "false", "Process `\\n` and the like in strings.")
        .per_pipeline(),
    setting(
        "config.field_reference.escape_style",
        Kind::Choice(EscapeStyle::WORDS),
        "none",
        "Escapes in field references.",
    )
    .refused("escapes in field references are not built yet"),
    setting("config.debug", Kind::Bool, "false", "Log the compiled configuration (needs log.level debug).")
        .per_pipeline(),
    setting("metric.collect", Kind::Bool, "true", "Collect metrics.").per_pipeline(),
    setting("pipeline.id", Kind::Text, "main", "Name of the pipeline.").per_pipeline(),
    setting("pipeline.system", Kind::Bool, "false", "Logstash's internal mark.")
        .per_pipeline()
        .refused("it is Logstash's own mark for internal pipelines"),
    unset("pipeline.workers", Kind::Positive, "Worker threads; the number of cores when unset.")
        .per_pipeline(),
    setting("pipeline.batch.size", Kind::Positive, "125", "Most events a worker takes at once.")
        .per_pipeline(),
    setting(
        "pipeline.batch.delay",
        Kind::Number(0),
        "50",
        "Longest wait for a batch to fill, in milliseconds.",
    )
    .per_pipeline(),
    setting(
        "pipeline.batch.output_chunking.growth_threshold_factor",
        Kind::Positive,
        "1000",
        "Growth of a batch from which it is cut before the outputs.",
    )
    .per_pipeline()
    .no_effect("each output cuts its own requests to size, however much the filters add"),
    setting(
        "pipeline.batch.metrics.sampling_mode",
        Kind::Choice(BatchMetrics::WORDS),
        "minimal",
        "How many batches are measured.",
    )
    .per_pipeline(),
    setting("pipeline.unsafe_shutdown", Kind::Bool, "false", "Stop without waiting for events in flight."),
    setting("pipeline.reloadable", Kind::Bool, "true", "Whether a reload may touch the pipeline.")
        .per_pipeline(),
    setting("pipeline.recoverable", Kind::Choice(Recoverable::WORDS), "false", "Restart a crashed pipeline.")
        .per_pipeline(),
    setting("pipeline.plugin_classloaders", Kind::Bool, "false", "Isolate Java plugins.")
        .per_pipeline()
        .no_effect(NO_JVM),
    setting("pipeline.separate_logs", Kind::Bool, "false", "One log file per pipeline.")
        .refused("one log file per pipeline is not built yet; each line names its pipeline"),
    setting("pipeline.ordered", Kind::Choice(Ordered::WORDS), "auto", "Keep the order of events.")
        .per_pipeline(),
    setting(
        "pipeline.ecs_compatibility",
        Kind::Choice(EcsCompatibility::WORDS),
        "v8",
        "Field names of plugins.",
    )
    .per_pipeline(),
    setting("pipeline.buffer.type", Kind::Choice(&["heap", "direct"]), "heap", "Java's buffers.")
        .no_effect(NO_JVM),
    setting("log.level", Kind::Choice(LogLevel::WORDS), "info", "Least severe lines that are logged."),
    setting("log.format", Kind::Choice(LogFormat::WORDS), "plain", "Format of log lines."),
    setting(
        "log.format.json.fix_duplicate_message_fields",
        Kind::Bool,
        "true",
        "Rename a parameter called message to message_1 in JSON lines.",
    ),
    unset("interactive", Kind::Choice(&["irb", "pry"]), "A Ruby shell.").refused(NO_RUBY),
    setting("version", Kind::Bool, "false", "Print the version.").refused("use the flag -V"),
    setting("help", Kind::Bool, "false", "Print help.").refused("use the flag --help"),
    setting("enable-local-plugin-development", Kind::Bool, "false", "Edit the Gemfile.").refused(NO_RUBY),
    setting("api.enabled", Kind::Bool, "true", "Serve the API."),
    setting("api.http.host", Kind::Text, "127.0.0.1", "Address of the API."),
    setting("api.http.port", Kind::Ports, "9600-9700", "Port of the API: the first free one of a range."),
    setting("api.environment", Kind::Text, "production", "Name of the environment, shown by the API."),
    setting("api.auth.type", Kind::Choice(&["none", "basic"]), "none", "Who may use the API.")
        .refused("authentication for the API is not built yet"),
    unset("api.auth.basic.username", Kind::Text, "User of the API.").details(POLICY),
    unset("api.auth.basic.password", Kind::Password, "Password of the API.").details(POLICY),
    setting(
        "api.auth.basic.password_policy.mode",
        Kind::Choice(&["WARN", "ERROR"]),
        "WARN",
        "Weak passwords.",
    )
    .details(POLICY),
    setting("api.auth.basic.password_policy.length.minimum", Kind::Number(8), "8", "Least length.")
        .details(POLICY),
    setting("api.auth.basic.password_policy.include.upper", REQUIRED, "REQUIRED", "Capitals.")
        .details(POLICY),
    setting("api.auth.basic.password_policy.include.lower", REQUIRED, "REQUIRED", "Small letters.")
        .details(POLICY),
    setting("api.auth.basic.password_policy.include.digit", REQUIRED, "REQUIRED", "Digits.").details(POLICY),
    setting("api.auth.basic.password_policy.include.symbol", REQUIRED, "OPTIONAL", "Other signs.")
        .details(POLICY),
    setting("api.ssl.enabled", Kind::Bool, "false", "TLS for the API.")
        .refused("TLS for the API is not built yet"),
    unset("api.ssl.keystore.path", Kind::Path, "Key and certificate of the API.").details(TLS),
    unset("api.ssl.keystore.password", Kind::Password, "Password of that keystore.").details(TLS),
    setting(
        "api.ssl.supported_protocols",
        Kind::List(&["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        "[]",
        "TLS versions of the API.",
    )
    .details(TLS),
    setting(
        "memory.max_bytes",
        Kind::Bytes,
        "256mb",
        "What events that wait or are under way may weigh, in all pipelines together; not a setting of Logstash.",
    ),
    setting(
        "spill.max_bytes",
        Kind::Bytes,
        "1024mb",
        "Most bytes on disk for an output that is blocked while others are not; 0 = the pipeline waits. Not a setting of Logstash.",
    )
    .per_pipeline(),
    setting("queue.type", Kind::Choice(QueueType::WORDS), "memory", "Where events wait.").per_pipeline(),
    setting("queue.drain", Kind::Bool, "false", "Empty the queue before a stop.").per_pipeline(),
    setting("queue.page_capacity", Kind::Bytes, "64mb", "Size of a queue file.").per_pipeline(),
    setting("queue.max_bytes", Kind::Bytes, "1024mb", "Most bytes in the queue.").per_pipeline(),
    setting("queue.max_events", Kind::Number(0), "0", "Most events in the queue; 0 = no limit.")
        .per_pipeline(),
    setting("queue.checkpoint.acks", Kind::Number(0), "1024", "Acks between checkpoints.").per_pipeline(),
    setting("queue.checkpoint.writes", Kind::Number(0), "1024", "Writes between checkpoints.")
        .per_pipeline()
        .no_effect("every batch is on disk before its input is told so, as with 1 in Logstash"),
    setting("queue.checkpoint.interval", Kind::Number(0), "1000", "Nothing, in Logstash too.")
        .per_pipeline()
        .no_effect("it has none in Logstash either, which has deprecated it"),
    setting("queue.checkpoint.retry", Kind::Bool, "true", "Retry a failed checkpoint.")
        .per_pipeline()
        .no_effect("a checkpoint that failed is always written again"),
    setting(
        "queue.compression",
        Kind::Choice(QueueCompression::WORDS),
        "none",
        "Compression of the queue's pages.",
    )
    .per_pipeline(),
    setting("dead_letter_queue.enable", Kind::Bool, "false", "Keep events that cannot be delivered.")
        .per_pipeline(),
    setting(
        "dead_letter_queue.failures",
        Kind::Bool,
        "false",
        "Send events there too on which a filter or codec fails, instead of tagging them alone; not a setting of Logstash.",
    )
    .per_pipeline(),
    setting("dead_letter_queue.max_bytes", Kind::Bytes, "1024mb", "Most bytes in it.").per_pipeline(),
    setting("dead_letter_queue.flush_interval", Kind::Number(1000), "5000", "Longest wait, in milliseconds.")
        .per_pipeline(),
    setting("dead_letter_queue.flush_check_interval", Kind::Number(1000), "1000", "Time between two looks.")
        .per_pipeline(),
    setting(
        "dead_letter_queue.storage_policy",
        Kind::Choice(StoragePolicy::WORDS),
        "drop_newer",
        "When it is full.",
    )
    .per_pipeline(),
    unset("dead_letter_queue.retain.age", Kind::Age, "How long events stay in it.").per_pipeline(),
    setting("slowlog.threshold.warn", Kind::Time, "-1", "Log slower filters.").refused(SLOWLOG),
    setting("slowlog.threshold.info", Kind::Time, "-1", "Log slower filters.").refused(SLOWLOG),
    setting("slowlog.threshold.debug", Kind::Time, "-1", "Log slower filters.").refused(SLOWLOG),
    setting("slowlog.threshold.trace", Kind::Time, "-1", "Log slower filters.").refused(SLOWLOG),
    setting(
        "keystore.classname",
        Kind::Text,
        "org.logstash.secret.store.backend.JavaKeyStore",
        "Java class.",
    )
    .no_effect(NO_JVM),
    unset("keystore.file", Kind::Path, "The keystore; `path.settings`/logstash.keystore when unset."),
    unset("monitoring.cluster_uuid", Kind::Text, "Elasticsearch cluster that this instance is shown with."),
    setting(OTEL, Kind::Bool, "false", "Export metrics.")
        .refused("the OpenTelemetry exporter is not built yet"),
    setting("otel.exporter.otlp.endpoint", Kind::Text, "http://localhost:4317", "Receiver.").details(OTEL),
    setting("otel.exporter.otlp.protocol", Kind::Choice(&["grpc", "http"]), "grpc", "Protocol.")
        .details(OTEL),
    setting("otel.metric.export.interval", Kind::Time, "10s", "Time between two exports.").details(OTEL),
    unset("otel.exporter.otlp.headers", Kind::Password, "Headers.").details(OTEL),
    unset("otel.exporter.otlp.certificate", Kind::Path, "Trusted certificates.").details(OTEL),
    unset("otel.exporter.otlp.client.key", Kind::Path, "Own key.").details(OTEL),
    unset("otel.exporter.otlp.client.certificate", Kind::Path, "Own certificate.").details(OTEL),
    unset("otel.service.name", Kind::Text, "Name of the service.").details(OTEL),
    unset("otel.resource.attributes", Kind::Text, "Attributes of the resource.").details(OTEL),
    setting("node.uuid", Kind::Text, "", "Id of this instance.")
        .refused("the id is kept in `path.data`/uuid"),
    setting("xpack.monitoring.allow_legacy_collection", Kind::Bool, "false", "Internal monitoring.")
        .details(MONITORING),
    setting(MONITORING, Kind::Bool, "false", "Internal monitoring.").refused(USE_API),
    setting("xpack.monitoring.collection.interval", Kind::Time, "10s", "Time between two.")
        .details(MONITORING),
    setting("xpack.monitoring.collection.timeout_interval", Kind::Time, "10m", "Patience.")
        .details(MONITORING),
    setting(
        "xpack.monitoring.collection.pipeline.details.enabled",
        Kind::Bool,
        "true",
        "Send details of pipelines.",
    )
    .details(MONITORING),
    setting("xpack.monitoring.collection.config.enabled", Kind::Bool, "true", "Send configurations.")
        .details(MONITORING),
    setting("xpack.monitoring.elasticsearch.hosts", Kind::List(&[]), "[http://localhost:9200]", "Receivers.")
        .details(MONITORING),
    setting("xpack.monitoring.elasticsearch.username", Kind::Text, "logstash_system", "User.")
        .details(MONITORING),
    unset("xpack.monitoring.elasticsearch.password", Kind::Password, "Password.").details(MONITORING),
    unset("xpack.monitoring.elasticsearch.proxy", Kind::Text, "Proxy.").details(MONITORING),
    unset("xpack.monitoring.elasticsearch.cloud_id", Kind::Text, "Cloud.").details(MONITORING),
    unset("xpack.monitoring.elasticsearch.cloud_auth", Kind::Password, "Cloud.").details(MONITORING),
    unset("xpack.monitoring.elasticsearch.api_key", Kind::Password, "Key.").details(MONITORING),
    setting("xpack.monitoring.elasticsearch.sniffing", Kind::Bool, "false", "Find more hosts.")
        .details(MONITORING),
    unset("xpack.monitoring.elasticsearch.ssl.certificate_authority", Kind::Path, "Trusted certificates.")
        .details(MONITORING),
    unset(
        "xpack.monitoring.elasticsearch.ssl.ca_trusted_fingerprint",
        Kind::Text,
        "Fingerprint of the trusted certificate.",
    )
    .details(MONITORING),
    unset("xpack.monitoring.elasticsearch.ssl.truststore.path", Kind::Path, "Trusted certificates.")
        .details(MONITORING),
    unset("xpack.monitoring.elasticsearch.ssl.truststore.password", Kind::Password, "Password of those.")
        .details(MONITORING),
    unset("xpack.monitoring.elasticsearch.ssl.keystore.path", Kind::Path, "Own key and certificate.")
        .details(MONITORING),
    unset("xpack.monitoring.elasticsearch.ssl.keystore.password", Kind::Password, "Password of those.")
        .details(MONITORING),
    unset("xpack.monitoring.elasticsearch.ssl.certificate", Kind::Path, "Own certificate.")
        .details(MONITORING),
    unset("xpack.monitoring.elasticsearch.ssl.key", Kind::Path, "Own key.").details(MONITORING),
    setting("xpack.monitoring.elasticsearch.ssl.cipher_suites", Kind::List(&[]), "[]", "Cipher suites.")
        .details(MONITORING),
    setting(
        "xpack.monitoring.elasticsearch.ssl.verification_mode",
        VERIFICATION,
        "full",
        "How certificates are checked.",
    )
    .details(MONITORING),
    setting(MANAGEMENT, Kind::Bool, "false", "Central pipeline management.")
        .refused("central pipeline management is not built yet: give the pipelines in pipelines.yml"),
    setting("xpack.management.logstash.poll_interval", Kind::Time, "5s", "Time between two looks.")
        .details(MANAGEMENT),
    setting("xpack.management.pipeline.id", Kind::List(&[]), "[main]", "Pipelines to run.")
        .details(MANAGEMENT),
    setting(
        "xpack.management.elasticsearch.hosts",
        Kind::List(&[]),
        "[https://localhost:9200]",
        "Elasticsearch hosts.",
    )
    .details(MANAGEMENT),
    setting("xpack.management.elasticsearch.username", Kind::Text, "logstash_system", "User.")
        .details(MANAGEMENT),
    unset("xpack.management.elasticsearch.password", Kind::Password, "Password.").details(MANAGEMENT),
    unset("xpack.management.elasticsearch.proxy", Kind::Text, "Proxy.").details(MANAGEMENT),
    unset("xpack.management.elasticsearch.cloud_id", Kind::Text, "Cloud id.").details(MANAGEMENT),
    unset("xpack.management.elasticsearch.cloud_auth", Kind::Password, "Cloud user and password.")
        .details(MANAGEMENT),
    unset("xpack.management.elasticsearch.api_key", Kind::Password, "API key.").details(MANAGEMENT),
    setting("xpack.management.elasticsearch.sniffing", Kind::Bool, "false", "Find more hosts.")
        .details(MANAGEMENT),
    unset("xpack.management.elasticsearch.ssl.certificate_authority", Kind::Path, "Trusted certificates.")
        .details(MANAGEMENT),
    unset(
        "xpack.management.elasticsearch.ssl.ca_trusted_fingerprint",
        Kind::Text,
        "Fingerprint of the trusted certificate.",
    )
    .details(MANAGEMENT),
    unset("xpack.management.elasticsearch.ssl.truststore.path", Kind::Path, "Trusted certificates.")
        .details(MANAGEMENT),
    unset("xpack.management.elasticsearch.ssl.truststore.password", Kind::Password, "Password of those.")
        .details(MANAGEMENT),
    unset("xpack.management.elasticsearch.ssl.keystore.path", Kind::Path, "Own key and certificate.")
        .details(MANAGEMENT),
    unset("xpack.management.elasticsearch.ssl.keystore.password", Kind::Password, "Password of those.")
        .details(MANAGEMENT),
    unset("xpack.management.elasticsearch.ssl.certificate", Kind::Path, "Own certificate.")
        .details(MANAGEMENT),
    unset("xpack.management.elasticsearch.ssl.key", Kind::Path, "Own key.").details(MANAGEMENT),
    setting("xpack.management.elasticsearch.ssl.cipher_suites", Kind::List(&[]), "[]", "Cipher suites.")
        .details(MANAGEMENT),
    setting(
        "xpack.management.elasticsearch.ssl.verification_mode",
        VERIFICATION,
        "full",
        "How certificates are checked.",
    )
    .details(MANAGEMENT),
    setting("xpack.geoip.downloader.enabled", Kind::Bool, "true", "Download GeoIP databases.")
        .no_effect("no GeoIP database is ever downloaded: give `database` to the geoip filter"),
    setting(
        "xpack.geoip.downloader.endpoint",
        Kind::Text,
        "https://geoip.elastic.co/v1/database",
        "Where databases come from.",
    )
    .no_effect("no GeoIP database is ever downloaded: give `database` to the geoip filter"),
    setting("xpack.geoip.downloader.poll.interval", Kind::Time, "24h", "Time between two looks.")
        .no_effect("no GeoIP database is ever downloaded: give `database` to the geoip filter"),
];

const SLOWLOG: &str = "the slow log is not built yet";
const USE_API: &str =
    "internal monitoring is not built; let Metricbeat or Elastic Agent collect from the API instead";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::settings::kind::Raw;
    use crate::settings::variables::refine;

    #[test]
    fn names_and_keys_are_unique() {
        let names: BTreeSet<_> = SETTINGS.iter().map(|s| s.name).collect();
        let keys: BTreeSet<_> = SETTINGS.iter().map(Setting::key).collect();
        assert_eq!(names.len(), SETTINGS.len());
        assert_eq!(keys.len(), SETTINGS.len());
    }

    #[test]
    fn every_setting_is_described() {
        for setting in crate::settings::reference() {
            assert!(setting.doc.ends_with('.') && !setting.values.is_empty(), "{setting:?}");
        }
    }

    #[test]
    fn defaults_have_their_own_type() {
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                let raw =
                    if default.starts_with('[') { refine(default) } else { Raw::Text(default.to_owned()) };
                assert!(setting.kind.parse(&raw).is_ok(), "{}: {default}", setting.name);
            }
        }
    }

    #[test]
    fn details_name_a_switch_that_is_refused() {
        for setting in SETTINGS {
            if let Status::Details(of) = setting.status {
                assert!(matches!(find(of).unwrap().status, Status::Refused(_)), "{}", setting.name);
            }
        }
    }

    #[test]
    fn the_white_list_of_pipelines_yml_is_complete() {
        let expected = "config.debug config.string config.support_escapes dead_letter_queue.enable \
            dead_letter_queue.failures dead_letter_queue.flush_check_interval dead_letter_queue.flush_interval dead_letter_queue.max_bytes \
            dead_letter_queue.retain.age dead_letter_queue.storage_policy metric.collect path.config \
            path.dead_letter_queue path.queue pipeline.batch.delay pipeline.batch.metrics.sampling_mode \
            pipeline.batch.output_chunking.growth_threshold_factor pipeline.batch.size \
            pipeline.ecs_compatibility pipeline.id pipeline.ordered pipeline.plugin_classloaders \
            pipeline.recoverable pipeline.reloadable pipeline.system pipeline.workers queue.checkpoint.acks \
            queue.checkpoint.interval queue.checkpoint.retry queue.checkpoint.writes queue.compression queue.drain \
            queue.max_bytes queue.max_events queue.page_capacity queue.type spill.max_bytes";
        let listed: BTreeSet<_> = SETTINGS.iter().filter(|s| s.per_pipeline).map(|s| s.name).collect();
        assert_eq!(listed.into_iter().collect::<Vec<_>>(), expected.split_whitespace().collect::<Vec<_>>());
    }
}
