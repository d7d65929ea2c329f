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

/// What operators are made of.
const OPERATOR_SIGNS: &str = "+-*/<>=~!@#%^&|`?";

/// A text cut into pieces. Token numbers beyond the end are no tokens and match nothing.
pub(super) struct Text<'a> {
    source: &'a str,
    pub(super) tokens: Vec<Token>,
}

impl<'a> Text<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        let mut tokens: Vec<Token> = Vec::new();
        let is_digits =
            |token: &Token| token.kind == Kind::Word && source[token.start..token.end].bytes().all(|byte| byte.is_ascii_digit());
        for (kind, start, end) in pieces(source).into_iter().filter(|(kind, ..)| *kind != Kind::Blank) {
            // `1.5` is three pieces and one number.
            if let [.., whole, point] = tokens.as_slice()
                && kind == Kind::Word
                && (point.kind, point.end) == (Kind::Sign('.'), start)
                && is_digits(whole)
                && whole.end == point.start
            {
                tokens.pop();
                tokens.last_mut().expect("the number before the point").end = end;
            } else {
                tokens.push(Token { kind, start, end });
            }
        }
        Self { source, tokens }
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

    /// Returns the bracket that opens the one at `close`.
    pub(super) fn opening(&self, close: usize) -> Option<usize> {
        let mut depth = 0usize;
        for at in (0..=close).rev() {
            match self.tokens.get(at)?.kind {
                Kind::Sign(')' | ']') => depth += 1,
                Kind::Sign('(' | '[') => {
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

    /// Returns the token at a complaint's position.
    pub(super) fn at(&self, position: usize) -> Option<usize> {
        let byte = self.source.char_indices().nth(position.checked_sub(1)?)?.0;
        let at = self.tokens.partition_point(|token| token.end <= byte);
        self.tokens.get(at).is_some_and(|token| token.start <= byte).then_some(at)
    }

    /// Returns whether the token is a constant of its own: `'day'`, `1.5`, `true`.
    pub(super) fn is_constant(&self, at: usize) -> bool {
        match self.tokens.get(at).map(|token| token.kind) {
            Some(Kind::Literal) => true,
            Some(Kind::Word) => self.spelled(at).starts_with(|c: char| c.is_ascii_digit()) || self.is_any(at, &["true", "false", "null"]),
            _ => false,
        }
    }

    /// Returns whether nothing stands between the token and the next.
    pub(super) fn is_glued(&self, at: usize) -> bool {
        matches!((self.tokens.get(at), self.tokens.get(at + 1)), (Some(token), Some(next)) if token.end == next.start)
    }

    /// Returns whether a cast follows the token.
    pub(super) fn is_cast(&self, at: usize) -> bool {
        self.is_sign(at + 1, ':') && self.is_sign(at + 2, ':') && self.is_glued(at + 1)
    }

    /// Returns whether the token is a parameter without a cast.
    pub(super) fn is_bare(&self, at: usize) -> bool {
        self.is_parameter(at) && !self.is_cast(at)
    }

    /// Returns the token after a run of signs that are one operator, from its first sign.
    pub(super) fn past_operator(&self, mut at: usize) -> usize {
        let sign =
            |at: usize| matches!(self.tokens.get(at).map(|token| token.kind), Some(Kind::Sign(sign)) if OPERATOR_SIGNS.contains(sign));
        while sign(at) && self.is_glued(at) && sign(at + 1) {
            at += 1;
        }
        at + 1
    }

    /// Returns first token and end of each element of the list between the tokens `from..to`, brackets respected.
    pub(super) fn elements(&self, from: usize, to: usize) -> Vec<(usize, usize)> {
        let (mut elements, mut begun, mut depth) = (Vec::new(), from, 0usize);
        for at in from..to.min(self.tokens.len()) {
            match self.tokens[at].kind {
                Kind::Sign('(' | '[') => depth += 1,
                Kind::Sign(')' | ']') => depth = depth.saturating_sub(1),
                Kind::Sign(',') if depth == 0 => {
                    elements.push((begun, at));
                    begun = at + 1;
                }
                _ => {}
            }
        }
        if begun < to {
            elements.push((begun, to));
        }
        elements
    }

    /// Returns the elements of a bracketed list by its opening bracket; none when it is never closed.
    pub(super) fn elements_in(&self, open: usize) -> Vec<(usize, usize)> {
        self.closing(open).map_or_else(Vec::new, |close| self.elements(open + 1, close))
    }

    /// Returns the name at the token as the catalog spells it; `None` when it is none.
    pub(super) fn name(&self, at: usize) -> Option<String> {
        match self.tokens.get(at)?.kind {
            Kind::Word => Some(self.spelled(at).to_lowercase()),
            Kind::Name => Some(self.spelled(at).trim_matches('"').replace("\"\"", "\"")),
            _ => None,
        }
    }

    /// Returns the edit that casts the token, be it a parameter or a closing bracket.
    pub(super) fn cast(&self, at: usize, type_name: &str) -> Edit {
        let end = self.tokens[at].end;
        Edit { start: end, end, text: format!("::{type_name}") }
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
        let mut inserted_at = None;
        for edit in edits {
            let insertion = edit.start == edit.end;
            if edit.start >= done && !(insertion && inserted_at == Some(edit.start)) {
                inserted_at = insertion.then_some(edit.start);
                changed.push_str(&self.source[done..edit.start]);
                changed.push_str(&edit.text);
                done = edit.end;
            }
        }
        changed.push_str(&self.source[done..]);
        (changed != self.source).then_some(changed)
    }
}
