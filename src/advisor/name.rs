//! Names for new indexes.

use std::collections::BTreeSet;

use super::{Candidate, expression};
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

    /// Returns `idx_<table>_<columns>`, with what else sets it apart, shortened and numbered where needed, and takes it.
    pub fn take(&mut self, candidate: &Candidate) -> String {
        let full = full_name(candidate);
        let mut name = shortened(&full, "");
        let mut number = 1;
        while !self.taken.insert((candidate.table_name.schema.clone(), name.clone())) {
            number += 1;
            name = shortened(&full, &format!("_{number}"));
        }
        name
    }
}

/// Returns the whole name: `idx_prospects_lower_email`, `idx_jobs_created_at_where_status_queued`, `idx_docs_body_gin`.
fn full_name(candidate: &Candidate) -> String {
    let mut words = vec!["idx".to_owned(), candidate.table_name.name.clone()];
    for key in &candidate.keys {
        match &key.target {
            KeyTarget::Column(name) => words.push(name.clone()),
            KeyTarget::Expression(text) => words.extend(spoken(text)),
        }
    }
    if !candidate.included.is_empty() {
        words.push("incl".to_owned());
        words.extend(candidate.included.iter().cloned());
    }
    if let Some(predicate) = &candidate.predicate {
        words.push("where".to_owned());
        words.extend(spoken(predicate));
    }
    if candidate.method != "btree" {
        words.push(candidate.method.clone());
    }
    words.join("_")
}

/// Returns the words of an expression or predicate that say what it is about: names, functions, types, values; in lower case,
/// so that no value makes a name that needs quotes.
fn spoken(text: &str) -> Vec<String> {
    let words = expression::words(text);
    let bare = words.iter().map(|word| word.trim_matches(|c| c == '\'' || c == '"'));
    let plain = bare.map(|word| word.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect::<String>());
    plain.map(|word| word.trim_matches('_').to_lowercase()).filter(|word| !word.is_empty() && word != "array" && word != "any").collect()
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
    use super::super::CandidateKey;
    use super::super::sample::{self, candidate};
    use super::*;

    #[test]
    fn a_name_says_table_and_columns() {
        let mut names = IndexNames::new(&sample::crm());
        assert_eq!(names.take(&candidate("prospects", &["user_id", "status", "created_at"])), "idx_prospects_user_id_status_created_at");
    }

    #[test]
    fn a_name_says_what_sets_the_index_apart() {
        let mut names = IndexNames::new(&sample::crm());
        let expression = |text: &str| CandidateKey::of(KeyTarget::Expression(text.into()));
        let of = |keys| Candidate { keys, ..candidate("prospects", &[]) };
        let mut taken = |candidate: Candidate| names.take(&candidate);
        assert_eq!(taken(of(vec![expression("lower(email)")])), "idx_prospects_lower_email");
        assert_eq!(taken(of(vec![expression("(doc ->> 'k')::int")])), "idx_prospects_doc_k_int");
        let partial = Candidate { predicate: Some("deleted_at IS NULL".into()), ..candidate("prospects", &["user_id"]) };
        assert_eq!(taken(partial), "idx_prospects_user_id_where_deleted_at_is_null");
        let rare = Candidate { predicate: Some("status = 'failed'".into()), ..candidate("prospects", &["user_id"]) };
        assert_eq!(taken(rare), "idx_prospects_user_id_where_status_failed");
        let loud = Candidate { predicate: Some("status = 'FAILED'".into()), ..candidate("prospects", &["score"]) };
        assert_eq!(taken(loud), "idx_prospects_score_where_status_failed");
        let covering = Candidate { included: vec!["email".into()], ..candidate("prospects", &["user_id"]) };
        assert_eq!(taken(covering), "idx_prospects_user_id_incl_email");
        assert_eq!(taken(Candidate { method: "gin".into(), ..candidate("prospects", &["tags"]) }), "idx_prospects_tags_gin");
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
