//! SQL text cut into words, names, literals, parameters and signs, none of it lost.
//!
//! Follows the server's scanner with `standard_conforming_strings` on. Never fails: an unfinished quote or comment reaches
//! to the end of the text.

/// What a stretch of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space or a comment.
    Blank,
    /// A bare word or number.
    Word,
    /// `"…"`.
    Name,
    /// `'…'` or `$tag$…$tag$`.
    Literal,
    /// `$1`.
    Parameter,
    /// Any other single character.
    Sign(char),
}

/// Cuts the text into pieces that together are all of it.
pub(crate) fn pieces(text: &str) -> Vec<(Kind, usize, usize)> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while let Some(letter) = text[start..].chars().next() {
        let (kind, length) = piece(&text[start..], letter);
        pieces.push((kind, start, start + length));
        start += length;
    }
    pieces
}

fn piece(rest: &str, letter: char) -> (Kind, usize) {
    let until = |end: Option<usize>| end.unwrap_or(rest.len());
    match letter {
        c if c.is_whitespace() => (Kind::Blank, until(rest.find(|c: char| !c.is_whitespace()))),
        '-' if rest.starts_with("--") => (Kind::Blank, until(rest.find(['\n', '\r']))),
        '/' if rest.starts_with("/*") => (Kind::Blank, block_comment(rest)),
        '\'' => (Kind::Literal, quoted(rest, '\'', false)),
        'e' | 'E' if rest[1..].starts_with('\'') => (Kind::Literal, 1 + quoted(&rest[1..], '\'', true)),
        '"' => (Kind::Name, quoted(rest, '"', false)),
        '$' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            (Kind::Parameter, 1 + rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1))
        }
        '$' => dollar_quoted(rest).map_or((Kind::Sign('$'), 1), |length| (Kind::Literal, length)),
        c if word_letter(c) => (Kind::Word, until(rest.find(|c: char| !word_letter(c) && c != '$'))),
        c => (Kind::Sign(c), c.len_utf8()),
    }
}

pub(crate) fn word_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// Block comments nest in SQL.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0usize);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a quoted piece; a doubled quote stays inside, and a backslash protects in `E'…'`.
fn quoted(rest: &str, quote: char, backslash: bool) -> usize {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if backslash && letter == '\\' {
            letters.next();
        } else if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return at + letter.len_utf8();
        }
    }
    rest.len()
}

fn dollar_quoted(rest: &str) -> Option<usize> {
    let tag_end = 1 + rest[1..].find(|c: char| !word_letter(c))?;
    let tag_starts_well = !rest[1..].starts_with(|c: char| c.is_ascii_digit());
    if !rest[tag_end..].starts_with('$') || !tag_starts_well {
        return None;
    }
    let tag = &rest[..=tag_end];
    Some(rest[tag.len()..].find(tag).map_or(rest.len(), |at| at + 2 * tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_text() {
        for text in ["é'ü;", "$", "e'", "a$b$;c", "\"", "/*/", "--", "E", "$1$;$1$", "naïve$x"] {
            assert_eq!(pieces(text).iter().map(|(_, start, end)| &text[*start..*end]).collect::<String>(), text);
        }
    }

    #[test]
    fn parameters_are_told_from_quotes_and_names() {
        let parameters = |text: &str| -> Vec<String> {
            pieces(text).into_iter().filter(|(kind, ..)| *kind == Kind::Parameter).map(|(_, start, end)| text[start..end].into()).collect()
        };
        assert_eq!(parameters("select $1, a$2, '$3', $$ $4 $$, \"$5\", /* $6 */ $70-- $8\n"), ["$1", "$70"]);
        assert_eq!(parameters("$1and $x$ $2 $x$ $3"), ["$1", "$3"]);
    }
}
