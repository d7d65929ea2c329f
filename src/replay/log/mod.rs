//! Server logs as recorded traffic: files in, statements with their session, transaction, time and parameters out.
//!
//! ```text
//! bytes ──▶ physical ──▶ csv | json | stderr (prefix) ──▶ Line ──▶ Merge ──▶ message ──▶ Sessions ──▶ Statement
//! ```
//!
//! Everything streams: what is in memory is one logical line a file and a little for each session that is still open. A line
//! that cannot be read is an item of its own and ends nothing. Never prints and never opens a file.

mod control;
mod csv;
mod event;
mod json;
mod language;
mod line;
mod merge;
mod message;
mod parameters;
mod pending;
mod physical;
mod prefix;
mod reader;
mod session;
mod sessions;
mod settings;
mod skip;
mod stderr;
mod time;
mod transaction;
mod usual;

pub use event::{Client, Deed, Event, Failed, Protocol, Statement};
pub use line::{BadLine, Line, Severity};
pub use merge::Merge;
pub use physical::decompressed;
pub use prefix::{Prefix, PrefixError};
pub use reader::{Format, Opened, Options, Reader};
pub use sessions::Sessions;
pub use settings::SETTINGS;
pub use skip::{Counts, Reason};

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
