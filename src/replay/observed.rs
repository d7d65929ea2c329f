//! From timings of both sides to rounds: slices of a duet, blocks of an abba.

use std::time::Duration;

use crate::diff::Diff;
use crate::stats::Better;
use crate::stats::paired::Series;

/// Fewer rounds give no interval, so slices are not joined beyond this.
const ROUNDS_MIN: usize = 8;

/// A percentile, or the mean, and how many calls a round must have for it on each side.
///
/// One call above the percentile: its scatter from round to round is in the interval, and its bias alike on both sides.
const METRICS: [(&str, Option<f64>, usize); 4] =
    [("p50", Some(0.50), 5), ("p95", Some(0.95), 20), ("p99", Some(0.99), 100), ("mean", None, 5)];

/// What one call took on both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The slice it belongs to, from 0.
    pub slice: u32,
    /// Its label.
    pub label: u32,
    /// Whether it is a piece of a call, which counts for its label alone.
    pub part: bool,
    /// From sent to answered, in microseconds; `None` when it failed.
    pub took_us: Diff<Option<f32>>,
}

/// What one call took on one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Single {
    /// Its label.
    pub label: u32,
    /// Whether it is a piece of a call, which counts for its label alone.
    pub part: bool,
    /// From sent to answered, in microseconds; `None` when it failed.
    pub took_us: Option<f32>,
}

/// A block of an abba: one side alone.
#[derive(Debug, Clone)]
pub struct Block {
    /// Whether it is the side after the change.
    pub after: bool,
    /// How long calls were started.
    pub window: Duration,
    /// Its calls.
    pub calls: Vec<Single>,
}

/// One metric of one phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The label; `None` for all together.
    pub label: Option<usize>,
    /// `p50`, `p95`, `p99`, `mean`, `throughput`.
    pub metric: &'static str,
    /// `us` or `calls/s`.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// The values over the whole phase; `None` without enough samples.
    pub values: Diff<Option<f64>>,
    /// ln(after / before), round by round.
    pub rounds: Series,
}

/// Returns the metrics of a duet: all together first, then label by label. Every phase of an experiment has the same ones.
///
/// A round is a slice; where a label has too few calls in one, neighbours are joined as long as eight rounds remain. A call
/// that failed on a side counts on neither.
pub fn duet(pairs: &[Pair], labels: usize, slices: usize) -> Vec<Observed> {
    let complete: Vec<(&Pair, f32, f32)> =
        pairs.iter().filter_map(|pair| Some((pair, pair.took_us.before?, pair.took_us.after?))).collect();
    let mut all = Vec::new();
    for label in std::iter::once(None).chain((0..labels).map(Some)) {
        let mut by_slice = vec![Diff { before: Vec::new(), after: Vec::new() }; slices];
        for (pair, before, after) in complete.iter().filter(|(pair, ..)| counts_for(label, pair.label, pair.part)) {
            let Some(slice) = by_slice.get_mut(pair.slice as usize) else { continue };
            slice.before.push(*before);
            slice.after.push(*after);
        }
        let count: usize = by_slice.iter().map(|slice| slice.before.len()).sum();
        for (metric, share, needed) in METRICS {
            let join = (1..=(slices / ROUNDS_MIN).max(1)).find(|join| count * join / slices.max(1) >= needed);
            let rounds = join.map_or_else(Vec::new, |join| {
                by_slice.chunks(join).filter(|chunk| chunk.len() == join).filter_map(|chunk| ratio(chunk, share, needed / 2)).collect()
            });
            let whole = |side: fn(&Diff<Vec<f32>>) -> &Vec<f32>| whole(by_slice.iter().flat_map(side).copied().collect(), share);
            let values = Diff { before: whole(|slice| &slice.before), after: whole(|slice| &slice.after) };
            all.push(Observed { label, metric, unit: "us", better: Better::Lower, values, rounds: Series::of(rounds) });
        }
    }
    all
}

/// Pieces of calls are not counted twice among all together.
fn counts_for(label: Option<usize>, own: u32, part: bool) -> bool {
    label.map_or(!part, |label| label == own as usize)
}

/// ln(after / before) of joined slices; `None` with too few calls.
fn ratio(slices: &[Diff<Vec<f32>>], share: Option<f64>, needed: usize) -> Option<f64> {
    let side = |of: fn(&Diff<Vec<f32>>) -> &Vec<f32>| {
        let values: Vec<f32> = slices.iter().flat_map(of).copied().collect();
        if values.len() >= needed.max(1) { value(values, share) } else { None }
    };
    log_ratio(side(|slice| &slice.before), side(|slice| &slice.after))
}

fn log_ratio(before: Option<f64>, after: Option<f64>) -> Option<f64> {
    let ratio = (after? / before?).ln();
    ratio.is_finite().then_some(ratio)
}

/// Returns the metrics of an abba: throughput and the percentiles of all together, then those of each label.
///
/// A round is two neighbouring blocks, one of each side; which came first is kept, so that drift can be taken out.
pub fn abba(blocks: &[Block], labels: usize) -> Vec<Observed> {
    let mut all = vec![observed(blocks, None, "throughput", "calls/s", Better::Higher, throughput, |calls| {
        (!calls.is_empty()).then(|| calls.iter().map(|(_, rate)| rate).sum::<f64>() / calls.len() as f64)
    })];
    for label in std::iter::once(None).chain((0..labels).map(Some)) {
        for (metric, share, needed) in METRICS {
            let of_label = move |block: &Block| -> Vec<f32> {
                block.calls.iter().filter(|call| counts_for(label, call.label, call.part)).filter_map(|call| call.took_us).collect()
            };
            let one = move |block: &Block| {
                let calls = of_label(block);
                if calls.len() >= needed { value(calls, share) } else { None }
            };
            let together = move |blocks: &[(&Block, f64)]| whole(blocks.iter().flat_map(|(block, _)| of_label(block)).collect(), share);
            all.push(observed(blocks, label, metric, "us", Better::Lower, one, together));
        }
    }
    all
}

fn observed(
    blocks: &[Block],
    label: Option<usize>,
    metric: &'static str,
    unit: &'static str,
    better: Better,
    one: impl Fn(&Block) -> Option<f64>,
    together: impl Fn(&[(&Block, f64)]) -> Option<f64>,
) -> Observed {
    let mut rounds = Series::default();
    for pair in blocks.chunks_exact(2).filter(|pair| pair[0].after != pair[1].after) {
        let (before, after) = if pair[0].after { (&pair[1], &pair[0]) } else { (&pair[0], &pair[1]) };
        if let Some(ratio) = log_ratio(one(before), one(after)) {
            rounds.values.push(ratio);
            rounds.order.push(if pair[0].after { -1.0 } else { 1.0 });
        }
    }
    let side = |after: bool| {
        let of_side: Vec<(&Block, f64)> =
            blocks.iter().filter(|block| block.after == after).map(|block| (block, throughput(block).unwrap_or(0.0))).collect();
        together(&of_side)
    };
    Observed { label, metric, unit, better, values: Diff { before: side(false), after: side(true) }, rounds }
}

fn throughput(block: &Block) -> Option<f64> {
    let seconds = block.window.as_secs_f64();
    let done = block.calls.iter().filter(|call| call.took_us.is_some() && !call.part).count();
    (seconds > 0.0).then(|| done as f64 / seconds)
}

/// The value of all samples of a phase; `None` unless ten are expected above the percentile, as everywhere.
fn whole(values: Vec<f32>, share: Option<f64>) -> Option<f64> {
    let enough = share.is_none_or(|share| values.len() as f64 * (1.0 - share) >= 10.0 - 1e-6);
    if enough { value(values, share) } else { None }
}

/// A percentile, interpolated between neighbours, or the mean.
fn value(mut values: Vec<f32>, share: Option<f64>) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let Some(share) = share else {
        return Some(values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64);
    };
    let at = share * (values.len() - 1) as f64;
    let (_, low, above) = values.select_nth_unstable_by(at as usize, f32::total_cmp);
    let low = f64::from(*low);
    let high = above.iter().copied().min_by(f32::total_cmp).map_or(low, f64::from);
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(all: &'a [Observed], label: Option<usize>, metric: &str) -> &'a Observed {
        all.iter().find(|one| one.label == label && one.metric == metric).unwrap()
    }

    /// 50 calls a slice of label 0 and 3 in 2 slices of label 1; after takes twice as long for label 1.
    fn pairs() -> Vec<Pair> {
        let pair = |slice: u32, label: u32, us: f32| {
            let after = if label == 1 { 2.0 * us } else { us };
            Pair { slice, label, part: false, took_us: Diff { before: Some(us), after: Some(after) } }
        };
        let often = (0..2000).map(|i| pair(i / 50, 0, 100.0 + (i % 10) as f32));
        let seldom = (0..60).map(|i| pair(i * 2 / 3, 1, 1000.0));
        often.chain(seldom).collect()
    }

    #[test]
    fn slices_are_joined_until_a_round_has_enough_calls() {
        let all = duet(&pairs(), 3, 40);
        assert_eq!(all.len(), 4 * 4);
        assert_eq!(find(&all, Some(0), "p50").rounds.values, vec![0.0; 40]);
        assert_eq!(find(&all, Some(0), "p95").rounds.values.len(), 40, "50 calls a slice");
        assert_eq!(find(&all, Some(0), "p99").rounds.values.len(), 20, "100 calls in 2 slices");
        let seldom = find(&all, Some(1), "p50");
        assert_eq!(seldom.rounds.values.len(), 10, "6 calls in 4 slices");
        assert!(find(&all, Some(1), "p95").rounds.values.is_empty(), "60 calls do not give eight rounds of twenty");
        assert_eq!((seldom.values.before, seldom.values.after), (Some(1000.0), Some(2000.0)));
        assert_eq!(find(&all, Some(1), "p95").values.before, None, "60 calls leave 3 above p95");
        assert_eq!(find(&all, Some(2), "mean").values, Diff::default());
    }

    #[test]
    fn pieces_of_calls_count_for_their_label_alone() {
        let mut pairs = pairs();
        pairs.iter_mut().filter(|pair| pair.label == 1).for_each(|pair| pair.part = true);
        let all = duet(&pairs, 2, 40);
        assert_eq!(find(&all, None, "mean").values, find(&all, Some(0), "mean").values);
        assert_eq!(find(&all, Some(1), "mean").values.after, Some(2000.0));
    }

    #[test]
    fn a_call_that_failed_on_one_side_counts_on_neither() {
        let mut pairs = pairs();
        pairs.iter_mut().filter(|pair| pair.label == 1).for_each(|pair| pair.took_us.after = None);
        let all = duet(&pairs, 2, 40);
        assert_eq!(find(&all, None, "mean").values.before, find(&all, None, "mean").values.after);
        assert_eq!(find(&all, Some(1), "mean").values, Diff::default());
    }

    #[test]
    fn blocks_make_rounds_of_neighbours_and_keep_their_order() {
        let block = |after: bool, calls: usize, us: f32| Block {
            after,
            window: Duration::from_secs(2),
            calls: (0..calls).map(|_| Single { label: 0, part: false, took_us: Some(us) }).collect(),
        };
        let blocks =
            [block(false, 400, 10.0), block(true, 200, 20.0), block(true, 200, 20.0), block(false, 400, 10.0), block(false, 400, 10.0)];
        let all = abba(&blocks, 1);
        let throughput = find(&all, None, "throughput");
        assert_eq!(throughput.rounds.order, [1.0, -1.0], "the broken round at the end is left out");
        assert!(throughput.rounds.values.iter().all(|value| (value - 0.5f64.ln()).abs() < 1e-12));
        assert_eq!((throughput.values.before, throughput.values.after), (Some(200.0), Some(100.0)));
        let p50 = find(&all, Some(0), "p50");
        assert!((p50.rounds.values[1] - 2f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn percentiles_lie_between_neighbours() {
        assert_eq!(value(vec![4.0, 1.0, 3.0, 2.0], Some(0.5)), Some(2.5));
        assert_eq!(value(vec![4.0, 1.0, 3.0], Some(0.5)), Some(3.0));
        assert_eq!(value(vec![7.0], Some(0.99)), Some(7.0));
        assert_eq!((value(vec![], Some(0.5)), value(vec![1.0, 3.0], None)), (None, Some(2.0)));
    }
}
