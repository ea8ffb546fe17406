//! Finding the bytes of a string that are not just copied, sixteen at a time.

use super::writer::BLOCK;
use wide::u8x16;

/// Where the first quote, backslash or control character is; the length where there is none.
pub(super) fn first_special(bytes: &[u8]) -> usize {
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    for (at, block) in blocks.iter().enumerate() {
        let specials = specials(block);
        if specials != 0 {
            return at * BLOCK + specials.trailing_zeros() as usize;
        }
    }
    let is_special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
    blocks.len() * BLOCK + tail.iter().position(is_special).unwrap_or(tail.len())
}

/// A bit for each quote, backslash and control character.
pub(super) fn specials(block: &[u8; BLOCK]) -> u32 {
    let bytes = u8x16::new(*block);
    let is = |byte| bytes.simd_eq(u8x16::splat(byte));
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (control | is(b'"') | is(b'\\')).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::first_special;

    #[test]
    fn every_byte_at_every_place() {
        for length in 0..40 {
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = byte;
                    let expected = if byte < 0x20 || byte == b'"' || byte == b'\\' { at } else { length };
                    assert_eq!(first_special(&bytes), expected, "{byte} at {at} of {length}");
                }
            }
        }
    }
}
