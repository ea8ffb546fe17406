//! New connections for the pool: direct, by way of a proxy, with or without TLS.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::uri::{Authority, Scheme};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::upgrade::Parts;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::options::{HttpOptions, Proxy};
use crate::dial::{DialError, Endpoint, connect_tcp, handshake, timed_out};
use crate::stream::ByteStream;

/// Makes the connections of one client.
#[derive(Clone)]
pub(super) struct Connector {
    options: Arc<HttpOptions>,
}

impl Connector {
    pub(super) fn new(options: Arc<HttpOptions>) -> Self {
        Self { options }
    }

    async fn connect(&self, uri: &Uri) -> Result<Pooled, DialError> {
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host().unwrap_or_default();
        let endpoint = Endpoint::new(host, uri.port_u16().unwrap_or(if secure { 443 } else { 80 }));
        let limit = self.options.connect_timeout;
        let connect =
            async { if secure { self.secure(&endpoint).await } else { self.plain(&endpoint).await } };
        timeout(limit, connect).await.unwrap_or_else(|_| timed_out(&endpoint, limit))
    }

    async fn plain(&self, endpoint: &Endpoint) -> Result<Pooled, DialError> {
        let tcp = match &self.options.proxy {
            Some(proxy) => reach(proxy, endpoint).await?,
            None => connect_tcp(endpoint).await?,
        };
        Ok(Pooled::new(ByteStream::Plain(tcp), self.options.proxy.is_some()))
    }

    async fn secure(&self, endpoint: &Endpoint) -> Result<Pooled, DialError> {
        let tls = self.options.tls.as_ref().ok_or_else(|| DialError::Tls {
            endpoint: endpoint.clone(),
            reason: "https is asked for, and TLS is not configured".to_owned(),
        })?;
        let tcp = match &self.options.proxy {
            Some(proxy) => tunnel(proxy, endpoint).await?,
            None => connect_tcp(endpoint).await?,
        };
        // Inside a tunnel we speak with the host itself, not with the proxy.
        Ok(Pooled::new(handshake(tcp, endpoint, tls).await?, false))
    }
}

impl Service<Uri> for Connector {
    type Response = Pooled;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Pooled, DialError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await })
    }
}

/// Connects to the proxy; failures are those of the way to `endpoint`.
async fn reach(proxy: &Proxy, endpoint: &Endpoint) -> Result<TcpStream, DialError> {
    connect_tcp(proxy.endpoint()).await.map_err(|error| refused(proxy, endpoint, &error))
}

fn refused(proxy: &Proxy, endpoint: &Endpoint, status: &dyn std::fmt::Display) -> DialError {
    DialError::Proxy {
        endpoint: endpoint.clone(),
        proxy: proxy.endpoint().clone(),
        status: status.to_string(),
    }
}

/// Has the proxy connect us through to `endpoint`.
async fn tunnel(proxy: &Proxy, endpoint: &Endpoint) -> Result<TcpStream, DialError> {
    let tcp = reach(proxy, endpoint).await?;
    let failed = |error: hyper::Error| refused(proxy, endpoint, &error);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.map_err(failed)?;
    // Ends by itself: with the upgrade, or when `sender` and the answer are dropped.
    tokio::spawn(connection.with_upgrades());
    let request = connect_request(proxy, endpoint).map_err(|error| refused(proxy, endpoint, &error))?;
    let answer = sender.send_request(request).await.map_err(failed)?;
    if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(refused(proxy, endpoint, &"407: it asks for user and password"));
    }
    if !answer.status().is_success() {
        return Err(refused(proxy, endpoint, &answer.status()));
    }
    match hyper::upgrade::on(answer).await.map_err(failed)?.downcast::<TokioIo<TcpStream>>() {
        // A TLS server waits for us to begin; whatever speaks first is something else.
        Ok(Parts { io, read_buf, .. }) if read_buf.is_empty() => Ok(io.into_inner()),
        _ => Err(refused(proxy, endpoint, &"with data that nobody asked for")),
    }
}

fn connect_request(proxy: &Proxy, endpoint: &Endpoint) -> Result<Request<Empty<Bytes>>, http::Error> {
    let authority = Authority::try_from(endpoint.to_string())?;
    let mut request = Request::builder().method(Method::CONNECT).header(HOST, authority.as_str());
    if let Some(authorization) = proxy.authorization() {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    request.uri(Uri::from(authority)).body(Empty::new())
}

/// A connection in the pool.
pub(super) struct Pooled {
    stream: TokioIo<ByteStream>,
    proxied: bool,
}

impl Pooled {
    fn new(stream: ByteStream, proxied: bool) -> Self {
        Self { stream: TokioIo::new(stream), proxied }
    }
}

impl Connection for Pooled {
    /// A proxied connection gets whole addresses instead of paths.
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl Read for Pooled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Pooled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
