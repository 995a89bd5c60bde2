//! The worker's side: its slot, its progress, and whether it must stop.

use super::{FREE_SLOT, NO_PROGRESS, PATIENCE, Phase, Progress, SHARED, Slot, SlotState, my_procno, wake};
use crate::pg::clock::{self, Timestamp};
use std::time::Duration;

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
    entry.procno = my_procno();
    entry.progress = Progress {
        started_at: now,
        last_progress_at: now,
        ..NO_PROGRESS
    };
    entry.watch.looked_at = now;
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
    shared.mark(oid);
    // The workers are the cluster's: another database may wait for this one.
    for database in shared.databases.iter_mut().filter(|d| d.oid != 0 && d.starved) {
        database.dirty = true;
        wake(database.scheduler_procno);
    }
    shared.wake_launcher();
}

/// Changes what `sync_progress` shows of this worker.
pub fn update_progress(slot: usize, change: impl FnOnce(&mut Progress)) {
    let now = clock::now();
    let mut shared = SHARED.exclusive();
    let entry = &mut shared.slots[slot];
    change(&mut entry.progress);
    entry.progress.last_progress_at = now;
    entry.watch.beats = entry.watch.beats.wrapping_add(1);
}

/// What the fetch threads do: a new request is a sign of progress, and so is a wait that they announce.
pub fn note_requests(slot: usize, requests: u64, waits: bool) {
    let watch = &mut SHARED.exclusive().slots[slot].watch;
    if waits || watch.requests != requests {
        watch.requests = requests;
        watch.beats = watch.beats.wrapping_add(1);
    }
}

/// How long this worker may show no progress, where a limit of its own is longer than the usual.
pub fn set_patience(slot: usize, longest: Duration) {
    SHARED.exclusive().slots[slot].watch.patience = PATIENCE.max(longest);
}

/// Whether this worker is being replaced: its run goes on with another.
pub fn is_replaced(slot: usize) -> bool {
    SHARED.share().slots[slot].watch.replaced
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
