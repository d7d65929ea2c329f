//! The statements that mend what a rule found, for a finding's help.
//!
//! For reading and copying; what pgload itself runs is written by `migration`.

use crate::catalog::name::quoted;
use crate::catalog::{Index, Table, TableKind};

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

/// Returns column names as SQL lists them.
pub fn column_list(columns: &[String]) -> String {
    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
}
