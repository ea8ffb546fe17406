//! A cursor over text for the parsers of this crate.

/// Reads a text from left to right, byte by byte; it only ever stops between characters when callers take ASCII.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, position: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Goes back to an earlier [`Scanner::position`].
    pub(crate) fn rewind(&mut self, position: usize) {
        self.position = position;
    }

    /// Skips `bytes` bytes.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.position += bytes;
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.position >= self.text.len()
    }

    /// What is not read yet.
    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    /// The byte `ahead` bytes further on.
    pub(crate) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.position + ahead).copied()
    }

    /// Takes the next byte, which the caller's test must only accept when it is ASCII.
    pub(crate) fn take_if(&mut self, test: impl FnOnce(u8) -> bool) -> Option<u8> {
        let byte = self.peek().filter(|b| test(*b))?;
        self.position += 1;
        Some(byte)
    }

    pub(crate) fn expect(&mut self, byte: u8) -> Option<()> {
        self.take_if(|b| b == byte).map(drop)
    }

    /// Takes an ASCII word, whatever its case.
    pub(crate) fn expect_ignoring_case(&mut self, word: &str) -> Option<()> {
        let found = self.text.as_bytes().get(self.position..self.position + word.len())?;
        found.eq_ignore_ascii_case(word.as_bytes()).then(|| self.position += word.len())
    }

    /// Takes up to `max` (at most 18) ASCII digits, at least one: the number and how many there were.
    pub(crate) fn digits(&mut self, max: u32) -> Option<(i64, u32)> {
        let (mut value, mut width) = (0i64, 0);
        while width < max
            && let Some(byte) = self.take_if(|b| b.is_ascii_digit())
        {
            value = value * 10 + i64::from(byte - b'0');
            width += 1;
        }
        (width > 0).then_some((value, width))
    }

    /// Takes exactly `width` digits (at most 9).
    pub(crate) fn fixed_digits(&mut self, width: u32) -> Option<u32> {
        let start = self.position;
        match self.digits(width) {
            Some((value, found)) if found == width => Some(value as u32),
            _ => {
                self.position = start;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_there() {
        let mut scanner = Scanner::new("+12x3Utc é");
        assert_eq!(scanner.take_if(|b| b == b'-'), None);
        assert_eq!(scanner.expect(b'+'), Some(()));
        assert_eq!(scanner.fixed_digits(3), None);
        assert_eq!(scanner.digits(9), Some((12, 2)));
        assert_eq!(scanner.peek_at(1), Some(b'3'));
        scanner.advance(2);
        assert_eq!(scanner.expect_ignoring_case("utc"), Some(()));
        assert_eq!((scanner.rest(), scanner.is_at_end()), (" é", false));
        scanner.rewind(0);
        assert_eq!(scanner.position(), 0);
    }
}
