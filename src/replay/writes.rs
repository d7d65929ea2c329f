//! What a run may change.

/// What a run may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Nothing, enforced by the server; what writes is left out.
    Readonly,
    /// Each writing call is rolled back. Leaves dead rows, and leaves out what a commit costs.
    Rollback,
    /// Everything, in a copy of the database that is made before the run and dropped after it.
    Clone,
    /// Everything.
    Live,
}

impl Writes {
    /// Returns the mode as the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Readonly => "readonly",
            Self::Rollback => "rollback",
            Self::Clone => "clone",
            Self::Live => "live",
        }
    }
}
