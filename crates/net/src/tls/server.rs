//! The TLS options of an input.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::sign::SingleCertAndKey;

use super::ciphers;
use super::error::{TlsError, TlsReason};
use super::identity::Identity;
use super::options::ClientAuthentication;
use super::trust::{self, Trust, Trusted};
use super::verify::ListedClients;

/// The `ssl_*` options of a server.
#[derive(Debug, Clone, Default)]
pub struct ServerTls {
    /// Certificate and key; required.
    pub identity: Identity,
    /// Whose clients are let in; required unless `client_authentication` is none.
    pub trust: Trust,
    /// Whether clients of the system's authorities are let in where `trust` is empty; otherwise that is an error.
    pub trust_system: bool,
    /// `ssl_client_authentication`.
    pub client_authentication: ClientAuthentication,
    /// `ssl_supported_protocols`; empty means TLSv1.2 and TLSv1.3.
    pub supported_protocols: Vec<String>,
    /// `ssl_cipher_suites` by the JDK's names, preferred first; empty means all.
    pub cipher_suites: Vec<String>,
}

impl ServerTls {
    /// Reads the files and makes the configuration.
    ///
    /// # Errors
    /// When an option or a file can't be used; see [`TlsReason`].
    pub fn build(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let (provider, versions) = ciphers::provider(&self.supported_protocols, &self.cipher_suites)?;
        let identity = self.identity.load(&provider)?;
        let identity =
            identity.ok_or_else(|| TlsError::new("ssl_enabled", TlsReason::Needs("ssl_certificate")))?;
        let verifier = self.client_verifier(&provider)?;
        let failed = |error: rustls::Error| {
            TlsError::new("ssl_supported_protocols", TlsReason::Unsupported(error.to_string()))
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(failed)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        // The order of `ssl_cipher_suites` is the administrator's.
        config.ignore_client_order = !self.cipher_suites.is_empty();
        Ok(Arc::new(config))
    }

    fn client_verifier(
        &self,
        provider: &Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        if self.client_authentication == ClientAuthentication::None {
            // Read all the same: a file that is missing is an error, whether needed or not.
            self.trust.load()?;
            return Ok(Arc::new(NoClientAuth));
        }
        if self.trust.is_empty() && !self.trust_system {
            let reason = TlsReason::Needs(trust::AUTHORITIES);
            return Err(TlsError::new("ssl_client_authentication", reason));
        }
        let trusted = if self.trust.is_empty() { Trusted::system()? } else { self.trust.load()? };
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(trusted.roots), provider.clone());
        if self.client_authentication == ClientAuthentication::Optional {
            builder = builder.allow_unauthenticated();
        }
        let chains = builder
            .build()
            .map_err(|error| TlsError::new(trust::AUTHORITIES, TlsReason::Malformed(error.to_string())))?;
        Ok(Arc::new(ListedClients::new(chains, trusted.certificates)))
    }
}
