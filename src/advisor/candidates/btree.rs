//! Key lists of B-trees: equalities, then the order, then one range.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::super::CandidateKey;
use super::context::Context;
use super::wanted::{Equality, Wanted};
use crate::catalog::Oid;

/// An equality that keeps more of the rows than this does not lead an index (rule of thumb: beyond it bitmap and
/// sequential scans cost the same).
pub(super) const LEADING_SHARE_MAX: f64 = 0.3;
/// The most orders of the equalities of one access that are tried, beside those that existing indexes suggest.
const ORDERS_MAX: usize = 3;

/// Returns the key lists worth trying, widest ones first.
pub(super) fn key_lists(wanted: &Wanted, context: &Context<'_, '_>, table: Oid) -> BTreeSet<Vec<CandidateKey>> {
    let mut lists = BTreeSet::new();
    for equalities in orders(wanted, context, table) {
        let keys = keys(&equalities);
        let all_single = equalities.iter().all(|equality| equality.single);
        extend_with_rest(wanted, &keys, all_single, &mut lists);
        // The first equality alone before order and range serves statements that leave the others out.
        if let Some(first) = equalities.first() {
            extend_with_rest(wanted, std::slice::from_ref(&first.key), first.single, &mut lists);
        }
        // A list of values breaks the order: leave it out.
        let single: Vec<CandidateKey> = equalities.iter().filter(|equality| equality.single).map(|equality| equality.key.clone()).collect();
        if !all_single && !single.is_empty() {
            extend_with_rest(wanted, &single, true, &mut lists);
        }
    }
    lists.extend(per_join(wanted));
    lists.extend(wanted.equalities.iter().map(|equality| vec![equality.key.clone()]));
    lists.extend(wanted.ranges.iter().map(|range| vec![range.clone()]));
    if wanted.order_alone && !wanted.order.is_empty() {
        lists.insert(wanted.order.clone());
    }
    lists.retain(|keys| !keys.is_empty());
    lists
}

/// Returns the one list that serves all the access asks for: its equalities, order and range.
pub(super) fn best(wanted: &Wanted) -> Vec<CandidateKey> {
    let equalities = sorted(&wanted.equalities, &by_frequency);
    full(wanted, &equalities)
}

/// Returns the list that serves an access whose joined columns have values: those first, then its own equalities.
pub(super) fn joined(wanted: &Wanted) -> Vec<CandidateKey> {
    let equalities = sorted(&wanted.equalities, &|a, b| b.join.cmp(&a.join).then(a.kept.total_cmp(&b.kept)));
    if wanted.equalities.iter().any(|equality| equality.join) { full(wanted, &equalities) } else { Vec::new() }
}

/// Returns the list that serves an access whose joined columns have no value yet.
pub(super) fn constant(wanted: &Wanted) -> Vec<CandidateKey> {
    let own: Vec<Equality> = wanted.equalities.iter().filter(|equality| !equality.join).cloned().collect();
    full(wanted, &sorted(&own, &by_frequency))
}

/// Returns, for each joined column alone, the lists that serve the access when that join alone has a value: the column before and
/// after the access's own equalities, then a range.
pub(super) fn per_join(wanted: &Wanted) -> Vec<Vec<CandidateKey>> {
    let own: Vec<Equality> = wanted.equalities.iter().filter(|equality| !equality.join).cloned().collect();
    let own = sorted(&own, &by_frequency);
    let mut lists = Vec::new();
    for joined in wanted.equalities.iter().filter(|equality| equality.join) {
        let before: Vec<Equality> = std::iter::once(joined).chain(&own).cloned().collect();
        let after: Vec<Equality> = own.iter().chain(std::iter::once(joined)).cloned().collect();
        lists.extend([full(wanted, &before), full(wanted, &after)]);
    }
    lists
}

fn full(wanted: &Wanted, equalities: &[Equality]) -> Vec<CandidateKey> {
    let mut list = keys(equalities);
    let all_single = equalities.iter().all(|equality| equality.single);
    let order = if all_single { wanted.order.as_slice() } else { &[] };
    push_new(&mut list, order.iter().chain(wanted.ranges.first()));
    list
}

fn keys(equalities: &[Equality]) -> Vec<CandidateKey> {
    equalities.iter().map(|equality| equality.key.clone()).collect()
}

fn push_new<'k>(list: &mut Vec<CandidateKey>, keys: impl Iterator<Item = &'k CandidateKey>) {
    for key in keys {
        if !list.iter().any(|known| known.target == key.target) {
            list.push(key.clone());
        }
    }
}

/// Adds equalities alone, then order, then order and range, then one range.
fn extend_with_rest(wanted: &Wanted, equalities: &[CandidateKey], all_single: bool, lists: &mut BTreeSet<Vec<CandidateKey>>) {
    let mut add = |rest: &mut dyn Iterator<Item = &CandidateKey>| {
        let mut keys = equalities.to_vec();
        push_new(&mut keys, rest);
        lists.insert(keys);
    };
    add(&mut std::iter::empty());
    if all_single && !wanted.order.is_empty() {
        add(&mut wanted.order.iter());
    }
    for range in &wanted.ranges {
        add(&mut std::iter::once(range));
        if all_single && !wanted.order.is_empty() {
            add(&mut wanted.order.iter().chain(std::iter::once(range)));
        }
    }
}

/// A column that keeps much of the table leads only when nothing better does.
fn by_frequency(a: &Equality, b: &Equality) -> Ordering {
    let weak = |equality: &Equality| equality.kept > LEADING_SHARE_MAX;
    weak(a).cmp(&weak(b)).then(b.calls.cmp(&a.calls)).then(a.kept.total_cmp(&b.kept))
}

fn sorted(equalities: &[Equality], compare: &dyn Fn(&Equality, &Equality) -> Ordering) -> Vec<Equality> {
    let mut ordered = equalities.to_vec();
    ordered.sort_by(|a, b| compare(a, b).then_with(|| a.key.cmp(&b.key)));
    ordered
}

/// Returns the equalities in the orders worth trying: by frequency in the workload, constants before and after join
/// columns, by selectivity, and as an existing index begins.
fn orders(wanted: &Wanted, context: &Context<'_, '_>, table: Oid) -> Vec<Vec<Equality>> {
    let equalities = &wanted.equalities;
    if equalities.is_empty() {
        return Vec::new();
    }
    let mut orders = vec![
        sorted(equalities, &by_frequency),
        sorted(equalities, &|a, b| a.join.cmp(&b.join).then(a.kept.total_cmp(&b.kept))),
        sorted(equalities, &|a, b| b.join.cmp(&a.join).then(a.kept.total_cmp(&b.kept))),
        sorted(equalities, &|a, b| a.kept.total_cmp(&b.kept)),
    ];
    let mut seen = BTreeSet::new();
    let mut is_new = |order: &Vec<Equality>| seen.insert(keys(order));
    orders.retain(&mut is_new);
    orders.truncate(ORDERS_MAX);
    for (index, _) in context.existing(table).iter().filter(|(index, _)| index.predicate.is_none()) {
        let leading: Vec<&str> = index
            .leading_columns()
            .take_while(|name| equalities.iter().any(|equality| equality.key.target.column() == Some(name)))
            .collect();
        if !leading.is_empty() {
            let place = |equality: &Equality| {
                let column = equality.key.target.column();
                leading.iter().position(|name| Some(*name) == column).unwrap_or(usize::MAX)
            };
            let order = sorted(equalities, &|a, b| place(a).cmp(&place(b)).then(a.kept.total_cmp(&b.kept)));
            if is_new(&order) {
                orders.push(order);
            }
        }
    }
    // Join columns may have no value when the table is read first: then the constants alone find the rows.
    let constants: Vec<Equality> = orders[0].iter().filter(|equality| !equality.join).cloned().collect();
    if !constants.is_empty() && constants.len() < equalities.len() {
        orders.push(constants);
    }
    orders
}
