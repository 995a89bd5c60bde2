//! The scheduler's side: its database, and slots for workers.

use super::{FREE_SLOT, NAME_LEN, SHARED, Slot, SlotState};
use crate::pg::clock::{self, Timestamp};
use std::time::Duration;

/// The calling process is this database's scheduler; false where the database is blocked.
pub fn enter_scheduler(oid: u32, pid: i32) -> bool {
    let mut shared = SHARED.exclusive();
    let Some(database) = shared.database(oid) else {
        return false;
    };
    if database.blocked_by != 0 {
        return false;
    }
    database.scheduler_pid = pid;
    // Cleared before the tables are read: what commits from now on sets it again.
    database.dirty = false;
    database.starved = false;
    true
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

/// A worker could not be started: every one is busy, or no background worker slot was free.
pub fn set_starved(oid: u32) {
    if let Some(database) = SHARED.exclusive().database(oid) {
        database.starved = true;
    }
}

/// The scheduler's process ends.
pub fn leave_scheduler(oid: u32) {
    let mut shared = SHARED.exclusive();
    if let Some(database) = shared.database(oid) {
        database.scheduler_pid = 0;
    }
    shared.wake_launcher();
}

/// Takes a free slot for a worker of this job; None where `limit` workers are busy or the job has one already.
pub fn reserve(wanted: Slot, name: &str, limit: usize) -> Option<usize> {
    let mut shared = SHARED.exclusive();
    let busy = shared.slots.iter().filter(|s| s.state != SlotState::Free).count();
    let same = shared
        .slots
        .iter()
        .any(|s| s.state != SlotState::Free && s.database == wanted.database && s.job == wanted.job);
    let blocked = shared.database(wanted.database).is_none_or(|d| d.blocked_by != 0);
    if busy >= limit || same || blocked {
        return None;
    }
    let at = shared.slots.iter().position(|s| s.state == SlotState::Free)?;
    let mut stored = [0u8; NAME_LEN];
    let fits = (0..=name.len().min(NAME_LEN - 1))
        .rev()
        .find(|n| name.is_char_boundary(*n))
        .unwrap_or(0);
    stored[..fits].copy_from_slice(&name.as_bytes()[..fits]);
    shared.slots[at] = Slot { name: stored, ..wanted };
    Some(at)
}

/// A slot to be reserved for this run.
pub fn reservation(database: u32, job: i64, run: i64, run_as: crate::pg::identity::RunAs) -> Slot {
    Slot {
        state: SlotState::Reserved,
        database,
        job,
        run,
        role: run_as.role().to_u32(),
        assumed: matches!(run_as, crate::pg::identity::RunAs::Assumed(_)),
        reserved_at: clock::now(),
        ..FREE_SLOT
    }
}

/// Gives a slot back whose worker could not be started.
pub fn release(slot: usize) {
    SHARED.exclusive().slots[slot] = FREE_SLOT;
}
