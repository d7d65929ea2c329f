//! Statements as no one would write them: none may end the run, take another down with it, or change the answer to the rest.

use std::time::Instant;

use pgload::advisor::{Action, Advice, advise};
use pgload::catalog::{Snapshot, Statement};

use super::{CALLS, Source, budget, recorded, twin};

const SCHEMA: &str = "
create table people (id bigint primary key, email text not null, city text not null, tags text[] not null, doc jsonb not null, at timestamptz not null);
insert into people
select i, 'u' || i || '@example.com', 'city ' || i % 300, array['t' || i % 90], jsonb_build_object('k', i % 500),
    timestamptz '2024-01-01' + i * interval '1 hour'
from generate_series(1, 30000) as i;
create table letters (id bigint primary key, person bigint not null, kind integer not null, text text not null);
insert into letters select i, i::bigint * 7919 % 30000 + 1, i % 400, repeat('l', i % 90) from generate_series(1, 60000) as i;
vacuum (freeze, analyze)";

const SOUND: &[&str] = &[
    "select id from people where email = $1",
    "select id, text from letters where person = $1 and kind in ($2, $3) order by id desc limit $4",
    "select p.id, l.text from people p join letters l on l.person = p.id where p.city = $1 and l.kind > $2",
    "select count(*) from people where at > now() - interval $1 and tags @> $2 or (doc->>$3)::int = $4",
    "update letters set text = $1 where kind = $2 and person = (select max(id) from people where city like $3)",
];

/// The next of a row of numbers that is always the same (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

/// Takes letters away, puts others in, swaps and repeats pieces.
fn mutated(text: &str, numbers: &mut Numbers) -> String {
    const PIECES: &[&str] = &[
        "(", ")", "'", "\"", "$1", "$0", "$99999", "$$", ";", "--", "/*", "*/", "::int", "\0", "ä", "select", " or ", " and ", ",", ".",
        "E'\\", "1e999", "\u{feff}", "[", "null",
    ];
    let mut letters: Vec<String> = text.chars().map(String::from).collect();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(letters.len());
        let to = (at + numbers.below(12)).min(letters.len());
        match numbers.below(4) {
            0 => drop(letters.drain(at..to)),
            1 => letters.insert(at, PIECES[numbers.below(PIECES.len())].to_owned()),
            2 => {
                let piece: Vec<String> = letters[at..to].to_vec();
                let place = numbers.below(letters.len());
                letters.splice(place..place, piece);
            }
            _ => letters[at..to].reverse(),
        }
        if letters.is_empty() {
            return String::new();
        }
    }
    letters.concat()
}

/// Returns what a person, a client or a full disk may leave in the list.
fn odd() -> Vec<Statement> {
    let mut numbers = Numbers(20_240_607);
    let mut texts: Vec<String> = Vec::new();
    for text in SOUND {
        texts.extend((1..text.len()).step_by(7).filter(|at| text.is_char_boundary(*at)).map(|at| text[..at].to_owned()));
        texts.extend((0..60).map(|_| mutated(text, &mut numbers)));
    }
    let list = |item: &dyn Fn(usize) -> String, bytes: usize| {
        let mut list = String::new();
        for at in 1.. {
            list.push_str(&item(at));
            if list.len() > bytes {
                break;
            }
            list.push_str(", ");
        }
        list
    };
    texts.push(format!("select id from people where id in ({})", list(&|at| at.to_string(), 100_000)));
    texts.push(format!("select id from people where email in ({})", list(&|at| format!("'{at}@example.com'"), 100_000)));
    texts.push(format!("select id from people where id in ({})", list(&|at| format!("${at}"), 100_000)));
    texts.push(format!("select id from people where {}id = 1{}", "(".repeat(5_000), ")".repeat(5_000)));
    texts.push(format!("select id from people where {}", vec!["id = $1"; 3_000].join(" or ")));
    texts.push(format!("select {} from people", vec!["case when id = 1 then 2 else"; 400].join(" ")));
    texts.extend(
        [
            "",
            ";",
            "\0",
            "select",
            "\u{feff}",
            "select 1; drop table people",
            "select id from people where $1",
            "x".repeat(100_000).as_str(),
        ]
        .map(str::to_owned),
    );
    let mut statements: Vec<Statement> = texts.iter().enumerate().map(|(at, text)| recorded(&format!("odd {at}"), text, 1, &[])).collect();
    let hidden = Statement { query_id: None, query: Some("<insufficient privilege>".to_owned()), ..recorded("", "", 5, &[]) };
    let lost = Statement { query: None, ..recorded("lost", "", 5, &[]) };
    let wild = Statement { calls: 0, rows: u64::MAX, ..recorded("wild", SOUND[0], 1, &[&["x", "y", "z"], &[]]) };
    statements.extend([hidden, lost, wild]);
    // What cannot be used must not weigh what can down to nothing.
    statements.iter_mut().for_each(|statement| statement.exec_ms_total /= 1e6);
    statements
}

fn sound() -> Vec<Statement> {
    SOUND.iter().enumerate().map(|(at, text)| recorded(&format!("sound {at}"), text, CALLS, &[])).collect()
}

fn advice(snapshot: &Snapshot, statements: Vec<Statement>, workers: usize) -> Advice {
    let snapshot = Snapshot { statements, ..snapshot.clone() };
    let mut twin = twin(&snapshot, workers);
    let begun = Instant::now();
    let advice = advise(&snapshot, &mut twin, &budget());
    println!("{} statements in {:.1?}", snapshot.statements.len(), begun.elapsed());
    advice
}

#[tokio::test]
async fn no_input_ends_the_run_and_every_refusal_has_a_reason() {
    let source = Source::new("", SCHEMA).await;
    let plain = advice(&source.snapshot, sound(), 2);
    let odd = odd();
    let count = odd.len();
    let mixed = advice(&source.snapshot, odd.into_iter().chain(sound()).collect(), 2);
    let cost = |advice: &Advice, name: &str| {
        let mut effects =
            advice.proposals.iter().filter(|proposal| proposal.action == Action::Create).flat_map(|proposal| &proposal.statements);
        effects.find(|effect| effect.query_id == name).map(|effect| effect.cost)
    };
    let coverage = &mixed.coverage;
    println!("{} recorded, {} used, {} skipped", coverage.statements, coverage.usable, coverage.skipped.len());
    assert!((0..SOUND.len()).filter(|at| cost(&plain, &format!("sound {at}")).is_some()).count() >= 4, "{plain:#?}");
    // Another set may serve them as well together with an odd statement that was sound after all.
    for name in (0..SOUND.len()).map(|at| format!("sound {at}")) {
        let Some(alone) = cost(&plain, &name) else { continue };
        let among = cost(&mixed, &name).unwrap_or_else(|| panic!("{name} gets nothing any more: {:#?}", mixed.proposals));
        assert!(among.after - alone.after <= 0.05 * alone.before, "{name}: {among:?} among the others, {alone:?} alone");
    }
    assert!(coverage.skipped.len() > count / 2, "{} of {count}", coverage.skipped.len());
    let silent: Vec<_> = coverage.skipped.iter().filter(|skipped| skipped.reason.trim().is_empty()).collect();
    assert!(silent.is_empty(), "{silent:#?}");
    assert_eq!(coverage.usable + coverage.skipped.len(), coverage.statements, "each is used or skipped");
    for hidden in [None, Some("lost")] {
        let found = coverage.skipped.iter().find(|skipped| skipped.query_id.as_deref() == hidden);
        assert!(found.is_some_and(|found| found.reason.contains("GRANT pg_read_all_stats")), "{hidden:?} {found:?}");
    }
    let finite = |share: f64| (0.0..=1.0).contains(&share);
    assert!(
        coverage.skipped.iter().all(|skipped| finite(skipped.exec_time_share)) && coverage.exec_time_share.is_some_and(finite),
        "{:?}",
        coverage.exec_time_share
    );
    drop(source.cluster);
}

#[tokio::test]
async fn the_same_statements_in_any_order_give_the_same_advice() {
    let source = Source::new("", SCHEMA).await;
    let first = advice(&source.snapshot, sound(), 2);
    assert!(!first.proposals.is_empty());
    assert_eq!(advice(&source.snapshot, sound(), 2), first, "twice the same");
    let reversed = sound().into_iter().rev().collect();
    assert_eq!(advice(&source.snapshot, reversed, 1), first, "in another order, by one worker");
    let mut shuffled = sound();
    let mut numbers = Numbers(7);
    for at in (1..shuffled.len()).rev() {
        let other = numbers.below(at + 1);
        shuffled.swap(at, other);
    }
    assert_eq!(advice(&source.snapshot, shuffled, 3), first, "shuffled, by three workers");
    drop(source.cluster);
}
