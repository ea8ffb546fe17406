//! Readers of encoded events whose text is free in some way: the order of keys, blanks, the width of a number.

use super::case::Unstable;
use super::literal;
use super::msgpack;
use crate::json::Json;
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Reads one recorded entry.
pub(crate) type Decoder = fn(&Json) -> Result<Json>;

/// How entries of this codec are compared; `None` where every byte counts.
pub(crate) fn decoder(codec: &str, unstable: &Unstable) -> Option<Decoder> {
    match (codec, unstable) {
        ("rubydebug", _) => Some(|entry| literal::parse(text(entry)?, true)),
        ("edn" | "edn_lines", _) => Some(|entry| literal::parse(text(entry)?, false)),
        ("msgpack" | "fluent", _) => Some(packed_entry),
        (_, Unstable::KeyOrder) => Some(json_entry),
        (_, Unstable::Everything) => Some(|_| Ok(Json::Null)),
        _ => None,
    }
}

/// An entry as it is recorded: text, or base64 where it is not UTF-8.
pub(crate) fn entry(bytes: Vec<u8>) -> Json {
    match String::from_utf8(bytes) {
        Ok(text) => Json::Text(text),
        Err(error) => Json::Map(vec![("base64".into(), Json::Text(STANDARD.encode(error.as_bytes())))]),
    }
}

fn text(entry: &Json) -> Result<&str> {
    entry.as_text().context("no text")
}

fn bytes(entry: &Json) -> Result<Vec<u8>> {
    match entry.get("base64").and_then(Json::as_text) {
        Some(encoded) => Ok(STANDARD.decode(encoded)?),
        None => Ok(text(entry)?.as_bytes().to_vec()),
    }
}

/// The JSON, and what stands behind it: the delimiter counts.
fn json_entry(entry: &Json) -> Result<Json> {
    let text = text(entry)?;
    let json = text.trim_end_matches(['\r', '\n']);
    let tail = text.get(json.len()..).unwrap_or_default();
    Ok(Json::List(vec![Json::parse(json)?, Json::Text(tail.to_owned())]))
}

fn packed_entry(entry: &Json) -> Result<Json> {
    msgpack::parse(&bytes(entry)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_base64() {
        assert_eq!(entry(b"ab".to_vec()).to_string(), "\"ab\"");
        let packed = entry(vec![0x81, 0xa1, b'a', 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(packed.to_string(), r#"{"base64": "gaFhyz/4AAAAAAAA"}"#);
        assert_eq!(packed_entry(&packed).unwrap().to_string(), r#"{"a": 1.5}"#);
    }
}
