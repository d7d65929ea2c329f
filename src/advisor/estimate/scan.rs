//! The ways to read one table: in sequence, or through one of its indexes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::super::cost::UsedIndex;
use super::super::facts::Facts;
use super::super::query::{Access, Class, Condition, Operand};
use super::super::{Candidate, size};
use super::constants::Constants;
use crate::catalog::{Index, Oid};
use crate::units::{Bytes, PAGE_BYTES};

/// A B-tree as a scan sees it, existing or not.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Which index it is.
    pub(crate) reference: UsedIndex,
    keys: Vec<ShapeKey>,
    included: Vec<String>,
    /// The predicate's text, simplified for comparison.
    predicate: Option<String>,
    unique: bool,
    pages: f64,
    height: u32,
}

#[derive(Debug)]
struct ShapeKey {
    /// `None` for an expression, which this model does not match.
    column: Option<String>,
    descending: bool,
    nulls_first: bool,
    /// Whether it is of the type's default operator class and so gives the type's order.
    ordered: bool,
}

impl Shape {
    /// Describes an existing index; `None` when it is no B-tree.
    pub(crate) fn of_existing(index: &Index) -> Option<Self> {
        let key = |key: &crate::catalog::Key| ShapeKey {
            column: key.target.column().map(str::to_owned),
            descending: key.descending,
            nulls_first: key.nulls_first,
            ordered: key.opclass_is_default,
        };
        let pages = (index.size_bytes / PAGE_BYTES).max(1) as f64;
        (index.access_method == "btree").then(|| Self {
            reference: UsedIndex::Existing(index.oid),
            keys: index.keys.iter().map(key).collect(),
            included: index.included.clone(),
            predicate: index.predicate.as_deref().map(simplified),
            unique: index.unique,
            pages,
            height: size::height(pages),
        })
    }

    /// Describes a candidate of that size.
    pub(crate) fn of_candidate(candidate: &Arc<Candidate>, size: Bytes) -> Self {
        let key = |key: &super::super::CandidateKey| ShapeKey {
            column: key.target.column().map(str::to_owned),
            descending: key.descending,
            nulls_first: key.nulls_first,
            ordered: key.opclass.is_none(),
        };
        let pages = (size.0 / PAGE_BYTES).max(1) as f64;
        Self {
            reference: UsedIndex::Created(Arc::clone(candidate)),
            keys: candidate.keys.iter().map(key).collect(),
            included: candidate.included.clone(),
            predicate: candidate.predicate.as_deref().map(simplified),
            unique: false,
            pages,
            height: size::height(pages),
        }
    }

    fn covers(&self, access: &Access) -> bool {
        let has = |name: &String| self.included.contains(name) || self.keys.iter().any(|key| key.column.as_ref() == Some(name));
        !access.whole_row && access.columns.iter().all(has)
    }

    /// Returns whether the statement states the predicate, word for word.
    fn predicate_holds(&self, access: &Access) -> bool {
        let Some(predicate) = &self.predicate else { return true };
        access.conditions.iter().any(|condition| {
            let column = &condition.column;
            let texts = match (&condition.class, &condition.operand) {
                (Class::IsNull, _) => vec![format!("{column} is null")],
                (Class::NotNull, _) => vec![format!("{column} is not null")],
                (Class::Equality { values: 1 }, Operand::Literal(value)) if value == "t" => {
                    vec![column.clone(), format!("{column} = true")]
                }
                (Class::Equality { values: 1 }, Operand::Literal(value)) if value == "f" => {
                    vec![format!("not {column}"), format!("{column} = false")]
                }
                (Class::Equality { values: 1 }, Operand::Literal(value)) => {
                    vec![format!("{column} = {value}"), format!("{column} = '{value}'")]
                }
                // A column that is compared with a value is not null.
                (Class::Equality { .. } | Class::Above | Class::Below | Class::Prefix(_), _) => vec![format!("{column} is not null")],
            };
            texts.contains(predicate)
        })
    }
}

/// Strips what `pg_get_expr` adds: outer parentheses and casts of constants.
fn simplified(predicate: &str) -> String {
    let mut text = predicate.trim().to_lowercase();
    while text.starts_with('(') && text.ends_with(')') {
        text = text[1..text.len() - 1].trim().to_owned();
    }
    match text.rsplit_once("'::") {
        Some((before, cast)) if cast.chars().all(|letter| letter.is_alphanumeric() || letter == ' ') => format!("{before}'"),
        _ => text,
    }
}

/// One way to read a table.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    /// Cost of all rows, for one run.
    pub(crate) cost: f64,
    /// Rows that pass every condition.
    pub(crate) rows: f64,
    /// Whether they come in the order asked for.
    pub(crate) ordered: bool,
    /// The index, when one is used.
    pub(crate) used: Option<UsedIndex>,
}

/// An order asked of one table: column, descending, nulls first.
pub(crate) type Order<'q> = [(&'q str, bool, bool)];

/// Tables, indexes and constants a plan is made from.
pub(crate) struct Scans<'m, 'a> {
    pub(crate) facts: &'m HashMap<Oid, Facts<'a>>,
    pub(crate) shapes: &'m HashMap<Oid, Vec<Arc<Shape>>>,
    pub(crate) constants: &'m Constants,
}

impl Scans<'_, '_> {
    /// Returns the ways to read a table when `usable` says which conditions have their other side at hand.
    ///
    /// `runs` is how often the scan is repeated with other values, which spares page reads.
    pub(crate) fn paths(&self, access: &Access, order: &Order<'_>, runs: f64, usable: &dyn Fn(&Condition) -> bool) -> Option<Vec<Path>> {
        let facts = self.facts.get(&access.table)?;
        let conditions: Vec<&Condition> = access.conditions.iter().filter(|condition| usable(condition)).collect();
        let rows = (facts.rows * facts.kept(access, usable)).max(1.0);
        let mut paths = vec![Path { cost: self.sequential(facts, access, conditions.len()), rows, ordered: order.is_empty(), used: None }];
        for shape in self.shapes.get(&access.table).into_iter().flatten().filter(|shape| shape.predicate_holds(access)) {
            self.through(facts, access, shape, &conditions, order, runs, rows, &mut paths);
        }
        Some(paths)
    }

    fn sequential(&self, facts: &Facts<'_>, access: &Access, conditions: usize) -> f64 {
        let constants = self.constants;
        let tests = (conditions + access.filters.len()) as f64;
        facts.pages * constants.seq_page + facts.rows * (constants.cpu_tuple + tests * constants.cpu_operator)
    }

    #[expect(clippy::too_many_arguments, reason = "the leaf of the computation takes what it needs")]
    fn through(
        &self,
        facts: &Facts<'_>,
        access: &Access,
        shape: &Shape,
        conditions: &[&Condition],
        order: &Order<'_>,
        runs: f64,
        rows: f64,
        paths: &mut Vec<Path>,
    ) {
        let constants = self.constants;
        let reach = reach(facts, shape, conditions);
        let ordered = gives(facts, shape, &reach.constant, order);
        let covers = shape.covers(access);
        if reach.conditions == 0 && !ordered && !covers {
            return;
        }
        let entries = (facts.rows * reach.boundary).max(1.0);
        let fetched = if shape.unique && reach.constant.len() == shape.keys.len() { 1.0 } else { (facts.rows * reach.kept).max(1.0) };
        let leaf_pages = (shape.pages * reach.boundary).ceil().max(1.0);
        let leaf_pages = if runs > 1.0 { constants.pages_fetched(leaf_pages * runs, shape.pages, 0.0) / runs } else { leaf_pages };
        let tests = (conditions.len() + access.filters.len()) as f64;
        let index = leaf_pages * constants.random_page
            + constants.descent(facts.rows, shape.height) * reach.descents
            + entries * (constants.cpu_index_tuple + reach.conditions as f64 * constants.cpu_operator);
        let rest_tests = (tests - reach.conditions as f64).max(0.0);
        let per_row = constants.cpu_tuple + rest_tests * constants.cpu_operator;

        // Plain or index-only scan: between every row on its own page and all rows side by side.
        let heap = if covers { 1.0 - facts.all_visible } else { 1.0 };
        let (scattered, packed) = if runs > 1.0 {
            let scattered = constants.pages_fetched(fetched * runs, facts.pages, shape.pages) / runs;
            let packed = constants.pages_fetched((reach.kept * facts.pages).ceil().max(1.0) * runs, facts.pages, shape.pages) / runs;
            (scattered * heap * constants.random_page, packed * heap * constants.random_page)
        } else {
            let scattered = (constants.pages_fetched(fetched, facts.pages, shape.pages) * heap).ceil();
            let packed = ((reach.kept * facts.pages).ceil().max(1.0) * heap).ceil();
            (
                scattered * constants.random_page,
                if packed > 0.0 { constants.random_page + (packed - 1.0) * constants.seq_page } else { 0.0 },
            )
        };
        let correlation = reach.correlation * reach.correlation;
        let io = scattered + correlation * (packed.min(scattered) - scattered);
        let rows = rows.min(fetched);
        paths.push(Path { cost: index + io + fetched * per_row, rows, ordered, used: Some(shape.reference.clone()) });

        // Bitmap scan: pages in the heap's order, each once, the order of the index lost.
        if reach.conditions > 0 && !(covers && facts.all_visible > 0.5) {
            let pages = constants.pages_fetched(fetched * runs, facts.pages, shape.pages) / runs;
            let share = (pages / facts.pages.max(1.0)).min(1.0);
            let page = if pages >= 2.0 {
                constants.random_page - (constants.random_page - constants.seq_page) * share.sqrt()
            } else {
                constants.random_page
            };
            let recheck = constants.cpu_tuple + tests * constants.cpu_operator;
            let cost = index + entries * 0.1 * constants.cpu_operator + pages * page + fetched * recheck;
            paths.push(Path { cost, rows, ordered: order.is_empty(), used: Some(shape.reference.clone()) });
        }
    }
}

/// How far conditions reach into an index.
struct Reach<'q> {
    /// The share of the entries read.
    boundary: f64,
    /// The share of the rows fetched after every condition the entries decide.
    kept: f64,
    /// Separate searches (`IN` with n values makes n).
    descents: f64,
    /// Conditions decided by the entries.
    conditions: usize,
    /// Columns that hold a single value.
    constant: BTreeSet<&'q str>,
    correlation: f64,
}

fn reach<'q>(facts: &Facts<'_>, shape: &Shape, conditions: &[&'q Condition]) -> Reach<'q> {
    let mut reach = Reach { boundary: 1.0, kept: 1.0, descents: 1.0, conditions: 0, constant: BTreeSet::new(), correlation: 0.0 };
    let mut bounding = true;
    for key in &shape.keys {
        let Some(column) = &key.column else {
            bounding = false;
            continue;
        };
        let served = |condition: &&&'q Condition| {
            condition.column == *column
                && match condition.class {
                    Class::Prefix(_) => !key.ordered,
                    Class::Above | Class::Below => key.ordered,
                    _ => true,
                }
        };
        let on_key: Vec<&'q Condition> = conditions.iter().filter(served).copied().collect();
        let Some(first) = on_key.first() else {
            bounding = false;
            continue;
        };
        let kept = facts.selectivity(column, &on_key);
        reach.conditions += on_key.len();
        reach.kept *= kept;
        if bounding {
            reach.boundary *= kept;
            if let Some(Class::Equality { values }) =
                on_key.iter().map(|condition| &condition.class).find(|class| matches!(class, Class::Equality { .. }))
            {
                reach.descents *= *values as f64;
            }
        }
        if on_key.iter().any(|condition| condition.is_single_value()) {
            reach.constant.insert(&first.column);
        }
        bounding &= on_key.iter().any(|condition| condition.is_equality());
    }
    reach.kept = reach.kept.max((1.0 / facts.rows).min(1.0));
    reach.boundary = reach.boundary.max(reach.kept);
    let leading = shape.keys.first().and_then(|key| key.column.as_deref()).and_then(|name| facts.table.column(name));
    let correlation = leading.and_then(|column| column.statistics.as_ref()?.correlation).unwrap_or(0.0);
    // The planner takes three quarters of the first column's for an index of several.
    reach.correlation = if shape.keys.len() > 1 { correlation * 0.75 } else { correlation };
    reach
}

/// Returns whether a scan, forward or backward, gives the order; columns with a single value do not matter.
fn gives(facts: &Facts<'_>, shape: &Shape, constant: &BTreeSet<&str>, order: &Order<'_>) -> bool {
    let mut keys = shape.keys.iter().filter(|key| key.column.as_deref().is_none_or(|column| !constant.contains(column)));
    let mut backward = None;
    order.iter().filter(|(column, _, _)| !constant.contains(column)).all(|(column, descending, nulls_first)| {
        let Some(key) = keys.next() else { return false };
        let flipped = key.descending != *descending;
        let nulls_matter = facts.table.column(column).is_none_or(|column| !column.not_null);
        let nulls_fit = !nulls_matter || (key.nulls_first != *nulls_first) == flipped;
        key.ordered && key.column.as_deref() == Some(column) && nulls_fit && *backward.get_or_insert(flipped) == flipped
    })
}
