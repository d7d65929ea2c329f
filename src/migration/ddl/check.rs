//! The block behind a `CREATE INDEX … IF NOT EXISTS`, which looks at the name only.
//!
//! An interrupted build leaves an invalid index that has the name, is skipped by the next run and serves no query; a
//! different index under the same name is skipped just as silently. The block raises in both cases. It reads catalogs
//! alone and works on 14 and later.

use super::{Build, create_index, shape};
use crate::advisor::Candidate;
use crate::catalog::name::{literal, quoted};
use crate::catalog::{KeyTarget, QualifiedName};

/// Returns a `DO` statement, without a semicolon, that raises unless the index exists, is valid and is defined so.
pub fn assert_index(index: &Candidate, name: &str) -> String {
    block(&body(index, name, true))
}

/// Returns a `DO` statement, without a semicolon, that raises unless the index exists and is defined so.
///
/// For the index of a partitioned table, which is not valid before those of all partitions are attached.
pub fn assert_defined(index: &Candidate, name: &str) -> String {
    block(&body(index, name, false))
}

/// Puts a PL/pgSQL body into a `DO` statement.
pub(super) fn block(body: &str) -> String {
    let tag = tag_for(body);
    format!("DO {tag}\n{body}\n{tag}")
}

/// A dollar quote that the text does not hold: a predicate may compare with any string.
fn tag_for(body: &str) -> String {
    let mut tag = "$pgload$".to_owned();
    let mut number = 1;
    while body.contains(&tag) {
        number += 1;
        tag = format!("$pgload{number}$");
    }
    tag
}

fn body(index: &Candidate, name: &str, built: bool) -> String {
    let qualified = &QualifiedName::new(index.table_name.schema.clone(), name);
    let plain = literal(&create_index(index, name, Build::Plain));
    let shown = literal(&qualified.to_string());
    let table = literal(&index.table_name.to_string());
    let options: Vec<String> =
        index.keys.iter().map(|key| (u8::from(key.descending) + 2 * u8::from(key.nulls_first)).to_string()).collect();
    // Of a partitioned table's index only the definition is known at this point.
    let usable = if built { "i.indisvalid AND i.indisready AND i.indislive" } else { "i.indislive" };
    let drop_hint = literal(&format!("{}; then run this migration again.", super::drop_index(qualified, Build::Concurrently)));
    format!(
        "DECLARE
    wanted CONSTANT text := {plain};
    wanted_columns text[] := {columns};
    wanted_predicate text := {predicate};
    wanted_classes CONSTANT text[] := {classes};
    wanted_collations CONSTANT text[] := {collations}; -- NULL: the column's own
    present record;
BEGIN
    SELECT i.indrelid = {table}::pg_catalog.regclass AS on_table,
           {usable} AS usable,
           am.amname = {method} AND NOT i.indisunique AND i.indnkeyatts = {key_count} AND i.indnatts = {column_count}
               AND i.indoption::text = {options} -- 1: DESC, 2: NULLS FIRST
               AND NOT EXISTS (
                   SELECT FROM pg_catalog.generate_series(1, i.indnkeyatts::integer) AS k
                     JOIN pg_catalog.pg_opclass AS opc ON opc.oid = i.indclass[k - 1]
                     LEFT JOIN pg_catalog.pg_attribute AS att ON att.attrelid = i.indrelid AND att.attnum = i.indkey[k - 1]
                    WHERE (wanted_classes[k] IS NULL AND NOT opc.opcdefault)
                       OR opc.opcname <> wanted_classes[k]
                       OR coalesce(wanted_collations[k]::pg_catalog.regcollation, att.attcollation) <> i.indcollation[k - 1]
               ) AS same_shape,
           ARRAY(
               SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, true)
                 FROM pg_catalog.generate_series(1, i.indnatts::integer) AS k
                ORDER BY k
           ) AS columns,
           pg_catalog.pg_get_expr(i.indpred, i.indrelid, true) AS predicate,
           pg_catalog.pg_get_indexdef(i.indexrelid) AS definition
      INTO present
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
      LEFT JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
     WHERE n.nspname = {schema} AND c.relname = {bare};
    IF NOT FOUND THEN
        RAISE EXCEPTION 'index % does not exist', {shown} USING ERRCODE = 'undefined_object';
    END IF;
    IF present.definition IS NULL THEN
        RAISE EXCEPTION '% exists and is not an index, wanted: %', {shown}, wanted USING ERRCODE = 'duplicate_table';
    END IF;
{spell}    IF present.on_table AND present.same_shape AND present.columns = wanted_columns
        AND present.predicate IS NOT DISTINCT FROM wanted_predicate
    THEN
        IF NOT present.usable THEN
            RAISE EXCEPTION 'index % is not valid: its build was interrupted', {shown}
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = {drop_hint};
        END IF;
    ELSE
        RAISE EXCEPTION 'index % has another definition, present: %, wanted: %', {shown}, present.definition, wanted
            USING ERRCODE = 'duplicate_table', HINT = 'Rename or drop the index that has the name.';
    END IF;
END",
        columns = columns(index),
        predicate = index.predicate.as_deref().map_or_else(|| "NULL".to_owned(), |text| literal(text.trim())),
        classes = classes(index),
        collations = collations(index),
        method = literal(&index.method),
        key_count = index.keys.len(),
        column_count = index.keys.len() + index.included.len(),
        options = literal(&options.join(" ")),
        schema = literal(&qualified.schema),
        bare = literal(name),
        spell = spell(index),
    )
}

fn columns(index: &Candidate) -> String {
    // quote_ident and not our own quoting: the list of keywords differs between server versions.
    let column = |name: &str| format!("pg_catalog.quote_ident({})", literal(name));
    let keys = index.keys.iter().map(|key| match &key.target {
        KeyTarget::Column(name) => column(name),
        KeyTarget::Expression(text) => literal(text.trim()),
    });
    let all: Vec<String> = keys.chain(index.included.iter().map(|name| column(name))).collect();
    format!("ARRAY[{}]", all.join(", "))
}

/// The bare name of each key's operator class; NULL stands for its type's default.
fn classes(index: &Candidate) -> String {
    let one = |opclass: &Option<String>| match opclass {
        Some(name) => literal(name.rsplit('.').next().unwrap_or(name).trim_matches('"')),
        None => "NULL".to_owned(),
    };
    let all: Vec<String> = index.keys.iter().map(|key| one(&key.opclass)).collect();
    format!("ARRAY[{}]::text[]", all.join(", "))
}

/// Each key's collation; NULL stands for its column's own.
fn collations(index: &Candidate) -> String {
    let all: Vec<String> = index.keys.iter().map(|key| key.collation.as_deref().map_or_else(|| "NULL".to_owned(), literal)).collect();
    format!("ARRAY[{}]::text[]", all.join(", "))
}

/// The server prints an expression its own way (`a in (1, 2)` becomes `a = ANY (ARRAY[1, 2])`), and no function
/// prints a text the way it would. So where the words differ the block builds the wanted index on an empty copy of the
/// table and reads its words; where they agree, which is usual, nothing is built and no right to do so is needed.
fn spell(index: &Candidate) -> String {
    let expressions = index.keys.iter().any(|key| key.target.column().is_none());
    if !expressions && index.predicate.is_none() {
        return String::new();
    }
    format!(
        "    IF present.columns IS DISTINCT FROM wanted_columns OR present.predicate IS DISTINCT FROM wanted_predicate THEN
        -- The server spells expressions its own way: read its words for ours off an empty copy of the table.
        CREATE TEMPORARY TABLE pgload_wanted (LIKE {table});
        CREATE INDEX {index_name} ON pg_temp.pgload_wanted {shape};
        SELECT ARRAY(
                   SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, true)
                     FROM pg_catalog.generate_series(1, i.indnatts::integer) AS k
                    ORDER BY k
               ),
               pg_catalog.pg_get_expr(i.indpred, i.indrelid, true)
          INTO wanted_columns, wanted_predicate
          FROM pg_catalog.pg_index AS i
         WHERE i.indexrelid = 'pg_temp.pgload_wanted_index'::pg_catalog.regclass;
        DROP TABLE pg_temp.pgload_wanted;
    END IF;
",
        table = index.table_name,
        index_name = quoted("pgload_wanted_index"),
        shape = shape(index),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::candidate;
    use super::*;

    #[test]
    fn the_dollar_quote_is_one_the_body_does_not_hold() {
        let mut index = candidate(&["note"]);
        index.predicate = Some("note <> '$pgload$ $pgload2$'".into());
        let block = assert_index(&index, "idx");
        assert!(block.starts_with("DO $pgload3$\n") && block.ends_with("\n$pgload3$"), "{block}");
    }

    #[test]
    fn plain_columns_need_no_empty_copy() {
        assert!(!assert_index(&candidate(&["a", "-b"]), "idx").contains("TEMPORARY"));
        let mut index = candidate(&["a"]);
        index.predicate = Some("a > 1".into());
        assert!(assert_index(&index, "idx").contains("CREATE TEMPORARY TABLE pgload_wanted (LIKE public.prospects);"));
    }

    #[test]
    fn names_with_quotes_stay_inside_their_literals() {
        let mut index = candidate(&["it's"]);
        index.table_name = QualifiedName::new("public", "o'clock");
        let block = assert_index(&index, "idx_o'clock");
        assert!(block.contains("pg_catalog.quote_ident('it''s')"), "{block}");
        assert!(block.contains("c.relname = 'idx_o''clock'"), "{block}");
        assert!(block.contains("'public.\"o''clock\"'::pg_catalog.regclass"), "{block}");
    }
}
