//! Why there is no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::dial::{DialError, Endpoint, tls_cause};

/// Why a request has no answer. Each says host and port; none holds a header, a body or a query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// No connection; the request certainly reached nobody.
    #[error(transparent)]
    Connect(DialError),
    /// The TLS session failed after the handshake (as when a server refuses our certificate).
    #[error("{endpoint}: TLS failed: {reason}")]
    Tls {
        /// Where to.
        endpoint: Endpoint,
        /// What was wrong.
        reason: String,
    },
    /// No complete answer within the limit. The server may have done what was asked.
    #[error("{endpoint}: no answer within {after:?}")]
    Timeout {
        /// Where to.
        endpoint: Endpoint,
        /// The limit.
        after: Duration,
    },
    /// The connection ended before the answer. The server may have done what was asked.
    #[error("{endpoint}: the connection was closed before the answer was complete")]
    Closed {
        /// Where to.
        endpoint: Endpoint,
    },
    /// The answer is above the limit. The server may have done what was asked.
    #[error("{endpoint}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// Where to.
        endpoint: Endpoint,
        /// The limit.
        limit: usize,
    },
    /// What came is not HTTP, or not what its headers say.
    #[error("{endpoint}: {reason}")]
    Protocol {
        /// Where to.
        endpoint: Endpoint,
        /// What was wrong.
        reason: String,
    },
}

impl HttpError {
    /// Whether the request certainly reached nobody, so that repeating it can do nothing twice.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Connect(_))
    }

    pub(super) fn of_client(endpoint: &Endpoint, error: &hyper_util::client::legacy::Error) -> Self {
        match find::<DialError>(error) {
            Some(dial) => Self::Connect(dial.clone()),
            None => Self::of_exchange(endpoint, error),
        }
    }

    pub(super) fn of_exchange(endpoint: &Endpoint, error: &(dyn Error + 'static)) -> Self {
        let endpoint = endpoint.clone();
        let io = find::<io::Error>(error);
        if let Some(reason) = io.and_then(tls_cause) {
            return Self::Tls { endpoint, reason };
        }
        let ended = find::<hyper::Error>(error)
            .is_some_and(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled());
        if ended || io.is_some_and(is_hang_up) {
            return Self::Closed { endpoint };
        }
        Self::Protocol { endpoint, reason: innermost(error).to_string() }
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    std::iter::successors(Some(error), |&error| error.source()).last().unwrap_or(error)
}
