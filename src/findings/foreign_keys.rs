//! Which index finds the rows that refer to a deleted or changed one.
//!
//! The server looks for them with `where column = $1 and …`, so any index led by all the columns serves, in any order.

use crate::catalog::name::quoted;
use crate::catalog::{Index, Key, Oid, Relations, Table, TableKind};

use super::cover::KeyView;

/// Returns whether an index serves look-ups by these columns.
///
/// A usable B-tree led by them in any order, or a hash index on the only one; not a partial index, unless its predicate
/// leaves out nothing but their NULLs, which no foreign key looks for. `INCLUDE` columns and BRIN do not serve.
pub fn serves(index: &Index, table: &Table, columns: &[String]) -> bool {
    let leading = match index.access_method.as_str() {
        "btree" => columns.len() <= index.keys.len(),
        "hash" => columns.len() == 1,
        _ => false,
    };
    let keys = &index.keys[..columns.len().min(index.keys.len())];
    let holds = |column: &String| keys.iter().any(|key| key.target.column() == Some(column) && same_collation(key, table));
    index.usable() && leading && columns.iter().all(holds) && index.predicate.as_deref().is_none_or(|text| only_not_null(text, columns))
}

/// Returns whether some index of the table serves look-ups by these columns, not counting the index `without`.
///
/// A partitioned table is also served when each of its partitions is.
pub fn served(relations: &Relations<'_>, table: &Table, columns: &[String], without: Option<Oid>) -> bool {
    let own = relations.indexes_of(table.oid).iter().any(|index| Some(index.oid) != without && serves(index, table, columns));
    if own || table.kind != TableKind::Partitioned {
        return own;
    }
    let mut partitions = relations.children_of(table.oid).filter(|child| child.is_partition).peekable();
    partitions.peek().is_some() && partitions.all(|partition| served(relations, partition, columns, without))
}

/// Returns whether a foreign key of the table would lose the only index that finds its rows.
pub fn is_only_support(index: &Index, table: &Table, relations: &Relations<'_>) -> bool {
    let foreign = relations.constraints_of(table.oid).iter().filter(|constraint| constraint.foreign.is_some());
    foreign
        .map(|constraint| &constraint.columns)
        .any(|columns| serves(index, table, columns) && !served(relations, table, columns, Some(index.oid)))
}

/// Returns whether the key can answer `=` under its column's own collation.
fn same_collation(key: &Key, table: &Table) -> bool {
    let Some(column) = key.target.column().and_then(|name| table.column(name)) else {
        return true;
    };
    // The type `name` is the one whose default collation is not the database's.
    column.type_name == "name" || KeyView::of(key).collation == KeyView::on_column(&key.target, column).collation
}

/// Returns whether a predicate says no more than that some of these columns are not NULL.
fn only_not_null(predicate: &str, columns: &[String]) -> bool {
    let plain: String = predicate.chars().filter(|letter| !matches!(letter, '(' | ')')).collect();
    plain.split(" AND ").all(|part| {
        let name = part.trim().strip_suffix(" IS NOT NULL").map(str::trim);
        name.is_some_and(|name| columns.iter().any(|column| quoted(column) == name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index};

    fn serves_columns(columns: &[&str], sketch: Sketch) -> bool {
        let sample = Sample::of([("i", sketch)]);
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        serves(&sample.snapshot.indexes[0], &sample.snapshot.tables[0], &columns)
    }

    #[test]
    fn leading_keys_serve_in_any_order() {
        assert!(serves_columns(&["a"], index("a, b")));
        assert!(serves_columns(&["a", "b"], index("b, a, c")));
        assert!(serves_columns(&["a"], index("a desc")));
        assert!(!serves_columns(&["b"], index("a, b")));
        assert!(!serves_columns(&["a", "b"], index("a, c, b")));
        assert!(!serves_columns(&["a", "b"], index("a")));
    }

    #[test]
    fn included_columns_expressions_and_block_ranges_do_not_serve() {
        assert!(!serves_columns(&["a", "b"], index("a").include(&["b"])));
        assert!(!serves_columns(&["a"], index("abs(a)")));
        assert!(!serves_columns(&["a"], index("a").method("brin")));
        assert!(!serves_columns(&["a"], index("a").method("gin")));
    }

    #[test]
    fn a_hash_index_serves_one_column() {
        assert!(serves_columns(&["a"], index("a").method("hash")));
        assert!(!serves_columns(&["a", "b"], index("a").method("hash")));
    }

    #[test]
    fn a_partial_index_serves_only_when_it_leaves_out_nulls_alone() {
        assert!(serves_columns(&["a"], index("a").predicate("(a IS NOT NULL)")));
        assert!(serves_columns(&["a", "b"], index("a, b").predicate("((a IS NOT NULL) AND (b IS NOT NULL))")));
        assert!(!serves_columns(&["a"], index("a").predicate("(b IS NOT NULL)")));
        assert!(!serves_columns(&["a"], index("a").predicate("((a IS NOT NULL) AND (b > 1))")));
    }

    #[test]
    fn an_invalid_index_and_one_of_another_collation_do_not_serve() {
        assert!(!serves_columns(&["a"], index("a").invalid()));
        assert!(!serves_columns(&["a"], index("a collate C")));
        assert!(serves_columns(&["a"], index("a collate default")));
    }

    #[test]
    fn a_partitioned_table_is_served_by_indexes_on_all_partitions() {
        let mut sample = Sample::new();
        sample.table(1, "root").kind = TableKind::Partitioned;
        for oid in [2, 3] {
            let partition = sample.table(oid, "part");
            (partition.parent, partition.is_partition) = (Some(1), true);
        }
        sample.index("second", index("a").with(|index| index.table = 2));
        let columns = ["a".to_owned()];
        let is_served = |sample: &Sample, without| {
            let relations = Relations::new(&sample.snapshot);
            served(&relations, relations.table(1).unwrap(), &columns, without)
        };
        assert!(!is_served(&sample, None));
        let third = sample.index("third", index("a").with(|index| index.table = 3)).oid;
        assert!(is_served(&sample, None));
        assert!(!is_served(&sample, Some(third)));
    }
}
