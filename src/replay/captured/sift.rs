//! What of captured traffic is sent again, and how, so that a run changes no more than it may.

use super::call::Run;
use super::statements::{can_be_undone, changes};
use crate::replay::writes::Writes;
use crate::sql::pieces::{Kind, pieces};
use crate::sql::split::split;

/// Why a statement of the capture is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// The run is read-only and it writes.
    Writes,
    /// The run is read-only and it would end that.
    ReadWrite,
    /// The run rolls its writes back, and it holds a COMMIT among other statements.
    Commits,
}

impl LeftOut {
    /// Returns the reason's name in run.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Writes => "writes",
            Self::ReadWrite => "read_write",
            Self::Commits => "commits",
        }
    }

    /// Returns the reason for a person.
    pub fn says(self) -> &'static str {
        match self {
            Self::Writes => "they write and the run is read-only",
            Self::ReadWrite => "they would make the read-only session read-write",
            Self::Commits => "they commit in the same text as other statements, which a rollback cannot undo",
        }
    }
}

/// How a statement is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// What is sent in its place.
    pub(super) instead: Option<String>,
    /// What it does to a transaction block.
    pub(super) block: Block,
    /// Outside a block: whether it is sent between BEGIN and ROLLBACK.
    pub(super) wrapped: bool,
    /// Whether it resets the session's settings, the read-only one among them.
    pub(super) resets: bool,
}

/// What a statement does to a transaction block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Block {
    /// Nothing.
    #[default]
    Keeps,
    /// It opens one.
    Opens,
    /// It ends one.
    Ends,
}

/// Says how a statement is sent in a run of this kind.
pub(super) fn sift(run: &Run, writes: Writes) -> Result<Manner, LeftOut> {
    let parts = split(&run.sql);
    let manner = match parts.as_slice() {
        [only] => single(only, run, writes)?,
        several => together(several, writes)?,
    };
    Ok(manner)
}

/// Whether calls may be picked at random with this text among them: it neither opens nor ends a transaction nor changes the
/// session, and it does nothing the run may not.
pub(super) fn stands_alone(sql: &str, writes: Writes) -> bool {
    let parts = split(sql);
    let allowed = |part: &&str| {
        let words = words(part);
        let is_harmless = can_be_undone(part) && !is_control(&words) && !lifts(part, &words);
        is_harmless && (writes != Writes::Readonly || !changes(part))
    };
    !parts.is_empty() && parts.iter().all(allowed)
}

fn single(sql: &str, run: &Run, writes: Writes) -> Result<Manner, LeftOut> {
    let words = words(sql);
    let block = block(&words);
    let mut manner = Manner { block, resets: resets(&words), ..Manner::default() };
    match writes {
        Writes::Readonly => {
            let prepares = run.prepared.as_deref().is_some_and(mentions_write);
            if changes(sql) && block == Block::Keeps && !is_control(&words) || prepares || is_prepare(&words) && mentions_write(sql) {
                return Err(LeftOut::Writes);
            }
            if lifts(sql, &words) {
                if block != Block::Opens {
                    return Err(LeftOut::ReadWrite);
                }
                manner.instead = Some(without_read_write(sql));
            }
        }
        Writes::Rollback => {
            if words.first().is_some_and(|word| word == "commit" || word == "end") {
                manner.instead = Some(if block == Block::Opens { "rollback and chain" } else { "rollback" }.to_owned());
            }
            // A function may write whatever the text says, so reads are rolled back as well.
            manner.wrapped = block == Block::Keeps && !is_control(&words) && can_be_undone(sql);
        }
        Writes::Clone | Writes::Live => {}
    }
    Ok(manner)
}

/// Several statements in one text of the simple protocol.
fn together(parts: &[&str], writes: Writes) -> Result<Manner, LeftOut> {
    let mut manner = Manner::default();
    let mut has_control = false;
    for part in parts {
        let words = words(part);
        let block = block(&words);
        manner.resets |= resets(&words);
        has_control |= block != Block::Keeps;
        if block != Block::Keeps {
            manner.block = block;
        }
        if writes == Writes::Readonly {
            if !is_control(&words) && (changes(part) || is_prepare(&words) && mentions_write(part)) {
                return Err(LeftOut::Writes);
            }
            if lifts(part, &words) || resets(&words) {
                return Err(LeftOut::ReadWrite);
            }
        }
    }
    if writes == Writes::Rollback {
        if has_control {
            return Err(LeftOut::Commits);
        }
        manner.wrapped = !parts.is_empty();
    }
    Ok(manner)
}

/// The bare words in lower case.
fn words(sql: &str) -> Vec<String> {
    let bare = pieces(sql).into_iter().filter(|(kind, ..)| *kind == Kind::Word);
    bare.take(40).map(|(_, from, to)| sql[from..to].to_lowercase()).collect()
}

fn is_control(words: &[String]) -> bool {
    let first = words.first().map(String::as_str);
    matches!(first, Some("abort" | "begin" | "commit" | "end" | "release" | "rollback" | "savepoint" | "start"))
}

fn block(words: &[String]) -> Block {
    let has = |word: &str| words.iter().any(|one| one == word);
    match words.first().map(String::as_str) {
        Some("begin" | "start") => Block::Opens,
        Some("rollback") if has("to") => Block::Keeps,
        // The transaction after it is in a block again, until something ends that.
        Some("commit" | "end" | "rollback" | "abort") if has("chain") && !has("no") => Block::Opens,
        Some("commit" | "end" | "rollback" | "abort") => Block::Ends,
        _ => Block::Keeps,
    }
}

fn resets(words: &[String]) -> bool {
    matches!(words, [first, second, ..] if second == "all" && (first == "discard" || first == "reset"))
}

fn is_prepare(words: &[String]) -> bool {
    words.first().is_some_and(|word| word == "prepare")
}

fn mentions_write(sql: &str) -> bool {
    words(sql).iter().any(|word| matches!(word.as_str(), "insert" | "update" | "delete" | "merge"))
}

/// Whether it could make a read-only session or transaction read-write.
fn lifts(sql: &str, words: &[String]) -> bool {
    let says = |pair: [&str; 2]| words.windows(2).any(|two| two[0] == pair[0] && two[1] == pair[1]);
    let lower = || sql.to_lowercase();
    match words.first().map(String::as_str) {
        Some("begin" | "start") => says(["read", "write"]),
        Some("set" | "reset") => says(["read", "write"]) || lower().contains("read_only"),
        _ => {
            let text = lower();
            text.contains("set_config") && !is_harmless_setting(&text)
        }
    }
}

/// A function sets something by name: harmless only when no name of a read-only setting can be meant.
fn is_harmless_setting(text: &str) -> bool {
    let literal = text.split("set_config").skip(1).all(|rest| rest.trim_start_matches([' ', '(']).starts_with('\''));
    literal && !text.contains("read_only")
}

/// The BEGIN without its access mode.
fn without_read_write(sql: &str) -> String {
    let places: Vec<(usize, usize)> =
        pieces(sql).into_iter().filter(|(kind, ..)| *kind == Kind::Word).map(|(_, from, to)| (from, to)).collect();
    let mut text = sql.to_owned();
    for pair in places.windows(2).rev() {
        if sql[pair[0].0..pair[0].1].eq_ignore_ascii_case("read") && sql[pair[1].0..pair[1].1].eq_ignore_ascii_case("write") {
            text.replace_range(pair[0].0..pair[1].1, "read only");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::WireProtocol;
    use super::*;

    fn of(sql: &str, writes: Writes) -> Result<Manner, LeftOut> {
        let run = Run {
            transaction: 1,
            last: true,
            statement: 1,
            sql: Arc::from(sql),
            protocol: WireProtocol::Simple,
            parameters: Vec::new(),
            duration_us: None,
            prepared: None,
            failed: None,
        };
        sift(&run, writes)
    }

    #[test]
    fn a_read_only_run_leaves_out_what_writes_and_what_would_let_it() {
        for (sql, reason) in [
            ("insert into t values (1)", LeftOut::Writes),
            ("select 1; delete from t", LeftOut::Writes),
            ("prepare q as update t set a = 1", LeftOut::Writes),
            ("set transaction read write", LeftOut::ReadWrite),
            ("set session characteristics as transaction read write", LeftOut::ReadWrite),
            ("set default_transaction_read_only = off", LeftOut::ReadWrite),
            ("reset default_transaction_read_only", LeftOut::ReadWrite),
            ("select set_config('transaction_read_only', 'off', true)", LeftOut::ReadWrite),
            ("select set_config($1, $2, false)", LeftOut::ReadWrite),
            ("begin read write; select 1; commit", LeftOut::ReadWrite),
            ("select 1; reset all", LeftOut::ReadWrite),
        ] {
            assert_eq!(of(sql, Writes::Readonly), Err(reason), "{sql}");
            assert!(of(sql, Writes::Live).is_ok(), "{sql}");
        }
        for sql in ["select 1", "begin", "set search_path = a", "select set_config('search_path', 'a', false)", "savepoint s", "show all"] {
            assert_eq!(of(sql, Writes::Readonly).map(|manner| manner.instead), Ok(None), "{sql}");
        }
        let begin = of("BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE", Writes::Readonly).unwrap();
        assert_eq!(begin.instead.as_deref(), Some("BEGIN ISOLATION LEVEL SERIALIZABLE, read only"));
        assert!(of("discard all", Writes::Readonly).unwrap().resets);
    }

    #[test]
    fn a_run_that_rolls_back_commits_nothing() {
        let commit = of("COMMIT", Writes::Rollback).unwrap();
        assert_eq!((commit.instead.as_deref(), commit.block), (Some("rollback"), Block::Ends));
        assert!(of("insert into t values (1)", Writes::Rollback).unwrap().wrapped);
        assert!(of("select f()", Writes::Rollback).unwrap().wrapped);
        assert!(of("insert into t values (1); insert into t values (2)", Writes::Rollback).unwrap().wrapped);
        assert!(!of("set a = 1", Writes::Rollback).unwrap().wrapped);
        assert_eq!(of("begin; insert into t values (1); commit", Writes::Rollback), Err(LeftOut::Commits));
        assert_eq!(of("rollback to s", Writes::Rollback).unwrap(), Manner::default());
    }
}
