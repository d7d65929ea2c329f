//! The query inside a statement that does something with one: what the planner is to be asked of.

use super::QUERY_WORDS;
use super::pieces::{Kind, pieces};

/// Returns the text of the query that `DECLARE`, `PREPARE`, `EXPLAIN`, `COPY` and `CREATE TABLE … AS` wrap; any other text as it is.
pub(crate) fn query_of(text: &str) -> &str {
    // Pieces that are no blanks, with how many brackets are open around each.
    let mut depth = 0usize;
    let mut found: Vec<(Kind, usize, usize, usize)> = Vec::new();
    for (kind, start, end) in pieces(text) {
        if kind == Kind::Sign(')') {
            depth = depth.saturating_sub(1);
        }
        if kind != Kind::Blank {
            found.push((kind, start, end, depth));
        }
        if kind == Kind::Sign('(') {
            depth += 1;
        }
    }
    let word = |at: &(Kind, usize, usize, usize)| (at.0 == Kind::Word).then(|| text[at.1..at.2].to_ascii_lowercase());
    let top = |wanted: &dyn Fn(&str) -> bool| found.iter().position(|piece| piece.3 == 0 && word(piece).is_some_and(|word| wanted(&word)));
    let rest = |at: usize| found.get(at).map_or(text, |piece| &text[piece.1..]);
    match found.first().and_then(word).unwrap_or_default().as_str() {
        // Past FOR, since `WITH HOLD` comes before it.
        "declare" => top(&|word| word == "for").map_or(text, |at| rest(at + 1)),
        "prepare" | "explain" => top(&|word| QUERY_WORDS.contains(&word)).map_or(text, rest),
        "copy" if found.get(1).is_some_and(|piece| piece.0 == Kind::Sign('(')) => {
            let end = found.iter().skip(2).find(|piece| piece.0 == Kind::Sign(')') && piece.3 == 0);
            end.zip(found.get(2)).map_or(text, |(end, first)| &text[first.1..end.1])
        }
        "create" => {
            let named_as_table = found.iter().take(6).filter_map(word).any(|word| word == "table" || word == "materialized");
            let query = top(&|word| word == "as").filter(|_| named_as_table).map(|at| at + 1);
            let begins = |at: &usize| {
                let piece = &found[*at];
                piece.0 == Kind::Sign('(') || word(piece).is_some_and(|word| QUERY_WORDS.contains(&word.as_str()))
            };
            let query = query.filter(|at| *at < found.len()).filter(begins);
            // `WITH DATA` and `WITH NO DATA` end the definition, not the query.
            let data = |at: usize| found.get(at).and_then(word).is_some_and(|word| word == "data");
            let ends = |at: usize| found.get(at).and_then(word).is_some_and(|word| word == "with");
            let count = found.len();
            let end = [2, 3].into_iter().filter_map(|back| count.checked_sub(back)).find(|at| ends(*at) && data(count - 1));
            query.map_or(text, |at| &text[found[at].1..end.map_or(text.len(), |end| found[end].1)])
        }
        _ => text,
    }
    .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_comes_out_as_it_was_written() {
        let query = "select a /* for */ from t where b = $1 and c in (select \"for\" from u)";
        for text in [
            query.to_owned(),
            format!("declare c no scroll cursor with hold for {query}"),
            format!("PREPARE p (int, text) AS {query}"),
            format!("explain (analyze, format json) {query}"),
            format!("-- weekly\ncopy ({query}) to stdout (format csv)"),
            format!("create temp table x as {query} with no data"),
            format!("create materialized view if not exists m as {query} with data"),
        ] {
            assert_eq!(query_of(&text), query, "{text}");
        }
    }

    #[test]
    fn what_wraps_nothing_is_left_alone() {
        for text in [
            "select 1",
            "copy t from stdin",
            "copy (select 1",
            "declare",
            "create view v as select 1",
            "create table t (a int)",
            "explain",
            "",
        ] {
            assert_eq!(query_of(text), text);
        }
    }
}
