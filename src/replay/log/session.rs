//! One session of a log: lines that belong together become statements, statements become transactions.

use std::collections::VecDeque;

use super::control::{Control, control};
use super::event::{Client, Deed, Event, Failed, Protocol, Statement};
use super::line::Line;
use super::message::{Phase, Step};
use super::parameters;
use super::pending::{Bare, Facts, Kept, STEPS_MAX, keep};
use super::skip::{Counts, Reason};
use super::transaction::Transactions;

/// A session that has not ended.
#[derive(Debug)]
pub(super) struct Session {
    number: u64,
    client: Client,
    start_us: i64,
    /// When anything was last logged of it.
    pub(super) seen_us: i64,
    connected: bool,
    /// Whether the log shows it connecting.
    received: bool,
    /// Whether it has run anything.
    pub(super) busy: bool,
    transactions: Transactions,
    open: Option<Open>,
    parses: Vec<Kept>,
    binds: Vec<Kept>,
    /// Durations without text since the last statement: of a parse and a bind, if an execution follows.
    bare: Vec<Bare>,
    /// The last statement, kept until it is known whether its transaction goes on.
    held: Option<(i64, Statement)>,
    floor_us: i64,
}

/// A statement whose beginning was logged and whose end was not yet.
#[derive(Debug)]
struct Open {
    at_us: i64,
    line: Facts,
    statement: Statement,
    fetch: bool,
}

/// Where a session's events and counts go.
pub(super) struct Sink<'s> {
    pub(super) events: &'s mut VecDeque<Event>,
    pub(super) counts: &'s mut Counts,
    pub(super) next_transaction: &'s mut u64,
    /// The databases asked for; all when empty.
    pub(super) databases: &'s [String],
    /// The longest parameter seen whole, in bytes.
    pub(super) longest: &'s mut usize,
}

impl Session {
    pub(super) fn new(number: u64, line: &Line, log_start_us: i64) -> Self {
        // A session older than the log is there when the log begins.
        let start_us = line.session_start_us.map_or(line.at_us, |start| start.max(log_start_us).min(line.at_us));
        Self {
            number,
            client: Client::default(),
            start_us,
            seen_us: line.at_us,
            connected: false,
            received: false,
            busy: false,
            transactions: Transactions::default(),
            open: None,
            parses: Vec::new(),
            binds: Vec::new(),
            bare: Vec::new(),
            held: None,
            floor_us: i64::MIN,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Notes who the client is, from any line that says so.
    pub(super) fn meet(&mut self, user: &str, database: &str, application: &str) {
        for (known, said) in
            [(&mut self.client.user, user), (&mut self.client.database, database), (&mut self.client.application, application)]
        {
            if known.is_empty() && !said.is_empty() && said != "[unknown]" {
                said.clone_into(known);
            }
        }
    }

    /// Whether its database was asked for; a log that does not say a session's database cannot leave it out.
    fn is_wanted(&self, databases: &[String]) -> bool {
        databases.is_empty() || self.client.database.is_empty() || databases.contains(&self.client.database)
    }

    /// `connection received` or `authorized`: to the millisecond, where its start is to the second.
    pub(super) fn receive(&mut self, line: &Line) {
        if !self.received && !self.connected {
            self.start_us = line.at_us;
        }
        self.received = true;
    }

    /// `statement: SQL`.
    pub(super) fn begin_simple(&mut self, line: &Line, text: &str, sink: &mut Sink<'_>) {
        sink.counts.announced += 1;
        self.close_open(sink);
        self.drop_bare(sink);
        let statement = Statement { text: text.to_owned(), prepared: prepared(line), ..Statement::default() };
        self.open = Some(Open { at_us: line.at_us, line: Facts::of(line), statement, fetch: false });
    }

    /// `execute NAME: SQL`.
    pub(super) fn begin_extended(&mut self, line: &Line, step: Step<'_>, sink: &mut Sink<'_>) {
        sink.counts.announced += 1;
        self.close_open(sink);
        if step.fetch {
            sink.counts.skip(Reason::Fetch);
            self.open = Some(Open { at_us: line.at_us, line: Facts::of(line), statement: Statement::default(), fetch: true });
            return;
        }
        // The parse and the bind that came before without their texts.
        while self.bare.len() > 2 {
            lose(self.bare.remove(0), sink);
        }
        let bare_us: u64 = self.bare.drain(..).map(|bare| bare.us).sum();
        let (at_us, facts, statement) = self.extended(line, step, sink);
        let before = statement.duration_us.unwrap_or(0) + bare_us;
        let at_us = at_us - i64::try_from(bare_us).unwrap_or(0);
        let statement = Statement { duration_us: (before > 0).then_some(before), ..statement };
        self.open = Some(Open { at_us, line: facts, statement, fetch: false });
    }

    /// `duration: X ms`.
    pub(super) fn end_bare(&mut self, line: &Line, us: u64, sink: &mut Sink<'_>) {
        let preparing = matches!(line.tag.as_deref(), Some("PARSE" | "BIND"));
        match self.open.take() {
            Some(open) if open.fetch => {}
            Some(mut open) if !preparing => {
                open.statement.duration_us = Some(open.statement.duration_us.unwrap_or(0) + us);
                // The execution's own id: that of the line before is not computed yet.
                open.statement.query_id = open.statement.query_id.or(line.query_id);
                self.finish(open, sink);
            }
            open => {
                self.open = open;
                self.bare.push(Bare { us, preparing });
                if self.bare.len() > STEPS_MAX {
                    lose(self.bare.remove(0), sink);
                }
            }
        }
    }

    /// `duration: X ms  statement: SQL`.
    pub(super) fn ran(&mut self, line: &Line, us: u64, text: &str, sink: &mut Sink<'_>) {
        self.close_open(sink);
        self.drop_bare(sink);
        let at_us = line.at_us - i64::try_from(us).unwrap_or(0);
        let statement = Statement {
            text: text.to_owned(),
            duration_us: Some(us),
            prepared: prepared(line),
            query_id: line.query_id,
            ..Statement::default()
        };
        self.finish(Open { at_us, line: Facts::of(line), statement, fetch: false }, sink);
    }

    /// `duration: X ms  parse|bind|execute NAME: SQL`.
    pub(super) fn handled(&mut self, line: &Line, us: u64, phase: Phase, step: Step<'_>, sink: &mut Sink<'_>) {
        let kept = || Kept {
            name: step.name.to_owned(),
            text: step.text.to_owned(),
            end_us: line.at_us,
            us,
            parameters: line.detail.as_deref().and_then(parameters::of_detail),
            line: Facts::of(line),
            query_id: line.query_id,
        };
        match phase {
            Phase::Parse => keep(&mut self.parses, kept()),
            Phase::Bind => keep(&mut self.binds, kept()),
            Phase::Execute => {
                self.close_open(sink);
                self.drop_bare(sink);
                if step.fetch {
                    sink.counts.skip(Reason::Fetch);
                    return;
                }
                let (at_us, facts, mut statement) = self.extended(line, step, sink);
                let known = statement.duration_us.unwrap_or(0);
                let at_us = at_us.min(line.at_us - i64::try_from(us).unwrap_or(0));
                statement.duration_us = Some(known + us);
                statement.query_id = statement.query_id.or(line.query_id);
                self.finish(Open { at_us, line: facts, statement, fetch: false }, sink);
            }
        }
    }

    /// `ERROR` or graver.
    pub(super) fn fail(&mut self, line: &Line, sink: &mut Sink<'_>) {
        let failure = Some(Failed { sqlstate: line.sqlstate.clone().filter(|state| state != "00000") });
        let query = line.query.as_deref();
        self.bare.clear();
        let of_this = |open: &mut Open| !open.fetch && query.is_none_or(|query| query == open.statement.text);
        if let Some(mut open) = self.open.take_if(of_this) {
            open.statement.failure = failure;
            // To the millisecond, as both lines are.
            open.statement.duration_us = u64::try_from(line.at_us - open.at_us).ok().filter(|us| *us > 0);
            self.finish(open, sink);
        } else if let Some(query) = query {
            self.close_open(sink);
            let bind = self.binds.iter().rposition(|bind| bind.text == query).map(|at| self.binds.swap_remove(at));
            let parse = self.parses.iter().rposition(|parse| parse.text == query).map(|at| self.parses.swap_remove(at));
            let logged = line.context.as_deref().and_then(parameters::of_context);
            let found = bind.as_ref().and_then(|bind| bind.parameters.clone()).or(logged).unwrap_or_default();
            let extended = bind.is_some() || parse.is_some() || control(query).parameters > 0;
            let statement = Statement {
                text: query.to_owned(),
                protocol: if extended { Protocol::Extended } else { Protocol::Simple },
                failure,
                query_id: bind.as_ref().or(parse.as_ref()).and_then(|kept| kept.query_id),
                cut: found.cut,
                parameters: found.values,
                ..Statement::default()
            };
            let first = parse.as_ref().filter(|parse| parse.name == "<unnamed>").or(bind.as_ref());
            let at_us = first.map_or(line.at_us, Kept::began_us);
            self.finish(Open { at_us, line: Facts::of(line), statement, fetch: false }, sink);
        } else {
            sink.counts.errors_without_text += 1;
        }
        // The server skips the rest of a pipeline up to the next Sync.
        self.binds.clear();
    }

    /// Ends it: what is open has no end in the log.
    pub(super) fn close(&mut self, at_us: Option<i64>, sink: &mut Sink<'_>) {
        self.close_open(sink);
        self.drop_bare(sink);
        self.release(true, sink);
        if self.received && !self.connected && self.is_wanted(sink.databases) {
            self.connect(self.start_us, sink);
        }
        if let Some(at_us) = at_us.filter(|_| self.connected) {
            sink.events.push_back(Event { session: self.number, at_us: at_us.max(self.floor_us), deed: Deed::Disconnect });
        }
    }

    /// Puts an execution together with the parse and the bind before it.
    fn extended(&mut self, line: &Line, step: Step<'_>, sink: &mut Sink<'_>) -> (i64, Facts, Statement) {
        let bind = self.binds.iter().rposition(|bind| bind.name == step.name && bind.text == step.text).map(|at| self.binds.remove(at));
        let of_statement = |name: &str| name == step.name || step.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let parse = self.parses.iter().rposition(|parse| of_statement(&parse.name) && parse.text == step.text);
        let parse = parse.map(|at| self.parses.remove(at));
        let logged = line.detail.as_deref().and_then(parameters::of_detail);
        let found = logged.or_else(|| bind.as_ref().and_then(|bind| bind.parameters.clone())).unwrap_or_default();
        *sink.longest = (*sink.longest).max(found.longest);
        let bound = bind.as_ref().map_or(line.at_us, Kept::began_us);
        // A named statement is prepared once, maybe long before: its cost counts here, its time does not.
        let at_us = parse.as_ref().filter(|parse| parse.name == "<unnamed>").map_or(bound, |parse| parse.began_us().min(bound));
        let known: u64 = parse.iter().chain(&bind).map(|kept| kept.us).sum();
        let mut facts = Facts::of(line);
        if facts.vxid.is_none()
            && let Some(bind) = &bind
        {
            // A COMMIT ends its transaction before its line is written.
            facts.vxid.clone_from(&bind.line.vxid);
        }
        let statement = Statement {
            duration_us: (known > 0).then_some(known),
            text: step.text.to_owned(),
            protocol: Protocol::Extended,
            parameters: found.values,
            prepared: prepared(line),
            query_id: bind.as_ref().or(parse.as_ref()).and_then(|kept| kept.query_id),
            cut: found.cut,
            ..Statement::default()
        };
        (at_us, facts, statement)
    }

    /// A statement whose end the log does not have: it ran, for an unknown time.
    fn close_open(&mut self, sink: &mut Sink<'_>) {
        if let Some(open) = self.open.take().filter(|open| !open.fetch) {
            self.finish(open, sink);
        }
    }

    fn drop_bare(&mut self, sink: &mut Sink<'_>) {
        for bare in self.bare.drain(..) {
            lose(bare, sink);
        }
    }

    /// Gives a statement its transaction, and holds it until the next one is known.
    fn finish(&mut self, open: Open, sink: &mut Sink<'_>) {
        self.busy = true;
        let Open { at_us, line, mut statement, .. } = open;
        let control: Control = control(&statement.text);
        let failed = statement.failure.is_some();
        let number = self.transactions.of(line.vxid.as_deref(), line.logs_vxid, &control, failed, || {
            *sink.next_transaction += 1;
            *sink.next_transaction
        });
        let missing = statement.protocol == Protocol::Extended && control.parameters > statement.parameters.len();
        let other = !self.is_wanted(sink.databases);
        let refused = other.then_some(Reason::OtherDatabase).or(control.refused).or(missing.then_some(Reason::MissingParameters));
        if let Some(reason) = refused {
            sink.counts.skip(reason);
            return;
        }
        statement.transaction = number;
        let ended = self.held.as_ref().is_some_and(|(_, held)| held.transaction != number);
        self.release(ended, sink);
        let at_us = at_us.max(self.floor_us);
        self.floor_us = at_us;
        self.held = Some((at_us, statement));
    }

    fn release(&mut self, ended: bool, sink: &mut Sink<'_>) {
        let Some((at_us, mut statement)) = self.held.take() else { return };
        statement.last = ended;
        if !self.connected {
            self.connect(self.start_us.min(at_us), sink);
        }
        sink.events.push_back(Event { session: self.number, at_us, deed: Deed::Run(statement) });
    }

    fn connect(&mut self, at_us: i64, sink: &mut Sink<'_>) {
        self.connected = true;
        sink.counts.sessions += 1;
        sink.events.push_back(Event { session: self.number, at_us, deed: Deed::Connect(self.client.clone()) });
    }
}

/// Counts a duration that belongs to nothing in the log.
fn lose(bare: Bare, sink: &mut Sink<'_>) {
    if !bare.preparing {
        sink.counts.skip(Reason::NoText);
    }
}

/// The text `EXECUTE` runs.
fn prepared(line: &Line) -> Option<String> {
    line.detail.as_deref()?.strip_prefix("prepare: ").map(str::to_owned)
}
