//! What the jobs of a database want at a moment: one statement for all of them.

use super::{execute, rows};
use crate::pg::Oid;
use crate::pg::clock::Timestamp;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use std::time::Duration;

/// A job that wants something. Times are in seconds from now; negative ones have passed.
#[derive(Debug, Clone)]
pub struct Want {
    pub job: i64,
    /// Whether the role that owns it is there.
    pub is_owned: bool,
    /// Whether `depends_on` or `run_when` keeps it waiting.
    pub is_held: bool,
    /// Whether it has such a setting: then it may be late for that reason.
    pub waits_for_others: bool,
    pub planned: Option<f64>,
    pub payload: Option<f64>,
    /// Whether its open retry waits for its time; otherwise a run was on it.
    pub retry_waits: Option<bool>,
    pub retry: Option<f64>,
    /// The usual time between two runs, in seconds; None: manual.
    pub every: Option<f64>,
    /// Its plan lies further ahead than its schedule goes.
    pub is_too_far: bool,
}

/// What a look at all jobs shows.
#[derive(Debug, Default)]
pub struct Look {
    /// When the next job of those that are not due is due.
    pub planned: Option<f64>,
    /// When the first retry is due, or was.
    pub retry: Option<f64>,
    /// The most urgent first.
    pub wants: Vec<Want>,
}

/// Looks at the jobs that may run here.
pub fn look(here: (i64, Oid), now: Timestamp) -> Result<Look> {
    let sql = include_str!("../../sql/query/scheduler_pass.sql");
    let args = [TimestampWithTimeZone::from(now).into(), here.0.into(), here.1.into()];
    let mut look = Look::default();
    let found = rows(sql, &args, |r| {
        (look.planned, look.retry) = (r.get(1)?, r.get(2)?);
        let Some(job) = r.get(3)? else { return Ok(None) };
        Ok(Some(Want {
            job,
            is_owned: r.need(4)?,
            is_held: r.need(5)?,
            waits_for_others: r.need(6)?,
            planned: r.get(7)?,
            payload: r.get(8)?,
            retry_waits: r.get::<String>(9)?.map(|status| status == "pending"),
            retry: r.get(10)?,
            every: r.get(11)?,
            is_too_far: r.need(12)?,
        }))
    })?;
    look.wants = found.into_iter().flatten().collect();
    Ok(look)
}

/// A run that is due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub job: i64,
    /// It makes up for times that were missed, after this delay.
    pub catch_up: Option<Duration>,
}

/// Asks for the runs of jobs that are due, in this order.
pub fn request(due: &[Due], now: Timestamp) -> Result<()> {
    if due.is_empty() {
        return Ok(());
    }
    let jobs: Vec<i64> = due.iter().map(|d| d.job).collect();
    let catch_up: Vec<bool> = due.iter().map(|d| d.catch_up.is_some()).collect();
    let delays: Vec<f64> = due
        .iter()
        .map(|d| d.catch_up.unwrap_or_default().as_secs_f64())
        .collect();
    let args = [
        jobs.into(),
        catch_up.into(),
        delays.into(),
        TimestampWithTimeZone::from(now).into(),
    ];
    execute(include_str!("../../sql/query/request_due.sql"), &args).map(drop)
}

/// A run that waits for a worker.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub run: i64,
    pub job: i64,
    /// Seconds until it may start.
    pub delay: f64,
    pub server: Oid,
    /// Seconds since it could have started.
    pub age: f64,
    pub source: String,
    /// Whether a person has asked for it.
    pub is_manual: bool,
    /// Whether it sends requests.
    pub asks_remote: bool,
}

/// Runs that wait for a worker, in the order in which they get one.
pub fn waiting(now: Timestamp) -> Result<Vec<Waiting>> {
    let sql = include_str!("../../sql/query/waiting_runs.sql");
    rows(sql, &[TimestampWithTimeZone::from(now).into()], |r| {
        Ok(Waiting {
            run: r.need(1)?,
            job: r.need(2)?,
            delay: r.need(3)?,
            server: r.need(4)?,
            age: r.need(5)?,
            source: r.need(6)?,
            is_manual: r.need(7)?,
            asks_remote: r.need(8)?,
        })
    })
}
