//! A large application: 500 statements over 100 tables, made of the staging database's largest one.

use std::time::Instant;

use pgload::advisor::{self, Budget, workload_file};
use pgload::catalog::{Snapshot, StatementSource};

use crate::budgets::{created, start_twin};
use crate::sources::{STAGING, Sources};
use crate::{Options, Result};

const TABLES: u32 = 100;

/// Five statements a table, the last of them a join with the next table.
fn statements(table: u32) -> String {
    let next = (table + 1) % TABLES;
    format!(
        "-- query: list_{table} weight=30\n\
         select id, first_name from prospects_{table} where user_id = 17 and status = 'new' order by created_at desc limit 50;\n\
         -- query: count_{table} weight=10\n\
         select count(*) from prospects_{table} where user_id = 23 and created_at > now() - interval '7 days';\n\
         -- query: company_{table} weight=5\n\
         select * from prospects_{table} where lower(company_name) = 'acme' and status in ('new', 'contacted');\n\
         -- query: touch_{table} weight=3\n\
         update prospects_{table} set lead_score = lead_score + 1 where user_id = 17 and lead_score < 5;\n\
         -- query: join_{table} weight=2\n\
         select a.id, b.id from prospects_{table} a join prospects_{next} b on b.email = a.email where a.user_id = 5 and b.status = 'new';\n"
    )
}

/// Copies the largest table's statistics under a hundred names.
fn copied(mut snapshot: Snapshot) -> Result<Snapshot> {
    let largest =
        snapshot.tables.iter().find(|table| table.name.name == "prospects").ok_or("the staging database has no prospects")?.clone();
    let key = snapshot
        .indexes
        .iter()
        .find(|index| index.table == largest.oid && index.primary)
        .ok_or("the largest table has no primary key")?
        .clone();
    let constraint = snapshot
        .constraints
        .iter()
        .find(|known| Some(&known.name) == key.constraint.as_ref())
        .ok_or("no constraint behind the key")?
        .clone();
    (snapshot.tables, snapshot.indexes, snapshot.constraints) = (Vec::new(), Vec::new(), Vec::new());
    (snapshot.policies, snapshot.extended_statistics, snapshot.views) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..TABLES {
        let (mut table, mut key, mut constraint) = (largest.clone(), key.clone(), constraint.clone());
        table.oid = 1_000_000 + number;
        table.name.name = format!("prospects_{number}");
        key.oid = 2_000_000 + number;
        key.table = table.oid;
        key.name.name = format!("prospects_{number}_pkey");
        key.constraint = Some(key.name.name.clone());
        constraint.oid = 3_000_000 + number;
        constraint.table = table.oid;
        constraint.name.clone_from(&key.name.name);
        snapshot.tables.push(table);
        snapshot.indexes.push(key);
        snapshot.constraints.push(constraint);
    }
    let text: String = (0..TABLES).map(statements).collect();
    snapshot.statements = workload_file::parse(&text, "many")?;
    snapshot.statement_source = StatementSource::File { paths: Vec::new() };
    Ok(snapshot)
}

pub(crate) fn run(options: &Options, sources: &Sources) -> Result<()> {
    let (snapshot, _) = sources.snapshot(STAGING)?;
    let snapshot = copied(snapshot)?;
    let start = Instant::now();
    let mut twin = start_twin(options, &snapshot)?;
    let started = start.elapsed().as_secs_f64();
    let budget = Budget { size_max: None, indexes_per_table_max: None, write_overhead_max: None, width_max: 3, gain_min: 0.0005 };
    let advice = advisor::advise(&snapshot, &mut twin, &budget);
    println!("\n## {} statements over {TABLES} tables\n", snapshot.statements.len());
    println!("| statements used | indexes | plans asked | twin ready after | seconds in all |");
    println!("|---:|---:|---:|---:|---:|");
    println!(
        "| {} | {} | {} | {started:.1} s | {:.1} |",
        advice.coverage.usable,
        created(&advice).count(),
        twin.asked(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
