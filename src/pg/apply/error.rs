//! Why migrations were not applied, and what had happened by then.

use std::path::PathBuf;

/// Why `plan`, `up`, `down` or `status` failed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The folder or one of its files is not what it should be.
    #[error("read migration {}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// Another run holds the lock.
    #[error("apply migrations: session {} is applying migrations to this database; run again when it has finished", pid.map_or_else(|| "of another client".to_owned(), |pid| pid.to_string()))]
    Busy {
        /// The other session's process, where it could still be found.
        pid: Option<i32>,
    },
    /// An applied migration's file was changed afterwards.
    #[error(
        "apply migrations: {} is not what was applied as V{version}__{name}: restore the file, or write the change as a new migration",
        path.display()
    )]
    Changed {
        /// The version of both.
        version: i64,
        /// The name in the history.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// An applied migration has no file.
    #[error(
        "apply migrations: V{version}__{name} was applied to this database, but {} has no file of it: restore the file, or give the folder that holds it",
        folder.display()
    )]
    Missing {
        /// The version in the history.
        version: i64,
        /// The name in the history.
        name: String,
        /// The folder.
        folder: PathBuf,
    },
    /// The history cannot hold this version.
    #[error(
        "apply V{version}: refinery_schema_history has 32-bit versions; make them 64-bit first: alter table refinery_schema_history alter column version type bigint;"
    )]
    NarrowHistory {
        /// The first version that does not fit.
        version: i64,
    },
    /// A migration failed; those before it stay applied.
    #[error(transparent)]
    Failed(Box<Failure>),
    /// `down` of a version the history does not have.
    #[error("take back V{version}: it is not applied to this database")]
    NotApplied {
        /// The version.
        version: i64,
    },
    /// `down` of a version without a way back.
    #[error("take back V{version}: {} has no V{version}__….down.sql", folder.display())]
    NoDownFile {
        /// The version.
        version: i64,
        /// The folder.
        folder: PathBuf,
    },
    /// The server could not be asked.
    #[error("{doing}: {}", said(source))]
    Server {
        /// What was being done.
        doing: &'static str,
        /// The driver's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A row of the history is not one refinery wrote.
    #[error("read refinery_schema_history: V{version} has {what}")]
    History {
        /// The row's version.
        version: i64,
        /// What is wrong with it.
        what: String,
    },
}

/// A migration that failed, and how far the run had come. Boxed, since it is much larger than the other errors.
#[derive(Debug, thiserror::Error)]
#[error("{}", told(applied, failed, untried, reason))]
pub struct Failure {
    /// Migrations this run applied before, as `V1__name`.
    pub applied: Vec<String>,
    /// The one that failed.
    pub failed: String,
    /// Those after it.
    pub untried: Vec<String>,
    /// What the server said, and which statements of the file had run by then.
    pub reason: String,
    /// The server's code.
    pub sqlstate: Option<String>,
    /// refinery's error, with the driver's below it.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Why one file's statements failed.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct StepError {
    /// What the server said about which statement, and what had run by then.
    pub reason: String,
    /// The driver's error; `None` where the history itself is at fault.
    #[source]
    pub source: Option<tokio_postgres::Error>,
}

impl ApplyError {
    /// Returns the server's code, when the server refused something.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Failed(failure) => failure.sqlstate.as_deref(),
            Self::Server { source, .. } => source.code().map(tokio_postgres::error::SqlState::code),
            _ => None,
        }
    }
}

/// Tells what the server answered: message, detail, hint and code.
pub(super) fn said(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        return error.to_string();
    };
    let mut text = db.message().to_owned();
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        text.push_str(". ");
        text.push_str(more.trim_end_matches('.'));
    }
    format!("{text} (SQLSTATE {})", db.code().code())
}

fn told(applied: &[String], failed: &str, untried: &[String], reason: &str) -> String {
    let mut text = String::new();
    if !applied.is_empty() {
        text = format!("{} applied, ", applied.join(", "));
    }
    text.push_str(&format!("{failed} failed: {reason}"));
    if !untried.is_empty() {
        text.push_str(&format!("; {} not tried", untried.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_had_already_happened() {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            told(&list(&["V1__a", "V2__b"]), "V3__c", &list(&["V4__d"]), "no such table (SQLSTATE 42P01)"),
            "V1__a, V2__b applied, V3__c failed: no such table (SQLSTATE 42P01); V4__d not tried"
        );
        assert_eq!(told(&[], "V1__a", &[], "x"), "V1__a failed: x");
    }
}
