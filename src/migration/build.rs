//! The steps that build an index or drop one, for plain and for partitioned tables.
//!
//! The server builds a partitioned table's index concurrently only piece by piece: the parent's own, which is empty and
//! invalid, then one for each partition, then all of them attached. Each step may be run again: what is there is skipped,
//! and what is attached is left alone.

use super::Step;
use super::ddl::{self, Build, guard};
use super::evidence::comment;
use super::tree::Tree;

/// How long a statement that takes a lock which stops writes waits for it. Its waiting in line stops them too: better to
/// give up and be run again than to hold up the application. 5 s is convention, not theory.
pub const LOCK_TIMEOUT: &str = "5s";

/// Joined bare statements, for readers who want the statements only.
pub fn joined(statements: &[String]) -> String {
    statements.join(";\n")
}

/// Returns a step of statements of one kind of message.
pub fn step(word: &str, statements: &[String], alone: bool) -> Step {
    Step { word: word.to_owned(), text: statements.iter().map(|statement| format!("{statement};\n")).collect(), alone }
}

/// Returns the bare statements that build the index, and the steps that do so without stopping writes for long.
///
/// `defined` is the check of the parent's definition on a partitioned table, where there is one, and `built` of what was built.
pub fn concurrently(tree: &Tree, defined: Option<String>, built: &str) -> (Vec<String>, Vec<Step>) {
    if !tree.partitioned {
        let create = tree.definition.create(Build::Concurrently);
        return (
            vec![create.clone()],
            vec![step("", &[create], true), Step { word: "check".into(), text: built.to_owned(), alone: false }],
        );
    }
    let parents: Vec<String> = tree.parents().iter().map(|parent| parent.definition.create(Build::OnlyParent)).collect();
    let leaves: Vec<String> = tree.leaves().iter().map(|leaf| leaf.definition.create(Build::Concurrently)).collect();
    let attachments = attachments(tree);
    let mut steps = vec![limited("", &parents, &ddl::set_lock_timeout("0"))];
    if let Some(check) = defined {
        steps[0].text.push_str(&format!("\n{check}"));
    }
    steps.extend(leaves.iter().enumerate().map(|(at, leaf)| step(&format!("part_{}", at + 1), std::slice::from_ref(leaf), true)));
    let mut attach = Step { word: "attach".into(), text: String::new(), alone: false };
    if !leaves.is_empty() {
        let names: Vec<_> = tree.leaves().into_iter().map(Tree::name).collect();
        let hint = "A build was interrupted: DROP INDEX CONCURRENTLY the index named, then run this migration again.";
        attach.text.push_str(&format!("{};\n\n", guard::assert_valid(&names, hint)));
        attach.text.push_str(&limited("", &attachments, ddl::reset_lock_timeout()).text);
    }
    let parents_named: Vec<_> = tree.parents().into_iter().map(Tree::name).collect();
    let hint = "A partition has no index attached, perhaps one made since the audit: audit again, the whole schema.";
    let lead = if attach.text.is_empty() { "" } else { "\n" };
    attach.text.push_str(&format!("{lead}{};\n", guard::assert_valid(&parents_named, hint)));
    if !built.is_empty() {
        attach.text.push_str(&format!("\n{built}"));
    }
    steps.push(attach);
    ([parents, leaves, attachments].concat(), steps)
}

/// Returns the bare statement that builds the index, partitions included, inside a transaction, and the step.
pub fn in_transaction(tree: &Tree, built: &str) -> (Vec<String>, Vec<Step>) {
    let create = tree.definition.create(Build::PlainIfNotExists);
    let text = format!("{};\n{create};\n\n{built}", ddl::set_local_lock_timeout(LOCK_TIMEOUT));
    (vec![create], vec![Step { word: String::new(), text, alone: false }])
}

/// Returns the bare statements that drop the index with all its parts, and the step.
///
/// A partitioned table's index cannot be dropped concurrently. Its parts go with it; those that an interrupted build
/// left without attaching them are dropped too.
pub fn drop(tree: &Tree, transactional: bool) -> (Vec<String>, Vec<Step>) {
    if transactional || tree.partitioned {
        let mut names = vec![tree.name()];
        if !transactional {
            names.extend(tree.all().into_iter().skip(1).map(Tree::name));
        }
        let drops: Vec<String> = names.iter().map(|name| ddl::drop_index(name, Build::PlainIfNotExists)).collect();
        let text = if transactional {
            format!("{};\n{};\n", ddl::set_local_lock_timeout(LOCK_TIMEOUT), joined(&drops))
        } else {
            limited("", &drops, ddl::reset_lock_timeout()).text
        };
        return (drops, vec![Step { word: String::new(), text, alone: false }]);
    }
    let drop = ddl::drop_index(tree.name(), Build::Concurrently);
    (vec![drop.clone()], vec![step("", &[drop], true)])
}

/// Statements between a bound on their wait for locks and the end of it.
fn limited(word: &str, statements: &[String], end: &str) -> Step {
    let why = comment("Done at once, under locks that stop writes: gives up rather than hold them up by waiting in line.");
    let mut text = format!("{why}\n{};\n", ddl::set_lock_timeout(LOCK_TIMEOUT));
    text.push_str(&step(word, statements, false).text);
    text.push_str(&format!("{end};\n"));
    Step { word: word.to_owned(), text, alone: false }
}

/// Attaches from the bottom up, so that each parent becomes valid with its last part.
fn attachments(tree: &Tree) -> Vec<String> {
    let of_part = |part: &Tree| {
        let mut statements = attachments(part);
        statements.push(ddl::attach_partition(tree.name(), part.name()));
        statements
    };
    tree.parts.iter().flat_map(of_part).collect()
}
