//! Lines written as a server writes them, in each format, for tests.

use super::line::{Line, Severity};
use super::{Options, Prefix, Reader};

/// The prefix of the stderr texts: it says all that csvlog says of what a replay needs.
pub(super) const PREFIX: &str = "%m [%p] %c %l %s %v %e %i|%q%u@%d %a ";

/// 2026-11-23 00:00:00 UTC.
pub(super) const DAY_US: i64 = 1_795_392_000_000_000;

pub(super) fn time(us: i64) -> String {
    let second = jiff::Timestamp::from_microsecond(us).unwrap().strftime("%Y-%m-%d %H:%M:%S").to_string();
    format!("{second}.{:03} UTC", us.rem_euclid(1_000_000) / 1000)
}

fn second(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).unwrap().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Log => "LOG",
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
        Severity::Panic => "PANIC",
        Severity::Lesser => "WARNING",
        Severity::Foreign => "FEHLER",
    }
}

pub(super) fn csv(lines: &[Line]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let optional = |text: &Option<String>| text.as_deref().map(quoted).unwrap_or_default();
    let mut text = String::new();
    for line in lines {
        let columns = [
            time(line.at_us),
            quoted(&line.user),
            quoted(&line.database),
            line.process.unwrap().to_string(),
            quoted("[local]"),
            line.session.clone().unwrap(),
            line.session_line.unwrap().to_string(),
            optional(&line.tag),
            second(line.session_start_us.unwrap()),
            line.vxid.clone().unwrap_or_default(),
            "0".to_owned(),
            word(line.severity).to_owned(),
            line.sqlstate.clone().unwrap_or_default(),
            quoted(&line.message),
            optional(&line.detail),
            String::new(),
            String::new(),
            String::new(),
            optional(&line.context),
            optional(&line.query),
            String::new(),
            String::new(),
            quoted(&line.application),
            quoted("client backend"),
            String::new(),
            line.query_id.unwrap_or(0).to_string(),
        ];
        text.push_str(&columns.join(","));
        text.push('\n');
    }
    text
}

pub(super) fn json(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let object = serde_json::json!({
            "timestamp": time(line.at_us), "user": line.user, "dbname": line.database, "pid": line.process, "session_id": line.session,
            "line_num": line.session_line, "ps": line.tag, "session_start": second(line.session_start_us.unwrap()), "vxid": line.vxid,
            "txid": 0, "error_severity": word(line.severity), "state_code": line.sqlstate, "message": line.message, "detail": line.detail,
            "context": line.context, "statement": line.query, "application_name": line.application, "backend_type": "client backend",
            "query_id": line.query_id.unwrap_or(0),
        });
        text.push_str(&object.to_string());
        text.push('\n');
    }
    text
}

pub(super) fn stderr(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let prefix = format!(
            "{} [{}] {} {} {} {} {} {}|{}@{} {} ",
            time(line.at_us),
            line.process.unwrap(),
            line.session.as_deref().unwrap(),
            line.session_line.unwrap(),
            second(line.session_start_us.unwrap()),
            line.vxid.as_deref().unwrap_or_default(),
            line.sqlstate.as_deref().unwrap_or_default(),
            line.tag.as_deref().unwrap_or_default(),
            line.user,
            line.database,
            line.application
        );
        let mut part = |name: &str, said: &str| text.push_str(&format!("{prefix}{name}:  {}\n", said.replace('\n', "\n\t")));
        part(word(line.severity), &line.message);
        for (name, said) in [("DETAIL", &line.detail), ("CONTEXT", &line.context), ("STATEMENT", &line.query)] {
            if let Some(said) = said {
                part(name, said);
            }
        }
    }
    text
}

/// Reads a text as a file.
pub(super) fn reader(text: &str) -> Reader {
    let options = Options { format: None, prefix: Some(Prefix::compile(PREFIX).unwrap()) };
    Reader::open(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())), "sample", &options).unwrap()
}

/// A session's lines, one a millisecond.
pub(super) struct Session {
    pub(super) lines: Vec<Line>,
    pub(super) process: u32,
}

impl Session {
    pub(super) fn new(process: u32) -> Self {
        Self { lines: Vec::new(), process }
    }

    /// Adds a line of severity LOG; `vxid` and `tag` as the server would say them.
    pub(super) fn log(&mut self, vxid: &str, tag: &str, message: &str, detail: Option<&str>) -> &mut Self {
        let number = self.lines.len() as u64 + 1;
        self.lines.push(Line {
            at_us: DAY_US + number as i64 * 1000,
            user: "me".to_owned(),
            database: "shop".to_owned(),
            application: "app".to_owned(),
            process: Some(self.process),
            session: Some(format!("6b0463d1.{:x}", self.process)),
            session_line: Some(number),
            session_start_us: Some(DAY_US),
            tag: Some(tag.to_owned()),
            vxid: Some(vxid.to_owned()),
            sqlstate: Some("00000".to_owned()),
            message: message.to_owned(),
            detail: detail.map(str::to_owned),
            backend: Some("client backend".to_owned()),
            ..Line::default()
        });
        self
    }

    /// Adds an error with the statement it came from.
    pub(super) fn error(&mut self, vxid: &str, sqlstate: &str, query: Option<&str>, context: Option<&str>) -> &mut Self {
        self.log(vxid, "SELECT", "something failed", None);
        let line = self.lines.last_mut().unwrap();
        line.severity = Severity::Error;
        line.sqlstate = Some(sqlstate.to_owned());
        line.query = query.map(str::to_owned);
        line.context = context.map(str::to_owned);
        self
    }
}
