//! Why a candidate is not worth a price, with the numbers.

use super::super::definition::{Offer, covers};
use super::super::facts::Facts;
use super::super::query::{Operand, Query};
use super::super::{Candidate, candidate, size};
use super::btree::LEADING_SHARE_MAX;
use super::context::Context;
use super::spatial;
use super::wanted::{Equality, Wanted};

/// Tables below this many pages are read whole faster than through an index (convention: 1 MB).
const TABLE_PAGES_MIN: f64 = 128.0;
/// The same for a table that may be searched once for each row of another.
const INNER_PAGES_MIN: f64 = 16.0;
/// The same for a table of a subquery that runs again for each outer row.
const CORRELATED_PAGES_MIN: f64 = 4.0;
/// Rows of another table from which on searches for each of them are many.
const MANY_LOOPS: f64 = 1_000.0;
/// The most bytes a B-tree key may have (a third of a page, less headers).
const KEY_BYTES_MAX: f64 = 2700.0;

/// What an access asked, as far as refusals need it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) wanted: Vec<Equality>,
    /// The column whose order alone would be worth an index.
    pub(super) ordered: Option<String>,
    /// The least pages of the table for which an index is worth a thought.
    pub(super) pages_min: f64,
}

/// A reason, and whether it is that the index is there already.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) text: String,
    pub(super) exists: bool,
}

impl Asked {
    pub(super) fn of(context: &Context<'_, '_>, query: &Query, block: usize, position: usize, wanted: &Wanted) -> Self {
        let block = &query.blocks[block];
        let access = &block.accesses[position];
        let rows =
            |other: usize| block.accesses.get(other).and_then(|access| context.facts.get(&access.table)).map_or(0.0, |facts| facts.rows);
        let correlated = access.conditions.iter().any(|condition| condition.operand == Operand::Outer);
        let looped = access
            .conditions
            .iter()
            .any(|condition| matches!(condition.operand, Operand::Joined { access, .. } if rows(access) >= MANY_LOOPS));
        let pages_min = match (correlated, looped) {
            (true, _) => CORRELATED_PAGES_MIN,
            (_, true) => INNER_PAGES_MIN,
            _ => TABLE_PAGES_MIN,
        };
        let ordered = wanted.order.first().filter(|_| wanted.order_alone).and_then(|key| key.target.column()).map(str::to_owned);
        Self { wanted: wanted.equalities.clone(), ordered, pages_min }
    }
}

/// Returns why a candidate is not worth a price.
pub(super) fn reason_against(context: &Context<'_, '_>, facts: &Facts<'_>, candidate: &Candidate, asked: &Asked) -> Option<Reason> {
    let refused = |text: String| Some(Reason { text, exists: false });
    let wanted = Offer::of_candidate(candidate, facts.table);
    if let Some((index, _)) =
        context.existing(candidate.table).iter().find(|(index, offer)| covers(index, offer, candidate, &wanted, facts))
    {
        return Some(Reason { text: format!("already covered by {}", index.name.name), exists: true });
    }
    if facts.pages < asked.pages_min {
        return refused(format!("table too small ({} pages)", facts.pages));
    }
    if let Some(text) = missing_extension(context, candidate) {
        return refused(text);
    }
    if let Some(column) = without_class(facts, candidate) {
        return refused(column);
    }
    match candidate.method.as_str() {
        "btree" => too_wide(facts, candidate).or_else(|| not_selective(facts, candidate, asked)).and_then(refused),
        _ => None,
    }
}

/// Returns what has to be installed first.
fn missing_extension(context: &Context<'_, '_>, wanted: &Candidate) -> Option<String> {
    let trigrams = |opclass: &str| opclass.ends_with("gin_trgm_ops") || opclass.ends_with("gist_trgm_ops");
    let needs = wanted.keys.iter().any(|key| key.opclass.as_deref().is_some_and(trigrams));
    (needs && !context.has("pg_trgm"))
        .then(|| format!("pg_trgm is not installed: CREATE EXTENSION pg_trgm; would make {} possible", candidate::label(wanted)))
}

fn without_class(facts: &Facts<'_>, candidate: &Candidate) -> Option<String> {
    let columns = || candidate.keys.iter().filter_map(|key| facts.table.column(key.target.column()?));
    match candidate.method.as_str() {
        "btree" => columns()
            .find(|column| !column.btree)
            .map(|column| format!("type {} of column {} has no B-tree operator class", column.type_name, column.name)),
        "gist" => candidate.keys.iter().find(|key| !spatial::serves(facts, key)).and_then(|key| {
            let column = facts.table.column(key.target.column()?)?;
            Some(format!("type {} of column {} has no GiST operator class", column.type_name, column.name))
        }),
        _ => None,
    }
}

fn too_wide(facts: &Facts<'_>, candidate: &Candidate) -> Option<String> {
    let keys = candidate.keys.iter().map(|key| size::Values::of(facts, &key.target).width);
    let included = candidate.included.iter().filter_map(|name| facts.table.column(name)).map(|column| size::width(facts, column));
    let bytes: f64 = keys.chain(included).sum();
    (bytes > KEY_BYTES_MAX).then(|| format!("keys of {bytes:.0} bytes on average exceed what a B-tree can hold ({KEY_BYTES_MAX} bytes)"))
}

/// Returns why a single key without order, predicate and payload finds too many rows.
fn not_selective(facts: &Facts<'_>, candidate: &Candidate, asked: &Asked) -> Option<String> {
    let [only] = candidate.keys.as_slice() else { return None };
    let plain = candidate.predicate.is_none() && candidate.included.is_empty();
    let name = only.target.column().filter(|name| plain && asked.ordered.as_deref() != Some(name))?;
    let kept = asked.wanted.iter().find(|equality| equality.key.target == only.target)?.kept;
    if kept > LEADING_SHARE_MAX {
        return Some(format!("not selective: one value of {name} keeps about {:.0} % of the rows", kept * 100.0));
    }
    let values = facts.distinct(name);
    (values <= 2.0).then(|| format!("{name} has {values:.0} values: of the rare one a partial index is smaller and serves as well"))
}
