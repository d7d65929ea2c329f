//! Proposals to migrations: one each, so that each can be reviewed, applied and taken back alone.

use jiff::{SignedDuration, Timestamp};

use super::{Layout, Migration, file};
use crate::advisor::{Action, Proposal};

/// How migrations are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// The tool that will run them.
    pub layout: Layout,
    /// Plain builds inside a transaction, for tools that wrap every file in one.
    pub transactional: bool,
}

/// Returns one migration a proposal, creates before drops, with versions that count up by seconds from `first_version`.
///
/// The same proposals, timestamp and options give the same text. A layout whose checks are files of their own takes two
/// seconds a migration.
pub fn write(proposals: &[Proposal], first_version: Timestamp, options: Options) -> Vec<Migration> {
    // An index is dropped only after the one that replaces it was built.
    let (drops, builds): (Vec<&Proposal>, Vec<&Proposal>) = proposals.iter().partition(|proposal| proposal.action == Action::Drop);
    let step = options.layout.versions_each(options.transactional);
    let mut at = first_version;
    let mut migrations = Vec::with_capacity(proposals.len());
    for proposal in builds.into_iter().chain(drops) {
        migrations.push(file::migration(proposal, version(at), options.transactional));
        at = at.checked_add(SignedDuration::from_secs(step)).unwrap_or(Timestamp::MAX);
    }
    migrations
}

/// Returns a time as the number its digits make in UTC: `20261123094500`.
pub fn version(at: Timestamp) -> i64 {
    at.strftime("%Y%m%d%H%M%S").to_string().parse().expect("a date and time of day are fourteen digits")
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::proposal;
    use super::*;

    fn start() -> Timestamp {
        "2026-11-23T23:59:58Z".parse().unwrap()
    }

    #[test]
    fn versions_count_seconds_as_a_clock_does() {
        let migrations = write(&[proposal(), proposal(), proposal()], start(), Options::default());
        let versions: Vec<i64> = migrations.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, [20_261_123_235_958, 20_261_123_235_959, 20_261_124_000_000]);
    }

    #[test]
    fn checks_in_files_of_their_own_take_a_version() {
        let options = Options { layout: Layout::Sqlx, transactional: false };
        let names: Vec<String> = write(&[proposal(), proposal()], start(), options)
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
        let migrations = write(&[drop, proposal()], start(), Options::default());
        assert_eq!(migrations.iter().map(|m| m.slug.as_str()).collect::<Vec<_>>(), ["create_idx_prospects_user_id_created_at", "drop_old"]);
    }

    #[test]
    fn nothing_proposed_is_nothing_written() {
        assert_eq!(write(&[], start(), Options::default()), []);
    }

    #[test]
    fn the_same_input_gives_the_same_text() {
        assert_eq!(write(&[proposal()], start(), Options::default()), write(&[proposal()], start(), Options::default()));
    }
}
