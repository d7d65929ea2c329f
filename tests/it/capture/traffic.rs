//! Known traffic: what a client sends, written down as it goes.

use pgload::pg::Cluster;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};

/// A statement as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) text: String,
    pub(super) parameters: Vec<Option<String>>,
    pub(super) extended: bool,
    pub(super) failed: Option<&'static str>,
    /// Statements of the same number are of one transaction.
    pub(super) transaction: u64,
}

/// A statement as it was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) parameters: Vec<Option<String>>,
    pub(super) extended: bool,
    pub(super) failed: Option<String>,
    pub(super) transaction: u64,
    pub(super) last: bool,
    pub(super) timed: bool,
}

struct Talker {
    client: Client,
    sent: Vec<Sent>,
    transaction: u64,
    inside: bool,
}

impl Talker {
    fn note(&mut self, text: &str, parameters: Vec<Option<String>>, extended: bool, failed: Option<&'static str>) {
        if !self.inside {
            self.transaction += 1;
        }
        self.sent.push(Sent { text: text.to_owned(), parameters, extended, failed, transaction: self.transaction });
    }

    async fn simple(&mut self, text: &str) {
        self.client.batch_execute(text).await.unwrap();
        self.note(text, Vec::new(), false, None);
    }

    async fn begin(&mut self) {
        self.simple("begin").await;
        self.inside = true;
    }

    async fn end(&mut self, text: &str) {
        self.simple(text).await;
        self.inside = false;
    }

    /// Fails, and is known to.
    async fn fail(&mut self, text: &str, state: &'static str) {
        let error = self.client.batch_execute(text).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), state);
        self.note(text, Vec::new(), false, Some(state));
    }

    /// Prepares once and runs with each set of values, all of them text.
    async fn extended(&mut self, text: &str, calls: &[&[Option<&str>]]) {
        let statement = self.client.prepare(text).await.unwrap();
        for values in calls {
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
            self.client.query(&statement, &values).await.unwrap();
        }
        for values in calls {
            self.note(text, values.iter().map(|value| value.map(str::to_owned)).collect(), true, None);
        }
    }

    /// Not written down: a capture has to leave it out.
    async fn left_out(&mut self, text: &str) {
        self.client.batch_execute(text).await.unwrap();
        self.transaction += 1;
    }
}

/// Sends the same to the server in each session; returns what a replay has to send again.
pub(super) async fn speak(cluster: &Cluster, name: &str, options: &str) -> Vec<Sent> {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(cluster.socket_folder())
        .port(cluster.port())
        .user("postgres")
        .dbname("postgres")
        .application_name(name)
        .options(options);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut talker = Talker { client, sent: Vec::new(), transaction: 0, inside: false };
    let table = format!("t_{name}");

    talker.left_out(&format!("create table {table} (a int, b text)")).await;
    talker.left_out(&format!("comment on table {table} is 'x'")).await;
    talker.simple("select 1").await;
    talker.simple("select 'it''s\n\ta\ttext', $$ -- no comment\n$$, E'\\'' as \"odd\n name\"").await;
    talker.simple("select 1; select 2 -- the end\n;").await;
    talker.simple("select 'é ü 漢字 🦀 , \"\" \\ %s %m [7] LOG:  statement: x'").await;
    talker.fail("select nope", "42703").await;
    talker.fail("selekt 1", "42601").await;

    let long = "x'y\n".repeat(20_000);
    let odd: Vec<Option<&str>> = vec![
        Some("plain"),
        Some(""),
        None,
        Some("NULL"),
        Some("it's"),
        Some("', $2 = '"),
        Some("', $2 = NULL, $3 = '"),
        Some("a\nb\r\n\tc\n"),
        Some("\n"),
        Some("\""),
        Some("\\"),
        Some("wait..."),
        Some("..."),
        Some("é ü 漢字 🦀"),
        Some("2026-11-23 16:03:29.853 UTC,\"me\""),
        Some("2026-11-23 16:03:29.853 UTC [7] LOG:  statement: x"),
        Some(&long),
    ];
    let pairs: Vec<Vec<Option<&str>>> = odd.iter().zip(odd.iter().rev()).map(|(one, other)| vec![*one, *other]).collect();
    let pairs: Vec<&[Option<&str>]> = pairs.iter().map(Vec::as_slice).collect();
    talker.extended("select $1::text, $2::text", &pairs).await;
    talker.extended("select 'no parameter: $1'", &[&[], &[]]).await;
    talker.extended(&format!("insert into {table} values (1, $1) returning\n\ta"), &[&[Some("x")], &[None]]).await;

    talker.begin().await;
    talker.simple(&format!("insert into {table} values (2, 'y')")).await;
    talker.extended("select $1::text", &[&[Some("inside")], &[Some("again")]]).await;
    talker.simple("savepoint a").await;
    talker.simple("rollback to savepoint a").await;
    talker.end("commit").await;

    talker.begin().await;
    talker.fail("select 1/0", "22012").await;
    talker.fail("select 1", "25P02").await;
    talker.end("rollback").await;

    // Fails with its parameters: when it runs, not when the bind plans it.
    let divides = "select 1 / (a - $1::text::int) from generate_series(1, 1) a";
    let statement = talker.client.prepare(divides).await.unwrap();
    let error = talker.client.query(&statement, &[&"1"]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "22012");
    talker.note(divides, vec![Some("1".to_owned())], true, Some("22012"));

    // A pipeline without BEGIN is one transaction only when it has one Sync; tokio-postgres sends one each.
    let both = futures_util::future::join(talker.client.query_one("select 'one'", &[]), talker.client.query_one("select 'two'", &[])).await;
    assert!(both.0.is_ok() && both.1.is_ok());
    talker.note("select 'one'", Vec::new(), true, None);
    talker.note("select 'two'", Vec::new(), true, None);

    talker.simple("prepare p (text) as select $1").await;
    talker.simple("execute p('x')").await;
    // The driver does not expect what COPY answers, and reads on to the end of it.
    assert!(talker.client.batch_execute(&format!("copy {table} to stdout")).await.unwrap_err().code().is_none());
    talker.transaction += 1;
    talker.simple("set search_path = public").await;
    talker.simple(&format!("delete from {table}")).await;

    let Talker { client, sent, .. } = talker;
    drop(client);
    driver.await.unwrap().unwrap();
    sent
}
