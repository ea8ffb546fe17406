//! What may come next: computed from the end of an expression to its beginning.

use super::bytes::{Bytes, Next};
use super::program::Kind;
use super::tree::{Assert, Node};

/// With the bytes inside of characters, for sets that have all characters beyond ASCII.
pub(super) fn with_inner(leading: Bytes, kind: Kind) -> Bytes {
    if kind == Kind::Wide { leading | Bytes::BEYOND } else { leading }
}

/// What may come after a run, one of whose characters, or anything if there may be none, stands before.
pub(super) fn follow_of(leading: &Bytes, min: u32, next: &Next) -> Bytes {
    let word = Bytes::WORD;
    if min > 0 && leading.is_within(&word) {
        next.after_word
    } else if min > 0 && !leading.meets(&word) {
        next.after_other
    } else {
        next.any()
    }
}

/// What may come where a condition stands.
pub(super) fn asserted(assert: Assert, next: Next) -> Next {
    let word = Bytes::WORD;
    match assert {
        Assert::TextEnd => next.only(&Bytes::AT_END),
        Assert::LineEnd | Assert::TextEndOrNewline => next.only(&(Bytes::AT_END | Bytes::of(b'\n'))),
        Assert::LineStart | Assert::TextStart | Assert::SearchStart => next.unsure(),
        // A character beyond ASCII may be a letter or not.
        Assert::AfterOther => {
            Next { after_other: next.after_other & (word | Bytes::BEYOND), ..next.unsure() }
        }
        Assert::WordBoundary | Assert::AfterWord => {
            Next { after_word: next.after_word.without(&word), ..next.unsure() }
        }
        Assert::NoWordBoundary => {
            Next { after_word: next.after_word & (word | Bytes::BEYOND), ..next.unsure() }
        }
    }
}

/// What a node may begin with when `next` may come after it.
pub(super) fn first(node: &Node, next: Next) -> Next {
    match node {
        Node::Empty => next,
        Node::Literal(text) => text.first().map_or(next, |byte| Next::from(Bytes::of(*byte))),
        Node::Set(set) => Next::from(Bytes::leading(set)),
        Node::Concat(nodes) => nodes.iter().rev().fold(next, |next, node| first(node, next)),
        Node::Alt(nodes) => nodes.iter().fold(Next::never(), |all, node| all.or(first(node, next))),
        Node::Repeat(repeat) => {
            let inner = &repeat.node;
            let again = if repeat.max > 1 { first(inner, Next::never()).or(next) } else { next };
            let body = first(inner, again.blurred());
            if repeat.min == 0 { body.or(next) } else { body.unsure() }
        }
        Node::Capture(_, node) | Node::Group(node, _) | Node::Atomic(node) => first(node, next),
        Node::Ahead { .. } | Node::Behind { .. } => next.unsure(),
        Node::Assert(assert) => asserted(*assert, next),
    }
}
