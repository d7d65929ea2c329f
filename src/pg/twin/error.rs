//! What keeps a twin from being made.

use super::super::cluster::ClusterError;
use super::super::connect::ConnectError;
use super::super::rows::RowError;

/// Why there is no twin.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// Its server did not start.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Its server could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A statement that has to work did not.
    #[error("{what} on the twin: {}", said(.source))]
    Query {
        /// What was being done.
        what: String,
        /// The driver's answer.
        #[source]
        source: tokio_postgres::Error,
    },
    /// An answer was not as its query promises.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A file of its server could not be written.
    #[error("give {path} its length on the twin")]
    File {
        /// The file, from the server's data folder.
        path: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A thread or its runtime could not be made, or ended early.
    #[error("run a worker of the twin: {0}")]
    Worker(String),
}

/// Returns the server's own words, else the driver's.
pub(super) fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned())
}

/// Says what a driver's error was met in.
pub(super) fn while_doing(what: &str) -> impl Fn(tokio_postgres::Error) -> TwinError {
    let what = what.to_owned();
    move |source| TwinError::Query { what: what.clone(), source }
}
