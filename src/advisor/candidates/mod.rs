//! Which indexes are worth pricing: what each access of each statement asks for, in every access method that answers it.
//!
//! Two laws hold: a narrower width asks for a part of the same candidates, and every prefix of a B-tree candidate's keys is a
//! candidate too (or is refused with its reason). The answer does not depend on the order of statements.

mod block_range;
mod btree;
mod context;
mod covering;
mod inverted;
mod joins;
mod merged;
mod partial;
mod refusal;
mod risks;
mod serving;
mod spatial;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use self::context::Context;
use self::wanted::Wanted;
use super::facts::Facts;
use super::query::{Arm, Query};
use super::{Budget, Candidate, CandidateKey};
use crate::catalog::{Oid, Relations};

pub(crate) use risks::risks;

/// Candidates that are worth a price, and why others are not.
#[derive(Debug, Default)]
pub(crate) struct Generated {
    /// Each candidate with the queries (by position) it could serve: for no other does its price matter.
    pub(crate) candidates: BTreeMap<Arc<Candidate>, BTreeSet<usize>>,
    /// Sets of candidates that help only together (two arms of an `OR`, both sides of a join); every member is a candidate too.
    pub(crate) groups: BTreeSet<BTreeSet<Arc<Candidate>>>,
    /// Refused without a price.
    pub(crate) refused: BTreeMap<Arc<Candidate>, String>,
}

/// Makes the candidates of a workload.
pub(crate) fn generate(relations: &Relations<'_>, facts: &HashMap<Oid, Facts<'_>>, queries: &[Query], budget: &Budget) -> Generated {
    let context = Context::new(relations, facts, queries, budget);
    let mut pool = Pool { context: &context, generated: Generated::default() };
    for query in queries {
        for (at, block) in query.blocks.iter().enumerate() {
            for position in 0..block.accesses.len() {
                pool.of_access(query, at, position);
            }
            joins::groups(&mut pool, query, at);
        }
    }
    let Generated { mut candidates, mut groups, mut refused } = pool.generated;
    groups.retain(|group| group.iter().all(|member| candidates.contains_key(member)));
    for candidate in merged::merged(&context, candidates.keys()) {
        candidates.entry(candidate).or_default();
    }
    serving::served(&context, queries, &mut candidates);
    // A shape that is a candidate for one statement is not refused for another.
    refused.retain(|candidate, _| !candidates.contains_key(candidate));
    Generated { candidates, groups, refused }
}

/// An index as it is first thought of: keys of one access method, perhaps more columns, perhaps fewer rows.
#[derive(Debug, Clone)]
struct Shape {
    method: &'static str,
    keys: Vec<CandidateKey>,
    included: Vec<String>,
    predicate: Option<String>,
}

impl Shape {
    fn btree(keys: Vec<CandidateKey>) -> Self {
        Self { method: "btree", keys, included: Vec::new(), predicate: None }
    }

    fn of_method(method: &'static str, keys: Vec<CandidateKey>) -> Self {
        Self { method, ..Self::btree(keys) }
    }

    fn of(self, facts: &Facts<'_>) -> Candidate {
        let Self { method, keys, included, predicate } = self;
        Candidate { table: facts.table.oid, table_name: facts.table.name.clone(), method: method.to_owned(), keys, included, predicate }
    }
}

/// The candidates so far.
struct Pool<'p, 'c, 'a> {
    context: &'p Context<'c, 'a>,
    generated: Generated,
}

impl Pool<'_, '_, '_> {
    /// Adds what one access asks for.
    fn of_access(&mut self, query: &Query, block: usize, position: usize) {
        let context = self.context;
        let access = &query.blocks[block].accesses[position];
        let Some(facts) = context.facts.get(&access.table) else { return };
        let wanted = Wanted::of(context, facts, &query.blocks[block], position);
        let asked = refusal::Asked::of(context, query, block, position, &wanted);
        for keys in btree::key_lists(&wanted, context, access.table) {
            self.propose_prefixes(facts, &asked, &Shape::btree(keys));
        }
        for shape in covering::shapes(context, facts, &query.blocks[block], position, &wanted) {
            self.propose(facts, &asked, shape);
        }
        for shape in partial::shapes(context, facts, query, access, &wanted) {
            self.propose_prefixes(facts, &asked, &shape);
        }
        for keys in inverted::pattern_keys(context, facts, &access.containments) {
            self.propose_prefixes(facts, &asked, &Shape::btree(keys));
        }
        let single = block_range::shapes(facts, access, &wanted);
        let searched = inverted::shapes(context, facts, &access.containments, &wanted);
        for shape in single.into_iter().chain(searched).chain(spatial::shapes(context, facts, access, &wanted)) {
            self.propose(facts, &asked, shape);
        }
        for arms in &access.alternatives {
            self.of_alternatives(facts, &asked, query, block, position, arms);
        }
    }

    /// Adds an index for each arm of an `OR`, which help only together: one arm without an index reads the whole table.
    ///
    /// The planner may use the conditions beside the `OR` in each arm, so those make a second set.
    fn of_alternatives(&mut self, facts: &Facts<'_>, asked: &refusal::Asked, query: &Query, block: usize, position: usize, arms: &[Arm]) {
        let outer = Wanted::of(self.context, facts, &query.blocks[block], position);
        for beside in [None, Some(&outer)] {
            let mut group = BTreeSet::new();
            let mut complete = true;
            for arm in arms {
                let own = Wanted::of_arm(self.context, facts, arm);
                let wanted = match beside {
                    None => own,
                    Some(outer) if outer.equalities.is_empty() => return,
                    Some(outer) => own.beside(outer),
                };
                let asked = refusal::Asked { wanted: wanted.equalities.clone(), ..asked.clone() };
                let mut shapes = inverted::shapes(self.context, facts, &arm.containments, &wanted);
                shapes.extend(spatial::contained(self.context, facts, &arm.containments, &wanted));
                let best = btree::best(&wanted);
                if !best.is_empty() {
                    shapes.insert(0, Shape::btree(best));
                }
                let Some(shape) = shapes.into_iter().next() else {
                    complete = false;
                    break;
                };
                let proposed = match shape.method {
                    "btree" => self.propose_prefixes(facts, &asked, &shape),
                    _ => self.propose(facts, &asked, shape),
                };
                match proposed {
                    Proposed::Named(candidate) => drop(group.insert(candidate)),
                    Proposed::Exists => {}
                    Proposed::Nothing => complete = false,
                }
            }
            self.group(complete, group);
        }
    }

    /// Remembers candidates that help together, when there are several and none is missing.
    fn group(&mut self, complete: bool, group: BTreeSet<Arc<Candidate>>) {
        if complete && group.len() > 1 {
            self.generated.groups.insert(group);
        }
    }

    /// Adds a B-tree and all its prefixes, so that a wider search always contains the narrower one.
    fn propose_prefixes(&mut self, facts: &Facts<'_>, asked: &refusal::Asked, shape: &Shape) -> Proposed {
        let widest = shape.keys.len().min(self.context.budget.width_max);
        let mut first = Proposed::Nothing;
        for width in (1..=widest).rev() {
            let proposed = self.propose(facts, asked, Shape { keys: shape.keys[..width].to_vec(), ..shape.clone() });
            if width == widest {
                first = proposed;
            }
            // One refusal says enough about a small table.
            if facts.pages < asked.pages_min {
                break;
            }
        }
        first
    }

    /// Adds a candidate, or says why it is none.
    fn propose(&mut self, facts: &Facts<'_>, asked: &refusal::Asked, shape: Shape) -> Proposed {
        if shape.keys.is_empty() || shape.keys.len() > self.context.budget.width_max.max(1) {
            return Proposed::Nothing;
        }
        let candidate = Arc::new(shape.of(facts));
        if self.generated.candidates.contains_key(&candidate) {
            return Proposed::Named(candidate);
        }
        match refusal::reason_against(self.context, facts, &candidate, asked) {
            None => {
                self.generated.candidates.insert(Arc::clone(&candidate), BTreeSet::new());
                Proposed::Named(candidate)
            }
            Some(refusal::Reason { text, exists }) => {
                self.generated.refused.entry(Arc::clone(&candidate)).or_insert(text);
                if exists { Proposed::Exists } else { Proposed::Named(candidate) }
            }
        }
    }
}

/// What became of a shape.
enum Proposed {
    /// It is a candidate, or refused here and perhaps one for another statement.
    Named(Arc<Candidate>),
    /// An index that does its work is there.
    Exists,
    /// It has no keys, or too many.
    Nothing,
}
