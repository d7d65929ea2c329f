//! From recorded text to a syntax tree: what is no workload, what wraps a query, what `pg_stat_statements` spoiled.

pub(crate) mod pieces;
pub(crate) mod split;

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

/// The most operators a statement may have.
///
/// The parser builds a chain of operators as deep as it is long, and everything that walks or frees such a tree
/// recurses; 400 levels fit a thread's 2 MiB stack several times over.
const OPERATORS_MAX: usize = 400;

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
    if operators(&tokens) > OPERATORS_MAX {
        return Parsed::Unreadable(format!("more than {OPERATORS_MAX} operators"));
    }
    match statement(tokens.clone()) {
        Ok(statement) => Parsed::Statement(statement),
        Err(reason) => statement(repaired(&tokens)).map_or(Parsed::Unreadable(reason), Parsed::Statement),
    }
}

/// Returns the text with parameters unnumbered and lists of them collapsed: equal for statements that differ only in
/// the length of an `IN` list.
pub(crate) fn fingerprint(text: &str) -> String {
    let Ok(tokens) = tokens(text) else { return text.to_owned() };
    let mut print = String::with_capacity(text.len());
    let mut tokens = tokens.into_iter().peekable();
    let mut after_parameter = false;
    while let Some(token) = tokens.next() {
        if after_parameter && token == Token::Comma && matches!(tokens.peek(), Some(Token::Placeholder(_))) {
            tokens.next();
            continue;
        }
        after_parameter = matches!(token, Token::Placeholder(_));
        match token {
            Token::Placeholder(_) => print.push('$'),
            Token::Word(word) if word.quote_style.is_none() => print.push_str(&word.value.to_lowercase()),
            other => print.push_str(&other.to_string()),
        }
        print.push(' ');
    }
    print
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().map_err(|error| format!("not understood: {error}"))?;
    Ok(tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_) | Token::SemiColon | Token::EOF)).collect())
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
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
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

/// Counts the tokens that can deepen the tree: operators, and words that act as one.
fn operators(tokens: &[Token]) -> usize {
    const ACTING: &[&str] = &["and", "at", "between", "collate", "except", "ilike", "in", "intersect", "is", "like", "not", "or", "union"];
    let deepens = |token: &&Token| match token {
        Token::Word(_) => word(token).is_some_and(|word| ACTING.binary_search(&word.as_str()).is_ok()),
        Token::Comma | Token::Period | Token::LParen | Token::RParen | Token::Placeholder(_) | Token::Number(..) => false,
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_) => false,
        _ => true,
    };
    tokens.iter().filter(deepens).count()
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
            // `ONLY` stands before a table's name and nowhere else.
            if name != "only" {
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
        for text in [
            "select * from t where a > now() - interval $1",
            "select * from t where a > now() - interval $1 day",
            "select * from t where a = date $1",
            "select * from t where a >= timestamp with time zone $1",
            "select extract($1 from a) from t",
            "select * from t where a in ($1 /*, ... */)",
            "SELECT $2 FROM ONLY \"public\".\"t\" x WHERE \"id\" OPERATOR(pg_catalog.=) $1 FOR KEY SHARE OF x",
            "DELETE FROM ONLY \"public\".\"t\" WHERE $1 OPERATOR(pg_catalog.=) \"id\"",
            "select * from t limit $1 offset $2",
        ] {
            match parse(text) {
                Parsed::Unreadable(reason) => panic!("{text}: {reason}"),
                Parsed::Utility => panic!("{text}: utility"),
                Parsed::Statement(_) => {}
            }
        }
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
    fn lists_of_any_length_have_one_fingerprint() {
        assert_eq!(fingerprint("SELECT * FROM t WHERE a IN ($1, $2, $3)"), fingerprint("select * from t where a in ($1)"));
        assert_ne!(fingerprint("select * from t where a = $1 and b in ($2, $3)"), fingerprint("select * from t where b in ($2, $3)"));
    }
}
