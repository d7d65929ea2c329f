//! Which values a recorded statement's parameters get: what each is compared with, and how many rows its calls returned.

use std::collections::BTreeMap;

use super::clause::{Clause, clauses};
use super::generator::{Generator, Take};
use crate::advisor::query::{Class, Comparison, Limit, ParameterUse, Query};
use crate::advisor::values::{self, Hint, hints};
use crate::catalog::{Column, Oid, Relations, Table};

/// Values of a list whose length nothing tells, as the planner takes it.
const LIST_UNKNOWN: u32 = 10;

/// The longest list that is made.
const LIST_MAX: f64 = 1000.0;

/// The share of a column that a range takes when the recorded rows do not tell it. Convention, not theory.
const RANGE_UNKNOWN: f64 = 0.1;

/// The row of a page when the recorded calls returned none.
const PAGE_UNKNOWN: &str = "10";

/// Page sizes that people ask for.
const PAGES: [f64; 11] = [1.0, 2.0, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// Letters of new values of a unique text column: no two calls of a run have the same.
const NEW_LETTERS: usize = 16;

/// The generators of a statement's parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    /// One a parameter, in order.
    pub(super) generators: Vec<Generator>,
    /// Whether some parameter has any value of its type, since it decides over no row.
    pub(super) by_type: bool,
}

/// What is known of a statement.
pub(super) struct Chooser<'a> {
    relations: &'a Relations<'a>,
    query: &'a Query,
    clauses: BTreeMap<u32, Clause>,
    hints: BTreeMap<u32, Hint>,
}

/// A column that parameters are compared with.
#[derive(Clone, Copy)]
struct Compared<'a> {
    table: &'a Table,
    column: &'a Column,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(relations: &'a Relations<'a>, query: &'a Query) -> Self {
        Self { relations, query, clauses: clauses(&query.text), hints: hints(&query.text) }
    }

    /// Chooses a generator for each parameter; `types` are theirs, as `format_type` prints them.
    ///
    /// # Errors
    /// Which parameter has no source of values, and why.
    pub(super) fn choose(&self, types: &[String]) -> Result<Chosen, String> {
        let likely = values::sets(self.relations.snapshot, self.query, types);
        let mut chosen = Chosen { generators: Vec::with_capacity(types.len()), by_type: false };
        let mut rows: BTreeMap<(Oid, &str, bool), u32> = BTreeMap::new();
        for (number, type_name) in (1..).zip(types) {
            let likely = || {
                let mut choice: Vec<Option<String>> = Vec::new();
                for set in &likely {
                    let value = unquoted(&set.literals[number as usize - 1]);
                    if !choice.contains(&value) {
                        choice.push(value);
                    }
                }
                Generator::Choice(choice)
            };
            let generator = match (self.hints.get(&number), self.query.parameters.get(&number)) {
                (Some(Hint::Value(_) | Hint::Unit(_)), _) => likely(),
                (_, Some(ParameterUse::Limit)) | (Some(Hint::Limit), None) => Generator::Choice(vec![Some(self.page(number))]),
                (_, Some(ParameterUse::Offset)) | (Some(Hint::Offset), None) => Generator::Choice(vec![Some("0".to_owned())]),
                (_, Some(ParameterUse::Column { comparison: Comparison::Age, .. })) => likely(),
                (hint, Some(ParameterUse::Column { table, column, comparison })) => {
                    let compared = self.compared(*table, column)?;
                    // `at > now() - $1`, whatever it was taken for.
                    if type_name == "interval" && compared.column.type_name != "interval" {
                        likely()
                    } else {
                        let take = self.take(number, compared, *comparison, hint.copied(), type_name, &mut rows)?;
                        self.fresh(number, compared, type_name).unwrap_or(Generator::Rows { table: *table, column: column.clone(), take })
                    }
                }
                _ => match self.clauses.get(&number) {
                    Some(Clause::Output | Clause::Set | Clause::Values) => {
                        chosen.by_type = true;
                        likely()
                    }
                    // A number that the text does not have is bound and read by nothing.
                    None => likely(),
                    Some(Clause::Condition) => {
                        return Err(
                            "a parameter decides over rows and is compared with no column: rows there are have no value for it".to_owned()
                        );
                    }
                },
            };
            chosen.generators.push(generator);
        }
        Ok(chosen)
    }

    /// Returns how long the list of values is that begins with a parameter.
    pub(super) fn list_length(&self, number: u32) -> u32 {
        match self.query.parameters.get(&number) {
            Some(ParameterUse::Column { table, column, .. }) => {
                self.compared(*table, column).map_or(LIST_UNKNOWN, |compared| self.values_of(compared))
            }
            _ => LIST_UNKNOWN,
        }
    }

    fn compared(&self, table: Oid, column: &str) -> Result<Compared<'a>, String> {
        let found = self.relations.table(table);
        let found = found.and_then(|table| Some(Compared { table, column: table.columns.iter().find(|known| known.name == column)? }));
        found.ok_or_else(|| "a column it compares with is gone".to_owned())
    }

    fn take(
        &self,
        number: u32,
        compared: Compared<'a>,
        comparison: Comparison,
        hint: Option<Hint>,
        type_name: &str,
        rows: &mut BTreeMap<(Oid, &'a str, bool), u32>,
    ) -> Result<Take, String> {
        let Compared { table, column } = compared;
        let is_array = type_name.ends_with("[]") && !column.type_name.ends_with("[]");
        let inside = |what: &str| Err(format!("a parameter is {what}: only whole values of a column are taken from rows"));
        match comparison {
            Comparison::Pattern => match hint {
                Some(Hint::Like | Hint::Ilike) => {
                    let rows = self.rows_per_call().filter(|rows| *rows > 0.0 && self.is_alone(compared));
                    Ok(Take::Begins(rows.map(|rows| (rows / table_rows(table)).min(1.0))))
                }
                Some(Hint::Fragment) => Ok(Take::Part),
                _ => inside("a regular expression"),
            },
            Comparison::AnyOf | Comparison::Equal if is_array => Ok(Take::Any(self.values_of(compared))),
            Comparison::Elements if bare(type_name) != bare(&column.type_name) => inside("looked for inside a column's values"),
            _ if !takes(&column.type_name, type_name) => {
                Err(format!("a parameter of type {type_name} is compared with a column of type {}", column.type_name))
            }
            Comparison::Above | Comparison::Below => Ok(self.range(compared, comparison == Comparison::Above)),
            _ => {
                // What an UPDATE sets is another row's value: its own would change nothing.
                let is_set = self.clauses.get(&number) == Some(&Clause::Set);
                let row = rows.entry((table.oid, column.name.as_str(), is_set)).or_insert(u32::from(is_set));
                *row += 1;
                Ok(Take::Value(*row - 1))
            }
        }
    }

    /// Returns the values a unique column can take once more; `None` for what need not be new.
    fn fresh(&self, number: u32, compared: Compared<'a>, type_name: &str) -> Option<Generator> {
        let Compared { table, column } = compared;
        let inserted = self.query.writes.iter().any(|write| write.inserts && write.table == table.oid);
        if !inserted || self.clauses.get(&number) == Some(&Clause::Condition) || !self.is_unique(compared) {
            return None;
        }
        match bare(type_name).as_str() {
            "uuid" => Some(Generator::Uuid),
            "integer" => Some(Generator::Int(1_000_000_000, 2_147_483_647)),
            "bigint" | "numeric" if column.type_name == "integer" => Some(Generator::Int(1_000_000_000, 2_147_483_647)),
            "bigint" | "numeric" => Some(Generator::Int(1_000_000_000_000, 900_000_000_000_000_000)),
            "text" | "character varying" if !column.type_name.contains('(') => Some(Generator::Letters(NEW_LETTERS)),
            _ => None,
        }
    }

    fn is_unique(&self, compared: Compared<'a>) -> bool {
        self.relations.indexes_of(compared.table.oid).iter().any(|index| {
            index.unique
                && index.predicate.is_none()
                && index.keys.len() == 1
                && index.keys[0].target.column() == Some(&compared.column.name)
        })
    }

    /// Returns the share of its column a range takes, as bounds of ranks.
    fn range(&self, compared: Compared<'a>, above: bool) -> Take {
        let Compared { table, column } = compared;
        let other = if above { Comparison::Below } else { Comparison::Above };
        let is_other = |used: &ParameterUse| {
            matches!(used, ParameterUse::Column { table: known, column: name, comparison }
                if *known == table.oid && *name == column.name && *comparison == other)
        };
        let both = self.query.parameters.values().any(is_other);
        let alone = self.is_alone(compared);
        let share = match self.rows_per_call() {
            Some(rows) if alone => (rows / table_rows(table)).clamp(0.0, 1.0),
            _ if both && !alone => 0.5,
            // Beside other conditions, and where a LIMIT cuts: the bound is a value of the row the other values come from.
            _ if !both && (!alone || self.is_limited()) => return Take::Value(0),
            _ => RANGE_UNKNOWN,
        };
        match (above, both) {
            (true, true) => Take::Rank(0.0, 1.0 - share),
            (false, true) => Take::Rank(share, 1.0),
            // Around the share on average, as far as there is room on both sides.
            (true, false) => Take::Rank((1.0 - 2.0 * share).max(0.0), (2.0 - 2.0 * share).min(1.0)),
            (false, false) => Take::Rank((2.0 * share - 1.0).max(0.0), (2.0 * share).min(1.0)),
        }
    }

    /// Returns whether conditions on this column alone decide which rows there are.
    fn is_alone(&self, compared: Compared<'a>) -> bool {
        let [block] = self.query.blocks.as_slice() else { return false };
        let [access] = block.accesses.as_slice() else { return false };
        let column = &compared.column.name;
        let is_of_it = |columns: &[String]| columns.iter().all(|known| known == column);
        access.table == compared.table.oid
            && access.conditions.iter().all(|condition| condition.column == *column)
            && access.filters.iter().all(|filter| is_of_it(&filter.columns))
            && access.expressions.iter().all(|condition| is_of_it(&condition.columns))
            && access.containments.iter().all(|condition| is_of_it(&condition.columns))
            && access.alternatives.is_empty()
    }

    fn is_limited(&self) -> bool {
        self.query.blocks.first().is_some_and(|block| block.limit.is_some())
    }

    /// Returns the rows of a call, when they are those its conditions let through.
    fn rows_per_call(&self) -> Option<f64> {
        let block = self.query.blocks.first()?;
        if block.limit.is_some() || block.aggregate || block.grouped {
            return None;
        }
        self.query.rows_per_call()
    }

    /// Returns how many values a list over the column has, from the rows they found.
    fn values_of(&self, compared: Compared<'a>) -> u32 {
        let is_list = |class: &Class| matches!(class, Class::Equality { .. });
        let listed = self.query.blocks.iter().flat_map(|block| &block.accesses).flat_map(|access| &access.conditions);
        let lists = listed.filter(|condition| is_list(&condition.class) && condition.column == compared.column.name).count();
        let Some(rows) = self.rows_per_call().filter(|rows| *rows > 0.0 && lists == 1 && self.is_alone(compared)) else {
            return LIST_UNKNOWN;
        };
        let rows_per_value = if self.is_unique(compared) { 1.0 } else { rows_per_value(compared) };
        (rows / rows_per_value).round().clamp(1.0, LIST_MAX) as u32
    }

    /// Returns the rows of a page: what the calls returned when the page was the limit, else the usual size above that.
    fn page(&self, number: u32) -> String {
        let is_limit = |used: &&ParameterUse| **used == ParameterUse::Limit;
        let only = self.query.parameters.values().filter(is_limit).count() == 1;
        let outermost = self.query.blocks.first().is_some_and(|block| block.limit == Some(Limit::Parameter));
        let rows = self.query.rows_per_call().filter(|rows| *rows > 0.0 && only && outermost);
        let Some(rows) = rows.filter(|_| self.query.parameters.contains_key(&number)) else { return PAGE_UNKNOWN.to_owned() };
        // A whole number of rows a call, call after call, is the limit itself.
        let page = if rows.fract() == 0.0 { rows } else { PAGES.into_iter().find(|page| *page >= rows).unwrap_or(rows.ceil()) };
        format!("{page:.0}")
    }
}

/// Returns how many rows a table has, at least 1.
fn table_rows(table: &Table) -> f64 {
    table.rows.filter(|rows| *rows > 0.0).unwrap_or(table.usage.live_rows as f64).max(1.0)
}

/// Returns how many rows share a value of a column on average, at least 1.
fn rows_per_value(compared: Compared<'_>) -> f64 {
    let rows = table_rows(compared.table);
    let statistics = compared.column.statistics.as_ref().or(compared.column.statistics_inherited.as_ref());
    let distinct = statistics.map_or(rows, |known| if known.distinct < 0.0 { -known.distinct * rows } else { known.distinct });
    if distinct > 0.0 { (rows / distinct).max(1.0) } else { 1.0 }
}

/// Returns a type's name without its modifier.
fn bare(type_name: &str) -> String {
    match (type_name.find('('), type_name.find(')')) {
        (Some(open), Some(close)) if open < close => format!("{}{}", &type_name[..open], &type_name[close + 1..]),
        _ => type_name.to_owned(),
    }
}

/// Returns whether a parameter of the type reads the texts of the column's values. Types nobody knows here (enums, domains,
/// those of extensions) are taken to: what the server refuses is counted as an error of the call.
fn takes(column: &str, parameter: &str) -> bool {
    let (column, parameter) = (bare(column), bare(parameter));
    let family = |name: &str| match name {
        "smallint" | "integer" | "bigint" | "oid" => Some(1),
        "numeric" | "real" | "double precision" => Some(2),
        "text" | "character varying" | "character" | "name" | "bpchar" => Some(3),
        "date" | "timestamp without time zone" | "timestamp with time zone" => Some(4),
        "time without time zone" | "time with time zone" => Some(5),
        "boolean" => Some(6),
        "uuid" => Some(7),
        "interval" => Some(8),
        "json" | "jsonb" => Some(9),
        "bytea" => Some(10),
        name if name.ends_with("[]") => Some(11),
        _ => None,
    };
    match (family(&column), family(&parameter)) {
        // A column's array and a parameter's must be of the same things.
        (Some(11), _) | (_, Some(11)) => column == parameter,
        // Whole numbers are numbers; not the other way round.
        (Some(1), Some(2)) | (_, Some(3)) => true,
        (Some(column), Some(parameter)) => column == parameter,
        (None, _) | (_, None) => true,
    }
}

/// Returns the value of a literal such as `'42'::bigint`; `None` is null.
fn unquoted(literal: &str) -> Option<String> {
    let escaped = literal.starts_with("E'");
    let quoted = literal.trim_start_matches('E').strip_prefix('\'')?;
    let mut value = String::new();
    let mut letters = quoted.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' if letters.peek() == Some(&'\'') => _ = letters.next(),
            '\'' => break,
            '\\' if escaped => {
                value.extend(letters.next());
                continue;
            }
            _ => {}
        }
        value.push(letter);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advisor::query::{Names, Reading, read};
    use crate::advisor::sample::{self, Col};
    use crate::catalog::{Index, Snapshot};

    /// Orders: 10 000 rows, 20 a customer, a unique id; customers: 500.
    fn snapshot() -> Snapshot {
        let orders = [
            Col("id", "bigint", -1.0, 1.0),
            Col("customer_id", "integer", 500.0, 0.0),
            Col("status", "text", 4.0, 0.0),
            Col("placed_at", "timestamp with time zone", -1.0, 1.0),
            Col("tags", "text[]", -1.0, 0.0),
        ];
        let customers = [Col("id", "integer", -1.0, 1.0), Col("email", "text", -1.0, 0.0)];
        let tables = vec![sample::table(1, "orders", 10_000.0, 200, &orders), sample::table(2, "customers", 500.0, 10, &customers)];
        let email = Index { unique: true, ..sample::index(12, 2, "customers_email_key", &["email"]) };
        sample::snapshot(tables, vec![sample::primary(10, 1, "orders_pkey"), sample::primary(11, 2, "customers_pkey"), email], Vec::new())
    }

    /// Chooses for a statement of 10 calls.
    fn chosen(text: &str, rows: u64, types: &[&str]) -> Result<Vec<Generator>, String> {
        let snapshot = snapshot();
        let relations = Relations::new(&snapshot);
        let names = Names::new(&relations);
        let Reading::Understood { blocks, writes, parameters } = read(&names, text, "public", "app", &[]) else { panic!("{text}") };
        let query = Query {
            query_id: None,
            text: text.to_owned(),
            user: "app".to_owned(),
            search_path: "public".to_owned(),
            calls: 10,
            rows,
            exec_ms_total: 1.0,
            blocks,
            writes,
            parameters,
            captured: Vec::new(),
        };
        let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
        Chooser::new(&relations, &query).choose(&types).map(|chosen| chosen.generators)
    }

    fn rows(table: Oid, column: &str, take: Take) -> Generator {
        Generator::Rows { table, column: column.to_owned(), take }
    }

    fn always(value: &str) -> Generator {
        Generator::Choice(vec![Some(value.to_owned())])
    }

    #[test]
    fn parameters_take_the_values_of_the_columns_they_are_compared_with() {
        let found = chosen(
            "select * from orders o join customers c on c.id = o.customer_id where c.email = $1 and o.status in ($2, $3)",
            50,
            &["text", "text", "text"],
        );
        let expected = [rows(2, "email", Take::Value(0)), rows(1, "status", Take::Value(0)), rows(1, "status", Take::Value(1))];
        assert_eq!(found.unwrap(), expected);
        // What an update sets is not what the row has.
        let found = chosen("update orders set status = $1 where status = $2", 10, &["text", "text"]);
        assert_eq!(found.unwrap(), [rows(1, "status", Take::Value(1)), rows(1, "status", Take::Value(0))]);
    }

    #[test]
    fn lists_are_as_long_as_the_rows_found_tell() {
        let of = |text: &str, rows: u64, types: &[&str]| match chosen(text, rows, types).unwrap().remove(0) {
            Generator::Rows { take: Take::Any(of), .. } => of,
            other => panic!("{other:?}"),
        };
        assert_eq!(of("select * from orders where id = any($1)", 70, &["bigint[]"]), 7);
        assert_eq!(of("select * from orders where customer_id = any($1)", 600, &["integer[]"]), 3, "20 rows a customer");
        assert_eq!(of("select count(*) from orders where id = any($1)", 10, &["bigint[]"]), LIST_UNKNOWN);
    }

    #[test]
    fn ranges_are_as_wide_as_the_rows_found_tell() {
        let time = "timestamp with time zone";
        let takes = |text: &str, rows: u64, types: &[&str]| -> Vec<Take> {
            let generators = chosen(text, rows, types).unwrap().into_iter();
            generators.filter_map(|generator| if let Generator::Rows { take, .. } = generator { Some(take) } else { None }).collect()
        };
        // 500 of 10 000 rows a call.
        assert_eq!(
            takes("select id from orders where placed_at >= $1 and placed_at < $2", 5000, &[time, time]),
            [Take::Rank(0.0, 0.95), Take::Rank(0.05, 1.0)]
        );
        assert_eq!(takes("select id from orders where placed_at > $1", 5000, &[time]), [Take::Rank(0.9, 1.0)]);
        assert_eq!(takes("select id from orders where placed_at < $1", 90_000, &[time]), [Take::Rank(0.8, 1.0)]);
        // A page of a list, and a range beside another condition: any row's own value.
        assert_eq!(
            takes("select id from orders where placed_at < $1 order by placed_at desc limit $2", 100, &[time, "bigint"]),
            [Take::Value(0)]
        );
        assert_eq!(
            takes("select id from orders where customer_id = $1 and placed_at > $2", 100, &["integer", time]),
            [Take::Value(0), Take::Value(0)]
        );
    }

    #[test]
    fn a_page_is_what_the_calls_returned_or_the_next_usual_size() {
        let page = |rows| chosen("select id from orders order by placed_at limit $1 offset $2", rows, &["bigint", "bigint"]).unwrap();
        assert_eq!(page(200), [always("20"), always("0")]);
        assert_eq!(page(173), [always("20"), always("0")]);
        assert_eq!(page(0), [always("10"), always("0")]);
    }

    #[test]
    fn rows_inserted_are_new_where_they_must_be() {
        let found = chosen("insert into customers (id, email) values ($1, $2)", 10, &["integer", "text"]).unwrap();
        assert_eq!(found, [Generator::Int(1_000_000_000, 2_147_483_647), Generator::Letters(NEW_LETTERS)]);
    }

    #[test]
    fn values_that_decide_over_no_row_have_their_type_and_others_are_refused() {
        assert_eq!(chosen("select $1, id from orders where id = $2", 10, &["text", "bigint"]).unwrap()[0], always("1"));
        for (text, types) in [
            ("select id from orders where abs(id) = $1", &["bigint"][..]),
            ("select id from orders where $1 = any(tags)", &["text"]),
            ("select id from orders where status ~ $1", &["text"]),
        ] {
            assert!(chosen(text, 10, types).unwrap_err().starts_with("a parameter "), "{text}");
        }
        assert!(chosen("select id from orders where customer_id = $1", 10, &["uuid"]).unwrap_err().contains("of type uuid"));
    }

    #[test]
    fn literals_are_read_back() {
        for text in ["42", "it's", "a\\b'c", ""] {
            let literal = format!("{}::text", crate::catalog::name::literal(text));
            assert_eq!(unquoted(&literal).as_deref(), Some(text), "{literal}");
        }
        assert_eq!(unquoted("NULL::text"), None);
    }

    #[test]
    fn values_go_where_their_text_can_be_read() {
        for (column, parameter) in [
            ("integer", "bigint"),
            ("integer", "numeric"),
            ("character varying(20)", "text"),
            ("date", "timestamp with time zone"),
            ("status", "status"),
            ("status", "text"),
            ("integer[]", "integer[]"),
        ] {
            assert!(takes(column, parameter), "{column} to {parameter}");
        }
        for (column, parameter) in [("numeric(10,2)", "integer"), ("text", "uuid"), ("integer[]", "integer"), ("jsonb", "boolean")] {
            assert!(!takes(column, parameter), "{column} to {parameter}");
        }
    }
}
