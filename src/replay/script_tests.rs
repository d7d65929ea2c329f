//! Calls of a small shop: the same seed, the same calls.

use super::*;
use crate::load::WARM_UP_CALLS;

const SHOP: &str = r#"
name: shop
samples:
  order: { table: orders, columns: [id, customer, placed_at] }
statements:
  - { name: find, weight: 3, sql: "select $1 $2 $3", args: [order.id, order.customer, { shift: order.placed_at, by: "+1 day" }] }
  - name: add
    sql: insert into orders values ($1, $2, $3, $4, $5, $6)
    args: [{ uuid: true }, { text: 8 }, { int: [-2, 2] }, { choice: [a, b, null] }, { now: "-1 hour" }, null]
  - { name: never, weight: 0, sql: select 1 }
"#;

fn samples() -> Samples {
    let row = |i: u32| {
        let placed = format!("2024-01-{:02} 10:00:00.5+00", i % 28 + 1);
        vec![Some(i.to_string()), (!i.is_multiple_of(5)).then(|| format!("customer-{i}")), Some(placed)]
    };
    let columns = ["id", "customer", "placed_at"].map(str::to_owned).to_vec();
    let order = Sample { name: "order".to_owned(), columns, rows: (0..100).map(row).collect() };
    Samples { taken_at: "2024-06-01T12:00:00Z".parse().unwrap(), samples: vec![order] }
}

fn script(seed: u64) -> Script {
    Script::new(&Workload::parse(SHOP, "shop.yaml").unwrap(), &samples(), seed, Writes::Live).unwrap()
}

/// The arguments of a call of one statement.
fn args(script: &Script, call: u64) -> Vec<Option<String>> {
    script.call(call).1.remove(0).args
}

#[test]
fn the_same_seed_makes_the_same_calls_in_any_order() {
    let list = |seed, numbers: &[u64]| numbers.iter().map(|n| script(seed).call(*n)).collect::<Vec<_>>();
    let forward: Vec<u64> = (0..300).collect();
    let backward: Vec<u64> = (0..300).rev().collect();
    let mut reversed = list(1, &backward);
    reversed.reverse();
    assert_eq!(list(1, &forward), reversed);
    assert_ne!(list(1, &forward), list(2, &forward));
    let warm_up: Vec<u64> = (0..300).map(|n| WARM_UP_CALLS + n).collect();
    assert_ne!(list(1, &forward), list(1, &warm_up));
}

#[test]
fn statements_come_by_their_weights() {
    let script = script(1);
    let finds = (0..40_000).filter(|call| script.statement(*call) == 0).count();
    assert!((29_500..30_500).contains(&finds), "{finds}");
    assert!((0..40_000).all(|call| script.statement(call) != 2));
    assert!(script.is_called(0) && script.is_called(1) && !script.is_called(2));
    assert_eq!(script.first_call_of(2, 0), None);
    let first = script.first_call_of(1, 0).unwrap();
    assert_eq!(script.statement(first), 1);
    assert!((0..first).all(|call| script.statement(call) == 0));
}

#[test]
fn the_columns_of_a_call_come_from_one_row() {
    let script = script(1);
    let mut seen = std::collections::BTreeSet::new();
    for call in (0..1000).filter(|call| script.statement(*call) == 0) {
        let args = args(&script, call);
        let id: u32 = args[0].as_deref().unwrap().parse().unwrap();
        assert_eq!(args[1], (!id.is_multiple_of(5)).then(|| format!("customer-{id}")));
        assert_eq!(args[2].as_deref().unwrap()[..10], format!("2024-{:02}-{:02}", 1, id % 28 + 2)[..10]);
        seen.insert(id);
    }
    assert!(seen.len() > 95, "{} of 100 rows used", seen.len());
}

#[test]
fn generated_values_keep_their_form() {
    let script = script(1);
    let (mut ints, mut choices) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    let mut uuids = std::collections::BTreeSet::new();
    for call in (0..2000).filter(|call| script.statement(*call) == 1) {
        let args = args(&script, call);
        let uuid = args[0].clone().unwrap();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        assert!(uuids.insert(uuid));
        let text = args[1].as_deref().unwrap();
        assert!(text.len() == 8 && text.bytes().all(|b| b.is_ascii_lowercase()), "{text}");
        ints.insert(args[2].clone().unwrap());
        choices.insert(args[3].clone());
        assert_eq!(args[4].as_deref(), Some("2024-06-01T11:00:00Z"));
        assert_eq!(args[5], None);
    }
    assert_eq!(ints.iter().map(String::as_str).collect::<Vec<_>>(), ["-1", "-2", "0", "1", "2"]);
    assert_eq!(choices.len(), 3);
}

#[test]
fn writes_can_be_left_out() {
    let workload = Workload::parse(SHOP, "shop.yaml").unwrap();
    let script = Script::new(&workload, &samples(), 1, Writes::Readonly).unwrap();
    assert!((0..1000).all(|call| script.statement(call) == 0));
    let only = Workload::parse("name: w\nstatements: [{ name: a, sql: delete from t }]\n", "w.yaml").unwrap();
    let refused = Script::new(&only, &Samples::none(Timestamp::UNIX_EPOCH), 1, Writes::Readonly).unwrap_err();
    assert_eq!(refused, ScriptError::OnlyWrites("w".to_owned()));
}

#[test]
fn samples_that_do_not_fit_are_refused() {
    let workload = Workload::parse(SHOP, "shop.yaml").unwrap();
    let with = |change: fn(&mut Sample)| {
        let mut samples = samples();
        change(&mut samples.samples[0]);
        Script::new(&workload, &samples, 1, Writes::Live).unwrap_err()
    };
    assert_eq!(with(|s| s.rows.clear()), ScriptError::Empty("order".to_owned()));
    assert_eq!(with(|s| s.columns[0] = "no".to_owned()), ScriptError::SamplesDiffer("order".to_owned()));
    assert_eq!(with(|s| s.name = "other".to_owned()), ScriptError::SamplesDiffer("order".to_owned()));
    assert!(with(|s| s.rows[7][2] = Some("soon".to_owned())).to_string().contains("\"soon\" is not a date or timestamp"));
}

#[test]
fn times_are_shifted_as_the_server_writes_them() {
    let week: Span = "+7 days".parse().unwrap();
    let month: Span = "-1 month".parse().unwrap();
    assert_eq!(shifted("2024-02-25 10:00:00.123456+00", week).unwrap(), "2024-03-03T10:00:00.123456Z");
    assert_eq!(shifted("2024-02-25 10:00:00+05:30", week).unwrap(), "2024-03-03T04:30:00Z");
    assert_eq!(shifted("2024-02-25 10:00:00", week).unwrap(), "2024-03-03T10:00:00");
    assert_eq!(shifted("2024-03-31", month).unwrap(), "2024-02-29");
    assert_eq!(shifted("infinity", week).unwrap(), "infinity");
    assert_eq!(shifted("12", week), None);
}

const DERIVED: &str = r#"
name: derived
samples:
  order: { table: orders, columns: [id, customer, placed_at] }
statements:
  - name: find
    sql: "select $1 $2 $3 $4 $5 $6"
    args: [order.id, { present: order.customer }, { present: order.id, row: 2 }, { any: order.customer, of: 3 },
      { rank: order.id, from: 0.0, to: 0.9 }, { rank: order.id, from: 0.1, to: 1 }]
"#;

#[test]
fn values_of_a_derived_statement_come_from_the_rows_around_the_calls_own() {
    let script = Script::new(&Workload::parse(DERIVED, "derived.yaml").unwrap(), &samples(), 1, Writes::Readonly).unwrap();
    for call in 0..500 {
        let args: Vec<String> = args(&script, call).into_iter().map(|value| value.expect("no value is null")).collect();
        let own: u32 = args[0].parse().unwrap();
        // Every fifth customer is null; the next one stands in.
        let present = |row: u32| if row.is_multiple_of(5) { (row + 1) % 100 } else { row % 100 };
        assert_eq!(args[1], format!("customer-{}", present(own)));
        assert_eq!(args[2], ((own + 2) % 100).to_string());
        let three: Vec<String> = (own..own + 3).map(|row| format!("\"customer-{}\"", present(row % 100))).collect();
        assert_eq!(args[3], format!("{{{}}}", three.join(",")));
        let (low, high): (i32, i32) = (args[4].parse().unwrap(), args[5].parse().unwrap());
        assert!((9..=11).contains(&(high - low)), "a tenth of the rows lies between {low} and {high}");
    }
}

#[test]
fn ranks_arrays_and_patterns_that_cannot_be_are_refused() {
    let refused = |from: &str, to: &str| {
        assert!(DERIVED.contains(from), "{from}");
        Workload::parse(&DERIVED.replacen(from, to, 1), "derived.yaml").unwrap_err().to_string()
    };
    assert!(refused("from: 0.0, to: 0.9", "from: 0.9, to: 0.1").contains("from <= to"));
    assert!(refused("of: 3", "of: 0").contains("of: expected 1 to"));
    assert!(refused("of: 3", "share: 3").contains("unknown argument `share`"));
    assert!(refused("row: 2", "row: 2, of: 1").contains("no place beside `present`"));
    assert!(refused("{ any: order.customer, of: 3 }", "{ begins: order.customer, share: 0 }").contains("share: expected more than 0"));
}
