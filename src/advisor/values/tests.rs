use std::collections::BTreeMap;

use super::*;
use crate::advisor::query::{Comparison, ParameterUse};
use crate::advisor::sample;
use crate::catalog::{ColumnStatistics, ElementStatistics, QualifiedName, UserType, UserTypeKind};

/// The crm sample's `prospects` with statistics for a column of each kind.
fn snapshot() -> Snapshot {
    let mut snapshot = sample::crm();
    let columns = [
        sample::Col("id", "bigint", -1.0, 1.0),
        sample::Col("status", "text", 3.0, 0.1),
        sample::Col("owner", "integer", 1000.0, 0.1),
        sample::Col("at", "timestamp with time zone", -0.9, 1.0),
        sample::Col("price", "numeric", 500.0, 0.0),
        sample::Col("name", "text", -0.8, 0.0),
        sample::Col("tags", "text[]", -0.1, 0.0),
        sample::Col("doc", "jsonb", -0.5, 0.0),
        sample::Col("bare", "integer", 5.0, 0.0),
    ];
    let mut table = sample::table(900, "things", 1e6, 10_000, &columns);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut fill = |name: &str, common: &[&str], frequencies: &[f64], histogram: &[&str]| {
        let column = table.columns.iter_mut().find(|column| column.name == name).unwrap();
        column.statistics = Some(ColumnStatistics {
            common_values: words(common),
            common_frequencies: frequencies.to_vec(),
            histogram: words(histogram),
            ..ColumnStatistics::default()
        });
    };
    fill("id", &[], &[], &["1", "250000", "500000", "750000", "1000000"]);
    fill("status", &["done", "open", "failed"], &[0.9, 0.09, 0.01], &[]);
    fill("owner", &["7", "8", "9", "10", "11", "12"], &[0.2, 0.1, 0.05, 0.05, 0.05, 0.05], &["100", "200", "300"]);
    fill("at", &[], &[], &["2023-11-23 00:00:00+00", "2024-11-23 00:00:00+00"]);
    fill("price", &[], &[], &["0.00", "100.00"]);
    fill("name", &["O'Brien", "100%"], &[0.1, 0.05], &["Adams", "Miller", "Young"]);
    fill("tags", &[], &[], &[]);
    fill("doc", &["{\"kind\": \"a\", \"n\": [1]}", "{\"kind\": \"b\"}"], &[0.5, 0.2], &[]);
    table.columns[6].statistics.as_mut().unwrap().elements = Some(ElementStatistics {
        common_values: words(&["blue", "green", "red"]),
        common_frequencies: vec![0.1, 0.6, 0.3, 0.1, 0.6],
        ..ElementStatistics::default()
    });
    table.columns[8].statistics = None;
    snapshot.tables.push(table);
    snapshot.taken_at = "2024-11-23T00:00:00Z".parse().unwrap();
    snapshot
}

fn query(text: &str, uses: &[(&str, Comparison)]) -> Query {
    let parameters = (1..).zip(uses).map(|(number, (column, comparison))| {
        (number, ParameterUse::Column { table: 900, column: (*column).into(), comparison: *comparison })
    });
    Query {
        query_id: None,
        text: text.into(),
        user: String::new(),
        search_path: String::new(),
        calls: 1,
        rows: 1,
        exec_ms_total: 1.0,
        blocks: Vec::new(),
        writes: Vec::new(),
        parameters: parameters.collect::<BTreeMap<u32, ParameterUse>>(),
        captured: Vec::new(),
    }
}

/// Weights in percent and literals of each set.
fn drawn(query: &Query, types: &[&str]) -> Vec<(u32, Vec<String>)> {
    let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
    let sets = sets(&snapshot(), query, &types);
    let sum: f64 = sets.iter().map(|set| set.weight).sum();
    assert!((sum - 1.0).abs() < 1e-9, "weights add up to {sum}");
    sets.into_iter().map(|set| ((set.weight * 100.0).round() as u32, set.literals)).collect()
}

/// The single parameter's values.
fn values(text: &str, column: &str, comparison: Comparison, type_name: &str) -> Vec<(u32, String)> {
    drawn(&query(text, &[(column, comparison)]), &[type_name])
        .into_iter()
        .map(|(weight, mut literals)| (weight, literals.remove(0)))
        .collect()
}

fn texts(values: Vec<(u32, String)>) -> Vec<String> {
    values.into_iter().map(|(_, literal)| literal).collect()
}

#[test]
fn each_of_few_common_values_has_its_set() {
    let wanted = [(90, "'done'::text"), (1, "'failed'::text"), (9, "'open'::text")].map(|(weight, literal)| (weight, literal.to_owned()));
    assert_eq!(values("", "status", Comparison::Equal, "text"), wanted);
}

#[test]
fn of_many_values_a_common_a_rare_and_a_middle_one_are_drawn() {
    let wanted =
        [(20, "'7'::integer"), (50, "'200'::integer"), (30, "'10'::integer")].map(|(weight, literal)| (weight, literal.to_owned()));
    assert_eq!(values("", "owner", Comparison::Equal, "integer"), wanted);
    assert_eq!(texts(values("", "id", Comparison::Equal, "bigint")), ["'500000'::bigint", "'1'::bigint", "'1000000'::bigint"]);
}

#[test]
fn values_of_a_list_differ() {
    let list = query("id in ($1, $2, $3)", &[("status", Comparison::Equal); 3]);
    for (_, mut literals) in drawn(&list, &["text"; 3]) {
        literals.sort();
        literals.dedup();
        assert_eq!(literals.len(), 3);
    }
    let long = query("", &vec![("id", Comparison::Equal); 2000]);
    let mut literals = drawn(&long, &vec!["bigint"; 2000])[0].1.clone();
    literals.sort();
    literals.dedup();
    assert!(literals.len() > 1900, "{} of 2000", literals.len());
}

#[test]
fn ranges_of_time_reach_the_recent_end() {
    let from = texts(values("", "at", Comparison::Above, "timestamp with time zone"));
    assert_eq!(from[0], "'2024-10-17 09:36:00+00'::timestamp with time zone");
    assert!(from[1] > from[0] && from[2] > from[1]);
    let range = query("", &[("at", Comparison::Above), ("at", Comparison::Below)]);
    for (_, literals) in drawn(&range, &["timestamp with time zone"; 2]) {
        assert!(literals[0] < literals[1], "{literals:?}");
    }
    let prices = query("", &[("price", Comparison::Below), ("price", Comparison::Above)]);
    assert_eq!(drawn(&prices, &["numeric"; 2])[0].1, ["'55.00'::numeric", "'45.00'::numeric"]);
}

#[test]
fn ages_are_lengths_of_time_before_the_snapshot() {
    assert_eq!(
        texts(values("at > now() - $1", "at", Comparison::Age, "interval")),
        ["'37 days'::interval", "'4 days'::interval", "'9 hours'::interval"]
    );
    // The same though it was taken for a bound; days where it is a number.
    assert_eq!(texts(values("", "at", Comparison::Above, "interval"))[0], "'37 days'::interval");
    assert_eq!(texts(values("", "at", Comparison::Age, "integer")), ["'37'::integer", "'4'::integer", "'1'::integer"]);
    assert_eq!(texts(values("at > now() - interval $1 hour", "at", Comparison::Age, "interval"))[0], "'879 hour'::interval");
    assert_eq!(texts(values("", "bare", Comparison::Age, "interval"))[0], "'7 days'::interval");
}

#[test]
fn patterns_begin_like_a_value() {
    assert_eq!(
        texts(values("name like $1", "name", Comparison::Pattern, "text")),
        ["'O''B%'::text", "'Mil%'::text", "E'%100\\\\%%'::text"][..2]
            .iter()
            .map(|text| (*text).to_owned())
            .chain(["'%100%'::text".to_owned()])
            .collect::<Vec<_>>()
    );
    assert_eq!(texts(values("name ~ $1", "name", Comparison::Pattern, "text"))[1], "'^Mil'::text");
    assert_eq!(texts(values("name ilike $1", "name", Comparison::Pattern, "text"))[0], "'%O''B%'::text");
    assert_eq!(texts(values("name like $1 || '%'", "name", Comparison::Pattern, "text"))[1], "'Mil'::text");
}

#[test]
fn arrays_and_elements_come_from_the_column() {
    assert_eq!(texts(values("", "owner", Comparison::AnyOf, "integer[]"))[0], "'{\"7\",\"8\",\"9\"}'::integer[]");
    assert_eq!(
        texts(values("", "tags", Comparison::Elements, "text[]")),
        ["'{\"green\"}'::text[]", "'{\"blue\"}'::text[]", "'{\"red\"}'::text[]"]
    );
    assert_eq!(texts(values("", "tags", Comparison::Equal, "text"))[0], "'green'::text");
    assert_eq!(texts(values("", "doc", Comparison::Elements, "jsonb")), ["'{\"kind\":\"a\"}'::jsonb", "'{\"kind\":\"b\"}'::jsonb"]);
    assert_eq!(texts(values("", "doc", Comparison::Elements, "text")), ["'kind'::text"]);
    assert_eq!(texts(values("", "doc", Comparison::Elements, "jsonpath")), ["'$.\"kind\"'::jsonpath"]);
    assert_eq!(texts(values("", "bare", Comparison::Elements, "jsonb")), ["'{\"a\": 1}'::jsonb"]);
}

#[test]
fn captured_calls_come_first() {
    let mut query = query("at > now() - interval $2 day", &[("status", Comparison::Equal)]);
    let call = |values: &[&str]| values.iter().map(|value| Some((*value).to_owned())).collect::<Vec<_>>();
    query.captured = vec![call(&["it's", "5"]), call(&["it's", "5"]), call(&["x", "2 weeks"]), vec![None]];
    let wanted = [
        (50, ["'it''s'::text", "'5 day'::interval"]),
        (25, ["NULL::text", "'1 day'::interval"]),
        (25, ["'x'::text", "'2 weeks'::interval"]),
    ];
    assert_eq!(drawn(&query, &["text", "interval"]), wanted.map(|(weight, literals)| (weight, literals.map(str::to_owned).to_vec())));
}

#[test]
fn sets_are_consistent_and_all_different() {
    let both = query("", &[("status", Comparison::Equal), ("owner", Comparison::Equal)]);
    let sets = drawn(&both, &["text", "integer"]);
    assert_eq!(sets[0].1, ["'done'::text", "'7'::integer"]);
    assert_eq!(sets[1].1, ["'failed'::text", "'200'::integer"]);
    assert_eq!(sets.iter().map(|(weight, _)| *weight).collect::<Vec<_>>(), [55, 26, 20]);
    assert_eq!(drawn(&query("select $1", &[]), &["integer"]), [(100, vec!["'1'::integer".to_owned()])]);
    assert_eq!(drawn(&query("select 1", &[]), &[]), [(100, vec![])]);
    assert_eq!(drawn(&query("select 1 limit $1 offset $2", &[]), &["bigint", "bigint"])[1].1, ["'50'::bigint", "'100'::bigint"]);
}

#[test]
fn what_does_not_fit_the_type_gives_way_to_a_constant() {
    assert_eq!(values("", "name", Comparison::Equal, "integer"), [(100, "'1'::integer".to_owned())]);
    assert_eq!(values("", "bare", Comparison::Equal, "uuid"), [(100, "'00000000-0000-4000-8000-000000000001'::uuid".to_owned())]);
}

#[test]
fn users_types_have_a_constant_too() {
    let mut snapshot = sample::crm();
    let named = |name: &str, kind: UserTypeKind| UserType { oid: 1, name: QualifiedName::new("app", name), kind, extension: None };
    let domain = |base: &str| UserTypeKind::Domain { base: base.into(), not_null: true, collation: None, checks: Vec::new() };
    snapshot.types = vec![
        named("state", UserTypeKind::Enum { labels: vec!["it's".into(), "b".into()] }),
        named("amount", domain("numeric(10,2)")),
        named("Circle", domain("app.\"Circle\"")),
        named("pair", UserTypeKind::Composite { attributes: Vec::new() }),
        named("span", UserTypeKind::Range { subtype: "date".into() }),
    ];
    let constant = |name: &str| sets(&snapshot, &query("", &[]), &[name.to_owned()])[0].literals[0].clone();
    assert_eq!(constant("app.state"), "'it''s'::app.state");
    assert_eq!(constant("state"), "'it''s'::state");
    assert_eq!(constant("app.amount"), "'1'::app.amount");
    assert_eq!(constant("app.\"Circle\""), "NULL::app.\"Circle\"", "a circle of domains ends");
    assert_eq!(constant("app.pair"), "NULL::app.pair");
    assert!(constant("app.span").starts_with("'[\""));
    assert_eq!(constant("character"), "'1'::bpchar");
    assert_eq!(constant("state[]"), "'{}'::state[]");
}

#[test]
fn a_list_of_100_kilobytes_has_values_at_once() {
    let query = query("", &vec![("id", Comparison::Equal); 20_000]);
    let begun = std::time::Instant::now();
    assert_eq!(drawn(&query, &vec!["bigint"; 20_000])[0].1.len(), 20_000);
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
}
