//! The nodes: which are alive, whose turn it is, and how the dead and the ailing come back.
//!
//! A request goes to the node with the fewest requests under way, by turns. A node that gives no answer is dead until a
//! probe succeeds. One that answers, but can't do what it is asked, ails: it is left alone for a time that doubles, and
//! gets one request at a time until one succeeds. Nothing is sent to a node that was never heard of.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use ferrostash_net::http_client::{Chunks, HttpClient, HttpError, HttpRequest, HttpResponse};
use ferrostash_plugin::Backoff;
use futures::future::join_all;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use super::address::Address;
use super::product::{Flavour, Product};
use super::profile::Profile;

/// What serverless clusters want to be told with every request.
const API_VERSION: HeaderName = HeaderName::from_static("elastic-api-version");
const API_VERSION_VALUE: HeaderValue = HeaderValue::from_static("2023-10-31");
/// The longest that a node can ask us to wait.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

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
    nodes: RwLock<Vec<Arc<Node>>>,
    backoff: Backoff,
    turn: AtomicUsize,
    /// Bounds the requests to all nodes together.
    requests: Semaphore,
    /// Told when a node revives or gets well.
    changed: Notify,
    product: Mutex<Option<Product>>,
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) address: Address,
    alive: AtomicBool,
    /// A dead node is being asked whether it is back.
    is_asked: AtomicBool,
    in_use: AtomicUsize,
    health: Mutex<Health>,
}

#[derive(Debug)]
struct Health {
    /// When an ailing node may be tried.
    until: Option<Instant>,
    is_tried: bool,
    backoff: Backoff,
}

/// One request on its way to a node.
pub(super) struct InUse<'n> {
    node: Arc<Node>,
    changed: &'n Notify,
    is_trial: bool,
}

/// What the next request is to do.
enum Pick<'n> {
    Go(InUse<'n>),
    /// All living nodes ail.
    Wait(Option<Instant>),
    NoNode,
}

impl InUse<'_> {
    /// The node does what it is asked.
    pub(super) fn is_well(&self) {
        let mut health = self.node.health();
        if health.until.take().is_some() {
            health.backoff.reset();
            self.changed.notify_waiters();
        }
    }

    /// The node answers, but can't do it now; it may say for how long.
    pub(super) fn ails(&self, retry_after: Option<Duration>) {
        let mut health = self.node.health();
        // Of the requests that were under way together, the first one speaks.
        if health.until.is_none() || self.is_trial {
            let wait = health.backoff.next_wait();
            health.until =
                Some(Instant::now() + retry_after.map_or(wait, |after| after.min(RETRY_AFTER_MAX)));
        }
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.node.in_use.fetch_sub(1, Ordering::Relaxed);
        if self.is_trial {
            self.node.health().is_tried = false;
            self.changed.notify_waiters();
        }
    }
}

impl Nodes {
    /// Nodes of which nothing is known yet; `requests_max` are sent at a time. `backoff` is for those that ail.
    pub(super) fn new(
        addresses: Vec<Address>,
        client: HttpClient,
        profile: Profile,
        backoff: Backoff,
        requests_max: usize,
    ) -> Nodes {
        let nodes = addresses.into_iter().map(|address| Node::new(address, &backoff)).collect();
        Nodes {
            client,
            profile,
            nodes: RwLock::new(nodes),
            backoff,
            turn: AtomicUsize::new(0),
            requests: Semaphore::new(requests_max.clamp(1, Semaphore::MAX_PERMITS)),
            changed: Notify::new(),
            product: Mutex::new(None),
        }
    }

    /// What the cluster is, as the node that answered last says.
    pub(super) fn product(&self) -> Option<Product> {
        self.product.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The nodes now.
    pub(super) fn all(&self) -> Vec<Arc<Node>> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on with the nodes at these addresses; those that were there already stay as they are. The new ones are asked
    /// whether they are alive.
    pub(super) async fn replace(&self, addresses: Vec<Address>) {
        let known = self.all();
        let find = |address: &Address| known.iter().find(|node| node.address.bulk == address.bulk).cloned();
        let nodes: Vec<Arc<Node>> = addresses
            .into_iter()
            .map(|address| find(&address).unwrap_or_else(|| Node::new(address, &self.backoff)))
            .collect();
        let is_new = |node: &&Arc<Node>| !known.iter().any(|known| Arc::ptr_eq(known, node));
        join_all(nodes.iter().filter(is_new).map(|node| self.probe(node, false))).await;
        if !nodes.iter().any(|node| node.is_alive()) {
            // Addresses inside the cluster need not be ours.
            tracing::warn!(
                limited = true,
                "None of the nodes that sniffing found answers; the old ones stay"
            );
            return;
        }
        for gone in known.iter().filter(|known| !nodes.iter().any(|node| Arc::ptr_eq(known, node))) {
            tracing::info!(url = %gone.address, "Elasticsearch pool URLs updated: removed");
        }
        *self.nodes.write().unwrap_or_else(PoisonError::into_inner) = nodes;
        self.changed.notify_waiters();
    }

    /// Waits until a node is alive.
    pub(super) async fn some_alive(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.all().iter().any(|node| node.is_alive()) {
                return;
            }
            changed.await;
        }
    }

    /// Sends a bulk request to the node whose turn it is. The caller says how the node did.
    pub(super) async fn bulk(
        &self,
        headers: HeaderMap,
        body: Chunks,
    ) -> Result<(HttpResponse, InUse<'_>), NoAnswer> {
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
        let answer = self.to_some_node(|address| request(method, &address.api(path), HeaderMap::new(), body));
        let (answer, node) = answer.await?;
        if !answer.status.is_server_error() && answer.status != StatusCode::TOO_MANY_REQUESTS {
            node.is_well();
        }
        Ok(answer)
    }

    /// Asks the node whose turn it is which nodes there are.
    pub(super) async fn sniff(&self) -> Result<HttpResponse, NoAnswer> {
        let ask =
            |address: &Address| request(Method::GET, &address.sniffing, HeaderMap::new(), Chunks::default());
        Ok(self.to_some_node(ask).await?.0)
    }

    async fn to_some_node(
        &self,
        request: impl FnOnce(&Address) -> Option<HttpRequest>,
    ) -> Result<(HttpResponse, InUse<'_>), NoAnswer> {
        let node = self.choose().await.ok_or(NoAnswer::NoNode)?;
        // Never closed.
        let _permit = self.requests.acquire().await;
        let request = request(&node.node.address).ok_or(NoAnswer::NoNode)?;
        match self.send(&node.node, request).await {
            Ok(answer) => Ok((answer, node)),
            Err(error) => {
                node.node.mark_dead(&error);
                Err(NoAnswer::Unreachable(error))
            }
        }
    }

    /// The node whose turn it is; waits while all living nodes ail.
    async fn choose(&self) -> Option<InUse<'_>> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.pick() {
                Pick::Go(node) => return Some(node),
                Pick::NoNode => return None,
                Pick::Wait(None) => changed.await,
                Pick::Wait(Some(until)) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = changed => {}
                },
            }
        }
    }

    fn pick(&self) -> Pick<'_> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        let (now, mut next, mut well) = (Instant::now(), None::<Instant>, Vec::new());
        for node in nodes.iter().filter(|node| node.is_alive()) {
            let mut health = node.health();
            match health.until {
                None => well.push((node.in_use.load(Ordering::Relaxed), node)),
                Some(_) if health.is_tried => {}
                Some(until) if until > now => next = Some(next.map_or(until, |next| next.min(until))),
                // Also while others are well: else it would never be.
                Some(_) => {
                    health.is_tried = true;
                    drop(health);
                    return Pick::Go(self.use_node(node, true));
                }
            }
        }
        let least = well.iter().map(|(in_use, _)| *in_use).min();
        well.retain(|(in_use, _)| Some(*in_use) == least);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        match turn.checked_rem(well.len()).and_then(|turn| well.get(turn)) {
            Some((_, node)) => Pick::Go(self.use_node(node, false)),
            None if nodes.iter().any(|node| node.is_alive()) => Pick::Wait(next),
            None => Pick::NoNode,
        }
    }

    fn use_node(&self, node: &Arc<Node>, is_trial: bool) -> InUse<'_> {
        node.in_use.fetch_add(1, Ordering::Relaxed);
        InUse { node: Arc::clone(node), changed: &self.changed, is_trial }
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
        let nodes = self.all();
        let found = join_all(nodes.iter().map(|node| self.probe(node, true))).await;
        found.into_iter().collect()
    }

    /// Looks after the dead nodes, again and again; one that keeps us waiting holds up no other, and is asked once at a
    /// time.
    pub(super) async fn resurrect(self: Arc<Self>, delay: Duration) {
        let mut asking = JoinSet::new();
        loop {
            tokio::time::sleep(delay).await;
            while asking.try_join_next().is_some() {}
            for node in self.all() {
                if node.is_alive() || node.is_asked.swap(true, Ordering::AcqRel) {
                    continue;
                }
                let nodes = Arc::clone(&self);
                let ask = async move {
                    // Only the first look can refuse.
                    let _ = nodes.probe(&node, false).await;
                    node.is_asked.store(false, Ordering::Release);
                };
                asking.spawn(ask.in_current_span());
            }
        }
    }

    async fn probe(&self, node: &Node, first: bool) -> Result<(), String> {
        let address = &node.address;
        let is_well = match self.ask(node, Method::HEAD, &address.health).await {
            Ok(answer) if self.profile.recognition.is_well(answer.status) => true,
            Ok(answer) => {
                let code = answer.status.as_u16();
                tracing::warn!(limited = true, url = %address, code, "Health check failed");
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
            let code = root.status.as_u16();
            tracing::warn!(limited = true, url = %address, code, "Elasticsearch main endpoint returns an error");
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
            // Whoever waits does not rush at it: one request goes first.
            node.health().until = Some(Instant::now());
        }
        *self.product.lock().unwrap_or_else(PoisonError::into_inner) = Some(product);
        node.alive.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }
}

impl Node {
    fn new(address: Address, backoff: &Backoff) -> Arc<Node> {
        Arc::new(Node {
            address,
            alive: AtomicBool::new(false),
            is_asked: AtomicBool::new(false),
            in_use: AtomicUsize::new(0),
            health: Mutex::new(Health { until: None, is_tried: false, backoff: backoff.clone() }),
        })
    }

    fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
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
