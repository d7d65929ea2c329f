//! What a chosen index does, in numbers and sentences.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::advisor::candidate::Candidate;
use crate::advisor::cost::CostModel;
use crate::advisor::definition::supersedes;
use crate::advisor::facts::Facts;
use crate::advisor::prices::Prices;
use crate::advisor::proposal::{Action, Confidence, Proposal, StatementEffect};
use crate::advisor::query::Query;
use crate::advisor::write_cost::Writes;
use crate::advisor::{candidates, size};
use crate::catalog::{Oid, Relations, TableKind};
use crate::diff::Diff;

/// The share of a table's rows that may have changed since ANALYZE before its statistics count as old.
const STALE_SHARE: f64 = 0.2;

/// A chosen set, and all that is needed to say what its members do.
pub(super) struct Explain<'e, 'q, 'a, M: CostModel + ?Sized> {
    pub(super) prices: &'e mut Prices<'q, M>,
    pub(super) queries: &'e [Query],
    pub(super) relations: &'e Relations<'a>,
    pub(super) facts: &'e HashMap<Oid, Facts<'a>>,
    pub(super) writes: &'e Writes<'a, 'e>,
    pub(super) planned: &'e [usize],
    /// The chosen candidates and all existing indexes.
    pub(super) chosen: Vec<bool>,
    /// The workload's weighted cost under them.
    pub(super) total: f64,
    /// How far prices can be trusted.
    pub(super) confidence: Confidence,
}

/// What one index does to the statements.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Most gained first.
    pub(super) statements: Vec<StatementEffect>,
    /// Weighted cost gained.
    pub(super) gained: f64,
    /// Milliseconds gained over the recorded period, where times were recorded.
    pub(super) gained_ms: f64,
}

impl<'e, 'q, 'a, M: CostModel + ?Sized> Explain<'e, 'q, 'a, M> {
    #[expect(clippy::too_many_arguments, reason = "one place where the pipeline's parts meet")]
    pub(super) fn new(
        prices: &'e mut Prices<'q, M>,
        queries: &'e [Query],
        relations: &'e Relations<'a>,
        facts: &'e HashMap<Oid, Facts<'a>>,
        writes: &'e Writes<'a, 'e>,
        planned: &'e [usize],
        chosen: &BTreeSet<usize>,
        confidence: Confidence,
    ) -> Self {
        let chosen = prices.marks(chosen.iter().copied());
        let questions: Vec<_> = planned.iter().map(|query| prices.question(*query, &chosen)).collect();
        prices.fetch(questions);
        let total = planned.iter().map(|query| prices.cost(*query, &chosen) * prices.weight(*query)).sum();
        Self { prices, queries, relations, facts, writes, planned, chosen, total, confidence }
    }

    /// Explains a new index.
    pub(super) fn creation(&mut self, candidate: usize, name: String) -> Option<Proposal> {
        let index = Candidate::clone(&self.prices.candidates[candidate]);
        let facts = *self.facts.get(&index.table)?;
        let burden = self.writes.burden(&index);
        let mut without = self.chosen.clone();
        without[candidate] = false;
        let effects = self.effects(candidate, &without, &self.chosen.clone());
        let fresh = fresh(&facts, &index);
        let mut risks = burden.risks;
        risks.extend(candidates::risks(&index, &facts));
        risks.extend(risks_of(&facts, &index, fresh));
        Some(Proposal {
            action: Action::Create,
            name,
            size_bytes: self.prices.sizes[candidate],
            workload_cost: Diff { before: self.total + effects.gained, after: self.total },
            expected_ms: self.expected_ms(effects.gained_ms),
            build_ms: Some(size::build_ms(&facts, &index, self.prices.sizes[candidate])),
            write_cost: burden.cost,
            hot_loss: burden.hot_loss,
            supersedes: self.superseded(&index),
            existing: None,
            statistics: Vec::new(),
            confidence: if fresh { self.confidence } else { Confidence::Low },
            risks,
            statements: effects.statements,
            index,
        })
    }

    /// Returns what the difference of one index between two sets does to each statement.
    pub(super) fn effects(&mut self, index: usize, before: &[bool], after: &[bool]) -> Effects {
        let none = self.prices.marks([]);
        let served: Vec<usize> = self.prices.served[index].iter().copied().filter(|query| self.planned.contains(query)).collect();
        let asked: Vec<_> = served.iter().flat_map(|query| [before, after].map(|marks| self.prices.question(*query, marks))).collect();
        self.prices.fetch(asked);
        let mut effects = Effects::default();
        let mut statements: Vec<(f64, StatementEffect)> = Vec::new();
        for query in served {
            let cost = Diff { before: self.prices.cost(query, before), after: self.prices.cost(query, after) };
            let gained = (cost.before - cost.after) * self.prices.weight(query);
            if gained == 0.0 || !gained.is_finite() {
                continue;
            }
            let Query { query_id, text, calls, exec_ms_total, .. } = &self.queries[query];
            let mean_ms = (*exec_ms_total > 0.0 && *calls > 0).then(|| exec_ms_total / *calls as f64);
            let ms = mean_ms.zip(cost.ratio()).map(|(mean, ratio)| Diff { before: mean, after: mean * ratio });
            let bare = self.prices.cost(query, &none);
            if bare > 0.0 {
                effects.gained_ms += exec_ms_total * (cost.before - cost.after) / bare;
            }
            effects.gained += gained;
            let (query_id, query) = (query_id.clone().unwrap_or_default(), text.clone());
            statements.push((gained, StatementEffect { query_id, query, calls: *calls, cost, ms }));
        }
        statements.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.query.cmp(&other.query)));
        effects.statements = statements.into_iter().map(|(_, effect)| effect).collect();
        effects
    }

    /// Returns the priced statements' recorded time, and what would remain of it.
    pub(super) fn expected_ms(&self, gained_ms: f64) -> Option<Diff<f64>> {
        let before: f64 = self.planned.iter().map(|query| self.queries[*query].exec_ms_total).sum();
        (before > 0.0).then(|| Diff { before, after: (before - gained_ms).max(0.0) })
    }

    /// Says how many of the chosen plans' costs may differ from the server's, by reason.
    pub(super) fn approximate(&mut self) -> Vec<String> {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for query in self.planned {
            if let Some(reason) = self.prices.plan(*query, &self.chosen).ok().and_then(|plan| plan.approximate.clone()) {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        let sentence = |(reason, count): (String, usize)| match count {
            1 => format!("The cost of 1 statement is approximate: {reason}."),
            count => format!("The costs of {count} statements are approximate: {reason}."),
        };
        reasons.into_iter().map(sentence).collect()
    }

    /// Returns the existing indexes that the new one makes redundant, by name.
    fn superseded(&self, index: &Candidate) -> Vec<String> {
        let Some(facts) = self.facts.get(&index.table) else { return Vec::new() };
        let existing = self.relations.indexes_of(index.table).iter();
        let goes = |old: &&&crate::catalog::Index| supersedes(index, old, facts);
        existing.filter(goes).map(|old| old.name.name.clone()).collect()
    }
}

/// Returns whether every key's statistics exist and are not older than much of the table.
pub(super) fn fresh(facts: &Facts<'_>, index: &Candidate) -> bool {
    let known =
        |name: &str| facts.table.column(name).is_some_and(|column| column.statistics.is_some() || column.statistics_inherited.is_some());
    index.leading_columns().all(known) && facts.table.usage.modified_since_analyze as f64 <= facts.rows * STALE_SHARE
}

fn risks_of(facts: &Facts<'_>, index: &Candidate, fresh: bool) -> Vec<String> {
    let mut risks = Vec::new();
    if !fresh {
        risks.push(format!("Statistics of {} are missing or old: run ANALYZE {} and ask again.", index.table_name.name, index.table_name));
    }
    if facts.table.kind == TableKind::Partitioned {
        risks.push(format!("{} is partitioned: the index has to be built on each partition and attached.", index.table_name.name));
    }
    risks
}
