//! Durations counted in buckets of bounded size and error, including those that never ended.

use std::io;
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};

use crate::stats::Percentiles;

/// The longest duration told apart, one hour in microseconds; longer ones count as this.
const MAX_US: u64 = 3_600_000_000;

/// A percentile p is given only when at least so many samples are expected above it: n·(1−p) >= 10.
///
/// 10 is convention, not theory: p99 then needs 1 000 samples and p99.9 needs 10 000.
const MIN_ABOVE: f64 = 10.0;

/// Marks the comment of an `.hlog` that carries what the format cannot: durations without an end.
const INFINITE_COMMENT: &str = "pgload-infinite";

/// How finely a histogram tells durations apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Two significant digits: at most 1 % error, 1 to 5 kB; for one second or one slice.
    Slice,
    /// Three significant digits: at most 0.1 % error; for a whole run.
    Whole,
}

/// A histogram of durations from 1 µs to 1 h.
///
/// Work that was due and never ended is recorded as infinitely slow, so that a percentile which falls among it is
/// `None` ("not met") and never a flattering number.
#[derive(Debug, Clone)]
pub struct Histogram {
    finite: hdrhistogram::Histogram<u64>,
    infinite: u64,
}

impl Histogram {
    /// Returns an empty histogram.
    pub fn new(precision: Precision) -> Self {
        let digits = match precision {
            Precision::Slice => 2,
            Precision::Whole => 3,
        };
        let mut finite = hdrhistogram::Histogram::new(digits).expect("2 and 3 digits are valid precisions");
        finite.auto(true);
        Self { finite, infinite: 0 }
    }

    /// Counts one duration; less than 1 µs counts as 1 µs.
    pub fn record(&mut self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(MAX_US).clamp(1, MAX_US);
        // Values are clamped and the histogram resizes itself, so only a failing allocation could end up here.
        self.finite.record(us).expect("a value within bounds is recorded");
    }

    /// Counts `count` pieces of work that never ended.
    pub fn record_infinite(&mut self, count: u64) {
        self.infinite += count;
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.finite.add(&other.finite).expect("a resizing histogram takes in any other");
        self.infinite += other.infinite;
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.finite.reset();
        self.infinite = 0;
    }

    /// Returns how many were counted, with and without end.
    pub fn count(&self) -> u64 {
        self.finite.len() + self.infinite
    }

    /// Returns how many never ended.
    pub fn infinite(&self) -> u64 {
        self.infinite
    }

    /// Returns the percentile at `p` (0 to 1) in microseconds.
    ///
    /// `None` with fewer than ten samples expected above it, or when it falls among the work that never ended.
    pub fn percentile(&self, p: f64) -> Option<u64> {
        let count = self.count();
        // The small slack keeps 1000 · (1 − 0.99), which is 9.999…98 in binary, on the side of 10.
        if (count as f64) * (1.0 - p) < MIN_ABOVE - 1e-6 {
            return None;
        }
        let rank = ((p * count as f64).ceil() as u64).max(1);
        let finite = self.finite.len();
        if rank > finite {
            return None;
        }
        // Half a rank lower, or rounding of the quotient could step over to the next sample.
        let value = self.finite.value_at_quantile((rank as f64 - 0.5) / finite as f64);
        Some(value.min(self.finite.max()).min(MAX_US))
    }

    /// Returns the usual percentiles, the largest value and the mean.
    pub fn percentiles(&self) -> Percentiles {
        let bounded = self.infinite == 0 && !self.finite.is_empty();
        Percentiles {
            p50: self.percentile(0.50),
            p90: self.percentile(0.90),
            p95: self.percentile(0.95),
            p99: self.percentile(0.99),
            p999: self.percentile(0.999),
            max: bounded.then(|| self.finite.max().min(MAX_US)),
            mean: bounded.then(|| self.finite.mean()),
        }
    }
}

/// One named histogram of a saved run.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// What was timed: `total.response`, `add_prospect.service`.
    pub tag: String,
    /// Its durations.
    pub histogram: Histogram,
}

/// Writes histograms as an `.hlog` (HdrHistogram interval log 1.3, V2 deflate), one row a tag.
///
/// Readers of the format see the finite durations in microseconds; the number of those without an end is kept in
/// comments, which [`read_hlog`] understands.
pub fn write_hlog(histograms: &[Tagged], started_at: SystemTime, duration: Duration) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Histogram log format version 1.3]").add_comment("values in microseconds").with_start_time(started_at);
    for entry in histograms.iter().filter(|entry| entry.histogram.infinite > 0) {
        builder.add_comment(&format!("{INFINITE_COMMENT} {} {}", tag_text(&entry.tag), entry.histogram.infinite));
    }
    let mut log = builder.begin_log_with(&mut bytes, &mut serializer)?;
    for entry in histograms {
        let tag = tag_text(&entry.tag);
        log.write_histogram(&entry.histogram.finite, Duration::ZERO, duration, Tag::new(&tag)).map_err(io::Error::other)?;
    }
    Ok(bytes)
}

/// Reads what [`write_hlog`] wrote; rows without a tag get an empty one.
pub fn read_hlog(bytes: &[u8]) -> io::Result<Vec<Tagged>> {
    let bad = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut deserializer = Deserializer::new();
    let mut read: Vec<Tagged> = Vec::new();
    for entry in IntervalLogIterator::new(bytes) {
        let entry = entry.map_err(|error| bad(format!("not an interval log: {error:?}")))?;
        let LogEntry::Interval(row) = entry else { continue };
        let packed = base64_decode(row.encoded_histogram()).ok_or_else(|| bad("a row is not base64".to_owned()))?;
        let mut finite: hdrhistogram::Histogram<u64> =
            deserializer.deserialize(&mut packed.as_slice()).map_err(|error| bad(format!("a row is not a histogram: {error}")))?;
        finite.auto(true);
        let tag = row.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default();
        read.push(Tagged { tag, histogram: Histogram { finite, infinite: 0 } });
    }
    for line in String::from_utf8_lossy(bytes).lines() {
        let mut words = line.trim_start_matches('#').split_whitespace();
        if let (Some(INFINITE_COMMENT), Some(tag), Some(count)) = (words.next(), words.next(), words.next()) {
            let count = count.parse().map_err(|_| bad(format!("`{line}` does not end in a number")))?;
            read.iter_mut().filter(|entry| entry.tag == tag).for_each(|entry| entry.histogram.infinite = count);
        }
    }
    Ok(read)
}

/// Replaces what the format does not allow in a tag.
fn tag_text(name: &str) -> String {
    name.chars().map(|c| if c == ',' || c.is_whitespace() { '_' } else { c }).collect()
}

/// Decodes standard base64 with padding; the interval log's reader leaves this to its caller.
fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new(Precision::Whole);
        values.into_iter().for_each(|us| histogram.record(Duration::from_micros(us)));
        histogram
    }

    #[test]
    fn a_percentile_needs_ten_samples_above_it() {
        let few = of(1..=999).percentiles();
        assert_eq!((few.p50, few.p95), (Some(500), Some(950)));
        assert_eq!(few.p99, None, "999 samples leave 9.99 above p99");
        let enough = of(1..=1000).percentiles();
        assert_eq!(enough.p99, Some(990));
        assert_eq!(enough.p999, None);
        assert_eq!(of(1..=19).percentiles().p50, None);
        assert_eq!(of(1..=20).percentiles().p50, Some(10));
    }

    #[test]
    fn an_empty_histogram_says_nothing() {
        assert_eq!(of([]).percentiles(), Percentiles::default());
    }

    #[test]
    fn work_that_never_ended_sits_above_every_percentile_it_reaches() {
        let mut histogram = of(1..=980);
        histogram.record_infinite(20);
        assert_eq!(histogram.count(), 1000);
        let percentiles = histogram.percentiles();
        assert_eq!(percentiles.p95, Some(950));
        assert_eq!(percentiles.p99, None, "the 990th of 1000 never ended");
        assert_eq!((percentiles.max, percentiles.mean), (None, None));
    }

    #[test]
    fn durations_outside_the_range_count_as_its_ends() {
        let mut histogram = of([]);
        histogram.record(Duration::ZERO);
        histogram.record(Duration::from_secs(100_000));
        assert_eq!(histogram.percentiles().max, Some(MAX_US));
        assert_eq!(histogram.count(), 2);
    }

    #[test]
    fn the_order_of_merging_does_not_matter() {
        let (mut left, mut right) = (of(1..=500), of(10_000..10_700));
        right.record_infinite(3);
        let untouched = left.clone();
        left.merge(&right);
        right.merge(&untouched);
        assert_eq!(left.percentiles(), right.percentiles());
        assert_eq!(left.count(), 1203);
        left.merge(&of([]));
        assert_eq!(left.percentiles(), right.percentiles());
    }

    #[test]
    fn an_interval_log_reads_back_as_it_was_written() {
        let mut first = of(1..=2000);
        first.record_infinite(7);
        let tagged = [
            Tagged { tag: "total.response".to_owned(), histogram: first.clone() },
            Tagged { tag: "find prospects, open.service".to_owned(), histogram: of([5, 60_000_000]) },
            Tagged { tag: "empty".to_owned(), histogram: of([]) },
        ];
        let bytes = write_hlog(&tagged, SystemTime::UNIX_EPOCH, Duration::from_secs(60)).unwrap();
        assert!(bytes.starts_with(b"#[Histogram log format version 1.3]"));
        let read = read_hlog(&bytes).unwrap();
        assert_eq!(read.iter().map(|e| e.tag.as_str()).collect::<Vec<_>>(), ["total.response", "find_prospects__open.service", "empty"]);
        assert_eq!(read[0].histogram.percentiles(), first.percentiles());
        assert_eq!(read[0].histogram.infinite(), 7);
        assert_eq!(read[1].histogram.percentiles(), tagged[1].histogram.percentiles());
        assert_eq!(read[2].histogram.count(), 0);
    }

    #[test]
    fn a_file_that_is_no_interval_log_is_refused() {
        assert!(read_hlog(b"Tag=a,0.0,1.0,1.0,!!!!\n").is_err());
    }
}
