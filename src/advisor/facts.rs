//! What the statistics say of a table's rows: counts, and the share a condition keeps.

use std::collections::{BTreeMap, HashMap};

use super::expression;
use super::query::{Access, Class, Condition, Operand};
use crate::catalog::{Column, ColumnStatistics, Index, KeyTarget, Oid, Relations, Snapshot, Table, TableKind};
use crate::units::PAGE_BYTES;

/// Rows kept by an equality on a column without statistics (the planner's `DEFAULT_EQ_SEL`).
const EQUALITY_UNKNOWN: f64 = 0.005;
/// Rows kept by an open range with an unknown bound (the planner's `DEFAULT_INEQ_SEL`).
const OPEN_RANGE_UNKNOWN: f64 = 1.0 / 3.0;
/// Rows kept by a range with two unknown bounds (the planner's `DEFAULT_RANGE_INEQ_SEL`).
const CLOSED_RANGE_UNKNOWN: f64 = 0.005;
/// Rows later than an unknown moment: a rule of thumb, since applications ask for the recent end, where the planner
/// would say a third.
const RECENT: f64 = 0.05;
/// Rows kept by a predicate that says nothing known: as much as an open range.
const PREDICATE_UNKNOWN: f64 = OPEN_RANGE_UNKNOWN;
/// Distinct values of a column without statistics (the planner's `DEFAULT_NUM_DISTINCT`).
const DISTINCT_UNKNOWN: f64 = 200.0;

/// A table with its present size; a partitioned table counts as the sum of its leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The table.
    pub(crate) table: &'a Table,
    /// Rows now.
    pub(crate) rows: f64,
    /// Heap pages now.
    pub(crate) pages: f64,
    /// The share of pages an index-only scan need not visit, 0 to 1.
    pub(crate) all_visible: f64,
    /// Where statistics of expressions and of several columns together are found.
    snapshot: &'a Snapshot,
}

impl<'a> Facts<'a> {
    /// Gathers the facts of every table.
    pub(crate) fn of_all(relations: &Relations<'a>) -> HashMap<Oid, Self> {
        let mut parts: HashMap<Oid, Vec<&'a Table>> = HashMap::new();
        for table in relations.snapshot.tables.iter().filter(|table| table.kind != TableKind::Partitioned) {
            let mut parent = Some(table.oid);
            // Bounded, because a damaged snapshot may name a circle.
            for _ in 0..32 {
                let Some(oid) = parent else { break };
                parts.entry(oid).or_default().push(table);
                parent = relations.table(oid).and_then(|table| table.parent);
            }
        }
        let facts = |table: &'a Table| {
            let parts = parts.get(&table.oid).map_or(&[][..], Vec::as_slice);
            let pages_counted: u64 = parts.iter().map(|part| part.pages).sum();
            let visible: u64 = parts.iter().map(|part| part.pages_all_visible).sum();
            Self {
                table,
                rows: parts.iter().map(|part| part.rows_now()).sum::<f64>().max(1.0),
                pages: parts.iter().map(|part| (part.heap_bytes / PAGE_BYTES) as f64).sum(),
                snapshot: relations.snapshot,
                all_visible: if pages_counted == 0 { 0.0 } else { (visible as f64 / pages_counted as f64).min(1.0) },
            }
        };
        relations.snapshot.tables.iter().map(|table| (table.oid, facts(table))).collect()
    }

    /// Returns the number of distinct values of a column.
    pub(crate) fn distinct(&self, column: &str) -> f64 {
        match self.statistics(column) {
            Some(statistics) => statistics.distinct_values(self.rows),
            None if self.table.column(column).is_some_and(|column| column.type_category == "B") => 2.0,
            None => DISTINCT_UNKNOWN.min(self.rows),
        }
    }

    /// Returns the number of distinct values to assume where nothing is known.
    pub(crate) fn distinct_unknown(&self) -> f64 {
        DISTINCT_UNKNOWN.min(self.rows)
    }

    /// Returns the number of distinct combinations of values: as extended statistics counted them where they cover the columns,
    /// else as if columns were independent.
    pub(crate) fn distinct_together(&self, columns: &[&str]) -> f64 {
        let mut left: Vec<&str> = columns.to_vec();
        let mut product = 1.0;
        while left.len() > 1 {
            let Some((known, count)) = self.widest_counted(&left) else { break };
            product *= count;
            left.retain(|column| !known.contains(column));
        }
        product *= left.iter().map(|column| self.distinct(column)).product::<f64>();
        product.clamp(1.0, self.rows)
    }

    /// Returns the most of these columns whose combinations extended statistics counted, and the count.
    fn widest_counted(&self, columns: &[&str]) -> Option<(Vec<&'a str>, f64)> {
        let name = |number: &str| -> Option<&'a str> {
            let number: i16 = number.trim().parse().ok()?;
            self.table.columns.iter().find(|column| column.number == number).map(|column| column.name.as_str())
        };
        let mut widest: Option<(Vec<&'a str>, f64)> = None;
        for found in self.snapshot.extended_statistics.iter().filter(|found| found.table == self.table.oid) {
            let Some(counts) = found.found.as_ref().and_then(|found| found.distinct.as_deref()) else { continue };
            let Ok(counts) = serde_json::from_str::<BTreeMap<String, f64>>(counts) else { continue };
            for (set, count) in counts {
                let Some(set) = set.split(',').map(name).collect::<Option<Vec<&str>>>() else { continue };
                if set.iter().all(|column| columns.contains(column)) && widest.as_ref().is_none_or(|(known, _)| set.len() > known.len()) {
                    widest = Some((set, if count < 0.0 { -count * self.rows } else { count }));
                }
            }
        }
        widest
    }

    /// Returns what ANALYZE found of an expression, for an existing index or for extended statistics on it.
    pub(crate) fn expression_statistics(&self, text: &str) -> Option<&'a ColumnStatistics> {
        let wanted = expression::canonical(text);
        let same = |text: &str| expression::canonical(text) == wanted;
        let of_index = |index: &'a Index| {
            let expressions = index.keys.iter().filter_map(|key| match &key.target {
                KeyTarget::Expression(text) => Some(text),
                KeyTarget::Column(_) => None,
            });
            expressions.zip(&index.expression_statistics).find(|(text, _)| same(text)).and_then(|(_, statistics)| statistics.as_ref())
        };
        let indexes = self.snapshot.indexes.iter().filter(|index| index.table == self.table.oid && index.predicate.is_none());
        indexes.filter_map(of_index).next().or_else(|| {
            let extended = self.snapshot.extended_statistics.iter().filter(|found| found.table == self.table.oid);
            let found = extended.flat_map(|found| found.expressions.iter().zip(&found.expression_statistics));
            found.filter(|(text, _)| same(text)).find_map(|(_, statistics)| statistics.as_ref())
        })
    }

    /// Returns the share of the rows for which an expression over these columns has one value; an index or statistics on it tell.
    ///
    /// Else texts are taken to stay as different as they are (`lower(email)`, `first || last`), and of others nothing is known.
    pub(crate) fn expression_equality(&self, text: &str, columns: &[String], operand: &Operand) -> f64 {
        let of_text =
            |name: &String| self.table.column(name).is_some_and(|column| column.type_category == "S") && self.statistics(name).is_some();
        match self.expression_statistics(text) {
            Some(statistics) => self.one_value(statistics, operand),
            None if !columns.is_empty() && columns.iter().all(of_text) => {
                let distinct: f64 = columns.iter().map(|name| self.distinct(name)).product();
                (1.0 / distinct.max(1.0)).max(1.0 / self.rows).min(1.0)
            }
            None => EQUALITY_UNKNOWN.max(1.0 / self.rows).min(1.0),
        }
    }

    /// Returns the share of the rows that satisfy a predicate, 0 to 1, its conjuncts taken as independent.
    pub(crate) fn predicate_share(&self, predicate: &str) -> f64 {
        expression::conjuncts(predicate).iter().map(|conjunct| self.conjunct_share(conjunct)).product::<f64>().clamp(0.0, 1.0)
    }

    fn conjunct_share(&self, conjunct: &str) -> f64 {
        let words = expression::words(conjunct);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let value = |word: &str| word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')).unwrap_or(word).replace("''", "'");
        let known = |word: &str| self.table.columns.iter().find(|column| crate::catalog::name::quoted(&column.name) == word);
        let share = |word: &str, class: Class, text: &str| {
            let column = known(word)?;
            let condition = Condition { column: column.name.clone(), class, operand: Operand::Literal(value(text)) };
            Some(self.selectivity(&column.name, &[&condition]))
        };
        let equal = Class::Equality { values: 1 };
        let nulls = |word: &str| Some(self.statistics(&known(word)?.name)?.null_fraction);
        let found = match words.as_slice() {
            [flag] => share(flag, equal, "t"),
            ["not", flag] => share(flag, equal, "f"),
            [column, "is", "null"] => nulls(column),
            [column, "is", "not", "null"] => nulls(column).map(|share| 1.0 - share),
            [column, "=", text] => share(column, equal, text),
            [column, "<>", text] => share(column, equal, text).map(|share| 1.0 - share - nulls(column).unwrap_or_default()),
            [column, ">" | ">=", text] => share(column, Class::Above, text),
            [column, "<" | "<=", text] => share(column, Class::Below, text),
            [column, "=", "any", "(", "array", "[", values @ .., "]", ")"] => {
                values.iter().filter(|word| **word != ",").map(|text| share(column, equal.clone(), text)).sum()
            }
            _ => None,
        };
        found.unwrap_or(PREDICATE_UNKNOWN).clamp(0.0, 1.0)
    }

    /// Returns the share of the rows that all conditions on one column keep together.
    pub(crate) fn selectivity(&self, column: &str, conditions: &[&Condition]) -> f64 {
        let equality = conditions.iter().filter(|condition| condition.is_equality());
        let kept = equality.map(|condition| self.equality(column, condition)).min_by(f64::total_cmp);
        let kept = kept.unwrap_or_else(|| self.range(column, conditions));
        kept.clamp((1.0 / self.rows).min(1.0), 1.0)
    }

    /// Returns the share of the rows an access keeps after conditions that `usable` admits, and all of its filters.
    pub(crate) fn kept(&self, access: &Access, usable: impl Fn(&Condition) -> bool) -> f64 {
        let mut by_column: BTreeMap<&str, Vec<&Condition>> = BTreeMap::new();
        for condition in access.conditions.iter().filter(|condition| usable(condition)) {
            by_column.entry(&condition.column).or_default().push(condition);
        }
        let conditions: f64 = by_column.iter().map(|(column, conditions)| self.selectivity(column, conditions)).product();
        conditions * access.filters.iter().map(|filter| filter.selectivity).product::<f64>()
    }

    /// Returns what ANALYZE found of a column; of a table with children, in all of them together.
    pub(crate) fn statistics(&self, column: &str) -> Option<&'a ColumnStatistics> {
        let column = self.table.column(column)?;
        match self.table.kind {
            TableKind::Partitioned => column.statistics_inherited.as_ref().or(column.statistics.as_ref()),
            _ => column.statistics.as_ref().or(column.statistics_inherited.as_ref()),
        }
    }

    fn equality(&self, column: &str, condition: &Condition) -> f64 {
        let statistics = self.statistics(column);
        let values = match condition.class {
            Class::IsNull => return statistics.map_or(EQUALITY_UNKNOWN, |statistics| statistics.null_fraction),
            // The rows of a subquery are not estimated: ten of them, as the planner assumes for arrays.
            Class::Equality { .. } if condition.operand == Operand::Subquery => 10.0,
            Class::Equality { values } => values as f64,
            _ => 1.0,
        };
        let Some(statistics) = statistics else {
            let boolean = self.table.column(column).is_some_and(|column| column.type_category == "B");
            return values * if boolean { 0.5 } else { EQUALITY_UNKNOWN.max(1.0 / self.rows) };
        };
        self.one_value(statistics, &condition.operand) * values
    }

    /// Returns the share of the rows that have the one value compared with.
    fn one_value(&self, statistics: &ColumnStatistics, operand: &Operand) -> f64 {
        let distinct = statistics.distinct_values(self.rows);
        let even = (1.0 - statistics.null_fraction) / distinct;
        match operand {
            Operand::Literal(value) => match statistics.common_values.iter().position(|common| common == value) {
                Some(at) => statistics.common_frequencies.get(at).copied().unwrap_or(even),
                None => {
                    let common: f64 = statistics.common_frequencies.iter().sum();
                    let others = (distinct - statistics.common_values.len() as f64).max(1.0);
                    ((1.0 - common - statistics.null_fraction) / others).max(0.0)
                }
            },
            // A value asked for is drawn partly as often as it occurs, partly like any other: the mean of both.
            Operand::Parameter | Operand::Expression => {
                let common: f64 = statistics.common_frequencies.iter().sum();
                let rest = (1.0 - common - statistics.null_fraction).max(0.0);
                let others = (distinct - statistics.common_frequencies.len() as f64).max(1.0);
                let by_frequency = statistics.common_frequencies.iter().map(|share| share * share).sum::<f64>() + rest * rest / others;
                f64::midpoint(even, by_frequency)
            }
            Operand::Joined { .. } | Operand::Outer | Operand::Subquery => even,
        }
    }

    fn range(&self, column: &str, conditions: &[&Condition]) -> f64 {
        let Some(known) = self.table.column(column) else { return OPEN_RANGE_UNKNOWN };
        let not_null = self.statistics(column).map_or(1.0, |statistics| 1.0 - statistics.null_fraction);
        let bound = |class: &Class| conditions.iter().find(|condition| condition.class == *class);
        if conditions.iter().any(|condition| matches!(condition.class, Class::Prefix(_))) {
            return CLOSED_RANGE_UNKNOWN;
        }
        let position = |condition: &Condition| match &condition.operand {
            Operand::Literal(value) => position(known, self.statistics(column)?, value),
            _ => None,
        };
        let dated = known.type_category == "D";
        let kept = match (bound(&Class::Above), bound(&Class::Below)) {
            (Some(low), Some(high)) => match (position(low), position(high)) {
                (Some(low), Some(high)) => (high - low).max(CLOSED_RANGE_UNKNOWN),
                _ => CLOSED_RANGE_UNKNOWN,
            },
            (Some(low), None) => position(low).map_or(if dated { RECENT } else { OPEN_RANGE_UNKNOWN }, |position| 1.0 - position),
            (None, Some(high)) => position(high).unwrap_or(OPEN_RANGE_UNKNOWN),
            (None, None) => 1.0,
        };
        kept * not_null
    }
}

/// Returns how far through the column's values a literal lies, 0 to 1, by its histogram.
fn position(column: &Column, statistics: &ColumnStatistics, value: &str) -> Option<f64> {
    let bounds = &statistics.histogram;
    if bounds.len() < 2 {
        return None;
    }
    let below = match column.type_category.as_str() {
        "N" => {
            let value: f64 = value.parse().ok()?;
            bounds.iter().filter(|bound| bound.parse::<f64>().is_ok_and(|bound| bound < value)).count()
        }
        // ISO dates order as their text does.
        "D" => bounds.iter().filter(|bound| bound.as_str() < value).count(),
        _ => return None,
    };
    Some(below as f64 / bounds.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn condition(column: &str, class: Class, operand: Operand) -> Condition {
        Condition { column: column.into(), class, operand }
    }

    fn with_facts<T>(check: impl FnOnce(&Facts<'_>) -> T) -> T {
        let snapshot = sample::crm();
        let relations = Relations::new(&snapshot);
        let table = snapshot.tables.iter().find(|table| table.name.name == "prospects").unwrap();
        check(&Facts::of_all(&relations)[&table.oid])
    }

    #[test]
    fn a_common_literal_keeps_its_own_share() {
        let kept = with_facts(|facts| {
            let common = condition("status", Class::Equality { values: 1 }, Operand::Literal("new".into()));
            facts.selectivity("status", &[&common])
        });
        assert_eq!(kept, 0.5);
    }

    #[test]
    fn a_parameter_keeps_between_an_even_share_and_the_most_common_one() {
        let kept = with_facts(|facts| {
            let any = condition("status", Class::Equality { values: 1 }, Operand::Parameter);
            facts.selectivity("status", &[&any])
        });
        assert!(kept > 0.25 && kept < 0.5, "{kept}");
    }

    #[test]
    fn two_bounds_keep_less_than_one() {
        let (one, two) = with_facts(|facts| {
            let low = condition("created_at", Class::Above, Operand::Parameter);
            let high = condition("created_at", Class::Below, Operand::Parameter);
            (facts.selectivity("created_at", &[&low]), facts.selectivity("created_at", &[&low, &high]))
        });
        assert!(two < one, "{two} {one}");
    }

    #[test]
    fn a_partitioned_table_is_as_large_as_its_leaves() {
        let mut snapshot = sample::crm();
        let parent = snapshot.tables[0].oid;
        let leaf = snapshot.tables.iter().position(|table| table.name.name == "prospects").unwrap();
        snapshot.tables[0].kind = TableKind::Partitioned;
        snapshot.tables[leaf].parent = Some(parent);
        let relations = Relations::new(&snapshot);
        let facts = Facts::of_all(&relations);
        assert_eq!(facts[&parent].pages, facts[&snapshot.tables[leaf].oid].pages);
    }
}
