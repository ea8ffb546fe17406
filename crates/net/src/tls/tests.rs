//! Options against real handshakes on loopback, and the words of each error.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::dial::{DialError, DialTls, Endpoint, dial};
use crate::stream::ByteStream;
use crate::testing::Authority;

const LIMIT: Duration = Duration::from_secs(5);

/// One connection; the peer as the server and as the client saw it, or what the client was told.
async fn connect(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: &str,
) -> Result<(TlsPeer, TlsPeer), String> {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new("127.0.0.1", socket.local_addr().unwrap().port());
    let served = tokio::spawn(async move {
        let (tcp, _) = socket.accept().await.unwrap();
        let tls = TlsAcceptor::from(server).accept(tcp).await.map_err(|error| error.to_string())?;
        let mut stream = ByteStream::TlsServer(Box::new(tls));
        stream.write_all(b"welcome").await.unwrap();
        stream.shutdown().await.unwrap();
        Ok::<_, String>(stream.tls_peer().unwrap())
    });
    let tls = DialTls { config: client, server_name: Some(name.to_owned()) };
    let mut stream = match dial(&endpoint, Some(&tls), LIMIT).await {
        Ok(stream) => stream,
        Err(DialError::Tls { reason, .. }) => return Err(reason),
        Err(other) => panic!("{other}"),
    };
    let mut text = String::new();
    // With TLS 1.3 a client learns only here that its certificate was refused.
    stream.read_to_string(&mut text).await.map_err(|error| error.to_string())?;
    assert_eq!(text, "welcome");
    Ok((served.await.unwrap()?, stream.tls_peer().unwrap()))
}

async fn try_both(server: &ServerTls, client: &ClientTls, name: &str) -> Result<(TlsPeer, TlsPeer), String> {
    connect(server.build().unwrap(), client.build().unwrap(), name).await
}

#[tokio::test]
async fn verification_modes_check_chain_and_name_as_they_say() {
    use VerificationMode::{Certificate, Full, None};
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = ours.server();
    for (mode, client, name, accepted) in [
        (Full, ours.client(), "localhost", true),
        (Full, ours.client(), "127.0.0.1", true),
        (Full, ours.client(), "elsewhere.example", false),
        (Full, theirs.client(), "localhost", false),
        (Certificate, ours.client(), "elsewhere.example", true),
        (Certificate, theirs.client(), "localhost", false),
        (None, theirs.client(), "elsewhere.example", true),
    ] {
        let client = ClientTls { verification_mode: mode, ..client };
        let outcome = try_both(&server, &client, name).await;
        assert_eq!(outcome.is_ok(), accepted, "{mode:?} {name}: {outcome:?}");
    }
    let wrong_name = try_both(&server, &ours.client(), "elsewhere.example").await.unwrap_err();
    assert!(wrong_name.starts_with("the certificate is for another host"), "{wrong_name}");
    let wrong_authority = try_both(&server, &theirs.client(), "localhost").await.unwrap_err();
    assert!(wrong_authority.ends_with("though one of the same name and with another key is trusted"));
    let unrelated = ClientTls {
        trust: Trust::pem(ours.self_signed("unrelated", &[]).certificate),
        ..ClientTls::default()
    };
    let unknown = try_both(&server, &unrelated, "localhost").await.unwrap_err();
    assert!(
        unknown.ends_with("not signed by a trusted authority (`ssl_certificate_authorities`)"),
        "{unknown}"
    );
}

#[tokio::test]
async fn clients_are_asked_for_a_certificate_as_the_option_says() {
    use ClientAuthentication::{None, Optional, Required};
    let (ours, theirs) = (Authority::new(), Authority::new());
    let stranger = ClientTls { identity: theirs.client_as("stranger").identity, ..ours.client() };
    for (asked, client, outcome) in [
        (None, ours.client_as("shipper"), Ok(false)),
        (None, stranger.clone(), Ok(false)),
        (Optional, ours.client(), Ok(false)),
        (Optional, ours.client_as("shipper"), Ok(true)),
        (Optional, stranger.clone(), Err(())),
        (Required, ours.client(), Err(())),
        (Required, ours.client_as("shipper"), Ok(true)),
        (Required, stranger, Err(())),
    ] {
        for protocol in ["TLSv1.2", "TLSv1.3"] {
            let client = ClientTls { supported_protocols: vec![protocol.to_owned()], ..client.clone() };
            let got = try_both(&ours.server_asking(asked), &client, "localhost").await;
            let subject = got.map(|(client, _)| client.subject);
            let known = subject.clone().map(|subject| subject.is_some()).map_err(|_| ());
            assert_eq!(known, outcome, "{asked:?} {protocol} {subject:?}");
            if let Ok(Some(subject)) = subject {
                assert_eq!(subject, r"CN=shipper,O=Acme\, Inc.");
            }
        }
    }
}

#[tokio::test]
async fn protocol_and_cipher_are_negotiated_and_named_as_java_names_them() {
    let authority = Authority::new();
    let suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_owned();
    let server = ServerTls {
        supported_protocols: vec!["TLSv1.2".to_owned()],
        cipher_suites: vec![suite.clone()],
        ..authority.server()
    };
    let (_, seen) = try_both(&server, &authority.client(), "localhost").await.unwrap();
    assert_eq!((seen.protocol, seen.cipher), ("TLSv1.2".to_owned(), suite));
    assert_eq!(seen.subject.as_deref(), Some(r"CN=localhost,O=Acme\, Inc."));

    let (_, seen) = try_both(&authority.server(), &authority.client(), "localhost").await.unwrap();
    assert_eq!(seen.protocol, "TLSv1.3");
    assert!(
        seen.cipher.starts_with("TLS_AES_") || seen.cipher.starts_with("TLS_CHACHA20_"),
        "{}",
        seen.cipher
    );

    let newer = ClientTls { supported_protocols: vec!["TLSv1.3".to_owned()], ..authority.client() };
    assert!(try_both(&server, &newer, "localhost").await.is_err());
}

#[tokio::test]
async fn a_fingerprint_trusts_the_chain_that_leads_to_it() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut server = ours.server();
    server.identity.extra_chain = vec![ours.certificate()];
    let client =
        |fingerprint: String| ClientTls { ca_trusted_fingerprints: vec![fingerprint], ..theirs.client() };

    assert!(try_both(&server, &client(ours.fingerprint()), "localhost").await.is_ok());
    assert!(try_both(&server, &client(ours.fingerprint().to_lowercase()), "127.0.0.1").await.is_ok());
    let name = try_both(&server, &client(ours.fingerprint()), "elsewhere.example").await.unwrap_err();
    assert!(name.contains("another host"), "{name}");
    assert!(try_both(&server, &client(theirs.fingerprint()), "localhost").await.is_err());

    // Presenting the authority's public certificate is not enough: it must have signed.
    let mut imposter = theirs.server();
    imposter.identity.extra_chain = vec![ours.certificate()];
    let nobody = ClientTls {
        ca_trusted_fingerprints: vec![ours.fingerprint()],
        trust: Trust::pem(ours.issue("unrelated", &[]).certificate),
        ..ClientTls::default()
    };
    assert!(try_both(&imposter, &nobody, "localhost").await.is_err());
}

#[tokio::test]
async fn a_listed_certificate_is_trusted_as_it_is() {
    let authority = Authority::new();
    let own = authority.self_signed("localhost", &["localhost"]);
    let shipper = authority.self_signed("shipper", &[]);
    let server = ServerTls {
        identity: own.identity(),
        trust: Trust::pem(&shipper.certificate),
        client_authentication: ClientAuthentication::Required,
        ..ServerTls::default()
    };
    let client = ClientTls {
        identity: shipper.identity(),
        trust: Trust::pem(&own.certificate),
        ..ClientTls::default()
    };
    assert!(try_both(&server, &client, "localhost").await.is_ok());
    assert!(try_both(&server, &client, "elsewhere.example").await.is_err());
}

#[tokio::test]
async fn a_common_name_counts_when_there_are_no_alternative_names() {
    let authority = Authority::new();
    let server = |name: &str, alternatives: &[&str]| ServerTls {
        identity: authority.issue(name, alternatives).identity(),
        ..ServerTls::default()
    };
    assert!(try_both(&server("es1.example", &[]), &authority.client(), "ES1.example").await.is_ok());
    assert!(try_both(&server("*.example", &[]), &authority.client(), "es1.example").await.is_ok());
    assert!(try_both(&server("*.example", &[]), &authority.client(), "a.es1.example").await.is_err());
    assert!(
        try_both(&server("es1.example", &["es2.example"]), &authority.client(), "es1.example").await.is_err()
    );
}

/// A server with the given key file beside a fresh certificate.
fn with_key(authority: &Authority, key: impl FnOnce(&crate::testing::Issued) -> String) -> ServerTls {
    let issued = authority.issue("localhost", &["localhost"]);
    std::fs::write(&issued.key, key(&issued)).unwrap();
    ServerTls { identity: issued.identity(), ..ServerTls::default() }
}

fn refusal(server: &ServerTls) -> String {
    server.build().unwrap_err().to_string()
}

#[tokio::test]
async fn an_encrypted_key_needs_its_passphrase() {
    let authority = Authority::new();
    let mut server = with_key(&authority, |issued| issued.encrypted_key_pem("open sesame"));
    assert!(refusal(&server).ends_with("encrypted: set `ssl_key_passphrase`"));
    server.identity.key_passphrase = Some("open barley".into());
    let error = refusal(&server);
    assert!(error.starts_with("`ssl_key` (/"), "{error}");
    assert!(error.ends_with("localhost.key): wrong passphrase (`ssl_key_passphrase`)"), "{error}");
    server.identity.key_passphrase = Some("open sesame".into());
    assert!(try_both(&server, &authority.client(), "localhost").await.is_ok());
}

#[test]
fn an_error_names_option_file_and_reason() {
    let authority = Authority::new();
    let folder = authority.folder().to_owned();
    let file = |name: &str, content: &str| {
        std::fs::write(folder.join(name), content).unwrap();
        folder.join(name)
    };
    let good = authority.issue("good", &["localhost"]);
    let server = |certificate: PathBuf, key: PathBuf| ServerTls {
        identity: Identity::pem(certificate, key),
        ..ServerTls::default()
    };
    let shown = |path: &Path| path.display().to_string();

    let absent = folder.join("absent.crt");
    let error = refusal(&server(absent.clone(), good.key.clone()));
    assert_eq!(error, format!("`ssl_certificate` ({}): no such file", shown(&absent)));

    let error = refusal(&server(folder.clone(), good.key.clone()));
    assert!(error.contains("can't be read: "), "{error}");

    let text = file("text.pem", "not a certificate");
    let error = refusal(&server(text.clone(), good.key.clone()));
    assert_eq!(
        error,
        format!("`ssl_certificate` ({}): holds no certificate (neither PEM nor DER)", shown(&text))
    );
    let error = refusal(&server(good.certificate.clone(), text.clone()));
    assert_eq!(error, format!("`ssl_key` ({}): holds no private key in PEM form", shown(&text)));

    let other = authority.issue("other", &[]);
    let error = refusal(&server(good.certificate.clone(), other.key.clone()));
    let expected = format!("the key does not match the certificate {}", shown(&good.certificate));
    assert_eq!(error, format!("`ssl_key` ({}): {expected}", shown(&other.key)));

    let expired = authority.issue_expired("expired", &[]);
    let error = refusal(&server(expired.certificate.clone(), expired.key.clone()));
    assert!(error.contains(r"the certificate of CN=expired,O=Acme\, Inc. expired on Jan  1"), "{error}");

    let old =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----\n";
    let error = refusal(&server(good.certificate.clone(), file("old.key", old)));
    assert!(error.contains("openssl pkcs8 -topk8"), "{error}");
}

#[test]
fn options_that_need_or_exclude_each_other_say_so() {
    let authority = Authority::new();
    assert_eq!(refusal(&ServerTls::default()), "`ssl_enabled`: needs `ssl_certificate`");
    let mut server = authority.server();
    server.client_authentication = ClientAuthentication::Required;
    assert_eq!(refusal(&server), "`ssl_client_authentication`: needs `ssl_certificate_authorities`");
    server.identity.keystore = Some(Store { path: "x.p12".into(), password: None, kind: None });
    assert_eq!(refusal(&server), "`ssl_certificate`: can't be used together with `ssl_keystore_path`");
    server.identity = Identity { certificate: Some(authority.certificate()), ..Identity::default() };
    assert_eq!(refusal(&server), "`ssl_certificate`: needs `ssl_key`");

    let client = ClientTls { ca_trusted_fingerprints: vec!["A1:B2".to_owned()], ..authority.client() };
    let error = client.build().unwrap_err().to_string();
    assert!(error.starts_with("`ca_trusted_fingerprint`: `A1:B2` is not a SHA-256 fingerprint"), "{error}");
}

/// The files of other tools. Where OpenSSL is not installed there is nothing to compare with.
fn openssl(folder: &Path, arguments: &str) -> bool {
    let run = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output();
    run.is_ok_and(|run| {
        assert!(run.status.success(), "{arguments}: {}", String::from_utf8_lossy(&run.stderr));
        true
    })
}

#[tokio::test]
async fn keys_in_the_forms_that_openssl_writes_are_read() {
    let authority = Authority::new();
    let folder = authority.folder();
    if !openssl(folder, "version") {
        return;
    }
    let request = "req -x509 -nodes -days 2 -subj /CN=localhost -newkey";
    assert!(openssl(folder, &format!("{request} rsa:2048 -keyout rsa8.key -out rsa.crt")));
    assert!(openssl(folder, "rsa -traditional -in rsa8.key -out rsa1.key"));
    assert!(openssl(folder, "pkcs8 -topk8 -in rsa8.key -passout pass:abc -out rsa-aes.key"));
    assert!(openssl(folder, "pkcs8 -topk8 -v2 des3 -in rsa8.key -passout pass:abc -out rsa-des3.key"));
    assert!(openssl(
        folder,
        &format!("{request} ec -pkeyopt ec_paramgen_curve:P-256 -keyout ec8.key -out ec.crt")
    ));
    assert!(openssl(folder, "ec -in ec8.key -out ec1.key"));
    assert!(openssl(folder, "x509 -in ec.crt -outform der -out ec.der"));

    for (certificate, key) in [
        ("rsa.crt", "rsa8.key"),
        ("rsa.crt", "rsa1.key"),
        ("rsa.crt", "rsa-aes.key"),
        ("rsa.crt", "rsa-des3.key"),
        ("ec.crt", "ec8.key"),
        ("ec.crt", "ec1.key"),
        ("ec.der", "ec8.key"),
    ] {
        let certificate = folder.join(certificate);
        let mut identity = Identity::pem(&certificate, folder.join(key));
        identity.key_passphrase = Some("abc".into());
        let server = ServerTls { identity, ..ServerTls::default() };
        let client = ClientTls { trust: Trust::pem(&certificate), ..ClientTls::default() };
        let outcome = try_both(&server, &client, "localhost").await;
        assert!(outcome.is_ok(), "{key}: {outcome:?}");
    }
}

#[tokio::test]
async fn stores_in_the_forms_that_openssl_writes_are_read() {
    let authority = Authority::new();
    let folder = authority.folder();
    if !openssl(folder, "version") {
        return;
    }
    authority.issue("localhost", &["localhost"]);
    let export = "pkcs12 -export -passout pass:changeit";
    assert!(openssl(
        folder,
        &format!("{export} -in localhost.crt -inkey localhost.key -certfile ca.crt -out id.p12")
    ));
    assert!(openssl(folder, &format!("{export} -nokeys -in ca.crt -out trust.p12")));
    let store = |name: &str, password: Option<&str>| Store {
        path: folder.join(name),
        password: password.map(Into::into),
        kind: Some(StoreKind::Pkcs12),
    };
    let server = |store| ServerTls {
        identity: Identity { keystore: Some(store), ..Identity::default() },
        ..ServerTls::default()
    };
    let client = |store| ClientTls {
        trust: Trust { truststore: Some(store), ..Trust::default() },
        ..ClientTls::default()
    };

    let (id, trust) = (store("id.p12", Some("changeit")), store("trust.p12", Some("changeit")));
    assert!(try_both(&server(id), &client(trust), "localhost").await.is_ok());

    let error = refusal(&server(store("id.p12", Some("wrong"))));
    assert!(error.starts_with("`ssl_keystore_path` (/"), "{error}");
    assert!(error.ends_with("id.p12): wrong passphrase (`ssl_keystore_password`)"), "{error}");
    let error = client(store("trust.p12", None)).build().unwrap_err().to_string();
    assert!(error.ends_with("encrypted: set `ssl_truststore_password`"), "{error}");
    let error = client(store("id.p12", Some("changeit"))).build().unwrap_err().to_string();
    assert!(error.ends_with("holds no trusted certificate"), "{error}");
    let error = refusal(&server(store("trust.p12", Some("changeit"))));
    assert!(error.ends_with("holds no private key with its certificate"), "{error}");
}

#[test]
fn the_old_jks_format_is_refused_by_name() {
    let authority = Authority::new();
    let path = authority.folder().join("old.jks");
    std::fs::write(&path, [0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2]).unwrap();
    let keystore = Some(Store { path, password: Some("x".into()), kind: Some(StoreKind::Jks) });
    let server = ServerTls { identity: Identity { keystore, ..Identity::default() }, ..ServerTls::default() };
    assert!(refusal(&server).contains("old JKS format, which is not supported"));
}
