//! An expression as a tree, and what can be read off it.

use super::class::CharSet;

/// No upper bound.
pub(super) const INFINITE: u32 = u32::MAX;

/// One expression.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Node {
    /// Matches the empty text.
    #[default]
    Empty,
    /// Text, whole characters in UTF-8.
    Literal(Vec<u8>),
    /// One character of a set.
    Set(CharSet),
    /// One after the other.
    Concat(Vec<Node>),
    /// The first of these that leads to a match.
    Alt(Vec<Node>),
    /// Several times the same.
    Repeat(Box<Repeat>),
    /// A group with a number.
    Capture(usize, Box<Node>),
    /// `(?imx:...)`, or `(...)` that does not capture; gone after reading. The flag says that it is the latter, which
    /// a repeat around a repeat sees through.
    Group(Box<Node>, bool),
    /// `(?>...)`: the first way to match it, or none.
    Atomic(Box<Node>),
    /// `(?=...)` and `(?!...)`.
    Ahead { negate: bool, node: Box<Node> },
    /// `(?<=...)` and `(?<!...)`: alternatives, each with its length in characters.
    Behind { negate: bool, alternatives: Vec<(usize, Node)> },
    /// A condition on a place.
    Assert(Assert),
}

/// A repeated expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Repeat {
    pub(super) node: Node,
    pub(super) min: u32,
    /// [`INFINITE`] or a bound.
    pub(super) max: u32,
    pub(super) greedy: bool,
}

/// A condition on a place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assert {
    /// `^`
    LineStart,
    /// `$`
    LineEnd,
    /// `\A`
    TextStart,
    /// `\z`
    TextEnd,
    /// `\Z`
    TextEndOrNewline,
    /// `\G`
    SearchStart,
    /// `\b`
    WordBoundary,
    /// `\b` where a letter, digit or `_` of ASCII is known to stand before.
    AfterWord,
    /// `\b` where another character of ASCII or nothing is known to stand before.
    AfterOther,
    /// `\B`
    NoWordBoundary,
}

impl Node {
    /// A sequence without needless nesting; neighbouring texts become one.
    pub(super) fn concat(nodes: Vec<Node>) -> Node {
        if is_flat(&nodes) {
            return Node::Concat(nodes);
        }
        let mut flat: Vec<Node> = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Node::Empty => {}
                Node::Concat(inner) => inner.into_iter().for_each(|node| push_joined(&mut flat, node)),
                node => push_joined(&mut flat, node),
            }
        }
        match flat.len() {
            0 => Node::Empty,
            1 => flat.remove(0),
            _ => Node::Concat(flat),
        }
    }

    /// Whether it can match the empty text.
    pub(super) fn is_nullable(&self) -> bool {
        match self {
            Node::Empty | Node::Ahead { .. } | Node::Behind { .. } | Node::Assert(_) => true,
            Node::Literal(text) => text.is_empty(),
            Node::Set(_) => false,
            Node::Concat(nodes) => nodes.iter().all(Node::is_nullable),
            Node::Alt(nodes) => nodes.iter().any(Node::is_nullable),
            Node::Repeat(repeat) => repeat.min == 0 || repeat.node.is_nullable(),
            Node::Capture(_, node) | Node::Group(node, _) | Node::Atomic(node) => node.is_nullable(),
        }
    }

    /// The number of characters that every match has, if they all have the same.
    pub(super) fn fixed_length(&self) -> Option<usize> {
        match self {
            Node::Empty | Node::Assert(_) => Some(0),
            Node::Literal(text) => Some(text.iter().filter(|byte| **byte & 0xC0 != 0x80).count()),
            Node::Set(_) => Some(1),
            Node::Concat(nodes) => nodes.iter().map(Node::fixed_length).sum(),
            Node::Alt(nodes) => {
                let first = nodes.first()?.fixed_length()?;
                nodes.iter().all(|node| node.fixed_length() == Some(first)).then_some(first)
            }
            Node::Repeat(repeat) if repeat.min == repeat.max => {
                repeat.node.fixed_length()?.checked_mul(repeat.min as usize)
            }
            Node::Group(node, _) | Node::Atomic(node) => node.fixed_length(),
            _ => None,
        }
    }

    /// Whether a group with a number is in it.
    pub(super) fn has_captures(&self) -> bool {
        match self {
            Node::Capture(..) => true,
            Node::Concat(nodes) | Node::Alt(nodes) => nodes.iter().any(Node::has_captures),
            Node::Repeat(repeat) => repeat.node.has_captures(),
            Node::Group(node, _) | Node::Atomic(node) | Node::Ahead { node, .. } => node.has_captures(),
            _ => false,
        }
    }

    /// A measure of the program that it becomes.
    pub(super) fn size(&self) -> usize {
        match self {
            Node::Empty => 0,
            Node::Literal(_) | Node::Set(_) | Node::Assert(_) => 1,
            Node::Concat(nodes) | Node::Alt(nodes) => 1 + nodes.iter().map(Node::size).sum::<usize>(),
            Node::Repeat(repeat) => 1 + repeat.node.size(),
            Node::Capture(_, node) | Node::Group(node, _) | Node::Atomic(node) | Node::Ahead { node, .. } => {
                2 + node.size()
            }
            Node::Behind { alternatives, .. } => {
                2 + alternatives.iter().map(|(_, node)| 1 + node.size()).sum::<usize>()
            }
        }
    }

    /// The longest text that is in every match.
    pub(super) fn required_literal(&self) -> Option<&[u8]> {
        match self {
            Node::Literal(text) => Some(text),
            Node::Concat(nodes) => {
                nodes.iter().filter_map(Node::required_literal).max_by_key(|text| text.len())
            }
            Node::Repeat(repeat) if repeat.min > 0 => repeat.node.required_literal(),
            Node::Capture(_, node) | Node::Group(node, _) | Node::Atomic(node) => node.required_literal(),
            _ => None,
        }
    }
}

/// Whether there is nothing to do for [`Node::concat`].
fn is_flat(nodes: &[Node]) -> bool {
    let apart = |pair: &[Node]| !matches!(pair, [Node::Literal(_), Node::Literal(_)]);
    nodes.len() > 1
        && nodes.iter().all(|node| !matches!(node, Node::Empty | Node::Concat(_)))
        && nodes.windows(2).all(apart)
}

fn push_joined(flat: &mut Vec<Node>, node: Node) {
    match (flat.last_mut(), node) {
        (_, Node::Empty) => {}
        (Some(Node::Literal(text)), Node::Literal(more)) => text.extend(more),
        (_, node) => flat.push(node),
    }
}
