//! Look-behind has a fixed length in Ruby; only alternatives at its top may differ. The engine underneath takes more, and
//! an expression that Logstash refuses must be refused here too.

use crate::regex::PatternError;

/// Refuses look-behinds whose length varies.
pub(crate) fn check(pattern: &str) -> Result<(), PatternError> {
    let mut reader = Reader { bytes: pattern.as_bytes(), at: 0, varying: None };
    while reader.at < reader.bytes.len() {
        reader.alternatives();
        // A parenthesis too many is somebody else's error.
        reader.at += 1;
    }
    match reader.varying {
        None => Ok(()),
        Some(at) => Err(PatternError::new(pattern, "invalid pattern in look-behind", Some(at))),
    }
}

struct Reader<'p> {
    bytes: &'p [u8],
    at: usize,
    /// The first look-behind that varies.
    varying: Option<usize>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn looks_at(&self, text: &str) -> bool {
        self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    /// The lengths of alternatives up to a closing parenthesis, which is not taken; `None` for one that varies.
    fn alternatives(&mut self) -> Vec<Option<usize>> {
        let mut lengths = vec![Some(0)];
        while let Some(byte) = self.peek() {
            match byte {
                b')' => break,
                b'|' => {
                    self.at += 1;
                    lengths.push(Some(0));
                }
                _ => {
                    let atom = self.atom();
                    let length = self.repeated(atom);
                    if let Some(last) = lengths.last_mut() {
                        *last = last.zip(length).map(|(a, b)| a + b);
                    }
                }
            }
        }
        lengths
    }

    fn atom(&mut self) -> Option<usize> {
        match self.peek() {
            Some(b'(') => self.group(),
            Some(b'[') => {
                self.class();
                Some(1)
            }
            Some(b'\\') => self.escape(),
            Some(b'^' | b'$') => {
                self.at += 1;
                Some(0)
            }
            _ => {
                self.character();
                Some(1)
            }
        }
    }

    /// Steps over a whole UTF-8 character.
    fn character(&mut self) {
        self.at += 1;
        while self.peek().is_some_and(|byte| byte & 0xC0 == 0x80) {
            self.at += 1;
        }
    }

    fn group(&mut self) -> Option<usize> {
        let start = self.at;
        let behind = self.looks_at("(?<=") || self.looks_at("(?<!");
        let around = behind || self.looks_at("(?=") || self.looks_at("(?!");
        self.skip_group_head();
        let lengths = self.alternatives();
        self.at += 1;
        if behind && lengths.contains(&None) {
            self.varying.get_or_insert(start);
        }
        match lengths.split_first() {
            _ if around => Some(0),
            Some((first, rest)) if rest.iter().all(|other| other == first) => *first,
            _ => None,
        }
    }

    /// Behind the parenthesis and what says which kind of group it is.
    fn skip_group_head(&mut self) {
        self.at += 1;
        if self.peek() != Some(b'?') {
            return;
        }
        let named = self.looks_at("?<") && !self.looks_at("?<=") && !self.looks_at("?<!");
        let until: &[u8] = if named {
            b">"
        } else if self.looks_at("?'") {
            b"'"
        } else {
            b":=!>)#"
        };
        self.at += if self.looks_at("?'") { 2 } else { 1 };
        while let Some(byte) = self.peek() {
            if byte == b')' {
                // Flags alone: `(?i)`.
                return;
            }
            self.at += 1;
            if until.contains(&byte) {
                return;
            }
        }
    }

    fn class(&mut self) {
        self.at += 1;
        if self.peek() == Some(b'^') {
            self.at += 1;
        }
        if self.peek() == Some(b']') {
            self.at += 1;
        }
        while let Some(byte) = self.peek() {
            match byte {
                b']' => {
                    self.at += 1;
                    return;
                }
                b'[' => self.class(),
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Option<usize> {
        self.at += 1;
        let letter = self.peek()?;
        self.character();
        match letter {
            b'b' | b'B' | b'A' | b'z' | b'Z' | b'G' | b'K' => Some(0),
            b'1'..=b'9' | b'g' | b'k' | b'R' | b'X' => {
                self.braced(b'<', b'>');
                None
            }
            b'x' => {
                if !self.braced(b'{', b'}') {
                    (0..2).for_each(|_| {
                        self.at += usize::from(self.peek().is_some_and(|b| b.is_ascii_hexdigit()))
                    });
                }
                Some(1)
            }
            b'u' => {
                self.at += 4;
                Some(1)
            }
            b'p' | b'P' => {
                self.braced(b'{', b'}');
                Some(1)
            }
            _ => Some(1),
        }
    }

    fn braced(&mut self, open: u8, close: u8) -> bool {
        let braced = self.peek() == Some(open);
        while braced && self.peek().is_some_and(|byte| byte != close) {
            self.at += 1;
        }
        self.at += usize::from(braced);
        braced
    }

    /// The length with the quantifiers that follow.
    fn repeated(&mut self, atom: Option<usize>) -> Option<usize> {
        let mut length = atom;
        loop {
            match self.peek() {
                Some(b'*' | b'+' | b'?') => {
                    self.at += 1;
                    length = if length == Some(0) { length } else { None };
                }
                Some(b'{') => match self.interval() {
                    Some((low, high, behind)) => {
                        self.at = behind;
                        let times = (Some(low) == high).then_some(low);
                        length =
                            if length == Some(0) { length } else { length.zip(times).map(|(a, b)| a * b) };
                    }
                    None => return length,
                },
                _ => return length,
            }
        }
    }

    /// `{n}`, `{n,m}`, `{n,}` or `{,m}`, and the place behind it; anything else is text.
    fn interval(&self) -> Option<(usize, Option<usize>, usize)> {
        let rest = self.bytes.get(self.at + 1..)?;
        let end = rest.iter().position(|byte| *byte == b'}')?;
        let inner = std::str::from_utf8(rest.get(..end)?).ok()?;
        let behind = self.at + end + 2;
        match inner.split_once(',') {
            None => inner.parse().ok().map(|n| (n, Some(n), behind)),
            Some(("", high)) => Some((0, Some(high.parse().ok()?), behind)),
            Some((low, "")) => Some((low.parse().ok()?, None, behind)),
            Some((low, high)) => Some((low.parse().ok()?, Some(high.parse().ok()?), behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn fixed_lengths_pass() {
        for good in [
            "(?<=a)b",
            "(?<![0-9A-Fa-f])x",
            "(?<=ab|c)d",
            "(?<=a{3}[x\\]]\\d)",
            "(?<!\\\\)(?:a+)",
            "(?<name>a+)",
            "(?<=(?:ab|cd))e",
            "(?<=^|\\s)x",
            "(?<!(?=a+))",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn others_are_refused_with_their_place() {
        for bad in ["(?<=a+)b", "(?<!a?)b", "(?<=a{1,2})b", "(?<=(?:ab|c))d", "(a)(?<=\\1)"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(check("x(?<=a+)b").unwrap_err().offset(), Some(1));
    }
}
