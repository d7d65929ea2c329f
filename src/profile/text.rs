//! Statement texts without the values in them.

use crate::sql::pieces::{Kind, pieces};

/// Returns the text with every constant replaced by a parameter, white space made single spaces and comments left out.
///
/// What a session says it runs holds the values it was sent, and those do not belong into a saved profile.
pub fn masked(text: &str) -> String {
    let highest = |number: usize, (kind, start, end): &(Kind, usize, usize)| match kind {
        Kind::Parameter => number.max(text[start + 1..*end].parse().unwrap_or(0)),
        _ => number,
    };
    let pieces = pieces(text);
    let mut number = pieces.iter().fold(0, highest);
    let mut masked = String::with_capacity(text.len());
    let mut pieces = pieces.into_iter().peekable();
    while let Some((kind, start, end)) = pieces.next() {
        let piece = &text[start..end];
        match kind {
            Kind::Blank => {
                if !masked.is_empty() && !masked.ends_with(' ') {
                    masked.push(' ');
                }
            }
            Kind::Literal => parameter(&mut masked, &mut number),
            Kind::Word if piece.starts_with(|c: char| c.is_ascii_digit()) => {
                // `1.5` is one constant of three pieces.
                while pieces.next_if(|(kind, start, end)| matches!(kind, Kind::Sign('.')) || digits(*kind, &text[*start..*end])).is_some() {
                }
                parameter(&mut masked, &mut number);
            }
            _ => masked.push_str(piece),
        }
    }
    masked.trim_end().to_owned()
}

fn digits(kind: Kind, piece: &str) -> bool {
    kind == Kind::Word && piece.starts_with(|c: char| c.is_ascii_digit())
}

fn parameter(masked: &mut String, number: &mut usize) {
    *number += 1;
    masked.push_str(&format!("${number}"));
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn no_constant_is_left() {
        let text = "select /* who */ *\n from t1 where a = 'x''y' and b = 1.5 and c = $2 and d in (3, E'4') limit 10 -- end";
        assert_eq!(masked(text), "select * from t1 where a = $3 and b = $4 and c = $2 and d in ($5, $6) limit $7");
        assert_eq!(masked("select 'cut of"), "select $1", "a text that the server cut short");
        assert_eq!(masked("autovacuum: VACUUM public.t"), "autovacuum: VACUUM public.t");
    }
}
