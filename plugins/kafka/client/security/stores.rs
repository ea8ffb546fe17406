//! Certificates and keys from Java's stores and from PEM files.

use std::io::{ErrorKind, Read};
use std::path::Path;

use ferrostash_conf::Password;
use ferrostash_net::tls::FILE_SIZE_MAX;
use p12_keystore::error::Error as P12Error;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12Archive, Pkcs12ImportPolicy};
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::jks::{self, Entry, JksError};
use super::pem;

/// First bytes of the format that followed JKS in Java's cryptography extension.
const JCEKS_MAGIC: [u8; 4] = [0xCE; 4];

/// Who we are: our certificate, those that lead up to it, and our key.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Our own certificate first.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Which option of a store an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The file.
    Location,
    /// Its type.
    Type,
    /// Its password.
    Password,
    /// The password of the key in it.
    KeyPassword,
}

/// Why a store can't be used. No text names a password's option: [`StoreError::part`] says which one it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("there is no such file")]
    Missing,
    #[error("it can't be read: {0}")]
    Unreadable(std::io::Error),
    #[error("it is larger than {FILE_SIZE_MAX} bytes")]
    TooLarge,
    #[error("`{0}` is none of JKS, PKCS12, PEM")]
    UnknownType(String),
    #[error("the file is not of the type {declared} but of the type {found}")]
    OtherType { declared: &'static str, found: &'static str },
    #[error(
        "the store is of the type JCEKS, which is not supported; convert it with `keytool -importkeystore -deststoretype PKCS12`"
    )]
    Jceks,
    #[error("the password is wrong, or the file is damaged")]
    WrongPassword,
    #[error("the store needs a password")]
    PasswordNeeded,
    #[error("a PEM file has no password of its own; that of its key is another option")]
    PasswordOfPem,
    #[error("the key's password is wrong")]
    WrongKeyPassword,
    #[error("the key is encrypted and needs a password")]
    KeyPasswordNeeded,
    #[error(
        "in a store of the type PKCS12 the key has the password of the store; another one is not supported"
    )]
    OtherKeyPassword,
    #[error("it holds no trusted certificate")]
    NoCertificate,
    #[error("it holds no private key with its certificate")]
    NoKey,
    #[error("it holds several keys ({0}), and which one is meant can't be said; keep one")]
    SeveralKeys(String),
    #[error("the key is not that of the certificate")]
    KeyMismatch,
    #[error("{0}")]
    Malformed(String),
}

impl StoreError {
    /// The option that has to be changed.
    pub(crate) fn part(&self) -> Part {
        match self {
            Self::UnknownType(_) | Self::OtherType { .. } => Part::Type,
            Self::WrongPassword | Self::PasswordOfPem => Part::Password,
            Self::WrongKeyPassword | Self::OtherKeyPassword => Part::KeyPassword,
            // What is not set has no place of its own.
            _ => Part::Location,
        }
    }
}

/// The certificates that a store trusts; at least one.
///
/// As in Java, the type is one of `JKS`, `PKCS12` and `PEM`, found out by the content when absent, and those two of Java
/// stand for each other. A JKS store without a password is read, but its integrity is not checked.
///
/// # Errors
/// When the store can't be used; see [`StoreError`].
pub(crate) fn trusted(
    path: &Path,
    kind: Option<&str>,
    password: Option<&Password>,
) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let (content, kind) = read(path, kind)?;
    let password = password.map(Password::reveal);
    let certificates = match kind {
        Kind::Jks => jks_trusted(&content, password)?,
        Kind::Pkcs12 => pkcs12_trusted(&content, password)?,
        Kind::Pem if password.is_some() => return Err(StoreError::PasswordOfPem),
        Kind::Pem => pem::certificates(&content)?,
    };
    if certificates.is_empty() {
        return Err(StoreError::NoCertificate);
    }
    check_certificates(&certificates)?;
    Ok(certificates)
}

/// The one key of a store, with its certificates. They fit together.
///
/// The type is as in [`trusted`]. The key's password is that of the store where it has none of its own.
///
/// # Errors
/// When the store can't be used; see [`StoreError`].
pub(crate) fn identity(
    path: &Path,
    kind: Option<&str>,
    store_password: Option<&Password>,
    key_password: Option<&Password>,
) -> Result<Identity, StoreError> {
    let (content, kind) = read(path, kind)?;
    let (password, key_password) = (store_password.map(Password::reveal), key_password.map(Password::reveal));
    let identity = match (kind, password) {
        (Kind::Pem, Some(_)) => return Err(StoreError::PasswordOfPem),
        (Kind::Pem, None) => pem::identity(&content, key_password)?,
        (_, None) => return Err(StoreError::PasswordNeeded),
        (Kind::Jks, Some(password)) => jks_identity(&content, password, key_password)?,
        (Kind::Pkcs12, Some(password)) if key_password.is_some_and(|key| key != password) => {
            // A wrong password of the store is what has to be said first.
            pkcs12(&content, Some(password))?;
            return Err(StoreError::OtherKeyPassword);
        }
        (Kind::Pkcs12, Some(password)) => pkcs12_identity(&content, password)?,
    };
    check_certificates(&identity.certificates)?;
    check_key(&identity)?;
    Ok(identity)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Jks,
    Pkcs12,
    Pem,
}

impl Kind {
    fn parse(text: &str) -> Result<Kind, StoreError> {
        [Kind::Jks, Kind::Pkcs12, Kind::Pem]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| StoreError::UnknownType(text.to_owned()))
    }

    fn of(content: &[u8]) -> Result<Kind, StoreError> {
        if content.starts_with(&jks::MAGIC) {
            Ok(Kind::Jks)
        } else if content.starts_with(&JCEKS_MAGIC) {
            Err(StoreError::Jceks)
        } else if pem::is_pem(content) {
            Ok(Kind::Pem)
        } else {
            Ok(Kind::Pkcs12)
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Jks => "JKS",
            Kind::Pkcs12 => "PKCS12",
            Kind::Pem => "PEM",
        }
    }
}

fn read(path: &Path, kind: Option<&str>) -> Result<(Vec<u8>, Kind), StoreError> {
    let declared = kind.map(Kind::parse).transpose()?;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => StoreError::Missing,
        _ => StoreError::Unreadable(error),
    };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_SIZE_MAX + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > FILE_SIZE_MAX {
        return Err(StoreError::TooLarge);
    }
    let found = Kind::of(&content)?;
    match declared {
        Some(declared) if (declared == Kind::Pem) != (found == Kind::Pem) => {
            Err(StoreError::OtherType { declared: declared.name(), found: found.name() })
        }
        _ => Ok((content, found)),
    }
}

fn jks_trusted(content: &[u8], password: Option<&str>) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    // The own certificate of a key is trusted, too: so Java's trust manager has it.
    let certificate = |entry| match entry {
        Entry::Trusted(certificate) => Some(certificate),
        Entry::Key { chain, .. } => chain.into_iter().next(),
    };
    Ok(jks::parse(content, password)?.into_iter().filter_map(certificate).collect())
}

fn jks_identity(content: &[u8], password: &str, key_password: Option<&str>) -> Result<Identity, StoreError> {
    let keys = jks::parse(content, Some(password))?.into_iter().filter_map(|entry| match entry {
        Entry::Key { alias, protected, chain } if !chain.is_empty() => Some((alias, (protected, chain))),
        _ => None,
    });
    let (protected, certificates) = only(keys.collect())?;
    let key = jks::recover(&protected, key_password.unwrap_or(password)).map_err(|error| match error {
        JksError::Password if key_password.is_none() => StoreError::KeyPasswordNeeded,
        JksError::Password => StoreError::WrongKeyPassword,
        other => other.into(),
    })?;
    Ok(Identity { certificates, key: PrivatePkcs8KeyDer::from(key).into() })
}

fn pkcs12(content: &[u8], password: Option<&str>) -> Result<Pkcs12Archive, StoreError> {
    Pkcs12Archive::from_pkcs12(content, password.unwrap_or_default())
        .map_err(|error| pkcs12_error(&error, password))
}

fn pkcs12_error(error: &P12Error, password: Option<&str>) -> StoreError {
    match (error, password) {
        (P12Error::MacError(_) | P12Error::UnpadError, Some(_)) => StoreError::WrongPassword,
        (P12Error::MacError(_) | P12Error::UnpadError, None) => StoreError::PasswordNeeded,
        (error, _) => StoreError::Malformed(format!("it is not a usable PKCS12 store: {error}")),
    }
}

fn pkcs12_trusted(
    content: &[u8],
    password: Option<&str>,
) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let archive = pkcs12(content, password)?;
    // Java marks what is trusted. OpenSSL marks nothing: all are meant where there is no key.
    let marked = !archive.keys.is_empty() || archive.certs.iter().any(|bag| bag.trusted);
    let own = |id: &[u8]| {
        archive.keys.iter().any(|key| key.local_key_id.as_ref().is_some_and(|key| key.as_ref() == id))
    };
    let is_trusted = |bag: &&p12_keystore::CertificateBag| {
        !marked || bag.trusted || bag.local_key_id.as_deref().is_some_and(own)
    };
    Ok(archive.certs.iter().filter(is_trusted).map(|bag| certificate(&bag.cert)).collect())
}

fn pkcs12_identity(content: &[u8], password: &str) -> Result<Identity, StoreError> {
    let store = KeyStore::from_pkcs12(content, password, Pkcs12ImportPolicy::Strict)
        .map_err(|error| pkcs12_error(&error, Some(password)))?;
    let keys = store.entries().filter_map(|(alias, entry)| match entry {
        KeyStoreEntry::PrivateKeyChain(chain) => Some((alias.clone(), chain)),
        _ => None,
    });
    let chain = only(keys.collect())?;
    Ok(Identity {
        certificates: chain.certs().iter().map(certificate).collect(),
        key: PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec()).into(),
    })
}

fn only<T>(mut keys: Vec<(String, T)>) -> Result<T, StoreError> {
    if keys.len() > 1 {
        let aliases = keys.iter().map(|(alias, _)| alias.as_str()).collect::<Vec<_>>();
        return Err(StoreError::SeveralKeys(aliases.join(", ")));
    }
    keys.pop().map(|(_, key)| key).ok_or(StoreError::NoKey)
}

fn certificate(certificate: &p12_keystore::Certificate) -> CertificateDer<'static> {
    CertificateDer::from(certificate.as_der().to_vec())
}

fn check_certificates(certificates: &[CertificateDer<'_>]) -> Result<(), StoreError> {
    for certificate in certificates {
        x509_parser::parse_x509_certificate(certificate)
            .map_err(|error| StoreError::Malformed(format!("a certificate in it can't be read: {error}")))?;
    }
    Ok(())
}

fn check_key(identity: &Identity) -> Result<(), StoreError> {
    let provider = aws_lc_rs::default_provider();
    let key = provider
        .key_provider
        .load_private_key(identity.key.clone_key())
        .map_err(|error| StoreError::Malformed(format!("the key in it can't be used: {error}")))?;
    match CertifiedKey::new(identity.certificates.clone(), key).keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(Error::InconsistentKeys(_)) => Err(StoreError::KeyMismatch),
        Err(error) => Err(StoreError::Malformed(format!("a certificate in it can't be used: {error}"))),
    }
}

impl From<JksError> for StoreError {
    fn from(error: JksError) -> StoreError {
        match error {
            JksError::Password => StoreError::WrongPassword,
            JksError::Malformed(text) => {
                StoreError::Malformed(format!("it is not a usable JKS store: {text}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
