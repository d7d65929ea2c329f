//! `pgload migrate`: applies migration files, takes them back, says where they stand.

use std::path::Path;

use serde_json::json;

use super::args::{MigrateAction, MigrateArgs, PlainFormat};
use super::failure::{Exit, Failure};
use super::{connection, output};
use crate::migration::history::{Done, Event, Outcome, Plan, State, Status, Warning};
use crate::pg::{Canceller, apply, connect};
use crate::report::json as json_text;
use crate::units::human_ms;

pub(super) async fn run(args: MigrateArgs) -> Result<Exit, Failure> {
    let source = connection::source(&args.connection)?.with_application_name("pgload/migrate");
    let mut client = connect(&source).await?;
    let dir = args.dir.as_path();
    let action = args.action.unwrap_or(MigrateAction::Status);
    let plan_only = matches!(action, MigrateAction::Plan) || (args.dry_run && matches!(action, MigrateAction::Up));
    if plan_only {
        let plan = apply::plan(&client, dir).await?;
        print(args.format, &plan, || plan_text(&plan))?;
        return Ok(Exit::Done);
    }
    // The server goes on with a build when its client is gone: ask it to stop before leaving.
    let canceller = Canceller::of(&client, &source);
    let work = async {
        match action {
            MigrateAction::Status | MigrateAction::Plan => {
                let status = apply::status(&client, dir).await?;
                print(args.format, &status, || status_text(&status))
            }
            MigrateAction::Up => {
                let outcome = apply::up(&mut client, dir, &mut say).await?;
                print(args.format, &outcome, || outcome_text(&outcome))
            }
            MigrateAction::Down { version } if args.dry_run => {
                let status = apply::status(&client, dir).await?;
                let text = down_text(&status, version, dir)?;
                print(args.format, &json!({ "version": version, "would_run": text }), || text.clone())
            }
            MigrateAction::Down { version } => {
                let done = apply::down(&mut client, dir, version, &mut say).await?;
                print(args.format, &done, || done_text("Took back", &done))
            }
        }
    };
    tokio::select! {
        result = work => result.map(|()| Exit::Done),
        () = interrupted() => {
            canceller.cancel().await;
            Err(Failure::failed("finish: interrupted. What was applied stays; run `pgload migrate up` again to go on, it clears up a half-built index"))
        }
    }
}

/// Waits for Ctrl-C or a request to terminate.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Says on stderr what happens while it happens.
pub(super) fn say(event: Event) {
    match event {
        Event::Warned(warning) => output::notice(&format!("warning: {}", warning_text(&warning))),
        Event::Started { version, name } => output::notice(&format!("V{version}__{name} …")),
        Event::Running { number, of, statement } => output::notice(&format!("  {number}/{of} {statement}")),
        Event::Healed { index } => output::notice(&format!("  dropped {index}: an interrupted build had left it invalid")),
        Event::Finished(_) => {}
    }
}

fn print<T: serde::Serialize>(format: PlainFormat, value: &T, text: impl Fn() -> String) -> Result<(), Failure> {
    output::result(&match format {
        PlainFormat::Json => json_text::to_string_pretty(&json!({ "schema_version": 1, "result": value })),
        PlainFormat::Table => text(),
    })
}

fn warning_text(warning: &Warning) -> String {
    match warning {
        Warning::OldTransaction { pid, user, application, state, open_s } => {
            format!(
                "session {pid} of {user} ({application}, {state}) has a transaction open for {open_s} s; a concurrent build waits for it"
            )
        }
        Warning::PreparedTransaction { gid, owner, open_s } => {
            format!(
                "prepared transaction {gid:?} of {owner} is {open_s} s old; a concurrent build waits until it is committed or rolled back"
            )
        }
        Warning::Building { index, pid } => format!("session {pid} is building {index}; this run waits for it"),
    }
}

fn status_text(status: &Status) -> String {
    let mut text = format!("Migrations in {}:\n", status.directory);
    for entry in &status.entries {
        let state = match entry.state {
            State::Applied => "applied",
            State::Pending => "pending",
            State::Changed => "CHANGED after it was applied",
            State::Missing => "applied, its file is MISSING",
        };
        let at = entry.applied_at.map(|at| format!("  {}", at.strftime("%Y-%m-%d %H:%M:%S UTC"))).unwrap_or_default();
        text.push_str(&format!("  V{}__{}  {state}{at}\n", entry.version, entry.name));
    }
    if status.entries.is_empty() {
        text.push_str("  none\n");
    }
    text
}

fn plan_text(plan: &Plan) -> String {
    let mut text = String::new();
    for warning in &plan.warnings {
        text.push_str(&format!("-- warning: {}\n", warning_text(warning)));
    }
    for step in &plan.pending {
        let how = if step.transactional { "in one transaction" } else { "statement by statement, outside a transaction" };
        text.push_str(&format!("-- {} ({how})\n", step.file));
        for statement in &step.statements {
            text.push_str(&format!("{};\n", statement.trim_end().trim_end_matches(';')));
        }
        text.push('\n');
    }
    if plan.pending.is_empty() {
        text.push_str("Nothing to apply.\n");
    }
    text
}

fn outcome_text(outcome: &Outcome) -> String {
    if outcome.applied.is_empty() {
        return format!("Nothing to apply: all {} migrations are applied.\n", outcome.applied_before);
    }
    outcome.applied.iter().map(|done| done_text("Applied", done)).collect()
}

fn done_text(verb: &str, done: &Done) -> String {
    let healed = if done.healed.is_empty() { String::new() } else { format!(", after dropping the invalid {}", done.healed.join(", ")) };
    format!("{verb} V{}__{} in {}{healed}.\n", done.version, done.name, human_ms(done.elapsed_ms))
}

fn down_text(status: &Status, version: i64, dir: &Path) -> Result<String, Failure> {
    let entry = status.entries.iter().find(|entry| entry.version == version && entry.applied_at.is_some());
    let file = entry.and_then(|entry| entry.down_file.as_ref());
    let file = file
        .ok_or_else(|| Failure::usage(format!("take back V{version}: it is not applied, or {} has no .down.sql of it", dir.display())))?;
    let path = if Path::new(file).exists() { Path::new(file).to_owned() } else { dir.join(file) };
    std::fs::read_to_string(&path).map_err(|error| Failure::usage(format!("read {}: {error}", path.display())))
}
