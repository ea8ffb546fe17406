//! `cargo xtask bench`: whole pipelines on the release executable.
//!
//! The figure to trust on a shared machine is the CPU time per event; events per second depend on what else runs. With
//! `--compare` two executables run by turns, so that both see the same machine.

mod compare;
mod feed;
mod generate;
mod kafka;
mod latency;
mod output;
mod process;
mod run;
mod sink;
mod workload;

use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;
use workload::{WORKLOADS, Workload};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Events per run.
    #[arg(long, default_value_t = 300_000)]
    events: usize,
    /// Only these workloads, with commas between: json, apache, pass, tcp, conditions, elasticsearch, split, start,
    /// latency, kafka.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Events per second under which latency is measured.
    #[arg(long, default_value_t = 200_000.0)]
    rate: f64,
    /// Another executable to run by turns with ours.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Runs of each.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// The measurement of a start; it has no events.
const START: &str = "start";
/// The measurement of single events: alone, and at `--rate`.
const LATENCY: &str = "latency";
/// The pipelines behind a real Kafka, which is started for them: only when asked for by name.
const KAFKA: &str = "kafka";

/// Runs what `arguments` say.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or(crate::repository().join("target"), PathBuf::from);
    let own = target.join("release/ferrostash");
    let programs: Vec<PathBuf> = [Some(own), arguments.compare.clone()].into_iter().flatten().collect();
    if let Some(missing) = programs.iter().find(|program| !program.is_file()) {
        bail!("{} is missing (cargo build --release)", missing.display());
    }
    if arguments.events == 0 || arguments.rounds == 0 {
        bail!("--events and --rounds start at 1");
    }
    let (workloads, start, latency) = chosen(&arguments.workloads)?;
    if arguments.workloads.iter().any(|name| name == KAFKA) {
        kafka::print(&programs, arguments.events, arguments.rounds)?;
    }
    for workload in workloads {
        compare::compare(workload, &programs, arguments.events, arguments.rounds)?;
    }
    for program in programs.iter().filter(|_| start) {
        let start = run::start(program)?;
        let ms = start.to_first_event.as_secs_f64() * 1000.0;
        println!(
            "{START:<13} {ms:.0} ms to the first event, {:.1} MB idle  {}",
            start.idle_mb,
            program.display()
        );
    }
    for program in programs.iter().filter(|_| latency) {
        latency::print(program, arguments.rate)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The workloads with these names, or all, and whether the start and the latency are measured.
fn chosen(names: &[String]) -> Result<(Vec<&'static Workload>, bool, bool)> {
    let known = || WORKLOADS.iter().map(|workload| workload.name).chain([START, LATENCY, KAFKA]);
    if let Some(unknown) = names.iter().find(|name| known().all(|known| known != name.as_str())) {
        bail!("no workload is called {unknown}; there are {}", known().collect::<Vec<_>>().join(", "));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let workloads = WORKLOADS.iter().filter(|workload| wanted(workload.name)).collect();
    Ok((workloads, wanted(START), wanted(LATENCY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_by_name() {
        let names = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
            chosen(&list).map(|(found, start, latency)| {
                (found.iter().map(|found| found.name).collect::<Vec<_>>(), start, latency)
            })
        };
        assert_eq!(names(&["tcp", "json"]).unwrap(), (vec!["json", "tcp"], false, false));
        assert_eq!(names(&[]).unwrap().0.len(), WORKLOADS.len());
        assert!(names(&["start"]).unwrap().1 && names(&["latency"]).unwrap().2);
        assert!(names(&["jsn"]).unwrap_err().to_string().contains("called jsn; there are json, apache"));
    }
}
