use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("client/security/testdata").join(name)
}

fn trust(name: &str, kind: Option<&str>, password: Option<&str>) -> Result<usize, String> {
    let password = password.map(Password::new);
    match trusted(&file(name), kind, password.as_ref()) {
        Ok(found) => {
            let issued = certificates_of("client.crt");
            assert_eq!(found.first(), issued.first(), "{name}");
            Ok(found.len())
        }
        Err(error) => Err(format!("{:?}: {error}", error.part())),
    }
}

fn certificates_of(name: &str) -> Vec<CertificateDer<'static>> {
    pem::certificates(&std::fs::read(file(name)).unwrap()).unwrap()
}

fn own(name: &str, store: Option<&str>, key: Option<&str>) -> Result<Identity, String> {
    let (store, key) = (store.map(Password::new), key.map(Password::new));
    identity(&file(name), None, store.as_ref(), key.as_ref())
        .map_err(|error| format!("{:?}: {error}", error.part()))
}

#[test]
fn truststores_of_all_types_hold_the_certificate() {
    for (name, password) in
        [("trust.jks", Some("changeit")), ("trust.p12", Some("changeit")), ("client.crt", None)]
    {
        assert_eq!(trust(name, None, password), Ok(1), "{name}");
    }
    assert_eq!(trust("trust.jks", Some("jks"), Some("changeit")), Ok(1));
    // Java reads either format under either name.
    assert_eq!(trust("trust.p12", Some("JKS"), Some("changeit")), Ok(1));
    assert_eq!(trust("trust.jks", Some("PKCS12"), Some("changeit")), Ok(1));
    assert_eq!(trust("client.crt", Some("PEM"), None), Ok(1));
}

#[test]
fn a_jks_truststore_needs_no_password_as_in_java() {
    assert_eq!(trust("trust.jks", None, None), Ok(1));
    assert_eq!(trust("trust.p12", None, None).unwrap_err(), "Location: the store needs a password");
}

#[test]
fn the_own_certificate_of_a_key_is_trusted_as_in_java() {
    assert_eq!(trust("client.jks", None, Some("changeit")), Ok(1));
    let password = Password::new("changeit");
    assert_eq!(trusted(&file("client.p12"), None, Some(&password)).unwrap().len(), 1);
}

#[test]
fn what_is_wrong_with_a_truststore_is_said() {
    let wrong = "Password: the password is wrong, or the file is damaged";
    assert_eq!(trust("trust.jks", None, Some("wrong")).unwrap_err(), wrong);
    assert_eq!(trust("trust.jks", None, Some("")).unwrap_err(), wrong);
    assert_eq!(trust("trust.p12", None, Some("wrong")).unwrap_err(), wrong);
    assert_eq!(trust("none.jks", None, None).unwrap_err(), "Location: there is no such file");
    assert_eq!(trust("trust.jks", Some("BKS"), None).unwrap_err(), "Type: `BKS` is none of JKS, PKCS12, PEM");
    let other = "Type: the file is not of the type PEM but of the type JKS";
    assert_eq!(trust("trust.jks", Some("PEM"), None).unwrap_err(), other);
    let other = "Type: the file is not of the type JKS but of the type PEM";
    assert_eq!(trust("client.crt", Some("JKS"), None).unwrap_err(), other);
    assert!(trust("client.crt", None, Some("x")).unwrap_err().starts_with("Password: a PEM file has no"));
    assert!(trust("x.jceks", None, Some("changeit")).unwrap_err().contains("of the type JCEKS"));
    assert!(trust("README.md", None, None).unwrap_err().contains("not a usable PKCS12 store"));
}

#[test]
fn keystores_of_all_types_hold_key_and_certificate() {
    for (name, store, key) in [
        ("client.jks", Some("changeit"), None),
        ("client.jks", Some("changeit"), Some("changeit")),
        ("other-key.jks", Some("changeit"), Some("secret12")),
        ("client.p12", Some("changeit"), None),
        ("client.p12", Some("changeit"), Some("changeit")),
        ("client.pem", None, Some("changeit")),
    ] {
        let identity = own(name, store, key).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(identity.certificates.len(), 1, "{name}");
        // What is handed on can be read again.
        let text = of_pem(&identity);
        let again = pem::identity(text.as_bytes(), None).unwrap();
        assert_eq!(again.key, identity.key);
        assert_eq!(again.certificates, identity.certificates);
    }
}

fn of_pem(identity: &Identity) -> String {
    pem::of_certificates(&identity.certificates).unwrap() + &pem::of_key(&identity.key).unwrap()
}

#[test]
fn what_is_wrong_with_a_keystore_is_said() {
    for (name, store, key, error) in [
        ("client.jks", None, None, "Location: the store needs a password"),
        ("client.jks", Some("wrong"), None, "Password: the password is wrong, or the file is damaged"),
        ("client.jks", Some("changeit"), Some("wrong"), "KeyPassword: the key's password is wrong"),
        ("other-key.jks", Some("changeit"), None, "Location: the key is encrypted and needs a password"),
        ("client.p12", Some("wrong"), Some("x"), "Password: the password is wrong, or the file is damaged"),
        ("client.pem", None, None, "Location: the key is encrypted and needs a password"),
        ("client.pem", None, Some("wrong"), "KeyPassword: the key's password is wrong"),
        ("client.crt", None, None, "Location: it holds no private key with its certificate"),
        ("trust.jks", Some("changeit"), None, "Location: it holds no private key with its certificate"),
        ("trust.p12", Some("changeit"), None, "Location: it holds no private key with its certificate"),
    ] {
        assert_eq!(own(name, store, key).unwrap_err(), error, "{name}");
    }
    let error = own("client.p12", Some("changeit"), Some("x")).unwrap_err();
    assert!(error.starts_with("KeyPassword: in a store of the type PKCS12 the key has"), "{error}");
    let error = own("two-keys.jks", Some("changeit"), None).unwrap_err();
    assert!(
        error.contains("several keys (") && error.contains("client") && error.contains("second"),
        "{error}"
    );
}

#[test]
fn a_key_of_another_certificate_is_seen() {
    let password = Password::new("changeit");
    let mut mixed = identity(&file("client.jks"), None, Some(&password), None).unwrap();
    let other = identity(&file("other-key.jks"), None, Some(&password), Some(&Password::new("secret12")));
    mixed.key = other.unwrap().key;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.pem");
    std::fs::write(&path, of_pem(&mixed)).unwrap();
    assert!(matches!(identity(&path, None, None, None), Err(StoreError::KeyMismatch)));
}

#[test]
fn a_pkcs12_truststore_of_openssl_marks_nothing_and_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openssl.p12");
    let made = Command::new("openssl")
        .args(["pkcs12", "-export", "-nokeys", "-passout", "pass:changeit", "-in"])
        .arg(file("client.crt"))
        .arg("-out")
        .arg(&path)
        .stderr(Stdio::null())
        .status();
    // Not every machine has it.
    let Ok(status) = made else { return };
    assert!(status.success());
    assert_eq!(trusted(&path, None, Some(&Password::new("changeit"))).unwrap().len(), 1);
}
