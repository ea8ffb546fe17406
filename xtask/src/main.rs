//! Chores of this repository: `cargo xtask conformance | docs | bench | costs | tier | soak`.
//!
//! `conformance` runs the cases that were recorded from the real Logstash, `docs` writes the pages that come out of the
//! plugins' declarations, `bench` measures whole pipelines on the release executable, `costs` what an event
//! costs in each plugin; `tier` runs a group of processes between Kafka and Elasticsearch, `soak` one in which things die.

mod bench;
mod conformance;
mod costs;
mod docs;
mod json;
mod soak;
mod tier;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of this repository")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the recorded cases and compare with Logstash's results.
    Conformance(conformance::Arguments),
    /// Measure whole pipelines on target/release/ferrostash.
    Bench(bench::Arguments),
    /// Write what an event costs in each plugin.
    Costs(costs::Arguments),
    /// Write the pages of plugins and settings.
    Docs(docs::Arguments),
    /// Run a load-balanced tier on this machine: Kafka, several ferrostash, Elasticsearch, a producer.
    Tier(tier::Arguments),
    /// Let things die at random, and look for every event.
    Soak(soak::Arguments),
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().task {
        Task::Conformance(arguments) => conformance::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Costs(arguments) => costs::run(&arguments),
        Task::Docs(arguments) => docs::run(&arguments),
        Task::Tier(arguments) => tier::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
    }
}

/// The top folder of the repository.
fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}
