//! Lines over TCP, from several connections at once.

use anyhow::{Context as _, Result, anyhow};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Connections that send at the same time.
const CONNECTIONS: usize = 4;

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Connections to the program under measurement, ready to send.
pub(super) struct Feed {
    connections: Vec<TcpStream>,
    lines: Arc<Vec<u8>>,
}

impl Feed {
    /// Connects; `None` while nobody listens.
    pub(super) fn connect(port: u16, input: &Path) -> Result<Option<Feed>> {
        let connect = |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        let Ok(connections) = (0..CONNECTIONS).map(connect).collect() else { return Ok(None) };
        Ok(Some(Feed { connections, lines: Arc::new(std::fs::read(input)?) }))
    }

    /// Sends everything, each connection an equal share of whole lines.
    pub(super) fn start(self) -> Sending {
        let share = self.lines.len() / CONNECTIONS;
        let mut sent = 0;
        let threads = (1..=CONNECTIONS).zip(self.connections).map(|(number, mut connection)| {
            let end =
                if number == CONNECTIONS { self.lines.len() } else { line_end(&self.lines, number * share) };
            let (lines, range) = (Arc::clone(&self.lines), sent..end.max(sent));
            sent = range.end;
            std::thread::spawn(move || connection.write_all(lines.get(range).unwrap_or_default()))
        });
        Sending(threads.collect())
    }
}

/// Behind the end of the line in which `at` lies.
fn line_end(lines: &[u8], at: usize) -> usize {
    let rest = lines.get(at..).unwrap_or_default();
    memchr::memchr(b'\n', rest).map_or(lines.len(), |end| at + end + 1)
}

/// The threads that send.
pub(super) struct Sending(Vec<JoinHandle<std::io::Result<()>>>);

impl Sending {
    /// Waits until everything is sent.
    pub(super) fn finish(self) -> Result<()> {
        self.0.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow!("a sender panicked"))?.context("sending lines")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn every_line_is_sent_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in");
        let text: String = (0..999).map(|number| format!("line {number}\n")).collect();
        std::fs::write(&input, &text).unwrap();
        assert!(Feed::connect(free_port().unwrap(), &input).unwrap().is_none());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let feed = Feed::connect(listener.local_addr().unwrap().port(), &input).unwrap().unwrap();
        let sending = feed.start();
        let mut received = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut share = String::new();
            listener.accept().unwrap().0.read_to_string(&mut share).unwrap();
            assert!(share.lines().count() > 200 && share.ends_with('\n'));
            received.extend(share.lines().map(str::to_owned).collect::<Vec<_>>());
        }
        sending.finish().unwrap();
        received.sort();
        let mut sent: Vec<&str> = text.lines().collect();
        sent.sort_unstable();
        assert_eq!(received, sent);
    }
}
