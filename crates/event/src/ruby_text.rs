//! Values as Ruby prints them: `to_s` and `inspect`.
//!
//! Logstash's plugins are written in Ruby, so a number that mutate turns into a string, or a list that is joined, has
//! Ruby's spelling and not Java's.

use crate::number::{Decimal, write_ruby_float};
use crate::value::ValueRef;

impl ValueRef<'_> {
    /// Appends Ruby's `to_s`: nothing for null, `inspect` for lists and hashes.
    pub fn write_ruby(self, out: &mut String) {
        match self {
            ValueRef::Null => {}
            ValueRef::Float(float) => write_ruby_float(float, out),
            ValueRef::Decimal(text) => match Decimal::parse(text) {
                Some(decimal) => out.push_str(&decimal.to_ruby()),
                None => out.push_str(text),
            },
            ValueRef::Array(_) | ValueRef::Object(_) => self.write_ruby_inspect(out),
            _ => self.write_java(out),
        }
    }

    /// Appends Ruby's `inspect`: `["a", nil, {"k" => 1.5}]`.
    pub fn write_ruby_inspect(self, out: &mut String) {
        match self {
            ValueRef::Null => out.push_str("nil"),
            ValueRef::Str(text) => write_quoted(text, out),
            ValueRef::Array(array) => {
                out.push('[');
                array.iter().enumerate().for_each(|(i, value)| {
                    out.push_str(if i > 0 { ", " } else { "" });
                    value.write_ruby_inspect(out);
                });
                out.push(']');
            }
            ValueRef::Object(object) => {
                out.push('{');
                object.iter().enumerate().for_each(|(i, (key, value))| {
                    out.push_str(if i > 0 { ", " } else { "" });
                    write_quoted(key, out);
                    out.push_str(" => ");
                    value.write_ruby_inspect(out);
                });
                out.push('}');
            }
            _ => self.write_ruby(out),
        }
    }
}

/// Ruby's `String#inspect`.
fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{7f}' => out.push_str("\\x7F"),
            '#' if matches!(chars.peek(), Some('{' | '$' | '@')) => out.push_str("\\#"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use crate::{Event, FieldRef, Timestamp, Value};

    fn both(value: impl Into<Value>) -> (String, String) {
        let mut event = Event::at(Timestamp::EPOCH);
        let field = FieldRef::literal("v");
        event.set(&field, value).unwrap();
        let (mut to_s, mut inspect) = (String::new(), String::new());
        event.get(&field).unwrap().write_ruby(&mut to_s);
        event.get(&field).unwrap().write_ruby_inspect(&mut inspect);
        (to_s, inspect)
    }

    #[test]
    fn scalars() {
        let table = [
            (Value::Null, "", "nil"),
            (Value::Bool(true), "true", "true"),
            (Value::Int(-5), "-5", "-5"),
            (Value::Float(1e7), "10000000.0", "10000000.0"),
            (Value::Decimal("1.50".into()), "0.15e1", "0.15e1"),
            (Value::Timestamp(Timestamp::EPOCH), "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"),
            ("a\"\n\u{0}#{x}é".into(), "a\"\n\u{0}#{x}é", "\"a\\\"\\n\\u0000\\#{x}é\""),
        ];
        for (value, to_s, inspect) in table {
            assert_eq!(both(value), (to_s.to_owned(), inspect.to_owned()));
        }
    }

    #[test]
    fn lists_and_hashes() {
        let hash = Value::Object(vec![("k".into(), Value::Float(1.5)), ("l".into(), Value::Array(vec![]))]);
        let text = "[\"a\", nil, {\"k\" => 1.5, \"l\" => []}]".to_owned();
        assert_eq!(both(Value::Array(vec!["a".into(), Value::Null, hash])), (text.clone(), text));
    }
}
