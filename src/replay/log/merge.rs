//! Several files of one log, rotated most often, as one sequence of lines in the order of their times.

use std::collections::VecDeque;

use super::line::{BadLine, Line};

/// A file that has not been read to its end.
struct Source<R> {
    reader: R,
    /// The next good line's time, and what is to be given out up to it: bad lines, then that line.
    next: Option<Line>,
}

/// Merges lines by time; lines of one file keep their order, and of equal times the earlier file's come first.
pub struct Merge<R> {
    sources: Vec<Source<R>>,
    bad: VecDeque<BadLine>,
    /// Files whose turn has not come, with the time of their first line, the latest first.
    waiting: Vec<(i64, usize, R)>,
}

impl<R: Iterator<Item = Result<Line, BadLine>>> Merge<R> {
    /// Merges these files, given with the time of their first line: a file is read only when its time comes.
    pub fn new(files: impl IntoIterator<Item = (i64, R)>) -> Self {
        let mut waiting: Vec<(i64, usize, R)> = files.into_iter().enumerate().map(|(at, (first, reader))| (first, at, reader)).collect();
        waiting.sort_by_key(|(first, at, _)| std::cmp::Reverse((*first, *at)));
        Self { sources: Vec::new(), bad: VecDeque::new(), waiting }
    }

    /// Returns the readers of files that have not been read to their end.
    pub fn open(&self) -> usize {
        self.sources.len()
    }

    fn fill(&mut self, at: usize) {
        let source = &mut self.sources[at];
        source.next = loop {
            match source.reader.next() {
                Some(Ok(line)) => break Some(line),
                Some(Err(bad)) => {
                    self.bad.push_back(bad);
                    // Given out at once: a file of nothing but bad lines must not be gathered.
                    if self.bad.len() >= 64 {
                        break None;
                    }
                }
                None => {
                    self.sources.remove(at);
                    return;
                }
            }
        };
    }

    /// The open file whose next line is the earliest; those without one are read first.
    fn earliest(&self) -> Option<usize> {
        (0..self.sources.len()).min_by_key(|at| self.sources[*at].next.as_ref().map_or(i64::MIN, |line| line.at_us))
    }
}

impl<R: Iterator<Item = Result<Line, BadLine>>> Iterator for Merge<R> {
    type Item = Result<Line, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(bad) = self.bad.pop_front() {
                return Some(Err(bad));
            }
            let earliest = self.earliest();
            let now = earliest.and_then(|at| self.sources[at].next.as_ref()).map(|line| line.at_us);
            let due = self.waiting.last().is_some_and(|(first, ..)| earliest.is_none() || now.is_some_and(|now| *first <= now));
            if due && let Some((_, _, reader)) = self.waiting.pop() {
                self.sources.push(Source { reader, next: None });
                self.fill(self.sources.len() - 1);
                continue;
            }
            let at = earliest?;
            let line = self.sources[at].next.take();
            self.fill(at);
            if let Some(line) = line {
                return Some(Ok(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: u32, items: &[i64]) -> (i64, std::vec::IntoIter<Result<Line, BadLine>>) {
        // A negative time stands for a bad line.
        let item = |at: &i64| match at {
            0.. => Ok(Line { at_us: *at, process: Some(name), ..Line::default() }),
            at => Err(BadLine { file: name.to_string(), line: at.unsigned_abs(), reason: String::new() }),
        };
        let first = items.iter().copied().find(|at| *at >= 0).unwrap_or(0);
        (first, items.iter().map(item).collect::<Vec<_>>().into_iter())
    }

    fn merged(files: Vec<(i64, std::vec::IntoIter<Result<Line, BadLine>>)>) -> Vec<(i64, u32)> {
        let pair = |line: Result<Line, BadLine>| match line {
            Ok(line) => (line.at_us, line.process.unwrap()),
            Err(bad) => (-(bad.line as i64), bad.file.parse().unwrap()),
        };
        Merge::new(files).map(pair).collect()
    }

    #[test]
    fn files_given_in_any_order_are_read_by_time() {
        assert_eq!(merged(vec![file(2, &[5, 6, 8]), file(1, &[1, 5, 7]), file(3, &[])]), [(1, 1), (5, 1), (5, 2), (6, 2), (7, 1), (8, 2)]);
    }

    #[test]
    fn lines_of_a_file_keep_their_order_and_bad_ones_are_kept() {
        assert_eq!(merged(vec![file(1, &[3, -7, 2, 4]), file(2, &[9, -8])]).len(), 6);
        let only = merged(vec![file(1, &[3, 2, 4])]);
        assert_eq!(only.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3, 2, 4]);
    }

    #[test]
    fn a_file_waits_until_its_time_comes() {
        let mut merge = Merge::new(vec![file(1, &[1, 2]), file(2, &[5])]);
        merge.next();
        assert_eq!(merge.open(), 1);
        assert_eq!(merge.by_ref().count(), 2);
        assert_eq!(merge.open(), 0);
    }
}
