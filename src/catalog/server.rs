//! The server itself: version, settings, extensions, and what this role may see of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Facts of one server and the database the snapshot was taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// `server_version_num`: 150018 is 15.18.
    pub version_num: u32,
    /// The database the snapshot describes.
    pub database: String,
    /// The role that read it.
    pub user: String,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// When this database's statistics were last reset; `None` when never, or when a crash discarded them.
    pub stats_reset_at: Option<Timestamp>,
    /// When the server was started.
    pub started_at: Option<Timestamp>,
    /// `LC_COLLATE` of the database.
    #[serde(default)]
    pub collate: String,
    /// `LC_CTYPE` of the database.
    #[serde(default)]
    pub ctype: String,
    /// `pg_encoding_to_char` of the database.
    #[serde(default)]
    pub encoding: String,
    /// `datlocprovider`: `c` libc, `i` ICU, `b` built in (15 and later; `c` before).
    #[serde(default)]
    pub locale_provider: String,
    /// The ICU or built-in locale.
    #[serde(default)]
    pub locale: Option<String>,
    /// The version of the database's collation when it was made, and the one the system has now, when they differ.
    #[serde(default)]
    pub collation_mismatches: Vec<CollationMismatch>,
    /// The size of the database on disk.
    pub database_bytes: u64,
    /// Planner settings and those that bear on statistics, by name; values in the setting's own unit.
    pub settings: BTreeMap<String, Setting>,
    /// Installed extensions by name.
    pub extensions: Vec<Extension>,
}

/// A collation whose order may have changed under the indexes that rely on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollationMismatch {
    /// The collation, quoted and with its schema; `None` for the database's own.
    pub collation: Option<String>,
    /// The version recorded.
    pub recorded: String,
    /// The version the system has now.
    pub actual: String,
}

/// One row of `pg_settings`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The value in `unit`.
    pub value: String,
    /// The unit (`8kB`, `ms`); `None` for plain numbers and words.
    pub unit: Option<String>,
    /// Where the value comes from (`default`, `configuration file`, `database`).
    pub source: String,
}

/// An installed extension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    /// Its name, as `CREATE EXTENSION` takes it.
    pub name: String,
    /// The installed version.
    pub version: String,
    /// The schema of its objects.
    pub schema: String,
}

/// Something this role could not see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hidden {
    /// What is hidden, with how much of it: `text of 41 statements of other roles`.
    pub what: String,
    /// What the audit cannot say because of it.
    pub effect: String,
    /// The statement that would show it, ready to run; empty when none would.
    pub remedy: String,
}

impl Server {
    /// Returns the major version: 15 for 15.18.
    pub fn major(&self) -> u32 {
        self.version_num / 10_000
    }

    /// Returns a setting as a number in the setting's own unit; `None` when unknown or not a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.settings.get(name)?.value.parse().ok()
    }

    /// Returns whether the extension is installed in this database.
    pub fn has_extension(&self, name: &str) -> bool {
        self.extensions.iter().any(|extension| extension.name == name)
    }
}
