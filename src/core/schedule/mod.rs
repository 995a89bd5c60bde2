//! When a job runs next.
//!
//! Times are microseconds since the Unix epoch, in the one clock that the caller reads. A job's `next_run_at` is computed
//! once, when a run ends; that a time in the past means one catch-up run, however many were missed, follows from it.

mod interval;

use std::fmt;
use std::time::Duration;

use crate::connection::{ConfigError, Subject, nearest};

pub use interval::{IntervalFault, format_interval, parse_interval};

/// While a job fails for a reason that retries did not mend, it is tried at most this often.
pub const SLOWEST_WHILE_FAILING: Duration = Duration::from_secs(6 * 3600);

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
const WORDS: [&str; 3] = ["an interval such as '30 minutes'", "manual", "adaptive"];

/// How a job's runs are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// This long after the start of the last run; 1 second to 366 days.
    Every(Duration),
    /// By `start_sync` and `sync` only.
    Manual,
}

/// How the job stands after its last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Working,
    /// Its retries are exhausted, or it failed for a reason that a person must mend.
    Failing,
}

/// The last run of a job, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRun {
    /// Microseconds since the epoch.
    pub started_at: i64,
    pub standing: Standing,
}

impl Schedule {
    pub fn parse(text: &str) -> Result<Schedule, ConfigError> {
        let word = text.trim();
        match word.to_ascii_lowercase().as_str() {
            "manual" => return Ok(Schedule::Manual),
            "adaptive" => return Err(not_yet("schedule \"adaptive\"")),
            _ if is_cron(word) => return Err(not_yet("a cron expression as schedule")),
            _ => {}
        }
        match parse_interval(word) {
            Ok(period) if (SHORTEST..=LONGEST).contains(&period) => Ok(Schedule::Every(period)),
            Ok(_) => Err(wrong(
                "The shortest is 1 second, the longest 366 days.".to_owned(),
                word,
            )),
            Err(fault) => Err(wrong(fault.sentence().to_owned(), word)),
        }
    }

    /// When the next run is due, in microseconds since the epoch; none for `Manual`.
    ///
    /// Without a last run it is due `now`. While the job fails, the period is at least [`SLOWEST_WHILE_FAILING`]. `spread`
    /// (0 to 1, the job's own share) moves the time by at most a twentieth of the period and 30 s, so that jobs that
    /// were defined together do not start together. A run that outlasted its period is followed at once.
    pub fn next_run(&self, now: i64, last: Option<LastRun>, spread: f64) -> Option<i64> {
        let Schedule::Every(period) = *self else { return None };
        let Some(last) = last else { return Some(now) };
        let period = match last.standing {
            Standing::Working => period,
            Standing::Failing => period.max(SLOWEST_WHILE_FAILING),
        };
        let widest = (period / 20).min(Duration::from_secs(30));
        let wait = period + widest.mul_f64(spread.clamp(0.0, 1.0));
        let due = last
            .started_at
            .saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        Some(due.max(now))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Every(period) => f.write_str(&format_interval(*period)),
            Schedule::Manual => f.write_str("manual"),
        }
    }
}

/// Five or six fields of numbers, stars, lists and steps, or one of cron's nicknames (`@hourly`).
fn is_cron(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let field = |text: &&str| text.chars().all(|c| c.is_ascii_alphanumeric() || "*/,-".contains(c));
    let nickname = text
        .strip_prefix('@')
        .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    nickname || ((5..=6).contains(&fields.len()) && fields.iter().all(field) && text.contains('*'))
}

fn not_yet(what: &str) -> ConfigError {
    ConfigError::NotSupportedYet {
        what: what.to_owned(),
        supported: vec![WORDS[0], WORDS[1]],
    }
}

fn wrong(sentence: String, given: &str) -> ConfigError {
    let meant = nearest(given, &["manual", "adaptive"]).map(|word| format!("'{word}'"));
    ConfigError::WrongValue {
        subject: Subject::argument("schedule"),
        expected: "an interval or 'manual'".to_owned(),
        found: Some(format!("{} {sentence}", crate::connection::found(given))),
        example: meant.unwrap_or_else(|| "'30 minutes', '1 hour' or 'manual'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Explain;

    const SECOND: i64 = 1_000_000;
    const NOW: i64 = 1_700_000_000 * SECOND;

    fn last(seconds_ago: i64, standing: Standing) -> Option<LastRun> {
        Some(LastRun {
            started_at: NOW - seconds_ago * SECOND,
            standing,
        })
    }

    #[test]
    fn intervals_and_manual_are_schedules() {
        assert_eq!(
            Schedule::parse("30 minutes").unwrap(),
            Schedule::Every(Duration::from_secs(1800))
        );
        assert_eq!(
            Schedule::parse("00:05:00").unwrap(),
            Schedule::Every(Duration::from_secs(300))
        );
        assert_eq!(Schedule::parse(" Manual ").unwrap(), Schedule::Manual);
    }

    #[test]
    fn cron_and_adaptive_are_known_and_not_supported_yet() {
        for text in ["*/5 * * * *", "0 3 * * mon-fri", "@hourly", "adaptive"] {
            assert_eq!(Schedule::parse(text).unwrap_err().sqlstate(), "0A000", "{text}");
        }
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
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert_eq!(error.sqlstate(), "22023", "{text}");
            assert!(error.hint().unwrap().contains("'"), "{text}");
        }
        assert_eq!(
            Schedule::parse("manuel").unwrap_err().hint().unwrap(),
            "For example: 'manual'"
        );
    }

    #[test]
    fn a_schedule_is_written_as_it_is_read() {
        for text in ["1 hour 30 minutes", "manual", "1 second", "7 days"] {
            assert_eq!(Schedule::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_job_that_never_ran_is_due_now() {
        assert_eq!(Schedule::parse("1 hour").unwrap().next_run(NOW, None, 0.7), Some(NOW));
        assert_eq!(Schedule::Manual.next_run(NOW, None, 0.0), None);
    }

    #[test]
    fn the_next_run_is_one_period_after_the_last_start() {
        let hourly = Schedule::parse("1 hour").unwrap();
        let due = hourly.next_run(NOW, last(600, Standing::Working), 0.0);
        assert_eq!(due, Some(NOW + 3000 * SECOND));
    }

    #[test]
    fn a_run_that_outlasted_its_period_is_followed_at_once_by_one_run() {
        let hourly = Schedule::parse("1 hour").unwrap();
        assert_eq!(hourly.next_run(NOW, last(50_000, Standing::Working), 0.0), Some(NOW));
    }

    #[test]
    fn a_failing_job_is_tried_every_six_hours_at_most() {
        let often = Schedule::parse("1 minute").unwrap();
        assert_eq!(
            often.next_run(NOW, last(0, Standing::Failing), 0.0),
            Some(NOW + 6 * 3600 * SECOND)
        );
        let seldom = Schedule::parse("1 day").unwrap();
        assert_eq!(
            seldom.next_run(NOW, last(0, Standing::Failing), 0.0),
            Some(NOW + 86_400 * SECOND)
        );
    }

    #[test]
    fn the_spread_is_a_twentieth_and_at_most_30_seconds() {
        let minutely = Schedule::parse("1 minute").unwrap();
        assert_eq!(
            minutely.next_run(NOW, last(0, Standing::Working), 1.0),
            Some(NOW + 63 * SECOND)
        );
        let daily = Schedule::parse("1 day").unwrap();
        assert_eq!(
            daily.next_run(NOW, last(0, Standing::Working), 1.0),
            Some(NOW + 86_430 * SECOND)
        );
    }

    proptest! {
        #[test]
        fn a_run_is_never_due_in_the_past(ago in 0i64..10_000_000, period in 1u64..30_000_000, spread in -1.0..2.0) {
            let schedule = Schedule::Every(Duration::from_secs(period));
            for standing in [Standing::Working, Standing::Failing] {
                let due = schedule.next_run(NOW, last(ago, standing), spread).unwrap();
                prop_assert!(due >= NOW);
                prop_assert!(due <= NOW + (period.max(6 * 3600) as i64 + 30) * SECOND);
            }
        }
    }
}
