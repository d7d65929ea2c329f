//! What a pattern fixes: the beginning every match shares.

/// Returns what stands before the first wildcard of a `LIKE` pattern.
pub(super) fn beginning_of_like(pattern: &str) -> String {
    pattern.chars().take_while(|letter| !matches!(letter, '%' | '_' | '\\')).collect()
}

/// Returns the literal beginning of an anchored regular expression; empty when it fixes none.
pub(super) fn beginning_of_regex(pattern: &str) -> String {
    let Some(anchored) = pattern.strip_prefix('^') else { return String::new() };
    // An alternative at the top has beginnings of its own.
    if anchored.contains('|') || anchored.starts_with('*') {
        return String::new();
    }
    let mut fixed: String =
        anchored.chars().take_while(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_' | '@' | '/')).collect();
    // A quantifier makes the letter before it optional.
    if anchored[fixed.len()..].starts_with(['?', '*', '{', '+']) {
        fixed.pop();
    }
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_where_matches_may_differ() {
        assert_eq!(["bob%", "%bob", "b_b", r"100\%", ""].map(beginning_of_like), ["bob", "", "b", "100", ""]);
        assert_eq!(["^abc", "abc", "^ab?c", "^(a|b)", "^a|b", "^ab.*", "^é+x"].map(beginning_of_regex), ["abc", "", "a", "", "", "ab", ""]);
    }
}
