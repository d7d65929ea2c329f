//! Small snapshots for the advisor's tests.

use std::collections::BTreeMap;

use super::{Candidate, CandidateKey};
use crate::catalog::{
    Column, ColumnStatistics, Index, Key, KeyTarget, QualifiedName, Server, Setting, Snapshot, Statement, StatementSource, Table,
    TableKind, TableUsage,
};

/// A column's type, distinct values (negative: a share of the rows) and correlation.
pub(crate) struct Col(pub(crate) &'static str, pub(crate) &'static str, pub(crate) f64, pub(crate) f64);

pub(crate) fn column(number: i16, Col(name, type_name, distinct, correlation): &Col) -> Column {
    let (category, length, alignment, width) = match *type_name {
        "bigint" => ("N", 8, "d", 8),
        "integer" => ("N", 4, "i", 4),
        "boolean" => ("B", 1, "c", 1),
        "uuid" => ("U", 16, "c", 16),
        "numeric" => ("N", -1, "i", 8),
        "jsonb" => ("U", -1, "i", 300),
        "text[]" | "integer[]" => ("A", -1, "i", 60),
        "tsvector" => ("U", -1, "i", 200),
        "tstzrange" => ("R", -1, "d", 22),
        "point" => ("G", 16, "d", 16),
        "timestamp with time zone" => ("D", 8, "d", 8),
        _ => ("S", -1, "i", 16),
    };
    Column {
        number,
        name: (*name).into(),
        type_name: (*type_name).into(),
        type_category: category.into(),
        type_length: length,
        type_alignment: alignment.into(),
        btree: !matches!(*type_name, "json" | "point"),
        not_null: true,
        collation: None,
        default: None,
        generated: false,
        generated_virtual: false,
        identity: false,
        statistics_inherited: None,
        statistics: Some(ColumnStatistics { width, distinct: *distinct, correlation: Some(*correlation), ..ColumnStatistics::default() }),
    }
}

pub(crate) fn table(oid: u32, name: &str, rows: f64, pages: u64, columns: &[Col]) -> Table {
    Table {
        oid,
        name: QualifiedName::new("public", name),
        kind: TableKind::Table,
        parent: None,
        is_partition: false,
        rows: Some(rows),
        pages,
        pages_all_visible: pages * 9 / 10,
        heap_bytes: pages * 8192,
        total_bytes: pages * 8192,
        persistence: "p".into(),
        options: Vec::new(),
        replica_identity: "d".into(),
        partition_key: None,
        partition_bound: None,
        row_security: false,
        extension: None,
        columns: columns.iter().enumerate().map(|(at, col)| column(at as i16 + 1, col)).collect(),
        usage: TableUsage { live_rows: rows as u64, ..TableUsage::default() },
    }
}

pub(crate) fn index(oid: u32, table: u32, name: &str, columns: &[&str]) -> Index {
    let key = |name: &&str| Key {
        target: KeyTarget::Column((*name).into()),
        opclass: "ops".into(),
        opclass_is_default: true,
        collation: None,
        descending: false,
        nulls_first: false,
    };
    Index {
        oid,
        name: QualifiedName::new("public", name),
        table,
        keys: columns.iter().map(key).collect(),
        size_bytes: 4 << 20,
        pages: 0,
        definition: String::new(),
        ..crate::catalog::sample::index(name)
    }
}

pub(crate) fn primary(oid: u32, table: u32, name: &str) -> Index {
    Index { unique: true, primary: true, constraint: Some(name.into()), ..index(oid, table, name, &["id"]) }
}

pub(crate) fn statement(id: u64, text: &str, calls: u64, rows: u64, exec_ms_total: f64) -> Statement {
    Statement {
        query_id: Some(id.to_string()),
        rows,
        exec_ms_total,
        exec_ms_mean: exec_ms_total / calls.max(1) as f64,
        ..Statement::given(text, calls, "app", "\"$user\", public")
    }
}

pub(crate) fn snapshot(tables: Vec<Table>, indexes: Vec<Index>, statements: Vec<Statement>) -> Snapshot {
    let setting = |value: &str| Setting { value: value.into(), unit: None, source: "default".into() };
    Snapshot {
        schema_version: 1,
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        server: Server {
            version_num: 150018,
            database: "shop".into(),
            user: "auditor".into(),
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
            settings: BTreeMap::from([("random_page_cost".into(), setting("4")), ("work_mem".into(), setting("4096"))]),
            extensions: Vec::new(),
        },
        tables,
        indexes,
        constraints: Vec::new(),
        views: Vec::new(),
        functions: Vec::new(),
        types: Vec::new(),
        extended_statistics: Vec::new(),
        policies: Vec::new(),
        nodes: Vec::new(),
        redacted: false,
        statements,
        statement_source: StatementSource::Available { evicted: 0, reset_at: None },
        hidden: Vec::new(),
    }
}

const TIME: &str = "timestamp with time zone";

/// A small sales application: users, prospects, campaigns, meetings, and a log with an oddly named index.
pub(crate) fn crm() -> Snapshot {
    let mut prospects = table(
        2,
        "prospects",
        100_000.0,
        2_500,
        &[
            Col("id", "bigint", -1.0, 1.0),
            Col("user_id", "bigint", 500.0, 0.02),
            Col("status", "text", 4.0, 0.4),
            Col("email", "text", -1.0, 0.0),
            Col("created_at", TIME, -1.0, 0.99),
            Col("score", "integer", 100.0, 0.0),
        ],
    );
    let status = prospects.columns[2].statistics.as_mut().unwrap();
    status.common_values = ["new", "contacted", "won", "lost"].map(String::from).to_vec();
    status.common_frequencies = vec![0.5, 0.3, 0.15, 0.05];
    let tables = vec![
        table(1, "users", 500.0, 10, &[Col("id", "bigint", -1.0, 1.0), Col("email", "text", -1.0, 0.0)]),
        prospects,
        table(
            3,
            "campaign_prospects",
            300_000.0,
            2_000,
            &[
                Col("id", "bigint", -1.0, 1.0),
                Col("campaign_id", "bigint", 300.0, 0.9),
                Col("prospect_id", "bigint", 90_000.0, 0.01),
                Col("status", "text", 5.0, 0.3),
                Col("created_at", TIME, -1.0, 0.99),
            ],
        ),
        table(
            4,
            "meetings",
            60_000.0,
            900,
            &[
                Col("id", "bigint", -1.0, 1.0),
                Col("user_id", "bigint", 500.0, 0.02),
                Col("prospect_id", "bigint", -0.5, 0.02),
                Col("scheduled_at", TIME, -0.9, 0.3),
            ],
        ),
        table(
            5,
            "ai_conversation_log",
            200_000.0,
            9_000,
            &[
                Col("id", "bigint", -1.0, 1.0),
                Col("user_id", "bigint", 500.0, 0.02),
                Col("body", "text", -1.0, 0.0),
                Col("created_at", TIME, -1.0, 0.99),
            ],
        ),
    ];
    let indexes = vec![
        index(15, 5, "idx_conversation_user_id", &["user_id"]),
        primary(11, 1, "users_pkey"),
        primary(12, 2, "prospects_pkey"),
        primary(13, 3, "campaign_prospects_pkey"),
        primary(14, 4, "meetings_pkey"),
        primary(16, 5, "ai_conversation_log_pkey"),
    ];
    snapshot(tables, indexes, Vec::new())
}

/// A B-tree on columns of a table of [`crm`].
pub(crate) fn candidate(table: &str, columns: &[&str]) -> Candidate {
    let oid = crm().tables.iter().find(|found| found.name.name == table).map_or(1, |found| found.oid);
    Candidate {
        table: oid,
        table_name: QualifiedName::new("public", table),
        method: "btree".into(),
        keys: columns.iter().map(|name| CandidateKey::column(*name)).collect(),
        included: Vec::new(),
        predicate: None,
    }
}

/// The same with statements of `(text, calls)`, one millisecond a call.
pub(crate) fn crm_running(statements: &[(&str, u64)]) -> Snapshot {
    let recorded =
        statements.iter().enumerate().map(|(at, (text, calls))| statement(at as u64 + 1, text, *calls, calls * 20, *calls as f64));
    Snapshot { statements: recorded.collect(), ..crm() }
}
