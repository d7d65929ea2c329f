//! Reads SQL text as far as telling literals, comments and the rest apart needs.

/// A part of an SQL text; all parts together are the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Keywords, names, operators, white space, parameters.
    Other(&'a str),
    /// A comment with its marks.
    Comment(&'a str),
    /// A string literal with its quotes and prefix.
    String(&'a str),
    /// A dollar-quoted string: its tag with both dollars, and what is inside.
    Dollar(&'a str, &'a str),
    /// An unsigned number.
    Number(&'a str),
}

/// Cuts an SQL text into its parts; what never ends goes to the end of the text.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, length) = next(rest);
        // Words run together, so that one part is not one letter.
        match (parts.last_mut(), part) {
            (Some(Part::Other(before)), Part::Other(more)) => {
                let start = text.len() - rest.len() - before.len();
                *before = &text[start..start + before.len() + more.len()];
            }
            _ => parts.push(part),
        }
        rest = &rest[length..];
    }
    parts
}

fn next(text: &str) -> (Part<'_>, usize) {
    let bytes = text.as_bytes();
    let second = bytes.get(1).copied().unwrap_or(0);
    match bytes[0] {
        b'-' if second == b'-' => {
            let length = text.find('\n').unwrap_or(text.len());
            (Part::Comment(&text[..length]), length)
        }
        b'/' if second == b'*' => {
            let length = block_comment(text);
            (Part::Comment(&text[..length]), length)
        }
        b'\'' => string(text, 0, false),
        b'e' | b'E' if second == b'\'' => string(text, 1, true),
        b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if second == b'\'' => string(text, 1, false),
        b'u' | b'U' if text[1..].starts_with("&'") => string(text, 2, false),
        b'"' => {
            let length = closing(text, 1, '"', false);
            (Part::Other(&text[..length]), length)
        }
        b'$' => dollar(text),
        b'0'..=b'9' => {
            let length = number(bytes);
            (Part::Number(&text[..length]), length)
        }
        b'.' if second.is_ascii_digit() => {
            let length = number(bytes);
            (Part::Number(&text[..length]), length)
        }
        first if first.is_ascii_alphabetic() || first == b'_' || first >= 0x80 => {
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
            let length = text.find(|c| !word(c)).unwrap_or(text.len()).max(text.chars().next().map_or(1, char::len_utf8));
            (Part::Other(&text[..length]), length)
        }
        _ => (Part::Other(&text[..1]), 1),
    }
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn string(text: &str, prefix: usize, escapes: bool) -> (Part<'_>, usize) {
    let length = closing(text, prefix + 1, '\'', escapes);
    (Part::String(&text[..length]), length)
}

/// Returns the length up to and with the closing quote; doubled quotes do not close.
fn closing(text: &str, start: usize, quote: char, escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    while at < bytes.len() {
        if escapes && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] == quote as u8 {
            if bytes.get(at + 1) != Some(&(quote as u8)) {
                return at + 1;
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    text.len()
}

fn dollar(text: &str) -> (Part<'_>, usize) {
    let tag_end = text[1..].find('$').map(|at| at + 2);
    let is_tag = |end: usize| {
        let name = &text[1..end - 1];
        name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    match tag_end.filter(|end| is_tag(*end)) {
        Some(end) => {
            let tag = &text[..end];
            let inside = text[end..].find(tag).unwrap_or(text.len() - end);
            let length = (end + inside + tag.len()).min(text.len());
            (Part::Dollar(tag, &text[end..end + inside]), length)
        }
        // A parameter: $1.
        None => {
            let digits = text[1..].bytes().take_while(u8::is_ascii_digit).count();
            (Part::Other(&text[..=digits]), digits + 1)
        }
    }
}

fn number(bytes: &[u8]) -> usize {
    let mut at = 0;
    let mut seen_exponent = false;
    while let Some(byte) = bytes.get(at) {
        let digit_after_sign = matches!(bytes.get(at + 1), Some(b'+' | b'-')) && bytes.get(at + 2).is_some_and(u8::is_ascii_digit);
        match byte {
            b'0'..=b'9' | b'.' | b'_' => at += 1,
            b'e' | b'E' if !seen_exponent && (bytes.get(at + 1).is_some_and(u8::is_ascii_digit) || digit_after_sign) => {
                seen_exponent = true;
                at += 2;
            }
            _ => break,
        }
    }
    at
}

/// Returns what a string literal says: without quotes and prefix, with doubled quotes and simple escapes undone.
pub(super) fn said(literal: &str) -> String {
    let Some(start) = literal.find('\'') else { return literal.to_owned() };
    let inside = literal[start + 1..].strip_suffix('\'').unwrap_or(&literal[start + 1..]);
    let text = inside.replace("''", "'");
    if literal.starts_with(['e', 'E']) { text.replace("\\'", "'").replace("\\\\", "\\") } else { text }
}

/// Collects the literals of a schema text, those of dollar-quoted bodies too.
pub(super) fn literals_of(text: &str, strings: &mut Vec<String>, numbers: &mut Vec<String>) {
    for part in parts(text) {
        match part {
            Part::String(literal) => strings.push(said(literal)),
            Part::Number(number) => numbers.push(number.to_owned()),
            Part::Dollar(_, inside) => {
                strings.push(inside.to_owned());
                literals_of(inside, strings, numbers);
            }
            Part::Other(_) | Part::Comment(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_tell_literals_from_the_rest() {
        let text = "select a1, 'it''s' /* x /* y */ */, E'a\\'b', $1, $t$ 'in' $t$, 1.5e-3, \"q'q\" -- end\nfrom t2";
        let found: Vec<Part<'_>> = parts(text).into_iter().filter(|part| !matches!(part, Part::Other(_))).collect();
        let wanted = [
            Part::String("'it''s'"),
            Part::Comment("/* x /* y */ */"),
            Part::String("E'a\\'b'"),
            Part::Dollar("$t$", " 'in' "),
            Part::Number("1.5e-3"),
            Part::Comment("-- end"),
        ];
        assert_eq!(found, wanted);
        assert_eq!([said("'it''s'"), said("E'a\\'b'")], ["it's", "a'b"]);
    }

    #[test]
    fn unfinished_and_odd_texts_end() {
        for text in ["'", "/*", "$", "$$", "$a", "e'", "\"", "é'ü", "1e", "--", "u&'", "E'\\", "*/", "", "$1$2", "日本'"] {
            let whole: String = parts(text)
                .into_iter()
                .map(|part| match part {
                    Part::Other(text) | Part::Comment(text) | Part::String(text) | Part::Number(text) => text.to_owned(),
                    Part::Dollar(tag, inside) => format!("{tag}{inside}"),
                })
                .collect();
            assert!(text.starts_with(&whole), "{text:?}: {whole:?}");
        }
    }
}
