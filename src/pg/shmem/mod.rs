//! What all our processes of a cluster see: which databases want a scheduler, and who works on what.
//!
//! Nothing here survives a restart, and nothing needs to: what must is in tables. The structure is fixed in size at
//! the server's start. One lock protects all of it; it is held for the time of a copy and never over a call that can
//! wait or fail.
//!
//! A slot goes `Free → Reserved` (scheduler) `→ Running` (worker) `→ Free` (worker's exit). A reservation whose worker
//! never came is given back by the launcher.

mod launcher;
mod scheduler;
mod session;
mod worker;

pub use launcher::*;
pub use scheduler::*;
pub use session::*;
pub use worker::*;

use crate::pg::clock::Timestamp;
use pgrx::prelude::pg_guard;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};
use std::sync::atomic::{AtomicBool, Ordering};

/// How many databases of a cluster are followed.
pub const MAX_DATABASES: usize = 64;
/// How many workers the cluster can hold, whatever `sluice.max_workers` says.
pub const MAX_SLOTS: usize = 64;
const NAME_LEN: usize = 64;

/// What the launcher knows of one database.
#[derive(Clone, Copy)]
pub struct Database {
    pub oid: u32,
    /// When its scheduler is wanted next.
    pub due_at: Timestamp,
    /// A session committed something that its scheduler should see.
    pub dirty: bool,
    /// 0: no scheduler; -1: one was asked for; else its pid.
    pub scheduler_pid: i32,
    pub scheduler_since: Timestamp,
    /// The session that drops, renames or copies the database (or drops the extension); 0: none.
    pub blocked_by: i32,
    /// No background worker slot was free for its scheduler, or no worker for one of its runs.
    pub starved: bool,
    /// When its history was last pruned.
    pub pruned_at: Timestamp,
}

/// One worker: what it was started for, and how far it is.
#[derive(Clone, Copy)]
pub struct Slot {
    pub state: SlotState,
    pub database: u32,
    pub job: i64,
    pub run: i64,
    pub role: u32,
    /// The role may not log in: see `identity::RunAs`.
    pub assumed: bool,
    pub pid: i32,
    pub reserved_at: Timestamp,
    pub stop: bool,
    pub stop_asked_at: Timestamp,
    pub progress: Progress,
    name: [u8; NAME_LEN],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotState {
    Free,
    Reserved,
    Running,
}

/// How far a run is; what `sync_progress` shows.
#[derive(Clone, Copy)]
pub struct Progress {
    pub phase: Phase,
    pub pages_done: i64,
    /// -1: not known.
    pub pages_total: i64,
    pub records_done: i64,
    pub bytes_done: i64,
    pub started_at: Timestamp,
    pub last_progress_at: Timestamp,
}

/// What a worker is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Starting,
    Fetching,
    /// A request failed and is repeated after a delay.
    Retrying,
    Writing,
    Publishing,
    RollingBack,
    /// The target is copied.
    Copying,
    /// A copy of the target is put back.
    Restoring,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Fetching => "fetching",
            Phase::Retrying => "retrying",
            Phase::Writing => "writing",
            Phase::Publishing => "publishing",
            Phase::RollingBack => "rolling_back",
            Phase::Copying => "copying",
            Phase::Restoring => "restoring",
        }
    }
}

#[derive(Clone, Copy)]
struct Shared {
    launcher_pid: i32,
    launcher_procno: i32,
    databases: [Database; MAX_DATABASES],
    slots: [Slot; MAX_SLOTS],
}

// SAFETY: plain values without pointers.
unsafe impl PGRXSharedMemory for Shared {}

// SAFETY: the name is ours alone.
static SHARED: PgLwLock<Shared> = unsafe { PgLwLock::new(c"pg_sluice") };
static PRELOADED: AtomicBool = AtomicBool::new(false);

const NO_PROGRESS: Progress = Progress {
    phase: Phase::Starting,
    pages_done: 0,
    pages_total: -1,
    records_done: 0,
    bytes_done: 0,
    started_at: Timestamp(0),
    last_progress_at: Timestamp(0),
};

const FREE_SLOT: Slot = Slot {
    state: SlotState::Free,
    database: 0,
    job: 0,
    run: 0,
    role: 0,
    assumed: false,
    pid: 0,
    reserved_at: Timestamp(0),
    stop: false,
    stop_asked_at: Timestamp(0),
    progress: NO_PROGRESS,
    name: [0; NAME_LEN],
};

const NO_DATABASE: Database = Database {
    oid: 0,
    due_at: Timestamp::NEVER,
    dirty: false,
    scheduler_pid: 0,
    scheduler_since: Timestamp(0),
    blocked_by: 0,
    starved: false,
    pruned_at: Timestamp(0),
};

const EMPTY: Shared = Shared {
    launcher_pid: 0,
    launcher_procno: -1,
    databases: [NO_DATABASE; MAX_DATABASES],
    slots: [FREE_SLOT; MAX_SLOTS],
};

/// Asks for the memory; called while the library is being preloaded.
pub fn request() {
    pg_shmem_init!(SHARED = EMPTY);
    PRELOADED.store(true, Ordering::Relaxed);
}

/// Whether the library was preloaded, and this memory exists.
pub fn is_ready() -> bool {
    PRELOADED.load(Ordering::Relaxed)
}

impl Slot {
    pub fn name(&self) -> String {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
        String::from_utf8_lossy(&self.name[..end]).into_owned()
    }
}

impl Shared {
    fn database(&mut self, oid: u32) -> Option<&mut Database> {
        let at = self.databases.iter().position(|d| d.oid == oid).or_else(|| {
            let free = self.databases.iter().position(|d| d.oid == 0)?;
            self.databases[free] = Database { oid, ..NO_DATABASE };
            Some(free)
        })?;
        Some(&mut self.databases[at])
    }

    fn wake_launcher(&self) {
        if self.launcher_procno >= 0 {
            // SAFETY: a procno within the array; a stale one wakes a process that looks and sleeps again.
            unsafe {
                let process = (*pg_sys::ProcGlobal).allProcs.add(self.launcher_procno as usize);
                pg_sys::SetLatch(&raw mut (*process).procLatch);
            }
        }
    }
}
