//! Reading one connection.
//!
//! A connection that is silent holds its codec and little else: the buffer that data is read into belongs to the thread,
//! and is free again before the connection waits for anything.

use super::names::Names;
use super::origin::{Fields, Origin, address_text};
use ferrostash_event::Event;
use ferrostash_net::listener::Peer;
use ferrostash_net::stream::ByteStream;
use ferrostash_plugin::{Codec, Counter, InputContext, PluginMetrics, QueueClosed};
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
    fields: Fields,
    /// None when names are not looked up.
    names: Option<Names>,
    keep_alive: bool,
    current_connections: Arc<Counter>,
    peak_connections: Arc<Counter>,
    /// Events that wait until the queue has room.
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
            fields,
            names,
            keep_alive,
            current_connections: metrics.gauge(&["current_connections"]),
            peak_connections: metrics.gauge(&["peak_connections"]),
            waiting: Counter::default(),
        }
    }

    /// How many events wait until the queue has room.
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
    stream: ByteStream,
    codec: Box<dyn Codec>,
    origin: Origin,
    /// Decoded and not yet delivered.
    events: Vec<Event>,
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
        shared.current_connections.add_with_peak(1, &shared.peak_connections);
        let (codec, events) = (cx.codec_for_stream(), Vec::new());
        let origin = Origin::default();
        let mut connection =
            Connection { shared, stream, codec, origin, events, has_data: false, is_unflushed: false };
        if shared.keep_alive
            && let Err(error) = SockRef::from(connection.stream.tcp()).set_keepalive(true)
        {
            tracing::warn!(limited = true, %error, "keep-alive can't be set");
        }
        let name = shared.name(&peer, cx).await;
        connection.origin = Origin::new(&peer, &name);
        connection
    }

    /// Reads to the end, or until the stop; whether any data came.
    pub(super) async fn read(mut self, cx: &InputContext) -> Result<bool, QueueClosed> {
        loop {
            let silence = self.codec.idle_flush().filter(|_| self.is_unflushed);
            let read = tokio::select! {
                biased;
                () = cx.shutdown.stopping() => {
                    // What has arrived by now was sent in good faith.
                    let _ = poll_fn(|task| self.poll_events(task, cx.batch_size)).now_or_never();
                    Read::End
                }
                read = poll_fn(|task| self.poll_events(task, cx.batch_size)) => read,
                () = sleep(silence) => Read::Silence,
            };
            if read != Read::Data {
                self.flush();
            }
            self.deliver(cx).await?;
            if read == Read::End {
                // A TLS client may wait for the farewell; we don't wait for the client.
                let _ = self.stream.shutdown().now_or_never();
                return Ok(self.has_data);
            }
        }
    }

    /// Reads and decodes what there is, up to `batch_size` events or a little more.
    fn poll_events(&mut self, task: &mut Context<'_>, batch_size: usize) -> Poll<Read> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut has_read = false;
            while self.events.len() < batch_size.max(1) {
                let mut data = ReadBuf::new(buffer);
                match Pin::new(&mut self.stream).poll_read(task, &mut data) {
                    Poll::Pending if has_read => return Poll::Ready(Read::Data),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) if data.filled().is_empty() => return Poll::Ready(Read::End),
                    Poll::Ready(Ok(())) => self.decode(data.filled()),
                    Poll::Ready(Err(error)) => {
                        report(&error);
                        return Poll::Ready(Read::End);
                    }
                }
                has_read = true;
            }
            Poll::Ready(Read::Data)
        })
    }

    fn decode(&mut self, data: &[u8]) {
        let Connection { shared, codec, origin, events, .. } = self;
        codec.decode(data, &mut |mut event| {
            origin.apply(&shared.fields, &mut event);
            events.push(event);
        });
        self.has_data = true;
        self.is_unflushed = true;
    }

    fn flush(&mut self) {
        let Connection { shared, codec, origin, events, .. } = self;
        codec.flush(&mut |mut event| {
            origin.apply(&shared.fields, &mut event);
            events.push(event);
        });
        self.is_unflushed = false;
    }

    /// Pushes what was decoded, in chunks of the batch size.
    async fn deliver(&mut self, cx: &InputContext) -> Result<(), QueueClosed> {
        let mut events = std::mem::take(&mut self.events);
        self.shared.waiting.add(events.len() as u64);
        while !events.is_empty() {
            let rest = events.split_off(cx.batch_size.max(1).min(events.len()));
            let chunk = std::mem::replace(&mut events, rest);
            let length = chunk.len() as u64;
            cx.push(chunk, None).await?;
            self.shared.waiting.subtract(length);
        }
        Ok(())
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.shared.current_connections.subtract(1);
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
