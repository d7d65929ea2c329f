//! An index that might be worth having.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::expression;
use crate::catalog::name::quoted;
use crate::catalog::{KeyTarget, Oid, QualifiedName, Table};

/// An index that does not exist, described by definition. Never mutated: a change makes another candidate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// The table's oid in the snapshot.
    pub table: Oid,
    /// The table's name.
    pub table_name: QualifiedName,
    /// The access method: `btree`, `gin`, `gist`, `brin`, `hash`.
    pub method: String,
    /// Keys in order.
    pub keys: Vec<CandidateKey>,
    /// `INCLUDE` columns.
    pub included: Vec<String>,
    /// The predicate of a partial index.
    pub predicate: Option<String>,
}

/// One key of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CandidateKey {
    /// The column or expression.
    pub target: KeyTarget,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
    /// The operator class when it is not the type's default.
    pub opclass: Option<String>,
    /// The collation when it is not the column's own, quoted and with its schema.
    #[serde(default)]
    pub collation: Option<String>,
}

/// Returns the candidate as people write it: `prospects (user_id, created_at DESC) INCLUDE (email) WHERE deleted_at IS NULL`,
/// `docs USING gin (body jsonb_path_ops)`; the schema only when it is not `public`.
pub fn label(candidate: &Candidate) -> String {
    let name = &candidate.table_name;
    let mut label = if name.schema == "public" { quoted(&name.name) } else { name.to_string() };
    if candidate.method != "btree" {
        label.push_str(&format!(" USING {}", candidate.method));
    }
    let keys: Vec<String> = candidate.keys.iter().map(CandidateKey::to_string).collect();
    label.push_str(&format!(" ({})", keys.join(", ")));
    if !candidate.included.is_empty() {
        let included: Vec<String> = candidate.included.iter().map(|name| quoted(name)).collect();
        label.push_str(&format!(" INCLUDE ({})", included.join(", ")));
    }
    if let Some(predicate) = &candidate.predicate {
        label.push_str(&format!(" WHERE {predicate}"));
    }
    label
}

impl CandidateKey {
    /// Returns an ascending key with the type's default operator class and the column's own collation.
    pub fn of(target: KeyTarget) -> Self {
        Self { target, descending: false, nulls_first: false, opclass: None, collation: None }
    }

    /// Returns such a key on a column.
    pub fn column(name: impl Into<String>) -> Self {
        Self::of(KeyTarget::Column(name.into()))
    }

    /// Returns the key with another operator class.
    pub fn with_opclass(self, opclass: impl Into<String>) -> Self {
        Self { opclass: Some(opclass.into()), ..self }
    }

    /// Returns the key as a backward scan sees it.
    fn flipped(&self) -> Self {
        Self { descending: !self.descending, nulls_first: !self.nulls_first, ..self.clone() }
    }
}

impl fmt::Display for CandidateKey {
    /// Writes the key as `CREATE INDEX` takes it, defaults left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            KeyTarget::Column(name) => write!(f, "{}", quoted(name))?,
            KeyTarget::Expression(expression) => write!(f, "({expression})")?,
        }
        if let Some(collation) = &self.collation {
            write!(f, " COLLATE {collation}")?;
        }
        if let Some(opclass) = &self.opclass {
            write!(f, " {opclass}")?;
        }
        match (self.descending, self.nulls_first) {
            (false, false) => Ok(()),
            (true, true) => f.write_str(" DESC"),
            (true, false) => f.write_str(" DESC NULLS LAST"),
            (false, true) => f.write_str(" NULLS FIRST"),
        }
    }
}

impl Candidate {
    /// Returns the key columns' names up to the first expression.
    pub fn leading_columns(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map_while(|key| key.target.column())
    }

    /// Returns every column that a value in the index depends on: of keys, expressions, `INCLUDE` and predicate, in the table's order.
    ///
    /// An update that sets one of them cannot be heap-only.
    pub fn columns<'t>(&self, table: &'t Table) -> Vec<&'t str> {
        let mut named: BTreeSet<&str> = self.included.iter().map(String::as_str).collect();
        for key in &self.keys {
            match &key.target {
                KeyTarget::Column(name) => drop(named.insert(name)),
                KeyTarget::Expression(text) => named.extend(expression::columns(text, table)),
            }
        }
        named.extend(self.predicate.iter().flat_map(|predicate| expression::columns(predicate, table)));
        table.columns.iter().map(|column| column.name.as_str()).filter(|name| named.contains(name)).collect()
    }

    /// Returns whether the other index of the same table can take this one's place in every scan: it begins with all keys of this
    /// one, in the same or the exactly reversed order (B-trees), or has the same keys (others), and holds the same rows.
    pub fn is_prefix_of(&self, other: &Self) -> bool {
        let begins = || {
            let first = &other.keys[..self.keys.len()];
            match self.method.as_str() {
                "btree" => self.keys == first || self.keys.iter().map(CandidateKey::flipped).eq(first.iter().cloned()),
                "gin" => self.keys.iter().all(|key| other.keys.contains(key)),
                _ => self.keys == other.keys,
            }
        };
        self.table == other.table
            && self.method == other.method
            && self.predicate == other.predicate
            && self.keys.len() <= other.keys.len()
            && begins()
            && self.included.iter().all(|name| other.included.contains(name) || other.leading_columns().any(|key| key == name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn candidate(keys: Vec<CandidateKey>) -> Candidate {
        Candidate { keys, ..sample::candidate("prospects", &[]) }
    }

    #[test]
    fn a_label_is_what_people_write() {
        let latest = CandidateKey { descending: true, nulls_first: true, ..CandidateKey::column("created_at") };
        let covering = Candidate {
            included: vec!["email".into()],
            predicate: Some("deleted_at IS NULL".into()),
            ..candidate(vec![CandidateKey::column("user_id"), latest])
        };
        assert_eq!(label(&covering), "prospects (user_id, created_at DESC) INCLUDE (email) WHERE deleted_at IS NULL");
        let inverted = Candidate { method: "gin".into(), ..candidate(vec![CandidateKey::column("body").with_opclass("jsonb_path_ops")]) };
        assert_eq!(label(&inverted), "prospects USING gin (body jsonb_path_ops)");
    }

    #[test]
    fn a_prefix_may_be_read_backwards_but_inverted_indexes_have_no_order() {
        let key = CandidateKey::column;
        let wide = candidate(vec![key("a"), key("b").flipped()]);
        assert!(candidate(vec![key("a")]).is_prefix_of(&wide));
        assert!(candidate(vec![key("a").flipped(), key("b")]).is_prefix_of(&wide));
        assert!(!candidate(vec![key("a"), key("b")]).is_prefix_of(&wide));
        let gin = |keys| Candidate { method: "gin".into(), ..candidate(keys) };
        assert!(gin(vec![key("b")]).is_prefix_of(&gin(vec![key("a"), key("b")])));
        let hash = |keys| Candidate { method: "hash".into(), ..candidate(keys) };
        assert!(!hash(vec![key("a")]).is_prefix_of(&hash(vec![key("a"), key("b")])));
    }

    #[test]
    fn columns_are_those_of_keys_expressions_include_and_predicate() {
        let snapshot = sample::crm();
        let index = Candidate {
            included: vec!["score".into()],
            predicate: Some("(status = 'won'::text)".into()),
            ..candidate(vec![CandidateKey::of(KeyTarget::Expression("lower(email)".into())), CandidateKey::column("user_id")])
        };
        assert_eq!(index.columns(&snapshot.tables[1]), ["user_id", "status", "email", "score"]);
    }
}
