//! The TLS options of an output.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;

use super::ciphers;
use super::error::{TlsError, TlsReason};
use super::identity::Identity;
use super::options::VerificationMode;
use super::trust::{Trust, Trusted};
use super::verify::ServerCheck;

type Suites = (Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>);

const FINGERPRINT: &str = "ca_trusted_fingerprint";

/// The `ssl_*` options of a client.
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    /// Certificate and key to present to servers that ask for one; optional.
    pub identity: Identity,
    /// Whose servers are believed; the system's trust when empty.
    pub trust: Trust,
    /// `ca_trusted_fingerprint`: SHA-256 of certificates, in hexadecimal, with or without colons. A chain that
    /// holds one of them, and leads up to it, is trusted besides those of `trust`.
    pub ca_trusted_fingerprints: Vec<String>,
    /// `ssl_verification_mode`.
    pub verification_mode: VerificationMode,
    /// `ssl_supported_protocols`; empty means TLSv1.2 and TLSv1.3.
    pub supported_protocols: Vec<String>,
    /// `ssl_cipher_suites` by the JDK's names, preferred first; empty means all.
    pub cipher_suites: Vec<String>,
}

impl ClientTls {
    /// Reads the files and makes the configuration. Host name and SNI are given per connection.
    ///
    /// # Errors
    /// When an option or a file can't be used; see [`TlsReason`].
    pub fn build(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let suites = self.suites()?;
        let identity = self.identity.load(&suites.0)?;
        self.config(suites, identity, self.trusted()?)
    }

    /// As [`Self::build`], with certificates and a key that were read already, from files of other formats: `own` to
    /// present, in the place of `identity`, and `trusted` besides those of `trust`.
    ///
    /// # Errors
    /// When an option can't be used; see [`TlsReason`].
    pub fn build_with(
        &self,
        own: Option<CertifiedKey>,
        trusted: Vec<CertificateDer<'static>>,
    ) -> Result<Arc<ClientConfig>, TlsError> {
        let trusted = if trusted.is_empty() { self.trusted()? } else { self.trust.load()?.with(trusted) };
        self.config(self.suites()?, own.map(Arc::new), trusted)
    }

    fn suites(&self) -> Result<Suites, TlsError> {
        ciphers::provider(&self.supported_protocols, &self.cipher_suites)
    }

    fn config(
        &self,
        (provider, versions): Suites,
        identity: Option<Arc<CertifiedKey>>,
        trusted: Trusted,
    ) -> Result<Arc<ClientConfig>, TlsError> {
        let algorithms = provider.signature_verification_algorithms;
        let check = ServerCheck::new(self.verification_mode, trusted, self.fingerprints()?, algorithms);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| {
                TlsError::new("ssl_supported_protocols", TlsReason::Unsupported(error.to_string()))
            })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(check));
        let config = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    fn trusted(&self) -> Result<Trusted, TlsError> {
        if !self.trust.is_empty() || self.verification_mode == VerificationMode::None {
            return self.trust.load();
        }
        match Trusted::system() {
            Err(_) if !self.ca_trusted_fingerprints.is_empty() => Ok(Trusted::nobody()),
            found => found,
        }
    }

    fn fingerprints(&self) -> Result<Vec<[u8; 32]>, TlsError> {
        let parse = |text: &String| {
            fingerprint(text).ok_or_else(|| {
                let text = format!("`{text}` is not a SHA-256 fingerprint of 64 hexadecimal digits");
                TlsError::new(FINGERPRINT, TlsReason::Malformed(text))
            })
        };
        self.ca_trusted_fingerprints.iter().map(parse).collect()
    }
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<char> = text.chars().filter(|digit| *digit != ':').collect();
    let bytes = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok(),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()?;
    bytes.try_into().ok()
}
