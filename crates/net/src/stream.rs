//! One type for plain and TLS connections.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tls::TlsPeer;

/// A TCP connection, with or without TLS.
///
/// `AsyncWriteExt::shutdown` is a half-close: it tells the peer that nothing more is coming (with TLS's own
/// notice first) and leaves the other direction open. A peer's half-close shows as the end of what is read,
/// after all that it sent. On accepted connections a peer that hangs up without TLS's notice counts as the end
/// too, because many log shippers do just that.
#[derive(Debug)]
pub enum ByteStream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS, accepted.
    TlsServer(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS, dialled.
    TlsClient(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl ByteStream {
    /// The TCP connection beneath.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::TlsServer(tls) => tls.get_ref().0,
            Self::TlsClient(tls) => tls.get_ref().0,
        }
    }

    /// Protocol, cipher and the peer's subject; `None` on a plain connection.
    pub fn tls_peer(&self) -> Option<TlsPeer> {
        match self {
            Self::Plain(_) => None,
            Self::TlsServer(tls) => Some(TlsPeer::of(tls.get_ref().1)),
            Self::TlsClient(tls) => Some(TlsPeer::of(tls.get_ref().1)),
        }
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::TlsClient(tls) => Pin::new(tls).poll_read(cx, buffer),
            Self::TlsServer(tls) => match Pin::new(tls).poll_read(cx, buffer) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                other => other,
            },
        }
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::TlsServer(tls) => Pin::new(tls).poll_write(cx, bytes),
            Self::TlsClient(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::TlsServer(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
            Self::TlsClient(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::TlsServer(tls) => tls.is_write_vectored(),
            Self::TlsClient(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::TlsServer(tls) => Pin::new(tls).poll_flush(cx),
            Self::TlsClient(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::TlsServer(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::TlsClient(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
