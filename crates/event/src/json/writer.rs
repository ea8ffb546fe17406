//! Text in the making.
//!
//! Behind what is written there is always room for what comes next, filled with zeros, so that most things are written as
//! whole blocks, the surplus overwritten by what follows: a copy of fixed size costs a fraction of one whose size is known
//! at run time only.

/// Bytes that are copied together.
pub(crate) const BLOCK: usize = 16;
/// Room that is made at a time, in bytes.
const ROOM: usize = 1024;

/// Appends to a buffer; [`Writer::finish`] ends it.
pub(crate) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    at: usize,
}

impl<'o> Writer<'o> {
    /// Begins at the end of `out`.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Writer<'o> {
        let at = out.len();
        Writer { out, at }
    }

    /// Takes back the room that was not used.
    pub(crate) fn finish(self) {
        self.out.truncate(self.at);
    }

    /// Makes room for `bytes`, and for the surplus of a block.
    #[inline]
    pub(crate) fn room(&mut self, bytes: usize) {
        if self.out.len() - self.at < bytes + BLOCK {
            self.grow(bytes + BLOCK);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.out.resize(self.at + bytes.max(ROOM), 0);
    }

    /// Where the next byte goes.
    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Changes a byte that was written.
    #[inline]
    pub(crate) fn set(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.out.get_mut(at) {
            *place = byte;
        }
    }

    /// Writes a byte, for which there is room.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.set(self.at, byte);
        self.at += 1;
    }

    /// Writes the first `len` bytes of `block`, for which there is room.
    #[inline]
    pub(crate) fn block(&mut self, block: [u8; BLOCK], len: usize) {
        if let Some(place) = self.out.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            *place = block;
        }
        self.at += len;
    }

    /// Goes to a place that was written to.
    #[inline]
    pub(crate) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Writes the escape of the first byte of `rest`, and the others behind it, at `at`, where there is room for all;
    /// gives the bytes that the escape adds.
    #[inline]
    pub(crate) fn escape(&mut self, at: usize, rest: [u8; BLOCK]) -> usize {
        let Some(place) = self.out.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<{ BLOCK + 1 }>) else {
            return 0;
        };
        let [backslash, behind @ ..] = place;
        *backslash = b'\\';
        *behind = rest;
        let [byte, ..] = rest;
        if byte == b'"' || byte == b'\\' {
            return 1;
        }
        self.escape_control(at, rest)
    }

    #[cold]
    fn escape_control(&mut self, at: usize, rest: [u8; BLOCK]) -> usize {
        let [byte, ..] = rest;
        let letter = match byte {
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            _ => {
                let hex = |n: u8| if n < 10 { b'0' + n } else { b'A' + n - 10 };
                let [_, behind @ ..] = rest;
                let escape = [b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)];
                for (place, byte) in (at..).zip(escape.into_iter().chain(behind)) {
                    self.set(place, byte);
                }
                return 5;
            }
        };
        self.set(at + 1, letter);
        1
    }

    /// Writes `bytes`.
    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        if let Some(place) = self.out.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    /// Writes `len` bytes of `text` from `start`.
    #[inline]
    pub(crate) fn part(&mut self, text: &[u8], start: usize, len: usize) {
        const FEW: usize = 4 * BLOCK;
        match text.get(start..start + len.next_multiple_of(BLOCK)) {
            Some(padded) if len <= FEW => {
                self.room(len);
                let end = self.at + len;
                for block in padded.as_chunks::<BLOCK>().0 {
                    self.block(*block, BLOCK);
                }
                self.at = end;
            }
            _ => self.bytes(text.get(start..start + len).unwrap_or_default()),
        }
    }

    /// Hands the buffer to somebody who appends to it.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.truncate(self.at);
        write(self.out);
        self.at = self.out.len();
    }
}
