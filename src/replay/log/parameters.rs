//! `parameters: $1 = 'x', $2 = NULL`: values as the server logged them, read sign by sign since they may hold anything.

/// The values of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    /// In order; `None` is NULL.
    pub(super) values: Vec<Option<String>>,
    /// The fewest bytes before the `...` of a value that ends so. `log_parameter_max_length` may have cut it, or it is what was sent.
    pub(super) cut: Option<usize>,
    /// The length any value shows the setting to allow, in bytes.
    pub(super) longest: usize,
}

/// Reads what `DETAIL` says; `None` when it says nothing of parameters, or not in the server's form.
///
/// 14 to 16 write `parameters:`, 17 and later `Parameters:`.
pub(super) fn of_detail(detail: &str) -> Option<Parameters> {
    values(detail.strip_prefix("parameters: ").or_else(|| detail.strip_prefix("Parameters: "))?)
}

/// Reads what `CONTEXT` of an error says: `… with parameters: $1 = 'x'`.
pub(super) fn of_context(context: &str) -> Option<Parameters> {
    let at = context.find(" with parameters: ")?;
    values(&context[at + " with parameters: ".len()..])
}

fn values(text: &str) -> Option<Parameters> {
    let mut found = Parameters::default();
    let mut rest = text;
    loop {
        let number = format!("${} = ", found.values.len() + 1);
        rest = rest.strip_prefix(&number)?;
        if let Some(after) = rest.strip_prefix("NULL") {
            found.values.push(None);
            rest = after;
        } else {
            let (value, after) = quoted(rest.strip_prefix('\'')?)?;
            match value.strip_suffix("...") {
                Some(kept) => {
                    found.cut = Some(found.cut.map_or(kept.len(), |cut| cut.min(kept.len())));
                    found.longest = found.longest.max(kept.len());
                }
                None => found.longest = found.longest.max(value.len()),
            }
            found.values.push(Some(value));
            rest = after;
        }
        match rest.strip_prefix(", ") {
            Some(after) => rest = after,
            // A context goes on with the next line.
            None => return (rest.is_empty() || rest.starts_with('\n')).then_some(found),
        }
    }
}

/// Reads up to the quote that closes; returns the value, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let quote = rest.find('\'')?;
        value.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes values as the server does.
    fn logged(values: &[Option<String>]) -> String {
        let value = |value: &Option<String>| value.as_ref().map_or("NULL".to_owned(), |value| format!("'{}'", value.replace('\'', "''")));
        values.iter().enumerate().map(|(at, text)| format!("${} = {}", at + 1, value(text))).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn both_spellings_are_read() {
        for word in ["parameters", "Parameters"] {
            let found = of_detail(&format!("{word}: $1 = 'it''s', $2 = NULL, $3 = '', $4 = 'NULL'")).unwrap();
            assert_eq!(found.values, [Some("it's".to_owned()), None, Some(String::new()), Some("NULL".to_owned())]);
        }
    }

    #[test]
    fn a_value_may_look_like_the_next_one() {
        let values = [Some("', $2 = '".to_owned()), Some("x', $3 = NULL".to_owned()), Some("\n'".to_owned())];
        assert_eq!(of_detail(&format!("parameters: {}", logged(&values))).unwrap().values, values);
    }

    #[test]
    fn what_may_be_cut_is_said_with_its_length() {
        let found = of_detail("parameters: $1 = 'abcd...', $2 = 'xy...', $3 = '123456'").unwrap();
        assert_eq!((found.cut, found.longest), (Some(2), 6));
        assert_eq!(of_detail("parameters: $1 = 'a..'").unwrap().cut, None);
    }

    #[test]
    fn an_errors_context_has_them_too() {
        for context in
            ["unnamed portal with parameters: $1 = '1', $2 = NULL", "portal \"p\" with parameters: $1 = '1', $2 = NULL\nSQL function \"f\""]
        {
            assert_eq!(of_context(context).unwrap().values, [Some("1".to_owned()), None]);
        }
        assert_eq!(of_context("PL/pgSQL function f() line 1"), None);
    }

    #[test]
    fn other_texts_are_no_parameters() {
        for detail in [
            "",
            "parameters: ",
            "prepare: PREPARE p AS select 1",
            "parameters: $2 = 'x'",
            "parameters: $1 = 'x",
            "parameters: $1 = x",
            "parameters: $1 = 'x' y",
        ] {
            assert_eq!(of_detail(detail), None, "{detail}");
        }
    }

    proptest! {
        #[test]
        fn reading_is_the_inverse_of_writing(values in prop::collection::vec(prop::option::of("[', $=1N\n.é]{0,12}"), 1..6)) {
            let found = of_detail(&format!("Parameters: {}", logged(&values))).unwrap();
            prop_assert_eq!(found.values, values);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = of_detail(&format!("parameters: {text}"));
            let _ = of_context(&text);
        }
    }
}
