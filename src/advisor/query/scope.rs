//! Which table and column a name means.

use std::collections::HashMap;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use crate::catalog::{Oid, Relations, Table};

/// A snapshot's tables by schema and name.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    by_name: HashMap<(&'a str, &'a str), &'a Table>,
}

/// What a table's name means.
pub(super) enum Named<'a> {
    /// A table of the snapshot.
    Table(&'a Table),
    /// A relation of the system: no workload of the application's.
    System,
    /// Neither: a view, a temporary table, a table outside the snapshot.
    Unknown(String),
}

impl<'a> Names<'a> {
    /// Orders the tables for look-up.
    pub(crate) fn new(relations: &Relations<'a>) -> Self {
        let tables = &relations.snapshot.tables;
        Self { by_name: tables.iter().map(|table| ((table.name.schema.as_str(), table.name.name.as_str()), table)).collect() }
    }

    /// Finds a table along a search path.
    pub(super) fn find(&self, name: &ObjectName, schemas: &[String]) -> Named<'a> {
        let parts: Vec<String> = name.0.iter().filter_map(ObjectNamePart::as_ident).map(folded).collect();
        let (schema, table) = match parts.as_slice() {
            [table] => (None, table),
            [.., schema, table] => (Some(schema), table),
            [] => return Named::Unknown(name.to_string()),
        };
        let found = match schema {
            Some(schema) => self.by_name.get(&(schema.as_str(), table.as_str())),
            None => schemas.iter().find_map(|schema| self.by_name.get(&(schema.as_str(), table.as_str()))),
        };
        match (found, schema) {
            (Some(table), _) => Named::Table(table),
            (None, Some(schema)) if schema == "information_schema" || schema.starts_with("pg_") => Named::System,
            // `pg_catalog` is searched whether the path names it or not, and monitoring extensions name their views like it.
            (None, _) if table.starts_with("pg_") => Named::System,
            _ => Named::Unknown(name.to_string()),
        }
    }
}

/// Returns the schemas of a search path as a role sees them: `"$user", public`.
pub(super) fn schemas(search_path: &str, user: &str) -> Vec<String> {
    let path = if search_path.trim().is_empty() { "\"$user\", public" } else { search_path };
    let unquoted = |part: &str| {
        let part = part.trim();
        match part.strip_prefix('"').and_then(|part| part.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => part.to_lowercase(),
        }
    };
    path.split(',')
        .map(unquoted)
        .map(|schema| if schema == "$user" { user.to_owned() } else { schema })
        .filter(|schema| !schema.is_empty())
        .collect()
}

/// Returns an identifier as the catalog stores it.
pub(super) fn folded(identifier: &Ident) -> String {
    if identifier.quote_style.is_some() { identifier.value.clone() } else { identifier.value.to_lowercase() }
}

/// The names a block's `FROM` brings in.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    /// The block, as an index into the query's blocks.
    pub(super) block: usize,
    /// What `FROM` names, in order.
    pub(super) sources: Vec<Source<'a>>,
}

/// One item of `FROM`.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// The name columns are qualified with.
    pub(super) alias: String,
    /// The table and its access in the block; `None` for subqueries, functions and the system's relations.
    pub(super) table: Option<(usize, &'a Table)>,
}

/// What a column's name means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A column of the block's own table.
    Column { access: usize, table: Oid, column: String },
    /// A column of an enclosing block's table.
    Outer,
    /// A column of a subquery or function, or nothing known.
    Other,
}

/// Resolves a column's name, innermost block first; the flag of what was crossed is the caller's to set.
pub(super) fn resolve(scopes: &[Scope<'_>], parts: &[Ident]) -> Meaning {
    let names: Vec<String> = parts.iter().map(folded).collect();
    let (qualifier, column) = match names.as_slice() {
        [column] => (None, column),
        [.., qualifier, column] => (Some(qualifier), column),
        [] => return Meaning::Other,
    };
    for (depth, scope) in scopes.iter().rev().enumerate() {
        let candidates = scope.sources.iter().filter(|source| qualifier.is_none_or(|qualifier| *qualifier == source.alias));
        let mut named = false;
        for source in candidates {
            match source.table {
                Some((access, table)) if table.column(column).is_some() => {
                    return if depth == 0 { Meaning::Column { access, table: table.oid, column: column.clone() } } else { Meaning::Outer };
                }
                Some(_) => {}
                None => named = true,
            }
        }
        // Columns of subqueries are not known by name, so an unmatched name belongs to the nearest one.
        if named {
            return if depth == 0 { Meaning::Other } else { Meaning::Outer };
        }
    }
    Meaning::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_schema_stands_where_the_path_says() {
        assert_eq!(schemas("\"$user\", public", "ann"), ["ann", "public"]);
        assert_eq!(schemas("", "ann"), ["ann", "public"]);
        assert_eq!(schemas("App, \"Odd, no\"", "x").first().map(String::as_str), Some("app"));
    }
}
