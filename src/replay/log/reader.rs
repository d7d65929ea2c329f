//! A log file as logical lines, its format and prefix found from its first lines.

use std::io::BufRead;

use super::csv;
use super::json;
use super::line::{BadLine, Line};
use super::physical::{Lines, Physical};
use super::prefix::Prefix;
use super::stderr::Stderr;
use super::time::time;
use super::usual;

/// Lines looked at to find a file's format and prefix.
const LOOK: usize = 200;

/// How often a guessed prefix may be guessed again within a file.
const GUESSES: u32 = 100;

/// How a server writes its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `log_destination = csvlog`.
    Csv,
    /// `log_destination = jsonlog`.
    Json,
    /// `log_destination = stderr`.
    Stderr,
}

impl Format {
    /// Returns the name `log_destination` has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csvlog",
            Self::Json => "jsonlog",
            Self::Stderr => "stderr",
        }
    }
}

/// What the caller knows of a file.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Its format; found from the first lines by default.
    pub format: Option<Format>,
    /// The server's `log_line_prefix`; found from the first lines by default.
    pub prefix: Option<Prefix>,
}

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its format.
    pub format: Format,
    /// Its prefix, for [`Format::Stderr`].
    pub prefix: Option<Prefix>,
    /// Whether the prefix is a guess from the first lines.
    pub guessed: bool,
}

/// The logical lines of one file, good ones and bad ones.
pub struct Reader {
    file: String,
    lines: Lines,
    form: Form,
    opened: Opened,
    ended: bool,
}

enum Form {
    Csv,
    Json,
    Stderr(Stderr),
}

impl Reader {
    /// Looks at the first lines; `file` is only for messages.
    ///
    /// # Errors
    /// [`BadLine`] where the format, or the prefix of a stderr log, cannot be told.
    pub fn open(input: Box<dyn BufRead>, file: &str, options: &Options) -> Result<Self, BadLine> {
        let mut lines = Lines::new(input);
        let mut first: Vec<Physical> = Vec::new();
        let wrong = |line: u64, reason: String| BadLine { file: file.to_owned(), line, reason };
        while first.len() < LOOK {
            match lines.next() {
                Ok(Some(line)) => first.push(line),
                Ok(None) => break,
                Err(error) if first.is_empty() => return Err(wrong(1, format!("cannot be read: {error}"))),
                Err(_) => break,
            }
        }
        let format = options.format.unwrap_or_else(|| format_of(&first));
        let mut prefix = None;
        let mut guessed = false;
        let form = match format {
            Format::Csv => Form::Csv,
            Format::Json => Form::Json,
            Format::Stderr => {
                guessed = options.prefix.is_none();
                let found = match options.prefix.clone().or_else(|| usual::guess(&first)) {
                    Some(found) => found,
                    // A file without a line has none that does not fit.
                    None if first.iter().all(|line| line.bytes.is_empty()) => {
                        Prefix::compile("%m [%p] ").map_err(|error| wrong(1, error.to_string()))?
                    }
                    None => {
                        let line = first.iter().find(|line| !line.bytes.is_empty());
                        return Err(wrong(
                            line.map_or(1, |line| line.number),
                            "no usual log_line_prefix fits its first lines: give the server's with --prefix (show log_line_prefix)"
                                .to_owned(),
                        ));
                    }
                };
                prefix = Some(found.clone());
                Form::Stderr(Stderr { prefix: found, guesses: if guessed { GUESSES } else { 0 } })
            }
        };
        lines.put_back(first.into_iter());
        Ok(Self { file: file.to_owned(), lines, form, opened: Opened { format, prefix, guessed }, ended: false })
    }

    /// Returns what the file turned out to be; a guessed prefix is the one read with last.
    pub fn opened(&self) -> Opened {
        match &self.form {
            Form::Stderr(stderr) => Opened { prefix: Some(stderr.prefix.clone()), ..self.opened.clone() },
            Form::Csv | Form::Json => self.opened.clone(),
        }
    }

    /// Returns the file's name, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }
}

impl Iterator for Reader {
    type Item = Result<Line, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let found = match &mut self.form {
            Form::Csv => csv::next(&mut self.lines),
            Form::Json => json::next(&mut self.lines),
            Form::Stderr(stderr) => stderr.next(&mut self.lines),
        };
        // Line 0 stands for the file itself: it cannot be read further.
        self.ended = matches!(found, None | Some(Err((0, _))));
        found.map(|found| found.map_err(|(line, reason)| BadLine { file: self.file.clone(), line, reason }))
    }
}

/// Tells the format from how lines begin: an object, a time and a comma, or anything else.
fn format_of(lines: &[Physical]) -> Format {
    for line in lines {
        if line.bytes.first() == Some(&b'{') && line.bytes.windows(12).any(|window| window == b"\"timestamp\":") {
            return Format::Json;
        }
        if let Some((_, length)) = time(&line.bytes) {
            return if line.bytes.get(length) == Some(&b',') { Format::Csv } else { Format::Stderr };
        }
    }
    Format::Stderr
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &'static str, options: &Options) -> Result<Reader, BadLine> {
        Reader::open(Box::new(text.as_bytes()), "a.log", options)
    }

    #[test]
    fn the_format_is_told_from_the_lines() {
        let none = Options::default();
        assert_eq!(open("2026-11-23 16:03:29.853 UTC,\"me\"", &none).unwrap().opened().format, Format::Csv);
        assert_eq!(open("{\"timestamp\":\"2026-11-23 16:03:29.853 UTC\"}", &none).unwrap().opened().format, Format::Json);
        let stderr = open("\tgoes on\n2026-11-23 16:03:29.853 UTC [7] LOG:  x\n", &none).unwrap();
        assert!(stderr.opened().guessed && stderr.opened().format == Format::Stderr);
        assert_eq!(stderr.map(|line| line.map_or_else(|bad| bad.line, |line| line.number)).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(open("", &none).unwrap().count(), 0);
    }

    #[test]
    fn a_prefix_that_is_not_usual_has_to_be_given() {
        let text = "7 <2026-11-23 16:03:29.853 UTC> LOG:  x\n";
        let refused = open(text, &Options::default()).err().unwrap().to_string();
        assert_eq!(
            refused,
            "a.log:1: no usual log_line_prefix fits its first lines: give the server's with --prefix (show log_line_prefix)"
        );
        let options = Options { prefix: Some(Prefix::compile("%p <%m> ").unwrap()), ..Options::default() };
        let mut reader = open(text, &options).unwrap();
        assert!(!reader.opened().guessed);
        assert_eq!(reader.next().unwrap().unwrap().process, Some(7));
    }
}
