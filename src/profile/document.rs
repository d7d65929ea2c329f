//! A profile: what a window showed, as it is saved and told.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::compare::Changes;
use super::counters::{Counters, StatementKey};
use super::delta::{Counted, Grown, between, database_between};
use super::notes::Note;
use super::observation::Observation;
use super::order::Sort;
use super::waits::Running;
use crate::catalog::{Oid, statement};

/// The layout of a saved profile; a reader refuses a newer one.
pub const PROFILE_SCHEMA_VERSION: u32 = 1;

/// Where a database's time went during a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// [`PROFILE_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// `profile`.
    pub kind: String,
    /// Versions and settings; never a password.
    pub about: BTreeMap<String, Value>,
    /// When the window began.
    pub started_at: Timestamp,
    /// How long it was, in milliseconds.
    pub duration_ms: f64,
    /// Whether it ended before its time.
    pub partial: bool,
    /// What the database counted as a whole; `None` when its counters could not be read at the end.
    pub database: Option<DatabaseLoad>,
    /// Average active sessions of this database's clients.
    pub active: Active,
    /// What they waited for, most first; no event while active is `CPU`.
    pub waits: Vec<WaitLoad>,
    /// What the server's own processes were seen at, most first.
    pub background: Vec<Share>,
    /// Every statement that was counted or seen, most time first.
    pub statements: Vec<StatementProfile>,
    /// Why statements were not counted; `None` when they were.
    pub statements_unavailable: Option<Unavailable>,
    /// What the role may not see; `None` when it sees all.
    pub hidden: Option<Hidden>,
    /// What looking has cost.
    pub overhead: Overhead,
    /// What is different from an earlier profile, when there is one to compare with.
    #[serde(default)]
    pub changes: Option<Changes>,
    /// What limits the result, as sentences.
    pub caveats: Vec<String>,
}

/// An average number of active sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Active {
    /// The average over the samples.
    pub sessions: f64,
    /// Its standard error: binomial for each session, added up.
    pub error: f64,
}

/// Sessions that wait for one thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitLoad {
    /// `wait_event_type`, or `CPU`.
    pub class: String,
    /// `wait_event`.
    pub event: Option<String>,
    /// How often it was seen.
    pub samples: u64,
    /// How many sessions, on average.
    pub active: Active,
}

/// A part of the load, by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Its name.
    pub name: String,
    /// How many sessions, on average.
    pub active: Active,
}

/// What `pg_stat_database` counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DatabaseLoad {
    /// Transactions committed, without those of the profile itself.
    pub commits: u64,
    /// Transactions rolled back.
    pub rollbacks: u64,
    /// Both a second.
    pub transactions_per_s: f64,
    /// Blocks found in shared buffers, of all that were asked for; `None` when none was.
    pub cache_hit_share: Option<f64>,
    /// Blocks read from outside.
    pub blocks_read: u64,
    /// Temporary files made.
    pub temp_files: u64,
    /// Bytes written to them.
    pub temp_bytes: u64,
    /// Deadlocks.
    pub deadlocks: u64,
    /// Whether the counters were reset within the window: all is then since the reset.
    pub reset: bool,
}

/// What a window showed of one statement of one role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementProfile {
    /// `queryid`, as decimal text; `None` where the server computes none.
    pub query_id: Option<String>,
    /// The role.
    pub user: String,
    /// Whether a client sent it, and not a function.
    pub top_level: bool,
    /// The normalised text; `None` when it is lost or not to be seen.
    pub query: Option<String>,
    /// What was counted; all 0 for a statement that was seen and did not end within the window.
    #[serde(flatten)]
    pub counters: Counters,
    /// Execution time of a call, in milliseconds; `None` without a call.
    pub exec_ms_mean: Option<f64>,
    /// Since when the counts are.
    pub counted: Counted,
    /// Its share of the execution time of all statements of the database, 0 to 1.
    pub exec_time_share: Option<f64>,
    /// Average active sessions that ran it.
    pub active: Active,
    /// What they waited for, most first.
    pub waits: Vec<WaitLoad>,
    /// What its plan says.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// Why something could not be read, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// The reason, as a fragment.
    pub reason: String,
    /// What to run or change; empty when nothing helps.
    pub remedy: String,
}

/// What the role may not see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hidden {
    /// The share of the database's execution time in statements whose text and number are hidden; `None` when nothing ran.
    pub exec_time_share: Option<f64>,
    /// Sessions whose work is hidden, idle ones among them, on average.
    pub sessions: Active,
    /// The statement that would show it.
    pub remedy: String,
}

/// What looking has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// The time from sample to sample that was wanted, in milliseconds.
    pub interval_ms: f64,
    /// Samples taken.
    pub samples: u64,
    /// Those that began more than half an interval late.
    pub late: u64,
    /// Those that were left out, since the one before had not ended.
    pub missed: u64,
    /// Transactions of the profile itself.
    pub transactions: u64,
    /// Time in samples, as the client saw it, in milliseconds.
    pub sample_ms_total: f64,
    /// The longest of them.
    pub sample_ms_max: f64,
    /// Time in reading counters, as the client saw it, in milliseconds.
    pub counters_ms_total: f64,
    /// Execution time of the profile's own statements as the server counted it, in milliseconds; `None` where it does not count.
    pub server_ms_total: Option<f64>,
}

impl Overhead {
    /// Returns the share of samples that were late or left out; `None` without samples.
    pub fn late_share(&self) -> Option<f64> {
        let due = self.samples + self.missed;
        (due > 0).then(|| (self.late + self.missed) as f64 / due as f64)
    }
}

impl Profile {
    /// Works out what an observation shows.
    pub fn of(observation: &Observation) -> Self {
        let mut overhead = observation.overhead;
        let mut caveats: Vec<String> = observation.cut_short.iter().map(|reason| format!("The window ended early: {reason}.")).collect();
        let client = |running: &Running| !matches!(running, Running::Background(_));
        let (mut statements, mut hidden_share) = (Vec::new(), None);
        if let Ok(readings) = &observation.statements {
            let grown = between(&readings.before, &readings.after);
            let here = Here::of(observation, &grown);
            overhead.server_ms_total = Some(here.own_ms);
            hidden_share = here.hidden_share;
            caveats.extend(here.caveats);
            statements = here.statements;
        }
        add_seen(observation, &mut statements);
        Sort::Total.apply(&mut statements);
        caveats.extend(sampling_caveats(&overhead));
        let server = &observation.server;
        let hidden_sessions = observation.waits.hidden();
        let hidden = (hidden_share.is_some_and(|share| share > 0.0) || hidden_sessions.sessions > 0.0).then(|| Hidden {
            exec_time_share: hidden_share,
            sessions: hidden_sessions,
            remedy: format!("grant pg_monitor to {};", crate::catalog::name::quoted(&server.user)),
        });
        let seconds = observation.length.as_secs_f64();
        Self {
            schema_version: PROFILE_SCHEMA_VERSION,
            kind: "profile".to_owned(),
            about: BTreeMap::from([
                ("database".to_owned(), json!(server.database)),
                ("server_version".to_owned(), json!(server.version)),
                ("server_version_num".to_owned(), json!(server.version_num)),
                ("user".to_owned(), json!(server.user)),
                ("track_io_timing".to_owned(), json!(server.times_io)),
                ("interval_ms".to_owned(), json!(overhead.interval_ms)),
            ]),
            started_at: observation.started_at,
            duration_ms: seconds * 1000.0,
            partial: observation.cut_short.is_some(),
            database: database_load(observation, &overhead, seconds),
            active: observation.waits.active(client),
            waits: observation.waits.waits(client),
            background: background(observation),
            statements,
            statements_unavailable: observation.statements.as_ref().err().cloned(),
            hidden,
            overhead,
            changes: None,
            caveats,
        }
    }

    /// Returns when the window ended.
    pub fn ended_at(&self) -> Timestamp {
        self.started_at.saturating_add(SignedDuration::from_millis(self.duration_ms as i64)).unwrap_or(self.started_at)
    }
}

/// What the statements view showed of this database.
struct Here {
    statements: Vec<StatementProfile>,
    own_ms: f64,
    hidden_share: Option<f64>,
    caveats: Vec<String>,
}

impl Here {
    fn of(observation: &Observation, grown: &Grown) -> Self {
        let text = |key: &StatementKey| key.query_id.and_then(|query_id| observation.texts.get(&(key.user, query_id)));
        let is_own = |key: &StatementKey| text(key).is_some_and(|text| statement::is_own_text(text));
        let ours = |key: &StatementKey| key.database == observation.server.database_oid;
        let time = |wanted: &dyn Fn(&StatementKey) -> bool| -> f64 {
            // A function's statements are within the time of the statement that called it.
            let counted = grown.statements.iter().filter(|(key, _, _)| key.top_level && wanted(key));
            counted.map(|(_, counters, _)| counters.exec_ms_total).sum()
        };
        let own_ms = time(&|key| ours(key) && is_own(key));
        let total = time(&|key| ours(key) && !is_own(key));
        let elsewhere = time(&|key| !ours(key));
        let hidden_ms = time(&|key| ours(key) && key.query_id.is_none());
        let share = |part: f64| (total > 0.0).then(|| part / total);
        let shown = grown.statements.iter().filter(|(key, _, _)| ours(key) && key.query_id.is_some() && !is_own(key));
        let statements = shown.map(|(key, counters, counted)| StatementProfile {
            query_id: key.query_id.map(|query_id| query_id.to_string()),
            user: user_name(observation, Some(key.user)),
            top_level: key.top_level,
            query: text(key).cloned(),
            counters: *counters,
            exec_ms_mean: counters.exec_ms_mean(),
            counted: *counted,
            exec_time_share: share(counters.exec_ms_total),
            active: Active::default(),
            waits: Vec::new(),
            notes: Vec::new(),
        });
        let mut caveats = Vec::new();
        if grown.reset {
            caveats.push("pg_stat_statements was reset within the window: calls from before the reset are missing.".to_owned());
        }
        let restarted = grown.statements.iter().filter(|(key, _, counted)| ours(key) && *counted == Counted::Restart).count();
        if restarted > 0 && !grown.reset {
            caveats.push(format!(
                "{restarted} statements were reset, or thrown away and counted anew, within the window: their earlier calls are missing."
            ));
        }
        if grown.evicted.is_some_and(|evicted| evicted > 0) {
            caveats.push(
                "pg_stat_statements threw statements away for lack of room within the window: rare statements are missing. Raise \
                 pg_stat_statements.max."
                    .to_owned(),
            );
        } else if grown.gone > 0 && !grown.reset {
            caveats.push(format!("{} entries of pg_stat_statements vanished within the window: what they counted is missing.", grown.gone));
        }
        if elsewhere > 0.0 && elsewhere >= 0.05 * (elsewhere + total) {
            caveats.push(format!(
                "Other databases of this server took {:.1} % of the execution time of all; they share its processors and disks.",
                100.0 * elsewhere / (elsewhere + total)
            ));
        }
        Self { statements: statements.collect(), own_ms, hidden_share: share(hidden_ms), caveats }
    }
}

fn user_name(observation: &Observation, user: Option<Oid>) -> String {
    let Some(user) = user else { return "unknown".to_owned() };
    observation.users.get(&user).cloned().unwrap_or_else(|| user.to_string())
}

/// Gives statements what was seen of them; those that were seen and did not end are added.
fn add_seen(observation: &Observation, statements: &mut Vec<StatementProfile>) {
    let waits = &observation.waits;
    for running in waits.running() {
        let (user, query_id, text) = match running {
            Running::Statement { user, query_id } => {
                (Some(*user), Some(query_id.to_string()), observation.texts.get(&(*user, *query_id)).cloned())
            }
            Running::Text { user, text } => (*user, None, Some(text.clone())),
            Running::Background(_) => continue,
        };
        if text.as_deref().is_some_and(statement::is_own_text) {
            continue;
        }
        let user = user_name(observation, user);
        let same = |statement: &&mut StatementProfile| match &query_id {
            Some(_) => statement.query_id == query_id && statement.user == user,
            None => statement.query_id.is_none() && statement.query == text && statement.user == user,
        };
        // A session tells the number of what its client sent; only where that was never counted so, of what a function did.
        let mut found: Vec<&mut StatementProfile> = statements.iter_mut().filter(same).collect();
        found.sort_by_key(|statement| !statement.top_level);
        let (active, seen) = (waits.active(|other| other == running), waits.waits(|other| other == running));
        match found.into_iter().next() {
            Some(statement) => (statement.active, statement.waits) = (active, seen),
            None => statements.push(StatementProfile {
                query_id,
                user,
                top_level: true,
                query: text,
                counters: Counters::default(),
                exec_ms_mean: None,
                counted: Counted::Window,
                exec_time_share: None,
                active,
                waits: seen,
                notes: Vec::new(),
            }),
        }
    }
}

fn background(observation: &Observation) -> Vec<Share> {
    let waits = &observation.waits;
    let named = waits.running().filter_map(|running| match running {
        Running::Background(name) => Some(Share { name: name.clone(), active: waits.active(|other| other == running) }),
        _ => None,
    });
    let mut shares: Vec<Share> = named.collect();
    shares.sort_by(|one, other| other.active.sessions.total_cmp(&one.active.sessions));
    shares
}

fn database_load(observation: &Observation, overhead: &Overhead, seconds: f64) -> Option<DatabaseLoad> {
    let readings = observation.database.as_ref()?;
    let (grown, reset) = database_between(&readings.before, &readings.after);
    let commits = grown.commits.saturating_sub(overhead.transactions);
    let blocks = grown.blocks_hit.saturating_add(grown.blocks_read);
    Some(DatabaseLoad {
        commits,
        rollbacks: grown.rollbacks,
        transactions_per_s: commits.saturating_add(grown.rollbacks) as f64 / seconds.max(f64::MIN_POSITIVE),
        cache_hit_share: (blocks > 0).then(|| grown.blocks_hit as f64 / blocks as f64),
        blocks_read: grown.blocks_read,
        temp_files: grown.temp_files,
        temp_bytes: grown.temp_bytes,
        deadlocks: grown.deadlocks,
        reset,
    })
}

fn sampling_caveats(overhead: &Overhead) -> Vec<String> {
    let mut caveats = Vec::new();
    if overhead.samples == 0 {
        caveats.push("No sample was taken: the window was too short, or the server did not answer.".to_owned());
    } else if overhead.late_share().is_some_and(|share| share > 0.1) {
        caveats.push(format!(
            "{:.0} % of the samples were late or left out: the server or this machine was busy, and such moments are seen too seldom.",
            100.0 * overhead.late_share().unwrap_or_default()
        ));
    }
    caveats
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
