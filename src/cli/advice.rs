//! Who prices the plans: the statistics twin where a server's programs are installed, else arithmetic.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::args::{AdviceArgs, ModelChoice};
use super::failure::Failure;
use super::{connection, output, progress};
use crate::advisor::{self, Advice, Budget, CostModel};
use crate::catalog::Snapshot;
use crate::pg::binaries::Binaries;
use crate::pg::twin::{self, Options, Twin};
use crate::report::audit::Unmodelled;

/// Advice, and what the model lacked.
pub(super) struct Answer {
    pub advice: Advice,
    pub unmodelled: Vec<Unmodelled>,
}

/// How advice is asked for.
#[derive(Debug, Clone)]
pub(super) struct How {
    /// The model that has to price, where the person insists on one.
    pub model: Option<ModelChoice>,
    /// The folder of a server's programs, when given.
    pub pg_bin: Option<PathBuf>,
    /// Plans made at the same time; the machine's cores when not given.
    pub jobs: Option<usize>,
    /// How long to search.
    pub time: Duration,
}

impl From<&AdviceArgs> for How {
    fn from(args: &AdviceArgs) -> Self {
        Self { model: args.model, pg_bin: args.pg_bin.clone(), jobs: args.jobs.map(usize::from), time: args.time }
    }
}

/// Asks for advice on a snapshot.
///
/// Without server programs, and when the twin does not start, arithmetic on the statistics answers, and both the notice on
/// stderr and the advice say so; unless the person insisted on the twin.
pub(super) async fn advise(snapshot: &Arc<Snapshot>, budget: &Budget, how: &How) -> Result<Answer, Failure> {
    if how.model == Some(ModelChoice::Estimate) {
        return by_estimate(snapshot, budget, None).await;
    }
    let binaries = match Binaries::nearest(how.pg_bin.as_deref(), &connection::search_path(), snapshot.server.major()) {
        Ok(binaries) => binaries,
        // A folder that was named and holds no server is a mistake to mend, not a reason to answer with less.
        Err(error) if how.model == Some(ModelChoice::Twin) || how.pg_bin.is_some() => return Err(error.into()),
        Err(error) => return by_estimate(snapshot, budget, Some(Failure::from(error).message)).await,
    };
    match by_twin(snapshot, budget, binaries, how).await {
        Err(failure) if how.model != Some(ModelChoice::Twin) => by_estimate(snapshot, budget, Some(failure.message)).await,
        answer => answer,
    }
}

async fn by_estimate(snapshot: &Arc<Snapshot>, budget: &Budget, reason: Option<String>) -> Result<Answer, Failure> {
    if let Some(reason) = &reason {
        output::notice(&format!("Prices come from arithmetic on the statistics, not from a planner: could not {reason}."));
    }
    let (snapshot, budget) = (Arc::clone(snapshot), budget.clone());
    let mut advice = blocking(move || Ok(advisor::advise_by_estimate(&snapshot, &budget))).await?;
    if reason.is_some() {
        let caveat = "Plans were priced by arithmetic on the statistics and not by a planner: a PostgreSQL server's programs (initdb, postgres) on \
                      this machine, of any version from 14, make the prices the planner's own.";
        advice.caveats.insert(0, caveat.to_owned());
    }
    Ok(Answer { advice, unmodelled: Vec::new() })
}

async fn by_twin(snapshot: &Arc<Snapshot>, budget: &Budget, binaries: Binaries, how: &How) -> Result<Answer, Failure> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options { binaries, workers: how.jobs.unwrap_or_else(cores), time_max: Some(how.time) };
    let (snapshot, budget) = (Arc::clone(snapshot), budget.clone());
    let step = progress::step("Asking the planner of a statistics twin …");
    let begun = Instant::now();
    let (answer, name) = blocking(move || {
        let mut twin = Twin::start(&snapshot, &options).map_err(|error| Failure::failed(error.to_string()))?;
        let advice = advisor::advise(&snapshot, &mut twin, &budget);
        let unmodelled = unmodelled(&snapshot, twin.unmodelled());
        Ok((Answer { advice, unmodelled }, twin.name()))
    })
    .await?;
    step.done(&format!("Plans priced by a {name} in {:.1} s.", begun.elapsed().as_secs_f64()));
    Ok(answer)
}

/// Says what share of the recorded time runs on tables that each lack bears on.
fn unmodelled(snapshot: &Snapshot, lacks: &[twin::Unmodelled]) -> Vec<Unmodelled> {
    if lacks.is_empty() {
        return Vec::new();
    }
    let queries = advisor::workload::read(snapshot).queries;
    let total = snapshot.exec_ms_total();
    let share = |lack: &twin::Unmodelled| {
        let touching = queries.iter().filter(|query| query.tables().iter().any(|table| lack.tables.contains(table)));
        (total > 0.0).then(|| touching.map(|query| query.exec_ms_total).sum::<f64>() / total)
    };
    let told = lacks.iter().map(|lack| Unmodelled {
        kind: lack.kind.clone(),
        name: lack.name.clone(),
        reason: lack.reason.clone(),
        exec_time_share: share(lack),
    });
    let mut told: Vec<Unmodelled> = told.collect();
    told.sort_by(|one, other| other.exec_time_share.unwrap_or(0.0).total_cmp(&one.exec_time_share.unwrap_or(0.0)));
    told
}

/// Planning and searching take seconds of processor time, which the executor's threads are not for.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Failure::failed(format!("ask for advice: {error}")))?
}
