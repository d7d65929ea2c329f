//! The arguments of one statement of one call.

use std::fmt;

/// Arguments in the server's text format; reused from call to call, so that a call allocates nothing.
///
/// A value is either kept elsewhere for as long as the program lives (`'s`: a sampled row, a captured value) or was made
/// for this call and is kept here.
#[derive(Debug, Clone, Default)]
pub struct Args<'s> {
    made: String,
    values: Vec<Value<'s>>,
}

#[derive(Debug, Clone, Copy)]
enum Value<'s> {
    Kept(Option<&'s str>),
    Made { from: usize, to: usize },
}

impl<'s> Args<'s> {
    /// Forgets all of them and keeps the memory.
    pub fn clear(&mut self) {
        self.made.clear();
        self.values.clear();
    }

    /// Appends a value that is kept elsewhere; `None` is null.
    #[inline]
    pub fn push_kept(&mut self, value: Option<&'s str>) {
        self.values.push(Value::Kept(value));
    }

    /// Appends what is written out, as in `args.push_made(format_args!("{number}"))`.
    #[inline]
    pub fn push_made(&mut self, text: fmt::Arguments<'_>) {
        let from = self.made.len();
        // Writing to a String does not fail.
        let _ = fmt::Write::write_fmt(&mut self.made, text);
        self.values.push(Value::Made { from, to: self.made.len() });
    }

    /// Appends the letters.
    #[inline]
    pub fn push_letters(&mut self, letters: impl Iterator<Item = char>) {
        let from = self.made.len();
        self.made.extend(letters);
        self.values.push(Value::Made { from, to: self.made.len() });
    }

    /// Returns them in order; `None` is null.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&str>> {
        self.values.iter().map(|value| match *value {
            Value::Kept(text) => text,
            Value::Made { from, to } => Some(&self.made[from..to]),
        })
    }

    /// Returns them as texts of their own.
    pub fn to_vec(&self) -> Vec<Option<String>> {
        self.iter().map(|value| value.map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_made_values_come_back_in_order() {
        let mut args = Args::default();
        args.push_made(format_args!("{}", 12));
        args.push_kept(None);
        args.push_letters("ab".chars());
        args.push_kept(Some("kept"));
        args.push_made(format_args!(""));
        assert_eq!(args.iter().collect::<Vec<_>>(), [Some("12"), None, Some("ab"), Some("kept"), Some("")]);
        args.clear();
        assert_eq!(args.iter().len(), 0);
    }
}
