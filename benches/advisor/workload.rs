//! The statements: the staging product's, pgbench's own, TPC-H's.

use std::fs;

use pgload::advisor::workload_file;
use pgload::catalog::Statement;
use pgload::replay::Workload;
use pgload::staging;

use crate::Result;

/// Statements of TPC-H that published evaluations leave out: their plans without indexes take hours.
const LEFT_OUT: &[&str] = &["q2", "q17", "q20"];

/// What pgbench's built-in scripts send.
const PGBENCH: &str = "
-- query: balance weight=3
select abalance from pgbench_accounts where aid = 48311;
-- query: deposit
update pgbench_accounts set abalance = abalance + 17 where aid = 771423;
-- query: teller
update pgbench_tellers set tbalance = tbalance + 17 where tid = 7;
-- query: branch
update pgbench_branches set bbalance = bbalance + 17 where bid = 3;
-- query: history
insert into pgbench_history (tid, bid, aid, delta, mtime) values (7, 3, 771423, 17, current_timestamp);
-- query: branch_total
select bid, sum(abalance) from pgbench_accounts group by bid;
-- query: rich
select a.aid, a.abalance, b.bbalance from pgbench_accounts a join pgbench_branches b using (bid) where b.bid = 4 and a.abalance > 900 order by a.abalance desc limit 10;
-- query: range
select sum(abalance) from pgbench_accounts where aid between 5000 and 9000;
-- query: tellers_of_branch
select count(*) from pgbench_tellers t join pgbench_accounts a on a.bid = t.bid where t.tid = 15 and a.aid < 200000;
";

/// Returns the statements of the staging product's workloads; their values come from the statistics.
pub(crate) fn staging() -> Result<Vec<Statement>> {
    let mut statements = Vec::new();
    for (name, text) in staging::WORKLOADS {
        for statement in Workload::parse(text, name)?.statements {
            let text = format!("-- query: {}\n{};", statement.name, statement.sql.trim().trim_end_matches(';'));
            statements.extend(workload_file::parse(&text, name)?);
        }
    }
    Ok(statements)
}

/// Returns statements over pgbench's tables.
pub(crate) fn pgbench() -> Result<Vec<Statement>> {
    Ok(workload_file::parse(PGBENCH, "pgbench")?)
}

/// Returns TPC-H's statements, all 22 or the 19 of the published evaluations.
pub(crate) fn tpch(all: bool) -> Result<Vec<Statement>> {
    let path = "benches/advisor/tpch.sql";
    let mut statements = workload_file::parse(&fs::read_to_string(path)?, path)?;
    statements.retain(|statement| all || !LEFT_OUT.iter().any(|left| statement.query_id.as_deref() == Some(left)));
    Ok(statements)
}
