//! Our background processes: how each is registered, how it becomes who it is, and what happens when it ends.

use crate::pg::identity::{self, RunAs};
use crate::pg::{shmem, signals};
use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::pg_sys;
use std::ffi::CString;
use std::time::Duration;

const LIBRARY: &str = "pg_sluice";
/// The launcher is back this soon after it ends for whatever reason.
const LAUNCHER_RESTART: Duration = Duration::from_secs(5);

/// Has the postmaster start the launcher after recovery; called while the library is being preloaded.
pub fn register_launcher() {
    BackgroundWorkerBuilder::new("sluice launcher")
        .set_type("sluice launcher")
        .set_library(LIBRARY)
        .set_function("sluice_launcher_main")
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(LAUNCHER_RESTART))
        .load();
}

/// Asks for a scheduler in this database; whether a background worker slot was free.
pub fn start_scheduler(database: u32) -> bool {
    BackgroundWorkerBuilder::new("sluice scheduler")
        .set_type("sluice scheduler")
        .set_library(LIBRARY)
        .set_function("sluice_scheduler_main")
        .enable_spi_access()
        .set_argument(Some(pg_sys::Datum::from(database as usize)))
        .set_restart_time(None)
        .load_dynamic()
        .is_ok()
}

/// Asks for a worker on this slot; whether a background worker slot was free.
pub fn start_worker(slot: usize, data_type: &str) -> bool {
    let name: String = format!("sluice worker for {data_type}")
        .chars()
        .take(90)
        .filter(char::is_ascii)
        .collect();
    BackgroundWorkerBuilder::new(&name)
        .set_type("sluice worker")
        .set_library(LIBRARY)
        .set_function("sluice_worker_main")
        .enable_spi_access()
        .set_argument(Some(pg_sys::Datum::from(slot)))
        .set_restart_time(None)
        .load_dynamic()
        .is_ok()
}

/// This process's id.
pub fn my_pid() -> i32 {
    // SAFETY: a global that is set when the process starts.
    unsafe { pg_sys::MyProcPid }
}

/// The database of this process.
pub fn my_database() -> u32 {
    // SAFETY: a global that is set once, at connection.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// The database of this process, as an oid.
pub fn my_database_oid() -> pg_sys::Oid {
    pg_sys::Oid::from(my_database())
}

/// Opens this process for signals and connects it to no database: shared catalogs only.
pub fn enter_launcher() {
    signals::install_handlers();
    // SAFETY: called once in a background process; the callback is a plain function of this library.
    unsafe {
        pg_sys::before_shmem_exit(Some(launcher_exits), pg_sys::Datum::from(0));
        pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0);
    }
    shmem::register_launcher();
}

/// Opens this process for signals and connects it to a database as the bootstrap superuser.
pub fn enter_scheduler(database: u32) {
    signals::install_handlers();
    // SAFETY: as above; the exit callback is registered before anything can fail.
    unsafe {
        pg_sys::before_shmem_exit(Some(scheduler_exits), pg_sys::Datum::from(database as usize));
        pg_sys::BackgroundWorkerInitializeConnectionByOid(pg_sys::Oid::from(database), pg_sys::InvalidOid, 0);
    }
}

/// Has the slot given back when this process ends, however it ends. The first thing a worker does.
pub fn leave_slot_at_exit(slot: usize) {
    // SAFETY: the callback is a plain function of this library.
    unsafe { pg_sys::before_shmem_exit(Some(worker_exits), pg_sys::Datum::from(slot)) };
}

/// Opens this process for signals and connects it as the run-as role.
pub fn enter_worker(database: u32, run_as: RunAs) {
    signals::install_handlers();
    let database = pg_sys::Oid::from(database);
    let (role, flags) = match run_as {
        RunAs::Session(role) => (role, bypass_login_check()),
        RunAs::Assumed(_) => (pg_sys::InvalidOid, 0),
    };
    // SAFETY: called once in a background process.
    unsafe { pg_sys::BackgroundWorkerInitializeConnectionByOid(database, role, flags) };
    if let RunAs::Assumed(role) = run_as {
        identity::assume(role);
    }
}

/// From 17 on a worker may belong to a role that may not log in.
fn bypass_login_check() -> u32 {
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    return pg_sys::BGWORKER_BYPASS_ROLELOGINCHECK;
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    0
}

/// Whether a worker for a role without LOGIN has to take the way of [`RunAs::Assumed`].
pub const ASSUMES_NOLOGIN: bool = cfg!(not(any(feature = "pg17", feature = "pg18")));

/// What `pg_stat_activity` shows of this process: a name without secrets, and what it is doing.
pub fn report_name(name: &str) {
    let name = CString::new(name.replace('\0', "")).expect("NUL was taken out");
    // SAFETY: the server copies the text.
    unsafe { pg_sys::pgstat_report_appname(name.as_ptr()) };
}

/// Shows `what` as the current activity; empty for idle.
pub fn report_activity(what: &str) {
    let state = if what.is_empty() {
        pg_sys::BackendState::STATE_IDLE
    } else {
        pg_sys::BackendState::STATE_RUNNING
    };
    let text = CString::new(what.replace('\0', "")).expect("NUL was taken out");
    // SAFETY: the server copies the text.
    unsafe { pg_sys::pgstat_report_activity(state, text.as_ptr()) };
}

/// Has the kernel write no core file of this process, and lets no other process of the same user read its memory: it will
/// hold secrets. Best effort.
pub fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    // SAFETY: changes a flag of this process; no memory is involved.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}

unsafe extern "C-unwind" fn launcher_exits(_code: i32, _arg: pg_sys::Datum) {
    shmem::forget_launcher();
}

unsafe extern "C-unwind" fn scheduler_exits(_code: i32, database: pg_sys::Datum) {
    shmem::leave_scheduler(database.value() as u32, my_pid());
}

unsafe extern "C-unwind" fn worker_exits(_code: i32, slot: pg_sys::Datum) {
    shmem::leave_worker(slot.value(), my_pid());
}
