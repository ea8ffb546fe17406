//! Logstash's `ssl_*` options as rustls configurations.
//!
//! A plugin fills a [`ServerTls`] or a [`ClientTls`] from its options and calls `build`. Everything that can be
//! wrong is found there, before a socket exists, and each error names the option, the file and the reason.
//!
//! Three choices differ from what rustls does by itself, because existing Logstash set-ups rely on them:
//! * a certificate that is itself listed among the trusted ones is trusted, even when it is marked as a
//!   certificate authority (what `openssl req -x509` makes, and many people deploy);
//! * a certificate without alternative names is matched by its common name;
//! * `ca_trusted_fingerprint` trusts a chain that holds the fingerprinted certificate.
//!
//! The provider is aws-lc-rs, handed to each configuration; the process-wide default is never set or read.

mod ciphers;
mod client;
mod error;
mod identity;
mod options;
mod peer;
mod pem;
mod server;
mod store;
mod trust;
mod verify;

pub use client::ClientTls;
pub use error::{TlsError, TlsReason};
pub use identity::Identity;
pub use options::{ClientAuthentication, UnknownChoice, VerificationMode};
pub use peer::TlsPeer;
pub use server::ServerTls;
pub use store::{Store, StoreKind};
pub use trust::Trust;
pub(crate) use verify::explain;

/// The largest certificate, key or store file that is read.
pub const FILE_SIZE_MAX: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests;
