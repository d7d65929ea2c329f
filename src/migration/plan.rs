//! Proposals to migrations: one each, so that each can be reviewed, applied and taken back alone.

use jiff::{SignedDuration, Timestamp};

use super::file::Writer;
use super::{Layout, Migration};
use crate::advisor::{Action, Proposal};
use crate::catalog::Snapshot;

/// How migrations are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// The tool that will run them.
    pub layout: Layout,
    /// Plain builds inside a transaction, for tools that wrap every file in one.
    pub transactional: bool,
}

/// Returns one migration a proposal, drops last, with versions that count up by seconds from `first_version`.
///
/// The snapshot knows the partitions of a partitioned table and the definition of an index to drop. The same proposals,
/// snapshot, timestamp and options give the same text. A layout that needs several files for a migration takes a second for each.
/// A drop belongs into another folder than the creates ([`is_drop`]): it is a decision of its own, and a later one.
pub fn write(proposals: &[Proposal], snapshot: &Snapshot, first_version: Timestamp, options: Options) -> Vec<Migration> {
    // An index is dropped only after the one that replaces it was built.
    let (drops, builds): (Vec<&Proposal>, Vec<&Proposal>) = proposals.iter().partition(|proposal| proposal.action == Action::Drop);
    let mut writer = Writer::new(snapshot, proposals, options.transactional);
    let mut at = first_version;
    let mut migrations = Vec::with_capacity(proposals.len());
    for proposal in builds.into_iter().chain(drops) {
        let migration = writer.migration(proposal, version(at));
        let seconds = options.layout.versions(&migration);
        at = at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        migrations.push(migration);
    }
    migrations
}

/// Returns whether the migration drops an index, and so must never lie in one folder with the creates unread.
pub fn is_drop(migration: &Migration) -> bool {
    migration.action == Action::Drop
}

/// Returns a time as the number its digits make in UTC: `20261123094500`.
pub fn version(at: Timestamp) -> i64 {
    at.strftime("%Y%m%d%H%M%S").to_string().parse().expect("a date and time of day are fourteen digits")
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::{proposal, snapshot};
    use super::*;

    fn start() -> Timestamp {
        "2026-11-23T23:59:58Z".parse().unwrap()
    }

    #[test]
    fn versions_count_seconds_as_a_clock_does() {
        let migrations = write(&[proposal(), proposal(), proposal()], &snapshot(), start(), Options::default());
        let versions: Vec<i64> = migrations.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, [20_261_123_235_958, 20_261_123_235_959, 20_261_124_000_000]);
    }

    #[test]
    fn checks_in_files_of_their_own_take_a_version() {
        let options = Options { layout: Layout::Sqlx, transactional: false };
        let names: Vec<String> = write(&[proposal(), proposal()], &snapshot(), start(), options)
            .iter()
            .flat_map(|migration| options.layout.files(migration))
            .map(|(name, _)| name)
            .collect();
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len(), "{names:?}");
        let versions: std::collections::BTreeSet<&str> = names.iter().map(|name| &name[..14]).collect();
        assert_eq!(versions.len(), 4, "{names:?}");
    }

    #[test]
    fn drops_come_after_builds() {
        let drop = Proposal { action: Action::Drop, name: "old".into(), ..proposal() };
        let migrations = write(&[drop, proposal()], &snapshot(), start(), Options::default());
        assert_eq!(migrations.iter().map(|m| m.slug.as_str()).collect::<Vec<_>>(), ["create_idx_prospects_user_id_created_at", "drop_old"]);
    }

    #[test]
    fn nothing_proposed_is_nothing_written() {
        assert_eq!(write(&[], &snapshot(), start(), Options::default()), []);
    }

    #[test]
    fn the_same_input_gives_the_same_text() {
        assert_eq!(
            write(&[proposal()], &snapshot(), start(), Options::default()),
            write(&[proposal()], &snapshot(), start(), Options::default())
        );
    }
}
