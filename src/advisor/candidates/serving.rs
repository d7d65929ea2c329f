//! Which statements a candidate could serve: also those that it was not made for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::super::query::{Access, Block, Class, Query};
use super::super::{Candidate, expression};
use super::context::{Context, spelled};
use super::partial;
use crate::catalog::{KeyTarget, Oid};

/// What one access could use of an index.
struct Use {
    query: usize,
    /// Compared for equality.
    equal: BTreeSet<KeyTarget>,
    /// Compared with a bound.
    ranged: BTreeSet<KeyTarget>,
    /// Beginnings and patterns.
    patterns: BTreeSet<KeyTarget>,
    /// Asked for in order or in groups.
    ordered: BTreeSet<KeyTarget>,
    /// Asked for by other operators, or by distance.
    contained: BTreeSet<KeyTarget>,
    /// Conjuncts that hold for all rows it wants.
    stated: BTreeSet<String>,
}

/// Notes for each candidate the statements it could serve.
pub(super) fn served(context: &Context<'_, '_>, queries: &[Query], candidates: &mut BTreeMap<Arc<Candidate>, BTreeSet<usize>>) {
    let mut uses: HashMap<Oid, Vec<Use>> = HashMap::new();
    for (at, query) in queries.iter().enumerate() {
        for block in &query.blocks {
            for (position, access) in block.accesses.iter().enumerate() {
                uses.entry(access.table).or_default().push(Use::of(context, at, query, block, position, access));
            }
        }
    }
    for (candidate, served) in candidates {
        let keys: Vec<KeyTarget> = candidate.keys.iter().map(|key| spelled(&key.target)).collect();
        let predicate = candidate.predicate.as_deref().map(expression::conjuncts);
        let uses = uses.get(&candidate.table).into_iter().flatten();
        served.extend(uses.filter(|found| found.may(candidate, &keys, predicate.as_deref())).map(|found| found.query));
    }
}

impl Use {
    fn of(context: &Context<'_, '_>, query: usize, recorded: &Query, block: &Block, position: usize, access: &Access) -> Self {
        let mut found = Self {
            query,
            equal: BTreeSet::new(),
            ranged: BTreeSet::new(),
            patterns: BTreeSet::new(),
            ordered: BTreeSet::new(),
            contained: BTreeSet::new(),
            stated: BTreeSet::new(),
        };
        let target = |target: &KeyTarget| match context.facts.get(&access.table) {
            Some(facts) => spelled(&context.key(facts, target).target),
            None => spelled(target),
        };
        let arms = || access.alternatives.iter().flatten();
        let columns = access.conditions.iter().chain(arms().flat_map(|arm| &arm.conditions));
        let columns = columns.map(|condition| (KeyTarget::Column(condition.column.clone()), &condition.class));
        let expressions = access.expressions.iter().chain(arms().flat_map(|arm| &arm.expressions));
        let expressions = expressions.map(|condition| (KeyTarget::Expression(condition.expression.clone()), &condition.class));
        for (compared, class) in columns.chain(expressions) {
            let set = match class {
                Class::Equality { .. } | Class::IsNull => &mut found.equal,
                Class::Above | Class::Below | Class::NotNull => &mut found.ranged,
                Class::Prefix(_) => &mut found.patterns,
            };
            set.insert(target(&compared));
        }
        for containment in access.containments.iter().chain(arms().flat_map(|arm| &arm.containments)) {
            let set = if containment.operator == "like" { &mut found.patterns } else { &mut found.contained };
            set.insert(target(&containment.target));
            found.contained.insert(target(&containment.target));
        }
        found.contained.extend(access.nearest.as_ref().map(target));
        let sorts = block.sort.iter().map(|key| &key.of).chain(&block.grouping).filter(|of| of.access == position);
        found.ordered.extend(sorts.map(|of| target(&of.target)));
        let stated = access.constants.iter().map(|constant| constant.text.clone()).chain(partial::usual(recorded, access));
        found.stated.extend(stated.flat_map(|text| expression::conjuncts(&text)));
        found
    }

    fn may(&self, candidate: &Candidate, keys: &[KeyTarget], predicate: Option<&[String]>) -> bool {
        if predicate.is_some_and(|conjuncts| !conjuncts.iter().all(|conjunct| self.stated.contains(conjunct))) {
            return false;
        }
        let Some(first) = keys.first() else { return false };
        let patterns = candidate.keys[0].opclass.as_deref().is_some_and(|opclass| opclass.ends_with("pattern_ops"));
        match candidate.method.as_str() {
            "gin" | "gist" | "spgist" => keys.iter().any(|key| self.contained.contains(key)),
            "hash" => self.equal.contains(first),
            "brin" => keys.iter().any(|key| self.equal.contains(key) || self.ranged.contains(key)),
            _ if predicate.is_some() => true,
            _ if patterns => self.equal.contains(first) || self.patterns.contains(first),
            _ => self.equal.contains(first) || self.ranged.contains(first) || self.ordered.contains(first) || self.patterns.contains(first),
        }
    }
}
