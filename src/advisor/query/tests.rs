//! What is read of statements, by example.

use super::super::sample;
use super::*;
use crate::catalog::{Relations, Snapshot};

fn reading(text: &str) -> Reading {
    reading_of(&sample::crm(), text)
}

fn reading_of(snapshot: &Snapshot, text: &str) -> Reading {
    let relations = Relations::new(snapshot);
    read(&Names::new(&relations), text, "\"$user\", public", "app", &[])
}

fn blocks(text: &str) -> Vec<Block> {
    match reading(text) {
        Reading::Understood { blocks, .. } => blocks,
        other => panic!("{text}: {other:?}"),
    }
}

/// The conditions of the first block, one word each: `access.column class`.
fn conditions(text: &str) -> Vec<String> {
    let said = |(at, access): (usize, &Access)| -> Vec<String> {
        let class = |condition: &Condition| match &condition.class {
            Class::Equality { values: 1 } if condition.is_join() => "joined".to_owned(),
            Class::Equality { values } => format!("={values}"),
            other => format!("{other:?}").to_lowercase(),
        };
        access.conditions.iter().map(|condition| format!("{at}.{} {}", condition.column, class(condition))).collect()
    };
    blocks(text)[0].accesses.iter().enumerate().flat_map(said).collect()
}

#[test]
fn conditions_are_classed_by_what_an_index_can_do() {
    let of = |condition: &str| conditions(&format!("select * from prospects where {condition}"));
    assert_eq!(of("user_id = $1 and $2 = status"), ["0.user_id =1", "0.status =1"]);
    assert_eq!(of("status in ($1, $2, $3)"), ["0.status =3"]);
    assert_eq!(of("status = any($1)"), ["0.status =10"]);
    assert_eq!(of("status = $1 or status = $2"), ["0.status =2"]);
    assert_eq!(of("score is null and email is not null"), ["0.score isnull", "0.email notnull"]);
    assert_eq!(of("score between $1 and $2"), ["0.score above", "0.score below"]);
    assert_eq!(of("$1 < score"), ["0.score above"]);
    assert_eq!(of("created_at > now() - interval $1"), ["0.created_at above"]);
    assert_eq!(of("(created_at, id) < ($1, $2)"), ["0.created_at below"]);
    assert_eq!(of("(user_id, status) = ($1, $2)"), ["0.user_id =1", "0.status =1"]);
    assert_eq!(of("user_id in (select id from users)"), ["0.user_id joined"]);
    assert_eq!(of("email like 'bob%'"), ["0.email prefix(\"bob\")"]);
    assert_eq!(of("email::text = $1"), ["0.email =1"]);
}

#[test]
fn conditions_around_a_column_serve_no_index_and_say_so() {
    for condition in [
        "lower(email) = $1",
        "score + 1 > $1",
        "email like $1",
        "email like '%x'",
        "status <> $1",
        "user_id = $1 or score = $2",
        "score::text = $1",
        "not (score = $1)",
        "score = user_id",
        "status not in ($1)",
    ] {
        let found = blocks(&format!("select * from prospects where {condition}"));
        assert_eq!(found[0].accesses[0].conditions, [], "{condition}");
        assert!(!found[0].accesses[0].filters[0].columns.is_empty(), "{condition}");
    }
}

#[test]
fn joins_bind_both_sides_except_where_rows_are_kept() {
    assert_eq!(
        conditions("select * from campaign_prospects c join prospects p on p.id = c.prospect_id"),
        ["0.prospect_id joined", "1.id joined"]
    );
    assert_eq!(
        conditions("select * from prospects p left join meetings m on m.prospect_id = p.id and p.status = $1"),
        ["1.prospect_id joined"]
    );
    assert_eq!(conditions("select * from prospects join meetings using (user_id)"), ["0.user_id joined", "1.user_id joined"]);
    assert_eq!(conditions("select * from prospects p, meetings m where m.prospect_id = p.id"), ["0.id joined", "1.prospect_id joined"]);
}

#[test]
fn names_fold_and_quote_as_the_server_does() {
    assert_eq!(conditions("SELECT * FROM PUBLIC.Prospects P WHERE P.User_Id = $1"), ["0.user_id =1"]);
    assert!(matches!(reading("select * from \"Prospects\""), Reading::Skipped(reason) if reason.contains("Prospects")));
}

#[test]
fn subqueries_expressions_and_changes_are_blocks_of_their_own() {
    let with = blocks(
        "with mine as (select * from prospects where user_id = $1) select * from mine m join meetings on meetings.prospect_id = m.id where scheduled_at > $2",
    );
    assert_eq!(with.iter().map(|block| block.accesses.len()).collect::<Vec<_>>(), [2], "named once, so the planner inlines it");
    let exists = blocks("select * from users u where exists (select 1 from meetings m where m.user_id = u.id)");
    assert!(exists[1].correlated && exists[1].parent == Some(0));
    assert_eq!(exists[1].accesses[0].conditions[0].operand, Operand::Outer);
    let union = blocks("select id from users where email = $1 union all (select id from prospects where email = $1 order by id limit 3)");
    assert_eq!((union.len(), union[1].limit), (2, Some(Limit::Rows(3))));
    let Reading::Understood { blocks, writes, .. } =
        reading("update prospects p set status = $1, (score, email) = ($2, $3) from users u where u.id = p.user_id and u.email = $4")
    else {
        panic!("not understood")
    };
    assert_eq!((blocks[0].accesses.len(), writes[0].sets.join(" ")), (2, "status score email".to_owned()));
    let Reading::Understood { writes, .. } =
        reading("insert into users (id, email) values ($1, $2) on conflict (id) do update set email = excluded.email")
    else {
        panic!("not understood")
    };
    assert_eq!(writes[0].sets, ["email"]);
    assert_eq!(conditions("delete from meetings where user_id = $1"), ["0.user_id =1"]);
}

#[test]
fn order_grouping_and_limit_are_noted() {
    let block = &blocks("select status as s, count(*) from prospects group by 1 order by s desc limit 10 offset 5")[0];
    assert_eq!((block.grouping[0].column().unwrap(), block.sort[0].descending, block.limit), ("status", true, Some(Limit::Rows(15))));
    let expression = &blocks("select * from prospects order by lower(email)")[0];
    assert!(!expression.sort_by_expression && expression.sort[0].of.target == KeyTarget::Expression("lower(email)".into()));
    assert!(blocks("select * from prospects order by random()")[0].sort_by_expression);
    let highest = &blocks("select max(created_at) from prospects where user_id = $1")[0];
    assert_eq!((highest.limit, highest.sort[0].descending, highest.aggregate), (Some(Limit::Rows(1)), true, false));
    assert!(blocks("select count(*) from prospects")[0].aggregate);
    let window = &blocks("select id, row_number() over (partition by user_id order by created_at) from prospects")[0];
    assert_eq!(window.sort.iter().map(|key| key.of.column().unwrap()).collect::<Vec<_>>(), ["user_id", "created_at"]);
}

#[test]
fn only_columns_read_are_noted() {
    let access = &blocks("select id, upper(email) from prospects where user_id = $1 order by created_at")[0].accesses[0];
    assert_eq!(access.columns.iter().map(String::as_str).collect::<Vec<_>>(), ["created_at", "email", "id", "user_id"]);
    assert!(!access.whole_row && blocks("select p.* from prospects p")[0].accesses[0].whole_row);
    assert!(!blocks("select count(*) from prospects p")[0].accesses[0].whole_row);
}

#[test]
fn the_longest_chain_admitted_can_be_walked() {
    for chain in [" or user_id = $1", " and user_id = $1", " = $1"] {
        let text = format!("select * from prospects where score = $1{}", chain.repeat(130));
        assert!(matches!(reading(&text), Reading::Understood { .. }), "{chain}");
    }
    let nested = format!("select * from prospects where score = {}", " $1 +".repeat(390));
    assert!(matches!(reading(&format!("{nested} $1")), Reading::Understood { .. }));
}

#[test]
fn what_is_no_workload_is_not_counted() {
    for text in [
        "select 1",
        "select * from pg_class",
        "select * from pg_stat_statements s join pg_catalog.pg_roles r on r.oid = s.userid",
        "begin",
        "select table_name from information_schema.tables",
    ] {
        assert!(matches!(reading(text), Reading::NotWorkload), "{text}: {:?}", reading(text));
    }
}

#[test]
fn what_cannot_be_used_says_why() {
    for (text, why) in
        [("select * from nowhere", "nowhere"), ("select my_function($1)", "track = all"), ("select * from", "not understood")]
    {
        assert!(matches!(reading(text), Reading::Skipped(ref reason) if reason.contains(why)), "{text}: {:?}", reading(text));
    }
}
