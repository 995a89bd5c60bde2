//! Rate budgets in memory that all processes of the cluster share.
//!
//! The memory is asked for at the server's start and never grows (`sluice.max_rate_budgets`). It holds nothing but atomics
//! that are good when they are zero, so that fetch threads may use it: nothing here calls PostgreSQL after the start but
//! what says so.

use crate::pg::clock::{self, Timestamp};
use crate::pg::{bgworker, settings, signals};
use pgrx::pg_sys;
use pgrx::prelude::pg_guard;
use pgrx::{PgSharedMemoryInitialization, pg_shmem_init};
use sluice_core::rate::{Budget, Moment, Place, Shown, Table};
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The way to the shared budgets; see [`Place`].
#[derive(Clone, Copy)]
pub struct Shared;

static SHARED: Shared = Shared;
/// Who is making a budget; the budgets follow.
static HEAD: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Asks for the memory; called while the library is being preloaded, after the settings are defined.
pub fn request() {
    pg_shmem_init!(SHARED = ());
}

/// The shared budgets; None where the library was not preloaded.
pub fn shared() -> Option<Shared> {
    (!HEAD.load(Ordering::Acquire).is_null()).then_some(SHARED)
}

fn bytes(count: usize) -> usize {
    size_of::<AtomicU64>() + count * size_of::<Budget>()
}

impl PgSharedMemoryInitialization for Shared {
    type Value = ();

    unsafe fn on_shmem_request(&'static self) {
        COUNT.store(settings::max_rate_budgets(), Ordering::Release);
        // SAFETY: called in the server's request hook, where memory may be asked for.
        unsafe { pg_sys::RequestAddinShmemSpace(bytes(COUNT.load(Ordering::Acquire))) };
    }

    unsafe fn on_shmem_startup(&'static self, (): ()) {
        let size = bytes(COUNT.load(Ordering::Acquire));
        // SAFETY: called in the server's startup hook. The memory is aligned for any atomic, as large as was asked for, and
        // zeroed before anybody else sees it; budgets consist of atomics only, for which zeroes are good.
        unsafe {
            let lock = &raw mut (*pg_sys::MainLWLockArray.add(ADDIN_SHMEM_INIT_LOCK)).lock;
            pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
            let mut found = false;
            let memory = pg_sys::ShmemInitStruct(c"pg_sluice rate budgets".as_ptr(), size, &mut found);
            if !found {
                std::ptr::write_bytes(memory.cast::<u8>(), 0, size);
            }
            HEAD.store(memory.cast(), Ordering::Release);
            pg_sys::LWLockRelease(lock);
        }
    }
}

/// The place of AddinShmemInitLock in the server's array, as lwlocknames.txt has it in every release that we know.
const ADDIN_SHMEM_INIT_LOCK: usize = 21;

fn table() -> Table<'static> {
    let head = HEAD.load(Ordering::Acquire);
    // SAFETY: not null where `shared` has given a way here; the memory is there for as long as the process, holds one cell
    // and `COUNT` budgets, and is changed by atomic operations only.
    unsafe {
        Table {
            maker: &*head,
            budgets: std::slice::from_raw_parts(head.add(1).cast(), COUNT.load(Ordering::Acquire)),
        }
    }
}

impl Place for Shared {
    fn table(&self) -> Table<'_> {
        table()
    }

    /// Microseconds since 2000, as [`Timestamp`] has them.
    fn now(&self) -> Moment {
        const FROM_1970_TO_2000: i64 = 946_684_800_000_000;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let real = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        real - FROM_1970_TO_2000 + clock::known_offset()
    }

    fn is_alive(&self, pid: u32) -> bool {
        i32::try_from(pid).is_ok_and(|pid| signals::send(pid, 0))
    }
}

/// This process will hold places: they are free when it ends, however it ends in order. One that is killed takes the whole
/// memory with it.
pub fn enter() -> u32 {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Also notes how far the clock is moved, for threads.
        clock::now();
        // SAFETY: the callback is a plain function of this library, which is never unloaded.
        unsafe { pg_sys::before_shmem_exit(Some(exits), pg_sys::Datum::from(0)) };
    });
    u32::try_from(bgworker::my_pid()).unwrap_or(0)
}

unsafe extern "C-unwind" fn exits(_code: i32, _arg: pg_sys::Datum) {
    if shared().is_some() {
        table().leave(u32::try_from(bgworker::my_pid()).unwrap_or(0));
    }
}

/// The budget of an identity, made where there is none; None: all are in use.
pub fn claim(identity: i64, now: Timestamp) -> Option<&'static Budget> {
    let shared = shared()?;
    let (near, is_alive) = (AtomicUsize::new(0), |pid| shared.is_alive(pid));
    let claimed = table().claim((identity as u64, &near), enter(), now.0, &is_alive);
    claimed.ok()
}

/// The budget of an identity.
pub fn find(identity: i64) -> Option<&'static Budget> {
    shared()?;
    table().find(identity as u64, &AtomicUsize::new(0))
}

/// Every budget in use, with its identity.
pub fn all() -> impl Iterator<Item = (i64, &'static Budget)> {
    let tables = shared().map(|_| table());
    tables
        .into_iter()
        .flat_map(|table| table.all().map(|(identity, budget)| (identity as i64, budget)))
}

/// Whether any budget holds something up.
pub fn is_any_troubled(now: Timestamp) -> bool {
    all().any(|(_, budget)| budget.is_unwritten() || budget.kept(now.0).1.is_troubled())
}

/// A budget as people see it.
pub fn shown(budget: &Budget, now: Timestamp) -> Shown {
    budget.shown(now.0, &|pid| SHARED.is_alive(pid))
}
