//! Whole up and down files of one proposal.

use super::ddl::{self, Build, guard};
use super::evidence::{Subject, comment, header};
use super::tree::{PartNames, Tree};
use super::{Migration, Step, build};
use crate::advisor::{Action, Proposal};
use crate::catalog::{Index, KeyTarget, QualifiedName, Snapshot};

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

/// What to know of a build on a partitioned table.
const PARTITIONED_NOTES: [&str; 3] = [
    "The table is partitioned: the index is made on the parent alone, which takes no time, then concurrently on each",
    "partition, then those are attached. Outside a transaction; cut off half-way, run it again: what is there is skipped.",
    "IF NOT EXISTS looks at the name only, so the blocks below raise when an index is invalid or defined otherwise.",
];

/// Statements, and the steps of a file they are told in.
type Part = (Vec<String>, Vec<Step>);

/// Makes migrations of one snapshot's proposals.
#[derive(Debug)]
pub struct Writer<'a> {
    snapshot: &'a Snapshot,
    names: PartNames,
    transactional: bool,
}

impl<'a> Writer<'a> {
    /// Begins with the names that proposals and snapshot have.
    pub fn new(snapshot: &'a Snapshot, proposals: &[Proposal], transactional: bool) -> Self {
        Self { snapshot, names: PartNames::new(snapshot, proposals), transactional }
    }

    /// Returns the migration of one proposal.
    pub fn migration(&mut self, proposal: &Proposal, version: i64) -> Migration {
        let transactional = self.transactional;
        let existing = self.existing(proposal);
        let name = QualifiedName::new(proposal.index.table_name.schema.clone(), proposal.name.clone());
        let tree = self.tree(proposal, existing);
        let (verb, up, down) = match proposal.action {
            Action::Create => ("create", self.built(proposal, None, &tree), build::drop(&tree, transactional)),
            Action::Drop => ("drop", dropped(proposal, existing, &tree, transactional), self.built(proposal, existing, &tree)),
            Action::Reindex => ("reindex", rebuilt(proposal, existing, &name, transactional), (Vec::new(), Vec::new())),
        };
        let slug = slug(verb, &name.name);
        let parts = if tree.partitioned { tree.leaves().len() } else { 0 };
        let subject = Subject { snapshot: self.snapshot, existing, parts, partitioned: tree.partitioned, transactional };
        let mut head = lines(&header(proposal, &subject));
        if proposal.action == Action::Create {
            head.push_str("--\n");
            head.push_str(&lines(&notes(&tree, transactional).iter().map(|note| comment(note)).collect::<Vec<_>>()));
        }
        let mut back = lines(&[comment(&format!("Takes back {version} {slug}."))]);
        if down.0.is_empty() {
            back.push_str(&lines(&[comment("Nothing to undo: the index was rebuilt as it was.")]));
        }
        let transactional = ![&up, &down].into_iter().any(|(_, steps)| steps.iter().any(|step| step.alone));
        Migration {
            version,
            slug,
            action: proposal.action,
            index: name,
            statement: build::joined(&up.0),
            rollback: build::joined(&down.0),
            up: file(&head, &up.1),
            down: file(&back, &down.1),
            steps: up.1,
            down_steps: down.1,
            transactional,
        }
    }

    fn existing(&self, proposal: &Proposal) -> Option<&'a Index> {
        let oid = proposal.existing?;
        self.snapshot.indexes.iter().find(|index| index.oid == oid)
    }

    fn tree(&mut self, proposal: &Proposal, existing: Option<&Index>) -> Tree {
        let known = existing.and_then(|index| Tree::of_existing(self.snapshot, index));
        known.unwrap_or_else(|| Tree::of_candidate(self.snapshot, &proposal.index, &proposal.name, &mut self.names))
    }

    /// Builds the index: the way up of a create, the way back of a drop.
    fn built(&self, proposal: &Proposal, existing: Option<&Index>, tree: &Tree) -> Part {
        let check = match existing {
            Some(index) => guard::assert_restored(&index.name, &index.definition),
            None => ddl::check::assert_index(&proposal.index, &proposal.name),
        };
        let mut after = if tree.partitioned && !self.transactional && existing.is_none() { String::new() } else { format!("{check};\n") };
        if existing.is_some_and(|index| index.clustered) {
            after.push_str(&format!("{};\n", ddl::cluster_on(&tree.definition)));
        }
        if proposal.index.keys.iter().any(|key| matches!(key.target, KeyTarget::Expression(_))) {
            let why = comment("The planner knows an expression's values only after the next ANALYZE.");
            let gap = if after.is_empty() { "" } else { "\n" };
            after.push_str(&format!("{gap}{why}\n{};\n", ddl::analyze(&proposal.index.table_name)));
        }
        let statistics = proposal.statistics.iter().map(ddl::drop_statistics);
        let back: Vec<String> = if proposal.action == Action::Drop { statistics.collect() } else { Vec::new() };
        after.extend(back.iter().map(|statement| format!("{statement};\n")));
        let (mut statements, steps) = if self.transactional {
            build::in_transaction(tree, &after)
        } else {
            let defined = existing.is_none().then(|| format!("{};\n", ddl::check::assert_defined(&proposal.index, &proposal.name)));
            build::concurrently(tree, defined, &after)
        };
        statements.extend(back);
        (statements, steps)
    }
}

/// Drops the index, after what has to be there in its place.
fn dropped(proposal: &Proposal, existing: Option<&Index>, tree: &Tree, transactional: bool) -> Part {
    let mut before = String::new();
    if let Some(index) = existing {
        before = format!("{};\n", guard::assert_unchanged(&index.name, &index.definition));
    }
    let mut statements = Vec::new();
    if !proposal.statistics.is_empty() {
        statements.extend(proposal.statistics.iter().map(ddl::create_statistics));
        statements.push(ddl::analyze(&proposal.index.table_name));
        let why = comment("The index goes, and with it what the planner knew of its expression: these statistics keep it.");
        let gap = if before.is_empty() { "" } else { "\n" };
        before.push_str(&format!("{gap}{why}\n{};\n", build::joined(&statements)));
    }
    let (drops, mut steps) = build::drop(tree, transactional);
    statements.extend(drops);
    if !before.is_empty() {
        steps.insert(0, Step { word: "prepare".into(), text: before, alone: false });
    }
    (statements, steps)
}

/// Rebuilds the index in place.
fn rebuilt(proposal: &Proposal, existing: Option<&Index>, name: &QualifiedName, transactional: bool) -> Part {
    let how = if transactional { Build::PlainIfNotExists } else { Build::Concurrently };
    let reindex = ddl::reindex(name, how);
    let check = match existing {
        Some(index) => guard::assert_restored(&index.name, &index.definition),
        None => ddl::check::assert_index(&proposal.index, &proposal.name),
    };
    let mut main = build::step("", std::slice::from_ref(&reindex), !transactional);
    if transactional {
        main.text.insert_str(0, &format!("{};\n", ddl::set_local_lock_timeout(build::LOCK_TIMEOUT)));
    }
    (vec![reindex], vec![main, Step { word: "check".into(), text: format!("{check};\n"), alone: false }])
}

fn notes(tree: &Tree, transactional: bool) -> &'static [&'static str] {
    match (transactional, tree.partitioned) {
        (true, _) => &TRANSACTIONAL_NOTES,
        (false, true) => &PARTITIONED_NOTES,
        (false, false) => &CONCURRENT_NOTES,
    }
}

/// Joins a header and steps; the builds of a partitioned table's partitions stand line by line.
fn file(head: &str, steps: &[Step]) -> String {
    let mut text = head.to_owned();
    let mut before = "";
    for step in steps {
        if !(before.starts_with("part_") && step.word.starts_with("part_")) {
            text.push('\n');
        }
        text.push_str(&step.text);
        before = &step.word;
    }
    text
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
    use super::super::ddl::tests::{candidate, existing};
    use super::super::statements::{needs_no_transaction, split};
    use super::*;
    use crate::advisor::proposal::NewStatistics;
    use crate::advisor::{CandidateKey, Confidence, StatementEffect, WriteCost};
    use crate::catalog::{Server, StatementSource, Table, TableKind, TableUsage};
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

    /// A server with nothing in it, read 31 days after its statistics were reset.
    pub(crate) fn snapshot() -> Snapshot {
        Snapshot {
            schema_version: 1,
            taken_at: "2026-11-20T09:00:00Z".parse().unwrap(),
            server: Server {
                version_num: 150_018,
                database: "shop".into(),
                user: "auditor".into(),
                in_recovery: false,
                stats_reset_at: Some("2026-10-20T09:00:00Z".parse().unwrap()),
                started_at: None,
                collate: String::new(),
                ctype: String::new(),
                encoding: String::new(),
                locale_provider: String::new(),
                locale: None,
                collation_mismatches: Vec::new(),
                database_bytes: 0,
                settings: std::collections::BTreeMap::new(),
                extensions: Vec::new(),
            },
            tables: Vec::new(),
            indexes: Vec::new(),
            constraints: Vec::new(),
            views: Vec::new(),
            functions: Vec::new(),
            types: Vec::new(),
            extended_statistics: Vec::new(),
            policies: Vec::new(),
            nodes: Vec::new(),
            redacted: false,
            statements: Vec::new(),
            statement_source: StatementSource::Available { evicted: 0, reset_at: None },
            hidden: Vec::new(),
        }
    }

    fn table(oid: u32, name: &str, kind: TableKind, parent: Option<u32>) -> Table {
        Table {
            oid,
            name: QualifiedName::new("public", name),
            kind,
            parent,
            is_partition: parent.is_some(),
            rows: None,
            pages: 0,
            pages_all_visible: 0,
            heap_bytes: 0,
            total_bytes: 0,
            persistence: "p".into(),
            options: Vec::new(),
            replica_identity: "d".into(),
            partition_key: None,
            partition_bound: None,
            row_security: false,
            extension: None,
            columns: Vec::new(),
            usage: TableUsage::default(),
        }
    }

    /// `prospects` partitioned by year, one year partitioned again.
    fn partitioned() -> Snapshot {
        let tables = vec![
            table(1, "prospects", TableKind::Partitioned, None),
            table(2, "prospects_2025", TableKind::Table, Some(1)),
            table(3, "prospects_2026", TableKind::Partitioned, Some(1)),
            table(4, "prospects_2026_a", TableKind::Table, Some(3)),
        ];
        Snapshot { tables, ..snapshot() }
    }

    pub(crate) fn migration(proposal: &Proposal, version: i64, transactional: bool) -> Migration {
        migration_in(&snapshot(), proposal, version, transactional)
    }

    pub(crate) fn migration_in(snapshot: &Snapshot, proposal: &Proposal, version: i64, transactional: bool) -> Migration {
        Writer::new(snapshot, std::slice::from_ref(proposal), transactional).migration(proposal, version)
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
        insta::assert_snapshot!("create_expression", migration(&wanted, 20_261_123_094_500, false).steps[1].text);
    }

    /// A drop of `public.idx` on `prospects (lower(email))`, whose statistics move elsewhere.
    pub(crate) fn drop() -> (Snapshot, Proposal) {
        let mut index = existing("CREATE INDEX idx ON public.prospects USING btree (lower(email)) WITH (fillfactor='70')");
        index.usage.scans = 3;
        index.clustered = true;
        let table = table(1, "prospects", TableKind::Table, None);
        let statistics = NewStatistics { name: "stat".into(), on: "(lower(email))".into(), table: table.name.clone() };
        let mut dropped = Proposal {
            action: Action::Drop,
            name: "idx".into(),
            existing: Some(10),
            statistics: vec![statistics],
            statements: Vec::new(),
            supersedes: Vec::new(),
            workload_cost: Diff { before: 400.0, after: 400.0 },
            ..proposal()
        };
        dropped.index.keys.truncate(1);
        dropped.index.keys[0].target = KeyTarget::Expression("lower(email)".into());
        (Snapshot { tables: vec![table], indexes: vec![index], ..snapshot() }, dropped)
    }

    #[test]
    fn a_drop_says_why_what_was_checked_and_keeps_what_the_planner_knew() {
        let (snapshot, dropped) = drop();
        let made = migration_in(&snapshot, &dropped, 7, false);
        insta::assert_snapshot!("drop", format!("{}\n======== down\n{}", made.up, made.down));
        assert_eq!(
            made.statements(),
            [
                "CREATE STATISTICS IF NOT EXISTS public.stat ON (lower(email)) FROM public.prospects",
                "ANALYZE public.prospects",
                "DROP INDEX CONCURRENTLY IF EXISTS public.idx",
            ]
        );
    }

    #[test]
    fn the_way_back_of_a_drop_the_snapshot_does_not_know_is_built_from_the_proposal() {
        let made = migration(&Proposal { action: Action::Drop, ..proposal() }, 7, false);
        assert!(made.up.ends_with("\nDROP INDEX CONCURRENTLY IF EXISTS public.idx_prospects_user_id_created_at;\n"), "{}", made.up);
        assert!(made.down.contains("CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_prospects_user_id_created_at ON"), "{}", made.down);
        assert!(made.down.ends_with("END\n$pgload$;\n"), "{}", made.down);
    }

    #[test]
    fn a_partitioned_table_gets_its_index_piece_by_piece() {
        let made = migration_in(&partitioned(), &proposal(), 7, false);
        let plain: Vec<&str> =
            made.up.lines().filter(|line| ["CREATE", "ALTER", "SET", "RESET", "DO"].iter().any(|word| line.starts_with(word))).collect();
        insta::assert_snapshot!("partitioned", format!("{}\n======== down\n{}", plain.join("\n"), made.down));
        assert!(!made.transactional);
        assert_eq!(migration_in(&partitioned(), &proposal(), 7, true).statements().len(), 1, "a transaction builds all of it at once");
    }

    #[test]
    fn every_tool_can_send_every_step_of_a_partitioned_build_by_itself() {
        use super::super::Layout;
        let made = migration_in(&partitioned(), &proposal(), 7, false);
        for layout in [Layout::Sqlx, Layout::Supabase] {
            let files = layout.files(&made);
            let ups = files.iter().filter(|(name, _)| !name.contains("down") && !name.contains("rollback")).count();
            assert_eq!(ups, 4, "parent, two partitions, the attachments: {files:?}");
            assert_eq!(layout.versions(&made), 4);
            for (name, text) in files.iter().filter(|(name, _)| !name.contains("rollback")) {
                let statements = split(text);
                assert!(statements.len() == 1 || !statements.iter().any(|statement| needs_no_transaction(statement)), "{name}: {text}");
            }
        }
    }

    #[test]
    fn a_rebuild_has_nothing_to_undo() {
        let made = migration(&Proposal { action: Action::Reindex, ..proposal() }, 7, false);
        assert!(made.up.ends_with("END\n$pgload$;\n"), "{}", made.up);
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
