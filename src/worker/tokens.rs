//! Starts workers for the grants whose time has come: a code to exchange, a device to ask about, a renewal to try again,
//! a refresh token to keep from lapsing. An idle connection costs one worker a day.

use crate::pg::clock::Timestamp;
use crate::pg::shmem::{self, Slot};
use crate::pipeline::tokens;
use crate::store::{connection, oauth};
use sluice_core::Result;
use std::time::Duration;

/// How soon it is tried again when a worker ends without having done anything.
const LEASE: Duration = Duration::from_secs(60);

/// The grant that a worker was started for; None: a run.
pub fn grant_of(slot: &Slot) -> Option<i64> {
    (slot.job < 0 && slot.rule().is_none()).then_some(-slot.job)
}

/// Starts workers for what is due; when the next is.
pub fn start_due(database: u32, now: Timestamp) -> Result<Timestamp> {
    let mut next = Timestamp::NEVER;
    for due in oauth::due(now)? {
        if due.seconds > 0.0 {
            next = next.min(now.plus(Duration::from_secs_f64(due.seconds)));
        } else if !start(database, &due, now)? {
            // Every worker is busy: the one that ends first wakes us.
            shmem::set_starved(database);
        }
    }
    Ok(next)
}

fn start(database: u32, due: &oauth::Due, now: Timestamp) -> Result<bool> {
    let Some(server) = connection::by_oid(due.server)? else {
        return Ok(true);
    };
    let started = tokens::start_worker(database, due.id, &server)?;
    if started {
        oauth::plan(due.id, Some(now.plus(LEASE)))?;
    }
    Ok(started)
}
