//! From the nodes of a plan to the levels of a statement.

use serde_json::Value;

use super::piece::{Spelling, quoted};
use super::{Said, Written, whole};
use crate::advisor::query::names::Names;

/// A plan being written back.
pub(super) struct Writing<'n, 'a> {
    pub(super) names: &'n Names<'a>,
    pub(super) spelling: Spelling,
    pub(super) said: Said,
    /// What its nodes write.
    pub(super) written: Vec<Written>,
    /// Subqueries that got a name here.
    pub(super) numbered: usize,
    /// Whether the outermost limit was met.
    pub(super) limited: bool,
}

/// One `SELECT` in the making.
#[derive(Debug, Default)]
struct Level {
    items: Vec<String>,
    conditions: Vec<String>,
    grouping: Vec<String>,
    /// Whether rows are folded by an aggregate.
    folds: bool,
    order: Vec<String>,
    cut: String,
    ctes: Vec<String>,
}

impl Writing<'_, '_> {
    /// Writes a node and what is below it as a query.
    pub(super) fn level(&mut self, top: &Value) -> Option<String> {
        if kind(top) == "Recursive Union" {
            let arms: Vec<String> = children(top).into_iter().filter_map(|child| self.level(child)).collect();
            return Some(arms.join(" UNION ALL "));
        }
        let mut level = Level::default();
        self.output(top, &mut level);
        let mut node = top;
        let mut above = "";
        while let Some(child) = children(node).first().copied() {
            match kind(node) {
                // A limit below a sort or a group is a subquery's.
                "Limit" if level.cut.is_empty() && level.order.is_empty() && !level.folds => level.cut = self.cut(node),
                "Sort" | "Incremental Sort" => {
                    let own = matches!(above, "WindowAgg" | "Unique");
                    if own || (level.order.is_empty() && !level.folds) {
                        level.order = self.spelling.keys(&node["Sort Key"], &mut level.items);
                    }
                }
                // Workers' partial groups are no level of their own.
                "Aggregate" | "Group" if !level.folds || node["Partial Mode"].as_str() == Some("Partial") => {
                    level.folds = true;
                    self.group(node, &mut level);
                }
                "ModifyTable" => {
                    self.written.extend(Written::of(self.names, &self.said, node));
                    level.items.clear();
                    self.output(child, &mut level);
                }
                "WindowAgg" | "Unique" | "Gather" | "Gather Merge" | "LockRows" | "Materialize" | "Result" | "ProjectSet" => {}
                _ => break,
            }
            self.beside(node, &mut level);
            for condition in ["One-Time Filter", "Filter"] {
                self.read_only(&node[condition], &mut level);
            }
            if !kind(node).starts_with("Gather") {
                above = kind(node);
            }
            node = child;
        }
        let from = self.from(node, &mut level);
        Some(level.written(from))
    }

    fn output(&self, mut node: &Value, level: &mut Level) {
        // An `Append` gives what its arms give.
        while !node["Output"].is_array()
            && let Some(first) = children(node).first().copied()
        {
            node = first;
        }
        for text in node["Output"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let found = self.spelling.item(text, &mut level.items);
            level.items.extend(found);
        }
    }

    fn cut(&mut self, node: &Value) -> String {
        let outermost = !std::mem::replace(&mut self.limited, true);
        if outermost && !self.said.cut.is_empty() {
            return self.said.cut.clone();
        }
        node["Plan Rows"].as_f64().map(|rows| format!(" LIMIT {}", rows.max(1.0) as u64)).unwrap_or_default()
    }

    fn group(&self, node: &Value, level: &mut Level) {
        // Of grouping sets the longest: the others are folded from it.
        let sets = node["Grouping Sets"].as_array().into_iter().flatten();
        let sets = sets.flat_map(|set| [&set["Group Keys"], &set["Hash Keys"]]).flat_map(|keys| keys.as_array().into_iter().flatten());
        let longest = sets.max_by_key(|keys| keys.as_array().map_or(0, Vec::len));
        let keys = longest.unwrap_or(&node["Group Key"]).as_array().into_iter().flatten().filter_map(Value::as_str);
        let found: Vec<String> = keys.filter_map(|key| self.spelling.item(key, &mut level.items)).collect();
        if !found.is_empty() {
            level.grouping = found;
        }
    }

    /// Writes the parts of the plan that run beside a node: subqueries and common table expressions.
    fn beside(&mut self, node: &Value, level: &mut Level) {
        for child in node["Plans"].as_array().into_iter().flatten().filter(|child| !is_main(child)) {
            let name = child["Subplan Name"].as_str().unwrap_or_default();
            let Some(query) = self.level(child) else { continue };
            match name.strip_prefix("CTE ") {
                // One that nobody reads is run all the same when it writes.
                Some(name) if kind(child) == "ModifyTable" => {
                    level.items.push(format!("({query})"));
                    level.ctes.push(format!("{} AS MATERIALIZED (SELECT NULL)", quoted(name)));
                }
                Some(name) => level.ctes.push(format!("{} AS MATERIALIZED ({query})", quoted(name))),
                None => level.items.push(format!("({query})")),
            }
        }
    }

    /// Notes the columns a text names, none of whose conditions an index could serve here.
    fn read_only(&self, text: &Value, level: &mut Level) {
        if let Some(text) = text.as_str() {
            let found = self.spelling.item(text, &mut level.items);
            level.items.extend(found);
        }
    }

    /// Adds a node's conditions of these names.
    fn conditions(&self, node: &Value, names: &[&str], level: &mut Level) -> Vec<String> {
        let texts = names.iter().filter_map(|name| node[*name].as_str());
        texts.flat_map(|text| self.spelling.conjuncts(text, &mut level.items)).collect()
    }

    /// Writes what a node reads as an item of `FROM`, its conditions going to the level's; `None` when it reads nothing.
    fn from(&mut self, node: &Value, level: &mut Level) -> Option<String> {
        self.beside(node, level);
        let alias = node["Alias"].as_str().unwrap_or_default();
        match kind(node) {
            "Nested Loop" | "Hash Join" | "Merge Join" => self.join(node, level),
            "Append" | "Merge Append" => self.appended(node, level),
            "CTE Scan" | "WorkTable Scan" => {
                let found = self.conditions(node, &["Filter"], level);
                level.conditions.extend(found);
                Some(format!("{} AS {}", quoted(node["CTE Name"].as_str()?), quoted(alias)))
            }
            "Subquery Scan" => {
                let query = self.level(children(node).first()?)?;
                let found = self.conditions(node, &["Filter"], level);
                level.conditions.extend(found);
                Some(format!("({query}) AS {}", quoted(alias)))
            }
            "Hash" | "Materialize" | "Memoize" | "Gather" | "Gather Merge" | "Sort" | "Incremental Sort" | "Unique" | "LockRows" => {
                self.from(children(node).first()?, level)
            }
            _ if node["Relation Name"].is_string() && kind(node) != "ModifyTable" => self.scan(node, level),
            // Functions, lists of values: rows of no table.
            _ if children(node).is_empty() => {
                self.read_only(&node["Function Call"], level);
                (!alias.is_empty()).then(|| format!("pgload_rows() AS {}", quoted(alias)))
            }
            "Limit" | "Aggregate" | "Group" | "WindowAgg" | "Result" | "ProjectSet" | "ModifyTable" | "Recursive Union" => {
                let query = self.level(node)?;
                Some(format!("({query}) AS {}", self.numbered()))
            }
            // Set operations, and what later versions may think of.
            _ => self.from(children(node).first()?, level),
        }
    }

    fn numbered(&mut self) -> String {
        self.numbered += 1;
        quoted(&format!("pgload_{}", self.numbered))
    }

    fn scan(&self, node: &Value, level: &mut Level) -> Option<String> {
        let (name, _) = whole(self.names, &self.said, node)?;
        match kind(node) {
            // A sample is drawn from the table itself: no index takes part.
            "Sample Scan" => self.read_only(&node["Filter"], level),
            // The index scans below it have the same conditions once more.
            "Bitmap Heap Scan" => {
                let found = self.conditions(node, &["Recheck Cond", "Filter"], level);
                level.conditions.extend(found);
            }
            _ => {
                let found = self.conditions(node, &["Index Cond", "Filter"], level);
                level.conditions.extend(found);
            }
        }
        if let (Some(distance), true) = (node["Order By"].as_str(), level.order.is_empty()) {
            level.order = self.spelling.item(distance, &mut level.items).into_iter().collect();
        }
        let alias = self.spelling.alias(node["Alias"].as_str().unwrap_or(&name.name));
        Some(format!("{}.{} AS {}", quoted(&name.schema), quoted(&name.name), quoted(alias)))
    }

    fn join(&mut self, node: &Value, level: &mut Level) -> Option<String> {
        let kept = std::mem::take(&mut level.conditions);
        let [outer, inner] = children(node)[..] else { return None };
        let left = self.from(outer, level);
        let left_conditions = std::mem::take(&mut level.conditions);
        let right = self.from(inner, level);
        let right_conditions = std::mem::replace(&mut level.conditions, kept);
        let mut on = self.conditions(node, &["Hash Cond", "Merge Cond", "Join Filter"], level);
        let above = self.conditions(node, &["Filter"], level);
        level.conditions.extend(above);
        let (Some(left), Some(right)) = (left.clone(), right.clone()) else {
            level.conditions.extend(left_conditions.into_iter().chain(right_conditions).chain(on));
            return left.or(right);
        };
        // Conditions below an outer join's filled side are part of its ON; an anti join looks for partners as an outer one does.
        let outer_join = |word: &str, kept: String, filled: String, on: Vec<String>| {
            let on = if on.is_empty() { "TRUE".to_owned() } else { on.join(" AND ") };
            Some(format!("({kept} {word} JOIN {filled} ON {on})"))
        };
        match node["Join Type"].as_str().unwrap_or("Inner") {
            "Left" | "Anti" => {
                level.conditions.extend(left_conditions);
                on.extend(right_conditions);
                outer_join("LEFT", left, right, on)
            }
            "Right" | "Right Anti" => {
                level.conditions.extend(right_conditions);
                on.extend(left_conditions);
                outer_join("LEFT", right, left, on)
            }
            "Full" => {
                level.conditions.extend(left_conditions.into_iter().chain(right_conditions));
                outer_join("FULL", left, right, on)
            }
            // Either side of a semi join may be looked up by the other.
            _ => {
                level.conditions.extend(left_conditions.into_iter().chain(right_conditions).chain(on));
                Some(format!("({left} CROSS JOIN {right})"))
            }
        }
    }

    /// The partitions of one table are that table; anything else is a `UNION ALL`.
    fn appended(&mut self, node: &Value, level: &mut Level) -> Option<String> {
        let arms = children(node);
        let wholes: Vec<Vec<String>> = arms.iter().map(|arm| self.wholes(arm)).collect();
        let first = arms.first()?;
        if arms.len() == 1 || (!wholes[0].is_empty() && wholes.iter().all(|found| *found == wholes[0])) {
            return self.from(first, level);
        }
        let arms: Vec<String> = arms.into_iter().filter_map(|arm| self.level(arm)).map(|query| format!("({query})")).collect();
        Some(format!("({}) AS {}", arms.join(" UNION ALL "), self.numbered()))
    }

    /// Returns the partitioned tables whose partitions a part of the plan reads; none when it reads another relation, too.
    fn wholes(&self, arm: &Value) -> Vec<String> {
        let mut found = Some(Vec::new());
        super::each_node(arm, &mut |node| {
            if let Some((name, _)) = whole(self.names, &self.said, node) {
                let part = node["Relation Name"].as_str() != Some(name.name.as_str());
                found = found.take().filter(|_| part).map(|mut found| {
                    found.push(name.to_string());
                    found
                });
            }
        });
        found.unwrap_or_default()
    }
}

impl Level {
    fn written(self, from: Option<String>) -> String {
        let mut text = String::new();
        if !self.ctes.is_empty() {
            text += &format!("WITH RECURSIVE {} ", self.ctes.join(", "));
        }
        text += "SELECT ";
        text += &if self.items.is_empty() { "NULL".to_owned() } else { self.items.join(", ") };
        for (word, parts, between) in [
            (" FROM ", from.as_slice(), ""),
            (" WHERE ", &self.conditions, " AND "),
            (" GROUP BY ", &self.grouping, ", "),
            (" ORDER BY ", &self.order, ", "),
        ] {
            if !parts.is_empty() {
                text += word;
                text += &parts.join(between);
            }
        }
        text + &self.cut
    }
}

fn kind(node: &Value) -> &str {
    node["Node Type"].as_str().unwrap_or_default()
}

/// Returns the nodes a node's own rows come from.
fn children(node: &Value) -> Vec<&Value> {
    node["Plans"].as_array().into_iter().flatten().filter(|child| is_main(child)).collect()
}

fn is_main(child: &Value) -> bool {
    !matches!(child["Parent Relationship"].as_str(), Some("InitPlan" | "SubPlan"))
}
