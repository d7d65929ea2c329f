//! What sessions did, in the words of a replay.

/// Something a session did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The session, from 1, in the order they were first seen.
    pub session: u64,
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// What.
    pub deed: Deed,
}

/// What a session can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It connects.
    Connect(Client),
    /// It runs a statement.
    Run(Statement),
    /// It ends.
    Disconnect,
}

/// Who a session is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// What it calls itself.
    pub application: String,
}

/// How a statement went over the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// One text, one message; may hold several statements.
    #[default]
    Simple,
    /// Parse, bind, execute: with parameters.
    Extended,
}

/// A statement as it was run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// The transaction it belongs to, from 1; no other session has the same.
    pub transaction: u64,
    /// Whether the session's next statement, if there is one, belongs to another transaction.
    pub last: bool,
    /// What the server took for it, parse, bind and execute together; `None` where the log does not say.
    pub duration_us: Option<u64>,
    /// Its text.
    pub text: String,
    /// How it was sent.
    pub protocol: Protocol,
    /// Its parameters in the server's text format; `None` is NULL.
    pub parameters: Vec<Option<String>>,
    /// For `EXECUTE`: the text of the `PREPARE` it runs.
    pub prepared: Option<String>,
    /// Set when it failed.
    pub failure: Option<Failed>,
    /// Its id in `pg_stat_statements`, where one was computed.
    pub query_id: Option<i64>,
    /// The fewest bytes kept of a parameter that ends in `...`, which the log may have cut.
    pub cut: Option<usize>,
}

/// That a statement failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failed {
    /// The SQLSTATE, where the log has it.
    pub sqlstate: Option<String>,
}
