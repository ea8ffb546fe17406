//! A stand-in for Elasticsearch that misbehaves on command.

use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ferrostash_net::stream::ByteStream;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// How one bulk request is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// As the cluster would.
    Normal,
    /// With these statuses, one for each document; 201 beyond the last.
    Items(Vec<u16>),
    /// With this status for the whole request; nothing is kept.
    Status(u16),
    /// Keeps the documents and closes the connection amid the answer.
    Cut,
    /// Keeps nothing and answers with success for this many documents, errors included.
    Count(usize),
    /// Keeps the documents and answers with something else than JSON.
    Nonsense,
    /// Keeps the documents and answers too late.
    Late(Duration),
}

/// One bulk request as it came.
#[derive(Clone, Debug)]
pub(super) struct Bulk {
    pub(super) headers: HashMap<String, String>,
    pub(super) target: String,
    /// Action line and document, if any, of each.
    pub(super) lines: Vec<(Value, Option<Value>)>,
    /// The part of the body before decompression.
    pub(super) plain_len: usize,
}

/// What the double does and has seen.
#[derive(Default)]
pub(super) struct State {
    /// Answers to come, then [`Reply::Normal`].
    pub(super) script: VecDeque<Reply>,
    /// Statuses for documents with this `message`.
    pub(super) refused: HashMap<String, u16>,
    /// Larger requests are answered with 413.
    pub(super) bytes_max: Option<usize>,
    /// Status and body of `GET /`.
    pub(super) root: Option<(u16, Value)>,
    /// Answers of other paths, by method and path; 404 else, or 200 for PUT.
    pub(super) others: HashMap<String, u16>,
    /// Every bulk request.
    pub(super) bulks: Vec<Bulk>,
    /// `message` of every document that was kept.
    pub(super) kept: Vec<String>,
    /// Method, target and body of the other requests.
    pub(super) seen: Vec<(String, String, String)>,
}

/// The double; ends with the runtime of the test.
#[derive(Clone)]
pub(super) struct Double {
    pub(super) port: u16,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    target: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Double {
    /// Listens.
    pub(super) async fn start() -> Double {
        Double::start_at(0).await
    }

    /// Listens at a port that is free again.
    pub(super) async fn start_at(port: u16) -> Double {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let double = Double { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let serving = double.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(ByteStream::Plain(stream)));
            }
        });
        double
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state().script.extend(replies);
    }

    pub(super) fn kept(&self) -> Vec<String> {
        self.state().kept.clone()
    }

    pub(super) fn bulks(&self) -> Vec<Bulk> {
        self.state().bulks.clone()
    }

    /// Answers the requests of one connection.
    pub(super) async fn serve(self, stream: ByteStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read(&mut stream).await {
            let (answer, cut, late) = self.answer(&request);
            tokio::time::sleep(late).await;
            let end = if cut { answer.len() / 2 } else { answer.len() };
            if stream.write_all(&answer[..end]).await.is_err() || stream.flush().await.is_err() || cut {
                return;
            }
        }
    }

    fn answer(&self, request: &Request) -> (Vec<u8>, bool, Duration) {
        let mut state = self.state.lock().unwrap();
        let path = request.target.split('?').next().unwrap();
        if path.ends_with("/_bulk") {
            return state.bulk(request);
        }
        let call = (
            request.method.clone(),
            request.target.clone(),
            String::from_utf8(request.body.clone()).unwrap(),
        );
        state.seen.push(call);
        let (status, body) = match (request.method.as_str(), path) {
            ("HEAD" | "GET", "/") => state.root.clone().unwrap_or((200, elasticsearch("9.5.2"))),
            (method, path) => {
                let default = if method == "PUT" { 200 } else { 404 };
                let status = state.others.get(&format!("{method} {path}")).copied().unwrap_or(default);
                (status, json!({"acknowledged": true}))
            }
        };
        let body = if request.method == "HEAD" { String::new() } else { body.to_string() };
        (http(status, &body), false, Duration::ZERO)
    }
}

/// The body of `GET /`.
pub(super) fn elasticsearch(version: &str) -> Value {
    json!({"version": {"number": version, "build_flavor": "default"}, "tagline": "You Know, for Search"})
}

impl State {
    fn bulk(&mut self, request: &Request) -> (Vec<u8>, bool, Duration) {
        let text = plain(request);
        let lines = documents(&text);
        self.bulks.push(Bulk {
            headers: request.headers.clone(),
            target: request.target.clone(),
            plain_len: text.len(),
            lines: lines.clone(),
        });
        if self.bytes_max.is_some_and(|max| text.len() > max) {
            return (http(413, "too large"), false, Duration::ZERO);
        }
        let reply = self.script.pop_front().unwrap_or(Reply::Normal);
        let statuses = match &reply {
            Reply::Status(status) => {
                return (http(*status, "{\"error\":\"on command\"}"), false, Duration::ZERO);
            }
            Reply::Count(count) => return (http(200, &items(&vec![429; *count])), false, Duration::ZERO),
            Reply::Items(statuses) => {
                (0..lines.len()).map(|at| statuses.get(at).copied().unwrap_or(201)).collect()
            }
            _ => lines.iter().map(|(_, document)| self.status_of(document.as_ref())).collect::<Vec<u16>>(),
        };
        for ((_, document), status) in lines.iter().zip(&statuses) {
            if *status < 300 {
                self.kept.push(message(document.as_ref()));
            }
        }
        match reply {
            Reply::Nonsense => (http(200, "<html>"), false, Duration::ZERO),
            Reply::Late(late) => (http(200, &items(&statuses)), false, late),
            reply => (http(200, &items(&statuses)), matches!(reply, Reply::Cut), Duration::ZERO),
        }
    }

    fn status_of(&self, document: Option<&Value>) -> u16 {
        self.refused.get(&message(document)).copied().unwrap_or(201)
    }
}

fn message(document: Option<&Value>) -> String {
    let document = document.map(|document| document.get("doc").unwrap_or(document));
    document.and_then(|document| document["message"].as_str()).unwrap_or_default().to_owned()
}

fn items(statuses: &[u16]) -> String {
    let item = |status: &u16| match status {
        200..300 => json!({"index": {"status": status}}),
        _ => {
            json!({"index": {"status": status, "error": {"type": format!("error_{status}"), "reason": "on command"}}})
        }
    };
    let items: Vec<Value> = statuses.iter().map(item).collect();
    json!({"errors": statuses.iter().any(|status| *status >= 300), "items": items}).to_string()
}

fn documents(text: &str) -> Vec<(Value, Option<Value>)> {
    assert!(text.ends_with('\n'), "a bulk request ends with a line end");
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut documents = Vec::new();
    while let Some(action) = lines.next() {
        let document = if action.get("delete").is_some() { None } else { lines.next() };
        documents.push((action, document));
    }
    documents
}

fn plain(request: &Request) -> String {
    let mut plain = Vec::new();
    match request.headers.get("content-encoding").map(String::as_str) {
        Some("gzip") => Read::read_to_end(&mut GzDecoder::new(request.body.as_slice()), &mut plain).unwrap(),
        _ => Read::read_to_end(&mut request.body.as_slice(), &mut plain).unwrap(),
    };
    String::from_utf8(plain).unwrap()
}

fn http(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into()
}

async fn read(stream: &mut BufReader<ByteStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, target, headers, body })
}
