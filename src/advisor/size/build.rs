//! How long a build takes, roughly.

use super::super::Candidate;
use super::super::facts::Facts;
use super::{PAGE, gin, share};
use crate::units::Bytes;

/// Bytes a second that a build reads of the table: a disk of an ordinary server, caches cold (rule of thumb).
const READ_RATE: f64 = 250e6;
/// Bytes a second that it writes, log included.
const WRITE_RATE: f64 = 120e6;
/// Milliseconds to form and compare one entry once; a sort compares each about log2(entries) times.
const COMPARISON_MS: f64 = 40e-6;
/// Milliseconds to put one entry into a tree that is not built by sorting.
const INSERT_MS: f64 = 1.5e-3;
/// `CREATE INDEX CONCURRENTLY` reads the table twice.
const READS: f64 = 2.0;

/// Returns how long a concurrent build is expected to take, in milliseconds, on an idle server.
///
/// Right within a factor of three or so: rates of the disk and of `maintenance_work_mem` are not known. Waiting for old
/// transactions comes on top.
pub(crate) fn build_ms(facts: &Facts<'_>, candidate: &Candidate, size: Bytes) -> f64 {
    let rows = facts.rows * share(facts, candidate);
    let reading = READS * facts.pages * PAGE / READ_RATE * 1e3 + facts.rows * COMPARISON_MS;
    let writing = size.0 as f64 / WRITE_RATE * 1e3;
    let ordering = match candidate.method.as_str() {
        "gin" => rows * gin::keys_per_row(facts, candidate) * INSERT_MS / 2.0,
        "gist" | "spgist" => rows * INSERT_MS * 4.0,
        "brin" => 0.0,
        _ => rows * rows.max(2.0).log2() * COMPARISON_MS,
    };
    reading + ordering + writing
}
