//! Just enough of HTTP to ask an API on this machine.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// The JSON that is answered to a request.
///
/// # Errors
/// Nobody answers, or with a status that is not 2xx, or with something that is not JSON.
pub(crate) fn call(address: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    let ask = || -> Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        // 1.0: the answer comes in one piece, and ends with the connection.
        let head =
            format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().with_context(|| format!("{method} http://{address}{path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("{method} http://{address}{path}: {status} {body}");
    }
    let joined;
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        joined = join_chunks(body).context("an answer whose chunks can't be read")?;
        &joined
    } else {
        body
    };
    serde_json::from_str(body).with_context(|| format!("{method} http://{address}{path}: {body}"))
}

/// The text of chunks: a length in hexadecimal on a line, so many bytes, the end of a line, and so on until length 0.
fn join_chunks(mut rest: &str) -> Option<String> {
    let mut joined = String::with_capacity(rest.len());
    loop {
        let (length, behind) = rest.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(joined);
        }
        joined.push_str(behind.get(..length)?);
        rest = behind.get(length..)?.strip_prefix("\r\n")?;
    }
}

/// The number at a place of an answer.
///
/// # Errors
/// There is none.
pub(crate) fn number(value: &Value, pointer: &str) -> Result<u64> {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.with_context(|| format!("no number {pointer} in {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        assert_eq!(join_chunks("3\r\n{\"a\r\n5\r\n\": 1}\r\n0\r\n\r\n").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(join_chunks("3\r\n{\"a\r\n5\r\n\":"), None);
    }
}
