//! Conjuncts that are an `OR`.

use sqlparser::ast::{BinaryOperator, Expr};

use super::condition::{Classifier, INEQUALITY_UNKNOWN, Terms, conjuncts, split};
use super::operator::tests_parameter;
use super::scope::Place;
use super::{Arm, Class, Condition, Operand};

impl Classifier<'_, '_> {
    /// An `OR`: the same column in every arm is a list; other columns may be served by several indexes at once.
    pub(super) fn alternatives(&mut self, whole: &Expr) {
        let arms: Vec<Vec<&Expr>> = split(whole, &BinaryOperator::Or).into_iter().map(conjuncts).collect();
        // `$1 IS NULL OR a = $1` is how applications make a condition optional: with a value, the planner sees `a = $1`.
        let (optional, arms): (Vec<_>, Vec<_>) =
            arms.into_iter().partition(|arm| matches!(arm.as_slice(), [only] if tests_parameter(only)));
        if let ([_, ..], [only]) = (optional.as_slice(), arms.as_slice()) {
            only.iter().for_each(|conjunct| self.conjunct(conjunct));
            return;
        }
        let Some(first) = arms.first() else { return };
        let common: Vec<&Expr> = first.iter().copied().filter(|part| arms.iter().all(|arm| arm.contains(part))).collect();
        common.iter().for_each(|conjunct| self.conjunct(conjunct));
        let arms: Vec<Vec<&Expr>> = arms.iter().map(|arm| arm.iter().copied().filter(|part| !common.contains(part)).collect()).collect();
        // `a OR (a AND b)` is `a`.
        if arms.iter().any(Vec::is_empty) {
            return;
        }
        let learnt: Vec<Terms> = arms
            .iter()
            .map(|arm| {
                let mut inner = Classifier { context: self.context, terms: Terms::default() };
                arm.iter().for_each(|conjunct| inner.conjunct(conjunct));
                inner.terms
            })
            .collect();
        for terms in &learnt {
            self.terms.parameters.extend(terms.parameters.iter().cloned());
        }
        if let Some((places, values)) = one_list(&arms, &learnt) {
            return self.condition(places, &Class::Equality { values }, &Operand::Expression);
        }
        let accesses: Vec<usize> = {
            let mut accesses: Vec<usize> = self.local(whole).into_iter().map(|place| place.access).collect();
            accesses.sort_unstable();
            accesses.dedup();
            accesses
        };
        let own = self.context.scopes.last().map_or(0, |scope| scope.block);
        for access in accesses {
            let served: Option<Vec<Arm>> = learnt.iter().map(|terms| arm(terms, own, access)).collect();
            if let Some(served) = served {
                self.terms.alternatives.push((access, served));
            }
        }
        self.filter(whole, "OR over different columns would need several indexes at once", INEQUALITY_UNKNOWN);
    }
}

/// Returns the column and number of values when every arm of an `OR` compares the same column with constants.
fn one_list(arms: &[Vec<&Expr>], learnt: &[Terms]) -> Option<(Vec<Place>, usize)> {
    let mut list: Option<(Vec<Place>, usize)> = None;
    for (arm, terms) in arms.iter().zip(learnt) {
        let [(_, Condition { class: Class::Equality { values }, operand, .. }), ..] = terms.conditions.as_slice() else { return None };
        let places: Vec<Place> = terms.conditions.iter().map(|(place, _)| place.clone()).collect();
        let constant = !matches!(operand, Operand::Joined { .. } | Operand::Subquery);
        if arm.len() != 1 || !constant || !terms.filters.is_empty() {
            return None;
        }
        match &mut list {
            None => list = Some((places, *values)),
            Some((known, sum)) if *known == places => *sum += values,
            Some(_) => return None,
        }
    }
    list.map(|(places, values)| (places, values.max(2)))
}

/// Returns what an index on one table could do for an arm of an `OR`; `None` when nothing.
fn arm(terms: &Terms, block: usize, access: usize) -> Option<Arm> {
    let arm = Arm {
        conditions: terms
            .conditions
            .iter()
            .filter(|(place, _)| place.block == block && place.access == access)
            .map(|(_, condition)| condition.clone())
            .collect(),
        expressions: terms.expressions.iter().filter(|(of, _)| *of == access).map(|(_, found)| found.clone()).collect(),
        containments: terms.containments.iter().filter(|(of, _)| *of == access).map(|(_, found)| found.clone()).collect(),
    };
    let serves = arm.conditions.iter().any(|condition| condition.class != Class::NotNull);
    (serves || !arm.expressions.is_empty() || !arm.containments.is_empty()).then_some(arm)
}
