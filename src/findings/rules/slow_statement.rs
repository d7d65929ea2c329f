//! Statements a person waits for, or that take most of the server's time.

use std::collections::BTreeMap;

use crate::catalog::{Relations, Statement};
use crate::findings::{Evidence, Finding, Object, Rule, Severity, statement_text};
use crate::units::{grouped, human_ms};

pub(super) const RULE: Rule =
    Rule { id: "slow-statement", summary: "A statement takes long each time, or takes a large part of all execution time.", check };

/// 5 calls: fewer may have been someone at a prompt, or met a cold cache.
const MIN_CALLS: u64 = 5;

/// 100 ms: about where a person begins to notice a wait, and a request often makes several calls.
const SLOW_MS: f64 = 100.0;

/// 10 % of all execution time: worth a look even when each call is quick.
const LARGE_SHARE: f64 = 0.1;

/// 5 ms: below this a call does little that an index could spare it; its share comes from its number of calls.
const NOT_TRIVIAL_MS: f64 = 5.0;

/// 1 % of all execution time: a slow statement below it may be a nightly report nobody waits for.
const SMALL_SHARE: f64 = 0.01;

/// 200 characters of a statement are enough to know it by.
const SHOWN_CHARACTERS: usize = 200;

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let statements = &relations.snapshot.statements;
    // Statements inside functions are already part of the time of the call that ran them.
    let everything: f64 = statements.iter().filter(|statement| statement.top_level).map(|statement| statement.exec_ms_total).sum();
    let mut totals: BTreeMap<&str, Total<'_>> = BTreeMap::new();
    for statement in statements {
        if let (Some(id), Some(query)) = (&statement.query_id, &statement.query)
            && is_of_interest(query)
        {
            totals.entry(id).or_insert_with(|| Total::new(query)).add(statement);
        }
    }
    totals.iter().filter_map(|(id, total)| finding(id, total, everything)).collect()
}

/// One statement over all roles that ran it.
struct Total<'a> {
    query: &'a str,
    calls: u64,
    rows: u64,
    exec_ms: f64,
    exec_ms_max: f64,
    blocks_hit: u64,
    blocks_read: u64,
    temp_blocks: u64,
}

impl<'a> Total<'a> {
    fn new(query: &'a str) -> Self {
        Self { query, calls: 0, rows: 0, exec_ms: 0.0, exec_ms_max: 0.0, blocks_hit: 0, blocks_read: 0, temp_blocks: 0 }
    }

    fn add(&mut self, statement: &Statement) {
        self.calls += statement.calls;
        self.rows += statement.rows;
        self.exec_ms += statement.exec_ms_total;
        self.exec_ms_max = self.exec_ms_max.max(statement.exec_ms_max);
        self.blocks_hit += statement.shared_blocks_hit;
        self.blocks_read += statement.shared_blocks_read;
        self.temp_blocks += statement.temp_blocks_read + statement.temp_blocks_written;
    }

    fn per_call(&self, count: u64) -> f64 {
        count as f64 / self.calls.max(1) as f64
    }

    fn mean_ms(&self) -> f64 {
        self.exec_ms / self.calls.max(1) as f64
    }
}

/// Returns whether an index or another text could change the statement's time: it reads or writes rows of user tables.
fn is_of_interest(query: &str) -> bool {
    let verb = statement_text::verb(query);
    matches!(verb.as_str(), "select" | "insert" | "update" | "delete" | "merge" | "with" | "values" | "table")
        && !statement_text::reads_catalogs(query)
}

fn finding(id: &str, total: &Total<'_>, everything: f64) -> Option<Finding> {
    let (mean, share) = (total.mean_ms(), if everything > 0.0 { total.exec_ms / everything } else { 0.0 });
    let slow = mean >= SLOW_MS;
    let heavy = share >= LARGE_SHARE && mean >= NOT_TRIVIAL_MS;
    if total.calls < MIN_CALLS || !(slow || heavy) {
        return None;
    }
    let blocks = total.per_call(total.blocks_hit + total.blocks_read);
    let rows = total.per_call(total.rows);
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
            statement_text::shortened(total.query, SHOWN_CHARACTERS),
        ),
        evidence: vec![
            evidence("calls", total.calls as f64, "calls"),
            evidence("exec_ms_mean", mean, "ms"),
            evidence("exec_ms_total", total.exec_ms, "ms"),
            evidence("exec_time_share", share, ""),
            evidence("rows_per_call", rows, "rows"),
            evidence("blocks_per_call", blocks, "blocks"),
            evidence("blocks_read_per_call", total.per_call(total.blocks_read), "blocks"),
            evidence("temp_blocks_per_call", total.per_call(total.temp_blocks), "blocks"),
            Evidence::new("query", total.query, "", "pg_stat_statements"),
        ],
        help: help(total, blocks, rows),
    })
}

fn evidence(name: &str, value: f64, unit: &str) -> Evidence {
    let rounded = (value * 1000.0).round() / 1000.0;
    let value = if rounded.fract() == 0.0 { serde_json::json!(rounded as i64) } else { serde_json::json!(rounded) };
    Evidence::new(name, value, unit, "pg_stat_statements")
}

/// Points at what stands out in the counters.
fn help(total: &Total<'_>, blocks: f64, rows: f64) -> String {
    /// 100 blocks for a row: an index look-up takes about 5, so most of what is read is thrown away. A rule of thumb.
    const WASTEFUL_BLOCKS_PER_ROW: f64 = 100.0;
    /// 1000 rows: more than a page of an application shows.
    const MANY_ROWS: f64 = 1000.0;
    let hint = if total.temp_blocks > 0 {
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
        sample.named(check)
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
        assert!(sample.named(check).is_empty());
    }

    #[test]
    fn roles_are_added_up_and_nested_time_is_not_counted_twice() {
        let mut sample = Sample::new();
        sample.statement("42", "select f()", 3, 200.0);
        sample.statement("42", "select f()", 3, 400.0).user = "other".to_owned();
        sample.statement("43", "select * from t", 6, 250.0).top_level = false;
        let findings = sample.findings(check);
        let shares: Vec<_> = findings.iter().map(|finding| (finding.object.name.as_str(), &finding.evidence[3].value)).collect();
        assert_eq!(shares, [("42", &serde_json::json!(1)), ("43", &serde_json::json!(0.833))]);
    }

    #[test]
    fn a_small_share_is_worth_knowing_and_no_more() {
        let mut sample = Sample::new();
        sample.statement("42", "select * from t", 5, 100.0);
        sample.statement("1", "select 1", 1_000_000, 1.0);
        assert_eq!(sample.findings(check)[0].severity, Severity::Info);
    }

    #[test]
    fn the_message_shows_numbers_and_a_cut_text() {
        let mut sample = Sample::new();
        sample.statement("42", &format!("select *\n  from t where {}", "a = $1 or ".repeat(40)), 1_500, 120.0).shared_blocks_hit =
            3_000_000;
        let finding = sample.findings(check).remove(0);
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
