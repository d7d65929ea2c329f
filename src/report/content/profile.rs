//! What a profile says.

use serde::Serialize;

use super::phrase::{DASH, counted, elapsed, number, one_line, percent, unbroken};
use super::{Cell, Fact, Grid, Tone};
use crate::profile::{Active, CPU, Change, Changes, Counted, Profile, Sort, StatementProfile, WaitLoad};
use crate::units::{Bytes, grouped, human_ms};

/// Characters of a statement's text shown: enough to know it by. JSON has all of it.
const TEXT_SHOWN: usize = 120;

/// Waits named for one statement; the others are together less than any of them.
const WAITS_SHOWN: usize = 3;

/// Waits named for the whole database.
const WAITS_SHOWN_ALL: usize = 8;

/// A profile as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProfileContent {
    /// The database and the window: `Profile of shop, 60.0 s from 2026-11-23T09:45:00Z`.
    pub title: String,
    /// What makes its numbers doubtful or incomplete, first.
    pub warnings: Vec<String>,
    /// The database as a whole.
    pub totals: Vec<Fact>,
    /// What sessions waited for.
    pub waits: Grid,
    /// Statement by statement.
    pub statements: Grid,
    /// What the statements' plans say, as sentences.
    pub notes: Vec<String>,
    /// What changed since an earlier profile, in one sentence; empty without one.
    pub since: String,
    /// Statements that changed since then.
    pub changes: Grid,
    /// What limits the result.
    pub caveats: Vec<String>,
}

impl ProfileContent {
    /// Says what a profile shows, of the `top` statements by `sort`.
    pub fn of(profile: &Profile, top: usize, sort: Sort) -> Self {
        let mut statements = profile.statements.clone();
        sort.apply(&mut statements);
        let all = statements.len();
        statements.truncate(top);
        let database = profile.about.get("database").and_then(serde_json::Value::as_str).unwrap_or_default();
        Self {
            title: format!("Profile of {database}, {} from {}", human_ms(profile.duration_ms), profile.started_at.strftime("%FT%TZ")),
            warnings: warnings(profile),
            totals: totals(profile),
            waits: waits(profile),
            statements: statement_grid(&statements, all, sort),
            notes: notes(&statements),
            since: profile.changes.as_ref().map_or_else(String::new, since),
            changes: changes(profile.changes.as_ref(), top),
            caveats: profile.caveats.clone(),
        }
    }
}

fn warnings(profile: &Profile) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(missing) = &profile.statements_unavailable {
        let remedy = if missing.remedy.is_empty() { String::new() } else { format!(" To count them: {}", missing.remedy) };
        warnings.push(format!("Statements were not counted: {}.{remedy}", missing.reason));
    }
    if let Some(hidden) = &profile.hidden {
        let share = hidden.exec_time_share.filter(|share| *share > 0.0).map(|share| format!("{} of the execution time", percent(share)));
        let sessions =
            (hidden.sessions.sessions > 0.0).then(|| format!("{} sessions on average, idle or not", number(hidden.sessions.sessions)));
        let what: Vec<String> = share.into_iter().chain(sessions).collect();
        warnings.push(format!("Other roles' work is hidden from this role: {}. To see it: {}", what.join(", and "), hidden.remedy));
    }
    warnings
}

fn totals(profile: &Profile) -> Vec<Fact> {
    let mut facts = vec![Fact::new("Active sessions", format!("{} on average", active(&profile.active)))];
    if let Some(load) = &profile.database {
        let rolled_back = if load.rollbacks > 0 { format!(", {} rolled back", grouped(load.rollbacks)) } else { String::new() };
        facts.push(Fact::new("Transactions", format!("{} a second{rolled_back}", number(load.transactions_per_s))));
        let hit = load.cache_hit_share.map_or_else(|| DASH.to_owned(), percent);
        facts.push(Fact::new("Found in shared buffers", format!("{hit}, {} blocks read", grouped(load.blocks_read))));
        if load.temp_files > 0 {
            facts.push(Fact::new("Temporary files", format!("{}, {}", grouped(load.temp_files), Bytes(load.temp_bytes))));
        }
        if load.deadlocks > 0 {
            facts.push(Fact::new("Deadlocks", grouped(load.deadlocks)));
        }
        if load.reset {
            facts.push(Fact::new("Reset", "the database's counters were reset within the window; they are since then"));
        }
    }
    let background: Vec<String> =
        profile.background.iter().map(|share| format!("{} {}", share.name, number(share.active.sessions))).collect();
    if !background.is_empty() {
        facts.push(Fact::new("The server's own processes", background.join(", ")));
    }
    let overhead = &profile.overhead;
    let late = overhead.late_share().map_or_else(|| DASH.to_owned(), percent);
    let server = overhead.server_ms_total.map_or_else(String::new, |ms| format!(", {} by the server's count", human_ms(ms)));
    facts.push(Fact::new(
        "Cost of looking",
        format!(
            "{}, {late} late; own queries took {}{server}",
            counted(overhead.samples, "sample", "samples"),
            human_ms(overhead.sample_ms_total + overhead.counters_ms_total)
        ),
    ));
    facts
}

/// Writes an average with its standard error: `1.25 ± 0.08`.
fn active(active: &Active) -> String {
    format!("{:.2} ± {:.2}", active.sessions, active.error)
}

fn wait_name(wait: &WaitLoad) -> String {
    wait.event.as_ref().map_or_else(|| wait.class.clone(), |event| format!("{}/{event}", wait.class))
}

fn waits(profile: &Profile) -> Grid {
    let mut grid = Grid::new("What active sessions waited for", &["Wait", "#Active sessions", "#Share"]);
    let total = profile.active.sessions;
    for wait in profile.waits.iter().take(WAITS_SHOWN_ALL) {
        let name = if wait.class == CPU { format!("{CPU} (no wait)") } else { wait_name(wait) };
        let share = if total > 0.0 { percent(wait.active.sessions / total) } else { DASH.to_owned() };
        grid.rows.push(vec![Cell::text(name), Cell::text(active(&wait.active)), Cell::text(share)]);
    }
    grid
}

fn statement_grid(statements: &[StatementProfile], all: usize, sort: Sort) -> Grid {
    let caption = if statements.len() < all {
        format!("The first {} of {} statements by {}", statements.len(), grouped(all as u64), sort.name())
    } else {
        format!("Statements by {}", sort.name())
    };
    let titles = ["#No.", "Statement", "#Total", "#Calls", "#Mean", "#Data", "#Active sessions"];
    let mut grid = Grid::new(caption, &titles);
    for (place, statement) in statements.iter().enumerate() {
        grid.rows.push(row(place + 1, statement));
    }
    grid.drop_if_empty("Data");
    grid
}

fn row(place: usize, statement: &StatementProfile) -> Vec<Cell> {
    let counters = &statement.counters;
    let data = [
        ("read", Bytes::of_pages(counters.shared_blocks_read)),
        ("temp", Bytes::of_pages(counters.temp_blocks_written)),
        ("WAL", Bytes(counters.wal_bytes)),
    ];
    let data: Vec<String> =
        data.iter().filter(|(_, bytes)| bytes.0 > 0).map(|(name, bytes)| unbroken(&format!("{name} {bytes}"))).collect();
    let uncounted = counters.calls == 0;
    let or_dash = |text: String| if uncounted { DASH.to_owned() } else { text };
    let mut about = vec![statement.user.clone()];
    about.extend((!statement.top_level).then(|| "within a function".to_owned()));
    about.extend((statement.counted == Counted::Restart).then(|| "counted since a reset".to_owned()));
    about.extend((uncounted && statement.query_id.is_some()).then(|| "did not end".to_owned()));
    let waits: Vec<String> =
        statement.waits.iter().take(WAITS_SHOWN).map(|wait| format!("{} {:.2}", wait_name(wait), wait.active.sessions)).collect();
    let share = statement.exec_time_share.map_or_else(String::new, |share| unbroken(&percent(share)));
    let rows = counters.rows_mean().map_or_else(String::new, |rows| unbroken(&format!("{} rows", number(rows))));
    vec![
        Cell::text(place.to_string()),
        Cell::code(text(statement.query.as_deref(), statement.query_id.as_deref())).with_note(about.join(", ")),
        Cell::text(or_dash(unbroken(&elapsed(counters.exec_ms_total)))).with_note(share),
        Cell::text(or_dash(unbroken(&grouped(counters.calls)))),
        Cell::text(statement.exec_ms_mean.map_or_else(|| DASH.to_owned(), |mean| unbroken(&human_ms(mean)))).with_note(rows),
        Cell::text(if data.is_empty() { DASH.to_owned() } else { data.join(", ") }),
        Cell::text(unbroken(&active(&statement.active))).with_note(waits.join(", ")),
    ]
}

/// Names a statement by its text, else by its number.
fn text(query: Option<&str>, query_id: Option<&str>) -> String {
    match (query, query_id) {
        (Some(query), _) => one_line(query, TEXT_SHOWN),
        (None, Some(query_id)) => format!("query_id {query_id}"),
        (None, None) => "unknown".to_owned(),
    }
}

fn notes(statements: &[StatementProfile]) -> Vec<String> {
    let of = |(place, statement): (usize, &StatementProfile)| {
        statement.notes.iter().map(|note| format!("No. {}: {}", place + 1, note.message)).collect::<Vec<_>>()
    };
    statements.iter().enumerate().flat_map(of).collect()
}

fn since(changes: &Changes) -> String {
    format!(
        "Compared with the {} from {}: {} slower, {} faster, {} new, {} gone, {} no different; {} with fewer than {} calls are not compared. A \
         change of less than {} is none. The windows were one after the other, so this indicates and proves nothing.",
        human_ms(changes.duration_ms.before),
        changes.since,
        changes.slower.len(),
        changes.faster.len(),
        changes.new.len(),
        changes.gone.len(),
        changes.alike,
        changes.too_few,
        changes.calls_min,
        percent(changes.margin)
    )
}

fn changes(changes: Option<&Changes>, top: usize) -> Grid {
    let mut grid = Grid::new("Statements that changed, earlier → now", &["Change", "Statement", "#Mean", "#Calls"]);
    let Some(changes) = changes else { return grid };
    let lists = [
        ("slower", Tone::Bad, &changes.slower),
        ("faster", Tone::Good, &changes.faster),
        ("new", Tone::Plain, &changes.new),
        ("gone", Tone::Muted, &changes.gone),
    ];
    for (word, tone, list) in lists {
        grid.rows.extend(list.iter().take(top).map(|change| change_row(word, tone, change)));
    }
    grid
}

fn change_row(word: &str, tone: Tone, change: &Change) -> Vec<Cell> {
    let mean = change.exec_ms_mean.map(|mean| mean.map_or_else(|| DASH.to_owned(), human_ms));
    let calls = change.calls.map(grouped);
    let factor = match (word, change.ratio) {
        ("slower", Some(ratio)) => format!("{} slower", super::phrase::times(ratio)),
        ("faster", Some(ratio)) if ratio > 0.0 => format!("{} faster", super::phrase::times(1.0 / ratio)),
        _ => word.to_owned(),
    };
    vec![
        Cell::text(factor).toned(tone),
        Cell::code(text(change.query.as_deref(), change.query_ids.first().map(String::as_str))),
        Cell::text(super::phrase::both(&mean)),
        Cell::text(super::phrase::both(&calls)),
    ]
}
