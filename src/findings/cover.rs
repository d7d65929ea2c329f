//! Whether one index can do everything another does for queries, judged by their definitions.
//!
//! Says nothing of uniqueness or of what else holds an index in place (`redundancy` does), and works for indexes that do not
//! exist yet: the advisor asks it whether a candidate is already there. Callers must first make sure the covering index is
//! usable: an invalid index covers nothing.

use crate::catalog::{Column, Index, Key, KeyTarget, Oid};

/// How well an index is covered by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cover {
    /// Same keys in the same order and direction, same `INCLUDE` columns, same predicate.
    Exact,
    /// The other serves the same scans at about the same price.
    Covered,
    /// The other serves the same scans and reads far more pages for them.
    CoveredMuchWider,
}

/// 3: up to here the wider index costs a scan at most about one more level and a few more leaf pages. A rule of thumb.
const MUCH_WIDER: u64 = 3;

/// 1 MiB: below this difference all of both indexes is in memory and the width does not matter.
const NEGLIGIBLE_BYTES: u64 = 1 << 20;

/// Storage parameters that change how an index is kept and not what it can answer.
const HOUSEKEEPING: &[&str] = &["fillfactor", "deduplicate_items", "buffering", "fastupdate", "gin_pending_list_limit", "autosummarize"];

/// What an index, existing or not, offers to queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition<'a> {
    /// The table's oid.
    pub table: Oid,
    /// The access method.
    pub access_method: &'a str,
    /// Keys in order.
    pub keys: Vec<KeyView<'a>>,
    /// `INCLUDE` columns.
    pub included: &'a [String],
    /// The predicate of a partial index.
    pub predicate: Option<&'a str>,
    /// Storage parameters, as `name=value`.
    pub options: &'a [String],
    /// The size, where known.
    pub size_bytes: Option<u64>,
}

/// One key of a [`Definition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyView<'a> {
    /// The column or expression.
    pub target: &'a KeyTarget,
    /// The operator class; `None` when it is the type's default.
    pub opclass: Option<&'a str>,
    /// The collation; `None` for the database's default and for types without one.
    pub collation: Option<&'a str>,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
}

impl<'a> KeyView<'a> {
    /// Views a key of an existing index.
    pub fn of(key: &'a Key) -> Self {
        Self {
            target: &key.target,
            opclass: (!key.opclass_is_default).then_some(key.opclass.as_str()),
            collation: key.collation.as_deref().filter(|name| !is_default_collation(name)),
            descending: key.descending,
            nulls_first: key.nulls_first,
        }
    }

    /// Views an ascending key that an index on this column would have by default.
    ///
    /// `target` must name the column; adjust the other fields for `DESC`, `NULLS FIRST` or another operator class.
    pub fn on_column(target: &'a KeyTarget, column: &'a Column) -> Self {
        let collation = column.collation.as_deref().filter(|name| !is_default_collation(name));
        Self { target, opclass: None, collation, descending: false, nulls_first: false }
    }
}

impl<'a> Definition<'a> {
    /// Views an existing index.
    pub fn of(index: &'a Index) -> Self {
        Self {
            table: index.table,
            access_method: &index.access_method,
            keys: index.keys.iter().map(KeyView::of).collect(),
            included: &index.included,
            predicate: index.predicate.as_deref(),
            options: &index.options,
            size_bytes: Some(index.size_bytes),
        }
    }

    fn holds_column(&self, name: &str) -> bool {
        self.included.iter().any(|column| column == name) || self.keys.iter().any(|key| key.target.column() == Some(name))
    }

    fn columns(&self) -> usize {
        self.keys.len() + self.included.len()
    }

    fn capabilities(&self) -> Vec<&'a str> {
        let housekeeping = |option: &str| HOUSEKEEPING.contains(&option.split('=').next().unwrap_or(option));
        let mut options: Vec<&str> = self.options.iter().map(String::as_str).filter(|option| !housekeeping(option)).collect();
        options.sort_unstable();
        options
    }
}

/// Returns how `narrow` is covered by `wide`; `None` when some scan of the first is beyond the second.
///
/// Transitive, and reflexive as [`Cover::Exact`].
pub fn cover(narrow: &Definition<'_>, wide: &Definition<'_>) -> Option<Cover> {
    let predicate = narrow.predicate.map(bare);
    let wide_predicate = wide.predicate.map(bare);
    let serves = narrow.table == wide.table
        && narrow.access_method == wide.access_method
        && (predicate == wide_predicate || wide_predicate.is_none())
        && keys_serve(narrow, wide)
        && narrow.included.iter().all(|column| wide.holds_column(column))
        && narrow.capabilities() == wide.capabilities();
    if !serves {
        return None;
    }
    let identical = narrow.keys == wide.keys && predicate == wide_predicate && same_set(narrow.included, wide.included);
    Some(match identical {
        true => Cover::Exact,
        false if much_wider(narrow, wide) => Cover::CoveredMuchWider,
        false => Cover::Covered,
    })
}

/// Returns whether scans over the keys of `narrow` can be scans over the first keys of `wide`.
fn keys_serve(narrow: &Definition<'_>, wide: &Definition<'_>) -> bool {
    match narrow.access_method {
        "btree" => {
            let prefix = &wide.keys[..narrow.keys.len().min(wide.keys.len())];
            prefix == narrow.keys || prefix.iter().copied().map(flipped).eq(narrow.keys.iter().copied())
        }
        // A condition on any key costs the same wherever the key stands.
        "gin" | "brin" => {
            narrow.keys.len() == wide.keys.len()
                && narrow.keys.iter().all(|key| wide.keys.contains(key))
                && wide.keys.iter().all(|key| narrow.keys.contains(key))
        }
        // GiST chooses its splits by the first key, hash has one key, and of other methods nothing is known.
        _ => narrow.keys == wide.keys,
    }
}

/// Returns the key as a backward scan sees it.
fn flipped(key: KeyView<'_>) -> KeyView<'_> {
    KeyView { descending: !key.descending, nulls_first: !key.nulls_first, ..key }
}

fn much_wider(narrow: &Definition<'_>, wide: &Definition<'_>) -> bool {
    match (narrow.size_bytes, wide.size_bytes) {
        (Some(narrow), Some(wide)) => wide >= narrow.saturating_mul(MUCH_WIDER) && wide - narrow >= NEGLIGIBLE_BYTES,
        _ => wide.columns() > narrow.columns() * MUCH_WIDER as usize,
    }
}

fn same_set(one: &[String], other: &[String]) -> bool {
    one.iter().all(|item| other.contains(item)) && other.iter().all(|item| one.contains(item))
}

fn is_default_collation(name: &str) -> bool {
    matches!(name, "default" | "\"default\"" | "pg_catalog.default" | "pg_catalog.\"default\"")
}

/// Returns the predicate without brackets that enclose all of it: `pg_get_expr` writes them, people do not.
fn bare(predicate: &str) -> &str {
    let mut text = predicate.trim();
    while let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        if !balanced(inner) {
            break;
        }
        text = inner.trim();
    }
    text
}

/// Returns whether no closing bracket of the text lacks its opening one; brackets within quotes do not count.
fn balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    let mut quote = None;
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sketch, index};

    fn grade(narrow: Sketch, wide: Sketch) -> Option<Cover> {
        let (narrow, wide) = (narrow.build(), wide.build());
        cover(&Definition::of(&narrow), &Definition::of(&wide))
    }

    #[test]
    fn a_prefix_is_covered_and_a_suffix_is_not() {
        assert_eq!(grade(index("a"), index("a, b")), Some(Cover::Covered));
        assert_eq!(grade(index("b"), index("a, b")), None);
        assert_eq!(grade(index("a, b"), index("a")), None);
        assert_eq!(grade(index("a, b"), index("b, a")), None);
        assert_eq!(grade(index("a, b"), index("a, b")), Some(Cover::Exact));
    }

    #[test]
    fn directions_must_be_equal_or_all_flipped_together() {
        assert_eq!(grade(index("a"), index("a desc")), Some(Cover::Covered));
        assert_eq!(grade(index("a, b desc"), index("a desc, b")), Some(Cover::Covered));
        assert_eq!(grade(index("a, b"), index("a, b desc")), None);
        assert_eq!(grade(index("a"), index("a desc, b")), Some(Cover::Covered));
    }

    #[test]
    fn nulls_must_stand_at_the_same_end() {
        assert_eq!(grade(index("a"), index("a nulls first")), None);
        assert_eq!(grade(index("a"), index("a desc nulls last")), None);
        assert_eq!(grade(index("a nulls first"), index("a desc nulls last")), Some(Cover::Covered));
    }

    #[test]
    fn operator_classes_and_collations_must_be_equal() {
        assert_eq!(grade(index("a"), index("a text_pattern_ops")), None);
        assert_eq!(grade(index("a text_pattern_ops"), index("a text_pattern_ops, b")), Some(Cover::Covered));
        assert_eq!(grade(index("a"), index("a collate C")), None);
        assert_eq!(grade(index("a collate default"), index("a")), Some(Cover::Exact));
    }

    #[test]
    fn access_methods_must_be_equal() {
        assert_eq!(grade(index("a").method("gin"), index("a")), None);
        assert_eq!(grade(index("a").method("hash"), index("a")), None);
        assert_eq!(grade(index("a"), index("a").method("hash")), None);
    }

    #[test]
    fn keys_of_gin_and_brin_are_sets_and_those_of_gist_are_not() {
        assert_eq!(grade(index("a, b").method("gin"), index("b, a").method("gin")), Some(Cover::Covered));
        assert_eq!(grade(index("a, b").method("brin"), index("b, a").method("brin")), Some(Cover::Covered));
        assert_eq!(grade(index("a").method("gin"), index("a, b").method("gin")), None);
        assert_eq!(grade(index("a, b").method("gist"), index("b, a").method("gist")), None);
        assert_eq!(grade(index("a").method("gist"), index("a, b").method("gist")), None);
        assert_eq!(grade(index("a").method("gist"), index("a").method("gist")), Some(Cover::Exact));
    }

    #[test]
    fn expressions_are_compared_by_their_text() {
        assert_eq!(grade(index("lower(a)"), index("upper(a)")), None);
        assert_eq!(grade(index("lower(a), lower(b)"), index("lower(a), lower(c)")), None);
        assert_eq!(grade(index("lower(a)"), index("lower(a), upper(b)")), Some(Cover::Covered));
        assert_eq!(grade(index("lower(a)"), index("a")), None);
    }

    #[test]
    fn predicates_must_be_equal_or_absent_from_the_cover() {
        assert_eq!(grade(index("a").predicate("(b > 1)"), index("a").predicate("(b > 2)")), None);
        assert_eq!(grade(index("a"), index("a").predicate("(b > 1)")), None);
        assert_eq!(grade(index("a").predicate("(b > 1)"), index("a")), Some(Cover::Covered));
        assert_eq!(grade(index("a").predicate("((b > 1))"), index("a").predicate("b > 1")), Some(Cover::Exact));
        assert_eq!(grade(index("a").predicate("(b) OR (c)"), index("a").predicate("b) OR (c")), None);
    }

    #[test]
    fn included_columns_must_be_found_in_the_cover() {
        assert_eq!(grade(index("a").include(&["c"]), index("a, b")), None);
        assert_eq!(grade(index("a").include(&["c"]), index("a, b").include(&["c"])), Some(Cover::Covered));
        assert_eq!(grade(index("a").include(&["b"]), index("a, b")), Some(Cover::Covered));
        assert_eq!(grade(index("a, b"), index("a").include(&["b"])), None);
        assert_eq!(grade(index("a").include(&["b", "c"]), index("a").include(&["c", "b"])), Some(Cover::Exact));
    }

    #[test]
    fn a_cover_three_times_as_large_is_much_wider() {
        let size = |mb: u64| mb << 20;
        assert_eq!(grade(index("a").size(size(10)), index("a, b").size(size(29))), Some(Cover::Covered));
        assert_eq!(grade(index("a").size(size(10)), index("a, b").size(size(30))), Some(Cover::CoveredMuchWider));
        assert_eq!(grade(index("a").size(8192), index("a, b").size(81_920)), Some(Cover::Covered));
    }

    #[test]
    fn without_sizes_the_columns_are_counted() {
        let (narrow, wide) = (index("a").build(), index("a, b, c, d").build());
        let sizeless = |index| Definition { size_bytes: None, ..Definition::of(index) };
        assert_eq!(cover(&sizeless(&narrow), &sizeless(&wide)), Some(Cover::CoveredMuchWider));
    }

    #[test]
    fn storage_parameters_count_only_when_they_change_what_is_answered() {
        assert_eq!(grade(index("a").option("fillfactor=70"), index("a")), Some(Cover::Exact));
        assert_eq!(grade(index("a").method("brin").option("pages_per_range=4"), index("a").method("brin")), None);
    }
}
