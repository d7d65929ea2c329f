//! A file of SQL cut into its statements, and the little pgload has to know of each.
//!
//! Follows psql: a semicolon ends a statement unless it stands in quotes, a comment, brackets or the body of an SQL
//! function (`BEGIN ATOMIC … END`).

/// An index build as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcurrentBuild {
    /// The index's name as the catalog stores it.
    pub index: String,
    /// The table as the statement spells it, with its quotes and schema.
    pub table: String,
}

/// What a stretch of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// White space or a comment.
    Blank,
    /// A bare word or number.
    Word,
    /// `"…"`.
    Name,
    /// `'…'` or `$tag$…$tag$`.
    Literal,
    /// Any other single character.
    Sign(char),
}

/// Returns the file's statements without their semicolons and without blanks and comments around them.
pub fn split(text: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    // From the statement's first piece that is not blank to the end of its last.
    let mut span: Option<(usize, usize)> = None;
    let (mut depth, mut block) = (0usize, 0usize);
    let mut words: Vec<String> = Vec::new();
    for (kind, start, end) in pieces(text) {
        match kind {
            Kind::Blank => continue,
            Kind::Sign('(') => depth += 1,
            Kind::Sign(')') => depth = depth.saturating_sub(1),
            Kind::Sign(';') if depth == 0 && block == 0 => {
                statements.extend(span.take().map(|(from, to)| &text[from..to]));
                words.clear();
                continue;
            }
            Kind::Word => {
                let word = text[start..end].to_ascii_lowercase();
                let routine = words.first().is_some_and(|first| first == "create")
                    && words.iter().take(4).any(|w| w == "function" || w == "procedure");
                match word.as_str() {
                    "atomic" if routine && words.last().is_some_and(|last| last == "begin") => block += 1,
                    "case" if block > 0 => block += 1,
                    "end" => block = block.saturating_sub(1),
                    _ => {}
                }
                words.push(word);
            }
            _ => {}
        }
        span = Some((span.map_or(start, |(from, _)| from), end));
    }
    statements.extend(span.map(|(from, to)| &text[from..to]));
    statements
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

fn leading_words(statement: &str, count: usize) -> Vec<String> {
    let words = pieces(statement).into_iter().filter(|(kind, ..)| *kind == Kind::Word);
    words.take(count).map(|(_, start, end)| statement[start..end].to_ascii_lowercase()).collect()
}

/// Cuts the text into pieces that together are all of it.
fn pieces(text: &str) -> Vec<(Kind, usize, usize)> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(letter) = text[start..].chars().next() {
        let (kind, length) = piece(&text[start..], letter);
        pieces.push((kind, start, start + length));
        start += length;
    }
    pieces
}

fn piece(rest: &str, letter: char) -> (Kind, usize) {
    let until = |end: Option<usize>| end.unwrap_or(rest.len());
    match letter {
        c if c.is_whitespace() => (Kind::Blank, until(rest.find(|c: char| !c.is_whitespace()))),
        '-' if rest.starts_with("--") => (Kind::Blank, until(rest.find(['\n', '\r']))),
        '/' if rest.starts_with("/*") => (Kind::Blank, block_comment(rest)),
        '\'' => (Kind::Literal, quoted(rest, '\'', false)),
        'e' | 'E' if rest[1..].starts_with('\'') => (Kind::Literal, 1 + quoted(&rest[1..], '\'', true)),
        '"' => (Kind::Name, quoted(rest, '"', false)),
        '$' => dollar_quoted(rest).map_or((Kind::Sign('$'), 1), |length| (Kind::Literal, length)),
        c if word_letter(c) => (Kind::Word, until(rest.find(|c: char| !word_letter(c) && c != '$'))),
        c => (Kind::Sign(c), c.len_utf8()),
    }
}

fn word_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// Block comments nest in SQL.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0usize);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a quoted piece; a doubled quote stays inside, and a backslash protects in `E'…'`.
fn quoted(rest: &str, quote: char, backslash: bool) -> usize {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if backslash && letter == '\\' {
            letters.next();
        } else if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return at + letter.len_utf8();
        }
    }
    rest.len()
}

fn dollar_quoted(rest: &str) -> Option<usize> {
    let tag_end = 1 + rest[1..].find(|c: char| !word_letter(c))?;
    let tag_starts_well = !rest[1..].starts_with(|c: char| c.is_ascii_digit());
    if !rest[tag_end..].starts_with('$') || !tag_starts_well {
        return None;
    }
    let tag = &rest[..=tag_end];
    Some(rest[tag.len()..].find(tag).map_or(rest.len(), |at| at + 2 * tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_comments_and_brackets_end_nothing() {
        let text = "-- a; b\nselect ';' , \"x;\"\"y\", $$;$$, $t$ $$;$$ $t$, E'\\';', 'a\\';\n/* ; /* ; */ ; */ insert into t values (1 /* ; */);;\n\
                    create rule r as on insert to t do (select 1; select 2); select $1;";
        assert_eq!(
            split(text),
            [
                "select ';' , \"x;\"\"y\", $$;$$, $t$ $$;$$ $t$, E'\\';', 'a\\'",
                "insert into t values (1 /* ; */)",
                "create rule r as on insert to t do (select 1; select 2)",
                "select $1",
            ]
        );
    }

    #[test]
    fn the_body_of_an_sql_function_stays_whole() {
        let function =
            "create or replace function f(a int) returns int language sql begin atomic select case when a > 0 then 1 end; select 2; end";
        assert_eq!(split(&format!("{function}; select 3")), [function, "select 3"]);
        assert_eq!(split("begin; select 1; end; select 2"), ["begin", "select 1", "end", "select 2"]);
    }

    #[test]
    fn files_without_statements_have_none() {
        assert!(split("").is_empty());
        assert!(split(" ;; -- only words\n /* nothing */ ").is_empty());
    }

    #[test]
    fn unfinished_quotes_reach_to_the_end() {
        assert_eq!(split("select 'a; b"), ["select 'a; b"]);
        assert_eq!(split("select $x$ a; b $$"), ["select $x$ a; b $$"]);
        assert_eq!(split("select 1 /* ; "), ["select 1"]);
    }

    #[test]
    fn pieces_are_the_whole_text() {
        for text in ["é'ü;", "$", "e'", "a$b$;c", "\"", "/*/", "--", "E", "$1$;$1$", "naïve$x"] {
            assert_eq!(pieces(text).iter().map(|(_, start, end)| &text[*start..*end]).collect::<String>(), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_without_loss(text in "[ae1 ;'\"$()/*\\\\é\n-]{0,40}") {
            let whole: String = pieces(&text).iter().map(|(_, start, end)| &text[*start..*end]).collect();
            proptest::prop_assert_eq!(&whole, &text);
            // What is left out between statements is blanks, comments and semicolons: cutting again finds the same.
            let statements = split(&text);
            proptest::prop_assert!(statements.iter().all(|statement| text.contains(statement) && !statement.is_empty()));
        }
    }

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
    fn a_build_says_its_index_and_table() {
        let build = |index: &str, table: &str| Some(ConcurrentBuild { index: index.into(), table: table.into() });
        assert_eq!(concurrent_build("create index concurrently if not exists Idx on only public.\"T\" (a)"), build("idx", "public.\"T\""));
        assert_eq!(concurrent_build("CREATE UNIQUE INDEX CONCURRENTLY \"a\"\"\" ON t USING btree (x)"), build("a\"", "t"));
        assert_eq!(concurrent_build("create index concurrently on t (a)"), None);
        assert_eq!(concurrent_build("create index i on t (a)"), None);
        assert_eq!(concurrent_build("create index concurrently i"), None);
    }
}
