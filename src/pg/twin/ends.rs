//! Where the twin cannot know what the server knows: beyond the ends of a histogram, and in ranges.
//!
//! For a value in the first or last bucket of a column that leads an index, the server looks up the real extreme in that
//! index. The twin's index is empty, so it keeps to the histogram; such statements are said to be approximate.

use std::collections::BTreeSet;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::advisor::query::{Class, Comparison, Operand, ParameterUse, Query};
use crate::advisor::values::ValueSet;
use crate::catalog::name::literal;
use crate::catalog::{Column, Oid, Relations, Snapshot};

/// Returns the caveat when a bound of the statement lies in an outermost bucket, or statistics are lacking that the server has.
pub(super) async fn beyond(client: &Client, snapshot: &Snapshot, query: &Query, sets: &[ValueSet]) -> Option<String> {
    if unknown_ranges(snapshot, query) {
        return Some("the role may not read histograms of ranges before PostgreSQL 17".to_owned());
    }
    let tests = tests(snapshot, query, sets);
    if tests.is_empty() {
        return None;
    }
    let sql = format!("select {}", tests.into_iter().collect::<Vec<_>>().join(" or "));
    let answer = client.simple_query(&sql).await.ok()?;
    let outside = answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t")));
    outside.then(|| "a value at the histogram's end, where the server looks into its index".to_owned())
}

/// Returns whether the statement searches ranges of which the server knows more than the snapshot.
fn unknown_ranges(snapshot: &Snapshot, query: &Query) -> bool {
    let relations = Relations::new(snapshot);
    query.blocks.iter().flat_map(|block| &block.accesses).any(|access| {
        let column = |name: Option<&str>| relations.table(access.table)?.column(name?);
        access.containments.iter().filter_map(|found| column(found.target.column())).any(|column| {
            let found = column.statistics.as_ref().or(column.statistics_inherited.as_ref());
            column.type_category == "R" && found.is_some_and(|statistics| statistics.ranges.is_none())
        })
    })
}

/// Returns one SQL condition for each value compared with such a column.
fn tests(snapshot: &Snapshot, query: &Query, sets: &[ValueSet]) -> BTreeSet<String> {
    let relations = Relations::new(snapshot);
    let leads = |table: Oid, column: &str| {
        let leading = relations
            .indexes_of(table)
            .iter()
            .filter(|index| index.usable() && index.predicate.is_none() && index.access_method == "btree");
        leading.filter_map(|index| index.keys.first()?.target.column()).any(|leader| leader == column)
    };
    let column = |table: Oid, name: &str| relations.table(table)?.column(name).filter(|_| leads(table, name));
    let mut tests = BTreeSet::new();
    for (number, of) in &query.parameters {
        let ParameterUse::Column { table, column: name, comparison } = of else { continue };
        let Some(column) = column(*table, name) else { continue };
        let values = sets.iter().filter_map(|set| set.literals.get((*number as usize).checked_sub(1)?));
        tests.extend(values.filter_map(|value| match comparison {
            Comparison::Above | Comparison::Below => test(column, value),
            Comparison::Age => test(column, &format!("{}::timestamptz - ({value})::interval", literal(&snapshot.taken_at.to_string()))),
            _ => None,
        }));
    }
    for access in query.blocks.iter().flat_map(|block| &block.accesses) {
        for condition in access.conditions.iter().filter(|condition| matches!(condition.class, Class::Above | Class::Below)) {
            let (Operand::Literal(value), Some(column)) = (&condition.operand, column(access.table, &condition.column)) else { continue };
            tests.extend(test(column, &literal(value)));
        }
    }
    tests
}

fn test(column: &Column, value: &str) -> Option<String> {
    let histogram = &column.statistics.as_ref()?.histogram;
    let (second, last_but_one) = (histogram.get(1)?, histogram.get(histogram.len().checked_sub(2)?)?);
    let type_name = &column.type_name;
    let bound = |bound: &String| format!("{}::{type_name}", literal(bound));
    Some(format!("(({value})::{type_name} < {} or ({value})::{type_name} > {})", bound(second), bound(last_but_one)))
}
