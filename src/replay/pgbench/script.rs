//! A script as read: its commands in order, and their text.

use std::fmt;

use super::expression::Expression;
use super::place::Place;
use super::sql::Part;

/// A pgbench script.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// The file's name, or `builtin:NAME`.
    pub name: String,
    /// What it does.
    pub commands: Vec<Command>,
}

/// One command and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Where it begins.
    pub place: Place,
    /// What it does.
    pub kind: Kind,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Sends SQL.
    Sql {
        /// Its text and the variables in it.
        parts: Vec<Part>,
        /// Where the answer goes.
        capture: Option<Capture>,
    },
    /// `\set name expression`
    Set(String, Expression),
    /// `\if expression`
    If(Expression),
    /// `\elif expression`
    Elif(Expression),
    /// `\else`
    Else,
    /// `\endif`
    Endif,
    /// `\sleep amount unit`
    Sleep(Amount, Unit),
    /// `\setshell name words…`
    Setshell(String, Vec<String>),
    /// `\shell words…`
    Shell(Vec<String>),
    /// `\startpipeline`
    StartPipeline,
    /// `\syncpipeline`
    SyncPipeline,
    /// `\endpipeline`
    EndPipeline,
}

/// `\gset` or `\aset`: the columns of a row become variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// `\aset`: any number of rows, of every command of the request; `\gset`: exactly one, of the last.
    pub all: bool,
    /// What the variables' names begin with.
    pub prefix: String,
}

/// How many units to sleep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// This many.
    Fixed(u32),
    /// As many as the variable says.
    Variable(String),
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl Unit {
    /// Returns it as scripts spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Ms => "ms",
            Self::S => "s",
        }
    }
}

impl Kind {
    /// Returns the command's first word, for messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sql { .. } => "SQL",
            Self::Set(..) => "\\set",
            Self::If(_) => "\\if",
            Self::Elif(_) => "\\elif",
            Self::Else => "\\else",
            Self::Endif => "\\endif",
            Self::Sleep(..) => "\\sleep",
            Self::Setshell(..) => "\\setshell",
            Self::Shell(_) => "\\shell",
            Self::StartPipeline => "\\startpipeline",
            Self::SyncPipeline => "\\syncpipeline",
            Self::EndPipeline => "\\endpipeline",
        }
    }
}

impl fmt::Display for Script {
    /// Writes the script so that reading it gives the same commands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for command in &self.commands {
            writeln!(f, "{}", command.kind)?;
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Self::Sql { parts, capture } => {
                parts.iter().try_for_each(|part| write!(f, "{part}"))?;
                match capture {
                    None => f.write_str(";"),
                    Some(Capture { all, prefix }) => {
                        let space = if prefix.is_empty() { "" } else { " " };
                        write!(f, " \\{}set{space}{prefix}", if *all { "a" } else { "g" })
                    }
                }
            }
            Self::Set(name, expression) => write!(f, "{word} {name} {expression}"),
            Self::If(expression) | Self::Elif(expression) => write!(f, "{word} {expression}"),
            Self::Sleep(Amount::Fixed(amount), unit) => write!(f, "{word} {amount} {}", unit.name()),
            Self::Sleep(Amount::Variable(name), unit) => write!(f, "{word} :{name} {}", unit.name()),
            Self::Setshell(name, words) => write!(f, "{word} {name} {}", words.join(" ")),
            Self::Shell(words) => write!(f, "{word} {}", words.join(" ")),
            Self::Else | Self::Endif | Self::StartPipeline | Self::SyncPipeline | Self::EndPipeline => f.write_str(word),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Variable(name) | Self::Quoted(name) => write!(f, ":{name}"),
            Self::Joint => f.write_str("\\;"),
            Self::Colon => f.write_str("\\:"),
        }
    }
}
