//! Pipelines that read a topic of a real Kafka, which runs on the same processors.

use super::compare::print_medians;
use super::output::Output;
use super::process::Process;
use super::run::{self, Measured};
use super::workload::{PASS, TIDY};
use anyhow::{Result, bail};
use ferrostash_tier::Kafka;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The topic that is read, and the one that is written.
const FROM: &str = "bench";
const TO: &str = "bench-copy";
const PARTITIONS: usize = 8;
/// Longest time for a run.
const RUN_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A pipeline behind the topic.
struct Pipeline {
    name: &'static str,
    /// The codec of its input, its filters.
    codec: &'static str,
    filters: &'static str,
    copies: bool,
}

static PIPELINES: [Pipeline; 2] = [
    Pipeline { name: "kafka", codec: "json", filters: TIDY, copies: false },
    Pipeline { name: "kafka-kafka", codec: "plain", filters: "", copies: true },
];

/// Fills a topic with `events` JSON lines and prints what it costs each program to read it: consumed, parsed, changed and sent to a
/// sink that answers bulk requests; and copied into another topic.
pub(super) fn print(programs: &[PathBuf], events: usize, rounds: usize) -> Result<()> {
    let kafka = Kafka::start(1, &[])?;
    kafka.create_topic(FROM, PARTITIONS)?;
    kafka.create_topic(TO, PARTITIONS)?;
    if let Some(program) = programs.first() {
        fill(&kafka, program, events)?;
    }
    for pipeline in &PIPELINES {
        let mut results = vec![Vec::new(); programs.len()];
        for round in 0..rounds {
            for (number, (program, results)) in programs.iter().zip(&mut results).enumerate() {
                let group = format!("{}-{round}-{number}", pipeline.name);
                results.push(measure(&kafka, program, pipeline, &group, events)?);
            }
        }
        for (program, results) in programs.iter().zip(&results) {
            print_medians(pipeline.name, program, results);
        }
    }
    Ok(())
}

/// Writes the lines into the topic, through the program itself.
fn fill(kafka: &Kafka, program: &Path, events: usize) -> Result<()> {
    let folder = run::folder()?;
    let lines = folder.path().join("in.log");
    PASS.generate(events, &lines)?;
    let config = format!(
        r#"input {{ file {{ path => "{}" mode => "tail" start_position => "beginning" sincedb_path => "/dev/null" }} }}
           output {{ kafka {{ bootstrap_servers => "{}" topic_id => "{FROM}" codec => plain {{ format => "%{{message}}" }} }} }}"#,
        lines.display(),
        kafka.address()?
    );
    let mut process = start(program, folder.path(), &config)?;
    let begun = Instant::now();
    while written(kafka, FROM)? < events {
        process.check()?;
        if begun.elapsed() > RUN_MAX {
            bail!("the topic did not fill");
        }
        std::thread::sleep(LOOK_EVERY);
    }
    process.stop()
}

fn start(program: &Path, folder: &Path, config: &str) -> Result<Process> {
    let file = folder.join("pipeline.conf");
    std::fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.arg("-f").arg(&file).arg("--path.data").arg(folder.join("data"));
    command.arg("--path.logs").arg(folder.join("logs")).args(["--api.enabled", "false"]);
    Process::start(&mut command, &folder.join("stdout"))
}

fn written(kafka: &Kafka, topic: &str) -> Result<usize> {
    Ok(usize::try_from(kafka.written(topic)?)?)
}

fn measure(
    kafka: &Kafka,
    program: &Path,
    pipeline: &Pipeline,
    group: &str,
    events: usize,
) -> Result<Measured> {
    let folder = run::folder()?;
    let mut sink = Output::sink()?;
    let servers = kafka.address()?;
    let to = match pipeline.copies {
        true => format!(
            r#"kafka {{ bootstrap_servers => "{servers}" topic_id => "{TO}" codec => plain {{ format => "%{{message}}" }} }}"#
        ),
        false => format!(
            r#"elasticsearch {{ hosts => ["http://{}"] index => "logs" document_id => "auto" data_stream => false
               manage_template => false ilm_enabled => false compression_level => 0 ecs_compatibility => "disabled" }}"#,
            sink.address()
        ),
    };
    let config = format!(
        r#"input {{ kafka {{ bootstrap_servers => "{servers}" topics => ["{FROM}"] group_id => "{group}"
           auto_offset_reset => "earliest" codec => {} {{ ecs_compatibility => "disabled" }} }} }} filter {{ {} }} output {{ {to} }}"#,
        pipeline.codec, pipeline.filters
    );
    let before = if pipeline.copies { written(kafka, TO)? } else { 0 };
    let mut process = start(program, folder.path(), &config)?;
    let mut count = || match pipeline.copies {
        true => Ok(written(kafka, TO)? - before),
        false => sink.count(),
    };
    let begun = Instant::now();
    let mut first = None;
    while count()? < events {
        process.check()?;
        if begun.elapsed() > RUN_MAX {
            bail!("{}: not all events came within {RUN_MAX:?}", pipeline.name);
        }
        if first.is_none() && count()? > 0 {
            first = Some((Instant::now(), count()?));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let (since, early) = first.unwrap_or((begun, 0));
    let measured = Measured {
        rate: (events - early) as f64 / since.elapsed().as_secs_f64(),
        cpu_micros: process.cpu_seconds()? / events as f64 * 1e6,
        peak_mb: process.memory_mb("VmHWM")?,
    };
    process.stop()?;
    Ok(measured)
}
