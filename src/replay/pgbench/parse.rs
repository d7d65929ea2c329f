//! Reads scripts.

use super::grammar;
use super::place::{Fault, Place, ScriptError};
use super::script::{Amount, Capture, Command, Kind, Script, Unit};
use super::sql::{self, End, Part};
use super::structure;
use super::token::{continuation, is_name};

/// Every meta command, for messages.
const META: &str = "set gset aset if elif else endif sleep setshell shell startpipeline syncpipeline endpipeline";

impl Script {
    /// Reads a script; `name` is what messages call it.
    ///
    /// # Errors
    /// [`ScriptError`], with the place and what was expected there.
    pub fn parse(text: &str, name: &str) -> Result<Self, ScriptError> {
        let located = |(offset, message): Fault| ScriptError { file: name.to_owned(), place: Place::of(text, offset), message };
        let commands = commands(text).map_err(located)?;
        let commands = commands.into_iter().map(|(offset, kind)| Command { place: Place::of(text, offset), kind }).collect();
        let script = Self { name: name.to_owned(), commands };
        structure::check(&script)?;
        Ok(script)
    }
}

fn commands(text: &str) -> Result<Vec<(usize, Kind)>, Fault> {
    let mut found: Vec<(usize, Kind)> = Vec::new();
    let mut at = 0;
    loop {
        let command = sql::command(text, at)?;
        if !command.parts.is_empty() {
            found.push((command.start, Kind::Sql { parts: command.parts, capture: None }));
        }
        at = command.end;
        match command.ended_by {
            End::Semicolon => {}
            End::Text => break,
            End::Backslash => {
                let line = Line::of(text, at);
                at = line.end;
                match meta(&line)? {
                    Meta::Command(kind) => found.push((line.start, kind)),
                    Meta::Capture(capture) => {
                        let place = line.start;
                        match found.last_mut() {
                            Some((_, Kind::Sql { capture: target @ None, .. })) => *target = Some(capture),
                            Some((_, Kind::Sql { .. })) => {
                                return Err((place, "expected an SQL command before it, found another \\gset or \\aset".to_owned()));
                            }
                            Some((_, other)) => return Err((place, format!("expected an SQL command before it, found {}", other.word()))),
                            None => return Err((place, "expected an SQL command before it, found none".to_owned())),
                        }
                    }
                }
            }
        }
    }
    if found.is_empty() {
        return Err((0, "expected at least one command, found none".to_owned()));
    }
    Ok(found)
}

enum Meta {
    Command(Kind),
    Capture(Capture),
}

/// The line of a meta command: from its backslash to the end of the last continued line.
struct Line<'t> {
    text: &'t str,
    start: usize,
    end: usize,
    /// Where the next word is looked for.
    next: std::cell::Cell<usize>,
}

impl<'t> Line<'t> {
    fn of(text: &'t str, start: usize) -> Self {
        let mut end = start + 1;
        while let Some(first) = text[end..].chars().next() {
            let continued = continuation(&text[end..]);
            match first {
                '\n' => break,
                _ if continued > 0 => end += continued,
                c => end += c.len_utf8(),
            }
        }
        Self { text, start, end, next: std::cell::Cell::new(start + 1) }
    }

    /// Returns the next word and its place.
    fn word(&self) -> Option<(usize, &'t str)> {
        let line = &self.text[..self.end];
        let mut at = self.next.get();
        let blank = |at: usize| {
            let first = line[at..].chars().next()?;
            Some(if first.is_whitespace() { first.len_utf8() } else { continuation(&line[at..]) })
        };
        while let Some(length) = blank(at).filter(|length| *length > 0) {
            at += length;
        }
        let start = at;
        while blank(at) == Some(0) {
            at += line[at..].chars().next().map_or(1, char::len_utf8);
        }
        self.next.set(at);
        (at > start).then(|| (start, &line[start..at]))
    }

    fn words(&self) -> Vec<(usize, &'t str)> {
        std::iter::from_fn(|| self.word()).collect()
    }

    /// Returns the text that was not read yet, and its place.
    fn rest(&self) -> (usize, &'t str) {
        (self.next.get(), &self.text[self.next.get()..self.end])
    }

    /// Returns where the line's text ends.
    fn tail(&self) -> usize {
        self.text[..self.end].trim_end().len()
    }
}

fn meta(line: &Line<'_>) -> Result<Meta, Fault> {
    let Some((place, word)) = line.word() else {
        return Err((line.start, format!("expected a command after the backslash, one of: {META}")));
    };
    let missing = |what: &str| (line.tail(), format!("expected {what} after \\{}", word.to_ascii_lowercase()));
    let expression = || {
        let (base, text) = line.rest();
        grammar::expression(text, base).map_err(|(at, message)| match comment(text) {
            Some(from) if base + from <= at => {
                (base + from, "expected the end of the line: no comment can follow a meta command".to_owned())
            }
            _ => (at, message),
        })
    };
    let alone = |kind: Kind| match line.word() {
        None => Ok(Meta::Command(kind)),
        Some((place, extra)) => Err((place, format!("expected the end of the line, found {extra:?}"))),
    };
    let name = || {
        let (place, name) = line.word().ok_or_else(|| missing("a variable's name"))?;
        if is_name(name) {
            Ok(name.to_owned())
        } else {
            Err((place, format!("expected a variable's name of letters, digits and _, found {name:?}")))
        }
    };
    let own = |words: Vec<(usize, &str)>| words.into_iter().map(|(_, word)| word.to_owned()).collect::<Vec<_>>();
    Ok(Meta::Command(match word.to_ascii_lowercase().as_str() {
        "set" => {
            let name = name()?;
            Kind::Set(name, expression()?)
        }
        "if" => Kind::If(expression()?),
        "elif" => Kind::Elif(expression()?),
        "else" => return alone(Kind::Else),
        "endif" => return alone(Kind::Endif),
        "startpipeline" => return alone(Kind::StartPipeline),
        "syncpipeline" => return alone(Kind::SyncPipeline),
        "endpipeline" => return alone(Kind::EndPipeline),
        "sleep" => sleep(&line.words(), || missing("a time or :variable"))?,
        "setshell" => {
            let name = name()?;
            let words = line.words();
            if words.is_empty() {
                return Err(missing("a variable's name and a command"));
            }
            Kind::Setshell(name, own(words))
        }
        "shell" => {
            let words = line.words();
            if words.is_empty() {
                return Err(missing("a command"));
            }
            Kind::Shell(own(words))
        }
        kind @ ("gset" | "aset") => {
            let prefix = line.word().map_or("", |(_, prefix)| prefix);
            if let Some((place, extra)) = line.word() {
                return Err((place, format!("expected at most one prefix, found {extra:?}")));
            }
            if !prefix.is_empty() && !is_name(prefix) {
                return Err((line.next.get() - prefix.len(), format!("expected a prefix of letters, digits and _, found {prefix:?}")));
            }
            return Ok(Meta::Capture(Capture { all: kind == "aset", prefix: prefix.to_owned() }));
        }
        _ => return Err((place, format!("unknown command \\{word}, expected one of: {META}"))),
    }))
}

/// Finds `--` outside of what could be an expression: two minus signs in a row with a blank before them.
fn comment(text: &str) -> Option<usize> {
    text.match_indices("--").map(|(at, _)| at).find(|at| text[..*at].ends_with(char::is_whitespace))
}

fn sleep(words: &[(usize, &str)], missing: impl Fn() -> Fault) -> Result<Kind, Fault> {
    let (place, amount, unit) = match words {
        [] => return Err(missing()),
        [(place, amount)] if amount.starts_with(':') => (*place, *amount, None),
        // 1ms is 1 ms.
        [(place, amount)] => {
            let digits = amount.len() - amount.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let unit = (digits > 0 && digits < amount.len()).then(|| (place + digits, &amount[digits..]));
            (*place, &amount[..if unit.is_some() { digits } else { amount.len() }], unit)
        }
        [(place, amount), unit] => (*place, *amount, Some(*unit)),
        [_, _, (place, extra), ..] => return Err((*place, format!("expected the end of the line, found {extra:?}"))),
    };
    let unit = match unit {
        None => Unit::S,
        Some((_, unit)) if unit.eq_ignore_ascii_case("us") => Unit::Us,
        Some((_, unit)) if unit.eq_ignore_ascii_case("ms") => Unit::Ms,
        Some((_, unit)) if unit.eq_ignore_ascii_case("s") => Unit::S,
        Some((place, other)) => return Err((place, format!("expected us, ms or s, found {other:?}"))),
    };
    let amount = match amount.strip_prefix(':') {
        Some(name) if is_name(name) => Amount::Variable(name.to_owned()),
        Some(_) => return Err((place, format!("expected a variable's name after the colon, found {amount:?}"))),
        None => {
            let fixed = amount
                .parse()
                .map_err(|_| (place, format!("expected a whole number of 0 to {} or :variable, found {amount:?}", u32::MAX)))?;
            Amount::Fixed(fixed)
        }
    };
    Ok(Kind::Sleep(amount, unit))
}

/// Returns whether an SQL command consists of several that are joined.
pub(super) fn is_joined(parts: &[Part]) -> bool {
    parts.contains(&Part::Joint)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
