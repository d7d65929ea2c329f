//! How much each statement counts.

use super::query::Query;

/// A statement's measured time per unit of cost moves its weight by this factor at most, up or down: a cost is a poor
/// guide to time, but a single slow minute must not decide either.
const MOVED_MAX: f64 = 8.0;

/// Returns the weight of one unit of each statement's cost: its calls, blended with its measured time where there is any.
///
/// The weight is `calls * clamp(k, 1/8, 8)`. `k` is the statement's mean execution time over its cost without new indexes,
/// relative to the workload's: the median of that ratio over all calls. So a statement that takes longer than its cost says
/// (cold data, waiting for locks) counts more, one that takes less counts less, and costs of different statements still add up
/// to something in planner units. Without measured times the weight is the calls alone.
pub(crate) fn weights(queries: &[Query], bare: &[Option<f64>]) -> Vec<f64> {
    let ratio = |at: usize| {
        let (query, cost) = (&queries[at], bare[at].filter(|cost| *cost > 0.0)?);
        (query.calls > 0 && query.exec_ms_total > 0.0).then(|| query.exec_ms_total / query.calls as f64 / cost)
    };
    let ratios: Vec<Option<f64>> = (0..queries.len()).map(ratio).collect();
    let typical = median(ratios.iter().zip(queries).filter_map(|(ratio, query)| Some(((*ratio)?, query.calls as f64))).collect());
    let moved = |ratio: Option<f64>| ratio.zip(typical).map_or(1.0, |(ratio, typical)| (ratio / typical).clamp(1.0 / MOVED_MAX, MOVED_MAX));
    queries.iter().zip(&ratios).map(|(query, ratio)| query.calls as f64 * moved(*ratio)).collect()
}

/// Returns the value at which half of the weight lies below.
fn median(mut values: Vec<(f64, f64)>) -> Option<f64> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    values
        .into_iter()
        .find(|(_, weight)| {
            below += weight;
            below >= half
        })
        .map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::super::{sample, workload};
    use super::*;

    fn weighed(statements: &[(u64, f64)], bare: &[Option<f64>]) -> Vec<f64> {
        let texts = ["select * from users", "select * from meetings", "select * from prospects"];
        let recorded = statements.iter().zip(texts).enumerate();
        let statements = recorded.map(|(at, ((calls, ms), text))| sample::statement(at as u64, text, *calls, 1, *ms)).collect();
        let mut queries = workload::read(&crate::catalog::Snapshot { statements, ..sample::crm() }).queries;
        queries.sort_by(|a, b| a.query_id.cmp(&b.query_id));
        weights(&queries, bare)
    }

    #[test]
    fn without_times_calls_alone_count() {
        assert_eq!(weighed(&[(10, 0.0), (3, 0.0)], &[Some(5.0), Some(50.0)]), [10.0, 3.0]);
    }

    #[test]
    fn a_statement_slower_than_its_cost_says_counts_more() {
        // 1 ms, 4 ms and 100 ms a call at the same cost; half of the calls take 1 ms.
        let weights = weighed(&[(60, 60.0), (20, 80.0), (10, 1_000.0)], &[Some(9.0); 3]);
        assert_eq!(weights, [60.0, 80.0, 80.0]);
    }

    #[test]
    fn what_has_no_price_or_no_time_counts_its_calls() {
        assert_eq!(weighed(&[(60, 60.0), (20, 0.0), (10, 10.0)], &[Some(9.0), Some(9.0), None]), [60.0, 20.0, 10.0]);
    }
}
