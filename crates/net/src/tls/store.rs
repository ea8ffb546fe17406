//! Key stores and trust stores: PKCS#12, which Java also writes into files called `.jks`.

use std::path::PathBuf;
use std::str::FromStr;

use p12_keystore::error::Error as P12Error;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12Archive, Pkcs12ImportPolicy};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::error::{TlsError, TlsReason};
use super::options::UnknownChoice;
use super::pem;
use crate::secret::Secret;

/// First bytes of Java's own, older format.
const JKS_MAGIC: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];

/// `ssl_keystore_type`, `ssl_truststore_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// PKCS#12.
    Pkcs12,
    /// What Java calls JKS; since Java 9 the content is PKCS#12, and only that is read.
    Jks,
}

impl FromStr for StoreKind {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text.to_ascii_lowercase().as_str() {
            "pkcs12" => Ok(Self::Pkcs12),
            "jks" => Ok(Self::Jks),
            _ => Err(UnknownChoice::new(text, "pkcs12, jks")),
        }
    }
}

/// A store file with its password.
#[derive(Debug, Clone)]
pub struct Store {
    /// The file.
    pub path: PathBuf,
    /// Its password; absent means empty.
    pub password: Option<Secret>,
    /// The declared type. The content decides; Java, too, reads PKCS#12 under either name.
    pub kind: Option<StoreKind>,
}

/// The option names of one store, for errors.
#[derive(Clone, Copy)]
pub(super) struct StoreOptions {
    pub(super) path: &'static str,
    pub(super) password: &'static str,
}

/// A certificate chain, the own one first, and its key.
pub(super) type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Store {
    /// The first key of the store with its chain.
    pub(super) fn identity(&self, options: StoreOptions) -> Result<ChainAndKey, TlsError> {
        let content = self.read(options)?;
        let store = KeyStore::from_pkcs12(&content, self.password(), Pkcs12ImportPolicy::Strict)
            .map_err(|error| self.error(options, error))?;
        let chain = store.entries().find_map(|(_, entry)| match entry {
            KeyStoreEntry::PrivateKeyChain(chain) => Some(chain),
            _ => None,
        });
        let chain = chain.ok_or_else(|| {
            let text = "holds no private key with its certificate".to_owned();
            TlsError::file(options.path, &self.path, TlsReason::Malformed(text))
        })?;
        let certificates = chain.certs().iter().map(certificate).collect();
        let key = PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec());
        Ok((certificates, key.into()))
    }

    /// The trusted certificates of the store; at least one.
    ///
    /// Java marks them, and what stands beside a key is not among them. OpenSSL marks nothing: all are meant
    /// where there is no key.
    pub(super) fn certificates(
        &self,
        options: StoreOptions,
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let content = self.read(options)?;
        let archive = Pkcs12Archive::from_pkcs12(&content, self.password())
            .map_err(|error| self.error(options, error))?;
        let marked = !archive.keys.is_empty() || archive.certs.iter().any(|bag| bag.trusted);
        let trusted: Vec<_> = archive
            .certs
            .iter()
            .filter(|bag| bag.trusted || !marked)
            .map(|bag| certificate(&bag.cert))
            .collect();
        if trusted.is_empty() {
            let reason = TlsReason::Malformed("holds no trusted certificate".to_owned());
            return Err(TlsError::file(options.path, &self.path, reason));
        }
        Ok(trusted)
    }

    fn read(&self, options: StoreOptions) -> Result<Vec<u8>, TlsError> {
        let content = pem::read(options.path, &self.path)?;
        if content.starts_with(&JKS_MAGIC) {
            let text = "is in Java's old JKS format, which is not supported; convert it with \
                        `keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype pkcs12`";
            let reason = TlsReason::Unsupported(text.to_owned());
            return Err(TlsError::file(options.path, &self.path, reason));
        }
        Ok(content)
    }

    fn password(&self) -> &str {
        self.password.as_ref().map_or("", Secret::expose)
    }

    fn error(&self, options: StoreOptions, error: P12Error) -> TlsError {
        let reason = match (error, &self.password) {
            (P12Error::MacError(_) | P12Error::UnpadError, Some(_)) => {
                TlsReason::WrongPassphrase(options.password)
            }
            (P12Error::MacError(_) | P12Error::UnpadError, None) => {
                TlsReason::PassphraseNeeded(options.password)
            }
            (error, _) => TlsReason::Malformed(format!("not a usable PKCS#12 file: {error}")),
        };
        TlsError::file(options.path, &self.path, reason)
    }
}

fn certificate(certificate: &p12_keystore::Certificate) -> CertificateDer<'static> {
    CertificateDer::from(certificate.as_der().to_vec())
}
