//! The two copies of a database that a paired comparison needs: one to stay as it is, one to be changed.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::diff::Diff;
use crate::load::Stop;
use crate::pg::Source;
use crate::pg::copies::{CloneError, Copies};

/// Two copies of a database; dropped when this is, also on the way out of an error.
#[derive(Debug)]
pub struct Clones {
    /// Where to connect to each.
    pub sources: Diff<Source>,
    /// How large the database was, in bytes.
    pub size_bytes: u64,
    /// What could not be done, as sentences.
    pub notes: Vec<String>,
    copies: Copies,
}

impl Clones {
    /// Copies the database of `source` twice, as [`Copies::make`] does.
    ///
    /// # Errors
    /// [`CloneError`]; nothing is left behind then.
    pub async fn make(source: &Source, stop: &Stop) -> Result<Self, CloneError> {
        let names = names();
        let sources = names.clone().map(|name| source.clone().with_database(&name));
        let copies = Copies::make(source, &[&names.before, &names.after], "give two databases with --against", stop).await?;
        Ok(Self { sources, size_bytes: copies.size_bytes, notes: copies.notes.clone(), copies })
    }

    /// Drops both copies.
    ///
    /// # Errors
    /// [`CloneError::Left`] names what is left.
    pub async fn remove(self) -> Result<(), CloneError> {
        self.copies.remove().await
    }
}

/// Names that no two runs share.
fn names() -> Diff<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let id = crate::stats::random::bits(now, u64::from(std::process::id()), 0, 0) >> 32;
    Diff { before: format!("pgload_a_{id:08x}"), after: format!("pgload_b_{id:08x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_names_share_their_mark() {
        let names = names();
        assert_eq!(names.before.strip_prefix("pgload_a_"), names.after.strip_prefix("pgload_b_"));
        assert_eq!(names.before.len(), "pgload_a_".len() + 8);
    }
}
