//! What a logged message says: a statement that begins, one that ended, a session that comes or goes.

/// A message's meaning; texts are parts of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message<'m> {
    /// `statement: SQL`: a simple query, before it runs.
    Statement(&'m str),
    /// `execute NAME: SQL`: a portal, before it runs.
    Execute(Step<'m>),
    /// `duration: X ms`: of what the line before named.
    Duration(u64),
    /// `duration: X ms  statement: SQL`: a simple query, after it ran.
    Ran(u64, &'m str),
    /// `duration: X ms  parse|bind|execute NAME: SQL`: a message of the extended protocol, after it was handled.
    Handled(u64, Phase, Step<'m>),
    /// `connection received: …`.
    Received,
    /// `connection authorized: user=… database=… application_name=…`.
    Authorized(&'m str),
    /// `disconnection: …`.
    Disconnected,
    /// Anything else.
    Other,
}

/// A message of the extended protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Parse,
    Bind,
    Execute,
}

/// What a message of the extended protocol is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step<'m> {
    /// The statement's name, and after a slash the portal's; `<unnamed>`.
    pub(super) name: &'m str,
    pub(super) text: &'m str,
    /// Whether it goes on with a portal that has run already.
    pub(super) fetch: bool,
}

/// Reads a message of severity `LOG`.
pub(super) fn message(text: &str) -> Message<'_> {
    if let Some(rest) = text.strip_prefix("duration: ") {
        return duration(rest).unwrap_or(Message::Other);
    }
    if let Some(sql) = text.strip_prefix("statement: ") {
        return Message::Statement(sql);
    }
    if let Some(rest) = text.strip_prefix("execute ") {
        return step(rest).map_or(Message::Other, Message::Execute);
    }
    if text.starts_with("connection received: ") {
        Message::Received
    } else if let Some(rest) = text.strip_prefix("connection authorized: ") {
        Message::Authorized(rest)
    } else if text.starts_with("disconnection: ") {
        Message::Disconnected
    } else {
        Message::Other
    }
}

/// Reads `0.043 ms  execute NAME: SQL` and its kin.
fn duration(text: &str) -> Option<Message<'_>> {
    let (number, rest) = text.split_once(" ms")?;
    let us = microseconds(number)?;
    if rest.is_empty() {
        return Some(Message::Duration(us));
    }
    let rest = rest.strip_prefix("  ")?;
    if let Some(sql) = rest.strip_prefix("statement: ") {
        return Some(Message::Ran(us, sql));
    }
    let (phase, rest) = rest.split_once(' ')?;
    let phase = match phase {
        "parse" => Phase::Parse,
        "bind" => Phase::Bind,
        "execute" => Phase::Execute,
        // `plan:` of auto_explain among others.
        _ => return None,
    };
    Some(Message::Handled(us, phase, step(rest)?))
}

/// Reads `NAME: SQL`; of an execution also `fetch from NAME: SQL`.
fn step(text: &str) -> Option<Step<'_>> {
    let (text, fetch) = text.strip_prefix("fetch from ").map_or((text, false), |rest| (rest, true));
    let (name, text) = text.split_once(": ").or_else(|| text.strip_suffix(':').map(|name| (name, "")))?;
    Some(Step { name, text, fetch })
}

/// Reads milliseconds with a fraction as microseconds, to the digit.
fn microseconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !(fraction.is_empty() || digits(fraction)) {
        return None;
    }
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction.parse().ok()?)
}

/// Returns the value of `key=` in `user=me database=shop application_name=psql`.
pub(super) fn value_of<'m>(text: &'m str, key: &str) -> Option<&'m str> {
    const KEYS: &[&str] = &["user=", "database=", "application_name=", "SSL enabled", "GSS "];
    let start = if text.starts_with(key) { key.len() } else { text.find(&format!(" {key}"))? + 1 + key.len() };
    let rest = &text[start..];
    let end = KEYS.iter().filter_map(|next| rest.find(&format!(" {next}"))).min();
    Some(&rest[..end.unwrap_or(rest.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_told_apart() {
        let step = |name, text| Step { name, text, fetch: false };
        for (text, meaning) in [
            ("statement: select 1;\nselect 2", Message::Statement("select 1;\nselect 2")),
            ("statement: ", Message::Statement("")),
            ("execute <unnamed>: select $1", Message::Execute(step("<unnamed>", "select $1"))),
            ("execute S_1/C_2: select ': '", Message::Execute(step("S_1/C_2", "select ': '"))),
            ("execute fetch from S_1/C_2: select 1", Message::Execute(Step { fetch: true, ..step("S_1/C_2", "select 1") })),
            ("duration: 0.043 ms", Message::Duration(43)),
            ("duration: 0.043 ms  statement: select 1", Message::Ran(43, "select 1")),
            ("duration: 12345.6 ms  parse S_1: select 1", Message::Handled(12_345_600, Phase::Parse, step("S_1", "select 1"))),
            ("duration: 1 ms  bind <unnamed>/p: x", Message::Handled(1000, Phase::Bind, step("<unnamed>/p", "x"))),
            ("duration: 1.002 ms  execute S_1: ", Message::Handled(1002, Phase::Execute, step("S_1", ""))),
            (
                "duration: 1.002 ms  execute fetch from S_1: x",
                Message::Handled(1002, Phase::Execute, Step { fetch: true, ..step("S_1", "x") }),
            ),
            ("connection received: host=[local]", Message::Received),
            ("connection authorized: user=me database=shop", Message::Authorized("user=me database=shop")),
            ("disconnection: session time: 0:00:00.033 user=me", Message::Disconnected),
            ("duration: 3.1 ms  plan:\nQuery Text: select 1", Message::Other),
            ("duration: x ms", Message::Other),
            ("duration: 1.5", Message::Other),
            ("duration: 99999999999999999999 ms", Message::Other),
            ("execute", Message::Other),
            ("automatic vacuum of table", Message::Other),
        ] {
            assert_eq!(message(text), meaning, "{text}");
        }
    }

    #[test]
    fn who_connects_is_read_from_the_message() {
        let text = "user=a user database=shop=1 application_name=my app SSL enabled (protocol=TLSv1.3)";
        assert_eq!(value_of(text, "user="), Some("a user"));
        assert_eq!(value_of(text, "database="), Some("shop=1"));
        assert_eq!(value_of(text, "application_name="), Some("my app"));
        assert_eq!(value_of("user=me", "database="), None);
    }
}
