//! Bulk requests: events in their wire form, cut to size, and accounted for one by one.
//!
//! An event is written once, on the worker that filtered it, into the text of its batch. A request is a choice of items of
//! some batches, so that sending batches together, repeating some items, or half of them, copies nothing. Only compressing
//! takes place on a thread of its own.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ferrostash_event::{Event, FieldRef, TIMESTAMP, Timestamp};
use ferrostash_plugin::{BatchEncoder, Buffer, Buffers, Encoded, OutputBatch};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::task::{JoinError, spawn_blocking};

use super::action::{Action, Facts, Mapper, Unmappable};
use super::cluster::Cluster;
use super::repetition::Repetition;

/// The shape of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// A request is no larger than this, in bytes before compression, unless one document is.
    pub(super) bytes_max: usize,
    /// gzip's level, 0 for none.
    pub(super) level: u32,
}

/// One document of a request.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The batch among those that are delivered together.
    pub(super) batch: usize,
    /// Which of the batch's events it is.
    pub(super) event: usize,
    pub(super) action: Action,
    /// Its id says where the event was read.
    pub(super) has_derived_id: bool,
    /// Its lines in the batch's text.
    lines: Range<usize>,
    /// A request with it had no answer: the document may be there already.
    pub(super) is_doubtful: bool,
}

impl Item {
    /// The item once it was answered for: no request with it is in doubt.
    pub(super) fn answered(self) -> Item {
        Item { is_doubtful: false, ..self }
    }
}

/// A batch in its wire form.
#[derive(Debug, Default)]
pub(super) struct Payload {
    text: Bytes,
    items: Vec<Item>,
    /// Events that can't be sent, with the reason.
    pub(super) unmappable: Vec<(usize, Unmappable)>,
    /// The time of each event.
    times: Vec<Option<Timestamp>>,
}

impl Payload {
    /// What is left of an event where no dead letters are kept.
    pub(super) fn remains_of(&self, event: usize) -> Event {
        if let Some(time) = self.times.get(event).copied().flatten() {
            return Event::at(time);
        }
        let mut remains = Event::new();
        remains.remove(&FieldRef::literal(TIMESTAMP));
        remains
    }

    /// The lines of a document.
    pub(super) fn lines_of(&self, item: &Item) -> &[u8] {
        self.text.get(item.lines.clone()).unwrap_or_default()
    }

    /// Documents that are there in their wire form already.
    pub(super) fn of_lines<'l>(documents: impl Iterator<Item = (&'l [u8], Item)>) -> Payload {
        let mut text = Vec::new();
        let item = |(number, (lines, item)): (usize, (&[u8], Item))| {
            let start = text.len();
            text.extend_from_slice(lines);
            Item { batch: 0, event: number, lines: start..text.len(), ..item }
        };
        let items = documents.enumerate().map(item).collect();
        Payload { text: text.into(), items, ..Payload::default() }
    }

    /// What became of a batch on the worker; where the facts were not known then, it is done now.
    pub(super) async fn of(
        batch: &OutputBatch,
        facts: Facts,
        writer: impl FnOnce() -> Writer,
    ) -> Result<Arc<Payload>, JoinError> {
        if let Some(payload) = batch.payload() {
            return Ok(payload);
        }
        let (mut writer, batch, span) = (writer(), batch.clone(), tracing::Span::current());
        spawn_blocking(move || {
            span.in_scope(|| {
                batch.events().for_each(|event| writer.write(event, facts));
                Arc::new(writer.finish())
            })
        })
        .await
    }
}

/// Writes the events of a batch, one by one.
pub(super) struct Writer {
    mapper: Arc<Mapper>,
    repetition: Repetition,
    buffers: Buffers,
    text: Buffer,
    items: Vec<Item>,
    unmappable: Vec<(usize, Unmappable)>,
    times: Vec<Option<Timestamp>>,
}

/// A buffer that is shared while requests are made of it.
struct Text(Buffer);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Writer {
    pub(super) fn new(mapper: Arc<Mapper>, buffers: Buffers) -> Writer {
        let text = buffers.take();
        let repetition = Repetition::default();
        let (items, unmappable, times) = (Vec::new(), Vec::new(), Vec::new());
        Writer { mapper, repetition, buffers, text, items, unmappable, times }
    }

    fn write(&mut self, event: &Event, facts: Facts) {
        let Writer { mapper, repetition, text, items, unmappable, times, .. } = self;
        let (number, start) = (times.len(), text.len());
        times.push(event.timestamp());
        match mapper.write(event, facts, repetition, text) {
            Ok((action, has_derived_id)) => {
                let lines = start..text.len();
                items.push(Item {
                    batch: 0,
                    event: number,
                    action,
                    has_derived_id,
                    lines,
                    is_doubtful: false,
                });
            }
            Err(reason) => {
                text.truncate(start);
                unmappable.push((number, reason));
            }
        }
    }

    fn finish(&mut self) -> Payload {
        let text = std::mem::replace(&mut self.text, self.buffers.take());
        let (items, times) = (Vec::with_capacity(self.items.len()), Vec::with_capacity(self.times.len()));
        Payload {
            text: Bytes::from_owner(Text(text)),
            items: std::mem::replace(&mut self.items, items),
            unmappable: std::mem::take(&mut self.unmappable),
            times: std::mem::replace(&mut self.times, times),
        }
    }
}

/// Writes batches on a worker, from the moment on when the facts are known.
pub(super) struct BulkEncoder {
    cluster: Arc<Cluster>,
    writer: Writer,
    /// The facts were not known for some of the batch's events: it is left to [`Payload::of`].
    is_left: bool,
}

impl BulkEncoder {
    pub(super) fn new(cluster: Arc<Cluster>, writer: Writer) -> BulkEncoder {
        BulkEncoder { cluster, writer, is_left: false }
    }
}

impl BatchEncoder for BulkEncoder {
    fn encode(&mut self, events: &mut dyn Iterator<Item = &Event>) {
        match self.cluster.facts() {
            Some(facts) if !self.is_left => events.for_each(|event| self.writer.write(event, facts)),
            _ => self.is_left = true,
        }
    }

    fn byte_size(&self) -> usize {
        self.writer.text.len()
    }

    fn finish(&mut self) -> Encoded {
        // Begun before the facts were known, a batch has nothing written in it.
        if std::mem::take(&mut self.is_left) {
            return Encoded::new((), 0, Vec::new());
        }
        let size = self.byte_size();
        Encoded::new(self.writer.finish(), size, Vec::new())
    }

    /// A document that the cluster refuses goes to the dead letter queue as the event it was; and a batch that can't be
    /// written yet is left to the output.
    fn keeps_events(&self) -> bool {
        self.cluster.keeps_letters() || self.cluster.facts().is_none()
    }
}

/// Some items of some batches.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The text of each batch.
    texts: Arc<[Bytes]>,
    pub(super) items: Vec<Item>,
    /// gzip's, 0 for none.
    level: u32,
    compressed: Option<Bytes>,
}

impl Request {
    /// The requests that deliver those documents of the batches, in order, that are `wanted` by their lines.
    pub(super) fn all(
        payloads: &[Arc<Payload>],
        Shape { bytes_max, level }: Shape,
        mut wanted: impl FnMut(&[u8], &Item) -> bool,
    ) -> Vec<Request> {
        let texts: Arc<[Bytes]> = payloads.iter().map(|payload| payload.text.clone()).collect();
        let (mut requests, mut items, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (batch, payload) in payloads.iter().enumerate() {
            for item in &payload.items {
                let item = Item { batch, ..item.clone() };
                if !wanted(payload.text.get(item.lines.clone()).unwrap_or_default(), &item) {
                    continue;
                }
                if bytes + item.lines.len() > bytes_max && bytes > 0 {
                    requests.push(Request::new(&texts, std::mem::take(&mut items), level));
                    bytes = 0;
                }
                bytes += item.lines.len();
                items.push(item);
            }
        }
        if !items.is_empty() {
            requests.push(Request::new(&texts, items, level));
        }
        requests
    }

    fn new(texts: &Arc<[Bytes]>, items: Vec<Item>, level: u32) -> Request {
        Request { texts: Arc::clone(texts), items, level, compressed: None }
    }

    /// The body; of a request that is to be compressed, once it [is](Request::compress).
    pub(super) fn body(&self) -> Vec<Bytes> {
        self.compressed.as_ref().map_or_else(|| self.slices(), |compressed| vec![compressed.clone()])
    }

    pub(super) fn is_gzip(&self) -> bool {
        self.level > 0
    }

    /// Makes the body, where it is to be compressed.
    pub(super) async fn compress(&mut self) -> Result<(), JoinError> {
        if self.is_gzip() && self.compressed.is_none() {
            let (slices, level) = (self.slices(), self.level);
            self.compressed = Some(spawn_blocking(move || gzip(&slices, level)).await?);
        }
        Ok(())
    }

    /// Size of the body before compression.
    pub(super) fn plain_len(&self) -> usize {
        self.items.iter().map(|item| item.lines.len()).sum()
    }

    /// The action line of an item.
    pub(super) fn action_line(&self, item: &Item) -> String {
        action_line(self.line(item)).into_owned()
    }

    /// The lines of an item.
    pub(super) fn line(&self, item: &Item) -> &[u8] {
        self.texts.get(item.batch).and_then(|text| text.get(item.lines.clone())).unwrap_or_default()
    }

    /// A request for some of the items alone.
    pub(super) fn only(&self, items: Vec<Item>) -> Request {
        Request::new(&self.texts, items, self.level)
    }

    /// The lines of the items; neighbours are one slice.
    fn slices(&self) -> Vec<Bytes> {
        let mut ranges: Vec<(usize, Range<usize>)> = Vec::new();
        for Item { batch, lines, .. } in &self.items {
            match ranges.last_mut() {
                Some((of, last)) if of == batch && last.end == lines.start => last.end = lines.end,
                _ => ranges.push((*batch, lines.clone())),
            }
        }
        let slice = |(batch, range): (usize, Range<usize>)| Some(self.texts.get(batch)?.slice(range));
        ranges.into_iter().filter_map(slice).collect()
    }
}

/// The first one of a document's lines.
pub(super) fn action_line(lines: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(lines.split(|byte| *byte == b'\n').next().unwrap_or_default())
}

fn gzip(slices: &[Bytes], level: u32) -> Bytes {
    let length: usize = slices.iter().map(Bytes::len).sum();
    let mut encoder = GzEncoder::new(Vec::with_capacity(length / 4), Compression::new(level));
    // Memory does not fail.
    let _ = slices.iter().try_for_each(|slice| encoder.write_all(slice));
    encoder.finish().unwrap_or_default().into()
}
