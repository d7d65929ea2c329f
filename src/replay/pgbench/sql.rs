//! Finds where an SQL command of a script ends, and the variables in it.
//!
//! Quotes, dollar quotes, comments, brackets and the bodies of `CREATE FUNCTION … BEGIN ATOMIC … END` are followed the way
//! psql follows them, so that a semicolon inside them ends nothing.

use super::place::Fault;
use super::token::leading_name;

/// A part of an SQL command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text that is sent as it is.
    Text(String),
    /// `:name` outside quotes and comments.
    Variable(String),
    /// `:name` inside quotes: replaced where the text is sent without parameters, kept as it is otherwise.
    Quoted(String),
    /// `\;`, which joins two commands into one request.
    Joint,
    /// `\:`, a colon that begins no variable.
    Colon,
}

/// An SQL command and what ended it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Without leading and trailing blanks; empty when there was nothing but blanks and comments.
    pub(super) parts: Vec<Part>,
    /// Where its first word stands.
    pub(super) start: usize,
    /// Behind it, or on the backslash that ended it.
    pub(super) end: usize,
    /// What ended it.
    pub(super) ended_by: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Semicolon,
    Backslash,
    Text,
}

/// Reads the SQL command that begins at an offset.
pub(super) fn command(text: &str, from: usize) -> Result<Command, Fault> {
    let mut scan =
        Scan { text, at: from, parts: Vec::new(), start: None, kept_from: from, words: Vec::new(), bodies: 0, brackets: Vec::new() };
    let ended_by = scan.run()?;
    let end = scan.at;
    scan.keep(end);
    let start = scan.start.unwrap_or(end);
    let mut parts = if scan.start.is_some() { scan.parts } else { Vec::new() };
    trim(&mut parts);
    let end = if ended_by == End::Semicolon { end + 1 } else { end };
    Ok(Command { parts, start, end, ended_by })
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    parts: Vec<Part>,
    /// Where the first thing that is neither blank nor comment stands.
    start: Option<usize>,
    /// Text from here on is not in `parts` yet.
    kept_from: usize,
    /// The first words, in lower case, as far as they tell whether a function is created.
    words: Vec<String>,
    /// How many BEGINs and CASEs of a function's body are open.
    bodies: usize,
    /// Where the open brackets stand.
    brackets: Vec<usize>,
}

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Moves text up to `end` into the parts.
    fn keep(&mut self, end: usize) {
        let text = &self.text[self.kept_from.min(end)..end];
        if !text.is_empty() {
            match self.parts.last_mut() {
                Some(Part::Text(last)) => last.push_str(text),
                _ => self.parts.push(Part::Text(text.to_owned())),
            }
        }
        self.kept_from = end;
    }

    /// Puts a part in place of the next `length` bytes.
    fn replace(&mut self, length: usize, part: Part) {
        self.keep(self.at);
        self.parts.push(part);
        self.at += length;
        self.kept_from = self.at;
    }

    fn begin(&mut self) {
        if self.start.is_none() {
            self.start = Some(self.at);
            // Blanks and comments before the first word are not sent.
            self.parts.clear();
            self.kept_from = self.at;
        }
    }

    fn run(&mut self) -> Result<End, Fault> {
        while let Some(first) = self.rest().chars().next() {
            let rest = self.rest();
            if first.is_whitespace() {
                self.at += first.len_utf8();
                continue;
            }
            if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            if rest.starts_with("/*") {
                self.at += block_comment(rest).ok_or_else(|| (self.at, "expected */ to end this comment".to_owned()))?;
                continue;
            }
            match first {
                ';' if self.brackets.is_empty() && self.bodies == 0 => return Ok(End::Semicolon),
                '\\' if rest.starts_with("\\;") => {
                    self.begin();
                    self.words.clear();
                    self.replace(2, Part::Joint);
                    continue;
                }
                '\\' if rest.starts_with("\\:") => {
                    self.begin();
                    self.replace(2, Part::Colon);
                    continue;
                }
                '\\' => return Ok(End::Backslash),
                _ => {}
            }
            self.begin();
            match first {
                '\'' => self.quoted('\'', false)?,
                '"' => self.quoted('"', false)?,
                '$' => self.dollar_quoted()?,
                '(' => {
                    self.brackets.push(self.at);
                    self.at += 1;
                }
                ')' => {
                    self.brackets.pop();
                    self.at += 1;
                }
                ':' => self.colon(),
                c if c.is_alphabetic() || c == '_' || !c.is_ascii() => self.word()?,
                c if c.is_ascii_digit() => {
                    // A number swallows what follows it at once: the $ of 1$ begins no quote.
                    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
                    self.at += end;
                }
                c => self.at += c.len_utf8(),
            }
        }
        match self.brackets.last() {
            Some(bracket) => Err((*bracket, "expected ) to close this bracket".to_owned())),
            None if self.bodies > 0 => Err((self.start.unwrap_or(self.at), "expected END to close the body of this function".to_owned())),
            None => Ok(End::Text),
        }
    }

    /// A variable, or a cast, or a colon.
    fn colon(&mut self) {
        let colons = self.rest().len() - self.rest().trim_start_matches(':').len();
        let name = leading_name(&self.rest()[1..]);
        // What has a second colon before it is a cast. A name begins with a letter, so that 12:34 and a[1:2] stay.
        if colons > 1 || name.is_empty() {
            self.at += colons;
        } else {
            self.replace(1 + name.len(), Part::Variable(name.to_owned()));
        }
    }

    fn word(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii())).unwrap_or(rest.len());
        let word = &rest[..end];
        self.at += end;
        if self.rest().starts_with('\'') && (word.eq_ignore_ascii_case("e")) {
            return self.quoted('\'', true);
        }
        if self.words.len() < 4 {
            self.words.push(word.to_ascii_lowercase());
        }
        if self.brackets.is_empty() && self.creates_function() {
            match word.to_ascii_lowercase().as_str() {
                "begin" => self.bodies += 1,
                "case" if self.bodies > 0 => self.bodies += 1,
                "end" => self.bodies = self.bodies.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }

    fn creates_function(&self) -> bool {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        matches!(words.as_slice(), ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure", ..])
    }

    /// Skips a quoted text, noting the variables in it. A doubled quote is a quote; with `backslashes`, so is an escaped one.
    fn quoted(&mut self, quote: char, backslashes: bool) -> Result<(), Fault> {
        let open = self.at;
        self.at += 1;
        loop {
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return Err((open, format!("expected {quote} to end this quoted text")));
            };
            if first == quote {
                self.at += 1;
                if !self.rest().starts_with(quote) {
                    return Ok(());
                }
                self.at += 1;
            } else if backslashes && first == '\\' {
                self.at += 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            } else if first == ':' {
                self.quoted_colon();
            } else {
                self.at += first.len_utf8();
            }
        }
    }

    fn quoted_colon(&mut self) {
        let colons = self.rest().len() - self.rest().trim_start_matches(':').len();
        let name = leading_name(&self.rest()[1..]);
        if colons > 1 || name.is_empty() {
            self.at += colons;
        } else {
            self.replace(1 + name.len(), Part::Quoted(name.to_owned()));
        }
    }

    /// `$$ … $$` and `$tag$ … $tag$`; any other dollar is part of a parameter or an operator.
    fn dollar_quoted(&mut self) -> Result<(), Fault> {
        let (open, rest) = (self.at, self.rest());
        let tag = leading_name(&rest[1..]);
        let mark = &rest[..(1 + tag.len() + 1).min(rest.len())];
        if !rest[1 + tag.len()..].starts_with('$') {
            self.at += 1;
            return Ok(());
        }
        let body = open + mark.len();
        let Some(length) = self.text[body..].find(mark) else {
            return Err((open, format!("expected {mark} to end this quoted text")));
        };
        let end = body + length;
        self.at = body;
        while let Some(colon) = self.text[self.at..end].find(':') {
            self.at += colon;
            self.quoted_colon();
        }
        self.at = end + mark.len();
        Ok(())
    }
}

/// Returns the length of a comment, which may hold further ones; `None` when it does not end.
fn block_comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    None
}

/// Takes blanks off the end.
fn trim(parts: &mut Vec<Part>) {
    while let Some(Part::Text(last)) = parts.last_mut() {
        last.truncate(last.trim_end().len());
        if !last.is_empty() {
            return;
        }
        parts.pop();
    }
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
