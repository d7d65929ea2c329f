//! Statement texts and what is read of them, one kind of statement a test.

use super::super::sample::{self, Col};
use super::*;
use crate::catalog::{Function, QualifiedName, Relations, Snapshot, TableKind, UserType, UserTypeKind, View};

const TIME: &str = "timestamp with time zone";

/// A document store with what the sales application lacks: arrays, jsonb, NULLs, views, a second schema, odd names.
fn store() -> Snapshot {
    let mut docs = sample::table(
        20,
        "docs",
        500_000.0,
        20_000,
        &[
            Col("id", "bigint", -1.0, 1.0),
            Col("tenant_id", "bigint", 200.0, 0.0),
            Col("owner_id", "bigint", 5000.0, 0.0),
            Col("name", "character varying(200)", -1.0, 0.0),
            Col("body", "text", -1.0, 0.0),
            Col("tags", "text[]", -0.1, 0.0),
            Col("doc", "jsonb", -1.0, 0.0),
            Col("mood", "mood", 3.0, 0.0),
            Col("archived", "boolean", 2.0, 0.0),
            Col("created_at", TIME, -1.0, 1.0),
            Col("local_at", "timestamp without time zone", -1.0, 1.0),
            Col("deleted_at", TIME, -0.1, 0.0),
            Col("during", "tstzrange", -1.0, 0.0),
            Col("a", "integer", 100.0, 0.0),
            Col("b", "integer", 100.0, 0.0),
        ],
    );
    docs.columns[11].not_null = false;
    let owners = sample::table(
        21,
        "owners",
        5_000.0,
        200,
        &[Col("id", "bigint", -1.0, 1.0), Col("email", "text", -1.0, 0.0), Col("boss_id", "bigint", 100.0, 0.0)],
    );
    let events = sample::table(
        22,
        "Events",
        1e6,
        30_000,
        &[Col("id", "bigint", -1.0, 1.0), Col("Doc Id", "bigint", -0.5, 0.0), Col("at", TIME, -1.0, 1.0)],
    );
    let mut audit = sample::table(23, "entries", 1e6, 30_000, &[Col("id", "bigint", -1.0, 1.0), Col("doc_id", "bigint", -0.5, 0.0)]);
    audit.name = QualifiedName::new("audit", "entries");
    let mut parts = sample::table(
        24,
        "measures",
        0.0,
        0,
        &[Col("id", "bigint", -1.0, 1.0), Col("day", "date", 300.0, 1.0), Col("v", "integer", 9.0, 0.0)],
    );
    parts.kind = TableKind::Partitioned;
    let part = sample::table(
        25,
        "measures_1",
        1e6,
        9000,
        &[Col("id", "bigint", -1.0, 1.0), Col("day", "date", 300.0, 1.0), Col("v", "integer", 9.0, 0.0)],
    );
    let view = |oid: u32, name: &str, columns: &[&str], definition: &str| View {
        oid,
        name: QualifiedName::new("public", name),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        definition: definition.to_owned(),
        options: Vec::new(),
        extension: None,
    };
    let function = |name: &str, volatility: &str| Function {
        oid: 900,
        name: QualifiedName::new("public", name),
        arguments: "text".into(),
        language: "sql".into(),
        volatility: volatility.into(),
        definition: String::new(),
        extension: None,
    };
    let mut snapshot = sample::snapshot(vec![docs, owners, events, audit, parts, part], Vec::new(), Vec::new());
    snapshot.views = vec![
        view(
            80,
            "live_docs",
            &["id", "owner", "name"],
            " SELECT docs.id,\n    docs.owner_id AS owner,\n    lower((docs.name)::text) AS name\n   FROM docs\n  WHERE (docs.deleted_at IS NULL);",
        ),
        view(81, "owned_docs", &["id", "email"], " SELECT d.id, o.email FROM (live_docs d JOIN owners o ON ((o.id = d.owner)));"),
        view(82, "owner_counts", &["owner_id", "docs"], " SELECT docs.owner_id, count(*) AS docs FROM docs GROUP BY docs.owner_id;"),
        view(83, "circle", &["id"], " SELECT circle.id FROM circle;"),
    ];
    snapshot.functions = vec![function("slug", "i"), function("score_of", "v")];
    snapshot.types = vec![UserType {
        oid: 901,
        name: QualifiedName::new("public", "mood"),
        kind: UserTypeKind::Enum { labels: vec!["good".into()] },
        extension: None,
    }];
    snapshot
}

fn reading_with(text: &str, captured: &[Vec<Option<String>>]) -> (Vec<Block>, Vec<Write>, BTreeMap<u32, ParameterUse>) {
    let snapshot = store();
    let relations = Relations::new(&snapshot);
    match read(&Names::new(&relations), text, "\"$user\", public", "app", captured) {
        Reading::Understood { blocks, writes, parameters } => (blocks, writes, parameters),
        other => panic!("{text}: {other:?}"),
    }
}

fn blocks_with(text: &str, captured: &[Vec<Option<String>>]) -> Vec<String> {
    let snapshot = store();
    reading_with(text, captured).0.iter().map(|block| summary::block(&snapshot, block)).collect()
}

fn blocks(text: &str) -> Vec<String> {
    blocks_with(text, &[])
}

/// Prints the one block of `select 1 from docs where …`.
fn docs(condition: &str) -> String {
    blocks(&format!("select 1 from docs where {condition}")).join(" / ")
}

/// Compares all of a table of examples, and prints all that differ.
fn check(examples: &[(&str, &str)], of: impl Fn(&str) -> String) {
    let wrong: Vec<String> = examples
        .iter()
        .filter(|(text, wanted)| of(text) != *wanted)
        .map(|(text, wanted)| format!("{text}\n  got    {}\n  wanted {wanted}", of(text)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn expressions_over_one_table_are_what_an_index_could_hold() {
    check(
        &[
            ("lower(name) = $1", "docs[{lower(name)} = $]"),
            ("LOWER(docs.name::text) = lower($1)", "docs[{lower(name)} = *]"),
            ("(doc ->> 'k')::int = 5", "docs[{(doc ->> 'k')::integer} = '5'; #(doc ->> 'k')::integer = 5]"),
            ("cast(doc ->> 'k' as bigint) > $1", "docs[{(doc ->> 'k')::bigint} > $]"),
            ("doc ->> 'k' in ($1, $2)", "docs[{doc ->> 'k'} in 2]"),
            ("coalesce(a, 0) = $1", "docs[{coalesce(a, 0)} = $]"),
            ("a + b > $1", "docs[{a + b} > $]"),
            ("date_trunc('day', local_at) >= $1", "docs[{date_trunc('day', local_at)} >= $]".replace(">=", ">").leak()),
            ("(created_at at time zone 'utc')::date = $1", "docs[{(created_at AT TIME ZONE 'utc')::date} = $]"),
            ("slug(body) = $1", "docs[{slug(body)} = $]"),
            ("lower(body) like 'bob%'", "docs[{lower(body)} begins bob; #lower(body) LIKE 'bob%']"),
            ("md5(body) between $1 and $2", "docs[{md5(body)} > $; {md5(body)} < $]"),
            ("\"docs\".\"a\" % 10 = $1", "docs[{a % 10} = $]"),
        ],
        docs,
    );
}

#[test]
fn expressions_that_no_index_may_hold_say_why() {
    let reason = |condition: &str| {
        let blocks = reading_with(&format!("select 1 from docs where {condition}"), &[]).0;
        let access = &blocks[0].accesses[0];
        assert!(access.expressions.is_empty() && access.constants.is_empty(), "{condition}: {access:?}");
        access.filters[0].reason
    };
    for (condition, why) in [
        ("date_trunc('day', created_at) >= $1", "time zone"),
        ("created_at::date = $1", "time zone"),
        ("extract(year from created_at) = $1", "time zone"),
        ("created_at + interval '1 day' > $1", "time zone"),
        ("to_char(local_at, 'YYYY') = $1", "settings"),
        ("mood::text = $1", "settings"),
        ("concat(a, b) = $1", "settings"),
        ("a || name = $1", "settings"),
        ("(doc ->> 'at')::timestamptz > $1", "settings"),
        ("score_of(body) > $1", "call to call"),
        ("a + random() > $1", "call to call"),
        ("doc ->> $1 = $2", "parameter stands inside"),
        ("date_trunc($1, local_at) = $2", "parameter stands inside"),
        ("to_tsvector(body) @@ to_tsquery($1)", "to_tsvector"),
        ("$1 = any(tags)", "@> ARRAY"),
        ("a = b + $1", "change with the row"),
        ("now() > created_at - interval '1 day'", "time zone"),
    ] {
        assert!(reason(condition).contains(why), "{condition}: {}", reason(condition));
    }
}

#[test]
fn a_captured_value_stands_in_for_a_key() {
    let seen = |values: &[&str]| values.iter().map(|value| vec![Some((*value).to_owned()), Some("x".into())]).collect::<Vec<_>>();
    let of = |text: &str, values: &[&str]| blocks_with(&format!("select 1 from docs where {text}"), &seen(values)).join(" / ");
    assert_eq!(of("doc ->> $1 = $2", &["color"; 3]), "docs[{doc ->> 'color'} = $]");
    assert_eq!(of("doc -> $1 ->> 'k' = $2", &["0"; 3]), "docs[{doc -> 0 ->> 'k'} = $]");
    assert_eq!(of("doc ->> $1 = $2", &["color", "size"]), "docs[]");
    let many: Vec<&str> = [vec!["failed"; 97], vec!["done"; 3]].concat();
    assert_eq!(of("body = $1 and a > 5", &many), "docs[body = $; a > '5'; #body = 'failed'; #a > 5]");
    assert_eq!(of("body = $1 and a > 5", &["failed"; 19]), "docs[body = $; a > '5'; #a > 5]");
    assert_eq!(of("body like $1", &["bob%", "ann%"]), "docs[body begins bob]");
    assert_eq!(of("body like $1", &["bob%", "%ann"]), "docs[body like $]");
}

#[test]
fn operators_of_inverted_indexes_keep_their_side() {
    check(
        &[
            ("tags @> $1", "docs[tags @> $]"),
            ("$1 <@ tags", "docs[tags @> $]"),
            ("tags @> array[$1, $2]", "docs[tags @> *]"),
            ("tags && '{a,b}'", "docs[tags && '{a,b}'; #tags && '{a,b}']"),
            ("doc @> '{\"a\": 1}'::jsonb", "docs[doc @> '{\"a\": 1}'; #doc @> '{\"a\": 1}'::jsonb]"),
            ("doc ? $1", "docs[doc ? $]"),
            ("doc ?| $1 and doc ?& $2 and doc @? $3", "docs[doc ?| $; doc ?& $; doc @? $]"),
            ("doc -> 'tags' ? $1", "docs[{doc -> 'tags'} ? $]"),
            ("during && tstzrange($1, $2)", "docs[during && *]"),
            ("to_tsvector('english', body) @@ plainto_tsquery('english', $1)", "docs[{to_tsvector('english', body)} @@ *]"),
            (
                "to_tsvector('english', coalesce(name, '') || ' ' || body) @@ $1",
                "docs[{to_tsvector('english', coalesce(name, '') || ' ' || body)} @@ $]",
            ),
            ("name ilike '%bob%'", "docs[name ilike '%bob%'; #name ILIKE '%bob%']"),
            ("name like $1", "docs[name like $]"),
            ("name like '%' || $1 || '%'", "docs[name like *]"),
            ("lower(name) like $1", "docs[{lower(name)} like $]"),
            ("name like 'bob%'", "docs[name begins bob; #name LIKE 'bob%']"),
            ("name ~ '^bob' and name ~* $1", "docs[name begins bob; name ~* $; #name ~ '^bob']"),
            ("name ~~ 'x%y'", "docs[name begins x; #name ~~ 'x%y']"),
            ("name % $1", "docs[name % $]"),
        ],
        docs,
    );
    assert_eq!(blocks("select id from docs order by name <-> $1 limit 5"), ["docs[near name] sorted otherwise limit 5"]);
    assert_eq!(blocks("select id from docs order by $1 <-> lower(name) limit $2"), ["docs[near {lower(name)}] sorted otherwise limit $"]);
}

#[test]
fn alternatives_are_kept_when_every_arm_can_be_served() {
    check(
        &[
            ("a = $1 or b = $2", "docs[(a = $ | b = $)]"),
            ("a = $1 or (b = $2 and owner_id = $3)", "docs[(a = $ | b = $ & owner_id = $)]"),
            ("a = $1 or lower(name) = $2 or tags @> $3", "docs[(a = $ | {lower(name)} = $ | tags @> $)]"),
            ("a = $1 or a = $2 or a in ($3, $4)", "docs[a in 4]"),
            ("a = $1 or b <> $2", "docs[]"),
            ("(a = $1 and b = $2) or (a = $1 and owner_id = $3)", "docs[a = $; (b = $ | owner_id = $)]"),
            ("(a, b) in (($1, $2), ($3, $4))", "docs[a in 2; b in 2]"),
            ("($1 is null or a = $1) and ($2::text = '' or name = $2)", "docs[a = $; name = $]"),
            ("deleted_at is null or deleted_at > $1", "docs[(deleted_at null | deleted_at > $)]"),
        ],
        docs,
    );
    assert_eq!(
        blocks("select 1 from docs d join owners o on o.id = d.owner_id or o.id = d.a where d.b = 1 or o.email = 'x'"),
        ["docs[(owner_id = 1.id | a = 1.id)] owners[id in 2]".replace("owners[id in 2]", "owners[(id = 0.owner_id | id = 0.a)]")]
    );
}

#[test]
fn conditions_of_constants_are_what_a_partial_index_may_say() {
    check(
        &[
            ("docs.deleted_at is null", "docs[deleted_at null; #deleted_at IS NULL]"),
            ("not archived", "docs[archived = 'f'; #NOT archived]"),
            ("archived", "docs[archived = 't'; #archived]"),
            ("archived = false", "docs[archived = 'f'; #archived = false]"),
            ("archived is not true", "docs[#archived IS NOT TRUE]"),
            ("mood in ('good', 'bad')", "docs[mood in 2; #mood IN ('good', 'bad')]"),
            ("body = 'failed'::text", "docs[body = 'failed'; #body = 'failed']"),
            ("body <> 'done'", "docs[#body <> 'done']"),
            ("a = 1 or b = 2", "docs[(a = '1' | b = '2'); #a = 1 OR b = 2]"),
            ("a = -1", "docs[a = '-1'; #a = -1]"),
            ("created_at > now() - interval '1 day'", "docs[created_at > *]"),
            ("created_at > 'today'", "docs[created_at > 'today']"),
            ("a = $1", "docs[a = $]"),
        ],
        docs,
    );
    assert_eq!(blocks("select 1 from public.\"Events\" e where e.\"Doc Id\" = 5"), ["Events[Doc Id = '5'; #\"Doc Id\" = 5]"]);
    assert_eq!(blocks("select 1 from \"Events\" where \"Doc Id\" + id = 5"), ["Events[{\"Doc Id\" + id} = '5'; #\"Doc Id\" + id = 5]"]);
}

#[test]
fn above_an_outer_join_nothing_that_null_satisfies_is_asked_of_the_rows() {
    let from = "select 1 from owners o left join docs d on d.owner_id = o.id and d.deleted_at is null where";
    assert_eq!(blocks(&format!("{from} d.id is null")), ["owners[] docs[owner_id = 0.id; deleted_at null; #deleted_at IS NULL]"]);
    assert_eq!(
        blocks(&format!("{from} d.a = 5")),
        ["owners[] docs[owner_id = 0.id; deleted_at null; a = '5'; #deleted_at IS NULL; #a = 5]"]
    );
    assert_eq!(blocks(&format!("{from} coalesce(d.a, 0) = 0")), ["owners[] docs[owner_id = 0.id; deleted_at null; #deleted_at IS NULL]"]);
}

#[test]
fn joins_of_every_spelling_bind_both_sides_and_pass_values_on() {
    check(
        &[
            (
                "select 1 from docs d join owners o on o.id = d.owner_id where o.id = $1",
                "docs[owner_id = 1.id; owner_id = $] owners[id = 0.owner_id; id = $]",
            ),
            (
                "select 1 from docs d, owners o, audit.entries e where d.owner_id = o.id and e.doc_id = o.id",
                "docs[owner_id = 1.id; owner_id = 2.doc_id] owners[id = 0.owner_id; id = 2.doc_id] entries[doc_id = 1.id; doc_id = 0.owner_id]",
            ),
            ("select 1 from docs natural join owners", "docs[id = 1.id] owners[id = 0.id]"),
            ("select 1 from docs left join owners using (id) where docs.id = $1", "docs[id = $] owners[id = 0.id; id = $]"),
            ("select 1 from docs d right join owners o on o.id = d.owner_id and o.email = $1", "docs[owner_id = 1.id] owners[]"),
            ("select 1 from docs d full join owners o on o.id = d.owner_id", "docs[] owners[]"),
            (
                "select 1 from docs d join owners o on lower(o.email) = lower(d.name)",
                "docs[{lower(name)} = 1.?] owners[{lower(email)} = 0.?]",
            ),
        ],
        |text| blocks(text).join(" / "),
    );
}

#[test]
fn subqueries_are_pulled_up_or_given_the_conditions_on_their_columns() {
    check(
        &[
            (
                "select x.id from (select id, owner_id as o, lower(name) as n from docs where not archived) x where x.o = $1 and n = $2 order by x.id",
                "docs[archived = 'f'; owner_id = $; {lower(name)} = $; #NOT archived] order id",
            ),
            (
                "select * from (select owner_id, count(*) c from docs group by owner_id) x where x.owner_id = $1 and x.c > 5",
                " / docs[owner_id = $] group owner_id",
            ),
            ("select * from (select * from docs order by id limit 10) x where x.a = $1", " / docs[] order id limit 10"),
            (
                "select * from (select *, row_number() over (partition by owner_id order by created_at desc) rn from docs) x where rn <= 3 and owner_id = $1 and a = 1",
                " / docs[owner_id = $] order owner_id, created_at desc",
            ),
            ("select * from (select distinct owner_id, a from docs) x where a = $1", " / docs[a = $] group owner_id, a"),
            (
                "select * from (select id, a from docs union all select id, doc_id from audit.entries) u where u.a = $1",
                " / docs[a = $] / entries[doc_id = $]",
            ),
            (
                "select 1 from owners o join (select id, a from docs union all select id, doc_id from audit.entries) u on u.a = o.id where o.email = $1",
                "owners[id = rows; email = $] / docs[a = outer] for each of 0 / entries[doc_id = outer] for each of 0",
            ),
            (
                "select id from docs where a = $1 union all select id from docs where b = $2 order by id limit 5",
                "docs[a = $] order id limit 5 / docs[b = $] order id limit 5",
            ),
            ("select id from docs where a = $1 union select id from docs where b = $2 order by id limit 5", "docs[a = $] / docs[b = $]"),
            (
                "select 1 from owners o, lateral (select * from docs d where d.owner_id = o.id order by created_at desc limit 3) x where o.email = $1",
                "owners[email = $] / docs[owner_id = outer] order created_at desc limit 3 for each of 0",
            ),
            (
                "select 1 from owners o cross join lateral (select d.id from docs d where d.owner_id = o.id) x",
                "owners[id = 1.owner_id] docs[owner_id = 0.id]",
            ),
            ("select 1 from unnest($1::bigint[]) as ids(id) join docs d on d.id = ids.id", "docs[id = rows]"),
        ],
        |text| blocks(text).join(" / "),
    );
}

#[test]
fn common_table_expressions_named_once_are_read_where_they_are_named() {
    check(
        &[
            ("with x as (select * from docs) select 1 from x where a = $1", "docs[a = $]"),
            ("with x as materialized (select * from docs) select 1 from x where a = $1", " / docs[]"),
            ("with x as (select * from docs) select 1 from x p join x q on q.id = p.a", " / docs[]"),
            ("with x as not materialized (select * from docs) select 1 from x p join x q on q.id = p.a", "docs[a = 1.id] docs[id = 0.a]"),
            ("with x(n) as (select a from docs), y as (select n from x) select 1 from y where n = $1", "docs[a = $]"),
            (
                "with recursive t as (select id, boss_id from owners where id = $1 union all select o.id, o.boss_id from owners o join t on o.boss_id = t.id) select * from t",
                " / owners[id = $] / owners[boss_id = rows]",
            ),
            ("with gone as (delete from docs where a = $1 returning *) select * from gone", " / docs[a = $]"),
            (
                "with next as (select id from docs where not archived order by id limit 1 for update skip locked) update docs d set a = $1 from next where next.id = d.id",
                "docs[id = rows] / docs[archived = 'f'; #NOT archived] order id limit 1",
            ),
        ],
        |text| blocks(text).join(" / "),
    );
}

#[test]
fn semi_joins_may_be_looked_up_from_either_side() {
    check(
        &[
            (
                "select 1 from owners o where exists (select * from docs d where d.owner_id = o.id and d.a = $1)",
                "owners[id = rows] / docs[owner_id = outer; a = $] for each of 0",
            ),
            (
                "select 1 from owners o where not exists (select 1 from docs d where d.owner_id = o.id)",
                "owners[] / docs[owner_id = outer] for each of 0",
            ),
            (
                "select 1 from owners where id in (select owner_id from docs where a = $1)",
                "owners[id = rows] / docs[a = $; owner_id = outer] for each of 0",
            ),
            ("select 1 from owners where id = any(select owner_id from docs)", "owners[id = rows] / docs[owner_id = outer] for each of 0"),
            ("select 1 from owners where id not in (select owner_id from docs where a = $1)", "owners[] / docs[a = $]"),
            ("select 1 from owners where id in (select owner_id from docs group by owner_id)", "owners[id = rows] / docs[] group owner_id"),
            (
                "select 1 from docs where (a, b) in (select id, boss_id from owners)",
                "docs[a = rows; b = rows] / owners[id = outer; boss_id = outer] for each of 0",
            ),
            (
                "select (select max(created_at) from docs d where d.owner_id = o.id) from owners o",
                "owners[] / docs[owner_id = outer; created_at not null] order created_at desc limit 1 for each of 0",
            ),
            ("select 1 from owners where id = (select owner_id from docs where a = $1)", "owners[id = *] / docs[a = $]"),
        ],
        |text| blocks(text).join(" / "),
    );
}

#[test]
fn views_are_read_as_the_subqueries_they_are() {
    check(
        &[
            (
                "select id from live_docs where owner = $1 and name = $2",
                "docs[deleted_at null; owner_id = $; {lower(name)} = $; #deleted_at IS NULL]",
            ),
            (
                "select id from public.owned_docs where email = $1",
                "docs[deleted_at null; owner_id = 1.id; #deleted_at IS NULL] owners[id = 0.owner_id; email = $]",
            ),
            ("select * from owner_counts c where c.owner_id = $1", " / docs[owner_id = $] group owner_id"),
        ],
        |text| blocks(text).join(" / "),
    );
    let (blocks, ..) = reading_with("select id from owned_docs where email = $1", &[]);
    let columns = |access: usize| blocks[0].accesses[access].columns.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        (columns(0).as_str(), columns(1).as_str()),
        ("deleted_at id owner_id", "email id"),
        "what the view gives besides is not read"
    );
}

#[test]
fn a_view_of_itself_is_left_alone() {
    let snapshot = store();
    let relations = Relations::new(&snapshot);
    let reading = read(&Names::new(&relations), "select * from circle", "public", "app", &[]);
    assert!(matches!(reading, Reading::Skipped(reason) if reason.contains("circle")));
}

#[test]
fn writes_are_noted_with_what_they_set() {
    let of = |text: &str| {
        let (found, writes, _) = reading_with(text, &[]);
        let snapshot = store();
        let found: Vec<String> = found.iter().map(|block| summary::block(&snapshot, block)).collect();
        let writes: Vec<String> = writes.iter().map(|write| format!("{}({})", write.table, write.sets.join(" "))).collect();
        format!("{} -> {}", found.join(" / "), writes.join(" "))
    };
    check(
        &[
            (
                "update docs d set a = a + $1, (b, body) = ($2, $3) from owners o where o.id = d.owner_id and o.email = $4",
                "docs[owner_id = 1.id] owners[id = 0.owner_id; email = $] -> 20(a b body)",
            ),
            (
                "delete from docs using owners o where o.id = docs.owner_id and o.email = $1",
                "docs[owner_id = 1.id] owners[id = 0.owner_id; email = $] -> 20()",
            ),
            ("insert into docs (id, a) select id, $1 from owners where boss_id = $2", "owners[boss_id = $] -> 20()"),
            ("insert into docs (id, a) values ($1, $2) on conflict (id) do update set a = excluded.a, b = $3", " -> 20(a b)"),
            (
                "merge into docs d using owners o on d.owner_id = o.id and o.email = $1 when matched and d.a > 5 then update set a = $2 when matched then delete when not matched then insert (id, a) values (o.id, $3)",
                "docs[owner_id = 1.id] owners[] -> 20(a) 20() 20()",
            ),
            (
                "merge into docs d using (select id from owners where email = $1) o on d.owner_id = o.id when matched then delete",
                "docs[owner_id = 1.id] owners[email = $; id = 0.owner_id] -> 20()",
            ),
            (
                "with gone as (delete from docs where a = $1 returning id) insert into audit.entries (doc_id) select id from gone",
                " / docs[a = $] -> 20() 23()",
            ),
        ],
        of,
    );
}

#[test]
fn order_and_grouping_keep_what_an_index_could_give() {
    check(
        &[
            ("select id from docs order by a desc, b limit 10", "docs[] order a desc, b limit 10"),
            (
                "select id from docs order by a desc nulls last, lower(name) fetch first $1 rows only",
                "docs[] order a desc nulls last, {lower(name)} limit $",
            ),
            ("select distinct on (owner_id) * from docs order by owner_id, created_at desc", "docs[] order owner_id, created_at desc"),
            ("select distinct on (owner_id) id from docs", "docs[] order owner_id"),
            (
                "select min(a), max(a) from docs where b = $1",
                "docs[b = $; a not null] order a desc nulls last limit 1 / docs[b = $; a not null] order a limit 1"
                    .replace("desc nulls last", "desc")
                    .leak(),
            ),
            ("select count(*) from docs where b = $1", "docs[b = $] aggregate"),
            ("select sum(a), max(a) from docs", "docs[] aggregate"),
            ("select coalesce(max(a), 0) + 1 from docs", "docs[a not null] order a desc limit 1"),
            ("select date_trunc('day', local_at), count(*) from docs group by 1", "docs[] group {date_trunc('day', local_at)}"),
            ("select date_trunc('day', created_at), count(*) from docs group by 1", "docs[] grouped"),
            ("select a, rank() over w, sum(b) over w from docs window w as (partition by a order by b) order by a", "docs[] order a, b"),
            ("select id from docs limit all", "docs[]"),
            ("select id from docs order by random()", "docs[] sorted otherwise"),
        ],
        |text| blocks(text).join(" / "),
    );
}

#[test]
fn tables_are_found_in_the_schema_the_path_says_or_in_the_first_that_has_them_all() {
    let snapshot = store();
    let relations = Relations::new(&snapshot);
    let names = Names::new(&relations);
    let tables = |text: &str, path: &str, user: &str| match read(&names, text, path, user, &[]) {
        Reading::Understood { blocks, .. } => {
            blocks.iter().flat_map(|block| block.accesses.iter().map(|access| access.table)).collect::<Vec<_>>()
        }
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(tables("select * from entries", "public", "app"), [23]);
    assert_eq!(tables("select * from entries", "\"$user\", public", "audit"), [23]);
    assert_eq!(tables("select * from entries e join docs d on d.id = e.doc_id", "nowhere", "app"), [23, 20]);
    assert_eq!(tables("select * from measures where day = $1", "public", "app"), [24]);
    assert_eq!(tables("select * from measures_1 where day = $1", "public", "app"), [25], "a partition named stays");
}

#[test]
fn parameters_have_a_role() {
    let of = |text: &str| {
        let roles = reading_with(text, &[]).2;
        let said = |(number, used): (&u32, &ParameterUse)| match used {
            ParameterUse::Column { column, comparison, .. } => format!("{number} {column} {comparison:?}"),
            other => format!("{number} {other:?}"),
        };
        roles.iter().map(said).collect::<Vec<_>>().join(", ")
    };
    check(
        &[
            ("select 1 from docs where a = $1::int and $2 < b and body in ($3, $4)", "1 a Equal, 2 b Above, 3 body Equal, 4 body Equal"),
            ("select 1 from docs where a between $1 and $2 limit $3 offset $4", "1 a Above, 2 a Below, 3 Limit, 4 Offset"),
            ("select 1 from docs where id = any($1::bigint[]) and a = any(array[$2, $3])", "1 id AnyOf, 2 a Equal, 3 a Equal"),
            ("select 1 from docs where name like $1 and body ilike '%' || $2 || '%'", "1 name Pattern, 2 body Pattern"),
            (
                "select 1 from docs where created_at > now() - $1::interval and local_at < current_date - $2",
                "1 created_at Age, 2 local_at Age",
            ),
            (
                "select 1 from docs where created_at > now() - interval $1 and created_at < $2 - interval '1 day'",
                "1 created_at Age, 2 created_at Below",
            ),
            ("select 1 from docs where tags @> $1 and doc ? $2 and tags && array[$3]", "1 tags Elements, 2 doc Elements, 3 tags Elements"),
            ("select 1 from docs where lower(body) = lower($1) and coalesce(a, 0) = $2", "1 body Equal, 2 a Equal"),
            ("select 1 from docs where a <> $1 and (b = $2 or owner_id = $3)", "1 a Equal, 2 b Equal, 3 owner_id Equal"),
            ("insert into docs (id, body) values ($1, $2), ($3, lower($4))", "1 id Equal, 2 body Equal, 3 id Equal, 4 body Equal"),
            ("update docs set a = $1, (b, body) = ($2, $3) where id = $4", "1 a Equal, 2 b Equal, 3 body Equal, 4 id Equal"),
            ("insert into docs (id, a) values ($1, 0) on conflict (id) do update set a = docs.a + $2", "1 id Equal, 2 a Equal"),
            ("select 1 from docs where local_at::date = $1 and date(local_at) < $2", "1 local_at Equal, 2 local_at Below"),
            ("select 1 from docs where $1 = any(tags)", "1 tags Elements"),
            ("select 1 from live_docs where owner = $1 and name = $2", "1 owner_id Equal, 2 name Equal"),
            ("select 1 from docs where to_tsvector('english', body) @@ websearch_to_tsquery('english', $1)", "1 body Elements"),
            ("select 1 from docs where (a, b) = ($1, $2) or (a, b) in (($3, $4))", "1 a Equal, 2 b Equal, 3 a Equal, 4 b Equal"),
        ],
        of,
    );
}
