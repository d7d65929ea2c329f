//! Searches for a text within a text, which no ordered index can help.

use sqlparser::ast::{BinaryOperator, Expr, Value};

use crate::catalog::name::quoted;
use crate::catalog::{Column, Index, KeyTarget, Relations, Table};
use crate::findings::statement_text::has_word;
use crate::findings::statements::level::bare;
use crate::findings::statements::target::large_pages;
use crate::findings::statements::{Level, Recorded, tell};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Statements};

pub(super) const RULE: Rule = Rule {
    id: "leading-wildcard",
    summary: "A pattern that begins with a wildcard, or an ILIKE, reads the whole of a large table.",
    check: Check::Workload(check),
};

/// Half of the heap: a prefix search through the index that is there reads far less.
const MOST: f64 = 0.5;

fn check<'a>(relations: &Relations<'a>, statements: &Statements<'a>) -> Vec<Finding> {
    let mut findings = vec![];
    for recorded in statements.weighty() {
        let levels = statements.reading(recorded).map_or(&[][..], |reading| &reading.levels);
        let searches: Vec<Search<'_>> = levels.iter().flat_map(|level| searches(level, recorded, relations)).collect();
        if !searches.is_empty() {
            findings.push(finding(recorded, &searches, relations));
        }
    }
    findings
}

/// What is known of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    /// It begins with a wildcard and ends with none: `%x`.
    Ending,
    /// It begins with a wildcard.
    Inside,
    /// Upper and lower case are one, so that it has no beginning an index knows.
    AnyCase,
    /// A parameter, whose statement reads most of the table although an index serves a fixed beginning.
    Judged,
}

/// A search no index serves.
struct Search<'a> {
    table: &'a Table,
    column: &'a Column,
    condition: String,
    /// The pattern, as written.
    written: String,
    pattern: Pattern,
}

fn searches<'a>(level: &Level<'a>, recorded: &Recorded<'a>, relations: &Relations<'a>) -> Vec<Search<'a>> {
    let one = |condition: &Expr| {
        let (subject, written, any_case) = like(condition)?;
        let (table, column) = level.column(subject)?;
        let pages = large_pages(table, relations).filter(|&pages| recorded.reads_much_of(pages))?;
        let pattern = match beginning(written, recorded) {
            Beginning::Wildcard { to_the_end } => {
                if to_the_end && !any_case {
                    Pattern::Ending
                } else {
                    Pattern::Inside
                }
            }
            _ if any_case => Pattern::AnyCase,
            Beginning::Unknown if serves_a_prefix(table, column, relations) && recorded.totals.blocks_per_call() >= MOST * pages as f64 => {
                Pattern::Judged
            }
            Beginning::Unknown | Beginning::Fixed => return None,
        };
        if searchable(table, column, pattern, relations) {
            return None;
        }
        Some(Search { table, column, condition: condition.to_string(), written: written.to_string(), pattern })
    };
    level.conjuncts.iter().filter_map(one).collect()
}

/// Returns what is searched, the pattern, and whether case is ignored, for `LIKE`, `ILIKE` and their operators.
fn like(condition: &Expr) -> Option<(&Expr, &Expr, bool)> {
    match bare(condition) {
        Expr::Like { negated: false, any: false, expr, pattern, .. } => Some((bare(expr), bare(pattern), false)),
        Expr::ILike { negated: false, any: false, expr, pattern, .. } => Some((bare(expr), bare(pattern), true)),
        Expr::BinaryOp { left, op: BinaryOperator::PGLikeMatch, right } => Some((bare(left), bare(right), false)),
        Expr::BinaryOp { left, op: BinaryOperator::PGILikeMatch, right } => Some((bare(left), bare(right), true)),
        _ => None,
    }
}

/// How a pattern begins.
enum Beginning {
    /// With `%` or `_`; whether no wildcard follows a leading `%`.
    Wildcard { to_the_end: bool },
    /// With a letter.
    Fixed,
    /// A parameter says it.
    Unknown,
}

fn beginning(pattern: &Expr, recorded: &Recorded<'_>) -> Beginning {
    match bare(pattern) {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => of_text(text),
            Value::Placeholder(name) => of_captured(name, recorded),
            _ => Beginning::Fixed,
        },
        // `'%' || $1 || '%'`: what stands first decides.
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => match beginning(left, recorded) {
            Beginning::Wildcard { .. } => Beginning::Wildcard {
                to_the_end: matches!(beginning(right, recorded), Beginning::Unknown) && !matches!(bare(left), Expr::BinaryOp { .. }),
            },
            other => other,
        },
        Expr::Cast { expr, .. } => beginning(expr, recorded),
        _ => Beginning::Unknown,
    }
}

fn of_text(text: &str) -> Beginning {
    if !text.starts_with(['%', '_']) {
        return Beginning::Fixed;
    }
    Beginning::Wildcard { to_the_end: text.strip_prefix('%').is_some_and(|rest| !rest.is_empty() && !rest.contains(['%', '_', '\\'])) }
}

/// Judges a parameter by its recorded values: a wildcard when most of them begin with one.
fn of_captured(name: &str, recorded: &Recorded<'_>) -> Beginning {
    let Some(position) = name.trim_start_matches('$').parse::<usize>().ok().and_then(|number| number.checked_sub(1)) else {
        return Beginning::Unknown;
    };
    let values: Vec<&str> = recorded.parameters.iter().filter_map(|call| call.get(position)?.as_deref()).collect();
    let wildcards = values.iter().filter(|value| value.starts_with(['%', '_'])).count();
    match values.len() {
        0 => Beginning::Unknown,
        count if wildcards * 2 > count => Beginning::Wildcard {
            to_the_end: values.iter().all(|value| matches!(of_text(value), Beginning::Wildcard { to_the_end: true })),
        },
        _ => Beginning::Fixed,
    }
}

/// Returns whether an index of the table serves patterns with a fixed beginning: one that compares bytes.
fn serves_a_prefix(table: &Table, column: &Column, relations: &Relations<'_>) -> bool {
    let plain = matches!(relations.snapshot.server.collate.as_str(), "C" | "POSIX");
    let serves = |index: &Index| {
        let Some(key) = index.keys.first().filter(|key| key.target.column() == Some(&column.name)) else { return false };
        let bytes = key.opclass.contains("pattern_ops")
            || matches!(key.collation.as_deref().map(|name| name.trim_matches('"')), Some("C" | "POSIX"));
        bytes || (plain && key.collation.is_none())
    };
    relations
        .indexes_of(table.oid)
        .iter()
        .any(|index| index.usable() && index.access_method == "btree" && index.predicate.is_none() && serves(index))
}

/// Returns whether an index serves the search already: of trigrams, or of the text reversed for a fixed ending.
fn searchable(table: &Table, column: &Column, pattern: Pattern, relations: &Relations<'_>) -> bool {
    let over = |target: &KeyTarget| match target {
        KeyTarget::Column(name) => name == &column.name,
        KeyTarget::Expression(text) => has_word(text, &column.name),
    };
    relations.indexes_of(table.oid).iter().filter(|index| index.usable()).any(|index| {
        index.keys.iter().any(|key| {
            let trigrams = key.opclass.contains("trgm") || key.opclass.contains("bigm");
            let reversed = pattern == Pattern::Ending && matches!(&key.target, KeyTarget::Expression(text) if text.contains("reverse("));
            over(&key.target) && (trigrams || reversed)
        })
    })
}

impl Search<'_> {
    fn told(&self) -> String {
        let name = format!("{}.{}", self.table.name, self.column.name);
        match self.pattern {
            Pattern::Ending | Pattern::Inside => {
                format!("{} begins with a wildcard, so that no ordered index on {name} helps", self.condition)
            }
            Pattern::AnyCase => format!("{} takes upper and lower case for one, so that no ordered index on {name} helps", self.condition),
            Pattern::Judged => format!(
                "{} reads most of the table although an index on {name} serves patterns with a fixed beginning: the pattern begins with a \
                 wildcard, or a generic plan does not know how it begins",
                self.condition
            ),
        }
    }

    fn advice(&self, relations: &Relations<'_>) -> String {
        let (table, column) = (&self.table.name, quoted(&self.column.name));
        let server = &relations.snapshot.server;
        let install = if server.has_extension("pg_trgm") { "" } else { "CREATE EXTENSION IF NOT EXISTS pg_trgm; " };
        let trigrams = format!("{install}CREATE INDEX CONCURRENTLY ON {table} USING gin ({column} gin_trgm_ops);");
        match self.pattern {
            Pattern::Ending => format!(
                "For an ending alone, index the text reversed: CREATE INDEX CONCURRENTLY ON {table} (reverse({column}) text_pattern_ops); and \
                 write reverse({column}) LIKE reverse({}) for {}. For any part of it: {trigrams}",
                self.written, self.condition
            ),
            Pattern::Inside | Pattern::AnyCase => {
                format!("Index its trigrams, which serve patterns with three letters in a row: {trigrams}")
            }
            Pattern::Judged => format!(
                "Where it begins with a wildcard, index its trigrams: {trigrams} Where it does not, plan it with its value (plan_cache_mode = force_custom_plan)."
            ),
        }
    }
}

fn finding(recorded: &Recorded<'_>, searches: &[Search<'_>], relations: &Relations<'_>) -> Finding {
    let mut evidence = tell::evidence(recorded);
    evidence.extend(searches.iter().map(|search| Evidence::new("condition", search.condition.clone(), "", "pg_stat_statements")));
    let mut advice: Vec<String> = vec![];
    for search in searches {
        let words = search.advice(relations);
        if !advice.contains(&words) {
            advice.push(words);
        }
    }
    Finding {
        rule: RULE.id.to_owned(),
        severity: tell::severity(recorded),
        object: Object::statement(recorded.id),
        message: format!(
            "{} touches {:.0} blocks a call: {}: {}",
            tell::named(recorded),
            recorded.totals.blocks_per_call(),
            searches.iter().map(Search::told).collect::<Vec<_>>().join("; "),
            tell::text(recorded),
        ),
        evidence,
        help: advice.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Extension;
    use crate::findings::sample::{Sample, Sketch, index, typed};

    fn sample(sketch: Sketch, condition: &str) -> Sample {
        let mut sample = Sample::of([("x", sketch)]);
        sample.snapshot.tables[0].columns = vec![typed("a", "integer"), typed("name", "text")];
        sample.statement("42", &format!("select * from t where {condition}"), 100, 50.0).shared_blocks_hit = 100 * 10_000;
        sample
    }

    fn help(sketch: Sketch, condition: &str) -> Option<String> {
        sample(sketch, condition).findings(RULE.check).pop().map(|finding| finding.help)
    }

    const TRIGRAMS: &str = "CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE INDEX CONCURRENTLY ON public.t USING gin (name gin_trgm_ops);";

    #[test]
    fn a_literal_tells_how_it_begins() {
        for condition in ["name like '%x%'", "name ~~ '_x'", "name ilike 'x%'", "t.name ilike $1", "name like '%' || $1 || '%'"] {
            let help = help(index("name"), condition).unwrap_or_else(|| panic!("{condition}"));
            assert!(help.starts_with("Index its trigrams") && help.ends_with(TRIGRAMS), "{condition}: {help}");
        }
        for condition in
            ["name like 'x%'", "name not like '%x'", "name like $1", "name like $1 || '%'", "name = '%x'", "lower(name) like $1"]
        {
            assert_eq!(help(index("name"), condition), None, "{condition}");
        }
    }

    #[test]
    fn an_ending_is_found_in_the_text_reversed() {
        let help = help(index("name"), "name like '%.ch'").unwrap();
        assert!(
            help.contains("(reverse(name) text_pattern_ops); and write reverse(name) LIKE reverse('%.ch') for name LIKE '%.ch'."),
            "{help}"
        );
        let mut with_trigrams = sample(index("name"), "name like '%.ch'");
        with_trigrams.snapshot.server.extensions =
            vec![Extension { name: "pg_trgm".to_owned(), version: "1.6".to_owned(), schema: "public".to_owned() }];
        assert!(!with_trigrams.findings(RULE.check)[0].help.contains("CREATE EXTENSION"));
    }

    #[test]
    fn a_parameter_is_judged_by_its_values_or_by_what_is_read() {
        let captured = |values: &[&str]| {
            let mut sample = sample(index("name"), "name like $1");
            sample.snapshot.statements[0].parameters = values.iter().map(|value| vec![Some((*value).to_owned())]).collect();
            sample.named(RULE.check)
        };
        assert_eq!(captured(&["%a%", "%b%", "c%"]), ["42"]);
        assert!(captured(&["a%", "%b"]).is_empty());
        let judged = sample(index("name text_pattern_ops"), "name like $1").findings(RULE.check).remove(0);
        assert!(judged.message.contains("reads most of the table although an index on public.t.name serves"), "{}", judged.message);
        let mut prefix = sample(index("name text_pattern_ops"), "name like $1");
        prefix.snapshot.statements[0].shared_blocks_hit = 100 * 4_999;
        assert!(prefix.named(RULE.check).is_empty());
    }

    #[test]
    fn an_index_that_serves_the_search_is_respected() {
        assert_eq!(help(index("name gin_trgm_ops").method("gin"), "name ilike $1"), None);
        assert_eq!(help(index("reverse(name)"), "name like '%x'"), None);
        assert!(help(index("reverse(name)"), "name like '%x%'").is_some());
    }
}
