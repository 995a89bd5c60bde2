//! Locks that say "this job is running" and "this token is being renewed": held by the session, gone with its process.
//!
//! The tag is the row as an object of its table, which is one of ours (`LOCKTAG_OBJECT`). No SQL command takes such a lock, so no
//! role can hold it against us, and `pg_locks` shows it to everybody. It is kept by the lock method of advisory locks:
//! the server gives those back when the process ends, however it ends, and at no failed transaction before.

use pgrx::pg_sys;

/// Takes the lock for this session without waiting; whether it was free.
pub fn try_lock(table: pg_sys::Oid, row: i64) -> bool {
    let tag = tag(table, row);
    // SAFETY: the tag is a complete LOCKTAG; a session lock needs no transaction.
    let result = unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, true, true) };
    result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// Takes the job's lock without waiting until the transaction ends; whether it was free.
pub fn try_lock_job_for_transaction(jobs_table: pg_sys::Oid, job: i64) -> bool {
    let tag = tag(jobs_table, job);
    // SAFETY: the tag is a complete LOCKTAG; inside a transaction, which gives it back.
    let result = unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, false, true) };
    result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// Takes the lock that a write to the table needs until the transaction ends, without waiting; whether it was free.
pub fn try_lock_to_write(table: pg_sys::Oid) -> bool {
    // SAFETY: inside a transaction; any OID may be locked.
    unsafe { pg_sys::ConditionalLockRelationOid(table, pg_sys::RowExclusiveLock as i32) }
}

/// Gives the session's lock back.
pub fn unlock(table: pg_sys::Oid, row: i64) {
    let tag = tag(table, row);
    // SAFETY: as above; releasing a lock that is not held only warns.
    unsafe { pg_sys::LockRelease(&tag, pg_sys::ExclusiveLock as i32, true) };
}

fn tag(table: pg_sys::Oid, row: i64) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: a global that is set once, at connection.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: table.to_u32(),
        // Ids are counted from 1 in this database; four thousand million of them do not occur.
        locktag_field3: row as u32,
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}
