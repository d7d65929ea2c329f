//! The statements that rebuild a snapshot's schema, as far as planning looks at it. Pure: runs nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::name::{literal, quoted};
use crate::catalog::{
    Column, Constraint, ConstraintKind, Index, Oid, Policy, Relations, Snapshot, Table, TableKind, UserType, UserTypeKind,
};

/// The role that statements on tables with row security are planned as: policies do not bind the superuser.
pub(super) const APPLICATION: &str = "pgload_app";

/// Storage parameters the planner reads.
const OPTIONS: &[&str] = &["fillfactor", "parallel_workers"];

/// One statement that makes one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// What it makes: `table`, `index`, `foreign key`.
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) name: String,
    /// The statement.
    pub(super) sql: String,
    /// Tables whose statements plan differently without it, by the snapshot's oids.
    pub(super) tables: Vec<Oid>,
}

/// What the local server has and has not, found out between the two halves.
#[derive(Debug, Clone, Default)]
pub(super) struct Local {
    /// Type names of columns that it does not know.
    pub(super) unknown_types: BTreeSet<String>,
    /// Its collations by name.
    pub(super) collations: BTreeSet<String>,
    /// Extensions of the snapshot that it has.
    pub(super) extensions: BTreeSet<String>,
    /// Its major version.
    pub(super) major: u32,
}

fn step(kind: &'static str, name: impl Into<String>, sql: String, tables: impl IntoIterator<Item = Oid>) -> Step {
    Step { kind, name: name.into(), sql, tables: tables.into_iter().collect() }
}

/// Returns the roles that policies name.
pub(super) fn roles(snapshot: &Snapshot) -> BTreeSet<&str> {
    snapshot.policies.iter().flat_map(|policy| policy.roles.iter().map(String::as_str)).filter(|role| *role != "public").collect()
}

/// Returns the statements for schemas and extensions.
pub(super) fn foundations(snapshot: &Snapshot) -> Vec<Step> {
    let mut steps: Vec<Step> = schemas(snapshot)
        .into_iter()
        .map(|schema| step("schema", schema, format!("create schema if not exists {}", quoted(schema)), []))
        .collect();
    for extension in snapshot.server.extensions.iter().filter(|extension| extension.name != "plpgsql") {
        let sql = format!("create extension if not exists {} schema {} cascade", quoted(&extension.name), quoted(&extension.schema));
        steps.push(step("extension", extension.name.clone(), sql, []));
    }
    steps
}

fn schemas(snapshot: &Snapshot) -> BTreeSet<&str> {
    let names = snapshot.tables.iter().map(|table| &table.name).chain(snapshot.views.iter().map(|view| &view.name));
    let names = names.chain(snapshot.functions.iter().map(|function| &function.name)).chain(snapshot.types.iter().map(|found| &found.name));
    let names = names.chain(snapshot.extended_statistics.iter().map(|found| &found.name));
    let extensions = snapshot.server.extensions.iter().map(|extension| extension.schema.as_str());
    names.map(|name| name.schema.as_str()).chain(extensions).filter(|schema| !schema.starts_with("pg_")).collect()
}

/// Returns the statements for types, functions and sequences; those that fail are worth trying again after the tables.
pub(super) fn types_and_functions(snapshot: &Snapshot) -> Vec<Step> {
    let own = |extension: &Option<String>| extension.is_none();
    let mut steps: Vec<Step> = snapshot.types.iter().filter(|found| own(&found.extension)).map(user_type).collect();
    for function in snapshot.functions.iter().filter(|function| own(&function.extension)) {
        let name = format!("{}({})", function.name, function.arguments);
        steps.push(step("function", name, function.definition.clone(), []));
    }
    for sequence in sequences(snapshot) {
        steps.push(step("sequence", sequence, format!("create sequence if not exists {sequence}"), []));
    }
    steps
}

fn user_type(found: &UserType) -> Step {
    let name = &found.name;
    let sql = match &found.kind {
        UserTypeKind::Enum { labels } => {
            let labels: Vec<String> = labels.iter().map(|label| literal(label)).collect();
            format!("create type {name} as enum ({})", labels.join(", "))
        }
        UserTypeKind::Domain { base, not_null, collation, checks } => {
            let collation = collation.as_ref().map(|collation| format!(" collate {collation}")).unwrap_or_default();
            let not_null = if *not_null { " not null" } else { "" };
            let checks: String = checks.iter().map(|check| format!(" {check}")).collect();
            format!("create domain {name} as {base}{collation}{not_null}{checks}")
        }
        UserTypeKind::Composite { attributes } => {
            let attributes: Vec<String> = attributes.iter().map(|(name, type_name)| format!("{} {type_name}", quoted(name))).collect();
            format!("create type {name} as ({})", attributes.join(", "))
        }
        UserTypeKind::Range { subtype } => format!("create type {name} as range (subtype = {subtype})"),
    };
    step("type", name.to_string(), sql, [])
}

/// Sequences that defaults name: `INSERT` texts call `nextval` on them.
fn sequences(snapshot: &Snapshot) -> BTreeSet<&str> {
    let defaults = snapshot.tables.iter().flat_map(|table| table.columns.iter().filter_map(|column| column.default.as_deref()));
    defaults.filter_map(|default| default.strip_prefix("nextval('")?.split_once("'::regclass)")).map(|(name, _)| name).collect()
}

/// Returns the statements for tables, constraints, views, indexes, extended statistics and row security, in this order.
pub(super) fn relations(snapshot: &Snapshot, local: &Local) -> Vec<Step> {
    let found = Relations::new(snapshot);
    let absent = |extension: &Option<String>| extension.as_ref().is_none_or(|name| !local.extensions.contains(name));
    let tables: Vec<&Table> = snapshot.tables.iter().filter(|table| absent(&table.extension)).collect();
    let mut steps: Vec<Step> = tables.iter().map(|table| create_table(table, local)).collect();
    steps.extend(tables.iter().flat_map(|table| defaults(table)));
    steps.extend(constraints(&found, &tables, ConstraintKind::Check));
    steps.extend(tables.iter().filter_map(|table| attach(&found, table)));
    let mut indexes: Vec<&Index> = snapshot.indexes.iter().filter(|index| absent(&index.extension)).collect();
    // Partitions' indexes are there before their parents look for them. Among a table's own the order is that of their oids:
    // where two indexes cost the same, the planner's choice follows it.
    indexes.sort_by_key(|index| (std::cmp::Reverse(found.table(index.table).map_or(0, |table| depth(&found, table))), index.oid));
    steps.extend(indexes.into_iter().filter_map(|index| create_index(&found, index)));
    steps.extend(constraints(&found, &tables, ConstraintKind::Foreign));
    for view in snapshot.views.iter().filter(|view| absent(&view.extension)) {
        let columns: Vec<String> = view.columns.iter().map(|column| quoted(column)).collect();
        let options = if view.options.is_empty() { String::new() } else { format!(" with ({})", view.options.join(", ")) };
        let sql = format!("create view {} ({}){options} as {}", view.name, columns.join(", "), view.definition.trim_end_matches(';'));
        steps.push(step("view", view.name.to_string(), sql, []));
    }
    for statistics in &snapshot.extended_statistics {
        steps.push(step("extended statistics", statistics.name.to_string(), statistics.definition.clone(), [statistics.table]));
    }
    for table in tables.iter().filter(|table| table.row_security) {
        let sql = format!("alter table {} enable row level security", table.name);
        steps.push(step("row security", table.name.to_string(), sql, [table.oid]));
    }
    steps.extend(snapshot.policies.iter().filter_map(|policy| create_policy(policy, found.table(policy.table)?)));
    steps
}

/// Returns the statements for the check constraints or foreign keys of tables.
fn constraints(found: &Relations<'_>, tables: &[&Table], kind: ConstraintKind) -> Vec<Step> {
    let known: BTreeSet<Oid> = found.snapshot.constraints.iter().map(|constraint| constraint.oid).collect();
    let of_kind = |table: &Table| found.constraints_of(table.oid).iter().copied().filter(|constraint| constraint.kind == kind);
    // A partition's foreign key comes with its parent's.
    let inherited = |constraint: &Constraint| kind == ConstraintKind::Foreign && constraint.parent.is_some_and(|oid| known.contains(&oid));
    let add = |table: &&Table| {
        let wanted = of_kind(table).filter(|constraint| !inherited(constraint));
        wanted.map(|constraint| add_constraint(table, constraint)).collect::<Vec<_>>()
    };
    tables.iter().flat_map(add).collect()
}

fn add_constraint(table: &Table, constraint: &Constraint) -> Step {
    let sql = format!("alter table {} add constraint {} {}", table.name, quoted(&constraint.name), constraint.definition);
    let kind = match constraint.kind {
        ConstraintKind::Check => "check constraint",
        ConstraintKind::Foreign => "foreign key",
        _ => "constraint",
    };
    step(kind, format!("{} of {}", constraint.name, table.name), sql, [table.oid])
}

/// Returns the statement for an index, or for the key it stands behind; `None` when its table is not in the snapshot.
fn create_index(found: &Relations<'_>, index: &Index) -> Option<Step> {
    let table = found.table(index.table)?;
    let key = index.constraint.as_ref().and_then(|name| found.constraints_of(table.oid).iter().find(|constraint| constraint.name == *name));
    if let Some(key) = key {
        return Some(add_constraint(table, key));
    }
    // Without ONLY, it takes the partitions' equal indexes, which are there already, for its own.
    let partitioned = table.kind == TableKind::Partitioned;
    let sql = if partitioned { index.definition.replacen(" ON ONLY ", " ON ", 1) } else { index.definition.clone() };
    Some(step("index", index.name.to_string(), sql, [index.table]))
}

/// Returns the statements for a table's column defaults: an `INSERT` pays for those it leaves out.
fn defaults(table: &Table) -> Vec<Step> {
    let of = |column: &Column| {
        let action = match &column.default {
            // A partition must not have an identity of its own.
            None if column.identity && table.parent.is_none() => "add generated by default as identity".to_owned(),
            Some(expression) if !column.generated => format!("set default {expression}"),
            _ => return None,
        };
        let sql = format!("alter table {} alter column {} {action}", table.name, quoted(&column.name));
        Some(step("default", format!("{}.{}", table.name, quoted(&column.name)), sql, [table.oid]))
    };
    table.columns.iter().filter_map(of).collect()
}

fn create_table(table: &Table, local: &Local) -> Step {
    let columns: Vec<String> = table.columns.iter().map(|column| column_definition(column, local)).collect();
    let partition_by = match (table.kind, &table.partition_key) {
        (TableKind::Partitioned, Some(key)) => format!(" partition by {key}"),
        _ => String::new(),
    };
    let options: Vec<String> = table
        .options
        .iter()
        .filter_map(|option| option.split_once('='))
        .filter(|(name, _)| OPTIONS.contains(name) && table.kind != TableKind::Partitioned)
        .map(|(name, value)| format!("{name} = {}", literal(value)))
        .collect();
    let options = if options.is_empty() { String::new() } else { format!(" with ({})", options.join(", ")) };
    let sql = format!("create table {} ({}){partition_by}{options}", table.name, columns.join(", "));
    step("table", table.name.to_string(), sql, [table.oid])
}

fn column_definition(column: &Column, local: &Local) -> String {
    let mut text = format!("{} {}", quoted(&column.name), type_of(column, local));
    if let Some(collation) = column.collation.as_deref().and_then(|collation| collation_of(collation, local)) {
        text.push_str(&format!(" collate {collation}"));
    }
    // The planner puts a virtual column's expression in its place; a stored one is a column like any other.
    if let (true, true, Some(expression)) = (column.generated_virtual, local.major >= 18, &column.default) {
        text.push_str(&format!(" generated always as ({expression}) virtual"));
    }
    if column.not_null {
        text.push_str(" not null");
    }
    text
}

fn type_of<'a>(column: &'a Column, local: &Local) -> &'a str {
    if local.unknown_types.contains(&column.type_name) { "text" } else { &column.type_name }
}

/// Returns the collation as this server spells it: its own, else ICU's of the same language; `None` when it has neither.
pub(super) fn collation_of(collation: &str, local: &Local) -> Option<String> {
    let name = collation.rsplit_once('.').filter(|(schema, _)| schema.ends_with("pg_catalog")).map_or(collation, |(_, name)| name);
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    let icu = format!("{}-x-icu", name.split(['.', '@']).next().unwrap_or_default().replace('_', "-"));
    [name, icu.as_str()].into_iter().find(|name| local.collations.contains(*name)).map(|name| format!("pg_catalog.{}", quoted(name)))
}

fn attach(found: &Relations<'_>, table: &Table) -> Option<Step> {
    let parent = found.table(table.parent?)?;
    let sql = match (&table.partition_bound, table.is_partition) {
        (Some(bound), true) => format!("alter table {} attach partition {} {bound}", parent.name, table.name),
        (_, false) => format!("alter table {} inherit {}", table.name, parent.name),
        (None, true) => return None,
    };
    Some(step("partition", table.name.to_string(), sql, [parent.oid, table.oid]))
}

fn depth(found: &Relations<'_>, table: &Table) -> usize {
    std::iter::successors(Some(table), |table| found.table(table.parent?)).take(32).count()
}

fn create_policy(policy: &Policy, table: &Table) -> Option<Step> {
    let command = match policy.command.as_str() {
        "r" => "select",
        "a" => "insert",
        "w" => "update",
        "d" => "delete",
        _ => "all",
    };
    let kind = if policy.permissive { "permissive" } else { "restrictive" };
    let role = |role: &String| if role == "public" { role.clone() } else { quoted(role) };
    let roles: Vec<String> = policy.roles.iter().map(role).collect();
    let roles = if roles.is_empty() { "public".to_owned() } else { roles.join(", ") };
    let using = policy.using.as_ref().map(|using| format!(" using ({using})")).unwrap_or_default();
    let check = policy.check.as_ref().map(|check| format!(" with check ({check})")).unwrap_or_default();
    let name = format!("{} of {}", policy.name, table.name);
    let sql = format!("create policy {} on {} as {kind} for {command} to {roles}{using}{check}", quoted(&policy.name), table.name);
    Some(step("policy", name, sql, [table.oid]))
}

/// Returns what the local server lacks and each table feels: unknown types and collations.
pub(super) fn replaced(snapshot: &Snapshot, local: &Local) -> BTreeMap<(&'static str, String), BTreeSet<Oid>> {
    let mut lacking: BTreeMap<(&'static str, String), BTreeSet<Oid>> = BTreeMap::new();
    for table in &snapshot.tables {
        for column in &table.columns {
            if local.unknown_types.contains(&column.type_name) {
                lacking.entry(("type", column.type_name.clone())).or_default().insert(table.oid);
            }
            if let Some(collation) = column.collation.as_ref().filter(|collation| collation_of(collation, local).is_none()) {
                lacking.entry(("collation", collation.clone())).or_default().insert(table.oid);
            }
        }
    }
    lacking
}

/// Returns the grants that let [`APPLICATION`] and the roles of policies use every table.
pub(super) fn grants(snapshot: &Snapshot) -> Vec<Step> {
    let mut names: Vec<String> = roles(snapshot).into_iter().map(quoted).collect();
    names.push(APPLICATION.to_owned());
    let names = names.join(", ");
    let grant = |schema: &str| {
        let schema_name = quoted(schema);
        let sql = format!(
            "grant usage on schema {schema_name} to {names}; grant all on all tables in schema {schema_name} to {names}; \
             grant all on all sequences in schema {schema_name} to {names}"
        );
        step("grants", schema, sql, [])
    };
    schemas(snapshot).into_iter().map(grant).collect()
}
