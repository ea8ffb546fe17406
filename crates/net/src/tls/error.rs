//! What can be wrong with TLS options.

use std::path::{Path, PathBuf};

/// A TLS option that can't be used, with the file it names, if any.
#[derive(Debug, thiserror::Error)]
#[error("`{option}`{}: {reason}", of_file(.file.as_deref()))]
pub struct TlsError {
    /// The option, in Logstash's words (`ssl_key`).
    pub option: &'static str,
    /// The file that the option names.
    pub file: Option<PathBuf>,
    /// What is wrong.
    pub reason: TlsReason,
}

/// Why an option can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsReason {
    /// There is no such file.
    #[error("no such file")]
    Missing,
    /// The file exists and can't be read.
    #[error("can't be read: {0}")]
    Unreadable(std::io::Error),
    /// The file is above [`super::FILE_SIZE_MAX`].
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// A certificate was expected.
    #[error("holds no certificate (neither PEM nor DER)")]
    NoCertificate,
    /// A private key was expected.
    #[error("holds no private key in PEM form")]
    NoKey,
    /// The content can't be parsed.
    #[error("{0}")]
    Malformed(String),
    /// Certificate and key belong to different pairs.
    #[error("the key does not match the certificate {0}")]
    KeyMismatch(String),
    /// The key or store is encrypted and no passphrase was given.
    #[error("encrypted: set `{0}`")]
    PassphraseNeeded(&'static str),
    /// The passphrase does not open the key or store.
    #[error("wrong passphrase (`{0}`)")]
    WrongPassphrase(&'static str),
    /// The certificate's time is over.
    #[error("the certificate of {subject} expired on {date}")]
    Expired {
        /// Whose certificate it is.
        subject: String,
        /// End of validity.
        date: String,
    },
    /// The certificate's time has not come.
    #[error("the certificate of {subject} is not valid before {date}")]
    NotYetValid {
        /// Whose certificate it is.
        subject: String,
        /// Start of validity.
        date: String,
    },
    /// The option needs another one.
    #[error("needs `{0}`")]
    Needs(&'static str),
    /// Two options exclude each other.
    #[error("can't be used together with `{0}`")]
    Conflict(&'static str),
    /// A known thing that is not supported.
    #[error("{0}")]
    Unsupported(String),
}

impl TlsError {
    pub(super) fn new(option: &'static str, reason: TlsReason) -> Self {
        Self { option, file: None, reason }
    }

    pub(super) fn file(option: &'static str, file: &Path, reason: TlsReason) -> Self {
        Self { option, file: Some(file.to_owned()), reason }
    }
}

fn of_file(file: Option<&Path>) -> String {
    file.map(|file| format!(" ({})", file.display())).unwrap_or_default()
}
