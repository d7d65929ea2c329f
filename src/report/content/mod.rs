//! What every text format says, worked out once: sentences, grids and facts as plain text.
//!
//! Nothing here is escaped, coloured or wrapped; that is each format's own work.

pub mod audit;
pub mod capacity;
pub mod change;
pub mod load;
pub mod page;
pub mod phrase;
pub mod profile;

use serde::Serialize;

pub use audit::AuditContent;
pub use capacity::CapacityContent;
pub use change::ComparisonContent;
pub use load::RunContent;
pub use page::Page;
pub use profile::ProfileContent;

/// A table of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grid {
    /// What the table shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a [`Grid`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// The heading.
    pub title: String,
    /// Whether it holds numbers, which stand to the right.
    pub numeric: bool,
}

/// How a text is to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Neither way.
    #[default]
    Plain,
    /// An improvement.
    Good,
    /// A loss or an error.
    Bad,
    /// Of less weight.
    Muted,
}

/// One place of a [`Grid`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// A second line of less weight; empty for none.
    pub note: String,
    /// How it is to be taken.
    pub tone: Tone,
    /// Whether the text is code: a name, SQL.
    pub code: bool,
}

/// A fact with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Grid {
    /// Makes an empty grid; a title that begins with `#` is of a numeric column.
    fn new(caption: impl Into<String>, titles: &[&str]) -> Self {
        let column = |title: &&str| match title.strip_prefix('#') {
            Some(title) => Column { title: title.to_owned(), numeric: true },
            None => Column { title: (*title).to_owned(), numeric: false },
        };
        Self { caption: caption.into(), columns: titles.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Takes out the column of that title when it holds dashes only: it would cost the others their width.
    fn drop_if_empty(&mut self, title: &str) {
        let Some(position) = self.columns.iter().position(|column| column.title == title) else { return };
        if self.rows.iter().all(|row| row[position].text == phrase::DASH) {
            self.columns.remove(position);
            for row in &mut self.rows {
                row.remove(position);
            }
        }
    }
}

impl Cell {
    /// Makes a cell of plain text.
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Makes a cell of code.
    fn code(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: true, ..Self::default() }
    }

    /// Adds a second line.
    fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Says how it is to be taken.
    fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

impl Fact {
    /// Names a value.
    fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}
