//! Cutting a byte stream into lines.
//!
//! [`LineFramer`] is fed chunks as they were read and hands each complete line to a closure. A line that lies
//! whole inside a chunk is never copied; only the unfinished rest is kept. A line longer than the limit is
//! handed over once, cut and flagged, and the rest of it is thrown away as it arrives: whatever a peer sends,
//! the framer holds at most the limit (and the delimiter's length), and nothing where no line is begun.

use std::num::NonZeroUsize;
use std::sync::Arc;

use memchr::memmem::Finder;

use crate::line_chunk::LineChunk;

/// From this capacity on a buffer grows in longer strides. What is reserved costs nothing until it is written to; what
/// was copied from and freed stays in memory for a while.
const BIG_BUFFER_BYTES: usize = 1 << 20;
const BIG_BUFFER_FACTOR: usize = 8;

/// One line, without its delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The bytes of the line, or its first `limit` bytes.
    pub bytes: &'a [u8],
    /// Whether the line was longer than the limit; what followed is lost.
    pub truncated: bool,
}

/// Where lines go.
pub(crate) trait LineSink {
    fn line(&mut self, line: Frame<'_>);

    /// A line that was kept until its end came.
    fn kept_line(&mut self, line: Vec<u8>, truncated: bool) {
        self.line(Frame { bytes: &line, truncated });
    }
}

struct Call<F>(F);

impl<F: FnMut(Frame<'_>)> LineSink for Call<F> {
    fn line(&mut self, line: Frame<'_>) {
        (self.0)(line);
    }
}

/// A delimiter of no bytes would cut everywhere and nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the delimiter is empty")]
pub struct EmptyDelimiter;

/// What stands behind a line: one byte or more.
#[derive(Debug, Clone)]
pub struct Delimiter(Arc<Finder<'static>>);

impl Delimiter {
    /// The delimiter of these bytes.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(bytes: &[u8]) -> Result<Delimiter, EmptyDelimiter> {
        match bytes {
            [] => Err(EmptyDelimiter),
            _ => Ok(Delimiter(Arc::new(Finder::new(bytes).into_owned()))),
        }
    }

    /// Where it begins first in `data`.
    pub fn find(&self, data: &[u8]) -> Option<usize> {
        self.0.find(data)
    }

    /// Its bytes, of which there is one at least.
    pub fn bytes(&self) -> &[u8] {
        self.0.needle()
    }

    pub(crate) fn finder(&self) -> &Finder<'static> {
        &self.0
    }
}

/// Splits a stream at a delimiter; the state of one connection or file.
#[derive(Debug, Clone)]
pub struct LineFramer {
    delimiter: Delimiter,
    limit: usize,
    /// The unfinished line; while discarding, only what may be the head of a delimiter.
    pending: Vec<u8>,
    /// The line was too long and has been handed over; its rest is skipped.
    discarding: bool,
}

impl LineFramer {
    /// A framer for lines of at most `limit_bytes`, ended by `delimiter`.
    ///
    /// # Errors
    /// When the delimiter is empty.
    pub fn new(delimiter: &[u8], limit_bytes: NonZeroUsize) -> Result<Self, EmptyDelimiter> {
        let delimiter = Delimiter::new(delimiter)?;
        Ok(Self { delimiter, limit: limit_bytes.get(), pending: Vec::new(), discarding: false })
    }

    /// What stands behind each line.
    pub fn delimiter(&self) -> &Delimiter {
        &self.delimiter
    }

    /// Takes the next chunk of the stream and hands over each line that it completes.
    pub fn push(&mut self, chunk: &[u8], line: impl FnMut(Frame<'_>)) {
        let mut sink = Call(line);
        let chunk = self.unfinished(chunk, &mut sink);
        self.whole_lines(chunk, &mut sink);
    }

    /// As [`LineFramer::push`]; the lines that lie whole in `chunk` are copied together.
    pub fn push_into(&mut self, chunk: &[u8], lines: &mut LineChunk) {
        let chunk = self.unfinished(chunk, lines);
        let rest = lines.push_run(chunk, usize::MAX, self.limit);
        // No line is left in it, or one that is too long.
        self.whole_lines(rest, lines);
    }

    /// Ends the stream: hands over the last line if it had no delimiter. The framer is as new afterwards.
    pub fn finish(&mut self, line: impl FnMut(Frame<'_>)) {
        self.end(&mut Call(line));
    }

    /// As [`LineFramer::finish`].
    pub fn finish_into(&mut self, lines: &mut LineChunk) {
        self.end(lines);
    }

    fn end(&mut self, sink: &mut impl LineSink) {
        let line = std::mem::take(&mut self.pending);
        if !std::mem::take(&mut self.discarding) && !line.is_empty() {
            self.hand_over(line, sink);
        }
    }

    /// Bytes held back until their line is complete.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Ends the line that is under way, or what of it is thrown away; returns what is behind it.
    fn unfinished<'a>(&mut self, mut chunk: &'a [u8], sink: &mut impl LineSink) -> &'a [u8] {
        while !chunk.is_empty() {
            chunk = if self.discarding {
                self.skip(chunk)
            } else if self.pending.is_empty() {
                break;
            } else {
                self.continue_line(chunk, sink)
            };
        }
        chunk
    }

    /// Hands over the lines lying whole in `chunk`, keeps the rest. No line is under way.
    fn whole_lines(&mut self, mut chunk: &[u8], sink: &mut impl LineSink) {
        while let Some(at) = self.delimiter.find(chunk) {
            let (head, tail) = chunk.split_at(at);
            sink.line(cut(head, self.limit));
            chunk = tail.get(self.delimiter_len()..).unwrap_or_default();
        }
        if chunk.len() < self.overflow() {
            self.keep(chunk);
        } else {
            sink.line(cut(chunk, self.limit));
            self.discard(chunk);
        }
    }

    /// Adds to the unfinished line what of `chunk` belongs to it (and fits), and returns the rest.
    fn continue_line<'a>(&mut self, chunk: &'a [u8], sink: &mut impl LineSink) -> &'a [u8] {
        let before = self.pending.len();
        let room = self.overflow().saturating_sub(before).min(chunk.len());
        let (piece, rest) = chunk.split_at(room);
        self.keep(piece);

        // A delimiter may have begun in an earlier chunk.
        let start = before.saturating_sub(self.delimiter_len() - 1);
        let found = self.pending.get(start..).and_then(|tail| self.delimiter.find(tail));
        if let Some(at) = found.map(|at| at + start) {
            let mut line = std::mem::take(&mut self.pending);
            line.truncate(at);
            self.hand_over(line, sink);
            return chunk.get((at + self.delimiter_len()).saturating_sub(before)..).unwrap_or_default();
        }
        if self.pending.len() >= self.overflow() {
            let line = std::mem::take(&mut self.pending);
            self.discard(&line);
            self.hand_over(line, sink);
        }
        rest
    }

    /// Hands over a line that was kept.
    fn hand_over(&self, mut line: Vec<u8>, sink: &mut impl LineSink) {
        let truncated = line.len() > self.limit;
        line.truncate(self.limit);
        sink.kept_line(line, truncated);
    }

    /// Looks for the end of a line that was handed over, and returns what is behind it.
    fn skip<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let (before, delimiter_len) = (self.pending.len(), self.delimiter_len());
        let head = chunk.len().min(delimiter_len - 1);
        self.pending.extend_from_slice(chunk.get(..head).unwrap_or_default());
        let straddling = self.delimiter.find(&self.pending).map(|at| at + delimiter_len - before);
        let end = straddling.or_else(|| self.delimiter.find(chunk).map(|at| at + delimiter_len));
        if let Some(end) = end {
            self.discarding = false;
            self.pending = Vec::new();
            return chunk.get(end..).unwrap_or_default();
        }
        // A chunk shorter than that is in `pending` as a whole.
        let seen = if head < chunk.len() { chunk } else { &std::mem::take(&mut self.pending) };
        self.discard(seen);
        &[]
    }

    /// Skips from here to the next delimiter, of which `seen` may hold the first bytes.
    fn discard(&mut self, seen: &[u8]) {
        self.discarding = true;
        let keep = seen.len().saturating_sub(self.delimiter_len() - 1);
        self.pending = seen.get(keep..).unwrap_or_default().to_vec();
    }

    /// Adds to the unfinished line. Its buffer never grows beyond what may have to be held.
    fn keep(&mut self, piece: &[u8]) {
        let (held, needed) = (self.pending.capacity(), self.pending.len().saturating_add(piece.len()));
        if needed > held {
            let factor = if held < BIG_BUFFER_BYTES { 2 } else { BIG_BUFFER_FACTOR };
            let wanted = held.saturating_mul(factor).min(self.overflow()).max(needed);
            self.pending.reserve_exact(wanted - self.pending.len());
        }
        self.pending.extend_from_slice(piece);
    }

    fn delimiter_len(&self) -> usize {
        self.delimiter.bytes().len()
    }

    /// So many bytes without a delimiter are certainly more than the limit.
    fn overflow(&self) -> usize {
        self.limit.saturating_add(self.delimiter_len())
    }
}

fn cut(bytes: &[u8], limit: usize) -> Frame<'_> {
    match bytes.get(..limit) {
        Some(head) if bytes.len() > limit => Frame { bytes: head, truncated: true },
        _ => Frame { bytes, truncated: false },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::line_chunk::LineBuffers;
    use crate::raw_lines::tests::{Texts, texts};

    fn framer(delimiter: &str, limit: usize) -> LineFramer {
        LineFramer::new(delimiter.as_bytes(), NonZeroUsize::new(limit).unwrap()).unwrap()
    }

    fn run(framer: &mut LineFramer, chunks: &[&[u8]]) -> Vec<(String, bool)> {
        let mut lines = Vec::new();
        let mut keep = |frame: Frame<'_>| {
            lines.push((String::from_utf8_lossy(frame.bytes).into_owned(), frame.truncated))
        };
        let mut lines_too = LineChunk::new(framer.delimiter.clone(), LineBuffers::default());
        let mut again = framer.clone();
        for chunk in chunks {
            framer.push(chunk, &mut keep);
            again.push_into(chunk, &mut lines_too);
            assert_eq!(framer.pending_bytes(), again.pending_bytes());
        }
        framer.finish(&mut keep);
        again.finish_into(&mut lines_too);
        let marked: Vec<_> =
            lines.iter().map(|(text, cut)| format!("{text}{}", if *cut { "cut" } else { "" })).collect();
        assert_eq!(texts(&lines_too.take(Arc::new(Texts))), marked);
        lines
    }

    fn whole(lines: &[&str]) -> Vec<(String, bool)> {
        lines.iter().map(|line| ((*line).to_owned(), false)).collect()
    }

    #[test]
    fn lines_come_out_whole_whatever_the_chunks() {
        assert_eq!(run(&mut framer("\n", 100), &[b"a\nb", b"c\n", b"\nd"]), whole(&["a", "bc", "", "d"]));
        assert_eq!(run(&mut framer("\r\n", 100), &[b"a\r", b"\nb\r\n\r", b"x"]), whole(&["a", "b", "\rx"]));
    }

    #[test]
    fn a_line_as_long_as_the_limit_is_whole() {
        for chunks in [&[&b"1234\n56"[..]][..], &[b"1234", b"\n56"], &[b"12", b"34\n", b"56"]] {
            assert_eq!(run(&mut framer("\n", 4), chunks), whole(&["1234", "56"]));
        }
        assert_eq!(run(&mut framer("||", 4), &[b"1234|", b"|56"]), whole(&["1234", "56"]));
    }

    #[test]
    fn a_line_above_the_limit_is_cut_once_and_the_next_one_is_whole() {
        for chunks in
            [&[&b"123456789\nok\n"[..]][..], &[b"12345", b"6789", b"\nok\n"], &[b"123", b"456789\nok"]]
        {
            let lines = run(&mut framer("\n", 4), chunks);
            assert_eq!(lines, [("1234".to_owned(), true), ("ok".to_owned(), false)]);
        }
    }

    #[test]
    fn an_endless_line_takes_no_more_memory_than_the_limit() {
        let mut framer = framer("\r\n", 1000);
        let chunk = vec![b'x'; 64 * 1024];
        let mut lines = 0;
        for _ in 0..1024 {
            framer.push(&chunk, |frame| {
                assert!(frame.truncated && frame.bytes.len() == 1000);
                lines += 1;
            });
            // Of what is skipped only the head of a delimiter is kept.
            assert!(framer.pending_bytes() < 2 && framer.pending.capacity() <= 2048);
        }
        framer.push(b"\r\nnext\r\n", |frame| {
            assert_eq!(frame, Frame { bytes: b"next", truncated: false });
            lines += 1;
        });
        assert_eq!((lines, framer.pending.capacity()), (2, 0));
    }

    #[test]
    fn an_empty_delimiter_is_refused() {
        assert_eq!(LineFramer::new(b"", NonZeroUsize::MIN).err(), Some(EmptyDelimiter));
    }

    proptest! {
        #[test]
        fn chunks_never_change_the_lines(
            text in "[ab\r\n]{0,40}",
            cuts in proptest::collection::vec(0usize..40, 0..6),
            delimiter in prop_oneof![Just("\n"), Just("\r\n"), Just("aba")],
            limit in 1usize..12,
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();

            let mut expected: Vec<_> = text.split(delimiter).map(|line| {
                (line.chars().take(limit).collect::<String>(), line.len() > limit)
            }).collect();
            if expected.last().is_some_and(|(line, _)| line.is_empty()) {
                expected.pop();
            }
            prop_assert_eq!(run(&mut framer(delimiter, limit), &chunks), expected);
        }
    }
}
