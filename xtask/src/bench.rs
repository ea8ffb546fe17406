//! `cargo xtask bench`: whole pipelines on the release executable, file in, file out.
//!
//! The figure to trust on a shared machine is the CPU time per event; events per second depend on what else runs. With
//! `--compare` two executables run by turns, so that both see the same machine.

mod generate;
mod process;
mod run;
mod workload;

use anyhow::{Result, bail};
use run::Measured;
use std::path::PathBuf;
use std::process::ExitCode;
use workload::{WORKLOADS, Workload};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Events per run.
    #[arg(long, default_value_t = 300_000)]
    events: usize,
    /// Only this workload: json, apache, pass or start.
    #[arg(long)]
    only: Option<String>,
    /// Another executable to run by turns with ours.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Runs of each.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

const START: &str = "start";

/// Runs what `arguments` say.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let own = crate::repository().join("target/release/ferrostash");
    let programs: Vec<PathBuf> = [Some(own), arguments.compare.clone()].into_iter().flatten().collect();
    if let Some(missing) = programs.iter().find(|program| !program.is_file()) {
        bail!("{} is missing (cargo build --release)", missing.display());
    }
    let wanted = |name: &str| arguments.only.as_ref().is_none_or(|only| only == name);
    let workloads: Vec<&Workload> = WORKLOADS.iter().filter(|workload| wanted(workload.name)).collect();
    if workloads.is_empty() && !wanted(START) {
        bail!("no such workload; there are json, apache, pass and start");
    }
    if arguments.events == 0 || arguments.rounds == 0 {
        bail!("--events and --rounds start at 1");
    }
    for workload in workloads {
        compare(workload, &programs, arguments)?;
    }
    if wanted(START) {
        for program in &programs {
            let start = run::start(program)?;
            let ms = start.to_first_event.as_secs_f64() * 1000.0;
            println!(
                "start  {ms:.0} ms to the first event, {:.1} MB idle  {}",
                start.idle_mb,
                program.display()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All rounds of one workload, by turns.
fn compare(workload: &Workload, programs: &[PathBuf], arguments: &Arguments) -> Result<()> {
    let folder = run::folder()?;
    let input = folder.path().join("in.log");
    workload.generate(arguments.events, &input)?;
    let mut results = vec![Vec::new(); programs.len()];
    for _ in 0..arguments.rounds {
        for (program, results) in programs.iter().zip(&mut results) {
            results.push(run::measure(program, workload, &input, arguments.events)?);
        }
    }
    let medians: Vec<Measured> = results.into_iter().map(median).collect();
    for (median, program) in medians.iter().zip(programs) {
        println!("{:<6} {median}  {}", workload.name, program.display());
    }
    if let [ours, theirs] = medians.as_slice() {
        println!(
            "{:<6} ours / other: {:.2} events/s, {:.2} CPU, {:.2} memory",
            "",
            ours.rate / theirs.rate,
            ours.cpu_seconds_per_million / theirs.cpu_seconds_per_million,
            ours.peak_mb / theirs.peak_mb
        );
    }
    Ok(())
}

/// The run in the middle, by CPU time.
fn median(mut runs: Vec<Measured>) -> Measured {
    runs.sort_by(|a, b| a.cpu_seconds_per_million.total_cmp(&b.cpu_seconds_per_million));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_by_cpu_time() {
        let run = |cpu: f64| Measured { cpu_seconds_per_million: cpu, ..Measured::default() };
        assert_eq!(median(vec![run(9.0), run(1.0), run(5.0)]).cpu_seconds_per_million, 5.0);
    }
}
