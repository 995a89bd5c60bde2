//! The scheduler's side: its database, and slots for workers.

use super::{FREE_SLOT, SHARED, Slot, SlotState, my_procno, stored};
use crate::pg::clock::{self, Timestamp};
use crate::pg::identity::RunAs;
use crate::pg::settings;
use std::time::Duration;

/// The calling process is this database's scheduler; false where the database is blocked.
pub fn enter_scheduler(oid: u32, pid: i32, zone: &str) -> bool {
    let mut shared = SHARED.exclusive();
    let Some(database) = shared.database(oid) else {
        return false;
    };
    if database.blocked_by != 0 {
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

/// The scheduler's process ends.
pub fn leave_scheduler(oid: u32) {
    let mut shared = SHARED.exclusive();
    if let Some(database) = shared.database(oid) {
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
    let busy = || shared.slots.iter().filter(|s| s.state != SlotState::Free);
    let same = busy().any(|s| s.database == wanted.database && s.job == wanted.job);
    let (all, of_host) = (busy().count(), busy().filter(|s| s.host == wanted.host).count());
    let blocked = shared.database(wanted.database).is_none_or(|d| d.blocked_by != 0);
    let free = shared.slots.iter().position(|s| s.state == SlotState::Free);
    match free {
        _ if same || blocked => Reserved::NotNow,
        Some(_) if all < room.all && wanted.host != 0 && of_host >= room.host => Reserved::HostFull,
        Some(at) if all < room.all => {
            shared.slots[at] = Slot {
                name: stored(name),
                ..wanted
            };
            Reserved::Slot(at)
        }
        _ => Reserved::Full,
    }
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
