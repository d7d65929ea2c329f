//! What both sides are put under: the program of each kind of load, and what limits it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::PairedError;
use crate::pg::captured::Capture;
use crate::pg::replay::Settings;
use crate::pg::sample;
use crate::pg::scripts;
use crate::pg::session::Writes;
use crate::replay::captured::Ordered;
use crate::replay::pgbench::{Scripts, Suite};
use crate::replay::{Program, Script, Workload};

/// Calls that both sides make.
pub enum Load<'a> {
    /// Those of a workload file.
    Workload(&'a Workload),
    /// Passes through pgbench scripts; what `\gset` reads is each side's own.
    Scripts(&'a Scripts),
    /// Captured transactions in their order, without their times; sessions share connections.
    Capture(Capture<'a>),
}

impl<'a> From<&'a Workload> for Load<'a> {
    fn from(workload: &'a Workload) -> Self {
        Self::Workload(workload)
    }
}

impl<'a> From<&'a Scripts> for Load<'a> {
    fn from(scripts: &'a Scripts) -> Self {
        Self::Scripts(scripts)
    }
}

impl<'a> From<Capture<'a>> for Load<'a> {
    fn from(capture: Capture<'a>) -> Self {
        Self::Capture(capture)
    }
}

/// A load that can be played.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: String,
    calls: Calls,
    /// What limits the result, known before it starts.
    pub(super) caveats: Vec<String>,
    /// What is kept of it with the experiment.
    pub(super) about: BTreeMap<String, Value>,
}

#[derive(Debug)]
enum Calls {
    Script(Script),
    Suite(Suite),
    Ordered(Box<Ordered>),
}

impl Load<'_> {
    /// Makes it ready; what it needs to know of the database is read from the side before the change.
    pub(super) async fn made(self, control: &mut Client, settings: &Settings) -> Result<Made, PairedError> {
        let (seed, writes) = (settings.seed, settings.writes);
        let (name, calls, caveats, about) = match self {
            Self::Workload(workload) => {
                let samples = sample::draw(control, workload, seed).await?;
                let script = Script::new(workload, &samples, seed, writes)?;
                let mut caveats = Vec::new();
                if writes == Writes::Rollback && workload.statements.iter().any(|statement| statement.writes) {
                    caveats
                        .push("Writes were rolled back: what a commit costs is not measured, and dead rows were left behind.".to_owned());
                }
                (workload.name.clone(), Calls::Script(script), caveats, vec![("samples", json!(samples.digest()))])
            }
            Self::Scripts(given) => {
                let fitted = scripts::fitted(control, given, seed).await;
                let suite = fitted.suite(writes)?;
                let about = vec![
                    ("scale", json!(fitted.options.scale)),
                    ("mode", json!(fitted.options.mode.to_string())),
                    ("max_tries", json!(fitted.options.retries + 1)),
                ];
                let caveats = scripts::caveats(&suite, writes);
                (fitted.name(), Calls::Suite(suite), caveats, about)
            }
            Self::Capture(mut capture) => {
                let (ordered, mut caveats) = capture.ordered(seed, writes)?;
                if settings.arrival.sessions() > 1 {
                    caveats.push("Several clients: a transaction may begin before its session's last one has ended.".to_owned());
                }
                let about = vec![("captured", json!({ "transactions": ordered.transactions() }))];
                (capture.captured.name.clone(), Calls::Ordered(Box::new(ordered)), caveats, about)
            }
        };
        Ok(Made { name, calls, caveats, about: about.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() })
    }
}

impl Made {
    pub(super) fn program(&self) -> &dyn Program {
        match &self.calls {
            Calls::Script(script) => script,
            Calls::Suite(suite) => suite,
            Calls::Ordered(ordered) => ordered.as_ref(),
        }
    }

    /// Says where captured calls went otherwise than they had, over both sides and all phases.
    pub(super) fn divergence(&self) -> Vec<String> {
        match &self.calls {
            Calls::Ordered(ordered) => ordered.divergence().caveats(),
            Calls::Script(_) | Calls::Suite(_) => Vec::new(),
        }
    }
}
