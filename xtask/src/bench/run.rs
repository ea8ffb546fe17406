//! One run of one executable.

use super::feed::{self, Feed};
use super::output::Output;
use super::process::Process;
use super::workload::{From, PASS, Places, To, Workload};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A flush timer at the end must not count: one event in so many is left out at the end.
const UNMEASURED: usize = 50;
/// Longest time without new output.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often the output is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long a process rests before its idle memory is taken.
const REST: Duration = Duration::from_secs(2);

/// What a run cost.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// Events per second, from the first byte that was read.
    pub(super) rate: f64,
    /// CPU microseconds per event, of all threads, user and system, in that time.
    pub(super) cpu_micros: f64,
    /// Peak memory in megabytes.
    pub(super) peak_mb: f64,
}

/// What a start costs.
pub(super) struct Started {
    pub(super) to_first_event: Duration,
    pub(super) idle_mb: f64,
}

/// The input of a workload, and what must become of it.
pub(super) struct Input<'a> {
    pub(super) file: &'a Path,
    /// Events in it.
    pub(super) events: usize,
    /// Events that come out.
    pub(super) kept: usize,
}

/// A working folder; in memory where that is possible, so that no disk is measured.
pub(super) fn folder() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

/// The process of a run, with its files.
struct Run {
    folder: TempDir,
    process: Process,
    port: u16,
    output: Output,
}

impl Run {
    fn start(program: &Path, workload: &Workload, input: &Path) -> Result<Run> {
        let folder = folder()?;
        let file = |name: &str| folder.path().join(name);
        let output = match workload.to {
            To::File => Output::file(&file("out.log")),
            To::Elasticsearch => Output::sink()?,
        };
        let port = feed::free_port()?;
        let places = Places {
            input,
            port,
            output: &file("out.log"),
            sink: &output.address(),
            sincedb: &file("sincedb"),
        };
        let config = file("pipeline.conf");
        std::fs::write(&config, workload.config(&places))?;
        let mut command = Command::new(program);
        command
            .arg("-f")
            .arg(&config)
            .arg("--path.data")
            .arg(file("data"))
            .arg("--path.logs")
            .arg(file("logs"));
        command.args(["--api.enabled", "false"]);
        let process = Process::start(&mut command, &file("stdout"))?;
        Ok(Run { folder, process, port, output })
    }

    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let said = std::fs::read_to_string(self.folder.path().join("stdout")).unwrap_or_default();
        error.context(format!("the program said:\n{said}"))
    }

    /// Waits until `done`, and says when that was. The output must go on growing.
    fn until(&mut self, mut done: impl FnMut(&mut Run) -> Result<bool>) -> Result<Instant> {
        let (mut last, mut grown) = (self.output.count()?, Instant::now());
        while !done(self)? {
            self.process.check()?;
            let now = self.output.count()?;
            if now != last {
                (last, grown) = (now, Instant::now());
            }
            if grown.elapsed() > SILENCE_MAX {
                bail!("no new output for {SILENCE_MAX:?}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(Instant::now())
    }

    /// From the first byte that is read to the last event but a few.
    fn watch(&mut self, workload: &Workload, input: &Input<'_>) -> Result<Measured> {
        let mut feed = None;
        let began = self.until(|run| {
            Ok(match workload.from {
                From::File => run.process.has_read(input.file) || run.output.count()? > 0,
                From::Tcp => {
                    feed = Feed::connect(run.port, input.file)?;
                    feed.is_some()
                }
            })
        })?;
        let cpu_before = self.process.cpu_seconds()?;
        let sending = feed.map(Feed::start);
        let enough = input.kept - input.kept / UNMEASURED;
        let ended = self.until(|run| Ok(run.output.count()? >= enough))?;
        let cpu = self.process.cpu_seconds()? - cpu_before;
        let done = self.output.count()? as f64 / input.kept as f64 * input.events as f64;
        self.until(|run| Ok(run.output.count()? >= input.kept))?;
        sending.map_or(Ok(()), feed::Sending::finish)?;
        Ok(Measured {
            rate: done / (ended - began).as_secs_f64(),
            cpu_micros: cpu / done * 1e6,
            peak_mb: self.process.memory_mb("VmHWM")?,
        })
    }
}

/// Runs `workload` to its end.
pub(super) fn measure(program: &Path, workload: &Workload, input: &Input<'_>) -> Result<Measured> {
    let mut run = Run::start(program, workload, input.file)?;
    let measured = run.watch(workload, input).map_err(|error| run.explain(error))?;
    let Run { process, mut output, folder, .. } = run;
    process.stop()?;
    let count = output.count()?;
    drop(folder);
    if count != input.kept {
        bail!("{count} events came out, should be {}", input.kept);
    }
    Ok(measured)
}

/// Time from the start of the process to its first event, and what it needs when nothing happens.
pub(super) fn start(program: &Path) -> Result<Started> {
    let folder = folder()?;
    let input = folder.path().join("in.log");
    PASS.generate(1, &input)?;
    let started = Instant::now();
    let mut run = Run::start(program, &PASS, &input)?;
    let first = run.until(|run| Ok(run.output.count()? > 0)).map_err(|error| run.explain(error))?;
    std::thread::sleep(REST);
    let idle_mb = run.process.memory_mb("VmRSS")?;
    run.process.stop()?;
    Ok(Started { to_first_event: first - started, idle_mb })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that copies its input: what it costs can be measured, and a line too few is found.
    #[test]
    fn runs_are_watched_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let (program, input) = (folder.path().join("copy"), folder.path().join("in.log"));
        let script = |command: &str| {
            format!(
                "#!/bin/sh\nin=$(sed -n 's/.*path => \"\\(.*in.log\\)\"$/\\1/p' $2)\n\
                 out=$(sed -n 's/.*path => \"\\([^\"]*\\)\" flush.*/\\1/p' $2)\n{command}\nexec sleep 60\n"
            )
        };
        let install = |command: &str| {
            std::fs::write(&program, script(command)).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&program, mode).unwrap();
        };
        let kept = PASS.generate(1000, &input).unwrap();
        let given = Input { file: &input, events: 1000, kept };
        install("cat \"$in\" > \"$out\"");
        let measured = measure(&program, &PASS, &given).unwrap();
        assert!(measured.rate > 0.0 && measured.peak_mb > 0.0, "{measured:?}");
        install("cat \"$in\" \"$in\" > \"$out\"");
        assert!(measure(&program, &PASS, &given).unwrap_err().to_string().contains("2000 events"));
        install("echo broken; exit 3");
        assert!(measure(&program, &PASS, &given).unwrap_err().to_string().contains("broken"));
    }
}
