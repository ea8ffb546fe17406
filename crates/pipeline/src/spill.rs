//! Events on disk for an output that is blocked, so that it holds up nobody else.
//!
//! A pipeline waits for a slow output; one that takes nothing at all for a while gets its events on disk, up to a limit, in
//! order, and reads them back when it is there again. What is safe on the disk counts as delivered for the inputs: it
//! survives the process, and the next one begins with it. A full spill makes the pipeline wait, as without one.

use crate::ledger::OutputCounts;
use crate::output_queue::{Item, OutputQueue};
use ferrostash_event::{Event, Selection};
use ferrostash_plugin::{FilteredBatch, OutputBatch, OutputContext};
use ferrostash_queue::pages;
use ferrostash_queue::{EventPages, Fed, Feed, PageOptions, PageStats, PagesClosed};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether an output has caught up, where nothing else gives an occasion.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The spill of one output.
pub struct Spill {
    dir: PathBuf,
    options: PageOptions,
    /// Opened when it is needed for the first time, or at the start where there is something in it.
    pages: OnceCell<Arc<EventPages>>,
    is_active: AtomicBool,
    /// Nothing is on the disk that the output does not have behind it.
    is_idle: AtomicBool,
    state: Mutex<State>,
    wake: Notify,
    idle: Notify,
    counts: Arc<OutputCounts>,
    cx: OutputContext,
    /// The id of the output, for the log.
    output: Arc<str>,
}

#[derive(Default)]
struct State {
    /// Batches on their way to the disk.
    appending: usize,
}

impl std::fmt::Debug for Spill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spill").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Spill {
    /// A spill in `dir`, of which nothing is touched yet.
    pub(crate) fn new(
        dir: PathBuf,
        options: PageOptions,
        counts: Arc<OutputCounts>,
        cx: OutputContext,
        output: Arc<str>,
    ) -> Arc<Spill> {
        Arc::new(Spill {
            dir,
            options,
            pages: OnceCell::new(),
            is_active: AtomicBool::new(false),
            is_idle: AtomicBool::new(true),
            state: Mutex::default(),
            wake: Notify::new(),
            idle: Notify::new(),
            counts,
            cx,
            output,
        })
    }

    /// Whether events go to disk now.
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What may be on the disk, in bytes.
    pub fn bytes_max(&self) -> u64 {
        self.options.bytes_max
    }

    /// What is counted of the disk, once it was needed.
    pub fn stats(&self) -> Option<PageStats> {
        self.pages.get().map(|pages| pages.stats())
    }

    /// Opens what an earlier run left behind; its events come first.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    pub(crate) async fn recover(&self) -> Result<(), String> {
        if !self.dir.exists() {
            return Ok(());
        }
        let pages = self.pages().await?;
        let events = pages.stats().events;
        if events > 0 {
            self.counts.recovered.add(events);
            self.set_active();
            tracing::info!(
                plugin.id = &*self.output,
                events,
                "events that were kept for an output are delivered first"
            );
        }
        self.wake.notify_one();
        Ok(())
    }

    /// From now on events go to disk, unless it cannot be used.
    pub(crate) async fn activate(&self) {
        match self.pages().await {
            Ok(_) => {
                if !self.set_active() {
                    tracing::warn!(plugin.id = &*self.output, dir = %self.dir.display(),
                        "an output takes nothing; its events are kept on disk until it does");
                }
                self.wake.notify_one();
            }
            Err(reason) => tracing::warn!(
                plugin.id = &*self.output,
                reason,
                limited = true,
                "an output takes nothing, and its events cannot be kept on disk"
            ),
        }
    }

    /// Whether it was active before.
    fn set_active(&self) -> bool {
        self.is_idle.store(false, Ordering::Release);
        self.is_active.swap(true, Ordering::AcqRel)
    }

    async fn pages(&self) -> Result<&Arc<EventPages>, String> {
        let open = || async {
            let (dir, options) = (self.dir.clone(), self.options);
            let opening = tokio::task::spawn_blocking(move || EventPages::open(&dir, options));
            let opened = opening.await.map_err(|error| error.to_string())?;
            opened.map(|(pages, _)| pages).map_err(|error| error.to_string())
        };
        self.pages.get_or_try_init(open).await
    }

    /// Writes a batch, waiting for room; gives it back where the disk is not used any more.
    pub(crate) async fn put(&self, item: Item) -> Option<Item> {
        let appending = {
            // Under the lock of the one who ends it.
            let mut state = self.state();
            let Some(pages) = self.pages.get().filter(|_| self.is_active()) else { return Some(item) };
            state.appending += 1;
            Appending { spill: self, pages: Arc::clone(pages) }
        };
        let Item { batch, ticket } = item;
        let share = ticket.move_to_disk();
        let appended = appending.pages.append(batch.events(), &share, &mut |_| ()).await;
        drop(batch);
        match appended {
            Ok(refused) => {
                self.refuse(refused).await;
                share.settle();
            }
            // A share that is dropped is abandoned.
            Err(PagesClosed) => drop(share),
        }
        None
    }

    /// Events that cannot be written to disk can't be kept for the output either.
    async fn refuse(&self, refused: Vec<(Event, String)>) {
        for (event, reason) in refused {
            self.cx.bury(&event, &reason).await;
            self.counts.settled.add(1);
        }
    }

    /// Brings events back while the output takes them; ends with `end`, or never.
    pub(crate) async fn feed(
        self: Arc<Self>,
        queue: Arc<OutputQueue>,
        end: CancellationToken,
    ) -> Option<Feed> {
        let mut feed: Option<Feed> = None;
        loop {
            if feed.as_ref().is_some_and(Feed::is_abandoned) {
                // It is on the disk still, and comes first.
                self.set_active();
                tokio::select! {
                    biased;
                    () = end.cancelled() => return feed,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                if let Some(feed) = feed.take() {
                    tokio::select! {
                        biased;
                        () = end.cancelled() => return None,
                        () = feed.give_back() => {}
                    }
                }
            }
            if !self.is_active() || self.pages.get().is_none() {
                let under_way = feed.as_ref().map_or(0, Feed::in_flight);
                if under_way == 0 {
                    self.is_idle.store(true, Ordering::Release);
                    self.idle.notify_waiters();
                }
                tokio::select! {
                    biased;
                    () = end.cancelled() => return feed,
                    () = self.wake.notified() => {}
                    () = settle_next(&mut feed), if under_way > 0 => {}
                }
                continue;
            }
            let Some(pages) = self.pages.get() else { continue };
            let current = feed.get_or_insert_with(|| Feed::new(pages));
            if self.deactivate(current) {
                continue;
            }
            let fed = tokio::select! {
                biased;
                () = end.cancelled() => return feed,
                fed = current.next() => fed,
                () = tokio::time::sleep(LOOK_EVERY) => continue,
            };
            match fed {
                Fed::Events { record, ack, .. } => {
                    let events = record.into_events();
                    let selection = Selection::all(events.len());
                    let batch = Arc::new(FilteredBatch::new(events, vec![ack.clone()]));
                    let item =
                        Item::new(OutputBatch::new(batch, selection), vec![ack].into(), None, &self.counts);
                    tokio::select! {
                        biased;
                        () = queue.send_into_memory(item) => {}
                        () = end.cancelled() => return feed,
                    }
                    current.settle();
                }
                Fed::GivenUp => {}
                Fed::End => return feed,
            }
        }
    }

    /// Waits until nothing is left on disk.
    pub(crate) async fn all_given(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.is_idle.load(Ordering::Acquire) {
                return;
            }
            idle.await;
        }
    }

    /// Everything that came back is settled or given up: the rest stays on the disk.
    pub(crate) async fn end(&self, feed: Option<Feed>, too_late: impl Future<Output = ()>) {
        if let Some(feed) = feed {
            tokio::select! {
                () = feed.give_back() => {}
                () = too_late => {}
            }
        }
        if let Some(pages) = self.pages.get() {
            pages.close();
            pages.end().await;
        }
    }

    /// Events go through memory again, unless some are on their way to the disk.
    fn deactivate(&self, feed: &Feed) -> bool {
        let state = self.state();
        // Nothing is appended without the lock, or being counted under it.
        if state.appending > 0 || !feed.has_given_all() {
            return false;
        }
        self.is_active.store(false, Ordering::Release);
        drop(state);
        tracing::info!(
            plugin.id = &*self.output,
            "an output has taken everything that was kept on disk for it"
        );
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch on its way to the disk.
struct Appending<'s> {
    spill: &'s Spill,
    pages: Arc<EventPages>,
}

impl Drop for Appending<'_> {
    fn drop(&mut self) {
        self.spill.state().appending -= 1;
    }
}

async fn settle_next(feed: &mut Option<Feed>) {
    match feed {
        Some(feed) => feed.settle_next().await,
        None => std::future::pending().await,
    }
}

/// Says which folders in `dir` hold events and belong to none of these outputs: ids change with the place of an output in the
/// configuration, unless they are given.
pub(crate) fn warn_of_orphans(dir: &Path, outputs: &HashSet<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_known = path.file_name().is_some_and(|name| outputs.contains(&*name.to_string_lossy()));
        let events = if is_known { 0 } else { pages::check(&path).map_or(0, |report| report.events) };
        if events > 0 {
            tracing::warn!(
                dir = %path.display(), events,
                "events are kept on disk for an output that is not configured: give the output that is to have them the \
                 option `id`, and the folder its name"
            );
        }
    }
}
