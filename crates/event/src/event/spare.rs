//! Arenas of events that are gone, for those to come.
//!
//! A worker makes and drops thousands of events a second. Their memory goes round in a small store of its thread instead
//! of through the allocator. Where events end on another thread than the one that made them, whole blocks of arenas go
//! back through a store of the process, so that the lock is taken once for many events.

use super::{Node, Range};
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

/// Arenas that change threads together: about a batch.
const BLOCK: usize = 128;
/// Most blocks that the process keeps.
const BLOCKS_MAX: usize = 16;
/// Most text, in bytes, and most nodes that a kept arena has room for.
const TEXT_BYTES_MAX: usize = 4096;
const NODES_MAX: usize = 256;

type Arena = (String, Vec<Node>, Vec<Range>);

thread_local! {
    /// Never more than two blocks.
    static KEPT: RefCell<Vec<Arena>> = const { RefCell::new(Vec::new()) };
}

static BLOCKS: Mutex<Vec<Vec<Arena>>> = Mutex::new(Vec::new());

/// An empty arena.
pub(super) fn take() -> Arena {
    let arena = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.is_empty()
            && let Some(block) = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner).pop()
        {
            *kept = block;
        }
        kept.pop()
    });
    // A thread that is ending has none.
    arena.ok().flatten().unwrap_or_default()
}

/// Keeps an arena, if it is of a usual size and there is room.
pub(super) fn keep(mut text: String, mut nodes: Vec<Node>, mut ranges: Vec<Range>) {
    if nodes.capacity() == 0 || nodes.capacity() > NODES_MAX || text.capacity() > TEXT_BYTES_MAX {
        return;
    }
    text.clear();
    nodes.clear();
    ranges.clear();
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        kept.push((text, nodes, ranges));
        if kept.len() == 2 * BLOCK {
            let block = kept.split_off(BLOCK);
            let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
            if blocks.len() < BLOCKS_MAX {
                blocks.push(block);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Timestamp};

    #[test]
    fn arenas_come_back_from_other_threads() {
        let events: Vec<Event> = (0..4 * BLOCK).map(|_| Event::from_message("x", Timestamp::EPOCH)).collect();
        std::thread::spawn(move || drop(events)).join().unwrap();
        let blocks = BLOCKS.lock().unwrap().len();
        assert!((1..=BLOCKS_MAX).contains(&blocks), "{blocks}");
        let again = Event::from_message("another text", Timestamp::EPOCH);
        assert_eq!(format!("{again:?}"), format!("{:?}", again.clone()));
    }

    #[test]
    fn huge_arenas_are_freed() {
        drop(Event::from_message(&"x".repeat(TEXT_BYTES_MAX), Timestamp::EPOCH));
        let kept = KEPT.with_borrow(|kept| kept.iter().all(|arena| arena.0.capacity() <= TEXT_BYTES_MAX));
        assert!(kept);
    }
}
