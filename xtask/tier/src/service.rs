//! Services that the scripts of `tests/services` start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{http, repository};

/// A running service. It is stopped when this is dropped, and also when this process dies.
pub struct Service {
    name: &'static str,
    announced: BTreeMap<String, String>,
    /// Stops the service when the pipe to it is closed.
    keeper: Child,
    /// Removed when the service has stopped.
    _folder: TempDir,
}

impl Service {
    /// Starts `tests/services/NAME` in a folder of its own, and waits until it is ready.
    ///
    /// # Errors
    /// It can't be started; with what the script said.
    pub fn start(name: &'static str, flags: &[&str]) -> Result<Service> {
        let folder = tempfile::Builder::new().prefix(name).tempdir()?;
        let (log, data) = (folder.path().join("keeper.log"), folder.path().join("data"));
        let mut command = Command::new(repository().join("tests/services").join(name));
        command.arg("run").arg("--dir").arg(data).args(flags);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut keeper = command.spawn().with_context(|| format!("{command:?}"))?;
        let said = BufReader::new(keeper.stdout.take().context("no output")?).lines().map_while(Result::ok);
        let pair = |line: String| line.split_once('=').map(|(key, value)| (key.into(), value.into()));
        let announced: BTreeMap<String, String> = said.filter_map(pair).collect();
        let service = Service { name, announced, keeper, _folder: folder };
        if !service.announced.contains_key("DIR") {
            bail!("{name} does not start:\n{}", fs::read_to_string(log)?);
        }
        Ok(service)
    }

    /// What the script has announced under `key`.
    ///
    /// # Errors
    /// There is no such key: the service was started without it.
    pub fn announced(&self, key: &str) -> Result<&str> {
        let found = self.announced.get(key).map(String::as_str);
        found.with_context(|| format!("{} has announced no {key}", self.name))
    }

    /// Calls the script again, with another verb, on this service.
    ///
    /// # Errors
    /// The script fails; with what it said.
    pub fn script(&self, verb: &str, flags: &[&str]) -> Result<()> {
        let mut command = Command::new(repository().join("tests/services").join(self.name));
        let output = command.args([verb, "--dir", self.announced("DIR")?]).args(flags).output()?;
        if !output.status.success() {
            bail!("{} {verb}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A real Elasticsearch.
pub struct Elasticsearch {
    service: Service,
}

impl Elasticsearch {
    /// Documents of one page of a search.
    const PAGE: u64 = 10_000;

    /// Starts one.
    ///
    /// # Errors
    /// See [`Service::start`].
    pub fn start() -> Result<Elasticsearch> {
        Ok(Elasticsearch { service: Service::start("elasticsearch", &[])? })
    }

    /// Its URL.
    ///
    /// # Errors
    /// It has announced none.
    pub fn url(&self) -> Result<&str> {
        self.service.announced("URL")
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        http::call(self.service.announced("ADDRESS")?, method, path, body)
    }

    /// Makes what was written visible.
    fn refresh(&self, indices: &str) -> Result<()> {
        self.call("POST", &format!("/{indices}/_refresh?ignore_unavailable=true"), None).map(drop)
    }

    /// How many documents the indices of a pattern have; none where there is no such index.
    ///
    /// # Errors
    /// It does not answer.
    pub fn count(&self, indices: &str) -> Result<u64> {
        self.refresh(indices)?;
        let found = self.call("GET", &format!("/{indices}/_count?ignore_unavailable=true"), None)?;
        http::number(&found, "/count")
    }

    /// The field `n` of every document.
    ///
    /// # Errors
    /// It does not answer, or a document has no such number.
    pub fn numbers(&self, indices: &str) -> Result<Vec<u64>> {
        self.refresh(indices)?;
        let query = json!({"size": Self::PAGE, "_source": false, "docvalue_fields": ["n"], "sort": ["_doc"]});
        let path = format!("/{indices}/_search?scroll=1m&ignore_unavailable=true");
        let mut page = self.call("POST", &path, Some(&query))?;
        let mut numbers = Vec::new();
        loop {
            let hits =
                page.pointer("/hits/hits").and_then(Value::as_array).context("a search without hits")?;
            if hits.is_empty() {
                return Ok(numbers);
            }
            for hit in hits {
                numbers.push(http::number(hit, "/fields/n/0")?);
            }
            let next = json!({"scroll": "1m", "scroll_id": page.get("_scroll_id")});
            page = self.call("POST", "/_search/scroll", Some(&next))?;
        }
    }
}
