//! JSON for comparing: integers keep their text, floats their value, and key order does not matter.
//!
//! The engine under test writes and reads JSON itself; what judges it must not share its mistakes, so this reader is
//! separate and strict.

use anyhow::{Result, bail};
use std::fmt::{self, Write as _};

/// A JSON value.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// A number without fraction or exponent, of any size.
    Int(String),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Reads exactly one value.
    pub(crate) fn parse(text: &str) -> Result<Json> {
        let mut reader = Reader { rest: text };
        let value = reader.value()?;
        reader.blank();
        if !reader.rest.is_empty() {
            bail!("text behind the JSON value: {:.40}", reader.rest);
        }
        Ok(value)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Map(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        match self {
            Json::Map(entries) => entries.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Json]> {
        match self {
            Json::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&[(String, Json)]> {
        match self {
            Json::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// A scalar as a setting's text.
    pub(crate) fn to_setting(&self) -> String {
        match self {
            Json::Text(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Equality: `1` is not `1.0`, `1.0E25` is `1e+25`, the order of keys is free.
    pub(crate) fn same(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Null, Json::Null) => true,
            (Json::Bool(a), Json::Bool(b)) => a == b,
            (Json::Int(a), Json::Int(b)) | (Json::Text(a), Json::Text(b)) => a == b,
            (Json::Float(a), Json::Float(b)) => a.to_bits() == b.to_bits(),
            (Json::List(a), Json::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Json::Map(a), Json::Map(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, value)| other.get(key).is_some_and(|v| value.same(v)))
            }
            _ => false,
        }
    }

    /// Writes down every place where `actual` differs.
    pub(crate) fn differences(&self, actual: &Json, path: &str, out: &mut Vec<String>) {
        match (self, actual) {
            (Json::Map(wanted), Json::Map(got)) => {
                for (key, value) in wanted {
                    match actual.get(key) {
                        Some(found) => value.differences(found, &format!("{path}[{key}]"), out),
                        None => out.push(format!("{path}[{key}]: missing, should be {value}")),
                    }
                }
                for (key, value) in got.iter().filter(|(key, _)| self.get(key).is_none()) {
                    out.push(format!("{path}[{key}]: should not be there, is {value}"));
                }
            }
            (Json::List(wanted), Json::List(got)) if wanted.len() == got.len() => {
                for (at, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                    wanted.differences(got, &format!("{path}[{at}]"), out);
                }
            }
            _ if self.same(actual) => {}
            _ => out.push(format!("{path}: should be {self}, is {actual}")),
        }
    }
}

impl fmt::Display for Json {
    /// One line of JSON, keys in the order they have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Int(text) => f.write_str(text),
            Json::Float(value) => write!(f, "{value:?}"),
            Json::Text(text) => write_text(text, f),
            Json::List(items) => {
                f.write_char('[')?;
                for (at, item) in items.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    item.fmt(f)?;
                }
                f.write_char(']')
            }
            Json::Map(entries) => {
                f.write_char('{')?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    write_text(key, f)?;
                    write!(f, ": {value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if u32::from(c) < 0x20 => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        self.blank();
        if !self.take(token) {
            bail!("expected {token} before {:.40}", self.rest);
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Json> {
        self.blank();
        match self.rest.chars().next() {
            Some('{') => self.map(),
            Some('[') => self.list(),
            Some('"') => Ok(Json::Text(self.text()?)),
            Some('-' | '0'..='9') if !self.rest.starts_with("-I") => self.number(),
            // What Python writes for doubles that JSON has no text for.
            _ if self.take("Infinity") => Ok(Json::Float(f64::INFINITY)),
            _ if self.take("NaN") => Ok(Json::Float(f64::NAN)),
            _ if self.take("-Infinity") => Ok(Json::Float(f64::NEG_INFINITY)),
            _ if self.take("null") => Ok(Json::Null),
            _ if self.take("true") => Ok(Json::Bool(true)),
            _ if self.take("false") => Ok(Json::Bool(false)),
            _ => bail!("no JSON value at {:.40}", self.rest),
        }
    }

    fn map(&mut self) -> Result<Json> {
        self.expect("{")?;
        let mut entries: Vec<(String, Json)> = Vec::new();
        self.blank();
        while !self.take("}") {
            if !entries.is_empty() {
                self.expect(",")?;
                self.blank();
            }
            let key = self.text()?;
            if entries.iter().any(|(known, _)| *known == key) {
                bail!("the key {key} appears twice");
            }
            self.expect(":")?;
            entries.push((key, self.value()?));
            self.blank();
        }
        Ok(Json::Map(entries))
    }

    fn list(&mut self) -> Result<Json> {
        self.expect("[")?;
        let mut items = Vec::new();
        self.blank();
        while !self.take("]") {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(self.value()?);
            self.blank();
        }
        Ok(Json::List(items))
    }

    fn number(&mut self) -> Result<Json> {
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        if text.contains(['.', 'e', 'E']) {
            return Ok(Json::Float(text.parse()?));
        }
        if text.strip_prefix('-').unwrap_or(text).is_empty() {
            bail!("no number: {text}");
        }
        Ok(Json::Int(if text == "-0" { "0" } else { text }.to_owned()))
    }

    fn text(&mut self) -> Result<String> {
        self.expect("\"")?;
        let mut out = String::new();
        loop {
            let Some(at) = self.rest.find(['"', '\\']) else { bail!("a string without end") };
            let (plain, rest) = self.rest.split_at(at);
            out.push_str(plain);
            self.rest = rest;
            if self.take("\"") {
                return Ok(out);
            }
            self.take("\\");
            out.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        Ok(match c {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('u') => self.unicode()?,
            _ => bail!("an escape that JSON does not know before {:.40}", self.rest),
        })
    }

    /// The character of `\uXXXX`, also of a pair; a half of a pair is no character.
    fn unicode(&mut self) -> Result<char> {
        let unit = self.hex()?;
        if (0xd800..0xdc00).contains(&unit) && self.rest.starts_with("\\u") {
            let before = self.rest;
            self.take("\\u");
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.rest = before;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32> {
        let (Some(digits), Some(rest)) = (self.rest.get(..4), self.rest.get(4..)) else {
            bail!("half an escape")
        };
        self.rest = rest;
        Ok(u32::from_str_radix(digits, 16)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn numbers_compare_by_kind_and_value() {
        assert!(!json("1").same(&json("1.0")));
        assert!(json("1.0E25").same(&json("1e+25")));
        assert!(json("12345678901234567890123").same(&json("12345678901234567890123")));
        assert!(!json("12345678901234567890123").same(&json("12345678901234567890124")));
        assert!(!json("0.0").same(&json("-0.0")));
        assert!(json("-0").same(&json("0")));
    }

    #[test]
    fn key_order_is_free_but_lists_are_ordered() {
        assert!(json(r#"{"a": 1, "b": [1, 2]}"#).same(&json(r#"{"b":[1,2],"a":1}"#)));
        assert!(!json("[1, 2]").same(&json("[2, 1]")));
        assert!(!json(r#"{"a": null}"#).same(&json("{}")));
        assert!(!json("{}").same(&json(r#"{"a": null}"#)));
    }

    #[test]
    fn strings_are_read_as_json_says() {
        assert_eq!(json(r#""\ud83d\ude00\u0041\n\/""#).as_text(), Some("😀A\n/"));
        assert_eq!(json(r#""\ud83dx""#).as_text(), Some("\u{fffd}x"));
        for wrong in ["", "[1,]", "{\"a\":1,}", "{a:1}", "'a'", "1 2", "-", "\"a", r#"{"a":1,"a":2}"#] {
            assert!(Json::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn differences_name_the_place() {
        let mut out = Vec::new();
        json(r#"{"a": {"b": [1, 2]}, "c": 1}"#).differences(
            &json(r#"{"a": {"b": [1, 3]}, "d": 2}"#),
            "",
            &mut out,
        );
        assert_eq!(
            out,
            ["[a][b][1]: should be 2, is 3", "[c]: missing, should be 1", "[d]: should not be there, is 2"]
        );
    }

    #[test]
    fn writes_what_it_reads() {
        let text = r#"{"a": [null, true, 1, 1.5, "x\n\u0001"]}"#;
        assert_eq!(json(text).to_string(), text);
    }
}
