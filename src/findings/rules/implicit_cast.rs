//! Comparisons that turn an indexed column into another type first.

use sqlparser::ast::{BinaryOperator, DataType, Expr};

use crate::catalog::{Column, Index, Relations, Table};
use crate::findings::statements::comparison::{With, comparison};
use crate::findings::statements::level::bare;
use crate::findings::statements::rewrite::{is_column, is_parameter, number};
use crate::findings::statements::target::{expression_indexed, index_led_by, large_pages};
use crate::findings::statements::{Level, Recorded, tell};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Statements};

pub(super) const RULE: Rule = Rule {
    id: "implicit-cast",
    summary: "A comparison casts an indexed column to another type, so the index on the column cannot be used.",
    check: Check::Workload(check),
};

fn check<'a>(relations: &Relations<'a>, statements: &Statements<'a>) -> Vec<Finding> {
    let mut findings = vec![];
    for recorded in statements.weighty() {
        let levels = statements.reading(recorded).map_or(&[][..], |reading| &reading.levels);
        let casts: Vec<Cast<'_>> = levels.iter().flat_map(|level| casts(level, recorded, relations)).collect();
        if !casts.is_empty() {
            findings.push(finding(recorded, &casts));
        }
    }
    findings
}

/// A comparison that casts an indexed column.
struct Cast<'a> {
    table: &'a Table,
    column: &'a Column,
    index: &'a Index,
    condition: String,
    /// The type it is cast to.
    to: String,
    /// The condition without the cast, where there is one.
    rewritten: Option<String>,
    /// What has to be so for the rewriting to mean the same; empty when nothing has.
    provided: &'static str,
}

fn casts<'a>(level: &Level<'a>, recorded: &Recorded<'a>, relations: &Relations<'a>) -> Vec<Cast<'a>> {
    let prevented = |table: &'a Table, column: &'a Column| {
        large_pages(table, relations).filter(|&pages| recorded.reads_much_of(pages))?;
        let index = index_led_by(table, column, relations)?;
        (!expression_indexed(table, column, "", relations)).then_some(index)
    };
    let one = |condition: &Expr| {
        let (table, column, to, rewritten, provided) =
            written(level, condition).or_else(|| literal(level, condition)).or_else(|| joined(level, condition))?;
        let index = prevented(table, column)?;
        Some(Cast { table, column, index, condition: condition.to_string(), to, rewritten, provided })
    };
    level.conjuncts.iter().filter_map(one).collect()
}

/// What casts which column to what, and the condition without it.
type Found<'a> = (&'a Table, &'a Column, String, Option<String>, &'static str);

/// `id::text = $1`: the cast is in the text.
fn written<'a>(level: &Level<'a>, condition: &Expr) -> Option<Found<'a>> {
    let comparison = comparison(condition)?;
    let Expr::Cast { expr, data_type, .. } = comparison.subject else { return None };
    let (table, column) = level.column(expr)?;
    let (from, to) = (Kind::of(&column.type_name), Kind::of(&data_type.to_string().to_lowercase()));
    // To its own type, and between the two kinds of text: nothing is computed. From a time to its day: a range, another rule's.
    let day = column.type_name.starts_with("timestamp") && matches!(data_type, DataType::Date);
    let longer = from == Kind::Whole && bytes(&column.type_name) != bytes(&data_type.to_string().to_lowercase());
    if (from == to && !longer) || day || from == Kind::Other || !comparison.with.is_equality() {
        return None;
    }
    // Whole numbers of any length compare with each other.
    let own = if from == to { data_type.to_string().to_lowercase() } else { unlimited(&column.type_name) };
    let rewritten = match &comparison.with {
        With::One(op, value) => Some(format!("{expr} {op} {}", typed(value, &own))),
        With::List(values) => Some(format!("{expr} IN ({})", values.iter().map(|value| typed(value, &own)).collect::<Vec<_>>().join(", "))),
        With::Any(array) if is_parameter(array) => Some(format!("{expr} = ANY ({array}::{own}[])")),
        With::Any(_) | With::Between(..) => None,
    };
    let provided = match (from, to) {
        // '007' is the number 7, and 7 is not the text '007'.
        (Kind::Text, _) => "the column's texts are written as that type is printed",
        (_, Kind::Text) => "",
        (Kind::Decimal | Kind::Float, Kind::Whole) => return Some((table, column, data_type.to_string(), None, "")),
        _ => "",
    };
    Some((table, column, data_type.to_string(), rewritten, provided))
}

/// `number = 5.0`: a constant with a decimal point makes a numeric of the whole number it is compared with.
fn literal<'a>(level: &Level<'a>, condition: &Expr) -> Option<Found<'a>> {
    let comparison = comparison(condition)?;
    let (table, column) = level.column(comparison.subject)?;
    let With::One(op, value) = comparison.with else { return None };
    if Kind::of(&column.type_name) != Kind::Whole || !value.to_string().contains(['.', 'e', 'E']) {
        return None;
    }
    let value = number(value)?;
    let subject = comparison.subject;
    let rewritten = match op {
        _ if value.fract() == 0.0 => Some(format!("{subject} {op} {value}")),
        ">" | ">=" => Some(format!("{subject} > {}", value.floor())),
        "<" | "<=" => Some(format!("{subject} < {}", value.ceil())),
        // No whole number equals it.
        _ => Some("false".to_owned()),
    };
    Some((table, column, "numeric".to_owned(), rewritten, ""))
}

/// `a.number = b.amount`: of two types the comparison takes the wider, and the index on the narrower is out.
fn joined<'a>(level: &Level<'a>, condition: &Expr) -> Option<Found<'a>> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = bare(condition) else { return None };
    if !is_column(left) || !is_column(right) {
        return None;
    }
    let (one, other) = (level.column(left)?, level.column(right)?);
    let kinds = [Kind::of(&one.1.type_name), Kind::of(&other.1.type_name)];
    let ((table, column), wider, sides) = match (kinds[0].widened_by(kinds[1]), kinds[1].widened_by(kinds[0])) {
        (true, false) => (one, other, (left, right)),
        (false, true) => (other, one, (right, left)),
        _ => return None,
    };
    // Where the wider side's own index finds the rows, nothing is missed unless this table should have been the inner one;
    // what a call reads decides.
    let own = unlimited(&column.type_name);
    let provided = match (Kind::of(&own), Kind::of(&wider.1.type_name)) {
        (Kind::Whole, _) => "the other side has whole numbers only",
        _ => "",
    };
    let (narrow, wide) = sides;
    Some((table, column, wider.1.type_name.clone(), Some(format!("{narrow} = {wide}::{own}")), provided))
}

/// Kinds of types as far as comparing them goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Decimal,
    Float,
    /// `text` and `varchar`: the same bytes, the same operators.
    Text,
    /// `char(n)`: compared without trailing spaces, unless with a text.
    Padded,
    Uuid,
    Date,
    Moment,
    /// Neither of these: nothing is said.
    Other,
}

impl Kind {
    fn of(type_name: &str) -> Self {
        let name = type_name.split('(').next().unwrap_or(type_name).trim();
        match name {
            _ if type_name.ends_with("[]") => Self::Other,
            "smallint" | "integer" | "bigint" | "int" | "int2" | "int4" | "int8" => Self::Whole,
            "numeric" | "decimal" => Self::Decimal,
            "real" | "double precision" | "float4" | "float8" | "float" => Self::Float,
            "text" | "character varying" | "varchar" => Self::Text,
            "character" | "char" | "bpchar" => Self::Padded,
            "uuid" => Self::Uuid,
            "date" => Self::Date,
            name if name.starts_with("timestamp") => Self::Moment,
            _ => Self::Other,
        }
    }

    /// Returns whether a comparison with the other turns this one into the other's type.
    fn widened_by(self, other: Self) -> bool {
        matches!((self, other), (Self::Whole, Self::Decimal | Self::Float) | (Self::Decimal, Self::Float) | (Self::Padded, Self::Text))
    }
}

/// Returns how many bytes a whole number has.
fn bytes(type_name: &str) -> u8 {
    match type_name {
        "smallint" | "int2" => 2,
        "bigint" | "int8" => 8,
        _ => 4,
    }
}

/// Returns a type without its length, which would cut off what does not fit instead of telling it apart.
fn unlimited(type_name: &str) -> String {
    let name = match (type_name.find('('), type_name.find(')')) {
        (Some(start), Some(end)) if start < end => format!("{}{}", &type_name[..start], &type_name[end + 1..]),
        _ => type_name.to_owned(),
    };
    // `character` alone is `character(1)`.
    if name == "character" { "bpchar".to_owned() } else { name }
}

fn typed(value: &Expr, type_name: &str) -> String {
    match bare(value) {
        value @ Expr::Value(_) => format!("{value}::{type_name}"),
        value => format!("({value})::{type_name}"),
    }
}

fn finding(recorded: &Recorded<'_>, casts: &[Cast<'_>]) -> Finding {
    let told: Vec<String> = casts
        .iter()
        .map(|cast| {
            let Cast { table, column, index, condition, to, .. } = cast;
            format!(
                "{condition} casts {}.{} from {} to {to}, which keeps it from index {}",
                table.name, column.name, column.type_name, index.name
            )
        })
        .collect();
    let mut evidence = tell::evidence(recorded);
    for cast in casts {
        evidence.push(Evidence::new("condition", cast.condition.clone(), "", "pg_stat_statements"));
        evidence.push(Evidence::new("column_type", cast.column.type_name.clone(), "", "pg_attribute"));
        evidence.push(Evidence::new("index", cast.index.name.to_string(), "", "pg_index"));
        if let Some(rewritten) = &cast.rewritten {
            evidence.push(Evidence::new("rewritten", rewritten.clone(), "", "pgload"));
        }
    }
    let advice = |cast: &Cast<'_>| match &cast.rewritten {
        Some(rewritten) => {
            let provided = if cast.provided.is_empty() { String::new() } else { format!(", provided {}", cast.provided) };
            format!("Write {rewritten} for {}{provided}.", cast.condition)
        }
        None => format!("Compare {} with a value of its own type, {}.", cast.column.name, cast.column.type_name),
    };
    Finding {
        rule: RULE.id.to_owned(),
        severity: tell::severity(recorded),
        object: Object::statement(recorded.id),
        message: format!(
            "{} touches {:.0} blocks a call, as {}: {}",
            tell::named(recorded),
            recorded.totals.blocks_per_call(),
            told.join(", and "),
            tell::text(recorded),
        ),
        evidence,
        help: casts.iter().map(advice).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, index, typed as column};

    /// Samples `t (id int, code text, key uuid, short char(8))` with an index on each and `u (amount numeric, word text, id bigint)`.
    fn help(query: &str) -> Option<String> {
        let mut sample = Sample::of([("x", index("id")), ("y", index("code")), ("z", index("key")), ("s", index("short"))]);
        let types = [("id", "integer"), ("code", "character varying(20)"), ("key", "uuid"), ("short", "character(8)")];
        sample.snapshot.tables[0].columns = types.iter().map(|(name, type_name)| column(name, type_name)).collect();
        sample.table(2, "u").columns = vec![column("amount", "numeric"), column("word", "text"), column("number", "bigint")];
        sample.statement("42", query, 100, 50.0).shared_blocks_hit = 100 * 10_000;
        sample.findings(RULE.check).pop().map(|finding| finding.help)
    }

    fn is(condition: &str, wanted: &str) {
        assert_eq!(help(&format!("select * from t where {condition}")).as_deref(), Some(wanted), "{condition}");
    }

    #[test]
    fn a_cast_of_the_column_becomes_a_cast_of_the_value() {
        is("key::text = $1", "Write key = $1::uuid for key::TEXT = $1.");
        is("cast(id as text) in ('1', '2')", "Write id IN ('1'::integer, '2'::integer) for CAST(id AS TEXT) IN ('1', '2').");
        is("id::bigint = $1", "Write id = $1::bigint for id::BIGINT = $1.");
        is("id::text = any($1)", "Write id = ANY ($1::integer[]) for id::TEXT = ANY($1).");
        is(
            "code::int = $1",
            "Write code = $1::character varying for code::INT = $1, provided the column's texts are written as that type is printed.",
        );
    }

    #[test]
    fn a_decimal_point_makes_a_numeric_of_a_whole_number() {
        is("id = 5.0", "Write id = 5 for id = 5.0.");
        is("id > 5.5", "Write id > 5 for id > 5.5.");
        is("5.5 >= id", "Write id < 6 for 5.5 >= id.");
    }

    #[test]
    fn of_two_joined_columns_the_narrower_is_cast() {
        assert_eq!(
            help("select * from t join u on u.amount = t.id").as_deref(),
            Some("Write t.id = u.amount::integer for u.amount = t.id, provided the other side has whole numbers only.")
        );
        assert_eq!(
            help("select * from t, u where t.short = u.word").as_deref(),
            Some("Write t.short = u.word::bpchar for t.short = u.word.")
        );
        assert_eq!(help("select * from t join u on u.number = t.id"), None, "whole numbers compare with each other");
        assert_eq!(help("select * from t join u on u.word = t.code"), None);
    }

    #[test]
    fn casts_that_compute_nothing_and_those_of_values_are_left_alone() {
        for condition in ["code::text = $1", "id = $1::int", "id = $1", "key::text like $1", "id::text > $1", "id = 5", "id::integer = $1"]
        {
            assert_eq!(help(&format!("select * from t where {condition}")), None, "{condition}");
        }
    }
}
