//! Captures as numbers: Ruby's `String#to_i` and `String#to_f`, which read as far as they can and never fail.

use ferrostash_event::Value;
use ferrostash_event::number::NUMBER_DIGITS_MAX;

/// `String#to_i`: the digits at the beginning, single underscores between them left out; 0 when there are none.
/// `None` for more digits than a number may have.
pub(super) fn to_i(text: &str) -> Option<Value> {
    // By far the most frequent form.
    if let Ok(int) = text.parse() {
        return Some(Value::Int(int));
    }
    let (sign, rest) = split_sign(without_blanks(text));
    let mut digits = String::new();
    push_digits(rest, &mut digits);
    let kept = digits.trim_start_matches('0');
    match kept.len() {
        0 => return Some(Value::Int(0)),
        1..=NUMBER_DIGITS_MAX => {}
        _ => return None,
    }
    let number = format!("{sign}{kept}");
    Some(number.parse().map_or(Value::BigInt(number), Value::Int))
}

/// `String#to_f`: the decimal number at the beginning, with exponent; 0.0 when there is none.
pub(super) fn to_f(text: &str) -> f64 {
    // By far the most frequent form, and read in the same way by both languages.
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
    if let Some(number) = is_plain.then(|| text.parse().ok()).flatten() {
        return number;
    }
    let (sign, rest) = split_sign(without_blanks(text));
    let mut number = String::from(sign);
    let whole = push_digits(rest, &mut number);
    let mut rest = rest.get(whole..).unwrap_or_default();
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        number.push('.');
        fraction = push_digits(after, &mut number);
        rest = if fraction > 0 { after.get(fraction..).unwrap_or_default() } else { "" };
    }
    if whole == 0 && fraction == 0 {
        return 0.0;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let end = number.len();
        let (sign, digits) = split_sign(exponent);
        number.push('e');
        number.push_str(sign);
        if push_digits(digits, &mut number) == 0 {
            number.truncate(end);
        }
    }
    number.parse().unwrap_or(0.0)
}

/// Without the blanks that it begins with.
fn without_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}

/// The sign, and what follows it.
fn split_sign(text: &str) -> (&'static str, &str) {
    match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Appends the digits that `text` begins with; the number of bytes they take, underscores included.
fn push_digits(text: &str, out: &mut String) -> usize {
    let mut end = 0;
    let mut after_digit = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                out.push(char::from(byte));
                end = at + 1;
                after_digit = true;
            }
            b'_' if after_digit => after_digit = false,
            _ => break,
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, expected) in [
            ("42", 42),
            ("007", 7),
            ("-9", -9),
            ("+8", 8),
            ("12abc", 12),
            ("abc", 0),
            ("3.99", 3),
            ("0x1F", 0),
            ("1_000", 1000),
            ("1__000", 1),
            ("_1", 0),
            ("1_", 1),
            (" \t5", 5),
            ("- 5", 0),
            ("", 0),
            ("-", 0),
        ] {
            assert_eq!(to_i(text), Some(Value::Int(expected)), "{text}");
        }
        assert_eq!(to_i("-0099999999999999999999x"), Some(Value::BigInt("-99999999999999999999".into())));
        assert_eq!(to_i(&"9".repeat(NUMBER_DIGITS_MAX + 1)), None);
    }

    #[test]
    fn floats() {
        for (text, expected) in [
            ("4.2", 4.2),
            ("007.50", 7.5),
            ("+8.25", 8.25),
            ("12abc", 12.0),
            ("abc", 0.0),
            ("1e3", 1000.0),
            ("1E-2x", 0.01),
            ("1e", 1.0),
            ("1e+", 1.0),
            ("0x1F", 0.0),
            ("1_000.5", 1000.5),
            (".5", 0.5),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("5.e3", 5.0),
            (".", 0.0),
            ("", 0.0),
            ("1e999", f64::INFINITY),
        ] {
            assert_eq!(to_f(text), expected, "{text}");
        }
        assert!(to_f("-0.0").is_sign_negative());
    }
}
