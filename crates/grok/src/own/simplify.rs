//! Rewrites of the tree that change no match.
//!
//! * Groups that only group go away, and alternatives of one character each become a set.
//! * Neighbouring alternatives with the same beginning share it, when there is only one way to match it.
//! * A look-behind of one character goes away when what comes before it decides it.

use super::class::CharSet;
use super::tree::{Assert, INFINITE, Node, Repeat};

/// The most copies of a repeat from which one is split off as a common beginning.
const SHARED_COPIES_MAX: u32 = 16;

/// Rewrites an expression.
pub(super) fn simplify(mut node: Node) -> Node {
    flatten(&mut node);
    let mut removed = false;
    resolve(&mut node, Before::anything(), &mut removed);
    if removed {
        flatten(&mut node);
    }
    node
}

fn flatten(node: &mut Node) {
    match node {
        Node::Group(inner, _) => {
            flatten(inner);
            *node = std::mem::take(inner);
        }
        Node::Concat(nodes) => {
            nodes.iter_mut().for_each(flatten);
            *node = Node::concat(std::mem::take(nodes));
        }
        Node::Alt(nodes) => {
            nodes.iter_mut().for_each(flatten);
            if nodes.iter().any(|node| matches!(node, Node::Alt(_))) {
                let nested = std::mem::take(nodes).into_iter();
                nodes.extend(
                    nested.flat_map(|node| if let Node::Alt(inner) = node { inner } else { vec![node] }),
                );
            }
            *node = factor(std::mem::take(nodes));
        }
        Node::Repeat(repeat) => {
            flatten(&mut repeat.node);
            let once = (repeat.min, repeat.max) == (1, 1) && !matches!(repeat.node, Node::Concat(_));
            if once || repeat.node == Node::Empty {
                *node = std::mem::take(&mut repeat.node);
            }
        }
        Node::Atomic(inner) => {
            flatten(inner);
            if is_one_step(inner) || matches!(**inner, Node::Atomic(_)) {
                *node = std::mem::take(inner);
            }
        }
        Node::Capture(_, node) | Node::Ahead { node, .. } => flatten(node),
        Node::Behind { alternatives, .. } => alternatives.iter_mut().for_each(|(_, node)| flatten(node)),
        Node::Empty | Node::Literal(_) | Node::Set(_) | Node::Assert(_) => {}
    }
}

fn is_one_step(node: &Node) -> bool {
    matches!(node, Node::Empty | Node::Literal(_) | Node::Set(_) | Node::Assert(_))
}

// ---- common beginnings

/// An alternation whose neighbours share what they begin with.
fn factor(mut nodes: Vec<Node>) -> Node {
    if nodes.windows(2).any(|pair| matches!(pair, [one, two] if have_same_head(one, two))) {
        let mut runs: Vec<Vec<Node>> = Vec::with_capacity(nodes.len());
        for node in nodes {
            match runs.last_mut() {
                Some(run) if run.first().is_some_and(|first| have_same_head(first, &node)) => run.push(node),
                _ => runs.push(vec![node]),
            }
        }
        let shared = runs.into_iter().map(|mut run| if run.len() == 1 { run.remove(0) } else { share(run) });
        nodes = shared.collect();
    }
    merge_characters(&mut nodes);
    if nodes.len() == 1 { nodes.remove(0) } else { Node::Alt(nodes) }
}

fn have_same_head(one: &Node, two: &Node) -> bool {
    head(one).is_some_and(|head| self::head(two) == Some(head))
}

/// Alternatives that have the same head, with it or the longest text that they all begin with before them.
fn share(run: Vec<Node>) -> Node {
    let texts: Option<Vec<&[u8]>> = run.iter().map(leading_text).collect();
    let common = texts.map(|texts| common_length(&texts)).filter(|length| *length > 0);
    let (head, tails) = match common {
        Some(length) => {
            let text = run.first().and_then(leading_text).and_then(|text| text.get(..length));
            let head = Node::Literal(text.unwrap_or_default().to_vec());
            (head, run.into_iter().map(|node| without_text(node, length)).collect())
        }
        None => {
            let head = run.first().and_then(head).map_or(Node::Empty, |head| head.to_node());
            (head, run.into_iter().map(without_head).collect())
        }
    };
    Node::concat(vec![head, factor(tails)])
}

fn leading_text(node: &Node) -> Option<&[u8]> {
    match node {
        Node::Literal(text) => Some(text),
        Node::Concat(nodes) => match nodes.first() {
            Some(Node::Literal(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The bytes of whole characters that all texts begin with.
fn common_length(texts: &[&[u8]]) -> usize {
    let Some((first, rest)) = texts.split_first() else { return 0 };
    let same = |at: &usize| rest.iter().all(|text| text.get(*at) == first.get(*at));
    let mut length = (0..first.len()).take_while(same).count();
    while first.get(length).is_some_and(|byte| byte & 0xC0 == 0x80)
        || rest.iter().any(|text| text.get(length).is_some_and(|byte| byte & 0xC0 == 0x80))
    {
        length -= 1;
    }
    length
}

fn without_text(node: Node, length: usize) -> Node {
    match node {
        Node::Literal(text) => Node::concat(vec![text_node(&text, length)]),
        Node::Concat(mut nodes) => {
            if let Some(first) = nodes.first_mut() {
                let taken = std::mem::replace(first, Node::Empty);
                *first = without_text(taken, length);
            }
            Node::concat(nodes)
        }
        node => node,
    }
}

fn text_node(text: &[u8], from: usize) -> Node {
    match text.get(from..) {
        None | Some([]) => Node::Empty,
        Some(rest) => Node::Literal(rest.to_vec()),
    }
}

/// The beginning of an alternative.
#[derive(PartialEq)]
enum Head<'n> {
    /// One character of a text, or a text that is repeated.
    Text(&'n [u8]),
    Node(&'n Node),
}

impl Head<'_> {
    fn to_node(&self) -> Node {
        match self {
            Head::Text(text) => Node::Literal(text.to_vec()),
            Head::Node(node) => (*node).clone(),
        }
    }
}

/// What an alternative begins with, if there is one way to match that.
fn head(node: &Node) -> Option<Head<'_>> {
    match node {
        Node::Literal(text) => Some(Head::Text(text.get(..first_width(text))?)),
        Node::Concat(nodes) => head(nodes.first()?),
        Node::Repeat(repeat)
            if repeat.min == repeat.max && repeat.min <= SHARED_COPIES_MAX && has_one_way(&repeat.node) =>
        {
            Some(match &repeat.node {
                Node::Literal(text) => Head::Text(text),
                node => Head::Node(node),
            })
        }
        Node::Set(_) | Node::Assert(_) | Node::Atomic(_) | Node::Ahead { .. } | Node::Behind { .. }
            if has_one_way(node) =>
        {
            Some(Head::Node(node))
        }
        _ => None,
    }
}

fn without_head(node: Node) -> Node {
    match node {
        Node::Literal(text) => text_node(&text, first_width(&text)),
        Node::Concat(nodes) => {
            let mut nodes = nodes.into_iter();
            let mut rest = vec![nodes.next().map_or(Node::Empty, without_head)];
            rest.extend(nodes);
            Node::concat(rest)
        }
        Node::Repeat(repeat) => {
            let Repeat { node, min, max, greedy } = *repeat;
            // One copy stays a repeat, for its beginning to be known again.
            match min.saturating_sub(1) {
                0 => Node::Empty,
                less => Node::Repeat(Box::new(Repeat { node, min: less, max: max - 1, greedy })),
            }
        }
        _ => Node::Empty,
    }
}

fn first_width(text: &[u8]) -> usize {
    1 + text.iter().skip(1).take_while(|byte| **byte & 0xC0 == 0x80).count()
}

/// Whether it can match in one way at most, without capturing.
fn has_one_way(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Literal(_) | Node::Set(_) | Node::Assert(_) | Node::Behind { .. } => true,
        Node::Atomic(_) | Node::Ahead { .. } => !node.has_captures(),
        Node::Repeat(repeat) => repeat.min == repeat.max && has_one_way(&repeat.node),
        Node::Concat(nodes) => nodes.iter().enumerate().all(|(at, node)| {
            has_one_way(node) || nodes.get(at + 1).is_some_and(|next| ends_before(node, next))
        }),
        _ => false,
    }
}

/// Whether a run of characters can end at one place only, because none of them may begin what follows.
fn ends_before(run: &Node, next: &Node) -> bool {
    let Node::Repeat(repeat) = run else { return false };
    let (Some(mut set), Some(follow)) = (one_character(&repeat.node), first_character(next)) else {
        return false;
    };
    set.intersect(&follow);
    set.is_empty()
}

fn first_character(node: &Node) -> Option<CharSet> {
    match node {
        Node::Literal(text) => {
            std::str::from_utf8(text.get(..first_width(text))?).ok()?.chars().next().map(CharSet::of)
        }
        Node::Set(set) => Some(set.clone()),
        _ => None,
    }
}

/// The characters of a node that matches exactly one.
pub(super) fn one_character(node: &Node) -> Option<CharSet> {
    match node {
        Node::Literal(text) if first_width(text) == text.len() => first_character(node),
        Node::Set(set) => Some(set.clone()),
        _ => None,
    }
}

/// Neighbouring alternatives of one character become a set.
fn merge_characters(nodes: &mut Vec<Node>) {
    nodes.dedup_by(|node, last| {
        let (Some(mut set), Some(more)) = (one_character(last), one_character(node)) else { return false };
        set.union(&more);
        *last = Node::Set(set);
        true
    });
}

// ---- what comes before

/// The characters that may stand before a place.
#[derive(Debug, Clone, PartialEq)]
struct Before {
    set: CharSet,
    /// The beginning of the text may be there instead.
    start: bool,
}

impl Before {
    fn anything() -> Self {
        Self { set: CharSet::all(), start: true }
    }

    fn or(mut self, other: &Self) -> Self {
        self.set.union(&other.set);
        self.start |= other.start;
        self
    }
}

/// Removes look-behinds that are decided by what comes before, noting that it did, and gives what may stand behind the
/// node.
fn resolve(node: &mut Node, before: Before, removed: &mut bool) -> Before {
    match node {
        Node::Concat(nodes) => nodes.iter_mut().fold(before, |before, node| resolve(node, before, removed)),
        Node::Alt(nodes) => {
            let none = Before { set: CharSet::default(), start: false };
            nodes.iter_mut().fold(none, |all, node| all.or(&resolve(node, before.clone(), removed)))
        }
        Node::Repeat(repeat) => {
            let inside = if repeat.max > 1 { behind(&repeat.node, &before) } else { before.clone() };
            let after = resolve(&mut repeat.node, inside.or(&before), removed);
            if repeat.min == 0 { after.or(&before) } else { after }
        }
        Node::Capture(_, node) | Node::Group(node, _) | Node::Atomic(node) => resolve(node, before, removed),
        Node::Ahead { node, .. } => {
            resolve(node, before.clone(), removed);
            before
        }
        Node::Behind { negate, alternatives } => {
            if is_decided(*negate, alternatives, &before) {
                *node = Node::Empty;
                *removed = true;
            }
            before
        }
        Node::Assert(assert @ Assert::WordBoundary) => {
            *assert = boundary_after(&before);
            before
        }
        node => behind(node, &before),
    }
}

/// A word boundary, as far as what stands before it is known.
fn boundary_after(before: &Before) -> Assert {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let known = |wanted: bool| {
        before.set.is_ascii() && (0..0x80).all(|byte| !before.set.has_ascii(byte) || word(&byte) == wanted)
    };
    match (known(true), known(false)) {
        (true, _) if !before.start => Assert::AfterWord,
        (_, true) => Assert::AfterOther,
        _ => Assert::WordBoundary,
    }
}

/// Whether a look-behind holds after each of `before`.
fn is_decided(negate: bool, alternatives: &[(usize, Node)], before: &Before) -> bool {
    let sets: Option<Vec<CharSet>> = alternatives.iter().map(|(_, node)| one_character(node)).collect();
    let Some(sets) = sets else { return false };
    let mut set = CharSet::default();
    sets.iter().for_each(|more| set.union(more));
    if !negate {
        set.negate();
    }
    set.intersect(&before.set);
    set.is_empty() && (negate || !before.start)
}

/// What may stand behind a node.
fn behind(node: &Node, before: &Before) -> Before {
    let only = |set| Before { set, start: false };
    match node {
        Node::Literal(text) => {
            let last = std::str::from_utf8(text).ok().and_then(|text| text.chars().next_back());
            only(last.map_or_else(CharSet::all, CharSet::of))
        }
        Node::Set(set) => only(set.clone()),
        Node::Concat(nodes) => nodes.iter().fold(before.clone(), |before, node| behind(node, &before)),
        Node::Alt(nodes) => {
            nodes.iter().fold(only(CharSet::default()), |all, node| all.or(&behind(node, before)))
        }
        Node::Repeat(repeat) => {
            let after = behind(&repeat.node, before);
            if repeat.min == 0 || repeat.max == INFINITE { after.or(before) } else { after }
        }
        Node::Capture(_, node) | Node::Group(node, _) | Node::Atomic(node) => behind(node, before),
        Node::Empty | Node::Ahead { .. } | Node::Behind { .. } | Node::Assert(_) => before.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::parse::parse;

    fn simple(text: &str) -> Node {
        simplify(parse(text, false, false).unwrap().node)
    }

    #[test]
    fn common_beginnings_are_shared() {
        assert_eq!(simple("abc|abd|abe"), simple("ab[cde]"));
        assert_eq!(simple("Mon(?:day)?|Monat"), simple("Mon(?:(?:day)?|at)"));
        assert_eq!(simple("é1|è1"), Node::Alt(vec![simple("é1"), simple("è1")]), "half a character is none");
        assert_eq!(
            simple("(?:[0-9]{1,3}:){2}a|(?:[0-9]{1,3}:){1}b"),
            simple("(?:[0-9]{1,3}:)(?:(?:[0-9]{1,3}:){1}a|b)")
        );
    }

    #[test]
    fn what_can_match_in_several_ways_is_not_shared() {
        for text in ["a*b|a*c", "(a)b|(a)c", "(?:a|bc)c|(?:a|bc)d"] {
            assert!(matches!(simple(text), Node::Alt(nodes) if nodes.len() == 2), "{text}");
        }
    }

    #[test]
    fn look_behinds_and_boundaries_that_are_decided() {
        assert_eq!(simple(" (?<![0-9])a"), simple(" a"));
        assert_eq!(simple("(?:x|y)(?<=[xyz])a"), simple("(?:x|y)a"));
        for text in ["(?<![0-9])a", "1(?<![0-9])a", "(?:x )?(?<! )a", "(?<=x)a"] {
            assert!(format!("{:?}", simple(text)).contains("Behind"), "{text}");
        }
        let boundary = |text| format!("{:?}", simple(text));
        assert!(boundary(r"[0-9]+\b").contains("AfterWord") && boundary(r" \b").contains("AfterOther"));
        assert!(boundary(r"[0-9]*\b").contains("WordBoundary") && boundary(r"é\b").contains("WordBoundary"));
    }
}
