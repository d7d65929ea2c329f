//! What is asked for which statement, and what is refused.

use super::super::{candidate, sample, workload};
use super::*;
use crate::catalog::{Index, Snapshot};

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
