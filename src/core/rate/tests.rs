//! Budgets with an injected clock: what several askers may do in all, and what they learn.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::http::{Breakage, Headers, HttpError, Phase, Response};

const SECOND: Moment = 1_000_000;
/// Any time will do; this one is in 2026.
const NOW: Moment = 849_000_000 * SECOND;
const ALIVE: &dyn Fn(u32) -> bool = &|_| true;

fn terms(per_second: f64, burst: u32, most: u32) -> Terms {
    Terms::new(Some(per_second).filter(|rate| *rate > 0.0), burst, Duration::ZERO, most)
}

fn ask(budget: &Budget, pid: u32, terms: &Terms, now: Moment) -> Result<Granted, Hold> {
    asking(budget, pid, terms, now, Asks::Ordinary)
}

fn asking(budget: &Budget, pid: u32, terms: &Terms, now: Moment, asks: Asks) -> Result<Granted, Hold> {
    budget.ask(&Asker { pid, terms, asks }, now, ALIVE)
}

fn response(status: u16, headers: &[(&str, &str)]) -> Result<Response, HttpError> {
    Ok(Response {
        status,
        headers: headers.iter().copied().collect(),
        body: Vec::new(),
        wire_bytes: 0,
    })
}

fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn of(status: u16, headers: &[(&str, &str)]) -> Answered {
    outcome(&response(status, headers), wall())
}

fn good() -> Answered {
    of(200, &[])
}

fn failed() -> Answered {
    outcome(&Err(HttpError::Refused { remote: "h:1".into() }), wall())
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn requests_come_no_faster_than_the_rate_with_its_burst() {
    let (budget, terms) = (Budget::default(), terms(5.0, 3, 75));
    let burst: Vec<_> = (0..3).map(|_| ask(&budget, 1, &terms, NOW).unwrap()).collect();
    let hold = ask(&budget, 2, &terms, NOW).unwrap_err();
    assert_eq!((hold.why, hold.wait), (Why::Pace, Duration::from_millis(200)));
    burst
        .into_iter()
        .for_each(|granted| budget.answered(granted, &good(), NOW));
    assert!(ask(&budget, 2, &terms, NOW + 200_000).is_ok());
    assert!(ask(&budget, 1, &terms, NOW + 200_000).is_err());
}

#[test]
fn the_least_delay_holds_between_all_who_share_the_budget() {
    let terms = Terms::new(None, 1, Duration::from_millis(50), 8);
    let budget = Budget::default();
    assert!(ask(&budget, 1, &terms, NOW).is_ok());
    assert_eq!(
        ask(&budget, 2, &terms, NOW + 20_000).unwrap_err().wait,
        Duration::from_millis(30)
    );
    assert!(ask(&budget, 2, &terms, NOW + 50_000).is_ok());
}

#[test]
fn places_are_never_more_than_the_connection_allows_and_those_of_the_dead_are_free() {
    let (budget, terms) = (Budget::default(), terms(0.0, 1, 2));
    let first = ask(&budget, 7, &terms, NOW).unwrap();
    ask(&budget, 8, &terms, NOW).unwrap();
    assert_eq!(ask(&budget, 9, &terms, NOW).unwrap_err().why, Why::Concurrency);
    budget.answered(first, &good(), NOW);
    let second = ask(&budget, 9, &terms, NOW).unwrap();
    // Process 8 is gone without a word.
    let asker = Asker {
        pid: 9,
        terms: &terms,
        asks: Asks::Ordinary,
    };
    assert!(budget.ask(&asker, NOW, &|pid| pid != 8).is_ok());
    budget.give_back(second);
}

#[test]
fn a_process_that_has_its_share_leaves_a_free_place_to_one_that_waits() {
    let (budget, terms) = (Budget::default(), terms(0.0, 1, 1));
    let held = ask(&budget, 1, &terms, NOW).unwrap();
    assert!(ask(&budget, 2, &terms, NOW).is_err());
    budget.answered(held, &good(), NOW);
    assert!(ask(&budget, 1, &terms, NOW + 5_000).is_err());
    let theirs = ask(&budget, 2, &terms, NOW + 9_000).unwrap();
    assert!(ask(&budget, 1, &terms, NOW + 9_000).is_err());
    budget.answered(theirs, &good(), NOW + 9_000);
    assert!(ask(&budget, 2, &terms, NOW + 9_500).is_err());
    // Nobody holds a place for one who does not come back for it.
    assert!(ask(&budget, 2, &terms, NOW + 9_000 + 60_000).is_ok());
}

/// F-N9, F-N18.
#[test]
fn what_a_refusal_says_is_waited_for_by_all_and_never_less_than_a_second() {
    let cases: [(&[(&str, &str)], u64); 12] = [
        (&[], 4),
        (&[("Retry-After", "7")], 7),
        (&[("Retry-After", "0")], 1),
        (&[("Retry-After", "-3")], 4),
        (&[("Retry-After", "99999999")], 3600),
        (
            &[
                ("Date", "Fri, 20 Nov 2026 10:00:00 GMT"),
                ("Retry-After", "Fri, 20 Nov 2026 10:00:30 GMT"),
            ],
            30,
        ),
        (&[("Retry-After", "Sat, 20 Nov 1999 10:00:30 GMT")], 1),
        (&[("RateLimit-Remaining", "0"), ("RateLimit-Reset", "12")], 12),
        (
            &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1800000009")],
            9,
        ),
        (
            &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1700000000")],
            1,
        ),
        (&[("RateLimit", "limit=10, remaining=0, reset=5")], 5),
        (
            &[
                ("RateLimit", "\"default\";r=0;t=6"),
                ("RateLimit-Policy", "\"default\";q=10;w=60"),
            ],
            6,
        ),
    ];
    for (headers, wait) in cases {
        let (budget, terms) = (Budget::default(), terms(0.0, 1, 8));
        let granted = ask(&budget, 1, &terms, NOW).unwrap();
        budget.answered(granted, &of(429, headers), NOW);
        let hold = ask(&budget, 2, &terms, NOW).unwrap_err();
        assert_eq!((hold.why, hold.wait), (Why::Remote, secs(wait)), "{headers:?}");
        assert!(ask(&budget, 2, &terms, NOW + micros(secs(wait))).is_ok(), "{headers:?}");
    }
}

/// F-N18.
#[test]
fn what_is_left_is_shared_until_the_reset_and_a_reset_in_the_past_holds_nobody_up() {
    let (budget, terms) = (Budget::default(), terms(0.0, 1, 8));
    let headers = [
        ("X-RateLimit-Limit", "60"),
        ("X-RateLimit-Remaining", "2"),
        ("X-RateLimit-Reset", "30"),
    ];
    let granted = ask(&budget, 1, &terms, NOW).unwrap();
    budget.answered(granted, &of(200, &headers), NOW);
    let two = [
        ask(&budget, 1, &terms, NOW).unwrap(),
        ask(&budget, 2, &terms, NOW).unwrap(),
    ];
    let hold = ask(&budget, 3, &terms, NOW).unwrap_err();
    assert_eq!((hold.why, hold.wait), (Why::Window, secs(30)));
    assert_eq!(budget.shown(NOW, ALIVE).left, Some(0));
    // The first of them says what was true before the second was counted.
    let late = [("X-RateLimit-Remaining", "1"), ("X-RateLimit-Reset", "30")];
    two.into_iter()
        .for_each(|granted| budget.answered(granted, &of(200, &late), NOW));
    assert!(ask(&budget, 3, &terms, NOW).is_err());
    let next = ask(&budget, 3, &terms, NOW + 31 * SECOND).unwrap();
    let past = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1700000000")];
    budget.answered(next, &of(200, &past), NOW + 31 * SECOND);
    assert!(ask(&budget, 3, &terms, NOW + 31 * SECOND).is_ok());
}

#[test]
fn limits_are_read_in_every_form() {
    let read = |headers: &[(&str, &str)]| {
        let told = told(&headers.iter().copied().collect::<Headers>(), wall());
        (told.limit, told.left, told.reset, told.window)
    };
    let all = (Some(100), Some(50), Some(secs(30)), Some(secs(60)));
    let without_window = (Some(100), Some(50), Some(secs(30)), None);
    for prefix in ["RateLimit-", "X-RateLimit-", "x-rate-limit-"] {
        let names = ["Limit", "Remaining", "Reset"].map(|name| format!("{prefix}{name}"));
        for reset in [
            "30",
            "30.0",
            "1800000030",
            "1800000030000",
            "Fri, 15 Jan 2027 08:00:30 GMT",
        ] {
            let fields = [(&*names[0], "100"), (&*names[1], "50"), (&*names[2], reset)];
            assert_eq!(read(&fields), without_window, "{prefix}{reset}");
        }
    }
    assert_eq!(
        read(&[
            ("RateLimit-Limit", "100, 100;w=60"),
            ("RateLimit-Remaining", "50"),
            ("RateLimit-Reset", "30")
        ]),
        without_window
    );
    assert_eq!(
        read(&[
            ("RateLimit", "limit=100, remaining=50, reset=30"),
            ("RateLimit-Policy", "100;w=60")
        ]),
        all
    );
    assert_eq!(
        read(&[
            ("RateLimit", "\"a, b\";r=50;t=30"),
            ("RateLimit-Policy", "\"a, b\";q=100;w=60")
        ]),
        all
    );
    let several = [("RateLimit", "\"hour\";r=900;t=3000, \"minute\";r=3;t=20")];
    assert_eq!(read(&several), (None, Some(3), Some(secs(20)), None));
    assert_eq!(
        read(&[("X-RateLimit-Reset-After", "1.5")]).2,
        Some(Duration::from_millis(1500))
    );
    assert_eq!(read(&[("X-RateLimit-Reset", "-5")]).2, Some(Duration::ZERO));
    assert_eq!(read(&[("X-RateLimit-Reset", "1e300")]).2, Some(secs(3600)));
    for nonsense in ["", "soon", "NaN", "inf", "²", "\"", ";;=,", "a=\"b"] {
        let fields = [
            ("RateLimit", nonsense),
            ("X-RateLimit-Reset", nonsense),
            ("X-RateLimit-Remaining", nonsense),
        ];
        let (limit, left, ..) = read(&fields);
        assert_eq!((limit, left), (None, None), "{nonsense}");
    }
}

#[test]
fn the_width_grows_while_it_is_used_and_halves_once_for_what_was_sent_before() {
    let (budget, terms) = (Budget::default(), terms(0.0, 1, 75));
    let full = |now: Moment| -> Vec<Granted> { std::iter::from_fn(|| ask(&budget, 1, &terms, now).ok()).collect() };
    assert_eq!(full(NOW).len(), 8, "a budget begins at eight");
    budget.under_way.free_where(|_| true);
    for round in 1..=20 {
        let now = NOW + round * SECOND;
        full(now)
            .into_iter()
            .for_each(|granted| budget.answered(granted, &good(), now));
    }
    assert_eq!(budget.concurrency(), 75);
    let now = NOW + 30 * SECOND;
    full(now)
        .into_iter()
        .for_each(|granted| budget.answered(granted, &of(503, &[]), now + 1));
    // They were failures in a row too.
    budget.worked(now + 2);
    assert_eq!(budget.concurrency(), 37);
    let now = NOW + 40 * SECOND;
    full(now)
        .into_iter()
        .for_each(|granted| budget.answered(granted, &good(), now));
    assert_eq!(budget.concurrency(), 37, "37 good answers make about one more");
    let now = NOW + 50 * SECOND;
    full(now)
        .into_iter()
        .for_each(|granted| budget.answered(granted, &good(), now));
    assert_eq!(budget.concurrency(), 38);
    // What nobody uses says nothing.
    for _ in 0..100 {
        let one = ask(&budget, 1, &terms, now).unwrap();
        budget.answered(one, &good(), now);
    }
    assert_eq!(budget.concurrency(), 38);
}

#[test]
fn a_host_that_keeps_failing_is_left_alone_but_for_one_probe_a_minute() {
    let (budget, terms) = (Budget::default(), terms(0.0, 1, 8));
    let fail = |now: Moment, asks| budget.answered(asking(&budget, 1, &terms, now, asks).unwrap(), &failed(), now);
    for _ in 0..11 {
        fail(NOW, Asks::Ordinary);
    }
    // One answer of whatever kind starts the count anew.
    let granted = ask(&budget, 1, &terms, NOW).unwrap();
    budget.answered(granted, &of(401, &[]), NOW);
    for _ in 0..12 {
        fail(NOW, Asks::Ordinary);
    }
    assert!(budget.is_unwritten());
    assert_eq!(ask(&budget, 2, &terms, NOW).unwrap_err().why, Why::Breaker);
    // The first probe comes soon. Whoever probes is alone, and a failed probe opens it for a minute.
    assert!(!budget.begin_probe(NOW + 4 * SECOND));
    let minute = NOW + 5 * SECOND;
    assert!(budget.begin_probe(minute) && !budget.begin_probe(minute));
    let probe = asking(&budget, 2, &terms, minute, Asks::Insisting).unwrap();
    assert!(asking(&budget, 3, &terms, minute, Asks::Insisting).is_err());
    budget.answered(probe, &failed(), minute + SECOND);
    assert!(!budget.begin_probe(minute + 60 * SECOND) && budget.begin_probe(minute + 61 * SECOND));
    // A probe whose process is gone is another's to make.
    let lost = asking(&budget, 3, &terms, minute + 61 * SECOND, Asks::Insisting).unwrap();
    budget.give_back(lost);
    let probe = asking(&budget, 4, &terms, minute + 62 * SECOND, Asks::Insisting).unwrap();
    assert!(
        ask(&budget, 5, &terms, minute + 62 * SECOND).is_err(),
        "a run is no probe"
    );
    budget.answered(probe, &of(404, &[]), minute + 63 * SECOND);
    assert!(ask(&budget, 5, &terms, minute + 63 * SECOND).is_ok());
    assert_eq!(budget.shown(minute, ALIVE).reason, Some("the remote answers again"));
}

#[test]
fn a_person_who_asks_is_the_probe() {
    let (budget, terms) = (Budget::default(), terms(0.0, 1, 8));
    for _ in 0..12 {
        let granted = ask(&budget, 1, &terms, NOW).unwrap();
        budget.answered(granted, &failed(), NOW);
    }
    let probe = asking(&budget, 2, &terms, NOW + 1, Asks::Insisting).unwrap();
    budget.answered(probe, &good(), NOW + 2);
    assert!(ask(&budget, 1, &terms, NOW + 3).is_ok());
}

#[test]
fn what_is_kept_survives_and_yields_to_what_is_newer() {
    let (budget, terms) = (Budget::default(), terms(0.0, 1, 8));
    let granted = ask(&budget, 1, &terms, NOW).unwrap();
    budget.answered(granted, &of(429, &[("Retry-After", "600")]), NOW);
    let (version, kept) = budget.kept(NOW);
    assert_eq!((version, kept.not_before), (1, Some(NOW + 600 * SECOND)));
    budget.set_written(version);
    assert!(!budget.is_unwritten());

    let after = Budget::default();
    let opened = Kept {
        breaker: Breaker::Open { since: NOW },
        failures: 12,
        ..kept
    };
    after.take_up(&opened);
    assert_eq!(after.kept(NOW).1, opened);
    assert_eq!(ask(&after, 1, &terms, NOW).unwrap_err().wait, secs(600));

    let newer = Budget::default();
    let granted = ask(&newer, 1, &terms, NOW).unwrap();
    newer.answered(granted, &good(), NOW);
    newer.take_up(&opened);
    assert_eq!(newer.kept(NOW).1.breaker, Breaker::Closed);
}

/// F-K: a clock that jumps back leaves times far ahead.
#[test]
fn times_that_nobody_could_have_asked_for_hold_nobody_up() {
    let (budget, terms) = (Budget::default(), terms(1.0, 1, 8));
    let granted = ask(&budget, 1, &terms, NOW).unwrap();
    let headers = [
        ("Retry-After", "60"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "60"),
    ];
    budget.answered(granted, &of(429, &headers), NOW);
    assert!(ask(&budget, 1, &terms, NOW + SECOND).is_err());
    assert!(ask(&budget, 1, &terms, NOW - 86_400 * SECOND).is_ok());
}

struct Memory {
    maker: AtomicU64,
    budgets: Vec<Budget>,
}

impl Memory {
    fn of(count: usize) -> Memory {
        Memory {
            maker: AtomicU64::new(0),
            budgets: (0..count).map(|_| Budget::default()).collect(),
        }
    }

    fn table(&self) -> Table<'_> {
        Table {
            maker: &self.maker,
            budgets: &self.budgets,
        }
    }
}

#[test]
fn idle_budgets_make_room_and_where_none_is_idle_who_asks_waits() {
    let (memory, terms) = (Memory::of(3), terms(0.0, 1, 8));
    let asker = Asker {
        pid: 1,
        terms: &terms,
        asks: Asks::Ordinary,
    };
    let ask = |identity: u64, now: Moment| memory.table().ask((identity, &AtomicUsize::new(0)), &asker, now, ALIVE);
    let mut granted: Vec<_> = (1..=3)
        .map(|identity| ask(identity, NOW + identity as Moment).unwrap())
        .collect();
    let hold = ask(4, NOW + 10).err().unwrap();
    assert_eq!((hold.why, hold.wait), (Why::NoBudget, secs(1)));
    let (budget, second) = granted.remove(1);
    budget.answered(second, &good(), NOW + 20);
    let (made, _) = ask(4, NOW + 30).unwrap();
    assert!(std::ptr::eq(made, budget) && made.concurrency() == 8);
    assert!(memory.table().find(2, &AtomicUsize::new(0)).is_none());
    assert!(ask(1, NOW + 40).is_ok() && ask(3, NOW + 40).is_ok());
    assert!(ask(2, NOW + 50).is_err());
    memory.table().leave(1);
    assert!(ask(2, NOW + 60).is_ok());
}

#[test]
fn many_threads_make_one_budget_of_an_identity_and_keep_to_its_places() {
    let (memory, terms) = (Memory::of(16), terms(0.0, 1, 3));
    let (now, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for pid in 1..=8 {
            let (memory, terms, now, most, done) = (&memory, &terms, &now, &most, &done);
            scope.spawn(move || {
                let near = AtomicUsize::new(0);
                let asker = Asker {
                    pid,
                    terms,
                    asks: Asks::Ordinary,
                };
                for step in 0..2_000 {
                    if let Ok((budget, granted)) = memory.table().ask((77, &near), &asker, NOW + step, ALIVE) {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        now.fetch_sub(1, Ordering::SeqCst);
                        budget.answered(granted, &good(), NOW + step);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(memory.table().all().count(), 1);
    assert!(most.into_inner() <= 3 && done.into_inner() > 0);
    assert_eq!(
        memory
            .budgets
            .iter()
            .map(|budget| budget.under_way.taken())
            .sum::<u32>(),
        0
    );
}

#[test]
fn exchanges_are_judged_by_their_structure() {
    use Outcome::*;
    let timeout = HttpError::Timeout {
        remote: "h:1".into(),
        phase: Phase::Response,
    };
    let broken = HttpError::Broken {
        remote: "h:1".into(),
        how: Breakage::Reset,
    };
    let header = HttpError::BadHeader { name: "x".into() };
    for (error, expected) in [(timeout, Overloaded), (broken, Failed), (header, Unknown)] {
        assert_eq!(outcome(&Err(error), wall()).outcome, expected);
    }
    for (status, expected) in [
        (200, Good),
        (304, Good),
        (404, Good),
        (401, Good),
        (429, Refused),
        (500, Failed),
        (503, Overloaded),
    ] {
        assert_eq!(of(status, &[]).outcome, expected, "{status}");
    }
    assert_eq!(of(503, &[("Retry-After", "20")]).wait, Some(secs(20)));
    assert_eq!(
        (of(503, &[]).wait, of(200, &[("Retry-After", "20")]).wait),
        (None, None)
    );
}

proptest! {
    /// Whoever asks whenever: no stretch of time has more requests than the rate and its burst allow.
    #[test]
    fn no_stretch_of_time_has_more_than_rate_and_burst(
        steps in proptest::collection::vec((0i64..400_000, 1u32..4), 1..200),
        per_second in 1u32..20,
        burst in 1u32..6,
    ) {
        let (budget, terms) = (Budget::default(), terms(f64::from(per_second), burst, 75));
        let mut now = NOW;
        let mut sent = Vec::new();
        for (pause, pid) in steps {
            now += pause;
            if let Ok(granted) = ask(&budget, pid, &terms, now) {
                sent.push(now);
                budget.answered(granted, &good(), now);
            }
        }
        for (first, from) in sent.iter().enumerate() {
            for (last, until) in sent.iter().enumerate().skip(first) {
                let allowed = (until - from) as f64 / 1e6 * f64::from(per_second) + f64::from(burst);
                prop_assert!((last - first + 1) as f64 <= allowed + 1e-3);
            }
        }
    }

    /// Whatever happens in whatever order: places are given back, the width stays within its bounds, and waits end.
    #[test]
    fn whatever_happens_a_budget_stays_whole(
        steps in proptest::collection::vec((0i64..3_000_000, 1u32..4, 0usize..7, any::<bool>()), 1..300),
        most in 1u32..76,
    ) {
        let (budget, terms) = (Budget::default(), terms(0.0, 1, most));
        let answers = [
            good(), failed(), of(429, &[("Retry-After", "3")]), of(503, &[]), of(500, &[]),
            of(200, &[("RateLimit", "\"x\";r=1;t=2")]), of(401, &[]),
        ];
        let mut now = NOW;
        let mut open: BTreeMap<u32, Vec<Granted>> = BTreeMap::new();
        for (pause, pid, what, insists) in steps {
            now += pause;
            let asks = if insists { Asks::Insisting } else { Asks::Ordinary };
            match asking(&budget, pid, &terms, now, asks) {
                Ok(granted) => open.entry(pid).or_default().push(granted),
                Err(hold) => prop_assert!(hold.wait <= LONGEST && !hold.wait.is_zero()),
            }
            if let Some(granted) = open.get_mut(&pid).and_then(Vec::pop) {
                budget.answered(granted, &answers[what], now);
            }
            prop_assert!((1..=75).contains(&budget.concurrency()));
            prop_assert!(budget.under_way.taken() <= most);
        }
        for granted in open.into_values().flatten() {
            budget.give_back(granted);
        }
        let later = now + micros(LONGEST) + SECOND;
        prop_assert!(asking(&budget, 9, &terms, later, Asks::Insisting).is_ok());
    }
}
