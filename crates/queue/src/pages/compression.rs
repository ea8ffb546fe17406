//! Compression of records.

use std::io;

/// `queue.compression`: what is done to records before they are written. Whatever it is, all that is there can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// zstd at level -1.
    Speed,
    /// zstd at level 3.
    Balanced,
    /// zstd at level 22.
    Size,
}

impl Compression {
    fn level(self) -> Option<i32> {
        match self {
            Compression::None => None,
            Compression::Speed => Some(-1),
            Compression::Balanced => Some(3),
            Compression::Size => Some(22),
        }
    }

    /// The data smaller than it is; none when it can't be made so, or is not to be.
    pub(super) fn compress(self, data: &[u8]) -> Option<Vec<u8>> {
        let compressed = zstd::bulk::compress(data, self.level()?).ok()?;
        (compressed.len() < data.len()).then_some(compressed)
    }

    /// The data as it was: `bytes` of it.
    pub(super) fn expand(data: &[u8], bytes: usize) -> io::Result<Vec<u8>> {
        let expanded = zstd::bulk::decompress(data, bytes)?;
        if expanded.len() == bytes { Ok(expanded) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Whether it takes so long that it must not hold up other tasks.
    pub(super) fn is_slow(self) -> bool {
        self == Compression::Size
    }
}
