//! The three numbers that matter after a change: what got faster, what was saved, what it costs.

use serde::Serialize;

use super::audit::ProposalEntry;
use super::content::change::{decisive, labels, metric_of};
use super::content::phrase::{change, counted, number, percent, times};
use super::{NamedComparison, Report};
use crate::advisor::Action;
use crate::diff::Diff;
use crate::replay::Run;
use crate::stats::{Comparison, Verdict};
use crate::units::Bytes;

/// The three numbers, and what got worse.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbers {
    /// The median speed-up at p95 (at p50 where too few calls give a p95) over the statements whose plan changed, as a factor: 3 is three times faster.
    pub faster: Number,
    /// The share of shared blocks that a call of the workload no longer touches, 0 to 1; negative when it touches more.
    pub saved: Number,
    /// The bytes new indexes take. Indexes proposed to be dropped are told, and not counted: that is a later migration.
    pub cost: Number,
    /// Statements that got slower beyond noise, a sentence each.
    pub slower: Vec<String>,
}

/// A number with its sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Number {
    /// The number itself; `None` where the data do not give it.
    pub value: Option<f64>,
    /// The number as people read it; a dash for none.
    pub display: String,
    /// What it says, or why there is none.
    pub sentence: String,
}

impl Numbers {
    /// Draws the numbers from a comparison, the run it started from and the proposals that were applied.
    ///
    /// The run gives the calls by which statements are weighted; without it each statement counts once.
    pub fn of(comparison: &Comparison, before: Option<&Run>, proposals: &[ProposalEntry]) -> Self {
        Self { faster: faster(comparison), saved: saved(comparison, before), cost: cost(proposals), slower: slower(comparison) }
    }

    /// Draws the numbers over all comparisons of a report together; `None` when it has none.
    pub fn over(report: &Report) -> Option<Self> {
        let (named, before) = together(report)?;
        let proposals = report.audit.as_ref().map_or(&[][..], |audit| &audit.proposals);
        Some(Self::of(&named.comparison, before.as_ref(), proposals))
    }
}

/// Puts a report's comparisons and the runs they started from together, as if they had been one workload.
///
/// Statement names are unique across the workloads of one report; quantities of all statements keep their workload apart
/// only by order, so nothing is drawn from them here.
pub fn together(report: &Report) -> Option<(NamedComparison, Option<Run>)> {
    let (first, rest) = report.comparisons.split_first()?;
    let mut all = first.clone();
    let mut before = report.run_of(&first.name, "before").cloned();
    for named in rest {
        all.comparison.metrics.extend(named.comparison.metrics.iter().cloned());
        all.comparison.exact.extend(named.comparison.exact.iter().cloned());
        if named.comparison.verdict != all.comparison.verdict {
            all.comparison.verdict = Verdict::Inconclusive;
        }
        if let (Some(all), Some(run)) = (&mut before, report.run_of(&named.name, "before")) {
            all.labels.extend(run.labels.clone());
        }
    }
    Some((all, before))
}

fn none(sentence: &str) -> Number {
    Number { value: None, display: "—".to_owned(), sentence: sentence.to_owned() }
}

fn faster(comparison: &Comparison) -> Number {
    let changed: Vec<&str> =
        comparison.exact.iter().filter(|exact| exact.plan_changed == Some(true)).map(|exact| exact.label.as_str()).collect();
    if changed.is_empty() {
        return none("No statement is known to have changed its plan.");
    }
    let at = |percentile: &'static str| {
        let measured = changed.iter().filter_map(move |label| {
            let metric = metric_of(comparison, label, percentile)?;
            let factor = Diff { before: metric.before?, after: metric.after? }.times_less()?;
            Some((factor, metric.verdict))
        });
        measured.filter(|(factor, _)| *factor > 0.0).collect::<Vec<(f64, Verdict)>>()
    };
    // A short run has a median of statements whose 95th percentile it cannot tell: better the median of all than p95 of some.
    let (p95, p50) = (at("p95"), at("p50"));
    let (percentile, measured) = if p95.len() >= p50.len() { ("p95", p95) } else { ("p50", p50) };
    let Some(factor) = median(measured.iter().map(|(factor, _)| *factor).collect()) else {
        return none("The statements whose plan changed have too few calls for a percentile.");
    };
    let sure = measured.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Better | Verdict::Worse)).count();
    let word = if factor >= 1.0 { "faster" } else { "slower" };
    let display = times(if factor >= 1.0 { factor } else { 1.0 / factor });
    let of = counted(measured.len() as u64, "statement", "statements");
    let sentence = if measured.len() == 1 {
        format!("The one statement whose plan changed is {display} {word} at {percentile}; {}.", doubt(sure, 1))
    } else {
        format!("Over the {of} whose plan changed, the median is {display} {word} at {percentile}; {}.", doubt(sure, measured.len()))
    };
    Number { value: Some(factor), display: format!("{display} {word}"), sentence }
}

fn doubt(sure: usize, all: usize) -> String {
    match (sure, all) {
        (1, 1) => "the difference is beyond noise".to_owned(),
        (0, 1) => "the difference is not beyond noise".to_owned(),
        (sure, all) if sure == all => "all differ beyond noise".to_owned(),
        (sure, all) => format!("{sure} of {all} differ beyond noise"),
    }
}

/// The geometric mean of the middle two for an even count: halving and doubling cancel out.
fn median(mut factors: Vec<f64>) -> Option<f64> {
    factors.sort_by(f64::total_cmp);
    let middle = factors.len() / 2;
    let upper = *factors.get(middle)?;
    if factors.len().is_multiple_of(2) { Some((factors[middle - 1] * upper).sqrt()) } else { Some(upper) }
}

fn saved(comparison: &Comparison, before: Option<&Run>) -> Number {
    let weight = |label: &str| before.map_or(1.0, |run| run.labels.get(label).map_or(0.0, |result| result.count as f64));
    let mut sum = Diff { before: 0.0, after: 0.0 };
    let mut calls = 0.0;
    for exact in &comparison.exact {
        if let (Some(blocks_before), Some(blocks_after)) = (exact.blocks_per_call.before, exact.blocks_per_call.after) {
            let weight = weight(&exact.label);
            sum = Diff { before: sum.before + weight * blocks_before, after: sum.after + weight * blocks_after };
            calls += weight;
        }
    }
    let Some(ratio) = sum.ratio().filter(|_| calls > 0.0) else {
        return none("The server did not count blocks on both sides.");
    };
    let share = 1.0 - ratio;
    let word = if share >= 0.0 { "fewer" } else { "more" };
    let per_call = sum.map(|blocks| number(blocks / calls));
    let sentence = format!(
        "A call touches {} {word} shared blocks (hit and read together): {} → {} on average{}.",
        percent(share.abs()),
        per_call.before,
        per_call.after,
        if before.is_some() { ", weighted by calls" } else { ", each statement counted once" },
    );
    Number { value: Some(share), display: format!("{} {word}", percent(share.abs())), sentence }
}

fn cost(proposals: &[ProposalEntry]) -> Number {
    let created: Vec<&ProposalEntry> = proposals.iter().filter(|proposal| proposal.action == Action::Create).collect();
    let dropped: Vec<&ProposalEntry> = proposals.iter().filter(|proposal| proposal.action == Action::Drop).collect();
    if created.is_empty() && dropped.is_empty() {
        return none("No index was proposed for building or removal.");
    }
    let taken: Bytes = created.iter().map(|proposal| proposal.size_bytes).sum();
    let freed: Bytes = dropped.iter().map(|proposal| proposal.size_bytes).sum();
    let entries: u64 = created
        .iter()
        .map(|proposal| &proposal.write_cost)
        .map(|cost| cost.inserts.saturating_add(cost.updates).saturating_add(cost.hot_updates_lost))
        .fold(0, u64::saturating_add);
    let mut told = Vec::new();
    if !created.is_empty() {
        let indexes = counted(created.len() as u64, "new index takes", "new indexes take");
        let entries = counted(entries, "more index entry", "more index entries");
        told.push(format!("{indexes} {taken} by estimate; the recorded writes would have made {entries}."));
    }
    if !dropped.is_empty() {
        told.push(format!("Dropping {}, in a later migration, would free {freed}.", counted(dropped.len() as u64, "index", "indexes")));
    }
    let display = if created.is_empty() { format!("{freed} to free") } else { taken.to_string() };
    Number { value: Some(taken.0 as f64), display, sentence: told.join(" ") }
}

fn slower(comparison: &Comparison) -> Vec<String> {
    let worse = labels(comparison).into_iter().filter_map(|label| {
        let metric = decisive(comparison, label).filter(|metric| metric.verdict == Verdict::Worse)?;
        Some(format!("{label} is {} at {}.", change(metric), metric.metric))
    });
    worse.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_numbers_of_the_sample_can_be_checked_by_hand() {
        let audit = sample::audit();
        let numbers = Numbers::of(&sample::comparison(), Some(&sample::run_before()), &audit.proposals);
        // Speed-ups at p95 are 80 ms / 1 ms and 45 ms / 3.6 ms, so the middle is sqrt(80 * 12.5).
        assert!((numbers.faster.value.unwrap() - 1000.0_f64.sqrt()).abs() < 1e-9);
        // 4000 calls * (1200 -> 8) + 1000 * (800 -> 60) + 500 * (6 -> 8) blocks.
        let share = 1.0 - (4000.0 * 8.0 + 1000.0 * 60.0 + 500.0 * 8.0) / (4000.0 * 1200.0 + 1000.0 * 800.0 + 500.0 * 6.0);
        assert!((numbers.saved.value.unwrap() - share).abs() < 1e-9);
        let bytes = 48 * 1024 * 1024 + 6 * 1024 * 1024;
        assert_eq!(numbers.cost.value, Some(f64::from(bytes)));
        insta::assert_snapshot!(super::super::json::to_string_pretty(&numbers));
    }

    #[test]
    fn what_got_worse_is_named() {
        let numbers = Numbers::of(&sample::comparison(), None, &[]);
        assert_eq!(numbers.slower, ["contact insert is 1.3× slower (1.2–1.4) at p95."]);
    }

    #[test]
    fn nothing_compared_gives_reasons_in_place_of_numbers() {
        let numbers = Numbers::of(&sample::empty_comparison(), None, &[]);
        for number in [&numbers.faster, &numbers.saved, &numbers.cost] {
            assert_eq!((number.value, number.display.as_str()), (None, "—"));
            assert!(number.sentence.ends_with('.'));
        }
        assert!(numbers.slower.is_empty());
    }

    #[test]
    fn the_middle_of_an_even_count_treats_halving_and_doubling_alike() {
        assert_eq!(median(vec![2.0, 0.5]), Some(1.0));
        assert_eq!(median(vec![9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(vec![]), None);
    }
}
