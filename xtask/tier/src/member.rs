//! A process of ferrostash.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{http, wait};

/// How long the API may take to be there.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a process may take to end: more than the time that outputs get.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

/// What Linux shows to programs on every architecture that we build for.
const MS_PER_TICK: u64 = 10;

/// How members are started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The executable.
    pub program: PathBuf,
    /// The arguments that say what runs, such as `-f FILE` or `-e TEXT`.
    pub arguments: Vec<String>,
    /// Variables of the environment; there are no others but PATH and what a member needs.
    pub environment: Vec<(String, String)>,
}

/// A running process; killed when dropped.
pub struct Member {
    name: String,
    child: Child,
    api: u16,
    folder: TempDir,
    is_asked: bool,
}

impl Member {
    /// Starts one that finds `name` as HOSTNAME, and does not wait for it.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(plan: &Plan, name: &str) -> Result<Member> {
        let folder = tempfile::Builder::new().prefix("ferrostash-member").tempdir()?;
        let api = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = File::create(folder.path().join("log"))?;
        // It dies with us, however that comes, but Ctrl-C is for us alone: we ask it to stop then.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&plan.program).process_group(0);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("ALLOW_SUPERUSER", "true").env("LS_HOME", folder.path()).env("HOSTNAME", name);
        command.envs(plan.environment.iter().map(|(name, value)| (name, value)));
        command.args(["--api.http.port", &api.to_string()]).args(&plan.arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        Ok(Member { name: name.to_owned(), child, api, folder, is_asked: false })
    }

    /// Its HOSTNAME.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its API listens.
    #[must_use]
    pub fn api(&self) -> String {
        format!("127.0.0.1:{}", self.api)
    }

    /// Its folder: `LS_HOME`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said up to now.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until its pipeline was started.
    ///
    /// # Errors
    /// It ends instead, or takes too long; with what it said.
    pub fn wait_until_up(&mut self) -> Result<()> {
        let up = wait("the API", START_TIME_MAX, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("it has ended: {status}");
            }
            Ok(self.stats("/_node/stats/pipelines/main").ok().map(|_| ()))
        });
        up.with_context(|| format!("{}:\n{}", self.name, self.said()))
    }

    /// What its API has at `path`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn stats(&self, path: &str) -> Result<Value> {
        http::call(&self.api(), "GET", path, None)
    }

    /// How many events its outputs have taken.
    ///
    /// # Errors
    /// It does not answer.
    pub fn events_out(&self) -> Result<u64> {
        http::number(&self.stats("/_node/stats/events")?, "/events/out")
    }

    /// User and system time of all its threads so far.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // The program's name before them may hold anything.
        let fields = stat.rsplit_once(')').context("no name in stat")?.1.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap_or_default()).sum();
        Ok(Duration::from_millis(ticks * MS_PER_TICK))
    }

    /// The most memory that it ever held, in bytes.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn peak_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Fails where it has ended by itself.
    ///
    /// # Errors
    /// With what it said.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} has ended by itself: {status}\n{}", self.name, self.said()),
            None => Ok(()),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("no pid")?;
        Ok(kill_process(pid, signal)?)
    }

    /// SIGSTOP: it does nothing any more, and does not know.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, without waiting for the end. Once only: a second one would end it at once.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn ask_to_stop(&mut self) -> Result<()> {
        if self.is_asked {
            return Ok(());
        }
        self.is_asked = true;
        self.signal(Signal::TERM)
    }

    /// SIGTERM, and waits for the end; gives what it said, and how long it took.
    ///
    /// # Errors
    /// It does not end, or not well, or its ledger is not balanced; with what it said.
    pub fn stop(mut self) -> Result<(String, Duration)> {
        self.ask_to_stop()?;
        let start = Instant::now();
        let status = wait("the end", STOP_TIME_MAX, || Ok(self.child.try_wait()?));
        let (said, took) = (self.said(), start.elapsed());
        let status = status.with_context(|| format!("{}:\n{said}", self.name))?;
        if !status.success() || said.contains("The ledger is not balanced") {
            bail!("{} has ended with {status}:\n{said}", self.name);
        }
        Ok((said, took))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
