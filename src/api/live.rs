//! What shared memory knows: the views read it through these functions.

use crate::pg::clock::Timestamp;
use crate::pg::report::or_raise;
use crate::pg::{arm_file, bgworker, identity, settings, shmem};
use crate::store::job;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use sluice_core::Result;

type Worker = (
    i32,
    i64,
    i64,
    String,
    i64,
    i64,
    i64,
    i64,
    TimestampWithTimeZone,
    TimestampWithTimeZone,
    f64,
);

/// The workers of this database, as they report themselves, on jobs that the caller sees.
#[pg_extern(name = "_workers", stable, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the columns of a table function
fn workers() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(job_id, i64),
        name!(run_id, i64),
        name!(phase, String),
        name!(pages_done, i64),
        name!(pages_total, i64),
        name!(records_done, i64),
        name!(bytes_done, i64),
        name!(started_at, TimestampWithTimeZone),
        name!(last_progress_at, TimestampWithTimeZone),
        name!(silent, f64),
    ),
> {
    TableIterator::new(or_raise(running()))
}

fn running() -> Result<Vec<Worker>> {
    if !shmem::is_ready() {
        return Ok(Vec::new());
    }
    let seen = job::seen_by(identity::current_user())?;
    let here = bgworker::my_database();
    let slots = shmem::slots()
        .into_iter()
        .filter(|slot| slot.database == here && slot.pid > 0 && slot.run > 0 && seen.contains(&slot.job));
    let time = |at: Timestamp| TimestampWithTimeZone::from(at);
    Ok(slots
        .map(|slot| {
            let p = slot.progress;
            let phase = p.phase.as_str().to_string();
            let done = (p.pages_done, p.pages_total, p.records_done, p.bytes_done);
            let (started, last) = (time(p.started_at), time(p.last_progress_at));
            let silent = slot.watch.silent.as_secs_f64();
            (
                slot.pid, slot.job, slot.run, phase, done.0, done.1, done.2, done.3, started, last, silent,
            )
        })
        .collect())
}

/// Whether a run of this job would start if a worker were free.
#[pg_extern(name = "_waits_for_worker", stable, parallel_unsafe)]
fn waits_for_worker(job: i64) -> bool {
    if !shmem::is_ready() {
        return false;
    }
    let here = bgworker::my_database();
    let busy = shmem::slots();
    let has_worker = busy.iter().any(|slot| slot.database == here && slot.job == job);
    !has_worker
        && (shmem::is_starved(here)
            || busy.iter().filter(|slot| slot.rule().is_none()).count() >= settings::max_workers())
}

/// How many runs may be under way at once.
#[pg_extern(name = "_worker_limit", stable, parallel_unsafe)]
fn worker_limit() -> i32 {
    i32::try_from(settings::max_workers()).unwrap_or(i32::MAX)
}

/// Whether the launcher is there.
#[pg_extern(name = "_launcher_is_running", stable, parallel_unsafe)]
fn launcher_is_running() -> bool {
    shmem::is_ready() && shmem::launcher_pid() > 0
}

/// Why nothing may start on this server, for want of its arm file; NULL where nothing stands in the way.
#[pg_extern(name = "_arm_file_fault", stable, parallel_unsafe)]
fn arm_file_fault() -> Option<String> {
    arm_file::fault().map(|fault| fault.to_string())
}

/// What to do about that.
#[pg_extern(name = "_arm_file_hint", stable, parallel_unsafe)]
fn arm_file_hint() -> Option<String> {
    arm_file::fault().map(|fault| fault.hint().to_string())
}
