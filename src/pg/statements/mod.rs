//! A workload derived from what the server recorded of its statements: texts and weights from `pg_stat_statements`, values of
//! parameters from rows there are.
//!
//! Reads catalogs, prepares the texts and looks for a row in the tables values come from; changes nothing. The rows
//! themselves are drawn when the workload is replayed, as for any workload file.

mod clause;
mod generator;
mod parameters;
mod squashed;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Client;

use self::generator::{Generator, SampleText, SampleTexts, Spelled, plain};
use self::parameters::{Chooser, Chosen};
use crate::advisor::query::{Names, Query, Reading, read};
use crate::advisor::repair::query_of;
use crate::catalog::name::quoted;
use crate::catalog::statement::OWN_MARK;
use crate::catalog::{Oid, Relations, Statement, StatementSource, Table};
use crate::pg::snapshot::{Scope, SnapshotError, capture};
use crate::pg::twin::{prepared, type_names};
use crate::pg::{ConnectError, Source, connect};
use crate::replay::derived::SkippedStatements;
use crate::replay::{Derived, Recorded, Workload, WorkloadError};
use crate::sql::fingerprint;
use crate::stats::random;

/// The workload's name when it is given none.
pub const NAME: &str = "statements";

/// 30 s to prepare a text or find a row: longer means that something is wrong with the server. 2 s for a lock: whoever holds
/// one must not find us queueing behind it.
const SETTINGS: &str = "set default_transaction_read_only = on; set statement_timeout = '30s'; set lock_timeout = '2s'";

/// Why no workload could be derived.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The server was not reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The catalogs could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// There is nothing to derive from.
    #[error("derive a workload: {reason}. To enable it: {remedy}")]
    Missing {
        /// Why.
        reason: String,
        /// What to run.
        remedy: String,
    },
    /// No statement could be used.
    #[error("derive a workload: {0}")]
    Nothing(String),
    /// The server refused a question.
    #[error("derive a workload: {0}")]
    Query(#[from] tokio_postgres::Error),
    /// What was written is no workload; a defect.
    #[error("read the derived workload {0}")]
    Workload(#[from] WorkloadError),
    /// What was derived could not be written; a defect.
    #[error("write the derived workload: {0}")]
    Write(String),
}

/// The file.
#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    description: &'a str,
    derived: Derived,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    samples: BTreeMap<String, SampleText>,
    statements: Vec<StatementText>,
}

#[derive(Serialize)]
struct StatementText {
    name: String,
    weight: u64,
    recorded: Recorded,
    sql: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Spelled>,
}

/// Derives a workload from what the server recorded; its text is the workload file.
///
/// # Errors
/// [`DeriveError`]; statements that cannot be used are no error but counted in [`Workload::derived`], unless all are such.
pub async fn derive(source: &Source, name: &str, description: &str) -> Result<Workload, DeriveError> {
    let mut client = connect(source).await?;
    let snapshot = capture(&mut client, &Scope::default()).await?;
    let (evicted, since) = match &snapshot.statement_source {
        StatementSource::Available { evicted, reset_at } => (*evicted, *reset_at),
        StatementSource::Missing { reason, remedy } => {
            return Err(DeriveError::Missing { reason: reason.clone(), remedy: remedy.clone() });
        }
        StatementSource::File { .. } => (0, None),
    };
    client.batch_execute(SETTINGS).await?;
    let relations = Relations::new(&snapshot);
    let mut deriving = Deriving {
        client: &client,
        relations: &relations,
        names: Names::new(&relations),
        probes: HashMap::new(),
        samples: SampleTexts::default(),
    };
    let mut derived = Derived {
        from: "pg_stat_statements".to_owned(),
        database: snapshot.server.database.clone(),
        at: snapshot.taken_at,
        since,
        evicted,
        statements: 0,
        usable: 0,
        exec_time_share: None,
        skipped: Vec::new(),
        by_type: Vec::new(),
    };
    let mut statements: Vec<StatementText> = Vec::new();
    let (mut exec_ms_all, mut exec_ms_usable) = (0.0, 0.0);
    for statement in merged(&snapshot.statements) {
        let became = deriving.statement(&statement).await;
        if matches!(became, Became::NoWorkload) {
            continue;
        }
        derived.statements += 1;
        exec_ms_all += statement.exec_ms_total;
        match became {
            Became::NoWorkload => {}
            Became::Skipped(reason) => skip(&mut derived.skipped, reason, &statement),
            Became::Usable(text, by_type) => {
                derived.usable += 1;
                exec_ms_usable += statement.exec_ms_total;
                let name = add(&mut statements, text);
                if by_type && !derived.by_type.contains(&name) {
                    derived.by_type.push(name);
                }
            }
        }
    }
    derived.exec_time_share = (exec_ms_all > 0.0).then(|| exec_ms_usable / exec_ms_all);
    for skipped in &mut derived.skipped {
        skipped.exec_time_share = if exec_ms_all > 0.0 { skipped.exec_time_share / exec_ms_all } else { 0.0 };
    }
    derived.skipped.sort_by(|a, b| b.exec_time_share.total_cmp(&a.exec_time_share).then_with(|| a.reason.cmp(&b.reason)));
    if statements.is_empty() {
        return Err(DeriveError::Nothing(nothing(&derived)));
    }
    let document = Document { name, description, derived, samples: deriving.samples.finished(), statements };
    let text = serde_saphyr::to_string(&document).map_err(|error| DeriveError::Write(error.to_string()))?;
    Ok(Workload::parse(&text, name)?)
}

/// Adds a statement and returns its name. Texts that are the same once they are repaired are one statement: the server could not
/// tell their calls apart either.
fn add(statements: &mut Vec<StatementText>, mut text: StatementText) -> String {
    if let Some(known) = statements.iter_mut().find(|known| known.sql == text.sql) {
        known.recorded = known.recorded.with(&text.recorded);
        known.weight = known.recorded.calls;
        return known.name.clone();
    }
    let taken = |name: &str| statements.iter().any(|other| other.name == name);
    if taken(&text.name) {
        let mut numbered = (2..).map(|number| format!("{}_{number}", text.name));
        text.name = numbered.find(|name| !taken(name)).expect("some number is free");
    }
    statements.push(text);
    statements.last().expect("it was just added").name.clone()
}

/// Says why there is nothing to replay.
fn nothing(derived: &Derived) -> String {
    if derived.statements == 0 {
        return format!(
            "pg_stat_statements holds no statement of an application in {}. Let it run for a while, then derive again",
            derived.database
        );
    }
    let reasons: Vec<String> =
        derived.skipped.iter().map(|skipped| format!("\n{} of them: {}", skipped.statements, skipped.reason)).collect();
    format!("none of the {} recorded statements can be used{}", derived.statements, reasons.concat())
}

/// Adds a statement to those left out for the same reason; the share is still a time.
fn skip(skipped: &mut Vec<SkippedStatements>, reason: String, statement: &Statement) {
    match skipped.iter_mut().find(|known| known.reason == reason) {
        Some(known) => {
            known.statements += 1;
            known.calls = known.calls.saturating_add(statement.calls);
            known.exec_time_share += statement.exec_ms_total;
        }
        None => skipped.push(SkippedStatements { reason, statements: 1, calls: statement.calls, exec_time_share: statement.exec_ms_total }),
    }
}

/// Adds up what several roles did with the same text; statements within functions come with the call of the function.
fn merged(statements: &[Statement]) -> Vec<Statement> {
    let mut merged: Vec<Statement> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for statement in statements.iter().filter(|statement| statement.top_level && statement.calls > 0) {
        let known = statement.query.as_deref().and_then(|text| places.get(text));
        if let Some(known) = known.map(|place| &mut merged[*place]) {
            known.calls = known.calls.saturating_add(statement.calls);
            known.rows = known.rows.saturating_add(statement.rows);
            known.exec_ms_total += statement.exec_ms_total;
            known.shared_blocks_hit = known.shared_blocks_hit.saturating_add(statement.shared_blocks_hit);
            known.shared_blocks_read = known.shared_blocks_read.saturating_add(statement.shared_blocks_read);
        } else {
            if let Some(text) = statement.query.as_deref() {
                places.insert(text, merged.len());
            }
            merged.push(statement.clone());
        }
    }
    merged
}

/// What becomes of a statement.
enum Became {
    /// Nothing of an application's.
    NoWorkload,
    /// It cannot be replayed, and why.
    Skipped(String),
    /// It is in the workload; whether some value is only one of its type.
    Usable(StatementText, bool),
}

/// What a look at a column showed.
#[derive(Debug, Clone)]
enum Probe {
    Rows,
    Unusable(String),
}

struct Deriving<'a> {
    client: &'a Client,
    relations: &'a Relations<'a>,
    names: Names<'a>,
    probes: HashMap<(Oid, String), Probe>,
    samples: SampleTexts,
}

impl Deriving<'_> {
    async fn statement(&mut self, statement: &Statement) -> Became {
        let Some(recorded) = statement.query.as_deref().map(str::trim) else {
            let role = quoted(&self.relations.snapshot.server.user);
            return Became::Skipped(format!("the text is hidden from this role, or lost: grant pg_read_all_stats to {role}"));
        };
        let recorded = recorded.trim_end_matches(';').trim_end();
        let inner = query_of(recorded);
        let (text, query) = match self.understood(statement, inner) {
            Ok(Some(understood)) => understood,
            Ok(None) => return Became::NoWorkload,
            Err(reason) => return Became::Skipped(reason),
        };
        // What EXECUTE ran is recorded with the text of its PREPARE.
        if inner.len() < recorded.len() && !begins(recorded, "prepare") {
            return Became::Skipped(
                "it wraps a query (DECLARE, COPY, EXPLAIN, CREATE TABLE AS) and would be another one without".to_owned(),
            );
        }
        self.usable(statement, text, &query).await.unwrap_or_else(Became::Skipped)
    }

    /// Reads a text, its squashed lists written out; `None` for what is no workload.
    fn understood(&self, statement: &Statement, text: &str) -> Result<Option<(String, Query)>, String> {
        let lists = squashed::lists(text);
        // Once with lists of one value, to see what they are compared with, then with as many as the rows tell.
        let first = squashed::expanded(text, |_| 1);
        let Some(query) = self.read(statement, &first)? else { return Ok(None) };
        if lists.is_empty() {
            return Ok(Some((first, query)));
        }
        let lengths = {
            let chooser = Chooser::new(self.relations, &query);
            lists.iter().map(|number| (*number, chooser.list_length(*number) as usize)).collect::<HashMap<u32, usize>>()
        };
        let full = squashed::expanded(text, |number| lengths.get(&number).copied().unwrap_or(1));
        Ok(self.read(statement, &full)?.map(|query| (full, query)))
    }

    fn read(&self, statement: &Statement, text: &str) -> Result<Option<Query>, String> {
        match read(&self.names, text, &statement.search_path, &statement.user, &[]) {
            Reading::NotWorkload => Ok(None),
            Reading::Skipped(reason) => Err(reason),
            Reading::Understood { blocks, writes, parameters } => Ok(Some(Query {
                query_id: statement.query_id.clone(),
                text: text.to_owned(),
                user: statement.user.clone(),
                search_path: statement.search_path.clone(),
                calls: statement.calls,
                rows: statement.rows,
                exec_ms_total: statement.exec_ms_total,
                blocks,
                writes,
                parameters,
                captured: Vec::new(),
            })),
        }
    }

    async fn usable(&mut self, statement: &Statement, text: String, query: &Query) -> Result<Became, String> {
        let refused = |reason: String| format!("the server does not prepare it: {reason}");
        let (sql, prepared) = prepared(self.client, text).await.map_err(refused)?;
        let types = type_names(self.client, &prepared).await.map_err(refused)?;
        let Chosen { generators, by_type } = Chooser::new(self.relations, query).choose(&types)?;
        for generator in &generators {
            if let Generator::Rows { table, column, .. } = generator {
                self.probe(*table, column).await?;
            }
        }
        let table = |generator: &Generator| match generator {
            Generator::Rows { table, .. } => self.relations.table(*table),
            _ => None,
        };
        let args = generators.iter().map(|generator| self.samples.spell(generator, table(generator))).collect();
        let calls = statement.calls as f64;
        let recorded = Recorded {
            calls: statement.calls,
            rows: statement.rows as f64 / calls,
            blocks: statement.shared_blocks_hit.saturating_add(statement.shared_blocks_read) as f64 / calls,
            exec_ms: statement.exec_ms_total / calls,
        };
        let name = self.name(query, &sql);
        Ok(Became::Usable(StatementText { name, weight: statement.calls, recorded, sql, args }, by_type))
    }

    /// Looks whether a column has rows to take values from.
    async fn probe(&mut self, table: Oid, column: &str) -> Result<(), String> {
        let key = (table, column.to_owned());
        let probe = match self.probes.get(&key) {
            Some(known) => known.clone(),
            None => {
                let probe = match self.relations.table(table) {
                    Some(table) => look(self.client, table, column).await,
                    None => Probe::Unusable("a table it reads is gone".to_owned()),
                };
                self.probes.insert(key, probe.clone());
                probe
            }
        };
        match probe {
            Probe::Rows => Ok(()),
            Probe::Unusable(reason) => Err(reason),
        }
    }

    /// Names a statement by what it does, and a mark of its text that the same statement has in every run.
    fn name(&self, query: &Query, sql: &str) -> String {
        let words = ["select", "insert", "update", "delete", "merge"];
        let written = query.writes.first().map(|write| write.table);
        let read = query.blocks.iter().flat_map(|block| &block.accesses).map(|access| access.table).next();
        let table =
            written.or(read).and_then(|table| self.relations.table(table)).map_or_else(String::new, |table| plain(&table.name.name));
        let verb = if written.is_some() { words[1..].iter().find(|word| has_word(sql, word)) } else { None };
        let mark = random::stream(&fingerprint(sql)) & 0xffff;
        format!("{}_{table}_{mark:04x}", verb.unwrap_or(&"select"))
    }
}

/// Returns whether the text begins with a word.
fn begins(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').any(|found| found.eq_ignore_ascii_case(word))
}

/// Asks for one row of a column.
async fn look(client: &Client, table: &Table, column: &str) -> Probe {
    let name = &table.name;
    let known = table.columns.iter().find(|known| known.name == column).and_then(|known| known.statistics.as_ref());
    if known.is_some_and(|known| known.null_fraction >= 1.0) {
        return Probe::Unusable(format!("column {} of table {name} holds nothing but nulls: there are no values to take", quoted(column)));
    }
    match client.query(&format!("select {OWN_MARK} t.{} from {name} t limit 1", quoted(column)), &[]).await {
        Ok(rows) if rows.is_empty() => Probe::Unusable(format!("table {name} is empty: there are no values to take")),
        Ok(_) => Probe::Rows,
        Err(error) => {
            let said = error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
            Probe::Unusable(format!("table {name} cannot be read: {said}"))
        }
    }
}

/// Says what a derived workload holds, as one line.
pub fn described(workload: &Workload) -> Option<String> {
    let derived = workload.derived.as_ref()?;
    let since = derived.since.map_or_else(String::new, |since: Timestamp| format!(" since {since}"));
    let share = derived.exec_time_share.map_or_else(String::new, |share| format!(", {:.1} % of the execution time", 100.0 * share));
    Some(format!("{} of {} statements recorded{since}{share}", derived.usable, derived.statements))
}
