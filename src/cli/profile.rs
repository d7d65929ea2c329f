//! `pgload profile`: watches a server, says where its time goes and what changed, and saves that.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::args::{ProfileArgs, ProfileFormat, SortChoice};
use super::failure::{Exit, Failure};
use super::{connection, migrate, output, progress, runs, snapshot};
use crate::load::Stop;
use crate::pg::Source;
use crate::pg::binaries::Binaries;
use crate::pg::monitor::{self, MonitorError};
use crate::pg::snapshot::{OLDEST_VERSION_NUM, Scope};
use crate::pg::twin::Options;
use crate::profile::{PROFILE_SCHEMA_VERSION, Profile, Sort, compare};
use crate::replay::Run;
use crate::report::{json as json_text, markdown, terminal};

pub(super) async fn run(args: ProfileArgs) -> Result<Exit, Failure> {
    if args.length.is_zero() {
        return Err(Failure::usage("profile for no time at all: give --for a time above 0"));
    }
    // First of all: a file that cannot be read is not to be found out after a minute of watching.
    let earlier = args.compare.as_deref().map(read).transpose()?;
    let source = connection::source(&args.connection)?;
    let mut profile = watch(&source, args.length).await?;
    if !args.no_plans {
        add_plan_notes(&mut profile, &source, args.pg_bin.as_deref()).await?;
    }
    if let Some(earlier) = &earlier {
        set_against(&mut profile, earlier);
    }
    let folder = runs::new_folder(&args.reports, "profile", None);
    let saved = output::write(&folder.join("profile.json"), json_text::to_string_pretty(&profile));
    print(&profile, &args)?;
    saved?;
    output::notice(&format!("Saved in {}; what changes from now on: pgload profile --compare {0}", folder.display()));
    Ok(Exit::Done)
}

/// Watches the server for this long, or until Ctrl-C.
async fn watch(source: &Source, length: Duration) -> Result<Profile, Failure> {
    let stop = Stop::default();
    let asked = stop.clone();
    let listener = tokio::spawn(async move {
        migrate::interrupted().await;
        output::notice("Ending the window; what was seen until now is reported.");
        asked.request();
    });
    let shown = progress::window("watching", length);
    let observed = monitor::observe(source, Some(length), &stop, &|elapsed| shown.update(elapsed)).await;
    drop(shown);
    listener.abort();
    Ok(Profile::of(&observed?))
}

/// Adds what the twin says of the plans; without server programs, or when the twin does not start, a notice says so.
async fn add_plan_notes(profile: &mut Profile, source: &Source, pg_bin: Option<&Path>) -> Result<(), Failure> {
    let version_num = profile.about.get("server_version_num").and_then(Value::as_u64).unwrap_or_default();
    let counted = profile.statements.iter().any(|statement| statement.query.is_some() && statement.counters.calls > 0);
    if !counted || version_num < u64::from(OLDEST_VERSION_NUM) {
        return Ok(());
    }
    let without = |reason: &str| output::notice(&format!("Plans were not looked at: could not {reason}."));
    let major = u32::try_from(version_num / 10_000).unwrap_or_default();
    let binaries = match Binaries::nearest(pg_bin, &connection::search_path(), major) {
        Ok(binaries) => binaries,
        // A folder that was named and holds no server is a mistake, but no reason to lose what was seen.
        Err(error) => {
            without(&Failure::from(error).message);
            return Ok(());
        }
    };
    let taken = match snapshot::take(source, &Scope::default()).await {
        Ok(taken) => taken,
        Err(failure) => {
            without(&failure.message);
            return Ok(());
        }
    };
    let step = progress::step("Asking the planner of a statistics twin …");
    let options = Options { binaries, workers: 1, time_max: None };
    let mut noted = profile.clone();
    let task = tokio::task::spawn_blocking(move || monitor::plan_notes(&mut noted, taken, &options).map(|caveats| (noted, caveats)));
    let answer = task.await.map_err(|error| Failure::failed(format!("ask for plans: {error}")))?;
    match answer {
        Ok((noted, caveats)) => {
            *profile = noted;
            profile.caveats.extend(caveats);
            step.done("Plans were made by a statistics twin; the server itself was not asked.");
        }
        Err(error) => {
            drop(step);
            without(&error.to_string());
        }
    }
    Ok(())
}

/// Reads a saved profile, or that of a saved run, from its folder or its file.
///
/// # Errors
/// Exit 2 for a file that is neither, with what was expected.
pub(super) fn read(path: &Path) -> Result<Profile, Failure> {
    let in_folder = || ["profile.json", "run.json"].map(|name| path.join(name)).into_iter().find(|file| file.exists());
    let file = if path.is_dir() { in_folder().unwrap_or_else(|| path.join("profile.json")) } else { path.to_owned() };
    let wrong = |reason: String| Failure::usage(format!("read profile {}: {reason}", file.display()));
    let text = std::fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    let expected = "a file saved by `pgload profile` or by `pgload replay --profile` is expected";
    let document: Value = serde_json::from_str(&text).map_err(|error| wrong(format!("{error}; {expected}")))?;
    if document.get("kind").and_then(Value::as_str) == Some("replay") {
        return match of_run(document.get("profile")) {
            Some(profile) => profile.map_err(wrong),
            None => Err(wrong("the run was not profiled: replay with --profile".to_owned())),
        };
    }
    check(&document, expected).map_err(wrong)?;
    // Read from the text again: only then do errors have a line and a column.
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// Returns a run's profile, or what is wrong with it; `None` when it has none.
fn of_run(profile: Option<&Value>) -> Option<Result<Profile, String>> {
    let document = profile?;
    let read = || serde_json::from_value(document.clone()).map_err(|error| format!("its profile: {error}"));
    Some(check(document, "a profile is expected").and_then(|()| read()))
}

fn check(document: &Value, expected: &str) -> Result<(), String> {
    match document.get("schema_version").and_then(Value::as_u64) {
        Some(_) if document.get("kind").and_then(Value::as_str) != Some("profile") => Err(format!("it is of another kind; {expected}")),
        Some(version) if version > u64::from(PROFILE_SCHEMA_VERSION) => {
            Err(format!("schema_version {version} is newer than this pgload reads ({PROFILE_SCHEMA_VERSION})"))
        }
        Some(_) => Ok(()),
        None => Err(format!("it has no schema_version; {expected}")),
    }
}

/// Says in a run's profile what changed since another: the one given, else that of the run before the change, if it has one.
pub(super) fn since(run: &mut Run, given: Option<&Profile>, before: Option<&Run>) {
    let Some(Ok(mut profile)) = of_run(run.profile.as_ref()) else { return };
    let of_before = || before.and_then(|before| of_run(before.profile.as_ref())?.ok());
    let Some(earlier) = given.cloned().or_else(of_before) else { return };
    set_against(&mut profile, &earlier);
    run.profile = serde_json::to_value(&profile).ok();
}

fn set_against(profile: &mut Profile, earlier: &Profile) {
    profile.changes = Some(compare(earlier, profile));
    profile.caveats.extend(unlike(earlier, profile));
}

/// Says what makes two profiles hard to compare.
fn unlike(earlier: &Profile, profile: &Profile) -> Vec<String> {
    let about = |profile: &Profile, name: &str| profile.about.get(name).map(ToString::to_string).unwrap_or_default();
    let differs = |(name, what): &(&str, &str)| {
        let (then, now) = (about(earlier, name), about(profile, name));
        (then != now).then(|| format!("The earlier profile is of another {what}: {then}, now {now}."))
    };
    let mut caveats: Vec<String> = [("database", "database"), ("server_version", "server version")].iter().filter_map(differs).collect();
    if earlier.statements_unavailable.is_some() {
        caveats.push("The earlier profile has no statements: all are new.".to_owned());
    }
    caveats
}

fn print(profile: &Profile, args: &ProfileArgs) -> Result<(), Failure> {
    let (top, sort) = (usize::from(args.top), Sort::from(args.sort));
    output::result(&match args.format {
        ProfileFormat::Table => terminal::profile(profile, top, sort, output::layout()),
        ProfileFormat::Json => json_text::to_string_pretty(profile),
        ProfileFormat::Markdown => markdown::profile(profile, top, sort),
    })
}

impl From<SortChoice> for Sort {
    fn from(choice: SortChoice) -> Self {
        match choice {
            SortChoice::Total => Self::Total,
            SortChoice::Mean => Self::Mean,
            SortChoice::Calls => Self::Calls,
            SortChoice::Io => Self::Io,
            SortChoice::Temp => Self::Temp,
            SortChoice::Wal => Self::Wal,
            SortChoice::Waits => Self::Waits,
        }
    }
}

impl From<MonitorError> for Failure {
    fn from(error: MonitorError) -> Self {
        Self::new(if error.is_connection() { Exit::Connection } else { Exit::Failed }, error.to_string())
    }
}
