//! Recorded statements as the rules see them: all roles' calls added up, each text parsed once for all rules.
//!
//! Only statements that read or write rows of user tables are here, with a query id and a text this role may see. A text is
//! parsed when the first rule asks for it (`Recorded::reading`), so that an audit parses what has weight and no more.

pub(crate) mod comparison;
pub(crate) mod level;
mod read;
pub(crate) mod rewrite;
pub(crate) mod target;
pub(crate) mod tell;
mod totals;

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};

pub(crate) use level::{Level, Reading};
pub(crate) use totals::Totals;

use crate::catalog::{Oid, Relations, Statement, Table};
use crate::findings::statement_text;

/// 5 calls: fewer may have been someone at a prompt, or met a cold cache.
pub(crate) const MIN_CALLS: u64 = 5;

/// 1 % of all execution time: below it a better text is not worth the change.
const SMALL_SHARE: f64 = 0.01;

/// 1 ms: what is quicker has nothing to gain that anybody would notice.
const QUICK_MS: f64 = 1.0;

/// 100 ms: about where a person begins to notice a wait, and a request often makes several calls.
pub(crate) const SLOW_MS: f64 = 100.0;

/// A snapshot's statements.
#[derive(Debug)]
pub struct Statements<'a> {
    list: Vec<Recorded<'a>>,
    names: HashMap<(&'a str, &'a str), &'a Table>,
    /// Whether execution times were recorded: a file of statements has none.
    timed: bool,
    asked: OnceCell<Asked>,
}

/// Which statements ask what of which table.
#[derive(Debug, Default)]
struct Asked {
    /// By table: the statement, and the level of its reading, as positions in their lists.
    levels: HashMap<Oid, Vec<(usize, usize)>>,
    /// All words of the texts that are not understood, in lower case.
    unread_words: HashSet<String>,
}

/// One statement over all roles that ran it.
#[derive(Debug)]
pub(crate) struct Recorded<'a> {
    /// The query id.
    pub(crate) id: &'a str,
    /// The normalised text.
    pub(crate) query: &'a str,
    /// What its calls did.
    pub(crate) totals: Totals,
    /// Its share of all recorded execution time, 0 to 1; of all calls where no time was recorded.
    pub(crate) share: f64,
    /// Parameter values seen with it, one list a call.
    pub(crate) parameters: &'a [Vec<Option<String>>],
    user: &'a str,
    search_path: &'a str,
    reading: OnceCell<Option<Reading<'a>>>,
}

impl<'a> Statements<'a> {
    /// Adds up a snapshot's statements.
    pub fn new(relations: &Relations<'a>) -> Self {
        let snapshot = relations.snapshot;
        // Statements inside functions are already part of the time of the call that ran them.
        let top_level = || snapshot.statements.iter().filter(|statement| statement.top_level && !statement.is_own());
        let ms: f64 = top_level().map(|statement| statement.exec_ms_total).sum();
        let calls: u64 = top_level().map(|statement| statement.calls).sum();
        let mut by_id: BTreeMap<&str, Recorded<'a>> = BTreeMap::new();
        for statement in &snapshot.statements {
            if let (Some(id), Some(query)) = (&statement.query_id, &statement.query)
                && is_of_interest(query)
            {
                by_id.entry(id).or_insert_with(|| Recorded::new(id, query, statement)).totals.add(statement);
            }
        }
        let timed = ms > 0.0;
        let mut list: Vec<Recorded<'a>> = by_id.into_values().collect();
        for recorded in &mut list {
            recorded.share = if timed { recorded.totals.exec_ms / ms } else { recorded.totals.calls as f64 / calls.max(1) as f64 };
        }
        let key = |table: &'a Table| ((table.name.schema.as_str(), table.name.name.as_str()), table);
        Self { list, names: snapshot.tables.iter().map(key).collect(), timed, asked: OnceCell::new() }
    }

    /// Returns every statement, in the order of the query ids.
    pub(crate) fn all(&self) -> &[Recorded<'a>] {
        &self.list
    }

    /// Returns the statements whose text is worth a change: called often enough, and either slow or 1 % of all execution time.
    pub(crate) fn weighty(&self) -> impl Iterator<Item = &Recorded<'a>> {
        self.list.iter().filter(|recorded| {
            let felt = recorded.totals.mean_ms() >= QUICK_MS || !self.timed;
            recorded.totals.calls >= MIN_CALLS && felt && (recorded.share >= SMALL_SHARE || recorded.totals.mean_ms() >= SLOW_MS)
        })
    }

    /// Returns what a statement's text reads and writes; `None` when it is not understood.
    pub(crate) fn reading<'s>(&'s self, recorded: &'s Recorded<'a>) -> Option<&'s Reading<'a>> {
        recorded.reading.get_or_init(|| read::read(&self.names, recorded.query, recorded.search_path, recorded.user)).as_ref()
    }

    /// Returns whether a text that is not understood names the table: what it asks of it nobody knows.
    pub(crate) fn unread_naming(&self, table: &Table) -> bool {
        self.asked().unread_words.contains(&table.name.name.to_lowercase())
    }

    /// Returns each level of each understood statement that reads the table, with the statement.
    pub(crate) fn levels_on<'s>(&'s self, table: &Table) -> impl Iterator<Item = (&'s Recorded<'a>, &'s Level<'a>)> {
        let found = self.asked().levels.get(&table.oid).map_or(&[][..], Vec::as_slice);
        found.iter().filter_map(|&(statement, level)| {
            let recorded = &self.list[statement];
            Some((recorded, self.reading(recorded)?.levels.get(level)?))
        })
    }

    fn asked(&self) -> &Asked {
        self.asked.get_or_init(|| {
            let mut asked = Asked::default();
            for (position, recorded) in self.list.iter().enumerate() {
                match self.reading(recorded) {
                    Some(reading) => {
                        for (number, level) in reading.levels.iter().enumerate() {
                            let tables: HashSet<Oid> = level.tables().map(|table| table.oid).collect();
                            tables.into_iter().for_each(|table| asked.levels.entry(table).or_default().push((position, number)));
                        }
                    }
                    None => asked.unread_words.extend(statement_text::words(recorded.query).map(str::to_lowercase)),
                }
            }
            asked
        })
    }
}

impl<'a> Recorded<'a> {
    fn new(id: &'a str, query: &'a str, statement: &'a Statement) -> Self {
        Self {
            id,
            query,
            totals: Totals::default(),
            share: 0.0,
            parameters: &statement.parameters,
            user: &statement.user,
            search_path: &statement.search_path,
            reading: OnceCell::new(),
        }
    }

    /// Returns whether a call touches as many blocks as reading at least a tenth of a heap of so many pages would.
    ///
    /// A call that touches few blocks found its rows by another condition. Where no blocks were recorded (a file of
    /// statements) nothing speaks against it.
    pub(crate) fn reads_much_of(&self, pages: u64) -> bool {
        /// 100 blocks: fewer are a handful of index look-ups.
        const FEW_BLOCKS: f64 = 100.0;
        let blocks = self.totals.blocks_per_call();
        self.totals.exec_ms == 0.0 || blocks >= FEW_BLOCKS.max(pages as f64 / 10.0)
    }
}

/// Returns whether an index or another text could change the statement's time: it reads or writes rows of user tables.
fn is_of_interest(query: &str) -> bool {
    let verb = statement_text::verb(query);
    matches!(verb.as_str(), "select" | "insert" | "update" | "delete" | "merge" | "with" | "values" | "table")
        && !statement_text::reads_catalogs(query)
}
