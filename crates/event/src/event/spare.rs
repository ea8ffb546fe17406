//! Arenas of events that are gone, for those to come.
//!
//! A worker makes and drops thousands of events a second on one thread. Their memory goes round in a small store of that
//! thread instead of through the allocator.

use super::{Node, Range};
use std::cell::RefCell;

/// Most arenas that a thread keeps: a batch or two.
const KEPT_MAX: usize = 256;
/// Most text, in bytes, and most nodes that a kept arena has room for.
const TEXT_BYTES_MAX: usize = 4096;
const NODES_MAX: usize = 256;

type Arena = (String, Vec<Node>, Vec<Range>);

thread_local! {
    static KEPT: RefCell<Vec<Arena>> = const { RefCell::new(Vec::new()) };
}

/// An empty arena.
pub(super) fn take() -> Arena {
    // A thread that is ending has none.
    KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten().unwrap_or_default()
}

/// Keeps an arena, if it is of a usual size and there is room.
pub(super) fn keep(mut text: String, mut nodes: Vec<Node>, mut ranges: Vec<Range>) {
    if nodes.capacity() == 0 || nodes.capacity() > NODES_MAX || text.capacity() > TEXT_BYTES_MAX {
        return;
    }
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < KEPT_MAX {
            text.clear();
            nodes.clear();
            ranges.clear();
            kept.push((text, nodes, ranges));
        }
    });
}
