//! The HTTP client of the bulk outputs.
//!
//! One [`HttpClient`] per output: a pool of kept-alive HTTP/1.1 connections with a bound per host, one limit for
//! connecting and one for the whole request, a proxy, default headers, and answers that are decoded and bounded.
//! It follows no redirects and repeats nothing that reached a server: what to do with a failure is the output's
//! decision, for which [`HttpError`] says what happened and where.

mod connector;
mod error;
mod options;
mod request;
mod response;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{ACCEPT_ENCODING, HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::uri::Scheme;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use self::connector::Connector;
pub use self::error::HttpError;
pub use self::options::{
    CONNECT_TIMEOUT, HttpOptions, POOL_IDLE_TIMEOUT, POOL_MAX_PER_HOST, Proxy, ProxyError, REQUEST_TIMEOUT,
    RESPONSE_SIZE_MAX,
};
pub use self::request::{Chunks, HttpRequest, InvalidRequest, basic_authorization, secret_value};
pub use self::response::HttpResponse;
use crate::dial::Endpoint;

/// Hosts whose bounds are remembered; beyond, those not in use at the moment are forgotten.
const HOSTS_MAX: usize = 1024;

/// A client with its own connections. Clones share them.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<Connector, Chunks>,
    options: Arc<HttpOptions>,
    hosts: Arc<Mutex<HashMap<Endpoint, Arc<Semaphore>>>>,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").field("options", &self.options).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// A client; connects when the first request comes.
    pub fn new(options: HttpOptions) -> Self {
        let options = Arc::new(options);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.pool_idle_timeout)
            .pool_max_idle_per_host(options.pool_max_per_host)
            .build(Connector::new(options.clone()));
        Self { client, options, hosts: Arc::default() }
    }

    /// Sends a request and reads the whole answer, whatever its status. The request's limit includes the wait
    /// for a free connection.
    ///
    /// # Errors
    /// When no complete answer came; see [`HttpError`].
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let endpoint = request.endpoint().clone();
        let limit = self.options.request_timeout;
        match timeout(limit, self.exchange(request, &endpoint)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::Timeout { endpoint, after: limit }),
        }
    }

    async fn exchange(&self, request: HttpRequest, endpoint: &Endpoint) -> Result<HttpResponse, HttpError> {
        let _permit = self.permit(endpoint).await?;
        let request = self.complete(request.into_http());
        let answer = self.client.request(request).await;
        let (head, body) = answer.map_err(|error| HttpError::of_client(endpoint, &error))?.into_parts();
        let body = response::read(&head.headers, body, self.options.response_size_max, endpoint).await?;
        Ok(HttpResponse { status: head.status, headers: head.headers, body })
    }

    /// What the options add to each request; the request's own headers win.
    fn complete(&self, mut request: http::Request<Chunks>) -> http::Request<Chunks> {
        let plain = request.uri().scheme() == Some(&Scheme::HTTP);
        let proxy = self.options.proxy.as_ref().and_then(Proxy::authorization).filter(|_| plain);
        let headers = request.headers_mut();
        for (name, value) in &self.options.headers {
            // `Host` belongs to the address; a default for all addresses would be wrong for most.
            if !headers.contains_key(name) && name != HOST {
                headers.insert(name.clone(), value.clone());
            }
        }
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        if let Some(authorization) = proxy {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        request
    }

    async fn permit(&self, endpoint: &Endpoint) -> Result<OwnedSemaphorePermit, HttpError> {
        let semaphore = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            if hosts.len() >= HOSTS_MAX && !hosts.contains_key(endpoint) {
                hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
            }
            let bound = self.options.pool_max_per_host.clamp(1, Semaphore::MAX_PERMITS);
            hosts.entry(endpoint.clone()).or_insert_with(|| Arc::new(Semaphore::new(bound))).clone()
        };
        semaphore.acquire_owned().await.map_err(|_| HttpError::Closed { endpoint: endpoint.clone() })
    }
}

#[cfg(test)]
mod tests;
