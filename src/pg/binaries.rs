//! Where a Postgres server's programs are on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of one server installation's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder that holds `initdb` and `postgres`.
    pub folder: PathBuf,
}

/// No server programs were found.
#[derive(Debug, thiserror::Error)]
#[error("find a PostgreSQL server (initdb and postgres); looked in {looked}")]
pub struct NotFound {
    /// Where was looked, for the message.
    pub looked: String,
}

/// Folders where distributions put servers; `*` is a version.
const USUAL: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

impl Binaries {
    /// Finds a server: the folder given explicitly, else one on the search path, else what `pg_config` names, else the
    /// newest in the distributions' usual folders.
    ///
    /// # Errors
    /// [`NotFound`] when none holds both `initdb` and `postgres`; an explicit folder is never replaced by another.
    pub fn find(explicit: Option<&Path>, search_path: &[PathBuf]) -> Result<Self, NotFound> {
        if let Some(folder) = explicit {
            return Self::at(folder).ok_or_else(|| NotFound { looked: folder.display().to_string() });
        }
        let configured = || {
            let output = Command::new("pg_config").arg("--bindir").output().ok()?;
            Self::at(Path::new(String::from_utf8(output.stdout).ok()?.trim()))
        };
        search_path
            .iter()
            .find_map(|folder| Self::at(folder))
            .or_else(configured)
            .or_else(|| usual_folders().iter().find_map(|folder| Self::at(folder)))
            .ok_or_else(|| NotFound { looked: format!("the search path, pg_config --bindir and {}", USUAL.join(", ")) })
    }

    /// Accepts a folder that holds both programs, following links to where they really are: `initdb` looks for its own
    /// files beside itself.
    fn at(folder: &Path) -> Option<Self> {
        let initdb = folder.join("initdb").canonicalize().ok()?;
        let folder = initdb.parent()?.to_owned();
        folder.join("postgres").exists().then_some(Self { folder })
    }

    /// Returns the path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Expands [`USUAL`], the highest version first.
fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for pattern in USUAL {
        let Some((parent, rest)) = split_at_star(pattern) else {
            folders.push(PathBuf::from(pattern));
            continue;
        };
        let (prefix, tail) = rest.split_once('*').unwrap_or((rest, ""));
        let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(parent)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let version = name.strip_prefix(prefix)?.trim_start_matches('@');
                let major = version.split('.').next()?.parse().unwrap_or(0);
                Some((major, entry.path().join(tail.trim_start_matches('/'))))
            })
            .collect();
        versions.sort_by(|a, b| b.cmp(a));
        folders.extend(versions.into_iter().map(|(_, folder)| folder));
    }
    folders
}

/// Splits `/a/b-*/c` into the folder `/a` and `b-*/c`.
fn split_at_star(pattern: &str) -> Option<(&str, &str)> {
    let star = pattern.find('*')?;
    let slash = pattern[..star].rfind('/')?;
    Some((&pattern[..slash], &pattern[slash + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_folder_without_a_server_is_an_error() {
        let empty = tempfile::tempdir().expect("a temporary folder");
        let error = Binaries::find(Some(empty.path()), &[]).expect_err("no server there");
        assert!(error.looked.contains(&empty.path().display().to_string()));
    }

    #[test]
    fn patterns_split_before_the_starred_folder() {
        assert_eq!(split_at_star("/usr/pgsql-*/bin"), Some(("/usr", "pgsql-*/bin")));
        assert_eq!(split_at_star("/usr/local/pgsql/bin"), None);
    }
}
