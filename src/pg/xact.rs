//! What happens when a session's transaction ends: the launcher wakes, and blocked databases open again. They do so, too,
//! when the subtransaction is rolled back that blocked them.
//!
//! A wake-up belongs to the commit: before it nobody can see what was asked for, and after a rollback there is nothing
//! to see. The callback runs where an error would stop the server, so it only touches shared memory.

use crate::pg::shmem;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    static WAKE: Cell<bool> = const { Cell::new(false) };
    /// The databases that this session has blocked, each with the nest level of the (sub)transaction that did.
    static BLOCKED: RefCell<Vec<(u32, i32)>> = const { RefCell::new(Vec::new()) };
}

/// Wakes this database's scheduler when the transaction commits.
pub fn wake_at_commit() {
    register();
    WAKE.set(true);
}

/// Opens a database that this session blocks now when the transaction ends, either way, or this subtransaction is rolled
/// back.
pub fn unblock_at_end(database: u32) {
    register();
    let level = nest_level();
    BLOCKED.with_borrow_mut(|blocked| {
        if blocked.iter().all(|(known, _)| *known != database) {
            blocked.push((database, level));
        }
    });
}

fn nest_level() -> i32 {
    // SAFETY: reads the state of the transaction; valid in its callbacks, too.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() }
}

fn register() {
    if !REGISTERED.replace(true) {
        // SAFETY: the callbacks are plain functions of this library, which is never unloaded.
        unsafe {
            pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(at_subend), std::ptr::null_mut());
        }
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
            open_again(0);
        }
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => {
            WAKE.set(false);
            open_again(0);
        }
        _ => {}
    }
}

unsafe extern "C-unwind" fn at_subend(
    event: pg_sys::SubXactEvent::Type,
    _mine: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut core::ffi::c_void,
) {
    use pg_sys::SubXactEvent::{SUBXACT_EVENT_ABORT_SUB, SUBXACT_EVENT_COMMIT_SUB};
    match event {
        SUBXACT_EVENT_ABORT_SUB => open_again(nest_level()),
        // What it blocked is its parent's now.
        SUBXACT_EVENT_COMMIT_SUB => BLOCKED.with_borrow_mut(|blocked| {
            let parent = nest_level() - 1;
            blocked.iter_mut().for_each(|(_, level)| *level = parent.min(*level));
        }),
        _ => {}
    }
}

/// Opens what was blocked from this nest level on.
fn open_again(from: i32) {
    BLOCKED.with_borrow_mut(|blocked| {
        blocked.retain(|(database, level)| {
            if *level >= from {
                // SAFETY: a global that is set once, when the process starts.
                shmem::unblock(*database, unsafe { pg_sys::MyProcPid });
            }
            *level < from
        });
    });
}
