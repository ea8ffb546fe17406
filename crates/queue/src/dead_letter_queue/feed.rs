//! From a dead letter queue into a pipeline: for the input `dead_letter_queue`, and for replays.

use super::entry::{DeadLetter, HISTORY_MAX, earlier_visits};
use super::reader::{Next, Position, Reader};
use super::records::Damage;
use ferrostash_event::{Event, Origin, Timestamp};
use ferrostash_plugin::{AckTracker, Counter, InputContext};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a queue in which there is nothing new is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What one chunk may weigh, in bytes.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// How long an event waits that was in a dead letter queue more than [`HISTORY_MAX`] times: the pipeline probably writes to
/// the queue that it reads, and would do nothing else.
const LOOP_PAUSE: Duration = Duration::from_secs(1);

/// Decides which entries are wanted.
pub type Wanted = Box<dyn FnMut(&DeadLetter) -> bool + Send>;

/// Reads a queue and pushes its events.
pub struct Feed {
    /// `None` only while a thread has it.
    reader: Option<Reader>,
    wanted: Option<Wanted>,
    tracker: AckTracker<Position>,
}

/// What came out of one look at the queue.
#[derive(Default)]
struct Found {
    events: Vec<Event>,
    damage: Vec<Damage>,
    passed_over: u64,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.damage.is_empty() && self.passed_over == 0
    }
}

/// What [`Feed::run`] tells.
pub trait Progress: Send {
    /// Everything before `position` is safe elsewhere.
    fn settled(&mut self, position: Position);

    /// There is nothing new.
    fn idle(&mut self) {}

    /// Something can't be read and was passed over.
    fn damaged(&mut self, damage: &Damage) {
        tracing::warn!(
            target: "logstash.deadletterqueue",
            limited = true,
            file = %damage.file.display(),
            offset = damage.offset,
            reason = damage.reason,
            "An entry of the dead letter queue can't be read and is passed over."
        );
    }
}

/// Entries from `since` on.
pub fn since(since: Timestamp) -> Wanted {
    let mut has_begun = false;
    Box::new(move |letter| {
        has_begun |= letter.entry_time >= since;
        has_begun
    })
}

impl Feed {
    /// Reads what `reader` gives; all of it, or what is wanted.
    pub fn new(reader: Reader, wanted: Option<Wanted>) -> Feed {
        Feed { reader: Some(reader), wanted, tracker: AckTracker::default() }
    }

    /// Behind what was read.
    pub fn position(&self) -> Option<Position> {
        self.reader.as_ref().map(Reader::position)
    }

    /// Whether everything that was read is safe elsewhere.
    pub fn is_settled(&self) -> bool {
        self.tracker.in_flight() == 0 && !self.tracker.is_abandoned()
    }

    /// Pushes events until the pipeline stops, or with `until_end` until there is none left and all are settled.
    ///
    /// # Errors
    /// The queue can't be read. What was read goes on being settled when this is called again.
    pub async fn run(
        &mut self,
        cx: &InputContext,
        until_end: bool,
        progress: &mut dyn Progress,
    ) -> io::Result<()> {
        let damaged = cx.metrics.counter(&["damaged_entries"]);
        let result = self.push_all(cx, until_end, progress, &damaged).await;
        let patience = if until_end && !cx.shutdown.is_stopping() { None } else { Some(cx.settle_time) };
        self.settle(cx, patience, progress).await;
        result
    }

    async fn push_all(
        &mut self,
        cx: &InputContext,
        until_end: bool,
        progress: &mut dyn Progress,
        damaged: &Arc<Counter>,
    ) -> io::Result<()> {
        while !cx.shutdown.is_stopping() {
            if let Some(position) = self.tracker.settled() {
                progress.settled(position);
            }
            let found = self.look(cx.batch_size).await?;
            damaged.add(found.damage.len() as u64);
            found.damage.iter().for_each(|damage| progress.damaged(damage));
            if found.events.is_empty() && found.passed_over == 0 && found.damage.is_empty() {
                if until_end {
                    break;
                }
                progress.idle();
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = cx.shutdown.stopping() => {}
                }
                continue;
            }
            let Some(position) = self.position() else { continue };
            if found.events.iter().any(|event| earlier_visits(event) > HISTORY_MAX) {
                tracing::warn!(
                    target: "logstash.deadletterqueue",
                    limited = true,
                    "An event comes from the dead letter queue again and again; does a pipeline read the queue that it writes?"
                );
                tokio::select! {
                    () = tokio::time::sleep(LOOP_PAUSE) => {}
                    () = cx.shutdown.stopping() => {}
                }
            }
            let ack = tokio::select! {
                ack = self.tracker.issue(position) => ack,
                () = cx.shutdown.abandoned() => break,
            };
            if cx.push(found.events, Some(ack)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Reads up to `events_max` entries, on a thread that may block.
    async fn look(&mut self, events_max: usize) -> io::Result<Found> {
        let lost = || io::Error::other("the reader is lost after a panic");
        let mut reader = self.reader.take().ok_or_else(lost)?;
        let mut wanted = self.wanted.take();
        let (reader, wanted, found) = tokio::task::spawn_blocking(move || {
            let found = read(&mut reader, &mut wanted, events_max);
            (reader, wanted, found)
        })
        .await
        .map_err(io::Error::other)?;
        (self.reader, self.wanted) = (Some(reader), wanted);
        found
    }

    /// Waits for what is under way; for ever, or so long.
    async fn settle(&mut self, cx: &InputContext, patience: Option<Duration>, progress: &mut dyn Progress) {
        let end = patience.map(|patience| Instant::now() + patience);
        loop {
            let next = self.tracker.next_settled();
            let too_late = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end.into()).await,
                    None => cx.shutdown.abandoned().await,
                }
            };
            tokio::select! {
                settled = next => match settled {
                    Some(position) => progress.settled(position),
                    None => return,
                },
                () = too_late => return,
            }
        }
    }
}

fn read(reader: &mut Reader, wanted: &mut Option<Wanted>, events_max: usize) -> io::Result<Found> {
    let mut found = Found::default();
    let mut bytes = 0;
    while found.events.len() < events_max.max(1)
        && bytes < CHUNK_BYTES_MAX
        && found.passed_over < PASSED_OVER_MAX
        && found.damage.len() < DAMAGE_MAX
    {
        let next = match reader.read() {
            Ok(next) => next,
            // What was found first; the error comes again.
            Err(_) if !found.is_empty() => break,
            Err(error) => return Err(error),
        };
        match next {
            Next::Entry { letter, at } => match wanted.as_mut().is_none_or(|wanted| wanted(&letter)) {
                true => {
                    let mut event = letter.into_event();
                    let place = u64::from(at.segment) << 32 | (at.offset & u64::from(u32::MAX));
                    event.set_origin(Some(Origin::new(reader.source(), place, event.raw_text())));
                    bytes += event.byte_size();
                    found.events.push(event);
                }
                false => found.passed_over += 1,
            },
            Next::Damaged(damage) => found.damage.push(damage),
            Next::Idle => break,
        }
    }
    Ok(found)
}

/// After so many entries that are not wanted, or so many places that can't be read, the rest waits for the next look.
const PASSED_OVER_MAX: u64 = 10_000;
const DAMAGE_MAX: usize = 100;
