//! Requests, and bodies that are never copied.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use http::{HeaderMap, Method, Request, Uri};
use hyper::body::{Body, Frame, SizeHint};

use crate::dial::Endpoint;

/// A body of chunks, sent in order as they are. Its length is known, so it goes out with `Content-Length`.
#[derive(Debug, Clone, Default)]
pub struct Chunks(VecDeque<Bytes>);

impl From<Bytes> for Chunks {
    fn from(body: Bytes) -> Self {
        Self(VecDeque::from([body]))
    }
}

impl From<Vec<Bytes>> for Chunks {
    fn from(body: Vec<Bytes>) -> Self {
        Self(body.into())
    }
}

impl Chunks {
    /// The chunks, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    /// Their length together, in bytes.
    pub fn byte_len(&self) -> usize {
        self.iter().map(Bytes::len).sum()
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

/// A request that can't be sent. The address is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// Not an absolute address.
    #[error("the address is not of the form http[s]://host[:port]/path")]
    Address,
    /// Another scheme.
    #[error("only http:// and https:// addresses can be requested")]
    Scheme,
}

/// A request to be sent.
#[derive(Clone)]
pub struct HttpRequest {
    method: Method,
    uri: Uri,
    endpoint: Endpoint,
    headers: HeaderMap,
    body: Chunks,
}

impl HttpRequest {
    /// A request without a body. User and password of the address become an `Authorization` header.
    ///
    /// # Errors
    /// When the address is not an absolute one of `http` or `https`.
    pub fn new(method: Method, address: &str) -> Result<Self, InvalidRequest> {
        let (address, user) = split_user_info(address);
        let uri: Uri = address.parse().map_err(|_| InvalidRequest::Address)?;
        let port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            Some(_) => return Err(InvalidRequest::Scheme),
            None => return Err(InvalidRequest::Address),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(InvalidRequest::Address)?;
        let endpoint = Endpoint::new(host, uri.port_u16().unwrap_or(port));
        let mut request = Self { method, uri, endpoint, headers: HeaderMap::new(), body: Chunks::default() };
        if let Some((user, password)) = user {
            request.headers.insert(AUTHORIZATION, basic_authorization(&user, &password));
        }
        Ok(request)
    }

    /// Sets a header; those that carry secrets are marked, so that nothing prints them.
    #[must_use]
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        if [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(&name) {
            value.set_sensitive(true);
        }
        self.headers.insert(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Chunks>) -> Self {
        self.body = body.into();
        self
    }

    /// Where it goes.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Its address; the user and password that stood in it are not part of it.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Its own headers; the client adds those that its options name.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body.
    pub fn chunks(&self) -> &Chunks {
        &self.body
    }

    pub(super) fn into_http(self) -> Request<Chunks> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

impl fmt::Debug for HttpRequest {
    /// Method, host and path only: queries and headers may hold secrets, bodies hold data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.endpoint, self.uri.path())
    }
}

/// The value of an `Authorization` header for user and password, marked as a secret.
pub fn basic_authorization(user: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    // Base64 has no character that a header can't carry.
    let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// A header value such as `ApiKey …` that nothing prints; `None` if it holds a control character.
pub fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes `user:password@` out of an address.
pub(super) fn split_user_info(address: &str) -> (String, Option<(String, String)>) {
    let Some((scheme, rest)) = address.split_once("://") else { return (address.to_owned(), None) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user_info, host)) = authority.rsplit_once('@') else { return (address.to_owned(), None) };
    let path = rest.get(authority.len()..).unwrap_or_default();
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    (format!("{scheme}://{host}{path}"), Some((percent_decode(user), percent_decode(password))))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_an_address_become_a_header_and_are_never_shown() {
        let request = HttpRequest::new(Method::POST, "https://elastic:s%3Acret@es1:9200/_bulk?x=1").unwrap();
        assert_eq!(format!("{request:?}"), "POST es1:9200/_bulk");
        let http = request.into_http();
        assert_eq!(http.uri().to_string(), "https://es1:9200/_bulk?x=1");
        assert_eq!(http.headers().get(AUTHORIZATION), Some(&basic_authorization("elastic", "s:cret")));
        assert!(!format!("{http:?}").contains("Basic"));
    }

    #[test]
    fn an_address_needs_scheme_and_host() {
        let error = |address: &str| HttpRequest::new(Method::GET, address).unwrap_err();
        assert_eq!(error("es1:9200"), InvalidRequest::Address);
        assert_eq!(error("/path"), InvalidRequest::Address);
        assert_eq!(error("ftp://host/"), InvalidRequest::Scheme);
        let port = |address: &str| HttpRequest::new(Method::GET, address).unwrap().endpoint().to_string();
        assert_eq!((port("http://h"), port("https://[::1]/")), ("h:80".to_owned(), "[::1]:443".to_owned()));
    }

    #[test]
    fn a_secret_value_is_not_printed() {
        assert_eq!(format!("{:?}", secret_value("ApiKey abc").unwrap()), "Sensitive");
        assert_eq!(secret_value("a\nb"), None);
    }
}
