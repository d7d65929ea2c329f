//! csvlog: records of 23 columns (up to 12), 24 (13) or 26 (14 and later).

use super::line::{Line, Severity, text};
use super::physical::{LINE_MAX, Lines, Physical};
use super::time::{begins_with_time, time};

/// A line number and what is wrong there.
pub(super) type Wrong = (u64, String);

/// Returns the next record; `None` at the end of the file.
pub(super) fn next(lines: &mut Lines) -> Option<Result<Line, Wrong>> {
    loop {
        let (number, fields) = match record(lines)? {
            Ok(record) => record,
            Err(wrong) => return Some(Err(wrong)),
        };
        // An empty line is no record.
        if fields.len() > 1 || !fields[0].bytes.is_empty() {
            return Some(line(number, &fields).map_err(|reason| (number, reason)));
        }
    }
}

/// A column; empty and unquoted is null.
#[derive(Default)]
struct Field {
    bytes: Vec<u8>,
    quoted: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// At the start of a column.
    Start,
    Bare,
    Quoted,
    /// After a quote within a quoted column: its end, or half of a doubled quote.
    QuoteInQuoted,
}

/// Reads a record, which goes on over line ends within quotes.
///
/// A record that was cut (a crash, a full disk) swallows the beginning of the next ones. That shows at the first quote where
/// none may be, and then the lines after the cut one are read again from the first that looks like a record.
fn record(lines: &mut Lines) -> Option<Result<(u64, Vec<Field>), Wrong>> {
    let first = match lines.next() {
        Ok(line) => line?,
        Err(error) => return Some(Err((0, format!("cannot be read further: {error}")))),
    };
    let number = first.number;
    let mut taken: Vec<Physical> = Vec::new();
    let mut size = 0;
    let mut fields = vec![Field::default()];
    let mut state = State::Start;
    let mut line = first;
    loop {
        size += line.bytes.len() + 1;
        let mut wrong = (line.cut || size > LINE_MAX).then(|| format!("longer than {} MiB", LINE_MAX >> 20));
        if wrong.is_none()
            && let Err(reason) = columns(&line.bytes, &mut fields, &mut state)
        {
            wrong = Some(reason);
        }
        taken.push(line);
        if wrong.is_none() {
            if state != State::Quoted {
                return Some(Ok((number, fields)));
            }
            if let Some(field) = fields.last_mut() {
                field.bytes.push(b'\n');
            }
            match lines.next() {
                Ok(Some(next)) => {
                    line = next;
                    continue;
                }
                Ok(None) => wrong = Some("the file ends within quotes".to_owned()),
                Err(error) => wrong = Some(format!("cannot be read further: {error}")),
            }
        }
        let again = taken.iter().skip(1).position(|line| begins_with_time(&line.bytes)).map_or(taken.len(), |at| at + 1);
        lines.put_back(taken.drain(again..));
        return Some(Err((number, wrong.unwrap_or_default())));
    }
}

/// Adds what one physical line holds to the columns read so far.
fn columns(bytes: &[u8], fields: &mut Vec<Field>, state: &mut State) -> Result<(), String> {
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let field = fields.last_mut().ok_or("no column")?;
        match (*state, byte) {
            (State::Quoted, b'"') => *state = State::QuoteInQuoted,
            (State::Quoted, _) => {
                let end = bytes[at..].iter().position(|byte| *byte == b'"').map_or(bytes.len(), |length| at + length);
                field.bytes.extend_from_slice(&bytes[at..end]);
                at = end;
                continue;
            }
            (State::QuoteInQuoted, b'"') => {
                field.bytes.push(b'"');
                *state = State::Quoted;
            }
            (_, b',') => {
                fields.push(Field::default());
                *state = State::Start;
            }
            (State::Start, b'"') => {
                field.quoted = true;
                *state = State::Quoted;
            }
            (State::QuoteInQuoted, _) => return Err(format!("column {}: expected a comma after the closing quote", fields.len())),
            (State::Bare, b'"') => return Err(format!("column {}: a quote within an unquoted column", fields.len())),
            (State::Bare | State::Start, byte) => {
                field.bytes.push(byte);
                *state = State::Bare;
            }
        }
        at += 1;
    }
    Ok(())
}

fn line(number: u64, fields: &[Field]) -> Result<Line, String> {
    if !matches!(fields.len(), 23 | 24 | 26) {
        return Err(format!("expected a record of 23, 24 or 26 columns, found {}", fields.len()));
    }
    let mut replaced = false;
    let mut optional = |at: usize| -> Option<String> {
        let field = fields.get(at)?;
        if field.bytes.is_empty() && !field.quoted {
            return None;
        }
        let (text, changed) = text(&field.bytes);
        replaced |= changed;
        Some(text)
    };
    let Some((at_us, _)) = time(&fields[0].bytes) else {
        return Err("column 1: expected a time such as 2026-11-23 09:45:00.123 UTC".to_owned());
    };
    let line = Line {
        number,
        at_us,
        user: optional(1).unwrap_or_default(),
        database: optional(2).unwrap_or_default(),
        process: optional(3).and_then(|process| process.parse().ok()),
        session: optional(5),
        session_line: optional(6).and_then(|line| line.parse().ok()),
        tag: optional(7),
        session_start_us: fields.get(8).and_then(|field| time(&field.bytes)).map(|(us, _)| us),
        vxid: optional(9),
        severity: Severity::of(&optional(11).unwrap_or_default()),
        sqlstate: optional(12),
        message: optional(13).unwrap_or_default(),
        detail: optional(14),
        context: optional(18),
        query: optional(19),
        application: optional(22).unwrap_or_default(),
        backend: optional(23),
        query_id: optional(25).and_then(|id| id.parse().ok()).filter(|id| *id != 0),
        replaced: false,
    };
    Ok(Line { replaced, ..line })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "2026-11-23 16:03:29.853 UTC,\"me\",\"shop\",21668,\"[local]\",6b0463d1.54a4,9,\"SELECT\",2026-11-23 16:03:29 UTC,3/4,0,LOG,00000,";

    fn read(text: &str) -> Vec<Result<Line, Wrong>> {
        let mut lines = Lines::new(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
        std::iter::from_fn(|| next(&mut lines)).collect()
    }

    #[test]
    fn records_of_every_major_are_read() {
        let message = "\"duration: 0.373 ms  statement: select \"\"a\"\"\n\nfrom t\",\"parameters: $1 = 'x'\",,,,,,,,\"psql\"";
        for (rest, backend, id) in [
            ("", None, None),
            (",\"client backend\"", Some("client backend"), None),
            (",\"client backend\",,77", Some("client backend"), Some(77)),
        ] {
            let found = read(&format!("{HEAD}{message}{rest}\n"));
            let [Ok(line)] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!(line.message, "duration: 0.373 ms  statement: select \"a\"\n\nfrom t");
            assert_eq!(line.detail.as_deref(), Some("parameters: $1 = 'x'"));
            assert_eq!((line.user.as_str(), line.database.as_str(), line.application.as_str()), ("me", "shop", "psql"));
            assert_eq!((line.session.as_deref(), line.session_line, line.process), (Some("6b0463d1.54a4"), Some(9), Some(21668)));
            assert_eq!((line.vxid.as_deref(), line.tag.as_deref(), line.sqlstate.as_deref()), (Some("3/4"), Some("SELECT"), Some("00000")));
            assert_eq!((line.backend.as_deref(), line.query_id, line.query.as_deref()), (backend, id, None));
            assert_eq!(line.at_us - line.session_start_us.unwrap(), 853_000);
        }
    }

    #[test]
    fn a_cut_record_costs_itself_alone() {
        let whole = format!("{HEAD}\"whole\",,,,,,,,,\"psql\"\n");
        let cut = format!("{HEAD}\"cut in the mid\n");
        for (text, good) in [(format!("{cut}{whole}{whole}"), 2), (format!("{whole}{cut}"), 1), (format!("{cut}{cut}{whole}"), 1)] {
            let found = read(&text);
            assert_eq!(found.iter().filter(|line| line.is_ok()).count(), good, "{found:?}");
            assert_eq!(found.iter().filter(|line| line.is_err()).count(), text.matches("mid").count(), "{found:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let found = read("a,b\n\n2026-11-23 16:03:29.853 UTC,a\"b\nx\n");
        let reasons: Vec<(u64, &str)> =
            found.iter().map(|line| line.as_ref().unwrap_err()).map(|(at, reason)| (*at, reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                (1, "expected a record of 23, 24 or 26 columns, found 2"),
                (3, "column 2: a quote within an unquoted column"),
                (4, "expected a record of 23, 24 or 26 columns, found 1")
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_said() {
        let mut bytes = HEAD.as_bytes().to_vec();
        bytes.extend_from_slice(b"\"statement: select '\xff'\",,,,,,,,,\"psql\"\n");
        let mut lines = Lines::new(Box::new(std::io::Cursor::new(bytes)));
        let line = next(&mut lines).unwrap().unwrap();
        assert!(line.replaced && line.message == "statement: select '\u{fffd}'", "{line:?}");
    }
}
