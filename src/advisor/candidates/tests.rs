//! What is asked for which statement, and what is refused.

use proptest::prelude::*;

use super::super::sample::Col;
use super::super::{candidate, sample, workload};
use super::*;
use crate::catalog::{Extension, Index, Snapshot};

fn budget(width_max: usize) -> Budget {
    Budget { size_max: None, indexes_per_table_max: None, width_max, gain_min: 0.05, write_overhead_max: None }
}

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
fn a_wrapped_column_is_no_key_but_its_wrapping_is() {
    assert_eq!(of("select * from prospects where lower(email) = $1").0, ["prospects ((lower(email)))"]);
    assert!(!of("select * from prospects where score + 1 = $1").0.contains(&"prospects (score)".to_owned()));
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

const TIME: &str = "timestamp with time zone";

/// Documents of many tenants: a column of each kind that other access methods index.
fn documents(text: &str) -> Snapshot {
    let mut docs = sample::table(
        20,
        "docs",
        500_000.0,
        20_000,
        &[
            Col("id", "bigint", -1.0, 1.0),
            Col("tenant_id", "bigint", 400.0, 0.02),
            Col("tags", "text[]", -0.1, 0.0),
            Col("doc", "jsonb", -1.0, 0.0),
            Col("title", "text", -1.0, 0.0),
            Col("words", "tsvector", -1.0, 0.0),
            Col("during", "tstzrange", -1.0, 0.0),
            Col("place", "point", -1.0, 0.0),
            Col("created_at", TIME, -1.0, 0.99),
            Col("deleted_at", TIME, -0.1, 0.5),
            Col("status", "text", 4.0, 0.4),
            Col("archived", "boolean", 2.0, 0.4),
            Col("url", "text", -1.0, 0.0),
        ],
    );
    let statistics = |column: &mut crate::catalog::Column, values: &[&str], shares: &[f64]| {
        let statistics = column.statistics.as_mut().unwrap();
        statistics.common_values = values.iter().map(|value| (*value).to_owned()).collect();
        statistics.common_frequencies = shares.to_vec();
    };
    statistics(&mut docs.columns[10], &["done", "open", "failed", "held"], &[0.9, 0.08, 0.015, 0.005]);
    statistics(&mut docs.columns[11], &["t", "f"], &[0.96, 0.04]);
    docs.columns[9].statistics.as_mut().unwrap().null_fraction = 0.3;
    docs.columns[9].not_null = false;
    docs.columns[12].statistics.as_mut().unwrap().width = 120;
    let mut snapshot = sample::snapshot(vec![docs], vec![sample::primary(21, 20, "docs_pkey")], Vec::new());
    snapshot.statements = vec![sample::statement(1, text, 100, 2_000, 100.0)];
    snapshot
}

fn installed(mut snapshot: Snapshot, extension: &str, schema: &str) -> Snapshot {
    snapshot.server.extensions.push(Extension { name: extension.into(), version: "1".into(), schema: schema.into() });
    snapshot
}

fn labels(snapshot: &Snapshot) -> Vec<String> {
    generated(snapshot).0
}

fn asked(text: &str) -> Vec<String> {
    labels(&documents(text))
}

fn has(candidates: &[String], wanted: &str) {
    assert!(candidates.iter().any(|label| label == wanted), "{wanted} is not among {candidates:#?}");
}

#[test]
fn expressions_are_keys_alone_and_beside_columns() {
    let candidates = asked("select * from docs where lower(title) = $1 and tenant_id = $2");
    has(&candidates, "docs ((lower(title)))");
    assert!(candidates.iter().any(|label| label.starts_with("docs (") && label.contains("lower(title)") && label.contains("tenant_id")));
    let candidates = asked("select * from docs where (doc ->> 'k')::int = $1");
    assert!(candidates.iter().any(|label| label.contains("->>")), "{candidates:?}");
}

#[test]
fn a_beginning_of_an_expression_wants_the_pattern_class_too() {
    has(&asked("select * from docs where lower(title) like 'abc%'"), "docs ((lower(title)) text_pattern_ops)");
    let mut bytewise = documents("select * from docs where title like 'abc%'");
    has(&labels(&bytewise), "docs (title text_pattern_ops)");
    bytewise.server.collate = "C".into();
    has(&labels(&bytewise), "docs (title)");
}

#[test]
fn an_order_under_another_collation_is_an_index_under_it() {
    has(&asked("select * from docs order by title collate \"C\" limit 10"), "docs (title COLLATE \"C\")");
}

#[test]
fn arrays_documents_and_words_are_inverted() {
    has(&asked("select * from docs where tags @> $1"), "docs USING gin (tags)");
    has(&asked("select * from docs where tags && array['a']"), "docs USING gin (tags)");
    has(&asked("select * from docs where words @@ to_tsquery($1)"), "docs USING gin (words)");
    has(&asked("select * from docs where doc @> $1"), "docs USING gin (doc jsonb_path_ops)");
    let words = asked("select * from docs where to_tsvector('english', title) @@ to_tsquery('english', $1)");
    assert!(words.iter().any(|label| label.starts_with("docs USING gin ((to_tsvector(")), "{words:?}");
}

#[test]
fn a_document_asked_for_its_keys_anywhere_wants_the_larger_class() {
    let mut snapshot = documents("select * from docs where doc @> $1");
    snapshot.statements.push(sample::statement(2, "select * from docs where doc ? 'a'", 5, 5, 1.0));
    let candidates = labels(&snapshot);
    has(&candidates, "docs USING gin (doc)");
    assert!(!candidates.iter().any(|label| label.contains("jsonb_path_ops")), "{candidates:?}");
}

#[test]
fn patterns_within_a_text_need_the_extension() {
    let text = "select * from docs where title ilike '%abc%'";
    let (candidates, refused) = generated(&documents(text));
    assert_eq!(candidates, Vec::<String>::new());
    let reason = &refused["docs USING gin (title gin_trgm_ops)"];
    assert_eq!(reason, "pg_trgm is not installed: CREATE EXTENSION pg_trgm; would make docs USING gin (title gin_trgm_ops) possible");
    assert_eq!(labels(&installed(documents(text), "pg_trgm", "public")), ["docs USING gin (title gin_trgm_ops)"]);
    assert_eq!(labels(&installed(documents(text), "pg_trgm", "ext")), ["docs USING gin (title ext.gin_trgm_ops)"]);
}

#[test]
fn an_equality_joins_an_inverted_index_only_with_its_extension() {
    let text = "select * from docs where tenant_id = $1 and tags @> $2";
    assert!(!asked(text).iter().any(|label| label.contains("gin (tenant_id")));
    has(&labels(&installed(documents(text), "btree_gin", "public")), "docs USING gin (tenant_id, tags)");
    let text = "select * from docs where tenant_id = $1 and during && $2";
    has(&labels(&installed(documents(text), "btree_gist", "public")), "docs USING gist (tenant_id, during)");
}

#[test]
fn ranges_and_neighbours_are_searched_in_space() {
    has(&asked("select * from docs where during && $1"), "docs USING gist (during)");
    has(&asked("select * from docs order by place <-> $1 limit 5"), "docs USING gist (place)");
}

#[test]
fn a_large_table_in_the_order_of_a_column_may_be_summarised() {
    let text = "select * from docs where created_at > $1";
    has(&asked(text), "docs USING brin (created_at)");
    let without = |change: fn(&mut Snapshot)| {
        let mut snapshot = documents(text);
        change(&mut snapshot);
        assert!(!labels(&snapshot).iter().any(|label| label.contains("brin")));
    };
    without(|snapshot| snapshot.tables[0].columns[8].statistics.as_mut().unwrap().correlation = Some(0.9));
    without(|snapshot| snapshot.tables[0].heap_bytes = 9_000 * 8192);
    assert!(!asked("select * from docs where created_at = $1").iter().any(|label| label.contains("brin")));
}

#[test]
fn wide_texts_may_be_hashed() {
    has(&asked("select * from docs where url = $1"), "docs USING hash (url)");
    assert!(!asked("select * from docs where title = $1").iter().any(|label| label.contains("hash")));
    assert!(!asked("select * from docs where url like 'http%'").iter().any(|label| label.contains("hash")));
}

#[test]
fn values_too_wide_for_a_tree_are_refused_with_their_bytes() {
    let mut snapshot = documents("select * from docs where url = $1");
    snapshot.tables[0].columns[12].statistics.as_mut().unwrap().width = 3_000;
    let (candidates, refused) = generated(&snapshot);
    assert_eq!(candidates, ["docs USING hash (url)"]);
    assert_eq!(refused["docs (url)"], "keys of 3000 bytes on average exceed what a B-tree can hold (2700 bytes)");
}

#[test]
fn a_constant_that_leaves_few_rows_makes_a_partial_index() {
    has(&asked("select * from docs where status = 'failed' order by created_at limit 10"), "docs (created_at) WHERE status = 'failed'");
    has(&asked("select * from docs where tenant_id = $1 and deleted_at is null"), "docs (tenant_id) WHERE deleted_at IS NULL");
    has(&asked("select * from docs where tenant_id = $1 and not archived"), "docs (tenant_id) WHERE NOT archived");
    let (common, rare) =
        (asked("select * from docs where status = 'done' and tenant_id = $1"), asked("select id from docs where not archived"));
    assert!(!common.iter().any(|label| label.contains("WHERE")), "{common:?}");
    has(&rare, "docs (id) WHERE NOT archived");
}

#[test]
fn several_constants_make_one_predicate_too() {
    let candidates = asked("select * from docs where status = 'open' and deleted_at is null and tenant_id = $1");
    has(&candidates, "docs (tenant_id) WHERE deleted_at IS NULL AND status = 'open'");
    has(&candidates, "docs (tenant_id) WHERE status = 'open'");
}

#[test]
fn neither_a_moving_bound_nor_one_of_many_values_is_a_predicate() {
    for text in
        ["select * from docs where created_at > '2026-01-01' and tenant_id = $1", "select * from docs where tenant_id = 7 and title = $1"]
    {
        let candidates = asked(text);
        assert!(!candidates.iter().any(|label| label.contains("WHERE")), "{candidates:?}");
    }
}

#[test]
fn a_parameter_that_is_nearly_always_the_same_counts_as_a_constant() {
    let mut snapshot = documents("select * from docs where status = $1 and tenant_id = $2");
    let call = |at: usize| vec![Some(if at == 0 { "open" } else { "failed" }.to_owned()), Some(at.to_string())];
    snapshot.statements[0].parameters = (0..40).map(call).collect();
    has(&labels(&snapshot), "docs (tenant_id) WHERE status = 'failed'");
    snapshot.statements[0].parameters = (0..40).map(|at| call(at % 2)).collect();
    assert!(!labels(&snapshot).iter().any(|label| label.contains("WHERE")));
}

#[test]
fn what_is_read_beside_the_keys_is_carried_along_when_that_is_little() {
    let text = "select tenant_id, sum(id) from docs where tenant_id = $1 group by tenant_id";
    has(&asked(text), "docs (tenant_id) INCLUDE (id)");
    let not = |snapshot: Snapshot| assert!(!labels(&snapshot).iter().any(|label| label.contains("INCLUDE")), "{:?}", labels(&snapshot));
    not(documents("select * from docs where tenant_id = $1"));
    not(documents("select doc from docs where tenant_id = $1"));
    let mut moving = documents(text);
    moving.tables[0].pages_all_visible = 100;
    not(moving);
    let mut updated = documents(text);
    updated.statements.push(sample::statement(2, "update docs set id = $1 where title = $2", 5, 5, 1.0));
    not(updated);
}

#[test]
fn both_arms_of_an_or_are_one_group() {
    let snapshot = documents("select * from docs where tenant_id = $1 or title = $2");
    let relations = Relations::new(&snapshot);
    let queries = workload::read(&snapshot).queries;
    let groups = generate(&relations, &Facts::of_all(&relations), &queries, &budget(3)).groups;
    let groups: Vec<Vec<String>> = groups.iter().map(|group| group.iter().map(|member| candidate::label(member)).collect()).collect();
    assert_eq!(groups, [["docs (tenant_id)", "docs (title)"]]);
}

#[test]
fn the_indexes_that_a_join_needs_together_are_one_group() {
    let text = "select * from campaign_prospects cp join meetings m on m.prospect_id = cp.prospect_id where cp.campaign_id = $1";
    let snapshot = sample::crm_running(&[(text, 100)]);
    let relations = Relations::new(&snapshot);
    let queries = workload::read(&snapshot).queries;
    let generated = generate(&relations, &Facts::of_all(&relations), &queries, &budget(3));
    let groups: Vec<Vec<String>> =
        generated.groups.iter().map(|group| group.iter().map(|member| candidate::label(member)).collect()).collect();
    let wanted = ["campaign_prospects (campaign_id)", "meetings (prospect_id)"];
    assert!(groups.iter().any(|group| *group == wanted), "{groups:?}");
    assert!(generated.groups.iter().flatten().all(|member| generated.candidates.contains_key(member)));
}

#[test]
fn two_values_are_no_key_of_their_own() {
    let (_, refused) = generated(&documents("select * from docs where archived = $1"));
    let reason = &refused["docs (archived)"];
    assert!(reason.starts_with("not selective") || reason.contains("has 2 values"), "{reason}");
    let (_, refused) = generated(&documents("select * from docs where not archived"));
    assert_eq!(refused["docs (archived)"], "archived has 2 values: of the rare one a partial index is smaller and serves as well");
}

#[test]
fn an_inner_side_of_many_loops_may_be_small() {
    let of = |text: &str| of(text).0;
    let mut snapshot = sample::crm_running(&[("select * from prospects p join users u on u.email = p.email", 10)]);
    assert!(!labels(&snapshot).contains(&"users (email)".to_owned()));
    snapshot.tables[0].heap_bytes = 20 * 8192;
    has(&labels(&snapshot), "users (email)");
    has(&of("select * from prospects p where exists (select 1 from users u where u.email = p.email and u.id > p.id)"), "users (email)");
}

#[test]
fn a_candidate_is_priced_for_every_statement_it_could_serve() {
    let snapshot = sample::crm_running(&[
        ("select * from prospects where user_id = $1 and score = $2", 100),
        ("select * from prospects where user_id = $1", 100),
        ("select * from prospects where email = $1", 100),
    ]);
    let relations = Relations::new(&snapshot);
    let queries = workload::read(&snapshot).queries;
    let position = |text: &str| queries.iter().position(|query| query.text.contains(text)).unwrap();
    let generated = generate(&relations, &Facts::of_all(&relations), &queries, &budget(3));
    let served = |wanted: &str| generated.candidates.iter().find(|(found, _)| candidate::label(found) == wanted).unwrap().1.clone();
    let wanted = BTreeSet::from([position("score"), position("user_id = $1 and").min(position("score"))]);
    assert!(served("prospects (user_id, score)").is_superset(&wanted));
    assert!(!served("prospects (user_id, score)").contains(&position("email")));
    assert_eq!(served("prospects (user_id)").len(), 2);
}

#[test]
fn risks_say_what_a_kind_of_index_cannot_do() {
    let snapshot = documents("select 1");
    let relations = Relations::new(&snapshot);
    let facts = Facts::of_all(&relations);
    let of = |change: fn(&mut Candidate)| {
        let mut index = Candidate { table: 20, ..sample::candidate("docs", &["tenant_id"]) };
        change(&mut index);
        risks(&index, &facts[&20])
    };
    assert_eq!(of(|_| {}), Vec::<String>::new());
    assert!(of(|index| index.predicate = Some("status = 'failed'".into()))[0].starts_with("A generic plan cannot use it"));
    assert_eq!(of(|index| index.predicate = Some("deleted_at IS NULL".into())), Vec::<String>::new());
    assert!(of(|index| index.included = vec!["title".into()])[0].contains("90 % of the pages of docs are all-visible"));
    assert!(of(|index| index.method = "brin".into())[0].contains("in the order of the values"));
}

/// Statements over documents to draw workloads from.
fn drawn() -> impl Strategy<Value = Vec<(&'static str, u64)>> {
    let texts = [
        "select * from docs where tenant_id = $1 and status = 'failed' order by created_at desc, title limit 5",
        "select tenant_id, count(*) from docs where created_at > $1 and deleted_at is null group by tenant_id",
        "select * from docs where lower(title) = $1 or tags @> $2",
        "select * from docs where tenant_id in ($1, $2) and title like 'a%' and url = $3",
        "select a.id from docs a join docs b on b.tenant_id = a.tenant_id and b.title = a.title where a.status = $1",
        "update docs set status = $1 where id = $2",
        "select * from docs d where exists (select 1 from docs e where e.tenant_id = d.id and not e.archived)",
        "select max(created_at) from docs where tenant_id = $1",
    ];
    prop::collection::vec((prop::sample::select(texts.to_vec()), 1..1_000u64), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_narrower_width_asks_for_a_part_and_prefixes_are_candidates(statements in drawn(), width in 1usize..4) {
        let mut snapshot = documents("select 1");
        snapshot.statements = statements.iter().enumerate().map(|(at, (text, calls))| sample::statement(at as u64, text, *calls, 5, 1.0)).collect();
        let relations = Relations::new(&snapshot);
        let facts = Facts::of_all(&relations);
        let queries = workload::read(&snapshot).queries;
        let (narrow, wide) = (generate(&relations, &facts, &queries, &budget(width)), generate(&relations, &facts, &queries, &budget(width + 1)));
        for candidate in narrow.candidates.keys() {
            prop_assert!(wide.candidates.contains_key(candidate), "{} at width {width}", candidate::label(candidate));
        }
        for candidate in wide.candidates.keys().filter(|candidate| candidate.method == "btree" && candidate.keys.len() > 1) {
            let prefix = Candidate { keys: candidate.keys[..candidate.keys.len() - 1].to_vec(), included: Vec::new(), ..Candidate::clone(candidate) };
            prop_assert!(wide.candidates.contains_key(&prefix) || wide.refused.contains_key(&prefix), "{}", candidate::label(&prefix));
        }
        let mut reversed = queries.clone();
        reversed.reverse();
        let other = generate(&relations, &facts, &reversed, &budget(width + 1));
        prop_assert_eq!(wide.candidates.keys().collect::<Vec<_>>(), other.candidates.keys().collect::<Vec<_>>());
        prop_assert_eq!(wide.groups, other.groups);
    }
}
