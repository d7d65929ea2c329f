//! The folder's files, read as refinery reads them but without silence: refinery skips what it cannot read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use refinery_core::{Migration, parse_migration_name};

use super::error::ApplyError;

/// A folder of migrations, read.
#[derive(Debug)]
pub(super) struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// Its migrations by version.
    pub files: BTreeMap<i64, File>,
    /// Their ways back by version.
    pub downs: BTreeMap<i64, PathBuf>,
}

/// One migration file.
#[derive(Debug)]
pub(super) struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What refinery makes of it.
    pub migration: Migration,
}

impl Folder {
    /// Reads all migrations of a folder and, as refinery does, of the folders in it.
    pub(super) fn read(path: &Path) -> Result<Self, ApplyError> {
        let mut folder = Self { path: path.to_owned(), files: BTreeMap::new(), downs: BTreeMap::new() };
        let mut found = Vec::new();
        collect(path, &mut found)?;
        found.sort();
        for file in found {
            folder.add(file)?;
        }
        Ok(folder)
    }

    fn add(&mut self, path: PathBuf) -> Result<(), ApplyError> {
        let Some(stem) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".sql")) else {
            return Ok(());
        };
        let (stem, down) = stem.strip_suffix(".down").map_or((stem, false), |stem| (stem, true));
        let (version, unversioned) = version_of(stem, &path)?;
        if down {
            return taken(self.downs.insert(version, path.clone()).as_ref(), &path);
        }
        if unversioned {
            let reason = "refinery would apply it as an unversioned migration, Flyway as the way back: \
                          name a migration V<version>__<name>.sql and its way back V<version>__<name>.down.sql";
            return Err(ApplyError::File { path, reason: reason.to_owned() });
        }
        let sql = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        let migration = Migration::unapplied(stem, &sql).map_err(|error| unreadable(&path, &error))?;
        let before = self.files.insert(version, File { path: path.clone(), migration });
        taken(before.as_ref().map(|file| &file.path), &path)
    }
}

/// Two files of one version: refinery notices only when name and text agree too.
fn taken(before: Option<&PathBuf>, path: &Path) -> Result<(), ApplyError> {
    match before {
        Some(other) => Err(ApplyError::File {
            path: path.to_owned(),
            reason: format!("{} has the same version: give one of them another", other.display()),
        }),
        None => Ok(()),
    }
}

/// Returns the version in a file's name, and whether it is an unversioned (`U…`) one.
fn version_of(stem: &str, path: &Path) -> Result<(i64, bool), ApplyError> {
    let refused = |reason: &str| ApplyError::File { path: path.to_owned(), reason: reason.to_owned() };
    match parse_migration_name(stem) {
        // refinery's pattern is not anchored at the end: it takes `V1__a-b` for `V1__a`.
        Ok((_, version, name)) if stem.ends_with(&format!("__{name}")) => Ok((version, stem.starts_with('U'))),
        Err(error) if matches!(error.kind(), refinery_core::error::Kind::InvalidVersion) => {
            Err(refused("its version is not a whole number below 2^63"))
        }
        _ => Err(refused("its name is not V<version>__<name>.sql with letters, digits and _ in the name: rename it or move it away")),
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), ApplyError> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let kind = entry.file_type().map_err(|error| unreadable(&entry.path(), &error))?;
        if kind.is_dir() {
            collect(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> ApplyError {
    ApplyError::File { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Folder, ApplyError>) {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let read = Folder::read(place.path());
        (place, read)
    }

    fn refused(files: &[(&str, &str)]) -> String {
        let (place, read) = folder(files);
        read.unwrap_err().to_string().replace(&place.path().display().to_string(), "dir")
    }

    #[test]
    fn migrations_and_their_ways_back_are_paired_by_version() {
        let (place, read) =
            folder(&[("V2__b.sql", "select 2"), ("V2__b.down.sql", ""), ("more/V10__c.sql", ""), ("README.md", ""), (".keep", "")]);
        let read = read.unwrap();
        assert_eq!(read.files.keys().copied().collect::<Vec<_>>(), [2, 10]);
        assert_eq!(read.files[&2].migration.name(), "b");
        assert_eq!(read.downs, BTreeMap::from([(2, place.path().join("V2__b.down.sql"))]));
    }

    #[test]
    fn a_file_refinery_would_skip_in_silence_is_an_error() {
        for name in ["V1_a.sql", "V1__a-b.sql", "20261123094500_a.sql", "V1__.sql", "notes.sql"] {
            assert!(
                refused(&[(name, "")]).starts_with(&format!("read migration dir/{name}: its name is not V<version>__<name>.sql")),
                "{name}"
            );
        }
        assert!(refused(&[("V99999999999999999999__a.sql", "")]).contains("not a whole number"));
        assert!(refused(&[("U1__a.sql", "drop table t")]).contains("refinery would apply it"));
    }

    #[test]
    fn two_files_of_one_version_are_refused_by_name() {
        assert_eq!(
            refused(&[("V1__a.sql", ""), ("V1__b.sql", "")]),
            "read migration dir/V1__b.sql: dir/V1__a.sql has the same version: give one of them another"
        );
    }

    #[test]
    fn an_absent_folder_and_a_file_that_is_no_text_are_errors_with_their_path() {
        assert!(Folder::read(Path::new("/nonexistent/x")).unwrap_err().to_string().starts_with("read migration /nonexistent/x: "));
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("V1__a.sql"), [0xff, 0xfe]).unwrap();
        assert!(Folder::read(place.path()).unwrap_err().to_string().contains("V1__a.sql"));
    }
}
