//! Values seen with a statement, the most frequent calls first.

use std::collections::BTreeMap;

use super::SETS_MAX;

/// One call's values; `None` for NULL.
pub(super) type Call = [Option<String>];

/// Returns the most frequent distinct calls with their share among those returned.
pub(super) fn most_frequent(calls: &[Vec<Option<String>>]) -> Vec<(f64, &Call)> {
    let mut counts: BTreeMap<&Call, usize> = BTreeMap::new();
    for call in calls {
        *counts.entry(call.as_slice()).or_default() += 1;
    }
    // The map's order decides between equals.
    let mut counts: Vec<(&Call, usize)> = counts.into_iter().collect();
    counts.sort_by(|(_, a), (_, b)| b.cmp(a));
    let several = counts.len();
    // Where every call is different none is more frequent: those spread over all stand for them.
    if several > SETS_MAX && counts.first().is_some_and(|(_, count)| *count == 1) {
        counts = (0..SETS_MAX).map(|at| counts[at * (several - 1) / (SETS_MAX - 1)]).collect();
    }
    counts.truncate(SETS_MAX);
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    counts.into_iter().map(|(call, count)| (count as f64 / total as f64, call)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(values: &[&str]) -> Vec<Vec<Option<String>>> {
        values.iter().map(|value| vec![Some((*value).to_owned())]).collect()
    }

    fn shares(calls: &[Vec<Option<String>>]) -> Vec<(f64, String)> {
        most_frequent(calls).into_iter().map(|(share, call)| (share, call[0].clone().unwrap())).collect()
    }

    #[test]
    fn calls_count_by_how_often_they_came() {
        assert_eq!(shares(&calls(&["a", "b", "b", "b"])), [(0.75, "b".to_owned()), (0.25, "a".to_owned())]);
        assert!(most_frequent(&[]).is_empty());
    }

    #[test]
    fn five_stand_for_many() {
        let many = calls(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
        assert_eq!(shares(&many).into_iter().map(|(_, value)| value).collect::<String>(), "acegi");
        assert_eq!(shares(&calls(&["a", "b", "c", "d", "e", "f", "f"])).len(), SETS_MAX);
    }
}
