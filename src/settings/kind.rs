//! The types a setting can have, and how a text becomes a value of each.
//!
//! Logstash coerces: `"2"` is as good as `2`, `64mb` is a number of bytes, `3s` a time. Everything comes in as a
//! [`Raw`] (YAML scalar, flag or environment text) and leaves as a [`Value`] that `config` can layer.

use config::ValueKind;

/// A value as written, before it is typed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// Nothing after the colon, `~` or `null`.
    Null,
    /// An unquoted YAML scalar, which YAML 1.1 may read as a number or a boolean.
    Plain(String),
    /// A text: a quoted scalar, a flag, an environment variable or the result of `${VAR}`.
    Text(String),
    /// A list.
    List(Vec<Raw>),
}

/// A typed value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    /// Whole numbers, bytes, and times in nanoseconds (-1 = off).
    Int(i64),
    Text(String),
    List(Vec<String>),
}

/// The type of a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Bool,
    /// Any text.
    Text,
    /// A whole number above zero.
    Positive,
    /// A whole number from this one up.
    Number(i64),
    /// `<int>(nanos|micros|ms|s|m|h|d)`, or `-1` for "off".
    Time,
    /// A number of bytes, with or without a unit (powers of 1024).
    Bytes,
    /// One port, or `first-last`.
    Ports,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts; of these words only, when there are any.
    List(&'static [&'static str]),
    /// A secret: its value is never printed.
    Password,
    /// A file or a folder.
    Path,
    /// An age: `<int>(d|h|m|s)`.
    Age,
}

impl Kind {
    /// Types a value, or says why it can't be one.
    pub(crate) fn parse(self, raw: &Raw) -> Result<Value, String> {
        match (self, raw) {
            (_, Raw::Null) => Err(format!("no value where {} is expected", self.expected())),
            (Kind::List(allowed), _) => list(raw, allowed),
            (_, Raw::List(_)) => Err(format!("a list where {} is expected", self.expected())),
            (_, Raw::Plain(text)) => self.parse_text(text, true),
            (_, Raw::Text(text)) => self.parse_text(text, false),
        }
    }

    fn parse_text(self, text: &str, plain: bool) -> Result<Value, String> {
        let invalid = || format!("`{text}` is not {}", self.expected());
        match self {
            Kind::Bool => bool_of(text, plain).map(Value::Bool).ok_or_else(invalid),
            Kind::Text | Kind::Password | Kind::Path => Ok(Value::Text(text.to_owned())),
            Kind::Positive => match int_of(text, plain) {
                Some(n) if (1..=i64::from(i32::MAX)).contains(&n) => Ok(Value::Int(n)),
                _ => Err(invalid()),
            },
            Kind::Number(min) => match number_of(text, plain) {
                Some(n) if n >= min => Ok(Value::Int(n)),
                _ => Err(invalid()),
            },
            Kind::Time => time_of(text).map(Value::Int),
            Kind::Bytes => bytes_of(text, plain).map(Value::Int).ok_or_else(invalid),
            Kind::Ports => ports_of(text).map(|_| Value::Text(text.trim().to_owned())).ok_or_else(invalid),
            Kind::Choice(words) => choice_of(text, plain, words).map(Value::Text).ok_or_else(invalid),
            Kind::List(allowed) => list(&Raw::Text(text.to_owned()), allowed),
            Kind::Age => age_of(text).map(Value::Int).ok_or_else(invalid),
        }
    }

    /// What a message calls a good value, e.g. `a whole number above 0`.
    pub(crate) fn expected(self) -> String {
        match self {
            Kind::Bool => "`true` or `false`".to_owned(),
            Kind::Text => "a text".to_owned(),
            Kind::Positive => "a whole number above 0".to_owned(),
            Kind::Number(0) => "a whole number of 0 or more".to_owned(),
            Kind::Number(min) => format!("a whole number of {min} or more"),
            Kind::Time => "a time such as `500ms`, `3s` or `5m`".to_owned(),
            Kind::Bytes => "a number of bytes such as `64mb`".to_owned(),
            Kind::Ports => "a port (1 to 65535) or a range such as `9600-9700`".to_owned(),
            Kind::Choice(words) => {
                format!("one of {}", words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
            }
            Kind::List(_) => "a list".to_owned(),
            Kind::Password => "a password".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Age => "an age such as `12h` or `5d`".to_owned(),
        }
    }

    /// A word of this type's own that is near to a wrong text.
    pub(crate) fn suggestion(self, text: &str) -> Option<&'static str> {
        match self {
            Kind::Bool => super::nearest(text, ["true", "false"]),
            Kind::Choice(words) | Kind::List(words) => super::nearest(text, words.iter().copied()),
            _ => None,
        }
    }
}

impl From<Value> for ValueKind {
    fn from(value: Value) -> Self {
        match value {
            Value::Bool(b) => ValueKind::Boolean(b),
            Value::Int(n) => ValueKind::I64(n),
            Value::Text(s) => ValueKind::String(s),
            Value::List(items) => items.into(),
        }
    }
}

/// YAML 1.1 reads unquoted `yes` and `on` as booleans; a text has to be exactly `true` or `false`.
fn bool_of(text: &str, plain: bool) -> Option<bool> {
    let folded = if plain { text.to_ascii_lowercase() } else { text.to_owned() };
    match folded.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        "yes" | "on" if plain => Some(true),
        "no" | "off" if plain => Some(false),
        _ => None,
    }
}

/// Unquoted numbers follow YAML 1.1: `1_000`, `0x10`, `010` (octal).
fn int_of(text: &str, plain: bool) -> Option<i64> {
    let text = text.trim();
    if !plain {
        return text.parse().ok();
    }
    let digits = text.replace(['_', ','], "");
    let (sign, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let parsed = if let Some(hex) = unsigned.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if let Some(binary) = unsigned.strip_prefix("0b") {
        i64::from_str_radix(binary, 2)
    } else if unsigned.len() > 1 && unsigned.starts_with('0') {
        i64::from_str_radix(unsigned, 8)
    } else {
        unsigned.parse()
    };
    // from_str_radix takes a sign of its own, which would be the second one here.
    if unsigned.contains(['-', '+']) { None } else { parsed.ok().map(|n| sign * n) }
}

/// Fractions are accepted where Logstash takes any number, and cut off as it does.
fn number_of(text: &str, plain: bool) -> Option<i64> {
    int_of(text, plain).or_else(|| {
        let fraction: f64 = text.trim().parse().ok()?;
        (fraction.is_finite() && fraction.abs() < 9e15).then_some(fraction.trunc() as i64)
    })
}

const NANOS_PER: [(&str, i64); 7] = [
    // Longest unit first: `5nanos` ends in `s` too.
    ("micros", 1_000),
    ("nanos", 1),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

fn time_of(text: &str) -> Result<i64, String> {
    let text = text.trim().to_ascii_lowercase();
    if text == "-1" {
        return Ok(-1);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("`{text}` has no unit: write `{text}s`, `{text}ms` …"));
    }
    let found = NANOS_PER.iter().find_map(|(unit, nanos)| Some((text.strip_suffix(unit)?, *nanos)));
    let Some((number, nanos)) = found else {
        return Err(format!("`{text}` is not {}", Kind::Time.expected()));
    };
    let number = number.trim();
    match number.parse::<u32>() {
        Ok(n) => i64::from(n).checked_mul(nanos).ok_or_else(|| format!("`{text}` is too long a time")),
        Err(_) => Err(format!("`{text}` is not {}", Kind::Time.expected())),
    }
}

fn age_of(text: &str) -> Option<i64> {
    let number = text.strip_suffix(['d', 'h', 'm', 's'])?;
    number.bytes().all(|b| b.is_ascii_digit()).then(|| time_of(text).ok())?
}

fn bytes_of(text: &str, plain: bool) -> Option<i64> {
    if let Some(n) = int_of(text, plain) {
        return (n >= 0).then_some(n);
    }
    let text = text.trim().to_ascii_lowercase();
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let power = match unit {
        "b" => 0,
        "k" | "kb" => 1,
        "m" | "mb" => 2,
        "g" | "gb" => 3,
        "t" | "tb" => 4,
        "p" | "pb" => 5,
        _ => return None,
    };
    let number = number.trim();
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let bytes = number.parse::<f64>().ok()? * 1024_f64.powi(power);
    (bytes < i64::MAX as f64).then_some(bytes as i64)
}

/// First and last port of `9600`, `9600-9700` or `9600..9700`.
pub(crate) fn ports_of(text: &str) -> Option<(u16, u16)> {
    let text = text.trim();
    let (first, last) = text.split_once("..").or_else(|| text.split_once('-')).unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first >= 1 && first <= last).then_some((first, last))
}

/// `pipeline.ordered: yes` is YAML for `true`, and `true` is one of the words there.
fn choice_of(text: &str, plain: bool, words: &[&str]) -> Option<String> {
    let folded = match bool_of(text, plain) {
        Some(b) if plain && words.contains(&"true") => b.to_string(),
        _ => text.to_owned(),
    };
    words.contains(&folded.as_str()).then_some(folded)
}

/// One text is a list of one, as Logstash's array settings take it.
fn list(raw: &Raw, allowed: &[&str]) -> Result<Value, String> {
    let items = match raw {
        Raw::List(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        let (Raw::Plain(text) | Raw::Text(text)) = item else {
            return Err("the items of this list have to be texts".to_owned());
        };
        if !allowed.is_empty() && !allowed.contains(&text.as_str()) {
            return Err(format!("`{text}` is not one of `{}`", allowed.join("`, `")));
        }
        texts.push(text.clone());
    }
    Ok(Value::List(texts))
}

/// Declares an enum whose variants are the words of a setting.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// The words of the setting, in order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The variant that this word names.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// The word in settings files.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use choice;

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(kind: Kind, text: &str) -> Result<Value, String> {
        kind.parse(&Raw::Plain(text.into()))
    }

    fn text(kind: Kind, text: &str) -> Result<Value, String> {
        kind.parse(&Raw::Text(text.into()))
    }

    #[test]
    fn bytes_are_powers_of_1024() {
        for (written, bytes) in [
            ("1024", 1024),
            ("0", 0),
            ("1b", 1),
            ("64mb", 64 << 20),
            ("64MB", 64 << 20),
            ("1.5gb", 3 << 29),
            ("2k", 2048),
            ("1 tb", 1 << 40),
            ("1p", 1 << 50),
        ] {
            assert_eq!(text(Kind::Bytes, written), Ok(Value::Int(bytes)), "{written}");
        }
        for wrong in ["10xb", "mb", "", "-5", "-5mb", "1.2.3kb", "99999pb", "1e3kb"] {
            assert!(text(Kind::Bytes, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_need_a_unit() {
        for (written, nanos) in [
            ("5nanos", 5),
            ("5micros", 5_000),
            ("500ms", 500_000_000),
            ("3s", 3_000_000_000),
            ("3 s", 3_000_000_000),
            ("3S", 3_000_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1d", 86_400_000_000_000),
            ("-1", -1),
        ] {
            assert_eq!(plain(Kind::Time, written), Ok(Value::Int(nanos)), "{written}");
        }
        for wrong in ["3", "s", "", "3w", "-3s", "1.5s", "4000000000d"] {
            assert!(plain(Kind::Time, wrong).is_err(), "{wrong}");
        }
        assert!(plain(Kind::Time, "3").unwrap_err().contains("`3s`"));
    }

    #[test]
    fn ports_are_one_or_a_range() {
        assert_eq!(ports_of("9600"), Some((9600, 9600)));
        assert_eq!(ports_of("9600-9700"), Some((9600, 9700)));
        assert_eq!(ports_of(" 9600..9700 "), Some((9600, 9700)));
        for wrong in ["0", "65536", "9700-9600", "x", "9600-", "1-2-3", ""] {
            assert_eq!(ports_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_and_booleans_follow_yaml_when_unquoted() {
        assert_eq!(plain(Kind::Positive, "1_000"), Ok(Value::Int(1000)));
        assert_eq!(plain(Kind::Positive, "0x10"), Ok(Value::Int(16)));
        assert_eq!(plain(Kind::Positive, "010"), Ok(Value::Int(8)));
        assert_eq!(text(Kind::Positive, "010"), Ok(Value::Int(10)));
        assert!(plain(Kind::Positive, "0").is_err());
        assert!(plain(Kind::Positive, "--5").is_err());
        assert!(text(Kind::Positive, "abc").is_err());
        assert_eq!(plain(Kind::Number(0), "2.9"), Ok(Value::Int(2)));
        assert!(plain(Kind::Number(1000), "999").is_err());
        assert_eq!(plain(Kind::Bool, "Yes"), Ok(Value::Bool(true)));
        assert!(text(Kind::Bool, "yes").is_err());
        assert_eq!(text(Kind::Bool, "false"), Ok(Value::Bool(false)));
    }

    #[test]
    fn choices_take_yaml_booleans_for_true_and_false() {
        let ordered = Kind::Choice(&["auto", "true", "false"]);
        assert_eq!(plain(ordered, "no"), Ok(Value::Text("false".into())));
        let error = plain(ordered, "always").unwrap_err();
        assert_eq!(error, "`always` is not one of `auto`, `true`, `false`");
    }

    #[test]
    fn one_text_is_a_list_of_one() {
        assert_eq!(text(Kind::List(&[]), "a"), Ok(Value::List(vec!["a".into()])));
        assert!(text(Kind::List(&["TLSv1.2"]), "SSLv3").unwrap_err().contains("TLSv1.2"));
        assert!(Kind::Text.parse(&Raw::List(vec![])).is_err());
    }
}
