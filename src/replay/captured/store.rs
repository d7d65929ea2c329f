//! Transactions on disk, one behind the other, each with the place and the time of its session's next.
//!
//! What is in memory does not grow with the capture: a transaction is named by its place in the file, and reading one costs
//! two reads of the page cache and the decoding of its statements, before it is due.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

/// Bytes that are written at once; links within them need no write of their own.
const BUFFER: usize = 1 << 20;

/// The place of no transaction.
const NOWHERE: u64 = u64::MAX;

/// Place and time of the session's next, length of what follows, label.
const HEAD: usize = 24;

/// What stands before a stored transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The session's next: where it is, and when it is due in microseconds.
    pub(super) next: Option<(u64, u64)>,
    /// The call's label.
    pub(super) label: u32,
    length: u32,
}

/// A transaction as it is played.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// What is sent, in order.
    #[serde(rename = "s")]
    pub(super) steps: Vec<StoredStep>,
}

/// A statement as it is played.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredStep {
    /// Its label.
    #[serde(rename = "l")]
    pub(super) label: u32,
    /// Its place among the workload file's statements.
    #[serde(rename = "n")]
    pub(super) statement: u32,
    /// Its text where it is not that statement's.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// Whether it goes by the simple protocol.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) simple: bool,
    /// Its parameters.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parameters: Vec<Option<String>>,
    /// What the client took between the end of the statement before and this one.
    #[serde(rename = "w", default)]
    pub(super) pause_us: u64,
    /// Set when it failed: the SQLSTATE, or nothing where that is not known.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
    /// A PREPARE from before the capture, without which its EXECUTE would fail.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub(super) prepare: Option<String>,
    /// What it does to a transaction block: 0 nothing, 1 opens, 2 ends.
    #[serde(rename = "k", default)]
    pub(super) block: u8,
    /// Whether it stands between BEGIN and ROLLBACK when it is outside a block.
    #[serde(rename = "r", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) wrapped: bool,
    /// Whether it resets the session's settings.
    #[serde(rename = "z", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) resets: bool,
}

/// Writes transactions.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    /// Where the buffer begins in the file.
    base: u64,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(file: File) -> Self {
        Self { file, base: 0, buffer: Vec::with_capacity(BUFFER) }
    }

    /// Appends a transaction and returns its place.
    pub(super) fn append(&mut self, label: u32, stored: &Stored) -> io::Result<u64> {
        let place = self.base + self.buffer.len() as u64;
        self.buffer.extend_from_slice(&NOWHERE.to_le_bytes());
        self.buffer.extend_from_slice(&[0; 8]);
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&label.to_le_bytes());
        let from = self.buffer.len();
        serde_json::to_writer(&mut self.buffer, stored)?;
        let length = u32::try_from(self.buffer.len() - from).map_err(|_| io::Error::other("a transaction of more than 4 GiB"))?;
        self.buffer[at..at + 4].copy_from_slice(&length.to_le_bytes());
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(place)
    }

    /// Tells a transaction which is its session's next.
    pub(super) fn link(&mut self, place: u64, next: u64, due_us: u64) -> io::Result<()> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&next.to_le_bytes());
        bytes[8..].copy_from_slice(&due_us.to_le_bytes());
        if let Some(at) = place.checked_sub(self.base).and_then(|at| usize::try_from(at).ok()) {
            self.buffer[at..at + 16].copy_from_slice(&bytes);
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(&bytes)?;
        self.file.seek(SeekFrom::Start(self.base)).map(drop)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.base += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Returns what was written, to be read.
    pub(super) fn finish(mut self) -> io::Result<Store> {
        self.flush()?;
        Ok(Store { file: Positioned::new(self.file) })
    }
}

/// Reads transactions; threads may share it.
#[derive(Debug)]
pub(super) struct Store {
    file: Positioned,
}

impl Store {
    /// Reads what stands before the transaction at a place.
    pub(super) fn head(&self, place: u64) -> io::Result<Head> {
        let mut bytes = [0; HEAD];
        self.file.read(&mut bytes, place)?;
        let long = |at: usize| bytes[at..at + 8].try_into().map_or(NOWHERE, u64::from_le_bytes);
        let short = |at: usize| bytes[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        let next = (long(0) != NOWHERE).then(|| (long(0), long(8)));
        Ok(Head { next, length: short(16), label: short(20) })
    }

    /// Reads the transaction at a place.
    pub(super) fn read(&self, place: u64) -> io::Result<(Head, Stored)> {
        let head = self.head(place)?;
        let mut bytes = vec![0; head.length as usize];
        self.file.read(&mut bytes, place + HEAD as u64)?;
        Ok((head, serde_json::from_slice(&bytes)?))
    }
}

/// A file that is read at any place by any thread.
#[derive(Debug)]
struct Positioned {
    #[cfg(unix)]
    file: File,
    #[cfg(not(unix))]
    file: std::sync::Mutex<File>,
}

#[cfg(unix)]
impl Positioned {
    fn new(file: File) -> Self {
        Self { file }
    }

    fn read(&self, bytes: &mut [u8], place: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, place)
    }
}

#[cfg(not(unix))]
impl Positioned {
    fn new(file: File) -> Self {
        Self { file: std::sync::Mutex::new(file) }
    }

    fn read(&self, bytes: &mut [u8], place: u64) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(place))?;
        io::Read::read_exact(&mut *file, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_come_back_with_their_links_from_memory_and_from_the_file() {
        let mut writer = Writer::new(tempfile::tempfile().unwrap());
        let step = |at: usize| StoredStep { text: Some("x".repeat(1000)), pause_us: at as u64, ..StoredStep::default() };
        // Two sessions, more than a buffer apart.
        let mut last = [None, None];
        for at in 0..3000 {
            let place = writer.append(at as u32, &Stored { steps: vec![step(at)] }).unwrap();
            let session = usize::from(at % 1500 == 7);
            if let Some(earlier) = last[session].replace(place) {
                writer.link(earlier, place, at as u64 * 10).unwrap();
            }
        }
        let store = writer.finish().unwrap();
        let (mut place, mut seen) = (0, vec![0]);
        while let Some((next, due_us)) = store.head(place).unwrap().next {
            let (head, stored) = store.read(next).unwrap();
            assert_eq!((u64::from(head.label) * 10, stored.steps[0].pause_us * 10), (due_us, due_us));
            seen.push(head.label);
            place = next;
        }
        assert_eq!(seen.len(), 2998);
        assert!(store.read(u64::MAX / 2).is_err());
    }
}
