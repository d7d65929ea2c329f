//! Bytes cut at line ends, within a limit, with lines that can be put back.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// The most bytes of a logical line: longer ones are skipped and counted.
///
/// A quote that never closes must not read the rest of a file into memory.
pub(super) const LINE_MAX: usize = 64 << 20;

/// A line without its end.
#[derive(Debug)]
pub(super) struct Physical {
    /// Its bytes, at most [`LINE_MAX`].
    pub(super) bytes: Vec<u8>,
    /// Its number in the file, from 1.
    pub(super) number: u64,
    /// Whether it was longer than [`LINE_MAX`].
    pub(super) cut: bool,
    /// Whether a line end follows: not so at the end of a file that is still written, or was cut.
    pub(super) ended: bool,
}

/// The lines of a file.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    back: VecDeque<Physical>,
    number: u64,
    /// Whether lines end with `\r\n`, as the first one did: a server on Windows writes every line end so, those in texts too.
    carriage_return: bool,
}

impl Lines {
    pub(super) fn new(input: Box<dyn BufRead>) -> Self {
        Self { input, back: VecDeque::new(), number: 0, carriage_return: false }
    }

    /// Returns the next line; `None` at the end.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Physical>> {
        if let Some(line) = self.back.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        let mut found = false;
        let mut cut = false;
        let mut any = false;
        while !found {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            found = end.is_some();
            let taken = end.unwrap_or(chunk.len());
            let room = LINE_MAX.saturating_sub(bytes.len());
            cut |= taken > room;
            bytes.extend_from_slice(&chunk[..taken.min(room)]);
            self.input.consume(taken + usize::from(found));
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        if self.number == 1 {
            self.carriage_return = bytes.ends_with(b"\r");
            if bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
            }
        }
        if self.carriage_return && bytes.ends_with(b"\r") {
            bytes.pop();
        }
        Ok(Some(Physical { bytes, number: self.number, cut, ended: found }))
    }

    /// Puts lines back, to be read again in their order.
    pub(super) fn put_back(&mut self, lines: impl DoubleEndedIterator<Item = Physical>) {
        for line in lines.rev() {
            self.back.push_front(line);
        }
    }
}

/// Returns a reader of the plain text, whether or not the bytes are gzip's.
///
/// # Errors
/// When the first bytes cannot be read.
pub fn decompressed(input: impl Read + 'static) -> std::io::Result<Box<dyn BufRead>> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let packed = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if packed { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input))) } else { Box::new(input) })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn all(bytes: &'static [u8]) -> Vec<(Vec<u8>, u64, bool)> {
        let mut lines = Lines::new(Box::new(bytes));
        std::iter::from_fn(|| lines.next().unwrap()).map(|line| (line.bytes, line.number, line.ended)).collect()
    }

    #[test]
    fn lines_are_numbered_and_the_last_says_that_it_did_not_end() {
        assert_eq!(all(b"a\n\nb"), [(b"a".to_vec(), 1, true), (b"".to_vec(), 2, true), (b"b".to_vec(), 3, false)]);
        assert!(all(b"").is_empty());
    }

    #[test]
    fn windows_ends_are_taken_off_only_where_the_first_line_has_one() {
        assert_eq!(all(b"\xef\xbb\xbfa\r\nb\r\n").into_iter().map(|line| line.0).collect::<Vec<_>>(), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(all(b"a\nb\r\n").into_iter().map(|line| line.0).collect::<Vec<_>>(), [b"a".to_vec(), b"b\r".to_vec()]);
    }

    #[test]
    fn lines_put_back_come_first_and_in_order() {
        let mut lines = Lines::new(Box::new(&b"a\nb\nc\n"[..]));
        let read: Vec<Physical> = (0..2).map(|_| lines.next().unwrap().unwrap()).collect();
        lines.put_back(read.into_iter());
        let order: Vec<u64> = std::iter::from_fn(|| lines.next().unwrap()).map(|line| line.number).collect();
        assert_eq!(order, [1, 2, 3]);
    }

    #[test]
    fn packed_files_are_unpacked_also_when_several_follow_one_another() {
        let packed = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let both = [packed(b"a\nb\n"), packed(b"c\n")].concat();
        let mut text = String::new();
        decompressed(std::io::Cursor::new(both)).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\nc\n");
        text.clear();
        decompressed(std::io::Cursor::new(b"plain".to_vec())).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "plain");
    }
}
