//! What another node of the same database counted.

use tokio_postgres::Client;

use super::{Reader, Scope, SnapshotError, read_only};
use crate::catalog::Node;
use crate::pg::{ConnectError, Source, connect};

/// Why a node's usage could not be read.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It did not answer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It answered, but not the questions.
    #[error("{error} (node {node})")]
    Snapshot {
        /// The node, as [`Node::name`].
        node: String,
        /// What went wrong.
        #[source]
        error: SnapshotError,
    },
}

/// Connects to another node of the audited database, a standby most often, and reads its usage counters.
///
/// The node is named by host and port as given, never by a password.
///
/// # Errors
/// [`NodeError`].
pub async fn take_node(source: &Source) -> Result<Node, NodeError> {
    let name = source.address();
    let mut client = connect(&source.clone().with_application_name("pgload")).await?;
    read_node(&mut client, &name).await.map_err(|error| NodeError::Snapshot { node: name, error })
}

async fn read_node(client: &mut Client, name: &str) -> Result<Node, SnapshotError> {
    read_only(client, async |reader| reader.node(name).await).await
}

impl Reader<'_> {
    async fn node(&self, name: &str) -> Result<Node, SnapshotError> {
        let (server, taken_at, _) = self.server().await?;
        let (tables, _) = self.tables(&Scope::default()).await?;
        let table_oids: Vec<_> = tables.iter().map(|table| table.oid).collect();
        let (indexes, _) = self.indexes(&table_oids).await?;
        Ok(Node {
            name: name.to_owned(),
            in_recovery: server.in_recovery,
            taken_at,
            stats_reset_at: server.stats_reset_at,
            started_at: server.started_at,
            indexes: indexes.into_iter().map(|index| (index.name, index.usage)).collect(),
            tables: tables.into_iter().map(|table| (table.name, table.usage)).collect(),
        })
    }
}
