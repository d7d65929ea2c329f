//! The texts inside a plan, made SQL again: conditions, sort keys, output.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlparser::tokenizer::{Token, Word};

use super::{Said, whole};
use crate::advisor::query::names::Names;
use crate::sql;

/// What stands for a value that another part of the plan computes; no statement has a parameter of this number.
const COMPUTED: &str = "$0";

/// How a plan spells what its statement spells otherwise.
#[derive(Debug, Default)]
pub(super) struct Spelling {
    /// `$n` that are results of other parts of the plan (up to 16).
    computed: BTreeSet<String>,
    /// What partitions are called, and what the whole is called.
    aliases: BTreeMap<String, String>,
}

impl Spelling {
    /// Learns from one node of the plan.
    pub(super) fn learn(&mut self, node: &Value, said: &Said, names: &Names<'_>) {
        // `InitPlan 1 (returns $0,$1)`.
        if let Some((_, returned)) = node["Subplan Name"].as_str().and_then(|name| name.split_once("(returns ")) {
            self.computed.extend(returned.trim_end_matches(')').split(',').map(|name| name.trim().to_owned()));
        }
        let (Some(alias), Some((name, Some(_)))) = (node["Alias"].as_str(), whole(names, said, node)) else { return };
        let base = alias.trim_end_matches(|digit: char| digit.is_ascii_digit());
        if node["Relation Name"].as_str() != Some(name.name.as_str())
            && let Some(base) = base.strip_suffix('_').filter(|base| !base.is_empty() && base.len() < alias.len())
        {
            self.aliases.insert(alias.to_owned(), base.to_owned());
        }
    }

    /// Returns the name a table's columns are qualified with.
    pub(super) fn alias<'s>(&'s self, alias: &'s str) -> &'s str {
        self.aliases.get(alias).map_or(alias, String::as_str)
    }

    /// Splits a condition at its `AND`s; the names in what is not understood go to `read`.
    pub(super) fn conjuncts(&self, text: &str, read: &mut Vec<String>) -> Vec<String> {
        let mut open: Vec<Vec<Token>> = self.tokens(text).into_iter().collect();
        let mut found = Vec::new();
        while let Some(tokens) = open.pop() {
            let bare = inside_brackets(&tokens);
            let parts = split_at_and(bare);
            if parts.len() > 1 {
                open.extend(parts.into_iter().rev().map(<[Token]>::to_vec));
            } else {
                found.extend(understood(bare.to_vec(), read));
            }
        }
        found
    }

    /// Returns one expression of an output or a key of a group; the names in what is not understood go to `read`.
    pub(super) fn item(&self, text: &str, read: &mut Vec<String>) -> Option<String> {
        understood(self.tokens(text)?, read)
    }

    /// Returns the keys of an order; none when one of them is not understood, since its order decides before the next.
    pub(super) fn keys(&self, texts: &Value, read: &mut Vec<String>) -> Vec<String> {
        let texts: Vec<&str> = texts.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let keys: Option<Vec<String>> = texts
            .iter()
            .map(|text| {
                let mut tokens = self.tokens(text)?;
                let mut direction = String::new();
                for suffix in [["NULLS", "FIRST"], ["NULLS", "LAST"], ["", "ASC"], ["", "DESC"]] {
                    let length = suffix.iter().filter(|word| !word.is_empty()).count();
                    let end = tokens.len().saturating_sub(length);
                    let ends = tokens[end..].iter().zip(&suffix[2 - length..]).all(|(token, word)| is_word(token, word));
                    if ends && end > 0 {
                        tokens.truncate(end);
                        direction = format!(" {}{direction}", suffix.join(" ").trim());
                    }
                }
                Some(format!("{}{direction}", understood(tokens, read)?))
            })
            .collect();
        keys.unwrap_or_default()
    }

    /// Returns a text's tokens in the statement's own spelling.
    fn tokens(&self, text: &str) -> Option<Vec<Token>> {
        let tokens = sql::tokens_of(text)?;
        let mut output = Vec::with_capacity(tokens.len());
        let mut at = 0;
        while at < tokens.len() {
            if let Some(end) = computed_elsewhere(&tokens, at) {
                output.push(Token::Placeholder(COMPUTED.to_owned()));
                at = end;
                continue;
            }
            output.push(match &tokens[at] {
                Token::Placeholder(name) if self.computed.contains(name) => Token::Placeholder(COMPUTED.to_owned()),
                Token::Word(word) if tokens.get(at + 1) == Some(&Token::Period) && self.aliases.contains_key(&word.value) => {
                    Token::make_word(self.alias(&word.value), Some('"'))
                }
                token => token.clone(),
            });
            at += 1;
        }
        Some(output)
    }
}

/// Returns a name between quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Prints tokens that are one expression; the names in those that are not go to `read`.
fn understood(tokens: Vec<Token>, read: &mut Vec<String>) -> Option<String> {
    let printed = sql::expression(tokens.clone()).map(|expr| expr.to_string());
    // What is printed has to be readable again: the whole statement is.
    let printed = printed.filter(|text| sql::tokens_of(text).and_then(sql::expression).is_some());
    if printed.is_none() {
        read.extend(names_in(&tokens));
    }
    printed
}

/// Returns the names among tokens: `o.total`, `o.*`, and words alone, which may be columns.
fn names_in(tokens: &[Token]) -> Vec<String> {
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        let after = |step: usize| tokens.get(at + step);
        let qualified = at > 0 && tokens[at - 1] == Token::Period;
        match (after(1), after(2)) {
            (Some(Token::Period), Some(Token::Word(column))) if !qualified => {
                names.push(format!("{}.{}", spelled(word), spelled(column)));
            }
            (Some(Token::Period), Some(Token::Mul)) if !qualified => names.push(format!("{}.*", spelled(word))),
            (Some(Token::LParen), _) => {}
            _ if qualified => {}
            _ => names.push(spelled(word)),
        }
    }
    names
}

fn spelled(word: &Word) -> String {
    if word.quote_style.is_some() { quoted(&word.value) } else { quoted(&word.value.to_lowercase()) }
}

/// Returns the end of a value computed elsewhere that begins here: `(SubPlan 1)`, `(hashed SubPlan 2)`, `(InitPlan 1).col1`.
fn computed_elsewhere(tokens: &[Token], at: usize) -> Option<usize> {
    if tokens.get(at) != Some(&Token::LParen) {
        return None;
    }
    let kind = at + 1 + usize::from(tokens.get(at + 1).is_some_and(|token| is_word(token, "hashed")));
    let named = tokens.get(kind).is_some_and(|token| is_word(token, "SubPlan") || is_word(token, "InitPlan"));
    if !named || !matches!(tokens.get(kind + 1), Some(Token::Number(..))) || tokens.get(kind + 2) != Some(&Token::RParen) {
        return None;
    }
    let end = kind + 3;
    let column = matches!((tokens.get(end), tokens.get(end + 1)), (Some(Token::Period), Some(Token::Word(_))));
    Some(if column { end + 2 } else { end })
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// Strips brackets around all of it.
fn inside_brackets(mut tokens: &[Token]) -> &[Token] {
    while let [Token::LParen, inner @ .., Token::RParen] = tokens
        && sql::closing(tokens, 0) == Some(tokens.len() - 1)
    {
        tokens = inner;
    }
    tokens
}

/// Splits at `AND` outside brackets; the server prints `BETWEEN` as two comparisons, and puts conditions of `CASE` in brackets.
fn split_at_and(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0i32;
    tokens
        .split(|token| {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            depth == 0 && is_word(token, "and")
        })
        .collect()
}
