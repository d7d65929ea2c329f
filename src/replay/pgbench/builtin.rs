//! The scripts that pgbench brings along, and how a script is named on the command line.

/// A script that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// Its text; word for word that of pgbench.
    pub text: &'static str,
}

/// All of them. They use the tables that `pgbench -i` makes.
pub const BUILTINS: [Builtin; 3] = [
    Builtin {
        name: "tpcb-like",
        text: "\\set aid random(1, 100000 * :scale)\n\
               \\set bid random(1, 1 * :scale)\n\
               \\set tid random(1, 10 * :scale)\n\
               \\set delta random(-5000, 5000)\n\
               BEGIN;\n\
               UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n\
               SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n\
               UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;\n\
               UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;\n\
               INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);\n\
               END;\n",
    },
    Builtin {
        name: "simple-update",
        text: "\\set aid random(1, 100000 * :scale)\n\
               \\set bid random(1, 1 * :scale)\n\
               \\set tid random(1, 10 * :scale)\n\
               \\set delta random(-5000, 5000)\n\
               BEGIN;\n\
               UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n\
               SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n\
               INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);\n\
               END;\n",
    },
    Builtin {
        name: "select-only",
        text: "\\set aid random(1, 100000 * :scale)\n\
               SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n",
    },
];

/// Finds a built-in script by the beginning of its name.
///
/// # Errors
/// When none begins so, or several do.
pub fn builtin(name: &str) -> Result<Builtin, String> {
    let all = || BUILTINS.map(|builtin| builtin.name).join(", ");
    // As in pgbench, the whole name wins over longer ones that begin with it, and `s` is several.
    let mut found = BUILTINS.into_iter().filter(|builtin| builtin.name.starts_with(name));
    match (found.next(), found.next()) {
        (Some(only), None) if !name.is_empty() => Ok(only),
        (Some(_), Some(_)) => Err(format!("several built-in scripts begin with {name:?}, expected one of: {}", all())),
        _ => Err(format!("no built-in script is called {name:?}, expected one of: {}", all())),
    }
}

/// Which script, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// A file's name, or the name behind `builtin:`.
    pub name: String,
    /// Whether it is built in.
    pub is_builtin: bool,
    /// How often it is run, relative to the others; 0 is never.
    pub weight: u32,
}

impl Choice {
    /// Reads `FILE.sql`, `FILE.sql@WEIGHT`, `builtin:NAME` or `builtin:NAME@WEIGHT`; `None` when it is neither.
    ///
    /// # Errors
    /// When the weight is no whole number.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        let (name, weight) = match text.rsplit_once('@') {
            Some((name, weight)) => (name, Some(weight)),
            None => (text, None),
        };
        let (name, is_builtin) = match name.strip_prefix("builtin:") {
            Some(name) => (name, true),
            None if name.ends_with(".sql") || name.ends_with(".pgbench") => (name, false),
            None => return None,
        };
        Some(match weight.map_or(Ok(1), str::parse) {
            Ok(weight) => Ok(Self { name: name.to_owned(), is_builtin, weight }),
            Err(_) => Err(format!("{text}: expected a whole number as weight behind the @, found {:?}", weight.unwrap_or_default())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::pgbench::Script;

    #[test]
    fn built_in_scripts_are_found_by_the_beginning_of_their_name() {
        let named = |name: &str| builtin(name).map(|found| found.name);
        assert_eq!(
            (named("tpcb-like"), named("t"), named("si"), named("se")),
            (Ok("tpcb-like"), Ok("tpcb-like"), Ok("simple-update"), Ok("select-only"))
        );
        assert!(named("s").unwrap_err().starts_with("several built-in scripts begin with \"s\""));
        assert!(named("tpcb-like-too").unwrap_err().contains("expected one of: tpcb-like, simple-update, select-only"));
        assert!(named("").is_err());
    }

    #[test]
    fn built_in_scripts_can_be_read() {
        let commands = BUILTINS.map(|builtin| Script::parse(builtin.text, builtin.name).expect("a script").commands.len());
        assert_eq!(commands, [11, 9, 2]);
    }

    #[test]
    fn choices_name_a_script_and_a_weight() {
        let choice = |name: &str, is_builtin, weight| Some(Ok(Choice { name: name.to_owned(), is_builtin, weight }));
        assert_eq!(Choice::parse("a.sql"), choice("a.sql", false, 1));
        assert_eq!(Choice::parse("x@y/a.sql@0"), choice("x@y/a.sql", false, 0));
        assert_eq!(Choice::parse("builtin:se@12"), choice("se", true, 12));
        assert_eq!((Choice::parse("shop.yaml"), Choice::parse("dir@2/shop.yaml")), (None, None));
        for (text, weight) in [("a.sql@", "\"\""), ("a.sql@x", "\"x\""), ("builtin:se@-1", "\"-1\""), ("a.sql@1.5", "\"1.5\"")] {
            let said = Choice::parse(text).expect("a choice").expect_err("a bad weight");
            assert_eq!(said, format!("{text}: expected a whole number as weight behind the @, found {weight}"));
        }
    }
}
