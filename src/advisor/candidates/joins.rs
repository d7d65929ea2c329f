//! Indexes that help a join only together: one finds the rows of the first table, others their partners.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::Candidate;
use super::super::query::{Operand, Query};
use super::refusal::Asked;
use super::wanted::{Equality, Wanted};
use super::{Pool, Proposed, Shape, btree};
use crate::advisor::CandidateKey;

/// The most tables of a block whose indexes are tried all together.
const CHAIN_MAX: usize = 6;

/// Adds, for each table a block may read first, the index that finds its rows and the indexes that find their partners; and for
/// each pair of tables the two that give both sides in the order of the joined columns.
pub(super) fn groups(pool: &mut Pool<'_, '_, '_>, query: &Query, at: usize) {
    let block = &query.blocks[at];
    let parent = block.parent.filter(|_| block.correlated).and_then(|parent| query.blocks.get(parent).map(|block| (parent, block)));
    let wanted: Vec<Option<Wanted>> = (0..block.accesses.len()).map(|position| wanted(pool, query, at, position)).collect();
    let joined: Vec<bool> = block.accesses.iter().map(|access| access.conditions.iter().any(|condition| condition.is_join())).collect();
    if block.accesses.len() > 1 {
        for first in 0..block.accesses.len() {
            let Some(leading) = &wanted[first] else { continue };
            let start = member(pool, query, at, first, btree::constant(leading));
            let mut chain = start.iter().flatten().cloned().collect::<BTreeSet<_>>();
            let mut complete = start.is_some();
            for other in (0..block.accesses.len()).filter(|other| *other != first && joined[*other]) {
                let Some(inner) = &wanted[other] else { continue };
                let partner = member(pool, query, at, other, btree::joined(&toward(query, at, other, first, inner)));
                if let (Some(start), Some(partner)) = (&start, &partner)
                    && meets(query, at, first, other)
                {
                    pool.group(true, start.iter().chain(partner).cloned().collect());
                }
                complete &= partner.is_some();
                chain.extend(partner.flatten());
            }
            pool.group(complete && block.accesses.len() <= CHAIN_MAX, chain);
        }
        for (first, other) in pairs(query, at) {
            let (Some(one), Some(two)) = (&wanted[first], &wanted[other]) else { continue };
            let sides = (
                member(pool, query, at, first, btree::joined(&toward(query, at, first, other, one))),
                member(pool, query, at, other, btree::joined(&toward(query, at, other, first, two))),
            );
            if let (Some(one), Some(two)) = sides {
                pool.group(true, one.into_iter().chain(two).collect());
            }
        }
    }
    // A correlated subquery runs for each row of its outer block.
    if let Some((outer, outer_block)) = parent {
        for position in 0..outer_block.accesses.len() {
            let Some(outside) = self::wanted(pool, query, outer, position) else { continue };
            let Some(start) = member(pool, query, outer, position, btree::constant(&outside)) else { continue };
            for (inner, wanted) in wanted.iter().enumerate().filter(|(inner, _)| joined[*inner]) {
                let Some(wanted) = wanted else { continue };
                if let Some(partner) = member(pool, query, at, inner, btree::joined(wanted)) {
                    pool.group(true, start.iter().cloned().chain(partner).collect());
                }
            }
        }
    }
}

fn wanted(pool: &Pool<'_, '_, '_>, query: &Query, block: usize, position: usize) -> Option<Wanted> {
    let block = &query.blocks[block];
    pool.context.facts.get(&block.accesses[position].table).map(|facts| Wanted::of(pool.context, facts, block, position))
}

/// Returns what an access asks when only the rows of one other table are known; all it asks when nothing compares the two.
fn toward(query: &Query, block: usize, position: usize, known: usize, wanted: &Wanted) -> Wanted {
    if !meets(query, block, position, known) {
        return wanted.clone();
    }
    let access = &query.blocks[block].accesses[position];
    let has_value = |equality: &Equality| {
        !equality.join
            || access.conditions.iter().any(|condition| {
                equality.key.target.column() == Some(condition.column.as_str())
                    && matches!(condition.operand, Operand::Joined { access, .. } if access == known)
            })
    };
    Wanted { equalities: wanted.equalities.iter().filter(|equality| has_value(equality)).cloned().collect(), ..wanted.clone() }
}

/// Returns the candidate on these keys; `Some(None)` when an index that does its work is there, `None` when there can be none.
fn member(
    pool: &mut Pool<'_, '_, '_>,
    query: &Query,
    block: usize,
    position: usize,
    keys: Vec<CandidateKey>,
) -> Option<Option<Arc<Candidate>>> {
    if keys.is_empty() {
        return None;
    }
    let facts = pool.context.facts.get(&query.blocks[block].accesses[position].table)?;
    let wanted = wanted(pool, query, block, position)?;
    let asked = Asked::of(pool.context, query, block, position, &wanted);
    match pool.propose_prefixes(facts, &asked, &Shape::btree(keys)) {
        Proposed::Named(candidate) => Some(Some(candidate)),
        Proposed::Exists => Some(None),
        Proposed::Nothing => None,
    }
}

/// Returns whether a condition of one access compares it with a column of the other.
fn meets(query: &Query, block: usize, first: usize, other: usize) -> bool {
    let compares = |one: usize, two: usize| {
        query.blocks[block].accesses[one]
            .conditions
            .iter()
            .any(|condition| matches!(condition.operand, Operand::Joined { access, .. } if access == two))
    };
    compares(first, other) || compares(other, first)
}

fn pairs(query: &Query, block: usize) -> Vec<(usize, usize)> {
    let count = query.blocks[block].accesses.len();
    (0..count)
        .flat_map(|first| (first + 1..count).map(move |other| (first, other)))
        .filter(|(first, other)| meets(query, block, *first, *other))
        .collect()
}
