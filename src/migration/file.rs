//! Whole up and down files of one proposal.

use super::evidence::{comment, header};
use super::{Migration, ddl};
use crate::advisor::{Action, Proposal};
use crate::catalog::{KeyTarget, QualifiedName};

/// How long a build inside a transaction waits for its lock. It stops writes, and so does its waiting in line: better
/// to give up and be run again than to hold up the application. 5 s is convention, not theory.
const TRANSACTIONAL_LOCK_TIMEOUT: &str = "5s";

/// What to know before running a concurrent build with another tool than `pgload migrate`.
const CONCURRENT_NOTES: [&str; 4] = [
    "Runs outside a transaction, with lock_timeout = 0 and statement_timeout = 0: a build that times out leaves an",
    "invalid index behind. `pgload migrate up` sees to both. refinery's own runner wraps every file in a transaction and",
    "refuses this one: write it with --transactional for that.",
    "IF NOT EXISTS looks at the name only, so the block below raises when the index is invalid or defined otherwise.",
];

/// What to know of a build inside a transaction.
const TRANSACTIONAL_NOTES: [&str; 2] = [
    "Runs inside a transaction and stops writes while it builds.",
    "IF NOT EXISTS looks at the name only, so the block below raises when the index is invalid or defined otherwise.",
];

/// Returns the migration of one proposal.
pub fn migration(proposal: &Proposal, version: i64, transactional: bool) -> Migration {
    let build = if transactional { ddl::Build::PlainIfNotExists } else { ddl::Build::Concurrently };
    let name = QualifiedName::new(proposal.index.table_name.schema.clone(), proposal.name.clone());
    let create = || ddl::create_index(&proposal.index, &proposal.name, build);
    let drop = || ddl::drop_index(&name, build);
    let (verb, statement, rollback) = match proposal.action {
        Action::Create => ("create", create(), drop()),
        Action::Drop => ("drop", drop(), create()),
        Action::Reindex => ("reindex", ddl::reindex(&name, build), String::new()),
    };
    let assertion = assertion(proposal);
    // What a build has to be followed by stands behind the build: in the up file of a create, in the down file of a drop.
    let (check, down_check) = match proposal.action {
        Action::Create | Action::Reindex => (assertion, String::new()),
        Action::Drop => (String::new(), assertion),
    };
    let mut up = lines(&header(proposal, !transactional));
    if proposal.action == Action::Create {
        let notes: &[&str] = if transactional { &TRANSACTIONAL_NOTES } else { &CONCURRENT_NOTES };
        up.push_str("--\n");
        up.push_str(&lines(&notes.iter().map(|note| comment(note)).collect::<Vec<_>>()));
    }
    up.push('\n');
    up.push_str(&executed(&statement, transactional));
    up.push_str(&check);
    let slug = slug(verb, &proposal.name);
    let mut down = lines(&[comment(&format!("Takes back {version} {slug}."))]);
    if rollback.is_empty() {
        down.push_str(&lines(&[comment("Nothing to undo: the index was rebuilt as it was.")]));
    } else {
        down.push('\n');
        down.push_str(&executed(&rollback, transactional));
        down.push_str(&down_check);
    }
    Migration { version, slug, statement, rollback, up, down, check, transactional }
}

fn executed(statement: &str, transactional: bool) -> String {
    let limit = if transactional { format!("{};\n", ddl::set_local_lock_timeout(TRANSACTIONAL_LOCK_TIMEOUT)) } else { String::new() };
    format!("{limit}{statement};\n")
}

/// The block that holds the index to its definition; after an expression index, ANALYZE too, since the planner knows
/// nothing of an expression's values before.
fn assertion(proposal: &Proposal) -> String {
    let block = format!("\n{};\n", ddl::check::assert_index(&proposal.index, &proposal.name));
    let expressions = proposal.index.keys.iter().any(|key| matches!(key.target, KeyTarget::Expression(_)));
    if !expressions || proposal.action == Action::Reindex {
        return block;
    }
    let why = comment("The planner knows an expression's values only after the next ANALYZE.");
    format!("{block}\n{why}\n{};\n", ddl::analyze(&proposal.index.table_name))
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Joins a verb and a name to a word every tool accepts in a file name: `[a-z0-9_]`.
fn slug(verb: &str, name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let words: Vec<&str> = plain.split('_').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { format!("{verb}_index") } else { format!("{verb}_{}", words.join("_")) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::ddl::tests::candidate;
    use super::*;
    use crate::advisor::{CandidateKey, Confidence, StatementEffect, WriteCost};
    use crate::diff::Diff;
    use crate::units::Bytes;

    pub(crate) fn proposal() -> Proposal {
        Proposal {
            action: Action::Create,
            name: "idx_prospects_user_id_created_at".into(),
            index: candidate(&["user_id", "-created_at"]),
            size_bytes: Bytes(4_194_304),
            workload_cost: Diff { before: 1_234_567.0, after: 345_678.0 },
            statements: vec![StatementEffect {
                query_id: "42".into(),
                query: "select *\n  from prospects -- newest\n where user_id = $1; drop table users".into(),
                calls: 12_345,
                cost: Diff { before: 14_916.0, after: 8.44 },
                ms: None,
            }],
            write_cost: WriteCost { inserts: 100_000, updates: 2_500, hot_updates_lost: 0, cost: 1025.0 },
            expected_ms: None,
            build_ms: None,
            existing: None,
            statistics: Vec::new(),
            hot_loss: 0,
            supersedes: vec!["idx_prospects_user_id".into()],
            confidence: Confidence::High,
            risks: vec!["A generic plan may not use it.\nReally.".into()],
        }
    }

    #[test]
    fn a_concurrent_file_reads_like_this() {
        insta::assert_snapshot!("create_concurrently", migration(&proposal(), 20_261_123_094_500, false).up);
    }

    #[test]
    fn a_transactional_file_bounds_its_wait() {
        let made = migration(&proposal(), 20_261_123_094_500, true);
        insta::assert_snapshot!("create_transactional", made.up);
        assert_eq!(
            made.down,
            "-- Takes back 20261123094500 create_idx_prospects_user_id_created_at.\n\nSET LOCAL lock_timeout = '5s';\n\
             DROP INDEX IF EXISTS public.idx_prospects_user_id_created_at;\n"
        );
    }

    #[test]
    fn an_expression_index_is_checked_by_the_servers_own_words_and_analysed() {
        let mut wanted = proposal();
        wanted.index.keys = vec![CandidateKey {
            target: KeyTarget::Expression("lower(email)".into()),
            descending: false,
            nulls_first: false,
            opclass: None,
            collation: None,
        }];
        wanted.index.predicate = Some("archived_at IS NULL".into());
        insta::assert_snapshot!("create_expression", migration(&wanted, 20_261_123_094_500, false).check);
    }

    #[test]
    fn the_way_back_of_a_drop_builds_and_checks_the_index() {
        let made = migration(&Proposal { action: Action::Drop, ..proposal() }, 7, false);
        assert!(made.up.ends_with("\nDROP INDEX CONCURRENTLY IF EXISTS public.idx_prospects_user_id_created_at;\n"), "{}", made.up);
        assert!(made.down.contains("CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_prospects_user_id_created_at ON"), "{}", made.down);
        assert!(made.down.ends_with("END\n$pgload$;\n"), "{}", made.down);
        assert_eq!(made.check, "");
    }

    #[test]
    fn a_rebuild_has_nothing_to_undo() {
        let made = migration(&Proposal { action: Action::Reindex, ..proposal() }, 7, false);
        assert_eq!(made.statement, "REINDEX INDEX CONCURRENTLY public.idx_prospects_user_id_created_at");
        assert_eq!(made.rollback, "");
        assert!(made.down.lines().all(|line| line.starts_with("--")), "{}", made.down);
    }

    #[test]
    fn slugs_are_one_word_to_every_tool() {
        assert_eq!(slug("create", "Idx on \"Prospects\"__é"), "create_idx_on_prospects");
        assert_eq!(slug("drop", "…"), "drop_index");
    }
}
