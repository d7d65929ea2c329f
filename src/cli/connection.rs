//! What the process was given to connect with: variables, password file, service file, certificates.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::args::Connection;
use super::failure::Failure;
use super::output;
use crate::pg::Source;
use crate::pg::source::Environment;

/// Resolves the connection of a command.
pub(super) fn source(connection: &Connection) -> Result<Source, Failure> {
    let mut source = Source::resolve(connection.url.as_deref(), &environment())?;
    source.read_certificates(&|path| std::fs::read(path))?;
    Ok(source)
}

/// Returns the folders programs are looked for in.
pub(super) fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// Returns whether anything names a database.
pub(super) fn is_given(connection: &Connection) -> bool {
    let named = ["DATABASE_URL", "PGHOST", "PGSERVICE", "PGDATABASE"];
    connection.url.is_some() || named.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn environment() -> Environment {
    let variables: BTreeMap<String, String> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let home = variables.get("HOME").map(PathBuf::from).unwrap_or_default();
    let password_file = variables.get("PGPASSFILE").map_or_else(|| home.join(".pgpass"), PathBuf::from);
    let services = [
        variables.get("PGSERVICEFILE").map(PathBuf::from),
        Some(home.join(".pg_service.conf")),
        variables.get("PGSYSCONFDIR").map(|folder| Path::new(folder).join("pg_service.conf")),
        Some(PathBuf::from("/etc/postgresql-common/pg_service.conf")),
    ];
    let service_file = services.into_iter().flatten().find_map(|path| std::fs::read_to_string(path).ok());
    Environment { password_file: private_text(&password_file), service_file, variables }
}

/// Reads a password file, which libpq ignores when others may read it.
fn private_text(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if metadata.mode() & 0o077 != 0 {
        output::notice(&format!("warning: {} is ignored, since others may read it. Run: chmod 600 {0}", path.display()));
        return None;
    }
    std::fs::read_to_string(path).ok()
}
