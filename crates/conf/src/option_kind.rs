//! What an option accepts: Logstash's validators, their coercions and their words.

use std::path::Path;

use ferrostash_event::FieldRef;

use crate::bytes::Bytes;
use crate::conf_value::{ConfKind, ConfValue, Pair, inspect_list, inspect_text, ruby_float};
use crate::duration::seconds;
use crate::options::OptionDef;
use crate::uri::Uri;

/// Length of data stream names.
const IDENTIFIER_BYTES_MAX: usize = 100;

/// The kind of an option: one of Logstash's validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OptionKind {
    /// Exactly one value, taken as text.
    String,
    /// A number, or a string that prints back the same as one.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list; one value alone is a list of one.
    Array,
    /// A hash, or a list of keys and values by turns.
    Hash,
    /// A string that is kept hidden.
    Password,
    /// A URI with a host.
    Uri,
    /// A file or directory that exists.
    Path,
    /// A size such as `10 MiB`.
    Bytes,
    /// The name of a codec, or a codec with options.
    Codec,
    /// One field reference.
    FieldReference,
    /// A SHA-256 fingerprint.
    Sha256Hex,
    /// An IPv4 address.
    IpAddr,
    /// `disabled`, `v1`, `v8`, …
    EcsCompatibility,
    /// Seconds (or the option's unit), or a text such as `5 min`.
    FriendlyDuration,
    /// A whole number above 0.
    PositiveWholeNumber,
    /// A URI, or an empty string.
    UriOrEmpty,
    /// `host`, `host:port` or `[v6]:port`.
    RequiredHostOptionalPort,
    /// A time zone, perhaps with `[dst_enabled_on_overlap:true]`.
    JdbcTimezoneSpec,
    /// The dataset part of a data stream's name.
    DatasetIdentifier,
    /// The namespace part of a data stream's name.
    NamespaceIdentifier,
    /// One of the option's values.
    Enum,
    /// A number with a fraction.
    Float,
    /// Lists or hashes that the plugin checks itself.
    Custom,
    /// Anything.
    Any,
}

impl OptionKind {
    /// Logstash's name of the validator, as in its documentation and messages.
    pub const fn name(self) -> &'static str {
        match self {
            OptionKind::String => "string",
            OptionKind::Number => "number",
            OptionKind::Boolean => "boolean",
            OptionKind::Array => "array",
            OptionKind::Hash => "hash",
            OptionKind::Password => "password",
            OptionKind::Uri => "uri",
            OptionKind::Path => "path",
            OptionKind::Bytes => "bytes",
            OptionKind::Codec => "codec",
            OptionKind::FieldReference => "field_reference",
            OptionKind::Sha256Hex => "sha_256_hex",
            OptionKind::IpAddr => "ipaddr",
            OptionKind::EcsCompatibility => "ecs_compatibility_argument",
            OptionKind::FriendlyDuration => "friendly_duration",
            OptionKind::PositiveWholeNumber => "positive_whole_number",
            OptionKind::UriOrEmpty => "uri_or_empty",
            OptionKind::RequiredHostOptionalPort => "required_host_optional_port",
            OptionKind::JdbcTimezoneSpec => "jdbc_timezone_spec",
            OptionKind::DatasetIdentifier => "dataset_identifier",
            OptionKind::NamespaceIdentifier => "namespace_identifier",
            OptionKind::Enum => "enum",
            OptionKind::Float => "float",
            OptionKind::Custom => "custom",
            OptionKind::Any => "any",
        }
    }

    /// Whether values must not be printed.
    pub const fn is_secret(self) -> bool {
        matches!(self, OptionKind::Password | OptionKind::Uri | OptionKind::UriOrEmpty)
    }
}

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The validator said no, with this note.
    Note(String),
    /// The validator itself failed in Logstash, with this exception.
    Raised {
        /// Class of the exception.
        class: &'static str,
        /// Its message.
        message: String,
    },
}

type Checked = Result<Option<ConfValue>, Refusal>;

/// Checks a value against its option and coerces it. `None` stands for Ruby's nil: an empty list was given.
pub(crate) fn check(value: &ConfValue, def: &OptionDef) -> Checked {
    if !def.list {
        return check_one(value, def);
    }
    let mut items = value.clone().into_list();
    if def.kind == OptionKind::Uri {
        items = items.into_iter().flat_map(split_at_blanks).collect();
    }
    let results: Vec<Checked> = items.iter().map(|item| check_one(item, def)).collect();
    if let Some(raised) = results.iter().find(|r| matches!(r, Err(Refusal::Raised { .. }))) {
        return raised.clone();
    }
    if results.iter().any(Result::is_err) {
        return note(format!(
            "[{}]",
            results
                .iter()
                .map(|result| show_result(result, def.kind.is_secret()))
                .collect::<Vec<_>>()
                .join(", ")
        ));
    }
    let kept = results.into_iter().filter_map(|result| result.ok().flatten()).collect();
    Ok(Some(value_like(value, ConfKind::Array(kept))))
}

fn show_result(result: &Checked, is_secret: bool) -> String {
    match result {
        Ok(Some(_)) if is_secret => "<password>".to_owned(),
        Ok(Some(value)) => value.inspect(),
        Ok(None) => "nil".to_owned(),
        Err(Refusal::Note(text) | Refusal::Raised { message: text, .. }) => inspect_text(text),
    }
}

fn split_at_blanks(value: ConfValue) -> Vec<ConfValue> {
    match value.as_text() {
        Some(text) => text
            .split_ascii_whitespace()
            .map(|part| value_like(&value, ConfKind::Text(part.to_owned())))
            .collect(),
        None => vec![value],
    }
}

fn value_like(value: &ConfValue, kind: ConfKind) -> ConfValue {
    ConfValue { span: value.span, kind, secret: value.secret }
}

fn note<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Note(text.into()))
}

fn check_one(value: &ConfValue, def: &OptionDef) -> Checked {
    match def.kind {
        OptionKind::Any | OptionKind::Custom => Ok(Some(value.clone())),
        OptionKind::Array => Ok(Some(array(value))),
        OptionKind::Hash => hash(value),
        OptionKind::Enum => enumeration(value, def.values),
        kind => {
            let items = items(value);
            match items {
                [] => nothing(kind),
                [one] => scalar(one, def),
                _ => note(too_many(kind, items)),
            }
        }
    }
}

/// Ruby's `[*value]`, except that a hash stays what it is and so is one value too many for a scalar.
fn items(value: &ConfValue) -> &[ConfValue] {
    match &value.kind {
        ConfKind::Array(values) => values,
        ConfKind::Hash(pairs) if pairs.is_empty() => &[],
        _ => std::slice::from_ref(value),
    }
}

fn nothing(kind: OptionKind) -> Checked {
    match kind {
        OptionKind::Boolean => note("Expected boolean 'true' or 'false', got nil"),
        OptionKind::EcsCompatibility => note(format!("{ECS_NOTE}, got []")),
        OptionKind::Uri => note("Expected uri (one value), got 0 values?"),
        OptionKind::Path => note("Expected path (one value), got 0 values?"),
        OptionKind::Bytes => note("Expected a size, got nothing"),
        OptionKind::PositiveWholeNumber
        | OptionKind::FriendlyDuration
        | OptionKind::RequiredHostOptionalPort
        | OptionKind::JdbcTimezoneSpec
        | OptionKind::DatasetIdentifier
        | OptionKind::NamespaceIdentifier => note("Expected one value, got nothing"),
        _ => Ok(None),
    }
}

const ECS_NOTE: &str =
    "Expected a v-prefixed integer major-version number (e.g., `v1`) or the literal `disabled`";

fn too_many(kind: OptionKind, items: &[ConfValue]) -> String {
    let (count, shown) = (items.len(), inspect_list(items));
    match kind {
        OptionKind::String => format!("Expected string, got {shown}"),
        OptionKind::Number | OptionKind::Float => format!("Expected number, got {shown} (type Array)"),
        OptionKind::Boolean => format!("Expected boolean, got {shown}"),
        OptionKind::IpAddr => format!("Expected IPaddr, got {shown}"),
        OptionKind::Password => format!("Expected password (one value), got {count} values?"),
        OptionKind::Uri | OptionKind::UriOrEmpty => format!("Expected uri (one value), got {count} values?"),
        OptionKind::Path => format!("Expected path (one value), got {count} values?"),
        OptionKind::FieldReference => format!("Expected exactly one field reference, got `{shown}`"),
        OptionKind::Sha256Hex => {
            format!("Expected exactly one hex-encoded SHA-256 fingerprint, got `{shown}`")
        }
        OptionKind::EcsCompatibility => format!("{ECS_NOTE}, got {shown}"),
        _ => format!("Expected one value, got {shown}"),
    }
}

fn array(value: &ConfValue) -> ConfValue {
    match &value.kind {
        ConfKind::Array(_) | ConfKind::Hash(_) => value.clone(),
        _ => value_like(value, ConfKind::Array(vec![value.clone()])),
    }
}

fn hash(value: &ConfValue) -> Checked {
    let items = match &value.kind {
        ConfKind::Hash(_) => return Ok(Some(value.clone())),
        _ => items(value),
    };
    if items.len() % 2 == 1 {
        return note(format!("This field must contain an even number of items, got {}", items.len()));
    }
    let mut pairs: Vec<Pair> = Vec::new();
    for chunk in items.chunks_exact(2) {
        let [key, value] = chunk else { continue };
        let Some(text) = key.to_text() else { return note(format!("{} cannot be a key", key.inspect())) };
        match pairs.iter_mut().find(|pair| pair.key == text) {
            None => pairs.push(Pair { key: text, key_span: key.span, value: value.clone() }),
            Some(Pair { value: ConfValue { kind: ConfKind::Array(values), .. }, .. }) => {
                values.push(value.clone())
            }
            Some(pair) => {
                let both = vec![pair.value.clone(), value.clone()];
                pair.value = value_like(&pair.value, ConfKind::Array(both));
            }
        }
    }
    Ok(Some(value_like(value, ConfKind::Hash(pairs))))
}

fn enumeration(value: &ConfValue, values: &[&str]) -> Checked {
    let items = items(value);
    // A set of numbers wants a number, a set of words a string: Logstash compares without converting.
    let numbers = values.iter().all(|value| value.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
    let found = match items {
        [one] => match (&one.kind, numbers) {
            (ConfKind::Text(text), false) => values.contains(&text.as_str()),
            (ConfKind::Int(number), true) => values.contains(&number.to_string().as_str()),
            _ => false,
        },
        _ => false,
    };
    match items {
        [one] if found => Ok(Some(one.clone())),
        _ => note(format!("Expected one of {}, got {}", show_values(values), inspect_list(items))),
    }
}

/// The set of values as Ruby prints it.
pub(crate) fn show_values(values: &[&str]) -> String {
    let numbers = values.iter().all(|value| value.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
    let show = |value: &&str| if numbers { (*value).to_owned() } else { inspect_text(value) };
    format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(", "))
}

fn scalar(value: &ConfValue, def: &OptionDef) -> Checked {
    let kind = def.kind;
    if kind == OptionKind::Codec {
        return match &value.kind {
            ConfKind::Text(_) | ConfKind::Plugin(_) => Ok(Some(value.clone())),
            _ => note(format!("Expected a codec, got {}", value.inspect())),
        };
    }
    let Some(text) = value.to_text() else {
        return note(format!("Expected {}, got {}", kind.name(), value.inspect()));
    };
    let keep = || Ok(Some(value.clone()));
    let coerced = |kind| Ok(Some(value_like(value, kind)));
    match kind {
        OptionKind::Number => number(value, &text),
        OptionKind::Float => match number(value, &text)?.map(|value| value.kind) {
            Some(ConfKind::Int(number)) => coerced(ConfKind::Float(number as f64)),
            other => Ok(other.map(|kind| value_like(value, kind))),
        },
        OptionKind::Boolean => boolean(value, &text),
        OptionKind::Uri => match Uri::parse(&text) {
            Ok(_) => keep(),
            Err(reason) => note(reason),
        },
        OptionKind::UriOrEmpty if text.is_empty() => keep(),
        OptionKind::UriOrEmpty => Uri::parse(&text).map(|_| Some(value.clone())).map_err(Refusal::Note),
        OptionKind::Path if Path::new(&text).exists() => keep(),
        OptionKind::Path => note(format!("File does not exist or cannot be opened {text}")),
        OptionKind::Bytes => match Bytes::parse(&text) {
            Some(_) => keep(),
            None => note(format!(
                "Unparseable filesize: {text}. possible units (KiB, MiB, ...) e.g. '10 KiB'. doc reference: \
                 http://www.elastic.co/guide/en/logstash/current/configuration.html#bytes"
            )),
        },
        OptionKind::FieldReference => match FieldRef::parse(&text) {
            _ if text.is_empty() => Ok(None),
            Ok(_) => keep(),
            Err(_) => note(format!("Expected a valid field reference, got `{}`", value.inspect())),
        },
        OptionKind::Sha256Hex if text.is_empty() => Ok(None),
        OptionKind::Sha256Hex => match fingerprint(&text) {
            Some(hex) => coerced(ConfKind::Text(hex)),
            None => note(format!("Expected a hex-encoded SHA-256 fingerprint, got `{}`", value.inspect())),
        },
        OptionKind::IpAddr if text.parse::<std::net::Ipv4Addr>().is_ok() => keep(),
        OptionKind::IpAddr => note(format!("Expected IPaddr, got [{}]", value.inspect())),
        OptionKind::EcsCompatibility if is_ecs_mode(value) => keep(),
        OptionKind::EcsCompatibility => note(format!("{ECS_NOTE}, got [{}]", value.inspect())),
        OptionKind::FriendlyDuration => match seconds(&text, def.unit) {
            Some(seconds) => coerced(ConfKind::Float(seconds)),
            None => note(format!(
                "Value '{text}' is not a valid duration string e.g. 200 usec, 250ms, 60 sec, 18h, 21.5d, 1 day, 2w, \
                 6 weeks"
            )),
        },
        OptionKind::PositiveWholeNumber => match number(value, &text)?.map(|value| value.kind) {
            Some(ConfKind::Int(number)) if number > 0 => coerced(ConfKind::Int(number)),
            Some(ConfKind::Float(number)) if number > 0.0 && number.fract() == 0.0 && number < 1e18 => {
                coerced(ConfKind::Int(number as i64))
            }
            _ => note(format!("Expected a positive whole number, got {}", value.inspect())),
        },
        OptionKind::RequiredHostOptionalPort if is_host_port(&text) => keep(),
        OptionKind::RequiredHostOptionalPort => {
            note(format!("Expected `host`, `host:port` or `[address]:port`, got {}", value.inspect()))
        }
        OptionKind::JdbcTimezoneSpec if is_timezone_spec(&text) => keep(),
        OptionKind::JdbcTimezoneSpec => note(format!(
            "Expected a time zone, optionally with [dst_enabled_on_overlap:true], got {}",
            value.inspect()
        )),
        OptionKind::DatasetIdentifier | OptionKind::NamespaceIdentifier if is_identifier(&text) => keep(),
        OptionKind::DatasetIdentifier | OptionKind::NamespaceIdentifier => note(format!(
            "Expected 1 to {IDENTIFIER_BYTES_MAX} bytes without \\ / * ? \" < > | , # : or blanks, got {}",
            value.inspect()
        )),
        _ => keep(),
    }
}

/// A string counts when it prints back the same; a point in it makes it a float.
fn number(value: &ConfValue, text: &str) -> Checked {
    let kind = match &value.kind {
        ConfKind::Int(_) | ConfKind::BigInt(_) | ConfKind::Float(_) => return Ok(Some(value.clone())),
        _ if is_whole(text) => text.parse().map_or_else(|_| ConfKind::BigInt(text.to_owned()), ConfKind::Int),
        _ => match text.parse::<f64>() {
            Ok(float) if float.is_finite() && ruby_float(float) == text => ConfKind::Float(float),
            _ => return note(format!("Expected number, got {} (type {text})", value.inspect())),
        },
    };
    Ok(Some(value_like(value, kind)))
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain && (!digits.starts_with('0') || text == "0")
}

/// Some line of it has to be `true` or `false`; it is true only if the whole text is.
fn boolean(value: &ConfValue, text: &str) -> Checked {
    match value.kind {
        ConfKind::Bool(_) => Ok(Some(value.clone())),
        ConfKind::Text(_) if text.split('\n').any(|line| matches!(line, "true" | "false")) => {
            Ok(Some(value_like(value, ConfKind::Bool(text == "true"))))
        }
        ConfKind::Text(_) => note(format!("Expected boolean 'true' or 'false', got {}", value.inspect())),
        ConfKind::Float(_) => raised_match("Float"),
        _ => raised_match("Integer"),
    }
}

fn raised_match(class: &str) -> Checked {
    let message = format!("undefined method '=~' for an instance of {class}");
    Err(Refusal::Raised { class: "NoMethodError", message })
}

fn fingerprint(text: &str) -> Option<String> {
    let hex: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_uppercase()).collect();
    let colons_fit =
        text.split(':').all(|part| part.len() % 2 == 0 && !part.is_empty()) || text.ends_with(':');
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) && colons_fit).then_some(hex)
}

fn is_ecs_mode(value: &ConfValue) -> bool {
    let Some(text) = value.as_text() else { return false };
    let digits = text.strip_prefix('v').unwrap_or("");
    text == "disabled"
        || ((1..=2).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0'))
}

fn is_host_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => return host.parse::<std::net::Ipv6Addr>().is_ok(),
        Some((host, rest)) => {
            let Some(port) = rest.strip_prefix(':') else { return false };
            return host.parse::<std::net::Ipv6Addr>().is_ok() && port.parse::<u16>().is_ok();
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    is_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_timezone_spec(text: &str) -> bool {
    let (zone, extension) = match text.split_once('[') {
        Some((zone, extension)) => (zone, Some(extension)),
        None => (text, None),
    };
    let is_zone = !zone.is_empty() && zone.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-:".contains(c));
    let known = ["dst_enabled_on_overlap:true]", "dst_enabled_on_overlap:false]"];
    is_zone && extension.is_none_or(|extension| known.contains(&extension))
}

fn is_identifier(text: &str) -> bool {
    (1..=IDENTIFIER_BYTES_MAX).contains(&text.len())
        && !text.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;

    fn try_kind(kind: OptionKind, value: ConfValue) -> String {
        let def = OptionDef { kind, values: &["strict", "lenient"], ..OptionDef::new("x") };
        show(check(&value, &def))
    }

    fn show(result: Checked) -> String {
        match result {
            Err(Refusal::Note(text)) => text,
            other => show_result(&other, false),
        }
    }

    fn text(text: &str) -> ConfValue {
        ConfValue::text(text)
    }

    fn int(number: i64) -> ConfValue {
        ConfValue::new(Span::nowhere(), ConfKind::Int(number))
    }

    #[test]
    fn numbers_print_back_the_same() {
        for (given, result) in [
            ("100", "100"),
            ("-5", "-5"),
            ("1.5", "1.5"),
            ("1.0e+20", "1.0e+20"),
            ("1.50", "Expected number, got \"1.50\" (type 1.50)"),
            (" 5", "Expected number, got \" 5\" (type  5)"),
            ("1e2", "Expected number, got \"1e2\" (type 1e2)"),
            ("010", "Expected number, got \"010\" (type 010)"),
            ("-0", "Expected number, got \"-0\" (type -0)"),
            ("NaN", "Expected number, got \"NaN\" (type NaN)"),
        ] {
            assert_eq!(try_kind(OptionKind::Number, text(given)), result, "{given}");
        }
        assert_eq!(try_kind(OptionKind::Number, ConfValue::list(vec![int(5)])), "5");
        assert_eq!(
            try_kind(OptionKind::Number, ConfValue::list(vec![int(5), int(6)])),
            "Expected number, got [5, 6] (type Array)"
        );
    }

    #[test]
    fn booleans() {
        assert_eq!(try_kind(OptionKind::Boolean, text("true")), "true");
        assert_eq!(
            try_kind(OptionKind::Boolean, text("TRUE")),
            "Expected boolean 'true' or 'false', got \"TRUE\""
        );
        assert_eq!(try_kind(OptionKind::Boolean, text("x\ntrue")), "false");
        assert_eq!(
            try_kind(OptionKind::Boolean, int(1)),
            "\"undefined method '=~' for an instance of Integer\""
        );
    }

    #[test]
    fn strings_and_sets() {
        let two = ConfValue::list(vec![text("a"), text("b")]);
        assert_eq!(try_kind(OptionKind::String, two), "Expected string, got [\"a\", \"b\"]");
        assert_eq!(try_kind(OptionKind::String, ConfValue::list(vec![])), "nil");
        assert_eq!(
            try_kind(OptionKind::Enum, text("Strict")),
            "Expected one of [\"strict\", \"lenient\"], got [\"Strict\"]"
        );
        assert_eq!(try_kind(OptionKind::EcsCompatibility, int(8)), format!("{ECS_NOTE}, got [8]"));
        assert_eq!(
            try_kind(OptionKind::FieldReference, text("[a][b")),
            "Expected a valid field reference, got `\"[a][b\"`"
        );
    }

    #[test]
    fn hashes_from_lists() {
        let list = ["a", "1", "b", "2", "a", "3"].map(text).to_vec();
        assert_eq!(try_kind(OptionKind::Hash, ConfValue::list(list)), r#"{"a" => ["1", "3"], "b" => "2"}"#);
        assert_eq!(
            try_kind(OptionKind::Hash, text("a")),
            "This field must contain an even number of items, got 1"
        );
    }

    #[test]
    fn lists_of_uris_are_split() {
        let def = OptionDef { kind: OptionKind::Uri, list: true, ..OptionDef::new("hosts") };
        assert_eq!(show(check(&text("a:1 b:2"), &def)), r#"["a:1", "b:2"]"#);
    }

    #[test]
    fn special_strings() {
        assert_eq!(
            try_kind(OptionKind::Sha256Hex, text(&"ab:".repeat(32))),
            format!("\"{}\"", "AB".repeat(32))
        );
        assert_eq!(try_kind(OptionKind::FriendlyDuration, text("2 min")), "120.0");
        assert_eq!(
            try_kind(OptionKind::PositiveWholeNumber, int(0)),
            "Expected a positive whole number, got 0"
        );
        for (good, spec) in [(true, "h:1"), (true, "[::1]:1"), (false, "h:x"), (false, ":1"), (true, "h")] {
            assert_eq!(is_host_port(spec), good, "{spec}");
        }
        assert!(is_timezone_spec("America/New_York[dst_enabled_on_overlap:true]"));
        assert!(!is_timezone_spec("UTC[x]"));
    }
}
