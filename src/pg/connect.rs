//! Connecting, with errors that say what to do next.

use std::time::Duration;

use tokio_postgres::config::SslMode as Driver;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::source::Source;
use super::tls::{self, SslMode};
use super::wire::stream::{self, SocketError, Stream};

/// What to do when nobody answers.
const UNREACHABLE: &str = "Check that the server runs and that host and port are right.";

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
#[error("connect to {target}: {reason}. {help}")]
pub struct ConnectError {
    /// The target, without password.
    pub target: String,
    /// What went wrong.
    pub reason: String,
    /// The next step.
    pub help: String,
    /// The driver's answer.
    #[source]
    pub source: Option<tokio_postgres::Error>,
}

/// Connects and drives the connection on the current runtime.
///
/// # Errors
/// [`ConnectError`], its reason taken from the SQLSTATE or the system's error.
pub async fn connect(source: &Source) -> Result<Client, ConnectError> {
    match attempt(source, source.ssl_mode).await {
        // `allow` is plain text first, then TLS where the server's rules ask for it.
        Err(error) if source.ssl_mode == SslMode::Allow && is_refused_by_rules(&error) => attempt(source, SslMode::Require).await,
        answer => answer,
    }
}

fn is_refused_by_rules(error: &ConnectError) -> bool {
    error.source.as_ref().and_then(tokio_postgres::Error::code) == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// As [`connect`], but returns the bare connection on which the session is open.
///
/// # Errors
/// [`ConnectError`].
pub(super) async fn connect_bare(source: &Source) -> Result<Stream, ConnectError> {
    match attempt_bare(source, source.ssl_mode).await {
        Err(error) if source.ssl_mode == SslMode::Allow && is_refused_by_rules(&error) => attempt_bare(source, SslMode::Require).await,
        answer => answer,
    }
}

async fn attempt_bare(source: &Source, mode: SslMode) -> Result<Stream, ConnectError> {
    let config = configured(source, mode);
    let connected = async {
        if source.host().starts_with('/') {
            return stream::on_socket(&config).await.map_err(|error| match error {
                SocketError::Driver(error) => explained(source, error),
                SocketError::Socket(_) => {
                    ConnectError { target: source.described(), reason: error.to_string(), help: UNREACHABLE.to_owned(), source: None }
                }
            });
        }
        if config.get_ssl_mode() != Driver::Disable {
            let connector = MakeRustlsConnect::new(client_config(source, mode)?);
            if let Some(stream) = stream::secured(&config, connector).await.map_err(|error| explained(source, error))? {
                return Ok(stream);
            }
        }
        stream::in_the_clear(&config).await.map_err(|error| explained(source, error))
    };
    within_limit(source, connected).await
}

/// Returns the driver's settings for a mode.
fn configured(source: &Source, mode: SslMode) -> tokio_postgres::Config {
    let mut config = source.config.clone();
    let on_socket = source.host().starts_with('/');
    config.ssl_mode(match mode {
        _ if on_socket => Driver::Disable,
        SslMode::Disable | SslMode::Allow => Driver::Disable,
        SslMode::Prefer => Driver::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Driver::Require,
    });
    config
}

fn client_config(source: &Source, mode: SslMode) -> Result<rustls::ClientConfig, ConnectError> {
    tls::client_config(mode, &source.material).map_err(|error| ConnectError {
        target: source.described(),
        reason: error.to_string(),
        help: "See sslmode in the PostgreSQL manual.".to_owned(),
        source: None,
    })
}

async fn attempt(source: &Source, mode: SslMode) -> Result<Client, ConnectError> {
    let config = configured(source, mode);
    let connected = async {
        if config.get_ssl_mode() == Driver::Disable {
            let (client, connection) = config.connect(NoTls).await.map_err(|error| explained(source, error))?;
            tokio::spawn(async move { drop(connection.await) });
            return Ok(client);
        }
        let (client, connection) =
            config.connect(MakeRustlsConnect::new(client_config(source, mode)?)).await.map_err(|error| explained(source, error))?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    };
    within_limit(source, connected).await
}

async fn within_limit<T>(source: &Source, connected: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
    let limit = source.config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(3600));
    // The driver's own limit covers only the TCP handshake, not a server that accepts and stays silent.
    match tokio::time::timeout(limit, connected).await {
        Ok(answer) => answer,
        Err(_) => Err(ConnectError {
            target: source.described(),
            reason: format!("no answer within {} s", limit.as_secs()),
            help: "Check host, port and firewall, or raise connect_timeout.".to_owned(),
            source: None,
        }),
    }
}

fn explained(source: &Source, error: tokio_postgres::Error) -> ConnectError {
    let (reason, help) = match error.code() {
        Some(code) => {
            let said = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
            (said, help_for(code, source))
        }
        None => {
            let reason = causes(&error);
            let help = if reason.contains("password") {
                "Give the password in ~/.pgpass, PGPASSWORD or the URL.".to_owned()
            } else if reason.contains("certificate") || reason.contains("TLS") {
                "Check sslmode and sslrootcert; verify-full: the certificate must name the host as it is written, in its subjectAltName."
                    .to_owned()
            } else {
                UNREACHABLE.to_owned()
            };
            (reason, help)
        }
    };
    ConnectError { target: source.described(), reason, help, source: Some(error) }
}

/// Joins an error's chain of causes, each said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        next = cause.source();
    }
    said
}

fn help_for(code: &SqlState, source: &Source) -> String {
    match *code {
        SqlState::INVALID_PASSWORD => format!("Check the password of {} (~/.pgpass, PGPASSWORD or the URL).", source.user()),
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "Check that the role exists and may log in, and what pg_hba.conf and sslmode say.".to_owned()
        }
        SqlState::INVALID_CATALOG_NAME => format!("Check the database's name, or make it: createdb {}", source.database()),
        SqlState::TOO_MANY_CONNECTIONS => "Close other sessions or raise max_connections.".to_owned(),
        SqlState::CANNOT_CONNECT_NOW => "Wait until the server has started.".to_owned(),
        SqlState::INSUFFICIENT_PRIVILEGE => {
            format!("Grant the right to connect: grant connect on database {} to {};", source.database(), source.user())
        }
        _ => "See the server's log.".to_owned(),
    }
}

/// Asks the server to end what a connection is doing, from outside it.
pub struct Canceller {
    token: tokio_postgres::CancelToken,
    source: Source,
}

impl Canceller {
    /// Prepares to cancel what this connection will do.
    pub fn of(client: &Client, source: &Source) -> Self {
        Self { token: client.cancel_token(), source: source.clone() }
    }

    /// Asks; a server that cannot be reached has nothing to cancel any more.
    pub async fn cancel(self) {
        let plain = matches!(self.source.ssl_mode, SslMode::Disable | SslMode::Allow) || self.source.host().starts_with('/');
        match tls::client_config(self.source.ssl_mode, &self.source.material) {
            Ok(config) if !plain => drop(self.token.cancel_query(MakeRustlsConnect::new(config)).await),
            _ => drop(self.token.cancel_query(NoTls).await),
        }
    }
}

/// Runs one statement outside a transaction, for throwaway servers.
///
/// # Errors
/// The driver's.
pub async fn execute(client: &Client, sql: &str) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(sql).await
}
