//! The instructions of each case, as callgrind counts them.

use super::Counts;
use crate::json::Json;
use anyhow::{Context as _, Result, bail};
use ferrostash_costs::{BATCH_EVENTS, MEASURED_BATCHES};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The function of which every call is a measurement.
const MEASURED: &str = "ferrostash_costs::measured_batch";

/// Instructions per event of each of the `cases`; `None` where there is no valgrind.
pub(super) fn instructions(cases: usize) -> Result<Option<Counts>> {
    let version = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        println!("instructions are not counted: there is no valgrind");
        return Ok(None);
    }
    let program = build()?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            &format!("--toggle-collect={MEASURED}"),
            &format!("--dump-after={MEASURED}"),
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .output()?;
    if !output.status.success() {
        bail!("valgrind: {}", String::from_utf8_lossy(&output.stderr));
    }
    let batch = |number: usize| total(&out.with_extension(number.to_string()));
    let of_case = |case: usize| -> Result<(usize, u64)> {
        let first = case * MEASURED_BATCHES + 1;
        let batches = (first..first + MEASURED_BATCHES).map(batch).collect::<Result<Vec<u64>>>()?;
        let least = batches.into_iter().min().context("no batch")?;
        Ok((case, least / BATCH_EVENTS as u64))
    };
    (0..cases).map(of_case).collect::<Result<_>>().map(Some)
}

/// The compiler, the machine that it makes code for, and the processor, by which libraries choose among their routines.
pub(super) fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |start| text.lines().find_map(|line: &str| line.strip_prefix(start));
    let (release, host) = line("release: ").zip(line("host: ")).context("rustc -vV")?;
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |name: &str| {
        let line = cpu.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown").trim()
    };
    let (name, family, model) = (of("model name"), of("cpu family"), of("model"));
    Ok(format!("rustc {release} for {host}, on {name} (family {family}, model {model})"))
}

/// Builds the program that runs the cases; where it is.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--profile", "costs", "--package", "ferrostash-costs"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(crate::repository())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("the program that runs the cases could not be built");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = |line: &str| Json::parse(line).ok()?.get("executable")?.as_text().map(PathBuf::from);
    text.lines().filter_map(executable).next_back().context("cargo names no executable")
}

/// The instructions of one measurement.
fn total(path: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.parse().ok());
    total.with_context(|| format!("{} has no total", path.display()))
}
