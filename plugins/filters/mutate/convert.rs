//! `convert`: Ruby's `Integer()`, `Float()`, `BigDecimal()` and `to_s`, as mutate uses them.

use super::Fault;
use crate::shared::ruby_strip;
use ferrostash_event::number::{Decimal, NUMBER_DIGITS_MAX};
use ferrostash_event::{Timestamp, Value, ValueRef};
use std::borrow::Cow;

/// What a field is converted to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Text,
    Integer,
    IntegerEu,
    Float,
    FloatEu,
    Boolean,
}

/// The names of the targets, in Logstash's order.
pub(super) const TARGETS: [(&str, Target); 6] = [
    ("string", Target::Text),
    ("integer", Target::Integer),
    ("float", Target::Float),
    ("boolean", Target::Boolean),
    ("integer_eu", Target::IntegerEu),
    ("float_eu", Target::FloatEu),
];

impl Target {
    /// The value converted; `None` where it stays what it is.
    pub(super) fn convert(self, value: ValueRef<'_>) -> Result<Option<Value>, Fault> {
        match self {
            Target::Text => Ok(to_text(value)),
            Target::Integer => to_integer(value, false),
            Target::IntegerEu => to_integer(value, true),
            Target::Float => to_float(value, false),
            Target::FloatEu => to_float(value, true),
            Target::Boolean => Ok(to_boolean(value)),
        }
    }
}

fn to_text(value: ValueRef<'_>) -> Option<Value> {
    if matches!(value, ValueRef::Str(_)) {
        return None;
    }
    let mut text = String::new();
    value.write_ruby(&mut text);
    Some(Value::String(text))
}

fn to_boolean(value: ValueRef<'_>) -> Option<Value> {
    let mut printed = String::new();
    let text = match value {
        ValueRef::Bool(_) => return None,
        ValueRef::Int(bit @ (0 | 1)) => return Some(Value::Bool(bit == 1)),
        ValueRef::Str(text) => text,
        _ => {
            value.write_ruby(&mut printed);
            &printed
        }
    };
    // The expressions behind this are anchored at lines, not at the text.
    if text.split('\n').any(|line| is_word(line, ["true", "t", "yes", "y", "1"], ('1', '0'))) {
        return Some(Value::Bool(true));
    }
    if text.is_empty()
        || text.split('\n').any(|line| is_word(line, ["false", "f", "no", "n", "0"], ('0', '0')))
    {
        return Some(Value::Bool(false));
    }
    tracing::warn!(
        value = crate::shared::excerpt(text),
        limited = true,
        "failed to convert a value into a boolean"
    );
    None
}

/// Whether `line` is one of `words`, or `first` and `last` with any one character between them (`1.0`).
fn is_word(line: &str, words: [&str; 5], (first, last): (char, char)) -> bool {
    let between = || line.strip_prefix(first)?.strip_suffix(last).map(|middle| middle.chars().count());
    words.iter().any(|word| line.eq_ignore_ascii_case(word)) || between() == Some(1)
}

fn to_integer(value: ValueRef<'_>, eu: bool) -> Result<Option<Value>, Fault> {
    Ok(Some(match value {
        ValueRef::Int(_) | ValueRef::BigInt(_) => return Ok(None),
        ValueRef::Bool(b) => Value::Int(i64::from(b)),
        ValueRef::Str(text) => integer_of_text(text, eu)?,
        // Within the range of an i64, the cast takes off the fraction and nothing else.
        ValueRef::Float(float) if float.abs() < 9.2e18 => Value::Int(float as i64),
        ValueRef::Float(float) if float.is_finite() => integer(format!("{:.0}", float.trunc())),
        ValueRef::Float(_) => return Err(Fault::new(ruby(value))),
        ValueRef::Decimal(text) => {
            Decimal::parse(text).and_then(|d| d.whole()).map(integer).ok_or_else(too_long)?
        }
        ValueRef::Timestamp(timestamp) => Value::Int(timestamp.secs()),
        ValueRef::Null | ValueRef::Array(_) | ValueRef::Object(_) => {
            return Err(Fault::new(format!("no implicit conversion of {} into Integer", class(value))));
        }
    }))
}

fn to_float(value: ValueRef<'_>, eu: bool) -> Result<Option<Value>, Fault> {
    Ok(Some(Value::Float(match value {
        ValueRef::Float(_) => return Ok(None),
        ValueRef::Bool(b) => f64::from(u8::from(b)),
        ValueRef::Str(text) => float_of_text(text, eu)?,
        ValueRef::Int(int) => int as f64,
        ValueRef::BigInt(text) => text.parse().map_err(|_| not_a("Float", text))?,
        ValueRef::Decimal(text) => Decimal::parse(text).map_or(f64::NAN, |decimal| decimal.to_f64()),
        ValueRef::Timestamp(timestamp) => seconds(timestamp),
        ValueRef::Null | ValueRef::Array(_) | ValueRef::Object(_) => {
            return Err(Fault::new(format!("can't convert {} into Float", class(value))));
        }
    })))
}

fn seconds(timestamp: Timestamp) -> f64 {
    timestamp.secs() as f64 + f64::from(timestamp.nanos()) / 1e9
}

fn class(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Array(_) => "Array",
        ValueRef::Object(_) => "Hash",
        _ => "nil",
    }
}

fn ruby(value: ValueRef<'_>) -> String {
    let mut text = String::new();
    value.write_ruby(&mut text);
    text
}

fn not_a(class: &str, text: &str) -> Fault {
    Fault::new(format!("invalid value for {class}(): {text:?}"))
}

fn too_long() -> Fault {
    Fault::new(format!("the integer would have more than {NUMBER_DIGITS_MAX} digits"))
}

/// The integer with these digits.
fn integer(digits: String) -> Value {
    digits.parse().map_or(Value::BigInt(digits), Value::Int)
}

/// Blanks and group separators are taken off, capitals made small; where `eu`, points group and the comma is the point.
fn cleaned(text: &str, eu: bool) -> Cow<'_, str> {
    let text = ruby_strip(text);
    let keeps = |c: char| !c.is_ascii_uppercase() && c != ',' && (c != '.' || !eu);
    if text.chars().all(keeps) {
        return Cow::Borrowed(text);
    }
    let (group, point) = if eu { ('.', ',') } else { (',', '.') };
    let kept = text.chars().filter(|c| *c != group);
    Cow::Owned(kept.map(|c| if c == point { '.' } else { c.to_ascii_lowercase() }).collect())
}

fn integer_of_text(text: &str, eu: bool) -> Result<Value, Fault> {
    // By far the most frequent form.
    if let Ok(int) = text.parse() {
        return Ok(Value::Int(int));
    }
    let text = cleaned(text, eu);
    if let Some(int) = whole_of_plain(&text) {
        return Ok(Value::Int(int));
    }
    if let Some((negative, digits)) = hex_digits(&text) {
        let float = hex_float(negative, digits).ok_or_else(|| not_a("Float", &text))?;
        return match digits.contains('.') {
            true => Ok(integer(format!("{:.0}", float.trunc()))),
            false => hex_integer(negative, digits).ok_or_else(|| not_a("Integer", &text)),
        };
    }
    let plain = without_underscores(text.trim()).ok_or_else(|| not_a("BigDecimal", &text))?;
    let decimal = Decimal::parse(&plain.replace('d', "e")).ok_or_else(|| not_a("BigDecimal", &text))?;
    decimal.whole().map(integer).ok_or_else(too_long)
}

/// The whole part of digits with or without a point, where it is an i64.
fn whole_of_plain(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().all(|byte| byte.is_ascii_digit()) { whole.parse().ok() } else { None }
}

fn float_of_text(text: &str, eu: bool) -> Result<f64, Fault> {
    let text = cleaned(text, eu);
    if let Some((negative, digits)) = hex_digits(&text) {
        return hex_float(negative, digits).ok_or_else(|| not_a("Float", &text));
    }
    let plain = without_underscores(text.trim()).filter(|plain| is_float(plain));
    plain.and_then(|plain| plain.parse().ok()).ok_or_else(|| not_a("Float", &text))
}

/// Underscores may stand between two digits, and mean nothing there.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let fits = |(at, byte): (usize, &u8)| {
        *byte != b'_' || (at > 0 && digit(bytes.get(at - 1)) && digit(bytes.get(at + 1)))
    };
    bytes.iter().enumerate().all(fits).then(|| Cow::Owned(text.replace('_', "")))
}

/// `-1.5e3`, `.5`, but neither `5.` nor `inf`.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once('e').map_or((unsigned, "0"), |(m, e)| (m, e));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, "0"), |(w, f)| (w, f));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits(whole)
        && (!whole.is_empty() || mantissa.starts_with('.'))
        && [fraction, exponent].iter().all(|part| !part.is_empty() && digits(part))
}

/// Whether a hexadecimal number is negative, and what stands behind its `0x`.
fn hex_digits(text: &str) -> Option<(bool, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    Some((text.starts_with('-'), unsigned.strip_prefix("0x")?))
}

/// `1f`, `1.8p3`; the nearest double up to the last bit.
fn hex_float(negative: bool, text: &str) -> Option<f64> {
    let text = without_underscores(text)?;
    let (mantissa, exponent) =
        text.split_once('p').map_or((&*text, Some(0)), |(m, e)| (m, e.parse::<i32>().ok()));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, "0"), |(w, f)| (w, f));
    if whole.is_empty() || fraction.is_empty() {
        return None;
    }
    let digit = |c: char| c.to_digit(16).map(f64::from);
    let whole = whole.chars().try_fold(0.0, |sum, c| Some(sum * 16.0 + digit(c)?))?;
    let fraction = fraction.chars().rev().try_fold(0.0, |sum, c| Some((sum + digit(c)?) / 16.0))?;
    let value = (whole + fraction) * f64::from(exponent?).exp2();
    Some(if negative { -value } else { value })
}

/// An integer of any size.
fn hex_integer(negative: bool, text: &str) -> Option<Value> {
    let text = without_underscores(text)?;
    if text.is_empty() || text.len() > NUMBER_DIGITS_MAX {
        return None;
    }
    // Groups of nine decimal digits, the lowest first.
    let mut groups = vec![0u64];
    for c in text.chars() {
        let mut carry = u64::from(c.to_digit(16)?);
        for group in &mut groups {
            carry += *group * 16;
            *group = carry % 1_000_000_000;
            carry /= 1_000_000_000;
        }
        if carry > 0 {
            groups.push(carry);
        }
    }
    let mut digits = String::from(if negative { "-" } else { "" });
    let mut groups = groups.iter().rev();
    digits.push_str(&groups.next().copied().unwrap_or_default().to_string());
    groups.for_each(|group| digits.push_str(&format!("{group:09}")));
    Some(integer(digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_event::{Event, FieldRef};

    fn convert(target: Target, value: impl Into<Value>) -> Result<Value, String> {
        let mut event = Event::new();
        let field = FieldRef::literal("v");
        event.set(&field, value).unwrap();
        let value = event.get(&field).unwrap();
        target
            .convert(value)
            .map(|new| new.unwrap_or_else(|| value.to_value()))
            .map_err(|fault| fault.to_string())
    }

    fn text(result: Result<Value, String>) -> String {
        match result {
            Ok(Value::Int(int)) => int.to_string(),
            Ok(Value::Float(float)) => format!("{float:?}"),
            Ok(Value::BigInt(text)) => text,
            Ok(other) => format!("{other:?}"),
            Err(error) => error,
        }
    }

    #[test]
    fn integers() {
        for (given, expected) in [
            ("42", "42"),
            (" +42\0", "42"),
            ("042", "42"),
            ("1,234", "1234"),
            (",5", "5"),
            ("-1.9", "-1"),
            (".5", "0"),
            ("5.", "5"),
            ("1.5E2", "150"),
            ("1d2", "100"),
            ("1e-2", "0"),
            ("1_000", "1000"),
            ("1__0", "invalid value for BigDecimal(): \"1__0\""),
            ("12345678901234567890123", "12345678901234567890123"),
            ("1e25", "10000000000000000000000000"),
            ("1e999999999", "the integer would have more than 1000 digits"),
            ("0x1F", "31"),
            ("-0xff_ff", "-65535"),
            ("0x1.8p3", "12"),
            ("0xffffffffffffffffffff", "1208925819614629174706175"),
            ("0x", "invalid value for Float(): \"0x\""),
            ("Text", "invalid value for BigDecimal(): \"text\""),
            ("", "invalid value for BigDecimal(): \"\""),
            ("1 000", "invalid value for BigDecimal(): \"1 000\""),
            ("١", "invalid value for BigDecimal(): \"١\""),
        ] {
            assert_eq!(text(convert(Target::Integer, given)), expected, "{given}");
        }
        assert_eq!(text(convert(Target::Integer, 1e25)), "10000000000000000905969664");
        assert_eq!(text(convert(Target::Integer, -2.5)), "-2");
        assert_eq!(text(convert(Target::Integer, -0.5)), "0");
        assert_eq!(text(convert(Target::Integer, 9223372036854774784.0)), "9223372036854774784");
        assert_eq!(text(convert(Target::Integer, f64::NAN)), "NaN");
        assert_eq!(text(convert(Target::Integer, Value::Decimal("12.75".into()))), "12");
        assert_eq!(text(convert(Target::Integer, Timestamp::from_millis(1500))), "1");
    }

    #[test]
    fn floats() {
        for (given, expected) in [
            ("1,234.5", "1234.5"),
            (" .5 ", "0.5"),
            ("-.5", "-0.5"),
            ("1E3", "1000.0"),
            ("1_0.2_5", "10.25"),
            ("0x1A", "26.0"),
            ("1e400", "inf"),
            ("5.", "invalid value for Float(): \"5.\""),
            ("Infinity", "invalid value for Float(): \"infinity\""),
            ("nan", "invalid value for Float(): \"nan\""),
            ("1_", "invalid value for Float(): \"1_\""),
            ("1e", "invalid value for Float(): \"1e\""),
            (".", "invalid value for Float(): \".\""),
            ("", "invalid value for Float(): \"\""),
        ] {
            assert_eq!(text(convert(Target::Float, given)), expected, "{given}");
        }
        assert_eq!(text(convert(Target::Float, 7)), "7.0");
        assert_eq!(text(convert(Target::Float, Value::Decimal("1.50".into()))), "1.5");
    }

    #[test]
    fn european() {
        for (given, integer, float) in [
            ("1.234,56", "1234", "1234.56"),
            ("1.234", "1234", "1234.0"),
            ("-1.000,5", "-1000", "-1000.5"),
            ("1,2,3", "invalid value for BigDecimal(): \"1.2.3\"", "invalid value for Float(): \"1.2.3\""),
        ] {
            assert_eq!(text(convert(Target::IntegerEu, given)), integer, "{given}");
            assert_eq!(text(convert(Target::FloatEu, given)), float, "{given}");
        }
    }

    #[test]
    fn booleans() {
        for (given, expected) in
            [("T", true), ("1x0", true), ("x\nyes", true), ("", false), ("0.0", false), ("No\n", false)]
        {
            assert_eq!(convert(Target::Boolean, given), Ok(Value::Bool(expected)), "{given}");
        }
        for given in ["on", "1.00", " true", "éé0"] {
            assert_eq!(convert(Target::Boolean, given), Ok(given.into()), "{given}");
        }
        assert_eq!(convert(Target::Boolean, 1.0), Ok(Value::Bool(true)));
        assert_eq!(convert(Target::Boolean, 2), Ok(Value::Int(2)));
        assert_eq!(convert(Target::Boolean, 1), Ok(Value::Bool(true)));
        assert_eq!(convert(Target::Boolean, 0), Ok(Value::Bool(false)));
    }

    #[test]
    fn strings() {
        let list = Value::Array(vec![Value::Int(1), Value::Null, "x".into()]);
        for (given, expected) in [
            (Value::Float(1e7), "10000000.0"),
            (Value::Decimal("1.50".into()), "0.15e1"),
            (Value::Bool(true), "true"),
            (list, "[1, nil, \"x\"]"),
        ] {
            assert_eq!(convert(Target::Text, given), Ok(expected.into()));
        }
    }
}
