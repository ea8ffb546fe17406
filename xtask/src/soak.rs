//! `cargo xtask soak`: faults at random, for as long as wanted.
//!
//! A round is a topic with a group of its own: three members, five, two, and more faults from a seed; at the end each event is
//! looked for. Every round has the next way of sharing partitions out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use ferrostash_tier::{Kafka, Round};

use crate::tier;

/// Options of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Members of a group and brokers of Kafka that come, go and die.
    Kafka(KafkaArguments),
}

#[derive(clap::Args)]
struct KafkaArguments {
    /// Rounds are begun for so long; one takes some minutes.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// What faults there are, and when; by the clock when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// The first round, to repeat one.
    #[arg(long, default_value_t = 0)]
    round: u64,
    /// Faults of each round, beside the change from three members to five, to two, to three.
    #[arg(long, default_value_t = 6)]
    faults: usize,
    /// Events per second.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Brokers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    brokers: u8,
    /// The executable; target/release/ferrostash when absent.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Runs what `arguments` say.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let What::Kafka(arguments) = &arguments.what;
    let program = arguments.program.clone().map_or_else(tier::program, Ok)?;
    let seed = arguments
        .seed
        .unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs()));
    let is_over = tier::on_interrupt()?;
    println!("seed {seed}");
    let kafka = Kafka::start(usize::from(arguments.brokers), &[])?;
    let (start, end) = (Instant::now(), Duration::from_secs(60 * arguments.minutes));
    let (mut rounds, mut failed) = (0, 0);
    for number in arguments.round.. {
        if start.elapsed() >= end || is_over.load(Ordering::Relaxed) {
            break;
        }
        let round = Round::of(seed, number, &program, arguments.rate, arguments.faults);
        println!("round {number}: {:?}, {} partitions", round.setup.sharing, round.setup.partitions);
        rounds += 1;
        match round.run(&kafka, &mut |line| println!("  {line}")) {
            Ok(account) => println!("  {account}"),
            Err(error) => {
                failed += 1;
                println!("  FAILED: {error:#}");
                println!("  again: cargo xtask soak kafka --seed {seed} --round {number} --minutes 1");
                // The next round wants all brokers.
                kafka.start_all()?;
            }
        }
    }
    println!("{rounds} rounds of seed {seed}, {failed} failed");
    Ok(if failed == 0 && rounds > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
