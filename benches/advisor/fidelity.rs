//! The twin's plans beside the server's own: cost and shape, as they are and with each used index hidden.

use pgload::advisor::Configuration;
use pgload::advisor::workload;
use pgload::catalog::{Oid, Snapshot, StatementSource};
use pgload::pg::Client;
use pgload::pg::twin::{self, Explained, Twin};

use crate::sources::Sources;
use crate::{Options, Result};

/// The share by which two costs may differ and still count as one.
const SAME_COST: f64 = 0.01;

/// Plans compared and found alike.
#[derive(Default)]
struct Tally {
    plans: usize,
    cost: usize,
    shape: usize,
    /// The largest difference of cost, as a share.
    worst: f64,
    skipped: usize,
}

impl Tally {
    fn add(&mut self, text: &str, source: &Explained, twin: &Explained) {
        let difference = (twin.cost - source.cost).abs() / source.cost.max(f64::MIN_POSITIVE);
        self.plans += 1;
        self.cost += usize::from(difference <= SAME_COST);
        self.shape += usize::from(source.shape == twin.shape);
        self.worst = self.worst.max(difference);
        if difference > SAME_COST || source.shape != twin.shape {
            let first: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(100).collect();
            eprintln!("  differs: {:.2} on the server, {:.2} on the twin: {first}", source.cost, twin.cost);
            if source.shape != twin.shape {
                eprintln!("    server: {}\n    twin:   {}", source.shape, twin.shape);
            }
        }
    }

    fn print(&self, name: &str) {
        let share = |count: usize| count as f64 / self.plans.max(1) as f64 * 100.0;
        println!(
            "| {name} | {} | {:.1} % | {:.1} % | {:.2} % | {} |",
            self.plans,
            share(self.cost),
            share(self.shape),
            self.worst * 100.0,
            self.skipped
        );
    }
}

pub(crate) fn run(options: &Options, sources: &Sources) -> Result<()> {
    println!("\n## Fidelity: the twin's plans beside the server's\n");
    println!("| workload | plans | cost within 1 % | same shape | largest difference | not planned |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, database, statements) in sources.workloads()? {
        let (mut snapshot, client) = sources.snapshot(database)?;
        snapshot.statements = statements;
        snapshot.statement_source = StatementSource::File { paths: Vec::new() };
        let mut twin = Twin::start(&snapshot, &twin::Options { binaries: options.binaries.clone(), workers: 2, time_max: None })?;
        let (mut plain, mut hidden) = (Tally::default(), Tally::default());
        for query in workload::read(&snapshot).queries {
            let Ok(texts) = twin.texts(&query) else {
                plain.skipped += 1;
                continue;
            };
            for (_, text) in texts {
                let Some(own) = compare(sources, &client, &mut twin, &query.search_path, &text, &[], &mut plain)? else { continue };
                for index in used(&snapshot, &own) {
                    compare(sources, &client, &mut twin, &query.search_path, &text, &[index], &mut hidden)?;
                }
            }
        }
        plain.print(name);
        hidden.print(&format!("{name}, a used index hidden"));
        for object in twin.unmodelled() {
            eprintln!("  not modelled: {object:?}");
        }
    }
    Ok(())
}

/// Explains one text on both sides.
fn compare(
    sources: &Sources,
    client: &Client,
    twin: &mut Twin,
    search_path: &str,
    text: &str,
    hidden: &[Oid],
    tally: &mut Tally,
) -> Result<Option<Explained>> {
    let source = match sources.explain(client, search_path, text, hidden) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("  the server does not plan it: {error}: {text:.100}");
            tally.skipped += 1;
            return Ok(None);
        }
    };
    let configuration = Configuration { hidden: hidden.iter().copied().collect(), ..Configuration::default() };
    match twin.explain(text, search_path, &configuration) {
        Ok(own) => tally.add(text, &source, &own),
        Err(refusal) => {
            eprintln!("  the twin does not plan it: {refusal}");
            tally.skipped += 1;
            return Ok(None);
        }
    }
    Ok(Some(source))
}

/// Returns the existing indexes a plan uses.
fn used(snapshot: &Snapshot, plan: &Explained) -> Vec<Oid> {
    snapshot
        .indexes
        .iter()
        .filter(|index| plan.indexes.contains(&(index.name.schema.clone(), index.name.name.clone())))
        .map(|index| index.oid)
        .collect()
}
