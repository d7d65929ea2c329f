//! Takes application values out of a snapshot, so that it may leave the house: `pgload snapshot --redact`.
//!
//! A value is replaced by its *rank* among all values of its kind in the database, not by a hash: whoever holds a hash can try
//! guesses against it, and a rank says nothing but what stands before and after. The same value of the same kind becomes the
//! same token in every column, so joins keep their matches; lists the server sorted stay sorted; frequencies, widths and
//! counts are not touched. So nothing secret has to be drawn, kept or thrown away.
//!
//! | values | become |
//! |---|---|
//! | texts, uuids, bytes, addresses, words | eight digits (or what has the type's form) of their rank |
//! | whole numbers, fractions | their rank, counted from zero or from the last number that schema text spells |
//! | days and moments | spread evenly by rank between round distances from the snapshot's moment (1 day, 7 days, …) |
//! | arrays, ranges, `jsonb` | put together again from replaced parts |
//! | truth values, enum labels | kept: schema text defines them |
//! | other types | the lists are dropped, and [`Snapshot::hidden`] says so |
//!
//! Schema text (views, functions, checks, predicates, defaults, policies, bounds) is code and kept as it is. A value that
//! schema text spells is kept in the lists of common values too, since the file says it anyway and a partial index must go
//! on matching. Where values leave no gaps between two kept numbers or days, their ranks are the values themselves;
//! and a day or number that is itself such a mark stays, as today does.
//! Statement texts lose comments, strings and numbers of more than two digits.

mod family;
mod form;
mod line;
mod literal;
mod ranked;
mod statement;
mod values;

use super::{ColumnStatistics, ElementStatistics, ExtendedStatistics, Hidden, Snapshot, UserTypeKind};
use family::{Family, Types, family, types};
use values::{Place, Values};

/// Columns named in a message before it says "and more".
const NAMES_SHOWN: usize = 5;

/// Returns the snapshot without application values; see the [module](self) for what becomes of which.
pub fn redact(mut snapshot: Snapshot) -> Snapshot {
    let user_types = snapshot.types.clone();
    let types = types(&user_types);
    let plain = snapshot.server.locale_provider != "i" && matches!(snapshot.server.collate.as_str(), "C" | "POSIX");
    let mut values = Values::new(i128::from(snapshot.taken_at.as_microsecond()), plain);
    for text in schema_texts(&snapshot) {
        let (mut strings, mut numbers) = (Vec::new(), Vec::new());
        literal::literals_of(text, &mut strings, &mut numbers);
        strings.iter().chain(&numbers).for_each(|literal| values.keep(literal));
    }
    for found in &user_types {
        if let UserTypeKind::Enum { labels } = &found.kind {
            labels.iter().for_each(|label| values.keep(label));
        }
    }
    // What cannot be read is dropped at first sight; the second time nothing of it is left to see.
    let mut dropped = statistics(&mut snapshot, &mut values, &types);
    let decided = statement::see(&snapshot.statements, &mut values);
    values.settle();
    dropped.extend(statistics(&mut snapshot, &mut values, &types));
    statement::replace(&mut snapshot.statements, &mut values, &decided);
    snapshot.hidden.extend(hidden(&dropped));
    snapshot.redacted = true;
    snapshot
}

fn hidden(dropped: &[String]) -> Option<Hidden> {
    let mut names = dropped.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if dropped.len() > NAMES_SHOWN {
        names.push_str(", …");
    }
    (!dropped.is_empty()).then(|| Hidden {
        what: format!("values of {} columns, which --redact could not replace ({names})", dropped.len()),
        effect: "conditions on them are priced from the number of distinct values alone".to_owned(),
        remedy: String::new(),
    })
}

/// Returns every text that defines the schema.
fn schema_texts(snapshot: &Snapshot) -> impl Iterator<Item = &str> {
    let of_tables = snapshot.tables.iter().flat_map(|table| {
        let defaults = table.columns.iter().filter_map(|column| column.default.as_deref());
        [table.partition_key.as_deref(), table.partition_bound.as_deref()].into_iter().flatten().chain(defaults)
    });
    let of_types = snapshot.types.iter().flat_map(|found| match &found.kind {
        UserTypeKind::Domain { checks, .. } => checks.as_slice(),
        _ => &[],
    });
    let of_policies = snapshot.policies.iter().flat_map(|policy| [policy.using.as_deref(), policy.check.as_deref()].into_iter().flatten());
    of_tables
        .chain(snapshot.indexes.iter().map(|index| index.definition.as_str()))
        .chain(snapshot.constraints.iter().map(|constraint| constraint.definition.as_str()))
        .chain(snapshot.views.iter().map(|view| view.definition.as_str()))
        .chain(snapshot.functions.iter().map(|function| function.definition.as_str()))
        .chain(snapshot.extended_statistics.iter().map(|statistics| statistics.definition.as_str()))
        .chain(of_types.map(String::as_str))
        .chain(of_policies)
}

/// Sees or replaces the values of all statistics; names the columns of which values were dropped.
fn statistics(snapshot: &mut Snapshot, values: &mut Values, types: &Types<'_>) -> Vec<String> {
    let mut dropped = Vec::new();
    for extended in &mut snapshot.extended_statistics {
        let table = snapshot.tables.iter().find(|table| table.oid == extended.table);
        let of_column = |name: &String| {
            let column = table.and_then(|table| table.column(name));
            column
                .map_or(Family::Opaque, |column| family(&column.type_name, Some(&column.type_category), column.collation.as_deref(), types))
        };
        let families: Vec<Family> = extended.columns.iter().map(of_column).collect();
        if !extended_statistics(extended, families, values) {
            dropped.push(extended.name.to_string());
        }
    }
    for table in &mut snapshot.tables {
        for column in &mut table.columns {
            let family = family(&column.type_name, Some(&column.type_category), column.collation.as_deref(), types);
            let lists = [column.statistics.as_mut(), column.statistics_inherited.as_mut()];
            let mut kept = true;
            for statistics in lists.into_iter().flatten() {
                kept &= column_statistics(statistics, &family, values);
            }
            if !kept {
                dropped.push(format!("{}.{}", table.name, super::name::quoted(&column.name)));
            }
        }
    }
    for index in &mut snapshot.indexes {
        let collations = index.keys.iter().filter(|key| key.target.column().is_none()).map(|key| key.collation.as_deref());
        let mut kept = true;
        for (statistics, collation) in index.expression_statistics.iter_mut().zip(collations) {
            let Some(statistics) = statistics else { continue };
            let family = match &statistics.type_name {
                Some(name) => family(name, None, collation, types),
                None => statement::family_of(statistics.common_values.iter().chain(&statistics.histogram), values),
            };
            kept &= column_statistics(statistics, &family, values);
        }
        if !kept {
            dropped.push(format!("index {}", index.name));
        }
    }
    dropped
}

/// Sees or replaces the values of one column; false when some had to be dropped.
fn column_statistics(statistics: &mut ColumnStatistics, family: &Family, values: &mut Values) -> bool {
    let mut kept = true;
    // A text search vector as a whole is a document: only its words are worth keeping.
    let whole = if family == &Family::Words { &Family::Opaque } else { family };
    kept &= all_replaced(&mut statistics.common_values, whole, Place::Free, values);
    if statistics.common_values.is_empty() {
        statistics.common_frequencies.clear();
    }
    values.see_in_order(whole, &statistics.histogram);
    kept &= all_replaced(&mut statistics.histogram, whole, Place::Sorted, values);
    if let Some(elements) = &mut statistics.elements {
        let of = match family {
            Family::Array(element) => element.as_ref(),
            Family::Words => family,
            _ => &Family::Opaque,
        };
        if all_replaced(&mut elements.common_values, of, Place::Free, values) {
            sort_elements(elements, values);
        } else {
            kept = false;
        }
        if elements.common_values.is_empty() {
            elements.common_frequencies.clear();
        }
    }
    if let Some(ranges) = &mut statistics.ranges {
        kept &= all_replaced(&mut ranges.bounds_histogram, family, Place::Sorted, values);
        for length in &mut ranges.length_histogram {
            *length = values.decimal(*length).unwrap_or(0.0);
        }
    }
    kept
}

/// Sees or replaces a list; empties it, and returns false, when one of its values cannot be read.
fn all_replaced(list: &mut Vec<String>, family: &Family, place: Place, values: &mut Values) -> bool {
    let replaced: Option<Vec<String>> = list.iter().map(|value| values.replaced(family, value, place)).collect();
    let complete = replaced.is_some() || list.is_empty();
    *list = replaced.unwrap_or_default();
    complete
}

/// Puts elements into the order of their new values, as the planner searches them: tokens are digits, what is kept is words.
fn sort_elements(elements: &mut ElementStatistics, values: &Values) {
    let count = elements.common_values.len();
    if elements.common_frequencies.len() < count {
        return;
    }
    let rest = elements.common_frequencies.split_off(count);
    let mut pairs: Vec<(String, f64)> = elements.common_values.drain(..).zip(elements.common_frequencies.drain(..)).collect();
    pairs
        .sort_by_key(|(value, _)| (!value.is_empty(), values.keeps(value) && !value.starts_with(|c: char| c.is_ascii_digit() || c == '-')));
    (elements.common_values, elements.common_frequencies) = pairs.into_iter().unzip();
    elements.common_frequencies.extend(rest);
}

/// Sees or replaces the combinations and expressions of extended statistics; false when some had to be dropped.
fn extended_statistics(extended: &mut ExtendedStatistics, mut families: Vec<Family>, values: &mut Values) -> bool {
    for (at, statistics) in extended.expression_statistics.iter().enumerate() {
        let position = extended.columns.len() + at;
        let combined = extended.found.iter().flat_map(|found| &found.common_values).filter_map(|row| row.get(position)?.as_ref());
        let own = statistics.iter().flat_map(|statistics| statistics.common_values.iter().chain(&statistics.histogram));
        families.push(statement::family_of(own.chain(combined), values));
    }
    let mut kept = true;
    for (at, statistics) in extended.expression_statistics.iter_mut().enumerate() {
        let Some(statistics) = statistics else { continue };
        kept &= column_statistics(statistics, &families[extended.columns.len() + at], values);
    }
    let Some(found) = &mut extended.found else { return kept };
    let row = |row: &Vec<Option<String>>| -> Option<Vec<Option<String>>> {
        let value = |(value, family): (&Option<String>, &Family)| match value {
            Some(value) => values.replaced(family, value, Place::Free).map(Some),
            None => Some(None),
        };
        (row.len() == families.len()).then(|| row.iter().zip(&families).map(value).collect::<Option<_>>()).flatten()
    };
    match found.common_values.iter().map(row).collect::<Option<Vec<_>>>() {
        Some(replaced) => found.common_values = replaced,
        None => {
            kept = false;
            found.common_values.clear();
            found.common_frequencies.clear();
            found.common_base_frequencies.clear();
        }
    }
    kept
}

#[cfg(test)]
mod tests;
