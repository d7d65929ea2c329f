//! What an index could do for a column if the condition let it.

use crate::catalog::{Column, Index, KeyTarget, Relations, Table};
use crate::findings::family::Family;
use crate::findings::statement_text::has_word;

/// 1000 pages (8 MB): from here on a scan is felt also when the table is in memory. A rule of thumb.
const LARGE_PAGES: u64 = 1000;

/// 10 000 rows: narrow tables are slow to filter before they are large.
const LARGE_ROWS: f64 = 10_000.0;

/// Returns the heap pages of a table large enough for a condition on it to matter; `None` when it is not.
pub(crate) fn large_pages(table: &Table, relations: &Relations<'_>) -> Option<u64> {
    let family = Family::of(table, relations);
    let pages = family.pages();
    (pages >= LARGE_PAGES || family.rows() >= LARGE_ROWS).then_some(pages)
}

/// Returns a usable index that a comparison with the bare column would use: a B-tree led by it, without a predicate.
pub(crate) fn index_led_by<'a>(table: &Table, column: &Column, relations: &Relations<'a>) -> Option<&'a Index> {
    let led = |index: &&Index| {
        index.usable()
            && index.access_method == "btree"
            && index.predicate.is_none()
            && index.keys.first().is_some_and(|key| key.target.column() == Some(&column.name) && !key.opclass.contains("pattern_ops"))
    };
    relations.indexes_of(table.oid).iter().copied().find(led)
}

/// Returns whether some index of the table is on an expression over the column that has this word in it.
///
/// Generous on purpose: two spellings of an expression are hard to tell equal, and a false alarm is worse than a miss.
pub(crate) fn expression_indexed(table: &Table, column: &Column, word: &str, relations: &Relations<'_>) -> bool {
    let serves = |target: &KeyTarget| match target {
        KeyTarget::Expression(text) => {
            let text = text.to_lowercase();
            has_word(&text, &column.name.to_lowercase()) && (word.is_empty() || text.contains(word))
        }
        KeyTarget::Column(_) => false,
    };
    relations.indexes_of(table.oid).iter().any(|index| index.usable() && index.keys.iter().any(|key| serves(&key.target)))
}
