//! `rubydebug`: events as Ruby's amazing_print shows them.
//!
//! Each hash and list has a line per member, four blanks deeper than itself. The keys of a hash end in the same column.

use crate::inspect::inspect;
use crate::text::keep_undecodable;
use ferrostash_conf::Options;
use ferrostash_event::number::{Decimal, write_ruby_float};
use ferrostash_event::{ArrayRef, Event, METADATA, ValueRef};
use ferrostash_plugin::{
    BuildContext, BuildResult, Codec, CodecFailures, CodecPlugin, EncodeError, EventSink, PluginDef, codec,
};

const INDENT: usize = 4;
/// Largest exponent of a decimal that is written with all its zeros.
const PLAIN_EXPONENT_MAX: i64 = 1000;

/// Writes events for people to read, a field a line. It reads nothing.
///
/// ```conf
/// rubydebug { metadata => true }
/// ```
#[derive(Options, Clone)]
#[plugin(codec = "rubydebug")]
pub(crate) struct RubydebugOptions {
    /// Whether `@metadata` is written too.
    #[option(default = false)]
    metadata: bool,
}

pub(crate) static PLUGIN: PluginDef = codec::<Rubydebug>();

#[derive(Clone)]
struct Rubydebug {
    metadata: bool,
    scratch: String,
    failures: CodecFailures,
}

impl CodecPlugin for Rubydebug {
    type Options = RubydebugOptions;

    fn build(options: RubydebugOptions, cx: &mut BuildContext<'_>) -> BuildResult<Rubydebug> {
        let failures = cx.codec_failures();
        Ok(Rubydebug { metadata: options.metadata, scratch: String::new(), failures })
    }
}

impl Codec for Rubydebug {
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        keep_undecodable("rubydebug", data, &self.failures, sink);
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let metadata = event.metadata();
        let metadata =
            (self.metadata && !metadata.is_empty()).then_some((METADATA, ValueRef::Object(metadata)));
        self.scratch.clear();
        write_hash(event.fields().iter().chain(metadata).collect(), 0, &mut self.scratch);
        self.scratch.push('\n');
        out.extend_from_slice(self.scratch.as_bytes());
        Ok(())
    }
}

/// Appends a value whose line is indented by `indent` blanks.
fn write_value(value: ValueRef<'_>, indent: usize, out: &mut String) {
    match value {
        ValueRef::Null => out.push_str("nil"),
        ValueRef::Str(text) => inspect(text, out),
        ValueRef::Float(float) => write_ruby_float(float, out),
        ValueRef::Decimal(text) => write_decimal(text, out),
        ValueRef::Array(array) => write_list(array, indent, out),
        ValueRef::Object(object) => write_hash(object.iter().collect(), indent, out),
        ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::BigInt(_) | ValueRef::Timestamp(_) => {
            value.write_java(out)
        }
    }
}

fn write_hash(members: Vec<(&str, ValueRef<'_>)>, indent: usize, out: &mut String) {
    if members.is_empty() {
        return out.push_str("{}");
    }
    let inner = indent + INDENT;
    let key_of = |(name, _): &(&str, ValueRef<'_>)| {
        let mut key = String::with_capacity(name.len() + 2);
        inspect(name, &mut key);
        (key.chars().count(), key)
    };
    let keys: Vec<(usize, String)> = members.iter().map(key_of).collect();
    let widest = keys.iter().map(|(width, _)| *width).max().unwrap_or(0);
    out.push('{');
    for (i, ((width, key), (_, value))) in keys.iter().zip(members).enumerate() {
        out.push_str(if i > 0 { ",\n" } else { "\n" });
        push_blanks(inner + widest - width, out);
        out.push_str(key);
        out.push_str(" => ");
        write_value(value, inner, out);
    }
    out.push('\n');
    push_blanks(indent, out);
    out.push('}');
}

fn write_list(array: ArrayRef<'_>, indent: usize, out: &mut String) {
    let Some(last) = array.len().checked_sub(1) else { return out.push_str("[]") };
    let inner = indent + INDENT;
    let width = last.to_string().len();
    out.push('[');
    for (i, value) in array.iter().enumerate() {
        out.push_str(if i > 0 { ",\n" } else { "\n" });
        push_blanks(inner, out);
        out.push_str(&format!("[{i:>width$}] "));
        write_value(value, inner, out);
    }
    out.push('\n');
    push_blanks(indent, out);
    out.push(']');
}

fn push_blanks(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}

/// Ruby's `BigDecimal#to_s("F")`: all digits, at least one behind the point.
fn write_decimal(text: &str, out: &mut String) {
    let ruby = Decimal::parse(text).map(|decimal| decimal.to_ruby());
    let parts = ruby.as_deref().and_then(|ruby| {
        let (mantissa, exponent) = ruby.split_once('e')?;
        let exponent: i64 = exponent.parse().ok()?;
        let (sign, digits) = mantissa.split_once("0.")?;
        (exponent.abs() <= PLAIN_EXPONENT_MAX).then_some((sign, digits, exponent))
    });
    let Some((sign, digits, exponent)) = parts else {
        return out.push_str(ruby.as_deref().unwrap_or(text));
    };
    out.push_str(sign);
    let whole = usize::try_from(exponent).unwrap_or(0);
    let zeros_before = usize::try_from(-exponent).unwrap_or(0);
    let (before, after) = digits.split_at_checked(whole).unwrap_or((digits, ""));
    out.push_str(if before.is_empty() { "0" } else { before });
    out.extend(std::iter::repeat_n('0', whole.saturating_sub(digits.len())));
    out.push('.');
    out.extend(std::iter::repeat_n('0', zeros_before));
    out.push_str(if after.is_empty() { "0" } else { after });
}

#[cfg(test)]
mod tests {
    use super::write_decimal;
    use crate::tests::{decode, encode, legacy};

    #[test]
    fn a_small_event() {
        let text = "{\n       \"message\" => \"hello\",\n    \"@timestamp\" => 2026-01-02T03:04:05.678Z,\n      \"@version\" \
                    => \"1\"\n}\n";
        assert_eq!(encode("rubydebug", &[r#"{"message":"hello","@metadata":{"k":"v"}}"#]), text);
    }

    #[test]
    fn everything_else() {
        let event = r#"{"o":{"é\n":null,"l":[1,[1e20,true],{}]},"e":[],"@metadata":{"k":-0.5}}"#;
        let expected = r#"{
             "o" => {
        "é\n" => nil,
          "l" => [
            [0] 1,
            [1] [
                [0] 1.0e+20,
                [1] true
            ],
            [2] {}
        ]
    },
             "e" => [],
    "@timestamp" => 2026-01-02T03:04:05.678Z,
      "@version" => "1",
     "@metadata" => {
        "k" => -0.5
    }
}
"#;
        assert_eq!(encode("rubydebug { metadata => true }", &[event]), expected);
    }

    #[test]
    fn indices_are_aligned() {
        let text = encode("rubydebug", &[r#"{"l":[0,1,2,3,4,5,6,7,8,9,10]}"#]);
        assert!(text.contains("        [ 9] 9,\n        [10] 10\n    ],"), "{text}");
    }

    #[test]
    fn decimals_are_plain() {
        let plain = |text: &str| {
            let mut out = String::new();
            write_decimal(text, &mut out);
            out
        };
        for (decimal, text) in [
            ("1.50", "1.5"),
            ("1E+3", "1000.0"),
            ("-0.001", "-0.001"),
            ("0", "0.0"),
            ("-123.456", "-123.456"),
            ("12", "12.0"),
            ("1E+2000", "0.1e2001"),
        ] {
            assert_eq!(plain(decimal), text);
        }
    }

    #[test]
    fn it_only_writes() {
        let kept = [r#"{"message":"{}","tags":["_codecdecodefailure"]}"#];
        assert_eq!(decode(&legacy(), "rubydebug", &["{}"]), kept);
    }
}
