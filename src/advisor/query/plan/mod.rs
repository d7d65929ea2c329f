//! Statements the parser refuses, read from the planner's own view of them.
//!
//! `EXPLAIN (VERBOSE, FORMAT JSON)` shows what became of a statement once names, views, functions and syntax were resolved.
//! It is written back as a plain `SELECT` over the same tables, conditions and orders, and that is read like any other
//! text: one reading of conditions, not two.

mod level;
mod piece;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlparser::tokenizer::Token;

use self::level::Writing;
use self::piece::Spelling;
use super::Write;
use super::names::Names;
use super::read::{Reading, read};
use crate::catalog::{Oid, QualifiedName, Table};
use crate::sql;

/// Reads what a statement does from its plan; `None` when the plan names no table or cannot be read.
///
/// The plan is best made without indexes and without values: then each condition stands in it as one, and a parameter as itself.
pub(crate) fn from_plan(names: &Names<'_>, text: &str, plan: &Value, captured: &[Vec<Option<String>>]) -> Option<Reading> {
    let (statement, written) = statement(names, text, plan)?;
    let (mut blocks, mut writes, mut parameters) = match read(names, &statement, "", "", captured) {
        Reading::Understood { blocks, writes, parameters } => (blocks, writes, parameters),
        // Rows given by value: nothing is read, but indexes are written to.
        _ if !written.is_empty() => (Vec::new(), Vec::new(), BTreeMap::new()),
        _ => return None,
    };
    // What stood for a value that the plan computes elsewhere.
    parameters.remove(&0);
    for Written { write, changes } in written {
        let target = blocks.iter_mut().flat_map(|block| &mut block.accesses).find(|access| access.table == write.table);
        target.into_iter().filter(|_| changes).for_each(|access| access.whole_row = true);
        writes.push(write);
    }
    Some(Reading::Understood { blocks, writes, parameters })
}

/// What a plan writes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    write: Write,
    /// Whether it changes rows that are there, which are read whole.
    changes: bool,
}

/// Writes the plan back as a `SELECT`.
fn statement(names: &Names<'_>, text: &str, plan: &Value) -> Option<(String, Vec<Written>)> {
    let top = plan.get(0)?.get("Plan")?;
    let said = Said::of(text);
    let mut spelling = Spelling::default();
    each_node(top, &mut |node| spelling.learn(node, &said, names));
    let mut writing = Writing { names, spelling, said, written: Vec::new(), numbered: 0, limited: false };
    let statement = writing.level(top)?;
    Some((statement, writing.written))
}

fn each_node<'p>(node: &'p Value, visit: &mut dyn FnMut(&'p Value)) {
    visit(node);
    for inner in node["Plans"].as_array().into_iter().flatten() {
        each_node(inner, visit);
    }
}

/// What of a statement's text a plan does not repeat.
#[derive(Debug, Default)]
struct Said {
    /// Its words in lower case.
    words: BTreeSet<String>,
    /// `LIMIT $1 OFFSET $2`, where parameters decide.
    cut: String,
    /// Columns that `SET` names.
    sets: Vec<String>,
}

impl Said {
    fn of(text: &str) -> Self {
        let Some(tokens) = sql::tokens_of(text) else { return Self::default() };
        let word = |at: usize| match tokens.get(at) {
            Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_lowercase(),
            Some(Token::Word(word)) => word.value.clone(),
            _ => String::new(),
        };
        let mut said = Self { words: (0..tokens.len()).map(word).filter(|word| !word.is_empty()).collect(), ..Self::default() };
        for (at, token) in tokens.iter().enumerate().skip(1) {
            let Token::Placeholder(number) = token else { continue };
            match word(at - 1).as_str() {
                "limit" => said.cut += &format!(" LIMIT {number}"),
                "first" | "next" if at > 1 && word(at - 2) == "fetch" => said.cut += &format!(" LIMIT {number}"),
                "offset" => said.cut += &format!(" OFFSET {number}"),
                _ => {}
            }
        }
        let mut depth = 0i32;
        let mut setting = false;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                Token::Word(_) if depth == 0 => match word(at).as_str() {
                    "set" => setting = true,
                    "from" | "where" | "returning" | "when" => setting = false,
                    _ => {}
                },
                _ => {}
            }
            let begins = at > 0 && (tokens[at - 1] == Token::Comma || tokens[at - 1] == Token::LParen || word(at - 1) == "set");
            let name = word(at);
            // Also the columns of `SET (a, b) = …`, and words inside a value's brackets, which are dropped when no column is called so.
            if setting && begins && !name.is_empty() && !said.sets.contains(&name) {
                said.sets.push(name);
            }
        }
        said
    }
}

/// Returns the table of the snapshot a plan's relation is, and for a partition the whole it is part of, unless the text names it.
fn whole<'a>(names: &Names<'a>, said: &Said, node: &Value) -> Option<(QualifiedName, Option<&'a Table>)> {
    let relation = node["Relation Name"].as_str()?;
    let name = QualifiedName::new(node["Schema"].as_str().unwrap_or("public"), relation);
    let Some(mut table) = names.table_called(&name) else { return Some((name, None)) };
    while let Some(parent) = table.parent.filter(|_| table.is_partition && !said.words.contains(table.name.name.as_str()))
        && let Some(found) = names.table(parent)
    {
        table = found;
    }
    Some((table.name.clone(), Some(table)))
}

impl Written {
    /// Returns what a `ModifyTable` node writes; `None` when its table is not in the snapshot.
    fn of(names: &Names<'_>, said: &Said, node: &Value) -> Option<Self> {
        let (_, table) = whole(names, said, node)?;
        let table = table?;
        let operation = node["Operation"].as_str().unwrap_or_default();
        let updates = matches!(operation, "Update" | "Merge") || node["Conflict Resolution"].as_str() == Some("UPDATE");
        let sets = said.sets.iter().filter(|name| updates && table.column(name).is_some()).cloned().collect();
        let oid: Oid = table.oid;
        Some(Self { write: Write { table: oid, sets, inserts: matches!(operation, "Insert" | "Merge") }, changes: operation != "Insert" })
    }
}

#[cfg(test)]
mod tests;
