//! Connecting: TLS as `sslmode` means it, and errors that say what to do and never the password.

#![expect(clippy::unwrap_used, reason = "what sets a test up fails by panicking")]

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use pgload::pg::connect::ConnectError;
use pgload::pg::source::Environment;
use pgload::pg::{Cluster, Source, connect};
use tempfile::TempDir;
use tokio_postgres::Client;

/// A curve that every OpenSSL has, and keys made in no time.
const KEY: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

/// A certificate authority made for one test.
pub(super) struct Authority {
    folder: TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.crt"];
        openssl(folder.path(), &[&request[..], &KEY[..]].concat());
        Self { folder }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Signs a certificate for `localhost`; without extensions it is of version 1.
    pub(super) fn sign(&self, extensions: Option<&str>) {
        let folder = self.folder.path();
        let request = ["req", "-new", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"];
        openssl(folder, &[&request[..], &KEY[..]].concat());
        let mut sign = vec!["x509", "-req", "-in", "server.csr", "-days", "2", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
        if let Some(extensions) = extensions {
            std::fs::write(folder.join("extensions"), extensions).unwrap();
            sign.extend(["-extfile", "extensions"]);
        }
        openssl(folder, &[&sign[..], &["-out", "server.crt"]].concat());
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output =
        Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl is installed (apt-get install openssl)");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Starts a server and gives it the certificate `server.crt` with `server.key` from a folder.
pub(super) async fn secured(folder: &Path) -> Cluster {
    let cluster = super::server::start();
    let data = cluster.socket_folder().join("data");
    let owner = std::fs::metadata(&data).unwrap();
    for name in ["server.crt", "server.key"] {
        let path = data.join(name);
        std::fs::copy(folder.join(name), &path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let admin = connect(&cluster.source("postgres")).await.unwrap();
    admin.batch_execute("alter system set ssl = on").await.unwrap();
    admin.batch_execute("select pg_reload_conf()").await.unwrap();
    let begun = Instant::now();
    let setting = async || -> String {
        let session = connect(&cluster.source("postgres")).await.unwrap();
        session.query_one("select current_setting('ssl')", &[]).await.unwrap().get(0)
    };
    while setting().await != "on" {
        assert!(begun.elapsed() < Duration::from_secs(10), "the server has not taken its certificate");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster
}

fn source(text: &str) -> Source {
    let mut source = Source::resolve(Some(text), &Environment::default()).unwrap();
    source.read_certificates(&|path| std::fs::read(path)).unwrap();
    source
}

async fn try_mode(cluster: &Cluster, host: &str, mode: &str, root: Option<&Path>) -> Result<bool, ConnectError> {
    let root = root.map(|path| format!("&sslrootcert={}", path.display())).unwrap_or_default();
    let url = cluster.url("postgres").replace("127.0.0.1", host);
    Ok(encrypted(&connect(&source(&format!("{url}?sslmode={mode}{root}"))).await?).await)
}

async fn encrypted(client: &Client) -> bool {
    client.query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[]).await.unwrap().get(0)
}

/// Returns the message of a refusal, having looked that it holds no password.
fn message(cluster: &Cluster, error: &ConnectError) -> String {
    let url = cluster.url("");
    let password = url.split_once("postgres:").unwrap().1.split_once('@').unwrap().0;
    let text = error.to_string();
    assert!(password.len() > 10 && !text.contains(password) && !format!("{error:?}").contains(password), "{text}");
    text
}

#[tokio::test]
async fn each_sslmode_verifies_what_libpq_verifies() {
    let authority = Authority::new();
    authority.sign(Some("subjectAltName=DNS:localhost"));
    let foreign = Authority::new();
    let cluster = secured(authority.folder.path()).await;
    let (ours, theirs) = (authority.root(), foreign.root());

    let accepted = [
        ("127.0.0.1", "disable", None, false),
        ("127.0.0.1", "allow", None, false),
        ("127.0.0.1", "prefer", None, true),
        ("127.0.0.1", "require", None, true),
        ("127.0.0.1", "require", Some(&ours), true),
        ("127.0.0.1", "verify-ca", Some(&ours), true),
        ("localhost", "verify-ca", Some(&ours), true),
        ("localhost", "verify-full", Some(&ours), true),
        ("127.0.0.1", "prefer", Some(&theirs), true),
    ];
    for (host, mode, root, wanted) in accepted {
        let answer = try_mode(&cluster, host, mode, root.map(PathBuf::as_path)).await;
        assert_eq!(answer.unwrap_or_else(|error| panic!("{host} {mode} {root:?}: {error}")), wanted, "{host} {mode} {root:?}");
    }

    let refused = [
        ("127.0.0.1", "verify-full", Some(&ours), "must name the host"),
        ("localhost", "verify-full", Some(&theirs), "invalid peer certificate"),
        ("localhost", "verify-ca", Some(&theirs), "invalid peer certificate"),
        ("localhost", "require", Some(&theirs), "invalid peer certificate"),
        ("localhost", "verify-ca", None, "sslrootcert=FILE"),
    ];
    for (host, mode, root, wanted) in refused {
        let error = try_mode(&cluster, host, mode, root.map(PathBuf::as_path)).await.expect_err(mode);
        let text = message(&cluster, &error);
        assert!(text.contains(wanted) && text.contains(&format!("postgres on {host}:")), "{host} {mode} {root:?}: {text}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_its_own_root() {
    let folder = tempfile::tempdir().unwrap();
    let request = ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    openssl(folder.path(), &[&request[..], &["-keyout", "server.key", "-out", "server.crt"], &KEY[..]].concat());
    let cluster = secured(folder.path()).await;
    let root = folder.path().join("server.crt");
    assert!(try_mode(&cluster, "localhost", "verify-full", Some(&root)).await.unwrap());
    assert!(try_mode(&cluster, "127.0.0.1", "verify-ca", Some(&root)).await.unwrap());
    assert!(try_mode(&cluster, "127.0.0.1", "verify-full", Some(&root)).await.is_err());
}

#[tokio::test]
async fn a_version_1_certificate_encrypts_and_cannot_be_verified() {
    let authority = Authority::new();
    authority.sign(None);
    let cluster = secured(authority.folder.path()).await;
    assert!(try_mode(&cluster, "127.0.0.1", "require", None).await.unwrap());
    let error = try_mode(&cluster, "localhost", "verify-ca", Some(&authority.root())).await.unwrap_err();
    let text = message(&cluster, &error);
    assert!(text.contains("certificate") && text.contains("subjectAltName"), "{text}");
}

#[tokio::test]
async fn required_channel_binding_is_enforced() {
    let authority = Authority::new();
    authority.sign(Some("subjectAltName=DNS:localhost"));
    let cluster = secured(authority.folder.path()).await;
    let url = cluster.url("postgres");
    let bound = connect(&source(&format!("{url}?sslmode=require&channel_binding=require"))).await.unwrap();
    assert!(encrypted(&bound).await);
    let error = connect(&source(&format!("{url}?sslmode=disable&channel_binding=require"))).await.unwrap_err();
    assert!(message(&cluster, &error).contains("channel binding"), "{error}");
}

#[tokio::test]
async fn tls_required_of_a_server_without_it_is_refused() {
    let cluster = super::server::start();
    assert!(!try_mode(&cluster, "127.0.0.1", "prefer", None).await.unwrap(), "prefer falls back to plain text");
    let error = try_mode(&cluster, "127.0.0.1", "require", None).await.unwrap_err();
    let text = message(&cluster, &error);
    assert!(text.contains("server does not support TLS") && text.contains("sslmode"), "{text}");
}

#[tokio::test]
async fn refusals_say_the_target_and_the_next_step_but_no_password() {
    let cluster = super::server::start();
    let url = cluster.url("postgres");
    let port = cluster.port();
    let password = url.split_once("postgres:").unwrap().1.split_once('@').unwrap().0;

    let wrong = connect(&source(&url.replace(password, "not-the-password"))).await.unwrap_err();
    let text = wrong.to_string();
    assert!(text.starts_with(&format!("connect to postgres on 127.0.0.1:{port} as postgres: password authentication failed")), "{text}");
    assert!(text.contains("Check the password of postgres") && !text.contains("not-the-password"), "{text}");

    let none = connect(&source(&url.replace(&format!(":{password}"), ""))).await.unwrap_err().to_string();
    assert!(none.contains("password missing") && none.contains("PGPASSWORD"), "{none}");

    let unknown = connect(&source(&cluster.url("no_such"))).await.unwrap_err();
    let text = message(&cluster, &unknown);
    assert!(text.contains("database \"no_such\" does not exist") && text.contains("createdb no_such"), "{text}");

    // A port that was free a moment ago; nobody listens on it.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let unreachable = connect(&source(&url.replace(&port.to_string(), &free.to_string()))).await.unwrap_err();
    let text = message(&cluster, &unreachable);
    assert!(
        text.contains(&format!("127.0.0.1:{free}")) && text.contains("refused") && text.contains("Check that the server runs"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_accepts_and_stays_silent_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for mode in ["disable", "prefer", "require"] {
        let begun = Instant::now();
        let text = format!("host=127.0.0.1 port={port} user=me password=secret connect_timeout=1 sslmode={mode}");
        let error = connect(&source(&text)).await.unwrap_err().to_string();
        assert!(begun.elapsed() < Duration::from_secs(5), "{mode}: {:?}", begun.elapsed());
        assert!(error.contains("no answer within 1 s") && error.contains("connect_timeout") && !error.contains("secret"), "{error}");
    }
}
