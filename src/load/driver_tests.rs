//! The driver against a fake target on a paused clock: what is counted, and what a stalled server looks like.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::load::{Outcome, Spacing, Stage, Tally, WARM_UP_CALLS};

/// How the fake server answers a call made at a time since its start.
type Answer = dyn Fn(u64, Duration) -> (Duration, Outcome);

/// A server with a function for a mind; remembers the calls it got.
struct Fake {
    start: Instant,
    calls: RefCell<Vec<u64>>,
    answer: Box<Answer>,
}

struct FakeSession(Rc<Fake>);

impl Target for Fake {
    type Session = FakeSession;

    fn labels(&self) -> usize {
        2
    }

    fn label(&self, call: u64) -> usize {
        usize::from(!call.is_multiple_of(10))
    }
}

impl Session for FakeSession {
    async fn call(&mut self, call: u64, _: &mut Vec<Part>) -> Outcome {
        self.0.calls.borrow_mut().push(call);
        let (service, outcome) = (self.0.answer)(call, self.0.start.elapsed());
        tokio::time::sleep(service).await;
        outcome
    }
}

fn fake(answer: impl Fn(u64, Duration) -> (Duration, Outcome) + 'static) -> Rc<Fake> {
    Rc::new(Fake { start: Instant::now(), calls: RefCell::default(), answer: Box::new(answer) })
}

fn label(call: u64) -> usize {
    usize::from(!call.is_multiple_of(10))
}

async fn run_until(target: &Rc<Fake>, plan: &Plan, stop: &Stop) -> Recording {
    let mut sessions: Vec<_> = (0..plan.arrival.sessions()).map(|_| FakeSession(Rc::clone(target))).collect();
    drive(target.as_ref(), &mut sessions, plan, &Clock::runtime(), stop, &|_| {}).await
}

async fn run(target: &Rc<Fake>, plan: &Plan) -> Recording {
    run_until(target, plan, &Stop::default()).await
}

const MS: Duration = Duration::from_millis(1);

fn closed(clients: usize, seconds: u64) -> Plan {
    Plan::new(Arrival::Closed { clients, think: Duration::ZERO }, 1, Duration::from_secs(seconds))
}

fn open(rate: f64, spacing: Spacing, sessions: usize, seconds: u64) -> Plan {
    Plan::new(Arrival::Open { rate, spacing, sessions }, 1, Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn closed_clients_call_back_to_back() {
    let target = fake(|call, _| (10 * MS, Outcome::done(label(call), 3)));
    let recording = run(&target, &closed(4, 2)).await;
    assert_eq!((recording.count(), recording.count_in_window, recording.ended), (800, 800, Ended::Complete));
    assert_eq!(recording.window, Duration::from_secs(2));
    assert_eq!(recording.labels.iter().map(|l| (l.whole.count, l.whole.rows)).collect::<Vec<_>>(), [(80, 240), (720, 2160)]);
    assert_eq!(recording.series.iter().map(|s| s.count).sum::<u64>(), 800);
    let Tally { response, service, lag, .. } = recording.calls.clone();
    assert_eq!((response.percentiles(), lag.count()), (service.percentiles(), 0), "a closed loop has no lag");
    assert!((10_000..10_010).contains(&service.percentile(0.5).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn thinking_time_is_not_service_time() {
    let target = fake(|call, _| (10 * MS, Outcome::done(label(call), 1)));
    let plan = Plan::new(Arrival::Closed { clients: 1, think: 90 * MS }, 1, Duration::from_secs(10));
    let recording = run(&target, &plan).await;
    assert_eq!(recording.count(), 100);
    assert!((10_000..10_010).contains(&recording.calls.response.percentile(0.5).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_closed_loop_bounded_by_calls_makes_exactly_those_whatever_their_speed() {
    let lists = [7, 11].map(|pace| async move {
        let target = fake(move |call, _| ((1 + call % pace) as u32 * MS, Outcome::done(label(call), 1)));
        let plan = Plan { max_calls: Some(1003), first_call: WARM_UP_CALLS, ..closed(8, 3600) };
        assert_eq!(run(&target, &plan).await.count(), 1003);
        let mut calls = target.calls.take();
        calls.sort_unstable();
        calls
    });
    let [first, second] = lists;
    let expected: Vec<u64> = (WARM_UP_CALLS..WARM_UP_CALLS + 1003).collect();
    assert_eq!(first.await, expected);
    assert_eq!(second.await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_keeps_its_rate() {
    let target = fake(|call, _| (5 * MS, Outcome::done(label(call), 1)));
    let recording = run(&target, &open(100.0, Spacing::Uniform, 4, 10)).await;
    assert_eq!((recording.count(), recording.not_started, recording.queued), (1000, 0, 0));
    assert_eq!(recording.window, Duration::from_secs(10));
    assert_eq!(target.calls.take(), (0..1000).collect::<Vec<_>>());
    assert_eq!(recording.late.count(), 999, "the first is due before anyone waits");
    assert_eq!(recording.series.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_open_calls_at_the_same_times() {
    let times = |seed| async move {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let target = fake(move |call, at| {
            log.borrow_mut().push((call, at));
            (MS, Outcome::done(label(call), 1))
        });
        run(&target, &Plan { seed, ..open(50.0, Spacing::Poisson, 8, 20) }).await;
        seen.take()
    };
    let (first, again, other) = (times(1).await, times(1).await, times(2).await);
    assert!((900..1100).contains(&first.len()), "{}", first.len());
    assert_eq!(first, again);
    assert_ne!(first, other);
}

/// A 2 s freeze in a 10 s run at 100 calls a second: the case in which most load tools report a p99 of some 4 ms.
#[tokio::test(start_paused = true)]
async fn a_stalled_server_shows_in_response_and_hardly_in_service() {
    let freeze = |at: Duration| (Duration::from_secs(4)..Duration::from_secs(6)).contains(&at);
    let target = fake(move |call, at| {
        let service = if freeze(at) { Duration::from_secs(6) - at } else { MS };
        (service, Outcome::done(label(call), 1))
    });
    let recording = run(&target, &open(100.0, Spacing::Uniform, 2, 10)).await;
    assert_eq!((recording.count(), recording.not_started), (1000, 0));
    let Tally { response, service, lag, .. } = recording.calls.clone();
    // 200 of 1000 calls came due in the freeze, evenly: p90 waits for 1 s, p99 for 1.9 s. The queue of 198 is worked
    // off in 0.1 s afterwards.
    assert!((950_000..1_150_000).contains(&response.percentile(0.90).unwrap()), "{response:?}");
    assert!((1_850_000..2_000_000).contains(&response.percentile(0.99).unwrap()));
    assert!(service.percentile(0.99).unwrap() < 2_100, "only the two calls under way felt it");
    assert!(lag.percentile(0.99).unwrap() > 1_800_000);
    assert!(recording.queued >= 190);
    assert!(recording.late.percentile(0.95).unwrap() < 2_100, "the generator itself was on time");
}

#[tokio::test(start_paused = true)]
async fn calls_never_started_count_as_infinitely_slow() {
    // One session, 100 ms a call, 20 calls a second: half of the 200 cannot be made in 10 s, ten more in the grace.
    let target = fake(|call, _| (100 * MS, Outcome::done(label(call), 1)));
    let recording = run(&target, &open(20.0, Spacing::Uniform, 1, 10)).await;
    assert_eq!(recording.count() + recording.not_started, 200);
    assert!((85..=95).contains(&recording.not_started), "{}", recording.not_started);
    assert!(recording.count_in_window <= 100);
    let Tally { response, service, .. } = recording.calls.clone();
    assert_eq!((response.count(), response.infinite()), (200, recording.not_started));
    assert_eq!(response.percentile(0.9), None);
    assert!(response.percentile(0.5).is_some());
    assert!(service.percentile(0.9).is_some());
    let by_label: u64 = recording.labels.iter().map(|l| l.whole.response.infinite()).sum();
    assert_eq!(by_label, recording.not_started);
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_bounded_by_calls_ends_with_the_last_of_them() {
    let target = fake(|call, _| (MS, Outcome::done(label(call), 1)));
    let recording = run(&target, &Plan { max_calls: Some(50), ..open(100.0, Spacing::Uniform, 4, 3600) }).await;
    assert_eq!((recording.count(), recording.not_started, recording.ended), (50, 0, Ended::Complete));
    assert!(recording.window < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn errors_are_counted_by_code() {
    let target = fake(|call, _| match call % 4 {
        0 => (MS, Outcome::failed(label(call), "23505")),
        1 => (MS, Outcome::failed(label(call), "40001")),
        _ => (MS, Outcome::done(label(call), 1)),
    });
    let recording = run(&target, &Plan { max_calls: Some(400), ..closed(3, 60) }).await;
    assert_eq!((recording.count(), recording.errors()), (400, 200));
    let total = |code| recording.labels.iter().filter_map(|l| l.whole.errors.get(code)).sum::<u64>();
    assert_eq!((total("23505"), total("40001")), (100, 100));
    assert_eq!(recording.series.iter().map(|s| s.errors).sum::<u64>(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_calls_end_and_keeps_what_was_measured() {
    for plan in [closed(2, 3600), open(20.0, Spacing::Uniform, 2, 3600)] {
        let target = fake(|call, _| (100 * MS, Outcome::done(label(call), 1)));
        let stop = Stop::default();
        let (recording, ()) = tokio::join!(run_until(&target, &plan, &stop), async {
            tokio::time::sleep(Duration::from_millis(4950)).await;
            stop.request();
        });
        assert_eq!((recording.ended, recording.unfinished), (Ended::Stopped, 0));
        assert!((98..=100).contains(&recording.count()), "{}", recording.count());
        assert!(recording.window < Duration::from_millis(5100));
        assert!(recording.not_started <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_gives_calls_up() {
    let target = fake(|call, _| (Duration::from_secs(if call < 10 { 0 } else { 1000 }), Outcome::done(label(call), 1)));
    let stop = Stop::default();
    let plan = open(10.0, Spacing::Uniform, 3, 3600);
    let (recording, ()) = tokio::join!(run_until(&target, &plan, &stop), async {
        tokio::time::sleep(Duration::from_millis(1950)).await;
        stop.request();
        tokio::time::sleep(MS).await;
        stop.request();
    });
    assert_eq!((recording.ended, recording.count(), recording.unfinished, recording.not_started), (Ended::Stopped, 10, 3, 7));
    assert_eq!(recording.calls.response.infinite(), 10);
}

#[tokio::test(start_paused = true)]
async fn calls_that_never_end_are_given_up_after_the_drain() {
    let target = fake(|call, _| (Duration::from_secs(if call == 5 { 100_000 } else { 1 }), Outcome::done(label(call), 1)));
    let start = Instant::now();
    let recording = run(&target, &Plan { drain: Duration::from_secs(3), ..closed(2, 10) }).await;
    assert_eq!((recording.ended, recording.unfinished), (Ended::Stuck, 1));
    assert_eq!(start.elapsed(), Duration::from_secs(13));
    assert_eq!(recording.window, Duration::from_secs(10));
    assert_eq!(recording.labels[label(5)].whole.response.infinite(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_target_ends_the_run_with_what_was_measured() {
    for plan in [closed(3, 60), open(100.0, Spacing::Uniform, 3, 60)] {
        let target = fake(|call, at| {
            let lost = at > Duration::from_secs(2);
            let error = lost.then(|| "connection".to_owned());
            (10 * MS, Outcome { label: label(call), error, lost, ..Outcome::default() })
        });
        let recording = run(&target, &plan).await;
        assert_eq!((recording.ended, recording.errors()), (Ended::Lost, 3));
        assert!(recording.count() >= 200);
        assert!(recording.window < Duration::from_secs(3));
    }
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_every_second() {
    let target = fake(|call, _| (2 * MS, Outcome::done(label(call), 1)));
    let mut sessions = vec![FakeSession(Rc::clone(&target))];
    let told = RefCell::new(Vec::new());
    let plan = closed(1, 5);
    drive(target.as_ref(), &mut sessions, &plan, &Clock::runtime(), &Stop::default(), &|p: &Progress| told.borrow_mut().push(*p)).await;
    let told = told.take();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0].calls < pair[1].calls));
    assert!((1_980..=2_020).contains(&told[3].p95_us.unwrap()));
}

/// Runs a plan over several workers on one paused clock.
async fn run_shared(target: &Rc<Fake>, plan: &Plan, workers: usize, backwards: bool) -> Recording {
    let gathering = RefCell::new(Gathering::new(workers, 2));
    let start = Instant::now();
    let tell = |tick: Tick| {
        gathering.borrow_mut().take(tick);
    };
    let (clock, stop) = (Clock::runtime(), Stop::default());
    let one = |worker: usize| {
        let place = Place { worker, workers, start };
        let mut sessions: Vec<_> = (0..place.sessions(plan.arrival.sessions())).map(|_| FakeSession(Rc::clone(target))).collect();
        let (clock, stop, tell) = (&clock, &stop, &tell);
        async move { drive_share(target.as_ref(), &mut sessions, plan, place, clock, stop, tell).await }
    };
    let mut shares = futures_util::future::join_all((0..workers).map(one)).await;
    if backwards {
        shares.reverse();
    }
    gathering.into_inner().finish(shares)
}

#[tokio::test(start_paused = true)]
async fn the_same_calls_are_made_and_counted_whatever_the_number_of_workers() {
    let stages =
        vec![Stage { duration: 3 * Duration::from_secs(1), target: 90.0 }, Stage { duration: Duration::from_secs(2), target: 20.0 }];
    for plan in [
        Plan { max_calls: Some(501), ..closed(7, 3600) },
        open(50.0, Spacing::Uniform, 5, 10),
        Plan { seed: 4, ..open(50.0, Spacing::Poisson, 5, 10) },
        Plan::new(Arrival::Stages { stages, spacing: Spacing::Poisson, sessions: 6 }, 1, Duration::from_secs(5)),
    ] {
        let mut seen: Option<(Vec<u64>, u64, Vec<u64>)> = None;
        for workers in 1..=4 {
            let target = fake(|call, _| (MS, Outcome::done(label(call), call % 3)));
            let recording = run_shared(&target, &plan, workers, false).await;
            let mut calls = target.calls.take();
            calls.sort_unstable();
            let counts = recording.labels.iter().map(|label| label.whole.count).collect();
            let found = (calls, recording.calls.rows, counts);
            assert_eq!(recording.ended, Ended::Complete);
            match &seen {
                Some(first) => assert_eq!(first, &found, "{workers} workers, {:?}", plan.arrival),
                None => seen = Some(found),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_order_in_which_workers_are_put_together_does_not_matter() {
    let mut results = Vec::new();
    for backwards in [false, true] {
        let target = fake(|call, _| ((1 + call % 9) as u32 * MS, Outcome::done(label(call), 1)));
        let recording = run_shared(&target, &Plan { seed: 2, ..open(400.0, Spacing::Poisson, 9, 5) }, 3, backwards).await;
        let labels: Vec<_> = recording.labels.iter().map(|l| (l.whole.service.percentiles(), l.series.clone())).collect();
        results.push((recording.series, recording.calls.response.percentiles(), labels, recording.queued));
    }
    assert_eq!(results[0], results[1]);
    assert!(results[0].0.iter().map(|slice| slice.second).take(5).eq(0..5), "{:?}", results[0].0);
}

#[test]
fn sessions_are_divided_among_workers_without_rest() {
    for (workers, all) in [(1, 5), (2, 5), (3, 5), (4, 3), (7, 7)] {
        let start = Instant::from_std(std::time::Instant::now());
        let parts: Vec<usize> = (0..workers).map(|worker| Place { worker, workers, start }.sessions(all)).collect();
        assert_eq!(parts.iter().sum::<usize>(), all, "{workers} workers: {parts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn stages_change_the_rate() {
    let target = fake(|call, _| (MS, Outcome::done(label(call), 1)));
    let stages = [(10, 100.0), (10, 100.0), (0, 10.0), (10, 10.0)];
    let stages = stages.map(|(seconds, target)| Stage { duration: Duration::from_secs(seconds), target }).to_vec();
    let plan = Plan::new(Arrival::Stages { stages, spacing: Spacing::Uniform, sessions: 4 }, 1, Duration::from_secs(30));
    let recording = run(&target, &plan).await;
    // The ramp from 0 to 100 has half the area.
    assert_eq!((recording.count(), recording.not_started, recording.window), (500 + 1000 + 100, 0, Duration::from_secs(30)));
    let at = |second: usize| recording.series[second].count;
    assert!((93..=97).contains(&at(9)) && at(15) == 100 && (9..=11).contains(&at(25)), "{:?}", recording.series);
}

#[tokio::test(start_paused = true)]
async fn what_is_shed_counts_as_infinitely_slow_and_nothing_waits() {
    // Two sessions, 100 ms a call, 30 calls a second: 20 of 30 can be made.
    let target = fake(|call, _| (100 * MS, Outcome::done(label(call), 1)));
    let plan = Plan { overflow: Overflow::Shed, ..open(30.0, Spacing::Uniform, 2, 10) };
    let recording = run(&target, &plan).await;
    assert_eq!(recording.count() + recording.not_started, 300);
    assert_eq!(recording.shed, recording.not_started);
    assert!((100..170).contains(&recording.shed), "{}", recording.shed);
    let Tally { response, lag, .. } = recording.calls.clone();
    assert_eq!((response.count(), response.infinite()), (300, recording.shed));
    assert!(lag.percentile(0.9).unwrap() <= 1_001, "those that were sent were sent at once");
    assert_eq!(response.percentile(0.9), None);
    let shown: u64 = recording.series.iter().map(|slice| slice.count).sum();
    assert_eq!(shown, recording.count());
}

/// A session whose calls of label 0 are transactions of two statements of label 1.
struct Transactions;

impl Session for Transactions {
    async fn call(&mut self, call: u64, parts: &mut Vec<Part>) -> Outcome {
        if label(call) == 1 {
            tokio::time::sleep(MS).await;
            return Outcome::done(1, 1);
        }
        assert!(parts.is_empty());
        for failed in [false, true] {
            let sent = Instant::now();
            tokio::time::sleep(3 * MS).await;
            let error = failed.then(|| "23505".to_owned());
            parts.push(Part { label: 1, sent, ended: Instant::now(), rows: 2, error });
            tokio::time::sleep(10 * MS).await;
        }
        Outcome { rows: 4, retries: 1, skipped: 2, ..Outcome::failed(0, "23505") }
    }
}

struct TransactionTarget;

impl Target for TransactionTarget {
    type Session = Transactions;

    fn labels(&self) -> usize {
        2
    }

    fn label(&self, call: u64) -> usize {
        label(call)
    }
}

#[tokio::test(start_paused = true)]
async fn pieces_count_for_their_own_label_and_totals_are_of_calls() {
    let target = TransactionTarget;
    let mut sessions = vec![Transactions];
    let plan = Plan { max_calls: Some(100), events: true, ..closed(1, 60) };
    let gathering = RefCell::new((Gathering::new(1, 2), Vec::new()));
    let tell = |tick: Tick| {
        gathering.borrow_mut().1.extend_from_slice(&tick.events);
        gathering.borrow_mut().0.take(tick);
    };
    let place = Place { worker: 0, workers: 1, start: Instant::now() };
    let share = drive_share(&target, &mut sessions, &plan, place, &Clock::runtime(), &Stop::default(), &tell).await;
    let (gathering, mut events) = gathering.into_inner();
    events.extend_from_slice(&share.events);
    let recording = gathering.finish(vec![share]);
    let [transaction, statement] = recording.labels.as_slice() else { panic!("two labels") };
    assert_eq!((recording.count(), recording.errors(), recording.calls.retries, recording.calls.skipped), (100, 10, 10, 20));
    assert_eq!((transaction.whole.count, transaction.whole.rows, transaction.whole.errors["23505"]), (10, 40, 10));
    assert_eq!((statement.whole.count, statement.whole.rows, statement.whole.errors["23505"]), (90 + 20, 90 + 40, 10));
    assert!((26_000..26_100).contains(&transaction.whole.service.percentiles().max.unwrap()));
    assert!((3_000..3_010).contains(&statement.whole.service.percentiles().max.unwrap()), "pauses are not in a statement's time");
    assert_eq!(recording.calls.service.count(), 100);
    assert_eq!(recording.series.iter().map(|slice| slice.count).sum::<u64>(), 100);
    assert_eq!(statement.series.iter().map(|slice| slice.count).sum::<u64>(), 110);
    assert_eq!(events.len(), 120 * crate::load::events::RECORD, "every call and every piece is told");
}

/// The child of the next test, alone in its process so that its memory is its own.
#[tokio::test(start_paused = true)]
#[ignore = "run by the test below in a process of its own"]
async fn five_million_calls_of_ten_thousand_sessions() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let target = Quick;
    let mut sessions: Vec<Quick> = (0..10_000).map(|_| Quick).collect();
    let told = RefCell::new(Vec::new());
    let progress = |said: &Progress| told.borrow_mut().push((said.calls, resident()));
    let plan = open(100_000.0, Spacing::Poisson, 10_000, 50);
    let recording = drive(&target, &mut sessions, &plan, &Clock::runtime(), &Stop::default(), &progress).await;
    let made = recording.count();
    assert!((4_980_000..5_020_000).contains(&made), "{made}");
    let told = told.take();
    // After the first seconds every session, histogram and buffer is there.
    let (early, late) = (told[4], told[told.len() - 1]);
    assert!(late.0 - early.0 > 4_000_000, "{early:?} {late:?}");
    let grown = late.1.saturating_sub(early.1);
    assert!(grown < 2_048, "{grown} kB more after {} calls than after {}: {told:?}", late.0, early.0);
}

/// A target that answers at once.
struct Quick;

impl Target for Quick {
    type Session = Quick;

    fn labels(&self) -> usize {
        3
    }

    fn label(&self, call: u64) -> usize {
        (call % 3) as usize
    }
}

impl Session for Quick {
    async fn call(&mut self, call: u64, _: &mut Vec<Part>) -> Outcome {
        Outcome::done((call % 3) as usize, 1)
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_number_of_calls() {
    let own = std::env::current_exe().unwrap();
    let name = "load::driver::tests::five_million_calls_of_ten_thousand_sessions";
    let done = std::process::Command::new(own).args(["--exact", name, "--ignored", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
}
