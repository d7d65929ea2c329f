//! The little pgload has to know of each statement of a migration file.

use crate::sql::pieces::{Kind, pieces};

pub use crate::sql::split::split;

/// An index build as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcurrentBuild {
    /// The index's name as the catalog stores it.
    pub index: String,
    /// The table as the statement spells it, with its quotes and schema.
    pub table: String,
}

/// Returns whether the server refuses the statement inside a transaction.
pub fn needs_no_transaction(statement: &str) -> bool {
    let words = leading_words(statement, usize::MAX);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let concurrently = words.contains(&"concurrently");
    match words.as_slice() {
        ["create", "index", ..] | ["create", "unique", "index", ..] | ["drop", "index", ..] | ["reindex", ..] => concurrently,
        // DETACH PARTITION … CONCURRENTLY. Refreshing a materialized view concurrently is fine inside one.
        ["alter", "table", ..] => concurrently && words.contains(&"detach"),
        ["vacuum", ..] | ["alter", "system", ..] => true,
        ["create" | "drop", "database" | "tablespace", ..] => true,
        _ => false,
    }
}

/// Returns what `CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] name ON [ONLY] table` builds; `None` for any other
/// statement and for one that leaves the name to the server.
pub fn concurrent_build(statement: &str) -> Option<ConcurrentBuild> {
    let tokens: Vec<(Kind, &str)> = pieces(statement)
        .into_iter()
        .filter(|(kind, ..)| *kind != Kind::Blank)
        .map(|(kind, start, end)| (kind, &statement[start..end]))
        .collect();
    let mut at = 0;
    let mut skip = |words: &[&str]| -> bool {
        let all = words
            .iter()
            .enumerate()
            .all(|(n, word)| tokens.get(at + n).is_some_and(|(kind, text)| *kind == Kind::Word && text.eq_ignore_ascii_case(word)));
        at += if all { words.len() } else { 0 };
        all
    };
    if !skip(&["create"]) {
        return None;
    }
    skip(&["unique"]);
    if !skip(&["index", "concurrently"]) {
        return None;
    }
    skip(&["if", "not", "exists"]);
    if skip(&["on"]) {
        return None;
    }
    let (kind, name) = *tokens.get(at)?;
    let index = match kind {
        Kind::Word => name.to_lowercase(),
        Kind::Name => name.strip_prefix('"')?.strip_suffix('"')?.replace("\"\"", "\""),
        _ => return None,
    };
    at += 1;
    let mut rest = tokens[at..].iter().peekable();
    rest.next_if(|(_, text)| text.eq_ignore_ascii_case("on"))?;
    rest.next_if(|(_, text)| text.eq_ignore_ascii_case("only"));
    let mut table = String::new();
    loop {
        table.push_str(rest.next_if(|(kind, _)| matches!(kind, Kind::Word | Kind::Name))?.1);
        match rest.next_if(|(kind, _)| *kind == Kind::Sign('.')) {
            Some((_, dot)) => table.push_str(dot),
            None => return Some(ConcurrentBuild { index, table }),
        }
    }
}

/// Returns the index that `REINDEX INDEX CONCURRENTLY name` rebuilds, as the statement spells it; `None` for any other statement.
pub fn concurrent_rebuild(statement: &str) -> Option<String> {
    let rest = pieces(statement).into_iter().filter(|(kind, ..)| *kind != Kind::Blank);
    let mut rest = rest.map(|(kind, start, end)| (kind, &statement[start..end]));
    let words = ["reindex", "index", "concurrently"];
    let rebuild = words.iter().all(|word| rest.next().is_some_and(|(kind, text)| kind == Kind::Word && text.eq_ignore_ascii_case(word)));
    let name: Vec<&str> = rest.map(|(_, text)| text).collect();
    (rebuild && !name.is_empty()).then(|| name.concat())
}

fn leading_words(statement: &str, count: usize) -> Vec<String> {
    let words = pieces(statement).into_iter().filter(|(kind, ..)| *kind == Kind::Word);
    words.take(count).map(|(_, start, end)| statement[start..end].to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_the_server_refuses_in_a_transaction_are_known() {
        for refused in [
            "CREATE INDEX CONCURRENTLY i ON t (a)",
            "create unique index /* c */ concurrently on t (a)",
            "drop index concurrently if exists i",
            "REINDEX (VERBOSE, CONCURRENTLY) TABLE t",
            "alter table p detach partition c concurrently",
            "vacuum t",
        ] {
            assert!(needs_no_transaction(refused), "{refused}");
        }
        for fine in
            ["create index i on t (\"concurrently\")", "refresh materialized view concurrently v", "select 'vacuum'", "reindex table t", ""]
        {
            assert!(!needs_no_transaction(fine), "{fine}");
        }
    }

    #[test]
    fn a_rebuild_says_its_index() {
        let rebuilt = |index: &str| Some(index.to_owned());
        assert_eq!(concurrent_rebuild("REINDEX INDEX CONCURRENTLY public.\"I x\""), rebuilt("public.\"I x\""));
        assert_eq!(concurrent_rebuild("reindex index /* now */ concurrently i"), rebuilt("i"));
        assert_eq!(concurrent_rebuild("reindex index i"), None);
        assert_eq!(concurrent_rebuild("reindex table concurrently t"), None);
    }

    #[test]
    fn a_build_says_its_index_and_table() {
        let build = |index: &str, table: &str| Some(ConcurrentBuild { index: index.into(), table: table.into() });
        assert_eq!(concurrent_build("create index concurrently if not exists Idx on only public.\"T\" (a)"), build("idx", "public.\"T\""));
        assert_eq!(concurrent_build("CREATE UNIQUE INDEX CONCURRENTLY \"a\"\"\" ON t USING btree (x)"), build("a\"", "t"));
        assert_eq!(concurrent_build("create index concurrently on t (a)"), None);
        assert_eq!(concurrent_build("create index i on t (a)"), None);
        assert_eq!(concurrent_build("create index concurrently i"), None);
    }
}
