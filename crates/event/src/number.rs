//! Numbers as text, the ways Logstash writes them.
//!
//! Three spellings meet in a Logstash event: Java's `Double.toString` (JSON output, sprintf), Ruby's `Float#to_s`
//! (mutate's conversions) and `BigDecimal` in both languages (the json filter keeps decimals with all their digits).

/// Appends `value` as Java's `Double.toString` spells it: `1.0`, `1.0E7`, `9.0E-4`, `Infinity`, `NaN`.
pub fn write_java_double(value: f64, out: &mut String) {
    out.push_str(java_double(value).as_str());
}

/// Appends `value` as Java's `Float.toString` spells it, which has fewer digits than the same number as a double.
pub fn write_java_float(value: f32, out: &mut String) {
    let mut buffer = zmij::Buffer::new();
    let nearer = value.is_subnormal().then(|| format!("{value:.1e}"));
    let digits = match &nearer {
        Some(two) if two.parse() == Ok(value) => two.parse(),
        _ => buffer.format(value).parse(),
    };
    write_java_double(digits.unwrap_or(f64::from(value)), out);
}

/// The text of [`write_java_double`], on the stack.
pub(crate) fn java_double(value: f64) -> NumberText {
    let mut out = NumberText::default();
    let spelling = Spelling {
        plain_min: -3,
        plain_max: 7,
        e: 'E',
        plus: false,
        two_digits: true,
        two_digit_exponent: false,
    };
    write_double(value, &mut out, spelling);
    out
}

/// Appends `value` as JRuby's `Float#to_s` spells it: `1.0`, `1000000000000000000.0`, `1.0e+20`, `1.0e-05`, `Infinity`,
/// `NaN`. It is plain up to 1e19; from there to 1e20 it has 15 digits only.
pub fn write_ruby_float(value: f64, out: &mut String) {
    if (1e19..1e20).contains(&value.abs()) {
        let rounded = format!("{value:.14e}");
        let mantissa = rounded.strip_suffix("e19").unwrap_or(&rounded).trim_end_matches('0');
        out.push_str(mantissa);
        return out.push_str(if mantissa.ends_with('.') { "0e+19" } else { "e+19" });
    }
    let mut text = NumberText::default();
    let spelling = Spelling {
        plain_min: -4,
        plain_max: 19,
        e: 'e',
        plus: true,
        two_digits: false,
        two_digit_exponent: true,
    };
    write_double(value, &mut text, spelling);
    out.push_str(text.as_str());
}

struct Spelling {
    /// Decimal exponents from `plain_min` to below `plain_max` are written without an exponent.
    plain_min: i32,
    plain_max: i32,
    e: char,
    plus: bool,
    /// Two digits are taken where one would do, if they are nearer; only numbers of a few bits have such.
    two_digits: bool,
    two_digit_exponent: bool,
}

fn write_double(value: f64, out: &mut NumberText, spelling: Spelling) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    if value.is_infinite() {
        return out.push_str("Infinity");
    }
    if value == 0.0 {
        return out.push_str("0.0");
    }
    let mut buffer = zmij::Buffer::new();
    let value = value.abs();
    let nearer = (spelling.two_digits && value.is_subnormal()).then(|| format!("{value:.1e}"));
    let shortest = match &nearer {
        Some(two) if two.parse() == Ok(value) => two,
        _ => buffer.format_finite(value),
    };
    let (digits, exponent) = digits_and_exponent(shortest);
    let digits = digits.as_str();
    if (spelling.plain_min..spelling.plain_max).contains(&exponent) {
        write_plain(digits, exponent, out);
    } else {
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        out.push('.');
        out.push_str(if rest.is_empty() { "0" } else { rest });
        out.push(spelling.e);
        if exponent < 0 {
            out.push('-');
        } else if spelling.plus {
            out.push('+');
        }
        if spelling.two_digit_exponent && exponent.abs() < 10 {
            out.push('0');
        }
        out.push_str(itoa::Buffer::new().format(exponent.abs()));
    }
}

fn write_plain(digits: &str, exponent: i32, out: &mut NumberText) {
    if exponent < 0 {
        out.push_str("0.");
        (1..-exponent).for_each(|_| out.push('0'));
        return out.push_str(digits);
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.push_str(digits);
        (digits.len()..whole).for_each(|_| out.push('0'));
        out.push_str(".0");
    } else {
        let (before, after) = digits.split_at(whole);
        out.push_str(before);
        out.push('.');
        out.push_str(after);
    }
}

/// The text of a double; ASCII, and never longer than this.
#[derive(Default)]
pub(crate) struct NumberText {
    bytes: [u8; 32],
    len: usize,
}

impl NumberText {
    fn push_str(&mut self, text: &str) {
        let end = self.len + text.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(text.as_bytes());
            self.len = end;
        }
    }

    fn push(&mut self, c: char) {
        self.push_str(c.encode_utf8(&mut [0; 4]));
    }

    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("0")
    }
}

/// The significant digits of a shortest decimal form, and the exponent of the first one.
fn digits_and_exponent(text: &str) -> (NumberText, i32) {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (text, 0),
    };
    let mut digits = NumberText::default();
    // Exponent of the digit after the last one before the point, relative to the first significant digit.
    let (mut first, mut seen_point, mut whole, mut leading) = (false, false, 0i32, 0i32);
    let mut trailing = 0usize;
    for byte in mantissa.bytes() {
        if byte == b'.' {
            seen_point = true;
            continue;
        }
        if !first && byte == b'0' {
            leading += i32::from(seen_point);
            continue;
        }
        first = true;
        whole += i32::from(!seen_point);
        if byte == b'0' {
            trailing += 1;
        } else {
            (0..trailing).for_each(|_| digits.push('0'));
            trailing = 0;
            digits.push(byte as char);
        }
    }
    let position = if whole > 0 { whole - 1 } else { -leading - 1 };
    (digits, position + exponent)
}

/// A decimal number with its digits as they were written: Java's `BigDecimal`.
///
/// Kept as its canonical text (`BigDecimal.toString`): `1.50`, `1E+3`, `0.1000000000000000055511151231257827`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Unscaled digits without leading zeros; `0` for zero.
    digits: String,
    negative: bool,
    /// Digits after the point; negative for a positive exponent.
    scale: i64,
}

/// Most digits that a number may have; Jackson's limit, which Logstash keeps.
pub const NUMBER_DIGITS_MAX: usize = 1000;

impl Decimal {
    /// Whether `text`, a JSON number, is already what [`Decimal::to_java`] would make of it.
    pub(crate) fn is_canonical(text: &str) -> bool {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let Some((whole, fraction)) = digits.split_once('.') else { return false };
        let small = || fraction.bytes().take_while(|byte| *byte == b'0').count();
        // Minus zero loses its sign, and far behind the point an exponent is written.
        !fraction.contains(['e', 'E']) && (whole != "0" || small() < 6.min(fraction.len()))
    }

    /// Reads `-12.50e3`; `None` where the text is no decimal number.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let joined = format!("{whole}{fraction}");
        let trimmed = joined.trim_start_matches('0');
        let zero = trimmed.is_empty();
        Some(Decimal {
            digits: if zero { "0".into() } else { trimmed.into() },
            negative: negative && !zero,
            scale: i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?,
        })
    }

    /// `BigDecimal.toString`: plain where the exponent is small, else with `E`.
    pub fn to_java(&self) -> String {
        let mut out = String::new();
        if self.negative {
            out.push('-');
        }
        let length = self.digits.len() as i64;
        let adjusted = length - 1 - self.scale;
        if self.scale == 0 {
            out.push_str(&self.digits);
        } else if self.scale > 0 && adjusted >= -6 {
            let point = length - self.scale;
            if point > 0 {
                let (whole, fraction) = self.digits.split_at(point as usize);
                out.push_str(whole);
                out.push('.');
                out.push_str(fraction);
            } else {
                out.push_str("0.");
                (0..-point).for_each(|_| out.push('0'));
                out.push_str(&self.digits);
            }
        } else {
            let (first, rest) = self.digits.split_at(1);
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            out.push_str(if adjusted < 0 { "E-" } else { "E+" });
            out.push_str(&adjusted.unsigned_abs().to_string());
        }
        out
    }

    /// Ruby's `BigDecimal#to_s`: `0.15e1`; zero is `0.0`.
    pub fn to_ruby(&self) -> String {
        if self.digits == "0" {
            return "0.0".into();
        }
        let exponent = self.digits.len() as i64 - self.scale;
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}0.{}e{exponent}", self.digits.trim_end_matches('0'))
    }

    /// The whole part, as the text of an integer; `None` where it would be absurdly long.
    pub fn whole(&self) -> Option<String> {
        let sign = if self.negative { "-" } else { "" };
        let point = self.digits.len() as i64 - self.scale;
        if point <= 0 || self.digits == "0" {
            return Some("0".into());
        }
        let point = usize::try_from(point).ok()?;
        if point > NUMBER_DIGITS_MAX {
            return None;
        }
        let kept = self.digits.get(..point.min(self.digits.len()))?;
        Some(format!("{sign}{kept:0<point$}"))
    }

    /// The nearest double; infinite when out of range.
    pub fn to_f64(&self) -> f64 {
        self.to_java().parse().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn java(value: f64) -> String {
        let mut out = String::new();
        write_java_double(value, &mut out);
        out
    }

    fn ruby(value: f64) -> String {
        let mut out = String::new();
        write_ruby_float(value, &mut out);
        out
    }

    #[test]
    fn java_text() {
        let table = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (9e-4, "9.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (1e25, "1.0E25"),
            (-2.5e-10, "-2.5E-10"),
            (f64::INFINITY, "Infinity"),
            (f64::NAN, "NaN"),
            (430.649, "430.649"),
            // Two digits, where one would do.
            (5e-324, "4.9E-324"),
            (-1e-323, "-9.9E-324"),
            (2.2e-322, "2.2E-322"),
            (0.30000000000000004, "0.30000000000000004"),
            (f64::MAX, "1.7976931348623157E308"),
            (1230.0, "1230.0"),
            (10.5, "10.5"),
        ];
        for (value, text) in table {
            assert_eq!(java(value), text);
        }
    }

    #[test]
    fn java_float_text() {
        let table = [
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (16_777_216.0, "1.6777216E7"),
            (1.234_567_9e8, "1.2345679E8"),
            (f32::MIN_POSITIVE, "1.1754944E-38"),
            (1e-45, "1.4E-45"),
            (1e-44, "9.8E-45"),
            (-1.234e-42, "-1.235E-42"),
            (f32::NAN, "NaN"),
            (f32::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in table {
            let mut out = String::new();
            write_java_float(value, &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn ruby_text() {
        let table = [
            (1.0, "1.0"),
            (1e7, "10000000.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "10000000000000000.0"),
            (1.5e18, "1500000000000000000.0"),
            (1e19, "1.0e+19"),
            (12_345_678_901_234_567_890.0, "1.23456789012346e+19"),
            (-1.5e19, "-1.5e+19"),
            (1.2345678901234567e20, "1.2345678901234567e+20"),
            (1e-4, "0.0001"),
            (1e-5, "1.0e-05"),
            (1.5e-10, "1.5e-10"),
            (123.456, "123.456"),
            (-1e100, "-1.0e+100"),
        ];
        for (value, text) in table {
            assert_eq!(ruby(value), text);
        }
    }

    #[test]
    fn decimals_keep_their_digits() {
        let table = [
            ("1.50", "1.50", "0.15e1", "1"),
            ("1e3", "1E+3", "0.1e4", "1000"),
            ("-0.0", "0.0", "0.0", "0"),
            ("1E-7", "1E-7", "0.1e-6", "0"),
            ("12345678.9", "12345678.9", "0.123456789e8", "12345678"),
            ("1e0", "1", "0.1e1", "1"),
            ("1e-2", "0.01", "0.1e-1", "0"),
            ("1.5e7", "1.5E+7", "0.15e8", "15000000"),
            ("-100.0", "-100.0", "-0.1e3", "-100"),
            ("0.000001", "0.000001", "0.1e-5", "0"),
        ];
        for (text, java, ruby, whole) in table {
            let decimal = Decimal::parse(text).unwrap();
            assert_eq!(
                (&*decimal.to_java(), &*decimal.to_ruby(), &*decimal.whole().unwrap()),
                (java, ruby, whole)
            );
        }
        for text in ["1.50", "-1.50", "0.5", "0.000001", "0.0000001", "0.0", "-0.0", "1.5e7", "10.0", "0.10"]
        {
            let canonical = Decimal::parse(text).unwrap().to_java() == text;
            assert!(canonical || !Decimal::is_canonical(text), "{text}");
        }
        assert!(Decimal::is_canonical("1.50") && Decimal::is_canonical("-0.5"));
        assert_eq!(Decimal::parse("1.x"), None);
        assert_eq!(Decimal::parse("1e99999").unwrap().whole(), None);
    }
}
