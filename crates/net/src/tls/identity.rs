//! Who we are: a certificate chain and its private key.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::time::ASN1Time;

use super::error::{TlsError, TlsReason};
use super::pem;
use super::store::{ChainAndKey, Store, StoreOptions};
use crate::secret::Secret;

const CERTIFICATE: &str = "ssl_certificate";
const KEY: &str = "ssl_key";
const PASSPHRASE: &str = "ssl_key_passphrase";
const EXTRA_CHAIN: &str = "ssl_extra_chain_certs";
const KEYSTORE: StoreOptions = StoreOptions { path: "ssl_keystore_path", password: "ssl_keystore_password" };

/// Where a certificate and its key come from: PEM files or a key store.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// `ssl_certificate`: PEM file, the own certificate first, then its chain.
    pub certificate: Option<PathBuf>,
    /// `ssl_key`: PEM file in PKCS#1, PKCS#8 or SEC1 form.
    pub key: Option<PathBuf>,
    /// `ssl_key_passphrase`: opens an encrypted PKCS#8 key.
    pub key_passphrase: Option<Secret>,
    /// `ssl_extra_chain_certs`: more certificates to present after the own one.
    pub extra_chain: Vec<PathBuf>,
    /// `ssl_keystore_path`, `_password`, `_type`: instead of certificate and key.
    pub keystore: Option<Store>,
}

impl Identity {
    /// A certificate and its key in PEM files.
    pub fn pem(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: Some(certificate.into()), key: Some(key.into()), ..Self::default() }
    }

    /// The chain and key, checked against each other and the clock; `None` when nothing is configured.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<Option<Arc<CertifiedKey>>, TlsError> {
        let Some((mut chain, key)) = self.read()? else { return Ok(None) };
        for path in &self.extra_chain {
            chain.extend(pem::certificates(EXTRA_CHAIN, path)?);
        }
        let own = chain.first().ok_or_else(|| self.certificate_error(TlsReason::NoCertificate))?;
        check_validity(own).map_err(|reason| self.certificate_error(reason))?;
        let key = provider.key_provider.load_private_key(key).map_err(|error| {
            self.key_error(TlsReason::Malformed(format!("not a usable private key: {error}")))
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Some(Arc::new(certified))),
            Err(Error::InconsistentKeys(_)) => Err(self.key_error(TlsReason::KeyMismatch(self.shown()))),
            Err(error) => Err(self.certificate_error(TlsReason::Malformed(error.to_string()))),
        }
    }

    fn read(&self) -> Result<Option<ChainAndKey>, TlsError> {
        match (&self.certificate, &self.key, &self.keystore) {
            (Some(_), _, Some(_)) => Err(TlsError::new(CERTIFICATE, TlsReason::Conflict(KEYSTORE.path))),
            (None, Some(_), Some(_)) => Err(TlsError::new(KEY, TlsReason::Conflict(KEYSTORE.path))),
            (None, None, Some(store)) => store.identity(KEYSTORE).map(Some),
            (Some(certificate), Some(key), None) => {
                let chain = pem::certificates(CERTIFICATE, certificate)?;
                let key = pem::private_key(KEY, key, self.key_passphrase.as_ref(), PASSPHRASE)?;
                Ok(Some((chain, key)))
            }
            (Some(_), None, None) => Err(TlsError::new(CERTIFICATE, TlsReason::Needs(KEY))),
            (None, Some(_), None) => Err(TlsError::new(KEY, TlsReason::Needs(CERTIFICATE))),
            (None, None, None) => Ok(None),
        }
    }

    fn certificate_error(&self, reason: TlsReason) -> TlsError {
        self.error(CERTIFICATE, self.certificate.as_ref(), reason)
    }

    fn key_error(&self, reason: TlsReason) -> TlsError {
        self.error(KEY, self.key.as_ref(), reason)
    }

    fn error(&self, option: &'static str, file: Option<&PathBuf>, reason: TlsReason) -> TlsError {
        match (file, &self.keystore) {
            (Some(file), _) => TlsError::file(option, file, reason),
            (None, Some(store)) => TlsError::file(KEYSTORE.path, &store.path, reason),
            (None, None) => TlsError::new(option, reason),
        }
    }

    fn shown(&self) -> String {
        let store = self.keystore.as_ref().map(|store| &store.path);
        self.certificate.as_ref().or(store).map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// Own certificates that no peer would accept are better found at the start.
fn check_validity(certificate: &CertificateDer<'_>) -> Result<(), TlsReason> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| TlsReason::Malformed(format!("not an X.509 certificate: {error}")))?;
    validity_at(&parsed, ASN1Time::now())
}

fn validity_at(certificate: &X509Certificate<'_>, now: ASN1Time) -> Result<(), TlsReason> {
    let validity = certificate.validity();
    let subject = super::peer::distinguished_name(certificate.subject());
    if now > validity.not_after {
        return Err(TlsReason::Expired { subject, date: validity.not_after.to_string() });
    }
    if now < validity.not_before {
        return Err(TlsReason::NotYetValid { subject, date: validity.not_before.to_string() });
    }
    Ok(())
}
