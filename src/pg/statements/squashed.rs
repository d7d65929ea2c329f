//! Lists that the server recorded as one value, `IN ($1 /*, ... */)` (18 and later), written out again.

use crate::advisor::values::placeholders;
use crate::sql::pieces::{Kind, pieces};

/// What the server writes in place of a list's other values.
const REST: &str = "/*, ... */";

/// Returns the numbers of the parameters that stand for a list.
pub(super) fn lists(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    expand(text, |number| {
        found.push(number);
        1
    });
    found
}

/// Returns the text with each such list as long as `length` says, at least 1; the further parameters have numbers of their own,
/// behind those there are.
pub(super) fn expanded(text: &str, length: impl FnMut(u32) -> usize) -> String {
    expand(text, length)
}

fn expand(text: &str, mut length: impl FnMut(u32) -> usize) -> String {
    let pieces = pieces(text);
    let mut next = placeholders(text);
    let mut output = String::with_capacity(text.len());
    let mut parameter = None;
    for (kind, start, end) in pieces {
        let piece = &text[start..end];
        match (kind, parameter) {
            (Kind::Blank, Some(number)) if piece == REST => {
                // The blank before the mark goes with it.
                output.truncate(output.trim_end().len());
                for _ in 1..length(number) {
                    next += 1;
                    output.push_str(&format!(", ${next}"));
                }
                parameter = None;
                continue;
            }
            (Kind::Blank, _) => {}
            (Kind::Parameter, _) => parameter = piece[1..].parse().ok(),
            _ => parameter = None,
        }
        output.push_str(piece);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_written_out_with_new_numbers() {
        let text = "select * from t where a in ($1 /*, ... */) and b = $2 and c in ($3 /*, ... */) limit $4";
        assert_eq!(lists(text), [1, 3]);
        assert_eq!(
            expanded(text, |number| if number == 1 { 3 } else { 2 }),
            "select * from t where a in ($1, $5, $6) and b = $2 and c in ($3, $7) limit $4"
        );
        assert_eq!(expanded(text, |_| 1), "select * from t where a in ($1) and b = $2 and c in ($3) limit $4");
    }

    #[test]
    fn other_comments_and_literals_stay() {
        for text in ["select $1 /* list */, '$2 /*, ... */'", "select 1 /*, ... */", "select $1"] {
            assert_eq!((expanded(text, |_| 9).as_str(), lists(text)), (text, Vec::new()));
        }
    }
}
