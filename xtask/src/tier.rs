//! `cargo xtask tier`: what `docker compose --profile kafka up` starts, with processes in place of containers.
//!
//! Kafka, Elasticsearch, several ferrostash with conf/kafka-tier.conf, and a producer. Its events are numbered, so that at the end each
//! of them is looked for.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ferrostash_tier::{Arrivals, Elasticsearch, Kafka, Member, Pace, Plan, Produced, Producer, repository};

/// Options of `cargo xtask tier`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Brokers of Kafka.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    brokers: u8,
    /// Processes of ferrostash.
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 12)]
    partitions: usize,
    /// How long events are produced; until Ctrl-C when absent.
    #[arg(long)]
    seconds: Option<u64>,
    /// Events per second.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Bytes of text in each event, beside some hundred others.
    #[arg(long, default_value_t = 200)]
    text_bytes: usize,
    /// A stand-in for Elasticsearch, in this process: starts at once, and knows what came twice.
    #[arg(long)]
    double_es: bool,
}

const TOPIC: &str = "events";
const GROUP: &str = "ferrostash-tier";
/// Time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// How long the members may take for what is left when the producer has stopped.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(120);

/// Where documents go.
enum Target {
    Real(Elasticsearch),
    Double(Box<Arrivals>),
}

impl Target {
    const INDICES: &str = "tier-*";

    fn url(&self) -> Result<String> {
        match self {
            Target::Real(service) => Ok(service.url()?.to_owned()),
            Target::Double(arrivals) => Ok(arrivals.url()),
        }
    }

    fn documents(&mut self) -> Result<u64> {
        match self {
            Target::Real(service) => service.count(Self::INDICES),
            Target::Double(arrivals) => arrivals.look(),
        }
    }
}

/// Runs what `arguments` say.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let program = program()?;
    let is_over = on_interrupt()?;
    println!("starting Kafka and Elasticsearch ...");
    let mut target = match arguments.double_es {
        true => Target::Double(Box::new(Arrivals::start())),
        false => Target::Real(Elasticsearch::start()?),
    };
    let kafka = Kafka::start(usize::from(arguments.brokers), &[])?;
    kafka.create_topic(TOPIC, arguments.partitions)?;
    let variables = [
        ("KAFKA_SERVERS", kafka.address()?.to_owned()),
        ("KAFKA_TOPIC", TOPIC.into()),
        ("KAFKA_GROUP", GROUP.into()),
    ];
    let mut environment: Vec<_> = variables.map(|(name, value)| (name.to_owned(), value)).into();
    environment.push(("ES_HOSTS".to_owned(), target.url()?));
    let conf = repository().join("conf/kafka-tier.conf").display().to_string();
    let plan = Plan { program, arguments: vec!["-f".to_owned(), conf], environment };
    let names = (1..=arguments.members).map(|number| format!("tier-{number}"));
    let mut members = names.map(|name| Member::start(&plan, &name)).collect::<Result<Vec<_>>>()?;
    members.iter_mut().try_for_each(Member::wait_until_up)?;
    println!("Kafka          {}  topic {TOPIC}, group {GROUP}", kafka.address()?);
    println!("Elasticsearch  {}  indices {}", target.url()?, Target::INDICES);
    for member in &members {
        println!("{:<14} http://{}/_node/stats  pid {}", member.name(), member.api(), member.pid());
    }

    let pace = Pace { text_bytes: arguments.text_bytes, ..Pace::of(arguments.rate) };
    let producer = Producer::start(&kafka, TOPIC, pace)?;
    let start = Instant::now();
    let end = arguments.seconds.map(Duration::from_secs);
    let mut line = start;
    while !is_over.load(Ordering::Relaxed) && end.is_none_or(|end| start.elapsed() < end) {
        std::thread::sleep(Duration::from_millis(100));
        if line.elapsed() >= LINE_EVERY {
            line = Instant::now();
            print_line(start, &producer, &kafka, &mut target, &members);
        }
    }
    let produced = producer.finish()?;
    println!("produced {} events in {:.1} s", produced.events, start.elapsed().as_secs_f64());
    let committed = kafka.wait_for_commits(GROUP, TOPIC, CATCH_UP_TIME_MAX);
    println!("all committed after {:.1} s", start.elapsed().as_secs_f64());
    // One that somebody killed has nothing more to tell.
    members.retain_mut(|member| member.check().map_err(|error| println!("{error:#}")).is_ok());
    for member in &members {
        let (cpu, memory) = (member.cpu_time()?.as_secs_f64(), member.peak_bytes()? as f64 / 1e6);
        println!("{:<14} {cpu:.2} s of CPU time, {memory:.0} MB at most", member.name());
    }
    members.iter_mut().try_for_each(Member::ask_to_stop)?;
    for member in members {
        member.stop()?;
    }
    committed?;
    let is_complete = ledger(&mut target, &kafka, &produced)?;
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_line(start: Instant, producer: &Producer, kafka: &Kafka, target: &mut Target, members: &[Member]) {
    let number = |number: Result<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    let lag = kafka.lag(GROUP, TOPIC);
    let lag = lag.map_or("?".to_owned(), |lag| format!("{} (lag {})", lag.committed, lag.events()));
    let shares: Vec<String> = members.iter().map(|member| number(member.events_out())).collect();
    println!(
        "{:>5.0} s  produced {}  committed {lag}  documents {}  by member {}",
        start.elapsed().as_secs_f64(),
        producer.begun(),
        number(target.documents()),
        shares.join(" + "),
    );
}

/// Prints what became of all events, and whether all are there.
fn ledger(target: &mut Target, kafka: &Kafka, produced: &Produced) -> Result<bool> {
    let (documents, numbers) = match target {
        Target::Real(service) => {
            let numbers = service.numbers(Target::INDICES)?;
            (numbers.len() as u64, numbers.into_iter().collect::<BTreeSet<_>>().len() as u64)
        }
        Target::Double(arrivals) => {
            arrivals.look()?;
            let account = arrivals.account(produced, &[]);
            println!("{account}");
            (account.arrived + account.duplicates, account.arrived)
        }
    };
    let lag = kafka.lag(GROUP, TOPIC)?;
    println!("produced {}  documents {documents}  distinct {numbers}  lag {}", produced.events, lag.events());
    let is_complete = documents == numbers && numbers == produced.events;
    println!("{}", if is_complete { "nothing lost, nothing twice" } else { "NOT what was produced" });
    Ok(is_complete)
}

/// The release build; made if it is not there.
pub(crate) fn program() -> Result<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or(crate::repository().join("target"), PathBuf::from);
    let program = target.join("release/ferrostash");
    if !program.is_file() {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "--bin", "ferrostash"]).current_dir(crate::repository());
        if !command.status().with_context(|| format!("{command:?}"))?.success() {
            bail!("ferrostash can't be built");
        }
    }
    Ok(program)
}

/// Is set at Ctrl-C and SIGTERM.
pub(crate) fn on_interrupt() -> Result<Arc<AtomicBool>> {
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&is_over))?;
    }
    Ok(is_over)
}
