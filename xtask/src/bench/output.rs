//! What comes out of the program under measurement, counted while it comes.

use super::sink::Sink;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where the events go.
pub(super) enum Output {
    /// One line per event.
    Lines(LineCounter),
    /// One document per event.
    Documents(Sink),
}

impl Output {
    pub(super) fn file(path: &Path) -> Output {
        Output::Lines(LineCounter::new(path))
    }

    pub(super) fn sink() -> Result<Output> {
        Ok(Output::Documents(Sink::start()?))
    }

    /// The sink's host and port; empty for a file.
    pub(super) fn address(&self) -> String {
        match self {
            Output::Lines(_) => String::new(),
            Output::Documents(sink) => sink.address(),
        }
    }

    /// All events so far.
    pub(super) fn count(&mut self) -> Result<usize> {
        match self {
            Output::Lines(counter) => counter.count(),
            Output::Documents(sink) => Ok(sink.documents()),
        }
    }
}

/// Counts the lines of a file that grows.
pub(super) struct LineCounter {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    lines: usize,
}

impl LineCounter {
    fn new(path: &Path) -> LineCounter {
        LineCounter { path: path.to_owned(), file: None, buffer: vec![0; 1 << 20], lines: 0 }
    }

    /// All lines so far.
    fn count(&mut self) -> Result<usize> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return Ok(0) };
        loop {
            let len = file.read(&mut self.buffer).context("reading the output")?;
            let Some(read) = self.buffer.get(..len).filter(|read| !read.is_empty()) else {
                return Ok(self.lines);
            };
            self.lines += memchr::memchr_iter(b'\n', read).count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_as_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut counter = LineCounter::new(&path);
        assert_eq!(counter.count().unwrap(), 0);
        std::fs::write(&path, "a\nb").unwrap();
        assert_eq!(counter.count().unwrap(), 1);
        use std::io::Write as _;
        File::options().append(true).open(&path).unwrap().write_all(b"\nc\n").unwrap();
        assert_eq!(counter.count().unwrap(), 3);
    }
}
