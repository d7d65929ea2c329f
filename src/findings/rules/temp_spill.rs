//! Statements whose sorts and hashes do not fit their memory.

use crate::catalog::Relations;
use crate::findings::statements::{Recorded, tell};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Statements};
use crate::units::{Bytes, PAGE_BYTES};

pub(super) const RULE: Rule = Rule {
    id: "temp-spill",
    summary: "A statement writes temporary files on every call, because a sort or hash does not fit work_mem.",
    check: Check::Workload(check),
};

/// 128 blocks (1 MiB) a call: less is written to the cache and gone before anybody waits for it.
const MIN_BLOCKS: f64 = 128.0;

/// 2: rows take about twice as much room in memory as in a temporary file. A rule of thumb.
const MEMORY_PER_FILE: f64 = 2.0;

/// 1 GiB: more for a single step of a single statement invites the kernel to end the server.
const MOST_MEMORY: f64 = (1 << 30) as f64;

fn check(relations: &Relations<'_>, statements: &Statements<'_>) -> Vec<Finding> {
    let spilling = |recorded: &&Recorded<'_>| recorded.totals.per_call(recorded.totals.temp_blocks_written) >= MIN_BLOCKS;
    statements.weighty().filter(spilling).map(|recorded| finding(recorded, relations)).collect()
}

fn finding(recorded: &Recorded<'_>, relations: &Relations<'_>) -> Finding {
    let totals = &recorded.totals;
    let blocks = totals.per_call(totals.temp_blocks_written);
    let written = blocks * PAGE_BYTES as f64;
    // In kB, as the server keeps it.
    let work_mem = relations.snapshot.server.number("work_mem").map(|kilobytes| kilobytes * 1024.0);
    let needed = work_mem.unwrap_or(0.0) + written * MEMORY_PER_FILE;
    let has = work_mem.map_or(String::new(), |bytes| format!(" with work_mem at {}", Bytes(bytes as u64)));
    let mut evidence = tell::evidence(recorded);
    evidence.insert(0, tell::counter("temp_blocks_written_per_call", blocks, "blocks"));
    evidence.insert(1, tell::counter("temp_blocks_read_per_call", totals.per_call(totals.temp_blocks_read), "blocks"));
    if let Some(work_mem) = work_mem {
        evidence.push(Evidence::new("work_mem", work_mem as u64, "bytes", "pg_settings"));
        evidence.push(Evidence::new("work_mem_needed", needed as u64, "bytes", "pgload"));
    }
    Finding {
        rule: RULE.id.to_owned(),
        severity: tell::severity(recorded),
        object: Object::statement(recorded.id),
        message: format!(
            "{} writes {} of temporary files a call{has}; to stay in memory it would need about {}: {}",
            tell::named(recorded),
            Bytes(written as u64),
            Bytes(needed as u64),
            tell::text(recorded),
        ),
        evidence,
        help: help(needed),
    }
}

fn help(needed: f64) -> String {
    let instead = "an index in the order it sorts or groups by spares the sort, fewer or narrower rows make it fit";
    if needed > MOST_MEMORY {
        return format!("Too much to keep in memory: {instead}.");
    }
    let megabytes = ((needed / f64::from(1 << 20)).ceil() as u64).next_power_of_two();
    format!(
        "First see whether it needs all those rows: {instead}. Else, for this statement only, since each of its sorts and hashes may take as \
         much: BEGIN; SET LOCAL work_mem = '{megabytes}MB'; …; COMMIT;"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Severity;
    use crate::findings::sample::Sample;

    fn sample(calls: u64, mean: f64, temp_blocks: u64) -> Sample {
        let mut sample = Sample::of([]);
        sample.setting("work_mem", "4096");
        sample.statement("42", "select * from t order by b", calls, mean).temp_blocks_written = temp_blocks;
        sample.statement("1", "select 1", 1_000_000, 0.1);
        sample
    }

    #[test]
    fn a_megabyte_a_call_is_reported_with_the_memory_it_would_take() {
        assert!(sample(10, 200.0, 1279).named(RULE.check).is_empty());
        let finding = sample(10, 200.0, 12_800).findings(RULE.check).remove(0);
        assert!(
            finding
                .message
                .contains("writes 10 MB of temporary files a call with work_mem at 4096 kB; to stay in memory it would need about 24 MB"),
            "{}",
            finding.message
        );
        assert!(finding.help.ends_with("SET LOCAL work_mem = '32MB'; …; COMMIT;"), "{}", finding.help);
        assert_eq!(finding.severity, Severity::Warning);
    }

    #[test]
    fn rare_quick_and_light_statements_are_not() {
        assert!(sample(4, 200.0, 12_800).named(RULE.check).is_empty());
        assert!(sample(10, 0.9, 12_800).named(RULE.check).is_empty());
        assert!(sample(10, 90.0, 12_800).named(RULE.check).is_empty(), "0.9 % of all time");
        assert_eq!(sample(12, 90.0, 12_800).findings(RULE.check)[0].severity, Severity::Info);
    }

    #[test]
    fn what_no_memory_holds_is_not_given_any() {
        let finding = sample(10, 200.0, 1_000_000).findings(RULE.check).remove(0);
        assert!(!finding.help.contains("SET LOCAL"), "{}", finding.help);
    }
}
