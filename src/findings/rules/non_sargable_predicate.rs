//! Conditions that hide an indexed column inside an expression.

use sqlparser::ast::{BinaryOperator, DataType, Expr};

use crate::catalog::{Column, Index, Relations, Table};
use crate::findings::statements::comparison::{Comparison, comparison};
use crate::findings::statements::rewrite::{Rewritten, call, is_column, rewritten};
use crate::findings::statements::target::{expression_indexed, index_led_by, large_pages};
use crate::findings::statements::{Level, Recorded, tell};
use crate::findings::{Check, Evidence, Finding, Object, Rule, Statements};

pub(super) const RULE: Rule = Rule {
    id: "non-sargable-predicate",
    summary: "A condition computes something from an indexed column before it compares, so the index on the column cannot be used.",
    check: Check::Workload(check),
};

/// Functions whose result depends on nothing but their arguments, so that an index may hold it.
#[rustfmt::skip]
const IMMUTABLE: &[&str] = &[
    "abs", "btrim", "ceil", "char_length", "floor", "initcap", "left", "length", "lower", "ltrim", "md5", "regexp_replace", "replace",
    "reverse", "right", "round", "rtrim", "split_part", "substr", "substring", "trim", "upper",
];

fn check<'a>(relations: &Relations<'a>, statements: &Statements<'a>) -> Vec<Finding> {
    let mut findings = vec![];
    for recorded in statements.weighty() {
        let levels = statements.reading(recorded).map_or(&[][..], |reading| &reading.levels);
        let hidden: Vec<Hidden<'_>> = levels.iter().flat_map(|level| hidden(level, recorded, relations)).collect();
        if !hidden.is_empty() {
            findings.push(finding(recorded, &hidden));
        }
    }
    findings
}

/// A condition that an index on its column cannot serve as it is written.
struct Hidden<'a> {
    table: &'a Table,
    column: &'a Column,
    index: &'a Index,
    /// The condition, as written.
    condition: String,
    /// What is done to the column.
    subject: String,
    rewritten: Option<Rewritten>,
    /// Whether an index may hold what is computed.
    indexable: bool,
}

fn hidden<'a>(level: &Level<'a>, recorded: &Recorded<'a>, relations: &Relations<'a>) -> Vec<Hidden<'a>> {
    // Another condition may find the rows by an index already; then the blocks a call touches are few.
    let one = |condition: &Expr| {
        let Comparison { subject, with } = comparison(condition)?;
        let word = hides(subject)?;
        let (table, column) = level.only_column_in(subject)?;
        // A cast of a point in time to its day is rewritten as a range; other casts are another rule's.
        if matches!(subject, Expr::Cast { .. }) && !column.type_name.starts_with("timestamp") {
            return None;
        }
        large_pages(table, relations).filter(|&pages| recorded.reads_much_of(pages))?;
        let index = index_led_by(table, column, relations)?;
        if expression_indexed(table, column, &word, relations) {
            return None;
        }
        Some(Hidden {
            table,
            column,
            index,
            condition: condition.to_string(),
            subject: subject.to_string(),
            rewritten: rewritten(subject, &with, column),
            indexable: is_immutable(subject),
        })
    };
    level.conjuncts.iter().filter_map(one).collect()
}

/// Returns the word an index on the same expression would have in it, when the expression is of a kind that hides its column.
fn hides(subject: &Expr) -> Option<String> {
    Some(match subject {
        Expr::Function(_) => call(subject)?.0,
        Expr::Cast { expr, data_type: DataType::Date, .. } if is_column(expr) => String::new(),
        Expr::Extract { .. } => "date_part".to_owned(),
        Expr::AtTimeZone { .. } | Expr::Substring { .. } | Expr::Trim { .. } | Expr::Ceil { .. } | Expr::Floor { .. } => String::new(),
        Expr::BinaryOp {
            op:
                BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::StringConcat,
            ..
        } => String::new(),
        _ => return None,
    })
}

fn is_immutable(subject: &Expr) -> bool {
    match subject {
        Expr::Substring { .. } | Expr::Trim { .. } | Expr::Ceil { .. } | Expr::Floor { .. } => true,
        Expr::Function(_) => call(subject).is_some_and(|(name, arguments)| {
            IMMUTABLE.binary_search(&name.as_str()).is_ok() && arguments.first().is_some_and(|first| is_column(first))
        }),
        _ => false,
    }
}

impl Hidden<'_> {
    /// Says what to write instead, or what to index.
    fn advice(&self) -> String {
        if let Some(Rewritten { condition, provided }) = &self.rewritten {
            let provided = if provided.is_empty() { String::new() } else { format!(", provided {provided}") };
            return format!("Write {condition} for {}{provided}.", self.condition);
        }
        // A parameter within the expression is a constant of the query, and no index is on it.
        if self.indexable && !self.subject.contains('$') {
            return format!(
                "Compare {} itself where that means the same, or index what is compared: CREATE INDEX CONCURRENTLY ON {} (({}));",
                self.column.name,
                self.table.name,
                unqualified(&self.subject, &self.column.name),
            );
        }
        format!(
            "Turn {} round so that {} stands alone on one side (for a period of time: at or after its beginning, before its end).",
            self.condition, self.column.name
        )
    }
}

/// Returns an expression without the alias before its column.
fn unqualified(subject: &str, column: &str) -> String {
    let quoted = crate::catalog::name::quoted(column);
    match subject.find(&format!(".{quoted}")) {
        Some(at) => {
            let start =
                subject[..at].rfind(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '"' | '.'))).map_or(0, |at| at + 1);
            format!("{}{}", &subject[..start], &subject[at + 1..])
        }
        None => subject.to_owned(),
    }
}

fn finding(recorded: &Recorded<'_>, hidden: &[Hidden<'_>]) -> Finding {
    let told: Vec<String> = hidden
        .iter()
        .map(|hidden| {
            format!("{} keeps it from index {} on {}.{}", hidden.condition, hidden.index.name, hidden.table.name, hidden.column.name)
        })
        .collect();
    let mut evidence = tell::evidence(recorded);
    for hidden in hidden {
        evidence.push(Evidence::new("condition", hidden.condition.clone(), "", "pg_stat_statements"));
        evidence.push(Evidence::new("index", hidden.index.name.to_string(), "", "pg_index"));
        if let Some(Rewritten { condition, .. }) = &hidden.rewritten {
            evidence.push(Evidence::new("rewritten", condition.clone(), "", "pgload"));
        }
    }
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
        help: hidden.iter().map(Hidden::advice).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::sample::{Sample, Sketch, index, typed};

    /// Samples `t (a int, ts timestamptz, name text)` with these indexes and a statement that reads all of it.
    fn sample(indexes: &[(&'static str, Sketch)], query: &str) -> Sample {
        let mut sample = Sample::of(indexes.iter().cloned());
        sample.snapshot.tables[0].columns = vec![typed("a", "integer"), typed("ts", "timestamp with time zone"), typed("name", "text")];
        sample.statement("42", query, 100, 50.0).shared_blocks_hit = 100 * 10_000;
        sample
    }

    fn help(keys: &str, condition: &str) -> Option<String> {
        let sample = sample(&[("x", index(keys))], &format!("select * from t where {condition}"));
        sample.findings(RULE.check).pop().map(|finding| finding.help)
    }

    #[test]
    fn word_lists_are_sorted_for_the_search() {
        assert!(IMMUTABLE.is_sorted());
    }

    #[test]
    fn the_help_shows_the_condition_rewritten() {
        assert_eq!(
            help("ts", "date_trunc('day', ts) = $1").as_deref(),
            Some(
                "Write ts >= $1::timestamptz AND ts < $1::timestamptz + interval '1 day' for date_trunc('day', ts) = $1, provided the value \
                 stands at the beginning of such a period, as it must to be found at all."
            )
        );
        assert_eq!(help("a, name", "a + $1 = $2").as_deref(), Some("Write a = $2 - $1 for a + $1 = $2."));
        assert_eq!(help("a", "coalesce(t.a, 0) = 5").as_deref(), Some("Write t.a = 5 for coalesce(t.a, 0) = 5."));
    }

    #[test]
    fn what_has_no_other_wording_is_indexed_or_turned_round() {
        let lower = help("name", "lower(t.name) = $1").unwrap();
        assert!(lower.ends_with("CREATE INDEX CONCURRENTLY ON public.t ((lower(name)));"), "{lower}");
        assert!(help("ts", "to_char(ts, $1) = $2").unwrap().starts_with("Turn to_char(ts, $1) = $2 round so that ts stands alone"));
    }

    #[test]
    fn the_finding_names_statement_condition_and_index() {
        let finding = sample(&[("x", index("name"))], "select * from t where upper(name) = $1").findings(RULE.check).remove(0);
        assert_eq!(
            finding.message,
            "Statement 42 (100 calls, 50.0 ms on average, 100.0 % of all recorded execution time) touches 10000 blocks a call, as upper(name) = \
             $1 keeps it from index public.x on public.t.name: select * from t where upper(name) = $1"
        );
    }

    #[test]
    fn an_index_that_serves_or_none_to_miss_is_no_finding() {
        assert_eq!(help("a", "lower(name) = $1"), None, "no index on the column");
        assert_eq!(help("name text_pattern_ops", "lower(name) = $1"), None);
        assert_eq!(help("name", "name = lower($1)"), None);
        assert_eq!(help("a", "a = $1 + 1"), None);
        let both = [("x", index("name")), ("y", index("lower(name)"))];
        assert!(sample(&both, "select * from t where lower(name) = $1").named(RULE.check).is_empty());
    }

    #[test]
    fn a_statement_that_reads_little_or_has_no_weight_is_none() {
        let query = "select * from t where upper(name) = $1 and a = $2";
        let mut served = sample(&[("x", index("name"))], query);
        served.snapshot.statements[0].shared_blocks_hit = 100 * 999;
        assert!(served.named(RULE.check).is_empty());
        let mut light = sample(&[("x", index("name"))], query);
        light.statement("1", "select 2 from t", 1_000_000, 1.0);
        assert!(light.named(RULE.check).is_empty());
        let mut small = sample(&[("x", index("name"))], query);
        let table = &mut small.snapshot.tables[0];
        (table.rows, table.pages, table.heap_bytes) = (Some(1000.0), 100, 100 * 8192);
        assert!(small.named(RULE.check).is_empty());
    }

    #[test]
    fn ambiguous_and_unknown_names_are_left_alone() {
        let with_other = |query: &str| {
            let mut sample = sample(&[("x", index("name"))], query);
            sample.table(2, "u").columns = vec![typed("name", "text")];
            sample.named(RULE.check)
        };
        assert!(with_other("select * from t, u where lower(name) = $1").is_empty());
        assert_eq!(with_other("select * from t, u where lower(t.name) = $1"), ["42"]);
        assert!(with_other("select * from (select * from u) t where lower(t.name) = $1").is_empty());
        assert!(with_other("with t as (select * from u) select * from t where lower(name) = $1").is_empty());
        assert!(with_other("select * from t, (select 1 as name) s where lower(name) = $1").is_empty());
        assert_eq!(with_other("select * from u where exists (select 1 from t where lower(t.name) = $1)"), ["42"]);
    }
}
