//! libpq's connection strings, URLs and files, parsed into keywords and values. Pure.

use std::collections::BTreeMap;

/// Keywords and values of a connection, as libpq names them.
pub type Keywords = BTreeMap<String, String>;

/// A connection string that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the connection string: {0}")]
pub struct ConninfoError(pub String);

/// Keywords libpq 18 knows; those pgload has no use for are accepted and ignored.
#[rustfmt::skip]
const KNOWN: &[&str] = &[
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname",
    "fallback_application_name", "gssdelegation", "gssencmode", "gsslib", "host", "hostaddr", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "load_balance_hosts",
    "max_protocol_version", "min_protocol_version", "options", "passfile", "password", "port", "replication",
    "require_auth", "requirepeer", "scram_client_key", "scram_server_key", "service", "servicefile",
    "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert", "sslcertmode", "sslcompression", "sslcrl",
    "sslcrldir", "sslkey", "sslkeylogfile", "sslmode", "sslnegotiation", "sslpassword", "sslrootcert", "sslsni",
    "target_session_attrs", "tcp_user_timeout", "user",
];

/// URL parameters that object-relational mappers put into `DATABASE_URL` and a server would not understand.
const OF_MAPPERS: &[&str] =
    &["schema", "connection_limit", "pool_timeout", "pgbouncer", "sslaccept", "statement_cache_size", "socket_timeout"];

/// Parses a URL or a key=value string; a bare word is a database name, as for psql.
///
/// # Errors
/// With what was expected and where; the text itself is never quoted, since it may hold a password.
pub fn parse(text: &str) -> Result<Keywords, ConninfoError> {
    let text = text.trim();
    if let Some((scheme, rest)) = text.split_once("://") {
        // Drivers write postgresql+asyncpg:// and the like.
        return match scheme.split('+').next() {
            Some("postgres" | "postgresql") => url(rest),
            _ => Err(ConninfoError("a URL begins with postgresql:// or postgres://".to_owned())),
        };
    }
    if text.contains('=') {
        return pairs(text);
    }
    Ok(Keywords::from([("dbname".to_owned(), text.to_owned())]))
}

/// Parses `user:password@host:port,host:port/dbname?keyword=value&…`.
fn url(rest: &str) -> Result<Keywords, ConninfoError> {
    let mut keywords = Keywords::new();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // The last @ ends the user information: an unescaped one inside a password is common, and unambiguous this way.
    let authority_end = rest.rfind('@').map_or(0, |at| at + 1);
    let slash = rest[authority_end..].find('/').map_or(rest.len(), |slash| authority_end + slash);
    let (authority, path) = (&rest[..slash], &rest[slash..]);
    let (user_info, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user_info.split_once(':').map_or((user_info, None), |(user, password)| (user, Some(password)));
    put(&mut keywords, "user", &decode(user)?);
    put(&mut keywords, "password", &decode(password.unwrap_or(""))?);
    put(&mut keywords, "dbname", &decode(path.strip_prefix('/').unwrap_or(""))?);
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',').filter(|_| !hosts.is_empty()) {
        let (name, port) = split_port(host)?;
        names.push(decode(name)?);
        ports.push(port.to_owned());
    }
    put(&mut keywords, "host", &names.join(","));
    if ports.iter().any(|port| !port.is_empty()) {
        put(&mut keywords, "port", &ports.join(","));
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| ConninfoError("expected name=value after the ? of the URL".to_owned()))?;
        let name = decode(name)?;
        match name.as_str() {
            "ssl" if value == "true" => put(&mut keywords, "sslmode", "require"),
            _ if OF_MAPPERS.contains(&name.as_str()) => {}
            _ => put(&mut keywords, known(&name)?, &decode(value)?),
        }
    }
    Ok(keywords)
}

/// Splits `host:port`, where the host may be an IPv6 address in brackets.
fn split_port(host: &str) -> Result<(&str, &str), ConninfoError> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, tail) = rest.split_once(']').ok_or_else(|| ConninfoError("expected ] after the IPv6 address".to_owned()))?;
        return Ok((address, tail.strip_prefix(':').unwrap_or("")));
    }
    Ok(host.split_once(':').unwrap_or((host, "")))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, ConninfoError> {
    let wrong = || ConninfoError("a % in the URL must be followed by two hexadecimal digits (write %25 for the sign itself)".to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = [rest.next().ok_or_else(wrong)?, rest.next().ok_or_else(wrong)?];
        let digits = std::str::from_utf8(&pair).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| ConninfoError("the URL decodes to bytes that are not UTF-8".to_owned()))
}

/// Parses `keyword = 'va\'lue' …`.
fn pairs(text: &str) -> Result<Keywords, ConninfoError> {
    let mut keywords = Keywords::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| ConninfoError("expected = after a keyword".to_owned()))?;
        let (value, tail) = value(after.trim_start())?;
        put(&mut keywords, known(name.trim())?, &value);
        rest = tail.trim_start();
    }
    Ok(keywords)
}

/// Reads one value, quoted or not, and returns what follows it.
fn value(text: &str) -> Result<(String, &str), ConninfoError> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut letters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            _ if !quoted && letter.is_whitespace() => return Ok((value, &text[at..])),
            _ => value.push(letter),
        }
    }
    if quoted { Err(ConninfoError("expected a closing ' after a value".to_owned())) } else { Ok((value, "")) }
}

fn known(name: &str) -> Result<&str, ConninfoError> {
    if KNOWN.contains(&name) {
        return Ok(name);
    }
    Err(ConninfoError(format!("unknown keyword {name:?}; libpq's names are expected: host, port, dbname, user, sslmode …")))
}

/// Keeps a value; an empty one counts as not given, as in libpq.
fn put(keywords: &mut Keywords, name: &str, value: &str) {
    if !value.is_empty() {
        keywords.insert(name.to_owned(), value.to_owned());
    }
}

/// Reads one section of a `pg_service.conf`.
///
/// # Errors
/// When the section is missing or one of its lines is not `keyword=value`.
pub fn service(file: &str, name: &str) -> Result<Keywords, ConninfoError> {
    let mut keywords = Keywords::new();
    let mut found = false;
    for (number, line) in file.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if found {
                break;
            }
            found = section == name;
        } else if found {
            let (keyword, value) =
                line.split_once('=').ok_or_else(|| ConninfoError(format!("service file line {}: expected keyword=value", number + 1)))?;
            put(&mut keywords, known(keyword.trim())?, value.trim());
        }
    }
    if found { Ok(keywords) } else { Err(ConninfoError(format!("no service [{name}] in the service file"))) }
}

/// Finds the password for a connection in a `.pgpass`; the first line that matches wins.
pub fn password(file: &str, host: &str, port: &str, database: &str, user: &str) -> Option<String> {
    file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = pgpass_fields(line);
        let wanted = [host, port, database, user];
        let matches = fields.len() >= 5 && wanted.iter().zip(&fields).all(|(wanted, field)| field == "*" || field == wanted);
        matches.then(|| fields[4].clone())
    })
}

/// Splits at colons that no backslash escapes.
fn pgpass_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let last = fields.len() - 1;
        match letter {
            '\\' => fields[last].extend(letters.next()),
            ':' if fields.len() < 5 => fields.push(String::new()),
            _ => fields[last].push(letter),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keywords(pairs: &[(&str, &str)]) -> Keywords {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        let read = parse("postgresql://al%40ice:p%3Aw@[::1]:5433,db2/sh%20op?sslmode=require&schema=public").expect("a good URL");
        let wanted =
            [("dbname", "sh op"), ("host", "::1,db2"), ("password", "p:w"), ("port", "5433,"), ("sslmode", "require"), ("user", "al@ice")];
        assert_eq!(read, keywords(&wanted));
        let driver = parse("postgresql+asyncpg://u:a@b@h/d").expect("a driver's URL with a bare @ in the password");
        assert_eq!(driver, keywords(&[("dbname", "d"), ("host", "h"), ("password", "a@b"), ("user", "u")]));
        let socket = parse("postgres:///shop?host=/tmp/x").expect("a socket URL");
        assert_eq!(socket, keywords(&[("dbname", "shop"), ("host", "/tmp/x")]));
    }

    #[test]
    fn pairs_take_quotes_and_escapes() {
        let read = parse(r"host = db  password='it\'s  x' dbname=a\ b").expect("good pairs");
        assert_eq!(read, keywords(&[("dbname", "a b"), ("host", "db"), ("password", "it's  x")]));
        assert_eq!(parse("shop"), Ok(keywords(&[("dbname", "shop")])));
    }

    #[test]
    fn refusals_say_what_was_expected_and_never_repeat_the_password() {
        let refused = [
            "mysql://a:secret@b/c",
            "host=h passwort=secret",
            "password='secret",
            "postgres://u:secret@h/d?x",
            "postgres://u:se%zzcret@h/d",
        ]
        .map(|text| parse(text).expect_err("a bad string").to_string());
        assert!(refused.iter().all(|message| !message.contains("secret")), "{refused:?}");
        assert!(refused[1].contains("passwort"));
    }

    #[test]
    fn a_service_is_one_section() {
        let file = "# mine\n[a]\nhost=h1\n\n[b]\nhost = h2\nport=6\n[c]\nhost=h3\n";
        assert_eq!(service(file, "b"), Ok(keywords(&[("host", "h2"), ("port", "6")])));
        assert!(service(file, "z").is_err());
    }

    #[test]
    fn the_first_matching_pgpass_line_wins() {
        let file = "#c\nother:5432:*:*:no\nh:5432:shop:*:a\\:b:c\n*:*:*:*:last";
        assert_eq!(password(file, "h", "5432", "shop", "me").as_deref(), Some("a:b:c"));
        assert_eq!(password(file, "h", "5433", "shop", "me").as_deref(), Some("last"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = parse(&text);
            let _ = parse(&format!("postgres://{text}"));
            let _ = service(&text, "a");
            let _ = password(&text, "h", "1", "d", "u");
        }
    }
}
