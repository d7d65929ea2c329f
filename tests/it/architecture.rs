//! Holds the code to docs/architecture.md: which module may use which, and what only some modules may do.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may read; itself always. The table of docs/architecture.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("diff", &[]),
    ("catalog", &["units", "diff"]),
    ("sql", &[]),
    ("findings", &["units", "diff", "catalog", "sql"]),
    ("advisor", &["units", "diff", "catalog", "sql", "findings"]),
    ("migration", &["units", "diff", "catalog", "sql", "findings", "advisor"]),
    ("stats", &["units", "diff"]),
    ("load", &["units", "diff", "stats"]),
    ("replay", &["units", "diff", "catalog", "sql", "stats", "load"]),
    ("profile", &["units", "diff", "catalog", "sql", "stats"]),
    ("report", &["units", "diff", "catalog", "findings", "advisor", "migration", "replay", "stats", "profile"]),
    ("pg", &["units", "diff", "catalog", "sql", "findings", "advisor", "migration", "replay", "load", "stats", "profile"]),
    ("staging", &["pg"]),
    (
        "cli",
        &[
            "units",
            "diff",
            "catalog",
            "sql",
            "findings",
            "advisor",
            "migration",
            "replay",
            "load",
            "stats",
            "profile",
            "report",
            "pg",
            "staging",
        ],
    ),
    // The crate's root: lib.rs reads nothing, main.rs names the crate.
    ("lib", &[]),
    ("main", &[]),
];

/// Text that only the named modules may hold, and why.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("tokio_postgres", &["pg", "staging"], "only pg and staging talk to Postgres"),
    ("println!", &["cli"], "only cli prints"),
    ("eprintln!", &["cli"], "only cli prints"),
    ("print!", &["cli"], "only cli prints"),
    ("eprint!", &["cli"], "only cli prints"),
    ("process::exit", &["cli"], "only cli exits"),
    ("std::env", &["cli"], "only cli reads the environment"),
    ("env::var", &["cli"], "only cli reads the environment"),
    ("process::Command", &["cli", "pg"], "only cli and pg start programs"),
];

#[test]
fn the_code_follows_the_arrows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(files.len() > 50, "only {} files found under {}", files.len(), root.display());
    let mut found = String::new();
    for path in files {
        let name = path.strip_prefix(&root).expect("a file below src").display().to_string();
        // A child module kept in a file of its own for its tests' sake is test code.
        if name.ends_with("_tests.rs") || name.ends_with("/tests.rs") {
            continue;
        }
        for (line, rule) in offences(&name, &fs::read_to_string(&path).expect("a readable file")) {
            let _ = writeln!(found, "src/{name}:{line}: {rule}");
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

/// Audits leave out what pgload itself sent, and know it by this mark. Before the first word it would be lost: from 18 on
/// the server records no comment there.
#[test]
fn every_query_file_has_the_mark_behind_its_first_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pg/queries");
    let files: Vec<_> = std::fs::read_dir(folder).expect("the queries").map(|entry| entry.expect("an entry").path()).collect();
    assert!(files.len() > 30);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        let code: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
        assert!(pgload::catalog::statement::is_own_text(&code.join("\n")), "{}", file.display());
    }
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Returns the line and the broken rule of each offence in a file, named from src/.
fn offences(name: &str, text: &str) -> Vec<(usize, String)> {
    let module = name.split(['/', '.']).next().unwrap_or_default();
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == module) else {
        return vec![(1, format!("module {module} has no row in the table of arrows"))];
    };
    let code = code_only(text);
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let line = |at: usize| 1 + code[..at].matches('\n').count();
    let mut found = Vec::new();
    for (at, target) in crate_paths(code) {
        // Items of the crate's root have no module; there are none, so an unknown name is a new module.
        if target != module && !allowed.contains(&target.as_str()) {
            found.push((line(at), format!("{module} must not read {target}")));
        }
    }
    for (word, owners, rule) in RESERVED {
        if !owners.contains(&module) {
            found.extend(words(code, word).map(|at| (line(at), format!("{word} in {module}: {rule}"))));
        }
    }
    found.sort();
    found
}

/// Returns where `word` stands as a whole word: `eprintln!` does not hold `println!`.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| !code[..*at].ends_with(part) && (!word.ends_with(part) || !code[at + word.len()..].starts_with(part)))
}

/// Returns place and name of each module reached through `crate::`, also through groups: `crate::{a, b::c}`.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, "crate") {
        let Some(rest) = code[at + "crate".len()..].trim_start().strip_prefix("::") else { continue };
        let rest = rest.trim_start();
        let Some(group) = rest.strip_prefix('{') else {
            found.push((at, first_name(rest)));
            continue;
        };
        // The heads of the group: what follows its brace or a comma, one level deep.
        let (mut depth, mut head) = (1usize, true);
        for (offset, sign) in group.char_indices() {
            match sign {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => head = true,
                sign if head && !sign.is_whitespace() => {
                    // Both end at the file's end, so the difference in length is where the group begins.
                    found.push((code.len() - group.len() + offset, first_name(&group[offset..])));
                    head = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Returns the text with comments and the insides of literals blanked, every line break kept.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest, '"'),
            'r' | 'b' | 'c' if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw_string(rest).unwrap_or(0),
            // A lifetime is no literal: 'a' and '\n' are, 'a is not.
            '\'' if rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'') => quoted(rest, '\''),
            _ => 0,
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skipped..];
        }
    }
    code
}

/// Comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#`, `br"…"`; `None` when none begins here.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let prefix = text.len() - body.len();
    Some(body.find(&end).map_or(text.len(), |at| prefix + at + end.len()))
}

fn rules(name: &str, text: &str) -> Vec<String> {
    offences(name, text).into_iter().map(|(line, rule)| format!("{line}: {rule}")).collect()
}

#[test]
fn an_arrow_that_is_not_in_the_table_is_found_however_it_is_written() {
    assert_eq!(rules("catalog/mod.rs", "\nuse crate::findings::Finding;\n"), ["2: catalog must not read findings"]);
    let group = "use crate::{\n    units,\n    pg::{self, connect, cli},\n    report,\n};\n";
    assert_eq!(rules("stats/a.rs", group), ["3: stats must not read pg", "4: stats must not read report"]);
    assert_eq!(
        rules("advisor/a.rs", "fn f() -> crate :: pg::X { crate::cli::g() }"),
        ["1: advisor must not read cli", "1: advisor must not read pg"]
    );
    assert_eq!(rules("units.rs", "use crate::newcomer::X;"), ["1: units must not read newcomer"]);
    assert_eq!(rules("newcomer/mod.rs", "").len(), 1);
    assert!(rules("advisor/a.rs", "use crate::{catalog, findings::{pg}};\npub(crate) fn f() {}\n").is_empty());
}

#[test]
fn what_is_reserved_to_some_modules_is_found_elsewhere() {
    assert_eq!(rules("replay/a.rs", "use tokio_postgres::Client;"), ["1: tokio_postgres in replay: only pg and staging talk to Postgres"]);
    assert_eq!(rules("pg/a.rs", "\n\nfn f() { eprintln!(\"x\") }"), ["3: eprintln! in pg: only cli prints"]);
    assert_eq!(rules("load/a.rs", "std::process::exit(1)"), ["1: process::exit in load: only cli exits"]);
    assert_eq!(rules("pg/a.rs", "let a = std::env::var(\"A\");").len(), 2, "by std::env and by env::var");
    assert!(rules("cli/a.rs", "println!(); std::process::exit(crate::pg::f())").is_empty());
}

#[test]
fn comments_literals_and_tests_are_no_code() {
    let text = "// crate::cli\n/* crate::cli /* nested */ crate::pg */\nconst A: &str = \"crate::cli \\\" println!\";\n\
                const B: &str = r#\"crate::cli \" println!\"#;\nfn f<'a>(c: char) -> &'a str { if c == '\"' { A } else { B } }\n\
                use crate::report;\n#[cfg(test)]\nmod tests { use crate::cli; }\n";
    assert_eq!(rules("catalog/a.rs", text), ["6: catalog must not read report"]);
}
