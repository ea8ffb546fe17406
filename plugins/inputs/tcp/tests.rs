//! The input as its clients see it, over loopback.

use super::*;
use crate::PLUGINS;
use ferrostash_conf::PluginKind;
use ferrostash_event::{Event, Timestamp};
use ferrostash_net::stream::ByteStream;
use ferrostash_net::testing::Authority;
use ferrostash_plugin::testing::{Harness, RunningInput};
use ferrostash_plugin::{Codec, CodecPlugin, Ecs, EncodeError, EventSink, codec};
use socket2::SockRef;
use std::net::TcpListener;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(5);

/// A port that is free at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn start_with(harness: Harness, options: &str) -> (RunningInput, u16) {
    let port = free_port();
    let text = format!(r#"tcp {{ host => "127.0.0.1" port => {port} {options} }}"#);
    (harness.input(&text).unwrap().spawn().await.unwrap(), port)
}

async fn start(options: &str) -> (RunningInput, u16) {
    start_with(Harness::new(PLUGINS).ecs(Ecs::Disabled), options).await
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

async fn send(port: u16, text: &str) -> TcpStream {
    let mut stream = connect(port).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

fn messages(events: &[Event]) -> Vec<String> {
    let message = ferrostash_event::FieldRef::literal("message");
    events.iter().map(|event| event.get_str(&message).unwrap_or("?").to_owned()).collect()
}

async fn read(input: &mut RunningInput, count: usize) -> Vec<String> {
    messages(&input.events(count).await)
}

fn gauge(input: &RunningInput, name: &str) -> u64 {
    let gauges = input.context.metrics.customs();
    gauges.iter().find(|gauge| gauge.path.iter().eq([name])).unwrap().value.get()
}

fn refusal(options: &str) -> String {
    let text = format!("tcp {{ port => 5000 {options} }}");
    Harness::new(PLUGINS).build(PluginKind::Input, &text).err().unwrap()
}

#[tokio::test]
async fn many_connections_at_a_time() {
    let (mut input, port) = start("").await;
    let mut clients = Vec::new();
    for n in 0..200 {
        clients.push(send(port, &format!("first {n}\nlast {n}")).await);
    }
    let mut got = read(&mut input, 200).await;
    assert!(got.iter().all(|message| message.starts_with("first ")), "{got:?}");
    assert_eq!((gauge(&input, "current_connections"), gauge(&input, "peak_connections")), (200, 200));
    drop(clients);
    got.extend(read(&mut input, 200).await);
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 400);
    input.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_that_half_closes_is_read_to_the_end() {
    let (mut input, port) = start("").await;
    for n in 0..3 {
        // A connection per flush, as some clients do.
        let mut stream = send(port, &format!("a {n}\nb {n}\n")).await;
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert!(answer.is_empty());
    }
    let mut got = read(&mut input, 6).await;
    got.sort();
    assert_eq!(got, ["a 0", "a 1", "a 2", "b 0", "b 1", "b 2"]);
    assert_eq!(gauge(&input, "current_connections"), 0);
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_what_it_sent() {
    let (mut input, port) = start("").await;
    let stream = send(port, "whole\nhal").await;
    assert_eq!(read(&mut input, 1).await, ["whole"]);
    // A reset instead of an orderly end.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(read(&mut input, 1).await, ["hal"]);
}

#[tokio::test]
async fn a_stop_delivers_what_was_read() {
    let (mut input, port) = start("").await;
    let stream = send(port, "one\ntw").await;
    assert_eq!(read(&mut input, 1).await, ["one"]);
    let started = Instant::now();
    assert_eq!(messages(&input.stop().await.unwrap()), ["tw"]);
    assert!(started.elapsed() < Duration::from_secs(1));
    drop(stream);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn a_full_queue_holds_up_the_client_and_not_the_stop() {
    const ENOUGH: usize = 256 << 20;
    let (input, port) = start("").await;
    let mut stream = connect(port).await;
    let lines = "0123456789abcdef\n".repeat(4096);
    let mut sent = 0;
    while let Ok(written) = timeout(Duration::from_millis(500), stream.write(lines.as_bytes())).await {
        sent += written.unwrap();
        assert!(sent < ENOUGH, "the client is never held up");
    }
    let RunningInput { context, chunks, task } = input;
    let started = Instant::now();
    context.shutdown.stop();
    task.await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
    drop(chunks);
}

#[tokio::test]
async fn a_full_queue_loses_nothing() {
    const LINES: usize = 20_000;
    let (mut input, port) = start("").await;
    let client = tokio::spawn(async move {
        let mut stream = connect(port).await;
        for n in 0..LINES {
            stream.write_all(format!("{n}\n").as_bytes()).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let got = read(&mut input, LINES).await;
    assert!(got.iter().enumerate().all(|(n, line)| *line == n.to_string()), "{} lines", got.len());
    client.await.unwrap();
    // No chunk is larger than eight batches.
    send(port, &"x\n".repeat(9000)).await;
    let mut lines = 0;
    while lines < 9000 {
        let chunk = timeout(LIMIT, input.chunks.recv()).await.unwrap().unwrap();
        assert!(chunk.lines.is_some() && chunk.len() <= 8 * input.context.batch_size);
        lines += chunk.len();
    }
}

#[tokio::test]
async fn a_port_in_use_stops_the_start() {
    let (_input, port) = start("").await;
    let second = Harness::new(PLUGINS).input(&format!(r#"tcp {{ host => "127.0.0.1" port => {port} }}"#));
    let error = second.unwrap().spawn().await.err().unwrap();
    assert_eq!(error, format!("address in use: 127.0.0.1:{port}"));
}

/// The event as JSON, with the client's port as `PORT`.
async fn only_event(input: &mut RunningInput, port: u16) -> String {
    let json = input.json(1).await.remove(0);
    let start = json.find("\"@timestamp\"").unwrap();
    let end = start + json[start..].find(',').unwrap() + 1;
    format!("{}{}", &json[..start], &json[end..]).replace(&port.to_string(), "PORT")
}

async fn fields(ecs: Ecs, options: &str, text: &str) -> String {
    let (mut input, port) = start_with(Harness::new(PLUGINS).ecs(ecs), options).await;
    let stream = send(port, text).await;
    only_event(&mut input, stream.local_addr().unwrap().port()).await
}

const NO_NAMES: &str = "dns_reverse_lookup_enabled => false";

#[tokio::test]
async fn events_say_where_they_came_from() {
    assert_eq!(
        fields(Ecs::V8, NO_NAMES, "hi\n").await,
        r#"{"message":"hi","@metadata":{"input":{"tcp":{"source":{"name":"127.0.0.1","ip":"127.0.0.1","port":PORT}}}}}"#
    );
    assert_eq!(
        fields(Ecs::Disabled, NO_NAMES, "hi\n").await,
        r#"{"message":"hi","host":"127.0.0.1","port":PORT,"@metadata":{"ip_address":"127.0.0.1"}}"#
    );
    let name = Names::default().of([127, 0, 0, 1].into()).await;
    assert_eq!(
        fields(Ecs::Disabled, "", "hi\n").await,
        format!(r#"{{"message":"hi","host":"{name}","port":PORT,"@metadata":{{"ip_address":"127.0.0.1"}}}}"#)
    );
}

#[tokio::test]
async fn json_is_read_by_the_line() {
    let options = format!("codec => json {NO_NAMES}");
    assert_eq!(
        fields(Ecs::Disabled, &options, "{\"host\":\"app\",\"n\":1}\n").await,
        r#"{"host":"app","n":1,"port":PORT,"@metadata":{"ip_address":"127.0.0.1"}}"#
    );
    let (mut input, port) = start(&options).await;
    send(port, "{\"message\":\"a\"}\n{\"message\"").await.write_all(b":\"b\"}").await.unwrap();
    assert_eq!(read(&mut input, 2).await, ["a", "b"]);
}

#[tokio::test]
async fn the_proxy_header_names_the_client() {
    let options = format!("proxy_protocol => true {NO_NAMES}");
    let text = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 5000\r\nhi\n";
    assert_eq!(
        fields(Ecs::V8, &options, text).await,
        r#"{"message":"hi","@metadata":{"input":{"tcp":{"proxy":{"ip":"198.51.100.1","port":"5000"},"source":{"name":"192.0.2.7","ip":"192.0.2.7","port":"56324"}}}}}"#
    );
    let (mut input, port) = start(&options).await;
    let mut stranger = send(port, "no header\r\n").await;
    let mut answer = Vec::new();
    // Closed, perhaps with a reset: what it sent was not read.
    let _ = timeout(LIMIT, stranger.read_to_end(&mut answer)).await.unwrap();
    send(port, text).await;
    assert_eq!(read(&mut input, 1).await, ["hi"]);
}

/// Options of a server that asks for certificates of `authority`.
fn tls_options(authority: &Authority, more: &str) -> String {
    let server = authority.issue("localhost", &["localhost", "127.0.0.1"]);
    format!(
        r#"ssl_enabled => true ssl_certificate => "{}" ssl_key => "{}" {more}"#,
        server.certificate.display(),
        server.key.display(),
    )
}

async fn connect_tls(port: u16, client: ferrostash_net::tls::ClientTls) -> Result<ByteStream, String> {
    let tls = DialTls { config: client.build().unwrap(), server_name: None };
    let endpoint = Endpoint::new("127.0.0.1", port);
    dial(&endpoint, Some(&tls), LIMIT).await.map_err(|error| error.to_string())
}

/// Whether the server takes a client; with TLS 1.3 a client learns only by reading that it does not.
async fn is_let_in(port: u16, client: ferrostash_net::tls::ClientTls) -> bool {
    let Ok(mut stream) = connect_tls(port, client).await else { return false };
    let _ = stream.write_all(b"hi\n").await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap().is_ok()
}

#[tokio::test]
async fn clients_need_a_certificate_unless_told_otherwise() {
    let authority = Authority::new();
    let authorities =
        format!(r#"{NO_NAMES} ssl_certificate_authorities => "{}""#, authority.certificate().display());
    let (mut input, port) = start(&tls_options(&authority, &authorities)).await;
    assert!(!is_let_in(port, authority.client()).await);
    assert!(
        !is_let_in(
            port,
            ferrostash_net::tls::ClientTls {
                identity: Authority::new().issue("stranger", &[]).identity(),
                ..authority.client()
            }
        )
        .await
    );
    assert!(is_let_in(port, authority.client_as("shipper")).await);
    let event = only_event(&mut input, 0).await;
    assert!(event.contains(r#""sslsubject":"CN=shipper,O=Acme\\, Inc.""#), "{event}");

    let (mut input, port) =
        start(&tls_options(&authority, &format!("{NO_NAMES} ssl_client_authentication => none"))).await;
    assert!(is_let_in(port, authority.client()).await);
    let event = only_event(&mut input, 0).await;
    assert!(event.contains("\"hi\"") && !event.contains("sslsubject"), "{event}");
}

#[tokio::test]
async fn without_authorities_those_of_the_system_count() {
    let authority = Authority::new();
    let (port, options) = (free_port(), tls_options(&authority, NO_NAMES));
    let text = format!(r#"tcp {{ host => "127.0.0.1" port => {port} {options} }}"#);
    match Harness::new(PLUGINS).input(&text) {
        Ok(input) => {
            let _input = input.spawn().await.unwrap();
            assert!(!is_let_in(port, authority.client_as("shipper")).await);
        }
        // A machine without any.
        Err(error) => assert!(error.contains("the system has no trusted certificates"), "{error}"),
    }
}

#[tokio::test]
async fn tls_options_that_do_not_fit() {
    let authority = Authority::new();
    let refusal = |options: &str| refusal(&tls_options(&authority, options));
    let error = refusal("ssl_client_authentication => optional");
    assert!(error.contains("`ssl_certificate_authorities` is required when"), "{error}");
    assert!(refusal("ssl_verification_mode => none").contains("use `ssl_client_authentication` instead"));
    assert!(
        refusal("mode => client ssl_client_authentication => none")
            .contains("use `ssl_verification_mode` instead")
    );
    assert!(refusal(r#"ssl_supported_protocols => "TLSv1.1""#).contains("TLSv1.1 is broken"));
    assert!(super::tests::refusal("ssl_enabled => true").contains("An `ssl_certificate` is required"));
}

#[test]
fn other_options_that_do_not_fit() {
    assert!(refusal("ssl_enable => true").contains("Use 'ssl_enabled' instead"));
    assert!(refusal("ssl_cert => \"x\"").contains("Use 'ssl_certificate' instead"));
    assert!(refusal("ssl_verify => false").contains("Use 'ssl_client_authentication' when mode is 'server'"));
    assert!(refusal("mode => client proxy_protocol => true").contains("`proxy_protocol` is for"));
    assert!(Harness::new(PLUGINS).build(PluginKind::Input, "tcp { port => 70000 }").is_err());
}

#[tokio::test]
async fn a_client_connects_again() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let text = format!(r#"tcp {{ mode => client host => "localhost" port => {port} {NO_NAMES} }}"#);
    let mut input = Harness::new(PLUGINS).input(&text).unwrap().spawn().await.unwrap();
    for n in 0..3 {
        let (mut stream, _) = timeout(LIMIT, server.accept()).await.unwrap().unwrap();
        stream.write_all(format!("line {n}\nrest {n}").as_bytes()).await.unwrap();
    }
    assert_eq!(read(&mut input, 6).await, ["line 0", "rest 0", "line 1", "rest 1", "line 2", "rest 2"]);

    drop(server);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let server = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (mut stream, _) = timeout(LIMIT, server.accept()).await.unwrap().unwrap();
    stream.write_all(b"back\n").await.unwrap();
    let event = only_event(&mut input, port).await;
    assert_eq!(
        event,
        r#"{"message":"back","@metadata":{"input":{"tcp":{"source":{"name":"127.0.0.1","ip":"127.0.0.1","port":PORT}}}}}"#
    );
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_client_speaks_tls() {
    let authority = Authority::new();
    let config = authority.server().build().unwrap();
    let server =
        Listener::bind(ListenerOptions { tls: Some(config), ..ListenerOptions::new("127.0.0.1", 0) });
    let server = server.await.unwrap();
    let port = server.local_addr().port();
    tokio::spawn(server.serve(tokio_util::sync::CancellationToken::new(), |mut connection| async move {
        let _ = connection.stream.write_all(b"secret\n").await;
        let _ = connection.stream.shutdown().await;
    }));
    let start = |options: String| async move {
        let text = format!(
            r#"tcp {{ mode => client host => "127.0.0.1" port => {port} ssl_enabled => true {options} }}"#
        );
        Harness::new(PLUGINS).ecs(Ecs::Disabled).input(&text).unwrap().spawn().await.unwrap()
    };
    let authorities = format!("ssl_certificate_authorities => \"{}\"", authority.certificate().display());
    let mut verified = start(authorities).await;
    let event = only_event(&mut verified, port).await;
    assert!(event.contains(r#""sslsubject":"CN=localhost,O=Acme\\, Inc.""#), "{event}");
    let mut blind = start("ssl_verification_mode => none".to_owned()).await;
    let event = only_event(&mut blind, port).await;
    assert!(event.contains("secret") && !event.contains("sslsubject"), "{event}");
}

/// Joins the lines of a message until silence, as `multiline` can.
#[derive(Options, Clone, Debug)]
#[plugin(codec = "until_silence")]
struct UntilSilenceOptions {}

#[derive(Clone, Default)]
struct UntilSilence(Vec<String>);

impl CodecPlugin for UntilSilence {
    type Options = UntilSilenceOptions;
    fn build(_: UntilSilenceOptions, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(UntilSilence::default())
    }
}

impl Codec for UntilSilence {
    fn decode(&mut self, data: &[u8], _: &mut EventSink<'_>) {
        self.0.extend(String::from_utf8_lossy(data).lines().map(str::to_owned));
    }

    fn takes_lines(&self) -> bool {
        true
    }

    fn flush(&mut self, sink: &mut EventSink<'_>) {
        if !self.0.is_empty() {
            sink(Event::from_message(&std::mem::take(&mut self.0).join("|"), Timestamp::now()));
        }
    }

    fn idle_flush(&self) -> Option<Duration> {
        Some(Duration::from_millis(200))
    }

    fn encode(&mut self, _: &Event, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }
}

#[tokio::test]
async fn codecs_get_whole_lines_and_silence() {
    static UNTIL_SILENCE: PluginDef = codec::<UntilSilence>();
    let harness = Harness::new(&[&PLUGIN, &UNTIL_SILENCE]);
    let (mut input, port) = start_with(harness, "codec => until_silence").await;
    let mut stream = connect(port).await;
    stream.set_nodelay(true).unwrap();
    for piece in ["Error: bo", "om\n  at", " main\n"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(read(&mut input, 1).await, ["Error: boom|  at main"]);
    stream.write_all(b"next\nlast").await.unwrap();
    drop(stream);
    assert_eq!(read(&mut input, 1).await, ["next|last"]);
}

#[tokio::test]
async fn a_silent_connection_holds_next_to_nothing() {
    let harness = Harness::new(PLUGINS).input("tcp { port => 5000 }").unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = connect(server.local_addr().unwrap().port()).await;
    let fields = Fields::of(Ecs::V8).unwrap();
    let shared = Shared::new(fields, None, false, &harness.context.metrics);
    let peer = Peer { ip: [127, 0, 0, 1].into(), port: 1, proxy: None, tls: None };
    let reading = async {
        let connection = Connection::open(&shared, ByteStream::Plain(stream), peer, &harness.context).await;
        connection.read(&harness.context).await
    };
    assert!(size_of_val(&reading) < 4096, "{} bytes", size_of_val(&reading));
}
