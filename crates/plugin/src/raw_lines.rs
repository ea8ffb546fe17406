//! Lines that nobody has looked into yet.
//!
//! An input whose codec takes each line by itself need not make the events: it hands on the bytes, and the worker that
//! takes them makes the events where it filters them. They are then born, changed and freed on one thread, and a queue
//! full of lines weighs what the lines weigh.

use crate::codec::LineEventSink;
use crate::decorate::InputDecoration;
use crate::line_chunk::{LineBuffer, LineBuffers};
use crate::metrics::PluginMetrics;
use ferrostash_event::{Event, Origin, Timestamp};
use std::ops::Range;
use std::sync::Arc;

/// Makes events of lines.
pub trait LineMaker: Send + Sync {
    /// Makes the events of `lines`, in their order, each with the number of its line.
    fn make(&self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>);

    /// What the maker holds of these lines beside their text, in bytes.
    fn bytes_beside(&self, _lines: Range<usize>) -> usize {
        0
    }
}

/// Lines that stand behind each other, with a delimiter between them.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    data: &'a [u8],
    /// Where `data` begins, counted as `ends` are.
    offset: usize,
    ends: &'a [u32],
    delimiter_len: usize,
    /// The number of the first of them among all lines of their chunk.
    pub first: usize,
    /// Whether the end of the lines is missing because they were too long.
    pub are_cut: bool,
}

impl<'a> Lines<'a> {
    /// All lines with what is between them.
    pub fn bytes(&self) -> &'a [u8] {
        self.data
    }

    /// Where each line is in [`Lines::bytes`].
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let Lines { data, offset, ends, delimiter_len, .. } = *self;
        let mut start = 0;
        ends.iter().map(move |end| {
            let end = (*end as usize).saturating_sub(offset).min(data.len());
            std::mem::replace(&mut start, end + delimiter_len)..end
        })
    }

    /// The lines.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let data = self.data;
        self.ranges().map(move |line| data.get(line).unwrap_or_default())
    }

    /// The line of that number, and where it begins in [`Lines::bytes`].
    fn get(&self, number: usize) -> (usize, &'a [u8]) {
        let end =
            |number: usize| self.ends.get(number).map(|end| (*end as usize).saturating_sub(self.offset));
        let start = number.checked_sub(1).and_then(end).map_or(0, |end| end + self.delimiter_len);
        let line = end(number).and_then(|end| self.data.get(start..end));
        (start, line.unwrap_or_default())
    }
}

/// A run of lines in a shared buffer.
#[derive(Clone)]
pub struct RawLines {
    shared: Arc<Shared>,
    lines: Range<usize>,
    maker: Arc<dyn LineMaker>,
    pub(crate) decoration: Arc<InputDecoration>,
    pub(crate) metrics: Arc<PluginMetrics>,
    /// Where the buffer begins in what was read, if that can be told.
    place: Option<Place>,
    /// The input's, so that what a codec logs is the input's wherever it is logged.
    span: tracing::Span,
}

/// A position in a source; see [`Origin::new`].
#[derive(Clone, Copy, Debug)]
struct Place {
    source: u64,
    position: u64,
}

/// Tells the events of lines where they come from.
struct Origins<'a> {
    lines: Lines<'a>,
    place: Option<Place>,
    /// The line of the last event, with its origin and its number among the events of that line.
    last: Option<(usize, Origin, u64)>,
}

impl Origins<'_> {
    fn next(&mut self, number: usize) -> Option<Origin> {
        let Place { source, position } = self.place?;
        if let Some((last, origin, events)) = &mut self.last
            && *last == number
        {
            *events += 1;
            return Some(origin.derive(*events));
        }
        let (start, line) = self.lines.get(number);
        let origin = Origin::new(source, position + (self.lines.offset + start) as u64, line);
        self.last = Some((number, origin, 0));
        Some(origin)
    }
}

/// The buffer; the last one who has it gives it back.
struct Shared {
    buffer: LineBuffer,
    delimiter_len: usize,
    buffers: LineBuffers,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.buffers.put(std::mem::take(&mut self.buffer));
    }
}

impl Shared {
    /// Where a line begins.
    fn start_of(&self, number: usize) -> usize {
        match number.checked_sub(1) {
            None => 0,
            Some(before) => self.end_of(before) + self.delimiter_len,
        }
    }

    /// Where a line ends.
    fn end_of(&self, number: usize) -> usize {
        self.buffer.ends.get(number).map_or(self.buffer.data.len(), |end| *end as usize)
    }

    /// The first lines of these that are cut all or none, and the number behind them.
    fn first_run(&self, lines: Range<usize>) -> (Lines<'_>, usize) {
        let LineBuffer { data, ends, cut } = &self.buffer;
        let first_cut = cut.get(cut.partition_point(|number| (*number as usize) < lines.start));
        let first_cut = first_cut.map_or(lines.end, |number| (*number as usize).min(lines.end));
        let are_cut = first_cut == lines.start;
        let end = if are_cut { lines.start + 1 } else { first_cut };
        let offset = self.start_of(lines.start);
        let run = Lines {
            data: data.get(offset..self.end_of(end - 1)).unwrap_or_default(),
            offset,
            ends: ends.get(lines.start..end).unwrap_or_default(),
            delimiter_len: self.delimiter_len,
            first: lines.start,
            are_cut,
        };
        (run, end)
    }
}

impl RawLines {
    pub(crate) fn new(
        buffer: LineBuffer,
        delimiter_len: usize,
        buffers: LineBuffers,
        maker: Arc<dyn LineMaker>,
    ) -> RawLines {
        let lines = 0..buffer.ends.len();
        let (decoration, metrics, span) = (Arc::default(), Arc::default(), tracing::Span::current());
        RawLines {
            shared: Arc::new(Shared { buffer, delimiter_len, buffers }),
            lines,
            maker,
            decoration,
            metrics,
            place: None,
            span,
        }
    }

    /// Says where the first of all these lines begins: its position in `source` in bytes, of which the lines take up as many
    /// as they have here.
    #[must_use]
    pub fn read_at(mut self, source: u64, position: u64) -> RawLines {
        self.place = Some(Place { source, position });
        self
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What the lines weigh, in bytes.
    pub fn byte_size(&self) -> usize {
        let text = self.shared.start_of(self.lines.end) - self.shared.start_of(self.lines.start);
        text + self.maker.bytes_beside(self.lines.clone())
    }

    /// Takes up to `count` lines from the front.
    pub fn take_front(&mut self, count: usize) -> RawLines {
        let middle = self.lines.end.min(self.lines.start + count);
        let front = RawLines { lines: self.lines.start..middle, ..self.clone() };
        self.lines.start = middle;
        front
    }

    /// Makes the events, with the input's common options applied, and counts them for the input.
    pub fn make_events(&self, events: &mut Vec<Event>) {
        let _span = self.span.enter();
        let before = events.len();
        events.reserve(self.len());
        let now = Timestamp::now();
        let mut rest = self.lines.clone();
        while !rest.is_empty() {
            let (run, end) = self.shared.first_run(rest.clone());
            let mut origins = Origins { lines: run, place: self.place, last: None };
            self.maker.make(run, now, &mut |number, mut event| {
                // Without a place the maker knows better.
                if let Some(origin) = origins.next(number) {
                    event.set_origin(Some(origin));
                }
                events.push(event);
            });
            rest.start = end;
        }
        let made = events.get_mut(before..).unwrap_or_default();
        if !self.decoration.is_empty() {
            made.iter_mut().for_each(|event| self.decoration.apply(event));
        }
        self.metrics.events_out.add(made.len() as u64);
    }
}

impl std::fmt::Debug for RawLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lines, {} bytes", self.len(), self.byte_size())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::framing::{Delimiter, Frame};
    use crate::line_chunk::LineChunk;
    use ferrostash_event::FieldRef;

    /// The lines as messages, `cut` where something is missing.
    pub(crate) struct Texts;

    impl LineMaker for Texts {
        fn make(&self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
            let cut = if lines.are_cut { "cut" } else { "" };
            for (number, line) in lines.iter().enumerate() {
                let text = String::from_utf8_lossy(line);
                sink(number, Event::from_message(&format!("{text}{cut}"), now));
            }
        }
    }

    pub(crate) fn texts(lines: &RawLines) -> Vec<String> {
        let mut events = Vec::new();
        lines.make_events(&mut events);
        let message = FieldRef::literal("message");
        events.iter().filter_map(|event| event.get_str(&message)).map(str::to_owned).collect()
    }

    #[test]
    fn parts_make_the_events_of_their_lines() {
        let mut chunk = LineChunk::new(Delimiter::new(b"||").unwrap(), LineBuffers::default());
        assert_eq!(chunk.push_run(b"one||two||||rest|", usize::MAX, usize::MAX), b"rest|");
        chunk.push(Frame { bytes: b"lon", truncated: true });
        assert_eq!(chunk.push_run(b"last||", usize::MAX, usize::MAX), b"");
        let mut lines = chunk.take(Arc::new(Texts));
        assert_eq!((lines.len(), lines.byte_size()), (5, 23));
        let front = lines.take_front(2);
        assert_eq!((front.len(), front.byte_size(), lines.len(), lines.byte_size()), (2, 10, 3, 13));
        assert_eq!(texts(&front), ["one", "two"]);
        assert_eq!(texts(&lines), ["", "loncut", "last"]);
        assert_eq!((front.metrics.events_out.get(), lines.take_front(9).len(), lines.len()), (5, 3, 0));
        assert!(chunk.is_empty());
    }

    #[test]
    fn origins_tell_where_a_line_was_whatever_the_chunk() {
        let chunk = |data: &[u8], position| {
            let mut chunk = LineChunk::new(Delimiter::new(b"\r\n").unwrap(), LineBuffers::default());
            chunk.push_run(data, usize::MAX, usize::MAX);
            chunk.take(Arc::new(Texts)).read_at(7, position)
        };
        let origins = |lines: &RawLines| {
            let mut events = Vec::new();
            lines.make_events(&mut events);
            events.iter().map(|event| event.origin().unwrap()).collect::<Vec<_>>()
        };
        let mut all = chunk(b"one\r\ntwo\r\n\r\nfour\r\n", 100);
        let expected = origins(&all);
        let line = |at, text: &str| Origin::new(7, at, text.as_bytes());
        assert_eq!(expected, [line(100, "one"), line(105, "two"), line(110, ""), line(112, "four")]);
        let front = all.take_front(2);
        assert_eq!([origins(&front), origins(&all)].concat(), expected);
        assert_eq!(origins(&chunk(b"two\r\n\r\nfour\r\n", 105)), expected[1..]);
    }
}
