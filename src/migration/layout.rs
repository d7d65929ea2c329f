//! File names, for the tool that will run the migrations.

use serde::{Deserialize, Serialize};

use super::Migration;
use super::evidence::comment;

/// The tool whose naming a migration's files follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `pgload migrate` and refinery: `V<version>__<slug>.sql`, which reads no `.down.sql`.
    #[default]
    Refinery,
    /// `supabase db push`: `<version>_<slug>.sql`.
    Supabase,
    /// `sqlx migrate run`: `<version>_<slug>.up.sql` and `.down.sql`.
    Sqlx,
    /// `flyway migrate`: `V<version>__<slug>.sql`, `U…` to undo, `.conf` beside each.
    Flyway,
    /// `psql -f`: `<version>_<slug>.up.sql` and `.down.sql`.
    Plain,
}

impl Layout {
    /// All of them, in the order they are documented.
    pub const ALL: [Self; 5] = [Self::Refinery, Self::Supabase, Self::Sqlx, Self::Flyway, Self::Plain];

    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refinery => "refinery",
            Self::Supabase => "supabase",
            Self::Sqlx => "sqlx",
            Self::Flyway => "flyway",
            Self::Plain => "plain",
        }
    }

    /// Returns how many versions one migration takes: two where the check has to be a file of its own.
    ///
    /// sqlx sends a file as one message and older supabase as one pipeline; in both, a concurrent build works only when
    /// it is the file's sole statement.
    pub fn versions_each(self, transactional: bool) -> i64 {
        if !transactional && matches!(self, Self::Supabase | Self::Sqlx) { 2 } else { 1 }
    }

    /// Returns the files of a migration as names relative to the tool's folder, with `/`, and contents.
    pub fn files(self, migration: &Migration) -> Vec<(String, String)> {
        let Migration { version, slug, up, down, .. } = migration;
        match self {
            Self::Refinery => vec![(format!("V{version}__{slug}.sql"), up.clone()), (format!("V{version}__{slug}.down.sql"), down.clone())],
            Self::Plain => vec![(format!("{version}_{slug}.up.sql"), up.clone()), (format!("{version}_{slug}.down.sql"), down.clone())],
            Self::Flyway => {
                let conf = flyway_conf(migration.transactional);
                let (done, undone) = (format!("V{version}__{slug}.sql"), format!("U{version}__{slug}.sql"));
                vec![
                    (format!("{done}.conf"), conf.clone()),
                    (done, format!("{}{up}", flyway_note(migration.transactional))),
                    (format!("{undone}.conf"), conf),
                    (undone, down.clone()),
                ]
            }
            Self::Supabase => {
                // Its pattern is `<digits>_<anything>.sql`, which a .down.sql beside the migration would match and be run
                // as one. It does not look into folders.
                let mut files = vec![(format!("{version}_{slug}.sql"), alone(migration))];
                files.extend(check_of(migration).map(|check| (format!("{}_check_{slug}.sql", version + 1), check)));
                files.push((format!("rollback/{version}_{slug}.sql"), down.clone()));
                files
            }
            Self::Sqlx => {
                let mut files = vec![(format!("{version}_{slug}.up.sql"), sqlx(migration, alone(migration)))];
                files.push((format!("{version}_{slug}.down.sql"), sqlx(migration, down.clone())));
                if let Some(check) = check_of(migration) {
                    files.push((format!("{}_check_{slug}.up.sql", version + 1), check));
                    files.push((
                        format!("{}_check_{slug}.down.sql", version + 1),
                        format!("{}\nSELECT 1;\n", comment("A check has nothing to undo.")),
                    ));
                }
                files
            }
        }
    }
}

/// The up file without its check, for tools that want a concurrent build alone.
fn alone(migration: &Migration) -> String {
    match migration.up.strip_suffix(&migration.check) {
        Some(rest) if check_of(migration).is_some() => rest.replace("so the block below raises", "so the next migration raises"),
        _ => migration.up.clone(),
    }
}

/// The check as a file of its own, where it has to be one.
fn check_of(migration: &Migration) -> Option<String> {
    let apart = !migration.transactional && !migration.check.is_empty();
    let title = comment(&format!("Holds {} {} to its word: the index is there, valid and defined so.", migration.version, migration.slug));
    apart.then(|| format!("{title}\n{}", migration.check))
}

fn sqlx(migration: &Migration, text: String) -> String {
    // sqlx looks for these very words at the file's first byte.
    if migration.transactional { text } else { format!("-- no-transaction\n{text}") }
}

fn flyway_conf(transactional: bool) -> String {
    // Comments quote statements, which may hold what looks like a placeholder.
    format!("executeInTransaction={transactional}\nplaceholderReplacement=false\n")
}

fn flyway_note(transactional: bool) -> String {
    if transactional {
        return String::new();
    }
    format!(
        "{}\n{}\n--\n",
        comment("Set flyway.postgresql.transactional.lock=false: Flyway's default lock is an open transaction, for which a"),
        comment("concurrent build waits for ever.")
    )
}

#[cfg(test)]
mod tests {
    use super::super::file::migration;
    use super::super::file::tests::proposal;
    use super::super::statements::{needs_no_transaction, split};
    use super::*;

    fn names(layout: Layout, transactional: bool) -> Vec<String> {
        layout.files(&migration(&proposal(), 20_261_123_094_500, transactional)).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn each_tool_gets_the_names_it_reads() {
        let slug = "create_idx_prospects_user_id_created_at";
        let list = |names: &[&str]| names.iter().map(|name| name.replace('*', slug)).collect::<Vec<_>>();
        assert_eq!(names(Layout::Refinery, false), list(&["V20261123094500__*.sql", "V20261123094500__*.down.sql"]));
        assert_eq!(
            names(Layout::Supabase, false),
            list(&["20261123094500_*.sql", "20261123094501_check_*.sql", "rollback/20261123094500_*.sql"])
        );
        assert_eq!(names(Layout::Supabase, true), list(&["20261123094500_*.sql", "rollback/20261123094500_*.sql"]));
        assert_eq!(
            names(Layout::Sqlx, false),
            list(&[
                "20261123094500_*.up.sql",
                "20261123094500_*.down.sql",
                "20261123094501_check_*.up.sql",
                "20261123094501_check_*.down.sql"
            ])
        );
        assert_eq!(
            names(Layout::Flyway, false),
            list(&["V20261123094500__*.sql.conf", "V20261123094500__*.sql", "U20261123094500__*.sql.conf", "U20261123094500__*.sql"])
        );
        assert_eq!(names(Layout::Plain, true), list(&["20261123094500_*.up.sql", "20261123094500_*.down.sql"]));
    }

    #[test]
    fn a_concurrent_build_is_alone_where_the_tool_sends_files_whole() {
        for layout in [Layout::Sqlx, Layout::Supabase] {
            for (name, text) in layout.files(&migration(&proposal(), 1, false)) {
                let statements = split(&text);
                if statements.iter().any(|statement| needs_no_transaction(statement)) {
                    assert_eq!(statements.len(), 1, "{name}: {text}");
                }
            }
        }
    }

    #[test]
    fn sqlx_reads_its_mark_on_the_first_line() {
        let files = Layout::Sqlx.files(&migration(&proposal(), 1, false));
        assert!(files[0].1.starts_with("-- no-transaction\n") && files[1].1.starts_with("-- no-transaction\n"));
        assert!(!files[2].1.contains("no-transaction"));
    }

    #[test]
    fn flyway_leaves_the_transaction_only_for_a_concurrent_build() {
        let conf = |transactional| Layout::Flyway.files(&migration(&proposal(), 1, transactional))[0].1.clone();
        assert_eq!(conf(false), "executeInTransaction=false\nplaceholderReplacement=false\n");
        assert_eq!(conf(true), "executeInTransaction=true\nplaceholderReplacement=false\n");
    }
}
