//! What a text does to its session's transaction, and whether a replay may run it.

use super::skip::Reason;
use crate::sql::pieces::{Kind, pieces};
use crate::sql::split::split;

/// What a text says about itself, by its words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Control {
    /// Whether a transaction block is open after it; `None` when it does not touch that.
    pub(super) block_after: Option<bool>,
    /// Whether it begins a block, also one it ends again.
    pub(super) begins: bool,
    /// Why a replay must not run it.
    pub(super) refused: Option<Reason>,
    /// The highest `$n`.
    pub(super) parameters: usize,
}

/// Words looked at of each statement.
const WORDS: usize = 6;

/// Reads a text of one or more statements.
pub(super) fn control(text: &str) -> Control {
    let mut control = Control::default();
    // Most texts are one statement: cut only those that may be more.
    if text.trim_end().trim_end_matches(';').contains(';') {
        for statement in split(text) {
            read(statement, &mut control);
        }
    } else {
        read(text, &mut control);
    }
    control
}

fn read(statement: &str, control: &mut Control) {
    let mut words: Vec<String> = Vec::with_capacity(WORDS);
    let mut copies_stream = false;
    let mut copies_program = false;
    for (kind, from, to) in pieces(statement) {
        let piece = &statement[from..to];
        match kind {
            Kind::Word => {
                if words.first().is_some_and(|first| first == "copy") {
                    copies_stream |= piece.eq_ignore_ascii_case("stdin") || piece.eq_ignore_ascii_case("stdout");
                    copies_program |= piece.eq_ignore_ascii_case("program");
                }
                if words.len() < WORDS {
                    words.push(piece.to_ascii_lowercase());
                }
            }
            Kind::Parameter => control.parameters = control.parameters.max(piece[1..].parse().unwrap_or(0)),
            _ => {}
        }
    }
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let among = |wanted: &[&str]| words.iter().skip(1).any(|word| wanted.contains(&word.as_str()));
    match word(0) {
        "begin" | "start" => {
            control.begins = true;
            control.block_after = Some(true);
        }
        "commit" | "end" | "rollback" | "abort" => match () {
            () if word(1) == "prepared" => control.refused = Some(Reason::Administration),
            // ROLLBACK TO SAVEPOINT stays inside.
            () if word(0) == "rollback" && among(&["to"]) => {}
            () if among(&["chain"]) && !among(&["no"]) => control.block_after = Some(true),
            () => control.block_after = Some(false),
        },
        "prepare" if word(1) == "transaction" => {
            control.block_after = Some(false);
            control.refused = Some(Reason::Administration);
        }
        "copy" if copies_stream => control.refused = Some(Reason::CopyData),
        "copy" if copies_program || !statement.contains('(') => control.refused = Some(Reason::Administration),
        "create" | "drop" if among(&["temp", "temporary"]) => {}
        "create" | "drop" | "alter"
            if among(&["database", "role", "user", "tablespace", "subscription", "publication", "system", "server", "extension"]) =>
        {
            control.refused = Some(Reason::Administration);
        }
        "create" | "drop" | "alter" | "comment" | "grant" | "revoke" | "import" | "reassign" | "security" => {
            control.refused = Some(Reason::Definition);
        }
        "vacuum" | "reindex" | "cluster" | "checkpoint" | "load" | "base_backup" | "identify_system" | "start_replication" => {
            control.refused = Some(Reason::Administration);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_followed_through_a_text() {
        let after = |text: &str| control(text).block_after;
        for text in [
            "BEGIN",
            "start transaction isolation level serializable",
            "/* x */ begin;",
            "commit and chain",
            "begin; select 1",
            "commit; begin",
        ] {
            assert_eq!(after(text), Some(true), "{text}");
        }
        for text in ["commit", "END;", "abort", "rollback", "rollback and no chain", "begin; select ';'; commit", "prepare transaction 'x'"]
        {
            assert_eq!(after(text), Some(false), "{text}");
        }
        for text in ["select 1", "rollback to savepoint a", "rollback to a", "savepoint a", "", "commit prepared 'x'", "select 'commit'"] {
            assert_eq!(after(text), None, "{text}");
        }
        assert!(control("begin; commit").begins);
    }

    #[test]
    fn what_must_not_run_is_refused_with_its_reason() {
        let refused = |text: &str| control(text).refused;
        for (text, reason) in [
            ("copy t from stdin", Reason::CopyData),
            ("COPY (select 1) TO STDOUT (format csv)", Reason::CopyData),
            ("copy t to program 'rm'", Reason::Administration),
            ("copy t from '/tmp/x'", Reason::Administration),
            ("vacuum t", Reason::Administration),
            ("alter system set a = 1", Reason::Administration),
            ("create database x", Reason::Administration),
            ("drop table t", Reason::Definition),
            ("create index on t (a)", Reason::Definition),
            ("select 1; drop table t", Reason::Definition),
            ("prepare transaction 'x'", Reason::Administration),
        ] {
            assert_eq!(refused(text), Some(reason), "{text}");
        }
        for text in [
            "select * from copy",
            "create temp table x as select 1",
            "set a = 1",
            "truncate t",
            "listen x",
            "do $$ $$",
            "declare c cursor for select 1",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_are_counted_by_their_highest_number() {
        assert_eq!(control("select $2, '$9' where a = $1 -- $7").parameters, 2);
    }
}
