//! Whom we trust.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use super::error::{TlsError, TlsReason};
use super::pem;
use super::store::{Store, StoreOptions};

pub(super) const AUTHORITIES: &str = "ssl_certificate_authorities";
const TRUSTSTORE: StoreOptions =
    StoreOptions { path: "ssl_truststore_path", password: "ssl_truststore_password" };

/// Certificates to trust: PEM files or a trust store.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// `ssl_certificate_authorities`: files of PEM certificates.
    pub certificate_authorities: Vec<PathBuf>,
    /// `ssl_truststore_path`, `_password`, `_type`: instead of the above.
    pub truststore: Option<Store>,
}

/// Trusted certificates, as anchors of chains and as they are.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) roots: RootCertStore,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Trust in the certificates of one PEM file.
    pub fn pem(file: impl Into<PathBuf>) -> Self {
        Self { certificate_authorities: vec![file.into()], truststore: None }
    }

    /// Whether nothing is configured.
    pub fn is_empty(&self) -> bool {
        self.certificate_authorities.is_empty() && self.truststore.is_none()
    }

    /// What is configured; empty when nothing is.
    pub(super) fn load(&self) -> Result<Trusted, TlsError> {
        let mut trusted = Trusted::nobody();
        if let Some(store) = &self.truststore {
            if !self.certificate_authorities.is_empty() {
                return Err(TlsError::new(AUTHORITIES, TlsReason::Conflict(TRUSTSTORE.path)));
            }
            for certificate in store.certificates(TRUSTSTORE)? {
                let failed = |reason| TlsError::file(TRUSTSTORE.path, &store.path, reason);
                trusted.add(certificate).map_err(failed)?;
            }
        }
        for path in &self.certificate_authorities {
            for certificate in pem::certificates(AUTHORITIES, path)? {
                trusted.add(certificate).map_err(|reason| TlsError::file(AUTHORITIES, path, reason))?;
            }
        }
        Ok(trusted)
    }
}

impl Trusted {
    pub(super) fn nobody() -> Self {
        Self { roots: RootCertStore::empty(), certificates: Vec::new() }
    }

    /// The certificates that the system trusts.
    pub(super) fn system() -> Result<Self, TlsError> {
        let mut trusted = Self::nobody();
        // A few unreadable ones among a hundred are no reason to trust none.
        let found = rustls_native_certs::load_native_certs();
        trusted.roots.add_parsable_certificates(found.certs);
        if trusted.roots.is_empty() {
            let text = "not set, and the system has no trusted certificates of its own".to_owned();
            return Err(TlsError::new(AUTHORITIES, TlsReason::Unsupported(text)));
        }
        Ok(trusted)
    }

    /// With these besides. Those that can't be anchors of a chain are trusted as they are.
    pub(super) fn with(mut self, certificates: Vec<CertificateDer<'static>>) -> Self {
        self.roots.add_parsable_certificates(certificates.iter().cloned());
        self.certificates.extend(certificates);
        self
    }

    fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), TlsReason> {
        let malformed = |error| TlsReason::Malformed(format!("not a usable certificate: {error}"));
        self.roots.add(certificate.clone()).map_err(malformed)?;
        self.certificates.push(certificate);
        Ok(())
    }
}
