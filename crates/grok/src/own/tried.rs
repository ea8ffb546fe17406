//! The ways that a long search has tried already.
//!
//! What comes of a way depends on its place in the program and on the position in the text, save inside of a few
//! constructs. To go it once is enough, wherever the match began: thus a search that would take exponential time ends
//! after as many steps as there are places times positions.

use super::program::Place;

/// Bits that are kept at most, 16 MiB; a longer text is searched without.
const BITS_MAX: usize = 1 << 27;

/// A bit for each place and position.
#[derive(Debug)]
pub(super) struct Tried {
    bits: Vec<u64>,
    positions: usize,
}

impl Tried {
    /// No way tried yet, of a program of `places` instructions and a text of `length` bytes; `None` if they are too many.
    pub(super) fn new(places: usize, length: usize) -> Option<Self> {
        let positions = length + 1;
        let count = places.checked_mul(positions).filter(|count| *count <= BITS_MAX)?;
        Some(Self { bits: vec![0; count / 64 + 1], positions })
    }

    /// Notes a way; false when it was noted before.
    pub(super) fn insert(&mut self, place: Place, position: usize) -> bool {
        let at = place as usize * self.positions + position;
        let Some(word) = self.bits.get_mut(at / 64) else { return true };
        let bit = 1 << (at % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_new_once() {
        let mut tried = Tried::new(3, 4).unwrap();
        assert!(tried.insert(2, 4) && tried.insert(2, 3) && tried.insert(1, 4));
        assert!(!tried.insert(2, 4));
        assert!(Tried::new(1 << 16, 1 << 20).is_none());
    }
}
