use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::dial::{DialTls, dial};
use crate::testing::Authority;
use crate::tls::ClientAuthentication;

const LIMIT: Duration = Duration::from_secs(5);

fn options() -> ListenerOptions {
    ListenerOptions::new("127.0.0.1", 0)
}

/// A server that reads each connection to its end, answers with what it read, and reports both.
struct Echo {
    endpoint: Endpoint,
    seen: mpsc::Receiver<(Peer, String)>,
    shutdown: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

async fn echo(options: ListenerOptions) -> Echo {
    let listener = Listener::bind(options).await.unwrap();
    let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().port());
    let shutdown = CancellationToken::new();
    let (sender, seen) = mpsc::channel(8);
    let served = tokio::spawn(listener.serve(shutdown.clone(), move |mut connection| {
        let sender = sender.clone();
        async move {
            let mut text = String::new();
            connection.stream.read_to_string(&mut text).await.unwrap();
            connection.stream.write_all(text.as_bytes()).await.unwrap();
            connection.stream.shutdown().await.unwrap();
            sender.send((connection.peer, text)).await.unwrap();
        }
    }));
    Echo { endpoint, seen, shutdown, served }
}

async fn say(stream: &mut ByteStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_was_sent_before_a_half_close_arrives_and_is_answered() {
    let mut echo = echo(ListenerOptions { tcp_keep_alive: Some(Duration::from_secs(60)), ..options() }).await;
    let mut stream = dial(&echo.endpoint, None, LIMIT).await.unwrap();
    let port = stream.tcp().local_addr().unwrap().port();
    assert_eq!(say(&mut stream, "last words").await, "last words");
    let (peer, text) = echo.seen.recv().await.unwrap();
    assert_eq!(text, "last words");
    assert_eq!(peer, Peer { ip: [127, 0, 0, 1].into(), port, proxy: None, tls: None });
}

#[tokio::test]
async fn tls_has_the_same_half_close_and_names_the_client() {
    let authority = Authority::new();
    let tls = authority.server_asking(ClientAuthentication::Required).build().unwrap();
    let mut echo = echo(ListenerOptions { tls: Some(tls), ..options() }).await;
    let tls = DialTls { config: authority.client_as("shipper").build().unwrap(), server_name: None };
    let mut stream = dial(&echo.endpoint, Some(&tls), LIMIT).await.unwrap();
    assert_eq!(say(&mut stream, "secret").await, "secret");
    let (peer, _) = echo.seen.recv().await.unwrap();
    let peer = peer.tls.unwrap();
    assert_eq!(
        (peer.protocol.as_str(), peer.subject.as_deref()),
        ("TLSv1.3", Some(r"CN=shipper,O=Acme\, Inc."))
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_without_tls_notice_loses_nothing() {
    let authority = Authority::new();
    let mut echo =
        echo(ListenerOptions { tls: Some(authority.server().build().unwrap()), ..options() }).await;
    let tls = DialTls { config: authority.client().build().unwrap(), server_name: None };
    let mut stream = dial(&echo.endpoint, Some(&tls), LIMIT).await.unwrap();
    stream.write_all(b"abrupt").await.unwrap();
    stream.flush().await.unwrap();
    // Half-closes TCP alone, beneath TLS.
    SockRef::from(stream.tcp()).shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(echo.seen.recv().await.unwrap().1, "abrupt");
}

#[tokio::test]
async fn a_handshake_that_fails_or_stalls_hinders_nobody() {
    let authority = Authority::new();
    let mut echo = echo(ListenerOptions {
        tls: Some(authority.server().build().unwrap()),
        handshake_timeout: Duration::from_millis(100),
        ..options()
    })
    .await;
    let mut stalled = dial(&echo.endpoint, None, LIMIT).await.unwrap();
    let mut plain = dial(&echo.endpoint, None, LIMIT).await.unwrap();
    plain.write_all(b"this is not TLS\n").await.unwrap();

    let tls = DialTls { config: authority.client().build().unwrap(), server_name: None };
    let mut stream = dial(&echo.endpoint, Some(&tls), LIMIT).await.unwrap();
    assert_eq!(say(&mut stream, "good").await, "good");
    assert_eq!(echo.seen.recv().await.unwrap().1, "good");
    let mut rest = Vec::new();
    timeout(LIMIT, stalled.read_to_end(&mut rest)).await.expect("the stalled one is closed").ok();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_port_in_use_is_an_error_with_the_address() {
    let first = Listener::bind(options()).await.unwrap();
    let port = first.local_addr().port();
    let error = Listener::bind(ListenerOptions { port, ..options() }).await.unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    assert_eq!(error.to_string(), format!("address in use: 127.0.0.1:{port}"));
    drop(first);
    assert!(Listener::bind(ListenerOptions { port, ..options() }).await.is_ok());
}

#[tokio::test]
async fn a_foreign_address_and_an_unknown_host_are_named() {
    let bind = |host: &str| Listener::bind(ListenerOptions::new(host, 0));
    let error = bind("192.0.2.1").await.unwrap_err();
    assert_eq!(error.to_string(), "192.0.2.1:0 is not an address of this machine");
    assert!(matches!(bind("no-such-host.invalid").await.unwrap_err(), BindError::Resolve { .. }));
}

#[tokio::test]
async fn the_wildcard_serves_both_families_and_shows_plain_addresses() {
    let mut echo = echo(ListenerOptions::new("0.0.0.0", 0)).await;
    let mut stream = dial(&echo.endpoint, None, LIMIT).await.unwrap();
    say(&mut stream, "v4").await;
    assert_eq!(echo.seen.recv().await.unwrap().0.ip, IpAddr::from([127, 0, 0, 1]));
    if tokio::net::TcpListener::bind("[::1]:0").await.is_ok() {
        let endpoint = Endpoint::new("::1", echo.endpoint.port());
        say(&mut dial(&endpoint, None, LIMIT).await.unwrap(), "v6").await;
        assert_eq!(echo.seen.recv().await.unwrap().0.ip, IpAddr::from(Ipv6Addr::LOCALHOST));
    }
}

#[tokio::test]
async fn the_proxy_header_names_the_client_before_or_inside_tls() {
    const HEADER: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 5044\r\n";
    let authority = Authority::new();
    let check = |(peer, text): (Peer, String)| {
        assert_eq!((peer.ip, peer.port), ([192, 0, 2, 7].into(), 56324));
        assert_eq!(peer.proxy, Some("198.51.100.1:5044".parse().unwrap()));
        assert_eq!(text, "hello");
        peer.tls.is_some()
    };

    let mut plain = echo(ListenerOptions { proxy_protocol: true, ..options() }).await;
    let mut stream = dial(&plain.endpoint, None, LIMIT).await.unwrap();
    say(&mut stream, &format!("{HEADER}hello")).await;
    assert!(!check(plain.seen.recv().await.unwrap()));

    let tls = Some(authority.server().build().unwrap());
    let mut secure = echo(ListenerOptions { proxy_protocol: true, tls, ..options() }).await;
    let tls = DialTls { config: authority.client().build().unwrap(), server_name: None };
    let mut inside = dial(&secure.endpoint, Some(&tls), LIMIT).await.unwrap();
    say(&mut inside, &format!("{HEADER}hello")).await;
    assert!(check(secure.seen.recv().await.unwrap()));

    let mut tcp = crate::dial::connect_tcp(&secure.endpoint).await.unwrap();
    tcp.write_all(HEADER.as_bytes()).await.unwrap();
    let mut before = crate::dial::handshake(tcp, &secure.endpoint, &tls).await.unwrap();
    say(&mut before, "hello").await;
    assert!(check(secure.seen.recv().await.unwrap()));
}

#[tokio::test]
async fn connections_above_the_bound_wait_for_their_turn() {
    let mut echo = echo(ListenerOptions { connections_max: 1, ..options() }).await;
    let mut first = dial(&echo.endpoint, None, LIMIT).await.unwrap();
    first.write_all(b"1").await.unwrap();
    let mut second = dial(&echo.endpoint, None, LIMIT).await.unwrap();
    second.write_all(b"2").await.unwrap();
    second.shutdown().await.unwrap();
    assert!(timeout(Duration::from_millis(100), echo.seen.recv()).await.is_err());
    first.shutdown().await.unwrap();
    assert_eq!(echo.seen.recv().await.unwrap().1, "1");
    assert_eq!(echo.seen.recv().await.unwrap().1, "2");
}

#[tokio::test]
async fn a_stop_closes_the_port_and_waits_for_the_handlers() {
    let Echo { endpoint, mut seen, shutdown, served } = echo(options()).await;
    let mut stream = dial(&endpoint, None, LIMIT).await.unwrap();
    stream.write_all(b"in flight").await.unwrap();
    // Not before it was accepted: what still waits in the backlog is turned away.
    tokio::time::sleep(Duration::from_millis(50)).await;
    shutdown.cancel();
    while dial(&endpoint, None, LIMIT).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!served.is_finished());
    stream.shutdown().await.unwrap();
    assert_eq!(seen.recv().await.unwrap().1, "in flight");
    timeout(LIMIT, served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_handler_sees_the_stop() {
    let listener = Listener::bind(options()).await.unwrap();
    let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().port());
    let shutdown = CancellationToken::new();
    let (accepted, mut was_accepted) = mpsc::channel(1);
    let served = tokio::spawn(listener.serve(shutdown.clone(), move |connection| {
        let accepted = accepted.clone();
        async move {
            accepted.send(()).await.unwrap();
            connection.shutdown.cancelled().await;
        }
    }));
    let _stream = dial(&endpoint, None, LIMIT).await.unwrap();
    was_accepted.recv().await.unwrap();
    shutdown.cancel();
    timeout(LIMIT, served).await.unwrap().unwrap();
}

#[test]
fn pauses_grow_to_a_bound() {
    let mut pause = Pause::default();
    let waits: Vec<_> = (0..10).map(|_| pause.next().as_millis()).collect();
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
}

#[test]
fn only_lasting_errors_pause_the_accepting() {
    assert!(concerns_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    let too_many_files = io::Error::from_raw_os_error(24);
    assert!(!concerns_one_connection(&too_many_files));
}
