//! `ON` and `WHERE`: their conditions, brought to the tables they restrict.

use sqlparser::ast::{self, Expr};

use super::condition::{Terms, bare, classify, conjuncts};
use super::from::On;
use super::read::{Reader, places};
use super::scope::{Output, Place};
use super::{Class, Condition, Operand};

impl Reader<'_, '_> {
    /// Notes conditions of `ON` and `WHERE`, reading the subqueries inside them.
    pub(super) fn conditions(&mut self, on: &[On<'_>]) {
        let Some(block) = self.scopes.last().map(|scope| scope.block) else { return };
        for On { expr, allowed } in on {
            for conjunct in conjuncts(expr) {
                let semi_joined = self.subqueries(block, conjunct);
                let terms = classify(self.context(), conjunct);
                self.apply(block, terms, allowed.as_deref());
                for place in semi_joined {
                    let may = allowed.as_ref().is_none_or(|allowed| allowed.contains(&place.access));
                    let condition = Condition { column: place.column, class: Class::Equality { values: 1 }, operand: Operand::Subquery };
                    let conditions = &mut self.blocks[block].accesses[place.access].conditions;
                    if may && !conditions.iter().any(|known| known.column == condition.column && known.operand == Operand::Subquery) {
                        conditions.push(condition);
                    }
                }
            }
        }
    }

    /// Reads a conjunct's names and subqueries; returns the block's own columns that `EXISTS` compares with its rows.
    fn subqueries(&mut self, block: usize, conjunct: &Expr) -> Vec<Place> {
        match bare(conjunct) {
            Expr::InSubquery { expr, subquery, negated: false } => {
                self.inside(expr.as_ref());
                let outputs = self.query(subquery, Some(block));
                self.looked_up(block, outputs);
            }
            Expr::AnyOp { left, compare_op: ast::BinaryOperator::Eq, right, .. } if matches!(bare(right), Expr::Subquery(_)) => {
                self.inside(left.as_ref());
                if let Expr::Subquery(subquery) = bare(right) {
                    let outputs = self.query(subquery, Some(block));
                    self.looked_up(block, outputs);
                }
            }
            Expr::Exists { subquery, negated } => {
                let (known, inner) = (self.correlations.len(), self.blocks.len());
                self.projection_unread = true;
                self.query(subquery, Some(block));
                self.projection_unread = false;
                // Rows without a match are sought by NOT EXISTS: no look-up finds those.
                if !negated {
                    let found = self.correlations[known..].iter();
                    return found.filter(|(at, place)| *at == inner && place.block == block).map(|(_, place)| place.clone()).collect();
                }
            }
            conjunct => self.inside(conjunct),
        }
        Vec::new()
    }

    /// `a IN (SELECT b …)`: the subquery may be looked up by `b` for each row outside.
    fn looked_up(&mut self, outer: usize, outputs: Option<Vec<Output>>) {
        for place in outputs.iter().flatten().flat_map(places) {
            let block = &mut self.blocks[place.block];
            if place.block == outer || block.grouped || block.aggregate || block.limit.is_some() {
                continue;
            }
            block.correlated = true;
            block.accesses[place.access].conditions.push(Condition {
                column: place.column.clone(),
                class: Class::Equality { values: 1 },
                operand: Operand::Outer,
            });
        }
    }

    fn apply(&mut self, own: usize, terms: Terms, allowed: Option<&[usize]>) {
        for (number, used) in terms.parameters {
            self.parameters.entry(number).or_insert(used);
        }
        self.correlations.extend(terms.correlated.into_iter().map(|place| (own, place)));
        let may = |access: usize| allowed.is_none_or(|allowed| allowed.contains(&access));
        // Above an outer join, what NULL satisfies does not hold of the rows read.
        let as_read = |access: usize| allowed.is_some() || !self.nullable.contains(&(own, access));
        for (place, mut condition) in terms.conditions {
            if place.block == own {
                let accesses = &mut self.blocks[own].accesses;
                let holds = condition.class != Class::IsNull || as_read(place.access);
                if may(place.access) && holds && !accesses[place.access].conditions.contains(&condition) {
                    accesses[place.access].conditions.push(condition);
                }
            } else if allowed.is_none() && condition.class != Class::IsNull {
                let block = &mut self.blocks[place.block];
                if condition.is_join() {
                    if !self.appended.contains(&place.block) {
                        continue;
                    }
                    condition.operand = Operand::Outer;
                    block.correlated = true;
                    block.parent = Some(own);
                }
                if !block.accesses[place.access].conditions.contains(&condition) {
                    block.accesses[place.access].conditions.push(condition);
                }
            }
        }
        let accesses = &mut self.blocks[own].accesses;
        for (access, found) in terms.filters.into_iter().filter(|(access, _)| may(*access)) {
            accesses[access].filters.push(found);
        }
        for (access, found) in terms.expressions.into_iter().filter(|(access, _)| may(*access)) {
            if as_read(access) || (found.class != Class::IsNull && !admits_null(&found.expression)) {
                accesses[access].expressions.push(found);
            }
        }
        for (access, found) in terms.containments.into_iter().filter(|(access, _)| may(*access)) {
            accesses[access].containments.push(found);
        }
        for (access, found) in terms.alternatives.into_iter().filter(|(access, _)| may(*access)) {
            let tests_null = found.iter().flat_map(|arm| &arm.conditions).any(|condition| condition.class == Class::IsNull);
            if as_read(access) || !tests_null {
                accesses[access].alternatives.push(found);
            }
        }
        for (access, found) in terms.constants.into_iter().filter(|(access, _)| may(*access)) {
            if (as_read(access) || !admits_null(&found.text)) && !accesses[access].constants.contains(&found) {
                accesses[access].constants.push(found);
            }
        }
    }
}

/// Returns whether an expression may be true or have a value where its columns are NULL.
fn admits_null(text: &str) -> bool {
    let text = text.to_lowercase();
    ["coalesce(", "case ", " is null", " is not true", " is not false", " is distinct", " is unknown", "concat(", "num_nulls("]
        .iter()
        .any(|part| text.contains(part))
}
