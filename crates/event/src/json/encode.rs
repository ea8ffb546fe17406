//! Values as JSON text, spelled as Logstash spells them.

use crate::event::Event;
use crate::number::write_java_double;
use crate::value::ValueRef;

impl Event {
    /// Appends the event as one line of JSON (no line end), without `@metadata`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write_value(ValueRef::Object(self.fields()), out);
    }

    /// As [`Event::write_json`], with `@metadata` as its last member where it is not empty.
    pub fn write_json_with_metadata(&self, out: &mut Vec<u8>) {
        self.write_json(out);
        if !self.metadata().is_empty() {
            out.pop();
            out.extend_from_slice(if self.fields().is_empty() {
                b"\"@metadata\":"
            } else {
                b",\"@metadata\":"
            });
            write_value(ValueRef::Object(self.metadata()), out);
            out.push(b'}');
        }
    }
}

/// Appends `value` as JSON to a string.
pub fn append_value(value: ValueRef<'_>, out: &mut String) {
    let mut bytes = std::mem::take(out).into_bytes();
    write_value(value, &mut bytes);
    *out = String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
}

/// Appends `value` as JSON.
pub fn write_value(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(true) => out.extend_from_slice(b"true"),
        ValueRef::Bool(false) => out.extend_from_slice(b"false"),
        ValueRef::Int(i) => out.extend_from_slice(itoa::Buffer::new().format(i).as_bytes()),
        ValueRef::BigInt(text) | ValueRef::Decimal(text) => out.extend_from_slice(text.as_bytes()),
        ValueRef::Float(f) => write_float(f, out),
        ValueRef::Timestamp(timestamp) => {
            out.push(b'"');
            timestamp.write_iso8601_bytes(out);
            out.push(b'"');
        }
        ValueRef::Str(text) => write_string(text, out),
        ValueRef::Array(array) => {
            out.push(b'[');
            for (i, value) in array.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(value, out);
            }
            out.push(b']');
        }
        ValueRef::Object(object) => {
            out.push(b'{');
            for (i, (key, value)) in object.iter_json().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                match key {
                    Ok(json) => out.extend_from_slice(json.as_bytes()),
                    Err(name) => {
                        write_string(name, out);
                        out.push(b':');
                    }
                }
                write_value(value, out);
            }
            out.push(b'}');
        }
    }
}

/// JSON has no infinity: like Logstash, it becomes a string.
fn write_float(value: f64, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(26);
    write_java_double(value, &mut text);
    if value.is_finite() {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_string(&text, out);
    }
}

/// What an escape needs: 0 for nothing, `u` for a `\u00XX`, else the letter after the backslash.
#[expect(clippy::indexing_slicing, reason = "constant indices, checked while compiling")]
const ESCAPES: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Whether one of the eight bytes must be escaped: below 0x20, a quote or a backslash.
fn word_needs_escape(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_byte = |x: u64| x.wrapping_sub(ONES) & !x & HIGH;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    (control | zero_byte(word ^ (ONES * u64::from(b'"'))) | zero_byte(word ^ (ONES * u64::from(b'\\')))) != 0
}

/// Appends `text` quoted and escaped.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let clean = clean_prefix(rest);
        let (before, after) = rest.split_at(clean);
        out.extend_from_slice(before);
        let Some((&byte, tail)) = after.split_first() else { break };
        write_escape(byte, out);
        rest = tail;
    }
    out.push(b'"');
}

/// How many bytes from the start need no escape.
fn clean_prefix(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let clean_words =
        words.iter().take_while(|word| !word_needs_escape(u64::from_le_bytes(**word))).count() * 8;
    let tail = bytes.get(clean_words..).unwrap_or_default();
    clean_words + tail.iter().position(|b| escape_of(*b) != 0).unwrap_or(tail.len())
}

fn escape_of(byte: u8) -> u8 {
    ESCAPES.get(byte as usize).copied().unwrap_or(0)
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    match escape_of(byte) {
        b'u' => {
            let hex = |n: u8| if n < 10 { b'0' + n } else { b'A' + n - 10 };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
        }
        letter => out.extend_from_slice(&[b'\\', letter]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldRef, Timestamp, Value};

    #[test]
    fn strings_are_escaped_as_jackson_does() {
        let mut out = Vec::new();
        write_string("a\"b\\c/d\n\t\u{1f}\u{7f}é\u{2028}😀 and a long clean tail", &mut out);
        let expected = "\"a\\\"b\\\\c/d\\n\\t\\u001F\u{7f}é\u{2028}😀 and a long clean tail\"";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn every_byte_at_every_offset() {
        for offset in 0..17 {
            for byte in 0..0x80u8 {
                let text = format!("{}{}{}", "x".repeat(offset), byte as char, "y".repeat(9));
                let mut out = Vec::new();
                write_string(&text, &mut out);
                let back: String = serde_json::from_slice(&out).unwrap();
                assert_eq!(back, text);
            }
        }
    }

    #[test]
    fn events() {
        let mut event = Event::at(Timestamp::from_millis(1_767_323_045_678));
        event.set(&FieldRef::parse("[a][b]").unwrap(), Value::from(vec![1.5, 1e7, f64::INFINITY])).unwrap();
        event.set(&FieldRef::parse("[@metadata][x]").unwrap(), 1).unwrap();
        let mut out = Vec::new();
        event.write_json(&mut out);
        let plain =
            r#"{"@timestamp":"2026-01-02T03:04:05.678Z","@version":"1","a":{"b":[1.5,1.0E7,"Infinity"]}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), plain);
        let mut out = Vec::new();
        event.write_json_with_metadata(&mut out);
        assert!(String::from_utf8(out).unwrap().ends_with(r#"},"@metadata":{"x":1}}"#));
    }
}
