//! File names, for the tool that will run the migrations.

use serde::{Deserialize, Serialize};

use super::evidence::comment;
use super::{Migration, Step};

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

    /// Returns how many versions the migration takes: more than one where its steps have to be files of their own.
    ///
    /// sqlx sends a file as one message and older supabase as one pipeline; in both, a concurrent build works only when
    /// it is the file's sole statement.
    pub fn versions(self, migration: &Migration) -> i64 {
        match self {
            Self::Supabase | Self::Sqlx => files_of(&migration.steps).len().max(files_of(&migration.down_steps).len()).max(1) as i64,
            Self::Refinery | Self::Flyway | Self::Plain => 1,
        }
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
                let mut files: Vec<(String, String)> = apart(migration, up, &migration.steps)
                    .into_iter()
                    .enumerate()
                    .map(|(at, part)| (format!("{}_{}.sql", version + at as i64, part.name), part.text))
                    .collect();
                files.push((format!("rollback/{version}_{slug}.sql"), down.clone()));
                files
            }
            Self::Sqlx => sqlx(migration),
        }
    }
}

/// A stretch of a migration that is a file of its own.
struct Part {
    name: String,
    text: String,
    alone: bool,
}

/// Groups steps into files: one for each step that has to be alone, one for each run of others between those.
fn files_of(steps: &[Step]) -> Vec<&[Step]> {
    steps.chunk_by(|one, other| !one.alone && !other.alone).collect()
}

/// Returns the files of one way of a migration, its header with the first.
fn apart(migration: &Migration, whole: &str, steps: &[Step]) -> Vec<Part> {
    let groups = files_of(steps);
    if groups.len() < 2 {
        return vec![Part { name: migration.slug.clone(), text: whole.to_owned(), alone: steps.iter().any(|step| step.alone) }];
    }
    let head: String = whole.lines().take_while(|line| line.starts_with("--")).map(|line| format!("{line}\n")).collect();
    let head = head
        .replace("the block below raises", "a later migration raises")
        .replace("the blocks below raise", "this and the last migration raise");
    let part = |(at, group): (usize, &&[Step])| {
        let word = group.first().map_or("", |step| step.word.as_str());
        let name = if word.is_empty() { migration.slug.clone() } else { format!("{word}_{}", migration.slug) };
        let title = if at == 0 {
            head.clone()
        } else {
            format!("{}\n", comment(&format!("Goes on with {} {}.", migration.version, migration.slug)))
        };
        let body: Vec<&str> = group.iter().map(|step| step.text.as_str()).collect();
        Part { name, text: format!("{title}\n{}", body.join("\n")), alone: group.iter().any(|step| step.alone) }
    };
    groups.iter().enumerate().map(part).collect()
}

/// sqlx wants a way back beside each way up, and takes back the latest first: the last part of the way back lies with the first version.
fn sqlx(migration: &Migration) -> Vec<(String, String)> {
    let ups = apart(migration, &migration.up, &migration.steps);
    let downs = apart(migration, &migration.down, &migration.down_steps);
    let count = ups.len().max(downs.len());
    let nothing = |why: &str| format!("{}\nSELECT 1;\n", comment(why));
    let mut files = Vec::with_capacity(2 * count);
    for at in 0..count {
        let version = migration.version + at as i64;
        let back = (at < downs.len()).then(|| &downs[downs.len() - 1 - at]);
        let name = ups.get(at).map_or_else(|| format!("rest_{}", migration.slug), |part| part.name.clone());
        let up = ups.get(at).map_or_else(|| nothing("Only the way back has this step."), marked);
        files.push((format!("{version}_{name}.up.sql"), up));
        files.push((format!("{version}_{name}.down.sql"), back.map_or_else(|| nothing("This step has nothing to undo."), marked)));
    }
    files
}

fn marked(part: &Part) -> String {
    // sqlx looks for these very words at the file's first byte.
    if part.alone { format!("-- no-transaction\n{}", part.text) } else { part.text.clone() }
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
    use super::super::file::tests::{drop, migration, migration_in, proposal};
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
        let (snapshot, dropped) = drop();
        let made = [migration(&proposal(), 1, false), migration_in(&snapshot, &dropped, 1, false)];
        for (layout, made) in [Layout::Sqlx, Layout::Supabase].into_iter().flat_map(|layout| made.iter().map(move |made| (layout, made))) {
            // A person runs what lies under rollback/, with psql.
            for (name, text) in layout.files(made).into_iter().filter(|(name, _)| !name.starts_with("rollback/")) {
                let statements = split(&text);
                if statements.iter().any(|statement| needs_no_transaction(statement)) {
                    assert_eq!(statements.len(), 1, "{name}: {text}");
                }
            }
        }
    }

    #[test]
    fn sqlx_takes_the_steps_of_a_drop_back_in_the_reverse_order() {
        let (snapshot, dropped) = drop();
        let files = Layout::Sqlx.files(&migration_in(&snapshot, &dropped, 7, false));
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["7_prepare_drop_idx.up.sql", "7_prepare_drop_idx.down.sql", "8_drop_idx.up.sql", "8_drop_idx.down.sql"]);
        assert!(files[0].1.contains("CREATE STATISTICS") && files[2].1.contains("DROP INDEX CONCURRENTLY"));
        assert!(files[3].1.contains("CREATE INDEX CONCURRENTLY") && files[1].1.contains("DROP STATISTICS"), "{files:?}");
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
