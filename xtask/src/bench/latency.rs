//! How long an event takes from a TCP connection through a json pipeline to standard output.

use super::feed;
use super::run::folder;
use anyhow::{Context as _, Result, bail};
use memchr::memmem;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Events that are sent one at a time, and how long each is waited for before the next.
const LONE_EVENTS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(2);
/// How long a load is kept up.
const LOAD_TIME: Duration = Duration::from_secs(5);
/// How often events are sent under load; the last one of each is timed.
const SEND_EVERY: Duration = Duration::from_millis(1);
/// What comes before a time in a line.
const PROBE: &str = "\"probe\":";
const LINE: &str = r#""level":"INFO","logger":"app.api.users","message":"request finished after a retry of the upstream call","service":"gateway","hostname":"web-07.prod.example.net","pid":4711,"thread":"worker-1","request_id":"a94d0f7335598c8d3056dbde5dd13982","duration_ms":12.5,"status":200,"user":{"id":"u13956","ip":"192.0.2.45"}}"#;

/// A program that reads lines from TCP and writes them to a pipe.
struct Program {
    child: Child,
    port: u16,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints the latencies of lone events, and of events at `rate` events per second.
pub(super) fn print(program: &Path, rate: f64) -> Result<()> {
    let lone = Quantiles::of(lone(program)?)?;
    let loaded = Quantiles::of(loaded(program, rate)?)?;
    println!("latency       lone events: {lone}  {}", program.display());
    println!("              at {:.0} k events/s: {loaded}", rate / 1000.0);
    Ok(())
}

fn lone(program: &Path) -> Result<Vec<Duration>> {
    let folder = folder()?;
    let (mut program, mut connection) = start(program, folder.path())?;
    let mut output = program.child.stdout.take().context("no standard output")?;
    let mut buffer = vec![0; 64 * 1024];
    let mut times = Vec::new();
    for _ in 0..LONE_EVENTS {
        std::thread::sleep(PAUSE);
        let sent = Instant::now();
        connection.write_all(format!("{{{LINE}\n").as_bytes())?;
        let mut seen: &[u8] = &[];
        while seen.last() != Some(&b'\n') {
            let length = output.read(&mut buffer)?;
            seen = buffer.get(..length).unwrap_or_default();
            if seen.is_empty() {
                bail!("the program ended");
            }
        }
        times.push(sent.elapsed());
    }
    Ok(times)
}

fn loaded(program: &Path, rate: f64) -> Result<Vec<Duration>> {
    let folder = folder()?;
    let (mut program, connection) = start(program, folder.path())?;
    let mut output = program.child.stdout.take().context("no standard output")?;
    let base = Instant::now();
    let sender = std::thread::spawn(move || send(connection, rate, base));
    let (mut times, mut text, mut buffer) = (Vec::new(), Vec::new(), vec![0; 1 << 20]);
    let probe = memmem::Finder::new(PROBE);
    let expected = (LOAD_TIME.as_secs_f64() / SEND_EVERY.as_secs_f64()) as usize;
    while times.len() < expected {
        let length = output.read(&mut buffer)?;
        if length == 0 {
            bail!("the program ended");
        }
        let now = base.elapsed();
        text.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let whole = memchr::memrchr(b'\n', &text).map_or(0, |end| end + 1);
        let lines = text.get(..whole).unwrap_or_default();
        for at in probe.find_iter(lines) {
            let digits = lines.get(at + PROBE.len()..).unwrap_or_default();
            let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
            let sent: u64 = std::str::from_utf8(digits.get(..end).unwrap_or_default())?.parse()?;
            times.push(now.saturating_sub(Duration::from_nanos(sent)));
        }
        text.drain(..whole);
    }
    sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    Ok(times)
}

/// Sends lines at an even rate; the last of each millisecond says when it was sent.
fn send(mut connection: TcpStream, rate: f64, base: Instant) -> Result<()> {
    let lines = (rate * SEND_EVERY.as_secs_f64()) as usize;
    let others = format!("{{{LINE}\n").repeat(lines.saturating_sub(1));
    let started = Instant::now();
    let mut due = Duration::ZERO;
    while due < LOAD_TIME {
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        let probe = format!("{{{PROBE}{},{LINE}\n", base.elapsed().as_nanos());
        connection.write_all(&[others.as_bytes(), probe.as_bytes()].concat())?;
        due += SEND_EVERY;
    }
    Ok(())
}

fn start(program: &Path, folder: &Path) -> Result<(Program, TcpStream)> {
    let port = feed::free_port()?;
    let config = folder.join("pipeline.conf");
    let text = format!(
        r#"input {{ tcp {{ host => "127.0.0.1" port => {port} codec => json_lines }} }}
filter {{ mutate {{ rename => {{ "logger" => "log_name" }} add_field => {{ "env" => "prod" }} }} }}
output {{ stdout {{ codec => json_lines }} }}
"#
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new(program);
    command.arg("-f").arg(&config).arg("--path.data").arg(folder.join("data"));
    command.args(["--api.enabled", "false", "--log.level", "fatal"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let program = Program { child, port };
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, program.port)) {
            Ok(connection) => {
                connection.set_nodelay(true)?;
                return Ok((program, connection));
            }
            Err(error) if Instant::now() > patience => return Err(error).context("nobody listens"),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// How some times are spread.
#[derive(Debug, PartialEq)]
struct Quantiles([Duration; 3]);

impl Quantiles {
    fn of(mut times: Vec<Duration>) -> Result<Quantiles> {
        times.sort_unstable();
        let at = |share: f64| {
            times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)))
        };
        match (at(0.5), at(0.99), times.last()) {
            (Some(median), Some(late), Some(last)) => Ok(Quantiles([*median, *late, *last])),
            _ => bail!("no event came out"),
        }
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [median, late, last] = self.0.map(|time| time.as_secs_f64() * 1000.0);
        write!(f, "median {median:.2} ms, 99th percentile {late:.2} ms, last {last:.2} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spread() {
        let ms = Duration::from_millis;
        let quantiles = Quantiles::of((1..=200).rev().map(ms).collect()).unwrap();
        assert_eq!(quantiles, Quantiles([ms(101), ms(199), ms(200)]));
        assert!(Quantiles::of(Vec::new()).is_err());
    }
}
