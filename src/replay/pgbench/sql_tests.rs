use super::*;

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn variable(name: &str) -> Part {
    Part::Variable(name.to_owned())
}

fn quoted(name: &str) -> Part {
    Part::Quoted(name.to_owned())
}

/// The parts of the only command of a text.
fn only(sql: &str) -> Vec<Part> {
    let read = command(sql, 0).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    assert_eq!(read.end, sql.len(), "{sql}");
    read.parts
}

fn plain(sql: &str) {
    assert_eq!(only(sql), [text(sql)]);
}

#[test]
fn a_semicolon_ends_a_command_and_a_backslash_does_too() {
    let read = command("  select 1 ; select 2", 0).unwrap();
    assert_eq!((read.parts, read.start, read.end, read.ended_by), (vec![text("select 1")], 2, 12, End::Semicolon));
    let read = command("select 1 \\gset\n", 0).unwrap();
    assert_eq!((read.parts, read.end, read.ended_by), (vec![text("select 1")], 9, End::Backslash));
    let read = command("select 1 -- last\n", 0).unwrap();
    assert_eq!((read.parts, read.ended_by), (vec![text("select 1 -- last")], End::Text));
    assert!(command(" -- nothing\n /* at all */ ;", 0).unwrap().parts.is_empty());
    assert_eq!(only("-- first\n/* then */ select 1"), [text("select 1")]);
}

#[test]
fn nothing_ends_inside_quotes_comments_and_brackets() {
    for sql in [
        "select ';', ';''' as \";\", E'\\';', $$;$$, $a$ $b$ ; $a$, a$b$c",
        "select /* ; /* ; */ ; */ 1 -- ;",
        "create rule r as on insert to t do (select 1; select 2)",
        "select '\\'",
        "select 1$2, $1, a$1",
        "create function f() returns int language sql begin atomic select case when true then 1 end; select 2; end",
        "create or replace procedure p() begin atomic select 1; end",
    ] {
        plain(sql);
    }
    // What is no function has no body.
    assert_eq!(command("begin; end", 0).unwrap().ended_by, End::Semicolon);
}

#[test]
fn variables_are_found_outside_of_quotes_and_comments_and_noted_inside_quotes() {
    assert_eq!(
        only("select :a, 1::int, x:::y, a[1:2], 'q:b', \":c ::d\", $$ :e $$, E'\\':f', :_1-- :g\n + /* :h */ :i::text"),
        [
            text("select "),
            variable("a"),
            text(", 1::int, x:::y, a[1:2], 'q"),
            quoted("b"),
            text("', \""),
            quoted("c"),
            text(" ::d\", $$ "),
            quoted("e"),
            text(" $$, E'\\'"),
            quoted("f"),
            text("', "),
            variable("_1"),
            text("-- :g\n + /* :h */ "),
            variable("i"),
            text("::text"),
        ]
    );
    assert_eq!(only("select '12:34', \\:a := :é"), [text("select '12:34', "), Part::Colon, text("a := "), variable("é")]);
}

#[test]
fn a_backslash_before_a_semicolon_joins_two_commands() {
    assert_eq!(only("select 1 \\; select :a"), [text("select 1 "), Part::Joint, text(" select "), variable("a")]);
}

#[test]
fn what_does_not_end_is_named_where_it_begins() {
    for (sql, place, message) in [
        ("select 'abc", 7, "expected ' to end this quoted text"),
        ("select \"abc", 7, "expected \" to end this quoted text"),
        ("select $x$ abc $y$", 7, "expected $x$ to end this quoted text"),
        ("select /* /* */ 1", 7, "expected */ to end this comment"),
        ("select (1 + (2)", 7, "expected ) to close this bracket"),
        (" create function f() begin atomic select 1;", 1, "expected END to close the body of this function"),
    ] {
        assert_eq!(command(sql, 0), Err((place, message.to_owned())), "{sql}");
    }
}
