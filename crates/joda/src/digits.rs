//! Numbers as text, without a detour through `fmt`.

/// Appends a number with at least `width` digits; the sign of a negative one comes before them.
pub(crate) fn push_padded(out: &mut String, value: i64, width: usize) {
    if value < 0 {
        out.push('-');
    }
    let mut rest = value.unsigned_abs();
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if rest == 0 && used > 0 {
            break;
        }
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
    }
    out.extend(std::iter::repeat_n('0', width.saturating_sub(used)));
    let start = digits.len() - used;
    // Digits are ASCII.
    out.push_str(digits.get(start..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_signs() {
        let text = |value, width| {
            let mut out = String::new();
            push_padded(&mut out, value, width);
            out
        };
        assert_eq!((text(0, 1), text(7, 3), text(2026, 2)), ("0".into(), "007".into(), "2026".into()));
        assert_eq!((text(-44, 4), text(0, 0)), ("-0044".into(), "0".into()));
        assert_eq!(text(i64::MIN, 1), "-9223372036854775808");
    }
}
