//! Scripts prepared for playing: weights, numbered variables, jumps in place of conditions.

use std::fmt;

use super::control::{Control, Nature, nature, undone, with_parameters};
use super::evaluate::Node;
use super::expression::Expression;
use super::flow::{Flow, word_variable};
use super::place::{Place, ScriptError};
use super::script::{Amount, Capture, Command, Kind, Script, Unit};
use super::sql::Part;
use super::value::Value;
use crate::replay::program::{Label, Prepared};
use crate::replay::writes::Writes;
use crate::stats::random;

/// The most parameters of a statement, as in pgbench.
pub const MOST_PARAMETERS: usize = 255;

/// The stream of random numbers that picks scripts.
const PICK: u64 = 0x7363_7269_7074;
/// The stream of `default_seed`.
const DEFAULT_SEED: u64 = 0x0064_6566_6175_6c74;

/// How statements are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// As text, with the variables' values in it.
    Simple,
    /// With parameters; parsed and planned each time.
    Extended,
    /// With parameters; parsed once a connection.
    #[default]
    Prepared,
}

/// What scripts are played with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How statements are sent.
    pub mode: Mode,
    /// `-D name=value`, later ones over earlier ones and over the automatic variables.
    pub variables: Vec<(String, String)>,
    /// The scale of the tables, where it is known; 1 otherwise.
    pub scale: Option<i64>,
    /// The seed of the picks and of every random function.
    pub seed: u64,
    /// How often a transaction is begun again after SQLSTATE 40001 or 40P01.
    pub retries: u32,
    /// Whether `\shell` and `\setshell` may run programs on this machine.
    pub allow_shell: bool,
}

/// Why scripts cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// Something in a script.
    #[error("play script {0}")]
    Script(#[from] ScriptError),
    /// A variable of `-D`.
    #[error("-D {0}={1}: expected a name of letters, digits and _ that begins with none of the digits, and a value")]
    Variable(String, String),
    /// No script has a weight above 0.
    #[error("run scripts: all have weight 0, expected a weight above 0 on at least one")]
    NoWeight,
    /// Every script writes and writes are not allowed.
    #[error("run scripts: all of them write; run them with --writes rollback, clone or live")]
    OnlyWrites,
}

/// Scripts, their weights and the variables they share.
#[derive(Debug, Clone)]
pub struct Suite {
    pub(super) scripts: Vec<Compiled>,
    /// Scripts that are run, each with the sum of the weights up to and including its own.
    picks: Vec<(u64, usize)>,
    /// By slot.
    pub(super) names: Vec<String>,
    /// What every client begins with, by slot; `client_id` is its own.
    pub(super) initial: Vec<Held>,
    pub(super) labels: Vec<Label>,
    pub(super) prepared: Vec<Prepared>,
    pub(super) seed: u64,
    pub(super) retries: u32,
    /// Slots whose values reach from one transaction of a client into its next.
    pub(super) carried: Vec<usize>,
    has_transactions: bool,
    left_out: Vec<(String, f64)>,
    writing: bool,
}

/// The slot of `client_id`.
pub(super) const CLIENT_ID: usize = 0;

/// What a variable holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Held {
    #[default]
    Unset,
    Value(Value),
    /// A text, and the value it is in expressions.
    Text(String, Option<Value>),
}

impl Held {
    pub(super) fn of_text(text: &str) -> Self {
        Self::Text(text.to_owned(), Value::of_text(text))
    }
}

/// A script ready to be played.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    pub(super) name: String,
    pub(super) stream: u64,
    /// With the place of each.
    pub(super) ops: Vec<(Op, Place)>,
    pub(super) requests: Vec<Request>,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    Send(usize),
    Set(usize, Node),
    /// Goes on elsewhere unless the condition holds.
    Unless(Node, usize),
    Jump(usize),
    Sleep(Pause, Unit),
    Shell(Option<usize>, Vec<Word>),
    StartPipeline,
    SyncPipeline,
    EndPipeline,
}

#[derive(Debug, Clone)]
pub(super) enum Pause {
    Fixed(u32),
    Slot(usize),
}

/// A word of a shell command.
#[derive(Debug, Clone)]
pub(super) enum Word {
    Text(String),
    Slot(usize),
}

/// Something that is sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) label: usize,
    pub(super) form: Form,
    /// What it leaves the transaction as, when it works.
    pub(super) control: Control,
    /// Whether it may have opened a transaction when it fails.
    pub(super) begins: bool,
    /// Whether a transaction is opened and rolled back around it, unless one is open.
    pub(super) is_rolled_back: bool,
    /// Whether it can be explained.
    pub(super) has_plan: bool,
    pub(super) capture: Option<(Capture, Vec<(String, usize)>)>,
}

/// How a request is sent.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// Prepared, with the slots of its parameters.
    Prepared(usize, Vec<usize>),
    /// Parsed each time, with the slots of its parameters.
    Once(String, Vec<usize>),
    /// As text.
    Simple(Vec<Piece>),
}

/// A piece of a text.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(String),
    /// A variable's value, or `:name` as long as it has none.
    Slot(usize),
}

impl Suite {
    /// Prepares scripts with their weights; in a read-only run those that write are left out.
    ///
    /// # Errors
    /// [`SuiteError`]: a variable that nothing sets, too many parameters, programs that may not be run, nothing to run.
    pub fn new(scripts: &[(Script, u32)], options: &Options, writes: Writes) -> Result<Self, SuiteError> {
        let mut slots = Slots::default();
        let scale = options.scale.unwrap_or(1);
        let default_seed = random::bits(options.seed, DEFAULT_SEED, 0, 0).cast_signed();
        let automatic = [("client_id", 0), ("scale", scale), ("default_seed", default_seed), ("random_seed", options.seed.cast_signed())];
        let mut initial: Vec<(usize, Held)> =
            automatic.iter().map(|(name, value)| (slots.of(name), Held::Value(Value::Int(*value)))).collect();
        for (name, value) in &options.variables {
            if !super::token::is_name(name) || value.is_empty() {
                return Err(SuiteError::Variable(name.clone(), value.clone()));
            }
            initial.push((slots.of(name), Held::of_text(value)));
        }
        let flows: Vec<Flow<'_>> = scripts.iter().map(|(script, _)| Flow::of(script)).collect();
        let given: Vec<&str> =
            automatic.iter().map(|(name, _)| *name).chain(options.variables.iter().map(|(name, _)| name.as_str())).collect();

        let natures: Vec<Vec<Nature>> = scripts.iter().map(|(script, _)| natures(script)).collect();
        let script_writes = |index: usize| natures[index].iter().any(|nature| nature.writes);
        let (mut picks, mut sum, mut left_out) = (Vec::new(), 0u64, Vec::new());
        let total: u64 = scripts.iter().map(|(_, weight)| u64::from(*weight)).sum();
        for (index, (script, weight)) in scripts.iter().enumerate().filter(|(_, (_, weight))| *weight > 0) {
            if writes == Writes::Readonly && script_writes(index) {
                left_out.push((script.name.clone(), f64::from(*weight) / total as f64));
                continue;
            }
            sum += u64::from(*weight);
            picks.push((sum, index));
        }
        if picks.is_empty() {
            return Err(if left_out.is_empty() { SuiteError::NoWeight } else { SuiteError::OnlyWrites });
        }

        let names = unique_names(scripts);
        let mut build = Build { slots, labels: Vec::new(), prepared: Vec::new(), options, writes };
        for (index, (script, _)) in scripts.iter().enumerate() {
            let called = picks.iter().any(|(_, picked)| *picked == index);
            build.labels.push(Label { name: names[index].clone(), sql: script.to_string(), statement: None, called });
        }
        let mut compiled = Vec::with_capacity(scripts.len());
        for (index, (script, _)) in scripts.iter().enumerate() {
            check(script, options, |name| given.contains(&name) || flows.iter().any(|flow| flow.may_set(name)))?;
            compiled.push(build.script(index, script, &names[index], &natures[index])?);
        }
        let mut carried: Vec<usize> = flows
            .iter()
            .flat_map(|flow| flow.read_first.iter())
            .filter(|name| flows.iter().any(|flow| flow.may_set(name)))
            .map(|name| build.slots.of(name))
            .collect();
        carried.sort_unstable();
        carried.dedup();
        let Build { slots, labels, prepared, .. } = build;
        // Answers fill the slots that some script names; what nobody reads is not kept.
        for script in &mut compiled {
            for request in &mut script.requests {
                if let Some((capture, columns)) = &mut request.capture {
                    let own = slots.names.iter().enumerate();
                    *columns =
                        own.filter_map(|(slot, name)| Some((name.strip_prefix(capture.prefix.as_str())?.to_owned(), slot))).collect();
                }
            }
        }
        let mut values = vec![Held::Unset; slots.names.len()];
        for (slot, held) in initial {
            values[slot] = held;
        }
        let is_one_request = |script: &Compiled| script.requests.len() == 1 && !script.requests[0].is_rolled_back;
        let has_transactions = !picks.iter().all(|(_, index)| is_one_request(&compiled[*index]));
        let writing = picks.iter().any(|(_, index)| script_writes(*index));
        Ok(Self {
            scripts: compiled,
            picks,
            names: slots.names,
            initial: values,
            labels,
            prepared,
            seed: options.seed,
            retries: options.retries,
            carried,
            has_transactions,
            left_out,
            writing,
        })
    }

    /// Returns the script of a call, which is also its label.
    #[inline]
    pub fn script(&self, call: u64) -> usize {
        let total = self.picks.last().map_or(0, |(sum, _)| *sum);
        let at = random::below(random::bits(self.seed, PICK, call, 0), total);
        self.picks[self.picks.partition_point(|(sum, _)| *sum <= at)].1
    }

    /// Returns the variables whose values reach from one transaction of a client into its next: where there are some, what
    /// a call does depends on what its client did before.
    pub fn carried(&self) -> impl Iterator<Item = &str> {
        self.carried.iter().map(|slot| self.names[*slot].as_str())
    }

    /// Returns the scripts that a read-only run leaves out, each with its share of the calls.
    pub fn left_out(&self) -> &[(String, f64)] {
        &self.left_out
    }

    /// Returns whether something that is run writes.
    pub fn writes(&self) -> bool {
        self.writing
    }

    pub(super) fn has_several_statements(&self) -> bool {
        self.has_transactions
    }

    pub(super) fn picked(&self, script: usize) -> bool {
        self.picks.iter().any(|(_, picked)| *picked == script)
    }
}

/// The nature of each SQL command of a script.
fn natures(script: &Script) -> Vec<Nature> {
    let sql = |command: &Command| match &command.kind {
        Kind::Sql { parts, .. } => Some(nature(parts)),
        _ => None,
    };
    script.commands.iter().filter_map(sql).collect()
}

/// Returns a name for each script; one that is there twice gets a number.
fn unique_names(scripts: &[(Script, u32)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(scripts.len());
    for (script, _) in scripts {
        let numbered = |number: usize| if number == 1 { script.name.clone() } else { format!("{}#{number}", script.name) };
        let free = (1..).map(numbered).find(|name| !names.contains(name) && name != "total");
        names.push(free.unwrap_or_else(|| script.name.clone()));
    }
    names
}

/// Checks what a script needs from outside.
fn check(script: &Script, options: &Options, is_set: impl Fn(&str) -> bool) -> Result<(), SuiteError> {
    let wrong = |place: Place, message: String| Err(ScriptError { file: script.name.clone(), place, message }.into());
    for command in &script.commands {
        let unset = match &command.kind {
            Kind::Sql { parts, .. } if options.mode != Mode::Simple && !parts.contains(&Part::Joint) => {
                let count = parts.iter().filter(|part| matches!(part, Part::Variable(_))).count();
                if count > MOST_PARAMETERS {
                    return wrong(command.place, format!("expected at most {MOST_PARAMETERS} parameters, found {count}"));
                }
                // As text, a colon may be one of SQL's own: there, what is not set stays.
                parts.iter().find_map(|part| match part {
                    Part::Variable(name) if !is_set(name) => Some(name.clone()),
                    _ => None,
                })
            }
            Kind::Set(_, expression) | Kind::If(expression) | Kind::Elif(expression) => {
                let mut unset = None;
                expression.variables(&mut |name| {
                    if !is_set(name) {
                        unset.get_or_insert_with(|| name.to_owned());
                    }
                });
                unset
            }
            Kind::Sleep(Amount::Variable(name), _) if !is_set(name) => Some(name.clone()),
            Kind::Setshell(..) | Kind::Shell(_) if !options.allow_shell => {
                return wrong(command.place, format!("{} runs programs on this machine: allow it with --allow-shell", command.kind.word()));
            }
            Kind::Setshell(_, words) | Kind::Shell(words) => {
                words.iter().filter_map(|word| word_variable(word)).find(|name| !is_set(name)).map(str::to_owned)
            }
            Kind::StartPipeline if options.mode == Mode::Simple => {
                return wrong(command.place, "expected -M extended or prepared: the simple protocol has no pipelines".to_owned());
            }
            _ => None,
        };
        if let Some(name) = unset {
            return wrong(command.place, format!("variable {name:?} is never set: set it with \\set, \\gset or -D {name}=VALUE"));
        }
    }
    Ok(())
}

/// The names of variables, numbered.
#[derive(Debug, Clone, Default)]
struct Slots {
    names: Vec<String>,
}

impl Slots {
    fn of(&mut self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }
}

/// What grows while scripts are compiled.
struct Build<'o> {
    slots: Slots,
    labels: Vec<Label>,
    prepared: Vec<Prepared>,
    options: &'o Options,
    writes: Writes,
}

impl Build<'_> {
    fn script(&mut self, index: usize, script: &Script, name: &str, natures: &[Nature]) -> Result<Compiled, ScriptError> {
        let mut ops: Vec<(Op, Place)> = Vec::with_capacity(script.commands.len() + 1);
        let mut requests = Vec::with_capacity(natures.len());
        // By open condition: the jump over the branch in work, and the jumps from branches' ends.
        let mut open: Vec<(Option<usize>, Vec<usize>)> = Vec::new();
        let mut sites = 0;
        // A script that is one statement and nothing that takes time is that statement.
        let only = natures.len() == 1 && script.commands.iter().all(|command| matches!(command.kind, Kind::Sql { .. } | Kind::Set(..)));
        let defines = natures.iter().any(|nature| nature.defines);
        for Command { place, kind } in &script.commands {
            let op = match kind {
                Kind::Sql { parts, capture } => {
                    let number = requests.len();
                    let request = self.request(index, name, parts, capture.as_ref(), &natures[number], (number, only, defines));
                    requests.push(request);
                    Op::Send(number)
                }
                Kind::Set(variable, expression) => {
                    let node = self.node(expression, &mut sites);
                    Op::Set(self.slots.of(variable), node)
                }
                Kind::If(condition) => {
                    open.push((Some(ops.len()), Vec::new()));
                    Op::Unless(self.node(condition, &mut sites), 0)
                }
                Kind::Elif(_) | Kind::Else => {
                    if let Some((jump, ends)) = open.last_mut() {
                        ends.push(ops.len());
                        ops.push((Op::Jump(0), *place));
                        land(&mut ops, jump.take());
                    }
                    let Kind::Elif(condition) = kind else { continue };
                    if let Some((jump, _)) = open.last_mut() {
                        *jump = Some(ops.len());
                    }
                    Op::Unless(self.node(condition, &mut sites), 0)
                }
                Kind::Endif => {
                    if let Some((jump, ends)) = open.pop() {
                        ends.into_iter().chain(jump).for_each(|jump| land(&mut ops, Some(jump)));
                    }
                    continue;
                }
                Kind::Sleep(Amount::Fixed(amount), unit) => Op::Sleep(Pause::Fixed(*amount), *unit),
                Kind::Sleep(Amount::Variable(name), unit) => Op::Sleep(Pause::Slot(self.slots.of(name)), *unit),
                Kind::Setshell(variable, words) => Op::Shell(Some(self.slots.of(variable)), self.words(words)),
                Kind::Shell(words) => Op::Shell(None, self.words(words)),
                Kind::StartPipeline => Op::StartPipeline,
                Kind::SyncPipeline => Op::SyncPipeline,
                Kind::EndPipeline => Op::EndPipeline,
            };
            ops.push((op, *place));
        }
        Ok(Compiled { name: name.to_owned(), stream: random::stream(name), ops, requests })
    }

    fn request(
        &mut self,
        script: usize,
        name: &str,
        parts: &[Part],
        capture: Option<&Capture>,
        nature: &Nature,
        (number, only, defines): (usize, bool, bool),
    ) -> Request {
        let rolls_back = self.writes == Writes::Rollback;
        let undone = if rolls_back { undone(parts, &nature.controls) } else { parts.to_vec() };
        let (text, names) = with_parameters(&undone);
        let label = if only { script } else { self.labels.len() };
        let called = self.labels[script].called;
        let own_name = if only { name.to_owned() } else { format!("{name}.{}", number + 1) };
        let mut statement = None;
        let form = if self.options.mode == Mode::Simple || undone.contains(&Part::Joint) {
            Form::Simple(undone.iter().map(|part| self.piece(part)).collect())
        } else {
            let slots = names.iter().map(|name| self.slots.of(name)).collect();
            if self.options.mode == Mode::Extended || defines {
                Form::Once(text.clone(), slots)
            } else {
                statement = Some(self.prepared.len());
                self.prepared.push(Prepared { name: own_name.clone(), sql: text.clone(), called });
                Form::Prepared(self.prepared.len() - 1, slots)
            }
        };
        if only {
            self.labels[script].statement = statement;
        } else {
            self.labels.push(Label { name: own_name, sql: text, statement, called });
        }
        let control = nature.controls.iter().rev().find(|control| **control != Control::None).copied().unwrap_or(Control::None);
        Request {
            label,
            form,
            control,
            begins: nature.controls.contains(&Control::Begin),
            is_rolled_back: rolls_back && nature.writes && control == Control::None,
            has_plan: nature.has_plan,
            capture: capture.map(|capture| (capture.clone(), Vec::new())),
        }
    }

    fn piece(&mut self, part: &Part) -> Piece {
        match part {
            Part::Text(text) => Piece::Text(text.clone()),
            Part::Colon => Piece::Text(":".to_owned()),
            Part::Joint => Piece::Text(";".to_owned()),
            Part::Variable(name) | Part::Quoted(name) => Piece::Slot(self.slots.of(name)),
        }
    }

    fn words(&mut self, words: &[String]) -> Vec<Word> {
        let word = |word: &String| match word_variable(word) {
            Some(name) => Word::Slot(self.slots.of(name)),
            // A second colon takes the meaning off the first.
            None if word.starts_with("::") => Word::Text(word[1..].to_owned()),
            None => Word::Text(word.clone()),
        };
        words.iter().map(word).collect()
    }

    /// Numbers the variables and the random functions of an expression.
    fn node(&mut self, expression: &Expression, sites: &mut u32) -> Node {
        match expression {
            Expression::Value(value) => Node::Value(*value),
            Expression::Variable(name) => Node::Slot(self.slots.of(name)),
            Expression::Call(function, arguments) => {
                let site = *sites;
                *sites += u32::from(function.is_random());
                Node::Call(*function, site, arguments.iter().map(|argument| self.node(argument, sites)).collect())
            }
        }
    }
}

/// Lets a jump land behind the last operation.
fn land(ops: &mut [(Op, Place)], jump: Option<usize>) {
    let here = ops.len();
    if let Some((Op::Unless(_, to) | Op::Jump(to), _)) = jump.and_then(|jump| ops.get_mut(jump)) {
        *to = here;
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::Prepared => "prepared",
        })
    }
}
