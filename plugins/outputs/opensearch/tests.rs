//! The output against a double: OpenSearch's options, any OpenSearch, and signatures that are checked.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use ferrostash_conf::OptionsDef as _;
use ferrostash_doubles::{Elasticsearch as Double, Signature};
use ferrostash_net::http_client::HttpRequest;
use ferrostash_plugin::testing::{Harness, OutputHarness, event};
use http::Method;
use reqsign_core::{Context, StaticEnv};
use serde_json::{Value, json};

use super::auth_type::{AuthType, AwsIam};
use super::credentials::{self, Http};
use super::signature::AwsSigner;
use crate::PLUGINS;
use crate::elasticsearch::profile::Signer;

const QUICK: &str = "retry_initial_interval => 0.01 retry_max_interval => 0.02 resurrect_delay => 0.1";

fn output(double: &Double, text: &str) -> OutputHarness {
    let text = format!("opensearch {{ hosts => '{}' {QUICK} {text} }}", double.url());
    Harness::new(PLUGINS).output(&text).unwrap()
}

fn refusal(text: &str) -> String {
    let block = format!("opensearch {{ {text} }}");
    Harness::new(PLUGINS).output(&block).map(|_| ()).unwrap_err().to_string()
}

async fn deliver(output: &mut OutputHarness, messages: &[&str]) {
    output.output.start(&output.context).await.unwrap();
    let events = messages.iter().map(|text| event(&json!({"message": text}).to_string())).collect();
    let batches = [output.batch(events)];
    let write = output.output.write(&batches, &output.context);
    tokio::time::timeout(Duration::from_secs(20), write).await.expect("not delivered in time").unwrap();
}

fn opensearch(version: &str) -> Value {
    json!({"version": {"number": version, "distribution": "opensearch"},
        "tagline": "The OpenSearch Project: https://opensearch.org/"})
}

#[tokio::test]
async fn options_have_the_names_and_defaults_of_the_plugin_for_logstash() {
    let double = Double::start();
    double.state().root = Some((200, opensearch("2.19.6")));
    let mut bare = output(&double, "ecs_compatibility => disabled");
    deliver(&mut bare, &["a"]).await;
    let bulk = &double.bulks()[0];
    assert_eq!(bulk.lines[0].0, json!({"index": {"_index": "logstash-2026.01.02"}}));
    assert!(!bulk.headers.contains_key("content-encoding"));
    assert!(!bulk.headers.contains_key("x-elastic-product-origin"));
    assert!(bulk.headers["user-agent"].ends_with("opensearch-output"));

    let text = "bulk_path => '/os/_bulk' index => 'i' action => create document_id => 'x' http_compression => true routing => 'r' \
                auth_type => { type => 'basic' user => 'me' password => 'secret' } pipeline => 'p'";
    deliver(&mut output(&double, text), &["b"]).await;
    let bulk = &double.bulks()[1];
    assert_eq!(bulk.target.split('?').next(), Some("/os/_bulk"));
    let place = json!({"_index": "i", "_id": "x", "routing": "r", "pipeline": "p"});
    assert_eq!(bulk.lines[0].0, json!({"create": place}));
    assert_eq!(bulk.headers["content-encoding"], "gzip");
    assert_eq!(bulk.headers["authorization"], "Basic bWU6c2VjcmV0");
}

#[tokio::test]
async fn bulk_requests_are_no_larger_than_they_shall_be() {
    let double = Double::start();
    deliver(&mut output(&double, "index => 'i'"), &["0"]).await;
    let one = double.bulks()[0].plain_len;
    let text = format!("index => 'i' target_bulk_bytes => {}", 3 * one - 1);
    deliver(&mut output(&double, &text), &["a", "b", "c"]).await;
    let sizes: Vec<_> = double.bulks().iter().map(|bulk| bulk.messages().len()).collect();
    assert_eq!(sizes, [1, 2, 1]);
    deliver(&mut output(&double, "index => 'i' target_bulk_bytes => 1"), &["d", "e"]).await;
    assert_eq!(double.kept(), ["0", "a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn dead_letters_name_opensearch() {
    let double = Double::start();
    double.state().refused.insert("b".into(), 400);
    let mut output = output(&double, "index => 'i'");
    deliver(&mut output, &["a", "b"]).await;
    let letters = output.dead_letters.all();
    assert!(
        letters[0].1.starts_with("Could not index event to OpenSearch. status: 400, action: "),
        "{letters:?}"
    );
}

#[tokio::test]
async fn whoever_answers_is_opensearch() {
    let disguised = json!({"version": {"number": "7.10.2"}, "tagline": "The OpenSearch Project: https://opensearch.org/"});
    let oss =
        json!({"version": {"number": "7.10.2", "build_flavor": "oss"}, "tagline": "You Know, for Search"});
    for root in [opensearch("1.3.20"), opensearch("2.19.6"), opensearch("3.1.0"), disguised, oss] {
        let double = Double::start();
        double.state().hides_product = true;
        double.state().root = Some((200, root.clone()));
        deliver(&mut output(&double, "index => 'i'"), &["a"]).await;
        // No document type, although some call themselves 7.
        assert_eq!(double.bulks()[0].lines[0].0, json!({"index": {"_index": "i"}}), "{root}");
        let asked: Vec<String> = double.state().seen.iter().map(|seen| seen.1.clone()).collect();
        assert!(asked.iter().all(|path| !path.contains("_license") && !path.contains("_ilm")), "{asked:?}");
    }
}

#[tokio::test]
async fn a_managed_cluster_has_no_front_page() {
    let double = Double::start();
    double.state().root = Some((404, json!({})));
    deliver(&mut output(&double, "index => 'i' default_server_major_version => 2"), &["a"]).await;
    assert_eq!(double.kept(), ["a"]);
    let mut unversioned = output(&double, "index => 'i'");
    let error = unversioned.output.start(&unversioned.context).await.unwrap_err().to_string();
    assert!(error.contains("`default_server_major_version`"), "{error}");
}

#[tokio::test]
async fn templates_are_legacy_unless_told_otherwise() {
    for (option, path, priority) in [
        ("", "/_template/logstash", Value::Null),
        ("legacy_template => false", "/_index_template/logstash", json!(10)),
        ("legacy_template => false template_name => 'a b'", "/_index_template/a%20b", json!(10)),
    ] {
        let double = Double::start();
        double.state().root = Some((200, opensearch("2.19.6")));
        deliver(&mut output(&double, &format!("ecs_compatibility => disabled {option}")), &["a"]).await;
        let seen = double.state().seen.clone();
        let (_, _, body) = seen.iter().find(|seen| seen.0 == "PUT" && seen.1 == path).unwrap();
        let template: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&template["version"], &template["priority"]), (&json!(60001), &priority), "{path}");
    }
}

/// Of logstash-output-opensearch 2.0.
const OPTIONS: &str = "action auth_type bulk_path cacert custom_headers default_server_major_version doc_as_upsert \
    document_id document_type failure_type_logging_whitelist healthcheck_path hosts http_compression index join_field \
    keystore keystore_password legacy_template manage_template parameters parent password path pipeline pool_max \
    pool_max_per_route proxy resurrect_delay retry_initial_interval retry_max_interval retry_on_conflict routing script \
    script_lang script_type script_var_name scripted_upsert sniffing sniffing_delay sniffing_path ssl \
    ssl_certificate_verification target_bulk_bytes template template_name template_overwrite timeout tls_certificate \
    tls_key truststore truststore_password upsert user validate_after_inactivity version version_type";

#[test]
fn it_has_the_options_of_the_plugin_for_logstash() {
    let mut names: Vec<_> =
        super::options::OpenSearchOptions::OPTIONS.iter().map(|option| option.name).collect();
    names.sort_unstable();
    assert_eq!(names.join(" "), OPTIONS);
}

#[test]
fn contradictions_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (text, part) in [
        ("cacert => 'FILE' truststore => 'FILE'", r#"Use either "cacert" or "truststore""#),
        ("tls_certificate => 'FILE'", r#""tls_key" is missing"#),
        ("tls_key => 'FILE'", r#""tls_certificate" is missing"#),
        ("document_type => 'a'", "OpenSearch 2 refuses documents with types"),
        ("target_bulk_bytes => 0", "target_bulk_bytes"),
        ("data_stream => true", "data_stream"),
        ("action => 'update'", "needs a document_id"),
        ("auth_type => { }", "`type` is missing"),
        ("auth_type => { type => 'kerberos' }", "`type` is `basic` or `aws_iam`"),
        ("auth_type => { type => 'basic' user => 'a' }", "`basic` needs `user` and `password`"),
        ("auth_type => { type => 'aws_iam' regoin => 'a' }", "did you mean `region`?"),
        ("auth_type => { type => 'aws_iam' aws_access_key_id => 'a' }", "belong together"),
        ("auth_type => { type => 'aws_iam' } user => 'a' password => 'b'", r#"Use either "user""#),
    ] {
        let error = refusal(&text.replace("FILE", file.path().to_str().unwrap()));
        assert!(error.contains(part), "{text}: {error}");
    }
}

fn iam(keys: Option<(&str, &str)>) -> AwsIam {
    AwsIam {
        keys: keys.map(|(id, secret)| (id.to_owned(), ferrostash_conf::Password::new(secret))),
        session_token: None,
        profile: None,
        region: "eu-central-1".into(),
        service: "es".into(),
        metadata_timeout: Duration::from_secs(5),
        metadata_retries: 0,
    }
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", AuthType::AwsIam(iam(Some(("AKID", "s3cret")))));
    assert!(shown.contains("AKID") && !shown.contains("s3cret"), "{shown}");
}

fn signature(service: &str, token: Option<&str>) -> Signature {
    Signature {
        key: "AKID".into(),
        secret: "s3cret".into(),
        token: token.map(str::to_owned),
        region: "eu-central-1".into(),
        service: service.into(),
    }
}

#[tokio::test]
async fn every_request_is_signed_as_it_is_sent() {
    let keys = "aws_access_key_id => 'AKID' aws_secret_access_key => 's3cret' region => 'eu-central-1'";
    for (service, token) in [("es", None), ("es", Some("t0ken")), ("aoss", None)] {
        for more in ["", "http_compression => true", "parameters => { 'b' => 'x%20y,*' 'a' => '1' }"] {
            let double = Double::start();
            double.state().root = Some((200, opensearch("2.19.6")));
            double.state().signature = Some(signature(service, token));
            let token = token.map(|token| format!("session_token => '{token}'")).unwrap_or_default();
            let auth = format!("{{ type => 'aws_iam' service_name => '{service}' {keys} {token} }}");
            // The name of the template has to be encoded in the path.
            let text = format!("index => 'i' template_name => 'a b*' ecs_compatibility => disabled {more}");
            let mut output = output(&double, &format!("auth_type => {auth} {text}"));
            let many: Vec<String> = (0..3000).map(|n| format!("{n} {}", "x".repeat(40))).collect();
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            deliver(&mut output, &many).await;
            let state = double.state();
            assert_eq!(state.forged, Vec::<String>::new());
            assert_eq!(state.kept.len(), many.len());
            assert!(state.seen.iter().any(|seen| seen.0 == "PUT"), "{:?}", state.seen);
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_an_error_at_the_start() {
    let double = Double::start();
    double.state().signature = Some(signature("es", None));
    let keys = "aws_access_key_id => 'AKID' aws_secret_access_key => 'wrong' region => 'eu-central-1'";
    let mut output = output(&double, &format!("auth_type => {{ type => 'aws_iam' {keys} }}"));
    let error = output.output.start(&output.context).await.unwrap_err().to_string();
    assert_eq!(error, "Could not read OpenSearch. Please check the privileges");
    assert!(double.state().forged.iter().any(|fault| fault.ends_with("another signature")));
}

fn environment(iam: &AwsIam, variables: &[(&str, &str)]) -> Context {
    let envs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let env = StaticEnv { home_dir: None, envs };
    Context::new().with_env(env).with_file_read(credentials::Files).with_http_send(Http::new(iam).unwrap())
}

/// The key that signs in this environment, and the token that goes with it.
async fn found(iam: &AwsIam, variables: &[(&str, &str)]) -> Result<(String, Option<String>), String> {
    let signer = AwsSigner::with_context(iam, environment(iam, variables));
    let request = HttpRequest::new(Method::GET, "https://os1/").unwrap();
    let signed = signer.sign(request).await?;
    let text = |name: &str| signed.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let authorization = text("authorization").unwrap();
    let key = authorization.split("Credential=").nth(1).unwrap().split('/').next().unwrap().to_owned();
    Ok((key, text("x-amz-security-token")))
}

#[tokio::test]
async fn keys_are_looked_for_in_the_usual_places() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let text = "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n\
                [shipping]\naws_access_key_id = SHIP\naws_secret_access_key = s\naws_session_token = t\n";
    std::fs::write(&file, text).unwrap();
    let file = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())];
    let key = |id: &str, token: Option<&str>| Ok((id.to_owned(), token.map(str::to_owned)));

    assert_eq!(found(&iam(Some(("OPTION", "s"))), &file).await, key("OPTION", None));
    let variables =
        [("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "e"), file[0]];
    assert_eq!(found(&iam(None), &variables).await, key("ENV", Some("e")));
    assert_eq!(found(&iam(None), &file).await, key("FILE", None));
    let shipping = AwsIam { profile: Some("shipping".into()), ..iam(None) };
    assert_eq!(found(&shipping, &file).await, key("SHIP", Some("t")));

    let container = metadata(&[("GET /v2/credentials", keys("TASK"))]);
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{container}/v2/credentials"))];
    assert_eq!(found(&iam(None), &[(variables[0].0, &variables[0].1)]).await, key("TASK", Some("m")));
    let instance = metadata(&[
        ("PUT /latest/api/token", "imds".into()),
        ("GET /latest/meta-data/iam/security-credentials/", "role".into()),
        ("GET /latest/meta-data/iam/security-credentials/role", keys("ROLE")),
    ]);
    let instance = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.as_str())];
    assert_eq!(found(&iam(None), &instance).await, key("ROLE", Some("m")));
    assert!(found(&iam(None), &[("AWS_EC2_METADATA_DISABLED", "true")]).await.is_err());
}

fn keys(id: &str) -> String {
    json!({"Code": "Success", "AccessKeyId": id, "SecretAccessKey": "s", "Token": "m", "Expiration": "2099-01-01T00:00:00Z"})
        .to_string()
}

/// What container or instance answer, by method and path; gives the address.
fn metadata(answers: &[(&'static str, String)]) -> String {
    let answers: HashMap<&str, String> = answers.iter().cloned().collect();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let lines: Vec<String> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let Some(call) = lines.first().and_then(|line| line.strip_suffix(" HTTP/1.1")) else { continue };
            // Instances are only asked with the token that they have given.
            let has_token =
                !call.starts_with("GET /latest") || lines.iter().any(|line| line.ends_with(": imds"));
            let answer = answers.get(call).filter(|_| has_token);
            let (status, body) = answer.map_or(("404 X", ""), |body| ("200 OK", body));
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            (&stream).write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    address
}
