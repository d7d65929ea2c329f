//! Short `DO` blocks around statements that look at a name only.
//!
//! `DROP INDEX IF EXISTS` drops whatever has the name, and `ATTACH PARTITION` takes an index whose build was interrupted.

use super::check::block;
use crate::catalog::QualifiedName;
use crate::catalog::name::literal;

/// Returns a `DO` statement, without a semicolon, that raises when an index of that name has another definition than the
/// catalog had when the audit read it. No index of that name is fine: it was dropped already.
pub fn assert_unchanged(index: &QualifiedName, definition: &str) -> String {
    present(index, definition, false)
}

/// Returns a `DO` statement, without a semicolon, that raises unless the index exists, is valid and has the definition the
/// catalog printed for it.
pub fn assert_restored(index: &QualifiedName, definition: &str) -> String {
    present(index, definition, true)
}

/// What the catalog prints depends on the search path; the snapshot was read under `pg_catalog` alone.
fn present(index: &QualifiedName, definition: &str, needed: bool) -> String {
    let shown = literal(&index.to_string());
    let missing = if needed {
        format!("        RAISE EXCEPTION 'index % does not exist', {shown} USING ERRCODE = 'undefined_object';\n")
    } else {
        "        RETURN;\n".to_owned()
    };
    let validity = if needed {
        format!(
            "    IF NOT present.usable THEN
        RAISE EXCEPTION 'index % is not valid: its build was interrupted', {shown}
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Drop it and run this file again.';
    END IF;\n"
        )
    } else {
        String::new()
    };
    block(&format!(
        "DECLARE
    audited CONSTANT text := {definition};
    path_before CONSTANT text := pg_catalog.current_setting('search_path');
    present record;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);
    SELECT c.oid, i.indisvalid AND i.indisready AND i.indislive AS usable, pg_catalog.pg_get_indexdef(c.oid) AS definition
      INTO present
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
     WHERE n.nspname = {schema} AND c.relname = {name};
    PERFORM pg_catalog.set_config('search_path', path_before, true);
    IF present.oid IS NULL THEN
{missing}    END IF;
    IF present.definition IS DISTINCT FROM audited THEN
        RAISE EXCEPTION 'index % has another definition, present: %, audited: %', {shown}, present.definition, audited
            USING ERRCODE = 'duplicate_table', HINT = 'Audit again.';
    END IF;
{validity}END",
        definition = literal(definition),
        schema = literal(&index.schema),
        name = literal(&index.name),
    ))
}

/// Returns a `DO` statement, without a semicolon, that raises unless every one of these indexes is valid; `hint` says what to do.
pub fn assert_valid(indexes: &[&QualifiedName], hint: &str) -> String {
    let names: Vec<String> = indexes.iter().map(|name| literal(&name.to_string())).collect();
    block(&format!(
        "DECLARE
    missing text;
BEGIN
    SELECT pg_catalog.string_agg(wanted.name, ', ')
      INTO missing
      FROM pg_catalog.unnest(ARRAY[{names}]) AS wanted (name)
      LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = pg_catalog.to_regclass(wanted.name)
     WHERE (i.indisvalid AND i.indisready AND i.indislive) IS NOT TRUE;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'not valid: %', missing USING ERRCODE = 'object_not_in_prerequisite_state', HINT = {hint};
    END IF;
END",
        names = names.join(", "),
        hint = literal(hint),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_gone_is_fine_before_a_drop_and_an_error_after_a_build() {
        let name = QualifiedName::new("app", "o'clock");
        let before = assert_unchanged(&name, "CREATE INDEX \"o'clock\" ON app.t USING btree (a)");
        assert!(before.contains("        RETURN;\n") && !before.contains("not valid"), "{before}");
        assert!(
            before.contains("c.relname = 'o''clock'") && before.contains("'CREATE INDEX \"o''clock\" ON app.t USING btree (a)'"),
            "{before}"
        );
        let after = assert_restored(&name, "x");
        assert!(after.contains("does not exist") && after.contains("not valid"), "{after}");
    }

    #[test]
    fn every_index_of_a_list_is_asked_about_by_its_whole_name() {
        let (one, other) = (QualifiedName::new("app", "a"), QualifiedName::new("App", "b"));
        let block = assert_valid(&[&one, &other], "run again");
        assert!(block.contains("ARRAY['app.a', '\"App\".b']") && block.contains("HINT = 'run again'"), "{block}");
    }
}
