//! A set of characters: what a class, a property or `.` stands for.

use ferroni::encodings::ONIG_ENCODING_UTF8;
use ferroni::regenc::Encoding;

/// The last code point.
const LAST: u32 = 0x10_FFFF;

/// Characters: a bit for each ASCII one, and ranges for the others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct CharSet {
    ascii: u128,
    /// Ranges from U+0080 on, inclusive, sorted, with gaps between them.
    high: Vec<(u32, u32)>,
}

impl CharSet {
    /// Every character.
    pub(super) fn all() -> Self {
        Self { ascii: u128::MAX, high: vec![(0x80, LAST)] }
    }

    /// One character.
    pub(super) fn of(c: char) -> Self {
        let mut set = Self::default();
        set.add(u32::from(c), u32::from(c));
        set
    }

    /// The characters of a Unicode property or POSIX bracket; `None` for an unknown name. The tables are those of
    /// the Oniguruma port, so that both engines know the same characters.
    pub(super) fn property(name: &str) -> Option<Self> {
        let kind = u32::try_from(ONIG_ENCODING_UTF8.property_name_to_ctype(name.as_bytes())).ok()?;
        let ranges = ONIG_ENCODING_UTF8.get_ctype_code_range(kind, &mut 0)?;
        let mut set = Self::default();
        for pair in ranges.chunks_exact(2) {
            if let [low, high] = pair {
                set.add(*low, *high);
            }
        }
        Some(set)
    }

    /// Adds a range, both ends included.
    pub(super) fn add(&mut self, low: u32, high: u32) {
        for code in low..=high.min(0x7F) {
            self.ascii |= 1 << code;
        }
        if high >= 0x80 {
            let (low, high) = (low.max(0x80), high.min(LAST));
            match self.high.last() {
                Some(&(_, last)) if low <= last.saturating_add(1) => {
                    self.high.push((low, high));
                    self.tidy();
                }
                _ => self.high.push((low, high)),
            }
        }
    }

    fn tidy(&mut self) {
        self.high.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(self.high.len());
        for &(low, high) in &self.high {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        self.high = merged;
    }

    pub(super) fn union(&mut self, other: &Self) {
        self.ascii |= other.ascii;
        self.high.extend_from_slice(&other.high);
        self.tidy();
    }

    pub(super) fn negate(&mut self) {
        self.ascii = !self.ascii;
        let mut gaps = Vec::with_capacity(self.high.len() + 1);
        let mut next = 0x80;
        for &(low, high) in &self.high {
            if low > next {
                gaps.push((next, low - 1));
            }
            next = high + 1;
        }
        if next <= LAST {
            gaps.push((next, LAST));
        }
        self.high = gaps;
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        let mut outside = other.clone();
        outside.negate();
        self.negate();
        self.union(&outside);
        self.negate();
    }

    /// Adds the other case of every ASCII letter in the set.
    pub(super) fn fold_ascii(&mut self) {
        for upper in b'A'..=b'Z' {
            let both = (1u128 << upper) | (1u128 << upper.to_ascii_lowercase());
            if self.ascii & both != 0 {
                self.ascii |= both;
            }
        }
    }

    /// True when no character is in the set.
    pub(super) fn is_empty(&self) -> bool {
        self.ascii == 0 && self.high.is_empty()
    }

    /// True when only ASCII characters are in the set.
    pub(super) fn is_ascii(&self) -> bool {
        self.high.is_empty()
    }

    /// True when every character beyond ASCII is in the set.
    pub(super) fn has_all_high(&self) -> bool {
        self.high == [(0x80, LAST)]
    }

    /// A bit for each ASCII character in the set.
    pub(super) fn ascii(&self) -> u128 {
        self.ascii
    }

    pub(super) fn has_ascii(&self, byte: u8) -> bool {
        byte < 0x80 && self.ascii >> byte & 1 != 0
    }

    pub(super) fn contains(&self, c: char) -> bool {
        let code = u32::from(c);
        if code < 0x80 {
            return self.ascii >> code & 1 != 0;
        }
        let at = self.high.partition_point(|&(_, high)| high < code);
        self.high.get(at).is_some_and(|&(low, _)| low <= code)
    }

    /// The only member of a set of one.
    pub(super) fn single(&self) -> Option<char> {
        match (self.ascii.count_ones(), self.high.as_slice()) {
            (1, []) => char::from_u32(self.ascii.trailing_zeros()),
            (0, [(low, high)]) if low == high => char::from_u32(*low),
            _ => None,
        }
    }

    /// The only character that is not in the set.
    pub(super) fn single_outside(&self) -> Option<char> {
        let mut outside = self.clone();
        outside.negate();
        outside.single()
    }

    /// The first bytes of the members beyond ASCII, as a range for each range of members.
    pub(super) fn lead_bytes(&self) -> impl Iterator<Item = (u8, u8)> {
        self.high.iter().map(|&(low, high)| (lead_byte(low), lead_byte(high)))
    }
}

/// The first byte of a character's UTF-8 form; of code points from U+0080 on.
fn lead_byte(code: u32) -> u8 {
    let byte = match code {
        0..0x800 => 0xC0 | code >> 6,
        0x800..0x1_0000 => 0xE0 | code >> 12,
        _ => 0xF0 | code >> 18,
    };
    byte as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_follow_set_arithmetic() {
        let mut vowels = CharSet::default();
        "aeiouäö".chars().for_each(|c| vowels.union(&CharSet::of(c)));
        let mut others = vowels.clone();
        others.negate();
        for c in ['a', 'b', 'ä', 'ü', '漢', '\u{10FFFF}'] {
            assert_ne!(vowels.contains(c), others.contains(c), "{c}");
        }
        let mut none = vowels.clone();
        none.intersect(&others);
        assert!(none.is_empty());
        others.union(&vowels);
        assert_eq!(others, CharSet::all());
        vowels.fold_ascii();
        assert!(vowels.contains('E') && !vowels.contains('Ä'));
    }

    #[test]
    fn lead_bytes_are_those_of_utf8() {
        for c in ['\u{80}', 'é', '\u{7FF}', '\u{800}', '漢', '\u{FFFF}', '\u{10000}', '\u{10FFFF}'] {
            let first = c.to_string().as_bytes()[0];
            assert_eq!(CharSet::of(c).lead_bytes().collect::<Vec<_>>(), [(first, first)], "{c:?}");
        }
    }

    #[test]
    fn properties_have_their_members() {
        let alpha = CharSet::property("alpha").unwrap();
        assert!(alpha.contains('é') && alpha.contains('x') && !alpha.contains('1'));
        assert!(CharSet::property("Han").unwrap().contains('漢'));
        assert_eq!(CharSet::property("Nope"), None);
    }
}
