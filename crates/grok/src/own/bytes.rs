//! Which bytes may come next: the ground for all choices that need no trying.

use std::ops::{BitAnd, BitOr};

use super::class::CharSet;

/// A set of bytes, with the end of the text as one more member, the 257th.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Bytes {
    bits: [u64; 4],
    end: bool,
}

/// The place of the end of the text in a table.
pub(super) const END: usize = 256;

impl Bytes {
    /// Every byte and the end.
    pub(super) const ALL: Self = Self { bits: [u64::MAX; 4], end: true };
    /// No byte, only the end.
    pub(super) const AT_END: Self = Self { bits: [0; 4], end: true };
    /// Bytes of characters beyond ASCII.
    pub(super) const BEYOND: Self = Self { bits: [0, 0, u64::MAX, u64::MAX], end: false };
    /// Letters, digits and `_`, of ASCII.
    pub(super) const WORD: Self =
        Self { bits: [0x03FF_0000_0000_0000, 0x07FF_FFFE_87FF_FFFE, 0, 0], end: false };

    pub(super) fn of(byte: u8) -> Self {
        let mut set = Self::default();
        set.add(byte);
        set
    }

    /// The first bytes of the characters of a set.
    pub(super) fn leading(set: &CharSet) -> Self {
        let ascii = set.ascii();
        let mut last = 0;
        // All of them are in the last quarter.
        for (low, high) in set.lead_bytes() {
            last |= (u64::MAX << (low & 63)) & (u64::MAX >> (63 - (high & 63)));
        }
        Self { bits: [ascii as u64, (ascii >> 64) as u64, 0, last], end: false }
    }

    pub(super) fn add(&mut self, byte: u8) {
        if let Some(word) = self.bits.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    /// Calls `each` with its members in ascending order, the end as [`END`].
    fn for_each(&self, mut each: impl FnMut(usize)) {
        for (at, mut word) in self.bits.into_iter().enumerate() {
            while word != 0 {
                each(at * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
        if self.end {
            each(END);
        }
    }

    /// How many bytes it has.
    pub(super) fn count(&self) -> u32 {
        self.bits.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether it has a byte, or the end for [`END`].
    pub(super) fn has(&self, byte: usize) -> bool {
        match self.bits.get(byte >> 6) {
            Some(word) => word >> (byte & 63) & 1 != 0,
            None => self.end,
        }
    }

    /// Sets bits at its members in a table.
    pub(super) fn mark(&self, table: &mut [u8; 257], bits: u8) {
        self.for_each(|at| table.get_mut(at).into_iter().for_each(|entry| *entry |= bits));
    }

    /// Whether bits are set at all its members.
    pub(super) fn is_marked(&self, table: &[u8; 257], bits: u8) -> bool {
        let mut all = true;
        self.for_each(|at| all &= table.get(at).is_some_and(|entry| entry & bits != 0));
        all
    }

    /// Writes a value at its members in a table.
    pub(super) fn fill(&self, table: &mut [u16; 257], value: u16) {
        self.for_each(|at| table.get_mut(at).into_iter().for_each(|entry| *entry = value));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bits == [0; 4] && !self.end
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        !(*self & *other).is_empty()
    }

    pub(super) fn is_within(&self, other: &Self) -> bool {
        *self & *other == *self
    }

    /// Everything else.
    pub(super) fn without(self, other: &Self) -> Self {
        let others = Self { bits: other.bits.map(|word| !word), end: !other.end };
        self & others
    }

    /// Its members, if there are at most three and the end is none of them.
    pub(super) fn few(&self) -> Option<Vec<u8>> {
        if !(1..=3).contains(&self.count()) || self.end {
            return None;
        }
        let mut few = Vec::with_capacity(3);
        self.for_each(|byte| few.extend(u8::try_from(byte)));
        Some(few)
    }
}

impl BitOr for Bytes {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        let mut bits = self.bits;
        bits.iter_mut().zip(other.bits).for_each(|(word, more)| *word |= more);
        Self { bits, end: self.end || other.end }
    }
}

impl BitAnd for Bytes {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        let mut bits = self.bits;
        bits.iter_mut().zip(other.bits).for_each(|(word, more)| *word &= more);
        Self { bits, end: self.end && other.end }
    }
}

/// What may come at a place for the rest of the expression to match, by what stands before the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    /// After a letter, digit or `_` of ASCII.
    pub(super) after_word: Bytes,
    /// After anything else.
    pub(super) after_other: Bytes,
    /// Whether the rest matches whatever comes.
    pub(super) sure: bool,
    /// Whether the end of the atomic group around may be reached without another character.
    pub(super) through: bool,
}

impl Next {
    /// Nothing more has to match.
    pub(super) const SURE: Self =
        Self { after_word: Bytes::ALL, after_other: Bytes::ALL, sure: true, through: true };
    /// Nothing can match.
    pub(super) fn never() -> Self {
        Self::from(Bytes::default())
    }

    /// Whatever stands before.
    pub(super) fn any(&self) -> Bytes {
        self.after_word | self.after_other
    }

    /// One or the other; one of them is surely enough.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            after_word: self.after_word | other.after_word,
            after_other: self.after_other | other.after_other,
            sure: self.sure || other.sure,
            through: self.through || other.through,
        }
    }

    /// Whatever stands before, it is not known here.
    pub(super) fn blurred(self) -> Self {
        let any = self.any();
        Self { after_word: any, after_other: any, ..self }
    }

    /// With a condition on the next byte.
    pub(super) fn only(self, bytes: &Bytes) -> Self {
        Self { after_word: self.after_word & *bytes, after_other: self.after_other & *bytes, ..self.unsure() }
    }

    /// With a condition that bytes don't show.
    pub(super) fn unsure(self) -> Self {
        Self { sure: false, ..self }
    }
}

impl From<Bytes> for Next {
    fn from(bytes: Bytes) -> Self {
        Self { after_word: bytes, after_other: bytes, sure: false, through: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(set: Bytes) -> Vec<usize> {
        let mut members = Vec::new();
        set.for_each(|byte| members.push(byte));
        assert_eq!(members, (0..=END).filter(|byte| set.has(*byte)).collect::<Vec<_>>());
        members
    }

    #[test]
    fn the_end_is_a_member_of_its_own() {
        let set = Bytes::of(b'a') | Bytes::AT_END;
        assert!(set.has(usize::from(b'a')) && set.has(END) && !set.has(0));
        assert!(!Bytes::of(b'a').has(END));
        assert!(Bytes::ALL.without(&set).has(0) && !Bytes::ALL.without(&set).has(END));
        assert!(set.meets(&Bytes::AT_END) && !Bytes::WORD.meets(&Bytes::AT_END));
        assert_eq!(Bytes::of(b'x').few(), Some(vec![b'x']));
        assert_eq!(set.few(), None);
    }

    #[test]
    fn leading_bytes_of_long_characters() {
        assert_eq!(members(Bytes::leading(&CharSet::of('é'))), [0xC3]);
        assert_eq!(members(Bytes::leading(&CharSet::of('~'))), [0x7E]);
        let every: Vec<usize> = (0..0x80).chain(0xC2..=0xF4).collect();
        assert_eq!(members(Bytes::leading(&CharSet::all())), every);
    }

    #[test]
    fn sets_that_are_written_down() {
        let word = (0..128).filter(|b: &u8| b.is_ascii_alphanumeric() || *b == b'_').map(usize::from);
        assert_eq!(members(Bytes::WORD), word.collect::<Vec<_>>());
        assert_eq!(members(Bytes::BEYOND), (128..END).collect::<Vec<_>>());
    }
}
