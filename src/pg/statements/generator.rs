//! Where the values of one parameter come from, as a workload file spells it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::catalog::{Oid, Table};

/// Rows drawn of each table: enough that calls are not all for the same few pages.
const ROWS: usize = 10_000;

/// Where values come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Generator {
    /// Rows of a table.
    Rows {
        /// The table.
        table: Oid,
        /// The column.
        column: String,
        /// What is taken of it.
        take: Take,
    },
    /// One of these; `None` is null.
    Choice(Vec<Option<String>>),
    /// A number within these bounds.
    Int(i64, i64),
    /// So many letters.
    Letters(usize),
    /// A new UUID.
    Uuid,
}

/// What is taken of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Take {
    /// The value of the row so many behind the call's.
    Value(u32),
    /// An array of so many values.
    Any(u32),
    /// A value of such a rank.
    Rank(f64, f64),
    /// A pattern for its beginning, and the share of the rows it finds.
    Begins(Option<f64>),
    /// A part of it.
    Part,
}

/// An argument in the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Spelled {
    Present {
        present: String,
        row: u32,
    },
    Any {
        any: String,
        of: u32,
    },
    Rank {
        rank: String,
        from: f64,
        to: f64,
    },
    Begins {
        begins: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        share: Option<f64>,
    },
    Part {
        part: String,
    },
    Value {
        value: Option<String>,
    },
    Choice {
        choice: Vec<Option<String>>,
    },
    Int {
        int: [i64; 2],
    },
    Text {
        text: usize,
    },
    Uuid {
        uuid: bool,
    },
}

/// A sample in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct SampleText {
    table: String,
    columns: Vec<String>,
    rows: usize,
}

/// The samples of a workload, filled while its statements are spelled.
#[derive(Debug, Default)]
pub(super) struct SampleTexts {
    names: BTreeMap<Oid, String>,
    samples: BTreeMap<String, SampleText>,
}

impl SampleTexts {
    /// Spells a generator; `table` is that of its rows.
    pub(super) fn spell(&mut self, generator: &Generator, table: Option<&Table>) -> Spelled {
        match (generator, table) {
            (Generator::Rows { column, take, .. }, Some(table)) => {
                let name = self.column(table, column);
                match *take {
                    Take::Value(row) => Spelled::Present { present: name, row },
                    Take::Any(of) => Spelled::Any { any: name, of },
                    Take::Rank(from, to) => Spelled::Rank { rank: name, from, to },
                    Take::Begins(share) => Spelled::Begins { begins: name, share },
                    Take::Part => Spelled::Part { part: name },
                }
            }
            (Generator::Rows { .. }, None) => Spelled::Value { value: None },
            (Generator::Choice(values), _) => match values.as_slice() {
                [only] => Spelled::Value { value: only.clone() },
                values => Spelled::Choice { choice: values.to_vec() },
            },
            (Generator::Int(low, high), _) => Spelled::Int { int: [*low, *high] },
            (Generator::Letters(length), _) => Spelled::Text { text: *length },
            (Generator::Uuid, _) => Spelled::Uuid { uuid: true },
        }
    }

    /// Names a column of a sample, adding either where it is missing.
    fn column(&mut self, table: &Table, column: &str) -> String {
        let name = match self.names.get(&table.oid) {
            Some(name) => name.clone(),
            None => {
                let plain = plain(&table.name.name);
                let with_schema = format!("{}_{plain}", self::plain(&table.name.schema));
                let numbered = (2..).map(|number| format!("{with_schema}_{number}"));
                let mut names = [plain, with_schema.clone()].into_iter().chain(numbered);
                let name = names.find(|name| !self.samples.contains_key(name)).unwrap_or(with_schema);
                self.names.insert(table.oid, name.clone());
                name
            }
        };
        let sample = self.samples.entry(name.clone()).or_insert_with(|| SampleText {
            table: table.name.to_string(),
            columns: Vec::new(),
            rows: ROWS,
        });
        if !sample.columns.iter().any(|known| known == column) {
            sample.columns.push(column.to_owned());
        }
        format!("{name}.{column}")
    }

    /// Returns them by name.
    pub(super) fn finished(self) -> BTreeMap<String, SampleText> {
        self.samples
    }
}

/// Returns a name of letters, digits and underscores.
pub(super) fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_alphanumeric() || letter == '_' { letter } else { '_' }).collect()
}
