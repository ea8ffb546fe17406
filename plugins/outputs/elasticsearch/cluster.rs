//! The cluster behind the nodes, for all instances of an output: found once, set up once, looked after by one task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrostash_plugin::{Backoff, OutputContext, OutputError, StartError};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::action::Facts;
use super::nodes::Nodes;
use super::product::Flavour;
use super::setup::{Setup, SetupError};
use super::sniffing::sniff;

/// The shortest time between two probes of dead nodes.
const RESURRECT_DELAY_MIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) nodes: Arc<Nodes>,
    setup: Setup,
    resurrect_delay: Duration,
    /// How often to ask for nodes, where that is wanted.
    sniffing: Option<Duration>,
    /// Set once a first look was taken at all nodes.
    discovered: OnceCell<()>,
    /// Set once everything is in place for events.
    facts: OnceCell<Facts>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Whether dead letters are kept.
    keeps_letters: AtomicBool,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(|task| task.abort());
    }
}

impl Cluster {
    pub(super) fn new(
        nodes: Nodes,
        setup: Setup,
        resurrect_delay: Duration,
        sniffing: Option<Duration>,
    ) -> Cluster {
        Cluster {
            nodes: Arc::new(nodes),
            setup,
            resurrect_delay: resurrect_delay.max(RESURRECT_DELAY_MIN),
            sniffing,
            discovered: OnceCell::new(),
            facts: OnceCell::new(),
            tasks: Mutex::default(),
            keeps_letters: AtomicBool::new(true),
        }
    }

    /// Takes a first look at the nodes. That none answers is no reason not to start.
    ///
    /// # Errors
    /// A node says that we shall not write to it.
    pub(super) async fn discover(&self, cx: &OutputContext) -> Result<(), StartError> {
        self.keeps_letters.store(cx.dead_letters.keeps_events(), Ordering::Relaxed);
        self.discovered.get_or_try_init(|| self.nodes.discover()).await.map_err(StartError)?;
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.is_empty() {
            let resurrect = Arc::clone(&self.nodes).resurrect(self.resurrect_delay);
            tasks.push(tokio::spawn(resurrect.in_current_span()));
            let sniffing = self.sniffing.map(|delay| sniff(Arc::clone(&self.nodes), delay));
            tasks.extend(sniffing.map(|sniffing| tokio::spawn(sniffing.in_current_span())));
        }
        Ok(())
    }

    /// What was found out once the cluster was there; it never changes then.
    pub(super) fn facts(&self) -> Option<Facts> {
        self.facts.get().copied()
    }

    /// Whether an event is of use once its lines are written: as a dead letter.
    pub(super) fn keeps_letters(&self) -> bool {
        self.keeps_letters.load(Ordering::Relaxed)
    }

    /// Waits until the cluster is there and set up; the first instance that comes does the work.
    ///
    /// # Errors
    /// The grace time is over, or the cluster refuses what has to be made.
    pub(super) async fn ready(&self, backoff: Backoff, cx: &OutputContext) -> Result<Facts, OutputError> {
        tokio::select! {
            biased;
            facts = self.facts.get_or_try_init(|| self.set_up(backoff)) => facts.copied(),
            () = cx.shutdown.abandoned() => Err(OutputError::Abandoned),
        }
    }

    async fn set_up(&self, mut backoff: Backoff) -> Result<Facts, OutputError> {
        loop {
            self.nodes.some_alive().await;
            // A node that is alive has said what it is.
            let Some(product) = self.nodes.product() else { continue };
            match self.setup.run(&self.nodes, &product).await {
                Ok(ilm) => {
                    let types = product.flavour == Flavour::Elasticsearch && product.major() == 7;
                    return Ok(Facts { ilm, types });
                }
                Err(SetupError::Never(reason)) => return Err(OutputError::Fatal(reason)),
                Err(SetupError::Later(reason)) => {
                    tracing::error!(
                        limited = true,
                        reason,
                        "Elasticsearch setup did not complete, trying again"
                    );
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }
}
