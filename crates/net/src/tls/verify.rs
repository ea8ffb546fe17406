//! Checking the certificates that peers present.
//!
//! rustls' own verifiers do the work; the two here add what Logstash users rely on (see the module above) and
//! leave out what `ssl_verification_mode` says to leave out.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;

use super::options::VerificationMode;
use super::trust::Trusted;

/// What a client checks of its server.
#[derive(Debug)]
pub(super) struct ServerCheck {
    mode: VerificationMode,
    trusted: Trusted,
    fingerprints: Vec<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCheck {
    pub(super) fn new(
        mode: VerificationMode,
        trusted: Trusted,
        fingerprints: Vec<[u8; 32]>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { mode, trusted, fingerprints, algorithms }
    }

    fn chain(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.trusted.certificates.contains(own) || self.fingerprinted(own) {
            return valid_at(own, now);
        }
        let refused = match self.signed_by(own, &self.trusted.roots, chain, now) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        for authority in chain.iter().filter(|certificate| self.fingerprinted(certificate)) {
            if !parse(authority)?.is_ca() {
                continue;
            }
            valid_at(authority, now)?;
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone().into_owned())?;
            if self.signed_by(own, &roots, chain, now).is_ok() {
                return Ok(());
            }
        }
        Err(refused)
    }

    fn signed_by(
        &self,
        own: &CertificateDer<'_>,
        roots: &RootCertStore,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let own = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(&own, roots, chain, now, self.algorithms.all)
    }

    fn fingerprinted(&self, certificate: &CertificateDer<'_>) -> bool {
        !self.fingerprints.is_empty() && {
            let digest: [u8; 32] = Sha256::digest(certificate).into();
            self.fingerprints.contains(&digest)
        }
    }
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.mode != VerificationMode::None {
            self.chain(own, chain, now)?;
        }
        if self.mode == VerificationMode::Full {
            verify_name(own, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.mode == VerificationMode::None {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.mode == VerificationMode::None {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What a server checks of its clients: chains, and certificates listed as they are.
#[derive(Debug)]
pub(super) struct ListedClients {
    chains: Arc<dyn ClientCertVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl ListedClients {
    pub(super) fn new(chains: Arc<dyn ClientCertVerifier>, listed: Vec<CertificateDer<'static>>) -> Self {
        Self { chains, listed }
    }
}

impl ClientCertVerifier for ListedClients {
    fn client_auth_mandatory(&self) -> bool {
        self.chains.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.listed.contains(own) {
            return valid_at(own, now).map(|()| ClientCertVerified::assertion());
        }
        self.chains.verify_client_cert(own, chain, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// A certificate that is trusted as it is must still be in its time.
fn valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = parse(certificate)?.validity().clone();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

fn verify_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let refused = match verify_server_name(&ParsedCertificate::try_from(certificate)?, name) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let parsed = parse(certificate)?;
    let alternatives = parsed.subject_alternative_name().ok().flatten().is_some();
    match name {
        ServerName::DnsName(host) if !alternatives && has_common_name(&parsed, host.as_ref()) => Ok(()),
        _ => Err(refused),
    }
}

fn has_common_name(certificate: &X509Certificate<'_>, host: &str) -> bool {
    let mut names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    names.any(|name| match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
        None => name.eq_ignore_ascii_case(host),
    })
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|_| CertificateError::BadEncoding.into())
}

/// A TLS failure in an administrator's words.
pub(crate) fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the certificate is not signed by a trusted authority (`ssl_certificate_authorities`)".to_owned()
        }
        // A signature is only compared with an authority of the right name: most likely a former one.
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the certificate is not signed by a trusted authority (`ssl_certificate_authorities`), \
             though one of the same name and with another key is trusted"
                .to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("the certificate is for another host ({error})"),
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the certificate has expired".to_owned()
        }
        Error::NoCertificatesPresented => "the peer presented no certificate".to_owned(),
        Error::InvalidMessage(_) => format!("the peer does not speak TLS ({error})"),
        Error::AlertReceived(alert) => format!("the peer refused the connection with alert {alert:?}"),
        _ => error.to_string(),
    }
}
