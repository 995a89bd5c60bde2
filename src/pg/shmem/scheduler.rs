//! The scheduler's side: its database, and slots for workers.

use super::launcher::is_alive;
use super::{FREE_SLOT, SHARED, Shared, Slot, SlotState, my_procno, stored};
use crate::pg::clock::{self, Timestamp};
use crate::pg::identity::RunAs;
use crate::pg::settings;
use std::time::Duration;

/// The calling process is this database's scheduler; false where the database is blocked, or has one. A clock that jumps
/// ahead while a process is being started makes the launcher start another: whichever comes first stays.
pub fn enter_scheduler(oid: u32, pid: i32, zone: &str) -> bool {
    let mut shared = SHARED.exclusive();
    let Some(database) = shared.database(oid) else {
        return false;
    };
    let has_another = database.scheduler_pid > 0 && database.scheduler_pid != pid && is_alive(database.scheduler_pid);
    if database.blocked_by != 0 || has_another {
        return false;
    }
    database.scheduler_pid = pid;
    database.scheduler_procno = my_procno();
    database.zone = stored(zone);
    true
}

/// A look begins: what commits from now on makes another one necessary.
pub fn begin_look(oid: u32) {
    if let Some(database) = SHARED.exclusive().database(oid) {
        database.dirty = false;
        database.starved = false;
        database.slotless = false;
    }
}

/// Whether there is something to see since the last look began.
pub fn is_dirty(oid: u32) -> bool {
    SHARED.share().databases.iter().any(|d| d.oid == oid && d.dirty)
}

/// The scheduler is done, and wants to come back at this time.
pub fn set_due(oid: u32, at: Timestamp) {
    if let Some(database) = SHARED.exclusive().database(oid) {
        database.due_at = at;
    }
}

/// Whether the database's history is to be pruned now: once in `every`.
pub fn takes_pruning(oid: u32, now: Timestamp, every: Duration) -> bool {
    let mut shared = SHARED.exclusive();
    let due = shared
        .database(oid)
        .filter(|database| now.since(database.pruned_at) >= every);
    due.map(|database| database.pruned_at = now).is_some()
}

/// A worker could not be started: every one is busy.
pub fn set_starved(oid: u32) {
    if let Some(database) = SHARED.exclusive().database(oid) {
        database.starved = true;
    }
}

/// A worker could not be started: the server had no background worker slot.
pub fn set_slotless(oid: u32) {
    if let Some(database) = SHARED.exclusive().database(oid) {
        database.starved = true;
        database.slotless = true;
    }
}

/// The scheduler's process ends; nothing to one that was not let in.
pub fn leave_scheduler(oid: u32, pid: i32) {
    let mut shared = SHARED.exclusive();
    if let Some(database) = shared.database(oid).filter(|database| database.scheduler_pid == pid) {
        database.scheduler_pid = 0;
        database.scheduler_procno = -1;
    }
    shared.wake_launcher();
}

/// How many workers there may be: in all, and for one host.
#[derive(Clone, Copy)]
pub struct Room {
    pub all: usize,
    pub host: usize,
}

impl Room {
    pub fn of_settings() -> Room {
        Room {
            all: settings::max_workers(),
            host: settings::max_workers_per_host(),
        }
    }
}

/// What came of asking for a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    Slot(usize),
    /// Every worker is busy.
    Full,
    /// The host of the job has as many as it may.
    HostFull,
    /// The job has a worker, or its database is blocked.
    NotNow,
}

/// Takes a free slot for a worker of this job.
pub fn reserve(wanted: Slot, name: &str, room: Room) -> Reserved {
    let mut shared = SHARED.exclusive();
    let busy = || {
        let taken = shared.slots.iter().filter(|s| s.state != SlotState::Free);
        taken.filter(|s| s.rule().is_none())
    };
    let same = busy().any(|s| s.database == wanted.database && s.job == wanted.job);
    let (all, of_host) = (busy().count(), busy().filter(|s| s.host == wanted.host).count());
    if same || is_blocked(&mut shared, wanted.database) {
        return Reserved::NotNow;
    }
    if all >= room.all {
        return Reserved::Full;
    }
    if wanted.host != 0 && of_host >= room.host {
        return Reserved::HostFull;
    }
    take_free(&mut shared, wanted, name).map_or(Reserved::Full, Reserved::Slot)
}

/// Takes a free slot for the calls of an event rule, beside those of runs; None where this database has one already.
pub fn reserve_caller(rule: i64, wanted: Slot, name: &str) -> Option<usize> {
    // Ids of jobs and what other workers stand under are far from there.
    let wanted = Slot {
        job: i64::MIN + rule,
        ..wanted
    };
    let mut shared = SHARED.exclusive();
    let same = shared.slots.iter().any(|s| is_caller_in(s, wanted.database));
    if same || is_blocked(&mut shared, wanted.database) {
        return None;
    }
    take_free(&mut shared, wanted, name)
}

/// Whether a worker makes calls of event rules in this database.
pub fn has_caller(database: u32) -> bool {
    SHARED.share().slots.iter().any(|s| is_caller_in(s, database))
}

fn is_caller_in(slot: &Slot, database: u32) -> bool {
    slot.state != SlotState::Free && slot.rule().is_some() && slot.database == database
}

fn is_blocked(shared: &mut Shared, database: u32) -> bool {
    shared.database(database).is_none_or(|d| d.blocked_by != 0)
}

fn take_free(shared: &mut Shared, wanted: Slot, name: &str) -> Option<usize> {
    let at = shared.slots.iter().position(|s| s.state == SlotState::Free)?;
    shared.slots[at] = Slot {
        name: stored(name),
        ..wanted
    };
    Some(at)
}

/// A slot to be reserved for this run.
pub fn reservation(database: u32, (job, run): (i64, i64), run_as: RunAs, host: u64) -> Slot {
    Slot {
        state: SlotState::Reserved,
        database,
        job,
        run,
        role: run_as.role().to_u32(),
        assumed: matches!(run_as, RunAs::Assumed(_)),
        host,
        reserved_at: clock::now(),
        ..FREE_SLOT
    }
}

/// Gives a slot back whose worker could not be started.
pub fn release(slot: usize) {
    SHARED.exclusive().slots[slot] = FREE_SLOT;
}
