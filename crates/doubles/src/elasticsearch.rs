//! A stand-in for Elasticsearch and its relatives.

use std::collections::{HashMap, VecDeque};
use std::io::BufReader;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::documents::{Documents, Stored};
use crate::http::{End, Request, Response};
use crate::signature::Signature;

/// How one bulk request is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// As the cluster would.
    Normal,
    /// With these statuses, one for each document; the others as the cluster would.
    Items(Vec<u16>),
    /// With this status for the whole request; nothing is kept.
    Status(u16),
    /// The same, with `Retry-After`.
    StatusAfter(u16, String),
    /// Carries the request out and closes the connection amid the answer.
    Cut,
    /// Keeps nothing and answers with errors for this many documents.
    Count(usize),
    /// Carries the request out and answers with this text.
    Says(String),
    /// Carries the request out and answers with half of the JSON.
    Half,
    /// Carries the request out and answers too late.
    Late(Duration),
    /// Carries nothing out and never answers.
    Hang,
}

/// One bulk request as it came.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// When it came.
    pub at: Instant,
    /// Names in small letters.
    pub headers: HashMap<String, String>,
    /// Path and query.
    pub target: String,
    /// Action line and document, if any, of each.
    pub lines: Vec<(Value, Option<Value>)>,
    /// The part of the body before decompression.
    pub plain_len: usize,
}

impl Bulk {
    /// `message` of each document.
    pub fn messages(&self) -> Vec<String> {
        self.lines.iter().map(|(_, document)| message(document.as_ref())).collect()
    }

    /// The index of each document.
    pub fn indices(&self) -> Vec<String> {
        let index = |(action, _): &(Value, Option<Value>)| {
            action.as_object().unwrap().values().next().unwrap()["_index"].as_str().unwrap().to_owned()
        };
        self.lines.iter().map(index).collect()
    }
}

/// What the stand-in does and has seen.
#[derive(Default)]
pub struct State {
    /// Answers to come, then `always`.
    pub script: VecDeque<Reply>,
    /// How bulk requests are answered from now on, where the script is at its end.
    pub always: Option<Reply>,
    /// This status answers everything, `GET /` included.
    pub everything: Option<u16>,
    /// Statuses for documents with this `message`.
    pub refused: HashMap<String, u16>,
    /// Status and type of error for documents of an index.
    pub refused_indices: HashMap<String, (u16, String)>,
    /// Requests without such a signature are answered with 403.
    pub signature: Option<Signature>,
    /// What was wrong with signatures.
    pub forged: Vec<String>,
    /// Larger requests are answered with 413.
    pub bytes_max: Option<usize>,
    /// Status and body of `GET /`.
    pub root: Option<(u16, Value)>,
    /// Whether the header that names the product is left out.
    pub hides_product: bool,
    /// Statuses of other paths, by method and path; 404 else, or 200 for PUT.
    pub others: HashMap<String, u16>,
    /// Bodies of other paths, by path.
    pub bodies: HashMap<String, Value>,
    /// Every bulk request.
    pub bulks: Vec<Bulk>,
    /// Most bulk requests that were under way at a time.
    pub bulks_at_once_max: usize,
    bulks_at_once: usize,
    /// `message` of every document that was kept, once for each time.
    pub kept: Vec<String>,
    /// What it holds.
    pub documents: Documents,
    /// Method, target and body of the other requests.
    pub seen: Vec<(String, String, String)>,
}

/// The stand-in; clones are the same one. It ends with the process of the test.
#[derive(Clone)]
pub struct Elasticsearch {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    state: Arc<Mutex<State>>,
    open: Arc<Mutex<Open>>,
}

/// What is to be closed when the service stops.
#[derive(Default)]
struct Open {
    generation: u64,
    connections: Vec<TcpStream>,
}

/// Ports that the system gives to nobody who asks for any, and that services of tests don't take.
const PORTS: Range<u16> = 12_000..20_000;

fn listener_of_its_own() -> TcpListener {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Other processes of tests begin elsewhere.
        let number =
            std::process::id().wrapping_mul(7919).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + (number % u32::from(PORTS.end - PORTS.start)) as u16;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener;
        }
    }
}

impl Elasticsearch {
    /// Listens on a port of its own; while it is stopped nobody else is given it.
    pub fn start() -> Elasticsearch {
        Elasticsearch::at(listener_of_its_own())
    }

    /// Listens at a port that is free again.
    pub fn start_at(port: u16) -> Elasticsearch {
        Elasticsearch::at(TcpListener::bind(("127.0.0.1", port)).unwrap())
    }

    fn at(listener: TcpListener) -> Elasticsearch {
        let port = listener.local_addr().unwrap().port();
        let double = Elasticsearch { port, state: Arc::default(), open: Arc::default() };
        double.listen(listener);
        double
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Refuses connections from now on, and closes those that are open. What it holds stays.
    pub fn stop(&self) {
        let mut open = self.open.lock().unwrap();
        open.generation += 1;
        open.connections.drain(..).for_each(|connection| drop(connection.shutdown(Shutdown::Both)));
        drop(open);
        // Wakes the thread that accepts; it lets go of the port.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Listens again after [`Elasticsearch::stop`].
    pub fn restart(&self) {
        self.listen(TcpListener::bind(("127.0.0.1", self.port)).unwrap());
    }

    fn listen(&self, listener: TcpListener) {
        let double = self.clone();
        let generation = self.open.lock().unwrap().generation;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut open = double.open.lock().unwrap();
                if open.generation != generation {
                    return;
                }
                open.connections.extend(stream.try_clone());
                drop(open);
                let double = double.clone();
                std::thread::spawn(move || double.serve(&stream));
            }
        });
    }

    /// What it does and has seen, to look at and to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Says how the next bulk requests are answered.
    pub fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state().script.extend(replies);
    }

    /// Refuses documents for an index, or takes them again.
    pub fn refuse_index(&self, index: &str, refusal: Option<(u16, &str)>) {
        let mut state = self.state();
        match refusal {
            Some((status, kind)) => state.refused_indices.insert(index.into(), (status, kind.into())),
            None => state.refused_indices.remove(index),
        };
    }

    /// `message` of every document that was kept, once for each time.
    pub fn kept(&self) -> Vec<String> {
        self.state().kept.clone()
    }

    /// Every bulk request.
    pub fn bulks(&self) -> Vec<Bulk> {
        self.state().bulks.clone()
    }

    /// What it holds.
    pub fn documents(&self) -> Vec<Stored> {
        self.state().documents.all()
    }

    /// All documents, once there are `count` of them.
    pub fn at_least(&self, count: usize) -> Option<Vec<Stored>> {
        Some(self.documents()).filter(|documents| documents.len() >= count)
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader) {
            let is_bulk = request.path().ends_with("/_bulk");
            let response = self.answer(&request, is_bulk);
            let sent = response.send(stream, request.method == "HEAD");
            if is_bulk {
                self.state().bulks_at_once -= 1;
            }
            if sent.is_err() {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    fn answer(&self, request: &Request, is_bulk: bool) -> Response {
        let mut state = self.state();
        if let Some(Err(fault)) = state.signature.as_ref().map(|signature| signature.check(request)) {
            state.bulks_at_once += usize::from(is_bulk);
            state.forged.push(format!("{} {}: {fault}", request.method, request.target));
            return Response::new(403, json!({"message": fault}).to_string());
        }
        let mut response = if is_bulk { state.bulk(request) } else { state.other(request) };
        if !state.hides_product {
            response.headers.push(("X-Elastic-Product".into(), "Elasticsearch".into()));
        }
        response
    }
}

/// The body of `GET /`.
pub fn root(version: &str) -> Value {
    json!({
        "name": "stand-in",
        "cluster_name": "stand-in",
        "cluster_uuid": "AAAAAAAAAAAAAAAAAAAAAA",
        "version": {"number": version, "build_flavor": "default"},
        "tagline": "You Know, for Search"
    })
}

impl State {
    fn other(&mut self, request: &Request) -> Response {
        let call = (request.method.clone(), request.target.clone(), request.body.clone());
        self.seen.push(call);
        if let Some(status) = self.everything {
            return Response::new(status, json!({"error": "on command", "status": status}).to_string());
        }
        let (status, body) = match (request.method.as_str(), request.path()) {
            ("HEAD" | "GET", "/") => self.root.clone().unwrap_or((200, root("9.5.2"))),
            (method, path) => {
                let license = || json!({"license": {"status": "active", "type": "basic"}});
                let body = self.bodies.get(path).cloned().or_else(|| (path == "/_license").then(license));
                let default = if method == "PUT" || body.is_some() { 200 } else { 404 };
                let status = self.others.get(&format!("{method} {path}")).copied().unwrap_or(default);
                (status, body.unwrap_or_else(|| json!({"acknowledged": true})))
            }
        };
        Response::new(status, body.to_string())
    }

    fn bulk(&mut self, request: &Request) -> Response {
        self.bulks_at_once += 1;
        self.bulks_at_once_max = self.bulks_at_once_max.max(self.bulks_at_once);
        let lines = documents(&request.body);
        self.bulks.push(Bulk {
            at: Instant::now(),
            headers: request.headers.clone(),
            target: request.target.clone(),
            plain_len: request.body.len(),
            lines: lines.clone(),
        });
        if let Some(status) = self.everything {
            return Response::new(status, "{\"error\":\"on command\"}");
        }
        if self.bytes_max.is_some_and(|max| request.body.len() > max) {
            return Response::new(413, "too large");
        }
        let reply = self.script.pop_front().or(self.always.clone()).unwrap_or(Reply::Normal);
        match reply {
            Reply::Status(status) => Response::new(status, "{\"error\":\"on command\"}"),
            Reply::StatusAfter(status, after) => {
                let headers = vec![("Retry-After".to_owned(), after)];
                Response { headers, ..Response::new(status, "{\"error\":\"on command\"}") }
            }
            Reply::Hang => Response { end: End::Never, ..Response::default() },
            Reply::Count(count) => {
                let item = json!({"index": {"status": 429, "error": {"type": "error_429"}}});
                Response::new(200, json!({"errors": true, "items": vec![item; count]}).to_string())
            }
            Reply::Items(statuses) => Response::new(200, self.carry_out(&lines, &statuses)),
            Reply::Normal => Response::new(200, self.carry_out(&lines, &[])),
            Reply::Cut => Response { end: End::Cut, ..Response::new(200, self.carry_out(&lines, &[])) },
            Reply::Late(after) => Response { after, ..Response::new(200, self.carry_out(&lines, &[])) },
            Reply::Half => {
                let whole = self.carry_out(&lines, &[]);
                Response::new(200, &whole[..whole.len() / 2])
            }
            Reply::Says(text) => {
                self.carry_out(&lines, &[]);
                Response::new(200, text)
            }
        }
    }

    /// Carries a request out, but for what is commanded; gives the answer.
    fn carry_out(&mut self, lines: &[(Value, Option<Value>)], commanded: &[u16]) -> String {
        let mut items = Vec::new();
        for (at, (action, document)) in lines.iter().enumerate() {
            let (name, place) = action.as_object().unwrap().iter().next().unwrap();
            let message = message(document.as_ref());
            let index = place["_index"].as_str().unwrap();
            let refused = self.refused.get(&message).map(|status| (*status, format!("error_{status}")));
            let commanded = commanded.get(at).filter(|status| **status >= 300);
            let refused = commanded.map(|status| (*status, format!("error_{status}"))).or(refused);
            let (status, error) = match refused.or_else(|| self.refused_indices.get(index).cloned()) {
                Some((status, kind)) => (status, Some(json!({"type": kind, "reason": "on command"}))),
                None => self.documents.apply(action, document.as_ref()),
            };
            if error.is_none() {
                self.kept.push(message);
            }
            items.push(match error {
                None => json!({name: {"status": status}}),
                Some(error) => json!({name: {"status": status, "error": error}}),
            });
        }
        let errors = items
            .iter()
            .any(|item| item.as_object().unwrap().values().any(|item| item.get("error").is_some()));
        json!({"errors": errors, "items": items}).to_string()
    }
}

fn message(document: Option<&Value>) -> String {
    let document = document.map(|document| document.get("doc").unwrap_or(document));
    document.and_then(|document| document["message"].as_str()).unwrap_or_default().to_owned()
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
