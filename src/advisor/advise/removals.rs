//! Proposals about indexes that exist: to drop those nobody would miss, to rebuild those that are mostly air.

use std::collections::{BTreeMap, BTreeSet};

use crate::advisor::candidate::{Candidate, CandidateKey};
use crate::advisor::cost::CostModel;
use crate::advisor::proposal::{Action, Confidence, Coverage, NewStatistics, Proposal, WriteCost};
use crate::advisor::selection::drops::{Grounds, Reason, Removal, removals};
use crate::catalog::{Index, Oid, StatementSource, Table, TableKind};
use crate::diff::Diff;
use crate::findings::cover::{Cover, Definition, KeyView};
use crate::findings::window::Window;
use crate::units::{Bytes, grouped};

use super::explain::{Explain, fresh};

/// The most bytes of an identifier.
const NAME_BYTES_MAX: usize = 63;
/// 10 MiB: below it a rebuild frees too little to be worth one.
const REBUILD_BYTES_MIN: u64 = 10 << 20;
/// An index whose rebuilt size is less than this share of its own is mostly air.
const REBUILT_SHARE_MAX: f64 = 0.5;

/// Returns proposals to drop and to rebuild, the largest first.
pub(super) fn propose<M: CostModel + ?Sized>(
    explain: &mut Explain<'_, '_, '_, M>,
    creations: &[(usize, Proposal)],
    coverage: &Coverage,
) -> Vec<Proposal> {
    let superseded = superseded(explain, creations);
    let grounds = Grounds {
        relations: explain.relations,
        superseded: &superseded,
        exec_time_share: coverage.exec_time_share,
        planner: explain.confidence == Confidence::High,
        planned: explain.planned,
    };
    let going = removals(explain.prices, &explain.chosen, &grounds);
    let gone: BTreeSet<Oid> = going.iter().map(|removal| removal.index.oid).collect();
    let mut proposals: Vec<Proposal> = going.iter().map(|removal| dropped(explain, removal, coverage)).collect();
    let indexes = explain.relations.snapshot.indexes.iter().filter(|index| !gone.contains(&index.oid));
    proposals.extend(indexes.filter_map(|index| rebuilt(explain, index)).collect::<Vec<_>>());
    proposals
        .sort_by(|a, b| (a.action as u8).cmp(&(b.action as u8)).then(b.size_bytes.cmp(&a.size_bytes)).then_with(|| a.name.cmp(&b.name)));
    proposals
}

/// Returns the existing indexes that a proposed one covers, with that one's name.
fn superseded<M: CostModel + ?Sized>(explain: &Explain<'_, '_, '_, M>, creations: &[(usize, Proposal)]) -> BTreeMap<Oid, String> {
    let mut superseded = BTreeMap::new();
    for (_, creation) in creations {
        for index in explain.relations.indexes_of(creation.index.table) {
            if creation.supersedes.contains(&index.name.name) {
                superseded.entry(index.oid).or_insert_with(|| creation.name.clone());
            }
        }
    }
    superseded
}

/// Explains a drop.
fn dropped<M: CostModel + ?Sized>(explain: &mut Explain<'_, '_, '_, M>, removal: &Removal<'_>, coverage: &Coverage) -> Proposal {
    let (index, table) = (removal.index, removal.table);
    let candidate = of_index(index, table);
    let mut hidden = explain.chosen.clone();
    let item = explain.prices.existing.iter().position(|oid| *oid == index.oid).map(|at| explain.prices.candidates.len() + at);
    let effects = item.map(|item| {
        hidden[item] = false;
        explain.effects(item, &explain.chosen.clone(), &hidden)
    });
    let effects = effects.unwrap_or_default();
    let spared = explain.writes.burden(&candidate).cost;
    let write_cost = WriteCost { cost: -spared.cost, hot_updates_lost: 0, ..spared };
    let confidence = match &removal.reason {
        Reason::Covered { cover: Cover::Exact | Cover::Covered, .. } | Reason::Unused => Confidence::High,
        Reason::Needless if !Window::of(explain.relations.snapshot).long_enough() => Confidence::Low,
        Reason::Covered { .. } | Reason::Superseded { .. } | Reason::Needless => Confidence::Medium,
    };
    Proposal {
        action: Action::Drop,
        name: index.name.name.clone(),
        index: candidate,
        size_bytes: Bytes(removal.size_bytes),
        workload_cost: Diff { before: explain.total, after: explain.total - effects.gained },
        expected_ms: explain.expected_ms(effects.gained_ms),
        statements: effects.statements,
        build_ms: None,
        write_cost,
        hot_loss: 0,
        supersedes: Vec::new(),
        existing: Some(index.oid),
        statistics: statistics(explain, removal),
        confidence,
        risks: risks(explain, removal, coverage),
    }
}

/// Returns the statistics to create so that the planner keeps what it knew of the index's expressions.
fn statistics<M: CostModel + ?Sized>(explain: &Explain<'_, '_, '_, M>, removal: &Removal<'_>) -> Vec<NewStatistics> {
    let taken = |name: &str| {
        let known = explain.relations.snapshot.extended_statistics.iter();
        known.into_iter().any(|known| known.name.schema == removal.table.name.schema && known.name.name == name)
    };
    let mut numbers = 1..;
    let name = |_: &&str| loop {
        let number = numbers.next().unwrap_or(u32::MAX);
        let ending = if number == 1 { "_stats".to_owned() } else { format!("_stats{number}") };
        let mut end = removal.index.name.name.len().min(NAME_BYTES_MAX - ending.len());
        while !removal.index.name.name.is_char_boundary(end) {
            end -= 1;
        }
        let name = format!("{}{ending}", &removal.index.name.name[..end]);
        if !taken(&name) {
            return name;
        }
    };
    let names: Vec<String> = removal.expressions.iter().map(name).collect();
    let on = removal.expressions.iter().map(|expression| format!("({expression})"));
    names.into_iter().zip(on).map(|(name, on)| NewStatistics { name, on, table: removal.table.name.clone() }).collect()
}

/// Returns why the index may go, then what speaks against it.
fn risks<M: CostModel + ?Sized>(explain: &Explain<'_, '_, '_, M>, removal: &Removal<'_>, coverage: &Coverage) -> Vec<String> {
    let snapshot = explain.relations.snapshot;
    let (window, mut risks) = (Window::of(snapshot), Vec::new());
    match &removal.reason {
        Reason::Covered { by, cover: Cover::Exact } => risks.push(format!("{} has the same definition and stays.", by.name.name)),
        Reason::Covered { by, cover: Cover::Covered } => risks.push(format!("{} serves the same scans and stays.", by.name.name)),
        Reason::Covered { by, cover: Cover::CoveredMuchWider } => {
            risks.push(format!("{} serves the same scans and stays, but is much wider: scans read more pages.", by.name.name));
        }
        Reason::Superseded { by } => risks.push(format!("Apply only after {by} is built and seen in use.")),
        Reason::Unused => risks.push(format!("It had no scan in {window}; what runs less often was not seen.")),
        Reason::Needless => risks.push(format!(
            "It had {} scans in {window}, but with it hidden the planner finds plans for every recorded statement that cost no more.",
            grouped(removal.scans)
        )),
    }
    let by_use = matches!(removal.reason, Reason::Unused | Reason::Needless);
    if by_use && snapshot.nodes.is_empty() {
        risks.push("Replicas were not seen: they count their own scans.".to_owned());
    }
    if matches!(removal.reason, Reason::Needless) {
        if let Some(share) = coverage.exec_time_share.filter(|share| *share < 0.9995) {
            risks.push(format!("Statements with {:.1} % of the execution time could not be priced without it.", (1.0 - share) * 100.0));
        }
        if let StatementSource::Available { evicted: evicted @ 1.., .. } = snapshot.statement_source {
            risks.push(format!("{} statements were evicted from pg_stat_statements and not seen.", grouped(evicted)));
        }
    }
    if !removal.expressions.is_empty() {
        risks.push(
            "The planner uses the statistics of its expression also where it does not scan it: create those proposed first.".to_owned(),
        );
    }
    if removal.index.clustered {
        risks.push("CLUSTER remembers this index.".to_owned());
    }
    risks
}

/// Returns the proposal to rebuild an index of plain columns that is mostly air.
fn rebuilt<M: CostModel + ?Sized>(explain: &mut Explain<'_, '_, '_, M>, index: &Index) -> Option<Proposal> {
    let table = explain.relations.table(index.table)?;
    let facts = explain.facts.get(&index.table)?;
    let candidate = of_index(index, table);
    let plain = index.access_method == "btree" && index.predicate.is_none() && index.keys.iter().all(|key| key.target.column().is_some());
    let plain = plain && !index.options.iter().any(|option| option.starts_with("fillfactor") || option.starts_with("deduplicate"));
    let storage = table.kind != TableKind::Partitioned && table.extension.is_none() && table.persistence != "t";
    if !(plain && storage && index.usable() && !index.building && index.size_bytes >= REBUILD_BYTES_MIN && fresh(facts, &candidate)) {
        return None;
    }
    let size = explain.prices.size_of(&candidate);
    if size.0 == 0 || size.0 as f64 >= index.size_bytes as f64 * REBUILT_SHARE_MAX {
        return None;
    }
    let air = 100.0 * (1.0 - size.0 as f64 / index.size_bytes as f64);
    Some(Proposal {
        action: Action::Reindex,
        name: index.name.name.clone(),
        index: candidate,
        size_bytes: size,
        workload_cost: Diff { before: explain.total, after: explain.total },
        expected_ms: None,
        statements: Vec::new(),
        build_ms: None,
        write_cost: WriteCost::default(),
        hot_loss: 0,
        supersedes: Vec::new(),
        existing: Some(index.oid),
        statistics: Vec::new(),
        confidence: Confidence::Medium,
        risks: vec![format!("It takes {}, about {air:.0} % of it air; the size after a rebuild is an estimate.", Bytes(index.size_bytes))],
    })
}

/// Describes an existing index as a candidate: what is the default of its column is left out.
pub(super) fn of_index(index: &Index, table: &Table) -> Candidate {
    let keys = index.keys.iter().map(|key| {
        let column = key.target.column().and_then(|name| table.column(name));
        let own = column.and_then(|column| KeyView::on_column(&key.target, column).collation);
        CandidateKey {
            target: key.target.clone(),
            descending: key.descending,
            nulls_first: key.nulls_first,
            opclass: (!key.opclass_is_default).then(|| key.opclass.clone()),
            collation: KeyView::of(key).collation.filter(|collation| Some(*collation) != own).map(str::to_owned),
        }
    });
    Candidate {
        table: index.table,
        table_name: table.name.clone(),
        method: index.access_method.clone(),
        keys: keys.collect(),
        included: index.included.clone(),
        predicate: index.predicate.clone(),
    }
}

/// Views a candidate as a definition that can be compared with existing ones.
pub(super) fn definition<'d>(candidate: &'d Candidate, table: &'d Table, size: Option<Bytes>) -> Definition<'d> {
    let keys = candidate.keys.iter().map(|key| {
        let column = key.target.column().and_then(|name| table.column(name));
        let own = column.and_then(|column| KeyView::on_column(&key.target, column).collation);
        KeyView {
            target: &key.target,
            opclass: key.opclass.as_deref(),
            collation: key.collation.as_deref().or(own),
            descending: key.descending,
            nulls_first: key.nulls_first,
        }
    });
    Definition {
        table: candidate.table,
        access_method: &candidate.method,
        keys: keys.collect(),
        included: &candidate.included,
        predicate: candidate.predicate.as_deref(),
        options: &[],
        size_bytes: size.map(|size| size.0),
    }
}
