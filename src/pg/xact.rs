//! What happens when a session's transaction ends: the launcher wakes, and blocked databases open again.
//!
//! A wake-up belongs to the commit: before it nobody can see what was asked for, and after a rollback there is nothing
//! to see. The callback runs where an error would stop the server, so it only touches shared memory.

use crate::pg::shmem;
use pgrx::pg_sys;
use std::cell::Cell;

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    static WAKE: Cell<bool> = const { Cell::new(false) };
    static BLOCKING: Cell<bool> = const { Cell::new(false) };
}

/// Wakes this database's scheduler when the transaction commits.
pub fn wake_at_commit() {
    register();
    WAKE.set(true);
}

/// Opens the databases that this session blocked when the transaction ends, either way.
pub fn unblock_at_end() {
    register();
    BLOCKING.set(true);
}

fn register() {
    if !REGISTERED.replace(true) {
        // SAFETY: the callback is a plain function of this library, which is never unloaded.
        unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
    }
}

unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut core::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if !shmem::is_ready() {
        return;
    }
    match event {
        XACT_EVENT_COMMIT => {
            if WAKE.replace(false) {
                // SAFETY: a global that is set once, at connection.
                shmem::mark_dirty(unsafe { pg_sys::MyDatabaseId }.to_u32());
            }
            open_again();
        }
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => {
            WAKE.set(false);
            open_again();
        }
        _ => {}
    }
}

fn open_again() {
    if BLOCKING.replace(false) {
        // SAFETY: a global that is set once, when the process starts.
        shmem::unblock(unsafe { pg_sys::MyProcPid });
    }
}
