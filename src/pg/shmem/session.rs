//! The sessions' side: what runs, what is asked for, and keeping our processes out of a database.

use super::{FREE_SLOT, NOT_MOVED, SHARED, Shared, Slot, SlotState};
use crate::pg::clock;
use crate::pg::signals;

/// All slots in use.
pub fn slots() -> Vec<Slot> {
    SHARED
        .share()
        .slots
        .iter()
        .filter(|s| s.state != SlotState::Free)
        .copied()
        .collect()
}

/// Whether this database waits for a background worker slot.
pub fn is_starved(oid: u32) -> bool {
    SHARED.share().databases.iter().any(|d| d.oid == oid && d.starved)
}

/// Something was committed that this database's scheduler should see. Never fails: it runs in the commit.
pub fn mark_dirty(oid: u32) {
    let mut shared = SHARED.exclusive();
    shared.mark(oid);
    shared.wake_launcher();
}

/// The time zone of a database, as its scheduler saw it; empty where none has run.
pub fn zone_of(oid: u32) -> String {
    let shared = SHARED.share();
    let known = shared.databases.iter().find(|d| d.oid == oid);
    known.map(|database| super::text(&database.zone)).unwrap_or_default()
}

/// Whether a run of any database waits for a worker.
pub fn is_any_waiting() -> bool {
    SHARED.share().databases.iter().any(|d| d.starved)
}

/// Asks the worker of this job to stop: its statement is cancelled now; after five seconds the launcher terminates it.
/// Whether there was one.
pub fn stop_job(database: u32, job: i64) -> bool {
    let mut shared = SHARED.exclusive();
    let now = clock::now();
    let mut found = false;
    for slot in shared.slots.iter_mut() {
        if slot.state != SlotState::Free && slot.database == database && slot.job == job {
            found = true;
            slot.stop = true;
            slot.stop_asked_at = now;
            signals::send(slot.pid, signals::CANCEL);
        }
    }
    shared.wake_launcher();
    found
}

/// Keeps our processes out of a database until [`unblock`]: the ones in it are terminated, and it is remembered whose runs
/// were ended by that. The pids to wait for.
pub fn block(oid: u32, by: i32) -> Vec<i32> {
    let mut shared = SHARED.exclusive();
    if let Some(database) = shared.database(oid) {
        database.blocked_by = by;
    }
    for slot in shared
        .slots
        .iter_mut()
        .filter(|s| s.database == oid && s.state == SlotState::Reserved)
    {
        *slot = FREE_SLOT;
    }
    let runs = shared
        .slots
        .map(|slot| (slot.database == oid && slot.pid > 0 && slot.job > 0).then_some(slot.run));
    runs.into_iter().flatten().for_each(|run| shared.note_moved(oid, run));
    let pids = pids_in(&shared, oid);
    for pid in &pids {
        signals::send(*pid, signals::TERMINATE);
    }
    pids
}

/// Our processes that are still in this database.
pub fn processes_in(oid: u32) -> Vec<i32> {
    pids_in(&SHARED.share(), oid)
}

/// Lets our processes into a database again that this session blocked.
pub fn unblock(oid: u32, by: i32) {
    let mut shared = SHARED.exclusive();
    for database in shared
        .databases
        .iter_mut()
        .filter(|d| d.oid == oid && d.blocked_by == by)
    {
        database.blocked_by = 0;
        database.dirty = true;
    }
    shared.wake_launcher();
}

/// Whether a run was ended to make room for a command; told once.
pub fn take_moved(oid: u32, run: i64) -> bool {
    let mut shared = SHARED.exclusive();
    let found = shared.moved.iter_mut().find(|moved| **moved == (oid, run));
    found.map(|moved| *moved = NOT_MOVED).is_some()
}

fn pids_in(shared: &Shared, oid: u32) -> Vec<i32> {
    let workers = shared
        .slots
        .iter()
        .filter(|s| s.database == oid && s.pid > 0)
        .map(|s| s.pid);
    let schedulers = shared
        .databases
        .iter()
        .filter(|d| d.oid == oid && d.scheduler_pid > 0)
        .map(|d| d.scheduler_pid);
    workers.chain(schedulers).collect()
}
