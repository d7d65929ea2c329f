use super::super::script::Script;
use super::super::suite::{Mode, Options, SuiteError};
use super::*;
use crate::replay::writes::Writes;

fn options() -> Options {
    Options { seed: 7, ..Options::default() }
}

fn suite_of(texts: &[(&str, u32)], options: &Options, writes: Writes) -> Result<Suite, SuiteError> {
    let read = |(index, (text, weight)): (usize, &(&str, u32))| {
        let name = format!("{}.sql", char::from(b'a' + index as u8));
        (Script::parse(text, &name).unwrap_or_else(|error| panic!("{error}")), *weight)
    };
    Suite::new(&texts.iter().enumerate().map(read).collect::<Vec<_>>(), options, writes)
}

fn suite(text: &str) -> Suite {
    suite_of(&[(text, 1)], &options(), Writes::Live).expect("a suite")
}

fn refused(text: &str, options: &Options) -> String {
    suite_of(&[(text, 1)], options, Writes::Live).expect_err("no suite").to_string()
}

/// What a request is answered: nothing special, an error, or a row of columns.
#[derive(Clone)]
enum Answer {
    Rows(u64),
    Error(&'static str),
    Row(Vec<(&'static str, Option<&'static str>)>),
}

/// Plays one call and writes down its steps; requests get the answers in turn, then plain success.
fn played(player: &mut Player<'_>, call: u64, answers: &[Answer]) -> Vec<String> {
    let mut answers = answers.iter().cloned();
    let (mut steps, mut error, mut row, mut rows, mut output) = (Vec::new(), None, None, 0, None);
    player.begin(call);
    loop {
        let said = player.suite.prepared.clone();
        let reply = Reply { rows, error, row: row.as_deref(), output, ..Reply::default() };
        output = None;
        let mut asked = false;
        let step = player.next(&reply);
        let waits = matches!(step, Step::Run(_));
        match step {
            Step::Run(request) | Step::Send(request) => {
                let values: Vec<String> = request.args.iter().map(|value| value.unwrap_or("null").to_owned()).collect();
                let text = match request.sql {
                    Sql::Prepared(number) => said[number].sql.clone(),
                    Sql::Once(text) => format!("once {text}"),
                    Sql::Simple(text) => format!("simple {text}"),
                };
                let values = if values.is_empty() { String::new() } else { format!(" [{}]", values.join(" ")) };
                let around = if request.begin.is_some() && request.end == Some(End::Rollback) { "rolled back " } else { "" };
                let sent = if waits { "" } else { "> " };
                steps.push(format!("{sent}{around}{text}{values}"));
                asked = waits;
            }
            Step::Sync => {
                steps.push("sync".to_owned());
                asked = true;
            }
            Step::Shell(command) => {
                steps.push(format!("$ {command}"));
                output = if command.starts_with("false") { None } else { Some("12\n") };
                output = if command.starts_with("text") { Some("12 a") } else { output };
            }
            Step::End(end) => steps.push(end.sql().to_owned()),
            Step::Sleep(pause) => steps.push(format!("{pause:?}")),
            Step::Done(Ending { error, retries, .. }) => {
                steps.push(format!(
                    "done{}{}",
                    error.map_or(String::new(), |error| format!(" {error}")),
                    if retries > 0 { format!(" after {retries}") } else { String::new() }
                ));
                return steps;
            }
        }
        (error, row, rows) = (None, None, 0);
        if asked {
            match answers.next() {
                None => {}
                Some(Answer::Rows(count)) => rows = count,
                Some(Answer::Error(code)) => error = Some(code),
                Some(Answer::Row(columns)) => {
                    rows = 1;
                    row = Some(columns.into_iter().map(|(name, value)| (name.to_owned(), value.map(str::to_owned))).collect::<Vec<_>>());
                }
            }
        }
    }
}

fn once(suite: &Suite, answers: &[Answer]) -> Vec<String> {
    played(&mut Player::new(suite, 3), 0, answers)
}

#[test]
fn variables_become_parameters_in_order_of_appearance() {
    let suite =
        suite("\\set a 1 + 1\n\\set b :a / 4.0\n\\set c null\n\\set d not :c is null\nselect :b, ':a', :a::int, :a, :c, :d, :client_id;");
    assert_eq!(once(&suite, &[]), ["select $1, ':a', $2::int, $3, $4, $5, $6 [0.5 2 2 null false 3]", "done"]);
}

#[test]
fn conditions_choose_what_is_done() {
    let text = "\\if :n = 1\nselect 1;\n\\elif :n = 2\nselect 2;\n\\if :n > 1\nselect 22;\n\\else\nselect 0;\n\\endif\n\\else\nselect 3;\n\\endif\nselect 4;";
    for (n, expected) in [
        ("1", "select 1|select 4|done"),
        ("2", "select 2|select 22|select 4|done"),
        ("9", "select 3|select 4|done"),
        ("null", "select 3|select 4|done"),
    ] {
        let options = Options { variables: vec![("n".to_owned(), n.to_owned())], ..options() };
        let suite = suite_of(&[(text, 1)], &options, Writes::Live).unwrap();
        assert_eq!(once(&suite, &[]).join("|"), expected, "{n}");
    }
    let lone = suite("\\if 0\nselect 1;\n\\endif\n\\if 0.5\nselect 2;\n\\endif");
    assert_eq!(once(&lone, &[]), ["select 2", "done"]);
}

#[test]
fn answers_become_variables() {
    let text = "select x, y from t \\gset p_\nselect :p_x, :p_y;\n\\set z :p_x + 1\nselect :z;";
    let one = |x, y| once(&suite(text), &[Answer::Row(vec![("x", x), ("y", y), ("unused", Some("u"))])]);
    assert_eq!(one(Some("41"), Some("a b")), ["select x, y from t", "select $1, $2 [41 a b]", "select $1 [42]", "done"]);
    assert_eq!(one(None, None), ["select x, y from t", "select $1, $2 [null null]", "select $1 [null]", "done"]);
    assert_eq!(one(Some("abc"), None)[2..], ["done a.sql:3:1: malformed variable \"p_x\""]);
    let wrong = |answer| once(&suite(text), &[answer])[1..].join("|");
    assert_eq!(wrong(Answer::Rows(0)), "done a.sql:1:1: \\gset: expected one row");
    assert_eq!(wrong(Answer::Rows(2)), "done a.sql:1:1: \\gset: expected one row");
    assert_eq!(wrong(Answer::Row(vec![("?column?", None)])), "done a.sql:1:1: invalid variable name \"p_?column?\"");
    assert_eq!(wrong(Answer::Error("42P01")), "done 42P01");
}

#[test]
fn aset_takes_any_number_of_rows() {
    let suite = suite("\\set x 1\nselect x from t \\aset\nselect :x;");
    assert_eq!(once(&suite, &[Answer::Rows(0)])[1..], ["select $1 [1]", "done"]);
    assert_eq!(once(&suite, &[Answer::Row(vec![("x", Some("5"))])])[1..], ["select $1 [5]", "done"]);
}

#[test]
fn pauses_take_their_unit() {
    let suite = suite("\\set n 1.7\n\\sleep 5\n\\sleep 3us\n\\sleep :n ms\n\\set n -3\n\\sleep :n\n\\set n true\n\\sleep :n\n");
    assert_eq!(once(&suite, &[]), ["5s", "3µs", "1ms", "0ns", "done a.sql:8:1: \\sleep: variable \"n\" holds no time"]);
}

#[test]
fn simple_mode_puts_values_into_the_text() {
    let simple = Options { mode: Mode::Simple, ..options() };
    let suite =
        suite_of(&[("\\set a 1.0 / 3\n\\set b null\nselect :a, ':b', \":a\", :b, x[1:n], a::int, :nowhere;", 1)], &simple, Writes::Live)
            .unwrap();
    assert_eq!(
        once(&suite, &[]),
        ["simple select 0.333333333333333, 'NULL', \"0.333333333333333\", NULL, x[1:n], a::int, :nowhere", "done"]
    );
}

#[test]
fn joined_commands_and_definitions_are_not_prepared() {
    let suite = suite("\\set a 1\nselect :a \\; select ':a' \\; select \\:a;\ncreate temp table t (a int);\ninsert into t values (:a);");
    assert_eq!(
        once(&suite, &[]),
        ["simple select 1 ; select '1' ; select :a", "once create temp table t (a int)", "once insert into t values ($1) [1]", "done"]
    );
    assert!(suite.prepared.is_empty());
    let extended = Options { mode: Mode::Extended, ..options() };
    let suite = suite_of(&[("select 1;", 1)], &extended, Writes::Live).unwrap();
    assert_eq!(once(&suite, &[]), ["once select 1", "done"]);
}

#[test]
fn errors_end_a_call_and_roll_its_transaction_back() {
    let suite = suite("begin;\nupdate t set a = 1;\nend;\nselect 1;");
    let error = Answer::Error;
    let ok = Answer::Rows(0);
    assert_eq!(once(&suite, &[]), ["begin", "update t set a = 1", "end", "select 1", "done"]);
    assert_eq!(once(&suite, &[error("08P01")]), ["begin", "rollback", "done 08P01"]);
    assert_eq!(once(&suite, &[ok.clone(), error("23505")]), ["begin", "update t set a = 1", "rollback", "done 23505"]);
    assert_eq!(once(&suite, &[ok.clone(), ok.clone(), error("40001")]), ["begin", "update t set a = 1", "end", "done 40001"]);
    assert_eq!(once(&suite, &[ok.clone(), ok.clone(), ok, error("22012")]).last().unwrap(), "done 22012");
    // Nothing of a failed call is left to the next.
    let mut player = Player::new(&suite, 0);
    played(&mut player, 0, &[Answer::Rows(0), error("23505")]);
    assert_eq!(played(&mut player, 1, &[]).last().unwrap(), "done");
}

#[test]
fn serialization_failures_and_deadlocks_are_tried_again_with_the_same_values() {
    let retrying = Options { retries: 2, ..options() };
    let text = "\\set n :n + 1\n\\set r random(1, 1000000)\nbegin;\nupdate t set a = :n + :r;\nend;";
    let with_n = Options { variables: vec![("n".to_owned(), "10".to_owned())], ..retrying };
    let suite = suite_of(&[(text, 1)], &with_n, Writes::Live).unwrap();
    assert_eq!(suite.carried().collect::<Vec<_>>(), ["n"]);
    let ok = || Answer::Rows(0);
    let mut player = Player::new(&suite, 0);
    let steps = played(&mut player, 0, &[ok(), Answer::Error("40P01"), ok(), ok(), Answer::Error("40001")]);
    let update = &steps[1];
    assert!(update.starts_with("update t set a = $1 + $2 [11 "), "{update}");
    assert_eq!(steps, ["begin", update, "rollback", "begin", update, "end", "begin", update, "end", "done after 2"]);
    // The third failure is final, and the next call counts on from the first.
    let steps = played(&mut player, 1, &[Answer::Error("40001"), Answer::Error("40001"), Answer::Error("40001")]);
    assert_eq!(steps, ["begin", "rollback", "begin", "rollback", "begin", "rollback", "done 40001 after 2"]);
    assert!(played(&mut player, 2, &[])[1].starts_with("update t set a = $1 + $2 [13 "));
}

#[test]
fn a_script_must_not_end_inside_a_transaction() {
    assert_eq!(
        once(&suite("begin;\nselect 1;"), &[]),
        ["begin", "select 1", "rollback", "done a.sql:2:1: end of script reached without completing the last transaction"]
    );
    assert_eq!(once(&suite("begin \\; select 1 \\; commit;"), &[]).last().unwrap(), "done");
}

#[test]
fn errors_of_expressions_are_counted_under_their_place_without_values() {
    for (text, expected) in [
        ("\\set a 1 / (:client_id - 3)\nselect 1;", "done a.sql:1:1: division by zero"),
        ("select 1;\n\\set a int(1e300 * :client_id)", "done a.sql:2:1: double to int overflow"),
        ("begin;\n\\set a random_gaussian(1, 2, :client_id - 2)\nend;", "done a.sql:2:1: gaussian parameter must be at least 2.000000"),
        ("\\if true + 1\n\\endif\nselect 1;", "done a.sql:1:1: cannot coerce boolean to int"),
    ] {
        assert_eq!(once(&suite(text), &[]).last().unwrap(), expected, "{text}");
    }
}

#[test]
fn in_a_rollback_run_nothing_is_kept() {
    let text = "insert into t values (1);\nselect 1;\nbegin;\ninsert into t values (2);\nEND;\nbegin \\; delete from t \\; commit;";
    let suite = suite_of(&[(text, 1)], &options(), Writes::Rollback).unwrap();
    assert_eq!(
        once(&suite, &[]),
        [
            "rolled back insert into t values (1)",
            "select 1",
            "begin",
            "insert into t values (2)",
            "ROLLBACK",
            "simple begin ; delete from t ;ROLLBACK",
            "done"
        ]
    );
}

#[test]
fn in_a_read_only_run_scripts_that_write_are_left_out() {
    let texts = [("select 1;", 1), ("begin;\nupdate t set a = 1;\nend;", 3), ("begin;\nselect 2;\nend;", 0)];
    let suite = suite_of(&texts, &options(), Writes::Readonly).unwrap();
    assert_eq!(suite.left_out(), [("b.sql".to_owned(), 0.75)]);
    assert_eq!(
        suite.labels.iter().map(|label| label.called).collect::<Vec<_>>(),
        [true, false, false, false, false, false, false, false, false][..suite.labels.len()]
    );
    assert!((0..100).all(|call| suite.script(call) == 0) && !suite.writes());
    assert_eq!(suite_of(&texts[1..2], &options(), Writes::Readonly).unwrap_err(), SuiteError::OnlyWrites);
    assert_eq!(suite_of(&texts[2..], &options(), Writes::Live).unwrap_err(), SuiteError::NoWeight);
}

#[test]
fn scripts_are_run_by_their_weights() {
    let suite = suite_of(&[("select 1;", 1), ("select 2;", 0), ("select 3;", 3)], &options(), Writes::Live).unwrap();
    let mut counts = [0; 3];
    (0..40_000).for_each(|call| counts[suite.script(call)] += 1);
    assert!(counts[1] == 0 && (counts[2] - 30_000i32).abs() < 350, "{counts:?}");
}

#[test]
fn the_same_call_has_the_same_values_whoever_makes_it() {
    let text = "\\set a random(1, 1000000)\n\\set b random_zipfian(1, 1000000, 1.5)\n\\if :a > 500000\n\\set c random(1, 1000000)\n\\endif\n\\set d random(1, 1000000)\nselect :a, :b, :d;";
    let suite = suite(text);
    assert_eq!(suite.carried().count(), 0);
    let (mut one, mut other) = (Player::new(&suite, 0), Player::new(&suite, 9));
    let forwards: Vec<_> = (0..50).map(|call| played(&mut one, call, &[])).collect();
    let mut backwards: Vec<_> = (0..50).rev().map(|call| played(&mut other, call, &[])).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
    assert_ne!(forwards[0], forwards[1]);
}

#[test]
fn a_variable_read_before_it_is_set_reaches_into_the_next_call() {
    let suite = suite("\\if :seen\nselect 'again', :x;\n\\endif\n\\set seen 1\n\\set x random(1, 10)\nselect 1;");
    assert_eq!(suite.carried().collect::<Vec<_>>(), ["seen", "x"]);
    let text = suite_of(
        &[("\\set a 1\nselect :a, :scale, :n;", 1)],
        &Options { variables: vec![("n".to_owned(), "1".to_owned())], ..options() },
        Writes::Live,
    )
    .unwrap();
    assert_eq!(text.carried().count(), 0);
}

#[test]
fn automatic_variables_can_be_overridden() {
    let values = |options: &Options| {
        once(&suite_of(&[("select :client_id, :scale, :random_seed, :default_seed;", 1)], options, Writes::Live).unwrap(), &[])[0].clone()
    };
    let own = values(&Options { scale: Some(12), ..options() });
    assert!(own.contains("[3 12 7 "), "{own}");
    assert_eq!(own, values(&Options { scale: Some(12), ..options() }));
    assert_ne!(own, values(&Options { scale: Some(12), seed: 8, ..options() }));
    let given = ["client_id", "scale", "random_seed", "default_seed"].map(|name| (name.to_owned(), format!("{}", name.len()))).to_vec();
    assert!(values(&Options { variables: given, ..options() }).ends_with("[9 5 11 12]"));
}

#[test]
fn what_cannot_be_played_is_named_with_its_place() {
    let many = format!("select {}1;", ":scale + ".repeat(256));
    for (text, expected) in [
        ("select 1;\n select :nowhere;", "a.sql:2:2: variable \"nowhere\" is never set: set it with \\set, \\gset or -D nowhere=VALUE"),
        ("\\set a :b", "a.sql:1:1: variable \"b\" is never set"),
        ("\\if :b\n\\endif", "a.sql:1:1: variable \"b\" is never set"),
        ("\\sleep :b ms", "a.sql:1:1: variable \"b\" is never set"),
        (many.as_str(), "a.sql:1:1: expected at most 255 parameters, found 256"),
        ("select 1;\n\\shell true", "a.sql:2:1: \\shell runs programs on this machine: allow it with --allow-shell"),
        ("\\setshell a echo 1", "a.sql:1:1: \\setshell runs programs on this machine: allow it with --allow-shell"),
    ] {
        let said = refused(text, &options());
        assert!(said.starts_with(&format!("play script {expected}")), "{said}");
    }
    let simple = Options { mode: Mode::Simple, ..options() };
    assert!(refused("\\startpipeline\nselect 1;\n\\endpipeline", &simple).contains("-M extended or prepared"));
    for (name, value) in [("1a", "x"), ("a-b", "x"), ("", "x"), ("a", "")] {
        let options = Options { variables: vec![(name.to_owned(), value.to_owned())], ..options() };
        assert!(refused("select 1;", &options).starts_with(&format!("-D {name}={value}: expected a name")));
    }
}

#[test]
fn labels_are_scripts_and_their_statements() {
    let suite = suite_of(&[("\\set a 1\nselect :a;", 1), ("begin;\nselect 2;\nend;", 1)], &options(), Writes::Live).unwrap();
    let labels: Vec<_> = suite.labels.iter().map(|label| (label.name.as_str(), label.statement)).collect();
    assert_eq!(labels, [("a.sql", Some(0)), ("b.sql", None), ("b.sql.1", Some(1)), ("b.sql.2", Some(2)), ("b.sql.3", Some(3))]);
    assert!(Program::has_transactions(&suite));
    assert_eq!([suite.example(0), suite.example(1), suite.example(2)], [Some(vec![Some("1".to_owned())]), None, Some(vec![])]);
    let alone = suite_of(&[("select 1;", 1)], &options(), Writes::Live).unwrap();
    assert!(!Program::has_transactions(&alone));
    let same = suite_of(&[("select 1;", 1)], &options(), Writes::Live).unwrap();
    assert_eq!(same.labels[0].name, "a.sql");
}

#[test]
fn examples_stop_where_the_server_would_have_to_answer() {
    let suite = suite("\\set a 5\nselect :a as x \\gset\nselect :x;");
    assert_eq!([suite.example(0), suite.example(1)], [Some(vec![Some("5".to_owned())]), None]);
}

#[test]
fn a_pipeline_sends_without_waiting() {
    let text = "\\startpipeline\nbegin;\nselect :client_id;\n\\syncpipeline\nupdate t set a = 1;\nend;\n\\endpipeline\nselect 2;";
    let suite = suite(text);
    assert_eq!(once(&suite, &[]), ["> begin", "> select $1 [3]", "sync", "> update t set a = 1", "> end", "sync", "select 2", "done"]);
    assert_eq!(once(&suite, &[Answer::Error("23505")]), ["> begin", "> select $1 [3]", "sync", "rollback", "done 23505"]);
    assert_eq!(once(&suite, &[Answer::Rows(1), Answer::Error("40001")]).last().unwrap(), "done 40001");
}

#[test]
fn pipelines_that_only_some_branches_open_are_checked_when_they_are_reached() {
    let text =
        "\\if :n = 1\n\\startpipeline\n\\endif\nselect 1;\n\\if :n <> 2\n\\endpipeline\n\\endif\n\\if :n = 3\n\\startpipeline\n\\endif";
    for (n, expected) in [("1", "> select 1|sync|done"), ("2", "select 1|done"), ("3", "select 1|done a.sql:6:1: not in pipeline mode")] {
        let options = Options { variables: vec![("n".to_owned(), n.to_owned())], ..options() };
        let suite = suite_of(&[(text, 1)], &options, Writes::Live).unwrap();
        assert_eq!(once(&suite, &[]).join("|"), expected, "{n}");
    }
}

#[test]
fn shell_commands_are_run_where_that_is_allowed() {
    let options = Options { allow_shell: true, ..options() };
    let text = "\\setshell a expr :client_id   + ::x 'y'\nselect :a;\n\\shell echo :a\n\\setshell b text\nselect 1;";
    let suite = suite_of(&[(text, 1)], &options, Writes::Live).unwrap();
    assert_eq!(
        once(&suite, &[]),
        [
            "$ expr 3 + :x 'y'",
            "select $1 [12]",
            "$ echo 12",
            "$ text",
            "done a.sql:4:1: expected the shell command to print a whole number"
        ]
    );
    let failing = suite_of(&[("\\shell false\nselect 1;", 1)], &options, Writes::Live).unwrap();
    assert_eq!(once(&failing, &[]), ["$ false", "done a.sql:1:1: the shell command failed"]);
}
