//! Options that the `kafka` input and output have in common.

use std::path::PathBuf;

use ferrostash_conf::{OptionEnum, Options, Password, Spanned};

/// The greatest number of Java, and of librdkafka.
pub(crate) const INT_MAX: i64 = 2_147_483_647;

/// How brokers are found and spoken with.
#[derive(Options, Clone, Debug)]
pub(crate) struct ConnectionOptions {
    /// Brokers to begin with, as `host:port,host:port`; the others are learned from them.
    #[option(default = "localhost:9092")]
    pub(crate) bootstrap_servers: String,
    /// What the addresses behind a name are used for. `default` is an old word for `use_all_dns_ips`.
    #[option(default = "use_all_dns_ips")]
    pub(crate) client_dns_lookup: DnsLookup,
    /// The name under which brokers log and limit this client. Inputs add the number of the thread.
    #[option(default = "logstash")]
    pub(crate) client_id: String,
    /// Milliseconds after which a connection that nobody uses is closed.
    #[option(default = 540000, range = 0..=INT_MAX)]
    pub(crate) connections_max_idle_ms: u64,
    /// Milliseconds after which topics and partitions are looked up again, even if nothing seems to have changed.
    #[option(default = 300000, range = 1..=86_400_000)]
    pub(crate) metadata_max_age_ms: u64,
    /// Milliseconds that a broker may take to answer.
    #[option(default = 40000, range = 1..=900_000)]
    pub(crate) request_timeout_ms: u64,
    /// Bytes of the socket's receive buffer; -1 leaves the size to the system.
    #[option(default = 32768, range = -1..=100_000_000)]
    pub(crate) receive_buffer_bytes: i64,
    /// Milliseconds before a broker that could not be reached is tried again; doubled each time.
    #[option(default = 50, range = 0..=3_600_000)]
    pub(crate) reconnect_backoff_ms: u64,
    /// Most milliseconds between two such attempts.
    #[option(default = 1000, range = 0..=3_600_000)]
    pub(crate) reconnect_backoff_max_ms: u64,
    /// Milliseconds before a request that failed is tried again.
    #[option(default = 100, range = 0..=300_000)]
    pub(crate) retry_backoff_ms: u64,
    /// Bytes of the socket's send buffer; -1 leaves the size to the system.
    #[option(default = 131072, range = -1..=100_000_000)]
    pub(crate) send_buffer_bytes: i64,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DnsLookup {
    Default,
    UseAllDnsIps,
    ResolveCanonicalBootstrapServersOnly,
}

/// Encryption, and who we are.
#[derive(Options, Clone, Debug)]
pub(crate) struct SecurityOptions {
    /// Whether connections are encrypted (`SSL`), and whether we log in (`SASL`).
    #[option(default = "PLAINTEXT")]
    pub(crate) security_protocol: SecurityProtocol,
    /// What the truststore is: `JKS`, `PKCS12` or `PEM`; found out by its content when absent.
    pub(crate) ssl_truststore_type: Option<Spanned<String>>,
    /// The certificates that brokers are trusted by; those of the system when absent.
    #[option(kind = "path")]
    pub(crate) ssl_truststore_location: Option<Spanned<PathBuf>>,
    /// The truststore's password.
    pub(crate) ssl_truststore_password: Option<Spanned<Password>>,
    /// What the keystore is: `JKS`, `PKCS12` or `PEM`; found out by its content when absent.
    pub(crate) ssl_keystore_type: Option<Spanned<String>>,
    /// Our own certificate and key, where brokers ask for one.
    #[option(kind = "path")]
    pub(crate) ssl_keystore_location: Option<Spanned<PathBuf>>,
    /// The keystore's password.
    pub(crate) ssl_keystore_password: Option<Spanned<Password>>,
    /// The password of the key in the keystore, where it is another one.
    pub(crate) ssl_key_password: Option<Spanned<Password>>,
    /// `https` compares a broker's name with its certificate; the empty string doesn't.
    #[option(default = "https")]
    pub(crate) ssl_endpoint_identification_algorithm: Spanned<String>,
    /// `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER`, or `GSSAPI` where the program was built with the feature `kafka-gssapi`.
    #[option(default = "GSSAPI")]
    pub(crate) sasl_mechanism: Spanned<String>,
    /// The line of a login module: `org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";`
    pub(crate) sasl_jaas_config: Option<Spanned<Password>>,
    /// A JAAS file, of which the section `KafkaClient` is read.
    #[option(kind = "path")]
    pub(crate) jaas_path: Option<Spanned<PathBuf>>,
    /// The name of the Kerberos service that the brokers run as.
    pub(crate) sasl_kerberos_service_name: Option<Spanned<String>>,
    /// A `krb5.conf`. It holds for the whole process.
    #[option(kind = "path")]
    pub(crate) kerberos_config: Option<Spanned<PathBuf>>,
    /// Where tokens are fetched for `OAUTHBEARER`, with `clientId` and `clientSecret` of the JAAS line; or a `file:` address, whose
    /// content is the token, read again for each login.
    pub(crate) sasl_oauthbearer_token_endpoint_url: Option<Spanned<String>>,
    /// The name of the claim that holds the token's scope. Brokers check it; here only its form is looked at.
    #[option(default = "scope")]
    pub(crate) sasl_oauthbearer_scope_claim_name: String,
    /// Milliseconds to reach the token endpoint; 10000 when absent or 0.
    pub(crate) sasl_login_connect_timeout_ms: Option<u64>,
    /// Milliseconds for its answer; 60000 when absent or 0.
    pub(crate) sasl_login_read_timeout_ms: Option<u64>,
    /// Milliseconds before a token is asked for again; doubled each time.
    #[option(default = 100)]
    pub(crate) sasl_login_retry_backoff_ms: u64,
    /// Milliseconds after which no more attempts are made, until the client asks again some seconds later.
    #[option(default = 10000)]
    pub(crate) sasl_login_retry_backoff_max_ms: u64,
    /// A Java class.
    #[option(
        unsupported = "Java classes can't be loaded here; SASL PLAIN, SCRAM, OAUTHBEARER and GSSAPI are built in"
    )]
    pub(crate) sasl_client_callback_handler_class: Option<String>,
    /// A Java class. Kafka's own `OAuthBearerLoginCallbackHandler` means what is done here anyway: a token is fetched from
    /// `sasl_oauthbearer_token_endpoint_url`. Others are refused.
    pub(crate) sasl_login_callback_handler_class: Option<Spanned<String>>,
    /// Java archives.
    #[option(unsupported = "Java archives can't be loaded here", kind = "array")]
    pub(crate) sasl_iam_jar_paths: Option<Vec<String>>,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecurityProtocol {
    #[option(rename = "PLAINTEXT")]
    Plaintext,
    #[option(rename = "SSL")]
    Ssl,
    #[option(rename = "SASL_PLAINTEXT")]
    SaslPlaintext,
    #[option(rename = "SASL_SSL")]
    SaslSsl,
}
