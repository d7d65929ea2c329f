//! Candidates and existing indexes side by side: which of them does the work of the other.
//!
//! One rule decides for audits and advice alike: [`findings::cover`](crate::findings::cover). Here both sides are brought into one
//! spelling first, and what the rule cannot know of a candidate is added.

use crate::catalog::{Index, KeyTarget, Table};
use crate::findings::cover::{Definition, KeyView, cover};
use crate::findings::redundancy::is_bound;

use super::facts::Facts;
use super::{Candidate, expression, size};

/// An existing full index does the work of a partial one unless the partial one leaves out this share of the rows: then it is
/// so much smaller, or finds by its predicate alone, that its price has to be asked.
const PARTIAL_SHARE_MIN: f64 = 0.1;

/// What an index offers, in the spelling that all share.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    method: String,
    table: u32,
    keys: Vec<OfferedKey>,
    included: Vec<String>,
    conjuncts: Vec<String>,
    predicate: Option<String>,
    options: Vec<String>,
}

#[derive(Debug, Clone)]
struct OfferedKey {
    target: KeyTarget,
    opclass: Option<String>,
    collation: Option<String>,
    descending: bool,
    nulls_first: bool,
}

impl Offer {
    /// Describes an existing index of the table.
    pub(crate) fn of_index(index: &Index, table: &Table) -> Self {
        let keys = index.keys.iter().map(|key| {
            let opclass = (!key.opclass_is_default).then(|| key.opclass.clone());
            OfferedKey::new(&key.target, opclass, key.collation.clone(), key.descending, key.nulls_first, table)
        });
        Self {
            method: index.access_method.clone(),
            table: index.table,
            keys: keys.collect(),
            included: index.included.clone(),
            options: index.options.clone(),
            conjuncts: index.predicate.as_deref().map(expression::conjuncts).unwrap_or_default(),
            predicate: None,
        }
        .stated()
    }

    /// Describes a candidate of the table.
    pub(crate) fn of_candidate(candidate: &Candidate, table: &Table) -> Self {
        let keys = candidate
            .keys
            .iter()
            .map(|key| OfferedKey::new(&key.target, key.opclass.clone(), key.collation.clone(), key.descending, key.nulls_first, table));
        Self {
            method: candidate.method.clone(),
            table: candidate.table,
            keys: keys.collect(),
            included: candidate.included.clone(),
            options: Vec::new(),
            conjuncts: candidate.predicate.as_deref().map(expression::conjuncts).unwrap_or_default(),
            predicate: None,
        }
        .stated()
    }

    fn stated(self) -> Self {
        let predicate = (!self.conjuncts.is_empty()).then(|| self.conjuncts.join(" and "));
        Self { predicate, ..self }
    }

    fn definition(&self) -> Definition<'_> {
        Definition {
            table: self.table,
            access_method: &self.method,
            keys: self.keys.iter().map(OfferedKey::view).collect(),
            included: &self.included,
            predicate: self.predicate.as_deref(),
            options: &self.options,
            size_bytes: None,
        }
    }

    /// Returns whether every scan of the other can be one of this.
    pub(crate) fn serves(&self, other: &Self) -> bool {
        let (wide, narrow) = (self.definition(), other.definition());
        // An index of the rows of A does for those of A and B.
        let holds_more = !self.conjuncts.is_empty() && self.conjuncts.iter().all(|conjunct| other.conjuncts.contains(conjunct));
        let wide = Definition { predicate: if holds_more { None } else { wide.predicate }, ..wide };
        if cover(&narrow, &wide).is_some() {
            return true;
        }
        // A condition on one key of an inverted index costs the same beside others.
        self.method == "gin"
            && other.method == "gin"
            && self.table == other.table
            && wide.predicate.is_none_or(|predicate| narrow.predicate == Some(predicate))
            && narrow.keys.iter().all(|key| wide.keys.contains(key))
    }
}

impl OfferedKey {
    fn new(
        target: &KeyTarget,
        opclass: Option<String>,
        collation: Option<String>,
        descending: bool,
        nulls_first: bool,
        table: &Table,
    ) -> Self {
        let column = target.column().and_then(|name| table.column(name));
        // Where there are no NULLs it does not matter at which end they would stand.
        let nulls_first = if column.is_some_and(|column| column.not_null) { descending } else { nulls_first };
        let target = match target {
            KeyTarget::Expression(text) => KeyTarget::Expression(expression::canonical(text)),
            KeyTarget::Column(name) => KeyTarget::Column(name.clone()),
        };
        let bare = |name: String| name.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned();
        // A key has its column's collation unless it says otherwise.
        let collation = collation.or_else(|| column.and_then(|column| column.collation.clone())).map(bare).filter(|name| name != "default");
        Self { target, opclass: opclass.map(bare), collation, descending, nulls_first }
    }

    fn view(&self) -> KeyView<'_> {
        KeyView {
            target: &self.target,
            opclass: self.opclass.as_deref(),
            collation: self.collation.as_deref(),
            descending: self.descending,
            nulls_first: self.nulls_first,
        }
    }
}

/// Returns whether an existing index already does all the candidate would, read forwards or backwards.
///
/// `existing` and `wanted` describe the two.
pub(crate) fn covers(index: &Index, existing: &Offer, candidate: &Candidate, wanted: &Offer, facts: &Facts<'_>) -> bool {
    let full_for_few = existing.conjuncts.is_empty() && !wanted.conjuncts.is_empty();
    index.usable() && existing.serves(wanted) && !(full_for_few && size::share(facts, candidate) < PARTIAL_SHARE_MIN)
}

/// Returns whether a new index would make an existing one needless: it serves all its scans, and nothing but scans needs the old.
pub(crate) fn supersedes(candidate: &Candidate, index: &Index, facts: &Facts<'_>) -> bool {
    let (new, old) = (Offer::of_candidate(candidate, facts.table), Offer::of_index(index, facts.table));
    index.usable() && !index.unique && !is_bound(index) && new.serves(&old) && !old.serves(&new)
}

#[cfg(test)]
mod tests {
    use super::super::{CandidateKey, sample};
    use super::*;
    use crate::catalog::{Relations, Snapshot};

    fn with<T>(change: impl FnOnce(&mut Snapshot), check: impl FnOnce(&Index, &Facts<'_>) -> T) -> T {
        let mut snapshot = sample::crm();
        snapshot.indexes = vec![sample::index(90, 2, "old", &["user_id"])];
        change(&mut snapshot);
        let relations = Relations::new(&snapshot);
        check(&snapshot.indexes[0], &Facts::of_all(&relations)[&2])
    }

    fn covers_after(change: impl FnOnce(&mut Index), candidate: &Candidate) -> bool {
        with(
            |snapshot| change(&mut snapshot.indexes[0]),
            |index, facts| {
                covers(index, &Offer::of_index(index, facts.table), candidate, &Offer::of_candidate(candidate, facts.table), facts)
            },
        )
    }

    #[test]
    fn an_index_covers_what_it_begins_with() {
        let wanted = sample::candidate("prospects", &["user_id"]);
        assert!(covers_after(|_| {}, &wanted));
        assert!(covers_after(|index| index.keys[0].descending = true, &wanted));
        assert!(!covers_after(|index| index.valid = false, &wanted));
        assert!(!covers_after(|index| index.predicate = Some("(score > 5)".into()), &wanted));
        assert!(!covers_after(|_| {}, &sample::candidate("prospects", &["user_id", "score"])));
        let including = Candidate { included: vec!["email".into()], ..wanted };
        assert!(!covers_after(|_| {}, &including));
        assert!(covers_after(|index| index.included = vec!["email".into(), "score".into()], &including));
    }

    #[test]
    fn expressions_are_found_in_the_servers_spelling() {
        let wanted =
            Candidate { keys: vec![CandidateKey::of(KeyTarget::Expression("lower(email)".into()))], ..sample::candidate("prospects", &[]) };
        assert!(covers_after(|index| index.keys[0].target = KeyTarget::Expression("lower((email)::text)".into()), &wanted));
        assert!(!covers_after(|index| index.keys[0].target = KeyTarget::Expression("upper(email)".into()), &wanted));
    }

    #[test]
    fn a_partial_index_is_covered_by_one_of_at_least_its_rows() {
        // One status in twenty is 'lost', every second 'new'.
        let wanted = |predicate: &str| Candidate { predicate: Some(predicate.into()), ..sample::candidate("prospects", &["user_id"]) };
        assert!(covers_after(|index| index.predicate = Some("(status = 'lost'::text)".into()), &wanted("status = 'lost'")));
        assert!(covers_after(|index| index.predicate = Some("(status = 'lost'::text)".into()), &wanted("status = 'lost' and score > 3")));
        assert!(!covers_after(|index| index.predicate = Some("(status = 'won'::text)".into()), &wanted("status = 'lost'")));
        assert!(covers_after(|_| {}, &wanted("status = 'new'")));
        assert!(!covers_after(|_| {}, &wanted("status = 'lost'")));
    }

    #[test]
    fn inverted_indexes_answer_for_each_of_their_keys() {
        let wanted = Candidate { method: "gin".into(), ..sample::candidate("prospects", &["email"]) };
        let change = |index: &mut Index| {
            index.access_method = "gin".into();
            index.keys = sample::index(1, 2, "x", &["score", "email"]).keys;
        };
        assert!(covers_after(change, &wanted));
        let trigrams = Candidate { keys: vec![CandidateKey::column("email").with_opclass("public.gin_trgm_ops")], ..wanted };
        assert!(!covers_after(change, &trigrams));
    }

    #[test]
    fn only_indexes_that_nothing_else_needs_are_superseded() {
        let wider = sample::candidate("prospects", &["user_id", "created_at"]);
        let superseded =
            |change: fn(&mut Index)| with(|snapshot| change(&mut snapshot.indexes[0]), |index, facts| supersedes(&wider, index, facts));
        assert!(superseded(|_| {}));
        assert!(!superseded(|index| index.unique = true));
        assert!(!superseded(|index| index.referenced = true));
        assert!(!superseded(|index| index.included = vec!["email".into()]));
        assert!(!superseded(|index| index.keys[0].opclass_is_default = false));
    }
}
