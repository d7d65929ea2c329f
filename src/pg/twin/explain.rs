//! What `EXPLAIN (FORMAT JSON)` answers, reduced to cost, rows, shape and indexes.

use std::fmt::Write as _;

use serde::Deserialize;

/// A plan of the server's.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The total cost, in planner units.
    pub cost: f64,
    /// The rows expected.
    pub rows: f64,
    /// One line a node, indented by its depth: node, join type, relation, index. Equal texts are equal plans.
    pub shape: String,
    /// Schema and name of the indexes used, each once.
    pub indexes: Vec<(String, String)>,
}

/// What pricing wants of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Priced {
    /// The total cost, in planner units.
    pub(super) cost: f64,
    /// Schema and name of the indexes used; the schema is empty where the server was not asked for it.
    pub(super) indexes: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Plan")]
    plan: Node,
}

#[derive(Deserialize)]
struct Node {
    #[serde(rename = "Node Type")]
    kind: String,
    #[serde(rename = "Total Cost")]
    cost: f64,
    #[serde(rename = "Plan Rows")]
    rows: f64,
    #[serde(rename = "Join Type")]
    join: Option<String>,
    #[serde(rename = "Strategy")]
    strategy: Option<String>,
    #[serde(rename = "Scan Direction")]
    direction: Option<String>,
    #[serde(rename = "Schema")]
    schema: Option<String>,
    #[serde(rename = "Relation Name")]
    relation: Option<String>,
    #[serde(rename = "Alias")]
    alias: Option<String>,
    #[serde(rename = "Index Name")]
    index: Option<String>,
    #[serde(rename = "Plans", default)]
    plans: Vec<Node>,
}

impl Explained {
    /// Reads the answer of `EXPLAIN (FORMAT JSON, VERBOSE)`; `None` when it is not one.
    pub fn read(json: &str) -> Option<Self> {
        read(json)
    }
}

/// Reads the server's answer; `None` when it is not one.
pub(super) fn read(json: &str) -> Option<Explained> {
    let plan = serde_json::from_str::<Vec<Answer>>(json).ok()?.pop()?.plan;
    let mut explained = Explained { cost: plan.cost, rows: plan.rows, shape: String::new(), indexes: Vec::new() };
    walk(&plan, 0, "", &mut explained);
    explained.indexes.sort_unstable();
    explained.indexes.dedup();
    Some(explained)
}

/// Reads of the server's answer what pricing wants; `None` when it is not one.
pub(super) fn price(json: &str) -> Option<Priced> {
    let plan = serde_json::from_str::<Vec<Answer>>(json).ok()?.pop()?.plan;
    let mut priced = Priced { cost: plan.cost, indexes: Vec::new() };
    indexes(&plan, "", &mut priced.indexes);
    Some(priced)
}

fn indexes(node: &Node, schema: &str, into: &mut Vec<(String, String)>) {
    let schema = node.schema.as_deref().unwrap_or(schema);
    into.extend(node.index.iter().map(|index| (schema.to_owned(), index.clone())));
    node.plans.iter().for_each(|inner| indexes(inner, schema, into));
}

fn walk(node: &Node, depth: usize, schema: &str, into: &mut Explained) {
    // A bitmap index scan names neither table nor schema: they are its parent's, and an index lives in its table's schema.
    let schema = node.schema.as_deref().unwrap_or(schema);
    let _ = write!(into.shape, "{:width$}{}", "", node.kind, width = depth * 2);
    for word in [&node.join, &node.strategy, &node.direction, &node.relation, &node.alias, &node.index].into_iter().flatten() {
        let _ = write!(into.shape, " {word}");
    }
    into.shape.push('\n');
    if let Some(index) = &node.index {
        into.indexes.push((schema.to_owned(), index.clone()));
    }
    for inner in &node.plans {
        walk(inner, depth + 1, schema, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_scan_takes_its_schema_from_the_heap_scan() {
        let json = r#"[{"Plan": {"Node Type": "Bitmap Heap Scan", "Total Cost": 12.5, "Plan Rows": 3, "Schema": "shop",
            "Relation Name": "orders", "Alias": "o", "Output": ["id"],
            "Plans": [{"Node Type": "Bitmap Index Scan", "Total Cost": 4.1, "Plan Rows": 3, "Index Name": "orders_at"}]}}]"#;
        let explained = read(json).expect("a plan");
        assert_eq!((explained.cost, explained.rows), (12.5, 3.0));
        assert_eq!(explained.indexes, [("shop".to_owned(), "orders_at".to_owned())]);
        assert_eq!(explained.shape, "Bitmap Heap Scan orders o\n  Bitmap Index Scan orders_at\n");
    }

    #[test]
    fn a_price_names_indexes_with_their_schema_where_it_is_said() {
        let json = |schema: &str| {
            format!(
                r#"[{{"Plan": {{"Node Type": "Nested Loop", "Total Cost": 12.5, "Plan Rows": 3, "Plans": [
                    {{"Node Type": "Index Scan", "Total Cost": 4.1, "Plan Rows": 3, {schema} "Index Name": "orders_at"}}]}}}}]"#
            )
        };
        let index = |schema: &str| vec![(schema.to_owned(), "orders_at".to_owned())];
        assert_eq!(price(&json("")), Some(Priced { cost: 12.5, indexes: index("") }));
        assert_eq!(price(&json(r#""Schema": "shop","#)), Some(Priced { cost: 12.5, indexes: index("shop") }));
    }

    #[test]
    fn what_is_no_plan_is_none() {
        assert_eq!((read("[]"), price("[]")), (None, None));
        assert_eq!(read("{}"), None);
    }
}
