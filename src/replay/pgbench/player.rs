//! One client's way through scripts.

use std::fmt::Write;
use std::time::Duration;

use super::control::Control;
use super::distribution::Draws;
use super::evaluate::Scope;
use super::place::Place;
use super::script::Unit;
use super::suite::{CLIENT_ID, Form, Held, Op, Pause, Piece, Suite, Word};
use super::value::{EvaluationError, Value};
use crate::replay::args::Args;
use crate::replay::program::{self, Client, End, Ending, Label, Prepared, Program, Reply, Sql, Step, is_retryable};

/// How many operations are played to find an example of a statement's arguments.
const EXAMPLE_STEPS: usize = 1000;
/// How many calls are looked at for one of a script.
const EXAMPLE_CALLS: u64 = 100_000;

/// Plays the calls of one client.
#[derive(Debug)]
pub struct Player<'s> {
    suite: &'s Suite,
    memory: Memory<'s>,
    /// What the carried variables held when the call began.
    saved: Vec<Held>,
    script: usize,
    at: usize,
    args: Args<'s>,
    /// A request's text, or a shell command.
    text: String,
    state: State,
    /// Whether a transaction of the script's own is open.
    open: bool,
    /// Whether requests are sent without waiting for answers.
    pipelined: bool,
    /// Whether the open pipeline holds a BEGIN, so that a transaction may be open when it fails.
    begun: bool,
    retries: u32,
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Goes on with the next operation.
    Ready,
    /// Waits for the answer to a request of the script.
    Sent(usize),
    /// Waits for the answers of a pipeline.
    Syncing,
    /// Waits for a shell command, which may set a variable.
    Shelled(Option<usize>),
    /// Rolled back, to begin again.
    Restarting,
    /// Rolled back, to give up.
    Ending,
}

/// What is done next, without what it needs.
#[derive(Debug, Clone, Copy)]
enum Next {
    Send(usize),
    Sync,
    Shell,
    Rollback,
    Sleep(Duration),
    Done,
}

/// A client's variables, and where in the stream of random numbers it is.
#[derive(Debug)]
struct Memory<'s> {
    names: &'s [String],
    slots: Vec<Held>,
    seed: u64,
    stream: u64,
    call: u64,
}

impl Scope for Memory<'_> {
    #[inline]
    fn variable(&self, slot: usize) -> Result<Value, EvaluationError> {
        match &self.slots[slot] {
            Held::Value(value) | Held::Text(_, Some(value)) => Ok(*value),
            Held::Text(_, None) => Err(format!("malformed variable {:?}", self.names[slot])),
            Held::Unset => Err(format!("undefined variable {:?}", self.names[slot])),
        }
    }

    #[inline]
    fn draws(&self, site: u32) -> Draws {
        Draws::new(self.seed, self.stream, self.call, site)
    }

    /// A load run has nowhere to show it: thousands of calls a second would drown everything else.
    fn debug(&mut self, _: Value) {}
}

impl<'s> Player<'s> {
    /// Returns client `number` of a suite, before its first call.
    pub fn new(suite: &'s Suite, number: usize) -> Self {
        let mut slots = suite.initial.clone();
        if let Held::Value(_) = slots[CLIENT_ID] {
            slots[CLIENT_ID] = Held::Value(Value::Int(number as i64));
        }
        Self {
            suite,
            memory: Memory { names: &suite.names, slots, seed: suite.seed, stream: 0, call: 0 },
            saved: Vec::new(),
            script: 0,
            at: 0,
            args: Args::default(),
            text: String::new(),
            state: State::Ready,
            open: false,
            pipelined: false,
            begun: false,
            retries: 0,
            error: None,
        }
    }

    /// Takes an answer in.
    fn received(&mut self, number: usize, reply: &Reply<'_>) -> Next {
        let suite = self.suite;
        let request = &suite.scripts[self.script].requests[number];
        if let Some(code) = reply.error {
            // A failed COMMIT has ended the transaction; a request that holds a BEGIN may have opened one.
            self.open = (self.open || request.begins) && request.control != Control::Commit;
            return self.failed(code);
        }
        self.begun |= request.begins;
        match request.control {
            Control::Begin => self.open = true,
            Control::Commit | Control::Rollback => self.open = false,
            Control::None => {}
        }
        if let Err(message) = self.capture(number, reply) {
            return self.fail(self.at - 1, &message);
        }
        self.advance()
    }

    /// Takes the answers of a pipeline in.
    fn synced(&mut self, reply: &Reply<'_>) -> Next {
        if let Some(code) = reply.error {
            self.open |= self.begun;
            return self.failed(code);
        }
        self.begun = false;
        self.advance()
    }

    /// Takes in what a shell command printed: for a variable, a whole number.
    fn shelled(&mut self, slot: Option<usize>, reply: &Reply<'_>) -> Next {
        let Some(output) = reply.output else { return self.fail(self.at - 1, "the shell command failed") };
        if let Some(slot) = slot {
            let Ok(number) = output.trim().parse::<i32>() else {
                return self.fail(self.at - 1, "expected the shell command to print a whole number");
            };
            self.memory.slots[slot] = Held::Value(Value::Int(i64::from(number)));
        }
        self.advance()
    }

    /// Begins the call again where the server asks for that and it may be, or gives it up.
    fn failed(&mut self, code: &str) -> Next {
        if is_retryable(code) && self.retries < self.suite.retries {
            self.retries += 1;
            if self.open {
                self.state = State::Restarting;
                return Next::Rollback;
            }
            self.restart();
            return self.advance();
        }
        self.error = Some(code.to_owned());
        self.give_up()
    }

    /// Puts the columns of an answer into variables.
    fn capture(&mut self, number: usize, reply: &Reply<'_>) -> Result<(), String> {
        let suite = self.suite;
        let Some((capture, columns)) = &suite.scripts[self.script].requests[number].capture else { return Ok(()) };
        if !capture.all && reply.rows != 1 {
            return Err("\\gset: expected one row".to_owned());
        }
        let Some(row) = reply.row else {
            return if capture.all { Ok(()) } else { Err("\\gset: expected columns".to_owned()) };
        };
        // \gset is about the last of joined commands alone.
        for (name, value) in if capture.all { row } else { &row[reply.last_from.min(row.len())..] } {
            if !name.chars().all(super::token::within_name) || (capture.prefix.is_empty() && !super::token::is_name(name)) {
                return Err(format!("invalid variable name {:?}", format!("{}{name}", capture.prefix)));
            }
            let Some((_, slot)) = columns.iter().find(|(column, _)| column == name) else { continue };
            match (value, &mut self.memory.slots[*slot]) {
                (None, held) => *held = Held::Value(Value::Null),
                (Some(text), Held::Text(kept, read)) => {
                    kept.clone_from(text);
                    *read = Value::of_text(text);
                }
                (Some(text), held) => *held = Held::of_text(text),
            }
        }
        Ok(())
    }

    /// Ends the call because of what an operation of the script met.
    fn fail(&mut self, at: usize, message: &str) -> Next {
        let script = &self.suite.scripts[self.script];
        let place = script.ops.get(at).or(script.ops.last()).map_or(Place::default(), |(_, place)| *place);
        // Errors are counted by their text, so it must not hold values.
        let message = message.split(" for ").next().unwrap_or(message);
        let message = message.split(" (not ").next().unwrap_or(message);
        self.error = Some(format!("{}:{place}: {message}", script.name));
        self.give_up()
    }

    fn give_up(&mut self) -> Next {
        if self.open {
            self.open = false;
            self.state = State::Ending;
            return Next::Rollback;
        }
        Next::Done
    }

    /// Goes back to the beginning of the call, with the variables it began with.
    fn restart(&mut self) {
        for (slot, held) in self.suite.carried.iter().zip(&self.saved) {
            self.memory.slots[*slot].clone_from(held);
        }
        self.rewind();
    }

    /// Goes to the first operation, outside of any transaction and pipeline.
    fn rewind(&mut self) {
        self.at = 0;
        self.state = State::Ready;
        self.open = false;
        self.pipelined = false;
        self.begun = false;
    }

    /// Plays operations until one needs the outside.
    fn advance(&mut self) -> Next {
        self.state = State::Ready;
        let suite = self.suite;
        let script = &suite.scripts[self.script];
        while let Some((op, _)) = script.ops.get(self.at) {
            let here = self.at;
            self.at += 1;
            match op {
                Op::Set(slot, node) => match node.evaluate(&mut self.memory) {
                    Ok(value) => self.memory.slots[*slot] = Held::Value(value),
                    Err(message) => return self.fail(here, &message),
                },
                Op::Send(number) => {
                    self.fill(*number);
                    self.state = State::Sent(*number);
                    return Next::Send(*number);
                }
                Op::Unless(node, to) => match node.evaluate(&mut self.memory) {
                    Ok(value) if value.holds() => {}
                    Ok(_) => self.at = *to,
                    Err(message) => return self.fail(here, &message),
                },
                Op::Jump(to) => self.at = *to,
                Op::Sleep(pause, unit) => match self.pause(pause, *unit) {
                    Ok(pause) => return Next::Sleep(pause),
                    Err(message) => return self.fail(here, &message),
                },
                Op::Shell(slot, words) => {
                    self.command(words);
                    self.state = State::Shelled(*slot);
                    return Next::Shell;
                }
                Op::StartPipeline if self.pipelined => return self.fail(here, "already in pipeline mode"),
                Op::StartPipeline => self.pipelined = true,
                Op::SyncPipeline | Op::EndPipeline if !self.pipelined => return self.fail(here, "not in pipeline mode"),
                Op::SyncPipeline | Op::EndPipeline => {
                    self.pipelined = matches!(op, Op::SyncPipeline);
                    self.state = State::Syncing;
                    return Next::Sync;
                }
            }
        }
        if self.pipelined {
            return self.fail(self.at, "end of script reached with pipeline open");
        }
        if self.open {
            return self.fail(self.at, "end of script reached without completing the last transaction");
        }
        Next::Done
    }

    /// Writes out what a request sends.
    #[inline]
    fn fill(&mut self, number: usize) {
        let suite = self.suite;
        self.args.clear();
        match &suite.scripts[self.script].requests[number].form {
            Form::Prepared(_, slots) | Form::Once(_, slots) => {
                for slot in slots {
                    match &self.memory.slots[*slot] {
                        Held::Value(Value::Int(number)) => self.args.push_made(format_args!("{number}")),
                        Held::Unset | Held::Value(Value::Null) => self.args.push_kept(None),
                        Held::Value(value) => self.args.push_made(format_args!("{value}")),
                        Held::Text(text, _) => self.args.push_made(format_args!("{text}")),
                    }
                }
            }
            Form::Simple(pieces) => {
                self.text.clear();
                for piece in pieces {
                    // Writing to a String does not fail.
                    let _ = match piece {
                        Piece::Text(text) => self.text.write_str(text),
                        Piece::Slot(slot) => match &self.memory.slots[*slot] {
                            Held::Unset => write!(self.text, ":{}", suite.names[*slot]),
                            Held::Value(value) => write!(self.text, "{value}"),
                            Held::Text(text, _) => self.text.write_str(text),
                        },
                    };
                }
            }
        }
    }

    /// Writes out a shell command.
    fn command(&mut self, words: &[Word]) {
        self.text.clear();
        for (index, word) in words.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            // Writing to a String does not fail.
            let _ = match word {
                Word::Text(text) => write!(self.text, "{space}{text}"),
                Word::Slot(slot) => match &self.memory.slots[*slot] {
                    Held::Unset => write!(self.text, "{space}:{}", self.memory.names[*slot]),
                    Held::Value(value) => write!(self.text, "{space}{value}"),
                    Held::Text(text, _) => write!(self.text, "{space}{text}"),
                },
            };
        }
    }

    fn pause(&self, pause: &Pause, unit: Unit) -> Result<Duration, String> {
        let amount = match pause {
            Pause::Fixed(amount) => u64::from(*amount),
            Pause::Slot(slot) => {
                let text = match &self.memory.slots[*slot] {
                    Held::Unset => return Err(format!("undefined variable {:?}", self.memory.names[*slot])),
                    Held::Value(value) => value.to_string(),
                    Held::Text(text, _) => text.clone(),
                };
                // As C's atoi reads it: 1.7 is 1, and what is below 0 is no pause.
                let digits: String = text.trim_start().trim_start_matches('+').chars().take_while(char::is_ascii_digit).collect();
                match digits.parse::<u32>() {
                    Ok(amount) => u64::from(amount),
                    Err(_) if text.trim_start().strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) => 0,
                    Err(_) => return Err(format!("\\sleep: variable {:?} holds no time", self.memory.names[*slot])),
                }
            }
        };
        Ok(match unit {
            Unit::Us => Duration::from_micros(amount),
            Unit::Ms => Duration::from_millis(amount),
            Unit::S => Duration::from_secs(amount),
        })
    }

    #[inline]
    fn step(&self, next: Next) -> Step<'_> {
        match next {
            Next::Send(number) => {
                let request = &self.suite.scripts[self.script].requests[number];
                let rolled_back = request.is_rolled_back && !self.open;
                let request = program::Request {
                    label: request.label,
                    sql: match &request.form {
                        Form::Prepared(statement, _) => Sql::Prepared(*statement),
                        Form::Once(text, _) => Sql::Once(text),
                        Form::Simple(_) => Sql::Simple(&self.text),
                    },
                    args: &self.args,
                    begin: rolled_back.then_some("begin"),
                    end: rolled_back.then_some(End::Rollback),
                    wants_row: request.capture.is_some(),
                };
                // What is rolled back on its own takes three messages, which are a flight of their own.
                if self.pipelined && !rolled_back { Step::Send(request) } else { Step::Run(request) }
            }
            Next::Sync => Step::Sync,
            Next::Shell => Step::Shell(&self.text),
            Next::Rollback => Step::End(End::Rollback),
            Next::Sleep(pause) => Step::Sleep(pause),
            Next::Done => Step::Done(Ending { error: self.error.as_deref(), retries: self.retries, skipped: 0 }),
        }
    }
}

impl Client for Player<'_> {
    #[inline]
    fn begin(&mut self, call: u64) -> usize {
        self.script = self.suite.script(call);
        self.memory.call = call;
        self.memory.stream = self.suite.scripts[self.script].stream;
        self.rewind();
        self.retries = 0;
        self.error = None;
        if !self.suite.carried.is_empty() {
            self.saved.clear();
            self.saved.extend(self.suite.carried.iter().map(|slot| self.memory.slots[*slot].clone()));
        }
        self.script
    }

    #[inline]
    fn next(&mut self, reply: &Reply<'_>) -> Step<'_> {
        let next = match self.state {
            State::Ready => self.advance(),
            State::Sent(number) => self.received(number, reply),
            State::Syncing => self.synced(reply),
            State::Shelled(slot) => self.shelled(slot, reply),
            State::Restarting => {
                self.restart();
                self.advance()
            }
            State::Ending => Next::Done,
        };
        self.step(next)
    }
}

impl Program for Suite {
    fn labels(&self) -> &[Label] {
        &self.labels
    }

    #[inline]
    fn label(&self, call: u64) -> usize {
        self.script(call)
    }

    fn statements(&self) -> &[Prepared] {
        &self.prepared
    }

    fn example(&self, statement: usize) -> Option<Vec<Option<String>>> {
        let sends = |request: &super::suite::Request| matches!(request.form, Form::Prepared(number, _) if number == statement);
        let script = self.scripts.iter().position(|script| script.requests.iter().any(sends)).filter(|script| self.picked(*script))?;
        let has_plan = self.scripts[script].requests.iter().any(|request| sends(request) && request.has_plan);
        let call = (0..EXAMPLE_CALLS).find(|call| has_plan && self.script(*call) == script)?;
        let mut player = Player::new(self, 0);
        player.begin(call);
        // Without a server: every request works and returns nothing, so what follows a \gset is not reached.
        for _ in 0..EXAMPLE_STEPS {
            match player.next(&Reply::default()) {
                Step::Run(request) | Step::Send(request) if request.sql == Sql::Prepared(statement) => return Some(request.args.to_vec()),
                Step::Done(_) => return None,
                _ => {}
            }
        }
        None
    }

    fn client(&self, number: usize) -> Box<dyn Client + '_> {
        Box::new(Player::new(self, number))
    }

    fn has_transactions(&self) -> bool {
        self.has_several_statements()
    }
}

#[cfg(test)]
#[path = "player_tests.rs"]
mod tests;
