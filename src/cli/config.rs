//! `pgload.toml`: which targets may be loaded.

use std::path::Path;

use serde::Deserialize;

use super::failure::Failure;

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// What load may be sent to.
    #[serde(default)]
    pub load: Load,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Load {
    /// Targets as `host/database`, or `host` for all databases of a host.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// Reads the file; without one nothing but this machine may be loaded.
pub(super) fn read(path: &Path) -> Result<Config, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| Failure::usage(format!("read {}: {error}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(Failure::usage(format!("read {}: {error}", path.display()))),
    }
}
