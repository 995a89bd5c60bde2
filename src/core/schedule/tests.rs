use proptest::prelude::*;

use super::*;
use crate::error::Explain;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// 2026-01-01 00:00:00 UTC, a Thursday.
const NOW: i64 = 9497 * DAY;

const UTC: Offsets<'static> = &|_| 0;

/// A job whose last run began so long ago.
fn past(seconds_ago: i64) -> Past<'static> {
    Past {
        now: NOW,
        started_at: Some(NOW - seconds_ago * SECOND),
        due_at: None,
        standing: Standing::Working,
        step: Duration::from_secs(1800),
        pause: Duration::from_secs(86_400),
        spread: 0.0,
        zone: UTC,
    }
}

fn failing(seconds_ago: i64) -> Past<'static> {
    Past {
        standing: Standing::Failing,
        ..past(seconds_ago)
    }
}

fn next(schedule: &str, past: &Past) -> Option<i64> {
    Schedule::parse(schedule).unwrap().next_run(past)
}

#[test]
fn intervals_expressions_and_words_are_schedules() {
    assert_eq!(
        Schedule::parse("30 minutes").unwrap(),
        Schedule::Every(Duration::from_secs(1800))
    );
    assert_eq!(
        Schedule::parse("00:05:00").unwrap(),
        Schedule::Every(Duration::from_secs(300))
    );
    assert_eq!(Schedule::parse(" Manual ").unwrap(), Schedule::Manual);
    assert_eq!(Schedule::parse("Adaptive").unwrap(), Schedule::Adaptive);
    assert!(matches!(Schedule::parse("*/5 * * * *").unwrap(), Schedule::Cron(_)));
}

#[test]
fn a_schedule_that_cannot_be_read_is_refused_with_an_example() {
    for text in [
        "",
        "30",
        "0 s",
        "500 ms",
        "2 years",
        "never",
        "400 days",
        "-1 hour",
        "every day",
        "61 * * * *",
        "* * * *",
        "@reboot",
    ] {
        let error = Schedule::parse(text).unwrap_err();
        assert_eq!(error.sqlstate(), "22023", "{text}");
        assert!(error.hint().unwrap().contains('\''), "{text}");
    }
    assert_eq!(
        Schedule::parse("manuel").unwrap_err().hint().unwrap(),
        "For example: 'manual'"
    );
    assert_eq!(
        Schedule::parse("0 25 * * *").unwrap_err().detail().unwrap(),
        "It is \"0 25 * * *\". The hour is 0 to 23, with lists, ranges and steps; \"25\" is not."
    );
}

#[test]
fn a_schedule_is_written_as_it_is_read() {
    for text in [
        "1 hour 30 minutes",
        "manual",
        "adaptive",
        "1 second",
        "7 days",
        "*/5 * * * mon",
    ] {
        assert_eq!(Schedule::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn a_job_that_never_ran_is_due_now() {
    let never = Past {
        started_at: None,
        ..past(0)
    };
    for schedule in ["1 hour", "adaptive", "0 3 * * *"] {
        assert_eq!(next(schedule, &never), Some(NOW), "{schedule}");
    }
    assert_eq!(next("manual", &never), None);
    assert_eq!(next("manual", &past(0)), None);
}

#[test]
fn the_next_run_is_one_period_after_the_last_start() {
    assert_eq!(next("1 hour", &past(600)), Some(NOW + 3000 * SECOND));
    assert_eq!(next("adaptive", &past(600)), Some(NOW + 1200 * SECOND));
}

/// F-K6.
#[test]
fn a_run_that_outlasted_its_time_is_followed_at_once_by_one_run_and_then_in_step() {
    assert_eq!(next("1 hour", &past(50_000)), Some(NOW));
    assert_eq!(next("*/5 * * * *", &past(7 * 60)), Some(NOW));
    // That one began now.
    assert_eq!(next("*/5 * * * *", &past(0)), Some(NOW + 300 * SECOND));
}

#[test]
fn a_failing_job_is_tried_every_six_hours_at_most() {
    assert_eq!(next("1 minute", &failing(0)), Some(NOW + 6 * HOUR));
    assert_eq!(next("1 day", &failing(0)), Some(NOW + DAY));
    assert_eq!(next("*/5 * * * *", &failing(0)), Some(NOW + 6 * HOUR + 300 * SECOND));
    assert_eq!(next("0 3 * * *", &failing(0)), Some(NOW + DAY + 3 * HOUR));
}

#[test]
fn the_spread_is_a_twentieth_and_at_most_30_seconds_and_expressions_have_none() {
    let late = Past { spread: 1.0, ..past(0) };
    assert_eq!(next("1 minute", &late), Some(NOW + 63 * SECOND));
    assert_eq!(next("1 day", &late), Some(NOW + DAY + 30 * SECOND));
    assert_eq!(next("0 3 * * *", &late), Some(NOW + 3 * HOUR));
}

/// F-K2: the clock is set back after a run.
#[test]
fn a_clock_that_is_set_back_repeats_no_fixed_time_and_lets_nothing_sleep_until_then() {
    let set_back = |by: i64, pause: u64| Past {
        started_at: Some(NOW + by),
        due_at: Some(NOW + by),
        pause: Duration::from_secs(pause),
        ..past(0)
    };
    // Midnight was served; it is 23:00 again.
    let mut hour = set_back(HOUR, 86_400);
    hour.now -= HOUR;
    hour.started_at = Some(NOW);
    hour.due_at = Some(NOW);
    assert_eq!(next("0 0 * * *", &hour), Some(NOW + DAY));
    // What runs every five minutes goes on doing so.
    assert_eq!(next("*/5 * * * *", &set_back(HOUR, 300)), Some(NOW + 300 * SECOND));
    // A day back: the clock was wrong before.
    assert_eq!(next("0 3 * * *", &set_back(DAY, 86_400)), Some(NOW + 3 * HOUR));
    for schedule in ["30 minutes", "adaptive"] {
        assert_eq!(
            next(schedule, &set_back(DAY, 86_400)),
            Some(NOW + 1800 * SECOND),
            "{schedule}"
        );
    }
}

/// F-K1: a clock a year ahead, and one at the end of its range.
#[test]
fn a_clock_that_jumps_ahead_gives_one_run_and_overflows_nowhere() {
    for schedule in ["1 hour", "adaptive", "0 3 * * *"] {
        assert_eq!(next(schedule, &past(366 * 86_400)), Some(NOW), "{schedule}");
        let end = Past {
            now: i64::MAX - 5,
            started_at: Some(i64::MAX - 10),
            ..past(0)
        };
        assert!(next(schedule, &end).is_none_or(|at| at >= end.now), "{schedule}");
    }
}

proptest! {
    #[test]
    fn a_run_is_never_due_in_the_past(ago in -10_000_000i64..10_000_000, period in 1u64..30_000_000, spread in -1.0..2.0) {
        for schedule in [Schedule::Every(Duration::from_secs(period)), Schedule::parse("17 4 * * 2").unwrap()] {
            for past in [past(ago), failing(ago)] {
                let due = schedule.next_run(&Past { spread, ..past }).unwrap();
                prop_assert!(due >= NOW);
                prop_assert!(due <= NOW + (period.max(8 * 86_400) as i64 + 30) * SECOND);
            }
        }
    }
}
