//! The scheduler's part in rate budgets: what a crash has left is read back, what a closed breaker holds up goes on, and an
//! open one is probed once a minute, whether a run is due or not.

use crate::pg::clock::Timestamp;
use crate::pg::shmem::{Reserved, Room};
use crate::pg::{Oid, bgworker, rates, shmem};
use crate::pipeline::rates::{PROBE, Written, hold, keep_now};
use crate::store::due::Waiting;
use crate::store::{self, rate, run};
use crate::worker::isolated;
use sluice_core::Result;
use sluice_core::rate::Breaker;
use sluice_core::retry::SplitMix64;
use std::collections::HashMap;
use std::time::Duration;

/// How soon a probe is tried again that found no worker.
const RETRY: Duration = Duration::from_secs(5);

/// One look; when the next one is due. None: it failed, and is made again soon.
pub fn run_once(database: u32, here: (i64, Oid), now: Timestamp) -> Option<Timestamp> {
    let mut written = Vec::new();
    let next = isolated("looking at rate budgets", || look((database, here), now, &mut written))?;
    // Not before the commit: what is taken for written would not be written again.
    written.into_iter().for_each(Written::confirm);
    Some(next)
}

fn look((database, here): (u32, (i64, Oid)), now: Timestamp, written: &mut Vec<Written>) -> Result<Timestamp> {
    for (identity, kept) in rate::troubled(now)? {
        if let Some(budget) = rates::claim(identity, now) {
            budget.take_up(&kept);
            // The table says open, and the remote has answered since.
            let closed = budget.kept(now.0).1.breaker == Breaker::Closed;
            if closed && kept.breaker != Breaker::Closed {
                written.push(keep_now(identity, budget, now)?);
            }
        }
    }
    if !rates::is_any_troubled(now) {
        return Ok(Timestamp::NEVER);
    }
    let mut next = Timestamp::NEVER;
    for identity in rate::budgets_here()? {
        let Some(budget) = rates::find(identity) else { continue };
        if budget.is_unwritten() {
            written.push(keep_now(identity, budget, now)?);
        }
        if let Some(at) = budget.kept(now.0).1.breaker.probe_at().map(Timestamp) {
            let at = match at > now {
                true => at,
                false => probe((database, here), identity, now)?,
            };
            next = next.min(at);
        }
    }
    Ok(next)
}

/// Another job is the first each minute: one that cannot ask (its method is no longer allowed, its secret is gone) keeps the
/// host from being asked once, and not for ever.
fn turn(jobs: &mut [i64], now: Timestamp) {
    let minute = Duration::from_micros(now.0.unsigned_abs()).as_secs() / sluice_core::rate::PROBE_EVERY.as_secs();
    if !jobs.is_empty() {
        let first = SplitMix64::new(minute).next_f64() * jobs.len() as f64;
        jobs.rotate_left(first as usize % jobs.len());
    }
}

/// Starts a worker that asks the host once; when to look again.
fn probe((database, here): (u32, (i64, Oid)), identity: i64, now: Timestamp) -> Result<Timestamp> {
    let mut jobs = rate::jobs_of(identity, here)?;
    turn(&mut jobs, now);
    for job in jobs {
        let Some(job) = store::job::by_id(job)? else { continue };
        let Some(owner) = store::role::owner_of(job.target)? else {
            continue;
        };
        let wanted = shmem::reservation(database, (job.id, PROBE), owner.run_as(), 0);
        let Reserved::Slot(slot) = shmem::reserve(wanted, &job.name, Room::of_settings()) else {
            continue;
        };
        let is_due = rates::find(identity).is_some_and(|budget| budget.begin_probe(now.0));
        if !is_due || !bgworker::start_worker(slot, &job.name) {
            shmem::release(slot);
        }
        return Ok(now.plus(sluice_core::rate::PROBE_EVERY));
    }
    // No worker was free, or no job of this database may run: then nothing waits here.
    Ok(now.plus(RETRY * 12).min(now.plus(sluice_core::rate::PROBE_EVERY)))
}

/// Which hosts are to be left alone, looked up once for each connection; nothing is looked up where none is.
pub struct Holds {
    now: Timestamp,
    is_any: bool,
    budgets: HashMap<Oid, Option<i64>>,
}

impl Holds {
    pub fn at(now: Timestamp) -> Holds {
        Holds {
            now,
            is_any: rates::is_any_troubled(now),
            budgets: HashMap::new(),
        }
    }

    /// Puts a run off whose host is to be left alone; until when.
    pub fn put_off(&mut self, waiting: &Waiting) -> Result<Option<Timestamp>> {
        if !self.is_any || !waiting.asks_remote {
            return Ok(None);
        }
        let budget = match self.budgets.get(&waiting.server) {
            Some(known) => *known,
            None => {
                let found = rate::budget_of(waiting.server)?;
                self.budgets.insert(waiting.server, found);
                found
            }
        };
        let Some((until, reason)) = budget.and_then(|budget| hold(budget, waiting.is_manual, self.now)) else {
            return Ok(None);
        };
        run::give_back(waiting.run, until, &reason)?;
        Ok(Some(until))
    }
}
