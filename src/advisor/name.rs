//! Names for new indexes.

use std::collections::BTreeSet;

use super::Candidate;
use crate::catalog::{KeyTarget, Snapshot};

/// The most bytes of an identifier (`NAMEDATALEN` less one).
const NAME_BYTES_MAX: usize = 63;

/// Hands out names that are free in their schema.
#[derive(Debug)]
pub struct IndexNames {
    taken: BTreeSet<(String, String)>,
}

impl IndexNames {
    /// Learns the names the snapshot's tables and indexes have: they share one namespace.
    pub fn new(snapshot: &Snapshot) -> Self {
        let names = snapshot.tables.iter().map(|table| &table.name).chain(snapshot.indexes.iter().map(|index| &index.name));
        Self { taken: names.map(|name| (name.schema.clone(), name.name.clone())).collect() }
    }

    /// Returns `idx_<table>_<columns>`, shortened and numbered where needed, and takes it.
    pub fn take(&mut self, candidate: &Candidate) -> String {
        let words = candidate.keys.iter().map(|key| match &key.target {
            KeyTarget::Column(name) => name.clone(),
            KeyTarget::Expression(expression) => expression.chars().filter(|letter| letter.is_alphanumeric() || *letter == '_').collect(),
        });
        let words: Vec<String> = std::iter::once(candidate.table_name.name.clone()).chain(words).collect();
        let full = format!("idx_{}", words.join("_"));
        let mut name = shortened(&full, "");
        let mut number = 1;
        while !self.taken.insert((candidate.table_name.schema.clone(), name.clone())) {
            number += 1;
            name = shortened(&full, &format!("_{number}"));
        }
        name
    }
}

/// Returns the name with its ending, cut to fit; a cut name carries a hash of the whole, so that two of them differ.
fn shortened(name: &str, ending: &str) -> String {
    if name.len() + ending.len() <= NAME_BYTES_MAX {
        return format!("{name}{ending}");
    }
    let hash = format!("_{:08x}", fnv1a(name.as_bytes()));
    let mut end = NAME_BYTES_MAX - hash.len() - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{hash}{ending}", &name[..end])
}

/// FNV-1a, 32 bits: the same on every machine and in every release, unlike the standard library's hash.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::super::{CandidateKey, sample};
    use super::*;
    use crate::catalog::QualifiedName;

    fn candidate(table: &str, columns: &[&str]) -> Candidate {
        let key = |name: &&str| CandidateKey {
            target: KeyTarget::Column((*name).into()),
            descending: false,
            nulls_first: false,
            opclass: None,
            collation: None,
        };
        Candidate {
            table: 1,
            table_name: QualifiedName::new("public", table),
            method: "btree".into(),
            keys: columns.iter().map(key).collect(),
            included: Vec::new(),
            predicate: None,
        }
    }

    #[test]
    fn a_name_says_table_and_columns() {
        let mut names = IndexNames::new(&sample::crm());
        assert_eq!(names.take(&candidate("prospects", &["user_id", "status", "created_at"])), "idx_prospects_user_id_status_created_at");
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut snapshot = sample::crm();
        snapshot.indexes.push(sample::index(90, 2, "idx_prospects_score", &["user_id"]));
        let mut names = IndexNames::new(&snapshot);
        let taken = [names.take(&candidate("prospects", &["score"])), names.take(&candidate("prospects", &["score"]))];
        assert_eq!(taken, ["idx_prospects_score_2", "idx_prospects_score_3"]);
    }

    #[test]
    fn long_names_are_cut_within_letters_and_stay_apart() {
        let mut names = IndexNames::new(&sample::crm());
        let long = "é".repeat(29);
        let (one, other) = (names.take(&candidate(&long, &["column_number_one"])), names.take(&candidate(&long, &["column_number_two"])));
        assert!(one.len() <= 63 && other.len() <= 63 && one != other, "{one} {other}");
        assert!(names.take(&candidate(&long, &["column_number_one"])).ends_with("_2"));
    }
}
