//! Which existing indexes nobody would miss.
//!
//! An index goes when its definition is covered by one that stays, or when hiding it from the planner makes no recorded
//! statement dearer and its use allows it. All that go are hidden together before the answer is given. One that is covered
//! and stays all the same, since a statement would miss it, is told with that statement.

use std::collections::{BTreeMap, BTreeSet};

use crate::advisor::cost::CostModel;
use crate::advisor::prices::Prices;
use crate::catalog::{Index, KeyTarget, Oid, Relations, StatementSource, Table, TableKind};
use crate::diff::Diff;
use crate::findings::cover::Cover;
use crate::findings::foreign_keys::{served, serves};
use crate::findings::redundancy::{Spare, is_bound, spares};
use crate::findings::usage::Everywhere;
use crate::findings::window::Window;

/// 1 MiB: dropping less is not worth the doubt.
const SMALL_BYTES: u64 = 1 << 20;
/// Without an index no statement may be dearer than this, times what it is: rounding.
const DEARER_MAX: f64 = 1.001;
/// Without an index that a wider one covers no statement may be dearer than this: the wider one has more pages to read.
const DEARER_COVERED_MAX: f64 = 1.10;
/// Statements have to cover this share of execution time before "no statement needs it" says something.
const COVERAGE_MIN: f64 = 0.95;
/// `CREATE STATISTICS` on an expression came with this version.
const EXPRESSION_STATISTICS_MAJOR: u32 = 14;

/// Why an index may go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reason<'a> {
    /// An existing index that stays covers it.
    Covered { by: &'a Index, cover: Cover },
    /// An index that is proposed covers it.
    Superseded { by: String },
    /// No scan on any node in a long window.
    Unused,
    /// Scanned, but the planner does as well without it.
    Needless,
}

/// An index that may go.
#[derive(Debug, Clone)]
pub(crate) struct Removal<'a> {
    pub(crate) index: &'a Index,
    pub(crate) table: &'a Table,
    pub(crate) reason: Reason<'a>,
    /// Expressions whose statistics would go with it.
    pub(crate) expressions: Vec<&'a str>,
    /// Bytes freed, partitions included.
    pub(crate) size_bytes: u64,
    /// Scans on all nodes.
    pub(crate) scans: u64,
}

/// A covered index that stays: a statement would miss it.
#[derive(Debug, Clone)]
pub(crate) struct Missed<'a> {
    pub(crate) index: &'a Index,
    pub(crate) by: &'a Index,
    /// The statement that would lose most, by number, and its cost with and without.
    pub(crate) query: usize,
    pub(crate) cost: Diff<f64>,
}

/// What removals are decided on.
pub(crate) struct Grounds<'d, 'a> {
    pub(crate) relations: &'d Relations<'a>,
    /// Indexes that a proposed one covers, with its name.
    pub(crate) superseded: &'d BTreeMap<Oid, String>,
    /// The priced statements' share of execution time.
    pub(crate) exec_time_share: Option<f64>,
    /// Whether the prices are a planner's own.
    pub(crate) planner: bool,
    pub(crate) planned: &'d [usize],
}

/// Returns the indexes that queries alone could need, in the snapshot's order.
pub(crate) fn removable<'a>(relations: &Relations<'a>) -> Vec<&'a Index> {
    let spare: BTreeSet<Oid> = spares(relations).iter().map(|spare| spare.index.oid).collect();
    let may_go = |index: &&Index| {
        let Some(table) = relations.table(index.table) else { return false };
        index.usable()
            && !is_bound(index)
            && (!index.unique || spare.contains(&index.oid))
            && table.extension.is_none()
            && table.persistence != "t"
            && (expressions(index).is_empty() || relations.snapshot.server.major() >= EXPRESSION_STATISTICS_MAJOR)
    };
    relations.snapshot.indexes.iter().filter(may_go).collect()
}

/// Returns the indexes that may all go together, given the chosen new ones, and the covered ones that are missed.
pub(crate) fn removals<'a, M: CostModel + ?Sized>(
    prices: &mut Prices<'_, M>,
    chosen: &[bool],
    grounds: &Grounds<'_, 'a>,
) -> (Vec<Removal<'a>>, Vec<Missed<'a>>) {
    let relations = grounds.relations;
    let everywhere = Everywhere::of(relations.snapshot);
    let spares = spares(relations);
    // Following two pieces of advice at once must not leave neither index of a pair.
    let needed: BTreeSet<Oid> = spares.iter().map(|spare| spare.kept.oid).collect();
    let mut open: Vec<Removal<'a>> = Vec::new();
    for oid in &prices.existing {
        let Some(index) = relations.snapshot.indexes.iter().find(|index| index.oid == *oid) else { continue };
        let Some(table) = relations.table(index.table) else { continue };
        let scans = everywhere.index(index).scans;
        let spare = spares.iter().find(|spare| spare.index.oid == index.oid);
        let Some(reason) = reason(index, table, spare, &everywhere, needed.contains(&index.oid), grounds) else { continue };
        let size_bytes = spare.map_or(index.size_bytes, |spare| spare.size_bytes);
        open.push(Removal { index, table, reason, expressions: expressions(index), size_bytes, scans });
    }
    open.sort_by_key(|removal| (removal.reason.rank(), std::cmp::Reverse(removal.size_bytes), removal.index.oid));
    let items: BTreeMap<Oid, usize> = prices.existing.iter().enumerate().map(|(at, oid)| (*oid, prices.candidates.len() + at)).collect();
    let mut hidden = chosen.to_vec();
    let mut going: BTreeSet<Oid> = BTreeSet::new();
    let (mut removals, mut missed) = (Vec::new(), Vec::new());
    for removal in open {
        let (oid, item) = (removal.index.oid, items[&removal.index.oid]);
        // What covers an index has to stay, whatever was decided of it since.
        let keeps_cover = match &removal.reason {
            Reason::Covered { by, .. } => !going.contains(&by.oid),
            _ => true,
        };
        if !keeps_cover || leaves_foreign_key(&removal, &going, relations) {
            continue;
        }
        hidden[item] = false;
        if let Some((query, cost)) = missing(prices, chosen, &hidden, item, removal.reason.dearer_max(), grounds.planned) {
            hidden[item] = true;
            if let Reason::Covered { by, .. } = removal.reason {
                missed.push(Missed { index: removal.index, by, query, cost });
            }
            continue;
        }
        going.insert(oid);
        removals.push(removal);
    }
    (removals, missed)
}

impl Reason<'_> {
    /// How many times as dear a statement may be without the index.
    fn dearer_max(&self) -> f64 {
        match self {
            Self::Covered { .. } | Self::Superseded { .. } => DEARER_COVERED_MAX,
            Self::Unused | Self::Needless => DEARER_MAX,
        }
    }

    /// The surest first.
    fn rank(&self) -> u8 {
        match self {
            Self::Covered { .. } => 0,
            Self::Unused => 1,
            Self::Superseded { .. } => 2,
            Self::Needless => 3,
        }
    }
}

/// Returns why an index may go; `None` when nothing speaks for it.
fn reason<'a>(
    index: &'a Index,
    table: &Table,
    spare: Option<&Spare<'a>>,
    everywhere: &Everywhere<'_>,
    needed: bool,
    grounds: &Grounds<'_, 'a>,
) -> Option<Reason<'a>> {
    if let Some(spare) = spare {
        return Some(Reason::Covered { by: spare.kept, cover: spare.cover });
    }
    if index.unique || needed {
        return None;
    }
    if let Some(by) = grounds.superseded.get(&index.oid) {
        return Some(Reason::Superseded { by: by.clone() });
    }
    // A partitioned index has no counters of its own.
    if index.size_bytes < SMALL_BYTES || table.kind == TableKind::Partitioned {
        return None;
    }
    let usage = everywhere.index(index);
    let snapshot = grounds.relations.snapshot;
    match usage.scans {
        // A monthly job has to have been seen on every node, and a table that nothing reads says nothing of how it is read.
        0 => {
            let seen = everywhere.primary_seen && usage.unread_nodes.is_empty() && Window::of_every_node(snapshot).long_enough();
            (seen && everywhere.table_scans(table) != (0, 0)).then_some(Reason::Unused)
        }
        // A file names the statements somebody thought of; that something else scans the index is on record.
        _ if matches!(snapshot.statement_source, StatementSource::File { .. }) => None,
        _ => {
            let covered = grounds.exec_time_share.is_some_and(|share| share >= COVERAGE_MIN);
            (covered && grounds.planner).then_some(Reason::Needless)
        }
    }
}

/// Returns whether a foreign key would be without the last index that finds its rows.
fn leaves_foreign_key(removal: &Removal<'_>, going: &BTreeSet<Oid>, relations: &Relations<'_>) -> bool {
    let (index, table) = (removal.index, removal.table);
    let others = || relations.indexes_of(table.oid).iter().filter(|other| other.oid != index.oid && !going.contains(&other.oid));
    let foreign = relations.constraints_of(table.oid).iter().filter(|constraint| constraint.foreign.is_some());
    foreign.map(|constraint| &constraint.columns).any(|columns| {
        let by_partitions = table.kind == TableKind::Partitioned && served(relations, table, columns, Some(index.oid));
        serves(index, table, columns) && !by_partitions && !others().any(|other| serves(other, table, columns))
    })
}

/// Returns the statement that loses most, when it loses more than it may with the index hidden, the others that go being
/// hidden too.
fn missing<M: CostModel + ?Sized>(
    prices: &mut Prices<'_, M>,
    chosen: &[bool],
    hidden: &[bool],
    item: usize,
    dearer_max: f64,
    planned: &[usize],
) -> Option<(usize, Diff<f64>)> {
    let served: Vec<usize> = prices.served[item].iter().copied().filter(|query| planned.contains(query)).collect();
    let questions: Vec<_> = served.iter().flat_map(|query| [chosen, hidden].map(|marks| prices.question(*query, marks))).collect();
    prices.fetch(questions);
    let mut cost = |query| Diff { before: prices.cost(query, chosen), after: prices.cost(query, hidden) };
    let too_dear = |(_, cost): &(usize, Diff<f64>)| cost.after > cost.before * dearer_max;
    let missed = served.into_iter().map(|query| (query, cost(query))).filter(too_dear);
    missed.max_by(|(one, a), (other, b)| (a.after / a.before).total_cmp(&(b.after / b.before)).then(other.cmp(one)))
}

/// Returns the expressions whose statistics the planner would lose with the index.
fn expressions(index: &Index) -> Vec<&str> {
    let expressions = index.keys.iter().filter_map(|key| match &key.target {
        KeyTarget::Expression(text) => Some(text.as_str()),
        KeyTarget::Column(_) => None,
    });
    expressions.zip(&index.expression_statistics).filter(|(_, statistics)| statistics.is_some()).map(|(text, _)| text).collect()
}
