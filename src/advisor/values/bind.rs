//! Parameters of a text, counted and replaced by literals.

use crate::sql::pieces::{Kind, pieces};

/// The most parameters the protocol binds; a higher number in a text is no parameter of a statement that ever ran.
const PARAMETERS_MAX: u32 = 65_535;

/// Returns the highest `$n` outside strings, comments and dollar quotes; 0 when there is none.
pub fn placeholders(text: &str) -> u32 {
    let numbers = pieces(text).into_iter().filter(|(kind, ..)| *kind == Kind::Parameter);
    numbers.filter_map(|(_, start, end)| number(&text[start..end])).max().unwrap_or(0)
}

/// Returns the text with each `$n` replaced by `literals[n - 1]`; a parameter without a literal stays.
pub fn bind(text: &str, literals: &[String]) -> String {
    let pieces = pieces(text);
    let mut bound = String::with_capacity(text.len() * 2);
    for (at, &(kind, start, end)) in pieces.iter().enumerate() {
        let piece = &text[start..end];
        let literal = if kind == Kind::Parameter { number(piece).and_then(|n| literals.get(n as usize - 1)) } else { None };
        let Some(literal) = literal else {
            bound.push_str(piece);
            continue;
        };
        // `u&$1` would become the quote `U&'…'`.
        if bound.ends_with('&') {
            bound.push(' ');
        }
        let followed = pieces[at + 1..].iter().find(|(kind, ..)| *kind != Kind::Blank);
        let list = followed.is_none_or(|(kind, ..)| matches!(kind, Kind::Sign(')' | ',' | ';')));
        // A cast takes what follows it for its own: `$1[1]` is no `'{}'::text[1]`, `FETCH $1 ROWS` takes no cast at all. Between
        // brackets every expression may stand where a parameter may; left away in lists, which may be long.
        if list && literal.starts_with(|c: char| c == '\'' || c.is_ascii_alphabetic()) {
            bound.push_str(literal);
        } else {
            bound.push('(');
            bound.push_str(literal);
            bound.push(')');
        }
    }
    bound
}

/// Returns the number of a `$n`, from 1.
pub(super) fn number(parameter: &str) -> Option<u32> {
    parameter.strip_prefix('$')?.parse().ok().filter(|n| (1..=PARAMETERS_MAX).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str, literals: &[&str]) -> String {
        bind(text, &literals.iter().map(|literal| (*literal).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn parameters_count_outside_quotes_and_comments() {
        assert_eq!(placeholders("select $1, $12 from a$99 where b = '$13' -- $14\n and $$ $15 $$ = \"$16\" /* $17 */"), 12);
        assert_eq!(placeholders("select 1"), 0);
        assert_eq!(placeholders("select $0, $99999999999999999999, $70000"), 0);
    }

    #[test]
    fn literals_stand_where_parameters_stood() {
        assert_eq!(
            bound("select * from é where a in ($1, $2)", &["'1'::int", "'2'::int"]),
            "select * from é where a in ('1'::int, '2'::int)"
        );
        assert_eq!(bound("select '$1', $1 limit $2", &["NULL::text", "'5'::bigint"]), "select '$1', (NULL::text) limit '5'::bigint");
        assert_eq!(bound("select $1, $10", &["'1'::int"]), "select '1'::int, $10");
    }

    #[test]
    fn a_cast_never_swallows_what_follows() {
        assert_eq!(bound("select $1[1]", &["'{1}'::int[]"]), "select ('{1}'::int[])[1]");
        assert_eq!(
            bound("select * from t fetch first $1 rows only", &["'5'::bigint"]),
            "select * from t fetch first ('5'::bigint) rows only"
        );
        assert_eq!(bound("select u&$1, 1-$2", &["'1'::int", "-1"]), "select u& '1'::int, 1-(-1)");
        assert_eq!(bound("where a=$1and b", &["'1'::int"]), "where a=('1'::int)and b");
    }

    #[test]
    fn a_list_of_100_kilobytes_is_bound_at_once() {
        let list = (1..=20_000).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let literals: Vec<String> = (1..=20_000).map(|n| format!("'{n}'::bigint")).collect();
        let begun = std::time::Instant::now();
        let bound = bind(&format!("select * from t where a in ({list})"), &literals);
        assert!(begun.elapsed() < std::time::Duration::from_millis(500), "{:?}", begun.elapsed());
        assert!(bound.ends_with("'20000'::bigint)") && !bound.contains('$'));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_bound_without_loss(text in "[a1$'\"é&;() -]{0,30}") {
            // Every parameter stays one when its literal is itself.
            let numbers: Vec<String> = (1..=placeholders(&text)).map(|n| format!("p{n}")).collect();
            let back = bind(&text, &numbers);
            proptest::prop_assert_eq!(placeholders(&back), 0);
            proptest::prop_assert_eq!(bind(&text, &[]), text);
        }
    }
}
