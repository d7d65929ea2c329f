//! Conditions rewritten so that the column stands alone on one side, where an ordinary index finds it.
//!
//! Each rewriting keeps the meaning, apart from what its caveat says; where there is none that does, there is no rewriting.

use sqlparser::ast::{BinaryOperator, DataType, DateTimeField, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::comparison::{With, flipped};
use super::level::{bare, is_constant};
use crate::catalog::Column;

/// A condition in other words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// The condition, as `WHERE` takes it.
    pub(crate) condition: String,
    /// What has to be so for it to mean the same; empty when nothing has.
    pub(crate) provided: &'static str,
}

/// Rewrites `subject … constant`, where the subject reads this column and no other; `None` when no rewriting is known.
pub(crate) fn rewritten(subject: &Expr, with: &With<'_>, column: &Column) -> Option<Rewritten> {
    let rewritten = match subject {
        Expr::BinaryOp { left, op, right } => shifted(left, op, right, with, column),
        Expr::Cast { expr, data_type: DataType::Date, .. } if is_column(expr) => period(expr, &Unit::Day, with, column),
        Expr::Extract { field: DateTimeField::Year | DateTimeField::Years, expr, .. } if is_column(expr) => years(expr, with, false),
        Expr::AtTimeZone { timestamp, time_zone } if is_column(timestamp) && is_constant(time_zone) => {
            elementwise(timestamp, with, &|value| format!("{} AT TIME ZONE {time_zone}", operand(value, "")))
        }
        Expr::Function(_) => of_function(subject, with, column),
        _ => None,
    };
    let provided = match subject {
        Expr::Function(_) if matches!(call(subject), Some((name, _)) if name == "date_trunc") => {
            "the value stands at the beginning of such a period, as it must to be found at all"
        }
        _ => "",
    };
    rewritten.map(|condition| match call(subject) {
        Some((name, arguments)) if name == "date_part" && text(arguments[0]).is_none() => {
            Rewritten { condition, provided: "the field asked for is the year" }
        }
        _ => Rewritten { condition, provided },
    })
}

/// Returns the name and arguments of a function's call, in lower case and without its schema; `None` for other expressions
/// and unusual calls.
pub(crate) fn call(expr: &Expr) -> Option<(String, Vec<&Expr>)> {
    let Expr::Function(function) = expr else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    let argument = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(bare(expr)),
        _ => None,
    };
    let arguments: Option<Vec<&Expr>> = list.args.iter().map(argument).collect();
    let name = function.name.to_string().to_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name).to_owned();
    arguments.filter(|arguments| !arguments.is_empty()).map(|arguments| (name, arguments))
}

/// Returns whether an expression is a column's name and nothing else.
pub(crate) fn is_column(expr: &Expr) -> bool {
    matches!(bare(expr), Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

fn of_function(subject: &Expr, with: &With<'_>, column: &Column) -> Option<String> {
    let (name, arguments) = call(subject)?;
    match (name.as_str(), arguments.as_slice()) {
        ("date_trunc", [unit, of]) if is_column(of) => period(of, &Unit::of(unit), with, column),
        ("date", [of]) if is_column(of) => period(of, &Unit::Day, with, column),
        ("date_part", [field, of]) if is_column(of) => match text(field) {
            Some(field) if field != "year" => None,
            known => years(of, with, known.is_none()),
        },
        ("coalesce", [of, default]) if is_column(of) && is_constant(default) => coalesced(of, default, with, column),
        _ => None,
    }
}

/// A length of time that periods have.
enum Unit {
    Day,
    /// Anything `interval '1 …'` takes.
    Named(String),
    /// A parameter says it.
    Given(String),
}

impl Unit {
    fn of(expr: &Expr) -> Self {
        match text(expr) {
            Some(name) => Self::Named(name),
            None => Self::Given(expr.to_string()),
        }
    }

    fn length(&self) -> String {
        match self {
            Self::Day => "interval '1 day'".to_owned(),
            // `interval` knows no quarter.
            Self::Named(name) if name == "quarter" => "interval '3 months'".to_owned(),
            Self::Named(name) => format!("interval '1 {name}'"),
            Self::Given(parameter) => format!("('1 ' || {parameter})::interval"),
        }
    }
}

/// `date_trunc('day', ts) = $1`: from the beginning of the period to the beginning of the next.
fn period(of: &Expr, unit: &Unit, with: &With<'_>, column: &Column) -> Option<String> {
    let of_date = matches!(unit, Unit::Day);
    let start = |value: &Expr| operand(value, if of_date { "date" } else { moment(column) });
    let next = |value: &Expr| format!("{} + {}", start(value), unit.length());
    Some(match with {
        With::One("=", value) => format!("{of} >= {} AND {of} < {}", start(value), next(value)),
        With::One(op @ (">=" | "<"), value) => format!("{of} {op} {}", start(value)),
        With::One(">", value) => format!("{of} >= {}", next(value)),
        With::One("<=", value) => format!("{of} < {}", next(value)),
        With::Between(low, high) => format!("{of} >= {} AND {of} < {}", start(low), next(high)),
        _ => return None,
    })
}

/// `extract(year from d) = 2024`; `guessed` when a parameter says what is extracted.
fn years(of: &Expr, with: &With<'_>, guessed: bool) -> Option<String> {
    let year = |value: &Expr, more: &str| match number(value) {
        // A month or a day of the month is no year.
        Some(number) if guessed && !(1900.0..2300.0).contains(&number) => None,
        Some(number) if number.fract() == 0.0 => Some(format!("make_date({}, 1, 1)", number + if more.is_empty() { 0.0 } else { 1.0 })),
        Some(_) => None,
        None => Some(format!("make_date({}::int{more}, 1, 1)", operand(value, ""))),
    };
    Some(match with {
        With::One("=", value) => format!("{of} >= {} AND {of} < {}", year(value, "")?, year(value, " + 1")?),
        With::One(op @ (">=" | "<"), value) => format!("{of} {op} {}", year(value, "")?),
        With::One(">", value) => format!("{of} >= {}", year(value, " + 1")?),
        With::One("<=", value) => format!("{of} < {}", year(value, " + 1")?),
        With::Between(low, high) => format!("{of} >= {} AND {of} < {}", year(low, "")?, year(high, " + 1")?),
        _ => return None,
    })
}

/// `col + 1 = $1`: the constant goes to the other side.
fn shifted(left: &Expr, op: &BinaryOperator, right: &Expr, with: &With<'_>, column: &Column) -> Option<String> {
    let (left, right) = (bare(left), bare(right));
    // Beside a point in time stands a length of it; a bare parameter would be taken for another point in time.
    let in_time = column.type_category == "D" && column.type_name != "date";
    let step = |value: &Expr| operand(value, if in_time { "interval" } else { "" });
    let from = |value: &Expr| operand(value, if in_time { moment(column) } else { "" });
    match op {
        BinaryOperator::Plus if is_column(left) && is_constant(right) => {
            elementwise(left, with, &|value| format!("{} - {}", from(value), step(right)))
        }
        BinaryOperator::Plus if is_column(right) && is_constant(left) => {
            elementwise(right, with, &|value| format!("{} - {}", from(value), step(left)))
        }
        BinaryOperator::Minus if is_column(left) && is_constant(right) && !in_time => {
            elementwise(left, with, &|value| format!("{} + {}", operand(value, ""), operand(right, "")))
        }
        // `ts - interval > x` and `ts - ts > x` look the same when the constant is a parameter.
        BinaryOperator::Minus if is_column(left) && is_length(right) => {
            elementwise(left, with, &|value| format!("{} + {}", from(value), operand(right, "")))
        }
        // `now() - ts > $1`, and `10 - col = 3`: the sign turns the comparison round.
        BinaryOperator::Minus if is_column(right) && is_constant(left) => match with {
            With::One(op, value) => Some(format!("{right} {} {} - {}", flipped(op), operand(left, ""), step(value))),
            With::Between(low, high) => {
                let end = |value: &Expr| format!("{} - {}", operand(left, ""), step(value));
                Some(format!("{right} BETWEEN {} AND {}", end(high), end(low)))
            }
            With::List(_) | With::Any(_) => None,
        },
        _ => None,
    }
}

/// `coalesce(col, x) = y`.
fn coalesced(of: &Expr, default: &Expr, with: &With<'_>, column: &Column) -> Option<String> {
    let plain = elementwise(of, with, &|value| operand(value, ""))?;
    if column.not_null {
        return Some(plain);
    }
    match with {
        With::One("=", value) if !is_parameter(value) && !is_parameter(default) => {
            Some(if value == &default { format!("({plain} OR {of} IS NULL)") } else { plain })
        }
        With::One(op, value) => Some(format!("({plain} OR ({of} IS NULL AND {default} {op} {value}))")),
        _ => None,
    }
}

/// Returns the condition with each constant changed and the comparison kept.
fn elementwise(of: &Expr, with: &With<'_>, change: &dyn Fn(&Expr) -> String) -> Option<String> {
    let of = bare(of);
    Some(match with {
        With::One(op, value) => format!("{of} {op} {}", change(value)),
        With::List(values) => format!("{of} IN ({})", values.iter().map(change).collect::<Vec<_>>().join(", ")),
        With::Between(low, high) => format!("{of} BETWEEN {} AND {}", change(low), change(high)),
        With::Any(_) => return None,
    })
}

/// Returns a constant as an operand: in parentheses where it needs them, and a bare parameter with this type, if any.
pub(crate) fn operand(value: &Expr, type_name: &str) -> String {
    match bare(value) {
        value if is_parameter(value) && !type_name.is_empty() => format!("{value}::{type_name}"),
        value @ Expr::Value(_) if type_name == "date" => format!("{value}::date"),
        value @ (Expr::Value(_) | Expr::Function(_) | Expr::Cast { .. } | Expr::TypedString(_)) => value.to_string(),
        value if type_name == "date" => format!("({value})::date"),
        value => format!("({value})"),
    }
}

/// Returns the short name of a column's type, as a parameter beside an interval needs it.
fn moment(column: &Column) -> &'static str {
    match column.type_name.as_str() {
        "date" => "date",
        name if name.starts_with("timestamp") && name.ends_with("with time zone") => "timestamptz",
        name if name.starts_with("timestamp") => "timestamp",
        _ => "",
    }
}

/// Returns whether an expression says itself that it is a length of time.
fn is_length(expr: &Expr) -> bool {
    match expr {
        Expr::Interval(_) => true,
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::Interval { .. }),
        Expr::TypedString(typed) => matches!(typed.data_type, DataType::Interval { .. }),
        _ => false,
    }
}

/// Returns whether an expression is a parameter and nothing else.
pub(crate) fn is_parameter(expr: &Expr) -> bool {
    matches!(bare(expr), Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

/// Returns a text constant in lower case.
fn text(expr: &Expr) -> Option<String> {
    match bare(expr) {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.to_lowercase()),
            _ => None,
        },
        _ => None,
    }
}

/// Returns a number written in the text.
pub(crate) fn number(expr: &Expr) -> Option<f64> {
    match bare(expr) {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Relations;
    use crate::findings::sample::{Sample, typed};
    use crate::findings::statements::Statements;
    use crate::findings::statements::comparison::comparison;

    /// Rewrites the only condition on table `t`, whose columns are `a int`, `ts timestamptz`, `d date`, `n int not null`.
    fn condition(text: &str) -> Option<String> {
        let mut sample = Sample::of([]);
        let types = ["integer", "timestamp with time zone", "date", "integer"];
        let columns = ["a", "ts", "d", "n"].iter().zip(types).map(|(name, type_name)| typed(name, type_name));
        sample.snapshot.tables[0].columns = columns.collect();
        sample.snapshot.tables[0].columns[3].not_null = true;
        sample.statement("1", &format!("select * from t where {text}"), 9, 9.0);
        let relations = Relations::new(&sample.snapshot);
        let statements = Statements::new(&relations);
        let reading = statements.reading(&statements.all()[0]).expect("understood");
        let level = &reading.levels[0];
        let comparison = comparison(&level.conjuncts[0]).expect("a comparison");
        let (_, column) = level.only_column_in(comparison.subject).expect("one column");
        rewritten(comparison.subject, &comparison.with, column).map(|found| found.condition)
    }

    fn is(text: &str, wanted: &str) {
        assert_eq!(condition(text).as_deref(), Some(wanted), "{text}");
    }

    #[test]
    fn a_period_becomes_a_range() {
        is("date_trunc('day', ts) = $1", "ts >= $1::timestamptz AND ts < $1::timestamptz + interval '1 day'");
        is("date_trunc('quarter', ts) = '2024-04-01'", "ts >= '2024-04-01' AND ts < '2024-04-01' + interval '3 months'");
        is("date_trunc($1, ts) = $2", "ts >= $2::timestamptz AND ts < $2::timestamptz + ('1 ' || $1)::interval");
        is("$1 < date_trunc('hour', ts)", "ts >= $1::timestamptz + interval '1 hour'");
        is("ts::date = $1", "ts >= $1::date AND ts < $1::date + interval '1 day'");
        is("date(ts) between '2024-01-01' and '2024-01-31'", "ts >= '2024-01-01'::date AND ts < '2024-01-31'::date + interval '1 day'");
        is("ts::date = current_date", "ts >= current_date AND ts < current_date + interval '1 day'");
    }

    #[test]
    fn a_year_becomes_a_range() {
        is("extract(year from d) = 2024", "d >= make_date(2024, 1, 1) AND d < make_date(2025, 1, 1)");
        is("extract(year from d) >= $1", "d >= make_date($1::int, 1, 1)");
        is("extract($1 from d) = $2", "d >= make_date($2::int, 1, 1) AND d < make_date($2::int + 1, 1, 1)");
        assert_eq!(condition("extract($1 from d) = 12"), None);
        assert_eq!(condition("extract(month from d) = $1"), None);
    }

    #[test]
    fn arithmetic_goes_to_the_other_side() {
        is("a + 1 = $1", "a = $1 - 1");
        is("1 + a <= $1", "a <= $1 - 1");
        is("a - 1 in (3, 4)", "a IN (3 + 1, 4 + 1)");
        is("10 - a < $1", "a > 10 - $1");
        is("ts + interval '7 days' > now()", "ts > now() - (INTERVAL '7 days')");
        is("ts + $1 > now()", "ts > now() - $1::interval");
        is("ts - interval '1 day' < $1", "ts < $1::timestamptz + (INTERVAL '1 day')");
        is("now() - ts > $1", "ts < now() - $1::interval");
        assert_eq!(condition("ts - $1 < $2"), None, "the parameter may be a point in time");
        assert_eq!(condition("a * 2 = $1"), None, "an odd number has no half");
    }

    #[test]
    fn a_default_for_null_becomes_an_alternative() {
        is("coalesce(n, 0) = $1", "n = $1");
        is("coalesce(a, 0) = 5", "a = 5");
        is("coalesce(a, 0) = 0", "(a = 0 OR a IS NULL)");
        is("coalesce(a, $1) = $2", "(a = $2 OR (a IS NULL AND $1 = $2))");
    }

    #[test]
    fn a_time_zone_goes_to_the_other_side() {
        is("ts at time zone 'UTC' >= $1", "ts >= $1 AT TIME ZONE 'UTC'");
    }
}
