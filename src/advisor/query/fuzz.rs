//! Damaged statement texts: whatever arrives, reading answers.

use proptest::prelude::*;

use super::super::sample;
use super::*;
use crate::catalog::Relations;

const TEXTS: &[&str] = &[
    "select p.id, lower(email) from prospects p left join meetings m on m.prospect_id = p.id and m.user_id = $1 where p.status in ($2, $3) or (p.score > $4 and not exists (select 1 from users u where u.id = p.user_id)) group by 1, 2 having count(*) > $5 order by p.created_at desc nulls last limit $6 offset $7",
    "with recursive x(a, b) as (select id, user_id from prospects where id = $1 union all select p.id, p.user_id from prospects p join x on p.user_id = x.a), y as materialized (select * from x) select a, row_number() over (partition by b order by a desc) from y where (a, b) in (($2, $3)) and a = any($4::bigint[])",
    "update prospects set (status, score) = ($1, (select max(score) from prospects q where q.user_id = prospects.user_id)) from users u, lateral (select * from meetings where user_id = u.id order by scheduled_at limit 3) l where u.id = prospects.user_id and l.scheduled_at > now() - interval $2 returning *",
    "merge into prospects p using (values ($1::bigint, $2::text)) v(id, s) on p.id = v.id when matched and v.s is null then delete when matched then update set status = v.s when not matched then insert (id, status) values (v.id, v.s)",
    "insert into users (id, email) select id, email from prospects where email ilike $1 and email ~ '^a' and extract($2 from created_at) = $3 on conflict (id) do update set email = excluded.email || $4 where users.email <> excluded.email",
    "select distinct on (user_id) *, case when score > $1 then 'a' else email end from prospects natural join campaign_prospects cross join unnest($2::text[]) with ordinality as t(v, n) where status = $3 and created_at between $4 and $5 and email like $6 || '%' fetch first $7 rows only",
];

fn survives(text: &str) {
    let snapshot = sample::crm();
    let relations = Relations::new(&snapshot);
    let captured = vec![vec![Some("1".to_owned()), None, Some("x'%\\".to_owned())]; 25];
    if let Reading::Skipped(reason) = read(&Names::new(&relations), text, "\"$user\", public", "app", &captured) {
        assert!(!reason.is_empty());
    }
    let _ = crate::sql::fingerprint(text);
}

/// Splits where a token could begin.
fn words(text: &str) -> Vec<&str> {
    text.split_inclusive([' ', '(', ')', ',', '.']).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_text_with_words_lost_doubled_or_moved(at in 0..TEXTS.len(), changes in prop::collection::vec((0..4usize, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6)) {
        let mut parts = words(TEXTS[at]);
        for (change, from, to) in changes {
            if parts.is_empty() {
                break;
            }
            let (from, to) = (from.index(parts.len()), to.index(parts.len()));
            match change {
                0 => { parts.remove(from); }
                1 => parts.insert(to, parts[from]),
                2 => parts.swap(from, to),
                _ => { let other = words(TEXTS[(at + 1) % TEXTS.len()]); parts.insert(to, other[from % other.len()]); }
            }
        }
        survives(&parts.concat());
    }

    #[test]
    fn a_text_cut_anywhere(at in 0..TEXTS.len(), end in any::<prop::sample::Index>()) {
        let text = TEXTS[at];
        survives(&text[..end.index(text.len())]);
    }

    #[test]
    fn any_text_at_all(text in "\\PC{0,200}") {
        survives(&text);
    }

    #[test]
    fn a_part_repeated_without_end(at in 0..TEXTS.len(), from in any::<prop::sample::Index>(), width in 1..5usize, times in 2..800usize) {
        let parts = words(TEXTS[at]);
        let from = from.index(parts.len());
        let end = (from + width).min(parts.len());
        let text = [parts[..from].concat(), parts[from..end].concat().repeat(times), parts[end..].concat()].concat();
        survives(&text);
    }
}

#[test]
fn deep_nesting_is_answered() {
    for depth in [10, 40, 60, 500, 20_000] {
        survives(&format!("select {}1{}", "(".repeat(depth), ")".repeat(depth)));
        survives(&format!("select * from prospects where {}score = 1{}", "not (".repeat(depth), ")".repeat(depth)));
        survives(&format!("select * from {}prospects{}", "(select * from ".repeat(depth), ") x".repeat(depth)));
        survives(&format!(
            "select * from prospects where id in {}select 1{}",
            "(select id from prospects where id in (".repeat(depth),
            "))".repeat(depth)
        ));
        survives(&format!("select {}score{} from prospects", "lower(".repeat(depth), ")".repeat(depth)));
        survives(&format!("select {} from prospects", "case when score > 1 then ".repeat(depth)));
        survives(&format!("select * from prospects{}", " natural join prospects".repeat(depth.min(500))));
        survives(&format!("select * from prospects{}", " join prospects".repeat(depth)));
        survives(&format!("select * from prospects{} join prospects", " natural join".repeat(depth)));
        survives(&format!("select * from prospects{}", " left join prospects p on p.id = $1".repeat(depth.min(500))));
        survives(&format!("select 1 from prospects{}", " union all select 1 from prospects".repeat(depth)));
        survives(&format!("{}select 1{}", "with x as (".repeat(depth), ") select * from x".repeat(depth)));
    }
}

#[test]
fn a_list_of_a_hundred_kilobytes_is_read_at_once() {
    let list = (0..12_000).map(|item| format!("'{item:06}'")).collect::<Vec<_>>().join(", ");
    let text = format!("select * from prospects where status in ({list}) and user_id = $1 order by id");
    assert!(text.len() > 100_000);
    let started = std::time::Instant::now();
    let snapshot = sample::crm();
    let relations = Relations::new(&snapshot);
    let Reading::Understood { blocks, .. } = read(&Names::new(&relations), &text, "public", "app", &[]) else { panic!("not understood") };
    assert!(started.elapsed() < std::time::Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(blocks[0].accesses[0].conditions[0].class, Class::Equality { values: 1000 });
}
