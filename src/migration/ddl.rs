//! The text of index statements: the only place where SQL is joined from strings.
//!
//! Names are spelled by [`quoted`]; expressions and predicates are the server's own words and stand as they are.

pub mod check;
pub mod guard;

use crate::advisor::proposal::NewStatistics;
use crate::advisor::{Candidate, CandidateKey};
use crate::catalog::name::quoted;
use crate::catalog::{Index, KeyTarget, QualifiedName};

/// How an index statement goes about its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// Under a lock that stops writes; fails when the name is taken.
    Plain,
    /// Under a lock that stops writes; does nothing when the name is taken.
    PlainIfNotExists,
    /// Beside reads and writes, outside a transaction; does nothing when the name is taken.
    Concurrently,
    /// On a partitioned table alone, its partitions left out: done at once, and invalid until theirs are attached.
    OnlyParent,
}

/// An index as `CREATE INDEX` takes it: made from a candidate, or read from the catalog's own definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The index; it lives in its table's schema.
    pub name: QualifiedName,
    /// Its table.
    pub table: QualifiedName,
    /// Whether it is unique.
    pub unique: bool,
    /// What follows the table's name: `USING btree (a, b DESC) INCLUDE (c) WHERE (…)`.
    pub shape: String,
}

impl Definition {
    /// Describes a candidate under a name.
    pub fn of(index: &Candidate, name: &str) -> Self {
        let name = QualifiedName::new(index.table_name.schema.clone(), name);
        Self { name, table: index.table_name.clone(), unique: false, shape: shape(index) }
    }

    /// Describes an existing index by what `pg_get_indexdef` printed for it; `None` where that is no `CREATE INDEX`.
    pub fn of_existing(index: &Index, table: &QualifiedName) -> Option<Self> {
        let shape = index.definition[using(&index.definition)?..].trim();
        Some(Self { name: index.name.clone(), table: table.clone(), unique: index.unique, shape: shape.to_owned() })
    }

    /// Returns the statement that builds it, without a semicolon.
    pub fn create(&self, build: Build) -> String {
        let unique = if self.unique { "UNIQUE " } else { "" };
        let how = match build {
            Build::Plain => "",
            Build::PlainIfNotExists | Build::OnlyParent => "IF NOT EXISTS ",
            Build::Concurrently => "CONCURRENTLY IF NOT EXISTS ",
        };
        let only = if build == Build::OnlyParent { "ONLY " } else { "" };
        // An index lives in its table's schema; CREATE INDEX does not take one.
        format!("CREATE {unique}INDEX {how}{} ON {only}{} {}", quoted(&self.name.name), self.table, self.shape)
    }
}

/// Where `USING` begins, names in quotes left aside.
fn using(definition: &str) -> Option<usize> {
    let mut inside = false;
    definition.char_indices().find_map(|(at, letter)| {
        inside ^= letter == '"';
        (!inside && definition[at..].starts_with(" USING ")).then_some(at)
    })
}

/// Returns the statement that builds the index under that name, without a semicolon.
pub fn create_index(index: &Candidate, name: &str, build: Build) -> String {
    Definition::of(index, name).create(build)
}

/// Returns the statement that makes a partition's index a part of the partitioned table's, without a semicolon.
///
/// The server does nothing when it is one already, and refuses an index of another definition.
pub fn attach_partition(parent: &QualifiedName, child: &QualifiedName) -> String {
    format!("ALTER INDEX {parent} ATTACH PARTITION {child}")
}

/// Returns the statement that gathers extended statistics, without a semicolon.
pub fn create_statistics(statistics: &NewStatistics) -> String {
    format!("CREATE STATISTICS IF NOT EXISTS {} ON {} FROM {}", statistics_name(statistics), statistics.on.trim(), statistics.table)
}

/// Returns the statement that removes extended statistics, without a semicolon.
pub fn drop_statistics(statistics: &NewStatistics) -> String {
    format!("DROP STATISTICS IF EXISTS {}", statistics_name(statistics))
}

fn statistics_name(statistics: &NewStatistics) -> QualifiedName {
    QualifiedName::new(statistics.table.schema.clone(), statistics.name.clone())
}

/// Returns the statement that makes `CLUSTER` remember an index, without a semicolon.
pub fn cluster_on(index: &Definition) -> String {
    format!("ALTER TABLE {} CLUSTER ON {}", index.table, quoted(&index.name.name))
}

/// Returns the statement that removes an index of the table's schema, without a semicolon.
pub fn drop_index(name: &QualifiedName, build: Build) -> String {
    match build {
        Build::Plain => format!("DROP INDEX {name}"),
        Build::PlainIfNotExists | Build::OnlyParent => format!("DROP INDEX IF EXISTS {name}"),
        Build::Concurrently => format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"),
    }
}

/// Returns the statement that rebuilds an index in place, without a semicolon.
pub fn reindex(name: &QualifiedName, build: Build) -> String {
    match build {
        Build::Concurrently => format!("REINDEX INDEX CONCURRENTLY {name}"),
        Build::Plain | Build::PlainIfNotExists | Build::OnlyParent => format!("REINDEX INDEX {name}"),
    }
}

/// Returns the statement that counts the table's rows and values anew, without a semicolon.
pub fn analyze(table: &QualifiedName) -> String {
    format!("ANALYZE {table}")
}

/// Returns the statement that bounds the wait for locks in this transaction, without a semicolon.
pub fn set_local_lock_timeout(timeout: &str) -> String {
    format!("SET LOCAL lock_timeout = {}", crate::catalog::name::literal(timeout))
}

/// Returns the statement that bounds the wait for locks in this session; 0 for no limit. Without a semicolon.
pub fn set_lock_timeout(timeout: &str) -> String {
    format!("SET lock_timeout = {}", crate::catalog::name::literal(timeout))
}

/// Returns the statement that gives the session its own limit back, without a semicolon.
pub fn reset_lock_timeout() -> &'static str {
    "RESET lock_timeout"
}

/// Returns the statement that removes a version from refinery's history, without a semicolon.
pub fn forget_migration(version: i64) -> String {
    format!("DELETE FROM refinery_schema_history WHERE version = {version}")
}

/// Returns what follows the table's name: `USING btree (a, b DESC) INCLUDE (c) WHERE (…)`.
pub fn shape(index: &Candidate) -> String {
    let mut text = format!("USING {} ({})", quoted(&index.method), keys(index));
    if !index.included.is_empty() {
        let names: Vec<String> = index.included.iter().map(|name| quoted(name)).collect();
        text.push_str(&format!(" INCLUDE ({})", names.join(", ")));
    }
    if let Some(predicate) = &index.predicate {
        text.push_str(&format!(" WHERE {}", bracketed(predicate)));
    }
    text
}

/// Returns the keys as a list: `user_id, created_at DESC, lower(email)`.
pub fn keys(index: &Candidate) -> String {
    index.keys.iter().map(key).collect::<Vec<_>>().join(", ")
}

fn key(key: &CandidateKey) -> String {
    let mut text = match &key.target {
        KeyTarget::Column(name) => quoted(name),
        KeyTarget::Expression(expression) => expression_key(expression),
    };
    if let Some(collation) = &key.collation {
        text.push_str(&format!(" COLLATE {collation}"));
    }
    if let Some(opclass) = &key.opclass {
        text.push(' ');
        text.push_str(&opclass_name(opclass));
    }
    if key.descending {
        text.push_str(" DESC");
    }
    // NULLS FIRST is the default of DESC, NULLS LAST that of ASC.
    if key.nulls_first != key.descending {
        text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
    }
    text
}

/// Spells an operator class, which the catalog may have given with its schema.
fn opclass_name(opclass: &str) -> String {
    if opclass.contains('"') { opclass.to_owned() } else { opclass.split('.').map(quoted).collect::<Vec<_>>().join(".") }
}

/// A key may be a bare function call; any other expression needs brackets.
fn expression_key(expression: &str) -> String {
    let trimmed = expression.trim();
    let name_end = trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(trimmed.len());
    let (name, rest) = trimmed.split_at(name_end);
    // `not(x)` looks like a call and is none.
    let call = !name.is_empty() && !name.eq_ignore_ascii_case("not") && encloses_all(rest);
    if call { trimmed.to_owned() } else { bracketed(trimmed) }
}

fn bracketed(text: &str) -> String {
    let trimmed = text.trim();
    if encloses_all(trimmed) { trimmed.to_owned() } else { format!("({trimmed})") }
}

/// Whether the text begins with a bracket that closes at its very end, quotes left aside.
fn encloses_all(text: &str) -> bool {
    let mut depth = 0usize;
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.starts_with('(') && at + 1 == text.len();
                }
            }
            (None, _) => {}
        }
        if depth == 0 {
            return false;
        }
    }
    false
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An existing B-tree index of that definition, `public.idx` on the table with oid 1.
    pub(crate) fn existing(definition: &str) -> Index {
        Index {
            oid: 10,
            name: QualifiedName::new("public", "idx"),
            keys: Vec::new(),
            definition: definition.into(),
            ..crate::catalog::sample::index("idx")
        }
    }

    /// An index over plain columns of `public.prospects`; a leading `-` means descending.
    pub(crate) fn candidate(columns: &[&str]) -> Candidate {
        Candidate {
            table: 1,
            table_name: QualifiedName::new("public", "prospects"),
            method: "btree".into(),
            keys: columns
                .iter()
                .map(|column| CandidateKey {
                    target: KeyTarget::Column(column.trim_start_matches('-').into()),
                    descending: column.starts_with('-'),
                    nulls_first: column.starts_with('-'),
                    opclass: None,
                    collation: None,
                })
                .collect(),
            included: Vec::new(),
            predicate: None,
        }
    }

    #[test]
    fn every_part_of_an_index_is_spelled_as_the_server_reads_it() {
        let mut index = candidate(&["user_id", "-created_at", "order", "Odd Name"]);
        index.table_name = QualifiedName::new("app", "user");
        index.keys[1].nulls_first = false;
        index.keys[2].nulls_first = true;
        index.keys[3].opclass = Some("public.gin_trgm_ops".into());
        index.keys[3].collation = Some("pg_catalog.\"C\"".into());
        index.included = vec!["total".into(), "Mixed".into()];
        index.predicate = Some("deleted_at IS NULL".into());
        assert_eq!(
            create_index(&index, "Idx", Build::Concurrently),
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS \"Idx\" ON app.\"user\" USING btree (user_id, created_at DESC NULLS LAST, \
             \"order\" NULLS FIRST, \"Odd Name\" COLLATE pg_catalog.\"C\" public.gin_trgm_ops) INCLUDE (total, \"Mixed\") WHERE (deleted_at IS NULL)"
        );
    }

    #[test]
    fn expressions_get_brackets_unless_they_are_one_call() {
        let spelled = ["lower(email)", "a + b", "(a + b)", "(a) + (b)", "f(')') || g(x)", "not(x)", "data ->> 'k'"].map(expression_key);
        let wanted =
            ["lower(email)", "(a + b)", "(a + b)", "((a) + (b))", "(f(')') || g(x))", "(not(x))", "(data ->> 'k')"].map(str::to_owned);
        assert_eq!(spelled, wanted);
    }

    #[test]
    fn what_the_catalog_prints_is_built_again_under_the_same_name() {
        let mut index =
            existing("CREATE UNIQUE INDEX \"a USING b\" ON ONLY app.\"t USING\" USING gist (x) INCLUDE (y) WITH (fillfactor='70') WHERE z");
        index.name = QualifiedName::new("app", "a USING b");
        index.unique = true;
        let made = Definition::of_existing(&index, &QualifiedName::new("app", "t USING")).unwrap();
        assert_eq!(
            made.create(Build::Concurrently),
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"a USING b\" ON app.\"t USING\" USING gist (x) INCLUDE (y) WITH (fillfactor='70') WHERE z"
        );
        assert!(made.create(Build::OnlyParent).starts_with("CREATE UNIQUE INDEX IF NOT EXISTS \"a USING b\" ON ONLY app."));
        assert_eq!(Definition::of_existing(&existing(""), &index.name), None);
    }

    #[test]
    fn statistics_live_in_the_schema_of_their_table() {
        let statistics = NewStatistics { name: "Stat".into(), on: "(lower(email))".into(), table: QualifiedName::new("app", "people") };
        assert_eq!(create_statistics(&statistics), "CREATE STATISTICS IF NOT EXISTS app.\"Stat\" ON (lower(email)) FROM app.people");
        assert_eq!(drop_statistics(&statistics), "DROP STATISTICS IF EXISTS app.\"Stat\"");
    }

    #[test]
    fn a_drop_names_the_schema() {
        let name = QualifiedName::new("App", "idx");
        assert_eq!(drop_index(&name, Build::Concurrently), "DROP INDEX CONCURRENTLY IF EXISTS \"App\".idx");
        assert_eq!(drop_index(&name, Build::PlainIfNotExists), "DROP INDEX IF EXISTS \"App\".idx");
    }
}
