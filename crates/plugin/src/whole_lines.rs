//! Whole lines for codecs that can't do with less.
//!
//! A raw stream is cut wherever the network or a pipe cut it. Codecs such as `multiline` look at lines, so [`WholeLines`]
//! stands before them: it passes on what is complete, all lines of a read at once, and keeps the rest until its line
//! ends, the stream does, or the codec's time of silence is over.

use crate::codec::{Codec, CodecFactory, EncodeError, EventSink};
use crate::framing::LineFramer;
use ferrostash_event::Event;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// Longest line, in bytes, that a codec gets whole. What follows up to the end of the line is thrown away.
const LINE_BYTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add((32 << 20) - 1);
/// Capacity that survives a large read; more is given back to the allocator.
const KEPT_CAPACITY_BYTES: usize = 64 * 1024;

/// The codec for a raw stream: with whole lines, if it takes such.
pub(crate) fn whole_lines(codec: Arc<dyn CodecFactory>) -> Arc<dyn CodecFactory> {
    match (LineFramer::new(b"\n", LINE_BYTES_MAX), codec.for_stream().takes_lines()) {
        (Ok(framer), true) => Arc::new(WholeLinesFactory { codec, framer }),
        _ => codec,
    }
}

struct WholeLinesFactory {
    codec: Arc<dyn CodecFactory>,
    framer: LineFramer,
}

impl CodecFactory for WholeLinesFactory {
    fn for_stream(&self) -> Box<dyn Codec> {
        let (codec, framer) = (self.codec.for_stream(), self.framer.clone());
        Box::new(WholeLines { codec, framer, lines: Vec::new() })
    }
}

/// A codec behind the framer that gives it whole lines.
struct WholeLines {
    codec: Box<dyn Codec>,
    framer: LineFramer,
    /// The lines of the read at hand; empty between two calls.
    lines: Vec<u8>,
}

impl WholeLines {
    /// Passes on the lines that `frame` finds.
    fn pass(
        &mut self,
        frame: impl FnOnce(&mut LineFramer, &mut dyn FnMut(&[u8], bool)),
        sink: &mut EventSink<'_>,
    ) {
        let WholeLines { codec, framer, lines } = self;
        frame(framer, &mut |line, truncated| {
            if truncated {
                tracing::warn!(limited = true, kept_bytes = line.len(), "a line is too long and was cut");
            }
            lines.extend_from_slice(line);
            lines.push(b'\n');
        });
        if !lines.is_empty() {
            codec.decode(lines, sink);
            lines.clear();
            lines.shrink_to(KEPT_CAPACITY_BYTES);
        }
    }
}

impl Codec for WholeLines {
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        self.pass(|framer, line| framer.push(data, |frame| line(frame.bytes, frame.truncated)), sink);
    }

    fn flush(&mut self, sink: &mut EventSink<'_>) {
        self.pass(|framer, line| framer.finish(|frame| line(frame.bytes, frame.truncated)), sink);
        self.codec.flush(sink);
    }

    fn idle_flush(&self) -> Option<Duration> {
        self.codec.idle_flush()
    }

    fn pending_bytes(&self) -> usize {
        self.framer.pending_bytes() + self.codec.pending_bytes()
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.codec.encode(event, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_event::{FieldRef, Timestamp};

    /// Each call is an event, so that the cuts show.
    #[derive(Clone)]
    struct Calls {
        takes_lines: bool,
    }

    impl Codec for Calls {
        fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
            sink(Event::from_message(&String::from_utf8_lossy(data), Timestamp::now()));
        }

        fn takes_lines(&self) -> bool {
            self.takes_lines
        }

        fn flush(&mut self, sink: &mut EventSink<'_>) {
            sink(Event::from_message("flushed", Timestamp::now()));
        }

        fn encode(&mut self, _: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
            out.push(b'x');
            Ok(())
        }
    }

    fn calls(codec: &mut dyn Codec, reads: &[&str]) -> Vec<String> {
        let message = FieldRef::literal("message");
        let mut calls = Vec::new();
        let mut sink = |event: Event| calls.push(event.get_str(&message).unwrap().to_owned());
        reads.iter().for_each(|read| codec.decode(read.as_bytes(), &mut sink));
        codec.flush(&mut sink);
        calls
    }

    fn codec(takes_lines: bool) -> Box<dyn Codec> {
        whole_lines(Arc::new(Calls { takes_lines })).for_stream()
    }

    #[test]
    fn reads_are_cut_at_line_ends() {
        let reads = ["a\n b\n\nc", "", "d", "e\n", "last"];
        assert_eq!(calls(&mut *codec(true), &reads), ["a\n b\n\n", "cde\n", "last\n", "flushed"]);
        assert_eq!(calls(&mut *codec(false), &reads), ["a\n b\n\nc", "", "d", "e\n", "last", "flushed"]);
    }

    #[test]
    fn what_is_kept_is_counted_and_given_once() {
        let mut codec = codec(true);
        codec.decode(b"one\ntw", &mut |_| {});
        assert_eq!(codec.pending_bytes(), 2);
        assert_eq!(calls(&mut *codec, &["o\nthree"]), ["two\n", "three\n", "flushed"]);
        assert_eq!(calls(&mut *codec, &[]), ["flushed"]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_the_limit() {
        let framer = LineFramer::new(b"\n", NonZeroUsize::new(4).unwrap()).unwrap();
        let codec = Box::new(Calls { takes_lines: true });
        let mut codec = WholeLines { codec, framer, lines: Vec::new() };
        assert_eq!(calls(&mut codec, &["1234567", "89", "0\nnext\n"]), ["1234\n", "next\n", "flushed"]);
    }

    #[test]
    fn writing_is_the_codecs() {
        let mut out = Vec::new();
        codec(true).encode(&Event::new(), &mut out).unwrap();
        assert_eq!(out, b"x");
    }
}
