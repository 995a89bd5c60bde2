//! What all our processes of a cluster see: which databases want a scheduler, and who works on what.
//!
//! Nothing here survives a restart, and nothing needs to: what must is in tables. The structure is fixed in size at
//! the server's start. One lock protects all of it; it is held for the time of a copy and never over a call that can
//! wait or fail.
//!
//! A slot goes `Free → Reserved` (scheduler) `→ Running` (worker) `→ Free` (worker's exit). A reservation whose worker
//! never came is given back by the launcher.

use crate::pg::clock::{self, Timestamp};
use crate::pg::signals;
use pgrx::prelude::pg_guard;
use pgrx::{PGRXSharedMemory, PgLwLock, PgSharedMemoryInitialization, pg_shmem_init, pg_sys};
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
    /// No background worker slot was free for its scheduler or a worker.
    pub starved: bool,
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

// ---- the launcher's side

/// The calling process is the launcher now.
pub fn register_launcher() {
    let mut shared = SHARED.exclusive();
    // SAFETY: globals of this process, set before its main function runs.
    unsafe {
        shared.launcher_pid = pg_sys::MyProcPid;
        #[cfg(not(any(feature = "pg17", feature = "pg18")))]
        {
            shared.launcher_procno = (*pg_sys::MyProc).pgprocno;
        }
        #[cfg(any(feature = "pg17", feature = "pg18"))]
        {
            shared.launcher_procno = pg_sys::MyProcNumber;
        }
    }
}

pub fn forget_launcher() {
    let mut shared = SHARED.exclusive();
    shared.launcher_pid = 0;
    shared.launcher_procno = -1;
}

pub fn launcher_pid() -> i32 {
    SHARED.share().launcher_pid
}

/// Wakes the launcher, whatever it waits for.
pub fn wake_launcher() {
    SHARED.share().wake_launcher();
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
            database.scheduler_since = now;
            due.push(database.oid);
        }
    }
    due
}

/// No scheduler could be started: try again later.
pub fn scheduler_not_started(oid: u32, retry_at: Timestamp) {
    let mut shared = SHARED.exclusive();
    if let Some(database) = shared.database(oid) {
        database.scheduler_pid = 0;
        database.starved = true;
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
    for slot in shared.slots.iter_mut() {
        if slot.state == SlotState::Reserved && now.since(slot.reserved_at) > START_GRACE {
            *slot = FREE_SLOT;
        } else if slot.stop && slot.pid > 0 && now.since(slot.stop_asked_at) >= STOP_GRACE {
            signals::send(slot.pid, signals::TERMINATE);
            slot.stop_asked_at = now;
        }
    }
    for database in shared.databases.iter_mut().filter(|d| d.oid != 0) {
        if database.scheduler_pid == -1 && now.since(database.scheduler_since) > START_GRACE {
            database.scheduler_pid = 0;
        }
        if database.blocked_by != 0 && !is_alive(database.blocked_by) {
            database.blocked_by = 0;
            database.dirty = true;
        }
    }
}

fn is_alive(pid: i32) -> bool {
    signals::send(pid, 0)
}

// ---- the scheduler's side

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

/// A worker could not be started: no background worker slot was free.
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

/// How many workers are busy or on their way, in the whole cluster.
pub fn busy_slots() -> usize {
    SHARED
        .share()
        .slots
        .iter()
        .filter(|s| s.state != SlotState::Free)
        .count()
}

// ---- the worker's side

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

/// When this worker began.
pub fn started_at(slot: usize) -> Timestamp {
    SHARED.share().slots[slot].progress.started_at
}

/// Whether somebody asked this worker to stop.
pub fn stop_asked(slot: usize) -> bool {
    SHARED.share().slots[slot].stop
}

// ---- the sessions' side

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
    if let Some(database) = shared.database(oid) {
        database.dirty = true;
    }
    shared.wake_launcher();
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

/// Keeps our processes out of a database until [`unblock`]: the ones in it are terminated. The pids to wait for.
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

/// Lets our processes into the databases again that this session blocked.
pub fn unblock(by: i32) {
    let mut shared = SHARED.exclusive();
    for database in shared.databases.iter_mut().filter(|d| d.blocked_by == by) {
        database.blocked_by = 0;
        database.dirty = true;
    }
    shared.wake_launcher();
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
