//! What the advisor makes of a budget: the workload's cost with its indexes over that without, by budget and width.

use std::time::Instant;

use pgload::advisor::{self, Action, Advice, Budget, Configuration, CostModel, workload};
use pgload::catalog::{Snapshot, StatementSource};
use pgload::pg::twin::{self, Twin};
use pgload::units::Bytes;

use crate::sources::{Sources, TPCH};
use crate::{Options, Result, workload as statements};

/// Budgets as shares of the tables' size; `None` for no limit.
const SHARES: [Option<f64>; 4] = [Some(0.25), Some(0.5), Some(1.0), None];

pub(crate) fn run(options: &Options, sources: &Sources) -> Result<()> {
    let (mut snapshot, _) = sources.snapshot(TPCH)?;
    snapshot.statements = statements::tpch(false)?;
    snapshot.statement_source = StatementSource::File { paths: Vec::new() };
    let heap: u64 = snapshot.tables.iter().map(|table| table.heap_bytes).sum();
    println!("\n## TPC-H scale {}, 19 statements, {} of tables\n", options.scale, Bytes(heap));
    println!("| budget | width | relative cost | indexes | size | plans asked | seconds |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for share in SHARES {
        for width_max in 1..=3 {
            let size_max = share.map(|share| Bytes((heap as f64 * share) as u64));
            let budget = Budget { size_max, indexes_per_table_max: None, write_overhead_max: None, width_max, gain_min: 0.0 };
            let start = Instant::now();
            let mut twin = start_twin(options, &snapshot)?;
            let advice = advisor::advise(&snapshot, &mut twin, &budget);
            let seconds = start.elapsed().as_secs_f64();
            let asked = twin.asked();
            let size: Bytes = created(&advice).map(|proposal| proposal.size_bytes).sum();
            println!(
                "| {} | {width_max} | {:.3} | {} | {size} | {asked} | {seconds:.1} |",
                share.map_or("none".to_owned(), |share| format!("{:.0} %", share * 100.0)),
                relative_cost(&snapshot, &advice, &mut twin)?,
                created(&advice).count(),
            );
        }
    }
    Ok(())
}

/// Returns the indexes an advice creates.
pub(crate) fn created(advice: &Advice) -> impl Iterator<Item = &advisor::Proposal> {
    advice.proposals.iter().filter(|proposal| proposal.action == Action::Create)
}

/// Returns the sum of the statements' costs with the advice over that without, each statement once.
pub(crate) fn relative_cost(snapshot: &Snapshot, advice: &Advice, twin: &mut Twin) -> Result<f64> {
    let with = Configuration::with(created(advice).map(|proposal| proposal.index.clone().into()));
    let (mut before, mut after) = (0.0, 0.0);
    for query in workload::read(snapshot).queries {
        before += twin.plan(&query, &Configuration::default())?.cost;
        after += twin.plan(&query, &with)?.cost;
    }
    Ok(after / before)
}

/// Starts a twin as an audit does.
pub(crate) fn start_twin(options: &Options, snapshot: &Snapshot) -> Result<Twin> {
    Ok(Twin::start(snapshot, &twin::Options { binaries: options.binaries.clone(), workers: 2, time_max: None })?)
}
