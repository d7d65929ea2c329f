//! What one access asks of a B-tree: values, an order, ranges.

use super::super::CandidateKey;
use super::super::facts::Facts;
use super::super::query::{Access, Arm, Block, Class, Condition, ExpressionCondition, Operand, SortKey};
use super::context::Context;
use crate::catalog::KeyTarget;

/// An equality that keeps nearly all rows is worth no key at all.
const KEY_SHARE_MAX: f64 = 0.9;

/// A column or expression compared for equality.
#[derive(Debug, Clone)]
pub(super) struct Equality {
    pub(super) key: CandidateKey,
    /// The share of the rows kept.
    pub(super) kept: f64,
    /// Calls of the whole workload that compare it.
    pub(super) calls: u64,
    /// Whether one value is asked for, so that the next key's order survives.
    pub(super) single: bool,
    /// Whether the value comes from another table's rows.
    pub(super) join: bool,
}

/// What one access asks of a B-tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) equalities: Vec<Equality>,
    pub(super) ranges: Vec<CandidateKey>,
    /// The order as keys, the first ascending.
    pub(super) order: Vec<CandidateKey>,
    /// Whether the order alone is worth an index: it ends early, or groups without a hash.
    pub(super) order_alone: bool,
}

impl Wanted {
    /// Reads one access of a block.
    pub(super) fn of(context: &Context<'_, '_>, facts: &Facts<'_>, block: &Block, position: usize) -> Self {
        let access: &Access = &block.accesses[position];
        let mut wanted = Self::compared(context, facts, &access.conditions, &access.expressions);
        (wanted.order, wanted.order_alone) = order(context, facts, block, position);
        wanted
    }

    /// Reads one arm of an `OR`.
    pub(super) fn of_arm(context: &Context<'_, '_>, facts: &Facts<'_>, arm: &Arm) -> Self {
        Self::compared(context, facts, &arm.conditions, &arm.expressions)
    }

    fn compared(context: &Context<'_, '_>, facts: &Facts<'_>, conditions: &[Condition], expressions: &[ExpressionCondition]) -> Self {
        let mut wanted = Self::default();
        for condition in conditions.iter().filter(|condition| condition.is_equality()) {
            let all: Vec<&Condition> = conditions.iter().filter(|other| other.column == condition.column).collect();
            let kept = facts.selectivity(&condition.column, &all);
            wanted.add(context, facts, CandidateKey::column(&condition.column), kept, condition.is_single_value(), condition.is_join());
        }
        for condition in expressions {
            let plain = Condition { column: String::new(), class: condition.class.clone(), operand: condition.operand.clone() };
            if plain.is_equality() {
                let kept = expression_share(facts, condition);
                let key = context.key(facts, &KeyTarget::Expression(condition.expression.clone()));
                wanted.add(context, facts, key, kept, plain.is_single_value(), plain.is_join());
            }
        }
        wanted.equalities.retain(|equality| equality.kept <= KEY_SHARE_MAX);
        let ranges = conditions.iter().filter(|condition| condition.is_range()).map(|condition| {
            let prefix = matches!(condition.class, Class::Prefix(_));
            ranged(context, facts, CandidateKey::column(&condition.column), prefix)
        });
        let of_expressions =
            expressions.iter().filter(|condition| matches!(condition.class, Class::Above | Class::Below | Class::Prefix(_)));
        let ranges = ranges.chain(of_expressions.map(|condition| {
            let key = context.key(facts, &KeyTarget::Expression(condition.expression.clone()));
            ranged(context, facts, key, matches!(condition.class, Class::Prefix(_)))
        }));
        for key in ranges {
            if !wanted.ranges.contains(&key) && !wanted.equalities.iter().any(|equality| equality.key.target == key.target) {
                wanted.ranges.push(key);
            }
        }
        wanted
    }

    fn add(&mut self, context: &Context<'_, '_>, facts: &Facts<'_>, key: CandidateKey, kept: f64, single: bool, join: bool) {
        if let Some(known) = self.equalities.iter_mut().find(|equality| equality.key == key) {
            known.single |= single;
            known.join &= join;
            return;
        }
        let calls = context.calls(facts.table.oid, &key.target);
        self.equalities.push(Equality { key, kept, calls, single, join });
    }

    /// Returns the same and the equalities of another that are not joins, after its own.
    pub(super) fn beside(mut self, outer: &Self) -> Self {
        for equality in outer.equalities.iter().filter(|equality| !equality.join) {
            if !self.equalities.iter().any(|known| known.key == equality.key) {
                self.equalities.push(equality.clone());
            }
        }
        self
    }

    /// Returns the same without what a predicate already says of these columns.
    pub(super) fn without(&self, columns: &[String]) -> Self {
        let other = |key: &CandidateKey| key.target.column().is_none_or(|name| !columns.iter().any(|column| column == name));
        Self {
            equalities: self.equalities.iter().filter(|equality| other(&equality.key)).cloned().collect(),
            ranges: self.ranges.iter().filter(|key| other(key)).cloned().collect(),
            order: self.order.iter().filter(|key| other(key)).cloned().collect(),
            order_alone: self.order_alone,
        }
    }

    /// Returns whether an index on the column alone would give an order that ends early.
    pub(super) fn orders(&self, column: &str) -> bool {
        self.order_alone && self.order.first().is_some_and(|key| key.target.column() == Some(column))
    }
}

/// Returns the share of the rows that an equality on an expression keeps.
fn expression_share(facts: &Facts<'_>, condition: &ExpressionCondition) -> f64 {
    let values = match condition.class {
        Class::Equality { .. } if condition.operand == Operand::Subquery => 10.0,
        Class::Equality { values } => values as f64,
        _ => 1.0,
    };
    facts.expression_equality(&condition.expression, &condition.columns, &condition.operand) * values
}

/// Returns the key that serves a range; a `LIKE` beginning needs letters compared one by one unless the collation does so.
fn ranged(context: &Context<'_, '_>, facts: &Facts<'_>, key: CandidateKey, prefix: bool) -> CandidateKey {
    let column = key.target.column().and_then(|name| facts.table.column(name));
    if !prefix || context.is_bytewise(column) {
        return key;
    }
    let opclass = match column.map(|column| column.type_name.as_str()) {
        Some(name) if name.starts_with("character varying") => "varchar_pattern_ops",
        Some(name) if name.starts_with("character") => "bpchar_pattern_ops",
        _ => "text_pattern_ops",
    };
    key.with_opclass(opclass)
}

/// Returns the order an access could give, and whether it alone is worth an index.
fn order(context: &Context<'_, '_>, facts: &Facts<'_>, block: &Block, position: usize) -> (Vec<CandidateKey>, bool) {
    if !block.sort.is_empty() && !block.sort_by_expression && !block.grouped {
        // Keys of other tables end what this one can give; the rest is sorted within equal keys (13 and later).
        let own: Vec<&SortKey> = block.sort.iter().take_while(|key| key.of.access == position).collect();
        let Some(first) = own.first() else { return (Vec::new(), false) };
        // Read backwards an index gives the reverse, so only directions that differ need saying.
        let reverse = first.descending;
        let key = |sort: &&SortKey| {
            let descending = sort.descending != reverse;
            let key = context.key(facts, &sort.of.target);
            let not_null = key.target.column().and_then(|name| facts.table.column(name)).is_some_and(|column| column.not_null);
            let nulls_first = if not_null { descending } else { sort.nulls_first != reverse };
            CandidateKey { descending, nulls_first, ..key }
        };
        return (distinct(own.iter().map(key)), block.limit.is_some());
    }
    if block.grouping.is_empty() || block.grouping.iter().any(|of| of.access != position) {
        return (Vec::new(), false);
    }
    (distinct(block.grouping.iter().map(|of| context.key(facts, &of.target))), true)
}

fn distinct(keys: impl Iterator<Item = CandidateKey>) -> Vec<CandidateKey> {
    let mut found: Vec<CandidateKey> = Vec::new();
    for key in keys {
        if !found.iter().any(|known| known.target == key.target) {
            found.push(key);
        }
    }
    found
}
