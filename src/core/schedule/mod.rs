//! When a job runs next.
//!
//! Times are microseconds since 2000-01-01 UTC, as PostgreSQL counts them, in the one clock that the caller reads. A job's
//! `next_run_at` is computed once, when a run ends; that a time in the past means one catch-up run, however many were
//! missed, follows from it. `cron` knows expressions and zones, `adaptive` lengths that follow what is observed, `interval`
//! how lengths are written.

mod adaptive;
mod cron;
mod interval;

use std::fmt;
use std::time::Duration;

use crate::connection::{ConfigError, Subject, nearest};

pub use adaptive::{Adaptive, Chosen, Observed};
pub use cron::{Cron, CronFault, Offsets};
pub use interval::{IntervalFault, format_interval, parse_interval};

/// While a job fails for a reason that retries did not mend, it is tried at most this often.
pub const SLOWEST_WHILE_FAILING: Duration = Duration::from_secs(6 * 3600);
/// From this lateness on a run makes up for times that were missed; less is a busy scheduler.
pub const LATE: Duration = Duration::from_secs(60);

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// The widest that starts are spread.
const WIDEST_SPREAD: Duration = Duration::from_secs(30);
/// As cron has it: a clock that is set back by less repeats no fixed time; one that is set back further was wrong before.
const SET_BACK: i64 = 3 * 3600 * MICROS;
/// Jobs that run more often than this have no fixed times.
const FIXED: Duration = Duration::from_secs(3600);
const MICROS: i64 = 1_000_000;

/// How a job's runs are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// This long after the start of the last run; 1 second to 366 days.
    Every(Duration),
    /// At the times of an expression, in a time zone.
    Cron(Box<Cron>),
    /// After a length that follows what is observed.
    Adaptive,
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

/// What the next run depends on.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    pub now: i64,
    /// When the last run began; None: there was none.
    pub started_at: Option<i64>,
    /// The time that the last run was planned for, where the schedule had planned it.
    pub due_at: Option<i64>,
    pub standing: Standing,
    /// For an adaptive schedule: the present length.
    pub step: Duration,
    /// For an expression: the longest pause between two of its times.
    pub pause: Duration,
    /// The job's own share, 0 to 1.
    pub spread: f64,
    pub zone: Offsets<'a>,
}

impl Schedule {
    pub fn parse(text: &str) -> Result<Schedule, ConfigError> {
        let word = text.trim();
        match word.to_ascii_lowercase().as_str() {
            "manual" => return Ok(Schedule::Manual),
            "adaptive" => return Ok(Schedule::Adaptive),
            _ if cron::is_cron(word) => {
                let cron = Cron::parse(word).map_err(|fault| wrong(&fault.sentence(), word))?;
                return Ok(Schedule::Cron(Box::new(cron)));
            }
            _ => {}
        }
        match parse_interval(word) {
            Ok(period) if (SHORTEST..=LONGEST).contains(&period) => Ok(Schedule::Every(period)),
            Ok(_) => Err(wrong("The shortest is 1 second, the longest 366 days.", word)),
            Err(fault) => Err(wrong(fault.sentence(), word)),
        }
    }

    /// When the next run is due; none for `Manual`. Never in the past.
    ///
    /// Without a last run it is due now. While the job fails, the wait is at least [`SLOWEST_WHILE_FAILING`]. Lengths
    /// count from the start of the last run, and `spread` adds at most a twentieth of the length and 30 s, so that jobs
    /// that were defined together do not start together. A run that outlasted its time is followed at once, by one run.
    pub fn next_run(&self, past: &Past) -> Option<i64> {
        let period = match self {
            Schedule::Manual => return None,
            _ if past.started_at.is_none() => return Some(past.now),
            Schedule::Cron(cron) => return next_time(cron, past),
            Schedule::Every(period) => *period,
            Schedule::Adaptive => past.step,
        };
        let wait = match past.standing {
            Standing::Working => period,
            Standing::Failing => period.max(SLOWEST_WHILE_FAILING),
        };
        let wait = wait + spread(period, past.spread);
        // A start that lies ahead is one before the clock was set back.
        let began = past.started_at.unwrap_or(past.now).min(past.now);
        Some(began.saturating_add(micros(wait)).max(past.now))
    }
}

/// The next time of an expression: none that the last run has served already.
fn next_time(cron: &Cron, past: &Past) -> Option<i64> {
    let served = past.started_at.max(past.due_at).unwrap_or(past.now);
    let ahead = served.saturating_sub(past.now);
    let base = match past.standing {
        Standing::Failing => past.now.saturating_add(micros(SLOWEST_WHILE_FAILING)),
        // The clock was set back.
        Standing::Working if ahead > SET_BACK || (ahead > 0 && past.pause < FIXED) => past.now,
        Standing::Working => served,
    };
    let next = cron.after(base.div_euclid(MICROS), past.zone)?;
    Some(next.saturating_mul(MICROS).max(past.now))
}

/// How long a start is put off so that not all begin together; `share` is 0 to 1.
pub fn spread(period: Duration, share: f64) -> Duration {
    (period / 20).min(WIDEST_SPREAD).mul_f64(share.clamp(0.0, 1.0))
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Every(period) => f.write_str(&format_interval(*period)),
            Schedule::Cron(cron) => write!(f, "{cron}"),
            Schedule::Adaptive => f.write_str("adaptive"),
            Schedule::Manual => f.write_str("manual"),
        }
    }
}

fn wrong(sentence: &str, given: &str) -> ConfigError {
    let meant = nearest(given, &["manual", "adaptive"]).map(|word| format!("'{word}'"));
    let example = match cron::is_cron(given) {
        true => "'0 3 * * mon-fri', '*/15 * * * *' or '30 minutes'",
        false => "'30 minutes', '0 3 * * *', 'adaptive' or 'manual'",
    };
    ConfigError::WrongValue {
        subject: Subject::argument("schedule"),
        expected: "an interval, a cron expression, 'adaptive' or 'manual'".to_owned(),
        found: Some(format!("{} {sentence}", crate::connection::found(given))),
        example: meant.unwrap_or_else(|| example.to_owned()),
    }
}

#[cfg(test)]
mod tests;
