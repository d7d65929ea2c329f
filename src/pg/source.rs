//! Which server, database and role to connect to, with everything libpq would take into account.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio_postgres::config::ChannelBinding;

use super::conninfo::{self, ConninfoError, Keywords};
use super::tls::{Material, SslMode};

/// What the process was given: variables and the files they name. Read by the command line, never here.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// The password file's text (`PGPASSFILE` or `~/.pgpass`), unless others may read it.
    pub password_file: Option<String>,
    /// The service file's text (`PGSERVICEFILE` or `~/.pg_service.conf`, then the system's).
    pub service_file: Option<String>,
}

/// A target to connect to. Its `Debug` and [`Source::described`] never show the password.
#[derive(Clone)]
pub struct Source {
    /// The driver's settings.
    pub(super) config: tokio_postgres::Config,
    /// The mode of TLS.
    pub(super) ssl_mode: SslMode,
    /// Certificates, once read.
    pub(super) material: Material,
    host: String,
    port: String,
    user: String,
    database: String,
    root_path: Option<PathBuf>,
    certificate_path: Option<PathBuf>,
    key_path: Option<PathBuf>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.described())
    }
}

/// `PG*` variables and the keywords they stand for.
const VARIABLES: &[(&str, &str)] = &[
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGOPTIONS", "options"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
];

impl Source {
    /// Resolves a connection: what is given, else `DATABASE_URL`, else the `PG*` variables; then the service file, the
    /// password file and libpq's defaults.
    ///
    /// # Errors
    /// [`ConninfoError`] with what was expected; never with a password.
    pub fn resolve(given: Option<&str>, environment: &Environment) -> Result<Self, ConninfoError> {
        let variables = &environment.variables;
        let text = given.or_else(|| variables.get("DATABASE_URL").map(String::as_str).filter(|text| !text.is_empty()));
        let mut keywords = text.map(conninfo::parse).transpose()?.unwrap_or_default();
        let service = keywords.get("service").or_else(|| variables.get("PGSERVICE").filter(|name| !name.is_empty())).cloned();
        if let Some(name) = service {
            let file = environment.service_file.as_deref().ok_or_else(|| {
                ConninfoError(format!("service {name:?} is asked for, but there is no service file (~/.pg_service.conf or PGSERVICEFILE)"))
            })?;
            add_missing(&mut keywords, conninfo::service(file, &name)?);
        }
        let from_variables = VARIABLES
            .iter()
            .filter_map(|(variable, keyword)| Some(((*keyword).to_owned(), variables.get(*variable)?.clone())))
            .filter(|(_, value)| !value.is_empty());
        add_missing(&mut keywords, from_variables.collect());
        Self::from_keywords(keywords, environment)
    }

    /// Names a throwaway server's private socket.
    pub(super) fn socket(folder: &Path, port: u16, user: &str, database: &str) -> Self {
        let keywords = [
            ("host", folder.display().to_string()),
            ("port", port.to_string()),
            ("user", user.to_owned()),
            ("dbname", database.to_owned()),
        ];
        let keywords = keywords.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self::from_keywords(keywords, &Environment::default()).expect("a socket, a port and two names make a connection")
    }

    fn from_keywords(keywords: Keywords, environment: &Environment) -> Result<Self, ConninfoError> {
        let variable = |name: &str| environment.variables.get(name).filter(|value| !value.is_empty()).cloned();
        let get = |name: &str| keywords.get(name).cloned();
        let user = get("user")
            .or_else(|| variable("USER").or_else(|| variable("LOGNAME")))
            .ok_or_else(|| ConninfoError("no user is given: add user=NAME or set PGUSER".to_owned()))?;
        let database = get("dbname").unwrap_or_else(|| user.clone());
        let host = get("host").or_else(|| get("hostaddr")).unwrap_or_else(default_host);
        let port = get("port").unwrap_or_else(|| "5432".to_owned());
        let mode_word = get("sslmode").unwrap_or_else(|| "prefer".to_owned());
        let ssl_mode = SslMode::parse(&mode_word).ok_or_else(|| {
            ConninfoError(format!("sslmode {mode_word:?}: expected disable, allow, prefer, require, verify-ca or verify-full"))
        })?;

        let mut config = tokio_postgres::Config::new();
        config.user(&user).dbname(&database).application_name(get("application_name").as_deref().unwrap_or("pgload"));
        let hosts: Vec<&str> = host.split(',').collect();
        let ports: Vec<&str> = port.split(',').collect();
        if ports.len() > 1 && ports.len() != hosts.len() {
            return Err(ConninfoError(format!("{} ports for {} hosts: give one, or one each", ports.len(), hosts.len())));
        }
        for name in &hosts {
            config.host(if name.is_empty() { "localhost" } else { name });
        }
        for text in &ports {
            let number = if text.is_empty() { Ok(5432) } else { text.parse::<u16>() };
            config.port(number.map_err(|_| ConninfoError(format!("port {text:?}: expected a number from 1 to 65535")))?);
        }
        if let Some(addresses) = get("hostaddr") {
            for address in addresses.split(',') {
                config.hostaddr(address.parse().map_err(|_| ConninfoError(format!("hostaddr {address:?}: expected an IP address")))?);
            }
        }
        let first_host = if hosts[0].starts_with('/') { "localhost" } else { hosts[0] };
        let stored = || conninfo::password(environment.password_file.as_deref()?, first_host, ports[0], &database, &user);
        if let Some(password) = get("password").or_else(stored) {
            config.password(password);
        }
        if let Some(options) = get("options") {
            config.options(options);
        }
        let timeout = get("connect_timeout").unwrap_or_else(|| "10".to_owned());
        let seconds: u64 = timeout.parse().map_err(|_| ConninfoError(format!("connect_timeout {timeout:?}: expected seconds")))?;
        if seconds > 0 {
            config.connect_timeout(std::time::Duration::from_secs(seconds));
        }
        match get("channel_binding").as_deref() {
            None | Some("prefer") => {}
            Some("require") => drop(config.channel_binding(ChannelBinding::Require)),
            Some("disable") => drop(config.channel_binding(ChannelBinding::Disable)),
            Some(other) => return Err(ConninfoError(format!("channel_binding {other:?}: expected disable, prefer or require"))),
        }
        // A restriction that is not enforced must not be passed over in silence.
        if get("require_auth").is_some() {
            return Err(ConninfoError("require_auth is not supported: leave it out, or restrict the methods in pg_hba.conf".to_owned()));
        }
        match get("target_session_attrs").as_deref() {
            None | Some("any" | "prefer-standby") => {}
            Some("read-write" | "primary") => drop(config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite)),
            Some("read-only" | "standby") => drop(config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadOnly)),
            Some(other) => return Err(ConninfoError(format!("target_session_attrs {other:?}: expected any, read-write or read-only"))),
        }
        let home = variable("HOME").map(PathBuf::from);
        let system_roots = get("sslrootcert").as_deref() == Some("system");
        let in_home = |name: &str| home.as_ref().map(|home| home.join(".postgresql").join(name));
        let root_path = (!system_roots).then(|| get("sslrootcert").map(PathBuf::from).or_else(|| in_home("root.crt"))).flatten();
        Ok(Self {
            config,
            ssl_mode,
            material: Material { system_roots, ..Material::default() },
            host,
            port,
            user,
            database,
            root_path,
            certificate_path: get("sslcert").map(PathBuf::from).or_else(|| in_home("postgresql.crt")),
            key_path: get("sslkey").map(PathBuf::from).or_else(|| in_home("postgresql.key")),
        })
    }

    /// Reads the certificates the connection names; those at libpq's default places are optional.
    ///
    /// # Errors
    /// When a file that was named cannot be read.
    pub fn read_certificates(&mut self, read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>) -> Result<(), ConninfoError> {
        let content = |path: &Option<PathBuf>, keyword: &str| match path {
            None => Ok(None),
            Some(path) => match read(path) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(_) if path.components().any(|part| part.as_os_str() == ".postgresql") => Ok(None),
                Err(error) => Err(ConninfoError(format!("{keyword} {}: {error}", path.display()))),
            },
        };
        self.material.roots = content(&self.root_path, "sslrootcert")?;
        self.material.certificate = content(&self.certificate_path, "sslcert")?;
        self.material.key = content(&self.key_path, "sslkey")?;
        Ok(())
    }

    /// Describes the target for people: `shop on db.example:5432 as app`; never with a password.
    pub fn described(&self) -> String {
        format!("{} on {}:{} as {}", self.database, self.host, self.port, self.user)
    }

    /// Returns host and port, as given: `db.example:5432`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Returns the host as given; a socket's folder begins with `/`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Returns the role's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the same target with another database.
    #[must_use]
    pub fn with_database(mut self, database: &str) -> Self {
        self.config.dbname(database);
        self.database = database.to_owned();
        self
    }

    /// Returns the same target under another `application_name`.
    #[must_use]
    pub fn with_application_name(mut self, name: &str) -> Self {
        self.config.application_name(name);
        self
    }

    /// Returns whether the target can only be on this machine: a socket, or a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.host.split(',').all(|host| {
            host.starts_with('/') || host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }
}

/// Values given earlier win.
fn add_missing(keywords: &mut Keywords, further: Keywords) {
    for (name, value) in further {
        keywords.entry(name).or_insert(value);
    }
}

/// libpq's default: the socket folder it was built with. Distributions differ, so the one that holds a socket.
fn default_host() -> String {
    let holds_socket = |folder: &&str| Path::new(folder).join(".s.PGSQL.5432").exists();
    ["/var/run/postgresql", "/tmp"].into_iter().find(holds_socket).unwrap_or("localhost").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment { variables, ..Environment::default() }
    }

    #[test]
    fn what_is_given_wins_over_database_url_over_pg_variables() {
        let mut environment = environment(&[("DATABASE_URL", "postgres://u@h2/d2"), ("PGHOST", "h3"), ("PGUSER", "v"), ("PGPORT", "7")]);
        let described = |given| Source::resolve(given, &environment).expect("a connection").described();
        assert_eq!(described(Some("host=h1 dbname=d1 user=w")), "d1 on h1:7 as w");
        assert_eq!(described(None), "d2 on h2:7 as u");
        environment.variables.remove("DATABASE_URL");
        assert_eq!(Source::resolve(None, &environment).expect("a connection").described(), "v on h3:7 as v");
    }

    #[test]
    fn services_and_password_files_fill_what_is_missing() {
        let mut environment = environment(&[("PGSERVICE", "shop"), ("USER", "me")]);
        environment.service_file = Some("[shop]\nhost=db\ndbname=shop\n".to_owned());
        environment.password_file = Some("db:5432:shop:me:secret".to_owned());
        let source = Source::resolve(None, &environment).expect("a connection");
        assert_eq!(source.described(), "shop on db:5432 as me");
        assert_eq!(source.config.get_password(), Some(&b"secret"[..]));
        assert!(!format!("{source:?}").contains("secret"));
    }

    #[test]
    fn only_sockets_and_loopback_addresses_are_on_this_machine() {
        let loopback = |text| Source::resolve(Some(text), &environment(&[("USER", "me")])).expect("a connection").is_loopback();
        assert!(loopback("host=/tmp") && loopback("host=127.0.0.2") && loopback("postgres://[::1]/x") && loopback("host=localhost"));
        assert!(!loopback("host=db.example") && !loopback("host=localhost,db.example") && !loopback("host=10.0.0.1"));
    }

    #[test]
    fn wrong_values_name_the_keyword() {
        let refused = |text| Source::resolve(Some(text), &environment(&[("USER", "me")])).expect_err("a bad value").to_string();
        assert!(refused("host=h port=x").contains("port"));
        assert!(refused("host=h sslmode=yes").contains("verify-full"));
        assert!(refused("host=h channel_binding=yes").contains("channel_binding"));
        assert!(refused("host=h require_auth=scram-sha-256").contains("require_auth"));
        assert!(refused("host=a,b port=1,2,3").contains("3 ports for 2 hosts"));
    }
}
