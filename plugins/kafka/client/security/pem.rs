//! PEM, from files and for librdkafka.

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::pem::{LineEnding, encode_string};
use pkcs8::der::{Decode, SecretDocument};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::stores::{Identity, StoreError};

const BEGIN: &[u8] = b"-----BEGIN ";
const BEGIN_ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END_ENCRYPTED: &str = "-----END ENCRYPTED PRIVATE KEY-----";
/// The header of OpenSSL's own, older encryption, whose key derivation is one round of MD5.
const OLD_ENCRYPTION: &str = "Proc-Type: 4,ENCRYPTED";

/// Whether there is a section anywhere.
pub(super) fn is_pem(content: &[u8]) -> bool {
    content.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// All certificates, in order.
pub(super) fn certificates(content: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    CertificateDer::pem_slice_iter(content).collect::<Result<_, _>>().map_err(|error| malformed(&error))
}

/// The key and its certificates.
pub(super) fn identity(content: &[u8], password: Option<&str>) -> Result<Identity, StoreError> {
    let certificates = certificates(content)?;
    if certificates.is_empty() {
        return Err(StoreError::NoKey);
    }
    Ok(Identity { certificates, key: key(content, password)? })
}

fn key(content: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, StoreError> {
    let text = String::from_utf8_lossy(content);
    if let Some(section) = encrypted_section(&text) {
        return decrypt(section, password.ok_or(StoreError::KeyPasswordNeeded)?);
    }
    if text.contains(OLD_ENCRYPTION) {
        let text = "the key is encrypted in OpenSSL's old format, which is not supported; \
                    convert it with `openssl pkcs8 -topk8 -in OLD -out NEW`";
        return Err(StoreError::Malformed(text.to_owned()));
    }
    match PrivateKeyDer::from_pem_slice(content) {
        Ok(key) => Ok(key),
        Err(PemError::NoItemsFound) => Err(StoreError::NoKey),
        Err(error) => Err(malformed(&error)),
    }
}

fn encrypted_section(text: &str) -> Option<&str> {
    let start = text.find(BEGIN_ENCRYPTED)?;
    let end = text.get(start..)?.find(END_ENCRYPTED)? + start + END_ENCRYPTED.len();
    text.get(start..end)
}

fn decrypt(section: &str, password: &str) -> Result<PrivateKeyDer<'static>, StoreError> {
    let (_, document) = SecretDocument::from_pem(section).map_err(|error| malformed(&error))?;
    let key = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes()).map_err(|error| malformed(&error))?;
    match key.decrypt(password) {
        Ok(plain) => Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into()),
        Err(pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { oid })) => {
            Err(StoreError::Malformed(format!("the key is encrypted with an unsupported algorithm ({oid})")))
        }
        // A wrong password shows as bad padding or, one time in 256, as garbage instead of a key.
        Err(_) => Err(StoreError::WrongKeyPassword),
    }
}

fn malformed(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Malformed(format!("it is not a usable PEM file: {error}"))
}

/// Certificates as librdkafka takes them.
pub(super) fn of_certificates<'a>(
    certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>,
) -> Result<String, StoreError> {
    certificates.into_iter().map(|certificate| section("CERTIFICATE", certificate)).collect()
}

/// A key as librdkafka takes it.
pub(super) fn of_key(key: &PrivateKeyDer<'_>) -> Result<String, StoreError> {
    match key {
        PrivateKeyDer::Pkcs1(key) => section("RSA PRIVATE KEY", key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => section("EC PRIVATE KEY", key.secret_sec1_der()),
        _ => section("PRIVATE KEY", key.secret_der()),
    }
}

fn section(label: &str, content: &[u8]) -> Result<String, StoreError> {
    encode_string(label, LineEnding::LF, content).map_err(|error| malformed(&error))
}
