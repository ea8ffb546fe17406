//! Certificates made on the spot, for tests.
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! let authority = ferrostash_net::testing::Authority::new();
//! let server = authority.server(); // for localhost, 127.0.0.1 and ::1
//! let client = authority.client();
//! assert!(server.build().is_ok() && client.build().is_ok());
//! # }
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::new_without_default,
    reason = "a test that can't make its certificates ends there"
)]

use std::path::{Path, PathBuf};

use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode;
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2::Parameters;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::tls::{ClientAuthentication, ClientTls, Identity, ServerTls, Trust};

/// A certificate authority with a folder of its own for the files, removed with it.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in files and as text.
#[derive(Debug, Clone)]
pub struct Issued {
    /// File of the certificate, PEM.
    pub certificate: PathBuf,
    /// File of the key, PKCS#8 PEM.
    pub key: PathBuf,
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The key, PKCS#8 PEM.
    pub key_pem: String,
    key_der: Vec<u8>,
}

impl Authority {
    /// A new authority. All have the same name, as a renewed one has.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = subject("Test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// File of the authority's certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// The authority's certificate as text, PEM.
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// SHA-256 of the authority's certificate, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        Sha256::digest(self.issuer.der()).iter().map(|byte| format!("{byte:02X}")).collect()
    }

    /// A certificate with `name` as its common name and the given alternative names (hosts, addresses).
    pub fn issue(&self, name: &str, alternatives: &[&str]) -> Issued {
        self.issue_with(name, alternatives, |_| {})
    }

    /// A certificate whose time ended in 2020.
    pub fn issue_expired(&self, name: &str, alternatives: &[&str]) -> Issued {
        self.issue_with(name, alternatives, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    /// A certificate that signs itself and is marked as an authority, as `openssl req -x509` makes it.
    pub fn self_signed(&self, name: &str, alternatives: &[&str]) -> Issued {
        let mut params = params(name, alternatives);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.write(name, &certificate.pem(), &key)
    }

    /// Server options with a certificate for localhost; clients need none.
    pub fn server(&self) -> ServerTls {
        ServerTls {
            identity: self.issue("localhost", &["localhost", "127.0.0.1", "::1"]).identity(),
            ..ServerTls::default()
        }
    }

    /// Server options that ask for client certificates of this authority.
    pub fn server_asking(&self, client_authentication: ClientAuthentication) -> ServerTls {
        ServerTls { trust: Trust::pem(self.certificate()), client_authentication, ..self.server() }
    }

    /// Client options that trust this authority.
    pub fn client(&self) -> ClientTls {
        ClientTls { trust: Trust::pem(self.certificate()), ..ClientTls::default() }
    }

    /// Client options with a certificate of the given common name.
    pub fn client_as(&self, name: &str) -> ClientTls {
        ClientTls { identity: self.issue(name, &[]).identity(), ..self.client() }
    }

    fn issue_with(
        &self,
        name: &str,
        alternatives: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let mut params = params(name, alternatives);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(name, &certificate.pem(), &key)
    }

    fn write(&self, name: &str, certificate_pem: &str, key: &KeyPair) -> Issued {
        let issued = Issued {
            certificate: self.folder.path().join(format!("{name}.crt")),
            key: self.folder.path().join(format!("{name}.key")),
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        };
        std::fs::write(&issued.certificate, &issued.certificate_pem).unwrap();
        std::fs::write(&issued.key, &issued.key_pem).unwrap();
        issued
    }
}

impl Issued {
    /// The two files as options.
    pub fn identity(&self) -> Identity {
        Identity::pem(&self.certificate, &self.key)
    }

    /// The key as encrypted PKCS#8 PEM (PBES2, AES-256), with few rounds and a fixed salt: for tests alone.
    pub fn encrypted_key_pem(&self, passphrase: &str) -> String {
        let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(1000, &[7; 16], [9; 16]).unwrap();
        let key = PrivateKeyInfoRef::from_der(&self.key_der).unwrap();
        let encrypted = key.encrypt_with_params(parameters, passphrase).unwrap();
        encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap().to_string()
    }
}

fn params(name: &str, alternatives: &[&str]) -> CertificateParams {
    let alternatives: Vec<_> = alternatives.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(alternatives).unwrap();
    params.distinguished_name = subject(name);
    params
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Acme, Inc.");
    subject.push(DnType::CommonName, name);
    subject
}
