//! The nodes: which are alive, whose turn it is, and how the dead come back.
//!
//! A request goes to the node with the fewest requests under way, by turns. A node that gives no answer is dead until a
//! probe succeeds; an answer of whatever status proves it alive. Nothing is sent to a node that was never heard of.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrostash_net::http_client::{Chunks, HttpClient, HttpError, HttpRequest, HttpResponse};
use futures::future::join_all;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::{Notify, Semaphore};

use super::address::Address;
use super::product::{Flavour, Product};
use super::profile::Profile;

/// What serverless clusters want to be told with every request.
const API_VERSION: HeaderName = HeaderName::from_static("elastic-api-version");
const API_VERSION_VALUE: HeaderValue = HeaderValue::from_static("2023-10-31");

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// All nodes are dead.
    #[error("no node is alive")]
    NoNode,
    /// The node did not answer.
    #[error("{0}")]
    Unreachable(SendError),
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Http(HttpError),
    #[error("the request can't be signed: {0}")]
    Unsigned(String),
}

impl SendError {
    /// Whether the request certainly reached nobody.
    pub(super) fn is_unsent(&self) -> bool {
        match self {
            SendError::Http(error) => error.is_unsent(),
            SendError::Unsigned(_) => true,
        }
    }
}

/// The nodes of one output, shared by all its instances.
#[derive(Debug)]
pub(super) struct Nodes {
    client: HttpClient,
    profile: Profile,
    nodes: Vec<Node>,
    turn: AtomicUsize,
    /// Bounds the requests to all nodes together.
    requests: Semaphore,
    revived: Notify,
    product: Mutex<Option<Product>>,
}

#[derive(Debug)]
struct Node {
    address: Address,
    alive: AtomicBool,
    in_use: AtomicUsize,
}

/// One request on its way to a node.
struct InUse<'n>(&'n Node);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Nodes {
    /// Nodes of which nothing is known yet; `requests_max` are sent at a time.
    pub(super) fn new(
        addresses: Vec<Address>,
        client: HttpClient,
        profile: Profile,
        requests_max: usize,
    ) -> Nodes {
        let node = |address| Node { address, alive: AtomicBool::new(false), in_use: AtomicUsize::new(0) };
        Nodes {
            client,
            profile,
            nodes: addresses.into_iter().map(node).collect(),
            turn: AtomicUsize::new(0),
            requests: Semaphore::new(requests_max.clamp(1, Semaphore::MAX_PERMITS)),
            revived: Notify::new(),
            product: Mutex::new(None),
        }
    }

    /// What the cluster is, as the node that answered last says.
    pub(super) fn product(&self) -> Option<Product> {
        self.product.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a node is alive.
    pub(super) async fn some_alive(&self) {
        loop {
            let revived = self.revived.notified();
            if self.nodes.iter().any(Node::is_alive) {
                return;
            }
            revived.await;
        }
    }

    /// Sends a bulk request to the node whose turn it is.
    pub(super) async fn bulk(&self, headers: HeaderMap, body: Chunks) -> Result<HttpResponse, NoAnswer> {
        self.to_some_node(|address| request(Method::POST, &address.bulk, headers, body)).await
    }

    /// Asks the node whose turn it is for an API.
    pub(super) async fn api(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<HttpResponse, NoAnswer> {
        let body = body.map(|body| Chunks::from(bytes::Bytes::from(body))).unwrap_or_default();
        self.to_some_node(|address| request(method, &address.api(path), HeaderMap::new(), body)).await
    }

    async fn to_some_node(
        &self,
        request: impl FnOnce(&Address) -> Option<HttpRequest>,
    ) -> Result<HttpResponse, NoAnswer> {
        // Never closed.
        let _permit = self.requests.acquire().await;
        let node = self.choose().ok_or(NoAnswer::NoNode)?;
        let request = request(&node.0.address).ok_or(NoAnswer::NoNode)?;
        self.send(node.0, request).await.map_err(|error| {
            node.0.mark_dead(&error);
            NoAnswer::Unreachable(error)
        })
    }

    fn choose(&self) -> Option<InUse<'_>> {
        let alive = || self.nodes.iter().filter(|node| node.is_alive());
        let least = alive().map(|node| node.in_use.load(Ordering::Relaxed)).min()?;
        let free: Vec<&Node> = alive().filter(|node| node.in_use.load(Ordering::Relaxed) <= least).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let node = free.get(turn.checked_rem(free.len())?)?;
        node.in_use.fetch_add(1, Ordering::Relaxed);
        Some(InUse(node))
    }

    async fn send(&self, node: &Node, mut request: HttpRequest) -> Result<HttpResponse, SendError> {
        if let Some(authorization) = &node.address.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if self.product().is_some_and(|product| product.flavour == Flavour::Serverless) {
            request = request.header(API_VERSION, API_VERSION_VALUE);
        }
        if let Some(signer) = &self.profile.signer {
            request = signer.sign(request).await.map_err(SendError::Unsigned)?;
        }
        self.client.send(request).await.map_err(SendError::Http)
    }

    /// Gets to know all nodes.
    ///
    /// # Errors
    /// A node answered that we shall not write to it: wrong credentials, no privileges, another product. One that does
    /// not answer is no error.
    pub(super) async fn discover(&self) -> Result<(), String> {
        let found = join_all(self.nodes.iter().map(|node| self.probe(node, true))).await;
        found.into_iter().collect()
    }

    /// Looks after the dead nodes, again and again; one that keeps us waiting holds up no other.
    pub(super) async fn resurrect(self: Arc<Self>, delay: Duration) {
        join_all(self.nodes.iter().map(|node| self.look_after(node, delay))).await;
    }

    async fn look_after(&self, node: &Node, delay: Duration) {
        loop {
            tokio::time::sleep(delay).await;
            if !node.is_alive() {
                // Only the first look can refuse.
                let _ = self.probe(node, false).await;
            }
        }
    }

    async fn probe(&self, node: &Node, first: bool) -> Result<(), String> {
        let address = &node.address;
        let is_well = match self.ask(node, Method::HEAD, &address.health).await {
            Ok(answer) if self.profile.recognition.is_well(answer.status) => true,
            Ok(answer) => {
                tracing::warn!(url = %address, code = answer.status.as_u16(), "Health check failed");
                false
            }
            Err(error) => return unreachable(address, &error),
        };
        if !is_well && !first {
            return Ok(());
        }
        let root = match self.ask(node, Method::GET, &address.api("/")).await {
            Ok(root) => root,
            Err(error) => return unreachable(address, &error),
        };
        if first {
            judge(&root, &self.profile)?;
        }
        if !self.profile.recognition.is_well(root.status) {
            tracing::warn!(url = %address, code = root.status.as_u16(), "Elasticsearch main endpoint returns an error");
        } else if is_well {
            self.welcome(node, &root, first);
        }
        Ok(())
    }

    async fn ask(&self, node: &Node, method: Method, url: &str) -> Result<HttpResponse, String> {
        let request =
            request(method, url, HeaderMap::new(), Chunks::default()).ok_or("the address can't be used")?;
        self.send(node, request).await.map_err(|error| error.to_string())
    }

    fn welcome(&self, node: &Node, root: &HttpResponse, first: bool) {
        let Some(product) = self.profile.recognition.product(root) else {
            tracing::warn!(url = %node.address, "Failed to retrieve Elasticsearch version data from connected endpoint, connection aborted");
            return;
        };
        let version = &product.version;
        if first {
            tracing::info!(url = %node.address, version, flavour = ?product.flavour, "Connected to ES instance");
        } else {
            tracing::warn!(url = %node.address, version, "Restored connection to ES instance");
        }
        *self.product.lock().unwrap_or_else(PoisonError::into_inner) = Some(product);
        node.alive.store(true, Ordering::Release);
        self.revived.notify_waiters();
    }
}

impl Node {
    fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    fn mark_dead(&self, error: &SendError) {
        self.alive.store(false, Ordering::Release);
        tracing::warn!(limited = true, url = %self.address, %error, "Marking url as dead");
    }
}

/// A node that does not answer will be probed again.
fn unreachable(address: &Address, error: &str) -> Result<(), String> {
    tracing::warn!(limited = true, url = %address, error, "Attempted to resurrect connection to dead ES instance, but got an error");
    Ok(())
}

/// Logstash's reasons not to start.
fn judge(root: &HttpResponse, profile: &Profile) -> Result<(), String> {
    let product = profile.product;
    let names_header = || {
        root.body
            .windows(API_VERSION.as_str().len())
            .any(|part| part.eq_ignore_ascii_case(API_VERSION.as_str().as_bytes()))
    };
    match root.status {
        StatusCode::UNAUTHORIZED => Err(format!("Could not read {product}. Please check the credentials")),
        StatusCode::FORBIDDEN => Err(format!("Could not read {product}. Please check the privileges")),
        StatusCode::BAD_REQUEST if names_header() => {
            Err("The Elastic-Api-Version header is not valid".into())
        }
        _ => profile.recognition.admits(root),
    }
}

/// A request; addresses were checked when the output was built.
fn request(method: Method, url: &str, headers: HeaderMap, body: Chunks) -> Option<HttpRequest> {
    let mut request = HttpRequest::new(method, url).ok()?.body(body);
    for (name, value) in &headers {
        request = request.header(name.clone(), value.clone());
    }
    Some(request)
}
