//! Where an event was read, as a number that a second reading gives again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::num::NonZeroU64;
use twox_hash::{XxHash3_64, XxHash3_128};

/// The place that an event was read at, and what was read there: the same for each reading of the same line of the same
/// file, and different for any other event. Outputs derive ids from it, so that what is delivered again replaces itself.
///
/// The hash is XXH3 with 128 bits: it does not change with versions or machines, as ids must not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    high: NonZeroU64,
    low: u64,
}

impl Origin {
    /// The origin of `payload`, the bytes that stand at `position` of `source`.
    pub fn new(source: u64, position: u64, payload: &[u8]) -> Origin {
        let mut place = [0; 16];
        let (left, right) = place.split_at_mut(8);
        left.copy_from_slice(&source.to_be_bytes());
        right.copy_from_slice(&position.to_be_bytes());
        // A seed for each place would cost more than the hash of a line.
        Origin::of_hash(XxHash3_128::oneshot(payload) ^ XxHash3_128::oneshot(&place).rotate_left(1))
    }

    /// The origin of the `number`th event that was made of this one.
    #[must_use]
    pub fn derive(self, number: u64) -> Origin {
        Origin::of_hash(XxHash3_128::oneshot_with_seed(number, &self.to_bytes()))
    }

    /// A text of 22 letters, digits, `-` and `_`.
    pub fn id(self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_bytes())
    }

    /// Its bytes, for a queue on disk.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.high.get()) << 64 | u128::from(self.low)).to_be_bytes()
    }

    /// What [`Origin::to_bytes`] gave.
    pub fn from_bytes(bytes: [u8; 16]) -> Origin {
        Origin::of_hash(u128::from_be_bytes(bytes))
    }

    fn of_hash(hash: u128) -> Origin {
        let high = NonZeroU64::new((hash >> 64) as u64).unwrap_or(NonZeroU64::MIN);
        Origin { high, low: hash as u64 }
    }
}

/// A number for a source that is described by `parts`; the order counts, and where each part ends.
pub fn source_number(parts: &[&[u8]]) -> u64 {
    parts.iter().fold(0, |seed, part| XxHash3_64::oneshot_with_seed(seed ^ part.len() as u64, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_of_the_same_place_and_nothing_else() {
        let origin = |source, position, line: &str| Origin::new(source, position, line.as_bytes());
        let one = origin(1, 0, "line");
        assert_eq!(one, origin(1, 0, "line"));
        for other in [origin(2, 0, "line"), origin(1, 5, "line"), origin(1, 0, "lime"), one.derive(0)] {
            assert_ne!(one, other);
        }
        assert_ne!(one.derive(1), one.derive(2));
        assert_eq!(Origin::from_bytes(one.to_bytes()), one);
        assert_eq!(Origin::from_bytes([0; 16]).to_bytes()[7], 1, "nothing is no origin");
    }

    #[test]
    fn ids_are_the_same_for_ever() {
        // Documents in people's indices carry them.
        let origin = Origin::new(source_number(&[b"dev", b"7"]), 4096, b"a line of a log");
        assert_eq!(origin.id(), "2S0BX6Ul35TqvshZJnVyDA");
        assert_eq!(origin.derive(1).id(), "-bbNdFAjJ9uspJcug-72HQ");
    }

    #[test]
    fn parts_of_a_source_are_not_glued_together() {
        assert_ne!(source_number(&[b"ab", b"c"]), source_number(&[b"a", b"bc"]));
        assert_ne!(source_number(&[b"ab"]), source_number(&[b"ab", b""]));
    }
}
