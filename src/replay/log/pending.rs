//! What a session's lines said and no statement has taken yet: parses, binds, durations.

use super::line::Line;
use super::parameters::Parameters;

/// The most parses or binds kept for an execution to come; more are of clients that prepare and never run.
pub(super) const STEPS_MAX: usize = 64;

/// A duration without text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bare {
    pub(super) us: u64,
    /// Whether its tag says that it is of a parse or a bind: no statement is lost with it.
    pub(super) preparing: bool,
}

/// What of a line decides about a transaction.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) vxid: Option<String>,
    pub(super) logs_vxid: bool,
}

impl Facts {
    pub(super) fn of(line: &Line) -> Self {
        Self { vxid: line.open_vxid().map(str::to_owned), logs_vxid: line.vxid.is_some() }
    }
}

/// A parse or bind that waits for its execution.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) end_us: i64,
    pub(super) us: u64,
    pub(super) parameters: Option<Parameters>,
    pub(super) line: Facts,
    pub(super) query_id: Option<i64>,
}

impl Kept {
    /// When it began.
    pub(super) fn began_us(&self) -> i64 {
        self.end_us - i64::try_from(self.us).unwrap_or(0)
    }
}

/// Keeps a parse or a bind for its execution.
pub(super) fn keep(kept: &mut Vec<Kept>, new: Kept) {
    // The unnamed statement, and a portal of the same name, is there once.
    kept.retain(|known| known.name != new.name);
    if kept.len() >= STEPS_MAX {
        kept.remove(0);
    }
    kept.push(new);
}
