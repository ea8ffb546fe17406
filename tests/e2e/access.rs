//! TLS, users and API keys, with an Elasticsearch that asks for them.

use serde_json::json;

use crate::pipeline::Pipeline;
use crate::service::{Kind, Service};

#[test]
#[ignore = "needs java and maven: cargo test --test e2e -- --ignored"]
fn elasticsearch_with_tls_and_keys() {
    let service = Service::start(Kind::Elasticsearch, &["--tls"]);
    let key = service.call("POST", "/_security/api_key", json!({"name": "shipper"}));
    let (id, secret) = (key["id"].as_str().unwrap(), key["api_key"].as_str().unwrap());
    let (user, password) = (service.announced("USER"), service.announced("PASSWORD"));
    let client = format!(
        r#"ssl_certificate => "{}" ssl_key => "{}""#,
        service.announced("CLIENT_CERT"),
        service.announced("CLIENT_KEY")
    );
    let ways = [
        ("by-user", format!(r#"user => "{user}" password => "{password}""#)),
        ("by-key", format!(r#"api_key => "{id}:{secret}""#)),
        ("by-encoded-key", format!(r#"api_key => {}"#, key["encoded"])),
        ("with-certificate", format!(r#"api_key => "{id}:{secret}" {client}"#)),
    ];
    let trust = format!(r#"ssl_certificate_authorities => "{}""#, service.announced("CA"));
    for (index, way) in &ways {
        let output = service.output(&format!(r#"index => "{index}" manage_template => false {trust} {way}"#));
        Pipeline::start(&output, (0..100).map(|n| json!({"n": n}))).finish(100);
        assert_eq!(service.count(index), 100, "{index}");
    }

    let refused = |options: &str, words: &str| {
        let output = service.output(&format!(r#"index => "refused" manage_template => false {options}"#));
        Pipeline::start(&output, [json!({"n": 1})]).wait_for(words);
    };
    let wrong = format!(r#"{trust} user => "{user}" password => "wrong""#);
    refused(&wrong, "Could not read Elasticsearch. Please check the credentials");
    refused(&format!(r#"{trust} api_key => "{id}:wrong""#), "Please check the credentials");
    // Without `trust`, it is not believed.
    refused(&ways[0].1, "the certificate is not signed by a trusted authority");
    assert_eq!(service.count("refused"), 0);
}
