//! The scheduler of one database: closes dead runs, asks for due ones, starts workers, and leaves.
//!
//! It is also the probe: in a database without our extension it leaves at once and comes back only at the next look.
//! Each job is handled by itself, so that one bad definition stops no other.

use crate::pg::clock::{self, Timestamp};
use crate::pg::{Datum, Oid, arm_file, bgworker, catalog, failpoint, settings, shmem, transaction};
use crate::pipeline::events;
use crate::store::failure::{self, Failure, Place};
use crate::store::{self, history, ingest, job::Job, oauth, pause, retry, role, run, state};
use crate::worker::{log_error, rates, tokens};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::counted::counted;
use sluice_core::run::{RunSource, RunStatus, RunTask};
use std::collections::HashSet;
use std::time::Duration;

/// How soon a scheduler looks again when something it wanted did not happen.
const RETRY: Duration = Duration::from_secs(5);
/// How soon it looks again after an error.
const AFTER_ERROR: Duration = Duration::from_secs(30);
/// The delay before the work goes on after the first and the second interruption in a row; the third disables the job.
const AFTER_CRASH: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// How often the history of a database is pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// How late a retry is when the scheduler steps in for a pg_cron that was to process it.
const CRON_GRACE: Duration = Duration::from_secs(180);
/// Retries that one pass makes runnable.
const MOST_RETRIES: i64 = 1000;

/// How many workers may end before one of them takes the run.
const ATTEMPTS: i32 = 5;

/// Entry point; the argument is the database's oid.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // an exported symbol, found by name
pub extern "C-unwind" fn sluice_scheduler_main(arg: Datum) {
    let database = arg.value() as u32;
    bgworker::enter_scheduler(database);
    bgworker::report_name("sluice scheduler");
    if !shmem::enter_scheduler(database, bgworker::my_pid()) {
        return;
    }
    let now = clock::now();
    let next = run_once(database, now).unwrap_or_else(|error| {
        log_error("the scheduler could not do its work", &error);
        now.plus(AFTER_ERROR)
    });
    shmem::set_due(database, next);
}

/// One pass; when the database is due again.
fn run_once(database: u32, now: Timestamp) -> Result<Timestamp> {
    if !transaction::run(|| Ok(catalog::extension_exists()))? {
        return Ok(Timestamp::NEVER);
    }
    // The launcher waits for the file, and may have begun before it was gone.
    if arm_file::fault().is_some() {
        return Ok(now.plus(RETRY));
    }
    let mut smooth = true;
    let running = transaction::run(run::running)?;
    failpoint::hit("scheduler.looked");
    let locked = transaction::run(run::locked_jobs)?;
    for run in running.iter().filter(|run| !locked.contains(&run.job)) {
        if !has_worker(database, run.job) {
            smooth &= isolated("closing a run", || close_dead(run, now)).is_some();
        }
    }
    let paused = transaction::run(|| pause::lasting(now))?;
    for job in transaction::run(store::job::all)? {
        if !paused.contains(&job.server) {
            smooth &= isolated("planning a job", || plan(&job, now)).is_some();
        }
    }
    let rates_due = isolated("looking at rate budgets", || rates::look(database, here(), now));
    smooth &= rates_due.is_some();
    let grace = match transaction::run(retry::is_processed_by_cron)? {
        true => CRON_GRACE,
        false => Duration::ZERO,
    };
    smooth &= isolated("processing retries", || process_retries(now.minus(grace), now)).is_some();
    let planned = transaction::run(|| next_planned(now))?;
    let mut next = planned.min(transaction::run(|| next_retry(now))?.plus(grace));
    next = next.min(rates_due.unwrap_or(next));
    next = next.min(transaction::run(|| next_resumed(now))?);
    for (run, job, delay) in transaction::run(|| run::waiting(now))? {
        let at = now.plus(Duration::from_secs_f64(delay));
        if at > now {
            next = next.min(at);
        } else if let Some(until) = isolated("looking at a budget", || rates::put_off(run, job, now)).flatten() {
            next = next.min(until);
        } else if !has_worker(database, job) {
            smooth &= isolated("starting a worker", || start(database, run, job, &paused)).unwrap_or(false);
        }
    }
    match isolated("looking after tokens", || tokens::start_due(database, now)) {
        Some(at) => next = next.min(at),
        None => smooth = false,
    }
    events::tell();
    if shmem::takes_pruning(database, now, PRUNE_EVERY) {
        prune(now);
    }
    // What failed is tried again soon, but not at once, which would be for ever.
    Ok(if smooth { next } else { now.plus(RETRY) })
}

/// Forgets history that is too old or too much, a job at a time.
fn prune(now: Timestamp) {
    for job in transaction::run(store::job::all).unwrap_or_default() {
        isolated("forgetting old runs", || history::prune_runs(job.id, now));
    }
    isolated("forgetting old failures", || history::prune_failures(now));
    isolated("forgetting old audit rows", history::prune_audit);
}

/// Work on one job that must not keep the others from theirs.
fn isolated<T>(what: &str, body: impl FnOnce() -> Result<T>) -> Option<T> {
    transaction::run(body).map_err(|error| log_error(what, &error)).ok()
}

fn has_worker(database: u32, job: i64) -> bool {
    shmem::slots()
        .iter()
        .any(|slot| slot.database == database && slot.job == job)
}

/// A run whose process is gone: it was stopped, or it was interrupted and goes on where it was.
fn close_dead(dead: &run::Run, now: Timestamp) -> Result<()> {
    // The worker may have ended in order since the run was looked at: it gives its lock back only after that.
    if !run::lock_running(dead.id)? {
        return Ok(());
    }
    if dead.stopped_by.is_some() {
        return run::finish(dead.id, RunStatus::Stopped, now);
    }
    run::finish(dead.id, RunStatus::Interrupted, now)?;
    failpoint::hit("scheduler.interrupted");
    let crashes = state::count_crash(dead.job)?;
    let delay = usize::try_from(crashes - 1)
        .ok()
        .and_then(|n| AFTER_CRASH.get(n).copied());
    match delay {
        None => {
            retry::bury(dead.job, dead.id)?;
            store::job::disable(
                dead.job,
                &format!(
                    "its runs were interrupted {} in a row without a committed page",
                    counted(crashes, "time")
                ),
            )
        }
        Some(delay) => go_on(dead, now.plus(delay)),
    }
}

/// Asks for the run that continues an interrupted one. A run that a person has approved goes on as itself: another one
/// would read again, and be held again.
fn go_on(dead: &run::Run, at: Timestamp) -> Result<()> {
    if dead.approved_by.is_some() {
        return run::wait_again(dead.id, at);
    }
    if dead.task != RunTask::Sync {
        let source = match dead.task.source() {
            RunSource::Rollback => RunSource::Rollback,
            _ => RunSource::Resume,
        };
        let wanted = run::Wanted {
            task: dead.task,
            source,
            subject: dead.subject,
            resume_job: dead.resume_job,
            label: dead.label.clone(),
        };
        return run::request_work(dead.job, &dead.requested_by, &wanted).map(drop);
    }
    let source = match dead.source == RunSource::Ingest.as_str() {
        true => RunSource::Ingest,
        false => RunSource::Resume,
    };
    run::request(dead.job, source, "scheduler", Some(at)).map(drop)
}

/// Asks for the job's run when it is due.
fn plan(job: &Job, now: Timestamp) -> Result<()> {
    let runnable = job.enabled && !job.paused && is_armed(job);
    if !runnable {
        return Ok(());
    }
    if !role::exists(job.owner)? {
        return store::job::disable(job.id, "the role that owns the job was dropped");
    }
    if run::open_of(job.id)?.is_some() {
        return Ok(());
    }
    let next = store::job::seconds_to(job.id, now)?;
    let has_payload = ingest::seconds_to_next(job.id, now)?.is_some_and(|seconds| seconds <= 0.0);
    // Reads and payloads take turns where both are due.
    let reads_first = next.is_some_and(|seconds| seconds <= 0.0) && run::latest_is_ingest(job.id)?;
    if has_payload && !reads_first {
        return run::request(job.id, RunSource::Ingest, "scheduler", None).map(drop);
    }
    // Asking would only be refused: they go on when it is connected again.
    if oauth::is_waiting(job.server)? {
        return Ok(());
    }
    match retry::open_of(job.id)? {
        // The schedule waits with it, unless somebody has asked for a run.
        Some(entry) if entry.pending && next.is_none() => return Ok(()),
        // Its run ended without a word, as one that was stopped before a worker took it.
        Some(entry) if !entry.pending => return retry::wait_again(job.id, now),
        _ => {}
    }
    match next {
        Some(seconds) if seconds <= 0.0 => {
            run::request(job.id, RunSource::Schedule, "scheduler", None)?;
            state::plan_next(job.id, None)?;
        }
        Some(_) => {}
        // A run that was stopped before a worker took it has left no plan behind.
        None => store::job::plan_after_failure(job, now, false)?,
    }
    Ok(())
}

/// What a job's stamp is compared with.
fn here() -> (i64, Oid) {
    (catalog::system_identifier(), bgworker::my_database_oid())
}

fn is_armed(job: &Job) -> bool {
    job.armed == Some(here())
}

/// When the next job of this database is due.
fn next_planned(now: Timestamp) -> Result<Timestamp> {
    let seconds = store::job::seconds_to_next(here(), now)?;
    Ok(seconds.map_or(Timestamp::NEVER, |s| now.plus(Duration::from_secs_f64(s.max(0.0)))))
}

/// Asks for the runs of the retries whose time came before `until`.
fn process_retries(until: Timestamp, now: Timestamp) -> Result<()> {
    retry::prune(now)?;
    for claimed in retry::claim(until, here(), MOST_RETRIES)? {
        run::request(claimed.job, RunSource::Retry, "scheduler", None)?;
    }
    Ok(())
}

/// When the next retry of this database is due.
fn next_retry(now: Timestamp) -> Result<Timestamp> {
    let seconds = retry::seconds_to_next(here(), now)?;
    Ok(seconds.map_or(Timestamp::NEVER, |s| now.plus(Duration::from_secs_f64(s.max(0.0)))))
}

/// When the next paused connection goes on by itself.
fn next_resumed(now: Timestamp) -> Result<Timestamp> {
    let seconds = pause::seconds_to_next(now)?;
    Ok(seconds.map_or(Timestamp::NEVER, |s| now.plus(Duration::from_secs_f64(s.max(0.0)))))
}

/// Starts a worker for a waiting run; false where it has to wait for a slot.
fn start(database: u32, run_id: i64, job_id: i64, paused: &HashSet<Oid>) -> Result<bool> {
    let Some(job) = store::job::by_id(job_id)? else {
        return Ok(true);
    };
    let Some(run) = run::by_id(run_id)? else {
        return Ok(true);
    };
    let asked_for = run.task != RunTask::Sync || run.approved_by.is_some();
    if !job.enabled && !asked_for {
        return fail_disabled(&job, run_id).map(|()| true);
    }
    let rests = job.paused || paused.contains(&job.server);
    if !is_armed(&job) || (rests && !asked_for) {
        return Ok(true);
    }
    let Some(owner) = role::owner_of(job.target)? else {
        return fail_without_target(&job, run_id).map(|()| true);
    };
    let wanted = shmem::reservation(database, job_id, run_id, owner.run_as());
    let Some(slot) = shmem::reserve(wanted, &job.name, settings::max_workers()) else {
        shmem::set_starved(database);
        return Ok(true); // every worker is busy: the one that ends first wakes us
    };
    // Only now: waiting for a slot is no attempt, however often it was looked for one.
    match run::count_attempt(run_id) {
        Ok(attempts) if attempts <= ATTEMPTS => {}
        counted => {
            shmem::release(slot);
            counted?;
            return give_up(&job, run_id).map(|()| true);
        }
    }
    if bgworker::start_worker(slot, &job.name) {
        return Ok(true);
    }
    shmem::release(slot);
    shmem::set_starved(database);
    Ok(false)
}

/// Worker after worker ended before it could take the run: the reason is in the server's log.
fn give_up(job: &Job, run_id: i64) -> Result<()> {
    let error = sluice_core::call::CallError::WorkerDidNotStart {
        job: job.name.clone(),
        attempts: ATTEMPTS,
    };
    fail_unstarted(job, run_id, &error.into())
}

/// A run that fails without a worker.
fn fail_unstarted(job: &Job, run_id: i64, error: &sluice_core::Error) -> Result<()> {
    let now = clock::now();
    run::fail(run_id, RunStatus::Failed, error, now)?;
    state::note_failure(job.id, now)?;
    store::job::plan_after_failure(job, now, true)?;
    failure::record(&Failure {
        job: job.id,
        run: run_id,
        at: now,
        place: Place::default(),
        error,
        next: None,
    })
}

/// A job that was disabled after the run was asked for: whoever waits for the run learns it.
fn fail_disabled(job: &Job, run_id: i64) -> Result<()> {
    let error = sluice_core::call::CallError::Disabled {
        name: job.name.clone(),
        reason: job.disabled_reason.clone(),
    };
    run::fail(run_id, RunStatus::Failed, &error.into(), clock::now())
}

/// The target is gone: no role to run as, nothing to write to. The run fails without a worker.
fn fail_without_target(job: &Job, run_id: i64) -> Result<()> {
    let error = sluice_core::target::TargetError::Gone {
        target: format!("{}.{}", job.target_schema, job.target_table),
        job: job.name.clone(),
    };
    fail_unstarted(job, run_id, &error.into())
}
