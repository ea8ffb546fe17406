//! The options of a client.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Uri};

use super::request::{basic_authorization, split_user_info};
use crate::dial::{DialTls, Endpoint};

/// Time to connect, with name resolution, proxy and TLS handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a whole request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that an unused connection is kept.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections per host, used and unused ones; the elasticsearch output's `pool_max_per_route`.
pub const POOL_MAX_PER_HOST: usize = 100;
/// The largest answer, in bytes, after decompression. A bulk answer is about as large as its request.
pub const RESPONSE_SIZE_MAX: usize = 256 * 1024 * 1024;

/// How to connect, how long to wait, what to add to each request.
#[derive(Clone)]
pub struct HttpOptions {
    /// TLS for `https`; without it such requests fail.
    pub tls: Option<DialTls>,
    /// Time to connect, with name resolution, proxy and TLS handshake.
    pub connect_timeout: Duration,
    /// Time for a whole request, with the wait for a connection and the answer's last byte.
    pub request_timeout: Duration,
    /// Connections per host; further requests wait.
    pub pool_max_per_host: usize,
    /// Time that an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// The proxy between us and every host.
    pub proxy: Option<Proxy>,
    /// Headers of every request that doesn't set them itself.
    pub headers: HeaderMap,
    /// The largest answer, in bytes, after decompression; a larger one is an error.
    pub response_size_max: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            tls: None,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            pool_max_per_host: POOL_MAX_PER_HOST,
            pool_idle_timeout: POOL_IDLE_TIMEOUT,
            proxy: None,
            headers: HeaderMap::new(),
            response_size_max: RESPONSE_SIZE_MAX,
        }
    }
}

impl fmt::Debug for HttpOptions {
    /// Without header values: `api-key` and the like are secrets too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("tls", &self.tls.is_some())
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("pool_max_per_host", &self.pool_max_per_host)
            .field("pool_idle_timeout", &self.pool_idle_timeout)
            .field("proxy", &self.proxy)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("response_size_max", &self.response_size_max)
            .finish()
    }
}

/// An HTTP proxy: `CONNECT` for `https`, whole addresses for `http`.
#[derive(Clone)]
pub struct Proxy {
    endpoint: Endpoint,
    authorization: Option<HeaderValue>,
}

/// A proxy address that can't be used. The address is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not `http://host:port`.
    #[error("the proxy's address is not of the form http://[user:password@]host[:port]")]
    Malformed,
    /// `https://` or `socks5://`.
    #[error("only http:// proxies are supported")]
    Scheme,
}

impl Proxy {
    /// A proxy by address, `http://[user:password@]host[:port]`; the port is 80 by default.
    ///
    /// # Errors
    /// When the address has another form.
    pub fn parse(address: &str) -> Result<Self, ProxyError> {
        let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let (address, user) = split_user_info(&address);
        let uri: Uri = address.parse().map_err(|_| ProxyError::Malformed)?;
        if uri.scheme_str() != Some("http") {
            return Err(ProxyError::Scheme);
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(ProxyError::Malformed)?;
        let authorization = user.map(|(user, password)| basic_authorization(&user, &password));
        Ok(Self { endpoint: Endpoint::new(host, uri.port_u16().unwrap_or(80)), authorization })
    }

    /// The same proxy with credentials from elsewhere.
    #[must_use]
    pub fn with_credentials(mut self, user: &str, password: &str) -> Self {
        self.authorization = Some(basic_authorization(user, password));
        self
    }

    /// The proxy's host and port.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_address_gives_endpoint_and_credentials() {
        let proxy = Proxy::parse("http://squid:p%40ss@proxy.example:3128").unwrap();
        assert_eq!(proxy.endpoint(), &Endpoint::new("proxy.example", 3128));
        assert_eq!(proxy.authorization(), Some(&basic_authorization("squid", "p@ss")));
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy.example:3128)");
        assert_eq!(Proxy::parse("proxy.example").unwrap().endpoint().port(), 80);
    }

    #[test]
    fn other_proxies_are_refused_without_showing_the_password() {
        assert_eq!(Proxy::parse("socks5://u:secret@p:1080").unwrap_err(), ProxyError::Scheme);
        assert_eq!(Proxy::parse("http://u:secret@").unwrap_err(), ProxyError::Malformed);
    }
}
