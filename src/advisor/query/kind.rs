//! What family of types an expression is of, as far as it decides whether an index may hold it.

use sqlparser::ast::{BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::names::{folded, last_part};
use crate::catalog::Table;

/// A family of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `text`, `varchar`, `char`, `name`.
    Text,
    /// Numbers.
    Number,
    /// Truth values.
    Boolean,
    /// `timestamp` without time zone.
    Timestamp,
    /// `timestamptz`: what it shows depends on the session's time zone.
    Zoned,
    /// `date`, `time`.
    Calendar,
    /// `interval`.
    Interval,
    /// `json`, `jsonb`.
    Json,
    /// Arrays.
    Array,
    /// A constant without a type of its own yet.
    Literal,
    /// Another known type.
    Other,
    /// Not known.
    Unknown,
}

/// Returns a type's name as the server prints it: `integer` for `INT4`.
pub(super) fn type_name(spelled: &str) -> String {
    let lower = spelled.to_lowercase();
    let (name, rest) = lower.split_at(lower.find(['(', '[']).unwrap_or(lower.len()));
    let name = name.trim().strip_prefix("pg_catalog.").unwrap_or(name.trim());
    let canonical = match name {
        "int" | "int4" => "integer",
        "int8" => "bigint",
        "int2" => "smallint",
        "float8" | "float" => "double precision",
        "float4" => "real",
        "decimal" => "numeric",
        "bool" => "boolean",
        "varchar" => "character varying",
        "char" => "character",
        "timestamptz" => return format!("timestamp{rest} with time zone"),
        "timestamp" if rest.contains("with time zone") && !rest.contains("without") => {
            return format!("timestamp{} with time zone", rest.replace(" with time zone", ""));
        }
        "timestamp" => return format!("timestamp{} without time zone", rest.replace(" without time zone", "")),
        "time" => return format!("time{} without time zone", rest.replace(" without time zone", "")),
        name => name,
    };
    format!("{canonical}{rest}")
}

/// Returns the family of a type by its name.
pub(super) fn kind_of_type(name: &str) -> Kind {
    let name = type_name(name);
    if name.ends_with(']') {
        return Kind::Array;
    }
    let base = name.split('(').next().unwrap_or_default().trim();
    match base {
        "text" | "character varying" | "character" | "bpchar" | "name" | "citext" => Kind::Text,
        "integer" | "bigint" | "smallint" | "numeric" | "real" | "double precision" | "oid" | "money" => Kind::Number,
        "boolean" => Kind::Boolean,
        "interval" => Kind::Interval,
        "json" | "jsonb" => Kind::Json,
        "date" => Kind::Calendar,
        "array" => Kind::Array,
        base if base.starts_with("timestamp") => {
            if name.ends_with("with time zone") {
                Kind::Zoned
            } else {
                Kind::Timestamp
            }
        }
        base if base.starts_with("time") => Kind::Calendar,
        _ => Kind::Other,
    }
}

/// Returns the arguments of a call that are plain expressions.
pub(super) fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    list.args
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

/// Returns the family of an expression over one table's bare columns.
pub(super) fn kind(expr: &Expr, table: &Table) -> Kind {
    match expr {
        Expr::Identifier(name) => table.column(&folded(name)).map_or(Kind::Unknown, |column| kind_of_type(&column.type_name)),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } | Expr::UnaryOp { expr: inner, .. } => kind(inner, table),
        Expr::Value(value) => match &value.value {
            Value::Number(..) => Kind::Number,
            Value::Boolean(_) => Kind::Boolean,
            _ => Kind::Literal,
        },
        Expr::Cast { data_type, .. } => kind_of_type(&data_type.to_string()),
        Expr::TypedString(typed) => kind_of_type(&typed.data_type.to_string()),
        Expr::Interval(_) => Kind::Interval,
        Expr::Extract { .. } | Expr::Position { .. } | Expr::Ceil { .. } | Expr::Floor { .. } => Kind::Number,
        Expr::Substring { .. } | Expr::Trim { .. } | Expr::Overlay { .. } => Kind::Text,
        Expr::Array(_) => Kind::Array,
        Expr::AtTimeZone { timestamp, .. } => match kind(timestamp, table) {
            Kind::Zoned => Kind::Timestamp,
            Kind::Timestamp | Kind::Calendar => Kind::Zoned,
            _ => Kind::Unknown,
        },
        Expr::Case { conditions, .. } => conditions.first().map_or(Kind::Unknown, |when| kind(&when.result, table)),
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::Between { .. } | Expr::InList { .. } | Expr::Like { .. } | Expr::ILike { .. } => {
            Kind::Boolean
        }
        Expr::BinaryOp { left, op, right } => of_operation(kind(left, table), op, kind(right, table)),
        Expr::Function(function) => of_call(function, table),
        _ => Kind::Unknown,
    }
}

fn of_operation(left: Kind, op: &BinaryOperator, right: Kind) -> Kind {
    use BinaryOperator as Op;
    match op {
        Op::Arrow | Op::HashArrow => Kind::Json,
        Op::LongArrow | Op::HashLongArrow => Kind::Text,
        Op::StringConcat if left == Kind::Array || left == Kind::Json => left,
        Op::StringConcat => Kind::Text,
        Op::Minus => match (left, right) {
            (Kind::Zoned | Kind::Timestamp, Kind::Zoned | Kind::Timestamp) => Kind::Interval,
            (Kind::Calendar, Kind::Calendar) => Kind::Number,
            (Kind::Literal, right) => right,
            (left, _) => left,
        },
        Op::Plus | Op::Multiply | Op::Divide | Op::Modulo | Op::PGExp => match (left, right) {
            (Kind::Literal, right) | (Kind::Number, right @ (Kind::Zoned | Kind::Timestamp | Kind::Calendar | Kind::Interval)) => right,
            (Kind::Interval, right @ (Kind::Zoned | Kind::Timestamp)) => right,
            (left, _) => left,
        },
        Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq | Op::And | Op::Or => Kind::Boolean,
        _ => Kind::Unknown,
    }
}

fn of_call(function: &Function, table: &Table) -> Kind {
    let arguments = arguments(function);
    let of = |at: usize| arguments.get(at).map_or(Kind::Unknown, |argument| kind(argument, table));
    match last_part(&function.name).as_str() {
        "lower"
        | "upper"
        | "btrim"
        | "ltrim"
        | "rtrim"
        | "trim"
        | "left"
        | "right"
        | "substr"
        | "substring"
        | "replace"
        | "concat"
        | "md5"
        | "regexp_replace"
        | "split_part"
        | "initcap"
        | "reverse"
        | "encode"
        | "to_char"
        | "jsonb_extract_path_text"
        | "json_extract_path_text"
        | "translate"
        | "lpad"
        | "rpad"
        | "repeat" => Kind::Text,
        "length" | "char_length" | "octet_length" | "date_part" | "strpos" | "cardinality" | "array_length" | "jsonb_array_length"
        | "hashtext" => Kind::Number,
        "abs" | "round" | "floor" | "ceil" | "ceiling" | "trunc" | "coalesce" | "nullif" | "greatest" | "least" | "mod" => of(0),
        "date_trunc" => of(1),
        "jsonb_extract_path" | "json_extract_path" => Kind::Json,
        "to_tsvector" | "setweight" => Kind::Other,
        "timezone" => match of(1) {
            Kind::Zoned => Kind::Timestamp,
            Kind::Timestamp => Kind::Zoned,
            _ => Kind::Unknown,
        },
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_names_the_server_prints() {
        let printed = ["INT", "varchar(20)", "timestamptz", "TIMESTAMP WITH TIME ZONE", "timestamp(3)", "text[]", "pg_catalog.int8"];
        assert_eq!(
            printed.map(type_name),
            [
                "integer",
                "character varying(20)",
                "timestamp with time zone",
                "timestamp with time zone",
                "timestamp(3) without time zone",
                "text[]",
                "bigint"
            ]
        );
        assert_eq!(kind_of_type("timestamp(6) with time zone"), Kind::Zoned);
        assert_eq!(kind_of_type("text[]"), Kind::Array);
    }
}
