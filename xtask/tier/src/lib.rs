//! A load-balanced tier on one machine: a real Kafka, processes of ferrostash in one consumer group, a producer of numbered
//! events, and an account of what arrived. The tests with Kafka, `cargo xtask tier` and `cargo xtask soak` are made of it.

mod arrivals;
mod group;
mod http;
mod kafka;
mod member;
mod producer;
mod service;
mod soak;

pub use arrivals::{Account, Arrivals};
pub use group::{COMMIT_INTERVAL, Group, Setup, Sharing};
pub use kafka::{Kafka, Lag};
pub use member::{Member, Plan};
pub use producer::{Pace, Produced, Producer};
pub use service::{Elasticsearch, Service};
pub use soak::{Fault, Round};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The top folder of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// How often [`wait`] looks.
const WAIT_STEP: Duration = Duration::from_millis(50);

/// Asks until there is an answer.
///
/// # Errors
/// `ask` fails, or has no answer within `limit`; `what` says what was waited for.
pub fn wait<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() >= limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        std::thread::sleep(WAIT_STEP);
    }
}
