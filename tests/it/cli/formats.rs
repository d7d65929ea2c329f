//! One audit in every format, as whoever reads that format needs it.

use serde_json::Value;

use super::audited::{audit, audited};

fn printed(arguments: &[&str]) -> String {
    let output =
        audited().run(&[&["audit", "--snapshot", "audited.json", "--timestamp", "2026-11-23T09:45:00Z"], arguments].concat()).success();
    String::from_utf8(output.get_output().stdout.clone()).unwrap()
}

/// Text as a reader takes it: without markup, lines or the spaces that keep numbers together.
fn plain(text: &str) -> String {
    let mut tagless = String::new();
    let mut inside = false;
    for letter in text.chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => inside = false,
            letter if !inside => tagless.push(if letter == '\u{a0}' || letter == '\u{202f}' { ' ' } else { letter }),
            _ => {}
        }
    }
    tagless.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_format_for_people_says_all_that_a_dba_asks_of_a_proposal() {
    let audit = audit(&[]);
    let proposals = audit["proposals"].as_array().unwrap();
    let create = proposals.iter().find(|proposal| proposal["action"] == "create").unwrap();
    let drop = proposals.iter().find(|proposal| proposal["action"] == "drop").unwrap();
    // Of two copies the one stays that was scanned more, whichever the planner took.
    assert!(["meetings_prospect_again", "idx_meetings_prospect_id"].contains(&drop["name"].as_str().unwrap()), "{drop:#}");
    for format in ["table", "markdown", "html"] {
        let raw = printed(&["--format", format]);
        // A comparison in a statement would look like a tag.
        let text = if format == "html" { plain(&raw) } else { plain(&raw.replace('<', " ")) };
        let says = |part: &str| assert!(text.contains(part), "{format} lacks {part:?}: {text}");
        for name in [create, drop].map(|proposal| proposal["name"].as_str().unwrap()) {
            says(name);
        }
        for part in [
            "Advice covers",
            "Plans priced by",
            "statistics twin",
            "Size",
            "expected",
            "Build time",
            "Workload cost",
            "Workload time",
            "measured",
            "Statements helped",
            "Write cost",
            "HOT updates lost",
            "Confidence",
            "high",
            "Calls",
            "CREATE INDEX CONCURRENTLY",
            "DROP INDEX CONCURRENTLY",
            "freed",
            "Writes spared",
            "has the same definition and stays",
            "Indexes to drop",
            "Not proposed",
            "already covered by",
            "Migrations",
            ".down.sql",
        ] {
            says(part);
        }
        assert!(!text.contains("cost -"), "{format}: what is spared is no negative cost");
        let calls = create["statements"][0]["calls"].as_u64().unwrap().to_string();
        says(&calls);
    }
    let html = printed(&["--format", "html"]);
    assert!(html.contains("<!doctype html>") || html.contains("<!DOCTYPE html>"));
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("<script src"), "one page that loads nothing");
}

#[test]
fn drops_have_a_migration_of_their_own() {
    let shop = audited();
    let audit = audit(&["--out", "own-files"]);
    let migrations = audit["migrations"].as_array().unwrap();
    let of = |action: &str| migrations.iter().filter(|migration| migration["action"] == action).collect::<Vec<_>>();
    assert!(!of("create").is_empty() && !of("drop").is_empty(), "{migrations:#?}");
    for migration in migrations {
        let folder = shop.path(migration["folder"].as_str().unwrap());
        let read = |key: &str| std::fs::read_to_string(folder.join(migration[key].as_str().unwrap())).unwrap();
        // What begins a line is run; the check that follows speaks of either in its messages.
        let runs = |text: &str, what: &str| text.lines().any(|line| line.starts_with(what));
        let (up, back) = (read("file"), read("down_file"));
        let (creates, drops) = ("CREATE INDEX CONCURRENTLY IF NOT EXISTS", "DROP INDEX CONCURRENTLY IF EXISTS");
        let (does, undoes) = if migration["action"] == "drop" { (drops, creates) } else { (creates, drops) };
        assert!(runs(&up, does) && !runs(&up, undoes), "{up}");
        assert!(runs(&back, undoes) && !runs(&back, does), "{back}");
    }
}

/// SARIF 2.1.0, the parts of it that are used: which properties each object has, and of which type (its sections are named).
#[test]
fn sarif_is_what_the_standard_says() {
    let log: Value = serde_json::from_str(&printed(&["--format", "sarif", "--out", "sarif-files"])).unwrap();
    let only = |object: &Value, known: &[&str]| {
        let names: Vec<&String> = object.as_object().unwrap().keys().collect();
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?} of {object:#}");
    };
    only(&log, &["$schema", "version", "runs"]); // 3.13
    assert_eq!((log["version"].as_str(), log["runs"].as_array().unwrap().len()), (Some("2.1.0"), 1));
    let run = &log["runs"][0];
    only(run, &["tool", "results"]); // 3.14
    let driver = &run["tool"]["driver"];
    only(driver, &["name", "version", "rules", "informationUri", "semanticVersion"]); // 3.19
    assert!(driver["name"].is_string() && driver["version"].is_string());
    let rules = driver["rules"].as_array().unwrap();
    for rule in rules {
        only(rule, &["id", "shortDescription"]); // 3.49
        assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string(), "{rule}");
    }
    let results = run["results"].as_array().unwrap();
    let audit = audit(&[]);
    assert_eq!(results.len(), audit["findings"].as_array().unwrap().len() + audit["proposals"].as_array().unwrap().len());
    let mut written = 0;
    for result in results {
        only(result, &["ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints", "properties"]); // 3.27
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
        only(&result["message"], &["text"]); // 3.11
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        for location in result["locations"].as_array().unwrap() {
            only(location, &["logicalLocations", "physicalLocation"]); // 3.28
            for logical in location["logicalLocations"].as_array().unwrap() {
                only(logical, &["name", "fullyQualifiedName", "kind"]); // 3.33
                assert!(logical.as_object().unwrap().values().all(Value::is_string), "{logical}");
            }
            if let Some(physical) = location.get("physicalLocation") {
                only(physical, &["artifactLocation", "region"]); // 3.29
                let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
                assert!(audited().path(uri).exists() && physical["region"]["startLine"] == 1, "{physical}");
                written += 1;
            }
        }
        assert!(result["partialFingerprints"].as_object().unwrap().values().all(Value::is_string)); // 3.27.17
        assert!(result["properties"].is_object()); // 3.8
    }
    assert_eq!(written, audit["proposals"].as_array().unwrap().len(), "each proposal stands at its file");
}
