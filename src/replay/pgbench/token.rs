//! The words and signs of an expression.

use super::place::Fault;

/// A word or sign.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    /// A whole number that fits an int64.
    Int(i64),
    /// 9223372036854775808, which is a number only behind a minus.
    BeyondInt,
    Double(f64),
    /// `:name`, without the colon.
    Variable(&'t str),
    /// A keyword or a function's name.
    Word(&'t str),
    Sign(&'static str),
    End,
}

impl Token<'_> {
    /// Returns how it looks in a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::BeyondInt => BEYOND_INT.to_owned(),
            Self::Double(number) => number.to_string(),
            Self::Variable(name) => format!(":{name}"),
            Self::Word(word) => format!("{word:?}"),
            Self::Sign(sign) => format!("{sign:?}"),
            Self::End => "the end of the line".to_owned(),
        }
    }
}

const BEYOND_INT: &str = "9223372036854775808";

/// Longer signs before their beginnings.
const SIGNS: [&str; 21] = ["<<", ">>", "<=", ">=", "<>", "!=", "+", "-", "*", "/", "%", "=", "<", ">", "|", "&", "#", "~", "(", ")", ","];

/// Whether a character begins a name.
pub(super) fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

/// Whether a character goes on in a name.
pub(super) fn within_name(c: char) -> bool {
    begins_name(c) || c.is_ascii_digit()
}

/// Returns the name at the beginning of a text, empty when there is none.
pub(super) fn leading_name(text: &str) -> &str {
    if !text.starts_with(begins_name) {
        return "";
    }
    &text[..text.find(|c| !within_name(c)).unwrap_or(text.len())]
}

/// Returns whether a text is a variable's name.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && leading_name(text).len() == text.len()
}

/// Returns the length of a line continuation (a backslash at a line's end) at the beginning of a text, 0 when there is none.
pub(super) fn continuation(text: &str) -> usize {
    ["\\\n", "\\\r\n"].into_iter().find(|mark| text.starts_with(mark)).map_or(0, str::len)
}

/// Cuts an expression into tokens, each with its offset; `base` is the offset of the text itself. Ends with [`Token::End`].
pub(super) fn tokens(text: &str, base: usize) -> Result<Vec<(usize, Token<'_>)>, Fault> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let skipped = if first.is_ascii_whitespace() || first == '\x0b' { 1 } else { continuation(rest) };
        if skipped > 0 {
            at += skipped;
            continue;
        }
        let place = base + at;
        let (length, token) = if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            number(rest).map_err(|message| (place, message))?
        } else if first == ':' {
            let name = leading_name(&rest[1..]);
            if name.is_empty() {
                return Err((place, "expected a variable's name after the colon".to_owned()));
            }
            (1 + name.len(), Token::Variable(name))
        } else if begins_name(first) {
            let name = leading_name(rest);
            (name.len(), Token::Word(name))
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (sign.len(), Token::Sign(sign))
        } else {
            return Err((place, format!("unexpected character {first:?}, expected a number, :variable, function, operator or bracket")));
        };
        found.push((place, token));
        at += length;
    }
    found.push((base + text.trim_end().len(), Token::End));
    Ok(found)
}

/// Reads the number at the beginning of a text.
fn number(text: &str) -> Result<(usize, Token<'static>), String> {
    let digits = |from: usize| from + text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(0);
    let mut double = false;
    if text[end..].starts_with('.') {
        double = true;
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            double = true;
            end = exponent;
        }
    }
    let spelt = &text[..end];
    if double {
        let number = spelt.parse::<f64>().ok().filter(|number| number.is_finite());
        return number.map(|number| (end, Token::Double(number))).ok_or_else(|| format!("{spelt} does not fit a double"));
    }
    if spelt == BEYOND_INT {
        return Ok((end, Token::BeyondInt));
    }
    spelt.parse().map(|number| (end, Token::Int(number))).map_err(|_| format!("{spelt} does not fit an int64"))
}
