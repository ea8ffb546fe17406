//! Encryption and login with a real Kafka: through each listener a process writes events and reads them back.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferrostash_doubles::Elasticsearch;
use ferrostash_tier::Kafka;
use serde_json::{Value, json};

use crate::harness::Start;

/// What a process of these options reads of what another one has written.
fn round_trip(name: &str, address: &str, options: &str) {
    let generate = "input { generator { count => 20 message => 'x' } }";
    let write = format!(
        "{generate} output {{ kafka {{ bootstrap_servers => '{address}' topic_id => '{name}' acks => all {options}
           codec => plain {{ format => '%{{[event][sequence]}}' }} }} }}"
    );
    let written = Start::pipeline(&["-e"]).arg(write).finish();
    assert!(!written.said().contains("ERROR"), "{name}: {}", written.said());
    let read = format!(
        "input {{ kafka {{ bootstrap_servers => '{address}' topics => ['{name}'] group_id => '{name}'
           auto_offset_reset => earliest {options} }} }} output {{ stdout {{ codec => json_lines }} }}"
    );
    let mut process = Start::pipeline(&["-e"]).arg(read).start();
    let mut numbers: Vec<u64> = process
        .events_at_least(20)
        .iter()
        .map(|event| event["message"].as_str().unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..20), "{name}: {numbers:?}");
    process.stop();
}

/// A token that nobody has signed, which is what Kafka believes unless it is told whom to trust.
fn token(owner: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let part = |claims: Value| URL_SAFE_NO_PAD.encode(claims.to_string());
    let claims = json!({"sub": owner, "iat": now, "exp": now + 600});
    format!("{}.{}.", part(json!({"alg": "none"})), part(claims))
}

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn events_go_through_tls_and_every_login() {
    let kafka = Kafka::start(1, &["--sasl", "--tls"]).unwrap();
    let said = |key: &str| kafka.announced(key).unwrap().to_owned();
    let (user, password, store_password) = (said("USER"), said("PASSWORD"), said("STORE_PASSWORD"));
    let jaas = |module: &str| {
        format!(
            r#"sasl_jaas_config => 'org.apache.kafka.common.security.{module} required username="{user}" password="{password}";'"#
        )
    };
    let plain = jaas("plain.PlainLoginModule");
    let scram = jaas("scram.ScramLoginModule");
    let trust = |kind: &str| {
        let store = said(&format!("TRUSTSTORE_{}", kind.replace("PKCS", "P")));
        format!(
            "ssl_truststore_type => {kind} ssl_truststore_location => '{store}' ssl_truststore_password => '{store_password}'"
        )
    };
    let pem = format!("ssl_truststore_type => PEM ssl_truststore_location => '{}'", said("CA"));
    let identity = format!(
        "ssl_keystore_type => PKCS12 ssl_keystore_location => '{}' ssl_keystore_password => '{store_password}'",
        said("CLIENT_P12")
    );
    let (sasl, tls, both) = (said("SASL_ADDRESS"), said("TLS_ADDRESS"), said("SASL_TLS_ADDRESS"));
    let tokens = Elasticsearch::start();
    tokens.state().bodies.insert("/token".to_owned(), json!({"access_token": token("test")}));
    let bearer = format!(
        r#"sasl_mechanism => OAUTHBEARER sasl_oauthbearer_token_endpoint_url => '{}/token' sasl_jaas_config =>
           'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId="id" clientSecret="{password}";'"#,
        tokens.url()
    );
    for (name, address, options) in [
        ("plain", &sasl, format!("security_protocol => SASL_PLAINTEXT sasl_mechanism => PLAIN {plain}")),
        (
            "scram",
            &sasl,
            format!("security_protocol => SASL_PLAINTEXT sasl_mechanism => 'SCRAM-SHA-512' {scram}"),
        ),
        ("token", &sasl, format!("security_protocol => SASL_PLAINTEXT {bearer}")),
        ("tls", &tls, format!("security_protocol => SSL {} {identity}", trust("JKS"))),
        (
            "both",
            &both,
            format!("security_protocol => SASL_SSL sasl_mechanism => 'SCRAM-SHA-256' {scram} {pem}"),
        ),
        (
            "p12",
            &both,
            format!("security_protocol => SASL_SSL sasl_mechanism => PLAIN {plain} {}", trust("PKCS12")),
        ),
    ] {
        round_trip(name, address, &options);
    }
    let wrong = plain.replace(&password, "wrong");
    let config = format!(
        "input {{ kafka {{ bootstrap_servers => '{sasl}' topics => ['plain'] group_id => 'wrong' security_protocol => SASL_PLAINTEXT
           sasl_mechanism => PLAIN {wrong} }} }} output {{ sink {{}} }}"
    );
    let mut process = Start::pipeline(&["-e"]).arg(config).start();
    process.wait_for("Authentication");
    assert!(!process.said().contains("wrong\""), "the password is in the log");
    process.stop();
}
