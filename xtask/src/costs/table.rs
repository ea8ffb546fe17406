//! `docs/costs.md`: from costs to text, and back.

use ferrostash_costs::{ACCESS, BATCH_EVENTS, Case, LOG};
use std::collections::HashMap;
use std::fmt::Write as _;

/// What a case costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Of a batch.
    pub(super) allocations: u64,
    /// Of an event; `None` where they were never counted.
    pub(super) instructions: Option<u64>,
}

/// The committed table.
pub(super) struct Table {
    pub(super) text: String,
    /// Whose instructions were counted.
    pub(super) compiler: String,
    /// By kind, configuration and event, as these stand in the table.
    costs: HashMap<[String; 3], Cost>,
}

const COMPILER: &str = "Instructions: ";
const UNKNOWN: &str = "-";

impl Table {
    /// Reads the table; what is not understood is not there.
    pub(super) fn read(text: &str) -> Table {
        let (mut kind, mut compiler, mut costs) = (String::new(), String::new(), HashMap::new());
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                kind = heading.to_owned();
            } else if let Some(rest) = line.strip_prefix(COMPILER) {
                compiler = rest.to_owned();
            } else if let Some(row) = line.strip_prefix("| `").and_then(|row| row.strip_suffix(" |")) {
                let cells: Vec<&str> = row.split(" | ").collect();
                let [conf, event, _, allocations, instructions] = cells.as_slice() else { continue };
                let Ok(allocations) = allocations.parse() else { continue };
                let cost = Cost { allocations, instructions: instructions.parse().ok() };
                costs.insert([kind.clone(), format!("`{conf}"), (*event).to_owned()], cost);
            }
        }
        Table { text: text.to_owned(), compiler, costs }
    }

    pub(super) fn get(&self, case: &Case) -> Option<Cost> {
        let key = [case.kind.name().to_owned(), code(case.conf), event_cell(case.event)];
        self.costs.get(&key).copied()
    }
}

/// How an event is called.
pub(super) fn event_name(event: &str) -> &str {
    match event {
        ACCESS => "access",
        LOG => "log",
        other => other,
    }
}

fn event_cell(event: &str) -> String {
    match event_name(event) {
        name if name == event => code(name),
        name => name.to_owned(),
    }
}

/// Code in a cell of a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// The page.
pub(super) fn render(cases: &[Case], costs: &[Cost], compiler: &str) -> String {
    let mut page = format!(
        "\
# What an event costs

Written by `cargo xtask costs`. A test compares the allocations with what they are now; `cargo xtask costs --check` also
compares the instructions, and lets them differ by a twentieth. What grows fails; what shrinks has to be recorded.

Each case runs on one thread over batches of {BATCH_EVENTS} events that are made before and dropped after what is counted, once
caches, scratch and the arenas of the thread have their size. Allocations are counted per batch; per event there are so
many, with the batch's own (a selection, a list of slots) in the hundredths. Instructions are those of the processor that
callgrind counts in an optimised build, without what the system does.

{COMPILER}{compiler}

| event | |
|---|---|
| access | {} |
| log | {} |
",
        code(ACCESS),
        code(LOG)
    );
    let mut kind = None;
    for (case, cost) in cases.iter().zip(costs) {
        if kind != Some(case.kind) {
            kind = Some(case.kind);
            let _ = write!(page, "\n## {}\n\n", case.kind.name());
            page.push_str("| what | event | allocations per event | per batch | instructions per event |\n");
            page.push_str("|---|---|--:|--:|--:|\n");
        }
        let per_event = cost.allocations as f64 / BATCH_EVENTS as f64;
        let instructions = cost.instructions.map_or(UNKNOWN.to_owned(), |count| count.to_string());
        let _ = writeln!(
            page,
            "| {} | {} | {per_event:.2} | {} | {instructions} |",
            code(case.conf),
            event_cell(case.event),
            cost.allocations
        );
    }
    page
}
