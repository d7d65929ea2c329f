//! Indexes built under an order of texts that the system has changed since.

use crate::catalog::{CollationMismatch, Index, Key, Relations, Table};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Severity, remedy};

pub(super) const RULE: Rule = Rule {
    id: "collation-version-mismatch",
    summary: "A collation's version changed under a table's indexes: look-ups may miss rows, unique indexes may admit doubles.",
    check: Check::Catalog(check),
};

fn check(relations: &Relations<'_>) -> Vec<Finding> {
    let mismatches = &relations.snapshot.server.collation_mismatches;
    if mismatches.is_empty() {
        return vec![];
    }
    let tables = relations.snapshot.tables.iter().filter(|table| table.persistence != "t");
    tables.filter_map(|table| finding(table, mismatches, relations)).collect()
}

fn finding(table: &Table, mismatches: &[CollationMismatch], relations: &Relations<'_>) -> Option<Finding> {
    let relies = |index: &Index, mismatch: &CollationMismatch| index.keys.iter().any(|key| sorted_by(index, key, table, mismatch));
    let affected =
        |index: &&Index| index.usable() && !is_partitioned(index, relations) && mismatches.iter().any(|mismatch| relies(index, mismatch));
    let indexes: Vec<&Index> = relations.indexes_of(table.oid).iter().copied().filter(affected).collect();
    if indexes.is_empty() {
        return None;
    }
    let involved: Vec<&CollationMismatch> =
        mismatches.iter().filter(|mismatch| indexes.iter().any(|index| relies(index, mismatch))).collect();
    let unique = indexes.iter().filter(|index| index.unique).count();
    let names: Vec<String> = indexes.iter().map(|index| index.name.to_string()).collect();
    let versions: Vec<String> =
        involved.iter().map(|found| format!("{} ({} when they were built, {} now)", told(found), found.recorded, found.actual)).collect();
    let mut message = format!(
        "{} of {} rely on {}. Where the order changed, look-ups miss rows",
        if names.len() == 1 { format!("Index {}", names[0]) } else { format!("{} indexes", names.len()) },
        table.name,
        versions.join(" and "),
    );
    if unique > 0 {
        message.push_str(&format!(", and {unique} of them being unique, doubles may have been admitted"));
    }
    message.push_str(". Whether it did for the texts stored here is not known.");
    let mut evidence = vec![Evidence::new("indexes", names.join(", "), "", "pg_index")];
    for found in &involved {
        evidence.push(Evidence::new("collation", told(found), "", "pg_collation"));
        evidence.push(Evidence::new("version_recorded", found.recorded.clone(), "", "pg_collation"));
        evidence.push(Evidence::new("version_now", found.actual.clone(), "", "pg_collation_actual_version"));
    }
    Some(Finding {
        rule: RULE.id.to_owned(),
        severity: Severity::Critical,
        object: Object::table(&table.name),
        message,
        evidence,
        help: help(&indexes, &involved, relations),
    })
}

/// Returns whether an index's entries stand in the order of this collation.
fn sorted_by(index: &Index, key: &Key, table: &Table, mismatch: &CollationMismatch) -> bool {
    // Hash indexes know no order; nor do operator classes that compare bytes, trigrams or documents.
    let ordered = matches!(index.access_method.as_str(), "btree" | "gist" | "spgist" | "brin" | "gin");
    let by_bytes = ["pattern_ops", "trgm_ops", "jsonb", "tsvector", "bloom"].iter().any(|part| key.opclass.contains(part));
    if !ordered || by_bytes {
        return false;
    }
    match (&mismatch.collation, key.collation.as_deref()) {
        (Some(changed), Some(own)) => same_collation(changed, own),
        (Some(_), None) => false,
        (None, Some(own)) => matches!(own, "default" | "\"default\"" | "pg_catalog.default" | "pg_catalog.\"default\""),
        // No collation of its own: the database's where the key is a text, which only a column says.
        (None, None) => {
            let column = key.target.column().and_then(|name| table.column(name));
            column.is_some_and(|column| is_text(&column.type_name, &column.type_category) && column.collation.is_none())
        }
    }
}

fn is_text(type_name: &str, category: &str) -> bool {
    let of_texts = ["text", "character varying", "character"].iter().any(|name| type_name.starts_with(name));
    of_texts || (category == "S" && type_name != "name" && !type_name.starts_with('"'))
}

/// Returns whether two spellings, with or without schema and quotes, name one collation.
fn same_collation(one: &str, other: &str) -> bool {
    let spellings = |name: &str| [name.to_owned(), without_schema(name)].map(|name| name.trim_matches('"').replace("\"\"", "\""));
    spellings(one).iter().any(|spelling| spellings(other).contains(spelling))
}

fn without_schema(name: &str) -> String {
    let mut quoted = false;
    let at = name.find(|letter: char| {
        quoted ^= letter == '"';
        letter == '.' && !quoted
    });
    at.map_or(name, |at| &name[at + 1..]).to_owned()
}

fn is_partitioned(index: &Index, relations: &Relations<'_>) -> bool {
    relations.table(index.table).is_some_and(|table| table.kind == crate::catalog::TableKind::Partitioned)
}

fn told(mismatch: &CollationMismatch) -> String {
    match &mismatch.collation {
        Some(name) => format!("collation {name}"),
        None => "the database's collation".to_owned(),
    }
}

fn help(indexes: &[&Index], involved: &[&CollationMismatch], relations: &Relations<'_>) -> String {
    let server = &relations.snapshot.server;
    let rebuild: Vec<String> = indexes.iter().map(|index| remedy::reindex(index, server.major())).collect();
    let refresh: Vec<String> = involved
        .iter()
        .map(|mismatch| match &mismatch.collation {
            Some(name) => format!("ALTER COLLATION {name} REFRESH VERSION;"),
            None => format!("ALTER DATABASE {} REFRESH COLLATION VERSION;", crate::catalog::name::quoted(&server.database)),
        })
        .collect();
    format!("{} Once every index that relies on it is rebuilt, and not before: {}", rebuild.join(" "), refresh.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index, typed};

    fn sample(sketch: Sketch, collation: Option<&str>) -> Sample {
        let mut sample = Sample::of([("x", sketch)]);
        sample.snapshot.tables[0].columns[1] = typed("b", "text");
        sample.snapshot.server.collation_mismatches =
            vec![CollationMismatch { collation: collation.map(str::to_owned), recorded: "2.28".to_owned(), actual: "2.36".to_owned() }];
        sample
    }

    fn reported(sketch: Sketch, collation: Option<&str>) -> bool {
        !sample(sketch, collation).named(RULE.check).is_empty()
    }

    #[test]
    fn texts_in_the_databases_order_are_reported_when_that_changed() {
        assert!(reported(index("b"), None));
        assert!(reported(index("a, b"), None));
        assert!(!reported(index("a"), None), "numbers have no collation");
        assert!(!reported(index("b collate C"), None));
        assert!(!reported(index("b text_pattern_ops"), None));
        assert!(!reported(index("b").method("hash"), None));
        assert!(!reported(index("b").invalid(), None));
    }

    #[test]
    fn a_named_collation_is_recognised_in_either_spelling() {
        let named = |name: &str| index("b").with(|index| index.keys[0].collation = Some(name.to_owned()));
        assert!(reported(named("de-x-icu"), Some("pg_catalog.\"de-x-icu\"")));
        assert!(reported(named("pg_catalog.\"de-x-icu\""), Some("pg_catalog.\"de-x-icu\"")));
        assert!(reported(named("en_US.utf8"), Some("pg_catalog.\"en_US.utf8\"")));
        assert!(reported(named("german"), Some("public.german")));
        assert!(!reported(named("fr-x-icu"), Some("pg_catalog.\"de-x-icu\"")));
        assert!(!reported(index("b"), Some("pg_catalog.\"de-x-icu\"")));
    }

    #[test]
    fn the_help_rebuilds_first_and_refreshes_last() {
        let finding = sample(index("b").unique(), None).findings(RULE.check).remove(0);
        assert_eq!(finding.severity, Severity::Critical);
        assert_eq!(
            finding.help,
            "REINDEX INDEX CONCURRENTLY public.x; Once every index that relies on it is rebuilt, and not before: ALTER DATABASE shop REFRESH \
             COLLATION VERSION;"
        );
        assert!(finding.message.contains("2.28 when they were built, 2.36 now"), "{}", finding.message);
        assert!(finding.message.contains("doubles may have been admitted"), "{}", finding.message);
    }

    #[test]
    fn without_a_mismatch_nothing_is_said() {
        let mut sample = sample(index("b"), None);
        sample.snapshot.server.collation_mismatches.clear();
        assert!(sample.named(RULE.check).is_empty());
    }
}
