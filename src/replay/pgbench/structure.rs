//! What pgbench checks across commands: that conditions are closed, and what pipelines may hold.

use super::place::ScriptError;
use super::script::{Command, Kind, Script};

/// Which modes a command may be reached in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Modes {
    outside: bool,
    inside: bool,
}

impl Modes {
    const OUTSIDE: Self = Self { outside: true, inside: false };
    const INSIDE: Self = Self { outside: false, inside: true };
    const NOWHERE: Self = Self { outside: false, inside: false };

    fn or(self, other: Self) -> Self {
        Self { outside: self.outside || other.outside, inside: self.inside || other.inside }
    }
}

/// An open condition.
struct Open<'s> {
    command: &'s Command,
    has_else: bool,
    /// Where its branches are entered.
    entered: Modes,
    /// Where the branches that are over end.
    left: Modes,
}

/// Checks a script.
pub(super) fn check(script: &Script) -> Result<(), ScriptError> {
    let wrong = |command: &Command, message: &str| {
        Err(ScriptError { file: script.name.clone(), place: command.place, message: message.to_owned() })
    };
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut modes = Modes::OUTSIDE;
    for command in &script.commands {
        match &command.kind {
            Kind::If(_) => open.push(Open { command, has_else: false, entered: modes, left: Modes::NOWHERE }),
            Kind::Elif(_) | Kind::Else => {
                let is_else = command.kind == Kind::Else;
                let word = command.kind.word();
                let Some(condition) = open.last_mut() else { return wrong(command, &format!("expected an \\if before this {word}")) };
                if condition.has_else {
                    return wrong(command, &format!("expected \\endif: no {word} can follow \\else"));
                }
                condition.has_else = is_else;
                condition.left = condition.left.or(modes);
                modes = condition.entered;
            }
            Kind::Endif => {
                let Some(condition) = open.pop() else { return wrong(command, "expected an \\if before this \\endif") };
                modes = modes.or(condition.left);
                if !condition.has_else {
                    modes = modes.or(condition.entered);
                }
            }
            Kind::StartPipeline => {
                if !modes.outside {
                    return wrong(command, "expected \\endpipeline before another \\startpipeline: pipelines do not nest");
                }
                modes = Modes::INSIDE;
            }
            Kind::SyncPipeline | Kind::EndPipeline => {
                if !modes.inside {
                    return wrong(command, &format!("expected \\startpipeline before this {}", command.kind.word()));
                }
                if command.kind == Kind::EndPipeline {
                    modes = Modes::OUTSIDE;
                }
            }
            Kind::Sql { capture: Some(capture), .. } if !modes.outside => {
                let word = if capture.all { "\\aset" } else { "\\gset" };
                return wrong(
                    command,
                    &format!("expected \\endpipeline first: {word} cannot be used in a pipeline, which reads no answers"),
                );
            }
            Kind::Sql { parts, .. } if !modes.outside && super::parse::is_joined(parts) => {
                return wrong(command, "expected one command a request in a pipeline, found several joined by \\;");
            }
            _ => {}
        }
    }
    if let Some(condition) = open.last() {
        return wrong(condition.command, "expected an \\endif for this \\if, found the end of the script");
    }
    if !modes.outside
        && let Some(start) = script.commands.iter().rev().find(|command| command.kind == Kind::StartPipeline)
    {
        return wrong(start, "expected \\endpipeline for this \\startpipeline, found the end of the script");
    }
    Ok(())
}
