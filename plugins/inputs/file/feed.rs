//! The way of a file's events into the queue: collected into chunks, each with an ack that carries a position.

use ferrostash_event::{Event, FieldRef, Origin, Timestamp};
use ferrostash_plugin::framing::{Delimiter, Frame};
use ferrostash_plugin::{
    Ack, AckTracker, Codec, CodecFactory, Ecs, InputContext, LINE_CHUNK_BYTES, LineBuffers, LineChunk,
    LineEventSink, LineMaker, Lines, QueueClosed, RawLines,
};
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A chunk holds this many batches of the pipeline.
const BATCHES_PER_CHUNK: usize = 8;
/// Bytes of lines in a chunk before it is pushed, however few the events are. Less than a whole buffer: what is read next
/// may be as much again.
const CHUNK_BYTES: usize = LINE_CHUNK_BYTES / 4 * 3;
/// Tag of an event whose line was longer than [`super::reader::LINE_BYTES_MAX`].
pub(super) const CUT_TAG: &str = "_line_too_long";

/// The input is to stop; what was on its way is abandoned, and read again by the next run.
#[derive(Debug)]
pub(super) struct Stopped;

/// The fields that tell where an event comes from.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    host: Arc<str>,
    host_field: FieldRef,
    path_field: FieldRef,
    metadata_host: FieldRef,
    metadata_path: FieldRef,
}

impl Fields {
    pub(super) fn new(ecs: Ecs, host: Arc<str>) -> Fields {
        let field = |text| FieldRef::parse(text).unwrap_or_else(|_| FieldRef::literal(text));
        Fields {
            host,
            host_field: field(ecs.pick("host", "[host][name]")),
            path_field: field(ecs.pick("path", "[log][file][path]")),
            metadata_host: field("[@metadata][host]"),
            metadata_path: field("[@metadata][path]"),
        }
    }

    /// What the event has already stays. Setting fails only where the codec put something else in the way.
    fn apply(&self, event: &mut Event, path: &str) {
        let _ = event.set_str(&self.metadata_path, path);
        let _ = event.set_str(&self.metadata_host, &self.host);
        for (field, from) in
            [(&self.host_field, &self.metadata_host), (&self.path_field, &self.metadata_path)]
        {
            if !event.contains(field)
                && let Some(text) = event.str_span(from)
            {
                let _ = event.set_slice(field, text);
            }
        }
    }
}

/// Where something stands: the number of the file and the position in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// `None` where a file read later could have the same one.
    pub(super) source: Option<u64>,
    pub(super) position: u64,
}

impl Place {
    /// Tells the events of one place apart.
    fn mark(self, event: &mut Event, number: u64) {
        let origin = self.source.map(|source| Origin::new(source, self.position, event.raw_text()));
        event.set_origin(origin.map(|origin| if number == 0 { origin } else { origin.derive(number) }));
    }
}

/// Makes events of a file's lines.
struct FileLines {
    codec: Arc<dyn CodecFactory>,
    fields: Arc<Fields>,
    path: Arc<str>,
}

impl LineMaker for FileLines {
    fn make(&self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
        self.codec.for_stream().decode_lines(lines, now, &mut |number, mut event| {
            self.fields.apply(&mut event, &self.path);
            if lines.are_cut {
                event.tag(CUT_TAG);
            }
            sink(number, event);
        });
    }
}

/// Collects events, or lines where the codec takes each by itself, and pushes them.
pub(super) struct Feed {
    cx: InputContext,
    handle: Handle,
    stop: CancellationToken,
    fields: Arc<Fields>,
    events: Vec<Event>,
    /// Bytes of lines of which the events were made.
    bytes: usize,
    lines: LineChunk,
    /// The file whose lines these are, and where they begin.
    lines_path: Arc<str>,
    lines_place: Place,
    /// The last of these lines is longer in the file, so that none may follow.
    is_cut: bool,
    events_max: usize,
    waiting: Option<Waiting>,
    /// Until when a push may hold up everything else.
    patience: Option<Instant>,
    /// After the stop, until when the last events may wait for a place in the queue.
    deadline: Option<Instant>,
}

/// A chunk that the queue has no room for yet.
struct Waiting {
    push: BoxFuture<'static, Result<(), QueueClosed>>,
    ack: Ack,
}

impl Feed {
    /// A feed for lines that end in `delimiter`.
    pub(super) fn new(
        cx: InputContext,
        handle: Handle,
        stop: CancellationToken,
        fields: Fields,
        delimiter: Delimiter,
    ) -> Feed {
        let events_max = cx.batch_size.max(1).saturating_mul(BATCHES_PER_CHUNK);
        Feed {
            cx,
            handle,
            stop,
            fields: Arc::new(fields),
            events: Vec::new(),
            bytes: 0,
            lines: LineChunk::new(delimiter, LineBuffers::default()),
            lines_path: Arc::default(),
            lines_place: Place { source: None, position: 0 },
            is_cut: false,
            events_max,
            waiting: None,
            patience: None,
            deadline: None,
        }
    }

    pub(super) fn codec(&self) -> Box<dyn Codec> {
        self.cx.codec_for_stream()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Until when a push may hold up everything else: files want to be looked at also while the queue is full.
    pub(super) fn be_patient_until(&mut self, until: std::time::Instant) {
        self.patience = Some(until.into());
    }

    /// From now on pushes wait for the queue until `deadline`, not until the stop.
    pub(super) fn finish_until(&mut self, deadline: Instant) {
        (self.patience, self.deadline) = (None, Some(deadline));
    }

    /// Waits, at most until the stop.
    pub(super) fn sleep(&self, time: std::time::Duration) {
        let _ = self.handle.block_on(async { tokio::time::timeout(time, self.stop.cancelled()).await });
    }

    /// Hands a line to its codec; whether events came of it. They began at `place`.
    pub(super) fn decode(
        &mut self,
        codec: &mut dyn Codec,
        line: &[u8],
        path: &Arc<str>,
        place: Place,
        is_cut: bool,
    ) -> bool {
        if codec.is_stateless() {
            self.begin_lines(path, place);
            self.is_cut |= is_cut;
            self.lines.push(Frame { bytes: line, truncated: is_cut });
            return true;
        }
        let before = self.events.len();
        let Feed { fields, events, .. } = self;
        codec.decode(line, &mut |mut event| {
            place.mark(&mut event, (events.len() - before) as u64);
            fields.apply(&mut event, path);
            if is_cut {
                event.tag(CUT_TAG);
            }
            events.push(event);
        });
        self.bytes += line.len();
        self.events.len() > before
    }

    /// Keeps the whole lines of `block` for the workers, as many as a chunk takes, where their codec takes each by itself;
    /// gives the number of bytes they are.
    pub(super) fn keep_lines(&mut self, block: &[u8], path: &Arc<str>, place: Place) -> usize {
        self.begin_lines(path, place);
        let room = self.events_max.saturating_sub(self.lines.len());
        let rest = self.lines.push_run(block, room, usize::MAX);
        block.len() - rest.len()
    }

    fn begin_lines(&mut self, path: &Arc<str>, place: Place) {
        if self.lines.is_empty() {
            self.lines_place = place;
            self.lines_path = Arc::clone(path);
        }
    }

    /// The lines that were kept, for the workers.
    fn take_lines(&mut self) -> RawLines {
        let maker = FileLines {
            codec: Arc::clone(&self.cx.codec),
            fields: Arc::clone(&self.fields),
            path: Arc::clone(&self.lines_path),
        };
        self.is_cut = false;
        let lines = self.lines.take(Arc::new(maker));
        match self.lines_place {
            Place { source: Some(source), position } => lines.read_at(source, position),
            Place { source: None, .. } => lines,
        }
    }

    /// Takes what a codec kept back.
    pub(super) fn flush(&mut self, codec: &mut dyn Codec, path: &str, place: Place) {
        let Feed { fields, events, .. } = self;
        let before = events.len();
        codec.flush(&mut |mut event| {
            place.mark(&mut event, (events.len() - before) as u64);
            fields.apply(&mut event, path);
            events.push(event);
        });
    }

    /// Gives up what was not pushed, and the chunk that waits: they are read again by the next run.
    pub(super) fn discard(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.ack.abandon();
        }
        self.events.clear();
        self.lines.clear();
        self.is_cut = false;
        self.bytes = 0;
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_cut
            || self.events.len() + self.lines.len() >= self.events_max
            || self.bytes + self.lines.byte_size() >= CHUNK_BYTES
    }

    /// Pushes what was collected; once it has settled, everything before `position` is done. A queue without room is
    /// waited for as long as patience lasts; then the chunk goes on waiting by itself, and the next push for it.
    pub(super) fn push(&mut self, acks: &mut AckTracker<u64>, position: u64) -> Result<(), Stopped> {
        self.wait(None)?;
        let room = Vec::with_capacity(if self.is_full() { self.events.len() } else { 0 });
        let events = std::mem::replace(&mut self.events, room);
        let lines = self.take_lines();
        self.bytes = 0;
        let ack = self.handle.block_on(async {
            tokio::select! {
                biased;
                ack = acks.issue(position) => Ok(ack),
                () = stopped(&self.stop, self.deadline) => Err(Stopped),
            }
        })?;
        if events.is_empty() && lines.is_empty() {
            return Ok(());
        }
        let (cx, ours) = (self.cx.clone(), ack.clone());
        // A file's codec either takes each line by itself or does not: there are lines or events, not both.
        let push = Box::pin(async move {
            match lines.is_empty() {
                true => cx.push(events, Some(ack)).await,
                false => cx.push_lines(lines, Some(ack)).await,
            }
        });
        self.waiting = Some(Waiting { push, ack: ours });
        self.wait(self.patience)
    }

    /// Whether a chunk waits for the queue: nothing should be read meanwhile.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Waits until the queue has taken the chunk that waits, or until then.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> Result<(), Stopped> {
        let Feed { handle, stop, deadline, waiting, .. } = self;
        let Some(Waiting { push, ack }) = waiting else { return Ok(()) };
        let patience = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let result = handle.block_on(async {
            tokio::select! {
                biased;
                pushed = push => pushed.map_err(|_| Stopped),
                () = stopped(stop, *deadline) => Err(Stopped),
                () = patience => return None,
            }
            .into()
        });
        let Some(result) = result else { return Ok(()) };
        if result.is_err() {
            ack.abandon();
        }
        *waiting = None;
        result
    }
}

/// Ends with the input's time: the stop, or the deadline that was set after it.
async fn stopped(stop: &CancellationToken, deadline: Option<Instant>) {
    match deadline {
        None => stop.cancelled().await,
        Some(deadline) => tokio::time::sleep_until(deadline).await,
    }
}
