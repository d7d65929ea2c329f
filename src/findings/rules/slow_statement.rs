//! Statements a person waits for, or that take most of the server's time.

use crate::catalog::Relations;
use crate::findings::statements::tell::{self, LARGE_SHARE, counter};
use crate::findings::statements::{MIN_CALLS, Recorded, SLOW_MS, Totals};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, Statements};
use crate::units::{grouped, human_ms};

pub(super) const RULE: Rule = Rule {
    id: "slow-statement",
    summary: "A statement takes long each time, or takes a large part of all execution time.",
    check: Check::Workload(check),
};

/// 5 ms: below this a call does little that an index could spare it; its share comes from its number of calls.
const NOT_TRIVIAL_MS: f64 = 5.0;

/// 1 % of all execution time: a slow statement below it may be a nightly report nobody waits for.
const SMALL_SHARE: f64 = 0.01;

fn check(_: &Relations<'_>, statements: &Statements<'_>) -> Vec<Finding> {
    statements.all().iter().filter_map(finding).collect()
}

fn finding(recorded: &Recorded<'_>) -> Option<Finding> {
    let (id, total, share) = (recorded.id, &recorded.totals, recorded.share);
    let mean = total.mean_ms();
    let slow = mean >= SLOW_MS;
    let heavy = share >= LARGE_SHARE && mean >= NOT_TRIVIAL_MS;
    if total.calls < MIN_CALLS || !(slow || heavy) {
        return None;
    }
    let blocks = total.blocks_per_call();
    let rows = total.rows_per_call();
    Some(Finding {
        rule: RULE.id.to_owned(),
        severity: if share < SMALL_SHARE { Severity::Info } else { Severity::Warning },
        object: Object::statement(id),
        message: format!(
            "Statement {id} takes {} a call on average (at most {}) over {} calls, {:.1} % of all recorded execution time; \
             it touches {blocks:.0} blocks and returns or changes {rows:.1} rows a call: {}",
            human_ms(mean),
            human_ms(total.exec_ms_max),
            grouped(total.calls),
            share * 100.0,
            tell::text(recorded),
        ),
        evidence: vec![
            counter("calls", total.calls as f64, "calls"),
            counter("exec_ms_mean", mean, "ms"),
            counter("exec_ms_total", total.exec_ms, "ms"),
            counter("exec_time_share", share, ""),
            counter("rows_per_call", rows, "rows"),
            counter("blocks_per_call", blocks, "blocks"),
            counter("blocks_read_per_call", total.per_call(total.blocks_read), "blocks"),
            counter("temp_blocks_per_call", total.per_call(total.temp_blocks()), "blocks"),
            Evidence::new("query", recorded.query, "", "pg_stat_statements"),
        ],
        help: help(total, blocks, rows),
    })
}

/// Points at what stands out in the counters.
fn help(total: &Totals, blocks: f64, rows: f64) -> String {
    /// 100 blocks for a row: an index look-up takes about 5, so most of what is read is thrown away. A rule of thumb.
    const WASTEFUL_BLOCKS_PER_ROW: f64 = 100.0;
    /// 1000 rows: more than a page of an application shows.
    const MANY_ROWS: f64 = 1000.0;
    let hint = if total.temp_blocks() > 0 {
        "It spills to temporary files: look for a sort or hash that an index order or more work_mem would spare."
    } else if blocks >= WASTEFUL_BLOCKS_PER_ROW * rows.max(1.0) {
        "It touches many blocks for each row it returns: an index on what it filters by is the first thing to try."
    } else if rows >= MANY_ROWS {
        "It returns many rows: fetch fewer of them, or in pages."
    } else {
        "It touches few blocks, so its time goes elsewhere: look for waits on locks, functions it calls, or its number of calls."
    };
    format!("Run EXPLAIN (ANALYZE, BUFFERS) on it with real parameters. {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::Sample;

    fn reported(calls: u64, mean: f64, query: &str) -> Vec<String> {
        let mut sample = Sample::new();
        sample.statement("42", query, calls, mean);
        sample.statement("1", "select 1", 1_000_000, 0.1);
        sample.named(RULE.check)
    }

    #[test]
    fn a_slow_statement_is_reported_from_the_fifth_call() {
        assert_eq!(reported(5, 100.0, "select * from t"), ["42"]);
        assert!(reported(4, 100.0, "select * from t").is_empty());
        assert!(reported(5, 99.9, "select * from t").is_empty());
    }

    #[test]
    fn a_large_share_counts_when_a_call_is_not_trivial() {
        assert_eq!(reported(2_300, 5.0, "select * from t"), ["42"]);
        assert!(reported(2_000, 5.0, "select * from t").is_empty());
        assert!(reported(1_000_000, 4.9, "select * from t").is_empty());
    }

    #[test]
    fn utility_statements_are_skipped() {
        for query in ["VACUUM t", "COPY t TO STDOUT", "create index on t (a)", "/* app */ begin", "CALL nightly()", "-- x\nfetch 10 from c"]
        {
            assert!(reported(9, 900.0, query).is_empty(), "{query}");
        }
        for query in ["/* app */ SELECT 2", "-- x\n\n(select 2)", "with x as (select 2) select * from x", "Update t set a = $1"] {
            assert_eq!(reported(9, 900.0, query), ["42"], "{query}");
        }
    }

    #[test]
    fn statements_on_catalogs_are_skipped() {
        for query in ["select * from pg_catalog.pg_class", "SELECT sum(x) FROM pg_stat_activity", "select 2 from a join pg_index i on true"]
        {
            assert!(reported(9, 900.0, query).is_empty(), "{query}");
        }
        assert_eq!(reported(9, 900.0, "select pg_advisory_lock($1) from pgbench_accounts"), ["42"]);
    }

    #[test]
    fn a_hidden_text_is_skipped() {
        let mut sample = Sample::new();
        sample.statement("42", "", 9, 900.0).query = None;
        assert!(sample.named(RULE.check).is_empty());
    }

    #[test]
    fn roles_are_added_up_and_nested_time_is_not_counted_twice() {
        let mut sample = Sample::new();
        sample.statement("42", "select f()", 3, 200.0);
        sample.statement("42", "select f()", 3, 400.0).user = "other".to_owned();
        sample.statement("43", "select * from t", 6, 250.0).top_level = false;
        let findings = sample.findings(RULE.check);
        let shares: Vec<_> = findings.iter().map(|finding| (finding.object.name.as_str(), &finding.evidence[3].value)).collect();
        assert_eq!(shares, [("42", &serde_json::json!(1)), ("43", &serde_json::json!(0.833))]);
    }

    #[test]
    fn a_small_share_is_worth_knowing_and_no_more() {
        let mut sample = Sample::new();
        sample.statement("42", "select * from t", 5, 100.0);
        sample.statement("1", "select 1", 1_000_000, 1.0);
        assert_eq!(sample.findings(RULE.check)[0].severity, Severity::Info);
    }

    #[test]
    fn the_message_shows_numbers_and_a_cut_text() {
        let mut sample = Sample::new();
        sample.statement("42", &format!("select *\n  from t where {}", "a = $1 or ".repeat(40)), 1_500, 120.0).shared_blocks_hit =
            3_000_000;
        let finding = sample.findings(RULE.check).remove(0);
        assert!(
            finding.message.starts_with(
                "Statement 42 takes 120 ms a call on average (at most 120 ms) over 1 500 calls, 100.0 % of all recorded execution time; it \
                 touches 2000 blocks and returns or changes 1.0 rows a call: select * from t where a = $1"
            ),
            "{}",
            finding.message
        );
        assert!(finding.message.ends_with('…'));
        assert!(finding.help.contains("an index on what it filters by"), "{}", finding.help);
    }
}
