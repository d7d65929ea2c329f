//! What a plan says about a statement's time: scans that throw away what they read, sorts that do not fit, wrong estimates.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::text::masked;
use crate::units::{Bytes, grouped};

/// A scan that keeps less than a tenth of what it reads could be served by an index. Convention, not theory.
const KEPT_MAX: f64 = 0.1;

/// 1000 rows: below it a scan of the whole table is what an index would cost, too.
const SCANNED_MIN: f64 = 1000.0;

/// Ten times too many or too few rows is where plans go wrong. Convention, not theory.
const OFF_MIN: f64 = 10.0;

/// 100 rows: below it a wrong estimate changes no plan that matters.
const ROWS_MIN: f64 = 100.0;

/// Bytes the planner adds to each row it sorts: a tuple's header, aligned.
const HEADER_BYTES: f64 = 24.0;

/// Something a plan says, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// `discarding-scan`, `spilling-sort` or `estimate-off`.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// The numbers it rests on.
    pub evidence: Vec<Evidence>,
}

/// A number with its origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Its unit.
    pub unit: Option<String>,
    /// Where it comes from.
    pub source: String,
}

/// What was counted of the statement in the window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observed {
    /// Its calls.
    pub calls: u64,
    /// Rows of a call.
    pub rows_mean: f64,
    /// Temporary blocks a call wrote.
    pub temp_blocks_mean: f64,
}

/// What a plan is judged by.
pub struct Facts<'a> {
    /// What one sort may take.
    pub work_mem: Bytes,
    /// Rows of a table, by schema and name; `None` when not known.
    pub rows: &'a dyn Fn(&str, &str) -> Option<f64>,
    /// What was counted.
    pub observed: Observed,
}

/// Reads a plan as `EXPLAIN (VERBOSE, FORMAT JSON)` prints it; also returns how many rows it expects to return or change.
pub fn plan_notes(document: &Value, facts: &Facts<'_>) -> (Vec<Note>, Option<f64>) {
    let Some(root) = document.get(0).unwrap_or(document).get("Plan") else { return (Vec::new(), None) };
    let mut notes = Vec::new();
    walk(root, Above { workers: 0.0, limit: None, limited: false }, facts, &mut notes);
    (notes, expected(root))
}

/// Returns the rows the statement returns, or changes where it returns none.
fn expected(root: &Value) -> Option<f64> {
    let rows = number(root, "Plan Rows")?;
    let changes = root.get("Node Type").and_then(Value::as_str) == Some("ModifyTable");
    if changes && rows == 0.0 { children(root).first().and_then(|child| number(child, "Plan Rows")) } else { Some(rows) }
}

/// Compares the rows the planner expects with those a call returned; `expected` is averaged over the values it was asked for.
pub fn estimate_note(expected: f64, observed: &Observed) -> Option<Note> {
    let (high, low) = (expected.max(observed.rows_mean), expected.min(observed.rows_mean));
    // The planner never expects less than one row, so nor do we.
    let factor = high / low.max(1.0);
    if observed.calls == 0 || high < ROWS_MIN || factor < OFF_MIN {
        return None;
    }
    let direction = if expected > observed.rows_mean { "more" } else { "fewer" };
    Some(Note {
        kind: "estimate-off".to_owned(),
        message: format!(
            "The planner expects {} rows, a call had {}: {} times {direction} than there are. Analyze its tables, or give columns that depend on \
             each other extended statistics.",
            rows(expected),
            rows(observed.rows_mean),
            grouped(factor.round() as u64)
        ),
        evidence: vec![
            evidence("rows_expected", json!(expected.round()), "rows", "plan on the twin"),
            evidence("rows_per_call", json!(observed.rows_mean), "rows", "pg_stat_statements"),
            evidence("calls", json!(observed.calls), "calls", "pg_stat_statements"),
        ],
    })
}

/// What the nodes above say of one below.
#[derive(Clone, Copy)]
struct Above {
    /// Parallel workers planned.
    workers: f64,
    /// The rows wanted by a limit right above.
    limit: Option<f64>,
    /// Whether a limit above may end the node before its time.
    limited: bool,
}

fn walk(node: &Value, above: Above, facts: &Facts<'_>, notes: &mut Vec<Note>) {
    let kind = node.get("Node Type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "Seq Scan" => notes.extend(scan_note(node, above, facts)),
        "Sort" => notes.extend(sort_note(node, above, facts)),
        _ => {}
    }
    let workers = number(node, "Workers Planned").unwrap_or(above.workers);
    // These take all their input before they give anything.
    let takes_all = matches!(kind, "Sort" | "Aggregate" | "Hash" | "HashAggregate" | "Materialize" | "WindowAgg" | "SetOp" | "ModifyTable");
    let below = Above {
        workers,
        limit: if kind == "Limit" { number(node, "Plan Rows") } else { None },
        limited: kind == "Limit" || (above.limited && !takes_all),
    };
    children(node).iter().for_each(|child| walk(child, below, facts, notes));
}

fn scan_note(node: &Value, above: Above, facts: &Facts<'_>) -> Option<Note> {
    let text = |key: &str| node.get(key).and_then(Value::as_str);
    let (filter, relation) = (text("Filter")?, text("Relation Name")?);
    // The twin puts values from the statistics into the text; they stay there.
    let filter = masked(filter);
    let schema = text("Schema").unwrap_or("public");
    let read = (facts.rows)(schema, relation)?;
    // A parallel node says what one process does; the leader helps, the less the more workers there are.
    let parallel = node.get("Parallel Aware").and_then(Value::as_bool).unwrap_or(false);
    let processes = if parallel { above.workers + (1.0 - 0.3 * above.workers).max(0.0) } else { 1.0 };
    let kept = number(node, "Plan Rows")? * processes.max(1.0);
    if read < SCANNED_MIN || kept > KEPT_MAX * read {
        return None;
    }
    let ends = if above.limited { ", unless its LIMIT ends it earlier" } else { "" };
    Some(Note {
        kind: "discarding-scan".to_owned(),
        message: format!(
            "A sequential scan of {schema}.{relation} reads {} rows and keeps {} of them{ends}: {filter}. Ask for an index: pgload audit.",
            rows(read),
            rows(kept)
        ),
        evidence: vec![
            evidence("rows_read", json!(read.round()), "rows", "pg_class"),
            evidence("rows_kept", json!(kept.round()), "rows", "plan on the twin"),
            Evidence { name: "filter".to_owned(), value: json!(filter), unit: None, source: "plan on the twin".to_owned() },
        ],
    })
}

/// Judges as the planner does: rows times their width and header against `work_mem`, or only those a limit wants.
fn sort_note(node: &Value, above: Above, facts: &Facts<'_>) -> Option<Note> {
    let (input, width) = (number(node, "Plan Rows")?, number(node, "Plan Width")?);
    let sorted = above.limit.map_or(input, |limit| limit.min(input));
    let bytes = sorted * ((width / 8.0).ceil() * 8.0 + HEADER_BYTES);
    if bytes <= facts.work_mem.0 as f64 {
        return None;
    }
    let keys: Vec<&str> = node.get("Sort Key").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let spilled = Bytes::of_pages(facts.observed.temp_blocks_mean.round() as u64);
    let seen = if facts.observed.temp_blocks_mean >= 1.0 {
        format!("; a call wrote {spilled} of temporary files in the window")
    } else {
        "; the window saw no temporary files of it".to_owned()
    };
    Some(Note {
        kind: "spilling-sort".to_owned(),
        message: format!(
            "A sort by {} of about {} does not fit into work_mem ({}){seen}.",
            keys.join(", "),
            Bytes(bytes as u64),
            facts.work_mem
        ),
        evidence: vec![
            evidence("sort_bytes", json!(bytes.round()), "bytes", "plan on the twin"),
            evidence("work_mem", json!(facts.work_mem), "bytes", "pg_settings"),
            evidence("temp_blocks_per_call", json!(facts.observed.temp_blocks_mean), "blocks", "pg_stat_statements"),
        ],
    })
}

fn evidence(name: &str, value: Value, unit: &str, source: &str) -> Evidence {
    Evidence { name: name.to_owned(), value, unit: Some(unit.to_owned()), source: source.to_owned() }
}

fn children(node: &Value) -> &[Value] {
    node.get("Plans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn number(node: &Value, key: &str) -> Option<f64> {
    node.get(key).and_then(Value::as_f64)
}

fn rows(number: f64) -> String {
    if number < 10.0 && number != number.trunc() { format!("{number:.1}") } else { grouped(number.round().max(0.0) as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(observed: Observed) -> Facts<'static> {
        Facts { work_mem: Bytes(4 << 20), rows: &|_, name| (name == "orders").then_some(100_000.0), observed }
    }

    fn kinds(plan: &Value) -> Vec<String> {
        let (notes, _) = plan_notes(&json!([{ "Plan": plan }]), &facts(Observed::default()));
        notes.into_iter().map(|note| note.kind).collect()
    }

    fn scan(rows: f64, filter: bool) -> Value {
        let mut node = json!({"Node Type": "Seq Scan", "Schema": "shop", "Relation Name": "orders", "Plan Rows": rows, "Plan Width": 50});
        if filter {
            node["Filter"] = json!("(orders.user_id = 7)");
        }
        node
    }

    #[test]
    fn a_scan_that_keeps_little_of_a_large_table_is_told_with_its_numbers() {
        let (notes, expected) = plan_notes(&json!([{ "Plan": scan(40.0, true) }]), &facts(Observed::default()));
        assert_eq!(expected, Some(40.0));
        assert_eq!(
            notes[0].message,
            "A sequential scan of shop.orders reads 100 000 rows and keeps 40 of them: (orders.user_id = $1). Ask for an index: pgload audit."
        );
        assert_eq!(notes[0].evidence[0].value, json!(100_000.0));
        assert!(kinds(&scan(10_001.0, true)).is_empty() && kinds(&scan(40.0, false)).is_empty());
        let mut small = scan(1.0, true);
        small["Relation Name"] = json!("tiny");
        assert!(kinds(&small).is_empty());
    }

    #[test]
    fn a_parallel_scan_says_what_one_process_keeps() {
        let gather = |kept: f64| {
            let mut scan = scan(kept, true);
            scan["Parallel Aware"] = json!(true);
            json!({"Node Type": "Gather", "Workers Planned": 2, "Plan Rows": 9, "Plans": [scan]})
        };
        // Two workers and 0.4 of a leader: 4000 each are 9600 of 100 000, 4200 each are 10 080.
        assert_eq!(kinds(&gather(4000.0)), ["discarding-scan"]);
        assert!(kinds(&gather(4200.0)).is_empty());
    }

    #[test]
    fn a_limit_may_end_a_scan_but_not_one_below_a_sort() {
        let limit = |below: Value| json!({"Node Type": "Limit", "Plan Rows": 5, "Plans": [below]});
        let sort = json!({"Node Type": "Sort", "Plan Rows": 40, "Plan Width": 50, "Sort Key": ["a"], "Plans": [scan(40.0, true)]});
        let message = |plan: Value| plan_notes(&json!([{ "Plan": plan }]), &facts(Observed::default())).0.remove(0).message;
        assert!(message(limit(scan(40.0, true))).contains("unless its LIMIT"));
        assert!(!message(limit(sort)).contains("unless its LIMIT"));
    }

    #[test]
    fn a_sort_spills_where_the_planner_says_so_too() {
        let sort = |rows: f64| json!({"Node Type": "Sort", "Plan Rows": rows, "Plan Width": 50, "Sort Key": ["created_at DESC"]});
        // 80 bytes a row: 52 428 rows fit into 4 MiB.
        assert!(kinds(&sort(52_428.0)).is_empty());
        assert_eq!(kinds(&sort(52_429.0)), ["spilling-sort"]);
        let limited = json!({"Node Type": "Limit", "Plan Rows": 10, "Plans": [sort(1e6)]});
        assert!(kinds(&limited).is_empty(), "only ten rows are kept");
        let spilled = Observed { temp_blocks_mean: 1280.0, ..Observed::default() };
        let (notes, _) = plan_notes(&json!([{ "Plan": sort(1e6) }]), &facts(spilled));
        assert!(notes[0].message.contains("wrote 10 MB of temporary files"), "{}", notes[0].message);
    }

    #[test]
    fn an_estimate_is_off_from_ten_times_and_a_hundred_rows() {
        let observed = |rows_mean| Observed { calls: 30, rows_mean, temp_blocks_mean: 0.0 };
        assert!(estimate_note(99.0, &observed(1.0)).is_none() && estimate_note(900.0, &observed(100.0)).is_none());
        assert!(estimate_note(5000.0, &Observed { calls: 0, ..observed(1.0) }).is_none());
        let more = estimate_note(5000.0, &observed(2.0)).expect("off");
        assert!(more.message.starts_with("The planner expects 5 000 rows, a call had 2: 2 500 times more"), "{}", more.message);
        assert!(estimate_note(1.0, &observed(3000.0)).expect("off").message.contains("3 000 times fewer"));
    }

    #[test]
    fn a_write_expects_the_rows_of_what_it_reads() {
        let update = json!([{"Plan": {"Node Type": "ModifyTable", "Operation": "Update", "Plan Rows": 0, "Plans": [scan(40.0, true)]}}]);
        assert_eq!(plan_notes(&update, &facts(Observed::default())).1, Some(40.0));
        assert_eq!(plan_notes(&json!({"no": "plan"}), &facts(Observed::default())), (Vec::new(), None));
    }
}
