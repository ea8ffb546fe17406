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

    /// Takes up to `max` ASCII digits, at least one: the number, held at the end of an `i64`, and how many there were.
    pub(crate) fn digits(&mut self, max: usize) -> Option<(i64, usize)> {
        let rest = self.text.as_bytes().get(self.position..)?;
        let (mut value, mut width) = (0i64, 0);
        for byte in rest.iter().take(max) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = if width < EXACT_DIGITS {
                value * 10 + i64::from(digit)
            } else {
                value.saturating_mul(10).saturating_add(i64::from(digit))
            };
            width += 1;
        }
        self.position += width;
        (width > 0).then_some((value, width))
    }

    /// Takes exactly two digits.
    #[inline]
    pub(crate) fn pair(&mut self) -> Option<i32> {
        let rest = self.text.as_bytes().get(self.position..)?;
        let [tens, ones, ..] = *rest else { return None };
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        if tens > 9 || ones > 9 {
            return None;
        }
        self.position += 2;
        Some(i32::from(tens * 10 + ones))
    }
}

/// Every number of so many digits fits an `i64`.
pub(crate) const EXACT_DIGITS: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_there() {
        let mut scanner = Scanner::new("+12x3Utc é");
        assert_eq!(scanner.take_if(|b| b == b'-'), None);
        assert_eq!(scanner.expect(b'+'), Some(()));
        assert_eq!((scanner.pair(), scanner.pair()), (Some(12), None));
        scanner.rewind(1);
        assert_eq!(scanner.digits(9), Some((12, 2)));
        assert_eq!(scanner.peek_at(1), Some(b'3'));
        scanner.advance(2);
        assert_eq!(scanner.expect_ignoring_case("utc"), Some(()));
        assert_eq!((scanner.rest(), scanner.is_at_end()), (" é", false));
        scanner.rewind(0);
        assert_eq!(scanner.position(), 0);
    }
}
