//! The scheduler of one database: closes dead runs, asks for due ones, starts workers, and leaves.
//!
//! It is also the probe: in a database without our extension it leaves at once and comes back only at the next look.
//! One statement says what all jobs want; each job is then handled by itself, so that one bad definition stops no other.
//! While there is something to do it stays for a moment, since the next look is cheaper than the next process.

use super::pass::{self, Passed};
use super::start::Starts;
use super::{dead, here, isolated};
use crate::pg::clock::{self, Timestamp};
use crate::pg::{
    Datum, arm_file, bgworker, catalog, failpoint, latch, plans, settings, shmem, signals, transaction, zone,
};
use crate::pipeline::events;
use crate::store::{self, arming, due, history, pause, run};
use crate::worker::{alerts, log_error, rates, tokens};
use pgrx::prelude::*;
use sluice_core::Result;
use std::time::{Duration, Instant};

/// How soon a scheduler looks again when something it wanted did not happen.
pub const RETRY: Duration = Duration::from_secs(5);
/// How soon it looks again after an error.
const AFTER_ERROR: Duration = Duration::from_secs(30);
/// How long it stays after a look: runs that end one after the other are met by one process.
const LINGER: Duration = Duration::from_secs(2);

/// How often the history of a database is pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// What a look came to.
struct Looked {
    /// When the database is due again.
    next: Timestamp,
    /// Whether it makes sense to stay for a moment.
    stays: bool,
}

/// Entry point; the argument is the database's oid.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // an exported symbol, found by name
pub extern "C-unwind" fn sluice_scheduler_main(arg: Datum) {
    let database = arg.value() as u32;
    bgworker::enter_scheduler(database);
    bgworker::report_name("sluice scheduler");
    plans::keep_plans();
    failpoint::hit("scheduler.entering");
    if !shmem::enter_scheduler(database, bgworker::my_pid(), &zone::of_session()) {
        return;
    }
    loop {
        signals::reload_settings_if_asked();
        shmem::begin_look(database);
        let now = clock::now();
        let looked = look(database, now).unwrap_or_else(|error| {
            log_error("the scheduler could not do its work", &error);
            Looked {
                next: now.plus(AFTER_ERROR),
                stays: false,
            }
        });
        shmem::set_due(database, looked.next);
        if !looked.stays || !is_wanted_again(database, now, looked.next) {
            return;
        }
    }
}

/// Stays for a moment; whether something came up in it.
fn is_wanted_again(database: u32, looked: Timestamp, next: Timestamp) -> bool {
    let since = Instant::now();
    loop {
        signals::reload_settings_if_asked();
        if !settings::enabled() {
            return false;
        }
        let now = clock::now();
        let was_set_back = now < looked;
        if shmem::is_dirty(database) || next <= now || was_set_back {
            return true;
        }
        let left = LINGER.saturating_sub(since.elapsed());
        if left.is_zero() {
            return false;
        }
        latch::wait(left.min(next.since(now)));
    }
}

/// One look, and what follows from it.
fn look(database: u32, now: Timestamp) -> Result<Looked> {
    let is_ours = || Ok(catalog::extension_exists() && settings::serves_database(&catalog::database_name()));
    if !transaction::run(is_ours)? {
        return Ok(Looked {
            next: Timestamp::NEVER,
            stays: false,
        });
    }
    // The launcher waits for the file, and may have begun before it was gone.
    if arm_file::fault().is_some() {
        return Ok(Looked {
            next: now.plus(RETRY),
            stays: false,
        });
    }
    let mut smooth = close_dead(database, now)?;
    let paused = transaction::run(|| pause::lasting(now))?;
    let look = transaction::run(|| due::look(here(), now))?;
    let Passed {
        mut next,
        smooth: passed,
        again,
    } = pass::serve(&look, now);
    smooth &= passed;
    let rates_due = rates::run_once(database, here(), now);
    smooth &= rates_due.is_some();
    next = next.min(rates_due.unwrap_or(next));
    let started = Starts::new(database, now, paused).start_all()?;
    next = next.min(transaction::run(|| next_resumed(now))?);
    smooth &= started.smooth;
    match alerts::run_once(database, now) {
        Ok(at) => next = next.min(at),
        Err(error) => {
            log_error("calling for events", &error);
            smooth = false;
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
    let next = match (smooth, again) {
        // What failed is tried again soon, but not at once, which would be for ever.
        (false, _) => now.plus(RETRY),
        (true, true) => now,
        (true, false) => next.min(started.next),
    };
    Ok(Looked {
        next,
        stays: !started.slotless,
    })
}

/// When the next paused connection goes on by itself.
fn next_resumed(now: Timestamp) -> Result<Timestamp> {
    let seconds = pause::seconds_to_next(now)?;
    Ok(seconds.map_or(Timestamp::NEVER, |s| now.plus(Duration::from_secs_f64(s.max(0.0)))))
}

/// Closes the runs whose process is gone; whether all of that went well.
fn close_dead(database: u32, now: Timestamp) -> Result<bool> {
    let running = transaction::run(run::running)?;
    failpoint::hit("scheduler.looked");
    if running.is_empty() {
        return Ok(true);
    }
    let locked = transaction::run(run::locked_jobs)?;
    let slots = shmem::slots();
    let has_worker = |job: i64| slots.iter().any(|slot| slot.database == database && slot.job == job);
    let mut smooth = true;
    for run in running.iter().filter(|run| !locked.contains(&run.job)) {
        if !has_worker(run.job) {
            smooth &= isolated("closing a run", || dead::close(run, now)).is_some();
        }
    }
    Ok(smooth)
}

/// Forgets history that is too old or too much, a job at a time.
fn prune(now: Timestamp) {
    for job in transaction::run(store::job::all).unwrap_or_default() {
        isolated("forgetting old runs", || history::prune_runs(job.id, now));
    }
    until_less("forgetting old failures", || history::prune_failures(now));
    until_less("forgetting old audit rows", history::prune_audit);
    isolated("forgetting old calls", || history::prune_calls(now));
    isolated("noting the names of roles", arming::follow_roles);
}

/// Forgets as much as there is, so many rows in each transaction.
fn until_less(what: &str, forget: impl Fn() -> Result<u64>) {
    while isolated(what, &forget).is_some_and(|gone| gone >= history::AT_ONCE.unsigned_abs()) {}
}
