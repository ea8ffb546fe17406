use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ferrostash_conf::PluginKind;
use ferrostash_net::listener::{Listener, ListenerOptions};
use ferrostash_net::testing::Authority;
use ferrostash_net::tls::{ClientAuthentication, ServerTls};
use ferrostash_plugin::testing::Harness;
use ferrostash_plugin::{Input, InputContext, InputError, InputPlugin, PluginDef, input};
use futures::future::{BoxFuture, join_all};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::*;

/// Builds a registry from what users write.
struct Probe;

static PROBE: PluginDef = input::<Probe>();

thread_local! {
    static BUILT: RefCell<Option<SchemaRegistry>> = const { RefCell::new(None) };
}

impl Input for Probe {
    fn run<'a>(&'a mut self, _: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async { Ok(()) })
    }
}

impl InputPlugin for Probe {
    type Options = KafkaInputOptions;

    fn build(options: KafkaInputOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        check(&options, cx)?;
        let registry = SchemaRegistry::build(&options.registry, options.security.security_protocol, cx)?;
        BUILT.set(registry);
        Ok(Self)
    }
}

fn built(options: &str) -> Result<Option<SchemaRegistry>, String> {
    Harness::new(&[&PROBE]).build(PluginKind::Input, &format!("kafka {{ {options} }}"))?;
    Ok(BUILT.take())
}

fn registry(options: &str) -> SchemaRegistry {
    built(options).unwrap().unwrap()
}

fn refused(options: &str) -> String {
    built(options).unwrap_err()
}

/// What a request was, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    target: String,
    authorization: Option<String>,
}

type Answers = HashMap<String, VecDeque<(u16, String)>>;

/// A registry on loopback. Each path has a list of answers; the last one stays.
struct Double {
    address: String,
    answers: Arc<Mutex<Answers>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Double {
    async fn start() -> Self {
        Self::start_with(None).await
    }

    async fn start_with(tls: Option<ServerTls>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut options = ListenerOptions::new("127.0.0.1", 0);
        options.tls = tls.map(|tls| tls.build().unwrap());
        let listener = Listener::bind(options).await.unwrap();
        let address = format!("{scheme}://127.0.0.1:{}", listener.local_addr().port());
        let double = Self { address, answers: Arc::default(), seen: Arc::default() };
        let (answers, seen) = (double.answers.clone(), double.seen.clone());
        tokio::spawn(listener.serve(CancellationToken::new(), move |connection| {
            let (answers, seen) = (answers.clone(), seen.clone());
            async move {
                let mut stream = BufReader::new(connection.stream);
                let mut lines = Vec::new();
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                        return;
                    }
                    if line == "\r\n" {
                        break;
                    }
                    lines.push(line.trim_end().to_owned());
                }
                let target = lines[0].split(' ').nth(1).unwrap().to_owned();
                let header = |line: &String| Some(line.strip_prefix("authorization: ")?.to_owned());
                let (status, body) = answer(&answers, &target);
                let request = Seen { target, authorization: lines.iter().find_map(header) };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = stream.flush().await;
            }
        }));
        double
    }

    fn answer(&self, path: &str, status: u16, body: impl ToString) {
        let mut answers = self.answers.lock().unwrap();
        answers.entry(path.to_owned()).or_default().push_back((status, body.to_string()));
    }

    fn schema(&self, id: u32, schema: &str) {
        self.answer(&format!("/schemas/ids/{id}"), 200, json!({"schema": schema}));
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn targets(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.target).collect()
    }

    fn registry(&self) -> SchemaRegistry {
        registry(&format!(r#"schema_registry_url => "{}""#, self.address))
    }
}

fn answer(answers: &Mutex<Answers>, target: &str) -> (u16, String) {
    let mut answers = answers.lock().unwrap();
    let Some(list) = answers.get_mut(target) else {
        return (404, json!({"error_code": 40403, "message": "Schema not found"}).to_string());
    };
    if list.len() > 1 { list.pop_front().unwrap() } else { list[0].clone() }
}

fn decoded(schema: &AvroSchema, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    schema.decode(bytes, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn options_that_do_not_fit() {
    assert!(built("").unwrap().is_none());
    let url = r#"schema_registry_url => "http://registry:8081""#;
    let class =
        r#"value_deserializer_class => "org.apache.kafka.common.serialization.ByteArrayDeserializer""#;
    let error = refused(&format!("{url} {class}"));
    let sentence = "Option schema_registry_url prohibit the customization of";
    assert!(error.contains(&format!("{sentence} value_deserializer_class")), "{error}");
    let error = refused(&format!(r#"{url} topics_pattern => "a.*""#));
    assert!(error.contains(&format!("{sentence} topics_pattern")), "{error}");
    for secret in ["", r#"schema_registry_secret => """#] {
        let error = refused(&format!(r#"{url} schema_registry_key => "k" {secret}"#));
        let sentence = "Setting `schema_registry_secret` is required when `schema_registry_key` is provided.";
        assert!(error.contains(sentence), "{error}");
    }
    for (address, reason) in [
        ("registry:8081", "has to begin with http:// or https://"),
        ("ftp://registry", "has to begin with http:// or https://"),
        ("http://registry/?a=b", "an address with `?` can't be used"),
    ] {
        let error = refused(&format!(r#"schema_registry_url => "{address}""#));
        assert!(error.contains(reason), "{error}");
    }
    let error = refused(&format!(r#"{url} schema_registry_proxy => "https://user:secret@proxy""#));
    assert!(error.contains("schema_registry_proxy: only http:// proxies are supported"), "{error}");
    let stores =
        r#"schema_registry_url => "https://r" schema_registry_ssl_truststore_location => "/no/such""#;
    let error = refused(stores);
    assert!(
        error.contains("schema_registry_ssl_truststore_location: /no/such: there is no such file"),
        "{error}"
    );
}

#[tokio::test]
async fn the_start_looks_for_the_subjects() {
    let topics = ["a".to_owned(), "b".to_owned()];
    let double = Double::start().await;
    double.answer("/subjects", 200, json!(["b-value", "a-value", "c-value"]));
    double.answer("/subjects", 200, json!(["a-key", "a-value"]));
    double.answer("/subjects", 401, json!({"error_code": 401, "message": "Unauthorized"}));
    let registry = double.registry();
    assert_eq!(registry.validate(&topics).await, Ok(()));
    let missing = registry.validate(&topics).await.unwrap_err();
    let sentence =
        r#"The schema registry does not contain definitions for required topic subjects: ["b-value"]"#;
    assert_eq!(missing.to_string(), sentence);
    let error = registry.validate(&topics).await.unwrap_err();
    let sentence = "Schema registry service doesn't respond, error: the answer of the schema registry to GET /subjects is \
                    401 Unauthorized: Unauthorized";
    assert_eq!(error.to_string(), sentence);
    assert!(error.is_retryable() && !missing.is_retryable());
}

#[tokio::test]
async fn the_look_can_be_skipped() {
    for skipped in [r#"schema_registry_validation => "skip""#, r#"security_protocol => "SASL_SSL""#] {
        let registry = registry(&format!(r#"schema_registry_url => "http://127.0.0.1:1" {skipped}"#));
        assert_eq!(registry.validate(&["a".to_owned()]).await, Ok(()), "{skipped}");
    }
    let registry = registry(r#"schema_registry_url => "http://127.0.0.1:1""#);
    let error = registry.validate(&[]).await.unwrap_err();
    assert!(
        error.to_string().starts_with("Schema registry service doesn't respond, error: 127.0.0.1:1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_schema_is_asked_for_once() {
    let double = Double::start().await;
    double.schema(7, r#"{"type":"record","name":"R","fields":[{"name":"f","type":"int"}]}"#);
    let registry = double.registry();
    let all = join_all((0..8).map(|_| registry.schema(7))).await;
    for schema in all {
        assert_eq!(decoded(&schema.unwrap(), b"\x04"), r#"{"f": 2}"#);
    }
    assert!(registry.schema(7).await.is_ok());
    assert_eq!(double.targets(), ["/schemas/ids/7"]);
}

#[tokio::test]
async fn schemas_bring_those_that_they_use() {
    let double = Double::start().await;
    let reference =
        |name: &str, subject: &str, version| json!({"name": name, "subject": subject, "version": version});
    let main = r#"{"type":"record","name":"Main","namespace":"n","fields":[
        {"name":"a","type":"n.A"},{"name":"b","type":"B"}]}"#;
    let references = json!([reference("n.A", "a/ä", 2), reference("n.B", "b", 1)]);
    double.answer(
        "/schemas/ids/1",
        200,
        json!({"schema": main, "schemaType": "AVRO", "references": references}),
    );
    let a = r#"{"type":"record","name":"n.A","fields":[{"name":"b","type":"n.B"}]}"#;
    let references = json!([reference("n.B", "b", 1)]);
    double.answer(
        "/subjects/a%2F%C3%A4/versions/2",
        200,
        json!({"schema": a, "references": references, "id": 5}),
    );
    let b = r#"{"type":"enum","name":"B","namespace":"n","symbols":["X","Y"]}"#;
    double.answer("/subjects/b/versions/1", 200, json!({"schema": b}));
    let schema = double.registry().schema(1).await.unwrap();
    assert_eq!(decoded(&schema, b"\0\x02"), r#"{"a": {"b": "X"}, "b": "Y"}"#);
    assert_eq!(
        double.targets(),
        ["/schemas/ids/1", "/subjects/a%2F%C3%A4/versions/2", "/subjects/b/versions/1"]
    );
}

#[tokio::test]
async fn references_have_an_end() {
    let double = Double::start().await;
    // Each is of the one before, and the first of the last.
    let reference =
        |number: usize| json!([{"name": format!("r{number}"), "subject": "s", "version": number}]);
    for number in 0..=REFERENCES_MAX {
        let definition = json!({"schema": r#""int""#, "references": reference(number + 1)});
        double.answer(&format!("/subjects/s/versions/{number}"), 200, definition);
    }
    double.answer("/schemas/ids/1", 200, json!({"schema": r#""int""#, "references": reference(0)}));
    let error = double.registry().schema(1).await.unwrap_err();
    assert!(error.to_string().ends_with("it refers to more than 256 other schemas"), "{error}");
    assert!(!error.is_retryable());

    double.answer("/schemas/ids/2", 200, json!({"schema": r#""int""#, "references": reference(999)}));
    double.answer(
        "/subjects/s/versions/999",
        200,
        json!({"schema": r#""int""#, "references": reference(999)}),
    );
    assert!(double.registry().schema(2).await.is_ok());
}

#[tokio::test]
async fn what_passes_is_asked_again() {
    let double = Double::start().await;
    let refusals = [
        (500, "{}"),
        (503, "<html>"),
        (429, "{}"),
        (401, "{}"),
        (403, r#"{"error_code":40301}"#),
        (404, "<html>"),
    ];
    for (status, body) in refusals {
        double.answer("/schemas/ids/1", status, body);
    }
    double.answer("/schemas/ids/1", 200, "<html>a portal</html>");
    double.schema(1, r#""int""#);
    let registry = double.registry();
    for (status, _) in refusals {
        let error = registry.schema(1).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains(&status.to_string()), "{error}");
    }
    let error = registry.schema(1).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().ends_with("is 200 OK: not JSON"), "{error}");
    assert!(registry.schema(1).await.is_ok());

    let nobody = super::tests::registry(r#"schema_registry_url => "http://127.0.0.1:1""#);
    assert!(nobody.schema(1).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn what_stays_is_not_asked_again_for_a_while() {
    let double = Double::start().await;
    let registry = double.registry();
    for _ in 0..3 {
        let error = registry.schema(9).await.unwrap_err();
        assert!(!error.is_retryable());
        assert_eq!(error.to_string(), "the schema registry does not have /schemas/ids/9: Schema not found");
    }
    assert_eq!(double.targets().len(), 1);
    // Registered since then.
    double.schema(9, r#""int""#);
    tokio::time::pause();
    tokio::time::advance(cache::ABSENT_FOR + Duration::from_secs(1)).await;
    tokio::time::resume();
    assert!(registry.schema(9).await.is_ok());
}

#[tokio::test]
async fn schemas_that_can_not_be_used() {
    let double = Double::start().await;
    double.schema(1, "{");
    double.answer("/schemas/ids/2", 200, json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}));
    double.answer("/schemas/ids/3", 200, json!({"schema": "{}", "schemaType": "JSON"}));
    double.answer("/schemas/ids/4", 200, json!({"schema": "\"int\"", "references": [{"name": "x"}]}));
    double.answer("/schemas/ids/5", 200, json!({}));
    double.schema(6, r#""Unknown""#);
    let registry = double.registry();
    let reasons = [
        "the schema is not JSON: ",
        "it is of the type PROTOBUF; only AVRO can be read",
        "it is of the type JSON; only AVRO can be read",
        "one of its references lacks name, subject or version",
        "the registry's answer has no `schema`",
        "the type `Unknown` is defined nowhere",
    ];
    for (id, reason) in (1..).zip(reasons) {
        let error = registry.schema(id).await.unwrap_err();
        let start = format!("the schema {id} of the registry can't be used: {reason}");
        assert!(!error.is_retryable() && error.to_string().starts_with(&start), "{error}");
    }
}

#[tokio::test]
async fn the_oldest_schema_makes_room() {
    let cache = Cache::default();
    let schema = || async {
        let mut parser = SchemaParser::default();
        parser.add(r#""int""#).unwrap();
        Ok(Arc::new(parser.finish().unwrap()))
    };
    let fetches = std::cell::Cell::new(0);
    let count = || {
        fetches.set(fetches.get() + 1);
        schema()
    };
    for id in 0..=cache::SCHEMAS_MAX {
        cache.get(id as u32, count).await.unwrap();
    }
    cache.get(1, count).await.unwrap();
    assert_eq!(fetches.get(), cache::SCHEMAS_MAX + 1);
    cache.get(0, count).await.unwrap();
    assert_eq!(fetches.get(), cache::SCHEMAS_MAX + 2);
    // A flood of numbers that nobody registered takes no schema's place.
    let absent = || async { Err(RegistryError::Missing { path: String::new(), message: String::new() }) };
    for id in 0..=cache::ABSENT_MAX {
        cache.get(1_000_000 + id as u32, absent).await.unwrap_err();
    }
    cache.get(2, count).await.unwrap();
    assert_eq!(fetches.get(), cache::SCHEMAS_MAX + 2);
}

#[tokio::test]
async fn logins() {
    let double = Double::start().await;
    double.schema(1, r#""int""#);
    let host = double.address.strip_prefix("http://").unwrap();
    let key = r#"schema_registry_key => "key" schema_registry_secret => "s:cret""#;
    for (address, key) in [
        (format!("http://{host}/"), ""),
        (format!("http://user:p%40ss@{host}"), ""),
        (format!("http://{host}"), key),
        (format!("http://user:p%40ss@{host}"), key),
    ] {
        let registry = registry(&format!(r#"schema_registry_url => "{address}" {key}"#));
        assert!(!format!("{registry:?}").contains("p%40ss"));
        assert!(registry.schema(1).await.is_ok());
    }
    let sent: Vec<_> = double.seen().into_iter().map(|seen| seen.authorization).collect();
    let (user, key) = (Some("Basic dXNlcjpwQHNz".to_owned()), Some("Basic a2V5OnM6Y3JldA==".to_owned()));
    assert_eq!(sent, [None, user, key.clone(), key]);
}

#[tokio::test]
async fn through_a_proxy_and_below_a_path() {
    let proxy = Double::start().await;
    proxy.answer("http://registry.example:81/ccompat/v7/schemas/ids/1", 200, json!({"schema": "\"int\""}));
    let options = format!(
        r#"schema_registry_url => "http://registry.example:81/ccompat/v7/" schema_registry_proxy => "{}""#,
        proxy.address
    );
    assert!(registry(&options).schema(1).await.is_ok());
}

#[tokio::test]
async fn an_empty_proxy_is_none() {
    let double = Double::start().await;
    double.schema(1, r#""int""#);
    let options = format!(r#"schema_registry_url => "{}" schema_registry_proxy => """#, double.address);
    assert!(registry(&options).schema(1).await.is_ok());
    assert_eq!(double.targets(), ["/schemas/ids/1"]);
}

/// The store of another tool. Where OpenSSL is not installed there is none to try.
fn openssl(authority: &Authority, arguments: &str) -> bool {
    let mut command = Command::new("openssl");
    let command = command.current_dir(authority.folder()).args(arguments.split(' '));
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[tokio::test]
async fn stores_for_tls() {
    let authority = Authority::new();
    let client = authority.issue("client", &[]);
    let (certificate, key) = (client.certificate.display(), client.key.display());
    let export = "pkcs12 -export -passout pass:changeit";
    if !openssl(
        &authority,
        &format!("{export} -nokeys -in {} -out trust.p12", authority.certificate().display()),
    ) || !openssl(&authority, &format!("{export} -in {certificate} -inkey {key} -out own.p12"))
    {
        return;
    }
    let double = Double::start_with(Some(authority.server_asking(ClientAuthentication::Required))).await;
    double.schema(1, r#""int""#);
    let store = |part: &str, file: &str| {
        let path = authority.folder().join(file);
        format!(
            r#"schema_registry_ssl_{part}_location => "{}" schema_registry_ssl_{part}_password => "changeit"
               schema_registry_ssl_{part}_type => "PKCS12" "#,
            path.display()
        )
    };
    let url = format!(r#"schema_registry_url => "{}" "#, double.address);
    let (trust, own) = (store("truststore", "trust.p12"), store("keystore", "own.p12"));
    let schema = registry(&format!("{url}{trust}{own}")).schema(1).await;
    assert!(schema.is_ok(), "{schema:?}");
    // Without our certificate, and without trust.
    assert!(registry(&format!("{url}{trust}")).schema(1).await.unwrap_err().is_retryable());
    let other = Authority::new();
    let ours = format!("{export} -nokeys -in {} -out trust.p12", other.certificate().display());
    assert!(openssl(&other, &ours));
    let path = other.folder().join("trust.p12");
    let trust = format!(
        r#"schema_registry_ssl_truststore_location => "{}" schema_registry_ssl_truststore_password => "changeit""#,
        path.display()
    );
    let error = registry(&format!("{url}{trust} {own}")).schema(1).await.unwrap_err();
    assert!(
        error.to_string().starts_with("Schema registry service doesn't respond, error: 127.0.0.1"),
        "{error}"
    );
    let error = refused(&format!("{url}{}", trust.replace("changeit", "wrong")));
    assert!(error.contains("schema_registry_ssl_truststore_password: "), "{error}");
}

#[tokio::test]
async fn a_registry_whose_certificate_signs_itself_is_trusted_by_it() {
    let authority = Authority::new();
    let own = authority.self_signed("registry", &["127.0.0.1"]);
    let export = "pkcs12 -export -passout pass:changeit -nokeys -out trust.p12 -in";
    if !openssl(&authority, &format!("{export} {}", own.certificate.display())) {
        return;
    }
    let server = ServerTls { identity: own.identity(), ..ServerTls::default() };
    let double = Double::start_with(Some(server)).await;
    double.schema(1, r#""int""#);
    let schema = registry(&format!(
        r#"schema_registry_url => "{}" schema_registry_ssl_truststore_location => "{}"
           schema_registry_ssl_truststore_password => "changeit""#,
        double.address,
        authority.folder().join("trust.p12").display()
    ));
    let schema = schema.schema(1).await;
    assert!(schema.is_ok(), "{schema:?}");
}
