//! As much of HTTP as a test needs: requests with a length, answers of any shape.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use flate2::read::GzDecoder;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in small letters.
    pub(crate) headers: HashMap<String, String>,
    /// Decompressed.
    pub(crate) body: String,
    /// As it came.
    pub(crate) raw_body: Vec<u8>,
}

impl Request {
    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// The next request of a connection; none when it is over.
    pub(crate) fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        assert!(!headers.contains_key("transfer-encoding"), "not understood here");
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let is_gzip = headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
        let raw_body = body.clone();
        let body = if is_gzip {
            let mut text = String::new();
            GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
            text
        } else {
            String::from_utf8(body).unwrap()
        };
        Some(Request { method, target, headers, body, raw_body })
    }
}

/// What goes back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) after: Duration,
    pub(crate) end: End,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Whole,
    /// The connection is closed amid the answer.
    Cut,
    /// Nothing is said until the client has gone.
    Never,
}

impl Response {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Response {
        Response { status, body: body.into(), ..Response::default() }
    }

    /// Sends it; an error where the connection is to end.
    pub(crate) fn send(&self, mut stream: &TcpStream, is_head: bool) -> io::Result<()> {
        std::thread::sleep(self.after);
        if self.end == End::Never {
            let _ = stream.read(&mut [0]);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut text = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = if is_head { "" } else { &self.body };
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        if self.end == End::Cut {
            stream.write_all(&text.as_bytes()[..text.len() / 2])?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        stream.write_all(text.as_bytes())
    }
}
