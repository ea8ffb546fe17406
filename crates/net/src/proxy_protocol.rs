//! Version 1 (text) of the PROXY protocol: one line in which a load balancer names the client it speaks for.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header that the protocol allows, with its line end.
const HEADER_SIZE_MAX: usize = 107;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyHeader {
    /// The client, and the address at which the proxy received it.
    Addresses { client: SocketAddr, proxy: SocketAddr },
    /// The proxy speaks for itself (health checks) or does not know.
    Unknown,
}

/// Reads exactly the header, byte by byte: what follows belongs to somebody else.
pub(crate) async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<ProxyHeader> {
    let mut header = Vec::with_capacity(HEADER_SIZE_MAX);
    while !header.ends_with(b"\r\n") {
        if header.len() == HEADER_SIZE_MAX {
            return Err(invalid("PROXY header longer than 107 bytes"));
        }
        header.push(stream.read_u8().await?);
    }
    std::str::from_utf8(&header)
        .ok()
        .and_then(|line| parse(line.trim_end()))
        .ok_or_else(|| invalid("not a PROXY protocol version 1 header"))
}

fn parse(line: &str) -> Option<ProxyHeader> {
    let mut words = line.split(' ');
    if words.next() != Some("PROXY") {
        return None;
    }
    let kind = words.next()?;
    if kind == "UNKNOWN" {
        return Some(ProxyHeader::Unknown);
    }
    let rest: Vec<_> = words.collect();
    let [client_ip, proxy_ip, client_port, proxy_port] = rest.as_slice() else { return None };
    Some(ProxyHeader::Addresses {
        client: address(kind, client_ip, client_port)?,
        proxy: address(kind, proxy_ip, proxy_port)?,
    })
}

fn address(kind: &str, ip: &str, port: &str) -> Option<SocketAddr> {
    let ip: IpAddr = ip.parse().ok()?;
    let fits = (kind == "TCP4" && ip.is_ipv4()) || (kind == "TCP6" && ip.is_ipv6());
    fits.then(|| port.parse().ok().map(|port| SocketAddr::new(ip, port)))?
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8]) -> (io::Result<ProxyHeader>, &[u8]) {
        let header = read_header(&mut bytes).await;
        (header, bytes)
    }

    #[tokio::test]
    async fn the_header_is_read_and_nothing_more() {
        let (header, rest) = read(b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nhello").await;
        let (client, proxy) = ("192.0.2.7:56324".parse().unwrap(), "198.51.100.1:443".parse().unwrap());
        assert_eq!(header.unwrap(), ProxyHeader::Addresses { client, proxy });
        assert_eq!(rest, b"hello");
        let (header, _) = read(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n").await;
        assert!(matches!(header.unwrap(), ProxyHeader::Addresses { client, .. } if client.port() == 1));
        assert_eq!(read(b"PROXY UNKNOWN whatever\r\n").await.0.unwrap(), ProxyHeader::Unknown);
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let bad: [&[u8]; 5] = [
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1 70000\r\n",
            &[b'x'; 200],
        ];
        for header in bad {
            assert_eq!(read(header).await.0.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
