//! What an index costs the statements that write.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::facts::Facts;
use super::proposal::WriteCost;
use super::query::Query;
use super::{Candidate, expression, size};
use crate::catalog::{Index, KeyTarget, Oid, Relations, Snapshot, StatementSource, Table, TableUsage};
use crate::units::grouped;

/// The share of updates taken as HOT where the table's counters have none yet and recorded updates do: nothing is known.
const HOT_UNKNOWN: f64 = 0.5;
/// Entries of a GIN index are merged in bulk from its pending list, which spares most of the searches (rule of thumb).
const GIN_ENTRY: f64 = 0.4;
/// A GiST insert compares unions of keys on each level (rule of thumb).
const GIST_ENTRY: f64 = 1.5;
/// A BRIN summary changes only when a value leaves its range.
const BRIN_ENTRY: f64 = 0.05;
/// From this version on, an update of a column in no other index than BRIN ones stays HOT.
const BRIN_HOT_MAJOR: u32 = 16;

/// What a table's statements were seen to set.
#[derive(Debug, Default)]
struct Updates {
    /// Rows updated by statements that set the column, by column.
    rows_by_column: BTreeMap<String, u64>,
    /// Each statement's columns and rows.
    statements: Vec<(Vec<String>, u64)>,
}

/// Prices writes from table counters and recorded `UPDATE`s.
#[derive(Debug)]
pub(crate) struct Writes<'a, 'f> {
    facts: &'f HashMap<Oid, Facts<'a>>,
    indexes: HashMap<Oid, u64>,
    /// Columns whose updates are not HOT as it is, since an existing index depends on them.
    indexed: HashMap<Oid, BTreeSet<String>>,
    updates: HashMap<Oid, Updates>,
    /// Rows inserted by the statements of a file, by table; `None` where the tables' own counters tell.
    ///
    /// A file's weights and a server's counters cover no common period, so with a file only its own statements write.
    inserted: Option<HashMap<Oid, u64>>,
    /// Table counters times this cover the period of the statements.
    scale: f64,
    page: f64,
    operator: f64,
    major: u32,
}

/// What an index costs writes, with what has to be said about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Burden {
    pub(crate) cost: WriteCost,
    /// Updates that would stop being HOT.
    pub(crate) hot_loss: u64,
    /// The columns of the index that those updates set.
    pub(crate) hot_columns: Vec<String>,
    /// Indexes of the table that such an update would then write to, this one included.
    pub(crate) indexes: u64,
    /// The table.
    pub(crate) table: String,
    pub(crate) risks: Vec<String>,
}

impl Burden {
    /// Says what writes pay for the index, with the numbers.
    pub(crate) fn sentence(&self) -> String {
        let WriteCost { inserts, updates, hot_updates_lost, cost } = &self.cost;
        let own = format!("{} entries for inserts and {} for updates", grouped(*inserts), grouped(*updates));
        if self.hot_loss == 0 {
            return format!("Writes to {} would pay {own}, cost {}.", self.table, grouped(cost.round() as u64));
        }
        format!(
            "{} updates of {} that set {} are HOT now and would each write to all {} indexes of the table, {} entries; with {own} that costs {}.",
            grouped(self.hot_loss),
            self.table,
            self.hot_columns.join(", "),
            self.indexes,
            grouped(*hot_updates_lost),
            grouped(cost.round() as u64),
        )
    }
}

impl<'a, 'f> Writes<'a, 'f> {
    /// Gathers the recorded writes.
    pub(crate) fn new(relations: &Relations<'a>, facts: &'f HashMap<Oid, Facts<'a>>, queries: &[Query]) -> Self {
        let snapshot = relations.snapshot;
        // A statement of a file has a weight and no counters: it is taken to write one row a call.
        let from_file = matches!(snapshot.statement_source, StatementSource::File { .. });
        let mut updates: HashMap<Oid, Updates> = HashMap::new();
        let mut inserted: HashMap<Oid, u64> = HashMap::new();
        for query in queries {
            let rows = if from_file && query.rows == 0 { query.calls } else { query.rows };
            for write in query.writes.iter().filter(|write| write.inserts) {
                let sum = inserted.entry(write.table).or_default();
                *sum = sum.saturating_add(rows);
            }
            for write in query.writes.iter().filter(|write| !write.sets.is_empty()) {
                let known = updates.entry(write.table).or_default();
                for column in &write.sets {
                    let sum = known.rows_by_column.entry(column.clone()).or_default();
                    *sum = sum.saturating_add(rows);
                }
                known.statements.push((write.sets.clone(), rows));
            }
        }
        let mut counts: HashMap<Oid, u64> = HashMap::new();
        let mut indexed: HashMap<Oid, BTreeSet<String>> = HashMap::new();
        let major = snapshot.server.major();
        for table in &snapshot.tables {
            for index in relations.indexes_of(table.oid).iter().filter(|index| index.ready) {
                *counts.entry(table.oid).or_default() += 1;
                if index.access_method != "brin" || major < BRIN_HOT_MAJOR {
                    indexed.entry(table.oid).or_default().extend(columns_of(index, table));
                }
            }
        }
        let number = |name, default| snapshot.server.number(name).unwrap_or(default);
        Self {
            facts,
            indexes: counts,
            indexed,
            updates,
            inserted: from_file.then_some(inserted),
            scale: scale(snapshot),
            page: number("seq_page_cost", 1.0),
            operator: number("cpu_operator_cost", 0.0025),
            major,
        }
    }

    /// Returns what the index costs over the period the statements were recorded in. Deletes cost nothing: entries go with VACUUM.
    pub(crate) fn burden(&self, candidate: &Candidate) -> Burden {
        let Some(facts) = self.facts.get(&candidate.table) else { return Burden::default() };
        let usage = &facts.table.usage;
        let share = size::share(facts, candidate);
        // A partial index gets an entry only for rows of its predicate.
        let scaled = |rows: u64| (rows as f64 * self.scale * share).round() as u64;
        let recorded = self.updates.get(&candidate.table);
        let columns: Vec<&str> = candidate.columns(facts.table);
        let keeps_hot = candidate.method == "brin" && self.major >= BRIN_HOT_MAJOR;
        let hit = |sets: &[String], columns: &[&str]| sets.iter().any(|column| columns.contains(&column.as_str()));
        let indexed: Vec<&str> = self.indexed.get(&candidate.table).into_iter().flatten().map(String::as_str).collect();
        // Rows of statements that set none of the indexed columns: only those can be HOT now.
        let statements = || recorded.into_iter().flat_map(|updates| &updates.statements).filter(|(sets, _)| !hit(sets, &indexed));
        let free: u64 = statements().fold(0, |sum, (_, rows)| sum.saturating_add(*rows));
        let setting: u64 = statements().filter(|(sets, _)| hit(sets, &columns)).fold(0, |sum, (_, rows)| sum.saturating_add(*rows));
        // The weights of a file say nothing of how many of the counted updates could be HOT.
        let hot_share = self.hot_share(usage, if self.inserted.is_some() { 0 } else { free });
        let hot_loss = if keeps_hot { 0 } else { (setting as f64 * hot_share).round() as u64 };
        let hot_columns = columns
            .iter()
            .filter(|column| hot_loss > 0 && !indexed.contains(column) && statements().any(|(sets, _)| hit(sets, &[**column])));
        let entries_per_row = if candidate.method == "gin" { size::keys_per_row(facts, candidate) } else { 1.0 };
        let many = |rows: u64| (rows as f64 * entries_per_row).round() as u64;
        let (inserts, updates) = match &self.inserted {
            None => (scaled(usage.rows_inserted), scaled(usage.rows_updated.saturating_sub(usage.rows_hot_updated))),
            Some(inserted) => {
                let all =
                    recorded.into_iter().flat_map(|updates| &updates.statements).fold(0u64, |sum, (_, rows)| sum.saturating_add(*rows));
                let hot = (free as f64 * hot_share).round() as u64;
                let partly = |rows: u64| (rows as f64 * share).round() as u64;
                (partly(inserted.get(&candidate.table).copied().unwrap_or_default()), partly(all.saturating_sub(hot)))
            }
        };
        let (inserts, updates) = (many(inserts), many(updates));
        let indexes = self.indexes.get(&candidate.table).copied().unwrap_or_default() + 1;
        let hot_updates_lost = hot_loss.saturating_mul(indexes);
        let own = inserts.saturating_add(updates) as f64 * self.entry(facts.rows) * entry_factor(&candidate.method);
        let cost = own + hot_updates_lost as f64 * self.entry(facts.rows);

        let mut burden = Burden {
            cost: WriteCost { inserts, updates, hot_updates_lost, cost },
            hot_loss,
            hot_columns: hot_columns.map(|column| (*column).to_owned()).collect(),
            indexes,
            table: facts.table.name.name.clone(),
            risks: Vec::new(),
        };
        for (column, rows) in recorded.iter().flat_map(|updates| &updates.rows_by_column) {
            if *rows > 0 && burden.hot_columns.contains(column) {
                burden.risks.push(format!(
                    "{column} is set by {rows} recorded row updates; {} of the updates that could be HOT were, and those that set it could no longer be.",
                    percent(hot_share)
                ));
            }
        }
        let unsaid = self.inserted.as_ref().is_some_and(|inserted| recorded.is_none() && !inserted.contains_key(&candidate.table));
        if unsaid && usage.rows_inserted.saturating_add(usage.rows_updated) > 0 {
            burden.risks.push(format!(
                "The given workload does not write to {}, whose counters have {} inserts and {} updates: what those would pay is not counted.",
                burden.table,
                grouped(usage.rows_inserted),
                grouped(usage.rows_updated),
            ));
        } else if recorded.is_none() && usage.rows_updated > 0 && !keeps_hot {
            burden.risks.push(format!(
                "Which columns the table's {} row updates set is not recorded, so a loss of HOT updates cannot be ruled out.",
                usage.rows_updated
            ));
        }
        burden
    }

    /// Returns the share of HOT updates among those that set no indexed column, of which `free` were recorded.
    fn hot_share(&self, usage: &TableUsage, free: u64) -> f64 {
        if usage.rows_updated == 0 {
            return HOT_UNKNOWN;
        }
        let all = usage.rows_updated as f64 * self.scale;
        let hot = usage.rows_hot_updated as f64 * self.scale;
        // Counters tell of all updates; recorded statements tell which of them could be HOT at all.
        let possible = if free > 0 { (free as f64).clamp(hot, all.max(hot)) } else { all };
        (hot / possible.max(1.0)).min(1.0)
    }

    /// Returns the cost of one entry: the search for its place, and a share of a page to be written.
    ///
    /// The planner does not price index maintenance. A tenth of a page is a rule of thumb: neighbouring entries dirty a
    /// leaf together between checkpoints.
    fn entry(&self, rows: f64) -> f64 {
        (rows.max(2.0).log2().ceil() + 100.0) * self.operator + 0.1 * self.page
    }
}

/// Returns what an entry of the access method costs against one of a B-tree.
fn entry_factor(method: &str) -> f64 {
    match method {
        "gin" => GIN_ENTRY,
        "gist" => GIST_ENTRY,
        "brin" => BRIN_ENTRY,
        _ => 1.0,
    }
}

/// Returns the columns an existing index depends on.
fn columns_of(index: &Index, table: &Table) -> Vec<String> {
    let keys = index.keys.iter().flat_map(|key| match &key.target {
        KeyTarget::Column(name) => vec![name.clone()],
        KeyTarget::Expression(text) => expression::columns(text, table).into_iter().map(str::to_owned).collect(),
    });
    let predicate = index.predicate.iter().flat_map(|predicate| expression::columns(predicate, table)).map(str::to_owned);
    keys.chain(index.included.iter().cloned()).chain(predicate).collect()
}

fn percent(of_one: f64) -> String {
    format!("{:.0} %", of_one * 100.0)
}

/// Returns the length of the statements' period over that of the table counters; 1 where either is unknown.
fn scale(snapshot: &Snapshot) -> f64 {
    let StatementSource::Available { reset_at: Some(statements_since), .. } = snapshot.statement_source else { return 1.0 };
    let Some(tables_since) = snapshot.server.stats_reset_at else { return 1.0 };
    let seconds = |since: jiff::Timestamp| (snapshot.taken_at.as_second() - since.as_second()).max(1) as f64;
    seconds(statements_since) / seconds(tables_since)
}

#[cfg(test)]
mod tests {
    use super::super::{CandidateKey, sample, workload};
    use super::*;

    fn burden(columns: &[&str], change: impl FnOnce(&mut Snapshot)) -> Burden {
        burden_of(columns, |candidate| candidate, change)
    }

    fn burden_of(columns: &[&str], wanted: impl FnOnce(Candidate) -> Candidate, change: impl FnOnce(&mut Snapshot)) -> Burden {
        let mut snapshot = sample::crm_running(&[("update prospects set status = $1, score = score + $2 where id = $3", 1_000)]);
        snapshot.statements[0].rows = 1_000;
        let usage = &mut snapshot.tables[1].usage;
        (usage.rows_inserted, usage.rows_updated, usage.rows_hot_updated) = (500, 1_000, 900);
        change(&mut snapshot);
        let relations = Relations::new(&snapshot);
        let facts = Facts::of_all(&relations);
        let queries = workload::read(&snapshot).queries;
        let candidate = wanted(sample::candidate("prospects", columns));
        Writes::new(&relations, &facts, &queries).burden(&candidate)
    }

    #[test]
    fn an_index_on_a_column_that_changes_ends_hot_updates_of_all_indexes() {
        let burden = burden(&["user_id", "status"], |_| {});
        assert_eq!((burden.cost.inserts, burden.cost.updates, burden.hot_loss), (500, 100, 900));
        // The primary key's entries and its own.
        assert_eq!(burden.cost.hot_updates_lost, 1_800);
        assert!(burden.risks[0].starts_with("status is set by 1000 recorded row updates; 90 %"), "{:?}", burden.risks);
    }

    #[test]
    fn an_index_on_columns_nobody_sets_leaves_updates_hot() {
        let burden = burden(&["user_id"], |_| {});
        assert_eq!((burden.hot_loss, burden.cost.hot_updates_lost), (0, 0));
        assert_eq!(burden.risks, Vec::<String>::new());
        assert!(burden.cost.cost > 0.0);
    }

    #[test]
    fn unrecorded_updates_are_a_doubt_that_is_said() {
        let burden = burden(&["user_id"], |snapshot| snapshot.statements.clear());
        assert!(burden.risks[0].contains("is not recorded"), "{:?}", burden.risks);
    }

    #[test]
    fn with_a_file_only_its_own_statements_write() {
        let from_file = |snapshot: &mut Snapshot| {
            snapshot.statement_source = StatementSource::File { paths: vec!["shop.sql".into()] };
            let insert = sample::statement(7, "insert into prospects (user_id, status) values ($1, $2)", 20, 0, 0.0);
            snapshot.statements = vec![insert];
            snapshot.tables[1].usage.rows_inserted = 1_000_000;
        };
        let burden = burden(&["score"], from_file);
        assert_eq!((burden.cost.inserts, burden.cost.updates), (20, 0));
    }

    #[test]
    fn a_file_without_writes_is_told_what_the_counters_saw() {
        let of = |text: &'static str| {
            burden(&["user_id"], move |snapshot| {
                snapshot.statement_source = StatementSource::File { paths: vec!["shop.sql".into()] };
                (snapshot.statements[0].query, snapshot.statements[0].rows, snapshot.statements[0].calls) = (Some(text.into()), 0, 70);
            })
        };
        let updates = of("update prospects set score = $1 where id = $2");
        assert_eq!((updates.cost.inserts, updates.cost.updates), (0, 7), "nine of ten are HOT, as the counters say");
        for silent in ["select * from users", "delete from prospects where id = $1"] {
            let burden = of(silent);
            assert_eq!((burden.cost.inserts, burden.cost.updates, burden.cost.cost), (0, 0, 0.0));
            assert!(burden.risks[0].contains("500 inserts and 1 000 updates: what those would pay is not counted"), "{:?}", burden.risks);
        }
    }

    #[test]
    fn counters_of_a_longer_period_are_scaled_down() {
        let day = |days: i64| jiff::Timestamp::from_second(days * 86_400).unwrap();
        let burden = burden(&["user_id"], |snapshot| {
            snapshot.taken_at = day(100);
            snapshot.server.stats_reset_at = Some(day(0));
            snapshot.statement_source = StatementSource::Available { evicted: 0, reset_at: Some(day(90)) };
        });
        assert_eq!(burden.cost.inserts, 50);
    }

    #[test]
    fn the_numbers_make_a_sentence() {
        let said = burden(&["status"], |_| {}).sentence();
        assert_eq!(
            said,
            "900 updates of prospects that set status are HOT now and would each write to all 2 indexes of the table, 1 800 entries; \
             with 500 entries for inserts and 100 for updates that costs 942."
        );
        assert!(burden(&["user_id"], |_| {}).sentence().starts_with("Writes to prospects would pay 500 entries"));
    }

    #[test]
    fn payload_expression_and_predicate_end_hot_updates_as_keys_do() {
        let included = burden_of(&["user_id"], |index| Candidate { included: vec!["score".into()], ..index }, |_| {});
        let predicate = burden_of(&["user_id"], |index| Candidate { predicate: Some("status = 'won'".into()), ..index }, |_| {});
        let expression = |index| Candidate { keys: vec![CandidateKey::of(KeyTarget::Expression("lower(status)".into()))], ..index };
        let expression = burden_of(&[], expression, |_| {});
        assert_eq!([included.hot_loss, predicate.hot_loss, expression.hot_loss], [900; 3]);
        assert_eq!([included.hot_columns, predicate.hot_columns], [["score"], ["status"]]);
    }

    #[test]
    fn updates_of_a_column_that_is_indexed_already_lose_nothing_more() {
        let indexed = |snapshot: &mut Snapshot| snapshot.indexes.push(sample::index(95, 2, "by_status", &["status"]));
        assert_eq!(burden(&["user_id", "status"], indexed).hot_loss, 0);
    }

    #[test]
    fn a_block_range_index_leaves_updates_hot_from_16_on() {
        let brin = |index| Candidate { method: "brin".into(), ..index };
        let on = |version| move |snapshot: &mut Snapshot| snapshot.server.version_num = version;
        assert_eq!(burden_of(&["status"], brin, on(150_000)).hot_loss, 900);
        assert_eq!(burden_of(&["status"], brin, on(160_000)).hot_loss, 0);
    }

    #[test]
    fn inserts_pay_by_key_and_by_predicate() {
        let rare = burden_of(&["user_id"], |index| Candidate { predicate: Some("status = 'lost'".into()), ..index }, |_| {});
        assert_eq!(rare.cost.inserts, 25);
        let trigrams =
            |index| Candidate { method: "gin".into(), keys: vec![CandidateKey::column("email").with_opclass("gin_trgm_ops")], ..index };
        assert!(burden_of(&[], trigrams, |_| {}).cost.inserts > 5_000);
    }
}
