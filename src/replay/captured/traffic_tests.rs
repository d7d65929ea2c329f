//! What connections are told to do, by a server that is made up.

use super::super::call::{Call, Deed, Run};
use super::super::{CAPTURED_VERSION, Captured, CapturedStatement, Source, WireProtocol};
use super::*;
use crate::replay::log::Counts;

/// What is said to the server, as one word each.
fn words(traffic: &Traffic, connection: usize, answer: impl Fn(&str) -> Option<&'static str>) -> Vec<String> {
    let mut said = Vec::new();
    let mut client = traffic.client(connection);
    let mut last = None;
    while let Some((call, due)) = traffic.captured(connection, last) {
        last = Some(call);
        assert_eq!(client.begin(call), traffic.label(call));
        said.push(format!("@{}", due.as_micros()));
        let mut error = None;
        loop {
            let text = match client.next(&Reply { error, ..Reply::default() }) {
                Step::Run(request) => {
                    let text = match request.sql {
                        Sql::Simple(text) | Sql::Once(text) => text.to_owned(),
                        Sql::Prepared(_) => panic!("nothing is prepared"),
                    };
                    let values: Vec<&str> = request.args.iter().map(|value| value.unwrap_or("null")).collect();
                    let wrapped = request.begin.zip(request.end).map_or(String::new(), |(begin, end)| format!("{begin}/{}: ", end.sql()));
                    error = answer(&text);
                    format!("{wrapped}{text}{}", if values.is_empty() { String::new() } else { format!(" [{}]", values.join(",")) })
                }
                Step::Sleep(pause) => {
                    error = None;
                    format!("sleep {}", pause.as_millis())
                }
                Step::End(end) => {
                    error = None;
                    format!("END {}", end.sql())
                }
                Step::Done(ending) => {
                    if let Some(code) = ending.error {
                        said.push(format!("failed {code}, skipped {}", ending.skipped));
                    }
                    break;
                }
                other => panic!("{other:?}"),
            };
            said.push(text);
        }
    }
    said
}

/// Calls of a session: offset, transaction, text, whether it failed with 23505.
struct Log(Vec<Call>);

impl Log {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn deed(mut self, offset_us: u64, session: u64, deed: Deed) -> Self {
        self.0.push(Call { offset_us, session, deed });
        self
    }

    fn connect(self, offset_us: u64, session: u64) -> Self {
        self.deed(offset_us, session, Deed::Connect { user: String::new(), database: String::new(), application: String::new() })
    }

    fn run(self, offset_us: u64, session: u64, transaction: u64, sql: &str) -> Self {
        let run = Run {
            transaction,
            last: false,
            statement: 0,
            sql: sql.into(),
            protocol: WireProtocol::Simple,
            parameters: Vec::new(),
            duration_us: Some(100),
            prepared: None,
            failed: None,
        };
        self.deed(offset_us, session, Deed::Run(run))
    }

    /// Changes the last statement.
    fn with(mut self, change: impl FnOnce(&mut Run)) -> Self {
        if let Some(Call { deed: Deed::Run(run), .. }) = self.0.last_mut() {
            change(run);
        }
        self
    }

    fn traffic(mut self, pool: Option<usize>, writes: Writes, speed: f64) -> Traffic {
        let mut statements: Vec<CapturedStatement> = Vec::new();
        for call in &mut self.0 {
            let Deed::Run(run) = &mut call.deed else { continue };
            let known = statements.iter().position(|one| one.sql == *run.sql);
            let at = known.unwrap_or_else(|| {
                statements.push(CapturedStatement {
                    number: statements.len() as u64 + 10,
                    name: run.sql.split(' ').next().unwrap_or_default().to_owned(),
                    weight: 1,
                    sql: run.sql.to_string(),
                    protocol: WireProtocol::Simple,
                    writes: false,
                    control: matches!(&*run.sql, "begin" | "commit" | "rollback"),
                    failed: 0,
                    mean_us: None,
                    query_id: None,
                });
                statements.len() - 1
            });
            run.statement = at as u64 + 10;
        }
        let captured = Captured {
            captured: CAPTURED_VERSION,
            name: String::new(),
            description: String::new(),
            source: Source::default(),
            counts: Counts::default(),
            calls: "x".to_owned(),
            statements,
        };
        let timeline = Timeline::new(&captured, self.0.into_iter().map(Ok), pool, writes, tempfile::tempfile().unwrap()).unwrap();
        Traffic::new(timeline, speed, writes)
    }
}

fn block() -> Log {
    Log::new()
        .run(1000, 1, 1, "begin")
        .run(1200, 1, 1, "insert into t values ($1)")
        .with(|run| run.parameters = vec![Some("a,'b".to_owned()), None])
        .run(51_300, 1, 1, "select 1")
        .run(51_500, 1, 1, "commit")
}

#[test]
fn a_transaction_is_one_call_with_its_pauses() {
    let traffic = block().traffic(None, Writes::Live, 2.0);
    let said = words(&traffic, 0, |_| None);
    assert_eq!(said, ["@1000", "begin", "insert into t values ($1) [a,'b,null]", "sleep 25", "select 1", "commit"]);
    assert_eq!(traffic.divergence(), Divergence::default());
    let names: Vec<&str> = traffic.labels().iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["begin", "insert", "select", "commit", "transaction insert"]);
}

#[test]
fn after_an_error_of_its_own_a_transaction_is_rolled_back_and_the_rest_skipped() {
    let traffic = block().run(60_000, 1, 2, "select 1").traffic(None, Writes::Live, 1.0);
    let said = words(&traffic, 0, |text| text.starts_with("insert").then_some("23503"));
    let expected =
        ["@1000", "begin", "insert into t values ($1) [a,'b,null]", "END rollback", "failed 23503, skipped 2", "@60000", "select 1"];
    assert_eq!(said, expected);
    let divergence = traffic.divergence();
    assert_eq!((divergence.failed_here_only, divergence.statements["insert"]["23503"]), (1, 1));
}

#[test]
fn what_had_failed_may_fail_again_and_what_follows_is_played() {
    let failing = || {
        let log = Log::new().run(0, 1, 1, "begin").run(200, 1, 1, "insert into t values (1)");
        log.with(|run| run.failed = Some("23505".to_owned())).run(400, 1, 1, "rollback")
    };
    let traffic = failing().traffic(None, Writes::Live, 1.0);
    let said = words(&traffic, 0, |text| text.starts_with("insert").then_some("23505"));
    assert_eq!(said, ["@0", "begin", "insert into t values (1)", "rollback"]);
    assert_eq!(traffic.divergence().failed_as_captured, 1);
    assert!(traffic.labels().iter().any(|label| label.name == "insert (failed)"));
    let traffic = failing().traffic(None, Writes::Live, 1.0);
    assert_eq!(words(&traffic, 0, |_| None).len(), 4);
    assert_eq!(traffic.divergence().failed_there_only, 1);
}

#[test]
fn writes_are_left_out_or_rolled_back_as_the_run_asks() {
    let log =
        || block().run(60_000, 1, 2, "begin").run(60_200, 1, 2, "delete from t").run(60_400, 1, 2, "commit").run(70_000, 1, 3, "select 1");
    let traffic = log().traffic(None, Writes::Readonly, 1.0);
    assert_eq!(words(&traffic, 0, |_| None), ["@1000", "begin", "sleep 50", "select 1", "commit", "@70000", "select 1"]);
    assert_eq!(traffic.timeline().counts.left_out.values().sum::<u64>(), 2);
    let said = words(&log().traffic(None, Writes::Rollback, 1.0), 0, |_| None);
    assert_eq!(said[5..], ["rollback", "@60000", "begin", "delete from t", "rollback", "@70000", "begin/rollback: select 1"]);
}

#[test]
fn a_session_that_ended_in_a_transaction_leaves_none_behind_and_its_connection_starts_anew() {
    let log = Log::new().connect(0, 1).run(10, 1, 1, "begin").run(200, 1, 1, "select 1").deed(900, 1, Deed::Disconnect);
    let log = log.connect(2000, 2).run(2500, 2, 2, "select 2");
    let traffic = log.traffic(None, Writes::Readonly, 1.0);
    assert_eq!(traffic.timeline().connections(), 1);
    let said = words(&traffic, 0, |_| None);
    let read_only = "set default_transaction_read_only = on";
    assert_eq!(said, ["@10", "begin", "select 1", "END rollback", "@2000", "discard all", read_only, "@2500", "select 2"]);
}

#[test]
fn what_was_prepared_before_the_capture_is_prepared_again_once() {
    let execute = |run: &mut Run| run.prepared = Some("prepare q as select 1".to_owned());
    let log = Log::new().run(0, 1, 1, "execute q").with(execute).run(500, 1, 2, "execute q").with(execute);
    let said = words(&log.traffic(None, Writes::Readonly, 1.0), 0, |_| None);
    assert_eq!(said, ["@0", "prepare q as select 1", "execute q", "@500", "execute q"]);
}

#[test]
fn sessions_that_overlap_have_a_connection_each_and_a_pool_as_many_as_it_has() {
    let log = || {
        let log = Log::new().connect(0, 1).connect(0, 2).run(10, 1, 1, "begin").run(20, 2, 2, "select 2");
        log.with(|run| run.last = true).run(3000, 1, 1, "commit").with(|run| run.last = true)
    };
    let own = log().traffic(None, Writes::Live, 1.0);
    assert_eq!((words(&own, 0, |_| None).len(), words(&own, 1, |_| None)), (4, vec!["@20".to_owned(), "select 2".to_owned()]));
    let shared = log().traffic(Some(1), Writes::Live, 1.0);
    assert_eq!(words(&shared, 0, |_| None), ["@10", "begin", "sleep 2", "commit", "@20", "select 2"]);
    assert_eq!(shared.timeline().counts.pool.unwrap().waited, 1);
}
