//! Certificates and private keys from files.

use std::io::{ErrorKind, Read};
use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::{Decode, SecretDocument};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::FILE_SIZE_MAX;
use super::error::{TlsError, TlsReason};
use crate::secret::Secret;

const BEGIN_ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END_ENCRYPTED: &str = "-----END ENCRYPTED PRIVATE KEY-----";
/// The header of OpenSSL's own, older encryption, whose key derivation is one round of MD5.
const OLD_ENCRYPTION: &str = "Proc-Type: 4,ENCRYPTED";

/// Reads a whole file that an option names.
pub(super) fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error: std::io::Error| {
        let missing = error.kind() == ErrorKind::NotFound;
        TlsError::file(option, path, if missing { TlsReason::Missing } else { TlsReason::Unreadable(error) })
    };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_SIZE_MAX + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > FILE_SIZE_MAX {
        return Err(TlsError::file(option, path, TlsReason::TooLarge(FILE_SIZE_MAX)));
    }
    Ok(content)
}

/// The certificates of a PEM file, or the one of a DER file; at least one.
pub(super) fn certificates(
    option: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = read(option, path)?;
    let failed = |reason| TlsError::file(option, path, reason);
    let certificates = CertificateDer::pem_slice_iter(&content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(TlsReason::Malformed(format!("not a valid PEM file: {error}"))))?;
    if !certificates.is_empty() {
        return Ok(certificates);
    }
    match x509_parser::parse_x509_certificate(&content) {
        Ok(_) => Ok(vec![CertificateDer::from(content)]),
        Err(_) => Err(failed(TlsReason::NoCertificate)),
    }
}

/// The first private key of a PEM file: PKCS#1, PKCS#8 (also encrypted) or SEC1.
pub(super) fn private_key(
    option: &'static str,
    path: &Path,
    passphrase: Option<&Secret>,
    passphrase_option: &'static str,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let content = read(option, path)?;
    let failed = |reason| TlsError::file(option, path, reason);
    let text = String::from_utf8_lossy(&content);
    if let Some(section) = encrypted_section(&text) {
        let passphrase = passphrase.ok_or_else(|| failed(TlsReason::PassphraseNeeded(passphrase_option)))?;
        return decrypt(section, passphrase, passphrase_option).map_err(failed);
    }
    if text.contains(OLD_ENCRYPTION) {
        let text = "encrypted in OpenSSL's old format, which is not supported; \
                    convert it with `openssl pkcs8 -topk8 -in OLD -out NEW`";
        return Err(failed(TlsReason::Unsupported(text.to_owned())));
    }
    match PrivateKeyDer::from_pem_slice(&content) {
        Ok(key) => Ok(key),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(failed(TlsReason::NoKey)),
        Err(error) => Err(failed(TlsReason::Malformed(format!("not a valid PEM file: {error}")))),
    }
}

fn encrypted_section(text: &str) -> Option<&str> {
    let start = text.find(BEGIN_ENCRYPTED)?;
    let end = text.get(start..)?.find(END_ENCRYPTED)? + start + END_ENCRYPTED.len();
    text.get(start..end)
}

fn decrypt(
    section: &str,
    passphrase: &Secret,
    passphrase_option: &'static str,
) -> Result<PrivateKeyDer<'static>, TlsReason> {
    let malformed = |error: &dyn std::fmt::Display| TlsReason::Malformed(format!("encrypted key: {error}"));
    let (_, document) = SecretDocument::from_pem(section).map_err(|error| malformed(&error))?;
    let key = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes()).map_err(|error| malformed(&error))?;
    match key.decrypt(passphrase.expose()) {
        Ok(plain) => Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into()),
        Err(pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { oid })) => {
            Err(TlsReason::Unsupported(format!("encrypted with an unsupported algorithm ({oid})")))
        }
        // A wrong key shows as bad padding or, one time in 256, as garbage instead of a key.
        Err(_) => Err(TlsReason::WrongPassphrase(passphrase_option)),
    }
}
