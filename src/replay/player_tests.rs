//! What a call of a workload file does, step by step, against replies made up here.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::replay::program::Program;
use crate::replay::{Samples, Workload, Writes};

const SHOP: &str = r#"
name: shop
statements:
  - { name: find, sql: "select $1::int", args: [{ int: [1, 1000000] }] }
  - { name: note, sql: "insert into notes values ($1)", args: [{ text: 11 }] }
transactions:
  - name: order
    retry: 2
    isolation: serializable
    steps: [find, { think: 50ms }, note, { sql: "update stock set n = n - 1 where id = $1", args: [{ int: [1, 9] }] }]
  - name: slow
    weight: 0
    steps: [find, { think: 1s }]
"#;

fn script(text: &str, writes: Writes) -> Script {
    Script::new(&Workload::parse(text, "shop.yaml").unwrap(), &Samples::none(Timestamp::UNIX_EPOCH), 1, writes).unwrap()
}

/// Plays a call with these replies' errors in order, then none; returns what it did in words.
fn played(script: &Script, call: u64, errors: &[Option<&str>]) -> Vec<String> {
    let mut player = script.client(0);
    let label = player.begin(call);
    let mut errors = errors.iter();
    let mut said = vec![script.labels()[label].name.clone()];
    let mut reply = Reply::default();
    for _ in 0..100 {
        match player.next(&reply) {
            Step::Run(request) => {
                let args = request.args.iter().map(|value| value.unwrap_or("null").to_owned()).collect::<Vec<_>>().join(" ");
                let begin = request.begin.map_or_else(String::new, |begin| format!("{begin}; "));
                let end = request.end.map_or("", |end| if end == End::Commit { "; commit" } else { "; rollback" });
                said.push(format!("{begin}{} {args}{end}", script.labels()[request.label].name));
                reply = Reply { rows: 1, error: errors.next().copied().flatten(), ..Reply::default() };
            }
            Step::End(end) => {
                said.push(end.sql().to_owned());
                reply = Reply::default();
            }
            Step::Sleep(pause) => {
                said.push(format!("think {}", pause.as_millis()));
                reply = Reply::default();
            }
            Step::Done(ending) => {
                said.push(format!("done {:?} {} {}", ending.error, ending.retries, ending.skipped));
                return said;
            }
        }
    }
    panic!("a call without end: {said:?}");
}

/// The same without arguments.
fn shape(script: &Script, errors: &[Option<&str>]) -> Vec<String> {
    let without = |line: String| {
        let words =
            line.split(' ').filter(|word| !(word.trim_end_matches(';').parse::<u64>().is_ok() || word.trim_end_matches(';').len() == 11));
        words.collect::<Vec<_>>().join(" ")
    };
    played(script, 0, errors).into_iter().map(|line| if line.starts_with("done") { line } else { without(line) }).collect()
}

#[test]
fn a_transaction_takes_its_steps_in_order_between_begin_and_commit() {
    let script = script(SHOP, Writes::Live);
    let said = played(&script, 0, &[]);
    assert_eq!(said[0], "order");
    assert!(said[1].starts_with("begin isolation level serializable; find ") && !said[1].contains("commit"), "{said:?}");
    assert_eq!(said[2], "think 50");
    assert!(said[3].starts_with("note "), "{said:?}");
    assert!(said[4].starts_with("order.4 ") && said[4].ends_with("; commit"), "{said:?}");
    assert_eq!(said[5], "done None 0 0");
    assert_eq!(said, played(&script, 0, &[]), "the same call is the same every time");
    assert_ne!(said, played(&script, 1, &[]));
}

#[test]
fn what_may_be_tried_again_is_with_the_same_arguments() {
    let script = script(SHOP, Writes::Live);
    let calm = played(&script, 7, &[]);
    // The deadlock in the second statement, then a failed commit.
    let said = played(&script, 7, &[None, Some("40P01"), None, None, Some("40001")]);
    assert_eq!(said[..4], calm[..4]);
    assert_eq!(said[4], "rollback");
    assert_eq!(said[5..9], calm[1..5]);
    assert_eq!(said[9..13], calm[1..5], "the commit that failed left nothing to roll back");
    assert_eq!(said[13], "done None 2 0");
    let never = played(&script, 7, &[Some("40001"); 9]);
    assert_eq!(never.last().unwrap(), "done Some(\"40001\") 2 2");
}

#[test]
fn another_error_rolls_back_and_skips_the_rest() {
    let script = script(SHOP, Writes::Live);
    let said = played(&script, 0, &[None, Some("23505")]);
    assert_eq!(said[4..], ["rollback", "done Some(\"23505\") 0 1"]);
    let at_the_end = played(&script, 0, &[None, None, Some("23503")]);
    assert_eq!(at_the_end.last().unwrap(), "done Some(\"23503\") 0 0");
    assert!(!at_the_end.contains(&"rollback".to_owned()));
}

#[test]
fn a_pause_at_the_end_is_taken_before_the_commit() {
    let text = SHOP.replace("weight: 0", "weight: 1").replace("name: order\n", "name: order\n    weight: 0\n");
    assert_eq!(shape(&script(&text, Writes::Live), &[]), ["slow", "begin; find", "think", "commit", "done None 0 0"]);
    assert_eq!(shape(&script(&text, Writes::Live), &[Some("57014")]), ["slow", "begin; find", "rollback", "done Some(\"57014\") 0 0"]);
}

#[test]
fn writes_are_rolled_back_or_left_out_as_asked() {
    let said = shape(&script(SHOP, Writes::Rollback), &[]);
    assert!(said[4].ends_with(" rollback"), "{said:?}");
    let refused = Script::new(
        &Workload::parse(&SHOP.replace("    weight: 0\n", "    weight: 0.0\n"), "s.yaml").unwrap(),
        &Samples::none(Timestamp::UNIX_EPOCH),
        1,
        Writes::Readonly,
    );
    assert!(refused.is_err(), "its only transaction of weight writes");
    let both = SHOP.replace("weight: 0", "weight: 1");
    let reads = script(&both, Writes::Readonly);
    assert!((0..200).all(|call| reads.labels()[reads.label(call)].name == "slow"));
    let called: Vec<&str> = reads.labels().iter().filter(|label| label.called).map(|label| label.name.as_str()).collect();
    assert_eq!(called, ["find", "slow"]);
}

#[test]
fn statements_of_a_transaction_are_not_called_alone_unless_they_have_a_weight() {
    let script = script(SHOP, Writes::Live);
    assert!((0..200).all(|call| script.label(call) == script.labels().iter().position(|label| label.name == "order").unwrap()));
    let alone = SHOP.replace("{ name: find,", "{ name: find, weight: 1,");
    let workload = Workload::parse(&alone, "s.yaml").unwrap();
    assert_eq!((workload.frequency(0), workload.frequency(1), workload.weight(false)), (2.0, 1.0, 2.0));
    let script = Script::new(&workload, &Samples::none(Timestamp::UNIX_EPOCH), 1, Writes::Live).unwrap();
    let single = (0..200).find(|call| script.label(*call) == 0).unwrap();
    let said = played(&script, single, &[Some("40001")]);
    assert!(said[1].starts_with("find ") && said[2] == "done Some(\"40001\") 0 0", "{said:?}");
}

#[test]
fn the_same_statement_twice_in_a_transaction_gets_its_own_arguments() {
    let text = "name: w\nstatements: [{ name: a, sql: select $1, args: [{ text: 9 }] }]\ntransactions: [{ name: t, steps: [a, a] }]\n";
    let (_, sent) = script(text, Writes::Live).call(3);
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0].1, sent[1].1);
}

#[test]
fn mistakes_in_transactions_are_named_with_their_place() {
    let refused = |from: &str, to: &str| {
        assert!(SHOP.contains(from));
        Workload::parse(&SHOP.replacen(from, to, 1), "shop.yaml").unwrap_err().to_string()
    };
    assert!(refused("steps: [find,", "steps: [fined,").starts_with("shop.yaml:10:13: transaction \"order\": unknown statement \"fined\""));
    assert!(refused("think: 50ms", "think: long").contains("\"long\": expected a time such as 50ms"));
    assert!(refused("{ think: 50ms }", "{ thnk: 50ms }").contains("unknown step `thnk`"));
    assert!(refused("retry: 2", "retry: 2000").starts_with("shop.yaml:8:12: retry: expected 0 to 1000"));
    assert!(refused("isolation: serializable", "isolation: total").starts_with("shop.yaml:9:"));
    assert!(refused("steps: [find, { think: 1s }]", "steps: [{ think: 1s }]").contains("expected at least one statement"));
    assert!(refused("name: order", "name: find").contains("has the name of a statement"));
    assert!(refused("name: slow", "name: order").contains("twice"));
    let pause = Workload::parse(SHOP, "shop.yaml").unwrap().transactions[1].steps[1];
    assert_eq!(pause, StepSpec::Think(Duration::from_secs(1)));
}
