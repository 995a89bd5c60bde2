//! The retry queue, as operators and pg_cron call it.

use super::{caller_name, given, here, may_operate, operable_job, require_server, wake};
use crate::pg::catalog;
use crate::pg::clock;
use crate::pg::report::or_raise;
use crate::store::{alert, audit, history, job, retry, run};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::retry_queue;
use sluice_core::run::RunSource;

/// Makes due retries runnable; what it took.
#[pg_extern(volatile, parallel_unsafe)]
fn process_sync_retries(
    p_max: default!(Option<i32>, "10"),
) -> TableIterator<
    'static,
    (
        name!(id, i64),
        name!(data_type, String),
        name!(operation, String),
        name!(retry_count, i32),
        name!(run_id, i64),
    ),
> {
    TableIterator::new(or_raise(given("p_max", p_max).and_then(process)))
}

/// Entry, job, kind of work, number of the retry, run.
type Taken = (i64, String, String, i32, i64);

fn process(most: i32) -> Result<Vec<Taken>> {
    require_server()?;
    let by = caller_name()?;
    let claimed = retry::claim(clock::now(), here(), i64::from(most.max(0)))?;
    let mut taken = Vec::with_capacity(claimed.len());
    for entry in claimed {
        let run = run::request(entry.job, RunSource::Retry, &by, None)?;
        let name = job::by_id(entry.job)?.map(|job| job.name).unwrap_or_default();
        taken.push((entry.id, name, entry.operation, entry.retries, run));
    }
    if !taken.is_empty() {
        wake();
    }
    Ok(taken)
}

/// Runs the waiting retry of a job now.
#[pg_extern(volatile, parallel_unsafe)]
fn retry_now(job: Option<&str>) {
    or_raise(given("job", job).and_then(hasten));
}

fn hasten(name: &str) -> Result<()> {
    require_server()?;
    let job = operable_job(name)?;
    super::operate::refuse_at_rest(&job)?;
    let hastened = retry::hasten(job.id, clock::now())?;
    let called = alert::hasten(job.id, clock::now())? > 0;
    if !hastened && !called {
        return Err(CallError::NoRetry { job: name.into() }.into());
    }
    audit::note("retry_now", "job", name)?;
    wake();
    Ok(())
}

/// Puts the dead letters of a job back into the queue; how many.
#[pg_extern(volatile, parallel_unsafe)]
fn redrive(job: Option<&str>) -> i64 {
    or_raise(given("job", job).and_then(put_back))
}

fn put_back(name: &str) -> Result<i64> {
    require_server()?;
    let job = operable_job(name)?;
    super::operate::refuse_at_rest(&job)?;
    let calls = alert::redrive(job.id, clock::now())?;
    // What waits or runs already does the work of the dead letter.
    let count = match retry::open_of(job.id)? {
        Some(_) => calls,
        None => calls + retry::redrive(job.id, clock::now())?,
    };
    if count > 0 {
        audit::note("redrive", "job", name)?;
    }
    wake();
    Ok(count)
}

/// Drops waiting retries; how many. NULL: those of every job that the caller may operate.
#[pg_extern(volatile, parallel_unsafe)]
fn clear_queue(job: default!(Option<&str>, "NULL")) -> i64 {
    or_raise(clear(job))
}

fn clear(name: Option<&str>) -> Result<i64> {
    catalog::require_primary()?;
    let jobs = match name {
        Some(name) => vec![operable_job(name)?],
        None => job::all()?,
    };
    let mut cleared = 0;
    for job in jobs {
        if may_operate(&job)? {
            let (dropped, calls) = (retry::clear(job.id)?, alert::clear(job.id)?);
            if dropped > 0 {
                job::plan_after_failure(&job, clock::now(), false)?;
            }
            if dropped + calls > 0 {
                audit::note("clear_queue", "job", &job.name)?;
            }
            cleared += dropped + calls;
        }
    }
    wake();
    Ok(cleared)
}

/// Forgets retries that ended more than seven days ago, and runs and audit rows by their settings; how many rows.
#[pg_extern(volatile, parallel_unsafe)]
fn cleanup() -> i64 {
    or_raise(forget_old().map(|rows| i64::try_from(rows).unwrap_or(i64::MAX)))
}

fn forget_old() -> Result<u64> {
    catalog::require_primary()?;
    let now = clock::now();
    let mut forgotten =
        retry::prune(now)? + history::prune_failures(now)? + history::prune_audit()? + history::prune_calls(now)?;
    for job in job::all()? {
        forgotten += history::prune_runs(job.id, now)?;
    }
    Ok(forgotten)
}

/// Whether an error of which only the text is known may pass by itself.
#[pg_extern(immutable, parallel_safe)]
fn is_recoverable_error(message: Option<&str>) -> bool {
    retry_queue::is_recoverable_text(message.unwrap_or_default())
}
