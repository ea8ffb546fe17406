//! A stand-in for Elasticsearch that keeps what it is given.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

/// One document, as a bulk request brought it.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) index: String,
    pub(crate) id: Option<String>,
    pub(crate) source: Value,
}

/// Listens on loopback; answers every bulk request with success.
pub(crate) struct Elasticsearch {
    port: u16,
    documents: Arc<Mutex<Vec<Document>>>,
}

impl Elasticsearch {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let documents = Arc::<Mutex<Vec<Document>>>::default();
        let kept = Arc::clone(&documents);
        // Ends with the test process: nothing waits for it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(&stream, &kept));
            }
        });
        Self { port, documents }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn documents(&self) -> Vec<Document> {
        self.documents.lock().unwrap().clone()
    }

    /// All documents, once there are `count` of them.
    pub(crate) fn at_least(&self, count: usize) -> Option<Vec<Document>> {
        Some(self.documents()).filter(|documents| documents.len() >= count)
    }
}

struct Request {
    method: String,
    path: String,
    body: String,
}

fn serve(stream: &TcpStream, kept: &Mutex<Vec<Document>>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let body = answer(&request, kept).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let body = if request.method == "HEAD" { "" } else { &body };
        if (&*stream).write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// The next request of a connection; none when it is over.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    assert_ne!(headers.get("transfer-encoding").map(String::as_str), Some("chunked"), "not understood here");
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = if headers.get("content-encoding").is_some_and(|coding| coding == "gzip") {
        let mut text = String::new();
        GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
        text
    } else {
        String::from_utf8(body).unwrap()
    };
    Some(Request { method, path, body })
}

fn answer(request: &Request, kept: &Mutex<Vec<Document>>) -> Value {
    let path = request.path.split('?').next().unwrap();
    match (request.method.as_str(), path) {
        (_, "/") => json!({
            "name": "stand-in",
            "cluster_name": "stand-in",
            "cluster_uuid": "AAAAAAAAAAAAAAAAAAAAAA",
            "version": {"number": "9.5.2", "build_flavor": "default"},
            "tagline": "You Know, for Search"
        }),
        (_, "/_license") => json!({"license": {"status": "active", "type": "basic"}}),
        ("POST", "/_bulk") => json!({"took": 1, "errors": false, "items": bulk(&request.body, kept)}),
        _ => json!({"acknowledged": true}),
    }
}

fn bulk(body: &str, kept: &Mutex<Vec<Document>>) -> Vec<Value> {
    let mut lines = body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut items = Vec::new();
    while let (Some(action), Some(source)) = (lines.next(), lines.next()) {
        let (name, details) = action.as_object().unwrap().iter().next().unwrap();
        let index = details["_index"].as_str().unwrap().to_owned();
        let id = details["_id"].as_str().map(str::to_owned);
        items.push(json!({name: {"_index": index, "_id": id.as_deref().unwrap_or("made"), "status": 201}}));
        kept.lock().unwrap().push(Document { index, id, source });
    }
    items
}
