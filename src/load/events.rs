//! Every call of a run on its own, 20 bytes each, for other programs to analyse again.
//!
//! The file begins with the line `pgload events 1`, then one line of JSON with the names of the labels:
//! `{"started_at":"2026-01-01T00:00:00Z","labels":["find","add"]}`. Records follow up to the end of the file, in no
//! particular order, each of four little-endian unsigned numbers:
//!
//! | bytes | what |
//! |---:|---|
//! | 4 | label (lower 24 bits) and flags: 2²⁴ it failed, 2²⁵ it never ended, 2²⁶ it is a piece of a call |
//! | 8 | when it was due, in µs since the start |
//! | 4 | how much later it was sent, in µs |
//! | 4 | from when it was sent to its end, in µs |
//!
//! Times of more than 71 minutes are written as 2³² − 1 µs.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MAGIC: &str = "pgload events 1";
/// The bytes of a record.
pub const RECORD: usize = 20;
const LABEL_BITS: u32 = 24;
const FAILED: u32 = 1 << 24;
const NEVER: u32 = 1 << 25;
const PART: u32 = 1 << 26;

/// One call, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Which label it belongs to.
    pub label: usize,
    /// When it was due, since the start; a piece of a call is due when it is sent.
    pub intended: Duration,
    /// How much later it was sent.
    pub lag: Duration,
    /// From when it was sent to its end; `None` when it never ended.
    pub service: Option<Duration>,
    /// Whether it failed.
    pub failed: bool,
    /// Whether it is a piece of a call and not a call.
    pub part: bool,
}

/// What stands before the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When the run began.
    pub started_at: String,
    /// The names of the labels.
    pub labels: Vec<String>,
}

/// Appends a record.
#[inline]
pub(super) fn pack(event: Event, bytes: &mut Vec<u8>) {
    let us = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    let label = (event.label as u32) & ((1 << LABEL_BITS) - 1);
    let word = label | flag(event.failed, FAILED) | flag(event.service.is_none(), NEVER) | flag(event.part, PART);
    bytes.extend_from_slice(&word.to_le_bytes());
    bytes.extend_from_slice(&u64::try_from(event.intended.as_micros()).unwrap_or(u64::MAX).to_le_bytes());
    bytes.extend_from_slice(&us(event.lag).to_le_bytes());
    bytes.extend_from_slice(&us(event.service.unwrap_or(Duration::MAX)).to_le_bytes());
}

/// Reads a record.
pub fn unpack(record: &[u8; RECORD]) -> Event {
    let four = |at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
    let us = |us: u32| Duration::from_micros(u64::from(us));
    let word = four(0);
    Event {
        label: (word & ((1 << LABEL_BITS) - 1)) as usize,
        intended: Duration::from_micros(u64::from(four(4)) | u64::from(four(8)) << 32),
        lag: us(four(12)),
        service: (word & NEVER == 0).then(|| us(four(16))),
        failed: word & FAILED != 0,
        part: word & PART != 0,
    }
}

/// Writes what stands before the records.
///
/// # Errors
/// The writer's.
pub fn write_header(out: &mut dyn Write, header: &Header) -> io::Result<()> {
    writeln!(out, "{MAGIC}")?;
    serde_json::to_writer(&mut *out, header)?;
    writeln!(out)
}

/// Reads events one by one.
#[derive(Debug)]
pub struct Events<R> {
    input: R,
    /// What stood before the records.
    pub header: Header,
}

impl<R: BufRead> Events<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// The reader's, or [`io::ErrorKind::InvalidData`] when it is no such file.
    pub fn open(mut input: R) -> io::Result<Self> {
        let bad = |message: &str| io::Error::new(io::ErrorKind::InvalidData, message.to_owned());
        let (mut magic, mut line) = (Vec::new(), Vec::new());
        // A file of another kind may have no line end at all.
        input.by_ref().take(64).read_until(b'\n', &mut magic)?;
        if magic.strip_suffix(b"\n") != Some(MAGIC.as_bytes()) {
            return Err(bad("line 1: expected `pgload events 1`"));
        }
        input.by_ref().take(64 << 20).read_until(b'\n', &mut line)?;
        let header = serde_json::from_slice(&line).map_err(|error| bad(&format!("line 2: expected the labels: {error}")))?;
        Ok(Self { input, header })
    }
}

impl<R: BufRead> Iterator for Events<R> {
    type Item = io::Result<Event>;

    fn next(&mut self) -> Option<io::Result<Event>> {
        let mut record = [0; RECORD];
        let mut filled = 0;
        while filled < RECORD {
            match self.input.read(&mut record[filled..]) {
                Ok(0) if filled == 0 => return None,
                Ok(0) => return Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last event is cut short"))),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(unpack(&record)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_read_back_as_they_were_written() {
        let header = Header { started_at: "2026-01-01T00:00:00Z".to_owned(), labels: vec!["find".to_owned(), "add\n".to_owned()] };
        let us = Duration::from_micros;
        let events = [
            Event { label: 0, intended: us(0), lag: us(1), service: Some(us(250)), failed: false, part: false },
            Event { label: 1, intended: us(1 << 40), lag: us(7), service: None, failed: false, part: false },
            Event { label: (1 << 24) - 1, intended: us(5), lag: us(0), service: Some(us(u64::from(u32::MAX))), failed: true, part: true },
        ];
        let mut bytes = Vec::new();
        write_header(&mut bytes, &header).unwrap();
        let before = bytes.len();
        events.iter().for_each(|event| pack(*event, &mut bytes));
        assert_eq!(bytes.len() - before, 3 * RECORD);
        let read = Events::open(bytes.as_slice()).unwrap();
        assert_eq!(read.header, header);
        assert_eq!(read.collect::<Result<Vec<_>, _>>().unwrap(), events);
        let cut = Events::open(&bytes[..bytes.len() - 1]).unwrap().last().unwrap();
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn another_file_is_refused() {
        for text in ["", "pgload events 2\n{}\n", "pgload events 1\n{\"labels\":3}\n", "pgload events 1"] {
            assert_eq!(Events::open(text.as_bytes()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
        }
    }
}
