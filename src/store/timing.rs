//! When a job runs next: what `sluice_core::schedule` decides, with what is kept of the job in `sluice._job_state`.

use super::job::Job;
use super::{execute, row, state, value};
use crate::pg::Oid;
use crate::pg::clock::Timestamp;
use crate::pg::zone::Zone;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use sluice_core::retry::SplitMix64;
use sluice_core::schedule::{Chosen, LATE, Observed, Past, Schedule, Standing, spread};
use sluice_core::settings::{Settings, TimingSettings};
use std::time::Duration;

const MICROS: f64 = 1_000_000.0;
/// A year: when a schedule is looked at again that gives no next time.
const FAR: Duration = Duration::from_secs(366 * 86_400);

/// Seconds that a run is kept in `run_every` for: what people and health take for the time between two runs. None: manual.
pub fn between_runs(schedule: &Schedule, timing: &TimingSettings, now: Timestamp) -> Option<f64> {
    Some(match schedule {
        Schedule::Manual => return None,
        Schedule::Every(period) => period.as_secs_f64(),
        Schedule::Adaptive => timing.adaptive.slowest.as_secs_f64(),
        Schedule::Cron(cron) => {
            let zone = Zone::of(timing.time_zone.as_deref());
            let pause = cron.longest_pause(now.0.div_euclid(1_000_000), &|at| zone.offset_at(at));
            pause.as_secs_f64()
        }
    })
}

/// Plans the run after one that ended well.
pub fn plan_after_success(job: &Job, started: Timestamp, now: Timestamp) -> Result<()> {
    plan(job, Some(started), now, Standing::Working)
}

/// Plans the run after a failed one: on the schedule, and where a person has to mend something at most every six hours.
pub fn plan_after_failure(job: &Job, now: Timestamp, needs_person: bool) -> Result<()> {
    let standing = if needs_person {
        Standing::Failing
    } else {
        Standing::Working
    };
    plan(job, Some(now), now, standing)
}

/// Plans a job anew whose time lies further ahead than its schedule goes: the clock was set back. Whether that brought it
/// forward; `planned` is its time in seconds from now.
pub fn plan_again(job: &Job, now: Timestamp, planned: f64) -> Result<bool> {
    let next = next(job, None, now, Standing::Working)?;
    let is_sooner = next.is_some_and(|at| at < now.plus(Duration::from_secs_f64(planned.max(1.0) - 1.0)));
    if is_sooner {
        state::plan_next(job.id, next)?;
    }
    Ok(is_sooner)
}

fn plan(job: &Job, started: Option<Timestamp>, now: Timestamp, standing: Standing) -> Result<()> {
    state::plan_next(job.id, next(job, started, now, standing)?)
}

fn next(job: &Job, started: Option<Timestamp>, now: Timestamp, standing: Standing) -> Result<Option<Timestamp>> {
    // A definition that cannot be read any more, or has no time left, is looked at again in a year.
    let far = job.every.map(|_| now.plus(FAR));
    let Ok(schedule) = Schedule::parse(&job.schedule) else {
        return Ok(far);
    };
    let timing = Settings::parse(&job.settings).unwrap_or_default().timing;
    let zone = Zone::of(timing.time_zone.as_deref());
    let known = known(job.id, now)?;
    let past = Past {
        now: now.0,
        started_at: Some(started.or(known.started).unwrap_or(now).0),
        due_at: known.due.map(|at| at.0),
        standing,
        step: known.step.unwrap_or(timing.adaptive.usual),
        pause: Duration::from_secs_f64(job.every.unwrap_or_default()),
        spread: share(job.id),
        zone: &|at| zone.offset_at(at),
    };
    Ok(schedule.next_run(&past).map(Timestamp).or(far))
}

struct Known {
    started: Option<Timestamp>,
    due: Option<Timestamp>,
    step: Option<Duration>,
}

fn known(job: i64, now: Timestamp) -> Result<Known> {
    let sql = include_str!("../../sql/query/past_of_job.sql");
    let ago = |seconds: Option<f64>| seconds.map(|s| Timestamp(now.0.saturating_sub((s * MICROS) as i64)));
    let found = row(sql, &[job.into(), TimestampWithTimeZone::from(now).into()], |r| {
        Ok(Known {
            started: ago(r.get(1)?),
            due: ago(r.get(2)?),
            step: r.get::<f64>(3)?.map(|s| Duration::from_secs_f64(s.max(1.0))),
        })
    })?;
    Ok(found.unwrap_or(Known {
        started: None,
        due: None,
        step: None,
    }))
}

/// A job's own share of the spread: the same each time, so that its runs keep their distance.
fn share(job: i64) -> f64 {
    SplitMix64::new(job.unsigned_abs()).next_f64()
}

/// For a run that comes so late that times were missed: how long it is put off, so that not all that were missed begin
/// together. None: it is in time.
pub fn catch_up_after(job: i64, late: Duration, every: f64) -> Option<Duration> {
    let every = Duration::from_secs_f64(every.max(0.0));
    (late >= LATE).then(|| spread(every, share(job)))
}

/// How often others have scanned the target since this was noted last; None where it never was.
pub fn reads_since(job: i64, target: Oid) -> Result<Option<i64>> {
    let sql = "SELECT scans_seen FROM sluice._job_state WHERE job_id = $1";
    match value::<i64>(sql, &[job.into()])? {
        Some(seen) => Ok(Some((scans(target)? - seen).max(0))),
        None => Ok(None),
    }
}

/// Notes how often the target was scanned, our own scans included, which are over.
pub fn note_reads(job: i64, target: Oid) -> Result<()> {
    let sql = "UPDATE sluice._job_state SET scans_seen = $2 WHERE job_id = $1";
    execute(sql, &[job.into(), scans(target)?.into()]).map(drop)
}

fn scans(target: Oid) -> Result<i64> {
    let sql = include_str!("../../sql/query/scans_of_target.sql");
    Ok(value::<i64>(sql, &[target.into()])?.unwrap_or(0))
}

/// Chooses the length of an adaptive schedule by what a read showed.
pub fn adapt(job: &Job, timing: &TimingSettings, seen: Observed, now: Timestamp) -> Result<()> {
    let present = known(job.id, now)?.step;
    let Chosen { every, reason } = timing.adaptive.choose(seen, present);
    let sql = "UPDATE sluice._job_state SET step = make_interval(secs => $2), step_reason = $3 WHERE job_id = $1";
    execute(sql, &[job.id.into(), every.as_secs_f64().into(), reason.into()]).map(drop)
}
