//! The plain text format (`log_destination = stderr`, also syslog's after its own prefix is taken off): a prefix, a severity, a message.

use super::csv::Wrong;
use super::line::{Line, Severity, text};
use super::physical::{LINE_MAX, Lines, Physical};
use super::prefix::Prefix;
use super::usual;

/// Words that begin a message of its own.
const SEVERITIES: &[&str] =
    &["LOG", "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "INFO", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5"];

/// Words that begin a part of the message before.
const PARTS: &[&str] = &["DETAIL", "HINT", "QUERY", "CONTEXT", "STATEMENT", "LOCATION", "BACKTRACE"];

/// The longest word that is taken for a severity in another language, in bytes.
const FOREIGN_MAX: usize = 30;

/// Whether what follows a prefix begins as messages do.
pub(super) fn begins_message(rest: &[u8]) -> bool {
    word(rest).is_some_and(|word| SEVERITIES.contains(&word) || PARTS.contains(&word))
}

/// The word before `:  `.
fn word(rest: &[u8]) -> Option<&str> {
    let colon = rest.iter().take(FOREIGN_MAX).position(|byte| *byte == b':')?;
    let word = std::str::from_utf8(&rest[..colon]).ok()?;
    (rest[colon..].starts_with(b":  ") && !word.is_empty()).then_some(word)
}

/// Whether it begins as a message in another language: one capitalised word, a colon, two spaces.
fn begins_foreign(rest: &[u8]) -> bool {
    word(rest).is_some_and(|word| word.chars().all(char::is_alphabetic) && word.chars().any(|letter| !letter.is_lowercase()))
}

/// A physical line's place in a message.
enum Begins<'t> {
    Message(Line, &'t [u8]),
    Part(Line, String, &'t [u8]),
    Nothing,
}

/// Lines looked at to guess again.
const LOOK: usize = 50;

/// Reads a file of one prefix.
pub(super) struct Stderr {
    pub(super) prefix: Prefix,
    /// How often the prefix may still be guessed again: the first lines may be of processes without a session, or the
    /// setting was changed. 0 for a prefix that was given.
    pub(super) guesses: u32,
}

impl Stderr {
    /// Returns the next message with its parts; `None` at the end of the file.
    pub(super) fn next(&mut self, lines: &mut Lines) -> Option<Result<Line, Wrong>> {
        let first = loop {
            match lines.next() {
                Ok(line) => {
                    let line = line?;
                    if !line.bytes.is_empty() {
                        break line;
                    }
                }
                Err(error) => return Some(Err((0, format!("cannot be read further: {error}")))),
            }
        };
        if self.guesses > 0 && matches!(self.begins(&first.bytes), Begins::Nothing) && !first.bytes.starts_with(b"\t") {
            self.guess_again(&first, lines);
        }
        let (mut line, rest) = match self.begins(&first.bytes) {
            Begins::Message(line, rest) => (line, rest),
            Begins::Part(_, part, _) => return Some(Err((first.number, format!("{part} without the message it belongs to")))),
            Begins::Nothing => return Some(Err((first.number, self.unfit(&first.bytes)))),
        };
        line.number = first.number;
        let mut size = rest.len();
        let mut ended = first.ended;
        let (message, mut replaced) = text(rest);
        line.message = message;
        // Which part of the message lines go on with.
        let mut part = String::new();
        // Where reading fails, the next call says so.
        while let Ok(Some(next)) = lines.next() {
            if let Some(rest) = next.bytes.strip_prefix(b"\t") {
                size += rest.len() + 1;
                ended = next.ended;
                if next.cut || size > LINE_MAX {
                    return Some(Err((line.number, format!("longer than {} MiB", LINE_MAX >> 20))));
                }
                let (more, changed) = text(rest);
                replaced |= changed;
                if let Some(whole) = part_of(&mut line, &part) {
                    whole.push('\n');
                    whole.push_str(&more);
                }
                continue;
            }
            match self.begins(&next.bytes) {
                // Written by the same process at the same time: a part of this message.
                Begins::Part(of, name, rest) if of.session_key() == line.session_key() => {
                    let (more, changed) = text(rest);
                    replaced |= changed;
                    size += more.len();
                    ended = next.ended;
                    part = name;
                    if let Some(whole) = part_of(&mut line, &part) {
                        *whole = more;
                    }
                }
                _ => {
                    lines.put_back(std::iter::once(next));
                    break;
                }
            }
        }
        // Servers write whole lines: the text may lack its end, and half of a statement is another statement.
        if !ended {
            return Some(Err((line.number, "the file ends in the middle of a line".to_owned())));
        }
        line.replaced = replaced;
        Some(Ok(line))
    }

    fn guess_again(&mut self, first: &Physical, lines: &mut Lines) {
        self.guesses -= 1;
        let mut ahead = Vec::new();
        while ahead.len() < LOOK
            && let Ok(Some(line)) = lines.next()
        {
            ahead.push(line);
        }
        // The line itself has to fit, whatever those after it say.
        let fits = |prefix: &Prefix| prefix.read(&first.bytes, &begins_message).is_some();
        if let Some(better) = usual::guess(&ahead).filter(fits).or_else(|| usual::guess(std::slice::from_ref(first))) {
            self.prefix = better;
        }
        lines.put_back(ahead.into_iter());
    }

    fn begins<'t>(&self, bytes: &'t [u8]) -> Begins<'t> {
        let Some((mut line, rest)) = self.prefix.read(bytes, &begins_message).or_else(|| self.prefix.read(bytes, &begins_foreign)) else {
            return Begins::Nothing;
        };
        let word = word(rest).unwrap_or_default();
        let after = &rest[word.len() + 3..];
        if PARTS.contains(&word) {
            return Begins::Part(line, word.to_owned(), after);
        }
        line.severity = Severity::of(word);
        Begins::Message(line, after)
    }

    fn unfit(&self, bytes: &[u8]) -> String {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        format!("expected a line that begins as log_line_prefix {:?} says, found {start:?}", self.prefix.text())
    }
}

/// The text that lines after this part go on with; `None` for parts that nothing needs.
fn part_of<'l>(line: &'l mut Line, part: &str) -> Option<&'l mut String> {
    match part {
        "" => Some(&mut line.message),
        "DETAIL" => Some(line.detail.get_or_insert_default()),
        "CONTEXT" => Some(line.context.get_or_insert_default()),
        "STATEMENT" => Some(line.query.get_or_insert_default()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Line, Wrong>> {
        let mut lines = Lines::new(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
        let mut stderr = Stderr { prefix: Prefix::compile("%m [%p] %q%u@%d ").unwrap(), guesses: 0 };
        std::iter::from_fn(|| stderr.next(&mut lines)).collect()
    }

    #[test]
    fn messages_have_their_parts_and_all_their_lines() {
        let at = "2026-11-23 16:03:32.385 UTC [7] me@shop ";
        let text = format!(
            "{at}LOG:  duration: 0.168 ms  bind <unnamed>: select a\n\t\n\tfrom t where a=$1;\n{at}DETAIL:  Parameters: $1 = 'x\n\ty'\n\
             {at}ERROR:  division by zero\n{at}CONTEXT:  unnamed portal with parameters: $1 = '1'\n{at}QUERY:  q\n\tq\n{at}STATEMENT:  select 1/$1\n\t;\n\
             2026-11-23 16:03:32.385 UTC [9] LOG:  checkpoint starting\n"
        );
        let found: Vec<Line> = read(&text).into_iter().map(Result::unwrap).collect();
        let [bind, error, checkpoint] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(bind.message, "duration: 0.168 ms  bind <unnamed>: select a\n\nfrom t where a=$1;");
        assert_eq!(bind.detail.as_deref(), Some("Parameters: $1 = 'x\ny'"));
        assert_eq!((error.severity, error.query.as_deref()), (Severity::Error, Some("select 1/$1\n;")));
        assert_eq!(error.context.as_deref(), Some("unnamed portal with parameters: $1 = '1'"));
        assert_eq!((checkpoint.user.as_str(), checkpoint.number), ("", 12));
    }

    #[test]
    fn strange_lines_cost_themselves_alone() {
        let text = "\tgoes on\ncp: cannot stat\n2026-11-23 16:03:32.385 UTC [7] me@shop DETAIL:  x\n2026-11-23 16:03:32.385 UTC [7] me@shop LOG:  x\n\n2026-11-23 16:03:32.385 UTC [7] me@shop LOG:  statement: delete from t where";
        let found = read(text);
        assert_eq!(
            found.iter().map(|line| line.as_ref().err().map(|(at, _)| *at)).collect::<Vec<_>>(),
            [Some(1), Some(2), Some(3), None, Some(6)]
        );
        assert!(found[1].as_ref().unwrap_err().1.contains("\"cp: cannot stat\""));
    }

    #[test]
    fn a_guess_is_mended_once_lines_say_more() {
        let text = "2026-11-23 16:03:32.385 UTC [7] LOG:  x\n2026-11-23 16:03:32.385 UTC [8] me@shop LOG:  y\n";
        let mut lines = Lines::new(Box::new(text.as_bytes()));
        let mut stderr = Stderr { prefix: Prefix::compile("%m [%p] ").unwrap(), guesses: 3 };
        let users: Vec<String> = std::iter::from_fn(|| stderr.next(&mut lines)).map(|line| line.unwrap().user).collect();
        assert_eq!(users, ["", "me"]);
    }

    #[test]
    fn other_languages_are_seen() {
        let found = read("2026-11-23 16:03:32.385 UTC [7] me@shop FEHLER:  Division durch Null\n");
        assert_eq!(found[0].as_ref().unwrap().severity, Severity::Foreign);
    }

    #[test]
    fn a_part_belongs_to_the_message_of_its_own_process() {
        let text = "2026-11-23 16:03:32.385 UTC [7] me@shop LOG:  x\n2026-11-23 16:03:32.385 UTC [8] me@shop DETAIL:  y\n";
        let found = read(text);
        assert!(found[0].as_ref().unwrap().detail.is_none() && found[1].is_err(), "{found:?}");
    }
}
