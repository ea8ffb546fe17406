//! Values as JSON text, spelled as Logstash spells them.

use super::scan::specials;
use super::writer::{BLOCK, Writer};
use crate::event::{DATA, Event, Kind, META, Node};
use crate::key::KeyId;
use crate::number::java_double;
use crate::value::ValueRef;

impl Event {
    /// Appends the event as one line of JSON (no line end), without `@metadata`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out);
        self.write_members(DATA, Kind::Object, &mut writer);
        writer.finish();
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
            let mut writer = Writer::new(out);
            self.write_members(META, Kind::Object, &mut writer);
            writer.finish();
            out.push(b'}');
        }
    }

    /// The members of a hash or list, straight from the arena.
    fn write_members(&self, range: u32, kind: Kind, out: &mut Writer<'_>) {
        let [open, close] = if kind == Kind::Object { *b"{}" } else { *b"[]" };
        let (members, start) = (self.members(range), out.at());
        out.room(2);
        if members.is_empty() {
            out.byte(open);
        }
        for node in members {
            match kind {
                Kind::Object => self.write_key(node.key, out),
                _ => {
                    out.room(1);
                    out.byte(b',');
                }
            }
            self.write_node(*node, out);
        }
        // Each member begins with a comma; the first one's place is the bracket's.
        out.set(start, open);
        out.room(1);
        out.byte(close);
    }

    #[inline]
    fn write_key(&self, key: u32, out: &mut Writer<'_>) {
        if Event::is_local(key) {
            let name = self.key_name(key);
            out.bytes(b",");
            write_part(name.as_bytes(), 0, name.len(), out);
            out.bytes(b":");
        } else {
            KeyId(key).json().write(out);
        }
    }

    #[inline]
    fn write_node(&self, node: Node, out: &mut Writer<'_>) {
        let (start, len) = (node.a as usize, node.b as usize);
        match node.kind {
            Kind::Str if node.quoted => out.part(self.text.as_bytes(), start - 1, len + 2),
            Kind::Str => write_part(self.text.as_bytes(), start, len, out),
            Kind::BigInt | Kind::Decimal => out.part(self.text.as_bytes(), start, len),
            Kind::Array | Kind::Object => self.write_members(node.a, node.kind, out),
            _ => write_scalar(self.resolve(node), out),
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
    let mut writer = Writer::new(out);
    match value {
        ValueRef::Array(array) => array.event.write_members(array.range, Kind::Array, &mut writer),
        ValueRef::Object(object) => object.event.write_members(object.range, Kind::Object, &mut writer),
        _ => write_scalar(value, &mut writer),
    }
    writer.finish();
}

fn write_scalar(value: ValueRef<'_>, out: &mut Writer<'_>) {
    match value {
        ValueRef::Bool(true) => out.bytes(b"true"),
        ValueRef::Bool(false) => out.bytes(b"false"),
        ValueRef::Int(i) => out.bytes(itoa::Buffer::new().format(i).as_bytes()),
        ValueRef::BigInt(text) | ValueRef::Decimal(text) => out.bytes(text.as_bytes()),
        ValueRef::Float(f) => write_float(f, out),
        ValueRef::Timestamp(timestamp) => {
            out.bytes(b"\"");
            match timestamp.usual() {
                Some(text) => out.bytes(&text),
                None => out.append(|out| timestamp.write_iso8601_bytes(out)),
            }
            out.bytes(b"\"");
        }
        ValueRef::Str(text) => write_part(text.as_bytes(), 0, text.len(), out),
        // Lists and hashes have been written by those who know where their members are.
        ValueRef::Null | ValueRef::Array(_) | ValueRef::Object(_) => out.bytes(b"null"),
    }
}

/// JSON has no infinity: like Logstash, it becomes a string.
fn write_float(value: f64, out: &mut Writer<'_>) {
    let text = java_double(value);
    let text = text.as_str().as_bytes();
    if value.is_finite() {
        out.bytes(text);
    } else {
        write_part(text, 0, text.len(), out);
    }
}

/// Appends `text` quoted and escaped.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    let mut writer = Writer::new(out);
    write_part(text.as_bytes(), 0, text.len(), &mut writer);
    writer.finish();
}

/// Writes `len` bytes of `text` from `start`, quoted and escaped.
fn write_part(text: &[u8], start: usize, len: usize, out: &mut Writer<'_>) {
    /// What a block becomes at most, with a quote.
    const BLOCK_MAX: usize = 6 * BLOCK + 1;
    let (mut at, end) = (start, start + len);
    out.room(BLOCK_MAX);
    out.byte(b'"');
    while at < end {
        out.room(BLOCK_MAX);
        let count = BLOCK.min(end - at);
        let block = match text.get(at..).and_then(<[u8]>::first_chunk) {
            Some(block) => *block,
            None => padded(text.get(at..end).unwrap_or_default()),
        };
        let specials = specials(&block) & ((1 << count) - 1);
        match specials {
            0 => out.block(block, count),
            _ => write_escaped(block, count, specials, text.get(at..).unwrap_or_default(), out),
        }
        at += count;
    }
    out.byte(b'"');
}

/// The last bytes of all, fewer than a block.
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    block
}

/// Writes the first `count` bytes of a block of which some need escapes; `text` begins with the block.
#[inline]
fn write_escaped(block: [u8; BLOCK], count: usize, mut specials: u32, text: &[u8], out: &mut Writer<'_>) {
    let start = out.at();
    let mut grown = 0;
    out.block(block, count);
    // The rest of the block is written anew behind each backslash, one place further on.
    while specials != 0 {
        let at = specials.trailing_zeros() as usize;
        let rest = match text.get(at..).and_then(<[u8]>::first_chunk) {
            Some(rest) => *rest,
            None => padded(text.get(at..).unwrap_or_default()),
        };
        grown += out.escape(start + at + grown, rest);
        specials &= specials - 1;
    }
    out.go_to(start + count + grown);
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
