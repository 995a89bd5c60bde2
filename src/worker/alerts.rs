//! Has the calls of event rules made, one worker a database at a time, beside the runs and never in their way.

use crate::pg::clock::Timestamp;
use crate::pg::identity::RunAs;
use crate::pg::{bgworker, shmem, transaction};
use crate::pipeline::alert as calls;
use crate::store::alert::{self, Call};
use crate::store::{connection, role};
use sluice_core::alert::{AlertFault, Callee};
use sluice_core::{Error, Result};
use std::time::Duration;

/// Queues calls for what has changed, and starts a worker for the first that is due; when to look again.
pub fn run_once(database: u32, now: Timestamp) -> Result<Timestamp> {
    if !transaction::run(alert::any)? {
        return Ok(Timestamp::NEVER);
    }
    transaction::run(|| alert::raise(now))?;
    let mut smooth = true;
    if !shmem::has_caller(database) {
        transaction::run(take_back)?;
        while let Some(call) = transaction::run(|| alert::due(None, now))? {
            match transaction::run(|| run_as(&call)) {
                Ok(role) => {
                    smooth = start(database, &call, role);
                    break;
                }
                // Whoever was to be called is not there: the next call may be made.
                Err(error) => transaction::run(|| fail_unmade(&call, &error))?,
            }
        }
    }
    let next = transaction::run(|| alert::seconds_to_next(now))?;
    let next = next.map_or(Timestamp::NEVER, |s| now.plus(Duration::from_secs_f64(s.max(0.0))));
    Ok(if smooth {
        next
    } else {
        next.min(now.plus(super::scheduler::RETRY))
    })
}

/// Calls that were begun by a worker that is gone.
fn take_back() -> Result<()> {
    for (id, attempts) in alert::abandoned()? {
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        calls::note_failure(id, attempts, &AlertFault::WorkerEnded.into())?;
    }
    Ok(())
}

fn fail_unmade(call: &Call, error: &Error) -> Result<()> {
    if alert::begin(call.id)? {
        calls::note_failure(call.id, call.attempts + 1, error)?;
    }
    Ok(())
}

/// As whom a call is made: a function as its owner, a POST as the connection's.
fn run_as(call: &Call) -> Result<RunAs> {
    let (role, may_login) = match &call.callee {
        Callee::Function(name) => {
            let found = calls::expected_function(call, name)?;
            (found.owner, found.may_login)
        }
        Callee::Webhook { connection, .. } => {
            let owner = connection::by_name(connection)?.owner;
            (owner, role::may_login(owner)?)
        }
    };
    Ok(match may_login || !bgworker::ASSUMES_NOLOGIN {
        true => RunAs::Session(role),
        false => RunAs::Assumed(role),
    })
}

fn start(database: u32, call: &Call, role: RunAs) -> bool {
    let wanted = shmem::reservation(database, (0, call.id), role, 0);
    let Some(slot) = shmem::reserve_caller(call.alert, wanted, &call.rule) else {
        return false;
    };
    let started = bgworker::start_worker(slot, &call.rule);
    if !started {
        shmem::release(slot);
    }
    started
}
