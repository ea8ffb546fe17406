//! Bulk requests: events in their wire form, cut to size, and accounted for one by one.
//!
//! An event is written once, into the buffer of its part. A request is a choice of the part's items, so that repeating
//! some of them, or half of them, copies nothing. Writing and compressing take place on threads of their own.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ferrostash_event::Event;
use ferrostash_plugin::OutputBatch;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::action::{Action, Facts, Mapper, Unmappable};

/// A request is no larger than this, before compression, unless one document is.
pub(super) const REQUEST_BYTES_MAX: usize = 20 * 1024 * 1024;

/// One document of a request.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Which of the batch's events it is.
    pub(super) event: usize,
    pub(super) action: Action,
    /// Its lines in the part.
    lines: Range<usize>,
    /// A request with it had no answer: the document may be there already.
    pub(super) is_doubtful: bool,
}

/// A piece of the batch that fits into one request.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) request: Request,
    /// Events that can't be sent, with the reason.
    pub(super) unmappable: Vec<(usize, Unmappable)>,
}

/// Cuts a batch into parts.
pub(super) struct Cutter {
    mapper: Arc<Mapper>,
    facts: Facts,
    batches: Vec<OutputBatch>,
    level: u32,
    next: usize,
}

impl Cutter {
    /// Begins with the first event. `level` is gzip's, 0 for none.
    pub(super) fn new(mapper: Arc<Mapper>, facts: Facts, batches: &[OutputBatch], level: u32) -> Cutter {
        Cutter { mapper, facts, batches: batches.to_vec(), level, next: 0 }
    }

    /// The next part, ready to be sent; `None` after the last event.
    pub(super) async fn next(self) -> Result<(Cutter, Option<Part>), tokio::task::JoinError> {
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let mut cutter = self;
            let part = span.in_scope(|| cutter.cut());
            (cutter, part)
        })
        .await
    }

    fn cut(&mut self) -> Option<Part> {
        let (mut buffer, mut items, mut unmappable) = (Vec::new(), Vec::new(), Vec::new());
        let first = self.next;
        for (at, event) in events(&self.batches).enumerate().skip(first) {
            let start = buffer.len();
            match self.mapper.write(event, self.facts, &mut buffer) {
                Ok(_) if buffer.len() > REQUEST_BYTES_MAX && start > 0 => {
                    buffer.truncate(start);
                    break;
                }
                Ok(action) => {
                    items.push(Item { event: at, action, lines: start..buffer.len(), is_doubtful: false })
                }
                Err(reason) => {
                    buffer.truncate(start);
                    unmappable.push((at, reason));
                }
            }
            self.next = at + 1;
        }
        if self.next == first {
            return None;
        }
        let mut request = Request { part: buffer.into(), items, level: self.level, body: Vec::new() };
        request.encode();
        Some(Part { request, unmappable })
    }
}

/// The events of batches, in order.
pub(super) fn events(batches: &[OutputBatch]) -> impl Iterator<Item = &Event> {
    batches.iter().flat_map(OutputBatch::events)
}

/// Some items of a part.
#[derive(Clone, Debug)]
pub(super) struct Request {
    part: Bytes,
    pub(super) items: Vec<Item>,
    level: u32,
    body: Vec<Bytes>,
}

impl Request {
    /// The body, compressed if that is wished.
    pub(super) fn body(&self) -> Vec<Bytes> {
        self.body.clone()
    }

    pub(super) fn is_gzip(&self) -> bool {
        self.level > 0
    }

    /// Size of the body before compression.
    pub(super) fn plain_len(&self) -> usize {
        self.items.iter().map(|item| item.lines.len()).sum()
    }

    /// The action line of an item.
    pub(super) fn action_line(&self, item: &Item) -> String {
        let lines = self.part.get(item.lines.clone()).unwrap_or_default();
        String::from_utf8_lossy(lines.split(|byte| *byte == b'\n').next().unwrap_or_default()).into_owned()
    }

    /// A request for some of the items alone.
    pub(super) async fn only(&self, items: Vec<Item>) -> Result<Request, tokio::task::JoinError> {
        let mut request = Request { part: self.part.clone(), items, level: self.level, body: Vec::new() };
        tokio::task::spawn_blocking(move || {
            request.encode();
            request
        })
        .await
    }

    fn encode(&mut self) {
        let slices: Vec<Bytes> = self.ranges().into_iter().map(|range| self.part.slice(range)).collect();
        self.body = if self.is_gzip() { vec![gzip(&slices, self.level)] } else { slices };
    }

    /// The lines of the items; neighbours are one range.
    fn ranges(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for Item { lines, .. } in &self.items {
            match ranges.last_mut() {
                Some(last) if last.end == lines.start => last.end = lines.end,
                _ => ranges.push(lines.clone()),
            }
        }
        ranges
    }
}

fn gzip(slices: &[Bytes], level: u32) -> Bytes {
    let length: usize = slices.iter().map(Bytes::len).sum();
    let mut encoder = GzEncoder::new(Vec::with_capacity(length / 4), Compression::new(level));
    // Memory does not fail.
    let _ = slices.iter().try_for_each(|slice| encoder.write_all(slice));
    encoder.finish().unwrap_or_default().into()
}
