//! From a syntax tree to blocks of table accesses.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::{self, Ident, ObjectName, OrderByExpr, OrderByKind, SetExpr, SetOperator, SetQuantifier, Visit};

use super::captured::Captured;
use super::common::Cte;
use super::equivalence;
use super::expression::Context;
use super::names::{Named, Names};
use super::scope::{Meaning, Outcome, Output, Place, Relation, Scope, resolve};
use super::syntax::{Inside, limit, limit_parameters};
use super::{Block, Limit, ParameterUse, Write};
use crate::catalog::Table;
use crate::sql::{Parsed, parse};

/// What became of one statement's text.
#[derive(Debug)]
pub(crate) enum Reading {
    /// What it reads and writes.
    Understood {
        /// Its levels.
        blocks: Vec<Block>,
        /// What it writes.
        writes: Vec<Write>,
        /// What its parameters are for.
        parameters: BTreeMap<u32, ParameterUse>,
    },
    /// It is no workload: utility statements, and questions to the system's own catalogs.
    NotWorkload,
    /// It could not be used, and why.
    Skipped(String),
}

/// Reads one statement's text, run by `user` under `search_path` with the parameter values captured.
pub(crate) fn read(names: &Names<'_>, text: &str, search_path: &str, user: &str, captured: &[Vec<Option<String>>]) -> Reading {
    let statement = match parse(text) {
        Parsed::Statement(statement) => statement,
        Parsed::Utility => return Reading::NotWorkload,
        Parsed::Unreadable(reason) => return Reading::Skipped(reason),
    };
    let read = |path: Vec<String>| {
        let mut reader = Reader::new(names, path, Captured(captured));
        reader.statement(&statement, None);
        reader
    };
    let mut paths = names.paths(search_path, user);
    let mut reader = read(paths.remove(0));
    // The last path has every schema: what it does not find is nowhere.
    if reader.unknown.is_some()
        && let Some(all) = paths.pop()
    {
        let with_all = read(all);
        if with_all.unknown.is_none() {
            reader = paths.into_iter().map(read).find(|reader| reader.unknown.is_none()).unwrap_or(with_all);
        }
    }
    reader.finished()
}

/// What is known while a statement is read.
pub(super) struct Reader<'n, 'a> {
    pub(super) names: &'n Names<'a>,
    pub(super) path: Vec<String>,
    captured: Captured<'n>,
    /// The names in sight, outermost first.
    pub(super) scopes: Vec<Scope<'a>>,
    /// The common table expressions in sight, outermost first.
    pub(super) ctes: Vec<Cte>,
    pub(super) blocks: Vec<Block>,
    pub(super) writes: Vec<Write>,
    pub(super) parameters: BTreeMap<u32, ParameterUse>,
    /// Columns of enclosing blocks that a block's own have to equal.
    pub(super) correlations: Vec<(usize, Place)>,
    /// Accesses, by block, that an outer join may fill with NULLs.
    pub(super) nullable: BTreeSet<(usize, usize)>,
    /// Blocks that are arms of a `UNION ALL`: the planner passes join conditions on to them.
    pub(super) appended: BTreeSet<usize>,
    /// Whether the next block's projection is nobody's business (`EXISTS`).
    pub(super) projection_unread: bool,
    /// Views opened inside one another.
    pub(super) views_open: usize,
    /// Where the statement's own first block is: common table expressions are read before it.
    main: usize,
    /// Whether a query has been begun.
    started: bool,
    unknown: Option<String>,
    system: bool,
    pub(super) functions: bool,
    understood: bool,
}

impl<'n, 'a> Reader<'n, 'a> {
    fn new(names: &'n Names<'a>, path: Vec<String>, captured: Captured<'n>) -> Self {
        Self {
            names,
            path,
            captured,
            scopes: Vec::new(),
            ctes: Vec::new(),
            blocks: Vec::new(),
            writes: Vec::new(),
            parameters: BTreeMap::new(),
            correlations: Vec::new(),
            nullable: BTreeSet::new(),
            appended: BTreeSet::new(),
            projection_unread: false,
            views_open: 0,
            main: 0,
            started: false,
            unknown: None,
            system: false,
            functions: false,
            understood: true,
        }
    }

    fn finished(mut self) -> Reading {
        if let Some(name) = self.unknown {
            return Reading::Skipped(format!(
                "relation {name} is not in the snapshot (a temporary or dropped table, or a view it cannot read)"
            ));
        }
        let tables = self.blocks.iter().map(|block| block.accesses.len()).sum::<usize>() + self.writes.len();
        match (tables, self.understood) {
            (_, false) => return Reading::Skipped("a kind of statement this version does not read".to_owned()),
            // Constants alone (a pool's `select 1`) and the system's catalogs are nobody's workload.
            (0, _) if self.system || !self.functions => return Reading::NotWorkload,
            (0, _) => {
                return Reading::Skipped(
                    "names no table; what its functions do is recorded only with pg_stat_statements.track = all".to_owned(),
                );
            }
            _ => {}
        }
        self.blocks.iter_mut().for_each(equivalence::complete);
        // Outer levels first: what common table expressions added before them moves behind.
        let (count, main) = (self.blocks.len(), self.main);
        self.blocks.rotate_left(main);
        for block in &mut self.blocks {
            block.parent = block.parent.map(|parent| (parent + count - main) % count);
        }
        Reading::Understood { blocks: self.blocks, writes: self.writes, parameters: self.parameters }
    }

    /// Notes that the statement is of a kind that is not read.
    pub(super) fn not_understood(&mut self) {
        self.understood = false;
    }

    /// Reads a query as blocks of its own; `None` when its columns cannot be told.
    pub(super) fn query(&mut self, query: &ast::Query, parent: Option<usize>) -> Option<Vec<Output>> {
        let first = !std::mem::replace(&mut self.started, true);
        let outside = self.with(query, parent);
        if first {
            self.main = self.blocks.len();
        }
        limit_parameters(query, &mut |number, used| {
            self.parameters.entry(number).or_insert(used);
        });
        let order = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
            Some(OrderByKind::Expressions(keys)) => keys.as_slice(),
            _ => &[],
        };
        let cut = limit(query);
        let outputs = self.body(&query.body, order, cut, parent);
        self.ctes.truncate(outside);
        outputs.map(|outputs| if cut.is_some() { computed(outputs) } else { outputs })
    }

    fn body(&mut self, body: &SetExpr, order: &[OrderByExpr], limit: Option<Limit>, parent: Option<usize>) -> Option<Vec<Output>> {
        match body {
            SetExpr::Select(select) => self.select(select, order, limit, parent),
            // Parentheres around all of it: order and limit stand outside.
            SetExpr::Query(query)
                if query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none() =>
            {
                self.body(&query.body, order, limit, parent)
            }
            SetExpr::Query(query) => self.query(query, parent),
            SetExpr::SetOperation { left, right, op, set_quantifier } => {
                let appends = *op == SetOperator::Union && *set_quantifier == SetQuantifier::All;
                // The arms of a UNION ALL may arrive in order and be merged; any other needs all of them first.
                let (order, limit) = if appends { (order, limit) } else { (&[][..], None) };
                let left = self.body(left, order, limit, parent);
                let right = self.body(right, order, limit, parent);
                self.united(left?, right?, appends)
            }
            SetExpr::Values(values) => {
                self.open(parent);
                values.rows.iter().flat_map(|row| &row.content).for_each(|value| self.inside(value));
                self.scopes.pop();
                None
            }
            SetExpr::Insert(statement) | SetExpr::Update(statement) | SetExpr::Delete(statement) | SetExpr::Merge(statement) => {
                self.statement(statement, parent);
                None
            }
            SetExpr::Table(table) => {
                let parts = table.schema_name.iter().chain(&table.table_name).map(Ident::new).collect::<Vec<_>>();
                let block = self.open(parent);
                self.relation(&ObjectName::from(parts), None);
                self.every_column(block, None);
                self.blocks[block].limit = limit;
                self.scopes.pop();
                None
            }
        }
    }

    fn united(&mut self, left: Vec<Output>, right: Vec<Output>, appends: bool) -> Option<Vec<Output>> {
        if left.len() != right.len() {
            return None;
        }
        let unite = |(left, right): (Output, Output)| {
            let is = match (left.is, right.is) {
                (Outcome::Column(left), Outcome::Column(right)) => Outcome::Column([left, right].concat()),
                _ => Outcome::Computed,
            };
            Output { name: left.name, is, reads: [left.reads, right.reads].concat() }
        };
        let united: Vec<Output> = left.into_iter().zip(right).map(unite).collect();
        if appends {
            self.appended.extend(united.iter().flat_map(places).map(|place| place.block));
        }
        Some(united)
    }

    /// Notes the columns an expression reads, and reads the subqueries inside it.
    pub(super) fn inside(&mut self, visited: &impl Visit) {
        let mut found = Inside::default();
        let _ = visited.visit(&mut found);
        self.functions |= found.function;
        let Some(block) = self.scopes.last().map(|scope| scope.block) else { return };
        for parts in &found.names {
            let (reads, outer) = match resolve(&self.scopes, parts) {
                Meaning::Column(place) => (vec![place], false),
                Meaning::Expression { reads, .. } => (reads.to_vec(), false),
                Meaning::Outer(reads) => (reads, true),
                // `count(t)` and `to_json(t)` name the row.
                Meaning::Other | Meaning::Elsewhere(_) => {
                    if let [only] = parts.as_slice() {
                        self.every_column(block, Some(&super::names::folded(only)));
                    }
                    continue;
                }
            };
            self.blocks[block].correlated |= outer;
            self.note_reads(&reads);
        }
        for query in &found.queries {
            self.query(query, Some(block));
        }
    }

    /// Notes that columns are read.
    pub(super) fn note_reads(&mut self, places: &[Place]) {
        for place in places {
            if let Some(access) = self.blocks[place.block].accesses.get_mut(place.access) {
                access.columns.insert(place.column.clone());
            }
        }
    }

    /// Notes that every column of what an alias names is read; of everything in `FROM` without one.
    pub(super) fn every_column(&mut self, block: usize, alias: Option<&str>) {
        let Some(scope) = self.scopes.last() else { return };
        let mut reads = Vec::new();
        for source in scope.sources.iter().filter(|source| alias.is_none_or(|alias| source.alias == alias)) {
            match &source.is {
                Relation::Table { access, .. } => self.blocks[block].accesses[*access].whole_row = true,
                Relation::Derived(outputs) => reads.extend(outputs.iter().flat_map(|output| output.reads.iter().cloned())),
                Relation::Opaque => {}
            }
        }
        self.note_reads(&reads);
    }

    /// Finds a relation, and notes when there is none.
    pub(super) fn find(&mut self, name: &ObjectName) -> Named<'a> {
        let found = self.names.find(name, &self.path);
        match &found {
            Named::System => self.system = true,
            Named::Unknown(name) => self.note_unknown(name.clone()),
            Named::Table(_) | Named::View(_) => {}
        }
        found
    }

    /// Finds a table that is written to.
    pub(super) fn table(&mut self, name: &ObjectName) -> Option<&'a Table> {
        match self.find(name) {
            Named::Table(table) => Some(table),
            Named::View(view) => {
                self.note_unknown(format!("{} (written through its view)", view.name));
                None
            }
            Named::System | Named::Unknown(_) => None,
        }
    }

    pub(super) fn note_unknown(&mut self, name: String) {
        self.unknown.get_or_insert(name);
    }

    pub(super) fn open(&mut self, parent: Option<usize>) -> usize {
        let block = self.blocks.len();
        self.blocks.push(Block { parent, ..Block::default() });
        self.scopes.push(Scope { block, sources: Vec::new() });
        block
    }

    /// Returns the number of accesses of the innermost block.
    pub(super) fn accesses(&self) -> usize {
        self.scopes.last().map_or(0, |scope| self.blocks[scope.block].accesses.len())
    }

    pub(super) fn context(&self) -> Context<'_, 'a> {
        Context { scopes: &self.scopes, blocks: &self.blocks, names: self.names, captured: self.captured }
    }
}

/// Returns the places a condition on a column could be passed on to.
pub(super) fn places(output: &Output) -> &[Place] {
    match &output.is {
        Outcome::Column(places) => places,
        _ => &[],
    }
}

/// Cuts columns off from where they come from: conditions on them are not passed on.
pub(super) fn computed(mut outputs: Vec<Output>) -> Vec<Output> {
    outputs.iter_mut().for_each(|output| output.is = Outcome::Computed);
    outputs
}
