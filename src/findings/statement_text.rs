//! What can be told of a statement from its text without parsing it: enough to sort and to show it.

/// Returns the first keyword in lower case, past comments and opening brackets: `select`, `vacuum`.
pub fn verb(query: &str) -> String {
    let text = without_leading_comments(query).trim_start_matches(['(', ' ', '\n', '\t']);
    text.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase()
}

/// Returns whether the statement reads system catalogs: monitoring, drivers and pgload itself do.
pub fn reads_catalogs(query: &str) -> bool {
    /// Beginnings of relations that only the system has.
    const SYSTEM: [&str; 8] =
        ["pg_catalog.", "information_schema.", "pg_stat", "pg_class", "pg_index", "pg_attribute", "pg_type", "pg_database"];
    let lower = query.to_ascii_lowercase();
    let mut words = lower.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let relation = words.peek().map_or("", |next| next.trim_start_matches(['(', '"']));
        if matches!(word, "from" | "join") && SYSTEM.iter().any(|start| relation.starts_with(start)) {
            return true;
        }
    }
    false
}

/// Returns whether the text has the name as a whole word.
pub fn has_word(query: &str, name: &str) -> bool {
    words(query).any(|word| word == name)
}

/// Returns the words of a text: names, keywords, numbers and parameters.
pub fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '$')).filter(|word| !word.is_empty())
}

/// Returns the statement in one line, cut after so many characters.
pub fn shortened(query: &str, characters: usize) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn without_leading_comments(query: &str) -> &str {
    let mut text = query.trim_start();
    loop {
        let rest = if text.starts_with("--") {
            text.split_once('\n').map(|(_, rest)| rest)
        } else if text.starts_with("/*") {
            text.split_once("*/").map(|(_, rest)| rest)
        } else {
            return text;
        };
        text = rest.unwrap_or_default().trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_stands_behind_comments_and_brackets() {
        let verbs = ["SELECT 1", " /* a */ -- b\n ((Select 1)", "vacuum", "/* open", "", "-- only"].map(verb);
        assert_eq!(verbs, ["select", "select", "vacuum", "", "", ""]);
    }

    #[test]
    fn catalogs_are_told_from_tables_and_functions() {
        assert!(reads_catalogs("select 1 FROM\n pg_catalog.pg_class c"));
        assert!(reads_catalogs("select 1 from (select 1 from \"pg_stat_activity\") x"));
        assert!(!reads_catalogs("select pg_sleep($1) from pgbench_accounts"));
    }

    #[test]
    fn names_are_found_as_whole_words() {
        assert!(has_word("select * from public.\"t\" x", "t"));
        assert!(!has_word("select * from my_t, t2", "t"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("select  'é'\n from t", 10), "select 'é'…");
        assert_eq!(shortened("select 1", 8), "select 1");
    }
}
