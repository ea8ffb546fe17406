//! Named places where a test can make the process die as if it were killed.
//!
//! `FERROSTASH_CRASH_AT=page.create.before` dies the first time this point is reached, `…:3` the third time. In builds
//! without debug assertions nothing is looked up and nothing dies.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that arms one point: its name, and after a colon which time it is reached (1 when absent).
pub const CRASH_VARIABLE: &str = "FERROSTASH_CRASH_AT";

/// The point that is armed, and how many times it is still passed.
static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

/// A place where a test may end the process at once: no destructor runs, nothing is flushed.
pub fn crash_point(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let Some((armed, left)) = ARMED.get_or_init(armed) else { return };
    if armed == name && left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

fn armed() -> Option<(String, AtomicU64)> {
    let value = std::env::var(CRASH_VARIABLE).ok()?;
    let (name, time) = value.split_once(':').unwrap_or((&value, "1"));
    Some((name.to_owned(), AtomicU64::new(time.parse().unwrap_or(1))))
}
