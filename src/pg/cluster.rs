//! A throwaway server: started in a temporary folder, gone without a trace however the process ends.
//!
//! A small watchdog shell holds the other end of a pipe. When the pipe closes (on drop, on panic, on any signal, also
//! one that cannot be caught) it stops the server and removes the folder, so there is one way out for every ending.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::binaries::Binaries;
use super::source::Source;

/// The superuser of every throwaway server.
pub const SUPERUSER: &str = "postgres";

/// 30 s: a start takes about half a second; a machine busy with a build has been seen to take ten times as long.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How often another process may take the free port between the look and the bind.
const PORT_ATTEMPTS: usize = 5;

/// What a throwaway server should be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's programs.
    pub binaries: Binaries,
    /// The folder its own folder is made in; short, since a socket's path has at most 107 bytes.
    pub parent: PathBuf,
    /// Settings beyond pgload's own, as `(name, value)`.
    pub settings: Vec<(String, String)>,
    /// Arguments of `initdb` beyond pgload's own.
    pub initdb: Vec<String>,
    /// Whether every new database has `pg_stat_statements`.
    pub statements: bool,
}

impl Options {
    /// Asks for a server of these programs under `/tmp` with the defaults.
    pub fn new(binaries: Binaries) -> Self {
        Self { binaries, parent: PathBuf::from("/tmp"), settings: Vec::new(), initdb: Vec::new(), statements: true }
    }

    /// Adds a server setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Why a throwaway server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file or process could not be made.
    #[error("start a throwaway server: {what}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A server program ended with an error.
    #[error("start a throwaway server: {program} failed: {output}")]
    Program {
        /// `initdb` or `postgres`.
        program: String,
        /// The last lines it printed.
        output: String,
    },
    /// Running as root, and no ordinary user to run the server as.
    #[error("start a throwaway server as root: Postgres refuses, and neither user postgres nor nobody exists")]
    NoUser,
}

/// A running throwaway server; dropping it stops the server and removes its files.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    password: String,
    binaries: Binaries,
    server: Child,
    watchdog: Child,
}

/// Waits for the pipe to close, then stops the server at once and removes the folder. `$1` is the folder.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP QUIT
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
    kill -QUIT "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ -f "$1/data/postmaster.pid" ] && [ "$tries" -lt 200 ]; do sleep 0.02; tries=$((tries + 1)); done
fi
rm -rf "$1"
"#;

impl Cluster {
    /// Makes and starts a server on a private socket and a free loopback port, `pg_stat_statements` loaded and, unless it is
    /// not wanted, present in every new database.
    ///
    /// Durability is off (`fsync=off`): the data is thrown away with the server. Local connections through the socket,
    /// which only this user can reach, are trusted; those over TCP need the generated password.
    ///
    /// # Errors
    /// [`ClusterError`] with the server's own words when it does not come up.
    pub fn start(options: &Options) -> Result<Self, ClusterError> {
        let folder = tempfile::Builder::new()
            .prefix("pgload-")
            .tempdir_in(&options.parent)
            .map_err(|source| io(format!("make a folder in {}", options.parent.display()), source))?
            .keep();
        let watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "pgload-watchdog"])
            .arg(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| io("start the watchdog".to_owned(), source))?;
        let guard = Unfinished { watchdog: Some(watchdog) };
        let account = Account::for_server()?;
        account.own(&folder)?;
        let password = initialise(options, &folder, account)?;
        let (server, port) = serve(options, &folder, account)?;
        Ok(Self { folder, port, password, binaries: options.binaries.clone(), server, watchdog: guard.finish() })
    }

    /// Connects through the private socket as the superuser.
    pub fn source(&self, database: &str) -> Source {
        Source::socket(&self.folder, self.port, SUPERUSER, database)
    }

    /// Returns a URL for programs that connect over TCP; it holds the generated password, so never print it.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Returns the folder of the private socket, for programs that take one as `host`.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the folder of the server's files.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Returns the loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the programs it runs from.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Returns the server's process id, as its own pid file says.
    pub fn process_id(&self) -> u32 {
        self.server.id()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // The server is our child: reaping it lets the watchdog see that it is gone.
        let _ = self.server.wait();
        let _ = self.watchdog.wait();
    }
}

/// Lets the watchdog clean up when the start fails half-way.
struct Unfinished {
    watchdog: Option<Child>,
}

impl Unfinished {
    fn finish(mut self) -> Child {
        self.watchdog.take().expect("the watchdog is taken once")
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(watchdog) = &mut self.watchdog {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
    }
}

/// The user a server runs as.
#[derive(Debug, Clone, Copy)]
enum Account {
    /// Whoever we are.
    Own,
    /// An unprivileged user, since we are root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    fn for_server() -> Result<Self, ClusterError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(|source| io("read /etc/passwd".to_owned(), source))?;
        ["postgres", "nobody"].iter().find_map(|name| Self::in_passwd(&passwd, name)).ok_or(ClusterError::NoUser)
    }

    fn in_passwd(passwd: &str, name: &str) -> Option<Self> {
        let fields: Vec<&str> = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?;
        Some(Self::Other { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    }

    fn own(self, path: &Path) -> Result<(), ClusterError> {
        let owned = || -> std::io::Result<()> {
            fs::set_permissions(path, fs::Permissions::from_mode(if path.is_dir() { 0o700 } else { 0o600 }))?;
            if let Self::Other { uid, gid } = self {
                chown(path, Some(uid), Some(gid))?;
            }
            Ok(())
        };
        owned().map_err(|source| io(format!("hand {} to the server's user", path.display()), source))
    }

    fn command(self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        // PG* variables of the user's own servers must not steer this one.
        for name in ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGPASSWORD", "PGSERVICE"] {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env("TZ", "UTC").current_dir(folder).stdin(Stdio::null());
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid).env("HOME", folder);
        }
        command
    }
}

/// Runs `initdb`, writes the settings and puts `pg_stat_statements` into the template; returns the password for TCP.
fn initialise(options: &Options, folder: &Path, account: Account) -> Result<String, ClusterError> {
    let data = folder.join("data");
    let password = random_password()?;
    let password_file = folder.join("password");
    fs::write(&password_file, &password).map_err(|source| io("write the password file".to_owned(), source))?;
    account.own(&password_file)?;
    let mut initdb = account.command(&options.binaries.program("initdb"), folder);
    initdb.arg("--pgdata").arg(&data).arg("--pwfile").arg(&password_file);
    initdb.args(["--no-sync", "--no-instructions", "--auth-local=trust", "--auth-host=scram-sha-256"]);
    initdb.args(["--encoding=UTF8", "--no-locale", "--username", SUPERUSER]);
    initdb.args(&options.initdb);
    succeed(initdb, "initdb")?;
    let _ = fs::remove_file(&password_file);

    let own = [
        ("shared_preload_libraries", "pg_stat_statements"),
        ("compute_query_id", "on"),
        ("track_io_timing", "on"),
        ("fsync", "off"),
        ("full_page_writes", "off"),
        // The log is never read again; the default keeps up to a gigabyte of it, and a test run starts dozens of servers.
        ("min_wal_size", "32MB"),
        ("max_wal_size", "256MB"),
        ("max_connections", "200"),
        ("timezone", "UTC"),
        ("logging_collector", "off"),
        ("listen_addresses", "127.0.0.1"),
    ];
    let mut text = String::new();
    let given = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.into_iter().chain(given) {
        text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
    }
    text.push_str(&format!("unix_socket_directories = '{}'\n", folder.display()));
    let append = || fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"))?.write_all(text.as_bytes());
    append().map_err(|source| io("write postgresql.conf".to_owned(), source))?;

    if !options.statements {
        return Ok(password);
    }
    // Single-user mode: no connection needed, so this stays synchronous and costs about 0.1 s.
    let mut single = account.command(&options.binaries.program("postgres"), folder);
    single.args(["--single", "-F", "-c", "log_checkpoints=off", "-D"]).arg(&data).arg("template1").stdin(Stdio::piped());
    succeed_with(single, "postgres --single", b"create extension pg_stat_statements\n")?;
    Ok(password)
}

/// Starts the server on a free port and waits until its pid file says `ready`.
fn serve(options: &Options, folder: &Path, account: Account) -> Result<(Child, u16), ClusterError> {
    let mut last = String::new();
    for _ in 0..PORT_ATTEMPTS {
        let port = free_port().map_err(|source| io("find a free loopback port".to_owned(), source))?;
        let log_path = folder.join("server.log");
        let log = fs::File::create(&log_path).map_err(|source| io("make the server's log".to_owned(), source))?;
        let log_too = log.try_clone().map_err(|source| io("make the server's log".to_owned(), source))?;
        let mut command = account.command(&options.binaries.program("postgres"), folder);
        command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
        let mut server =
            command.process_group(0).stdout(log).stderr(log_too).spawn().map_err(|source| io("run postgres".to_owned(), source))?;
        if wait_until_ready(&mut server, folder) {
            return Ok((server, port));
        }
        let _ = server.kill();
        let _ = server.wait();
        last = last_lines(&fs::read_to_string(&log_path).unwrap_or_default());
        if !last.contains("in use") {
            break;
        }
    }
    Err(ClusterError::Program { program: "postgres".to_owned(), output: last })
}

/// Returns whether the server came up; false when it ended or took longer than [`START_TIMEOUT`].
fn wait_until_ready(server: &mut Child, folder: &Path) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < START_TIMEOUT {
        let ready = fs::read_to_string(folder.join("data/postmaster.pid"))
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|status| status.trim() == "ready"));
        if ready {
            return true;
        }
        if !matches!(server.try_wait(), Ok(None)) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn random_password() -> Result<String, ClusterError> {
    use std::io::Read;
    let mut bytes = [0_u8; 18];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|source| io("read /dev/urandom".to_owned(), source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn succeed(command: Command, program: &str) -> Result<(), ClusterError> {
    succeed_with(command, program, b"")
}

fn succeed_with(mut command: Command, program: &str, input: &[u8]) -> Result<(), ClusterError> {
    let mut run = || {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input)?;
        }
        child.wait_with_output()
    };
    let output = run().map_err(|source| io(format!("run {program}"), source))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Single-user mode exits with 0 also when a statement failed.
    if output.status.success() && !said.contains("ERROR:") {
        return Ok(());
    }
    Err(ClusterError::Program { program: program.to_owned(), output: last_lines(&said) })
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

fn io(what: String, source: std::io::Error) -> ClusterError {
    ClusterError::Io { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_say_why_a_server_ended() {
        assert_eq!(last_lines("a\n\nb\nc\nd\ne\nf\n"), "b | c | d | e | f");
        assert_eq!(last_lines(""), "");
    }

    #[test]
    fn users_are_found_by_whole_name() {
        let passwd = "postgresql:x:5:5::/:/bin/sh\npostgres:x:107:115:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        assert!(matches!(Account::in_passwd(passwd, "postgres"), Some(Account::Other { uid: 107, gid: 115 })));
        assert!(Account::in_passwd(passwd, "nobody").is_none());
    }
}
