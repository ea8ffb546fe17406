//! Collecting lines for a chunk, in memory that is used again.

use crate::framing::{Delimiter, Frame, LineSink};
use crate::raw_lines::{LineMaker, RawLines};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of lines with which a chunk should be pushed.
pub const LINE_CHUNK_BYTES: usize = 256 << 10;
/// Buffers that wait to be used again.
const BUFFERS_MAX: usize = 4;
/// Lines for which a buffer that waits has room, at most.
const LINES_KEPT_MAX: usize = 32 << 10;
/// With so many bytes a chunk gets a full-sized buffer; until then it has one that grows.
const BIG_BYTES: usize = LINE_CHUNK_BYTES / 4;
/// Lines of fewer bytes do not keep a full-sized buffer.
const SMALL_BYTES: usize = BIG_BYTES / 2;

/// Lines with a delimiter behind each, and what is known of them.
#[derive(Clone, Default, Debug)]
pub(crate) struct LineBuffer {
    pub(crate) data: Vec<u8>,
    /// Where the lines end; behind each stands a delimiter.
    pub(crate) ends: Vec<u32>,
    /// Numbers of the lines of which the end is missing, ascending.
    pub(crate) cut: Vec<u32>,
}

impl LineBuffer {
    /// Takes over the lines of another buffer, while there is none.
    fn append(&mut self, LineBuffer { data, mut ends, cut }: LineBuffer) {
        self.data.extend_from_slice(&data);
        self.ends.append(&mut ends);
        self.cut = cut;
    }
}

/// Full-sized buffers of chunks that are done. Fresh memory would have to be cleared by the system each time.
#[derive(Clone, Default, Debug)]
pub struct LineBuffers(Arc<Mutex<Vec<LineBuffer>>>);

impl LineBuffers {
    fn get(&self) -> LineBuffer {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| LineBuffer {
            data: Vec::with_capacity(LINE_CHUNK_BYTES),
            ..LineBuffer::default()
        })
    }

    /// Keeps a buffer, unless it is of another size or there are enough.
    pub(crate) fn put(&self, mut buffer: LineBuffer) {
        if !(LINE_CHUNK_BYTES..=2 * LINE_CHUNK_BYTES).contains(&buffer.data.capacity()) {
            return;
        }
        buffer.data.clear();
        buffer.ends.clear();
        buffer.ends.shrink_to(LINES_KEPT_MAX);
        buffer.cut = Vec::new();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < BUFFERS_MAX {
            kept.push(buffer);
        }
    }
}

/// Lines that are collected for a chunk. While there is none it holds no memory.
#[derive(Debug)]
pub struct LineChunk {
    buffer: LineBuffer,
    delimiter: Delimiter,
    buffers: LineBuffers,
}

impl LineChunk {
    /// No lines yet; what they end in, and where buffers come from.
    pub fn new(delimiter: Delimiter, buffers: LineBuffers) -> LineChunk {
        LineChunk { buffer: LineBuffer::default(), delimiter, buffers }
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.buffer.ends.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.buffer.ends.is_empty()
    }

    /// What the lines weigh, in bytes.
    pub fn byte_size(&self) -> usize {
        self.buffer.data.len()
    }

    /// Adds the lines that lie whole in `data`, at most `lines_max`, up to one of more than `line_bytes_max`. Returns what
    /// is behind them.
    pub fn push_run<'d>(&mut self, data: &'d [u8], lines_max: usize, line_bytes_max: usize) -> &'d [u8] {
        self.make_room(data.len());
        let delimiter = self.delimiter.clone();
        let used = match delimiter.bytes() {
            [byte] => self.push_ends(memchr::memchr_iter(*byte, data), 1, lines_max, line_bytes_max),
            bytes => {
                self.push_ends(delimiter.finder().find_iter(data), bytes.len(), lines_max, line_bytes_max)
            }
        };
        let (run, rest) = data.split_at_checked(used).unwrap_or((data, &[]));
        self.buffer.data.extend_from_slice(run);
        if self.is_empty() {
            self.clear();
        }
        rest
    }

    /// Changes to a full-sized buffer once `bytes` more make that worth while.
    fn make_room(&mut self, bytes: usize) {
        let is_big = self.byte_size() + bytes >= BIG_BYTES;
        if is_big && self.buffer.data.capacity() < LINE_CHUNK_BYTES {
            let few = std::mem::replace(&mut self.buffer, self.buffers.get());
            self.buffer.append(few);
        }
    }

    /// Notes lines that end there, as counted from the end of the data; returns how many bytes they are.
    fn push_ends(
        &mut self,
        ends: impl Iterator<Item = usize>,
        delimiter_len: usize,
        lines_max: usize,
        line_bytes_max: usize,
    ) -> usize {
        let (before, mut used) = (self.buffer.data.len(), 0);
        for end in ends.take(lines_max) {
            if end - used > line_bytes_max {
                break;
            }
            self.buffer.ends.push(place(before + end));
            used = end + delimiter_len;
        }
        used
    }

    /// Adds one line.
    pub fn push(&mut self, line: Frame<'_>) {
        self.make_room(line.bytes.len());
        let LineBuffer { data, ends, cut } = &mut self.buffer;
        let delimiter = self.delimiter.bytes();
        data.reserve(line.bytes.len() + delimiter.len());
        if line.truncated {
            cut.push(place(ends.len()));
        }
        data.extend_from_slice(line.bytes);
        ends.push(place(data.len()));
        data.extend_from_slice(delimiter);
    }

    /// Adds a line; one by itself that is long is not copied.
    fn push_kept(&mut self, line: Vec<u8>, truncated: bool) {
        if !self.is_empty() || line.len() < BIG_BYTES {
            return self.push(Frame { bytes: &line, truncated });
        }
        let (ends, cut) = (vec![place(line.len())], if truncated { vec![0] } else { Vec::new() });
        self.buffer = LineBuffer { data: line, ends, cut };
        self.buffer.data.extend_from_slice(self.delimiter.bytes());
    }

    /// Takes the lines, of which `maker` makes the events.
    pub fn take(&mut self, maker: Arc<dyn LineMaker>) -> RawLines {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.data.len() < SMALL_BYTES && buffer.data.capacity() >= LINE_CHUNK_BYTES {
            let few = buffer.clone();
            self.buffers.put(std::mem::replace(&mut buffer, few));
        }
        RawLines::new(buffer, self.delimiter.bytes().len(), self.buffers.clone(), maker)
    }

    /// Forgets the lines.
    pub fn clear(&mut self) {
        self.buffers.put(std::mem::take(&mut self.buffer));
    }
}

impl LineSink for LineChunk {
    fn line(&mut self, line: Frame<'_>) {
        self.push(line);
    }

    fn kept_line(&mut self, line: Vec<u8>, truncated: bool) {
        self.push_kept(line, truncated);
    }
}

/// A place in a buffer; nothing is collected that comes near the limit.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw_lines::tests::{Texts, texts};

    const ALL: usize = usize::MAX;

    fn chunk() -> (LineChunk, LineBuffers) {
        let buffers = LineBuffers::default();
        (LineChunk::new(Delimiter::new(b"\n").unwrap(), buffers.clone()), buffers)
    }

    fn waiting(buffers: &LineBuffers) -> usize {
        buffers.0.lock().unwrap().len()
    }

    #[test]
    fn a_run_ends_where_it_may_not_go_on() {
        let (mut chunk, _) = chunk();
        assert_eq!(chunk.push_run(b"a\nb\nc\n", 2, ALL), b"c\n");
        assert_eq!(chunk.push_run(b"c\ntoo long\nd\n", ALL, 4), b"too long\nd\n");
        assert_eq!(chunk.push_run(b"e\nrest", ALL, ALL), b"rest");
        assert_eq!(texts(&chunk.take(Arc::new(Texts))), ["a", "b", "c", "e"]);
    }

    #[test]
    fn full_sized_buffers_are_used_again_and_only_those() {
        let (mut chunk, buffers) = chunk();
        let lines = "0123456789\n".repeat(LINE_CHUNK_BYTES / 11);
        for _ in 0..3 {
            chunk.push_run(lines.as_bytes(), ALL, ALL);
            let mut all = chunk.take(Arc::new(Texts));
            let front = all.take_front(10);
            drop(all);
            assert_eq!((texts(&front).len(), waiting(&buffers)), (10, 0));
            drop(front);
            assert_eq!(waiting(&buffers), 1);
        }
        chunk.push_run(&lines.as_bytes()[..BIG_BYTES], ALL, ALL);
        chunk.push(Frame { bytes: b"one more", truncated: false });
        drop(chunk.take(Arc::new(Texts)));
        assert_eq!(waiting(&buffers), 1);
        chunk.push_run(&[b"few\n", &[b'x'; BIG_BYTES][..]].concat(), ALL, ALL);
        let few = chunk.take(Arc::new(Texts));
        assert_eq!(waiting(&buffers), 1, "they moved to a buffer of their size");
        for _ in 0..2 {
            chunk.push_run(b"1234567\n", ALL, ALL);
        }
        assert_eq!(chunk.buffer.data.capacity(), 16);
        chunk.push_run(lines.as_bytes(), ALL, ALL);
        assert_eq!(waiting(&buffers), 0);
        let texts = texts(&chunk.take(Arc::new(Texts)));
        assert_eq!(
            (&*texts[1], &*texts[2], texts.len()),
            ("1234567", "0123456789", 2 + LINE_CHUNK_BYTES / 11)
        );
        drop((few, chunk));
        assert_eq!(waiting(&buffers), 1);
    }

    #[test]
    fn a_long_line_that_was_kept_is_not_copied() {
        let (mut chunk, _) = chunk();
        let mut line = Vec::with_capacity(2 * BIG_BYTES);
        line.resize(BIG_BYTES, b'x');
        let at = line.as_ptr();
        chunk.kept_line(line, true);
        assert_eq!(chunk.buffer.data.as_ptr(), at);
        chunk.kept_line(b"next".to_vec(), false);
        let texts = texts(&chunk.take(Arc::new(Texts)));
        assert_eq!((texts[0].len(), &texts[0][BIG_BYTES..], &*texts[1]), (BIG_BYTES + 3, "cut", "next"));
    }

    #[test]
    fn without_a_line_there_is_no_memory() {
        let (mut chunk, buffers) = chunk();
        assert_eq!(chunk.push_run(&[b'x'; LINE_CHUNK_BYTES], ALL, ALL).len(), LINE_CHUNK_BYTES);
        assert_eq!((chunk.buffer.data.capacity(), waiting(&buffers)), (0, 1));
        chunk.push(Frame { bytes: &[b'x'; LINE_CHUNK_BYTES], truncated: false });
        chunk.clear();
        assert_eq!((chunk.buffer.data.capacity(), chunk.len()), (0, 0));
    }
}
