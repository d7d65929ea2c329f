//! A mix as a program: captured statements by their weights, for closed and open loops.

use super::WireProtocol;
use super::mix::{Mix, MixCall};
use super::sift::stands_alone;
use crate::replay::args::Args;
use crate::replay::program::{Client, End, Ending, Label, Prepared, Program, Reply, Request, Sql, Step};
use crate::replay::writes::Writes;

/// Each call is a statement of the mix with the parameters of one of its captured calls.
#[derive(Debug)]
pub struct Weighted {
    mix: Mix,
    seed: u64,
    labels: Vec<Label>,
    /// Whether each call is rolled back: a function may write whatever the text says.
    rolls_back: bool,
    left_out: Vec<(String, u64)>,
}

impl Weighted {
    /// Makes a program of a mix. What a statement by itself may not do in such a run is left out, and so is what changes the
    /// session: in a mix it would be in force for whatever comes next.
    pub fn new(mix: Mix, seed: u64, writes: Writes) -> Self {
        let (mix, left_out) = mix.only(|one| one.calls.iter().all(|call| stands_alone(&call.sql, writes)));
        let label = |one: &super::MixStatement| Label {
            name: one.name.clone(),
            sql: one.calls.first().map_or_else(String::new, |call| call.sql.to_string()),
            statement: None,
            called: true,
        };
        let labels = mix.statements.iter().map(label).collect();
        Self { mix, seed, labels, rolls_back: writes == Writes::Rollback, left_out }
    }

    /// Whether there is nothing to call.
    pub fn is_empty(&self) -> bool {
        self.mix.statements.is_empty()
    }

    /// Returns the statements that are left out, with their captured calls.
    pub fn left_out(&self) -> &[(String, u64)] {
        &self.left_out
    }

    /// Returns the captured calls of the statements that are called.
    pub fn weight(&self) -> u64 {
        self.mix.statements.iter().map(|one| one.weight).sum()
    }

    fn call(&self, call: u64) -> Option<(usize, &MixCall)> {
        self.mix.call(self.seed, call)
    }
}

impl Program for Weighted {
    fn labels(&self) -> &[Label] {
        &self.labels
    }

    fn label(&self, call: u64) -> usize {
        self.call(call).map_or(0, |(statement, _)| statement)
    }

    fn statements(&self) -> &[Prepared] {
        // Its calls may have texts of their own, which no one statement prepared once stands for.
        &[]
    }

    fn example(&self, _: usize) -> Option<Vec<Option<String>>> {
        None
    }

    fn client(&self, _: usize) -> Box<dyn Client + '_> {
        Box::new(Player { program: self, call: None, sent: false, args: Args::default(), error: None })
    }

    fn has_transactions(&self) -> bool {
        self.rolls_back
    }
}

struct Player<'m> {
    program: &'m Weighted,
    call: Option<(usize, &'m MixCall)>,
    sent: bool,
    args: Args<'m>,
    error: Option<String>,
}

impl Client for Player<'_> {
    fn begin(&mut self, call: u64) -> usize {
        self.call = self.program.call(call);
        (self.sent, self.error) = (false, None);
        self.call.map_or(0, |(statement, _)| statement)
    }

    fn next(&mut self, reply: &Reply<'_>) -> Step<'_> {
        let Some((statement, call)) = self.call.filter(|_| !self.sent) else {
            self.error = reply.error.map(str::to_owned);
            return Step::Done(Ending { error: self.error.as_deref(), ..Ending::default() });
        };
        self.sent = true;
        self.args.clear();
        call.parameters.iter().for_each(|value| self.args.push_kept(value.as_deref()));
        let sql = match call.protocol {
            WireProtocol::Simple => Sql::Simple(&call.sql),
            WireProtocol::Extended => Sql::Once(&call.sql),
        };
        let (begin, end) = if self.program.rolls_back { (Some("begin"), Some(End::Rollback)) } else { (None, None) };
        Step::Run(Request { label: statement, sql, args: &self.args, begin, end, wants_row: false })
    }
}
