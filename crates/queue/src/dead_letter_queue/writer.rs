//! The writing end of a dead letter queue, for any number of tasks.

use super::entry::encode;
use super::lock::LockError;
use super::store::{StoragePolicy, Store, StoreSettings};
use ferrostash_event::Event;
use ferrostash_plugin::{Buried, Counter};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Entries that wait to be written.
const WAITING_MAX: usize = 64;
/// Entries that are made durable together.
const BATCH_MAX: usize = 256;
/// The first and the longest wait before a failed write is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long a queue that is being closed goes on trying to write.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// How a queue is written, and how often it is looked after.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// How the files are written.
    pub store: StoreSettings,
    /// How often it is seen whether a segment is to be sealed or deleted.
    pub check_interval: Duration,
}

/// What is counted for a queue.
#[derive(Debug, Default)]
pub struct QueueStats {
    /// The bytes of all segments.
    pub queue_size_bytes: Counter,
    /// Entries that were written.
    pub written_events: Counter,
    /// Entries that were dropped because the queue was full.
    pub dropped_events: Counter,
    /// Entries that were deleted because they were too old.
    pub expired_events: Counter,
    last_error: Mutex<Option<String>>,
}

impl QueueStats {
    /// The last error, in Logstash's words; `no errors` where there was none.
    pub fn last_error(&self) -> String {
        let error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        error.unwrap_or_else(|| "no errors".to_owned())
    }

    pub(super) fn set_last_error(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// An entry on its way, and who waits for it.
struct Request {
    record: Vec<u8>,
    done: oneshot::Sender<Buried>,
}

/// A dead letter queue that is open for writing.
pub struct DeadLetterQueue {
    dir: PathBuf,
    max_bytes: u64,
    storage_policy: StoragePolicy,
    stats: Arc<QueueStats>,
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    is_closing: Arc<AtomicBool>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for DeadLetterQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "dead letter queue {}", self.dir.display())
    }
}

impl DeadLetterQueue {
    /// Opens the queue, sealing what a crash left open. Within a runtime, on which it then lives.
    ///
    /// # Errors
    /// [`LockError`] when somebody else writes it or the folder can't be used.
    pub async fn open(settings: QueueSettings) -> Result<DeadLetterQueue, LockError> {
        let stats = Arc::<QueueStats>::default();
        let StoreSettings { dir, max_bytes, storage_policy, .. } = settings.store.clone();
        let opening = {
            let stats = Arc::clone(&stats);
            tokio::task::spawn_blocking(move || Store::open(settings.store, stats))
        };
        let failed = |error| LockError::Io { path: dir.clone(), error };
        let store = opening.await.map_err(|error| failed(io::Error::other(error)))??;
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let is_closing = Arc::<AtomicBool>::default();
        let keeper =
            Keeper { store: Some(store), stats: Arc::clone(&stats), is_closing: Arc::clone(&is_closing) };
        let task = tokio::spawn(keeper.run(receiver, settings.check_interval));
        Ok(DeadLetterQueue {
            dir,
            max_bytes,
            storage_policy,
            stats,
            requests: Mutex::new(Some(sender)),
            is_closing,
            task: tokio::sync::Mutex::new(Some(task)),
        })
    }

    /// Keeps an event; returns once that is durable, or says that the queue was full.
    ///
    /// While the disk takes nothing this waits. Once the queue is closed it never returns: whoever waits gives up by itself.
    pub async fn write(&self, event: &Event, plugin_type: &str, plugin_id: &str, reason: &str) -> Buried {
        let record = encode(event, plugin_type, plugin_id, reason);
        let sender = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (done, answer) = oneshot::channel();
        if let Some(sender) = sender
            && sender.send(Request { record, done }).await.is_ok()
            && let Ok(buried) = answer.await
        {
            return buried;
        }
        std::future::pending().await
    }

    /// Writes what waits, seals the segment and lets go of the folder. May be called any number of times.
    pub async fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = self.task.lock().await.take() {
            // Its panic was reported, and the folder is free all the same.
            let _ = task.await;
        }
    }

    /// What is counted.
    pub fn stats(&self) -> &QueueStats {
        &self.stats
    }

    /// The folder of the queue.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Most bytes of all segments.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// What goes when the queue is full.
    pub fn storage_policy(&self) -> StoragePolicy {
        self.storage_policy
    }
}

/// The task that has the files.
struct Keeper {
    /// Away only while a thread works with it.
    store: Option<Store>,
    stats: Arc<QueueStats>,
    is_closing: Arc<AtomicBool>,
}

impl Keeper {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>, check_interval: Duration) {
        let mut check = tokio::time::interval(check_interval);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                taken = requests.recv_many(&mut batch, BATCH_MAX) => match taken {
                    0 => break,
                    _ => self.bury(std::mem::take(&mut batch)).await,
                },
                _ = check.tick() => if let Err(error) = self.with_store(Store::look_after).await {
                    self.complain(&error);
                },
            }
        }
        if let Err(error) = self.with_store(Store::seal).await {
            self.complain(&error);
        }
    }

    /// Makes the entries of a batch durable with one write, and says so to all who wait.
    async fn bury(&mut self, batch: Vec<Request>) {
        let (records, waiting): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|request| (request.record, request.done)).unzip();
        let (records, mut fates) = (Arc::new(records), Vec::with_capacity(waiting.len()));
        let mut wait = RETRY_FIRST;
        let mut closing_since = None;
        loop {
            let (all, known) = (Arc::clone(&records), std::mem::take(&mut fates));
            let (result, known) = self
                .with_store(move |store| {
                    let mut fates: Vec<bool> = known;
                    let result = all
                        .iter()
                        .skip(fates.len())
                        .try_for_each(|record| {
                            fates.push(store.put(record)?);
                            Ok(())
                        })
                        .and_then(|()| store.commit());
                    Ok((result, fates))
                })
                .await
                .unwrap_or_else(|error| (Err(error), Vec::new()));
            fates = known;
            let Err(error) = result else { break };
            self.complain(&error);
            if self.is_closing.load(Ordering::Relaxed) {
                let since = *closing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= CLOSE_PATIENCE {
                    tracing::error!(target: "logstash.deadletterqueue", events = waiting.len(), "The dead letter queue was closed before these events could be written.");
                    return;
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
        for (done, is_kept) in waiting.into_iter().zip(fates) {
            self.stats.written_events.add(u64::from(is_kept));
            // Whoever gave up waiting has said so to the input.
            let _ = done.send(if is_kept { Buried::Kept } else { Buried::Dropped });
        }
    }

    /// Works with the files on a thread that may block.
    async fn with_store<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Store) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let Some(mut store) = self.store.take() else {
            return Err(io::Error::other("the queue's files are lost after a panic"));
        };
        let (store, result) = tokio::task::spawn_blocking(move || {
            let result = work(&mut store);
            (store, result)
        })
        .await
        .map_err(io::Error::other)?;
        self.store = Some(store);
        result
    }

    fn complain(&self, error: &io::Error) {
        let text = format!("Cannot write event to DLQ: {error}");
        tracing::warn!(target: "logstash.deadletterqueue", limited = true, %error, "The dead letter queue can't be written; it is tried again.");
        self.stats.set_last_error(text);
    }
}

#[cfg(test)]
mod tests;
