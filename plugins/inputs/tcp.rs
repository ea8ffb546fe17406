//! The `tcp` input.
//!
//! A connection is read by [`connection`], and what its events get to know about the peer is an [`origin::Origin`]. The
//! `ssl_*` options are read by [`tls`]; [`names`] finds host names without holding up the runtime.

mod connection;
mod names;
mod origin;
#[cfg(test)]
mod tests;
mod tls;

use connection::{Connection, Shared};
use ferrostash_conf::{OptionEnum, Options, Password};
use ferrostash_net::dial::{DialTls, Endpoint, dial};
use ferrostash_net::listener::{self, BindError, Listener, ListenerOptions, Peer};
use ferrostash_plugin::{
    Backoff, BuildContext, BuildResult, Input, InputContext, InputError, InputPlugin, PluginDef, QueueClosed,
    StartError, input,
};
use futures::future::BoxFuture;
use names::Names;
use origin::Fields;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Receives data over TCP: from clients that connect, or from a server that it connects to.
///
/// Data is decoded per connection; what a connection leaves unfinished when it ends is an event too. While the queue is
/// full nothing is read, so that senders wait.
///
/// Events say where they came from: in `[@metadata][input][tcp][source]` with `ip`, `name` and `port`, behind a proxy also
/// in `[@metadata][input][tcp][proxy]`, and with a client certificate in `[@metadata][input][tcp][tls][client][subject]`.
/// Without ECS these are `[@metadata][ip_address]`, `host`, `port`, `proxy_host`, `proxy_port` and `sslsubject`. What the
/// codec has set stays.
///
/// ```conf
/// input { tcp { port => 5000 codec => json } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(input = "tcp")]
pub(crate) struct TcpOptions {
    /// The address to listen on, or the host to connect to.
    #[option(default = "0.0.0.0")]
    host: String,
    /// The port to listen on, or to connect to.
    #[option(required)]
    port: u16,
    /// Whether to wait for clients or to connect to a server.
    #[option(default = "server")]
    mode: Mode,
    /// Whether connections begin with a PROXY protocol header, version 1. For `mode => server` only.
    #[option(default = false)]
    proxy_protocol: bool,
    /// Whether to speak TLS; without it the other `ssl_` options do nothing.
    #[option(default = false)]
    ssl_enabled: bool,
    /// What a server asks of its clients: nothing, a certificate if they have one, or a certificate.
    #[option(default_text = "required")]
    ssl_client_authentication: Option<ClientAuthentication>,
    /// What a client checks of its server: certificate and host name, or nothing.
    #[option(default_text = "full")]
    ssl_verification_mode: Option<VerificationMode>,
    /// Certificate to present, PEM.
    ssl_certificate: Option<PathBuf>,
    /// Key of `ssl_certificate`, PEM.
    ssl_key: Option<PathBuf>,
    /// Passphrase of `ssl_key`.
    ssl_key_passphrase: Option<Password>,
    /// Files of certificates to send along with `ssl_certificate`.
    #[option(default = [])]
    ssl_extra_chain_certs: Vec<PathBuf>,
    /// Files of certificates that sign those of the peers, PEM; the system's otherwise.
    #[option(default = [])]
    ssl_certificate_authorities: Vec<PathBuf>,
    /// TLS versions to speak.
    #[option(list, values = ["TLSv1.1", "TLSv1.2", "TLSv1.3"], default = [])]
    ssl_supported_protocols: Vec<String>,
    /// Cipher suites by their Java names, preferred first.
    #[option(list, default = [])]
    ssl_cipher_suites: Vec<String>,
    /// Whether the system is to find out about peers that are gone; how often it asks is the system's setting.
    #[option(default = false)]
    tcp_keep_alive: bool,
    /// Whether the peer's host name is looked up; otherwise, and where it has none, its address takes the place.
    #[option(default = true)]
    dns_reverse_lookup_enabled: bool,
    /// Gone.
    #[option(obsolete = "Use 'ssl_enabled' instead.")]
    ssl_enable: (),
    /// Gone.
    #[option(
        obsolete = "Use 'ssl_client_authentication' when mode is 'server' or 'ssl_verification_mode' when mode is 'client'"
    )]
    ssl_verify: (),
    /// Gone.
    #[option(obsolete = "Use 'ssl_certificate' instead.")]
    ssl_cert: (),
}

/// Who connects to whom.
#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Clients connect to this input.
    Server,
    /// This input connects to a server.
    Client,
}

/// What a server asks of its clients.
#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum ClientAuthentication {
    /// Nothing.
    None,
    /// A certificate, if they have one.
    Optional,
    /// A certificate.
    Required,
}

/// What a client checks of its server.
#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum VerificationMode {
    /// Certificate and host name.
    Full,
    /// Nothing.
    None,
}

pub(crate) static PLUGIN: PluginDef = input::<Tcp>();

/// How long a stop waits for the queue to take what was read.
const STOP_GRACE: Duration = Duration::from_millis(800);
/// Time to connect to a server, TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest wait before a server is connected to again.
const RECONNECT_AFTER_MIN: Duration = Duration::from_millis(100);
const RECONNECT_AFTER_MAX: Duration = Duration::from_secs(5);

struct Tcp {
    side: Side,
    listener: Option<Listener>,
    shared: Arc<Shared>,
}

/// What the two modes need.
enum Side {
    Server(ListenerOptions),
    Client(Server),
}

/// The server that is connected to.
struct Server {
    endpoint: Endpoint,
    tls: Option<DialTls>,
    /// Whether it is who it says; otherwise its certificate's subject is nothing to rely on.
    is_verified: bool,
}

impl InputPlugin for Tcp {
    type Options = TcpOptions;
    const CODEC: &'static str = "line";
    const STREAM: bool = true;

    fn build(options: TcpOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        let side = match options.mode {
            Mode::Server => server(&options, cx)?,
            Mode::Client => client(&options, cx)?,
        };
        let fields = Fields::of(cx.ecs).map_err(|error| cx.refuse(error.to_string()))?;
        let names = options.dns_reverse_lookup_enabled.then(Names::default);
        let shared = Shared::new(fields, names, options.tcp_keep_alive, &cx.metrics);
        Ok(Tcp { side, listener: None, shared: Arc::new(shared) })
    }
}

fn server(options: &TcpOptions, cx: &mut BuildContext<'_>) -> BuildResult<Side> {
    let tls = tls::server(options, cx)?.map(|tls| tls.build()).transpose();
    Ok(Side::Server(ListenerOptions {
        tls: tls.map_err(|error| cx.refuse(error.to_string()))?,
        proxy_protocol: options.proxy_protocol,
        ..ListenerOptions::new(options.host.as_str(), options.port)
    }))
}

fn client(options: &TcpOptions, cx: &mut BuildContext<'_>) -> BuildResult<Side> {
    if options.proxy_protocol {
        return Err(cx.refuse(
            "`proxy_protocol` is for `mode => server`: a server that is connected to sends no header",
        ));
    }
    let tls = tls::client(options, cx)?.map(|tls| tls.build()).transpose();
    let tls = tls.map_err(|error| cx.refuse(error.to_string()))?;
    Ok(Side::Client(Server {
        endpoint: Endpoint::new(&options.host, options.port),
        tls: tls.map(|config| DialTls { config, server_name: None }),
        is_verified: options.ssl_verification_mode != Some(VerificationMode::None),
    }))
}

async fn bind(options: &ListenerOptions) -> Result<Listener, BindError> {
    let listener = Listener::bind(options.clone()).await?;
    let ssl_enabled = options.tls.is_some();
    tracing::info!(address = %listener.local_addr(), ssl_enabled, "Starting tcp input listener");
    Ok(listener)
}

impl Input for Tcp {
    fn start<'a>(&'a mut self, _: &'a InputContext) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async {
            if let Side::Server(options) = &self.side {
                self.listener = Some(bind(options).await.map_err(|error| StartError(error.to_string()))?);
            }
            Ok(())
        })
    }

    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async {
            let listener = self.listener.take();
            let reading = async {
                match &self.side {
                    Side::Server(options) => self.serve(listener, options, cx).await,
                    Side::Client(server) => {
                        self.follow(server, cx).await;
                        Ok(())
                    }
                }
            };
            tokio::select! {
                biased;
                done = reading => done.map_err(|error| InputError(error.to_string())),
                () = overdue(cx) => {
                    let events = self.shared.waiting();
                    tracing::warn!(events, "the queue did not take the last events in time, they are lost");
                    Ok(())
                }
            }
        })
    }
}

/// A stop has gone on for too long.
async fn overdue(cx: &InputContext) {
    cx.shutdown.stopping().await;
    tokio::time::sleep(STOP_GRACE).await;
}

impl Tcp {
    /// Serves clients. Bound is already, unless this is another attempt after a failure.
    async fn serve(
        &self,
        listener: Option<Listener>,
        options: &ListenerOptions,
        cx: &InputContext,
    ) -> Result<(), BindError> {
        let listener = match listener {
            Some(listener) => listener,
            None => bind(options).await?,
        };
        let (shared, context) = (Arc::clone(&self.shared), Arc::new(cx.clone()));
        let handler = move |listener::Connection { stream, peer, .. }| {
            let (shared, cx) = (Arc::clone(&shared), Arc::clone(&context));
            async move {
                // Where the queue is closed, the pipeline has ended before us.
                let _ = Connection::open(&shared, stream, peer, &cx).await.read(&cx).await;
            }
        };
        listener.serve(cx.shutdown.stop_token(), handler).await;
        Ok(())
    }

    /// Reads from the server, and connects again each time that a connection ends.
    async fn follow(&self, server: &Server, cx: &InputContext) {
        let mut backoff = Backoff::new(RECONNECT_AFTER_MIN, RECONNECT_AFTER_MAX);
        loop {
            match self.read_server(server, cx).await {
                Ok(true) => backoff.reset(),
                Ok(false) => {}
                Err(QueueClosed) => return,
            }
            tokio::select! {
                () = cx.shutdown.stopping() => return,
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    }

    /// Reads one connection to its end; whether there was one that brought data.
    async fn read_server(&self, server: &Server, cx: &InputContext) -> Result<bool, QueueClosed> {
        let Server { endpoint, tls, is_verified } = server;
        let dialled = tokio::select! {
            () = cx.shutdown.stopping() => return Ok(false),
            dialled = dial(endpoint, tls.as_ref(), CONNECT_TIMEOUT) => dialled,
        };
        let opened = dialled.map_err(|error| error.to_string()).and_then(|stream| {
            let address = stream.tcp().peer_addr().map_err(|error| format!("{endpoint}: {error}"))?;
            Ok((stream, address))
        });
        match opened {
            Ok((stream, address)) => {
                tracing::debug!(server = %endpoint, "connected");
                let (ip, port) = (address.ip().to_canonical(), address.port());
                let tls = stream.tls_peer().filter(|_| *is_verified);
                let peer = Peer { ip, port, proxy: None, tls };
                Connection::open(&self.shared, stream, peer, cx).await.read(cx).await
            }
            Err(error) => {
                tracing::error!(limited = true, error, "could not connect to the server");
                Ok(false)
            }
        }
    }
}
