//! Where something stands in a script, and what is wrong there.

use std::fmt;

/// A place in a script's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl Place {
    /// Returns the place of a byte offset.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text[..offset.min(text.len())];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: 1 + before.matches('\n').count(), column: 1 + before[start..].chars().count() }
    }
}

/// A script that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{place}: {message}")]
pub struct ScriptError {
    /// The script's name.
    pub file: String,
    /// Where.
    pub place: Place,
    /// What was expected there.
    pub message: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A message and the byte offset it belongs to; the parts of the parser know no more than that.
pub(super) type Fault = (usize, String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let text = "é b\n\n c";
        let place = |offset| (Place::of(text, offset).line, Place::of(text, offset).column);
        assert_eq!((place(0), place(3), place(4), place(5), place(6), place(99)), ((1, 1), (1, 3), (1, 4), (2, 1), (3, 1), (3, 3)));
    }
}
