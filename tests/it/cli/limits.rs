//! What the limits of an audit do, each seen in its answer.

use serde_json::Value;

use super::audited::{audit, audited, proposed};

fn created(audit: &Value) -> Vec<&Value> {
    audit["proposals"].as_array().unwrap().iter().filter(|proposal| proposal["action"] == "create").collect()
}

fn bytes(audit: &Value) -> u64 {
    created(audit).iter().map(|proposal| proposal["size_bytes"].as_u64().unwrap()).sum()
}

/// What is searched for the least of: statements with all that is proposed, and its writes.
fn cost(audit: &Value) -> f64 {
    let written: f64 = created(audit).iter().map(|proposal| proposal["write_cost"]["cost"].as_f64().unwrap()).sum();
    created(audit).first().map_or(f64::INFINITY, |proposal| proposal["workload_cost"]["after"].as_f64().unwrap() + written)
}

fn refused(audit: &Value, begins: &str) -> Vec<String> {
    let reasons = audit["refused"].as_array().unwrap().iter().map(|refused| refused["reason"].as_str().unwrap());
    reasons.filter(|reason| reason.starts_with(begins)).map(str::to_owned).collect()
}

#[test]
fn every_limit_is_kept_and_said_where_it_bites() {
    let free = audit(&[]);
    assert!(created(&free).len() >= 2, "{:#}", free["proposals"]);
    assert_eq!(refused(&free, "over the budget"), Vec::<String>::new());

    let less = (bytes(&free) - 1).to_string();
    let sized = audit(&["--max-size", &less]);
    assert!(bytes(&sized) < bytes(&free) && cost(&sized) >= cost(&free), "{} against {}", bytes(&sized), bytes(&free));
    assert!(refused(&sized, "over the budget: it would take").iter().all(|reason| reason.contains("all but")));
    assert!(!refused(&sized, "over the budget").is_empty(), "{:#}", sized["refused"]);
    let snapshot: Value = serde_json::from_str(&std::fs::read_to_string(audited().path("audited.json")).unwrap()).unwrap();
    let heap: u64 = snapshot["tables"].as_array().unwrap().iter().map(|table| table["heap_bytes"].as_u64().unwrap()).sum();
    let share = audit(&["--max-size", "1%"]);
    assert!(bytes(&share) as f64 <= heap as f64 * 0.01 && bytes(&free) as f64 > heap as f64 * 0.01, "{} of {heap}", bytes(&share));
    let roomy = audit(&["--max-size", "25%"]);
    assert!(bytes(&roomy) as f64 <= heap as f64 * 0.25);

    let table = created(&free).iter().find(|proposal| proposal["table"] == "prospects").unwrap()["table"].clone();
    let existing = snapshot["tables"].as_array().unwrap().iter().find(|one| one["name"]["name"] == table).unwrap()["oid"].clone();
    let existing = snapshot["indexes"].as_array().unwrap().iter().filter(|index| index["table"] == existing).count();
    let crowded = audit(&["--max-indexes-per-table", &existing.to_string()]);
    assert!(created(&crowded).iter().all(|proposal| proposal["table"] != table), "{:?}", proposed(&crowded, "create"));
    let said = refused(&crowded, "over the budget: prospects has");
    assert!(said.iter().any(|reason| reason.contains(&format!("has {existing} indexes, and may have at most {existing}"))), "{said:?}");

    let narrow = audit(&["--max-width", "1"]);
    assert!(created(&narrow).iter().all(|proposal| proposal["keys"].as_array().unwrap().len() == 1), "{:#}", narrow["proposals"]);
    assert!(created(&free).iter().any(|proposal| proposal["keys"].as_array().unwrap().len() > 1));
    assert!(cost(&narrow) >= cost(&free), "a wider search is never worse");

    let greedy = audit(&["--min-gain", "100%"]);
    assert_eq!(proposed(&greedy, "create"), Vec::<String>::new());
    assert!(!refused(&greedy, "too little gain").is_empty());

    let written: f64 = created(&free).iter().map(|proposal| proposal["write_cost"]["cost"].as_f64().unwrap()).sum();
    let before = created(&free).iter().map(|proposal| proposal["workload_cost"]["before"].as_f64().unwrap()).fold(0.0, f64::max);
    let spared = audit(&["--max-write-overhead", "0"]);
    let paid: f64 = created(&spared).iter().map(|proposal| proposal["write_cost"]["cost"].as_f64().unwrap()).sum();
    assert!(paid == 0.0 && written / before < 0.5, "{paid} of {written}, at {before}");

    audited().run(&["audit", "--snapshot", "audited.json", "--max-width", "0"]).code(2);
    audited().run(&["audit", "--snapshot", "audited.json", "--max-size", "much"]).code(2);
}

#[test]
fn a_search_without_time_still_has_an_answer_and_says_so() {
    let hurried = audit(&["--time", "1ms"]);
    assert!(!created(&hurried).is_empty(), "{hurried:#}");
    assert!(hurried["caveats"].to_string().contains("more time may find a better set"), "{}", hurried["caveats"]);
    let (second, free) = (audit(&["--time", "1s"]), audit(&[]));
    assert!(!created(&second).is_empty());
    assert!(cost(&hurried) >= cost(&free) && cost(&second) >= cost(&free), "more time is never worse");
}

#[test]
fn a_files_weights_decide_and_its_bad_statements_are_told() {
    let shop = audited();
    let advised = |weights: [u32; 2]| {
        let text = format!(
            "-- query: by_email weight={}\nselect * from prospects where email = 'a;b' /* not ; the end */;\n\
             -- query: by_time weight={}\nselect * from email_queue where sent_at = $1;\n\
             -- query: broken\nselec 1;\n-- query: lost\nselect nothing from prospects;\n",
            weights[0], weights[1]
        );
        let file = shop.write(&format!("weights-{}.sql", weights[0]), &text);
        audit(&["--workload", &file])
    };
    let email = advised([1000, 1]);
    let coverage = &email["coverage"];
    assert_eq!((coverage["statements"].as_u64(), coverage["usable"].as_u64()), (Some(4), Some(2)), "{coverage:#}");
    let shares: f64 = coverage["skipped"].as_array().unwrap().iter().map(|skipped| skipped["exec_time_share"].as_f64().unwrap()).sum();
    assert!((shares - 2.0 / 1003.0).abs() < 1e-9, "both are told with their weight: {coverage:#}");
    assert!((coverage["exec_time_share"].as_f64().unwrap() - 1001.0 / 1003.0).abs() < 1e-9, "{coverage:#}");
    let reasons = coverage["skipped"].to_string();
    assert!(reasons.contains("nothing") && reasons.contains("selec 1"), "{reasons}");

    let first = |audit: &Value| created(audit)[0]["table"].as_str().unwrap().to_owned();
    assert_eq!((first(&email).as_str(), created(&email)[0]["statements"][0]["calls"].as_u64()), ("prospects", Some(1000)));
    assert_eq!(first(&advised([1, 1000])), "email_queue");
    // Scanned indexes that the file does not speak of stay: something scans them.
    let dropped = proposed(&email, "drop");
    assert!(!dropped.contains(&"prospects_new".to_owned()) && !dropped.contains(&"prospects_tags".to_owned()), "{dropped:?}");
    let copies = dropped.iter().filter(|name| ["meetings_prospect_again", "idx_meetings_prospect_id"].contains(&name.as_str()));
    assert_eq!(copies.count(), 1, "a copy is one whatever runs: {dropped:?}");

    for (format, said) in [("table", "of the given workload"), ("markdown", "of the given workload"), ("sarif", "index-proposal")] {
        let output = shop.run(&["audit", "--snapshot", "audited.json", "--workload", "weights-1000.sql", "--format", format]).success();
        let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        assert!(text.contains(said), "{format}: {text}");
    }
}
