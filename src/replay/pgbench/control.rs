//! What SQL commands do to the transaction they run in.

use super::sql::Part;
use crate::replay::statement;

/// What a command does to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// Opens one.
    Begin,
    /// Ends it and keeps what was done.
    Commit,
    /// Ends it and undoes what was done.
    Rollback,
    /// Nothing.
    None,
}

/// What the text of a request says about running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nature {
    /// By command of the request.
    pub(super) controls: Vec<Control>,
    /// Whether a read-only transaction would refuse it.
    pub(super) writes: bool,
    /// Whether it can be explained.
    pub(super) has_plan: bool,
    /// Whether it changes what later commands refer to, so that those cannot be prepared before it ran.
    pub(super) defines: bool,
}

/// Looks at a request.
pub(super) fn nature(parts: &[Part]) -> Nature {
    let mut nature = Nature { controls: Vec::new(), writes: false, has_plan: false, defines: false };
    for command in parts.split(|part| *part == Part::Joint) {
        let text = with_parameters(command).0;
        let words: Vec<String> = text
            .split(|c: char| c.is_whitespace() || c == ';')
            .filter(|word| !word.is_empty())
            .take(8)
            .map(str::to_ascii_lowercase)
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let control = control(&words);
        nature.controls.push(control);
        let first = words.first().copied().unwrap_or_default();
        nature.defines |= matches!(first, "create" | "drop" | "alter" | "set" | "reset" | "discard");
        let harmless =
            control != Control::None || matches!(first, "set" | "reset" | "show" | "savepoint" | "release" | "rollback" | "discard" | "");
        nature.writes |= !harmless && statement::facts(&text).map_or(true, |facts| facts.writes);
        nature.has_plan |=
            matches!(first, "select" | "insert" | "update" | "delete" | "merge" | "with" | "values" | "table") || first.starts_with('(');
    }
    nature.has_plan &= nature.controls.len() == 1;
    nature
}

fn control(words: &[&str]) -> Control {
    match words {
        ["commit" | "rollback" | "prepare", "prepared" | "transaction", ..] if words[1] == "prepared" || words[0] == "prepare" => {
            Control::None
        }
        ["begin", ..] | ["start", "transaction", ..] => Control::Begin,
        // What is chained goes on in a new transaction; what goes back to a savepoint stays in its own.
        ["commit" | "end" | "rollback" | "abort", .., "and", "chain"] => Control::None,
        ["rollback", rest @ ..] if rest.contains(&"to") => Control::None,
        ["commit" | "end", ..] => Control::Commit,
        ["rollback" | "abort", ..] => Control::Rollback,
        _ => Control::None,
    }
}

/// Returns the text with `$1`, `$2`, … in place of the variables, and the variables in that order.
pub(super) fn with_parameters(parts: &[Part]) -> (String, Vec<&str>) {
    let (mut text, mut names) = (String::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Colon => text.push(':'),
            Part::Joint => text.push(';'),
            // A text in quotes is a constant, also where it looks like a variable.
            Part::Quoted(name) => {
                text.push(':');
                text.push_str(name);
            }
            Part::Variable(name) => {
                names.push(name.as_str());
                text.push_str(&format!("${}", names.len()));
            }
        }
    }
    (text.trim_start().to_owned(), names)
}

/// Returns the request with `ROLLBACK` in place of every `COMMIT` or `END`.
pub(super) fn undone(parts: &[Part], controls: &[Control]) -> Vec<Part> {
    let mut undone = Vec::with_capacity(parts.len());
    for (index, (command, control)) in parts.split(|part| *part == Part::Joint).zip(controls).enumerate() {
        if index > 0 {
            undone.push(Part::Joint);
        }
        match command {
            [Part::Text(text), rest @ ..] if *control == Control::Commit => {
                let word = text.trim_start();
                let tail = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
                undone.push(Part::Text(format!("ROLLBACK{tail}")));
                undone.extend_from_slice(rest);
            }
            command => undone.extend_from_slice(command),
        }
    }
    undone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::pgbench::sql;

    fn parts(text: &str) -> Vec<Part> {
        sql::command(text, 0).expect(text).parts
    }

    #[test]
    fn transaction_commands_are_known_by_their_words() {
        use Control::{Begin, Commit, None, Rollback};
        for (text, expected) in [
            ("BEGIN", Begin),
            ("begin isolation level serializable", Begin),
            ("start transaction read only", Begin),
            ("END", Commit),
            ("commit work", Commit),
            ("commit and chain", None),
            ("commit and no chain", Commit),
            ("commit prepared 'x'", None),
            ("prepare transaction 'x'", None),
            ("rollback", Rollback),
            ("abort", Rollback),
            ("rollback to savepoint a", None),
            ("rollback to a", None),
            ("rollback prepared 'x'", None),
            ("savepoint a", None),
            ("select 'end'", None),
        ] {
            assert_eq!(nature(&parts(text)).controls, [expected], "{text}");
        }
        assert_eq!(nature(&parts("begin \\; select 1\\;commit")).controls, [Begin, None, Commit]);
    }

    #[test]
    fn what_changes_rows_writes_and_transaction_commands_do_not() {
        for text in ["update t set a = :a", "select 1 \\; delete from t", "create table t ()", "select * from t for update", "call p()"] {
            assert!(nature(&parts(text)).writes, "{text}");
        }
        for text in
            ["begin", "end", "savepoint a", "set work_mem = '1MB'", "select :a + 1", "begin \\; select :a \\; commit", "rollback to a"]
        {
            assert!(!nature(&parts(text)).writes, "{text}");
        }
        assert!(
            nature(&parts("select 1")).has_plan && !nature(&parts("begin")).has_plan && !nature(&parts("select 1\\;select 2")).has_plan
        );
    }

    #[test]
    fn variables_become_parameters_one_each() {
        let parts = parts("select :a + :b + :a, ':c', \\:d \\; select 1");
        let (text, names) = with_parameters(&parts);
        assert_eq!((text.as_str(), names), ("select $1 + $2 + $3, ':c', :d ; select 1", vec!["a", "b", "a"]));
    }

    #[test]
    fn commits_are_undone() {
        let undo = |text: &str| {
            let parts = parts(text);
            with_parameters(&undone(&parts, &nature(&parts).controls)).0
        };
        assert_eq!(undo("END"), "ROLLBACK");
        assert_eq!(undo("commit work"), "ROLLBACK work");
        assert_eq!(undo("begin \\; insert into t values (:a)\\; commit"), "begin ; insert into t values ($1);ROLLBACK");
        assert_eq!(undo("select 1"), "select 1");
    }
}
