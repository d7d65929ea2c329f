//! One logical line of a server log, whatever the format it was written in.

/// A message the server logged, with what the format says about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Where it begins in its file: the physical line, from 1.
    pub number: u64,
    /// When it was logged, in microseconds since 1970.
    pub at_us: i64,
    /// The role; empty for the server's own processes.
    pub user: String,
    /// The database; empty for the server's own processes.
    pub database: String,
    /// What the client calls itself.
    pub application: String,
    /// The process that logged it.
    pub process: Option<u32>,
    /// The session's id: start and process, which no two sessions share.
    pub session: Option<String>,
    /// The how-manieth line of its process it is.
    pub session_line: Option<u64>,
    /// When the process began, in microseconds since 1970; to the second.
    pub session_start_us: Option<i64>,
    /// What the process was doing: `SELECT`, `PARSE`, `idle in transaction`.
    pub tag: Option<String>,
    /// The virtual transaction id; `n/0` outside a transaction.
    pub vxid: Option<String>,
    /// How grave it is.
    pub severity: Severity,
    /// The SQLSTATE; `00000` where nothing failed.
    pub sqlstate: Option<String>,
    /// The message.
    pub message: String,
    /// What `DETAIL` says: parameters, most often.
    pub detail: Option<String>,
    /// What `CONTEXT` says.
    pub context: Option<String>,
    /// The text of the statement that failed.
    pub query: Option<String>,
    /// The statement's id in `pg_stat_statements`; `None` where none was computed.
    pub query_id: Option<i64>,
    /// The kind of process: `client backend`.
    pub backend: Option<String>,
    /// Whether bytes that are no UTF-8 were replaced.
    pub replaced: bool,
}

impl Line {
    /// Returns what tells its session from others: the session's id, else the process with its start.
    pub fn session_key(&self) -> Option<String> {
        match (&self.session, self.process) {
            (Some(session), _) => Some(session.clone()),
            (None, Some(process)) => Some(match self.session_start_us {
                Some(start) => format!("{process}@{start}"),
                None => process.to_string(),
            }),
            (None, None) => None,
        }
    }

    /// Returns the virtual transaction id of an open transaction: `None` for none, and for `n/0`.
    pub fn open_vxid(&self) -> Option<&str> {
        self.vxid.as_deref().filter(|vxid| !vxid.is_empty() && !vxid.ends_with("/0"))
    }
}

/// How grave a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Severity {
    /// `LOG`: what is asked for by settings, statements among it.
    #[default]
    Log,
    /// `ERROR`: the statement failed.
    Error,
    /// `FATAL`: the session is over.
    Fatal,
    /// `PANIC`: the server restarts.
    Panic,
    /// `DEBUG`, `INFO`, `NOTICE` or `WARNING`.
    Lesser,
    /// A word that is not English: the server's messages are translated.
    Foreign,
}

impl Severity {
    /// Reads the word as servers spell it in English.
    pub fn of(word: &str) -> Self {
        match word {
            "LOG" => Self::Log,
            "ERROR" => Self::Error,
            "FATAL" => Self::Fatal,
            "PANIC" => Self::Panic,
            "INFO" | "NOTICE" | "WARNING" => Self::Lesser,
            _ if word.strip_prefix("DEBUG").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) => Self::Lesser,
            _ => Self::Foreign,
        }
    }

    /// Whether the statement it stands with failed.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Error | Self::Fatal | Self::Panic)
    }
}

/// A line that could not be read. The ones after it still are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct BadLine {
    /// The file as the user named it.
    pub file: String,
    /// The physical line, from 1.
    pub line: u64,
    /// What is wrong and what was expected.
    pub reason: String,
}

/// Bytes as text; what is no UTF-8 becomes U+FFFD, and the second part says so.
pub(super) fn text(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_its_id_before_its_process() {
        let mut line = Line { process: Some(7), ..Line::default() };
        assert_eq!(line.session_key().as_deref(), Some("7"));
        line.session_start_us = Some(5);
        assert_eq!(line.session_key().as_deref(), Some("7@5"), "process numbers come back, starts do not");
        line.session = Some("a.7".to_owned());
        assert_eq!(line.session_key().as_deref(), Some("a.7"));
        assert_eq!(Line::default().session_key(), None);
    }

    #[test]
    fn a_zero_after_the_slash_is_no_transaction() {
        let open = |vxid: &str| Line { vxid: Some(vxid.to_owned()), ..Line::default() }.open_vxid().map(str::to_owned);
        assert_eq!(open("3/17").as_deref(), Some("3/17"));
        assert_eq!((open("3/0"), open("")), (None, None));
    }

    #[test]
    fn words_that_are_not_english_are_foreign() {
        assert_eq!(Severity::of("DEBUG1"), Severity::Lesser);
        assert_eq!(Severity::of("DEBUG"), Severity::Lesser);
        assert_eq!(Severity::of("FEHLER"), Severity::Foreign);
        assert!(Severity::of("FATAL").is_failure() && !Severity::of("WARNING").is_failure());
    }
}
