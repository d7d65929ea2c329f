//! A sensible constant of any type, for parameters nothing else is known of.

use crate::catalog::name::literal;
use crate::catalog::{Snapshot, UserTypeKind};

/// How many domains over domains are followed before a type counts as unknown.
const DOMAIN_DEPTH_MAX: usize = 8;

/// Returns an expression of the type, by its `format_type` name.
pub(super) fn of(snapshot: &Snapshot, type_name: &str) -> String {
    match value(snapshot, type_name, 0) {
        Some(value) => typed(&value, type_name),
        None => format!("NULL::{type_name}"),
    }
}

/// Returns the text as a literal of the type.
pub(super) fn typed(value: &str, type_name: &str) -> String {
    // Without a length these names mean a length of 1.
    let name = match type_name {
        "character" => "bpchar",
        "character[]" => "bpchar[]",
        "bit" => "\"bit\"",
        "bit[]" => "\"bit\"[]",
        name => name,
    };
    format!("{}::{name}", literal(value))
}

/// Returns the type's name without its modifier: `numeric` for `numeric(15,2)`, `timestamp with time zone` for `timestamp(3) with time zone`.
pub(super) fn bare(type_name: &str) -> String {
    match (type_name.find('('), type_name.find(')')) {
        (Some(open), Some(close)) if open < close && !type_name.starts_with('"') => {
            format!("{}{}", &type_name[..open], &type_name[close + 1..])
        }
        _ => type_name.to_owned(),
    }
}

/// Returns whether the text can be read as the type, as far as it can be told here: a column's value may be compared with a
/// parameter of another type.
pub(super) fn fits(value: &str, type_name: &str) -> bool {
    let begins = |wanted: fn(char) -> bool| value.starts_with(wanted);
    match bare(type_name).as_str() {
        "smallint" => value.parse::<i16>().is_ok(),
        "integer" | "oid" => value.parse::<i32>().is_ok(),
        "bigint" => value.parse::<i64>().is_ok(),
        "numeric" | "real" | "double precision" => value.parse::<f64>().is_ok(),
        "boolean" => matches!(value, "t" | "f" | "true" | "false"),
        "uuid" => value.len() == 36 && value.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()),
        "date" | "timestamp without time zone" | "timestamp with time zone" => {
            value.contains("infinity") || begins(|c| c.is_ascii_digit()) && value.contains('-')
        }
        "interval" => begins(|c| c.is_ascii_digit() || c == '-'),
        "json" | "jsonb" => serde_json::from_str::<serde_json::Value>(value).is_ok(),
        name if name.ends_with("[]") => begins(|c| c == '{' || c == '['),
        _ => true,
    }
}

fn value(snapshot: &Snapshot, type_name: &str, depth: usize) -> Option<String> {
    if type_name.ends_with("[]") {
        return Some("{}".into());
    }
    let bare = bare(type_name);
    let value = match bare.as_str() {
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" | "oid" | "xid" | "cid" | "money" | "xid8" => {
            "1".into()
        }
        "text" | "character varying" | "character" | "name" | "\"char\"" | "citext" | "bpchar" | "cstring" => "1".into(),
        "boolean" => "true".into(),
        "uuid" => "00000000-0000-4000-8000-000000000001".into(),
        "date" => snapshot.taken_at.strftime("%Y-%m-%d").to_string(),
        "timestamp without time zone" => snapshot.taken_at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        "timestamp with time zone" => snapshot.taken_at.strftime("%Y-%m-%d %H:%M:%S+00").to_string(),
        "time without time zone" => "12:00:00".into(),
        "time with time zone" => "12:00:00+00".into(),
        "interval" => "1 day".into(),
        "json" | "jsonb" => "{}".into(),
        "jsonpath" => "$".into(),
        "bytea" => "\\x00".into(),
        "bit" => "1".into(),
        "bit varying" => "1".into(),
        "inet" | "cidr" => "10.0.0.1".into(),
        "macaddr" => "08:00:2b:01:02:03".into(),
        "macaddr8" => "08:00:2b:01:02:03:04:05".into(),
        "tsvector" | "tsquery" => "x".into(),
        "point" => "(0,0)".into(),
        "line" => "{1,-1,0}".into(),
        "lseg" => "[(0,0),(1,1)]".into(),
        "box" => "(1,1),(0,0)".into(),
        "path" => "((0,0),(1,1),(1,0))".into(),
        "polygon" => "((0,0),(1,1),(1,0))".into(),
        "circle" => "<(0,0),1>".into(),
        "int4range" | "int8range" | "numrange" => "[1,2)".into(),
        "int4multirange" | "int8multirange" | "nummultirange" => "{[1,2)}".into(),
        "daterange" | "tsrange" | "tstzrange" => day(snapshot),
        "datemultirange" | "tsmultirange" | "tstzmultirange" => format!("{{{}}}", day(snapshot)),
        "regclass" => "pg_class".into(),
        "regtype" => "text".into(),
        "regproc" => "now".into(),
        "regrole" => return None,
        "regnamespace" => "pg_catalog".into(),
        "regconfig" | "regdictionary" => "simple".into(),
        "pg_lsn" => "0/0".into(),
        "xml" => "<x/>".into(),
        "hstore" => "a=>1".into(),
        "ltree" | "lquery" | "ltxtquery" => "x".into(),
        _ => return user_value(snapshot, &bare, depth),
    };
    Some(value)
}

/// The day of the snapshot as a range.
fn day(snapshot: &Snapshot) -> String {
    let next = snapshot.taken_at + jiff::SignedDuration::from_hours(24);
    format!("[{},{})", snapshot.taken_at.strftime("%Y-%m-%d"), next.strftime("%Y-%m-%d"))
}

fn user_value(snapshot: &Snapshot, type_name: &str, depth: usize) -> Option<String> {
    // `format_type` leaves the schema out when the search path has it.
    let found = snapshot
        .types
        .iter()
        .find(|known| known.name.to_string() == type_name || crate::catalog::name::quoted(&known.name.name) == type_name)?;
    match &found.kind {
        UserTypeKind::Enum { labels } => labels.first().cloned(),
        UserTypeKind::Domain { base, .. } if depth < DOMAIN_DEPTH_MAX => value(snapshot, base, depth + 1),
        UserTypeKind::Range { subtype } if depth < DOMAIN_DEPTH_MAX => {
            value(snapshot, subtype, depth + 1).map(|bound| format!("[\"{bound}\",]"))
        }
        _ => None,
    }
}
