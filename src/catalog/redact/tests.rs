use super::super::sample::{column, index, snapshot, statement, table};
use super::super::{
    Column, ExtendedFound, ExtendedStatistics, Function, KeyTarget, Policy, QualifiedName, RangeStatistics, UserType, View,
};
use super::*;

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn found(common: &[&str], histogram: &[&str]) -> ColumnStatistics {
    let share = |at: usize| 0.3 / (at + 1) as f64;
    ColumnStatistics {
        common_values: texts(common),
        common_frequencies: (0..common.len()).map(share).collect(),
        histogram: texts(histogram),
        distinct: -0.5,
        ..ColumnStatistics::default()
    }
}

fn with_columns(columns: Vec<Column>) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.tables = vec![table("t", columns)];
    snapshot
}

fn of<'a>(snapshot: &'a Snapshot, name: &str) -> &'a ColumnStatistics {
    snapshot.tables[0].column(name).unwrap().statistics.as_ref().unwrap()
}

/// One that appears nowhere but in values: as text, number, day, …
const SECRETS: [&str; 9] = [
    "Wilhelmina Geheim",
    "wilhelmina",
    "4929001122334455",
    "73251.37",
    "1987-03-14",
    "04:37:12",
    "c0ffee00-dead-beef-8bad-f00d12345678",
    "203.0.113.77",
    "c0ffeec0ffee",
];

#[test]
fn no_planted_value_is_left_anywhere() {
    let elements = |values: &[&str]| ElementStatistics {
        common_values: texts(values),
        common_frequencies: vec![0.1; values.len() + 2],
        count_histogram: vec![1.0, 2.0],
    };
    let ranges = RangeStatistics {
        length_histogram: vec![1.0, 4_929_001_122_334_455.0],
        empty_fraction: Some(0.0),
        bounds_histogram: texts(&["[1,4929001122334455)"]),
    };
    let mut snapshot = with_columns(vec![
        column("name", "text", "S", found(&["Wilhelmina Geheim", "Bob"], &["Anna", "wilhelmina", "Zoe"])),
        column("card", "bigint", "N", found(&["4929001122334455"], &["1", "4929001122334455"])),
        column("pay", "numeric(10,2)", "N", found(&["73251.37"], &[])),
        column("born", "date", "D", found(&["1987-03-14"], &[])),
        column("at", "timestamp with time zone", "D", found(&["1987-03-14 04:37:12+00"], &[])),
        column("clock", "time without time zone", "D", found(&["04:37:12"], &[])),
        column("key", "uuid", "U", found(&["c0ffee00-dead-beef-8bad-f00d12345678"], &[])),
        column("host", "inet", "I", found(&["203.0.113.77"], &[])),
        column("raw", "bytea", "U", found(&["\\xc0ffeec0ffee"], &[])),
        column(
            "tags",
            "text[]",
            "A",
            ColumnStatistics { elements: Some(elements(&["wilhelmina"])), ..found(&["{\"Wilhelmina Geheim\",x}"], &["{wilhelmina}"]) },
        ),
        column("words", "tsvector", "U", ColumnStatistics { elements: Some(elements(&["wilhelmina"])), ..found(&["'wilhelmina':1"], &[]) }),
        column("doc", "jsonb", "U", found(&["{\"wilhelmina\": [\"Wilhelmina Geheim\", 4929001122334455, 73251.37]}"], &[])),
        column("span", "int8range", "R", ColumnStatistics { ranges: Some(ranges), ..found(&["[1,4929001122334455)"], &[]) }),
        column("place", "point", "G", found(&["(73251.37,1)"], &[])),
        column("partly", "jsonb", "U", found(&["wilhelmina is no JSON"], &[])),
    ]);
    snapshot.tables[0].columns[0].statistics_inherited = Some(found(&["Wilhelmina Geheim"], &[]));
    snapshot.indexes = vec![index("i")];
    snapshot.indexes[0].keys[0].target = KeyTarget::Expression("lower(name)".to_owned());
    snapshot.indexes[0].expression_statistics = vec![Some(found(&["wilhelmina"], &[]))];
    snapshot.extended_statistics = vec![ExtendedStatistics {
        oid: 1,
        name: QualifiedName::new("shop", "x"),
        table: 1,
        definition: "CREATE STATISTICS shop.x ON name, card, (lower(name)) FROM shop.t".to_owned(),
        columns: texts(&["name", "card"]),
        expressions: texts(&["lower(name)"]),
        found: Some(ExtendedFound {
            common_values: vec![
                vec![Some("Wilhelmina Geheim".into()), Some("4929001122334455".into()), Some("wilhelmina".into())],
                vec![None, None, None],
            ],
            common_frequencies: vec![0.2, 0.1],
            common_base_frequencies: vec![0.1, 0.1],
            ..ExtendedFound::default()
        }),
        expression_statistics: vec![Some(found(&["wilhelmina"], &["wilhelmina"]))],
    }];
    snapshot.statements = vec![
        statement("select /* for Wilhelmina Geheim */ * from t where name = 'Wilhelmina Geheim' and card = 4929001122334455 -- 73251.37"),
        statement(
            "select * from t where name like '%Wilhelmina Geheim%' and pay > 73251.37 and born = '1987-03-14' and clock = '04:37:12'",
        ),
        statement("do $$ begin perform 'wilhelmina'; end $$"),
        statement(
            "select X'c0ffeec0ffee', 'c0ffee00-dead-beef-8bad-f00d12345678', '{\"wilhelmina\":1}', '203.0.113.77', 'Wilhelmina Geheim",
        ),
    ];
    let parameters = SECRETS.iter().map(|secret| Some((*secret).to_owned())).chain([None]).collect();
    snapshot.statements[0].parameters = vec![parameters];

    let before = serde_json::to_string(&snapshot).unwrap();
    assert!(SECRETS.iter().all(|secret| before.contains(secret)), "each was planted");
    let redacted = redact(snapshot.clone());
    let after = serde_json::to_string(&redacted).unwrap();
    for secret in SECRETS {
        assert!(!after.to_lowercase().contains(&secret.to_lowercase()), "{secret} in {after}");
    }
    assert!(redacted.redacted && !after.contains("Geheim"));
    assert!(redacted.hidden[0].what.contains("3 columns"), "{:?}", redacted.hidden);
    for name in ["shop.t.place", "shop.t.partly", "shop.t.words"] {
        assert!(redacted.hidden[0].what.contains(name), "{:?}", redacted.hidden);
    }

    // What the planner needs is left: the same value is the same token, and every list has its length.
    assert_eq!(of(&redacted, "name").common_frequencies, of(&snapshot, "name").common_frequencies);
    let name = &of(&redacted, "name").common_values[0];
    let extended = redacted.extended_statistics[0].found.as_ref().unwrap();
    assert_eq!(extended.common_values[0][0].as_ref(), Some(name));
    assert_eq!(extended.common_values[1], [None, None, None]);
    assert_eq!(redacted.statements[0].parameters[0][0].as_ref(), Some(name));
    assert!(redacted.statements[0].query.as_ref().unwrap().contains(&format!("name = '{name}'")), "{:?}", redacted.statements[0].query);
    assert!(redacted.statements[1].query.as_ref().unwrap().contains(&format!("like '%{name}%'")), "{:?}", redacted.statements[1].query);
    assert_eq!(of(&redacted, "tags").common_values[0], format!("{{\"{name}\",\"{}\"}}", token(&redacted, "x", &snapshot)));
}

/// Returns what stands for a text of the snapshot.
fn token(redacted: &Snapshot, value: &str, snapshot: &Snapshot) -> String {
    let text = |snapshot: &Snapshot| of(snapshot, "tags").common_values[0].clone();
    let at = text(snapshot).trim_matches(['{', '}']).split(',').position(|item| item == value).unwrap();
    text(redacted).trim_matches(['{', '}']).split(',').nth(at).unwrap().trim_matches('"').to_owned()
}

#[test]
fn order_stays_in_every_family_and_the_servers_order_of_texts_with_it() {
    let histograms: [(&str, &str, &str, &[&str]); 6] = [
        ("a", "text", "S", &["apple", "Banana", "cherry", "élan", "Zebra"]),
        ("b", "integer", "N", &["-500", "-7", "0", "12", "90000", "2147483647"]),
        ("c", "numeric", "N", &["-1.5", "0", "0.25", "1000000.75"]),
        ("d", "date", "D", &["1950-01-01", "2022-10-01", "2023-10-20", "2030-01-01"]),
        ("e", "timestamp without time zone", "D", &["2001-01-01 00:00:00", "2023-11-14 22:13:19", "2023-11-14 22:13:20.5"]),
        ("f", "uuid", "U", &["00000000-0000-0000-0000-000000000001", "7fffffff-0000-0000-0000-000000000000"]),
    ];
    let columns = histograms.iter().map(|(name, kind, category, values)| column(name, kind, category, found(&[], values))).collect();
    let redacted = redact(with_columns(columns));
    for (name, _, category, before) in histograms {
        let after = &of(&redacted, name).histogram;
        assert_eq!(after.len(), before.len());
        let ascends = match category {
            "N" => after.windows(2).all(|pair| pair[0].parse::<f64>().unwrap() < pair[1].parse::<f64>().unwrap()),
            _ => after.windows(2).all(|pair| pair[0] < pair[1]),
        };
        assert!(ascends, "{name}: {after:?}");
        assert!(after.iter().zip(before).filter(|(one, other)| one == *other).all(|(one, _)| one == "0"), "{name}: {after:?}");
    }
    assert!(redacted.hidden.is_empty());
}

#[test]
fn moments_keep_their_side_of_round_distances_from_now() {
    // The snapshot is of 2023-11-14 22:13:20.
    let values = ["2023-11-01 00:00:00+00", "2023-11-10 05:00:00+00", "2023-11-14 10:00:00+00", "2023-11-14 22:13:19+00"];
    let redacted = redact(with_columns(vec![column("at", "timestamp with time zone", "D", found(&[], &values))]));
    let after = &of(&redacted, "at").histogram;
    let weeks = |text: &String| text.as_str() > "2023-11-07 22:13:20+00";
    assert_eq!(after.iter().map(weeks).collect::<Vec<_>>(), [false, true, true, true], "{after:?}");
    assert!(after[3].starts_with("2023-11-14 22:1"), "{after:?}");
}

#[test]
fn truth_values_labels_and_what_schema_text_spells_are_kept() {
    let mut snapshot = with_columns(vec![
        column("mood", "shop.mood", "E", found(&["sad", "happy"], &[])),
        column("ok", "boolean", "B", found(&["t", "f"], &[])),
        column("status", "text", "S", found(&["done", "failed", "secretly"], &["done", "failed", "other"])),
        column("kind", "integer", "N", found(&["7000", "3", "8123"], &[])),
        column("day", "date", "D", found(&["2023-01-01"], &[])),
        column(
            "tags",
            "text[]",
            "A",
            ColumnStatistics {
                elements: Some(ElementStatistics {
                    common_values: texts(&["", "banana", "failed", "zebra"]),
                    common_frequencies: vec![0.1, 0.2, 0.3, 0.4, 0.05, 0.5],
                    count_histogram: Vec::new(),
                }),
                ..ColumnStatistics::default()
            },
        ),
    ]);
    snapshot.types = vec![UserType {
        oid: 9,
        name: QualifiedName::new("shop", "mood"),
        kind: UserTypeKind::Enum { labels: texts(&["sad", "happy"]) },
        extension: None,
    }];
    snapshot.indexes = vec![index("i")];
    snapshot.indexes[0].definition = "CREATE INDEX i ON shop.t (kind) WHERE status = 'failed'::text AND kind > 7000".to_owned();
    snapshot.tables[0].partition_bound = Some("FOR VALUES FROM ('2023-01-01') TO (MAXVALUE)".to_owned());
    snapshot.views = vec![View {
        oid: 5,
        name: QualifiedName::new("shop", "v"),
        columns: Vec::new(),
        definition: "SELECT 1 FROM shop.t WHERE status = 'done'".to_owned(),
        options: Vec::new(),
        extension: None,
    }];
    snapshot.functions = vec![Function {
        oid: 6,
        name: QualifiedName::new("shop", "f"),
        arguments: String::new(),
        language: "sql".to_owned(),
        volatility: "i".to_owned(),
        definition: "CREATE FUNCTION shop.f() AS $function$ select 'inner' $function$".to_owned(),
        extension: None,
    }];
    snapshot.policies = vec![Policy {
        table: 1,
        name: "p".to_owned(),
        permissive: true,
        command: "*".to_owned(),
        roles: Vec::new(),
        using: Some("(status <> 'hidden'::text)".to_owned()),
        check: None,
    }];
    snapshot.statements = vec![statement("select * from t where status = 'failed' and kind > 7000 and x in ($1 /*, ... */) limit 20")];
    let redacted = redact(snapshot.clone());
    assert_eq!(of(&redacted, "mood").common_values, ["sad", "happy"]);
    assert_eq!(of(&redacted, "ok").common_values, ["t", "f"]);
    let status = of(&redacted, "status");
    assert_eq!(status.common_values[..2], ["done", "failed"]);
    assert!(status.common_values[2] != "secretly" && status.histogram.is_sorted() && !status.histogram.contains(&"failed".to_owned()));
    assert_eq!(of(&redacted, "kind").common_values, ["7000", "3500", "7001"]);
    assert_eq!(of(&redacted, "day").common_values, ["2023-01-01"]);
    let elements = of(&redacted, "tags").elements.as_ref().unwrap();
    assert_eq!((elements.common_values[0].as_str(), elements.common_values[3].as_str()), ("", "failed"));
    assert_eq!(elements.common_frequencies, [0.1, 0.2, 0.4, 0.3, 0.05, 0.5], "frequencies move with their elements");
    assert_eq!(redacted.statements[0].query, snapshot.statements[0].query);
    let texts = |snapshot: &Snapshot| schema_texts(snapshot).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(texts(&redacted), texts(&snapshot));
}

#[test]
fn equal_values_of_two_columns_stay_equal_so_that_joins_match() {
    let redacted = redact(with_columns(vec![
        column("id", "bigint", "N", found(&[], &["5", "812345", "990001"])),
        column("parent", "integer", "N", found(&["812345"], &[])),
        column("code", "text", "S", found(&["xy"], &["ab", "xy"])),
        column("other", "character varying(9)", "S", found(&["xy"], &[])),
    ]));
    assert_eq!(of(&redacted, "id").histogram[1], of(&redacted, "parent").common_values[0]);
    assert_eq!(of(&redacted, "code").common_values, of(&redacted, "other").common_values);
    assert_eq!(of(&redacted, "code").histogram[1], of(&redacted, "other").common_values[0]);
}

#[test]
fn what_is_redacted_can_be_redacted_again() {
    let once = redact(with_columns(vec![column("a", "text", "S", found(&["x", "y"], &["p", "q"]))]));
    assert_eq!(of(&redact(once.clone()), "a"), of(&once, "a"));
}
