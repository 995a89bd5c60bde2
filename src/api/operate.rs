//! Starting, stopping and deciding: what operators call.

use super::jobs::{require_connection, stop};
use super::{caller_name, given, may_operate, operable_job, require_server, wake};
use crate::pg::FunctionCallInfo;
use crate::pg::procedure::{self, Procedure};
use crate::pg::report::or_raise;
use crate::pg::{arm_file, bgworker, catalog, clock, failpoint, identity, latch, shmem};
use crate::store::job::{self, Job};
use crate::store::{pause, run, state};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::{CallError, EndedWith};
use sluice_core::counted::counted;
use sluice_core::from_page::{self, FromPageFault, Progress, Start};
use sluice_core::job::Mode;
use sluice_core::run::{RunSource, RunStatus};
use sluice_core::settings::Settings;
use std::time::{Duration, Instant};

/// How often a waiting procedure looks.
const SLICE: Duration = Duration::from_millis(100);
/// How often it tells how far the run is.
const NOTICE_EVERY: Duration = Duration::from_secs(2);
/// How often a cancelled call tries to take its run along, and how long it pauses between: half a second in all.
const FORGET_TRIES: u32 = 20;
const FORGET_PAUSE: Duration = Duration::from_millis(25);

/// Asks for a run at commit; the running run's id where one is running.
#[pg_extern(volatile, parallel_unsafe)]
fn start_sync(job: Option<&str>, from_page: default!(Option<i64>, "NULL")) -> i64 {
    or_raise(given("job", job).and_then(|job| start(job, from_page)))
}

fn start(name: &str, from_page: Option<i64>) -> Result<i64> {
    require_server()?;
    let job = operable_job(name)?;
    refuse_at_rest(&job)?;
    require_connection(&job)?;
    let id = match from_page {
        None => request(&job)?,
        Some(page) => request_from(&job, page)?,
    };
    wake();
    Ok(id)
}

/// Asks for a read from this page of the read in progress on.
fn request_from(job: &Job, page: i64) -> Result<i64> {
    // First the run, which keeps others from beginning until this transaction ends.
    let id = run::request_alone(job.id, RunSource::Manual, &caller_name()?)?;
    let id = id.ok_or_else(|| CallError::from(FromPageFault::OpenRun { job: job.name.clone() }))?;
    let read = state::load(job.id, clock::now())?;
    let is_open = read.reading && read.definition.is_some();
    let settings = Settings::parse(&job.settings)?;
    let progress = is_open.then(|| Progress {
        next: read.page_number,
        in_table: read.direct,
        appends: job.mode == Mode::Append.as_str(),
        counts: settings.foreach.is_some() || settings.cursor.is_some() || settings.deleted_when.is_some(),
    });
    match from_page::start(&job.name, page, progress).map_err(CallError::from)? {
        Start::Checkpoint => {}
        Start::Anew => state::give_up_read(job.id)?,
        Start::Page(page) => state::go_back(job.id, read.generation, page)?,
    }
    Ok(id)
}

/// Asks for a read. While payloads are being written it comes right after that.
fn request(job: &Job) -> Result<i64> {
    let id = run::request(job.id, RunSource::Manual, &caller_name()?, None)?;
    if run::is_ingest(id)? {
        state::plan_next(job.id, Some(clock::now()))?;
    }
    Ok(id)
}

/// Nothing runs on a server whose arm file is missing.
pub fn refuse_without_arm_file() -> Result<()> {
    arm_file::fault().map_or(Ok(()), |fault| Err(CallError::Unarmed(fault).into()))
}

/// Nothing runs in a database that was not made here.
pub fn refuse_unarmed(job: &Job) -> Result<()> {
    refuse_without_arm_file()?;
    if job.armed != Some(super::here()) {
        return Err(CallError::NotArmed { name: job.name.clone() }.into());
    }
    Ok(())
}

pub fn refuse_at_rest(job: &Job) -> Result<()> {
    refuse_unarmed(job)?;
    let name = job.name.clone();
    if job.paused {
        return Err(CallError::Paused {
            name,
            reason: job.pause_reason.clone(),
        }
        .into());
    }
    if let Some(reason) = pause::reason(job.server)? {
        let connection = job.server_name.clone();
        return Err(CallError::ConnectionPaused { connection, reason }.into());
    }
    if !job.enabled {
        return Err(CallError::Disabled {
            name,
            reason: job.disabled_reason.clone(),
        }
        .into());
    }
    Ok(())
}

/// Ends open runs, keeping their checkpoints; how many. NULL: those of every job that the caller may operate.
#[pg_extern(volatile, parallel_unsafe)]
fn stop_sync(job: default!(Option<&str>, "NULL")) -> i64 {
    or_raise(stop_runs(job))
}

fn stop_runs(name: Option<&str>) -> Result<i64> {
    require_server()?;
    let jobs = match name {
        Some(name) => vec![operable_job(name)?],
        None => job::all()?,
    };
    let mut stopped = 0;
    for job in jobs {
        if may_operate(&job)? && run::open_of(job.id)?.is_some() {
            stop(&job)?;
            stopped += 1;
        }
    }
    Ok(stopped)
}

/// Asks for a run of every job of the caller (of all, for an operator) that may run; how many.
#[pg_extern(volatile, parallel_unsafe)]
fn force_sync_all() -> i64 {
    or_raise(start_all())
}

fn start_all() -> Result<i64> {
    require_server()?;
    let mut started = 0;
    for job in job::all()? {
        if may_operate(&job)? && refuse_at_rest(&job).is_ok() {
            request(&job)?;
            started += 1;
        }
    }
    wake();
    Ok(started)
}

/// Drops a held run: what it read is forgotten.
#[pg_extern(volatile, parallel_unsafe)]
fn discard(run: Option<i64>) {
    or_raise(given("run", run).and_then(drop_held));
}

fn drop_held(id: i64) -> Result<()> {
    catalog::require_primary()?;
    let held = held_run(id)?;
    run::finish(held.id, RunStatus::Discarded, clock::now())
}

/// A run and its job, if the caller may see them.
pub fn seen_run(id: i64) -> Result<(run::Run, Job)> {
    let unknown = CallError::UnknownRun { run: id };
    let Some(found) = run::by_id(id)? else {
        return Err(unknown.into());
    };
    let job = super::seen_job(found.job)?.ok_or(unknown)?;
    Ok((found, job))
}

/// The held run of this id, if the caller may decide about it.
fn held_run(id: i64) -> Result<run::Run> {
    let (found, job) = seen_run(id)?;
    operable_job(&job.name)?;
    if found.status == RunStatus::Held.as_str() {
        return Ok(found);
    }
    Err(CallError::NotHeld {
        run: id,
        status: found.status,
    }
    .into())
}

/// Runs a job and waits for it.
#[pg_extern(sql = "
CREATE PROCEDURE sluice.sync(job text) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn sync(job: Option<&str>, call: FunctionCallInfo) {
    or_raise(procedure::run(call, "sluice.sync", |procedure| {
        let job = given("job", job)?;
        let mut id = start(job, None)?;
        procedure.commit();
        while run::is_ingest(id)? {
            wait_until_free(procedure, &operable_job(job)?)?;
            id = start(job, None)?;
            procedure.commit();
        }
        wait(procedure, id, job)
    }));
}

/// Publishes a held run.
#[pg_extern(sql = "
CREATE PROCEDURE sluice.approve(run bigint) LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn approve(run: Option<i64>, call: FunctionCallInfo) {
    or_raise(procedure::run(call, "sluice.approve", |procedure| {
        require_server()?;
        let run = given("run", run)?;
        let job = loop {
            let held = held_run(run)?;
            let job = job::by_id(held.job)?.ok_or(CallError::UnknownRun { run })?;
            refuse_unarmed(&job)?;
            wait_until_free(procedure, &job)?;
            if run::approve(&held, &caller_name()?)? {
                break job;
            }
            // Another run of the job began at the same moment, or somebody has decided first.
            procedure.commit();
        };
        wake();
        procedure.commit();
        wait(procedure, run, &job.name)
    }));
}

/// Waits until no run occupies the job.
pub fn wait_until_free(procedure: &Procedure, job: &Job) -> Result<()> {
    procedure.commit();
    while run::open_of(job.id)?.is_some() {
        procedure.commit();
        latch::wait(SLICE);
    }
    failpoint::hit("call.free");
    Ok(())
}

/// Waits until a run has ended, and tells what it did.
pub fn wait(procedure: &Procedure, id: i64, job: &str) -> Result<()> {
    let ended = wait_untold(procedure, id, job)?;
    procedure::notice(&summary(ended)?);
    procedure.commit();
    Ok(())
}

/// The same for calls that tell themselves what became of it; the run that ended well.
pub fn wait_untold(procedure: &Procedure, id: i64, job: &str) -> Result<i64> {
    let mut told = Instant::now();
    let mut last = String::new();
    loop {
        // A cancellation is met below and nowhere else, so that it always takes the run along.
        let (status, error) = latch::uninterrupted(|| look(procedure, id))?;
        match status.as_str() {
            UNSEEN | "scheduled" | "running" | "publishing" => {}
            "succeeded" => return Ok(id),
            "interrupted" => return follow(procedure, id, job),
            _ => {
                return Err(CallError::RunEnded {
                    run: id,
                    job: job.into(),
                    status,
                    error,
                }
                .into());
            }
        }
        if told.elapsed() >= NOTICE_EVERY {
            told = Instant::now();
            tell_progress(id, error.message, &mut last);
        }
        if latch::wait_for_cancel(SLICE) {
            forget(procedure, id)?;
            latch::check_interrupts();
        }
    }
}

/// The status of a run that cannot be looked at now: nothing that cannot be cancelled may wait for a lock.
const UNSEEN: &str = "";

/// How the run stands.
fn look(procedure: &Procedure, id: i64) -> Result<(String, EndedWith)> {
    let found = match run::try_lock_tables()? {
        true => ending(id)?,
        false => (UNSEEN.into(), EndedWith::default()),
    };
    procedure.commit();
    failpoint::hit("call.looked");
    Ok(found)
}

/// The caller is cancelled or its session ended, and its run with it: one that still waits for a worker would run later
/// otherwise. Where somebody keeps the run's row or its table for longer, the caller ends without it.
fn forget(procedure: &Procedure, id: i64) -> Result<()> {
    for _ in 0..FORGET_TRIES {
        let done = latch::uninterrupted(|| {
            let done = try_forget(id);
            procedure.commit();
            done
        })?;
        if done {
            break;
        }
        latch::wait_for_cancel(FORGET_PAUSE);
    }
    Ok(())
}

/// Stops the run if that needs no waiting; whether it is done. A run that has ended meanwhile has left its job to others.
fn try_forget(id: i64) -> Result<bool> {
    if !run::try_lock_tables()? {
        return Ok(false);
    }
    let found = run::by_id(id)?.filter(|run| RunStatus::parse(&run.status).is_some_and(RunStatus::is_open));
    let Some(found) = found else { return Ok(true) };
    if !run::try_lock(id)? {
        return Ok(false);
    }
    if let Some(job) = job::by_id(found.job)? {
        stop(&job)?;
    }
    Ok(true)
}

/// An interrupted run goes on as another: that one is waited for.
fn follow(procedure: &Procedure, id: i64, job: &str) -> Result<i64> {
    procedure::notice(&format!(
        "run {id} was interrupted; waiting for the run that continues it"
    ));
    let next = job::by_name(job, identity::current_user()).and_then(|job| run::open_of(job.id))?;
    procedure.commit();
    match next {
        Some(next) => wait_untold(procedure, next.id, job),
        None => {
            let (status, error) = ending(id)?;
            Err(CallError::RunEnded {
                run: id,
                job: job.into(),
                status,
                error,
            }
            .into())
        }
    }
}

/// How a run stands, as far as the caller may read it.
pub fn ending(id: i64) -> Result<(String, EndedWith)> {
    Ok(run::ending(id, identity::current_user())?.ok_or(CallError::UnknownRun { run: id })?)
}

fn summary(id: i64) -> Result<String> {
    let c = run::counts(id)?;
    let rejected = match c.rejected {
        0 => String::new(),
        rejected => format!(", {rejected} rejected"),
    };
    Ok(format!(
        "run {id}: {}, {}; {} inserted, {} updated, {} deleted, {} unchanged{rejected}",
        counted(c.pages, "page"),
        counted(c.records, "record"),
        c.inserted,
        c.updated,
        c.deleted,
        c.unchanged
    ))
}

/// Tells how far the run is, or what it waits for, if that is news.
fn tell_progress(id: i64, waits: Option<String>, last: &mut String) {
    let here = bgworker::my_database();
    let slot = shmem::slots().into_iter().find(|s| s.database == here && s.run == id);
    let news = slot.map_or_else(
        || format!("waiting: {}", waits.as_deref().unwrap_or("for a worker")),
        |slot| {
            let p = slot.progress;
            let of = if p.pages_total > 0 {
                format!(" of {}", p.pages_total)
            } else {
                String::new()
            };
            let records = counted(p.records_done, "record");
            format!("{}: page {}{of}, {records}", p.phase.as_str(), p.pages_done)
        },
    );
    if news != *last {
        procedure::notice(&news);
        *last = news;
    }
}
