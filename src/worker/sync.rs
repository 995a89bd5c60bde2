//! The worker: does one run as the run-as role, or looks after the tokens of one connection, and ends.

use crate::pg::identity::RunAs;
use crate::pg::shmem::Slot;
use crate::pg::{Datum, Oid, bgworker, identity, latch, lock, shmem, signals, transaction};
use crate::pipeline::{self, Work, rates};
use crate::store;
use crate::worker::{log_error, tokens};
use pgrx::prelude::*;
use std::time::Duration;

/// How often and how long a worker waits for its job's lock: the worker before it may still be on its way out.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Entry point; the argument is the slot that says what to do.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)] // an exported symbol, found by name
pub extern "C-unwind" fn sluice_worker_main(arg: Datum) {
    let number = arg.value();
    bgworker::leave_slot_at_exit(number);
    let Some(slot) = shmem::enter_worker(number, bgworker::my_pid()) else {
        return;
    };
    bgworker::enter_worker(slot.database, run_as(&slot));
    bgworker::report_name(&format!("sluice job {} {}", slot.job, slot.name()));
    bgworker::keep_memory_private();
    signals::quiet_thread_panics();
    if slot.assumed {
        apply_role_settings(&slot);
    }
    transaction::pin_settings();
    if let Some(rule) = slot.rule() {
        bgworker::report_name(&format!("sluice event rule {}", slot.name()));
        if let Err(error) = pipeline::alert::run(number, rule) {
            log_error("a call of an event rule could not be noted", &error);
        }
        return;
    }
    run_once(number, &slot);
}

fn run_as(slot: &Slot) -> RunAs {
    let role = Oid::from(slot.role);
    if slot.assumed {
        RunAs::Assumed(role)
    } else {
        RunAs::Session(role)
    }
}

/// A session that became its role after connecting has not got the role's own settings yet.
fn apply_role_settings(slot: &Slot) {
    let role = Oid::from(slot.role);
    let settings = transaction::run(|| store::role::settings_of(role)).unwrap_or_default();
    for (name, value) in settings {
        let applied = transaction::run(|| {
            identity::set_for_session(&name, &value);
            Ok(())
        });
        if let Err(error) = applied {
            log_error(
                &format!("setting \"{name}\" of the run-as role was not applied"),
                &error,
            );
        }
    }
}

fn run_once(number: usize, slot: &Slot) {
    if let Some(grant) = tokens::grant_of(slot) {
        if let Err(error) = pipeline::tokens::keep(grant) {
            log_error("a token could not be looked after", &error);
        }
        return;
    }
    let jobs_table = match transaction::run(store::jobs_table) {
        Ok(oid) => oid,
        Err(error) => return log_error("a worker found no jobs table", &error),
    };
    let locked = (0..LOCK_TRIES).any(|_| {
        lock::try_lock(jobs_table, slot.job) || {
            latch::wait(LOCK_PAUSE);
            false
        }
    });
    if locked {
        let work = Work {
            slot: number,
            job: slot.job,
            run: slot.run,
        };
        let done = match work.run {
            rates::PROBE => rates::probe_host(&work),
            _ => pipeline::run(&work),
        };
        if let Err(error) = done {
            log_error(&format!("run {} could not be ended in order", slot.run), &error);
        }
        bgworker::report_activity("");
        lock::unlock(jobs_table, slot.job);
    }
}
