//! Ruby's `inspect` and EDN, as far as events need them: hashes, lists, strings, and words kept as they stand.

use crate::json::Json;
use anyhow::{Result, bail};

/// Reads one value. In Ruby's debug form list elements are `numbered`: `[0] "a"`.
pub(crate) fn parse(text: &str, numbered: bool) -> Result<Json> {
    let mut reader = Reader { rest: text, numbered };
    let value = reader.value()?;
    reader.blank();
    if !reader.rest.is_empty() {
        bail!("text behind the value: {:.40}", reader.rest);
    }
    Ok(value)
}

struct Reader<'t> {
    rest: &'t str,
    numbered: bool,
}

impl Reader<'_> {
    /// Commas are blanks in EDN; `=>` says nothing that the order does not.
    fn blank(&mut self) {
        loop {
            let trimmed = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',']);
            self.rest = trimmed.strip_prefix("=>").unwrap_or(trimmed);
            if self.rest.len() == trimmed.len() {
                return;
            }
        }
    }

    fn take(&mut self, token: char) -> bool {
        self.blank();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Result<Json> {
        if self.take('{') {
            return self.map();
        }
        if self.take('[') {
            return self.list();
        }
        if self.take('"') {
            return Ok(Json::Text(self.text()?));
        }
        self.word()
    }

    fn map(&mut self) -> Result<Json> {
        let mut entries = Vec::new();
        while !self.take('}') {
            let key = self.value()?;
            entries.push((key.to_setting(), self.value()?));
        }
        Ok(Json::Map(entries))
    }

    fn list(&mut self) -> Result<Json> {
        let mut items = Vec::new();
        while !self.take(']') {
            if self.numbered && !(self.take('[') && self.index() && self.take(']')) {
                bail!("a list element without number at {:.40}", self.rest);
            }
            items.push(self.value()?);
        }
        Ok(Json::List(items))
    }

    fn index(&mut self) -> bool {
        self.blank();
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let found = rest.len() < self.rest.len();
        self.rest = rest;
        found
    }

    fn text(&mut self) -> Result<String> {
        let mut out = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => match chars.next() {
                    Some(c @ ('"' | '\\' | '#')) => out.push(c),
                    Some(c) => out.extend(['\\', c]),
                    None => bail!("a string without end"),
                },
                Some(c) => out.push(c),
                None => bail!("a string without end"),
            }
        }
        self.rest = chars.as_str();
        Ok(out)
    }

    fn word(&mut self) -> Result<Json> {
        let end = self.rest.find([' ', ',', '\n', '}', ']']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            bail!("no value at {:.40}", self.rest);
        }
        self.rest = rest;
        match word {
            "nil" => Ok(Json::Null),
            // Numbers, times and symbols: their text is what counts.
            _ => Ok(Json::Map(vec![("word".into(), Json::Text(word.to_owned()))])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ruby_and_edn() {
        let ruby = "{\n  \"m\" => \"a\\\"b\",\n \"t\" => 2026-01-02T03:04:05.678Z,\n \"l\" => [\n [0] \"x\",\n [1] nil\n ]\n}\n";
        let expected = r#"{"m": "a\"b", "t": {"word": "2026-01-02T03:04:05.678Z"}, "l": ["x", null]}"#;
        assert_eq!(parse(ruby, true).unwrap().to_string(), expected);
        let edn = r#"{"a" 1, "b" [[1] ["x" nil]]}"#;
        let expected = r#"{"a": {"word": "1"}, "b": [[{"word": "1"}], ["x", null]]}"#;
        assert_eq!(parse(edn, false).unwrap().to_string(), expected);
        assert!(parse("{\"a\" => }", true).is_err());
        assert!(parse("{\"a\" => 1} x", true).is_err());
    }
}
