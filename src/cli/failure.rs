//! Exit codes, and errors that carry one.

use std::process::ExitCode;

use crate::migration::Layout;
use crate::pg::ConnectError;
use crate::pg::apply::ApplyError;
use crate::pg::binaries::NotFound;
use crate::pg::cluster::ClusterError;
use crate::pg::conninfo::ConninfoError;
use crate::pg::copies::CloneError;
use crate::pg::paired::PairedError;
use crate::pg::replay::{Fault, ReplayError};
use crate::pg::snapshot::{NodeError, SnapshotError};
use crate::pg::statements::DeriveError;
use crate::replay::workload::WorkloadError;
use crate::staging::SeedError;

/// What an exit code means; other programs rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// 0: done.
    Done = 0,
    /// 1: failed.
    Failed = 1,
    /// 2: usage, or a file that cannot be read as what it should be.
    Usage = 2,
    /// 3: findings at or above `--fail-on`.
    Findings = 3,
    /// 4: a threshold missed, or something got slower.
    Slower = 4,
    /// 5: cannot connect, or the connection was lost.
    Connection = 5,
    /// 6: a prerequisite is missing.
    Prerequisite = 6,
    /// 7: refused, the target looks like production or is not allowed.
    Refused = 7,
    /// 8: inconclusive.
    Inconclusive = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error for a person: a fragment that fits after "could not", and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::new(Exit::Connection, error.to_string())
    }
}

impl From<ConninfoError> for Failure {
    fn from(error: ConninfoError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<WorkloadError> for Failure {
    fn from(error: WorkloadError) -> Self {
        Self::usage(format!("read workload {error}"))
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        let exit = match &error {
            SnapshotError::Unknown { .. } => Exit::Usage,
            SnapshotError::Query { source, .. } if source.code().is_none() => Exit::Connection,
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<DeriveError> for Failure {
    fn from(error: DeriveError) -> Self {
        let message = error.to_string();
        let exit = match error {
            DeriveError::Connect(error) => return error.into(),
            DeriveError::Snapshot(error) => return error.into(),
            DeriveError::Missing { .. } => Exit::Prerequisite,
            DeriveError::Query(error) if error.code().is_none() => Exit::Connection,
            DeriveError::Nothing(_) | DeriveError::Query(_) | DeriveError::Workload(_) | DeriveError::Write(_) => Exit::Failed,
        };
        Self::new(exit, message)
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        let inner = match error {
            NodeError::Connect(error) => Self::from(error),
            NodeError::Snapshot { error, .. } => Self::from(error),
        };
        Self::new(inner.exit, message)
    }
}

impl From<Fault> for Exit {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Connection => Self::Connection,
            Fault::Workload => Self::Usage,
            Fault::Refused => Self::Refused,
            Fault::Other => Self::Failed,
        }
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        Self::new(error.fault().into(), error.to_string())
    }
}

impl From<PairedError> for Failure {
    fn from(error: PairedError) -> Self {
        Self::new(error.fault().into(), error.to_string())
    }
}

impl From<CloneError> for Failure {
    fn from(error: CloneError) -> Self {
        Self::new(error.fault().into(), error.to_string())
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let exit = match &error {
            ApplyError::File { .. } | ApplyError::NoDownFile { .. } => Exit::Usage,
            ApplyError::Server { source, .. } if source.code().is_none() => Exit::Connection,
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<NotFound> for Failure {
    fn from(error: NotFound) -> Self {
        let install = if cfg!(target_os = "macos") {
            "brew install postgresql@17"
        } else {
            "apt-get install postgresql (Debian, Ubuntu) or dnf install postgresql-server postgresql-contrib (Fedora)"
        };
        Self::new(Exit::Prerequisite, format!("{error}. Install one: {install}; or name its folder: --pg-bin DIR or PGLOAD_PG_BIN"))
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let missing = matches!(&error, ClusterError::Program { output, .. } if output.contains("pg_stat_statements"));
        if missing {
            return Self::new(Exit::Prerequisite, format!("{error}. Install the server's contrib package (postgresql-contrib)"));
        }
        Self::failed(error.to_string())
    }
}

impl From<SeedError> for Failure {
    fn from(error: SeedError) -> Self {
        Self::failed(error.to_string())
    }
}

/// Names the layouts for the help.
pub(super) fn layout(word: &str) -> Result<Layout, String> {
    let named = |layout: &Layout| layout.name() == word;
    let names = || Layout::ALL.map(Layout::name).join(", ");
    Layout::ALL.into_iter().find(named).ok_or_else(|| format!("expected one of {}", names()))
}
