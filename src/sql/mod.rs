//! From recorded text to a syntax tree: what is no workload, what wraps a query, what `pg_stat_statements` spoiled.

mod depth;
pub(crate) mod pieces;
pub(crate) mod split;
pub(crate) mod wrapped;

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace, Word};

/// The most operators that may stand inside one another.
///
/// Everything that walks or frees a tree recurses; 400 levels fit a thread's 2 MiB stack several times over.
const DEPTH_MAX: usize = 400;

/// The most constants of a list that are read: the planner's answer is the same for more.
const LIST_MAX: usize = 1000;

/// Values a list of unknown length is taken for, as the planner takes an array.
const LIST_UNKNOWN: usize = 10;

/// The most rows of `VALUES` that are read, once a statement is long.
const ROWS_MAX: usize = 100;

/// Tokens from which a statement is long.
const LONG: usize = 20_000;

/// First words of statements that no index serves: transactions, settings, definitions, maintenance.
#[rustfmt::skip]
const UTILITY: &[&str] = &[
    "abort", "alter", "analyse", "analyze", "begin", "call", "checkpoint", "close", "cluster", "comment", "commit",
    "copy", "create", "deallocate", "discard", "do", "drop", "end", "execute", "fetch", "grant", "import", "listen",
    "load", "lock", "move", "notify", "reassign", "refresh", "reindex", "release", "reset", "revoke", "rollback",
    "savepoint", "security", "set", "show", "start", "truncate", "unlisten", "vacuum",
];

/// First words of statements that read or write rows.
const QUERY_WORDS: &[&str] = &["select", "with", "insert", "update", "delete", "values", "merge", "table"];

/// What a text turned out to be.
pub(crate) enum Parsed {
    /// A statement that reads or writes rows.
    Statement(Box<ast::Statement>),
    /// Nothing an index could serve.
    Utility,
    /// Not understood, and why.
    Unreadable(String),
}

/// Parses one recorded text, repairing what normalisation made unparsable.
pub(crate) fn parse(text: &str) -> Parsed {
    let tokens = match tokens(text) {
        Ok(tokens) => tokens,
        Err(reason) => return Parsed::Unreadable(reason),
    };
    let Some(tokens) = unwrapped(tokens) else { return Parsed::Utility };
    let tokens = shortened(tokens);
    if depth::depth(&tokens) > DEPTH_MAX {
        return Parsed::Unreadable(format!("more than {DEPTH_MAX} operators inside one another"));
    }
    match statement(tokens.clone()) {
        Ok(statement) => Parsed::Statement(statement),
        Err(reason) => statement(repaired(&tokens)).map_or(Parsed::Unreadable(reason), Parsed::Statement),
    }
}

/// Returns the text with parameters unnumbered and lists of them collapsed: equal for statements that differ only in
/// the length of an `IN` list or the number of rows inserted.
pub(crate) fn fingerprint(text: &str) -> String {
    let Ok(tokens) = tokens(text) else { return text.to_owned() };
    let mut print: Vec<String> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    let mut after_parameter = false;
    while let Some(token) = tokens.next() {
        if after_parameter && token == Token::Comma && matches!(tokens.peek(), Some(Token::Placeholder(_))) {
            tokens.next();
            continue;
        }
        after_parameter = matches!(token, Token::Placeholder(_));
        print.push(match token {
            Token::Placeholder(_) => "$".to_owned(),
            Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
            other => other.to_string(),
        });
        // A row of parameters after a row of parameters.
        let row = ["(", "$", ")", ",", "(", "$", ")"];
        if print.len() >= row.len() && print[print.len() - row.len()..].iter().eq(row.iter()) {
            print.truncate(print.len() - 4);
        }
    }
    print.join(" ")
}

/// Returns a text's tokens without white space and comments; `None` when it has none of SQL's.
pub(crate) fn tokens_of(text: &str) -> Option<Vec<Token>> {
    tokens(text).ok()
}

/// Parses tokens that are one expression; `None` when they are more or less than that.
pub(crate) fn expression(tokens: Vec<Token>) -> Option<ast::Expr> {
    if depth::depth(&tokens) > DEPTH_MAX {
        return None;
    }
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens(tokens);
    let expr = parser.parse_expr().ok()?;
    (parser.peek_token().token == Token::EOF).then_some(expr)
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().map_err(|error| format!("not understood: {error}"))?;
    let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        match (&token, kept.last()) {
            // `IN ($1 /*, ... */)`: from 18 on, a list of whatever length is printed so.
            (Token::Whitespace(Whitespace::MultiLineComment(text)), Some(first @ Token::Placeholder(_))) if text.trim() == ", ..." => {
                let first = first.clone();
                kept.extend((1..LIST_UNKNOWN).flat_map(|_| [Token::Comma, first.clone()]));
            }
            (Token::Whitespace(_) | Token::SemiColon | Token::EOF, _) => {}
            _ => kept.push(token),
        }
    }
    Ok(kept)
}

/// Returns the query a statement is or wraps; `None` for utility statements.
fn unwrapped(tokens: Vec<Token>) -> Option<Vec<Token>> {
    let begins_query = |token: &Token| word(token).is_some_and(|word| QUERY_WORDS.contains(&word.as_str()));
    let first = tokens.first().and_then(word).unwrap_or_default();
    match first.as_str() {
        // Past FOR, since `WITH HOLD` comes before it.
        "declare" => {
            let start = at_top_level(&tokens, |token| word(token).is_some_and(|word| word == "for"))? + 1;
            Some(tokens[start..].to_vec())
        }
        // `PREPARE TRANSACTION 'x'` has no query.
        "prepare" | "explain" => {
            let start = at_top_level(&tokens, begins_query)?;
            Some(tokens[start..].to_vec())
        }
        "copy" if tokens.get(1) == Some(&Token::LParen) => {
            let end = closing(&tokens, 1)?;
            Some(tokens[2..end].to_vec())
        }
        "create" => {
            let named_as_table = tokens.iter().take(6).filter_map(word).any(|word| word == "table" || word == "materialized");
            let start = at_top_level(&tokens, |token| word(token).is_some_and(|word| word == "as"))? + 1;
            (named_as_table && tokens.get(start).is_some_and(|token| begins_query(token) || *token == Token::LParen))
                .then(|| tokens[start..].to_vec())
        }
        // Nothing at all, or only a comment (some pools' pings).
        "" if tokens.is_empty() => None,
        utility if UTILITY.binary_search(&utility).is_ok() => None,
        _ => Some(tokens),
    }
}

/// Returns the first token outside parentheses that is wanted.
fn at_top_level(tokens: &[Token], wanted: impl Fn(&Token) -> bool) -> Option<usize> {
    let mut depth = 0i32;
    tokens.iter().position(|token| {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0 && wanted(token)
    })
}

/// Returns the parenthesis that closes the one at `open`.
pub(crate) fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0i32;
    (open..tokens.len()).find(|&at| {
        match tokens[at] {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// Returns an unquoted word in lower case.
fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(Word { value, quote_style: None, .. }) => Some(value.to_lowercase()),
        _ => None,
    }
}

/// Leaves out what of long lists changes no plan: constants beyond a thousand, and rows of `VALUES` beyond a hundred.
fn shortened(tokens: Vec<Token>) -> Vec<Token> {
    let long = tokens.len() > LONG;
    if tokens.len() <= LIST_MAX {
        return tokens;
    }
    let mut output = Vec::with_capacity(tokens.len().min(LONG));
    let mut at = 0;
    while at < tokens.len() {
        let in_list = tokens[at] == Token::LParen && at > 0 && word(&tokens[at - 1]).is_some_and(|word| word == "in" || word == "values");
        if in_list && long && word(&tokens[at - 1]).is_some_and(|word| word == "values") {
            let (kept, end) = rows(&tokens, at);
            output.extend_from_slice(&tokens[at..kept]);
            at = end;
        } else if in_list && let Some(end) = closing(&tokens, at) {
            let list = &tokens[at + 1..end];
            let plain = |token: &Token| !matches!(token, Token::LParen | Token::RParen | Token::LBracket | Token::RBracket);
            let cut = if list.iter().all(plain) {
                list.iter().enumerate().filter(|(_, token)| **token == Token::Comma).nth(LIST_MAX - 1).map(|(at, _)| at)
            } else {
                None
            };
            output.push(Token::LParen);
            output.extend_from_slice(&list[..cut.unwrap_or(list.len())]);
            output.push(Token::RParen);
            at = end + 1;
        } else {
            output.push(tokens[at].clone());
            at += 1;
        }
    }
    output
}

/// Returns where the first hundred rows that begin at `open` end, and where all of them do.
fn rows(tokens: &[Token], open: usize) -> (usize, usize) {
    let mut end = open;
    let mut kept = open;
    let mut count = 0;
    let mut depth = 0i32;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Comma if depth == 0 => continue,
            _ if depth == 0 => break,
            _ => {}
        }
        if depth < 0 {
            break;
        }
        if depth == 0 {
            end = at + 1;
            count += 1;
            if count <= ROWS_MAX {
                kept = end;
            }
        }
    }
    if end == open { (tokens.len(), tokens.len()) } else { (kept, end) }
}

fn statement(tokens: Vec<Token>) -> Result<Box<ast::Statement>, String> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens(tokens);
    let statement = parser.parse_statement().map_err(|error| format!("not understood: {error}"))?;
    match parser.peek_token().token {
        Token::EOF => Ok(Box::new(statement)),
        rest => Err(format!("not understood: unexpected {rest}")),
    }
}

/// Rewrites what normalisation made ungrammatical: `interval $1` to `$1::interval`, `extract($1 from x)` to
/// `date_part($1, x)`; and what the parser does not know everywhere: drops `ONLY`, spells `OPERATOR(pg_catalog.=)` as `=`.
fn repaired(tokens: &[Token]) -> Vec<Token> {
    const TYPES: &[&str] = &["date", "interval", "time", "timestamp", "timestamptz", "timetz"];
    const UNITS: &[&str] = &["day", "hour", "minute", "month", "second", "year"];
    let mut output = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let name = word(token).unwrap_or_default();
        let parameter_at = if TYPES.contains(&name.as_str()) { parameter_of_type(tokens, at + 1) } else { None };
        if let Some(parameter) = parameter_at {
            output.extend([tokens[parameter].clone(), Token::DoubleColon, token.clone()]);
            at = parameter + 1;
            let is_unit = |at: usize| tokens.get(at).and_then(word).is_some_and(|word| UNITS.contains(&word.as_str()));
            if name == "interval" && is_unit(at) {
                at += 1;
                if tokens.get(at).and_then(word).is_some_and(|word| word == "to") && is_unit(at + 1) {
                    at += 2;
                }
            }
        } else if name == "extract"
            && let [Token::LParen, field @ Token::Placeholder(_), from, ..] = &tokens[at + 1..]
            && word(from).is_some_and(|word| word == "from")
        {
            output.extend([Token::make_word("date_part", None), Token::LParen, field.clone(), Token::Comma]);
            at += 4;
        } else if name == "operator"
            && let [Token::LParen, Token::Word(_), Token::Period, operator, Token::RParen, ..] = &tokens[at + 1..]
        {
            output.push(operator.clone());
            at += 6;
        } else {
            // `FOR KEY SHARE` and `FOR NO KEY UPDATE` lock less than the forms known; what is read stays the same.
            let follows = |text: &str, at: usize| tokens.get(at).and_then(word).is_some_and(|word| word == text);
            if name == "for" && (follows("key", at + 1) || (follows("no", at + 1) && follows("key", at + 2))) {
                at += if follows("no", at + 1) { 2 } else { 1 };
            }
            // `OVERRIDING SYSTEM VALUE` decides who numbers the rows inserted.
            if name == "overriding" && follows("value", at + 2) {
                at += 3;
                continue;
            }
            // `ONLY` stands before a table's name and nowhere else; `BETWEEN SYMMETRIC` differs in the order of its ends alone.
            let symmetric = name == "symmetric" && at > 0 && follows("between", at - 1);
            if name != "only" && !symmetric {
                output.push(token.clone());
            }
            at += 1;
        }
    }
    output
}

/// Returns where the parameter of `type $n` stands, past `WITH TIME ZONE`.
fn parameter_of_type(tokens: &[Token], mut at: usize) -> Option<usize> {
    if tokens.get(at).and_then(word).is_some_and(|word| word == "with" || word == "without") {
        at += 3;
    }
    matches!(tokens.get(at), Some(Token::Placeholder(_))).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parses(text: &str) -> bool {
        matches!(parse(text), Parsed::Statement(_))
    }

    #[test]
    fn word_lists_are_sorted_for_the_search() {
        assert!(UTILITY.is_sorted());
    }

    #[test]
    fn utility_statements_are_no_workload() {
        for text in [
            "BEGIN",
            "commit",
            "SET a = $1",
            "/* ping */",
            "",
            ";",
            "create index on t (a)",
            "vacuum t",
            "copy t from stdin",
            "DEALLOCATE ALL",
            "PREPARE TRANSACTION 'x'",
            "create view v as select 1",
            "refresh materialized view m",
        ] {
            assert!(matches!(parse(text), Parsed::Utility), "{text}");
        }
    }

    #[test]
    fn wrapped_queries_are_unwrapped() {
        for text in [
            "declare c no scroll cursor with hold for select * from t",
            "prepare p (int) as select * from t where a = $1",
            "explain (analyze, format json) select * from t",
            "copy (select * from t where a = $1) to stdout",
            "create temp table x as select * from t",
            "create materialized view m as (select * from t)",
        ] {
            assert!(parses(text), "{text}");
        }
    }

    #[test]
    fn what_normalisation_spoiled_is_repaired() {
        let texts = [
            "select * from t where a > now() - interval $1",
            "select * from t where a > now() - interval $1 day",
            "select * from t where a = date $1",
            "select * from t where a >= timestamp with time zone $1",
            "select extract($1 from a) from t",
            "select * from t where a in ($1 /*, ... */)",
            "SELECT $2 FROM ONLY \"public\".\"t\" x WHERE \"id\" OPERATOR(pg_catalog.=) $1 FOR KEY SHARE OF x",
            "DELETE FROM ONLY \"public\".\"t\" WHERE $1 OPERATOR(pg_catalog.=) \"id\"",
            "select * from t limit $1 offset $2",
            "select * from t limit all offset $1 rows fetch first $2 rows only",
            "select * from t order by a fetch first row only",
            "select * from t for no key update of t skip locked",
            "select * from t where a operator(pg_catalog.=) any ($1)",
            "select * from t where substring(a from $1 for $2) = $3 and position($4 in a) > $5",
            "select * from t where a at time zone $1 > $2 and a is not distinct from $3 and b collate \"C\" > $4",
            "select array(select a from t), t.tags[1], (t).a from t where tags[$1] = $2",
            "select * from t where row(a, b) > row($1, $2) and a similar to $3 and a !~~* $4",
            "select count(*) filter (where a = $1), percentile_cont($2) within group (order by b) from t group by grouping sets ((a), ())",
            "select * from t cross join lateral jsonb_array_elements(t.doc -> $1) with ordinality as e(v, n)",
            "select * from t where doc @> $1 and doc ? $2 and doc ?| $3 and doc ?& $4 and doc @? $5 and doc @@ $6 and doc #>> $7 = $8",
            "select * from t where a between symmetric $1 and $2 and exists (select $3 from u)",
            "insert into t (a) values ($1) on conflict on constraint t_pkey do update set a = excluded.a where t.a < excluded.a returning *",
            "insert into t default values",
            "insert into t as x (a) overriding system value select $1",
            "update t set (a, b) = (select c, d from u where u.id = t.id) where a = $1",
            "merge into t using u on t.id = u.id when matched and u.a > $1 then update set a = u.a when not matched then insert (id) values (u.id)",
            "select rank() over w from t window w as (partition by a order by b desc)",
            "select * from t tablesample system ($1)",
            "select * from only t, f($1) as x",
            "with recursive r(a) as (select a from t where a = $1 union all select t.a from t join r on r.a = t.b) select * from r",
            "select * from t where a = $1 and b <% $2 and c % $3 order by d <-> $4 limit $5",
            "select * from t where (a, b) overlaps ($1, $2)",
            "select cast($1 as interval), $2::numeric(10, 2), a::timestamp with time zone from t",
        ];
        let refused: Vec<String> = texts
            .into_iter()
            .filter_map(|text| match parse(text) {
                Parsed::Statement(_) => None,
                Parsed::Unreadable(reason) => Some(format!("{text}: {reason}")),
                Parsed::Utility => Some(format!("{text}: utility")),
            })
            .collect();
        assert!(refused.is_empty(), "\n{}", refused.join("\n"));
    }

    #[test]
    fn broken_text_is_refused_with_a_reason() {
        for text in ["select * from", "select 'open", "select )", "this is not sql", "select * from t where a = $1 garbage here )"] {
            assert!(matches!(parse(text), Parsed::Unreadable(ref reason) if !reason.is_empty()), "{text}");
        }
    }

    #[test]
    fn endless_chains_are_refused_before_they_are_walked() {
        let chain = format!("select * from t where a = 1{}", " or a = 1".repeat(100_000));
        assert!(matches!(parse(&chain), Parsed::Unreadable(_)));
        assert!(matches!(parse(&format!("select {}1", "(".repeat(10_000))), Parsed::Unreadable(_)));
        assert!(matches!(parse(&format!("select {}1", "not ".repeat(10_000))), Parsed::Unreadable(_)));
    }

    #[test]
    fn long_statements_that_are_flat_are_read() {
        let list = |items: usize| (0..items).map(|item| format!("'{item:09}'")).collect::<Vec<_>>().join(", ");
        let numbers = |items: usize| (0..items).map(|item| format!("-{item}")).collect::<Vec<_>>().join(", ");
        let rows = |rows: usize| (0..rows).map(|row| format!("({row}::bigint, 'x'::text)")).collect::<Vec<_>>().join(", ");
        let arms = |arms: usize| (0..arms).map(|arm| format!("when a = {arm} then b + {arm}")).collect::<Vec<_>>().join(" ");
        let columns = |columns: usize| (0..columns).map(|column| format!("a + {column} as c{column}")).collect::<Vec<_>>().join(", ");
        for text in [
            format!("select * from t where a in ({}) and b = $1", list(10_000)),
            format!("select * from t where a in ({})", numbers(20_000)),
            format!("insert into t (a, b) values {} on conflict do nothing", rows(5_000)),
            format!("insert into t (a, b) values {}", rows(300)),
            format!("select case {} end from t", arms(300)),
            format!("select {} from t where a = 1", columns(600)),
        ] {
            let started = std::time::Instant::now();
            assert!(parses(&text), "{}", &text[..80]);
            assert!(started.elapsed() < std::time::Duration::from_secs(1), "{:?}: {}", started.elapsed(), &text[..80]);
        }
    }

    #[test]
    fn a_word_for_a_clause_hides_no_chain() {
        for chain in
            ["+ from ", "+ a where ", "is distinct from a ", "+ case when a then a end ", "+ a then ", "* from ", "at time zone a "]
        {
            let text = format!("select a {}", chain.repeat(20_000));
            assert!(matches!(parse(&text), Parsed::Unreadable(_)), "{chain}");
        }
    }

    #[test]
    fn lists_of_any_length_have_one_fingerprint() {
        assert_eq!(fingerprint("select a from t where a in ($1 /*, ... */)"), fingerprint("select a from t where a in ($1, $2)"));
        assert_eq!(fingerprint("insert into t values ($1, $2), ($3, $4)"), fingerprint("insert into t values ($1, $2)"));
        assert_eq!(fingerprint("SELECT * FROM t WHERE a IN ($1, $2, $3)"), fingerprint("select * from t where a in ($1)"));
        assert_ne!(fingerprint("select * from t where a = $1 and b in ($2, $3)"), fingerprint("select * from t where b in ($2, $3)"));
    }
}
