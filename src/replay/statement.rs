//! What a statement's text says about running it.

use std::ops::ControlFlow;

use sqlparser::ast::{Query, Statement, Visit, Visitor};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

/// What the text of one statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whether a read-only transaction would refuse it: it changes rows or locks them.
    pub writes: bool,
    /// How many parameters it has: the highest `$n`.
    pub parameters: usize,
}

/// Reads a statement's text.
///
/// # Errors
/// When it is no statement, or more than one.
pub fn facts(sql: &str) -> Result<Facts, String> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize().map_err(|error| error.to_string())?;
    let meaningful = |token: &&Token| !matches!(token, Token::Whitespace(_));
    if !tokens.iter().filter(meaningful).any(|token| *token != Token::SemiColon) {
        return Err("expected a statement, found none".to_owned());
    }
    let after_first = tokens.iter().filter(meaningful).skip_while(|token| **token != Token::SemiColon);
    if after_first.into_iter().any(|token| *token != Token::SemiColon) {
        return Err("expected one statement, found several: give each its own entry".to_owned());
    }
    let number = |token: &Token| match token {
        Token::Placeholder(name) => name.strip_prefix('$')?.parse::<usize>().ok(),
        _ => None,
    };
    let parameters = tokens.iter().filter_map(number).max().unwrap_or(0);
    let writes = match Parser::parse_sql(&dialect, sql) {
        Ok(statements) => {
            let mut finder = Finder { writes: false };
            let _ = statements.visit(&mut finder);
            finder.writes
        }
        // Newer or odd syntax: the words decide, and they err towards a write.
        Err(_) => tokens.iter().any(|token| matches!(token, Token::Word(word) if word.quote_style.is_none() && is_writing(word.keyword))),
    };
    Ok(Facts { writes, parameters })
}

fn is_writing(keyword: Keyword) -> bool {
    matches!(keyword, Keyword::INSERT | Keyword::UPDATE | Keyword::DELETE | Keyword::MERGE | Keyword::SHARE)
}

/// Looks for what changes or locks rows, at any depth: `with gone as (delete …) select …`.
struct Finder {
    writes: bool,
}

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.writes |= !query.locks.is_empty();
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.writes |=
            !matches!(statement, Statement::Query(_) | Statement::Explain { analyze: false, .. } | Statement::ShowVariable { .. });
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_or_locks_rows_is_a_write() {
        let writes = |sql| facts(sql).expect(sql).writes;
        for sql in [
            "insert into t values ($1)",
            "UPDATE t SET a = 1",
            "delete from t",
            "merge into t using s on t.id = s.id when matched then delete",
            "select * from t where id = $1 for update",
            "select * from t for no key update skip locked",
            "with gone as (delete from t returning id) select count(*) from gone",
            "select * from (select * from t for share) x",
            "truncate t",
        ] {
            assert!(writes(sql), "{sql}");
        }
        for sql in
            ["select * from t where \"update\" = 'delete'", "with x as (select 1) select * from x -- insert", "values (1)", "select 1;"]
        {
            assert!(!writes(sql), "{sql}");
        }
    }

    #[test]
    fn syntax_the_parser_does_not_know_is_judged_by_its_words() {
        assert!(facts("insert into t values (1) frobnicate the returning").unwrap().writes);
        assert!(!facts("select frobnicate the of all from").unwrap().writes);
    }

    #[test]
    fn parameters_are_counted_by_their_highest_number() {
        let parameters = |sql| facts(sql).unwrap().parameters;
        assert_eq!(parameters("select $2, $1, $2, '$9' -- $8"), 2);
        assert_eq!(parameters("select 1"), 0);
    }

    #[test]
    fn nothing_and_several_statements_are_refused() {
        assert!(facts(" ; -- nothing").unwrap_err().contains("found none"));
        assert!(facts("select 1; select 2").unwrap_err().contains("found several"));
    }
}
