//! An index that might be worth having.

use serde::{Deserialize, Serialize};

use crate::catalog::{KeyTarget, Oid, QualifiedName};

/// An index that does not exist, described by definition. Never mutated: a change makes another candidate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// The table's oid in the snapshot.
    pub table: Oid,
    /// The table's name.
    pub table_name: QualifiedName,
    /// The access method: `btree` in this cut.
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
}
