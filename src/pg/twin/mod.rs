//! The statistics twin: a throwaway local server that plans as the audited one would, with its statistics and none of its data.
//!
//! The schema is rebuilt on empty tables, the statistics are the audited server's, and each relation's file has the right
//! length and no content. Existing and candidate indexes are shown to the planner and hidden from it by a flag in the
//! catalog. The audited server is never asked to plan anything: `EXPLAIN` there would count as index usage.

mod build;
mod candidates;
mod clock;
mod combinations;
mod ends;
mod error;
mod explain;
mod expressions;
mod extended;
mod files;
mod model;
mod page;
mod place;
mod runs;
mod schema;
mod session;
mod settings;
mod start;
mod statistics;
mod texts;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use error::TwinError;
pub use explain::Explained;
pub(in crate::pg) use texts::{prepared, type_names};

use self::build::RelationsHere;
use self::files::Wanted;
use self::session::Visible;
use self::texts::Texts;
use self::worker::Worker;
use super::Cluster;
use super::binaries::Binaries;
use crate::advisor::query::Query;
use crate::advisor::{Ask, Candidate, Configuration, NotPlannable};
use crate::catalog::{Index, Oid, Relations, Snapshot, Table};
use crate::units::PAGE_BYTES;

/// What a twin is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// The local server's programs; best of the audited server's major version.
    pub binaries: Binaries,
    /// How many plans are made at the same time; each worker has a database of its own.
    pub workers: usize,
    /// After this time [`CostModel::out_of_time`](crate::advisor::CostModel::out_of_time) says so; `None` for never.
    pub time_max: Option<Duration>,
}

/// Something of the audited database that the twin lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmodelled {
    /// What it is: `extension`, `table`, `statistics`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why, in the local server's words.
    pub reason: String,
    /// Tables whose statements may be priced wrongly for it, by the snapshot's oids.
    pub tables: BTreeSet<Oid>,
}

/// A running twin; dropping it stops its server and removes its files.
#[derive(Debug)]
pub struct Twin {
    // Workers end before their server: fields are dropped in order.
    workers: Vec<Worker>,
    _cluster: Cluster,
    snapshot: Arc<Snapshot>,
    version: String,
    local_major: u32,
    unmodelled: Vec<Unmodelled>,
    caveats: Vec<String>,
    /// Plans asked for.
    asked: usize,
    begun: Instant,
    time_max: Option<Duration>,
    /// The number the next candidate gets; numbers are not used again.
    next_number: usize,
    numbers: BTreeMap<Arc<Candidate>, usize>,
    built: HashMap<usize, (Arc<Candidate>, u64)>,
    refused: BTreeMap<Arc<Candidate>, NotPlannable>,
    texts: HashMap<TextKey, Result<Arc<Texts>, NotPlannable>>,
}

/// What decides a statement's texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TextKey {
    text: String,
    search_path: String,
    user: String,
    query_id: Option<String>,
}

impl Twin {
    /// Starts a local server and makes it plan like the snapshot's; takes seconds and must not run on an async executor's thread.
    ///
    /// # Errors
    /// [`TwinError`] when the server does not start; an object that cannot be rebuilt is no error but [`Twin::unmodelled`].
    pub fn start(snapshot: &Snapshot, options: &Options) -> Result<Self, TwinError> {
        start::start(snapshot, options)
    }

    /// Plans a text with its values in it under a configuration.
    ///
    /// # Errors
    /// [`NotPlannable`] with the server's reason.
    pub fn explain(&mut self, sql: &str, search_path: &str, configuration: &Configuration) -> Result<Explained, NotPlannable> {
        let visible = self.visible(configuration)?;
        let (sql, search_path) = (sql.to_owned(), search_path.to_owned());
        let job = self.workers[0].send(move |runtime, session| runtime.block_on(session.explain(&sql, &search_path, &visible)));
        match worker::answer(&job) {
            Ok(answer) => answer.map_err(|reason| NotPlannable { reason }),
            Err(error) => Err(NotPlannable { reason: error.to_string() }),
        }
    }

    /// Plans a text with its values in it as the database stands, and returns the plan as `EXPLAIN (VERBOSE, FORMAT JSON)` prints it.
    ///
    /// # Errors
    /// [`NotPlannable`] with the server's reason.
    pub fn document(&mut self, sql: &str, search_path: &str) -> Result<serde_json::Value, NotPlannable> {
        let (sql, search_path) = (sql.to_owned(), search_path.to_owned());
        let job = self.workers[0].send(move |runtime, session| runtime.block_on(session.document(&sql, &search_path)));
        let refused = |reason: String| NotPlannable { reason };
        let json = worker::answer(&job).map_err(|error| refused(error.to_string()))?.map_err(refused)?;
        serde_json::from_str(&json).map_err(|error| refused(error.to_string()))
    }

    /// Returns the texts a statement is planned as, its values put in, each with its share of the calls: one for each set of values.
    ///
    /// # Errors
    /// [`NotPlannable`] when the server does not take the text.
    pub fn texts(&mut self, query: &Query) -> Result<Vec<(f64, String)>, NotPlannable> {
        self.read_texts(&[Ask { query, configuration: Configuration::default() }]);
        match self.texts.get(&model::key(query)) {
            Some(Ok(texts)) => Ok(texts.sets.iter().map(|set| (set.weight, set.sql.clone())).collect()),
            Some(Err(refusal)) => Err(refusal.clone()),
            None => Ok(Vec::new()),
        }
    }

    /// Returns how many plans were asked for so far, each statement and configuration counted once.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// Returns what the twin lacks.
    pub fn unmodelled(&self) -> &[Unmodelled] {
        &self.unmodelled
    }

    /// Translates a configuration; candidates not yet built are built.
    fn visible(&mut self, configuration: &Configuration) -> Result<Visible, NotPlannable> {
        let missing: Vec<Arc<Candidate>> =
            configuration.created.iter().filter(|candidate| !self.numbers.contains_key(*candidate)).cloned().collect();
        if !missing.is_empty() {
            self.build(&missing);
        }
        let mut created = Vec::with_capacity(configuration.created.len());
        for candidate in &configuration.created {
            match self.numbers.get(candidate) {
                Some(number) => created.push(*number),
                None => {
                    let reason = self.refused.get(candidate).map_or("it was not built", |refused| refused.reason.as_str());
                    return Err(NotPlannable { reason: format!("its configuration holds an index that cannot be built: {reason}") });
                }
            }
        }
        created.sort_unstable();
        Ok(Visible { hidden: configuration.hidden.iter().copied().collect(), created })
    }
}

/// Returns the file each relation of the snapshot should have.
fn lengths(snapshot: &Snapshot, here: &RelationsHere) -> Vec<Wanted> {
    let relations = Relations::new(snapshot);
    let file = |path: &Option<String>, bytes: u64, height: Option<u32>| {
        Some(Wanted { path: PathBuf::from(path.as_ref()?), pages: bytes.div_ceil(PAGE_BYTES), height })
    };
    let tables = snapshot.tables.iter().filter_map(|table| file(&here.get(&table.name)?.path, table.heap_bytes, None));
    let indexes = snapshot.indexes.iter().filter_map(|index| {
        let relation = here.get(&index.name)?;
        let tree = relation.access_method == "btree";
        let height = tree.then(|| page::height(index.size_bytes.div_ceil(PAGE_BYTES), key_bytes(relations.table(index.table), index)));
        file(&relation.path, index.size_bytes, height)
    });
    tables.chain(indexes).collect()
}

/// Returns the mean bytes of an index's keys together.
fn key_bytes(table: Option<&Table>, index: &Index) -> f64 {
    let mut expressions = index.expression_statistics.iter();
    let width = |key: &crate::catalog::Key| match key.target.column() {
        Some(column) => table.and_then(|table| table.column(column)).map_or(UNKNOWN_WIDTH, column_bytes),
        None => expressions.next().and_then(Option::as_ref).map_or(UNKNOWN_WIDTH, |found| f64::from(found.width)),
    };
    index.keys.iter().map(width).sum()
}

/// Bytes of a value of unknown width: the planner's own guess.
const UNKNOWN_WIDTH: f64 = 32.0;

/// Returns the mean bytes of a column's values.
fn column_bytes(column: &crate::catalog::Column) -> f64 {
    let statistics = column.statistics.as_ref().or(column.statistics_inherited.as_ref());
    if column.type_length > 0 { f64::from(column.type_length) } else { statistics.map_or(UNKNOWN_WIDTH, |found| f64::from(found.width)) }
}
