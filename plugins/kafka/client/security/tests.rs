//! The options in users' syntax, and librdkafka with what they become.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferrostash_conf::{Options, PluginKind};
use ferrostash_event::Event;
use ferrostash_net::listener::{Listener, ListenerOptions};
use ferrostash_net::testing::Authority;
use ferrostash_net::tls::{ClientAuthentication, ServerTls};
use ferrostash_plugin::testing::Harness;
use ferrostash_plugin::{EventFilter, FilterContext, FilterPlugin, Matched, PluginDef, filter};
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::*;

/// A plugin with nothing but these options.
#[derive(Options, Clone)]
#[plugin(filter = "secured")]
struct SecuredOptions {
    /// As the kafka plugins have them.
    #[option(flatten)]
    security: SecurityOptions,
}

static PLUGIN: PluginDef = filter::<Secured>();

#[derive(Clone)]
struct Secured;

/// What the options became.
struct Built {
    config: ClientConfig,
    login: Login,
    warnings: Vec<String>,
}

thread_local! {
    static BUILT: RefCell<Option<Built>> = const { RefCell::new(None) };
}

impl FilterPlugin for Secured {
    type Options = SecuredOptions;

    fn build(options: SecuredOptions, cx: &mut BuildContext<'_>) -> BuildResult<Secured> {
        let mut config = ClientConfig::new();
        let login = secure(&mut config, &options.security, cx)?;
        let warnings = cx.diagnostics.iter().map(|diagnostic| diagnostic.message.clone()).collect();
        BUILT.set(Some(Built { config, login, warnings }));
        Ok(Secured)
    }
}

impl EventFilter for Secured {
    fn filter(&mut self, _event: &mut Event, _cx: &mut FilterContext<'_>) -> Matched {
        Matched::No
    }
}

fn built(options: &str) -> Result<Built, String> {
    let harness = Harness::new(&[&PLUGIN]);
    harness.build(PluginKind::Filter, &format!("secured {{\n{}\n}}", data(options)))?;
    Ok(BUILT.take().unwrap())
}

/// `@` stands for the folder of the stores.
fn data(options: &str) -> String {
    options.replace('@', concat!(env!("CARGO_MANIFEST_DIR"), "/client/security/testdata/"))
}

fn good(options: &str) -> Built {
    built(options).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(options: &str) -> String {
    built(options).map(|_| ()).unwrap_err()
}

fn setting<'a>(built: &'a Built, name: &str) -> &'a str {
    built.config.get(name).unwrap_or("")
}

const JKS: &str = "ssl_truststore_location => '@trust.jks' ssl_truststore_password => 'changeit'";

#[test]
fn nothing_is_plain() {
    let built = good("");
    assert_eq!(setting(&built, "security.protocol"), "plaintext");
    assert!(built.warnings.is_empty());
}

#[test]
fn options_that_are_not_used_are_named_once() {
    let built = good(&format!("{JKS} sasl_mechanism => 'PLAIN' ssl_endpoint_identification_algorithm => ''"));
    let expected = "filter `secured`: not used with `security_protocol` PLAINTEXT: `ssl_truststore_location`, \
                    `ssl_truststore_password`, `ssl_endpoint_identification_algorithm`, `sasl_mechanism`";
    assert_eq!(built.warnings, [expected]);
    let built = good(&format!(
        "security_protocol => 'SSL' {JKS} jaas_path => '@client.crt' kerberos_config => '@client.crt'"
    ));
    assert_eq!(built.warnings.len(), 1);
    assert!(built.warnings[0].ends_with("`security_protocol` SSL: `jaas_path`, `kerberos_config`"));
    let plain =
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p\";";
    let built = good(&format!(
        "security_protocol => 'SASL_PLAINTEXT' sasl_mechanism => 'PLAIN' sasl_jaas_config => '{plain}' {JKS}
         sasl_kerberos_service_name => 'kafka'"
    ));
    let expected = "filter `secured`: not used with `security_protocol` SASL_PLAINTEXT and `sasl_mechanism` PLAIN: \
                    `ssl_truststore_location`, `ssl_truststore_password`, `sasl_kerberos_service_name`";
    assert_eq!(built.warnings, [expected]);
}

#[test]
fn a_type_without_a_store_is_no_error_as_in_java() {
    let built =
        good(&format!("security_protocol => 'SSL' {JKS} ssl_keystore_type => 'JKS' ssl_key_password => 'x'"));
    let expected = ["ssl_key_password", "ssl_keystore_type"]
        .map(|name| format!("filter `secured`: `{name}` is not used without `ssl_keystore_location`"));
    assert_eq!(built.warnings, expected);
}

#[test]
fn stores_of_java_become_pem() {
    for (trust, own) in [("trust.jks", "client.jks"), ("trust.p12", "client.p12")] {
        let built = good(&format!(
            "security_protocol => 'SSL'
             ssl_truststore_location => '@{trust}' ssl_truststore_password => 'changeit'
             ssl_keystore_location => '@{own}' ssl_keystore_password => 'changeit' ssl_key_password => 'changeit'"
        ));
        assert_eq!(setting(&built, "ssl.ca.pem").matches("BEGIN CERTIFICATE").count(), 1);
        assert_eq!(setting(&built, "ssl.certificate.pem").matches("BEGIN CERTIFICATE").count(), 1);
        assert!(setting(&built, "ssl.key.pem").starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(setting(&built, "ssl.endpoint.identification.algorithm"), "https");
        assert!(built.warnings.is_empty(), "{:?}", built.warnings);
        // librdkafka reads them when the client is made.
        built.config.create::<BaseProducer>().unwrap();
    }
}

#[test]
fn without_a_truststore_the_system_is_trusted() {
    match built("security_protocol => 'SSL' ssl_endpoint_identification_algorithm => ''") {
        Ok(built) => {
            assert!(setting(&built, "ssl.ca.pem").starts_with("-----BEGIN CERTIFICATE-----"));
            assert_eq!(setting(&built, "ssl.endpoint.identification.algorithm"), "none");
            built.config.create::<BaseProducer>().unwrap();
        }
        // A machine without certificates.
        Err(error) => assert!(error.contains("the system has no trusted certificates"), "{error}"),
    }
}

#[test]
fn what_is_wrong_with_a_store_is_said_at_its_option() {
    for (options, error, place) in [
        (
            "ssl_truststore_location => '@trust.jks'\nssl_truststore_password => 'wrong'",
            "`ssl_truststore_password` (@trust.jks): the password is wrong, or the file is damaged",
            "4:",
        ),
        ("ssl_truststore_location => '@none.jks'", "File does not exist or cannot be opened @none.jks", "3:"),
        (
            "ssl_truststore_location => '@trust.jks'\nssl_truststore_type => 'BKS'",
            "`ssl_truststore_type` (@trust.jks): `BKS` is none of JKS, PKCS12, PEM",
            "4:",
        ),
        (
            "ssl_truststore_password => 'x'",
            "`ssl_truststore_password`: needs `ssl_truststore_location`",
            "3:",
        ),
        (
            "ssl_keystore_location => '@client.jks'",
            "`ssl_keystore_location` (@client.jks): the store needs a password: set `ssl_keystore_password`",
            "3:",
        ),
        (
            "ssl_keystore_location => '@client.pem'",
            "`ssl_keystore_location` (@client.pem): the key is encrypted and needs a password: set `ssl_key_password`",
            "3:",
        ),
        (
            "ssl_keystore_location => '@client.pem'\nssl_key_password => 'wrong'",
            "`ssl_key_password` (@client.pem): the key's password is wrong",
            "4:",
        ),
        (
            "ssl_keystore_location => '@trust.jks'\nssl_keystore_password => 'changeit'",
            "`ssl_keystore_location` (@trust.jks): it holds no private key with its certificate",
            "3:",
        ),
        (
            "ssl_endpoint_identification_algorithm => 'LDAPS'",
            "`ssl_endpoint_identification_algorithm`: `LDAPS` is not known; there are `https`, and the empty string for no check",
            "3:",
        ),
    ] {
        let got = refusal(&format!("security_protocol => 'SSL'\n{options}"));
        assert!(got.contains(&data(error)) && got.contains(&format!("test:{place}")), "{got}");
    }
}

#[test]
fn user_and_password_are_those_of_the_jaas_line() {
    for (mechanism, class) in [
        ("PLAIN", "org.apache.kafka.common.security.plain.PlainLoginModule"),
        ("SCRAM-SHA-256", "org.apache.kafka.common.security.scram.ScramLoginModule"),
        ("SCRAM-SHA-512", "org.apache.kafka.common.security.scram.ScramLoginModule"),
    ] {
        let built = good(&format!(
            "security_protocol => 'SASL_PLAINTEXT' sasl_mechanism => '{mechanism}'
             sasl_jaas_config => \"{class} required username='auser'  password='a\\'password';\""
        ));
        assert_eq!(setting(&built, "security.protocol"), "sasl_plaintext");
        assert_eq!(setting(&built, "sasl.mechanism"), mechanism);
        assert_eq!(
            (setting(&built, "sasl.username"), setting(&built, "sasl.password")),
            ("auser", "a'password")
        );
        assert!(built.warnings.is_empty());
        built.config.create::<BaseProducer>().unwrap();
    }
}

#[test]
fn a_jaas_file_is_read_where_there_is_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jaas.conf");
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    std::fs::write(&path, format!("KafkaClient {{\n {module}\n username=\"f\" password=\"p\" x=\"1\";\n}};"))
        .unwrap();
    let file = format!(
        "security_protocol => 'SASL_SSL' {JKS} sasl_mechanism => 'PLAIN' jaas_path => '{}'",
        path.display()
    );
    let built = good(&file);
    assert_eq!((setting(&built, "sasl.username"), setting(&built, "security.protocol")), ("f", "sasl_ssl"));
    assert!(
        built.warnings.iter().any(|text| text.contains("`jaas_path`: ") && text.contains("has no option x"))
    );
    let both = good(&format!("{file} sasl_jaas_config => '{module} username=\"l\" password=\"p\";'"));
    assert_eq!(setting(&both, "sasl.username"), "l");
    std::fs::write(&path, "KafkaClient {").unwrap();
    assert!(refusal(&file).contains("jaas.conf: line 1: "));
}

#[test]
fn what_is_wrong_with_a_login_is_said() {
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required";
    for (options, error) in [
        ("".to_owned(), "sasl_kerberos_service_name must be specified when SASL mechanism is GSSAPI"),
        (
            "sasl_mechanism => 'PLAIN'".to_owned(),
            "with SASL, set `sasl_jaas_config` (or `jaas_path`): it says who logs in",
        ),
        (
            "sasl_mechanism => 'AWS_MSK_IAM'".to_owned(),
            "`sasl_mechanism`: AWS_MSK_IAM is a Java class of Amazon's",
        ),
        (
            "sasl_mechanism => 'DIGEST-MD5'".to_owned(),
            "`sasl_mechanism`: `DIGEST-MD5` is not supported; there are PLAIN",
        ),
        (
            format!("sasl_mechanism => 'PLAIN' sasl_jaas_config => '{scram} username=\"u\" password=\"p\";'"),
            "ScramLoginModule does not fit to `sasl_mechanism` PLAIN, which needs org.apache.kafka.common.security.plain.PlainLoginModule",
        ),
        (
            format!("sasl_mechanism => 'PLAIN' sasl_jaas_config => '{plain} username=\"u\";'"),
            "`sasl_jaas_config`: org.apache.kafka.common.security.plain.PlainLoginModule needs the option `password`",
        ),
        (
            format!(
                "sasl_mechanism => 'PLAIN' sasl_jaas_config => '{plain} username=\"u\" password=\"hunter2\"'"
            ),
            "`sasl_jaas_config`: line 1: the `;` at the end is missing",
        ),
        (
            format!(
                "sasl_mechanism => 'SCRAM-SHA-256' sasl_jaas_config => '{scram} username=\"u\" password=\"p\" tokenauth=\"true\";'"
            ),
            "delegation tokens (`tokenauth`) are not supported",
        ),
        (
            "sasl_mechanism => 'OAUTHBEARER' sasl_login_callback_handler_class => 'com.example.Handler'"
                .to_owned(),
            "the Java class com.example.Handler can't be loaded here",
        ),
    ] {
        let got = refusal(&format!("security_protocol => 'SASL_PLAINTEXT' {options}"));
        let message = got.lines().next().unwrap_or_default();
        assert!(message.contains(error), "{got}");
        assert!(!message.contains("hunter2"), "{got}");
    }
}

const OAUTH: &str = "security_protocol => 'SASL_PLAINTEXT' sasl_mechanism => 'OAUTHBEARER'";

fn oauth(url: &str, more: &str) -> String {
    format!(
        "{OAUTH} sasl_oauthbearer_token_endpoint_url => '{url}'
         sasl_login_callback_handler_class => 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler'
         sasl_jaas_config => 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required {more};'"
    )
}

#[test]
fn tokens_come_from_an_endpoint_or_a_file() {
    let user = "clientId=\"me\" clientSecret=\"hunter2\" scope=\"kafka\"";
    let built = good(&oauth("http://127.0.0.1:1/token", user));
    assert_eq!(setting(&built, "sasl.mechanism"), "OAUTHBEARER");
    assert!(built.warnings.is_empty(), "{:?}", built.warnings);
    let debug = format!("{:?}", built.login);
    assert!(debug.contains("\"me\"") && !debug.contains("hunter2"), "{debug}");
    good(&format!("{} {JKS}", oauth("https://127.0.0.1:1/token", user)));
    good(&oauth("https://127.0.0.1:1/token", &format!("{user} ssl.truststore.location=\"@client.crt\"")));
    good(&oauth("file://@client.crt", ""));
    for (url, more, error) in [
        ("http://h/", "clientId=\"me\"", "OAuthBearerLoginModule needs the option `clientSecret`"),
        ("ftp://u:hunter2@h/", user, "only http:// and https:// addresses can be requested"),
        ("file:///none/token", "", "/none/token is not a file"),
        (
            "http://h/",
            "extension_logicalCluster=\"x\"",
            "`extension_logicalCluster`: SASL extensions can't be sent",
        ),
        ("http://h/", "unsecuredLoginStringClaim_sub=\"x\"", "tokens that nobody signed are not made here"),
        (
            "https://h/",
            "ssl.truststore.location=\"/none\"",
            "`ssl.truststore.location` (/none): there is no such file",
        ),
    ] {
        let got = refusal(&oauth(url, more));
        assert!(got.lines().next().unwrap().contains(error), "{got}");
    }
    assert!(refusal(OAUTH).contains("with SASL, set `sasl_jaas_config`"));
}

const KERBEROS: &str = "security_protocol => 'SASL_PLAINTEXT' sasl_kerberos_service_name => 'kafka'";

fn kerberos(more: &str) -> String {
    format!("{KERBEROS} sasl_jaas_config => 'com.sun.security.auth.module.Krb5LoginModule required {more};'")
}

#[cfg(not(feature = "gssapi"))]
#[test]
fn kerberos_names_the_feature_that_it_needs() {
    let error = refusal(&kerberos("useTicketCache=true"));
    assert!(error.contains("build it with `--features kafka-gssapi`"), "{error}");
}

#[cfg(feature = "gssapi")]
#[test]
fn a_krb5_conf_has_to_be_known_before_the_start() {
    let built = good(&kerberos("useTicketCache=true"));
    assert_eq!(setting(&built, "sasl.mechanism"), "GSSAPI");
    built.config.create_native_config().unwrap();
    let got = refusal(&kerberos("useKeyTab=true keyTab=\"/none/keytab\" principal=\"x\""));
    assert!(got.contains("kinit") || got.contains("the keytab /none/keytab can't be read"), "{got}");
    let got = refusal(&format!("{} kerberos_config => '@client.crt'", kerberos("useTicketCache=true")));
    assert!(got.contains(&data("set the environment variable KRB5_CONFIG to @client.crt")), "{got}");
}

/// Kerberos alone, whether librdkafka has it or not.
#[derive(Options, Clone)]
#[plugin(filter = "kerberized")]
struct KerberizedOptions {
    /// As the kafka plugins have them.
    #[option(flatten)]
    security: SecurityOptions,
}

static KERBERIZED: PluginDef = filter::<Kerberized>();

#[derive(Clone)]
struct Kerberized;

impl FilterPlugin for Kerberized {
    type Options = KerberizedOptions;

    fn build(options: KerberizedOptions, cx: &mut BuildContext<'_>) -> BuildResult<Kerberized> {
        let mut config = ClientConfig::new();
        let mut jaas = sasl::Jaas::read(&options.security, cx)?;
        kerberos::map(&mut config, &mut jaas, &options.security, cx)?;
        let warnings = cx.diagnostics.iter().map(|diagnostic| diagnostic.message.clone()).collect();
        BUILT.set(Some(Built { config, login: Login::default(), warnings }));
        Ok(Kerberized)
    }
}

impl EventFilter for Kerberized {
    fn filter(&mut self, _event: &mut Event, _cx: &mut FilterContext<'_>) -> Matched {
        Matched::No
    }
}

fn kerberized(more: &str) -> Result<Built, String> {
    let harness = Harness::new(&[&KERBERIZED]);
    harness.build(PluginKind::Filter, &format!("kerberized {{ {} }}", kerberos(more)))?;
    Ok(BUILT.take().unwrap())
}

#[test]
fn kerberos_uses_a_keytab_or_a_ticket_cache() {
    let keytab =
        kerberized("useKeyTab=true storeKey=true keyTab=\"/etc/k.keytab\" principal=\"ls/host@EX.COM\"")
            .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(setting(&keytab, "sasl.kerberos.service.name"), "kafka");
    assert_eq!(setting(&keytab, "sasl.kerberos.keytab"), "/etc/k.keytab");
    assert_eq!(setting(&keytab, "sasl.kerberos.principal"), "ls/host@EX.COM");
    // A ticket of its own each time, which is never asked for in vain as the renewal of one is.
    let kinit = "kinit -k -t \"%{sasl.kerberos.keytab}\" %{sasl.kerberos.principal}";
    assert_eq!(setting(&keytab, "sasl.kerberos.kinit.cmd"), kinit);
    let cache =
        kerberized("useTicketCache=true serviceName=\"kafka\"").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(setting(&cache, "sasl.kerberos.min.time.before.relogin"), "0");
    let renewed =
        kerberized("useTicketCache=true renewTicket=true").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(setting(&renewed, "sasl.kerberos.kinit.cmd"), "kinit -R");
    let named = kerberized("useTicketCache=true principal=\"x\"").unwrap_or_else(|error| panic!("{error}"));
    assert!(named.warnings[0].contains("`principal` is not compared with the ticket cache"));
    for (more, error) in [
        ("", "nobody is there to be asked for a password"),
        ("useKeyTab=true", "`useKeyTab=true` needs `keyTab` and `principal`"),
        (
            "useTicketCache=true ticketCache=\"/tmp/x\"",
            "the option `ticketCache` of Krb5LoginModule can't be mapped",
        ),
        ("useTicketCache=true serviceName=\"other\"", "`serviceName` is another than that of"),
        ("useKeyTab=true keyTab=\"/a b\" principal=\"x\"", "`keyTab` may hold letters"),
    ] {
        let got = kerberized(more).map(|_| ()).unwrap_err();
        assert!(got.contains(error), "{got}");
    }
}

#[test]
fn a_process_logs_in_as_one_identity() {
    let in_use = Mutex::default();
    let keytab = |principal: &str| kerberos::Identity::Keytab(principal.to_owned());
    let first = kerberos::claim(&in_use, keytab("a@EX")).unwrap();
    let second = kerberos::claim(&in_use, keytab("a@EX")).unwrap();
    assert_eq!(kerberos::claim(&in_use, keytab("b@EX")).unwrap_err(), keytab("a@EX"));
    assert_eq!(kerberos::claim(&in_use, kerberos::Identity::Cache).unwrap_err(), keytab("a@EX"));
    drop(first);
    assert!(kerberos::claim(&in_use, keytab("b@EX")).is_err());
    drop(second);
    kerberos::claim(&in_use, keytab("b@EX")).unwrap();
}

#[test]
fn kinit_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::join_paths(["/nonexistent".as_ref(), folder.path()]).unwrap();
    assert!(!kerberos::has_kinit(&path));
    std::fs::write(folder.path().join("kinit"), "").unwrap();
    assert!(kerberos::has_kinit(&path));
}

/// Keeps why connections fail.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<String>>>);

impl ClientContext for Failures {
    fn error(&self, _error: KafkaError, reason: &str) {
        self.0.lock().unwrap().push(reason.to_owned());
    }
}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: ()) {}
}

/// What a server is told first over TLS, or why librdkafka doesn't come that far.
async fn first_bytes(server: ServerTls, host: &str, options: &str) -> Result<Vec<u8>, String> {
    let mut listening = ListenerOptions::new("127.0.0.1", 0);
    listening.tls = Some(server.build().unwrap());
    let listener = Listener::bind(listening).await.unwrap();
    let port = listener.local_addr().port();
    let (sender, seen) = std::sync::mpsc::channel();
    tokio::spawn(listener.serve(CancellationToken::new(), move |mut connection| {
        let sender = sender.clone();
        async move {
            let mut head = vec![0; 8];
            if connection.stream.read_exact(&mut head).await.is_ok() {
                let _ = sender.send(head);
            }
        }
    }));
    let mut config = good(&format!("security_protocol => 'SSL' {options}")).config;
    config.set("bootstrap.servers", format!("{host}:{port}")).set("broker.address.family", "v4");
    let polling = tokio::task::spawn_blocking(move || {
        let failures = Failures::default();
        let producer: BaseProducer<Failures> = config.create_with_context(failures.clone()).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            producer.poll(Duration::from_millis(10));
            if let Ok(head) = seen.try_recv() {
                return Ok(head);
            }
            if let Some(failure) = failures.0.lock().unwrap().first() {
                return Err(failure.clone());
            }
        }
        panic!("neither a request nor a failure");
    });
    polling.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_speaks_tls_with_these_stores() {
    let authority = Authority::new();
    let own = authority.issue("client", &["client"]);
    let store = authority.folder().join("own.pem");
    std::fs::write(&store, format!("{}{}", own.key_pem, own.certificate_pem)).unwrap();
    let trust = format!("ssl_truststore_location => '{}'", authority.certificate().display());
    let own = format!("{trust} ssl_keystore_location => '{}'", store.display());
    let asking = authority.server_asking(ClientAuthentication::Required);
    // A request of Kafka begins with its length and the key of `ApiVersions`.
    let head = first_bytes(asking.clone(), "localhost", &own).await.unwrap();
    assert_eq!(head.get(4..6), Some(&[0, 18][..]), "{head:?}");
    let error = first_bytes(asking, "localhost", &trust).await.unwrap_err();
    assert!(error.contains("certificate required") || error.contains("SSL"), "{error}");
    let error = first_bytes(authority.server(), "localhost", &data(JKS)).await.unwrap_err();
    assert!(error.contains("certificate verify failed"), "{error}");
    // That of another host.
    let other = ServerTls { identity: authority.issue("other", &["other"]).identity(), ..authority.server() };
    let error = first_bytes(other.clone(), "localhost", &trust).await.unwrap_err();
    assert!(error.contains("certificate verify failed"), "{error}");
    let unchecked = format!("{trust} ssl_endpoint_identification_algorithm => ''");
    assert!(first_bytes(other, "localhost", &unchecked).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_comes_over_tls_from_whom_the_truststore_trusts() {
    let authority = Authority::new();
    let mut listening = ListenerOptions::new("127.0.0.1", 0);
    listening.tls = Some(authority.server().build().unwrap());
    let listener = Listener::bind(listening).await.unwrap();
    let url = format!("https://localhost:{}/token", listener.local_addr().port());
    tokio::spawn(listener.serve(CancellationToken::new(), |mut connection| async move {
        let mut asked = Vec::new();
        while !asked.ends_with(b"grant_type=client_credentials") {
            if connection.stream.read_buf(&mut asked).await.is_ok_and(|len| len > 0) {
                continue;
            }
            return;
        }
        let body = r#"{"access_token": "t", "expires_in": 60}"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        connection.stream.write_all(answer.as_bytes()).await.unwrap();
        connection.stream.flush().await.unwrap();
    }));
    let user = "clientId=\"me\" clientSecret=\"hunter2\"";
    let trust = format!("ssl_truststore_location => '{}'", authority.certificate().display());
    let token = async |options: &str| {
        let login = good(&format!("{options} sasl_login_retry_backoff_max_ms => 1")).login;
        let token = move || login.token().map(|token| token.token).map_err(|error| error.to_string());
        tokio::task::spawn_blocking(token).await.unwrap()
    };
    assert_eq!(token(&format!("{} {trust}", oauth(&url, user))).await, Ok("t".to_owned()));
    let error = token(&format!("{} {JKS}", oauth(&url, user))).await.unwrap_err();
    assert!(error.contains("TLS handshake failed") && !error.contains("hunter2"), "{error}");
    // That of the JAAS line is asked alone.
    let of_line = format!("{user} ssl.truststore.location=\"{}\"", authority.certificate().display());
    assert_eq!(token(&format!("{} {JKS}", oauth(&url, &of_line))).await, Ok("t".to_owned()));
}
