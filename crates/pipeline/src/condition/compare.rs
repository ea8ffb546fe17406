//! Logstash's comparisons of values.

use super::Unanswered;
use ferrostash_event::ValueRef;
use std::cmp::Ordering;

/// Whole numbers that JRuby keeps one object each for.
const CACHED_INTEGERS: std::ops::RangeInclusive<i64> = -256..=255;

/// `==` of two fields; `None` stands for a missing one.
pub(super) fn equal_fields(left: Option<ValueRef<'_>>, right: Option<ValueRef<'_>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => equal(left, right),
        (None, None) => true,
        _ => false,
    }
}

/// `==` of two values: same kind, same value; lists element by element, hashes by [`identical`].
pub(super) fn equal(left: ValueRef<'_>, right: ValueRef<'_>) -> bool {
    match (left, right) {
        (ValueRef::Array(a), ValueRef::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b))
        }
        (ValueRef::Object(a), ValueRef::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| identical(a, b)))
        }
        _ => left.same_as(right),
    }
}

/// Whether Logstash would find the same object in two hashes: its hashes are compared by the identity of their values.
fn identical(left: ValueRef<'_>, right: ValueRef<'_>) -> bool {
    match (left, right) {
        (ValueRef::Null, ValueRef::Null) => true,
        (ValueRef::Bool(a), ValueRef::Bool(b)) => a == b,
        (ValueRef::Int(a), ValueRef::Int(b)) => a == b && CACHED_INTEGERS.contains(&a),
        _ => false,
    }
}

/// The order of two values, `None` being a missing one.
///
/// What Ruby cannot order but Java asks for counts as equal, when null, a boolean or a timestamp stands on the left.
pub(super) fn order(left: Option<ValueRef<'_>>, right: Option<ValueRef<'_>>) -> Result<Ordering, Unanswered> {
    use ValueRef::{Array, Bool, Null, Object, Str, Timestamp};
    let answer = match (left, right) {
        (None | Some(Array(_) | Object(_)), _) | (_, Some(Array(_) | Object(_))) => None,
        (Some(Timestamp(a)), Some(Timestamp(b))) => Some(a.cmp(&b)),
        (Some(Null | Bool(_) | Timestamp(_)), _) => Some(Ordering::Equal),
        (Some(Str(a)), Some(Str(b))) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Some(a), Some(b)) => order_numbers(a, b),
        (Some(_), None) => None,
    };
    answer.ok_or_else(|| Unanswered::Order {
        left: kind(left),
        right: kind(right),
        in_java: format!(
            "Unexpected conditional input combination of '{}' (left) and '{}' (right)",
            java_text(left),
            java_text(right)
        )
        .into(),
    })
}

/// A value longer than this, in bytes, is cut where an error shows it.
const SHOWN_BYTES_MAX: usize = 1024;

/// Java's class and text of a value.
fn java_text(value: Option<ValueRef<'_>>) -> String {
    let class = match value {
        None | Some(ValueRef::Null) => "org.jruby.RubyNil",
        Some(ValueRef::Bool(_)) => "org.jruby.RubyBoolean",
        Some(ValueRef::Int(_)) => "org.jruby.RubyFixnum",
        Some(ValueRef::BigInt(_)) => "org.jruby.RubyBignum",
        Some(ValueRef::Float(_)) => "org.jruby.RubyFloat",
        Some(ValueRef::Decimal(_)) => "org.jruby.ext.bigdecimal.RubyBigDecimal",
        Some(ValueRef::Timestamp(_)) => "org.logstash.ext.JrubyTimestampExtLibrary$RubyTimestamp",
        Some(ValueRef::Str(_)) => "org.jruby.RubyString",
        Some(ValueRef::Array(_)) => "org.logstash.ConvertedList",
        Some(ValueRef::Object(_)) => "org.logstash.ConvertedMap",
    };
    let mut text = format!("class {class}:");
    if let Some(value) = value.filter(|value| !value.is_null()) {
        value.write_java(&mut text);
    }
    if text.len() > SHOWN_BYTES_MAX {
        text.truncate(text.floor_char_boundary(SHOWN_BYTES_MAX));
        text.push('…');
    }
    text
}

/// `None` unless both are numbers.
fn order_numbers(left: ValueRef<'_>, right: ValueRef<'_>) -> Option<Ordering> {
    if let (ValueRef::Int(a), ValueRef::Int(b)) = (left, right) {
        return Some(a.cmp(&b));
    }
    if matches!(left, ValueRef::Float(_)) || matches!(right, ValueRef::Float(_)) {
        return to_f64(left)?.partial_cmp(&to_f64(right)?);
    }
    let (mut a, mut b) = (Digits::default(), Digits::default());
    Some(order_decimals(a.of(left)?, b.of(right)?))
}

fn to_f64(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Int(i) => Some(i as f64),
        ValueRef::Float(f) => Some(f),
        ValueRef::BigInt(text) | ValueRef::Decimal(text) => text.parse().ok(),
        _ => None,
    }
}

/// Room for the digits of an integer.
#[derive(Default)]
struct Digits(itoa::Buffer);

impl Digits {
    fn of<'a>(&'a mut self, value: ValueRef<'a>) -> Option<&'a str> {
        match value {
            ValueRef::Int(i) => Some(self.0.format(i)),
            ValueRef::BigInt(text) | ValueRef::Decimal(text) => Some(text),
            _ => None,
        }
    }
}

/// Exact order of two numbers as text, such as `-12`, `1.50` and `1E+30`.
fn order_decimals(left: &str, right: &str) -> Ordering {
    let (a, b) = (Decimal::read(left), Decimal::read(right));
    match (a.sign(), b.sign()) {
        (1, 1) => a.order_size(&b),
        (-1, -1) => b.order_size(&a),
        (a, b) => a.cmp(&b),
    }
}

/// A number's text, taken apart without copying it.
struct Decimal<'a> {
    negative: bool,
    /// Digits and at most one point, from the first digit that is not zero.
    digits: &'a str,
    /// Digits before the point, counted from that first one; at most zero for fractions.
    whole: i64,
}

impl<'a> Decimal<'a> {
    fn read(text: &'a str) -> Decimal<'a> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.parse().unwrap_or(0);
        let point = mantissa.find('.').unwrap_or(mantissa.len()) as i64;
        let digits = mantissa.trim_start_matches(['0', '.']);
        let first = (mantissa.len() - digits.len()) as i64;
        let whole = if first <= point { point - first } else { point + 1 - first };
        Decimal { negative, digits, whole: whole + exponent }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn order_size(&self, other: &Decimal<'_>) -> Ordering {
        self.whole.cmp(&other.whole).then_with(|| self.significant().cmp(other.significant()))
    }

    fn significant(&self) -> impl Iterator<Item = u8> + '_ {
        self.digits
            .trim_end_matches(if self.digits.contains('.') { &['0', '.'][..] } else { &['0'] })
            .bytes()
            .filter(|b| *b != b'.')
    }
}

fn kind(value: Option<ValueRef<'_>>) -> &'static str {
    match value {
        None => "a missing field",
        Some(ValueRef::Null) => "null",
        Some(ValueRef::Bool(_)) => "a boolean",
        Some(ValueRef::Timestamp(_)) => "a timestamp",
        Some(ValueRef::Str(_)) => "a string",
        Some(ValueRef::Array(_)) => "a list",
        Some(ValueRef::Object(_)) => "a hash",
        Some(_) => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_kinds_have_one_order() {
        let ascending = [
            "-1E+30",
            "-12345678901234567890",
            "-1.5",
            "-1",
            "0",
            "0.00010",
            "0.5",
            "1",
            "1.50",
            "12",
            "1E+2",
            "12345678901234567890",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(order_decimals(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
        for (a, b) in [("1.50", "1.5"), ("100", "1E+2"), ("0.0", "-0"), ("10", "10.00"), ("1E-2", "0.01")] {
            assert_eq!(order_decimals(a, b), Ordering::Equal, "{a} and {b}");
        }
        let mixed = order_numbers(ValueRef::Decimal("5.5"), ValueRef::Int(5));
        assert_eq!(mixed, Some(Ordering::Greater));
        assert_eq!(
            order_numbers(ValueRef::BigInt("12345678901234567890"), ValueRef::Float(1.5)),
            Some(Ordering::Greater)
        );
        assert_eq!(order_numbers(ValueRef::Float(f64::NAN), ValueRef::Int(1)), None);
    }
}
