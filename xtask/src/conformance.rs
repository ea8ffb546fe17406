//! `cargo xtask conformance`: the cases of `tests/conformance` on the real engine, in this process.
//!
//! Each case is run without runtime and sockets and compared with what Logstash made of it. The score is committed:
//! a case that passed once must pass for ever.

mod case;
mod encoded;
mod engine;
mod judge;
mod literal;
mod msgpack;
mod pool;
mod score;
mod show;
mod yaml;

use anyhow::{Context as _, Result, bail};
use case::Case;
use judge::{Faults, Outcome};
use score::Score;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// Options of `cargo xtask conformance`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A folder with `cases/` and `expected/`; without it, the repository's own, compared with its SCORE.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Only cases whose AREA/NAME matches this pattern.
    #[arg(long, default_value = "*")]
    only: String,
    /// Show one case (AREA/NAME): what it is given, what should come out, what does.
    #[arg(long)]
    show: Option<String>,
    /// Name the cases that fail.
    #[arg(long)]
    red: bool,
    /// Write the SCORE.
    #[arg(long, conflicts_with = "dir")]
    update: bool,
}

/// A case with what came of it.
pub(crate) struct Verdict {
    case: Arc<Case>,
    outcome: Outcome,
    faults: Faults,
}

impl Verdict {
    fn passed(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Runs what `arguments` say.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if std::env::var_os("TZ").is_none_or(|zone| zone != "UTC") {
        return again_in_utc();
    }
    let home = crate::repository().join("tests/conformance");
    let folder = arguments.dir.as_ref().unwrap_or(&home);
    let own_deviations = folder.join("deviations.yaml");
    let deviations = if own_deviations.exists() { own_deviations } else { home.join("deviations.yaml") };
    let cases = case::load(folder, &deviations)?;
    if let Some(name) = &arguments.show {
        let case =
            cases.into_iter().find(|case| case.id() == *name).with_context(|| format!("no case {name}"))?;
        print!("{}", show::show(&verdicts(vec![case])));
        return Ok(ExitCode::SUCCESS);
    }
    let pattern = glob::Pattern::new(&arguments.only)?;
    let verdicts = verdicts(cases.into_iter().filter(|case| pattern.matches(&case.id())).collect());
    let score = Score::of(&verdicts);
    print!("{}", score.lines(arguments.red));
    let outcome = match arguments.dir {
        Some(_) => ExitCode::SUCCESS,
        None => compare(&score, &home.join("SCORE"), arguments)?,
    };
    println!("{} passed, {} failed", score.passed(), score.total() - score.passed());
    Ok(outcome)
}

/// The default time zone is the process's: start over with the one of the cases.
fn again_in_utc() -> Result<ExitCode> {
    let status =
        Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).env("TZ", "UTC").status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn verdicts(cases: Vec<Case>) -> Vec<Verdict> {
    // Panics are reported as faults of their case.
    std::panic::set_hook(Box::new(|_| {}));
    let cases: Vec<Arc<Case>> = cases.into_iter().map(Arc::new).collect();
    let run: pool::Run = Arc::new(engine::run);
    let outcomes = pool::run_all(&cases, &run);
    let verdict = |(case, outcome): (Arc<Case>, Outcome)| Verdict {
        faults: judge::judge(&case, &outcome),
        case,
        outcome,
    };
    cases.into_iter().zip(outcomes).map(verdict).collect()
}

fn compare(now: &Score, file: &std::path::Path, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.update {
        if arguments.only != "*" {
            bail!("--update needs all cases");
        }
        std::fs::write(file, now.render())?;
        return Ok(ExitCode::SUCCESS);
    }
    let committed = Score::parse(&std::fs::read_to_string(file).unwrap_or_default())?;
    let lost = committed.lost(now);
    for name in &lost {
        println!("passed before, fails now: {name}");
    }
    Ok(if lost.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
