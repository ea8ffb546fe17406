//! A process under measurement: what /proc says of it, and its end.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ticks of `utime` and `stime` per second: what Linux shows to programs on every architecture that we build for.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a process may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(20);

/// A started process; killed when it is dropped before it was stopped.
pub(super) struct Process(Child);

impl Process {
    /// Starts `command`; what it prints goes to `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Process> {
        let log = fs::File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Process(child.with_context(|| format!("{command:?}"))?))
    }

    /// Fails when the process has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            Some(status) => bail!("ended by itself: {status}"),
            None => Ok(()),
        }
    }

    fn proc(&self, file: &str) -> Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{file}", self.0.id()))?)
    }

    /// User and system time of all its threads so far, in seconds.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        cpu_ticks(&self.proc("stat")?)
            .map(|ticks| ticks / TICKS_PER_SECOND)
            .context("no times in /proc/PID/stat")
    }

    /// A line of /proc/PID/status in megabytes: VmHWM is the peak, VmRSS is now.
    pub(super) fn memory_mb(&self, name: &str) -> Result<f64> {
        memory_kb(&self.proc("status")?, name).map(|kb| kb / 1024.0).with_context(|| format!("no {name}"))
    }

    /// Whether it has read something of `file`.
    pub(super) fn has_read(&self, file: &Path) -> bool {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", self.0.id())) else { return false };
        entries.flatten().filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == file)).any(
            |entry| {
                let info = self.proc(&format!("fdinfo/{}", entry.file_name().display())).unwrap_or_default();
                info.lines().any(|line| line.strip_prefix("pos:").is_some_and(|at| at.trim() != "0"))
            },
        )
    }

    /// Asks it to stop and waits for the end.
    pub(super) fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status()?;
        if !asked.success() {
            bail!("could not be asked to stop");
        }
        let began = Instant::now();
        while began.elapsed() < STOP_TIME_MAX {
            if self.0.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("did not stop within {STOP_TIME_MAX:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// `utime` + `stime`; the program's name before them may hold anything.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some(ticks()? + ticks()?)
}

fn memory_kb(status: &str, name: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_says() {
        let stat = "12 (a b) c) S 1 1 1 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(200.0));
        assert_eq!(memory_kb("VmPeak:\t 5 kB\nVmHWM:\t  2048 kB\n", "VmHWM"), Some(2048.0));
    }

    #[test]
    fn measures_and_stops_a_process() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut process = Process::start(Command::new("sleep").arg("60"), &log).unwrap();
        process.check().unwrap();
        assert!(process.cpu_seconds().unwrap() >= 0.0);
        assert!(process.memory_mb("VmRSS").unwrap() > 0.0);
        assert!(!process.has_read(&log));
        process.stop().unwrap();
        let mut ended = Process::start(&mut Command::new("true"), &log).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        assert!(ended.check().is_err());
    }
}
