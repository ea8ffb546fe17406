//! One run of one executable.

use super::process::Process;
use super::workload::{PASS, Workload};
use anyhow::{Context as _, Result, bail};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A flush timer at the end must not count: one event in so many is left out at the end.
const UNMEASURED: usize = 50;
/// Longest time without a new line of output.
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
    /// CPU seconds per million events, in that time.
    pub(super) cpu_seconds_per_million: f64,
    /// Peak memory in megabytes.
    pub(super) peak_mb: f64,
}

/// What a start costs.
pub(super) struct Started {
    pub(super) to_first_event: Duration,
    pub(super) idle_mb: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { rate, cpu_seconds_per_million: cpu, peak_mb } = self;
        write!(f, "{:>5.0} k events/s  {cpu:>6.2} CPU-s per M  {peak_mb:>5.0} MB peak", rate / 1000.0)
    }
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
    output: PathBuf,
}

impl Run {
    fn start(program: &Path, workload: &Workload, input: &Path) -> Result<Run> {
        let folder = folder()?;
        let file = |name: &str| folder.path().join(name);
        let (config, output) = (file("pipeline.conf"), file("out.log"));
        std::fs::write(&config, workload.config(input, &output, &file("sincedb")))?;
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
        Ok(Run { folder, process, output })
    }

    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let said = std::fs::read_to_string(self.folder.path().join("stdout")).unwrap_or_default();
        error.context(format!("the program said:\n{said}"))
    }
}

/// Runs `workload` to its end.
pub(super) fn measure(program: &Path, workload: &Workload, input: &Path, events: usize) -> Result<Measured> {
    let mut run = Run::start(program, workload, input)?;
    let measured = watch(&mut run, input, events).map_err(|error| run.explain(error))?;
    let Run { process, output, folder } = run;
    process.stop()?;
    let lines = LineCounter::new(&output).count()?;
    drop(folder);
    if lines != events {
        bail!("{lines} lines of output, should be {events}");
    }
    Ok(measured)
}

fn watch(run: &mut Run, input: &Path, events: usize) -> Result<Measured> {
    let began = until(run, |run| Ok(run.process.has_read(input) || run.output.exists()))?;
    let cpu_before = run.process.cpu_seconds()?;
    let mut counter = LineCounter::new(&run.output);
    let enough = events - events / UNMEASURED;
    let ended = until(run, |_| Ok(counter.count()? >= enough))?;
    let cpu = run.process.cpu_seconds()? - cpu_before;
    let counted = counter.lines as f64;
    until(run, |_| Ok(counter.count()? >= events))?;
    Ok(Measured {
        rate: counted / (ended - began).as_secs_f64(),
        cpu_seconds_per_million: cpu / counted * 1e6,
        peak_mb: run.process.memory_mb("VmHWM")?,
    })
}

/// Waits until `done`, and says when that was. The output must go on growing.
fn until(run: &mut Run, mut done: impl FnMut(&mut Run) -> Result<bool>) -> Result<Instant> {
    let size = |run: &Run| std::fs::metadata(&run.output).map_or(0, |data| data.len());
    let (mut last_size, mut grown) = (size(run), Instant::now());
    while !done(run)? {
        run.process.check()?;
        let now = size(run);
        if now != last_size {
            (last_size, grown) = (now, Instant::now());
        }
        if grown.elapsed() > SILENCE_MAX {
            bail!("no new output for {SILENCE_MAX:?}");
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(Instant::now())
}

/// Time from the start of the process to its first event, and what it needs when nothing happens.
pub(super) fn start(program: &Path) -> Result<Started> {
    let folder = folder()?;
    let input = folder.path().join("in.log");
    PASS.generate(1, &input)?;
    let started = Instant::now();
    let mut run = Run::start(program, &PASS, &input)?;
    let mut counter = LineCounter::new(&run.output);
    let first = until(&mut run, |_| Ok(counter.count()? > 0)).map_err(|error| run.explain(error))?;
    std::thread::sleep(REST);
    let idle_mb = run.process.memory_mb("VmRSS")?;
    run.process.stop()?;
    Ok(Started { to_first_event: first - started, idle_mb })
}

/// Counts the lines of a file that grows.
struct LineCounter {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    lines: usize,
}

impl LineCounter {
    fn new(path: &Path) -> LineCounter {
        LineCounter { path: path.to_owned(), file: None, buffer: vec![0; 1 << 20], lines: 0 }
    }

    /// All lines so far.
    fn count(&mut self) -> Result<usize> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return Ok(0) };
        loop {
            let len = file.read(&mut self.buffer).context("reading the output")?;
            let Some(read) = self.buffer.get(..len).filter(|read| !read.is_empty()) else {
                return Ok(self.lines);
            };
            self.lines += memchr::memchr_iter(b'\n', read).count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_as_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut counter = LineCounter::new(&path);
        assert_eq!(counter.count().unwrap(), 0);
        std::fs::write(&path, "a\nb").unwrap();
        assert_eq!(counter.count().unwrap(), 1);
        use std::io::Write as _;
        File::options().append(true).open(&path).unwrap().write_all(b"\nc\n").unwrap();
        assert_eq!(counter.count().unwrap(), 3);
    }

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
        PASS.generate(1000, &input).unwrap();
        install("cat \"$in\" > \"$out\"");
        let measured = measure(&program, &PASS, &input, 1000).unwrap();
        assert!(measured.rate > 0.0 && measured.peak_mb > 0.0, "{measured:?}");
        install("cat \"$in\" \"$in\" > \"$out\"");
        assert!(measure(&program, &PASS, &input, 1000).unwrap_err().to_string().contains("2000 lines"));
        install("echo broken; exit 3");
        assert!(measure(&program, &PASS, &input, 1000).unwrap_err().to_string().contains("broken"));
    }
}
