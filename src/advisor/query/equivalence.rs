//! What equalities imply: of `a.x = b.x` and `b.x = $1`, that `a.x = $1`.

use std::collections::BTreeSet;

use super::{Block, Class, Condition, Operand};

/// A column of a block: its access and name.
type Member = (usize, String);

/// Adds the conditions that follow from those noted, as the planner's equivalence classes do.
///
/// A join condition noted on one side only (the filled side of an outer join) passes values on in that direction alone.
pub(super) fn complete(block: &mut Block) {
    let edges = edges(block);
    if edges.is_empty() {
        return;
    }
    let members: BTreeSet<&Member> = edges.iter().flat_map(|(from, to)| [from, to]).collect();
    let mut added: Vec<(usize, Condition)> = Vec::new();
    for member in members {
        for reached in reached(&edges, member) {
            let (access, column) = member.clone();
            let operand = if let Some(operand) = constant(block, &reached) {
                operand
            } else if reached.0 != access && both_ways(&edges, member, &reached) {
                Operand::Joined { access: reached.0, column: Some(reached.1.clone()) }
            } else {
                continue;
            };
            added.push((access, Condition { column, class: Class::Equality { values: 1 }, operand }));
        }
    }
    for (access, condition) in added {
        let known = &mut block.accesses[access].conditions;
        let same = |known: &Condition| known.column == condition.column && known.is_equality() && known.operand == condition.operand;
        if !known.iter().any(same) {
            known.push(condition);
        }
    }
}

/// Returns where values come from: `(column, the column whose value it has to have)`.
fn edges(block: &Block) -> BTreeSet<(Member, Member)> {
    let mut edges = BTreeSet::new();
    for (at, access) in block.accesses.iter().enumerate() {
        for condition in &access.conditions {
            if let (Class::Equality { values: 1 }, Operand::Joined { access: other, column: Some(column) }) =
                (&condition.class, &condition.operand)
                && *other < block.accesses.len()
            {
                edges.insert(((at, condition.column.clone()), (*other, column.clone())));
            }
        }
    }
    edges
}

/// Returns the other columns a column's value may come from.
fn reached(edges: &BTreeSet<(Member, Member)>, from: &Member) -> BTreeSet<Member> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.clone()];
    while let Some(member) = open.pop() {
        for (_, next) in edges.iter().filter(|(of, _)| *of == member) {
            if next != from && reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

fn both_ways(edges: &BTreeSet<(Member, Member)>, a: &Member, b: &Member) -> bool {
    reached(edges, b).contains(a)
}

/// Returns the one value a column is compared with.
fn constant(block: &Block, (access, column): &Member) -> Option<Operand> {
    let conditions = &block.accesses.get(*access)?.conditions;
    let single = |condition: &&Condition| {
        condition.column == *column
            && condition.class == Class::Equality { values: 1 }
            && !matches!(condition.operand, Operand::Joined { .. } | Operand::Subquery)
    };
    conditions.iter().find(single).map(|condition| condition.operand.clone())
}
