//! In which clause each parameter of a text stands.

use std::collections::BTreeMap;

use crate::sql::pieces::{Kind, pieces};

/// What a clause does with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    /// It is returned, or goes into what is returned, grouped or ordered by: it decides over no row.
    Output,
    /// `SET column = $1`.
    Set,
    /// `VALUES ($1, …)`.
    Values,
    /// It decides which rows are read.
    Condition,
}

/// Returns the clause of each parameter; the most telling one where it stands in several.
pub(super) fn clauses(text: &str) -> BTreeMap<u32, Clause> {
    let mut found: BTreeMap<u32, Clause> = BTreeMap::new();
    // One entry an open bracket or CASE: the clause begun within it, if any.
    let mut open: Vec<Option<Clause>> = vec![None];
    for (kind, start, end) in pieces(text) {
        let piece = &text[start..end];
        match kind {
            Kind::Sign('(' | '[') => open.push(None),
            Kind::Sign(')' | ']') => close(&mut open),
            Kind::Word => match piece.to_ascii_lowercase().as_str() {
                "case" => open.push(None),
                "end" => close(&mut open),
                "when" if open.len() > 1 => begin(&mut open, Some(Clause::Condition)),
                "then" | "else" if open.len() > 1 => begin(&mut open, None),
                "select" | "returning" | "group" | "order" | "window" => begin(&mut open, Some(Clause::Output)),
                "set" => begin(&mut open, Some(Clause::Set)),
                "values" => begin(&mut open, Some(Clause::Values)),
                "from" | "where" | "on" | "having" | "using" | "join" | "limit" | "offset" => begin(&mut open, Some(Clause::Condition)),
                _ => {}
            },
            Kind::Parameter => {
                let clause = open.iter().rev().copied().flatten().next().unwrap_or(Clause::Condition);
                if let Ok(number) = piece[1..].parse() {
                    let known = found.entry(number).or_insert(clause);
                    if clause == Clause::Condition {
                        *known = clause;
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn begin(open: &mut [Option<Clause>], clause: Option<Clause>) {
    if let Some(innermost) = open.last_mut() {
        *innermost = clause;
    }
}

fn close(open: &mut Vec<Option<Clause>>) {
    if open.len() > 1 {
        open.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_has_its_clause() {
        let of = |text: &str| clauses(text).into_values().collect::<Vec<_>>();
        use Clause::{Condition, Output, Set, Values};
        assert_eq!(
            of("select $1, coalesce(a, $2) from t where b = $3 group by c + $4 order by $5 limit $6"),
            [Output, Output, Condition, Output, Output, Condition]
        );
        assert_eq!(of("update t set a = $1, b = case when c > $2 then $3 else $4 end where d = $5"), [Set, Condition, Set, Set, Condition]);
        assert_eq!(of("insert into t (a, b) values ($1, upper($2)), ($3, $4) returning a + $5"), [Values, Values, Values, Values, Output]);
        assert_eq!(
            of("select count(*) filter (where a = $1), (select max(b) from u where c = $2), $3 from t"),
            [Condition, Condition, Output]
        );
        assert_eq!(of("select $1 from t where a = $1"), [Condition], "what decides over rows tells more");
    }

    #[test]
    fn broken_brackets_confuse_nothing() {
        assert_eq!(clauses(")) end select $1").len(), 1);
        assert_eq!(clauses("((( case $1").len(), 1);
    }
}
