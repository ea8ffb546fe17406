//! Starts the executable, waits for what it says, and ends it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything: a machine that builds beside us is slow, but not slower than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of `conf/`, as the flag `-f` wants it.
pub(crate) fn conf(name: &str) -> String {
    root().join("conf").join(name).display().to_string()
}

/// The text of a file of `conf/samples/`.
pub(crate) fn sample(name: &str) -> String {
    std::fs::read_to_string(root().join("conf/samples").join(name)).unwrap()
}

/// A port on loopback that nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A command line to come: nothing of the tester's own environment gets in.
pub(crate) struct Start {
    command: Command,
    folder: TempDir,
    api: u16,
}

impl Start {
    /// With these arguments alone.
    pub(crate) fn plain<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferrostash"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // Tests may run as root, as they do in containers.
        command.env("ALLOW_SUPERUSER", "true");
        command.env("LS_HOME", folder.path()).env("PWD", root()).current_dir(root());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, folder, api: 0 }
    }

    /// A pipeline: these arguments, and a port of its own for the API.
    pub(crate) fn pipeline<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        let port = free_port().to_string();
        // In front: a caller may end with a flag whose value is still to come.
        let mut start = Self::plain(&["--api.http.port", &port]);
        start.api = port.parse().unwrap();
        start.command.args(arguments);
        start
    }

    /// The folder that is `LS_HOME` of the process, and is removed with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into [`Start::folder`] and gives its path.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Text for standard input, which ends after it; without this there is none.
    pub(crate) fn stdin(self, text: impl AsRef<[u8]>) -> Self {
        let path = self.file("stdin.txt", text);
        let Self { mut command, folder, api } = self;
        command.stdin(File::open(path).unwrap());
        Self { command, folder, api }
    }

    /// Starts the process.
    pub(crate) fn start(mut self) -> Ferrostash {
        let mut child = self.command.spawn().unwrap();
        let stdout = Said::listen(child.stdout.take().unwrap());
        let stderr = Said::listen(child.stderr.take().unwrap());
        Ferrostash { child, stdout, stderr, api: self.api, folder: self.folder }
    }

    /// Starts the process and waits for its end.
    pub(crate) fn finish(self) -> Finished {
        self.start().finish()
    }
}

/// What a process has said on one of its outputs.
struct Said {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn listen(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// All of it, once the process has ended.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}

/// A running process; killed when dropped.
pub(crate) struct Ferrostash {
    child: Child,
    stdout: Said,
    stderr: Said,
    api: u16,
    folder: TempDir,
}

/// A process that has ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ferrostash {
    /// See [`Start::folder`].
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it wrote to standard output up to now.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    fn report(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.stdout.so_far(), self.stderr.so_far())
    }

    /// Waits until `found` gives something.
    ///
    /// # Panics
    /// When the process ends instead, or after [`PATIENCE`]; with all it has said.
    pub(crate) fn wait<T>(&mut self, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(it) = found(self) {
                return it;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}); {}", self.report());
            assert!(start.elapsed() < PATIENCE, "waited in vain; {}", self.report());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has died, or `done` holds; whether it has died.
    ///
    /// # Panics
    /// After [`PATIENCE`], with all it has said.
    pub(crate) fn died_before(&mut self, mut done: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            if done() {
                return false;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain; {}", self.report());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it accepts connections on `port`, and gives one.
    pub(crate) fn connect(&mut self, port: u16) -> TcpStream {
        self.wait(|_| TcpStream::connect(("127.0.0.1", port)).ok())
    }

    /// `GET path` from the API: status and body.
    pub(crate) fn get(&mut self, path: &str) -> (u16, String) {
        self.wait(|process| process.ask(path))
    }

    /// As [`Ferrostash::get`]; `None` as long as the API is not there.
    pub(crate) fn ask(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.api)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Some((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()))
    }

    /// All that it has said up to now, logs and events.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout.so_far(), self.stderr.so_far())
    }

    /// Waits until it has said this.
    pub(crate) fn wait_for(&mut self, words: &str) {
        self.wait(|process| process.said().contains(words).then_some(()));
    }

    /// The JSON that the API has at `path`.
    pub(crate) fn json(&mut self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The events on standard output up to now, among the lines of the log.
    pub(crate) fn events(&self) -> Vec<Value> {
        json_lines(&self.stdout())
    }

    /// The events on standard output, once there are so many.
    pub(crate) fn events_at_least(&mut self, count: usize) -> Vec<Value> {
        self.wait(|process| Some(process.events()).filter(|events| events.len() >= count))
    }

    /// The most memory that it ever held, in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Lets no file that it writes grow above so many bytes: a disk that is full. `None` makes room again.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let pid = self.child.id().to_string();
        let status =
            Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:unlimited")]).status();
        assert!(status.unwrap().success());
    }

    /// Ends it at once, without a chance to do anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal: `TERM`, `INT`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// Asks it to stop, waits for its end and checks that it went well.
    pub(crate) fn stop(self) -> Finished {
        self.signal("TERM");
        let finished = self.finish();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        finished
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Finished {
        self.finish_then(|| ())
    }

    /// Waits for its end, and looks at what it has left in [`Start::folder`] before that goes.
    pub(crate) fn finish_then(mut self, look: impl FnOnce()) -> Finished {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < PATIENCE, "it does not end; {}", self.report());
            std::thread::sleep(Duration::from_millis(5));
        }
        let code = self.child.wait().unwrap().code();
        look();
        assert!(!self.report().contains("The ledger is not balanced"), "{}", self.report());
        Finished { code, stdout: self.stdout.all(), stderr: self.stderr.all() }
    }
}

impl Finished {
    /// All that it said, logs and events.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The events on standard output, among the lines of the log.
    pub(crate) fn events(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }
}

/// The lines that are objects of JSON.
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect()
}

impl Drop for Ferrostash {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the account of a pipeline has every event once on each side.
pub(crate) fn is_balanced(ledger: &Value) -> bool {
    let sum = |sides: &[&str]| sides.iter().map(|side| ledger[*side].as_u64().unwrap()).sum::<u64>();
    sum(&["received", "recovered", "created"])
        == sum(&["accepted", "dropped_by_rule", "dead_lettered", "abandoned", "in_flight", "queued"])
}
