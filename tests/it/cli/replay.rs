//! What `pgload replay` takes, and how its runs look to other programs.

use super::{Shop, stderr};

const WORKLOAD: &str = "
name: visits
statements:
  - { name: one, sql: select 1, weight: 1 }
  - { name: add, sql: \"insert into marks values ($1)\", args: [{ int: [1, 1000000] }] }
transactions:
  - { name: both, weight: 1, steps: [add, { think: 1ms }, { sql: select count(*) from marks }] }
";

#[test]
fn every_way_to_make_load_is_saved_with_the_run() {
    let shop = Shop::new(0);
    shop.sql("shop", "create table marks (n int)");
    let file = shop.write("visits.yaml", WORKLOAD);
    let replay = |more: &[&str]| shop.json(&[&["replay", "-w", &file, "--warm-up", "0s", "--format", "json"], more].concat());

    let staged = replay(&["--stages", "0s:100,1s:300", "--poisson", "--max-in-flight", "6", "--jobs", "2", "--overflow", "shed"]);
    let stages = serde_json::json!([{"duration_ms": 0.0, "target": 100.0}, {"duration_ms": 1000.0, "target": 300.0}]);
    assert_eq!(staged["arrival"]["stages"], serde_json::json!({"stages": stages, "spacing": "poisson", "sessions": 6}));
    assert_eq!((&staged["about"]["jobs"], &staged["about"]["overflow"]), (&2.into(), &"shed".into()));
    let due = staged["totals"]["count"].as_u64().unwrap() + staged["totals"]["not_started"].as_u64().unwrap();
    assert!((120..280).contains(&due), "about 200 are due: {due}");
    let labels: Vec<&String> = staged["labels"].as_object().unwrap().keys().collect();
    assert_eq!(labels, ["one"], "a read-only run leaves the transaction out, for it writes");

    let cloned = replay(&["-c", "2", "--max-calls", "60", "--duration", "20s", "--writes", "clone", "--events", "calls.events"]);
    assert_eq!((&cloned["totals"]["count"], &cloned["totals"]["errors"]), (&60.into(), &0.into()), "{cloned:#}");
    let labels: Vec<&String> = cloned["labels"].as_object().unwrap().keys().collect();
    assert_eq!(labels, ["add", "both", "both.3", "one"]);
    assert_eq!(cloned["labels"]["add"]["count"], cloned["labels"]["both"]["count"]);
    assert_eq!(shop.sql("shop", "select count(*) from marks").trim(), "0");
    let events = std::fs::File::open(shop.path("calls.events")).unwrap();
    let events = pgload::load::events::Events::open(std::io::BufReader::new(events)).unwrap();
    let calls = events.filter(|event| !event.as_ref().unwrap().part).count();
    assert_eq!(calls, 60);

    let lines = shop.run(&["replay", "-w", &file, "--rate", "50", "--duration", "2s", "--warm-up", "1s"]).success();
    let said = stderr(&lines);
    assert!(said.contains("s left, ") && said.contains(" calls/s, p95 "), "{said}");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let shop = Shop::new(0);
    let file = shop.write("one.yaml", "name: one\nstatements: [{ name: one, sql: select 1 }]\n");
    let transactions = shop.write("two.yaml", "name: two\ntransactions: [{ name: t, steps: [{ sql: select 1 }, { sql: select 2 }] }]\n");
    for (more, said) in [
        (vec!["--poisson"], "use --poisson in a closed loop: give a --rate or --stages"),
        (vec!["--overflow", "shed"], "use --overflow in a closed loop"),
        (vec!["--stages", "30s"], "30s:100"),
        (vec!["--stages", "1s:0"], "make calls at a rate of 0"),
        (vec!["--stages", "1s:10", "--rate", "5"], "cannot be used with"),
        (vec!["--events", "nowhere/x"], "write nowhere/x"),
        (vec!["-w", &file, "--events", "x"], "several workloads"),
        (vec!["-w", &transactions, "--pipeline", "2"], "--pipeline"),
    ] {
        let arguments = [&["replay", "-w", &file, "--duration", "1s", "--warm-up", "0s"], more.as_slice()].concat();
        let arguments: Vec<&str> =
            if more.first() == Some(&"--stages") { [&["replay", "-w", &file], more.as_slice()].concat() } else { arguments };
        let output = shop.run(&arguments).code(2);
        assert!(stderr(&output).contains(said), "{said}: {}", stderr(&output));
    }
}
