//! Snapshots for the rules' tests, built in a line or two each.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::statements::Statements;
use super::{Check, Finding};
use crate::catalog::*;

/// An index in the making: sensible defaults, changed by chained calls.
#[derive(Debug, Clone)]
pub(crate) struct Sketch(Index);

/// Sketches a valid B-tree on table 1: `a, b desc nulls last, lower(c), d text_pattern_ops, e collate C`.
pub(crate) fn index(keys: &str) -> Sketch {
    let keys: Vec<Key> = split_keys(keys).into_iter().map(key).collect();
    let expressions = keys.iter().filter(|key| key.target.column().is_none()).count();
    Sketch(Index {
        oid: 0,
        name: QualifiedName::new("public", ""),
        keys,
        size_bytes: 10 << 20,
        pages: 0,
        rows: Some(100_000.0),
        definition: String::new(),
        expression_statistics: vec![None; expressions],
        ..crate::catalog::sample::index("")
    })
}

impl Sketch {
    /// Changes anything.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Index)) -> Self {
        change(&mut self.0);
        self
    }
    pub(crate) fn method(self, method: &str) -> Self {
        self.with(|index| index.access_method = method.to_owned())
    }
    pub(crate) fn include(self, columns: &[&str]) -> Self {
        self.with(|index| index.included = columns.iter().map(|&column| column.to_owned()).collect())
    }
    pub(crate) fn predicate(self, predicate: &str) -> Self {
        self.with(|index| index.predicate = Some(predicate.to_owned()))
    }
    pub(crate) fn option(self, option: &str) -> Self {
        self.with(|index| index.options.push(option.to_owned()))
    }
    pub(crate) fn size(self, bytes: u64) -> Self {
        self.with(|index| index.size_bytes = bytes)
    }
    pub(crate) fn scans(self, scans: u64) -> Self {
        self.with(|index| index.usage.scans = scans)
    }
    pub(crate) fn unique(self) -> Self {
        self.with(|index| index.unique = true)
    }
    pub(crate) fn invalid(self) -> Self {
        self.with(|index| index.valid = false)
    }
    /// Puts the index behind a constraint; a primary key's when named `…_pkey`.
    pub(crate) fn constraint(self, name: &str) -> Self {
        self.with(|index| {
            index.unique = true;
            index.primary = name.ends_with("_pkey");
            index.constraint = Some(name.to_owned());
        })
    }
    pub(crate) fn build(self) -> Index {
        self.0
    }
}

/// A snapshot in the making.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) snapshot: Snapshot,
}

impl Sample {
    /// Starts an empty database whose statistics were reset 40 days ago.
    pub(crate) fn new() -> Self {
        let taken_at: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a literal");
        let server = Server {
            version_num: 150_018,
            database: "shop".to_owned(),
            user: "auditor".to_owned(),
            in_recovery: false,
            stats_reset_at: None,
            started_at: None,
            collate: String::new(),
            ctype: String::new(),
            encoding: String::new(),
            locale_provider: String::new(),
            locale: None,
            collation_mismatches: Vec::new(),
            database_bytes: 1 << 30,
            settings: BTreeMap::new(),
            extensions: vec![],
        };
        let snapshot = Snapshot {
            schema_version: SNAPSHOT_SCHEMA_VERSION,
            taken_at,
            server,
            tables: vec![],
            indexes: vec![],
            constraints: vec![],
            views: Vec::new(),
            functions: Vec::new(),
            types: Vec::new(),
            extended_statistics: Vec::new(),
            policies: Vec::new(),
            nodes: Vec::new(),
            redacted: false,
            statements: vec![],
            statement_source: StatementSource::Available { evicted: 0, reset_at: None },
            hidden: vec![],
        };
        Self { snapshot }.window_hours(40 * 24)
    }

    /// Starts a database with one busy table `t` (oid 1, columns a to e, 1 000 000 rows) and these indexes.
    pub(crate) fn of(indexes: impl IntoIterator<Item = (&'static str, Sketch)>) -> Self {
        let mut sample = Self::new();
        sample.table(1, "t");
        for (name, sketch) in indexes {
            sample.index(name, sketch);
        }
        sample
    }

    pub(crate) fn window_hours(mut self, hours: i64) -> Self {
        self.snapshot.server.stats_reset_at = Some(self.snapshot.taken_at - SignedDuration::from_hours(hours));
        self
    }

    /// Adds a busy, analysed table of 1 000 000 rows in 10 000 pages with a primary key's worth of columns a to e.
    pub(crate) fn table(&mut self, oid: Oid, name: &str) -> &mut Table {
        let columns = ["a", "b", "c", "d", "e"];
        let usage = TableUsage {
            index_scans: 50_000,
            index_rows_fetched: 50_000,
            rows_inserted: 10_000,
            rows_updated: 5_000,
            rows_deleted: 100,
            live_rows: 1_000_000,
            last_analyze_at: Some(self.snapshot.taken_at),
            ..TableUsage::default()
        };
        self.snapshot.tables.push(Table {
            oid,
            name: QualifiedName::new("public", name),
            kind: TableKind::Table,
            parent: None,
            is_partition: false,
            rows: Some(1_000_000.0),
            pages: 10_000,
            pages_all_visible: 9_000,
            heap_bytes: 10_000 * 8192,
            total_bytes: 20_000 * 8192,
            persistence: "p".to_owned(),
            options: vec![],
            replica_identity: "d".to_owned(),
            partition_key: None,
            partition_bound: None,
            row_security: false,
            extension: None,
            columns: columns.iter().zip(1_i16..).map(|(name, number)| column(name, number)).collect(),
            usage,
        });
        self.snapshot.tables.last_mut().expect("just pushed")
    }

    /// Adds an index; oids count up from 101 in the order added.
    pub(crate) fn index(&mut self, name: &str, sketch: Sketch) -> &mut Index {
        let mut index = sketch.build();
        index.oid = 101 + self.snapshot.indexes.len() as Oid;
        index.name = QualifiedName::new("public", name);
        index.definition = format!("CREATE INDEX {name} ON public.t USING {} (…)", index.access_method);
        self.snapshot.indexes.push(index);
        self.snapshot.indexes.last_mut().expect("just pushed")
    }

    /// Adds a foreign key of `table` to `referenced`'s column `a`, and so on.
    pub(crate) fn foreign_key(&mut self, name: &str, table: Oid, columns: &[&str], referenced: Oid) -> &mut Constraint {
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        let foreign = ForeignKey {
            table: referenced,
            table_name: QualifiedName::new("public", "parent"),
            columns: columns.clone(),
            on_delete: "a".to_owned(),
            on_update: "a".to_owned(),
        };
        self.constraint(name, table, ConstraintKind::Foreign, columns, Some(foreign))
    }

    /// Adds a constraint that refers to nothing.
    pub(crate) fn own_constraint(&mut self, name: &str, table: Oid, kind: ConstraintKind, columns: &[&str]) -> &mut Constraint {
        self.constraint(name, table, kind, columns.iter().map(|&column| column.to_owned()).collect(), None)
    }

    fn constraint(
        &mut self,
        name: &str,
        table: Oid,
        kind: ConstraintKind,
        columns: Vec<String>,
        foreign: Option<ForeignKey>,
    ) -> &mut Constraint {
        let oid = 501 + self.snapshot.constraints.len() as Oid;
        let name = name.to_owned();
        self.snapshot.constraints.push(Constraint { oid, name, table, kind, columns, definition: String::new(), parent: None, foreign });
        self.snapshot.constraints.last_mut().expect("just pushed")
    }

    /// Adds a statement of `calls` calls of `mean` ms.
    pub(crate) fn statement(&mut self, id: &str, query: &str, calls: u64, mean: f64) -> &mut Statement {
        self.snapshot.statements.push(Statement {
            query_id: Some(id.to_owned()),
            rows: calls,
            exec_ms_total: mean * calls as f64,
            exec_ms_mean: mean,
            exec_ms_min: mean,
            exec_ms_max: mean,
            shared_blocks_hit: calls * 10,
            ..Statement::given(query, calls, "app", "public")
        });
        self.snapshot.statements.last_mut().expect("just pushed")
    }

    /// Sets a server setting.
    pub(crate) fn setting(&mut self, name: &str, value: &str) {
        let setting = Setting { value: value.to_owned(), unit: None, source: "configuration file".to_owned() };
        self.snapshot.server.settings.insert(name.to_owned(), setting);
    }

    /// Returns what a rule finds.
    pub(crate) fn findings(&self, check: Check) -> Vec<Finding> {
        let relations = Relations::new(&self.snapshot);
        check.run(&relations, &Statements::new(&relations))
    }

    /// Returns the names of what a rule finds, in order of name.
    pub(crate) fn named(&self, check: Check) -> Vec<String> {
        let mut names: Vec<String> = self.findings(check).into_iter().map(|finding| finding.object.name).collect();
        names.sort();
        names
    }
}

/// Makes a standby that has counted as long as the sample's server and used nothing.
pub(crate) fn node(snapshot: &Snapshot, name: &str) -> Node {
    Node {
        name: name.to_owned(),
        in_recovery: true,
        taken_at: snapshot.taken_at,
        stats_reset_at: snapshot.server.stats_reset_at,
        started_at: snapshot.server.started_at,
        indexes: snapshot.indexes.iter().map(|index| (index.name.clone(), IndexUsage::default())).collect(),
        tables: vec![],
    }
}

/// Makes statistics, to mark a column or an expression as analysed.
pub(crate) fn statistics() -> ColumnStatistics {
    ColumnStatistics { width: 4, distinct: -1.0, ..ColumnStatistics::default() }
}

/// Makes a column of this type; its number comes from its name.
pub(crate) fn typed(name: &str, type_name: &str) -> Column {
    let category = match type_name {
        "boolean" => "B",
        "date" => "D",
        "uuid" => "U",
        name if name.starts_with("timestamp") => "D",
        name if name.starts_with("text") || name.starts_with("char") => "S",
        _ => "N",
    };
    let number = name.bytes().fold(0_i16, |sum, letter| sum.wrapping_mul(31).wrapping_add(i16::from(letter)));
    Column { type_name: type_name.to_owned(), type_category: category.to_owned(), ..column(name, number) }
}

fn column(name: &str, number: i16) -> Column {
    Column {
        number,
        name: name.to_owned(),
        type_name: "integer".to_owned(),
        type_category: "N".to_owned(),
        type_length: 4,
        type_alignment: "i".to_owned(),
        btree: true,
        not_null: false,
        collation: None,
        default: None,
        generated: false,
        generated_virtual: false,
        identity: false,
        statistics_inherited: None,
        statistics: Some(statistics()),
    }
}

fn split_keys(keys: &str) -> Vec<&str> {
    let mut depth = 0;
    let outer = move |letter: char| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    };
    keys.split(outer).map(str::trim).collect()
}

fn key(text: &str) -> Key {
    let mut words = text.split_whitespace();
    let target = words.next().expect("a key has a column");
    let target = if target.contains('(') { KeyTarget::Expression(target.to_owned()) } else { KeyTarget::Column(target.to_owned()) };
    let mut key =
        Key { target, opclass: "int4_ops".to_owned(), opclass_is_default: true, collation: None, descending: false, nulls_first: false };
    while let Some(word) = words.next() {
        match word {
            "desc" => (key.descending, key.nulls_first) = (true, true),
            "nulls" => key.nulls_first = words.next() == Some("first"),
            "collate" => key.collation = words.next().map(str::to_owned),
            opclass => (key.opclass, key.opclass_is_default) = (opclass.to_owned(), false),
        }
    }
    key
}
