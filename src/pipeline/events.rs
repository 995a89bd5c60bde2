//! Tells others by NOTIFY what happened, always in a transaction of its own after the commit that it tells of.
//!
//! A full notification queue makes a commit fail: here that is this transaction's and nobody else's, and what was not
//! told waits in its table for the next time.

use super::Work;
use crate::pg::clock::{self, Timestamp};
use crate::pg::{failpoint, settings, shmem, transaction};
use crate::store::event;
use sluice_core::{Error, Result};
use std::cell::Cell;
use std::time::Duration;

/// Events of one transaction.
const AT_ONCE: i64 = 1000;
/// The shortest time between two tellings of how far a run is.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

thread_local! {
    /// When this worker last told how far its run is; its beginning counts.
    static TOLD: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// Tells what waits. Whatever keeps it from that is for the next time.
pub fn tell() {
    if let Err(error) = try_tell() {
        complain(&error);
    }
}

fn try_tell() -> Result<()> {
    if !transaction::run(event::waits)? {
        return Ok(());
    }
    let told = transaction::run(|| {
        let told = event::tell(AT_ONCE)?;
        failpoint::hit("events.telling");
        Ok(told)
    });
    if told.is_err() {
        transaction::run(event::forget_overflow)?;
    }
    told.map(drop)
}

/// Tells how far the run is, at most every half a minute.
pub fn tell_progress(work: &Work) {
    let now = clock::now();
    let last = TOLD.get().unwrap_or_else(|| shmem::started_at(work.slot));
    if now.since(last) < PROGRESS_EVERY || !settings::notify_events() {
        return;
    }
    TOLD.set(Some(now));
    let progress = shmem::progress(work.slot);
    let pages = (progress.pages_done, progress.pages_total);
    let told =
        transaction::run(|| event::tell_progress(work.run, progress.phase.as_str(), pages, progress.records_done));
    if let Err(error) = told {
        complain(&error);
    }
}

/// Once a process: it is told again at every run.
fn complain(error: &Error) {
    thread_local! {
        static COMPLAINED: Cell<bool> = const { Cell::new(false) };
    }
    if !COMPLAINED.replace(true) {
        pgrx::warning!("pg_sluice: events could not be told: {error}");
    }
}
