//! What becomes of the bytes of a stream: lines for the workers where the codec takes each by itself, otherwise events.

use ferrostash_event::{Event, Origin, Timestamp, source_number};
use ferrostash_plugin::framing::LineFramer;
use ferrostash_plugin::{
    Codec, CodecFactory, Counter, InputContext, LINE_CHUNK_BYTES, LineBuffers, LineChunk, LineEventSink,
    LineMaker, Lines, QueueClosed, RawLines,
};
use std::sync::Arc;
use std::time::Duration;

/// A chunk holds this many batches of the pipeline.
const BATCHES_PER_CHUNK: usize = 8;
/// Bytes of lines in a chunk before it is pushed; what is read last may go beyond it.
const CHUNK_BYTES: usize = LINE_CHUNK_BYTES / 4 * 3;

/// What an input knows of a stream and tells each event of it.
pub(crate) trait StreamFields: Send + Sync + 'static {
    /// Sets its fields.
    fn apply(&self, event: &mut Event);
}

/// The bytes of one stream on their way into the queue.
pub(crate) struct Stream<F> {
    fields: Arc<F>,
    way: Way,
    /// Lines or events for a chunk.
    chunk_max: usize,
    /// No other stream of any process has it: what is read here is never read again.
    number: u64,
    /// Bytes of lines, or events, that were taken before those that are kept.
    position: u64,
}

enum Way {
    Lines { framer: LineFramer, lines: LineChunk, codec: Arc<dyn CodecFactory> },
    Events { codec: Box<dyn Codec>, events: Vec<Event> },
}

/// Makes events of a stream's lines.
struct StreamLines<F> {
    codec: Arc<dyn CodecFactory>,
    fields: Arc<F>,
}

impl<F: StreamFields> LineMaker for StreamLines<F> {
    fn make(&self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
        self.codec.for_stream().decode_lines(lines, now, &mut |number, mut event| {
            self.fields.apply(&mut event);
            sink(number, event);
        });
    }
}

impl<F: StreamFields> Stream<F> {
    /// A stream with nothing read yet.
    pub(crate) fn new(cx: &InputContext, fields: F, buffers: &LineBuffers) -> Stream<F> {
        let (codec, batch_size) = (cx.codec_for_stream(), cx.batch_size.max(1));
        let (way, chunk_max) = match codec.lines() {
            Some(framer) => {
                let lines = LineChunk::new(framer.delimiter().clone(), buffers.clone());
                let codec = Arc::clone(&cx.codec);
                (Way::Lines { framer, lines, codec }, batch_size.saturating_mul(BATCHES_PER_CHUNK))
            }
            None => (Way::Events { codec, events: Vec::new() }, batch_size),
        };
        Stream { fields: Arc::new(fields), way, chunk_max, number: fresh_number(), position: 0 }
    }

    /// Takes what was read.
    pub(crate) fn read(&mut self, data: &[u8]) {
        match &mut self.way {
            Way::Lines { framer, lines, .. } => framer.push_into(data, lines),
            Way::Events { codec, events } => codec.decode(data, &mut |mut event| {
                self.fields.apply(&mut event);
                event.set_origin(Some(Origin::new(self.number, self.position, event.raw_text())));
                self.position += 1;
                events.push(event);
            }),
        }
    }

    /// Takes what was kept back: the stream has ended, or [`Stream::idle_flush`] has passed.
    pub(crate) fn flush(&mut self) {
        match &mut self.way {
            Way::Lines { framer, lines, .. } => framer.finish_into(lines),
            Way::Events { codec, events } => codec.flush(&mut |mut event| {
                self.fields.apply(&mut event);
                event.set_origin(Some(Origin::new(self.number, self.position, event.raw_text())));
                self.position += 1;
                events.push(event);
            }),
        }
    }

    /// After how much silence [`Stream::flush`] wants to be called.
    pub(crate) fn idle_flush(&self) -> Option<Duration> {
        match &self.way {
            Way::Lines { .. } => None,
            Way::Events { codec, .. } => codec.idle_flush(),
        }
    }

    /// Whether what was taken should be pushed before more is read.
    pub(crate) fn is_full(&self) -> bool {
        match &self.way {
            Way::Lines { lines, .. } => lines.len() >= self.chunk_max || lines.byte_size() >= CHUNK_BYTES,
            Way::Events { events, .. } => events.len() >= self.chunk_max,
        }
    }

    /// Pushes what was taken; `waiting` says how many lines or events the queue has no room for yet.
    pub(crate) async fn push(&mut self, cx: &InputContext, waiting: &Counter) -> Result<(), QueueClosed> {
        match &mut self.way {
            Way::Lines { lines, .. } if lines.is_empty() => Ok(()),
            Way::Lines { lines, codec, .. } => {
                let maker = StreamLines { codec: Arc::clone(codec), fields: Arc::clone(&self.fields) };
                let lines = lines.take(Arc::new(maker)).read_at(self.number, self.position);
                self.position += lines.byte_size() as u64;
                push_lines(lines, self.chunk_max, cx, waiting).await
            }
            Way::Events { events, .. } => {
                push_events(std::mem::take(events), self.chunk_max, cx, waiting).await
            }
        }
    }
}

/// A number that nothing else has.
fn fresh_number() -> u64 {
    source_number(&[uuid::Uuid::new_v4().as_bytes()])
}

async fn push_lines(
    mut lines: RawLines,
    chunk_max: usize,
    cx: &InputContext,
    waiting: &Counter,
) -> Result<(), QueueClosed> {
    waiting.add(lines.len() as u64);
    while !lines.is_empty() {
        let chunk = lines.take_front(chunk_max);
        let length = chunk.len() as u64;
        cx.push_lines(chunk, None).await?;
        waiting.subtract(length);
    }
    Ok(())
}

async fn push_events(
    mut events: Vec<Event>,
    chunk_max: usize,
    cx: &InputContext,
    waiting: &Counter,
) -> Result<(), QueueClosed> {
    waiting.add(events.len() as u64);
    while !events.is_empty() {
        let rest = events.split_off(chunk_max.min(events.len()));
        let chunk = std::mem::replace(&mut events, rest);
        let length = chunk.len() as u64;
        cx.push(chunk, None).await?;
        waiting.subtract(length);
    }
    Ok(())
}
