//! `pgload capture`: a server's log as a workload that can be replayed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::args::{CaptureArgs, LogFormat, PlainFormat};
use super::failure::{Exit, Failure};
use super::{output, progress};
use crate::replay::captured::{Captured, Recording, Source};
use crate::replay::log::{BadLine, Counts, Format, Line, Merge, Opened, Options, Reader, SETTINGS, Sessions, decompressed};
use crate::units::{grouped, human_ms};

/// Statements shown.
const STATEMENTS_SHOWN: usize = 15;

/// Bad lines shown.
const BAD_SHOWN: usize = 5;

/// Lines looked at for a file's first time.
const LOOK: usize = 10_000;

pub(super) fn run(args: CaptureArgs) -> Result<Exit, Failure> {
    let output = Output::of(&args.output)?;
    let wanted = Wanted {
        options: Options { format: args.log_format.map(format), prefix: args.prefix },
        databases: args.database,
        name: args.name.unwrap_or_else(|| output.stem.clone()),
        description: args.description,
        calls_name: output.calls_name(),
    };
    let mut calls = tempfile::NamedTempFile::new_in(&output.folder).map_err(|error| unwritten(&output.folder, &error))?;
    let (captured, opened) = record(&args.logs, wanted, &output.folder, calls.as_file_mut())?;
    let yaml = captured.to_yaml().map_err(|error| Failure::failed(format!("write {}: {error}", args.output.display())))?;
    keep(calls, &output.folder.join(output.calls_name()))?;
    output::write(&args.output, yaml)?;
    for notice in notices(&captured, &opened) {
        output::notice(&notice);
    }
    match args.format {
        PlainFormat::Json => output::result(&format!("{}\n", json(&captured)?))?,
        PlainFormat::Table => output::result(&table(&captured, &args.output))?,
    }
    Ok(Exit::Done)
}

/// What is taken from logs, and what it is called.
pub(super) struct Wanted {
    pub options: Options,
    /// None is all of them.
    pub databases: Vec<String>,
    pub name: String,
    pub description: String,
    /// The name of the file of calls.
    pub calls_name: String,
}

/// Captures logs: writes the calls, and returns the workload file's content. Temporary files are made in `folder`.
///
/// # Errors
/// Exit 2 for what is no log and for logs without statements, exit 1 when a file cannot be written.
pub(super) fn record(logs: &[PathBuf], wanted: Wanted, folder: &Path, calls: &mut File) -> Result<(Captured, Opened), Failure> {
    let Wanted { options, databases, name, description, calls_name } = wanted;
    let files: Vec<Probed> = logs.iter().map(|path| probe(path, &options)).collect::<Result<_, _>>()?;
    let opened = one_format(&files)?;
    let first: Vec<i64> = files.iter().map(|file| file.first_us).collect();
    let trouble: Rc<RefCell<Option<Failure>>> = Rc::default();
    let lazy = files.into_iter().map(|file| Lazy { path: file.path, options: options.clone(), reader: None, trouble: Rc::clone(&trouble) });
    let step = progress::step(&format!("reading {}", logs.first().map_or_else(String::new, |path| path.display().to_string())));

    let failed = |error: std::io::Error| unwritten(folder, &error);
    let scratch = folder.to_owned();
    let mut recording = Recording::new(Box::new(move || tempfile::tempfile_in(&scratch)));
    let mut sessions = Sessions::new(Merge::new(first.into_iter().zip(lazy))).of_databases(databases);
    for event in sessions.by_ref() {
        recording.add(event).map_err(failed)?;
    }
    if let Some(failure) = trouble.borrow_mut().take() {
        return Err(failure);
    }
    let bad: Vec<BadLine> = sessions.bad_lines().to_vec();
    let mut writer = BufWriter::with_capacity(1 << 18, calls);
    let summary = recording.finish(sessions.counts().clone(), sessions.longest_parameter(), &mut writer).map_err(failed)?;
    writer.flush().map_err(failed)?;
    drop(step);

    tell_bad_lines(&bad, summary.counts.bad_lines);
    if summary.statements.is_empty() {
        return Err(nothing(logs, &summary.counts));
    }
    let source = Source {
        files: logs.iter().map(|path| path.display().to_string()).collect(),
        format: opened.format.name().to_owned(),
        prefix: opened.prefix.as_ref().map(|prefix| prefix.text().to_owned()),
        ..Source::default()
    };
    Ok((summary.into_captured(name, description, calls_name, source), opened))
}

fn unwritten(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("write the capture to {}: {error}", folder.display()))
}

fn format(format: LogFormat) -> Format {
    match format {
        LogFormat::Csvlog => Format::Csv,
        LogFormat::Jsonlog => Format::Json,
        LogFormat::Stderr => Format::Stderr,
    }
}

/// Where the two files go.
struct Output {
    folder: PathBuf,
    stem: String,
}

impl Output {
    fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let (Some("yaml" | "yml"), Some(stem)) = (extension, stem) else {
            return Err(Failure::usage(format!("write {}: expected a workload file's name, such as shop.yaml", path.display())));
        };
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        std::fs::create_dir_all(&folder).map_err(|error| Failure::failed(format!("make the folder {}: {error}", folder.display())))?;
        Ok(Self { folder, stem: stem.to_owned() })
    }

    fn calls_name(&self) -> String {
        format!("{}.calls.jsonl", self.stem)
    }
}

/// A log file after a look at its beginning.
struct Probed {
    path: PathBuf,
    opened: Opened,
    /// The time of its first line; files without one come first, to be counted.
    first_us: i64,
}

fn open(path: &Path, options: &Options) -> Result<Reader, Failure> {
    let wrong = |error: std::io::Error| Failure::usage(format!("read log {}: {error}", path.display()));
    let file = File::open(path).map_err(wrong)?;
    let input = decompressed(file).map_err(wrong)?;
    Reader::open(input, &path.display().to_string(), options).map_err(|bad| Failure::usage(format!("read log {bad}")))
}

fn probe(path: &Path, options: &Options) -> Result<Probed, Failure> {
    let mut reader = open(path, options)?;
    let first_us = reader.by_ref().take(LOOK).find_map(Result::ok).map_or(i64::MIN, |line| line.at_us);
    Ok(Probed { path: path.to_owned(), opened: reader.opened(), first_us })
}

/// A server writes each line to all its destinations: files of two formats would be captured twice.
fn one_format(files: &[Probed]) -> Result<Opened, Failure> {
    let Some(first) = files.first() else { return Err(Failure::usage("read the log: expected a file")) };
    if let Some(other) = files.iter().find(|file| file.opened.format != first.opened.format) {
        let (one, two) = (first.opened.format.name(), other.opened.format.name());
        return Err(Failure::usage(format!(
            "read the logs together: {} is {one} and {} is {two}, which hold the same lines twice. Give the files of one format",
            first.path.display(),
            other.path.display()
        )));
    }
    Ok(files.last().unwrap_or(first).opened.clone())
}

/// A file that is opened when its time has come, so that any number of rotated files can be given.
struct Lazy {
    path: PathBuf,
    options: Options,
    reader: Option<Reader>,
    trouble: Rc<RefCell<Option<Failure>>>,
}

impl Iterator for Lazy {
    type Item = Result<Line, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_none() {
            match open(&self.path, &self.options) {
                Ok(reader) => self.reader = Some(reader),
                Err(failure) => {
                    *self.trouble.borrow_mut() = Some(failure);
                    return None;
                }
            }
        }
        self.reader.as_mut()?.next()
    }
}

/// Gives the finished file its name.
fn keep(file: tempfile::NamedTempFile, path: &Path) -> Result<(), Failure> {
    let kept = || -> std::io::Result<()> {
        file.as_file().sync_all()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    kept().map_err(|error| Failure::failed(format!("write {}: {error}", path.display())))
}

fn tell_bad_lines(bad: &[BadLine], count: u64) {
    for line in bad.iter().take(BAD_SHOWN) {
        output::notice(&format!("left out {line}"));
    }
    let more = count.saturating_sub(BAD_SHOWN as u64);
    if more > 0 {
        output::notice(&format!("left out {} more lines that cannot be read", grouped(more)));
    }
}

/// Says why a log holds nothing that can be replayed, and what to set.
fn nothing(logs: &[PathBuf], counts: &Counts) -> Failure {
    let files = logs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let mut text = format!("find a statement to replay in {files}: {} lines read", grouped(counts.lines));
    if counts.bad_lines > 0 {
        let _ = write!(text, ", {} that cannot be read", grouped(counts.bad_lines));
    }
    if counts.foreign_lines > 0 {
        let _ = write!(text, "\n{} lines are in another language: set lc_messages = 'C'", grouped(counts.foreign_lines));
    }
    for (reason, count) in &counts.skipped {
        let _ = write!(text, "\n{} statements left out: {}", grouped(*count), reason.says());
    }
    Failure::usage(format!("{text}\n\n{SETTINGS}"))
}

/// What the user should know of the capture.
pub(super) fn notices(captured: &Captured, opened: &Opened) -> Vec<String> {
    let counts = &captured.counts;
    let mut notices = Vec::new();
    if let Some(prefix) = opened.prefix.as_ref() {
        if opened.guessed {
            notices.push(format!("log_line_prefix read as {:?}; if that is wrong: --prefix", prefix.text()));
        }
        if prefix.is_coarse() {
            notices
                .push("times are whole seconds (%t): calls of a second begin together; %m in log_line_prefix has milliseconds".to_owned());
        }
        if !prefix.text().contains("%v") {
            notices.push("log_line_prefix has no %v: transactions are told by BEGIN and COMMIT alone".to_owned());
        }
    }
    if counts.failed > 0 && opened.prefix.as_ref().is_some_and(|prefix| !prefix.text().contains("%e")) {
        notices.push("log_line_prefix has no %e: which SQLSTATE the failed statements had is not known".to_owned());
    }
    let databases: BTreeMap<&str, u64> = captured.source.clients.iter().fold(BTreeMap::new(), |mut sums, client| {
        *sums.entry(client.database.as_str()).or_default() += client.sessions;
        sums
    });
    if databases.len() > 1 {
        let list: Vec<String> = databases.iter().map(|(name, sessions)| format!("{name:?} ({} sessions)", grouped(*sessions))).collect();
        notices.push(format!("sessions of {} databases: {}. A replay goes to one: --database NAME", databases.len(), list.join(", ")));
    }
    if counts.announced * 2 > counts.statements {
        notices.push(
            "log_statement is on: it doubles the log and takes the text off the durations' lines. log_min_duration_statement = 0 alone says all of it"
                .to_owned(),
        );
    }
    let untimed = counts.statements.saturating_sub(counts.timed).saturating_sub(counts.failed);
    if untimed > 0 {
        notices.push(format!("{} statements have no duration in the log: set log_min_duration_statement = 0", grouped(untimed)));
    }
    for (count, what) in [
        (counts.foreign_lines, "lines are in another language than English and were not read: set lc_messages = 'C'"),
        (counts.replaced_lines, "lines hold bytes that are no UTF-8: they were replaced by U+FFFD"),
        (counts.errors_without_text, "errors name no statement: set log_min_error_statement = error"),
        (counts.idle_sessions, "sessions were taken for ended after an hour without a line: set log_disconnections = on"),
    ] {
        if count > 0 {
            notices.push(format!("{} {what}", grouped(count)));
        }
    }
    notices
}

fn json(captured: &Captured) -> Result<String, Failure> {
    let mut document = serde_json::json!({ "schema_version": 1 });
    let body = serde_json::to_value(captured).map_err(|error| Failure::failed(format!("print the capture: {error}")))?;
    if let (Some(document), serde_json::Value::Object(body)) = (document.as_object_mut(), body) {
        document.extend(body);
    }
    serde_json::to_string_pretty(&document).map_err(|error| Failure::failed(format!("print the capture: {error}")))
}

fn table(captured: &Captured, path: &Path) -> String {
    let counts = &captured.counts;
    let mut text = String::new();
    let length = human_ms(captured.source.length_us as f64 / 1000.0);
    let _ = writeln!(
        text,
        "{} statements in {} transactions of {} sessions, over {length} from {}",
        grouped(counts.statements),
        grouped(counts.transactions),
        grouped(counts.sessions),
        captured.source.began_at
    );
    if counts.failed > 0 {
        let _ = writeln!(text, "{} of them failed; a replay expects them to fail again", grouped(counts.failed));
    }
    let mut skipped: Vec<_> = counts.skipped.iter().collect();
    skipped.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (reason, count) in skipped {
        let _ = writeln!(text, "{} left out: {}", grouped(*count), reason.says());
    }
    let _ = writeln!(text, "\n{:>12}  {:>10}  statement", "calls", "mean");
    for statement in captured.statements.iter().take(STATEMENTS_SHOWN) {
        let mean = statement.mean_us.map_or_else(|| "—".to_owned(), |us| human_ms(us as f64 / 1000.0));
        let sql: String = statement.sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect();
        let _ = writeln!(text, "{:>12}  {mean:>10}  {sql}", grouped(statement.weight));
    }
    let more = captured.statements.len().saturating_sub(STATEMENTS_SHOWN);
    if more > 0 {
        let _ = writeln!(text, "{:>26}{more} more", "");
    }
    let _ = writeln!(text, "\nWrote {} and {}.", path.display(), path.with_file_name(&captured.calls).display());
    text
}
