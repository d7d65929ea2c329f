//! Promise beside proof: the proposed indexes built for real, and the statements run with and without them.

use std::time::Instant;

use pgload::advisor::{self, Budget};
use pgload::catalog::StatementSource;
use pgload::catalog::name::quoted;
use pgload::migration::ddl::{self, Build};
use pgload::units::Bytes;

use crate::budgets::{created, relative_cost, start_twin};
use crate::sources::{Sources, TPCH};
use crate::{Options, Result, workload as statements};

/// Runs of each statement; the middle one counts.
const RUNS: usize = 3;

pub(crate) fn run(options: &Options, sources: &Sources) -> Result<()> {
    let (mut snapshot, client) = sources.snapshot(TPCH)?;
    snapshot.statements = statements::tpch(false)?;
    snapshot.statement_source = StatementSource::File { paths: Vec::new() };
    let heap: u64 = snapshot.tables.iter().map(|table| table.heap_bytes).sum();
    println!("\n## TPC-H scale {}: the proposed indexes built and the statements run\n", options.scale);
    println!("| budget | relative cost | relative run time | promised size | true size | seconds without | seconds with |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let before = times(sources, &client, &snapshot)?;
    for share in [Some(0.25), Some(0.5), Some(1.0), None] {
        let size_max = share.map(|share| Bytes((heap as f64 * share) as u64));
        let budget = Budget { size_max, indexes_per_table_max: None, write_overhead_max: None, width_max: 3, gain_min: 0.0 };
        let mut twin = start_twin(options, &snapshot)?;
        let advice = advisor::advise(&snapshot, &mut twin, &budget);
        let cost = relative_cost(&snapshot, &advice, &mut twin)?;
        drop(twin);
        let names: Vec<String> = created(&advice).map(|proposal| proposal.name.clone()).collect();
        for proposal in created(&advice) {
            let statement = ddl::create_index(&proposal.index, &proposal.name, Build::Plain);
            sources.runtime.block_on(client.batch_execute(&statement))?;
        }
        sources.runtime.block_on(client.batch_execute("vacuum analyze"))?;
        let row = sources.runtime.block_on(
            client
                .query_one("select coalesce(sum(pg_relation_size(c.oid)), 0)::int8 from pg_class c where c.relname = any ($1)", &[&names]),
        )?;
        let size: i64 = row.get(0);
        let after = times(sources, &client, &snapshot)?;
        let promised: Bytes = created(&advice).map(|proposal| proposal.size_bytes).sum();
        println!(
            "| {} | {cost:.3} | {:.3} | {promised} | {} | {:.2} | {:.2} |",
            share.map_or("none".to_owned(), |share| format!("{:.0} %", share * 100.0)),
            after.iter().sum::<f64>() / before.iter().sum::<f64>(),
            Bytes(size.unsigned_abs()),
            before.iter().sum::<f64>(),
            after.iter().sum::<f64>(),
        );
        for name in names {
            sources.runtime.block_on(client.batch_execute(&format!("drop index {}", quoted(&name))))?;
        }
    }
    Ok(())
}

/// Runs every statement and returns the middle time of each, in seconds.
fn times(sources: &Sources, client: &pgload::pg::Client, snapshot: &pgload::catalog::Snapshot) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for statement in &snapshot.statements {
        let text = statement.query.as_deref().unwrap_or_default();
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let start = Instant::now();
            sources.runtime.block_on(client.batch_execute(text))?;
            runs.push(start.elapsed().as_secs_f64());
        }
        runs.sort_by(f64::total_cmp);
        times.push(runs[RUNS / 2]);
    }
    Ok(times)
}
