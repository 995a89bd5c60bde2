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
use std::time::Duration;

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
    /// The server had no background worker slot, which is for a person to know.
    pub slotless: bool,
    /// The scheduler's place among the processes while it waits; -1: nothing to wake.
    scheduler_procno: i32,
    /// The database's time zone, as its scheduler saw it.
    zone: [u8; NAME_LEN],
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
    /// The worker's place among the processes; -1: none.
    procno: i32,
    pub reserved_at: Timestamp,
    pub stop: bool,
    pub stop_asked_at: Timestamp,
    pub progress: Progress,
    /// Identifies the host that the job reads from; 0: none.
    pub host: u64,
    pub watch: Watch,
    name: [u8; NAME_LEN],
}

/// What the launcher knows of a worker's progress.
#[derive(Clone, Copy)]
pub struct Watch {
    /// Changes with each sign of progress.
    beats: u32,
    seen: u32,
    requests: u64,
    /// How long it has shown none, and when it was last looked at.
    pub silent: Duration,
    looked_at: Timestamp,
    /// How long it may be silent.
    pub patience: Duration,
    /// It was silent for too long, and is being replaced.
    pub replaced: bool,
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
    /// Databases and runs that were ended to make room for a command, and are not closed yet; and which is overwritten next.
    moved: [(u32, i64); MAX_SLOTS],
    next_moved: usize,
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
    procno: -1,
    reserved_at: Timestamp(0),
    stop: false,
    stop_asked_at: Timestamp(0),
    progress: NO_PROGRESS,
    host: 0,
    watch: Watch {
        beats: 0,
        seen: 0,
        requests: 0,
        silent: Duration::ZERO,
        looked_at: Timestamp(0),
        patience: PATIENCE,
        replaced: false,
    },
    name: [0; NAME_LEN],
};

/// How long a worker may show no progress before it is replaced.
pub const PATIENCE: Duration = Duration::from_secs(300);

const NO_DATABASE: Database = Database {
    oid: 0,
    due_at: Timestamp::NEVER,
    dirty: false,
    scheduler_pid: 0,
    scheduler_since: Timestamp(0),
    blocked_by: 0,
    starved: false,
    slotless: false,
    scheduler_procno: -1,
    zone: [0; NAME_LEN],
    pruned_at: Timestamp(0),
};

const NOT_MOVED: (u32, i64) = (0, 0);

const EMPTY: Shared = Shared {
    launcher_pid: 0,
    launcher_procno: -1,
    databases: [NO_DATABASE; MAX_DATABASES],
    slots: [FREE_SLOT; MAX_SLOTS],
    moved: [NOT_MOVED; MAX_SLOTS],
    next_moved: 0,
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
    /// The event rule whose calls this worker makes; None: it does something else.
    pub fn rule(&self) -> Option<i64> {
        (self.job < i64::MIN / 2).then(|| self.job - i64::MIN)
    }

    pub fn name(&self) -> String {
        text(&self.name)
    }
}

fn text(stored: &[u8; NAME_LEN]) -> String {
    let end = stored.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
    String::from_utf8_lossy(&stored[..end]).into_owned()
}

/// As much of a text as fits.
fn stored(text: &str) -> [u8; NAME_LEN] {
    let mut stored = [0u8; NAME_LEN];
    let fits = (0..=text.len().min(NAME_LEN - 1))
        .rev()
        .find(|n| text.is_char_boundary(*n))
        .unwrap_or(0);
    stored[..fits].copy_from_slice(&text.as_bytes()[..fits]);
    stored
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

    fn note_moved(&mut self, oid: u32, run: i64) {
        self.moved[self.next_moved] = (oid, run);
        self.next_moved = (self.next_moved + 1) % MAX_SLOTS;
    }

    fn wake_launcher(&self) {
        wake(self.launcher_procno);
    }

    /// Tells a database's scheduler that there is something to see: the one that waits, or the next.
    fn mark(&mut self, oid: u32) {
        if let Some(database) = self.database(oid) {
            database.dirty = true;
            wake(database.scheduler_procno);
        }
    }
}

/// Sets the latch of a process of the server; -1: of none.
fn wake(procno: i32) {
    if procno >= 0 {
        // SAFETY: a procno within the array; a stale one wakes a process that looks and sleeps again.
        unsafe {
            let process = (*pg_sys::ProcGlobal).allProcs.add(procno as usize);
            pg_sys::SetLatch(&raw mut (*process).procLatch);
        }
    }
}

/// This process's place among the server's.
fn my_procno() -> i32 {
    // SAFETY: a global of this process, set before its main function runs.
    unsafe {
        #[cfg(not(any(feature = "pg17", feature = "pg18")))]
        return (*pg_sys::MyProc).pgprocno;
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        return pg_sys::MyProcNumber;
    }
}
