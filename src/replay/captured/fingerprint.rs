//! Which calls are of one statement: texts equal but for constants, white space, case of words and lengths of lists.

use crate::sql::pieces::{Kind, pieces};

/// Returns the text with constants and parameters as `$`, lists of them as one, words in lower case and single spaces.
pub(super) fn fingerprint(text: &str) -> String {
    let mut print: Vec<String> = Vec::new();
    for (kind, from, to) in pieces(text) {
        let piece = &text[from..to];
        let token = match kind {
            Kind::Blank => continue,
            Kind::Literal | Kind::Parameter => "$".to_owned(),
            Kind::Word if piece.starts_with(|letter: char| letter.is_ascii_digit()) => "$".to_owned(),
            Kind::Word => piece.to_lowercase(),
            Kind::Name | Kind::Sign(_) => piece.to_owned(),
        };
        push(&mut print, token);
    }
    while print.last().is_some_and(|last| last == ";") {
        print.pop();
    }
    print.join(" ")
}

fn push(print: &mut Vec<String>, token: String) {
    let ends = |print: &[String], with: &[&str]| print.len() >= with.len() && print[print.len() - with.len()..].iter().eq(with.iter());
    match token.as_str() {
        // A fraction: `1.5` is read as two numbers and a point.
        "$" if ends(print, &["$", "."]) => {
            print.pop();
        }
        ")" => {
            collapse(print);
            print.push(token);
            // A row of constants after a row of constants.
            if ends(print, &["(", "$", ")", ",", "(", "$", ")"]) {
                print.truncate(print.len() - 4);
            }
        }
        _ => print.push(token),
    }
}

/// Makes one of the constants of a list that is about to close: of `IN (…)` and of a row of `VALUES`, not of a call's arguments.
fn collapse(print: &mut Vec<String>) {
    let constants = print.iter().rev().take_while(|token| matches!(token.as_str(), "$" | ",")).count();
    let open = print.len() - constants;
    let listed = open >= 2 && print[open - 1] == "(" && matches!(print[open - 2].as_str(), "in" | "values" | ",");
    if listed && constants > 1 {
        print.truncate(open);
        print.push("$".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_lengths_of_lists_make_no_other_statement() {
        let same = |one: &str, other: &str| assert_eq!(fingerprint(one), fingerprint(other), "{one} | {other}");
        same("select * from t where a = 1", "SELECT *\nFROM t -- x\nWHERE a='it''s';");
        same("select * from t where a in (1, 2, 3)", "select * from t where a in ($1)");
        same("insert into t values (1, 'a'), (2, 'b')", "insert into t values (1, 'a')");
        same("select 1.5, e'\\'x'", "select 2, 'y'");
    }

    #[test]
    fn names_and_words_do() {
        for (one, other) in [
            ("select a from t", "select b from t"),
            ("select \"A\" from t", "select \"a\" from t"),
            ("select 1", "select 1 + 1"),
            ("select 1, 2", "select 1"),
            ("select f(1, 2)", "select f(1)"),
        ] {
            assert_ne!(fingerprint(one), fingerprint(other));
        }
    }
}
