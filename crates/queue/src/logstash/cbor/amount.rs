//! Large integers: from base 256 to base 10 and back.

/// The decimal digits of an amount in base 256.
pub(super) fn decimal_digits(bytes: &[u8]) -> String {
    // Base 10⁹, lowest first.
    let mut groups: Vec<u64> = Vec::new();
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for group in &mut groups {
            let value = (*group << 8) + carry;
            (*group, carry) = (value % 1_000_000_000, value / 1_000_000_000);
        }
        if carry > 0 {
            groups.push(carry);
        }
    }
    let mut groups = groups.into_iter().rev();
    let mut digits = groups.next().unwrap_or(0).to_string();
    groups.for_each(|group| digits.push_str(&format!("{group:09}")));
    digits
}

/// An amount in base 256, from its decimal digits. The first bit is 0, as Java's `toByteArray` has it.
pub(super) fn amount_bytes(digits: &str) -> Vec<u8> {
    // Lowest first.
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.bytes().filter(u8::is_ascii_digit) {
        let mut carry = u16::from(digit - b'0');
        for byte in &mut bytes {
            let value = u16::from(*byte) * 10 + carry;
            (*byte, carry) = (value as u8, value >> 8);
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    if bytes.last().is_none_or(|last| *last >= 0x80) {
        bytes.push(0);
    }
    bytes.reverse();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_all_digits() {
        for digits in ["0", "255", "256", "12345678901234567890", "340282366920938463463374607431768211456"] {
            let bytes = amount_bytes(digits);
            assert!(bytes.first().is_some_and(|first| *first < 0x80));
            assert_eq!(decimal_digits(&bytes), digits);
        }
    }
}
