//! The lock that says "this job is running": held by the session, gone with its process.
//!
//! The tag is the job's row as an object of our jobs table (`LOCKTAG_OBJECT`). No SQL command takes such a lock, so no
//! role can hold it against us, and `pg_locks` shows it to everybody.
//!
//! The method is that of advisory locks. A session lock of the default method is lost with every transaction that
//! aborts, and outlives a process that is terminated outside a transaction: the server releases at exit only what
//! belongs to a transaction, and advisory locks. A trigger that calls `pg_advisory_unlock_all()` takes this lock from
//! its own job; the slot in shared memory still keeps a second worker away.

use pgrx::pg_sys;

/// Takes the lock for this session without waiting; whether it was free.
pub fn try_lock_job(jobs_table: pg_sys::Oid, job: i64) -> bool {
    let tag = tag(jobs_table, job);
    // SAFETY: the tag is a complete LOCKTAG; a session lock needs no transaction.
    let result = unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, true, true) };
    result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// Gives the session's lock back.
pub fn unlock_job(jobs_table: pg_sys::Oid, job: i64) {
    let tag = tag(jobs_table, job);
    // SAFETY: as above; releasing a lock that is not held only warns.
    unsafe { pg_sys::LockRelease(&tag, pg_sys::ExclusiveLock as i32, true) };
}

fn tag(jobs_table: pg_sys::Oid, job: i64) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: a global that is set once, at connection.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: jobs_table.to_u32(),
        // Job ids are counted from 1 in this database; four thousand million of them do not occur.
        locktag_field3: job as u32,
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}
