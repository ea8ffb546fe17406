//! One outgoing connection, under one time limit, with errors that say where to.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::stream::ByteStream;
use crate::tls;

/// A host and a port. Displayed as `host:port`, IPv6 addresses in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// An endpoint; an IPv6 address may come with or without brackets.
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: bare.to_owned(), port }
    }

    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a connection could not be made. Nothing has been sent over it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("{endpoint}: the host name can't be resolved: {reason}")]
    Resolve {
        /// Where to.
        endpoint: Endpoint,
        /// The resolver's words.
        reason: String,
    },
    /// Nobody listens there.
    #[error("{endpoint}: connection refused")]
    Refused {
        /// Where to.
        endpoint: Endpoint,
    },
    /// No connection within the limit.
    #[error("{endpoint}: no connection within {after:?}")]
    Timeout {
        /// Where to.
        endpoint: Endpoint,
        /// The limit.
        after: Duration,
    },
    /// The TLS handshake failed.
    #[error("{endpoint}: TLS handshake failed: {reason}")]
    Tls {
        /// Where to.
        endpoint: Endpoint,
        /// What was wrong, in an administrator's words.
        reason: String,
    },
    /// The proxy did not let us through.
    #[error("{endpoint}: the proxy {proxy} answered {status}")]
    Proxy {
        /// Where to.
        endpoint: Endpoint,
        /// The proxy.
        proxy: Endpoint,
        /// What the proxy said: a status, or how it failed.
        status: String,
    },
    /// Anything else the network reports (unreachable, reset).
    #[error("{endpoint}: {reason}")]
    Io {
        /// Where to.
        endpoint: Endpoint,
        /// The system's words.
        reason: String,
    },
}

/// The TLS side of a connection to be made.
#[derive(Debug, Clone)]
pub struct DialTls {
    /// What [`tls::ClientTls::build`] made.
    pub config: Arc<ClientConfig>,
    /// The name to ask for (SNI) and to verify, when it is not the endpoint's host.
    pub server_name: Option<String>,
}

/// Connects over TCP (each address of the host in turn) and, if asked, TLS.
///
/// # Errors
/// See [`DialError`]; `limit` covers name resolution, connection and handshake together.
pub async fn dial(
    endpoint: &Endpoint,
    tls: Option<&DialTls>,
    limit: Duration,
) -> Result<ByteStream, DialError> {
    let connect = async {
        let tcp = connect_tcp(endpoint).await?;
        match tls {
            Some(tls) => handshake(tcp, endpoint, tls).await,
            None => Ok(ByteStream::Plain(tcp)),
        }
    };
    timeout(limit, connect).await.unwrap_or_else(|_| timed_out(endpoint, limit))
}

pub(crate) fn timed_out<T>(endpoint: &Endpoint, after: Duration) -> Result<T, DialError> {
    Err(DialError::Timeout { endpoint: endpoint.clone(), after })
}

pub(crate) async fn connect_tcp(endpoint: &Endpoint) -> Result<TcpStream, DialError> {
    let unresolved = |reason: String| DialError::Resolve { endpoint: endpoint.clone(), reason };
    let addresses = tokio::net::lookup_host((endpoint.host(), endpoint.port()))
        .await
        .map_err(|error| unresolved(error.to_string()))?;
    let mut last = unresolved("it has no address".to_owned());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                // Whole requests are written at once; waiting for more only delays their end.
                tcp.set_nodelay(true).map_err(|error| io_error(endpoint, &error))?;
                return Ok(tcp);
            }
            Err(error) => last = io_error(endpoint, &error),
        }
    }
    Err(last)
}

/// The client's side of a TLS handshake on a fresh connection.
pub(crate) async fn handshake(
    tcp: TcpStream,
    endpoint: &Endpoint,
    tls: &DialTls,
) -> Result<ByteStream, DialError> {
    let failed = |reason: String| DialError::Tls { endpoint: endpoint.clone(), reason };
    let name = tls.server_name.as_deref().unwrap_or(endpoint.host());
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| failed(format!("`{name}` is not a valid host name")))?;
    match TlsConnector::from(tls.config.clone()).connect(name, tcp).await {
        Ok(stream) => Ok(ByteStream::TlsClient(Box::new(stream))),
        Err(error) => Err(failed(tls_cause(&error).unwrap_or_else(|| error.to_string()))),
    }
}

pub(crate) fn io_error(endpoint: &Endpoint, error: &io::Error) -> DialError {
    let endpoint = endpoint.clone();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused { endpoint },
        _ => DialError::Io { endpoint, reason: error.to_string() },
    }
}

/// The TLS failure that an input or output error carries, if it does.
pub(crate) fn tls_cause(error: &io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref::<rustls::Error>().map(tls::explain)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    #[test]
    fn an_address_is_shown_as_it_is_dialled() {
        assert_eq!(Endpoint::new("es1", 9200).to_string(), "es1:9200");
        assert_eq!(Endpoint::new("[::1]", 9200).to_string(), "[::1]:9200");
        assert_eq!(Endpoint::new("::1", 9200).host(), "::1");
    }

    #[tokio::test]
    async fn a_closed_port_is_refused_by_name() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new("127.0.0.1", socket.local_addr().unwrap().port());
        assert!(dial(&endpoint, None, LIMIT).await.is_ok());
        drop(socket);
        let error = dial(&endpoint, None, LIMIT).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{endpoint}: connection refused"));
    }

    #[tokio::test]
    async fn a_silent_server_does_not_hold_the_handshake() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new("127.0.0.1", socket.local_addr().unwrap().port());
        let config = crate::testing::Authority::new().client().build().unwrap();
        let tls = DialTls { config, server_name: None };
        let error = dial(&endpoint, Some(&tls), LIMIT).await.unwrap_err();
        assert!(matches!(error, DialError::Timeout { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_unknown_host_is_a_resolver_error() {
        let endpoint = Endpoint::new("no-such-host.invalid", 9200);
        let error = dial(&endpoint, None, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(error, DialError::Resolve { .. }), "{error}");
        assert!(error.to_string().starts_with("no-such-host.invalid:9200: "));
    }
}
