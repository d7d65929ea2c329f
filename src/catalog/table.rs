//! Tables, their columns and what the statistics say of both.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Oid, QualifiedName};

/// What kind of relation a [`Table`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// An ordinary table, also one that is a partition.
    Table,
    /// A partitioned table: it has no storage of its own.
    Partitioned,
    /// A materialized view.
    MaterializedView,
}

/// A table, partitioned table or materialized view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its oid.
    pub oid: Oid,
    /// Its schema and name.
    pub name: QualifiedName,
    /// What it is.
    pub kind: TableKind,
    /// The partitioned table or inheritance parent it belongs to.
    pub parent: Option<Oid>,
    /// Whether it is a partition (and not merely an inheritance child).
    pub is_partition: bool,
    /// `pg_class.reltuples`: rows as last counted by VACUUM or ANALYZE; `None` when never.
    pub rows: Option<f64>,
    /// `pg_class.relpages`: pages as last counted; compare with `heap_bytes`, which is now.
    pub pages: u64,
    /// `pg_class.relallvisible`.
    pub pages_all_visible: u64,
    /// The main fork's size now.
    pub heap_bytes: u64,
    /// Heap, TOAST, maps and indexes together, now.
    pub total_bytes: u64,
    /// `CREATE UNLOGGED TABLE` or temporary (`u`, `t`) against permanent (`p`).
    pub persistence: String,
    /// Storage parameters: `fillfactor=90`.
    pub options: Vec<String>,
    /// The replica identity: `d` default, `n` nothing, `f` full, `i` index.
    pub replica_identity: String,
    /// `PARTITION BY` of a partitioned table, as `pg_get_partkeydef` prints it.
    #[serde(default)]
    pub partition_key: Option<String>,
    /// `FOR VALUES …` of a partition.
    #[serde(default)]
    pub partition_bound: Option<String>,
    /// Whether row security is enabled.
    #[serde(default)]
    pub row_security: bool,
    /// The extension that owns the table.
    pub extension: Option<String>,
    /// Live columns in `attnum` order.
    pub columns: Vec<Column>,
    /// What the statistics collector counted.
    pub usage: TableUsage,
}

/// `pg_stat_user_tables` and `pg_statio_user_tables` of one table, counted since the statistics were reset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableUsage {
    /// Sequential scans started.
    pub seq_scans: u64,
    /// Live rows read by them.
    pub seq_rows_read: u64,
    /// Index scans started.
    pub index_scans: u64,
    /// Live rows fetched by them.
    pub index_rows_fetched: u64,
    /// Rows inserted.
    pub rows_inserted: u64,
    /// Rows updated, HOT or not.
    pub rows_updated: u64,
    /// Rows updated in place of an index entry (heap-only tuples).
    pub rows_hot_updated: u64,
    /// Rows deleted.
    pub rows_deleted: u64,
    /// Estimated live rows now.
    pub live_rows: u64,
    /// Estimated dead rows now.
    pub dead_rows: u64,
    /// Rows changed since the last ANALYZE.
    pub modified_since_analyze: u64,
    /// The later of manual and automatic VACUUM.
    pub last_vacuum_at: Option<Timestamp>,
    /// The later of manual and automatic ANALYZE.
    pub last_analyze_at: Option<Timestamp>,
    /// Heap pages read from outside shared buffers.
    pub heap_blocks_read: u64,
    /// Heap pages found in shared buffers.
    pub heap_blocks_hit: u64,
}

/// A live column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// `attnum`.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// The type as `format_type` writes it, with its modifier: `character varying(20)`.
    pub type_name: String,
    /// `pg_type.typcategory` of the type or, for a domain, of its base: `N` numbers, `S` strings, `D` dates, `B` boolean, `A` arrays, `U` the rest.
    pub type_category: String,
    /// `attlen`: bytes, or -1 for a varlena, -2 for a C string.
    pub type_length: i16,
    /// `attalign`: `c` 1, `s` 2, `i` 4, `d` 8 bytes.
    pub type_alignment: String,
    /// Whether the type has a default B-tree operator class.
    pub btree: bool,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// The collation when it is not the database's default, quoted and, outside `pg_catalog`, with its schema: `"C"`, `shop.german`.
    pub collation: Option<String>,
    /// The default or generation expression.
    pub default: Option<String>,
    /// Whether the generated value is computed on reading (`VIRTUAL`, 18 and later).
    #[serde(default)]
    pub generated_virtual: bool,
    /// Whether it is an identity column, whose values come from a sequence of its own.
    #[serde(default)]
    pub identity: bool,
    /// Whether the expression generates the column (`GENERATED ALWAYS AS … STORED`).
    pub generated: bool,
    /// What ANALYZE found; `None` when never analysed or not readable by this role.
    pub statistics: Option<ColumnStatistics>,
    /// What ANALYZE found in the table and its children together; the only ones a partitioned table has.
    #[serde(default)]
    pub statistics_inherited: Option<ColumnStatistics>,
}

/// A row of `pg_stats`; values are kept as the text the server printed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// The type of an index expression's values, as `format_type` writes it; `None` for a column, which has its own, and where unknown.
    #[serde(default)]
    pub type_name: Option<String>,
    /// The share of NULLs, 0 to 1.
    pub null_fraction: f64,
    /// The mean width in bytes.
    pub width: u32,
    /// `n_distinct`: a count when positive, minus a share of the rows when negative.
    pub distinct: f64,
    /// Most common values, most frequent first.
    pub common_values: Vec<String>,
    /// The share of each of `common_values`, 0 to 1.
    pub common_frequencies: Vec<f64>,
    /// Bounds of equally filled buckets over the values that are not common, ascending.
    pub histogram: Vec<String>,
    /// Order on disk against order of values, -1 to 1; `None` for types without an order.
    pub correlation: Option<f64>,
    /// What is known of elements, for arrays and tsvector.
    pub elements: Option<ElementStatistics>,
    /// What is known of ranges (17 and later; before, where the role may read `pg_statistic`).
    #[serde(default)]
    pub ranges: Option<RangeStatistics>,
}

/// Statistics over range values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RangeStatistics {
    /// Lengths of the ranges, ascending.
    pub length_histogram: Vec<f64>,
    /// The share of empty ranges, 0 to 1.
    pub empty_fraction: Option<f64>,
    /// Bounds, as ranges made of the n-th lower and n-th upper bound.
    pub bounds_histogram: Vec<String>,
}

/// Statistics over the elements of arrays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ElementStatistics {
    /// Most common elements.
    pub common_values: Vec<String>,
    /// Shares of the rows that hold each, then minimum, maximum and optionally the null share.
    pub common_frequencies: Vec<f64>,
    /// Distinct element counts, then their mean.
    pub count_histogram: Vec<f64>,
}

impl Table {
    /// Returns the rows the planner would assume: the density at the last count times the pages there are now.
    ///
    /// Falls back to the collector's live rows where the table was never counted.
    pub fn rows_now(&self) -> f64 {
        let pages_now = self.heap_bytes as f64 / crate::units::PAGE_BYTES as f64;
        match self.rows {
            Some(rows) if self.pages > 0 && pages_now > 0.0 => rows / self.pages as f64 * pages_now,
            Some(rows) if rows > 0.0 => rows,
            _ => self.usage.live_rows as f64,
        }
    }

    /// Returns the column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl ColumnStatistics {
    /// Returns the number of distinct values other than NULL in a table of `rows` rows, at least 1.
    pub fn distinct_values(&self, rows: f64) -> f64 {
        let count = if self.distinct < 0.0 { -self.distinct * rows } else { self.distinct };
        count.clamp(1.0, rows.max(1.0))
    }
}
