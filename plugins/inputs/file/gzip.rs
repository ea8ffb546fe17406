//! Lines of gzip archives. They end in a line feed, a carriage return, or both, whatever `delimiter` says.

use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

/// Bytes that are decompressed at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// The lines of an archive with all its members.
pub(super) struct Lines {
    source: BufReader<MultiGzDecoder<BufReader<File>>>,
    line: Vec<u8>,
    line_bytes_max: usize,
    /// The last line ended in a carriage return: a line feed that follows belongs to it.
    after_return: bool,
}

impl Lines {
    /// The lines from the beginning of `file`.
    pub(super) fn new(mut file: File, line_bytes_max: usize) -> io::Result<Lines> {
        file.rewind()?;
        let decoder = MultiGzDecoder::new(BufReader::with_capacity(BLOCK_BYTES, file));
        let source = BufReader::with_capacity(BLOCK_BYTES, decoder);
        Ok(Lines { source, line: Vec::new(), line_bytes_max, after_return: false })
    }

    /// The next line, and whether it was cut to the greatest length; `None` at the end. An error means that the archive
    /// is damaged from here on.
    pub(super) fn next_line(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        self.line.clear();
        let (mut is_cut, mut is_line) = (false, false);
        loop {
            let block = self.source.fill_buf()?;
            let skip = usize::from(std::mem::take(&mut self.after_return) && block.first() == Some(&b'\n'));
            let block = block.get(skip..).unwrap_or_default();
            if block.is_empty() {
                if skip == 0 {
                    return Ok(is_line.then_some((self.line.as_slice(), is_cut)));
                }
                self.source.consume(skip);
                continue;
            }
            is_line = true;
            let end = memchr::memchr2(b'\n', b'\r', block);
            let text = block.get(..end.unwrap_or(block.len())).unwrap_or_default();
            let room = self.line_bytes_max - self.line.len();
            is_cut |= text.len() > room;
            self.line.extend_from_slice(text.get(..room).unwrap_or(text));
            let Some(end) = end else {
                let length = block.len();
                self.source.consume(skip + length);
                continue;
            };
            self.after_return = block.get(end) == Some(&b'\r');
            self.source.consume(skip + end + 1);
            return Ok(Some((self.line.as_slice(), is_cut)));
        }
    }
}

/// Reads the whole archive for nothing but its errors.
pub(super) fn check(file: &File) -> io::Result<()> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(BLOCK_BYTES, file));
    let mut block = vec![0; BLOCK_BYTES];
    while decoder.read(&mut block)? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn archive(members: &[&[u8]]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for member in members {
            let mut encoder = GzEncoder::new(&mut file, Compression::fast());
            encoder.write_all(member).unwrap();
            encoder.finish().unwrap();
        }
        file
    }

    fn lines(file: File) -> Vec<(String, bool)> {
        let mut lines = Lines::new(file, 10).unwrap();
        let mut all = Vec::new();
        while let Some((line, is_cut)) = lines.next_line().unwrap() {
            all.push((String::from_utf8_lossy(line).into_owned(), is_cut));
        }
        all
    }

    #[test]
    fn all_members_and_all_line_ends() {
        let file = archive(&[b"a\r\nb\rc\n\nd", b"e\r", b"\nlast"]);
        let texts: Vec<String> = lines(file).into_iter().map(|(text, _)| text).collect();
        assert_eq!(texts, ["a", "b", "c", "", "de", "last"]);
    }

    #[test]
    fn long_lines_are_cut() {
        let file = archive(&["x".repeat(200_000).as_bytes(), b"\n0123456789\nend\n"]);
        let expected =
            [("xxxxxxxxxx".to_owned(), true), ("0123456789".to_owned(), false), ("end".into(), false)];
        assert_eq!(lines(file), expected);
    }

    #[test]
    fn damage_shows() {
        let mut file = archive(&["hello\n".repeat(1000).as_bytes()]);
        assert!(check(&file).is_ok());
        let length = file.metadata().unwrap().len();
        file.set_len(length - 8).unwrap();
        assert!(check(&file).is_err());
        file.rewind().unwrap();
        file.write_all(b"not gzip").unwrap();
        assert!(Lines::new(file, 10).unwrap().next_line().is_err());
    }
}
