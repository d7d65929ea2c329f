use super::*;

fn complaint(sqlstate: &str, text: &str, at: &str, message: &str) -> Complaint {
    let position = text.find(at).map(|byte| text[..byte].chars().count() + 1);
    Complaint { sqlstate: sqlstate.into(), position: position.filter(|_| !at.is_empty()), message: message.into() }
}

/// Repairs what the server complains of at the first place of `at`; no place when that is empty.
fn repaired(text: &str, sqlstate: &str, at: &str, message: &str) -> Option<String> {
    repair(text, &complaint(sqlstate, text, at, message))
}

fn grammar(text: &str) -> Option<String> {
    repaired(text, "42601", "$1", "syntax error at or near \"$1\"")
}

#[test]
fn constants_that_follow_their_type_become_casts() {
    for (text, wanted) in [
        ("select now() - interval $1", "select now() - $1::interval"),
        ("select INTERVAL  $1 DAY to second(3), 2", "select $1::INTERVAL, 2"),
        ("select date $1, timestamp with time zone $2", "select $1::date, $2::timestamp with time zone"),
        ("select extract($1 from at)", "select date_part($1, at)"),
        ("select inet $1", "select $1::inet"),
        ("select double precision $1", "select $1::double precision"),
        ("select app.\"State\" $1", "select $1::app.\"State\""),
        ("select now() - interval$1and b like$2", "select now() - $1::interval and b like $2 "),
        ("declare c cursor with hold for select date $1", "select $1::date"),
        ("explain (costs off) select date $1", "select $1::date"),
        ("copy (select date $1) to stdout (format csv)", "select $1::date"),
        ("create table a as select date $1", "select $1::date"),
    ] {
        assert_eq!(grammar(text).as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn quotes_comments_and_names_stay() {
    for text in [
        "select 'interval $1' from t garbage",
        "select 1 -- interval $1\n garbage",
        "select \"interval $1\" garbage",
        "select $$ interval $1 $$ garbage",
        "select \"interval\" . $1",
        "select a$1",
        "select where $1",
        "select * from t where a = ? and b = $1",
    ] {
        assert_eq!(grammar(text), None, "{text}");
    }
}

#[test]
fn places_count_characters() {
    let text = "select 'äöü€', \"ñ\" from é where é.x = any(array[$1])";
    assert_eq!(
        repaired(text, "42883", "= any", "operator does not exist: integer = text").unwrap(),
        "select 'äöü€', \"ñ\" from é where é.x = any(array[$1]::integer[])"
    );
}

#[test]
fn operands_take_the_other_sides_type() {
    for (text, at, types, wanted) in [
        ("select $1 = a", "=", "text = integer", "select $1::integer = a"),
        ("select a not in ($1, $2)", "not in", "integer <> text", "select a not in ($1::integer, $2::integer)"),
        ("select coalesce($1, f($2), $3) < a.b", "<", "text < date", "select coalesce($1::date, f($2), $3::date) < a.b"),
        (
            "select case when $1 then $2 else (case x when $3 then $4 end) end = a",
            "= a",
            "text = integer",
            "select case when $1 then $2::integer else (case x when $3 then $4::integer end) end = a",
        ),
        ("select tags @> array[$1, $2]", "@>", "character varying[] @> text[]", "select tags @> array[$1, $2]::character varying[]"),
        (
            "select * from (values ($1, $2), ($3, $4)) v (a, b) where v.b = t.x",
            "=",
            "text = bigint",
            "select * from (values ($1, $2::bigint), ($3, $4)) v (a, b) where v.b = t.x",
        ),
        (
            "with r (i) as (select $1 union all select i + $2 from r) select",
            "+",
            "text + unknown",
            "with r (i) as (select $1::integer union all select i + $2 from r) select",
        ),
        (
            "select at > now() - $1, d < now() - $2 and e > f() - $3",
            ">",
            "timestamp with time zone > interval",
            "select at > now() - $1::interval, d < now() - $2::interval and e > f() - $3",
        ),
    ] {
        // A column has nothing to cast, so the cast of the arithmetic's right side may come along.
        let said = repaired(text, "42883", at, &format!("operator does not exist: {types}")).unwrap_or_default();
        assert!(said == wanted || said == wanted.replace("i + $2", "i + $2::integer"), "{text}\n{said}");
    }
}

#[test]
fn ambiguous_operators_are_decided() {
    for (text, at, types, wanted) in [
        ("select a + $1", "+", "date + unknown", "select a + $1::integer"),
        ("select $1 + $2", "+", "unknown + unknown", "select $1::integer + $2::integer"),
        ("select -$1", "-", "- unknown", "select -$1::integer"),
        ("select $1 -> $2", "->", "unknown -> unknown", "select $1::jsonb -> $2"),
    ] {
        assert_eq!(repaired(text, "42725", at, &format!("operator is not unique: {types}")).as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn functions_get_arguments_they_know() {
    for (text, state, at, message, wanted) in [
        (
            "select generate_series($1, $2)",
            "42725",
            "generate",
            "function generate_series(unknown, unknown) is not unique",
            "select generate_series($1::integer, $2::integer)",
        ),
        (
            "select sum(case when a then $1 else $2 end), sum(case when b then $3 end), sum(x), sum(coalesce(y, $4))",
            "42883",
            "sum",
            "function sum(text) does not exist",
            "select sum(case when a then $1::integer else $2::integer end), sum(case when b then $3::integer end), sum(x), sum(coalesce(y, $4))",
        ),
        (
            "select concat($1, a, $2::int), $3 is null",
            "42P18",
            "",
            "could not determine data type of parameter $1",
            "select concat($1::text, a, $2::int), $3::text is null",
        ),
        (
            "select array_length($1, 1), to_jsonb($2)",
            "42804",
            "",
            "could not determine polymorphic type because input has type unknown",
            "select array_length($1::text[], 1), to_jsonb($2::text)",
        ),
    ] {
        assert_eq!(repaired(text, state, at, message).as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn equal_expressions_are_made_equal_again() {
    let grouped = "select date_trunc($1, at), count(*) from t group by date_trunc('day', at) order by date_trunc('day', at) desc";
    assert_eq!(
        repaired(grouped, "42803", "at", "column \"t.at\" must appear in the GROUP BY clause").unwrap(),
        "with pgload_unused as (select $1::text) \
         select date_trunc('day', at), count(*) from t group by date_trunc('day', at) order by date_trunc('day', at) desc"
    );
    let numbered = "with recursive a as (select 1) select x / $1 from a group by x / $2, y";
    assert_eq!(
        repaired(numbered, "42803", "x", "column \"a.x\" must appear in the GROUP BY clause").unwrap(),
        "with recursive pgload_unused as (select $2::text), a as (select 1) select x / $1 from a group by x / $1, y"
    );
    assert_eq!(repaired("select a, b from t group by a", "42803", "b", ""), None);
}

#[test]
fn numbers_left_out_are_mentioned_where_nobody_reads() {
    let said = repaired("select * from t where a = $2 limit $4", "42P18", "", "could not determine data type of parameter $1");
    assert_eq!(said.unwrap(), "with pgload_unused as (select $1::text, $3::text) select * from t where a = $2 limit $4");
}

#[test]
fn branches_before_take_the_type_of_the_one_that_has_one() {
    let text = "select $1 as a, $2 union all select $3, $4 union all select id, name from users";
    let message = "UNION types text and integer cannot be matched";
    let wanted = "select $1::integer as a, $2 union all select $3::integer, $4 union all select id, name from users";
    assert_eq!(repaired(text, "42804", "id,", message).unwrap(), wanted);
}

#[test]
fn other_complaints_have_no_repair() {
    for (sqlstate, message) in [("42P01", "relation \"t\" does not exist"), ("XX000", ""), ("", ""), ("42883", ""), ("42804", "x")] {
        assert_eq!(repaired("select interval $1", sqlstate, "$1", message), None, "{sqlstate}");
    }
}

const STATES: &[&str] = &["42601", "42703", "42P02", "42P18", "42P08", "42883", "42725", "42804", "42803", "42P10"];

const MESSAGES: &[&str] = &[
    "",
    ": ",
    "operator does not exist: integer = text",
    "operator is not unique: unknown + unknown",
    "function sum(text) does not exist",
    "function f(unknown",
    "could not determine data type of parameter $1",
    "could not determine polymorphic type because input has type unknown",
    "column \"a\" is of type integer but expression is of type text",
    "UNION types text and integer cannot be matched",
    "x $",
];

proptest::proptest! {
    #[test]
    fn nothing_panics_and_repairs_change_something(
        text in "(\\$1|\\$2|select |interval |case |end |when |then |array\\[|values |group by |union |é|'|\"|[(),\\]:=+;.|-]|a | as |unnest\\(|order by |extract\\()*",
        state in 0..STATES.len(), message in 0..MESSAGES.len(), position in proptest::option::of(0usize..80),
    ) {
        let complaint = Complaint { sqlstate: STATES[state].into(), position, message: MESSAGES[message].into() };
        let mut text = text;
        for _ in 0..20 {
            match repair(&text, &complaint) {
                Some(changed) => {
                    proptest::prop_assert_ne!(&changed, &text);
                    text = changed;
                }
                None => break,
            }
        }
    }

    #[test]
    fn any_text_at_all_is_survived(text in "\\PC{0,60}", state in 0..STATES.len(), message in "\\PC{0,30}", position in proptest::option::of(0usize..80)) {
        let _ = repair(&text, &Complaint { sqlstate: STATES[state].into(), position, message });
    }
}

#[test]
fn a_list_of_100_kilobytes_is_repaired_at_once() {
    let list = (2..=20_000).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let text = format!("select * from t where at > now() - interval $1 and a = any(array[{list}]) group by f({list})");
    let begun = std::time::Instant::now();
    for (state, at, message) in [
        ("42601", "$1", ""),
        ("42883", "= any", "operator does not exist: integer = text"),
        ("42P18", "", "parameter $9"),
        ("42803", "a", ""),
    ] {
        let _ = repaired(&text, state, at, message);
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn endless_brackets_are_survived() {
    let text = format!("select {}$1 = a", "(".repeat(50_000));
    assert_eq!(repaired(&text, "42883", "=", "operator does not exist: text = integer"), Some(text.replace("$1", "$1::integer")));
    let text = format!("select a = {}$1", "coalesce(".repeat(20_000));
    let _ = repaired(&text, "42883", "=", "operator does not exist: integer = text");
}
