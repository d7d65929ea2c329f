//! `pgload doctor`: what is installed, what the role may see, what is missing and how to get it.

use super::args::DoctorArgs;
use super::failure::{Exit, Failure};
use super::{connection, output, snapshot};
use crate::catalog::StatementSource;
use crate::pg::binaries::Binaries;
use crate::pg::snapshot::Scope;

pub(super) async fn run(args: DoctorArgs) -> Result<Exit, Failure> {
    let mut text = String::new();
    let mut exit = Exit::Done;
    match Binaries::find(args.pg_bin.as_deref(), &connection::search_path()) {
        Ok(binaries) => text.push_str(&format!("ok       PostgreSQL server programs: {}\n", binaries.folder.display())),
        Err(error) => {
            text.push_str(&format!("missing  {}\n", Failure::from(error).message));
            exit = Exit::Prerequisite;
        }
    }
    if !connection::is_given(&args.connection) {
        text.push_str("-        no database given (-d URL or DATABASE_URL): rights are not checked\n");
        output::result(&text)?;
        return Ok(exit);
    }
    let source = connection::source(&args.connection)?;
    let snapshot = snapshot::take(&source, &Scope::default()).await?;
    text.push_str(&format!(
        "ok       connected to {}, PostgreSQL {}.{}\n",
        source.described(),
        snapshot.server.major(),
        snapshot.server.version_num % 10_000
    ));
    match &snapshot.statement_source {
        StatementSource::File { .. } => {}
        StatementSource::Available { evicted, .. } => {
            text.push_str(&format!("ok       pg_stat_statements: {} statements, {evicted} evicted\n", snapshot.statements.len()));
        }
        StatementSource::Missing { reason, remedy } => text.push_str(&format!("missing  {reason}\n         {remedy}\n")),
    }
    for hidden in &snapshot.hidden {
        text.push_str(&format!("hidden   {}: {}\n         {}\n", hidden.what, hidden.effect, hidden.remedy));
    }
    if snapshot.hidden.is_empty() {
        text.push_str(&format!("ok       {} may see everything an audit reads\n", snapshot.server.user));
    }
    output::result(&text)?;
    Ok(exit)
}
