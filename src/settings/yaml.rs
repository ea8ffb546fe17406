//! YAML with positions: the tree of a settings file, each node with the bytes it stands on.
//!
//! Scalars keep their text and whether they were quoted, because the type of a setting decides what a text means,
//! not YAML's guess. As in Logstash, only the first document counts, and aliases and tags are refused.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, options};

/// Deepest nesting of a settings file.
const DEPTH_MAX: usize = 32;

/// A node and where it stands, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeKind {
    Null,
    Plain(String),
    Quoted(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Why a text is no YAML, and where.
#[derive(Debug)]
pub(crate) struct YamlError {
    pub(crate) message: String,
    pub(crate) offset: usize,
}

/// A list or map whose end has not been seen.
enum Open {
    List { items: Vec<Node>, start: usize },
    Map { entries: Vec<(Node, Node)>, key: Option<Node>, start: usize },
}

/// Reads the first document; `None` when there is none.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, YamlError> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for next in Parser::new_from_str_with_options(text, options! { emit_comments: false }) {
        let (event, span) = next.map_err(|error| YamlError {
            offset: error.marker().byte_offset().unwrap_or(text.len()).min(text.len()),
            message: error.info().to_string(),
        })?;
        let bytes = span.byte_range().unwrap_or(0..0);
        let refuse = |message: &str| Err(YamlError { message: message.to_owned(), offset: bytes.start });
        if event.tag().is_some_and(|tag| !tag.is_yaml_core_schema_tag("str")) {
            return refuse("YAML tags are not supported here");
        }
        let node = match event {
            Event::Scalar(value, style, _, ref tag) => {
                Node { kind: scalar(&value, style == ScalarStyle::Plain && tag.is_none()), span: bytes }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEPTH_MAX => {
                return refuse("too deeply nested");
            }
            Event::SequenceStart(..) => {
                open.push(Open::List { items: Vec::new(), start: bytes.start });
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map { entries: Vec::new(), key: None, start: bytes.start });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List { items, start }) => {
                    Node { kind: NodeKind::List(items), span: start..bytes.end.max(start) }
                }
                Some(Open::Map { entries, start, .. }) => {
                    Node { kind: NodeKind::Map(entries), span: start..bytes.end.max(start) }
                }
                None => continue,
            },
            Event::Alias(_) => return refuse("YAML aliases are not supported here"),
            Event::DocumentEnd => break,
            _ => continue,
        };
        match open.last_mut() {
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(node),
            },
            None => root = Some(node),
        }
    }
    Ok(root)
}

fn scalar(value: &str, plain: bool) -> NodeKind {
    match value {
        "" | "~" | "null" | "Null" | "NULL" if plain => NodeKind::Null,
        _ if plain => NodeKind::Plain(value.to_owned()),
        _ => NodeKind::Quoted(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<(Node, Node)> {
        match parse(text).unwrap().unwrap().kind {
            NodeKind::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keeps_text_quoting_and_place() {
        let entries = map("a: 010\nb: \"x\"\nc:\nd: [1, two]\n");
        assert_eq!(entries[0].1.kind, NodeKind::Plain("010".into()));
        assert_eq!(entries[1].1.kind, NodeKind::Quoted("x".into()));
        assert_eq!(entries[1].0.span, 7..8);
        assert_eq!(entries[2].1.kind, NodeKind::Null);
        assert!(matches!(&entries[3].1.kind, NodeKind::List(items) if items.len() == 2));
    }

    #[test]
    fn empty_files_have_no_node() {
        for text in ["", "# only a comment\n", "---\n"] {
            let node = parse(text).unwrap();
            assert!(node.is_none_or(|n| n.kind == NodeKind::Null), "{text:?}");
        }
    }

    #[test]
    fn refuses_aliases_tags_and_depth() {
        assert!(parse("a: &x 1\nb: *x\n").unwrap_err().message.contains("aliases"));
        assert!(parse("a: !ruby/object:X 1\n").unwrap_err().message.contains("tags"));
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&deep(DEPTH_MAX)).is_ok());
        assert!(parse(&deep(DEPTH_MAX + 1)).unwrap_err().message.contains("nested"));
        assert!(parse(&deep(100_000)).is_err());
    }

    #[test]
    fn errors_have_a_place() {
        let error = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.offset >= 5, "{error:?}");
    }
}
