//! GIN: one entry for each distinct key, with a compressed list of the rows that hold it.

use super::super::facts::Facts;
use super::super::{Candidate, CandidateKey};
use super::values::Values;
use super::{LINE_POINTER, PAGE, PAGE_HEADER, TUPLE_HEADER, aligned};
use crate::catalog::ElementStatistics;

/// The share of an entry page in use after a build, as measured.
const FILLED: f64 = 0.75;
/// Bytes of a list from which it moves to a tree of its own.
const INLINE_MAX: f64 = 2_000.0;
/// Bytes of a page of such a tree in use.
const LIST_PAGE: f64 = PAGE - 64.0;
/// Distinct trigrams as if all were equally common: a text has many more, most of them rare.
const TRIGRAMS: f64 = 3_000.0;
/// Bytes of a lexeme in a tsvector, with its entry and positions.
const LEXEME: f64 = 14.0;
/// Bytes of a member of a document: key, value and their headers.
const MEMBER: f64 = 20.0;
/// Rows that share a member's value, as nothing is known of it (a guess: ids are shared by few, kinds by many).
const SHARED: f64 = 20.0;

/// Keys of one column or expression: how many a row has, how many there are, how wide they are, and the share of rows that
/// hold each of the most common.
struct Keys<'a> {
    per_row: f64,
    distinct: f64,
    width: f64,
    common: &'a [f64],
}

/// Returns the pages of a GIN index over so many rows.
pub(super) fn pages(facts: &Facts<'_>, candidate: &Candidate, rows: f64) -> f64 {
    let rows_per_page = (facts.rows / facts.pages.max(1.0)).max(1.0);
    let (mut entry_bytes, mut list_pages) = (0.0, 0.0);
    for key in &candidate.keys {
        let keys = keys_of(facts, key, rows);
        let tuple = aligned(TUPLE_HEADER + keys.width, 2.0);
        let mut add = |count: f64, share: f64| {
            let bytes = (rows * share).max(1.0) * pointer_bytes(share * rows_per_page * rows / facts.rows.max(1.0));
            if bytes <= INLINE_MAX {
                entry_bytes += count * (aligned(tuple + 2.0 + bytes, 8.0) + LINE_POINTER);
            } else {
                entry_bytes += count * (aligned(tuple, 8.0) + LINE_POINTER);
                // Keys that are only assumed to be alike have lists of all lengths.
                let pages = bytes / LIST_PAGE;
                list_pages += if count > 1.0 { count * pages } else { pages.ceil() };
            }
        };
        keys.common.iter().for_each(|share| add(1.0, *share));
        let rest = (keys.per_row - keys.common.iter().sum::<f64>()).max(0.0);
        let distinct = keys.distinct - keys.common.len() as f64;
        if rest > 0.0 && distinct >= 1.0 {
            add(distinct, rest / distinct);
        }
    }
    // Metapage and pending list head come first.
    2.0 + (entry_bytes / ((PAGE - PAGE_HEADER - 8.0) * FILLED)).ceil() + list_pages
}

/// Returns the entries that one row adds to the index.
pub(crate) fn keys_per_row(facts: &Facts<'_>, candidate: &Candidate) -> f64 {
    candidate.keys.iter().map(|key| keys_of(facts, key, facts.rows).per_row).sum::<f64>().max(1.0)
}

/// Returns the bytes of a row's pointer in a list: the distance to the one before in seven-bit groups, 2048 to a heap page.
fn pointer_bytes(rows_per_page: f64) -> f64 {
    if rows_per_page >= 1.0 {
        // Most steps stay within a page, one a page leaves it.
        return 1.0 + (1.0 / rows_per_page).min(1.0);
    }
    let distance = 2048.0 / rows_per_page.max(1e-9);
    (distance.log2() / 7.0).ceil().clamp(1.0, 6.0)
}

fn keys_of<'a>(facts: &Facts<'a>, key: &CandidateKey, rows: f64) -> Keys<'a> {
    let values = Values::of(facts, &key.target);
    let column = key.target.column().and_then(|name| facts.table.column(name));
    let type_name = column.map_or("", |column| column.type_name.as_str());
    let opclass = key.opclass.as_deref().unwrap_or_default();
    let present = 1.0 - values.null_fraction;
    if opclass.ends_with("gin_trgm_ops") {
        // Every letter begins a trigram, and words have two spaces before and one after.
        let per_row = (values.width * 1.15 + 1.0) * present;
        return Keys { per_row, distinct: TRIGRAMS.min(rows * per_row), width: 4.0, common: &[] };
    }
    let text: bool = column.is_none()
        && crate::advisor::expression::words(match &key.target {
            crate::catalog::KeyTarget::Expression(text) | crate::catalog::KeyTarget::Column(text) => text,
        })
        .first()
        .is_some_and(|word| word == "to_tsvector");
    let elements = values.statistics.and_then(|statistics| statistics.elements.as_ref());
    if type_name == "tsvector" || text {
        // A text makes one lexeme of about seven letters; a tsvector stores them with positions.
        let counted = if text { values.width / 8.0 } else { values.width / LEXEME };
        return of_elements(elements, counted.max(1.0) * present, 8.0, rows);
    }
    if type_name == "jsonb" || !opclass.is_empty() || type_name.is_empty() {
        let members = (values.width / MEMBER).max(1.0) * present;
        return match opclass.ends_with("jsonb_path_ops") {
            true => Keys { per_row: members, distinct: (rows * members / SHARED).max(1.0), width: 4.0, common: &[] },
            // Key and value are entries of their own; the keys are few and in every row.
            false => Keys { per_row: 2.0 * members, distinct: (rows * members / SHARED).max(1.0), width: 9.0, common: &[] },
        };
    }
    if type_name.ends_with("[]") {
        let element = match type_name.trim_end_matches("[]") {
            "integer" | "date" | "real" => 4.0,
            "bigint" | "timestamp with time zone" => 8.0,
            "uuid" => 16.0,
            _ => 9.0,
        };
        // An array's header takes 24 bytes.
        let counted = ((values.width - 24.0) / (element + 4.0)).max(1.0);
        return of_elements(elements, counted * present, element, rows);
    }
    // btree_gin: the value itself is the key.
    Keys { per_row: 1.0, distinct: values.distinct, width: values.width, common: values.common() }
}

/// Describes keys that ANALYZE counted as elements; without, by how many a value of this width holds.
fn of_elements(elements: Option<&ElementStatistics>, counted: f64, width: f64, rows: f64) -> Keys<'_> {
    let Some(elements) = elements else {
        return Keys { per_row: counted, distinct: (rows * counted).sqrt().max(1.0) * 4.0, width, common: &[] };
    };
    let common = &elements.common_frequencies[..elements.common_values.len().min(elements.common_frequencies.len())];
    let held: f64 = common.iter().sum();
    let per_row = elements.count_histogram.last().copied().unwrap_or_else(|| counted.max(held));
    let least = common.iter().copied().fold(1.0, f64::min);
    let rest = (per_row - held).max(0.0);
    // Elements that are not common are rarer than the rarest that is: a quarter as common, as a guess.
    let rare = if rest < 0.02 * per_row { 0.0 } else { (rest / (least / 4.0)).min(rest * rows) };
    Keys { per_row, distinct: common.len() as f64 + rare, width, common }
}
