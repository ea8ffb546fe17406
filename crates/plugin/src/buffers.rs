//! Large buffers that are used again.
//!
//! Text of a few hundred kilobytes goes from a worker to an output many times a second. Memory of that size comes from
//! the system and goes back to it, page by page; a pool keeps a few buffers instead.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Most buffers that a pool keeps.
const KEPT_MAX: usize = 12;
/// Largest buffer that is kept, in bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A pool of buffers; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that goes back to its pool when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    pool: Buffers,
}

impl Buffers {
    /// An empty buffer.
    pub fn take(&self) -> Buffer {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: bytes.unwrap_or_default(), pool: self.clone() }
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() == 0 || bytes.capacity() > KEPT_BYTES_MAX {
            return;
        }
        bytes.clear();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(bytes);
        }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let pool = Buffers::default();
        let mut first = pool.take();
        first.extend_from_slice(&[7; 5000]);
        let place = first.as_ptr();
        drop(first);
        let second = pool.take();
        assert_eq!((second.as_ptr(), second.len()), (place, 0));
    }

    #[test]
    fn few_are_kept_and_no_huge_ones() {
        let pool = Buffers::default();
        let many: Vec<Buffer> = (0..2 * KEPT_MAX).map(|_| pool.take()).collect();
        many.into_iter().for_each(|mut buffer| buffer.push(1));
        let mut huge = pool.take();
        huge.reserve(KEPT_BYTES_MAX + 1);
        drop(huge);
        assert_eq!(pool.0.lock().unwrap().len(), KEPT_MAX - 1);
    }
}
