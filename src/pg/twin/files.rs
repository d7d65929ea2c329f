//! Relation files of the right length and of no size: sparse, in the segments the server looks for.
//!
//! The planner takes a relation's number of pages from its file's length. Files are only ever written while no session
//! has them open: sessions remember the segments they have seen.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use super::page;
use crate::units::PAGE_BYTES;

/// Bytes of one segment file (`segment_size`, 1 GiB unless compiled otherwise).
const SEGMENT_BYTES: u64 = 1 << 30;

/// What a relation's file should look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The path from the data folder, as `pg_relation_filepath` says.
    pub(super) path: PathBuf,
    /// Its length in pages.
    pub(super) pages: u64,
    /// The height to give a B-tree; `None` for everything else.
    pub(super) height: Option<u32>,
}

/// Makes a relation's file look as wanted.
pub(super) fn shape(data: &Path, wanted: &Wanted) -> io::Result<()> {
    let path = data.join(&wanted.path);
    if let Some(height @ 1..) = wanted.height {
        let file = OpenOptions::new().write(true).open(&path)?;
        file.write_all_at(&page::metapage_root(height), page::META_ROOT_OFFSET)?;
        file.write_all_at(&page::chain(height), PAGE_BYTES)?;
    }
    lengthen(&path, wanted.pages)
}

/// Gives a relation's file so many pages; what is there stays.
fn lengthen(path: &Path, pages: u64) -> io::Result<()> {
    let first = OpenOptions::new().write(true).open(path)?;
    let bytes = pages.saturating_mul(PAGE_BYTES).max(first.metadata()?.len().min(SEGMENT_BYTES));
    first.set_len(bytes.min(SEGMENT_BYTES))?;
    let owner = first.metadata()?;
    for segment in 1..bytes.div_ceil(SEGMENT_BYTES) {
        let file = create(&segment_path(path, segment), owner.uid(), owner.gid())?;
        file.set_len((bytes - segment * SEGMENT_BYTES).min(SEGMENT_BYTES))?;
    }
    Ok(())
}

/// Empties a heap, so that an index on it is built in no time; segments stay, at length 0, as the server leaves them.
pub(super) fn empty(data: &Path, path: &Path) -> io::Result<()> {
    let path = data.join(path);
    OpenOptions::new().write(true).open(&path)?.set_len(0)?;
    for segment in 1.. {
        match OpenOptions::new().write(true).open(segment_path(&path, segment)) {
            Ok(file) => file.set_len(0)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn segment_path(path: &Path, segment: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{segment}"));
    PathBuf::from(name)
}

/// Opens a segment, making it for the server's user, who may be another than ours when we are root.
fn create(path: &Path, uid: u32, gid: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.uid() != uid {
        chown(path, Some(uid), Some(gid))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_three_segments_takes_no_space() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("1"), [0_u8; 8192]).expect("a file");
        let pages = 2 * SEGMENT_BYTES / PAGE_BYTES + 5;
        shape(folder.path(), &Wanted { path: "1".into(), pages, height: Some(1) }).expect("a shaped file");
        let length =
            |name: &str| std::fs::metadata(folder.path().join(name)).map(|found| (found.len(), found.blocks() * 512)).expect("it is there");
        assert_eq!([length("1").0, length("1.1").0, length("1.2").0], [SEGMENT_BYTES, SEGMENT_BYTES, 5 * PAGE_BYTES]);
        assert!(length("1").1 < 100_000 && length("1.1").1 == 0);
        empty(folder.path(), Path::new("1")).expect("an empty file");
        assert_eq!([length("1").0, length("1.1").0, length("1.2").0], [0, 0, 0]);
    }

    #[test]
    fn a_file_is_never_shortened_below_what_was_built() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("1"), [1_u8; 16384]).expect("a file");
        shape(folder.path(), &Wanted { path: "1".into(), pages: 1, height: None }).expect("a shaped file");
        assert_eq!(std::fs::metadata(folder.path().join("1")).expect("it is there").len(), 16384);
    }
}
