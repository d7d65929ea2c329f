//! A small snapshot for this module's tests.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Column, ColumnStatistics, Index, IndexUsage, Key, KeyTarget, QualifiedName, SNAPSHOT_SCHEMA_VERSION, Server, Snapshot, Statement,
    StatementSource, Table, TableKind, TableUsage,
};

/// A snapshot of an empty database of schema `shop`.
pub(super) fn snapshot() -> Snapshot {
    Snapshot {
        schema_version: SNAPSHOT_SCHEMA_VERSION,
        taken_at: Timestamp::from_second(1_700_000_000).unwrap(),
        server: Server {
            version_num: 150_000,
            database: "shop".to_owned(),
            user: "app".to_owned(),
            in_recovery: false,
            stats_reset_at: None,
            started_at: None,
            collate: "en_US.UTF-8".to_owned(),
            ctype: "en_US.UTF-8".to_owned(),
            encoding: "UTF8".to_owned(),
            locale_provider: "c".to_owned(),
            locale: None,
            collation_mismatches: Vec::new(),
            database_bytes: 0,
            settings: BTreeMap::new(),
            extensions: Vec::new(),
        },
        tables: Vec::new(),
        indexes: Vec::new(),
        constraints: Vec::new(),
        views: Vec::new(),
        functions: Vec::new(),
        types: Vec::new(),
        extended_statistics: Vec::new(),
        policies: Vec::new(),
        nodes: Vec::new(),
        redacted: false,
        statements: Vec::new(),
        statement_source: StatementSource::Available { evicted: 0, reset_at: None },
        hidden: Vec::new(),
    }
}

/// An index `shop.NAME` over column `a` of table 1.
pub(crate) fn index(name: &str) -> Index {
    Index {
        oid: 100,
        name: QualifiedName::new("shop", name),
        table: 1,
        access_method: "btree".to_owned(),
        keys: vec![Key {
            target: KeyTarget::Column("a".to_owned()),
            opclass: "int4_ops".to_owned(),
            opclass_is_default: true,
            collation: None,
            descending: false,
            nulls_first: false,
        }],
        included: Vec::new(),
        predicate: None,
        unique: false,
        nulls_not_distinct: false,
        primary: false,
        exclusion: false,
        constraint: None,
        referenced: false,
        valid: true,
        ready: true,
        live: true,
        building: false,
        clustered: false,
        replica_identity: false,
        extension: None,
        parent: None,
        size_bytes: 8192,
        pages: 1,
        rows: None,
        definition: format!("CREATE INDEX {name} ON shop.t USING btree (a)"),
        options: Vec::new(),
        expression_statistics: Vec::new(),
        usage: IndexUsage::default(),
    }
}

/// Table 1, `shop.NAME`.
pub(super) fn table(name: &str, columns: Vec<Column>) -> Table {
    Table {
        oid: 1,
        name: QualifiedName::new("shop", name),
        kind: TableKind::Table,
        parent: None,
        is_partition: false,
        rows: Some(1000.0),
        pages: 10,
        pages_all_visible: 10,
        heap_bytes: 81_920,
        total_bytes: 81_920,
        persistence: "p".to_owned(),
        options: Vec::new(),
        replica_identity: "d".to_owned(),
        partition_key: None,
        partition_bound: None,
        row_security: false,
        extension: None,
        columns,
        usage: TableUsage::default(),
    }
}

/// A column with statistics.
pub(super) fn column(name: &str, type_name: &str, category: &str, statistics: ColumnStatistics) -> Column {
    Column {
        number: 1,
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        type_category: category.to_owned(),
        type_length: -1,
        type_alignment: "i".to_owned(),
        btree: true,
        not_null: false,
        collation: None,
        default: None,
        generated_virtual: false,
        identity: false,
        generated: false,
        statistics: Some(statistics),
        statistics_inherited: None,
    }
}

/// A statement with a text and nothing counted.
pub(super) fn statement(query: &str) -> Statement {
    Statement {
        query_id: Some("1".to_owned()),
        rows: 1,
        exec_ms_total: 1.0,
        exec_ms_mean: 1.0,
        exec_ms_min: 1.0,
        exec_ms_max: 1.0,
        ..Statement::given(query, 1, "app", "shop")
    }
}
