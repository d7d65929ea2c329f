//! Which indexes are worth pricing: for each access the equality columns, then the order, then one range.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::facts::Facts;
use super::query::{Access, Block, Class, Condition, Query};
use super::{Budget, Candidate, CandidateKey, size};
use crate::catalog::{Column, Index, KeyTarget, Oid, Relations};

/// Tables below this many pages are read whole faster than through an index (convention: 1 MB).
const TABLE_PAGES_MIN: f64 = 128.0;
/// The most bytes a B-tree key may have (a third of a page, less headers).
const KEY_BYTES_MAX: f64 = 2700.0;
/// An equality that keeps more of the rows than this does not lead an index (rule of thumb: beyond it bitmap and
/// sequential scans cost the same).
const LEADING_SHARE_MAX: f64 = 0.3;
/// An equality that keeps nearly all rows is worth no key at all.
const KEY_SHARE_MAX: f64 = 0.9;

/// Candidates that are worth a price, and why others are not.
#[derive(Debug, Default)]
pub(crate) struct Generated {
    /// Each candidate with the queries (by position) it was made for.
    pub(crate) candidates: BTreeMap<Arc<Candidate>, BTreeSet<usize>>,
    /// Sets of candidates that help only together (two arms of an `OR`, both sides of a join); every member is a candidate too.
    pub(crate) groups: BTreeSet<BTreeSet<Arc<Candidate>>>,
    /// Refused without a price.
    pub(crate) refused: BTreeMap<Arc<Candidate>, String>,
}

/// Makes the candidates of a workload.
pub(crate) fn generate(relations: &Relations<'_>, facts: &HashMap<Oid, Facts<'_>>, queries: &[Query], budget: &Budget) -> Generated {
    let frequency = frequency(queries);
    let mut generated = Generated::default();
    for (at, query) in queries.iter().enumerate() {
        for block in &query.blocks {
            for (position, access) in block.accesses.iter().enumerate() {
                let Some(facts) = facts.get(&access.table) else { continue };
                let wanted = Wanted::of(facts, block, position, &frequency);
                for keys in wanted.key_lists(relations.indexes_of(access.table)) {
                    propose(&mut generated, relations, facts, at, keys, &wanted, budget);
                }
            }
        }
    }
    // A shape that is a candidate for one statement is not refused for another.
    let Generated { candidates, refused, .. } = &mut generated;
    refused.retain(|candidate, _| !candidates.contains_key(candidate));
    generated
}

/// Adds a candidate and all its prefixes, so that a wider search always contains the narrower one.
fn propose(
    generated: &mut Generated,
    relations: &Relations<'_>,
    facts: &Facts<'_>,
    at: usize,
    mut keys: Vec<CandidateKey>,
    wanted: &Wanted<'_>,
    budget: &Budget,
) {
    keys.truncate(budget.width_max);
    for width in (1..=keys.len()).rev() {
        let candidate = Arc::new(Candidate {
            table: facts.table.oid,
            table_name: facts.table.name.clone(),
            method: "btree".to_owned(),
            keys: keys[..width].to_vec(),
            included: Vec::new(),
            predicate: None,
        });
        match reason_against(relations, facts, &candidate, wanted) {
            None => {
                generated.candidates.entry(candidate).or_default().insert(at);
            }
            Some(reason) => {
                let small = facts.pages < TABLE_PAGES_MIN;
                generated.refused.entry(candidate).or_insert(reason);
                // One refusal says enough about a small table.
                if small {
                    break;
                }
            }
        }
    }
}

/// Returns why a candidate is not worth a price.
fn reason_against(relations: &Relations<'_>, facts: &Facts<'_>, candidate: &Candidate, wanted: &Wanted<'_>) -> Option<String> {
    if facts.pages < TABLE_PAGES_MIN {
        return Some(format!("table too small ({} pages)", facts.pages));
    }
    if let Some(index) = relations.indexes_of(candidate.table).iter().find(|index| covers(index, candidate, facts)) {
        return Some(format!("already covered by {}", index.name.name));
    }
    let columns = || candidate.leading_columns().filter_map(|name| facts.table.column(name));
    if let Some(column) = columns().find(|column| !column.btree) {
        return Some(format!("type {} of column {} has no B-tree operator class", column.type_name, column.name));
    }
    let bytes: f64 = columns().map(size::width).sum();
    if bytes > KEY_BYTES_MAX {
        return Some(format!("keys of {bytes:.0} bytes on average exceed what a B-tree can hold ({KEY_BYTES_MAX} bytes)"));
    }
    let [only] = candidate.keys.as_slice() else { return None };
    let name = only.target.column()?;
    let kept = wanted.equalities.iter().find(|equality| equality.column == name && !wanted.orders(name))?.kept;
    (kept > LEADING_SHARE_MAX).then(|| format!("not selective: one value of {name} keeps about {:.0} % of the rows", kept * 100.0))
}

/// Returns whether an existing index already does all the candidate would, read forwards or backwards.
pub(crate) fn covers(index: &Index, candidate: &Candidate, facts: &Facts<'_>) -> bool {
    let usable = index.usable() && index.predicate.is_none() && index.access_method == candidate.method;
    if !usable || candidate.predicate.is_some() || candidate.keys.len() > index.keys.len() {
        return false;
    }
    let mut backward = None;
    candidate.keys.iter().zip(&index.keys).all(|(wanted, key)| {
        let flipped = wanted.descending != key.descending;
        let column = wanted.target.column().and_then(|name| facts.table.column(name));
        let nulls_fit = column.is_some_and(|column| column.not_null) || (wanted.nulls_first != key.nulls_first) == flipped;
        let opclass_fits = match &wanted.opclass {
            None => key.opclass_is_default,
            Some(opclass) => *opclass == key.opclass,
        };
        // A candidate's keys have their columns' collation; both sides leave the database's own out.
        let collation_fits = column.is_none_or(|column| column.collation == key.collation);
        wanted.target == key.target && nulls_fit && opclass_fits && collation_fits && *backward.get_or_insert(flipped) == flipped
    }) && candidate.included.iter().all(|name| index.included.contains(name) || index.leading_columns().any(|key| key == name))
}

/// How many calls compare a column with a value, by table and column.
type Frequency<'q> = HashMap<(Oid, &'q str), u64>;

fn frequency(queries: &[Query]) -> Frequency<'_> {
    let mut frequency = Frequency::new();
    for query in queries {
        for access in query.blocks.iter().flat_map(|block| &block.accesses) {
            let equalities: BTreeSet<&str> =
                access.conditions.iter().filter(|found| found.is_equality()).map(|found| found.column.as_str()).collect();
            for column in equalities {
                let calls = frequency.entry((access.table, column)).or_default();
                *calls = calls.saturating_add(query.calls);
            }
        }
    }
    frequency
}

/// A column compared for equality.
#[derive(Debug, Clone)]
struct Equality<'q> {
    column: &'q str,
    /// The share of the rows kept.
    kept: f64,
    /// Calls of the whole workload that compare it.
    calls: u64,
    /// Whether one value is asked for, so that the next key's order survives.
    single: bool,
    /// Whether the value comes from another table's rows.
    join: bool,
}

/// What one access asks of an index.
#[derive(Debug)]
struct Wanted<'q> {
    equalities: Vec<Equality<'q>>,
    ranges: Vec<CandidateKey>,
    /// The order as keys, the first ascending.
    order: Vec<CandidateKey>,
    /// Whether the order alone is worth an index: it ends early, or groups without a hash.
    order_alone: bool,
}

impl<'q> Wanted<'q> {
    fn of(facts: &Facts<'_>, block: &'q Block, position: usize, frequency: &Frequency<'_>) -> Self {
        let access: &'q Access = &block.accesses[position];
        let mut equalities: Vec<Equality<'q>> = Vec::new();
        for condition in access.conditions.iter().filter(|condition| condition.is_equality()) {
            let known = equalities.iter_mut().find(|equality| equality.column == condition.column);
            let single = condition.is_single_value();
            if let Some(known) = known {
                known.single |= single;
                known.join &= condition.is_join();
                continue;
            }
            let all: Vec<&Condition> = access.conditions.iter().filter(|other| other.column == condition.column).collect();
            let kept = facts.selectivity(&condition.column, &all);
            let calls = frequency.get(&(access.table, condition.column.as_str())).copied().unwrap_or_default();
            equalities.push(Equality { column: &condition.column, kept, calls, single, join: condition.is_join() });
        }
        equalities.retain(|equality| equality.kept <= KEY_SHARE_MAX);
        let is_equality = |column: &str| equalities.iter().any(|equality| equality.column == column);
        let mut ranges: Vec<CandidateKey> = Vec::new();
        for condition in access.conditions.iter().filter(|condition| condition.is_range() && !is_equality(&condition.column)) {
            let key = range_key(facts, condition);
            if !ranges.contains(&key) {
                ranges.push(key);
            }
        }
        let (order, order_alone) = order(facts, block, position);
        Self { equalities, ranges, order, order_alone }
    }

    fn orders(&self, column: &str) -> bool {
        self.order_alone && self.order.first().is_some_and(|key| key.target.column() == Some(column))
    }

    /// Returns the key lists worth trying, widest ones first.
    fn key_lists(&self, existing: &[&Index]) -> BTreeSet<Vec<CandidateKey>> {
        let mut lists = BTreeSet::new();
        for equalities in self.orders_of_equalities(existing) {
            let keys: Vec<CandidateKey> = equalities.iter().map(|equality| plain(equality.column)).collect();
            let all_single = equalities.iter().all(|equality| equality.single);
            self.extend_with_rest(&keys, all_single, &mut lists);
            // The first equality alone before order and range serves statements that leave the others out.
            if let Some(first) = equalities.first() {
                self.extend_with_rest(&[plain(first.column)], first.single, &mut lists);
            }
            // A list of values breaks the order: leave it out.
            let single: Vec<CandidateKey> =
                equalities.iter().filter(|equality| equality.single).map(|equality| plain(equality.column)).collect();
            if !all_single && !single.is_empty() {
                self.extend_with_rest(&single, true, &mut lists);
            }
        }
        lists.extend(self.equalities.iter().map(|equality| vec![plain(equality.column)]));
        lists.extend(self.ranges.iter().map(|range| vec![range.clone()]));
        if self.order_alone && !self.order.is_empty() {
            lists.insert(self.order.clone());
        }
        lists.retain(|keys| !keys.is_empty());
        lists
    }

    /// Adds equalities alone, then order, then order and range, then one range.
    fn extend_with_rest(&self, equalities: &[CandidateKey], all_single: bool, lists: &mut BTreeSet<Vec<CandidateKey>>) {
        let mut add = |rest: &mut dyn Iterator<Item = &CandidateKey>| {
            let mut keys = equalities.to_vec();
            for key in rest {
                if !keys.iter().any(|known| known.target == key.target) {
                    keys.push(key.clone());
                }
            }
            lists.insert(keys);
        };
        add(&mut std::iter::empty());
        if all_single && !self.order.is_empty() {
            add(&mut self.order.iter());
        }
        for range in &self.ranges {
            add(&mut std::iter::once(range));
            if all_single && !self.order.is_empty() {
                add(&mut self.order.iter().chain(std::iter::once(range)));
            }
        }
    }

    /// Returns the equalities in the orders worth trying: by frequency in the workload, by selectivity, constants
    /// before and after join columns, and as an existing index begins.
    fn orders_of_equalities(&self, existing: &[&Index]) -> Vec<Vec<Equality<'q>>> {
        if self.equalities.is_empty() {
            return Vec::new();
        }
        let by = |compare: &dyn Fn(&Equality<'q>, &Equality<'q>) -> std::cmp::Ordering| {
            let mut ordered = self.equalities.clone();
            ordered.sort_by(|a, b| compare(a, b).then_with(|| a.column.cmp(b.column)));
            ordered
        };
        // A column that keeps much of the table leads only when nothing better does.
        let weak = |equality: &Equality<'_>| equality.kept > LEADING_SHARE_MAX;
        let mut orders = vec![
            by(&|a, b| weak(a).cmp(&weak(b)).then(b.calls.cmp(&a.calls)).then(a.kept.total_cmp(&b.kept))),
            by(&|a, b| a.kept.total_cmp(&b.kept)),
            by(&|a, b| a.join.cmp(&b.join).then(a.kept.total_cmp(&b.kept))),
            by(&|a, b| b.join.cmp(&a.join).then(a.kept.total_cmp(&b.kept))),
        ];
        for index in existing.iter().filter(|index| index.usable() && index.predicate.is_none()) {
            let leading: Vec<&str> =
                index.leading_columns().take_while(|name| self.equalities.iter().any(|equality| equality.column == *name)).collect();
            if !leading.is_empty() {
                let place = |equality: &Equality<'_>| leading.iter().position(|name| *name == equality.column).unwrap_or(usize::MAX);
                orders.push(by(&|a, b| place(a).cmp(&place(b)).then(a.kept.total_cmp(&b.kept))));
            }
        }
        let mut seen = BTreeSet::new();
        orders.retain(|order| seen.insert(order.iter().map(|equality| equality.column).collect::<Vec<_>>()));
        // Join columns may have no value when the table is read first: then the constants alone find the rows.
        let constants: Vec<Equality<'q>> = orders[0].iter().filter(|equality| !equality.join).cloned().collect();
        if !constants.is_empty() && constants.len() < self.equalities.len() {
            orders.push(constants);
        }
        orders
    }
}

/// Returns the order an access could give, when all its keys are of this table.
fn order(facts: &Facts<'_>, block: &Block, position: usize) -> (Vec<CandidateKey>, bool) {
    if !block.sort.is_empty() && !block.sort_by_expression && !block.grouped {
        if block.sort.iter().any(|key| key.of.access != position) {
            return (Vec::new(), false);
        }
        // Read backwards an index gives the reverse, so only directions that differ need saying.
        let reverse = block.sort[0].descending;
        let key = |key: &super::query::SortKey| {
            let descending = key.descending != reverse;
            let not_null = key.of.column().and_then(|name| facts.table.column(name)).is_some_and(|column| column.not_null);
            let nulls_first = if not_null { descending } else { key.nulls_first != reverse };
            CandidateKey { descending, nulls_first, ..target(&key.of.target) }
        };
        return (block.sort.iter().map(key).collect(), block.limit.is_some());
    }
    if block.grouping.is_empty() || block.grouping.iter().any(|of| of.access != position) {
        return (Vec::new(), false);
    }
    (block.grouping.iter().map(|of| target(&of.target)).collect(), true)
}

fn plain(column: &str) -> CandidateKey {
    target(&KeyTarget::Column(column.to_owned()))
}

fn target(target: &KeyTarget) -> CandidateKey {
    CandidateKey { target: target.clone(), descending: false, nulls_first: false, opclass: None, collation: None }
}

/// Returns the key that serves a range; a `LIKE` beginning needs letters compared one by one unless the collation does so.
fn range_key(facts: &Facts<'_>, condition: &Condition) -> CandidateKey {
    let key = plain(&condition.column);
    let Some(column) = facts.table.column(&condition.column) else { return key };
    let bytewise = |column: &Column| {
        column
            .collation
            .as_deref()
            .is_some_and(|collation| matches!(collation.rsplit('.').next(), Some("\"C\"" | "C" | "POSIX" | "\"POSIX\"")))
    };
    match condition.class {
        Class::Prefix(_) if !bytewise(column) => {
            let opclass = if column.type_name.starts_with("character varying") { "varchar_pattern_ops" } else { "text_pattern_ops" };
            CandidateKey { opclass: Some(opclass.to_owned()), ..key }
        }
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{candidate, sample, workload};
    use super::*;
    use crate::catalog::Snapshot;

    fn generated(snapshot: &Snapshot) -> (Vec<String>, BTreeMap<String, String>) {
        let relations = Relations::new(snapshot);
        let queries = workload::read(snapshot).queries;
        let budget = Budget { size_max: None, indexes_per_table_max: None, width_max: 4, gain_min: 0.05, write_overhead_max: None };
        let generated = generate(&relations, &Facts::of_all(&relations), &queries, &budget);
        let label = |candidate: &Arc<Candidate>| candidate::label(candidate);
        (
            generated.candidates.keys().map(label).collect(),
            generated.refused.iter().map(|(candidate, reason)| (label(candidate), reason.clone())).collect(),
        )
    }

    fn of(text: &str) -> (Vec<String>, BTreeMap<String, String>) {
        generated(&sample::crm_running(&[(text, 100)]))
    }

    #[test]
    fn equality_comes_before_order() {
        let (candidates, _) = of("select * from prospects where user_id = $1 and status = $2 order by created_at desc limit $3");
        assert!(candidates.contains(&"prospects (user_id, status, created_at)".to_owned()), "{candidates:?}");
        assert!(candidates.contains(&"prospects (created_at)".to_owned()));
        assert!(!candidates.iter().any(|label| label.starts_with("prospects (created_at,") || label.contains("DESC")), "{candidates:?}");
    }

    #[test]
    fn equality_comes_before_range() {
        let (candidates, _) = of("select * from meetings where scheduled_at > $2 and user_id = $1");
        assert_eq!(candidates, ["meetings (scheduled_at)", "meetings (user_id)", "meetings (user_id, scheduled_at)"]);
    }

    #[test]
    fn only_mixed_directions_are_said() {
        let (reversed, _) = of("select * from prospects order by score desc, created_at desc limit 10");
        assert!(reversed.contains(&"prospects (score, created_at)".to_owned()), "{reversed:?}");
        let (mixed, _) = of("select * from prospects order by score desc, created_at limit 10");
        assert!(mixed.contains(&"prospects (score, created_at DESC)".to_owned()), "{mixed:?}");
    }

    #[test]
    fn nulls_count_only_where_there_can_be_some() {
        let text = "select * from prospects order by score desc nulls last limit 10";
        assert!(of(text).0.contains(&"prospects (score)".to_owned()));
        let mut snapshot = sample::crm_running(&[(text, 1)]);
        snapshot.tables[1].columns[5].not_null = false;
        assert!(generated(&snapshot).0.contains(&"prospects (score NULLS FIRST)".to_owned()), "{:?}", generated(&snapshot).0);
    }

    #[test]
    fn an_index_under_another_name_is_found_by_definition() {
        let (candidates, refused) = of("select * from ai_conversation_log where user_id = $1");
        assert_eq!(candidates, Vec::<String>::new());
        assert_eq!(refused["ai_conversation_log (user_id)"], "already covered by idx_conversation_user_id");
    }

    #[test]
    fn an_index_of_another_kind_covers_nothing() {
        let changes: [fn(&mut Index); 5] = [
            |index| index.valid = false,
            |index| index.predicate = Some("body is null".into()),
            |index| index.access_method = "hash".into(),
            |index| index.keys[0].opclass_is_default = false,
            |index| index.keys[0].collation = Some("de_DE".into()),
        ];
        for change in changes {
            let mut snapshot = sample::crm_running(&[("select * from ai_conversation_log where user_id = $1", 9)]);
            change(&mut snapshot.indexes[0]);
            assert_eq!(generated(&snapshot).0, ["ai_conversation_log (user_id)"]);
        }
    }

    #[test]
    fn small_tables_and_common_values_are_refused_with_their_numbers() {
        let (_, refused) = of("select * from users where email = $1");
        assert_eq!(refused["users (email)"], "table too small (10 pages)");
        let (_, refused) = of("select * from prospects where status = $1");
        assert!(refused["prospects (status)"].starts_with("not selective"), "{refused:?}");
    }

    #[test]
    fn a_wrapped_column_is_no_candidate() {
        assert_eq!(of("select * from prospects where lower(email) = $1").0, Vec::<String>::new());
        assert_eq!(of("select * from prospects where score + 1 = $1").0, Vec::<String>::new());
        assert_eq!(of("select * from prospects where user_id = $1 or score = $2").0, Vec::<String>::new());
    }

    #[test]
    fn both_sides_of_a_join_are_candidates() {
        let (candidates, refused) =
            of("select * from campaign_prospects cp join prospects p on p.id = cp.prospect_id where cp.campaign_id = $1");
        assert!(
            candidates.contains(&"campaign_prospects (prospect_id)".to_owned())
                && candidates.contains(&"campaign_prospects (campaign_id)".to_owned()),
            "{candidates:?}"
        );
        assert_eq!(refused["prospects (id)"], "already covered by prospects_pkey");
    }

    #[test]
    fn a_literal_beginning_wants_the_pattern_class() {
        let (candidates, _) = of("select * from prospects where email like 'bob%'");
        assert_eq!(candidates, ["prospects (email text_pattern_ops)"]);
        assert_eq!(of("select * from prospects where email like '%bob'").0, Vec::<String>::new());
    }

    #[test]
    fn a_narrower_width_asks_for_a_part_of_the_same_candidates() {
        let text = "select * from prospects where user_id = $1 and status = $2 order by created_at desc limit $3";
        let snapshot = sample::crm_running(&[(text, 100)]);
        let relations = Relations::new(&snapshot);
        let queries = workload::read(&snapshot).queries;
        let of_width = |width_max| {
            let budget = Budget { size_max: None, indexes_per_table_max: None, width_max, gain_min: 0.05, write_overhead_max: None };
            generate(&relations, &Facts::of_all(&relations), &queries, &budget).candidates.into_keys().collect::<BTreeSet<_>>()
        };
        assert!(of_width(1).is_subset(&of_width(2)) && of_width(2).is_subset(&of_width(4)));
    }
}
