//! Replays captured traffic against a database.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};

use serde_json::{Value, json};

use crate::load::Arrival;
use crate::pg::replay::{Played, ReplayError, Replayed, Settings, Watch, play, with_database};
use crate::pg::session::Writes;
use crate::pg::{Source, connect, measure};
use crate::replay::captured::{
    Calls, Captured, CapturedStatement, Mix, Ordered, Scratch, Timeline, TimelineCounts, TimelineError, Traffic, Weighted,
};
use crate::replay::{Program, Samples};

/// Captured calls of each statement that a mix draws from.
const MIX_CALLS: usize = 1000;

/// A capture to be replayed.
pub struct Capture<'a> {
    /// The workload file.
    pub captured: &'a Captured,
    /// Its text, or what stands for it.
    pub text: &'a str,
    /// Its calls; read from the beginning.
    pub calls: &'a File,
    /// The file of the calls, for messages.
    pub calls_name: &'a str,
    /// As many connections, lent for a transaction; `None` is one a session.
    pub pool: Option<usize>,
    /// Makes temporary files with room for the calls.
    pub scratch: Scratch,
}

/// Replays a capture and returns what it showed; blocks until it is over, as [`crate::pg::replay::run_watched`] does.
///
/// With [`Arrival::Captured`], sessions make their transactions at the times they had; how many sessions there are follows
/// from the capture, whatever the arrival says. With any other arrival, statements are picked by their weights.
///
/// # Errors
/// [`ReplayError`] when the run could not start.
pub fn run_captured(source: &Source, capture: &mut Capture<'_>, settings: &Settings, watch: Watch<'_>) -> Result<Replayed, ReplayError> {
    match settings.arrival {
        Arrival::Captured { speed, .. } => by_time(source, capture, settings, speed, watch),
        _ => by_weight(source, capture, settings, watch),
    }
}

impl Capture<'_> {
    /// Puts its transactions in order, to be made call by call; with what limits that.
    pub(super) fn ordered(&mut self, seed: u64, writes: Writes) -> Result<(Ordered, Vec<String>), TimelineError> {
        let scratch = self.scratch()?;
        let timeline = Timeline::new(self.captured, self.calls()?, None, writes, scratch)?;
        let ordered = Ordered::new(timeline, seed, writes)?;
        let mut caveats = ordered.caveats();
        caveats.extend(self::caveats(self.captured, &ordered.timeline().counts, writes));
        caveats.extend(manner(self.captured, writes));
        Ok((ordered, caveats))
    }

    fn calls(&self) -> Result<Calls<BufReader<&File>>, TimelineError> {
        let mut file = self.calls;
        file.seek(SeekFrom::Start(0))?;
        Ok(Calls::new(self.captured, BufReader::with_capacity(1 << 18, file), self.calls_name))
    }

    fn scratch(&mut self) -> io::Result<File> {
        (self.scratch)()
    }
}

fn by_time(source: &Source, capture: &mut Capture<'_>, settings: &Settings, speed: f64, watch: Watch<'_>) -> Result<Replayed, ReplayError> {
    let scratch = capture.scratch().map_err(TimelineError::from)?;
    let timeline = Timeline::new(capture.captured, capture.calls()?, capture.pool, settings.writes, scratch)?;
    let mut settings = settings.clone();
    settings.arrival = Arrival::Captured { sessions: timeline.connections(), speed };
    let traffic = Traffic::new(timeline, speed, settings.writes);
    let caveats = caveats(capture.captured, &traffic.timeline().counts, settings.writes);
    let mut replayed = played(source, capture, &settings, &traffic, caveats, watch)?;
    let divergence = traffic.divergence();
    let counts = &traffic.timeline().counts;
    let run = &mut replayed.run;
    run.caveats.extend(divergence.caveats());
    run.caveats.extend(traffic.trouble().map(|said| format!("The capture could not be read to its end: {said}.")));
    let left_out: BTreeMap<&str, u64> = counts.left_out.iter().map(|(reason, count)| (reason.name(), *count)).collect();
    let mut about = json!(divergence);
    if let Value::Object(about) = &mut about {
        // A log does not say how many rows a statement returned.
        about.insert("rows".to_owned(), json!("not_known"));
        about.insert("left_out".to_owned(), json!(left_out));
        about.insert("not_captured".to_owned(), json!(capture.captured.counts.skipped));
    }
    run.about.insert("divergence".to_owned(), about);
    run.about.insert("pool".to_owned(), json!(capture.pool));
    run.about.insert("captured".to_owned(), json!({ "statements": counts.statements, "transactions": counts.transactions }));
    Ok(replayed)
}

fn by_weight(source: &Source, capture: &Capture<'_>, settings: &Settings, watch: Watch<'_>) -> Result<Replayed, ReplayError> {
    let mix = Mix::sample(capture.captured, capture.calls()?, MIX_CALLS, settings.seed).map_err(TimelineError::from)?;
    let weighted = Weighted::new(mix, settings.seed, settings.writes);
    if weighted.is_empty() {
        return Err(TimelineError::Nothing("no statement of it can be called by itself in such a run".to_owned()).into());
    }
    let mut caveats = vec!["A mix of captured statements: sessions, transactions and times of the capture are left out.".to_owned()];
    let left_out: u64 = weighted.left_out().iter().map(|(_, calls)| calls).sum();
    if left_out > 0 {
        let share = 100.0 * left_out as f64 / (left_out + weighted.weight()) as f64;
        let names: Vec<&str> = weighted.left_out().iter().map(|(name, _)| name.as_str()).collect();
        let why = if settings.writes == Writes::Readonly { "they write, or change the session" } else { "they change the session" };
        caveats.push(format!("{} ({share:.0} % of the calls) were left out because {why}.", listed(&names)));
    }
    played(source, capture, settings, &weighted, caveats, watch)
}

/// The first few of many names.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}

fn played(
    source: &Source,
    capture: &Capture<'_>,
    settings: &Settings,
    program: &dyn Program,
    mut caveats: Vec<String>,
    watch: Watch<'_>,
) -> Result<Replayed, ReplayError> {
    caveats.extend(manner(capture.captured, settings.writes));
    with_database(source, settings, watch.stop, |runtime, source| {
        let (control, server) = runtime.block_on(async {
            let control = connect(source).await?;
            let server = measure::server(&control).await?;
            Ok::<_, ReplayError>((control, server))
        })?;
        let played = Played { source, name: &capture.captured.name, text: capture.text, program, caveats, about: BTreeMap::new() };
        let (run, histograms) = play(runtime, &control, &server, played, settings, watch)?;
        let samples = Samples::none(run.started_at);
        Ok(Replayed { run, samples, histograms })
    })
}

/// Says what the way in which calls are made leaves out.
fn manner(captured: &Captured, writes: Writes) -> Vec<String> {
    let mut caveats = Vec::new();
    if writes == Writes::Rollback {
        caveats.push(
            "Transactions were rolled back: what a commit costs is not measured, deferred checks did not run, and dead rows were left behind."
                .to_owned(),
        );
    }
    if captured.statements.iter().any(CapturedStatement::is_extended) {
        caveats.push(
            "Statements with parameters were parsed and planned at each call, also those the application had prepared once.".to_owned(),
        );
    }
    caveats
}

/// What limits the result, known before it starts.
fn caveats(captured: &Captured, counts: &TimelineCounts, writes: Writes) -> Vec<String> {
    let mut caveats = Vec::new();
    let all = counts.statements + counts.left_out.values().sum::<u64>();
    for (reason, count) in &counts.left_out {
        let share = 100.0 * *count as f64 / all.max(1) as f64;
        caveats.push(format!("{count} statements ({share:.0} % of those captured) were left out because {}.", reason.says()));
    }
    let skipped: u64 = captured.counts.skipped.values().sum();
    if skipped > 0 {
        let mut reasons: Vec<_> = captured.counts.skipped.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let reasons: Vec<String> = reasons.into_iter().map(|(reason, count)| format!("{count} {}", reason.says())).collect();
        caveats.push(format!("{skipped} statements of the log could not be captured: {}.", reasons.join("; ")));
    }
    if let Some(pool) = counts.pool.filter(|pool| pool.waited > 0) {
        let share = 100.0 * pool.waited as f64 / pool.transactions.max(1) as f64;
        caveats.push(format!(
            "{} transactions ({share:.1} %) found all connections of the pool taken, and came after some that began later.",
            pool.waited
        ));
    }
    if writes == Writes::Readonly && !counts.left_out.is_empty() {
        caveats.push("Reads of transactions whose writes were left out see what was there before.".to_owned());
    }
    caveats.push("How many rows the calls returned when they were captured is not in a log, and so not compared.".to_owned());
    caveats
}
