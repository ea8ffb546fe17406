//! Reading one connection.
//!
//! A connection that is silent holds an unfinished line and little else: the buffer that data is read into belongs to the
//! thread, and is free again before the connection waits for anything.

use super::names::Names;
use super::origin::{Fields, Origin, address_text};
use crate::stream::Stream;
use ferrostash_net::listener::Peer;
use ferrostash_net::stream::ByteStream;
use ferrostash_plugin::{Counter, InputContext, LineBuffers, PluginMetrics, QueueClosed};
use futures::FutureExt;
use socket2::SockRef;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

/// Most bytes per read.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// What the connections of an input share.
pub(super) struct Shared {
    fields: Arc<Fields>,
    buffers: LineBuffers,
    /// None when names are not looked up.
    names: Option<Names>,
    keep_alive: bool,
    current_connections: Arc<Counter>,
    peak_connections: Arc<Counter>,
    /// Lines or events that wait until the queue has room.
    waiting: Counter,
}

impl Shared {
    pub(super) fn new(
        fields: Fields,
        names: Option<Names>,
        keep_alive: bool,
        metrics: &PluginMetrics,
    ) -> Shared {
        Shared {
            fields: Arc::new(fields),
            buffers: LineBuffers::default(),
            names,
            keep_alive,
            current_connections: metrics.gauge(&["current_connections"]),
            peak_connections: metrics.gauge(&["peak_connections"]),
            waiting: Counter::default(),
        }
    }

    /// How many lines or events wait until the queue has room.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.get()
    }

    /// The peer's host name, or its address.
    async fn name(&self, peer: &Peer, cx: &InputContext) -> Arc<str> {
        let Some(names) = &self.names else { return address_text(peer.ip).into() };
        tokio::select! {
            biased;
            name = names.of(peer.ip) => name,
            () = cx.shutdown.stopping() => address_text(peer.ip).into(),
        }
    }
}

/// A connection and what was read of it.
pub(super) struct Connection<'a> {
    shared: &'a Shared,
    _open: Open<'a>,
    stream: ByteStream,
    data: Stream<Origin>,
    /// Whether anything came at all.
    has_data: bool,
    /// Whether anything came since the codec was flushed.
    is_unflushed: bool,
}

/// How a read ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    /// There was data.
    Data,
    /// The codec's time of silence is over.
    Silence,
    /// Nothing more will come.
    End,
}

impl<'a> Connection<'a> {
    /// Takes a connection over; finds out who the peer is.
    pub(super) async fn open(
        shared: &'a Shared,
        stream: ByteStream,
        peer: Peer,
        cx: &InputContext,
    ) -> Connection<'a> {
        let open = Open::count(shared);
        if shared.keep_alive
            && let Err(error) = SockRef::from(stream.tcp()).set_keepalive(true)
        {
            tracing::warn!(limited = true, %error, "keep-alive can't be set");
        }
        let name = shared.name(&peer, cx).await;
        let data = Stream::new(cx, Origin::new(&peer, &name, &shared.fields), &shared.buffers);
        Connection { shared, _open: open, stream, data, has_data: false, is_unflushed: false }
    }

    /// Reads to the end, or until the stop; whether any data came.
    pub(super) async fn read(mut self, cx: &InputContext) -> Result<bool, QueueClosed> {
        loop {
            let silence = self.data.idle_flush().filter(|_| self.is_unflushed);
            let read = tokio::select! {
                biased;
                () = cx.shutdown.stopping() => {
                    // What has arrived by now was sent in good faith.
                    let _ = poll_fn(|task| self.poll_data(task)).now_or_never();
                    Read::End
                }
                read = poll_fn(|task| self.poll_data(task)) => read,
                () = sleep(silence) => Read::Silence,
            };
            if read != Read::Data {
                self.data.flush();
                self.is_unflushed = false;
            }
            self.data.push(cx, &self.shared.waiting).await?;
            if read == Read::End {
                // A TLS client may wait for the farewell; we don't wait for the client.
                let _ = self.stream.shutdown().now_or_never();
                return Ok(self.has_data);
            }
        }
    }

    /// Reads what there is, up to a chunk or a little more.
    fn poll_data(&mut self, task: &mut Context<'_>) -> Poll<Read> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut has_read = false;
            while !self.data.is_full() {
                let mut data = ReadBuf::new(buffer);
                match Pin::new(&mut self.stream).poll_read(task, &mut data) {
                    Poll::Pending if has_read => return Poll::Ready(Read::Data),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) if data.filled().is_empty() => return Poll::Ready(Read::End),
                    Poll::Ready(Ok(())) => self.data.read(data.filled()),
                    Poll::Ready(Err(error)) => {
                        report(&error);
                        return Poll::Ready(Read::End);
                    }
                }
                has_read = true;
                self.has_data = true;
                self.is_unflushed = true;
            }
            Poll::Ready(Read::Data)
        })
    }
}

/// Counts a connection while it is open.
struct Open<'a>(&'a Shared);

impl Open<'_> {
    fn count(shared: &Shared) -> Open<'_> {
        shared.current_connections.add_with_peak(1, &shared.peak_connections);
        Open(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.current_connections.subtract(1);
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// A connection failed; what it brought before counts.
fn report(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            tracing::debug!(%error, "a connection was cut off");
        }
        _ => tracing::warn!(limited = true, %error, "a connection failed"),
    }
}
