//! Proposals about indexes that exist: to drop those nobody would miss, to rebuild those that are mostly air.

use std::collections::{BTreeMap, BTreeSet};

use crate::advisor::candidate::{Candidate, CandidateKey};
use crate::advisor::cost::CostModel;
use crate::advisor::proposal::{Action, Confidence, Coverage, NewStatistics, Proposal, Refused, StatementEffect, WriteCost};
use crate::advisor::selection::drops::{Grounds, Missed, Reason, Removal, removals};
use crate::catalog::{Index, Oid, StatementSource, Table, TableKind};
use crate::diff::Diff;
use crate::findings::cover::{Cover, KeyView};
use crate::findings::window::Window;
use crate::units::{Bytes, grouped};

use super::explain::{Explain, fresh};

/// The most bytes of an identifier.
const NAME_BYTES_MAX: usize = 63;
/// 10 MiB: below it a rebuild frees too little to be worth one.
const REBUILD_BYTES_MIN: u64 = 10 << 20;
/// An index whose rebuilt size is less than this share of its own is mostly air.
const REBUILT_SHARE_MAX: f64 = 0.5;

/// Returns proposals to drop and to rebuild, the largest first, and the covered indexes that had better stay.
pub(super) fn propose<M: CostModel + ?Sized>(
    explain: &mut Explain<'_, '_, '_, M>,
    creations: &[(usize, Proposal)],
    coverage: &Coverage,
) -> (Vec<Proposal>, Vec<Refused>) {
    let superseded = superseded(explain, creations);
    let grounds = Grounds {
        relations: explain.relations,
        superseded: &superseded,
        exec_time_share: coverage.exec_time_share,
        planner: explain.confidence == Confidence::High,
        planned: explain.planned,
    };
    let (going, missed) = removals(explain.prices, &explain.chosen, &grounds);
    let gone: BTreeSet<Oid> = going.iter().map(|removal| removal.index.oid).collect();
    let mut proposals: Vec<Proposal> = going.iter().map(|removal| dropped(explain, removal, coverage)).collect();
    let indexes = explain.relations.snapshot.indexes.iter().filter(|index| !gone.contains(&index.oid));
    proposals.extend(indexes.filter_map(|index| rebuilt(explain, index)).collect::<Vec<_>>());
    proposals
        .sort_by(|a, b| (a.action as u8).cmp(&(b.action as u8)).then(b.size_bytes.cmp(&a.size_bytes)).then_with(|| a.name.cmp(&b.name)));
    (proposals, missed.iter().map(|missed| kept(explain, missed)).collect())
}

/// Says why a covered index is not proposed to be dropped.
fn kept<M: CostModel + ?Sized>(explain: &Explain<'_, '_, '_, M>, missed: &Missed<'_>) -> Refused {
    let Diff { before, after } = missed.cost;
    let text = explain.queries[missed.query].text.split_whitespace().collect::<Vec<_>>().join(" ");
    Refused {
        candidate: format!("drop of {}", missed.index.name),
        reason: format!(
            "a statement would get slower: {} covers it, but {text} would cost {:.0} % more without it ({before:.1} → {after:.1})",
            missed.by.name.name,
            (after / before - 1.0) * 100.0,
        ),
        keeps: Some(missed.index.name.clone()),
    }
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
    let risks = risks(explain, removal, coverage, &effects.statements);
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
        risks,
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
fn risks<M: CostModel + ?Sized>(
    explain: &Explain<'_, '_, '_, M>,
    removal: &Removal<'_>,
    coverage: &Coverage,
    statements: &[StatementEffect],
) -> Vec<String> {
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
    let more = statements.iter().filter_map(|effect| effect.cost.ratio()).filter(|ratio| *ratio > 1.0).map(|ratio| (ratio - 1.0) * 100.0);
    match (more.clone().count(), more.fold(0.0, f64::max)) {
        (0, _) => {}
        (1, most) => risks.push(format!("1 statement would cost {most:.1} % more.")),
        (count, most) => risks.push(format!("{count} statements would cost up to {most:.1} % more.")),
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

#[cfg(test)]
mod tests {
    use super::super::advise;
    use crate::advisor::{Action, Advice, Budget, Confidence, PriceTable, sample};
    use crate::catalog::{Constraint, ConstraintKind, ForeignKey, Index, IndexUsage, KeyTarget, Node, QualifiedName, Snapshot};

    const MINE: &str = "select * from prospects where user_id = $1";
    const BUDGET: Budget = Budget { size_max: None, indexes_per_table_max: None, width_max: 2, gain_min: 0.05, write_overhead_max: None };

    fn day(days: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(days * 86_400).unwrap()
    }

    /// A hundred days of statistics, prospects read, and one index with that many scans.
    fn seen(scans: u64) -> Snapshot {
        let mut snapshot = sample::crm_running(&[(MINE, 100)]);
        (snapshot.taken_at, snapshot.server.stats_reset_at) = (day(100), Some(day(0)));
        snapshot.tables[1].usage.index_scans = 50;
        let usage = IndexUsage { scans, ..IndexUsage::default() };
        snapshot.indexes.push(Index { usage, ..sample::index(30, 2, "prospects_email", &["email"]) });
        snapshot
    }

    fn planner() -> PriceTable {
        PriceTable { trust: Some(Confidence::High), ..PriceTable::default().bare(MINE, 1_000.0) }
    }

    fn advised(snapshot: &Snapshot, table: &PriceTable) -> Advice {
        advise(snapshot, &mut table.clone(), &BUDGET)
    }

    fn dropped(snapshot: &Snapshot, table: &PriceTable) -> Vec<String> {
        let drops = advised(snapshot, table).proposals.into_iter().filter(|proposal| proposal.action == Action::Drop);
        drops.map(|proposal| proposal.name).collect()
    }

    #[test]
    fn an_index_without_a_scan_in_a_long_window_may_go() {
        let advice = advised(&seen(0), &planner());
        let [proposal] = advice.proposals.as_slice() else { panic!("{advice:#?}") };
        assert_eq!((proposal.action, proposal.existing, proposal.confidence), (Action::Drop, Some(30), Confidence::High));
        assert_eq!((proposal.size_bytes.0, proposal.statements.len()), (4 << 20, 0));
        assert!(proposal.risks[0].starts_with("It had no scan in the 100 days"), "{:?}", proposal.risks);
        assert!(proposal.risks[1].starts_with("Replicas were not seen"), "{:?}", proposal.risks);
    }

    #[test]
    fn a_short_window_or_a_scan_on_another_node_proves_use() {
        let mut short = seen(0);
        short.server.stats_reset_at = Some(day(70));
        assert!(dropped(&short, &planner()).is_empty());
        let node = |scans, since| Node {
            name: "replica:5432".into(),
            in_recovery: true,
            taken_at: day(100),
            stats_reset_at: Some(day(since)),
            started_at: None,
            indexes: vec![(QualifiedName::new("public", "prospects_email"), IndexUsage { scans, ..IndexUsage::default() })],
            tables: Vec::new(),
        };
        let with = |node| Snapshot { nodes: vec![node], ..seen(0) };
        let table = PriceTable { trust: None, ..planner() };
        assert!(dropped(&with(node(3, 0)), &table).is_empty());
        assert!(dropped(&with(node(0, 90)), &table).is_empty());
        assert_eq!(dropped(&with(node(0, 0)), &table), ["prospects_email"]);
    }

    #[test]
    fn a_scanned_index_goes_only_when_a_planner_does_as_well_without() {
        assert_eq!(dropped(&seen(9), &planner()), ["prospects_email"]);
        assert!(dropped(&seen(9), &planner().with_existing(MINE, 30, 990.0)).is_empty());
        assert!(dropped(&seen(9), &PriceTable { trust: None, ..planner() }).is_empty(), "arithmetic proves nothing");
        let mut uncovered = seen(9);
        uncovered.statements.push(sample::statement(7, "select from where", 1, 1, 50.0));
        assert!(dropped(&uncovered, &planner()).is_empty());
        let advice = advised(&seen(9), &planner());
        assert_eq!(advice.proposals[0].confidence, Confidence::Medium);
    }

    #[test]
    fn a_statement_that_would_be_slower_keeps_even_an_unscanned_index() {
        assert!(dropped(&seen(0), &planner().with_existing(MINE, 30, 10.0)).is_empty());
    }

    #[test]
    fn of_two_that_replace_each_other_one_stays() {
        let mut snapshot = seen(9);
        snapshot
            .indexes
            .push(Index { usage: IndexUsage { scans: 9, ..IndexUsage::default() }, ..sample::index(31, 2, "prospects_score", &["score"]) });
        let table = planner().with_existing(MINE, 30, 10.0).with_existing(MINE, 31, 10.0);
        assert_eq!(dropped(&snapshot, &table).len(), 1);
    }

    #[test]
    fn a_covered_index_goes_and_its_cover_stays() {
        let mut snapshot = seen(0);
        snapshot.indexes.push(sample::index(31, 2, "prospects_email_status", &["email", "status"]));
        let advice = advised(&snapshot, &planner());
        let names: Vec<&str> = advice.proposals.iter().map(|proposal| proposal.name.as_str()).collect();
        assert_eq!(names, ["prospects_email"], "the cover has no scan either, but is needed now");
        assert_eq!(advice.proposals[0].risks, ["prospects_email_status serves the same scans and stays."]);
    }

    #[test]
    fn what_something_besides_queries_needs_stays() {
        let vetoes: [fn(&mut Index); 6] = [
            |index| index.unique = true,
            |index| index.constraint = Some("c".into()),
            |index| index.replica_identity = true,
            |index| index.extension = Some("postgis".into()),
            |index| index.parent = Some(999),
            |index| index.size_bytes = 1 << 19,
        ];
        for veto in vetoes {
            let mut snapshot = seen(0);
            veto(snapshot.indexes.last_mut().unwrap());
            assert!(dropped(&snapshot, &planner()).is_empty(), "{:?}", snapshot.indexes.last());
        }
    }

    #[test]
    fn a_foreign_key_keeps_the_last_index_that_serves_it() {
        let foreign = ForeignKey {
            table: 1,
            table_name: QualifiedName::new("public", "users"),
            columns: vec!["email".into()],
            on_delete: "c".into(),
            on_update: "a".into(),
        };
        let constraint = Constraint {
            oid: 77,
            name: "prospects_email_fkey".into(),
            table: 2,
            kind: ConstraintKind::Foreign,
            columns: vec!["email".into()],
            definition: String::new(),
            parent: None,
            foreign: Some(foreign),
        };
        let mut snapshot = Snapshot { constraints: vec![constraint], ..seen(0) };
        assert!(dropped(&snapshot, &planner()).is_empty());
        let other = sample::index(31, 2, "prospects_email_status", &["email", "status"]);
        snapshot.indexes.push(Index { predicate: None, included: vec!["score".into()], ..other });
        assert_eq!(dropped(&snapshot, &planner()), ["prospects_email"], "the other one serves it");
    }

    #[test]
    fn expression_statistics_get_a_new_home() {
        let mut snapshot = seen(0);
        let index = snapshot.indexes.last_mut().unwrap();
        index.keys[0].target = KeyTarget::Expression("lower(email)".into());
        index.expression_statistics = vec![Some(crate::catalog::ColumnStatistics::default())];
        let advice = advised(&snapshot, &planner());
        let statistics = &advice.proposals[0].statistics;
        assert_eq!((statistics[0].name.as_str(), statistics[0].on.as_str()), ("prospects_email_stats", "(lower(email))"));
        snapshot.server.version_num = 130_012;
        assert!(dropped(&snapshot, &planner()).is_empty(), "13 cannot keep the statistics");
    }

    #[test]
    fn a_superseded_index_goes_after_the_one_that_covers_it() {
        let mut snapshot = seen(9);
        snapshot.indexes.push(Index {
            usage: IndexUsage { scans: 9, ..IndexUsage::default() },
            ..sample::index(31, 2, "prospects_user", &["user_id"])
        });
        let both = "select * from prospects where user_id = $1 and score = $2";
        snapshot.statements = vec![sample::statement(1, both, 100, 100, 100.0)];
        let table = PriceTable::default().bare(both, 1_000.0).with_existing(both, 31, 500.0).with(both, "prospects (user_id, score)", 10.0);
        let advice = advised(&snapshot, &table);
        let actions: Vec<(Action, &str)> = advice.proposals.iter().map(|proposal| (proposal.action, proposal.name.as_str())).collect();
        assert_eq!(actions, [(Action::Create, "idx_prospects_user_id_score"), (Action::Drop, "prospects_user")]);
        assert_eq!(advice.proposals[1].risks[0], "Apply only after idx_prospects_user_id_score is built and seen in use.");
        assert!(advice.proposals[1].write_cost.cost <= 0.0);
    }

    #[test]
    fn an_index_that_is_mostly_air_is_rebuilt() {
        let mut snapshot = seen(9);
        snapshot.indexes.last_mut().unwrap().size_bytes = 64 << 20;
        let table = planner().with_existing(MINE, 30, 10.0).sized("prospects (email)", crate::units::Bytes(20 << 20));
        let advice = advised(&snapshot, &table);
        assert_eq!((advice.proposals[0].action, advice.proposals[0].size_bytes.0), (Action::Reindex, 20 << 20));
        assert!(advised(&snapshot, &table.sized("prospects (email)", crate::units::Bytes(40 << 20))).proposals.is_empty());
    }
}
