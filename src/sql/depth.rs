//! How deep a statement's tree would become, told from its tokens.
//!
//! The parser bounds its own recursion, but builds a chain of operators in a loop, as deep as it is long; everything
//! that walks or frees such a tree recurses.

use sqlparser::tokenizer::Token;

use super::word;

/// One level of brackets or `CASE`.
#[derive(Default, Clone, Copy)]
struct Level {
    /// Operators of the chain being read.
    chain: usize,
    /// `UNION`, `INTERSECT`, `EXCEPT`: they chain `SELECT`s.
    sets: usize,
    /// Joins whose condition has not come yet: `a JOIN b JOIN c ON … ON …` nests.
    joins: usize,
}

/// Levels that a join inside a join is worth: the parser takes much stack for one, and does not count it.
const JOIN: usize = 8;

/// Returns the most operators that can come to stand inside one another.
pub(super) fn depth(tokens: &[Token]) -> usize {
    // Of the levels around the innermost one only the sum matters.
    let mut outer: Vec<Level> = Vec::new();
    let mut outside = 0;
    let mut level = Level::default();
    let mut deepest = 0;
    for (at, token) in tokens.iter().enumerate() {
        let word = word(token).unwrap_or_default();
        let opens = matches!(token, Token::LParen | Token::LBracket) || word == "case";
        let closes = matches!(token, Token::RParen | Token::RBracket) || word == "end";
        if opens {
            outside += level.depth();
            outer.push(std::mem::take(&mut level));
        } else if closes {
            if let Some(around) = outer.pop() {
                outside -= around.depth();
                level = around;
            }
        } else if *token == Token::Comma || (ends_a_chain(&word) && at > 0 && is_operand(&tokens[at - 1])) {
            // What stands between commas, or before a clause, is a chain of its own.
            level.chain = 0;
        }
        match word.as_str() {
            "union" | "intersect" | "except" => level.sets += 1,
            "join" if !is_natural(&tokens[..at]) => level.joins += 1,
            "on" | "using" => level.joins = level.joins.saturating_sub(1),
            _ if deepens(token, &word) => level.chain += 1,
            _ => {}
        }
        deepest = deepest.max(outside + level.depth());
    }
    deepest
}

impl Level {
    fn depth(self) -> usize {
        1 + self.chain + self.sets + self.joins * JOIN
    }
}

/// Returns whether the words before `JOIN` make it one the parser reads without looking for others inside it.
fn is_natural(before: &[Token]) -> bool {
    let kind = |word: &String| matches!(word.as_str(), "left" | "right" | "full" | "inner" | "outer");
    let mut words = before.iter().rev().map_while(word);
    // After another JOIN it is a table of that name, and the joins nest.
    words.find(|word| !kind(word)).is_some_and(|word| word == "natural") && words.next().is_none_or(|word| word != "join" && word != "from")
}

/// Returns whether a word begins a clause, or an arm of `CASE`.
fn ends_a_chain(word: &str) -> bool {
    matches!(
        word,
        "from"
            | "where"
            | "having"
            | "on"
            | "limit"
            | "offset"
            | "union"
            | "then"
            | "else"
            | "when"
            | "group"
            | "order"
            | "returning"
            | "select"
    )
}

/// Returns whether an infix operator could not have stood before: then the word after it ends the chain for certain.
fn is_operand(token: &Token) -> bool {
    const NOT_OPERANDS: &[&str] =
        &["distinct", "not", "in", "is", "like", "ilike", "and", "or", "between", "collate", "zone", "time", "at"];
    match token {
        Token::RParen | Token::RBracket | Token::Placeholder(_) | Token::Number(..) | Token::SingleQuotedString(_) => true,
        Token::Word(_) => word(token).is_none_or(|word| !NOT_OPERANDS.contains(&word.as_str())),
        _ => false,
    }
}

/// Returns whether a token can add a level: operators, and words that act as one.
fn deepens(token: &Token, word: &str) -> bool {
    const ACTING: &[&str] = &["and", "at", "between", "collate", "ilike", "in", "is", "isnull", "like", "not", "notnull", "or", "similar"];
    match token {
        Token::Word(_) => ACTING.contains(&word),
        Token::Comma | Token::Period | Token::LParen | Token::RParen | Token::RBracket | Token::Placeholder(_) | Token::Number(..) => false,
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_) => false,
        _ => true,
    }
}
