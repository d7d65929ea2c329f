//! What is in the way of a concurrent build: older transactions, and what an interrupted build left.

use tokio_postgres::{Client, Error};

use crate::catalog::QualifiedName;
use crate::migration::ddl;
use crate::migration::history::{BuildProgress, Warning};
use crate::migration::statements::ConcurrentBuild;

/// An invalid index under the name of one that is to be built.
#[derive(Debug)]
pub(super) struct Interrupted {
    /// The index.
    pub index: QualifiedName,
    /// The session that is building on its table now, if any.
    pub builder: Option<i32>,
}

/// Lists the transactions a concurrent build may wait for, oldest first.
pub(super) async fn blockers(client: &Client) -> Result<Vec<Warning>, Error> {
    let sessions = client.query(include_str!("../queries/build_blockers.sql"), &[]).await?;
    let prepared = client.query(include_str!("../queries/prepared_transactions.sql"), &[]).await?;
    let sessions = sessions.iter().map(|row| Warning::OldTransaction {
        pid: row.get("pid"),
        user: row.get("user_name"),
        application: row.get("application"),
        state: row.get("state"),
        open_s: row.get("open_s"),
    });
    let prepared =
        prepared.iter().map(|row| Warning::PreparedTransaction { gid: row.get("gid"), owner: row.get("owner"), open_s: row.get("open_s") });
    Ok(sessions.chain(prepared).collect())
}

/// Looks for what an interrupted run of this build left.
pub(super) async fn interrupted(client: &Client, build: &ConcurrentBuild) -> Result<Option<Interrupted>, Error> {
    let found = client.query_opt(include_str!("../queries/interrupted_index.sql"), &[&build.table, &build.index]).await?;
    Ok(found.as_ref().map(left))
}

/// Looks for what interrupted runs of this rebuild left: copies that no query uses and every write maintains.
pub(super) async fn interrupted_rebuilds(client: &Client, index: &str) -> Result<Vec<Interrupted>, Error> {
    let found = client.query(include_str!("../queries/interrupted_rebuild.sql"), &[&index]).await?;
    Ok(found.iter().map(left).collect())
}

fn left(row: &tokio_postgres::Row) -> Interrupted {
    Interrupted {
        index: QualifiedName::new(row.get::<_, String>("schema_name"), row.get::<_, String>("index_name")),
        builder: row.get("builder"),
    }
}

/// Drops it beside reads and writes.
pub(super) async fn remove(client: &Client, left: &Interrupted) -> Result<(), Error> {
    client.batch_execute(&ddl::drop_index(&left.index, ddl::Build::Concurrently)).await
}

/// Returns the builds running in this database.
pub(super) async fn progress(client: &Client) -> Result<Vec<BuildProgress>, Error> {
    let rows = client.query(include_str!("../queries/build_progress.sql"), &[]).await?;
    let build = |row: &tokio_postgres::Row| BuildProgress {
        pid: row.get("pid"),
        table: row.get("table_name"),
        phase: row.get("phase"),
        done: row.get("done"),
        of: row.get("of_all"),
    };
    Ok(rows.iter().map(build).collect())
}
