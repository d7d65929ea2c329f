//! The statements that mend what a rule found, for a finding's help.
//!
//! For reading and copying; what pgload itself runs is written by `migration`.

use crate::catalog::name::quoted;
use crate::catalog::{Index, Key, KeyTarget, Table, TableKind};

/// Returns the statement that drops an index with the weakest lock possible, and the lock where that is a strong one.
pub fn drop_index(index: &Index, table: &Table) -> String {
    match table.kind {
        TableKind::Partitioned => format!(
            "DROP INDEX {}; -- not concurrently, as it is partitioned: locks the table and its partitions against all use for a moment",
            index.name
        ),
        TableKind::Table | TableKind::MaterializedView => format!("DROP INDEX CONCURRENTLY {};", index.name),
    }
}

/// Returns the statement that adds an index on columns without stopping writes; on a partitioned table, the steps.
pub fn create_index(table: &Table, columns: &[String]) -> String {
    let columns = column_list(columns);
    match table.kind {
        TableKind::Partitioned => format!(
            "CREATE INDEX ON ONLY {} ({columns}); -- then CREATE INDEX CONCURRENTLY on each partition and ALTER INDEX … ATTACH PARTITION",
            table.name
        ),
        TableKind::Table | TableKind::MaterializedView => format!("CREATE INDEX CONCURRENTLY ON {} ({columns});", table.name),
    }
}

/// Returns the statement that makes an index like this one with other keys or another predicate, without stopping writes.
pub fn create_as(index: &Index, table: &Table, keys: &[Key], predicate: Option<&str>) -> String {
    let keys: Vec<String> = keys.iter().map(key).collect();
    let mut text = format!("CREATE INDEX CONCURRENTLY ON {} USING {} ({})", table.name, index.access_method, keys.join(", "));
    if !index.included.is_empty() {
        text.push_str(&format!(" INCLUDE ({})", column_list(&index.included)));
    }
    if !index.options.is_empty() {
        text.push_str(&format!(" WITH ({})", index.options.join(", ")));
    }
    if let Some(predicate) = predicate {
        text.push_str(&format!(" WHERE {predicate}"));
    }
    text + ";"
}

/// Returns the statement that builds an index anew, and the lock where that is a strong one.
pub fn reindex(index: &Index, major: u32) -> String {
    // 12: the first server with REINDEX CONCURRENTLY. It refuses the indexes of exclusion constraints.
    match major >= 12 && !index.exclusion {
        true => format!("REINDEX INDEX CONCURRENTLY {};", index.name),
        false => format!("REINDEX INDEX {}; -- locks the table against writes meanwhile", index.name),
    }
}

/// Returns a key as `CREATE INDEX` takes it.
fn key(key: &Key) -> String {
    let mut text = match &key.target {
        KeyTarget::Column(name) => quoted(name),
        KeyTarget::Expression(expression) => format!("({expression})"),
    };
    if let Some(collation) = &key.collation {
        text.push_str(&format!(" COLLATE {collation}"));
    }
    if !key.opclass_is_default {
        text.push_str(&format!(" {}", key.opclass));
    }
    text.push_str(if key.descending { " DESC" } else { "" });
    match (key.descending, key.nulls_first) {
        (false, true) => text.push_str(" NULLS FIRST"),
        (true, false) => text.push_str(" NULLS LAST"),
        _ => {}
    }
    text
}

/// Returns column names as SQL lists them.
pub fn column_list(columns: &[String]) -> String {
    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
}
