//! A database with every kind of thing an audit speaks of, and the product's own statements recorded on it.

use std::sync::OnceLock;
use std::time::Instant;

use serde_json::Value;

use super::{LIMIT, Shop};

/// Rows enough that an index decides, few enough to be made in seconds.
const PROSPECTS: u32 = 20_000;

const OBJECTS: &str = "
    alter system set autovacuum = off;
    alter system set pg_stat_statements.track_utility = off;
    select pg_reload_conf();
    create index meetings_prospect_again on meetings (prospect_id);
    create index prospects_email_lower on prospects (lower(email));
    create index prospects_new on prospects (created_at) where status = 'new';
    create index prospects_title on prospects (job_title, last_name, first_name, location);
    alter table prospects add column tags text[];
    update prospects set tags = array['t' || id % 50, 'u' || id % 700] where id % 3 = 0;
    create index prospects_tags on prospects using gin (tags);
    comment on table prospects is 'Geheim: the comment';
    update prospects set notes = 'Geheim: the note of all', source = case when id % 60 = 0 then 'xenia' else source end where id % 20 = 0;
    vacuum analyze;
    select pg_stat_statements_reset();";

/// What the application runs: each once a number, so that calls differ.
const STATEMENTS: [(&str, u32); 9] = [
    ("select id, first_name, last_name from prospects where user_id = {n} and status = 'new' order by created_at desc limit 50", 20),
    ("select status, count(*) from prospects where user_id = {n} group by status", 6),
    ("select count(*) from meetings where user_id = {n}", 9),
    (
        "select id, role, content from ai_conversation_log where conversation_id = '00000000-0000-0000-0000-00000000000{n}' order by created_at",
        9,
    ),
    ("select id from prospects where lower(email) = 'Geheim{n}@geheim.example'", 5),
    ("select count(*) from prospects where tags @> array['t{n}', 'u7']", 5),
    ("select id from prospects where status = 'new' and created_at > now() - interval '{n} days' order by created_at limit 10", 5),
    ("select * from meetings where prospect_id = {n} order by scheduled_at desc", 9),
    ("update meetings set location = 'Geheim{n}' where id = {n}", 7),
];

/// Makes the database, and a snapshot of it in `audited.json`.
fn make() -> Shop {
    let shop = Shop::new(PROSPECTS);
    // One command a call: VACUUM runs in no transaction.
    for command in OBJECTS.split(';').filter(|command| !command.trim().is_empty()) {
        shop.sql("shop", command);
    }
    for (text, calls) in STATEMENTS {
        for number in 1..=calls {
            // Of several digits a UUID would be too long.
            shop.sql("shop", &text.replace("{n}", &(number % 10).to_string()));
        }
    }
    // A session's counters are there when it has gone, which is after its client has.
    let gone = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
    let begun = Instant::now();
    while shop.sql("shop", gone).trim() != "0" {
        assert!(begun.elapsed() < LIMIT, "sessions stay");
    }
    shop.run(&["snapshot", "-o", "audited.json"]).success();
    shop
}

/// One such database for the tests that change nothing another test could see.
pub(super) fn audited() -> &'static Shop {
    static AUDITED: OnceLock<Shop> = OnceLock::new();
    AUDITED.get_or_init(make)
}

/// Audits the snapshot of it.
pub(super) fn audit(arguments: &[&str]) -> Value {
    audited()
        .json(&[&["audit", "--snapshot", "audited.json", "--format", "json", "--timestamp", "2026-11-23T09:45:00Z"], arguments].concat())
}

/// The proposals of one action, by index.
pub(super) fn proposed(audit: &Value, action: &str) -> Vec<String> {
    let proposals = audit["proposals"].as_array().unwrap().iter().filter(|proposal| proposal["action"] == action);
    proposals.map(|proposal| proposal["name"].as_str().unwrap().to_owned()).collect()
}
