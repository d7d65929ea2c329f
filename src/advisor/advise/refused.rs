//! Why the other candidates were not chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::advisor::candidate::{Candidate, label};
use crate::advisor::cost::CostModel;
use crate::advisor::prices::Prices;
use crate::advisor::proposal::{Proposal, Refused};
use crate::advisor::selection::{Selection, Task};
use crate::advisor::write_cost::Writes;
use crate::units::{Bytes, grouped};

/// What a candidate is worth alone.
#[derive(Debug, Clone, Copy)]
struct Alone {
    /// Weighted cost the statements gain.
    reads: f64,
    /// What writes pay.
    writes: f64,
}

/// Returns every candidate that was not chosen with the reason, the reasons found earliest first.
pub(super) fn refused<M: CostModel + ?Sized>(
    prices: &mut Prices<'_, M>,
    task: &Task<'_>,
    selection: &Selection,
    unpriced: &BTreeMap<Arc<Candidate>, String>,
    proposals: &[(usize, Proposal)],
    writes: &Writes<'_, '_>,
) -> Vec<Refused> {
    let mut refused: Vec<(u8, Refused)> = unpriced.iter().map(|(candidate, reason)| (0, Refused::new(label(candidate), reason))).collect();
    refused.extend(prices.refused.iter().map(|(candidate, refusal)| (0, Refused::new(label(candidate), &refusal.reason))));
    let proposed: BTreeMap<usize, &str> = proposals.iter().map(|(candidate, proposal)| (*candidate, proposal.name.as_str())).collect();
    let percent = |gain: f64| if selection.workload > 0.0 { gain / selection.workload * 100.0 } else { 0.0 };
    for at in (0..prices.candidates.len()).filter(|at| !selection.chosen.contains(at)) {
        let candidate = Arc::clone(&prices.candidates[at]);
        let wider = proposed.iter().find(|(other, _)| candidate.is_prefix_of(&prices.candidates[**other]));
        let alone = selection.kept.contains(&at).then(|| alone(prices, task, at));
        let beside = proposals.iter().any(|(_, proposal)| proposal.index.table == candidate.table);
        let (rank, reason) = match (wider, alone) {
            (Some((_, name)), _) => (3, format!("prefix of proposed {name}")),
            _ if selection.unbounded.contains(&at) => (1, over_budget(prices, task, selection, at)),
            (None, Some(alone)) if alone.reads > 0.0 && alone.writes >= alone.reads => (2, too_dear(&candidate, alone, writes)),
            (None, Some(alone)) if alone.reads <= 0.0 => {
                (4, "too little gain: alone it saves nothing, and what it adds to others is no more".to_owned())
            }
            (None, Some(alone)) => {
                let gain = percent(alone.reads - alone.writes);
                let beside = if beside { " beside the proposed indexes" } else { "" };
                (4, format!("too little gain{beside} ({gain:.1} % of the workload's cost alone)"))
            }
            (None, None) => (5, "no plan uses it: what exists or another candidate serves the statements better".to_owned()),
        };
        refused.push((rank, Refused::new(label(&candidate), reason)));
    }
    refused.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.candidate.cmp(&b.1.candidate)));
    refused.into_iter().map(|(_, refused)| refused).collect()
}

/// Says which limit a candidate would break beside the chosen ones.
fn over_budget<M: CostModel + ?Sized>(prices: &Prices<'_, M>, task: &Task<'_>, selection: &Selection, at: usize) -> String {
    let (candidate, size) = (&prices.candidates[at], prices.sizes[at]);
    let table = &candidate.table_name.name;
    if let Some(most) = task.budget.indexes_per_table_max {
        let existing = task.existing.get(&candidate.table).copied().unwrap_or_default();
        let proposed = selection.chosen.iter().filter(|other| prices.candidates[**other].table == candidate.table).count();
        if existing + proposed + 1 > most {
            let proposed = if proposed > 0 { format!(" and {proposed} proposed") } else { String::new() };
            return format!("over the budget: {table} has {existing} indexes{proposed}, and may have at most {most}");
        }
    }
    let taken: u64 = selection.chosen.iter().map(|other| prices.sizes[*other].0).sum();
    if let Some(Bytes(most)) = task.budget.size_max.filter(|most| taken.saturating_add(size.0) > most.0) {
        return format!(
            "over the budget: it would take {size}, and of {} all but {} is taken",
            Bytes(most),
            Bytes(most.saturating_sub(taken))
        );
    }
    if let Some(share) = task.budget.write_overhead_max {
        let percent = (share * 100_000.0).round() / 1_000.0;
        let cost = grouped(task.writes[at].round() as u64);
        return format!(
            "over the budget: writes would pay cost {cost} for it, and may pay at most {percent} % of the workload's cost for all"
        );
    }
    format!("over the budget (it would take {size})")
}

/// Prices a candidate alone.
fn alone<M: CostModel + ?Sized>(prices: &mut Prices<'_, M>, task: &Task<'_>, at: usize) -> Alone {
    let (none, one) = (prices.marks([]), prices.marks([at]));
    let served: Vec<usize> = prices.served[at].iter().copied().filter(|query| task.planned.contains(query)).collect();
    let questions: Vec<_> = served.iter().map(|query| prices.question(*query, &one)).collect();
    prices.fetch(questions);
    let gain = |query: &usize| (prices.cost(*query, &none) - prices.cost(*query, &one)) * prices.weight(*query);
    Alone { reads: served.iter().map(gain).sum(), writes: task.writes[at] }
}

/// Says by how much writes would pay more than the statements gain, and for what.
fn too_dear(candidate: &Candidate, alone: Alone, writes: &Writes<'_, '_>) -> String {
    let burden = writes.burden(candidate);
    let mut reason = format!(
        "writes would pay more than statements gain (cost {} against {}): {}",
        grouped(alone.writes.round() as u64),
        grouped(alone.reads.round() as u64),
        burden.sentence().trim_end_matches('.')
    );
    for risk in &burden.risks {
        reason.push_str(": ");
        reason.push_str(risk.trim_end_matches('.'));
    }
    reason
}
