//! Accepting connections.
//!
//! [`Listener::bind`] opens the port, [`Listener::serve`] runs until its
//! [`CancellationToken`] is cancelled. Every accepted connection is a task of its own, so a slow TLS
//! handshake delays nobody; the task gets a [`Connection`] with a child of the token. At the stop the port is
//! closed first, then `serve` waits for the handlers, which watch their token; dropping `serve` ends them at
//! once. At the bound on connections the listener stops accepting, and the kernel's backlog fills instead of
//! our memory.
//!
//! The hosts `0.0.0.0` and `::` both mean every address of both families, as they do for Logstash.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::dial::{Endpoint, tls_cause};
use crate::proxy_protocol::{ProxyHeader, read_header};
use crate::stream::ByteStream;
use crate::tls::TlsPeer;

/// Connections served at a time, unless said otherwise.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Time for the PROXY header and the TLS handshake; Logstash's `ssl_handshake_timeout`.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that the kernel may complete before they are accepted.
const BACKLOG: i32 = 1024;
/// First and longest pause after a failed accept.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A peer can cause a warning as often as it likes; one in this time is enough.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// How to listen.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Host name or address to bind.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// TLS for every connection.
    pub tls: Option<Arc<ServerConfig>>,
    /// Time for the PROXY header and the TLS handshake together.
    pub handshake_timeout: Duration,
    /// Connections served at a time.
    pub connections_max: usize,
    /// Idle time after which the kernel probes whether the peer is still there.
    pub tcp_keep_alive: Option<Duration>,
    /// Whether each connection begins with a PROXY protocol header (version 1). With TLS the header may stand
    /// before the handshake, where load balancers put it, or be the first line inside.
    pub proxy_protocol: bool,
}

impl ListenerOptions {
    /// Plain TCP with the default limits.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            connections_max: CONNECTIONS_MAX,
            tcp_keep_alive: None,
            proxy_protocol: false,
        }
    }
}

/// Why a port can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process, or another input, has it.
    #[error("address in use: {0}")]
    InUse(Endpoint),
    /// Ports below 1024 need a privilege.
    #[error("no permission to listen on {0}")]
    NotPermitted(Endpoint),
    /// The address is of another machine.
    #[error("{0} is not an address of this machine")]
    NotLocal(Endpoint),
    /// The host name has no address.
    #[error("can't listen on {endpoint}: the host name can't be resolved: {reason}")]
    Resolve {
        /// What was to be bound.
        endpoint: Endpoint,
        /// The resolver's words.
        reason: String,
    },
    /// Anything else.
    #[error("can't listen on {endpoint}: {source}")]
    Io {
        /// What was to be bound.
        endpoint: Endpoint,
        /// The system's error.
        source: io::Error,
    },
}

/// Who is on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The client's address; the one that the PROXY header names, if there is one.
    pub ip: IpAddr,
    /// The client's port, likewise.
    pub port: u16,
    /// Where the proxy received the client, by the PROXY header.
    pub proxy: Option<SocketAddr>,
    /// TLS version, cipher and client subject; `None` on plain connections.
    pub tls: Option<TlsPeer>,
}

/// An accepted connection, after PROXY header and TLS handshake.
#[derive(Debug)]
pub struct Connection {
    /// The bytes.
    pub stream: ByteStream,
    /// The other side.
    pub peer: Peer,
    /// Cancelled when the listener stops; the handler ends its work then.
    pub shutdown: CancellationToken,
}

/// An open port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    options: ListenerOptions,
}

impl Listener {
    /// Opens the port.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(options: ListenerOptions) -> Result<Self, BindError> {
        let endpoint = Endpoint::new(&options.host, options.port);
        let failed = |source: io::Error| bind_error(&endpoint, source);
        let socket = bind(&endpoint).await?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, options })
    }

    /// The bound address, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `shutdown` is cancelled, then waits for the handlers. Dropping the future ends them.
    pub async fn serve<H, F>(self, shutdown: CancellationToken, handler: H)
    where
        H: Fn(Connection) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { socket, address, options } = self;
        let permits = Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS)));
        let context = Arc::new(Context { options, address, shutdown: shutdown.clone() });
        let mut tasks = JoinSet::new();
        let mut pause = Pause::default();
        let mut warnings = Warnings::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = tasks.join_next() => {
                    report(ended, &mut warnings);
                    continue;
                }
                accepted = accept(&socket, &permits) => accepted,
            };
            match accepted {
                Ok((tcp, from, permit)) => {
                    pause = Pause::default();
                    let (context, handler) = (context.clone(), handler.clone());
                    tasks.spawn(async move {
                        let _permit = permit;
                        if let Some(connection) = context.establish(tcp, from).await? {
                            handler(connection).await;
                        }
                        Ok(())
                    });
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    warnings.warn("accepting connections failed", &error);
                    let wait = pause.next();
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = sleep(wait) => {}
                    }
                }
            }
        }
        // New clients are to learn at once that nobody serves them.
        drop(socket);
        while let Some(ended) = tasks.join_next().await {
            report(ended, &mut warnings);
        }
    }
}

/// A connection that failed before its handler.
struct Failed {
    from: SocketAddr,
    reason: String,
}

async fn accept(
    socket: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (tcp, from) = socket.accept().await?;
    Ok((tcp, from, permit))
}

fn report(ended: Result<Result<(), Failed>, tokio::task::JoinError>, warnings: &mut Warnings) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(failed)) => {
            warnings.warn("a connection was refused", &format!("{}: {}", failed.from, failed.reason));
        }
        Err(error) => tracing::error!(%error, "a connection's task ended abnormally"),
    }
}

/// What every connection's task needs.
struct Context {
    options: ListenerOptions,
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Context {
    /// The connection after its handshakes; `None` when the listener stopped meanwhile.
    async fn establish(&self, tcp: TcpStream, from: SocketAddr) -> Result<Option<Connection>, Failed> {
        let failed = |reason: String| Failed { from, reason };
        self.tune(&tcp).map_err(|error| failed(error.to_string()))?;
        let limit = self.options.handshake_timeout;
        let handshakes = tokio::select! {
            () = self.shutdown.cancelled() => return Ok(None),
            done = timeout(limit, self.handshakes(tcp)) => done,
        };
        let (stream, header) = match handshakes {
            Ok(done) => done.map_err(|error| failed(tls_cause(&error).unwrap_or(error.to_string())))?,
            Err(_) => return Err(failed(format!("no handshake within {limit:?}"))),
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let (client, proxy) = match header {
            Some(ProxyHeader::Addresses { client, proxy }) => (client, Some(proxy)),
            Some(ProxyHeader::Unknown) | None => (from, None),
        };
        let peer = Peer { ip: client.ip(), port: client.port(), proxy, tls: stream.tls_peer() };
        tracing::debug!(listener = %self.address, peer = %from, "accepted a connection");
        Ok(Some(Connection { stream, peer, shutdown: self.shutdown.child_token() }))
    }

    fn tune(&self, tcp: &TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        match self.options.tcp_keep_alive {
            Some(idle) => SockRef::from(tcp).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle)),
            None => Ok(()),
        }
    }

    /// PROXY header and TLS, in the order in which the client has them.
    async fn handshakes(&self, mut tcp: TcpStream) -> io::Result<(ByteStream, Option<ProxyHeader>)> {
        let Some(config) = &self.options.tls else {
            let header = if self.options.proxy_protocol { Some(read_header(&mut tcp).await?) } else { None };
            return Ok((ByteStream::Plain(tcp), header));
        };
        let mut header = None;
        // A TLS client never begins with a letter.
        if self.options.proxy_protocol && first_byte(&tcp).await? == Some(b'P') {
            header = Some(read_header(&mut tcp).await?);
        }
        let tls = TlsAcceptor::from(config.clone()).accept(tcp).await?;
        let mut stream = ByteStream::TlsServer(Box::new(tls));
        if self.options.proxy_protocol && header.is_none() {
            header = Some(read_header(&mut stream).await?);
        }
        Ok((stream, header))
    }
}

/// What comes next, left where it is.
async fn first_byte(tcp: &TcpStream) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let read = tcp.peek(&mut byte).await?;
    Ok(byte.first().copied().filter(|_| read > 0))
}

/// Errors of a connection that ended while it waited; the next one is not affected.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Growing pauses after errors that stay for a while, such as too many open files.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE_MIN)
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = wait.saturating_mul(2).min(PAUSE_MAX);
        wait
    }
}

/// Warnings that peers can cause, one per interval.
#[derive(Default)]
struct Warnings {
    last: Option<Instant>,
    suppressed: u64,
}

impl Warnings {
    fn warn(&mut self, message: &'static str, reason: &dyn std::fmt::Display) {
        if self.last.is_some_and(|last| last.elapsed() < WARNING_INTERVAL) {
            self.suppressed += 1;
            tracing::debug!(%reason, "{message}");
            return;
        }
        tracing::warn!(%reason, suppressed = self.suppressed, "{message}");
        self.last = Some(Instant::now());
        self.suppressed = 0;
    }
}

async fn bind(endpoint: &Endpoint) -> Result<TcpListener, BindError> {
    if endpoint.host().parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, endpoint.port()));
        match bind_address(both) {
            // The machine has no IPv6 at all.
            Err(error) if error.kind() == io::ErrorKind::Unsupported || no_ipv6(&error) => {}
            bound => return bound.map_err(|error| bind_error(endpoint, error)),
        }
    }
    let addresses = tokio::net::lookup_host((endpoint.host(), endpoint.port()));
    let addresses = addresses.await.map_err(|error| unresolved(endpoint, error.to_string()))?;
    let mut last = unresolved(endpoint, "it has no address".to_owned());
    for address in addresses {
        match bind_address(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = bind_error(endpoint, error),
        }
    }
    Err(last)
}

fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Elsewhere it would let two processes share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// `EAFNOSUPPORT` has no kind of its own; on such machines `::` may also be missing as an address.
fn no_ipv6(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| AF_NOT_SUPPORTED.contains(&code))
        || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// `EAFNOSUPPORT` on Linux, on macOS and the BSDs, on Windows.
const AF_NOT_SUPPORTED: [i32; 3] = [97, 47, 10_047];

fn unresolved(endpoint: &Endpoint, reason: String) -> BindError {
    BindError::Resolve { endpoint: endpoint.clone(), reason }
}

fn bind_error(endpoint: &Endpoint, source: io::Error) -> BindError {
    let endpoint = endpoint.clone();
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(endpoint),
        io::ErrorKind::PermissionDenied => BindError::NotPermitted(endpoint),
        io::ErrorKind::AddrNotAvailable => BindError::NotLocal(endpoint),
        _ => BindError::Io { endpoint, source },
    }
}

#[cfg(test)]
mod tests;
