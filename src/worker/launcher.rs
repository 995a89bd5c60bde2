//! The launcher: knows every database, holds none.
//!
//! It compares what is wanted (databases that are due, in shared memory) with what runs, starts what is missing, and
//! sleeps until the next time or until somebody wakes it. It keeps no history: after a crash it looks at every database
//! anew.

use crate::pg::clock::{self, Timestamp};
use crate::pg::{Datum, arm_file, bgworker, catalog, failpoint, latch, settings, shmem, signals};
use pgrx::prelude::*;
use sluice_core::arm_file::ArmFileFault;
use std::time::Duration;

/// How often every database is looked at, whatever was announced: two-phase commits and restores announce nothing.
const PROBE_INTERVAL: Duration = Duration::from_secs(600);
/// The longest sleep: reservations and blocks of vanished processes are tidied at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How often workers are looked at while there are any.
const WATCH_INTERVAL: Duration = Duration::from_secs(15);
/// How long to wait when the server has no background worker slot free.
const NO_SLOT_RETRY: Duration = Duration::from_secs(5);
/// How often a lasting lack of slots is told.
const WARN_INTERVAL: Duration = Duration::from_secs(3600);
/// How often a server that is held back looks for its arm file.
const ARM_FILE_INTERVAL: Duration = Duration::from_secs(5);

/// When the launcher did what it does only now and then.
struct Launcher {
    probed_at: Timestamp,
    warned_at: Timestamp,
    looked_at: Timestamp,
    /// Why nothing is started, as it was told last.
    held_back: Option<ArmFileFault>,
}

/// Entry point; the postmaster starts it after recovery and again five seconds after it ends.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // an exported symbol, found by name
pub extern "C-unwind" fn sluice_launcher_main(_arg: Datum) {
    bgworker::enter_launcher();
    let long_ago = Timestamp(i64::MIN / 2);
    let mut launcher = Launcher {
        probed_at: long_ago,
        warned_at: long_ago,
        looked_at: long_ago,
        held_back: None,
    };
    loop {
        if signals::reload_settings_if_asked() {
            // Other databases may be served now.
            launcher.probed_at = long_ago;
        }
        latch::wait(launcher.run_once(clock::now()));
    }
}

impl Launcher {
    /// One look; how long to sleep after it.
    fn run_once(&mut self, now: Timestamp) -> Duration {
        self.follow_clock(now);
        shmem::tidy(now);
        let silent = shmem::watch(now);
        failpoint::hit("launcher.watched");
        for pid in silent {
            ereport!(
                PgLogLevel::WARNING,
                PgSqlErrorCode::ERRCODE_WARNING,
                format!("pg_sluice replaces worker {pid}, which has made no progress"),
                "Its run goes on at its checkpoint with another worker."
            );
        }
        if !settings::enabled() {
            return LONGEST_SLEEP;
        }
        if self.is_held_back() {
            return ARM_FILE_INTERVAL;
        }
        if now.since(self.probed_at) >= PROBE_INTERVAL {
            self.probe(now);
        }
        self.start_schedulers(now);
        if shmem::is_any_slotless() {
            self.warn_of_missing_slot(now);
        }
        let next_probe = self.probed_at.plus(PROBE_INTERVAL);
        shmem::next_due()
            .min(next_probe)
            .since(now)
            .clamp(Duration::from_millis(10), longest_sleep())
    }

    /// What was noted by a clock that has been set back since would keep things waiting until it has caught up.
    fn follow_clock(&mut self, now: Timestamp) {
        if now < self.looked_at {
            self.probed_at = self.probed_at.min(now);
            self.warned_at = self.warned_at.min(now);
            shmem::clock_was_set_back(now);
        }
        self.looked_at = now;
    }

    /// Whether the arm file is missing, which is told when it begins and when it ends.
    fn is_held_back(&mut self) -> bool {
        let fault = arm_file::fault();
        if fault != self.held_back {
            match fault {
                Some(fault) => ereport!(
                    PgLogLevel::WARNING,
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("pg_sluice starts nothing: {fault}"),
                    fault.hint()
                ),
                None => log!("pg_sluice has found its arm file"),
            }
        }
        self.held_back = fault;
        fault.is_some()
    }

    fn start_schedulers(&mut self, now: Timestamp) {
        let due = shmem::take_due_databases(now);
        if due.is_empty() {
            return;
        }
        // Whatever is committed in a database makes it due, whether it is served or not.
        let served = served();
        for database in due {
            if !served.contains(&database) {
                shmem::forget_database(database);
            } else if !bgworker::start_scheduler(database) {
                shmem::scheduler_not_started(database, now.plus(NO_SLOT_RETRY));
                self.warn_of_missing_slot(now);
            }
        }
    }

    /// Looks which databases there are, and has each looked into.
    fn probe(&mut self, now: Timestamp) {
        shmem::follow_databases(&served());
        shmem::mark_all_dirty();
        self.probed_at = now;
    }

    fn warn_of_missing_slot(&mut self, now: Timestamp) {
        if now.since(self.warned_at) >= WARN_INTERVAL {
            self.warned_at = now;
            ereport!(
                PgLogLevel::WARNING,
                PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
                "no background worker slot is free for pg_sluice",
                "Raise max_worker_processes and restart the server; jobs that wait show waiting_for_worker."
            );
        }
    }
}

/// The databases that are there and that `sluice.databases` names.
fn served() -> Vec<u32> {
    let all = catalog::databases().into_iter();
    all.filter(|d| settings::serves_database(&d.name))
        .map(|d| d.oid)
        .collect()
}

/// How long nothing needs a look by itself.
fn longest_sleep() -> Duration {
    match shmem::is_any_running() {
        true => WATCH_INTERVAL,
        false => LONGEST_SLEEP,
    }
}
