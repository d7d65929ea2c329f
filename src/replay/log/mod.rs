//! Server logs as recorded traffic: files in, statements with their session, transaction, time and parameters out.
//!
//! ```text
//! bytes ──▶ physical ──▶ csv | json | stderr (prefix) ──▶ Line ──▶ Merge ──▶ message ──▶ Sessions ──▶ Statement
//! ```
//!
//! Everything streams: what is in memory is one logical line a file and a little for each session that is still open. A line
//! that cannot be read is an item of its own and ends nothing. Never prints and never opens a file.

mod csv;
mod json;
mod language;
mod line;
mod physical;
mod prefix;
mod reader;
mod stderr;
mod time;
mod usual;

pub use language::foreign;
pub use line::{BadLine, Line, Severity};
pub use physical::decompressed;
pub use prefix::{Prefix, PrefixError};
pub use reader::{Format, Opened, Options, Reader};
