//! What the `elasticsearch` output takes for a cluster: it accepts every document at once and counts them.

use anyhow::Result;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A longer body is refused.
const BODY_MAX: usize = 256 << 20;
/// A longer line of a header is refused.
const LINE_MAX: u64 = 64 << 10;
const ROOT: &str =
    r#"{"version":{"number":"9.0.0","build_flavor":"default"},"tagline":"You Know, for Search"}"#;
const LICENSE: &str = r#"{"license":{"status":"active","type":"basic"}}"#;
const ITEM: &str = r#"{"create":{"status":201}}"#;

/// A running sink; it stops when it is dropped.
pub(super) struct Sink {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    documents: AtomicUsize,
    stopped: AtomicBool,
}

impl Sink {
    /// Listens on a free port.
    pub(super) fn start() -> Result<Sink> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, state) = (listener.local_addr()?, Arc::new(State::default()));
        let own = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if own.stopped.load(Ordering::Relaxed) {
                    break;
                }
                let state = Arc::clone(&own);
                // An error ends the connection, and the client says so.
                std::thread::spawn(move || serve(&connection, &state));
            }
        });
        Ok(Sink { address, state })
    }

    /// Host and port.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many documents it was given.
    pub(super) fn documents(&self) -> usize {
        self.state.documents.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(connection: &TcpStream, state: &State) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 20, connection);
    let (mut body, mut answer) = (Vec::new(), String::new());
    while let Some((request, length)) = head(&mut reader)? {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        answer.clear();
        if path.contains("/_bulk") {
            // A line with the action, and one with the document.
            let documents = memchr::memchr_iter(b'\n', &body).count() / 2;
            bulk_answer(documents, &mut answer);
            state.documents.fetch_add(documents, Ordering::Relaxed);
        } else {
            answer.push_str(if path.contains("_license") { LICENSE } else { ROOT });
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-elastic-product: Elasticsearch\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        answer.insert_str(0, &head);
        let sent = if method == "HEAD" { head.as_bytes() } else { answer.as_bytes() };
        (&*connection).write_all(sent)?;
    }
    Ok(())
}

/// The first line of a request and the length of its body; nothing at the end of the connection.
fn head(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<(String, usize)>> {
    let line = |reader: &mut BufReader<&TcpStream>| {
        let mut line = String::new();
        reader.take(LINE_MAX).read_line(&mut line).map(|_| line)
    };
    let request = line(reader)?;
    if request.is_empty() {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let header = line(reader)?;
        match header.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(usize::MAX);
            }
            Some((name, _)) if name.eq_ignore_ascii_case("transfer-encoding") => length = usize::MAX,
            Some(_) => {}
            None => break,
        }
    }
    if length > BODY_MAX {
        return Err(io::Error::other("a body without a length, or with too great a one"));
    }
    Ok(Some((request, length)))
}

fn bulk_answer(documents: usize, out: &mut String) {
    out.push_str(r#"{"took":1,"errors":false,"items":["#);
    for number in 0..documents {
        out.push_str(if number == 0 { "" } else { "," });
        out.push_str(ITEM);
    }
    out.push_str("]}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_counted_and_answered() {
        let sink = Sink::start().unwrap();
        let mut connection = TcpStream::connect(sink.address()).unwrap();
        let body = "{\"create\":{}}\n{\"a\":1}\n".repeat(3);
        write!(connection, "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        write!(connection, "POST /_bulk?x HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answers = String::new();
        connection.read_to_string(&mut answers).unwrap();
        assert_eq!(sink.documents(), 3);
        let (_, items) = answers.rsplit_once("\r\n\r\n").unwrap();
        assert_eq!(items.matches(ITEM).count(), 3, "{answers}");
        assert_eq!(answers.matches("200 OK").count(), 2, "{answers}");
        crate::json::Json::parse(items).unwrap();
    }

    #[test]
    fn a_body_without_a_length_ends_the_connection() {
        let sink = Sink::start().unwrap();
        let mut connection = TcpStream::connect(sink.address()).unwrap();
        write!(connection, "POST /_bulk HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(connection.read(&mut [0; 16]).unwrap(), 0);
    }
}
