//! An index that might be worth having.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::name::quoted;
use crate::catalog::{KeyTarget, Oid, QualifiedName};

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

/// Returns the candidate as people write it: `prospects (user_id, created_at DESC)`; the schema only when it is not `public`.
pub fn label(candidate: &Candidate) -> String {
    let name = &candidate.table_name;
    let table = if name.schema == "public" { quoted(&name.name) } else { name.to_string() };
    let keys: Vec<String> = candidate.keys.iter().map(CandidateKey::to_string).collect();
    format!("{table} ({})", keys.join(", "))
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

    /// Returns whether the other index of the same table begins with all keys of this one, in the same or the exactly
    /// reversed order.
    pub fn is_prefix_of(&self, other: &Self) -> bool {
        let flipped = |key: &CandidateKey| CandidateKey { descending: !key.descending, nulls_first: !key.nulls_first, ..key.clone() };
        self.table == other.table
            && self.method == other.method
            && self.predicate == other.predicate
            && self.keys.len() <= other.keys.len()
            && (self.keys.iter().eq(&other.keys[..self.keys.len()])
                || self.keys.iter().map(flipped).eq(other.keys[..self.keys.len()].iter().cloned()))
            && self.included.iter().all(|name| other.included.contains(name) || other.leading_columns().any(|key| key == name))
    }
}
