//! The launcher's side: which databases are due, and who must end.

use super::{FREE_SLOT, NO_DATABASE, SHARED, SlotState, my_procno, wake};
use crate::pg::clock::Timestamp;
use crate::pg::signals;
use pgrx::pg_sys;
use std::time::Duration;

/// The calling process is the launcher now.
pub fn register_launcher() {
    let mut shared = SHARED.exclusive();
    shared.launcher_pid = crate::pg::bgworker::my_pid();
    shared.launcher_procno = my_procno();
}

pub fn forget_launcher() {
    let mut shared = SHARED.exclusive();
    shared.launcher_pid = 0;
    shared.launcher_procno = -1;
}

pub fn launcher_pid() -> i32 {
    SHARED.share().launcher_pid
}

/// Keeps only the databases of this list, and makes new ones due at once.
pub fn follow_databases(oids: &[u32]) {
    let mut shared = SHARED.exclusive();
    for database in shared.databases.iter_mut() {
        if database.oid != 0 && !oids.contains(&database.oid) && database.scheduler_pid == 0 {
            *database = NO_DATABASE;
        }
    }
    for oid in oids {
        if !shared.databases.iter().any(|d| d.oid == *oid)
            && let Some(database) = shared.database(*oid)
        {
            database.dirty = true;
        }
    }
}

/// Makes every followed database due: after the launcher's start and at its periodic look.
pub fn mark_all_dirty() {
    let mut shared = SHARED.exclusive();
    for database in shared.databases.iter_mut().filter(|d| d.oid != 0) {
        database.dirty = true;
        wake(database.scheduler_procno);
    }
}

/// The databases that want a scheduler now; each is marked as having asked for one.
pub fn take_due_databases(now: Timestamp) -> Vec<u32> {
    let mut shared = SHARED.exclusive();
    let mut due = Vec::new();
    for database in shared
        .databases
        .iter_mut()
        .filter(|d| d.oid != 0 && d.scheduler_pid == 0 && d.blocked_by == 0)
    {
        if database.dirty || database.due_at <= now {
            database.scheduler_pid = -1;
            // One that ends before it can say when it is wanted next is not tried again at once.
            database.dirty = false;
            database.due_at = now.plus(AFTER_FAILURE);
            database.scheduler_since = now;
            due.push(database.oid);
        }
    }
    due
}

/// The database is gone.
pub fn forget_database(oid: u32) {
    let mut shared = SHARED.exclusive();
    if let Some(database) = shared.databases.iter_mut().find(|d| d.oid == oid) {
        *database = NO_DATABASE;
    }
}

/// How soon a scheduler is tried again that could not even connect.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// No scheduler could be started: try again later.
pub fn scheduler_not_started(oid: u32, retry_at: Timestamp) {
    let mut shared = SHARED.exclusive();
    if let Some(database) = shared.database(oid) {
        database.scheduler_pid = 0;
        database.starved = true;
        database.slotless = true;
        database.dirty = false;
        database.due_at = retry_at;
    }
}

/// When the launcher has to look again.
pub fn next_due() -> Timestamp {
    let shared = SHARED.share();
    let schedulers = shared
        .databases
        .iter()
        .filter(|d| d.oid != 0 && d.scheduler_pid == 0 && d.blocked_by == 0)
        .map(|d| if d.dirty { Timestamp(0) } else { d.due_at });
    let stops = shared
        .slots
        .iter()
        .filter(|s| s.stop && s.pid > 0)
        .map(|s| s.stop_asked_at.plus(STOP_GRACE));
    schedulers.chain(stops).min().unwrap_or(Timestamp::NEVER)
}

/// How long a worker may take to end by itself before it is terminated.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long the server may take to start a process that was asked for.
const START_GRACE: Duration = Duration::from_secs(60);

/// Gives back what was asked for and never came, ends what was asked to end and did not, and forgets the blocks of
/// sessions that are gone.
pub fn tidy(now: Timestamp) {
    let mut shared = SHARED.exclusive();
    let mut freed = Vec::new();
    for slot in shared.slots.iter_mut() {
        if slot.state == SlotState::Reserved && now.since(slot.reserved_at) > START_GRACE {
            freed.push(slot.database);
            *slot = FREE_SLOT;
        } else if slot.stop && slot.pid > 0 && now.since(slot.stop_asked_at) >= STOP_GRACE {
            signals::send(slot.pid, signals::TERMINATE);
            slot.stop_asked_at = now;
        }
    }
    for database in shared.databases.iter_mut().filter(|d| d.oid != 0) {
        database.dirty |= !freed.is_empty() && (database.starved || freed.contains(&database.oid));
        if database.scheduler_pid == -1 && now.since(database.scheduler_since) > START_GRACE {
            database.scheduler_pid = 0;
        }
        if database.blocked_by != 0 && !is_alive(database.blocked_by) {
            database.blocked_by = 0;
            database.dirty = true;
        }
    }
}

pub(super) fn is_alive(pid: i32) -> bool {
    signals::send(pid, 0)
}

/// Whether the server had no background worker slot for a run or for a scheduler.
pub fn is_any_slotless() -> bool {
    SHARED.share().databases.iter().any(|d| d.slotless)
}

/// The clock was set back: what waits for a time that was to come soon waits for one that comes soon.
pub fn clock_was_set_back(now: Timestamp) {
    let mut shared = SHARED.exclusive();
    for slot in shared.slots.iter_mut() {
        slot.reserved_at = slot.reserved_at.min(now);
        slot.stop_asked_at = slot.stop_asked_at.min(now);
        slot.watch.looked_at = slot.watch.looked_at.min(now);
    }
    for database in shared.databases.iter_mut().filter(|d| d.oid != 0) {
        database.scheduler_since = database.scheduler_since.min(now);
        database.dirty = true;
        wake(database.scheduler_procno);
    }
}

/// The most that one look counts as silence: a server that was suspended has not been silent.
const MOST_A_LOOK: Duration = Duration::from_secs(60);

/// Counts how long each worker has shown no progress; those that are silent for too long are asked to end, so that
/// another goes on at the checkpoint. The pids of those that were asked now.
pub fn watch(now: Timestamp) -> Vec<i32> {
    let mut shared = SHARED.exclusive();
    let mut replaced = Vec::new();
    for slot in shared.slots.iter_mut().filter(|s| s.state == SlotState::Running) {
        let watch = &mut slot.watch;
        let passed = now.since(watch.looked_at).min(MOST_A_LOOK);
        let moved = watch.beats != watch.seen || is_at_work(slot.procno);
        watch.silent = if moved { Duration::ZERO } else { watch.silent + passed };
        (watch.seen, watch.looked_at) = (watch.beats, now);
        if watch.silent >= watch.patience && !slot.stop {
            watch.replaced = true;
            slot.stop = true;
            slot.stop_asked_at = now;
            signals::send(slot.pid, signals::CANCEL);
            replaced.push(slot.pid);
        }
    }
    replaced
}

/// Whether a process computes, reads or writes at this moment, or waits for those that do so for it. One that waits for a
/// lock, for a time or for its own latch does not.
fn is_at_work(procno: i32) -> bool {
    if procno < 0 {
        return false;
    }
    // SAFETY: a procno within the array; the number is read whole, and an old one tells of a moment ago.
    let waits_for = unsafe {
        let process = (*pg_sys::ProcGlobal).allProcs.add(procno as usize);
        std::ptr::read_volatile(&raw const (*process).wait_event_info)
    };
    let class = waits_for & 0xFF00_0000;
    waits_for == 0
        || [
            pg_sys::PG_WAIT_IO,
            pg_sys::PG_WAIT_LWLOCK,
            pg_sys::PG_WAIT_BUFFER_PIN,
            pg_sys::PG_WAIT_IPC,
        ]
        .contains(&class)
}

/// Whether there are workers to watch.
pub fn is_any_running() -> bool {
    SHARED.share().slots.iter().any(|s| s.state == SlotState::Running)
}
