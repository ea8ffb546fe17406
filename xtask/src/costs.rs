//! `cargo xtask costs`: what an event costs in each plugin, in allocations and instructions.
//!
//! The table is committed. A test of this package compares the allocations with it, exactly; `--check` also compares the
//! instructions, with a tolerance, where they can be counted.

mod callgrind;
mod table;

use anyhow::{Context as _, Result};
use ferrostash_costs::Case;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use table::{Cost, Table};

/// Options of `cargo xtask costs`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only say what differs from the table.
    #[arg(long)]
    check: bool,
}

/// Batches in a row that must cost the same before that counts as the cost.
const STEADY_BATCHES: usize = 4;
/// Batches in which that must be so.
const BATCHES_MAX: usize = 40;
/// By how much instructions may differ from the table, in percent and in instructions per event.
const TOLERANCE_PERCENT: u64 = 5;
const TOLERANCE: u64 = 5;

/// What was counted, case by case.
type Counts = BTreeMap<usize, u64>;

/// Writes or checks the table.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cases = ferrostash_costs::cases();
    let allocations = cases.iter().map(|case| allocations(*case)).collect::<Result<Vec<_>>>()?;
    let path = path();
    let old = Table::read(&std::fs::read_to_string(&path).unwrap_or_default());
    let counted = callgrind::instructions(cases.len())?;
    let is_comparable = counted.is_some() && old.compiler == callgrind::compiler()?;
    let mut costs = Vec::with_capacity(cases.len());
    for (number, (case, allocations)) in cases.iter().zip(&allocations).enumerate() {
        let recorded = old.get(case).and_then(|cost| cost.instructions);
        let now = counted.as_ref().and_then(|counted| counted.get(&number).copied());
        // What hardly differs stays as it is: the table changes less, and many small steps add up to one that shows.
        let keeps = is_comparable && recorded.zip(now).is_some_and(|(old, now)| is_close(old, now));
        let instructions = if keeps { recorded } else { now.or(recorded) };
        costs.push(Cost { allocations: *allocations, instructions });
    }
    let compiler = if counted.is_some() { callgrind::compiler()? } else { old.compiler.clone() };
    if !arguments.check {
        std::fs::write(&path, table::render(&cases, &costs, &compiler))
            .with_context(|| path.display().to_string())?;
        println!("{} cases", cases.len());
        return Ok(ExitCode::SUCCESS);
    }
    if !is_comparable {
        // The numbers of another compiler say nothing about ours.
        costs.iter_mut().zip(&cases).for_each(|(cost, case)| {
            cost.instructions = old.get(case).and_then(|cost| cost.instructions);
        });
        println!("instructions are not compared: the table has those of {}", old.compiler);
    }
    let differences = differences(&old, &cases, &costs);
    differences.iter().for_each(|line| println!("{line}"));
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn path() -> PathBuf {
    crate::repository().join("docs/costs.md")
}

fn is_close(old: u64, now: u64) -> bool {
    old.abs_diff(now) <= (old * TOLERANCE_PERCENT / 100).max(TOLERANCE)
}

/// Allocations of a batch, once caches, scratch and arenas have their size.
fn allocations(case: Case) -> Result<u64> {
    let (mut last, mut same, mut batches) = (0, 0, 0);
    case.run(|work| {
        let count = allocation_counter::measure(work).count_total;
        same = if count == last { same + 1 } else { 1 };
        last = count;
        batches += 1;
        match same < STEADY_BATCHES && batches < BATCHES_MAX {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    anyhow::ensure!(same >= STEADY_BATCHES, "`{}` does not become steady", case.conf);
    Ok(last)
}

/// What the table does not say as it is, one line each; with what is to be done at the end.
fn differences(old: &Table, cases: &[Case], costs: &[Cost]) -> Vec<String> {
    let mut lines = Vec::new();
    for (case, cost) in cases.iter().zip(costs) {
        let name = format!("{} `{}` on `{}`", case.kind.name(), case.conf, table::event_name(case.event));
        let Some(recorded) = old.get(case) else {
            lines.push(format!("{name}: not in the table"));
            continue;
        };
        if recorded.allocations != cost.allocations {
            let (old, now) = (recorded.allocations, cost.allocations);
            lines.push(format!("{name}: {now} allocations per batch, {old} in the table"));
        }
        if let Some((old, now)) = recorded.instructions.zip(cost.instructions).filter(|(old, now)| old != now)
        {
            lines.push(format!("{name}: {now} instructions per event, {old} in the table"));
        }
    }
    if lines.is_empty() && table::render(cases, costs, &old.compiler) != old.text {
        lines.push("docs/costs.md is not as it would be written".to_owned());
    }
    if !lines.is_empty() {
        lines.push("If that is meant, record it, also where it is less: cargo xtask costs".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_as_in_the_table() {
        let cases = ferrostash_costs::cases();
        let old = Table::read(&std::fs::read_to_string(path()).unwrap());
        let cost = |case: &Case| Cost {
            allocations: allocations(*case).unwrap(),
            instructions: old.get(case).and_then(|cost| cost.instructions),
        };
        let costs: Vec<Cost> = cases.iter().map(cost).collect();
        let differences = differences(&old, &cases, &costs);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    #[test]
    fn what_grows_or_shrinks_is_said() {
        let cases = ferrostash_costs::cases();
        let costs = vec![Cost { allocations: 3, instructions: Some(1000) }; cases.len()];
        let mut old = Table::read(&table::render(&cases, &costs, "a compiler"));
        assert_eq!(differences(&old, &cases, &costs), [""; 0]);
        let mut other = costs.clone();
        (other[0].allocations, other[1].instructions) = (2, Some(1100));
        let said = differences(&old, &cases, &other);
        assert!(said[0].ends_with("2 allocations per batch, 3 in the table"), "{said:?}");
        assert!(said[1].ends_with("1100 instructions per event, 1000 in the table"), "{said:?}");
        assert!(said[2].ends_with("cargo xtask costs") && said.len() == 3, "{said:?}");
        old.text.push('x');
        assert_eq!(differences(&old, &cases, &costs).len(), 2);
        assert!(is_close(1000, 1050) && is_close(10, 15) && !is_close(1000, 1051) && !is_close(1000, 949));
    }
}
