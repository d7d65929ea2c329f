//! Sorts more records than memory holds: sorted runs in temporary files, merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

/// The most files open at once; where there are more runs, some are merged before.
const RUNS_MAX: usize = 64;

/// Makes temporary files, in a folder with room for the whole capture.
pub type Scratch = Box<dyn FnMut() -> std::io::Result<File> + Send>;

/// Records sorted by key; those of equal keys keep the order they came in.
pub(super) struct Sorter {
    scratch: Scratch,
    buffer: Vec<(i64, u64, Vec<u8>)>,
    buffered_bytes: usize,
    budget_bytes: usize,
    runs: Vec<File>,
    count: u64,
}

impl Sorter {
    /// Sorts with at most about this many bytes in memory.
    pub(super) fn new(scratch: Scratch, budget_bytes: usize) -> Self {
        Self { scratch, buffer: Vec::new(), buffered_bytes: 0, budget_bytes, runs: Vec::new(), count: 0 }
    }

    /// Adds a record.
    pub(super) fn push(&mut self, key: i64, record: Vec<u8>) -> std::io::Result<()> {
        // 64 bytes: what a record costs beside its own.
        self.buffered_bytes += record.len() + 64;
        self.buffer.push((key, self.count, record));
        self.count += 1;
        if self.buffered_bytes >= self.budget_bytes {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> std::io::Result<()> {
        self.buffer.sort_unstable_by_key(|(key, count, _)| (*key, *count));
        let mut file = (self.scratch)()?;
        {
            let mut writer = BufWriter::with_capacity(1 << 18, &mut file);
            for (key, count, record) in self.buffer.drain(..) {
                write(&mut writer, key, count, &record)?;
            }
            writer.flush()?;
        }
        self.buffered_bytes = 0;
        self.runs.push(file);
        if self.runs.len() >= RUNS_MAX {
            let mut merged = (self.scratch)()?;
            {
                let mut writer = BufWriter::with_capacity(1 << 18, &mut merged);
                for record in Sorted::new(std::mem::take(&mut self.runs), Vec::new())? {
                    let (key, count, record) = record?;
                    write(&mut writer, key, count, &record)?;
                }
                writer.flush()?;
            }
            self.runs.push(merged);
        }
        Ok(())
    }

    /// Returns all records in order.
    pub(super) fn finish(mut self) -> std::io::Result<Sorted> {
        self.buffer.sort_unstable_by_key(|(key, count, _)| (*key, *count));
        Sorted::new(self.runs, self.buffer)
    }
}

fn write(writer: &mut impl Write, key: i64, count: u64, record: &[u8]) -> std::io::Result<()> {
    writer.write_all(&key.to_le_bytes())?;
    writer.write_all(&count.to_le_bytes())?;
    writer.write_all(&(record.len() as u64).to_le_bytes())?;
    writer.write_all(record)
}

/// A key, what breaks ties, and the record.
type Keyed = (i64, u64, Vec<u8>);

/// A key, what breaks ties, the run it is from, and the record.
type Head = (i64, u64, usize, Vec<u8>);

/// Records in order.
pub(super) struct Sorted {
    runs: Vec<BufReader<File>>,
    memory: std::vec::IntoIter<Keyed>,
    /// The next of each run; the run after the last stands for memory.
    heads: BinaryHeap<Reverse<Head>>,
    failed: bool,
}

impl Sorted {
    fn new(runs: Vec<File>, memory: Vec<Keyed>) -> std::io::Result<Self> {
        let mut readers = Vec::with_capacity(runs.len());
        for mut run in runs {
            run.seek(SeekFrom::Start(0))?;
            readers.push(BufReader::with_capacity(1 << 16, run));
        }
        let mut sorted = Self { runs: readers, memory: memory.into_iter(), heads: BinaryHeap::new(), failed: false };
        for at in 0..=sorted.runs.len() {
            sorted.advance(at)?;
        }
        Ok(sorted)
    }

    fn advance(&mut self, at: usize) -> std::io::Result<()> {
        let next = match self.runs.get_mut(at) {
            Some(run) => read(run)?,
            None => self.memory.next(),
        };
        if let Some((key, count, record)) = next {
            self.heads.push(Reverse((key, count, at, record)));
        }
        Ok(())
    }
}

fn read(run: &mut impl Read) -> std::io::Result<Option<Keyed>> {
    let mut head = [0_u8; 24];
    // The end may only be where a record begins.
    if run.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    run.read_exact(&mut head[1..])?;
    let part = |at: usize| <[u8; 8]>::try_from(&head[at..at + 8]).unwrap_or_default();
    let length = usize::try_from(u64::from_le_bytes(part(16))).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
    let mut record = vec![0; length];
    run.read_exact(&mut record)?;
    Ok(Some((i64::from_le_bytes(part(0)), u64::from_le_bytes(part(8)), record)))
}

impl Iterator for Sorted {
    type Item = std::io::Result<Keyed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let Reverse((key, count, at, record)) = self.heads.pop()?;
        if let Err(error) = self.advance(at) {
            self.failed = true;
            return Some(Err(error));
        }
        Some(Ok((key, count, record)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_more_records_than_memory_come_out_in_order() {
        // A budget of about 20 records makes thousands of runs, which are merged on the way.
        let mut sorter = Sorter::new(Box::new(tempfile::tempfile), 20 * 80);
        let mut expected = Vec::new();
        for count in 0..5000_u64 {
            let key = (crate::stats::random::bits(1, 2, count, 3) % 500) as i64 - 250;
            let record = format!("{key}/{count}").into_bytes();
            expected.push((key, count, record.clone()));
            sorter.push(key, record).unwrap();
        }
        assert!(sorter.runs.len() < RUNS_MAX, "{}", sorter.runs.len());
        expected.sort();
        let sorted: Vec<Keyed> = sorter.finish().unwrap().map(Result::unwrap).collect();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn what_fits_into_memory_needs_no_file() {
        let mut sorter = Sorter::new(Box::new(|| Err(std::io::Error::other("no room"))), 1 << 20);
        sorter.push(2, b"b".to_vec()).unwrap();
        sorter.push(1, b"a".to_vec()).unwrap();
        let order: Vec<i64> = sorter.finish().unwrap().map(|record| record.unwrap().0).collect();
        assert_eq!(order, [1, 2]);
        let mut full = Sorter::new(Box::new(|| Err(std::io::Error::other("no room"))), 1);
        assert_eq!(full.push(1, Vec::new()).unwrap_err().to_string(), "no room");
    }
}
