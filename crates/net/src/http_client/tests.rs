use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{AUTHORIZATION, HeaderName};
use http::{Method, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::dial::{DialError, DialTls, connect_tcp};
use crate::listener::{Listener, ListenerOptions};
use crate::stream::ByteStream;
use crate::testing::Authority;
use crate::tls::{ClientAuthentication, ServerTls};

/// What the server saw of one request.
struct Seen {
    connection: usize,
    head: String,
    body: String,
}

/// An HTTP server that gives every request the same bytes as an answer.
struct Server {
    endpoint: Endpoint,
    seen: mpsc::UnboundedReceiver<Seen>,
    connections: Arc<AtomicUsize>,
}

async fn server(tls: Option<ServerTls>, answer: impl Into<Vec<u8>>) -> Server {
    let mut options = ListenerOptions::new("127.0.0.1", 0);
    options.tls = tls.map(|tls| tls.build().unwrap());
    let listener = Listener::bind(options).await.unwrap();
    let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().port());
    let (sender, seen) = mpsc::unbounded_channel();
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, answer): (_, Bytes) = (connections.clone(), answer.into().into());
    tokio::spawn(listener.serve(CancellationToken::new(), move |connection| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = (sender.clone(), answer.clone());
        async move {
            let mut stream = BufReader::new(connection.stream);
            while let Some((head, body)) = read_request(&mut stream).await {
                sender.send(Seen { connection: number, head, body }).unwrap();
                if answer.is_empty() {
                    return;
                }
                stream.write_all(&answer).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    }));
    Server { endpoint, seen, connections }
}

async fn read_head(stream: &mut BufReader<ByteStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

async fn read_request(stream: &mut BufReader<ByteStream>) -> Option<(String, String)> {
    let head = read_head(stream).await?;
    let lower = head.to_lowercase();
    let length = lower.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap());
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn post(server: &Server, scheme: &str) -> HttpRequest {
    HttpRequest::new(Method::POST, &format!("{scheme}://{}/_bulk", server.endpoint)).unwrap()
}

fn trusting(authority: &Authority) -> HttpOptions {
    let tls = DialTls { config: authority.client().build().unwrap(), server_name: None };
    HttpOptions { tls: Some(tls), ..HttpOptions::default() }
}

#[tokio::test]
async fn chunks_arrive_as_one_body_and_the_connection_is_used_again() {
    let mut server = server(None, ok("done")).await;
    let mut options = HttpOptions::default();
    options.headers.insert("x-elastic-product-origin", HeaderValue::from_static("logstash-output"));
    let client = HttpClient::new(options);
    for _ in 0..3 {
        let chunks = vec![Bytes::from_static(b"{\"index\":{}}\n"), Bytes::new(), Bytes::from_static(b"{}\n")];
        let request = post(&server, "http").header(AUTHORIZATION, basic_authorization("u", "p")).body(chunks);
        let answer = client.send(request).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"done"[..]));
        let seen = server.seen.recv().await.unwrap();
        assert_eq!((seen.connection, seen.body.as_str()), (0, "{\"index\":{}}\n{}\n"));
        let head = seen.head;
        assert!(head.starts_with("POST /_bulk HTTP/1.1\r\n"), "{head}");
        for line in
            ["content-length: 16", "authorization: Basic dTpw", "x-elastic-product-origin: logstash-output"]
        {
            assert!(head.contains(&format!("{line}\r\n")), "{head}");
        }
    }
}

#[tokio::test]
async fn https_verifies_the_server_and_keeps_the_connection() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let mut server = server(Some(ours.server()), ok("")).await;
    let client = HttpClient::new(trusting(&ours));
    for _ in 0..2 {
        client.send(post(&server, "https").body(Bytes::from_static(b"x"))).await.unwrap();
        assert_eq!(server.seen.recv().await.unwrap().connection, 0);
    }
    let error = HttpClient::new(trusting(&theirs)).send(post(&server, "https")).await.unwrap_err();
    assert!(error.is_unsent());
    let expected = format!("{}: TLS handshake failed: the certificate is not signed", server.endpoint);
    assert!(error.to_string().starts_with(&expected), "{error}");
    let error = HttpClient::new(HttpOptions::default()).send(post(&server, "https")).await.unwrap_err();
    assert!(matches!(error, HttpError::Connect(DialError::Tls { .. })), "{error}");
}

#[tokio::test]
async fn a_refused_client_certificate_is_a_tls_error() {
    let authority = Authority::new();
    let server = server(Some(authority.server_asking(ClientAuthentication::Required)), ok("")).await;
    let error = HttpClient::new(trusting(&authority)).send(post(&server, "https")).await.unwrap_err();
    assert!(error.to_string().contains("alert CertificateRequired"), "{error:?}");
}

#[tokio::test]
async fn a_gzip_answer_is_decoded_within_the_limit() {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&[b'a'; 10_000]).unwrap();
    let gzip = gzip.finish().unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", gzip.len());
    let mut server = server(None, [head.as_bytes(), &gzip].concat()).await;

    let limit = |response_size_max| HttpOptions { response_size_max, ..HttpOptions::default() };
    let answer = HttpClient::new(limit(10_000)).send(post(&server, "http")).await.unwrap();
    assert!(answer.body.len() == 10_000 && answer.body.iter().all(|byte| *byte == b'a'));
    assert!(server.seen.recv().await.unwrap().head.contains("accept-encoding: gzip\r\n"));

    for too_small in [9_999, 10] {
        let error = HttpClient::new(limit(too_small)).send(post(&server, "http")).await.unwrap_err();
        let expected = format!("{}: the answer is larger than {too_small} bytes", server.endpoint);
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn an_answer_without_length_is_bounded_too() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n";
    let server = server(None, chunked).await;
    let options = HttpOptions { response_size_max: 10, ..HttpOptions::default() };
    assert_eq!(
        HttpClient::new(options.clone()).send(post(&server, "http")).await.unwrap().body,
        "helloworld"
    );
    let options = HttpOptions { response_size_max: 9, ..options };
    let error = HttpClient::new(options).send(post(&server, "http")).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { limit: 9, .. }), "{error}");
}

#[tokio::test]
async fn failures_have_their_own_kinds_and_say_where() {
    let client = HttpClient::new(HttpOptions {
        request_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(100),
        ..HttpOptions::default()
    });

    let closing = server(None, "").await;
    let error = client.send(post(&closing, "http").body(Bytes::from_static(b"x"))).await.unwrap_err();
    assert!(matches!(error, HttpError::Closed { .. }), "{error:?}");
    assert!(!error.is_unsent());

    let cut = server(None, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
    let error = client.send(post(&cut, "http")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{}: no answer within 200ms", cut.endpoint));

    let garbage = server(None, "SSH-2.0-OpenSSH\r\n\r\n").await;
    let error = client.send(post(&garbage, "http")).await.unwrap_err();
    assert!(matches!(error, HttpError::Protocol { .. }), "{error:?}");

    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", socket.local_addr().unwrap());
    drop(socket);
    let error = client.send(HttpRequest::new(Method::GET, &address).unwrap()).await.unwrap_err();
    assert!(matches!(error, HttpError::Connect(DialError::Refused { .. })), "{error:?}");
    assert!(address.contains(error.to_string().split(": ").next().unwrap()));
}

#[tokio::test]
async fn no_more_connections_than_the_bound_are_opened() {
    let server = server(None, ok("")).await;
    let client = HttpClient::new(HttpOptions { pool_max_per_host: 2, ..HttpOptions::default() });
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let (client, request) = (client.clone(), post(&server, "http"));
            tokio::spawn(async move { client.send(request).await.unwrap().status })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
    assert!(server.connections.load(Ordering::Relaxed) <= 2);
}

/// A proxy that answers the first line and then passes bytes on to whatever host was asked for.
async fn proxy(refuse: Option<&'static str>) -> (Endpoint, mpsc::UnboundedReceiver<String>) {
    let listener = Listener::bind(ListenerOptions::new("127.0.0.1", 0)).await.unwrap();
    let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().port());
    let (sender, seen) = mpsc::unbounded_channel();
    tokio::spawn(listener.serve(CancellationToken::new(), move |connection| {
        let sender = sender.clone();
        async move {
            let mut stream = BufReader::new(connection.stream);
            let head = read_head(&mut stream).await.unwrap();
            let target = head.split([' ', '/']).find(|word| word.contains("127.0.0.1:")).unwrap();
            let target = Endpoint::new("127.0.0.1", target.rsplit_once(':').unwrap().1.parse().unwrap());
            sender.send(head.clone()).unwrap();
            if let Some(answer) = refuse {
                stream.write_all(answer.as_bytes()).await.unwrap();
                return;
            }
            let mut onward = connect_tcp(&target).await.unwrap();
            if head.starts_with("CONNECT ") {
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            } else {
                onward.write_all(head.as_bytes()).await.unwrap();
            }
            tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok();
        }
    }));
    (endpoint, seen)
}

fn by_way_of(proxy: &Endpoint, options: HttpOptions) -> HttpClient {
    let proxy = Proxy::parse(&format!("http://squid:secret@{proxy}")).unwrap();
    HttpClient::new(HttpOptions { proxy: Some(proxy), ..options })
}

const PROXY_CREDENTIALS: &str = "proxy-authorization: Basic c3F1aWQ6c2VjcmV0\r\n";

#[tokio::test]
async fn http_goes_to_the_proxy_with_its_whole_address() {
    let server = server(None, ok("by proxy")).await;
    let (proxy, mut seen) = proxy(None).await;
    let client = by_way_of(&proxy, HttpOptions::default());
    assert_eq!(client.send(post(&server, "http")).await.unwrap().body, "by proxy");
    let head = seen.recv().await.unwrap();
    assert!(head.starts_with(&format!("POST http://{}/_bulk HTTP/1.1\r\n", server.endpoint)), "{head}");
    assert!(head.contains(PROXY_CREDENTIALS), "{head}");
}

#[tokio::test]
async fn https_goes_through_a_tunnel_which_alone_sees_the_proxys_password() {
    let authority = Authority::new();
    let mut server = server(Some(authority.server()), ok("by tunnel")).await;
    let (proxy, mut seen) = proxy(None).await;
    let client = by_way_of(&proxy, trusting(&authority));
    for _ in 0..2 {
        assert_eq!(client.send(post(&server, "https")).await.unwrap().body, "by tunnel");
        let inner = server.seen.recv().await.unwrap();
        assert_eq!(inner.connection, 0);
        assert!(inner.head.starts_with("POST /_bulk HTTP/1.1\r\n"), "{}", inner.head);
        assert!(!inner.head.contains("proxy-authorization"), "{}", inner.head);
    }
    let head = seen.recv().await.unwrap();
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.endpoint)), "{head}");
    assert!(head.contains(PROXY_CREDENTIALS), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let authority = Authority::new();
    let server = server(Some(authority.server()), ok("")).await;
    let (refusing, _seen) = proxy(Some("HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")).await;
    let error = by_way_of(&refusing, trusting(&authority)).send(post(&server, "https")).await.unwrap_err();
    let expected =
        format!("{}: the proxy {refusing} answered 407: it asks for user and password", server.endpoint);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn nothing_secret_is_printed() {
    let mut options = HttpOptions {
        proxy: Some(Proxy::parse("http://squid:hunter2@proxy:3128").unwrap()),
        ..HttpOptions::default()
    };
    options.headers.insert(HeaderName::from_static("x-api-key"), HeaderValue::from_static("hunter2"));
    let client = HttpClient::new(options);
    let request = HttpRequest::new(Method::GET, "http://u:hunter2@h/?token=hunter2").unwrap();
    let printed = format!("{client:?} {request:?}");
    assert!(!printed.contains("hunter2") && printed.contains("x-api-key"), "{printed}");
}
