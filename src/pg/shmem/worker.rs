//! The worker's side: its slot, its progress, and whether it must stop.

use super::{FREE_SLOT, NO_PROGRESS, Phase, Progress, SHARED, Slot, SlotState};
use crate::pg::clock::{self, Timestamp};

/// The calling process works on this slot; None where it was given away meanwhile.
pub fn enter_worker(slot: usize, pid: i32) -> Option<Slot> {
    let mut shared = SHARED.exclusive();
    let entry = shared.slots.get_mut(slot)?;
    if entry.state != SlotState::Reserved {
        return None;
    }
    let now = clock::now();
    entry.state = SlotState::Running;
    entry.pid = pid;
    entry.progress = Progress {
        started_at: now,
        last_progress_at: now,
        ..NO_PROGRESS
    };
    Some(*entry)
}

/// The worker's process ends: its slot is free, and its scheduler looks who is next.
pub fn leave_worker(slot: usize, pid: i32) {
    let mut shared = SHARED.exclusive();
    let Some(entry) = shared.slots.get_mut(slot).filter(|s| s.pid == pid) else {
        return;
    };
    let oid = entry.database;
    *entry = FREE_SLOT;
    if let Some(database) = shared.database(oid) {
        database.dirty = true;
    }
    // The workers are the cluster's: another database may wait for this one.
    for database in shared.databases.iter_mut().filter(|d| d.oid != 0 && d.starved) {
        database.dirty = true;
    }
    shared.wake_launcher();
}

/// Changes what `sync_progress` shows of this worker.
pub fn update_progress(slot: usize, change: impl FnOnce(&mut Progress)) {
    let now = clock::now();
    let mut shared = SHARED.exclusive();
    let progress = &mut shared.slots[slot].progress;
    change(progress);
    progress.last_progress_at = now;
}

/// Changes the phase without counting as progress.
pub fn set_phase(slot: usize, phase: Phase) {
    SHARED.exclusive().slots[slot].progress.phase = phase;
}

/// How far this worker is.
pub fn progress(slot: usize) -> Progress {
    SHARED.share().slots[slot].progress
}

/// When this worker began.
pub fn started_at(slot: usize) -> Timestamp {
    SHARED.share().slots[slot].progress.started_at
}

/// Whether somebody asked this worker to stop.
pub fn stop_asked(slot: usize) -> bool {
    SHARED.share().slots[slot].stop
}
