//! Two executables by turns on the same input, so that both see the same machine.

use super::run::{self, Input, Measured};
use super::workload::Workload;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Runs every program `rounds` times on `events` events and prints what it cost: medians, and of two programs also the
/// ratios of the rounds.
pub(super) fn compare(workload: &Workload, programs: &[PathBuf], events: usize, rounds: usize) -> Result<()> {
    let folder = run::folder()?;
    let file = folder.path().join("in.log");
    let kept = workload.generate(events, &file)?;
    let input = Input { file: &file, events, kept };
    let mut results = vec![Vec::new(); programs.len()];
    for round in 0..rounds {
        // Who goes first changes, too.
        let mut turns: Vec<_> = programs.iter().zip(&mut results).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (program, results) in turns {
            results.push(run::measure(program, workload, &input)?);
        }
    }
    for (program, results) in programs.iter().zip(&results) {
        print_medians(workload.name, program, results);
    }
    if let [ours, theirs] = results.as_slice() {
        let ratios = |of: fn(&Measured) -> f64| {
            Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| of(ours) / of(theirs)))
        };
        println!(
            "{:<13} ours / other: CPU {}, events/s {}, memory {}",
            "",
            ratios(|run| run.cpu_micros),
            ratios(|run| run.rate),
            ratios(|run| run.peak_mb)
        );
    }
    Ok(())
}

/// Prints what a program cost.
pub(super) fn print_medians(name: &str, program: &Path, results: &[Measured]) {
    let middle = |of: fn(&Measured) -> f64| Spread::of(results.iter().map(of)).median;
    println!(
        "{name:<13} {:>6.2} µs CPU per event  {:>5.0} k events/s  {:>5.0} MB peak  {}",
        middle(|run| run.cpu_micros),
        middle(|run| run.rate) / 1000.0,
        middle(|run| run.peak_mb),
        program.display()
    );
}

/// The middle, the least and the greatest of some figures.
#[derive(Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    pub(super) fn of(figures: impl Iterator<Item = f64>) -> Spread {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        let (low, high) = (figures.len().saturating_sub(1) / 2, figures.len() / 2);
        Spread {
            median: f64::midpoint(at(low), at(high)),
            least: at(0),
            greatest: at(figures.len().saturating_sub(1)),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.median, self.least, self.greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_ends() {
        let odd = Spread::of([9.0, 1.0, 5.0].into_iter());
        assert_eq!(odd, Spread { median: 5.0, least: 1.0, greatest: 9.0 });
        assert_eq!(odd.to_string(), "5.000 (1.000 to 9.000)");
        assert_eq!(Spread::of([2.0, 1.0].into_iter()).median, 1.5);
        assert_eq!(Spread::of([2.0].into_iter()).median, 2.0);
    }
}
