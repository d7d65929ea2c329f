use proptest::prelude::*;

use super::*;

fn script(text: &str) -> Script {
    Script::parse(text, "a.sql").unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    Script::parse(text, "a.sql").map(|script| script.to_string()).expect_err("a bad script").to_string()
}

#[test]
fn every_command_is_read() {
    let read = script(
        "-- a comment\n\\set x \\\n 1 + \\\n :y\nBEGIN;select 1 \\; select :x \\aset p_\nselect 2; \\GSET\n\\if :x\n\\sleep 5\n\\elif 1\n\\sleep 10ms\n\
         \\else\n\\sleep :x us\n\\endif\n\\setshell z echo  ':x'\n\\shell true\n\\startpipeline\nselect 3 \\syncpipeline\n\\endpipeline\nend",
    );
    let printed: Vec<String> = read.commands.iter().map(|command| format!("{} {}", command.place, command.kind)).collect();
    assert_eq!(
        printed,
        [
            "2:1 \\set x (1 + :y)",
            "5:1 BEGIN;",
            "5:7 select 1 \\; select :x \\aset p_",
            "6:1 select 2 \\gset",
            "7:1 \\if :x",
            "8:1 \\sleep 5 s",
            "9:1 \\elif 1",
            "10:1 \\sleep 10 ms",
            "11:1 \\else",
            "12:1 \\sleep :x us",
            "13:1 \\endif",
            "14:1 \\setshell z echo ':x'",
            "15:1 \\shell true",
            "16:1 \\startpipeline",
            "17:1 select 3;",
            "17:10 \\syncpipeline",
            "18:1 \\endpipeline",
            "19:1 end;",
        ]
    );
}

#[test]
fn windows_line_ends_are_blanks() {
    let read = script("\\set x 1 + \\\r\n 2\r\nselect :x;\r\n\\if 1\r\n\\endif\r\n");
    assert_eq!(read.to_string(), "\\set x (1 + 2)\nselect :x;\n\\if 1\n\\endif\n");
}

#[test]
fn mistakes_are_named_with_their_place_and_what_was_expected() {
    for (text, expected) in [
        ("", "1:1: expected at least one command, found none"),
        ("-- nothing\n;", "1:1: expected at least one command, found none"),
        ("select 1;\n  \\foo 1", "2:4: unknown command \\foo, expected one of: set gset aset if elif else endif sleep"),
        ("\\ \n", "1:1: expected a command after the backslash, one of: set"),
        ("\\set", "1:5: expected a variable's name after \\set"),
        ("\\set x", "1:7: expected a number, :variable, function, case or bracket, found the end of the line"),
        ("\\set a-b 2", "1:6: expected a variable's name of letters, digits and _, found \"a-b\""),
        ("\\set 1 2", "1:6: expected a variable's name of letters, digits and _, found \"1\""),
        ("\\set x 1 +\nselect 1", "1:11: expected a number, :variable, function, case or bracket, found the end of the line"),
        ("\\set x 1 -- one", "1:10: expected the end of the line: no comment can follow a meta command"),
        ("\\set x 1 + \\\n  foo(1)", "2:3: unknown function \"foo\", expected one of: abs"),
        ("\\if", "1:4: expected a number, :variable"),
        ("\\if 1\nselect 1;", "1:1: expected an \\endif for this \\if, found the end of the script"),
        ("\\endif", "1:1: expected an \\if before this \\endif"),
        ("\\else", "1:1: expected an \\if before this \\else"),
        ("\\elif 1", "1:1: expected an \\if before this \\elif"),
        ("\\if 1\n\\else\n\\elif 1\n\\endif", "3:1: expected \\endif: no \\elif can follow \\else"),
        ("\\if 1\n\\else\n\\else\n\\endif", "3:1: expected \\endif: no \\else can follow \\else"),
        ("\\if 1\n\\else x\n\\endif", "2:7: expected the end of the line, found \"x\""),
        ("\\sleep", "1:7: expected a time or :variable after \\sleep"),
        ("\\sleep x", "1:8: expected a whole number of 0 to 4294967295 or :variable, found \"x\""),
        ("\\sleep 1.5 ms", "1:8: expected a whole number of 0 to 4294967295 or :variable, found \"1.5\""),
        ("\\sleep -1", "1:8: expected a whole number"),
        ("\\sleep 1 h", "1:10: expected us, ms or s, found \"h\""),
        ("\\sleep 1h", "1:9: expected us, ms or s, found \"h\""),
        ("\\sleep 1 ms x", "1:13: expected the end of the line, found \"x\""),
        ("\\sleep :a-b", "1:8: expected a variable's name after the colon, found \":a-b\""),
        ("\\setshell x", "1:12: expected a variable's name and a command after \\setshell"),
        ("\\shell", "1:7: expected a command after \\shell"),
        ("\\gset", "1:1: expected an SQL command before it, found none"),
        ("select 1;\n\\sleep 0\n\\gset", "3:1: expected an SQL command before it, found \\sleep"),
        ("select 1 \\gset\n\\aset", "2:1: expected an SQL command before it, found another \\gset or \\aset"),
        ("select 1 \\gset a b", "1:18: expected at most one prefix, found \"b\""),
        ("select 1 \\gset a-", "1:16: expected a prefix of letters, digits and _, found \"a-\""),
        ("\\startpipeline\nselect 1 \\gset\n\\endpipeline", "2:1: expected \\endpipeline first: \\gset cannot be used in a pipeline"),
        ("\\startpipeline\nselect 1 \\aset\n\\endpipeline", "2:1: expected \\endpipeline first: \\aset cannot be used in a pipeline"),
        ("\\startpipeline\nselect 1 \\; select 2;\n\\endpipeline", "2:1: expected one command a request in a pipeline"),
        ("\\startpipeline\n\\startpipeline", "2:1: expected \\endpipeline before another \\startpipeline"),
        ("select 1;\n\\endpipeline", "2:1: expected \\startpipeline before this \\endpipeline"),
        ("\\syncpipeline", "1:1: expected \\startpipeline before this \\syncpipeline"),
        ("select 1;\n\\startpipeline\nselect 1;", "2:1: expected \\endpipeline for this \\startpipeline, found the end of the script"),
        ("select 1;\nselect 'x", "2:8: expected ' to end this quoted text"),
    ] {
        let said = refused(text);
        assert!(said.starts_with(&format!("a.sql:{expected}")), "{text:?}: {said}");
    }
}

#[test]
fn pipelines_are_followed_through_conditions() {
    for text in [
        "\\if 1\n\\startpipeline\n\\else\n\\startpipeline\n\\endif\nselect 1;\n\\endpipeline",
        "\\startpipeline\n\\if 1\n\\endpipeline\n\\startpipeline\n\\endif\n\\endpipeline",
        "\\if 1\n\\startpipeline\nselect 1;\n\\endpipeline\n\\else\nselect 2 \\gset\n\\endif",
    ] {
        script(text);
    }
    assert!(refused("\\if 1\n\\startpipeline\n\\else\n\\startpipeline\n\\endif\nselect 1 \\gset").starts_with("a.sql:6:1: "));
    assert!(refused("\\if 1\n\\startpipeline\n\\elif 1\n\\endpipeline\n\\endif").starts_with("a.sql:4:1: "));
}

/// A line of a script, as people write them.
fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,4}".prop_map(|name| format!("\\set {name} random(1, 10 * :scale) + {}", name.len())),
        Just("select ':q', \":r\", $$ :s; $$, :a::int, x -- :c\n from t where (a = :b; ) \\gset x_".to_owned()),
        Just("update t set a = :a /* ; */ where b = 'it''s; :c';".to_owned()),
        Just("select 1 \\; select \\:x := :y \\aset".to_owned()),
        (0u32..5000).prop_map(|amount| format!("\\sleep {amount}us")),
        Just("\\sleep :x ms".to_owned()),
        Just("\\if :a > 1 and not :b is null\nselect 1;\n\\elif case when :a then 1 end\n\\else\n\\if 1\n\\endif\n\\endif".to_owned()),
        Just("\\startpipeline\nselect :a;\n\\syncpipeline\ninsert into t values (:b);\n\\endpipeline".to_owned()),
        Just("\\setshell n expr :x + 1\n\\shell echo  a   b".to_owned()),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(lines in prop::collection::vec(any_line(), 1..12)) {
        let read = script(&lines.join("\n"));
        let again = script(&read.to_string());
        let kinds = |script: &Script| script.commands.iter().map(|command| command.kind.clone()).collect::<Vec<_>>();
        prop_assert_eq!(kinds(&read), kinds(&again), "{}", read);
        prop_assert_eq!(read.to_string(), again.to_string());
    }

    #[test]
    fn no_text_makes_the_parser_fall_over(text in "[ -~\n\\\\:';$é]{0,80}") {
        if let Err(error) = Script::parse(&text, "x") {
            prop_assert!(error.place.line >= 1 && error.place.column >= 1);
        }
    }
}
