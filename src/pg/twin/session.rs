//! One worker's database: which indexes the planner sees in it, and what it answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::build::{self, RelationsHere};
use super::clock;
use super::error::{TwinError, said, while_doing};
use super::explain::{self, Explained, Priced};
use super::files::{self, Wanted};
use super::texts::{self, Texts};
use crate::advisor::query::Query;
use crate::catalog::name::quoted;
use crate::catalog::{Oid, QualifiedName, Snapshot};
use crate::pg::{Source, connect};
use crate::sql::wrapped::query_of;

/// 5 s for one plan: planning takes milliseconds; what takes longer runs a function that reads an endless empty table.
const STATEMENT_TIMEOUT: &str = "5s";

/// Plans asked for in one message: beyond so many, the way there and back no longer counts.
const BATCH: usize = 16;

/// Messages on their way to the server at once: it plans the next while we read the last answer.
const IN_FLIGHT: usize = 2;

/// An index as the twin's owner knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Known {
    /// One of the snapshot, by its oid there.
    Existing(Oid),
    /// A candidate by its number.
    Candidate(usize),
}

/// Which indexes the planner is to see: sorted, by the snapshot's oids and by candidates' numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Visible {
    /// Existing indexes to hide.
    pub(super) hidden: Vec<Oid>,
    /// Candidates to show.
    pub(super) created: Vec<usize>,
}

/// One question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The statement, ready to be explained.
    pub(super) texts: Arc<Texts>,
    /// The indexes.
    pub(super) visible: Arc<Visible>,
}

/// The answer to a question about a statement with several sets of values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// The mean cost.
    pub(super) cost: f64,
    /// Indexes used for any of the sets.
    pub(super) used: Vec<Known>,
    /// Why the cost may differ from the server's.
    pub(super) approximate: Option<String>,
}

/// A worker's connection and what it knows of its database.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) source: Source,
    pub(super) data: PathBuf,
    pub(super) snapshot: Arc<Snapshot>,
    client: Option<Client>,
    /// The relations of this database.
    pub(super) here: RelationsHere,
    /// Indexes whose validity is the opposite of what it is at rest, by oid here.
    flipped: BTreeSet<Oid>,
    /// Oids here of each existing index and its partitions' parts.
    existing: HashMap<Oid, Vec<Oid>>,
    /// Oids here of each candidate and its partitions' parts.
    pub(super) candidates: BTreeMap<usize, Vec<Oid>>,
    /// What an index's schema and name in a plan stand for.
    names: HashMap<(String, String), Known>,
    /// What its name alone stands for; `None` when several schemas have one of that name.
    bare_names: HashMap<String, Option<Known>>,
    /// Search path and role in force.
    context: (String, Option<String>),
}

impl Session {
    /// Prepares a session on a database that was copied from the built one.
    pub(super) fn new(source: Source, data: PathBuf, snapshot: Arc<Snapshot>) -> Self {
        Self {
            source,
            data,
            snapshot,
            client: None,
            here: RelationsHere::new(),
            flipped: BTreeSet::new(),
            existing: HashMap::new(),
            candidates: BTreeMap::new(),
            names: HashMap::new(),
            bare_names: HashMap::new(),
            context: (String::new(), None),
        }
    }

    /// Learns what is in the database and gives every file its length.
    pub(super) async fn open(&mut self) -> Result<(), TwinError> {
        // Reading the catalog opens no file of a user's relation, so none is remembered at its old length.
        self.here = build::relations(self.client().await?).await?;
        self.close();
        let wanted = super::lengths(&self.snapshot, &self.here);
        self.shape(&wanted)?;
        let parents: HashMap<Oid, Option<Oid>> = self.snapshot.indexes.iter().map(|index| (index.oid, index.parent)).collect();
        let mut unusable = BTreeSet::new();
        let snapshot = Arc::clone(&self.snapshot);
        for index in &snapshot.indexes {
            let Some(relation) = self.here.get(&index.name).cloned() else { continue };
            self.learn(&index.name, Known::Existing(index.oid));
            if !index.usable() {
                unusable.insert(relation.oid);
            }
            // A part of a partitioned index is hidden with it.
            for whole in std::iter::successors(Some(index.oid), |oid| parents.get(oid).copied().flatten()).take(32) {
                self.existing.entry(whole).or_default().push(relation.oid);
            }
        }
        // Hidden as they are, a flip would show them.
        self.existing.values_mut().for_each(|oids| oids.retain(|oid| !unusable.contains(oid)));
        Ok(())
    }

    /// Makes files look as wanted; no session may have them open.
    pub(super) fn shape(&self, wanted: &[Wanted]) -> Result<(), TwinError> {
        for file in wanted {
            files::shape(&self.data, file).map_err(|source| TwinError::File { path: file.path.display().to_string(), source })?;
        }
        Ok(())
    }

    /// Returns the connection, making it when there is none.
    ///
    /// Compilation is off: it has no part in costs, and `EXPLAIN` would compile expressions of dear plans without running them.
    pub(super) async fn client(&mut self) -> Result<&Client, TwinError> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            let client = connect(&self.source).await?;
            let settings = format!(
                "set statement_timeout = '{STATEMENT_TIMEOUT}'; set plan_cache_mode = force_generic_plan; set client_min_messages = error; set jit = off"
            );
            client.batch_execute(&settings).await.map_err(while_doing("prepare a session"))?;
            self.context = (String::new(), None);
            self.client = Some(client);
        }
        Ok(self.client.as_ref().expect("it was just made"))
    }

    /// Ends the connection and waits until the server has forgotten it.
    pub(super) fn close(&mut self) {
        self.client = None;
    }

    /// Learns the name of an index of a candidate.
    pub(super) fn name(&mut self, name: &QualifiedName, number: usize) {
        self.learn(name, Known::Candidate(number));
    }

    fn learn(&mut self, name: &QualifiedName, known: Known) {
        self.names.insert((name.schema.clone(), name.name.clone()), known);
        let bare = self.bare_names.entry(name.name.clone()).or_insert(Some(known));
        *bare = bare.filter(|found| *found == known);
    }

    /// Returns what a plan calls so.
    fn known(&self, (schema, name): &(String, String)) -> Option<Known> {
        if schema.is_empty() {
            self.bare_names.get(name).copied().flatten()
        } else {
            self.names.get(&(schema.clone(), name.clone())).copied()
        }
    }

    /// Returns how plans are asked for: with schemas (and every column read, which takes time to print) only where two indexes share a name.
    fn explaining(&self) -> &'static str {
        let ambiguous = self.bare_names.values().any(Option::is_none);
        if ambiguous { "explain (format json, verbose)" } else { "explain (format json)" }
    }

    /// Forgets candidates and drops their indexes.
    pub(super) async fn forget(&mut self, numbers: &[usize]) -> Result<(), TwinError> {
        let oids: BTreeSet<Oid> = numbers.iter().filter_map(|number| self.candidates.get(number)).flatten().copied().collect();
        let names: Vec<String> = self
            .names
            .iter()
            .filter(|(_, known)| matches!(known, Known::Candidate(number) if numbers.contains(number)))
            .map(|((schema, name), _)| QualifiedName::new(schema, name))
            // The server drops the parts with the whole.
            .filter(|name| self.here.get(name).is_some_and(|relation| relation.parent.is_none()))
            .map(|name| name.to_string())
            .collect();
        self.within("", &None).await?;
        let client = self.client().await?;
        for names in names.chunks(100) {
            client.batch_execute(&format!("drop index if exists {}", names.join(", "))).await.map_err(while_doing("drop candidates"))?;
        }
        self.flipped.retain(|oid| !oids.contains(oid));
        let numbers: BTreeSet<usize> = numbers.iter().copied().collect();
        let dropped = |known: &Known| matches!(known, Known::Candidate(number) if numbers.contains(number));
        self.names.retain(|_, known| !dropped(known));
        self.bare_names.clear();
        let names: Vec<(QualifiedName, Known)> =
            self.names.iter().map(|((schema, name), known)| (QualifiedName::new(schema, name), *known)).collect();
        names.iter().for_each(|(name, known)| self.learn(name, *known));
        self.candidates.retain(|number, _| !numbers.contains(number));
        Ok(())
    }

    /// Shows the planner exactly these indexes. Each flip commits on its own, so that the server can prune the old row versions.
    ///
    /// A hidden unique index proves nothing any more, as if it were dropped: the planner skips it before it looks at uniqueness.
    pub(super) async fn show(&mut self, visible: &Visible) -> Result<(), TwinError> {
        let hidden = visible.hidden.iter().filter_map(|oid| self.existing.get(oid)).flatten();
        let created = visible.created.iter().filter_map(|number| self.candidates.get(number)).flatten();
        let wanted: BTreeSet<Oid> = hidden.chain(created).copied().collect();
        let mut list = String::new();
        for oid in self.flipped.symmetric_difference(&wanted) {
            let _ = write!(list, "{}{oid}", if list.is_empty() { "" } else { ", " });
        }
        if list.is_empty() {
            return Ok(());
        }
        self.as_superuser().await?;
        let sql = format!("update pg_catalog.pg_index set indisvalid = not indisvalid where indexrelid in ({list})");
        self.client().await?.batch_execute(&sql).await.map_err(while_doing("switch indexes"))?;
        self.flipped = wanted;
        Ok(())
    }

    async fn as_superuser(&mut self) -> Result<(), TwinError> {
        let path = self.context.0.clone();
        self.within(&path, &None).await
    }

    /// Sets the search path and the role a statement runs with.
    pub(super) async fn within(&mut self, search_path: &str, role: &Option<String>) -> Result<(), TwinError> {
        let context = (search_path.to_owned(), role.clone());
        self.client().await?;
        if self.context == context {
            return Ok(());
        }
        let role = role.as_deref().map_or_else(|| "none".to_owned(), quoted);
        let path = if search_path.trim().is_empty() { "pg_catalog" } else { search_path };
        let clock = clock::SCHEMA;
        // The recorded path is a list as SET takes it; one that is none leaves the default.
        let sql = format!("set role {role}; set search_path = {clock}, pg_catalog, {path}");
        if self.client().await?.batch_execute(&sql).await.is_err() {
            let sql = format!("set role {role}; set search_path = {clock}, pg_catalog, public");
            self.client().await?.batch_execute(&sql).await.map_err(while_doing("set the search path"))?;
        }
        self.context = context;
        Ok(())
    }

    /// Answers questions in their order.
    pub(super) async fn answer(&mut self, questions: &[Question]) -> Vec<Result<Answer, String>> {
        let mut answers = Vec::with_capacity(questions.len());
        let same = |a: &Question, b: &Question| {
            a.visible == b.visible && a.texts.search_path == b.texts.search_path && a.texts.role == b.texts.role
        };
        for run in questions.chunk_by(same) {
            answers.extend(self.answer_run(run).await);
        }
        answers
    }

    /// Answers questions that share indexes, search path and role.
    async fn answer_run(&mut self, run: &[Question]) -> Vec<Result<Answer, String>> {
        let texts = &run[0].texts;
        let ready = async {
            self.show(&run[0].visible).await?;
            self.within(&texts.search_path, &texts.role).await
        };
        if let Err(error) = ready.await {
            return run.iter().map(|_| Err(error.to_string())).collect();
        }
        let Some(client) = &self.client else { return run.iter().map(|_| Err("no connection".to_owned())).collect() };
        let explain = self.explaining();
        let sqls: Vec<&str> = run.iter().flat_map(|question| question.texts.sets.iter().map(|set| set.sql.as_str())).collect();
        let batches = stream::iter(sqls.chunks(BATCH)).map(|batch| priced(client, explain, batch)).buffered(IN_FLIGHT);
        let mut plans = batches.flat_map(stream::iter);
        let mut answers = Vec::with_capacity(run.len());
        for question in run {
            let mut found = Vec::with_capacity(question.texts.sets.len());
            for set in &question.texts.sets {
                found.push((set.weight, plans.next().await.unwrap_or_else(|| Err("no answer".to_owned()))));
            }
            answers.push((question, found));
        }
        drop(plans);
        let mut complete = Vec::with_capacity(run.len());
        for (question, found) in answers {
            complete.push(self.fold(question, found).await);
        }
        complete
    }

    /// Folds the plans of a statement's value sets into one answer; where none could be planned, the generic plan answers.
    async fn fold(&self, question: &Question, found: Vec<(f64, Result<Priced, String>)>) -> Result<Answer, String> {
        let mut approximate = question.texts.approximate.clone();
        let mut reason = None;
        let mut plans = Vec::with_capacity(found.len());
        for (weight, plan) in found {
            match plan {
                Ok(plan) => plans.push((weight, plan)),
                Err(error) => reason = reason.or(Some(error)),
            }
        }
        if plans.is_empty()
            && let (Some(generic), Some(client)) = (&question.texts.generic, &self.client)
        {
            plans.push((1.0, generically(client, generic).await.map_err(|error| reason.unwrap_or(error))?));
            approximate = Some("generic plan".to_owned());
        } else if plans.is_empty() {
            return Err(reason.unwrap_or_else(|| "no values to plan it with".to_owned()));
        }
        let weight: f64 = plans.iter().map(|(weight, _)| weight).sum();
        let cost = plans.iter().map(|(weight, plan)| weight * plan.cost).sum::<f64>() / weight.max(f64::MIN_POSITIVE);
        let used: BTreeSet<Known> = plans.iter().flat_map(|(_, plan)| &plan.indexes).filter_map(|name| self.known(name)).collect();
        Ok(Answer { cost, used: used.into_iter().collect(), approximate })
    }

    /// Makes the texts of statements.
    pub(super) async fn texts(&mut self, queries: Vec<(Query, Option<String>)>) -> Vec<Result<Texts, String>> {
        let mut found = Vec::with_capacity(queries.len());
        for (query, role) in queries {
            found.push(self.texts_of(&query, role).await);
        }
        found
    }

    async fn texts_of(&mut self, query: &Query, role: Option<String>) -> Result<Texts, String> {
        self.show(&Visible::default()).await.map_err(|error| error.to_string())?;
        self.within(&query.search_path, &role).await.map_err(|error| error.to_string())?;
        let snapshot = Arc::clone(&self.snapshot);
        texts::of_query(self.client().await.map_err(|error| error.to_string())?, &snapshot, query, role).await
    }

    /// Plans a statement for its conditions' sake: without indexes where the server can do without, for all values, all partitions there.
    pub(super) async fn plan_of_unread(&mut self, query: &Query) -> Result<String, String> {
        let bare = Visible { hidden: self.existing.keys().copied().collect(), created: Vec::new() };
        let mut last = String::new();
        // `ON CONFLICT` needs its unique index.
        for visible in [bare, Visible::default()] {
            self.show(&visible).await.map_err(|error| error.to_string())?;
            self.within(&query.search_path, &None).await.map_err(|error| error.to_string())?;
            let client = self.client().await.map_err(|error| error.to_string())?;
            let text = query_of(query.text.trim().trim_end_matches(';')).to_owned();
            let (text, statement) = texts::prepared(client, text).await?;
            let parameters = statement.params().len();
            // Not by way of PREPARE where nothing is open: it takes fewer kinds of statement than EXPLAIN.
            let explain = if parameters == 0 {
                format!("explain (format json, verbose) {text}")
            } else {
                executed(&super::texts::Generic { sql: text, parameters })
            };
            let answer = client.simple_query(&format!("set enable_partition_pruning = off; {explain}")).await;
            let reset = client.batch_execute("reset enable_partition_pruning").await;
            match answer.and_then(|answer| reset.map(|()| answer)) {
                Ok(messages) => {
                    return first_value(&messages).map(str::to_owned).ok_or_else(|| "the server gave no plan for it".to_owned());
                }
                Err(error) => last = said(&error),
            }
        }
        Err(last)
    }

    /// Explains one text under these indexes.
    pub(super) async fn explain(&mut self, sql: &str, search_path: &str, visible: &Visible) -> Result<Explained, String> {
        self.show(visible).await.map_err(|error| error.to_string())?;
        self.within(search_path, &None).await.map_err(|error| error.to_string())?;
        explained(self.client().await.map_err(|error| error.to_string())?, sql).await
    }

    /// Explains one text under the indexes that exist, and returns the server's whole answer.
    pub(super) async fn document(&mut self, sql: &str, search_path: &str) -> Result<String, String> {
        self.show(&Visible::default()).await.map_err(|error| error.to_string())?;
        self.within(search_path, &None).await.map_err(|error| error.to_string())?;
        let client = self.client().await.map_err(|error| error.to_string())?;
        let messages = client.simple_query(&format!("explain (format json, verbose) {sql}")).await.map_err(|error| said(&error))?;
        first_value(&messages).map(str::to_owned).ok_or_else(|| "the server gave no plan for it".to_owned())
    }
}

/// Asks for the plan of one text.
pub(super) async fn explained(client: &Client, sql: &str) -> Result<Explained, String> {
    let answer = client.simple_query(&format!("explain (format json, verbose) {sql}")).await;
    read(answer)
}

/// Asks for the prices of several texts at once; where one of them fails, for each alone.
async fn priced(client: &Client, explain: &str, sqls: &[&str]) -> Vec<Result<Priced, String>> {
    // A text may end with a comment, which ends with its line.
    let all: Vec<String> = sqls.iter().map(|sql| format!("{explain} {sql}")).collect();
    if let Ok(messages) = client.simple_query(&all.join("\n;")).await {
        let answers: Vec<&[SimpleQueryMessage]> =
            messages.split_inclusive(|message| matches!(message, SimpleQueryMessage::CommandComplete(_))).collect();
        if answers.len() == sqls.len() {
            return answers.into_iter().map(price).collect();
        }
    }
    let mut answers = Vec::with_capacity(sqls.len());
    for sql in &all {
        let answer = client.simple_query(sql).await.map_err(|error| said(&error));
        answers.push(answer.and_then(|messages| price(&messages)));
    }
    answers
}

fn price(messages: &[SimpleQueryMessage]) -> Result<Priced, String> {
    first_value(messages).and_then(explain::price).ok_or_else(|| "the server gave no plan for it".to_owned())
}

/// Asks for the price of a prepared statement whatever its values.
async fn generically(client: &Client, generic: &super::texts::Generic) -> Result<Priced, String> {
    price(&client.simple_query(&executed(generic)).await.map_err(|error| said(&error))?)
}

/// Returns what explains a prepared statement whatever its values.
fn executed(generic: &super::texts::Generic) -> String {
    let nulls = vec!["null"; generic.parameters].join(", ");
    let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    format!(
        "deallocate all; prepare pgload_statement as {}; explain (format json, verbose) execute pgload_statement{arguments}",
        generic.sql
    )
}

fn read(answer: Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>) -> Result<Explained, String> {
    let messages = answer.map_err(|error| said(&error))?;
    first_value(&messages).and_then(explain::read).ok_or_else(|| "the server gave no plan for it".to_owned())
}

fn first_value(messages: &[SimpleQueryMessage]) -> Option<&str> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    })
}
