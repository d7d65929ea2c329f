//! Which values are of one kind, so that equal ones stay equal across columns.

use std::collections::HashMap;

use super::super::{UserType, UserTypeKind};

/// A kind of value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Family {
    /// Labels and truth values, which schema text defines: kept.
    Kept,
    /// Whole numbers.
    Whole,
    /// Numbers with a fraction.
    Decimal,
    /// Days.
    Date,
    /// Moments, with a zone or without.
    Moment,
    /// Times of day.
    Clock,
    /// Texts that one collation orders; empty for the database's own.
    Text(String),
    /// Words of a text search vector; of a vector as a whole nothing is kept.
    Words,
    /// `uuid`.
    Uuid,
    /// `bytea`.
    Bytes,
    /// `inet` and `cidr`.
    Address,
    /// `jsonb`.
    Json,
    /// Arrays of one kind.
    Array(Box<Family>),
    /// Ranges over one kind.
    Range(Box<Family>),
    /// What cannot be read here: nothing of it is kept.
    Opaque,
}

/// The user's types by name, as `format_type` writes it.
pub(super) type Types<'a> = HashMap<String, &'a UserTypeKind>;

/// Orders the user's types for look-up.
pub(super) fn types(types: &[UserType]) -> Types<'_> {
    types.iter().map(|found| (found.name.to_string(), &found.kind)).collect()
}

/// Returns the kind of a type's values; `category` is `typcategory` where it is known.
pub(super) fn family(type_name: &str, category: Option<&str>, collation: Option<&str>, types: &Types<'_>) -> Family {
    // Domains over domains end: a type cannot be made from itself. The bound is for files that claim otherwise.
    resolved(type_name, category, collation, types, 32)
}

fn resolved(type_name: &str, category: Option<&str>, collation: Option<&str>, types: &Types<'_>, depth: u8) -> Family {
    if depth == 0 {
        return Family::Opaque;
    }
    if let Some(element) = type_name.strip_suffix("[]") {
        return Family::Array(Box::new(resolved(element.trim_end_matches("[]"), None, collation, types, depth - 1)));
    }
    match types.get(type_name) {
        Some(UserTypeKind::Enum { .. }) => return Family::Kept,
        Some(UserTypeKind::Domain { base, collation: own, .. }) => {
            return resolved(base, None, collation.or(own.as_deref()), types, depth - 1);
        }
        Some(UserTypeKind::Range { subtype }) => return Family::Range(Box::new(resolved(subtype, None, None, types, depth - 1))),
        Some(UserTypeKind::Composite { .. }) => return Family::Opaque,
        None => {}
    }
    let text = || Family::Text(collation.unwrap_or_default().to_owned());
    match without_modifier(type_name).as_str() {
        "boolean" => Family::Kept,
        "smallint" | "integer" | "bigint" | "oid" => Family::Whole,
        "numeric" | "real" | "double precision" => Family::Decimal,
        "date" => Family::Date,
        "timestamp without time zone" | "timestamp with time zone" => Family::Moment,
        "time without time zone" => Family::Clock,
        "text" | "character varying" | "character" => text(),
        "name" => Family::Text("\"C\"".to_owned()),
        "uuid" => Family::Uuid,
        "bytea" => Family::Bytes,
        "inet" | "cidr" => Family::Address,
        "jsonb" => Family::Json,
        "tsvector" => Family::Words,
        "int4range" | "int8range" => Family::Range(Box::new(Family::Whole)),
        "numrange" => Family::Range(Box::new(Family::Decimal)),
        "daterange" => Family::Range(Box::new(Family::Date)),
        "tsrange" | "tstzrange" => Family::Range(Box::new(Family::Moment)),
        "citext" => text(),
        other if other.ends_with(".citext") => text(),
        _ => match category {
            Some("E" | "B") => Family::Kept,
            Some("S") => text(),
            _ => Family::Opaque,
        },
    }
}

/// Returns `timestamp with time zone` for `timestamp(3) with time zone`.
fn without_modifier(type_name: &str) -> String {
    match (type_name.find('('), type_name.find(')')) {
        (Some(open), Some(close)) if open < close => format!("{}{}", &type_name[..open], &type_name[close + 1..]),
        _ => type_name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::QualifiedName;
    use super::*;

    #[test]
    fn types_fall_into_families_through_domains_arrays_and_ranges() {
        let made = |name: &str, kind| UserType { oid: 1, name: QualifiedName::new("s", name), kind, extension: None };
        let domain = |base: &str, collation: Option<&str>| UserTypeKind::Domain {
            base: base.to_owned(),
            not_null: false,
            collation: collation.map(str::to_owned),
            checks: Vec::new(),
        };
        let list = [
            made("mood", UserTypeKind::Enum { labels: Vec::new() }),
            made("code", domain("character varying(9)", Some("\"C\""))),
            made("codes", domain("s.code", None)),
            made("circle", domain("s.circle", None)),
            made("span", UserTypeKind::Range { subtype: "double precision".to_owned() }),
        ];
        let types = types(&list);
        let of = |name: &str| family(name, None, None, &types);
        assert_eq!((of("s.mood"), of("s.mood[]")), (Family::Kept, Family::Array(Box::new(Family::Kept))));
        assert_eq!((of("s.codes"), of("s.circle")), (Family::Text("\"C\"".to_owned()), Family::Opaque));
        assert_eq!((of("timestamp(3) with time zone"), of("numeric(10,2)")), (Family::Moment, Family::Decimal));
        assert_eq!((of("s.span"), of("point")), (Family::Range(Box::new(Family::Decimal)), Family::Opaque));
        assert_eq!(family("ext.label", Some("S"), None, &types), Family::Text(String::new()));
    }
}
