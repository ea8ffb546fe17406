//! Indices that take no documents now: what is for them waits aside, while everything else goes on.
//!
//! A document that is refused because of its index (closed, blocked, forbidden, missing, without shards) opens a ward for that
//! index. New documents for it go there without being sent. One task per ward sends one document again, after waits that
//! double; once that one is taken, the others follow. A held document keeps a share of its batch, so that nothing in front
//! of it is acknowledged.
//!
//! There is a bound: a write that finds no room waits, and with it the output. Documents that Logstash drops (status 400
//! and 404, without a dead letter queue) are dropped here too, when there is no room or their index has not come back
//! in `retry_max_interval`.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrostash_event::Event;
use ferrostash_plugin::{Backoff, Counter, OutputBatch, OutputContext, OutputError, PluginMetrics, Share};
use memchr::{memchr, memmem};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::Instrument;

use super::Kit;
use super::bulk::{Item, Payload, action_line};
use super::delivery::{Delivery, Refusal, refuse};

/// What waits for indices, in bytes of requests; tests fill it up.
pub(super) const QUARANTINE_BYTES_MAX: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };
/// A document counts for at least this many bytes.
const UNIT: usize = 1024;
/// Indices that are looked after at a time; documents for others are repeated in the ordinary way.
const QUARANTINE_INDICES_MAX: usize = 1000;
/// For how long documents are dropped at once after those for their index were.
const GIVEN_UP_FOR: Duration = Duration::from_secs(600);
/// The types of errors that speak of an index and not of a document.
const ERRORS_OF_INDICES: [&str; 6] = [
    "cluster_block_exception",
    "index_closed_exception",
    "index_not_found_exception",
    "no_shard_available_action_exception",
    "security_exception",
    "unavailable_shards_exception",
];

/// Whether an error speaks of the index.
pub(super) fn is_of_index(error_type: &str) -> bool {
    ERRORS_OF_INDICES.contains(&error_type)
}

/// The documents of an output that wait for their indices.
#[derive(Debug)]
pub(super) struct Quarantine {
    wards: Mutex<HashMap<Index, Ward>>,
    /// Wards that are tended.
    tended: AtomicUsize,
    room: Arc<Semaphore>,
    emptied: Notify,
    indices: Arc<Counter>,
    documents: Arc<Counter>,
}

/// The name of an index as it stands in JSON.
type Index = Arc<[u8]>;

#[derive(Debug)]
enum Ward {
    Tended {
        since: Instant,
        held: VecDeque<Held>,
        /// Whether its documents are dropped in the end.
        is_for_good: bool,
    },
    /// The documents were dropped.
    GivenUp { until: Instant },
}

/// A document that waits.
struct Held {
    lines: Box<[u8]>,
    item: Item,
    event: Event,
    share: Share,
    _place: Place,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Held").field(&self.item).finish()
    }
}

/// The room that a document takes.
struct Place {
    documents: Arc<Counter>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.documents.subtract(1);
    }
}

impl Quarantine {
    pub(super) fn new(metrics: &PluginMetrics) -> Quarantine {
        Quarantine {
            wards: Mutex::default(),
            tended: AtomicUsize::new(0),
            room: Arc::new(Semaphore::new(QUARANTINE_BYTES_MAX / UNIT)),
            emptied: Notify::new(),
            indices: metrics.gauge(&["quarantine", "indices"]),
            documents: metrics.gauge(&["quarantine", "documents"]),
        }
    }

    /// Whether no index is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.tended.load(Ordering::Relaxed) == 0
    }

    /// Waits until no document does.
    pub(super) async fn emptied(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Whether documents for the index of this one wait.
    pub(super) fn holds(&self, lines: &[u8]) -> bool {
        index_of(lines).is_some_and(|index| matches!(self.wards().get(index), Some(Ward::Tended { .. })))
    }

    /// Whether a document that its index refuses may wait; `for_good` where it is dropped in the end.
    pub(super) fn takes(&self, lines: &[u8], for_good: bool) -> bool {
        let Some(index) = index_of(lines) else { return false };
        let mut wards = self.wards();
        if wards.len() >= QUARANTINE_INDICES_MAX {
            let now = Instant::now();
            wards.retain(|_, ward| !matches!(ward, Ward::GivenUp { until } if *until <= now));
        }
        match wards.get(index) {
            None => wards.len() < QUARANTINE_INDICES_MAX,
            Some(Ward::Tended { .. }) => true,
            Some(Ward::GivenUp { until }) => !for_good || *until <= Instant::now(),
        }
    }

    fn wards(&self) -> MutexGuard<'_, HashMap<Index, Ward>> {
        self.wards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a delivery has set aside. Waits for room, but for documents that need not be kept.
    ///
    /// # Errors
    /// The grace time is over.
    pub(super) async fn admit(
        self: &Arc<Self>,
        delivery: &mut Delivery<'_>,
        batches: &[OutputBatch],
        kit: &Kit,
    ) -> Result<(), OutputError> {
        let mut shares: Vec<Option<Share>> = batches.iter().map(|_| None).collect();
        for aside in std::mem::take(&mut delivery.aside) {
            let Some(payload) = delivery.payloads.get(aside.item.batch) else { continue };
            let lines = payload.lines_of(&aside.item);
            let Some(index) = index_of(lines) else { continue };
            let is_for_good = aside.refusal.as_ref().map_or_else(|| self.drops(index), Refusal::is_for_good);
            let events = delivery.events.get(aside.item.batch);
            let event = events.and_then(|events| events.get(aside.item.event)).filter(|_| !is_for_good);
            let event = event.map_or_else(|| payload.remains_of(aside.item.event), |event| (*event).clone());
            let bytes = lines.len() + event.byte_size();
            let Some(place) = self.place(bytes, is_for_good, delivery.cx).await? else {
                let refusal = aside.refusal.unwrap_or_else(no_room);
                delivery.refuse(&aside.item, &action_line(lines), refusal.status, &refusal.error).await;
                continue;
            };
            let Some((share, batch)) = shares.get_mut(aside.item.batch).zip(batches.get(aside.item.batch))
            else {
                continue;
            };
            let share = share.get_or_insert_with(|| batch.share()).another();
            let held = Held { lines: lines.into(), item: aside.item, event, share, _place: place };
            self.push(index, held, aside.refusal.as_ref(), (kit, delivery.cx));
        }
        // Each document has its own.
        shares.into_iter().flatten().for_each(Share::settle);
        Ok(())
    }

    /// Whether the documents of a ward are dropped in the end.
    fn drops(&self, index: &[u8]) -> bool {
        matches!(self.wards().get(index), Some(Ward::Tended { is_for_good: true, .. }))
    }

    async fn place(
        &self,
        bytes: usize,
        is_for_good: bool,
        cx: &OutputContext,
    ) -> Result<Option<Place>, OutputError> {
        let units = bytes.div_ceil(UNIT).clamp(1, QUARANTINE_BYTES_MAX / UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let permit = match Arc::clone(&self.room).try_acquire_many_owned(units) {
            Ok(permit) => permit,
            Err(_) if is_for_good => return Ok(None),
            Err(_) => {
                tracing::warn!(limited = true, "What waits for indices has no room; the output waits");
                let room = Arc::clone(&self.room).acquire_many_owned(units);
                tokio::select! {
                    permit = room => permit.map_err(|_| OutputError::Abandoned)?,
                    () = cx.shutdown.abandoned() => return Err(OutputError::Abandoned),
                }
            }
        };
        self.documents.add(1);
        Ok(Some(Place { documents: Arc::clone(&self.documents), _permit: permit }))
    }

    fn push(
        self: &Arc<Self>,
        index: &[u8],
        document: Held,
        refusal: Option<&Refusal>,
        (kit, cx): (&Kit, &OutputContext),
    ) {
        let mut wards = self.wards();
        if let Some(Ward::Tended { held, is_for_good, .. }) = wards.get_mut(index) {
            held.push_back(document);
            *is_for_good = refusal.map_or(*is_for_good, Refusal::is_for_good);
            return;
        }
        let now = Instant::now();
        wards.retain(|_, ward| !matches!(ward, Ward::GivenUp { until } if *until <= now));
        let name: Index = index.into();
        let is_for_good = refusal.is_some_and(Refusal::is_for_good);
        let ward = Ward::Tended { since: now, held: VecDeque::from([document]), is_for_good };
        wards.insert(Arc::clone(&name), ward);
        drop(wards);
        self.tended.fetch_add(1, Ordering::Relaxed);
        self.indices.add(1);
        if let Some(Refusal { status, error }) = refusal {
            let index = String::from_utf8_lossy(index);
            tracing::warn!(%index, status, error, "An index takes no documents; those for it wait aside");
        }
        tokio::spawn(Arc::clone(self).tend(name, kit.clone(), cx.clone()).in_current_span());
    }

    /// Looks after a ward until its documents are settled, dropped, or abandoned.
    async fn tend(self: Arc<Self>, index: Index, kit: Kit, cx: OutputContext) {
        let mut backoff = Backoff::new(kit.rules.retry_first, kit.rules.retry_max);
        // One document finds out whether the index is back.
        let mut bytes_max = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = cx.shutdown.abandoned() => return self.discharge(&index),
            }
            loop {
                let held = self.take(&index, bytes_max);
                if held.is_empty() {
                    let index = String::from_utf8_lossy(&index);
                    return tracing::info!(%index, "An index takes documents again");
                }
                let delivered = tokio::select! {
                    biased;
                    delivered = deliver(held, &kit, &cx) => delivered,
                    // A dead letter may wait for room for ever.
                    () = cx.shutdown.abandoned() => Err(OutputError::Abandoned),
                };
                let Ok((refused, refusal)) = delivered else { return self.discharge(&index) };
                let Some(refusal) = refusal else {
                    backoff.reset();
                    bytes_max = kit.shape.bytes_max;
                    continue;
                };
                bytes_max = 0;
                if let Some(dropped) = self.put_back(&index, refused, &refusal, kit.rules.retry_max) {
                    for held in dropped {
                        let action = action_line(&held.lines).into_owned();
                        refuse(&kit.counts, &cx, &held.event, &action, &refusal).await;
                        held.share.settle();
                    }
                    return;
                }
                break;
            }
        }
    }

    /// The next documents of a ward; none where it is empty, and then it is closed.
    fn take(&self, index: &[u8], bytes_max: usize) -> Vec<Held> {
        let mut wards = self.wards();
        let Some(Ward::Tended { held, .. }) = wards.get_mut(index) else { return Vec::new() };
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(next) = held.pop_front() {
            if bytes + next.lines.len() > bytes_max && !taken.is_empty() {
                held.push_front(next);
                break;
            }
            bytes += next.lines.len();
            taken.push(next);
        }
        if taken.is_empty() {
            wards.remove(index);
            drop(wards);
            self.closed();
        }
        taken
    }

    /// Puts documents back; where their index was given its time, they and the others of the ward are to be dropped.
    fn put_back(
        &self,
        index: &Index,
        refused: Vec<Held>,
        refusal: &Refusal,
        time: Duration,
    ) -> Option<Vec<Held>> {
        let mut wards = self.wards();
        let ward = wards.get_mut(index)?;
        let Ward::Tended { since, held, is_for_good } = ward else { return None };
        *is_for_good = refusal.is_for_good();
        refused.into_iter().rev().for_each(|document| held.push_front(document));
        if !*is_for_good || since.elapsed() < time {
            return None;
        }
        let dropped = std::mem::take(held).into();
        *ward = Ward::GivenUp { until: Instant::now() + GIVEN_UP_FOR };
        drop(wards);
        self.closed();
        Some(dropped)
    }

    /// Abandons what a ward holds.
    fn discharge(&self, index: &[u8]) {
        let ward = self.wards().remove(index);
        drop(ward);
        self.closed();
    }

    fn closed(&self) {
        self.indices.subtract(1);
        self.tended.fetch_sub(1, Ordering::Relaxed);
        self.emptied.notify_waiters();
    }
}

/// Sends documents of a ward. Gives those that their index still refuses, and what it says; the others are settled.
async fn deliver(
    held: Vec<Held>,
    kit: &Kit,
    cx: &OutputContext,
) -> Result<(Vec<Held>, Option<Refusal>), OutputError> {
    let documents = held.iter().map(|held| (&*held.lines, held.item.clone()));
    let payloads = [Arc::new(Payload::of_lines(documents))];
    let events = vec![held.iter().map(|held| &held.event).collect()];
    let mut delivery = kit.delivery(&payloads, events, cx);
    delivery.all(kit.shape, false).await?;
    let mut aside: HashMap<usize, (Item, Option<Refusal>)> =
        delivery.aside.into_iter().map(|aside| (aside.item.event, (aside.item, aside.refusal))).collect();
    let (mut refused, mut refusal) = (Vec::new(), None);
    for (number, held) in held.into_iter().enumerate() {
        match aside.remove(&number) {
            Some((_, said)) => {
                refusal = said.or(refusal);
                refused.push(held);
            }
            None => held.share.settle(),
        }
    }
    Ok((refused, refusal))
}

fn no_room() -> Refusal {
    Refusal { status: 404, error: "its index takes no documents, and no more can wait for it".into() }
}

/// The name of the index in an action line, as it stands there.
fn index_of(lines: &[u8]) -> Option<&[u8]> {
    const MEMBER: &[u8] = b"\"_index\":\"";
    let action = lines.get(..memchr(b'\n', lines)?)?;
    let name = action.get(memmem::find(action, MEMBER)? + MEMBER.len()..)?;
    name.get(..memchr(b'"', name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_stands_in_the_action_line() {
        let index =
            |lines: &str| index_of(lines.as_bytes()).map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(index("{\"index\":{\"_index\":\"web-1\"}}\n{}\n").as_deref(), Some("web-1"));
        let tricky = r#"{"index":{"_id":"\"_index\":\"x","_index":"web-1","routing":"r"}}"#;
        assert_eq!(index(&format!("{tricky}\n{{}}\n")).as_deref(), Some("web-1"));
        assert_eq!(index("{\"index\":{\"_index\":7}}\n{\"_index\":\"no\"}\n"), None);
    }
}
