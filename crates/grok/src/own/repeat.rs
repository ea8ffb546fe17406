//! A repeat, and a repeat of a repeat.

use super::parse::Unsupported;
use super::tree::{INFINITE, Node, Repeat};

/// The most copies in nested repeats that are multiplied out into one.
const PRODUCT_MAX: u32 = 1_000;

/// How often.
#[derive(Clone, Copy)]
pub(super) struct Sign {
    pub(super) min: u32,
    /// [`INFINITE`] or a bound.
    pub(super) max: u32,
    pub(super) greedy: bool,
    pub(super) possessive: bool,
}

/// Which of `? * + ?? *? +?` it is.
fn kind(min: u32, max: u32, greedy: bool) -> Option<usize> {
    let kind = match (min, max) {
        (0, 1) => 0,
        (0, INFINITE) => 1,
        (1, INFINITE) => 2,
        _ => return None,
    };
    Some(if greedy { kind } else { kind + 3 })
}

/// What becomes of a repeat of a repeat.
#[derive(Clone, Copy)]
enum Reduction {
    /// Both stay.
    Keep,
    /// The inner one alone.
    Inner,
    /// One repeat, of this kind.
    One(u32, u32, bool),
    /// `(?:x+)??`
    LazyPlus,
}

/// Oniguruma merges a repeat of a repeat, and what it makes of it does not always match the same text in the same
/// order; so that this is part of its meaning. Rows are the inner kind, columns the outer one.
const REDUCTIONS: [[Reduction; 6]; 6] = {
    use Reduction::{Inner as I, Keep as K, LazyPlus as L, One};
    const STAR: Reduction = One(0, INFINITE, true);
    const PLUS: Reduction = One(1, INFINITE, true);
    const LAZY_STAR: Reduction = One(0, INFINITE, false);
    const LAZY_OPTION: Reduction = One(0, 1, false);
    [
        [I, STAR, STAR, LAZY_OPTION, LAZY_STAR, K],
        [I, I, I, L, L, I],
        [STAR, STAR, I, K, L, I],
        [I, LAZY_STAR, LAZY_STAR, I, LAZY_STAR, LAZY_STAR],
        [I, I, I, I, I, I],
        [K, STAR, PLUS, LAZY_STAR, LAZY_STAR, I],
    ]
};

/// A repeat around `node`.
pub(super) fn nest(node: Node, sign: Sign) -> Result<Node, Unsupported> {
    let repeat = |node, min, max, greedy| Node::Repeat(Box::new(Repeat { node, min, max, greedy }));
    let (node, plain) = see_through(node);
    let inner = match node {
        Node::Repeat(inner) => *inner,
        node => return checked(repeat(node, sign.min, sign.max, sign.greedy)),
    };
    let inner_kind = kind(inner.min, inner.max, inner.greedy);
    match (inner_kind, kind(sign.min, sign.max, sign.greedy)) {
        (Some(row), Some(column)) => {
            let reduction = REDUCTIONS.get(row).and_then(|row| row.get(column)).copied();
            checked(match reduction.unwrap_or(Reduction::Keep) {
                Reduction::Keep => repeat(Node::Repeat(Box::new(inner)), sign.min, sign.max, sign.greedy),
                Reduction::Inner => Node::Repeat(Box::new(inner)),
                Reduction::One(min, max, greedy) => repeat(inner.node, min, max, greedy),
                Reduction::LazyPlus => repeat(repeat(inner.node, 1, INFINITE, true), 0, 1, false),
            })
        }
        (None, _) if inner.min == inner.max && sign.min == sign.max => {
            let times = inner.min.checked_mul(sign.min).filter(|times| *times <= PRODUCT_MAX);
            let times = times.ok_or(Unsupported("a large interval of an interval"))?;
            checked(repeat(inner.node, times, times, sign.greedy))
        }
        (Some(1 | 2), None) if !plain && sign.greedy && sign.max != INFINITE && sign.max > 1 => {
            let max = sign.min.max(1);
            checked(repeat(Node::Repeat(Box::new(inner)), sign.min, max, true))
        }
        _ => checked(repeat(Node::Repeat(Box::new(inner)), sign.min, sign.max, sign.greedy)),
    }
}

/// The repeat in groups that don't capture, if there is one, and whether there were such groups.
fn see_through(node: Node) -> (Node, bool) {
    let mut inner = &node;
    while let Node::Group(deeper, true) = inner {
        inner = deeper;
    }
    match (inner, &node) {
        (Node::Repeat(_), Node::Group(..)) => (inner.clone(), true),
        _ => (node, false),
    }
}

/// Refuses repeats of what may be empty where the other engine's order depends on how it lays out its program.
fn checked(node: Node) -> Result<Node, Unsupported> {
    match &node {
        Node::Repeat(repeat) if repeat.max == 0 => Err(Unsupported("a repeat of zero times")),
        Node::Repeat(repeat)
            if repeat.max > 1 && repeat.node.is_nullable() && (repeat.min > 0 || repeat.max != INFINITE) =>
        {
            Err(Unsupported("a counted repeat of what may be empty"))
        }
        _ => Ok(node),
    }
}
