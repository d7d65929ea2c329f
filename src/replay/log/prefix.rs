//! `log_line_prefix` compiled into a parser.

use super::line::Line;
use super::time::{epoch, time};

/// The longest value of an escape that is free text, in bytes: names have at most 63, host names 255.
const FREE_MAX: usize = 300;

/// The most tries to place free texts on one line: a prefix without signs between them has many readings.
const TRIES_MAX: usize = 10_000;

/// A parser for what stands before the severity of each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Field(Field),
    /// `%q`: processes without a session write nothing further.
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Application,
    User,
    Database,
    Process,
    /// `%m`, with milliseconds.
    Time,
    /// `%t`, without.
    Second,
    Epoch,
    Tag,
    State,
    Session,
    Number,
    Start,
    Vxid,
    QueryId,
    Backend,
    /// Text or digits that nothing needs: hosts, ports, the leader, the transaction id.
    Ignored,
    Digits,
}

/// Why a prefix cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// An escape the server does not have.
    #[error("log_line_prefix {prefix:?}: {escape} is no escape of PostgreSQL's")]
    Unknown {
        /// The prefix.
        prefix: String,
        /// The escape.
        escape: String,
    },
    /// Lines without a time have no place in a replay.
    #[error("log_line_prefix {prefix:?}: expected a time: %m, or %n or %t")]
    NoTime {
        /// The prefix.
        prefix: String,
    },
    /// Lines of different sessions could not be told apart.
    #[error("log_line_prefix {prefix:?}: expected what tells sessions apart: %c, or %p")]
    NoSession {
        /// The prefix.
        prefix: String,
    },
}

impl Prefix {
    /// Compiles the server's setting.
    ///
    /// # Errors
    /// [`PrefixError`] for an unknown escape, and for a prefix without a time or without process and session.
    pub fn compile(prefix: &str) -> Result<Self, PrefixError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut letters = prefix.chars().peekable();
        let literal = |pieces: &mut Vec<Piece>, letter: char| {
            let mut buffer = [0; 4];
            let bytes = letter.encode_utf8(&mut buffer).as_bytes();
            match pieces.last_mut() {
                Some(Piece::Literal(known)) => known.extend_from_slice(bytes),
                _ => pieces.push(Piece::Literal(bytes.to_vec())),
            }
        };
        while let Some(letter) = letters.next() {
            if letter != '%' {
                literal(&mut pieces, letter);
                continue;
            }
            let mut padding = String::new();
            while let Some(sign) = letters.next_if(|sign| *sign == '-' || sign.is_ascii_digit()) {
                padding.push(sign);
            }
            let field = match letters.next() {
                Some('%') => {
                    literal(&mut pieces, '%');
                    continue;
                }
                Some('q') => {
                    pieces.push(Piece::Stop);
                    continue;
                }
                Some('a') => Field::Application,
                Some('u') => Field::User,
                Some('d') => Field::Database,
                Some('p') => Field::Process,
                Some('t') => Field::Second,
                Some('m') => Field::Time,
                Some('n') => Field::Epoch,
                Some('i') => Field::Tag,
                Some('e') => Field::State,
                Some('c') => Field::Session,
                Some('l') => Field::Number,
                Some('s') => Field::Start,
                Some('v') => Field::Vxid,
                Some('Q') => Field::QueryId,
                Some('b') => Field::Backend,
                Some('r' | 'h' | 'L') => Field::Ignored,
                Some('x' | 'P') => Field::Digits,
                other => {
                    let escape = format!("%{padding}{}", other.map(String::from).unwrap_or_default());
                    return Err(PrefixError::Unknown { prefix: prefix.to_owned(), escape });
                }
            };
            pieces.push(Piece::Field(field));
        }
        let has = |wanted: &[Field]| pieces.iter().any(|piece| matches!(piece, Piece::Field(field) if wanted.contains(field)));
        if !has(&[Field::Time, Field::Second, Field::Epoch]) {
            return Err(PrefixError::NoTime { prefix: prefix.to_owned() });
        }
        if !has(&[Field::Process, Field::Session]) {
            return Err(PrefixError::NoSession { prefix: prefix.to_owned() });
        }
        Ok(Self { text: prefix.to_owned(), pieces })
    }

    /// Returns the setting as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether its times have no more than seconds.
    pub fn is_coarse(&self) -> bool {
        !self.pieces.iter().any(|piece| matches!(piece, Piece::Field(Field::Time | Field::Epoch)))
    }

    /// Reads the prefix of a line; returns what it says and the rest, from the severity on.
    ///
    /// `rest` says whether a rest begins as it should, which decides between readings.
    pub(super) fn read<'t>(&self, text: &'t [u8], rest: &dyn Fn(&[u8]) -> bool) -> Option<(Line, &'t [u8])> {
        let mut search = Search { text, rest, spans: Vec::with_capacity(self.pieces.len()), tries: 0 };
        let end = search.place(&self.pieces, 0).or_else(|| {
            let stop = self.pieces.iter().position(|piece| *piece == Piece::Stop)?;
            search.spans.clear();
            search.place(&self.pieces[..stop], 0)
        })?;
        let mut line = Line::default();
        for (field, from, to) in &search.spans {
            put(&mut line, *field, &text[*from..*to]);
        }
        Some((line, &text[end..]))
    }
}

/// The search for a reading of a line.
struct Search<'t> {
    text: &'t [u8],
    rest: &'t dyn Fn(&[u8]) -> bool,
    spans: Vec<(Field, usize, usize)>,
    tries: usize,
}

impl Search<'_> {
    /// Places the pieces from `at` on; returns where they end.
    fn place(&mut self, pieces: &[Piece], at: usize) -> Option<usize> {
        self.tries += 1;
        if self.tries > TRIES_MAX {
            return None;
        }
        let Some((piece, others)) = pieces.split_first() else {
            return (self.rest)(&self.text[at..]).then_some(at);
        };
        let field = match piece {
            Piece::Stop => return self.place(others, at),
            Piece::Literal(literal) => {
                return self.text[at..].starts_with(literal).then(|| at + literal.len()).and_then(|at| self.place(others, at));
            }
            Piece::Field(field) => *field,
        };
        // Padding (%-10u, %10p) shows as spaces on either side.
        let start = at + self.text[at..].iter().take_while(|byte| **byte == b' ').count();
        if let Some(length) = fixed(field, &self.text[start..]) {
            let end = start + length;
            return self.keep(field, start, end, others, end).or_else(|| {
                let padded = end + self.text[end..].iter().take_while(|byte| **byte == b' ').count();
                // As many of the spaces as leave the rest readable.
                (end + 1..=padded).find_map(|next| self.keep(field, start, end, others, next))
            });
        }
        if !is_free(field) {
            // A process without the fact writes nothing, or only padding.
            return (at..=start).find_map(|next| self.keep(field, at, at, others, next));
        }
        let longest = self.text.len().min(at + FREE_MAX);
        (at..=longest).find_map(|end| {
            if let Some(Piece::Literal(literal)) = others.first()
                && !self.text[end..].starts_with(literal)
            {
                return None;
            }
            self.keep(field, at, end, others, end)
        })
    }

    fn keep(&mut self, field: Field, from: usize, to: usize, others: &[Piece], next: usize) -> Option<usize> {
        self.spans.push((field, from, to));
        let known = self.spans.len();
        let end = self.place(others, next);
        if end.is_none() {
            self.spans.truncate(known - 1);
        }
        end
    }
}

fn is_free(field: Field) -> bool {
    matches!(field, Field::Application | Field::User | Field::Database | Field::Tag | Field::Backend | Field::Ignored)
}

/// How many bytes of the text are a value of the field, for fields with a form of their own.
fn fixed(field: Field, text: &[u8]) -> Option<usize> {
    let run = |from: usize, is: fn(&u8) -> bool| text.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| is(byte)).count());
    let digits = |from: usize| run(from, u8::is_ascii_digit);
    let pair = |sign: u8, is: fn(&u8) -> bool| {
        let first = run(0, is);
        let second = (text.get(first) == Some(&sign)).then(|| run(first + 1, is))?;
        (first > 0 && second > 0).then_some(first + 1 + second)
    };
    let some = |length: usize| (length > 0).then_some(length);
    match field {
        Field::Time | Field::Second | Field::Start => {
            let (_, length) = time(text)?;
            ((text.get(19) == Some(&b'.')) == (field == Field::Time)).then_some(length)
        }
        Field::Epoch => epoch(text).map(|(_, length)| length),
        Field::Process | Field::Number | Field::Digits => some(digits(0)),
        Field::QueryId => {
            let sign = usize::from(text.first() == Some(&b'-'));
            some(digits(sign)).map(|length| sign + length)
        }
        Field::Session => pair(b'.', u8::is_ascii_hexdigit),
        Field::Vxid => pair(b'/', u8::is_ascii_digit),
        Field::State => (run(0, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) >= 5).then_some(5),
        _ => None,
    }
}

fn put(line: &mut Line, field: Field, bytes: &[u8]) {
    let value = String::from_utf8_lossy(bytes);
    let value = value.trim();
    let optional = || (!value.is_empty()).then(|| value.to_owned());
    // What the server writes before it knows.
    let name = || if value == "[unknown]" { String::new() } else { value.to_owned() };
    match field {
        Field::Application => line.application = name(),
        Field::User => line.user = name(),
        Field::Database => line.database = name(),
        Field::Process => line.process = value.parse().ok(),
        Field::Time | Field::Second => line.at_us = time(bytes).map_or(0, |(us, _)| us),
        Field::Epoch => line.at_us = epoch(bytes).map_or(0, |(us, _)| us),
        Field::Tag => line.tag = optional(),
        Field::State => line.sqlstate = optional(),
        Field::Session => line.session = optional(),
        Field::Number => line.session_line = value.parse().ok(),
        Field::Start => line.session_start_us = time(bytes).map(|(us, _)| us),
        Field::Vxid => line.vxid = optional(),
        Field::QueryId => line.query_id = value.parse().ok().filter(|id| *id != 0),
        Field::Backend => line.backend = optional(),
        Field::Ignored | Field::Digits => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(prefix: &str, text: &str) -> Option<(Line, String)> {
        let rest = |rest: &[u8]| rest.starts_with(b"LOG:  ");
        Prefix::compile(prefix).unwrap().read(text.as_bytes(), &rest).map(|(line, rest)| (line, String::from_utf8(rest.to_vec()).unwrap()))
    }

    #[test]
    fn what_the_prefix_says_is_read() {
        let (line, rest) = read(
            "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a ",
            "2026-11-23 16:03:29.853 UTC:10.0.0.1(5432):me@shop:[7]:9:00000:2026-11-23 16:03:29 UTC:3/4:0:6b0463d1.54a4:my app LOG:  statement: x",
        )
        .unwrap();
        assert_eq!(rest, "LOG:  statement: x");
        assert_eq!((line.user.as_str(), line.database.as_str(), line.process), ("me", "shop", Some(7)));
        assert_eq!((line.session.as_deref(), line.vxid.as_deref(), line.session_line), (Some("6b0463d1.54a4"), Some("3/4"), Some(9)));
        assert_eq!(line.at_us - line.session_start_us.unwrap(), 853_000);
        assert_eq!(line.sqlstate.as_deref(), Some("00000"));
    }

    #[test]
    fn names_may_hold_the_signs_between_them() {
        let (line, _) = read("%m [%p] %q%u@%d/%a ", "2026-11-23 16:03:29.853 UTC [7] me@example@shop/a [7] b LOG:  x").unwrap();
        assert_eq!((line.user.as_str(), line.database.as_str(), line.application.as_str()), ("me", "example@shop", "a [7] b"));
    }

    #[test]
    fn processes_without_a_session_stop_at_q() {
        let (line, rest) = read("%m [%p] %q%u@%d ", "2026-11-23 16:03:29.853 UTC [7] LOG:  checkpoint starting").unwrap();
        assert_eq!((line.user.as_str(), line.process, rest.as_str()), ("", Some(7), "LOG:  checkpoint starting"));
    }

    #[test]
    fn padding_and_absent_facts_are_read() {
        let (line, _) = read("%-10u|%8p|%m|%v|%x|%Q ", "me        |       7|2026-11-23 16:03:29.853 UTC||0|-44 LOG:  x").unwrap();
        assert_eq!((line.user.as_str(), line.process, line.vxid.as_deref(), line.query_id), ("me", Some(7), None, Some(-44)));
        let (line, _) = read("%n %c %%%i: ", "1700000000.123 a.7 %idle in transaction: LOG:  x").unwrap();
        assert_eq!((line.at_us, line.tag.as_deref()), (1_700_000_000_123_000, Some("idle in transaction")));
    }

    #[test]
    fn other_lines_do_not_match() {
        assert!(read("%m [%p] ", "\tgoes on").is_none());
        assert!(read("%m [%p] ", "2026-11-23 16:03:29.853 UTC [7] me@shop LOG:  x").is_none());
        assert!(
            read("%m [%p] %u%d%a%h%r ", &format!("2026-11-23 16:03:29.853 UTC [7] {}", "x".repeat(5000))).is_none(),
            "and the search ends"
        );
    }

    #[test]
    fn prefixes_that_say_too_little_are_refused() {
        let refused = |prefix: &str| Prefix::compile(prefix).unwrap_err().to_string();
        assert_eq!(refused("%u@%d [%p] "), "log_line_prefix \"%u@%d [%p] \": expected a time: %m, or %n or %t");
        assert_eq!(refused("< %m >"), "log_line_prefix \"< %m >\": expected what tells sessions apart: %c, or %p");
        assert_eq!(refused("%m %p %y"), "log_line_prefix \"%m %p %y\": %y is no escape of PostgreSQL's");
        assert_eq!(refused("%m %p %"), "log_line_prefix \"%m %p %\": % is no escape of PostgreSQL's");
        assert!(Prefix::compile("%t %p ").unwrap().is_coarse() && !Prefix::compile("%m %p ").unwrap().is_coarse());
    }
}
