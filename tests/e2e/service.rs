//! A real Elasticsearch or OpenSearch.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::root;

/// Turns with the services that all tests share.
static ELASTICSEARCH: Mutex<Option<Service>> = Mutex::new(None);
static OPENSEARCH: Mutex<Option<Service>> = Mutex::new(None);

/// Which service, and by that which output writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Elasticsearch,
    OpenSearch,
}

impl Kind {
    /// Of its script, and of the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Elasticsearch => "elasticsearch",
            Kind::OpenSearch => "opensearch",
        }
    }

    fn script(self) -> PathBuf {
        root().join("tests/services").join(self.name())
    }

    /// The shared one, until the guard goes; started if it is not there, or not any more.
    pub(crate) fn shared(self) -> Turn {
        let service = match self {
            Kind::Elasticsearch => &ELASTICSEARCH,
            Kind::OpenSearch => &OPENSEARCH,
        };
        let mut turn = service.lock().unwrap_or_else(PoisonError::into_inner);
        if turn.as_ref().is_none_or(|service| !service.answers()) {
            *turn = None;
            *turn = Some(Service::start(self, &[]));
        }
        Turn(turn)
    }
}

/// A turn with a shared service.
pub(crate) struct Turn(MutexGuard<'static, Option<Service>>);

impl std::ops::Deref for Turn {
    type Target = Service;

    fn deref(&self) -> &Service {
        self.0.as_ref().unwrap()
    }
}

/// A running service.
pub(crate) struct Service {
    pub(crate) kind: Kind,
    /// What the script announced.
    announced: BTreeMap<String, String>,
    /// Stops the service when the pipe to it is closed: by us, or by our end.
    keeper: Child,
    /// Removed when the service has stopped.
    _folder: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

impl Service {
    /// One of one's own.
    pub(crate) fn start(kind: Kind, flags: &[&str]) -> Service {
        let folder = tempfile::tempdir().unwrap();
        let (log, data) = (folder.path().join("keeper.log"), folder.path().join("data"));
        let mut command = Command::new(kind.script());
        command.arg("run").arg("--dir").arg(&data).args(flags);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        let mut keeper = command.spawn().unwrap();
        let said = BufReader::new(keeper.stdout.take().unwrap()).lines().map_while(Result::ok);
        let pair = |line: String| line.split_once('=').map(|(key, value)| (key.into(), value.into()));
        let announced: BTreeMap<String, String> = said.filter_map(pair).collect();
        let log = std::fs::read_to_string(log).unwrap();
        assert!(announced.contains_key("URL"), "{} does not start:\n{log}", kind.name());
        Service { kind, announced, keeper, _folder: folder }
    }

    /// What the script has announced under `key`.
    pub(crate) fn announced(&self, key: &str) -> &str {
        &self.announced[key]
    }

    pub(crate) fn url(&self) -> &str {
        self.announced("URL")
    }

    fn script(&self, verb: &str) {
        let port = self.url().rsplit_once(':').unwrap().1;
        let mut command = Command::new(self.kind.script());
        let output = command.args([verb, "--port", port, "--dir", self.announced("DIR")]).output().unwrap();
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// `kill -9`.
    pub(crate) fn crash(&self) {
        self.script("crash");
        assert!(!self.answers());
    }

    /// Starts it again, with the same port and folder.
    pub(crate) fn start_again(&self) {
        self.script("start");
    }

    fn answers(&self) -> bool {
        self.request("GET", "/", None).is_some()
    }

    /// Status and body; `None` where nobody answers.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, String)> {
        let mut command = Command::new("curl");
        command.args(["-s", "-S", "-m", "60", "--noproxy", "*", "-w", "\n%{http_code}", "-X", method]);
        if let (Some(user), Some(password)) = (self.announced.get("USER"), self.announced.get("PASSWORD")) {
            command.arg("-u").arg(format!("{user}:{password}"));
        }
        if let Some(authority) = self.announced.get("CA") {
            command.arg("--cacert").arg(authority);
        }
        command.arg(format!("{}{path}", self.url()));
        if body.is_some() {
            command.args(["-H", "Content-Type: application/json", "-d", "@-"]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut curl = command.spawn().unwrap();
        let mut input = curl.stdin.take().unwrap();
        input.write_all(body.map(Value::to_string).unwrap_or_default().as_bytes()).unwrap();
        drop(input);
        let output = curl.wait_with_output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        let (body, status) = answer.rsplit_once('\n')?;
        output.status.success().then(|| (status.parse().unwrap(), body.to_owned()))
    }

    /// The status of what is there.
    pub(crate) fn status(&self, path: &str) -> u16 {
        self.request("GET", path, None).unwrap().0
    }

    /// The answer to a request that has to succeed.
    pub(crate) fn call(&self, method: &str, path: &str, body: impl Into<Option<Value>>) -> Value {
        let (status, answer) = self.request(method, path, body.into().as_ref()).unwrap();
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// How many documents an index has, or those of a pattern have together; 0 where there is none.
    pub(crate) fn count(&self, index: &str) -> u64 {
        self.call("POST", &format!("/{index}/_refresh?ignore_unavailable=true"), None);
        let path = format!("/{index}/_count?ignore_unavailable=true");
        match self.request("GET", &path, None).unwrap() {
            // It is just being made.
            (503, _) => 0,
            (200, body) => serde_json::from_str::<Value>(&body).unwrap()["count"].as_u64().unwrap(),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// An output to it: with these options, and those that let nothing wait for long.
    pub(crate) fn output(&self, options: &str) -> String {
        let longest = if options.contains("retry_max_interval") { "" } else { "retry_max_interval => 1" };
        let quick = format!("retry_initial_interval => 0.2 {longest} resurrect_delay => 1");
        format!("{} {{ hosts => [\"{}\"] {quick} {options} }}", self.kind.name(), self.url())
    }
}
