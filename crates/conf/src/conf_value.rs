//! The values of options: what a plugin gets to see.

use ferrostash_event::number::write_ruby_float;

use crate::plugin_block::PluginBlock;
use crate::source::Span;

/// A value with its place.
#[derive(Clone, Debug)]
pub struct ConfValue {
    /// Where it is written.
    pub span: Span,
    /// What it is.
    pub kind: ConfKind,
    /// Whether a part of it came out of the keystore, so that it must not be printed.
    pub secret: bool,
}

/// The kinds of values. Words such as `true` are strings; the option decides what they mean.
#[derive(Clone, Debug)]
pub enum ConfKind {
    /// A string or a bareword.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A whole number beyond 64 bits, in decimal.
    BigInt(String),
    /// A decimal number.
    Float(f64),
    /// `true` or `false`, once an option of that kind has taken it.
    Bool(bool),
    /// A list.
    Array(Vec<ConfValue>),
    /// A hash, in the order that Logstash hands it to plugins.
    Hash(Vec<Pair>),
    /// `name { … }`
    Plugin(Box<PluginBlock>),
    /// A variable without value, which has been reported.
    Missing,
}

/// One entry of a hash.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// Where the key is written.
    pub key_span: Span,
    /// The value.
    pub value: ConfValue,
}

impl ConfValue {
    /// A value at a place.
    pub fn new(span: Span, kind: ConfKind) -> ConfValue {
        ConfValue { span, kind, secret: false }
    }

    /// A string that no text contains, such as a default.
    pub fn text(text: impl Into<String>) -> ConfValue {
        ConfValue::new(Span::nowhere(), ConfKind::Text(text.into()))
    }

    /// A list that no text contains.
    pub fn list(values: Vec<ConfValue>) -> ConfValue {
        ConfValue::new(Span::nowhere(), ConfKind::Array(values))
    }

    /// The string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            ConfKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text that a string option makes of a scalar; `None` for lists, hashes and plugins.
    pub fn to_text(&self) -> Option<String> {
        Some(match &self.kind {
            ConfKind::Text(text) | ConfKind::BigInt(text) => text.clone(),
            ConfKind::Int(number) => number.to_string(),
            ConfKind::Float(number) => ruby_float(*number),
            ConfKind::Bool(value) => value.to_string(),
            ConfKind::Array(_) | ConfKind::Hash(_) | ConfKind::Plugin(_) | ConfKind::Missing => return None,
        })
    }

    /// Ruby's `inspect`, as Logstash shows values in its messages; secrets as `<password>`.
    pub fn inspect(&self) -> String {
        if self.secret {
            return "<password>".to_owned();
        }
        match &self.kind {
            ConfKind::Text(text) => inspect_text(text),
            ConfKind::Array(values) => inspect_list(values),
            ConfKind::Hash(pairs) => {
                let entries: Vec<String> = pairs
                    .iter()
                    .map(|pair| format!("{} => {}", inspect_text(&pair.key), pair.value.inspect()))
                    .collect();
                if entries.is_empty() { "{}".to_owned() } else { format!("{{{}}}", entries.join(", ")) }
            }
            ConfKind::Plugin(block) => format!("{} {{…}}", block.name),
            _ => self.to_text().unwrap_or_default(),
        }
    }

    /// Equality as Ruby sees it: places don't matter, `1` equals `1.0`, two plugins are never equal.
    pub fn same(&self, other: &ConfValue) -> bool {
        match (&self.kind, &other.kind) {
            (ConfKind::Text(a), ConfKind::Text(b)) | (ConfKind::BigInt(a), ConfKind::BigInt(b)) => a == b,
            (ConfKind::Int(a), ConfKind::Int(b)) => a == b,
            (ConfKind::Float(a), ConfKind::Float(b)) => a == b,
            (ConfKind::Int(a), ConfKind::Float(b)) | (ConfKind::Float(b), ConfKind::Int(a)) => {
                *a as f64 == *b
            }
            (ConfKind::Bool(a), ConfKind::Bool(b)) => a == b,
            (ConfKind::Array(a), ConfKind::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (ConfKind::Hash(a), ConfKind::Hash(b)) => {
                a.len() == b.len()
                    && a.iter().all(|p| b.iter().any(|q| p.key == q.key && p.value.same(&q.value)))
            }
            _ => false,
        }
    }

    /// Whether a part of it is a variable without value.
    pub fn is_missing(&self) -> bool {
        match &self.kind {
            ConfKind::Missing => true,
            ConfKind::Array(values) => values.iter().any(ConfValue::is_missing),
            ConfKind::Hash(pairs) => pairs.iter().any(|pair| pair.value.is_missing()),
            _ => false,
        }
    }

    /// The value as a list: a list's elements, or the value alone. A hash becomes a list of `[key, value]`.
    pub fn into_list(self) -> Vec<ConfValue> {
        match self.kind {
            ConfKind::Array(values) => values,
            ConfKind::Hash(pairs) => pairs.into_iter().map(Pair::into_list).collect(),
            _ => vec![self],
        }
    }
}

impl Pair {
    fn into_list(self) -> ConfValue {
        let span = self.key_span.to(self.value.span);
        let key = ConfValue::new(self.key_span, ConfKind::Text(self.key));
        ConfValue::new(span, ConfKind::Array(vec![key, self.value]))
    }
}

/// Ruby's `inspect` of a list.
pub(crate) fn inspect_list(values: &[ConfValue]) -> String {
    let inner: Vec<String> = values.iter().map(ConfValue::inspect).collect();
    format!("[{}]", inner.join(", "))
}

/// Ruby's `Float#to_s`.
pub(crate) fn ruby_float(number: f64) -> String {
    let mut text = String::new();
    write_ruby_float(number, &mut text);
    text
}

/// Ruby's `String#inspect`.
pub(crate) fn inspect_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{1b}' => out.push_str("\\e"),
            '#' if matches!(chars.peek(), Some('{' | '$' | '@')) => out.push_str("\\#"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\x{:02X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inspects_like_ruby() {
        let list = ConfValue::list(vec![
            ConfValue::text("a \"b\"\n#{x}"),
            ConfValue::new(Span::nowhere(), ConfKind::Int(5)),
            ConfValue::new(Span::nowhere(), ConfKind::Float(5.0)),
        ]);
        assert_eq!(list.inspect(), r##"["a \"b\"\n\#{x}", 5, 5.0]"##);
        let secret = ConfValue { secret: true, ..ConfValue::text("hunter2") };
        assert_eq!(secret.inspect(), "<password>");
    }

    #[test]
    fn equal_like_ruby() {
        let one = ConfValue::new(Span::nowhere(), ConfKind::Int(1));
        assert!(one.same(&ConfValue::new(Span::nowhere(), ConfKind::Float(1.0))));
        assert!(!one.same(&ConfValue::text("1")));
    }
}
