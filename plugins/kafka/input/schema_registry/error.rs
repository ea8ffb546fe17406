//! Why there is no schema.

use http::StatusCode;

/// Why the registry gave nothing that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("Schema registry service doesn't respond, error: {0}")]
    Unreachable(String),
    /// An answer that says nothing about the schema: the login is refused, the registry or something before it fails.
    #[error("the answer of the schema registry to GET {path} is {status}{}", said(.message))]
    Refused { path: String, status: StatusCode, message: String },
    /// The registry says that it can't give this schema.
    #[error("the schema registry does not have {path}{}", said(.message))]
    Missing { path: String, message: String },
    #[error("the schema {id} of the registry can't be used: {reason}")]
    Unusable { id: u32, reason: String },
    #[error("The schema registry does not contain definitions for required topic subjects: {0:?}")]
    Subjects(Vec<String>),
}

impl RegistryError {
    /// Whether the same question can have another answer later.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Refused { .. } => true,
            Self::Missing { .. } | Self::Unusable { .. } | Self::Subjects(_) => false,
        }
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
