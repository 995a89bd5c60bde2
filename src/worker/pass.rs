//! What a scheduler does for the jobs that want something: asks for due runs, makes retries due, plans what has no plan.

use super::{here, isolated};
use crate::pg::clock::Timestamp;
use crate::store::due::{self, Due, Look, Want};
use crate::store::{self, retry, run, timing};
use sluice_core::Result;
use sluice_core::run::RunSource;
use sluice_core::settings::Settings;
use std::time::Duration;

/// How late a retry is when the scheduler steps in for a pg_cron that was to process it.
const CRON_GRACE: Duration = Duration::from_secs(180);
/// Retries that one pass makes runnable.
const MOST_RETRIES: i64 = 1000;

/// What a pass came to.
pub struct Passed {
    /// When the next job or retry is due.
    pub next: Timestamp,
    /// Whether nothing failed.
    pub smooth: bool,
    /// Whether what was done has changed what is due.
    pub again: bool,
}

/// Serves what a look has shown.
pub fn serve(look: &Look, now: Timestamp) -> Passed {
    let at = |seconds: Option<f64>| match seconds {
        Some(seconds) => now.plus(Duration::from_secs_f64(seconds.max(0.0))),
        None => Timestamp::NEVER,
    };
    let (mut passed, mut runs) = (
        Passed {
            next: at(look.planned),
            smooth: true,
            again: false,
        },
        Vec::new(),
    );
    for want in &look.wants {
        let served = isolated("planning a job", || serve_one(want, now));
        passed.smooth &= served.is_some();
        match served {
            Some(Served::IsDue(run)) => runs.push(run),
            Some(Served::Planned) => passed.again = true,
            Some(Served::Asked) | None => {}
        }
    }
    passed.smooth &= isolated("asking for runs", || due::request(&runs, now)).is_some();
    if let Some(first) = look.retry {
        serve_retries(first, now, &mut passed);
    }
    passed
}

/// What became of a job that wanted something.
enum Served {
    /// Its run is to be asked for, with those of others.
    IsDue(Due),
    /// It has another plan now.
    Planned,
    /// A run was asked for, or nothing is left to be done.
    Asked,
}

fn serve_one(want: &Want, now: Timestamp) -> Result<Served> {
    if !want.is_owned {
        return store::job::disable(want.job, "the role that owns the job was dropped").map(|()| Served::Asked);
    }
    let passed = |at: Option<f64>| at.is_some_and(|seconds| seconds <= 0.0);
    let is_due = passed(want.planned) && !want.is_held;
    // Reads and payloads take turns where both are due.
    let reads_first = is_due && run::latest_is_ingest(want.job)?;
    if passed(want.payload) && !reads_first {
        return run::request(want.job, RunSource::Ingest, "scheduler", None).map(|_| Served::Asked);
    }
    if want.retry_waits == Some(false) {
        // Its run ended without a word, as one that was stopped before a worker took it.
        return retry::wait_again(want.job, now).map(|()| Served::Planned);
    }
    if is_due {
        return Ok(Served::IsDue(due_run(want)));
    }
    if want.retry_waits == Some(true) {
        return shorten_retry(want, now);
    }
    let Some(job) = store::job::by_id(want.job)? else {
        return Ok(Served::Asked);
    };
    if let (true, Some(planned)) = (want.is_too_far, want.planned) {
        return Ok(match timing::plan_again(&job, now, planned)? {
            true => Served::Planned,
            false => Served::Asked,
        });
    }
    match want.planned {
        // A run that was stopped before a worker took it has left no plan behind.
        None if want.every.is_some() => timing::plan_after_failure(&job, now, false).map(|()| Served::Planned),
        _ => Ok(Served::Asked),
    }
}

/// The run of a job whose time has come; one that was kept waiting by other jobs makes up for nothing.
fn due_run(want: &Want) -> Due {
    let late = Duration::from_secs_f64(want.planned.map_or(0.0, |seconds| (-seconds).max(0.0)));
    let every = want.every.filter(|_| !want.waits_for_others);
    Due {
        job: want.job,
        catch_up: every.and_then(|every| timing::catch_up_after(want.job, late, every)),
    }
}

/// A retry never waits longer than its longest delay: one that would was queued before the clock was set back.
fn shorten_retry(want: &Want, now: Timestamp) -> Result<Served> {
    let Some(job) = store::job::by_id(want.job)? else {
        return Ok(Served::Asked);
    };
    let policy = Settings::parse(&job.settings).unwrap_or_default().retry.queue;
    let longest = policy.delays.iter().max().copied().unwrap_or_default();
    let most = longest.mul_f64(1.1);
    if want.retry.is_some_and(|seconds| seconds > most.as_secs_f64() + 1.0) {
        retry::hasten(want.job, now.plus(longest))?;
        return Ok(Served::Planned);
    }
    Ok(Served::Asked)
}

/// Makes retries due whose time has come, and learns when the next one is; `first` is the earliest, in seconds from now.
fn serve_retries(first: f64, now: Timestamp, passed: &mut Passed) {
    let grace = match isolated("looking for pg_cron", retry::is_processed_by_cron) {
        Some(true) => CRON_GRACE,
        _ => Duration::ZERO,
    };
    let wait = first + grace.as_secs_f64();
    if wait > 0.0 {
        passed.next = passed.next.min(now.plus(Duration::from_secs_f64(wait)));
        return;
    }
    match isolated("processing retries", || process_retries(now.minus(grace), now)) {
        // Somebody else processes them at this moment.
        Some(0) | None => passed.smooth = false,
        Some(_) => passed.again = true,
    }
}

/// Asks for the runs of the retries whose time came before `until`; how many there were.
fn process_retries(until: Timestamp, now: Timestamp) -> Result<usize> {
    retry::prune(now)?;
    let claimed = retry::claim(until, here(), MOST_RETRIES)?;
    for entry in &claimed {
        run::request(entry.job, RunSource::Retry, "scheduler", None)?;
    }
    Ok(claimed.len())
}
