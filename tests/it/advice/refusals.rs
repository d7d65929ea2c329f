//! Indexes that a statement asks for and nobody should have.

use pgload::advisor::candidate::label;
use pgload::advisor::{Action, advise};
use pgload::catalog::Snapshot;

use super::{CALLS, Miss, Source, budget, failures, read, recorded, twin};

/// Collated by ICU under a database whose C library locale is byte order; without `pg_trgm`.
const WORDS: &str = "
create table words (id bigint primary key, word text not null, kind varchar(20) not null, about text not null);
insert into words
select i, 'w' || md5(i::text), 'k' || md5((i * 3)::text)::varchar(12), md5((i * 7)::text) || md5((i * 9)::text) || repeat('a', 50)
from generate_series(1, 60000) as i;
vacuum (freeze, analyze) words";

#[tokio::test]
async fn beginnings_need_another_operator_class_and_pieces_an_extension() {
    let source = Source::new("template template0 locale_provider icu icu_locale 'en-US' locale 'C'", WORDS).await;
    let miss = |name, sql, wants| Miss { name, sql, captured: &[], wants };
    let misses = [
        miss("beginning", "select id from words where word like $1", &["words (word text_pattern_ops)"][..]),
        miss("literal beginning", "select id from words where kind like 'kab1%'", &["words (kind varchar_pattern_ops)"][..]),
    ];
    let (_, failures) = failures(&source, &misses).await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    let piece = recorded("piece", "select id from words where about ilike $1", CALLS, &[&["%abc%"]]);
    let snapshot = Snapshot { statements: vec![piece], ..source.snapshot.clone() };
    let advice = advise(&snapshot, &mut twin(&snapshot, 1), &budget());
    let creates = advice.proposals.iter().filter(|proposal| proposal.action == Action::Create).count();
    let named = advice.refused.iter().any(|refused| refused.reason.contains("CREATE EXTENSION pg_trgm"));
    assert!(creates == 0 && named, "{advice:#?}");
    drop(source.cluster);
}

/// Rows with room on their pages, so that updates stay there.
const TASKS: &str = "
create table tasks (id bigint primary key, status text not null, owner integer not null, note text not null) with (fillfactor = 50);
insert into tasks select i, 'status ' || i % 40, i::bigint * 7919 % 1009, repeat('n', 40) from generate_series(1, 60000) as i;
vacuum (freeze, analyze) tasks;
update tasks set status = 'status ' || (id + 1) % 40 where id % 4 = 1;
update tasks set status = 'status ' || (id + 2) % 40 where id % 4 = 2;
update tasks set status = 'status ' || (id + 3) % 40 where id % 4 = 3;
vacuum (analyze) tasks";

#[tokio::test]
async fn an_index_on_a_status_that_changes_all_day_is_refused_with_numbers() {
    let source = Source::new("", TASKS).await;
    // The counters of the session that filled the tables arrive when it goes idle.
    super::super::snapshot::until(&source.client, "select n_tup_hot_upd > 40000 from pg_stat_user_tables where relname = 'tasks'").await;
    let mut snapshot = read(&source.cluster).await;
    let mut update = recorded("update", "update tasks set status = $1 where id = $2", 45_000, &[]);
    update.rows = 45_000;
    let read = recorded("read", "select count(note) from tasks where status = $1", 5, &[]);
    let own = recorded("own", "select note, status from tasks where owner = $1", 500, &[]);
    snapshot.statements = vec![update, read, own];
    // Statements of a file were never timed: their calls and costs say what they weigh.
    snapshot.statements.iter_mut().for_each(|statement| statement.exec_ms_total = 0.0);
    let advice = advise(&snapshot, &mut twin(&snapshot, 2), &budget());
    let labels: Vec<String> = advice.proposals.iter().map(|proposal| label(&proposal.index)).collect();
    assert!(labels.iter().any(|label| label.starts_with("tasks (owner)")), "{labels:?}\n{:#?}", advice.refused);
    assert!(labels.iter().all(|label| !label.contains("status")), "{labels:?}");
    let refused =
        advice.refused.iter().find(|refused| refused.candidate == "tasks (status)").unwrap_or_else(|| panic!("{:#?}", advice.refused));
    let numbers = ["writes would pay more than statements gain", "updates of tasks that set status are HOT now", "all 2 indexes"];
    assert!(numbers.iter().all(|part| refused.reason.contains(part)), "{refused:?}");
    println!("{}", refused.reason);
    drop(source.cluster);
}
