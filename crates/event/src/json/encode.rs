//! Values as JSON text, spelled as Logstash spells them.

use super::scan::{BLOCK, specials};
use crate::event::{DATA, Event, Kind, META, Node};
use crate::key::KeyId;
use crate::number::java_double;
use crate::value::ValueRef;

impl Event {
    /// Appends the event as one line of JSON (no line end), without `@metadata`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_members(DATA, Kind::Object, out);
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
            self.write_members(META, Kind::Object, out);
            out.push(b'}');
        }
    }

    /// The members of a hash or list, straight from the arena.
    fn write_members(&self, range: u32, kind: Kind, out: &mut Vec<u8>) {
        let [open, close] = if kind == Kind::Object { *b"{}" } else { *b"[]" };
        let (members, start) = (self.members(range), out.len());
        if members.is_empty() {
            return out.extend_from_slice(&[open, close]);
        }
        for node in members {
            match kind {
                Kind::Object => self.write_key(node.key, out),
                _ => out.push(b','),
            }
            self.write_node(*node, out);
        }
        // Each member begins with a comma; the first one's place is the bracket's.
        if let Some(first) = out.get_mut(start) {
            *first = open;
        }
        out.push(close);
    }

    #[inline]
    fn write_key(&self, key: u32, out: &mut Vec<u8>) {
        if Event::is_local(key) {
            out.push(b',');
            write_string(self.key_name(key), out);
            out.push(b':');
        } else {
            KeyId(key).json().append_to(out);
        }
    }

    fn write_node(&self, node: Node, out: &mut Vec<u8>) {
        match node.kind {
            Kind::Str if node.quoted => {
                copy_part(self.text.as_bytes(), node.a as usize - 1, node.b as usize + 2, out);
            }
            Kind::Str => write_part(self.text.as_bytes(), node.a as usize, node.b as usize, out),
            Kind::Array | Kind::Object => self.write_members(node.a, node.kind, out),
            Kind::BigInt | Kind::Decimal => {
                copy_part(self.text.as_bytes(), node.a as usize, node.b as usize, out);
            }
            _ => write_value(self.resolve(node), out),
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
        ValueRef::Array(array) => array.event.write_members(array.range, Kind::Array, out),
        ValueRef::Object(object) => object.event.write_members(object.range, Kind::Object, out),
    }
}

/// JSON has no infinity: like Logstash, it becomes a string.
fn write_float(value: f64, out: &mut Vec<u8>) {
    let text = java_double(value);
    if value.is_finite() {
        out.extend_from_slice(text.as_str().as_bytes());
    } else {
        write_string(text.as_str(), out);
    }
}

/// Appends `text` quoted and escaped.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    write_part(text.as_bytes(), 0, text.len(), out);
}

/// Appends `len` bytes of `text` from `start`, quoted and escaped.
///
/// Whole blocks are copied, with what stands behind the part in `text`, and the surplus is taken back: a copy of fixed
/// size costs a fraction of one whose size is known at run time only.
fn write_part(text: &[u8], start: usize, len: usize, out: &mut Vec<u8>) {
    out.reserve(len + BLOCK + 2);
    out.push(b'"');
    let (mut at, end) = (start, start + len);
    while at < end {
        let left = end - at;
        let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) else {
            write_rest(text.get(at..end).unwrap_or_default(), out);
            break;
        };
        let specials = specials(block);
        let clean = (specials.trailing_zeros() as usize).min(left).min(BLOCK);
        let before = out.len();
        out.extend_from_slice(block);
        out.truncate(before + clean);
        at += clean;
        if clean < left.min(BLOCK)
            && let Some(byte) = block.get(clean)
        {
            write_escape(*byte, out);
            at += 1;
        }
    }
    out.push(b'"');
}

/// Appends `len` bytes of `text` from `start` as they are; in whole blocks where they are few.
#[inline]
fn copy_part(text: &[u8], start: usize, len: usize, out: &mut Vec<u8>) {
    const FEW: usize = 4 * BLOCK;
    let padded = len.next_multiple_of(BLOCK);
    match text.get(start..start + padded) {
        Some(padded) if len <= FEW => {
            let end = out.len() + len;
            for block in padded.as_chunks::<BLOCK>().0 {
                out.extend_from_slice(block);
            }
            out.truncate(end);
        }
        _ => out.extend_from_slice(text.get(start..start + len).unwrap_or_default()),
    }
}

/// The last bytes of all, fewer than a block.
fn write_rest(rest: &[u8], out: &mut Vec<u8>) {
    for byte in rest {
        match byte {
            b'"' | b'\\' | 0..0x20 => write_escape(*byte, out),
            _ => out.push(*byte),
        }
    }
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            let hex = |n: u8| if n < 10 { b'0' + n } else { b'A' + n - 10 };
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
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
