//! The prefixes people use, tried on the first lines of a file.

use super::line::Line;
use super::physical::Physical;
use super::prefix::Prefix;
use super::stderr::begins_message;

/// Defaults of the server, of distributions, of cloud services and of log analysers' manuals.
#[rustfmt::skip]
const USUAL: &[&str] = &[
    "%m [%p] ",
    "%m [%p] %q%u@%d ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%m [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%m [%p]: [%l-1] db=%d,user=%u,app=%a,client=%h ",
    "%t [%p]: [%l-1] db=%d,user=%u,app=%a,client=%h ",
    "%m [%p]: [%l-1] user=%u,db=%d ",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%m [%p]: [%l-1] db=%d,user=%u ",
    "%t [%p]: [%l-1] db=%d,user=%u ",
    "%m [%p]: db=%d,user=%u,app=%a,client=%h ",
    "%t:%r:%u@%d:[%p]:",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a ",
    "%t-%c-",
    "%m-%c-",
    "%t [%p-%l] %q%u@%d ",
    "%m [%p-%l] %q%u@%d ",
    "%m [%p-%l] %u@%d ",
    "%t [%p] %q%u@%d ",
    "%t [%p] ",
    "%t [%p]: ",
    "%m [%p]: ",
    "%t [%p]: [%l-1] ",
    "%m [%p]: [%l-1] ",
    "%m [%p] %u@%d ",
    "%t [%p] %u@%d ",
    "%m [%p] %u@%d/%a ",
    "%m %u@%d [%p] ",
    "%m [%p] %u %d ",
    "%m [%p] %c %u %d ",
    "%m [%c] %q%u@%d ",
    "%m [%c] ",
    "%m [%p] %v ",
    "%m [%p] %q%u@%d %v ",
    "%m [%p] %c %l %v ",
    "%m %c %v %u %d ",
    "%m %p %u@%d ",
    "%m %p ",
    "%t %p ",
    "%n [%p] ",
    "%n [%p] %q%u@%d ",
    "%m [%p] %q%a ",
    "%m [%p] %q%u@%d %a ",
    "%m [%p] %q%u@%d %Q ",
    "%m [%p] %q%u@%d %c %v %Q ",
    "%t [%p]: [%l-1] %c %x %d %u %a %h ",
    "%h %m [%p] %q%u@%d ",
    "{%h} {%m} [%p] %q%u@%d ",
    "[%m] [%p] %q%u@%d ",
    "[%m] [%p] ",
    "%m|%p|%u|%d|%a|",
    "%m|%u|%d|%p|",
    "< %m [%p] %u@%d > ",
    "<%m [%p] %u@%d> ",
    "%m %d %u [%p] ",
    "%m [%r] [%p] %u@%d ",
    "%t %u@%d %r [%p] ",
    "%m %h %u@%d [%p] ",
];

/// Returns the usual prefix that most of the lines begin with; of those that fit alike the one that says most, then the first.
pub(super) fn guess(lines: &[Physical]) -> Option<Prefix> {
    let score = |prefix: &Prefix| {
        let read = lines.iter().filter_map(|line| prefix.read(&line.bytes, &begins_message));
        read.fold((0, 0), |(fits, facts), (line, _)| (fits + 1, facts + known(&line)))
    };
    USUAL
        .iter()
        .filter_map(|text| Prefix::compile(text).ok())
        .map(|prefix| (score(&prefix), prefix))
        .filter(|((fits, _), _)| *fits > 0)
        .rev()
        .max_by_key(|(score, _)| *score)
        .map(|(_, prefix)| prefix)
}

/// How many facts a prefix gave.
fn known(line: &Line) -> usize {
    let texts = [&line.user, &line.database, &line.application].into_iter().filter(|text| !text.is_empty()).count();
    let numbers = [line.process.is_some(), line.session_line.is_some(), line.session_start_us.is_some(), line.query_id.is_some()];
    let words = [line.session.is_some(), line.tag.is_some(), line.vxid.is_some(), line.sqlstate.is_some(), line.backend.is_some()];
    texts + numbers.into_iter().chain(words).filter(|known| *known).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(lines: &[&str]) -> Option<String> {
        let lines: Vec<Physical> =
            lines.iter().map(|line| Physical { bytes: line.as_bytes().to_vec(), number: 1, cut: false, ended: true }).collect();
        guess(&lines).map(|prefix| prefix.text().to_owned())
    }

    #[test]
    fn every_usual_prefix_can_be_compiled() {
        for text in USUAL {
            Prefix::compile(text).unwrap();
        }
    }

    #[test]
    fn the_prefix_is_found_from_the_lines() {
        let debian = [
            "2026-11-23 16:03:29.853 UTC [7] LOG:  database system is ready",
            "2026-11-23 16:03:29.853 UTC [8] me@shop LOG:  statement: x",
            "\ty",
        ];
        assert_eq!(guessed(&debian).as_deref(), Some("%m [%p] %q%u@%d "));
        assert_eq!(guessed(&debian[..1]).as_deref(), Some("%m [%p] "), "nothing yet says more");
        let rds = ["2026-11-23 16:03:29 UTC:10.0.0.1(4711):me@shop:[7]:LOG:  statement: x"];
        assert_eq!(guessed(&rds).as_deref(), Some("%t:%r:%u@%d:[%p]:"));
        let badger = ["2026-11-23 16:03:29 UTC [7]: [3-1] user=me,db=shop,app=psql,client=[local] LOG:  duration: 1.0 ms  statement: x"];
        assert!(guessed(&badger).is_some_and(|text| text.contains("app=%a,client=%h")));
        assert_eq!(guessed(&["nothing of the kind", "2026-11-23"]), None);
    }
}
