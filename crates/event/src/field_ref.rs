//! Field references: `message`, `[a][b][0]`, `[@metadata][x]`.
//!
//! Parsed once, when a configuration is built. Rules and names of the upstream tests they come from: Logstash's
//! `FieldReference`.

use crate::key::{Key, KeyId};

/// Deepest path that a reference may have.
pub const PATH_DEPTH_MAX: usize = 1000;

/// Where a path starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Root {
    /// The event's data.
    Event,
    /// `[@metadata]`.
    Metadata,
}

/// One step of a path: a name, which on a list is read as an index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    pub(crate) key: Key,
    /// The name as a list index, where it is a whole number; negative counts from the end.
    pub(crate) index: Option<i64>,
}

impl Segment {
    pub(crate) fn new(name: &str) -> Self {
        Segment { key: Key::new(name), index: name.parse().ok() }
    }
}

/// A parsed field reference.
#[derive(Clone)]
pub struct FieldRef {
    pub(crate) root: Root,
    pub(crate) path: Box<[Segment]>,
    /// The one name of the path, where it is that of a top-level field without rules of its own: the usual case.
    pub(crate) plain: Option<KeyId>,
    raw: Box<str>,
}

/// The text is no field reference; displays as Logstash's sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid FieldReference: `{0}`")]
pub struct FieldRefError(pub String);

/// How literal brackets are written inside a name (`config.field_reference.escape_style`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EscapeStyle {
    /// Not at all.
    #[default]
    None,
    /// `%5B`: two upper-case hex digits per byte.
    Percent,
    /// `&#91;`: a decimal code point of two digits or more.
    Ampersand,
}

impl FieldRef {
    /// Parses a reference without escapes.
    pub fn parse(text: &str) -> Result<FieldRef, FieldRefError> {
        Self::parse_escaped(text, EscapeStyle::None)
    }

    /// Parses a reference whose names may hold escaped characters.
    pub fn parse_escaped(text: &str, style: EscapeStyle) -> Result<FieldRef, FieldRefError> {
        let error = || FieldRefError(text.to_owned());
        if text.len() > u32::MAX as usize / 2 {
            return Err(error());
        }
        let names = if text.starts_with('[') {
            bracketed(text).ok_or_else(error)?
        } else {
            bare(text).ok_or_else(error)?
        };
        if names.len() > PATH_DEPTH_MAX {
            return Err(error());
        }
        let names = names.into_iter().map(|name| unescape(name, style));
        Ok(Self::from_names(names, text))
    }

    /// The reference to a top-level field whose name is taken literally, brackets and all.
    pub fn literal(name: &str) -> FieldRef {
        FieldRef::new(Root::Event, [Segment::new(name)].into(), name.into())
    }

    fn from_names<S: AsRef<str>>(names: impl Iterator<Item = S>, raw: &str) -> FieldRef {
        let mut path: Vec<Segment> = names.map(|name| Segment::new(name.as_ref())).collect();
        let metadata = path.first().is_some_and(|first| first.key.as_str() == crate::METADATA);
        if metadata {
            path.remove(0);
        }
        let root = if metadata { Root::Metadata } else { Root::Event };
        FieldRef::new(root, path.into(), raw.into())
    }

    fn new(root: Root, path: Box<[Segment]>, raw: Box<str>) -> FieldRef {
        let only = match &*path {
            [only] if root == Root::Event => only.key.id(),
            _ => None,
        };
        FieldRef { root, path, plain: only.filter(|id| id.is_plain()), raw }
    }

    /// The text it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Where the path starts.
    pub fn root(&self) -> Root {
        self.root
    }

    /// The names of the path, below its root.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.path.iter().map(|segment| segment.key.as_str())
    }

    /// Whether this is the event's own field `name` (and not something below it).
    pub fn is_top_level(&self, name: &str) -> bool {
        self.root == Root::Event
            && self.path.len() == 1
            && self.path.first().is_some_and(|s| s.key.as_str() == name)
    }

    /// The reference to `name` below this one.
    pub fn child(&self, name: &str) -> FieldRef {
        let mut path = self.path.to_vec();
        path.push(Segment::new(name));
        let raw = if self.raw.starts_with('[') {
            format!("{}[{name}]", self.raw)
        } else {
            format!("[{}][{name}]", self.raw)
        };
        FieldRef::new(self.root, path.into(), raw.into())
    }

    /// The reference to what contains this one; `None` at the root.
    pub fn parent(&self) -> Option<FieldRef> {
        let (_, above) = self.path.split_last()?;
        let mut raw = String::new();
        if self.root == Root::Metadata {
            raw.push_str("[@metadata]");
        }
        above.iter().for_each(|segment| {
            raw.push('[');
            raw.push_str(segment.key.as_str());
            raw.push(']');
        });
        Some(FieldRef::new(self.root, above.into(), raw.into()))
    }
}

impl PartialEq for FieldRef {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root && self.path == other.path
    }
}

impl Eq for FieldRef {}

impl std::fmt::Debug for FieldRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.raw)
    }
}

impl std::fmt::Display for FieldRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.raw)
    }
}

impl std::str::FromStr for FieldRef {
    type Err = FieldRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        FieldRef::parse(text)
    }
}

/// A name without brackets is taken as it is; dots and blanks mean nothing.
fn bare(text: &str) -> Option<Vec<&str>> {
    (!text.contains(['[', ']'])).then(|| vec![text])
}

/// `[a][b]`, with references embedded in brackets flattened: `[[a][b]][c]` is a, b, c.
fn bracketed(text: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let (mut depth, mut start, mut closed_name) = (0usize, 0usize, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => {
                // Text between an opening bracket and another one: `[this[is]terrible]`.
                if depth > 0 && !closed_name && start != at {
                    return None;
                }
                depth += 1;
                start = at + 1;
                closed_name = false;
            }
            b']' => {
                depth = depth.checked_sub(1)?;
                if closed_name {
                    // The end of an embedded reference; nothing may stand before it.
                    if start != at {
                        return None;
                    }
                } else {
                    let name = text.get(start..at)?;
                    if name.is_empty() {
                        return None;
                    }
                    names.push(name);
                }
                closed_name = true;
                start = at + 1;
            }
            _ if depth == 0 || (closed_name && depth > 0) => return None,
            _ => {}
        }
    }
    (depth == 0).then_some(names)
}

fn unescape(name: &str, style: EscapeStyle) -> std::borrow::Cow<'_, str> {
    match style {
        EscapeStyle::None => name.into(),
        EscapeStyle::Percent if name.contains('%') => unescape_percent(name).into(),
        EscapeStyle::Ampersand if name.contains("&#") => unescape_ampersand(name).into(),
        _ => name.into(),
    }
}

fn unescape_percent(name: &str) -> String {
    let upper_hex = |b: &u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
    let (mut out, mut rest) = (Vec::with_capacity(name.len()), name.as_bytes());
    while let Some((&first, tail)) = rest.split_first() {
        let pair = tail.get(..2).filter(|pair| first == b'%' && pair.iter().all(upper_hex));
        let byte = pair.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        out.push(byte.unwrap_or(first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8(out).unwrap_or_else(|_| name.to_owned())
}

fn unescape_ampersand(name: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(name.len()), name);
    while let Some(at) = rest.find("&#") {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let code = tail.get(2..).and_then(|t| t.split_once(';')).filter(|(digits, _)| digits.len() >= 2);
        let character = code.and_then(|(digits, after)| Some((char::from_u32(digits.parse().ok()?)?, after)));
        match character {
            Some((character, after)) => {
                out.push(character);
                rest = after;
            }
            None => {
                out.push_str("&#");
                rest = tail.get(2..).unwrap_or_default();
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<Vec<String>> {
        FieldRef::parse(text).ok().map(|r| r.path.iter().map(|s| s.key.as_str().to_owned()).collect())
    }

    #[test]
    fn forms() {
        let table: [(&str, &[&str]); 9] = [
            ("foo", &["foo"]),
            ("a.b", &["a.b"]),
            ("", &[""]),
            ("[a][b][0]", &["a", "b", "0"]),
            ("[a b]", &["a b"]),
            ("[[a][b]][c]", &["a", "b", "c"]),
            ("[[a]]", &["a"]),
            ("[@metadata][x]", &["x"]),
            ("@metadata", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(names(text).unwrap(), expected, "{text}");
        }
        assert_eq!(FieldRef::parse("[@metadata][x]").unwrap().root(), Root::Metadata);
    }

    #[test]
    fn illegal() {
        for text in [
            "[",
            "]",
            "[]",
            "foo[bar]",
            "[foo]bar[baz]",
            "[a",
            "[foo]]",
            "[foo]][bar]",
            "[this[is]terrible]",
            "[a]b",
            "[[a]b]",
        ] {
            assert_eq!(FieldRef::parse(text), Err(FieldRefError(text.into())), "{text}");
        }
        assert!(FieldRef::parse(&"[a]".repeat(PATH_DEPTH_MAX + 1)).is_err());
    }

    #[test]
    fn escapes() {
        let path = |text, style| {
            FieldRef::parse_escaped(text, style).unwrap().names().map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(path("[a%5Bb%5D]", EscapeStyle::Percent), ["a[b]"]);
        assert_eq!(path("%5b", EscapeStyle::Percent), ["%5b"]);
        assert_eq!(path("x&#91;0&#93;", EscapeStyle::Ampersand), ["x[0]"]);
        assert_eq!(path("a&#9;", EscapeStyle::Ampersand), ["a&#9;"]);
    }

    #[test]
    fn child_and_parent() {
        assert_eq!(FieldRef::parse("a").unwrap().child("b").as_str(), "[a][b]");
        assert_eq!(FieldRef::parse("[a][b]").unwrap().parent().unwrap().as_str(), "[a]");
    }
}
