//! jsonlog (15 and later): one JSON object a line.

use serde::Deserialize;

use super::csv::Wrong;
use super::line::{Line, Severity, text};
use super::physical::Lines;
use super::time::time;

/// The fields pgload reads; what else a server writes is skipped.
#[derive(Deserialize)]
struct Raw {
    timestamp: String,
    user: Option<String>,
    dbname: Option<String>,
    pid: Option<u32>,
    session_id: Option<String>,
    line_num: Option<u64>,
    ps: Option<String>,
    session_start: Option<String>,
    vxid: Option<String>,
    error_severity: Option<String>,
    state_code: Option<String>,
    #[serde(default)]
    message: String,
    detail: Option<String>,
    context: Option<String>,
    statement: Option<String>,
    application_name: Option<String>,
    backend_type: Option<String>,
    query_id: Option<i64>,
}

/// Returns the next line; `None` at the end of the file.
pub(super) fn next(lines: &mut Lines) -> Option<Result<Line, Wrong>> {
    loop {
        let line = match lines.next() {
            Ok(line) => line?,
            Err(error) => return Some(Err((0, format!("cannot be read further: {error}")))),
        };
        if line.cut {
            return Some(Err((line.number, "longer than a line may be".to_owned())));
        }
        if !line.bytes.iter().all(u8::is_ascii_whitespace) {
            return Some(read(&line.bytes, line.number).map_err(|reason| (line.number, reason)));
        }
    }
}

fn read(bytes: &[u8], number: u64) -> Result<Line, String> {
    let (text, replaced) = text(bytes);
    let raw: Raw = serde_json::from_str(&text)
        .map_err(|error| format!("column {}: expected a JSON object of jsonlog: {}", error.column(), plain(&error)))?;
    let Some((at_us, _)) = time(raw.timestamp.as_bytes()) else {
        return Err(format!("timestamp {:?}: expected a time such as 2026-11-23 09:45:00.123 UTC", raw.timestamp));
    };
    Ok(Line {
        number,
        at_us,
        user: raw.user.unwrap_or_default(),
        database: raw.dbname.unwrap_or_default(),
        application: raw.application_name.unwrap_or_default(),
        process: raw.pid,
        session: raw.session_id,
        session_line: raw.line_num,
        session_start_us: raw.session_start.and_then(|start| time(start.as_bytes())).map(|(us, _)| us),
        tag: raw.ps,
        vxid: raw.vxid,
        severity: Severity::of(raw.error_severity.as_deref().unwrap_or("LOG")),
        sqlstate: raw.state_code,
        message: raw.message,
        detail: raw.detail,
        context: raw.context,
        query: raw.statement,
        query_id: raw.query_id.filter(|id| *id != 0),
        backend: raw.backend_type,
        replaced,
    })
}

/// The parser's words without its place, which stands before them.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Vec<Result<Line, Wrong>> {
        let mut lines = Lines::new(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
        std::iter::from_fn(|| next(&mut lines)).collect()
    }

    #[test]
    fn a_line_of_a_real_server_is_read() {
        let found = read_all(
            r#"{"timestamp":"2026-11-23 16:03:31.853 UTC","user":"me","dbname":"shop","pid":7,"remote_host":"[local]","session_id":"a.7","line_num":9,"ps":"SELECT","session_start":"2026-11-23 16:03:31 UTC","vxid":"3/4","txid":0,"error_severity":"ERROR","state_code":"42703","message":"column \"nope\" does not exist","detail":"d","statement":"select nope;\n-- é","cursor_position":8,"application_name":"psql","backend_type":"client backend","query_id":-5}"#,
        );
        let [Ok(line)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((line.severity, line.sqlstate.as_deref()), (Severity::Error, Some("42703")));
        assert_eq!((line.query.as_deref(), line.query_id), (Some("select nope;\n-- é"), Some(-5)));
        assert_eq!((line.session.as_deref(), line.vxid.as_deref(), line.detail.as_deref()), (Some("a.7"), Some("3/4"), Some("d")));
        assert_eq!(line.at_us - line.session_start_us.unwrap(), 853_000);
    }

    #[test]
    fn lines_that_are_no_json_cost_themselves_alone() {
        let good = r#"{"timestamp":"2026-11-23 16:03:31.853 UTC","error_severity":"LOG","message":"m"}"#;
        let found = read_all(&format!("{{\"timestamp\":\n{good}\n\n{{\"timestamp\":\"x\"}}\n{good}"));
        let reasons: Vec<String> =
            found.iter().filter_map(|line| line.as_ref().err()).map(|(at, reason)| format!("{at}: {reason}")).collect();
        assert_eq!(found.len(), 4);
        assert!(reasons[0].starts_with("1: column 13: expected a JSON object"), "{reasons:?}");
        assert_eq!(reasons[1], "4: timestamp \"x\": expected a time such as 2026-11-23 09:45:00.123 UTC");
    }
}
