//! A text of many statements cut at their semicolons.
//!
//! Follows psql: a semicolon ends a statement unless it stands in quotes, a comment, brackets or the body of an SQL
//! function (`BEGIN ATOMIC … END`).

use super::pieces::{Kind, pieces};

/// Returns the text's statements without their semicolons and without blanks and comments around them.
pub fn split(text: &str) -> Vec<&str> {
    spans(text).into_iter().map(|(from, to)| &text[from..to]).collect()
}

/// Returns where each statement of [`split`] begins and ends, in bytes.
pub(crate) fn spans(text: &str) -> Vec<(usize, usize)> {
    let mut statements = Vec::new();
    // From the statement's first piece that is not blank to the end of its last.
    let mut span: Option<(usize, usize)> = None;
    let (mut depth, mut block) = (0usize, 0usize);
    let mut words: Vec<String> = Vec::new();
    for (kind, start, end) in pieces(text) {
        match kind {
            Kind::Blank => continue,
            Kind::Sign('(') => depth += 1,
            Kind::Sign(')') => depth = depth.saturating_sub(1),
            Kind::Sign(';') if depth == 0 && block == 0 => {
                statements.extend(span.take());
                words.clear();
                continue;
            }
            Kind::Word => {
                let word = text[start..end].to_ascii_lowercase();
                let routine = words.first().is_some_and(|first| first == "create")
                    && words.iter().take(4).any(|w| w == "function" || w == "procedure");
                match word.as_str() {
                    "atomic" if routine && words.last().is_some_and(|last| last == "begin") => block += 1,
                    "case" if block > 0 => block += 1,
                    "end" => block = block.saturating_sub(1),
                    _ => {}
                }
                words.push(word);
            }
            _ => {}
        }
        span = Some((span.map_or(start, |(from, _)| from), end));
    }
    statements.extend(span);
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_comments_and_brackets_end_nothing() {
        let text = "-- a; b\nselect ';' , \"x;\"\"y\", $$;$$, $t$ $$;$$ $t$, E'\\';', 'a\\';\n/* ; /* ; */ ; */ insert into t values (1 /* ; */);;\n\
                    create rule r as on insert to t do (select 1; select 2); select $1;";
        assert_eq!(
            split(text),
            [
                "select ';' , \"x;\"\"y\", $$;$$, $t$ $$;$$ $t$, E'\\';', 'a\\'",
                "insert into t values (1 /* ; */)",
                "create rule r as on insert to t do (select 1; select 2)",
                "select $1",
            ]
        );
    }

    #[test]
    fn the_body_of_an_sql_function_stays_whole() {
        let function =
            "create or replace function f(a int) returns int language sql begin atomic select case when a > 0 then 1 end; select 2; end";
        assert_eq!(split(&format!("{function}; select 3")), [function, "select 3"]);
        assert_eq!(split("begin; select 1; end; select 2"), ["begin", "select 1", "end", "select 2"]);
    }

    #[test]
    fn files_without_statements_have_none() {
        assert!(split("").is_empty());
        assert!(split(" ;; -- only words\n /* nothing */ ").is_empty());
    }

    #[test]
    fn unfinished_quotes_reach_to_the_end() {
        assert_eq!(split("select 'a; b"), ["select 'a; b"]);
        assert_eq!(split("select $x$ a; b $$"), ["select $x$ a; b $$"]);
        assert_eq!(split("select 1 /* ; "), ["select 1"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_without_loss(text in "[ae1 ;'\"$()/*\\\\é\n-]{0,40}") {
            let whole: String = pieces(&text).iter().map(|(_, start, end)| &text[*start..*end]).collect();
            proptest::prop_assert_eq!(&whole, &text);
            // What is left out between statements is blanks, comments and semicolons: cutting again finds the same.
            let statements = split(&text);
            proptest::prop_assert!(statements.iter().all(|statement| text.contains(statement) && !statement.is_empty()));
        }
    }
}
