//! A text as pieces without its blanks, and how it is changed.

use crate::sql::pieces::{Kind, pieces};

/// A piece of the text that is no blank.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A stretch of the text and what stands there instead; an empty stretch is an insertion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: String,
}

/// A text cut into pieces. Token numbers beyond the end are no tokens and match nothing.
pub(super) struct Text<'a> {
    source: &'a str,
    pub(super) tokens: Vec<Token>,
}

impl<'a> Text<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        let tokens = pieces(source).into_iter().filter(|(kind, ..)| *kind != Kind::Blank);
        Self { source, tokens: tokens.map(|(kind, start, end)| Token { kind, start, end }).collect() }
    }

    /// Returns the token as it is spelled.
    pub(super) fn spelled(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| &self.source[token.start..token.end])
    }

    /// Returns whether the token is this bare word, in any case.
    pub(super) fn is_word(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Word) && self.spelled(at).eq_ignore_ascii_case(word)
    }

    /// Returns whether the token is one of these bare words (lower case), in any case.
    pub(super) fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(at, word))
    }

    /// Returns whether the token is this sign.
    pub(super) fn is_sign(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Sign(sign))
    }

    /// Returns whether the token is a parameter.
    pub(super) fn is_parameter(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Parameter)
    }

    /// Returns the bracket that closes the one at `open`.
    pub(super) fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for at in open..self.tokens.len() {
            match self.tokens[at].kind {
                Kind::Sign('(' | '[') => depth += 1,
                Kind::Sign(')' | ']') => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    /// Returns the edit that removes the tokens `from..to` and puts the text in their place.
    pub(super) fn replace(&self, from: usize, to: usize, text: impl Into<String>) -> Edit {
        Edit { start: self.tokens[from].start, end: self.tokens[to - 1].end, text: text.into() }
    }

    /// Returns the changed text; `None` when the edits change nothing. Of edits that overlap the first wins.
    pub(super) fn edited(&self, mut edits: Vec<Edit>) -> Option<String> {
        edits.sort();
        edits.dedup();
        let mut changed = String::with_capacity(self.source.len() + 16 * edits.len());
        let mut done = 0;
        for edit in edits {
            if edit.start >= done {
                changed.push_str(&self.source[done..edit.start]);
                changed.push_str(&edit.text);
                done = edit.end;
            }
        }
        changed.push_str(&self.source[done..]);
        (changed != self.source).then_some(changed)
    }
}
