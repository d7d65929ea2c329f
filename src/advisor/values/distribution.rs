//! The values of a column as its statistics tell them: which are common, which are there at all, and where shares of them lie.

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use crate::catalog::{Column, ColumnStatistics, ElementStatistics, Oid, Snapshot, Table, TableKind};

/// A column's values. Without statistics it has none.
#[derive(Debug, Clone, Default)]
pub(super) struct Distribution {
    /// The column's type.
    pub(super) type_name: String,
    /// Most common values and their shares, most frequent first.
    pub(super) common: Vec<(String, f64)>,
    /// Values that exist and are not common, ascending.
    pub(super) bounds: Vec<String>,
    /// What is known of elements.
    pub(super) elements: Option<ElementStatistics>,
    /// Ranges made of the n-th lower and the n-th upper bound.
    pub(super) ranges: Vec<String>,
    /// Values ascending, with the share of the rows below each: what ranges are measured by.
    ordered: Vec<(String, f64)>,
}

impl Distribution {
    /// Reads what the snapshot knows of the column; of a partitioned table also from a partition.
    pub(super) fn of(snapshot: &Snapshot, table: Oid, column: &str) -> Self {
        let Some(found) = snapshot.tables.iter().find(|known| known.oid == table) else { return Self::default() };
        let Some(known) = found.column(column) else { return Self::default() };
        let partition = || {
            snapshot.tables.iter().filter(|child| child.parent == Some(table)).find_map(|child| statistics(child, child.column(column)?))
        };
        match statistics(found, known).or_else(partition) {
            Some(statistics) => Self::new(&known.type_name, statistics),
            None => Self { type_name: known.type_name.clone(), ..Self::default() },
        }
    }

    fn new(type_name: &str, statistics: &ColumnStatistics) -> Self {
        let common: Vec<(String, f64)> =
            statistics.common_values.iter().cloned().zip(statistics.common_frequencies.iter().copied()).collect();
        let mut distribution = Self {
            type_name: type_name.to_owned(),
            common,
            bounds: statistics.histogram.clone(),
            elements: statistics.elements.clone(),
            ranges: statistics.ranges.as_ref().map_or_else(Vec::new, |ranges| ranges.bounds_histogram.clone()),
            ordered: Vec::new(),
        };
        distribution.ordered = distribution.in_order();
        distribution
    }

    /// The share of rows whose value is a common one.
    pub(super) fn common_share(&self) -> f64 {
        self.common.iter().map(|(_, share)| share).sum::<f64>().clamp(0.0, 1.0)
    }

    /// Whether there is no value at all.
    pub(super) fn is_empty(&self) -> bool {
        self.common.is_empty() && self.bounds.is_empty()
    }

    /// How many values are known.
    pub(super) fn len(&self) -> usize {
        self.common.len() + self.bounds.len()
    }

    /// Returns a known value: common ones first, then the others ascending; past the end, from the start.
    pub(super) fn known(&self, at: usize) -> &str {
        let at = at % self.len().max(1);
        match self.common.get(at) {
            Some((value, _)) => value,
            None => self.bounds.get(at - self.common.len()).map_or("", String::as_str),
        }
    }

    /// Returns the place, for [`known`](Self::known), of the uncommon value below which about this share of the uncommon lies.
    pub(super) fn place(&self, share: f64) -> usize {
        self.common.len() + (share * self.bounds.len().saturating_sub(1) as f64).round() as usize
    }

    /// Returns the value below which about this share of the rows lies; between two known values of numbers and times.
    pub(super) fn quantile(&self, share: f64) -> Option<String> {
        let after = self.ordered.iter().position(|(_, below)| *below >= share).unwrap_or(self.ordered.len().saturating_sub(1));
        let (upper, above) = self.ordered.get(after)?;
        let Some((lower, below)) = after.checked_sub(1).and_then(|at| self.ordered.get(at)) else { return Some(upper.clone()) };
        let part = if above > below { ((share - below) / (above - below)).clamp(0.0, 1.0) } else { 1.0 };
        Some(between(lower, upper, part).unwrap_or_else(|| if part < 0.5 { lower.clone() } else { upper.clone() }))
    }

    /// Puts bounds and common values in one order. Each bucket of the histogram holds an equal part of what is not common.
    fn in_order(&self) -> Vec<(String, f64)> {
        let bucket = (1.0 - self.common_share()) / self.bounds.len().saturating_sub(1).max(1) as f64;
        let bounds = self.bounds.iter().enumerate().map(|(at, value)| (value, if at == 0 { 0.0 } else { bucket }));
        let mut ordered: Vec<(&String, f64)> = bounds.chain(self.common.iter().map(|(value, share)| (value, *share))).collect();
        // Text is ordered by a collation that is not known here; bounds alone are in its order.
        let sortable = ordered.iter().all(|(value, _)| scalar(value).is_some());
        if sortable {
            ordered.sort_by(|(a, _), (b, _)| scalar(a).partial_cmp(&scalar(b)).unwrap_or(Ordering::Equal));
        } else if !self.bounds.is_empty() {
            ordered.truncate(self.bounds.len());
        } else {
            ordered.sort_by_key(|(value, _)| *value);
        }
        let total: f64 = ordered.iter().map(|(_, share)| share).sum();
        let mut below = 0.0;
        let mut share_below = |share: f64| {
            below += share;
            if total > 0.0 { below / total } else { 0.0 }
        };
        ordered.into_iter().map(|(value, share)| (value.clone(), share_below(share))).collect()
    }
}

/// Partitioned tables have inherited statistics only; a parent's own rows may be few.
fn statistics<'a>(table: &Table, column: &'a Column) -> Option<&'a ColumnStatistics> {
    let (own, inherited) = (column.statistics.as_ref(), column.statistics_inherited.as_ref());
    if table.kind == TableKind::Partitioned { inherited.or(own) } else { own.or(inherited) }
}

/// Returns the moment a date or time stamp names, as the server prints it in ISO style.
pub(super) fn moment(value: &str) -> Option<Timestamp> {
    let utc = |moment: DateTime| moment.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    if let Ok(moment) = value.parse::<Timestamp>() {
        return Some(moment);
    }
    // What comes first is a date in each; a longer text than a date's must be a time stamp.
    match value.len() {
        0..=9 => None,
        10 => value.parse::<Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0))),
        _ => value.parse::<DateTime>().ok().and_then(utc),
    }
}

/// Returns what orders numbers and times.
fn scalar(value: &str) -> Option<f64> {
    match value.parse::<f64>() {
        Ok(number) => Some(number).filter(|number| number.is_finite()),
        Err(_) => moment(value).map(|moment| moment.as_microsecond() as f64),
    }
}

/// Returns the value that far between two others of a kind, spelled as they are; `None` where nothing lies between.
fn between(lower: &str, upper: &str, part: f64) -> Option<String> {
    if let (Ok(from), Ok(to)) = (lower.parse::<i64>(), upper.parse::<i64>()) {
        return Some((from + ((to.saturating_sub(from)) as f64 * part).round() as i64).to_string());
    }
    if let (Ok(from), Ok(to)) = (lower.parse::<f64>(), upper.parse::<f64>()) {
        let digits = |text: &str| text.split_once('.').map_or(0, |(_, digits)| digits.len());
        return Some(format!("{:.*}", digits(lower).max(digits(upper)), from + (to - from) * part)).filter(|_| (to - from).is_finite());
    }
    let (from, to) = (moment(lower)?, moment(upper)?);
    let at = from.as_microsecond() + ((to.as_microsecond() - from.as_microsecond()) as f64 * part).round() as i64;
    let at = Timestamp::from_microsecond(at).ok()?;
    Some(spelled(at, lower))
}

/// Spells a moment as a date, a time stamp or a time stamp with zone, whichever the model is.
fn spelled(moment: Timestamp, model: &str) -> String {
    let format = match model {
        date if date.len() <= 10 => "%Y-%m-%d",
        zoned if zoned.parse::<Timestamp>().is_ok() => "%Y-%m-%d %H:%M:%S+00",
        _ => "%Y-%m-%d %H:%M:%S",
    };
    moment.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(type_name: &str, common: &[(&str, f64)], bounds: &[&str]) -> Distribution {
        let statistics = ColumnStatistics {
            common_values: common.iter().map(|(value, _)| (*value).to_owned()).collect(),
            common_frequencies: common.iter().map(|(_, share)| *share).collect(),
            histogram: bounds.iter().map(|bound| (*bound).to_owned()).collect(),
            ..ColumnStatistics::default()
        };
        Distribution::new(type_name, &statistics)
    }

    #[test]
    fn quantiles_lie_between_the_bounds() {
        let numbers = distribution("bigint", &[], &["0", "100", "1000"]);
        assert_eq!([0.0, 0.25, 0.5, 0.75, 1.0].map(|share| numbers.quantile(share).unwrap()), ["0", "50", "100", "550", "1000"]);
        let prices = distribution("numeric", &[], &["0.50", "10.5"]);
        assert_eq!(prices.quantile(0.5).unwrap(), "5.50");
        let words = distribution("text", &[("zz", 0.9)], &["a", "b", "c"]);
        assert_eq!(words.quantile(0.9).unwrap(), "c");
    }

    #[test]
    fn times_are_spelled_as_the_server_spelled_them() {
        let quantile = |bounds: &[&str]| distribution("x", &[], bounds).quantile(0.5).unwrap();
        assert_eq!(quantile(&["2024-01-01", "2024-01-31"]), "2024-01-16");
        assert_eq!(quantile(&["2024-01-01 00:00:00", "2024-01-02 00:00:00.123456"]), "2024-01-01 12:00:00");
        assert_eq!(quantile(&["2024-01-01 02:00:00+02", "2024-01-02 00:00:00+00"]), "2024-01-01 12:00:00+00");
        assert_eq!(quantile(&["-infinity", "infinity"]), "infinity");
    }

    #[test]
    fn common_values_take_their_share_of_a_range() {
        let amounts = distribution("integer", &[("5", 0.8)], &["0", "10", "20"]);
        assert_eq!(amounts.quantile(0.5).unwrap(), "3", "within the jump from 0 to the common 5");
        let few = distribution("integer", &[("3", 0.5), ("1", 0.3), ("2", 0.2)], &[]);
        assert_eq!([0.1, 0.3, 0.5, 1.0].map(|share| few.quantile(share).unwrap()), ["1", "1", "2", "3"]);
    }

    #[test]
    fn nothing_known_is_nothing() {
        let nothing = Distribution::default();
        assert!(nothing.is_empty() && nothing.quantile(0.5).is_none() && nothing.known(3).is_empty());
    }
}
