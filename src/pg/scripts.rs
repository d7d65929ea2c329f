//! Runs pgbench scripts against a database.

use std::collections::BTreeMap;

use serde_json::json;
use tokio_postgres::Client;

use crate::pg::replay::{Played, ReplayError, Replayed, Settings, Watch, play, with_database};
use crate::pg::session::Writes;
use crate::pg::{Source, connect, measure};
use crate::replay::Samples;
use crate::replay::pgbench::{Scripts, Suite};

/// Runs scripts and returns what they showed; blocks until it is over, as [`crate::pg::replay::run_watched`] does.
///
/// Where the scripts do not say otherwise, `scale` is the number of rows of `pgbench_branches`, as pgbench takes it, and 1
/// without that table. The seed is that of the settings.
///
/// # Errors
/// [`ReplayError`] when the run could not start.
pub fn run_scripts(source: &Source, scripts: &Scripts, settings: &Settings, watch: Watch<'_>) -> Result<Replayed, ReplayError> {
    with_database(source, settings, watch.stop, |runtime, source| {
        let (control, server, scripts) = runtime.block_on(async {
            let control = connect(source).await?;
            let server = measure::server(&control).await?;
            let scripts = fitted(&control, scripts, settings.seed).await;
            Ok::<_, ReplayError>((control, server, scripts))
        })?;
        let suite = scripts.suite(settings.writes)?;
        let (name, text) = (scripts.name(), scripts.text());
        let about = [
            ("scale", json!(scripts.options.scale)),
            ("mode", json!(scripts.options.mode.to_string())),
            ("max_tries", json!(scripts.options.retries + 1)),
        ];
        let played = Played {
            source,
            name: &name,
            text: &text,
            program: &suite,
            caveats: caveats(&suite, settings.writes),
            about: about.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>(),
        };
        let (run, histograms) = play(runtime, &control, &server, played, settings, watch)?;
        let samples = Samples::none(run.started_at);
        Ok(Replayed { run, samples, histograms })
    })
}

/// Returns the scripts with the run's seed and the database's scale.
pub(super) async fn fitted(control: &Client, scripts: &Scripts, seed: u64) -> Scripts {
    let mut scripts = scripts.clone();
    scripts.options.seed = seed;
    if scripts.wants_scale() {
        scripts.options.scale = scale(control).await;
    }
    scripts
}

/// Counts the branches; `None` where there is no such table, or none that may be read.
async fn scale(control: &Client) -> Option<i64> {
    let row = control.query_one("select /* pgload */ count(*) from pgbench_branches", &[]).await.ok()?;
    row.try_get::<_, i64>(0).ok().filter(|count| *count > 0)
}

pub(super) fn caveats(suite: &Suite, writes: Writes) -> Vec<String> {
    let mut caveats = Vec::new();
    let carried: Vec<&str> = suite.carried().collect();
    if !carried.is_empty() {
        caveats.push(format!(
            "What a call does depends on its client's earlier calls: {} read before being set.",
            match carried.as_slice() {
                [only] => format!("variable {only} is"),
                several => format!("variables {} are", several.join(", ")),
            }
        ));
    }
    let left_out = suite.left_out();
    if !left_out.is_empty() {
        let share = 100.0 * left_out.iter().map(|(_, share)| share).sum::<f64>();
        let names = left_out.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        caveats.push(format!("Read-only run: {names} ({share:.0} % of the calls) were left out because they write."));
    }
    if writes == Writes::Rollback && suite.writes() {
        caveats.push("Writes were rolled back: what a commit costs is not measured, and dead rows were left behind.".to_owned());
    }
    caveats
}
