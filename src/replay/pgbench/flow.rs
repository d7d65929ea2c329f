//! Which variables a script reads before it has set them, in whatever order its conditions are decided.
//!
//! Such a variable, when some script sets it, carries a value from one transaction of a client to its next. Without any, a
//! transaction depends on its number alone.

use std::collections::BTreeSet;

use super::expression::Expression;
use super::script::{Amount, Capture, Kind, Script};
use super::sql::Part;

/// What a script does to variables.
#[derive(Debug, Default)]
pub(super) struct Flow<'s> {
    /// Read where they may not have been set before.
    pub(super) read_first: BTreeSet<&'s str>,
    /// Set somewhere, by name.
    pub(super) set: BTreeSet<&'s str>,
    /// Prefixes of names that answers set.
    pub(super) captured: BTreeSet<&'s str>,
}

impl<'s> Flow<'s> {
    /// Follows a script.
    pub(super) fn of(script: &'s Script) -> Self {
        let mut flow = Self::default();
        let mut known: Known<'s> = Known::default();
        // What each open condition was entered with, what all its finished branches set, and whether it has an else.
        let mut open: Vec<(Known<'s>, Option<Known<'s>>, bool)> = Vec::new();
        for command in &script.commands {
            match &command.kind {
                Kind::Sql { parts, capture } => {
                    for part in parts {
                        if let Part::Variable(name) | Part::Quoted(name) = part {
                            flow.read(name, &known);
                        }
                    }
                    if let Some(capture) = capture {
                        flow.captured.insert(&capture.prefix);
                        // An \aset without rows sets nothing, and what fails to set goes no further.
                        if !capture.all {
                            known.answers.push((capture, parts));
                        }
                    }
                }
                Kind::Set(name, expression) => {
                    flow.expression(expression, &known);
                    flow.set.insert(name);
                    known.names.insert(name);
                }
                Kind::Setshell(name, words) => {
                    flow.words(words, &known);
                    flow.set.insert(name);
                    known.names.insert(name);
                }
                Kind::Shell(words) => flow.words(words, &known),
                Kind::Sleep(Amount::Variable(name), _) => flow.read(name, &known),
                Kind::If(condition) => {
                    flow.expression(condition, &known);
                    open.push((known.clone(), None, false));
                }
                Kind::Elif(_) | Kind::Else => {
                    if let Some((entered, left, has_else)) = open.last_mut() {
                        let branch = std::mem::replace(&mut known, entered.clone());
                        *left = Some(left.take().map_or_else(|| branch.clone(), |left| left.both(&branch)));
                        *has_else = command.kind == Kind::Else;
                    }
                    if let Kind::Elif(condition) = &command.kind {
                        flow.expression(condition, &known);
                    }
                }
                Kind::Endif => {
                    if let Some((entered, left, has_else)) = open.pop() {
                        let mut after = left.map_or_else(|| known.clone(), |left| left.both(&known));
                        if !has_else {
                            after = after.both(&entered);
                        }
                        known = after;
                    }
                }
                Kind::Sleep(Amount::Fixed(_), _) | Kind::StartPipeline | Kind::SyncPipeline | Kind::EndPipeline => {}
            }
        }
        flow
    }

    /// Returns whether the script may set a variable.
    pub(super) fn may_set(&self, name: &str) -> bool {
        self.set.contains(name) || self.captured.iter().any(|prefix| name.starts_with(prefix))
    }

    fn read(&mut self, name: &'s str, known: &Known<'s>) {
        if !known.has(name) {
            self.read_first.insert(name);
        }
    }

    fn expression(&mut self, expression: &'s Expression, known: &Known<'s>) {
        expression.variables(&mut |name| self.read(name, known));
    }

    fn words(&mut self, words: &'s [String], known: &Known<'s>) {
        for word in words {
            if let Some(name) = word_variable(word) {
                self.read(name, known);
            }
        }
    }
}

/// Returns the variable that a word of a shell command stands for.
pub(super) fn word_variable(word: &str) -> Option<&str> {
    word.strip_prefix(':').filter(|name| super::token::is_name(name))
}

/// What is certainly set.
#[derive(Debug, Clone, Default)]
struct Known<'s> {
    names: BTreeSet<&'s str>,
    answers: Vec<(&'s Capture, &'s [Part])>,
}

impl<'s> Known<'s> {
    fn has(&self, name: &str) -> bool {
        self.names.contains(name) || self.answers.iter().any(|(capture, parts)| answers(capture, parts, name))
    }

    /// Returns what both certainly set.
    fn both(&self, other: &Self) -> Self {
        let same = |(capture, _): &&(&'s Capture, &'s [Part])| other.answers.iter().any(|(also, _)| std::ptr::eq(*also, *capture));
        Self {
            names: self.names.intersection(&other.names).copied().collect(),
            answers: self.answers.iter().filter(same).copied().collect(),
        }
    }
}

/// Returns whether an answer surely has a column of that name: its text names it, or asks for all there are.
fn answers(capture: &Capture, parts: &[Part], name: &str) -> bool {
    let Some(column) = name.strip_prefix(capture.prefix.as_str()).filter(|column| !column.is_empty()) else { return false };
    let part = |c: char| c.is_alphanumeric() || c == '_';
    parts.iter().any(|piece| match piece {
        Part::Text(text) => text.contains('*') || text.split(|c| !part(c)).any(|word| word.eq_ignore_ascii_case(column)),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables that are read first, joined by blanks.
    fn read_first(text: &str) -> String {
        let script = Script::parse(text, "a.sql").expect(text);
        Flow::of(&script).read_first.into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_variable_is_read_first_where_some_way_to_it_does_not_set_it() {
        for (text, expected) in [
            ("\\set a 1\nselect :a;", ""),
            ("select :a;\n\\set a 1", "a"),
            ("\\set a :a + 1", "a"),
            ("\\if 1\n\\set a 1\n\\endif\nselect :a;", "a"),
            ("\\if 1\n\\set a 1\n\\else\n\\set a 2\n\\endif\nselect :a;", ""),
            ("\\if 1\n\\set a 1\n\\elif :b\n\\set a 2\n\\endif\nselect :a;", "a b"),
            ("\\if 1\n\\set a 1\n\\elif 2\n\\set b 1\n\\else\n\\set a 2\n\\endif\nselect :a;", "a"),
            ("\\set a 1\n\\if 1\n\\set b 1\n\\endif\nselect :a;", ""),
            ("\\if 1\n\\if 1\n\\set a 1\n\\else\n\\set a 1\n\\endif\nselect :a;\n\\endif", ""),
            ("select a, b as c from t \\gset p_\nselect :p_a, :p_c, :p_d;", "p_d"),
            ("select * from t \\gset\nselect :a;", ""),
            ("select a from t \\aset\nselect :a;", "a"),
            ("\\sleep :a ms\n\\setshell b echo :c\n\\shell true :b :d", "a c d"),
            ("select ':a', a::int;", "a"),
        ] {
            assert_eq!(read_first(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_script_may_set_includes_what_answers_bring() {
        let script = Script::parse("\\set a 1\nselect 1 as x \\gset p_", "a.sql").expect("a script");
        let flow = Flow::of(&script);
        assert_eq!([flow.may_set("a"), flow.may_set("p_y"), flow.may_set("b")], [true, true, false]);
    }
}
