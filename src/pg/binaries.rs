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
        match explicit {
            Some(folder) => Self::explicit(folder),
            None => Self::installed(search_path).next().ok_or_else(not_found),
        }
    }

    /// Finds the server whose major version is nearest to `major`, the newer one of two as near: the folder given explicitly,
    /// else among all that are installed.
    ///
    /// # Errors
    /// [`NotFound`] as [`Binaries::find`].
    pub fn nearest(explicit: Option<&Path>, search_path: &[PathBuf], major: u32) -> Result<Self, NotFound> {
        if let Some(folder) = explicit {
            return Self::explicit(folder);
        }
        let installed: Vec<Self> = Self::installed(search_path).collect();
        // One that does not say its version is better than none.
        let distance = |binaries: &Self| binaries.major().map_or((u32::MAX, 0), |own| (own.abs_diff(major), u32::MAX - own));
        installed.into_iter().min_by_key(distance).ok_or_else(not_found)
    }

    /// Returns the server's major version; `None` when `postgres --version` does not say.
    pub fn major(&self) -> Option<u32> {
        let output = Command::new(self.program("postgres")).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().nth(2)?;
        version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    }

    fn explicit(folder: &Path) -> Result<Self, NotFound> {
        Self::at(folder).ok_or_else(|| NotFound { looked: folder.display().to_string() })
    }

    /// Lists what is installed, the search path first, then what `pg_config` names, then the usual folders; looks no further than it is asked.
    fn installed(search_path: &[PathBuf]) -> impl Iterator<Item = Self> {
        let configured = std::iter::once_with(|| {
            let output = Command::new("pg_config").arg("--bindir").output().ok()?;
            Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
        });
        let usual = std::iter::once_with(usual_folders).flatten();
        search_path.iter().cloned().chain(configured.flatten()).chain(usual).filter_map(|folder| Self::at(&folder))
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

fn not_found() -> NotFound {
    NotFound { looked: format!("the search path, pg_config --bindir and {}", USUAL.join(", ")) }
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
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_explicit_folder_without_a_server_is_an_error() {
        let empty = tempfile::tempdir().expect("a temporary folder");
        let error = Binaries::find(Some(empty.path()), &[]).expect_err("no server there");
        assert!(error.looked.contains(&empty.path().display().to_string()));
    }

    /// Makes folders that look like servers of these versions.
    fn servers(versions: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folders = versions.iter().enumerate().map(|(at, version)| {
            let folder = home.path().join(at.to_string());
            std::fs::create_dir(&folder).expect("a folder");
            let program = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Debian)'\n");
            for name in ["initdb", "postgres"] {
                let path = folder.join(name);
                std::fs::write(&path, &program).expect("a program");
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("one that runs");
            }
            folder
        });
        let folders = folders.collect();
        (home, folders)
    }

    #[test]
    fn the_nearest_version_wins_and_the_newer_of_two_as_near() {
        // Far from any version that may be installed here.
        let (_home, folders) = servers(&["9190.3", "9194beta1", "9197.0", "9199.12"]);
        let nearest = |major| Binaries::nearest(None, &folders, major).expect("a server").major();
        assert_eq!([9194, 9195, 9198, 9250, 9192].map(nearest), [9194, 9194, 9199, 9199, 9194].map(Some));
        assert_eq!(Binaries::find(None, &folders).expect("a server").major(), Some(9190), "the first on the search path");
    }

    #[test]
    fn an_explicit_folder_is_not_replaced_by_a_nearer_version() {
        let (_home, folders) = servers(&["9190.3", "9199.12"]);
        let found = Binaries::nearest(Some(&folders[0]), &folders, 9199).expect("a server");
        assert_eq!(found.major(), Some(9190));
        assert!(Binaries::nearest(Some(Path::new("/nowhere")), &folders, 9199).is_err());
    }

    #[test]
    fn patterns_split_before_the_starred_folder() {
        assert_eq!(split_at_star("/usr/pgsql-*/bin"), Some(("/usr", "pgsql-*/bin")));
        assert_eq!(split_at_star("/usr/local/pgsql/bin"), None);
    }
}
