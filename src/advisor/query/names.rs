//! Which relation or function of the snapshot a name means.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use sqlparser::ast::{self, Ident, ObjectName, ObjectNamePart};

use crate::catalog::{Oid, QualifiedName, Relations, Table, View};
use crate::sql::{Parsed, parse};

/// A snapshot's tables, views and functions by name.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    tables: HashMap<(&'a str, &'a str), &'a Table>,
    by_oid: HashMap<Oid, &'a Table>,
    views: HashMap<(&'a str, &'a str), &'a View>,
    /// Volatility by bare name; where functions of one name differ, the least indexable counts.
    functions: HashMap<&'a str, &'a str>,
    /// Names of the user's types: how their text form is read may change.
    types: BTreeSet<&'a str>,
    schemas: BTreeSet<&'a str>,
    /// Each view's query, parsed when first asked for.
    definitions: RefCell<HashMap<Oid, Option<Rc<ast::Query>>>>,
}

/// What a relation's name means.
pub(super) enum Named<'a> {
    /// A table of the snapshot.
    Table(&'a Table),
    /// A view of the snapshot.
    View(&'a View),
    /// A relation of the system: no workload of the application's.
    System,
    /// Neither: a temporary table, a relation outside the snapshot.
    Unknown(String),
}

impl<'a> Names<'a> {
    /// Orders a snapshot's objects for look-up.
    pub(crate) fn new(relations: &Relations<'a>) -> Self {
        let snapshot = relations.snapshot;
        let tables: HashMap<_, _> =
            snapshot.tables.iter().map(|table| ((table.name.schema.as_str(), table.name.name.as_str()), table)).collect();
        let views: HashMap<_, _> = snapshot.views.iter().map(|view| ((view.name.schema.as_str(), view.name.name.as_str()), view)).collect();
        let mut functions: HashMap<&str, &str> = HashMap::new();
        for function in &snapshot.functions {
            let known = functions.entry(function.name.name.as_str()).or_insert(function.volatility.as_str());
            if function.volatility != "i" {
                *known = function.volatility.as_str();
            }
        }
        let types = snapshot.types.iter().map(|known| known.name.name.as_str()).collect();
        let schemas = tables.keys().chain(views.keys()).map(|(schema, _)| *schema).collect();
        let by_oid = snapshot.tables.iter().map(|table| (table.oid, table)).collect();
        Self { tables, by_oid, views, functions, types, schemas, definitions: RefCell::default() }
    }

    /// Finds a relation along a search path.
    pub(super) fn find(&self, name: &ObjectName, path: &[String]) -> Named<'a> {
        let parts: Vec<String> = name.0.iter().filter_map(ObjectNamePart::as_ident).map(folded).collect();
        let (schema, relation) = match parts.as_slice() {
            [relation] => (None, relation),
            [.., schema, relation] => (Some(schema), relation),
            [] => return Named::Unknown(name.to_string()),
        };
        let within = |schema: &String| {
            let key = (schema.as_str(), relation.as_str());
            let view = || self.views.get(&key).map(|view| Named::View(view));
            self.tables.get(&key).map(|table| Named::Table(table)).or_else(view)
        };
        let found = match schema {
            Some(schema) => within(schema),
            None => path.iter().find_map(within),
        };
        match (found, schema) {
            // An extension's views show its own state (pg_stat_statements, pg_buffercache).
            (Some(Named::View(view)), _) if view.extension.is_some() => Named::System,
            (Some(found), _) => found,
            (None, Some(schema)) if schema == "information_schema" || schema.starts_with("pg_") => Named::System,
            // `pg_catalog` is searched whether the path names it or not, and monitoring extensions name their views like it.
            (None, _) if relation.starts_with("pg_") => Named::System,
            _ => Named::Unknown(name.to_string()),
        }
    }

    /// Returns the table of an oid.
    pub(super) fn table(&self, oid: Oid) -> Option<&'a Table> {
        self.by_oid.get(&oid).copied()
    }

    /// Returns the table of that schema and name.
    pub(super) fn table_called(&self, name: &QualifiedName) -> Option<&'a Table> {
        self.tables.get(&(name.schema.as_str(), name.name.as_str())).copied()
    }

    /// Returns the query behind a view; `None` when its text cannot be read.
    pub(super) fn definition(&self, view: &View) -> Option<Rc<ast::Query>> {
        if let Some(known) = self.definitions.borrow().get(&view.oid) {
            return known.clone();
        }
        let parsed = match parse(&view.definition) {
            Parsed::Statement(statement) => match *statement {
                ast::Statement::Query(query) => Some(Rc::new(*query)),
                _ => None,
            },
            _ => None,
        };
        self.definitions.borrow_mut().insert(view.oid, parsed.clone());
        parsed
    }

    /// Returns `provolatile` of a function of the user's; `None` when the snapshot has none of that name.
    pub(super) fn volatility(&self, function: &str) -> Option<&'a str> {
        self.functions.get(function).copied()
    }

    /// Returns whether a type is the user's own.
    pub(super) fn is_user_type(&self, name: &str) -> bool {
        let bare = name.rsplit('.').next().unwrap_or(name).trim_matches('"');
        self.types.contains(bare)
    }

    /// Returns the search paths worth trying: the recorded one, then with each other schema behind it, then with all.
    pub(super) fn paths(&self, search_path: &str, user: &str) -> Vec<Vec<String>> {
        /// Beyond so many, schemas are tenants, and any one tells as much as the others.
        const SCHEMAS_TRIED: usize = 32;
        let recorded = schemas(search_path, user);
        let others: Vec<String> =
            self.schemas.iter().map(|schema| (*schema).to_owned()).filter(|schema| !recorded.contains(schema)).collect();
        let with = |more: &[String]| recorded.iter().chain(more).cloned().collect::<Vec<_>>();
        let mut paths = vec![recorded.clone()];
        paths.extend(others.iter().take(SCHEMAS_TRIED).map(|schema| with(std::slice::from_ref(schema))));
        if others.len() > 1 {
            paths.push(with(&others));
        }
        paths
    }
}

/// Returns the schemas of a search path as a role sees them: `"$user", public`.
pub(super) fn schemas(search_path: &str, user: &str) -> Vec<String> {
    let path = if search_path.trim().is_empty() { "\"$user\", public" } else { search_path };
    let mut schemas = vec![String::new()];
    let mut quoted = false;
    let mut folds = true;
    // A comma or a doubled quote inside quotes belongs to the name.
    for letter in path.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                folds = false;
            }
            ',' if !quoted => {
                schemas.push(String::new());
                folds = true;
            }
            letter if quoted => schemas.last_mut().into_iter().for_each(|schema| schema.push(letter)),
            letter if letter.is_whitespace() => {}
            letter => {
                let folded: String = if folds { letter.to_lowercase().collect() } else { letter.to_string() };
                schemas.last_mut().into_iter().for_each(|schema| schema.push_str(&folded));
            }
        }
    }
    schemas.into_iter().map(|schema| if schema == "$user" { user.to_owned() } else { schema }).filter(|schema| !schema.is_empty()).collect()
}

/// Returns an identifier as the catalog stores it.
pub(super) fn folded(identifier: &Ident) -> String {
    if identifier.quote_style.is_some() { identifier.value.clone() } else { identifier.value.to_lowercase() }
}

/// Returns the last part of a name as the catalog stores it.
pub(super) fn last_part(name: &ObjectName) -> String {
    name.0.last().and_then(ObjectNamePart::as_ident).map(folded).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_schema_stands_where_the_path_says() {
        assert_eq!(schemas("\"$user\", public", "ann"), ["ann", "public"]);
        assert_eq!(schemas("", "ann"), ["ann", "public"]);
        assert_eq!(schemas("App, \"Odd, no\"", "x"), ["app", "Odd, no"]);
    }
}
