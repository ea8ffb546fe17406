//! Runs cases side by side; one that panics or hangs fails alone.

use super::case::Case;
use super::judge::Outcome;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest time for one case.
const CASE_TIME_MAX: Duration = Duration::from_secs(10);

/// What runs one case.
pub(crate) type Run = Arc<dyn Fn(&Case) -> Outcome + Send + Sync>;

/// The outcome of each case, in the order of `cases`.
pub(crate) fn run_all(cases: &[Arc<Case>], run: &Run) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![None; cases.len()]);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((at, case)) = take(&next, cases) {
                    let outcome = watched(case, run, CASE_TIME_MAX);
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(slot) = outcomes.get_mut(at) {
                        *slot = Some(outcome);
                    }
                }
            });
        }
    });
    let missing = || Outcome::Broken("was not run".to_owned());
    outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter()
        .map(|o| o.unwrap_or_else(missing))
        .collect()
}

fn take<'c>(next: &AtomicUsize, cases: &'c [Arc<Case>]) -> Option<(usize, &'c Arc<Case>)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    cases.get(at).map(|case| (at, case))
}

/// Runs one case on a thread of its own; a thread that hangs is left behind.
fn watched(case: &Arc<Case>, run: &Run, limit: Duration) -> Outcome {
    let (done, outcome) = channel();
    let (case, run) = (Arc::clone(case), Arc::clone(run));
    let thread = std::thread::Builder::new().name("case".to_owned()).spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| run(&case)));
        let _ = done
            .send(result.unwrap_or_else(|panic| Outcome::Broken(format!("panicked: {}", message(&*panic)))));
    });
    if let Err(error) = thread {
        return Outcome::Broken(format!("no thread: {error}"));
    }
    match outcome.recv_timeout(limit) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => Outcome::Broken(format!("hung: not done after {limit:?}")),
        Err(RecvTimeoutError::Disconnected) => Outcome::Broken("ended without an outcome".to_owned()),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::case::{Expected, Kind};
    use crate::json::Json;

    fn case(name: &str) -> Arc<Case> {
        Arc::new(Case {
            area: "a".into(),
            name: name.into(),
            why: String::new(),
            kind: Kind::Filters(String::new()),
            settings: Vec::new(),
            env: Vec::new(),
            files: Vec::new(),
            input: Vec::new(),
            metadata: false,
            ignore: Vec::new(),
            expected: Expected { result: Json::Null },
            deviation: None,
        })
    }

    #[test]
    fn a_panic_or_a_hang_fails_one_case_only() {
        let run: Run = Arc::new(|case| match case.name.as_str() {
            "panics" => panic!("boom"),
            "hangs" => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            _ => Outcome::Accepted,
        });
        let outcomes = run_all(&["good", "panics", "good"].map(case), &run);
        assert!(
            matches!(outcomes[..], [Outcome::Accepted, Outcome::Broken(_), Outcome::Accepted]),
            "{outcomes:?}"
        );
        assert!(matches!(&outcomes[1], Outcome::Broken(why) if why == "panicked: boom"));
        let hung = watched(&case("hangs"), &run, Duration::from_millis(20));
        assert!(matches!(hung, Outcome::Broken(why) if why.starts_with("hung")));
    }
}
