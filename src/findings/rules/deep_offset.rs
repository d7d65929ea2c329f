//! Pages far down a list, for which every row before them is read and thrown away.

use sqlparser::ast::{Expr, Value};

use crate::catalog::name::quoted;
use crate::catalog::{Column, Index, Relations, Table};
use crate::findings::statements::comparison::comparison;
use crate::findings::statements::rewrite::number;
use crate::findings::statements::target::large_pages;
use crate::findings::statements::{Level, Recorded, tell};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Statements};
use crate::units::grouped;

pub(super) const RULE: Rule = Rule {
    id: "deep-offset",
    summary: "A statement skips many rows with OFFSET; each of them is read all the same, and the more the further down the list.",
    check: Check::Workload(check),
};

/// 1000 rows skipped: below this a person may still be turning pages.
const DEEP_ROWS: f64 = 1000.0;

/// 5 blocks for each row returned: a row found through an index costs one to its heap page and a share of an index page.
const BLOCKS_PER_ROW: f64 = 5.0;

/// 100 blocks: fewer cost nothing that would be noticed.
const MANY_BLOCKS: f64 = 100.0;

fn check<'a>(relations: &Relations<'a>, statements: &Statements<'a>) -> Vec<Finding> {
    let mut findings = vec![];
    for recorded in statements.weighty() {
        let levels = statements.reading(recorded).map_or(&[][..], |reading| &reading.levels);
        if let Some(paging) = levels.iter().find_map(|level| Paging::of(level, recorded, relations)) {
            findings.push(finding(recorded, &paging));
        }
    }
    findings
}

/// How many rows a statement skips.
enum Depth {
    /// A number in the text, or the mean of the recorded values.
    Rows(f64),
    /// A parameter whose values nobody recorded: judged by the blocks read for each row returned.
    Judged,
}

/// A list that is read page by page.
struct Paging<'a> {
    table: &'a Table,
    /// The columns it is ordered by, and whether each descends.
    order: Vec<(&'a Column, bool)>,
    /// The primary key's columns that make the order unambiguous.
    breakers: Vec<&'a Column>,
    depth: Depth,
    limit: String,
}

impl<'a> Paging<'a> {
    fn of(level: &Level<'a>, recorded: &Recorded<'a>, relations: &Relations<'a>) -> Option<Self> {
        let offset = level.offset.as_ref()?;
        let [source] = level.sources.as_slice() else { return None };
        let table = source.table?;
        large_pages(table, relations)?;
        let order: Vec<(&Column, bool)> = level.order_columns()?.into_iter().map(|(_, column, descending)| (column, descending)).collect();
        if order.is_empty() || level.grouped {
            return None;
        }
        let depth = match known(offset, recorded) {
            Some(rows) if rows >= DEEP_ROWS => Depth::Rows(rows),
            Some(_) => return None,
            None if is_read_in_order(level, table, &order, relations) && reads_more_than_it_returns(recorded) => Depth::Judged,
            None => return None,
        };
        let breakers = breakers(table, &order, relations);
        let limit = level.limit.as_ref().map_or(String::new(), |limit| format!(" LIMIT {limit}"));
        Some(Self { table, order, breakers, depth, limit })
    }

    /// Writes the condition and order of the page after a given row.
    fn rewritten(&self) -> String {
        let descending = self.order.last().is_some_and(|(_, descending)| *descending);
        let keys: Vec<(&Column, bool)> =
            self.order.iter().copied().chain(self.breakers.iter().map(|&column| (column, descending))).collect();
        let last = |column: &Column| format!(":last_{}", column.name.to_lowercase().replace(|letter: char| !letter.is_alphanumeric(), "_"));
        let condition = if keys.iter().all(|(_, other)| *other == descending) {
            let names: Vec<String> = keys.iter().map(|(column, _)| quoted(&column.name)).collect();
            let values: Vec<String> = keys.iter().map(|(column, _)| last(column)).collect();
            let operator = if descending { "<" } else { ">" };
            match (names.as_slice(), values.as_slice()) {
                ([name], [value]) => format!("{name} {operator} {value}"),
                _ => format!("({}) {operator} ({})", names.join(", "), values.join(", ")),
            }
        } else {
            // Rows compare in one direction only, so that mixed ones are spelled out.
            let arms: Vec<String> = (0..keys.len())
                .map(|at| {
                    let equal = keys[..at].iter().map(|(column, _)| format!("{} = {}", quoted(&column.name), last(column)));
                    let (column, descending) = keys[at];
                    let after = format!("{} {} {}", quoted(&column.name), if descending { "<" } else { ">" }, last(column));
                    equal.chain([after]).collect::<Vec<_>>().join(" AND ")
                })
                .collect();
            format!("({})", arms.join(" OR "))
        };
        let order: Vec<String> =
            keys.iter().map(|(column, descending)| format!("{}{}", quoted(&column.name), if *descending { " DESC" } else { "" })).collect();
        format!("… AND {condition} ORDER BY {}{}", order.join(", "), self.limit)
    }
}

/// Returns the rows an offset skips, from the text or the mean of its recorded values.
fn known(offset: &Expr, recorded: &Recorded<'_>) -> Option<f64> {
    if let Some(rows) = number(offset) {
        return Some(rows);
    }
    let Expr::Value(value) = offset else { return None };
    let Value::Placeholder(name) = &value.value else { return None };
    let position = name.trim_start_matches('$').parse::<usize>().ok()?.checked_sub(1)?;
    let values: Vec<f64> = recorded.parameters.iter().filter_map(|call| call.get(position)?.as_deref()?.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Returns whether an index gives the rows in the order asked for, and every condition is met by its first keys: then all that is
/// read beyond the rows returned was skipped.
fn is_read_in_order(level: &Level<'_>, table: &Table, order: &[(&Column, bool)], relations: &Relations<'_>) -> bool {
    let equal: Option<Vec<&str>> = level
        .conjuncts
        .iter()
        .map(|condition| {
            let comparison = comparison(condition).filter(|comparison| comparison.with.is_equality())?;
            level.column(comparison.subject).map(|(_, column)| column.name.as_str())
        })
        .collect();
    let Some(equal) = equal else { return false };
    let gives = |index: &Index| {
        let names: Vec<Option<&str>> = index.keys.iter().map(|key| key.target.column()).collect();
        let all_first = equal.iter().all(|name| names[..equal.len().min(names.len())].contains(&Some(*name)));
        let rest = &index.keys[equal.len().min(index.keys.len())..];
        // What the index does not order, few rows with equal keys are sorted by.
        let ordered = rest.first().is_some_and(|key| key.target.column() == Some(order[0].0.name.as_str()))
            && rest.iter().zip(order).all(|(key, (column, descending))| {
                key.target.column() != Some(column.name.as_str()) || (key.descending == *descending) == (rest[0].descending == order[0].1)
            });
        index.usable() && index.access_method == "btree" && index.predicate.is_none() && all_first && ordered
    };
    relations.indexes_of(table.oid).iter().any(|index| gives(index))
}

fn reads_more_than_it_returns(recorded: &Recorded<'_>) -> bool {
    let blocks = recorded.totals.blocks_per_call();
    blocks >= MANY_BLOCKS.max(BLOCKS_PER_ROW * recorded.totals.rows_per_call())
}

/// Returns the primary key's columns the order lacks.
fn breakers<'a>(table: &'a Table, order: &[(&Column, bool)], relations: &Relations<'a>) -> Vec<&'a Column> {
    let unique = |index: &&&Index| {
        index.unique && index.keys.iter().all(|key| order.iter().any(|(column, _)| key.target.column() == Some(&column.name)))
    };
    let indexes = relations.indexes_of(table.oid);
    if indexes.iter().any(|index| unique(&index)) {
        return vec![];
    }
    let primary = indexes.iter().find(|index| index.primary);
    let columns = primary.into_iter().flat_map(|index| index.leading_columns()).filter_map(|name| table.column(name));
    columns.filter(|column| !order.iter().any(|(other, _)| other.number == column.number)).collect()
}

fn finding(recorded: &Recorded<'_>, paging: &Paging<'_>) -> Finding {
    let totals = &recorded.totals;
    let skipped = match paging.depth {
        Depth::Rows(rows) => format!("skips {} rows of {} a call", grouped(rows as u64), paging.table.name),
        Depth::Judged => format!(
            "touches {:.0} blocks for {:.1} rows a call, though an index gives {} in the order asked for: the rest was skipped",
            totals.blocks_per_call(),
            totals.rows_per_call(),
            paging.table.name
        ),
    };
    let mut evidence = tell::evidence(recorded);
    if let Depth::Rows(rows) = paging.depth {
        evidence.insert(0, tell::counter("rows_skipped_per_call", rows, "rows"));
    }
    let rewritten = paging.rewritten();
    evidence.push(Evidence::new("rewritten", rewritten.clone(), "", "pgload"));
    let nullable: Vec<&str> =
        paging.order.iter().map(|(column, _)| *column).filter(|column| !column.not_null).map(|column| column.name.as_str()).collect();
    let mut help =
        format!("Ask for what comes after the last row shown instead of counting rows: {rewritten}. It cannot jump to a page by number.");
    if !nullable.is_empty() {
        help.push_str(&format!(" Rows whose {} is NULL would be left out: mind them where there are any.", nullable.join(" or ")));
    }
    Finding {
        rule: RULE.id.to_owned(),
        severity: tell::severity(recorded),
        object: Object::statement(recorded.id),
        message: format!("{} {skipped}: {}", tell::named(recorded), tell::text(recorded)),
        evidence,
        help,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, index};

    /// Samples a list read 20 rows a call with so many blocks, ordered by an index on (b, a) beside the primary key on e.
    fn sample(query: &str, blocks: u64) -> Sample {
        let mut sample = Sample::of([("x", index("b, a")), ("t_pkey", index("e").constraint("t_pkey"))]);
        let statement = sample.statement("42", query, 100, 50.0);
        (statement.rows, statement.shared_blocks_hit) = (2_000, 100 * blocks);
        sample
    }

    fn help(query: &str, blocks: u64) -> Option<String> {
        sample(query, blocks).findings(RULE.check).pop().map(|finding| finding.help)
    }

    #[test]
    fn a_deep_page_becomes_a_condition_on_the_last_row() {
        let help = help("select * from t order by a desc limit 20 offset 1000", 100).unwrap();
        assert!(help.contains(": … AND (a, e) < (:last_a, :last_e) ORDER BY a DESC, e DESC LIMIT 20."), "{help}");
        assert!(help.ends_with("Rows whose a is NULL would be left out: mind them where there are any."), "{help}");
    }

    #[test]
    fn an_unambiguous_order_needs_nothing_added_and_a_mixed_one_is_spelled_out() {
        let single = help("select * from t order by e limit 20 offset 5000", 100).unwrap();
        assert!(single.contains("… AND e > :last_e ORDER BY e LIMIT 20."), "{single}");
        let mixed = help("select * from t order by a desc, e limit 20 offset 5000", 100).unwrap();
        assert!(mixed.contains("… AND (a < :last_a OR a = :last_a AND e > :last_e) ORDER BY a DESC, e LIMIT 20."), "{mixed}");
    }

    #[test]
    fn a_parameter_is_judged_by_blocks_where_an_index_gives_the_order() {
        let query = "select * from t where b = $1 order by a desc limit $2 offset $3";
        assert!(help(query, 99).is_none());
        let finding = sample(query, 100).findings(RULE.check).remove(0);
        assert!(finding.message.contains("touches 100 blocks for 20.0 rows a call, though an index gives public.t"), "{}", finding.message);
        // A sort or a filter reads as much on the first page.
        assert!(help("select * from t where b = $1 order by c limit $2 offset $3", 9_000).is_none());
        assert!(help("select * from t where b = $1 and d = $2 order by a limit $3 offset $4", 9_000).is_none());
        assert!(help("select * from t where b > $1 order by a limit $2 offset $3", 9_000).is_none());
    }

    #[test]
    fn recorded_values_decide_where_there_are_any() {
        let offsets = |values: &[&str]| {
            let mut sample = sample("select * from t order by c limit $1 offset $2", 9_000);
            sample.snapshot.statements[0].parameters =
                values.iter().map(|value| vec![Some("20".to_owned()), Some((*value).to_owned())]).collect();
            sample.named(RULE.check)
        };
        assert_eq!(offsets(&["0", "2000"]), ["42"]);
        assert!(offsets(&["0", "20"]).is_empty());
    }

    #[test]
    fn first_pages_joins_groups_and_lists_without_order_are_left_alone() {
        for query in [
            "select * from t order by a limit 20 offset 999",
            "select * from t limit 20 offset 5000",
            "select a, count(*) from t group by a order by a limit 20 offset 5000",
            "select * from t, u order by a limit 20 offset 5000",
            "select * from t order by lower(a) limit 20 offset 5000",
        ] {
            assert!(help(query, 9_000).is_none(), "{query}");
        }
    }
}
